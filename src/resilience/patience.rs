//! How long somebody is willing to wait.

use std::time::{Duration, Instant};

use crate::service::deadline::Deadline;
use crate::service::scope::within_the_callers;

/// How long somebody is willing to wait: for so long, or until a deadline.
///
/// What can wait takes either, as `impl Into<Patience>`. Who waits for ever says so, by
/// [`Deadline::unbounded`]. A service that waits while it handles a call waits no longer than its caller does.
///
/// # Example
///
/// ```
/// use std::time::Duration;
/// use underpin::Deadline;
/// use underpin::resilience::{Bulkhead, Patience};
///
/// let bulkhead = Bulkhead::new("store", 1);
/// let permit = bulkhead.acquire(Duration::from_millis(10)).unwrap();
/// assert!(bulkhead.acquire(Deadline::after(Duration::from_millis(1))).is_err());
/// assert_eq!(Patience::from(Duration::ZERO), Patience::NONE);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Patience {
    /// For so long from now, by the clock of the thing that is waited for.
    In(Duration),
    /// Until this moment.
    By(Deadline),
}

impl Patience {
    /// Not at all.
    pub const NONE: Self = Self::In(Duration::ZERO);

    /// When it ends, for one who begins to wait `now`. Who waits in a handler waits no longer than its caller.
    pub(crate) fn deadline(self, now: Instant) -> Deadline {
        let own = match self {
            Self::In(time) => Deadline::from(now, time),
            Self::By(deadline) => deadline,
        };
        within_the_callers(own, || now)
    }
}

impl From<Duration> for Patience {
    fn from(time: Duration) -> Self {
        Self::In(time)
    }
}

impl From<Deadline> for Patience {
    fn from(deadline: Deadline) -> Self {
        Self::By(deadline)
    }
}

#[cfg(all(test, not(underpin_loom)))]
mod tests;
