//! How often something may be done.

mod builder;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

pub use builder::RateLimiterBuilder;
pub(crate) use builder::{DEFAULT_LIMIT, DEFAULT_PERIOD, DEFAULT_TIMEOUT};

use super::limited::{AcquireError, Limited};
use super::patience::Patience;
use super::timeline::Timeline;
use crate::gcra::Gcra;
use crate::sync::{AtomicU64, Mutex, Ordering, Tally, fence, mutant};

/// By so much at most a reading of the clock is late, as a rule.
const LATE_NANOS: u64 = 1_000_000;
/// Stands for the arrival time while the rate is changed.
const CHANGING: u64 = u64::MAX;

/// How often something may be done: so many times in a period, evenly, and so many at once.
///
/// Exact under any number of threads: it lets through what a bucket of [burst](RateLimiterBuilder::burst) tokens lets
/// through that is filled evenly, one token after the other, and not one more. In any stretch of time that is at most
/// the burst and what the rate gives meanwhile; where no more than a limit may be in any period whatever, a
/// [`SlidingWindow`](super::SlidingWindow) is the thing. Between two permits there are whole nanoseconds, rounded up.
///
/// All of it is one atomic word (the generic cell rate algorithm of ITU-T I.371): no lock, no thread, no timer. Clones
/// are the same limiter. Options are named as resilience4j's, and so are the defaults.
///
/// # Example
///
/// ```
/// use std::time::Duration;
/// use underpin::Clock;
/// use underpin::resilience::RateLimiter;
///
/// let (clock, hand) = Clock::manual();
/// let limiter = RateLimiter::builder("mail")
///     .limit_for_period(10)
///     .limit_refresh_period(Duration::from_secs(1))
///     .burst(2)
///     .clock(clock)
///     .build();
/// assert!(limiter.try_acquire().is_ok() && limiter.try_acquire().is_ok());
/// assert_eq!(limiter.try_acquire().unwrap_err().retry_after, Duration::from_millis(100));
/// hand.advance(Duration::from_millis(100));
/// assert!(limiter.try_acquire().is_ok());
/// ```
#[derive(Clone)]
pub struct RateLimiter(Arc<Inside>);

struct Inside {
    /// The theoretical arrival time.
    arrival: AtomicU64,
    rate: Rate,
    /// Held by whoever changes the rate.
    changing: Mutex<()>,
    time: Timeline,
    name: Arc<str>,
    timeout: Duration,
    limited: Tally,
}

/// What is let through. It is written while the arrival time is [`CHANGING`], and counts with the arrival time that
/// was read before it.
struct Rate {
    interval_nanos: AtomicU64,
    most_nanos: AtomicU64,
    burst: AtomicU64,
}

impl Rate {
    fn new(gcra: Gcra, burst: u32) -> Self {
        let (interval, most) = gcra.nanos();
        let [interval_nanos, most_nanos, burst] = [interval, most, burst.into()].map(AtomicU64::new);
        Self { interval_nanos, most_nanos, burst }
    }

    #[inline]
    fn gcra(&self) -> Gcra {
        let get = |number: &AtomicU64| number.load(Ordering::Relaxed);
        Gcra::of_nanos(get(&self.interval_nanos), get(&self.most_nanos))
    }

    fn burst(&self) -> u32 {
        u32::try_from(self.burst.load(Ordering::Relaxed)).unwrap_or(u32::MAX)
    }

    // ORDERING: the fence is the other half of that in `is_still`: who reads a number of this finds the arrival time
    // changed from then on.
    fn set(&self, gcra: Gcra, burst: u32) {
        fence(Ordering::Release);
        let (interval, most) = gcra.nanos();
        self.interval_nanos.store(interval, Ordering::Relaxed);
        self.most_nanos.store(most, Ordering::Relaxed);
        self.burst.store(burst.into(), Ordering::Relaxed);
    }
}

