//! The metrics: what measures, and the file of `--metrics`.

use std::fs;
use std::time::Duration;

use underpin::health::HealthMonitor;
use underpin::telemetry::{self, Exporter, Telemetry, TextFile};

use crate::args::{Args, Job};
use crate::sink::is_same;

/// How often the file is written.
const EVERY: Duration = Duration::from_secs(10);
/// How often a demonstration looks at its metrics: it is over in a few seconds.
const DEMO_TICK: Duration = Duration::from_millis(100);

/// The telemetry; with `--metrics` it writes the file, for the first time at once.
///
/// # Errors
///
/// One line that says why the file cannot be written.
pub(crate) fn telemetry(args: &Args) -> Result<Telemetry, String> {
    let telemetry = Telemetry::builder().tick(tick(args));
    let Some(path) = &args.metrics else { return Ok(telemetry.build()) };
    check(path, args).map_err(|fault| format!("--metrics: {path}: {fault}"))?;
    let file = TextFile::new(path);
    let mut first = file.clone();
    let telemetry = telemetry.exporter("metrics", EVERY, move || file.clone()).build();
    let written = first.export(&telemetry.metrics("", &[]));
    written.map(|()| telemetry).map_err(|fault| format!("--metrics: {fault}"))
}

/// The monitor. It has no checks of its own: it watches the tree, and has the alerts.
pub(crate) fn health(args: &Args) -> HealthMonitor {
    HealthMonitor::builder().tick(tick(args)).build()
}

fn tick(args: &Args) -> Duration {
    if let Job::Demo(_) = args.job { DEMO_TICK } else { telemetry::DEFAULT_TICK }
}

/// Another file is put in its place, so it must be one, and nobody else's.
fn check(path: &str, args: &Args) -> Result<(), String> {
    let read = args.job.files().iter().chain(&args.config);
    if let Some(file) = read.into_iter().find(|file| is_same(path, file)) {
        return Err(format!("it is also read, as {file}"));
    }
    if let Some(out) = args.out.as_ref().filter(|out| is_same(path, out)) {
        return Err(format!("it is also written by --out, as {out}"));
    }
    match fs::metadata(path) {
        Ok(found) if !found.is_file() => Err("expected a file, or nothing there yet".to_owned()),
        _ => Ok(()),
    }
}
