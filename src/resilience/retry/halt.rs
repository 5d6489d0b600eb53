//! Why there is no other attempt.

use std::sync::Arc;
use std::time::Duration;

use super::builder::RetryBuilder;
use super::error::RetryError;

/// Why there is no other attempt.
pub(super) enum Halt {
    Decided,
    Attempts,
    Deadline(Duration),
    Hint(Duration),
    Budget,
    Stopped,
}

impl Halt {
    pub(super) fn text(&self) -> &'static str {
        match self {
            Self::Decided => "not to be retried",
            Self::Attempts => "no attempts left",
            Self::Deadline(_) => "no time left",
            Self::Hint(_) => "asked to wait too long",
            Self::Budget => "no budget left",
            Self::Stopped => "stopped",
        }
    }

    pub(super) fn error<E>(self, terms: &RetryBuilder, attempts: u32, source: E) -> RetryError<E> {
        let (name, max) = (Arc::clone(&terms.name), terms.max_retry_after);
        match self {
            Self::Decided => RetryError::NotRetryable { name, attempts, source },
            Self::Attempts => RetryError::AttemptsExceeded { name, attempts, source },
            Self::Deadline(wait) => RetryError::DeadlineExceeded { name, attempts, wait, source },
            Self::Hint(retry_after) => RetryError::HintExceeded { name, attempts, retry_after, max, source },
            Self::Budget => RetryError::BudgetExceeded { name, attempts, source },
            Self::Stopped => RetryError::Stopped { name, attempts, source },
        }
    }
}
