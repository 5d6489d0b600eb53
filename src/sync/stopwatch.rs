//! Time that has passed, read exactly or coarsely.

use super::{Clock, Ticks};

/// Nanoseconds since a beginning, by a clock, on one timeline that is read in two ways: exactly, or coarsely, which is
/// several times as fast and up to [`MOST_TICK_NANOS`] behind. They reach for 584 years.
///
/// There is a coarse way with the feature `fast-clock`, on Linux, by the system's clock: the kernel keeps
/// `CLOCK_MONOTONIC_COARSE`, which is `CLOCK_MONOTONIC` at the last tick of its timer, 1 to 10 ms apart. Everywhere else both
/// ways are as exact as [`Ticks`].
///
/// Who reads it in both ways sees time run back by a tick at most.
#[derive(Debug)]
pub(crate) struct Stopwatch(Source);

#[derive(Debug)]
enum Source {
    Ticks(Ticks),
    /// The system's clocks, and when it began by the exact one.
    #[cfg(all(feature = "fast-clock", target_os = "linux"))]
    System(u64),
}

/// How far the coarse way may be behind: a tick of the timer of a kernel with 100 in a second, the fewest that Linux is
/// built with.
#[cfg(all(feature = "fast-clock", target_os = "linux"))]
pub(crate) const MOST_TICK_NANOS: u64 = 10_000_000;

impl Stopwatch {
    /// It begins now.
    pub(crate) fn of(clock: &Clock) -> Self {
        #[cfg(all(feature = "fast-clock", target_os = "linux"))]
        if clock.is_system() && system::is_coarse_enough() {
            return Self(Source::System(system::exact()));
        }
        Self(Source::Ticks(Ticks::of(clock)))
    }

    /// So many have passed by now. `clock` is that of the beginning.
    #[inline]
    pub(crate) fn exact(&self, clock: &Clock) -> u64 {
        match &self.0 {
            Source::Ticks(ticks) => ticks.passed(clock),
            #[cfg(all(feature = "fast-clock", target_os = "linux"))]
            Source::System(birth) => system::exact().saturating_sub(*birth),
        }
    }

    /// So many have passed by now, or a tick less; 0 in the first tick.
    #[inline]
    pub(crate) fn coarse(&self, clock: &Clock) -> u64 {
        match &self.0 {
            Source::Ticks(ticks) => ticks.passed(clock),
            #[cfg(all(feature = "fast-clock", target_os = "linux"))]
            Source::System(birth) => system::coarse().saturating_sub(*birth),
        }
    }
}

/// The clocks of Linux, in nanoseconds.
#[cfg(all(feature = "fast-clock", target_os = "linux"))]
mod system {
    use std::sync::OnceLock;

    use rustix::time::{
        ClockId, DynamicClockId, Timespec, clock_getres, clock_gettime, clock_gettime_dynamic,
    };

    use super::MOST_TICK_NANOS;

    /// Whether the coarse clock is there, and its ticks are short enough. Asked once: both are the kernel's.
    pub(super) fn is_coarse_enough() -> bool {
        static IS_ENOUGH: OnceLock<bool> = OnceLock::new();
        *IS_ENOUGH.get_or_init(|| {
            // The plain look panics where there is none.
            let is_there = clock_gettime_dynamic(DynamicClockId::Known(ClockId::MonotonicCoarse)).is_ok();
            is_there && nanos(clock_getres(ClockId::MonotonicCoarse)) <= MOST_TICK_NANOS
        })
    }

    #[inline]
    pub(super) fn exact() -> u64 {
        nanos(clock_gettime(ClockId::Monotonic))
    }

    #[inline]
    pub(super) fn coarse() -> u64 {
        nanos(clock_gettime(ClockId::MonotonicCoarse))
    }

    /// What the clocks show is positive, and small: the time since the machine was started.
    #[inline]
    fn nanos(time: Timespec) -> u64 {
        (time.tv_sec as u64).wrapping_mul(1_000_000_000).wrapping_add(time.tv_nsec as u64)
    }
}

#[cfg(all(test, not(underpin_loom)))]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn by_a_manual_clock_both_ways_are_exact() {
        let (clock, hand) = Clock::manual();
        hand.advance(Duration::from_secs(1));
        let watch = Stopwatch::of(&clock);
        assert_eq!((watch.exact(&clock), watch.coarse(&clock)), (0, 0));
        hand.advance(Duration::new(2, 7));
        assert_eq!((watch.exact(&clock), watch.coarse(&clock)), (2_000_000_007, 2_000_000_007));
    }

    #[test]
    fn by_the_system_the_coarse_way_is_never_ahead_and_follows() {
        let clock = Clock::system();
        let (before, watch) = (clock.now(), Stopwatch::of(&clock));
        let mut last = 0;
        loop {
            let (coarse, exact) = (watch.coarse(&clock), watch.exact(&clock));
            assert!(last <= coarse && coarse <= exact, "{last} {coarse} {exact}");
            last = coarse;
            if exact >= 50_000_000 {
                break;
            }
            std::thread::yield_now();
        }
        // Several ticks have passed, also where a machine that is shared held one of them up.
        assert!(last >= 10_000_000, "{last}");
        let (exact, most) = (watch.exact(&clock) as f64, before.elapsed().as_nanos() as f64);
        assert!(exact <= most * 1.01, "{exact} {most}");
    }
}
