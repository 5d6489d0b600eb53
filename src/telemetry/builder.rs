//! How a telemetry is made, and its services.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::catalog::Caps;
use super::exporter::{Exporter, ExporterService};
use super::limits::DEFAULT_MAX_NAMES;
use super::service::{Hand, TelemetryService};
use super::telemetry::{Hub, Telemetry};
use crate::supervisor::spec::child;
use crate::supervisor::supervisor::Supervisor;
use crate::sync::{AtomicBool, Clock};

/// So many series there may be if nothing is said.
pub const DEFAULT_MAX_SERIES: usize = 10_000;
/// A series is shown for so long after something was added to it, if nothing is said: 1 h.
pub const DEFAULT_RETENTION: Duration = Duration::from_secs(3600);
/// Collectors are asked so often if nothing is said.
pub const DEFAULT_TICK: Duration = Duration::from_secs(1);
/// A tick is at least so long.
pub const SHORTEST_TICK: Duration = Duration::from_millis(10);
/// How many requests wait for a service.
const CAPACITY: usize = 16;
/// How long an exporter has for its last export, and a collector for its last figures.
const GRACE: Duration = Duration::from_secs(5);
/// How often a service may crash. What it runs is contained; so these are faults of the crate's own.
const CRASHES: (u32, Duration) = (10, Duration::from_secs(5));

/// Describes a [`Telemetry`].
#[derive(Clone, Debug)]
#[must_use = "a description counts nothing"]
pub struct TelemetryBuilder {
    name: Arc<str>,
    clock: Clock,
    caps: Caps,
    recipe: Recipe,
}

/// What its services are made from.
#[derive(Clone, Debug)]
pub(crate) struct Recipe {
    pub(super) tick: Duration,
    exporters: Vec<Order>,
}

#[derive(Clone)]
struct Order {
    name: Arc<str>,
    every: Duration,
    make: Arc<dyn Fn() -> Box<dyn Exporter> + Send + Sync>,
}

impl fmt::Debug for Order {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Exporter")
            .field("name", &self.name)
            .field("every", &self.every)
            .finish_non_exhaustive()
    }
}

impl TelemetryBuilder {
    pub(super) fn new() -> Self {
        let (families, series) = (DEFAULT_MAX_NAMES, DEFAULT_MAX_SERIES);
        Self {
            name: "telemetry".into(),
            clock: Clock::system(),
            caps: Caps { families, series, retention: Some(DEFAULT_RETENTION) },
            recipe: Recipe { tick: DEFAULT_TICK, exporters: Vec::new() },
        }
    }

    /// The name of its supervisor. `telemetry` if nothing is said.
    pub fn name(mut self, name: impl Into<Arc<str>>) -> Self {
        self.name = name.into();
        self
    }

    /// Where it reads the time, for retention, rates and spans. It is to be the one of the tree that its services run in.
    pub fn clock(mut self, clock: Clock) -> Self {
        self.clock = clock;
        self
    }

    /// How many series there may be, [`DEFAULT_MAX_SERIES`] if nothing is said. Whoever asks for one more of a name is given its
    /// overflow series, with the label `overflow="true"`.
    pub fn max_series(mut self, series: usize) -> Self {
        self.caps.series = series;
        self
    }

    /// How many names there may be, [`DEFAULT_MAX_NAMES`] if nothing is said. What is counted under one more is seen by nobody.
    pub fn max_names(mut self, names: usize) -> Self {
        self.caps.families = names;
        self
    }

    /// How long a series is shown after something was added to it, [`DEFAULT_RETENTION`] if nothing is said. Then it goes, if nobody
    /// has a handle; if somebody has, it is back when he adds something, and has lost nothing. `None`: for ever.
    ///
    /// With 0, nothing is shown that was not added to since the tick before.
    ///
    /// A gauge that is set to what it was is one that something was added to.
    pub fn retention(mut self, retention: Option<Duration>) -> Self {
        self.caps.retention = retention;
        self
    }

    /// How often collectors are asked and old series looked for: [`DEFAULT_TICK`] if nothing is said, [`SHORTEST_TICK`] at least.
    pub fn tick(mut self, tick: Duration) -> Self {
        self.recipe.tick = tick.max(SHORTEST_TICK);
        self
    }

    /// Adds an exporter, which is given all metrics so often, but not more often than each [`SHORTEST_TICK`], and once more when it stops.
    ///
    /// Its name is that of a service beside `collect` and `handlers`: one that is there twice is refused at the start.
    ///
    /// It has a thread of its own: whatever it does, nobody waits for it. Each of its lives begins with what `make` makes.
    pub fn exporter<E: Exporter>(
        mut self,
        name: impl Into<Arc<str>>,
        every: Duration,
        make: impl Fn() -> E + Send + Sync + 'static,
    ) -> Self {
        let make = move || Box::new(make()) as Box<dyn Exporter>;
        self.recipe.exporters.push(Order {
            name: name.into(),
            every: every.max(SHORTEST_TICK),
            make: Arc::new(make),
        });
        self
    }

    /// The telemetry. Nothing runs yet: see [`Telemetry::supervisor`].
    pub fn build(self) -> Telemetry {
        Telemetry::make(self.name, self.clock, self.caps, self.recipe)
    }
}

/// Exporters are first, and so stop last: what collectors and handlers do at the end is in the last export.
pub(super) fn supervisor_of(hub: &Arc<Hub>) -> Supervisor {
    let supervisor = Supervisor::new(Arc::clone(&hub.name)).intensity(CRASHES.0, CRASHES.1);
    let supervisor = hub.recipe.exporters.iter().fold(supervisor, |supervisor, order| {
        let (hub, Order { name, every, make }) = (Arc::clone(hub), order.clone());
        let service = child(name, move || ExporterService::new(Arc::clone(&hub), every, make()));
        supervisor.child(service.capacity(CAPACITY).shutdown(GRACE))
    });
    let (lent, is_watched) = (Arc::clone(hub), Arc::<AtomicBool>::default());
    let service = child("collect", move || TelemetryService::new(Arc::clone(&lent), Arc::clone(&is_watched)));
    let lent = Arc::clone(hub);
    let hand = child("handlers", move || Hand::new(Arc::clone(&lent)));
    let supervisor = supervisor.child(service.capacity(CAPACITY).shutdown(GRACE));
    supervisor.child(hand.capacity(CAPACITY).shutdown(GRACE))
}
