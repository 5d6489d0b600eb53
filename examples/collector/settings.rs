//! The settings, and where they come from: options before the environment before the file before the
//! defaults.

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};
use syslog_loose::SyslogSeverity;
use underpin::config::{Checks, Config, Layers, LoadError, Unknown, Validate, Watch};

use crate::args::{Args, Job};
use crate::framing::MAX_LINE;

/// What the variables of the environment begin with, before two underscores.
const PREFIX: &str = "COLLECTOR";
/// More parsers than this are a mistake.
const MAX_WORKERS: usize = 64;
/// Every receiver takes lines of this length (RFC 5424, section 6.1).
const MIN_LINE_LIMIT: usize = 480;
/// Some hundred lines wait for each parser: that has to fit into memory.
const MAX_LINE_LIMIT: usize = 1024 * 1024;
/// How often the file is looked at where nobody tells of its changes.
#[cfg(not(feature = "watch"))]
const LOOK: std::time::Duration = std::time::Duration::from_millis(500);

/// What can be set. All but `listen` may change while the program runs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)] // so that what else is wrong is told beside a value that cannot be read
pub(crate) struct Settings {
    /// Where it listens, TCP and UDP.
    pub(crate) listen: SocketAddr,
    /// How many parsers there are.
    pub(crate) workers: usize,
    /// The longest line that is taken, in bytes.
    pub(crate) max_line: usize,
    /// Lines of this severity and of more severe ones are written.
    pub(crate) severity: Severity,
}

impl Default for Settings {
    fn default() -> Self {
        let listen = SocketAddr::from(([127, 0, 0, 1], 5514));
        Self { listen, workers: 2, max_line: MAX_LINE, severity: Severity::Debug }
    }
}

impl Validate for Settings {
    fn validate(&self, checks: &mut Checks) {
        checks.within("workers", self.workers, 1..=MAX_WORKERS);
        checks.within("max_line", self.max_line, MIN_LINE_LIMIT..=MAX_LINE_LIMIT);
    }
}

/// The severities of syslog, the most severe first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Severity {
    Emerg,
    Alert,
    Crit,
    Err,
    Warning,
    Notice,
    Info,
    Debug,
}

impl Severity {
    /// Whether a line is written while this is the filter. One without a priority has no severity that
    /// could be too low, so it is.
    pub(crate) fn lets_pass(self, of_line: Option<SyslogSeverity>) -> bool {
        of_line.is_none_or(|of_line| Self::of(of_line) <= self)
    }

    fn of(severity: SyslogSeverity) -> Self {
        match severity {
            SyslogSeverity::SEV_EMERG => Self::Emerg,
            SyslogSeverity::SEV_ALERT => Self::Alert,
            SyslogSeverity::SEV_CRIT => Self::Crit,
            SyslogSeverity::SEV_ERR => Self::Err,
            SyslogSeverity::SEV_WARNING => Self::Warning,
            SyslogSeverity::SEV_NOTICE => Self::Notice,
            SyslogSeverity::SEV_INFO => Self::Info,
            SyslogSeverity::SEV_DEBUG => Self::Debug,
        }
    }
}

/// Reads them.
///
/// # Errors
///
/// All that is wrong, one fault a line, each with where it came from.
pub(crate) fn load(args: &Args) -> Result<Config<Settings>, String> {
    let mut layers = Layers::new()
        .defaults(Settings::default())
        .environment(PREFIX)
        .unknown(Unknown::Refuse)
        .frozen("listen")
        .watch(watch());
    if let Some(file) = &args.config {
        layers = layers.file(file);
    }
    for (option, path, text) in &args.settings {
        layers = layers.override_text(*option, path, text);
    }
    if let Job::Demo(_) = args.job {
        layers = layers.override_text("--demo", "listen", "127.0.0.1:0");
    }
    layers.load().map_err(|error| match error {
        LoadError::Invalid(faults) => faults.to_string(),
        error => error.to_string(),
    })
}

/// By the operating system, where the program is built so.
fn watch() -> Watch {
    #[cfg(feature = "watch")]
    return Watch::Notify;
    #[cfg(not(feature = "watch"))]
    Watch::Poll(LOOK)
}

#[cfg(test)]
mod tests {
    use super::*;
    use syslog_loose::decompose_pri;
    use underpin::config::Origin;

    #[test]
    fn the_more_severe_pass_and_so_do_those_without_a_priority() {
        let passing = |filter: Severity| (0..8).filter(|n| filter.lets_pass(decompose_pri(*n).1)).count();
        assert_eq!((passing(Severity::Emerg), passing(Severity::Err), passing(Severity::Debug)), (1, 4, 8));
        assert!(Severity::Emerg.lets_pass(None));
    }

    #[test]
    fn the_example_file_says_the_defaults_and_all_of_them() {
        let file = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/collector/collector.toml");
        let config: Config<Settings> =
            Layers::new().file(file).unknown(Unknown::Refuse).load().expect("it is valid");
        assert_eq!(*config.load(), Settings::default());
        for path in ["listen", "workers", "max_line", "severity"] {
            assert!(matches!(config.origin(path), Ok(Origin::File { .. })), "{path}");
        }
    }
}
