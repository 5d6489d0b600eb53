//! A circuit breaker: no calls to what fails all the time.

pub(crate) mod breakers;
pub(crate) mod builder;
mod ledger;
pub(crate) mod machine;
mod pending;
pub(crate) mod permit;
pub(crate) mod rates;
#[cfg(all(test, not(underpin_loom)))]
mod reference;
pub(crate) mod refusal;
mod refusals;
pub(crate) mod settings;
mod shared;
mod shelf;
pub(crate) mod snapshot;
#[cfg(all(test, not(underpin_loom)))]
mod tests;
pub(crate) mod window;
mod word;

use std::fmt;
use std::sync::Arc;

use builder::BreakerBuilder;
use machine::{BreakerState, Change};
use permit::{Dropped, Outcome, Permit};
use refusal::{BreakerError, Open};
use settings::Settings;
use shared::Shared;
use snapshot::BreakerSnapshot;

/// A circuit breaker: when too many calls fail, it refuses all for a while, then lets some through as probes, and by
/// how they do it closes or opens again. Clones are the same breaker.
///
/// It has no thread: its state changes when somebody calls, or asks for it. A call through a closed breaker is a look
/// at one word; with the rules by number nothing is written, and no clock is read, unless it fails. So it is with a
/// window by count once it is full of calls that went well and were quick: one more of them leaves it as it is. A window
/// by time takes a look at the clock and one atomic step for such a call, and slow calls take one look more. A call that
/// an open breaker refuses looks at the clock, and takes no lock.
///
/// # Which clock it goes by
///
/// With the feature `fast-clock`, on Linux, calls go by the system's coarse clock, which is a tick of the kernel's timer
/// behind at most, 1 to 10 ms, and read in a quarter of the time. That is so where a tick is one in a hundred at most of
/// each time that it goes by: the wait when open, a tenth of a window by time, the time for
/// [counted failures](BreakerBuilder::failures_within), the threshold of slow calls and the longest time in half-open, as far
/// as they are given, are all 1 s or longer. If one is shorter, where the kernel's tick is longer, and on other systems,
/// the clock is exact. A [clock of your own](BreakerBuilder::clock) is always read exactly.
///
/// By the coarse clock a call is let through a tick late after the wait, never early, and a call may count for a tick
/// more or less of slowness. When a state has changed is exact.
///
/// What was let through before a change of the state says nothing about the state after it, and is not counted.
///
/// A call that panics is a failure, and the panic goes on.
///
/// # Blocking
///
/// Never for long: what is done under its lock takes well under a microsecond, and no user's code runs under it.
///
/// # Example
///
/// ```
/// use std::time::Duration;
/// use underpin::Clock;
/// use underpin::resilience::{BreakerState, CircuitBreaker};
///
/// let (clock, hand) = Clock::manual();
/// let breaker = CircuitBreaker::builder("db")
///     .consecutive_failures(2)
///     .wait_duration_in_open_state(Duration::from_secs(5))
///     .success_threshold(1)
///     .clock(clock)
///     .build()?;
/// for _ in 0..2 {
///     let _ = breaker.call(|| Err::<(), _>("no route"));
/// }
/// assert_eq!(breaker.state(), BreakerState::Open);
///
/// hand.advance(Duration::from_secs(5));
/// assert_eq!(breaker.call(|| Ok::<_, &str>(7)), Ok(7));
/// assert_eq!(breaker.state(), BreakerState::Closed);
/// # Ok::<(), underpin::resilience::BreakerSettingsError>(())
/// ```
#[derive(Clone)]
pub struct CircuitBreaker {
    shared: Arc<Shared>,
}

impl CircuitBreaker {
    /// Describes a breaker. The name is in its errors and events.
    pub fn builder(name: &str) -> BreakerBuilder {
        BreakerBuilder::new(name)
    }

    /// Its name.
    pub fn name(&self) -> &str {
        self.shared.name()
    }

    /// Makes a call, if that may be. `Err` is a failure, and so is a panic.
    ///
    /// # Errors
    ///
    /// [`BreakerError::Open`] if it may not be, and [`BreakerError::Failed`] with what it failed with.
    ///
    /// # Panics
    ///
    /// When `operation` does.
    #[inline]
    pub fn call<T, E>(&self, operation: impl FnOnce() -> Result<T, E>) -> Result<T, BreakerError<E>> {
        self.call_with(Outcome::of, operation)
    }

