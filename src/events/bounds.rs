//! How much a store keeps.

use std::time::Duration;

use super::moment::nanos;

/// How many events a store keeps if nothing else is said.
pub const DEFAULT_MAX_EVENTS: u64 = 100_000;
/// How many bytes of events a store keeps if nothing else is said: 256 MiB.
pub const DEFAULT_MAX_BYTES: u64 = 256 << 20;
/// How long a store keeps an event if nothing else is said: 1 h.
pub const DEFAULT_MAX_AGE: Duration = Duration::from_secs(3600);

/// What a shard keeps at most.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    pub(crate) events: u64,
    pub(crate) bytes: u64,
    /// How long, in nanoseconds.
    pub(crate) age: Option<u64>,
}

impl Bounds {
    pub(crate) fn new(events: u64, bytes: u64, age: Option<Duration>) -> Self {
        Self { events, bytes, age: age.map(nanos) }
    }

    /// The part of one shard among so many.
    pub(crate) fn share(self, shards: u64) -> Self {
        let share = |all: u64| all.div_ceil(shards).max(1);
        Self { events: share(self.events), bytes: share(self.bytes), age: self.age }
    }

    /// When something that was stored then is too old: nanoseconds by the clock of the store.
    pub(crate) fn expiry(self, stored: i64) -> Option<i64> {
        self.age.map(|age| stored.saturating_add_unsigned(age))
    }
}

#[cfg(all(test, not(underpin_loom)))]
mod tests {
    use super::*;

    #[test]
    fn shards_have_equal_shares_and_one_event_at_least() {
        let share = |events, bytes, shards| {
            let share = Bounds::new(events, bytes, None).share(shards);
            (share.events, share.bytes)
        };
        assert_eq!(share(100, 1_000, 1), (100, 1_000));
        assert_eq!(share(100, 1_000, 3), (34, 334));
        assert_eq!(share(1, 0, 64), (1, 1));
        assert_eq!(share(u64::MAX, u64::MAX, 2), (1 << 63, 1 << 63));
    }

    #[test]
    fn without_an_age_nothing_is_too_old_and_with_one_nothing_overflows() {
        assert_eq!(Bounds::new(1, 1, None).expiry(5), None);
        assert_eq!(Bounds::new(1, 1, Some(Duration::from_nanos(7))).expiry(-5), Some(2));
        assert_eq!(Bounds::new(1, 1, Some(Duration::MAX)).expiry(i64::MAX - 1), Some(i64::MAX));
    }
}
