//! A syslog collector: the kind of synchronous daemon that `underpin` is for.
//!
//! ```text
//! cargo run --release --example collector -- [--config FILE] [--listen 127.0.0.1:5514] [--workers 2]
//!     [--max-line 65536] [--severity debug] [--forward ADDR:PORT] [--out FILE] [--data DIR [--ack]] [--metrics FILE]
//!     [--chaos EVERY_MS] [--chaos-forward EVERY_MS] [--hang EVERY_MS] [--demo [LINES]] [FILE ...]
//! ```
//!
//! It takes syslog over TCP (RFC 6587, octet counting and newline framing) and over UDP, on one
//! port, in the formats of RFC 5424 and RFC 3164. Try it with `logger --server 127.0.0.1 --tcp
//! --port 5514 hello`.
//!
//! ```text
//! collector
//! ├── config              the settings; the first to start, the last to stop
//! ├── telemetry           asks each second how everybody does; exports a last time when all that counts has stopped
//! │   ├── collect
//! │   ├── handlers
//! │   └── metrics         with --metrics: writes the file
//! ├── acks                if asked to: tells clients how many of their lines are durable
//! ├── events              the store of all lines: stops when nobody stores any more
//! │   ├── journal         with --data: the one thread that waits for the disk
//! │   └── shard-0
//! ├── alarms              says and stores what alerts raise and clear, and when the breaker opens and closes
//! ├── medic               if some are to hang: has parsers that are stuck given up and replaced
//! ├── forwarding          with --forward: one for each connection to the sink downstream; stops when no parser is left
//! │   └── forwarder-0 ..
//! ├── pipeline            restarts its parsers for as long as it runs, also while all else stops
//! │   ├── sink            writes and counts
//! │   └── parser-0 ..     one line at a time; a crash costs the line in hand
//! ├── last-look           stopped before pipeline: keeps its figures for the last export
//! ├── drain               stopped after intake, before pipeline: waits until the queues are empty, and those of
//! │                       forwarding for 5 s at most
//! ├── foreman             has as many parsers as the settings say
//! ├── intake
//! │   ├── connections     dynamic: one temporary service for each TCP client
//! │   ├── udp
//! │   ├── listener
//! │   └── gate            the last to start, so the first to stop: wakes the two above
//! ├── chaos               crashes parsers, if asked to
//! ├── hangs               has parsers hang, if asked to
//! ├── chaos-forward       crashes forwarders, if asked to
//! └── health              looks at the tree and at the metrics each second, and raises alerts
//!     ├── monitor
//!     └── tree-collector
//! ```
//!
//! Children stop in the reverse of this order, and that order is the orderly shutdown: shut the
//! doors, read what has arrived, let the queues run empty, flush. What was accepted is not lost.
//!
//! # Settings
//!
//! `collector.toml`, beside this file, says what can be set, and what holds if nothing is said. An option goes
//! before a variable of the environment (`COLLECTOR__WORKERS=4`), that before the file of `--config`, that
//! before the defaults. What is wrong is told one fault a line, with where it was said, and nothing starts.
//!
//! When the file is saved, and on SIGHUP, it is read again (built with the feature `watch`, the operating system
//! tells of the change; else the file is looked at twice a second). Connections stay open and no line is lost.
//! - `workers`: the [`foreman`] starts parsers at once. One that is too many goes when it has done all that
//!   it has and nobody sends to it any more, within about 1 s: see [`router`] for why no source's order suffers.
//! - `severity` counts for each line from when it is parsed.
//! - `max_line` counts from the next frame on.
//! - `alerts` count from the next look at the metrics on, within 1 s.
//! - `forward` counts from the next line on; a breaker that is open waits by the new numbers.
//! - `listen`, `forward.address` and `forward.connections` count from the next start, which is said.
//!
//! A file with a fault in it changes nothing. The fault is told once, and `config_degraded` is true until the
//! file is right again.
//!
//! # What counts as what
//!
//! - *received*: a line, frame or datagram that was handed to a parser.
//! - *malformed*: not text (not UTF-8, or with a NUL in it), empty, too long, or cut off before
//!   the end that its octet count announced. Everything else is *parsed*: a line without a priority
//!   is a message without one, as RFC 3164 has it, so any text log can be read.
//! - *filtered*: parsed, and not written because it is less severe than `severity` says. A line without a
//!   priority is written.
//! - *lost*: it was in the hands of a service that crashed, or hung and was abandoned. Counted on its
//!   own, not as a difference: see [`desk`]. At most one for each of `restarts` and of `abandoned`.
//! - *restarts*: crashes of parsers and of the sink. *hung*: how often `--hang` had a parser hang.
//!   *abandoned*: how many services were given up, because they hung and did not stop in their grace.
//!
//! # Hangs
//!
//! A thread cannot be killed, so one that hangs is given up and its successor has its queue: see
//! [`medic`] and [`hang`]. The line in its hands is lost. When it comes back after all, that line comes
//! to nothing: none comes out twice, and the lines of one source stay in order. Who hangs when the
//! program ends is named on stderr, and the status is 1. A run that has an end of its own (of files, or
//! a demonstration) waits for those that hang; a server that is told to end does not.
//!
//! # Storing
//!
//! Each line that is parsed is an event in a store, as it came, without the end of line: kind
//! `syslog.rfc5424` or `syslog.rfc3164`, correlated by who speaks in it, as `host/app[pid]`; what it does not
//! say of these is left out, and the address it came from, or the path of the file, stands for the host. A
//! malformed line is one of kind `malformed`, with its bytes; what is too long or cut off is of kind
//! `malformed.too_long` or `malformed.truncated`, and has no data. Empty lines, filtered and lost ones are
//! not stored: see [`deed`].
//!
//! The parsers store, each through a writer that sends 64 lines at once, and after 10 ms at the latest. If
//! the store is behind, they wait for it. In memory it keeps the last 10,000 lines, 16 MiB at most. With
//! `--data DIR` it keeps a journal there, of all lines, and syncs it for as many lines at once as have come
//! meanwhile. What a journal in trouble does not take is said on stderr, and the status is 1.
//!
//! *stored* is how many lines this run has stored; with `--data`, how many of its lines are durable.
//! *recovered* is how many events it found in DIR: lines, and changes of alerts and of the breaker.
//!
//! With `--ack`, each TCP client is sent a number on a line after each sync: how many of its lines are
//! durable. No line counts while one before it is undecided. One that came to nothing (it was filtered,
//! empty or lost) is skipped, and not counted; one that hangs with its parser holds up those behind it. A client
//! that has hung up on its side is told what became of its last lines, for 10 s at most. A client that does not
//! read holds up nobody: it is sent the newest number when it does. After `kill -9` and another start on the
//! same DIR each line is there that was counted to anybody, none twice. See [`client`] and [`acks`].
//!
//! # Forwarding
//!
//! With `--forward ADDR:PORT`, or the setting `forward.address`, lines are sent on to a sink downstream, over TCP, each as
//! an octet-counted frame (RFC 6587) of RFC 5424: another collector reads it. A line of RFC 5424 goes as it came; of any
//! other all that was understood of it goes on, and the address that it came from, or the path of the file, is its host if
//! it says none. See [`relay`].
//!
//! What is forwarded: of the lines that are written, those of the severity `forward.severity` and of more severe ones.
//! As with `severity`, a line without a priority passes; the sink gets it as user.notice. Malformed lines are not
//! forwarded, nor what alerts and the breaker say.
//!
//! Nobody waits for the sink. A parser puts the frame into a queue of [`forward.shedding.max_depth`](forward_settings) lines
//! and 16 MiB, and goes on. A service of its own takes it from there, through a policy: it is shed if it has
//! waited for too long, goes by the rate, the bulkhead and the breaker, and is tried so often within its time budget. A
//! line that the rate or the breaker refuses was not tried: it stays the first in the queue until it is let through or too
//! old. The probe of a breaker that is half-open is a line like any other.
//!
//! Each line ends in one of three ways, and *matched* = *forwarded* + *shed* + *failed*:
//! - *forwarded*: all of it was written to the socket. The sink confirms nothing (what it says, as `--ack` has it do, is read
//!   and not heeded: there are sinks that say nothing, and a line that was not confirmed could come twice if it were
//!   sent again). So with a connection that breaks those lines are lost that the two systems had not
//!   handed to the sink: of this one about 512 KiB at most, and what the sink's own holds. They are counted as forwarded.
//!   A sink that hangs up is noticed before the next line is written.
//! - *shed*: it was not tried. There was no room in the queue when it came; it was too old when it had its turn; or it still
//!   waited at the end. How many of each is said on stderr.
//! - *failed*: it was tried, in vain: as often as `forward.retry` says, or until its time was over. A line of which a part is
//!   written, to a sink that takes no more for now, is not given up before it is too old: then it is shed, and its piece is
//!   the last of its connection. No frame arrives twice.
//!
//! *retried* is how many attempts were not the first of their line, *breaker_opened* how often the breaker has opened, again
//! after a probe too. The lines of one source go over one connection, in their order; when it breaks they go on over
//! another, and a sink that reads several at once may read those of the second before the rest of the first. One that takes
//! nothing for 30 s gets another connection. At the end each line that waits has one more attempt, and all together have 5 s; then the
//! sink has 1 s to hang up. See [`forward`], [`backlog`], [`forwarder`] and [`link`].
//!
//! That the breaker has opened, and that it is closed again, is said on stderr, as `breaker forward opened: closed -> open: 3
//! failures in a row`, and is an event in the store, of kind `breaker.opened` or `breaker.closed`, correlated by
//! `breaker/forward`. That it opens again after a probe is not.
//!
//! # Metrics
//!
//! With `--metrics FILE` all metrics are written into FILE as Prometheus text: at the start, each 10 s, and when all that
//! counts has stopped. Another file is put in its place each time, so who reads it finds all or nothing.
//!
//! - `collector_lines_total{severity, host, outcome}`: outcome is `parsed`, which is written, `filtered`, `malformed` or
//!   `lost`. Severity is `none` without a priority; the host is what the message says, or where it came from. Of lost
//!   lines both are `unknown`. Together they are *received*, but for lines that are found lost when all has stopped:
//!   those of who hangs at the end.
//! - `collector_handling_seconds`: from a parser's taking a line to its handing it on, to the sink and to the store, with
//!   all that it waits for. Lost ones have none.
//! - With `--forward`: `collector_forwarded_total{outcome}`, as above; `collector_forward_queued`, how many lines wait;
//!   `collector_forward_retried_total`, `collector_breaker_opened_total`; and `collector_breaker_state{state}`, which is 1 for
//!   the one of `closed`, `open` and `half_open` that it is in. Its state changes when a line comes, not by time alone.
//! - What the library knows: of each service under `underpin_service_`, of the process under `process_`.
//!
//! Anybody can say any host. A parser keeps the counters of 1,024 hosts at hand and looks those of others up; all together
//! there are 10,000 series, and the alert `series` says when it gets tight. The rest counts as `overflow="true"`. See
//! [`meter`].
//!
//! # Alerts
//!
//! The settings `alerts` say when which is raised and cleared. Each change is said on stderr, as `alert crashes raised: 3
//! restarts in 60 s`, and is an event in the store, of kind `alert.raised` or `alert.cleared`, correlated by `alert/` and
//! its name; with `--data` it is in the journal. *alerts_raised* and *alerts_cleared* is how many there were. See
//! [`alarms`].
//!
//! That too much is shed can be one, as an `error_rate` of `collector.forwarded`: `collector.toml` shows how.
//!
//! In a demonstration each crash raises one, which is cleared when there was none for 1 s. It waits for that, 5 s at most,
//! and prints what the store has of it.
//!
//! # Overload
//!
//! Full mailboxes slow TCP clients and files down. A datagram waits for a second, while the kernel
//! queues those behind it; what is dropped, here or there, is said on stderr at the end.

