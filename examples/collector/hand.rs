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

    type Event = fn(&mut Story);

    /// How many lines there are.
    const LINES: u64 = 3;

    /// What has happened so far. A worker handles lines in three steps each: take, send, answer. A
    /// successor gives it up and handles the others. A sink gets what they send.
    #[derive(Clone, Default)]
    struct Story {
        word: u64,
        /// Lines that were taken out of the mailbox, and the one that the worker has.
        taken: u64,
        line: u64,
        steps: u64,
        is_given_up: bool,
        /// It was given up, and takes up nothing more.
        is_done: bool,
        /// Lines, and their numbers by the worker's count; `None` is the successor's.
        queue: Vec<(u64, Option<u64>)>,
        came_out: Vec<u64>,
        /// By whoever passed it on, if it was not given up by then.
        stored: Vec<u64>,
        lost: Vec<u64>,
    }

    impl Story {
        fn with_hand<T>(&mut self, act: impl FnOnce(&Hand) -> T) -> T {
            let hand = Hand(self.word.into());
            let result = act(&hand);
            self.word = hand.0.into_inner();
            result
        }

        fn take(&mut self) -> u64 {
            self.taken += 1;
            self.taken
        }

        /// One that was given up finishes its line, or the one that it was just taking.
        fn may_work(&self) -> bool {
            let is_inside = !self.steps.is_multiple_of(3);
            is_inside || !self.is_done && self.taken < LINES
        }

        fn work(&mut self) {
            let number = self.steps / 3 + 1;
            self.steps += 1;
            match self.steps % 3 {
                1 => {
                    self.line = self.take();
                    self.is_done = self.is_given_up;
                    if !self.with_hand(|hand| hand.take_up(number)) {
                        self.lost.push(self.line);
                        self.steps = 0;
                    }
                }
                2 => self.queue.push((self.line, Some(number))),
                _ => {
                    if self.with_hand(|hand| hand.answer(number)) {
                        self.stored.push(self.line);
                    }
                }
            }
        }

        fn give_up(&mut self) {
            self.is_given_up = true;
            self.is_done = !self.steps.is_multiple_of(3);
            if self.with_hand(Hand::give_up) {
                self.lost.push(self.line);
            }
        }

        fn succeed(&mut self) {
            let line = self.take();
            self.queue.push((line, None));
            self.stored.push(line);
        }

        fn sink(&mut self) {
            let (line, number) = self.queue.remove(0);
            if number.is_none_or(|number| self.with_hand(|hand| hand.answer(number))) {
                self.came_out.push(line);
            }
        }

        /// Goes on in each order in which these may come. Says how many orders there are.
        fn go_on(&self) -> usize {
            let may: [(bool, Event); 4] = [
                (self.may_work(), Self::work),
                (!self.is_given_up, Self::give_up),
                (self.is_given_up && self.taken < LINES, Self::succeed),
                (!self.queue.is_empty(), Self::sink),
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
            assert_eq!(all, Vec::from_iter(1..=LINES), "each once");
            assert!(self.came_out.is_sorted(), "in order: {:?}", self.came_out);
            let mut stored = self.stored.clone();
            stored.sort_unstable();
            assert_eq!(stored, self.came_out, "what comes out is stored, and what is lost is not");
            assert!(self.lost.len() <= 1, "at most one is lost: {:?}", self.lost);
            1
        }
    }

    #[test]
    fn each_line_comes_out_or_is_lost_in_whatever_order_things_happen() {
        assert_eq!(Story::default().go_on(), 575);
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
