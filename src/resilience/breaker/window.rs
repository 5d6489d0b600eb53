//! The calls that count: the last so many, or those of the last so long.

use std::time::Duration;

use super::rates::Counts;

/// How many calls a window by count holds at most. It takes a byte for each.
pub const MAX_WINDOW_CALLS: u32 = 65_536;

/// In how many parts a window by time moves on.
pub(crate) const PARTS: u64 = 10;

/// Which calls the rates of a breaker are made of.
///
/// # Example
///
/// ```
/// use std::time::Duration;
/// use underpin::resilience::{CircuitBreaker, CallWindow};
///
/// let breaker = CircuitBreaker::builder("db")
///     .sliding_window(CallWindow::Time(Duration::from_secs(10)))
///     .minimum_number_of_calls(20)
///     .build()?;
/// # Ok::<(), underpin::resilience::BreakerSettingsError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CallWindow {
    /// The last so many, at most [`MAX_WINDOW_CALLS`]. resilience4j's `COUNT_BASED`.
    Count(u32),
    /// Those that ended in the last so long, at least ten nanoseconds. resilience4j's `TIME_BASED`.
    ///
    /// It moves on by a tenth of itself: a call counts for nine to ten tenths of this time.
    Time(Duration),
}

/// The calls of a [`CallWindow`], with their sums kept up to date.
#[derive(Clone, Debug)]
pub(crate) enum Window {
    Count(CountWindow),
    Time(TimeWindow),
}

impl Window {
    pub(crate) fn new(kind: CallWindow) -> Self {
        match kind {
            CallWindow::Count(calls) => Self::Count(CountWindow::new(calls)),
            CallWindow::Time(span) => Self::Time(TimeWindow::new(span)),
        }
    }

    /// One more call has ended at `now`, which only a window by time looks at. What is in it then.
    #[inline]
    pub(crate) fn add(&mut self, call: Counts, now: u64) -> Counts {
        match self {
            Self::Count(window) => window.add(call),
            Self::Time(window) => window.add(call, now),
        }
    }

    /// Whether one more call that went well and was quick leaves it as it is: each place has such a call, and one is like
    /// the other. Never so in a window by time, which counts them all.
    #[inline]
    pub(crate) fn is_full_of_good(&self) -> bool {
        match self {
            Self::Count(window) => window.is_full_of_good(),
            Self::Time(_) => false,
        }
    }

    /// So many calls more have ended, in the part of a window by time that is being written, all of them good and quick.
    pub(crate) fn add_good(&mut self, calls: u32) {
        match self {
            Self::Count(window) => (0..calls).for_each(|_| {
                window.add(Counts::one(false, false));
            }),
            Self::Time(window) => {
                window.add_here(Counts { calls, ..Counts::default() });
            }
        }
    }

    /// When the part ends that is being written; `None` of a window by count.
    #[inline]
    pub(crate) fn part_end(&self) -> Option<u64> {
        match self {
            Self::Count(_) => None,
            Self::Time(window) => Some(window.part_end()),
        }
    }

    /// What was in it when it was last written or looked at.
    #[inline]
    pub(crate) fn sum(&self) -> Counts {
        match self {
            Self::Count(window) => window.sum,
            Self::Time(window) => window.sum,
        }
    }

    /// What is in it at `now`.
    pub(crate) fn counts(&mut self, now: u64) -> Counts {
        match self {
            Self::Count(window) => window.sum,
            Self::Time(window) => window.counts(now),
        }
    }

    pub(crate) fn clear(&mut self) {
        match self {
            Self::Count(window) => window.clear(),
            Self::Time(window) => window.clear(),
        }
    }
}

/// The last so many calls, a byte for each.
#[derive(Clone, Debug)]
pub(crate) struct CountWindow {
    calls: Box<[u8]>,
    next: usize,
    sum: Counts,
}

const FAILED: u8 = 1;
const SLOW: u8 = 2;

impl CountWindow {
    pub(crate) fn new(calls: u32) -> Self {
        let calls = calls.clamp(1, MAX_WINDOW_CALLS) as usize;
        Self { calls: vec![0; calls].into_boxed_slice(), next: 0, sum: Counts::default() }
    }

    #[inline]
    fn add(&mut self, call: Counts) -> Counts {
        let code = (call.failed as u8 * FAILED) | (call.slow as u8 * SLOW);
        let old = std::mem::replace(&mut self.calls[self.next], code);
        let is_full = self.sum.calls as usize == self.calls.len();
        self.sum.calls += u32::from(!is_full);
        // What was never written is 0, as a call that went well.
        self.sum.failed = self.sum.failed + call.failed - u32::from(old & FAILED);
        self.sum.slow = self.sum.slow + call.slow - u32::from(old & SLOW != 0);
        self.next = if self.next + 1 == self.calls.len() { 0 } else { self.next + 1 };
        self.sum
    }

    #[inline]
    fn is_full_of_good(&self) -> bool {
        let sum = self.sum;
        sum.calls as usize == self.calls.len() && sum.failed == 0 && sum.slow == 0
    }

    fn clear(&mut self) {
        self.calls.fill(0);
        self.sum = Counts::default();
    }
}

/// The calls of the last so long, summed up by parts of it. Times are nanoseconds from any moment.
#[derive(Clone, Debug)]
pub(crate) struct TimeWindow {
    part_nanos: u64,
    /// The part that is being written, counted from that moment.
    part: u64,
    parts: [Counts; PARTS as usize],
    sum: Counts,
}

