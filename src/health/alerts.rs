//! All alerts: what each looks at, and what becomes of them.

use std::time::Instant;

use super::alert::{Alert, Change, Missing};
use super::readings::{self, CrashWindow, LatencyBase, RateBase, Reading};
use super::settings::{
    AlertSettings, CRASHES, CrashRule, ErrorRateRule, LatencyRule, Level, MAILBOX, MEMORY, SERIES, ZOMBIES,
};
use crate::telemetry::MetricsSnapshot;

/// An alert was raised, or cleared.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct AlertEvent {
    /// Which alert: a field of [`AlertSettings`], or the name of a rule.
    pub alert: String,
    /// What became of it.
    pub change: Change,
    /// The value that decided; `None` where it was that there is none, or that nobody watches it any more.
    pub value: Option<f64>,
    /// The threshold that it reached, or fell below.
    pub threshold: f64,
    /// Whose value it is, where it is the worst of several; else empty.
    pub detail: String,
    /// Which change of this alert it is, from 1 on: odd numbers are raises, even ones are clears. Whoever is told twice
    /// sees it here. They begin anew where a rule was gone.
    pub number: u64,
    /// When.
    pub at: Instant,
}

/// All alerts. Each raise is followed by a clear, also where its rule goes.
#[derive(Debug, Default)]
pub(crate) struct Alerts {
    watched: Vec<Watched>,
}

#[derive(Debug)]
struct Watched {
    name: String,
    rule: Rule,
    level: Level,
    alert: Alert,
    changes: u64,
}

/// What an alert looks at, and what it has to keep for that.
#[derive(Clone, Debug)]
enum Rule {
    Latency(LatencyRule, LatencyBase),
    ErrorRate(ErrorRateRule, RateBase),
    Mailbox,
    Memory { limit_bytes: u64 },
    Zombies,
    Series,
    Crashes(CrashRule, CrashWindow),
}

impl Alerts {
    pub(crate) fn new(settings: &AlertSettings) -> Self {
        Self { watched: wanted(settings) }
    }

    /// Other settings from now on. An alert whose name stays goes on; one whose name is gone, or that is turned off,
    /// is cleared if it was raised.
    pub(crate) fn set(&mut self, now: Instant, settings: &AlertSettings) -> Vec<AlertEvent> {
        let mut old = std::mem::take(&mut self.watched);
        self.watched = wanted(settings);
        for watched in &mut self.watched {
            if let Some(at) = old.iter().position(|old| old.name == watched.name) {
                watched.go_on_from(old.swap_remove(at));
            }
        }
        old.iter_mut().filter_map(|gone| gone.retire(now)).collect()
    }

    /// What the metrics say now.
    pub(crate) fn step(&mut self, now: Instant, snapshot: &MetricsSnapshot) -> Vec<AlertEvent> {
        self.watched.iter_mut().filter_map(|watched| watched.step(now, snapshot)).collect()
    }

    /// There is nothing to look at: what has to last was interrupted. What is raised stays so.
    pub(crate) fn interrupt(&mut self) {
        self.watched.iter_mut().for_each(|watched| watched.alert.interrupt());
    }

    /// When the next one changes if all values stay where they are.
    pub(crate) fn next_deadline(&self) -> Option<Instant> {
        self.watched.iter().filter_map(|watched| watched.alert.next_deadline()).min()
    }

    /// The names of those that are raised.
    pub(crate) fn raised(&self) -> Vec<String> {
        let raised = self.watched.iter().filter(|watched| watched.alert.is_raised());
        raised.map(|watched| watched.name.clone()).collect()
    }
}

