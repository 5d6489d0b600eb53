//! Trees made by hand, and real ones.

use std::time::{Duration, SystemTime};

use super::previous::{Previous, kernel_sheet};
use super::*;
use crate::service::drops::Drops;
use crate::service::exit::Lifecycle;
use crate::service::inspect::{Current, MailboxInfo};
use crate::supervisor::child::ChildKind;
use crate::supervisor::inspect::{NodeInfo, SupervisorInfo};
use crate::supervisor::strategy::{Restart, Strategy};
use crate::sync::Clock;
use crate::telemetry::snapshot::{MetricsSnapshot, Value};

mod pure;
mod real;

const SECOND: Duration = Duration::from_secs(1);
const MS: Duration = Duration::from_millis(1);

/// What stands on a sheet, to be asked for.
struct Shown(MetricsSnapshot);

impl Shown {
    fn of(sheet: Sheet) -> Self {
        assert_eq!(sheet.refused(), 0);
        let families = sheet.into_families();
        Self(MetricsSnapshot { at: SystemTime::now(), moment: Clock::system().now(), families })
    }

    fn by(collector: &mut KernelCollector) -> Self {
        let mut sheet = Sheet::default();
        collector.collect(&mut sheet);
        Self::of(sheet)
    }

    fn value(&self, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
        match self.0.series(&format!("underpin.{name}"), labels)?.value {
            Value::Counter(total) => Some(total as f64),
            Value::Gauge(value) => Some(value),
            Value::Histogram(_) => None,
        }
    }

    /// A figure of one service.
    fn service(&self, path: &str, name: &str) -> Option<f64> {
        self.value(&format!("service.{name}"), &[("service", path)])
    }

    fn supervisor(&self, path: &str, name: &str) -> Option<f64> {
        self.value(&format!("supervisor.{name}"), &[("supervisor", path)])
    }

    /// A figure of all that are summed up.
    fn summed(&self, name: &str) -> Option<f64> {
        self.value(name, &[("tree", "app"), ("overflow", "true")])
    }

    fn drops(&self, path: &str, reason: &str) -> Option<f64> {
        self.value("service.drops", &[("service", path), ("reason", reason)])
    }

    fn tree(&self, name: &str) -> Option<f64> {
        self.value(&format!("tree.{name}"), &[("tree", "app")])
    }

    /// The state of one service, if it has exactly one.
    fn state(&self, path: &str) -> Option<String> {
        let states = self.0.family("underpin.service.state")?.series.iter();
        let mut own = states.filter(|series| series.labels.get("service") == Some(path));
        let state = own.next().filter(|_| own.next().is_none())?;
        matches!(state.value, Value::Gauge(1.0)).then(|| state.labels.get("state").map(str::to_owned))?
    }

    /// How many series there are of one service.
    fn series_of(&self, path: &str) -> usize {
        let series = self.0.families.iter().flat_map(|family| &family.series);
        series.filter(|series| series.labels.get("service") == Some(path)).count()
    }
}
