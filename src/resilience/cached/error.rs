//! Why there is no value.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::error::ErrorKind;
use crate::resilience::classify::Classify;

/// Why there is no value.
#[derive(thiserror::Error)]
#[non_exhaustive]
pub enum CachedError<E> {
    /// Whoever computed it failed. All who waited for it get the same error.
    #[error("`{name}` could not be computed: {source}")]
    Failed {
        /// The value.
        name: Arc<str>,
        /// Why.
        source: Arc<E>,
    },
    /// Whoever computed it panicked.
    #[error("`{name}` could not be computed: who did so panicked")]
    Panicked {
        /// The value.
        name: Arc<str>,
    },
    /// The deadline came while another computed it. That goes on.
    #[error("`{name}` was not computed by the deadline")]
    TimedOut {
        /// The value.
        name: Arc<str>,
    },
    /// The thread asks for the value while it computes that very value: it would wait for itself.
    #[error("`{name}` is needed to compute itself")]
    Circular {
        /// The value.
        name: Arc<str>,
    },
}

/// Says what its text says, so that the error inside need not be `Debug`.
impl<E> fmt::Debug for CachedError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (what, name) = match self {
            Self::Failed { name, .. } => ("Failed", name),
            Self::Panicked { name } => ("Panicked", name),
            Self::TimedOut { name } => ("TimedOut", name),
            Self::Circular { name } => ("Circular", name),
        };
        write!(f, "CachedError::{what}({name})")
    }
}

impl<E: Classify> CachedError<E> {
    /// What kind of fault it is.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Failed { source, .. } => source.kind(),
            Self::TimedOut { .. } => ErrorKind::Transient,
            Self::Panicked { .. } | Self::Circular { .. } => ErrorKind::Permanent,
        }
    }
}

impl<E: Classify> Classify for CachedError<E> {
    fn kind(&self) -> ErrorKind {
        self.kind()
    }

    fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Failed { source, .. } => source.retry_after(),
            _ => None,
        }
    }
}
