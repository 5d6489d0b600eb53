//! Which lines of one client are decided, and how many of those are durable.

use std::collections::VecDeque;

/// The lines of one client, in their order. Each is decided once: it is durable, or it came to nothing.
///
/// No line counts before all in front of it are decided. It holds one byte for each line from the first that
/// is not decided on: as many as the queues hold.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    issued: u64,
    /// The first so many are decided.
    decided: u64,
    durable: u64,
    /// What is known of those after them.
    ahead: VecDeque<Option<bool>>,
}

impl Ledger {
    /// The number of the next line, from 1 on.
    pub(crate) fn issue(&mut self) -> u64 {
        self.issued += 1;
        self.issued
    }

    /// A line is durable, or came to nothing. Whether that decides more of the first lines than before.
    pub(crate) fn decide(&mut self, line: u64, is_durable: bool) -> bool {
        let Some(at) = line.checked_sub(self.decided + 1) else { return false };
        let at = at as usize;
        if self.ahead.len() <= at {
            self.ahead.resize(at + 1, None);
        }
        self.ahead[at] = Some(is_durable);
        let before = self.decided;
        while let Some(&Some(is_durable)) = self.ahead.front() {
            self.ahead.pop_front();
            self.decided += 1;
            self.durable += u64::from(is_durable);
        }
        self.decided > before
    }

    /// How many are durable, of those that have no undecided one before them.
    pub(crate) fn durable(&self) -> u64 {
        self.durable
    }

    /// Whether all that were issued are decided.
    pub(crate) fn is_settled(&self) -> bool {
        self.decided == self.issued
    }
}

#[cfg(test)]
mod tests {
    use super::Ledger;

    #[test]
    fn a_line_counts_when_all_before_it_are_decided() {
        let mut ledger = Ledger::default();
        assert_eq!([ledger.issue(), ledger.issue(), ledger.issue()], [1, 2, 3]);
        assert!(!ledger.decide(3, true) && !ledger.decide(2, true));
        assert_eq!((ledger.durable(), ledger.is_settled()), (0, false));
        assert!(ledger.decide(1, false));
        assert_eq!((ledger.durable(), ledger.is_settled()), (2, true));
    }

    #[test]
    fn what_is_decided_stays_so() {
        let mut ledger = Ledger::default();
        let line = ledger.issue();
        assert!(ledger.decide(line, true) && !ledger.decide(line, false) && !ledger.decide(line, true));
        assert_eq!(ledger.durable(), 1);
    }

    /// In each order in which lines may be decided, with each outcome.
    #[test]
    fn the_count_is_that_of_the_durable_ones_in_front_of_the_first_undecided() {
        const LINES: u64 = 5;
        for outcomes in 0..1_u32 << LINES {
            let mut ledger = Ledger::default();
            for _ in 0..LINES {
                ledger.issue();
            }
            let mut order: Vec<u64> = (1..=LINES).collect();
            order.rotate_left(outcomes as usize % LINES as usize);
            order.swap(0, outcomes as usize / 7 % LINES as usize);
            for decided in 1..=order.len() {
                let known = &order[..decided];
                ledger.decide(order[decided - 1], outcomes >> order[decided - 1] & 1 == 1);
                let front = (1..=LINES).take_while(|line| known.contains(line));
                let expected = front.filter(|line| outcomes >> line & 1 == 1).count() as u64;
                assert_eq!(ledger.durable(), expected, "{known:?} of {outcomes:b}");
            }
            assert!(ledger.is_settled());
        }
    }
}
