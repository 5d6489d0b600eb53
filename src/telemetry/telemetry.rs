//! The telemetry of a program.

use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

use super::builder::TelemetryBuilder;
use super::catalog::{Caps, Catalog, Meter, MeterError};
use super::collector::Collector;
use super::counter::Counter;
use super::descriptor::{Descriptor, Kind};
use super::dispatch::Dispatch;
use super::gauge::Gauge;
use super::histogram::Histogram;
use super::local::SHARDS;
use super::merge::{merged, selected};
use super::own::Own;
use super::service::Run;
use super::sheet::Sheet;
use super::snapshot::{Family, MetricsSnapshot};
use crate::error::complain;
use crate::service::core::Urgent;
use crate::service::handle::Handle;
use crate::supervisor::supervisor::Supervisor;
use crate::sync::{Clock, Mutex, Snapshot, wall_now};

/// So many figures of collectors are kept at most, beside the series of handles.
pub(crate) const MAX_COLLECTED: usize = 50_000;

/// How long who asks collectors waits for somebody else who does.
const PATIENCE: Duration = Duration::from_secs(1);

/// The telemetry of a program: its metrics, what is executed, and who handles that. Clones are the same telemetry.
///
/// - [`counter`](Self::counter), [`gauge`](Self::gauge) and [`histogram`](Self::histogram) give handles, to be kept: to count
///   with one is a few nanoseconds, to look one up takes a lock.
/// - [`metrics`](Self::metrics) is what has been measured so far.
/// - [`add_collector`](Self::add_collector) brings in figures that are kept elsewhere.
/// - [`supervisor`](Self::supervisor) has the services: without them everything can be counted and read, but nothing is
///   collected, exported or forgotten.
///
/// Whoever counts never waits for a service and never fails. Where there is a fault, in a name or in labels, what is
/// counted is seen by nobody, and [`try_counter`](Self::try_counter) and its like say why.
///
/// # Example
///
/// ```
/// use underpin::telemetry::{Descriptor, Telemetry};
///
/// const LINES: Descriptor = Descriptor::counter("collector.lines", "Lines that were taken.");
///
/// let telemetry = Telemetry::new();
/// let errors = telemetry.counter(&LINES, &[("severity", "error")]);
/// errors.increment();
/// let metrics = telemetry.metrics("collector", &[]);
/// assert_eq!(metrics.counter("collector.lines", &[("severity", "error")]), Some(1));
/// ```
#[derive(Clone, Debug)]
pub struct Telemetry(pub(super) Arc<Hub>);

/// What the clones share. It outlives the services.
#[derive(Debug)]
pub(crate) struct Hub {
    pub(super) name: Arc<str>,
    pub(super) clock: Clock,
    catalog: Mutex<Catalog>,
    pub(super) dispatch: Dispatch,
    /// Who calls deferred handlers.
    hand: Mutex<Option<Handle<Run>>>,
    collectors: Mutex<Vec<Arc<Collector>>>,
    /// What collectors wrote down last.
    collected: Snapshot<Collected>,
    pub(super) own: Own,
    /// How many of its services that collect are there, each in a tree of its own. `None` before the first.
    lives: Mutex<Option<usize>>,
    pub(super) recipe: super::builder::Recipe,
}

#[derive(Debug, Default)]
struct Collected {
    families: Vec<Family>,
    at: Option<Instant>,
}

impl Default for Telemetry {
    fn default() -> Self {
        Self::new()
    }
}

impl Telemetry {
    /// With the settings that stand if nothing is said.
    pub fn new() -> Self {
        Self::builder().build()
    }

    /// To say what is special about it.
    pub fn builder() -> TelemetryBuilder {
        TelemetryBuilder::new()
    }

