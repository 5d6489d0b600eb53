//! How often each of many may do something.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

use crate::gcra::Gcra;

/// So many keys are too few to look for what can be forgotten.
const FEW: usize = 64;
/// Keys that are in use let their times pass by: not each of those is worth a look at all of them.
const LOOK_NANOS: u64 = 1_000_000;

/// The theoretical arrival times of many keys, at most so many of them.
///
/// A key whose time has come is as if it had never been there, so it is forgotten without loss. That is done when there
/// are twice as many keys as the last time, and when there is no room for another.
///
/// A key is a fingerprint of 128 bits. Times are nanoseconds from any moment.
#[derive(Debug)]
pub(crate) struct Keys {
    gcra: Gcra,
    most: usize,
    arrivals: HashMap<u128, u64, BuildHasherDefault<Fold>>,
    /// With so many it is time to look for what can be forgotten.
    sweep_at: usize,
    /// Before this moment nothing can be forgotten, or it is too early to look again.
    sweep_from: u64,
}

/// Why a key is not let through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// It is too early by so many nanoseconds.
    Early(u64),
    /// There is no room for another key; it is looked again after so many nanoseconds.
    Full(u64),
}

impl Keys {
    /// At most `most` keys, of which there is one at least.
    pub(crate) fn new(gcra: Gcra, most: usize) -> Self {
        Self { gcra, most: most.max(1), arrivals: HashMap::default(), sweep_at: FEW, sweep_from: 0 }
    }

    /// One comes at `now`, and would wait until `latest`: when it is let through.
    pub(crate) fn reserve(&mut self, key: u128, now: u64, latest: u64) -> Result<u64, Refusal> {
        if let Some(arrival) = self.arrivals.get_mut(&key) {
            let at;
            (*arrival, at) = self.gcra.reserve(*arrival, now, 1, latest).map_err(Refusal::Early)?;
            return Ok(at);
        }
        self.make_room(now)?;
        let (arrival, at) = self.gcra.reserve(0, now, 1, latest).map_err(Refusal::Early)?;
        self.sweep_from = self.sweep_from.min(arrival);
        self.arrivals.insert(key, arrival);
        Ok(at)
    }

    /// How many keys there are, those among them that can be forgotten.
    pub(crate) fn len(&self) -> usize {
        self.arrivals.len()
    }

    /// Forgets what can be forgotten.
    pub(crate) fn sweep(&mut self, now: u64) {
        self.arrivals.retain(|_, arrival| *arrival > now);
        let len = self.arrivals.len();
        self.sweep_at = FEW.max(2 * len);
        self.arrivals.shrink_to(self.sweep_at);
        let first = self.arrivals.values().copied().min().unwrap_or(u64::MAX);
        self.sweep_from = first.max(now.saturating_add(LOOK_NANOS));
    }

    fn make_room(&mut self, now: u64) -> Result<(), Refusal> {
        let is_full = self.arrivals.len() >= self.most;
        if (is_full || self.arrivals.len() >= self.sweep_at) && now >= self.sweep_from {
            self.sweep(now);
        }
        if self.arrivals.len() < self.most {
            return Ok(());
        }
        Err(Refusal::Full(self.sweep_from.saturating_sub(now).max(1)))
    }
}

/// Folds what is a hash already.
#[derive(Default)]
struct Fold(u64);

impl Hasher for Fold {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        self.0 = bytes.iter().fold(self.0, |hash, byte| hash.rotate_left(8) ^ u64::from(*byte));
    }

    fn write_u128(&mut self, key: u128) {
        self.0 = key as u64;
    }
}

