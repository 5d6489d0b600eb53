//! What the collector forwards downstream, whatever the sink there does.
#![cfg(all(
    feature = "signals",
    feature = "config",
    feature = "journal",
    feature = "health",
    feature = "resilience",
    unix
))]
#![allow(clippy::disallowed_methods, clippy::disallowed_types)] // it is a user's program

mod collecting;

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use collecting::downstream::{Arrived, Downstream, Mood, free_port};
use collecting::*;
use serde_json::Value;
use underpin::events::{EventStore, Journal, StartFrom};

/// A sink that is down is found so at once, and so is one that is back.
const BRISK: &str = "
[forward]
connect_timeout_millis = 300
write_timeout_millis = 100
time_budget_millis = 400
[forward.breaker]
wait_millis = 30
max_wait_millis = 60
[forward.retry]
max_attempts = 2
wait_millis = 5
max_wait_millis = 5
";
/// No stop takes longer, whatever the sink does: 5 s for what waits, 1 s for the sink to hang up; and the machine.
const STOPPED: Duration = Duration::from_secs(20);

/// What became of the lines that were to be forwarded.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Account {
    matched: u64,
    forwarded: u64,
    shed: u64,
    failed: u64,
    retried: u64,
    breaker_opened: u64,
}

impl Account {
    /// Of a run that went well: nothing is unaccounted for.
    fn of(said: &Said) -> Self {
        let summary = said.summary();
        let count = |name: &str| summary[name].as_u64().unwrap_or_else(|| panic!("{name}: {summary}"));
        let account = Self {
            matched: count("matched"),
            forwarded: count("forwarded"),
            shed: count("shed"),
            failed: count("failed"),
            retried: count("retried"),
            breaker_opened: count("breaker_opened"),
        };
        assert_eq!(account.matched, account.forwarded + account.shed + account.failed, "{account:?}");
        account
    }
}

/// A collector that forwards there, by these settings.
fn forwarding(name: &str, to: SocketAddr, settings: &str, args: &[&str]) -> (Serving, Scratch) {
    let file = Scratch::holding(&format!("forward-{name}.toml"), settings.as_bytes());
    let to = to.to_string();
    let options = [&["--forward", &to, "--config", file.path()], args].concat();
    (Serving::start(&options), file)
}

/// Another file takes its name.
fn save(file: &Scratch, text: &str) {
    let fresh = file.0.with_extension("new");
    fs::write(&fresh, text).and_then(|()| fs::rename(&fresh, &file.0)).expect("a writable directory");
}

/// Each number came once, and in order.
fn check_order(numbers: &[u64]) {
    let wrong = numbers.windows(2).find(|pair| pair[0] >= pair[1]);
    assert_eq!(wrong, None, "in order, none twice");
}

/// Numbered lines of so many bytes each.
fn long_lines(range: std::ops::Range<u32>, bytes: usize) -> Vec<u8> {
    let fill = "x".repeat(bytes);
    let line = |number| format!("<13>Jan  1 00:00:00 host app: {fill} {number}\n");
    range.map(line).collect::<String>().into_bytes()
}

// ---- one mood after the other ----------------------------------------------------------------

#[test]
fn a_sink_that_comes_later_gets_all_but_what_was_used_up_to_find_that_out() {
    let (address, arrived) = (free_port(), Arc::<Arrived>::default());
    let (mut collector, _file) = forwarding("later", address, BRISK, &["--workers", "1"]);
    collector.tell_and_wait(&numbered(0..1000));
    let opened = collector.wait_for("breaker forward opened");
    assert!(opened.contains("closed -> open: 3 failures in a row"), "{opened}");
    let refused = collector.said(&format!("{address}: ")).expect("it is told why");
    assert!(refused.contains("refused") && refused.contains("2 attempts"), "{refused}");
    let sink = Downstream::open(address, Mood::Good, &arrived);
    collector.wait_for("breaker forward closed");
    collector.tell_and_wait(&numbered(1000..2000));
    let said = collector.stop("TERM");
    sink.hear_out();
    let (account, numbers) = (Account::of(&said), arrived.numbers());
    check_order(&numbers);
    assert_eq!((account.matched, account.shed), (2000, 0), "{account:?}");
    assert!(account.failed >= 3, "{account:?}");
    // Two attempts each; and the first one that went well may have been a second.
    assert!((account.failed..=account.failed + 1).contains(&account.retried), "{account:?}");
    assert!(account.breaker_opened >= 1 && account.breaker_opened + 2 == account.failed, "{account:?}");
    assert_eq!(numbers, Vec::from_iter(account.failed..2000), "the first ones failed");
}

