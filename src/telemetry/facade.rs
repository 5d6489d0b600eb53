//! The facade `metrics`, in both directions.
//!
//! A [`Facade`] is a recorder of that crate's: what its macros count goes into the telemetry. A [`MetricsExport`] is the
//! other way: what the telemetry has measured goes into any recorder.
//!
//! # Names
//!
//! Those of `metrics` are free text. `::` and `/` become dots, capitals small letters, and any other byte `_`; a word that
//! does not begin with a letter gets an `x` before it, and what is longer than a name may be is cut. Where that makes one
//! name of two, the second that comes has a hash of its text appended, and that is counted. Names of labels are
//! treated alike.
//!
//! # Units
//!
//! A unit is that which the metric was described with before it was first used; else `Seconds` if its name ends in
//! `seconds`, `Bytes` if it ends in `bytes`, and otherwise `Count`. Times of any unit are recorded as nanoseconds, sizes as
//! bytes, percents as ratios; rates stand as they are. Values of a histogram are rounded to the integers of their
//! [unit](super::Unit): a histogram of small numbers, such as times in seconds, has to have one, or all its values are 0.
//! What is negative, infinite or no number cannot be in a histogram: it is left out and counted.

mod export;
mod meters;
mod names;
mod recorder;
mod scale;

pub use export::MetricsExport;
pub use recorder::Facade;
