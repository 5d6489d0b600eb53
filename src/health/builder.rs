//! What a monitor is made from.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::alerts::Alerts;
use super::board::{Board, Source};
use super::check::Check;
use super::mode::{ModeMachine, ModeSettings};
use super::monitor::HealthMonitor;
use super::outlook::Outlook;
use super::service::{HealthRequest, HealthService};
use super::settings::AlertSettings;
use super::view::View;
use crate::service::mailbox::Overflow;
use crate::supervisor::reference::SupervisorRef;
use crate::supervisor::spec::{ChildSpec, child};
use crate::supervisor::supervisor::Supervisor;
use crate::telemetry::MetricsSnapshot;

/// How often is looked if nothing is said.
pub const DEFAULT_TICK: Duration = Duration::from_secs(1);
/// A monitor has so many checks at most, those of trees included: each is a thread.
pub const MAX_CHECKS: usize = 256;
/// How often the services of a monitor may crash.
const CRASHES: (u32, Duration) = (10, Duration::from_secs(5));
/// Of looks that were asked for at most one is under way.
const CAPACITY: usize = 4;

/// Describes a [`HealthMonitor`].
#[must_use = "a description is no monitor"]
pub struct HealthBuilder {
    name: Arc<str>,
    checks: Vec<Check>,
    trees: Vec<SupervisorRef>,
    tick: Duration,
    mode: ModeSettings,
    alerts: AlertSettings,
    source: Option<Source>,
    #[cfg(feature = "systemd")]
    is_systemd: bool,
}

impl HealthBuilder {
    pub(crate) fn new() -> Self {
        Self {
            name: "health".into(),
            checks: Vec::new(),
            trees: Vec::new(),
            tick: DEFAULT_TICK,
            mode: ModeSettings::default(),
            alerts: AlertSettings::default(),
            source: None,
            #[cfg(feature = "systemd")]
            is_systemd: false,
        }
    }

    /// What its supervisor is called. `health`, if nothing is said.
    pub fn name(mut self, name: impl Into<Arc<str>>) -> Self {
        self.name = name.into();
        self
    }

    /// Adds a check. More than [`MAX_CHECKS`] are refused at the start.
    pub fn check(mut self, check: Check) -> Self {
        self.checks.push(check);
        self
    }

    /// Watches a tree: see [`HealthMonitor::watch`].
    pub fn watch(mut self, tree: SupervisorRef) -> Self {
        self.trees.push(tree);
        self
    }

    /// How often modes and alerts are looked at; checks that answer are looked at besides. 1 s ([`DEFAULT_TICK`]) if
    /// nothing is said; 0 is refused at the start.
    pub fn tick(mut self, every: Duration) -> Self {
        self.tick = every;
        self
    }

    /// How soon the mode follows the health.
    pub fn mode(mut self, settings: ModeSettings) -> Self {
        self.mode = settings;
        self
    }

    /// When which alert is raised. What is [wrong](AlertSettings::check) is refused at the start.
    pub fn alerts(mut self, settings: AlertSettings) -> Self {
        self.alerts = settings;
        self
    }

    /// Where the metrics come from that alerts look at, once each tick, on the thread of the health service. No alert
    /// is raised, if nothing is said.
    pub fn source(mut self, source: impl Fn() -> MetricsSnapshot + Send + Sync + 'static) -> Self {
        self.source = Some(Arc::new(source));
        self
    }

    /// Tells systemd how things are: `READY=1` when ready first, `STATUS=` when the health is another, `WATCHDOG=1`
    /// twice in each `WATCHDOG_USEC` while [liveness](HealthMonitor::liveness) is not unhealthy, `STOPPING=1` at the
    /// end. Where there is no `NOTIFY_SOCKET`, nothing is told.
    #[cfg(feature = "systemd")]
    pub fn systemd(mut self) -> Self {
        self.is_systemd = true;
        self
    }

    /// The monitor.
    pub fn build(self) -> HealthMonitor {
        let outlook = Outlook::new(ModeMachine::new(self.mode), Alerts::new(&self.alerts));
        let board = Arc::new(Board::new(outlook, self.source.clone()));
        let service = self.service(&board);
        let handle = service.handle();
        board.served_by(handle.clone());
        let view = Arc::new(View { name: self.name, board, handle, tick: self.tick });
        let (restarts, period) = CRASHES;
        let services = Supervisor::new(Arc::clone(&view.name)).intensity(restarts, period).child(service);
        #[cfg(feature = "systemd")]
        let services =
            if self.is_systemd { services.child(super::systemd::child_of(&view)) } else { services };
        let monitor = HealthMonitor::new(view, services);
        // More than there may be were refused above.
        self.checks.into_iter().for_each(|check| _ = monitor.add(check));
        self.trees.iter().for_each(|tree| _ = monitor.watch(tree));
        monitor
    }

    fn service(&self, board: &Arc<Board>) -> ChildSpec<HealthService> {
        let (board, tick) = (Arc::clone(board), self.tick);
        let factory = move || HealthService::new(Arc::clone(&board), tick);
        let spec = child("monitor", factory).capacity(CAPACITY).overflow(Overflow::Reject);
        match self.fault() {
            Some(fault) => spec.faulty(fault),
            None => spec,
        }
    }

    fn fault(&self) -> Option<String> {
        let checks = self.checks.len() + self.trees.len();
        if checks > MAX_CHECKS {
            return Some(format!("{checks} checks, at most {MAX_CHECKS} were expected"));
        }
        if self.tick.is_zero() {
            return Some("`tick` is 0, more was expected".into());
        }
        self.alerts.check().err().map(|error| format!("alerts: {error}"))
    }
}

/// The child of a monitor whose services were taken before.
pub(crate) fn faulty(fault: String) -> ChildSpec<HealthService> {
    let outlook = Outlook::new(ModeMachine::new(ModeSettings::default()), Alerts::default());
    let board = Arc::new(Board::new(outlook, None));
    child("monitor", move || HealthService::new(Arc::clone(&board), DEFAULT_TICK)).faulty(fault)
}

impl fmt::Debug for HealthBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HealthBuilder")
            .field("name", &self.name)
            .field("checks", &self.checks)
            .finish_non_exhaustive()
    }
}

/// A handle to the service of a monitor.
pub(crate) type ServiceHandle = crate::service::handle::Handle<HealthRequest>;
