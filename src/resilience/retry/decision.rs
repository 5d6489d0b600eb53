//! What is to be done about an attempt that failed.

use std::time::Duration;

use crate::error::ErrorKind;
use crate::resilience::classify::{Classify, Remedy};

/// What is to be done about an attempt that failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// One more attempt, after the delay of the schedule.
    Retry,
    /// One more attempt, not sooner than in this time, which is what the peer asked for. The delay of the schedule
    /// holds if it is longer.
    RetryAfter(Duration),
    /// None.
    GiveUp,
}

impl Decision {
    /// What the error itself says: another attempt where the [`Remedy`] of its kind is one.
    ///
    /// # Example
    ///
    /// ```
    /// use underpin::ErrorKind;
    /// use underpin::resilience::Decision;
    ///
    /// assert_eq!(Decision::of(&ErrorKind::Transient), Decision::Retry);
    /// assert_eq!(Decision::of(&ErrorKind::User), Decision::GiveUp);
    /// ```
    pub fn of(error: &impl Classify) -> Self {
        match (Self::from(error.kind()), error.retry_after()) {
            (Self::Retry, Some(hint)) => Self::RetryAfter(hint),
            (decision, _) => decision,
        }
    }
}

impl From<ErrorKind> for Decision {
    fn from(kind: ErrorKind) -> Self {
        if Remedy::of(kind) == Remedy::Retry { Self::Retry } else { Self::GiveUp }
    }
}
