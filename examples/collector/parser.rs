//! A parser: frames in, outcomes out, one at a time and in order.

use std::string::FromUtf8Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use underpin::config::{Config, Reader};
use underpin::events::{Event, EventStore, NotStored, Writer};
use underpin::telemetry::Telemetry;
use underpin::{ChildSpec, Context, DeadLetter, Exit, Handle, Init, Next, Overflow, Reply, Service, child};

use crate::chaos::{crash_if_struck, is_struck};
use crate::deed;
use crate::desk::{Books, Desk, Seat};
use crate::forward::Forwarding;
use crate::framing::Frame;
use crate::hang;
use crate::line::Line;
use crate::message;
use crate::meter::{Fate, Mark, Meter};
use crate::record;
use crate::relay;
use crate::router::{self, Gone};
use crate::settings::Settings;
use crate::sink::{self, Outcome};
use crate::token::Token;

/// How many frames wait for one parser. Times the longest line, this bounds its memory.
const QUEUE: usize = 512;
/// How long a sender is blocked at a time. A patient one tries again.
const PATIENCE: Duration = Duration::from_secs(1);
/// What a parser is called, before its number.
pub(crate) const NAME: &str = "parser-";

/// What a parser is told.
pub(crate) enum Msg {
    /// Parse this.
    Line(Line),
    /// Answer when everything before this is done, and on its way into the store.
    Barrier(Reply<()>),
}

/// What the incarnations of one parser share.
pub(crate) struct Place {
    pub(crate) desk: Arc<Desk>,
    /// Crash while the next frame is handled.
    pub(crate) crash: AtomicBool,
    /// Hang while the next frame is handled.
    pub(crate) hang: AtomicBool,
}

/// What every parser works with.
#[derive(Clone)]
pub(crate) struct Tools {
    pub(crate) sink: Handle<sink::Msg>,
    pub(crate) config: Config<Settings>,
    pub(crate) store: EventStore,
    pub(crate) telemetry: Telemetry,
    /// Whether anybody will read the JSON.
    pub(crate) records: bool,
    /// With `--forward`.
    pub(crate) forwarding: Option<Arc<Forwarding>>,
}

/// A parser. It has no state but its surroundings and what its writer has not sent yet, which is sent however
/// it ends: so an end costs nothing but the line in hand.
pub(crate) struct Parser {
    place: Arc<Place>,
    seat: Seat,
    sink: Handle<sink::Msg>,
    writer: Writer,
    settings: Reader<Settings>,
    meter: Meter,
    records: bool,
    forwarding: Option<Arc<Forwarding>>,
    /// Who speaks in the line at hand.
    speaker: String,
}

/// Describes the parser that works at this place.
pub(crate) fn spec(index: usize, place: Arc<Place>, tools: Tools) -> ChildSpec<Parser> {
    let books = place.desk.books().clone();
    child(format!("{NAME}{index}"), move || {
        place.hang.store(false, Ordering::Relaxed); // that was for the last one
        let Tools { sink, config, store, telemetry, records, forwarding } = &tools;
        Parser {
            place: Arc::clone(&place),
            seat: place.desk.sit_down(),
            sink: sink.clone(),
            writer: store.writer(),
            settings: config.reader(),
            meter: Meter::new(telemetry),
            records: *records,
            forwarding: forwarding.clone(),
            speaker: String::new(),
        }
    })
    .capacity(QUEUE)
    .overflow(Overflow::Block(PATIENCE))
    .on_dead_letter(move |letter| count_left(&books, &letter))
}

/// Counts a line that was left in the queue.
fn count_left(books: &Books, letter: &DeadLetter<Msg>) {
    if let Msg::Line(_) = letter.message {
        books.leave();
    }
}

/// What has come of a line: for the sink, for the store, for the metrics, and for the sink downstream.
struct Product {
    outcome: Outcome,
    event: Option<Event>,
    mark: Mark,
    frame: Option<Vec<u8>>,
}

impl Parser {
    /// What comes of a frame.
    fn product(&mut self, frame: Frame, from: &str) -> Product {
        let event = match frame {
            Frame::Broken(fault) => Some(deed::of_fault(from, fault)),
            Frame::Line(bytes) => match text_of(bytes) {
                Ok(text) if text.trim().is_empty() => None,
                Ok(text) => return self.parse(text, from),
                Err(bytes) => Some(deed::of_bytes(from, bytes)),
            },
        };
        let mark = self.meter.mark(None, from, Fate::Malformed);
        Product { outcome: Outcome::Malformed, event, mark, frame: None }
    }

