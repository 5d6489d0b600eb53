//! Describing a task.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::crew::Crew;
use super::cx::TaskContext;
use super::desk::Refusal;
use super::error::{SpawnError, TaskError};
use super::head::{Head, Key};
use super::job::{Attentive, Cell, Held, Plain, Work};
use super::overflow::Overflow;
use super::shared::tally;
use super::task::Task;
use crate::service::deadline::{Deadline, later};
use crate::service::scope::inherited;

/// Describes a task of a [pool](super::TaskPool).
///
/// # Example
///
/// ```
/// use std::time::Duration;
/// use underpin::Deadline;
/// use underpin::tasks::TaskPool;
///
/// let tasks = TaskPool::builder("mail").per_key(1).build()?;
/// let running = tasks.supervisor().start()?;
/// let sent = tasks
///     .task("send")
///     .key("example.org") // one at a time to each host
///     .after(Duration::from_millis(1))
///     .deadline(Deadline::after(Duration::from_secs(60)))
///     .spawn(|| "250 ok");
/// assert_eq!(sent.join()?, "250 ok");
/// # drop(running);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use = "a task does nothing before it is spawned"]
pub struct TaskBuilder<'a> {
    crew: &'a Arc<Crew>,
    name: Cow<'static, str>,
    key: Option<Key>,
    deadline: Option<Deadline>,
    after: Option<Duration>,
    overflow: Overflow,
}

impl<'a> TaskBuilder<'a> {
    #[inline]
    pub(super) fn new(crew: &'a Arc<Crew>, name: Cow<'static, str>) -> Self {
        let overflow = crew.settings.overflow;
        Self { crew, name, key: None, deadline: None, after: None, overflow }
    }

    /// What the task is about: of one key no more run at once than the pool's
    /// [`per_key`](super::TaskPoolBuilder::per_key) says, and they begin in their order. Without such a rule it says nothing.
    pub fn key(mut self, key: impl Into<Arc<str>>) -> Self {
        self.key = Some(key.into());
        self
    }

    /// By when it is to begin, or not at all; what it calls on a thread of the pool inherits it, and what it calls where its joiner runs it has
    /// the joiner's. Unless set it is that of the caller of the handler in
    /// which the task is spawned, and unbounded elsewhere.
    pub fn deadline(mut self, deadline: Deadline) -> Self {
        self.deadline = Some(deadline);
        self
    }

    /// How long to wait before it may begin: not at all unless set. It takes a place in the queue meanwhile. Nobody who joins it runs
    /// it himself.
    pub fn after(mut self, delay: Duration) -> Self {
        self.after = Some(delay);
        self
    }

    /// What happens when the queue is full: as the pool says unless set.
    pub fn overflow(mut self, overflow: Overflow) -> Self {
        self.overflow = overflow;
        self
    }

    /// As [`TaskPool::spawn`](super::TaskPool::spawn).
    ///
    /// # Blocking
    ///
    /// As there.
    #[inline]
    pub fn spawn<T: Send + 'static>(self, work: impl FnOnce() -> T + Send + 'static) -> Task<T> {
        self.start(Plain(work))
    }

    /// As [`TaskPool::spawn_with`](super::TaskPool::spawn_with).
    ///
    /// # Blocking
    ///
    /// As [`TaskPool::spawn`](super::TaskPool::spawn).
    pub fn spawn_with<T: Send + 'static>(
        self,
        work: impl FnOnce(&TaskContext<'_>) -> T + Send + 'static,
    ) -> Task<T> {
        self.start(Attentive(work))
    }

    /// As [`TaskPool::try_spawn`](super::TaskPool::try_spawn).
    ///
    /// # Errors
    ///
    /// As there.
    ///
    /// # Blocking
    ///
    /// As [`TaskPool::spawn`](super::TaskPool::spawn).
    pub fn try_spawn<T: Send + 'static, F: FnOnce() -> T + Send + 'static>(
        self,
        work: F,
    ) -> Result<Task<T>, SpawnError<F>> {
        let crew = self.crew;
        self.submit(Plain(work)).map_err(|(cell, refusal)| crew.handed_back(cell, refusal))
    }

    #[inline]
    fn start<T: Send + 'static, W: Work<T> + 'static>(self, work: W) -> Task<T> {
        let crew = self.crew;
        self.submit(work).unwrap_or_else(|(cell, refusal)| crew.refused(cell, refusal))
    }

    fn submit<T: Send + 'static, W: Work<T> + 'static>(self, work: W) -> Result<Task<T>, Refused<W, T>> {
        let due = self.due();
        let deadline = self.deadline.unwrap_or_else(|| self.crew.inherited());
        let cell = Arc::new(Cell::new(Head::new(self.name, self.key, deadline), work));
        match self.crew.submit(Arc::clone(&cell) as Held, due, self.overflow) {
            Ok(()) => Ok(Task::new(cell, Arc::clone(self.crew), due.is_none())),
            Err(refusal) => Err((cell, refusal)),
        }
    }

    /// When it may begin.
    fn due(&self) -> Option<Instant> {
        self.after.map(|delay| later(self.crew.shared.clock.now(), delay))
    }
}

/// A task that was not taken, and why.
type Refused<W, T> = (Arc<Cell<W, T>>, Refusal);

impl Crew {
    #[inline]
    fn inherited(&self) -> Deadline {
        inherited(|| self.shared.clock.now()).unwrap_or(Deadline::unbounded())
    }

    /// A task that was not taken: it has ended, and whoever joins it is told.
    #[cold]
    fn refused<T: Send + 'static, W: Work<T> + 'static>(
        self: &Arc<Self>,
        cell: Arc<Cell<W, T>>,
        refusal: Refusal,
    ) -> Task<T> {
        let error = self.refusal(&*cell, refusal);
        cell.refuse(&self.shared, error);
        Task::new(cell, Arc::clone(self), false)
    }

    #[cold]
    fn handed_back<T: Send + 'static, F: FnOnce() -> T + Send + 'static>(
        &self,
        cell: Arc<Cell<Plain<F>, T>>,
        refusal: Refusal,
    ) -> SpawnError<F> {
        self.refusal(&*cell, refusal);
        let pool = Arc::clone(&self.shared.name);
        let work = Arc::into_inner(cell).and_then(Cell::into_work);
        let Plain(work) = work.expect("a task that was refused is held by nobody else");
        match refusal {
            Refusal::Full => SpawnError::Full { pool, capacity: self.settings.queue, work },
            Refusal::Closed => SpawnError::Stopped { pool, work },
        }
    }

    /// Counts a refusal.
    pub(super) fn refusal(&self, job: &dyn super::job::Job, refusal: Refusal) -> TaskError {
        match refusal {
            Refusal::Full => self.shared.shed(job.head(), self.settings.queue),
            Refusal::Closed => {
                tally(&self.shared.counts.refused);
                self.shared.stopped(job.head())
            }
        }
    }
}
