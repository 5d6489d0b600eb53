//! The right to make one call.

use std::fmt;

use super::shared::Shared;

/// What came of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// It went well.
    Success,
    /// It counts against what was called.
    Failure,
    /// It says nothing about what was called: a request that was wrong, a call that was given up.
    Ignore,
}

impl Outcome {
    /// `Err` is a failure.
    #[inline]
    pub fn of<T, E>(result: &Result<T, E>) -> Self {
        if result.is_ok() { Self::Success } else { Self::Failure }
    }
}

/// The right to make one call, and the duty to say what came of it.
///
/// Dropped without a word it is given back, as if [ignored](Self::ignore); dropped by a panic that passes it counts as
/// a failure.
///
/// # Example
///
/// ```
/// use underpin::resilience::{CircuitBreaker, Open};
///
/// fn ping(breaker: &CircuitBreaker) -> Result<(), Open> {
///     let permit = breaker.permit()?;
///     let answer: Result<u8, std::io::Error> = Ok(1); // the call itself
///     permit.finish(&answer);
///     Ok(())
/// }
/// let breaker = CircuitBreaker::builder("peer").build()?;
/// assert_eq!(ping(&breaker), Ok(()));
/// # Ok::<(), underpin::resilience::BreakerSettingsError>(())
/// ```
#[must_use = "a permit that is dropped is given back"]
pub struct Permit<'a> {
    pub(crate) shared: &'a Shared,
    pub(crate) generation: u64,
    /// When it was given, where that matters.
    pub(crate) started: Option<u64>,
    /// What its drop says, unless a panic passes.
    pub(crate) dropped: Dropped,
}

/// What it means when a permit is dropped.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Dropped {
    /// It was given back, or a panic passed: whichever it is. One that was under way before is none of it.
    Unsaid { was_panicking: bool },
    /// A panic passed: there is no other way.
    Panicked,
}

impl Dropped {
    /// For a permit that somebody has in hand from now on.
    #[inline]
    pub(crate) fn unsaid() -> Self {
        Self::Unsaid { was_panicking: std::thread::panicking() }
    }

    fn outcome(self) -> Outcome {
        let has_panicked = match self {
            Self::Unsaid { was_panicking } => std::thread::panicking() && !was_panicking,
            Self::Panicked => true,
        };
        if has_panicked { Outcome::Failure } else { Outcome::Ignore }
    }
}

impl Permit<'_> {
    /// The call went well.
    #[inline]
    pub fn success(self) {
        self.report(Outcome::Success);
    }

    /// The call failed.
    pub fn failure(self) {
        self.report(Outcome::Failure);
    }

    /// The call says nothing about what was called. In half-open another probe may be made for it.
    pub fn ignore(self) {
        self.report(Outcome::Ignore);
    }

    /// What came of the call, where `Err` is a failure.
    #[inline]
    pub fn finish<T, E>(self, result: &Result<T, E>) {
        self.report(Outcome::of(result));
    }

    /// What came of the call.
    #[inline]
    pub fn report(self, outcome: Outcome) {
        let (shared, generation, started) = (self.shared, self.generation, self.started);
        std::mem::forget(self); // it owns nothing
        shared.settle(generation, outcome, started);
    }
}

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        self.shared.settle(self.generation, self.dropped.outcome(), self.started);
    }
}

impl fmt::Debug for Permit<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Permit").field("breaker", &self.shared.name()).finish_non_exhaustive()
    }
}
