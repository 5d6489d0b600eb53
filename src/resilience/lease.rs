//! A share of a limiter's permits, taken in advance.

use std::fmt;
use std::sync::Arc;

use super::limited::Limited;
use super::rate_limiter::RateLimiter;
use crate::sync::{Ordering, Tally};

/// A rate limit of which each thread has a share in its own hands: several times as fast as the
/// [`RateLimiter`] itself, and not quite as exact.
///
/// Each thread takes a [`Lease`], which takes permits from the limiter in portions of at most `size` and gives them
/// out one by one, without a look at the clock and without anything that threads share.
///
/// # Slack
///
/// A permit of a portion is used when its thread comes to it, not when it was given. So in any stretch of time what
/// gets through is at most what the limiter gives in it and what lay in leases at its beginning: **no more than
/// `leases × (size − 1)` permits above the limit**. Over all time it is never above the limit. On the other hand permits
/// may lie with a thread that does not need them while another waits; those in a lease that is dropped are lost, and
/// [counted](LeasesSnapshot::forfeited), for to give them back later than they were taken would be to give more than
/// the limit.
///
/// # Example
///
/// ```
/// use std::time::Duration;
/// use underpin::resilience::{Leases, RateLimiter};
///
/// let limiter = RateLimiter::new("lookups", 1_000, Duration::from_secs(3600));
/// let leases = Leases::new(limiter, 50);
/// let mut lease = leases.lease();
/// assert!((0..1_000).all(|_| lease.try_acquire().is_ok()));
/// assert!(lease.try_acquire().is_err());
/// ```
#[derive(Clone)]
pub struct Leases(Arc<Inside>);

struct Inside {
    limiter: RateLimiter,
    size: u32,
    /// How many permits were lost with leases that were dropped.
    forfeited: Tally,
    /// How many leases there are.
    leases: Tally,
}

impl Leases {
    /// Leases of so many permits at once, from 1 to the limiter's burst. What is outside counts as the nearer end.
    pub fn new(limiter: RateLimiter, size: u32) -> Self {
        let size = size.clamp(1, limiter.burst());
        Self(Arc::new(Inside { limiter, size, forfeited: Tally::new(0), leases: Tally::new(0) }))
    }

    /// A lease for one thread, with nothing in it yet.
    pub fn lease(&self) -> Lease {
        self.0.leases.fetch_add(1, Ordering::Relaxed);
        Lease { left: 0, leases: Arc::clone(&self.0) }
    }

    /// The limiter that the permits are taken from.
    pub fn limiter(&self) -> &RateLimiter {
        &self.0.limiter
    }

    /// How they stand now.
    pub fn snapshot(&self) -> LeasesSnapshot {
        let (size, leases) = (self.0.size, self.0.leases.load(Ordering::Relaxed));
        LeasesSnapshot {
            size,
            leases,
            slack: leases.saturating_mul(u64::from(size - 1)),
            forfeited: self.0.forfeited.load(Ordering::Relaxed),
        }
    }
}

impl fmt::Debug for Leases {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Leases(`{}`, {})", self.0.limiter.name(), self.0.size)
    }
}

/// How [`Leases`] stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct LeasesSnapshot {
    /// How many permits are taken at once, at most.
    pub size: u32,
    /// How many leases there are.
    pub leases: u64,
    /// How many permits above the limit may be used in a stretch of time, with so many leases.
    pub slack: u64,
    /// How many permits were lost with leases that were dropped.
    pub forfeited: u64,
}

/// The share of one thread in a rate limit: see [`Leases`].
///
/// # Example
///
/// ```
/// use std::time::Duration;
/// use underpin::resilience::{Leases, RateLimiter};
///
/// let leases = Leases::new(RateLimiter::new("lookups", 100, Duration::from_secs(3600)), 10);
/// std::thread::scope(|scope| {
///     for _ in 0..2 {
///         let mut lease = leases.lease();
///         scope.spawn(move || (0..50).for_each(|_| lease.try_acquire().unwrap()));
///     }
/// });
/// assert_eq!(leases.limiter().snapshot().available, 0);
/// ```
pub struct Lease {
    left: u32,
    leases: Arc<Inside>,
}

