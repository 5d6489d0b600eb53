//! One run, from its shedding to its last attempt.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::super::breaker::CircuitBreaker;
use super::super::breaker::permit::Outcome;
use super::super::bulkhead::{Bulkhead, BulkheadError, BulkheadPermit};
use super::super::context::ErrorContext;
use super::super::patience::Patience;
use super::super::rate_limiter::RateLimiter;
use super::super::retry::{Attempt, Retry, RetryError};
use super::super::shed::{LoadShedder, Shed, Ticket};
use super::Inside;
use super::context::PolicyContext;
use super::end::End;
use super::error::PolicyError;
use super::fault::Fault;
use super::log::Log;
use super::parts::Parts;
use super::story::Story;
use super::trail::{NoRetry, PolicyTrail};
use crate::error::ErrorKind;
use crate::service::deadline::Deadline;
use crate::service::scope::within_the_callers;

/// One run. Dropped before it has [ended](Self::ended), it has panicked.
pub(super) struct Run<'a> {
    inside: &'a Inside,
    parts: &'a Parts,
    /// Known where a part needs the time anyway.
    began: Option<Instant>,
    log: Log,
    /// When its time budget is over.
    budget_end: Deadline,
    /// That, or the end of its caller's patience. Known only with a time budget.
    deadline: Deadline,
    /// It succeeded, when its time budget was over.
    is_late: bool,
    has_ended: bool,
}

impl<'a> Run<'a> {
    #[inline]
    pub(super) fn begin(inside: &'a Inside, parts: &'a Parts) -> Self {
        Self {
            inside,
            parts,
            began: parts.is_timed.then(|| inside.means.clock.now()),
            log: Log::default(),
            budget_end: Deadline::unbounded(),
            deadline: Deadline::unbounded(),
            is_late: false,
            has_ended: false,
        }
    }

