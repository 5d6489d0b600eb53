//! Time as one number, read often.

use std::time::{Duration, Instant};

use super::Clock;

const SECOND_NANOS: u64 = Duration::from_secs(1).as_nanos() as u64;

/// Nanoseconds since a beginning, by a clock: for what reads the time again and again and compares it only with what
/// it read before. They reach for 584 years.
///
/// With the feature `fast-clock` the system's time is read from the processor's counter of cycles, where there is one
/// that can be relied on. Its rate is measured once, when the process first needs it; so it drifts away from
/// [`Instant`], and what is read here tells how far away a moment is, not when.
#[derive(Debug)]
pub(crate) struct Ticks {
    start: Instant,
    #[cfg(feature = "fast-clock")]
    cycles: Option<(quanta::Clock, u64)>,
}

impl Ticks {
    /// They begin now.
    pub(crate) fn of(clock: &Clock) -> Self {
        Self {
            start: clock.now(),
            #[cfg(feature = "fast-clock")]
            cycles: clock.is_system().then(|| {
                let cycles = quanta::Clock::new();
                let start = cycles.raw();
                (cycles, start)
            }),
        }
    }

    /// So many have passed by now. `clock` is that of the beginning.
    #[inline]
    pub(crate) fn passed(&self, clock: &Clock) -> u64 {
        #[cfg(feature = "fast-clock")]
        if let Some((cycles, start)) = &self.cycles {
            return cycles.delta_as_nanos(*start, cycles.raw());
        }
        let passed = clock.now().saturating_duration_since(self.start);
        passed.as_secs().saturating_mul(SECOND_NANOS).saturating_add(u64::from(passed.subsec_nanos()))
    }
}

#[cfg(all(test, not(underpin_loom)))]
mod tests {
    use super::*;

    #[test]
    fn they_count_from_their_beginning() {
        let (clock, hand) = Clock::manual();
        hand.advance(Duration::from_secs(1));
        let ticks = Ticks::of(&clock);
        assert_eq!(ticks.passed(&clock), 0);
        hand.advance(Duration::new(2, 7));
        assert_eq!(ticks.passed(&clock), 2_000_000_007);
    }

    #[test]
    fn those_of_the_system_are_nanoseconds() {
        let clock = Clock::system();
        let (before, ticks) = (clock.now(), Ticks::of(&clock));
        let within = clock.now();
        while within.elapsed() < Duration::from_millis(50) {
            std::thread::yield_now();
        }
        let least = within.elapsed().as_nanos() as f64;
        let passed = ticks.passed(&clock) as f64;
        let most = before.elapsed().as_nanos() as f64;
        assert!(passed >= least * 0.99 && passed <= most * 1.01, "{least} {passed} {most}");
    }
}
