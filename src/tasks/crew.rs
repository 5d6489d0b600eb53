//! What a pool is inside: the desk behind its lock, and those who are called.

use std::ops::Deref;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use super::desk::{Call, Desk, Refusal, Waiting};
use super::error::TaskError;
use super::head::Key;
use super::job::{Answer, Held, Job};
use super::keeper::Order;
use super::overflow::Overflow;
use super::settings::Settings;
use super::shared::{Shared, name, tally};
use super::tenure::Tenure;
use super::worker::Look;
use crate::service::core::Core;
use crate::service::deadline::Deadline;
use crate::service::exit::Lifecycle;
use crate::service::handle::Handle;
use crate::service::scope;
use crate::service::wait::{SenderQueue, gather, yield_as_sender};
use crate::sync::{AtomicU64, Mutex, Ordering};

/// Where a queue is full, husks are thrown out once there is one among so many: so each costs as many looks, however long the
/// queue.
const MOST_BESIDE_A_HUSK: usize = 8;

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

    // ---- tasks come ----------------------------------------------------------------------

    /// Takes a task in, and waits for room as the rule says; the task that is not taken was not touched.
    pub(super) fn submit(&self, job: Held, due: Option<Instant>, overflow: Overflow) -> Result<(), Refusal> {
        if scope::is_fenced() {
            return Err(Refusal::Closed);
        }
        let waiting = self.waiting(job);
        match self.offer(waiting, due) {
            Ok(()) => {
                self.shared.calm();
                Ok(())
            }
            Err((waiting, Refusal::Full)) => self.overflowed(waiting, due, overflow),
            Err((_, refusal)) => Err(refusal),
        }
    }

    #[inline]
    fn waiting(&self, job: Held) -> Waiting<Held> {
        let key = self.settings.per_key.and_then(|_| job.head().key.clone());
        Waiting::new(job, key)
    }

    #[inline]
    fn offer(&self, waiting: Waiting<Held>, due: Option<Instant>) -> Result<(), (Waiting<Held>, Refusal)> {
        if let Some(due) = due {
            return self.offer_later(waiting, due);
        }
        let call = self.desk(|desk| desk.submit(waiting))?;
        self.call(call);
        Ok(())
    }

    fn offer_later(&self, waiting: Waiting<Held>, due: Instant) -> Result<(), (Waiting<Held>, Refusal)> {
        if self.desk(|desk| desk.submit_at(due, waiting))? {
            self.order(Order::Look);
        }
        Ok(())
    }

    /// Takes the next run of a periodic task in. It had a place before, and has it again.
    pub(super) fn again(&self, job: Held, due: Instant) -> Result<(), Refusal> {
        let waiting = self.waiting(job);
        if self.desk(|desk| desk.submit_again(due, waiting)).map_err(|(_, refusal)| refusal)? {
            self.order(Order::Look);
        }
        Ok(())
    }

    #[cold]
    fn overflowed(
        &self,
        waiting: Waiting<Held>,
        due: Option<Instant>,
        overflow: Overflow,
    ) -> Result<(), Refusal> {
        let waiting = match self.offer_beside_husks(waiting, due) {
            Err((waiting, Refusal::Full)) => waiting,
            settled => return settled.map_err(|(_, refusal)| refusal),
        };
        match overflow {
            Overflow::Shed => Err(Refusal::Full),
            Overflow::Block(patience) => self.block(waiting, due, patience),
            Overflow::CallerRuns if due.is_none() && self.run_here(&*waiting.job) => {
                tally(&self.shared.counts.caller_ran);
                Ok(())
            }
            Overflow::CallerRuns => Err(Refusal::Full),
        }
    }

    /// Once more, beside those that somebody else has claimed.
    fn offer_beside_husks(&self, waiting: Waiting<Held>, due: Option<Instant>) -> Offered {
        let Some(due) = due else {
            self.call(self.beside_husks(|desk| desk.submit(waiting))?);
            return Ok(());
        };
        if self.beside_husks(|desk| desk.submit_at(due, waiting))? {
            self.order(Order::Look);
        }
        Ok(())
    }

    fn beside_husks<R>(&self, come: impl FnOnce(&mut Desk<Held>) -> R) -> R {
        let (result, thrown) = self.desk(|desk| {
            let thrown = self.sweep(desk);
            let husks = self.husks_among(desk.waiting());
            (desk.beside(husks, come), thrown)
        });
        drop(thrown); // under no lock
        result
    }

    /// Throws husks out, if they are many: to look for a few among many would cost more each time.
    fn sweep(&self, desk: &mut Desk<Held>) -> Vec<Waiting<Held>> {
        let waiting = desk.waiting();
        if MOST_BESIDE_A_HUSK * self.husks_among(waiting) < waiting {
            return Vec::new();
        }
        let thrown = desk.purge(|job| !job.head().is_claimed());
        self.husks.fetch_sub(thrown.len() as u64, Ordering::Relaxed);
        thrown
    }

    fn block(&self, waiting: Waiting<Held>, due: Option<Instant>, patience: Duration) -> Result<(), Refusal> {
        let clock = &self.shared.clock;
        let until = scope::within_the_callers(Deadline::from(clock.now(), patience), || clock.now());
        let mut outcome = Err((waiting, Refusal::Full));
        yield_as_sender(|| {
            outcome = self.once_more(std::mem::replace(&mut outcome, Ok(())), due);
            !is_full(&outcome)
        });
        while is_full(&outcome) {
            let place = self.senders.join();
            outcome = self.once_more(outcome, due);
            while is_full(&outcome) && !place.is_called() {
                if until.has_passed(self.shared.clock.now()) {
                    self.senders.leave(&place); // a call that came just now goes to the next
                    return Err(Refusal::Full);
                }
                self.shared.clock.park(until.instant());
            }
            if is_full(&outcome) {
                outcome = self.once_more(outcome, due); // called
            } else {
                self.senders.leave(&place);
            }
        }
        outcome.map_err(|(_, refusal)| refusal)
    }

    fn once_more(&self, outcome: Offered, due: Option<Instant>) -> Offered {
        match outcome {
            Err((waiting, Refusal::Full)) => self.offer_beside_husks(waiting, due),
            settled => settled,
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
            let next = desk.take(worker);
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

    /// Runs a task on the thread of whoever spawns it, for it did not get into the queue. `false` if its key does not allow that.
    fn run_here(&self, job: &dyn Job) -> bool {
        let run = || {
            job.head().claim();
            job.run(&self.shared);
        };
        !self.shared.is_halting() && self.by_a_guest(job, run).is_some()
    }

    /// Runs a task on the thread of its joiner, if nobody has it and its key allows that.
    #[inline]
    pub(super) fn run_for_joiner<T>(&self, answer: &dyn Answer<T>) -> Option<Result<T, TaskError>> {
        if self.is_no_place_for(answer.as_job()) {
            return None;
        }
        self.by_a_guest(answer.as_job(), || {
            self.claim_for_joiner(answer.as_job()).then(|| answer.run_for_joiner(&self.shared))
        })
        .flatten()
    }

    /// Runs a task on the thread of whoever waits for its end, as [`run_for_joiner`](Self::run_for_joiner); one that is not queued waits for
    /// room. Whether it did.
    pub(super) fn run_for_waiter(&self, job: &dyn Job, is_queued: bool) -> bool {
        if self.is_no_place_for(job) {
            return false;
        }
        let run = || {
            let is_mine = if is_queued { self.claim_for_joiner(job) } else { job.head().claim() };
            if is_mine {
                job.run(&self.shared);
            }
            is_mine
        };
        self.by_a_guest(job, run) == Some(true)
    }

    /// Whether whoever waits for a task need not try to run it. Where it has no key the claim itself is the look.
    #[inline]
    fn is_no_place_for(&self, job: &dyn Job) -> bool {
        let is_taken = self.key(job).is_some() && job.head().is_claimed();
        is_taken || self.shared.is_halting() || scope::is_fenced()
    }

    /// What a thread does that is none of the pool's, as its key allows.
    #[inline]
    fn by_a_guest<R>(&self, job: &dyn Job, run: impl FnOnce() -> R) -> Option<R> {
        let key = self.key(job);
        if key.is_some_and(|key| !self.desk(|desk| desk.begin_key(key))) {
            return None;
        }
        let result = run(); // panics are contained inside
        if let Some(key) = key {
            self.call(self.desk(|desk| desk.end_key(key)));
        }
        Some(result)
    }

    /// Claims a task, and takes it out of the queue if that is easily done; else it is a husk from now on.
    #[inline]
    fn claim_for_joiner(&self, job: &dyn Job) -> bool {
        if !job.head().claim() {
            return false;
        }
        let me = std::ptr::from_ref(job).cast::<()>();
        let withdrawn = self.desk(|desk| desk.withdraw(|held| Arc::as_ptr(held).cast::<()>() == me));
        if withdrawn.is_some() {
            self.senders.call_one();
        } else {
            tally(&self.shared.counts.joined);
            self.left_husk();
        }
        true
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
        if !scope::is_fenced() {
            self.call(self.desk(|desk| desk.passed_over(worker)));
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

    pub(super) fn arrived(&self, worker: usize, hand: Handle<Look>) {
        let before = self.hands[worker].lock().replace(hand);
        drop(before);
        self.desk(|desk| desk.arrived(worker));
    }

    pub(super) fn left(&self, worker: usize) {
        self.call(self.desk(|desk| desk.left(worker)));
        let hand = self.hands[worker].lock().take();
        drop(hand);
    }

    /// A worker is gone for good: if it has not said so itself, its seat is free.
    pub(super) fn given_up(&self, worker: usize, core: &Weak<Core<Look>>) {
        let is_its = |hand: &Handle<Look>| std::ptr::eq(Arc::as_ptr(hand.core()), core.as_ptr());
        let has_not_left = self.hands[worker].lock().as_ref().is_some_and(is_its);
        if has_not_left {
            self.left(worker);
        }
    }

    /// No task begins, and those that run are to end.
    pub(super) fn halt(&self) {
        self.desk(|desk| desk.halt());
        self.shared.set_halting(true);
    }

    pub(super) fn resume(&self) {
        self.shared.set_halting(false);
        let calls = self.desk(|desk| desk.resume());
        calls.into_iter().for_each(|call| self.call(call));
    }

    /// The pool is gone for good: what waits ends, and nothing comes any more.
    pub(super) fn close(&self) {
        let left = self.desk(|desk| desk.close());
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

type Offered = Result<(), (Waiting<Held>, Refusal)>;

fn is_full(outcome: &Offered) -> bool {
    matches!(outcome, Err((_, Refusal::Full)))
}

#[cfg(all(test, not(underpin_loom)))]
mod tests;
