//! When a periodic task runs next.
//!
//! | a run | at a rate | with a delay |
//! |---|---|---|
//! | begins in time | the next is due a period after it was due | |
//! | begins so late that others were due | as [`Missed`] says | |
//! | ends | nothing changes: what is due by then begins at once | the next is due a period later |

use std::time::{Duration, Instant};

use crate::service::deadline::later;

/// How often a periodic task runs.
///
/// # Example
///
/// ```
/// use std::time::Duration;
/// use underpin::tasks::{Missed, Period};
///
/// let minute = Duration::from_secs(60);
/// let sampling = Period::rate(minute).missed(Missed::Skip); // on the minute, whatever a run takes
/// let cleaning = Period::delay(minute).first_after(minute); // a minute's rest between two runs
/// assert_ne!(sampling, cleaning);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Period {
    every: Duration,
    is_rate: bool,
    first: Duration,
    missed: Missed,
}

/// What happens to runs that were due while the one before them took its time, or nobody could begin them: the words are those of tokio's
/// `MissedTickBehavior`.
///
/// A run is missed if the next is due before it could begin; one that begins a little late moves nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Missed {
    /// They follow at once, one after the other, until none is owed: as many runs as periods. The default.
    #[default]
    Burst,
    /// They are left out, and periods are counted anew from the late one.
    Delay,
    /// They are left out, and the next is due when it would have been in any case: a number of whole periods after the first.
    Skip,
}

impl Period {
    /// One run for each period, from the beginning of one to that of the next. No run waits for the one before it but to end. A
    /// period of nothing is one nanosecond.
    pub fn rate(every: Duration) -> Self {
        Self {
            every: every.max(Duration::from_nanos(1)),
            is_rate: true,
            first: Duration::ZERO,
            missed: Missed::default(),
        }
    }

    /// So long from the end of one run to the beginning of the next. None is missed then.
    pub fn delay(every: Duration) -> Self {
        Self { is_rate: false, ..Self::rate(every) }
    }

    /// How long before the first run: it is due at once unless set.
    pub fn first_after(mut self, first: Duration) -> Self {
        self.first = first;
        self
    }

    /// What happens to runs that are missed at a rate: they follow at once unless set.
    pub fn missed(mut self, missed: Missed) -> Self {
        self.missed = missed;
        self
    }
}

/// When the next run of a periodic task is due.
#[derive(Clone, Debug)]
pub(crate) struct Schedule {
    period: Period,
    due: Instant,
    left_out: u64,
}

impl Schedule {
    pub(crate) fn new(period: Period, now: Instant) -> Self {
        Self { period, due: later(now, period.first), left_out: 0 }
    }

    /// When the next run is due.
    pub(crate) fn due(&self) -> Instant {
        self.due
    }

    /// How many were left out.
    pub(crate) fn left_out(&self) -> u64 {
        self.left_out
    }

    /// The run that was due begins.
    pub(crate) fn begin(&mut self, now: Instant) {
        let Period { every, is_rate, missed, .. } = self.period;
        let late = now.saturating_duration_since(self.due);
        self.due = match missed {
            _ if !is_rate => now, // it is known when the run ends
            _ if late < every => later(self.due, every),
            Missed::Burst => later(self.due, every),
            Missed::Delay => later(now, every),
            Missed::Skip => later(now, every - rest(late, every)),
        };
        if is_rate && missed != Missed::Burst {
            let owed = late.as_nanos() / every.as_nanos();
            self.left_out = self.left_out.saturating_add(u64::try_from(owed).unwrap_or(u64::MAX));
        }
    }

    /// It has ended.
    pub(crate) fn end(&mut self, now: Instant) {
        if !self.period.is_rate {
            self.due = later(now, self.period.every);
        }
    }
}

/// What is over a number of whole periods.
fn rest(late: Duration, every: Duration) -> Duration {
    let rest = late.as_nanos() % every.as_nanos();
    let second = Duration::from_secs(1).as_nanos();
    let seconds = u64::try_from(rest / second).unwrap_or(u64::MAX);
    Duration::new(seconds, u32::try_from(rest % second).unwrap_or(0))
}