impl RateLimiter {
    /// So many permits in each `period`, as many at once, by the system's clock.
    pub fn new(name: impl Into<Arc<str>>, limit: u32, period: Duration) -> Self {
        Self::builder(name).limit_for_period(limit).limit_refresh_period(period).build()
    }

    /// A limiter with more said about it.
    ///
    /// # Example
    ///
    /// See [`RateLimiterBuilder`].
    pub fn builder(name: impl Into<Arc<str>>) -> RateLimiterBuilder {
        RateLimiterBuilder::new(name.into())
    }

    /// Takes a permit, if there is one.
    ///
    /// # Errors
    ///
    /// When there will be one. Nothing is taken then.
    ///
    /// # Blocking
    ///
    /// Never.
    #[inline]
    pub fn try_acquire(&self) -> Result<(), Limited> {
        let (inside, now) = (&*self.0, self.0.time.now());
        match inside.advance(|arrival| inside.gcra().admit(arrival, now).map(|next| (next, ()))) {
            Ok(()) => Ok(()),
            Err(wait) => self.try_again(1, wait),
        }
    }

    /// Takes so many permits, or none.
    ///
    /// # Errors
    ///
    /// [`Limited`](AcquireError::Limited) if there are too few now, [`TooMany`](AcquireError::TooMany) if there never
    /// are so many at once.
    ///
    /// # Blocking
    ///
    /// Never.
    ///
    /// # Example
    ///
    /// ```
    /// use std::time::Duration;
    /// use underpin::resilience::RateLimiter;
    ///
    /// let limiter = RateLimiter::new("bytes", 1000, Duration::from_secs(3600));
    /// assert!(limiter.try_acquire_many(990).is_ok());
    /// assert!(limiter.try_acquire_many(20).is_err());
    /// assert!(limiter.try_acquire_many(10).is_ok());
    /// ```
    pub fn try_acquire_many(&self, permits: u32) -> Result<(), AcquireError> {
        self.check(permits)?;
        let (inside, now) = (&*self.0, self.0.time.now());
        match inside.advance(|arrival| inside.gcra().admit_many(arrival, now, permits).map(|next| (next, ())))
        {
            Ok(()) => Ok(()),
            Err(wait) => Ok(self.try_again(permits, wait)?),
        }
    }

    /// Takes a permit, and waits for it.
    ///
    /// The permit is reserved at once, and the thread parks until its moment: who came first goes first, and nobody
    /// looks again and again. A thread that comes to the end of its patience before that moment does not wait at all.
    ///
    /// # Errors
    ///
    /// When there will be one, if that is too late. Nothing is taken then.
    ///
    /// # Blocking
    ///
    /// Until the permit's moment, never beyond the end of the patience.
    ///
    /// # Example
    ///
    /// ```
    /// use std::time::Duration;
    /// use underpin::resilience::RateLimiter;
    ///
    /// let limiter = RateLimiter::builder("mail")
    ///     .limit_for_period(1)
    ///     .limit_refresh_period(Duration::from_millis(5))
    ///     .build();
    /// limiter.acquire(Duration::ZERO)?;
    /// limiter.acquire(Duration::from_secs(1))?; // after 5 ms
    /// assert!(limiter.acquire(Duration::from_nanos(1)).is_err());
    /// # Ok::<(), underpin::resilience::Limited>(())
    /// ```
    pub fn acquire(&self, patience: impl Into<Patience>) -> Result<(), Limited> {
        self.wait_for(1, patience.into())
    }

    /// Takes so many permits at once, and waits for them, as [`acquire`](Self::acquire) does.
    ///
    /// # Errors
    ///
    /// As [`try_acquire_many`](Self::try_acquire_many).
    ///
    /// # Blocking
    ///
    /// As [`acquire`](Self::acquire).
    pub fn acquire_many(&self, permits: u32, patience: impl Into<Patience>) -> Result<(), AcquireError> {
        self.check(permits)?;
        Ok(self.wait_for(permits, patience.into())?)
    }

