//! What was noted, in order; others wait for it.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use super::here;
use crate::service::deadline::Deadline;
use crate::sync::{self, Mutex, Thread};

/// What was noted, in order. Clones share it.
pub(super) struct Log<T>(Arc<Mutex<Inside<T>>>);

struct Inside<T> {
    entries: VecDeque<T>,
    waiting: Vec<Thread>,
}

impl<T> Log<T> {
    pub(super) fn new() -> Self {
        Self(Arc::new(Mutex::new(Inside { entries: VecDeque::new(), waiting: Vec::new() })))
    }

    /// Notes an entry, and has all who wait look again.
    pub(super) fn push(&self, entry: T) {
        let mut inside = self.0.lock();
        inside.entries.push_back(entry);
        inside.waiting.iter().for_each(Thread::unpark);
    }

    /// Takes the oldest entry out.
    pub(super) fn pop(&self) -> Option<T> {
        self.0.lock().entries.pop_front()
    }

    /// Takes all entries out, in their order.
    pub(super) fn take(&self) -> Vec<T> {
        std::mem::take(&mut self.0.lock().entries).into()
    }

    /// Waits until `look` finds something; `None` when the time was over first. It is called again
    /// after each entry, with no lock held.
    pub(super) fn wait<R>(&self, timeout: Duration, mut look: impl FnMut() -> Option<R>) -> Option<R> {
        let (clock, _waiting) = (here::clock(), self.join());
        let deadline = Deadline::from(clock.now(), timeout);
        loop {
            if let Some(found) = look() {
                return Some(found);
            }
            if deadline.has_passed(clock.now()) {
                return None;
            }
            clock.park(deadline.instant());
        }
    }

    /// From here to the drop of what it returns, the thread is woken by each entry.
    fn join(&self) -> Waiting<'_, T> {
        let me = sync::current_thread();
        self.0.lock().waiting.push(me.clone());
        Waiting { log: self, me }
    }
}

impl<T: Clone> Log<T> {
    /// The entry at `index`, counted from the oldest.
    pub(super) fn get(&self, index: usize) -> Option<T> {
        self.0.lock().entries.get(index).cloned()
    }

    /// All entries, in their order.
    pub(super) fn all(&self) -> Vec<T> {
        self.0.lock().entries.iter().cloned().collect()
    }
}

impl<T> Clone for Log<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

/// One who waits.
struct Waiting<'a, T> {
    log: &'a Log<T>,
    me: Thread,
}

impl<T> Drop for Waiting<'_, T> {
    fn drop(&mut self) {
        let mut inside = self.log.0.lock();
        if let Some(at) = inside.waiting.iter().position(|thread| thread.id() == self.me.id()) {
            inside.waiting.swap_remove(at);
        }
    }
}