#[cfg(all(test, not(underpin_loom)))]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::sync::Clock;

    const SECOND: Duration = Duration::from_secs(1);

    /// When runs begin, in seconds since the start, if they take so long each and nobody else is in their way.
    fn begins(period: Period, takes: &[u64]) -> (Vec<u64>, u64) {
        let start = Clock::system().now();
        let (mut now, mut schedule) = (start, Schedule::new(period, start));
        let begins = takes
            .iter()
            .map(|&takes| {
                now = now.max(schedule.due());
                schedule.begin(now);
                let begun = (now - start).as_secs();
                now += SECOND * u32::try_from(takes).expect("small");
                schedule.end(now);
                begun
            })
            .collect();
        (begins, schedule.left_out())
    }

    #[test]
    fn at_a_rate_runs_are_due_by_the_period_whatever_they_take() {
        assert_eq!(begins(Period::rate(SECOND * 10), &[1, 9, 10, 0, 3]), (vec![0, 10, 20, 30, 40], 0));
    }

    #[test]
    fn with_a_delay_they_rest_between_two_runs() {
        let period = Period::delay(SECOND * 10).first_after(SECOND * 5);
        assert_eq!(begins(period, &[1, 25, 0, 1]), (vec![5, 16, 51, 61], 0));
    }

    #[test]
    fn what_was_missed_follows_at_once_or_is_left_out() {
        let (rate, takes) = (Period::rate(SECOND * 10), [35, 1, 1, 1, 1, 1]);
        let missed = |missed| begins(rate.missed(missed), &takes);
        assert_eq!(missed(Missed::Burst), (vec![0, 35, 36, 37, 40, 50], 0));
        assert_eq!(missed(Missed::Delay), (vec![0, 35, 45, 55, 65, 75], 2));
        assert_eq!(missed(Missed::Skip), (vec![0, 35, 40, 50, 60, 70], 2));
    }

    #[test]
    fn no_figure_is_too_small_or_too_large() {
        let now = Clock::system().now();
        for every in [Duration::ZERO, Duration::MAX] {
            for period in [Period::rate(every), Period::delay(every).first_after(every)] {
                for missed in [Missed::Burst, Missed::Delay, Missed::Skip] {
                    let mut schedule = Schedule::new(period.missed(missed), now);
                    schedule.begin(later(now, Duration::MAX));
                    schedule.end(now);
                    assert!(schedule.due() >= now);
                }
            }
        }
    }

    /// The same second by second: a run is due whenever the seconds since the last one that counts are a whole number of periods.
    fn naive(every: u64, missed: Missed, takes: &[u64]) -> (Vec<u64>, u64) {
        let (mut owed, mut free_at, mut anchor) = (0_u64, 0_u64, 0_u64);
        let (mut begins, mut left_out) = (Vec::new(), 0);
        for now in 0.. {
            if now >= anchor && (now - anchor).is_multiple_of(every) {
                owed += 1;
            }
            if owed == 0 || now < free_at {
                continue;
            }
            let Some(takes) = takes.get(begins.len()) else { break };
            begins.push(now);
            free_at = now + takes;
            let more = owed - 1;
            match missed {
                Missed::Burst => owed = more,
                Missed::Skip | Missed::Delay => {
                    (owed, left_out) = (0, left_out + more);
                    if more > 0 && missed == Missed::Delay {
                        anchor = now + every;
                    }
                }
            }
        }
        (begins, left_out)
    }

    proptest! {
        #[test]
        fn runs_begin_as_they_do_second_by_second(
            every in 1_u64..8,
            takes in prop::collection::vec(1_u64..30, 0..40),
            missed in prop_oneof![Just(Missed::Burst), Just(Missed::Delay), Just(Missed::Skip)],
        ) {
            let period = Period::rate(Duration::from_secs(every)).missed(missed);
            prop_assert_eq!(begins(period, &takes), naive(every, missed, &takes));
        }
    }
}
