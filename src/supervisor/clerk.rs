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
    chores: Mutex<Chores>,
    most: usize,
    refused: AtomicU64,
    wake: WakeCell,
    closing: AtomicBool,
    done: Gate,
}

#[derive(Default)]
struct Chores {
    queue: VecDeque<Chore>,
    /// The clerk has left, and found nothing more to do.
    left: bool,
}

impl Clerk {
    /// A clerk who keeps at most `most` chores waiting; more are refused and counted.
    pub(crate) fn new(name: String, most: usize, inline: bool) -> Self {
        let shared = Shared {
            name,
            chores: Mutex::new(Chores::default()),
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

    /// Hands a chore over, unless too many wait or the clerk is about to leave. Never blocks. `false`
    /// if it was refused: then it is dropped here, and must not be the last that holds anything of the
    /// user's.
    pub(crate) fn submit(&self, chore: Chore) -> bool {
        self.hand_over(chore, |shared, waiting| {
            waiting < shared.most && !shared.closing.load(Ordering::SeqCst)
        })
    }

    /// Hands over a chore that must not be dropped here, nor be forgotten. Never blocks. One that comes
    /// after the clerk has left, from what did not stop in time, gets a thread of its own. `false` if
    /// there is no thread: then it waits for whoever finishes the clerk.
    pub(crate) fn leave(&self, chore: Chore) -> bool {
        self.hand_over(chore, |_, _| true)
    }

    fn hand_over(&self, chore: Chore, is_taken: impl FnOnce(&Shared, usize) -> bool) -> bool {
        if self.inline {
            do_chore(chore);
            return true;
        }
        let mut chores = self.shared.chores.lock();
        if !is_taken(&self.shared, chores.queue.len()) {
            drop(chores);
            self.shared.refused.fetch_add(1, Ordering::Relaxed);
            return false;
        }
        chores.queue.push_back(chore);
        let has_left = chores.left;
        drop(chores);
        fence(Ordering::SeqCst);
        self.shared.wake.wake();
        if has_left {
            let shared = Arc::clone(&self.shared);
            return sync::spawn(shared.name.clone(), None, move || shared.do_all()).is_ok();
        }
        self.shared.closing.load(Ordering::SeqCst) || self.ensure_thread()
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
    /// The next chore; `None` also says that nobody will look again, if the clerk is to leave.
    fn next(&self) -> Option<Chore> {
        let mut chores = self.chores.lock();
        let chore = chores.queue.pop_front();
        chores.left = chore.is_none() && self.closing.load(Ordering::SeqCst);
        chore
    }

    fn do_all(&self) {
        while let Some(chore) = self.next() {
            do_chore(chore);
        }
    }

    fn work(&self) {
        loop {
            match self.next() {
                Some(chore) => do_chore(chore),
                None if self.chores.lock().left => break,
                None => self.wait(),
            }
        }
        self.done.open();
    }

    fn wait(&self) {
        self.wake.announce(0);
        let idle = self.chores.lock().queue.is_empty() && !self.closing.load(Ordering::SeqCst);
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

    /// Tells where it is dropped.
    struct Telltale(std::sync::mpsc::Sender<std::thread::ThreadId>);

    impl Drop for Telltale {
        fn drop(&mut self) {
            let _ = self.0.send(std::thread::current().id());
        }
    }

    #[test]
    fn what_must_not_be_dropped_here_is_done_elsewhere_also_after_the_end() {
        for has_a_thread in [false, true] {
            let clerk = Clerk::new("clerk".into(), usize::MAX, false);
            assert!(!has_a_thread || clerk.leave(Box::new(|| ())));
            assert!(clerk.finish(&Clock::system(), None));
            let (sender, dropped) = std::sync::mpsc::channel();
            for _ in 0..2 {
                let late = Telltale(sender.clone());
                assert!(clerk.leave(Box::new(move || drop(late))));
                let there = dropped.recv_timeout(std::time::Duration::from_secs(15)).expect("is done");
                assert_ne!(there, std::thread::current().id());
            }
            assert!(!clerk.submit(Box::new(|| ())), "not what nobody waits for");
        }
    }

    /// Whoever sees the clerk still there leaves it a chore that is done before the end is told.
    #[test]
    fn a_chore_that_races_with_the_end_is_done() {
        for _ in 0..200 {
            let clerk = Clerk::new("clerk".into(), usize::MAX, false);
            let (sender, done) = std::sync::mpsc::channel();
            clerk.leave(Box::new(|| ()));
            std::thread::scope(|scope| {
                scope.spawn(|| clerk.leave(Box::new(move || sender.send(()).unwrap_or_default())));
                assert!(clerk.finish(&Clock::system(), None));
            });
            done.recv_timeout(std::time::Duration::from_secs(15)).expect("is done");
        }
    }
}
