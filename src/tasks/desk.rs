//! Who of the workers takes what, and what waits.
//!
//! The whole of a pool's decisions, as a table without a lock, a thread or a clock. `J` is a task; workers are numbers below the most
//! that there may be. A worker that finds nothing is idle from that moment, under the same lock; a task that comes calls one that is
//! idle under the same lock. So no call is lost, and no one is called twice.
//!
//! One who is on its way is enough for [so many](FOR_ONE): when it takes a task and leaves others, it calls the next. So as long as something
//! waits and somebody is idle, somebody is on its way, and whoever spawns a hundred small tasks pays for one call.
//!
//! | a worker is | and becomes | when |
//! |---|---|---|
//! | away | asked for | more wait than are idle, or on their way to them |
//! | asked for, away | arrived | it [arrives](Desk::arrived) |
//! | busy | idle | it [takes](Desk::take) and there is nothing |
//! | idle | called | a task comes, or another takes one and leaves others, and too few are on their way |
//! | called, arrived | busy | it takes, or is [passed over](Desk::passed_over), for it is suspended |
//! | idle | busy | it takes without having been called |
//! | idle | away | it [retires](Desk::retire), above the fewest |
//! | any | away | it has [left](Desk::left) |

use std::collections::VecDeque;
use std::time::Instant;

use super::head::Key;
use super::keys::{Keys, unwanted};
use super::later::Later;

/// So many ready tasks call one worker. It calls the next as soon as it is there, so more are called only lest one that is slow to
/// come keep many waiting.
const FOR_ONE: usize = 32;

/// The tasks of a pool that wait, and its workers.
///
/// What nearly every change writes comes first: whoever takes the lock next fetches it with the lock.
#[derive(Debug)]
#[repr(C)]
pub(crate) struct Desk<J> {
    ready: VecDeque<Waiting<J>>,
    pub(crate) figures: Figures,
    capacity: usize,
    fewest: usize,
    keys: Keys<Waiting<J>>,
    later: Later<Waiting<J>>,
    seats: Vec<Seat>,
    /// How many seats are those of workers that were called.
    called: usize,
    /// The last one to sit down is the first to be called: the others may retire.
    idle: Vec<usize>,
    is_hiring: bool,
    is_looking: bool,
    is_halted: bool,
    is_closed: bool,
}

/// A task, and its key where keys are limited.
#[derive(Debug)]
pub(crate) struct Waiting<J> {
    pub(crate) job: J,
    pub(crate) key: Option<Key>,
    /// Whether it has waited for its key, and may be looked at again.
    is_released: bool,
}

impl<J> Waiting<J> {
    #[inline]
    pub(crate) fn new(job: J, key: Option<Key>) -> Self {
        Self { job, key, is_released: false }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Seat {
    Away,
    Asked,
    Arrived,
    Idle,
    Called,
    Busy,
}

/// What was counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub(crate) struct Figures {
    /// Tasks that were taken into the queue.
    pub(crate) accepted: u64,
    /// Tasks that workers have run to their ends.
    pub(crate) completed: u64,
    /// Tasks that workers run now.
    pub(crate) running: usize,
    /// Tasks that their joiners took out of the queue.
    pub(crate) withdrawn: u64,
    /// The most that waited.
    pub(crate) high_water: usize,
}

/// What is to be done after a change, once the lock is free.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[must_use]
pub(crate) struct Call {
    /// This worker is to look.
    pub(crate) wake: Option<usize>,
    /// One more worker is to be asked for: see [`Desk::hire`].
    pub(crate) hire: bool,
}

/// Why a task was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    Full,
    Closed,
}

impl<J> Desk<J> {
    pub(crate) fn new(capacity: usize, fewest: usize, most: usize, most_of_a_key: usize) -> Self {
        Self {
            ready: VecDeque::new(),
            figures: Figures::default(),
            capacity,
            fewest,
            keys: Keys::new(most_of_a_key),
            later: Later::new(),
            seats: vec![Seat::Away; most],
            called: 0,
            idle: Vec::with_capacity(most),
            is_hiring: false,
            is_looking: false,
            is_halted: false,
            is_closed: false,
        }
    }

    // ---- tasks ---------------------------------------------------------------------------

