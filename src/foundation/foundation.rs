//! The running application.

use std::sync::Arc;
use std::time::Duration;

#[cfg(all(feature = "config", feature = "events"))]
use super::config_events::RebuildError;
use super::rooms::{Kept, Rooms};
#[cfg(feature = "config")]
use crate::config::{Config, Settings};
#[cfg(feature = "events")]
use crate::events::EventStore;
#[cfg(all(feature = "config", feature = "health"))]
use crate::health::AlertSettings;
#[cfg(feature = "health")]
use crate::health::HealthMonitor;
use crate::registry::Registry;
#[cfg(feature = "resilience")]
use crate::resilience::Policy;
#[cfg(all(feature = "config", feature = "resilience"))]
use crate::resilience::PolicySettings;
use crate::service::scope;
use crate::service::service::Service;
use crate::service::wait::Gate;
use crate::supervisor::errors::StartError;
use crate::supervisor::owner::SupervisorHandle;
use crate::supervisor::reference::SupervisorRef;
use crate::supervisor::report::{Abandoned, ShutdownReport, SupervisionEvent};
use crate::supervisor::spec::ChildSpec;
use crate::supervisor::strategy::Strategy;
use crate::supervisor::supervisor::Supervisor;
use crate::sync::{Clock, Mutex};
#[cfg(feature = "tasks")]
use crate::tasks::TaskPool;
#[cfg(feature = "telemetry")]
use crate::telemetry::Telemetry;

/// How long [`Foundation::wait`] lets the application stop if nothing else is said.
const DEFAULT_SHUTDOWN: Duration = Duration::from_secs(30);

/// A running application: a root supervisor that owns the program's services, and the ways to its
/// end.
///
/// - [`start`](FoundationBuilder::start) returns when every service is ready, or leaves nothing
///   running.
/// - [`wait`](Self::wait) keeps the main thread until somebody asks for the end: a
///   [`Stopper`], a signal, or the root itself when it gives up.
/// - [`shutdown`](Self::shutdown) stops everything in order and says who did not stop. Dropping
///   the foundation does the same.
///
/// # Example
///
/// ```
/// use std::time::Duration;
/// use underpin::{Context, Foundation, Next, Service, child};
///
/// struct Greeter;
/// impl Service for Greeter {
///     type Msg = &'static str;
///     type Error = std::convert::Infallible;
///     fn handle(&mut self, name: &'static str, _: &mut Context<Self>) -> Result<Next, Self::Error> {
///         println!("hello {name}");
///         Ok(Next::Continue)
///     }
/// }
///
/// let greeter = child("greeter", || Greeter);
/// let handle = greeter.handle();
/// let app = Foundation::builder("app").child(greeter).start()?;
/// handle.cast("world")?;
/// app.stopper().stop(); // somebody, somewhere
/// let report = app.wait();
/// assert!(report.is_clean());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Foundation {
    root: SupervisorHandle,
    clock: Clock,
    #[cfg_attr(
        not(any(all(feature = "config", feature = "events"), feature = "telemetry")),
        expect(dead_code)
    )]
    kept: Kept,
    stopper: Stopper,
    timeout: Duration,
    #[cfg(feature = "signals")]
    signals: Mutex<Option<super::signals::Signals>>,
}

/// Asks a [`Foundation`] to stop, from any thread, also from a service of its own.
#[derive(Clone, Debug)]
pub struct Stopper(Arc<Asked>);

#[derive(Debug, Default)]
struct Asked {
    gate: Gate,
    reason: Mutex<Option<Arc<str>>>,
}

impl Stopper {
    fn new() -> Self {
        Self(Arc::default())
    }

    /// Asks for the end, and returns at once. Nothing stops until somebody is in
    /// [`Foundation::wait`], which does the rest. From the thread of an incarnation that was
    /// [abandoned](crate::OnHang) it does nothing: that is its successor's to say.
    pub fn stop(&self) {
        self.stop_because("it was asked to");
    }

    /// As [`stop`](Self::stop), with a reason. The first reason stays.
    pub fn stop_because(&self, reason: impl Into<Arc<str>>) {
        if scope::is_fenced() {
            return;
        }
        self.0.reason.lock().get_or_insert_with(|| reason.into());
        self.0.gate.open();
    }

    /// Why the end was asked for; `None` if it was not.
    pub fn reason(&self) -> Option<Arc<str>> {
        self.0.reason.lock().clone()
    }
}

