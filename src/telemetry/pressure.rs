//! What is done when a queue fills.

/// From half full on, one of so many is taken.
const OF_HALF: u64 = 2;
/// From three quarters on, one of so many.
const OF_MOST: u64 = 8;

/// What becomes of one that is to go into a queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pressure {
    /// There is room.
    Room,
    /// One of so many is taken, the others are left out.
    OneOf(u64),
    /// There is no room.
    Full,
}

impl Pressure {
    /// In a queue of this capacity, with so many in it.
    pub(crate) fn of(queued: usize, capacity: usize) -> Self {
        let quarters = |n| capacity.saturating_mul(n) / 4;
        match queued {
            _ if queued >= capacity => Self::Full,
            _ if queued > quarters(3) => Self::OneOf(OF_MOST),
            _ if queued > quarters(2) => Self::OneOf(OF_HALF),
            _ => Self::Room,
        }
    }
}

#[cfg(all(test, not(underpin_loom)))]
mod tests {
    use super::*;

    #[test]
    fn the_fuller_a_queue_the_fewer_are_taken() {
        let at = |queued| Pressure::of(queued, 1024);
        assert_eq!([at(0), at(512)], [Pressure::Room; 2]);
        assert_eq!([at(513), at(768)], [Pressure::OneOf(2); 2]);
        assert_eq!([at(769), at(1023)], [Pressure::OneOf(8); 2]);
        assert_eq!([at(1024), at(usize::MAX)], [Pressure::Full; 2]);
    }

    #[test]
    fn the_smallest_queues_have_their_rules_too() {
        let all = |capacity| (0..=capacity).map(move |queued| Pressure::of(queued, capacity));
        assert_eq!(all(0).collect::<Vec<_>>(), [Pressure::Full]);
        assert_eq!(all(1).collect::<Vec<_>>(), [Pressure::Room, Pressure::Full]);
        assert_eq!(all(2).collect::<Vec<_>>(), [Pressure::Room, Pressure::Room, Pressure::Full]);
        assert_eq!(all(3).skip(2).collect::<Vec<_>>(), [Pressure::OneOf(2), Pressure::Full]);
        assert_eq!(Pressure::of(usize::MAX - 1, usize::MAX), Pressure::OneOf(8));
    }
}
