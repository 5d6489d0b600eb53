//! What a bulkhead is like.

use std::sync::Arc;
use std::time::Duration;

use super::{Bulkhead, Inside};
use crate::resilience::seats::Seats;
use crate::sync::{Clock, Mutex, Tally};

/// How much is done at once if nothing is said: resilience4j's `maxConcurrentCalls`.
pub(crate) const DEFAULT_MAX_CONCURRENT_CALLS: u32 = 25;

/// What a [`Bulkhead`] is like.
///
/// # Example
///
/// ```
/// use std::time::Duration;
/// use underpin::resilience::Bulkhead;
///
/// let bulkhead = Bulkhead::builder("store")
///     .max_concurrent_calls(4)
///     .max_wait_duration(Duration::from_millis(50))
///     .build();
/// assert_eq!(bulkhead.snapshot().max_concurrent_calls, 4);
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct BulkheadBuilder {
    name: Arc<str>,
    most: u32,
    max_wait: Duration,
    clock: Clock,
}

impl BulkheadBuilder {
    pub(super) fn new(name: Arc<str>) -> Self {
        let (most, max_wait) = (DEFAULT_MAX_CONCURRENT_CALLS, Duration::ZERO);
        Self { name, most, max_wait, clock: Clock::system() }
    }

    /// What all permits together weigh at most. 25 if nothing is said; with 0 there is none.
    pub fn max_concurrent_calls(mut self, most: u32) -> Self {
        self.most = most;
        self
    }

    /// How long [`call`](Bulkhead::call) waits for a permit. Not at all if nothing is said.
    pub fn max_wait_duration(mut self, wait: Duration) -> Self {
        self.max_wait = wait;
        self
    }

    /// Where it reads its time from. The system's clock, if nothing is said.
    pub fn clock(mut self, clock: Clock) -> Self {
        self.clock = clock;
        self
    }

    /// The bulkhead.
    pub fn build(self) -> Bulkhead {
        Bulkhead(Arc::new(Inside {
            name: self.name,
            clock: self.clock,
            max_wait: self.max_wait,
            seats: Mutex::new(Seats::new(self.most)),
            rejected: Tally::new(0),
        }))
    }
}