    /// The telemetry of the whole process, which the macros [`counter!`](crate::counter), [`gauge!`](crate::gauge) and
    /// [`histogram!`](crate::histogram) count into. It is there from the first use on; its services run where somebody starts them.
    pub fn global() -> &'static Self {
        static GLOBAL: LazyLock<Telemetry> = LazyLock::new(Telemetry::new);
        &GLOBAL
    }

    pub(super) fn make(name: Arc<str>, clock: Clock, caps: Caps, recipe: super::builder::Recipe) -> Self {
        let hub = Arc::new(Hub {
            name,
            dispatch: Dispatch::new(clock.clone()),
            hand: Mutex::new(None),
            clock,
            catalog: Mutex::new(Catalog::new(caps)),
            collectors: Mutex::new(Vec::new()),
            collected: Snapshot::new(Arc::default()),
            own: Own::default(),
            lives: Mutex::new(None),
            recipe,
        });
        let awake = Arc::downgrade(&hub);
        hub.dispatch.on_deferred(move || awake.upgrade().into_iter().for_each(|hub| hub.wake_hand()));
        Self(hub)
    }

    // ---- handles -------------------------------------------------------------------------

    /// The counter of these labels, made if there is none.
    ///
    /// Never fails: beyond the [cap](TelemetryBuilder::max_series) it is the overflow series of its name, with the label
    /// `overflow="true"`; where something is wrong, it is one that nobody sees, which is counted and logged.
    ///
    /// # Blocking
    ///
    /// On others that look up handles or read metrics, for as long as that takes them: microseconds, or a millisecond with
    /// 10,000 series. Keep the handle.
    pub fn counter(&self, descriptor: &Descriptor, labels: &[(&str, &str)]) -> Counter {
        self.try_counter(descriptor, labels).unwrap_or_else(|fault| self.0.refused(&fault, Counter::new))
    }

    /// As [`counter`](Self::counter), and says what is wrong.
    ///
    /// # Errors
    ///
    /// When the name or the labels are wrong, when the name stands for something else already, or when there are too many names.
    pub fn try_counter(
        &self,
        descriptor: &Descriptor,
        labels: &[(&str, &str)],
    ) -> Result<Counter, MeterError> {
        match self.0.meter(descriptor, Kind::Counter, labels)? {
            Meter::Counter(counter) => Ok(counter),
            _ => Err(wrong_kind(descriptor, Kind::Counter)),
        }
    }

    /// The gauge of these labels, made if there is none. As [`counter`](Self::counter).
    pub fn gauge(&self, descriptor: &Descriptor, labels: &[(&str, &str)]) -> Gauge {
        self.try_gauge(descriptor, labels).unwrap_or_else(|fault| self.0.refused(&fault, Gauge::default))
    }

    /// As [`gauge`](Self::gauge), and says what is wrong.
    ///
    /// # Errors
    ///
    /// As [`try_counter`](Self::try_counter).
    pub fn try_gauge(&self, descriptor: &Descriptor, labels: &[(&str, &str)]) -> Result<Gauge, MeterError> {
        match self.0.meter(descriptor, Kind::Gauge, labels)? {
            Meter::Gauge(gauge) => Ok(gauge),
            _ => Err(wrong_kind(descriptor, Kind::Gauge)),
        }
    }

    /// The histogram of these labels, made if there is none. As [`counter`](Self::counter).
    pub fn histogram(&self, descriptor: &Descriptor, labels: &[(&str, &str)]) -> Histogram {
        self.try_histogram(descriptor, labels).unwrap_or_else(|fault| self.0.refused(&fault, Histogram::new))
    }

    /// As [`histogram`](Self::histogram), and says what is wrong.
    ///
    /// # Errors
    ///
    /// As [`try_counter`](Self::try_counter).
    pub fn try_histogram(
        &self,
        descriptor: &Descriptor,
        labels: &[(&str, &str)],
    ) -> Result<Histogram, MeterError> {
        match self.0.meter(descriptor, Kind::Histogram, labels)? {
            Meter::Histogram(histogram) => Ok(histogram),
            _ => Err(wrong_kind(descriptor, Kind::Histogram)),
        }
    }

    // ---- what was measured ---------------------------------------------------------------

    /// What has been measured, of names that are `prefix` or below it, and of series that have these labels, and perhaps
    /// others. `a.b` is below `a`, and `ab` is not; all are below the empty prefix.
    ///
    /// What handles count is as it is now; what collectors say is as they said it at the last tick, or at the last
    /// [`collect`](Self::collect).
    ///
    /// # Blocking
    ///
    /// On others that look up handles or read metrics. Never on a service, and nobody who counts waits for it.
    pub fn metrics(&self, prefix: &str, labels: &[(&str, &str)]) -> MetricsSnapshot {
        let hub = &*self.0;
        hub.dispatch.bury();
        let moment = hub.clock.now();
        let (read, mut sheet) = hub.read(prefix, labels);
        let collected = hub.collected.load();
        super::own::write_dispatch(&mut sheet, &hub.dispatch);
        hub.own.write(&mut sheet, collected.at.map(|at| moment.saturating_duration_since(at)));
        let collected = selected(&collected.families, prefix, labels);
        let own = selected(&sheet.into_families(), prefix, labels);
        let families = merged([read, collected, own]);
        MetricsSnapshot { at: wall_now(), moment, families }
    }

    /// All metrics, for somebody whom this telemetry itself has: without keeping it.
    #[cfg(all(feature = "foundation", feature = "health"))]
    pub(crate) fn metrics_while_there(&self) -> impl Fn() -> MetricsSnapshot + Send + Sync + use<> + 'static {
        let (hub, clock) = (Arc::downgrade(&self.0), self.0.clock.clone());
        move || match hub.upgrade() {
            Some(hub) => Self(hub).metrics("", &[]),
            None => MetricsSnapshot { at: wall_now(), moment: clock.now(), families: Vec::new() },
        }
    }

    /// Adds figures that are kept elsewhere: `collect` is called with each tick, on the thread of the telemetry's service,
    /// and by [`collect`](Self::collect), never by two threads at once. It is to come back soon: the next one waits for it. A panic in it is
    /// contained and counted.
    ///
    /// `name` is for logs; one of the same name is replaced, which takes effect when that has come back.
    pub fn add_collector(&self, name: &str, collect: impl Fn(&mut Sheet) + Send + Sync + 'static) {
        let collector = Collector::new(name, collect);
        let mut collectors = self.0.collectors.lock();
        let before = take_named(&mut collectors, name);
        collectors.push(Arc::new(collector));
        drop(collectors);
        drop(before); // code of the user's
    }

    /// Asks the collector of this name no more; `false` if there is none. What it said last stands until the others are asked.
    pub fn remove_collector(&self, name: &str) -> bool {
        let removed = take_named(&mut self.0.collectors.lock(), name);
        removed.is_some() // dropped here, after the lock
    }

    /// Asks all collectors now, on the calling thread: what [`metrics`](Self::metrics) says of them is from then on no older than this call.
    ///
    /// # Blocking
    ///
    /// For as long as they take. One that is being asked by another thread, as by the service with a tick, is waited for, 1 s at most for
    /// all; where that was in vain, because it hangs, what it said last stands.
    pub fn collect(&self) {
        self.0.collect(Some(self.0.clock.now() + PATIENCE));
    }

    // ---- services ------------------------------------------------------------------------

    /// Describes its services: one that collects with each tick and forgets old series, one that calls deferred handlers, and one for
    /// each exporter. To be started before what is measured, and so stopped after it.
    pub fn supervisor(&self) -> Supervisor {
        super::builder::supervisor_of(&self.0)
    }

    /// Whether its services were there and are gone: then what is executed is not handled any more, and nothing is
    /// exported. Handles go on counting.
    pub fn is_closed(&self) -> bool {
        *self.0.lives.lock() == Some(0)
    }
}

