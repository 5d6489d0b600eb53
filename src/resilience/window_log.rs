//! When the last permits were taken.

use std::collections::VecDeque;

/// When the last permits were taken: in any window of time there are at most so many.
///
/// A permit that was taken at a moment counts from then on, and no longer once the window has passed since. Times are
/// nanoseconds from any moment. One number is kept for each permit of the limit.
#[derive(Debug)]
pub(crate) struct WindowLog {
    limit: usize,
    window_nanos: u64,
    /// When each was taken, or will be: the oldest first. Never more than the limit.
    taken: VecDeque<u64>,
    /// The latest moment that it was told of.
    seen: u64,
}

impl WindowLog {
    /// At most `limit`, of which there is one at least, in any window.
    pub(crate) fn new(limit: u32, window_nanos: u64) -> Self {
        Self { limit: limit.max(1) as usize, window_nanos, taken: VecDeque::new(), seen: 0 }
    }

    /// Takes so many, at most the limit, at the first moment from `now` on at which there are so many, if that is not
    /// after `latest`. Who comes later is not let through earlier. Otherwise it says how long that is from now.
    ///
    /// A `now` before one that it was told already counts as that: several threads read the clock in one order and
    /// come here in another.
    pub(crate) fn reserve(&mut self, now: u64, permits: u32, latest: u64) -> Result<u64, u64> {
        self.seen = self.seen.max(now);
        let (now, latest) = (self.seen, latest.max(self.seen));
        let permits = (permits as usize).min(self.limit);
        let surplus = (self.taken.len() + permits).saturating_sub(self.limit);
        // After one that has to wait the log is full, so whoever comes next waits for a later one.
        let at = surplus.checked_sub(1).map_or(now, |last| now.max(self.free_from(self.taken[last])));
        if at > latest {
            return Err(at - now);
        }
        self.taken.drain(..surplus);
        self.taken.extend(std::iter::repeat_n(at, permits));
        Ok(at)
    }

    /// How many may be taken at `now`.
    pub(crate) fn available(&self, now: u64) -> usize {
        let now = now.max(self.seen);
        let gone = self.taken.iter().take_while(|taken| self.free_from(**taken) <= now).count();
        self.limit + gone - self.taken.len()
    }

    fn free_from(&self, taken: u64) -> u64 {
        taken.saturating_add(self.window_nanos)
    }
}

#[cfg(all(test, not(underpin_loom)))]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// All that were ever taken, each looked at anew.
    struct Naive {
        limit: usize,
        window: u64,
        taken: Vec<u64>,
    }

    impl Naive {
        fn within(&self, at: u64) -> usize {
            self.taken.iter().filter(|taken| **taken <= at && *taken + self.window > at).count()
        }

        fn newest(&self) -> u64 {
            self.taken.iter().copied().max().unwrap_or(0)
        }

        fn available(&self, at: u64) -> usize {
            if at < self.newest() { 0 } else { self.limit - self.within(at) }
        }

        fn first(&self, now: u64, permits: usize) -> u64 {
            (now..).find(|at| self.available(*at) >= permits).expect("some day")
        }
    }

    proptest! {
        #[test]
        fn it_lets_through_what_a_full_record_does(
            limit in 1..6_u32,
            window in 0..40_u64,
            steps in prop::collection::vec((0..30_u64, 1..6_u32, prop_oneof![Just(0), 0..60_u64]), 1..60),
        ) {
            let mut log = WindowLog::new(limit, window);
            let mut naive = Naive { limit: limit as usize, window, taken: Vec::new() };
            let mut now = 0;
            for (step, permits, patience) in steps {
                now += step;
                let permits = permits.min(limit);
                prop_assert_eq!(log.available(now), naive.available(now).min(limit as usize));
                let first = naive.first(now.max(naive.newest()), permits as usize);
                if first <= now + patience {
                    prop_assert_eq!(log.reserve(now, permits, now + patience), Ok(first));
                    naive.taken.extend((0..permits).map(|_| first));
                } else {
                    prop_assert_eq!(log.reserve(now, permits, now + patience), Err(first - now));
                }
                prop_assert!(log.taken.len() <= limit as usize);
            }
            for at in 0..now {
                prop_assert!(naive.within(at) <= limit as usize, "{at}");
            }
        }

        #[test]
        fn any_numbers_will_do(
            limit: u32,
            window: u64,
            steps in prop::collection::vec(any::<(u64, u8, u64)>(), 0..20),
        ) {
            let mut log = WindowLog::new(limit, window);
            for (now, permits, latest) in steps {
                if let Ok(at) = log.reserve(now, permits.into(), latest) {
                    prop_assert!(at >= now && (at <= latest || at == log.seen));
                }
                prop_assert!(log.available(now) <= log.limit);
            }
        }
    }

    #[test]
    fn who_read_the_clock_before_another_took_the_last_but_one_gets_the_last() {
        let mut log = WindowLog::new(2, 100);
        assert_eq!(log.reserve(11, 1, 11), Ok(11));
        assert_eq!(log.reserve(10, 1, 10), Ok(11));
        assert_eq!(log.reserve(10, 1, 10), Err(100));
    }
}
