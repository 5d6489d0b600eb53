//! How tasks come into a pool, and what becomes of those for which there is no room.

use std::time::{Duration, Instant};

use super::Crew;
use crate::service::deadline::Deadline;
use crate::service::scope;
use crate::service::wait::yield_as_sender;
use crate::sync::Ordering;
use crate::tasks::desk::{Desk, Refusal, Waiting};
use crate::tasks::job::Held;
use crate::tasks::keeper::Order;
use crate::tasks::overflow::Overflow;
use crate::tasks::shared::tally;

/// Where a queue is full, husks are thrown out once there is one among so many: so each costs as many looks, however long the
/// queue.
pub(super) const MOST_BESIDE_A_HUSK: usize = 8;

/// What became of a task that was offered; one that was not taken is handed back.
type Offered = Result<(), (Waiting<Held>, Refusal)>;

fn is_full(outcome: &Offered) -> bool {
    matches!(outcome, Err((_, Refusal::Full)))
}

impl Crew {
    /// Takes a task in, and waits for room as the rule says; the task that is not taken was not touched.
    pub(crate) fn submit(&self, job: Held, due: Option<Instant>, overflow: Overflow) -> Result<(), Refusal> {
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
    pub(crate) fn again(&self, job: Held, due: Instant) -> Result<(), Refusal> {
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
}
