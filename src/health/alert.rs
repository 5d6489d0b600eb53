//! One alert: when it is raised, and when it is cleared.

use std::time::{Duration, Instant};

/// Where and after how long an alert is raised and cleared.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Thresholds {
    /// Raised at or above this.
    pub(crate) raise: f64,
    /// Cleared below this. Less than `raise`: in between an alert stays as it is.
    pub(crate) clear: f64,
    /// For how long without interruption before it is raised.
    pub(crate) raise_for: Duration,
    /// For how long without interruption before it is cleared.
    pub(crate) clear_for: Duration,
    pub(crate) missing: Missing,
}

/// What it means that there is no value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Missing {
    /// Nothing: the alert stays as it is, and what had to last was interrupted.
    Keep,
    /// That all is well, as a value below `clear`: where nothing happens, nothing goes wrong.
    Clear,
}

/// What became of an alert.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Change {
    /// It was raised.
    Raised,
    /// It was cleared.
    Cleared,
}

impl Change {
    /// In one lower-case word, as logs have it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Raised => "raised",
            Self::Cleared => "cleared",
        }
    }
}

/// On which side a value is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Side {
    High,
    Between,
    Low,
}

/// One alert. Each raise is followed by one clear, and no clear comes without its raise.
#[derive(Clone, Debug)]
pub(crate) struct Alert {
    thresholds: Thresholds,
    is_raised: bool,
    /// Since when the value has been on the side that would change it.
    since: Option<Instant>,
}

impl Alert {
    pub(crate) fn new(thresholds: Thresholds) -> Self {
        Self { thresholds, is_raised: false, since: None }
    }

    pub(crate) fn is_raised(&self) -> bool {
        self.is_raised
    }

    /// Other thresholds from now on. It stays as it is until a value says otherwise, and what has lasted so far
    /// begins anew.
    pub(crate) fn set(&mut self, thresholds: Thresholds) {
        if self.thresholds != thresholds {
            self.thresholds = thresholds;
            self.since = None;
        }
    }

    /// The value is this now. What is no number is missing.
    pub(crate) fn step(&mut self, now: Instant, value: Option<f64>) -> Option<Change> {
        let (wanted, lasts, change) = match self.is_raised {
            true => (Side::Low, self.thresholds.clear_for, Change::Cleared),
            false => (Side::High, self.thresholds.raise_for, Change::Raised),
        };
        if self.side(value) != wanted {
            self.since = None;
            return None;
        }
        let since = *self.since.get_or_insert(now);
        (now.saturating_duration_since(since) >= lasts).then(|| self.turn(change))
    }

    fn turn(&mut self, change: Change) -> Change {
        self.is_raised = !self.is_raised;
        self.since = None;
        change
    }

    /// Nobody has looked: what has to last was interrupted.
    pub(crate) fn interrupt(&mut self) {
        self.since = None;
    }

    /// Nothing watches it any more: what is raised is cleared.
    pub(crate) fn retire(&mut self) -> Option<Change> {
        self.is_raised.then(|| self.turn(Change::Cleared))
    }

    fn side(&self, value: Option<f64>) -> Side {
        let missing = if self.thresholds.missing == Missing::Clear { Side::Low } else { Side::Between };
        match value.filter(|value| !value.is_nan()) {
            None => missing,
            Some(value) if value >= self.thresholds.raise => Side::High,
            Some(value) if value < self.thresholds.clear => Side::Low,
            Some(_) => Side::Between,
        }
    }

    /// When it will change if the value stays where it is.
    pub(crate) fn next_deadline(&self) -> Option<Instant> {
        let lasts = if self.is_raised { self.thresholds.clear_for } else { self.thresholds.raise_for };
        self.since?.checked_add(lasts)
    }
}

#[cfg(all(test, not(underpin_loom)))]
mod tests {
    use super::*;
    use crate::sync::Clock;
    use proptest::prelude::*;

    const SECOND: Duration = Duration::from_secs(1);
    const VALUES: [Option<f64>; 5] = [Some(0.0), Some(5.0), Some(10.0), Some(f64::NAN), None];

    fn thresholds(raise_for: u32, clear_for: u32, missing: Missing) -> Thresholds {
        let (raise_for, clear_for) = (SECOND * raise_for, SECOND * clear_for);
        Thresholds { raise: 10.0, clear: 5.0, raise_for, clear_for, missing }
    }

    /// What becomes of it, second by second.
    fn changes(alert: &mut Alert, values: &[Option<f64>]) -> Vec<Option<Change>> {
        let start = Clock::system().now();
        values.iter().enumerate().map(|(n, value)| alert.step(start + SECOND * n as u32, *value)).collect()
    }

    /// Looks back over all values for each of them.
    fn oracle(rule: Thresholds, values: &[Option<f64>]) -> Vec<Option<Change>> {
        let is_high = |value: &Option<f64>| value.is_some_and(|value| value >= rule.raise);
        let is_low = |value: &Option<f64>| match value.filter(|value| !value.is_nan()) {
            Some(value) => value < rule.clear,
            None => rule.missing == Missing::Clear,
        };
        let (mut raised, mut from, mut out) = (false, 0, Vec::new());
        for now in 0..values.len() {
            let lasts = (if raised { rule.clear_for } else { rule.raise_for }).as_secs() as usize;
            let begin = (now + 1).saturating_sub(lasts + 1).max(from);
            let window = &values[begin..=now];
            let is_long = window.len() == lasts + 1;
            let turns =
                is_long && if raised { window.iter().all(is_low) } else { window.iter().all(is_high) };
            let change = if raised { Change::Cleared } else { Change::Raised };
            if turns {
                (raised, from) = (!raised, now + 1);
            }
            out.push(turns.then_some(change));
        }
        out
    }

