//! One run, with more said about it.

use std::fmt;
use std::time::Duration;

use super::super::fallback::{Fallback, Served, covers};
use super::Policy;
use super::context::PolicyContext;
use super::error::PolicyError;
use super::fault::Fault;
use super::run::Run;
use super::trail::NoFallback;

/// One run of a [`Policy`], with more said about it. It is made by [`call`](Policy::call) or
/// [`call_with`](Policy::call_with).
///
/// # Example
///
/// ```
/// use std::time::Duration;
/// use underpin::ErrorKind;
/// use underpin::resilience::{Policy, PolicyError, PolicySettings, SheddingSettings};
///
/// let shedding = SheddingSettings { max_age: Duration::from_millis(100), ..Default::default() };
/// let settings = PolicySettings { shedding: Some(shedding), ..Default::default() };
/// let policy = Policy::builder("orders").settings(settings).build()?;
///
/// let in_queue = Duration::from_millis(250);
/// let late = policy.call().waited(in_queue).run(|_| Ok::<_, ErrorKind>("done"));
/// assert!(matches!(late, Err(PolicyError::Shed { .. })));
/// # Ok::<(), underpin::resilience::PolicySettingsError>(())
/// ```
#[must_use = "nothing is run yet"]
pub struct PolicyCall<'a, J> {
    policy: &'a Policy,
    waited: Duration,
    judge: J,
}

impl<'a, J> PolicyCall<'a, J> {
    pub(super) fn new(policy: &'a Policy, judge: J) -> Self {
        Self { policy, waited: Duration::ZERO, judge }
    }

    /// How long the work had waited before it came, in a queue for example. It counts for the shedding.
    pub fn waited(mut self, time: Duration) -> Self {
        self.waited = time;
        self
    }

    /// Runs it.
    ///
    /// # Errors
    ///
    /// What has ended it, and what it went through.
    ///
    /// # Panics
    ///
    /// When `work` does, or what judges its errors. The breaker takes it for a failure.
    ///
    /// # Blocking
    ///
    /// As [`Policy::run`].
    pub fn run<T, E>(self, work: impl FnMut(&PolicyContext<'_>) -> Result<T, E>) -> Result<T, PolicyError<E>>
    where
        J: FnMut(&E) -> Fault,
    {
        self.go(work, |value| value, |_| Err(None))
    }

    /// Runs it, and asks `substitute` for a value where it has none: for any error, it looks at which.
    ///
    /// # Errors
    ///
    /// As [`run`](Self::run), where there is no other value.
    ///
    /// # Panics
    ///
    /// As [`run`](Self::run), and when `substitute` does.
    ///
    /// # Blocking
    ///
    /// As [`Policy::run`].
    pub fn run_or<T, E>(
        self,
        work: impl FnMut(&PolicyContext<'_>) -> Result<T, E>,
        substitute: impl FnOnce(&PolicyError<E>) -> Option<T>,
    ) -> Result<T, PolicyError<E>>
    where
        J: FnMut(&E) -> Fault,
    {
        self.go(work, |value| value, |error| substitute(error).ok_or(Some(NoFallback::Declined)))
    }

    /// Runs it, and serves the last good value of `fallback` where it fails in a way to be covered up: when it was
    /// refused, and by what is transient or the system's.
    ///
    /// # Errors
    ///
    /// As [`run`](Self::run), where there is no value that is young enough.
    ///
    /// # Panics
    ///
    /// As [`run`](Self::run).
    ///
    /// # Blocking
    ///
    /// As [`Policy::run`].
    pub fn run_or_last<T, E>(
        self,
        fallback: &Fallback<T>,
        work: impl FnMut(&PolicyContext<'_>) -> Result<T, E>,
    ) -> Result<Served<T>, PolicyError<E>>
    where
        J: FnMut(&E) -> Fault,
    {
        let last = |error: &PolicyError<E>| {
            if covers(error.kind()) {
                return fallback.cached(()).map_err(|none| Some(none.into()));
            }
            fallback.failed();
            Err(Some(NoFallback::NotCovered))
        };
        self.go(work, |value| fallback.fresh(value), last)
    }

    #[inline]
    fn go<T, U, E>(
        mut self,
        mut work: impl FnMut(&PolicyContext<'_>) -> Result<T, E>,
        keep: impl FnOnce(T) -> U,
        substitute: impl FnOnce(&PolicyError<E>) -> Result<U, Option<NoFallback>>,
    ) -> Result<U, PolicyError<E>>
    where
        J: FnMut(&E) -> Fault,
    {
        let parts = self.policy.0.parts.peek();
        let mut run = Run::begin(&self.policy.0, &parts);
        match run.pass(self.waited, &mut self.judge, &mut work) {
            Ok(value) => {
                run.succeeded();
                Ok(keep(value))
            }
            Err(error) => self.policy.rescue(&mut run, error, substitute),
        }
    }
}

impl Policy {
    /// A run has no value of its own. No part of the policy is held any more.
    #[cold]
    fn rescue<U, E>(
        &self,
        run: &mut Run<'_>,
        mut error: PolicyError<E>,
        substitute: impl FnOnce(&PolicyError<E>) -> Result<U, Option<NoFallback>>,
    ) -> Result<U, PolicyError<E>> {
        let mut story = run.ended(&error);
        match substitute(&error) {
            Ok(value) => {
                self.0.count.fallback_served();
                story.iter_mut().for_each(|story| story.served());
                Ok(value)
            }
            Err(none) => {
                error.trail_mut().fallback = none;
                story.iter_mut().zip(none).for_each(|(story, why)| story.not_served(why));
                Err(error)
            }
        }
    }
}

impl<J> fmt::Debug for PolicyCall<'_, J> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("PolicyCall");
        debug.field("policy", self.policy.name()).field("waited", &self.waited).finish_non_exhaustive()
    }
}
