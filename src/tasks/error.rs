//! Why a task has no result.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::error::ErrorKind;

/// Why a task has no result.
///
/// # Example
///
/// ```
/// use underpin::ErrorKind;
/// use underpin::tasks::{TaskError, TaskPool};
///
/// let tasks = TaskPool::builder("work").build()?;
/// let failed = tasks.spawn("parse", || "seven".parse::<u8>().expect("a number")).join();
/// let error = failed.unwrap_err();
/// assert!(matches!(&error, TaskError::Panicked { name, .. } if &**name == "parse"));
/// assert_eq!(error.kind(), ErrorKind::Permanent);
/// # Ok::<(), underpin::tasks::PoolSettingsError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TaskError {
    /// It panicked.
    #[error("the task `{name}` panicked: {message}")]
    Panicked {
        /// The task.
        name: Arc<str>,
        /// What the panic said.
        message: Arc<str>,
    },
    /// It was cancelled before it began.
    #[error("the task `{name}` was cancelled")]
    Cancelled {
        /// The task.
        name: Arc<str>,
    },
    /// It was not done when its joiner's patience was at its end. It goes on, and its result vanishes.
    #[error("the task `{name}` was not done after {waited:?}")]
    TimedOut {
        /// The task.
        name: Arc<str>,
        /// How long its joiner waited.
        waited: Duration,
    },
    /// Its own deadline came before it began, so it did not.
    #[error("the task `{name}` had not begun by its deadline")]
    Expired {
        /// The task.
        name: Arc<str>,
    },
    /// The queue of the pool was full.
    #[error("the task `{name}` was shed: the queue of `{pool}` is full, {capacity} wait")]
    Shed {
        /// The task.
        name: Arc<str>,
        /// The pool.
        pool: Arc<str>,
        /// How many tasks may wait.
        capacity: usize,
    },
    /// The pool stopped before it began, or had stopped before.
    #[error("the task `{name}` did not begin: `{pool}` is stopped")]
    Stopped {
        /// The task.
        name: Arc<str>,
        /// The pool.
        pool: Arc<str>,
    },
}

impl TaskError {
    /// The task.
    pub fn name(&self) -> &str {
        match self {
            Self::Panicked { name, .. }
            | Self::Cancelled { name }
            | Self::TimedOut { name, .. }
            | Self::Expired { name }
            | Self::Shed { name, .. }
            | Self::Stopped { name, .. } => name,
        }
    }

    /// `Transient` where it may work another time; `Permanent` after a panic and of a pool that is stopped.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::TimedOut { .. } | Self::Expired { .. } | Self::Shed { .. } => ErrorKind::Transient,
            Self::Cancelled { .. } => ErrorKind::User,
            Self::Panicked { .. } | Self::Stopped { .. } => ErrorKind::Permanent,
        }
    }
}

/// Why a task was not taken. What was to be done is handed back.
///
/// # Example
///
/// ```
/// use underpin::tasks::{Overflow, SpawnError, TaskPool};
///
/// let tasks = TaskPool::builder("work").queue(1).overflow(Overflow::Shed).build()?;
/// let first = tasks.try_spawn("first", || 1);
/// let Err(SpawnError::Full { work, .. }) = tasks.try_spawn("second", || 2) else {
///     panic!("nobody has begun the first, and one may wait");
/// };
/// assert_eq!(work(), 2);
/// # drop(first);
/// # Ok::<(), underpin::tasks::PoolSettingsError>(())
/// ```
#[derive(thiserror::Error)]
#[non_exhaustive]
pub enum SpawnError<F> {
    /// As many tasks wait as may.
    #[error("the queue of `{pool}` is full, {capacity} wait")]
    Full {
        /// The pool.
        pool: Arc<str>,
        /// How many tasks may wait.
        capacity: usize,
        /// What was to be done.
        work: F,
    },
    /// The pool is stopped.
    #[error("`{pool}` is stopped")]
    Stopped {
        /// The pool.
        pool: Arc<str>,
        /// What was to be done.
        work: F,
    },
}

impl<F> SpawnError<F> {
    /// What was to be done.
    pub fn into_work(self) -> F {
        match self {
            Self::Full { work, .. } | Self::Stopped { work, .. } => work,
        }
    }

    /// `Transient` of a full queue, `Permanent` of a pool that is stopped.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Full { .. } => ErrorKind::Transient,
            Self::Stopped { .. } => ErrorKind::Permanent,
        }
    }
}

impl<F> fmt::Debug for SpawnError<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SpawnError({self})")
    }
}

/// Its task was cancelled, or its pool stops: whatever it does is to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[error("the task is cancelled")]
pub struct Cancelled;
