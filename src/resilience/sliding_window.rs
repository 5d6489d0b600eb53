//! At most so many in any stretch of time.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::limited::{AcquireError, Limited};
use super::patience::Patience;
use super::timeline::{Timeline, nanos};
use super::window_log::WindowLog;
use crate::sync::{Clock, Mutex, Ordering, Tally};

/// The largest limit of a [`SlidingWindow`], which keeps 8 bytes for each permit.
pub const MAX_WINDOW_LIMIT: u32 = 1 << 20;

/// At most so many in any stretch of time of a given length, wherever it begins.
///
/// Exact under any number of threads, and stricter than a [`RateLimiter`](super::RateLimiter) of the same figures:
/// that one gives out a burst and goes on at its rate, nearly twice as many in an unlucky stretch. The price is a record
/// of the last permits, 8 bytes for each of the limit, under a short lock.
///
/// Clones are the same window.
///
/// # Example
///
/// ```
/// use std::time::Duration;
/// use underpin::Clock;
/// use underpin::resilience::SlidingWindow;
///
/// let (clock, hand) = Clock::manual();
/// let window = SlidingWindow::with_clock("logins", 2, Duration::from_secs(60), clock);
/// window.try_acquire().unwrap();
/// hand.advance(Duration::from_secs(50));
/// window.try_acquire().unwrap();
/// assert_eq!(window.try_acquire().unwrap_err().retry_after, Duration::from_secs(10));
/// hand.advance(Duration::from_secs(10));
/// window.try_acquire().unwrap();
/// assert_eq!(window.try_acquire().unwrap_err().retry_after, Duration::from_secs(50));
/// ```
#[derive(Clone)]
pub struct SlidingWindow(Arc<Inside>);

struct Inside {
    name: Arc<str>,
    limit: u32,
    window: Duration,
    time: Timeline,
    log: Mutex<WindowLog>,
    limited: Tally,
}

impl SlidingWindow {
    /// At most `limit`, from 1 to [`MAX_WINDOW_LIMIT`], in any stretch of time as long as `window`, by the system's
    /// clock. What is outside counts as the nearer end.
    pub fn new(name: impl Into<Arc<str>>, limit: u32, window: Duration) -> Self {
        Self::with_clock(name, limit, window, Clock::system())
    }

    /// The same, by another clock.
    pub fn with_clock(name: impl Into<Arc<str>>, limit: u32, window: Duration, clock: Clock) -> Self {
        let limit = limit.clamp(1, MAX_WINDOW_LIMIT);
        Self(Arc::new(Inside {
            name: name.into(),
            limit,
            window,
            time: Timeline::new(clock),
            log: Mutex::new(WindowLog::new(limit, nanos(window))),
            limited: Tally::new(0),
        }))
    }

    /// Takes a permit, if there is one.
    ///
    /// # Errors
    ///
    /// When there will be one. Nothing is taken then.
    ///
    /// # Blocking
    ///
    /// Never, save for others who do the same at this moment.
    pub fn try_acquire(&self) -> Result<(), Limited> {
        self.0.reserve(1, Patience::NONE).map(drop)
    }

    /// Takes so many permits, or none.
    ///
    /// # Errors
    ///
    /// [`Limited`](AcquireError::Limited) if there are too few now, [`TooMany`](AcquireError::TooMany) if that is more
    /// than the limit.
    ///
    /// # Blocking
    ///
    /// As [`try_acquire`](Self::try_acquire).
    pub fn try_acquire_many(&self, permits: u32) -> Result<(), AcquireError> {
        self.0.check(permits)?;
        Ok(self.0.reserve(permits, Patience::NONE).map(drop)?)
    }

    /// Takes a permit, and waits for it. It is reserved at once, so that who came first goes first.
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
    /// use underpin::resilience::SlidingWindow;
    ///
    /// let window = SlidingWindow::new("mail", 1, Duration::from_millis(5));
    /// window.acquire(Duration::ZERO)?;
    /// window.acquire(Duration::from_secs(1))?; // after 5 ms
    /// assert!(window.acquire(Duration::from_nanos(1)).is_err());
    /// # Ok::<(), underpin::resilience::Limited>(())
    /// ```
    pub fn acquire(&self, patience: impl Into<Patience>) -> Result<(), Limited> {
        let at = self.0.reserve(1, patience.into())?;
        self.0.time.wait(at);
        Ok(())
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
        self.0.check(permits)?;
        let at = self.0.reserve(permits, patience.into())?;
        self.0.time.wait(at);
        Ok(())
    }

