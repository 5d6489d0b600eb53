//! How often something may be: the generic cell rate algorithm.

use std::time::Duration;

/// So many permits in a period, evenly, and so many at once.
///
/// It is the virtual scheduling form of ITU-T I.371. All that is remembered is one number, the *theoretical arrival
/// time*: the moment from which all is as if nothing had ever come. Whatever comes moves it on by an interval for
/// each permit, and is let through if it is not too far ahead of now by then. So it lets through what a bucket of
/// `burst` tokens does that is filled evenly.
///
/// Times are nanoseconds from any moment, and reach for 584 years. The interval is rounded up to whole nanoseconds: never
/// more than the rate is let through, and from a million permits in a second on noticeably fewer. It is 146 years at most,
/// and what is given at once no more than 292 years are worth: a limit of any size stays one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Gcra {
    interval_nanos: u64,
    /// How far ahead of now the theoretical arrival time may be.
    most_nanos: u64,
}

/// So far ahead of now nobody is let through: what is remembered never comes to the end of time, where all moments are
/// one.
const FARTHEST_NANOS: u64 = 1 << 63;
const LONGEST_INTERVAL_NANOS: u64 = 1 << 62;

#[cfg(feature = "telemetry")]
impl Gcra {
    /// So many in a second; with 0 of either, none is let through.
    pub(crate) fn per_second(permits: u32, burst: u32) -> Self {
        match (permits, burst) {
            (0, _) | (_, 0) => Self { interval_nanos: 1, most_nanos: 0 },
            _ => Self::new(permits, Duration::from_secs(1), burst),
        }
    }
}

impl Gcra {
    /// Of `permits` and `burst` there is one at least; a period of nothing is one of a nanosecond for each permit.
    pub(crate) fn new(permits: u32, period: Duration, burst: u32) -> Self {
        let interval = period.as_nanos().div_ceil(u128::from(permits.max(1))).max(1);
        let interval_nanos = u64::try_from(interval).unwrap_or(u64::MAX).min(LONGEST_INTERVAL_NANOS);
        let most_nanos = interval_nanos.saturating_mul(u64::from(burst.max(1))).min(FARTHEST_NANOS);
        Self { interval_nanos, most_nanos }
    }

    /// One comes at `now`: what to remember instead of `arrival` if it is let through, or how long it is too early.
    #[inline]
    pub(crate) fn admit(&self, arrival: u64, now: u64) -> Result<u64, u64> {
        self.decide(arrival, now, self.interval_nanos)
    }

    #[inline]
    fn decide(&self, arrival: u64, now: u64, cost: u64) -> Result<u64, u64> {
        let Some(next) = arrival.max(now).checked_add(cost) else { return Err(u64::MAX) };
        let ahead = next - now;
        if ahead <= self.most_nanos { Ok(next) } else { Err(ahead - self.most_nanos) }
    }
}

#[cfg(feature = "resilience")]
impl Gcra {
    pub(crate) fn interval_nanos(&self) -> u64 {
        self.interval_nanos
    }

    /// The interval, and how far ahead of now the theoretical arrival time may be.
    pub(crate) fn nanos(&self) -> (u64, u64) {
        (self.interval_nanos, self.most_nanos)
    }

    /// One of such [`nanos`](Self::nanos).
    #[inline]
    pub(crate) fn of_nanos(interval_nanos: u64, most_nanos: u64) -> Self {
        Self { interval_nanos, most_nanos }
    }

    /// What to remember instead of `arrival` when `after` takes its place at `now`: there are as many permits as there
    /// were, parts of them too, or as many as may be. What is owed, for somebody waits for it, stays owed.
    pub(crate) fn carried(&self, arrival: u64, now: u64, after: &Self) -> u64 {
        let room = i128::from(self.most_nanos) - i128::from(arrival.saturating_sub(now));
        // Rounded down, and saturated: never more than there were.
        let room = room
            .saturating_mul(after.interval_nanos.into())
            .div_euclid(i128::from(self.interval_nanos).max(1))
            .min(after.most_nanos.into());
        let ahead = u64::try_from(i128::from(after.most_nanos).saturating_sub(room)).unwrap_or(u64::MAX);
        now.saturating_add(ahead)
    }

