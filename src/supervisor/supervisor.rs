//! Supervisors as the rest of the program sees them: the plan, the owner's handle, references.

use std::collections::HashSet;
use std::fmt;
use std::ops::Deref;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use super::backoff::Backoff;
use super::child::{Child, ChildKind, SupervisorChild};
use super::errors::{DeleteChildError, RestartChildError, StartChildError, StartError, TerminateChildError};
use super::policy::{ChildRules, Dynamic, Rules};
use super::report::{Hook, ShutdownReport, SupervisionEvent};
use super::spec::{ChildSpec, DEFAULT_GRACE};
use super::strategy::{AutoShutdown, Restart, Strategy};
use super::tree::Tree;
use crate::error::CallError;
use crate::registry::Registry;
use crate::service::core::{Core, DeadReason};
use crate::service::deadline::Deadline;
use crate::service::exit::{Exit, Lifecycle, Status};
use crate::service::handle::Handle;
use crate::service::mailbox::Overflow;
use crate::service::reply::Reply;
use crate::service::service::Service;
use crate::service::worker::Ending;
use crate::sync::Clock;

/// How many restarts are allowed if nothing is said, as in OTP: 1 in 5 s.
const DEFAULT_INTENSITY: (u32, Duration) = (1, Duration::from_secs(5));
/// How long the drop of a [`SupervisorHandle`] lets a tree stop if nothing is said.
const DEFAULT_SHUTDOWN: Duration = Duration::from_secs(30);
/// How many requests a supervisor's inbox holds.
const INBOX: usize = 256;

/// What a supervisor is told. The first four by children and parents, in the urgent lane.
pub(crate) enum Request {
    Ready(u64, u64),
    Over(u64, u64, Ending),
    Stop(Option<std::time::Instant>),
    Reaped,
    Start(Arc<dyn Child>, Reply<Result<(), StartChildError>>),
    Terminate(Arc<str>, Reply<Result<(), TerminateChildError>>),
    Restart(Arc<str>, Reply<Result<(), RestartChildError>>),
    Delete(Arc<str>, Reply<Result<(), DeleteChildError>>),
    Which(Reply<Vec<ChildInfo>>),
    Count(Reply<ChildCounts>),
}

/// A supervisor as it was described. Outlives its incarnations.
pub(crate) struct Plan {
    pub(crate) core: Identity,
    pub(crate) rules: Rules,
    pub(crate) as_child: ChildRules,
    pub(crate) children: Vec<Arc<dyn Child>>,
    pub(crate) root: OnceLock<()>,
    rooted: Rooted,
}

/// What belongs to a supervisor and outlives its incarnations. It goes with the description.
pub(crate) struct Identity(Arc<Core<Request>>);

impl Deref for Identity {
    type Target = Arc<Core<Request>>;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl Drop for Identity {
    fn drop(&mut self) {
        // Only one that was never started is still open here.
        if self.0.close(&Exit::Shutdown) {
            self.0.drain(DeadReason::Stopped);
        }
    }
}

/// What only the root of a tree is told.
#[derive(Clone, Default)]
pub(crate) struct Rooted {
    pub(crate) hook: Option<Hook>,
    pub(crate) clock: Option<Clock>,
    pub(crate) registry: Option<Registry>,
    pub(crate) shutdown: Option<Duration>,
    pub(crate) deny_abort: bool,
}

impl Plan {
    pub(crate) fn is_root(&self) -> bool {
        self.root.get().is_some()
    }

    pub(crate) fn rooted(&self) -> &Rooted {
        &self.rooted
    }

    pub(crate) fn name(&self) -> Arc<str> {
        self.core.name()
    }

