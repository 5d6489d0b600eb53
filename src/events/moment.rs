//! When something happened.

use std::cell::Cell;
use std::time::{Duration, Instant, SystemTime};

use crate::sync::{self, Clock, since_first, wall_now};

/// When something happened, by two clocks: by the wall's, which people read and which may be set, and
/// by one that only goes forward.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Moment {
    /// Nanoseconds since 1970, in UTC.
    pub(crate) wall: u64,
    /// Nanoseconds since the process looked at the time first.
    pub(crate) monotonic: u64,
}

/// How long a thread goes by what the wall's clock said before it looks there again. In between
/// it goes by the other, so that a moment costs one look at a clock.
const GOOD_FOR: Duration = Duration::from_millis(100);

#[derive(Clone, Copy)]
struct Anchor {
    instant: Instant,
    wall: u64,
    monotonic: u64,
}

sync::thread_local! {
    static ANCHOR: Cell<Option<Anchor>> = const { Cell::new(None) };
}

impl Moment {
    /// The present.
    pub(crate) fn now() -> Self {
        let now = Clock::SYSTEM.now();
        let anchor =
            ANCHOR.with(Cell::get).filter(|anchor| now.saturating_duration_since(anchor.instant) < GOOD_FOR);
        let anchor = anchor.unwrap_or_else(|| drop_anchor(now));
        let passed = nanos(now.saturating_duration_since(anchor.instant));
        // The wall's clock may stand at the end of what can be counted.
        Self { wall: anchor.wall.saturating_add(passed), monotonic: anchor.monotonic.saturating_add(passed) }
    }
}

impl Moment {
    /// Nanoseconds from this to a later one; by the wall's clock where the other says nothing.
    pub(crate) fn passed_until(self, later: Self, by_wall: bool) -> u64 {
        match by_wall {
            true => later.wall.saturating_sub(self.wall),
            false => later.monotonic.saturating_sub(self.monotonic),
        }
    }
}

#[cold]
fn drop_anchor(now: Instant) -> Anchor {
    let anchor = Anchor { instant: now, wall: since_1970(wall_now()), monotonic: since_first(now) };
    ANCHOR.with(|cell| cell.set(Some(anchor)));
    anchor
}

/// Nanoseconds since 1970: 0 before, and as many as there are after the year 2554.
pub(crate) fn since_1970(time: SystemTime) -> u64 {
    time.duration_since(SystemTime::UNIX_EPOCH).map_or(0, nanos)
}

/// Nanoseconds since 1970, where they can be counted: up to the year 2554.
pub(crate) fn countable(time: SystemTime) -> Option<u64> {
    let since_1970 = time.duration_since(SystemTime::UNIX_EPOCH).ok()?;
    u64::try_from(since_1970.as_nanos()).ok()
}

/// The reverse.
pub(crate) fn to_system_time(since_1970: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_nanos(since_1970)
}

pub(crate) fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(all(test, not(underpin_loom)))]
mod tests {
    use super::*;

    const YEAR: Duration = Duration::from_secs(365 * 24 * 60 * 60);

    fn moment(wall: u64, monotonic: u64) -> Moment {
        Moment { wall, monotonic }
    }

    #[test]
    fn what_cannot_be_counted_is_the_first_or_the_last_that_can() {
        let epoch = SystemTime::UNIX_EPOCH;
        assert_eq!(since_1970(epoch), 0);
        assert_eq!(since_1970(epoch - Duration::from_nanos(1)), 0);
        assert_eq!(since_1970(epoch + Duration::from_nanos(u64::MAX)), u64::MAX);
        assert_eq!(since_1970(epoch + Duration::from_nanos(u64::MAX) + Duration::from_nanos(1)), u64::MAX);
        assert_eq!(since_1970(epoch + 1000 * YEAR), u64::MAX);
    }

    #[test]
    fn a_time_comes_back_to_the_nanosecond() {
        for nanos in [0, 1, 1_767_225_600_123_456_789, u64::MAX] {
            assert_eq!(since_1970(to_system_time(nanos)), nanos);
        }
    }

    #[test]
    fn time_passes_by_the_clock_that_is_asked_for_and_never_backwards() {
        let (early, late) = (moment(100, 10), moment(50, 30));
        assert_eq!((early.passed_until(late, false), early.passed_until(late, true)), (20, 0));
        assert_eq!((late.passed_until(early, false), late.passed_until(early, true)), (0, 50));
        assert_eq!(moment(0, 0).passed_until(moment(u64::MAX, u64::MAX), true), u64::MAX);
    }

    #[test]
    fn the_present_goes_forward_and_is_near_what_the_clock_says() {
        let before = since_1970(wall_now());
        let moments: Vec<_> = (0..1000).map(|_| Moment::now()).collect();
        assert!(moments.is_sorted_by_key(|moment| moment.monotonic));
        let off = moments[0].wall.abs_diff(before);
        assert!(off < nanos(Duration::from_secs(60)), "{off} ns"); // a clock that is being set is off by less
    }

    #[test]
    fn at_the_end_of_the_countable_the_present_stands_still() {
        let instant = Clock::SYSTEM.now();
        ANCHOR.with(|cell| cell.set(Some(Anchor { instant, wall: u64::MAX, monotonic: u64::MAX })));
        let moment = Moment::now();
        ANCHOR.with(|cell| cell.set(None));
        // A machine that stood still for as long as an anchor is good has looked at the clock instead.
        assert!(moment.wall == u64::MAX || Clock::SYSTEM.now().duration_since(instant) >= GOOD_FOR);
    }
}