/// Describes a [`Foundation`].
#[must_use = "nothing runs before it is started"]
pub struct FoundationBuilder {
    root: Supervisor,
    clock: Clock,
    timeout: Duration,
    rooms: Rooms,
    #[cfg(feature = "signals")]
    on_signals: bool,
    #[cfg(feature = "signals")]
    rereads: super::signals::Rereads,
}

impl Foundation {
    /// An application called `name`. Its root is one_for_one, with one restart in 5 s.
    pub fn builder(name: impl Into<Arc<str>>) -> FoundationBuilder {
        FoundationBuilder {
            root: Supervisor::new(name),
            clock: Clock::system(),
            timeout: DEFAULT_SHUTDOWN,
            rooms: Rooms::default(),
            #[cfg(feature = "signals")]
            on_signals: false,
            #[cfg(feature = "signals")]
            rereads: Vec::new(),
        }
    }

    /// The root supervisor, to add services or to look at them.
    pub fn root(&self) -> SupervisorRef {
        self.root.reference()
    }

    /// The names of the application.
    pub fn registry(&self) -> Registry {
        self.root.registry()
    }

    /// As [`SupervisorHandle::abandoned`].
    pub fn abandoned(&self) -> Abandoned {
        self.root.abandoned()
    }

    /// Makes the updates of a configuration once more that the [store](FoundationBuilder::events) tells of, as one
    /// update: with a journal, those of earlier runs. What the layers said counts as they say it now. Returns the
    /// version, `None` if there were no updates.
    ///
    /// An update whose event was not stored is missed by the version that follows it; the last ones of a run are followed
    /// by none.
    ///
    /// # Errors
    ///
    /// When there is no store, when not all of its events are there any more, and when what they say is refused.
    ///
    /// # Blocking
    ///
    /// As [`EventStore::rebuild`](crate::events::EventStore::rebuild), and as an
    /// [update](crate::config::Config::update).
    #[cfg(all(feature = "config", feature = "events"))]
    pub fn rebuild_config<T: Settings>(&self, config: &Config<T>) -> Result<Option<u64>, RebuildError> {
        let store = self.kept.store.as_ref().ok_or(RebuildError::NoStore)?;
        super::config_events::rebuild(store, config)
    }

    /// For others to ask for the end.
    pub fn stopper(&self) -> Stopper {
        self.stopper.clone()
    }

    /// Waits until somebody asks for the end, or the root gives up; then stops everything, within
    /// [`shutdown_timeout`](FoundationBuilder::shutdown_timeout).
    ///
    /// # Blocking
    ///
    /// For as long as the program runs.
    pub fn wait(&self) -> ShutdownReport {
        self.stopper.0.gate.wait(&self.clock, None);
        self.shutdown(self.timeout)
    }

    /// Stops everything in order, within `timeout`. A second call returns the report of the first.
    ///
    /// # Blocking
    ///
    /// Until the tree has stopped, at most about 2 s longer than `timeout`. Not to be called by one
    /// of its own services, which would wait for its own end: that asks the [`Stopper`].
    pub fn shutdown(&self, timeout: Duration) -> ShutdownReport {
        self.stopper.stop_because("it was shut down");
        let report = self.root.shutdown(timeout);
        #[cfg(feature = "telemetry")]
        self.kept.forget(self.root.reference().name());
        #[cfg(feature = "signals")]
        drop(self.signals.lock().take());
        report
    }
}

impl Drop for Foundation {
    fn drop(&mut self) {
        self.shutdown(self.timeout);
    }
}

impl FoundationBuilder {
    /// As [`Supervisor::strategy`].
    pub fn strategy(mut self, strategy: Strategy) -> Self {
        self.root = self.root.strategy(strategy);
        self
    }

    /// As [`Supervisor::intensity`].
    pub fn intensity(mut self, restarts: u32, period: Duration) -> Self {
        self.root = self.root.intensity(restarts, period);
        self
    }

    /// As [`Supervisor::child`].
    pub fn child<S: Service>(mut self, spec: ChildSpec<S>) -> Self {
        self.root = self.root.child(spec);
        self
    }

