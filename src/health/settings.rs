//! When which alert is raised: settings, and what is wrong with them.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::Duration;

use super::alert::{Missing, Thresholds};

/// There are so many rules of a user's at most: each looks at its metrics at each tick.
pub const MAX_RULES: usize = 256;
/// The longest time that can be said: a day. What takes longer is no alert.
pub const MAX_SECONDS: u64 = 86_400;

/// The alert about the fullest mailbox.
pub(crate) const MAILBOX: &str = "mailbox";
/// The alert about resident memory.
pub(crate) const MEMORY: &str = "memory";
/// The alert about threads that were given up.
pub(crate) const ZOMBIES: &str = "zombies";
/// The alert about the number of series.
pub(crate) const SERIES: &str = "series";
/// The alert about restarts.
pub(crate) const CRASHES: &str = "crashes";

/// When which alert is raised. The names of the fields are those of the alerts; rules of latency and of errors bring
/// names of their own.
///
/// With the feature `config` they can be a part of the program's settings. All of them can be
/// [set](super::HealthMonitor::set_alerts) while the program runs.
///
/// # Example
///
/// ```
/// use underpin::health::{AlertSettings, LatencyRule, Level};
///
/// let mut alerts = AlertSettings::default();
/// alerts.memory.limit_bytes = 2 << 30;
/// alerts.latency.push(LatencyRule::new("slow_orders", "orders.handling", Level::new(0.5, 0.3)));
/// assert!(alerts.check().is_ok());
/// alerts.zombies.clear = 7.0;
/// let wrong = alerts.check().unwrap_err().to_string();
/// assert_eq!(wrong, "zombies.clear: expected less than `raise` (1), found 7");
/// ```
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "config", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "config", serde(default, deny_unknown_fields))]
pub struct AlertSettings {
    /// High latencies: quantiles of histograms. None if nothing is said.
    pub latency: Vec<LatencyRule>,
    /// High error rates: shares of counters. None if nothing is said.
    pub error_rate: Vec<ErrorRateRule>,
    /// How full the fullest mailbox is, 0 to 1. Raised at 0.9, cleared below 0.7, each after 10 s: a burst that its
    /// service works off is none.
    pub mailbox: Level,
    /// How much memory the process has. Not watched, if nothing is said: what is much, the program knows.
    pub memory: MemoryRule,
    /// How many threads were given up and still exist. Raised at the first one, cleared when none is left, at once.
    pub zombies: Level,
    /// How many series there are, as a share of how many there may be, 0 to 1. Raised at 0.9, cleared below 0.8, at once.
    pub series: Level,
    /// How many restarts of services there were in a time. Raised at 3 in 60 s, cleared below 1, at once.
    pub crashes: CrashRule,
}

impl Default for AlertSettings {
    fn default() -> Self {
        Self {
            latency: Vec::new(),
            error_rate: Vec::new(),
            mailbox: Level::new(0.9, 0.7).lasting(10, 10),
            memory: MemoryRule::default(),
            zombies: Level::new(1.0, 0.5),
            series: Level::new(0.9, 0.8),
            crashes: CrashRule::default(),
        }
    }
}

/// Where, and after how long, an alert is raised and cleared.
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "config", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "config", serde(deny_unknown_fields))]
pub struct Level {
    /// Whether it is watched at all. `true` if nothing is said. Turned off, what is raised is cleared.
    #[cfg_attr(feature = "config", serde(default = "yes"))]
    pub enabled: bool,
    /// Raised at or above this.
    pub raise: f64,
    /// Cleared below this, which is more than 0 and less than `raise`. In between the alert stays as it is.
    pub clear: f64,
    /// For how many seconds without interruption before it is raised; at most [`MAX_SECONDS`]. 0 if nothing is said.
    #[cfg_attr(feature = "config", serde(default))]
    pub raise_for_seconds: u64,
    /// For how many seconds without interruption before it is cleared; at most [`MAX_SECONDS`]. 0 if nothing is said.
    #[cfg_attr(feature = "config", serde(default))]
    pub clear_for_seconds: u64,
}

#[cfg(feature = "config")]
fn yes() -> bool {
    true
}

