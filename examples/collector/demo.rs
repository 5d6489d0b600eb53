//! A demonstration: numbered lines through real connections under chaos, and what became of each.

use std::fs::File;
use std::io::{self, BufRead, BufReader, BufWriter, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::{Duration, Instant};

use underpin::events::Entry;
use underpin::{ALERT_CLEARED, ShutdownReport};

use crate::args::Args;
use crate::settings;
use crate::stats::Stats;
use crate::summary::{self, Summary};
use crate::tree;

/// How many clients send. Every other one counts octets.
const CLIENTS: u64 = 4;
/// How long the alerts that its crashes raise may take to be cleared.
const CLEARED: Duration = Duration::from_secs(5);
/// What precedes the number in each line.
const MARK: &str = "number=";

/// Runs the demonstration. The output goes where `--out` says, else to a file that is removed.
pub(crate) fn run(mut args: Args, lines: u64) -> Result<ExitCode, String> {
    let scratch = Scratch::unless(args.out.as_deref());
    let out = args.out.get_or_insert_with(|| scratch.path()).clone();
    let stats = Arc::new(Stats::default());
    let config = settings::load(&args)?;
    let doors = tree::bind(&config)?;
    let (shown, alerts) = mpsc::channel();
    let tree = tree::plant(&args, &config, &stats, Some(&doors), Some(shown))?;
    let started = Instant::now();
    let (address, stopper, counts) = (doors.address(), tree.foundation.stopper(), Arc::clone(&stats));
    let clients = thread::spawn(move || {
        let all_sent = send(address, lines);
        let took = started.elapsed();
        let alerts = if all_sent { wait_until_cleared(&alerts, &counts) } else { Vec::new() };
        stopper.stop_because("all is sent");
        (all_sent, took, alerts)
    });
    let report = tree.foundation.wait();
    let (all_sent, took, alerts) = clients.join().unwrap_or_default();
    let summary = Summary::of(&stats, &tree, took);
    let check = Check::of(&out, lines).map_err(|error| format!("--out: {out}: {error}"))?;
    let good = check.tell(lines, &summary, &stats, &report, all_sent);
    alerts.iter().for_each(tell_alert);
    let status = summary.finish(&report);
    Ok(if good { status } else { ExitCode::FAILURE })
}

/// A file for the output, removed in the end.
struct Scratch(Option<PathBuf>);

impl Scratch {
    fn unless(out: Option<&str>) -> Self {
        let name = format!("collector-demo-{}.jsonl", std::process::id());
        Self(out.is_none().then(|| std::env::temp_dir().join(name)))
    }

    fn path(&self) -> String {
        self.0.as_deref().map(|path| path.display().to_string()).unwrap_or_default()
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if let Some(path) = &self.0 {
            let _ = std::fs::remove_file(path);
        }
    }
}

// ---- the clients -----------------------------------------------------------------------------

/// Sends all lines, and waits until the collector has read them.
fn send(address: SocketAddr, lines: u64) -> bool {
    let clients: Vec<_> =
        (0..CLIENTS).map(|client| thread::spawn(move || be_client(address, client, lines))).collect();
    let outcomes: Vec<_> = clients.into_iter().map(thread::JoinHandle::join).collect();
    outcomes.iter().all(|outcome| matches!(outcome, Ok(Ok(()))))
}

/// Sends every fourth line. Ends when the collector has closed its end: then it has read all.
fn be_client(address: SocketAddr, client: u64, lines: u64) -> io::Result<()> {
    let mut stream = TcpStream::connect(address)?;
    let mut writer = BufWriter::with_capacity(64 * 1024, &stream);
    for number in (client..lines).step_by(CLIENTS as usize) {
        let line = line(number);
        match client % 2 {
            0 => writeln!(writer, "{line}")?,
            _ => write!(writer, "{} {line}", line.len())?,
        }
    }
    writer.flush()?;
    drop(writer);
    stream.shutdown(Shutdown::Write)?;
    io::copy(&mut stream, &mut io::sink()).map(drop) // it may be told what is durable
}

/// Half of each client's lines are RFC 5424, half RFC 3164.
fn line(number: u64) -> String {
    if (number / CLIENTS).is_multiple_of(2) {
        format!("<134>1 2026-01-01T00:00:00Z host demo 42 - - {MARK}{number}")
    } else {
        format!("<134>Jan  1 00:00:00 host demo[42]: {MARK}{number}")
    }
}

// ---- the alerts ------------------------------------------------------------------------------

/// Waits until what its crashes have raised is cleared, if there were any. Returns what the store has of it.
fn wait_until_cleared(shown: &Receiver<Entry>, stats: &Stats) -> Vec<Entry> {
    let until = Instant::now() + CLEARED;
    let mut alerts: Vec<Entry> = shown.try_iter().collect();
    while stats.crashes.get() > 0 && !is_cleared(&alerts) {
        match shown.recv_timeout(until.saturating_duration_since(Instant::now())) {
            Ok(entry) => alerts.push(entry),
            Err(_) => break,
        }
    }
    alerts
}

/// Of crashes: hangs, if it is to have some, raise an alert that takes longer.
fn is_cleared(alerts: &[Entry]) -> bool {
    let of_crashes = |entry: &&Entry| entry.correlation().to_string() == "alert/crashes";
    alerts.iter().rfind(of_crashes).is_some_and(|last| last.kind() == ALERT_CLEARED)
}

/// When, of which kind, and the value that decided.
fn tell_alert(entry: &Entry) {
    let field = |name| entry.data().as_json().and_then(|data| data.get(name)).cloned().unwrap_or_default();
    let alert = field("alert");
    summary::say(&format_args!(
        "{} {} {} at {}, threshold {}",
        entry.time_text(),
        entry.kind(),
        alert.as_str().unwrap_or_default(),
        field("value"),
        field("threshold"),
    ));
}

// ---- the check -------------------------------------------------------------------------------

/// Which numbers came out.
#[derive(Default)]
struct Check {
    seen: Vec<bool>,
    last_of: [Option<u64>; CLIENTS as usize],
    out: u64,
    twice: u64,
    unknown: u64,
    out_of_order: u64,
}

impl Check {
    fn of(path: &str, lines: u64) -> io::Result<Self> {
        let mut check = Self { seen: vec![false; lines as usize], ..Self::default() };
        for record in BufReader::new(File::open(path)?).split(b'\n') {
            check.see(number_of(&record?));
        }
        Ok(check)
    }

    fn see(&mut self, number: Option<u64>) {
        let known = number.and_then(|number| Some((number, self.seen.get_mut(number as usize)?)));
        let Some((number, seen)) = known else {
            self.unknown += 1;
            return;
        };
        let before = self.last_of[(number % CLIENTS) as usize].replace(number);
        self.out += 1;
        self.twice += u64::from(std::mem::replace(seen, true));
        self.out_of_order += u64::from(before > Some(number));
    }

    /// Says what was found. Whether it is as it must be.
    fn tell(
        &self,
        lines: u64,
        summary: &Summary<'_>,
        stats: &Stats,
        report: &ShutdownReport,
        all_sent: bool,
    ) -> bool {
        let filtered = match stats.filtered.get() {
            0 => String::new(),
            filtered => format!("{filtered} filtered, "),
        };
        let missing = lines - (self.out - self.twice).min(lines);
        summary::say(&format_args!(
            "{lines} lines, {} came out, {missing} missing ({filtered}{} lost in {} crashes, {} abandoned), {} twice, {} out of order, {} unknown",
            self.out,
            summary.lost(),
            stats.crashes.get(),
            report.abandoned,
            self.twice,
            self.out_of_order,
            self.unknown,
        ));
        if !all_sent {
            eprintln!("collector: the demonstration was interrupted: not all was sent");
        }
        let filtered = stats.filtered.get();
        let is_whole =
            self.out + filtered == stats.parsed.get() && (missing == summary.lost() + filtered || !all_sent);
        is_whole && self.twice + self.out_of_order + self.unknown == 0
    }
}

/// The number in a record of the output.
fn number_of(record: &[u8]) -> Option<u64> {
    let record: serde_json::Value = serde_json::from_slice(record).ok()?;
    record.get("message")?.as_str()?.strip_prefix(MARK)?.parse().ok()
}
