//! What a cached value is made of.

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

use super::{Cached, Inner, Tally};
use crate::resilience::sink::{Sink, Voice};
use crate::sync::{AtomicU64, Clock, Mutex, Snapshot};

/// What the user said.
#[derive(Clone, Debug)]
pub(super) struct Terms {
    pub(super) name: Arc<str>,
    pub(super) time_to_live: Duration,
    pub(super) clock: Clock,
    pub(super) voice: Voice,
}

/// What a [`Cached`] value is made of.
pub struct CachedBuilder<T, E> {
    terms: Terms,
    of: PhantomData<fn() -> Result<T, E>>,
}

impl<T, E> CachedBuilder<T, E> {
    pub(super) fn new(name: Arc<str>, time_to_live: Duration) -> Self {
        let (clock, voice) = (Clock::system(), Voice::default());
        Self { terms: Terms { name, time_to_live, clock, voice }, of: PhantomData }
    }

    /// Where time comes from: the system unless set.
    #[must_use]
    pub fn clock(mut self, clock: Clock) -> Self {
        self.terms.clock = clock;
        self
    }

    /// Who hears of computations that fail: `computing_failed`.
    #[must_use]
    pub fn sink(mut self, sink: Arc<dyn Sink>) -> Self {
        self.terms.voice = Voice::new(Some(sink));
        self
    }

    /// The value, which is not there yet.
    pub fn build(self) -> Cached<T, E> {
        Cached(Arc::new(Inner {
            terms: self.terms,
            epoch: AtomicU64::new(0),
            kept: Snapshot::new(Arc::new(None)),
            flight: Mutex::new(None),
            tally: Tally::default(),
        }))
    }
}

impl<T, E> fmt::Debug for CachedBuilder<T, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("CachedBuilder").field(&self.terms).finish()
    }
}
