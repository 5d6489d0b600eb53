//! A map that ends with the first error.

use std::iter::FusedIterator;

use super::error::TaskError;
use super::map::Map;

/// The values of a [`Map`] whose closure can fail. It ends with the first error, of the closure or of a task: the rest is cancelled, as by an
/// early drop.
///
/// # Example
///
/// ```
/// use underpin::tasks::{TaskPool, TryError};
///
/// let tasks = TaskPool::builder("work").build()?;
/// let parse = |text: &str| text.parse::<u8>();
/// let numbers: Result<Vec<_>, _> = tasks.try_map(["1", "2"], parse).collect();
/// assert_eq!(numbers, Ok(vec![1, 2]));
/// let mut numbers = tasks.map(["1", "x", "3"], parse).concurrency(2).stop_on_error();
/// assert_eq!(numbers.next(), Some(Ok(1)));
/// assert!(matches!(numbers.next(), Some(Err(TryError::Failed(_)))));
/// assert_eq!(numbers.next(), None);
/// # Ok::<(), underpin::tasks::PoolSettingsError>(())
/// ```
#[derive(Debug)]
#[must_use = "it is lazy: nothing is done before it is iterated over"]
pub struct TryMap<'t, I: Iterator, U, E>(Map<'t, I, Result<U, E>>);

/// Why a [`TryMap`] ended early.
///
/// # Example
///
/// ```
/// use underpin::tasks::{TaskPool, TryError};
///
/// let tasks = TaskPool::builder("work").build()?;
/// let failed: Result<(), _> = tasks.try_map([0], |_| Err::<(), _>("no such thing")).collect();
/// assert_eq!(failed, Err(TryError::Failed("no such thing")));
/// # Ok::<(), underpin::tasks::PoolSettingsError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TryError<E> {
    /// The closure failed.
    #[error("{0}")]
    Failed(E),
    /// The task has no result.
    #[error("{0}")]
    Task(TaskError),
}

impl<'t, I: Iterator, U, E> Map<'t, I, Result<U, E>> {
    /// Ends with the first error, of the closure or of a task, and hands out values and errors as they are.
    ///
    /// # Example
    ///
    /// See [`TryMap`].
    pub fn stop_on_error(self) -> TryMap<'t, I, U, E> {
        TryMap(self.stop_on(|outcome| !matches!(outcome, Ok(Ok(_)))))
    }
}

impl<'t, I: Iterator, U: Send + 't, E: Send + 't> Iterator for TryMap<'t, I, U, E>
where
    I::Item: Send + 't,
{
    type Item = Result<U, TryError<E>>;

    /// # Blocking
    ///
    /// As [`Map`](Map#waiting).
    fn next(&mut self) -> Option<Self::Item> {
        Some(match self.0.next()? {
            Ok(result) => result.map_err(TryError::Failed),
            Err(error) => Err(TryError::Task(error)),
        })
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.0.size_hint()
    }
}

impl<'t, I: Iterator, U: Send + 't, E: Send + 't> FusedIterator for TryMap<'t, I, U, E> where
    I::Item: Send + 't
{
}
