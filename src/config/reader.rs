//! Looking at the present value.

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

use super::current::Current;
use crate::sync::{Cached, Peek, Snapshot};

/// The value that was in force when it was [loaded](super::Config::load).
pub struct Guard<T>(pub(crate) Peek<Current<T>>);

impl<T> Guard<T> {
    /// Its version.
    pub fn version(&self) -> u64 {
        self.0.version
    }
}

impl<T> Deref for Guard<T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        &self.0.value
    }
}

impl<T: fmt::Debug> fmt::Debug for Guard<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Guard").field("version", &self.version()).field("value", &**self).finish()
    }
}

/// A reader of one's own. It keeps the value, and only looks whether there is another: the quickest way
/// to read, for a thread that reads again and again.
///
/// It keeps the memory of the value that it saw last until it looks again.
///
/// # Example
///
/// ```
/// # use underpin::config::{Config, Layers};
/// # use serde_json::{Value, json};
/// # let config: Config<Value> = Layers::new().defaults(json!({"workers": 2})).load()?;
/// let mut reader = config.reader();
/// for _ in 0..1000 {
///     assert_eq!(reader.get()["workers"], 2);
/// }
/// # Ok::<(), underpin::config::LoadError>(())
/// ```
pub struct Reader<T> {
    cached: Cached<Current<T>>,
}

impl<T> Reader<T> {
    pub(crate) fn new(present: Arc<Snapshot<Current<T>>>) -> Self {
        Self { cached: Cached::new(present) }
    }

    /// The present value. Never blocks.
    #[inline]
    pub fn get(&mut self) -> &T {
        &self.cached.load().value
    }

    /// The present value and its version.
    #[inline]
    pub fn get_versioned(&mut self) -> (&T, u64) {
        let current = self.cached.load();
        (&current.value, current.version)
    }
}

impl<T> Clone for Reader<T> {
    fn clone(&self) -> Self {
        Self { cached: self.cached.clone() }
    }
}

impl<T> fmt::Debug for Reader<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reader").finish_non_exhaustive()
    }
}
