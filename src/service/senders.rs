//! The senders that a full mailbox keeps waiting.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::sync::{self, AtomicBool, AtomicU64, Mutex, Ordering, Thread, fence, mutant};

/// The senders that wait for space, in their order.
#[derive(Debug, Default)]
pub(crate) struct SenderQueue {
    waiting: AtomicU64,
    queue: Mutex<VecDeque<Arc<Waiting>>>,
}

/// One blocked sender.
#[derive(Debug)]
pub(crate) struct Waiting {
    called: AtomicBool,
    thread: Thread,
}

impl Waiting {
    /// Whether there may be space by now.
    pub(crate) fn is_called(&self) -> bool {
        self.called.load(Ordering::SeqCst)
    }

    fn call(&self) {
        self.called.store(true, Ordering::SeqCst);
        self.thread.unpark();
    }
}

impl SenderQueue {
    /// Whether somebody waits.
    #[cfg(all(test, feature = "tasks", not(underpin_loom)))]
    pub(crate) fn has_somebody(&self) -> bool {
        self.waiting.load(Ordering::SeqCst) != 0
    }

    /// Joins the queue. The caller looks for space once more before it parks.
    pub(crate) fn join(&self) -> Arc<Waiting> {
        let thread = sync::current_thread();
        let waiting = Arc::new(Waiting { called: AtomicBool::new(false), thread });
        let mut queue = self.queue.lock();
        queue.push_back(Arc::clone(&waiting));
        self.waiting.fetch_add(1, Ordering::SeqCst);
        drop(queue);
        if !mutant!(JoinWithoutFence) {
            fence(Ordering::SeqCst);
        }
        waiting
    }

    /// Leaves the queue. A call that came meanwhile goes to the next: who leaves without waiting
    /// for it does not need the space, or has found some other.
    pub(crate) fn leave(&self, me: &Arc<Waiting>) {
        let mut queue = self.queue.lock();
        if let Some(at) = queue.iter().position(|other| Arc::ptr_eq(other, me)) {
            queue.remove(at);
            self.waiting.fetch_sub(1, Ordering::SeqCst);
            return;
        }
        drop(queue);
        if !mutant!(SwallowCall) {
            self.call_one();
        }
    }

    /// There is space for one more: calls the first in the queue.
    #[inline]
    pub(crate) fn call_one(&self) {
        if self.waiting.load(Ordering::SeqCst) != 0 {
            self.call_slowly(1);
        }
    }

    /// Nothing will ever have space again: calls all.
    pub(crate) fn call_all(&self) {
        self.call_slowly(usize::MAX);
    }

    #[cold]
    fn call_slowly(&self, most: usize) {
        let mut queue = self.queue.lock();
        let count = queue.len().min(most);
        let called: Vec<_> = queue.drain(..count).collect();
        self.waiting.fetch_sub(called.len() as u64, Ordering::SeqCst);
        drop(queue);
        called.iter().for_each(|waiting| waiting.call());
    }
}
