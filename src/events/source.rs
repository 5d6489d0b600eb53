//! Where an event comes from.

use std::sync::Arc;

use super::errors::Invalid;
use super::limits;

/// Where an event comes from: the service, the thread and the node that stored it, if the event does
/// not say otherwise.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Source {
    /// The service on whose thread it was stored; `None` on a thread of the program's own.
    pub service: Option<Arc<str>>,
    /// The thread: its name, or else its number in the process.
    pub thread: Arc<str>,
    /// The node, as the store was told: [`StoreBuilder::node`](super::StoreBuilder::node).
    pub node: Arc<str>,
}

impl Source {
    /// A source of one's own, for [`Event::with_source`](super::Event::with_source).
    pub fn new(service: Option<&str>, thread: impl Into<Arc<str>>, node: impl Into<Arc<str>>) -> Self {
        Self { service: service.map(Arc::from), thread: thread.into(), node: node.into() }
    }

    /// Refuses names that are empty or too long.
    pub(crate) fn check(&self) -> Result<(), Invalid> {
        self.service.iter().try_for_each(|service| limits::name("source.service", service))?;
        limits::name("source.thread", &self.thread)?;
        limits::name("source.node", &self.node)
    }
}
