//! Whether somebody looks after a busy incarnation.
//!
//! A worker that becomes busy asks to be looked after, unless it is already. Who looks after it
//! comes by now and then as long as it is busy, and looks away when it rests; so nobody wakes up
//! for those that are idle. The two orders are those of every wait: the worker says that it is
//! busy, fences, and looks whether it is watched; the watcher says that it looks away, fences, and
//! looks whether it is busy. Whichever fence is second sees the other's write, so a worker that
//! stays busy is watched.

use crate::sync::{AtomicBool, Ordering, fence, mutant};

#[derive(Debug, Default)]
pub(crate) struct Watch {
    busy: AtomicBool,
    watched: AtomicBool,
}

impl Watch {
    /// The worker is busy. Whether it has to ask to be looked after.
    pub(crate) fn begin(&self) -> bool {
        self.busy.store(true, Ordering::SeqCst);
        fence(Ordering::SeqCst);
        !self.watched.swap(true, Ordering::SeqCst)
    }

    /// The worker is at rest.
    pub(crate) fn rest(&self) {
        self.busy.store(false, Ordering::SeqCst);
    }

    /// The watcher found it at rest and looks away. `false` if it is busy again and nobody else has
    /// been asked: then the watcher goes on.
    pub(crate) fn look_away(&self) -> bool {
        self.watched.swap(false, Ordering::SeqCst);
        fence(Ordering::SeqCst);
        if mutant!(LookAwayBlindly) {
            return true;
        }
        !self.busy.load(Ordering::SeqCst) || self.watched.swap(true, Ordering::SeqCst)
    }
}
