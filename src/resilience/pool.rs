//! Resources that are used one by one and again.

mod builder;
mod error;
mod machine;
mod pooled;
mod store;

use std::fmt;
use std::sync::Arc;
use std::time::Instant;

pub use builder::{DEFAULT_POOL_SIZE, PoolBuilder};
pub use error::PoolError;
pub use pooled::Pooled;

use crate::service::deadline::{Deadline, Limit};
use crate::service::scope::within_the_callers;
use crate::sync::{AtomicU64, Ordering, mutant};
use machine::{Asked, Grant, Made};
use store::{Right, Seat, Store, Word};

/// A bounded number of resources that are costly to make, as connections are: each is used by one caller at a time,
/// and comes back. Clones are the same pool.
///
/// It makes them when they are needed, and keeps up to [`size`](PoolBuilder::size); up to
/// [`overflow`](PoolBuilder::overflow) more are made while all are in use, and dropped when they come back and
/// nobody waits. There are never more than both together. Who waits is served in order, and nobody overtakes. What
/// was used last is used first.
///
/// What comes back is dropped if its user panicked or [poisoned](Pooled::poison) it, if the
/// [health check](PoolBuilder::check) says so, and when it has lived as long as it may. Nothing runs in the
/// background: what has idled too long goes when others are returned, or with [`prune`](Self::prune).
///
/// All code of the user's (to make, check and drop a resource) runs on the thread of the caller, under no lock.
///
/// # Example
///
/// ```
/// use underpin::ErrorKind;
/// use underpin::resilience::Pool;
///
/// let buffers: Pool<Vec<u8>, ErrorKind> = Pool::builder("buffers", || Ok(Vec::with_capacity(4096)))
///     .size(2)
///     .check(|buffer| {
///         buffer.clear();
///         buffer.capacity() < 1 << 20
///     })
///     .build();
/// let mut buffer = buffers.checkout().unwrap();
/// buffer.extend_from_slice(b"hello");
/// drop(buffer);
/// assert_eq!((buffers.snapshot().idle, buffers.snapshot().made), (1, 1));
/// ```
pub struct Pool<R, E>(Arc<Store<R, E>>);

/// What a pool is like, and what has become of its resources so far.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PoolSnapshot {
    /// The pool.
    pub name: Arc<str>,
    /// How many idle.
    pub idle: usize,
    /// How many are in use, those that are being made or dropped among them.
    pub in_use: usize,
    /// How many callers wait.
    pub waiting: usize,
    /// Whether it is closed.
    pub is_closed: bool,
    /// How many were made.
    pub made: u64,
    /// How often that failed, panics among it.
    pub failed: u64,
    /// How many callers waited until their deadline.
    pub timed_out: u64,
    /// How many were dropped because they had lived, or idled, as long as they may.
    pub expired: u64,
    /// How many because the check said so, or panicked.
    pub unhealthy: u64,
    /// How many because their user panicked or said so.
    pub poisoned: u64,
    /// How many because they were beyond what is kept.
    pub overflowed: u64,
    /// How many because the pool was closed.
    pub closed: u64,
    /// How many were [taken out](Pooled::detach) for good.
    pub detached: u64,
}

impl<R, E> Pool<R, E> {
    /// A pool of that name, whose resources `make` makes: 10 are kept, none beyond that, for as long as they are
    /// healthy.
    pub fn builder(
        name: impl Into<Arc<str>>,
        make: impl Fn() -> Result<R, E> + Send + Sync + 'static,
    ) -> PoolBuilder<R, E> {
        PoolBuilder::new(name.into(), Box::new(make))
    }

    /// A resource for the caller alone, waited for at most 5 s, or as long as the builder said.
    ///
    /// # Errors
    ///
    /// When all are in use for so long, when a new one cannot be made, and when the pool is or gets closed.
    ///
    /// # Panics
    ///
    /// When making one does. The next caller may make one instead.
    ///
    /// # Blocking
    ///
    /// Until one comes back and all who came before are served, at most so long; in a handler also not beyond the
    /// deadline of its caller. Nobody interrupts the making of one.
    pub fn checkout(&self) -> Result<Pooled<R, E>, PoolError<E>> {
        self.take(Limit::In(self.0.terms.timeout))
    }

    /// The same, waited for until `deadline`.
    ///
    /// # Errors
    ///
    /// As [`checkout`](Self::checkout).
    ///
    /// # Panics
    ///
    /// As [`checkout`](Self::checkout).
    ///
    /// # Blocking
    ///
    /// As [`checkout`](Self::checkout), until `deadline` instead; [`Deadline::unbounded`] for ever.
    pub fn checkout_by(&self, deadline: Deadline) -> Result<Pooled<R, E>, PoolError<E>> {
        self.take(Limit::By(deadline))
    }

    /// The same, without waiting for one to come back.
    ///
    /// # Errors
    ///
    /// [`Exhausted`](PoolError::Exhausted) when all are in use, otherwise as [`checkout`](Self::checkout).
    ///
    /// # Panics
    ///
    /// As [`checkout`](Self::checkout).
    ///
    /// # Example
    ///
    /// ```
    /// use underpin::ErrorKind;
    /// use underpin::resilience::{Pool, PoolError};
    ///
    /// let pool: Pool<u8, ErrorKind> = Pool::builder("bytes", || Ok(7)).size(1).build();
    /// let first = pool.try_checkout().unwrap();
    /// assert!(matches!(pool.try_checkout(), Err(PoolError::Exhausted { most: 1, .. })));
    /// drop(first);
    /// assert_eq!(*pool.try_checkout().unwrap(), 7);
    /// ```
    pub fn try_checkout(&self) -> Result<Pooled<R, E>, PoolError<E>> {
        let asked = self.0.machine.lock().ask(self.0.terms.clock.now());
        match asked {
            Asked::Granted(grant) => self.redeem(grant),
            Asked::Full => Err(PoolError::Exhausted { name: self.0.name(), most: self.0.most() }),
            Asked::Closed => Err(self.0.closed()),
        }
    }

