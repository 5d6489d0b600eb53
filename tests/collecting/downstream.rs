//! A sink downstream: what a collector forwards to, in all its moods.

use std::io::Read;
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use super::LONGEST;

/// How a sink treats who calls.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Mood {
    /// It reads all.
    Good,
    /// It reads so many bytes, and takes a rest of 2 ms.
    Slow(usize),
    /// It never reads.
    Deaf,
    /// It hangs up after so many bytes, whatever is in the midst of it then.
    Curt(usize),
}

/// What has arrived, whichever connection and whichever life of the sink it was in.
#[derive(Default)]
pub(crate) struct Arrived {
    frames: Mutex<Vec<String>>,
    more: Condvar,
    /// Connections that ended in the midst of a frame.
    pub(crate) cut: Mutex<u64>,
}

impl Arrived {
    fn add(&self, frame: String) {
        self.frames.lock().expect("no panic").push(frame);
        self.more.notify_all();
    }

    pub(crate) fn frames(&self) -> Vec<String> {
        self.frames.lock().expect("no panic").clone()
    }

    /// The numbers at the end of all frames, as they came.
    pub(crate) fn numbers(&self) -> Vec<u64> {
        let number = |frame: &String| frame.rsplit(' ').next().and_then(|word| word.parse().ok());
        self.frames()
            .iter()
            .map(|frame| number(frame).unwrap_or_else(|| panic!("no number: {frame:?}")))
            .collect()
    }

    /// Waits until at least so many are there.
    pub(crate) fn wait_for(&self, frames: usize) {
        let arrived = self.frames.lock().expect("no panic");
        let is_less = |arrived: &mut Vec<String>| arrived.len() < frames;
        let (arrived, outcome) = self.more.wait_timeout_while(arrived, LONGEST, is_less).expect("no panic");
        assert!(!outcome.timed_out(), "{} of {frames} have arrived", arrived.len());
    }

    /// Waits until the one with this number at its end is there, and so, of one source over one connection, all before it.
    pub(crate) fn wait_for_number(&self, number: u64) {
        let ending = format!(" {number}");
        let arrived = self.frames.lock().expect("no panic");
        let is_wanting = |arrived: &mut Vec<String>| {
            !arrived.iter().rev().take(1000).any(|frame| frame.ends_with(&ending))
        };
        let (arrived, outcome) =
            self.more.wait_timeout_while(arrived, LONGEST, is_wanting).expect("no panic");
        assert!(!outcome.timed_out(), "{number} is not among {} that have arrived", arrived.len());
    }

    /// Whether there is one with that in it.
    pub(crate) fn has_one_of(&self, text: &str) -> bool {
        self.frames.lock().expect("no panic").iter().rev().any(|frame| frame.contains(text))
    }
}

/// A port where nobody listens.
pub(crate) fn free_port() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a port")
}

/// How far a sink has come.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Stage {
    Listens,
    Ends,
    Dies,
}

/// Known to all of a sink.
struct Life {
    mood: Mood,
    arrived: Arc<Arrived>,
    stage: Mutex<Stage>,
    over: Condvar,
    callers: Mutex<Vec<TcpStream>>,
}

impl Life {
    fn stage(&self) -> Stage {
        *self.stage.lock().expect("no panic")
    }

    fn turn(&self, stage: Stage) {
        *self.stage.lock().expect("no panic") = stage;
        self.over.notify_all();
    }

    fn wait_until_over(&self) {
        let stage = self.stage.lock().expect("no panic");
        let waited = self.over.wait_while(stage, |stage| *stage == Stage::Listens);
        drop(waited.expect("no panic"));
    }
}

/// A sink that listens.
pub(crate) struct Downstream {
    pub(crate) address: SocketAddr,
    life: Arc<Life>,
    acceptor: JoinHandle<Vec<JoinHandle<()>>>,
}

impl Downstream {
    /// Listens there.
    pub(crate) fn open(address: SocketAddr, mood: Mood, arrived: &Arc<Arrived>) -> Self {
        let listener = bind(address);
        if matches!(mood, Mood::Slow(_) | Mood::Deaf) {
            // Its system is not to take in what it does not read.
            let _ = socket2::SockRef::from(&listener).set_recv_buffer_size(16 * 1024);
        }
        let life = Arc::new(Life {
            mood,
            arrived: Arc::clone(arrived),
            stage: Mutex::new(Stage::Listens),
            over: Condvar::new(),
            callers: Mutex::default(),
        });
        let of_it = Arc::clone(&life);
        Self { address, life, acceptor: thread::spawn(move || accept(&listener, &of_it)) }
    }

