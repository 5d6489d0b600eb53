//! What belongs to a monitor and outlives the lives of its service.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use super::alerts::AlertEvent;
use super::checker::Seat;
use super::mode::{Mode, ModeChange};
use super::news::News;
use super::outlook::Outlook;
use super::service::{HealthRequest, Order};
use super::settings::{AlertSettings, AlertSettingsError};
use super::sink::Sink;
use super::verdict::HealthReport;
use crate::error::{complain, panic_text};
use crate::service::handle::Handle;
use crate::sync::{AtomicBool, AtomicU8, Mutex, Ordering, mutant};
use crate::telemetry::MetricsSnapshot;

/// Where the metrics come from.
pub(crate) type Source = Arc<dyn Fn() -> MetricsSnapshot + Send + Sync>;
/// Whoever is told of modes.
pub(crate) type Listener = Arc<dyn Fn(&ModeChange) + Send + Sync>;
/// Whoever is told of alerts.
pub(crate) type Alarm = Arc<dyn Fn(&AlertEvent) + Send + Sync>;
/// Says when which alert is raised, and the number of that, if it is another than stands.
pub(crate) type Rules = Arc<dyn Fn(u64) -> Option<(u64, AlertSettings)> + Send + Sync>;

/// What belongs to a monitor and outlives the lives of its service. The page
/// [`protocol`](super::protocol) says who may write what.
pub(crate) struct Board {
    seats: Mutex<Vec<Seat>>,
    outlook: Mutex<Outlook>,
    mode: Arc<AtomicU8>,
    voice: Mutex<Voice>,
    source: Mutex<Option<Source>>,
    rules: Mutex<Option<Rules>>,
    /// Whether the service has been asked to look and has not begun to.
    is_nudged: AtomicBool,
    service: OnceLock<Handle<HealthRequest>>,
}

/// Who is told.
#[derive(Clone, Default)]
struct Voice {
    sinks: Vec<Arc<dyn Sink>>,
    listeners: Vec<Listener>,
    alarms: Vec<Alarm>,
}

impl Board {
    pub(crate) fn new(outlook: Outlook, source: Option<Source>) -> Self {
        Self {
            seats: Mutex::new(Vec::new()),
            outlook: Mutex::new(outlook),
            mode: Arc::default(),
            voice: Mutex::default(),
            source: Mutex::new(source),
            rules: Mutex::new(None),
            is_nudged: AtomicBool::new(false),
            service: OnceLock::new(),
        }
    }

    // ---- who is there --------------------------------------------------------------------

    pub(crate) fn served_by(&self, service: Handle<HealthRequest>) {
        let _ = self.service.set(service); // once, by who makes it
    }

    pub(crate) fn add(&self, seat: Seat) {
        self.seats.lock().push(seat);
    }

    pub(crate) fn seats(&self) -> Vec<Seat> {
        self.seats.lock().clone()
    }

    pub(crate) fn add_sink(&self, sink: Arc<dyn Sink>) {
        self.voice.lock().sinks.push(sink);
    }

    pub(crate) fn alarm(&self, alarm: Alarm) {
        self.voice.lock().alarms.push(alarm);
    }

    pub(crate) fn set_rules(&self, rules: Rules) {
        let old = self.rules.lock().replace(rules);
        drop(old); // after the lock
    }

    pub(crate) fn set_alerts(
        &self,
        now: Instant,
        settings: &AlertSettings,
    ) -> Result<(), AlertSettingsError> {
        settings.check()?;
        self.change(|outlook| outlook.set_alerts(now, settings));
        Ok(())
    }

    /// Asks for the rules, if somebody says them. Wrong ones change nothing, nor do those of a life that was given up over
    /// the question.
    pub(crate) fn follow_rules(&self, life: u64, now: Instant) {
        let Some(rules) = self.rules.lock().clone() else { return };
        let standing = self.see(|outlook| outlook.rules);
        let said = contained("what says when alerts are raised", || rules(standing)).flatten();
        let Some((number, settings)) = said else { return };
        let fault = settings.check().err();
        self.change(|outlook| {
            if !outlook.outbox.is_carried_by(life) {
                return;
            }
            outlook.rules = number; // wrong ones are not asked for again either
            if fault.is_none() {
                outlook.set_alerts(now, &settings);
            }
        });
        fault.into_iter().for_each(|fault| complain(format_args!("alerts stay as they were: {fault}")));
    }

    pub(crate) fn listen(&self, listener: Listener) {
        self.voice.lock().listeners.push(listener);
    }

    pub(crate) fn set_source(&self, source: Source) {
        let old = self.source.lock().replace(source);
        drop(old); // after the lock
    }

    #[cfg(feature = "foundation")]
    pub(crate) fn set_default_source(&self, source: Source) {
        self.source.lock().get_or_insert(source);
    }

    /// What can be seen of the mode without a lock.
    pub(crate) fn mode(&self) -> &Arc<AtomicU8> {
        &self.mode
    }

    /// Changes something between two looks, and has what comes of it told.
    pub(crate) fn change<T>(&self, change: impl FnOnce(&mut Outlook) -> T) -> T {
        let changed = change(&mut self.outlook.lock());
        self.nudge();
        changed
    }

    /// Looks at how things are, without changing them.
    pub(crate) fn see<T>(&self, see: impl FnOnce(&Outlook) -> T) -> T {
        see(&self.outlook.lock())
    }

