//! A computation that is under way.

use std::sync::Arc;

use super::Inner;
use super::builder::Terms;
use super::error::CachedError;
use crate::service::wait::Gate;
use crate::sync::{Mutex, Ordering, ThreadId};

/// A computation that is under way.
pub(super) struct Flight<T, E> {
    pub(super) epoch: u64,
    pub(super) pilot: ThreadId,
    pub(super) outcome: Mutex<Option<Outcome<T, E>>>,
    pub(super) landed: Gate,
}

pub(super) enum Outcome<T, E> {
    Value(Arc<T>),
    Failed(Arc<E>),
    Panicked,
}

impl<T, E> Flight<T, E> {
    pub(super) fn new(epoch: u64, pilot: ThreadId) -> Self {
        Self { epoch, pilot, outcome: Mutex::new(None), landed: Gate::default() }
    }
}

/// Ends a computation, also one that panics.
pub(super) struct Landing<T, E> {
    inner: Arc<Inner<T, E>>,
    flight: Arc<Flight<T, E>>,
    is_down: bool,
}

impl<T, E> Landing<T, E> {
    pub(super) fn new(inner: Arc<Inner<T, E>>, flight: Arc<Flight<T, E>>) -> Self {
        Self { inner, flight, is_down: false }
    }

    pub(super) fn land(mut self, result: Result<T, E>) -> Outcome<T, E> {
        let outcome = match result {
            Ok(value) => Outcome::Value(Arc::new(value)),
            Err(error) => Outcome::Failed(Arc::new(error)),
        };
        self.is_down = true;
        self.touch_down(outcome.clone());
        outcome
    }

    fn touch_down(&self, outcome: Outcome<T, E>) {
        let Self { inner, flight, .. } = self;
        inner.tally.computed.fetch_add(1, Ordering::Relaxed);
        // Goes last: whatever is dropped with it may ask for the value.
        let _before = inner.kept.load();
        match &outcome {
            Outcome::Value(value) => inner.keep(value, flight.epoch),
            Outcome::Failed(_) | Outcome::Panicked => self.failed(&outcome),
        }
        *flight.outcome.lock() = Some(outcome);
        let mut current = inner.flight.lock();
        let mine = current.take_if(|current| Arc::ptr_eq(current, flight));
        drop(current);
        drop(mine);
        flight.landed.open();
    }

    fn failed(&self, outcome: &Outcome<T, E>) {
        let Terms { name, clock, voice, .. } = &self.inner.terms;
        self.inner.tally.failed.fetch_add(1, Ordering::Relaxed);
        let is_panic = matches!(outcome, Outcome::Panicked);
        let detail = || if is_panic { "panicked" } else { "an error" }.to_owned();
        voice.tell(name, "computing_failed", clock.now(), detail);
    }
}

impl<T, E> Drop for Landing<T, E> {
    fn drop(&mut self) {
        if !self.is_down {
            self.touch_down(Outcome::Panicked);
        }
    }
}

impl<T, E> Outcome<T, E> {
    pub(super) fn into_result(self, name: &Arc<str>) -> Result<Arc<T>, CachedError<E>> {
        match self {
            Self::Value(value) => Ok(value),
            Self::Failed(source) => Err(CachedError::Failed { name: Arc::clone(name), source }),
            Self::Panicked => Err(CachedError::Panicked { name: Arc::clone(name) }),
        }
    }
}

impl<T, E> Clone for Outcome<T, E> {
    fn clone(&self) -> Self {
        match self {
            Self::Value(value) => Self::Value(Arc::clone(value)),
            Self::Failed(error) => Self::Failed(Arc::clone(error)),
            Self::Panicked => Self::Panicked,
        }
    }
}
