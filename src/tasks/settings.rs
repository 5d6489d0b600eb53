//! What a pool is made of, and what is wrong with that.

use std::sync::Arc;
use std::time::Duration;

use super::overflow::Overflow;
use crate::service::wait::Wait;

/// How many threads a pool may have. More are a mistake: each has a stack.
pub const MAX_THREADS: usize = 4096;
/// How many tasks may wait at most.
pub const MAX_QUEUE: usize = 1 << 24;
/// How many tasks wait if nothing else is said: as many as messages in a mailbox.
pub const DEFAULT_QUEUE: usize = 1024;
/// How long a thread of an elastic pool is idle before it ends, if nothing else is said: 60 s, as in `java.util.concurrent`.
pub const DEFAULT_KEEP_ALIVE: Duration = Duration::from_secs(60);

/// What a pool is made of.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(super) fewest: usize,
    pub(super) most: usize,
    pub(super) queue: usize,
    pub(super) overflow: Overflow,
    pub(super) per_key: Option<usize>,
    pub(super) keep_alive: Duration,
    pub(super) grace: Duration,
    pub(super) stuck_after: Option<Duration>,
    pub(super) stack_size: Option<usize>,
    pub(super) wait: Wait,
}

/// Why a pool cannot be described.
///
/// # Example
///
/// ```
/// use underpin::tasks::TaskPool;
///
/// let error = TaskPool::builder("work").threads(0).build().unwrap_err();
/// assert_eq!(error.to_string(), "`work` has 0 threads, expected 1 to 4096");
/// ```
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PoolSettingsError {
    /// It is to have no thread, or more than there may be.
    #[error("`{name}` has {threads} threads, expected 1 to {MAX_THREADS}")]
    Threads {
        /// The pool.
        name: Arc<str>,
        /// How many it was to have.
        threads: usize,
    },
    /// It is to have fewer at most than at least.
    #[error("`{name}` has {fewest} threads at least and {most} at most, expected no fewer at most")]
    Range {
        /// The pool.
        name: Arc<str>,
        /// How many it was to have at least.
        fewest: usize,
        /// How many it was to have at most.
        most: usize,
    },
    /// Nothing may wait, or more than can.
    #[error("the queue of `{name}` has room for {queue}, expected 1 to {MAX_QUEUE}")]
    Queue {
        /// The pool.
        name: Arc<str>,
        /// How many were to wait.
        queue: usize,
    },
    /// Nothing that has a key may run.
    #[error("`{name}` runs 0 tasks of a key, expected at least 1")]
    PerKey {
        /// The pool.
        name: Arc<str>,
    },
}

impl Settings {
    pub(crate) fn check(&self, name: &Arc<str>) -> Result<(), PoolSettingsError> {
        let Self { fewest, most, queue, per_key, .. } = *self;
        let name = || Arc::clone(name);
        if let Some(threads) = [fewest, most].into_iter().find(|threads| !(1..=MAX_THREADS).contains(threads))
        {
            return Err(PoolSettingsError::Threads { name: name(), threads });
        }
        if fewest > most {
            return Err(PoolSettingsError::Range { name: name(), fewest, most });
        }
        if !(1..=MAX_QUEUE).contains(&queue) {
            return Err(PoolSettingsError::Queue { name: name(), queue });
        }
        if per_key == Some(0) {
            return Err(PoolSettingsError::PerKey { name: name() });
        }
        Ok(())
    }
}
