//! How much is done at once, as much as goes well.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::bulkhead::{Bulkhead, BulkheadError, BulkheadPermit, BulkheadSnapshot};
use super::gradient::Gradient;
use super::patience::Patience;
use super::sink::{Sink, Voice};
use super::timeline::Timeline;
use crate::sync::{Clock, Mutex};

/// Where the limit begins, and its bounds, if nothing is said: as in Netflix's concurrency-limits, save for the least.
const DEFAULT_INITIAL: u32 = 20;
const DEFAULT_LEAST: u32 = 1;
const DEFAULT_MOST: u32 = 200;
/// A change by one part in so many is told.
const WORTH_TELLING: u32 = 4;

/// How much is done at once, as much as goes well: a [`Bulkhead`] whose limit is found out.
///
/// The limit is learnt from how long things take, with the gradient of Netflix's concurrency-limits: it falls while
/// they take more than one and a half times as long as usual, down to about 8, and by a tenth in each 100 ms in which
/// something was [too much](Load::TooMuch), down to its [least](AdaptiveLimitBuilder::min_limit). It rises by 0.8 in each
/// 100 ms in which work is done, all is well and half of it is in use, whatever was before: from 1 to 20 in some two
/// and a half seconds. What is slow for longer becomes usual within a minute.
///
/// Permits are given in the order of arrival, as a bulkhead's are. Its [sink](AdaptiveLimitBuilder::sink) hears
/// `limit_lowered` and `limit_raised` when the limit has changed by a quarter since it was last told. Clones are the
/// same limit.
///
/// # Example
///
/// ```
/// use std::time::Duration;
/// use underpin::resilience::{AdaptiveLimit, Load};
///
/// let limit = AdaptiveLimit::builder("store").initial_limit(10).build();
/// let permit = limit.acquire(Duration::from_millis(50))?;
/// // .. what is limited ..
/// permit.finish(Load::Fine);
/// let answer = limit.call(Duration::ZERO, || Ok::<_, ()>(7), |result| match result {
///     Ok(_) => Load::Fine,
///     Err(_) => Load::TooMuch,
/// })?;
/// assert_eq!(answer, Ok(7));
/// # Ok::<(), underpin::resilience::BulkheadError>(())
/// ```
#[derive(Clone)]
pub struct AdaptiveLimit(Arc<Inside>);

struct Inside {
    bulkhead: Bulkhead,
    time: Timeline,
    learning: Mutex<Learning>,
    voice: Voice,
}

struct Learning {
    gradient: Gradient,
    /// The limit that was told last.
    told: u32,
}

/// How something went, with regard to how much was done at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Load {
    /// It was done, and the time that it took counts.
    Fine,
    /// It failed for there was too much: it came too late, or was refused as too much elsewhere.
    TooMuch,
    /// It says nothing: it failed at once, or for another reason.
    Unknown,
}

impl AdaptiveLimit {
    /// A limit of which nothing is said.
    pub fn new(name: impl Into<Arc<str>>) -> Self {
        Self::builder(name).build()
    }

    /// A limit with more said about it.
    ///
    /// # Example
    ///
    /// See [`AdaptiveLimitBuilder`].
    pub fn builder(name: impl Into<Arc<str>>) -> AdaptiveLimitBuilder {
        AdaptiveLimitBuilder::new(name.into())
    }

    /// Takes a permit, if there is one and nobody waits. The time that the work takes counts from here.
    ///
    /// # Errors
    ///
    /// [`Full`](BulkheadError::Full) otherwise.
    ///
    /// # Blocking
    ///
    /// Never, save for others who do the same at this moment.
    pub fn try_acquire(&self) -> Result<AdaptivePermit, BulkheadError> {
        self.acquire(Patience::NONE)
    }

    /// Takes a permit, and waits for it. The time that the work takes counts from when it has it.
    ///
    /// # Errors
    ///
    /// [`Full`](BulkheadError::Full) if there was none in time.
    ///
    /// # Blocking
    ///
    /// Until there is room, never beyond the end of the patience.
    pub fn acquire(&self, patience: impl Into<Patience>) -> Result<AdaptivePermit, BulkheadError> {
        let permit = self.0.bulkhead.acquire(patience)?;
        Ok(AdaptivePermit { permit, began: self.0.time.now(), inside: Arc::clone(&self.0) })
    }

