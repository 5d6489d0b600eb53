//! A parser: frames in, outcomes out, one at a time and in order.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use underpin::{ChildSpec, Context, Handle, Next, Overflow, Reply, Service, child};

use crate::desk::Desk;
use crate::framing::Frame;
use crate::message;
use crate::record;
use crate::router::{self, Gone};
use crate::sink::{self, Outcome};

/// How many frames wait for one parser. Times the longest line, this bounds its memory.
const QUEUE: usize = 512;
/// How long a sender is blocked at a time. A patient one tries again.
const PATIENCE: Duration = Duration::from_secs(1);
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
    pub(crate) doomed: AtomicBool,
}

/// A parser. It has no state but its surroundings, so a crash costs nothing but the line in hand.
pub(crate) struct Parser {
    place: Arc<Place>,
    sink: Handle<sink::Msg>,
    /// Whether anybody will read the JSON.
    records: bool,
}

/// Describes the parser that works at this place.
pub(crate) fn spec(
    index: usize,
    place: Arc<Place>,
    sink: Handle<sink::Msg>,
    records: bool,
) -> ChildSpec<Parser> {
    let stats = place.desk.stats();
    child(format!("parser-{index}"), move || {
        place.desk.sit_down();
        Parser { place: Arc::clone(&place), sink: sink.clone(), records }
    })
    .capacity(QUEUE)
    .overflow(Overflow::Block(PATIENCE))
    .on_dead_letter(move |_| stats.abandoned.up())
}

impl Parser {
    fn outcome(&self, frame: Frame) -> Outcome {
        let Frame::Line(bytes) = frame else { return Outcome::Malformed };
        let Some(text) = text_of(&bytes) else { return Outcome::Malformed };
        let message = message::of(text);
        Outcome::Parsed(if self.records { record::json_of(&message) } else { Vec::new() })
    }

    /// The crash point of `--chaos`: the line is in hand, its outcome is not recorded.
    fn meet_chaos(&self) {
        if self.place.doomed.load(Ordering::Relaxed) && self.place.doomed.swap(false, Ordering::Relaxed) {
            // Not `panic!`: that would print a message for each.
            std::panic::resume_unwind(Box::new(CHAOS));
        }
    }
}

impl Service for Parser {
    type Msg = Msg;
    type Error = Gone;

    fn handle(&mut self, msg: Msg, _: &mut Context<Self>) -> Result<Next, Gone> {
        match msg {
            Msg::Barrier(reply) => reply.send(()),
            Msg::Frame(frame) => {
                self.place.desk.take_up();
                self.meet_chaos();
                router::cast_patiently(&self.sink, sink::Msg::Outcome(self.outcome(frame)))?;
                self.place.desk.done();
            }
        }
        Ok(Next::Continue)
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
