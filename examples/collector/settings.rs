//! The settings, and where they come from: options before the environment before the file before the
//! defaults.

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};
use syslog_loose::SyslogSeverity;
use underpin::config::{Checks, Config, Layers, LoadError, Unknown, Validate, Watch};
use underpin::health::{AlertFault, AlertSettings};

use crate::args::{Args, Job};
use crate::forward_settings::Forward;
use crate::framing::MAX_LINE;

/// What the variables of the environment begin with, before two underscores.
const PREFIX: &str = "COLLECTOR";
/// More parsers than this are a mistake.
const MAX_WORKERS: usize = 64;
/// Every receiver takes lines of this length (RFC 5424, section 6.1).
const MIN_LINE_LIMIT: usize = 480;
/// Some hundred lines wait for each parser: that has to fit into memory.
const MAX_LINE_LIMIT: usize = 1024 * 1024;
/// What a demonstration needs: a port of its own, and an alert that is raised by its first crash and cleared soon
/// after its last.
const OF_DEMO: [(&str, &str); 7] = [
    ("listen", "127.0.0.1:0"),
    ("alerts.crashes.within_seconds", "1"),
    ("alerts.crashes.level.raise", "1"),
    ("alerts.crashes.level.clear", "0.5"),
    ("alerts.crashes.level.enabled", "true"),
    ("alerts.crashes.level.raise_for_seconds", "0"),
    ("alerts.crashes.level.clear_for_seconds", "0"),
];
/// How often the file is looked at where nobody tells of its changes.
#[cfg(not(feature = "watch"))]
const LOOK: std::time::Duration = std::time::Duration::from_millis(500);

/// What can be set. All but `listen`, and where lines are forwarded to, may change while the program runs.
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
    /// What is forwarded where to, and how.
    pub(crate) forward: Forward,
    /// When which alert is raised and cleared.
    pub(crate) alerts: AlertSettings,
}

impl Default for Settings {
    fn default() -> Self {
        let listen = SocketAddr::from(([127, 0, 0, 1], 5514));
        Self {
            listen,
            workers: 2,
            max_line: MAX_LINE,
            severity: Severity::Debug,
            forward: Forward::default(),
            alerts: AlertSettings::default(),
        }
    }
}

impl Validate for Settings {
    fn validate(&self, checks: &mut Checks) {
        checks.within("workers", self.workers, 1..=MAX_WORKERS);
        checks.within("max_line", self.max_line, MIN_LINE_LIMIT..=MAX_LINE_LIMIT);
        checks.nested("forward", &self.forward);
        checks.nested("forward", &Elsewhere(self));
        checks.nested("alerts", &Alerts(&self.alerts));
    }
}

/// That nothing is forwarded to the program itself: each line would come back, and go out again.
struct Elsewhere<'a>(&'a Settings);

impl Validate for Elsewhere<'_> {
    fn validate(&self, checks: &mut Checks) {
        let Settings { forward, listen, .. } = self.0;
        let is_elsewhere = forward.address.is_none_or(|address| address != *listen);
        checks.that("address", is_elsewhere, "another address than `listen`");
    }
}

/// The settings of alerts, which say themselves what is wrong with them.
struct Alerts<'a>(&'a AlertSettings);

impl Validate for Alerts<'_> {
    fn validate(&self, checks: &mut Checks) {
        let Err(wrong) = self.0.check() else { return };
        wrong.faults().iter().for_each(|fault| At(&fault.path, fault).validate(checks));
    }
}

/// A fault, and what is left of the way to its place.
struct At<'a>(&'a str, &'a AlertFault);

impl Validate for At<'_> {
    fn validate(&self, checks: &mut Checks) {
        let Self(way, fault) = self;
        match way.split_once('.') {
            Some((step, rest)) => checks.nested(step, &At(rest, fault)),
            None => checks.fail(way, format_args!("expected {}, found {}", fault.expected, fault.found)),
        }
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
        .frozen("forward.address")
        .frozen("forward.connections")
        .watch(watch());
    if let Some(file) = &args.config {
        layers = layers.file(file);
    }
    for (option, path, text) in &args.settings {
        layers = layers.override_text(*option, path, text);
    }
    if let Job::Demo(_) = args.job {
        for (path, text) in OF_DEMO {
            layers = layers.override_text("--demo", path, text);
        }
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
    use underpin::health::{LatencyRule, Level};

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
        let all = serde_json::to_value(Settings::default()).expect("it is written");
        let paths = paths_of("", &all);
        assert!(paths.len() > 20 && paths.contains(&"alerts.crashes.level.raise".to_owned()), "{paths:?}");
        for path in paths {
            assert!(matches!(config.origin(&path), Ok(Origin::File { .. })), "{path}");
        }
    }

    /// The paths of all that are no tables.
    fn paths_of(place: &str, value: &serde_json::Value) -> Vec<String> {
        let serde_json::Value::Object(fields) = value else { return vec![place.to_owned()] };
        let below = |name: &str| if place.is_empty() { name.to_owned() } else { format!("{place}.{name}") };
        fields.iter().flat_map(|(name, value)| paths_of(&below(name), value)).collect()
    }

    #[test]
    fn nothing_is_forwarded_to_the_program_itself() {
        let mut settings = Settings::default();
        settings.forward.address = Some(settings.listen);
        settings.forward.retry.max_attempts = 0;
        let told: Vec<_> = Checks::of(&settings).iter().map(ToString::to_string).collect();
        let expected = [
            "forward.retry.max_attempts: expected 1 to 100, found 0",
            "forward.address: expected another address than `listen`",
        ];
        assert_eq!(told, expected);
    }

    #[test]
    fn wrong_settings_of_alerts_are_told_with_their_place() {
        let mut settings = Settings::default();
        settings.alerts.crashes.level.clear = 3.0;
        settings.alerts.zombies.raise_for_seconds = 86_401;
        let rule = LatencyRule { quantile: 2.0, ..LatencyRule::new("slow", "a", Level::new(1.0, 0.5)) };
        settings.alerts.latency.push(rule);
        let told: Vec<_> = Checks::of(&settings).iter().map(ToString::to_string).collect();
        let expected = [
            "alerts.latency.0.quantile: expected above 0, at most 1, found 2",
            "alerts.zombies.raise_for_seconds: expected 0 to 86400, found 86401",
            "alerts.crashes.level.clear: expected less than `raise` (3), found 3",
        ];
        assert_eq!(told, expected);
    }
}