#[test]
fn a_sink_that_dies_and_comes_back_goes_on_where_it_was() {
    let (address, arrived) = (free_port(), Arc::<Arrived>::default());
    let (mut collector, _file) = forwarding("back", address, BRISK, &["--workers", "1"]);
    for round in 0..3 {
        let sink = Downstream::open(address, Mood::Good, &arrived);
        if round > 0 {
            collector.wait_for("breaker forward closed");
        }
        let first = round * 2000;
        collector.tell_and_wait(&numbered(first..first + 1000));
        // Also what was left of the round before: nothing is on its way when the sink dies.
        arrived.wait_for_number(u64::from(first) + 999);
        sink.kill();
        collector.tell_and_wait(&numbered(first + 1000..first + 2000));
        collector.wait_for("breaker forward opened");
    }
    let sink = Downstream::open(address, Mood::Good, &arrived);
    collector.wait_for("takes lines again");
    let said = collector.stop("TERM");
    sink.hear_out();
    let (account, numbers) = (Account::of(&said), arrived.numbers());
    check_order(&numbers);
    assert_eq!((account.matched, account.shed), (6000, 0), "{account:?}");
    assert_eq!(numbers.len() as u64, account.forwarded, "it was told before it died that it had read all");
    assert_eq!(*arrived.cut.lock().expect("no panic"), 0);
}

#[test]
fn a_slow_sink_gets_what_it_can_take_and_clients_do_not_wait_for_it() {
    let arrived = Arc::<Arrived>::default();
    let sink = Downstream::open(free_port(), Mood::Slow(2000), &arrived);
    let settings = format!("{BRISK}[forward.shedding]\nmax_depth = 100\n");
    let (collector, _file) = forwarding("slow", sink.address, &settings, &[]);
    collector.tell_and_wait(&long_lines(0..8000, 500));
    let said = collector.stop("TERM");
    sink.hear_out();
    let account = Account::of(&said);
    assert_eq!((said.counts()[0], account.matched), (8000, 8000));
    assert!(account.shed > 0, "it is too slow for all: {account:?}");
    let numbers = arrived.numbers();
    check_order(&numbers);
    assert_eq!(numbers.len() as u64, account.forwarded, "{account:?}");
    assert!(said.stderr.contains("lines were not forwarded: as many waited as may"), "{}", said.stderr);
}

#[test]
fn a_sink_that_never_reads_costs_lines_and_no_memory_and_the_end_does_not_wait_for_it() {
    let arrived = Arc::<Arrived>::default();
    let sink = Downstream::open(free_port(), Mood::Deaf, &arrived);
    let settings = format!("{BRISK}[forward.shedding]\nmax_depth = 1000\n");
    let (mut collector, _file) = forwarding("deaf", sink.address, &settings, &[]);
    collector.tell_and_wait(&long_lines(0..10_000, 1000));
    collector.wait_for("breaker forward opened");
    let before = collector.memory_kib();
    collector.tell_and_wait(&long_lines(10_000..40_000, 1000));
    let after = collector.memory_kib();
    if let (Some(before), Some(after)) = (before, after) {
        assert!(after < before + 16 * 1024, "30 MB were sent and nobody read: {before} KiB, then {after}");
    }
    let asked = Instant::now();
    let said = collector.stop("TERM");
    assert!(asked.elapsed() < STOPPED, "{:?}", asked.elapsed());
    sink.kill();
    let account = Account::of(&said);
    assert_eq!(account.matched, 40_000);
    assert!(account.forwarded > 0 && account.forwarded < 5000, "what the system takes in: {account:?}");
    assert!(account.shed > 30_000 && account.retried > 0, "{account:?}");
    assert!(said.stderr.contains("timed out"), "{}", said.stderr);
}

