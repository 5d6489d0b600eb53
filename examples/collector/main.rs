//! A syslog collector: the kind of synchronous daemon that `underpin` is for.
//!
//! ```text
//! cargo run --release --example collector -- [--listen 127.0.0.1:5514] [--workers 2] [--out FILE]
//!     [--chaos EVERY_MS] [--hang EVERY_MS] [--demo [LINES]] [FILE ...]
//! ```
//!
//! It takes syslog over TCP (RFC 6587, octet counting and newline framing) and over UDP, on one
//! port, in the formats of RFC 5424 and RFC 3164. Try it with `logger --server 127.0.0.1 --tcp
//! --port 5514 hello`.
//!
//! ```text
//! collector
//! ├── medic               if some are to hang: has parsers that are stuck given up and replaced
//! ├── pipeline            restarts its parsers for as long as it runs, also while all else stops
//! │   ├── sink            writes and counts
//! │   └── parser-0 ..     one line at a time; a crash costs the line in hand
//! ├── drain               stopped after intake, before pipeline: waits until the queues are empty
//! ├── intake
//! │   ├── connections     dynamic: one temporary service for each TCP client
//! │   ├── udp
//! │   ├── listener
//! │   └── gate            the last to start, so the first to stop: wakes the two above
//! ├── chaos               crashes parsers, if asked to
//! └── hangs               has parsers hang, if asked to
//! ```
//!
//! Children stop in the reverse of this order, and that order is the orderly shutdown: shut the
//! doors, read what has arrived, let the queues run empty, flush. What was accepted is not lost.
//!
//! # What counts as what
//!
//! - *received*: a line, frame or datagram that was handed to a parser.
//! - *malformed*: not text (not UTF-8, or with a NUL in it), empty, over 64 KiB, or cut off before
//!   the end that its octet count announced. Everything else is *parsed*: a line without a priority
//!   is a message without one, as RFC 3164 has it, so any text log can be read.
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
//! # Overload
//!
//! Full mailboxes slow TCP clients and files down. A datagram waits for a second, while the kernel
//! queues those behind it; what is dropped, here or there, is said on stderr at the end.

mod args;
mod chaos;
mod connection;
mod demo;
mod desk;
mod doors;
mod drain;
mod events;
mod framing;
mod gate;
mod hand;
mod hang;
mod ingest;
mod listener;
mod medic;
mod message;
mod parser;
mod progress;
mod record;
mod router;
mod sink;
mod stats;
mod summary;
mod tree;
mod udp;

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Instant;

use args::{Args, Asked, Job};
use stats::Stats;
use summary::Summary;

/// What a wrong argument ends with.
const BAD_ARGUMENTS: u8 = 2;

fn main() -> ExitCode {
    let done = match args::words().and_then(Args::parse) {
        Ok(Asked::Run(args)) => run(args),
        Ok(Asked::Help) => {
            print!("{}", args::HELP);
            Ok(ExitCode::SUCCESS)
        }
        Err(wrong) => Err(wrong),
    };
    done.unwrap_or_else(|wrong| {
        eprintln!("collector: {wrong}");
        ExitCode::from(BAD_ARGUMENTS)
    })
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
    let sockets = tree::bind(args.listen)?;
    let tree = tree::plant(&args, &stats, Some(&sockets))?;
    summary::say(&format_args!("listening on {}", sockets.address()));
    let report = tree.foundation.wait();
    Ok(Summary::of(&stats, &tree.desks, started.elapsed()).finish(&report))
}

/// Reads the files and exits.
fn ingest(args: Args, files: Vec<String>) -> Result<ExitCode, String> {
    let (started, stats) = (Instant::now(), Arc::new(Stats::default()));
    let sources = ingest::open(&files)?;
    let tree = tree::plant(&args, &stats, None)?;
    ingest::start(&tree, sources)?;
    let report = tree.foundation.wait();
    Ok(Summary::of(&stats, &tree.desks, started.elapsed()).finish(&report))
}
