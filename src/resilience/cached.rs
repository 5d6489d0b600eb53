//! A value that is computed now and then.

mod builder;
mod error;
mod flight;

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

pub use builder::CachedBuilder;
pub use error::CachedError;

use crate::service::deadline::Deadline;
use crate::service::scope::within_the_callers;
use crate::sync::{self, AtomicU64, Mutex, Ordering, Snapshot};
use builder::Terms;
use flight::{Flight, Landing};

/// A value that is kept for a time, and computed by one caller at a time when it is not there. Clones are the same
/// value.
///
/// Who asks while another computes waits for that one, and shares what comes of it: the value, the error, or the
/// news of a panic. So a value that many need costs one computation, and a failure is not repeated by all who
/// waited. Errors are not kept: who asks later computes again. The time to live begins when the computation has
/// ended. A value that is there is read without a lock.
///
/// # Example
///
/// ```
/// use std::num::ParseIntError;
/// use std::time::Duration;
/// use underpin::Deadline;
/// use underpin::resilience::Cached;
///
/// let limit: Cached<u32, ParseIntError> = Cached::builder("limit", Duration::from_secs(60)).build();
/// let soon = Deadline::after(Duration::from_secs(1));
/// assert_eq!(*limit.get(soon, || "17".parse()).unwrap(), 17);
/// assert_eq!(*limit.get(soon, || unreachable!("it is there")).unwrap(), 17);
/// limit.invalidate();
/// assert!(limit.get(soon, || "x".parse()).is_err());
/// ```
pub struct Cached<T, E>(Arc<Inner<T, E>>);

struct Inner<T, E> {
    terms: Terms,
    /// Rises when all values so far are void.
    epoch: AtomicU64,
    kept: Snapshot<Option<Kept<T>>>,
    flight: Mutex<Option<Arc<Flight<T, E>>>>,
    tally: Tally,
}

struct Kept<T> {
    value: Arc<T>,
    epoch: u64,
    at: Instant,
}

#[derive(Default)]
struct Tally {
    hits: AtomicU64,
    computed: AtomicU64,
    failed: AtomicU64,
    waited: AtomicU64,
}

/// What somebody does who finds no value.
enum Turn<T, E> {
    Found(Arc<T>),
    Compute(Landing<T, E>),
    Wait(Arc<Flight<T, E>>),
}

/// What has become of the calls so far.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct CachedSnapshot {
    /// The value.
    pub name: Arc<str>,
    /// How often it was there.
    pub hits: u64,
    /// How often it was computed.
    pub computed: u64,
    /// How often that failed, panics among it.
    pub failed: u64,
    /// How often somebody waited for another to compute it.
    pub waited: u64,
    /// How old it is, if there is one that is not void. It may be older than it lives.
    pub age: Option<Duration>,
    /// Whether it is being computed.
    pub is_computing: bool,
}

impl<T, E> Cached<T, E> {
    /// A value of that name, which lives for `time_to_live`. With zero it is never there: who comes while it is
    /// computed shares it all the same.
    pub fn builder(name: impl Into<Arc<str>>, time_to_live: Duration) -> CachedBuilder<T, E> {
        CachedBuilder::new(name.into(), time_to_live)
    }

    /// The value: the one that is there, or the one that another is computing, or else what `compute` gives.
    ///
    /// # Errors
    ///
    /// When it could not be computed, here or by another, and when the deadline came while another was at it.
    ///
    /// # Panics
    ///
    /// When `compute` does. Those who wait are told.
    ///
    /// # Blocking
    ///
    /// While another computes, until the deadline; in a handler also until that of its caller. `compute` itself
    /// runs here, under no lock, and nobody interrupts it.
    pub fn get(
        &self,
        deadline: Deadline,
        compute: impl FnOnce() -> Result<T, E>,
    ) -> Result<Arc<T>, CachedError<E>> {
        if let Some(value) = self.present() {
            return Ok(value);
        }
        match self.turn() {
            Turn::Found(value) => {
                self.0.tally.hits.fetch_add(1, Ordering::Relaxed);
                Ok(value)
            }
            Turn::Compute(landing) => landing.land(compute()).into_result(&self.0.terms.name),
            Turn::Wait(flight) => self.wait(&flight, deadline),
        }
    }

    /// The value, if it is there.
    pub fn present(&self) -> Option<Arc<T>> {
        let value = self.0.living(&self.0.kept.load())?;
        self.0.tally.hits.fetch_add(1, Ordering::Relaxed);
        Some(value)
    }

