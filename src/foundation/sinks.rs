//! Several that hear of a configuration.

use std::sync::Arc;

use crate::config::{ConfigEvent, Metric, Sink};

/// Tells all of them.
pub(super) struct Sinks(pub(super) Vec<Arc<dyn Sink>>);

impl Sink for Sinks {
    fn event(&self, event: &ConfigEvent) {
        self.0.iter().for_each(|sink| sink.event(event));
    }

    fn metric(&self, metric: Metric, value: f64) {
        self.0.iter().for_each(|sink| sink.metric(metric, value));
    }
}
