//! What a run went through before it ended.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::super::context::ErrorContext;
use super::super::fallback::FallbackError;
use super::fault::Fault;

/// What a run went through before it ended without a value of its own.
///
/// # Example
///
/// ```
/// use underpin::ErrorKind;
/// use underpin::resilience::{ErrorContext, Policy};
///
/// let policy = Policy::builder("store").build()?;
/// let error = ErrorContext::within("checkout", || {
///     policy.run(|_| Err::<(), _>(ErrorKind::System)).unwrap_err()
/// });
/// let trail = error.trail();
/// assert_eq!((&*trail.name, trail.attempts), ("store", 1));
/// assert_eq!(trail.context.to_string(), "checkout");
/// # Ok::<(), underpin::resilience::PolicySettingsError>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct PolicyTrail {
    /// The policy.
    pub name: Arc<str>,
    /// How many attempts were made. 0 if it did not come to that.
    pub attempts: u32,
    /// How long it waited for permits, and between attempts.
    pub waited: Duration,
    /// How long it took in all, without what it had waited before it came. `None` of a policy that has no shedding, no
    /// rate limit, no time budget and no retry: such a policy asks nobody for the time, which would take longer than
    /// all the rest.
    pub elapsed: Option<Duration>,
    /// What the last attempt's error means, if there was an attempt.
    pub fault: Option<Fault>,
    /// What the thread was doing.
    pub context: ErrorContext,
    /// Why there was nothing instead, if a fallback was asked.
    pub fallback: Option<NoFallback>,
}

/// As `2 attempts, waited 100ms, took 350ms (in checkout)`.
impl fmt::Display for PolicyTrail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plural = if self.attempts == 1 { "" } else { "s" };
        write!(f, "{} attempt{plural}", self.attempts)?;
        if !self.waited.is_zero() {
            write!(f, ", waited {:?}", self.waited)?;
        }
        if let Some(elapsed) = self.elapsed {
            write!(f, ", took {elapsed:?}")?;
        }
        if !self.context.is_empty() {
            write!(f, " (in {})", self.context)?;
        }
        Ok(())
    }
}

/// Why a run that failed was not tried once more.
///
/// # Example
///
/// ```
/// use underpin::ErrorKind;
/// use underpin::resilience::{NoRetry, Policy, PolicyError};
///
/// let policy = Policy::builder("store").build()?;
/// let error = policy.run(|_| Err::<(), _>(ErrorKind::Transient)).unwrap_err();
/// assert!(matches!(error, PolicyError::Failed { no_retry: NoRetry::NotConfigured, .. }));
/// # Ok::<(), underpin::resilience::PolicySettingsError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum NoRetry {
    /// The policy has no retry.
    NotConfigured,
    /// It is of no use, by the kind of the error.
    NotRetryable,
    /// There were as many attempts as there may be.
    NoAttemptsLeft,
    /// Whoever refused wants to be left alone for longer than is waited.
    HintTooLong {
        /// How long it wants to be left alone.
        retry_after: Duration,
        /// How long that may be.
        max: Duration,
    },
    /// The budget that many runs share has no token.
    BudgetSpent,
}

/// As `no attempts left`.
impl fmt::Display for NoRetry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotConfigured => f.write_str("not to be retried here"),
            Self::NotRetryable => f.write_str("not to be retried"),
            Self::NoAttemptsLeft => f.write_str("no attempts left"),
            Self::HintTooLong { retry_after, max } => {
                write!(f, "to be retried in {retry_after:?}, at most {max:?} are waited")
            }
            Self::BudgetSpent => f.write_str("the budget for retries is spent"),
        }
    }
}

/// Why a fallback that was asked had nothing.
///
/// # Example
///
/// ```
/// use underpin::ErrorKind;
/// use underpin::resilience::{NoFallback, Policy};
///
/// let policy = Policy::builder("store").build()?;
/// let error = policy.run_or(|_| Err(ErrorKind::System), |_| None::<u8>).unwrap_err();
/// assert_eq!(error.trail().fallback, Some(NoFallback::Declined));
/// # Ok::<(), underpin::resilience::PolicySettingsError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum NoFallback {
    /// The closure had no value for this error.
    Declined,
    /// The error is of a kind that is not to be covered up.
    NotCovered,
    /// There is no earlier value.
    NoValue,
    /// There is one, and it is too old.
    TooOld {
        /// How old the value is.
        age: Duration,
        /// How old it may be.
        max_age: Duration,
    },
}

impl<E> From<FallbackError<E>> for NoFallback {
    fn from(error: FallbackError<E>) -> Self {
        match error {
            FallbackError::Propagated { .. } => Self::NotCovered,
            FallbackError::NoValue { .. } => Self::NoValue,
            FallbackError::TooOld { age, max_age, .. } => Self::TooOld { age, max_age },
        }
    }
}

/// As `there is no earlier value`.
impl fmt::Display for NoFallback {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Declined => f.write_str("the fallback has no value for it"),
            Self::NotCovered => f.write_str("it is not to be covered up"),
            Self::NoValue => f.write_str("there is no earlier value"),
            Self::TooOld { age, max_age } => {
                write!(f, "the last value is {age:?} old, at most {max_age:?} will do")
            }
        }
    }
}
