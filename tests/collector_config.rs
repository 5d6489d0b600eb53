//! The collector's settings, as its users say and change them.
#![cfg(all(feature = "signals", feature = "config", unix))]
#![allow(clippy::disallowed_methods, clippy::disallowed_types)] // it is a user's program

mod collecting;

use std::collections::HashMap;
use std::fs;
use std::io::{Read, Write};
use std::net::{Shutdown, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use collecting::*;
use serde_json::Value;

impl Scratch {
    /// As editors and deployments save: another file takes its name.
    fn save(&self, text: &str) {
        let fresh = self.0.with_extension("new");
        fs::write(&fresh, text).expect("a writable directory");
        fs::rename(&fresh, &self.0).expect("a writable directory");
    }
}

/// Runs it with these arguments and variables to its end.
fn run_in(variables: &[(&str, &str)], args: &[&str]) -> Said {
    let mut command = Command::new(program());
    command.args(args).envs(variables.iter().copied()).stdin(Stdio::null());
    Said::of(command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts"))
}

// ---- while lines flow ------------------------------------------------------------------------

/// How many clients send all the time. Every other one counts octets.
const CLIENTS: u64 = 4;

/// Sends numbered lines until it is told to stop; those with even numbers are of severity info, the
/// others are errors. Returns how many.
fn send_lines(collector: std::net::SocketAddr, client: u64, stop: &AtomicBool) -> u64 {
    let mut stream = std::net::TcpStream::connect(collector).expect("it listens");
    // So that no heap of lines is left to read when all has been changed.
    socket2::SockRef::from(&stream).set_send_buffer_size(16 * 1024).expect("a size");
    let mut sent = 0;
    while !stop.load(Ordering::Relaxed) {
        let mut batch = String::new();
        for number in sent..sent + 50 {
            let priority = if number % 2 == 0 { 134 } else { 131 };
            let line = format!("<{priority}>Jan  1 00:00:00 host client-{client}: {number}");
            match client % 2 {
                0 => batch.push_str(&format!("{line}\n")),
                _ => batch.push_str(&format!("{} {line}", line.len())),
            }
        }
        stream.write_all(batch.as_bytes()).expect("it reads");
        sent += 50;
    }
    stream.shutdown(Shutdown::Write).expect("a connection");
    let _ = stream.read(&mut [0]);
    sent
}

/// What came of a run: what it said, what it wrote by sender, and how much each client sent.
struct Outcome {
    said: Said,
    written: HashMap<String, Vec<u64>>,
    sent: Vec<u64>,
}

/// Makes changes while some clients send, and others say nothing.
fn under_load(name: &str, args: &[&str], change: impl FnOnce(&mut Serving, &Scratch)) -> Outcome {
    let file = Scratch::new(&format!("{name}.toml"));
    file.save("workers = 2");
    let out = Scratch::new(&format!("{name}-out"));
    let options = [&["--config", file.path(), "--out", out.path()], args].concat();
    let mut collector = Serving::start(&options);
    let (address, stop) = (collector.address, AtomicBool::new(false));
    let _idle = [collector.connect(), collector.connect(), collector.connect()];
    let udp = UdpSocket::bind("127.0.0.1:0").expect("a port");
    udp.send_to(b"<13>a datagram", address).expect("a datagram");
    let sent = thread::scope(|scope| {
        let stop = &stop;
        let clients: Vec<_> =
            (0..CLIENTS).map(|client| scope.spawn(move || send_lines(address, client, stop))).collect();
        change(&mut collector, &file);
        stop.store(true, Ordering::Relaxed);
        clients.into_iter().map(|client| client.join().expect("no panic")).collect()
    });
    // What is changed is in force for all from now on.
    collector.tell_and_wait(b"<134>Jan  1 00:00:00 host late: 1\n<131>Jan  1 00:00:00 host late: 2\nlate\n");
    let said = collector.stop("TERM");
    let mut written = HashMap::<String, Vec<u64>>::new();
    for record in out.records() {
        let of = record["appname"].as_str().unwrap_or("nobody").to_owned();
        let number = record["message"].as_str().and_then(|message| message.parse().ok()).unwrap_or(0);
        written.entry(of).or_default().push(number);
    }
    Outcome { said, written, sent }
}

/// Changes everything that can be changed.
fn change_all(collector: &mut Serving, file: &Scratch) {
    for workers in [5, 1, 4] {
        file.save(&format!("workers = {workers}"));
        collector.wait_for(&format!(": {workers} parser"));
    }
    file.save("workers = 'many'");
    collector.wait_for("stays in force");
    file.save("workers = 2\nseverity = 'err'");
    collector.wait_for("changes severity, workers");
    collector.wait_for(": 2 parsers");
}

impl Outcome {
    /// What must hold, however many were lost: nothing that is not counted, nothing twice, the order kept.
    fn check_books(&self) -> Value {
        let summary = self.said.summary();
        let count = |name: &str| summary[name].as_u64().expect("a count");
        assert_eq!(count("received"), self.sent.iter().sum::<u64>() + 4, "{summary}");
        assert_eq!(count("malformed"), 0, "{summary}");
        let records: usize = self.written.values().map(Vec::len).sum();
        assert_eq!(records as u64 + count("filtered"), count("parsed"), "{summary}");
        for client in 0..CLIENTS {
            let numbers = self.of(client);
            assert!(numbers.is_sorted_by(|a, b| a < b), "client {client}: in order, none twice");
            assert!(numbers.last() < Some(&self.sent[client as usize]), "client {client}: none is invented");
        }
        summary
    }

    /// What [`change_all`] has led to.
    fn check_changes(&self) -> Value {
        let (summary, stderr) = (self.check_books(), &self.said.stderr);
        let late = self.written.get("late").map_or(&[][..], Vec::as_slice);
        assert!(!late.contains(&1), "it was filtered");
        assert!(summary["filtered"].as_u64() > Some(0), "{summary}");
        assert_eq!(stderr.matches("stays in force").count(), 1, "it is said once: {stderr}");
        assert_eq!(summary["config_version"], 5, "four changes of the first, one refused: {summary}");
        assert_eq!(summary["config_degraded"], false, "{summary}");
        summary
    }

    fn of(&self, client: u64) -> &[u64] {
        &self.written[&format!("client-{client}")]
    }
}

#[test]
fn workers_and_filter_change_while_lines_flow_and_nothing_is_lost() {
    let outcome = under_load("calm", &[], change_all);
    let summary = outcome.check_changes();
    assert_eq!((&summary["lost"], &summary["restarts"]), (&0.into(), &0.into()), "{summary}");
    assert_eq!(outcome.written["late"], [2]);
    assert_eq!(outcome.written["nobody"], [0, 0], "the datagram, and a line without a priority");
    for client in 0..CLIENTS {
        let errors = outcome.of(client).iter().filter(|number| *number % 2 == 1).count();
        assert_eq!(errors as u64, outcome.sent[client as usize] / 2, "all errors of client {client}");
    }
}

/// Parsers that are to go are wanted again before they went, and while somebody still sends to them.
#[test]
fn workers_may_change_faster_than_anybody_can_follow() {
    let outcome = under_load("hasty", &[], |collector, file| {
        for workers in [5, 1].repeat(50) {
            file.save(&format!("workers = {workers}"));
            signal(collector.child.id(), "HUP");
            collector.wait_for("changes workers");
        }
        collector.wait_for(": 1 parser");
    });
    let summary = outcome.check_books();
    assert_eq!((&summary["lost"], &summary["filtered"]), (&0.into(), &0.into()), "{summary}");
    for client in 0..CLIENTS {
        let all = 0..outcome.sent[client as usize];
        assert!(outcome.of(client).iter().copied().eq(all), "all of client {client} came out");
    }
}

#[test]
fn workers_change_while_they_crash_and_each_crash_costs_a_line() {
    let summary = under_load("crashing", &["--chaos", "3"], change_all).check_changes();
    assert!(summary["restarts"].as_u64() > Some(0), "{summary}");
    assert_eq!(summary["lost"], summary["restarts"], "{summary}");
}

#[test]
fn workers_change_while_they_hang_and_no_order_suffers() {
    let summary = under_load("hanging", &["--hang", "100"], change_all).check_changes();
    assert!(summary["abandoned"].as_u64() > Some(0), "{summary}");
}

/// Who sent them has hung up, and the output takes nothing for a while.
#[test]
fn a_parser_that_is_to_go_finishes_what_it_has() {
    let (file, pipe) = (Scratch::new("full.toml"), Scratch::new("full-pipe"));
    file.save("workers = 8");
    assert!(Command::new("mkfifo").arg(&pipe.0).status().expect("there is one").success());
    // For both ends, so that neither waits for the other.
    let mut reader = fs::File::options().read(true).write(true).open(&pipe.0).expect("a pipe");
    let mut collector = Serving::start(&["--config", file.path(), "--out", pipe.path()]);
    for client in 0..8 {
        collector.tell_and_wait(&numbered(client * 500..(client + 1) * 500));
    }
    file.save("workers = 1");
    collector.wait_for("is to go, and still has lines");
    let drain = thread::spawn(move || {
        let (mut lines, mut some) = (0, [0; 4096]);
        while lines < 4000 {
            let bytes = reader.read(&mut some).expect("it can be read");
            lines += some[..bytes].iter().filter(|byte| **byte == b'\n').count();
        }
        reader
    });
    collector.wait_for(": 1 parser");
    assert_eq!(collector.stop("TERM").counts(), [4000, 4000, 0, 0]);
    drain.join().expect("no panic");
}

#[test]
fn a_line_limit_counts_from_the_next_line_of_an_open_connection_on() {
    let (file, out) = (Scratch::new("limit.toml"), Scratch::new("limit-out"));
    file.save("max_line = 480");
    let mut collector = Serving::start(&["--config", file.path(), "--out", out.path()]);
    let mut stream = collector.connect();
    let long = format!("<13>{}\n", "x".repeat(1000));
    stream.write_all(long.as_bytes()).expect("it reads");
    stream.write_all(b"<13>between\n").expect("it reads");
    // It has been read when a later line of the same connection is written.
    while !fs::read_to_string(out.path()).unwrap_or_default().contains("between") {
        thread::yield_now();
    }
    file.save("max_line = 1024");
    collector.wait_for("changes max_line");
    stream.write_all(long.as_bytes()).expect("it reads");
    drop(stream);
    let udp = UdpSocket::bind("127.0.0.1:0").expect("a port");
    udp.send_to(&vec![b'x'; 1025], collector.address).expect("a datagram");
    udp.send_to(&vec![b'x'; 1024], collector.address).expect("a datagram");
    assert_eq!(collector.stop("TERM").counts(), [5, 3, 2, 0]);
}

#[test]
fn another_listen_is_ignored_with_a_warning_and_the_rest_of_the_file_counts() {
    let file = Scratch::new("listen.toml");
    file.save("listen = '127.0.0.1:0'");
    let mut command = Command::new(program());
    command.args(["--config", file.path()]);
    let mut collector = Serving::of(command);
    file.save("listen = '127.0.0.1:1'\nworkers = 3");
    let warning = collector.wait_for("listen");
    assert!(warning.contains("is frozen") && warning.contains("listen.toml:1"), "{warning}");
    assert!(warning.contains("counts from the next start"), "{warning}");
    collector.wait_for(": 3 parsers");
    collector.tell_and_wait(b"<13>hello\n");
    let said = collector.stop("TERM");
    assert_eq!(said.counts(), [1, 1, 0, 0]);
    assert_eq!(said.summary()["config_degraded"], false);
}

/// Not even its size and time tell that the file has changed.
#[test]
fn sighup_has_the_file_read_again() {
    let file = Scratch::holding("hup.toml", b"workers = 2");
    let mut collector = Serving::start(&["--config", file.path()]);
    let before = fs::metadata(&file.0).and_then(|file| file.modified()).expect("a time");
    let same = fs::File::options().write(true).truncate(true).open(&file.0);
    let mut same = same.expect("it is there");
    same.write_all(b"workers = 7").expect("it can be written");
    same.set_modified(before).expect("it can be set");
    drop(same);
    signal(collector.child.id(), "HUP");
    collector.wait_for(": 7 parsers");
    assert_eq!(collector.stop("TERM").summary()["config_version"], 2);
}

#[test]
fn a_file_that_ends_broken_is_told_and_the_last_good_one_counts() {
    let file = Scratch::new("broken.toml");
    file.save("workers = 3");
    let mut collector = Serving::start(&["--config", file.path()]);
    file.save("workers = 0\nmax_line = 1");
    let first = collector.wait_for("version 1 stays in force");
    assert!(first.contains("broken.toml:1"), "{first}");
    collector.wait_for("broken.toml:2");
    collector.tell_and_wait(b"<13>hello\n");
    let said = collector.stop("TERM");
    assert_eq!(said.counts(), [1, 1, 0, 0]);
    let summary = said.summary();
    assert_eq!((&summary["config_version"], &summary["config_degraded"]), (&1.into(), &true.into()));
}

// ---- at the start ----------------------------------------------------------------------------

#[test]
fn each_fault_is_a_line_that_says_where_it_is_from() {
    let file = Scratch::holding("faults.toml", b"# settings\nseverity = 'loud'\n");
    let said = run_in(
        &[("COLLECTOR__MAX_LINE", "long"), ("COLLECTOR__LISTEN", "here")],
        &["--workers", "two", "--config", file.path()],
    );
    assert_eq!((said.code, said.stderr.lines().count()), (Some(2), 4), "{}", said.stderr);
    for (setting, origin) in [
        ("listen: ", "(the variable COLLECTOR__LISTEN)"),
        ("workers: ", "(--workers)"),
        ("max_line: ", "(the variable COLLECTOR__MAX_LINE)"),
        ("severity: ", "faults.toml:2)"),
    ] {
        let is_told = |line: &str| line.contains(setting) && line.ends_with(origin);
        assert!(said.stderr.lines().any(is_told), "{setting}{origin}: {}", said.stderr);
    }
    assert_eq!(said.stdout, "");
}

#[test]
fn faults_of_all_kinds_are_told_at_once() {
    let file = Scratch::holding("kinds.toml", b"worker = 2\nworkers = 0\nmax_line = 'long'");
    let said = run(&["--config", file.path()]);
    assert_eq!((said.code, said.stderr.lines().count()), (Some(2), 3), "{}", said.stderr);
    let is_told = |line: usize| said.stderr.contains(&format!("kinds.toml:{line}"));
    assert!((1..=3).all(is_told), "{}", said.stderr);
}

#[test]
fn a_setting_that_there_is_not_is_a_fault() {
    let file = Scratch::holding("unknown.toml", b"worker = 2\n");
    let said = run_in(&[("COLLECTOR__LISTEM", "x")], &["--config", file.path()]);
    assert_eq!((said.code, said.stderr.lines().count()), (Some(2), 2), "{}", said.stderr);
    assert!(said.stderr.contains("unknown.toml:1") && said.stderr.contains("COLLECTOR__LISTEM"));
}

#[test]
fn a_file_of_settings_is_not_emptied_as_output() {
    let file = Scratch::holding("precious.toml", b"workers = 3");
    let said = run(&["--config", file.path(), "--out", file.path(), "/dev/null"]);
    assert_eq!((said.code, said.stderr.lines().count()), (Some(2), 1), "{}", said.stderr);
    assert!(said.stderr.contains("--out: ") && said.stderr.contains("it is also read"), "{}", said.stderr);
    assert_eq!(fs::read_to_string(&file.0).expect("it is there"), "workers = 3");
}

#[test]
fn options_go_before_variables_before_the_file_before_the_defaults() {
    let lines = Scratch::holding("layers-in", b"<130>crit\n<131>err\n<132>warning\n<133>notice\n");
    let file = Scratch::holding("layers.toml", b"severity = 'warning'");
    let filtered = |variables: &[(&str, &str)], args: &[&str]| {
        let said = run_in(variables, &[args, &[lines.path()]].concat());
        said.summary()["filtered"].as_u64().expect("a count")
    };
    let (variable, config) = (("COLLECTOR__SEVERITY", "err"), ["--config", file.path()]);
    assert_eq!(filtered(&[], &[]), 0);
    assert_eq!(filtered(&[], &config), 1);
    assert_eq!(filtered(&[variable], &config), 2);
    assert_eq!(filtered(&[variable], &[&config[..], &["--severity", "crit"]].concat()), 3);
}

/// All files of settings below the examples.
fn shipped(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path());
    let (folders, files): (Vec<_>, Vec<_>) = entries.partition(|path| path.is_dir());
    let is_config = |path: &PathBuf| path.extension().is_some_and(|name| name == "toml" || name == "json");
    files.into_iter().filter(is_config).chain(folders.iter().flat_map(|folder| shipped(folder))).collect()
}

#[test]
fn every_shipped_file_of_settings_is_valid() {
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples");
    let files = shipped(&examples);
    assert!(!files.is_empty(), "there is one at least");
    for file in files {
        let of_whom = file.strip_prefix(&examples).expect("it is below");
        assert!(of_whom.starts_with("collector"), "{}: nobody here knows how to load it", file.display());
        let said = run(&["--config", file.to_str().expect("text"), "/dev/null"]);
        assert_eq!((said.code, &said.stderr[..]), (Some(0), ""), "{}", file.display());
    }
}
