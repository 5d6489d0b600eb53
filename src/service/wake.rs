//! The sleep of the thread that drains a mailbox.

use crate::sync::{self, AtomicBool, Mutex, Ordering, Thread, fence, mutant};

/// Where the thread that drains a mailbox sleeps, and where those who fill it wake it.
///
/// The seat belongs to the newest incarnation that took it: an abandoned one that comes back
/// cannot sit down in the place of its successor.
#[derive(Debug, Default)]
pub(crate) struct WakeCell {
    asleep: AtomicBool,
    seat: Mutex<Seat>,
}

#[derive(Debug, Default)]
struct Seat {
    epoch: u64,
    thread: Option<Thread>,
}

impl WakeCell {
    /// Takes the seat for an incarnation.
    pub(crate) fn take_seat(&self, epoch: u64) {
        let mut seat = self.seat.lock();
        if epoch < seat.epoch {
            return;
        }
        seat.epoch = epoch;
        let before = seat.thread.take();
        drop(seat);
        // It may sleep, and whoever is about to wake it would not find it any more.
        if let Some(thread) = before.filter(|_| !mutant!(LeaveAsleep)) {
            thread.unpark();
        }
    }

    /// Announces that the thread is about to park. `false` if the seat is another's by now.
    pub(crate) fn announce(&self, epoch: u64) -> bool {
        let mut seat = self.seat.lock();
        if seat.epoch != epoch {
            return false;
        }
        seat.thread = Some(sync::current_thread());
        // A swap where a store would do: loom orders those among the wakers' swaps.
        self.asleep.swap(true, Ordering::SeqCst);
        drop(seat);
        if !mutant!(AnnounceWithoutFence) {
            fence(Ordering::SeqCst);
        }
        true
    }

    /// Takes the announcement back.
    pub(crate) fn awake(&self) {
        self.asleep.swap(false, Ordering::SeqCst);
    }

    /// Takes the announcement back, unless the seat is another's by now: that one may sleep.
    pub(crate) fn rise(&self, epoch: u64) {
        if !self.is_asleep() {
            return; // whoever woke it took it back
        }
        let seat = self.seat.lock();
        if seat.epoch == epoch || mutant!(RiseFromAnySeat) {
            self.awake();
        }
    }

    /// Whether a wake is still outstanding.
    pub(crate) fn is_asleep(&self) -> bool {
        self.asleep.load(Ordering::SeqCst)
    }

    /// Wakes the sleeper, if there is one. The caller has fenced after its change.
    #[inline]
    pub(crate) fn wake(&self) {
        if self.asleep.load(Ordering::SeqCst) {
            self.wake_slowly();
        }
    }

    #[cold]
    fn wake_slowly(&self) {
        if !self.asleep.swap(false, Ordering::SeqCst) {
            return;
        }
        let thread = self.seat.lock().thread.take();
        if let Some(thread) = thread {
            thread.unpark();
        }
    }
}

#[cfg(all(test, not(underpin_loom)))]
mod tests {
    use super::*;

    #[test]
    fn the_seat_belongs_to_the_newest_incarnation() {
        let cell = WakeCell::default();
        cell.take_seat(2);
        cell.take_seat(1);
        assert!(!cell.announce(1));
        assert!(cell.announce(2));
        assert!(cell.is_asleep());
        cell.wake();
        assert!(!cell.is_asleep());
    }
}
