//! How often each of many may do something, by key.

use std::fmt;
use std::hash::{BuildHasher, Hash, RandomState};
use std::sync::Arc;
use std::time::Duration;

use super::keys::{Keys, Refusal};
use super::limited::{AcquireError, Limited};
use super::patience::Patience;
use super::rate_limiter::{DEFAULT_LIMIT, DEFAULT_PERIOD};
use super::timeline::Timeline;
use crate::gcra::Gcra;
use crate::sync::{Clock, Mutex, Ordering, Tally};

/// How many keys are counted at most if nothing is said: 65,536, some 3 MiB.
pub const DEFAULT_MAX_KEYS: usize = 1 << 16;
/// Keys are spread over so many locks.
const SHARDS: usize = 16;

/// How often each of many may do something: a [`RateLimiter`](super::RateLimiter) for each key, be it a user, an
/// address or a tenant.
///
/// Exact for each key under any number of threads. A key that has had its calm is forgotten, which makes no
/// difference: it would have its whole burst either way. Of the others there are at most
/// [so many](KeyedRateLimiterBuilder::max_keys); when there is no room a new key is refused, never an old one
/// forgotten, for then whoever has many names would have no limit.
///
/// A key is anything that can be hashed; all that is kept of it are 16 bytes. That two keys are taken for one has, for
/// a million of them, a probability of about 10⁻²⁷; keys are hashed with random numbers of the limiter's own, so nobody
/// can bring it about. `"a"` and `String::from("a")` are the same key, `1_u8` and `1_u16` are not. Keys are hashed
/// under no lock.
///
/// Clones are the same limiter.
///
/// # Example
///
/// ```
/// use std::time::Duration;
/// use underpin::resilience::KeyedRateLimiter;
///
/// let limiter = KeyedRateLimiter::new("logins", 1, Duration::from_secs(60));
/// assert!(limiter.try_acquire("ann").is_ok());
/// assert!(limiter.try_acquire("bob").is_ok());
/// let error = limiter.try_acquire("ann").unwrap_err();
/// assert!(error.retry_after().unwrap() > Duration::from_secs(50));
/// ```
#[derive(Clone)]
pub struct KeyedRateLimiter(Arc<Inside>);

struct Inside {
    name: Arc<str>,
    time: Timeline,
    max_keys: usize,
    seeds: [RandomState; 2],
    shards: Vec<Mutex<Keys>>,
    limited: Tally,
    refused: Tally,
}

impl KeyedRateLimiter {
    /// For each key so many permits in each `period`, as many at once, by the system's clock.
    pub fn new(name: impl Into<Arc<str>>, limit: u32, period: Duration) -> Self {
        Self::builder(name).limit_for_period(limit).limit_refresh_period(period).build()
    }

    /// A limiter with more said about it.
    ///
    /// # Example
    ///
    /// See [`KeyedRateLimiterBuilder`].
    pub fn builder(name: impl Into<Arc<str>>) -> KeyedRateLimiterBuilder {
        KeyedRateLimiterBuilder::new(name.into())
    }

    /// Takes a permit of this key, if there is one.
    ///
    /// # Errors
    ///
    /// [`Limited`](AcquireError::Limited) if there is none now, [`TooManyKeys`](AcquireError::TooManyKeys) if there
    /// is no room for the key.
    ///
    /// # Panics
    ///
    /// If the key's `Hash` does.
    ///
    /// # Blocking
    ///
    /// Never, save for others who do the same at this moment. Some 20 ns for each key that is counted are spent
    /// on forgetting now and then.
    pub fn try_acquire<K: Hash + ?Sized>(&self, key: &K) -> Result<(), AcquireError> {
        self.0.reserve(key, Patience::NONE).map(drop)
    }

    /// Takes a permit of this key, and waits for it. It is reserved at once, so that who came first goes first. Room for
    /// the key is not waited for.
    ///
    /// # Errors
    ///
    /// As [`try_acquire`](Self::try_acquire), if the permit is there too late. Nothing is taken then.
    ///
    /// # Panics
    ///
    /// If the key's `Hash` does.
    ///
    /// # Blocking
    ///
    /// Until the permit's moment, never beyond the end of the patience.
    ///
    /// # Example
    ///
    /// ```
    /// use std::time::Duration;
    /// use underpin::resilience::KeyedRateLimiter;
    ///
    /// let limiter = KeyedRateLimiter::new("mail", 1, Duration::from_millis(5));
    /// limiter.acquire("ann", Duration::ZERO)?;
    /// limiter.acquire("ann", Duration::from_secs(1))?; // after 5 ms
    /// assert!(limiter.acquire("ann", Duration::from_nanos(1)).is_err());
    /// # Ok::<(), underpin::resilience::AcquireError>(())
    /// ```
    pub fn acquire<K: Hash + ?Sized>(
        &self,
        key: &K,
        patience: impl Into<Patience>,
    ) -> Result<(), AcquireError> {
        let at = self.0.reserve(key, patience.into())?;
        self.0.time.wait(at);
        Ok(())
    }

