//! The restart intensity: how many restarts a supervisor may make within a sliding period.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// A sliding window over the instants of the restarts that were charged.
///
/// As in OTP both ends of the period belong to it: a restart that is exactly one period old still
/// counts, and one that is a nanosecond older does not. The window holds at most one entry more
/// than it admits.
#[derive(Debug, Clone)]
pub(crate) struct Intensity {
    max_restarts: usize,
    period: Duration,
    charged: VecDeque<Instant>,
}

impl Intensity {
    pub(crate) fn new(max_restarts: u32, period: Duration) -> Self {
        // A platform whose usize is smaller than u32 could not hold that many entries anyway.
        let max_restarts = usize::try_from(max_restarts).unwrap_or(usize::MAX);
        Self { max_restarts, period, charged: VecDeque::new() }
    }

    /// From here on other limits hold. What still counted counts on.
    pub(crate) fn admit(&mut self, max_restarts: u32, period: Duration, now: Instant) {
        self.forget_before(now);
        *self = Self { charged: std::mem::take(&mut self.charged), ..Self::new(max_restarts, period) };
    }

    /// Charges a restart that is about to be made. False: it is one too many, so the supervisor has
    /// to give up instead.
    #[must_use]
    pub(crate) fn charge(&mut self, now: Instant) -> bool {
        self.forget_before(now);
        self.charged.push_back(now);
        self.charged.len() <= self.max_restarts
    }

    /// How many restarts count at `now`.
    pub(crate) fn recent(&self, now: Instant) -> usize {
        let counts = |then: &&Instant| now.saturating_duration_since(**then) <= self.period;
        self.charged.iter().filter(counts).count()
    }

    fn forget_before(&mut self, now: Instant) {
        while self.charged.front().is_some_and(|then| now.saturating_duration_since(*then) > self.period) {
            self.charged.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    /// An `Instant` has no other origin.
    #[allow(clippy::disallowed_methods)]
    fn start() -> Instant {
        Instant::now()
    }

    #[test]
    fn admits_as_many_as_it_is_allowed() {
        let (mut window, t) = (Intensity::new(2, SECOND), start());
        assert!(window.charge(t));
        assert!(window.charge(t));
        assert!(!window.charge(t));
    }

    #[test]
    fn zero_admits_none() {
        assert!(!Intensity::new(0, SECOND).charge(start()));
    }

    #[test]
    fn one_per_period_never_trips_intensity_one() {
        let (mut window, t) = (Intensity::new(1, SECOND), start());
        for n in 0..100 {
            assert!(window.charge(t + (SECOND + Duration::from_nanos(1)) * n));
        }
    }

    #[test]
    fn an_entry_exactly_one_period_old_still_counts() {
        let (mut window, t) = (Intensity::new(1, SECOND), start());
        assert!(window.charge(t));
        assert!(!window.charge(t + SECOND));
    }

    #[test]
    fn an_entry_older_than_the_period_does_not_count() {
        let (mut window, t) = (Intensity::new(1, SECOND), start());
        assert!(window.charge(t));
        assert!(window.charge(t + SECOND + Duration::from_nanos(1)));
    }

    #[test]
    fn what_counted_under_the_old_limits_counts_under_the_new() {
        let (mut window, t) = (Intensity::new(3, SECOND), start());
        assert!(window.charge(t) && window.charge(t + SECOND));
        window.admit(2, SECOND * 9, t + SECOND * 2);
        assert!(window.charge(t + SECOND * 2), "the first had aged out");
        assert!(!window.charge(t + SECOND * 2), "the second had not");
    }

    #[test]
    fn a_clock_that_goes_back_ages_nothing() {
        let (mut window, t) = (Intensity::new(1, SECOND), start());
        assert!(window.charge(t + SECOND * 9));
        assert!(!window.charge(t));
    }
}