    /// Does something once there is a permit, for which it waits [so long](RateLimiterBuilder::timeout_duration).
    ///
    /// # Errors
    ///
    /// As [`acquire`](Self::acquire); then it was not done.
    ///
    /// # Blocking
    ///
    /// As [`acquire`](Self::acquire), and as long as it takes.
    ///
    /// # Example
    ///
    /// ```
    /// use underpin::resilience::RateLimiter;
    ///
    /// let limiter = RateLimiter::builder("mail").build();
    /// assert_eq!(limiter.call(|| 7), Ok(7));
    /// ```
    pub fn call<T>(&self, work: impl FnOnce() -> T) -> Result<T, Limited> {
        self.acquire(self.0.timeout)?;
        Ok(work())
    }

    /// Its name.
    pub fn name(&self) -> &Arc<str> {
        &self.0.name
    }

    /// How it stands now.
    ///
    /// # Example
    ///
    /// ```
    /// use std::time::Duration;
    /// use underpin::resilience::RateLimiter;
    ///
    /// let limiter = RateLimiter::new("mail", 2, Duration::from_secs(3600));
    /// (0..3).for_each(|_| drop(limiter.try_acquire()));
    /// let snapshot = limiter.snapshot();
    /// assert_eq!((snapshot.available, snapshot.burst, snapshot.limited), (0, 2, 1));
    /// ```
    pub fn snapshot(&self) -> RateLimiterSnapshot {
        let inside = &*self.0;
        let arrival = inside.settled();
        RateLimiterSnapshot {
            name: Arc::clone(&inside.name),
            available: inside.gcra().available(arrival, inside.time.now()),
            burst: inside.rate.burst(),
            interval: Duration::from_nanos(inside.gcra().interval_nanos()),
            limited: inside.limited.load(Ordering::Relaxed),
        }
    }

    /// Takes as many of so many permits as there are, one at least.
    pub(crate) fn try_acquire_some(&self, permits: u32) -> Result<u32, Limited> {
        let (inside, now) = (&*self.0, self.0.time.now());
        inside
            .advance(|arrival| inside.gcra().admit_some(arrival, now, permits))
            .map_err(|wait| inside.limited(wait))
    }

    pub(crate) fn burst(&self) -> u32 {
        self.0.rate.burst()
    }

    /// Takes a permit as [`acquire`](Self::acquire) does, for somebody who waits for its moment elsewhere: so long.
    pub(crate) fn reserve(&self, patience: Patience) -> Result<Duration, Limited> {
        let (now, at) = self.reserve_many(1, patience)?;
        Ok(Duration::from_nanos(at - now))
    }

    /// So many in a period from now on, and so many at once, of each one at least. There are as many permits as there
    /// were, if so many may be; who waits for one keeps its moment.
    pub(crate) fn change(&self, limit: u32, period: Duration, burst: u32) {
        let inside = &*self.0;
        let _one = inside.changing.lock();
        let (before, burst) = (inside.gcra(), burst.max(1));
        let after = Gcra::new(limit, period, burst);
        if (before, inside.rate.burst()) != (after, burst) {
            let arrival = if mutant!(ChangeBlindly) {
                inside.arrival.load(Ordering::Acquire)
            } else {
                inside.arrival.swap(CHANGING, Ordering::AcqRel)
            };
            inside.rate.set(after, burst);
            let arrival = before.carried(arrival, inside.time.now(), &after);
            inside.arrival.store(arrival, Ordering::Release);
        }
    }

    /// The clock was read before others took what there was then. If it is early by little there may be more by now:
    /// nobody is told of a limit that does not stand.
    #[cold]
    fn try_again(&self, permits: u32, wait: u64) -> Result<(), Limited> {
        let inside = &*self.0;
        if wait > LATE_NANOS {
            return Err(inside.limited(wait));
        }
        let now = inside.time.now();
        inside
            .advance(|arrival| inside.gcra().admit_many(arrival, now, permits).map(|next| (next, ())))
            .map_err(|wait| inside.limited(wait))
    }

    fn wait_for(&self, permits: u32, patience: Patience) -> Result<(), Limited> {
        let (_, at) = self.reserve_many(permits, patience)?;
        self.0.time.wait(at);
        Ok(())
    }

