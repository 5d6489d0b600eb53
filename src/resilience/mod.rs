//! What keeps a program going when what it leans on fails: breakers, retries, limits, bulkheads, pools.
//!
//! - [`CircuitBreaker`] refuses calls to what fails all the time, described by a [`BreakerBuilder`]; [`Breakers`] has one
//!   for each key. A [`Permit`] is the right to one call, [`Open`] says that there is none now.
//! - [`Retry`] calls again what failed for a while, by a [`Schedule`], within a [`RetryBudget`]; a [`StopSignal`] ends its waits.
//!   [`Classify`] is what an error says of itself, [`Classifier`] what a foreign one means.
//! - [`RateLimiter`] lets so many through in a time, evenly; [`KeyedRateLimiter`] has one for each key, [`SlidingWindow`] counts what
//!   came in the time before, [`Leases`] are shares of a limit that threads take ahead.
//! - [`Bulkhead`] lets so many in at once. [`LoadShedder`] refuses when too many wait, or for too long; [`AdaptiveLimit`] finds out
//!   how many can be served at once.
//! - [`Fallback`] has another answer, [`Cached`] a value that one computes for all, [`Pool`] resources that are lent.
//! - [`Policy`] composes them in one order, by [`PolicySettings`] that can be changed; a [`PolicyError`] says what happened.
//! - [`Patience`] is how long somebody waits for any of these.
//! - [`ErrorContext`] is what a thread was doing when something failed.
//! - [`Sink`] is where each [`Event`] goes.
//!
//! All of it works on the caller's thread, by a clock that can be given, and has no thread of its own.

mod adaptive;
mod backoff;
mod breaker;
mod bulkhead;
mod cached;
mod classify;
mod codel;
mod context;
mod fallback;
mod gradient;
mod keyed;
mod keys;
mod lease;
mod limited;
#[cfg(all(test, underpin_loom))]
mod models;
mod patience;
mod policy;
mod pool;
mod rate_limiter;
mod retry;
mod seats;
mod shed;
mod sink;
mod sliding_window;
mod timeline;
mod window_log;

pub use adaptive::{AdaptiveLimit, AdaptiveLimitBuilder, AdaptiveLimitSnapshot, AdaptivePermit, Load};
pub use backoff::{DEFAULT_MAX_WAIT, DEFAULT_WAIT, Delays, Schedule};
pub use breaker::CircuitBreaker;
pub use breaker::breakers::{Breakers, BreakersInfo};
pub use breaker::builder::BreakerBuilder;
pub use breaker::machine::BreakerState;
pub use breaker::permit::{Outcome, Permit};
pub use breaker::rates::Counts;
pub use breaker::refusal::{BreakerError, Open};
pub use breaker::settings::{BreakerSettingsError, MAX_COUNTED_FAILURES};
pub use breaker::snapshot::BreakerSnapshot;
pub use breaker::window::{CallWindow, MAX_WINDOW_CALLS};
pub use bulkhead::{Bulkhead, BulkheadBuilder, BulkheadError, BulkheadPermit, BulkheadSnapshot};
pub use cached::{Cached, CachedBuilder, CachedError, CachedSnapshot};
pub use classify::{Classifier, Classify, Remedy};
pub use context::{ErrorContext, InContext, MAX_CRUMB_BYTES, MAX_CRUMBS};
pub use fallback::{Fallback, FallbackBuilder, FallbackError, FallbackSnapshot, Served, ServedFrom};
pub use keyed::{DEFAULT_MAX_KEYS, KeyedRateLimiter, KeyedRateLimiterBuilder, KeyedRateLimiterSnapshot};
pub use lease::{Lease, Leases, LeasesSnapshot};
pub use limited::{AcquireError, Limited};
pub use patience::Patience;
pub use policy::{
    BreakerSettings, BulkheadSettings, Fault, MAX_REFUSALS_TOLD_PER_SECOND, NoFallback, NoRetry, Policy,
    PolicyBuilder, PolicyCall, PolicyContext, PolicyCounts, PolicyError, PolicySettings, PolicySettingsError,
    PolicySnapshot, PolicyTrail, RateSettings, RetryBudgetSettings, RetrySettings, SheddingSettings,
};
pub use pool::{DEFAULT_POOL_SIZE, Pool, PoolBuilder, PoolError, PoolSnapshot, Pooled};
pub use rate_limiter::{RateLimiter, RateLimiterBuilder, RateLimiterSnapshot};
pub use retry::{
    Attempt, DEFAULT_MAX_ATTEMPTS, DEFAULT_MAX_RETRY_AFTER, DEFAULT_MAX_TOKENS, DEFAULT_TOKEN_RATIO,
    Decision, Retry, RetryBudget, RetryBuilder, RetryError, RetrySnapshot, StopSignal,
};
pub use shed::{LoadShedder, LoadShedderBuilder, LoadShedderSnapshot, Shed, Ticket};
pub use sink::{Event, Sink};
pub use sliding_window::{MAX_WINDOW_LIMIT, SlidingWindow, SlidingWindowSnapshot};
