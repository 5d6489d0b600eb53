//! Between which values an exporter counts.

use std::hash::{Hash, Hasher};

use super::unit::Unit;

/// A histogram is exported with so many bounds at most; those that follow are left out. Each is a series of its own for
/// whoever stores them.
pub const MAX_BOUNDS: usize = 64;

/// From a microsecond to a minute. What people set goals for lies from a millisecond to ten seconds, and has three bounds to
/// a power of ten, among them the usual goals: 5, 10, 25, 50, 100, 250 milliseconds. Below, where messages are handled, the
/// order of magnitude is enough, with two. With three everywhere there would be 24 and not 21.
const SECONDS: [f64; 21] = [
    1e-6, 5e-6, 1e-5, 5e-5, 1e-4, 5e-4, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5,
    5.0, 10.0, 30.0, 60.0,
];
/// Powers of four, from a short line to a gibibyte.
const BYTES: [f64; 13] = [
    64.0,
    256.0,
    1024.0,
    4096.0,
    16384.0,
    65536.0,
    262144.0,
    1048576.0,
    4194304.0,
    16777216.0,
    67108864.0,
    268435456.0,
    1073741824.0,
];
/// Batches and queues: close while they are small, by tens where only the size of the trouble is asked for.
const COUNT: [f64; 15] = [1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0, 1e3, 2e3, 5e3, 1e4, 1e5, 1e6];
/// Close at both ends: little use and full use are what is looked for.
const RATIO: [f64; 11] = [0.0, 0.01, 0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99, 1.0];

/// Bounds that stand in the program, compared bit by bit.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds(pub(crate) &'static [f64]);

impl PartialEq for Bounds {
    fn eq(&self, other: &Self) -> bool {
        self.0.iter().map(|bound| bound.to_bits()).eq(other.0.iter().map(|bound| bound.to_bits()))
    }
}

impl Eq for Bounds {}

impl Hash for Bounds {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.iter().for_each(|bound| bound.to_bits().hash(state));
    }
}

/// The bounds of a histogram for which nothing else is said.
pub(crate) const fn default_bounds(unit: Unit) -> &'static [f64] {
    match unit {
        Unit::Count => &COUNT,
        Unit::Seconds => &SECONDS,
        Unit::Bytes => &BYTES,
        Unit::Ratio => &RATIO,
    }
}

/// Bounds as they are exported, each with the greatest integer that is not above it: rising, none twice, none below 0 and none
/// that is no number, [`MAX_BOUNDS`] at most.
pub(crate) fn usable(bounds: &[f64], unit: Unit) -> Vec<(f64, u64)> {
    let right = bounds.iter().copied().filter(|bound| bound.is_finite() && *bound >= 0.0);
    // Minus nothing is nothing.
    let mut usable: Vec<_> =
        right.map(|bound| bound.abs()).map(|bound| (bound, integer(bound, unit))).collect();
    usable.sort_by(|a, b| a.0.total_cmp(&b.0));
    usable.dedup_by_key(|(bound, _)| bound.to_bits());
    usable.truncate(MAX_BOUNDS);
    usable
}

fn integer(bound: f64, unit: Unit) -> u64 {
    let parts = bound * unit.divisor();
    // Next to a whole number, and so meant to be one: 0.00000006 s are 60 ns, though the product lies below.
    let whole = parts.round();
    let is_whole = (parts - whole).abs() <= whole * 1e-12;
    (if is_whole { whole } else { parts.floor() }) as u64
}

#[cfg(all(test, not(underpin_loom)))]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const UNITS: [Unit; 4] = [Unit::Count, Unit::Seconds, Unit::Bytes, Unit::Ratio];

    #[test]
    fn the_bounds_of_each_unit_rise_and_are_exact() {
        for unit in UNITS {
            let bounds = usable(default_bounds(unit), unit);
            assert_eq!(bounds.iter().map(|bound| bound.0).collect::<Vec<_>>(), default_bounds(unit));
            for (bound, integer) in bounds {
                assert_eq!(integer as f64 / unit.divisor(), bound, "{unit}");
            }
        }
    }

    #[test]
    fn an_integer_is_the_greatest_that_is_not_above_its_bound() {
        let of = |bound, unit| usable(&[bound], unit)[0].1;
        assert_eq!((of(2.5, Unit::Count), of(2.9999, Unit::Count), of(3.0, Unit::Count)), (2, 2, 3));
        // The product of these two is below 60.
        assert_eq!((of(6e-8, Unit::Seconds), of(1.5e-9, Unit::Seconds)), (60, 1));
        assert_eq!((of(f64::MAX, Unit::Bytes), of(0.0, Unit::Bytes)), (u64::MAX, 0));
    }

    #[test]
    fn bounds_that_cannot_be_used_are_left_out() {
        let odd = [5.0, f64::NAN, 1.0, -1.0, f64::INFINITY, 5.0, -0.0, 0.0, f64::NEG_INFINITY];
        assert_eq!(usable(&odd, Unit::Count), [(0.0, 0), (1.0, 1), (5.0, 5)]);
        let many: Vec<_> = (0..1000).map(f64::from).collect();
        assert_eq!(usable(&many, Unit::Count).len(), MAX_BOUNDS);
    }

    #[test]
    fn bounds_are_the_same_when_their_numbers_are() {
        assert_eq!(Bounds(&[1.0, f64::NAN]), Bounds(&[1.0, f64::NAN]));
        assert_ne!(Bounds(&[1.0]), Bounds(&[1.0, 2.0]));
    }

    proptest! {
        #[test]
        fn any_bounds_can_be_exported(bounds in prop::collection::vec(any::<f64>(), 0..80)) {
            for unit in UNITS {
                let usable = usable(&bounds, unit);
                prop_assert!(usable.windows(2).all(|pair| pair[0].0 < pair[1].0 && pair[0].1 <= pair[1].1));
                prop_assert!(usable.len() <= MAX_BOUNDS);
            }
        }
    }
}
