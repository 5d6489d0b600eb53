//! The shelf of dead letters that a child keeps: in their order, bounded, each accounted for.
//!
//! A letter is on the shelf, or in the hand of the one thread that replays, or it has left for one
//! of three reasons, each of which has a counter. Letters are numbered as they come: the shelf is
//! always in the order of the numbers, also when one is put back.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::dead_letters::DeadReason;

/// One kept dead letter, as [`Handle::dead_letters`](crate::Handle::dead_letters) lists it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct DeadLetterInfo {
    /// Counts the letters that the child kept, from 1. It rises with each and is never used twice.
    pub number: u64,
    /// Why the message was not handled.
    pub reason: DeadReason,
    /// What [`Service::label`](crate::Service::label) says of the message; `"?"` if it panicked.
    pub label: &'static str,
    /// The newest incarnation when it became a dead letter; 0 is before the first.
    pub epoch: u64,
    /// For how long it has been a dead letter, by the clock of the tree.
    pub age: Duration,
}

/// What became of the dead letters of one child, each counted once. When nobody is at work on one,
/// the five together are [`Status::dead_letters`](crate::Status::dead_letters).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct DeadLetterCounts {
    /// Handed to the [hook](crate::ChildSpec::on_dead_letter).
    pub handed: u64,
    /// Kept now, with one that is just sent again.
    pub kept: u64,
    /// Sent again by [`replay_dead_letters`](crate::Handle::replay_dead_letters).
    pub replayed: u64,
    /// Handed out by [`take_dead_letters`](crate::Handle::take_dead_letters).
    pub taken: u64,
    /// Dropped: beyond [what is kept](crate::ChildSpec::keep_dead_letters).
    pub lost: u64,
}

/// What is known of a letter without its message.
#[derive(Clone, Copy, Debug)]
pub(super) struct Postmark {
    pub(super) reason: DeadReason,
    pub(super) label: &'static str,
    pub(super) epoch: u64,
    pub(super) at: Instant,
}

/// One kept dead letter.
#[derive(Debug)]
pub(super) struct Letter<M> {
    pub(super) number: u64,
    pub(super) mark: Postmark,
    pub(super) message: M,
}

/// The last `most` dead letters of one child.
#[derive(Debug)]
pub(super) struct Shelf<M> {
    most: usize,
    letters: VecDeque<Letter<M>>,
    /// The number of the newest.
    newest: u64,
    /// Somebody replays.
    replaying: bool,
    /// How many are in the hand of whoever replays: one, or none.
    in_hand: usize,
    replayed: u64,
    taken: u64,
    lost: u64,
}

impl<M> Shelf<M> {
    pub(super) fn new(most: usize) -> Self {
        Self {
            most,
            letters: VecDeque::new(),
            newest: 0,
            replaying: false,
            in_hand: 0,
            replayed: 0,
            taken: 0,
            lost: 0,
        }
    }

    /// Keeps a message as the newest letter. Returns the letter that is too many, the oldest.
    pub(super) fn keep(&mut self, mark: Postmark, message: M) -> Option<Letter<M>> {
        self.newest += 1;
        let oldest = if self.letters.len() >= self.most { self.letters.pop_front() } else { None };
        self.letters.push_back(Letter { number: self.newest, mark, message });
        self.lost += u64::from(oldest.is_some());
        oldest
    }

    // ---- replaying -----------------------------------------------------------------------

    /// Begins a replay, of the letters up to the number returned; `None` if somebody is at it.
    pub(super) fn begin(&mut self) -> Option<u64> {
        if self.replaying {
            return None;
        }
        self.replaying = true;
        Some(self.newest)
    }

    /// Takes the oldest letter in hand, if it is none that came after `last`.
    pub(super) fn next(&mut self, last: u64) -> Option<Letter<M>> {
        let letter = self.letters.pop_front_if(|letter| letter.number <= last)?;
        self.in_hand += 1;
        Some(letter)
    }

    /// The letter in hand was sent.
    pub(super) fn sent(&mut self) {
        self.in_hand -= 1;
        self.replayed += 1;
    }

    /// The letter in hand could not be sent: it is the oldest again. Returned if meanwhile the
    /// shelf has filled with newer ones.
    pub(super) fn put_back(&mut self, letter: Letter<M>) -> Option<Letter<M>> {
        self.in_hand -= 1;
        if self.letters.len() >= self.most {
            self.lost += 1;
            return Some(letter);
        }
        self.letters.push_front(letter);
        None
    }

    /// The replay is over.
    pub(super) fn end(&mut self) {
        self.replaying = false;
    }

    // ---- looking and taking --------------------------------------------------------------

    /// Takes all that are on the shelf, oldest first.
    pub(super) fn take(&mut self) -> VecDeque<Letter<M>> {
        let letters = std::mem::take(&mut self.letters);
        self.taken += letters.len() as u64;
        letters
    }

    /// How many are kept, with one in hand.
    pub(super) fn kept(&self) -> usize {
        self.letters.len() + self.in_hand
    }

    pub(super) fn list(&self, now: Instant) -> Vec<DeadLetterInfo> {
        let info = |&Letter { number, mark: Postmark { reason, label, epoch, at }, .. }: &Letter<M>| {
            DeadLetterInfo { number, reason, label, epoch, age: now.saturating_duration_since(at) }
        };
        self.letters.iter().map(info).collect()
    }

