//! What goes wrong with tasks, as events.

use std::sync::Arc;

use serde_json::json;

use crate::events::{self, EventStore};
use crate::tasks::{Event, Sink};

/// The kind of the event that a task panicked: its data are `{"pool": .., "task": .., "detail": ..}`, where the detail is
/// what the panic said.
pub const TASK_PANICKED: &str = "task.panicked";
/// The kind of the event that a task did not begin, for its deadline had come. Data as of [`TASK_PANICKED`].
pub const TASK_EXPIRED: &str = "task.expired";
/// The kind of the event that a pool had no room for a task, the first after one for which it had. Data as of [`TASK_PANICKED`].
pub const TASK_SHEDDING: &str = "task.shedding";

/// Tells a store what goes wrong with the tasks of a pool. Never waits for it: what a full store does not take is logged.
///
/// The correlation of its events is `tasks/` and the name of the pool.
pub(super) struct TaskEvents {
    store: EventStore,
    correlation: Arc<str>,
}

impl TaskEvents {
    pub(super) fn new(store: &EventStore, pool: &str) -> Self {
        Self { store: store.clone(), correlation: format!("tasks/{pool}").into() }
    }
}

impl Sink for TaskEvents {
    fn event(&self, event: &Event) {
        let kind = match event.kind {
            "panicked" => TASK_PANICKED,
            "expired" => TASK_EXPIRED,
            _ => TASK_SHEDDING,
        };
        let data = json!({"pool": &*event.pool, "task": &*event.task, "detail": &event.detail});
        let told = events::Event::new(kind).with_data(data).with_correlation(Arc::clone(&self.correlation));
        if let Err(error) = self.store.try_store(told) {
            log::warn!("{}: an event was not stored: {error}", self.correlation);
        }
    }
}
