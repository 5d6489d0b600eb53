//! How a policy stands.

use std::sync::Arc;

use super::super::breaker::snapshot::BreakerSnapshot;
use super::super::bulkhead::BulkheadSnapshot;
use super::super::rate_limiter::RateLimiterSnapshot;
use super::super::retry::RetrySnapshot;
use super::super::shed::LoadShedderSnapshot;
use super::counts::PolicyCounts;
use super::settings::PolicySettings;

/// How a [`Policy`](super::Policy) stands. Figures that are read while it is used may be of different moments.
///
/// # Example
///
/// ```
/// use underpin::ErrorKind;
/// use underpin::resilience::{BulkheadSettings, Policy, PolicySettings};
///
/// let bulkhead = BulkheadSettings { max_concurrent_calls: 2, ..Default::default() };
/// let settings = PolicySettings { bulkhead: Some(bulkhead), ..Default::default() };
/// let policy = Policy::builder("store").settings(settings).build()?;
/// policy.run(|_| {
///     assert_eq!(policy.snapshot().bulkhead.map(|bulkhead| bulkhead.in_use), Some(1));
///     Ok::<_, ErrorKind>(())
/// })
/// .unwrap();
/// assert_eq!(policy.snapshot().counts.succeeded, 1);
/// # Ok::<(), underpin::resilience::PolicySettingsError>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct PolicySnapshot {
    /// Its name.
    pub name: Arc<str>,
    /// What it goes by.
    pub settings: PolicySettings,
    /// What has become of its runs.
    pub counts: PolicyCounts,
    /// How its shedder stands, whose depth is the number of runs in progress.
    pub shedding: Option<LoadShedderSnapshot>,
    /// How its rate limiter stands.
    pub rate: Option<RateLimiterSnapshot>,
    /// How its bulkhead stands.
    pub bulkhead: Option<BulkheadSnapshot>,
    /// How its breaker stands.
    pub breaker: Option<BreakerSnapshot>,
    /// How its retry stands.
    pub retry: Option<RetrySnapshot>,
}