#[test]
fn a_sink_that_refuses_gets_nothing_and_lines_that_are_too_old_are_shed() {
    let settings = format!("{BRISK}[forward.shedding]\nmax_depth = 500\nmax_age_millis = 50\n");
    let (mut collector, _file) = forwarding("refuses", free_port(), &settings, &[]);
    collector.tell_and_wait(&numbered(0..3000));
    collector.wait_for("breaker forward opened");
    collector.tell_and_wait(&numbered(3000..3100));
    // The time itself is what is waited for: what waits now is to be too old.
    thread::sleep(Duration::from_millis(300));
    collector.tell_and_wait(&numbered(3100..3200));
    let said = collector.stop("TERM");
    let account = Account::of(&said);
    assert_eq!((account.matched, account.forwarded), (3200, 0));
    assert!(account.failed < 100, "the breaker spares it: {account:?}");
    assert!(said.stderr.contains("they had waited too long"), "{}", said.stderr);
}

#[test]
fn a_sink_that_hangs_up_in_the_midst_of_frames_gets_none_twice() {
    let arrived = Arc::<Arrived>::default();
    let sink = Downstream::open(free_port(), Mood::Curt(10_007), &arrived);
    let (mut collector, _file) = forwarding("curt", sink.address, BRISK, &["--workers", "1"]);
    for part in 0..20 {
        collector.tell_and_wait(&long_lines(part * 100..(part + 1) * 100, 100));
    }
    arrived.wait_for(500);
    assert!(collector.said("crashed").is_none());
    let said = collector.stop("TERM");
    sink.hear_out();
    let account = Account::of(&said);
    let mut numbers = arrived.numbers();
    numbers.sort_unstable();
    check_order(&numbers);
    assert!(*arrived.cut.lock().expect("no panic") > 0, "frames were cut");
    assert_eq!(account.matched, 2000);
    assert!(numbers.len() as u64 <= account.forwarded, "{} and {account:?}", numbers.len());
}

#[test]
fn without_an_address_nothing_is_to_be_forwarded() {
    let collector = Serving::start(&[]);
    collector.tell_and_wait(&numbered(0..100));
    let account = Account::of(&collector.stop("TERM"));
    let none = Account { matched: 0, forwarded: 0, shed: 0, failed: 0, retried: 0, breaker_opened: 0 };
    assert_eq!(account, none);
}

// ---- what arrives ----------------------------------------------------------------------------

#[test]
fn a_collector_downstream_reads_what_this_one_has_read() {
    let (near, far) = (Scratch::new("forward-near"), Scratch::new("forward-far"));
    let sink = Serving::start(&["--out", far.path()]);
    let to = sink.address.to_string();
    let collector = Serving::start(&["--out", near.path(), "--workers", "1", "--forward", &to]);
    collector.tell_and_wait(
        "<165>1 2026-03-01T12:00:00.25Z host app 17 ID7 [x@1 k=\"v\\\"\"] five\n\
         <34>Oct 11 22:14:15 host su[9]: three\n\
         <34>Oct 11 22:14:15 host su: caf\u{e9}\n"
            .as_bytes(),
    );
    collector.tell_and_wait(b"14 <13>two\nlines!9 <13>plain");
    collector.tell_and_wait(b"nothing but text\n");
    collector.tell_and_wait(b"caf\xe9\n\n");
    collector.tell_and_wait(&numbered(0..2000));
    let said = collector.stop("TERM");
    let account = Account::of(&said);
    assert_eq!((account.matched, account.forwarded), (2006, 2006), "{account:?}");
    assert_eq!(sink.stop("TERM").counts(), [2006, 2006, 0, 0]);
    let (mut near, far) = (near.records(), far.records());
    near.iter_mut().for_each(into_rfc5424);
    assert_eq!(near.len(), far.len());
    near.iter().zip(&far).for_each(|(near, far)| assert_eq!(near, far));
}