    /// Now, and the moment of the permits.
    fn reserve_many(&self, permits: u32, patience: Patience) -> Result<(u64, u64), Limited> {
        let inside = &*self.0;
        let (now, latest) = inside.time.span(patience);
        let at = inside.advance(|arrival| inside.gcra().reserve(arrival, now, permits, latest));
        at.map(|at| (now, at)).map_err(|wait| inside.limited(wait))
    }

    fn check(&self, permits: u32) -> Result<(), AcquireError> {
        let (name, most) = (&self.0.name, self.burst());
        if permits <= most {
            return Ok(());
        }
        Err(AcquireError::TooMany { name: Arc::clone(name), permits, most })
    }
}

impl Inside {
    #[inline]
    fn gcra(&self) -> Gcra {
        self.rate.gcra()
    }

    /// Moves the arrival time on, if `decide` says so, in one step with what it decides by. That reads the rate after
    /// the arrival time: whoever changes the rate changes both, so what was decided by halves does not go through.
    // ORDERING: Acquire, with the Release of a change: who reads an arrival time reads the rate that it was left with,
    // or a later one. Otherwise the word orders nothing, and its changes have an order of their own.
    #[inline]
    fn advance<T>(&self, decide: impl Fn(u64) -> Result<(u64, T), u64>) -> Result<T, u64> {
        let mut arrival = self.arrival.load(Ordering::Acquire);
        loop {
            if arrival == CHANGING {
                arrival = self.settled();
            }
            let (next, decided) = match decide(arrival) {
                Ok(decided) => decided,
                Err(wait) if self.is_still(arrival) => return Err(wait),
                Err(_) => {
                    arrival = self.arrival.load(Ordering::Acquire);
                    continue;
                }
            };
            if mutant!(StampBlindly) {
                self.arrival.store(next, Ordering::Relaxed);
                return Ok(decided);
            }
            match self.arrival.compare_exchange_weak(arrival, next, Ordering::Relaxed, Ordering::Acquire) {
                Ok(_) => return Ok(decided),
                Err(changed) => arrival = changed,
            }
        }
    }

    /// The arrival time while nobody changes the rate.
    #[cold]
    fn settled(&self) -> u64 {
        let _none = self.changing.lock();
        self.arrival.load(Ordering::Acquire)
    }

    /// Whether a refusal stands: the rate may have been changed after the arrival time was read.
    fn is_still(&self, arrival: u64) -> bool {
        fence(Ordering::Acquire);
        self.arrival.load(Ordering::Relaxed) == arrival
    }

    #[cold]
    fn limited(&self, retry_nanos: u64) -> Limited {
        self.limited.fetch_add(1, Ordering::Relaxed);
        Limited::new(&self.name, retry_nanos)
    }
}

impl fmt::Debug for RateLimiter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RateLimiter(`{}`)", self.0.name)
    }
}

/// How a [`RateLimiter`] stands.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RateLimiterSnapshot {
    /// Its name.
    pub name: Arc<str>,
    /// How many permits there are now.
    pub available: u32,
    /// How many there are at most.
    pub burst: u32,
    /// After how long there is one more.
    pub interval: Duration,
    /// How often somebody was told to come later.
    pub limited: u64,
}

#[cfg(all(test, not(underpin_loom)))]
mod tests {
    use std::sync::atomic::AtomicU32;

    use super::*;
    use crate::service::deadline::Deadline;
    use crate::sync::{Clock, ManualClock, Pace};
    use std::time::Instant;

    const SECOND: Duration = Duration::from_secs(1);

    fn limiter(limit: u32, period: Duration, burst: u32) -> (RateLimiter, ManualClock) {
        let (clock, hand) = Clock::manual();
        let builder = RateLimiter::builder("x").limit_for_period(limit).limit_refresh_period(period);
        (builder.burst(burst).clock(clock).build(), hand)
    }

