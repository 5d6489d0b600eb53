//! The sink: counts outcomes and writes records.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::MetadataExt;
use std::sync::Arc;
use std::time::Duration;

use underpin::{ChildSpec, Context, DeadLetter, Exit, Init, Next, Overflow, Reply, Service, child};

use crate::desk::{Books, Desk, Seat, Slip};
use crate::stats::Stats;

/// How many outcomes wait for the sink.
const QUEUE: usize = 512;
/// How long a parser is blocked at a time. It tries again.
const PATIENCE: Duration = Duration::from_secs(1);
/// How many bytes are written at once, at most.
const BUFFER: usize = 64 * 1024;
/// How long a record may stay in the buffer.
const STALE: Duration = Duration::from_millis(200);

/// What the sink is told.
pub(crate) enum Msg {
    /// A line is done, unless whoever did it was given up before.
    Outcome(Slip, Outcome),
    /// Write out what is buffered.
    Flush,
    /// Write out what is buffered, and answer when everything before this is done.
    Barrier(Reply<()>),
}

/// What became of a line.
pub(crate) enum Outcome {
    /// A line of JSON, or nothing if there is no output.
    Parsed(Vec<u8>),
    /// Parsed, and not severe enough to be written.
    Filtered,
    Malformed,
}

/// The state of the sink.
pub(crate) struct Sink {
    stats: Arc<Stats>,
    seat: Seat,
    output: Option<BufWriter<File>>,
    flushes: bool,
}

/// Empties the output, or says why it cannot be written. What is also read is left as it is.
pub(crate) fn prepare<'a>(path: &str, mut read: impl Iterator<Item = &'a String>) -> Result<(), String> {
    if let Some(file) = read.find(|file| is_same(path, file)) {
        return Err(format!("--out: {path}: it is also read, as {file}"));
    }
    File::create(path).map(drop).map_err(|error| format!("--out: {path}: {error}"))
}

/// Whether two paths lead to one file.
pub(crate) fn is_same(a: &str, b: &str) -> bool {
    let identity = |path| fs::metadata(path).map(|file| (file.dev(), file.ino(), file.is_file()));
    matches!((identity(a), identity(b)), (Ok(a), Ok(b)) if a == b && a.2)
}

/// Describes the sink. It appends to `path`: a restart continues.
pub(crate) fn spec(desk: &Arc<Desk>, path: Option<String>) -> ChildSpec<Sink> {
    let (stats, books, desk) = (Arc::clone(desk.stats()), desk.books().clone(), Arc::clone(desk));
    child("sink", move || {
        let seat = desk.sit_down();
        Sink::open(&stats, seat, path.as_deref())
    })
    .capacity(QUEUE)
    .overflow(Overflow::Block(PATIENCE))
    .on_dead_letter(move |letter| count_left(&books, &letter))
}

/// Counts a line that was left in the queue. One that is void is counted already.
fn count_left(books: &Books, letter: &DeadLetter<Msg>) {
    if let Msg::Outcome(slip, _) = &letter.message
        && slip.answer()
    {
        books.leave();
    }
}

impl Sink {
    fn open(stats: &Arc<Stats>, seat: Seat, path: Option<&str>) -> io::Result<Self> {
        let file = path.map(|path| OpenOptions::new().append(true).open(path)).transpose()?;
        let output = file.map(|file| BufWriter::with_capacity(BUFFER, file));
        Ok(Self { stats: Arc::clone(stats), seat, output, flushes: false })
    }

    /// Writes and counts, unless it is too late for that: then the line is counted as lost.
    fn take(&mut self, slip: &Slip, outcome: Outcome) {
        if !slip.answer() {
            return;
        }
        let Some(own) = self.seat.take_up() else { return };
        if let Outcome::Parsed(record) = &outcome {
            self.write(record);
        }
        if own.answer() {
            self.count(&outcome);
        }
    }

    fn count(&self, outcome: &Outcome) {
        if let Outcome::Filtered = outcome {
            self.stats.filtered.up();
        }
        let counter = match outcome {
            Outcome::Parsed(_) | Outcome::Filtered => &self.stats.parsed,
            Outcome::Malformed => &self.stats.malformed,
        };
        counter.up();
    }

    /// A record that cannot be written is counted, and the sink goes on: a full disk is no reason
    /// to refuse what comes in.
    fn write(&mut self, record: &[u8]) {
        let Some(output) = &mut self.output else { return };
        let written = output.write_all(record);
        self.check(written);
    }

    fn flush(&mut self) {
        self.flushes = false;
        let Some(output) = &mut self.output else { return };
        let flushed = output.flush();
        self.check(flushed);
    }

    fn check(&self, written: io::Result<()>) {
        if let Err(error) = written {
            if self.stats.unwritten.get() == 0 {
                eprintln!("collector: --out: {error}");
            }
            self.stats.unwritten.up();
        }
    }

    fn flush_soon(&mut self, cx: &mut Context<Self>) {
        if self.output.is_some() && !self.flushes {
            self.flushes = true;
            cx.send_after(STALE, Msg::Flush);
        }
    }
}

impl Service for Sink {
    type Msg = Msg;
    type Error = io::Error;

    fn init(&mut self, cx: &mut Context<Self>) -> io::Result<Init> {
        self.seat.start_work(cx.fence());
        Ok(Init::Ready)
    }

    fn handle(&mut self, msg: Msg, cx: &mut Context<Self>) -> io::Result<Next> {
        match msg {
            Msg::Outcome(slip, outcome) => {
                self.take(&slip, outcome);
                self.flush_soon(cx);
            }
            Msg::Flush => self.flush(),
            Msg::Barrier(reply) => {
                self.flush();
                reply.send(());
            }
        }
        Ok(Next::Continue)
    }

    fn terminate(&mut self, exit: &Exit) {
        if exit.is_calm() {
            self.seat.stop_work();
        }
    }

    fn label(msg: &Msg) -> &'static str {
        match msg {
            Msg::Outcome(..) => "outcome",
            Msg::Flush => "flush",
            Msg::Barrier(_) => "barrier",
        }
    }
}
