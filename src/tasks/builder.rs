//! Describing a pool.

use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use super::crew::Crew;
use super::overflow::Overflow;
use super::pool::TaskPool;
use super::settings::{DEFAULT_KEEP_ALIVE, DEFAULT_QUEUE, PoolSettingsError, Settings};
use super::shared::Shared;
use super::sink::{Sink, Voice};
use crate::service::wait::Wait;
use crate::supervisor::spec::DEFAULT_GRACE;
use crate::sync::{self, Clock};

/// Describes a [`TaskPool`].
///
/// # Example
///
/// ```
/// use std::time::Duration;
/// use underpin::tasks::{Overflow, TaskPool};
///
/// let tasks = TaskPool::builder("images")
///     .elastic(2..=8)
///     .queue(256)
///     .overflow(Overflow::Block(Duration::from_millis(100)))
///     .per_key(1)
///     .build()?;
/// assert_eq!(tasks.snapshot().capacity, 256);
/// # Ok::<(), underpin::tasks::PoolSettingsError>(())
/// ```
#[must_use = "a builder does nothing before it is built"]
pub struct TaskPoolBuilder {
    name: Arc<str>,
    settings: Settings,
    clock: Clock,
    voice: Voice,
}

impl TaskPoolBuilder {
    pub(super) fn new(name: Arc<str>) -> Self {
        let cores = sync::cores();
        let settings = Settings {
            fewest: cores,
            most: cores,
            queue: DEFAULT_QUEUE,
            overflow: Overflow::default(),
            per_key: None,
            keep_alive: DEFAULT_KEEP_ALIVE,
            grace: DEFAULT_GRACE,
            stuck_after: None,
            stack_size: None,
            wait: Wait::default(),
        };
        Self { name, settings, clock: Clock::system(), voice: Voice::default() }
    }

    /// So many threads, always: as many as the machine has cores unless set.
    pub fn threads(mut self, threads: usize) -> Self {
        (self.settings.fewest, self.settings.most) = (threads, threads);
        self
    }

    /// As many threads as are needed within these bounds: one more when tasks wait and no thread is idle, one less when it was
    /// [idle for long](Self::keep_alive).
    pub fn elastic(mut self, threads: RangeInclusive<usize>) -> Self {
        (self.settings.fewest, self.settings.most) = threads.into_inner();
        self
    }

    /// How long a thread of an elastic pool is idle before it ends: 60 s unless set.
    pub fn keep_alive(mut self, idle: Duration) -> Self {
        self.settings.keep_alive = idle;
        self
    }

    /// How many tasks may wait, those that are to begin later among them: 1,024 unless set. One that was cancelled, or that its joiner
    /// runs, makes room at once. In the moment in which a thread comes to such a one, one more may wait than is said here.
    pub fn queue(mut self, tasks: usize) -> Self {
        self.settings.queue = tasks;
        self
    }

    /// What happens when as many wait: whoever spawns is blocked for 1 s unless set.
    pub fn overflow(mut self, overflow: Overflow) -> Self {
        self.settings.overflow = overflow;
        self
    }

    /// How many tasks of one [key](super::TaskBuilder::key) run at once: any number unless set.
    pub fn per_key(mut self, tasks: usize) -> Self {
        self.settings.per_key = Some(tasks);
        self
    }

    /// How long all threads together may take to stop: 5 s unless set. A thread that runs a task for longer is abandoned.
    pub fn shutdown(mut self, grace: Duration) -> Self {
        self.settings.grace = grace;
        self
    }

    /// Reports a thread that has run one task for so long, as of any
    /// [service](crate::ChildSpec::stuck_after): never unless set.
    pub fn stuck_after(mut self, busy: Duration) -> Self {
        self.settings.stuck_after = Some(busy);
        self
    }

    /// The stack of each thread: what the system gives unless set.
    pub fn stack_size(mut self, bytes: usize) -> Self {
        self.settings.stack_size = Some(bytes);
        self
    }

    /// How an idle thread waits: adaptively unless set.
    pub fn wait(mut self, wait: Wait) -> Self {
        self.settings.wait = wait;
        self
    }

    /// Where time comes from for those who spawn, join and sleep: the system unless set. It is to be the clock of the tree.
    pub fn clock(mut self, clock: Clock) -> Self {
        self.clock = clock;
        self
    }

    /// Who hears of panics, expired deadlines and shedding.
    pub fn sink(mut self, sink: Arc<dyn Sink>) -> Self {
        self.voice = Voice::new(sink);
        self
    }

    /// The pool. It takes tasks from now on; they begin once its [supervisor](TaskPool::supervisor) is started, or somebody joins
    /// them.
    ///
    /// # Errors
    ///
    /// When a number makes no sense.
    pub fn build(self) -> Result<TaskPool, PoolSettingsError> {
        self.settings.check(&self.name)?;
        let shared = Shared::new(self.name, self.clock, self.voice);
        Ok(TaskPool(Arc::new(Crew::new(shared, self.settings))))
    }
}
