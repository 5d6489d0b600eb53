//! What is told of something that happened.

use std::fmt;
use std::time::{Duration, Instant};

/// One figure of an [`Execution`].
///
/// # Example
///
/// ```
/// use std::time::Duration;
/// use underpin::telemetry::Measure;
///
/// let measurements: [(&str, Measure); 3] =
///     [("rows", 3_usize.into()), ("share", 0.5.into()), ("duration", Duration::from_millis(20).into())];
/// assert_eq!(measurements.map(|(_, measure)| measure.as_f64()), [3.0, 0.5, 0.02]);
/// assert_eq!(measurements.map(|(_, measure)| measure.to_string()), ["3", "0.5", "20ms"]);
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Measure {
    /// A whole number.
    Int(i64),
    /// A whole number that is not negative.
    UInt(u64),
    /// Any number.
    Float(f64),
    /// A time.
    Duration(Duration),
}

impl Measure {
    /// As a number; a time in seconds. Whole numbers beyond 2^53 are rounded.
    pub fn as_f64(self) -> f64 {
        match self {
            Self::Int(number) => number as f64,
            Self::UInt(number) => number as f64,
            Self::Float(number) => number,
            Self::Duration(time) => time.as_secs_f64(),
        }
    }

    /// As the integer that a counter or a histogram takes; a time in nanoseconds. A fraction is cut off; what is negative
    /// or no number is 0, what is too large is [`u64::MAX`].
    pub fn as_u64(self) -> u64 {
        match self {
            Self::Int(number) => u64::try_from(number).unwrap_or(0),
            Self::UInt(number) => number,
            Self::Float(number) => number as u64,
            Self::Duration(time) => u64::try_from(time.as_nanos()).unwrap_or(u64::MAX),
        }
    }
}

impl fmt::Display for Measure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Int(number) => number.fmt(f),
            Self::UInt(number) => number.fmt(f),
            Self::Float(number) => number.fmt(f),
            Self::Duration(time) => fmt::Debug::fmt(time, f),
        }
    }
}

macro_rules! from {
    ($($variant:ident($wide:ty): $($number:ty),*;)*) => {$($(
        impl From<$number> for Measure {
            fn from(number: $number) -> Self {
                Self::$variant(number as $wide)
            }
        }
    )*)*};
}

from! {
    Int(i64): i8, i16, i32, i64, isize;
    UInt(u64): u8, u16, u32, u64, usize;
    Float(f64): f32, f64;
    Duration(Duration): Duration;
}

/// Something that happened, as a handler is told of it: a name, figures, and words that go with them.
///
/// It is borrowed from whoever executes it. A handler takes what it wants to keep.
///
/// # Example
///
/// ```
/// use underpin::telemetry::Execution;
///
/// fn slow(execution: &Execution<'_>) -> bool {
///     execution.measurement("duration").is_some_and(|duration| duration.as_f64() > 1.0)
/// }
/// ```
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Execution<'a> {
    /// What happened: a dotted name.
    pub name: &'a str,
    /// The figures of it, in the order in which they were given.
    pub measurements: &'a [(&'a str, Measure)],
    /// The words that go with them, in the order in which they were given.
    pub metadata: &'a [(&'a str, &'a str)],
    /// When, by the clock of the telemetry.
    pub at: Instant,
}

impl<'a> Execution<'a> {
    /// The first figure of this name.
    pub fn measurement(&self, name: &str) -> Option<Measure> {
        self.measurements.iter().find(|(other, _)| *other == name).map(|(_, measure)| *measure)
    }

    /// The first word of this name.
    pub fn word(&self, name: &str) -> Option<&'a str> {
        self.metadata.iter().find(|(other, _)| *other == name).map(|(_, word)| *word)
    }
}

#[cfg(all(test, not(underpin_loom)))]
mod tests {
    use super::*;
    use crate::sync::Clock;

    #[test]
    fn a_measure_is_a_number_in_two_ways() {
        let both = |measure: Measure| (measure.as_f64(), measure.as_u64());
        assert_eq!(both((-3_i8).into()), (-3.0, 0));
        assert_eq!(both(7_u32.into()), (7.0, 7));
        assert_eq!(both(1.75_f32.into()), (1.75, 1));
        assert_eq!(both(f64::INFINITY.into()), (f64::INFINITY, u64::MAX));
        assert_eq!(Measure::from(f64::NAN).as_u64(), 0);
        assert_eq!(both(Duration::from_millis(1500).into()), (1.5, 1_500_000_000));
        assert_eq!(Measure::from(Duration::MAX).as_u64(), u64::MAX);
    }

    #[test]
    fn the_first_of_a_name_is_found() {
        let (measurements, metadata) = ([("a", 1.into()), ("b", 2.into()), ("a", 3.into())], [("a", "x")]);
        let at = Clock::SYSTEM.now();
        let execution = Execution { name: "n", measurements: &measurements, metadata: &metadata, at };
        assert_eq!(execution.measurement("a"), Some(Measure::Int(1)));
        assert_eq!(
            (execution.measurement("x"), execution.word("a"), execution.word("b")),
            (None, Some("x"), None)
        );
    }
}