#[cfg(all(test, feature = "metrics", not(underpin_loom)))]
impl Telemetry {
    pub(super) fn sweep_for_test(&self) {
        self.0.sweep();
    }
}

fn take_named(collectors: &mut Vec<Arc<Collector>>, name: &str) -> Option<Arc<Collector>> {
    let place = collectors.iter().position(|collector| collector.name() == name)?;
    Some(collectors.remove(place))
}

fn wrong_kind(descriptor: &Descriptor, wanted: Kind) -> MeterError {
    MeterError::Kind { name: descriptor.name().into(), described: descriptor.kind(), wanted }
}

impl Hub {
    fn meter(
        &self,
        descriptor: &Descriptor,
        wanted: Kind,
        labels: &[(&str, &str)],
    ) -> Result<Meter, MeterError> {
        if descriptor.kind() != wanted {
            return Err(wrong_kind(descriptor, wanted));
        }
        self.catalog.lock().meter(descriptor, labels, self.clock.now())
    }

    /// Whether whoever asks for a series that is not there is given one of overflow.
    #[cfg(feature = "metrics")]
    pub(super) fn is_full(&self) -> bool {
        let catalog = self.catalog.lock();
        catalog.counts.series >= catalog.caps().series
    }

    /// What is counted goes nowhere. Who asks again and again is not told each time: the 1st, the 2nd, the 4th, ..
    fn refused<T>(&self, fault: &MeterError, make: impl Fn() -> T) -> T {
        let nth = self.catalog.lock().refuse();
        if nth.is_power_of_two() {
            let name = &self.name;
            complain(format_args!(
                "telemetry `{name}`: what is counted here is seen by nobody: {fault} ({nth} in all)"
            ));
        }
        make()
    }

