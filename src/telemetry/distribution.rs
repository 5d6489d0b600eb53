//! How often each value was there.

use super::buckets::{BUCKETS, bucket_of, middle_of, range_of};

/// How often each value was there, with a relative error of a value of 1/128 at most.
///
/// Values are integers of 64 bits: see [`Unit`](super::Unit) for what they count. They fall into buckets, so that its size
/// is bounded (3,776 buckets, of which it has those with a value in them), and two of them can be [merged](Self::merge)
/// without a further error. Number, sum, least and greatest value are exact. What does not fit into its numbers, 64 bits
/// for how often and 128 for the sum, stays at the greatest that does.
///
/// # Example
///
/// ```
/// use underpin::telemetry::Distribution;
///
/// let mut values = Distribution::default();
/// [3, 1, 2, 1_000].into_iter().for_each(|value| values.record(value, 1));
/// assert_eq!((values.count(), values.mean(), values.max()), (4, Some(251.5), Some(1_000)));
/// assert_eq!(values.quantile(0.5), Some(2));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Distribution {
    /// Index of a bucket and how many values fell into it, rising; none is 0.
    pub(crate) buckets: Vec<(u16, u64)>,
    pub(crate) sum: u128,
    /// In the lowest of the buckets; `u64::MAX` while there is no value.
    pub(crate) min: u64,
    /// In the highest of the buckets, not below `min`; 0 while there is no value.
    pub(crate) max: u64,
}

impl Default for Distribution {
    fn default() -> Self {
        Self { buckets: Vec::new(), sum: 0, min: u64::MAX, max: 0 }
    }
}

impl Distribution {
    /// Of what others have counted: indices of buckets and how many values fell into each, in any order, an index
    /// perhaps more than once. An index that is none is passed over.
    ///
    /// The parts may have been read while more was counted, one a little before the other. So `min` and `max` are put
    /// into the lowest and the highest bucket, where they are not there already.
    pub(crate) fn from_parts(
        buckets: impl IntoIterator<Item = (usize, u64)>,
        sum: u128,
        min: u64,
        max: u64,
    ) -> Self {
        let there = buckets.into_iter().filter(|&(bucket, times)| bucket < BUCKETS && times > 0);
        let buckets = together(there.map(|(bucket, times)| (bucket as u16, times)).collect());
        let (Some(&(lowest, _)), Some(&(highest, _))) = (buckets.first(), buckets.last()) else {
            return Self::default();
        };
        let min = put_into(lowest, min);
        Self { min, max: put_into(highest, max).max(min), buckets, sum }
    }

    /// Takes in a value that was there so many times.
    pub fn record(&mut self, value: u64, times: u64) {
        if times == 0 {
            return;
        }
        let bucket = bucket_of(value) as u16;
        match self.place_of(bucket) {
            Ok(at) => self.buckets[at].1 = self.buckets[at].1.saturating_add(times),
            Err(at) => self.buckets.insert(at, (bucket, times)),
        }
        self.sum = self.sum.saturating_add(u128::from(value) * u128::from(times));
        (self.min, self.max) = (self.min.min(value), self.max.max(value));
    }

    /// Takes in all values of another, as if each had been [recorded](Self::record) here.
    pub fn merge(&mut self, other: &Self) {
        self.buckets = together([&*self.buckets, &*other.buckets].concat());
        self.sum = self.sum.saturating_add(other.sum);
        (self.min, self.max) = (self.min.min(other.min), self.max.max(other.max));
    }

    /// What has come since an earlier state of the same distribution.
    ///
    /// The least and the greatest value are exact where they lie beyond the earlier ones, and otherwise within 1/64: which
    /// values of a bucket are new, nobody knows. Of what is no earlier state, nothing is taken away that is not there.
    pub fn since(&self, earlier: &Self) -> Self {
        let before = |bucket| earlier.place_of(bucket).map_or(0, |at| earlier.buckets[at].1);
        let came =
            self.buckets.iter().map(|&(bucket, n)| (usize::from(bucket), n.saturating_sub(before(bucket))));
        Self::from_parts(came, self.sum.saturating_sub(earlier.sum), self.min, self.max)
    }

