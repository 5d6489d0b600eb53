//! A task that borrows, as whoever spawned it sees it.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::error::TaskError;
use super::hall::Hall;
use super::head::Head;
use super::job::{Answer, Job};
use super::shared::name;
use crate::service::deadline::{DEFAULT_TIMEOUT, Deadline};
use crate::service::scope::within_the_callers;

/// A task of a [scope](super::scope()), as whoever spawned it sees it: to be joined, cancelled, or left to itself.
///
/// Dropped, it is [detached](Self::detach): it runs, its result vanishes, and the scope waits for it all the same.
///
/// # Example
///
/// ```
/// use underpin::tasks::{self, TaskError};
///
/// let text = String::from("7");
/// tasks::scope(1, |s| {
///     let seven = s.spawn("parse", || text.parse::<u8>());
///     assert_eq!(seven.join(), Ok(Ok(7)));
///     let panicked = s.spawn("fail", || assert!(text.is_empty(), "it is {text}"));
///     assert!(matches!(panicked.join(), Err(TaskError::Panicked { message, .. }) if &*message == "it is 7"));
/// });
/// ```
#[must_use = "a task that is dropped is detached: say so with `detach`"]
pub struct ScopedTask<'scope, T> {
    answer: Arc<dyn Answer<T> + 'scope>,
    hall: Arc<Hall<'scope>>,
}

impl<'scope, T> ScopedTask<'scope, T> {
    pub(super) fn new(answer: Arc<dyn Answer<T> + 'scope>, hall: Arc<Hall<'scope>>) -> Self {
        Self { answer, hall }
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
        self.hall.run_here(self.job(), true);
        self.join_timeout(DEFAULT_TIMEOUT)
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
        let deadline = Deadline::from(self.hall.shared.clock.now(), timeout);
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
        let clock = &self.hall.shared.clock;
        let begun = clock.now();
        self.head().wait(clock, within_the_callers(deadline, || clock.now()));
        self.result(|| clock.now().saturating_duration_since(begun))
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
    pub fn try_join(self) -> Result<Result<T, TaskError>, Self> {
        if self.is_done() { Ok(self.result(|| Duration::ZERO)) } else { Err(self) }
    }

    /// Waits until it is done, at most so long. Whether it is.
    ///
    /// # Blocking
    ///
    /// On the task, at most for so long; in a handler no longer than the handler's caller waits.
    pub fn wait(&self, timeout: Duration) -> bool {
        let clock = &self.hall.shared.clock;
        self.head().wait(clock, within_the_callers(Deadline::from(clock.now(), timeout), || clock.now()))
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
        self.hall.cancel(self.job());
    }

    /// Leaves it to itself: it runs, and its result vanishes. A panic is logged.
    pub fn detach(self) {}

    fn result(&self, waited: impl FnOnce() -> Duration) -> Result<T, TaskError> {
        let outcome = if self.is_done() { self.answer.take() } else { None };
        outcome.unwrap_or_else(|| Err(TaskError::TimedOut { name: name(self.head()), waited: waited() }))
    }

    fn job(&self) -> &dyn Job {
        &*self.answer
    }

    fn head(&self) -> &Head {
        self.answer.head()
    }
}

impl<T> Drop for ScopedTask<'_, T> {
    fn drop(&mut self) {
        if self.head().leave_alone() {
            let outcome = self.answer.take(); // none, if it was joined
            self.hall.shared.unheard(outcome.as_ref());
            drop(outcome); // a panic in the drop of a result is its owner's
        }
    }
}

impl<T> fmt::Debug for ScopedTask<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ScopedTask")
            .field("name", &self.name())
            .field("is_done", &self.is_done())
            .finish_non_exhaustive()
    }
}