    /// The last value that was computed, and its age, also when that is more than it lives; `None` when there was
    /// none, or it is void. It may stand in where no new one can be had.
    ///
    /// # Example
    ///
    /// ```
    /// use std::time::Duration;
    /// use underpin::{Deadline, ErrorKind};
    /// use underpin::resilience::Cached;
    ///
    /// let rate: Cached<u32, ErrorKind> = Cached::builder("rate", Duration::ZERO).build();
    /// rate.get(Deadline::unbounded(), || Ok(117)).unwrap();
    /// let failed = rate.get(Deadline::unbounded(), || Err(ErrorKind::System));
    /// assert!(failed.is_err());
    /// assert_eq!(rate.last().map(|(value, _)| *value), Some(117));
    /// ```
    pub fn last(&self) -> Option<(Arc<T>, Duration)> {
        self.0.valid(&self.0.kept.load())
    }

    /// Makes the value void, also the one that is being computed: those who wait for that get it, those who come
    /// later do not. So it also
    /// frees those who come from a computation that hangs.
    pub fn invalidate(&self) {
        self.0.epoch.fetch_add(1, Ordering::SeqCst);
    }

    /// What has become of the calls so far.
    pub fn snapshot(&self) -> CachedSnapshot {
        let get = |count: &AtomicU64| count.load(Ordering::Relaxed);
        let Inner { terms, tally, flight, .. } = &*self.0;
        CachedSnapshot {
            name: Arc::clone(&terms.name),
            hits: get(&tally.hits),
            computed: get(&tally.computed),
            failed: get(&tally.failed),
            waited: get(&tally.waited),
            age: self.last().map(|(_, age)| age),
            is_computing: flight.lock().is_some(),
        }
    }

    fn turn(&self) -> Turn<T, E> {
        let me = sync::current_thread().id();
        let kept; // goes after the lock: it may be the last to hold a value of the user's
        let mut flight = self.0.flight.lock();
        kept = self.0.kept.load();
        // Whoever landed meanwhile has put the value there before its flight was taken away.
        if let Some(value) = self.0.living(&kept) {
            return Turn::Found(value);
        }
        let epoch = self.0.epoch.load(Ordering::SeqCst);
        match &*flight {
            Some(under_way) if under_way.epoch == epoch || under_way.pilot == me => {
                Turn::Wait(Arc::clone(under_way))
            }
            _ => {
                let mine = Arc::new(Flight::new(epoch, me));
                let voided = flight.replace(Arc::clone(&mine));
                drop(flight);
                drop(voided); // it may hold a value of the user's
                Turn::Compute(Landing::new(Arc::clone(&self.0), mine))
            }
        }
    }

    fn wait(&self, flight: &Flight<T, E>, deadline: Deadline) -> Result<Arc<T>, CachedError<E>> {
        let Terms { name, clock, .. } = &self.0.terms;
        if flight.pilot == sync::current_thread().id() {
            return Err(CachedError::Circular { name: Arc::clone(name) });
        }
        self.0.tally.waited.fetch_add(1, Ordering::Relaxed);
        let by = within_the_callers(deadline, || clock.now());
        flight.landed.wait(clock, by.instant());
        let outcome = flight.outcome.lock().clone();
        match outcome {
            Some(outcome) => outcome.into_result(name),
            None => Err(CachedError::TimedOut { name: Arc::clone(name) }),
        }
    }
}

impl<T, E> Inner<T, E> {
    /// The value, if it is neither void nor too old.
    fn living(&self, kept: &Option<Kept<T>>) -> Option<Arc<T>> {
        let (value, age) = self.valid(kept)?;
        (age < self.terms.time_to_live).then_some(value)
    }

    /// The value and its age, if it is not void.
    fn valid(&self, kept: &Option<Kept<T>>) -> Option<(Arc<T>, Duration)> {
        let kept = kept.as_ref()?;
        let is_void = kept.epoch != self.epoch.load(Ordering::SeqCst);
        let age = self.terms.clock.now().saturating_duration_since(kept.at);
        (!is_void).then(|| (Arc::clone(&kept.value), age))
    }

    fn keep(&self, value: &Arc<T>, epoch: u64) {
        if epoch == self.epoch.load(Ordering::SeqCst) {
            let kept = Kept { value: Arc::clone(value), epoch, at: self.terms.clock.now() };
            self.kept.store(Arc::new(Some(kept)));
        }
    }
}

impl<T, E> Clone for Cached<T, E> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T, E> fmt::Debug for Cached<T, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.snapshot().fmt(f)
    }
}

#[cfg(all(test, not(underpin_loom)))]
mod tests;
