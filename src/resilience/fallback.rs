//! Making do with something else.

mod error;

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::{Duration, Instant};

pub use error::FallbackError;

use super::classify::{Classify, Remedy};
use super::sink::{Sink, Voice};
use crate::error::ErrorKind;
use crate::sync::{AtomicU64, Clock, Mutex, Ordering};

/// What a caller gets, and where it comes from.
#[derive(Debug, PartialEq, Eq)]
pub struct Served<T> {
    /// The value.
    pub value: Arc<T>,
    /// Where it comes from.
    pub from: ServedFrom,
}

/// Where a value comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ServedFrom {
    /// From the call itself.
    Call,
    /// From what stands in for it.
    Substitute,
    /// It is the last good one.
    Cached {
        /// How long ago it came from the call.
        age: Duration,
    },
}

impl<T> Served<T> {
    fn new(value: Arc<T>, from: ServedFrom) -> Self {
        Self { value, from }
    }

    /// Whether it comes from the call itself.
    pub fn is_fresh(&self) -> bool {
        self.from == ServedFrom::Call
    }
}

/// Clones share the value.
impl<T> Clone for Served<T> {
    fn clone(&self) -> Self {
        Self::new(Arc::clone(&self.value), self.from)
    }
}

/// What is served when a call fails: its last good value, with its age, or what a closure gives. Clones are the same
/// fallback.
///
/// A fallback covers up what the caller can do nothing about: errors whose [`Remedy`] is `Fallback`, and those whose
/// remedy is `Retry`, since whoever retries has done so inside. `Restart` and `Propagate` go through. It is no
/// cache: every call is made. [`Cached`](super::Cached) is one.
///
/// # Example
///
/// ```
/// use std::time::Duration;
/// use underpin::ErrorKind;
/// use underpin::resilience::{Fallback, ServedFrom};
///
/// let rates: Fallback<u32> = Fallback::builder("rates").max_age(Duration::from_secs(600)).build();
/// assert!(rates.call(|| Ok::<_, ErrorKind>(117)).unwrap().is_fresh());
/// let served = rates.call(|| Err(ErrorKind::System)).unwrap();
/// assert_eq!(*served.value, 117);
/// assert!(matches!(served.from, ServedFrom::Cached { .. }));
/// assert!(rates.call(|| Err(ErrorKind::User)).is_err());
/// ```
pub struct Fallback<T>(Arc<Inner<T>>);

struct Inner<T> {
    terms: Terms,
    last: Mutex<Option<(Arc<T>, Instant)>>,
    tally: Tally,
}

/// What the user said.
#[derive(Clone, Debug)]
struct Terms {
    name: Arc<str>,
    max_age: Option<Duration>,
    clock: Clock,
    voice: Voice,
}

#[derive(Debug, Default)]
struct Tally {
    fresh: AtomicU64,
    cached: AtomicU64,
    substituted: AtomicU64,
    failed: AtomicU64,
}

/// What a fallback has served so far.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct FallbackSnapshot {
    /// The fallback.
    pub name: Arc<str>,
    /// How many values came from calls.
    pub fresh: u64,
    /// How many were the last good one.
    pub cached: u64,
    /// How many were of what stands in.
    pub substituted: u64,
    /// How many calls had no value at all.
    pub failed: u64,
    /// How old the last good value is, if there is one.
    pub age: Option<Duration>,
}

impl<T> Fallback<T> {
    /// A fallback of that name: the last good value will do, however old.
    pub fn builder(name: impl Into<Arc<str>>) -> FallbackBuilder<T> {
        let (clock, voice) = (Clock::system(), Voice::default());
        FallbackBuilder { terms: Terms { name: name.into(), max_age: None, clock, voice }, of: PhantomData }
    }

    /// Makes the call, and serves the last good value where it fails in a way to be covered up.
    ///
    /// # Errors
    ///
    /// How it failed, if that is not to be covered up, or if there is no value that is young enough.
    ///
    /// # Panics
    ///
    /// When the call does: a panic is not covered up.
    pub fn call<E: Classify>(
        &self,
        call: impl FnOnce() -> Result<T, E>,
    ) -> Result<Served<T>, FallbackError<E>> {
        self.call_with(|error| covers(error.kind()), call)
    }

