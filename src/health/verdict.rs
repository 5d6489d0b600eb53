//! How well something does, and how what several checks say comes together.

use std::fmt;
use std::time::Instant;

/// How well something does. The order is that of harm: the greatest of several is the state of the whole.
///
/// `Unknown` stands between `Degraded` and `Unhealthy`. What is known to work, if badly, is better than what nobody has
/// an answer from; and a failure that is known must not be hidden behind one that is only feared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Health {
    /// It does its work.
    Healthy,
    /// It does its work, less well or less of it.
    Degraded,
    /// Nobody can say.
    Unknown,
    /// It does not do its work.
    Unhealthy,
}

impl Health {
    /// All of them, the best first.
    pub const ALL: [Self; 4] = [Self::Healthy, Self::Degraded, Self::Unknown, Self::Unhealthy];

    /// In one lower-case word, as logs have it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Healthy => "healthy",
            Self::Degraded => "degraded",
            Self::Unknown => "unknown",
            Self::Unhealthy => "unhealthy",
        }
    }

    /// As what a check that is not critical counts: the whole can go on without what it looks at, so at most
    /// as `Degraded`.
    pub(crate) fn unless_critical(self, is_critical: bool) -> Self {
        if is_critical { self } else { self.min(Self::Degraded) }
    }
}

impl fmt::Display for Health {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A text of a verdict has so many bytes at most; what is longer is cut.
pub const MAX_WHY_BYTES: usize = 1024;

/// What a check says of what it looked at.
///
/// # Example
///
/// ```
/// use underpin::health::{Health, Verdict};
///
/// let verdict = Verdict::degraded("2 of 3 replicas answer");
/// assert_eq!((verdict.health(), verdict.why()), (Health::Degraded, "2 of 3 replicas answer"));
/// let verdict = Verdict::from("x".parse::<u8>());
/// assert_eq!((verdict.health(), verdict.why()), (Health::Unhealthy, "invalid digit found in string"));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    health: Health,
    why: String,
}

impl Verdict {
    /// It does its work.
    pub fn healthy() -> Self {
        Self::new(Health::Healthy, "")
    }

    /// It does its work, less well or less of it, and why.
    pub fn degraded(why: impl Into<String>) -> Self {
        Self::new(Health::Degraded, why)
    }

    /// Nobody can say, and why.
    pub fn unknown(why: impl Into<String>) -> Self {
        Self::new(Health::Unknown, why)
    }

    /// It does not do its work, and why.
    pub fn unhealthy(why: impl Into<String>) -> Self {
        Self::new(Health::Unhealthy, why)
    }

    fn new(health: Health, why: impl Into<String>) -> Self {
        let mut why = why.into();
        why.truncate(why.floor_char_boundary(MAX_WHY_BYTES));
        Self { health, why }
    }

    /// How well it does.
    pub fn health(&self) -> Health {
        self.health
    }

    /// Why; empty where nothing was said. Cut after [`MAX_WHY_BYTES`].
    pub fn why(&self) -> &str {
        &self.why
    }
}

/// `Ok` is healthy, an error is unhealthy.
impl<T, E: fmt::Display> From<Result<T, E>> for Verdict {
    fn from(outcome: Result<T, E>) -> Self {
        match outcome {
            Ok(_) => Self::healthy(),
            Err(error) => Self::unhealthy(error.to_string()),
        }
    }
}

/// Why the whole is not healthy: one check that is not.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Reason {
    /// The check.
    pub check: String,
    /// As what it counts: see [`Check::critical`](super::Check::critical).
    pub verdict: Health,
    /// What it says.
    pub why: String,
    /// Since when it has been saying that it does so badly, whatever the text.
    pub since: Instant,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} is {}", self.check, self.verdict)?;
        if self.why.is_empty() { Ok(()) } else { write!(f, ": {}", self.why) }
    }
}

/// How well the whole does, and why no better.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct HealthReport {
    /// How well the whole does.
    pub health: Health,
    /// What is not healthy, the worst first, and in the order of the checks. Empty where all is.
    pub reasons: Vec<Reason>,
    /// When that was so.
    pub at: Instant,
}

impl HealthReport {
    /// The worst of what counts against it; healthy where nothing does.
    pub(crate) fn of(at: Instant, reasons: impl IntoIterator<Item = Reason>) -> Self {
        let bad = |reason: &Reason| reason.verdict != Health::Healthy;
        let mut reasons: Vec<_> = reasons.into_iter().filter(bad).collect();
        reasons.sort_by_key(|reason| std::cmp::Reverse(reason.verdict));
        let health = reasons.first().map_or(Health::Healthy, |worst| worst.verdict);
        Self { health, reasons, at }
    }