/// High latency: a quantile of what a histogram got since the last look. Where it got nothing, nothing was slow.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "config", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "config", serde(deny_unknown_fields))]
pub struct LatencyRule {
    /// What the alert is called.
    pub name: String,
    /// The histogram.
    pub metric: String,
    /// Which of its series: those with these labels, together. All, if nothing is said.
    #[cfg_attr(feature = "config", serde(default))]
    pub labels: BTreeMap<String, String>,
    /// Which quantile, above 0 and at most 1. 0.99 if nothing is said.
    #[cfg_attr(feature = "config", serde(default = "p99"))]
    pub quantile: f64,
    /// In the base unit of the histogram: seconds for times.
    pub level: Level,
}

fn p99() -> f64 {
    0.99
}

/// High error rate: what share of one counter another one is, 0 to 1, of what came to both.
///
/// Judged as soon as `least_total` have come since it was judged last. If they do not come within `within_seconds`, so
/// little happens that nothing goes wrong.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "config", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "config", serde(deny_unknown_fields))]
pub struct ErrorRateRule {
    /// What the alert is called.
    pub name: String,
    /// The counter of what went wrong.
    pub errors: String,
    /// Which of its series: those with these labels, together. All, if nothing is said.
    #[cfg_attr(feature = "config", serde(default))]
    pub error_labels: BTreeMap<String, String>,
    /// The counter of all, what went wrong included.
    pub total: String,
    /// As `error_labels`.
    #[cfg_attr(feature = "config", serde(default))]
    pub total_labels: BTreeMap<String, String>,
    /// How many make a rate, at least 1. 20 if nothing is said: of fewer, one error is more than 5 %.
    #[cfg_attr(feature = "config", serde(default = "twenty"))]
    pub least_total: u64,
    /// For how many seconds is waited for them, 1 to [`MAX_SECONDS`]. 60 if nothing is said.
    #[cfg_attr(feature = "config", serde(default = "a_minute"))]
    pub within_seconds: u64,
    /// Of the share.
    pub level: Level,
}

fn twenty() -> u64 {
    20
}

fn a_minute() -> u64 {
    60
}

/// How much memory the process has, as a share of a limit.
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "config", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "config", serde(default, deny_unknown_fields))]
pub struct MemoryRule {
    /// How many bytes it may have; 0: not watched, and so it is if nothing is said.
    pub limit_bytes: u64,
    /// Of the share of it that is resident. Raised at 0.9, cleared below 0.8, each after 10 s, if nothing is said.
    pub level: Level,
}

impl Default for MemoryRule {
    fn default() -> Self {
        Self { limit_bytes: 0, level: Level::new(0.9, 0.8).lasting(10, 10) }
    }
}

/// How many restarts there were in a time.
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "config", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "config", serde(default, deny_unknown_fields))]
pub struct CrashRule {
    /// In how many seconds, 1 to [`MAX_SECONDS`]. 60 if nothing is said.
    pub within_seconds: u64,
    /// Of the number of restarts of all services. Raised at 3, cleared below 1, at once, if nothing is said.
    pub level: Level,
}

impl Default for CrashRule {
    fn default() -> Self {
        Self { within_seconds: 60, level: Level::new(3.0, 1.0) }
    }
}

impl Level {
    /// Raised at or above `raise`, cleared below `clear`, at once.
    pub const fn new(raise: f64, clear: f64) -> Self {
        Self { enabled: true, raise, clear, raise_for_seconds: 0, clear_for_seconds: 0 }
    }

    /// Raised after so many seconds, cleared after so many.
    pub const fn lasting(mut self, raise_for_seconds: u64, clear_for_seconds: u64) -> Self {
        (self.raise_for_seconds, self.clear_for_seconds) = (raise_for_seconds, clear_for_seconds);
        self
    }

    pub(crate) fn thresholds(self, missing: Missing) -> Thresholds {
        Thresholds {
            raise: self.raise,
            clear: self.clear,
            raise_for: Duration::from_secs(self.raise_for_seconds),
            clear_for: Duration::from_secs(self.clear_for_seconds),
            missing,
        }
    }
}

impl LatencyRule {
    /// Of the 99th percentile of all series.
    pub fn new(name: impl Into<String>, metric: impl Into<String>, level: Level) -> Self {
        let (name, metric) = (name.into(), metric.into());
        Self { name, metric, labels: BTreeMap::new(), quantile: p99(), level }
    }
}

