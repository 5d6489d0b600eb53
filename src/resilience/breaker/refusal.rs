//! Why a call was not made.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::shared::Shared;
use crate::error::ErrorKind;
use crate::resilience::classify::Classify;

/// Says that a breaker lets no call through now.
///
/// A breaker that is open makes many of them, so it costs next to nothing to make one: what it says, it says when it is
/// asked, as things stand then.
///
/// # Example
///
/// ```
/// use std::time::Duration;
/// use underpin::resilience::CircuitBreaker;
///
/// let breaker = CircuitBreaker::builder("db").build()?;
/// breaker.open();
/// let refused = breaker.permit().map(drop).expect_err("it is open");
/// assert_eq!(refused.to_string(), "the circuit breaker `db` is open");
/// assert!(refused.retry_after().expect("there will be a probe") <= Duration::from_secs(60));
/// # Ok::<(), underpin::resilience::BreakerSettingsError>(())
/// ```
#[derive(Clone)]
pub struct Open(pub(crate) Arc<Shared>);

impl Open {
    /// The name of the breaker.
    pub fn name(&self) -> &str {
        self.0.name()
    }

    /// How long it takes from now until a call may be let through: zero if one may be now. `None` if nobody knows: it
    /// was forced open, or its probes are under way.
    pub fn retry_after(&self) -> Option<Duration> {
        self.0.retry_after()
    }

    /// `Transient`: it may work later.
    pub fn kind(&self) -> ErrorKind {
        ErrorKind::Transient
    }
}

impl fmt::Display for Open {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the circuit breaker `{}` is open", self.name())
    }
}

impl fmt::Debug for Open {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Open").field(&self.name()).finish()
    }
}

impl std::error::Error for Open {}

/// Refusals of the same breaker are equal.
impl PartialEq for Open {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for Open {}

/// Why a call through a breaker has no result.
///
/// # Example
///
/// ```
/// use underpin::resilience::{BreakerError, CircuitBreaker};
///
/// let breaker = CircuitBreaker::builder("db").consecutive_failures(1).build()?;
/// let failed: Result<(), _> = breaker.call(|| Err("no route"));
/// assert_eq!(failed, Err(BreakerError::Failed("no route")));
/// let refused: Result<(), BreakerError<&str>> = breaker.call(|| unreachable!("it is open"));
/// assert!(matches!(refused, Err(BreakerError::Open(_))));
/// # Ok::<(), underpin::resilience::BreakerSettingsError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BreakerError<E> {
    /// It was not made.
    #[error(transparent)]
    Open(Open),
    /// It was made, and failed with this, which is also its source: a [`Classifier`](crate::resilience::Classifier)
    /// finds it.
    #[error("{0}")]
    Failed(#[source] E),
}

impl Classify for Open {
    fn kind(&self) -> ErrorKind {
        self.kind()
    }

    fn retry_after(&self) -> Option<Duration> {
        self.retry_after()
    }
}

/// As the refusal, or as what the call failed with.
impl<E: Classify> Classify for BreakerError<E> {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::Open(open) => open.kind(),
            Self::Failed(error) => error.kind(),
        }
    }

    fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Open(open) => open.retry_after(),
            Self::Failed(error) => error.retry_after(),
        }
    }
}

impl<E> BreakerError<E> {
    /// What the call failed with, if it was made.
    pub fn into_failed(self) -> Option<E> {
        match self {
            Self::Open(_) => None,
            Self::Failed(error) => Some(error),
        }
    }
}
