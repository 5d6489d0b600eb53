//! Why a pool gave no resource.

use std::sync::Arc;
use std::time::Duration;

use crate::error::ErrorKind;
use crate::resilience::classify::Classify;

/// Why a pool gave no resource.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PoolError<E> {
    /// All are in use, and it was not to be waited for.
    #[error("all {most} resources of `{name}` are in use")]
    Exhausted {
        /// The pool.
        name: Arc<str>,
        /// How many there may be.
        most: usize,
    },
    /// All were in use until the deadline.
    #[error("all {most} resources of `{name}` were in use for {waited:?}")]
    TimedOut {
        /// The pool.
        name: Arc<str>,
        /// How many there may be.
        most: usize,
        /// How long it was waited.
        waited: Duration,
    },
    /// The pool is closed.
    #[error("the pool `{name}` is closed")]
    Closed {
        /// The pool.
        name: Arc<str>,
    },
    /// A new one was needed, and could not be made.
    #[error("no resource could be made for `{name}`: {source}")]
    Make {
        /// The pool.
        name: Arc<str>,
        /// Why.
        source: E,
    },
}

impl<E: Classify> PoolError<E> {
    /// What kind of fault it is. A pool that is closed stays so; one that is full may not.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Exhausted { .. } | Self::TimedOut { .. } => ErrorKind::Transient,
            Self::Closed { .. } => ErrorKind::Permanent,
            Self::Make { source, .. } => source.kind(),
        }
    }
}

impl<E: Classify> Classify for PoolError<E> {
    fn kind(&self) -> ErrorKind {
        self.kind()
    }

    fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Make { source, .. } => source.retry_after(),
            _ => None,
        }
    }
}
