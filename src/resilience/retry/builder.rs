//! What a retry is made of.

use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::time::Duration;

use super::budget::RetryBudget;
use super::stop::StopSignal;
use super::{Inner, Life, Retry, Tally};
use crate::resilience::backoff::Schedule;
use crate::resilience::sink::{Sink, Voice};
use crate::sync::{AtomicU64, Clock};

/// How many attempts a call has if nothing else is said, the first among them: resilience4j's `maxAttempts`.
pub const DEFAULT_MAX_ATTEMPTS: u32 = 3;
/// How long a hint of the peer's is waited for if nothing else is said: 60 s.
pub const DEFAULT_MAX_RETRY_AFTER: Duration = Duration::from_secs(60);

/// What a [`Retry`] is made of.
#[derive(Clone, Debug)]
pub struct RetryBuilder {
    pub(super) name: Arc<str>,
    pub(super) max_attempts: u32,
    pub(super) schedule: Schedule,
    pub(super) max_retry_after: Duration,
    pub(super) budget: Option<RetryBudget>,
    pub(super) stop: StopSignal,
    pub(super) clock: Clock,
    seed: Option<u64>,
    pub(super) voice: Voice,
}

impl RetryBuilder {
    pub(super) fn new(name: Arc<str>) -> Self {
        Self {
            name,
            max_attempts: DEFAULT_MAX_ATTEMPTS,
            schedule: Schedule::default(),
            max_retry_after: DEFAULT_MAX_RETRY_AFTER,
            budget: None,
            stop: StopSignal::new(),
            clock: Clock::system(),
            seed: None,
            voice: Voice::default(),
        }
    }

    /// How many attempts a call has at most, the first among them: 3 unless set; 0 counts as 1.
    #[must_use]
    pub fn max_attempts(mut self, attempts: u32) -> Self {
        self.max_attempts = attempts.max(1);
        self
    }

    /// The delays between them: 500 ms each unless set.
    #[must_use]
    pub fn schedule(mut self, schedule: Schedule) -> Self {
        self.schedule = schedule;
        self
    }

    /// How long a [hint](super::Decision::RetryAfter) may be that is waited for: 60 s unless set. After a longer one there
    /// is no other attempt.
    #[must_use]
    pub fn max_retry_after(mut self, max: Duration) -> Self {
        self.max_retry_after = max;
        self
    }

    /// Lets retries take from this budget, with all others that do.
    #[must_use]
    pub fn budget(mut self, budget: RetryBudget) -> Self {
        self.budget = Some(budget);
        self
    }

    /// Ends delays when this signal is given.
    #[must_use]
    pub fn stop_on(mut self, signal: &StopSignal) -> Self {
        self.stop = signal.clone();
        self
    }

    /// Where time comes from: the system unless set.
    #[must_use]
    pub fn clock(mut self, clock: Clock) -> Self {
        self.clock = clock;
        self
    }

    /// Where chance begins, so that equal calls have equal delays: anywhere unless set.
    #[must_use]
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = Some(seed);
        self
    }

    /// Who hears of retries: `retried`, `succeeded` (not in the first attempt), `gave_up`.
    #[must_use]
    pub fn sink(mut self, sink: Arc<dyn Sink>) -> Self {
        self.voice = Voice::new(Some(sink));
        self
    }

    /// The retry.
    pub fn build(self) -> Retry {
        let seed = self.seed.unwrap_or_else(|| RandomState::new().hash_one(&self.name));
        let life = Life { random: AtomicU64::new(seed), tally: Tally::default() };
        Retry(Arc::new(Inner { terms: self, life: Arc::new(life) }))
    }

    /// The retry that goes on where that one is: with its chance, and its count.
    pub(crate) fn build_after(self, before: &Retry) -> Retry {
        let life = Arc::clone(&before.0.life);
        Retry(Arc::new(Inner { terms: self, life }))
    }
}