mod acks;
mod alarms;
mod archive;
mod args;
mod backlog;
mod bell;
mod board;
mod chaos;
mod client;
mod connection;
mod deed;
mod demo;
mod desk;
mod doors;
mod drain;
mod events;
mod foreman;
mod forward;
mod forward_settings;
mod forwarder;
mod framing;
mod gate;
mod hand;
mod hang;
mod ingest;
mod last_look;
mod ledger;
mod line;
mod link;
mod listener;
mod log;
mod medic;
mod message;
mod meter;
mod metrics;
mod outbox;
mod parser;
mod progress;
mod record;
mod relay;
mod router;
mod settings;
mod sink;
mod stats;
mod summary;
mod token;
mod tree;
mod udp;

use std::fmt::Display;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Instant;

use args::{Args, Asked, Job};
use stats::Stats;
use summary::Summary;

/// What a wrong argument ends with.
const BAD_ARGUMENTS: u8 = 2;

fn main() -> ExitCode {
    log::listen();
    let done = match args::words().and_then(Args::parse) {
        Ok(Asked::Run(args)) => run(args),
        Ok(Asked::Help) => {
            print!("{}", args::HELP);
            Ok(ExitCode::SUCCESS)
        }
        Err(wrong) => Err(wrong),
    };
    done.unwrap_or_else(|wrong| {
        tell(&wrong);
        ExitCode::from(BAD_ARGUMENTS)
    })
}

