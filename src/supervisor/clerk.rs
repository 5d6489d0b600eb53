//! A thread that does chores in their order, so that a supervisor need not run code of the user's.
//!
//! A tree has two: one reports what happens, one clears away what is left of children. Each is
//! started with its first chore and ends with the tree.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Instant;

use crate::error::{complain, panic_text};
use crate::service::wait::{Gate, WakeCell};
use crate::sync::{self, AtomicBool, AtomicU64, Clock, JoinHandle, Mutex, Ordering, ThreadId, fence};

/// Something to be done on the clerk's thread.
pub(crate) type Chore = Box<dyn FnOnce() + Send>;

pub(crate) struct Clerk {
    shared: Arc<Shared>,
    thread: Mutex<Option<JoinHandle<()>>>,
    /// Does each chore at once, on the thread that brings it: for the simulation.
    inline: bool,
}

struct Shared {
    name: String,
    chores: Mutex<VecDeque<Chore>>,
    most: usize,
    refused: AtomicU64,
    wake: WakeCell,
    closing: AtomicBool,
    done: Gate,
}

impl Clerk {
    /// A clerk who keeps at most `most` chores waiting; more are refused and counted.
    pub(crate) fn new(name: String, most: usize, inline: bool) -> Self {
        let shared = Shared {
            name,
            chores: Mutex::new(VecDeque::new()),
            most,
            refused: AtomicU64::new(0),
            wake: WakeCell::default(),
            closing: AtomicBool::new(false),
            done: Gate::default(),
        };
        Self { shared: Arc::new(shared), thread: Mutex::new(None), inline }
    }

    pub(crate) fn name(&self) -> Arc<str> {
        Arc::from(self.shared.name.as_str())
    }

    /// Hands a chore over. Never blocks. `false` if it was refused, or if there is no thread.
    pub(crate) fn submit(&self, chore: Chore) -> bool {
        if self.inline {
            chore();
            return true;
        }
        let mut chores = self.shared.chores.lock();
        if chores.len() >= self.shared.most || self.shared.closing.load(Ordering::SeqCst) {
            drop(chores);
            self.shared.refused.fetch_add(1, Ordering::Relaxed);
            return false;
        }
        chores.push_back(chore);
        drop(chores);
        fence(Ordering::SeqCst);
        self.shared.wake.wake();
        self.ensure_thread()
    }

    /// How many chores were refused.
    pub(crate) fn refused(&self) -> u64 {
        self.shared.refused.load(Ordering::Relaxed)
    }

    /// Waits until the chores so far are done. `false` if they are not by then, and if the clerk
    /// takes no more.
    pub(crate) fn flush(&self, clock: &Clock, deadline: Option<Instant>) -> bool {
        let done = Arc::<Gate>::default();
        let tell = Arc::clone(&done);
        self.submit(Box::new(move || tell.open())) && done.wait(clock, deadline)
    }

    /// Its thread, while it has one that nobody has joined yet.
    pub(crate) fn thread_id(&self) -> Option<ThreadId> {
        self.thread.lock().as_ref().map(|thread| thread.thread().id())
    }

    fn ensure_thread(&self) -> bool {
        let mut thread = self.thread.lock();
        if thread.is_none() {
            let shared = Arc::clone(&self.shared);
            *thread = sync::spawn(shared.name.clone(), None, move || shared.work()).ok();
        }
        thread.is_some()
    }

    /// Ends the clerk when the chores so far are done. `false` if the deadline came first; then
    /// its thread is left to itself.
    pub(crate) fn finish(&self, clock: &Clock, deadline: Option<Instant>) -> bool {
        self.shared.closing.store(true, Ordering::SeqCst);
        let Some(thread) = self.thread.lock().take() else {
            self.shared.do_all(); // it never got a thread
            return true;
        };
        fence(Ordering::SeqCst);
        self.shared.wake.wake();
        if thread.thread().id() == sync::current_thread().id() {
            return true; // a chore ends the tree: its clerk ends when the chore does
        }
        let done = self.shared.done.wait(clock, deadline);
        if done {
            drop(thread.join());
        }
        done
    }
}

impl Shared {
    fn do_all(&self) {
        while let Some(chore) = { self.chores.lock().pop_front() } {
            do_chore(chore);
        }
    }

    fn work(&self) {
        loop {
            let chore = self.chores.lock().pop_front();
            match chore {
                Some(chore) => do_chore(chore),
                None if self.closing.load(Ordering::SeqCst) => break,
                None => self.wait(),
            }
        }
        self.done.open();
    }

    fn wait(&self) {
        self.wake.announce(0);
        let idle = self.chores.lock().is_empty() && !self.closing.load(Ordering::SeqCst);
        if idle && self.wake.is_asleep() {
            sync::park();
        }
        self.wake.awake();
    }
}

/// A chore is code of the user's: its panic must not cost the chores behind it.
fn do_chore(chore: Chore) {
    if let Err(panic) = catch_unwind(AssertUnwindSafe(chore)) {
        let text = panic_text(panic);
        complain(format_args!("an event hook, or the drop of what a child left behind, panicked: {text}"));
    }
}

#[cfg(all(test, not(underpin_loom)))]
mod tests {
    use super::*;

    #[test]
    fn chores_are_done_in_order_and_a_panic_costs_only_itself() {
        let clerk = Clerk::new("clerk".into(), 100, false);
        let done = Arc::new(Mutex::new(Vec::new()));
        for number in 0..10 {
            let done = Arc::clone(&done);
            assert!(clerk.submit(Box::new(move || {
                assert_ne!(number, 5, "meant to");
                done.lock().push(number);
            })));
        }
        assert!(clerk.finish(&Clock::system(), None));
        assert_eq!(*done.lock(), [0, 1, 2, 3, 4, 6, 7, 8, 9]);
    }

    #[test]
    fn what_is_too_much_is_refused_and_counted() {
        let clerk = Clerk::new("clerk".into(), 0, false);
        assert!(!clerk.submit(Box::new(|| ())));
        assert_eq!(clerk.refused(), 1);
        assert!(clerk.finish(&Clock::system(), None));
    }
}
