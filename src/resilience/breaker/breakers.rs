//! A breaker for each key.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::CircuitBreaker;
use super::builder::BreakerBuilder;
use super::settings::{BreakerSettingsError, Settings};
use super::shelf::{Fetched, Shelf};
use super::snapshot::BreakerSnapshot;
use crate::sync::Mutex;

/// A breaker for each key: for each host, each tenant. All are built alike, and made when they are first asked for.
///
/// There are so many at most. One that nobody has asked for in so long is made anew; where there is no more space, the
/// one that was not asked for in the longest time makes way, an open one too. Who has a breaker in hand keeps it from
/// both, except that where all are held, one makes way all the same: then its holder goes on with it, and who asks next
/// gets another. Clones are the same breakers.
///
/// # Blocking
///
/// A look-up takes a lock, for well under a microsecond. Where there is no more space it may take longer: by some
/// nanoseconds for each breaker that is held.
///
/// # Example
///
/// ```
/// use std::time::Duration;
/// use underpin::resilience::{BreakerState, CircuitBreaker};
///
/// let template = CircuitBreaker::builder("http").consecutive_failures(1);
/// let breakers = template.per_key(1_000, Duration::from_secs(3600))?;
/// let _ = breakers.get("a.example").call(|| Err::<(), _>("no route"));
/// assert_eq!(breakers.get("a.example").state(), BreakerState::Open);
/// assert_eq!(breakers.get("b.example").state(), BreakerState::Closed);
/// assert_eq!(breakers.get("b.example").name(), "http/b.example");
/// # Ok::<(), underpin::resilience::BreakerSettingsError>(())
/// ```
#[derive(Clone)]
pub struct Breakers(Arc<Keyed>);

struct Keyed {
    template: BreakerBuilder,
    settings: Settings,
    shelf: Mutex<Shelf<Arc<str>, CircuitBreaker>>,
}

// As of a breaker: a panic meets it between two changes.
impl std::panic::RefUnwindSafe for Keyed {}

/// How many breakers there are, and how many there no longer are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct BreakersInfo {
    /// How many there are.
    pub breakers: usize,
    /// How many went because nobody had asked for them in so long.
    pub expired: u64,
    /// How many had to make way for others.
    pub evicted: u64,
}

impl BreakerBuilder {
    /// A breaker as described for each key: `most` of them, and none that nobody has asked for in the time `idle`.
    /// The name of each is the name of this, a slash, and the key.
    ///
    /// # Errors
    ///
    /// When an option is out of its bounds, or `most` is 0.
    pub fn per_key(self, most: usize, idle: Duration) -> Result<Breakers, BreakerSettingsError> {
        if most == 0 {
            let (name, found) = (self.name().to_string(), most.to_string());
            return Err(BreakerSettingsError { name, option: "per_key", found, expected: "1 or more" });
        }
        let (settings, shelf) = (self.settings()?, Mutex::new(Shelf::new(most, idle)));
        Ok(Breakers(Arc::new(Keyed { template: self, settings, shelf })))
    }
}

impl Breakers {
    /// The breaker of this key.
    pub fn get(&self, key: &str) -> CircuitBreaker {
        let now = self.0.template.clock_of().now();
        let make = || (Arc::from(key), self.0.template.made_for(key, &self.0.settings));
        let Fetched { value, gone } = self.0.shelf.lock().fetch(key, now, CircuitBreaker::is_shared, make);
        drop(gone); // no longer under the lock
        value
    }

    /// What each of them is now, in the order of their names.
    pub fn snapshots(&self) -> Vec<BreakerSnapshot> {
        let breakers: Vec<_> = self.0.shelf.lock().values().cloned().collect();
        let mut snapshots: Vec<_> = breakers.iter().map(CircuitBreaker::snapshot).collect();
        snapshots.sort_by(|one, other| one.name.cmp(&other.name));
        snapshots
    }

    /// How many there are, and how many there no longer are.
    pub fn info(&self) -> BreakersInfo {
        let shelf = self.0.shelf.lock();
        let (expired, evicted) = shelf.dropped();
        BreakersInfo { breakers: shelf.len(), expired, evicted }
    }
}

impl fmt::Debug for Breakers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Breakers").field(&self.info()).finish()
    }
}