    /// Adds the service of a configuration, before all other children and whenever this is said: so it
    /// is started first and stopped last. Of several configurations the first named comes first.
    ///
    /// With [`on_signals`](Self::on_signals) a SIGHUP has its layers read again, as
    /// [`Config::request_reload`] does.
    ///
    /// # Example
    ///
    /// ```
    /// use underpin::Foundation;
    /// use underpin::config::{Config, Layers};
    /// # use serde_json::{Value, json};
    ///
    /// let config: Config<Value> = Layers::new().defaults(json!({"workers": 2})).load()?;
    /// let app = Foundation::builder("app").config(&config).start()?;
    /// assert_eq!(config.update("workers", 4)?, 2);
    /// # drop(app);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[cfg(feature = "config")]
    pub fn config<T: Settings>(mut self, config: &Config<T>) -> Self {
        self.root = self.rooms.add_config(self.root, config);
        #[cfg(feature = "signals")]
        self.rereads.push(super::signals::reread_of(config));
        self
    }

    /// Adds the services of a store of events, behind those of configurations and before all other children: so
    /// it is there before them, and stopped after them.
    ///
    /// What becomes of each [`config`](Self::config) is stored, unless that has a
    /// [sink](crate::config::Config::set_sink) of its own. An update never waits for the store.
    ///
    /// One store for each foundation: of several the last is started.
    ///
    /// # Example
    ///
    /// ```
    /// use underpin::config::{Config, Layers};
    /// use underpin::events::{EventStore, Query};
    /// use underpin::{CONFIG_UPDATED, Foundation};
    /// # use serde_json::{Value, json};
    ///
    /// let config: Config<Value> = Layers::new().defaults(json!({"workers": 2})).load()?;
    /// let store = EventStore::in_memory();
    /// let app = Foundation::builder("app").config(&config).events(&store).start()?;
    /// config.update("workers", 4)?;
    /// let told = store.query(&Query::new().kind(CONFIG_UPDATED))?;
    /// assert_eq!(told.entries[0].data().as_json().expect("JSON")["changes"][0]["new"], 4);
    /// # drop(app);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[cfg(feature = "events")]
    pub fn events(mut self, store: &EventStore) -> Self {
        self.rooms.kept.store = Some(store.clone());
        self
    }

    /// Adds the services of a telemetry, behind those of configurations and before all other children: so it is there before them,
    /// and exports once more when they have stopped.
    ///
    /// What the kernel knows of each service and supervisor becomes metrics under `underpin.`: see
    /// [`KernelCollector`](crate::telemetry::KernelCollector). What the operating system knows of the process becomes metrics under `process.`: see
    /// [`ProcessCollector`](crate::telemetry::ProcessCollector). With an event store, its accounts are under `events.`; of each configuration,
    /// unless it has a [sink](crate::config::Config::set_sink) of its own, `config.update.duration`, `config.update.refused`
    /// and `config.subscribers`.
    ///
    /// One telemetry for each foundation: of several the last is started.
    ///
    /// # Example
    ///
    /// ```
    /// use underpin::Foundation;
    /// use underpin::telemetry::Telemetry;
    ///
    /// let telemetry = Telemetry::new();
    /// let app = Foundation::builder("app").telemetry(&telemetry).start()?;
    /// telemetry.collect();
    /// assert_eq!(telemetry.metrics("underpin.tree", &[]).gauge("underpin.tree.up", &[("tree", "app")]), Some(1.0));
    /// # drop(app);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[cfg(feature = "telemetry")]
    pub fn telemetry(mut self, telemetry: &Telemetry) -> Self {
        self.rooms.kept.telemetry = Some(telemetry.clone());
        self
    }

    /// Adds the services of a health monitor, behind all other children.
    ///
    /// It watches the whole tree. With a [telemetry](Self::telemetry), its alerts look at the metrics of that, unless it has another
    /// [source](crate::health::HealthBuilder::source), and what it finds becomes metrics under `underpin.health.` and `underpin.alert.`. With a
    /// [store](Self::events), each alert that is raised or cleared, each change of the mode and of the health is an event.
    ///
    /// One monitor for each foundation: of several the last is started.
    ///
    /// # Example
    ///
    /// ```
    /// use underpin::Foundation;
    /// use underpin::health::{Check, HealthMonitor, Verdict};
    /// use underpin::telemetry::Telemetry;
    ///
    /// let health = HealthMonitor::builder().check(Check::new("disk", Verdict::healthy).readiness()).build();
    /// let app = Foundation::builder("app").telemetry(&Telemetry::new()).health(&health).start()?;
    /// println!("{}", health.readiness());
    /// # drop(app);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[cfg(feature = "health")]
    pub fn health(mut self, health: &HealthMonitor) -> Self {
        self.rooms.kept.health = Some(health.clone());
        self
    }

