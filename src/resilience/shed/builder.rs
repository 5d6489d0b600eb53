//! What a load shedder is like.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::{Inside, LoadShedder};
use crate::resilience::codel::Codel;
use crate::resilience::sink::{Sink, Voice};
use crate::resilience::timeline::{Timeline, nanos};
use crate::sync::{AtomicU64, Clock, Mutex, Tally};

/// How many wait at most if nothing is said.
pub(crate) const DEFAULT_MAX_DEPTH: u64 = 1024;
/// How long somebody waits at most if nothing is said: whoever asked has gone by then, often.
pub(crate) const DEFAULT_MAX_AGE: Duration = Duration::from_secs(1);

/// What a [`LoadShedder`] is like.
///
/// # Example
///
/// ```
/// use std::time::Duration;
/// use underpin::resilience::LoadShedder;
///
/// // Bursts may wait half a second; but once nobody has waited less than 5 ms for 100 ms, only 10 ms.
/// let shedder = LoadShedder::builder("orders")
///     .max_depth(10_000)
///     .max_age(Duration::from_millis(500))
///     .controlled_delay(Duration::from_millis(5), Duration::from_millis(100))
///     .build();
/// assert!(shedder.enter().and_then(|ticket| ticket.begin()).is_ok());
/// ```
#[must_use]
pub struct LoadShedderBuilder {
    name: Arc<str>,
    max_depth: u64,
    max_age: Duration,
    codel: Option<(Duration, Duration)>,
    sink: Option<Arc<dyn Sink>>,
    clock: Clock,
}

impl LoadShedderBuilder {
    pub(super) fn new(name: Arc<str>) -> Self {
        let (max_depth, max_age, clock) = (DEFAULT_MAX_DEPTH, DEFAULT_MAX_AGE, Clock::system());
        Self { name, max_depth, max_age, codel: None, sink: None, clock }
    }

    /// How many may wait. 1,024 if nothing is said; with 0 all is shed that comes by tickets.
    pub fn max_depth(mut self, most: u64) -> Self {
        self.max_depth = most;
        self
    }

    /// How long something may have waited when its turn comes. 1 s if nothing is said.
    pub fn max_age(mut self, age: Duration) -> Self {
        self.max_age = age;
        self
    }

    /// While for a whole `interval` nobody has waited less than `target`, only twice the target may be waited, however
    /// much `max_age` allows. RFC 8289 has 5 ms and 100 ms. Not done if nothing is said.
    pub fn controlled_delay(mut self, target: Duration, interval: Duration) -> Self {
        self.codel = Some((target, interval));
        self
    }

    /// Who hears of it when shedding begins and ends. Nobody, if nothing is said.
    pub fn sink(mut self, sink: Arc<dyn Sink>) -> Self {
        self.sink = Some(sink);
        self
    }

    /// Where it reads its time from. The system's clock, if nothing is said.
    pub fn clock(mut self, clock: Clock) -> Self {
        self.clock = clock;
        self
    }

    /// The shedder.
    pub fn build(self) -> LoadShedder {
        let codel =
            self.codel.map(|(target, interval)| Mutex::new(Codel::new(nanos(target), nanos(interval))));
        LoadShedder(Arc::new(Inside {
            name: self.name,
            time: Timeline::new(self.clock),
            max_depth: Tally::new(self.max_depth),
            max_age_nanos: Tally::new(nanos(self.max_age)),
            codel,
            voice: Voice::new(self.sink),
            depth: AtomicU64::new(0),
            shed_at: AtomicU64::new(0),
            too_deep: Tally::new(0),
            too_old: Tally::new(0),
        }))
    }
}

impl fmt::Debug for LoadShedderBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "LoadShedderBuilder(`{}`)", self.name)
    }
}