    /// Whether other checks are bad, or the same ones otherwise, than in another report. Texts do not count: one
    /// may hold a figure that changes each time.
    pub(crate) fn differs(&self, other: &Self) -> bool {
        let who = |report: &Self| -> Vec<(String, Health)> {
            report.reasons.iter().map(|reason| (reason.check.clone(), reason.verdict)).collect()
        };
        self.health != other.health || who(self) != who(other)
    }
}

/// The state, and each reason behind it: `degraded: cache is degraded: 1 of 2 answers; tree is degraded: ..`.
impl fmt::Display for HealthReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.health)?;
        let mut before = ": ";
        for reason in &self.reasons {
            write!(f, "{before}{reason}")?;
            before = "; ";
        }
        Ok(())
    }
}

#[cfg(all(test, not(underpin_loom)))]
pub(crate) mod tests {
    use super::*;
    use crate::sync::Clock;
    use proptest::prelude::*;

    pub(crate) fn any_health() -> impl Strategy<Value = Health> {
        prop::sample::select(Health::ALL.to_vec())
    }

    fn reason(check: &str, verdict: Health, since: Instant) -> Reason {
        Reason { check: check.into(), verdict, why: String::new(), since }
    }

    #[test]
    fn the_order_is_that_of_harm() {
        let mut shuffled = [Health::Unhealthy, Health::Healthy, Health::Unknown, Health::Degraded];
        shuffled.sort_unstable();
        assert_eq!(shuffled, Health::ALL);
        assert_eq!(Health::ALL.map(Health::as_str), ["healthy", "degraded", "unknown", "unhealthy"]);
    }

    #[test]
    fn what_is_not_critical_counts_as_degraded_at_most() {
        let soft = Health::ALL.map(|health| health.unless_critical(false));
        assert_eq!(soft, [Health::Healthy, Health::Degraded, Health::Degraded, Health::Degraded]);
        assert_eq!(Health::ALL.map(|health| health.unless_critical(true)), Health::ALL);
    }

    #[test]
    fn of_nothing_is_healthy_and_the_worst_comes_first() {
        let now = Clock::system().now();
        assert_eq!(HealthReport::of(now, []).health, Health::Healthy);
        let all = [
            ("a", Health::Degraded),
            ("b", Health::Healthy),
            ("c", Health::Unhealthy),
            ("d", Health::Degraded),
        ];
        let report = HealthReport::of(now, all.map(|(check, verdict)| reason(check, verdict, now)));
        let names: Vec<_> = report.reasons.iter().map(|reason| reason.check.as_str()).collect();
        assert_eq!((report.health, names), (Health::Unhealthy, vec!["c", "a", "d"]));
        assert_eq!(report.to_string(), "unhealthy: c is unhealthy; a is degraded; d is degraded");
    }

    #[test]
    fn a_report_differs_by_who_is_bad_and_not_by_texts() {
        let now = Clock::system().now();
        let of = |check: &str, verdict, why: &str| {
            HealthReport::of(now, [Reason { why: why.into(), ..reason(check, verdict, now) }])
        };
        let one = of("a", Health::Degraded, "1");
        assert!(!one.differs(&of("a", Health::Degraded, "2")));
        assert!(one.differs(&of("b", Health::Degraded, "1")));
        assert!(one.differs(&of("a", Health::Unknown, "1")));
        assert!(one.differs(&HealthReport::of(now, [])));
    }

    #[test]
    fn a_long_text_is_cut_where_a_character_ends() {
        let verdict = Verdict::unhealthy(format!("x{}", "é".repeat(MAX_WHY_BYTES)));
        assert_eq!(verdict.why().len(), MAX_WHY_BYTES - 1);
    }

    proptest! {
        #[test]
        fn the_whole_is_the_worst_of_all(verdicts in prop::collection::vec(any_health(), 0..8)) {
            let now = Clock::system().now();
            let report = HealthReport::of(now, verdicts.iter().map(|verdict| reason("a", *verdict, now)));
            let bad = verdicts.iter().filter(|verdict| **verdict != Health::Healthy).count();
            prop_assert_eq!(report.health, verdicts.iter().copied().max().unwrap_or(Health::Healthy));
            prop_assert_eq!(report.reasons.len(), bad);
        }
    }
}