/// The alerts that are turned on.
fn wanted(settings: &AlertSettings) -> Vec<Watched> {
    let latency = settings
        .latency
        .iter()
        .map(|rule| (rule.name.as_str(), Rule::Latency(rule.clone(), LatencyBase::default()), rule.level));
    let errors = settings
        .error_rate
        .iter()
        .map(|rule| (rule.name.as_str(), Rule::ErrorRate(rule.clone(), RateBase::default()), rule.level));
    let memory = Rule::Memory { limit_bytes: settings.memory.limit_bytes };
    let crashes = Rule::Crashes(settings.crashes, CrashWindow::default());
    let own = [
        (MAILBOX, Rule::Mailbox, settings.mailbox),
        (MEMORY, memory, settings.memory.level),
        (ZOMBIES, Rule::Zombies, settings.zombies),
        (SERIES, Rule::Series, settings.series),
        (CRASHES, crashes, settings.crashes.level),
    ];
    let all = latency.chain(errors).chain(own);
    let is_on =
        |rule: &Rule, level: &Level| level.enabled && !matches!(rule, Rule::Memory { limit_bytes: 0 });
    let on = all.filter(|(_, rule, level)| is_on(rule, level));
    on.map(|(name, rule, level)| Watched::new(name, rule, level)).collect()
}

impl Watched {
    fn new(name: &str, rule: Rule, level: Level) -> Self {
        let alert = Alert::new(level.thresholds(rule.missing()));
        Self { name: name.to_owned(), rule, level, alert, changes: 0 }
    }

    fn go_on_from(&mut self, old: Self) {
        self.rule.go_on_from(old.rule);
        (self.alert, self.changes) = (old.alert, old.changes);
        self.alert.set(self.level.thresholds(self.rule.missing()));
    }

    fn step(&mut self, now: Instant, snapshot: &MetricsSnapshot) -> Option<AlertEvent> {
        let reading = self.rule.read(now, snapshot)?;
        let change = self.alert.step(now, reading.value)?;
        Some(self.event(now, change, reading))
    }

    fn retire(&mut self, now: Instant) -> Option<AlertEvent> {
        let change = self.alert.retire()?;
        Some(self.event(now, change, Reading::default()))
    }

    fn event(&mut self, at: Instant, change: Change, reading: Reading) -> AlertEvent {
        self.changes += 1;
        let Reading { value, detail } = reading;
        let threshold = if change == Change::Raised { self.level.raise } else { self.level.clear };
        AlertEvent { alert: self.name.clone(), change, value, threshold, detail, number: self.changes, at }
    }
}

impl Rule {
    /// Where nothing was measured, nothing was slow and nothing failed. What is always there and is not now was not
    /// looked at.
    fn missing(&self) -> Missing {
        match self {
            Self::Latency(..) | Self::ErrorRate(..) => Missing::Clear,
            Self::Mailbox | Self::Memory { .. } | Self::Zombies | Self::Series | Self::Crashes(..) => {
                Missing::Keep
            }
        }
    }

    /// What it has kept, where it looks at the same.
    fn go_on_from(&mut self, old: Self) {
        match (self, old) {
            (Self::Latency(rule, base), Self::Latency(old, kept))
                if (&rule.metric, &rule.labels) == (&old.metric, &old.labels) =>
            {
                *base = kept;
            }
            (Self::ErrorRate(rule, base), Self::ErrorRate(old, kept)) if looks_at(rule) == looks_at(&old) => {
                *base = kept;
            }
            (Self::Crashes(_, window), Self::Crashes(_, kept)) => *window = kept,
            _ => {}
        }
    }

    /// `None`: not yet.
    fn read(&mut self, now: Instant, snapshot: &MetricsSnapshot) -> Option<Reading> {
        Some(match self {
            Self::Latency(rule, base) => base.read(snapshot, rule),
            Self::ErrorRate(rule, base) => return base.read(now, snapshot, rule),
            Self::Mailbox => readings::fullest_mailbox(snapshot),
            Self::Memory { limit_bytes } => readings::memory(snapshot, *limit_bytes),
            Self::Zombies => readings::zombies(snapshot),
            Self::Series => readings::series(snapshot),
            Self::Crashes(rule, window) => window.read(now, snapshot, rule),
        })
    }
}

