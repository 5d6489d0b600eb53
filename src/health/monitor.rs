//! The health of a program, as the program uses it.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::alerts::AlertEvent;
use super::board::{ModeReader, Source};
use super::builder::{HealthBuilder, MAX_CHECKS, faulty};
use super::check::Check;
use super::checker::{CheckRequest, Order, checker};
use super::live;
use super::mode::{Mode, ModeChange, ModeSettings};
use super::settings::{AlertSettings, AlertSettingsError};
use super::sink::Sink;
use super::verdict::{HealthReport, Verdict};
use super::view::View;
use crate::supervisor::inspect::NodeInfo;
use crate::supervisor::reference::SupervisorRef;
use crate::supervisor::supervisor::Supervisor;
use crate::sync::Mutex;
use crate::telemetry::MetricsSnapshot;

/// How often a tree is looked at.
const TREE_EVERY: Duration = Duration::from_secs(1);
/// How long that may take: a supervisor that goes down is waited for at most 5 s.
const TREE_WITHIN: Duration = Duration::from_secs(6);
/// Whether a program can do its work: checks, a mode, alerts. Cheap to clone; all clones are the same monitor.
///
/// - [`health`](Self::health), [`readiness`](Self::readiness) and [`liveness`](Self::liveness) are judged by whoever
///   asks, at that moment, from what the checks said last: no thread is waited for, and one that hangs is seen at once.
/// - [`mode`](Self::mode) follows the health, down at once and up late. It is read without a lock.
/// - Alerts are raised and cleared by the metrics; a [`Sink`] hears of each, and of each change of mode and health.
/// - Its services are started by [`supervisor`](Self::supervisor). Before that and after their end the health
///   is unknown.
///
/// # Example
///
/// ```
/// use std::time::Duration;
/// use underpin::Supervisor;
/// use underpin::health::{Check, Health, HealthMonitor, Mode, Verdict};
///
/// let app = Supervisor::new("app");
/// let health = HealthMonitor::builder()
///     .check(Check::new("cache", || Verdict::degraded("cold")).critical(false))
///     .watch(app.reference())
///     .build();
/// assert_eq!(health.health().health, Health::Unknown);
/// let app = app.supervisor(health.supervisor()).start()?;
/// let cache = health.check_now("cache", Duration::from_secs(5))?;
/// assert_eq!((cache.health(), cache.why()), (Health::Degraded, "cold"));
/// println!("{}, mode {}", health.health(), health.mode());
/// # drop(app);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct HealthMonitor {
    view: Arc<View>,
    /// Taken by the first who asks.
    services: Arc<Mutex<Option<Supervisor>>>,
}

/// Why a check was not run now.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CheckNowError {
    /// There is no check of this name.
    #[error("there is no check `{name}`, of {known:?}")]
    Unknown {
        /// The name.
        name: String,
        /// The checks that there are.
        known: Vec<String>,
    },
    /// It did not answer in time, is not running, or too many wait for it.
    #[error("check `{name}` did not answer: {reason}")]
    Unanswered {
        /// The check.
        name: String,
        /// Why.
        reason: String,
    },
}

impl HealthMonitor {
    pub(crate) fn new(view: Arc<View>, services: Supervisor) -> Self {
        Self { view, services: Arc::new(Mutex::new(Some(services))) }
    }

    /// Describes a monitor.
    pub fn builder() -> HealthBuilder {
        HealthBuilder::new()
    }

    #[cfg(all(test, not(underpin_loom)))]
    pub(crate) fn view_for_test(&self) -> &View {
        &self.view
    }

    /// Its name, which is that of its supervisor.
    pub fn name(&self) -> &str {
        &self.view.name
    }

    /// Its services, to be given to a supervisor, or to be [started](Supervisor::start) by themselves: the one that
    /// looks, and one for each check. Best given as the last of its siblings: the first looks see the others up.
    ///
    /// A monitor has them once: taken a second time, they are refused at their start.
    pub fn supervisor(&self) -> Supervisor {
        let taken = self.services.lock().take();
        taken.unwrap_or_else(|| {
            let fault = format!("the monitor `{}` has its services already", self.view.name);
            Supervisor::new(Arc::clone(&self.view.name)).child(faulty(fault))
        })
    }

    /// Adds a check of a tree, called `tree-` and its name, that counts for readiness and for liveness. `false` if the
    /// [`supervisor`](Self::supervisor) has been taken, or there are [`MAX_CHECKS`]: then nothing is added.
    ///
    /// It counts the services of each supervisor each second. A supervisor none of whose services is up is unhealthy,
    /// whatever the reason; so is one that is itself down. Where some services are not up, and where threads were
    /// given up, it is degraded. Services that are done are not expected, and temporary ones that ended are not there any
    /// more to be counted: a pool of those says itself [how many](Self::watch_pool) there are to be.
    pub fn watch(&self, tree: &SupervisorRef) -> bool {
        self.watch_as("tree", tree, live::verdict)
    }

    /// Adds a check of the services directly below one supervisor, called `pool-` and its name, that counts for
    /// readiness and for liveness. It is degraded where fewer than `least` are up, and unhealthy where none is.
    /// `false` as for [`watch`](Self::watch).
    pub fn watch_pool(&self, pool: &SupervisorRef, least: usize) -> bool {
        self.watch_as("pool", pool, move |node| live::at_least(least, node))
    }

