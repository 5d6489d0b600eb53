//! A pool of threads that run tasks.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use super::builder::TaskPoolBuilder;
use super::crew::Crew;
use super::cx::TaskContext;
use super::error::SpawnError;
use super::keeper::Keeper;
use super::request::TaskBuilder;
use super::snapshot::PoolSnapshot;
use super::task::Task;
use super::tenure::Badge;
use super::worker::Worker;
use crate::service::mailbox::Overflow as Full;
use crate::supervisor::dynamic::DynamicSupervisor;
use crate::supervisor::reference::SupervisorRef;
use crate::supervisor::spec::{ChildSpec, child};
use crate::supervisor::strategy::{Restart, Strategy};
use crate::supervisor::supervisor::Supervisor;

/// How often a worker may crash in 5 s before its pool begins anew. Tasks cannot crash one.
const MAX_RESTARTS: u32 = 10;
/// One call is under way to a worker at most; more say nothing new.
const CALLS: usize = 2;
/// Both orders, twice.
const ORDERS: usize = 4;

/// A pool of threads that run tasks: supervised, with a bounded queue. Clones are the same pool.
///
/// A task is a closure that runs once, on one of the threads, and ends with a value or a panic, which its
/// [`Task`](super::Task) tells whoever joins it. Nothing is restarted, and nothing stays behind. Tasks begin in the order in
/// which they come, save those that wait for others of their [key](TaskBuilder::key), or for their
/// [moment](TaskBuilder::after); and a joiner may run a task that has not begun.
///
/// The pool takes tasks before its [supervisor](Self::supervisor) is started, and over its restarts; once that is gone for good, what
/// waits ends as [`Stopped`](super::TaskError::Stopped), and so does what comes.
///
/// In the tree it is a supervisor of its name, with a `keeper` that starts threads and what is due, and the threads below
/// `workers`. Pools share nothing, and never wait for each other.
///
/// # Example
///
/// ```
/// use underpin::Supervisor;
/// use underpin::tasks::TaskPool;
///
/// let tasks = TaskPool::builder("sums").threads(2).build()?;
/// let app = Supervisor::new("app").supervisor(tasks.supervisor()).start()?;
/// let sums: Vec<_> = (1..=4).map(|n: u64| tasks.spawn("sum", move || (1..=n * 1000).sum::<u64>())).collect();
/// let sums: Result<Vec<_>, _> = sums.into_iter().map(|sum| sum.join()).collect();
/// assert_eq!(sums?, [500_500, 2_001_000, 4_501_500, 8_002_000]);
/// # drop(app);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct TaskPool(pub(super) Arc<Crew>);

impl TaskPool {
    /// A pool of that name: a thread for each core, 1,024 tasks that wait, 1 s for whoever finds it full.
    pub fn builder(name: impl Into<Arc<str>>) -> TaskPoolBuilder {
        TaskPoolBuilder::new(name.into())
    }

    /// Has the closure run on one of the threads. What it was given up for, the task's joiner is told.
    ///
    /// In a handler the task inherits the deadline of the handler's caller: if it has not begun by then, it does not. A task for
    /// which nobody waits is to have [another](TaskBuilder::deadline).
    ///
    /// # Blocking
    ///
    /// If the queue is full: as the [overflow rule](TaskPoolBuilder::overflow) says.
    #[inline]
    pub fn spawn<T: Send + 'static>(
        &self,
        name: impl Into<Cow<'static, str>>,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Task<T> {
        self.task(name).spawn(work)
    }

    /// The same, of a closure that can look whether it is to end, and sleep until then.
    ///
    /// # Blocking
    ///
    /// As [`spawn`](Self::spawn).
    ///
    /// # Example
    ///
    /// See [`TaskContext`].
    pub fn spawn_with<T: Send + 'static>(
        &self,
        name: impl Into<Cow<'static, str>>,
        work: impl FnOnce(&TaskContext<'_>) -> T + Send + 'static,
    ) -> Task<T> {
        self.task(name).spawn_with(work)
    }

    /// The same, where a closure that is not taken is handed back.
    ///
    /// # Errors
    ///
    /// If the queue is full, and the overflow rule has no other way; if the pool is stopped.
    ///
    /// # Blocking
    ///
    /// As [`spawn`](Self::spawn).
    pub fn try_spawn<T: Send + 'static, F: FnOnce() -> T + Send + 'static>(
        &self,
        name: impl Into<Cow<'static, str>>,
        work: F,
    ) -> Result<Task<T>, SpawnError<F>> {
        self.task(name).try_spawn(work)
    }

    /// Describes a task with more said about it: its key, its deadline, when it is to begin.
    pub fn task(&self, name: impl Into<Cow<'static, str>>) -> TaskBuilder<'_> {
        TaskBuilder::new(&self.0, name.into())
    }

    /// Describes the pool's part of a tree: its threads and its keeper. To be started before those who spawn, and so stopped after
    /// them. One may run at a time: where another does, which has not been stopped for good, its start fails, and the other goes on.
    ///
    /// When it is stopped no task begins any more, and those that run are [cancelled](TaskContext::is_cancelled). If it is started again
    /// before it is gone for good, as by a supervisor above it, what waits goes on.
    pub fn supervisor(&self) -> Supervisor {
        let (crew, number) = (&self.0, self.0.tenure.describe());
        let workers = DynamicSupervisor::new("workers")
            .shutdown(crew.settings.grace)
            .intensity(MAX_RESTARTS, std::time::Duration::from_secs(5));
        let reference = workers.reference();
        let workers = (0..crew.settings.fewest)
            .fold(Supervisor::from(workers), |workers, seat| workers.child(worker(crew, seat, number)));
        Supervisor::new(Arc::clone(&crew.shared.name))
            .strategy(Strategy::RestForOne)
            .supervisor(workers)
            .child(keeper(crew, reference, number))
    }

    /// How it stands now.
    ///
    /// # Blocking
    ///
    /// Never for long.
    pub fn snapshot(&self) -> PoolSnapshot {
        PoolSnapshot::of(&self.0)
    }

    /// Who hears of its events, if nobody has said it.
    #[cfg(all(feature = "foundation", feature = "events"))]
    pub(crate) fn set_default_sink(&self, sink: Arc<dyn super::sink::Sink>) {
        self.0.shared.voice.set_default(sink);
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.0.shared.name
    }
}

impl fmt::Debug for TaskPool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TaskPool(`{}`)", self.name())
    }
}

/// One thread of a pool.
pub(super) fn worker(crew: &Arc<Crew>, number: usize, supervisor: u64) -> ChildSpec<Worker> {
    let (made, badge) = (Arc::clone(crew), Badge::new(crew, supervisor));
    let make = move || Worker::new(Arc::clone(&made), number, Arc::clone(&badge));
    let mut spec = child(format!("worker-{number}"), make)
        .restart(Restart::Transient) // one that retires has done so for good
        .capacity(CALLS)
        .overflow(Full::Reject)
        .wait(crew.settings.wait);
    if let Some(busy) = crew.settings.stuck_after {
        spec = spec.stuck_after(busy);
    }
    match crew.settings.stack_size {
        Some(bytes) => spec.stack_size(bytes),
        None => spec,
    }
}

fn keeper(crew: &Arc<Crew>, workers: SupervisorRef, supervisor: u64) -> ChildSpec<Keeper> {
    let (crew, badge) = (Arc::clone(crew), Badge::new(crew, supervisor));
    let make = move || Keeper::new(Arc::clone(&crew), workers.clone(), Arc::clone(&badge));
    child("keeper", make).capacity(ORDERS).overflow(Full::Reject)
}
