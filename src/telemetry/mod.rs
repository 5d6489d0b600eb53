//! Metrics, handlers and spans: counted without locks, folded when somebody looks.
//!
//! - [`Telemetry`] is the telemetry of a program, [`TelemetryBuilder`] says what is special about it.
//! - [`Counter`], [`Gauge`] and [`Histogram`] are handles to count with; a [`Timer`] is a time under way. A [`Descriptor`] says
//!   what is measured: a dotted name, a [`Kind`], a [`Unit`], a help text. [`Labels`] tell series of one name apart.
//! - [`MetricsSnapshot`] is what has been measured, as it was at one moment: [`Family`] by family, [`Series`] by series. A
//!   [`Distribution`] is how often each value of a histogram was there.
//! - [`Sheet`] is what a collector writes down. A [`ProcessCollector`] knows what the operating system knows of the
//!   process, a [`KernelCollector`] what a tree of services shows of itself.
//! - An [`Exporter`] takes metrics to where somebody looks at them.
//! - An [`Execution`] is what a handler is told of, with a [`Measure`] for each figure. [`HandlerInfo`] says who hears
//!   what, [`DispatchCounts`] and [`NameCounts`] what has come of all that was executed. A [`Span`] is something that
//!   takes time.
//! - `Facade` and `MetricsExport` are the ways from and to the crate `metrics`, with the feature of that name.
//! - Errors: [`MeterError`], [`DescriptorError`] and [`LabelsError`] of handles, [`AttachError`] of handlers, [`LimitError`]
//!   of limits.
//!
//! The chapter [`telemetry`](crate::guide::telemetry) of the guide says what to take when.

mod bounds;
mod buckets;
mod builder;
mod catalog;
mod collector;
mod copied;
mod counter;
mod counts;
mod decimal;
mod deferred;
mod depth;
mod descriptor;
mod dispatch;
mod distribution;
#[cfg(all(test, not(underpin_loom)))]
mod example;
mod exported;
mod exporter;
#[cfg(feature = "metrics")]
mod facade;
mod gauge;
mod handlers;
mod hearing;
mod histogram;
mod json;
mod kernel;
mod labels;
mod limits;
mod line;
mod local;
mod log_lines;
mod measurement;
mod merge;
#[cfg(all(test, underpin_loom))]
mod models;
mod names;
mod own;
mod pressure;
mod proc_text;
mod process;
mod prometheus;
#[doc = include_str!("PROTOCOL.md")]
mod protocol {}
mod roster;
mod service;
mod shard;
mod shards;
mod sheet;
mod sites;
mod snapshot;
mod span;
#[allow(clippy::module_inception)] // the noun of the file
mod telemetry;
mod text_file;
mod unit;

pub use bounds::MAX_BOUNDS;
pub use builder::{DEFAULT_MAX_SERIES, DEFAULT_RETENTION, DEFAULT_TICK, SHORTEST_TICK, TelemetryBuilder};
pub use catalog::MeterError;
pub use counter::Counter;
pub use counts::DispatchCounts;
pub use descriptor::{Descriptor, DescriptorError, Kind, MAX_NAME_BYTES};
pub use distribution::Distribution;
pub use exporter::Exporter;
#[cfg(feature = "metrics")]
pub use facade::{Facade, MetricsExport};
pub use gauge::Gauge;
pub use handlers::{AttachError, HandlerInfo};
pub use histogram::{Histogram, Timer};
pub use kernel::{DEFAULT_MAX_SERVICES, KernelCollector};
pub use labels::{Labels, LabelsError, MAX_LABEL_BYTES, MAX_LABELS};
pub use limits::{
    DEFAULT_BURST, DEFAULT_DEFERRED, DEFAULT_MAX_HANDLERS, DEFAULT_MAX_NAMES, DEFAULT_PER_SECOND, LimitError,
};
pub use log_lines::LogLines;
pub use measurement::{Execution, Measure};
pub use names::NameCounts;
pub use process::ProcessCollector;
pub use prometheus::{OPENMETRICS_CONTENT_TYPE, PROMETHEUS_CONTENT_TYPE};
pub use sheet::Sheet;
pub use snapshot::{Family, MetricsSnapshot, Series, Value};
pub use span::Span;
pub use telemetry::Telemetry;
pub use text_file::{TextFile, TextFormat};
pub use unit::Unit;