    /// As [`admit`](Self::admit), for so many at once: at most `burst`, others are never let through.
    pub(crate) fn admit_many(&self, arrival: u64, now: u64, permits: u32) -> Result<u64, u64> {
        self.decide(arrival, now, self.cost(permits))
    }

    /// As [`admit_many`](Self::admit_many), for somebody who would wait until `latest`: what to remember, and when it
    /// is let through.
    pub(crate) fn reserve(
        &self,
        arrival: u64,
        now: u64,
        permits: u32,
        latest: u64,
    ) -> Result<(u64, u64), u64> {
        let Some(next) = arrival.max(now).checked_add(self.cost(permits)) else { return Err(u64::MAX) };
        let at = next.saturating_sub(self.most_nanos).max(now);
        if at <= latest { Ok((next, at)) } else { Err(at - now) }
    }

    /// As many of `permits` as are let through at `now`, with what to remember; or how long one is too early.
    pub(crate) fn admit_some(&self, arrival: u64, now: u64, permits: u32) -> Result<(u64, u32), u64> {
        let some = permits.max(1).min(self.available(arrival, now).max(1));
        self.admit_many(arrival, now, some).map(|next| (next, some))
    }

    /// How many would be let through at `now`.
    pub(crate) fn available(&self, arrival: u64, now: u64) -> u32 {
        let room =
            self.most_nanos.saturating_sub(arrival.saturating_sub(now)).min(u64::MAX - arrival.max(now));
        u32::try_from(room / self.interval_nanos).unwrap_or(u32::MAX)
    }

    fn cost(&self, permits: u32) -> u64 {
        self.interval_nanos.saturating_mul(u64::from(permits))
    }
}

