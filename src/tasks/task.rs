//! A task, as whoever spawned it sees it.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::crew::Crew;
use super::error::TaskError;
use super::job::{Answer, Job};
use super::shared::name;
use crate::service::deadline::{DEFAULT_TIMEOUT, Deadline};
use crate::service::scope::within_the_callers;

/// A task, as whoever spawned it sees it: to be joined, cancelled, or left to itself.
///
/// Dropped, it is [detached](Self::detach): it runs, and its result vanishes.
///
/// # Example
///
/// ```
/// use std::time::Duration;
/// use underpin::tasks::{TaskError, TaskPool};
///
/// let tasks = TaskPool::builder("work").threads(2).build()?;
/// let running = tasks.supervisor().start()?;
/// let six = tasks.spawn("multiply", || 2 * 3);
/// let never = tasks.spawn_with("wait", |cx| cx.sleep(Duration::from_secs(3600)));
/// assert_eq!(six.join()?, 6);
/// let late = never.join_timeout(Duration::from_millis(1));
/// assert!(matches!(late, Err(TaskError::TimedOut { .. })));
/// # drop(running);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use = "a task that is dropped is detached: say so with `detach`"]
pub struct Task<T> {
    answer: Option<Arc<dyn Answer<T>>>,
    crew: Arc<Crew>,
    /// Whether who joins it may run it.
    is_ready: bool,
}

/// Cancels a task from anywhere. Clones are for the same task.
///
/// # Example
///
/// ```
/// use underpin::tasks::{TaskError, TaskPool};
///
/// let tasks = TaskPool::builder("work").build()?;
/// let task = tasks.spawn("work", || 1);
/// task.canceller().cancel();
/// assert!(matches!(task.join(), Err(TaskError::Cancelled { .. })));
/// # Ok::<(), underpin::tasks::PoolSettingsError>(())
/// ```
#[derive(Clone)]
pub struct Canceller {
    job: Arc<dyn Job>,
    crew: Arc<Crew>,
}

