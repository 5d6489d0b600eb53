//! What a breaker remembers of the calls that ended.

use std::collections::VecDeque;

use super::rates::{Cause, Counts, Thresholds};
use super::settings::Settings;
use super::window::{CallWindow, Window};

/// What a breaker remembers of the calls that ended, and whether that is too bad. Times are nanoseconds from any
/// moment.
#[derive(Clone, Debug)]
pub(crate) struct Ledger {
    most_in_a_row: Option<u32>,
    in_a_row: u32,
    recent: Option<Recent>,
    rate: Option<Calls>,
    /// Whether the rates were found good enough, or bad enough, since anything but good, quick calls has come, or gone.
    is_judged: bool,
    thresholds: Thresholds,
}

/// The last failures, and how many within how long are too many.
#[derive(Clone, Debug)]
struct Recent {
    most: u32,
    within_nanos: u64,
    at: VecDeque<u64>,
}

/// The calls that the rates are made of, and how many it takes for a rate.
#[derive(Clone, Debug)]
struct Calls {
    kind: CallWindow,
    window: Window,
    minimum: u32,
}

impl Ledger {
    pub(crate) fn new(settings: &Settings) -> Self {
        let recent =
            settings.counted.map(|(most, within_nanos)| Recent { most, within_nanos, at: VecDeque::new() });
        let rate = settings.rate.map(|rate| Calls {
            kind: rate.window,
            window: Window::new(rate.window),
            minimum: rate.minimum,
        });
        Self {
            most_in_a_row: settings.consecutive,
            in_a_row: 0,
            recent,
            rate,
            is_judged: false,
            thresholds: settings.thresholds,
        }
    }

    /// The rules are these from now on. What is remembered counts under them, save the calls of a window of another
    /// size or kind. Nothing is too bad by this alone: it shows when the next call ends.
    pub(crate) fn change(&mut self, settings: &Settings) {
        let mut after = Self::new(settings);
        after.in_a_row = self.in_a_row;
        if let (Some(after), Some(before)) = (&mut after.recent, self.recent.take()) {
            after.at = before.at;
        }
        if let (Some(after), Some(before)) = (&mut after.rate, self.rate.take())
            && after.kind == before.kind
        {
            after.window = before.window;
        }
        *self = after;
    }

    /// Whether a call that went well is of any consequence.
    #[inline]
    pub(crate) fn wants_successes(&self) -> bool {
        self.in_a_row > 0 || self.rate.as_ref().is_some_and(|rate| !rate.window.is_full_of_good())
    }

    /// Whether it matters when a call that went well has ended.
    pub(crate) fn wants_time(&self) -> bool {
        self.rate.as_ref().is_some_and(|rate| matches!(rate.kind, CallWindow::Time(_)))
    }

    /// One more call has ended. Why that is too bad, if it is.
    // Inlined into where the call is known to be a good one, of which little is left.
    #[inline(always)]
    pub(crate) fn add(&mut self, call: Counts, now: u64) -> Option<Cause> {
        let by_number = if call.failed > 0 { self.fail(now) } else { None };
        if call.failed == 0 {
            self.in_a_row = 0;
        }
        let Some(rate) = &mut self.rate else { return by_number };
        self.is_judged = true;
        let counts = rate.window.add(call, now);
        let is_clean = counts.failed == 0 && counts.slow == 0;
        let is_rate = !is_clean && counts.calls >= rate.minimum;
        by_number.or(if is_rate { self.thresholds.exceeded_by(counts) } else { None })
    }

    /// So many calls more have ended, all of them good and quick, while [`good_until`](Self::good_until) held.
    pub(crate) fn add_good(&mut self, calls: u32) {
        if calls > 0 {
            self.in_a_row = 0;
            if let Some(rate) = &mut self.rate {
                rate.window.add_good(calls);
            }
        }
    }

    /// Until when a call that goes well and is quick has no consequence but to be counted; `None` if the next one may
    /// have, and of a window by count.
    ///
    /// It cannot be too bad by a good call more, save where there were too few for a rate, or nobody has judged what is there.
    #[inline]
    pub(crate) fn good_until(&self) -> Option<u64> {
        let rate = self.rate.as_ref()?;
        let until = rate.window.part_end()?;
        let sum = rate.window.sum();
        let is_clean = sum.failed == 0 && sum.slow == 0;
        (is_clean || self.is_judged && sum.calls >= rate.minimum).then_some(until)
    }

    #[cold]
    fn fail(&mut self, now: u64) -> Option<Cause> {
        if self.most_in_a_row.is_some() || self.rate.is_some() {
            self.in_a_row = self.in_a_row.saturating_add(1);
        }
        let is_row = self.most_in_a_row.is_some_and(|most| self.in_a_row >= most);
        let counted = self.recent.as_mut().and_then(|recent| recent.fail(now));
        if is_row { Some(Cause::Consecutive(self.in_a_row)) } else { counted }
    }

    /// How many failed one after the other; 0 where nothing asks for it.
    pub(crate) fn in_a_row(&self) -> u32 {
        self.in_a_row
    }

    /// What the rates are made of at `now`, and whether that is enough for a rate.
    pub(crate) fn counts(&mut self, now: u64) -> (Counts, bool) {
        let Some(rate) = &mut self.rate else { return (Counts::default(), false) };
        let before = rate.window.part_end();
        let counts = rate.window.counts(now);
        self.is_judged &= rate.window.part_end() == before; // what has gone may have been good
        (counts, counts.calls >= rate.minimum)
    }

    pub(crate) fn clear(&mut self) {
        self.in_a_row = 0;
        if let Some(recent) = &mut self.recent {
            recent.at.clear();
        }
        if let Some(rate) = &mut self.rate {
            rate.window.clear();
        }
    }
}

impl Recent {
    fn fail(&mut self, now: u64) -> Option<Cause> {
        let is_old = |at: &u64| now.saturating_sub(*at) > self.within_nanos;
        while self.at.front().is_some_and(is_old) || self.at.len() >= self.most as usize {
            self.at.pop_front();
        }
        self.at.push_back(now);
        (self.at.len() >= self.most as usize).then_some(Cause::Counted(self.most))
    }
}