    #[test]
    fn of_two_hundred_threads_on_a_limit_of_a_hundred_exactly_a_hundred_get_through() {
        let limiter = RateLimiter::new("x", 100, 3600 * SECOND);
        let (passed, start) = (AtomicU32::new(0), std::sync::Barrier::new(200));
        std::thread::scope(|scope| {
            for _ in 0..200 {
                scope.spawn(|| {
                    start.wait();
                    passed.fetch_add(limiter.try_acquire().is_ok().into(), Ordering::SeqCst);
                });
            }
        });
        assert_eq!((passed.into_inner(), limiter.snapshot().limited), (100, 100));
    }

    #[test]
    fn many_are_taken_together_or_not_at_all() {
        let (limiter, hand) = limiter(10, SECOND, 5);
        assert_eq!(limiter.try_acquire_many(3), Ok(()));
        let limited = Limited { name: "x".into(), retry_after: Duration::from_millis(100) };
        assert_eq!(limiter.try_acquire_many(3), Err(limited.into()));
        let too_many = AcquireError::TooMany { name: "x".into(), permits: 6, most: 5 };
        assert_eq!(limiter.try_acquire_many(6), Err(too_many.clone()));
        assert_eq!(limiter.acquire_many(6, Deadline::unbounded()), Err(too_many));
        assert_eq!(limiter.try_acquire_many(0), Ok(()));
        hand.advance(Duration::from_millis(100));
        assert_eq!((limiter.try_acquire_many(3), limiter.snapshot().available), (Ok(()), 0));
    }

    #[test]
    fn a_change_while_many_take_neither_gives_nor_takes_a_permit() {
        let limiter = RateLimiter::new("x", 1000, 3_600_000 * SECOND);
        let (passed, is_over) = (AtomicU32::new(0), std::sync::atomic::AtomicBool::new(false));
        std::thread::scope(|scope| {
            scope.spawn(|| {
                // An hour for each, and a day: both directions, with and without room for more.
                for (hours, burst) in [(1, 1000), (24, 2000), (1, 5000)].into_iter().cycle() {
                    limiter.change(1, hours * 3600 * SECOND, burst);
                    if is_over.load(Ordering::SeqCst) {
                        return;
                    }
                }
            });
            let take = || {
                for _ in 0..500 {
                    passed.fetch_add(limiter.try_acquire().is_ok().into(), Ordering::SeqCst);
                }
            };
            let threads: Vec<_> = (0..4).map(|_| scope.spawn(take)).collect();
            threads.into_iter().for_each(|thread| thread.join().expect("no panic"));
            is_over.store(true, Ordering::SeqCst);
        });
        assert_eq!((passed.into_inner(), limiter.snapshot().available), (1000, 0));
    }

    #[test]
    fn a_limit_that_reaches_to_the_end_of_time_can_be_changed_too() {
        let (limiter, hand) = limiter(1, Duration::from_nanos(u64::MAX / 2 + 1), 1);
        assert!(limiter.try_acquire().is_ok() && limiter.try_acquire().is_err());
        limiter.change(1, SECOND, 1);
        assert!(limiter.try_acquire().is_err());
        hand.advance(SECOND);
        assert_eq!(limiter.try_acquire(), Ok(()));
        limiter.change(0, Duration::ZERO, 0);
        hand.advance(Duration::from_nanos(1));
        assert_eq!((limiter.try_acquire(), limiter.snapshot().burst), (Ok(()), 1));
    }

    #[test]
    fn who_waits_for_a_permit_keeps_its_moment_when_the_rate_is_changed() {
        let (limiter, hand) = limiter(1, SECOND, 1);
        assert_eq!(limiter.acquire(Duration::ZERO), Ok(()));
        assert_eq!(limiter.reserve(Duration::MAX.into()), Ok(SECOND));
        limiter.change(10, SECOND, 1);
        assert_eq!(
            limiter.reserve(Duration::MAX.into()),
            Ok(Duration::from_millis(200)),
            "the second who waits"
        );
        hand.advance(Duration::from_millis(300));
        assert_eq!(limiter.try_acquire(), Ok(()));
    }

