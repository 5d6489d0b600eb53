//! The running application: what is started, what keeps it running, how it ends.

#[cfg(all(feature = "config", feature = "events"))]
pub(crate) mod config_events;
#[allow(clippy::module_inception)] // the noun of the file
pub(crate) mod foundation;
#[cfg(all(feature = "events", feature = "health"))]
pub(crate) mod health_events;
#[cfg(feature = "telemetry")]
mod meters;
#[cfg(all(feature = "config", feature = "resilience"))]
mod policies;
#[cfg(any(feature = "health", feature = "resilience"))]
mod refusal;
#[cfg(all(feature = "events", feature = "resilience"))]
pub(crate) mod resilience_events;
mod rooms;
#[cfg(feature = "signals")]
mod signals;
#[cfg(all(feature = "config", any(feature = "events", feature = "telemetry")))]
mod sinks;
#[cfg(all(feature = "events", feature = "tasks"))]
pub(crate) mod task_events;