#[cfg(all(test, not(underpin_loom)))]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;

    impl Keys {
        /// One comes who does not wait.
        fn admit(&mut self, key: u128, now: u64) -> Result<(), Refusal> {
            self.reserve(key, now, now).map(|at| assert_eq!(at, now))
        }
    }

    fn every(nanos: u64, burst: u32) -> Gcra {
        Gcra::new(1, Duration::from_nanos(nanos), burst)
    }

    proptest! {
        #[test]
        fn with_room_for_all_each_key_is_as_if_it_were_alone(
            burst in 1..4_u32,
            steps in prop::collection::vec((0..200_u128, 0..50_u64), 1..600),
        ) {
            let (gcra, mut alone, mut now) = (every(100, burst), HashMap::new(), 0);
            let mut keys = Keys::new(gcra, 1000);
            for (key, step) in steps {
                now += step;
                let arrival = alone.entry(key).or_insert(0);
                let expected = gcra.admit(*arrival, now);
                prop_assert_eq!(keys.admit(key, now), expected.map(drop).map_err(Refusal::Early));
                *arrival = expected.unwrap_or(*arrival);
            }
            let live = alone.values().filter(|arrival| **arrival > now).count();
            prop_assert!(keys.len() >= live);
            keys.sweep(now);
            prop_assert_eq!(keys.len(), live);
        }

        #[test]
        fn who_would_wait_for_a_key_waits_as_if_it_were_alone(
            burst in 1..4_u32,
            steps in prop::collection::vec((0..9_u128, 0..50_u64, 0..300_u64), 1..300),
        ) {
            let (gcra, mut alone, mut now) = (every(100, burst), HashMap::new(), 0);
            let mut keys = Keys::new(gcra, 1000);
            for (key, step, patience) in steps {
                now += step;
                let arrival = alone.entry(key).or_insert(0);
                let expected = gcra.reserve(*arrival, now, 1, now + patience);
                let reserved = keys.reserve(key, now, now + patience);
                prop_assert_eq!(reserved, expected.map(|(_, at)| at).map_err(Refusal::Early));
                *arrival = expected.map_or(*arrival, |(next, _)| next);
                keys.sweep(now);
            }
        }

        #[test]
        fn there_are_never_too_many_and_no_key_gets_more_than_alone(
            most in 0..5_usize,
            steps in prop::collection::vec((0..10_u128, 0..60_u64), 1..300),
        ) {
            let (gcra, mut alone, mut now) = (every(100, 2), HashMap::new(), 0);
            let mut keys = Keys::new(gcra, most);
            for (key, step) in steps {
                now += step;
                let arrival = alone.entry(key).or_insert(0);
                match keys.admit(key, now) {
                    Ok(()) => *arrival = gcra.admit(*arrival, now).expect("alone it is let through, too"),
                    Err(Refusal::Early(wait)) => prop_assert_eq!(gcra.admit(*arrival, now), Err(wait)),
                    Err(Refusal::Full(wait)) => {
                        prop_assert!(keys.len() == most.max(1) && *arrival <= now);
                        // There is a look when it was said to be, and with nobody there all are forgotten then.
                        prop_assert!(wait > 0 && now + wait <= keys.sweep_from);
                    }
                }
                prop_assert!(keys.len() <= most.max(1));
            }
        }
    }

    const MS: u64 = 1_000_000;

    #[test]
    fn room_is_made_as_soon_as_it_was_said_if_nobody_has_come_meanwhile() {
        let mut keys = Keys::new(every(100 * MS, 3), 2);
        (0..3).for_each(|_| assert_eq!(keys.admit(1, 0), Ok(())));
        assert_eq!(keys.admit(2, 50 * MS), Ok(()));
        assert_eq!(keys.admit(3, 60 * MS), Err(Refusal::Full(90 * MS)));
        assert_eq!(keys.admit(3, 150 * MS - 1), Err(Refusal::Full(1)));
        assert_eq!((keys.admit(3, 150 * MS), keys.len()), (Ok(()), 2));
        assert_eq!(keys.admit(1, 150 * MS), Ok(()), "it was not forgotten");
        assert_eq!(keys.admit(1, 150 * MS), Err(Refusal::Early(50 * MS)));
        assert_eq!(keys.admit(4, 160 * MS), Err(Refusal::Full(90 * MS)), "until the third has had its calm");
        assert_eq!(keys.admit(4, 250 * MS), Ok(()));
    }

    #[test]
    fn what_is_in_use_is_not_looked_through_at_each_new_key() {
        let mut keys = Keys::new(every(100, 10), 1);
        for _ in 0..3 {
            assert_eq!(keys.admit(1, 0), Ok(()));
        }
        assert_eq!(keys.admit(2, 200), Err(Refusal::Full(MS)), "looked through once");
        assert_eq!(
            keys.admit(2, 300),
            Err(Refusal::Full(MS - 100)),
            "and not again, though it might be forgotten"
        );
        assert_eq!(keys.admit(1, MS + 199), Ok(()));
        assert_eq!(keys.admit(2, MS + 200), Err(Refusal::Full(MS)), "and once more");
        assert_eq!(keys.admit(2, 2 * MS + 200), Ok(()));
    }

    #[test]
    fn of_keys_that_come_once_only_the_last_ones_are_kept() {
        let mut keys = Keys::new(every(MS, 1), 1_000_000);
        for key in 0..100_000 {
            assert_eq!(keys.admit(key, key as u64 * MS / 10), Ok(()));
            assert!(keys.len() <= 2 * FEW, "{key}");
        }
        assert!(keys.arrivals.capacity() <= 4 * FEW);
    }
}
