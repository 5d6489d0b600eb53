//! What a task can ask about itself.

use std::fmt;
use std::time::Duration;

use super::error::Cancelled;
use super::head::Head;
use super::shared::Shared;
use crate::service::deadline::Deadline;

/// What a running task can ask about itself: whether it is to end, and by when.
///
/// # Example
///
/// ```
/// use std::time::Duration;
/// use underpin::tasks::TaskPool;
///
/// let tasks = TaskPool::builder("work").build()?;
/// let running = tasks.supervisor().start()?;
/// let watching = tasks.spawn_with("watch", |cx| {
///     let mut looks = 0;
///     while cx.sleep(Duration::from_secs(3600)).is_ok() {
///         looks += 1;
///     }
///     looks
/// });
/// # while tasks.snapshot().running == 0 { std::thread::yield_now(); }
/// watching.cancel(); // wakes it
/// assert_eq!(watching.join()?, 0);
/// # drop(running);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct TaskContext<'a> {
    head: &'a Head,
    shared: &'a Shared,
}

impl<'a> TaskContext<'a> {
    pub(crate) fn new(head: &'a Head, shared: &'a Shared) -> Self {
        Self { head, shared }
    }

    /// The name of the task.
    pub fn name(&self) -> &str {
        &self.head.name
    }

    /// Whether it is to end: it was [cancelled](super::Task::cancel), or its pool stops. A long task looks now and then.
    pub fn is_cancelled(&self) -> bool {
        self.head.is_cancelled() || self.shared.is_halting()
    }

    /// The same, for use with `?`.
    ///
    /// # Errors
    ///
    /// [`Cancelled`] if it is to end.
    pub fn check(&self) -> Result<(), Cancelled> {
        if self.is_cancelled() { Err(Cancelled) } else { Ok(()) }
    }

    /// By when it should have ended: the deadline of whoever spawned it, if it was spawned in a handler and nothing else was
    /// said. Nobody interrupts it. Calls that it makes on a thread of the pool inherit it.
    pub fn deadline(&self) -> Deadline {
        self.head.deadline
    }

    /// Sleeps, by the clock of the pool, but not beyond the end: a cancellation wakes it.
    ///
    /// # Errors
    ///
    /// [`Cancelled`] if the task is to end.
    ///
    /// # Blocking
    ///
    /// For so long, and until the deadline at most, which is no error.
    pub fn sleep(&self, duration: Duration) -> Result<(), Cancelled> {
        let clock = &self.shared.clock;
        let until = Deadline::from(clock.now(), duration).min(self.head.deadline);
        let halting = self.shared.sleepers.join();
        self.head.sit_down();
        while !self.is_cancelled() && !until.has_passed(clock.now()) {
            clock.park(until.instant());
        }
        self.head.stand_up();
        self.shared.sleepers.leave(&halting);
        self.check()
    }
}

impl fmt::Debug for TaskContext<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TaskContext")
            .field("name", &self.name())
            .field("is_cancelled", &self.is_cancelled())
            .finish_non_exhaustive()
    }
}
