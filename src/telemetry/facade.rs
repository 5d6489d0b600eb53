//! The facade `metrics`, in both directions.
//!
//! A [`Facade`] is a recorder of that crate's: what its macros count goes into the telemetry. A [`MetricsExport`] is the
//! other way: what the telemetry has measured goes into any recorder.

mod export;
mod meters;
mod names;
mod recorder;
mod scale;

pub use export::MetricsExport;
pub use recorder::Facade;
