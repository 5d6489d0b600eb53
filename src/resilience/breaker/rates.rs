//! How many of some calls failed or were slow.

use std::ops::{AddAssign, SubAssign};

/// How many calls there were, how many of them failed, and how many were slow. One may be both.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// All of them.
    pub calls: u32,
    /// Those that failed.
    pub failed: u32,
    /// Those that took too long, well or not.
    pub slow: u32,
}

impl Counts {
    /// One call.
    #[inline]
    pub(crate) fn one(is_failed: bool, is_slow: bool) -> Self {
        Self { calls: 1, failed: is_failed.into(), slow: is_slow.into() }
    }

    /// How many in a hundred failed; 0 of none.
    pub fn failure_rate(&self) -> f64 {
        percent(self.failed, self.calls)
    }

    /// How many in a hundred were slow; 0 of none.
    pub fn slow_call_rate(&self) -> f64 {
        percent(self.slow, self.calls)
    }
}

fn percent(part: u32, all: u32) -> f64 {
    if all == 0 { 0.0 } else { f64::from(part) * 100.0 / f64::from(all) }
}

// They saturate: a count that is wrong at four thousand million is better than a panic.
impl AddAssign for Counts {
    #[inline]
    fn add_assign(&mut self, other: Self) {
        self.calls = self.calls.saturating_add(other.calls);
        self.failed = self.failed.saturating_add(other.failed);
        self.slow = self.slow.saturating_add(other.slow);
    }
}

impl SubAssign for Counts {
    fn sub_assign(&mut self, other: Self) {
        self.calls = self.calls.saturating_sub(other.calls);
        self.failed = self.failed.saturating_sub(other.failed);
        self.slow = self.slow.saturating_sub(other.slow);
    }
}

/// From how many in a hundred on the calls are too bad.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Thresholds {
    pub(crate) failure: f64,
    pub(crate) slow: f64,
}

impl Thresholds {
    /// What is too high, if anything is.
    #[inline]
    pub(crate) fn exceeded_by(&self, counts: Counts) -> Option<Cause> {
        // A product instead of a quotient: this is asked after each call.
        let calls = f64::from(counts.calls);
        let is_high = |part: u32, most: f64| part > 0 && f64::from(part) * 100.0 >= most * calls;
        if is_high(counts.failed, self.failure) {
            return Some(Cause::FailureRate(counts));
        }
        is_high(counts.slow, self.slow).then_some(Cause::SlowCallRate(counts))
    }
}

/// Why a breaker changes its state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cause {
    Consecutive(u32),
    Counted(u32),
    FailureRate(Counts),
    SlowCallRate(Counts),
    /// The probes went well enough, or one of them badly.
    Probes(Counts),
    /// It has been open for as long as it was to be.
    WaitOver,
    /// It has been half-open for longer than it may be.
    ProbesLate,
    Asked,
}

impl std::fmt::Display for Cause {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Consecutive(failures) => write!(f, "{failures} failures in a row"),
            Self::Counted(failures) => write!(f, "{failures} failures in the time"),
            Self::FailureRate(of) => write!(f, "{} of {} calls failed", of.failed, of.calls),
            Self::SlowCallRate(of) => write!(f, "{} of {} calls were slow", of.slow, of.calls),
            Self::Probes(of) => {
                write!(f, "{} of {} probes failed, {} were slow", of.failed, of.calls, of.slow)
            }
            Self::WaitOver => f.write_str("the wait is over"),
            Self::ProbesLate => f.write_str("the probes took too long"),
            Self::Asked => f.write_str("somebody asked for it"),
        }
    }
}

#[cfg(all(test, not(underpin_loom)))]
mod tests {
    use super::*;

    #[test]
    fn a_rate_that_reaches_its_threshold_is_too_high_and_one_just_below_is_not() {
        let thresholds = Thresholds { failure: 50.0, slow: 100.0 };
        let of = |calls, failed, slow| thresholds.exceeded_by(Counts { calls, failed, slow });
        assert_eq!(of(4, 2, 0), Some(Cause::FailureRate(Counts { calls: 4, failed: 2, slow: 0 })));
        assert_eq!(of(5, 2, 4), None);
        assert_eq!(of(5, 2, 5), Some(Cause::SlowCallRate(Counts { calls: 5, failed: 2, slow: 5 })));
        assert_eq!(of(0, 0, 0), None);
    }

    #[test]
    fn rates_are_per_hundred_and_0_of_none() {
        let counts = Counts { calls: 8, failed: 2, slow: 8 };
        assert!(
            (counts.failure_rate() - 25.0).abs() < 1e-9 && (counts.slow_call_rate() - 100.0).abs() < 1e-9
        );
        assert!(Counts::default().failure_rate() == 0.0);
    }
}