impl ErrorRateRule {
    /// Of all series, of 20 at least within 60 s.
    pub fn new(
        name: impl Into<String>,
        errors: impl Into<String>,
        total: impl Into<String>,
        level: Level,
    ) -> Self {
        Self {
            name: name.into(),
            errors: errors.into(),
            error_labels: BTreeMap::new(),
            total: total.into(),
            total_labels: BTreeMap::new(),
            least_total: twenty(),
            within_seconds: a_minute(),
            level,
        }
    }
}

// ---- what is wrong -----------------------------------------------------------------------

/// One thing that is wrong with settings of alerts: `crashes.within_seconds: expected 1 to 86400, found 0`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct AlertFault {
    /// The place, from the top of [`AlertSettings`].
    pub path: String,
    /// What was expected there.
    pub expected: String,
    /// What is there.
    pub found: String,
}

impl fmt::Display for AlertFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: expected {}, found {}", self.path, self.expected, self.found)
    }
}

/// All that is wrong with settings of alerts, at least one thing. Shown as one line for each.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AlertSettingsError(Vec<AlertFault>);

impl AlertSettingsError {
    /// Each of them.
    pub fn faults(&self) -> &[AlertFault] {
        &self.0
    }
}

impl fmt::Display for AlertSettingsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines: Vec<_> = self.0.iter().map(AlertFault::to_string).collect();
        f.write_str(&lines.join("\n"))
    }
}

impl std::error::Error for AlertSettingsError {}

#[derive(Default)]
struct Faults(Vec<AlertFault>);

impl Faults {
    fn that(&mut self, holds: bool, path: &str, expected: impl Into<String>, found: impl fmt::Display) {
        if !holds {
            let (path, found) = (path.to_owned(), found.to_string());
            self.0.push(AlertFault { path, expected: expected.into(), found });
        }
    }

    fn seconds(&mut self, path: &str, least: u64, seconds: u64) {
        let expected = format!("{least} to {MAX_SECONDS}");
        self.that((least..=MAX_SECONDS).contains(&seconds), path, expected, seconds);
    }

    fn level(&mut self, path: &str, level: &Level) {
        let at = |field: &str| format!("{path}.{field}");
        self.that(level.raise.is_finite(), &at("raise"), "a finite number", level.raise);
        let expected = format!("less than `raise` ({})", level.raise);
        self.that(level.clear < level.raise, &at("clear"), expected, level.clear);
        // Nothing that is looked at is below 0: it would never be cleared.
        self.that(level.clear > 0.0, &at("clear"), "more than 0", level.clear);
        self.seconds(&at("raise_for_seconds"), 0, level.raise_for_seconds);
        self.seconds(&at("clear_for_seconds"), 0, level.clear_for_seconds);
    }

    fn name<'a>(&mut self, path: &str, name: &'a str, taken: &mut BTreeSet<&'a str>) {
        let fits = (1..=200).contains(&name.len());
        self.that(fits, path, "1 to 200 bytes", name.len());
        self.that(taken.insert(name), path, "a name that no other alert has", format!("`{name}`"));
    }
}

impl AlertSettings {
    /// Whether alerts can be raised by them.
    ///
    /// # Errors
    ///
    /// Says all that is wrong, where, and what was expected.
    pub fn check(&self) -> Result<(), AlertSettingsError> {
        let mut faults = Faults::default();
        self.check_rules(&mut faults);
        faults.level(MAILBOX, &self.mailbox);
        faults.level("memory.level", &self.memory.level);
        faults.level(ZOMBIES, &self.zombies);
        faults.level(SERIES, &self.series);
        faults.level("crashes.level", &self.crashes.level);
        faults.seconds("crashes.within_seconds", 1, self.crashes.within_seconds);
        if faults.0.is_empty() { Ok(()) } else { Err(AlertSettingsError(faults.0)) }
    }

    fn check_rules(&self, faults: &mut Faults) {
        let rules = self.latency.len() + self.error_rate.len();
        faults.that(
            rules <= MAX_RULES,
            "latency, error_rate",
            format!("at most {MAX_RULES} together"),
            rules,
        );
        let mut taken = BTreeSet::from([MAILBOX, MEMORY, ZOMBIES, SERIES, CRASHES]);
        for (n, rule) in self.latency.iter().take(MAX_RULES).enumerate() {
            faults.name(&format!("latency.{n}.name"), &rule.name, &mut taken);
            rule.check(&format!("latency.{n}"), faults);
        }
        for (n, rule) in self.error_rate.iter().take(MAX_RULES).enumerate() {
            faults.name(&format!("error_rate.{n}.name"), &rule.name, &mut taken);
            rule.check(&format!("error_rate.{n}"), faults);
        }
    }
}