    /// Forgets what makes no difference any more. That is done as needed; whoever wants the memory back at once
    /// may ask for it.
    pub fn sweep(&self) {
        let now = self.0.time.now();
        self.0.shards.iter().for_each(|shard| shard.lock().sweep(now));
    }

    /// How it stands now.
    pub fn snapshot(&self) -> KeyedRateLimiterSnapshot {
        let inside = &*self.0;
        KeyedRateLimiterSnapshot {
            name: Arc::clone(&inside.name),
            keys: inside.shards.iter().map(|shard| shard.lock().len()).sum(),
            max_keys: inside.max_keys,
            limited: inside.limited.load(Ordering::Relaxed),
            refused_keys: inside.refused.load(Ordering::Relaxed),
        }
    }
}

impl Inside {
    /// The moment at which the permit is there.
    fn reserve<K: Hash + ?Sized>(&self, key: &K, patience: Patience) -> Result<u64, AcquireError> {
        let [high, low] = [0, 1].map(|seed: usize| self.seeds[seed].hash_one(key));
        let shard = &self.shards[high as usize % self.shards.len()];
        let (now, latest) = self.time.span(patience);
        let reserved = shard.lock().reserve(u128::from(high) << 64 | u128::from(low), now, latest);
        reserved.map_err(|refusal| self.refuse(refusal))
    }

    #[cold]
    fn refuse(&self, refusal: Refusal) -> AcquireError {
        match refusal {
            Refusal::Early(wait) => {
                self.limited.fetch_add(1, Ordering::Relaxed);
                Limited::new(&self.name, wait).into()
            }
            Refusal::Full(wait) => {
                self.refused.fetch_add(1, Ordering::Relaxed);
                let (name, retry_after) = (Arc::clone(&self.name), Duration::from_nanos(wait));
                AcquireError::TooManyKeys { name, most: self.max_keys, retry_after }
            }
        }
    }
}

impl fmt::Debug for KeyedRateLimiter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyedRateLimiter(`{}`)", self.0.name)
    }
}

/// How a [`KeyedRateLimiter`] stands.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct KeyedRateLimiterSnapshot {
    /// Its name.
    pub name: Arc<str>,
    /// How many keys it has not forgotten.
    pub keys: usize,
    /// How many there are at most.
    pub max_keys: usize,
    /// How often a key was told to come later.
    pub limited: u64,
    /// How often a key was refused because there was no room for it.
    pub refused_keys: u64,
}

/// What a [`KeyedRateLimiter`] is like.
///
/// # Example
///
/// ```
/// use std::time::Duration;
/// use underpin::resilience::{AcquireError, KeyedRateLimiter};
///
/// let limiter = KeyedRateLimiter::builder("logins")
///     .limit_for_period(5)
///     .limit_refresh_period(Duration::from_secs(60))
///     .burst(2)
///     .max_keys(1)
///     .build();
/// assert!(limiter.try_acquire(&1).is_ok());
/// assert!(matches!(limiter.try_acquire(&2), Err(AcquireError::TooManyKeys { most: 1, .. })));
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct KeyedRateLimiterBuilder {
    name: Arc<str>,
    limit: u32,
    period: Duration,
    burst: Option<u32>,
    max_keys: usize,
    clock: Clock,
}

impl KeyedRateLimiterBuilder {
    fn new(name: Arc<str>) -> Self {
        let (limit, period, max_keys) = (DEFAULT_LIMIT, DEFAULT_PERIOD, DEFAULT_MAX_KEYS);
        Self { name, limit, period, burst: None, max_keys, clock: Clock::system() }
    }

    /// How many permits a key has in a period, at least 1. 50 if nothing is said.
    pub fn limit_for_period(mut self, limit: u32) -> Self {
        self.limit = limit.max(1);
        self
    }

    /// The period. 500 ns if nothing is said.
    pub fn limit_refresh_period(mut self, period: Duration) -> Self {
        self.period = period;
        self
    }

    /// How many permits a key has at once after a while of calm, at least 1. As many as in a period, if nothing is
    /// said.
    pub fn burst(mut self, burst: u32) -> Self {
        self.burst = Some(burst.max(1));
        self
    }

    /// How many keys are counted at most, at least 1. [`DEFAULT_MAX_KEYS`] if nothing is said.
    ///
    /// They are spread over 16 parts, each with its share of room. Of 10,000 and more, a new key may be refused from
    /// about nine tenths on because its part is full; below 1,600 there are fewer parts.
    pub fn max_keys(mut self, most: usize) -> Self {
        self.max_keys = most.max(1);
        self
    }

    /// Where it reads its time from. The system's clock, if nothing is said.
    pub fn clock(mut self, clock: Clock) -> Self {
        self.clock = clock;
        self
    }

    /// The limiter.
    pub fn build(self) -> KeyedRateLimiter {
        let gcra = Gcra::new(self.limit, self.period, self.burst.unwrap_or(self.limit));
        KeyedRateLimiter(Arc::new(Inside {
            name: self.name,
            time: Timeline::new(self.clock),
            max_keys: self.max_keys,
            seeds: [RandomState::new(), RandomState::new()],
            shards: shares(self.max_keys).map(|most| Mutex::new(Keys::new(gcra, most))).collect(),
            limited: Tally::new(0),
            refused: Tally::new(0),
        }))
    }
}

