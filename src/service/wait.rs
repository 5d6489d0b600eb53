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
use std::time::{Duration, Instant};

use crate::sync::{self, AtomicBool, AtomicU64, Clock, Mutex, Ordering, Thread, fence, mutant};

/// How a thread waits before it parks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Wait {
    /// Spin at most 200 pauses, yield at most 20 times, then park. While that finds nothing it is
    /// tried ever more seldom, down to once in about a thousand waits. The default.
    #[default]
    Adaptive,
    /// Park at once: the least CPU, and a few microseconds more for each wake.
    Park,
}

/// The most pauses of one wait. About 5 us where a pause takes 26 ns.
const MAX_SPINS: u32 = 200;
/// The most yields of one wait.
const MAX_YIELDS: u32 = 20;
/// How many pauses a worker that keeps up with a stream of casts lets them gather: about 1 us.
/// To take each as it comes would move the channel's cache lines to and fro for every message.
const GATHER: u32 = 48;
/// The most yields of a try after a rest: some 60 us, as long as the other end may take to come out
/// of a park on another core. A shorter try could never leave the state in which both ends park.
const PROBE_YIELDS: u32 = 100;
/// After so many finds by a yield, one wait tries its pauses again.
const PROBE_EVERY: u32 = 128;
/// A yield that takes longer gave the core to somebody who has nothing to do with this: 10 us,
/// where one that finds nobody takes under 1 us.
const COSTLY_YIELD: Duration = Duration::from_micros(10);
/// After so many waits in a row that spinning did not shorten, it is left alone for a while.
const FRUITLESS: u32 = 4;
/// For how many waits it is left alone, at first and at most: twice as long each time.
const REST: (u32, u32) = (32, 1024);

/// The budget of one waiting thread.
///
/// A wait spins with its full budget or not at all. When both ends of a call park, each hears of
/// the other only after a wake-up of several microseconds: a small budget would never find out
/// that a large one pays. So while spinning fails it is tried ever more seldom, not ever shorter.
/// The same for yields, that cost a time slice where a core is shared with a busy stranger. And
/// where both ends share a core, a yield finds at once what no pause can: then pauses shrink.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Spinner {
    adaptive: bool,
    /// The last wait ended while it paused: the other end is busy on another core.
    by_pause: bool,
    pauses: u32,
    found_by_yield: u32,
    fruitless: u32,
    spins: Rest,
    yields: Rest,
}

/// Something that is left alone for a number of waits, twice as many each time.
#[derive(Clone, Copy, Debug)]
struct Rest {
    left: u32,
    next: u32,
}

impl Rest {
    const fn new() -> Self {
        Self { left: 0, next: REST.0 }
    }

    /// Whether this wait is to do without it.
    #[inline]
    fn is_on(&mut self) -> bool {
        let on = self.left > 0;
        self.left -= u32::from(on);
        on
    }

    #[inline]
    fn begin(&mut self) {
        self.left = self.next;
        self.next = (self.next * 2).min(REST.1);
    }

    #[inline]
    fn reset(&mut self) {
        self.next = REST.0;
    }
}

impl Spinner {
    pub(crate) const fn new(wait: Wait) -> Self {
        let adaptive = matches!(wait, Wait::Adaptive);
        Self {
            adaptive,
            by_pause: false,
            pauses: MAX_SPINS,
            found_by_yield: 0,
            fruitless: 0,
            spins: Rest::new(),
            yields: Rest::new(),
        }
    }

    /// Lets messages gather for a moment, if waits are short.
    #[inline]
    pub(crate) fn let_gather(&self) {
        if self.by_pause && self.spins.left == 0 {
            (0..GATHER).for_each(|_| sync::spin_loop());
        }
    }

