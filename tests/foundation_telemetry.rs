//! Telemetry and health in a running application: what becomes metrics and events without a line of the user's.
#![cfg(all(feature = "foundation", feature = "telemetry"))]

mod common;

use std::time::{Duration, Instant};

use common::{LONG, Log, MS, SECOND};
use underpin::telemetry::{MetricsSnapshot, Telemetry, TextFile};
use underpin::testing::{Crasher, Order};
use underpin::{Foundation, FoundationBuilder, Handle};

fn text_of(metrics: &MetricsSnapshot) -> String {
    metrics.to_prometheus()
}

/// What a line of the text says.
fn value(text: &str, series: &str) -> Option<f64> {
    let line =
        text.lines().find(|line| line.strip_prefix(series).is_some_and(|rest| rest.starts_with(' ')))?;
    line.rsplit(' ').next()?.parse().ok()
}

/// What is measured, when that is so.
#[track_caller]
fn collected(telemetry: &Telemetry, is_so: impl Fn(&MetricsSnapshot) -> bool) -> MetricsSnapshot {
    let late = Instant::now() + LONG;
    loop {
        telemetry.collect();
        let metrics = telemetry.metrics("", &[]);
        if is_so(&metrics) {
            return metrics;
        }
        assert!(Instant::now() < late, "{}", text_of(&metrics));
        std::thread::yield_now();
    }
}

/// Returns when it has crashed.
fn crash(crasher: &Handle<Order>) {
    let _ = crasher.call_timeout(LONG, |reply| Order::With(reply, Box::new(Order::Panic)));
}

fn app(telemetry: &Telemetry) -> FoundationBuilder {
    Foundation::builder("app").telemetry(telemetry).intensity(100, SECOND)
}

#[test]
fn each_service_and_the_process_are_measured_without_a_line_of_theirs() {
    let telemetry = Telemetry::new();
    let crasher = Crasher::new().child("crasher").capacity(32);
    let handle = crasher.handle();
    let app = app(&telemetry).child(crasher).start().expect("it starts");
    crash(&handle);
    let crasher = [("service", "app/crasher")];
    let has_crashed =
        |metrics: &MetricsSnapshot| metrics.counter("underpin.service.restarts", &crasher) == Some(1);
    let text = text_of(&collected(&telemetry, has_crashed));
    let of = |name: &str| value(&text, &format!("{name}{{service=\"app/crasher\"}}"));
    assert_eq!(of("underpin_service_restarts_total"), Some(1.0), "{text}");
    assert_eq!(of("underpin_service_mailbox_capacity"), Some(32.0));
    assert!(of("underpin_service_uptime_seconds").is_some_and(|up| (0.0..60.0).contains(&up)));
    assert_eq!(value(&text, "underpin_tree_up{tree=\"app\"}"), Some(1.0));
    assert!(of("underpin_service_handled_total").is_some());
    drop(app);
}

/// Names say units, and the values are in them.
#[cfg(target_os = "linux")]
#[test]
fn units_in_names_are_true() {
    let telemetry = Telemetry::new();
    let app = app(&telemetry).start().expect("it starts");
    let text = text_of(&collected(&telemetry, |metrics| metrics.family("process.uptime").is_some()));
    let of = |name| value(&text, name).unwrap_or_else(|| panic!("{name} is not in {text}"));
    let uptime = of("process_uptime_seconds");
    assert!((0.0..3_600.0).contains(&uptime), "{uptime} s");
    let since_1970 = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("it is later");
    let started = of("process_start_time_seconds");
    assert!((since_1970.as_secs_f64() - started - uptime).abs() < 60.0, "{started} s since 1970");
    let cpu = of("process_cpu_seconds_total");
    assert!(cpu < uptime.max(1.0) * 64.0 + 60.0, "{cpu} s");
    let resident = of("process_resident_memory_bytes");
    assert!((1e5..1e11).contains(&resident), "{resident} bytes");
    assert!(of("process_open_fds") >= 3.0 && of("process_threads") >= 2.0);
    drop(app);
}

#[test]
fn the_last_export_has_what_was_counted_while_everything_stopped() {
    struct Counting(underpin::telemetry::Counter);
    impl underpin::Service for Counting {
        type Msg = ();
        type Error = std::convert::Infallible;
        fn handle(&mut self, (): (), _: &mut underpin::Context<Self>) -> Result<underpin::Next, Self::Error> {
            Ok(underpin::Next::Continue)
        }
        fn terminate(&mut self, _: &underpin::Exit) {
            self.0.add(7);
        }
    }
    let path = std::env::temp_dir().join(format!("underpin-last-export-{}.prom", std::process::id()));
    let file = path.clone();
    let telemetry =
        Telemetry::builder().exporter("file", 1_000 * SECOND, move || TextFile::new(&file)).build();
    let ended = telemetry.counter(&underpin::telemetry::Descriptor::counter("test.ended", "Ends."), &[]);
    let app = app(&telemetry).child(underpin::child("counting", move || Counting(ended.clone()))).start();
    assert!(app.expect("it starts").shutdown(LONG).is_clean());
    let text = std::fs::read_to_string(&path).expect("it was written");
    std::fs::remove_file(&path).expect("it is there");
    assert_eq!(value(&text, "test_ended_total"), Some(7.0));
}

