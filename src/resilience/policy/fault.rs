//! What an error means to a policy.

use std::time::Duration;

use super::super::classify::Classify;
use super::super::retry::Decision;
use crate::error::ErrorKind;

/// What an error means to a policy: its kind, and how long whoever refused wants to be left alone.
///
/// An [`ErrorKind`] is one of which nothing else is known.
///
/// # Example
///
/// ```
/// use std::time::Duration;
/// use underpin::ErrorKind;
/// use underpin::resilience::{Fault, Policy};
///
/// let policy = Policy::builder("pages").build()?;
/// let judge = |status: &u16| match status {
///     429 => Fault { kind: ErrorKind::Transient, retry_after: Some(Duration::from_secs(1)) },
///     500.. => ErrorKind::Transient.into(),
///     _ => ErrorKind::User.into(),
/// };
/// let error = policy.run_with(judge, |_| Err::<(), u16>(404)).unwrap_err();
/// assert_eq!(error.kind(), ErrorKind::User);
/// # Ok::<(), underpin::resilience::PolicySettingsError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fault {
    /// What kind of fault it is.
    pub kind: ErrorKind,
    /// How long whoever refused wants to be left alone, if it said so.
    pub retry_after: Option<Duration>,
}

impl Fault {
    /// What the error itself says.
    ///
    /// # Example
    ///
    /// ```
    /// use underpin::ErrorKind;
    /// use underpin::resilience::Fault;
    ///
    /// let timed_out = std::io::Error::from(std::io::ErrorKind::TimedOut);
    /// assert_eq!(Fault::of(&timed_out), Fault::from(ErrorKind::Transient));
    /// ```
    pub fn of(error: &impl Classify) -> Self {
        Self { kind: error.kind(), retry_after: error.retry_after() }
    }

    pub(super) fn decision(self) -> Decision {
        Decision::of(&self)
    }
}

impl From<ErrorKind> for Fault {
    fn from(kind: ErrorKind) -> Self {
        Self { kind, retry_after: None }
    }
}

impl Classify for Fault {
    fn kind(&self) -> ErrorKind {
        self.kind
    }

    fn retry_after(&self) -> Option<Duration> {
        self.retry_after
    }
}