    /// What is wrong with the description, if anything.
    pub(crate) fn fault(&self, as_root: bool) -> Option<String> {
        if self.rules.period.is_zero() {
            return Some("the period of its intensity is longer than 0".into());
        }
        let rooted = &self.rooted;
        if !as_root && (rooted.hook.is_some() || rooted.clock.is_some() || rooted.registry.is_some()) {
            return Some("hook, clock and registry are the root's".into());
        }
        let mut names = HashSet::new();
        self.children.iter().find_map(|child| {
            let name = child.name();
            match child.fault() {
                Some(fault) => Some(format!("child `{name}`: {fault}")),
                None if !names.insert(Arc::clone(&name)) => Some(format!("two children are called `{name}`")),
                None => None,
            }
        })
    }
}

/// Describes a supervisor: who is started, in which order, and what happens when one ends.
///
/// Children are started in the order in which they are given, each when the one before is ready,
/// and stopped in the reverse order. That order, with [`Strategy::RestForOne`], is how dependency
/// is said.
///
/// # Example
///
/// ```
/// use std::time::Duration;
/// use underpin::{Context, Next, Service, Strategy, Supervisor, child};
/// # struct Echo;
/// # impl Service for Echo {
/// #     type Msg = ();
/// #     type Error = std::convert::Infallible;
/// #     fn handle(&mut self, _: (), _: &mut Context<Self>) -> Result<Next, Self::Error> { Ok(Next::Continue) }
/// # }
///
/// let net = Supervisor::new("net").strategy(Strategy::RestForOne).child(child("listener", || Echo));
/// let app = Supervisor::new("app")
///     .intensity(3, Duration::from_secs(5))
///     .child(child("store", || Echo))
///     .supervisor(net)
///     .start()?;
/// let report = app.shutdown(Duration::from_secs(5));
/// assert!(report.is_clean());
/// # Ok::<(), underpin::StartError>(())
/// ```
#[must_use = "a supervisor does nothing before it is started"]
pub struct Supervisor {
    core: Identity,
    rules: Rules,
    restart: Restart,
    backoff: Option<Backoff>,
    children: Vec<Arc<dyn Child>>,
    rooted: Rooted,
}

impl Supervisor {
    /// A supervisor without children, one_for_one, one restart in 5 s.
    pub fn new(name: impl Into<Arc<str>>) -> Self {
        let (max_restarts, period) = DEFAULT_INTENSITY;
        let core = Core::new(name.into(), INBOX, Overflow::default(), None);
        Self {
            core: Identity(Arc::new(core)),
            rules: Rules { max_restarts, period, ..Rules::default() },
            restart: Restart::Permanent,
            backoff: None,
            children: Vec::new(),
            rooted: Rooted::default(),
        }
    }

    /// Whom the end of one child concerns.
    pub fn strategy(mut self, strategy: Strategy) -> Self {
        self.rules.strategy = strategy;
        self
    }

    /// How many restarts are allowed within `period`; one more, and the supervisor stops its
    /// children and itself ends with [`Exit::Escalated`]. 1 in 5 s if nothing is said.
    pub fn intensity(mut self, restarts: u32, period: Duration) -> Self {
        self.rules.max_restarts = restarts;
        self.rules.period = period;
        self
    }

    /// Whether the supervisor stops when its significant children have ended by themselves. It then
    /// ends with [`Exit::Shutdown`].
    pub fn auto_shutdown(mut self, auto_shutdown: AutoShutdown) -> Self {
        self.rules.auto_shutdown = auto_shutdown;
        self
    }

    /// How long to wait before each restart of a child that does not say otherwise. Not at all, if
    /// nothing is said.
    pub fn backoff(mut self, backoff: Backoff) -> Self {
        self.rules.backoff = backoff;
        self
    }

    /// Adds a child, to be started after those before it.
    pub fn child<S: Service>(mut self, spec: ChildSpec<S>) -> Self {
        self.children.push(Arc::new(spec.into_child()));
        self
    }

    /// Adds a supervisor as a child. It is started again when it escalates, as a service is when
    /// it crashes; its static children keep mailbox and handles over that.
    pub fn supervisor(mut self, nested: impl Into<Supervisor>) -> Self {
        let plan = nested.into().into_plan();
        self.children.push(Arc::new(SupervisorChild { plan: Arc::new(plan) }));
        self
    }

    /// As a child of another: which ends are followed by a restart.
    pub fn restart(mut self, restart: Restart) -> Self {
        self.restart = restart;
        self
    }

    /// As a child of another: how long that one waits before each restart.
    pub fn restart_backoff(mut self, backoff: Backoff) -> Self {
        self.backoff = Some(backoff);
        self
    }

    /// Gets what happens in the whole tree, in order, on a thread of its own. A hook that is too
    /// slow loses events beyond 4,096; they are counted. Only for the root.
    pub fn on_event(mut self, hook: impl Fn(&SupervisionEvent) + Send + Sync + 'static) -> Self {
        self.rooted.hook = Some(Arc::new(hook));
        self
    }

    /// Where the whole tree reads its time from. Only for the root.
    pub fn clock(mut self, clock: Clock) -> Self {
        self.rooted.clock = Some(clock);
        self
    }

    /// Where the names of the whole tree are. One of its own, if nothing is said. Only for the
    /// root.
    pub fn registry(mut self, registry: Registry) -> Self {
        self.rooted.registry = Some(registry);
        self
    }

