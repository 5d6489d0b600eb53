//! When a breaker opens, and for how long.

use std::time::Duration;

use super::rates::Thresholds;
use super::window::{CallWindow, MAX_WINDOW_CALLS, PARTS};

/// How many failures the rules by number look back on at most.
pub const MAX_COUNTED_FAILURES: u32 = 65_536;

/// Why a breaker cannot be built as it was described.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("breaker `{name}`: `{option}` is {found}, expected {expected}")]
#[non_exhaustive]
pub struct BreakerSettingsError {
    /// The name of the breaker.
    pub name: String,
    /// The option that is wrong.
    pub option: &'static str,
    /// What it is.
    pub found: String,
    /// What it may be.
    pub expected: &'static str,
}

/// The options as they were given, in whatever order.
#[derive(Clone, Debug)]
pub(crate) struct Options {
    pub(crate) consecutive: Option<u32>,
    pub(crate) counted: Option<(u32, Duration)>,
    pub(crate) failure_rate: Option<f64>,
    pub(crate) slow_rate: Option<f64>,
    pub(crate) slow_after: Option<Duration>,
    pub(crate) window: Option<CallWindow>,
    pub(crate) minimum: Option<u32>,
    pub(crate) wait: Duration,
    pub(crate) backoff: Option<(f64, Duration)>,
    pub(crate) permitted: u32,
    pub(crate) successes: Option<u32>,
    pub(crate) max_half_open: Option<Duration>,
}

// As resilience4j has them.
pub(crate) const FAILURE_RATE: f64 = 50.0;
pub(crate) const SLOW_RATE: f64 = 100.0;
pub(crate) const CALLS: u32 = 100;
pub(crate) const WAIT: Duration = Duration::from_secs(60);
pub(crate) const PERMITTED: u32 = 10;

impl Default for Options {
    fn default() -> Self {
        Self {
            consecutive: None,
            counted: None,
            failure_rate: None,
            slow_rate: None,
            slow_after: None,
            window: None,
            minimum: None,
            wait: WAIT,
            backoff: None,
            permitted: PERMITTED,
            successes: None,
            max_half_open: None,
        }
    }
}

/// What the options come to. Times are in nanoseconds.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Settings {
    pub(crate) consecutive: Option<u32>,
    /// So many, within so long.
    pub(crate) counted: Option<(u32, u64)>,
    pub(crate) rate: Option<Rate>,
    pub(crate) thresholds: Thresholds,
    /// A call that takes longer is slow; `None` if no call is.
    pub(crate) slow_nanos: Option<u64>,
    pub(crate) wait_nanos: u64,
    /// By how much each wait is longer than the one before, and the longest.
    pub(crate) backoff: Option<(f64, u64)>,
    pub(crate) permitted: u32,
    /// How many probes are judged, unless a number of successes decides.
    pub(crate) judged: u32,
    pub(crate) successes: Option<u32>,
    pub(crate) max_half_open_nanos: Option<u64>,
}

/// Rates over a window.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Rate {
    pub(crate) window: CallWindow,
    pub(crate) minimum: u32,
}

impl Options {
    /// What they come to, whichever came first.
    ///
    /// # Errors
    ///
    /// The first that is out of its bounds.
    pub(crate) fn settings(&self, name: &str) -> Result<Settings, BreakerSettingsError> {
        self.check().map_err(|(option, found, expected)| BreakerSettingsError {
            name: name.to_owned(),
            option,
            found,
            expected,
        })?;
        let minimum = self.minimum_calls();
        let failure = self.failure_rate.unwrap_or(FAILURE_RATE);
        Ok(Settings {
            consecutive: self.consecutive,
            counted: self.counted.map(|(failures, within)| (failures, nanos(within))),
            rate: self.wants_rates().then(|| Rate { window: self.window(), minimum }),
            thresholds: Thresholds { failure, slow: self.slow_rate.unwrap_or(SLOW_RATE) },
            slow_nanos: self.slow_after.map(nanos),
            wait_nanos: nanos(self.wait),
            backoff: self.backoff.map(|(factor, longest)| (factor, nanos(longest))),
            permitted: self.permitted,
            judged: self.permitted.min(self.minimum.unwrap_or(u32::MAX)),
            successes: self.successes,
            // 0 is no limit in resilience4j; as one it would end half-open at the second probe, whatever the first says.
            max_half_open_nanos: self.max_half_open.filter(|time| !time.is_zero()).map(nanos),
        })
    }

    fn window(&self) -> CallWindow {
        self.window.unwrap_or(CallWindow::Count(CALLS))
    }

    /// A window by count never holds more than it holds.
    fn minimum_calls(&self) -> u32 {
        let minimum = self.minimum.unwrap_or(CALLS);
        if let CallWindow::Count(calls) = self.window() { minimum.min(calls) } else { minimum }
    }