    /// What handles have counted, and a sheet with the catalog's own figures.
    fn read(&self, prefix: &str, labels: &[(&str, &str)]) -> (Vec<Family>, Sheet) {
        let catalog = self.catalog.lock();
        let look = SHARDS.look();
        let selected = catalog.select(prefix, labels, &look);
        drop(look);
        let (counts, caps) = (catalog.counts, catalog.caps());
        drop(catalog);
        let mut sheet = Sheet::default();
        super::own::write_catalog(&mut sheet, counts, caps);
        (selected.into_iter().map(super::catalog::Selected::finish).collect(), sheet)
    }

    /// Asks all collectors, and shows what they say as one. Somebody else who asks is waited for until `deadline`.
    pub(super) fn collect(&self, deadline: Option<Instant>) {
        let at = self.clock.now();
        let collectors = self.collectors.lock().clone();
        let mut room = MAX_COLLECTED;
        for collector in collectors {
            collector.ask(&self.own, room, (&self.clock, deadline));
            room = room.saturating_sub(collector.said().iter().map(|family| family.series.len()).sum());
        }
        self.show(at);
    }

    /// Each one's figures only become newer, and they are put together under a lock: what is shown never goes back.
    fn show(&self, at: Instant) {
        let collectors = self.collectors.lock();
        let families = merged(collectors.iter().map(|collector| collector.said().to_vec()));
        let at = self.collected.load().at.map_or(at, |before| before.max(at));
        self.collected.store(Arc::new(Collected { families, at: Some(at) }));
    }

    /// Series that nothing was added to for long go.
    pub(super) fn sweep(&self) {
        let mut catalog = self.catalog.lock();
        let look = SHARDS.look();
        let gone = catalog.sweep(&look, self.clock.now());
        drop((look, catalog));
        drop(gone); // takes the lock of the look
    }

    /// A service that collects is there.
    pub(super) fn open(&self) {
        let mut lives = self.lives.lock();
        *lives = Some(lives.unwrap_or(0) + 1);
        self.dispatch.open();
    }

    /// One is gone for good. Under the lock, so that of an end and a beginning the later one stands.
    pub(super) fn close(&self) {
        let mut lives = self.lives.lock();
        let left = lives.unwrap_or(0).saturating_sub(1);
        *lives = Some(left);
        if left == 0 {
            self.dispatch.close();
        }
    }

    // ---- deferred handlers ---------------------------------------------------------------

    /// Who calls them from now on.
    pub(super) fn lend(&self, hand: Handle<Run>) {
        let before = self.hand.lock().replace(hand);
        drop(before); // after the lock
    }

    /// Never waits, so anybody may: that it is woken is beside its mailbox.
    fn wake_hand(&self) {
        let hand = self.hand.lock().clone();
        let message = || Some(Run);
        hand.into_iter().for_each(|hand| hand.core().mailbox.push_urgent(Urgent::News(Box::new(message))));
    }
}