    /// How long the drop of the [`SupervisorHandle`] lets the tree stop. 30 s if nothing is said.
    /// Only for the root.
    pub fn shutdown_timeout(mut self, timeout: Duration) -> Self {
        self.rooted.shutdown = Some(timeout);
        self
    }

    /// Refuses to start where a panic aborts the process (`panic = "abort"`), instead of logging it
    /// as an error: there no crash can be survived. Only for the root.
    pub fn deny_abort(mut self) -> Self {
        self.rooted.deny_abort = true;
        self
    }

    /// A reference to the supervisor. It exists before the thread does.
    pub fn reference(&self) -> SupervisorRef {
        SupervisorRef { handle: Handle::new(Arc::clone(&self.core)) }
    }

    /// Starts the tree, and returns when every child is ready.
    ///
    /// # Errors
    ///
    /// A wrong description, before anything is started. The first child that does not start: those
    /// before it are stopped again, nothing is retried, and nothing is left running.
    ///
    /// # Blocking
    ///
    /// On each child's factory and `init`, each at most as long as its
    /// [`init_timeout`](ChildSpec::init_timeout).
    pub fn start(self) -> Result<SupervisorHandle, StartError> {
        self.start_watched(|| ())
    }

    /// As [`start`](Self::start); `ended` is called once the root has ended, for whatever reason.
    pub(crate) fn start_watched(
        self,
        ended: impl FnOnce() + Send + 'static,
    ) -> Result<SupervisorHandle, StartError> {
        Tree::start(self.into_plan(), Box::new(ended)).map(|tree| SupervisorHandle { tree })
    }

    pub(super) fn into_plan(self) -> Plan {
        let inits = self.children.iter().map(|child| child.rules().init);
        let starts = inits.fold(DEFAULT_GRACE, Duration::saturating_add);
        let as_child = ChildRules {
            restart: self.restart,
            init: starts,
            grace: None,
            backoff: self.backoff,
            significant: false,
        };
        let rules = Rules { seed: seed_of(&self.core.name()), ..self.rules };
        let (children, rooted) = (self.children, self.rooted);
        Plan { core: self.core, rules, as_child, children, root: OnceLock::new(), rooted }
    }
}

/// The seed of a supervisor's jitter: its name, so that two that crash together part.
fn seed_of(name: &str) -> u64 {
    name.bytes()
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

/// Describes a supervisor whose children come and go: sessions, connections, jobs.
///
/// It starts without children, one_for_one. Children are added with
/// [`start_child`](SupervisorRef::start_child), stopped all at once under one grace, and forgotten
/// when they were terminated.
///
/// # Example
///
/// ```
/// use std::time::Duration;
/// use underpin::{Context, DynamicSupervisor, Next, Restart, Service, child};
/// # struct Session;
/// # impl Service for Session {
/// #     type Msg = ();
/// #     type Error = std::convert::Infallible;
/// #     fn handle(&mut self, _: (), _: &mut Context<Self>) -> Result<Next, Self::Error> { Ok(Next::Stop) }
/// # }
///
/// let sessions = DynamicSupervisor::new("sessions").max_children(100).start()?;
/// let session = sessions.start_child(child("session-1", || Session).restart(Restart::Temporary))?;
/// session.cast(())?; // it stops, and leaves nothing behind
/// assert!(session.wait_down(Duration::from_secs(5)).is_some());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use = "a supervisor does nothing before it is started"]
pub struct DynamicSupervisor(Supervisor, Dynamic);

impl DynamicSupervisor {
    /// A supervisor without children, any number of them, one restart in 5 s, 5 s to stop.
    pub fn new(name: impl Into<Arc<str>>) -> Self {
        Self(Supervisor::new(name), Dynamic { max_children: None, grace: DEFAULT_GRACE })
    }

    /// How many children there may be, those that wait for a restart included.
    pub fn max_children(mut self, most: usize) -> Self {
        self.1.max_children = Some(most);
        self
    }

    /// How long all children together may take to stop.
    pub fn shutdown(mut self, grace: Duration) -> Self {
        self.1.grace = grace;
        self
    }

    /// As [`Supervisor::intensity`].
    pub fn intensity(mut self, restarts: u32, period: Duration) -> Self {
        self.0 = self.0.intensity(restarts, period);
        self
    }

    /// As [`Supervisor::backoff`].
    pub fn backoff(mut self, backoff: Backoff) -> Self {
        self.0 = self.0.backoff(backoff);
        self
    }

    /// As [`Supervisor::reference`].
    pub fn reference(&self) -> SupervisorRef {
        self.0.reference()
    }

    /// As [`Supervisor::start`].
    ///
    /// # Errors
    ///
    /// As there.
    pub fn start(self) -> Result<SupervisorHandle, StartError> {
        Supervisor::from(self).start()
    }
}

impl From<DynamicSupervisor> for Supervisor {
    fn from(DynamicSupervisor(mut supervisor, dynamic): DynamicSupervisor) -> Self {
        supervisor.rules.dynamic = Some(dynamic);
        supervisor
    }
}

/// What is known of one child.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ChildInfo {
    /// Its name.
    pub name: Arc<str>,
    /// Service or supervisor.
    pub kind: ChildKind,
    /// Which ends are followed by a restart.
    pub restart: Restart,
    /// Where in its life it is.
    pub state: Lifecycle,
    /// Which incarnation; 1 is the first.
    pub epoch: u64,
    /// How often it was restarted by this supervisor.
    pub restarts: u64,
    /// How its last incarnation that ended did so.
    pub last_exit: Option<Exit>,
}

/// How many children are where.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ChildCounts {
    /// All.
    pub specs: usize,
    /// With a thread: running, starting or stopping.
    pub active: usize,
    /// Waiting for a restart.
    pub restarting: usize,
    /// Stopped, and kept.
    pub stopped: usize,
    /// Those that are supervisors.
    pub supervisors: usize,
    /// Those that are services.
    pub workers: usize,
}

