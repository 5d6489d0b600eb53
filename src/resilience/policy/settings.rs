//! What a policy is made of, as plain values.

use std::time::Duration;

use super::super::backoff::Schedule;
use super::super::breaker::settings::{Options, PERMITTED, WAIT};
use super::super::breaker::window::CallWindow;
use super::super::bulkhead::DEFAULT_MAX_CONCURRENT_CALLS;
use super::super::rate_limiter::{DEFAULT_LIMIT, DEFAULT_PERIOD, DEFAULT_TIMEOUT};
use super::super::retry::{
    DEFAULT_MAX_ATTEMPTS, DEFAULT_MAX_RETRY_AFTER, DEFAULT_MAX_TOKENS, DEFAULT_TOKEN_RATIO,
};
use super::super::shed::{DEFAULT_MAX_AGE, DEFAULT_MAX_DEPTH};

/// The parts of a [`Policy`](super::Policy), each with its options. By default there is none.
///
/// # Example
///
/// ```
/// use std::time::Duration;
/// use underpin::resilience::{BulkheadSettings, Policy, PolicySettings, RetrySettings};
///
/// let settings = PolicySettings {
///     bulkhead: Some(BulkheadSettings { max_concurrent_calls: 8, ..Default::default() }),
///     time_budget: Some(Duration::from_secs(2)),
///     retry: Some(RetrySettings::default()),
///     ..Default::default()
/// };
/// let policy = Policy::builder("store").settings(settings.clone()).build()?;
/// assert_eq!(policy.settings(), settings);
/// # Ok::<(), underpin::resilience::PolicySettingsError>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PolicySettings {
    /// How many runs there may be, and how late.
    pub shedding: Option<SheddingSettings>,
    /// How often something is run.
    pub rate: Option<RateSettings>,
    /// How much is run at once.
    pub bulkhead: Option<BulkheadSettings>,
    /// When nothing is run, for it would fail.
    pub breaker: Option<BreakerSettings>,
    /// How long the attempts of a run may take together, with the delays between them: more than nothing.
    pub time_budget: Option<Duration>,
    /// How it is tried again.
    pub retry: Option<RetrySettings>,
}

/// How many runs a policy takes in, and how late they may be.
///
/// # Example
///
/// ```
/// use std::time::Duration;
/// use underpin::resilience::SheddingSettings;
///
/// let settings = SheddingSettings { max_in_progress: 200, ..Default::default() };
/// assert_eq!(settings.max_age, Duration::from_secs(1));
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct SheddingSettings {
    /// How many runs there are at once, those among them that wait for a permit: 1 or more. 1,024 by default.
    pub max_in_progress: u64,
    /// How long a run may have waited when its turn comes, that is, when it has all permits that it needs; what it had
    /// [waited](super::PolicyCall::waited) before it came counts: more than nothing. 1 s by default.
    pub max_age: Duration,
}

/// The defaults of a [`LoadShedder`](crate::resilience::LoadShedder).
impl Default for SheddingSettings {
    fn default() -> Self {
        Self { max_in_progress: DEFAULT_MAX_DEPTH, max_age: DEFAULT_MAX_AGE }
    }
}

/// How often something is run: the options of a [`RateLimiter`](crate::resilience::RateLimiter).
///
/// # Example
///
/// ```
/// use std::time::Duration;
/// use underpin::resilience::RateSettings;
///
/// let ten_a_second = RateSettings {
///     limit_for_period: 10,
///     limit_refresh_period: Duration::from_secs(1),
///     burst: Some(1),
///     timeout: Duration::from_millis(200),
/// };
/// # let _ = ten_a_second;
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct RateSettings {
    /// How many runs there are in a period: 1 or more. 50 by default.
    pub limit_for_period: u32,
    /// The period, more than nothing. 500 ns by default.
    pub limit_refresh_period: Duration,
    /// How many there may be at once after a while of calm: 1 or more. As many as in a period by default.
    pub burst: Option<u32>,
    /// How long a run waits for its turn. 5 s by default.
    pub timeout: Duration,
}

/// Those of resilience4j.
impl Default for RateSettings {
    fn default() -> Self {
        Self {
            limit_for_period: DEFAULT_LIMIT,
            limit_refresh_period: DEFAULT_PERIOD,
            burst: None,
            timeout: DEFAULT_TIMEOUT,
        }
    }
}

/// How much is run at once: the options of a [`Bulkhead`](crate::resilience::Bulkhead).
///
/// # Example
///
/// ```
/// use underpin::resilience::BulkheadSettings;
///
/// assert_eq!(BulkheadSettings::default().max_concurrent_calls, 25);
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct BulkheadSettings {
    /// How many at once: 1 or more. 25 by default.
    pub max_concurrent_calls: u32,
    /// How long a run waits for a place. Not at all by default.
    pub max_wait: Duration,
}

/// Those of resilience4j.
impl Default for BulkheadSettings {
    fn default() -> Self {
        Self { max_concurrent_calls: DEFAULT_MAX_CONCURRENT_CALLS, max_wait: Duration::ZERO }
    }
}

