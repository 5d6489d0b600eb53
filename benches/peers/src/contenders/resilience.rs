//! Breakers and rate limiters: what they add to a call that does next to nothing.

use ::std::hint::black_box;
use ::std::num::NonZeroU32;
use ::std::sync::Arc;
use ::std::time::Duration;

use failsafe::failure_policy::{consecutive_failures, success_rate_over_time_window};
use failsafe::{FailurePolicy, StateMachine, backoff};
use governor::clock::{Clock, MonotonicClock, QuantaClock};
use underpin::resilience::{BreakerBuilder, BreakerError, CallWindow, CircuitBreaker, Leases, RateLimiter};

use super::{Arena, Bout};

/// After so many failures, one after the other, a breaker opens.
const FAILURES: u32 = 5;
/// Of so many calls the rates are made, and so many it takes for one.
const CALLS: u32 = 100;
/// The same by time: those of so long.
const WINDOW: Duration = Duration::from_secs(10);
/// A call that takes longer is slow. None does.
const SLOW: Duration = Duration::from_secs(1);
/// It stays open for longer than any row takes.
const WAIT: Duration = Duration::from_secs(3600);
/// So many permits in a second, and so many at once: there is always one. The time between two is a whole
/// nanosecond, so nothing is rounded.
const PERMITS: u32 = 1_000_000_000;
/// How many permits a lease takes at once.
const LEASE: u32 = 64;

/// A client that does the same with each number. What the compiler is not to know, the work hides itself: once, for
/// the least of these operations take no longer than that.
fn repeat(mut work: impl FnMut(u64) + Send + 'static) -> Box<dyn Bout> {
    Box::new(move |n| (0..n).for_each(&mut work))
}

// ---- breakers ----------------------------------------------------------------------------

/// What a call fails with.
#[derive(Debug, PartialEq)]
pub struct Failed;

/// Why there is no result.
#[derive(Debug, PartialEq)]
pub enum Refusal {
    /// The call was not made.
    Refused,
    /// It was made, and failed.
    Made(Failed),
}

/// A breaker of one make or another. Clones are the same one.
pub trait Breaker: Clone + Send + 'static {
    /// A call through it.
    fn call(&self, operation: impl FnOnce() -> Result<u64, Failed>) -> Result<u64, Refusal>;
}

/// No breaker at all.
#[derive(Clone)]
pub struct Bare;

impl Breaker for Bare {
    #[inline]
    fn call(&self, operation: impl FnOnce() -> Result<u64, Failed>) -> Result<u64, Refusal> {
        operation().map_err(Refusal::Made)
    }
}

impl Breaker for CircuitBreaker {
    #[inline]
    fn call(&self, operation: impl FnOnce() -> Result<u64, Failed>) -> Result<u64, Refusal> {
        CircuitBreaker::call(self, operation).map_err(|error| match error {
            BreakerError::Open(_) => Refusal::Refused,
            BreakerError::Failed(failed) => Refusal::Made(failed),
        })
    }
}

impl Breaker for Arc<recloser::Recloser> {
    #[inline]
    fn call(&self, operation: impl FnOnce() -> Result<u64, Failed>) -> Result<u64, Refusal> {
        recloser::Recloser::call(self, operation).map_err(|error| match error {
            recloser::Error::Rejected => Refusal::Refused,
            recloser::Error::Inner(failed) => Refusal::Made(failed),
        })
    }
}

impl<P: FailurePolicy + Send + 'static> Breaker for StateMachine<P, ()> {
    #[inline]
    fn call(&self, operation: impl FnOnce() -> Result<u64, Failed>) -> Result<u64, Refusal> {
        failsafe::CircuitBreaker::call(self, operation).map_err(|error| match error {
            failsafe::Error::Rejected => Refusal::Refused,
            failsafe::Error::Inner(failed) => Refusal::Made(failed),
        })
    }
}

/// Calls that go well, through a breaker that is closed.
pub fn closed(breaker: impl Breaker) -> Arena {
    Box::new(move || {
        let breaker = breaker.clone();
        repeat(move |n| assert!(breaker.call(|| Ok(black_box(n))).is_ok()))
    })
}

/// Calls that are refused, by a breaker that calls have opened.
pub fn open(breaker: impl Breaker) -> Arena {
    let is_open = (0..=CALLS).any(|_| breaker.call(|| Err(Failed)) == Err(Refusal::Refused));
    assert!(is_open, "so many calls that fail open it");
    Box::new(move || {
        let breaker = breaker.clone();
        repeat(move |n| assert!(matches!(breaker.call(|| Ok(black_box(n))), Err(Refusal::Refused))))
    })
}

fn ours(options: impl FnOnce(BreakerBuilder) -> BreakerBuilder) -> CircuitBreaker {
    let builder = CircuitBreaker::builder("bench").wait_duration_in_open_state(WAIT);
    options(builder).build().expect("the options are within their bounds")
}

pub fn consecutive() -> CircuitBreaker {
    ours(|builder| builder.consecutive_failures(FAILURES))
}

/// Its refusals need no look at the clock where they come one after the other.
pub fn coarse() -> CircuitBreaker {
    ours(|builder| builder.consecutive_failures(FAILURES).coarse_clock())
}

/// So many failures within a time, whatever goes well in between.
pub fn counted() -> CircuitBreaker {
    ours(|builder| builder.failures_within(FAILURES, WINDOW))
}

/// The window, and half of the calls in it.
fn rate(builder: BreakerBuilder, window: CallWindow) -> BreakerBuilder {
    builder.failure_rate_threshold(50.0).sliding_window(window).minimum_number_of_calls(CALLS)
}