    /// Says which part of a configuration is the settings of the [monitor's](Self::health) alerts. They follow it while the program runs,
    /// within a tick of the monitor; wrong ones change nothing, which is logged: a type that
    /// [validates](crate::config::Validate) refuses them before.
    ///
    /// # Example
    ///
    /// ```
    /// use serde::{Deserialize, Serialize};
    /// use underpin::Foundation;
    /// use underpin::config::{Checks, Layers, Validate};
    /// use underpin::health::{AlertSettings, HealthMonitor};
    /// use underpin::telemetry::Telemetry;
    ///
    /// #[derive(Clone, Default, Serialize, Deserialize)]
    /// #[serde(default)]
    /// struct Settings {
    ///     workers: usize,
    ///     alerts: AlertSettings,
    /// }
    /// # impl Validate for Settings {}
    ///
    /// let config = Layers::new().defaults(Settings::default()).load::<Settings>()?;
    /// let (telemetry, health) = (Telemetry::new(), HealthMonitor::builder().build());
    /// let app = Foundation::builder("app")
    ///     .config(&config)
    ///     .telemetry(&telemetry)
    ///     .health(&health)
    ///     .alerts(&config, |settings| settings.alerts.clone())
    ///     .start()?;
    /// config.update("alerts.crashes.within_seconds", 10)?;
    /// # drop(app);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[cfg(all(feature = "config", feature = "health"))]
    pub fn alerts<T: Settings>(
        mut self,
        config: &Config<T>,
        alerts: impl Fn(&T) -> AlertSettings + Send + Sync + 'static,
    ) -> Self {
        self.rooms.alerts(config, alerts);
        self
    }

    /// Adds the threads of a pool of tasks, behind the services of the other rooms and before all other children: so it is there before
    /// those who spawn, and stopped after them. Of several pools the first named comes first.
    ///
    /// With a [telemetry](Self::telemetry), how it stands becomes metrics under `underpin.tasks.`. With a [store](Self::events), each panic of
    /// a task, each that expired and the begin of shedding is an event, unless the pool has a
    /// [sink](crate::tasks::TaskPoolBuilder::sink) of its own.
    ///
    /// # Example
    ///
    /// ```
    /// use underpin::events::{EventStore, Query};
    /// use underpin::tasks::{Task, TaskPool};
    /// use underpin::{Foundation, TASK_PANICKED};
    ///
    /// let (store, tasks) = (EventStore::in_memory(), TaskPool::builder("work").build()?);
    /// let app = Foundation::builder("app").events(&store).tasks(&tasks).start()?;
    /// let failed: Task<()> = tasks.spawn("import", || panic!("line 7 is no number"));
    /// assert!(failed.join().is_err());
    /// let told = store.query(&Query::new().kind(TASK_PANICKED))?;
    /// assert_eq!(told.entries[0].data().as_json().expect("JSON")["detail"], "line 7 is no number");
    /// # drop(app);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[cfg(feature = "tasks")]
    pub fn tasks(mut self, pool: &TaskPool) -> Self {
        self.rooms.kept.pools.push(pool.clone());
        self
    }

    /// Has it known how a policy does.
    ///
    /// With a [telemetry](Self::telemetry), what becomes of its runs becomes metrics under `underpin.policy.`. With a [store](Self::events), each
    /// of its [events](crate::resilience::Policy#events) is stored, as [`ResilienceEvents`](crate::ResilienceEvents) says, unless it has a
    /// [sink](crate::resilience::PolicyBuilder::sink) of its own. Of several applications that is the store of the one started last.
    ///
    /// Two policies of one name are refused at the start: the figures and events of one would look like those of the other.
    ///
    /// # Example
    ///
    /// ```
    /// use underpin::events::{EventStore, Query};
    /// use underpin::resilience::Policy;
    /// use underpin::{ErrorKind, Foundation};
    ///
    /// let (store, policy) = (EventStore::in_memory(), Policy::builder("downstream").build()?);
    /// let app = Foundation::builder("app").events(&store).policy(&policy).start()?;
    /// assert!(policy.run(|_| Err::<(), _>(ErrorKind::System)).is_err());
    /// let told = store.query(&Query::new().correlation("resilience/downstream"))?;
    /// assert_eq!(&*told.entries[0].kind(), "resilience.failed");
    /// # drop(app);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[cfg(feature = "resilience")]
    pub fn policy(mut self, policy: &Policy) -> Self {
        self.rooms.kept.add_policy(policy);
        self
    }

