//! Whether settings can be.

use std::fmt::Debug;
use std::time::Duration;

use super::super::breaker::settings::{BreakerSettingsError, Settings};
use super::settings::{
    BreakerSettings, BulkheadSettings, PolicySettings, RateSettings, RetrySettings, SheddingSettings,
};

/// Why a policy cannot be as it was described. Nothing was changed.
///
/// # Example
///
/// ```
/// use underpin::resilience::{BulkheadSettings, Policy, PolicySettings};
///
/// let bulkhead = BulkheadSettings { max_concurrent_calls: 0, ..Default::default() };
/// let settings = PolicySettings { bulkhead: Some(bulkhead), ..Default::default() };
/// let error = Policy::builder("store").settings(settings).build().unwrap_err();
/// assert_eq!(
///     error.to_string(),
///     "policy `store`: `max_concurrent_calls` of `bulkhead` is 0, expected 1 or more"
/// );
/// ```
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("policy `{name}`: `{option}` of `{part}` is {found}, expected {expected}")]
#[non_exhaustive]
pub struct PolicySettingsError {
    /// The name of the policy.
    pub name: String,
    /// The part that is wrong, as [`PolicySettings`] names it.
    pub part: &'static str,
    /// The option of it that is; a time budget is its own.
    pub option: &'static str,
    /// What it is.
    pub found: String,
    /// What it may be.
    pub expected: &'static str,
}

impl PolicySettings {
    /// Whether a policy of that name can be of them.
    ///
    /// # Errors
    ///
    /// The first option that is out of its bounds, in the order of the parts.
    ///
    /// # Example
    ///
    /// ```
    /// use std::time::Duration;
    /// use underpin::resilience::PolicySettings;
    ///
    /// let settings = PolicySettings { time_budget: Some(Duration::ZERO), ..Default::default() };
    /// let error = settings.validate("store").unwrap_err();
    /// assert_eq!((error.part, error.expected), ("time_budget", "more than no time"));
    /// ```
    pub fn validate(&self, name: &str) -> Result<(), PolicySettingsError> {
        check(self, name).map(drop).map_err(|wrong| wrong.of(name))
    }
}

/// Settings that can be, with what those of the breaker come to.
pub(super) struct Checked {
    pub(super) settings: PolicySettings,
    pub(super) breaker: Option<Settings>,
}

impl Checked {
    /// # Errors
    ///
    /// The first option that is out of its bounds.
    pub(super) fn new(name: &str, settings: PolicySettings) -> Result<Self, PolicySettingsError> {
        let breaker = check(&settings, name).map_err(|wrong| wrong.of(name))?;
        Ok(Self { settings, breaker })
    }
}