    /// Does something with a permit, and asks `judge` how it went. If it panics, nothing is known.
    ///
    /// # Errors
    ///
    /// As [`acquire`](Self::acquire); then it was not done.
    ///
    /// # Blocking
    ///
    /// As [`acquire`](Self::acquire), and as long as it takes.
    pub fn call<T>(
        &self,
        patience: impl Into<Patience>,
        work: impl FnOnce() -> T,
        judge: impl FnOnce(&T) -> Load,
    ) -> Result<T, BulkheadError> {
        let permit = self.acquire(patience)?;
        let result = work();
        let took = permit.took();
        let load = judge(&result);
        permit.finish_after(load, took);
        Ok(result)
    }

    /// How it stands now.
    ///
    /// # Example
    ///
    /// ```
    /// use underpin::resilience::AdaptiveLimit;
    ///
    /// let snapshot = AdaptiveLimit::new("store").snapshot();
    /// assert_eq!((snapshot.bulkhead.max_concurrent_calls, snapshot.bulkhead.in_use), (20, 0));
    /// ```
    pub fn snapshot(&self) -> AdaptiveLimitSnapshot {
        let usual = Duration::from_nanos(self.0.learning.lock().gradient.usual_nanos());
        AdaptiveLimitSnapshot { bulkhead: self.0.bulkhead.snapshot(), usual }
    }
}

impl Inside {
    /// From where to where the limit has changed, if that is to be told.
    fn learn(&self, now: u64, took: u64, was_too_much: bool) -> Option<(u32, u32)> {
        let in_flight = self.bulkhead.in_use();
        let mut learning = self.learning.lock();
        let before = learning.gradient.limit();
        learning.gradient.sample(now, took, in_flight, was_too_much);
        let limit = learning.gradient.limit();
        if limit != before {
            // Under the lock, so that of two changes the later one stays.
            self.bulkhead.change_max_concurrent_calls(limit);
        }
        let told = learning.told;
        let is_news = limit.abs_diff(told) >= (told / WORTH_TELLING).max(1);
        if is_news {
            learning.told = limit;
        }
        is_news.then_some((told, limit))
    }

    #[cold]
    fn tell(&self, from: u32, to: u32) {
        let kind = if to < from { "limit_lowered" } else { "limit_raised" };
        let now = self.time.clock().now();
        self.voice.tell(self.bulkhead.name(), kind, now, || format!("from {from} to {to}"));
    }
}

impl fmt::Debug for AdaptiveLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AdaptiveLimit(`{}`)", self.0.bulkhead.name())
    }
}

/// A permit of an [`AdaptiveLimit`]. It is given back when it is dropped, on any thread; if nothing was said by then,
/// it says nothing.
#[must_use = "it is given back when it is dropped"]
pub struct AdaptivePermit {
    permit: BulkheadPermit,
    began: u64,
    inside: Arc<Inside>,
}

impl AdaptivePermit {
    /// It is done, and went so.
    ///
    /// # Blocking
    ///
    /// Never, save for others who do the same at this moment; and as long as the sink takes, if the limit changes.
    pub fn finish(self, load: Load) {
        let took = self.took();
        self.finish_after(load, took);
    }

    fn took(&self) -> u64 {
        self.inside.time.now().saturating_sub(self.began)
    }

    fn finish_after(self, load: Load, took: u64) {
        let Self { permit, began, inside } = self;
        let news = match load {
            Load::Fine => inside.learn(began.saturating_add(took), took, false),
            Load::TooMuch => inside.learn(began.saturating_add(took), took, true),
            Load::Unknown => None,
        };
        drop(permit); // before the sink hears of it, which may want one, or take its time
        if let Some((from, to)) = news {
            inside.tell(from, to);
        }
    }
}

impl fmt::Debug for AdaptivePermit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Adaptive{:?}", self.permit)
    }
}

/// How an [`AdaptiveLimit`] stands.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct AdaptiveLimitSnapshot {
    /// The bulkhead; its `max_concurrent_calls` is the limit now.
    pub bulkhead: BulkheadSnapshot,
    /// How long things usually take. Zero as long as that is not known.
    pub usual: Duration,
}

