//! A parser: frames in, outcomes out, one at a time and in order.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use underpin::config::{Config, Reader};
use underpin::{ChildSpec, Context, DeadLetter, Exit, Handle, Init, Next, Overflow, Reply, Service, child};

use crate::desk::{Desk, Seat};
use crate::framing::Frame;
use crate::hang;
use crate::message;
use crate::record;
use crate::router::{self, Gone};
use crate::settings::Settings;
use crate::sink::{self, Outcome};
use crate::stats::Stats;

/// How many frames wait for one parser. Times the longest line, this bounds its memory.
const QUEUE: usize = 512;
/// How long a sender is blocked at a time. A patient one tries again.
const PATIENCE: Duration = Duration::from_secs(1);
/// What a parser is called, before its number.
pub(crate) const NAME: &str = "parser-";
/// What a crash by chaos says. It is not reported.
pub(crate) const CHAOS: &str = "chaos";

/// What a parser is told.
pub(crate) enum Msg {
    /// Parse this.
    Frame(Frame),
    /// Answer when everything before this is done.
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

/// A parser. It has no state but its surroundings, so an end costs nothing but the line in hand.
pub(crate) struct Parser {
    place: Arc<Place>,
    seat: Seat,
    sink: Handle<sink::Msg>,
    settings: Reader<Settings>,
    /// Whether anybody will read the JSON.
    records: bool,
}

/// Describes the parser that works at this place.
pub(crate) fn spec(
    index: usize,
    place: Arc<Place>,
    sink: Handle<sink::Msg>,
    config: Config<Settings>,
    records: bool,
) -> ChildSpec<Parser> {
    let stats = Arc::clone(place.desk.stats());
    child(format!("{NAME}{index}"), move || {
        place.hang.store(false, Ordering::Relaxed); // that was for the last one
        let (seat, settings) = (place.desk.sit_down(), config.reader());
        Parser { place: Arc::clone(&place), seat, sink: sink.clone(), settings, records }
    })
    .capacity(QUEUE)
    .overflow(Overflow::Block(PATIENCE))
    .on_dead_letter(move |letter| count_left(&stats, &letter))
}

/// Counts a line that was left in the queue.
fn count_left(stats: &Stats, letter: &DeadLetter<Msg>) {
    if let Msg::Frame(_) = letter.message {
        stats.left.up();
    }
}

impl Parser {
    fn outcome(&mut self, frame: Frame) -> Outcome {
        let Frame::Line(bytes) = frame else { return Outcome::Malformed };
        let Some(text) = text_of(&bytes) else { return Outcome::Malformed };
        let message = message::of(text);
        if !self.settings.get().severity.lets_pass(message.severity) {
            return Outcome::Filtered;
        }
        Outcome::Parsed(if self.records { record::json_of(&message) } else { Vec::new() })
    }

    /// A line in, an outcome out. One that was abandoned meanwhile sends nothing: the cast is refused,
    /// and if it was under way before, the sink finds that the slip is void.
    fn take(&mut self, frame: Frame) -> Result<(), Gone> {
        let Some(slip) = self.seat.take_up() else { return Ok(()) };
        self.meet_chaos();
        let outcome = self.outcome(frame);
        router::cast_patiently(&self.sink, sink::Msg::Outcome(slip, outcome))?;
        self.seat.passed_on();
        Ok(())
    }

    /// The crash point of `--chaos` and the point at which it hangs with `--hang`: the line is in
    /// hand, its outcome is not recorded.
    fn meet_chaos(&self) {
        if is_due(&self.place.crash) {
            // Not `panic!`: that would print a message for each.
            std::panic::resume_unwind(Box::new(CHAOS));
        }
        if is_due(&self.place.hang) {
            self.place.desk.stats().hung.up();
            hang::wait_in_vain();
        }
    }
}

fn is_due(strike: &AtomicBool) -> bool {
    strike.load(Ordering::Relaxed) && strike.swap(false, Ordering::Relaxed)
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
            Msg::Barrier(reply) => reply.send(()),
            Msg::Frame(frame) => self.take(frame)?,
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
            Msg::Frame(_) => "frame",
            Msg::Barrier(_) => "barrier",
        }
    }
}

/// The text of a line, without its end; `None` if it is none.
fn text_of(bytes: &[u8]) -> Option<&str> {
    let text = std::str::from_utf8(bytes).ok()?.trim_end_matches(['\n', '\r', '\0']);
    (!text.contains('\0') && !text.trim().is_empty()).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::text_of;

    #[test]
    fn text_is_utf8_without_nul_and_not_blank() {
        assert_eq!(text_of(b"<13>a\r\n"), Some("<13>a"));
        assert_eq!(text_of(b"<13>a\n\0"), Some("<13>a"));
        for not_text in [&b""[..], b"\n", b" \t\r\n", b"a\0b", b"caf\xe9"] {
            assert_eq!(text_of(not_text), None, "{not_text:?}");
        }
    }
}
