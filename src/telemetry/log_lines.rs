//! Metrics in the log.

use std::error::Error;

use super::exporter::Exporter;
use super::snapshot::MetricsSnapshot;

/// Writes metrics to the log: at level info, with the target `underpin::metrics`, a line for each name below a prefix, as
/// [`MetricsSnapshot::lines`] has them.
///
/// # Example
///
/// ```
/// use std::time::Duration;
/// use underpin::telemetry::{LogLines, Telemetry};
///
/// let telemetry = Telemetry::builder()
///     .exporter("log", Duration::from_secs(60), || LogLines::new().below("collector"))
///     .build();
/// ```
#[derive(Clone, Debug, Default)]
pub struct LogLines {
    prefix: String,
}

impl LogLines {
    /// Of all names.
    pub fn new() -> Self {
        Self::default()
    }

    /// Of this name and those below it.
    pub fn below(mut self, prefix: impl Into<String>) -> Self {
        self.prefix = prefix.into();
        self
    }
}

impl Exporter for LogLines {
    fn export(&mut self, metrics: &MetricsSnapshot) -> Result<(), Box<dyn Error + Send + Sync>> {
        let below = metrics.below(&self.prefix);
        below.lines().for_each(|line| log::info!(target: "underpin::metrics", "{line}"));
        Ok(())
    }
}
