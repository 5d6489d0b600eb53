//! What the collector stores, and what it tells its clients of that.
#![cfg(all(feature = "signals", feature = "config", feature = "journal", unix))]
#![allow(clippy::disallowed_methods, clippy::disallowed_types)] // it is a user's program

mod collecting;

use std::collections::{BTreeMap, HashSet};
use std::fs;
use std::hash::{BuildHasher, RandomState};
use std::io::{self, BufRead, BufReader, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use collecting::*;
use serde_json::Value;
use underpin::events::{Data, Entry, EventStore, Journal, StartFrom};

/// A directory of a test, removed with it.
struct Dir(PathBuf);

impl Dir {
    fn new(name: &str) -> Self {
        let dir = std::env::temp_dir().join(format!("collector-data-{}-{name}", std::process::id()));
        drop(fs::remove_dir_all(&dir));
        Self(dir)
    }

    fn path(&self) -> &str {
        self.0.to_str().expect("text")
    }

    /// All lines in the journal there, in their order. No collector may have it open.
    fn events(&self) -> Vec<Entry> {
        let all = self.all_events().into_iter();
        all.filter(|event| !event.kind().starts_with("alert.")).collect()
    }

    /// As [`events`](Self::events), with what alerts have raised and cleared.
    fn all_events(&self) -> Vec<Entry> {
        let store = EventStore::builder().max_events(u64::MAX).max_bytes(u64::MAX).max_age(None);
        let store = store.journal(Journal::at(&self.0)).open().expect("a journal");
        let mut all = store.subscribe(StartFrom::Oldest);
        std::iter::from_fn(|| all.try_recv().ok().into()).map_while(|entry: Option<Entry>| entry).collect()
    }

    /// The numbers at the end of all lines, by who speaks in them.
    fn numbers(&self) -> BTreeMap<String, Vec<u64>> {
        let mut numbers = BTreeMap::<_, Vec<u64>>::new();
        for event in self.events() {
            let number = text(&event).rsplit(' ').next().and_then(|word| word.parse().ok());
            numbers.entry(event.correlation().to_string()).or_default().push(number.expect("a number"));
        }
        numbers
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn text(event: &Entry) -> &str {
    event.data().as_text().expect("text")
}

fn count(summary: &Value, name: &str) -> u64 {
    summary[name].as_u64().expect("a count")
}

/// A client that is told what is durable.
struct Client {
    stream: TcpStream,
    told: mpsc::Receiver<u64>,
    reader: JoinHandle<()>,
    last: u64,
}

impl Client {
    fn of(collector: &Serving) -> Self {
        let stream = collector.connect();
        let input = BufReader::new(stream.try_clone().expect("a descriptor"));
        let (tell, told) = mpsc::channel();
        let reader = thread::spawn(move || listen(input, &tell));
        Self { stream, told, reader, last: 0 }
    }

    fn say(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).expect("it reads");
    }

    /// Waits until at least so many are durable.
    fn wait_for(&mut self, lines: u64) {
        while self.last < lines {
            self.last = self.told.recv_timeout(LONGEST).expect("it is told");
        }
    }

    /// Hangs up on its side, and waits until the collector does. Returns the last number.
    fn leave(self) -> u64 {
        self.stream.shutdown(Shutdown::Write).expect("a connection");
        self.hear_all()
    }

    fn hear_all(self) -> u64 {
        self.reader.join().expect("numbers that rise");
        self.told.iter().last().unwrap_or(self.last)
    }
}

/// Reads numbers, each on a line, each greater than the one before. A line that is cut off is none.
fn listen(mut input: BufReader<TcpStream>, tell: &mpsc::Sender<u64>) {
    let (mut last, mut line) = (0, String::new());
    while matches!(input.read_line(&mut line), Ok(1..)) && line.ends_with('\n') {
        let number = line.trim_end().parse().expect("a decimal number");
        assert!(number > last, "{number} after {last}");
        last = number;
        let _ = tell.send(number);
        line.clear();
    }
}

/// `speaker` says these numbers.
fn lines_of(speaker: &str, numbers: std::ops::Range<u64>) -> Vec<u8> {
    let line = |number| format!("<13>Jan  1 00:00:00 host {speaker}: {number}\n");
    numbers.map(line).collect::<String>().into_bytes()
}

// ---- what is stored --------------------------------------------------------------------------

#[test]
fn each_line_is_an_event_by_its_format_and_its_speaker_as_it_came() {
    let dir = Dir::new("each");
    let collector = Serving::start(&["--data", dir.path(), "--workers", "1", "--max-line", "480"]);
    collector.tell_and_wait(
        b"<165>1 2026-03-01T12:00:00Z host app 17 ID7 - five\n<34>Oct 11 22:14:15 host su[9]: x\r\n",
    );
    collector.tell_and_wait(b"just text\n\n  \ncaf\xe9\n");
    collector.tell_and_wait(&[&[b'x'; 481][..], b"\n"].concat());
    collector.tell_and_wait(b"100 <13>cut off");
    let summary = collector.stop("TERM").summary();
    assert_eq!((count(&summary, "received"), count(&summary, "malformed")), (8, 5));
    assert_eq!((count(&summary, "stored"), count(&summary, "recovered")), (6, 0), "all but the empty ones");
    let events = dir.events();
    let found: Vec<_> = events
        .iter()
        .map(|event| (event.kind(), event.correlation().to_string(), event.data().clone()))
        .collect();
    let text = |text: &'static str| Data::from(text);
    let expected = [
        ("syslog.rfc5424", "host/app[17]", text("<165>1 2026-03-01T12:00:00Z host app 17 ID7 - five")),
        ("syslog.rfc3164", "host/su[9]", text("<34>Oct 11 22:14:15 host su[9]: x")),
        ("syslog.rfc3164", "127.0.0.1", text("just text")),
        ("malformed", "127.0.0.1", Data::from(b"caf\xe9".to_vec())),
        ("malformed.too_long", "127.0.0.1", Data::None),
        ("malformed.truncated", "127.0.0.1", Data::None),
    ];
    assert_eq!(found, expected.map(|(kind, speaker, data)| (kind, speaker.to_owned(), data)));
}

#[test]
fn a_line_of_a_file_is_correlated_by_the_file_and_the_longest_one_is_stored() {
    let dir = Dir::new("file");
    let long = [&vec![b'x'; 1 << 20][..], b"\nshort\n"].concat();
    let input = Scratch::holding("stored", &long);
    let said = run(&["--data", dir.path(), "--max-line", "1048576", input.path()]);
    assert_eq!(count(&said.summary(), "stored"), 2);
    let events = dir.events();
    assert_eq!(events.iter().map(|event| text(event).len()).collect::<Vec<_>>(), [1 << 20, 5]);
    assert!(events.iter().all(|event| event.correlation().to_string() == input.path()));
}

#[test]
fn filtered_lines_are_not_stored() {
    let dir = Dir::new("filtered");
    let collector = Serving::start(&["--data", dir.path(), "--severity", "err"]);
    collector.tell_and_wait(b"<14>Jan  1 00:00:00 host app: info\n<11>Jan  1 00:00:00 host app: err\n");
    let summary = collector.stop("TERM").summary();
    let counts = ["parsed", "filtered", "stored"].map(|name| count(&summary, name));
    assert_eq!(counts, [2, 1, 1]);
    assert!(text(&dir.events()[0]).ends_with("err"));
}

#[test]
fn without_a_journal_lines_are_stored_in_memory_and_are_gone_with_it() {
    let input = Scratch::holding("in-memory", &numbered(0..30_000));
    for _ in 0..2 {
        let summary = run(&[input.path()]).summary();
        assert_eq!((count(&summary, "stored"), count(&summary, "recovered")), (30_000, 0));
    }
}

#[test]
fn what_was_accepted_before_a_stop_is_there_after_the_next_start() {
    let dir = Dir::new("stop");
    for round in 0..3 {
        let collector = Serving::start(&["--data", dir.path(), "--workers", "3"]);
        let clients: Vec<_> = (0..3).map(|client| format!("r{round}c{client}")).collect();
        clients.iter().for_each(|client| collector.tell(&lines_of(client, 0..3000)));
        let summary = collector.stop("TERM").summary();
        let counts = ["parsed", "stored", "recovered"].map(|name| count(&summary, name));
        assert_eq!(counts, [9000, 9000, round * 9000]);
    }
    let numbers = dir.numbers();
    assert_eq!(numbers.len(), 9);
    assert!(numbers.values().all(|of_one| *of_one == Vec::from_iter(0..3000)), "all, in order, none twice");
}

#[test]
fn a_crash_costs_the_line_in_hand_and_no_other() {
    let (dir, out) = (Dir::new("chaos"), Scratch::new("chaos-data-out"));
    let input = Scratch::holding("chaos-data", &lines_of("app", 0..30_000));
    let said = run(&["--chaos", "2", "--data", dir.path(), "--out", out.path(), input.path()]);
    let summary = said.summary();
    assert!(count(&summary, "lost") > 0, "there were crashes");
    assert_eq!(count(&summary, "stored"), count(&summary, "parsed"));
    let came_out: Vec<u64> = numbers(&out).into_iter().map(u64::from).collect();
    assert_eq!(dir.numbers()["host/app"], came_out, "what counts as lost is not stored, all else is, once");
}

#[test]
fn a_hang_costs_the_line_in_hand_and_no_other() {
    let (dir, out) = (Dir::new("hang"), Scratch::new("hang-data-out"));
    let args = ["--hang", "20", "--data", dir.path(), "--out", out.path()];
    let collector = Serving::start(&args);
    // For as long as it takes that some hang and are given up; they hang for 4 s.
    let (began, mut told) = (Instant::now(), 0);
    while began.elapsed() < Duration::from_millis(1500) {
        collector.tell_and_wait(&lines_of(&format!("c{told}"), told..told + 4000));
        told += 4000;
    }
    let said = collector.stop("TERM");
    let summary = said.summary();
    assert!(count(&summary, "abandoned") > 0 && count(&summary, "received") == told, "{summary}");
    assert_eq!(count(&summary, "stored"), count(&summary, "parsed"));
    let mut came_out = BTreeMap::<_, Vec<u64>>::new();
    for number in numbers(&out).into_iter().map(u64::from) {
        came_out.entry(format!("host/c{}", number / 4000 * 4000)).or_default().push(number);
    }
    assert_eq!(dir.numbers(), came_out, "what counts as lost is not stored, all else is, once");
}

/// Lines go from one parser to another, and each parser has a writer of its own.
#[test]
fn the_lines_of_a_client_are_stored_in_their_order_while_the_number_of_parsers_changes() {
    let (dir, settings) = (Dir::new("order"), Scratch::holding("order.toml", b"workers = 1\n"));
    let mut collector = Serving::start(&["--data", dir.path(), "--config", settings.path()]);
    let (address, is_over) = (collector.address, AtomicBool::new(false));
    let said: Vec<u64> = thread::scope(|scope| {
        let speak = |client| {
            let is_over = &is_over;
            scope.spawn(move || say_until(address, client, is_over))
        };
        let clients: Vec<_> = (0..3).map(speak).collect();
        for workers in [4, 2, 5, 1, 3] {
            fs::write(&settings.0, format!("workers = {workers}\n")).expect("it can be written");
            collector.wait_for(if workers == 1 { " 1 parser" } else { " parsers" });
        }
        is_over.store(true, Ordering::Relaxed);
        clients.into_iter().map(|client| client.join().expect("it is read")).collect()
    });
    let summary = collector.stop("TERM").summary();
    assert_eq!(count(&summary, "stored"), said.iter().sum::<u64>());
    let numbers = dir.numbers();
    for (client, said) in said.into_iter().enumerate() {
        assert!(numbers[&format!("host/c{client}")].iter().copied().eq(0..said), "all, in order");
    }
}

fn say_until(collector: SocketAddr, client: u64, is_over: &AtomicBool) -> u64 {
    let mut stream = TcpStream::connect(collector).expect("it listens");
    // So that no heap of lines is left to read.
    socket2::SockRef::from(&stream).set_send_buffer_size(16 * 1024).expect("a size");
    let mut numbers = (0..).step_by(30);
    loop {
        let number = numbers.next().expect("there is no end");
        if is_over.load(Ordering::Relaxed) {
            // It has read all when it hangs up: what is in its buffers at a stop it reads for 2 s and no longer.
            stream.shutdown(Shutdown::Write).expect("it listens");
            io::copy(&mut stream, &mut io::sink()).expect("it hangs up");
            return number;
        }
        stream.write_all(&lines_of(&format!("c{client}"), number..number + 30)).expect("it reads");
    }
}

#[test]
fn a_demonstration_stores_what_comes_out() {
    let dir = Dir::new("demo");
    for round in 0..2 {
        let said = run(&["--demo", "5000", "--chaos", "5", "--data", dir.path(), "--ack"]);
        let summary = said.summary();
        assert_eq!(count(&summary, "stored"), count(&summary, "parsed"));
        assert_eq!(count(&summary, "recovered") > 0, round > 0);
        assert!(said.stdout.contains("0 twice, 0 out of order, 0 unknown"), "{}", said.stdout);
    }
}

// ---- what cannot be opened, or written -------------------------------------------------------

/// It does not start, and says why in one line.
fn refuses(args: &[&str], culprit: &str) {
    let said = run(args);
    assert_eq!((said.code, said.stderr.lines().count()), (Some(2), 1), "{args:?}: {}", said.stderr);
    assert!(said.stderr.contains(culprit), "{args:?}: {}", said.stderr);
    assert_eq!(said.stdout, "", "{args:?}");
}

#[test]
fn what_cannot_be_a_journal_is_told_in_one_line() {
    let file = Scratch::holding("no-directory", b"text");
    refuses(&["--data", file.path(), "/dev/null"], file.path());
    refuses(&["--data", "/proc/nowhere/at/all", "/dev/null"], "/proc/nowhere");
    refuses(&["--data", ""], "--data");
    refuses(&["--data"], "--data");
    refuses(&["--ack"], "--data");
    assert_eq!(fs::read(file.path()).expect("it is there"), b"text", "and nothing is harmed");
}

#[test]
fn two_collectors_do_not_write_one_journal() {
    let dir = Dir::new("two");
    let collector = Serving::start(&["--data", dir.path()]);
    refuses(&["--data", dir.path(), "/dev/null"], "locked");
    collector.tell_and_wait(&numbered(0..10));
    assert_eq!(count(&collector.stop("TERM").summary(), "stored"), 10);
}

#[test]
fn a_corrupt_journal_is_refused_with_its_place() {
    let dir = Dir::new("corrupt");
    let input = Scratch::holding("corrupt-input", &lines_of("app", 0..1000));
    assert_eq!(count(&run(&["--data", dir.path(), input.path()]).summary(), "stored"), 1000);
    let found = fs::read_dir(&dir.0).expect("a directory").map(|file| file.expect("a file").path());
    let segment =
        found.max_by_key(|file| fs::metadata(file).map_or(0, |file| file.len())).expect("a segment");
    let mut bytes = fs::read(&segment).expect("it can be read");
    let at = bytes.windows(9).position(|window| window == b"app: 500\0" || window.starts_with(b"app: 500"));
    bytes[at.expect("the line is there")] ^= 1;
    fs::write(&segment, &bytes).expect("it can be written");
    refuses(&["--data", dir.path(), "/dev/null"], "offset");
    assert_eq!(fs::read(&segment).expect("it is there"), bytes, "and nothing is changed");
}

/// No file may be larger than 2 MiB: for the journal the disk is full.
#[test]
fn a_full_disk_costs_the_journal_and_nothing_else() {
    let dir = Dir::new("full");
    let mut command = Command::new("sh");
    command.args(["-c", r#"trap '' XFSZ; ulimit -f 4096; exec "$0" "$@""#]).arg(program());
    command.args(["--listen", "127.0.0.1:0", "--data", dir.path(), "--ack"]).stdin(Stdio::null());
    let mut collector = Serving::of(command);
    let (mut client, rest) = (Client::of(&collector), "x".repeat(1000));
    let line = |number| format!("<13>Jan  1 00:00:00 host {rest}: {number}\n");
    client.say((0..100).map(line).collect::<String>().as_bytes());
    client.wait_for(100);
    client.say((100..8000).map(line).collect::<String>().as_bytes());
    let acknowledged = client.leave();
    collector.wait_for("no room");
    let said = collector.stop("TERM");
    assert_eq!(said.code, Some(1), "{}", said.stderr);
    let summary: Value = serde_json::from_str(said.stdout.lines().last().expect("a line")).expect("JSON");
    let [parsed, stored] = ["parsed", "stored"].map(|name| count(&summary, name));
    assert_eq!(parsed, 8000, "it goes on");
    assert!(stored < parsed && acknowledged <= stored, "{acknowledged} acknowledged, {summary}");
    assert!(said.stderr.contains("did not come into the journal"), "{}", said.stderr);
    let events = dir.events();
    assert_eq!(events.len() as u64, stored);
    let found: HashSet<_> = events.iter().map(text).collect();
    assert!(found.len() == events.len() && (0..100).all(|number| found.contains(line(number).trim_end())));
}

// ---- acknowledgements ------------------------------------------------------------------------

#[test]
fn a_client_is_told_how_many_of_its_lines_are_durable() {
    let dir = Dir::new("told");
    let collector = Serving::start(&["--data", dir.path(), "--ack"]);
    let mut client = Client::of(&collector);
    for round in 0..5 {
        client.say(&lines_of("app", round * 100..round * 100 + 100));
        client.wait_for(round * 100 + 100);
    }
    assert_eq!(client.leave(), 500);
    assert_eq!(count(&collector.stop("TERM").summary(), "stored"), 500);
}

#[test]
fn a_client_that_hangs_up_on_its_side_hears_of_its_last_lines() {
    let dir = Dir::new("half");
    let collector = Serving::start(&["--data", dir.path(), "--ack", "--workers", "3"]);
    thread::scope(|scope| {
        for client in 0..4 {
            let collector = &collector;
            scope.spawn(move || {
                let mut stream = Client::of(collector);
                stream.say(&lines_of(&format!("c{client}"), 0..5000));
                assert_eq!(stream.leave(), 5000);
            });
        }
    });
    assert_eq!(Client::of(&collector).leave(), 0, "who has sent nothing is told nothing");
    assert_eq!(count(&collector.stop("TERM").summary(), "stored"), 20_000);
}

#[test]
fn what_comes_to_nothing_is_skipped_and_not_counted() {
    let dir = Dir::new("skipped");
    let collector = Serving::start(&["--data", dir.path(), "--ack", "--severity", "err"]);
    let mut client = Client::of(&collector);
    client
        .say(b"<14>Jan  1 00:00:00 host app: filtered\n\n<11>Jan  1 00:00:00 host app: err\ncaf\xe9\n<14>x");
    assert_eq!(client.leave(), 2, "the error and the malformed one");
    assert_eq!(count(&collector.stop("TERM").summary(), "stored"), 2);
}

#[test]
fn under_chaos_the_last_number_is_that_of_the_lines_in_the_journal() {
    let dir = Dir::new("chaos-acks");
    let collector = Serving::start(&["--data", dir.path(), "--ack", "--chaos", "1", "--workers", "3"]);
    let told: Vec<(String, u64)> = thread::scope(|scope| {
        let tell = |client| {
            let (collector, name) = (&collector, format!("c{client}"));
            scope.spawn(move || {
                let mut client = Client::of(collector);
                client.say(&lines_of(&name, 0..4000));
                (format!("host/{name}"), client.leave())
            })
        };
        let clients: Vec<_> = (0..3).map(tell).collect();
        clients.into_iter().map(|client| client.join().expect("it is told")).collect()
    });
    let summary = collector.stop("TERM").summary();
    assert!(count(&summary, "lost") > 0, "there were crashes");
    let numbers = dir.numbers();
    for (name, acknowledged) in told {
        assert_eq!(numbers[&name].len() as u64, acknowledged, "{name}");
        assert!(numbers[&name].is_sorted_by(|a, b| a < b), "in order, none twice");
    }
}

/// It reads nothing until the end.
#[test]
fn a_client_that_does_not_read_holds_up_nobody() {
    let dir = Dir::new("deaf");
    let collector = Serving::start(&["--data", dir.path(), "--ack"]);
    let mut deaf = TcpStream::connect(collector.address).expect("it listens");
    socket2::SockRef::from(&deaf).set_recv_buffer_size(1).expect("a size");
    let mut client = Client::of(&collector);
    for round in 0..300 {
        deaf.write_all(&lines_of("deaf", round * 20..round * 20 + 20)).expect("it reads");
        client.say(&lines_of("app", round..round + 1));
        client.wait_for(round + 1);
    }
    assert_eq!(client.leave(), 300);
    // It reads after all: whole lines, and the last is true.
    deaf.shutdown(Shutdown::Write).expect("a connection");
    let (tell, told) = mpsc::channel();
    listen(BufReader::new(deaf), &tell);
    drop(tell);
    assert_eq!(told.iter().last(), Some(6000));
    assert_eq!(count(&collector.stop("TERM").summary(), "stored"), 6300);
}

#[test]
fn who_is_there_at_a_stop_is_told_the_last_number() {
    let dir = Dir::new("stop-acks");
    let collector = Serving::start(&["--data", dir.path(), "--ack"]);
    let mut client = Client::of(&collector);
    client.say(&lines_of("app", 0..5000));
    let summary = collector.stop("TERM").summary();
    assert_eq!(count(&summary, "stored"), 5000);
    assert_eq!(client.hear_all(), 5000);
}

// ---- kill -9 ---------------------------------------------------------------------------------

/// How often it is killed.
const ROUNDS: u64 = 50;
/// How many clients it has each time.
const CLIENTS: u64 = 3;

/// Says numbers until nobody listens any more, and passes on that it was told something.
fn say_until_it_is_dead(collector: &Serving, name: &str, told: &mpsc::Sender<()>) -> u64 {
    let mut client = Client::of(collector);
    socket2::SockRef::from(&client.stream).set_send_buffer_size(4096).expect("a size");
    for number in (0..).step_by(10) {
        if client.stream.write_all(&lines_of(name, number..number + 10)).is_err() {
            break;
        }
        for number in client.told.try_iter() {
            client.last = number;
            let _ = told.send(());
        }
    }
    client.hear_all()
}

/// Kills it when a random number of acknowledgements has come, 24 at most. Returns which client was told how much.
fn live_and_die(dir: &Dir, round: u64, chance: u64) -> Vec<(String, u64)> {
    let mut args = vec!["--data", dir.path(), "--ack", "--workers", "2"];
    if round % 5 == 4 {
        args.extend(["--chaos", "1"]);
    }
    let mut collector = Serving::start(&args);
    let (tell, heard) = mpsc::channel();
    let pid = collector.child.id();
    let told = thread::scope(|scope| {
        let speak = |client| {
            let (collector, told, name) = (&collector, tell.clone(), format!("r{round}c{client}"));
            scope.spawn(move || (format!("host/{name}"), say_until_it_is_dead(collector, &name, &told)))
        };
        let clients: Vec<_> = (0..CLIENTS).map(speak).collect();
        heard.iter().take(chance as usize % 25).count();
        signal(pid, "KILL");
        clients.into_iter().map(|client| client.join().expect("no panic")).collect()
    });
    collector.child.wait().expect("it is dead");
    told
}

/// The clients write down what they were told. Then all is compared.
#[test]
fn what_was_acknowledged_is_there_after_each_kill_and_nothing_twice() {
    let (dir, dice) = (Dir::new("kill"), RandomState::new());
    let told: Vec<_> =
        (0..ROUNDS).flat_map(|round| live_and_die(&dir, round, dice.hash_one(round))).collect();
    let numbers = dir.numbers();
    let mut acknowledged = 0;
    for (name, lines) in told {
        acknowledged += lines;
        let found = numbers.get(&name).map_or(&[][..], |found| found);
        assert!(found.len() as u64 >= lines, "{name}: {lines} acknowledged, {} there", found.len());
        assert!(found.is_sorted_by(|a, b| a < b), "{name}: in order, none twice");
        let has_crashes = name
            .trim_start_matches("host/r")
            .split('c')
            .next()
            .is_some_and(|round| round.parse::<u64>().expect("a number") % 5 == 4);
        assert!(has_crashes || found.iter().copied().eq(0..found.len() as u64), "{name}: none is missing");
    }
    assert!(acknowledged > ROUNDS, "{acknowledged} were acknowledged");
    let all = dir.all_events().len();
    let summary = Serving::start(&["--data", dir.path()]).stop("TERM").summary();
    assert_eq!(count(&summary, "recovered"), all as u64);
    println!("{acknowledged} acknowledged, {all} there");
}
