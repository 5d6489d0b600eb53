//! The backlog: lines that wait to be forwarded over one connection.

use std::collections::VecDeque;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use underpin::{CastError, Handle};

use crate::forwarder::Msg;
use crate::stats::Stats;

/// How many bytes wait at most, whatever the depth: lines may be long.
const MOST_BYTES: usize = 16 << 20;

/// A line that waits.
#[derive(Debug)]
pub(crate) struct Parcel {
    /// As it is sent.
    pub(crate) frame: Vec<u8>,
    /// Since when it waits.
    pub(crate) since: Instant,
}

/// One that has its turn, and which of all it is.
#[derive(Debug)]
pub(crate) struct Taken {
    number: u64,
    pub(crate) parcel: Parcel,
}

/// What has become of a line that had its turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Delivery {
    /// All of it was written to the socket.
    Forwarded,
    /// It had waited too long.
    TooOld,
    /// It was tried, as often as it may be.
    Failed,
}

/// Lines that wait for their forwarder, in their order, and the books about them: each that was added comes to one end,
/// and is counted there. It outlives the forwarder's incarnations. Nobody is blocked who adds one.
#[derive(Debug)]
pub(crate) struct Backlog {
    books: Mutex<Books>,
    /// It may have become empty.
    changed: Condvar,
    stats: Arc<Stats>,
    forwarder: OnceLock<Handle<Msg>>,
    /// The forwarder crashes over the next one that it takes.
    pub(crate) crash: AtomicBool,
}

#[derive(Debug, Default)]
struct Books {
    waiting: VecDeque<Parcel>,
    bytes: usize,
    /// The number of the one that has its turn.
    in_hand: Option<u64>,
    taken: u64,
    /// The forwarder knows that there is something, and has not found nothing since.
    is_told: bool,
    is_closed: bool,
}

impl Backlog {
    pub(crate) fn new(stats: &Arc<Stats>) -> Arc<Self> {
        Arc::new(Self {
            books: Mutex::default(),
            changed: Condvar::new(),
            stats: Arc::clone(stats),
            forwarder: OnceLock::new(),
            crash: AtomicBool::new(false),
        })
    }

    /// He is woken when there is something.
    pub(crate) fn employ(&self, forwarder: Handle<Msg>) {
        let _ = self.forwarder.set(forwarder);
    }

    /// One more waits, or is shed: if as many wait as may, or as many bytes, or if it is too late.
    pub(crate) fn add(&self, frame: Vec<u8>, max_depth: usize) {
        self.stats.matched.up();
        let mut books = self.books();
        if books.is_closed {
            return self.stats.shed_late.up();
        }
        if !books.has_room(frame.len(), max_depth) {
            return self.stats.shed_full.up();
        }
        books.push_back(Parcel { frame, since: Instant::now() });
        let is_told = std::mem::replace(&mut books.is_told, true);
        drop(books);
        if !is_told {
            self.tell();
        }
    }

    /// Of one that rejects what is too much it is certain that he will look.
    fn tell(&self) {
        let told = self.forwarder.get().map(|forwarder| forwarder.cast(Msg::Look));
        if !matches!(told, Some(Ok(()) | Err(CastError::Full { .. }))) {
            // Who adds it is abandoned, or the forwarder is gone for good. The next one tells.
            self.books().is_told = false;
        }
    }

    /// The next one has its turn, and is in the hands of who took it.
    pub(crate) fn take(&self) -> Option<Taken> {
        let mut books = self.books();
        let Some(parcel) = books.pop_front() else {
            books.is_told = false;
            return None;
        };
        books.taken += 1;
        books.in_hand = Some(books.taken);
        Some(Taken { number: books.taken, parcel })
    }

    /// It was not tried: it is the next again. Nothing, if somebody else has been asked for it meanwhile.
    pub(crate) fn put_back(&self, taken: Taken) {
        let mut books = self.books();
        if books.hand_back(taken.number) {
            books.push_front(taken.parcel);
        }
    }

    /// It has come to its end. Nothing, if it had come to one before.
    pub(crate) fn settle(&self, taken: &Taken, delivery: Delivery) {
        if self.books().hand_back(taken.number) {
            self.count(delivery);
        }
        self.changed.notify_all();
    }

