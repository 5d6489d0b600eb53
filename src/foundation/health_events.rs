//! What becomes of the health, as events and as metrics.

use std::sync::Arc;

use serde_json::json;

use crate::events::{Event, EventStore};
use crate::health::{AlertEvent, Change, HealthChange, ModeChange, Sink};

/// The kind of the event that an alert was raised: its data are
/// `{"alert": .., "number": .., "value": .., "threshold": .., "detail": ..}`.
pub const ALERT_RAISED: &str = "alert.raised";
/// The kind of the event that it was cleared. Data as of [`ALERT_RAISED`].
pub const ALERT_CLEARED: &str = "alert.cleared";
/// The kind of the event that one mode gave way to another: `{"from": .., "to": ..}`.
pub const MODE_CHANGED: &str = "health.mode";
/// The kind of the event that the health is another, or has other reasons:
/// `{"from": .., "to": .., "reasons": [{"check": .., "verdict": .., "why": ..}]}`.
pub const HEALTH_CHANGED: &str = "health.changed";

/// Tells a store what becomes of the health. Never waits for it: what a full store does not take is logged.
///
/// The correlation of its events is `health/` and the name of the monitor; of alerts, `alert/` and their name.
pub(super) struct HealthEvents {
    store: EventStore,
    name: Arc<str>,
}

impl HealthEvents {
    pub(super) fn new(store: &EventStore, monitor: &str) -> Self {
        Self { store: store.clone(), name: format!("health/{monitor}").into() }
    }

    fn tell(&self, event: Event, correlation: Arc<str>) {
        if let Err(error) = self.store.try_store(event.with_correlation(correlation)) {
            log::warn!("{}: an event was not stored: {error}", self.name);
        }
    }
}

impl Sink for HealthEvents {
    fn alert(&self, event: &AlertEvent) {
        let AlertEvent { alert, number, value, threshold, detail, .. } = event;
        let kind = if event.change == Change::Raised { ALERT_RAISED } else { ALERT_CLEARED };
        let data = json!({
            "alert": alert, "number": number, "value": value, "threshold": threshold, "detail": detail,
        });
        self.tell(Event::new(kind).with_data(data), format!("alert/{alert}").into());
    }

    fn mode(&self, change: &ModeChange) {
        let data = json!({"from": change.from.as_str(), "to": change.to.as_str()});
        self.tell(Event::new(MODE_CHANGED).with_data(data), Arc::clone(&self.name));
    }

    fn health(&self, change: &HealthChange) {
        let reasons: Vec<_> = change
            .to
            .reasons
            .iter()
            .map(|reason| json!({"check": reason.check, "verdict": reason.verdict.as_str(), "why": reason.why}))
            .collect();
        let data = json!({"from": change.from.as_str(), "to": change.to.health.as_str(), "reasons": reasons});
        self.tell(Event::new(HEALTH_CHANGED).with_data(data), Arc::clone(&self.name));
    }
}
