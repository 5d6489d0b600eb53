//! The sink through which a program hears of what becomes of its configuration.
#![cfg(feature = "config")]

mod common;
mod config_common;

use std::convert::Infallible;
use std::sync::Arc;
use std::time::{Duration, Instant};

use common::{LONG, Latch, Log, MS, panic_quietly, patient};
use config_common::{App, layers, load, running};
use underpin::config::{Cause, Config, ConfigEvent, Metric, Sink, Subscription};
use underpin::{Context, Handle, Next, Overflow, Service, child};

/// Notes all of it.
struct Noting {
    lines: Log<String>,
    config: Config<App>,
    told: std::sync::Mutex<Option<Subscription>>,
}

impl Sink for Noting {
    fn event(&self, event: &ConfigEvent) {
        let told = self.told.lock().expect("no panic").as_ref().map_or(0, Subscription::len);
        let version = self.config.version();
        let line = match event {
            ConfigEvent::Updated { cause, changes, .. } => format!("updated {cause:?} {}", changes.len()),
            ConfigEvent::Reset { cause, changes, .. } => format!("reset {cause:?} {}", changes.len()),
            ConfigEvent::Degraded { .. } => "degraded".into(),
            ConfigEvent::Recovered { .. } => "recovered".into(),
            other => format!("{other:?}"),
        };
        self.lines.push(format!("{line} at {version}, {told} told"));
    }

    fn metric(&self, metric: Metric, value: f64) {
        let value = if metric == Metric::UpdateSeconds { f64::from(u8::from(value > 0.0)) } else { value };
        self.lines.push(format!("{} {value}", metric.name()));
    }
}

fn noting(config: &Config<App>) -> (Log<String>, Arc<Noting>) {
    let lines = Log::new();
    let told = std::sync::Mutex::new(Some(config.subscribe("").expect("a path")));
    let sink = Arc::new(Noting { lines: lines.clone(), config: config.clone(), told });
    config.set_sink(Arc::clone(&sink) as Arc<dyn Sink>);
    (lines, sink)
}

#[test]
fn event_and_metric_come_after_the_publication_and_before_the_notices() {
    let (config, _tree) = running(layers());
    let (lines, _sink) = noting(&config);
    config.update("workers", 3).expect("a version");
    let expected =
        ["updated Update 1 at 2, 0 told", "config.update.duration.seconds 1", "config.subscribers 1"];
    assert_eq!(lines.all(), expected);
}

#[test]
fn each_kind_of_version_has_its_event_and_a_refusal_is_counted() {
    let (config, _tree) = running(layers());
    let (lines, sink) = noting(&config);
    *sink.told.lock().expect("no panic") = None;
    config.update("workers", 3).expect("a version");
    config.rollback(1).expect("a version");
    config.reset().expect("a version");
    config.reset_to_defaults().expect("a version");
    config.update("workers", 0).expect_err("refused");
    config.section::<Empty>("empty").expect("a section");
    let events: Vec<_> = lines.all().into_iter().filter(|line| !line.contains("config.")).collect();
    let expected = [
        "updated Update 1 at 2, 0 told",
        "updated Rollback 1 at 3, 0 told",
        "reset Reset 0 at 4, 0 told",
        "reset Defaults 0 at 5, 0 told",
        "updated Section 1 at 6, 0 told",
    ];
    assert_eq!(events, expected);
    assert_eq!(lines.count(|line| line == "config.update.refused 1"), 1);
    assert_eq!(lines.count(|line| line.starts_with("config.update.duration")), 5);
    assert_ne!(Cause::Reset, Cause::Defaults);
}

#[derive(Default, serde::Serialize, serde::Deserialize)]
struct Empty {}

impl underpin::config::Validate for Empty {}

struct Panicking;

impl Sink for Panicking {
    fn event(&self, _: &ConfigEvent) {
        panic_quietly("in the sink");
    }

    fn metric(&self, _: Metric, _: f64) {
        panic_quietly("in the sink");
    }
}

#[test]
fn a_panic_of_the_sink_is_contained() {
    let (config, _tree) = running(layers());
    let mut told = config.subscribe("").expect("a path");
    config.set_sink(Arc::new(Panicking));
    assert_eq!(config.update("workers", 3).expect("a version"), 2);
    assert_eq!(told.recv_timeout(LONG).expect("a notice").version, 2);
    config.update("workers", 0).expect_err("refused by its value alone");
    assert_eq!(config.update("workers", 4).expect("the service did not crash"), 3);
}

// ---- an event store behind it ------------------------------------------------------------

/// An event store that hangs as long as the latch is closed.
struct Store(Latch);

impl Service for Store {
    type Msg = ConfigEvent;
    type Error = Infallible;

    fn handle(&mut self, _: ConfigEvent, _: &mut Context<Self>) -> Result<Next, Infallible> {
        self.0.wait();
        Ok(Next::Continue)
    }
}

struct Passing(Handle<ConfigEvent>);

impl Sink for Passing {
    fn event(&self, event: &ConfigEvent) {
        drop(self.0.cast(event.clone())); // what it does not take is counted there
    }
}

fn median_of_updates(config: &Config<App>) -> Duration {
    let mut times: Vec<_> = (0..200)
        .map(|turn| {
            let begun = Instant::now();
            config.update("workers", 3 + turn).expect("a version");
            begun.elapsed()
        })
        .collect();
    times.sort_unstable();
    times[times.len() / 2]
}

#[test]
fn a_hung_event_store_delays_neither_an_update_nor_a_read() {
    let (config, latch) = (load(layers()), Latch::new());
    let held = latch.clone();
    let store = child("store", move || Store(held.clone())).capacity(4).overflow(Overflow::DropNewest);
    config.set_sink(Arc::new(Passing(store.handle())));
    let _tree = patient("tree").child(store).child(config.child()).start().expect("the tree starts");
    // The best of some rounds: other programs have the processor, too.
    let median = (0..5).map(|_| median_of_updates(&config)).min().expect("five rounds");
    assert!(median < MS, "{median:?} for an update at the median");
    let mut reads: Vec<_> = (0..1000)
        .map(|_| {
            let begun = Instant::now();
            assert_eq!(config.load().workers, 202);
            begun.elapsed()
        })
        .collect();
    reads.sort_unstable();
    assert!(reads[500] < MS, "{:?} for a read at the median", reads[500]);
    latch.open();
}
