//! The collector example, as its users run it.
#![cfg(all(feature = "signals", feature = "config", unix))]
#![allow(clippy::disallowed_methods, clippy::disallowed_types)] // it is a user's program

mod collecting;

use std::fs;
use std::io::Write;
use std::net::{TcpStream, UdpSocket};
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use collecting::*;
use serde_json::json;

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
    let wrong: [(&[&str], &str); 24] = [
        (&["--frobnicate"], "--frobnicate"),
        (&["-x"], "-x"),
        (&["--workers"], "--workers"),
        (&["--workers", "0"], "--workers"),
        (&["--workers", "two"], "--workers"),
        (&["--workers=65"], "--workers"),
        (&["--listen", "nowhere"], "--listen"),
        (&["--listen", "192.0.2.1:5514"], "--listen"),
        (&["--listen"], "--listen"),
        (&["--max-line", "479"], "--max-line"),
        (&["--max-line", "1048577"], "--max-line"),
        (&["--severity", "loud"], "--severity"),
        (&["--config"], "--config"),
        (&["--config", "/nowhere/at/all.toml"], "/nowhere/at/all.toml"),
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