/// What an [`AdaptiveLimit`] is like.
///
/// # Example
///
/// ```
/// use underpin::resilience::AdaptiveLimit;
///
/// let limit = AdaptiveLimit::builder("store").min_limit(2).initial_limit(1).max_limit(50).build();
/// assert_eq!(limit.snapshot().bulkhead.max_concurrent_calls, 2);
/// ```
#[must_use]
pub struct AdaptiveLimitBuilder {
    name: Arc<str>,
    least: u32,
    initial: u32,
    most: u32,
    sink: Option<Arc<dyn Sink>>,
    clock: Clock,
}

impl AdaptiveLimitBuilder {
    fn new(name: Arc<str>) -> Self {
        let (least, initial, most) = (DEFAULT_LEAST, DEFAULT_INITIAL, DEFAULT_MOST);
        Self { name, least, initial, most, sink: None, clock: Clock::system() }
    }

    /// Where the limit begins. 20 if nothing is said; what is outside the bounds counts as the nearer one.
    pub fn initial_limit(mut self, limit: u32) -> Self {
        self.initial = limit;
        self
    }

    /// What the limit never falls below, at least 1. 1 if nothing is said.
    pub fn min_limit(mut self, least: u32) -> Self {
        self.least = least;
        self
    }

    /// What the limit never rises above. 200 if nothing is said; the least if that is more.
    pub fn max_limit(mut self, most: u32) -> Self {
        self.most = most;
        self
    }

    /// Who hears of it when the limit changes. Nobody, if nothing is said.
    pub fn sink(mut self, sink: Arc<dyn Sink>) -> Self {
        self.sink = Some(sink);
        self
    }

    /// Where it reads its time from. The system's clock, if nothing is said.
    pub fn clock(mut self, clock: Clock) -> Self {
        self.clock = clock;
        self
    }

    /// The limit.
    pub fn build(self) -> AdaptiveLimit {
        let gradient = Gradient::new(self.least, self.initial, self.most);
        let told = gradient.limit();
        AdaptiveLimit(Arc::new(Inside {
            bulkhead: Bulkhead::builder(self.name)
                .max_concurrent_calls(told)
                .clock(self.clock.clone())
                .build(),
            time: Timeline::new(self.clock),
            learning: Mutex::new(Learning { gradient, told }),
            voice: Voice::new(self.sink),
        }))
    }
}

impl fmt::Debug for AdaptiveLimitBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AdaptiveLimitBuilder(`{}`)", self.name)
    }
}

#[cfg(all(test, not(underpin_loom)))]
mod tests {
    use super::super::sink::Event;
    use super::*;
    use crate::sync::ManualClock;

    const MS: Duration = Duration::from_millis(1);

    #[derive(Default)]
    struct Heard(Mutex<Vec<Event>>);

    impl Sink for Heard {
        fn event(&self, event: &Event) {
            self.0.lock().push(event.clone());
        }
    }

    fn limit() -> (AdaptiveLimitBuilder, ManualClock) {
        let (clock, hand) = Clock::manual();
        (AdaptiveLimit::builder("x").clock(clock), hand)
    }

    fn now(limit: &AdaptiveLimit) -> u32 {
        limit.snapshot().bulkhead.max_concurrent_calls
    }

    /// So many times all that is allowed is done at once, and takes so long.
    fn rounds(limit: &AdaptiveLimit, hand: &ManualClock, count: u32, took: Duration, load: Load) -> u32 {
        for _ in 0..count {
            let permits: Vec<_> = std::iter::from_fn(|| limit.try_acquire().ok()).collect();
            assert_eq!(permits.len(), now(limit) as usize);
            hand.advance(took);
            permits.into_iter().for_each(|permit| permit.finish(load));
        }
        now(limit)
    }

    #[test]
    fn a_slow_spell_brings_it_down_and_its_end_up_again() {
        let (builder, hand) = limit();
        let limit = builder.build();
        let calm = rounds(&limit, &hand, 200, 10 * MS, Load::Fine);
        assert!(calm > 30, "{calm}");
        assert_eq!(rounds(&limit, &hand, 100, 5000 * MS, Load::TooMuch), 1);
        let after = rounds(&limit, &hand, 300, 10 * MS, Load::Fine);
        assert!(after > 20, "{after}");
        assert!(limit.snapshot().usual < 20 * MS, "{:?}", limit.snapshot());
    }