    /// Goes through all parts, in their order. What is taken is given back in the opposite one.
    #[inline]
    pub(super) fn pass<T, E>(
        &mut self,
        age: Duration,
        judge: &mut impl FnMut(&E) -> Fault,
        work: &mut impl FnMut(&PolicyContext<'_>) -> Result<T, E>,
    ) -> Result<T, PolicyError<E>> {
        let parts = self.parts;
        let ticket = parts.shedder.as_ref().map(|shedder| self.enter(shedder, age)).transpose()?;
        if let Some((limiter, timeout)) = &parts.limiter {
            self.keep_to_rate(limiter, *timeout)?;
        }
        let _permit = parts.bulkhead.as_ref().map(|bulkhead| self.sit(bulkhead)).transpose()?;
        if let Some(ticket) = &ticket {
            ticket.check(age).map_err(|source| self.shed(source))?;
        }
        match &parts.breaker {
            None => self.begun(judge, work),
            Some(breaker) => self.through(breaker, judge, work),
        }
    }

    fn enter<E>(&self, shedder: &LoadShedder, age: Duration) -> Result<Ticket, PolicyError<E>> {
        let ticket = shedder.enter().map_err(|source| self.shed(source))?;
        if !age.is_zero() {
            // What is too late already does not wait for its turn.
            ticket.check(age).map_err(|source| self.shed(source))?;
        }
        Ok(ticket)
    }

    fn keep_to_rate<E>(&self, limiter: &RateLimiter, timeout: Duration) -> Result<(), PolicyError<E>> {
        let reserved = if timeout.is_zero() {
            limiter.try_acquire().map(|()| Duration::ZERO)
        } else {
            limiter.reserve(Patience::In(timeout))
        };
        match reserved {
            Ok(Duration::ZERO) => Ok(()),
            Ok(wait) => self.wait(wait),
            Err(source) => Err(PolicyError::Limited { source, trail: self.trail() }),
        }
    }

    fn wait<E>(&self, time: Duration) -> Result<(), PolicyError<E>> {
        let means = &self.inside.means;
        let now = means.clock.now();
        let is_stopped = now.checked_add(time).is_none_or(|at| means.stop.wait_until(&means.clock, at));
        self.log.waited(means.clock.now().saturating_duration_since(now));
        if is_stopped { Err(self.stopped(None)) } else { Ok(()) }
    }

    #[inline]
    fn sit<E>(&self, (bulkhead, patience): &(Bulkhead, Patience)) -> Result<BulkheadPermit, PolicyError<E>> {
        match bulkhead.acquire_unless(&self.inside.means.stop, *patience) {
            Ok((permit, waited)) => {
                self.log.waited(waited);
                Ok(permit)
            }
            Err(source) => Err(self.full(source, *patience)),
        }
    }

    #[inline]
    fn through<T, E>(
        &mut self,
        breaker: &CircuitBreaker,
        judge: &mut impl FnMut(&E) -> Fault,
        work: &mut impl FnMut(&PolicyContext<'_>) -> Result<T, E>,
    ) -> Result<T, PolicyError<E>> {
        let permit =
            breaker.permit_to_report().map_err(|source| PolicyError::Open { source, trail: self.trail() })?;
        let result = self.begun(judge, work);
        permit.report(self.outcome(&result));
        result
    }

    /// What the breaker is told, for the whole run.
    #[inline]
    fn outcome<T, E>(&self, result: &Result<T, PolicyError<E>>) -> Outcome {
        match result {
            Ok(_) if self.is_late => Outcome::Failure,
            Ok(_) => Outcome::Success,
            Err(_) => match self.log.fault() {
                None | Some(Fault { kind: ErrorKind::User, .. }) => Outcome::Ignore,
                Some(_) => Outcome::Failure,
            },
        }
    }

    /// It has all that it needs.
    #[inline]
    fn begun<T, E>(
        &mut self,
        judge: &mut impl FnMut(&E) -> Fault,
        work: &mut impl FnMut(&PolicyContext<'_>) -> Result<T, E>,
    ) -> Result<T, PolicyError<E>> {
        match self.parts.time_budget {
            None => self.attempts(judge, work),
            Some(budget) => self.in_time(budget, judge, work),
        }
    }

    fn in_time<T, E>(
        &mut self,
        budget: Duration,
        judge: &mut impl FnMut(&E) -> Fault,
        work: &mut impl FnMut(&PolicyContext<'_>) -> Result<T, E>,
    ) -> Result<T, PolicyError<E>> {
        let began = self.began.filter(|_| self.log.time_waited().is_zero());
        let now = began.unwrap_or_else(|| self.now());
        self.budget_end = Deadline::from(now, budget);
        self.deadline = within_the_callers(self.budget_end, || now);
        if self.deadline.has_passed(now) {
            return Err(self.timed_out(None));
        }
        let result = self.attempts(judge, work);
        self.is_late = result.is_ok() && self.budget_end.has_passed(self.now());
        result
    }

    #[inline]
    fn attempts<T, E>(
        &self,
        judge: &mut impl FnMut(&E) -> Fault,
        work: &mut impl FnMut(&PolicyContext<'_>) -> Result<T, E>,
    ) -> Result<T, PolicyError<E>> {
        if let Some(retry) = &self.parts.retry {
            return self.retried(retry, judge, work);
        }
        self.log.attempt(1, || self.now());
        work(&self.context(1)).map_err(|source| {
            self.log.fail(judge(&source));
            self.failed(source, NoRetry::NotConfigured)
        })
    }

    fn retried<T, E>(
        &self,
        retry: &Retry,
        judge: &mut impl FnMut(&E) -> Fault,
        work: &mut impl FnMut(&PolicyContext<'_>) -> Result<T, E>,
    ) -> Result<T, PolicyError<E>> {
        let decide = |error: &E, _: Attempt| {
            let fault = judge(error);
            self.log.pause(fault, self.now());
            fault.decision()
        };
        let attempt = |this: Attempt| {
            self.log.attempt(this.number, || self.now());
            work(&self.context(this.number))
        };
        retry.call_with(self.deadline, decide, attempt).map_err(|error| self.gave_up(error))
    }

    fn context(&self, attempt: u32) -> PolicyContext<'_> {
        let means = &self.inside.means;
        PolicyContext { attempt, deadline: self.deadline, clock: &means.clock, stop: &means.stop }
    }

    fn now(&self) -> Instant {
        self.inside.means.clock.now()
    }

    // ---- how it ends ---------------------------------------------------------------------

    /// It has a value. Nobody hears of one that did so at once, and in time.
    #[inline]
    pub(super) fn succeeded(&mut self) {
        self.has_ended = true;
        if self.log.attempts() == 1 && !self.is_late {
            return self.inside.count.at_once();
        }
        self.succeeded_after_all();
    }

    #[cold]
    fn succeeded_after_all(&self) {
        let attempts = self.log.attempts();
        self.inside.count.ended(End::Succeeded, attempts);
        if self.is_late {
            self.inside.count.late();
        }
        let late = if self.is_late { self.parts.time_budget } else { None };
        drop(Story::of_success(self.inside, &self.trail(), late));
    }

    /// It has none. The story of it is told when it is dropped; `None` if it is not to be told.
    #[cold]
    pub(super) fn ended<E>(&mut self, error: &PolicyError<E>) -> Option<Story<'a>> {
        self.has_ended = true;
        self.inside.count.ended(error.end(), self.log.attempts());
        Story::of(self.inside, error)
    }

    #[cold]
    fn panicked(&self) {
        self.inside.count.ended(End::Panicked, self.log.attempts());
        drop(Story::of_panic(self.inside, &self.trail()));
    }

    #[cold]
    fn shed<E>(&self, source: Shed) -> PolicyError<E> {
        PolicyError::Shed { source, trail: self.trail() }
    }

    /// A wait that the stop signal has ended says that it was full until then.
    #[cold]
    fn full<E>(&self, source: BulkheadError, patience: Patience) -> PolicyError<E> {
        if let BulkheadError::Full { waited, .. } = &source {
            self.log.waited(*waited);
        }
        if patience != Patience::NONE && self.inside.means.stop.is_stopped() {
            return self.stopped(None);
        }
        PolicyError::Full { source, trail: self.trail() }
    }

    #[cold]
    fn stopped<E>(&self, source: Option<E>) -> PolicyError<E> {
        PolicyError::Stopped { source, trail: self.trail() }
    }

    #[cold]
    fn timed_out<E>(&self, source: Option<E>) -> PolicyError<E> {
        PolicyError::TimedOut { time_budget: self.parts.time_budget, source, trail: self.trail() }
    }

    /// What is transient, and comes when the time is over, says that it is.
    #[cold]
    fn failed<E>(&self, source: E, no_retry: NoRetry) -> PolicyError<E> {
        let is_transient = self.log.fault().is_some_and(|fault| fault.kind == ErrorKind::Transient);
        if is_transient && self.deadline.has_passed(self.now()) {
            return self.timed_out(Some(source));
        }
        PolicyError::Failed { no_retry, source, trail: self.trail() }
    }

    #[cold]
    fn gave_up<E>(&self, error: RetryError<E>) -> PolicyError<E> {
        let paused = match &error {
            RetryError::Stopped { .. } => Some(Duration::ZERO),
            RetryError::DeadlineExceeded { wait, .. } => Some(*wait),
            _ => None,
        };
        self.log.give_up(paused, self.now());
        match error {
            RetryError::NotRetryable { source, .. } => self.failed(source, NoRetry::NotRetryable),
            RetryError::AttemptsExceeded { source, .. } => self.failed(source, NoRetry::NoAttemptsLeft),
            RetryError::HintExceeded { source, retry_after, max, .. } => {
                self.failed(source, NoRetry::HintTooLong { retry_after, max })
            }
            RetryError::BudgetExceeded { source, .. } => self.failed(source, NoRetry::BudgetSpent),
            RetryError::DeadlineExceeded { source, .. } => self.timed_out(Some(source)),
            RetryError::Stopped { source, .. } => self.stopped(Some(source)),
        }
    }

    #[cold]
    fn trail(&self) -> Box<PolicyTrail> {
        Box::new(PolicyTrail {
            name: Arc::clone(&self.inside.means.name),
            attempts: self.log.attempts(),
            waited: self.log.time_waited(),
            elapsed: self.began.map(|began| self.now().saturating_duration_since(began)),
            fault: self.log.fault(),
            context: ErrorContext::current(),
            fallback: None,
        })
    }
}

impl Drop for Run<'_> {
    #[inline]
    fn drop(&mut self) {
        if !self.has_ended {
            self.panicked();
        }
    }
}
