//! Another description for a child, with a way for its state to go over to it.

use std::any::Any;
use std::sync::Arc;

use super::spec::Made;
use crate::service::exchange::{Exchange, Hand};
use crate::service::recipe::{Factory, Kind, Maker, Recipe};
use crate::service::service::Service;

/// A replacement, apart from the type of the child's messages. It holds code of the user's.
pub(crate) struct Replacement {
    /// Which service the child has to run so that this can follow it.
    pub(crate) follows: Kind,
    /// A [`Successor`] of some type of messages.
    successor: Box<dyn Any + Send>,
}

/// What takes the place of a child's service.
pub(super) struct Successor<M> {
    pub(super) recipe: Arc<dyn Recipe<M>>,
    pub(super) exchange: Arc<dyn Exchange>,
}

impl Replacement {
    /// `factory` gets the state the first time it is called, if there is one.
    pub(super) fn new<Old, R>(factory: impl Fn(Option<Old>) -> R + Send + Sync + 'static) -> Self
    where
        Old: Service + Send,
        R: Made,
        R::Service: Service<Msg = Old::Msg>,
    {
        let hand = Arc::new(Hand::<Old>::new());
        let exchange = Arc::clone(&hand) as Arc<dyn Exchange>;
        let factory: Factory<R::Service> = Arc::new(move || factory(hand.take()).made());
        let successor = Successor::<Old::Msg> { recipe: Arc::new(Maker::new(factory)), exchange };
        Self { follows: Kind::of::<Old>(), successor: Box::new(successor) }
    }

    /// Whether it is for a child whose messages are `M`, and that runs this service.
    pub(super) fn fits<M: 'static>(&self, runs: Kind) -> bool {
        self.follows == runs && self.successor.is::<Successor<M>>()
    }

    /// What takes the place; itself, if its messages are others.
    pub(super) fn into_successor<M: 'static>(self) -> Result<Successor<M>, Self> {
        let Self { follows, successor } = self;
        match successor.downcast() {
            Ok(successor) => Ok(*successor),
            Err(successor) => Err(Self { follows, successor }),
        }
    }
}