/// A supervisor, as seen by those who ask it for something. Cheap to clone, stays valid over its
/// restarts, and keeps nothing running.
///
/// A supervisor answers at all times: none of these calls waits for anything but the child that it
/// names.
#[derive(Clone)]
pub struct SupervisorRef {
    pub(super) handle: Handle<Request>,
}

impl SupervisorRef {
    /// The name of the supervisor.
    pub fn name(&self) -> &str {
        self.handle.name()
    }

    /// What is known of the supervisor itself, without asking it.
    pub fn status(&self) -> Status {
        self.handle.status()
    }

    /// Adds a child and starts it.
    ///
    /// # Errors
    ///
    /// See [`StartChildError`]: then the child is not kept.
    ///
    /// # Blocking
    ///
    /// Until the child is ready or has failed, at most its
    /// [`init_timeout`](ChildSpec::init_timeout).
    pub fn start_child<S: Service>(&self, spec: ChildSpec<S>) -> Result<Handle<S::Msg>, StartChildError> {
        let handle = spec.handle();
        self.start_erased(Arc::new(spec.into_child()))?;
        Ok(handle)
    }

    /// Adds a supervisor as a child and starts it. As [`start_child`](Self::start_child).
    ///
    /// # Errors
    ///
    /// As there.
    pub fn start_supervisor(&self, nested: impl Into<Supervisor>) -> Result<SupervisorRef, StartChildError> {
        let nested = nested.into();
        let reference = nested.reference();
        self.start_erased(Arc::new(SupervisorChild { plan: Arc::new(nested.into_plan()) }))?;
        Ok(reference)
    }

    fn start_erased(&self, child: Arc<dyn Child>) -> Result<(), StartChildError> {
        let name = child.name();
        self.ask(|reply| Request::Start(child, reply)).unwrap_or(Err(StartChildError::ShuttingDown { name }))
    }

    /// Stops a child for good. Its spec is kept, to be restarted or deleted; a temporary child's,
    /// and a dynamic supervisor's, is not. To terminate one that is stopped already is fine.
    ///
    /// # Errors
    ///
    /// When there is no such child, or the supervisor is gone.
    ///
    /// # Blocking
    ///
    /// Until the child has ended or was abandoned, at most its [`shutdown`](ChildSpec::shutdown)
    /// grace.
    pub fn terminate_child(&self, name: &str) -> Result<(), TerminateChildError> {
        let answer = self.ask(|reply| Request::Terminate(name.into(), reply));
        answer.unwrap_or(Err(TerminateChildError::ShuttingDown))
    }

    /// Starts a child that is stopped. Handles to it are valid again.
    ///
    /// # Errors
    ///
    /// When it is not stopped, does not exist, or fails to start.
    ///
    /// # Blocking
    ///
    /// As [`start_child`](Self::start_child).
    pub fn restart_child(&self, name: &str) -> Result<(), RestartChildError> {
        let answer = self.ask(|reply| Request::Restart(name.into(), reply));
        answer.unwrap_or_else(|| Err(RestartChildError::ShuttingDown { name: name.into() }))
    }