    /// Polls until `ready` or the budget is used up, and adapts the budget.
    #[inline]
    pub(crate) fn spin(&mut self, mut ready: impl FnMut() -> bool) -> bool {
        // A model explores the order of events, not their speed.
        if !self.adaptive || cfg!(underpin_loom) || self.spins.is_on() {
            return false;
        }
        for _ in 0..self.pauses {
            if ready() {
                self.pauses = MAX_SPINS;
                self.by_pause = true;
                self.found();
                return true;
            }
            sync::spin_loop();
        }
        self.by_pause = false;
        let found = !self.yields.is_on() && self.yields(ready);
        if !found {
            self.found_nothing();
        }
        found
    }

    #[cold]
    fn yields(&mut self, mut ready: impl FnMut() -> bool) -> bool {
        let start = Clock::SYSTEM.now();
        let mut yields = 0;
        let mut found = false;
        let most = if self.is_probe() { PROBE_YIELDS } else { MAX_YIELDS };
        while yields < most && !found {
            sync::yield_now();
            found = ready();
            yields += 1;
        }
        if Clock::SYSTEM.now().saturating_duration_since(start) > COSTLY_YIELD * yields {
            self.yields.begin();
        } else if found {
            self.yields.reset();
            self.shrink_pauses();
            self.found();
        }
        found
    }

    /// Whether this is a single try after a rest.
    fn is_probe(&self) -> bool {
        self.fruitless + 1 >= FRUITLESS
    }

    /// Half of them, and now and then all again.
    fn shrink_pauses(&mut self) {
        self.found_by_yield = self.found_by_yield.wrapping_add(1);
        let probe = self.found_by_yield.is_multiple_of(PROBE_EVERY);
        self.pauses = if probe { MAX_SPINS } else { self.pauses / 2 };
    }

    #[inline]
    fn found(&mut self) {
        self.fruitless = 0;
        self.spins.reset();
    }

    fn found_nothing(&mut self) {
        self.fruitless += 1;
        if self.fruitless >= FRUITLESS {
            // The next try after the rest is a single one, unless it finds something.
            self.fruitless = FRUITLESS - 1;
            self.spins.begin();
        }
    }
}

sync::thread_local! {
    static CALLER: Cell<Spinner> = const { Cell::new(Spinner::new(Wait::Adaptive)) };
}

sync::thread_local! {
    static SENDER: Cell<Spinner> = const { Cell::new(Spinner::new(Wait::Adaptive)) };
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
pub(crate) fn yield_as_sender(ready: impl FnMut() -> bool) {
    SENDER.with(|cell| {
        let mut spinner = cell.get();
        if !cfg!(underpin_loom) && !spinner.yields.is_on() {
            spinner.yields(ready);
        }
        cell.set(spinner);
    });
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
                return self.leave();
            }
            clock.park(deadline);
        }
        true
    }

    /// Waits no longer. Whoever asks again and again must not pile up.
    fn leave(&self) -> bool {
        let me = sync::current_thread().id();
        let mut inside = self.0.lock();
        if let Some(at) = inside.waiting.iter().position(|thread| thread.id() == me) {
            inside.waiting.swap_remove(at);
        }
        inside.open
    }
}

#[cfg(all(test, not(underpin_loom)))]
mod tests {
    use super::*;

    #[test]
    fn fruitless_spinning_is_tried_ever_more_seldom_and_success_restores_it() {
        let mut spinner = Spinner::new(Wait::Adaptive);
        let tries = |spinner: &mut Spinner, waits: u32| {
            let mut tries = 0;
            for _ in 0..waits {
                let mut polled = false;
                assert!(!spinner.spin(|| {
                    polled = true;
                    false
                }));
                tries += u32::from(polled);
            }
            tries
        };
        assert_eq!(tries(&mut spinner, FRUITLESS), FRUITLESS);
        assert_eq!(tries(&mut spinner, REST.0), 0);
        assert_eq!(tries(&mut spinner, 1 + 2 * REST.0), 1);
        assert!(tries(&mut spinner, 10 * REST.1) <= 20);
        while !spinner.spin(|| true) {}
        assert_eq!(tries(&mut spinner, FRUITLESS), FRUITLESS);
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