    /// How many values there are.
    pub fn count(&self) -> u64 {
        self.buckets.iter().fold(0, |sum, &(_, times)| sum.saturating_add(times))
    }

    /// All values together.
    pub fn sum(&self) -> u128 {
        self.sum
    }

    /// The least value; `None` while there is none.
    pub fn min(&self) -> Option<u64> {
        (!self.is_empty()).then_some(self.min)
    }

    /// The greatest value; `None` while there is none.
    pub fn max(&self) -> Option<u64> {
        (!self.is_empty()).then_some(self.max)
    }

    /// Whether there is no value.
    pub fn is_empty(&self) -> bool {
        self.buckets.is_empty()
    }

    /// The sum of all values by their number; `None` while there is none.
    pub fn mean(&self) -> Option<f64> {
        (!self.is_empty()).then(|| self.sum as f64 / self.count() as f64)
    }

    /// The value that a part `q` of all values is not above: 0.5 for the median, 0.99 for what one in a hundred exceeds.
    ///
    /// It is the value of rank `ceil(q * count)` among all of them in order, within 1/128; the first and the last of them
    /// are exact. `None` while there is no value, and for a `q` outside of 0 to 1. The rank is that of HdrHistogram.
    pub fn quantile(&self, q: f64) -> Option<u64> {
        let [value] = self.quantiles([q]);
        value
    }

    /// The same for several parts.
    pub(crate) fn quantiles<const N: usize>(&self, parts: [f64; N]) -> [Option<u64>; N] {
        let count = self.count();
        parts.map(|q| {
            let is_there = count > 0 && (0.0..=1.0).contains(&q);
            match ((q * count as f64).ceil() as u64).min(count) {
                _ if !is_there => None,
                0 | 1 => Some(self.min),
                rank if rank == count => Some(self.max),
                rank => self.of_rank(rank),
            }
        })
    }

    fn of_rank(&self, rank: u64) -> Option<u64> {
        let mut seen = 0_u64;
        let &(bucket, _) = self.buckets.iter().find(|&&(_, times)| {
            seen = seen.saturating_add(times);
            seen >= rank
        })?;
        Some(middle_of(bucket.into()).clamp(self.min, self.max))
    }

    /// How many values are not above a bound.
    ///
    /// A bucket counts as a whole, when its middle is at most the bound: so only values within 1/128 of the bound can be
    /// on the wrong side. What is on which side does not change while values come, and so this never goes down.
    pub fn at_most(&self, bound: u64) -> u64 {
        self.at_most_each([bound]).next().unwrap_or(0)
    }

    /// The same for each of several bounds, which rise.
    pub(crate) fn at_most_each<B: IntoIterator<Item = u64>>(
        &self,
        bounds: B,
    ) -> impl Iterator<Item = u64> + use<'_, B> {
        let (mut rest, mut sum) = (self.buckets.iter().peekable(), 0_u64);
        bounds.into_iter().map(move |bound| {
            let end = first_above(bound);
            while let Some((_, times)) = rest.next_if(|&&(bucket, _)| usize::from(bucket) < end) {
                sum = sum.saturating_add(*times);
            }
            sum
        })
    }

    fn place_of(&self, bucket: u16) -> Result<usize, usize> {
        self.buckets.binary_search_by_key(&bucket, |&(other, _)| other)
    }
}

/// In order, each bucket once.
fn together(mut buckets: Vec<(u16, u64)>) -> Vec<(u16, u64)> {
    buckets.sort_by_key(|&(bucket, _)| bucket);
    buckets.dedup_by(|next, kept| {
        let is_same = next.0 == kept.0;
        if is_same {
            kept.1 = kept.1.saturating_add(next.1);
        }
        is_same
    });
    buckets
}

/// The first bucket whose middle is above a bound.
fn first_above(bound: u64) -> usize {
    let bucket = bucket_of(bound);
    bucket + usize::from(middle_of(bucket) <= bound)
}

fn put_into(bucket: u16, value: u64) -> u64 {
    let (least, greatest) = range_of(bucket.into());
    value.clamp(least, greatest)
}

