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
    waiting: VecDeque<J>,
}

impl<J> Keys<J> {
    pub(crate) fn new(most: usize) -> Self {
        Self { most: most.max(1), lanes: HashMap::new(), waiting: 0 }
    }

    /// One more is to run. `false` if as many do as may.
    pub(crate) fn enter(&mut self, key: &Key) -> bool {
        let Some(lane) = self.lanes.get_mut(key) else {
            self.lanes.insert(Key::clone(key), Lane { running: 1, waiting: VecDeque::new() });
            return true;
        };
        let may = lane.running < self.most;
        lane.running += usize::from(may);
        may
    }

    /// One has to wait until another of its key has ended.
    pub(crate) fn wait(&mut self, key: &Key, job: J) {
        let lane = self.lanes.entry(Key::clone(key));
        let lane = lane.or_insert_with(|| Lane { running: 0, waiting: VecDeque::new() });
        lane.waiting.push_back(job);
        self.waiting += 1;
    }

    /// One has ended: who has waited longest of its key may be looked at again.
    pub(crate) fn leave(&mut self, key: &Key) -> Option<J> {
        let Entry::Occupied(mut lane) = self.lanes.entry(Key::clone(key)) else { return None };
        lane.get_mut().running = lane.get().running.saturating_sub(1);
        let next = lane.get_mut().waiting.pop_front();
        self.waiting -= usize::from(next.is_some());
        if lane.get().running == 0 && lane.get().waiting.is_empty() {
            lane.remove();
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
        self.lanes.retain(|_, lane| lane.running > 0 || !lane.waiting.is_empty());
        out
    }
}

/// Takes out all that are not wanted. The others keep their order.
pub(crate) fn unwanted<J>(queue: &mut VecDeque<J>, mut is_wanted: impl FnMut(&J) -> bool) -> VecDeque<J> {
    let (wanted, others) = std::mem::take(queue).into_iter().partition(|job| is_wanted(job));
    *queue = wanted;
    others
}
