//! What is to begin later.

use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;
use std::time::Instant;

/// What is to begin later, by its moment; what has the same, in the order in which it came.
#[derive(Debug)]
pub(crate) struct Later<J> {
    heap: BinaryHeap<Reverse<Entry<J>>>,
    came: u64,
}

#[derive(Debug)]
struct Entry<J> {
    due: Instant,
    came: u64,
    job: J,
}

impl<J> Later<J> {
    pub(crate) fn new() -> Self {
        Self { heap: BinaryHeap::new(), came: 0 }
    }

    /// Whether it is the first of all now.
    pub(crate) fn push(&mut self, due: Instant, job: J) -> bool {
        let is_first = self.next().is_none_or(|first| due < first);
        self.heap.push(Reverse(Entry { due, came: self.came, job }));
        self.came += 1;
        is_first
    }

    /// The first, if it is due.
    pub(crate) fn pop(&mut self, now: Instant) -> Option<J> {
        self.next().filter(|&due| due <= now)?;
        self.heap.pop().map(|Reverse(entry)| entry.job)
    }

    /// When the first is due.
    pub(crate) fn next(&self) -> Option<Instant> {
        self.heap.peek().map(|Reverse(entry)| entry.due)
    }

    pub(crate) fn len(&self) -> usize {
        self.heap.len()
    }

    /// Takes out all that are not wanted.
    pub(crate) fn purge(&mut self, mut is_wanted: impl FnMut(&J) -> bool) -> Vec<J> {
        let entries = std::mem::take(&mut self.heap).into_vec();
        let (wanted, others): (Vec<_>, Vec<_>) =
            entries.into_iter().partition(|Reverse(entry)| is_wanted(&entry.job));
        self.heap = wanted.into();
        others.into_iter().map(|Reverse(entry)| entry.job).collect()
    }
}

impl<J> Entry<J> {
    fn place(&self) -> (Instant, u64) {
        (self.due, self.came)
    }
}

impl<J> PartialEq for Entry<J> {
    fn eq(&self, other: &Self) -> bool {
        self.place() == other.place()
    }
}

impl<J> Eq for Entry<J> {}

impl<J> PartialOrd for Entry<J> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<J> Ord for Entry<J> {
    fn cmp(&self, other: &Self) -> Ordering {
        self.place().cmp(&other.place())
    }
}
