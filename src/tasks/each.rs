//! What a pool does with each item of an iterator.

use std::fmt;
use std::sync::Arc;

use super::cx::TaskContext;
use super::error::TaskError;
use super::ground::Pool;
use super::map::Map;
use super::pool::TaskPool;
use super::try_map::{TryError, TryMap};

/// How the items of a map ended, as [`TaskPool::for_each`] and [`Map::summary`] count them.
///
/// # Example
///
/// ```
/// use underpin::tasks::TaskPool;
///
/// let tasks = TaskPool::builder("work").build()?;
/// let summary = tasks.for_each(["1", "2", "x"], |text| drop(text.parse::<u8>().expect("a number")));
/// assert_eq!((summary.completed, summary.failed), (2, 1));
/// assert!(summary.first_error.is_some());
/// # Ok::<(), underpin::tasks::PoolSettingsError>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct MapSummary {
    /// Items that were done.
    pub completed: u64,
    /// Items that were not.
    pub failed: u64,
    /// Why the first of those was not.
    pub first_error: Option<TaskError>,
}

impl MapSummary {
    fn count<U>(mut self, outcome: Result<U, TaskError>) -> Self {
        match outcome {
            Ok(_) => self.completed += 1,
            Err(error) => {
                self.failed += 1;
                self.first_error.get_or_insert(error);
            }
        }
        self
    }
}

impl fmt::Display for MapSummary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} completed, {} failed", self.completed, self.failed)?;
        self.first_error.iter().try_for_each(|error| write!(f, ": {error}"))
    }
}

impl<'t, I: Iterator, U: Send + 't> Map<'t, I, U>
where
    I::Item: Send + 't,
{
    /// Has all items done, and counts how they ended. The values are dropped.
    ///
    /// # Blocking
    ///
    /// As [`next`](Map#waiting), for each.
    pub fn summary(self) -> MapSummary {
        self.fold(MapSummary::default(), MapSummary::count)
    }
}

impl TaskPool {
    /// Has the closure run for each item of the iterator, on the threads of the pool, so many at once.
    ///
    /// # Blocking
    ///
    /// The map [waits](Map#waiting); this does not.
    ///
    /// # Example
    ///
    /// ```
    /// use underpin::tasks::TaskPool;
    ///
    /// let tasks = TaskPool::builder("work").build()?;
    /// let lengths = tasks.map(["one", "three"], |word| word.len()).concurrency(8);
    /// assert_eq!(lengths.collect::<Vec<_>>(), [Ok(3), Ok(5)]);
    /// # Ok::<(), underpin::tasks::PoolSettingsError>(())
    /// ```
    pub fn map<I: IntoIterator, U: Send + 'static>(
        &self,
        items: I,
        work: impl Fn(I::Item) -> U + Send + Sync + 'static,
    ) -> Map<'static, I::IntoIter, U>
    where
        I::Item: Send + 'static,
    {
        self.map_with(items, move |item, _| work(item))
    }

    /// The same, of a closure that can look whether it is to end, and sleep until then.
    ///
    /// # Blocking
    ///
    /// As [`map`](Self::map).
    ///
    /// # Example
    ///
    /// ```
    /// use std::time::Duration;
    /// use underpin::tasks::TaskPool;
    ///
    /// let tasks = TaskPool::builder("work").threads(2).build()?;
    /// let running = tasks.supervisor().start()?;
    /// let naps = [1, 3_600_000].map(Duration::from_millis);
    /// let mut woken = tasks.map_with(naps, |nap, cx| cx.sleep(nap)).as_completed();
    /// assert_eq!(woken.next(), Some(Ok(Ok(()))));
    /// drop(woken); // and the other wakes
    /// # drop(running);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn map_with<I: IntoIterator, U: Send + 'static>(
        &self,
        items: I,
        work: impl Fn(I::Item, &TaskContext<'_>) -> U + Send + Sync + 'static,
    ) -> Map<'static, I::IntoIter, U>
    where
        I::Item: Send + 'static,
    {
        Map::new(Box::new(Pool(Arc::clone(&self.0))), items.into_iter(), Arc::new(work))
    }

    /// The same, of a closure that can fail: the first error ends it.
    ///
    /// # Blocking
    ///
    /// As [`map`](Self::map).
    ///
    /// # Example
    ///
    /// See [`TryMap`].
    pub fn try_map<I: IntoIterator, U: Send + 'static, E: Send + 'static>(
        &self,
        items: I,
        work: impl Fn(I::Item) -> Result<U, E> + Send + Sync + 'static,
    ) -> TryMap<'static, I::IntoIter, U, E>
    where
        I::Item: Send + 'static,
    {
        self.map(items, work).stop_on_error()
    }

    /// Has the closure run for each item, in whatever order, and counts how they ended. One that panics ends none of the others.
    ///
    /// # Blocking
    ///
    /// Until all have ended; 5 s at most for each of those that are waited for, as by [`Map`].
    ///
    /// # Example
    ///
    /// See [`MapSummary`].
    pub fn for_each<I: IntoIterator>(
        &self,
        items: I,
        work: impl Fn(I::Item) + Send + Sync + 'static,
    ) -> MapSummary
    where
        I::Item: Send + 'static,
    {
        self.map(items, work).as_completed().summary()
    }

    /// The same, of a closure that can fail: how many were done, unless one failed; the first error cancels the rest.
    ///
    /// # Errors
    ///
    /// The first, of the closure or of a task.
    ///
    /// # Blocking
    ///
    /// As [`for_each`](Self::for_each).
    ///
    /// # Example
    ///
    /// ```
    /// use underpin::tasks::{TaskPool, TryError};
    ///
    /// let tasks = TaskPool::builder("work").build()?;
    /// let odd = |n: u32| if n % 2 == 1 { Ok(()) } else { Err(n) };
    /// assert_eq!(tasks.try_for_each([1, 3, 5], odd), Ok(3));
    /// assert_eq!(tasks.try_for_each([1, 2, 5], odd), Err(TryError::Failed(2)));
    /// # Ok::<(), underpin::tasks::PoolSettingsError>(())
    /// ```
    pub fn try_for_each<I: IntoIterator, E: Send + 'static>(
        &self,
        items: I,
        work: impl Fn(I::Item) -> Result<(), E> + Send + Sync + 'static,
    ) -> Result<u64, TryError<E>>
    where
        I::Item: Send + 'static,
    {
        let mut done = self.map(items, work).as_completed().stop_on_error();
        done.try_fold(0, |count, outcome| outcome.map(|()| count + 1))
    }
}