    /// A task comes.
    #[inline]
    pub(crate) fn submit(&mut self, waiting: Waiting<J>) -> Result<Call, (Waiting<J>, Refusal)> {
        if let Some(refusal) = self.refusal() {
            return Err((waiting, refusal));
        }
        self.accepted();
        self.ready.push_back(waiting);
        Ok(self.call())
    }

    /// A task comes that is not to begin before `due`. Whether somebody is to look when the first of those is due, and was not told.
    pub(crate) fn submit_at(
        &mut self,
        due: Instant,
        waiting: Waiting<J>,
    ) -> Result<bool, (Waiting<J>, Refusal)> {
        if let Some(refusal) = self.refusal() {
            return Err((waiting, refusal));
        }
        self.accepted();
        Ok(self.begin_later(due, waiting))
    }

    fn begin_later(&mut self, due: Instant, waiting: Waiting<J>) -> bool {
        self.later.push(due, waiting) && !std::mem::replace(&mut self.is_looking, true)
    }

    /// The same, of one that had a place before: it has it again, also where the queue is full by now.
    pub(crate) fn submit_again(
        &mut self,
        due: Instant,
        waiting: Waiting<J>,
    ) -> Result<bool, (Waiting<J>, Refusal)> {
        if self.is_closed {
            return Err((waiting, Refusal::Closed));
        }
        self.accepted();
        Ok(self.begin_later(due, waiting))
    }

    /// What is due is ready; the calls of those that are to look.
    pub(crate) fn begin_due(&mut self, now: Instant) -> Vec<Call> {
        self.is_looking = false;
        let mut calls = Vec::new();
        while let Some(waiting) = self.later.pop(now) {
            self.ready.push_back(waiting);
            calls.push(self.call());
        }
        calls
    }

    /// When the next is due.
    pub(crate) fn next_due(&self) -> Option<Instant> {
        self.later.next()
    }

    /// A worker has its hands free. Without a task it is idle, until it is called.
    #[inline]
    pub(crate) fn take(&mut self, worker: usize) -> Option<J> {
        let next = if self.is_halted { None } else { self.next() };
        match next {
            Some(_) => {
                self.stand_up(worker);
                self.figures.running += 1;
            }
            None => self.sit_down(worker),
        }
        next
    }

    /// The first that may run.
    #[inline]
    fn next(&mut self) -> Option<J> {
        loop {
            let waiting = self.ready.pop_front()?;
            let Some(key) = &waiting.key else { return Some(waiting.job) };
            if waiting.is_released {
                self.keys.is_back(key);
            }
            if self.keys.enter(key) {
                return Some(waiting.job);
            }
            let (key, is_first) = (Key::clone(key), waiting.is_released);
            self.keys.wait(&key, waiting, is_first);
        }
    }

    /// A worker has done what it took; `has_run` unless somebody else had claimed it. The one that waits for its key is the next to
    /// be taken.
    #[inline]
    pub(crate) fn done(&mut self, key: Option<&Key>, has_run: bool) {
        self.figures.running = self.figures.running.saturating_sub(1);
        self.figures.completed += u64::from(has_run);
        if let Some(key) = key {
            self.leave(key);
        }
    }

    /// The joiner of a task wants to run it: takes it out, if it is the first or the last that waits. What has a key goes on waiting.
    #[inline]
    pub(crate) fn withdraw(&mut self, is_it: impl Fn(&J) -> bool) -> Option<J> {
        let is_it = |waiting: &Waiting<J>| waiting.key.is_none() && is_it(&waiting.job);
        let waiting = if self.ready.back().is_some_and(is_it) {
            self.ready.pop_back()
        } else if self.ready.front().is_some_and(is_it) {
            self.ready.pop_front()
        } else {
            None
        };
        self.figures.withdrawn += u64::from(waiting.is_some());
        waiting.map(|waiting| waiting.job)
    }

    /// Somebody who is no worker wants to run a task of that key. Whether it may; then it [ends](Self::end_key) it.
    pub(crate) fn begin_key(&mut self, key: &Key) -> bool {
        self.keys.enter(key)
    }

    pub(crate) fn end_key(&mut self, key: &Key) -> Call {
        if self.leave(key) { self.call() } else { Call::default() }
    }

    fn leave(&mut self, key: &Key) -> bool {
        let Some(next) = self.keys.leave(key) else { return false };
        self.put_first(next);
        true
    }

