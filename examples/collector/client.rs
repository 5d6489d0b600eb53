//! A TCP client that is told how many of its lines are durable.

use std::net::{Shutdown, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use socket2::SockRef;

use crate::board::Board;
use crate::ledger::Ledger;
use crate::outbox::{Outbox, Sent};
use crate::token::Token;

/// About how many bytes of numbers wait in the system for a client that does not read.
const UNREAD: usize = 4096;
/// Send what there is room for, and do not wait. Not the socket's own flag: its reader is to wait.
#[cfg(any(target_os = "linux", target_os = "android"))]
const MSG_DONTWAIT: i32 = 0x40;
/// The same, elsewhere.
#[cfg(not(any(target_os = "linux", target_os = "android")))]
const MSG_DONTWAIT: i32 = 0x80;

/// The books of one client. Its connection, each of its lines and whoever tells it share them; the last one
/// hangs up.
#[derive(Debug)]
pub(crate) struct Client {
    stream: Arc<TcpStream>,
    board: Board,
    books: Mutex<Books>,
    /// Somebody may wait for the last number to be told.
    told: Condvar,
    /// Of who tells it, and of nobody else: he may be in a system call.
    outbox: Mutex<Outbox>,
}

#[derive(Debug, Default)]
struct Books {
    ledger: Ledger,
    /// It is on the board, or in the care of who tells it.
    is_listed: bool,
    /// The last number that was sent.
    told: u64,
    is_gone: bool,
}

impl Books {
    /// Nothing more is to be told.
    fn is_settled(&self) -> bool {
        self.is_gone || self.ledger.is_settled() && self.told == self.ledger.durable()
    }
}

impl Client {
    pub(crate) fn new(stream: &Arc<TcpStream>, board: &Board) -> Arc<Self> {
        // One number must not wait until the client has confirmed the one before. That an option cannot be set
        // makes numbers late, and no harm else.
        let _ = stream.set_nodelay(true);
        let _ = SockRef::from(&**stream).set_send_buffer_size(UNREAD);
        Arc::new(Self {
            stream: Arc::clone(stream),
            board: board.clone(),
            books: Mutex::default(),
            told: Condvar::new(),
            outbox: Mutex::default(),
        })
    }

    /// What goes along with the client's next line.
    pub(crate) fn token(self: &Arc<Self>) -> Token {
        let line = self.books().ledger.issue();
        Token::new(Arc::clone(self), line)
    }

    /// A line is durable, or came to nothing. Never blocks.
    pub(crate) fn decide(self: &Arc<Self>, line: u64, is_durable: bool) {
        let mut books = self.books();
        let has_news = books.ledger.decide(line, is_durable);
        if has_news && !std::mem::replace(&mut books.is_listed, true) {
            drop(books);
            self.board.list(Arc::clone(self));
        }
    }

    /// Tells the client as much as it takes now. Whether it has to be told more later, by the same. Never
    /// blocks; to be called by one at a time.
    pub(crate) fn tell(&self) -> bool {
        let durable = {
            let mut books = self.books();
            books.is_listed = false; // what is decided from here on lists it again
            books.ledger.durable()
        };
        let mut outbox = self.outbox.lock().unwrap_or_else(PoisonError::into_inner);
        let socket = SockRef::from(&*self.stream);
        let sent = outbox.send(durable, |bytes| socket.send_with_flags(bytes, MSG_DONTWAIT));
        self.note(sent, outbox.begun())
    }

    fn note(&self, sent: Sent, number: u64) -> bool {
        let mut books = self.books();
        match sent {
            Sent::All => books.told = number,
            Sent::Gone => books.is_gone = true,
            Sent::Part => return !std::mem::replace(&mut books.is_listed, true),
        }
        drop(books);
        self.told.notify_all();
        false
    }

    /// Waits until all lines are decided and the last number is sent, or nobody is there to be sent it.
    ///
    /// # Blocking
    ///
    /// Until then, or so long.
    pub(crate) fn is_settled_within(&self, longest: Duration) -> bool {
        let until = Instant::now() + longest;
        let mut books = self.books();
        while !books.is_settled() {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            books = self.told.wait_timeout(books, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        true
    }

    /// Hangs up, whoever else still knows the client.
    pub(crate) fn hang_up(&self) {
        let _ = self.stream.shutdown(Shutdown::Both);
    }

    fn books(&self) -> MutexGuard<'_, Books> {
        self.books.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::net::TcpListener;
    use std::sync::mpsc;
    use std::thread;

    use super::*;

    /// Long enough for any of these tests.
    const LONGEST: Duration = Duration::from_secs(30);

    fn pair() -> (Arc<Client>, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let theirs = TcpStream::connect(listener.local_addr().expect("an address")).expect("it listens");
        let ours = Arc::new(listener.accept().expect("a connection").0);
        (Client::new(&ours, &Board::default()), theirs)
    }

    /// One more line is durable.
    fn go_on(client: &Arc<Client>) {
        let token = client.token();
        client.decide(token.line(), true);
    }

    #[test]
    fn one_that_does_not_read_is_not_waited_for_and_gets_the_last_number_when_it_does() {
        let (client, mut theirs) = pair();
        let (said, full) = mpsc::channel();
        let teller = Arc::clone(&client);
        thread::spawn(move || {
            let lines = (1_u64..).find(|_| {
                go_on(&teller);
                teller.tell()
            });
            let _ = said.send(lines.expect("there is no end"));
        });
        let lines = full.recv_timeout(LONGEST).expect("nobody waits");
        let reader = thread::spawn(move || {
            let mut text = String::new();
            theirs.read_to_string(&mut text).map(|_| text)
        });
        while !client.is_settled_within(Duration::from_millis(1)) {
            client.tell();
        }
        client.hang_up();
        let text = reader.join().expect("no panic").expect("text");
        let numbers: Vec<u64> = text.lines().map(|line| line.parse().expect("a number")).collect();
        assert!(numbers.is_sorted_by(|a, b| a < b) && numbers.last() == Some(&lines));
    }

    #[test]
    fn one_that_is_gone_is_waited_for_no_more() {
        let (client, theirs) = pair();
        let token = client.token();
        assert!(!client.is_settled_within(Duration::ZERO));
        client.hang_up();
        drop((token, theirs));
        go_on(&client);
        assert!(!client.tell() && client.is_settled_within(Duration::ZERO));
    }
}
