//! To which bucket a value belongs.
//!
//! Values below 128 have a bucket each. From there on every power of two is cut into 64 buckets of the same width, so
//! that the middle of a bucket is within 1/128 of each value in it: it is half a width away at most, and the least value
//! of a bucket is 64 widths or more. HdrHistogram divides its values in the same way.

/// How many blocks of 64 buckets there are: two for values that have a bucket each, one for each power of two from 128 on.
pub(crate) const BLOCKS: usize = 59;
/// A block has so many buckets.
pub(crate) const BLOCK: usize = 64;
/// How many buckets there are.
pub(crate) const BUCKETS: usize = BLOCKS * BLOCK;

/// The bucket of a value; below [`BUCKETS`].
#[inline]
pub(crate) fn bucket_of(value: u64) -> usize {
    let shift = shift_of(value);
    ((shift as usize) << 6) + (value >> shift) as usize
}

/// The bucket of a value, as a block of 64 (below [`BLOCKS`]) and the place in it.
#[inline]
pub(crate) fn block_of(value: u64) -> (usize, usize) {
    let bucket = bucket_of(value);
    (bucket >> 6, bucket & (BLOCK - 1))
}

/// How many of the lowest bits of a value do not count. The highest bit and the six behind it do.
#[inline]
fn shift_of(value: u64) -> u32 {
    57 - (value | 64).leading_zeros()
}

/// The least and the greatest value of a bucket. One that is too high stands for the last.
pub(crate) fn range_of(bucket: usize) -> (u64, u64) {
    let bucket = bucket.min(BUCKETS - 1);
    let shift = (bucket >> 6).saturating_sub(1);
    let least = ((bucket - (shift << 6)) as u64) << shift;
    (least, least + ((1 << shift) - 1))
}

/// The value in the middle of a bucket; the lower of two.
pub(crate) fn middle_of(bucket: usize) -> u64 {
    let (least, greatest) = range_of(bucket);
    least + (greatest - least) / 2
}

#[cfg(all(test, not(underpin_loom)))]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_buckets_cover_all_values_without_gap_or_overlap() {
        let mut next = Some(0);
        for bucket in 0..BUCKETS {
            let (least, greatest) = range_of(bucket);
            assert_eq!(next, Some(least), "{bucket}");
            assert_eq!((bucket_of(least), bucket_of(greatest)), (bucket, bucket));
            next = greatest.checked_add(1);
        }
        assert_eq!(next, None, "the last ends with u64::MAX");
    }

    #[test]
    fn values_below_128_have_a_bucket_each_and_the_next_shares_one() {
        for value in 0..128 {
            assert_eq!(range_of(bucket_of(value)), (value, value));
        }
        assert_eq!((range_of(128), bucket_of(u64::MAX)), ((128, 129), BUCKETS - 1));
    }

    #[test]
    fn every_power_of_two_has_64_buckets() {
        for power in 7..64 {
            let first = 1_u64 << power;
            let last = first + (first - 1);
            assert_eq!(bucket_of(last) - bucket_of(first), 63, "{power}");
            assert_eq!(block_of(first), (power - 5, 0));
        }
    }

    #[test]
    fn the_middle_is_within_a_128th_of_each_value() {
        for bucket in 0..BUCKETS {
            let (ends, middle) = (<[u64; 2]>::from(range_of(bucket)), u128::from(middle_of(bucket)));
            for value in ends.map(u128::from) {
                assert!(middle.abs_diff(value) * 128 <= value, "{bucket}: {middle} for {value}");
            }
        }
    }

    #[test]
    fn a_bucket_that_is_too_high_stands_for_the_last() {
        assert_eq!(range_of(usize::MAX), range_of(BUCKETS - 1));
    }

    proptest! {
        #[test]
        fn a_value_is_in_its_bucket_and_a_greater_one_in_none_below(a: u64, b: u64, shift in 0_u32..64) {
            let (a, b) = (a >> shift, b >> shift);
            let (least, greatest) = range_of(bucket_of(a));
            prop_assert!(least <= a && a <= greatest);
            prop_assert!(bucket_of(a.min(b)) <= bucket_of(a.max(b)));
            let (block, place) = block_of(a);
            prop_assert!(block < BLOCKS && place < BLOCK);
            prop_assert_eq!(block * BLOCK + place, bucket_of(a));
        }
    }
}