/// What a record of this side is like on the other.
fn into_rfc5424(record: &mut Value) {
    let fields = record.as_object_mut().expect("an object");
    fields.insert("protocol".into(), "rfc5424".into());
    fields.entry("facility").or_insert("user".into());
    fields.entry("severity").or_insert("notice".into());
    fields.entry("hostname").or_insert("127.0.0.1".into());
}

#[test]
fn only_what_is_severe_enough_is_forwarded_and_what_is_not_written_is_not() {
    let arrived = Arc::<Arrived>::default();
    let sink = Downstream::open(free_port(), Mood::Good, &arrived);
    let settings = format!("severity = 'info'\n{BRISK}severity = 'debug'\n")
        .replace("[forward]", "[forward]\nseverity = 'err'")
        .replace("max_wait_millis = 5\nseverity = 'debug'\n", "max_wait_millis = 5\n");
    let (collector, _file) = forwarding("filter", sink.address, &settings, &["--workers", "1"]);
    let line = |severity: u32| format!("<{}>Jan  1 00:00:00 host app: {severity}\n", 8 + severity);
    let lines: String = (0..8).map(line).collect::<String>() + "without 9\n";
    collector.tell_and_wait(lines.as_bytes());
    let said = collector.stop("TERM");
    sink.hear_out();
    assert_eq!(arrived.numbers(), [0, 1, 2, 3, 9]);
    let account = Account::of(&said);
    assert_eq!((account.matched, account.forwarded, said.summary()["filtered"].as_u64()), (5, 5, Some(1)));
}

#[test]
fn over_several_connections_each_source_stays_in_order() {
    let arrived = Arc::<Arrived>::default();
    let sink = Downstream::open(free_port(), Mood::Good, &arrived);
    let settings = BRISK.replace("[forward]", "[forward]\nconnections = 3")
        + "[forward.bulkhead]\nmax_concurrent_calls = 2\n";
    let (collector, _file) = forwarding("several", sink.address, &settings, &["--workers", "3"]);
    thread::scope(|scope| {
        for client in 0..6 {
            let collector = &collector;
            scope.spawn(move || collector.tell_and_wait(&numbered(client * 1000..(client + 1) * 1000)));
        }
    });
    let said = collector.stop("TERM");
    sink.hear_out();
    assert_eq!(Account::of(&said).forwarded, 6000);
    let mut of_client = BTreeMap::<u64, Vec<u64>>::new();
    arrived.numbers().iter().for_each(|number| of_client.entry(number / 1000).or_default().push(*number));
    assert_eq!(of_client.len(), 6);
    for (client, numbers) in of_client {
        assert!(
            numbers.iter().copied().eq(client * 1000..(client + 1) * 1000),
            "client {client}: {numbers:?}"
        );
    }
}

#[test]
fn a_rate_is_kept_and_what_waits_for_it_is_not_lost() {
    let arrived = Arc::<Arrived>::default();
    let sink = Downstream::open(free_port(), Mood::Good, &arrived);
    let settings = format!("{BRISK}[forward.rate]\nlimit_per_second = 100\nburst = 1\n");
    let (collector, _file) = forwarding("rate", sink.address, &settings, &[]);
    let began = Instant::now();
    collector.tell_and_wait(&numbered(0..100));
    arrived.wait_for(100);
    assert!(began.elapsed() >= Duration::from_millis(990), "{:?}", began.elapsed());
    let account = Account::of(&collector.stop("TERM"));
    sink.hear_out();
    assert_eq!((account.forwarded, account.shed, account.failed), (100, 0, 0));
}

// ---- settings --------------------------------------------------------------------------------