    /// Rates count when one of their options was given, or no other rule was.
    fn wants_rates(&self) -> bool {
        let is_asked_for = self.failure_rate.is_some()
            || self.slow_rate.is_some()
            || self.slow_after.is_some()
            || self.window.is_some()
            || self.minimum.is_some();
        is_asked_for || (self.consecutive.is_none() && self.counted.is_none())
    }

    fn check(&self) -> Result<(), (&'static str, String, &'static str)> {
        number("consecutive_failures", self.consecutive, u32::MAX, "1 or more")?;
        let counted = self.counted.map(|(failures, _)| failures);
        number("failures_within", counted, MAX_COUNTED_FAILURES, "1 to 65,536 failures")?;
        number("minimum_number_of_calls", self.minimum, u32::MAX, "1 or more")?;
        number("permitted_number_of_calls_in_half_open_state", Some(self.permitted), u32::MAX, "1 or more")?;
        number("success_threshold", self.successes, u32::MAX, "1 or more")?;
        rate("failure_rate_threshold", self.failure_rate)?;
        rate("slow_call_rate_threshold", self.slow_rate)?;
        self.check_window()?;
        match self.backoff {
            Some((factor, _)) if !(factor >= 1.0 && factor.is_finite()) => {
                Err(("wait_backoff", factor.to_string(), "a finite factor of at least 1"))
            }
            _ => Ok(()),
        }
    }

    fn check_window(&self) -> Result<(), (&'static str, String, &'static str)> {
        match self.window {
            Some(CallWindow::Count(calls)) => {
                number("sliding_window", Some(calls), MAX_WINDOW_CALLS, "1 to 65,536 calls")
            }
            Some(CallWindow::Time(span)) if span < Duration::from_nanos(PARTS) => {
                Err(("sliding_window", format!("{span:?}"), "a time of at least 10ns"))
            }
            _ => Ok(()),
        }
    }
}

fn number(
    option: &'static str,
    found: Option<u32>,
    most: u32,
    expected: &'static str,
) -> Result<(), (&'static str, String, &'static str)> {
    match found {
        Some(found) if found == 0 || found > most => Err((option, found.to_string(), expected)),
        _ => Ok(()),
    }
}