    #[test]
    fn as_many_as_there_are_is_one_at_least() {
        let (limiter, _hand) = limiter(1, SECOND, 5);
        assert_eq!((limiter.try_acquire_some(3), limiter.try_acquire_some(3)), (Ok(3), Ok(2)));
        assert_eq!(limiter.try_acquire_some(3).expect_err("there is none").retry_after, SECOND);
    }

    #[test]
    fn who_waits_gets_its_permit_when_it_is_due_and_who_cannot_takes_none() {
        let (limiter, hand) = limiter(1, SECOND, 1);
        assert_eq!(limiter.acquire(Duration::ZERO), Ok(()));
        let limited = limiter.acquire(Duration::from_millis(999)).expect_err("it is too late");
        assert_eq!(limited.retry_after, SECOND);
        let due = hand.now() + SECOND;
        let waiter = std::thread::spawn({
            let (limiter, hand) = (limiter.clone(), hand.clone());
            move || limiter.acquire(SECOND).map(|()| hand.now())
        });
        while limiter.try_acquire().expect_err("it is taken").retry_after <= SECOND {
            std::thread::yield_now(); // until it has reserved its own
        }
        hand.advance(Duration::from_millis(999));
        hand.advance(Duration::from_millis(1));
        assert_eq!(waiter.join().expect("no panic"), Ok(due));
        assert_eq!(limiter.try_acquire().expect_err("it was the waiter's").retry_after, SECOND);
    }

    #[test]
    fn a_deadline_that_has_passed_is_none_for_what_is_there() {
        let (limiter, hand) = limiter(1, SECOND, 1);
        let before = Deadline::at(hand.now());
        hand.advance(SECOND);
        assert_eq!(limiter.acquire(before), Ok(()));
        assert!(limiter.acquire(before).is_err());
    }

    /// A clock that goes on by so many nanoseconds at each look.
    #[derive(Debug)]
    struct Steps(Instant, Tally, u64);

    impl Pace for Steps {
        fn now(&self) -> Instant {
            self.0 + Duration::from_nanos(self.1.fetch_add(self.2, Ordering::SeqCst))
        }

        fn park(&self, _: Option<Instant>) {}
    }

    #[test]
    fn nobody_is_told_of_a_limit_that_does_not_stand_any_more() {
        let clock = Clock::paced(Arc::new(Steps(Clock::system().now(), Tally::new(0), 10)));
        let builder = RateLimiter::builder("x").limit_for_period(1).clock(clock);
        let limiter = builder.limit_refresh_period(Duration::from_nanos(20)).build();
        assert!(limiter.try_acquire().is_ok(), "at 10");
        assert!(limiter.try_acquire().is_ok(), "not at 20, but at 30");
        assert_eq!(limiter.snapshot().limited, 0, "40");
        assert!(limiter.try_acquire_many(1).is_ok(), "at 50");
        assert!(limiter.try_acquire_many(1).is_ok(), "not at 60, but at 70");
    }

    #[test]
    fn a_call_waits_for_its_permit() {
        let (limiter, _hand) = limiter(1, 6 * SECOND, 1);
        assert_eq!(limiter.call(|| 1), Ok(1));
        assert_eq!(limiter.call(|| 2).expect_err("5 s are too short").retry_after, 6 * SECOND);
    }

    #[test]
    fn a_limiter_of_which_nothing_is_said_is_that_of_resilience4j() {
        let snapshot = RateLimiter::builder("x").build().snapshot();
        assert_eq!((snapshot.burst, snapshot.interval), (50, Duration::from_nanos(10)));
    }

    #[test]
    fn a_call_waits_no_longer_than_was_said() {
        let builder = RateLimiter::builder("x").limit_for_period(1).limit_refresh_period(4 * SECOND);
        let limiter = builder.timeout_duration(Duration::from_millis(1)).build();
        assert_eq!(limiter.call(|| 1), Ok(1));
        assert!(limiter.call(|| 2).is_err());
    }
}