    /// The same, where `covers` says what is to be covered up: for errors of others.
    ///
    /// # Errors
    ///
    /// As [`call`](Self::call).
    ///
    /// # Panics
    ///
    /// When the call or `covers` does.
    ///
    /// # Example
    ///
    /// ```
    /// use underpin::resilience::Fallback;
    ///
    /// let port: Fallback<u16> = Fallback::builder("port").build();
    /// port.call_with(|_| true, || "80".parse::<u16>()).unwrap();
    /// let served = port.call_with(|_| true, || "http".parse::<u16>()).unwrap();
    /// assert_eq!(*served.value, 80);
    /// ```
    pub fn call_with<E>(
        &self,
        covers: impl FnOnce(&E) -> bool,
        call: impl FnOnce() -> Result<T, E>,
    ) -> Result<Served<T>, FallbackError<E>> {
        match call() {
            Ok(value) => Ok(self.fresh(value)),
            Err(source) if covers(&source) => self.cached(source),
            Err(source) => {
                self.failed();
                Err(FallbackError::Propagated { name: self.name(), source })
            }
        }
    }

    /// Makes the call, and serves what `substitute` gives where it fails in a way to be covered up. The last good
    /// value is kept all the same, and not served.
    ///
    /// # Errors
    ///
    /// How the call failed, if that is not to be covered up; otherwise how `substitute` did.
    ///
    /// # Panics
    ///
    /// When the call or `substitute` does.
    ///
    /// # Example
    ///
    /// ```
    /// use underpin::ErrorKind;
    /// use underpin::resilience::{Fallback, ServedFrom};
    ///
    /// let greeting: Fallback<String> = Fallback::builder("greeting").build();
    /// let served = greeting.call_or(|| Err(ErrorKind::System), |_| Ok("hello".into())).unwrap();
    /// assert_eq!((served.value.as_str(), served.from), ("hello", ServedFrom::Substitute));
    /// ```
    pub fn call_or<E: Classify>(
        &self,
        call: impl FnOnce() -> Result<T, E>,
        substitute: impl FnOnce(E) -> Result<T, E>,
    ) -> Result<Served<T>, E> {
        let failed = match call() {
            Ok(value) => return Ok(self.fresh(value)),
            Err(error) => error,
        };
        let substituted = if covers(failed.kind()) { substitute(failed) } else { Err(failed) };
        match substituted {
            Ok(value) => Ok(self.substituted(value)),
            Err(error) => {
                self.failed();
                Err(error)
            }
        }
    }

    /// What has been served so far.
    pub fn snapshot(&self) -> FallbackSnapshot {
        let get = |count: &AtomicU64| count.load(Ordering::Relaxed);
        let tally = &self.0.tally;
        FallbackSnapshot {
            name: self.name(),
            fresh: get(&tally.fresh),
            cached: get(&tally.cached),
            substituted: get(&tally.substituted),
            failed: get(&tally.failed),
            age: self.last().map(|(_, at)| self.age(at)),
        }
    }

    pub(crate) fn fresh(&self, value: T) -> Served<T> {
        let value = Arc::new(value);
        self.keep(Arc::clone(&value), self.0.terms.clock.now());
        self.0.tally.fresh.fetch_add(1, Ordering::Relaxed);
        Served::new(value, ServedFrom::Call)
    }

    /// Keeps it, unless a newer one is there: of two calls the later may come here first.
    fn keep(&self, value: Arc<T>, at: Instant) {
        let mut other = Some((value, at));
        let mut last = self.0.last.lock();
        if last.as_ref().is_none_or(|(_, newest)| *newest <= at) {
            std::mem::swap(&mut *last, &mut other);
        }
        drop(last);
        // Out of the lock before it is dropped: that is code of the user's.
        drop(other);
    }

    pub(crate) fn cached<E>(&self, source: E) -> Result<Served<T>, FallbackError<E>> {
        let Some((value, at)) = self.last() else {
            self.failed();
            return Err(FallbackError::NoValue { name: self.name(), source });
        };
        let age = self.age(at);
        if let Some(max_age) = self.0.terms.max_age.filter(|max| age > *max) {
            self.failed();
            return Err(FallbackError::TooOld { name: self.name(), age, max_age, source });
        }
        self.0.tally.cached.fetch_add(1, Ordering::Relaxed);
        self.tell("served_cached", || format!("{age:?} old"));
        Ok(Served::new(value, ServedFrom::Cached { age }))
    }

    fn substituted(&self, value: T) -> Served<T> {
        self.0.tally.substituted.fetch_add(1, Ordering::Relaxed);
        self.tell("served_substitute", String::new);
        Served::new(Arc::new(value), ServedFrom::Substitute)
    }