fn looks_at(rule: &ErrorRateRule) -> impl PartialEq {
    let ErrorRateRule { errors, error_labels, total, total_labels, .. } = rule.clone();
    (errors, error_labels, total, total_labels)
}

#[cfg(all(test, not(underpin_loom)))]
pub(crate) mod tests {
    use super::*;
    use crate::health::names;
    use crate::sync::Clock;
    use crate::telemetry::{Descriptor, Distribution, Kind, Sheet, Unit};
    use Change::{Cleared, Raised};
    use proptest::prelude::*;
    use std::time::{Duration, SystemTime};

    const SECOND: Duration = Duration::from_secs(1);

    fn gauge(sheet: &mut Sheet, name: &str, labels: &[(&str, &str)], value: f64) {
        sheet.gauge(&Descriptor::named(name, Kind::Gauge), labels, value);
    }

    pub(crate) fn counter(sheet: &mut Sheet, name: &str, labels: &[(&str, &str)], total: u64) {
        sheet.counter(&Descriptor::named(name, Kind::Counter), labels, total);
    }

    fn times(sheet: &mut Sheet, labels: &[(&str, &str)], millis: &[u64]) {
        let mut values = Distribution::default();
        millis.iter().for_each(|millis| values.record(millis * 1_000_000, 1));
        sheet.histogram(&Descriptor::histogram("a.time", "").unit(Unit::Seconds), labels, values);
    }

    pub(crate) fn snapshot(write: impl FnOnce(&mut Sheet)) -> MetricsSnapshot {
        let mut sheet = Sheet::default();
        write(&mut sheet);
        assert_eq!(sheet.refused(), 0, "the test writes what can be written");
        MetricsSnapshot {
            at: SystemTime::UNIX_EPOCH,
            moment: Clock::system().now(),
            families: sheet.into_families(),
        }
    }

    /// Alerts, and what time it is.
    struct World {
        alerts: Alerts,
        now: Instant,
    }

    impl World {
        fn new(settings: &AlertSettings) -> Self {
            assert_eq!(settings.check(), Ok(()));
            Self { alerts: Alerts::new(settings), now: Clock::system().now() }
        }

        /// A second later.
        fn step(&mut self, write: impl FnOnce(&mut Sheet)) -> Vec<(String, Change, Option<f64>)> {
            self.now += SECOND;
            let told = self.alerts.step(self.now, &snapshot(write));
            told.into_iter().map(|event| (event.alert, event.change, event.value)).collect()
        }
    }

    fn event(alert: &str, change: Change, value: f64) -> Vec<(String, Change, Option<f64>)> {
        vec![(alert.into(), change, Some(value))]
    }

    #[test]
    fn the_fullest_mailbox_is_told_with_its_service() {
        let settings = AlertSettings { mailbox: Level::new(0.9, 0.7), ..AlertSettings::default() };
        let mut world = World::new(&settings);
        let fills = |one: f64, other: f64| {
            move |sheet: &mut Sheet| {
                for (service, depth) in [("app/a", one), ("app/b", other)] {
                    gauge(sheet, names::MAILBOX_DEPTH, &[("service", service)], depth);
                    gauge(sheet, names::MAILBOX_CAPACITY, &[("service", service)], 10.0);
                }
                gauge(sheet, names::MAILBOX_DEPTH, &[("service", "without a capacity")], 99.0);
            }
        };
        assert_eq!(world.step(fills(8.0, 1.0)), []);
        let told = world.alerts.step(world.now, &snapshot(fills(3.0, 9.0)));
        assert_eq!((told[0].detail.as_str(), told[0].threshold, told[0].number), ("app/b", 0.9, 1));
        assert_eq!(world.alerts.raised(), ["mailbox"]);
        assert_eq!(world.step(|_| ()), [], "what is not there was not looked at");
        assert_eq!(world.step(fills(1.0, 6.0)), event("mailbox", Cleared, 0.6));
    }

