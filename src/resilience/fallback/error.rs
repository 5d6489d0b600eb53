//! Why there was neither the value nor anything else.

use std::sync::Arc;
use std::time::Duration;

use crate::error::ErrorKind;
use crate::resilience::classify::Classify;

/// Why there was neither the value nor anything else.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FallbackError<E> {
    /// The call failed in a way that is not to be covered up.
    #[error("`{name}` failed: {source}")]
    Propagated {
        /// The fallback.
        name: Arc<str>,
        /// How the call failed.
        source: E,
    },
    /// It failed, and had never succeeded before.
    #[error("`{name}` failed, and there is no earlier value: {source}")]
    NoValue {
        /// The fallback.
        name: Arc<str>,
        /// How the call failed.
        source: E,
    },
    /// It failed, and what there is instead is too old.
    #[error("`{name}` failed, and the last value is {age:?} old, at most {max_age:?} will do: {source}")]
    TooOld {
        /// The fallback.
        name: Arc<str>,
        /// How old the value is.
        age: Duration,
        /// How old it may be.
        max_age: Duration,
        /// How the call failed.
        source: E,
    },
}

impl<E> FallbackError<E> {
    /// How the call failed.
    pub fn into_source(self) -> E {
        match self {
            Self::Propagated { source, .. } | Self::NoValue { source, .. } | Self::TooOld { source, .. } => {
                source
            }
        }
    }

    fn cause(&self) -> &E {
        match self {
            Self::Propagated { source, .. } | Self::NoValue { source, .. } | Self::TooOld { source, .. } => {
                source
            }
        }
    }
}

impl<E: Classify> FallbackError<E> {
    /// What kind of fault it is: that of the call.
    pub fn kind(&self) -> ErrorKind {
        self.cause().kind()
    }
}

impl<E: Classify> Classify for FallbackError<E> {
    fn kind(&self) -> ErrorKind {
        self.cause().kind()
    }

    fn retry_after(&self) -> Option<Duration> {
        self.cause().retry_after()
    }
}
