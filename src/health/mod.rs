//! Whether the program can do its work: checks, modes and alerts.
//!
//! - [`HealthMonitor`] is what the program has of it, described by a [`HealthBuilder`]: [`Health`] with its
//!   [`Reason`]s as a [`HealthReport`], readiness and liveness apart.
//! - [`Check`] is a closure that looks at something and gives a [`Verdict`], on a thread that nobody waits for.
//! - [`Mode`] is how much the program does, as its health allows it, with hysteresis: [`ModeSettings`]. A
//!   [`ModeReader`] reads it without a lock.
//! - [`AlertSettings`] say when which alert is raised and cleared by the metrics.
//! - [`Sink`] is where each [`AlertEvent`], [`ModeChange`] and [`HealthChange`] goes.

mod alert;
mod alerts;
mod board;
mod builder;
mod check;
mod checker;
#[cfg(any(feature = "systemd", test))]
mod herald;
mod live;
mod mode;
#[cfg(all(test, underpin_loom))]
mod models;
mod monitor;
mod names;
mod news;
mod outlook;
#[doc = include_str!("PROTOCOL.md")]
mod protocol {}
mod readings;
mod record;
mod service;
mod settings;
mod sink;
#[cfg(feature = "systemd")]
mod systemd;
#[cfg(all(test, not(underpin_loom)))]
mod tests;
mod verdict;
mod view;

pub use alert::Change;
pub use alerts::AlertEvent;
pub use board::ModeReader;
pub use builder::{DEFAULT_TICK, HealthBuilder, MAX_CHECKS};
pub use check::{Check, DEFAULT_EVERY, DEFAULT_WITHIN};
pub use mode::{Mode, ModeChange, ModeSettings};
pub use monitor::{CheckNowError, HealthMonitor};
pub use news::HealthChange;
pub use settings::{
    AlertFault, AlertSettings, AlertSettingsError, CrashRule, ErrorRateRule, LatencyRule, Level, MAX_RULES,
    MAX_SECONDS, MemoryRule,
};
pub use sink::Sink;
pub use verdict::{Health, HealthReport, MAX_WHY_BYTES, Reason, Verdict};
