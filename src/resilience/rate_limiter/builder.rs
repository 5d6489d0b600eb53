//! What a rate limiter is like.

use std::sync::Arc;
use std::time::Duration;

use super::{Inside, Rate, RateLimiter};
use crate::gcra::Gcra;
use crate::resilience::timeline::Timeline;
use crate::sync::{AtomicU64, Clock, Mutex, Tally};

/// How many permits there are in a period if nothing is said: resilience4j's `limitForPeriod`.
pub(crate) const DEFAULT_LIMIT: u32 = 50;
/// The period if nothing is said: resilience4j's `limitRefreshPeriod`.
pub(crate) const DEFAULT_PERIOD: Duration = Duration::from_nanos(500);
/// How long [`call`](RateLimiter::call) waits if nothing is said: resilience4j's `timeoutDuration`.
pub(crate) const DEFAULT_TIMEOUT: Duration = Duration::from_secs(5);

/// What a [`RateLimiter`] is like.
///
/// # Example
///
/// ```
/// use std::time::Duration;
/// use underpin::resilience::RateLimiter;
///
/// // Once in 20 ms, and after a while of calm three times at once.
/// let limiter = RateLimiter::builder("mail")
///     .limit_for_period(50)
///     .limit_refresh_period(Duration::from_secs(1))
///     .burst(3)
///     .timeout_duration(Duration::from_millis(100))
///     .build();
/// assert_eq!(limiter.snapshot().interval, Duration::from_millis(20));
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct RateLimiterBuilder {
    name: Arc<str>,
    limit: u32,
    period: Duration,
    burst: Option<u32>,
    timeout: Duration,
    clock: Clock,
}

impl RateLimiterBuilder {
    pub(super) fn new(name: Arc<str>) -> Self {
        let (limit, period, timeout) = (DEFAULT_LIMIT, DEFAULT_PERIOD, DEFAULT_TIMEOUT);
        Self { name, limit, period, burst: None, timeout, clock: Clock::system() }
    }

    /// How many permits there are in a period, at least 1. 50 if nothing is said.
    pub fn limit_for_period(mut self, limit: u32) -> Self {
        self.limit = limit.max(1);
        self
    }

    /// The period. 500 ns if nothing is said.
    pub fn limit_refresh_period(mut self, period: Duration) -> Self {
        self.period = period;
        self
    }

    /// How many permits there are at once after a while of calm, at least 1. As many as in a period, if nothing is
    /// said.
    pub fn burst(mut self, burst: u32) -> Self {
        self.burst = Some(burst.max(1));
        self
    }

    /// How long [`call`](RateLimiter::call) waits for a permit. 5 s if nothing is said.
    pub fn timeout_duration(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Where it reads its time from. The system's clock, if nothing is said.
    pub fn clock(mut self, clock: Clock) -> Self {
        self.clock = clock;
        self
    }

    /// The limiter.
    pub fn build(self) -> RateLimiter {
        let burst = self.burst.unwrap_or(self.limit);
        RateLimiter(Arc::new(Inside {
            arrival: AtomicU64::new(0),
            rate: Rate::new(Gcra::new(self.limit, self.period, burst), burst),
            changing: Mutex::new(()),
            time: Timeline::new(self.clock),
            name: self.name,
            timeout: self.timeout,
            limited: Tally::new(0),
        }))
    }
}
