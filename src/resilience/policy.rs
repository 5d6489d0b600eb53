//! Everything at once, in one order.

mod builder;
mod call;
mod check;
mod context;
mod counts;
mod end;
mod error;
mod fault;
mod hush;
mod log;
mod parts;
mod run;
mod settings;
mod snapshot;
mod story;
mod trail;

use std::fmt;
use std::sync::Arc;
use std::time::Instant;

pub use builder::PolicyBuilder;
pub use call::PolicyCall;
pub use check::PolicySettingsError;
pub use context::PolicyContext;
pub use counts::PolicyCounts;
pub use error::PolicyError;
pub use fault::Fault;
pub use hush::MAX_REFUSALS_TOLD_PER_SECOND;
pub use settings::{
    BreakerSettings, BulkheadSettings, PolicySettings, RateSettings, RetryBudgetSettings, RetrySettings,
    SheddingSettings,
};
pub use snapshot::PolicySnapshot;
pub use trail::{NoFallback, NoRetry, PolicyTrail};

use super::breaker::{Changed, CircuitBreaker};
use super::classify::Classify;
use super::fallback::{Fallback, Served};
#[cfg(all(feature = "foundation", feature = "events"))]
use super::sink::Sink;
use super::sink::{Relay, Voice};
use super::timeline::nanos;
use crate::sync::{Mutex, Snapshot};
use check::Checked;
use counts::Count;
use hush::Hush;
use parts::{Means, Parts, Stock, difference};

/// All that this room has, composed in one order. Each part is optional, and can be changed while it is used. Clones are
/// the same policy.
///
/// # The order
///
/// | | part | asks | answers |
/// |---|---|---|---|
/// | 1 | shedding | are there too many runs, is this one too late? | `Shed` |
/// | 2 | rate limit | have there been too many in this time? | `Limited`, after its timeout |
/// | 3 | bulkhead | are as many run at once as may be? | `Full`, after its wait |
/// | 4 | breaker | would it fail? | `Open` |
/// | 5 | time budget | is there time for an attempt, and for another? | `TimedOut` |
/// | 6 | retry | may it work the next time? | `Failed`, after its attempts |
/// | 7 | fallback | is there another value? | that value |
///
/// What is refused has gone through what comes before: it has taken its permit of the rate limit when the bulkhead is
/// full or the breaker open. Shedding counts runs from their beginning to their end; a run's age is asked once more when
/// it has a place in the bulkhead. Waits for permits are not part of the time budget. Any wait ends with the
/// [stop signal](PolicyBuilder::stop_on), as `Stopped`; what need not wait is run all the same.
///
/// # What the breaker counts
///
/// A run that reaches it is one call, however many attempts it has, and counts by its end:
///
/// | the run | counts as |
/// |---|---|
/// | succeeded | success |
/// | succeeded when its time budget was over | failure: who is always late is of no use, though the value is handed on |
/// | failed with what is transient, permanent or the system's | failure |
/// | failed with what is the user's | ignored |
/// | panicked | failure; the panic goes on |
/// | had no time for an attempt | ignored |
///
/// A fallback changes nothing about it, and a refusal by any part is none of them.
///
/// # Changes
///
/// [`change`](Self::change) replaces all settings at once. A run that has begun keeps the parts, waits and attempts that it
/// began with. A part that stays keeps what it knows: its permits that are out count, a rate limiter has as many
/// permits as it had or as many as may be, what is open stays open, tokens of a retry budget are not filled up. That
/// holds too for one that was taken out and is put in again. Limits themselves hold for all from then on.
///
/// # Events
///
/// One for each run in which something happened, with the whole story: `shed`, `limited`, `full`, `open`, `stopped`,
/// `timed_out`, `failed`, `panicked`; `fallback_served` instead of these where there was another value; `retried` and
/// `late` for one that succeeded, not in its first attempt or too late. A plain success tells nothing. Runs
/// without an attempt are told of at most [`MAX_REFUSALS_TOLD_PER_SECOND`] times a second for each kind. Besides there are
/// `changed`, and those of the breaker.
///
/// # Example
///
/// ```
/// use std::io;
/// use std::time::Duration;
/// use underpin::resilience::{
///     BreakerSettings, BulkheadSettings, Policy, PolicyError, PolicySettings, RetrySettings, Schedule,
/// };
///
/// let settings = PolicySettings {
///     bulkhead: Some(BulkheadSettings { max_concurrent_calls: 10, ..Default::default() }),
///     breaker: Some(BreakerSettings { consecutive_failures: Some(5), ..Default::default() }),
///     time_budget: Some(Duration::from_secs(2)),
///     retry: Some(RetrySettings { schedule: Schedule::constant(Duration::ZERO), ..Default::default() }),
///     ..Default::default()
/// };
/// let policy = Policy::builder("store").settings(settings).build()?;
/// let read = policy.run(|cx| {
///     if cx.attempt() < 3 { Err(io::Error::from(io::ErrorKind::TimedOut)) } else { Ok(17) }
/// });
/// assert_eq!(read.unwrap(), 17);
///
/// match policy.run(|_| Err::<u32, _>(io::Error::from(io::ErrorKind::NotFound))) {
///     Err(PolicyError::Failed { source, trail, .. }) => {
///         assert_eq!((source.kind(), trail.attempts), (io::ErrorKind::NotFound, 1));
///     }
///     _ => unreachable!("it failed"),
/// }
/// # Ok::<(), underpin::resilience::PolicySettingsError>(())
/// ```
#[derive(Clone)]
pub struct Policy(Arc<Inside>);

