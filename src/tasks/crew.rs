//! What a pool is inside: the desk behind its lock, and those who are called.
//!
//! Tasks come by [`intake`]; workers take them here; [`guests`] run them on other threads.

mod guests;
mod intake;

use std::ops::Deref;
use std::sync::{Arc, Weak};

use super::desk::{Call, Desk, Waiting};
use super::error::TaskError;
use super::head::Key;
use super::job::{Held, Job};
use super::keeper::Order;
use super::settings::Settings;
use super::shared::{Shared, name, tally};
use super::tenure::Tenure;
use super::worker::Look;
use crate::service::core::Core;
use crate::service::exit::Lifecycle;
use crate::service::handle::Handle;
use crate::service::scope;
use crate::service::wait::{SenderQueue, gather};
use crate::sync::{AtomicU64, Mutex, Ordering};

/// What all handles of a pool share with its workers.
#[repr(C)]
pub(crate) struct Crew {
    /// No user's code runs under its lock, and nothing of the user's is dropped there.
    desk: Apart<Mutex<Desk<Held>>>,
    pub(super) shared: Shared,
    pub(super) settings: Settings,
    /// Those who wait for room in the queue.
    senders: SenderQueue,
    /// Tasks in the queue that somebody has claimed. About: who counts one and who finds it are not in step.
    husks: Apart<AtomicU64>,
    hands: Vec<Mutex<Option<Handle<Look>>>>,
    pub(super) tenure: Tenure,
    pub(super) keeper: Mutex<Option<Handle<Order>>>,
}

/// In lines of memory of its own, and in one more where a processor fetches two: what is written beside it is not fetched with it.
#[repr(align(128))]
struct Apart<T>(T);

impl<T> Deref for Apart<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

/// What a worker has done: a task, and whether it was its own to run.
pub(crate) struct Done {
    pub(super) job: Held,
    pub(super) has_run: bool,
}

impl Crew {
    pub(crate) fn new(shared: Shared, settings: Settings) -> Self {
        let Settings { queue, fewest, most, per_key, .. } = settings;
        let desk = Desk::new(queue, fewest, most, per_key.unwrap_or(usize::MAX));
        let hands = (0..most).map(|_| Mutex::new(None)).collect();
        let (senders, husks, keeper) = (SenderQueue::default(), Apart(AtomicU64::new(0)), Mutex::new(None));
        let tenure = Tenure::default();
        Self { shared, settings, desk: Apart(Mutex::new(desk)), senders, husks, hands, tenure, keeper }
    }

    /// What is read or changed at the desk.
    pub(super) fn desk<R>(&self, look: impl FnOnce(&mut Desk<Held>) -> R) -> R {
        look(&mut self.desk.lock())
    }

    /// The same, of a worker or the keeper, unless it was abandoned: then it is its successor's to say. Who was not by then, under this
    /// lock, has no successor yet.
    pub(super) fn desk_of_mine<R>(&self, look: impl FnOnce(&mut Desk<Held>) -> R) -> Option<R> {
        self.desk(|desk| (!scope::is_fenced()).then(|| look(desk)))
    }

    /// The same, of a worker between two tasks: it lets whoever is at the desk go on first, so that not each small task of a stream costs
    /// both of them a turn of the lock.
    fn desk_politely<R>(&self, look: impl FnOnce(&mut Desk<Held>) -> R) -> R {
        match self.desk.try_lock() {
            Some(mut desk) => look(&mut desk),
            None => {
                gather();
                self.desk(look)
            }
        }
    }

    // ---- tasks go ------------------------------------------------------------------------

    /// A worker's next task. What it has done is counted first, under the same lock.
    #[inline]
    pub(super) fn next(&self, worker: usize, done: Option<&Done>) -> Option<Held> {
        let (next, call) = self.desk_politely(|desk| {
            if let Some(done) = done {
                desk.done(self.key(&*done.job), done.has_run);
            }
            let next = if scope::is_fenced() { None } else { desk.take(worker) };
            let call = if next.is_some() { desk.pass_on() } else { Call::default() };
            (next, call)
        });
        if next.is_some() {
            self.senders.call_one();
            self.call(call);
        }
        next
    }

    /// A worker has done something, and takes nothing more.
    pub(super) fn put_down(&self, done: &Done) {
        let call = self.desk(|desk| {
            desk.done(self.key(&*done.job), done.has_run);
            desk.nudge()
        });
        self.call(call);
    }

    /// A task that a worker took was somebody else's.
    pub(super) fn was_husk(&self) {
        self.husks.fetch_sub(1, Ordering::Relaxed);
    }

    /// A task that waits was claimed by one who is no worker: there is room.
    // ORDERING: SeqCst, as who waits for room and the fence after that: of one who sits down, and looks once more how many husks there are,
    // and one who counts a husk, and looks whether somebody sits there, one sees the other.
    pub(super) fn left_husk(&self) {
        self.husks.fetch_add(1, Ordering::SeqCst);
        self.senders.call_one();
    }