    #[test]
    fn memory_zombies_and_series_are_held_against_their_limits() {
        let mut settings = AlertSettings::default();
        settings.memory.limit_bytes = 1000;
        settings.memory.level = Level::new(0.9, 0.8);
        let mut world = World::new(&settings);
        let of = |memory: f64, zombies: f64, series: f64| {
            move |sheet: &mut Sheet| {
                gauge(sheet, names::RESIDENT_MEMORY, &[], memory);
                gauge(sheet, names::ABANDONED, &[("service", "app")], zombies);
                gauge(sheet, names::ABANDONED, &[("service", "app/net")], 0.0);
                gauge(sheet, names::SERIES, &[], series);
                gauge(sheet, names::SERIES_MAX, &[], 100.0);
            }
        };
        assert_eq!(world.step(of(899.0, 0.0, 89.0)), []);
        assert_eq!(world.step(of(900.0, 0.0, 89.0)), event("memory", Raised, 0.9));
        assert_eq!(world.step(of(900.0, 1.0, 89.0)), event("zombies", Raised, 1.0));
        assert_eq!(world.step(of(900.0, 1.0, 90.0)), event("series", Raised, 0.9));
        let cleared: Vec<_> =
            world.step(of(1.0, 0.0, 1.0)).into_iter().map(|told| (told.0, told.1)).collect();
        assert_eq!(cleared, ["memory", "zombies", "series"].map(|name| (name.to_owned(), Cleared)));
    }

    #[test]
    fn memory_without_a_limit_is_not_watched() {
        let mut world = World::new(&AlertSettings::default());
        assert_eq!(world.step(|sheet| gauge(sheet, names::RESIDENT_MEMORY, &[], 1e18)), []);
    }

    #[test]
    fn a_latency_is_that_of_what_came_since_the_last_look() {
        let mut settings = AlertSettings::default();
        settings.latency.push(LatencyRule::new("slow", "a.time", Level::new(0.5, 0.3)));
        let mut world = World::new(&settings);
        assert_eq!(world.step(|sheet| times(sheet, &[], &[9000])), [], "before the first look");
        assert_eq!(world.step(|sheet| times(sheet, &[], &[9000, 100])), []);
        let told = world.step(|sheet| times(sheet, &[], &[9000, 100, 1000]));
        assert_eq!((told[0].0.as_str(), told[0].1), ("slow", Raised));
        assert!((told[0].2.expect("a value") - 1.0).abs() < 0.01, "{told:?}");
        assert_eq!(world.step(|sheet| times(sheet, &[], &[9000, 100, 1000, 400])), []);
        let told = world.step(|sheet| times(sheet, &[], &[9000, 100, 1000, 400]));
        assert_eq!(told, [("slow".to_owned(), Cleared, None)], "nothing came, so nothing was slow");
        let told = world.step(|sheet| times(sheet, &[], &[1000]));
        assert_eq!(told[0].1, Raised, "it has begun anew");
    }

    #[test]
    fn a_latency_is_that_of_the_series_that_were_asked_for() {
        let mut settings = AlertSettings::default();
        let labels = [("host".to_owned(), "a".to_owned())].into();
        settings
            .latency
            .push(LatencyRule { labels, ..LatencyRule::new("slow", "a.time", Level::new(0.5, 0.3)) });
        let mut world = World::new(&settings);
        world.step(|_| ());
        assert_eq!(world.step(|sheet| times(sheet, &[("host", "b")], &[900])), []);
        let two = |sheet: &mut Sheet| {
            times(sheet, &[("host", "a"), ("port", "1")], &[1]);
            times(sheet, &[("host", "a"), ("port", "2")], &[900]);
        };
        assert_eq!(world.step(two)[0].1, Raised);
    }

    fn failing() -> AlertSettings {
        let rule = ErrorRateRule::new("failing", "a.errors", "a.total", Level::new(0.1, 0.05));
        AlertSettings { error_rate: vec![rule], ..AlertSettings::default() }
    }