#[cfg(all(test, feature = "resilience", not(underpin_loom)))]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    /// A bucket of tokens, each worth an interval of time; filled by the time that passes.
    struct Bucket {
        interval: u128,
        room: u128,
        filled: u128,
        seen: u128,
    }

    impl Bucket {
        fn new(permits: u32, period: Duration, burst: u32) -> Self {
            let interval = period.as_nanos().div_ceil(permits.into()).max(1);
            let room = interval * u128::from(burst);
            Self { interval, room, filled: room, seen: 0 }
        }

        fn fill(&mut self, now: u64) {
            self.filled = self.room.min(self.filled + (u128::from(now) - self.seen));
            self.seen = now.into();
        }

        /// How much time is wanting, if any.
        fn take(&mut self, permits: u32) -> Result<(), u128> {
            let price = self.interval * u128::from(permits);
            match self.filled.checked_sub(price) {
                Some(left) => self.filled = left,
                None => return Err(price - self.filled),
            }
            Ok(())
        }

        fn tokens(&self) -> u128 {
            self.filled / self.interval
        }
    }

    proptest! {
        #[test]
        fn it_lets_through_what_a_bucket_of_tokens_does(
            permits in prop_oneof![1..100_u32, 1..=u32::MAX],
            period in prop_oneof![Just(1_000_000_000), 0..2_000_000_000_u64],
            burst in prop_oneof![1..10_u32, 1..1_000_000_u32],
            steps in prop::collection::vec(
                (prop_oneof![Just(0), 0..2_000_000_000_u64, 0..100_u64], 1..12_u32, any::<bool>()),
                1..200,
            ),
        ) {
            let period = Duration::from_nanos(period);
            let (gcra, mut bucket) = (Gcra::new(permits, period, burst), Bucket::new(permits, period, burst));
            let (mut arrival, mut now) = (0, 0);
            for (step, many, all_or_nothing) in steps {
                now += step;
                bucket.fill(now);
                prop_assert_eq!(u128::from(gcra.available(arrival, now)), bucket.tokens());
                let many = many.min(burst);
                let next = if all_or_nothing {
                    let expected = bucket.take(many);
                    let next = gcra.admit_many(arrival, now, many);
                    prop_assert_eq!(next.map(drop).map_err(u128::from), expected);
                    if many == 1 {
                        prop_assert_eq!(gcra.admit(arrival, now), next);
                    }
                    next.ok()
                } else {
                    let expected = bucket.tokens().min(many.into());
                    let got = gcra.admit_some(arrival, now, many);
                    prop_assert_eq!(got.map_or(0, |(_, got)| u128::from(got)), expected);
                    bucket.take(expected as u32).expect("so many there are");
                    got.ok().map(|(next, _)| next)
                };
                arrival = next.unwrap_or(arrival);
            }
        }

        #[test]
        fn who_would_wait_is_let_through_at_the_first_moment_at_which_one_who_comes_then_would_be(
            burst in 1..5_u32,
            steps in prop::collection::vec((0..300_u64, 1..5_u32, 0..1000_u64), 1..50),
        ) {
            let gcra = Gcra::new(1, Duration::from_nanos(100), burst);
            let (mut arrival, mut now) = (0, 0);
            for (step, many, patience) in steps {
                now += step;
                let many = many.min(burst);
                let first = (now..).find(|at| gcra.admit_many(arrival, *at, many).is_ok()).expect("some day");
                match gcra.reserve(arrival, now, many, now + patience) {
                    Ok((next, at)) => {
                        prop_assert_eq!(at, first);
                        prop_assert_eq!(Ok(next), gcra.admit_many(arrival, at, many));
                        prop_assert!(at <= now + patience);
                        arrival = next;
                    }
                    Err(wait) => prop_assert!(now + wait == first && wait > patience),
                }
            }
        }

        #[test]
        fn who_takes_its_place_has_the_tokens_of_the_bucket_as_far_as_they_fit(
            periods in prop::collection::vec((1..2_000_u64, 1..10_u32), 1..6),
            steps in prop::collection::vec((0..3_000_u64, 1..4_u32), 1..60),
        ) {
            let of = |(period, burst): (u64, u32)| (Gcra::new(1, Duration::from_nanos(period), burst), burst);
            let (mut gcra, mut burst) = of(periods[0]);
            let mut bucket = Bucket::new(1, Duration::from_nanos(periods[0].0), burst);
            let (mut arrival, mut now) = (0, 0);
            for (number, (step, many)) in steps.into_iter().enumerate() {
                now += step;
                bucket.fill(now);
                if number % 5 == 4 {
                    let (after, most) = of(periods[number / 5 % periods.len()]);
                    arrival = gcra.carried(arrival, now, &after);
                    let interval = u128::from(after.interval_nanos);
                    bucket.filled = (bucket.filled * interval / bucket.interval).min(interval * u128::from(most));
                    (bucket.interval, bucket.room) = (interval, interval * u128::from(most));
                    (gcra, burst) = (after, most);
                }
                prop_assert_eq!(u128::from(gcra.available(arrival, now)), bucket.tokens());
                let many = many.min(burst);
                let next = gcra.admit_many(arrival, now, many);
                prop_assert_eq!(next.map(drop).map_err(u128::from), bucket.take(many));
                arrival = next.unwrap_or(arrival);
            }
        }

        #[test]
        fn what_is_owed_stays_owed(owed in 1..20_u64, period in 1..1000_u64, after in 1..1000_u64, now: u32) {
            let of = |period| Gcra::new(1, Duration::from_nanos(period), 2);
            let now = u64::from(now);
            let arrival = now + (2 + owed) * period;
            let carried = of(period).carried(arrival, now, &of(after));
            prop_assert_eq!(carried, now + (2 + owed) * after);
        }

        #[test]
        fn any_numbers_will_do(
            permits: u32, period: Duration, burst: u32, many: u32, arrival: u64, now: u64, latest: u64,
            other: (u32, Duration, u32),
        ) {
            let gcra = Gcra::new(permits, period, burst);
            let after = Gcra::new(other.0, other.1, other.2);
            let early = now / 4;
            let carried = gcra.carried(arrival, early, &after);
            prop_assert!(after.available(carried, early) <= gcra.available(arrival, early));
            let admitted = gcra.admit_many(arrival, now, many);
            prop_assert!(admitted.is_err() || admitted >= Ok(now.max(arrival)));
            let some = gcra.admit_some(arrival, now, many);
            prop_assert!(some.is_ok() == gcra.admit(arrival, now).is_ok());
            if let Ok((next, at)) = gcra.reserve(arrival, now, many, latest) {
                prop_assert!(next >= arrival && at >= now && at <= latest);
            }
        }

        #[test]
        fn in_no_period_are_there_more_than_burst_and_rate_together(
            permits in 1..50_u32,
            burst in 1..20_u32,
            steps in prop::collection::vec(0..100_000_000_u64, 1..300),
        ) {
            let gcra = Gcra::new(permits, SECOND, burst);
            let (mut arrival, mut now, mut passed) = (0, 0, Vec::new());
            for step in steps {
                now += step;
                if let Ok(next) = gcra.admit(arrival, now) {
                    arrival = next;
                    passed.push(now);
                }
            }
            for from in &passed {
                let within = passed.iter().filter(|at| (*from..*from + 1_000_000_000).contains(*at)).count();
                prop_assert!(within <= (permits + burst) as usize, "{within} from {from}");
            }
        }
    }

    #[cfg(feature = "telemetry")]
    #[test]
    fn nothing_of_either_lets_nothing_through() {
        for gcra in [Gcra::per_second(0, 1), Gcra::per_second(1, 0), Gcra::per_second(0, u32::MAX)] {
            assert!(gcra.admit(0, 0).is_err() && gcra.admit(0, u64::MAX - 2).is_err(), "{gcra:?}");
        }
        assert_eq!(Gcra::per_second(3, 2), Gcra::new(3, SECOND, 2));
    }

    #[test]
    fn a_period_without_end_lets_the_burst_through_and_no_more() {
        for (burst, period) in
            [(1, Duration::MAX), (1, Duration::from_nanos(u64::MAX - 5)), (3, (1 << 30) * SECOND)]
        {
            let (gcra, mut arrival) = (Gcra::new(1, period, burst), 0);
            for _ in 0..burst {
                arrival = gcra.admit(arrival, 7).expect("it is of the burst");
            }
            assert!(
                gcra.admit(arrival, 7).is_err() && gcra.admit(arrival, gcra.interval_nanos() / 2).is_err()
            );
        }
    }

    #[test]
    fn an_interval_is_rounded_up_to_nanoseconds_and_there_is_one() {
        for (permits, period, interval) in [
            (3, SECOND, 333_333_334),
            (600_000_000, SECOND, 2),
            (1, Duration::ZERO, 1),
            (0, SECOND, 1_000_000_000),
        ] {
            assert_eq!(Gcra::new(permits, period, 1).interval_nanos(), interval, "{permits}");
        }
        assert_eq!(Gcra::new(1, SECOND, 0), Gcra::new(1, SECOND, 1));
    }

    #[test]
    fn periods_and_bursts_beyond_all_time_are_limits_all_the_same() {
        let now = 1_000_000_000;
        let gcra = Gcra::new(1, Duration::MAX, 1);
        let arrival = gcra.admit(0, now).expect("the first");
        assert!(gcra.admit(arrival, now).is_err() && gcra.admit(arrival, now + 1_000_000_000).is_err());
        assert!(gcra.reserve(arrival, now, 1, now).is_err() && gcra.available(arrival, now) == 0);
        let gcra = Gcra::new(1, Duration::from_secs(3600), u32::MAX);
        let (mut arrival, mut through) = (0, 0_u64);
        let portions = (0..10_000).take_while(|_| {
            let Ok((next, some)) = gcra.admit_some(arrival, now, 1_000_000) else { return false };
            (arrival, through) = (next, through + u64::from(some));
            true
        });
        assert!(portions.count() < 10 && through > 2_000_000, "{through}");
    }

    #[test]
    fn who_waits_longer_than_time_reaches_is_not_let_through_with_the_one_before() {
        let gcra = Gcra::new(1, Duration::MAX, 1);
        let (mut arrival, mut moments) = (0, Vec::new());
        for _ in 0..9 {
            let Ok((next, at)) = gcra.reserve(arrival, 0, 1, u64::MAX) else { break };
            arrival = next;
            moments.push(at);
        }
        assert!(moments.len() < 9 && moments.windows(2).all(|pair| pair[0] < pair[1]), "{moments:?}");
    }
}