    /// The same, where `classify` says what the result means. Its panic is a failure too.
    ///
    /// # Errors
    ///
    /// As of [`call`](Self::call): what is ignored is handed on as well.
    ///
    /// # Panics
    ///
    /// When `operation` or `classify` does.
    ///
    /// # Example
    ///
    /// ```
    /// use std::io::{Error, ErrorKind};
    /// use underpin::resilience::{BreakerState, CircuitBreaker, Outcome};
    ///
    /// let breaker = CircuitBreaker::builder("files").consecutive_failures(1).build()?;
    /// let classify = |result: &Result<(), Error>| match result {
    ///     Err(error) if error.kind() == ErrorKind::NotFound => Outcome::Ignore,
    ///     result => Outcome::of(result),
    /// };
    /// let _ = breaker.call_with(classify, || Err(ErrorKind::NotFound.into()));
    /// assert_eq!(breaker.state(), BreakerState::Closed);
    /// let _ = breaker.call_with(classify, || Err(ErrorKind::TimedOut.into()));
    /// assert_eq!(breaker.state(), BreakerState::Open);
    /// # Ok::<(), underpin::resilience::BreakerSettingsError>(())
    /// ```
    #[inline]
    pub fn call_with<T, E>(
        &self,
        classify: impl FnOnce(&Result<T, E>) -> Outcome,
        operation: impl FnOnce() -> Result<T, E>,
    ) -> Result<T, BreakerError<E>> {
        let permit = self.shared.permit(Dropped::Panicked).map_err(BreakerError::Open)?;
        let result = operation();
        let outcome = classify(&result);
        permit.report(outcome);
        result.map_err(BreakerError::Failed)
    }

    /// The right to make one call.
    ///
    /// # Errors
    ///
    /// When it may not be made now.
    #[inline]
    pub fn permit(&self) -> Result<Permit<'_>, Open> {
        self.shared.permit(Dropped::unsaid())
    }

    /// The same for somebody who always says what came of it, unless a panic passes.
    #[inline]
    pub(crate) fn permit_to_report(&self) -> Result<Permit<'_>, Open> {
        self.shared.permit(Dropped::Panicked)
    }

    /// The present state. A breaker whose wait is over is open until somebody wants to call.
    pub fn state(&self) -> BreakerState {
        self.shared.word().state()
    }

    /// What it is now.
    ///
    /// # Example
    ///
    /// ```
    /// use underpin::resilience::CircuitBreaker;
    ///
    /// let breaker = CircuitBreaker::builder("db").minimum_number_of_calls(2).build()?;
    /// let _ = breaker.call(|| Ok::<_, ()>(1));
    /// let snapshot = breaker.snapshot();
    /// assert_eq!((snapshot.calls.calls, snapshot.failure_rate), (1, None));
    /// # Ok::<(), underpin::resilience::BreakerSettingsError>(())
    /// ```
    pub fn snapshot(&self) -> BreakerSnapshot {
        self.shared.snapshot()
    }

    /// Opens it, as if too many calls had failed. Its wait does not begin again if it is open.
    pub fn open(&self) {
        self.shared.change_to(BreakerState::Open);
    }

    /// Closes it, and has it forget what was.
    pub fn close(&self) {
        self.shared.change_to(BreakerState::Closed);
    }

    /// Has it look by probes how things are.
    pub fn half_open(&self) {
        self.shared.change_to(BreakerState::HalfOpen);
    }

    /// Opens it until somebody asks for another state.
    pub fn force_open(&self) {
        self.shared.change_to(BreakerState::ForcedOpen);
    }

    /// Has it let all through and take no notice, until somebody asks for another state.
    pub fn disable(&self) {
        self.shared.change_to(BreakerState::Disabled);
    }

    /// Has it let all through and count, but never open, until somebody asks for another state.
    pub fn metrics_only(&self) {
        self.shared.change_to(BreakerState::MetricsOnly);
    }

    /// It goes by these settings from now on, in the state that it is in. Whoever changed it tells of it, under no lock.
    pub(crate) fn change(&self, settings: Settings) -> Changed {
        Changed { breaker: self.clone(), change: self.shared.change(settings) }
    }

    /// Whether anybody else has it.
    fn is_shared(&self) -> bool {
        Arc::strong_count(&self.shared) > 1
    }
}

/// What a change of its settings has brought about, and nobody was told of yet.
#[must_use = "somebody may want to hear of it"]
pub(crate) struct Changed {
    breaker: CircuitBreaker,
    change: Option<Change>,
}

impl Changed {
    pub(crate) fn tell(self) {
        self.breaker.shared.tell(self.change);
    }
}

impl fmt::Debug for CircuitBreaker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("CircuitBreaker");
        debug.field("name", self.shared.name()).field("state", &self.state()).finish_non_exhaustive()
    }
}
