//! Time as one number.

use std::time::Duration;

use super::patience::Patience;
use crate::sync::{Clock, Ticks};

/// Nanoseconds since a beginning, by a clock. They fit into one atomic word.
#[derive(Debug)]
pub(crate) struct Timeline {
    clock: Clock,
    ticks: Ticks,
}

impl Timeline {
    /// It begins now.
    pub(crate) fn new(clock: Clock) -> Self {
        let ticks = Ticks::of(&clock);
        Self { clock, ticks }
    }

    pub(crate) fn clock(&self) -> &Clock {
        &self.clock
    }

    #[inline]
    pub(crate) fn now(&self) -> u64 {
        self.ticks.passed(&self.clock)
    }

    /// Now, and until when somebody waits who begins to. What has passed by then counts as now.
    pub(crate) fn span(&self, patience: Patience) -> (u64, u64) {
        let now = self.now();
        if patience == Patience::NONE {
            return (now, now);
        }
        let moment = self.clock.now();
        let left = |end: std::time::Instant| nanos(end.saturating_duration_since(moment));
        let end = patience.deadline(moment).instant();
        (now, end.map_or(u64::MAX, |end| now.saturating_add(left(end))))
    }

    /// Parks the thread until then.
    pub(crate) fn wait(&self, until: u64) {
        loop {
            // Read first: what passes between the two looks makes the park end early, never late.
            let moment = self.clock.now();
            let left = until.saturating_sub(self.now());
            if left == 0 {
                return;
            }
            self.clock.park(moment.checked_add(Duration::from_nanos(left)));
        }
    }
}

/// In nanoseconds, as far as they reach.
pub(crate) fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(all(test, not(underpin_loom)))]
mod tests {
    use std::sync::Arc;
    use std::time::Instant;

    use super::*;
    use crate::service::deadline::Deadline;
    use crate::sync::{Ordering, Pace, Tally};

    /// A clock that goes on by a second at each look, and until when somebody parked.
    #[derive(Debug)]
    struct Hasty {
        start: Instant,
        seconds: Tally,
        parked: Tally,
    }

    impl Pace for Hasty {
        fn now(&self) -> Instant {
            self.start + Duration::from_secs(self.seconds.fetch_add(1, Ordering::SeqCst))
        }

        fn park(&self, deadline: Option<Instant>) {
            let end = deadline.expect("the wait has an end").saturating_duration_since(self.start).as_secs();
            self.seconds.fetch_max(end, Ordering::SeqCst);
            self.parked.fetch_max(end, Ordering::SeqCst);
        }
    }

    #[test]
    fn time_that_passes_while_somebody_begins_to_wait_makes_no_wait_longer() {
        let start = Clock::system().now();
        let hasty = Arc::new(Hasty { start, seconds: Tally::new(0), parked: Tally::new(0) });
        let time = Timeline::new(Clock::paced(Arc::clone(&hasty) as Arc<dyn Pace>));
        time.wait(nanos(Duration::from_secs(100)));
        assert!((90..=100).contains(&hasty.parked.load(Ordering::SeqCst)), "{hasty:?}");
        assert!(hasty.seconds.load(Ordering::SeqCst) >= 100, "{hasty:?}");
    }

    #[test]
    fn the_end_of_a_wait_is_not_before_now() {
        let (clock, hand) = Clock::manual();
        let time = Timeline::new(clock.clone());
        hand.advance(Duration::from_nanos(50));
        let latest = |patience: Patience| time.span(patience);
        assert_eq!(latest(Patience::NONE), (50, 50));
        assert_eq!(latest(Duration::from_nanos(5).into()), (50, 55));
        assert_eq!(latest(Duration::MAX.into()), (50, u64::MAX));
        assert_eq!(latest(Deadline::at(clock.now() + Duration::from_nanos(9)).into()), (50, 59));
        assert_eq!(latest(Deadline::at(clock.now() - Duration::from_nanos(9)).into()), (50, 50));
        assert_eq!(latest(Deadline::unbounded().into()), (50, u64::MAX));
    }
}
