//! How values of their units become values of ours.

use metrics::Unit as Theirs;

use crate::telemetry::unit::Unit;

/// A unit of ours, and how many of its integers one of theirs is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Scale {
    /// Ours.
    pub(super) unit: Unit,
    /// Nanoseconds, bytes, millionths.
    integers: u64,
}

impl Scale {
    const fn new(unit: Unit, integers: u64) -> Self {
        Self { unit, integers }
    }

    /// That of a unit. Rates stand as they are.
    pub(super) fn of(unit: Theirs) -> Self {
        match unit {
            Theirs::Seconds => Self::new(Unit::Seconds, 1_000_000_000),
            Theirs::Milliseconds => Self::new(Unit::Seconds, 1_000_000),
            Theirs::Microseconds => Self::new(Unit::Seconds, 1_000),
            Theirs::Nanoseconds => Self::new(Unit::Seconds, 1),
            Theirs::Tebibytes => Self::new(Unit::Bytes, 1 << 40),
            Theirs::Gibibytes => Self::new(Unit::Bytes, 1 << 30),
            Theirs::Mebibytes => Self::new(Unit::Bytes, 1 << 20),
            Theirs::Kibibytes => Self::new(Unit::Bytes, 1 << 10),
            Theirs::Bytes => Self::new(Unit::Bytes, 1),
            Theirs::Percent => Self::new(Unit::Ratio, 10_000),
            Theirs::Count
            | Theirs::CountPerSecond
            | Theirs::BitsPerSecond
            | Theirs::KilobitsPerSecond
            | Theirs::MegabitsPerSecond
            | Theirs::GigabitsPerSecond
            | Theirs::TerabitsPerSecond => Self::new(Unit::Count, 1),
        }
    }

    /// What the end of a name tells of one that was not described.
    pub(super) fn of_name(name: &str) -> Self {
        let name = name.strip_suffix("_total").unwrap_or(name);
        match name.rsplit(['_', '.', ':', '/']).next() {
            Some("seconds") => Self::of(Theirs::Seconds),
            Some("bytes") => Self::of(Theirs::Bytes),
            _ => Self::of(Theirs::Count),
        }
    }

    /// What is added to a counter.
    pub(super) fn count(self, value: u64) -> u64 {
        value.saturating_mul(self.integers)
    }

    /// What a gauge is.
    pub(super) fn level(self, value: f64) -> f64 {
        value * self.integers as f64 / self.unit.divisor()
    }

    /// What a histogram takes; `None` for what is negative, infinite or no number.
    pub(super) fn value(self, value: f64) -> Option<u64> {
        // `as` stops at the greatest there is.
        (value >= 0.0 && value.is_finite()).then(|| (value * self.integers as f64).round() as u64)
    }
}

#[cfg(all(test, not(underpin_loom)))]
mod tests {
    use super::*;

    #[test]
    fn values_come_out_in_the_units_of_ours() {
        let cases = [
            (Theirs::Seconds, 2_000_000_000, 2.0, 1_500_000_000),
            (Theirs::Milliseconds, 2_000_000, 0.002, 1_500_000),
            (Theirs::Microseconds, 2_000, 0.000_002, 1_500),
            (Theirs::Nanoseconds, 2, 0.000_000_002, 2),
            (Theirs::Tebibytes, 2 << 40, 2_199_023_255_552.0, 3 << 39),
            (Theirs::Gibibytes, 2 << 30, 2_147_483_648.0, 3 << 29),
            (Theirs::Mebibytes, 2 << 20, 2_097_152.0, 3 << 19),
            (Theirs::Kibibytes, 2048, 2048.0, 1536),
            (Theirs::Bytes, 2, 2.0, 2),
            (Theirs::Percent, 20_000, 0.02, 15_000),
            (Theirs::Count, 2, 2.0, 2),
            (Theirs::GigabitsPerSecond, 2, 2.0, 2),
        ];
        for (unit, count, level, value) in cases {
            let scale = Scale::of(unit);
            assert_eq!(
                (scale.count(2), scale.level(2.0), scale.value(1.5)),
                (count, level, Some(value)),
                "{unit:?}"
            );
        }
    }

    #[test]
    fn names_tell_units_at_their_end_alone() {
        let units =
            ["a_seconds", "seconds", "a.b_seconds_total", "a_bytes", "a::bytes", "seconds_a", "kilobytes"];
        let units = units.map(|name| Scale::of_name(name).unit);
        let (time, size, count) = (Unit::Seconds, Unit::Bytes, Unit::Count);
        assert_eq!(units, [time, time, time, size, size, count, count]);
    }

    #[test]
    fn what_no_histogram_takes_is_refused_and_what_is_too_great_is_the_greatest() {
        let scale = Scale::of(Theirs::Seconds);
        for value in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -1e-12, -1.0] {
            assert_eq!(scale.value(value), None, "{value}");
        }
        assert_eq!(
            (scale.value(-0.0), scale.value(1e300), scale.count(u64::MAX)),
            (Some(0), Some(u64::MAX), u64::MAX)
        );
    }
}
