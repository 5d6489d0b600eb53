//! The collector example, as its users run it.
#![cfg(all(feature = "signals", unix))]
#![allow(clippy::disallowed_methods, clippy::disallowed_types)] // it is a user's program

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Output, Stdio};
use std::sync::{OnceLock, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

/// No run takes longer, or it hangs.
const LONGEST: Duration = Duration::from_secs(60);

// ---- running it ------------------------------------------------------------------------------

/// The program, built as these tests are.
fn program() -> &'static Path {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(|| {
        let test = std::env::current_exe().expect("a path");
        let profile = test.ancestors().nth(2).expect("target/profile/deps/test");
        let mut build = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        build.args(["build", "--quiet", "--example", "collector", "--target-dir"]);
        build.arg(profile.parent().expect("target"));
        if profile.ends_with("release") {
            build.arg("--release");
        }
        let built = build.current_dir(env!("CARGO_MANIFEST_DIR")).status().expect("cargo runs");
        assert!(built.success(), "the example does not build");
        profile.join("examples/collector")
    })
}

/// What a run has said.
struct Said {
    code: Option<i32>,
    stdout: String,
    stderr: String,
}

impl Said {
    /// Waits for the end; one that does not come is a failure.
    fn of(child: Child) -> Self {
        let (pid, (send, ended)) = (child.id(), mpsc::channel());
        thread::spawn(move || send.send(child.wait_with_output()));
        let Ok(output) = ended.recv_timeout(LONGEST) else {
            signal(pid, "KILL");
            panic!("it hangs");
        };
        let Output { status, stdout, stderr } = output.expect("it ran");
        let text = |bytes| String::from_utf8(bytes).expect("text");
        Self { code: status.code(), stdout: text(stdout), stderr: text(stderr) }
    }

    /// The last line, of a run that went well.
    fn summary(&self) -> Value {
        assert_eq!(self.code, Some(0), "{}{}", self.stdout, self.stderr);
        let summary: Value = serde_json::from_str(self.stdout.lines().last().expect("a line")).expect("JSON");
        let count = |name: &str| summary[name].as_u64().expect("a count");
        assert_eq!(count("received"), count("parsed") + count("malformed") + count("lost"), "{summary}");
        assert!(count("lost") <= count("restarts") + count("abandoned"), "{summary}");
        assert!(summary["seconds"].is_number() && summary["lines_per_s"].is_number(), "{summary}");
        summary
    }

    /// Its counts: received, parsed, malformed, lost.
    fn counts(&self) -> [u64; 4] {
        let summary = self.summary();
        ["received", "parsed", "malformed", "lost"].map(|name| summary[name].as_u64().expect("a count"))
    }
}

fn run(args: &[&str]) -> Said {
    let mut command = Command::new(program());
    command.args(args).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    Said::of(command.spawn().expect("it starts"))
}

fn signal(pid: u32, name: &str) {
    let kill = Command::new("sh").arg("-c").arg(format!("kill -{name} {pid}")).status();
    assert!(kill.expect("a shell").success(), "kill -{name}");
}

/// A collector that serves.
struct Serving {
    child: Child,
    stdout: BufReader<ChildStdout>,
    address: SocketAddr,
    first: String,
}

impl Serving {
    fn start(args: &[&str]) -> Self {
        let mut command = Command::new(program());
        command.args(["--listen", "127.0.0.1:0"]).args(args);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts");
        let mut stdout = BufReader::new(child.stdout.take().expect("a pipe"));
        let mut first = String::new();
        stdout.read_line(&mut first).expect("a line");
        let address = first.trim().strip_prefix("listening on ").expect("an address");
        Self { address: address.parse().expect("an address"), child, stdout, first }
    }

    fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).expect("it listens")
    }

    /// Sends it over a connection of its own, and hangs up.
    fn tell(&self, bytes: &[u8]) {
        self.connect().write_all(bytes).expect("it reads");
    }

    /// Sends it, and waits until all of it was read.
    fn tell_and_wait(&self, bytes: &[u8]) {
        let mut stream = self.connect();
        stream.write_all(bytes).expect("it reads");
        stream.shutdown(std::net::Shutdown::Write).expect("a connection");
        // How the collector hangs up is its own affair.
        let _ = stream.read(&mut [0]);
    }

    fn memory_kib(&self) -> Option<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).ok()?;
        status.lines().find_map(|line| line.strip_prefix("VmRSS:")?.split_whitespace().next()?.parse().ok())
    }

    /// Asks it to end, and waits for that.
    fn stop(self, with: &str) -> Said {
        signal(self.child.id(), with);
        self.end()
    }

    fn end(mut self) -> Said {
        let reader = thread::spawn(move || {
            let mut rest = self.first;
            self.stdout.read_to_string(&mut rest).map(|_| rest)
        });
        let said = Said::of(self.child);
        Said { stdout: reader.join().expect("no panic").expect("text"), ..said }
    }
}

