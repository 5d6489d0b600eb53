//! Who has a place, and who waits for one.

use std::collections::VecDeque;

/// Places that are taken and given back, and a queue for them.
///
/// Whoever comes takes as many as they weigh, and queues up where there are too few or somebody waits already: first
/// come, first served, also where somebody lighter behind would fit. Whoever is called out of the queue has their
/// places by then: they are handed over, never left for others to snatch.
#[derive(Debug)]
pub(crate) struct Seats<T> {
    most: u32,
    used: u32,
    queue: VecDeque<(u32, T)>,
}

impl<T> Seats<T> {
    pub(crate) fn new(most: u32) -> Self {
        Self { most, used: 0, queue: VecDeque::new() }
    }

    /// Takes places, if there are so many and nobody waits.
    pub(crate) fn sit(&mut self, weight: u32) -> bool {
        let may = self.queue.is_empty() && self.fits(weight);
        self.used += if may { weight } else { 0 };
        may
    }

    /// Waits behind all others.
    pub(crate) fn queue_up(&mut self, weight: u32, who: T) {
        self.queue.push_back((weight, who));
    }

    /// Gives places back. Returns who is called.
    #[must_use]
    pub(crate) fn rise(&mut self, weight: u32) -> Vec<T> {
        self.used = self.used.saturating_sub(weight);
        self.call()
    }

    /// Leaves the queue. Returns who is called now that they are not in front of others any more; `None` if they are
    /// not in the queue: they have been called, or sent away.
    #[must_use]
    pub(crate) fn leave(&mut self, is_me: impl Fn(&T) -> bool) -> Option<Vec<T>> {
        let at = self.queue.iter().position(|(_, who)| is_me(who))?;
        self.queue.remove(at);
        Some(self.call())
    }

    /// There are so many places from now on. Returns who is called, and who is sent away: there will never be as many
    /// as they weigh. Where more are taken already, they go as they are given back.
    #[must_use]
    pub(crate) fn change(&mut self, most: u32) -> (Vec<T>, Vec<T>) {
        self.most = most;
        let (mut kept, mut sent_away) = (VecDeque::new(), Vec::new());
        for (weight, who) in self.queue.drain(..) {
            if weight > most { sent_away.push(who) } else { kept.push_back((weight, who)) }
        }
        self.queue = kept;
        (self.call(), sent_away)
    }

    pub(crate) fn most(&self) -> u32 {
        self.most
    }

    pub(crate) fn used(&self) -> u32 {
        self.used
    }

    pub(crate) fn waiting(&self) -> usize {
        self.queue.len()
    }

    /// Those at the front who fit, with their places taken.
    fn call(&mut self) -> Vec<T> {
        let mut called = Vec::new();
        while let Some((weight, _)) = self.queue.front()
            && self.fits(*weight)
            && let Some((weight, who)) = self.queue.pop_front()
        {
            self.used += weight;
            called.push(who);
        }
        called
    }

    fn fits(&self, weight: u32) -> bool {
        weight <= self.most.saturating_sub(self.used)
    }
}

#[cfg(all(test, not(underpin_loom)))]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[derive(Clone, Copy, Debug)]
    enum Step {
        Come(u32),
        Rise(usize),
        Leave(usize),
        Change(u32),
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let step = prop_oneof![
            4 => (0..5_u32).prop_map(Step::Come),
            4 => any::<usize>().prop_map(Step::Rise),
            1 => any::<usize>().prop_map(Step::Leave),
            1 => (0..6_u32).prop_map(Step::Change),
        ];
        prop::collection::vec(step, 0..80)
    }

    /// Two lists, gone through from the front at each change.
    #[derive(Default)]
    struct Naive {
        most: u32,
        seated: Vec<(usize, u32)>,
        waiting: Vec<(usize, u32)>,
    }

    impl Naive {
        fn used(&self) -> u32 {
            self.seated.iter().map(|(_, weight)| weight).sum()
        }

        /// Who gets a place.
        fn settle(&mut self) -> Vec<usize> {
            let mut called = Vec::new();
            while !self.waiting.is_empty() && self.waiting[0].1 <= self.most.saturating_sub(self.used()) {
                let first = self.waiting.remove(0);
                self.seated.push(first);
                called.push(first.0);
            }
            called
        }
    }

    proptest! {
        #[test]
        fn first_come_first_served_and_never_too_many(most in 0..6_u32, steps in steps()) {
            let mut seats = Seats::new(most);
            let mut naive = Naive { most, ..Naive::default() };
            for (number, step) in steps.into_iter().enumerate() {
                match step {
                    Step::Come(weight) => {
                        let is_seated = seats.sit(weight);
                        if !is_seated {
                            seats.queue_up(weight, number);
                        }
                        naive.waiting.push((number, weight));
                        prop_assert_eq!(naive.settle().contains(&number), is_seated);
                    }
                    Step::Rise(which) if !naive.seated.is_empty() => {
                        let (_, weight) = naive.seated.remove(which % naive.seated.len());
                        prop_assert_eq!(seats.rise(weight), naive.settle());
                    }
                    Step::Leave(which) if !naive.waiting.is_empty() => {
                        let (who, _) = naive.waiting.remove(which % naive.waiting.len());
                        prop_assert_eq!(seats.leave(|other| *other == who), Some(naive.settle()));
                        prop_assert_eq!(seats.leave(|other| *other == who), None);
                    }
                    Step::Change(most) => {
                        naive.most = most;
                        let (kept, gone): (Vec<_>, Vec<_>) =
                            naive.waiting.drain(..).partition(|(_, weight)| *weight <= most);
                        naive.waiting = kept;
                        let gone: Vec<_> = gone.into_iter().map(|(who, _)| who).collect();
                        prop_assert_eq!(seats.change(most), (naive.settle(), gone));
                    }
                    Step::Rise(_) | Step::Leave(_) => {}
                }
                prop_assert_eq!((seats.used(), seats.waiting()), (naive.used(), naive.waiting.len()));
            }
        }
    }

    #[test]
    fn the_heaviest_weights_do_not_overflow() {
        let mut seats = Seats::<()>::new(u32::MAX);
        assert!(seats.sit(u32::MAX) && !seats.sit(1) && !seats.sit(u32::MAX) && seats.sit(0));
        assert_eq!((seats.change(1), seats.sit(0), seats.sit(1)), ((vec![], vec![]), true, false));
        assert_eq!((seats.rise(u32::MAX), seats.used()), (vec![], 0));
    }
}