/// How many keys each part has room for: as many as there are to be in all, and a hundred each at least where there
/// are several.
fn shares(max_keys: usize) -> impl Iterator<Item = usize> {
    let shards = (max_keys / 100).clamp(1, SHARDS);
    (0..shards).map(move |shard| max_keys / shards + usize::from(shard < max_keys % shards))
}

#[cfg(all(test, not(underpin_loom)))]
mod tests {
    use std::sync::atomic::AtomicU32;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn each_key_has_exactly_its_own_limit_under_many_threads() {
        let limiter = KeyedRateLimiter::new("x", 100, 3600 * SECOND);
        let (passed, start) = ([const { AtomicU32::new(0) }; 4], std::sync::Barrier::new(200));
        std::thread::scope(|scope| {
            for _ in 0..200 {
                scope.spawn(|| {
                    start.wait();
                    for (key, passed) in passed.iter().enumerate() {
                        passed.fetch_add(limiter.try_acquire(&key).is_ok().into(), Ordering::SeqCst);
                    }
                });
            }
        });
        assert_eq!(passed.map(AtomicU32::into_inner), [100; 4]);
        assert_eq!(limiter.snapshot().limited, 400);
    }

    #[test]
    fn the_shares_are_all_there_is() {
        for most in [1, 99, 100, 101, 250, 1600, 65_535, 1_000_000] {
            let shares: Vec<_> = shares(most).collect();
            assert_eq!(shares.iter().sum::<usize>(), most);
            assert!(shares.len() == 1 || shares.iter().all(|share| *share >= 100), "{most}");
        }
        assert_eq!(shares(1_000_000).count(), SHARDS);
    }

    #[test]
    fn keys_are_told_apart_by_what_they_hash_and_forgotten_when_they_have_had_their_calm() {
        let (clock, hand) = Clock::manual();
        let builder = KeyedRateLimiter::builder("x").limit_for_period(2).limit_refresh_period(SECOND);
        let limiter = builder.burst(1).max_keys(3).clock(clock).build();
        assert_eq!(limiter.try_acquire("a"), Ok(()));
        let limited = limiter.try_acquire(&String::from("a")).expect_err("the same");
        assert_eq!(limited.retry_after(), Some(SECOND / 2));
        assert_eq!((limiter.try_acquire("b"), limiter.try_acquire(&["a", "b"])), (Ok(()), Ok(())));
        let full = limiter.try_acquire("c").expect_err("there is no room");
        let retry_after = SECOND / 2;
        assert_eq!(full, AcquireError::TooManyKeys { name: "x".into(), most: 3, retry_after });
        hand.advance(retry_after);
        assert_eq!(limiter.try_acquire("c"), Ok(()));
        let snapshot = limiter.snapshot();
        assert_eq!((snapshot.keys, snapshot.limited, snapshot.refused_keys), (1, 1, 1));
        hand.advance(retry_after);
        limiter.sweep();
        assert_eq!(limiter.snapshot().keys, 0);
    }

    #[test]
    fn who_waits_for_a_key_gets_its_permit_when_it_is_due_and_who_cannot_takes_none() {
        let (clock, hand) = Clock::manual();
        let limiter = KeyedRateLimiter::builder("x").limit_for_period(1).limit_refresh_period(SECOND);
        let limiter = limiter.max_keys(2).clock(clock).build();
        assert_eq!(limiter.acquire("a", Duration::ZERO), Ok(()));
        let late = limiter.acquire("a", SECOND - Duration::from_nanos(1)).expect_err("it is too late");
        assert_eq!(late.retry_after(), Some(SECOND));
        let due = hand.now() + SECOND;
        let waiter = std::thread::spawn({
            let (limiter, hand) = (limiter.clone(), hand.clone());
            move || limiter.acquire("a", SECOND).map(|()| hand.now())
        });
        while limiter.try_acquire("a").expect_err("it is taken").retry_after() <= Some(SECOND) {
            std::thread::yield_now(); // until it has reserved its own
        }
        assert_eq!(limiter.acquire("b", SECOND), Ok(()), "another is there at once");
        let full = limiter.acquire("c", 9 * SECOND);
        assert!(matches!(full, Err(AcquireError::TooManyKeys { .. })), "{full:?}");
        hand.advance(SECOND);
        assert_eq!(waiter.join().expect("no panic"), Ok(due));
    }

    #[test]
    fn a_limiter_of_which_nothing_is_said_has_50_at_once_for_each_of_65536_keys() {
        let limiter = KeyedRateLimiter::builder("x").clock(Clock::manual().0).build();
        assert!((0..50).all(|_| limiter.try_acquire("a").is_ok()));
        let limited = limiter.try_acquire("a").expect_err("it is the 51st");
        assert_eq!(limited.retry_after(), Some(Duration::from_nanos(10)));
        assert_eq!(limiter.snapshot().max_keys, 65_536);
    }
}
