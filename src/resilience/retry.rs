//! Trying again.

mod budget;
mod builder;
mod decision;
mod error;
mod halt;
mod stop;

use std::sync::Arc;
use std::time::{Duration, Instant};

pub use budget::{DEFAULT_MAX_TOKENS, DEFAULT_TOKEN_RATIO, RetryBudget};
pub use builder::{DEFAULT_MAX_ATTEMPTS, DEFAULT_MAX_RETRY_AFTER, RetryBuilder};
pub use decision::Decision;
pub use error::RetryError;
pub use stop::StopSignal;

use super::backoff::{Delays, GAMMA, scramble};
use super::classify::Classify;
use crate::service::deadline::Deadline;
use crate::service::scope::within_the_callers;
use crate::sync::{AtomicU64, Ordering};
use halt::Halt;

/// Which attempt it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Attempt {
    /// Counted from 1.
    pub number: u32,
    /// By when the call must have ended, in a handler also by when its caller wants its answer. Nobody interrupts an
    /// attempt: it is to wait no longer itself.
    pub deadline: Deadline,
}

/// Tries again what failed and may work the next time. Clones are the same retry.
///
/// The first attempt is always made. There is another after a delay while all of this holds: the error says so
/// ([`Classify`], or a closure); there were fewer attempts than [`max_attempts`](RetryBuilder::max_attempts); the
/// next one begins before the deadline; the [budget](RetryBudget), if there is one, has a token; and the
/// [stop signal](StopSignal), if there is one, was not given. A panic in an attempt is none of these: it goes on.
///
/// Retry only what may be done twice. Retries at several levels multiply.
///
/// # Example
///
/// ```
/// use std::io;
/// use std::time::Duration;
/// use underpin::Deadline;
/// use underpin::resilience::{Retry, Schedule};
///
/// let retry = Retry::builder("store")
///     .max_attempts(5)
///     .schedule(Schedule::exponential(Duration::from_millis(1), 2.0).jitter(0.5))
///     .build();
/// let read = retry.call(Deadline::after(Duration::from_secs(5)), |attempt| {
///     if attempt.number < 3 { Err(io::Error::from(io::ErrorKind::TimedOut)) } else { Ok(17) }
/// });
/// assert_eq!(read.unwrap(), 17);
/// assert_eq!(retry.snapshot().retries, 2);
/// ```
#[derive(Clone, Debug)]
pub struct Retry(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    terms: RetryBuilder,
    life: Arc<Life>,
}

/// What goes on also when the terms are others.
#[derive(Debug)]
struct Life {
    /// The state of the generator SplitMix64.
    random: AtomicU64,
    tally: Tally,
}

#[derive(Debug, Default)]
struct Tally {
    succeeded_without_retry: AtomicU64,
    succeeded_with_retry: AtomicU64,
    failed_without_retry: AtomicU64,
    failed_with_retry: AtomicU64,
    retries: AtomicU64,
}

/// What has become of the calls so far. The first four have the names of resilience4j's metrics; figures that are
/// read while calls are made may be of different moments.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RetrySnapshot {
    /// The retry.
    pub name: Arc<str>,
    /// Calls whose first attempt succeeded.
    pub succeeded_without_retry: u64,
    /// Calls of which a later one did.
    pub succeeded_with_retry: u64,
    /// Calls whose only attempt failed.
    pub failed_without_retry: u64,
    /// Calls of which several attempts failed, and none succeeded.
    pub failed_with_retry: u64,
    /// Attempts that were not the first.
    pub retries: u64,
    /// Whole tokens in the budget, if there is one.
    pub tokens: Option<u32>,
}

impl Retry {
    /// A retry of that name: 3 attempts, 500 ms apart, no budget.
    pub fn builder(name: impl Into<Arc<str>>) -> RetryBuilder {
        RetryBuilder::new(name.into())
    }

    /// Makes attempts until one succeeds, as the error itself says.
    ///
    /// # Errors
    ///
    /// How the last attempt failed, and why there is no other.
    ///
    /// # Panics
    ///
    /// When an attempt does.
    ///
    /// # Blocking
    ///
    /// As long as the attempts take, and the delays between them, which end before the deadline, with the stop
    /// signal, and, in a handler, before the deadline of its caller.
    pub fn call<T, E: Classify>(
        &self,
        deadline: Deadline,
        attempt: impl FnMut(Attempt) -> Result<T, E>,
    ) -> Result<T, RetryError<E>> {
        self.call_with(deadline, |error, _| Decision::of(error), attempt)
    }

