//! Those who were abandoned, over a whole tree.

use std::sync::Arc;

use super::activity::Activity;
use super::exit::Lifecycle;
use super::incarnation::{Incarnation, Node};
use crate::sync::{AtomicU64, Mutex, Ordering, ThreadId, mutant};

/// How many abandoned threads a tree may have before it adds nothing more, if nothing else is said.
///
/// Each holds a stack, and whatever its state holds. A tree that loses 32 threads for good has a
/// fault that no further thread mends.
pub const DEFAULT_MAX_ABANDONED: usize = 32;

/// The incarnations that were abandoned and whose threads still exist, over a whole tree.
#[derive(Clone)]
pub(crate) struct Zombies(Arc<Shared>);

struct Shared {
    most: usize,
    ever: AtomicU64,
    list: Mutex<Vec<Zombie>>,
}

/// One of them.
#[derive(Clone)]
pub(crate) struct Zombie {
    pub(crate) supervisor: Arc<str>,
    pub(crate) incarnation: Arc<Incarnation>,
    /// What it did when it was abandoned.
    pub(crate) state: Lifecycle,
    pub(crate) activity: Option<Activity>,
    /// In a simulation there is none.
    pub(crate) thread: Option<ThreadId>,
}

impl Default for Zombies {
    fn default() -> Self {
        Self::new(DEFAULT_MAX_ABANDONED)
    }
}

impl Zombies {
    /// From `most` on nothing is added to the tree.
    pub(crate) fn new(most: usize) -> Self {
        Self(Arc::new(Shared { most, ever: AtomicU64::new(0), list: Mutex::new(Vec::new()) }))
    }

    /// Puts one on the list, which `abandon` then marks. If it ends in this very moment, one of the two
    /// is first to write: it finds the mark and takes itself off, or its end is found here.
    pub(crate) fn add(&self, zombie: Zombie, abandon: impl FnOnce()) {
        let incarnation = Arc::clone(&zombie.incarnation);
        self.0.ever.fetch_add(1, Ordering::Relaxed);
        self.0.list.lock().push(zombie);
        abandon();
        if incarnation.has_ended() && !mutant!(EnlistBlindly) {
            self.remove(&incarnation);
        }
    }

    pub(crate) fn remove(&self, incarnation: &Arc<Incarnation>) {
        if incarnation.is_abandoned() {
            self.0.list.lock().retain(|zombie| !Arc::ptr_eq(&zombie.incarnation, incarnation));
        }
    }

    pub(crate) fn list(&self) -> Vec<Zombie> {
        self.0.list.lock().clone()
    }

    /// How many threads there are now.
    pub(crate) fn alive(&self) -> usize {
        self.0.list.lock().len()
    }

    /// How many incarnations were abandoned so far.
    pub(crate) fn ever(&self) -> u64 {
        self.0.ever.load(Ordering::Relaxed)
    }

    /// Whether so many more would leave no room for their successors. Then how many there may be.
    pub(crate) fn no_room_after(&self, more: usize) -> Option<usize> {
        (self.alive() + more >= self.0.most).then_some(self.0.most)
    }

    /// Whether there are too many for another thread: one for a new child, or for one that has
    /// itself left such a thread. Then how many there may be.
    pub(crate) fn too_many_for(&self, child: &Arc<Node>, is_new: bool) -> Option<usize> {
        let list = self.0.list.lock();
        let has_left_one = || list.iter().any(|zombie| Arc::ptr_eq(&zombie.incarnation.node, child));
        (list.len() >= self.0.most && (is_new || has_left_one())).then_some(self.0.most)
    }
}
