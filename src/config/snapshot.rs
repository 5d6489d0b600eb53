//! One version, kept.

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

use super::board::Degraded;
use super::current::Current;
use crate::sync::Clock;

/// One version of the configuration, and what is known of it. It stays as it is, whatever becomes of
/// the configuration.
pub struct Snapshot<T> {
    current: Arc<Current<T>>,
    degraded: Option<Degraded>,
    clock: Clock,
}

impl<T> Snapshot<T> {
    pub(crate) fn new(current: Arc<Current<T>>, degraded: Option<Degraded>, clock: Clock) -> Self {
        Self { current, degraded, clock }
    }

    /// The value.
    pub fn value(&self) -> &T {
        &self.current.value
    }

    /// The value and the sections, as plain data.
    pub fn document(&self) -> &Value {
        &self.current.document
    }

    /// The version.
    pub fn version(&self) -> u64 {
        self.current.version
    }

    /// How long ago it was published.
    pub fn age(&self) -> Duration {
        self.clock.now().saturating_duration_since(self.current.at)
    }

    /// Why the configuration was not what its layers say, when this snapshot was taken; `None` if
    /// it was.
    pub fn degraded(&self) -> Option<&Degraded> {
        self.degraded.as_ref()
    }

    /// Whether the configuration was not what its layers say.
    pub fn is_degraded(&self) -> bool {
        self.degraded.is_some()
    }
}

impl<T> Deref for Snapshot<T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.value()
    }
}

impl<T> Clone for Snapshot<T> {
    fn clone(&self) -> Self {
        Self {
            current: Arc::clone(&self.current),
            degraded: self.degraded.clone(),
            clock: self.clock.clone(),
        }
    }
}

impl<T: fmt::Debug> fmt::Debug for Snapshot<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Snapshot")
            .field("version", &self.version())
            .field("value", self.value())
            .field("degraded", &self.degraded)
            .finish()
    }
}
