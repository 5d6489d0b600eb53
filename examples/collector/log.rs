//! What becomes of the settings while the program runs, on stderr.

use std::sync::Arc;

use log::{Level, LevelFilter, Log, Metadata, Record};
use underpin::config::{Config, ConfigEvent, Sink};

use crate::settings::Settings;

/// Has it said what changes.
pub(crate) fn follow(config: &Config<Settings>) {
    config.set_sink(Arc::new(ToStderr));
}

/// Who is heard: the settings, and what the library complains of, as of a journal in trouble. What
/// supervision says comes by way of [`events`](crate::events).
const WHO: [&str; 2] = ["underpin::config", "underpin::error"];

/// Writes what is said to stderr.
struct ToStderr;

/// From here on, faults in a changed file and what is ignored of it are told.
pub(crate) fn listen() {
    // Nobody else was before: it is the program's first step.
    if log::set_logger(&ToStderr).is_ok() {
        log::set_max_level(LevelFilter::Info);
    }
}

impl Log for ToStderr {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.level() <= Level::Info && WHO.iter().any(|who| metadata.target().starts_with(who))
    }

    fn log(&self, record: &Record<'_>) {
        if self.enabled(record.metadata()) {
            crate::tell(&record.args());
        }
    }

    fn flush(&self) {}
}

impl Sink for ToStderr {
    fn event(&self, event: &ConfigEvent) {
        if let ConfigEvent::Updated { version, changes, .. } = event
            && !changes.is_empty()
        {
            let paths: Vec<_> = changes.iter().map(|change| change.path.to_string()).collect();
            crate::tell(&format_args!("config: version {version} changes {}", paths.join(", ")));
        }
    }
}
