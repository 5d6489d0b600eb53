//! What happens in the resilience room, as events.

use crate::events::{self, EventStore};
use crate::resilience::{Event, Sink};

use serde_json::json;

/// Tells a store what happens to a breaker, a policy, a retry: to be given to its builder as its
/// [sink](crate::resilience::Sink). A [policy of the foundation's](crate::FoundationBuilder::policy) has one without that.
///
/// The kind of its events is `resilience.` and the word of what happened, as in `resilience.breaker_opened`; their data are
/// `{"source": .., "detail": ..}`; their correlation is `resilience/` and the name of the source. It never waits for the store:
/// what a full store does not take is logged.
///
/// # Example
///
/// ```
/// use std::sync::Arc;
/// use underpin::ResilienceEvents;
/// use underpin::events::{EventStore, Query};
/// use underpin::resilience::CircuitBreaker;
///
/// let store = EventStore::in_memory();
/// let running = store.supervisor().start()?;
/// let breaker = CircuitBreaker::builder("db").sink(Arc::new(ResilienceEvents::new(&store))).build()?;
/// breaker.open();
/// let told = store.query(&Query::new().correlation("resilience/db"))?;
/// assert_eq!(&*told.entries[0].kind(), "resilience.breaker_opened");
/// # drop(running);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct ResilienceEvents(EventStore);

impl ResilienceEvents {
    /// Tells this store.
    pub fn new(store: &EventStore) -> Self {
        Self(store.clone())
    }
}

impl Sink for ResilienceEvents {
    fn event(&self, event: &Event) {
        let data = json!({"source": &*event.source, "detail": &event.detail});
        let told = events::Event::new(format!("resilience.{}", event.kind))
            .with_data(data)
            .with_correlation(format!("resilience/{}", event.source));
        if let Err(error) = self.0.try_store(told) {
            log::warn!("resilience/{}: an event was not stored: {error}", event.source);
        }
    }
}
