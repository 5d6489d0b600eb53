//! Threads that are none of the pool's and run its tasks: who joins one, who waits for one, who found the queue full.

use std::sync::Arc;

use super::Crew;
use crate::service::scope;
use crate::tasks::error::TaskError;
use crate::tasks::job::{Answer, Job};
use crate::tasks::shared::tally;

impl Crew {
    /// Runs a task on the thread of whoever spawns it, for it did not get into the queue. `false` if its key does not allow that.
    pub(super) fn run_here(&self, job: &dyn Job) -> bool {
        let run = || {
            job.head().claim();
            job.run(&self.shared);
        };
        !self.shared.is_halting() && self.by_a_guest(job, run).is_some()
    }

    /// Runs a task on the thread of its joiner, if nobody has it and its key allows that.
    #[inline]
    pub(crate) fn run_for_joiner<T>(&self, answer: &dyn Answer<T>) -> Option<Result<T, TaskError>> {
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
    pub(crate) fn run_for_waiter(&self, job: &dyn Job, is_queued: bool) -> bool {
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
}