#[test]
fn settings_of_forwarding_change_while_lines_flow() {
    let (address, arrived) = (free_port(), Arc::<Arrived>::default());
    // So long that nothing but another setting ends it.
    let patient = BRISK
        .replace("wait_millis = 30\nmax_wait_millis = 60", "wait_millis = 600000\nmax_wait_millis = 600000");
    let (mut collector, file) = forwarding("live", address, &patient, &["--workers", "1"]);
    collector.tell_and_wait(&numbered(0..100));
    collector.wait_for("breaker forward opened");
    let sink = Downstream::open(address, Mood::Good, &arrived);
    save(&file, &patient.replace("max_attempts = 2", "max_attempts = 0"));
    let wrong = collector.wait_for("forward.retry.max_attempts");
    assert!(wrong.contains("expected 1 to 100, found 0"), "{wrong}");
    save(&file, &BRISK.replace("[forward]", "[forward]\nseverity = 'err'"));
    collector.wait_for("changes forward.breaker");
    collector.wait_for("breaker forward closed");
    collector.tell_and_wait(b"<11>Jan  1 00:00:00 host app: 100\n<14>Jan  1 00:00:00 host app: 101\n");
    let said = collector.stop("TERM");
    sink.hear_out();
    let (account, numbers) = (Account::of(&said), arrived.numbers());
    check_order(&numbers);
    assert_eq!((account.matched, account.shed, numbers.last()), (101, 0, Some(&100)), "{account:?}");
    assert_eq!(numbers.len() as u64, account.forwarded);
}

#[test]
fn where_to_is_said_by_the_file_too_and_another_place_counts_from_the_next_start() {
    let arrived = Arc::<Arrived>::default();
    let sink = Downstream::open(free_port(), Mood::Good, &arrived);
    let there = format!("forward.address = '{}'\n", sink.address);
    let file = Scratch::holding("forward-place.toml", there.as_bytes());
    let mut collector = Serving::start(&["--config", file.path()]);
    save(&file, "forward.address = '127.0.0.1:1'\nforward.connections = 2\nseverity = 'info'\n");
    let ignored = collector.wait_for("forward.address");
    assert!(ignored.contains("is frozen") && ignored.contains("counts from the next start"), "{ignored}");
    collector.wait_for("changes severity");
    collector.tell_and_wait(&numbered(0..10));
    let account = Account::of(&collector.stop("TERM"));
    sink.hear_out();
    assert_eq!((account.forwarded, arrived.frames().len()), (10, 10));
}

#[test]
fn each_wrong_setting_of_forwarding_is_told_with_its_place() {
    let file = Scratch::holding(
        "forward-wrong.toml",
        b"[forward]\nconnections = 0\n[forward.breaker]\nwait_factor = 0.5\n[forward.shedding]\nmax_dept = 1\n",
    );
    let said = run(&["--forward", "nowhere", "--config", file.path()]);
    assert_eq!((said.code, said.stdout.as_str()), (Some(2), ""), "{}", said.stderr);
    for (path, expected) in [
        ("forward.address", "expected an address and a port"),
        ("forward.connections", "expected 1 to 16, found 0"),
        ("forward.breaker.wait_factor", "expected 1 to 100, found 0.5"),
        ("forward.shedding.max_dept", ""),
    ] {
        let is_told = |line: &str| line.contains(path) && line.contains(expected);
        assert!(said.stderr.lines().any(is_told), "{path}: {}", said.stderr);
    }
}

// ---- what is told ----------------------------------------------------------------------------