impl<T: Send + 'static> Task<T> {
    #[inline]
    pub(super) fn new(answer: Arc<dyn Answer<T>>, crew: Arc<Crew>, is_ready: bool) -> Self {
        Self { answer: Some(answer), crew, is_ready }
    }

    /// Its result. If it has not begun it runs here, on the calling thread, and takes as long as it takes; what runs elsewhere is waited
    /// for, 5 s at most.
    ///
    /// # Errors
    ///
    /// [`Panicked`](TaskError::Panicked), or why it never began; [`TimedOut`](TaskError::TimedOut) if it was not done in time: it goes on
    /// then, and its result vanishes.
    ///
    /// # Blocking
    ///
    /// On the task. In a handler no longer than the handler's caller waits, unless it runs here.
    pub fn join(self) -> Result<T, TaskError> {
        match self.run_here() {
            Some(result) => self.joined(result),
            None => self.join_timeout(DEFAULT_TIMEOUT),
        }
    }

    /// Its result, if it is there within this time. It does not run here, so that this ends in time.
    ///
    /// # Errors
    ///
    /// As [`join`](Self::join).
    ///
    /// # Blocking
    ///
    /// On the task, at most for so long; in a handler no longer than the handler's caller waits.
    pub fn join_timeout(self, timeout: Duration) -> Result<T, TaskError> {
        if self.head().is_done() {
            return self.result(Duration::ZERO); // no clock is read
        }
        let deadline = Deadline::from(self.crew.shared.clock.now(), timeout);
        self.join_by(deadline)
    }

    /// The same, by a moment: one that is [unbounded](Deadline::unbounded) waits for as long as it takes.
    ///
    /// # Errors
    ///
    /// As [`join`](Self::join).
    ///
    /// # Blocking
    ///
    /// On the task, until then; in a handler no longer than the handler's caller waits.
    pub fn join_by(self, deadline: Deadline) -> Result<T, TaskError> {
        let begun = self.crew.shared.clock.now();
        self.wait_until(deadline);
        let waited = if self.head().is_done() { Duration::ZERO } else { self.since(begun) };
        self.result(waited)
    }

    /// Its result, if it is there; else the task again.
    ///
    /// # Errors
    ///
    /// The task, if it is not done. What came of it is inside.
    ///
    /// # Blocking
    ///
    /// Never.
    ///
    /// # Example
    ///
    /// ```
    /// use underpin::tasks::TaskPool;
    ///
    /// let tasks = TaskPool::builder("work").build()?;
    /// let task = tasks.spawn("work", || 1);
    /// let task = task.try_join().expect_err("nobody runs it: the pool is not started");
    /// assert_eq!(task.join(), Ok(1));
    /// # Ok::<(), underpin::tasks::PoolSettingsError>(())
    /// ```
    pub fn try_join(self) -> Result<Result<T, TaskError>, Self> {
        if self.is_done() { Ok(self.result(Duration::ZERO)) } else { Err(self) }
    }

    /// Waits until it is done, at most so long. Whether it is.
    ///
    /// # Blocking
    ///
    /// On the task, at most for so long; in a handler no longer than the handler's caller waits.
    pub fn wait(&self, timeout: Duration) -> bool {
        self.wait_until(Deadline::from(self.crew.shared.clock.now(), timeout))
    }

    /// Whether it is done: [`join`](Self::join) would not wait.
    pub fn is_done(&self) -> bool {
        self.head().is_done()
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.head().name
    }

    /// Ends it, if it has not begun: then its joiner is told [`Cancelled`](TaskError::Cancelled). One that runs is told so, by its
    /// [context](super::TaskContext::is_cancelled); its result is what it returns.
    ///
    /// # Blocking
    ///
    /// Never, save for the drop of what was to be done.
    pub fn cancel(&self) {
        self.crew.cancel(self.job());
    }

    /// What cancels it, for others.
    pub fn canceller(&self) -> Canceller {
        Canceller { job: Arc::clone(self.held()) as Arc<dyn Job>, crew: Arc::clone(&self.crew) }
    }

    /// Leaves it to itself: it runs, and its result vanishes.
    pub fn detach(self) {}

    /// Runs it on the calling thread, if nobody has it.
    #[inline]
    fn run_here(&self) -> Option<Result<T, TaskError>> {
        if self.is_ready { self.crew.run_for_joiner(&**self.held()) } else { None }
    }

    /// Nothing is left to drop.
    #[inline]
    fn joined(mut self, result: Result<T, TaskError>) -> Result<T, TaskError> {
        self.answer = None;
        result
    }

    fn wait_until(&self, deadline: Deadline) -> bool {
        let clock = &self.crew.shared.clock;
        self.head().wait(clock, within_the_callers(deadline, || clock.now()))
    }

    fn since(&self, begun: std::time::Instant) -> Duration {
        self.crew.shared.clock.now().saturating_duration_since(begun)
    }

    /// What came of it, or that it is not done.
    fn result(self, waited: Duration) -> Result<T, TaskError> {
        let late = || Err(TaskError::TimedOut { name: name(self.head()), waited });
        if !self.head().is_done() {
            return late();
        }
        let outcome = self.held().take();
        let result = outcome.unwrap_or_else(late);
        self.joined(result)
    }

    #[inline]
    pub(super) fn held(&self) -> &Arc<dyn Answer<T>> {
        self.answer.as_ref().expect("it is there until the task is gone")
    }

    #[inline]
    fn job(&self) -> &dyn Job {
        &**self.held()
    }

    #[inline]
    fn head(&self) -> &super::head::Head {
        self.held().head()
    }
}

impl<T> Drop for Task<T> {
    fn drop(&mut self) {
        let Some(answer) = self.answer.take() else { return };
        if answer.head().leave_alone() {
            let outcome = answer.take();
            self.crew.shared.unheard(outcome.as_ref());
            drop(outcome); // a panic in the drop of a result is its owner's
        }
    }
}

impl<T> fmt::Debug for Task<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let head = self.answer.as_ref().map(|answer| answer.head());
        f.debug_struct("Task")
            .field("name", &head.map(|head| &head.name))
            .field("is_done", &head.map(|head| head.is_done()))
            .finish_non_exhaustive()
    }
}

impl Canceller {
    /// As [`Task::cancel`].
    ///
    /// # Blocking
    ///
    /// As there.
    pub fn cancel(&self) {
        self.crew.cancel(&*self.job);
    }
}

impl fmt::Debug for Canceller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Canceller").field(&self.job.head().name).finish()
    }
}
