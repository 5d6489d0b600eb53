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
/// came less than [`STORM_NANOS`] apart. Where refusals are rarer, each looks. By a clock with ticks, that is found out
/// once in a tick; where a clock stands still for good, each looks.
// ORDERING: Relaxed throughout. They are numbers to go by: whatever they say, a call is let through under the lock of
// the machine alone, by the clock.
#[derive(Debug)]
pub(crate) struct Refusals {
    is_coarse: bool,
    /// Those until the last look, this among them.
    number: AtomicU64,
    /// How many need no look after it, and how many of these are left.
    granted: AtomicU64,
    left: AtomicU64,
    looked_at: AtomicU64,
    /// How many there were at the last look that showed another time, and whether it found a storm, as 0 or 1.
    looked_after: AtomicU64,
    storms: AtomicU64,
}

impl Refusals {
    pub(crate) fn new(is_coarse: bool) -> Self {
        Self {
            is_coarse,
            number: AtomicU64::new(0),
            granted: AtomicU64::new(0),
            left: AtomicU64::new(0),
            looked_at: AtomicU64::new(0),
            looked_after: AtomicU64::new(0),
            storms: AtomicU64::new(0),
        }
    }

    pub(crate) fn number(&self) -> u64 {
        self.number.load(Ordering::Relaxed).saturating_add(self.used(self.granted.load(Ordering::Relaxed)))
    }

    /// How many of so many went without a look since the last one.
    fn used(&self, granted: u64) -> u64 {
        granted.saturating_sub(self.left.load(Ordering::Relaxed))
    }

    /// Counts one that needs no look at the clock. `false`, and nothing counted, if it does.
    #[inline]
    pub(crate) fn add_untimed(&self) -> bool {
        self.is_coarse && self.untimed().map(|seen| self.count_after(seen)).is_some()
    }

    /// How many more need no look, if any do.
    #[inline]
    fn untimed(&self) -> Option<u64> {
        let left = self.left.load(Ordering::Relaxed);
        (left > 0).then_some(left)
    }

    /// Not as one step with the look at what is left, which would take longer than all the rest: of refusals at the same
    /// moment one may be lost to the count. Who is held up in between brings back fifteen at most, however many others
    /// came meanwhile, for nothing else is written here.
    #[inline]
    fn count_after(&self, seen: u64) {
        self.left.store(seen - 1, Ordering::Relaxed);
    }

    /// Counts one of which nothing else is to be known.
    #[inline]
    pub(crate) fn add(&self) {
        self.number.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts one that was found to be right at `now`.
    #[inline]
    pub(crate) fn add_timed(&self, now: u64) {
        if !self.is_coarse {
            return self.add();
        }
        // Taken, so that of two who look at once one counts them.
        let since = self.used(self.granted.swap(0, Ordering::Relaxed)) + 1;
        let number = self.number.fetch_add(since, Ordering::Relaxed).saturating_add(since);
        let granted = if self.is_storm(number, now) { since.min(MOST_UNTIMED) } else { 0 };
        self.left.store(granted, Ordering::Relaxed);
        self.granted.store(granted, Ordering::Relaxed);
    }

    /// Whether there is one after so many in all. Nothing new is known of it before the clock has moved on.
    #[inline]
    fn is_storm(&self, number: u64, now: u64) -> bool {
        let passed = now.saturating_sub(self.looked_at.load(Ordering::Relaxed));
        if passed > 0 {
            self.looked_at.store(now, Ordering::Relaxed);
            let refusals = number.saturating_sub(self.looked_after.swap(number, Ordering::Relaxed));
            self.storms.store((passed < refusals.saturating_mul(STORM_NANOS)).into(), Ordering::Relaxed);
        }
        self.storms.load(Ordering::Relaxed) == 1
    }
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

    #[test]
    fn in_a_storm_one_of_sixteen_looks_also_at_a_clock_with_ticks_and_each_in_the_tick_after_it() {
        const TICK: u64 = 4_000_000;
        let (refusals, mut now) = (Refusals::new(true), TICK);
        assert_eq!(looks(&refusals, 10_000, 0, &mut now), 10_000, "nothing is known");
        now += TICK;
        let in_storm = looks(&refusals, 16_000, 0, &mut now);
        assert!((1_000..=1_015).contains(&in_storm), "{in_storm}");
        now += TICK;
        assert!(looks(&refusals, 160, 0, &mut now) <= 10, "the tick before was one");
        now += TICK;
        assert!(looks(&refusals, 100, 0, &mut now) >= 100 - MOST_UNTIMED, "there were few in the last one");
        assert_eq!(refusals.number(), 26_260);
    }

    #[test]
    fn who_is_held_up_between_a_look_at_what_is_left_and_its_count_takes_nothing_back_of_what_others_counted()
    {
        let (refusals, mut now) = (Refusals::new(true), 1_000_000);
        looks(&refusals, 1_000, 10, &mut now);
        let seen = (0..).find_map(|_| {
            looks(&refusals, 1, 10, &mut now);
            refusals.untimed()
        });
        let before = refusals.number();
        looks(&refusals, 100_000, 10, &mut now);
        refusals.count_after(seen.expect("some need no look"));
        let lost = before + 100_000 - refusals.number().min(before + 100_000);
        assert!(lost <= MOST_UNTIMED, "{lost} are lost");
        let untimed = (0..1_000).take_while(|_| refusals.add_untimed()).count() as u64;
        assert!(untimed <= MOST_UNTIMED, "{untimed} go without a look at the clock");
    }
}