#[cfg(all(feature = "config", feature = "events"))]
#[test]
fn a_configuration_and_a_store_are_measured() {
    use serde_json::{Value, json};
    use underpin::config::{Config, Layers};
    use underpin::events::{Event, EventStore};

    let config: Config<Value> = Layers::new().defaults(json!({"workers": 2})).load().expect("it is valid");
    let (telemetry, store) = (Telemetry::new(), EventStore::in_memory());
    let app = app(&telemetry).config(&config).events(&store).start().expect("it starts");
    config.update("workers", 3).expect("it is updated");
    config.update("workers", Value::Null).expect("it is anything");
    store.store_sync(Event::new("test")).expect("it is stored");
    let stored =
        |metrics: &MetricsSnapshot| metrics.counter("events.stored", &[("store", "events")]) >= Some(3);
    let metrics = collected(&telemetry, stored); // two updates and one of ours
    let updates = metrics.histogram("config.update.duration", &[("config", "config")]).expect("it is there");
    assert_eq!(updates.count(), 2);
    assert!(
        updates.max().is_some_and(|longest| (100..60_000_000_000).contains(&longest)),
        "nanoseconds: {updates:?}"
    );
    drop(app);
}

#[cfg(all(feature = "config", feature = "events", feature = "health"))]
mod alerts {
    use serde::{Deserialize, Serialize};
    use serde_json::Value;
    use underpin::config::{Config, Layers, Validate};
    use underpin::events::{EventStore, Query};
    use underpin::health::{AlertSettings, Change, Health, HealthMonitor, Mode};
    use underpin::{ALERT_CLEARED, ALERT_RAISED, HEALTH_CHANGED};

    use super::*;

    #[derive(Clone, Default, Serialize, Deserialize)]
    #[serde(default)]
    struct Settings {
        alerts: AlertSettings,
    }

    impl Validate for Settings {}

    struct World {
        app: Foundation,
        config: Config<Settings>,
        store: EventStore,
        health: HealthMonitor,
        crash: Handle<Order>,
        told: Log<(String, Change)>,
        telemetry: Telemetry,
    }

    fn world() -> World {
        let config: Config<Settings> =
            Layers::new().defaults(Settings::default()).load().expect("it is valid");
        let telemetry = Telemetry::builder().tick(20 * MS).build();
        let health = HealthMonitor::builder().tick(20 * MS).build();
        let store = EventStore::in_memory();
        let told = Log::new();
        let heard = told.clone();
        health.on_alert(move |event| heard.push((event.alert.clone(), event.change)));
        let crasher = Crasher::new().child("crasher");
        let crash = crasher.handle();
        let app = app(&telemetry)
            .config(&config)
            .events(&store)
            .health(&health)
            .alerts(&config, |settings| settings.alerts.clone())
            .child(crasher)
            .start()
            .expect("it starts");
        World { app, config, store, health, crash, told, telemetry }
    }

    impl World {
        fn crash(&self) {
            crash(&self.crash);
        }

        fn data(&self, kind: &str) -> Vec<Value> {
            let found = self.store.query(&Query::new().kind(kind)).expect("it answers").entries;
            found.iter().map(|entry| entry.data().as_json().cloned().expect("it is JSON")).collect()
        }
    }

    #[test]
    fn a_crash_alert_is_raised_and_cleared_by_thresholds_from_the_configuration_as_events_and_calls() {
        let world = world();
        world.config.update("alerts.crashes.within_seconds", 1).expect("it is valid");
        world.config.update("alerts.crashes.level.raise", 2.0).expect("it is valid");
        (0..2).for_each(|_| world.crash());
        world.told.wait_count(1, |(alert, change)| alert == "crashes" && *change == Change::Raised);
        world.told.wait_count(1, |(alert, change)| alert == "crashes" && *change == Change::Cleared);
        assert_eq!(world.data(ALERT_RAISED)[0]["alert"], "crashes");
        assert_eq!(world.data(ALERT_CLEARED)[0]["number"], 2);
        assert_eq!(world.told.all().len(), 2, "each is told once");
        assert!(world.app.shutdown(LONG).is_clean());
    }

