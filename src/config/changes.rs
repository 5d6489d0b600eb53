//! Several changes at once.

use serde::Serialize;
use serde_json::Value;

use super::diff::Change;
use super::errors::UpdateError;
use super::limits;
use super::path::Path;

/// Several changes that are made [together](super::Config::update_many), or not at all. Of two of
/// one place the later counts.
///
/// # Example
///
/// ```
/// # use underpin::config::{Changes, Config, Layers};
/// # use underpin::Supervisor;
/// # use serde_json::{Value, json};
/// # let defaults = json!({"limits": {"soft": 1, "hard": 2}, "hosts": {"a": 1}});
/// # let config: Config<Value> = Layers::new().defaults(defaults).load()?;
/// # let app = Supervisor::new("app").child(config.child()).start()?;
/// let changes = Changes::new().set("limits.soft", 10).set("limits.hard", 20).remove("hosts.a");
/// assert_eq!(config.update_many(changes)?, 2);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Default)]
#[must_use = "nothing is changed before they are given to `update_many`"]
pub struct Changes {
    updates: Vec<(Path, Option<Value>)>,
    /// The first that is wrong with them.
    fault: Option<UpdateError>,
}

impl Changes {
    /// No changes.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets a value. What is wrong with path or value is said when they are made.
    pub fn set(mut self, path: &str, value: impl Serialize) -> Self {
        match update(path, value) {
            Ok((path, value)) => self.updates.push((path, Some(value))),
            Err(error) => drop(self.fault.get_or_insert(error)),
        }
        self
    }

    /// Removes a value, whatever layer says it: a key of a map, or what then has the default of its type.
    pub fn remove(mut self, path: &str) -> Self {
        match Path::parse(path) {
            Ok(path) => self.updates.push((path, None)),
            Err(error) => drop(self.fault.get_or_insert(error.into())),
        }
        self
    }

    /// What was found to differ.
    pub(crate) fn of(changes: Vec<Change>) -> Self {
        let too_large = |change: &Change| limits::update(&change.path, change.new.as_ref()?).err();
        let fault = changes.iter().find_map(too_large);
        let updates = changes.into_iter().map(|change| (change.path, change.new)).collect();
        Self { updates, fault }
    }

    pub(crate) fn into_updates(self) -> Result<Vec<(Path, Option<Value>)>, UpdateError> {
        self.fault.map_or(Ok(self.updates), Err)
    }
}

fn update(path: &str, value: impl Serialize) -> Result<(Path, Value), UpdateError> {
    let path = Path::parse(path)?;
    let value = serde_json::to_value(value)
        .map_err(|error| UpdateError::NotSerialisable { path: path.clone(), message: error.to_string() })?;
    limits::update(&path, &value)?;
    Ok((path, value))
}
