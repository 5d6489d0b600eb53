//! What a child runs: how a state of its service is made, whatever the type of that is.
//!
//! A child is known by the type of its messages alone. Its recipe can be put in the place of
//! another one, for a service of another type that understands the same messages.

use std::any::TypeId;
use std::sync::Arc;

use super::context::Env;
use super::incarnation::Incarnation;
use super::machine::{Machine, Overseer};
use super::service::Service;
use super::worker::{Before, Cell, Worker};
use crate::error::SharedError;
use crate::sync::Mutex;

/// Makes a fresh state, on the thread of the incarnation.
pub(crate) type Factory<S> = Arc<dyn Fn() -> Result<S, SharedError> + Send + Sync>;

/// Which service it is, by its type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Kind {
    id: TypeId,
    pub(crate) name: &'static str,
}

impl Kind {
    pub(crate) fn of<S: Service>() -> Self {
        Self { id: TypeId::of::<S>(), name: std::any::type_name::<S>() }
    }
}

/// What a machine is made with, besides its recipe.
pub(crate) struct Life<M> {
    pub(crate) cell: Arc<Cell<M>>,
    pub(crate) env: Env,
    pub(crate) overseer: Arc<dyn Overseer>,
    /// The child and the life, as the overseer counts them.
    pub(crate) born: (u64, u64),
    pub(crate) incarnation: Arc<Incarnation>,
    pub(crate) before: Before,
}

/// What runs in a child whose messages are `M`.
pub(crate) trait Recipe<M>: Send + Sync {
    fn kind(&self) -> Kind;
    /// The machine of one incarnation. Called on its own thread.
    fn machine(self: Arc<Self>, life: Life<M>) -> Box<dyn Machine>;
}

/// The recipe of a service of type `S`.
pub(crate) struct Maker<S> {
    /// Taken by an incarnation that is certain to be the last, so that it goes with it.
    factory: Mutex<Option<Factory<S>>>,
}

impl<S: Service> Maker<S> {
    pub(crate) fn new(factory: Factory<S>) -> Self {
        Self { factory: Mutex::new(Some(factory)) }
    }

    pub(crate) fn factory(&self, is_last: bool) -> Option<Factory<S>> {
        let mut factory = self.factory.lock();
        if is_last { factory.take() } else { factory.clone() }
    }
}

impl<S: Service> Recipe<S::Msg> for Maker<S> {
    fn kind(&self) -> Kind {
        Kind::of::<S>()
    }

    fn machine(self: Arc<Self>, life: Life<S::Msg>) -> Box<dyn Machine> {
        Box::new(Worker::new(life, self))
    }
}