impl TimeWindow {
    pub(crate) fn new(span: Duration) -> Self {
        let nanos = u64::try_from(span.as_nanos()).unwrap_or(u64::MAX);
        Self {
            part_nanos: (nanos / PARTS).max(1),
            part: 0,
            parts: [Counts::default(); PARTS as usize],
            sum: Counts::default(),
        }
    }

    #[inline]
    fn add(&mut self, call: Counts, now: u64) -> Counts {
        self.move_on(now);
        self.add_here(call)
    }

    #[inline]
    fn add_here(&mut self, call: Counts) -> Counts {
        self.parts[(self.part % PARTS) as usize] += call;
        self.sum += call;
        self.sum
    }

    #[inline]
    fn part_end(&self) -> u64 {
        self.part.saturating_add(1).saturating_mul(self.part_nanos)
    }

    fn counts(&mut self, now: u64) -> Counts {
        self.move_on(now);
        self.sum
    }

    /// Forgets the parts that are too old at `now`. Never moves back.
    #[inline]
    fn move_on(&mut self, now: u64) {
        // The product is what is nearly always looked at, for a division takes longer.
        if now < self.part_end() {
            return;
        }
        let part = now / self.part_nanos;
        let passed = part.saturating_sub(self.part).min(PARTS);
        for old in 1..=passed {
            let place = ((self.part + old) % PARTS) as usize;
            self.sum -= std::mem::take(&mut self.parts[place]);
        }
        self.part = self.part.max(part);
    }

    fn clear(&mut self) {
        self.parts = [Counts::default(); PARTS as usize];
        self.sum = Counts::default();
    }
}

#[cfg(all(test, not(underpin_loom)))]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn call(failed: bool, slow: bool) -> Counts {
        Counts { calls: 1, failed: failed.into(), slow: slow.into() }
    }

    fn sum<'a>(calls: impl IntoIterator<Item = &'a Counts>) -> Counts {
        calls.into_iter().fold(Counts::default(), |mut sum, one| {
            sum += *one;
            sum
        })
    }

    #[test]
    fn an_old_call_leaves_the_window_by_count_as_a_new_one_comes() {
        let mut window = CountWindow::new(2);
        window.add(call(true, false));
        window.add(call(true, true));
        assert_eq!(window.add(call(false, true)), Counts { calls: 2, failed: 1, slow: 2 });
        assert_eq!(window.add(call(false, false)), Counts { calls: 2, failed: 0, slow: 1 });
    }

    #[test]
    fn a_call_leaves_the_window_by_time_after_its_time_and_not_before_nine_tenths_of_it() {
        let mut window = TimeWindow::new(Duration::from_nanos(100));
        window.add(call(true, false), 19);
        assert_eq!(window.counts(109), call(true, false), "ninety later");
        assert_eq!(window.counts(110), Counts::default());
        assert_eq!(
            window.add(call(false, false), 5),
            call(false, false),
            "time that runs back counts as now"
        );
    }

    #[test]
    fn a_window_that_reaches_to_the_end_of_time_does_not_overflow() {
        let mut window = TimeWindow::new(Duration::MAX);
        window.add(call(false, false), u64::MAX);
        window.add(call(false, false), u64::MAX);
        assert_eq!(window.counts(u64::MAX).calls, 2);
        let mut shortest = TimeWindow::new(Duration::ZERO);
        shortest.add(call(false, false), u64::MAX);
        assert_eq!(shortest.add(call(false, false), u64::MAX).calls, 2);
    }

    proptest! {
        #[test]
        fn the_sums_of_the_last_calls_are_those_of_a_list(
            size in 1_u32..9,
            calls in prop::collection::vec((any::<bool>(), any::<bool>(), 0_u8..20), 0..60),
        ) {
            let (mut window, mut list) = (Window::new(CallWindow::Count(size)), Vec::new());
            for (failed, slow, clears) in calls {
                if clears == 0 {
                    window.clear();
                    list.clear();
                }
                list.push(call(failed, slow));
                let last = &list[list.len().saturating_sub(size as usize)..];
                prop_assert_eq!(window.add(call(failed, slow), 0), sum(last));
                prop_assert_eq!(window.counts(0), sum(last));
            }
        }

        #[test]
        fn the_sums_of_the_last_time_are_those_of_a_list_of_what_fell_into_its_parts(
            part in 1_u64..50,
            calls in prop::collection::vec(
                (any::<bool>(), any::<bool>(), 0_u64..200, 0_u64..30, 0_u8..20, 0_u32..3), 0..60,
            ),
        ) {
            let mut window = Window::new(CallWindow::Time(Duration::from_nanos(part * PARTS)));
            let (mut list, mut time, mut now) = (Vec::new(), 0_u64, 0);
            for (failed, slow, passed, back, clears, goods) in calls {
                time += passed;
                // As two clocks show it, of which one is behind: what was seen before counts as now.
                let shown = time.saturating_sub(back);
                now = now.max(shown);
                if clears == 0 {
                    window.clear();
                    list.clear();
                }
                let young = |list: &[(u64, Counts)]| {
                    let young = list.iter().filter(|(at, _)| at / part + PARTS > now / part);
                    sum(&young.map(|(_, call)| *call).collect::<Vec<_>>())
                };
                prop_assert_eq!(window.counts(shown), young(&list));
                list.push((now, call(failed, slow)));
                prop_assert_eq!(window.add(call(failed, slow), shown), young(&list));
                window.add_good(goods);
                list.extend((0..goods).map(|_| (now, call(false, false))));
                prop_assert_eq!(window.sum(), young(&list));
                prop_assert!(window.part_end().is_some_and(|end| now < end && end - now <= part));
            }
        }
    }
}