fn rate(option: &'static str, found: Option<f64>) -> Result<(), (&'static str, String, &'static str)> {
    match found {
        Some(found) if !(found > 0.0 && found <= 100.0) => {
            Err((option, found.to_string(), "more than 0 and at most 100"))
        }
        _ => Ok(()),
    }
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

/// From here on a tick of the coarse clock, 10 ms at most, is one in a hundred.
const LEAST_COARSE_NANOS: u64 = 1_000_000_000;

impl Settings {
    /// Whether all its times are so long that a clock with coarse ticks is exact enough. What a window by time goes by is
    /// its parts.
    pub(crate) fn suits_coarse_clock(&self) -> bool {
        let part = self.rate.and_then(|rate| match rate.window {
            CallWindow::Time(span) => Some(nanos(span) / PARTS),
            CallWindow::Count(_) => None,
        });
        let within = self.counted.map(|(_, within)| within);
        let times = [Some(self.wait_nanos), self.slow_nanos, self.max_half_open_nanos, within, part];
        times.into_iter().flatten().all(|nanos| nanos >= LEAST_COARSE_NANOS)
    }

    /// How long it stays open for the `opened`-th time without having been closed.
    pub(crate) fn wait(&self, opened: u32) -> u64 {
        let Some((factor, longest)) = self.backoff else { return self.wait_nanos };
        let power = i32::try_from(opened.saturating_sub(1)).unwrap_or(i32::MAX);
        // A float that is too large, or no number, becomes the nearest integer: nothing overflows.
        let wait = (self.wait_nanos as f64 * factor.powi(power)) as u64;
        // The first wait is exact; no wait is shorter than it.
        if power == 0 { self.wait_nanos } else { wait.min(longest).max(self.wait_nanos) }
    }
}

#[cfg(all(test, not(underpin_loom)))]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn refused(options: &Options) -> &'static str {
        options.settings("a").expect_err("it is refused").option
    }

    #[test]
    fn without_options_it_is_resilience4js_breaker() {
        let settings = Options::default().settings("a").expect("they are good");
        assert_eq!(settings.rate, Some(Rate { window: CallWindow::Count(100), minimum: 100 }));
        assert_eq!(settings.thresholds, Thresholds { failure: 50.0, slow: 100.0 });
        assert_eq!((settings.wait_nanos, settings.permitted, settings.judged), (60_000_000_000, 10, 10));
        assert_eq!((settings.consecutive, settings.max_half_open_nanos), (None, None));
    }

    #[test]
    fn a_rule_by_number_replaces_the_rates_unless_they_are_asked_for() {
        let mut options = Options { consecutive: Some(5), ..Options::default() };
        assert_eq!(options.settings("a").expect("good").rate, None);
        options.minimum = Some(10);
        assert_eq!(options.settings("a").expect("good").rate.expect("rates").minimum, 10);
    }

    #[test]
    fn a_minimum_above_the_window_is_the_window() {
        let window = Some(CallWindow::Count(20));
        let options = Options { window, minimum: Some(50), ..Options::default() };
        assert_eq!(options.settings("a").expect("good").rate.expect("rates").minimum, 20);
        let options = Options { window: Some(CallWindow::Time(SECOND)), ..options };
        assert_eq!(options.settings("a").expect("good").rate.expect("rates").minimum, 50);
    }

    #[test]
    fn what_is_out_of_bounds_is_refused_by_name() {
        let good = Options::default;
        assert_eq!(refused(&Options { consecutive: Some(0), ..good() }), "consecutive_failures");
        assert_eq!(refused(&Options { counted: Some((65_537, SECOND)), ..good() }), "failures_within");
        assert_eq!(refused(&Options { minimum: Some(0), ..good() }), "minimum_number_of_calls");
        assert_eq!(
            refused(&Options { permitted: 0, ..good() }),
            "permitted_number_of_calls_in_half_open_state"
        );
        assert_eq!(refused(&Options { successes: Some(0), ..good() }), "success_threshold");
        for rate in [0.0, -1.0, 100.1, f64::NAN, f64::INFINITY] {
            assert_eq!(refused(&Options { failure_rate: Some(rate), ..good() }), "failure_rate_threshold");
            assert_eq!(refused(&Options { slow_rate: Some(rate), ..good() }), "slow_call_rate_threshold");
        }
        for window in [CallWindow::Count(0), CallWindow::Count(65_537), CallWindow::Time(Duration::ZERO)] {
            assert_eq!(refused(&Options { window: Some(window), ..good() }), "sliding_window");
        }
        for factor in [0.9, f64::NAN, f64::INFINITY] {
            assert_eq!(refused(&Options { backoff: Some((factor, SECOND)), ..good() }), "wait_backoff");
        }
        let error = Options { permitted: 0, ..good() }.settings("db").expect_err("refused").to_string();
        assert_eq!(
            error,
            "breaker `db`: `permitted_number_of_calls_in_half_open_state` is 0, expected 1 or more"
        );
    }

    #[test]
    fn a_coarse_clock_will_do_where_all_times_are_a_second_or_longer() {
        let suits = |options: Options| options.settings("a").expect("good").suits_coarse_clock();
        assert!(suits(Options::default()));
        let just_less = |time: Duration| time - Duration::from_nanos(1);
        let all = Options {
            counted: Some((3, SECOND)),
            slow_after: Some(SECOND),
            window: Some(CallWindow::Time(10 * SECOND)),
            wait: SECOND,
            max_half_open: Some(SECOND),
            ..Options::default()
        };
        assert!(suits(all.clone()));
        assert!(suits(Options { max_half_open: Some(Duration::ZERO), ..all.clone() }), "that is no limit");
        let less = just_less(SECOND);
        for short in [
            Options { counted: Some((3, less)), ..all.clone() },
            Options { slow_after: Some(less), ..all.clone() },
            Options { window: Some(CallWindow::Time(just_less(10 * SECOND))), ..all.clone() },
            Options { wait: less, ..all.clone() },
            Options { max_half_open: Some(less), ..all.clone() },
        ] {
            assert!(!suits(short.clone()), "{short:?}");
        }
    }

    proptest! {
        #[test]
        fn waits_grow_by_the_factor_up_to_the_longest(
            wait in 0_u64..1_000_000, factor in 1.0_f64..10.0, longest in 0_u64..1_000_000_000, opened in any::<u32>(),
        ) {
            let options = Options {
                wait: Duration::from_nanos(wait),
                backoff: Some((factor, Duration::from_nanos(longest))),
                ..Options::default()
            };
            let settings = options.settings("a").expect("good");
            let naive = |opened: u32| {
                let grown = (1..opened.min(500)).fold(wait as f64, |wait, _| wait * factor);
                if grown < longest as f64 { grown } else { longest.max(wait) as f64 }
            };
            for opened in [1, 2, 3, 7, opened.max(1)] {
                let (found, expected) = (settings.wait(opened) as f64, naive(opened));
                let expected = expected.max(wait as f64);
                if opened < 500 || factor > 1.1 {
                    prop_assert!((found - expected).abs() <= 1.0 + expected * 1e-6, "{found} {expected}");
                }
                prop_assert!(found >= wait as f64);
            }
        }
    }
}
