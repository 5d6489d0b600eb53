//! The listening sockets, and how whoever blocks on one is woken at the end.
//!
//! A service that blocks in a system call does not hear its supervisor. So the
//! [`gate`](crate::gate) shuts the doors before anybody behind them is told to stop.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

/// How often a free port is asked for that is free for TCP and UDP alike.
const TRIES: u32 = 16;
/// How many may wait to be let in. The system has a limit of its own.
const BACKLOG: i32 = 4096;
/// How long the listener's wake-up call may take.
const KNOCK: Duration = Duration::from_secs(1);

/// Two sockets on one port.
#[derive(Debug)]
pub(crate) struct Doors {
    pub(crate) tcp: TcpListener,
    pub(crate) udp: UdpSocket,
    address: SocketAddr,
    shut: AtomicBool,
    visitors: AtomicU64,
}

impl Doors {
    /// Listens on TCP and UDP.
    pub(crate) fn bind(listen: SocketAddr) -> io::Result<Arc<Self>> {
        let tries = if listen.port() == 0 { TRIES } else { 1 };
        let mut bound = bind_both(listen);
        for _ in 1..tries {
            bound = bound.or_else(|_| bind_both(listen));
        }
        let (tcp, udp) = bound?;
        let address = tcp.local_addr()?;
        Ok(Arc::new(Self { tcp, udp, address, shut: false.into(), visitors: 0.into() }))
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn is_shut(&self) -> bool {
        self.shut.load(Ordering::SeqCst)
    }

    /// A number for a connection; no other gets it, not after a restart of the listener either.
    pub(crate) fn next_number(&self) -> u64 {
        self.visitors.fetch_add(1, Ordering::Relaxed)
    }

    /// Lets in, again. Called by each service behind a door when it starts.
    pub(crate) fn open(&self) -> io::Result<()> {
        self.tcp.set_nonblocking(false)?;
        self.udp.set_nonblocking(false)?;
        self.shut.store(false, Ordering::SeqCst);
        Ok(())
    }

    /// Tells everyone behind the doors that the end has come. Each of them looks whenever it
    /// returns from its system call; an empty datagram and a connection give it something to
    /// return with. If there is no room for those, it has something already.
    pub(crate) fn shut(&self) {
        self.shut.store(true, Ordering::SeqCst);
        let address = reachable(self.address);
        let _ = UdpSocket::bind((any_like(address), 0)).and_then(|socket| socket.send_to(&[], address));
        let _ = TcpStream::connect_timeout(&address, KNOCK);
    }
}

fn bind_both(listen: SocketAddr) -> io::Result<(TcpListener, UdpSocket)> {
    let tcp = TcpListener::bind(listen)?;
    // The standard library lets 128 wait; one more waits a second for its next try.
    socket2::SockRef::from(&tcp).listen(BACKLOG)?;
    let udp = UdpSocket::bind(tcp.local_addr()?)?;
    Ok((tcp, udp))
}

/// Where a socket that listens on all addresses can be reached.
fn reachable(mut address: SocketAddr) -> SocketAddr {
    match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => address.set_ip(Ipv4Addr::LOCALHOST.into()),
        IpAddr::V6(ip) if ip.is_unspecified() => address.set_ip(Ipv6Addr::LOCALHOST.into()),
        _ => {}
    }
    address
}

fn any_like(address: SocketAddr) -> IpAddr {
    if address.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() }
}