impl Lease {
    /// Takes a permit, if there is one here or with the limiter.
    ///
    /// # Errors
    ///
    /// When there will be one with the limiter. Another thread's lease may have some.
    ///
    /// # Blocking
    ///
    /// Never.
    #[inline]
    pub fn try_acquire(&mut self) -> Result<(), Limited> {
        if self.left == 0 {
            self.left = self.portion()?;
        }
        self.left -= 1;
        Ok(())
    }

    /// How many permits lie here.
    pub fn left(&self) -> u32 {
        self.left
    }

    #[cold]
    fn portion(&self) -> Result<u32, Limited> {
        self.leases.limiter.try_acquire_some(self.leases.size)
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.leases.leases.fetch_sub(1, Ordering::Relaxed);
        self.leases.forfeited.fetch_add(u64::from(self.left), Ordering::Relaxed);
    }
}

impl fmt::Debug for Lease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Lease(`{}`, {} left)", self.leases.limiter.name(), self.left)
    }
}

#[cfg(all(test, not(underpin_loom)))]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;
    use crate::sync::{Clock, ManualClock};

    const SECOND: Duration = Duration::from_secs(1);

    fn leases(limit: u32, size: u32) -> (Leases, ManualClock) {
        let (clock, hand) = Clock::manual();
        let builder = RateLimiter::builder("x").limit_for_period(limit).limit_refresh_period(SECOND);
        (Leases::new(builder.clock(clock).build(), size), hand)
    }

    proptest! {
        #[test]
        fn in_no_stretch_of_time_are_there_more_than_limit_and_slack_together(
            (size, threads) in (1..8_u32, 1..5_usize),
            steps in prop::collection::vec((0..5_usize, 0..300_u64), 1..200),
        ) {
            let (leases, hand) = leases(10, size);
            let mut each: Vec<_> = (0..threads).map(|_| leases.lease()).collect();
            let (start, mut passed) = (hand.now(), Vec::new());
            for (thread, step) in steps {
                hand.advance(Duration::from_millis(step));
                if each[thread % threads].try_acquire().is_ok() {
                    passed.push((hand.now() - start).as_millis());
                }
            }
            let slack = leases.snapshot().slack;
            prop_assert_eq!(slack, threads as u64 * u64::from(size - 1));
            for (n, from) in passed.iter().enumerate() {
                for (m, to) in passed.iter().enumerate().skip(n) {
                    let rate = (to - from) as u64 * 10 / 1000;
                    prop_assert!((m - n + 1) as u64 <= 10 + rate + slack, "from {from} to {to}");
                }
            }
            // Over all time there is no slack.
            for (count, at) in (1_u64..).zip(&passed) {
                prop_assert!(count <= 10 + *at as u64 * 10 / 1000, "until {at}");
            }
        }
    }

    #[test]
    fn the_last_permits_are_given_in_smaller_portions() {
        let (leases, hand) = leases(10, 7);
        let (mut one, mut other) = (leases.lease(), leases.lease());
        assert_eq!((one.try_acquire(), one.left()), (Ok(()), 6));
        assert_eq!((other.try_acquire(), other.left()), (Ok(()), 2));
        assert_eq!((other.try_acquire(), other.try_acquire()), (Ok(()), Ok(())));
        assert_eq!(other.try_acquire().expect_err("what is left is with the other").retry_after, SECOND / 10);
        hand.advance(SECOND / 10);
        assert_eq!((other.try_acquire(), other.left()), (Ok(()), 0));
    }

    #[test]
    fn what_is_lost_with_a_lease_is_counted() {
        let (leases, _hand) = leases(10, 100);
        let mut lease = leases.lease();
        assert_eq!(lease.try_acquire(), Ok(()));
        let snapshot = LeasesSnapshot { size: 10, leases: 1, slack: 9, forfeited: 0 };
        assert_eq!(leases.snapshot(), snapshot);
        drop(lease);
        assert_eq!(leases.snapshot(), LeasesSnapshot { leases: 0, slack: 0, forfeited: 9, ..snapshot });
    }
}