    // ---- asking for a look ---------------------------------------------------------------

    /// A check has answered: the service looks soon. One message at most is under way. One that finds no room comes
    /// to nothing, for the next tick looks anyway.
    pub(crate) fn nudge(&self) {
        if self.is_nudged.swap(true, Ordering::AcqRel) {
            return;
        }
        let sent = self.service.get().map(|service| service.cast(HealthRequest(Order::Look)));
        if !matches!(sent, Some(Ok(()))) {
            self.is_nudged.store(false, Ordering::Release);
        }
    }

    /// The look begins: what is answered from now on asks for another. A swap, so that it also sees what those
    /// wrote who found that it was asked for already.
    pub(crate) fn heed(&self) {
        self.is_nudged.swap(false, Ordering::AcqRel);
    }

    // ---- looking -------------------------------------------------------------------------

    /// A life of the service begins. None before it looks or tells any more.
    pub(crate) fn begin(&self, life: u64, now: Instant) {
        let mut outlook = self.outlook.lock();
        outlook.outbox.carried_by(life);
        outlook.begin(now);
        drop(outlook);
        self.heed();
    }

    /// One look of a life, and all that comes of it.
    pub(crate) fn turn(&self, life: u64, now: Instant, measures: bool) {
        self.deliver(life); // what was left by the life before
        let report = HealthReport::of(now, self.seats().iter().map(|seat| seat.reason(now)));
        let snapshot = measures.then(|| self.snapshot());
        self.take_in(life, report, snapshot.flatten());
        self.deliver(life);
    }

    /// State and news change together, under one lock: there is no moment at which an alert is raised and nobody
    /// is to be told. `None` of a look that was to measure interrupts what has to last.
    pub(crate) fn take_in(&self, life: u64, report: HealthReport, snapshot: Option<Option<MetricsSnapshot>>) {
        let mut outlook = self.outlook.lock();
        if !outlook.outbox.is_carried_by(life) || !outlook.outbox.is_empty() {
            return; // given up, or it could not tell all
        }
        let now = report.at;
        let mode = outlook.look(now, report);
        if let Some(snapshot) = snapshot {
            outlook.measure(now, snapshot);
        }
        if mutant!(ShowApart) {
            drop(outlook);
            outlook = self.outlook.lock();
        }
        // Under the same lock, so that of two modes the later one stays.
        self.mode.store(mode as u8, Ordering::Release);
        drop(outlook);
    }

    /// `None`: nothing to measure. `Some(None)`: the source panicked.
    fn snapshot(&self) -> Option<Option<MetricsSnapshot>> {
        let source = self.source.lock().clone()?;
        Some(contained("the source of metrics", || source()))
    }

    // ---- telling -------------------------------------------------------------------------

    /// Tells what is to be told, in order. A life that ends over it leaves it to the next.
    pub(crate) fn deliver(&self, life: u64) {
        while let Some((number, news)) = self.next(life) {
            self.tell(&news);
            self.outlook.lock().outbox.told(number);
        }
    }

    /// The oldest that is to be told. It stays in until it has been.
    pub(crate) fn next(&self, life: u64) -> Option<(u64, News)> {
        let mut outlook = self.outlook.lock();
        let may = outlook.outbox.is_carried_by(life) || mutant!(TellForAnyLife);
        let first = may.then(|| outlook.outbox.first()).flatten();
        if mutant!(TellTakenOut) {
            first.iter().for_each(|(number, _)| outlook.outbox.told(*number));
        }
        first
    }

    fn tell(&self, news: &News) {
        let Voice { sinks, listeners, alarms } = self.voice.lock().clone();
        for sink in sinks {
            contained("a sink of health", || match news {
                News::Alert(event) => sink.alert(event),
                News::Mode(change) => sink.mode(change),
                News::Health(change) => sink.health(change),
            });
        }
        match news {
            News::Alert(event) => {
                alarms.iter().for_each(|alarm| _ = contained("a callback of alerts", || alarm(event)))
            }
            News::Mode(change) => {
                listeners
                    .iter()
                    .for_each(|listener| _ = contained("a listener to modes", || listener(change)));
            }
            News::Health(_) => {}
        }
    }
}

/// What a call of the user's came to; `None` where it panicked.
fn contained<T>(who: &str, call: impl FnOnce() -> T) -> Option<T> {
    let outcome = catch_unwind(AssertUnwindSafe(call));
    outcome.map_err(|panic| complain(format_args!("{who} panicked: {}", panic_text(panic)))).ok()
}

/// The mode as services see it: read without a lock, also while the health service is down.
///
/// # Example
///
/// ```
/// use underpin::health::{HealthMonitor, Mode};
///
/// let mode = HealthMonitor::builder().build().mode_reader();
/// if mode.get() < Mode::ReadOnly {
///     // write
/// }
/// ```
#[derive(Clone, Debug)]
pub struct ModeReader(Arc<AtomicU8>);

impl ModeReader {
    pub(crate) fn new(mode: &Arc<AtomicU8>) -> Self {
        Self(Arc::clone(mode))
    }

    /// The present mode. Never blocks.
    pub fn get(&self) -> Mode {
        // ORDERING: who sees a mode sees what the health service did before it.
        Mode::from_u8(self.0.load(Ordering::Acquire))
    }
}