    /// It has waited longer than all that are ready, save those of which the same is true.
    fn put_first(&mut self, waiting: Waiting<J>) {
        let place = self.ready.iter().take_while(|other| other.is_released).count();
        self.ready.insert(place, Waiting { is_released: true, ..waiting });
    }

    /// Lets others come where so many of those that wait take no place, for nobody wants them any more.
    pub(crate) fn beside<R>(&mut self, unwanted: usize, come: impl FnOnce(&mut Self) -> R) -> R {
        self.capacity += unwanted;
        let result = come(self);
        self.capacity -= unwanted;
        self.figures.high_water = self.figures.high_water.min(self.capacity);
        result
    }

    /// Takes out all that nobody wants any more.
    pub(crate) fn purge(&mut self, mut is_wanted: impl FnMut(&J) -> bool) -> Vec<Waiting<J>> {
        let mut out = self.keys.purge(|waiting| is_wanted(&waiting.job));
        let thrown = unwanted(&mut self.ready, |waiting| is_wanted(&waiting.job));
        thrown.iter().filter(|waiting| waiting.is_released).for_each(|waiting| self.replace(waiting));
        out.extend(thrown);
        out.extend(self.later.purge(|waiting| is_wanted(&waiting.job)));
        out
    }

    /// One that might be looked at again is thrown out: the next of its key may be.
    fn replace(&mut self, waiting: &Waiting<J>) {
        let Some(key) = &waiting.key else { return };
        self.keys.is_back(key);
        if let Some(next) = self.keys.release(key) {
            self.put_first(next);
        }
    }

    /// How many wait.
    #[inline]
    pub(crate) fn waiting(&self) -> usize {
        self.ready.len() + self.keys.waiting() + self.later.len()
    }

    /// How many keys there are of which something runs.
    pub(crate) fn keys(&self) -> usize {
        self.keys.len()
    }

    #[inline]
    fn refusal(&self) -> Option<Refusal> {
        if self.is_closed {
            return Some(Refusal::Closed);
        }
        (self.waiting() >= self.capacity).then_some(Refusal::Full)
    }

    #[inline]
    fn accepted(&mut self) {
        self.figures.accepted += 1;
        self.figures.high_water = self.figures.high_water.max(self.waiting() + 1);
    }

    // ---- workers -------------------------------------------------------------------------

    /// One more is ready: who is to look. Those that are idle are called one by the other, so whether they are too few shows now.
    #[inline]
    fn call(&mut self) -> Call {
        if self.is_halted {
            return Call::default();
        }
        let hire = !self.is_hiring && self.wants_one_more();
        if hire {
            self.is_hiring = true; // written only then: else each task that comes takes its line from the workers
        }
        Call { hire, ..self.call_idle() }
    }

    /// One that is idle, unless enough are on their way.
    #[inline]
    fn call_idle(&mut self) -> Call {
        if self.ready.len() <= FOR_ONE * self.called {
            return Call::default();
        }
        let wake = self.idle.pop();
        if let Some(worker) = wake {
            self.set_seat(worker, Seat::Called);
        }
        Call { wake, hire: false }
    }

    /// A worker has taken a task: who is to look for the others.
    #[inline]
    pub(crate) fn pass_on(&mut self) -> Call {
        if self.is_halted { Call::default() } else { self.call_idle() }
    }

    /// A worker that was called, or is to look because it has just arrived, does not come for now: who is to look in its stead.
    pub(crate) fn passed_over(&mut self, worker: usize) -> Call {
        if matches!(self.seats[worker], Seat::Called | Seat::Arrived) {
            self.set_seat(worker, Seat::Busy);
        }
        self.nudge()
    }

    #[inline]
    fn set_seat(&mut self, worker: usize, seat: Seat) {
        self.called -= usize::from(self.seats[worker] == Seat::Called);
        self.called += usize::from(seat == Seat::Called);
        self.seats[worker] = seat;
    }

    /// Whether more are ready than workers idle, or on their way to them.
    fn wants_one_more(&self) -> bool {
        let can_grow = self.seats.len() > self.fewest;
        let is_short = |others: usize| self.ready.len() > self.idle.len() + others;
        // Those that have to be counted are looked at last.
        can_grow
            && !self.is_halted
            && is_short(self.called)
            && self.count(Seat::Away) > 0
            && is_short(self.on_their_way())
    }

    fn on_their_way(&self) -> usize {
        self.called + self.count(Seat::Arrived) + self.count(Seat::Asked)
    }

