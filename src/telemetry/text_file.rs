//! Metrics as a file.

use std::error::Error;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::exporter::Exporter;
use super::snapshot::MetricsSnapshot;

/// How metrics are written down.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum TextFormat {
    /// The text format of Prometheus, 0.0.4: what its node exporter takes from a directory.
    #[default]
    Prometheus,
    /// OpenMetrics 1.0.
    OpenMetrics,
    /// As [`MetricsSnapshot::to_json`].
    Json,
}

/// Writes all metrics into a file. Who reads it finds a whole export, never a part of one: it is written beside, and put
/// in its place.
///
/// # Example
///
/// ```
/// use std::time::Duration;
/// use underpin::telemetry::{Telemetry, TextFile};
///
/// let telemetry = Telemetry::builder()
///     .exporter("file", Duration::from_secs(10), || TextFile::new("/run/app/metrics.prom"))
///     .build();
/// ```
#[derive(Clone, Debug)]
pub struct TextFile {
    path: PathBuf,
    format: TextFormat,
}

impl TextFile {
    /// Into this file, as Prometheus text.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into(), format: TextFormat::default() }
    }

    /// In another format.
    pub fn format(mut self, format: TextFormat) -> Self {
        self.format = format;
        self
    }

    fn text(&self, metrics: &MetricsSnapshot) -> String {
        match self.format {
            TextFormat::Prometheus => metrics.to_prometheus(),
            TextFormat::OpenMetrics => metrics.to_openmetrics(),
            TextFormat::Json => metrics.to_json(),
        }
    }
}

impl Exporter for TextFile {
    /// # Blocking
    ///
    /// On the file system. It is not synced: after a crash of the machine the file may be an older one, or empty.
    fn export(&mut self, metrics: &MetricsSnapshot) -> Result<(), Box<dyn Error + Send + Sync>> {
        replace(&self.path, &self.text(metrics))
            .map_err(|fault| format!("{}: {fault}", self.path.display()).into())
    }
}

fn replace(path: &Path, text: &str) -> io::Result<()> {
    let mut beside = path.as_os_str().to_owned();
    beside.push(".part");
    let written = fs::write(&beside, text).and_then(|()| fs::rename(&beside, path));
    if written.is_err() {
        let _ = fs::remove_file(&beside); // half of an export is of no use
    }
    written
}

#[cfg(all(test, not(underpin_loom)))]
mod tests {
    use super::super::{Descriptor, Telemetry};
    use super::*;

    fn metrics() -> MetricsSnapshot {
        let telemetry = Telemetry::new();
        telemetry.counter(&Descriptor::counter("a.lines", "Lines."), &[]).add(3);
        telemetry.metrics("a", &[])
    }

    fn fresh(name: &str) -> PathBuf {
        let path = std::env::temp_dir().join(format!("underpin-text-file-{}-{name}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir(&path).expect("it is fresh");
        path
    }

    #[test]
    fn each_format_is_what_the_snapshot_says_and_nothing_is_left_beside() {
        let (directory, metrics) = (fresh("formats"), metrics());
        let path = directory.join("metrics");
        let texts = [
            (TextFormat::Prometheus, metrics.to_prometheus()),
            (TextFormat::OpenMetrics, metrics.to_openmetrics()),
            (TextFormat::Json, metrics.to_json()),
        ];
        for (format, text) in texts {
            TextFile::new(&path).format(format).export(&metrics).expect("it is written");
            assert_eq!(fs::read_to_string(&path).expect("it is there"), text);
        }
        assert_eq!(fs::read_dir(&directory).expect("it is there").count(), 1);
        fs::remove_dir_all(directory).expect("it is there");
    }

    #[test]
    fn a_file_that_cannot_be_written_is_named_and_nothing_is_left() {
        let directory = fresh("refused");
        let refused = TextFile::new(directory.join("none/metrics"))
            .export(&metrics())
            .expect_err("there is no directory");
        assert!(refused.to_string().contains("none/metrics: "), "{refused}");
        // The place is taken by a directory: written beside, and not put there.
        fs::create_dir(directory.join("metrics")).expect("it is fresh");
        TextFile::new(directory.join("metrics")).export(&metrics()).expect_err("it is a directory");
        assert_eq!(fs::read_dir(&directory).expect("it is there").count(), 1);
        fs::remove_dir_all(directory).expect("it is there");
    }
}
