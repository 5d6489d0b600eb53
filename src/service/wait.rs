//! Waiting: spin a little, yield a few times, then park; and being woken.
//!
//! Every wait in the crate is one of three shapes:
//!
//! - a worker waits for mail: one sleeper, many wakers ([`WakeCell`]);
//! - senders wait for space in a full mailbox: many sleepers ([`SenderQueue`]);
//! - anyone waits for something that happens once ([`Gate`], and the reply slot in `reply.rs`).
//!
//! The order that keeps a wake from being lost is the same in all of them. The sleeper announces
//! itself, fences, looks once more, and only then parks. The waker makes its change, fences, and
//! looks whether somebody announced itself. Whichever fence comes second sees the other's write.

use std::cell::Cell;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

use crate::sync::{self, AtomicBool, AtomicU64, Clock, Mutex, Ordering, Thread, fence, mutant};

/// How a thread waits before it parks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Wait {
    /// Spin at most 200 pauses, yield at most 20 times, then park. The budget grows while spinning
    /// finds something and shrinks to nothing while it does not. The default.
    #[default]
    Adaptive,
    /// Park at once: the least CPU, and a few microseconds more for each wake.
    Park,
}

/// The most pauses of one wait. About 5 us where a pause takes 26 ns.
const MAX_SPINS: u32 = 200;
/// The most yields of one wait.
const MAX_YIELDS: u32 = 20;
/// After so many waits without a budget, one wait tries again whether spinning pays.
const PROBE_EVERY: u32 = 32;

/// The budget of one waiting thread.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Spinner {
    spins: u32,
    yields: u32,
    fruitless: u32,
}

impl Spinner {
    pub(crate) const fn new(wait: Wait) -> Self {
        match wait {
            Wait::Adaptive => Self { spins: MAX_SPINS, yields: MAX_YIELDS, fruitless: 0 },
            Wait::Park => Self { spins: 0, yields: 0, fruitless: u32::MAX },
        }
    }

    /// Polls until `ready` or the budget is used up, and adapts the budget.
    #[inline]
    pub(crate) fn spin(&mut self, mut ready: impl FnMut() -> bool) -> bool {
        if cfg!(underpin_loom) {
            return false; // a model explores the order of events, not their speed
        }
        for _ in 0..self.spins {
            if ready() {
                self.spins = (self.spins * 2).clamp(16, MAX_SPINS);
                self.fruitless = 0;
                return true;
            }
            sync::spin_loop();
        }
        self.yields(ready)
    }

    #[cold]
    fn yields(&mut self, mut ready: impl FnMut() -> bool) -> bool {
        for _ in 0..self.yields {
            sync::yield_now();
            if ready() {
                self.spins = (self.spins * 2).clamp(16, MAX_SPINS);
                self.yields = (self.yields + 1).min(MAX_YIELDS);
                self.fruitless = 0;
                return true;
            }
        }
        self.shrink();
        false
    }

    /// Spinning found nothing: half of it next time, and now and then a probe.
    fn shrink(&mut self) {
        if self.fruitless == u32::MAX {
            return;
        }
        self.fruitless += 1;
        self.spins /= 2;
        self.yields /= 2;
        if self.fruitless.is_multiple_of(PROBE_EVERY) {
            self.spins = 16;
            self.yields = 1;
        }
    }
}

sync::thread_local! {
    static CALLER: Cell<Spinner> = const { Cell::new(Spinner::new(Wait::Adaptive)) };
}

/// Polls on behalf of a calling thread, with the budget that the thread keeps between its calls.
pub(crate) fn spin_as_caller(ready: impl FnMut() -> bool) -> bool {
    CALLER.with(|cell| {
        let mut spinner = cell.get();
        let found = spinner.spin(ready);
        cell.set(spinner);
        found
    })
}

