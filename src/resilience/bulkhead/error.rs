//! Why there was no permit.

use std::sync::Arc;
use std::time::Duration;

use crate::error::ErrorKind;
use crate::resilience::classify::Classify;

/// Why a permit of a [`Bulkhead`](super::Bulkhead) was not given.
///
/// # Example
///
/// ```
/// use underpin::ErrorKind;
/// use underpin::resilience::Bulkhead;
///
/// let bulkhead = Bulkhead::new("store", 2);
/// let error = bulkhead.try_acquire_many(3).unwrap_err();
/// assert_eq!(error.to_string(), "`store` has room for 2 at most, 3 were asked for");
/// assert_eq!(error.kind(), ErrorKind::User);
/// ```
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BulkheadError {
    /// There was none in time.
    #[error("`{name}` was full for {waited:?}")]
    Full {
        /// Whose permit it would be.
        name: Arc<str>,
        /// How long was waited for it.
        waited: Duration,
    },
    /// There never is one of that weight.
    #[error("`{name}` has room for {most} at most, {weight} were asked for")]
    TooHeavy {
        /// Whose permit it would be.
        name: Arc<str>,
        /// What it would weigh.
        weight: u32,
        /// What all permits together weigh at most.
        most: u32,
    },
}

impl BulkheadError {
    /// [`Transient`](ErrorKind::Transient) if it may work later, [`User`](ErrorKind::User) otherwise.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Full { .. } => ErrorKind::Transient,
            Self::TooHeavy { .. } => ErrorKind::User,
        }
    }
}

impl Classify for BulkheadError {
    fn kind(&self) -> ErrorKind {
        self.kind()
    }
}