    fn watch_as(
        &self,
        what: &str,
        tree: &SupervisorRef,
        judge: impl Fn(&NodeInfo) -> Verdict + Send + Sync + 'static,
    ) -> bool {
        let (name, tree) = (format!("{what}-{}", tree.name()), tree.clone());
        let look = move || match tree.inspect() {
            Ok(node) => judge(&node),
            Err(error) => Verdict::unhealthy(error.to_string()),
        };
        self.add(Check::new(name, look).every(TREE_EVERY).within(TREE_WITHIN).readiness().liveness())
    }

    pub(crate) fn add(&self, check: Check) -> bool {
        let mut supervisor = self.services.lock();
        if supervisor.is_none() || self.view.board.seats().len() >= MAX_CHECKS {
            return false;
        }
        let (spec, seat) = checker(check, &self.view.board);
        *supervisor = supervisor.take().map(|supervisor| supervisor.child(spec));
        self.view.board.add(seat);
        true
    }

    // ---- looking -------------------------------------------------------------------------

    /// How well the program does, and why no better: all checks, and the monitor itself.
    ///
    /// Never waits for a check or a service.
    pub fn health(&self) -> HealthReport {
        self.view.health()
    }

    /// Whether it can take work: the checks that count for readiness.
    pub fn readiness(&self) -> HealthReport {
        self.view.readiness()
    }

    /// Whether it is better started again: the checks that count for liveness.
    pub fn liveness(&self) -> HealthReport {
        self.view.liveness()
    }

    /// Runs a check now, and returns what it says. It counts as any other run.
    ///
    /// # Errors
    ///
    /// When there is no such check, and when it does not answer in time, as while an earlier run hangs.
    ///
    /// # Blocking
    ///
    /// Until the check has answered, at most `within`; inside a handler the deadline of that handler's caller
    /// applies too.
    pub fn check_now(&self, name: &str, within: Duration) -> Result<Verdict, CheckNowError> {
        let seats = self.view.board.seats();
        let Some(seat) = seats.iter().find(|seat| seat.name() == name) else {
            let known = seats.iter().map(|seat| seat.name().to_owned()).collect();
            return Err(CheckNowError::Unknown { name: name.to_owned(), known });
        };
        let asked = seat.handle.call_timeout(within, |reply| CheckRequest(Order::Ask(reply)));
        asked.map_err(|error| CheckNowError::Unanswered { name: name.to_owned(), reason: error.to_string() })
    }

    // ---- modes ---------------------------------------------------------------------------

    /// The present mode: [`Mode::Full`] before the first look; after the end it stays what it was. Never blocks.
    pub fn mode(&self) -> Mode {
        self.mode_reader().get()
    }

    /// A reader of the mode, to be given to services.
    pub fn mode_reader(&self) -> ModeReader {
        ModeReader::new(self.view.board.mode())
    }

    /// Has every change of the mode told to a closure from now on, as long as there is the monitor. It is called as a
    /// [`Sink`] is, after it: it must not block, and casts to the service that wants to know.
    pub fn on_mode(&self, listener: impl Fn(&ModeChange) + Send + Sync + 'static) {
        self.view.board.listen(Arc::new(listener));
    }

    /// How soon the mode follows the health from now on.
    pub fn set_mode(&self, settings: ModeSettings) {
        self.view.board.change(|outlook| outlook.mode.set(settings));
    }

    // ---- alerts --------------------------------------------------------------------------

    /// The alerts that are raised.
    pub fn raised_alerts(&self) -> Vec<String> {
        self.view.board.see(|outlook| outlook.alerts.raised())
    }

    /// When which alert is raised from now on. One that stays goes on as it is, until a value says otherwise; one whose
    /// rule is gone or turned off is cleared.
    ///
    /// # Errors
    ///
    /// When something is [wrong](AlertSettings::check) with them. Then nothing was changed.
    pub fn set_alerts(&self, settings: &AlertSettings) -> Result<(), AlertSettingsError> {
        self.view.board.set_alerts(self.view.clock().now(), settings)
    }

    /// Asks `settings` with each tick when which alert is raised from now on. It is given the number that it said last, 0 at first, and
    /// says another one and the settings, or `None` where nothing has changed. Wrong settings change nothing, which is logged.
    /// Called as a [`Sink`] is.
    pub fn follow_alerts(
        &self,
        settings: impl Fn(u64) -> Option<(u64, AlertSettings)> + Send + Sync + 'static,
    ) {
        self.view.board.set_rules(Arc::new(settings));
    }

    /// Has each raise and each clear of an alert told to a closure from now on, as long as there is the monitor. It is called
    /// as a [`Sink`] is, after it.
    pub fn on_alert(&self, alarm: impl Fn(&AlertEvent) + Send + Sync + 'static) {
        self.view.board.alarm(Arc::new(alarm));
    }

    /// Has all that happens told to a sink from now on, as long as there is the monitor, after those that were added before.
    pub fn add_sink(&self, sink: Arc<dyn Sink>) {
        self.view.board.add_sink(sink);
    }

    /// Where metrics come from, if nobody has said it.
    #[cfg(feature = "foundation")]
    pub(crate) fn set_default_source(&self, source: impl Fn() -> MetricsSnapshot + Send + Sync + 'static) {
        self.view.board.set_default_source(Arc::new(source));
    }

    /// Where metrics come from, from now on: see [`HealthBuilder::source`].
    pub fn set_source(&self, source: impl Fn() -> MetricsSnapshot + Send + Sync + 'static) {
        let source: Source = Arc::new(source);
        self.view.board.set_source(source);
    }
}

impl fmt::Debug for HealthMonitor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HealthMonitor").field("name", &self.view.name).field("mode", &self.mode()).finish()
    }
}
