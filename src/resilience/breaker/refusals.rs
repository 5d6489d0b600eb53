//! How often an open breaker refused, and when it has to look at the clock for it.

use crate::sync::{AtomicU64, Ordering};

/// How many refusals in a row go without a look at the clock, at most.
pub(crate) const MOST_UNTIMED: u64 = 15;
/// Refusals that come more often than this are a storm.
const STORM_NANOS: u64 = 1_000;

/// How often a breaker refused a call. With a coarse clock it also says which refusals need no look at the clock:
/// a look takes several times as long as all the rest.
///
/// After a look, as many go without one as there were since the look before, at most [`MOST_UNTIMED`], if these
/// came less than [`STORM_NANOS`] apart. Where refusals are rarer, and where a clock stands still, each looks.
// ORDERING: Relaxed throughout. They are numbers to go by: whatever they say, a call is let through under the lock of
// the machine alone, by the clock.
#[derive(Debug)]
pub(crate) struct Refusals {
    is_coarse: bool,
    number: AtomicU64,
    /// Up to this number they need no look.
    untimed_to: AtomicU64,
    looked: AtomicU64,
    looked_at: AtomicU64,
}

impl Refusals {
    pub(crate) fn new(is_coarse: bool) -> Self {
        Self {
            is_coarse,
            number: AtomicU64::new(0),
            untimed_to: AtomicU64::new(0),
            looked: AtomicU64::new(0),
            looked_at: AtomicU64::new(0),
        }
    }

    pub(crate) fn number(&self) -> u64 {
        self.number.load(Ordering::Relaxed)
    }

    /// Counts one that needs no look at the clock. `false`, and nothing counted, if it does.
    #[inline]
    pub(crate) fn add_untimed(&self) -> bool {
        if !self.is_coarse {
            return false;
        }
        let number = self.number();
        let is_one = number < self.untimed_to.load(Ordering::Relaxed);
        if is_one {
            // Not as one step, which would take longer than all the rest: of refusals at the same moment one may be
            // lost to the count, and no thread has more than its own fifteen of them.
            self.number.store(number + 1, Ordering::Relaxed);
        }
        is_one
    }

    /// Counts one of which nothing else is to be known.
    #[inline]
    pub(crate) fn add(&self) {
        self.number.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts one that was found to be right at `now`.
    #[inline]
    pub(crate) fn add_timed(&self, now: u64) {
        let number = self.number.fetch_add(1, Ordering::Relaxed) + 1;
        if self.is_coarse {
            let before = self.looked.load(Ordering::Relaxed);
            let passed = now.saturating_sub(self.looked_at.load(Ordering::Relaxed));
            self.untimed_to.store(number + untimed(number.saturating_sub(before), passed), Ordering::Relaxed);
            self.looked.store(number, Ordering::Relaxed);
            self.looked_at.store(now, Ordering::Relaxed);
        }
    }
}

/// How many may follow without a look after so many in that time.
#[inline]
fn untimed(refusals: u64, passed_nanos: u64) -> u64 {
    let is_storm = passed_nanos > 0 && passed_nanos < refusals.saturating_mul(STORM_NANOS);
    if is_storm { refusals.min(MOST_UNTIMED) } else { 0 }
}

#[cfg(all(test, not(underpin_loom)))]
mod tests {
    use super::*;

    /// How many of so many refusals looked, with that time between any two.
    fn looks(refusals: &Refusals, number: u64, apart: u64, now: &mut u64) -> u64 {
        let mut looks = 0;
        for _ in 0..number {
            *now += apart;
            if !refusals.add_untimed() {
                refusals.add_timed(*now);
                looks += 1;
            }
        }
        looks
    }

    #[test]
    fn in_a_storm_one_of_sixteen_looks_and_otherwise_each() {
        let (refusals, mut now) = (Refusals::new(true), 1_000_000);
        assert_eq!(looks(&refusals, 100, STORM_NANOS, &mut now), 100);
        let in_storm = looks(&refusals, 1_600, 10, &mut now);
        assert!((100..=115).contains(&in_storm), "{in_storm}");
        let after = looks(&refusals, 100, STORM_NANOS, &mut now);
        assert!(after >= 100 - 2 * MOST_UNTIMED, "the end of the storm is in the first look: {after}");
        assert_eq!(looks(&refusals, 100, STORM_NANOS, &mut now), 100);
        assert_eq!(refusals.number(), 1_900);
    }

    #[test]
    fn a_clock_that_stands_still_is_looked_at_each_time_and_so_is_one_that_is_not_coarse() {
        let (refusals, mut now) = (Refusals::new(true), 1_000_000);
        assert_eq!(looks(&refusals, 100, 0, &mut now), 100);
        assert_eq!(looks(&Refusals::new(false), 100, 10, &mut now), 100);
    }
}
