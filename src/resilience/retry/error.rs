//! Why something was not tried once more.

use std::sync::Arc;
use std::time::Duration;

use crate::error::ErrorKind;
use crate::resilience::classify::Classify;

/// Why something that failed was not tried once more, and how it failed last.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RetryError<E> {
    /// It is of no use to try again, says who classifies.
    #[error("`{name}` failed for good in attempt {attempts}: {source}")]
    NotRetryable {
        /// The retry.
        name: Arc<str>,
        /// How many attempts were made.
        attempts: u32,
        /// What the last one returned.
        source: E,
    },
    /// There were as many attempts as there may be.
    #[error("`{name}` failed in all of {attempts} attempts: {source}")]
    AttemptsExceeded {
        /// The retry.
        name: Arc<str>,
        /// How many attempts were made.
        attempts: u32,
        /// What the last one returned.
        source: E,
    },
    /// The next attempt would have begun after the deadline. That is not waited for, unless it turns out only then.
    #[error(
        "`{name}` failed in attempt {attempts}, and the next would be in {wait:?}, after the deadline: {source}"
    )]
    DeadlineExceeded {
        /// The retry.
        name: Arc<str>,
        /// How many attempts were made.
        attempts: u32,
        /// How long the wait would have been.
        wait: Duration,
        /// What the last one returned.
        source: E,
    },
    /// Whoever refused wants to be left alone for longer than the retry waits.
    #[error(
        "`{name}` failed in attempt {attempts}, to be retried in {retry_after:?}, at most {max:?} are waited: {source}"
    )]
    HintExceeded {
        /// The retry.
        name: Arc<str>,
        /// How many attempts were made.
        attempts: u32,
        /// How long it wants to be left alone.
        retry_after: Duration,
        /// How long that may be.
        max: Duration,
        /// What the last one returned.
        source: E,
    },
    /// The budget that many calls share has no token for one more attempt.
    #[error("`{name}` failed in attempt {attempts}, and the budget for retries is spent: {source}")]
    BudgetExceeded {
        /// The retry.
        name: Arc<str>,
        /// How many attempts were made.
        attempts: u32,
        /// What the last one returned.
        source: E,
    },
    /// The stop signal was given.
    #[error("`{name}` failed in attempt {attempts}, and no more are made, for it is stopped: {source}")]
    Stopped {
        /// The retry.
        name: Arc<str>,
        /// How many attempts were made.
        attempts: u32,
        /// What the last one returned.
        source: E,
    },
}

impl<E> RetryError<E> {
    /// How many attempts were made, at least 1.
    pub fn attempts(&self) -> u32 {
        match self {
            Self::NotRetryable { attempts, .. }
            | Self::AttemptsExceeded { attempts, .. }
            | Self::DeadlineExceeded { attempts, .. }
            | Self::HintExceeded { attempts, .. }
            | Self::BudgetExceeded { attempts, .. }
            | Self::Stopped { attempts, .. } => *attempts,
        }
    }

    /// What the last attempt returned.
    pub fn last(&self) -> &E {
        match self {
            Self::NotRetryable { source, .. }
            | Self::AttemptsExceeded { source, .. }
            | Self::DeadlineExceeded { source, .. }
            | Self::HintExceeded { source, .. }
            | Self::BudgetExceeded { source, .. }
            | Self::Stopped { source, .. } => source,
        }
    }

    /// The same, for keeps.
    pub fn into_last(self) -> E {
        match self {
            Self::NotRetryable { source, .. }
            | Self::AttemptsExceeded { source, .. }
            | Self::DeadlineExceeded { source, .. }
            | Self::HintExceeded { source, .. }
            | Self::BudgetExceeded { source, .. }
            | Self::Stopped { source, .. } => source,
        }
    }
}

impl<E: Classify> RetryError<E> {
    /// What kind of fault it is: that of the last attempt.
    pub fn kind(&self) -> ErrorKind {
        self.last().kind()
    }
}

impl<E: Classify> Classify for RetryError<E> {
    fn kind(&self) -> ErrorKind {
        self.last().kind()
    }

    fn retry_after(&self) -> Option<Duration> {
        self.last().retry_after()
    }
}
