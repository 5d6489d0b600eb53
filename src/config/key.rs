//! One value, read again and again.

use std::fmt;
use std::sync::Arc;

use serde::de::DeserializeOwned;

use super::current::Current;
use super::get::{GetError, typed};
use crate::sync::{Cached, Snapshot};

/// One value of the configuration, as a `U`. Its path is resolved when it is made, and again only when
/// other paths are there; its value is made anew only when another version is in force.
///
/// Clone it to have one in each thread that reads.
///
/// # Example
///
/// ```
/// # use underpin::config::{Config, Layers};
/// # use underpin::Supervisor;
/// # use serde_json::{Value, json};
/// # let config: Config<Value> = Layers::new().defaults(json!({"limits": {"soft": 1}})).load()?;
/// # let app = Supervisor::new("app").child(config.child()).start()?;
/// let mut soft = config.key::<u64>("limits.soft")?;
/// assert_eq!(soft.get(), Ok(&1));
/// config.update("limits.soft", 2)?;
/// assert_eq!(soft.get(), Ok(&2));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Key<T, U> {
    cached: Cached<Current<T>>,
    path: Arc<str>,
    /// Where the path led to, and among which paths.
    slot: usize,
    shape: u64,
    version: u64,
    value: Result<U, GetError>,
}

impl<T, U: DeserializeOwned> Key<T, U> {
    pub(crate) fn new(present: Arc<Snapshot<Current<T>>>, path: &str) -> Result<Self, GetError> {
        let mut cached = Cached::new(present);
        let current = Arc::clone(cached.load());
        let slot = current.index.slot(path).ok_or_else(|| GetError::not_there(path))?;
        let (shape, version) = (current.index.shape(), current.version);
        let value = read(&current, slot, path)?;
        Ok(Self { cached, path: path.into(), slot, shape, version, value: Ok(value) })
    }

    /// The path that it was made with.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The present value. Never blocks.
    ///
    /// # Errors
    ///
    /// When there is none any more, or it is no `U`: a map may lose a key, and an enum change its shape.
    #[inline]
    pub fn get(&mut self) -> Result<&U, &GetError> {
        if self.cached.load().version != self.version {
            self.read_again();
        }
        self.value.as_ref()
    }

    #[cold]
    fn read_again(&mut self) {
        let current = Arc::clone(self.cached.load());
        self.version = current.version;
        self.value = self.find(&current).and_then(|slot| read(&current, slot, &self.path));
    }

    fn find(&mut self, current: &Current<T>) -> Result<usize, GetError> {
        if self.shape != current.index.shape() {
            self.slot = current.index.slot(&self.path).ok_or_else(|| GetError::not_there(&self.path))?;
            self.shape = current.index.shape();
        }
        Ok(self.slot)
    }
}

fn read<T, U: DeserializeOwned>(current: &Current<T>, slot: usize, path: &str) -> Result<U, GetError> {
    let value = current.index.at(&current.document, slot).ok_or_else(|| GetError::not_there(path))?;
    typed(path, value)
}

impl<T, U: Clone> Clone for Key<T, U> {
    fn clone(&self) -> Self {
        Self {
            cached: self.cached.clone(),
            path: Arc::clone(&self.path),
            slot: self.slot,
            shape: self.shape,
            version: self.version,
            value: self.value.clone(),
        }
    }
}

impl<T, U: fmt::Debug> fmt::Debug for Key<T, U> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Key").field("path", &self.path).field("value", &self.value).finish_non_exhaustive()
    }
}