struct Inside {
    means: Means,
    parts: Snapshot<Parts>,
    /// Held by whoever changes them.
    stock: Mutex<Stock>,
    count: Count,
    hush: Hush,
    voice: Voice,
    /// Where its events go if nobody else was said.
    #[cfg_attr(not(all(feature = "foundation", feature = "events")), expect(dead_code))]
    relay: Arc<Relay>,
    /// Times are counted from here.
    birth: Instant,
}

impl Inside {
    /// In nanoseconds from its birth.
    fn age(&self, at: Instant) -> u64 {
        nanos(at.saturating_duration_since(self.birth))
    }
}

impl Policy {
    /// Describes a policy. The name is in its errors and events.
    pub fn builder(name: impl Into<Arc<str>>) -> PolicyBuilder {
        PolicyBuilder::new(name.into())
    }

    fn new(means: Means, relay: Arc<Relay>, voice: Voice, checked: Checked) -> Self {
        let mut stock = Stock::default();
        let (parts, _nothing_changed) = stock.fit(checked, &means);
        Self(Arc::new(Inside {
            birth: means.clock.now(),
            means,
            parts: Snapshot::new(Arc::new(parts)),
            stock: Mutex::new(stock),
            count: Count::default(),
            hush: Hush::default(),
            voice,
            relay,
        }))
    }

    /// Who hears of its events, if nobody has said it.
    #[cfg(all(feature = "foundation", feature = "events"))]
    pub(crate) fn set_default_sink(&self, sink: Arc<dyn Sink>) {
        self.0.relay.lead_to(sink);
    }

    /// Whether both are the same one.
    #[cfg(feature = "foundation")]
    pub(crate) fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// Its name.
    pub fn name(&self) -> &Arc<str> {
        &self.0.means.name
    }

