//! Datagrams: one is one message.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use underpin::{ChildSpec, Context, Exit, Init, Next, Service, child};

use crate::doors::Doors;
use crate::framing::{Fault, Frame};
use crate::line::Source;
use crate::router::{Route, Router};

/// No datagram is longer.
const LONGEST: usize = 64 * 1024;
/// How long one receipt may block: so long a parser that is to go waits for this socket.
const BLOCK: Duration = Duration::from_secs(1);
/// How long what has arrived before a stop is read.
const LINGER: Duration = Duration::from_secs(2);

/// The only message: receive the next one.
pub(crate) struct Receive;

/// Receives datagrams. It blocks: the [`gate`](crate::gate) wakes it.
pub(crate) struct Udp {
    doors: Arc<Doors>,
    route: Route,
    buffer: Vec<u8>,
    /// Who has sent last: mostly it is he who sends next.
    last: Option<(SocketAddr, Arc<Source>)>,
}

/// Describes the service behind the UDP socket.
pub(crate) fn spec(doors: &Arc<Doors>, router: Router) -> ChildSpec<Udp> {
    let doors = Arc::clone(doors);
    child("udp", move || Udp {
        doors: Arc::clone(&doors),
        route: router.route(),
        buffer: vec![0; LONGEST],
        last: None,
    })
    .capacity(1)
}

impl Udp {
    fn receive(&mut self) -> io::Result<()> {
        let (bytes, peer) = self.doors.udp.recv_from(&mut self.buffer)?;
        let is_knock = bytes == 0 && self.doors.is_shut();
        if !is_knock {
            let line = self.source(peer).line(self.frame(bytes));
            self.route.offer(line);
        }
        Ok(())
    }

    fn source(&mut self, peer: SocketAddr) -> Arc<Source> {
        match &self.last {
            Some((last, source)) if *last == peer => Arc::clone(source),
            _ => {
                let source = Source::new(number_of(peer), &peer.ip());
                self.last = Some((peer, Arc::clone(&source)));
                source
            }
        }
    }

    fn frame(&mut self, bytes: usize) -> Frame {
        if bytes > self.route.max_line() {
            return Frame::Broken(Fault::TooLong);
        }
        Frame::Line(self.buffer[..bytes].to_vec())
    }

    /// After the doors were shut: what has come before is taken.
    fn receive_backlog(&mut self) -> io::Result<()> {
        self.doors.udp.set_nonblocking(true)?;
        let until = Instant::now() + LINGER;
        while Instant::now() < until && self.receive().is_ok() {}
        Ok(())
    }
}

/// Whether there was nothing to receive, or the answer to some earlier datagram; there was none of ours.
fn is_silence(error: &io::Error) -> bool {
    use ErrorKind::{ConnectionRefused, Interrupted, TimedOut, WouldBlock};
    matches!(error.kind(), WouldBlock | TimedOut | Interrupted | ConnectionRefused)
}

/// The datagrams of one peer stay in order.
fn number_of(peer: SocketAddr) -> u64 {
    let mut hasher = DefaultHasher::new();
    peer.hash(&mut hasher);
    hasher.finish()
}

impl Service for Udp {
    type Msg = Receive;
    type Error = io::Error;

    fn init(&mut self, cx: &mut Context<Self>) -> io::Result<Init> {
        self.doors.open()?;
        self.doors.udp.set_read_timeout(Some(BLOCK))?;
        cx.send_after(Duration::ZERO, Receive);
        Ok(Init::Ready)
    }

    fn handle(&mut self, Receive: Receive, cx: &mut Context<Self>) -> io::Result<Next> {
        match self.receive() {
            Ok(()) => {}
            Err(error) if is_silence(&error) => self.route.turn(),
            Err(error) => return Err(error),
        }
        if self.doors.is_shut() {
            self.receive_backlog()?; // and wait to be stopped
        } else {
            cx.send_after(Duration::ZERO, Receive);
        }
        Ok(Next::Continue)
    }

    fn terminate(&mut self, _: &Exit) {
        let overrun = overrun::of(&self.doors.udp).unwrap_or(0);
        self.route.stats().udp_overrun.add(overrun);
    }

    fn label(_: &Receive) -> &'static str {
        "receive"
    }
}

/// How many datagrams the kernel dropped because the socket's buffer was full.
mod overrun {
    use std::net::UdpSocket;

    /// `None` where nobody says.
    #[cfg(target_os = "linux")]
    pub(super) fn of(socket: &UdpSocket) -> Option<u64> {
        use std::os::fd::AsRawFd;
        let link = std::fs::read_link(format!("/proc/self/fd/{}", socket.as_raw_fd())).ok()?;
        let inode = link.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?.to_owned();
        let tables = ["/proc/net/udp", "/proc/net/udp6"]
            .map(|table| std::fs::read_to_string(table).unwrap_or_default());
        tables.iter().flat_map(|table| table.lines()).find_map(|line| drops_of(line, &inode))
    }

    /// The last column, if the tenth is this inode.
    #[cfg(target_os = "linux")]
    fn drops_of(line: &str, inode: &str) -> Option<u64> {
        let mut columns = line.split_whitespace().skip(9);
        (columns.next()? == inode).then(|| columns.last()?.parse().ok())?
    }

    #[cfg(not(target_os = "linux"))]
    pub(super) fn of(_: &UdpSocket) -> Option<u64> {
        None
    }
}