/// A file of a test, removed with it.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Self {
        Self(std::env::temp_dir().join(format!("collector-test-{}-{name}", std::process::id())))
    }

    fn holding(name: &str, bytes: &[u8]) -> Self {
        let scratch = Self::new(name);
        fs::write(&scratch.0, bytes).expect("a writable directory");
        scratch
    }

    fn path(&self) -> &str {
        self.0.to_str().expect("text")
    }

    fn records(&self) -> Vec<Value> {
        let text = fs::read_to_string(&self.0).expect("the output");
        text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
    }

    fn messages(&self) -> Vec<String> {
        self.records().iter().map(|record| record["message"].as_str().expect("text").to_owned()).collect()
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

fn numbered(range: std::ops::Range<u32>) -> Vec<u8> {
    range.map(|number| format!("<13>Jan  1 00:00:00 host app: {number}\n")).collect::<String>().into_bytes()
}

fn numbers(out: &Scratch) -> Vec<u32> {
    out.messages().iter().map(|message| message.parse().expect("a number")).collect()
}

// ---- files -----------------------------------------------------------------------------------

#[test]
fn files_are_read_line_by_line() {
    let (one, two) =
        (Scratch::holding("one", b"first\n\n12 monkeys\r\ncaf\xe9\n"), Scratch::holding("two", b"<13>x"));
    let out = Scratch::new("files-out");
    let said = run(&["--out", out.path(), "--workers=1", one.path(), two.path()]);
    assert_eq!(said.counts(), [5, 3, 2, 0]);
    assert_eq!(out.messages(), ["first", "12 monkeys", "x"]);
    assert_eq!(said.stderr, "");
}

#[test]
fn chaos_costs_a_line_for_each_crash_and_no_order() {
    let input = Scratch::holding("chaos", &numbered(0..30_000));
    let out = Scratch::new("chaos-out");
    let said = run(&["--chaos", "2", "--out", out.path(), input.path()]);
    let [received, parsed, malformed, lost] = said.counts();
    assert_eq!((received, malformed), (30_000, 0));
    assert!(lost > 0, "there were crashes");
    assert_eq!(said.summary()["restarts"], lost, "all of them while a line was handled");
    let numbers = numbers(&out);
    assert_eq!(numbers.len() as u64, parsed);
    assert!(numbers.is_sorted_by(|a, b| a < b), "in order, none twice");
}

/// A parser that hangs is given up and costs the line in its hands; the lines behind it go on. The end
/// names those who hang still.
#[test]
fn hangs_cost_a_line_for_each_parser_that_is_given_up_and_no_order() {
    let out = Scratch::new("hang-out");
    let collector = Serving::start(&["--out", out.path(), "--hang", "20", "--workers", "2"]);
    // For as long as it takes that some hang and are given up; they hang for 4 s.
    let (began, mut told) = (Instant::now(), 0);
    while began.elapsed() < Duration::from_millis(1500) {
        collector.tell_and_wait(&numbered(told..told + 4000));
        told += 4000;
    }
    let said = collector.stop("TERM");
    let summary = said.summary();
    let count = |name: &str| summary[name].as_u64().expect("a count");
    assert_eq!((count("received"), count("malformed"), count("restarts")), (u64::from(told), 0, 0));
    assert!(count("abandoned") > 0 && count("abandoned") <= count("hung"), "{summary}");
    assert!(count("lost") <= count("abandoned"), "{summary}");
    assert!(said.stderr.contains("parser-") && said.stderr.contains("frame"), "{}", said.stderr);
    let numbers = numbers(&out);
    assert_eq!(numbers.len() as u64, count("parsed"));
    for source in 0..told / 4000 {
        let of_source = numbers.iter().filter(|&number| number / 4000 == source);
        assert!(of_source.is_sorted_by(|a, b| a < b), "in order, none twice");
    }
}

#[test]
fn what_cannot_be_written_is_told() {
    if !Path::new("/dev/full").exists() {
        return;
    }
    let input = Scratch::holding("full", b"a\nb\n");
    let said = run(&["--out", "/dev/full", input.path()]);
    assert_eq!(said.code, Some(1));
    assert!(said.stderr.contains("records were not written"), "{}", said.stderr);
    assert!(said.stdout.contains(r#""received":2,"parsed":2"#), "{}", said.stdout);
}

// ---- the network -----------------------------------------------------------------------------

#[test]
fn tcp_takes_both_framings_and_both_formats() {
    let out = Scratch::new("tcp-out");
    let collector = Serving::start(&["--out", out.path(), "--workers", "1"]);
    collector.tell_and_wait(
        b"<165>1 2026-03-01T12:00:00Z host app 17 ID7 - five\n<34>Oct 11 22:14:15 host su[9]: three\n",
    );
    collector.tell_and_wait(b"10 <13>two\nxy9 <13>plain");
    assert_eq!(collector.stop("TERM").counts(), [4, 4, 0, 0]);
    let expected = json!({
        "protocol": "rfc5424", "facility": "local4", "severity": "notice", "timestamp": "2026-03-01T12:00:00+00:00",
        "hostname": "host", "appname": "app", "procid": 17, "msgid": "ID7", "message": "five",
    });
    let records = out.records();
    assert_eq!(records[0], expected);
    assert_eq!(records[1]["appname"], "su");
    assert_eq!(records[1]["facility"], "auth");
    assert_eq!(out.messages(), ["five", "three", "two\nxy", "plain"]);
}

#[test]
fn udp_takes_a_message_from_each_datagram() {
    let out = Scratch::new("udp-out");
    let collector = Serving::start(&["--out", out.path()]);
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a port");
    for number in 0..50 {
        socket.send_to(format!("<13>{number}").as_bytes(), collector.address).expect("a datagram");
    }
    socket.send_to(b"", collector.address).expect("a datagram");
    assert_eq!(collector.stop("INT").counts(), [51, 50, 1, 0]);
    assert_eq!(numbers(&out), Vec::from_iter(0..50));
}

#[test]
fn a_stop_loses_nothing_that_has_arrived() {
    let out = Scratch::new("stop-out");
    let collector = Serving::start(&["--out", out.path()]);
    for start in [0, 5000, 10_000] {
        collector.tell(&numbered(start..start + 5000));
    }
    let open = collector.connect();
    (&open).write_all(&numbered(15_000..15_100)).expect("it reads");
    assert_eq!(collector.stop("TERM").counts(), [15_100, 15_100, 0, 0]);
    let mut numbers = numbers(&out);
    numbers.sort_unstable();
    assert_eq!(numbers, Vec::from_iter(0..15_100));
}

#[test]
fn a_signal_that_comes_twice_is_one() {
    let collector = Serving::start(&[]);
    collector.tell(&numbered(0..100));
    // As `timeout` does it: to the process, and to its group.
    signal(collector.child.id(), "TERM");
    signal(collector.child.id(), "INT");
    assert_eq!(collector.end().counts(), [100, 100, 0, 0]);
}

#[test]
fn chaos_on_the_network_loses_what_it_says() {
    let out = Scratch::new("storm-out");
    let collector = Serving::start(&["--out", out.path(), "--chaos", "1", "--workers", "3"]);
    thread::scope(|scope| {
        for start in [0, 4000, 8000] {
            let collector = &collector;
            scope.spawn(move || collector.tell_and_wait(&numbered(start..start + 4000)));
        }
    });
    let said = collector.stop("TERM");
    let [received, parsed, malformed, lost] = said.counts();
    assert_eq!((received, malformed, parsed), (12_000, 0, 12_000 - lost));
    let mut numbers = numbers(&out);
    numbers.sort_unstable();
    numbers.dedup();
    assert_eq!(numbers.len() as u64, parsed, "none twice");
}

// ---- what is not syslog ----------------------------------------------------------------------

#[test]
fn what_is_too_long_is_one_malformed_message() {
    let collector = Serving::start(&[]);
    let long = vec![b'x'; 1 << 20];
    collector.tell_and_wait(&[&long[..], b"\n<13>after\n"].concat());
    collector.tell_and_wait(&[b"1048576 ", &long[..], b"9 <13>after"].concat());
    assert_eq!(collector.stop("TERM").counts(), [4, 2, 2, 0]);
}

#[test]
fn a_binary_blob_harms_nobody() {
    let collector = Serving::start(&[]);
    let mut seed = 7_u64;
    let random = std::iter::repeat_with(|| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (seed >> 56) as u8
    });
    let blob: Vec<u8> = random.take(1 << 20).collect();
    collector.tell_and_wait(&blob);
    UdpSocket::bind("127.0.0.1:0")
        .and_then(|udp| udp.send_to(&blob[..9000], collector.address))
        .expect("sent");
    collector.tell_and_wait(b"<13>after\n");
    let said = collector.stop("TERM");
    assert!(said.counts()[2] > 1000, "{}", said.stdout);
    assert_eq!(said.summary()["restarts"], 0);
}

#[test]
fn a_truncated_count_and_half_a_line_are_counted() {
    let collector = Serving::start(&[]);
    collector.tell_and_wait(b"100 <13>short");
    collector.tell_and_wait(b"9 <13>whole12");
    collector.tell_and_wait(b"<13>no line feed");
    collector.tell_and_wait(b"");
    assert_eq!(collector.stop("TERM").counts(), [4, 2, 2, 0]);
}

#[test]
fn a_thousand_idle_connections_are_cheap_and_in_nobodys_way() {
    let collector = Serving::start(&[]);
    let idle: Vec<_> = (0..1000).map_while(|_| TcpStream::connect(collector.address).ok()).collect();
    for mut stream in idle.iter().take(10) {
        stream.write_all(b"<13>ha").expect("it reads");
    }
    collector.tell_and_wait(b"<13>hello\n");
    if let Some(memory) = collector.memory_kib() {
        assert!(memory < 100 * 1024, "{memory} KiB");
    }
    let asked = Instant::now();
    let said = collector.stop("TERM");
    assert!(asked.elapsed() < Duration::from_secs(10), "{:?}", asked.elapsed());
    assert_eq!(said.counts(), [11, 1, 10, 0], "half a line each");
    assert!(idle.len() > 900, "{} connections", idle.len());
}

// ---- the command line ------------------------------------------------------------------------

#[test]
fn bad_arguments_are_told_in_one_line() {
    let wrong: [(&[&str], &str); 18] = [
        (&["--frobnicate"], "--frobnicate"),
        (&["-x"], "-x"),
        (&["--workers"], "--workers"),
        (&["--workers", "0"], "--workers"),
        (&["--workers", "two"], "--workers"),
        (&["--workers=65"], "--workers"),
        (&["--listen", "nowhere"], "--listen"),
        (&["--listen", "192.0.2.1:5514"], "--listen"),
        (&["--hang", "0"], "--hang"),
        (&["--hang", "soon"], "--hang"),
        (&["--chaos", "0"], "--chaos"),
        (&["--chaos", "-5"], "--chaos"),
        (&["--out"], "--out"),
        (&["--out", "/nowhere/at/all", "/dev/null"], "--out"),
        (&["--demo=many"], "--demo"),
        (&["--demo", "0"], "--demo"),
        (&["--demo", "10", "file"], "file"),
        (&["/nowhere/at/all"], "/nowhere/at/all"),
    ];
    for (args, culprit) in wrong {
        let said = run(args);
        assert_eq!(said.code, Some(2), "{args:?}");
        assert_eq!(said.stderr.lines().count(), 1, "{args:?}: {}", said.stderr);
        assert!(said.stderr.contains(culprit), "{args:?}: {}", said.stderr);
        assert_eq!(said.stdout, "", "{args:?}");
    }
}

#[test]
fn what_is_read_is_not_emptied_as_the_output() {
    let file = Scratch::holding("read-and-written", b"a line\n");
    let said = run(&["--out", file.path(), file.path()]);
    assert_eq!((said.code, said.stderr.lines().count()), (Some(2), 1), "{}", said.stderr);
    assert_eq!(fs::read_to_string(file.path()).expect("it is there"), "a line\n");
}

#[test]
fn an_argument_that_is_not_utf8_is_told_in_one_line() {
    use std::os::unix::ffi::OsStrExt;
    let said =
        Command::new(program()).arg(std::ffi::OsStr::from_bytes(b"caf\xe9")).output().expect("it runs");
    let stderr = String::from_utf8_lossy(&said.stderr);
    assert_eq!((said.status.code(), stderr.lines().count()), (Some(2), 1), "{stderr}");
}

#[test]
fn a_port_that_is_taken_is_a_bad_argument() {
    let collector = Serving::start(&[]);
    let said = run(&["--listen", &collector.address.to_string()]);
    assert_eq!((said.code, said.stderr.lines().count()), (Some(2), 1), "{}", said.stderr);
    assert_eq!(collector.stop("TERM").counts(), [0; 4]);
}

#[test]
fn a_demo_checks_itself() {
    let said = run(&["--demo", "5000", "--chaos", "5"]);
    assert_eq!(said.summary()["received"], 5000);
    assert!(said.stdout.contains("0 twice, 0 out of order, 0 unknown"), "{}", said.stdout);
}