    fn parse(&mut self, text: String, from: &str) -> Product {
        let message = message::of(&text);
        let is_wanted = self.settings.get().severity.lets_pass(message.severity);
        let fate = if is_wanted { Fate::Parsed } else { Fate::Filtered };
        let mark = self.meter.mark(message.severity, deed::host_of(&message, from), fate);
        if !is_wanted {
            return Product { outcome: Outcome::Filtered, event: None, mark, frame: None };
        }
        let record = if self.records { record::json_of(&message) } else { Vec::new() };
        deed::speaker_of(&message, from, &mut self.speaker);
        let kind = deed::kind_of(&message);
        let is_to_go =
            self.forwarding.is_some() && self.settings.get().forward.severity.lets_pass(message.severity);
        let frame = is_to_go.then(|| relay::frame_of(&message, from, &text));
        let event = Some(deed::of_text(kind, &self.speaker, text));
        Product { outcome: Outcome::Parsed(record), event, mark, frame }
    }

    /// A line in, an outcome out. One that was abandoned meanwhile sends nothing: the cast is refused,
    /// and if it was under way before, the sink finds that the slip is void.
    ///
    /// It is counted, stored and forwarded last: by then it is certain that it does not count as lost.
    fn take(&mut self, line: Line) -> Result<(), Gone> {
        let taken = Instant::now();
        let Some(slip) = self.seat.take_up() else { return Ok(()) };
        self.meet_chaos();
        let Product { outcome, event, mark, frame } = self.product(line.frame, &line.from.name);
        router::cast_patiently(&self.sink, sink::Msg::Outcome(slip, outcome))?;
        if self.seat.passed_on() {
            self.meter.count(&mark);
            self.forward(frame, line.from.number);
            if let Some(event) = event {
                self.store(event, line.token);
            }
            self.meter.time(taken);
        }
        Ok(())
    }

    /// Never blocks.
    fn forward(&mut self, frame: Option<Vec<u8>>, source: u64) {
        if let (Some(forwarding), Some(frame)) = (&self.forwarding, frame) {
            forwarding.offer(source, frame, self.settings.get().forward.shedding.max_depth);
        }
    }

    /// With the next batch. That a batch was refused shows in the end: more was kept than is stored.
    fn store(&mut self, event: Event, token: Option<Token>) {
        self.place.desk.stats().kept.up();
        let stored = match token {
            Some(token) => self.writer.store_with(event, token.into_receipt()),
            None => self.writer.store(event),
        };
        tell_if_refused(stored);
    }

    /// The crash point of `--chaos` and the point at which it hangs with `--hang`: the line is in
    /// hand, its outcome is not recorded.
    fn meet_chaos(&self) {
        crash_if_struck(&self.place.crash);
        if is_struck(&self.place.hang) {
            self.place.desk.stats().hung.up();
            hang::wait_in_vain();
        }
    }
}

fn tell_if_refused(stored: Result<(), NotStored>) {
    if let Err(NotStored { why, events, .. }) = stored {
        eprintln!("collector: {} lines are not stored: {why}", events.len());
    }
}

impl Service for Parser {
    type Msg = Msg;
    type Error = Gone;

    fn init(&mut self, cx: &mut Context<Self>) -> Result<Init, Gone> {
        self.seat.start_work(cx.fence());
        Ok(Init::Ready)
    }

    fn handle(&mut self, msg: Msg, _: &mut Context<Self>) -> Result<Next, Gone> {
        match msg {
            Msg::Barrier(reply) => {
                tell_if_refused(self.writer.flush());
                reply.send(());
            }
            Msg::Line(line) => self.take(line)?,
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
            Msg::Line(_) => "frame",
            Msg::Barrier(_) => "barrier",
        }
    }
}

/// The text of a line, without its end; or what it is, without its end, if it is no text.
fn text_of(mut bytes: Vec<u8>) -> Result<String, Vec<u8>> {
    let end = bytes.iter().rposition(|byte| !b"\n\r\0".contains(byte)).map_or(0, |last| last + 1);
    bytes.truncate(end);
    if bytes.contains(&0) {
        return Err(bytes);
    }
    String::from_utf8(bytes).map_err(FromUtf8Error::into_bytes)
}

#[cfg(test)]
mod tests {
    use super::text_of;

    #[test]
    fn text_is_utf8_without_nul_and_what_is_none_stays_as_it_is() {
        let text = |text: &str| Ok(text.to_owned());
        assert_eq!(text_of(b"<13>a\r\n".to_vec()), text("<13>a"));
        assert_eq!(text_of(b"<13>a\n\0".to_vec()), text("<13>a"));
        assert_eq!(text_of(b" \t\r\n".to_vec()), text(" \t"));
        assert_eq!(text_of(Vec::new()), text(""));
        assert_eq!(text_of(b"a\0b\n".to_vec()), Err(b"a\0b".to_vec()));
        assert_eq!(text_of(b"caf\xe9\r\n".to_vec()), Err(b"caf\xe9".to_vec()));
    }
}
