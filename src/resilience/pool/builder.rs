//! What a pool is made of.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::Pool;
use super::machine::{Bounds, Machine};
use super::store::{Check, Make, Store, Tally, Terms};
use crate::resilience::sink::{Sink, Voice};
use crate::service::deadline::DEFAULT_TIMEOUT;
use crate::sync::{Clock, Mutex};

/// How many resources a pool keeps if nothing else is said: poolboy has 5, HikariCP 10.
pub const DEFAULT_POOL_SIZE: usize = 10;

/// What a [`Pool`] is made of.
pub struct PoolBuilder<R, E> {
    terms: Terms,
    make: Make<R, E>,
    check: Option<Check<R>>,
}

impl<R, E> PoolBuilder<R, E> {
    pub(super) fn new(name: Arc<str>, make: Make<R, E>) -> Self {
        let (clock, voice, timeout) = (Clock::system(), Voice::default(), DEFAULT_TIMEOUT);
        let bounds = Bounds { size: DEFAULT_POOL_SIZE, overflow: 0, max_lifetime: None, idle_timeout: None };
        Self { terms: Terms { name, bounds, timeout, clock, voice }, make, check: None }
    }

    /// How many resources are kept: 10 unless set; 0 counts as 1.
    #[must_use]
    pub fn size(mut self, size: usize) -> Self {
        self.terms.bounds.size = size.max(1);
        self
    }

    /// How many there may be beyond that while all are in use: none unless set.
    #[must_use]
    pub fn overflow(mut self, overflow: usize) -> Self {
        self.terms.bounds.overflow = overflow;
        self
    }

    /// How long [`checkout`](Pool::checkout) waits: 5 s unless set.
    #[must_use]
    pub fn checkout_timeout(mut self, timeout: Duration) -> Self {
        self.terms.timeout = timeout;
        self
    }

    /// Asks of each that comes back whether it may be used again. It may also tidy it up. One whose check panics is
    /// dropped. One whose user panicked is dropped unasked.
    #[must_use]
    pub fn check(mut self, check: impl Fn(&mut R) -> bool + Send + Sync + 'static) -> Self {
        self.check = Some(Box::new(check));
        self
    }

    /// How long each is used from when it was made: for ever unless set.
    #[must_use]
    pub fn max_lifetime(mut self, lifetime: Duration) -> Self {
        self.terms.bounds.max_lifetime = Some(lifetime);
        self
    }

    /// How long each may idle: for ever unless set.
    #[must_use]
    pub fn idle_timeout(mut self, timeout: Duration) -> Self {
        self.terms.bounds.idle_timeout = Some(timeout);
        self
    }

    /// Where time comes from: the system unless set.
    #[must_use]
    pub fn clock(mut self, clock: Clock) -> Self {
        self.terms.clock = clock;
        self
    }

    /// Who hears of what goes wrong: `timed_out`, `making_failed`, `closed`.
    #[must_use]
    pub fn sink(mut self, sink: Arc<dyn Sink>) -> Self {
        self.terms.voice = Voice::new(Some(sink));
        self
    }

    /// The pool, without any resources yet.
    pub fn build(self) -> Pool<R, E> {
        let machine = Mutex::new(Machine::new(self.terms.bounds));
        let Self { terms, make, check } = self;
        Pool(Arc::new(Store { terms, make, check, machine, tally: Tally::default() }))
    }
}

impl<R, E> fmt::Debug for PoolBuilder<R, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("PoolBuilder").field(&self.terms).finish()
    }
}