impl LatencyRule {
    fn check(&self, path: &str, faults: &mut Faults) {
        let fits = self.quantile > 0.0 && self.quantile <= 1.0;
        faults.that(fits, &format!("{path}.quantile"), "above 0, at most 1", self.quantile);
        faults.level(&format!("{path}.level"), &self.level);
    }
}

impl ErrorRateRule {
    fn check(&self, path: &str, faults: &mut Faults) {
        faults.that(self.least_total > 0, &format!("{path}.least_total"), "at least 1", self.least_total);
        faults.seconds(&format!("{path}.within_seconds"), 1, self.within_seconds);
        faults.level(&format!("{path}.level"), &self.level);
    }
}

#[cfg(all(test, not(underpin_loom)))]
mod tests {
    use super::*;

    fn faults(settings: &AlertSettings) -> Vec<String> {
        let wrong = settings.check().expect_err("something is wrong");
        wrong.faults().iter().map(AlertFault::to_string).collect()
    }

    #[test]
    fn what_stands_if_nothing_is_said_is_right() {
        assert_eq!(AlertSettings::default().check(), Ok(()));
    }

    #[test]
    fn what_is_wrong_is_told_with_its_place_all_at_once() {
        let mut settings = AlertSettings { mailbox: Level::new(0.5, 0.5), ..AlertSettings::default() };
        settings.series.raise = f64::NAN;
        settings.crashes.within_seconds = 0;
        settings.memory.level.raise_for_seconds = MAX_SECONDS + 1;
        settings
            .latency
            .push(LatencyRule { quantile: 0.0, ..LatencyRule::new("crashes", "a", Level::new(1.0, 0.5)) });
        settings
            .error_rate
            .push(ErrorRateRule { least_total: 0, ..ErrorRateRule::new("", "a", "b", Level::new(1.0, 0.5)) });
        let expected = [
            "latency.0.name: expected a name that no other alert has, found `crashes`",
            "latency.0.quantile: expected above 0, at most 1, found 0",
            "error_rate.0.name: expected 1 to 200 bytes, found 0",
            "error_rate.0.least_total: expected at least 1, found 0",
            "mailbox.clear: expected less than `raise` (0.5), found 0.5",
            "memory.level.raise_for_seconds: expected 0 to 86400, found 86401",
            "series.raise: expected a finite number, found NaN",
            "series.clear: expected less than `raise` (NaN), found 0.8",
            "crashes.within_seconds: expected 1 to 86400, found 0",
        ];
        assert_eq!(faults(&settings), expected);
    }

    #[test]
    fn there_are_so_many_rules_and_no_more() {
        let rule = |n: usize| LatencyRule::new(n.to_string(), "a", Level::new(1.0, 0.5));
        let mut settings =
            AlertSettings { latency: (0..MAX_RULES).map(rule).collect(), ..Default::default() };
        assert_eq!(settings.check(), Ok(()));
        settings.latency.push(rule(MAX_RULES));
        assert_eq!(faults(&settings), ["latency, error_rate: expected at most 256 together, found 257"]);
    }

    #[cfg(feature = "config")]
    #[test]
    fn they_can_be_a_part_of_the_settings_of_a_program() {
        let mut settings = AlertSettings::default();
        settings.error_rate.push(ErrorRateRule::new("failing", "a.errors", "a.total", Level::new(0.1, 0.05)));
        let text = serde_json::to_string(&settings).expect("it is written");
        assert_eq!(serde_json::from_str::<AlertSettings>(&text).expect("it is read"), settings);
        let short = r#"{"latency": [{"name": "slow", "metric": "a", "level": {"raise": 2, "clear": 1}}]}"#;
        let read: AlertSettings = serde_json::from_str(short).expect("the rest has defaults");
        assert_eq!(read.latency, [LatencyRule::new("slow", "a", Level::new(2.0, 1.0))]);
        assert_eq!(read.crashes, CrashRule::default());
        let unknown = serde_json::from_str::<AlertSettings>(r#"{"mailbx": {}}"#);
        assert!(unknown.expect_err("no such field").to_string().contains("mailbx"));
    }
}