    #[test]
    fn what_says_nothing_changes_nothing() {
        let (builder, hand) = limit();
        let limit = builder.build();
        assert_eq!(rounds(&limit, &hand, 50, 1000 * MS, Load::Unknown), 20);
        for _ in 0..50 {
            let _permit = limit.try_acquire().expect("there is room");
            hand.advance(1000 * MS);
        }
        assert_eq!((now(&limit), limit.snapshot().usual, limit.0.bulkhead.in_use()), (20, Duration::ZERO, 0));
    }

    #[test]
    fn large_changes_are_told() {
        let (builder, hand) = limit();
        let heard = Arc::new(Heard::default());
        let limit = builder.sink(Arc::clone(&heard) as Arc<dyn Sink>).build();
        rounds(&limit, &hand, 4, 100 * MS, Load::TooMuch);
        rounds(&limit, &hand, 20, 100 * MS, Load::Fine);
        let events = heard.0.lock();
        let told: Vec<_> = events.iter().map(|event| (event.kind, &*event.detail)).collect();
        assert_eq!(told[..2], [("limit_lowered", "from 20 to 14"), ("limit_raised", "from 14 to 17")]);
        assert!(told[2..].iter().all(|(kind, _)| *kind == "limit_raised"), "{told:?}");
    }

    #[test]
    fn a_call_is_judged_by_the_time_that_it_took_and_not_by_that_of_its_judge() {
        let (builder, hand) = limit();
        let limit = builder.build();
        for _ in 0..3 {
            let work = || hand.advance(100 * MS);
            let judge = |_: &()| {
                hand.advance(900 * MS);
                Load::Fine
            };
            assert_eq!(limit.call(Duration::ZERO, work, judge), Ok(()));
        }
        assert_eq!(limit.snapshot().usual, 100 * MS);
    }

    #[test]
    fn who_waits_is_let_in_when_the_limit_rises() {
        let (builder, hand) = limit();
        let limit = builder.initial_limit(1).build();
        let (one, two) = (limit.try_acquire().expect("there is room"), limit.clone());
        let waiter = std::thread::spawn(move || two.acquire(Duration::from_secs(3600)).is_ok());
        while limit.snapshot().bulkhead.waiting == 0 {
            std::thread::yield_now();
        }
        let began = limit.0.time.now();
        for window in 1..4 {
            limit.0.learn(began + window * 200_000_000, 1, false);
        }
        assert!(waiter.join().expect("no panic"));
        drop((one, hand));
    }

    #[test]
    fn a_sink_may_take_the_permit_whose_end_it_hears_of() {
        struct Takes(Mutex<Option<AdaptiveLimit>>, Mutex<Vec<bool>>);
        impl Sink for Takes {
            fn event(&self, _: &Event) {
                let limit = self.0.lock().clone().expect("it is there");
                self.1.lock().push(limit.try_acquire().is_ok());
            }
        }
        let (builder, hand) = limit();
        let sink = Arc::new(Takes(Mutex::new(None), Mutex::new(Vec::new())));
        let limit = builder.initial_limit(2).sink(Arc::clone(&sink) as Arc<dyn Sink>).build();
        *sink.0.lock() = Some(limit.clone());
        for _ in 0..3 {
            let permit = limit.try_acquire().expect("there is room");
            hand.advance(100 * MS);
            permit.finish(Load::TooMuch);
        }
        assert_eq!((now(&limit), sink.1.lock().clone()), (1, vec![true]));
        *sink.0.lock() = None;
    }

    #[test]
    fn the_limit_stays_within_its_bounds() {
        let (builder, hand) = limit();
        let limit = builder.min_limit(3).initial_limit(9).max_limit(12).build();
        assert_eq!(rounds(&limit, &hand, 60, 100 * MS, Load::TooMuch), 3);
        assert_eq!(rounds(&limit, &hand, 60, 100 * MS, Load::Fine), 12);
        assert_eq!(now(&AdaptiveLimit::builder("x").initial_limit(0).build()), 1);
        assert_eq!(now(&AdaptiveLimit::builder("x").initial_limit(u32::MAX).build()), 200);
        assert_eq!(now(&AdaptiveLimit::builder("x").min_limit(9).max_limit(2).build()), 9);
    }
}