#[test]
fn the_breaker_is_in_the_journal_and_in_the_metrics_and_an_alert_tells_of_lines_that_are_shed() {
    let data = Dir::new("told");
    let (address, arrived) = (free_port(), Arc::<Arrived>::default());
    let alert = "[[alerts.error_rate]]\nname = 'downstream'\nerrors = 'collector.forwarded'\n\
                 error_labels = { outcome = 'shed' }\ntotal = 'collector.forwarded'\n\
                 level = { raise = 0.1, clear = 0.01, raise_for_seconds = 0, clear_for_seconds = 0 }\n";
    let settings = format!("{BRISK}[forward.shedding]\nmax_depth = 10\n{alert}");
    let (journal, metrics) = (data.file("journal"), data.file("metrics"));
    let args = ["--data", &journal, "--metrics", &metrics];
    let (mut collector, _file) = forwarding("told", address, &settings, &args);
    collector.tell_and_wait(&numbered(0..1000));
    collector.wait_for("breaker forward opened");
    collector.wait_for("alert downstream raised");
    let sink = Downstream::open(address, Mood::Good, &arrived);
    collector.tell_and_wait(&numbered(1000..1001)); // by then all before it may have failed
    collector.wait_for("breaker forward closed");
    let said = collector.stop("TERM");
    sink.hear_out();
    let (account, summary) = (Account::of(&said), said.summary());
    assert_eq!(summary["stored"], 1001, "lines, and nothing else: {summary}");
    let text = fs::read_to_string(&metrics).expect("it is there");
    for (series, value) in [
        ("collector_forwarded_total{outcome=\"forwarded\"}", account.forwarded),
        ("collector_forwarded_total{outcome=\"shed\"}", account.shed),
        ("collector_forwarded_total{outcome=\"failed\"}", account.failed),
        ("collector_forward_retried_total", account.retried),
        ("collector_forward_queued", 0),
        ("collector_breaker_opened_total", account.breaker_opened),
        ("collector_breaker_state{state=\"closed\"}", 1),
        ("collector_breaker_state{state=\"open\"}", 0),
        ("collector_breaker_state{state=\"half_open\"}", 0),
    ] {
        assert!(text.lines().any(|line| line == format!("{series} {value}")), "{series} {value}: {text}");
    }
    let store = EventStore::builder().max_events(u64::MAX).max_bytes(u64::MAX).max_age(None);
    let store = store.journal(Journal::at(&journal)).open().expect("a journal");
    let mut all = store.subscribe(StartFrom::Oldest);
    let entries: Vec<_> = std::iter::from_fn(|| all.try_recv().ok()).collect();
    let of_breaker: Vec<_> = entries.iter().filter(|entry| entry.kind().starts_with("breaker.")).collect();
    let kinds: Vec<_> = of_breaker.iter().map(|entry| entry.kind()).collect();
    assert_eq!(kinds, ["breaker.opened", "breaker.closed"]);
    assert!(of_breaker.iter().all(|entry| entry.correlation().to_string() == "breaker/forward"));
    let detail = of_breaker[0].data().as_json().and_then(|data| data["detail"].as_str().map(str::to_owned));
    assert_eq!(detail.as_deref(), Some("closed -> open: 3 failures in a row"));
}

/// A directory of a test, removed with it.
struct Dir(std::path::PathBuf);

impl Dir {
    fn new(name: &str) -> Self {
        let dir = std::env::temp_dir().join(format!("collector-forward-{}-{name}", std::process::id()));
        drop(fs::remove_dir_all(&dir));
        fs::create_dir(&dir).expect("it is fresh");
        Self(dir)
    }