fn with_slow_calls(builder: BreakerBuilder) -> BreakerBuilder {
    builder.slow_call_duration_threshold(SLOW)
}

pub fn by_count() -> CircuitBreaker {
    ours(|builder| rate(builder, CallWindow::Count(CALLS)))
}

pub fn by_time() -> CircuitBreaker {
    ours(|builder| rate(builder, CallWindow::Time(WINDOW)))
}

pub fn slow_by_count() -> CircuitBreaker {
    ours(|builder| with_slow_calls(rate(builder, CallWindow::Count(CALLS))))
}

pub fn slow_by_time() -> CircuitBreaker {
    ours(|builder| with_slow_calls(rate(builder, CallWindow::Time(WINDOW))))
}

/// It opens when so much of its last so many calls has failed.
fn recloser(calls: u32, error_rate: f32) -> Arc<recloser::Recloser> {
    let builder = recloser::Recloser::custom().closed_len(calls as usize).error_rate(error_rate);
    Arc::new(builder.open_wait(WAIT).build())
}

/// It knows rates alone: all of the last so many is as many in a row.
pub fn recloser_consecutive() -> impl Breaker {
    recloser(FAILURES, 1.0)
}

pub fn recloser_by_count() -> impl Breaker {
    recloser(CALLS, 0.5)
}

pub fn failsafe_consecutive() -> impl Breaker {
    let policy = consecutive_failures(FAILURES, backoff::constant(WAIT));
    failsafe::Config::new().failure_policy(policy).build()
}

pub fn failsafe_by_time() -> impl Breaker {
    let policy = success_rate_over_time_window(0.5, CALLS, WINDOW, backoff::constant(WAIT));
    failsafe::Config::new().failure_policy(policy).build()
}

/// As it is if nothing is said: a rate over 30 s, or five failures in a row.
pub fn failsafe_default() -> impl Breaker {
    failsafe::Config::new().build()
}

// ---- rate limiters -----------------------------------------------------------------------

fn limiter() -> RateLimiter {
    RateLimiter::new("bench", PERMITS, Duration::from_secs(1))
}

pub fn allowed() -> Arena {
    let limiter = limiter();
    Box::new(move || {
        let limiter = limiter.clone();
        repeat(move |_| assert!(black_box(limiter.try_acquire().is_ok())))
    })
}

/// A lease for each client.
pub fn leased() -> Arena {
    let leases = Leases::new(limiter(), LEASE);
    Box::new(move || {
        let mut lease = leases.lease();
        repeat(move |_| assert!(black_box(lease.try_acquire().is_ok())))
    })
}

fn governor(clock: impl Clock + Send + Sync + 'static) -> Arena {
    let permits = NonZeroU32::new(PERMITS).expect("there are some");
    let limiter = governor::RateLimiter::direct_with_clock(governor::Quota::per_second(permits), clock);
    let limiter = Arc::new(limiter);
    Box::new(move || {
        let limiter = Arc::clone(&limiter);
        repeat(move |_| assert!(black_box(limiter.check().is_ok())))
    })
}

/// With the processor's counter of cycles as its clock.
pub fn governor_quanta() -> Arena {
    governor(QuantaClock::default())
}

/// With the system's clock.
pub fn governor_system() -> Arena {
    governor(MonotonicClock)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fails(breaker: &impl Breaker) -> bool {
        breaker.call(|| Err(Failed)) == Err(Refusal::Made(Failed))
    }

    fn goes_well(breaker: &impl Breaker) -> bool {
        breaker.call(|| Ok(7)) == Ok(7)
    }

    /// Failures in a row until a breaker refuses.
    fn failures_until_open(breaker: &impl Breaker) -> u32 {
        (0..1000).take_while(|_| fails(breaker)).count() as u32
    }

    /// What fills the window of those that want it full first.
    fn seen(breaker: impl Breaker) -> impl Breaker {
        assert!((0..CALLS).all(|_| goes_well(&breaker)));
        breaker
    }

    #[test]
    fn five_failures_in_a_row_open_each_that_counts_them() {
        assert_eq!(failures_until_open(&seen(consecutive())), FAILURES);
        assert_eq!(failures_until_open(&seen(coarse())), FAILURES);
        assert_eq!(failures_until_open(&seen(counted())), FAILURES);
        assert_eq!(failures_until_open(&seen(recloser_consecutive())), FAILURES);
        assert_eq!(failures_until_open(&seen(failsafe_consecutive())), FAILURES);
        assert_eq!(failures_until_open(&seen(failsafe_default())), FAILURES);
    }

    #[test]
    fn a_success_in_between_keeps_each_closed_that_counts_those_in_a_row() {
        fn check(breaker: impl Breaker) {
            let failures = |_| (1..FAILURES).all(|_| fails(&breaker)) && goes_well(&breaker);
            assert!((0..20).all(failures));
        }
        check(consecutive());
        check(coarse());
        check(recloser_consecutive());
        check(failsafe_consecutive());
    }

    #[test]
    fn failures_of_half_the_window_open_each_that_goes_by_the_rate() {
        let half = CALLS / 2;
        assert_eq!(failures_until_open(&seen(by_count())), half);
        assert_eq!(failures_until_open(&seen(slow_by_count())), half);
        assert_eq!(failures_until_open(&seen(recloser_by_count())), half);
        // Nothing leaves a window by time so soon: as many as went well.
        assert_eq!(failures_until_open(&seen(by_time())), CALLS);
        assert_eq!(failures_until_open(&seen(slow_by_time())), CALLS);
    }

    #[test]
    fn a_bare_call_is_never_refused() {
        assert_eq!(failures_until_open(&Bare), 1000);
        assert!(goes_well(&Bare));
    }
}