    pub(super) fn counts(&self) -> DeadLetterCounts {
        let kept = self.kept() as u64;
        DeadLetterCounts { handed: 0, kept, replayed: self.replayed, taken: self.taken, lost: self.lost }
    }
}

#[cfg(all(test, not(underpin_loom)))]
mod tests {
    use super::*;

    /// What may happen to a shelf.
    #[derive(Clone, Copy, Debug)]
    enum Event {
        Keep,
        Begin,
        Next,
        Sent,
        PutBack,
        End,
        Take,
    }

    const EVENTS: [Event; 7] =
        [Event::Keep, Event::Begin, Event::Next, Event::Sent, Event::PutBack, Event::End, Event::Take];

    /// A shelf, and where each letter that left it went.
    struct Books {
        shelf: Shelf<u64>,
        most: usize,
        mark: Postmark,
        last: Option<u64>,
        hand: Option<Letter<u64>>,
        replayed: Vec<u64>,
        taken: Vec<u64>,
        lost: Vec<u64>,
    }

    impl Books {
        fn new(most: usize, at: Instant) -> Self {
            let mark = Postmark { reason: DeadReason::Stopped, label: "number", epoch: 1, at };
            let (replayed, taken, lost) = (Vec::new(), Vec::new(), Vec::new());
            Self { shelf: Shelf::new(most), most, mark, last: None, hand: None, replayed, taken, lost }
        }

        /// `false` if it cannot happen now.
        fn happen(&mut self, event: Event) -> bool {
            match (event, self.last, self.hand.take()) {
                (Event::Keep, _, hand) => {
                    self.hand = hand;
                    let gone = self.shelf.keep(self.mark, self.shelf.newest + 1);
                    self.lose(gone);
                }
                (Event::Begin, None, None) => self.last = self.shelf.begin(),
                (Event::Begin, Some(_), hand) => {
                    self.hand = hand;
                    assert_eq!(self.shelf.begin(), None, "one at a time");
                }
                (Event::Next, Some(last), None) => {
                    self.hand = self.shelf.next(last);
                    return self.hand.is_some();
                }
                (Event::Sent, _, Some(letter)) => {
                    self.shelf.sent();
                    self.replayed.push(letter.message);
                }
                (Event::PutBack, _, Some(letter)) => {
                    let gone = self.shelf.put_back(letter);
                    self.lose(gone);
                }
                (Event::End, Some(_), None) => {
                    self.shelf.end();
                    self.last = None;
                }
                (Event::Take, _, hand) => {
                    self.hand = hand;
                    self.taken.extend(self.shelf.take().into_iter().map(|letter| letter.message));
                }
                _ => return false,
            }
            true
        }

        fn lose(&mut self, gone: Option<Letter<u64>>) {
            let Some(letter) = gone else { return };
            let kept = self.numbers();
            assert_eq!(kept.len(), self.most, "lost without need");
            assert!(kept.iter().all(|kept| letter.message < *kept), "the oldest is lost");
            self.lost.push(letter.message);
        }

        fn numbers(&self) -> Vec<u64> {
            self.shelf.list(self.mark.at).iter().map(|info| info.number).collect()
        }

        fn check(&self, events: &[Event]) {
            let kept = self.numbers();
            assert!(kept.len() <= self.most && kept.is_sorted(), "{events:?}: {kept:?}");
            let hand = self.hand.as_ref().map(|letter| letter.message);
            let counts = self.shelf.counts();
            assert_eq!(counts.kept as usize, kept.len() + usize::from(hand.is_some()), "{events:?}");
            let gone = [&self.replayed, &self.taken, &self.lost].map(|numbers| numbers.len() as u64);
            assert_eq!([counts.replayed, counts.taken, counts.lost], gone, "{events:?}");
            let mut all = [&kept[..], &self.replayed, &self.taken, &self.lost, hand.as_slice()].concat();
            all.sort_unstable();
            assert!(all.into_iter().eq(1..=self.shelf.newest), "{events:?}: each in one place");
            assert!(self.replayed.is_sorted(), "{events:?}: oldest first");
        }
    }

    /// Every sequence of `depth` events that can happen.
    fn explore(events: &mut Vec<Event>, depth: usize, most: usize, at: Instant) -> usize {
        let mut books = Books::new(most, at);
        if !events.iter().all(|event| books.happen(*event)) {
            return 0;
        }
        books.check(events);
        if depth == 0 {
            return 1;
        }
        let mut sequences = 0;
        for event in EVENTS {
            events.push(event);
            sequences += explore(events, depth - 1, most, at);
            events.pop();
        }
        sequences
    }

    #[test]
    fn every_letter_is_in_one_place_and_in_order_whatever_happens() {
        let at = crate::sync::Clock::system().now();
        for most in 1..=2 {
            assert!(explore(&mut Vec::new(), 9, most, at) > 10_000);
        }
    }

    #[test]
    fn a_letter_that_came_after_a_replay_began_is_not_part_of_it() {
        let at = crate::sync::Clock::system().now();
        let mut books = Books::new(4, at);
        assert!([Event::Keep, Event::Begin, Event::Keep, Event::Next].into_iter().all(|e| books.happen(e)));
        assert!(books.happen(Event::Sent) && !books.happen(Event::Next));
        assert_eq!(books.numbers(), [2]);
    }
}
