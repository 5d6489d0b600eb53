//! What a map has in flight: handed to the threads, waited for, told to end.

use std::sync::Arc;
use std::time::Instant;

use super::bell::Bell;
use super::desk::Refusal;
use super::error::TaskError;
use super::flight::Flight;
use super::ground::{Ground, HeldFor};
use super::job::Answer;
use super::shared::name;
use crate::service::deadline::Deadline;
use crate::service::scope::within_the_callers;

/// What came of an item.
pub(crate) type Outcome<U> = Result<U, TaskError>;

/// How an item is held by whoever maps.
pub(crate) type Flying<'t, U> = Arc<dyn Answer<U> + 't>;

/// What a map has in flight. Dropped, it cancels that.
pub(crate) struct Flow<'t, U> {
    pub(super) ground: Box<dyn Ground<'t> + 't>,
    pub(super) bell: Arc<Bell>,
    pub(super) flight: Flight<Flying<'t, U>>,
    /// One for which there was no room. It waits until there is.
    aside: Option<usize>,
    /// Whether the calling thread runs what nobody has begun: then nobody can say how long that takes.
    pub(super) may_help: bool,
}

impl<'t, U> Flow<'t, U> {
    pub(crate) fn new(
        ground: Box<dyn Ground<'t> + 't>,
        flight: Flight<Flying<'t, U>>,
        may_help: bool,
    ) -> Self {
        Self { ground, bell: Arc::default(), flight, aside: None, may_help }
    }

    /// The next outcome, if it is there.
    pub(crate) fn next(&mut self) -> Option<Outcome<U>> {
        let flying = self.flight.next()?;
        let untold = || Err(TaskError::Cancelled { name: name(flying.head()) });
        Some(flying.take().unwrap_or_else(untold))
    }

    /// Hears what has ended.
    pub(crate) fn hear(&mut self) {
        for place in self.bell.hear() {
            self.flight.ended(place);
        }
    }

    // ---- to the threads ------------------------------------------------------------------

    /// The one that waits for room tries again. Whether none waits any more.
    pub(crate) fn retry(&mut self) -> bool {
        self.aside.take().is_none_or(|place| self.offer(place))
    }

    /// Hands one to the threads. `false` if it has to wait for room.
    pub(crate) fn offer(&mut self, place: usize) -> bool {
        let Some(job) = self.job(place) else { return true };
        let shared = self.ground.shared();
        if job.head().is_late(|| shared.clock.now()) {
            self.end(&job, |flow| flow.ground.shared().expired(job.head()));
            return true;
        }
        match self.ground.offer(Arc::clone(&job)) {
            Ok(()) => {}
            Err(Refusal::Full) => self.aside = Some(place),
            Err(refusal) => self.end(&job, |flow| flow.ground.refusal(&*job, refusal)),
        }
        self.aside.is_none()
    }

    /// There is no room, and nothing of this map runs that could make some. Whether something was done about it.
    fn press(&mut self, until: Deadline) -> bool {
        if self.flight.len() > 1 {
            return false;
        }
        let Some(place) = self.aside.take() else { return false };
        let Some(job) = self.job(place) else { return true };
        if self.may_help && self.ground.run_here(&*job, false) {
            return true;
        }
        if let Err(refusal) = self.ground.press(Arc::clone(&job), until) {
            self.end(&job, |flow| flow.ground.refusal(&*job, refusal));
        }
        true
    }

    /// Ends one that nobody else has.
    fn end(&self, job: &HeldFor<'t>, why: impl FnOnce(&Self) -> TaskError) {
        if job.head().claim() {
            job.end(self.ground.shared(), why(self));
        }
    }

    fn job(&self, place: usize) -> Option<HeldFor<'t>> {
        self.flight.get(place).map(|flying| Arc::clone(flying) as HeldFor<'t>)
    }

    // ---- waiting -------------------------------------------------------------------------

    /// Does what would otherwise be waited for. Whether there was something.
    pub(crate) fn help(&mut self, until: Deadline) -> bool {
        if self.press(until) {
            return true;
        }
        let Some(place) = self.helpless().filter(|_| self.may_help) else { return false };
        let is_aside = self.aside == Some(place);
        let has_run = self.job(place).is_some_and(|job| self.ground.run_here(&*job, !is_aside));
        if has_run && is_aside {
            self.aside = None;
        }
        has_run
    }

    /// The one without which it does not go on, and that nobody has begun. As they complete it goes on with any: then only if nobody has
    /// begun one, nor is about to.
    fn helpless(&self) -> Option<usize> {
        let unclaimed = |flying: &Flying<'t, U>| !flying.head().is_claimed();
        if self.flight.awaited().is_none()
            && (self.ground.has_free_hands() || !self.flight.flying().all(unclaimed))
        {
            return None;
        }
        self.flight.eldest().filter(|place| self.flight.get(*place).is_some_and(unclaimed))
    }

    /// Waits until the next may be there. `false` when the deadline came first.
    pub(crate) fn wait(&self, until: Deadline) -> bool {
        let clock = &self.ground.shared().clock;
        self.bell.wait(self.flight.awaited(), clock, within_the_callers(until, || clock.now()))
    }

    /// The one that was waited for is told to end, and not waited for any longer.
    pub(crate) fn give_up(&mut self, begun: Instant) -> Option<Outcome<U>> {
        let place = self.flight.eldest()?;
        let is_aside = self.aside.take_if(|aside| *aside == place).is_some();
        let flying = self.flight.leave(place)?;
        self.cancel(&flying, is_aside);
        let waited = self.ground.shared().clock.now().saturating_duration_since(begun);
        let late = Err(TaskError::TimedOut { name: name(flying.head()), waited });
        self.leave_alone(&flying);
        Some(late)
    }

    // ---- the end -------------------------------------------------------------------------

    /// What has not begun never does, and what runs is told to end. Nobody waits for it.
    pub(crate) fn cancel_all(&mut self) {
        let aside = self.aside.take().and_then(|place| self.flight.leave(place));
        aside.iter().for_each(|flying| self.cancel(flying, true));
        // What runs is told last: else a thread that is free again begins what is not yet cancelled.
        let (begun, waiting): (Vec<_>, Vec<_>) =
            self.flight.leave_all().into_iter().partition(|flying| flying.head().is_claimed());
        waiting.iter().chain(&begun).for_each(|flying| self.cancel(flying, false));
        waiting.iter().chain(&begun).chain(&aside).for_each(|flying| self.leave_alone(flying));
    }

    fn cancel(&self, flying: &Flying<'t, U>, is_aside: bool) {
        if !is_aside {
            return self.ground.cancel(&**flying);
        }
        let job = Arc::clone(flying) as HeldFor<'t>;
        self.end(&job, |_| TaskError::Cancelled { name: name(flying.head()) });
    }

    /// Nobody asks for what came of it.
    fn leave_alone(&self, flying: &Flying<'t, U>) {
        if flying.head().leave_alone() {
            let outcome = flying.take();
            self.ground.shared().unheard(outcome.as_ref());
            drop(outcome); // a panic in the drop of a result is its owner's
        }
    }
}

impl<U> Drop for Flow<'_, U> {
    fn drop(&mut self) {
        self.cancel_all();
    }
}
