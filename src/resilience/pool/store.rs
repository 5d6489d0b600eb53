//! Where the resources of a pool are.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use super::error::PoolError;
use super::machine::{Back, Bounds, Grant, Machine, Made, Reason};
use crate::error::{complain, panic_text};
use crate::resilience::sink::Voice;
use crate::service::deadline::Deadline;
use crate::sync::{self, AtomicU64, Clock, Mutex, Ordering, Thread, mutant};

pub(super) type Make<R, E> = Box<dyn Fn() -> Result<R, E> + Send + Sync>;
pub(super) type Check<R> = Box<dyn Fn(&mut R) -> bool + Send + Sync>;

/// Where the resources of a pool are, and what is known of them.
pub(super) struct Store<R, E> {
    pub(super) terms: Terms,
    pub(super) make: Make<R, E>,
    pub(super) check: Option<Check<R>>,
    pub(super) machine: Mutex<Machine<R, Arc<Seat<R>>>>,
    pub(super) tally: Tally,
}

/// What the user said.
#[derive(Clone, Debug)]
pub(super) struct Terms {
    pub(super) name: Arc<str>,
    pub(super) bounds: Bounds,
    pub(super) timeout: Duration,
    pub(super) clock: Clock,
    pub(super) voice: Voice,
}

/// What has happened, counted.
#[derive(Debug, Default)]
pub(super) struct Tally {
    pub(super) made: AtomicU64,
    pub(super) failed: AtomicU64,
    pub(super) timed_out: AtomicU64,
    pub(super) expired: AtomicU64,
    pub(super) unhealthy: AtomicU64,
    pub(super) poisoned: AtomicU64,
    pub(super) overflowed: AtomicU64,
    pub(super) closed: AtomicU64,
    pub(super) detached: AtomicU64,
}

/// Where somebody waits.
pub(super) struct Seat<R> {
    thread: Thread,
    /// Written under the lock of the pool.
    word: Mutex<Option<Word<R>>>,
}

/// What who waits is told.
pub(super) enum Word<R> {
    Granted(Grant<R>),
    Closed,
}

impl<R, E> Store<R, E> {
    /// Waits until something is said to who sits there. `None`: the deadline came first.
    pub(super) fn word_for(&self, seat: &Arc<Seat<R>>, by: Deadline) -> Option<Word<R>> {
        loop {
            let word = seat.word.lock().take();
            if word.is_some() {
                return word;
            }
            if by.has_passed(self.terms.clock.now()) {
                break;
            }
            self.terms.clock.park(by.instant());
        }
        let has_left = self.machine.lock().leave(|other| Arc::ptr_eq(other, seat));
        // Whoever was called in this very moment has been given something: it is not to be lost.
        if has_left || mutant!(LeaveGrant) { None } else { seat.word.lock().take() }
    }

    pub(super) fn take_back(&self, mut made: Made<R>, is_poisoned: bool) {
        if is_poisoned {
            self.scrap(made.resource, &self.tally.poisoned);
        } else if self.is_healthy(&mut made.resource) {
            self.put_back(made);
        } else {
            self.scrap(made.resource, &self.tally.unhealthy);
        }
        while let Some(expired) = self.retired() {
            self.scrap(expired, &self.tally.expired);
        }
    }

    fn put_back(&self, made: Made<R>) {
        let now = self.terms.clock.now();
        let mut machine = self.machine.lock();
        match machine.give_back(made, now) {
            Back::Kept => {}
            Back::Called(seat, made) => {
                seat.tell(Word::Granted(Grant::Take(made)));
                drop(machine);
                seat.wake();
            }
            Back::Refused(resource, reason) => {
                drop(machine);
                self.refused(resource, reason);
            }
        }
    }

    fn refused(&self, resource: R, reason: Reason) {
        match reason {
            Reason::Expired => self.scrap(resource, &self.tally.expired),
            Reason::Overflow => self.scrap(resource, &self.tally.overflowed),
            Reason::Closed => self.scrap(resource, &self.tally.closed),
        }
    }

    /// What idles longest, if that is too long.
    fn retired(&self) -> Option<R> {
        self.terms.bounds.expires().then(|| self.machine.lock().retire_oldest(self.terms.clock.now()))?
    }

    /// Drops a resource that counts, and only then lets another be made.
    pub(super) fn scrap(&self, resource: R, count: &AtomicU64) {
        count.fetch_add(1, Ordering::Relaxed);
        self.drop_contained(resource);
        self.give_up();
    }

    pub(super) fn give_up(&self) {
        let mut machine = self.machine.lock();
        let called = machine.give_up();
        if let Some(seat) = &called {
            seat.tell(Word::Granted(Grant::Make { instead_of: None }));
        }
        drop(machine);
        called.iter().for_each(|seat| seat.wake());
    }

    /// One whose check panics is not healthy.
    fn is_healthy(&self, resource: &mut R) -> bool {
        let Some(check) = &self.check else { return true };
        catch_unwind(AssertUnwindSafe(|| check(resource))).unwrap_or_else(|panic| {
            complain(format_args!("the check of pool `{}` panicked: {}", self.terms.name, panic_text(panic)));
            false
        })
    }

    /// Whoever returns one is no party to what goes wrong at its end.
    pub(super) fn drop_contained(&self, resource: R) {
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| drop(resource))) {
            let (name, text) = (&self.terms.name, panic_text(panic));
            complain(format_args!("a resource of pool `{name}` panicked while it was dropped: {text}"));
        }
    }

    pub(super) fn most(&self) -> usize {
        self.terms.bounds.most()
    }

    pub(super) fn name(&self) -> Arc<str> {
        Arc::clone(&self.terms.name)
    }

    pub(super) fn closed(&self) -> PoolError<E> {
        PoolError::Closed { name: self.name() }
    }

    pub(super) fn tell(&self, kind: &'static str, detail: impl FnOnce() -> String) {
        self.terms.voice.tell(&self.terms.name, kind, self.terms.clock.now(), detail);
    }
}

impl<R> Seat<R> {
    /// One for the thread that runs.
    pub(super) fn new() -> Self {
        Self { thread: sync::current_thread(), word: Mutex::new(None) }
    }

    /// Lets it look whether something was said.
    pub(super) fn wake(&self) {
        self.thread.unpark();
    }

    /// The lock of the pool is held: who leaves hears of it.
    pub(super) fn tell(&self, word: Word<R>) {
        *self.word.lock() = Some(word);
    }
}

/// The right to make a resource, given up where none comes of it.
pub(super) struct Right<'a, R, E> {
    pub(super) store: &'a Store<R, E>,
    pub(super) is_used: bool,
}

impl<R, E> Right<'_, R, E> {
    pub(super) fn used(mut self) {
        self.is_used = true;
    }
}

impl<R, E> Drop for Right<'_, R, E> {
    fn drop(&mut self) {
        if !self.is_used {
            self.store.tally.failed.fetch_add(1, Ordering::Relaxed);
            self.store.give_up();
            self.store.tell("making_failed", String::new);
        }
    }
}
