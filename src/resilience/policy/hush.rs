//! How often the same refusal is told.

use std::time::Duration;

use super::end::End;
use crate::gcra::Gcra;
use crate::sync::{Ordering, Tally};

/// How many refusals of a kind a policy tells of in a second, evenly: of runs that ended without an attempt, by the stop
/// signal or for want of time too. The first after a tenth of a second without one is told at once. Each tells how many
/// before it were not.
pub const MAX_REFUSALS_TOLD_PER_SECOND: u32 = 10;

/// How often refusals are told: under overload there are as many as there is somebody who asks.
#[derive(Debug, Default)]
pub(super) struct Hush {
    kinds: [Kind; End::COUNT],
    untold: Tally,
}

#[derive(Debug, Default)]
struct Kind {
    /// The theoretical arrival time.
    arrival: Tally,
    /// Since the last that was told.
    untold: Tally,
}

// ORDERING: Relaxed throughout. Each number is changed in one step, and none is read by leave of another.
impl Hush {
    /// One that is told, after so many that were not; or `None`, and it is one of these.
    pub(super) fn tell(&self, end: End, now: u64) -> Option<u64> {
        let kind = &self.kinds[end as usize];
        let gcra = Gcra::new(MAX_REFUSALS_TOLD_PER_SECOND, Duration::from_secs(1), 1);
        let admit = |arrival: u64| gcra.admit(arrival, now).ok();
        if kind.arrival.fetch_update(Ordering::Relaxed, Ordering::Relaxed, admit).is_ok() {
            return Some(kind.untold.swap(0, Ordering::Relaxed));
        }
        kind.untold.fetch_add(1, Ordering::Relaxed);
        self.untold.fetch_add(1, Ordering::Relaxed);
        None
    }

    /// How many were not told so far.
    pub(super) fn untold(&self) -> u64 {
        self.untold.load(Ordering::Relaxed)
    }
}

#[cfg(all(test, not(underpin_loom)))]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;

    #[test]
    fn the_first_is_told_at_once_and_then_ten_in_a_second_with_the_number_of_the_others() {
        let hush = Hush::default();
        let told: Vec<_> = (0..1000).filter_map(|ms| hush.tell(End::Full, ms * MS)).collect();
        assert_eq!(told, [0, 99, 99, 99, 99, 99, 99, 99, 99, 99]);
        assert_eq!(hush.tell(End::Full, 1500 * MS), Some(99));
        assert_eq!(hush.tell(End::Full, 1600 * MS), Some(0));
        assert_eq!(hush.untold(), 990);
    }

    #[test]
    fn a_kind_does_not_silence_another() {
        let hush = Hush::default();
        let kinds = [End::Shed, End::Limited, End::Full, End::Open];
        assert_eq!(kinds.map(|end| hush.tell(end, 0)), [Some(0); 4]);
        assert_eq!(kinds.map(|end| hush.tell(end, 1)), [None; 4]);
    }

    #[test]
    fn what_is_told_and_what_is_not_adds_up_under_threads() {
        let hush = Hush::default();
        let told: u64 = std::thread::scope(|scope| {
            let work =
                || (0..1000).filter_map(|ms| hush.tell(End::Open, ms * MS)).map(|with| with + 1).sum::<u64>();
            let threads: Vec<_> = (0..4).map(|_| scope.spawn(work)).collect();
            threads.into_iter().map(|thread| thread.join().expect("no panic")).sum::<u64>()
        });
        let last = hush.tell(End::Open, 10_000 * MS).expect("it is told");
        assert_eq!(told + last, 4000);
    }
}