    /// Nobody else may call; reads until all have hung up of themselves.
    pub(crate) fn hear_out(self) {
        self.end(Stage::Ends);
    }

    /// Nobody listens, and all connections are reset.
    pub(crate) fn kill(self) {
        self.life.turn(Stage::Dies);
        for caller in self.life.callers.lock().expect("no panic").iter() {
            let _ = socket2::SockRef::from(caller).set_linger(Some(Duration::ZERO));
            let _ = caller.shutdown(Shutdown::Read);
        }
        self.end(Stage::Dies);
    }

    fn end(self, stage: Stage) {
        self.life.turn(stage);
        drop(TcpStream::connect(self.address));
        let readers = self.acceptor.join().expect("no panic");
        readers.into_iter().for_each(|reader| reader.join().expect("no panic"));
        self.life.callers.lock().expect("no panic").clear();
    }
}

/// Whoever used that port by chance meanwhile is soon gone.
fn bind(address: SocketAddr) -> TcpListener {
    let until = Instant::now() + LONGEST;
    loop {
        match TcpListener::bind(address) {
            Ok(listener) => return listener,
            Err(error) => assert!(Instant::now() < until, "{address}: {error}"),
        }
        thread::sleep(Duration::from_millis(10));
    }
}

fn accept(listener: &TcpListener, life: &Arc<Life>) -> Vec<JoinHandle<()>> {
    let mut readers = Vec::new();
    loop {
        let stream = listener.accept().expect("a caller").0;
        if life.stage() != Stage::Listens {
            return readers;
        }
        let life = Arc::clone(life);
        life.callers.lock().expect("no panic").push(stream.try_clone().expect("a descriptor"));
        readers.push(thread::spawn(move || listen(stream, &life)));
    }
}

fn listen(mut stream: TcpStream, life: &Life) {
    match life.mood {
        Mood::Deaf => life.wait_until_over(),
        Mood::Good => read(&mut stream, life, 64 * 1024, usize::MAX, Duration::ZERO),
        Mood::Slow(bytes) => read(&mut stream, life, bytes, usize::MAX, Duration::from_millis(2)),
        Mood::Curt(bytes) => read(&mut stream, life, 64 * 1024, bytes, Duration::ZERO),
    }
    if life.stage() != Stage::Dies {
        let _ = stream.shutdown(Shutdown::Both);
    }
}

/// Reads so many bytes at a time, so many in all, and rests in between.
fn read(stream: &mut TcpStream, life: &Life, at_once: usize, in_all: usize, rest: Duration) {
    let (mut frames, mut bytes, mut left) = (Frames::default(), vec![0; at_once], in_all);
    while left > 0 {
        let Ok(count @ 1..) = stream.read(&mut bytes[..at_once.min(left)]) else { break };
        frames.take(&bytes[..count], &life.arrived);
        left -= count;
        if !rest.is_zero() && life.stage() == Stage::Listens {
            thread::sleep(rest);
        }
    }
    if !frames.0.is_empty() {
        *life.arrived.cut.lock().expect("no panic") += 1;
    }
}

/// Octet-counted frames in the making. Anything else is a failure.
#[derive(Default)]
struct Frames(Vec<u8>);

impl Frames {
    fn take(&mut self, bytes: &[u8], arrived: &Arrived) {
        self.0.extend_from_slice(bytes);
        let mut at = 0;
        while let Some((from, to)) = frame_in(&self.0[at..]) {
            let text = std::str::from_utf8(&self.0[at + from..at + to]).expect("text");
            arrived.add(text.to_owned());
            at += to;
        }
        self.0.drain(..at);
    }
}

/// Where the first frame begins and ends, if all of it is there.
fn frame_in(bytes: &[u8]) -> Option<(usize, usize)> {
    let space = bytes.iter().position(|byte| *byte == b' ')?;
    let count = std::str::from_utf8(&bytes[..space]).expect("digits");
    let count: usize = count.parse().unwrap_or_else(|_| panic!("no count: {count:?}"));
    let end = space + 1 + count;
    (bytes.len() >= end).then_some((space + 1, end))
}