    fn count(&self, delivery: Delivery) {
        let counter = match delivery {
            Delivery::Forwarded => &self.stats.forwarded,
            Delivery::TooOld => &self.stats.shed_old,
            Delivery::Failed => &self.stats.forward_failed,
        };
        counter.up();
    }

    /// An incarnation of the forwarder begins. What the one before had in its hands has failed.
    pub(crate) fn sit_down(&self) {
        if self.books().in_hand.take().is_some() {
            self.count(Delivery::Failed);
            self.changed.notify_all();
        }
    }

    /// Nobody takes anything any more: what waits is shed, and so is what is added from here on.
    pub(crate) fn close(&self) {
        self.sit_down();
        let mut books = self.books();
        books.is_closed = true;
        self.stats.shed_late.add(books.waiting.len() as u64);
        books.waiting.clear();
        books.bytes = 0;
        drop(books);
        self.changed.notify_all();
    }

    /// How many wait, or have their turn.
    pub(crate) fn depth(&self) -> usize {
        self.books().depth()
    }

    /// Waits until all have come to an end. Whether they have.
    ///
    /// # Blocking
    ///
    /// Until then, or that moment.
    pub(crate) fn is_empty_by(&self, until: Instant) -> bool {
        let mut books = self.books();
        while books.depth() > 0 {
            let left = until.saturating_duration_since(Instant::now());
            if left == Duration::ZERO {
                return false;
            }
            books = self.changed.wait_timeout(books, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        true
    }

    fn books(&self) -> MutexGuard<'_, Books> {
        self.books.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Books {
    fn depth(&self) -> usize {
        self.waiting.len() + usize::from(self.in_hand.is_some())
    }

    fn has_room(&self, bytes: usize, max_depth: usize) -> bool {
        self.depth() < max_depth && self.bytes + bytes <= MOST_BYTES
    }

    fn push_back(&mut self, parcel: Parcel) {
        self.bytes += parcel.frame.len();
        self.waiting.push_back(parcel);
    }

    fn push_front(&mut self, parcel: Parcel) {
        self.bytes += parcel.frame.len();
        self.waiting.push_front(parcel);
    }

    fn pop_front(&mut self) -> Option<Parcel> {
        let parcel = self.waiting.pop_front()?;
        self.bytes -= parcel.frame.len();
        Some(parcel)
    }

    /// Whether it was this one that had its turn.
    fn hand_back(&mut self, number: u64) -> bool {
        let is_it = self.in_hand == Some(number);
        if is_it {
            self.in_hand = None;
        }
        is_it
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::thread;

    const DEEP: usize = 1000;

    fn backlog() -> (Arc<Backlog>, Arc<Stats>) {
        let stats = Arc::new(Stats::default());
        (Backlog::new(&stats), stats)
    }

    /// Matched, forwarded, failed; shed because it was full, they were old, it was late.
    fn counts(stats: &Stats) -> [u64; 6] {
        [
            &stats.matched,
            &stats.forwarded,
            &stats.forward_failed,
            &stats.shed_full,
            &stats.shed_old,
            &stats.shed_late,
        ]
        .map(|counter| counter.get())
    }

    fn take(backlog: &Backlog) -> Taken {
        backlog.take().expect("one waits")
    }

    #[test]
    fn lines_come_in_their_order_and_each_is_counted_where_it_ends() {
        let (backlog, stats) = backlog();
        (0..4).for_each(|number| backlog.add(vec![number], DEEP));
        for (number, delivery) in [Delivery::Forwarded, Delivery::TooOld, Delivery::Failed].iter().enumerate()
        {
            let taken = take(&backlog);
            assert_eq!(taken.parcel.frame, [number as u8]);
            backlog.settle(&taken, *delivery);
            backlog.settle(&taken, Delivery::Forwarded); // it has ended
        }
        assert_eq!((backlog.depth(), counts(&stats)), (1, [4, 1, 1, 0, 1, 0]));
        backlog.close();
        backlog.add(vec![9], DEEP);
        assert!(backlog.take().is_none());
        assert_eq!((backlog.depth(), counts(&stats)), (0, [5, 1, 1, 0, 1, 2]));
    }

    #[test]
    fn what_finds_no_room_is_shed() {
        let (backlog, stats) = backlog();
        (0..5).for_each(|number| backlog.add(vec![number], 3));
        assert_eq!((backlog.depth(), counts(&stats)), (3, [5, 0, 0, 2, 0, 0]));
        let taken = take(&backlog);
        backlog.add(vec![5], 3); // the one that has its turn counts
        backlog.settle(&taken, Delivery::Forwarded);
        backlog.add(vec![6], 3);
        assert_eq!((backlog.depth(), counts(&stats)), (3, [7, 1, 0, 3, 0, 0]));
    }

    #[test]
    fn bytes_are_bounded_whatever_the_depth() {
        let (backlog, stats) = backlog();
        let add = |bytes| backlog.add(vec![0; bytes], DEEP);
        add(MOST_BYTES - 1);
        add(2);
        add(1);
        add(1);
        assert_eq!((backlog.depth(), stats.shed_full.get()), (2, 2));
        let long = take(&backlog);
        backlog.settle(&long, Delivery::Forwarded);
        add(MOST_BYTES - 1);
        add(1);
        assert_eq!((backlog.depth(), stats.shed_full.get()), (2, 3));
    }

    #[test]
    fn what_is_put_back_is_the_next_again() {
        let (backlog, stats) = backlog();
        (0..2).for_each(|number| backlog.add(vec![number], DEEP));
        let first = take(&backlog);
        backlog.put_back(first);
        for number in 0..2 {
            let taken = take(&backlog);
            assert_eq!(taken.parcel.frame, [number]);
            backlog.settle(&taken, Delivery::Forwarded);
        }
        assert_eq!(counts(&stats), [2, 2, 0, 0, 0, 0]);
    }

    #[test]
    fn what_is_in_the_hands_of_one_that_is_gone_has_failed_and_nothing_else_comes_of_it() {
        let (backlog, stats) = backlog();
        (0..3).for_each(|number| backlog.add(vec![number], DEEP));
        let (first, second);
        first = take(&backlog);
        backlog.sit_down();
        second = take(&backlog);
        backlog.settle(&first, Delivery::Forwarded);
        backlog.put_back(first);
        assert_eq!((backlog.depth(), counts(&stats)), (2, [3, 0, 1, 0, 0, 0]));
        backlog.close();
        backlog.put_back(second);
        assert_eq!((backlog.depth(), counts(&stats)), (0, [3, 0, 2, 0, 0, 1]));
    }

    #[test]
    fn whoever_waits_for_the_end_of_all_hears_of_it() {
        let (backlog, _) = backlog();
        assert!(backlog.is_empty_by(Instant::now()));
        backlog.add(vec![1], DEEP);
        let taken = take(&backlog);
        assert!(!backlog.is_empty_by(Instant::now()));
        let waiter = {
            let backlog = Arc::clone(&backlog);
            thread::spawn(move || backlog.is_empty_by(Instant::now() + Duration::from_secs(60)))
        };
        backlog.settle(&taken, Delivery::Failed);
        assert!(waiter.join().expect("no panic"));
    }

    /// Whatever several do at once.
    #[test]
    fn each_line_comes_to_one_end_under_threads() {
        const LINES: u64 = 20_000;
        let (backlog, stats) = backlog();
        thread::scope(|scope| {
            let (backlog, add) =
                (&backlog, || (0..LINES).for_each(|number| backlog.add(vec![number as u8], 64)));
            let adders = [scope.spawn(add), scope.spawn(add)];
            scope.spawn(move || {
                let mut number = 0_u64;
                while !adders.iter().all(|adder| adder.is_finished()) {
                    let Some(taken) = backlog.take() else {
                        thread::yield_now();
                        continue;
                    };
                    number += 1;
                    match number % 4 {
                        0 => backlog.put_back(taken),
                        1 => backlog.sit_down(),
                        2 => backlog.settle(&taken, Delivery::TooOld),
                        _ => backlog.settle(&taken, Delivery::Forwarded),
                    }
                }
            });
        });
        backlog.close();
        let [matched, ends @ ..] = counts(&stats);
        assert_eq!((matched, ends.iter().sum()), (2 * LINES, matched));
    }
}
