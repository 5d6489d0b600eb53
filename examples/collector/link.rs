//! The link: one TCP connection to the sink downstream, made anew when it is lost.

use std::io::{self, ErrorKind, Read, Write};
use std::mem::MaybeUninit;
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use socket2::SockRef;

/// How many bytes of lines are on their way inside of this system; Linux makes that twice as many. So many may be lost with
/// a connection, and what the sink's own system holds.
const UNSENT: usize = 256 * 1024;
/// A sink that takes nothing for so long gets another connection: it may be that this one leads nowhere any more.
const SILENCE: Duration = Duration::from_secs(30);
/// Of what the sink says so much is thrown away at once.
const EAR: usize = 4096;
/// Do not wait.
#[cfg(any(target_os = "linux", target_os = "android"))]
const MSG_DONTWAIT: i32 = 0x40;
/// The same, elsewhere.
#[cfg(not(any(target_os = "linux", target_os = "android")))]
const MSG_DONTWAIT: i32 = 0x80;

/// How long one attempt may take.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// To connect, from now.
    pub(crate) connect: Duration,
    /// All together.
    pub(crate) until: Instant,
}

/// The connection, while there is one.
///
/// A frame that is cut short by a time-out goes on where it was in the next attempt, over the same connection; by any
/// other fault, from its beginning over another one. So the sink gets no frame twice, and one that is cut short only as
/// the last of a connection.
#[derive(Debug)]
pub(crate) struct Link {
    address: SocketAddr,
    stream: Option<TcpStream>,
    /// How much of the frame is written.
    begun: usize,
    /// When something was written last.
    moved: Instant,
}

impl Link {
    pub(crate) fn new(address: SocketAddr) -> Self {
        Self { address, stream: None, begun: 0, moved: Instant::now() }
    }

    /// Writes the frame, or what is left of it. It is the same one until it is written whole or [given up](Self::give_up).
    ///
    /// # Errors
    ///
    /// Why the sink has not taken all of it.
    ///
    /// # Blocking
    ///
    /// As long as these limits say.
    pub(crate) fn send(&mut self, frame: &[u8], limits: Limits) -> io::Result<()> {
        if self.stream.as_ref().is_some_and(is_hung_up) {
            self.drop_connection();
        }
        if self.stream.is_none() {
            self.connect(limits)?;
        }
        let sent = self.write(frame, limits.until);
        match &sent {
            Ok(()) => self.begun = 0,
            Err(error) if error.kind() == ErrorKind::TimedOut && self.moved.elapsed() < SILENCE => {}
            Err(_) => self.drop_connection(),
        }
        sent
    }

    /// Whether a part of the frame is written, and the connection is there to write the rest to.
    pub(crate) fn is_midway(&self) -> bool {
        self.begun > 0
    }

    /// The frame is not sent any more. What of it was written ends with its connection.
    pub(crate) fn give_up(&mut self) {
        if self.begun > 0 {
            self.drop_connection();
        }
    }

    /// Says that there is no more, and waits until the sink has taken all and hangs up.
    ///
    /// # Blocking
    ///
    /// Until then, at most.
    pub(crate) fn hang_up(&mut self, until: Instant) {
        let Some(stream) = self.stream.take() else { return };
        let _ = stream.shutdown(Shutdown::Write).and_then(|()| hear_out(&stream, until));
    }

    fn drop_connection(&mut self) {
        self.stream = None;
        self.begun = 0;
    }

    fn connect(&mut self, limits: Limits) -> io::Result<()> {
        let time = left(limits.until)?.min(limits.connect);
        let stream = TcpStream::connect_timeout(&self.address, time)?;
        // Where nobody listens, a port of one's own may by chance be the one that is called: that is a line to oneself.
        if stream.local_addr()? == self.address {
            return Err(ErrorKind::ConnectionRefused.into());
        }
        // One line must not wait until the sink has confirmed the one before.
        stream.set_nodelay(true)?;
        SockRef::from(&stream).set_send_buffer_size(UNSENT)?;
        self.moved = Instant::now();
        self.stream = Some(stream);
        Ok(())
    }

    fn write(&mut self, frame: &[u8], until: Instant) -> io::Result<()> {
        let Some(stream) = &self.stream else { return Err(ErrorKind::NotConnected.into()) };
        while self.begun < frame.len() {
            let bytes = write_some(stream, &frame[self.begun..], until)?;
            self.begun += bytes;
            self.moved = Instant::now();
        }
        Ok(())
    }
}

/// Writes what there is room for, and waits for room only if there is none.
fn write_some(stream: &TcpStream, bytes: &[u8], until: Instant) -> io::Result<usize> {
    let written = match SockRef::from(stream).send_with_flags(bytes, MSG_DONTWAIT) {
        Err(error) if error.kind() == ErrorKind::WouldBlock => {
            stream.set_write_timeout(Some(left(until)?))?;
            (&*stream).write(bytes)
        }
        written => written,
    };
    match written {
        Ok(0) => Err(ErrorKind::WriteZero.into()),
        Err(error) if error.kind() == ErrorKind::WouldBlock => Err(ErrorKind::TimedOut.into()),
        Err(error) if error.kind() == ErrorKind::Interrupted => Ok(0),
        written => written,
    }
}

fn left(until: Instant) -> io::Result<Duration> {
    match until.saturating_duration_since(Instant::now()) {
        Duration::ZERO => Err(ErrorKind::TimedOut.into()),
        left => Ok(left),
    }
}