/// Polls on behalf of a sender that found no space: yields only, for the consumer may need this
/// very core.
pub(crate) fn spin_as_sender(mut ready: impl FnMut() -> bool) -> bool {
    if cfg!(underpin_loom) {
        return false;
    }
    (0..MAX_YIELDS).any(|_| {
        sync::yield_now();
        ready()
    })
}

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
        if epoch >= seat.epoch {
            seat.epoch = epoch;
            seat.thread = None;
        }
    }

    /// Announces that the thread is about to park. `false` if the seat is another's by now.
    pub(crate) fn announce(&self, epoch: u64) -> bool {
        let mut seat = self.seat.lock();
        if seat.epoch != epoch {
            return false;
        }
        seat.thread = Some(sync::current_thread());
        self.asleep.store(true, Ordering::SeqCst);
        drop(seat);
        fence(Ordering::SeqCst);
        true
    }

    /// Takes the announcement back.
    pub(crate) fn awake(&self) {
        self.asleep.store(false, Ordering::SeqCst);
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
    /// Joins the queue. The caller looks for space once more before it parks.
    pub(crate) fn join(&self) -> Arc<Waiting> {
        let thread = sync::current_thread();
        let waiting = Arc::new(Waiting { called: AtomicBool::new(false), thread });
        let mut queue = self.queue.lock();
        queue.push_back(Arc::clone(&waiting));
        self.waiting.fetch_add(1, Ordering::SeqCst);
        drop(queue);
        fence(Ordering::SeqCst);
        waiting
    }

    /// Leaves the queue. A call that came but was not used goes to the next.
    pub(crate) fn leave(&self, me: &Arc<Waiting>, used: bool) {
        let mut queue = self.queue.lock();
        if let Some(at) = queue.iter().position(|other| Arc::ptr_eq(other, me)) {
            queue.remove(at);
            self.waiting.fetch_sub(1, Ordering::SeqCst);
            return;
        }
        drop(queue);
        if !used && !mutant!(SwallowCall) {
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

/// Something that happens once, and that any number of threads may wait for.
#[derive(Debug, Default)]
pub(crate) struct Gate(Mutex<Inside>);

#[derive(Debug, Default)]
struct Inside {
    open: bool,
    waiting: Vec<Thread>,
}

impl Gate {
    /// It has happened.
    pub(crate) fn open(&self) {
        let mut inside = self.0.lock();
        inside.open = true;
        let waiting = std::mem::take(&mut inside.waiting);
        drop(inside);
        waiting.iter().for_each(Thread::unpark);
    }

    pub(crate) fn is_open(&self) -> bool {
        self.0.lock().open
    }

    /// Waits until it has happened. `false` when the deadline came first.
    pub(crate) fn wait(&self, clock: &Clock, deadline: Option<Instant>) -> bool {
        {
            let mut inside = self.0.lock();
            if inside.open {
                return true;
            }
            inside.waiting.push(sync::current_thread());
        }
        while !self.is_open() {
            if deadline.is_some_and(|at| clock.now() >= at) {
                return self.is_open();
            }
            clock.park(deadline);
        }
        true
    }
}

#[cfg(all(test, not(underpin_loom)))]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn the_budget_shrinks_to_nothing_and_probes_again() {
        let mut spinner = Spinner::new(Wait::Adaptive);
        for _ in 0..10 {
            assert!(!spinner.spin(|| false));
        }
        assert_eq!((spinner.spins, spinner.yields), (0, 0));
        for _ in 10..PROBE_EVERY {
            spinner.spin(|| false);
        }
        assert!(spinner.spins > 0, "a probe after {PROBE_EVERY} fruitless waits");
        assert!(spinner.spin(|| true));
        assert_eq!(spinner.fruitless, 0);
    }

    #[test]
    fn park_never_spins() {
        let mut spinner = Spinner::new(Wait::Park);
        for _ in 0..100 {
            assert!(!spinner.spin(|| panic!("polled")));
        }
    }

    #[test]
    fn a_gate_opens_for_those_who_wait_and_those_who_come_later() {
        let gate = Arc::new(Gate::default());
        let clock = Clock::system();
        assert!(!gate.wait(&clock, Some(clock.now() + Duration::from_millis(1))));
        let waiter = std::thread::spawn({
            let (gate, clock) = (Arc::clone(&gate), clock.clone());
            move || gate.wait(&clock, None)
        });
        gate.open();
        assert!(waiter.join().expect("no panic"));
        assert!(gate.wait(&clock, None));
    }

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