    /// Drops what has lived or idled as long as it may. For a periodic task, where the pool itself may be idle.
    pub fn prune(&self) {
        let retire = || self.0.machine.lock().retire_any(self.0.terms.clock.now());
        std::iter::from_fn(retire).for_each(|resource| self.0.scrap(resource, &self.0.tally.expired));
    }

    /// Ends the pool: who waits gets [`Closed`](PoolError::Closed), as does who comes later; what idles is dropped
    /// here, and what is in use when it comes back. Once more does nothing.
    pub fn close(&self) {
        let mut machine = self.0.machine.lock();
        if machine.is_closed() {
            return;
        }
        let (waiting, idle) = machine.close();
        waiting.iter().for_each(|seat| seat.tell(Word::Closed));
        drop(machine);
        waiting.iter().for_each(|seat| seat.wake());
        self.0.tally.closed.fetch_add(idle.len() as u64, Ordering::Relaxed);
        self.0.tell("closed", || format!("{} waited, {} were idle", waiting.len(), idle.len()));
        idle.into_iter().for_each(|resource| self.0.drop_contained(resource));
    }

    /// What it is like now.
    pub fn snapshot(&self) -> PoolSnapshot {
        let (idle, in_use, waiting, is_closed) = {
            let machine = self.0.machine.lock();
            (machine.idle(), machine.out(), machine.waiting(), machine.is_closed())
        };
        let get = |count: &AtomicU64| count.load(Ordering::Relaxed);
        let tally = &self.0.tally;
        PoolSnapshot {
            name: self.0.name(),
            idle,
            in_use,
            waiting,
            is_closed,
            made: get(&tally.made),
            failed: get(&tally.failed),
            timed_out: get(&tally.timed_out),
            expired: get(&tally.expired),
            unhealthy: get(&tally.unhealthy),
            poisoned: get(&tally.poisoned),
            overflowed: get(&tally.overflowed),
            closed: get(&tally.closed),
            detached: get(&tally.detached),
        }
    }

    fn take(&self, limit: Limit) -> Result<Pooled<R, E>, PoolError<E>> {
        let now = self.0.terms.clock.now();
        let mut machine = self.0.machine.lock();
        match machine.ask(now) {
            Asked::Granted(grant) => {
                drop(machine);
                self.redeem(grant)
            }
            Asked::Closed => Err(self.0.closed()),
            Asked::Full => {
                if mutant!(QueueUnasked) {
                    drop(machine);
                    machine = self.0.machine.lock();
                }
                let seat = Arc::new(Seat::new());
                machine.wait(Arc::clone(&seat));
                drop(machine);
                self.wait(&seat, now, within_the_callers(limit.deadline(now), || now))
            }
        }
    }

    fn wait(&self, seat: &Arc<Seat<R>>, since: Instant, by: Deadline) -> Result<Pooled<R, E>, PoolError<E>> {
        match self.0.word_for(seat, by) {
            Some(Word::Granted(grant)) => self.redeem(grant),
            Some(Word::Closed) => Err(self.0.closed()),
            None => {
                self.0.tally.timed_out.fetch_add(1, Ordering::Relaxed);
                let waited = self.0.terms.clock.now().saturating_duration_since(since);
                self.0.tell("timed_out", || format!("after {waited:?}"));
                Err(PoolError::TimedOut { name: self.0.name(), most: self.0.most(), waited })
            }
        }
    }

    fn redeem(&self, grant: Grant<R>) -> Result<Pooled<R, E>, PoolError<E>> {
        let made = match grant {
            Grant::Take(made) => made,
            Grant::Make { instead_of } => self.make(instead_of)?,
        };
        let store = Arc::clone(&self.0);
        let was_panicking = std::thread::panicking();
        Ok(Pooled { made: Some(made), store, is_poisoned: false, was_panicking })
    }

    fn make(&self, instead_of: Option<R>) -> Result<Made<R>, PoolError<E>> {
        let right = Right { store: &self.0, is_used: false };
        if let Some(expired) = instead_of {
            self.0.tally.expired.fetch_add(1, Ordering::Relaxed);
            self.0.drop_contained(expired);
        }
        let resource = (self.0.make)().map_err(|source| PoolError::Make { name: self.0.name(), source })?;
        self.0.tally.made.fetch_add(1, Ordering::Relaxed);
        if self.0.machine.lock().is_closed() {
            right.used();
            self.0.scrap(resource, &self.0.tally.closed);
            return Err(self.0.closed());
        }
        right.used();
        Ok(Made { resource, at: self.0.terms.clock.now() })
    }
}

impl<R, E> Clone for Pool<R, E> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<R, E> fmt::Debug for Pool<R, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.snapshot().fmt(f)
    }
}

#[cfg(all(test, not(underpin_loom)))]
mod tests;