/// Whether the sink has gone: what is written after that is lost, and nobody says so. What else it says is nothing to us,
/// but has to be read: a connection that is closed with something unread loses what it has not delivered.
fn is_hung_up(stream: &TcpStream) -> bool {
    let mut ear = [MaybeUninit::uninit(); EAR];
    loop {
        match SockRef::from(stream).recv_with_flags(&mut ear, MSG_DONTWAIT) {
            Ok(0) => return true,
            Ok(EAR) => {}
            Ok(_) => return false,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return error.kind() != ErrorKind::WouldBlock,
        }
    }
}

fn hear_out(mut stream: &TcpStream, until: Instant) -> io::Result<()> {
    let mut ear = [0; EAR];
    loop {
        stream.set_read_timeout(Some(left(until)?))?;
        if stream.read(&mut ear)? == 0 {
            return Ok(());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;
    use std::sync::mpsc;
    use std::thread;

    /// Long enough for any of these tests.
    const LONGEST: Duration = Duration::from_secs(30);

    fn sink() -> (TcpListener, Link) {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let link = Link::new(listener.local_addr().expect("an address"));
        (listener, link)
    }

    fn within(time: Duration) -> Limits {
        Limits { connect: time, until: Instant::now() + time }
    }

    fn accept(listener: &TcpListener) -> TcpStream {
        listener.accept().expect("it calls").0
    }

    fn read_all(mut stream: TcpStream) -> Vec<u8> {
        let mut all = Vec::new();
        stream.read_to_end(&mut all).expect("it is read");
        all
    }

    #[test]
    fn frames_arrive_whole_and_in_order_and_what_the_sink_says_is_passed_over() {
        let (listener, mut link) = sink();
        link.send(b"1 a", within(LONGEST)).expect("it is taken");
        let mut theirs = accept(&listener);
        for _ in 0..3 {
            theirs.write_all(&[b'7'; 3 * EAR]).expect("it is read");
            link.send(b"1 b", within(LONGEST)).expect("it is taken");
        }
        let sink = thread::spawn(move || read_all(theirs));
        link.hang_up(Instant::now() + LONGEST);
        assert_eq!(sink.join().expect("no panic"), b"1 a1 b1 b1 b");
    }

    #[test]
    fn nobody_there_is_an_error_and_somebody_later_is_found() {
        let (listener, mut link) = sink();
        let address = link.address;
        drop(listener);
        let refused = link.send(b"1 a", within(LONGEST)).expect_err("nobody is there");
        assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
        let listener = TcpListener::bind(address).expect("its port");
        link.send(b"1 a", within(LONGEST)).expect("it is taken");
        let theirs = accept(&listener);
        link.hang_up(Instant::now()); // it reads after that
        assert_eq!(read_all(theirs), b"1 a");
    }

    #[test]
    fn one_that_has_hung_up_is_called_again_and_the_frame_goes_there_whole() {
        let (listener, mut link) = sink();
        link.send(b"1 a", within(LONGEST)).expect("it is taken");
        drop(accept(&listener));
        let stream = link.stream.as_ref().expect("it does not know yet");
        let _ = stream.peek(&mut [0]); // waits until it could
        link.send(b"1 b", within(LONGEST)).expect("it is taken");
        let theirs = accept(&listener);
        link.hang_up(Instant::now()); // it reads after that
        assert_eq!(read_all(theirs), b"1 b");
    }

    /// Frames until the sink takes no more: how many it took, and how far it came with the next.
    fn fill(link: &mut Link, frame: &[u8]) -> (usize, usize) {
        let taken = (0..).find(|_| link.send(frame, within(Duration::from_millis(50))).is_err());
        (taken.expect("there is an end"), link.begun)
    }

    #[test]
    fn a_time_out_cuts_no_frame_and_it_goes_on_when_the_sink_reads() {
        let (listener, mut link) = sink();
        let frame = vec![b'x'; 100_000];
        link.send(&frame, within(LONGEST)).expect("it is taken");
        let theirs = accept(&listener);
        let mut taken = 0;
        // Its system may take some more after a while.
        while let (more @ 1.., _) = fill(&mut link, &frame) {
            taken += more;
        }
        assert!(link.stream.is_some() && taken > 0, "{taken}");
        let sink = thread::spawn(move || read_all(theirs));
        link.send(&frame, within(LONGEST)).expect("it is taken");
        link.hang_up(Instant::now() + LONGEST);
        assert_eq!(sink.join().expect("no panic").len(), (1 + taken + 1) * frame.len());
    }

    #[test]
    fn a_frame_that_is_given_up_ends_its_connection_and_one_that_was_not_begun_does_not() {
        let (listener, mut link) = sink();
        let frame = vec![b'x'; 1_000_000];
        let (_, begun) = fill(&mut link, &frame);
        let theirs = accept(&listener);
        assert!(begun > 0, "it is long enough to be cut");
        link.give_up();
        assert!(link.stream.is_none());
        assert_ne!(read_all(theirs).len() % frame.len(), 0, "the last is cut short");
        link.send(b"1 b", within(LONGEST)).expect("it is taken");
        link.give_up();
        assert!(link.stream.is_some());
    }

    #[test]
    fn no_attempt_takes_longer_than_it_may() {
        let (listener, mut link) = sink();
        let (done, ended) = mpsc::channel();
        thread::spawn(move || {
            fill(&mut link, &[b'x'; 1_000_000]);
            link.hang_up(Instant::now() + Duration::from_millis(50));
            let _ = done.send(link);
        });
        assert!(ended.recv_timeout(LONGEST).is_ok(), "it comes back");
        drop(listener);
    }
}