    pub(crate) fn failed(&self) {
        self.0.tally.failed.fetch_add(1, Ordering::Relaxed);
    }

    fn last(&self) -> Option<(Arc<T>, Instant)> {
        self.0.last.lock().clone()
    }

    fn age(&self, at: Instant) -> Duration {
        self.0.terms.clock.now().saturating_duration_since(at)
    }

    fn name(&self) -> Arc<str> {
        Arc::clone(&self.0.terms.name)
    }

    fn tell(&self, kind: &'static str, detail: impl FnOnce() -> String) {
        let Terms { name, clock, voice, .. } = &self.0.terms;
        voice.tell(name, kind, clock.now(), detail);
    }
}

impl<T> Clone for Fallback<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

/// How it stands, and not the value: that would be code of the user's under a lock.
impl<T> fmt::Debug for Fallback<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.snapshot().fmt(f)
    }
}

/// Whoever retries has done so inside.
pub(crate) fn covers(kind: ErrorKind) -> bool {
    matches!(Remedy::of(kind), Remedy::Fallback | Remedy::Retry)
}

/// What a [`Fallback`] is made of.
#[derive(Debug)]
pub struct FallbackBuilder<T> {
    terms: Terms,
    of: PhantomData<fn() -> T>,
}

impl<T> FallbackBuilder<T> {
    /// How old the last good value may be that is served: any age unless set.
    #[must_use]
    pub fn max_age(mut self, age: Duration) -> Self {
        self.terms.max_age = Some(age);
        self
    }

    /// Where time comes from: the system unless set.
    #[must_use]
    pub fn clock(mut self, clock: Clock) -> Self {
        self.terms.clock = clock;
        self
    }

    /// Who hears of what is served instead: `served_cached`, `served_substitute`.
    #[must_use]
    pub fn sink(mut self, sink: Arc<dyn Sink>) -> Self {
        self.terms.voice = Voice::new(Some(sink));
        self
    }

    /// The fallback.
    pub fn build(self) -> Fallback<T> {
        Fallback(Arc::new(Inner { terms: self.terms, last: Mutex::new(None), tally: Tally::default() }))
    }
}

#[cfg(all(test, not(underpin_loom)))]
mod tests {
    use super::*;
    use std::panic::{AssertUnwindSafe, catch_unwind};

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn the_last_good_value_is_served_with_its_age_until_it_is_too_old() {
        let (clock, hand) = Clock::manual();
        let fallback: Fallback<u8> = Fallback::builder("a").max_age(10 * SECOND).clock(clock).build();
        let none = fallback.call(|| Err(ErrorKind::System)).map(|_| ());
        assert!(matches!(none, Err(FallbackError::NoValue { source: ErrorKind::System, .. })));
        let _ = fallback.call(|| Ok::<_, ErrorKind>(1));
        let served = fallback.call(|| Ok::<_, ErrorKind>(2)).expect("it succeeds");
        assert_eq!((*served.value, served.from), (2, ServedFrom::Call));
        hand.advance(10 * SECOND);
        let served = fallback.call(|| Err(ErrorKind::Transient)).expect("there is one");
        assert_eq!((*served.value, served.from), (2, ServedFrom::Cached { age: 10 * SECOND }));
        hand.advance(SECOND);
        let old = fallback.call(|| Err(ErrorKind::System)).map(|_| ());
        assert!(matches!(old, Err(FallbackError::TooOld { age, .. }) if age == 11 * SECOND));
        let seen = fallback.snapshot();
        assert_eq!((seen.fresh, seen.cached, seen.failed, seen.age), (2, 1, 2, Some(11 * SECOND)));
    }

    #[test]
    fn what_the_caller_must_know_goes_through_both_ways() {
        let fallback: Fallback<u8> = Fallback::builder("a").build();
        let _ = fallback.call(|| Ok::<_, ErrorKind>(1));
        for kind in [ErrorKind::User, ErrorKind::Permanent] {
            let through = fallback.call(|| Err(kind)).expect_err("it is not covered up");
            assert!(matches!(through, FallbackError::Propagated { .. }) && through.kind() == kind);
            let through = fallback.call_or(|| Err(kind), |_| panic!("it is not asked"));
            assert_eq!(through.map(|_| ()), Err(kind));
        }
        assert_eq!(fallback.snapshot().failed, 4);
    }