    /// The same, as `decide` says: for errors of others. It is asked after each attempt that failed, also the last.
    ///
    /// # Errors
    ///
    /// As [`call`](Self::call).
    ///
    /// # Panics
    ///
    /// When an attempt or `decide` does.
    ///
    /// # Blocking
    ///
    /// As [`call`](Self::call).
    ///
    /// # Example
    ///
    /// ```
    /// use underpin::Deadline;
    /// use underpin::resilience::{Decision, Retry};
    ///
    /// let retry = Retry::builder("parse").build();
    /// let parsed = retry.call_with(
    ///     Deadline::unbounded(),
    ///     |_, _| Decision::GiveUp,
    ///     |_| "seven".parse::<u8>(),
    /// );
    /// assert_eq!(parsed.unwrap_err().attempts(), 1);
    /// ```
    pub fn call_with<T, E>(
        &self,
        deadline: Deadline,
        mut decide: impl FnMut(&E, Attempt) -> Decision,
        mut attempt: impl FnMut(Attempt) -> Result<T, E>,
    ) -> Result<T, RetryError<E>> {
        let mut this = Attempt { number: 1, deadline: self.inherited(deadline) };
        let mut delays = self.0.terms.schedule.delays();
        loop {
            let error = match attempt(this) {
                Ok(value) => {
                    self.succeeded(this);
                    return Ok(value);
                }
                Err(error) => error,
            };
            match self.pause(decide(&error, this), this, &mut delays) {
                Ok(()) => this.number += 1,
                Err(halt) => return Err(self.gave_up(halt, this, error)),
            }
        }
    }

    /// Outside of services, where there is nothing to inherit, the clock is not read for it.
    #[inline]
    fn inherited(&self, deadline: Deadline) -> Deadline {
        within_the_callers(deadline, || self.0.terms.clock.now())
    }

    /// What has become of the calls so far.
    pub fn snapshot(&self) -> RetrySnapshot {
        let get = |count: &AtomicU64| count.load(Ordering::Relaxed);
        let tally = &self.0.life.tally;
        RetrySnapshot {
            name: Arc::clone(&self.0.terms.name),
            succeeded_without_retry: get(&tally.succeeded_without_retry),
            succeeded_with_retry: get(&tally.succeeded_with_retry),
            failed_without_retry: get(&tally.failed_without_retry),
            failed_with_retry: get(&tally.failed_with_retry),
            retries: get(&tally.retries),
            tokens: self.0.terms.budget.as_ref().map(RetryBudget::tokens),
        }
    }

    /// Waits for the next attempt, if there is to be one. The token is taken last, and given back where there is none
    /// after all: none is lost.
    fn pause(&self, decision: Decision, this: Attempt, delays: &mut Delays) -> Result<(), Halt> {
        let terms = &self.0.terms;
        let hint = match decision {
            Decision::GiveUp => return Err(Halt::Decided),
            Decision::Retry => Duration::ZERO,
            Decision::RetryAfter(hint) => hint,
        };
        if this.number >= terms.max_attempts {
            return Err(Halt::Attempts);
        }
        if hint > terms.max_retry_after {
            return Err(Halt::Hint(hint));
        }
        self.wait(delays.draw(self.random()).max(hint), this)
    }

    fn wait(&self, wait: Duration, this: Attempt) -> Result<(), Halt> {
        let terms = &self.0.terms;
        let now = terms.clock.now();
        let by = within_the_callers(this.deadline, || now);
        let at = now.checked_add(wait).filter(|at| !by.has_passed(*at)).ok_or(Halt::Deadline(wait))?;
        if terms.stop.is_stopped() {
            return Err(Halt::Stopped);
        }
        if terms.budget.as_ref().is_some_and(|budget| !budget.withdraw()) {
            return Err(Halt::Budget);
        }
        let detail = || format!("attempt {} of {} in {wait:?}", this.number + 1, terms.max_attempts);
        terms.voice.tell(&terms.name, "retried", now, detail);
        if let Some(halt) = self.wait_until(at, wait, by) {
            terms.budget.iter().for_each(RetryBudget::give_back);
            return Err(halt);
        }
        self.0.life.tally.retries.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    /// What came meanwhile, if that is the end. A thread may be woken late, and a clock may jump: then it may be the
    /// deadline after all.
    fn wait_until(&self, at: Instant, wait: Duration, by: Deadline) -> Option<Halt> {
        let RetryBuilder { stop, clock, .. } = &self.0.terms;
        if wait.is_zero() {
            return None;
        }
        if stop.wait_until(clock, at) {
            return Some(Halt::Stopped);
        }
        by.has_passed(clock.now()).then_some(Halt::Deadline(wait))
    }

    fn random(&self) -> u64 {
        scramble(self.0.life.random.fetch_add(GAMMA, Ordering::Relaxed).wrapping_add(GAMMA))
    }

    fn succeeded(&self, this: Attempt) {
        let (terms, tally) = (&self.0.terms, &self.0.life.tally);
        terms.budget.iter().for_each(RetryBudget::deposit);
        if this.number == 1 {
            tally.succeeded_without_retry.fetch_add(1, Ordering::Relaxed);
            return;
        }
        tally.succeeded_with_retry.fetch_add(1, Ordering::Relaxed);
        terms
            .voice
            .tell(&terms.name, "succeeded", terms.clock.now(), || format!("in attempt {}", this.number));
    }

    fn gave_up<E>(&self, halt: Halt, this: Attempt, source: E) -> RetryError<E> {
        let (terms, tally) = (&self.0.terms, &self.0.life.tally);
        let failed = if this.number == 1 { &tally.failed_without_retry } else { &tally.failed_with_retry };
        failed.fetch_add(1, Ordering::Relaxed);
        let detail = || format!("after attempt {}: {}", this.number, halt.text());
        terms.voice.tell(&terms.name, "gave_up", terms.clock.now(), detail);
        halt.error(terms, this.number, source)
    }
}

#[cfg(all(test, not(underpin_loom)))]
mod tests;