    fn file(&self, name: &str) -> String {
        self.0.join(name).to_str().expect("text").to_owned()
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

// ---- the end ---------------------------------------------------------------------------------

/// More than the system takes in, so most of it still waits when the stop comes.
#[test]
fn what_waits_at_the_end_is_forwarded_if_the_sink_takes_it_in_time() {
    let arrived = Arc::<Arrived>::default();
    let sink = Downstream::open(free_port(), Mood::Slow(4000), &arrived);
    let (collector, _file) = forwarding("rest", sink.address, BRISK, &[]);
    collector.tell_and_wait(&long_lines(0..2500, 500));
    let account = Account::of(&collector.stop("TERM"));
    sink.hear_out();
    assert_eq!((account.matched, account.shed), (2500, 0), "{account:?}");
    assert_eq!(arrived.frames().len() as u64, account.forwarded);
}

#[test]
fn files_are_forwarded_to_their_end() {
    let arrived = Arc::<Arrived>::default();
    let sink = Downstream::open(free_port(), Mood::Good, &arrived);
    let input = Scratch::holding("forward-file", &numbered(0..5000));
    let to = sink.address.to_string();
    let account = Account::of(&run(&["--forward", &to, "--workers", "1", input.path()]));
    sink.hear_out();
    assert_eq!(account.matched, 5000);
    let numbers = arrived.numbers();
    check_order(&numbers);
    assert_eq!(numbers.len() as u64, account.forwarded);
}

#[test]
fn crashes_of_parsers_cost_what_they_cost_and_all_else_is_forwarded() {
    let arrived = Arc::<Arrived>::default();
    let sink = Downstream::open(free_port(), Mood::Good, &arrived);
    let input = Scratch::holding("forward-chaos", &numbered(0..20_000));
    let file = Scratch::holding("forward-chaos.toml", b"forward.shedding.max_depth = 1000000");
    let to = sink.address.to_string();
    let said = run(&["--forward", &to, "--chaos", "2", "--config", file.path(), input.path()]);
    sink.hear_out();
    let ([received, parsed, _, lost], account) = (said.counts(), Account::of(&said));
    assert!(received == 20_000 && lost > 0, "{received} and {lost}");
    assert_eq!((account.matched, account.shed), (parsed, 0), "{account:?}");
    let numbers = arrived.numbers();
    check_order(&numbers);
    assert_eq!((numbers.len() as u64, account.failed), (parsed, 0));
}

#[test]
fn a_forwarder_that_crashes_costs_the_line_in_its_hands_and_goes_on() {
    let arrived = Arc::<Arrived>::default();
    let sink = Downstream::open(free_port(), Mood::Good, &arrived);
    let settings = format!("{BRISK}[forward.shedding]\nmax_depth = 1000000\n");
    let chaos = ["--workers", "1", "--chaos-forward", "100"];
    let (mut collector, _file) = forwarding("crashes", sink.address, &settings, &chaos);
    let (until, mut sent, mut found) = (Instant::now() + LONGEST, 0, 0);
    while found < 5 {
        assert!(Instant::now() < until, "{found} of {sent} are missing");
        collector.tell_and_wait(&numbered(sent..sent + 100));
        sent += 100;
        // All before the last one that has arrived came in order, or never will.
        let numbers = arrived.numbers();
        found = numbers.last().map_or(0, |last| last + 1 - numbers.len() as u64);
    }
    collector.tell_and_wait(&numbered(sent..sent + 100));
    sent += 100;
    assert!(collector.said("gave up").is_none());
    let said = collector.stop("TERM");
    sink.hear_out();
    let (account, numbers) = (Account::of(&said), arrived.numbers());
    check_order(&numbers);
    assert_eq!((account.matched, account.shed), (u64::from(sent), 0), "{account:?}");
    assert_eq!(numbers.len() as u64, account.forwarded, "{account:?}");
    assert!(account.failed >= 5, "one for each crash: {account:?}");
    assert!(numbers.last() >= Some(&u64::from(sent - 50)), "it goes on to the end: {:?}", numbers.last());
}

// ---- chaos -----------------------------------------------------------------------------------

/// How many clients send all the time.
const CLIENTS: u64 = 4;

/// The next of a row of numbers that a seed begins.
fn draw(state: &mut u64) -> u64 {
    // xorshift64
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    *state
}

/// Sends numbered lines, as many as it can, until it is told to stop. Returns how many.
fn send_lines(collector: SocketAddr, client: u64, stop: &AtomicBool, sent: &AtomicU64) -> u64 {
    let mut stream = std::net::TcpStream::connect(collector).expect("it listens");
    let mut number = 0;
    while !stop.load(Ordering::Relaxed) {
        let line = |number| format!("<{}>Jan  1 00:00:00 host client-{client}: {number}\n", 8 + number % 8);
        let batch: String = (number..number + 20).map(line).collect();
        stream.write_all(batch.as_bytes()).expect("it reads");
        number += 20;
        sent.fetch_add(20, Ordering::Relaxed);
        thread::sleep(Duration::from_millis(2));
    }
    stream.shutdown(std::net::Shutdown::Write).expect("a connection");
    let _ = std::io::Read::read(&mut stream, &mut [0]);
    number
}

/// One mood of the sink after the other, until the time is over. Returns how many there were.
fn change_moods(address: SocketAddr, arrived: &Arc<Arrived>, lasts: Duration, seed: u64) -> u64 {
    let (mut state, began, mut moods) = (seed, Instant::now(), 0);
    let (_never, time) = mpsc::channel::<()>();
    while began.elapsed() < lasts {
        let mood = match draw(&mut state) % 6 {
            0 => Some(Mood::Slow(1 + (draw(&mut state) % 4000) as usize)),
            1 => Some(Mood::Deaf),
            2 => Some(Mood::Curt(1 + (draw(&mut state) % 50_000) as usize)),
            3 => None, // it refuses
            _ => Some(Mood::Good),
        };
        let sink = mood.map(|mood| Downstream::open(address, mood, arrived));
        let _ = time.recv_timeout(Duration::from_millis(100 + draw(&mut state) % 900));
        if let Some(sink) = sink {
            sink.kill();
        }
        moods += 1;
    }
    moods
}

/// `COLLECTOR_CHAOS_SECONDS` says how long, `COLLECTOR_CHAOS_SEED` which.
fn from_environment(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

#[test]
fn whatever_a_sink_does_each_line_is_accounted_for() {
    let lasts = Duration::from_secs(from_environment("COLLECTOR_CHAOS_SECONDS", 8));
    let seed = from_environment("COLLECTOR_CHAOS_SEED", 0x5eed);
    let (address, arrived) = (free_port(), Arc::<Arrived>::default());
    let settings = format!("{BRISK}[forward.shedding]\nmax_depth = 3000\nmax_age_millis = 2000\n");
    let (mut collector, _file) = forwarding("chaos", address, &settings, &[]);
    let (to, stop, sent) = (collector.address, AtomicBool::new(false), AtomicU64::new(0));
    let (moods, most_kib, total) = thread::scope(|scope| {
        let (stop, sent) = (&stop, &sent);
        let clients: Vec<_> =
            (0..CLIENTS).map(|client| scope.spawn(move || send_lines(to, client, stop, sent))).collect();
        let (moods, mut most_kib, parts) = (&mut 0, 0, 8);
        for part in 0..parts {
            let before = sent.load(Ordering::Relaxed);
            *moods += change_moods(address, &arrived, lasts / parts, seed + u64::from(part));
            assert!(sent.load(Ordering::Relaxed) > before, "clients wait for the sink");
            most_kib = most_kib.max(collector.memory_kib().unwrap_or(0));
        }
        stop.store(true, Ordering::Relaxed);
        let total: u64 = clients.into_iter().map(|client| client.join().expect("no panic")).sum();
        (*moods, most_kib, total)
    });
    // All is well again, and it finds out by itself. The first ones may find the queue full.
    let sink = Downstream::open(address, Mood::Good, &arrived);
    let (until, mut more) = (Instant::now() + LONGEST, 0);
    while !arrived.has_one_of(" host last - - - ") {
        assert!(Instant::now() < until, "it does not recover");
        collector.tell_and_wait(format!("<8>Jan  1 00:00:00 host last: {more}\n").as_bytes());
        more += 1;
        thread::sleep(Duration::from_millis(20));
    }
    assert!(collector.said("crashed").is_none());
    let asked = Instant::now();
    let said = collector.stop("TERM");
    assert!(asked.elapsed() < STOPPED, "{:?}", asked.elapsed());
    sink.hear_out();
    let (account, frames) = (Account::of(&said), arrived.frames());
    println!(
        "seed {seed}, {lasts:?}, {moods} moods, at most {most_kib} KiB: {account:?}, {} arrived, {} cut",
        frames.len(),
        *arrived.cut.lock().expect("no panic"),
    );
    let total = total + more;
    assert_eq!((account.matched, said.counts()), (total, [total, total, 0, 0]));
    assert!(account.forwarded > 0 && account.breaker_opened > 0, "{account:?}");
    assert!(frames.len() as u64 <= account.forwarded, "{} arrived: {account:?}", frames.len());
    assert!(most_kib < 150 * 1024, "{most_kib} KiB");
    let mut unique = frames.clone();
    unique.sort_unstable();
    unique.dedup();
    assert_eq!(unique.len(), frames.len(), "none comes twice");
}

#[test]
fn forwarders_that_are_not_there_cannot_be_crashed() {
    let said = run(&["--chaos-forward", "5", "/dev/null"]);
    assert_eq!((said.code, said.stderr.lines().count()), (Some(2), 1), "{}", said.stderr);
    assert!(
        said.stderr.contains("--chaos-forward") && said.stderr.contains("it needs --forward"),
        "{}",
        said.stderr
    );
}
