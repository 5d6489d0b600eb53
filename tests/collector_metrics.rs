//! What the collector measures, and which alerts it raises.
#![cfg(all(feature = "signals", feature = "config", feature = "journal", feature = "health", unix))]
#![allow(clippy::disallowed_methods, clippy::disallowed_types)] // it is a user's program

mod collecting;

use std::collections::BTreeMap;
use std::fs;
use std::net::UdpSocket;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use collecting::*;
use serde_json::Value;
use underpin::events::{Entry, EventStore, Journal, StartFrom};
use underpin::{ALERT_CLEARED, ALERT_RAISED};

/// A file of metrics, as somebody reads it who knows the format and not the program.
struct Metrics(Vec<Sample>);

struct Sample {
    name: String,
    labels: BTreeMap<String, String>,
    value: f64,
}

impl Metrics {
    /// A whole file; anything else is a failure.
    fn of(path: &Path) -> Self {
        let text = fs::read_to_string(path).expect("it is there");
        assert!(text.ends_with('\n'), "it is cut off: {:?}", text.lines().last());
        let samples = text.lines().filter(|line| !line.starts_with('#')).map(Sample::of);
        let metrics = Self(samples.collect());
        // Its names are in order, and there is more behind them: not before the end.
        let last = metrics.0.last().map(|sample| sample.name.as_str()).expect("there are some");
        assert!(last.starts_with("underpin_t"), "the end is missing: {last}");
        metrics
    }

    /// The sum of all series of a name that have these labels.
    fn sum(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        self.found(name, labels).iter().map(|sample| sample.value).sum()
    }

    fn found(&self, name: &str, labels: &[(&str, &str)]) -> Vec<&Sample> {
        let has = |sample: &&Sample| {
            labels.iter().all(|(label, value)| sample.labels.get(*label).is_some_and(|found| found == value))
        };
        self.0.iter().filter(|sample| sample.name == name).filter(has).collect()
    }

    fn lines(&self, severity: &str, host: &str, outcome: &str) -> f64 {
        self.sum("collector_lines_total", &[("severity", severity), ("host", host), ("outcome", outcome)])
    }

    /// The lines of each outcome, and the times that were measured, are those of the last line.
    fn check(&self, summary: &Value) {
        let lines = |outcome| self.sum("collector_lines_total", &[("outcome", outcome)]) as u64;
        let (filtered, lost) = (count(summary, "filtered"), count(summary, "lost"));
        assert_eq!(lines("parsed") + filtered, count(summary, "parsed"), "{summary}");
        assert_eq!(lines("filtered"), filtered, "{summary}");
        assert_eq!(lines("malformed"), count(summary, "malformed"), "{summary}");
        assert_eq!(lines("lost"), lost, "{summary}");
        assert_eq!(self.sum("collector_lines_total", &[]) as u64, count(summary, "received"), "{summary}");
        let timed = self.sum("collector_handling_seconds_count", &[]) as u64;
        assert_eq!(timed, count(summary, "received") - lost, "{summary}");
    }
}

impl Sample {
    /// `name{label="value"} 1.5`: no value here has quotes in it.
    fn of(line: &str) -> Self {
        let (series, value) = line.rsplit_once(' ').unwrap_or_else(|| panic!("{line:?} is no sample"));
        let (name, labels) = series.split_once('{').unwrap_or((series, "}"));
        let labels = labels.strip_suffix('}').unwrap_or_else(|| panic!("{line:?} has no end"));
        let label = |pair: &str| {
            let (label, value) = pair.split_once("=\"").unwrap_or_else(|| panic!("{line:?}: {pair:?}"));
            (label.to_owned(), value.to_owned())
        };
        let pairs = labels.strip_suffix('"').map(|pairs| pairs.split("\",").map(label).collect());
        let value = match value {
            "+Inf" => f64::INFINITY,
            value => value.parse().unwrap_or_else(|_| panic!("{line:?} has no number")),
        };
        Self { name: name.to_owned(), labels: pairs.unwrap_or_default(), value }
    }
}