    /// How it stands now.
    pub fn snapshot(&self) -> SlidingWindowSnapshot {
        let now = self.0.time.now();
        let available = self.0.log.lock().available(now);
        SlidingWindowSnapshot {
            name: Arc::clone(&self.0.name),
            available: u32::try_from(available).unwrap_or(self.0.limit),
            limit: self.0.limit,
            window: self.0.window,
            limited: self.0.limited.load(Ordering::Relaxed),
        }
    }
}

impl Inside {
    /// The moment at which the permits are there.
    fn reserve(&self, permits: u32, patience: Patience) -> Result<u64, Limited> {
        let (now, latest) = self.time.span(patience);
        let reserved = self.log.lock().reserve(now, permits, latest);
        reserved.map_err(|wait| {
            self.limited.fetch_add(1, Ordering::Relaxed);
            Limited::new(&self.name, wait)
        })
    }

    fn check(&self, permits: u32) -> Result<(), AcquireError> {
        if permits <= self.limit {
            return Ok(());
        }
        Err(AcquireError::TooMany { name: Arc::clone(&self.name), permits, most: self.limit })
    }
}

impl fmt::Debug for SlidingWindow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SlidingWindow(`{}`)", self.0.name)
    }
}

/// How a [`SlidingWindow`] stands.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SlidingWindowSnapshot {
    /// Its name.
    pub name: Arc<str>,
    /// How many permits there are now. None as long as somebody waits.
    pub available: u32,
    /// How many there are in any stretch of time.
    pub limit: u32,
    /// As long as this.
    pub window: Duration,
    /// How often somebody was told to come later.
    pub limited: u64,
}

#[cfg(all(test, not(underpin_loom)))]
mod tests {
    use std::sync::atomic::AtomicU32;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn of_two_hundred_threads_on_a_limit_of_a_hundred_exactly_a_hundred_get_through() {
        let window = SlidingWindow::new("x", 100, 3600 * SECOND);
        let (passed, start) = (AtomicU32::new(0), std::sync::Barrier::new(200));
        std::thread::scope(|scope| {
            for _ in 0..200 {
                scope.spawn(|| {
                    start.wait();
                    passed.fetch_add(window.try_acquire().is_ok().into(), Ordering::SeqCst);
                });
            }
        });
        assert_eq!((passed.into_inner(), window.snapshot().limited), (100, 100));
    }

    #[test]
    fn who_waits_gets_its_permit_when_it_is_due() {
        let (clock, hand) = Clock::manual();
        let window = SlidingWindow::with_clock("x", 2, SECOND, clock);
        assert_eq!(window.try_acquire_many(2), Ok(()));
        let due = hand.now() + SECOND;
        let waiter = std::thread::spawn({
            let (window, hand) = (window.clone(), hand.clone());
            move || window.acquire_many(2, SECOND).map(|()| hand.now())
        });
        while window.acquire(Duration::ZERO).expect_err("all are taken").retry_after <= SECOND {
            std::thread::yield_now(); // until they are reserved
        }
        hand.advance(SECOND);
        assert_eq!(waiter.join().expect("no panic"), Ok(due));
        assert_eq!(window.snapshot().available, 0);
        hand.advance(SECOND);
        assert_eq!(window.snapshot().available, 2);
    }

    #[test]
    fn more_than_the_limit_are_never_given() {
        let window = SlidingWindow::new("x", 0, SECOND);
        let error = AcquireError::TooMany { name: "x".into(), permits: 2, most: 1 };
        assert_eq!(window.try_acquire_many(2), Err(error.clone()));
        assert_eq!(window.acquire_many(2, SECOND), Err(error));
        assert_eq!(SlidingWindow::new("x", u32::MAX, SECOND).snapshot().limit, MAX_WINDOW_LIMIT);
    }
}