/// An option that is out of its bounds.
struct Wrong(&'static str, &'static str, String, &'static str);

impl Wrong {
    fn of(self, name: &str) -> PolicySettingsError {
        let Self(part, option, found, expected) = self;
        PolicySettingsError { name: name.to_owned(), part, option, found, expected }
    }
}

fn check(settings: &PolicySettings, name: &str) -> Result<Option<Settings>, Wrong> {
    settings.shedding.as_ref().map_or(Ok(()), shedding)?;
    settings.rate.as_ref().map_or(Ok(()), rate)?;
    settings.bulkhead.as_ref().map_or(Ok(()), bulkhead)?;
    let breaker = settings.breaker.as_ref().map(|settings| breaker(settings, name)).transpose()?;
    settings.time_budget.map_or(Ok(()), |budget| some_time("time_budget", "time_budget", budget))?;
    settings.retry.as_ref().map_or(Ok(()), retry)?;
    Ok(breaker)
}

fn shedding(settings: &SheddingSettings) -> Result<(), Wrong> {
    at_least_one("shedding", "max_in_progress", settings.max_in_progress)?;
    // A run is a moment old when its turn comes, however little it has waited.
    some_time("shedding", "max_age", settings.max_age)
}

fn rate(settings: &RateSettings) -> Result<(), Wrong> {
    at_least_one("rate", "limit_for_period", settings.limit_for_period.into())?;
    some_time("rate", "limit_refresh_period", settings.limit_refresh_period)?;
    settings.burst.map_or(Ok(()), |burst| at_least_one("rate", "burst", burst.into()))
}

fn bulkhead(settings: &BulkheadSettings) -> Result<(), Wrong> {
    at_least_one("bulkhead", "max_concurrent_calls", settings.max_concurrent_calls.into())
}

fn retry(settings: &RetrySettings) -> Result<(), Wrong> {
    at_least_one("retry", "max_attempts", settings.max_attempts.into())?;
    match settings.budget.as_ref().map(|budget| budget.token_ratio) {
        Some(ratio) if !(0.0..=1000.0).contains(&ratio) => {
            Err(wrong("retry", "budget.token_ratio", ratio, "0 to 1000"))
        }
        _ => Ok(()),
    }
}

fn breaker(settings: &BreakerSettings, name: &str) -> Result<Settings, Wrong> {
    settings.options().settings(name).map_err(|error| {
        let BreakerSettingsError { option, found, expected, .. } = error;
        Wrong("breaker", option, found, expected)
    })
}

fn at_least_one(part: &'static str, option: &'static str, found: u64) -> Result<(), Wrong> {
    if found > 0 { Ok(()) } else { Err(wrong(part, option, found, "1 or more")) }
}

fn some_time(part: &'static str, option: &'static str, found: Duration) -> Result<(), Wrong> {
    if found.is_zero() { Err(wrong(part, option, found, "more than no time")) } else { Ok(()) }
}

fn wrong(part: &'static str, option: &'static str, found: impl Debug, expected: &'static str) -> Wrong {
    Wrong(part, option, format!("{found:?}"), expected)
}

#[cfg(all(test, not(underpin_loom)))]
mod tests {
    use proptest::prelude::*;

    use super::super::settings::RetryBudgetSettings;
    use super::*;

    fn error(settings: PolicySettings) -> (&'static str, &'static str, String) {
        let error = Checked::new("x", settings).map(drop).expect_err("it is out of its bounds");
        assert!(!error.expected.is_empty() && error.name == "x");
        (error.part, error.option, error.found)
    }

    fn retried(budget: RetryBudgetSettings) -> PolicySettings {
        let retry = RetrySettings { budget: Some(budget), ..Default::default() };
        PolicySettings { retry: Some(retry), ..Default::default() }
    }

    #[test]
    fn what_is_out_of_its_bounds_is_named_with_its_part() {
        let none = PolicySettings::default();
        let shedding = Some(SheddingSettings { max_in_progress: 0, ..Default::default() });
        let found = error(PolicySettings { shedding, ..none.clone() });
        assert_eq!(found, ("shedding", "max_in_progress", "0".into()));
        for (rate, option, found) in [
            (RateSettings { limit_for_period: 0, ..Default::default() }, "limit_for_period", "0"),
            (
                RateSettings { limit_refresh_period: Duration::ZERO, ..Default::default() },
                "limit_refresh_period",
                "0ns",
            ),
            (RateSettings { burst: Some(0), ..Default::default() }, "burst", "0"),
        ] {
            let is = error(PolicySettings { rate: Some(rate), ..none.clone() });
            assert_eq!(is, ("rate", option, found.into()));
        }
        let shedding = Some(SheddingSettings { max_age: Duration::ZERO, ..Default::default() });
        let found = error(PolicySettings { shedding, ..none.clone() });
        assert_eq!(found, ("shedding", "max_age", "0ns".into()), "by a real clock all were too late");
        let bulkhead = Some(BulkheadSettings { max_concurrent_calls: 0, ..Default::default() });
        let found = error(PolicySettings { bulkhead, ..none.clone() });
        assert_eq!(found, ("bulkhead", "max_concurrent_calls", "0".into()));
        let found = error(PolicySettings { time_budget: Some(Duration::ZERO), ..none.clone() });
        assert_eq!(found, ("time_budget", "time_budget", "0ns".into()));
        let retry = Some(RetrySettings { max_attempts: 0, ..Default::default() });
        assert_eq!(error(PolicySettings { retry, ..none }), ("retry", "max_attempts", "0".into()));
        for ratio in [f64::NAN, -0.5, 1000.5] {
            let found = error(retried(RetryBudgetSettings { max_tokens: 1, token_ratio: ratio }));
            assert_eq!((found.0, found.1), ("retry", "budget.token_ratio"));
        }
    }

    #[test]
    fn of_several_that_are_wrong_the_first_is_named() {
        let all = PolicySettings {
            shedding: Some(SheddingSettings { max_in_progress: 0, ..Default::default() }),
            rate: Some(RateSettings { limit_for_period: 0, ..Default::default() }),
            bulkhead: Some(BulkheadSettings { max_concurrent_calls: 0, ..Default::default() }),
            breaker: Some(BreakerSettings { success_threshold: Some(0), ..Default::default() }),
            time_budget: Some(Duration::ZERO),
            retry: Some(RetrySettings { max_attempts: 0, ..Default::default() }),
        };
        let part = |settings: &PolicySettings| error(settings.clone()).0;
        assert_eq!(part(&all), "shedding");
        let all = PolicySettings { shedding: None, ..all };
        assert_eq!(part(&all), "rate");
        let all = PolicySettings { rate: None, ..all };
        assert_eq!(part(&all), "bulkhead");
        let all = PolicySettings { bulkhead: None, ..all };
        assert_eq!(part(&all), "breaker");
        let all = PolicySettings { breaker: None, ..all };
        assert_eq!(part(&all), "time_budget");
        assert_eq!(part(&PolicySettings { time_budget: None, ..all }), "retry");
    }

    #[test]
    fn each_option_of_the_breaker_reaches_it() {
        let good = BreakerSettings::default();
        for (option, breaker) in [
            ("consecutive_failures", BreakerSettings { consecutive_failures: Some(0), ..good.clone() }),
            (
                "failures_within",
                BreakerSettings { failures_within: Some((0, Duration::MAX)), ..good.clone() },
            ),
            (
                "failure_rate_threshold",
                BreakerSettings { failure_rate_threshold: Some(f64::NAN), ..good.clone() },
            ),
            (
                "slow_call_rate_threshold",
                BreakerSettings { slow_call_rate_threshold: Some(101.0), ..good.clone() },
            ),
            (
                "sliding_window",
                BreakerSettings {
                    sliding_window: Some(super::super::super::CallWindow::Count(0)),
                    ..good.clone()
                },
            ),
            ("minimum_number_of_calls", BreakerSettings { minimum_number_of_calls: Some(0), ..good.clone() }),
            ("wait_backoff", BreakerSettings { wait_backoff: Some((0.5, Duration::MAX)), ..good.clone() }),
            (
                "permitted_number_of_calls_in_half_open_state",
                BreakerSettings { permitted_number_of_calls_in_half_open_state: 0, ..good.clone() },
            ),
            ("success_threshold", BreakerSettings { success_threshold: Some(0), ..good.clone() }),
        ] {
            let found = error(PolicySettings { breaker: Some(breaker), ..Default::default() });
            assert_eq!((found.0, found.1), ("breaker", option));
        }
        let second = Duration::from_secs(1);
        let timed = BreakerSettings {
            slow_call_duration_threshold: Some(second),
            max_wait_duration_in_half_open_state: Some(2 * second),
            wait_duration_in_open_state: 3 * second,
            ..good
        };
        let checked = Checked::new("x", PolicySettings { breaker: Some(timed), ..Default::default() });
        let breaker = checked.ok().and_then(|checked| checked.breaker).expect("it is good");
        let times = (breaker.slow_nanos, breaker.max_half_open_nanos, breaker.wait_nanos);
        assert_eq!(times, (Some(1_000_000_000), Some(2_000_000_000), 3_000_000_000));
    }

    #[test]
    fn nothing_is_good_and_so_are_all_defaults() {
        assert!(Checked::new("x", PolicySettings::default()).is_ok());
        let all = PolicySettings {
            shedding: Some(SheddingSettings::default()),
            rate: Some(RateSettings::default()),
            bulkhead: Some(BulkheadSettings::default()),
            breaker: Some(BreakerSettings::default()),
            time_budget: Some(Duration::MAX),
            retry: retried(RetryBudgetSettings::default()).retry,
        };
        assert!(Checked::new("x", all).is_ok());
    }

    proptest! {
        #[test]
        fn any_numbers_are_good_or_named(
            numbers: (u64, u32, u32, u32), times: [Duration; 4], ratio: f64, burst: Option<u32>,
        ) {
            let (max_in_progress, limit_for_period, max_concurrent_calls, max_attempts) = numbers;
            let [max_age, limit_refresh_period, time_budget, max_wait] = times;
            let timeout = max_age;
            let mut settings = retried(RetryBudgetSettings { max_tokens: 0, token_ratio: ratio });
            let has_ratio = (0.0..=1000.0).contains(&ratio);
            settings.retry.iter_mut().for_each(|retry| retry.max_attempts = max_attempts);
            settings.shedding = Some(SheddingSettings { max_in_progress, max_age });
            settings.rate = Some(RateSettings { limit_for_period, limit_refresh_period, burst, timeout });
            settings.bulkhead = Some(BulkheadSettings { max_concurrent_calls, max_wait });
            settings.time_budget = Some(time_budget);
            let is_good = max_in_progress > 0 && limit_for_period > 0 && max_concurrent_calls > 0;
            let is_good = is_good && max_attempts > 0 && has_ratio && burst != Some(0);
            let is_good = is_good && !limit_refresh_period.is_zero() && !time_budget.is_zero();
            prop_assert_eq!(Checked::new("x", settings).is_ok(), is_good);
        }
    }
}
