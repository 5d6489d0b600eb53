//! A limit has been reached.

use std::sync::Arc;
use std::time::Duration;

use super::classify::Classify;
use crate::error::ErrorKind;

/// A rate limit has been reached: not now, but later.
///
/// # Example
///
/// ```
/// use std::time::Duration;
/// use underpin::ErrorKind;
/// use underpin::resilience::RateLimiter;
///
/// let limiter = RateLimiter::new("mail", 1, Duration::from_secs(3600));
/// limiter.try_acquire().unwrap();
/// let limited = limiter.try_acquire().unwrap_err();
/// assert!(limited.retry_after > Duration::from_secs(3000));
/// assert_eq!(limited.kind(), ErrorKind::Transient);
/// assert!(limited.to_string().starts_with("the rate limit of `mail` is reached for another 3"));
/// ```
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the rate limit of `{name}` is reached for another {retry_after:?}")]
pub struct Limited {
    /// Whose limit it is.
    pub name: Arc<str>,
    /// After this time it would have succeeded, if nobody else came. 584 years, that is [`u64::MAX`] nanoseconds, are
    /// the longest that can be said.
    pub retry_after: Duration,
}

impl Limited {
    pub(crate) fn new(name: &Arc<str>, retry_nanos: u64) -> Self {
        Self { name: Arc::clone(name), retry_after: Duration::from_nanos(retry_nanos) }
    }

    /// [`Transient`](ErrorKind::Transient): it may work later.
    pub fn kind(&self) -> ErrorKind {
        ErrorKind::Transient
    }
}

impl Classify for Limited {
    fn kind(&self) -> ErrorKind {
        self.kind()
    }

    fn retry_after(&self) -> Option<Duration> {
        Some(self.retry_after)
    }
}

/// Why permits of a rate limiter were not given.
///
/// # Example
///
/// ```
/// use std::time::Duration;
/// use underpin::ErrorKind;
/// use underpin::resilience::RateLimiter;
///
/// let limiter = RateLimiter::new("mail", 10, Duration::from_secs(1));
/// let error = limiter.try_acquire_many(11).unwrap_err();
/// assert_eq!(error.to_string(), "`mail` gives at most 10 permits at once, 11 were asked for");
/// assert_eq!((error.kind(), error.retry_after()), (ErrorKind::User, None));
/// ```
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AcquireError {
    /// The limit has been reached, for longer than the caller would wait.
    #[error(transparent)]
    Limited(#[from] Limited),
    /// So many are never given at once.
    #[error("`{name}` gives at most {most} permits at once, {permits} were asked for")]
    TooMany {
        /// Whose limit it is.
        name: Arc<str>,
        /// How many were asked for.
        permits: u32,
        /// How many are given at most.
        most: u32,
    },
    /// No more keys are counted: only of a [`KeyedRateLimiter`](super::KeyedRateLimiter).
    #[error("`{name}` counts {most} keys already, and none is forgotten for another {retry_after:?}")]
    TooManyKeys {
        /// Whose limit it is.
        name: Arc<str>,
        /// How many are counted at most.
        most: usize,
        /// After this time it is looked again whether one can be forgotten.
        retry_after: Duration,
    },
}

impl AcquireError {
    /// [`User`](ErrorKind::User) if it can never succeed, [`Transient`](ErrorKind::Transient) otherwise.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Limited(_) | Self::TooManyKeys { .. } => ErrorKind::Transient,
            Self::TooMany { .. } => ErrorKind::User,
        }
    }

    /// When to try again; `None`: never.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Limited(limited) => Some(limited.retry_after),
            Self::TooManyKeys { retry_after, .. } => Some(*retry_after),
            Self::TooMany { .. } => None,
        }
    }
}

impl Classify for AcquireError {
    fn kind(&self) -> ErrorKind {
        self.kind()
    }

    fn retry_after(&self) -> Option<Duration> {
        self.retry_after()
    }
}