    /// Runs `work`, as often as there are attempts. Its errors say themselves what they mean.
    ///
    /// # Errors
    ///
    /// What has ended it, and what it went through.
    ///
    /// # Panics
    ///
    /// When `work` does. The breaker takes it for a failure.
    ///
    /// # Blocking
    ///
    /// As long as the parts may wait for permits and between attempts, and as long as `work` takes. In a handler it
    /// waits no longer than the caller does.
    ///
    /// # Example
    ///
    /// See [`Policy`].
    pub fn run<T, E: Classify>(
        &self,
        work: impl FnMut(&PolicyContext<'_>) -> Result<T, E>,
    ) -> Result<T, PolicyError<E>> {
        self.call().run(work)
    }

    /// The same, where `judge` says what an error means: for errors of others. It is asked after each attempt that
    /// failed.
    ///
    /// # Errors
    ///
    /// As [`run`](Self::run).
    ///
    /// # Panics
    ///
    /// As [`run`](Self::run), and when `judge` does.
    ///
    /// # Blocking
    ///
    /// As [`run`](Self::run).
    ///
    /// # Example
    ///
    /// ```
    /// use std::num::ParseIntError;
    /// use underpin::ErrorKind;
    /// use underpin::resilience::{Classifier, Policy};
    ///
    /// let classifier = Classifier::new().on(|_: &ParseIntError| Some(ErrorKind::User));
    /// let policy = Policy::builder("numbers").build()?;
    /// let error = policy
    ///     .run_with(|error: &ParseIntError| classifier.kind(error).into(), |_| "seven".parse::<u8>())
    ///     .unwrap_err();
    /// assert_eq!(error.kind(), ErrorKind::User);
    /// # Ok::<(), underpin::resilience::PolicySettingsError>(())
    /// ```
    pub fn run_with<T, E>(
        &self,
        judge: impl FnMut(&E) -> Fault,
        work: impl FnMut(&PolicyContext<'_>) -> Result<T, E>,
    ) -> Result<T, PolicyError<E>> {
        self.call_with(judge).run(work)
    }

    /// Runs `work`, and asks `substitute` for a value where there is none.
    ///
    /// # Errors
    ///
    /// As [`run`](Self::run), where `substitute` has none either.
    ///
    /// # Panics
    ///
    /// As [`run`](Self::run), and when `substitute` does.
    ///
    /// # Blocking
    ///
    /// As [`run`](Self::run).
    ///
    /// # Example
    ///
    /// ```
    /// use underpin::ErrorKind;
    /// use underpin::resilience::Policy;
    ///
    /// let policy = Policy::builder("greeting").build()?;
    /// let hello = |error: &underpin::resilience::PolicyError<_>| {
    ///     (error.kind() != ErrorKind::User).then_some("hello")
    /// };
    /// assert_eq!(policy.run_or(|_| Err(ErrorKind::System), hello).unwrap(), "hello");
    /// assert!(policy.run_or(|_| Err(ErrorKind::User), hello).is_err());
    /// # Ok::<(), underpin::resilience::PolicySettingsError>(())
    /// ```
    pub fn run_or<T, E: Classify>(
        &self,
        work: impl FnMut(&PolicyContext<'_>) -> Result<T, E>,
        substitute: impl FnOnce(&PolicyError<E>) -> Option<T>,
    ) -> Result<T, PolicyError<E>> {
        self.call().run_or(work, substitute)
    }

    /// Runs `work`, and serves the last good value of `fallback` where it fails in a way to be covered up: when it was
    /// refused, and by what is transient or the system's.
    ///
    /// # Errors
    ///
    /// As [`run`](Self::run), where there is no value that is young enough.
    ///
    /// # Panics
    ///
    /// As [`run`](Self::run).
    ///
    /// # Blocking
    ///
    /// As [`run`](Self::run).
    ///
    /// # Example
    ///
    /// ```
    /// use std::time::Duration;
    /// use underpin::resilience::{Fallback, Policy, ServedFrom};
    /// use underpin::{Clock, ErrorKind};
    ///
    /// let (clock, hand) = Clock::manual();
    /// let rates: Fallback<u32> = Fallback::builder("rates").clock(clock).build();
    /// let policy = Policy::builder("rates").build()?;
    /// policy.run_or_last(&rates, |_| Ok::<_, ErrorKind>(117)).unwrap();
    /// hand.advance(Duration::from_secs(5));
    /// let served = policy.run_or_last(&rates, |_| Err(ErrorKind::System)).unwrap();
    /// assert_eq!((*served.value, served.from), (117, ServedFrom::Cached { age: Duration::from_secs(5) }));
    /// # Ok::<(), underpin::resilience::PolicySettingsError>(())
    /// ```
    pub fn run_or_last<T, E: Classify>(
        &self,
        fallback: &Fallback<T>,
        work: impl FnMut(&PolicyContext<'_>) -> Result<T, E>,
    ) -> Result<Served<T>, PolicyError<E>> {
        self.call().run_or_last(fallback, work)
    }

    /// A run with more to be said about it.
    ///
    /// # Example
    ///
    /// See [`PolicyCall`].
    pub fn call<E: Classify>(&self) -> PolicyCall<'_, fn(&E) -> Fault> {
        PolicyCall::new(self, Fault::of)
    }

    /// The same, where `judge` says what an error means.
    ///
    /// # Example
    ///
    /// ```
    /// use underpin::ErrorKind;
    /// use underpin::resilience::{Fault, Policy};
    ///
    /// let policy = Policy::builder("numbers").build()?;
    /// let judge = |_: &std::num::ParseIntError| Fault::from(ErrorKind::User);
    /// let number = policy.call_with(judge).run_or(|_| "seven".parse::<u8>(), |_| Some(7));
    /// assert_eq!(number.unwrap(), 7);
    /// # Ok::<(), underpin::resilience::PolicySettingsError>(())
    /// ```
    pub fn call_with<E, J: FnMut(&E) -> Fault>(&self, judge: J) -> PolicyCall<'_, J> {
        PolicyCall::new(self, judge)
    }

    /// Goes by these settings from now on. Its sink hears `changed`, if they are others.
    ///
    /// # Errors
    ///
    /// When an option is out of its bounds. Nothing changes then.
    ///
    /// # Blocking
    ///
    /// Never, save for others who do the same at this moment.
    ///
    /// # Example
    ///
    /// ```
    /// use underpin::resilience::{BulkheadSettings, Policy, PolicySettings};
    ///
    /// let policy = Policy::builder("store").build()?;
    /// let bulkhead = BulkheadSettings { max_concurrent_calls: 4, ..Default::default() };
    /// let settings = PolicySettings { bulkhead: Some(bulkhead), ..policy.settings() };
    /// policy.change(settings.clone())?;
    /// assert_eq!(policy.settings(), settings);
    /// # Ok::<(), underpin::resilience::PolicySettingsError>(())
    /// ```
    pub fn change(&self, settings: PolicySettings) -> Result<(), PolicySettingsError> {
        let checked = Checked::new(self.name(), settings)?;
        let Some((difference, changed)) = self.swap(checked) else { return Ok(()) };
        changed.into_iter().for_each(Changed::tell);
        self.0.voice.tell(self.name(), "changed", self.0.means.clock.now(), || difference);
        Ok(())
    }

    /// `None` if they are no others.
    fn swap(&self, checked: Checked) -> Option<(String, Option<Changed>)> {
        let mut stock = self.0.stock.lock();
        let before = self.0.parts.load();
        if before.settings == checked.settings {
            return None;
        }
        let difference = difference(&before.settings, &checked.settings);
        let (parts, changed) = stock.fit(checked, &self.0.means);
        self.0.parts.store(Arc::new(parts));
        Some((difference, changed))
    }

    /// What it goes by.
    pub fn settings(&self) -> PolicySettings {
        self.0.parts.peek().settings.clone()
    }

    /// Its breaker, if it has one: to be opened and closed by hand.
    ///
    /// # Example
    ///
    /// ```
    /// use underpin::ErrorKind;
    /// use underpin::resilience::{BreakerSettings, Policy, PolicyError, PolicySettings};
    ///
    /// let settings = PolicySettings { breaker: Some(BreakerSettings::default()), ..Default::default() };
    /// let policy = Policy::builder("store").settings(settings).build()?;
    /// policy.breaker().expect("it has one").force_open();
    /// let refused = policy.run(|_| Ok::<_, ErrorKind>(()));
    /// assert!(matches!(refused, Err(PolicyError::Open { .. })));
    /// # Ok::<(), underpin::resilience::PolicySettingsError>(())
    /// ```
    pub fn breaker(&self) -> Option<CircuitBreaker> {
        self.0.parts.peek().breaker.clone()
    }

    /// How it stands now.
    ///
    /// # Example
    ///
    /// See [`PolicySnapshot`].
    pub fn snapshot(&self) -> PolicySnapshot {
        let parts = self.0.parts.load();
        PolicySnapshot {
            name: Arc::clone(self.name()),
            settings: parts.settings.clone(),
            counts: self.0.count.counts(self.0.hush.untold()),
            shedding: parts.shedder.as_ref().map(|shedder| shedder.snapshot()),
            rate: parts.limiter.as_ref().map(|(limiter, _)| limiter.snapshot()),
            bulkhead: parts.bulkhead.as_ref().map(|(bulkhead, _)| bulkhead.snapshot()),
            breaker: parts.breaker.as_ref().map(|breaker| breaker.snapshot()),
            retry: parts.retry.as_ref().map(|retry| retry.snapshot()),
        }
    }
}

impl fmt::Debug for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Policy(`{}`)", self.name())
    }
}

#[cfg(all(test, not(underpin_loom)))]
mod tests;
