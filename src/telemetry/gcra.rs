//! How often something may be: the generic cell rate algorithm, of ATM's traffic management.

use std::time::Duration;

const SECOND_NANOS: u64 = Duration::from_secs(1).as_nanos() as u64;

/// So many in a second, evenly, and so many at once.
///
/// All that it has to remember is one number, the *theoretical arrival time*: when the next would come if all came
/// evenly. One that comes is let through if that is not too far ahead of it. It lets through what a bucket of `burst`
/// tokens does that is filled evenly.
///
/// Times are nanoseconds from any moment. The interval between two is rounded up to whole nanoseconds, so that never
/// more than `per_second` are let through; beyond a million in a second that may be noticeably fewer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Gcra {
    interval_nanos: u64,
    /// How far ahead of now the theoretical arrival time may be with the next one.
    most_nanos: u64,
}

impl Gcra {
    /// With 0 of either, none is let through.
    pub(crate) const fn new(per_second: u32, burst: u32) -> Self {
        if per_second == 0 {
            return Self { interval_nanos: 1, most_nanos: 0 };
        }
        let interval_nanos = SECOND_NANOS.div_ceil(per_second as u64);
        // At most 4.3e18: both fit into 32 and 30 bits.
        Self { interval_nanos, most_nanos: interval_nanos * burst as u64 }
    }

    /// One more comes at `now`: what to remember instead of `arrival` if it is let through. At first that is 0.
    #[inline]
    pub(crate) fn admit(&self, arrival: u64, now: u64) -> Option<u64> {
        let next = arrival.max(now).saturating_add(self.interval_nanos);
        (next - now <= self.most_nanos).then_some(next)
    }
}

#[cfg(all(test, not(underpin_loom)))]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A bucket of tokens, each worth an interval of time; filled by the time that passes.
    struct Bucket {
        interval: u128,
        room: u128,
        filled: u128,
        seen: u128,
    }

    impl Bucket {
        fn new(per_second: u32, burst: u32) -> Self {
            let interval = 1_000_000_000_u128.div_ceil(per_second.into());
            let room = interval * u128::from(burst);
            Self { interval, room, filled: room, seen: 0 }
        }

        fn take(&mut self, now: u128) -> bool {
            self.filled = self.room.min(self.filled + (now - self.seen));
            self.seen = now;
            let is_there = self.filled >= self.interval;
            self.filled -= if is_there { self.interval } else { 0 };
            is_there
        }
    }

    proptest! {
        #[test]
        fn it_lets_through_what_a_bucket_of_tokens_does(
            per_second in prop_oneof![1..100_u32, 1..=u32::MAX],
            burst in prop_oneof![0..10_u32, 0..=u32::MAX],
            steps in prop::collection::vec(prop_oneof![Just(0), 0..2_000_000_000_u64, 0..100_u64], 1..200),
        ) {
            let (gcra, mut bucket) = (Gcra::new(per_second, burst), Bucket::new(per_second, burst));
            let (mut arrival, mut now) = (0, 0);
            for step in steps {
                now += step;
                let next = gcra.admit(arrival, now);
                prop_assert_eq!(next.is_some(), bucket.take(now.into()), "at {}", now);
                arrival = next.unwrap_or(arrival);
            }
        }

        #[test]
        fn any_numbers_will_do(per_second: u32, burst: u32, arrival: u64, now: u64) {
            let next = Gcra::new(per_second, burst).admit(arrival, now);
            prop_assert!(next.is_none_or(|next| next >= now.max(arrival)));
        }

        #[test]
        fn in_no_second_are_there_more_than_burst_and_rate_together(
            per_second in 1..50_u32,
            burst in 1..20_u32,
            steps in prop::collection::vec(0..100_000_000_u64, 1..300),
        ) {
            let gcra = Gcra::new(per_second, burst);
            let (mut arrival, mut now, mut passed) = (0, 0, Vec::new());
            for step in steps {
                now += step;
                if let Some(next) = gcra.admit(arrival, now) {
                    arrival = next;
                    passed.push(now);
                }
            }
            for from in &passed {
                let within = passed.iter().filter(|at| (*from..*from + 1_000_000_000).contains(*at)).count();
                prop_assert!(within <= (per_second + burst) as usize, "{within} from {from}");
            }
        }
    }

    #[test]
    fn a_burst_is_let_through_and_then_one_for_each_interval() {
        let (gcra, mut arrival) = (Gcra::new(10, 3), 0);
        let mut passes = |now| gcra.admit(arrival, now).map(|next| arrival = next).is_some();
        assert_eq!([0; 4].map(&mut passes), [true, true, true, false]);
        assert_eq!([99_999_999, 100_000_000, 100_000_000].map(&mut passes), [false, true, false]);
        assert_eq!([10_000_000_000; 4].map(&mut passes), [true, true, true, false]);
    }

    #[test]
    fn an_interval_is_rounded_up_to_nanoseconds() {
        for (per_second, interval) in [(3, 333_333_334), (600_000_000, 2), (1_000_000_000, 1), (u32::MAX, 1)]
        {
            let gcra = Gcra::new(per_second, 1);
            let first = gcra.admit(0, 0).expect("it is the first");
            assert_eq!(gcra.admit(first, interval - 1), None, "{per_second}");
            assert_eq!(gcra.admit(first, interval), Some(2 * interval), "{per_second}");
        }
    }

    #[test]
    fn nothing_of_either_lets_nothing_through() {
        for gcra in [Gcra::new(0, 1), Gcra::new(1, 0), Gcra::new(0, u32::MAX), Gcra::new(u32::MAX, 0)] {
            assert_eq!([gcra.admit(0, 0), gcra.admit(0, u64::MAX - 2)], [None, None], "{gcra:?}");
        }
    }
}