    /// Says which part of a configuration is the settings of a policy. It goes by them before other children start, and follows them while the
    /// program runs; wrong ones, and those at which `settings` panics, change nothing, which is logged: a type that
    /// [validates](crate::config::Validate) refuses them before. It is as if [`policy`](Self::policy) was said, too. To say it twice of one
    /// policy is refused at the start.
    ///
    /// # Example
    ///
    /// ```
    /// use std::time::Duration;
    /// use serde::{Deserialize, Serialize};
    /// use underpin::Foundation;
    /// use underpin::config::{Layers, Validate};
    /// use underpin::resilience::{Policy, PolicySettings};
    ///
    /// #[derive(Clone, Default, Serialize, Deserialize)]
    /// struct Settings {
    ///     timeout_seconds: u64,
    /// }
    /// impl Validate for Settings {}
    ///
    /// let config = Layers::new().defaults(Settings { timeout_seconds: 2 }).load::<Settings>()?;
    /// let policy = Policy::builder("downstream").build()?;
    /// let app = Foundation::builder("app")
    ///     .config(&config)
    ///     .policy_settings(&config, &policy, |settings| PolicySettings {
    ///         time_budget: Some(Duration::from_secs(settings.timeout_seconds)),
    ///         ..Default::default()
    ///     })
    ///     .start()?;
    /// assert_eq!(policy.settings().time_budget, Some(Duration::from_secs(2)));
    /// # drop(app);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[cfg(all(feature = "config", feature = "resilience"))]
    pub fn policy_settings<T: Settings>(
        mut self,
        config: &Config<T>,
        policy: &Policy,
        settings: impl Fn(&T) -> PolicySettings + Send + Sync + 'static,
    ) -> Self {
        self.rooms.policies.add(config, policy, settings);
        self.policy(policy)
    }

    /// As [`Supervisor::supervisor`].
    pub fn supervisor(mut self, nested: impl Into<Supervisor>) -> Self {
        self.root = self.root.supervisor(nested);
        self
    }

    /// As [`Supervisor::on_event`].
    pub fn on_event(mut self, hook: impl Fn(&SupervisionEvent) + Send + Sync + 'static) -> Self {
        self.root = self.root.on_event(hook);
        self
    }

    /// As [`Supervisor::clock`].
    pub fn clock(mut self, clock: Clock) -> Self {
        self.root = self.root.clock(clock.clone());
        self.clock = clock;
        self
    }

    /// As [`Supervisor::registry`].
    pub fn registry(mut self, registry: Registry) -> Self {
        self.root = self.root.registry(registry);
        self
    }

    /// As [`Supervisor::deny_abort`].
    pub fn deny_abort(mut self) -> Self {
        self.root = self.root.deny_abort();
        self
    }

    /// As [`Supervisor::max_abandoned`].
    pub fn max_abandoned(mut self, threads: usize) -> Self {
        self.root = self.root.max_abandoned(threads);
        self
    }

    /// How long [`Foundation::wait`] and the drop let the application stop. 30 s if nothing is
    /// said.
    pub fn shutdown_timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Asks for the end on SIGTERM and SIGINT. A second signal while that is under way, half a
    /// second later or more, ends the process at once, as it would without this.
    ///
    /// With a configuration, SIGHUP has it read again. Without one, SIGHUP does what it does without this.
    #[cfg(feature = "signals")]
    pub fn on_signals(mut self) -> Self {
        self.on_signals = true;
        self
    }

    /// Starts everything, and returns when every service is ready.
    ///
    /// # Errors
    ///
    /// As [`Supervisor::start`]; nothing is left running then. Signal handlers that cannot be
    /// installed are told as a failed start of `signals`.
    ///
    /// # Blocking
    ///
    /// As [`Supervisor::start`].
    pub fn start(self) -> Result<Foundation, StartError> {
        let stopper = Stopper::new();
        // Before the services: a signal that comes while they start is not lost.
        #[cfg(feature = "signals")]
        let signals = Mutex::new(match self.on_signals {
            true => Some(super::signals::Signals::listen(&stopper, self.rereads)?),
            false => None,
        });
        let (root, kept) = self.rooms.furnish(self.root);
        #[cfg(feature = "telemetry")]
        kept.measure(root.reference(), &self.clock);
        let ended = stopper.clone();
        let root = root.start_watched(move || ended.stop_because("its root supervisor ended"))?;
        Ok(Foundation {
            root,
            clock: self.clock,
            kept,
            stopper,
            timeout: self.timeout,
            #[cfg(feature = "signals")]
            signals,
        })
    }
}