#[cfg(all(test, not(underpin_loom)))]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn of(values: &[u64]) -> Distribution {
        let mut all = Distribution::default();
        values.iter().for_each(|&value| all.record(value, 1));
        all
    }

    /// Of all sizes: as many small ones as great ones.
    fn values(most: usize) -> impl Strategy<Value = Vec<u64>> {
        let one = (any::<u64>(), 0_u32..64).prop_map(|(value, shift)| value >> shift);
        prop::collection::vec(one, 0..most)
    }

    fn is_close(found: u64, expected: u64) -> bool {
        u128::from(found.abs_diff(expected)) * 128 <= u128::from(expected)
    }

    #[test]
    fn the_mean_is_of_all_values_and_not_of_means() {
        let (mut all, other) = (of(&[1, 100]), of(&[1]));
        all.merge(&other);
        assert_eq!(all.mean(), Some(34.0));
        all.record(34, u64::MAX / 100);
        assert_eq!(all.mean(), Some(34.0));
    }

    #[test]
    fn of_nothing_there_is_no_value() {
        let none = Distribution::default();
        assert_eq!((none.min(), none.max(), none.mean(), none.quantile(0.5)), (None, None, None, None));
        assert_eq!((none.count(), none.sum(), none.at_most(u64::MAX)), (0, 0, 0));
        let mut still = none.clone();
        still.record(7, 0);
        still.merge(&none);
        assert_eq!((&still, &of(&[5]).since(&of(&[5]))), (&none, &none));
    }

    #[test]
    fn a_quantile_is_of_the_rank_that_is_rounded_up() {
        let ten = of(&[1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
        let cases = [(0.0, 1), (0.1, 1), (0.11, 2), (0.5, 5), (0.51, 6), (0.9, 9), (0.91, 10), (1.0, 10)];
        for (q, expected) in cases {
            assert_eq!(ten.quantile(q), Some(expected), "{q}");
        }
        for q in [-f64::MIN_POSITIVE, 1.0 + f64::EPSILON, f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            assert_eq!(ten.quantile(q), None, "{q}");
        }
    }

    #[test]
    fn no_quantile_is_outside_of_what_was_there() {
        let mut high = of(&[1_000_000, 1_000_001]);
        high.record(1_000_000, 3);
        assert!([0.0, 0.5, 0.9, 1.0].iter().all(|&q| high.quantile(q) >= Some(1_000_000)));
        assert!([0.0, 0.5, 0.9, 1.0].iter().all(|&q| high.quantile(q) <= Some(1_000_001)));
    }

    #[test]
    fn what_does_not_fit_stays_at_the_greatest() {
        let mut most = Distribution::default();
        (0..3).for_each(|_| most.record(u64::MAX, u64::MAX));
        most.record(1, u64::MAX);
        most.merge(&most.clone());
        assert_eq!((most.count(), most.sum()), (u64::MAX, u128::MAX));
        assert_eq!((most.min(), most.max(), most.at_most(u64::MAX)), (Some(1), Some(u64::MAX), u64::MAX));
        assert_eq!(most.quantile(0.5), Some(1));
    }

    #[test]
    fn what_is_at_most_a_bound_never_goes_down_while_values_come() {
        // The first is below the middle of its bucket, and so is the bound.
        let mut growing = of(&[1 << 20]);
        let before = growing.at_most(1 << 20);
        growing.record((1 << 20) + 16_000, 1);
        assert!(growing.at_most(1 << 20) >= before, "{} after {before}", growing.at_most(1 << 20));
    }

    #[test]
    fn a_bucket_is_at_most_a_bound_when_its_middle_is() {
        let (least, greatest) = range_of(700);
        let middle = middle_of(700);
        for value in [least, middle, greatest] {
            let one = of(&[value]);
            let found = [least, middle - 1, middle, greatest].map(|bound| one.at_most(bound));
            assert_eq!(found, [0, 0, 1, 1], "{value}");
        }
    }

    #[test]
    fn parts_that_do_not_fit_together_are_put_right() {
        let odd =
            Distribution::from_parts([(700, 2), (3, 1), (700, 1), (9, 0), (BUCKETS, 5)], 7, u64::MAX, 0);
        assert_eq!(odd.buckets, [(3, 1), (700, 3)]);
        assert_eq!((odd.min(), odd.max()), (Some(3), Some(range_of(700).0)));
        let one = Distribution::from_parts([(700, 1)], 7, u64::MAX, 0);
        assert_eq!((one.min(), one.min(), one.quantile(0.5)), (one.max(), Some(range_of(700).1), one.max()));
        assert_eq!(Distribution::from_parts([(3, 0)], 7, 1, 9), Distribution::default());
    }

    proptest! {
        #[test]
        fn a_quantile_is_within_a_128th_of_that_of_all_values_in_order(mut values in values(200), q in 0.0..=1.0_f64) {
            prop_assume!(!values.is_empty());
            let all = of(&values);
            values.sort_unstable();
            let rank = ((q * values.len() as f64).ceil() as usize).max(1);
            let (found, expected) = (all.quantile(q).expect("there are values"), values[rank - 1]);
            prop_assert!(is_close(found, expected), "{found} for {expected}");
            let ends = (values.first().copied(), values.last().copied());
            prop_assert_eq!((all.min(), all.max()), ends);
            prop_assert_eq!((all.quantile(0.0), all.quantile(1.0)), ends);
            let sum: u128 = values.iter().copied().map(u128::from).sum();
            prop_assert_eq!((all.count(), all.sum()), (values.len() as u64, sum));
        }

        #[test]
        fn only_values_close_to_a_bound_are_on_the_wrong_side(values in values(100), bound: u64, shift in 0_u32..64) {
            let bound = bound >> shift;
            let (mut surely, mut perhaps) = (0, 0);
            for &value in &values {
                let is_near = u128::from(value.abs_diff(bound)) * 128 <= u128::from(value);
                surely += u64::from(value <= bound && !is_near);
                perhaps += u64::from(value <= bound || is_near);
            }
            let found = of(&values).at_most(bound);
            prop_assert!((surely..=perhaps).contains(&found), "{found}, not {surely} to {perhaps}");
        }

        #[test]
        fn several_bounds_are_counted_as_each_alone(values in values(100), mut bounds in values(10)) {
            bounds.sort_unstable();
            let all = of(&values);
            let each: Vec<_> = bounds.iter().map(|&bound| all.at_most(bound)).collect();
            prop_assert_eq!(all.at_most_each(bounds).collect::<Vec<_>>(), each);
        }

        #[test]
        fn merged_is_as_if_all_had_been_recorded_in_one(one in values(100), other in values(100)) {
            let mut merged = of(&one);
            merged.merge(&of(&other));
            prop_assert_eq!(merged, of(&[one, other].concat()));
        }

        #[test]
        fn what_came_since_and_what_was_before_are_all(before in values(100), after in values(100)) {
            let (earlier, all) = (of(&before), of(&[&*before, &*after].concat()));
            let mut since = all.since(&earlier);
            let came = of(&after);
            prop_assert_eq!((&since.buckets, since.sum), (&came.buckets, came.sum));
            for (found, expected) in [(since.min(), came.min()), (since.max(), came.max())] {
                let pair = found.zip(expected);
                prop_assert!(pair.is_none_or(|(found, expected)| bucket_of(found) == bucket_of(expected)));
                prop_assert_eq!(found.is_some(), expected.is_some());
            }
            since.merge(&earlier);
            prop_assert_eq!(since, all);
        }

        #[test]
        fn a_value_that_was_there_often_is_as_often_one(value: u64, times in 0_u64..20) {
            let mut often = Distribution::default();
            often.record(value, times);
            prop_assert_eq!(often, of(&vec![value; times as usize]));
        }

        #[test]
        fn any_parts_make_a_whole_one(
            parts in prop::collection::vec((0..BUCKETS + 50, any::<u64>()), 0..20), sum: u128, min: u64, max: u64,
            q: f64, other in values(9),
        ) {
            let mut made = Distribution::from_parts(parts, sum, min, max);
            prop_assert_eq!(made.is_empty(), made.count() == 0);
            prop_assert!(made.min() <= made.max());
            let inside = made.quantile(q).is_none_or(|found| Some(found) >= made.min() && Some(found) <= made.max());
            prop_assert!(inside);
            made.merge(&of(&other).since(&made));
            prop_assert!(made.buckets.is_sorted_by_key(|&(bucket, _)| bucket));
        }
    }
}
