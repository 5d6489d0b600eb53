//! The listener: accepts TCP connections.

use std::fs;
use std::io;
use std::net::TcpStream;
use std::sync::Arc;
use std::time::Duration;

use underpin::{ChildSpec, Context, Init, Next, Service, SupervisorRef, child};

use crate::board::Board;
use crate::connection;
use crate::doors::Doors;
use crate::router::Router;

/// More connections than this are closed at once.
const MAX_CONNECTIONS: usize = 4096;
/// How many files are open besides connections.
const OTHER_FILES: usize = 16;
/// How long the listener rests after an error: most are a want of memory or descriptors.
const REST: Duration = Duration::from_millis(100);

/// The only message: accept the next one.
pub(crate) struct Accept;

/// Accepts connections and has a service started for each. It blocks: the [`gate`](crate::gate)
/// wakes it.
pub(crate) struct Listener {
    doors: Arc<Doors>,
    connections: SupervisorRef,
    router: Router,
    board: Option<Board>,
    complained: bool,
}

/// Describes the listener; `connections` is the supervisor of what it accepts. With a board, clients are
/// told how many of their lines are durable.
pub(crate) fn spec(
    doors: &Arc<Doors>,
    connections: SupervisorRef,
    router: Router,
    board: Option<Board>,
) -> ChildSpec<Listener> {
    let doors = Arc::clone(doors);
    child("listener", move || Listener {
        doors: Arc::clone(&doors),
        connections: connections.clone(),
        router: router.clone(),
        board: board.clone(),
        complained: false,
    })
    .capacity(1)
}

/// How many connections there may be: the process must not run out of descriptors.
pub(crate) fn most_connections() -> usize {
    let limits = fs::read_to_string("/proc/self/limits").unwrap_or_default();
    let soft = limits.lines().find_map(|line| line.strip_prefix("Max open files")?.split_whitespace().next());
    let files = soft.and_then(|soft| soft.parse().ok()).unwrap_or(usize::MAX);
    files.saturating_sub(OTHER_FILES).clamp(1, MAX_CONNECTIONS)
}

impl Listener {
    fn admit(&self, stream: TcpStream) {
        let connection =
            connection::spec(self.doors.next_number(), stream, &self.router, self.board.as_ref());
        let refused = self.connections.start_child(connection).is_err();
        // Once the doors are shut, one of them is the gate's own.
        if refused && !self.doors.is_shut() {
            self.router.stats().refused.up();
        }
    }

    /// After the doors were shut: who has called before is let in, for what he has sent.
    fn admit_backlog(&self) -> io::Result<()> {
        self.doors.tcp.set_nonblocking(true)?;
        for _ in 0..MAX_CONNECTIONS {
            match self.doors.tcp.accept() {
                Ok((stream, _)) => {
                    stream.set_nonblocking(false)?;
                    self.admit(stream);
                }
                Err(_) => break,
            }
        }
        Ok(())
    }

    fn complain(&mut self, error: &io::Error) {
        if !self.complained {
            eprintln!("collector: accept: {error}");
        }
        self.complained = true;
    }
}

impl Service for Listener {
    type Msg = Accept;
    type Error = io::Error;

    fn init(&mut self, cx: &mut Context<Self>) -> io::Result<Init> {
        self.doors.open()?;
        cx.send_after(Duration::ZERO, Accept);
        Ok(Init::Ready)
    }

    fn handle(&mut self, Accept: Accept, cx: &mut Context<Self>) -> io::Result<Next> {
        let accepted = self.doors.tcp.accept();
        let rest = if accepted.is_ok() { Duration::ZERO } else { REST };
        match accepted {
            Ok((stream, _)) => self.admit(stream),
            Err(error) => self.complain(&error),
        }
        if self.doors.is_shut() {
            self.admit_backlog()?; // and wait to be stopped
        } else {
            cx.send_after(rest, Accept);
        }
        Ok(Next::Continue)
    }

    fn label(_: &Accept) -> &'static str {
        "accept"
    }
}
