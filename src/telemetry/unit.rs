//! What a measured value counts.

use std::fmt;

/// What a measured value counts.
///
/// Times are recorded in nanoseconds and exported in seconds: the base units of [OpenMetrics], which its names end in.
///
/// [OpenMetrics]: https://prometheus.io/docs/specs/om/open_metrics_spec/
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Unit {
    /// Things that are counted: lines, requests, threads.
    #[default]
    Count,
    /// Time. A counter or a histogram takes nanoseconds, a gauge seconds; all are exported as seconds.
    Seconds,
    /// Bytes.
    Bytes,
    /// Parts of a whole, 0 to 1. A histogram or a counter takes millionths.
    Ratio,
}

impl Unit {
    /// The word that a name of OpenMetrics ends in; `None` for [`Count`](Self::Count).
    pub const fn suffix(self) -> Option<&'static str> {
        match self {
            Self::Count => None,
            Self::Seconds => Some("seconds"),
            Self::Bytes => Some("bytes"),
            Self::Ratio => Some("ratio"),
        }
    }

    /// By what the integers of a counter or a histogram are divided on their way out.
    pub const fn divisor(self) -> f64 {
        match self {
            Self::Count | Self::Bytes => 1.0,
            Self::Seconds => 1e9,
            Self::Ratio => 1e6,
        }
    }
}

impl fmt::Display for Unit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.suffix().unwrap_or("count"))
    }
}
