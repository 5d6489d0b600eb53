//! Where tasks are run: a pool, or a scope.

use std::sync::Arc;

use super::crew::Crew;
use super::desk::Refusal;
use super::error::TaskError;
use super::job::Job;
use super::overflow::Overflow;
use super::shared::{Shared, tally};
use crate::service::deadline::Deadline;

/// How a task is held that lives for `'t`.
pub(crate) type HeldFor<'t> = Arc<dyn Job + 't>;

/// Where tasks are run, as those see it who map.
pub(crate) trait Ground<'t>: Send + Sync {
    fn shared(&self) -> &Shared;
    /// How many it runs at once.
    fn threads(&self) -> usize;
    /// Takes a task in, at once or not at all.
    fn offer(&self, job: HeldFor<'t>) -> Result<(), Refusal>;
    /// The same, by the rule for more than there is room for, which waits until then at most.
    fn press(&self, job: HeldFor<'t>, until: Deadline) -> Result<(), Refusal>;
    /// Counts a refusal.
    fn refusal(&self, job: &dyn Job, refusal: Refusal) -> TaskError;
    /// Runs a task on the calling thread, if nobody has it and it may. Whether it did.
    fn run_here(&self, job: &dyn Job, is_queued: bool) -> bool;
    /// Ends a task that was taken in and has not begun, or tells the one that runs.
    fn cancel(&self, job: &dyn Job);
    /// Whether one of its threads is free, or about to be there.
    fn has_free_hands(&self) -> bool;
}

/// A pool.
pub(crate) struct Pool(pub(super) Arc<Crew>);

impl Ground<'static> for Pool {
    fn shared(&self) -> &Shared {
        &self.0.shared
    }

    fn threads(&self) -> usize {
        self.0.settings.most
    }

    fn offer(&self, job: HeldFor<'static>) -> Result<(), Refusal> {
        self.0.submit(job, None, Overflow::Shed)
    }

    fn press(&self, job: HeldFor<'static>, until: Deadline) -> Result<(), Refusal> {
        let overflow = match (self.0.settings.overflow, until.instant()) {
            (Overflow::Block(patience), Some(until)) => {
                Overflow::Block(patience.min(until.saturating_duration_since(self.0.shared.clock.now())))
            }
            (overflow, _) => overflow,
        };
        self.0.submit(job, None, overflow)
    }

    fn refusal(&self, job: &dyn Job, refusal: Refusal) -> TaskError {
        self.0.refusal(job, refusal)
    }

    fn run_here(&self, job: &dyn Job, is_queued: bool) -> bool {
        let has_run = self.0.run_for_waiter(job, is_queued);
        if has_run && !is_queued {
            tally(&self.0.shared.counts.caller_ran);
        }
        has_run
    }

    fn cancel(&self, job: &dyn Job) {
        self.0.cancel(job);
    }

    fn has_free_hands(&self) -> bool {
        self.0.desk(|desk| desk.hands() > desk.figures.running)
    }
}