    fn count(&self, seat: Seat) -> usize {
        self.seats.iter().filter(|&&other| other == seat).count()
    }

    /// The next worker to be started, if one more is wanted. Once there is none, it is told when there is.
    pub(crate) fn hire(&mut self) -> Option<usize> {
        let free = self.seats.iter().position(|&seat| seat == Seat::Away);
        let Some(worker) = free.filter(|_| self.wants_one_more()) else {
            self.is_hiring = false;
            return None;
        };
        self.seats[worker] = Seat::Asked;
        Some(worker)
    }

    /// It could not be started. What waits goes on waiting; `is_trying`: until it is tried again, as whoever hires is told.
    pub(crate) fn not_hired(&mut self, worker: usize, is_trying: bool) {
        if self.seats[worker] == Seat::Asked {
            self.seats[worker] = Seat::Away;
        }
        self.is_hiring = is_trying;
    }

    /// Whoever hires has begun anew.
    pub(crate) fn hire_anew(&mut self) {
        self.seats.iter_mut().filter(|seat| **seat == Seat::Asked).for_each(|seat| *seat = Seat::Away);
        self.is_hiring = true;
    }

    /// A worker has started. It looks for a task next, as if it had been called: nobody else is to come in its stead.
    pub(crate) fn arrived(&mut self, worker: usize) {
        self.forget(worker);
        self.set_seat(worker, Seat::Arrived);
    }

    /// This seat is kept for somebody who arrives only at the end.
    pub(crate) fn keep(&mut self, worker: usize) {
        self.forget(worker);
        self.set_seat(worker, Seat::Busy);
    }

    /// An idle worker wants to go. Whether it may: it was not called, and enough others are there.
    pub(crate) fn retire(&mut self, worker: usize) -> bool {
        if self.seats[worker] != Seat::Idle || self.crew() <= self.fewest {
            return false;
        }
        self.forget(worker);
        true
    }

    /// A worker is gone, for whatever reason. Another may have to take what it was called for.
    pub(crate) fn left(&mut self, worker: usize) -> Call {
        self.forget(worker);
        self.nudge()
    }

    /// If something is ready that nobody may have been called for: who is to look.
    pub(crate) fn nudge(&mut self) -> Call {
        if self.ready.is_empty() { Call::default() } else { self.call() }
    }

    /// How many workers are there.
    pub(crate) fn crew(&self) -> usize {
        self.seats.len() - self.count(Seat::Away) - self.count(Seat::Asked)
    }

    /// How many workers are there, or about to be.
    pub(crate) fn hands(&self) -> usize {
        self.seats.len() - self.count(Seat::Away)
    }

    pub(crate) fn idle(&self) -> usize {
        self.idle.len()
    }

    /// Who is called next of those that are idle.
    #[cfg(all(test, not(underpin_loom)))]
    pub(crate) fn first_idle(&self) -> Option<usize> {
        self.idle.last().copied()
    }

    /// It may look without having been called.
    #[inline]
    fn stand_up(&mut self, worker: usize) {
        match self.seats[worker] {
            Seat::Busy => return,
            Seat::Idle => self.idle.retain(|&idle| idle != worker),
            _ => {}
        }
        self.set_seat(worker, Seat::Busy);
    }

    fn sit_down(&mut self, worker: usize) {
        if self.seats[worker] != Seat::Idle {
            self.set_seat(worker, Seat::Idle);
            self.idle.push(worker);
        }
    }

    fn forget(&mut self, worker: usize) {
        self.set_seat(worker, Seat::Away);
        self.idle.retain(|&idle| idle != worker);
    }

    // ---- the pool ------------------------------------------------------------------------

    /// No task begins from here on.
    pub(crate) fn halt(&mut self) {
        self.is_halted = true;
    }

    /// Tasks begin again, or for the first time; the calls of those that are to look.
    pub(crate) fn resume(&mut self) -> Vec<Call> {
        (self.is_halted, self.is_closed) = (false, false);
        (0..self.ready.len()).map(|_| self.call()).collect()
    }

    /// No task comes any more; those that wait are handed back.
    pub(crate) fn close(&mut self) -> Vec<Waiting<J>> {
        self.is_closed = true;
        self.purge(|_| false)
    }
}

#[cfg(all(test, not(underpin_loom)))]
mod tests;