    #[test]
    fn wrong_thresholds_change_nothing() {
        let world = world();
        // Not less than the threshold at which it is raised: it would be cleared at once.
        world.config.update("alerts.crashes.level.clear", 1e9).expect("this type does not look at it");
        world.config.update("alerts.mailbox.raise", 0.5).expect("this type does not look at it");
        (0..3).for_each(|_| world.crash());
        let is_crashes = |(alert, _): &(String, Change)| alert == "crashes";
        world.told.wait_count(1, is_crashes);
        assert!(!world.told.comes_within(200 * MS, |told| is_crashes(told) && told.1 == Change::Cleared));
    }

    #[test]
    fn a_pool_whose_supervisor_is_restarted_again_and_again_raises_the_crash_alert() {
        let telemetry = Telemetry::builder().tick(20 * MS).build();
        let health = HealthMonitor::builder().tick(20 * MS).build();
        let told = Log::new();
        let heard = told.clone();
        health.on_alert(move |event| heard.push((event.alert.clone(), event.detail.clone())));
        let crasher = Crasher::new().child("crasher");
        let handle = crasher.handle();
        let pool = underpin::Supervisor::new("pool").intensity(0, SECOND).child(crasher);
        let mid = underpin::Supervisor::new("mid").intensity(1_000, SECOND).supervisor(pool);
        let app = app(&telemetry).health(&health).supervisor(mid).start().expect("it starts");
        for crashes in 1..20 {
            crash(&handle);
            let epoch = || handle.call_timeout(LONG, Order::Epoch).is_ok();
            assert!(epoch() || epoch(), "it is back after {crashes}");
            if told.comes_within(30 * MS, |(alert, _)| alert == "crashes") {
                break;
            }
        }
        assert_eq!(told.all(), [("crashes".to_owned(), "app/mid/pool".to_owned())]);
        drop(app);
    }

    #[test]
    fn health_mode_and_alerts_become_metrics_and_events() {
        let world = world();
        (0..3).for_each(|_| world.crash());
        world.told.wait_count(1, |(alert, change)| alert == "crashes" && *change == Change::Raised);
        let raised = [("alert", "crashes"), ("health", "health")];
        let is_raised =
            |metrics: &MetricsSnapshot| metrics.gauge("underpin.alert.raised", &raised) == Some(1.0);
        let text = text_of(&collected(&world.telemetry, is_raised));
        let states: f64 = Health::ALL
            .iter()
            .filter_map(|state| {
                value(&text, &format!("underpin_health_state{{health=\"health\",state=\"{state}\"}}"))
            })
            .sum();
        assert_eq!(states, 1.0, "one of them all");
        let modes: f64 = Mode::ALL
            .iter()
            .filter_map(|mode| {
                value(&text, &format!("underpin_health_mode{{health=\"health\",mode=\"{mode}\"}}"))
            })
            .sum();
        assert_eq!(modes, 1.0, "one of them all");
        assert_eq!(value(&text, "underpin_alert_raised{alert=\"crashes\",health=\"health\"}"), Some(1.0));
        let changes = world.data(HEALTH_CHANGED);
        assert_eq!(changes[0]["from"], "unknown", "{changes:?}");
    }

    #[test]
    fn health_starts_last_and_stops_first_and_telemetry_is_there_before_the_store() {
        let world = world();
        let tree = world.app.root().inspect().expect("it is up");
        let names: Vec<_> = tree.children.iter().map(|child| child.name.to_string()).collect();
        assert_eq!(names, ["config", "telemetry", "events", "crasher", "health"]);
    }

    #[test]
    fn alerts_of_no_monitor_are_refused_at_the_start() {
        let config: Config<Settings> =
            Layers::new().defaults(Settings::default()).load().expect("it is valid");
        let app =
            Foundation::builder("app").config(&config).alerts(&config, |settings| settings.alerts.clone());
        let refused = app.start().expect_err("there is no monitor").to_string();
        assert!(refused.contains("no monitor whose alerts these could be"), "{refused}");
    }

    #[test]
    fn after_the_end_nobody_is_watched_any_more() {
        let World { app, health, telemetry, store, .. } = world();
        assert_eq!(health.check_now("tree-app", LONG).expect("it answers").health(), Health::Healthy);
        assert!(app.shutdown(Duration::from_secs(10)).is_clean());
        assert_eq!(health.health().health, Health::Unknown, "nobody looks any more");
        assert!(!telemetry.remove_collector("tree app") && !telemetry.remove_collector("process"));
        assert!(!telemetry.remove_collector(&format!("events {}", store.name())));
    }
}