    /// The key, where keys are limited.
    #[inline]
    fn key<'a>(&self, job: &'a dyn Job) -> Option<&'a Key> {
        self.settings.per_key.and(job.head().key.as_ref())
    }

    pub(super) fn waiting_count(&self) -> usize {
        let waiting = self.desk(|desk| desk.waiting());
        waiting - self.husks_among(waiting)
    }

    /// How many of so many that wait are husks, about.
    fn husks_among(&self, waiting: usize) -> usize {
        let husks = usize::try_from(self.husks.load(Ordering::Relaxed)).unwrap_or(usize::MAX);
        // It is below zero for a moment where who finds one is before who counts it.
        if husks > waiting { 0 } else { husks }
    }

    // ---- calls ---------------------------------------------------------------------------

    #[inline]
    pub(super) fn call(&self, call: Call) {
        if let Some(worker) = call.wake {
            self.wake(worker);
        }
        if call.hire {
            self.order(Order::Hire);
        }
    }

    /// A worker is suspended: it may have been called before that, and not have come.
    pub(super) fn stands_by(&self, worker: usize) {
        if let Some(call) = self.desk_of_mine(|desk| desk.passed_over(worker)) {
            self.call(call);
        }
    }

    fn wake(&self, worker: usize) {
        let hand = self.hands[worker].lock().clone();
        // One call at most is under way to a worker; one that is gone has said so, and others are called. It is the desk's, whoever
        // brings it: also a thread that was abandoned. One that is suspended hears of it when it goes on.
        let Some(hand) = hand else { return };
        let _ = hand.cast_regardless(Look);
        if hand.core().incarnation().state() == Lifecycle::Suspended {
            self.call(self.desk(|desk| desk.passed_over(worker)));
        }
    }

    /// An order that finds no keeper is not lost: he looks at everything when he begins.
    fn order(&self, order: Order) {
        let keeper = self.keeper.lock().clone();
        if let Some(keeper) = keeper {
            let _ = keeper.cast_regardless(order);
        }
    }

    // ---- workers and the keeper ----------------------------------------------------------

    // A hand is locked before the desk, and both until its seat says the same.

    pub(super) fn arrived(&self, worker: usize, hand: Handle<Look>) {
        let (mut hand, mut place) = (Some(hand), self.hands[worker].lock());
        self.desk_of_mine(|desk| {
            desk.arrived(worker);
            std::mem::swap(&mut *place, &mut hand);
        });
        drop(place);
        drop(hand); // the one before, or its own that comes too late, under no lock
    }

    /// A worker goes, unless its seat is its successor's.
    pub(super) fn left(&self, worker: usize) {
        let mut hand = self.hands[worker].lock();
        let left = self.desk_of_mine(|desk| (desk.left(worker), hand.take()));
        drop(hand);
        self.see_off(left);
    }

    /// A worker is gone for good: if it has not said so itself, its seat is free.
    pub(super) fn given_up(&self, worker: usize, core: &Weak<Core<Look>>) {
        let is_its = |hand: &Handle<Look>| std::ptr::eq(Arc::as_ptr(hand.core()), core.as_ptr());
        let mut hand = self.hands[worker].lock();
        let has_not_left = hand.as_ref().is_some_and(is_its);
        let left = has_not_left.then(|| (self.desk(|desk| desk.left(worker)), hand.take()));
        drop(hand);
        self.see_off(left);
    }

    /// Under no lock.
    fn see_off(&self, left: Option<(Call, Option<Handle<Look>>)>) {
        if let Some((call, _hand)) = left {
            self.call(call);
        }
    }

    /// The keeper has begun, unless it was abandoned by now.
    pub(super) fn has_keeper(&self, keeper: Handle<Order>) {
        let (mut keeper, mut place) = (Some(keeper), self.keeper.lock());
        if !scope::is_fenced() {
            std::mem::swap(&mut *place, &mut keeper);
        }
        drop(place);
        drop(keeper); // under no lock
    }

    /// No task begins, and those that run are to end, unless a successor has them go on.
    pub(super) fn halt(&self) {
        self.desk_of_mine(|desk| {
            desk.halt();
            self.shared.set_halting(true);
        });
    }

    pub(super) fn resume(&self) {
        let calls = self.desk_of_mine(|desk| {
            self.shared.set_halting(false);
            desk.resume()
        });
        calls.into_iter().flatten().for_each(|call| self.call(call));
    }

    /// The pool is gone for good: what waits ends, and nothing comes any more.
    pub(super) fn close(&self) {
        let left = self.desk(|desk| {
            desk.halt();
            self.shared.set_halting(true);
            desk.close()
        });
        self.senders.call_all();
        let keeper = self.keeper.lock().take();
        drop(keeper);
        for Waiting { job, .. } in &left {
            if job.head().claim() {
                tally(&self.shared.counts.stopped);
                job.end(&self.shared, self.shared.stopped(job.head()));
            } else {
                self.was_husk(); // whoever claimed it counts it, or is about to
            }
        }
    }

    /// Ends a task that nobody has begun, or tells the one that runs.
    pub(super) fn cancel(&self, job: &dyn Job) {
        let head = job.head();
        head.cancel();
        if head.claim() {
            tally(&self.shared.counts.cancelled);
            job.end(&self.shared, TaskError::Cancelled { name: name(head) });
            self.left_husk();
        }
    }
}

#[cfg(all(test, not(underpin_loom)))]
mod tests;
