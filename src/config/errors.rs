//! Why a configuration was not loaded, or not changed: one enum for each operation.

use std::sync::Arc;
use std::time::Duration;

use super::fault::Faults;
use super::path::{Path, PathError};
use crate::error::{CallError, SharedError};

/// Why there is no configuration.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LoadError {
    /// The layers, or the settings that they come to, are wrong. All faults that were found.
    #[error("the configuration is not valid:\n{0}")]
    Invalid(Faults),
}

/// Why a configuration was not changed. Whatever it is, nothing was.
///
/// The one exception is said where it applies: after `TimedOut` and `Crashed` the update may have been
/// made, or still be made; [`compare_and_update`](super::Config::compare_and_update) makes it once.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum UpdateError {
    /// A path is not one.
    #[error(transparent)]
    Path(#[from] PathError),
    /// The value is over the limit.
    #[error("{path}: a value has at most {limit} bytes, not {found}")]
    TooLarge {
        /// The place.
        path: Path,
        /// How many bytes it is, written as JSON.
        found: usize,
        /// How many it may be.
        limit: usize,
    },
    /// The value cannot be written down as plain data.
    #[error("{path}: cannot be serialised: {message}")]
    NotSerialisable {
        /// The place.
        path: Path,
        /// Why.
        message: String,
    },
    /// There is no such setting, or it cannot be set apart from what it is in.
    #[error("{path}: there is no such setting")]
    Unknown {
        /// The place.
        path: Path,
    },
    /// It does not change while the program runs.
    #[error("{path}: is frozen: it does not change while the program runs")]
    Frozen {
        /// The place.
        path: Path,
    },
    /// There is a section at this place already, above it or below it, with another type.
    #[error("{path}: overlaps a section of another type")]
    Taken {
        /// The place.
        path: Path,
    },
    /// What it would lead to is wrong. All faults that were found.
    #[error("the update is not valid:\n{0}")]
    Invalid(Faults),
    /// Somebody else was first.
    #[error("version {expected} was expected, and version {present} is in force")]
    Conflict {
        /// The version that the update was for.
        expected: u64,
        /// The version in force.
        present: u64,
    },
    /// A version that is not kept any more, or that never was.
    #[error("version {version} is not kept; {oldest} to {newest} are")]
    NoSuchVersion {
        /// What was asked for.
        version: u64,
        /// The oldest that is kept.
        oldest: u64,
        /// The newest.
        newest: u64,
    },
    /// A service that was asked refused.
    #[error("`{by}` refused: {reason}")]
    Vetoed {
        /// The service.
        by: Arc<str>,
        /// What it said.
        reason: String,
    },
    /// A service that must agree did not answer.
    #[error("`{by}` must agree, and did not answer: {reason}")]
    Unanswered {
        /// The service.
        by: Arc<str>,
        /// What came of the question.
        reason: String,
    },
    /// The file that keeps updates could not be written.
    #[error("the update could not be kept: {source}")]
    NotKept {
        /// What went wrong.
        source: SharedError,
    },
    /// Its ticket had expired when its turn came: the config service was down, or busy, for longer.
    #[error("the update had expired when its turn came")]
    Expired,
    /// The config service did not answer in time. The update may still be made.
    #[error("the config service did not answer in time")]
    TimedOut,
    /// The config service crashed with the update in hand.
    #[error("the config service crashed before it answered")]
    Crashed,
    /// The config service is stopped.
    #[error("the config service is stopped")]
    Stopped,
    /// The config service has more to do than its mailbox holds, or the caller may not ask it now.
    #[error("the config service did not take the update: {reason}")]
    NotTaken {
        /// Why.
        reason: String,
    },
}

impl UpdateError {
    /// What it means that a call failed.
    pub(crate) fn of_call<M>(error: &CallError<M>) -> Self {
        match error {
            CallError::TimedOut { .. } => Self::TimedOut,
            CallError::Crashed { .. } => Self::Crashed,
            CallError::Stopped { .. } | CallError::NotSent(crate::error::CastError::Stopped { .. }) => {
                Self::Stopped
            }
            error => Self::NotTaken { reason: error.to_string() },
        }
    }
}

/// Why no notice was received.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RecvError {
    /// Nothing changed in time.
    #[error("nothing changed within {waited:?}")]
    TimedOut {
        /// How long was waited.
        waited: Duration,
    },
    /// The configuration is gone, and all was received.
    #[error("the configuration is gone")]
    Closed,
}
