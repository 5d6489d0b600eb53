//! How many tasks of one key run at once.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, VecDeque};

use super::head::Key;

/// Counts what runs of each key, and keeps what must wait. Of a key nothing stays behind that has nothing running.
#[derive(Debug)]
pub(crate) struct Keys<J> {
    most: usize,
    lanes: HashMap<Key, Lane<J>>,
    waiting: usize,
}

#[derive(Debug)]
struct Lane<J> {
    running: usize,
    /// Those that may be looked at again, and have not been.
    released: usize,
    waiting: VecDeque<J>,
}

impl<J> Default for Lane<J> {
    fn default() -> Self {
        Self { running: 0, released: 0, waiting: VecDeque::new() }
    }
}

impl<J> Lane<J> {
    fn is_over(&self) -> bool {
        self.running == 0 && self.released == 0 && self.waiting.is_empty()
    }
}

impl<J> Keys<J> {
    pub(crate) fn new(most: usize) -> Self {
        Self { most: most.max(1), lanes: HashMap::new(), waiting: 0 }
    }

    /// One more is to run. `false` if as many do as may.
    pub(crate) fn enter(&mut self, key: &Key) -> bool {
        let Some(lane) = self.lanes.get_mut(key) else {
            self.lanes.insert(Key::clone(key), Lane { running: 1, ..Lane::default() });
            return true;
        };
        let may = lane.running < self.most;
        lane.running += usize::from(may);
        may
    }

    /// One has to wait until another of its key has ended: before all others, if it has waited before.
    pub(crate) fn wait(&mut self, key: &Key, job: J, is_first: bool) {
        let lane = self.lanes.entry(Key::clone(key)).or_default();
        if is_first {
            lane.waiting.push_front(job);
        } else {
            lane.waiting.push_back(job);
        }
        self.waiting += 1;
    }

    /// One has ended: who has waited longest of its key may be looked at again.
    pub(crate) fn leave(&mut self, key: &Key) -> Option<J> {
        self.change(key, |lane| lane.running = lane.running.saturating_sub(1))
    }

    /// One that might be looked at again was, or is not wanted any more.
    pub(crate) fn is_back(&mut self, key: &Key) {
        if let Some(lane) = self.lanes.get_mut(key) {
            lane.released = lane.released.saturating_sub(1);
        }
    }

    /// Who has waited longest of a key may be looked at again, if fewer run and are about to than may.
    pub(crate) fn release(&mut self, key: &Key) -> Option<J> {
        self.change(key, |_| ())
    }

    fn change(&mut self, key: &Key, change: impl FnOnce(&mut Lane<J>)) -> Option<J> {
        let Entry::Occupied(mut entry) = self.lanes.entry(Key::clone(key)) else { return None };
        let lane = entry.get_mut();
        change(lane);
        let may = lane.running.saturating_add(lane.released) < self.most;
        let next = if may { lane.waiting.pop_front() } else { None };
        lane.released += usize::from(next.is_some());
        self.waiting -= usize::from(next.is_some());
        if lane.is_over() {
            entry.remove();
        }
        next
    }

    /// How many wait.
    pub(crate) fn waiting(&self) -> usize {
        self.waiting
    }

    /// How many keys there are of which something runs.
    pub(crate) fn len(&self) -> usize {
        self.lanes.len()
    }

    /// Takes out all that wait and are not wanted.
    pub(crate) fn purge(&mut self, mut is_wanted: impl FnMut(&J) -> bool) -> Vec<J> {
        let mut out = Vec::new();
        for lane in self.lanes.values_mut() {
            out.extend(unwanted(&mut lane.waiting, &mut is_wanted));
        }
        self.waiting -= out.len();
        self.lanes.retain(|_, lane| !lane.is_over());
        out
    }
}

/// Takes out all that are not wanted. The others keep their order.
pub(crate) fn unwanted<J>(queue: &mut VecDeque<J>, mut is_wanted: impl FnMut(&J) -> bool) -> VecDeque<J> {
    let (wanted, others) = std::mem::take(queue).into_iter().partition(|job| is_wanted(job));
    *queue = wanted;
    others
}
