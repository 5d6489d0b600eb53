//! Without a hook, what happens becomes records of the `log` crate, with key-values.
#![allow(clippy::disallowed_methods, clippy::disallowed_types)] // tests stand outside of the door

mod common;

use std::collections::BTreeMap;
use std::sync::OnceLock;

use common::*;
use log::kv::{Error, Key, Value, VisitSource};
use log::{Level, LevelFilter, Metadata, Record};
use underpin::{Lifecycle, Supervisor};

/// A record, with its key-values as text.
#[derive(Clone, Debug)]
struct Entry {
    level: Level,
    text: String,
    keys: BTreeMap<String, String>,
}

impl Entry {
    #[track_caller]
    fn key(&self, key: &str) -> &str {
        self.keys.get(key).unwrap_or_else(|| panic!("no `{key}` in {self:?}"))
    }

    fn is_of(&self, supervisor: &str, level: Level) -> bool {
        self.level == level && self.keys.get("supervisor").is_some_and(|path| path == supervisor)
    }
}

/// Keeps every record. There is one logger in a process: each test has a supervisor of its own.
struct Collector(Log<Entry>);

struct Keys(BTreeMap<String, String>);

impl<'kvs> VisitSource<'kvs> for Keys {
    fn visit_pair(&mut self, key: Key<'kvs>, value: Value<'kvs>) -> Result<(), Error> {
        self.0.insert(key.to_string(), value.to_string());
        Ok(())
    }
}

impl log::Log for Collector {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &Record<'_>) {
        let mut keys = Keys(BTreeMap::new());
        record.key_values().visit(&mut keys).expect("visited");
        self.0.push(Entry { level: record.level(), text: record.args().to_string(), keys: keys.0 });
    }

    fn flush(&self) {}
}

fn records() -> &'static Log<Entry> {
    static COLLECTOR: OnceLock<Collector> = OnceLock::new();
    static SET: OnceLock<()> = OnceLock::new();
    let collector = COLLECTOR.get_or_init(|| Collector(Log::new()));
    SET.get_or_init(|| {
        log::set_logger(collector).expect("there is no other logger");
        log::set_max_level(LevelFilter::Debug);
    });
    &collector.0
}

#[test]
fn a_crash_is_an_error_and_its_restart_a_warning() {
    let (records, journal) = (records(), Journal::new());
    let spec = bot("a", &journal);
    let handle = spec.handle();
    let sup = patient("log-crash").child(spec).start().expect("starts");
    handle.cast(boom()).expect("accepted");
    assert_eq!(handle.call(Msg::Epoch).expect("answered"), 2);
    let crash = records.wait(|entry| entry.is_of("log-crash", Level::Error));
    assert_eq!(crash.text, "a panicked: boom");
    assert_eq!((crash.key("supervisor"), crash.key("child"), crash.key("epoch")), ("log-crash", "a", "1"));
    assert_eq!((crash.key("context"), crash.key("message")), ("Running", "Do"));
    assert_eq!((crash.key("reason"), crash.key("aftermath")), ("panicked: boom", "-"));
    let restart = records.wait(|entry| entry.is_of("log-crash", Level::Warn));
    assert_eq!(restart.text, "a is restarted");
    assert_eq!((restart.key("child"), restart.key("delay")), ("a", "0ns"));
    drop(sup);
    assert_eq!(records.count(|entry| entry.is_of("log-crash", Level::Error)), 1);
    assert_eq!(records.count(|entry| entry.is_of("log-crash", Level::Warn)), 1);
}

#[test]
fn states_are_debug_records_in_their_order() {
    let (records, journal) = (records(), Journal::new());
    let sup = Supervisor::new("log-states").child(bot("a", &journal)).start().expect("starts");
    assert!(sup.shutdown(LONG).is_clean());
    let all = records.all().into_iter().filter(|entry| entry.is_of("log-states", Level::Debug));
    let states: Vec<_> = all
        .map(|entry| {
            assert_eq!((entry.key("child"), entry.key("epoch")), ("a", "1"));
            assert_eq!(entry.text, format!("a {}", entry.key("state")));
            entry.key("state").to_owned()
        })
        .collect();
    assert_eq!(states, ["starting", "initializing", "running", "terminating", "cleanup", "stopped"]);
    // The root is the child of the empty path.
    let root = records.wait(|entry| entry.is_of("", Level::Debug) && entry.keys["child"] == "log-states");
    assert_eq!(root.key("epoch"), "1");
    assert_eq!(records.count(|entry| entry.is_of("log-states", Level::Error)), 0, "calm ends are not errors");
}

#[test]
fn with_a_hook_nothing_is_logged() {
    let (records, journal, events) = (records(), Journal::new(), Events::new());
    let spec = bot("a", &journal);
    let handle = spec.handle();
    let sup = patient("log-hook").on_event(events.hook()).child(spec).start().expect("starts");
    handle.cast(boom()).expect("accepted");
    events.entered("a", Lifecycle::Running, 2);
    drop(sup);
    let told = |entry: &Entry| entry.keys.values().any(|value| value == "log-hook");
    assert_eq!(records.count(told), 0);
}

#[cfg(feature = "telemetry")]
#[test]
fn metrics_are_a_line_for_each_name_below_a_prefix() {
    use underpin::telemetry::{Descriptor, Exporter, LogLines, Telemetry, Unit};

    let (records, telemetry) = (records(), Telemetry::new());
    telemetry.counter(&Descriptor::counter("log_lines.taken", ""), &[("host", "a")]).add(3);
    let taking = Descriptor::histogram("log_lines.taking", "").unit(Unit::Seconds);
    telemetry.histogram(&taking, &[]).record(2_000_000);
    telemetry.counter(&Descriptor::counter("other.lines", ""), &[]).add(1);
    LogLines::new().below("log_lines").export(&telemetry.metrics("", &[])).expect("a logger takes all");
    let lines: Vec<_> = records.all().into_iter().filter(|entry| entry.text.contains("lines.")).collect();
    let texts: Vec<_> = lines.iter().map(|entry| (entry.level, &*entry.text)).collect();
    let expected = ["log_lines.taken{host=\"a\"} 3", "log_lines.taking 1, p50 2 ms, p99 2 ms"];
    assert_eq!(texts, expected.map(|text| (Level::Info, text)));
}

#[cfg(feature = "telemetry")]
#[test]
fn a_fault_in_a_metric_is_logged_but_not_each_time() {
    use underpin::telemetry::{Descriptor, Telemetry};

    let (records, telemetry) = (records(), Telemetry::builder().name("log-faults").build());
    let wrong = Descriptor::counter("Wrong", "");
    (0..100).for_each(|_| telemetry.counter(&wrong, &[]).increment());
    let told = records.count(|entry| entry.text.contains("telemetry `log-faults`"));
    assert_eq!(told, 7, "the 1st, 2nd, 4th, .. 64th");
}
