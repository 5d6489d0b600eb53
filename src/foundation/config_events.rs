//! What becomes of a configuration, as events; and a configuration from them.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::config::{Cause, Change, Changes, Config, ConfigEvent, Settings, Sink, UpdateError};
use crate::events::{Entry, Event, EventStore, ReplayError};

/// The kind of the event that a version was published: its data are
/// `{"version": .., "cause": .., "changes": [{"path": .., "old": .., "new": ..}]}`.
pub const CONFIG_UPDATED: &str = "config.updated";
/// The kind of the event that updates were taken back. Data as of [`CONFIG_UPDATED`].
pub const CONFIG_RESET: &str = "config.reset";
/// The kind of the event that the layers are no valid configuration; its data are the reason.
pub const CONFIG_DEGRADED: &str = "config.degraded";
/// The kind of the event that they are one again; its data are `{"version": ..}`.
pub const CONFIG_RECOVERED: &str = "config.recovered";
/// The kind of the event that a service did not answer about an update; its data are
/// `{"by": .., "reason": ..}`.
pub const CONFIG_UNANSWERED: &str = "config.unanswered";

/// Why a configuration was not rebuilt.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RebuildError {
    /// The foundation has no store of events.
    #[error("the foundation has no store of events")]
    NoStore,
    /// Its events are not all there, or cannot be read.
    #[error("the events of the configuration: {0}")]
    Events(#[from] ReplayError),
    /// What they say is no valid configuration any more.
    #[error(transparent)]
    Update(#[from] UpdateError),
}

/// The stream of a configuration, which is also the correlation of its events.
fn stream_of(config: &str) -> Arc<str> {
    format!("config/{config}").into()
}

/// Tells a store what becomes of a configuration. Never waits for it: what a full store does not take is
/// logged.
pub(super) struct ConfigEvents {
    store: EventStore,
    stream: Arc<str>,
}

impl ConfigEvents {
    pub(super) fn new(store: &EventStore, config: &str) -> Self {
        Self { store: store.clone(), stream: stream_of(config) }
    }
}

impl Sink for ConfigEvents {
    fn event(&self, event: &ConfigEvent) {
        let Some(told) = told(event) else { return };
        let told = told.with_correlation(Arc::clone(&self.stream)).with_stream(Arc::clone(&self.stream));
        if let Err(error) = self.store.try_store(told) {
            log::warn!("{}: an event was not stored: {error}", self.stream);
        }
    }
}

fn told(event: &ConfigEvent) -> Option<Event> {
    Some(match event {
        ConfigEvent::Updated { version, cause, changes } => {
            Event::new(CONFIG_UPDATED).with_data(version_data(*version, *cause, changes))
        }
        ConfigEvent::Reset { version, cause, changes } => {
            Event::new(CONFIG_RESET).with_data(version_data(*version, *cause, changes))
        }
        ConfigEvent::Degraded { reason } => Event::new(CONFIG_DEGRADED).with_data(reason.to_string()),
        ConfigEvent::Recovered { version } => {
            Event::new(CONFIG_RECOVERED).with_data(json!({"version": version}))
        }
        ConfigEvent::Unanswered { by, reason } => {
            Event::new(CONFIG_UNANSWERED).with_data(json!({"by": **by, "reason": **reason}))
        }
    })
}

fn version_data(version: u64, cause: Cause, changes: &[Change]) -> Value {
    let changes: Vec<_> = changes.iter().map(change_data).collect();
    json!({"version": version, "cause": format!("{cause:?}").to_lowercase(), "changes": changes})
}

/// What was not there, or is not any more, is left out: `null` is a value as others.
fn change_data(change: &Change) -> Value {
    let mut data = serde_json::Map::new();
    data.insert("path".into(), change.path.to_string().into());
    data.extend(change.old.clone().map(|old| ("old".to_owned(), old)));
    data.extend(change.new.clone().map(|new| ("new".to_owned(), new)));
    Value::Object(data)
}

/// Makes the updates once more that the events tell of, as one. Returns the version, `None` if there are none.
pub(super) fn rebuild<T: Settings>(
    store: &EventStore,
    config: &Config<T>,
) -> Result<Option<u64>, RebuildError> {
    let told = store.rebuild(&stream_of(config.name()), Told::default(), heard)?.state;
    if let Some(missing) = told.missing {
        return Err(ReplayError::Incomplete { missing }.into());
    }
    if told.updates.is_empty() {
        return Ok(None);
    }
    let changes = told.updates.into_iter().fold(Changes::new(), |changes, (path, new)| match new {
        Some(new) => changes.set(&path, new),
        None => changes.remove(&path),
    });
    Ok(Some(config.update_many(changes)?))
}

/// What the events have told.
#[derive(Default)]
struct Told {
    /// What is set at which path, the latest last; removed where it is `None`.
    updates: Vec<(String, Option<Value>)>,
    /// The last version.
    version: u64,
    /// A version that nothing was told of.
    missing: Option<String>,
}

/// What the layers said is not taken over: they say it themselves, or something else by now.
fn heard(mut told: Told, entry: &Entry) -> Told {
    let Some(data) = entry.data().as_json().filter(|data| !data["changes"].is_null()) else { return told };
    told.follow(data["version"].as_u64().unwrap_or_default());
    match (entry.kind(), data["cause"].as_str().unwrap_or_default()) {
        (CONFIG_RESET, "reset") => told.updates.clear(),
        (CONFIG_UPDATED, "update" | "rollback") | (CONFIG_RESET, _) => {
            data["changes"].as_array().into_iter().flatten().for_each(|change| told.note(change));
        }
        _ => {}
    }
    told
}

impl Told {
    /// Versions follow one another; each run begins with the second, for the first is what the layers say.
    fn follow(&mut self, version: u64) {
        if version != self.version + 1 && version != 2 {
            self.missing
                .get_or_insert_with(|| format!("what was before version {version} of a configuration"));
        }
        self.version = version;
    }

    fn note(&mut self, change: &Value) {
        let Some(path) = change["path"].as_str() else { return };
        self.updates.retain(|(known, _)| known != path);
        self.updates.push((path.to_owned(), change.get("new").cloned()));
    }
}
