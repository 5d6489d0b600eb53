//! What the facade needs of the telemetry.

use super::recorder::Facade;
use crate::telemetry::counter::Counter;
use crate::telemetry::descriptor::Descriptor;
use crate::telemetry::gauge::Gauge;
use crate::telemetry::histogram::Histogram;
use crate::telemetry::telemetry::Telemetry;

/// Where handles come from.
pub(crate) trait Meters: Send + Sync + 'static {
    /// What only rises.
    type Counter: Total;
    /// What goes up and down.
    type Gauge: Level;
    /// How often each value was there.
    type Histogram: Values;

    /// Whether there are as many series as there may be.
    fn is_full(&self) -> bool {
        false
    }
    /// The counter of this name and these labels.
    fn counter(&self, descriptor: &Descriptor, labels: &[(&str, &str)]) -> Self::Counter;
    /// The gauge of this name and these labels.
    fn gauge(&self, descriptor: &Descriptor, labels: &[(&str, &str)]) -> Self::Gauge;
    /// The histogram of this name and these labels.
    fn histogram(&self, descriptor: &Descriptor, labels: &[(&str, &str)]) -> Self::Histogram;
}

/// What only rises, in the integers of its unit.
pub(crate) trait Total: Send + Sync + 'static {
    /// Adds.
    fn add(&self, more: u64);
    /// Raises it to a total that is counted elsewhere; one that is lower changes nothing.
    fn raise_to(&self, total: u64);
}

/// What goes up and down, in its unit.
pub(crate) trait Level: Send + Sync + 'static {
    /// It is so much now.
    fn set(&self, value: f64);
    /// It is so much more.
    fn add(&self, more: f64);
    /// It is so much less.
    fn sub(&self, less: f64);
}

/// Values, in the integers of their unit.
pub(crate) trait Values: Send + Sync + 'static {
    /// This one was there once more.
    fn record(&self, value: u64);
}

impl Meters for Telemetry {
    type Counter = Counter;
    type Gauge = Gauge;
    type Histogram = Histogram;

    fn is_full(&self) -> bool {
        self.0.is_full()
    }

    fn counter(&self, descriptor: &Descriptor, labels: &[(&str, &str)]) -> Counter {
        Self::counter(self, descriptor, labels)
    }

    fn gauge(&self, descriptor: &Descriptor, labels: &[(&str, &str)]) -> Gauge {
        Self::gauge(self, descriptor, labels)
    }

    fn histogram(&self, descriptor: &Descriptor, labels: &[(&str, &str)]) -> Histogram {
        Self::histogram(self, descriptor, labels)
    }
}

impl Total for Counter {
    fn add(&self, more: u64) {
        Self::add(self, more);
    }

    fn raise_to(&self, total: u64) {
        Self::raise_to(self, total);
    }
}

impl Level for Gauge {
    fn set(&self, value: f64) {
        Self::set(self, value);
    }

    fn add(&self, more: f64) {
        Self::add(self, more);
    }

    fn sub(&self, less: f64) {
        self.subtract(less);
    }
}

impl Values for Histogram {
    fn record(&self, value: u64) {
        Self::record(self, value);
    }
}

impl Telemetry {
    /// A recorder of the crate `metrics`: what its macros count goes into this telemetry. Installed with
    /// `metrics::set_global_recorder`.
    pub fn facade(&self) -> Facade<Self> {
        Facade::new(self.clone())
    }
}
