//! Supervisors as they are described.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use super::backoff::Backoff;
use super::child::{Child, SupervisorChild};
use super::errors::StartError;
use super::hang::OnHang;
use super::owner::SupervisorHandle;
use super::plan::{Identity, Plan, Rooted};
use super::policy::{ChildRules, Rules};
use super::reference::SupervisorRef;
use super::report::SupervisionEvent;
use super::spec::ChildSpec;
use super::strategy::{AutoShutdown, Restart, Strategy};
use super::tree::Tree;
use crate::registry::Registry;
use crate::service::core::Core;
use crate::service::dead_letters::DeadLetters;
use crate::service::mailbox::Overflow;
use crate::service::service::Service;
use crate::service::thread::Host;
use crate::sync::{Clock, Mutex};

/// How many restarts are allowed if nothing is said, as in OTP: 1 in 5 s.
const DEFAULT_INTENSITY: (u32, Duration) = (1, Duration::from_secs(5));
/// How many requests a supervisor's inbox holds. Who finds it full waits: it is drained at all times.
const INBOX: usize = 256;

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
    pub(super) rules: Rules,
    restart: Restart,
    significant: bool,
    backoff: Option<Backoff>,
    children: Vec<Arc<dyn Child>>,
    rooted: Rooted,
}

impl Supervisor {
    /// A supervisor without children, one_for_one, one restart in 5 s. Its name is not empty and holds
    /// no `/` and no NUL; another is refused at the start.
    pub fn new(name: impl Into<Arc<str>>) -> Self {
        let (max_restarts, period) = DEFAULT_INTENSITY;
        let core = Core::new(name.into(), INBOX, Overflow::Block(Duration::MAX), DeadLetters::lost());
        Self {
            core: Identity(Arc::new(core)),
            rules: Rules { max_restarts, period, ..Rules::default() },
            restart: Restart::Permanent,
            significant: false,
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
    /// children and itself ends with [`Exit::Escalated`](crate::Exit::Escalated). 1 in 5 s if nothing
    /// is said; a period of 0 is refused at the start.
    pub fn intensity(mut self, restarts: u32, period: Duration) -> Self {
        self.rules.max_restarts = restarts;
        self.rules.period = period;
        self
    }

    /// Whether the supervisor stops when its significant children have ended by themselves. It then
    /// ends with [`Exit::Shutdown`](crate::Exit::Shutdown).
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

    /// Adds a child behind the first `before` of those that there are.
    #[cfg(any(all(feature = "foundation", feature = "config"), feature = "journal"))]
    pub(crate) fn child_at<S: Service>(mut self, before: usize, spec: ChildSpec<S>) -> Self {
        self.children.insert(before, Arc::new(spec.into_child()));
        self
    }

    /// As [`supervisor`](Self::supervisor), behind the first `before` children that there are.
    #[cfg(all(feature = "foundation", any(feature = "events", feature = "tasks", feature = "telemetry")))]
    pub(crate) fn supervisor_at(mut self, before: usize, nested: Supervisor) -> Self {
        let plan = Arc::new(nested.into_plan());
        self.children.insert(before, Arc::new(SupervisorChild { plan }));
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

    /// As a child of another: its own end may be that one's, see [`AutoShutdown`]. It ends by itself
    /// when its own [`auto_shutdown`](Self::auto_shutdown) stops it, and, if it is temporary, when it
    /// escalates. Not for a permanent one, which never ends by itself.
    ///
    /// # Example
    ///
    /// ```
    /// use std::time::Duration;
    /// use underpin::{AutoShutdown, Context, Exit, Next, Restart, Service, Supervisor, child};
    /// # struct Job;
    /// # impl Service for Job {
    /// #     type Msg = ();
    /// #     type Error = std::convert::Infallible;
    /// #     fn handle(&mut self, _: (), _: &mut Context<Self>) -> Result<Next, Self::Error> { Ok(Next::Stop) }
    /// # }
    ///
    /// let job = child("job", || Job).restart(Restart::Transient).significant();
    /// let handle = job.handle();
    /// let jobs = Supervisor::new("jobs")
    ///     .auto_shutdown(AutoShutdown::AllSignificant)
    ///     .restart(Restart::Transient)
    ///     .significant()
    ///     .child(job);
    /// let app = Supervisor::new("app").auto_shutdown(AutoShutdown::AnySignificant).supervisor(jobs).start()?;
    /// handle.cast(())?; // the job is done, and so are the jobs, and so is the program
    /// assert!(matches!(app.wait(Duration::from_secs(5)), Some(Exit::Shutdown)));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn significant(mut self) -> Self {
        self.significant = true;
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

    /// Where the names of the whole tree are: in this table and namespace, and nowhere else. A
    /// table of its own, if nothing is said. Only for the root.
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

    /// Reports each service of the tree as [`Stuck`](SupervisionEvent::Stuck) when it has been busy
    /// with one message, or in one callback, for so long. Nothing else is done to it. Nobody is
    /// reported, if nothing is said. Only for the root; [`ChildSpec::stuck_after`] is for one child.
    /// 0 is refused at the start.
    ///
    /// Who is busy is looked at about once in such a time; who is idle never. So a service that was
    /// busy with quick ones before it came to this message is reported later, at twice the time at
    /// the latest. Many messages are not taken for one, however long they take together.
    pub fn stuck_after(mut self, busy: Duration) -> Self {
        self.rooted.stuck_after = Some(busy);
        self
    }

    /// Refuses to start where a panic aborts the process (`panic = "abort"`), instead of logging it
    /// as an error: there no crash can be survived. Only for the root.
    pub fn deny_abort(mut self) -> Self {
        self.rooted.deny_abort = true;
        self
    }

    /// How many abandoned threads the whole tree may have before no more is added to it: 1 or more;
    /// another is refused at the start. [`DEFAULT_MAX_ABANDONED`](crate::DEFAULT_MAX_ABANDONED) if
    /// nothing is said. Only for the root.
    ///
    /// A thread that is [abandoned](crate::OnHang) cannot be killed: it counts until it ends by itself.
    /// While there are as many as that,
    ///
    /// - nothing new is added: `start_child` and `start_supervisor` fail with
    ///   [`Exit::TooManyAbandoned`](crate::Exit::TooManyAbandoned), which is not charged;
    /// - a child that has itself left such a thread, in whatever life of its supervisor, is not
    ///   started again: that is a failed start, with the same exit. Where it was to be restarted it is
    ///   charged, so backoff and intensity decide when it is tried again, and it escalates in the end;
    /// - a child that left none is restarted as ever.
    ///
    /// So at most as many more threads as there are children come on top of it.
    pub fn max_abandoned(mut self, threads: usize) -> Self {
        self.rooted.max_abandoned = Some(threads);
        self
    }

    /// A reference to the supervisor. It exists before the thread does.
    pub fn reference(&self) -> SupervisorRef {
        SupervisorRef::to(&self.core)
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
        Tree::start(self.into_plan(), Host::Threads, Box::new(ended)).map(SupervisorHandle::of)
    }

    /// As [`start`](Self::start), in a simulation.
    #[cfg(feature = "testing")]
    pub(crate) fn start_on(self, host: Host) -> Result<SupervisorHandle, StartError> {
        Tree::start(self.into_plan(), host, Box::new(|| ())).map(SupervisorHandle::of)
    }

    pub(super) fn into_plan(self) -> Plan {
        let as_child = ChildRules {
            restart: self.restart,
            // It bounds itself: each of its children has a limit, and it never blocks.
            init: Duration::MAX,
            grace: None,
            // Its thread runs no code of the user's, so it hangs at nothing.
            on_hang: OnHang::Abandon,
            backoff: self.backoff,
            significant: self.significant,
        };
        let rules = Rules { seed: seed_of(&self.core.name()), ..self.rules };
        let (children, rooted) = (self.children, self.rooted);
        Plan {
            core: self.core,
            rules: Mutex::new(rules),
            as_child: Mutex::new(as_child),
            children,
            root: OnceLock::new(),
            rooted,
        }
    }
}

/// The seed of a supervisor's jitter: its name, so that two that crash together part.
fn seed_of(name: &str) -> u64 {
    name.bytes()
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}
