//! The moment by which an answer must be there.

use std::time::{Duration, Instant};

use crate::sync::Clock;

/// How long a call waits if nothing else is said: 5 s, as `gen_server:call` does.
pub const DEFAULT_TIMEOUT: Duration = Duration::from_secs(5);

/// As good as never.
const CENTURY: Duration = Duration::from_secs(100 * 365 * 24 * 3600);

/// So long after `moment`. Further than the clock reaches it is a century, and the moment itself where that is too far as well.
pub(crate) fn later(moment: Instant, by: Duration) -> Instant {
    moment.checked_add(by).or_else(|| moment.checked_add(CENTURY)).unwrap_or(moment)
}

/// The moment by which something must have happened.
///
/// A service that makes calls while it handles a call inherits the deadline of its caller: no
/// nested call waits longer than the one at the bottom of the stack.
///
/// # Example
///
/// ```
/// use std::time::Duration;
/// use underpin::Deadline;
///
/// let soon = Deadline::after(Duration::from_millis(10));
/// let later = Deadline::after(Duration::from_secs(10));
/// assert_eq!(soon.min(later), soon);
/// assert_eq!(Deadline::unbounded().min(soon), soon);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deadline(Option<Instant>);

impl Deadline {
    /// `timeout` from now, by the system's clock.
    pub fn after(timeout: Duration) -> Self {
        Self::from(Clock::system().now(), timeout)
    }

    /// At `instant`.
    pub fn at(instant: Instant) -> Self {
        Self(Some(instant))
    }

    /// Never. A wait without a deadline can hang for ever: it is for those who say so.
    pub const fn unbounded() -> Self {
        Self(None)
    }

    /// `timeout` after `now`; never, if that is further than the clock reaches.
    pub(crate) fn from(now: Instant, timeout: Duration) -> Self {
        Self(now.checked_add(timeout))
    }

    /// The moment itself; `None` if it is [unbounded](Self::unbounded).
    pub fn instant(self) -> Option<Instant> {
        self.0
    }

    /// The earlier of the two.
    #[must_use]
    pub fn min(self, other: Self) -> Self {
        match (self.0, other.0) {
            (Some(a), Some(b)) => Self(Some(a.min(b))),
            (a, b) => Self(a.or(b)),
        }
    }

    /// Whether it has come.
    pub fn has_passed(self, now: Instant) -> bool {
        self.0.is_some_and(|at| now >= at)
    }
}

/// A limit on a wait: relative ones read the clock only when the thread really parks.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Limit {
    In(Duration),
    By(Deadline),
}

impl Limit {
    pub(crate) fn deadline(self, now: Instant) -> Deadline {
        match self {
            Self::In(timeout) => Deadline::from(now, timeout),
            Self::By(deadline) => deadline,
        }
    }
}

#[cfg(all(test, not(underpin_loom)))]
mod tests {
    use super::*;

    #[test]
    fn what_is_further_than_the_clock_reaches_is_as_good_as_never() {
        let now = Clock::system().now();
        let second = Duration::from_secs(1);
        assert_eq!(later(now, second), now + second);
        assert_eq!(later(now, Duration::MAX), now + CENTURY);
        let mut end = now;
        for bit in (0..64).rev() {
            end = end.checked_add(Duration::from_secs(1 << bit)).unwrap_or(end);
        }
        assert_eq!(end.checked_add(CENTURY), None, "the clock reaches no further");
        assert_eq!(later(end, Duration::MAX), end);
    }
}