fn count(summary: &Value, name: &str) -> u64 {
    summary[name].as_u64().unwrap_or_else(|| panic!("{name}: {summary}"))
}

/// A directory of a test, removed with it.
struct Dir(PathBuf);

impl Dir {
    fn new(name: &str) -> Self {
        let dir = std::env::temp_dir().join(format!("collector-metrics-{}-{name}", std::process::id()));
        drop(fs::remove_dir_all(&dir));
        fs::create_dir(&dir).expect("it is fresh");
        Self(dir)
    }

    fn file(&self, name: &str) -> String {
        self.0.join(name).to_str().expect("text").to_owned()
    }

    /// The alerts in the journal there, in their order.
    fn alerts(&self, journal: &str) -> Vec<Entry> {
        let store = EventStore::builder().max_events(u64::MAX).max_bytes(u64::MAX).max_age(None);
        let store = store.journal(Journal::at(self.file(journal))).open().expect("a journal");
        let mut all = store.subscribe(StartFrom::Oldest);
        let entries = std::iter::from_fn(|| all.try_recv().ok());
        entries.filter(|entry| entry.kind().starts_with("alert.")).collect()
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

// ---- what is counted -------------------------------------------------------------------------

#[test]
fn lines_of_files_are_counted_by_severity_host_and_outcome() {
    let dir = Dir::new("files");
    let (metrics, input) = (dir.file("metrics"), dir.file("input"));
    let lines = [
        "<11>Jan  1 00:00:00 alpha app: err",
        "<11>Jan  1 00:00:01 alpha app: err",
        "<14>Jan  1 00:00:00 alpha app: info",
        "<8>1 2026-01-01T00:00:00Z beta app 1 - - emerg",
        "<8>1 2026-01-01T00:00:00Z - app 1 - - emerg",
        "just text",
        "",
    ];
    fs::write(&input, lines.join("\n").into_bytes()).expect("a directory");
    let said = run(&["--metrics", &metrics, "--severity", "err", &input]);
    let found = Metrics::of(metrics.as_ref());
    found.check(&said.summary());
    assert_eq!(said.counts()[..3], [6, 6, 0]);
    assert_eq!(found.lines("err", "alpha", "parsed"), 2.0);
    assert_eq!(found.lines("info", "alpha", "filtered"), 1.0);
    assert_eq!(found.lines("emerg", "beta", "parsed"), 1.0);
    assert_eq!(found.lines("emerg", &input, "parsed"), 1.0, "where it came from");
    assert_eq!(found.lines("none", &input, "parsed"), 1.0);
    assert_eq!(found.found("collector_lines_total", &[]).len(), 6, "these, and that of lost ones");
    assert_eq!(said.stderr, "");
}

#[test]
fn lines_of_the_network_are_counted_by_the_host_they_say_or_come_from() {
    let dir = Dir::new("network");
    let metrics = dir.file("metrics");
    let collector = Serving::start(&["--metrics", &metrics]);
    collector.tell_and_wait(&numbered(0..5000));
    collector.tell_and_wait(b"caf\xe9\n\n99 <13>cut off");
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a port");
    socket.send_to(b"<13>1 2026-01-01T00:00:00Z other app - - - x", collector.address).expect("a datagram");
    let said = collector.stop("TERM");
    let found = Metrics::of(metrics.as_ref());
    found.check(&said.summary());
    assert_eq!(found.lines("notice", "host", "parsed"), 5000.0);
    assert_eq!(found.lines("notice", "other", "parsed"), 1.0);
    assert_eq!(found.lines("none", "127.0.0.1", "malformed"), 3.0);
}

#[test]
fn hosts_without_end_are_all_counted() {
    let dir = Dir::new("hosts");
    let (metrics, input) = (dir.file("metrics"), dir.file("input"));
    let line = |host: u32| format!("<13>Jan  1 00:00:00 host-{} app: x\n", host % 12_000);
    fs::write(&input, (0..24_000).map(line).collect::<String>()).expect("a directory");
    let said = run(&["--metrics", &metrics, "--workers", "1", &input]);
    let found = Metrics::of(metrics.as_ref());
    let series = found.found("collector_lines_total", &[]);
    let overflown: f64 = series
        .iter()
        .filter(|sample| sample.labels.contains_key("overflow"))
        .map(|sample| sample.value)
        .sum();
    assert!(overflown >= 2.0 * 2000.0, "there are 10,000 series: {overflown}");
    assert!(series.len() > 9900, "{}", series.len());
    assert_eq!(found.sum("collector_lines_total", &[]), 24_000.0);
    assert_eq!((said.counts()[1], said.code), (24_000, Some(0)));
}

#[test]
fn what_the_library_knows_of_services_and_of_the_process_is_there() {
    let dir = Dir::new("known");
    let (metrics, input) = (dir.file("metrics"), dir.file("input"));
    fs::write(&input, numbered(0..1000)).expect("a directory");
    run(&["--metrics", &metrics, &input]).summary();
    let found = Metrics::of(metrics.as_ref());
    assert!(found.sum("process_resident_memory_bytes", &[]) > 1e6);
    assert_eq!(found.found("process_cpu_seconds_total", &[]).len(), 1);
    let handled = |service: &str| {
        found.sum("underpin_service_handled_total", &[("service", &format!("collector/{service}"))])
    };
    assert!(handled("pipeline/sink") >= 1000.0, "{}", handled("pipeline/sink"));
    assert!(handled("pipeline/parser-0") + handled("pipeline/parser-1") >= 1000.0);
    assert_eq!(found.sum("underpin_tree_up", &[("tree", "collector")]), 1.0);
}

#[test]
fn under_chaos_the_metrics_say_what_the_last_line_says() {
    let dir = Dir::new("chaos");
    let (metrics, input) = (dir.file("metrics"), dir.file("input"));
    fs::write(&input, numbered(0..30_000)).expect("a directory");
    let summary = run(&["--chaos", "2", "--metrics", &metrics, &input]).summary();
    let found = Metrics::of(metrics.as_ref());
    found.check(&summary);
    assert!(count(&summary, "lost") > 0, "there were crashes");
    assert_eq!(found.lines("unknown", "unknown", "lost") as u64, count(&summary, "lost"));
    let restarts: f64 = ["parser-0", "parser-1", "sink"]
        .map(|service| format!("collector/pipeline/{service}"))
        .iter()
        .map(|service| found.sum("underpin_service_restarts_total", &[("service", service)]))
        .sum();
    assert_eq!(restarts as u64, count(&summary, "restarts"));
}

// ---- the file --------------------------------------------------------------------------------

/// It is killed at any moment, also while it writes the last time; and read at any.
#[test]
fn whoever_reads_the_file_finds_it_whole_whenever_it_is_killed() {
    let dir = Dir::new("kill");
    let metrics = dir.file("metrics");
    let line = |host: u32| format!("<13>Jan  1 00:00:00 host-{host} app: x\n");
    let mut last = 0;
    for round in 0..20 {
        let mut collector = Serving::start(&["--metrics", &metrics]);
        assert_eq!(Metrics::of(metrics.as_ref()).sum("collector_lines_total", &[]), 0.0, "it is a new one");
        collector.tell_and_wait((0..2000).map(line).collect::<String>().as_bytes());
        let pid = collector.child.id();
        signal(pid, "TERM");
        (0..round * 5).for_each(|_| drop(Metrics::of(metrics.as_ref())));
        let _ = collector.child.kill();
        collector.child.wait().expect("it is dead");
        let lines = Metrics::of(metrics.as_ref()).sum("collector_lines_total", &[]);
        assert!(lines == 0.0 || lines == 2000.0, "{lines}");
        last += u32::from(lines > 0.0);
    }
    println!("{last} of 20 had written a last time");
}

/// It does not start, and says why in one line.
fn refuses(args: &[&str], culprit: &str) {
    let said = run(args);
    assert_eq!((said.code, said.stderr.lines().count()), (Some(2), 1), "{args:?}: {}", said.stderr);
    assert!(
        said.stderr.contains("--metrics: ") && said.stderr.contains(culprit),
        "{args:?}: {}",
        said.stderr
    );
    assert_eq!(said.stdout, "", "{args:?}");
}

#[test]
fn a_file_that_cannot_be_written_is_told_at_the_start_and_nothing_is_harmed() {
    let dir = Dir::new("refused");
    let (input, out) = (dir.file("input.toml"), dir.file("out"));
    fs::write(&input, "workers = 1\n").expect("a directory");
    refuses(&["--metrics", &dir.file("none/metrics"), "/dev/null"], "none/metrics");
    refuses(&["--metrics", dir.0.to_str().expect("text"), "/dev/null"], "expected a file");
    refuses(&["--metrics", "/dev/null", "/dev/null"], "/dev/null");
    refuses(&["--metrics", &input, &input], "it is also read");
    refuses(&["--metrics", &input, "--config", &input, "/dev/null"], "it is also read");
    refuses(&["--metrics", &out, "--out", &out, "/dev/null"], "--out");
    refuses(&["--metrics"], "a value is missing");
    refuses(&["--metrics="], "the name of a file");
    assert_eq!(fs::read_to_string(&input).expect("it is there"), "workers = 1\n");
    assert!(!fs::metadata("/dev/null").expect("it is there").is_file());
    let mut left: Vec<_> =
        fs::read_dir(&dir.0).expect("a directory").map(|file| file.expect("a file").file_name()).collect();
    left.sort();
    assert_eq!(left, ["input.toml", "out"]);
}

// ---- alerts ----------------------------------------------------------------------------------

#[test]
fn a_demonstration_raises_and_clears_an_alert_and_shows_both() {
    let dir = Dir::new("demo");
    let (metrics, journal) = (dir.file("metrics"), dir.file("journal"));
    let said = run(&["--demo", "20000", "--chaos", "20", "--metrics", &metrics, "--data", &journal]);
    let summary = said.summary();
    let alerts: Vec<Vec<_>> = said
        .stdout
        .lines()
        .map(|line| line.split([' ', ',']).collect::<Vec<_>>())
        .filter(|words| words.get(1).is_some_and(|kind| kind.starts_with("alert.")))
        .collect();
    assert!(alerts.len() >= 2 && alerts.len().is_multiple_of(2), "{}", said.stdout);
    for (number, alert) in alerts.iter().enumerate() {
        let (kind, value) = (alert[1], alert[4].parse::<f64>().expect("a number"));
        assert!(alert[0].ends_with('Z') && alert[2] == "crashes", "{alert:?}");
        match number % 2 {
            0 => assert!(kind == ALERT_RAISED && value >= 1.0, "{alert:?}"),
            _ => assert!(kind == ALERT_CLEARED && value == 0.0, "{alert:?}"),
        }
    }
    assert!(alerts.is_sorted_by_key(|alert| alert[0]), "in order: {alerts:?}");
    let changes = count(&summary, "alerts_raised") + count(&summary, "alerts_cleared");
    assert_eq!(changes, alerts.len() as u64, "{summary}");
    assert_eq!(count(&summary, "stored"), count(&summary, "parsed"), "alerts are no lines");
    assert_eq!(dir.alerts("journal").len(), alerts.len());
    assert_eq!(said.stderr, "");
    Metrics::of(metrics.as_ref()).check(&summary);
}

#[test]
fn a_server_says_what_it_raises_and_clears_and_has_both_in_its_journal() {
    let dir = Dir::new("server");
    let (settings, journal) = (dir.file("settings.toml"), dir.file("journal"));
    fs::write(&settings, "[alerts.crashes]\nwithin_seconds = 1\n").expect("a directory");
    let args = ["--chaos", "1", "--data", &journal, "--ack", "--config", &settings];
    let mut collector = Serving::start(&args);
    let mut told = 0;
    let raised = loop {
        collector.tell_and_wait(&numbered(told..told + 2000));
        told += 2000;
        if let Some(raised) = collector.said("alert crashes raised: ") {
            break raised;
        }
    };
    assert!(raised.ends_with(" restarts in 1 s"), "{raised}");
    let cleared = collector.wait_for("alert crashes cleared: ");
    assert!(cleared.ends_with(": 0 restarts in 1 s"), "{cleared}");
    let summary = collector.stop("TERM").summary();
    assert_eq!((count(&summary, "alerts_raised"), count(&summary, "alerts_cleared")), (1, 1));
    assert_eq!(count(&summary, "stored"), count(&summary, "parsed"), "alerts are no lines");
    let alerts = dir.alerts("journal");
    assert_eq!(alerts.iter().map(|alert| alert.kind()).collect::<Vec<_>>(), [ALERT_RAISED, ALERT_CLEARED]);
    for (alert, threshold) in alerts.iter().zip([3.0, 1.0]) {
        let data = alert.data().as_json().expect("JSON");
        assert_eq!((&data["alert"], &data["threshold"]), (&"crashes".into(), &threshold.into()));
        assert_eq!(alert.correlation().to_string(), "alert/crashes");
    }
    assert!(alerts[0].data().as_json().expect("JSON")["value"].as_f64() >= Some(3.0));
}

#[test]
fn thresholds_change_while_it_runs() {
    let settings = Scratch::holding("alerts.toml", b"workers = 1\n");
    let mut collector = Serving::start(&["--config", settings.path()]);
    fs::write(&settings.0, "alerts.series = { raise = 0.0001, clear = 0.00005 }\n")
        .expect("it can be written");
    signal(collector.child.id(), "HUP");
    collector.wait_for("changes alerts.series");
    collector.wait_for("alert series raised: ");
    fs::write(&settings.0, "alerts.series = { raise = 0.9, clear = 0.95 }\n").expect("it can be written");
    signal(collector.child.id(), "HUP");
    let refused = collector.wait_for("alerts.series.clear: expected less than");
    assert!(refused.contains("alerts.toml"), "{refused}");
    fs::write(&settings.0, "").expect("it can be written");
    signal(collector.child.id(), "HUP");
    collector.wait_for("alert series cleared: ");
    let summary = collector.stop("TERM").summary();
    assert_eq!((count(&summary, "alerts_raised"), count(&summary, "alerts_cleared")), (1, 1));
    assert_eq!((count(&summary, "stored"), count(&summary, "parsed")), (0, 0), "alerts are no lines");
}

#[test]
fn wrong_thresholds_are_told_each_with_where_it_is_from() {
    let wrong = b"[alerts.crashes]\nwithin_seconds = 0\n[alerts.crashes.level]\nclear = 9\n[alerts.mailbx]\nraise = 1\n";
    let settings = Scratch::holding("wrong-alerts.toml", wrong);
    let mut command = Command::new(program());
    command.args(["--config", settings.path(), "/dev/null"]).env("COLLECTOR__ALERTS__ZOMBIES__RAISE", "many");
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let said = Said::of(command.spawn().expect("it starts"));
    assert_eq!(said.code, Some(2), "{}", said.stderr);
    for (setting, origin) in
        [("alerts.zombies.raise: ", "COLLECTOR__ALERTS__ZOMBIES__RAISE"), ("mailbx", "wrong-alerts.toml:5")]
    {
        let is_told = |line: &str| line.contains(setting) && line.contains(origin);
        assert!(said.stderr.lines().any(is_told), "{setting}{origin}: {}", said.stderr);
    }
    let settings = Scratch::holding("wrong-levels.toml", &wrong[..wrong.len() - 26]);
    let said = run(&["--config", settings.path(), "/dev/null"]);
    assert_eq!((said.code, said.stderr.lines().count()), (Some(2), 2), "{}", said.stderr);
    for (setting, origin) in [
        ("alerts.crashes.within_seconds: expected 1 to 86400, found 0", "wrong-levels.toml:2"),
        ("alerts.crashes.level.clear: expected less than `raise` (3), found 9", "wrong-levels.toml:4"),
    ] {
        let is_told = |line: &str| line.contains(setting) && line.contains(origin);
        assert!(said.stderr.lines().any(is_told), "{setting}{origin}: {}", said.stderr);
    }
}
