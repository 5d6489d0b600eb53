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
    /// said. Nobody interrupts it. Calls that it makes on a thread of the pool inherit it, unless it is its joiner that runs it.
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
        let mut halting = self.shared.sleepers.join();
        self.head.sit_down();
        while !self.is_cancelled() && !until.has_passed(clock.now()) {
            if halting.is_called() {
                halting = self.shared.sleepers.join(); // for nothing: the pool goes on
            } else {
                clock.park(until.instant());
            }
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

#[cfg(all(test, not(underpin_loom)))]
mod tests {
    use std::sync::Arc;
    use std::sync::mpsc::channel;

    use super::*;
    use crate::sync::Clock;
    use crate::tasks::sink::Voice;

    #[test]
    fn who_was_woken_for_nothing_is_woken_when_the_pool_stops() {
        let shared = Arc::new(Shared::new("pool".into(), Clock::system(), Voice::default()));
        let (tell, told) = channel();
        let of_sleeper = Arc::clone(&shared);
        std::thread::spawn(move || {
            let head = Head::new("sleep".into(), None, Deadline::unbounded());
            let woken = TaskContext::new(&head, &of_sleeper).sleep(Duration::from_secs(3600));
            tell.send(woken).expect("it is waited for");
        });
        for _ in 0..10_000 {
            shared.sleepers.call_one();
            std::thread::yield_now();
        }
        assert!(told.try_recv().is_err());
        shared.set_halting(true);
        assert_eq!(told.recv_timeout(Duration::from_secs(5)), Ok(Err(Cancelled)));
    }
}
