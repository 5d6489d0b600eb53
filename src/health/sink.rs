//! Who hears of what becomes of the health.

use super::alerts::AlertEvent;
use super::mode::ModeChange;
use super::news::HealthChange;

/// Hears of what becomes of the health. It is how a program turns that into events and messages: health knows
/// neither.
///
/// Called on the thread of the health service, one after the other, in the order in which it happened, and under no
/// lock. It must not block: as long as it does, nothing more is told, no mode and no alert changes. A panic in it is
/// contained and logged. What it was being told when the service was given up, it is told again by the next life:
/// an alert has a number for that.
///
/// # Example
///
/// ```
/// use std::sync::Arc;
/// use underpin::health::{AlertEvent, HealthChange, HealthMonitor, ModeChange, Sink};
///
/// struct Printing;
///
/// impl Sink for Printing {
///     fn alert(&self, event: &AlertEvent) {
///         println!("{} {}", event.alert, event.change.as_str());
///     }
///     fn mode(&self, change: &ModeChange) {
///         println!("{} -> {}", change.from, change.to);
///     }
///     fn health(&self, change: &HealthChange) {
///         println!("{}", change.to);
///     }
/// }
///
/// let health = HealthMonitor::builder().build();
/// health.add_sink(Arc::new(Printing));
/// ```
pub trait Sink: Send + Sync + 'static {
    /// An alert was raised, or cleared.
    fn alert(&self, event: &AlertEvent) {
        let _ = event;
    }

    /// One mode gave way to another.
    fn mode(&self, change: &ModeChange) {
        let _ = change;
    }

    /// The health is another, or has other reasons.
    fn health(&self, change: &HealthChange) {
        let _ = change;
    }
}
