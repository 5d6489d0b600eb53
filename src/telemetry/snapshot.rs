//! What has been measured, as it was at one moment.

use std::sync::Arc;
use std::time::{Instant, SystemTime};

use super::descriptor::Descriptor;
use super::distribution::Distribution;
use super::labels::Labels;

/// What has been measured, as it was at one moment.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct MetricsSnapshot {
    /// When, by the clock on the wall.
    pub at: SystemTime,
    /// When, by the clock of the telemetry.
    pub moment: Instant,
    /// In the order of their names.
    pub families: Vec<Family>,
}

/// All series of one name.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Family {
    /// What is measured.
    pub descriptor: Arc<Descriptor>,
    /// In the order of their labels.
    pub series: Vec<Series>,
}

/// One series of a family.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Series {
    /// What tells it from the others.
    pub labels: Labels,
    /// What was measured.
    pub value: Value,
}

/// What was measured.
#[derive(Clone, Debug)]
pub enum Value {
    /// How much has come together, in the integers that were added: see [`Unit`](super::Unit).
    Counter(u64),
    /// How much there is.
    Gauge(f64),
    /// How often each value was there, in the integers that were recorded.
    Histogram(Arc<Distribution>),
}

impl MetricsSnapshot {
    /// The family of this name.
    pub fn family(&self, name: &str) -> Option<&Family> {
        let place = self.families.binary_search_by(|family| family.descriptor.name().cmp(name));
        place.ok().map(|at| &self.families[at])
    }

    /// The part of it that has names which are `prefix` or below it: as [`Telemetry::metrics`](super::Telemetry::metrics).
    pub fn below(&self, prefix: &str) -> Self {
        let below = self.families.iter().filter(|family| is_below(family.descriptor.name(), prefix));
        Self { at: self.at, moment: self.moment, families: below.cloned().collect() }
    }

    /// The series of this name and exactly these labels.
    pub fn series(&self, name: &str, labels: &[(&str, &str)]) -> Option<&Series> {
        let mut series = self.family(name)?.series.iter();
        series.find(|series| series.labels.len() == labels.len() && series.labels.contains(labels))
    }

    /// The value of a counter of this name and exactly these labels.
    pub fn counter(&self, name: &str, labels: &[(&str, &str)]) -> Option<u64> {
        match self.series(name, labels)?.value {
            Value::Counter(total) => Some(total),
            _ => None,
        }
    }

    /// The value of a gauge of this name and exactly these labels.
    pub fn gauge(&self, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
        match self.series(name, labels)?.value {
            Value::Gauge(value) => Some(value),
            _ => None,
        }
    }

    /// The values of a histogram of this name and exactly these labels.
    pub fn histogram(&self, name: &str, labels: &[(&str, &str)]) -> Option<&Arc<Distribution>> {
        match &self.series(name, labels)?.value {
            Value::Histogram(values) => Some(values),
            _ => None,
        }
    }
}

/// Whether a dotted name is this one or below it: `a.b` is below `a`, `ab` is not. All are below the empty name.
pub(crate) fn is_below(name: &str, prefix: &str) -> bool {
    let rest = name.strip_prefix(prefix);
    rest.is_some_and(|rest| prefix.is_empty() || rest.is_empty() || rest.starts_with('.'))
}
