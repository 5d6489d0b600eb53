//! One version of the configuration, as it is published.

use std::any::Any;
use std::sync::Arc;
use std::time::Instant;

use serde_json::Value;

use super::edits::Edits;
use super::index::Index;
use super::path::Path;
use super::section::Kind;
use super::tree::{Origin, Tree};

/// One version: the value, and all that belongs to it. Never changed once it is published.
pub(crate) struct Current<T> {
    pub(crate) version: u64,
    /// When it was published.
    pub(crate) at: Instant,
    pub(crate) value: T,
    /// The value and the sections, as plain data.
    pub(crate) document: Arc<Value>,
    pub(crate) index: Arc<Index>,
    /// What the layers and the updates came to: it knows where each value came from.
    pub(crate) tree: Tree,
    /// What the layers say.
    pub(crate) base: Arc<Tree>,
    /// What was changed at run time.
    pub(crate) edits: Arc<Edits>,
    pub(crate) sections: Vec<Part>,
}

/// The value of one section.
#[derive(Clone)]
pub(crate) struct Part {
    pub(crate) kind: Arc<dyn Kind>,
    pub(crate) value: Arc<dyn Any + Send + Sync>,
}

impl<T> Current<T> {
    /// Where the value at `path` came from. What no layer says, the type itself did.
    pub(crate) fn origin(&self, path: &Path) -> Origin {
        self.tree.at(path).map_or(Origin::Default, |tree| tree.origin.clone())
    }
}