    /// Forgets a child that is stopped.
    ///
    /// # Errors
    ///
    /// When it is not stopped, or does not exist.
    pub fn delete_child(&self, name: &str) -> Result<(), DeleteChildError> {
        let answer = self.ask(|reply| Request::Delete(name.into(), reply));
        answer.unwrap_or(Err(DeleteChildError::ShuttingDown))
    }

    /// The children, in the order of their start. Empty when the supervisor is gone.
    pub fn which_children(&self) -> Vec<ChildInfo> {
        self.ask(Request::Which).unwrap_or_default()
    }

    /// How many children are where. All zero when the supervisor is gone.
    pub fn count_children(&self) -> ChildCounts {
        self.ask(Request::Count).unwrap_or_default()
    }

    /// Asks; `None` when the supervisor is gone. No deadline of its own: the answer comes when the
    /// child's has, and a supervisor never blocks.
    fn ask<T: Send + 'static>(&self, request: impl FnOnce(Reply<T>) -> Request) -> Option<T> {
        match self.handle.call_by(Deadline::unbounded(), request) {
            Ok(answer) => Some(answer),
            Err(CallError::NotSent(error)) => {
                drop(error);
                None
            }
            Err(_) => None,
        }
    }
}

impl fmt::Debug for SupervisorRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("SupervisorRef").field(&self.name()).finish()
    }
}

/// The owner of a running tree. When it is dropped the tree is stopped, in order, within its
/// [`shutdown_timeout`](Supervisor::shutdown_timeout).
///
/// It gives access to the root supervisor as a [`SupervisorRef`] does.
#[derive(Debug)]
pub struct SupervisorHandle {
    tree: Tree,
}

impl SupervisorHandle {
    /// A reference for others.
    pub fn reference(&self) -> SupervisorRef {
        SupervisorRef { handle: Handle::new(Arc::clone(&self.tree.plan().core)) }
    }

    /// The names of the tree.
    pub fn registry(&self) -> Registry {
        self.tree.registry()
    }

    /// As [`SupervisorRef::start_child`].
    ///
    /// # Errors
    ///
    /// As there.
    pub fn start_child<S: Service>(&self, spec: ChildSpec<S>) -> Result<Handle<S::Msg>, StartChildError> {
        self.reference().start_child(spec)
    }

    /// As [`SupervisorRef::start_supervisor`].
    ///
    /// # Errors
    ///
    /// As there.
    pub fn start_supervisor(&self, nested: impl Into<Supervisor>) -> Result<SupervisorRef, StartChildError> {
        self.reference().start_supervisor(nested)
    }

    /// As [`SupervisorRef::terminate_child`].
    ///
    /// # Errors
    ///
    /// As there.
    pub fn terminate_child(&self, name: &str) -> Result<(), TerminateChildError> {
        self.reference().terminate_child(name)
    }

    /// As [`SupervisorRef::restart_child`].
    ///
    /// # Errors
    ///
    /// As there.
    pub fn restart_child(&self, name: &str) -> Result<(), RestartChildError> {
        self.reference().restart_child(name)
    }

    /// As [`SupervisorRef::delete_child`].
    ///
    /// # Errors
    ///
    /// As there.
    pub fn delete_child(&self, name: &str) -> Result<(), DeleteChildError> {
        self.reference().delete_child(name)
    }

    /// As [`SupervisorRef::which_children`].
    pub fn which_children(&self) -> Vec<ChildInfo> {
        self.reference().which_children()
    }

    /// As [`SupervisorRef::count_children`].
    pub fn count_children(&self) -> ChildCounts {
        self.reference().count_children()
    }

    /// What is known of the root supervisor itself, without asking it.
    pub fn status(&self) -> Status {
        self.reference().status()
    }

    /// Waits until the tree has ended by itself, by escalation; `None` when `timeout` came first.
    pub fn wait(&self, timeout: Duration) -> Option<Exit> {
        self.tree.wait(timeout)
    }

    /// Stops the tree: children in reverse order, each within its grace and all within `timeout`.
    /// Who has not stopped by then is abandoned and named in the report. A second call returns the
    /// report of the first.
    ///
    /// # Blocking
    ///
    /// Until the tree has stopped, at most about 2 s longer than `timeout`. Not to be called by a
    /// service of the tree: it would wait for its own end.
    pub fn shutdown(&self, timeout: Duration) -> ShutdownReport {
        self.tree.shutdown(timeout)
    }
}

impl Drop for SupervisorHandle {
    fn drop(&mut self) {
        let timeout = self.tree.plan().rooted().shutdown.unwrap_or(DEFAULT_SHUTDOWN);
        self.tree.shutdown(timeout);
    }
}