    fn outcomes(errors: u64, total: u64) -> impl FnOnce(&mut Sheet) {
        move |sheet| {
            counter(sheet, "a.errors", &[], errors);
            counter(sheet, "a.total", &[], total);
        }
    }

    #[test]
    fn an_error_rate_is_of_what_came_and_of_enough() {
        let mut world = World::new(&failing());
        assert_eq!(world.step(outcomes(50, 100)), [], "before the first look");
        assert_eq!(world.step(outcomes(60, 119)), [], "19 are no rate");
        assert_eq!(world.step(outcomes(60, 120)), event("failing", Raised, 0.5));
        assert_eq!(world.step(outcomes(61, 130)), []);
        assert_eq!(world.step(outcomes(61, 220)), event("failing", Cleared, 0.01));
        assert_eq!(world.step(outcomes(5, 20)), event("failing", Raised, 0.25), "they have begun anew");
    }

    #[test]
    fn where_so_little_happens_nothing_goes_wrong() {
        let mut world = World::new(&failing());
        world.step(outcomes(0, 0));
        assert_eq!(world.step(outcomes(20, 20)), event("failing", Raised, 1.0));
        world.now += SECOND * 58;
        assert_eq!(world.step(outcomes(30, 30)), []);
        assert_eq!(world.step(outcomes(31, 31)), [("failing".to_owned(), Cleared, None)]);
    }

    #[test]
    fn crashes_count_within_their_time() {
        let mut world = World::new(&AlertSettings::default());
        let restarts = |one: u64, other: u64| {
            move |sheet: &mut Sheet| {
                counter(sheet, names::RESTARTS, &[("service", "app/a")], one);
                counter(sheet, names::RESTARTS, &[("service", "app/b")], other);
            }
        };
        assert_eq!(world.step(restarts(70, 7)), [], "those before the first look do not count");
        assert_eq!(world.step(restarts(71, 8)), []);
        world.now += SECOND * 57;
        let told = world.alerts.step(world.now, &snapshot(restarts(71, 9)));
        assert_eq!((told[0].value, told[0].detail.as_str()), (Some(3.0), "app/b"));
        world.now += SECOND;
        assert_eq!(world.step(restarts(71, 9)), [], "1 is left, of the last 60 s");
        world.now += SECOND * 57;
        assert_eq!(world.step(restarts(71, 9)), event("crashes", Cleared, 0.0));
        assert_eq!(world.step(restarts(3, 9)), event("crashes", Raised, 3.0), "another child of that name");
    }

    #[test]
    fn other_settings_hold_from_then_on_and_whose_rule_goes_is_cleared() {
        let mut world = World::new(&failing());
        world.step(outcomes(0, 0));
        assert_eq!(world.step(outcomes(20, 20)), event("failing", Raised, 1.0));
        let mut other = failing();
        other.error_rate[0].level = Level::new(0.9, 0.7);
        assert_eq!(world.alerts.set(world.now, &other), []);
        assert_eq!(world.alerts.raised(), ["failing"], "a value decides");
        assert_eq!(world.step(outcomes(36, 40)), []);
        assert_eq!(world.step(outcomes(48, 60)), event("failing", Cleared, 0.6));
        assert_eq!(world.step(outcomes(68, 80)), event("failing", Raised, 1.0));
        let gone = world.alerts.set(world.now, &AlertSettings::default());
        assert_eq!((gone.len(), gone[0].change, gone[0].number, gone[0].value), (1, Cleared, 4, None));
        assert_eq!(world.alerts.raised(), Vec::<String>::new());
    }

    #[test]
    fn what_is_turned_off_is_not_raised() {
        let mut settings = AlertSettings::default();
        settings.zombies.enabled = false;
        let mut world = World::new(&settings);
        assert_eq!(world.step(|sheet| gauge(sheet, names::ABANDONED, &[], 9.0)), []);
    }

