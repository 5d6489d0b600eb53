//! One TCP client.

use std::io::{self, ErrorKind, Read};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::{Duration, Instant};

use underpin::{ChildSpec, Context, Exit, Init, Next, Restart, Service, Wait, child};

use crate::board::Board;
use crate::client::Client;
use crate::framing::{Decoder, Frame};
use crate::line::{Line, Source};
use crate::router::{Route, Router};

/// It decodes and hands on, no more; and there may be thousands.
const STACK: usize = 256 * 1024;
/// How long one read may block: so long a connection does not hear that it is stopped.
const BLOCK: Duration = Duration::from_secs(1);
/// After a stop, a client that is silent for so long is not in the midst of anything.
const SILENCE: Duration = Duration::from_millis(100);
/// And one that is not silent is heard no longer than this.
const LINGER: Duration = Duration::from_secs(2);

/// How long a client that has hung up on its side is told what becomes of its last lines.
const FAREWELL: Duration = Duration::from_secs(10);

/// The only message: read some more. The connection sends it to itself, as a timer that is due at
/// once, so that a stop gets in between.
pub(crate) struct More;

/// Reads a client's lines until it has no more.
pub(crate) struct Connection {
    source: Arc<Source>,
    stream: Arc<TcpStream>,
    route: Route,
    /// It is told how many of its lines are durable.
    client: Option<Arc<Client>>,
    /// When it is told no more.
    leaves: Option<Instant>,
    decoder: Decoder,
    over: bool,
}

/// Describes the service of one connection. It is not restarted: the client has to call again. With a
/// board, the client is told how many of its lines are durable.
pub(crate) fn spec(
    number: u64,
    stream: TcpStream,
    router: &Router,
    board: Option<&Board>,
) -> ChildSpec<Connection> {
    let (stream, router) = (Arc::new(stream), router.clone());
    let source = source_of(number, &stream);
    let client = board.map(|board| Client::new(&stream, board));
    child(format!("connection-{number}"), move || Connection {
        source: Arc::clone(&source),
        stream: Arc::clone(&stream),
        route: router.route(),
        client: client.clone(),
        leaves: None,
        decoder: Decoder::new(),
        over: false,
    })
    .restart(Restart::Temporary)
    .capacity(1)
    .stack_size(STACK)
    .wait(Wait::Park)
}

fn source_of(number: u64, stream: &TcpStream) -> Arc<Source> {
    match stream.peer_addr() {
        Ok(peer) => Source::new(number, &peer.ip()),
        Err(_) => Source::new(number, &"unknown"), // it has hung up already
    }
}

/// What a read has come to.
#[derive(PartialEq)]
enum Heard {
    Something,
    Nothing,
}

impl Connection {
    /// Reads once, and hands on what that completes.
    fn read(&mut self) -> Heard {
        match (&*self.stream).read(self.decoder.space()) {
            Ok(0) => self.end(Decoder::finish),
            Ok(bytes) => {
                self.decoder.filled(bytes);
                self.decoder.limit(self.route.max_line()); // as it is now, not before the wait
                while let Some(frame) = self.decoder.next() {
                    self.hand_on(frame);
                }
            }
            Err(error) if is_silence(&error) => {
                self.route.turn();
                return Heard::Nothing;
            }
            Err(_) => self.end(Decoder::abort),
        }
        Heard::Something
    }

    fn end(&mut self, rest: fn(&mut Decoder) -> Option<Frame>) {
        self.over = true;
        if let Some(frame) = rest(&mut self.decoder) {
            self.hand_on(frame);
        }
    }

    fn hand_on(&mut self, frame: Frame) {
        let token = self.client.as_ref().map(Client::token);
        let line = Line { frame, from: Arc::clone(&self.source), token };
        // Without parsers there is nobody to hand on to, and the pipeline says so itself.
        self.over |= self.route.send(line).is_err();
    }

    /// Whether the client knows what became of its lines, or nobody tells it. Waits a while for that.
    fn has_taken_leave(&mut self) -> bool {
        let Some(client) = &self.client else { return true };
        let until = *self.leaves.get_or_insert_with(|| Instant::now() + FAREWELL);
        let left = until.saturating_duration_since(Instant::now());
        let is_settled = client.is_settled_within(left.min(BLOCK));
        if is_settled || left <= BLOCK {
            client.hang_up();
        }
        is_settled || left <= BLOCK
    }

    /// Reads what the client has sent before the stop: a part of that may still be in the client's
    /// buffers, because ours were full.
    fn read_the_rest(&mut self) -> io::Result<()> {
        if self.over {
            return Ok(());
        }
        self.stream.set_read_timeout(Some(SILENCE))?;
        let until = Instant::now() + LINGER;
        while !self.over && Instant::now() < until && self.read() == Heard::Something {}
        if !self.over {
            self.end(Decoder::abort);
        }
        Ok(())
    }
}

/// Whether there was nothing to read.
fn is_silence(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted)
}

impl Service for Connection {
    type Msg = More;
    type Error = io::Error;

    fn init(&mut self, cx: &mut Context<Self>) -> io::Result<Init> {
        self.stream.set_read_timeout(Some(BLOCK))?;
        cx.send_after(Duration::ZERO, More);
        Ok(Init::Ready)
    }

    fn handle(&mut self, More: More, cx: &mut Context<Self>) -> io::Result<Next> {
        if !self.over {
            self.read();
        }
        if self.over && self.has_taken_leave() {
            return Ok(Next::Stop);
        }
        cx.send_after(Duration::ZERO, More);
        Ok(Next::Continue)
    }

    fn terminate(&mut self, _: &Exit) {
        if let Err(error) = self.read_the_rest() {
            eprintln!("collector: connection-{}: {error}", self.source.number);
        }
    }

    fn label(_: &More) -> &'static str {
        "more"
    }
}