    #[test]
    fn a_substitute_is_asked_when_needed_and_its_values_are_not_kept() {
        let fallback: Fallback<u8> = Fallback::builder("a").build();
        let served = fallback.call_or(|| Ok::<_, ErrorKind>(1), |_| panic!("it is not needed"));
        assert!(served.expect("it succeeds").is_fresh());
        let served = fallback.call_or(|| Err(ErrorKind::System), |_| Ok(2)).expect("there is one");
        assert_eq!((*served.value, served.from), (2, ServedFrom::Substitute));
        let failed = fallback.call_or(|| Err(ErrorKind::System), |_| Err(ErrorKind::User));
        assert_eq!(failed.map(|_| ()), Err(ErrorKind::User));
        let served = fallback.call(|| Err(ErrorKind::System)).expect("there is one");
        assert_eq!(*served.value, 1);
        let seen = fallback.snapshot();
        assert_eq!((seen.fresh, seen.cached, seen.substituted, seen.failed), (1, 1, 1, 1));
    }

    #[test]
    fn a_value_that_asks_for_another_while_it_is_dropped_gets_it() {
        struct Asks(Fallback<Self>, bool);
        impl Drop for Asks {
            fn drop(&mut self) {
                self.1.then(|| self.0.snapshot());
            }
        }
        let fallback: Fallback<Asks> = Fallback::builder("a").build();
        for asks in [true, true, false] {
            let _ = fallback.call(|| Ok::<_, ErrorKind>(Asks(fallback.clone(), asks)));
        }
        assert_eq!(fallback.snapshot().fresh, 3);
    }

    #[test]
    fn a_panic_goes_on_and_breaks_nothing() {
        let fallback: Fallback<u8> = Fallback::builder("a").build();
        let _ = fallback.call(|| Ok::<_, ErrorKind>(1));
        let panicked = catch_unwind(AssertUnwindSafe(|| {
            fallback.call::<ErrorKind>(|| std::panic::resume_unwind(Box::new("boom")))
        }));
        assert!(panicked.is_err());
        assert_eq!(*fallback.call(|| Err(ErrorKind::System)).expect("there is one").value, 1);
    }

    #[test]
    fn to_print_a_fallback_runs_no_code_of_the_value() {
        struct Loud;
        impl std::fmt::Debug for Loud {
            fn fmt(&self, _: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                panic!("it is under a lock")
            }
        }
        let fallback: Fallback<Loud> = Fallback::builder("a").build();
        let _ = fallback.call(|| Ok::<_, ErrorKind>(Loud));
        assert!(format!("{fallback:?}").contains("fresh: 1"));
    }

    #[test]
    fn who_comes_late_with_an_older_value_does_not_replace_the_newer() {
        let (clock, hand) = Clock::manual();
        let fallback: Fallback<u8> = Fallback::builder("a").clock(clock).build();
        let before = hand.now();
        hand.advance(SECOND);
        fallback.keep(Arc::new(2), hand.now());
        fallback.keep(Arc::new(1), before);
        let served = fallback.call(|| Err(ErrorKind::System)).expect("there is one");
        assert_eq!((*served.value, served.from), (2, ServedFrom::Cached { age: Duration::ZERO }));
    }

    #[derive(Default)]
    struct Heard(Mutex<Vec<(&'static str, String)>>);

    impl Sink for Heard {
        fn event(&self, event: &crate::resilience::Event) {
            self.0.lock().push((event.kind, event.detail.clone()));
        }
    }

    #[test]
    fn what_is_served_instead_is_told_and_nothing_else() {
        let ((clock, hand), heard) = (Clock::manual(), Arc::new(Heard::default()));
        let builder = Fallback::<u8>::builder("a").clock(clock);
        let fallback = builder.sink(Arc::clone(&heard) as Arc<dyn Sink>).build();
        assert!(
            fallback.call(|| Err(ErrorKind::System)).is_err()
                && fallback.call(|| Ok::<_, ErrorKind>(1)).is_ok()
        );
        assert!(heard.0.lock().is_empty());
        hand.advance(SECOND);
        assert!(fallback.call(|| Err(ErrorKind::System)).is_ok());
        assert!(fallback.call_or(|| Err(ErrorKind::System), |_| Ok(2)).is_ok());
        let expected = [("served_cached", "1s old".to_owned()), ("served_substitute", String::new())];
        assert_eq!(*heard.0.lock(), expected);
    }
}