    #[test]
    fn services_that_were_out_of_sight_have_not_crashed() {
        let mut world = World::new(&AlertSettings::default());
        let all = |sheet: &mut Sheet| {
            counter(sheet, names::RESTARTS, &[("service", "app/a")], 1);
            counter(sheet, names::RESTARTS, &[("service", "app/pool/b")], 70);
        };
        let some = |sheet: &mut Sheet| counter(sheet, names::RESTARTS, &[("service", "app/a")], 1);
        assert_eq!(world.step(all), []);
        assert_eq!(world.step(some), [], "a supervisor did not answer");
        assert_eq!(world.step(|_| ()), [], "nobody did");
        assert_eq!(world.step(all), []);
    }

    #[test]
    fn a_supervisor_that_is_restarted_counts_as_a_service_does() {
        let mut world = World::new(&AlertSettings::default());
        let restarts = |total| {
            move |sheet: &mut Sheet| {
                counter(sheet, names::SUPERVISOR_RESTARTS, &[("supervisor", "app/pool")], total);
            }
        };
        assert_eq!(world.step(restarts(1)), []);
        let told = world.alerts.step(world.now, &snapshot(restarts(4)));
        assert_eq!((told[0].change, &*told[0].detail), (Raised, "app/pool"));
    }

    #[test]
    fn errors_that_were_out_of_sight_are_not_new() {
        let mut world = World::new(&failing());
        assert_eq!(world.step(outcomes(500, 100_000)), []);
        let quiet = |total: u64| move |sheet: &mut Sheet| counter(sheet, "a.total", &[], total);
        assert_eq!(world.step(quiet(100_100)), [], "what does not change for an hour is not shown");
        assert_eq!(world.step(outcomes(501, 100_200)), [], "1 of 100 failed");
    }

    #[test]
    fn values_that_were_out_of_sight_are_not_new() {
        let mut settings = AlertSettings::default();
        settings.latency.push(LatencyRule::new("slow", "a.time", Level::new(0.5, 0.3)));
        let mut world = World::new(&settings);
        assert_eq!(world.step(|sheet| times(sheet, &[], &[9000, 9000])), []);
        assert_eq!(world.step(|_| ()), []);
        assert_eq!(world.step(|sheet| times(sheet, &[], &[9000, 9000, 1])), [], "1 ms is what came");
    }

    proptest! {
        /// Counters of any kind, which come and go and begin anew; settings that change: nothing panics, and each alert
        /// is raised and cleared in turn, with numbers that rise by one.
        #[test]
        fn whatever_is_measured_raise_and_clear_alternate(
            looks in prop::collection::vec((any::<u64>(), any::<u64>(), any::<f64>(), 0..100_u64, 0..4_u8), 0..40),
        ) {
            let mut world = World::new(&failing());
            let mut numbers = std::collections::BTreeMap::<String, u64>::new();
            for (errors, total, value, seconds, kind) in looks {
                world.now += SECOND * seconds as u32;
                let write = |sheet: &mut Sheet| {
                    counter(sheet, "a.errors", &[], errors);
                    counter(sheet, "a.total", &[], total);
                    counter(sheet, names::RESTARTS, &[("service", "a")], errors % 10);
                    gauge(sheet, names::ABANDONED, &[], value);
                    gauge(sheet, names::MAILBOX_DEPTH, &[], value);
                    gauge(sheet, names::MAILBOX_CAPACITY, &[], value);
                };
                let events = match kind {
                    0 => world.alerts.set(world.now, &AlertSettings::default()),
                    1 => world.alerts.set(world.now, &failing()),
                    2 => world.alerts.step(world.now, &snapshot(|_| ())),
                    _ => world.alerts.step(world.now, &snapshot(write)),
                };
                for event in events {
                    let number = numbers.entry(event.alert.clone()).or_default();
                    *number += 1;
                    prop_assert_eq!((event.number, event.change == Raised), (*number, *number % 2 == 1));
                    if kind == 0 {
                        *number = 0; // its rule is gone, and with it the numbers
                    }
                }
                if kind == 0 {
                    numbers.remove("failing");
                }
            }
        }
    }
}