    #[test]
    fn between_the_thresholds_it_stays_as_it_is() {
        use Change::*;
        let mut alert = Alert::new(thresholds(0, 0, Missing::Keep));
        let told = changes(&mut alert, &[9.9, 10.0, 5.0, 9.0, 4.9, 5.0, 9.9, 10.0].map(Some));
        assert_eq!(told, [None, Some(Raised), None, None, Some(Cleared), None, None, Some(Raised)]);
    }

    #[test]
    fn what_does_not_last_is_not_told() {
        let mut alert = Alert::new(thresholds(2, 1, Missing::Keep));
        let told = changes(&mut alert, &[10.0, 10.0, 9.0, 10.0, 10.0, 10.0, 0.0, 10.0, 0.0, 0.0].map(Some));
        let at: Vec<_> = told.iter().enumerate().filter_map(|(n, change)| Some((n, (*change)?))).collect();
        assert_eq!(at, [(5, Change::Raised), (9, Change::Cleared)]);
    }

    #[test]
    fn a_missing_value_interrupts_or_is_a_low_one() {
        let values = [Some(10.0), None, Some(10.0), Some(10.0), None, None];
        let kept = changes(&mut Alert::new(thresholds(1, 1, Missing::Keep)), &values);
        assert_eq!(kept, [None, None, None, Some(Change::Raised), None, None]);
        let cleared = changes(&mut Alert::new(thresholds(1, 1, Missing::Clear)), &values);
        assert_eq!(cleared, [None, None, None, Some(Change::Raised), None, Some(Change::Cleared)]);
    }

    #[test]
    fn it_says_when_it_will_change_and_forgets_that_under_other_thresholds() {
        let (start, rule) = (Clock::system().now(), thresholds(3, 1, Missing::Keep));
        let mut alert = Alert::new(rule);
        assert_eq!(alert.step(start, Some(10.0)), None);
        alert.set(rule);
        assert_eq!(alert.next_deadline(), Some(start + SECOND * 3));
        alert.set(Thresholds { raise: 7.0, ..rule });
        assert_eq!(alert.next_deadline(), None);
        assert_eq!(alert.step(start + SECOND * 3, Some(8.0)), None);
        assert_eq!(alert.step(start + SECOND * 6, Some(8.0)), Some(Change::Raised));
        assert_eq!((alert.retire(), alert.retire()), (Some(Change::Cleared), None));
    }

    fn sequences(length: usize) -> Vec<Vec<Option<f64>>> {
        let longer = |all: Vec<Vec<Option<f64>>>| -> Vec<Vec<Option<f64>>> {
            all.iter().flat_map(|one| VALUES.map(|next| [one.as_slice(), &[next]].concat())).collect()
        };
        (0..length).fold(vec![Vec::new()], |all, _| longer(all))
    }

    #[test]
    fn it_agrees_with_who_looks_back_on_every_short_sequence() {
        for missing in [Missing::Keep, Missing::Clear] {
            for (raise_for, clear_for) in [(0, 0), (1, 0), (0, 2), (2, 1)] {
                let rule = thresholds(raise_for, clear_for, missing);
                for values in sequences(6) {
                    assert_eq!(
                        changes(&mut Alert::new(rule), &values),
                        oracle(rule, &values),
                        "{rule:?} {values:?}"
                    );
                }
            }
        }
    }

    fn any_value() -> impl Strategy<Value = Option<f64>> {
        prop_oneof![4 => (0.0..15.0_f64).prop_map(Some), 1 => Just(None), 1 => any::<f64>().prop_map(Some)]
    }

    proptest! {
        #[test]
        fn it_agrees_with_who_looks_back(
            raise_for in 0..4, clear_for in 0..4, clears in any::<bool>(), values in prop::collection::vec(any_value(), 0..80),
        ) {
            let missing = if clears { Missing::Clear } else { Missing::Keep };
            let rule = thresholds(raise_for as u32, clear_for as u32, missing);
            prop_assert_eq!(changes(&mut Alert::new(rule), &values), oracle(rule, &values));
        }

        /// Whatever comes, and whenever the thresholds change.
        #[test]
        fn raise_and_clear_alternate(steps in prop::collection::vec((any_value(), 0..10_u64, any::<bool>()), 0..100)) {
            let mut alert = Alert::new(thresholds(1, 1, Missing::Clear));
            let (mut now, mut next) = (Clock::system().now(), Change::Raised);
            for (value, seconds, other) in steps {
                now += Duration::from_secs(seconds);
                alert.set(thresholds(u32::from(other), 1, Missing::Clear));
                if let Some(change) = alert.step(now, value) {
                    prop_assert_eq!(change, next);
                    next = if change == Change::Raised { Change::Cleared } else { Change::Raised };
                }
                prop_assert_eq!(alert.is_raised(), next == Change::Cleared);
            }
        }
    }
}
