//! What is known of a task whatever it computes: its word, its name, who waits.

use std::borrow::Cow;
use std::mem;
use std::sync::Arc;
use std::time::Instant;

use super::states::{ALONE, CANCELLED, CLAIMED, DONE, WAITED};
use crate::service::deadline::Deadline;
use crate::service::wait::spin_as_caller;
use crate::sync::{self, AtomicU64, Clock, Mutex, Ordering, Thread, mutant};

/// What tasks must not run at once with too many of, if that was said.
pub(crate) type Key = Arc<str>;

/// What is known of a task whatever it computes.
///
/// Its word decides all races: see [`states`](super::states). The seats are for those who park, each taken before the
/// word is looked at again, so that no wake is lost.
#[repr(C)]
pub(crate) struct Head {
    /// As wide as a bit of it can be set and looked at in one step, without a look before: that look would fetch it from another
    /// processor once more.
    word: AtomicU64,
    /// Made for the first who parks: most tasks are never waited for, and a small task is made and freed faster.
    seats: Mutex<Option<Box<Seats>>>,
    pub(super) deadline: Deadline,
    pub(super) key: Option<Key>,
    pub(super) name: Cow<'static, str>,
}

#[derive(Default)]
struct Seats {
    joiners: Vec<Thread>,
    sleepers: Vec<Thread>,
}

// ORDERING: AcqRel on every change of the word. Who claims a task sees what was put into it; who sees `DONE` sees the
// outcome; of a joiner that sits down and a runner that ends one sees the other.
impl Head {
    pub(super) fn new(name: Cow<'static, str>, key: Option<Key>, deadline: Deadline) -> Self {
        Self { word: AtomicU64::new(0), seats: Mutex::new(None), name, key, deadline }
    }

    /// Makes the task the calling thread's, to run it or to end it. `false` if it is another's.
    #[inline]
    pub(crate) fn claim(&self) -> bool {
        if mutant!(ClaimTwice) {
            let word = self.word.load(Ordering::Acquire);
            self.word.fetch_or(CLAIMED, Ordering::AcqRel);
            return word & CLAIMED == 0;
        }
        self.set(CLAIMED) & CLAIMED == 0
    }

    /// Whether somebody has it, or had it.
    #[inline]
    pub(crate) fn is_claimed(&self) -> bool {
        self.has(CLAIMED)
    }

    #[inline]
    pub(crate) fn is_done(&self) -> bool {
        self.has(DONE)
    }

    pub(crate) fn is_cancelled(&self) -> bool {
        self.has(CANCELLED)
    }

    /// The outcome is there. `false` if nobody will ask for it: then it is to be dropped.
    #[inline]
    pub(super) fn finish(&self) -> bool {
        let word = self.set(DONE);
        if word & WAITED != 0 {
            self.wake_joiners();
        }
        word & ALONE == 0
    }

    /// The joiner has run it himself: nobody waits, and nobody will ask for the outcome.
    // ORDERING: Relaxed, and a store: what the others set meanwhile has nobody to see it.
    #[inline]
    pub(super) fn close(&self) {
        self.word.store(CLAIMED | DONE, Ordering::Relaxed);
    }

    #[cold]
    fn wake_joiners(&self) {
        let joiners = self.seated(|seats| mem::take(&mut seats.joiners));
        joiners.iter().flatten().for_each(Thread::unpark);
    }

    /// Nobody will ask for the outcome. Whether it is there already: then it is to be dropped.
    pub(super) fn leave_alone(&self) -> bool {
        if mutant!(LeaveUnlooked) {
            let is_done = self.is_done();
            self.set(ALONE);
            return is_done;
        }
        self.set(ALONE) & DONE != 0
    }

    /// It is to end soon.
    pub(super) fn cancel(&self) {
        self.set(CANCELLED);
        let sleepers = self.seated(|seats| mem::take(&mut seats.sleepers));
        sleepers.iter().flatten().for_each(Thread::unpark);
    }

    /// Waits until the outcome is there. `false` when the deadline came first.
    pub(super) fn wait(&self, clock: &Clock, deadline: Deadline) -> bool {
        spin_as_caller(|| self.is_done()) || self.park(clock, deadline)
    }

    #[cold]
    fn park(&self, clock: &Clock, deadline: Deadline) -> bool {
        self.sit(|seats| &mut seats.joiners);
        let mut word = if mutant!(ParkBlindly) { 0 } else { self.set(WAITED) };
        if mutant!(ParkBlindly) {
            self.set(WAITED);
        }
        while word & DONE == 0 {
            if deadline.instant().is_some_and(|at| clock.now() >= at) {
                self.leave(|seats| &mut seats.joiners);
                return self.is_done();
            }
            clock.park(deadline.instant());
            word = self.word.load(Ordering::Acquire);
        }
        true
    }

    /// The calling thread is about to sleep in the task: [`cancel`](Self::cancel) wakes it. It looks whether the task is
    /// cancelled before it parks.
    pub(super) fn sit_down(&self) {
        self.sit(|seats| &mut seats.sleepers);
    }

    pub(super) fn stand_up(&self) {
        self.leave(|seats| &mut seats.sleepers);
    }

    /// Whether it is too late to begin. The clock is read where there is a deadline.
    pub(super) fn is_late(&self, now: impl FnOnce() -> Instant) -> bool {
        self.deadline.instant().is_some_and(|at| now() >= at)
    }

    /// The calling thread takes a seat.
    fn sit(&self, row: impl FnOnce(&mut Seats) -> &mut Vec<Thread>) {
        let me = sync::current_thread();
        row(self.seats.lock().get_or_insert_default()).push(me);
    }

    /// The calling thread leaves its seat.
    fn leave(&self, row: impl FnOnce(&mut Seats) -> &mut Vec<Thread>) {
        let me = sync::current_thread().id();
        self.seated(|seats| row(seats).retain(|other| other.id() != me));
    }

    /// What is done with the seats, if anybody ever took one.
    fn seated<R>(&self, change: impl FnOnce(&mut Seats) -> R) -> Option<R> {
        self.seats.lock().as_deref_mut().map(change)
    }

    #[inline]
    fn set(&self, bit: u64) -> u64 {
        self.word.fetch_or(bit, Ordering::AcqRel)
    }

    #[inline]
    fn has(&self, bit: u64) -> bool {
        self.word.load(Ordering::Acquire) & bit != 0
    }
}

#[cfg(all(test, not(underpin_loom)))]
mod tests {
    use super::*;

    #[test]
    fn who_gives_up_leaves_its_seat() {
        let head = Head::new("work".into(), None, Deadline::unbounded());
        let clock = Clock::system();
        let passed = Deadline::at(clock.now());
        for _ in 0..3 {
            assert!(!head.wait(&clock, passed));
            head.sit_down();
            head.stand_up();
        }
        let left = head.seated(|seats| (seats.joiners.len(), seats.sleepers.len()));
        assert_eq!(left, Some((0, 0)));
    }
}
