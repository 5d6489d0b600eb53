//! What one incarnation holds: a line, or none. It decides who answers for that line when the
//! incarnation is given up in the very moment in which it passes the line on.

use std::sync::atomic::{AtomicU64, Ordering};

/// A line is in it.
const HOLDS: u64 = 1;
/// It was given up.
const OVER: u64 = 2;
/// Above these two the number of the line.
const LINE: u64 = 4;

/// The hand of one incarnation. Lines are numbered from 1, and come one after the other.
///
/// For each line one of two things happens, and only one: somebody answers for it, or it is given
/// up. All is in one word, so of two that race one is first, and the other hears of it. One that was
/// given up takes up nothing more.
#[derive(Debug, Default)]
pub(crate) struct Hand(AtomicU64);

impl Hand {
    /// Takes up the next line. `false` if the hand was given up.
    pub(crate) fn take_up(&self, line: u64) -> bool {
        self.change((line - 1) * LINE, (line * LINE) | HOLDS).is_ok()
    }

    /// Answers for a line that was taken up, once or more often. `false` if it was given up before
    /// anybody did.
    pub(crate) fn answer(&self, line: u64) -> bool {
        let held = (line * LINE) | HOLDS;
        match self.0.load(Ordering::Acquire) {
            found if found == held => self.change(held, line * LINE) != Err(held | OVER),
            found => found != held | OVER,
        }
    }

    /// Gives up what it holds, and all that is to come. Whether it held a line.
    pub(crate) fn give_up(&self) -> bool {
        self.0.fetch_or(OVER, Ordering::AcqRel) & (HOLDS | OVER) == HOLDS
    }

    fn change(&self, from: u64, to: u64) -> Result<u64, u64> {
        self.0.compare_exchange(from, to, Ordering::AcqRel, Ordering::Acquire)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What has happened so far: a worker that handles lines in three steps each (take up, send,
    /// answer), a sink that gets them, and a successor that gives the worker up.
    #[derive(Clone)]
    struct Story {
        word: u64,
        steps: u64,
        /// After how many steps the worker is done.
        last: u64,
        queue: Vec<u64>,
        came_out: Vec<u64>,
        lost: Vec<u64>,
        is_given_up: bool,
    }

    impl Story {
        fn begin() -> Self {
            let (queue, came_out, lost) = Default::default();
            Self { word: 0, steps: 0, last: 6, queue, came_out, lost, is_given_up: false }
        }

        fn line(&self) -> u64 {
            self.steps / 3 + 1
        }

        fn with_hand<T>(&mut self, act: impl FnOnce(&Hand) -> T) -> T {
            let hand = Hand(self.word.into());
            let result = act(&hand);
            self.word = hand.0.into_inner();
            result
        }

        fn work(&mut self) {
            let line = self.line();
            match self.steps % 3 {
                0 if !self.with_hand(|hand| hand.take_up(line)) => {
                    self.lost.push(line);
                    self.last = 0;
                }
                0 => {}
                1 => self.queue.push(line),
                _ => drop(self.with_hand(|hand| hand.answer(line))),
            }
            self.steps += 1;
        }

        fn sink(&mut self) {
            let line = self.queue.remove(0);
            if self.with_hand(|hand| hand.answer(line)) {
                self.came_out.push(line);
            }
        }

        /// One that was abandoned finishes its line, or the one that it was just taking.
        fn give_up(&mut self) {
            self.is_given_up = true;
            self.last = self.last.min(self.line() * 3);
            if self.with_hand(Hand::give_up) {
                self.lost.push(self.line());
            }
        }

        /// Goes on in each order in which these may come. Says how many orders there are.
        fn go_on(&self) -> usize {
            let may: [(bool, fn(&mut Self)); 3] = [
                (self.steps < self.last, Self::work),
                (!self.queue.is_empty(), Self::sink),
                (!self.is_given_up, Self::give_up),
            ];
            let ends = may.into_iter().filter(|(may, _)| *may).map(|(_, step)| {
                let mut story = self.clone();
                step(&mut story);
                story.go_on()
            });
            match ends.sum() {
                0 => self.end(),
                ends => ends,
            }
        }

        fn end(&self) -> usize {
            let mut all = [&self.came_out[..], &self.lost[..]].concat();
            all.sort_unstable();
            assert!(all == [1] || all == [1, 2], "each once: {all:?}");
            assert!(self.lost.len() <= 1, "{:?}", self.lost);
            assert!(self.lost.iter().all(|lost| self.came_out.iter().all(|out| out < lost)));
            1
        }
    }

    #[test]
    fn each_line_comes_out_or_is_lost_in_whatever_order_things_happen() {
        assert!(Story::begin().go_on() > 100);
    }

    #[test]
    fn what_was_given_up_is_lost_once() {
        let hand = Hand::default();
        assert!(hand.take_up(1));
        assert_eq!((hand.give_up(), hand.give_up()), (true, false));
        assert!(!hand.answer(1) && !hand.take_up(2));
    }

    #[test]
    fn what_somebody_answers_for_is_not_lost() {
        let hand = Hand::default();
        assert!(hand.take_up(1) && hand.answer(1) && hand.answer(1));
        assert!(!hand.give_up());
        assert!(hand.answer(1), "it was in time");
    }
}