/// When nothing is run, for it would fail: the options of a [`BreakerBuilder`](crate::resilience::BreakerBuilder), where
/// they are explained. Rates count where one of their options is said, or neither `consecutive_failures` nor
/// `failures_within` is.
///
/// # Example
///
/// ```
/// use std::time::Duration;
/// use underpin::resilience::BreakerSettings;
///
/// let settings = BreakerSettings {
///     consecutive_failures: Some(5),
///     wait_duration_in_open_state: Duration::from_secs(10),
///     success_threshold: Some(2),
///     ..Default::default()
/// };
/// # let _ = settings;
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct BreakerSettings {
    /// Opens after so many failures without a success in between: 1 or more.
    pub consecutive_failures: Option<u32>,
    /// Opens after so many failures within this time: 1 to [`MAX_COUNTED_FAILURES`](crate::resilience::MAX_COUNTED_FAILURES).
    pub failures_within: Option<(u32, Duration)>,
    /// Opens when so many in a hundred fail: more than 0, at most 100. 50 if it is not said.
    pub failure_rate_threshold: Option<f64>,
    /// Opens when so many in a hundred are slow: more than 0, at most 100. 100 if it is not said.
    pub slow_call_rate_threshold: Option<f64>,
    /// What takes longer is slow. Nothing is if it is not said.
    pub slow_call_duration_threshold: Option<Duration>,
    /// Which runs the rates are made of: the last 100 if it is not said.
    pub sliding_window: Option<CallWindow>,
    /// How many it takes for a rate: 1 or more. 100 if it is not said.
    pub minimum_number_of_calls: Option<u32>,
    /// How long it stays open. 60 s by default.
    pub wait_duration_in_open_state: Duration,
    /// By how much longer each time it opens again, a finite number of at least 1, and how long at most.
    pub wait_backoff: Option<(f64, Duration)>,
    /// How many runs are let through as probes: 1 or more. 10 by default.
    pub permitted_number_of_calls_in_half_open_state: u32,
    /// Closes after so many probes that went well: 1 or more.
    pub success_threshold: Option<u32>,
    /// How long it may take for the probes to decide: without limit if it is nothing, or not said.
    pub max_wait_duration_in_half_open_state: Option<Duration>,
}

impl Default for BreakerSettings {
    fn default() -> Self {
        Self {
            consecutive_failures: None,
            failures_within: None,
            failure_rate_threshold: None,
            slow_call_rate_threshold: None,
            slow_call_duration_threshold: None,
            sliding_window: None,
            minimum_number_of_calls: None,
            wait_duration_in_open_state: WAIT,
            wait_backoff: None,
            permitted_number_of_calls_in_half_open_state: PERMITTED,
            success_threshold: None,
            max_wait_duration_in_half_open_state: None,
        }
    }
}

impl BreakerSettings {
    /// The same in the words of the breaker.
    pub(super) fn options(&self) -> Options {
        Options {
            consecutive: self.consecutive_failures,
            counted: self.failures_within,
            failure_rate: self.failure_rate_threshold,
            slow_rate: self.slow_call_rate_threshold,
            slow_after: self.slow_call_duration_threshold,
            window: self.sliding_window,
            minimum: self.minimum_number_of_calls,
            wait: self.wait_duration_in_open_state,
            backoff: self.wait_backoff,
            permitted: self.permitted_number_of_calls_in_half_open_state,
            successes: self.success_threshold,
            max_half_open: self.max_wait_duration_in_half_open_state,
        }
    }
}

/// How it is tried again: the options of a [`RetryBuilder`](crate::resilience::RetryBuilder).
///
/// # Example
///
/// ```
/// use std::time::Duration;
/// use underpin::resilience::{RetryBudgetSettings, RetrySettings, Schedule};
///
/// let settings = RetrySettings {
///     max_attempts: 4,
///     schedule: Schedule::exponential(Duration::from_millis(50), 2.0).jitter(0.5),
///     budget: Some(RetryBudgetSettings::default()),
///     ..Default::default()
/// };
/// # let _ = settings;
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct RetrySettings {
    /// How many attempts a run has at most, the first among them: 1 or more. 3 by default.
    pub max_attempts: u32,
    /// The delays between them. 500 ms by default.
    pub schedule: Schedule,
    /// How long whoever refused may ask to be left alone. 60 s by default.
    pub max_retry_after: Duration,
    /// How many retries there may be over many runs. As many as there are by default.
    pub budget: Option<RetryBudgetSettings>,
}

impl Default for RetrySettings {
    fn default() -> Self {
        Self {
            max_attempts: DEFAULT_MAX_ATTEMPTS,
            schedule: Schedule::default(),
            max_retry_after: DEFAULT_MAX_RETRY_AFTER,
            budget: None,
        }
    }
}

/// How many retries there may be over many runs: the options of a [`RetryBudget`](crate::resilience::RetryBudget).
///
/// # Example
///
/// ```
/// use underpin::resilience::RetryBudgetSettings;
///
/// assert_eq!(RetryBudgetSettings::default().max_tokens, 100);
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct RetryBudgetSettings {
    /// How many tokens there are at most. 100 by default.
    pub max_tokens: u32,
    /// Which part of one each success gives back: from 0 to 1000. A tenth by default.
    pub token_ratio: f64,
}

impl Default for RetryBudgetSettings {
    fn default() -> Self {
        Self { max_tokens: DEFAULT_MAX_TOKENS, token_ratio: DEFAULT_TOKEN_RATIO }
    }
}