/// Says on stderr what is wrong, each line with the name of the program.
fn tell(wrong: &dyn Display) {
    wrong.to_string().lines().for_each(|line| eprintln!("collector: {line}"));
}

/// Everything from the first start to the last line. `Err` is a bad argument.
fn run(args: Args) -> Result<ExitCode, String> {
    match args.job.clone() {
        Job::Serve => serve(args),
        Job::Ingest(files) => ingest(args, files),
        Job::Demo(lines) => demo::run(args, lines),
    }
}

/// Serves until a signal comes.
fn serve(args: Args) -> Result<ExitCode, String> {
    let (started, stats) = (Instant::now(), Arc::new(Stats::default()));
    let config = settings::load(&args)?;
    let sockets = tree::bind(&config)?;
    let tree = tree::plant(&args, &config, &stats, Some(&sockets), None)?;
    summary::say(&format_args!("listening on {}", sockets.address()));
    let report = tree.foundation.wait();
    Ok(Summary::of(&stats, &tree, started.elapsed()).finish(&report))
}

/// Reads the files and exits.
fn ingest(args: Args, files: Vec<String>) -> Result<ExitCode, String> {
    let (started, stats) = (Instant::now(), Arc::new(Stats::default()));
    let config = settings::load(&args)?;
    let sources = ingest::open(&files)?;
    let tree = tree::plant(&args, &config, &stats, None, None)?;
    ingest::start(&tree, sources)?;
    let report = tree.foundation.wait();
    Ok(Summary::of(&stats, &tree, started.elapsed()).finish(&report))
}
