//! Time: the system's clock, or one that a test or a simulation moves by hand.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::Thread;
use std::time::{Duration, Instant};

/// Where a tree of services reads its time from.
///
/// [`Clock::system`] is the monotonic clock of the operating system. [`Clock::manual`] stands still
/// until it is [advanced](ManualClock::advance), and wakes the threads whose deadline that reaches.
///
/// # Example
///
/// ```
/// use std::time::Duration;
/// use underpin::Clock;
///
/// let (clock, hand) = Clock::manual();
/// let before = clock.now();
/// hand.advance(Duration::from_secs(3600));
/// assert_eq!(clock.now() - before, Duration::from_secs(3600));
/// ```
#[derive(Clone, Debug, Default)]
pub struct Clock(Source);

#[derive(Clone, Debug, Default)]
enum Source {
    #[default]
    System,
    Manual(ManualClock),
    #[cfg(feature = "testing")]
    Paced(Arc<dyn Pace>),
}

/// The wall's clock, which may be set: the system's, also in a simulation.
#[cfg(any(feature = "events", feature = "telemetry"))]
pub(crate) fn wall_now() -> std::time::SystemTime {
    std::time::SystemTime::now()
}

/// Nanoseconds from the moment at which the process asked this first.
#[cfg(feature = "events")]
pub(crate) fn since_first(moment: Instant) -> u64 {
    static FIRST: std::sync::OnceLock<Instant> = std::sync::OnceLock::new();
    let passed = moment.saturating_duration_since(*FIRST.get_or_init(|| moment));
    u64::try_from(passed.as_nanos()).unwrap_or(u64::MAX)
}

/// Whoever decides what time it is, and what happens while a thread waits.
#[cfg(feature = "testing")]
pub(crate) trait Pace: std::fmt::Debug + Send + Sync {
    fn now(&self) -> Instant;
    /// As [`Clock::park`].
    fn park(&self, deadline: Option<Instant>);
}

impl Clock {
    pub(crate) const SYSTEM: Self = Self(Source::System);

    /// The monotonic clock of the operating system.
    pub fn system() -> Self {
        Self(Source::System)
    }

    /// A clock that stands still, and the hand that moves it.
    pub fn manual() -> (Self, ManualClock) {
        let hand = ManualClock::new();
        (Self(Source::Manual(hand.clone())), hand)
    }

    /// Whether it is that of the operating system.
    #[cfg(feature = "fast-clock")]
    pub(crate) fn is_system(&self) -> bool {
        matches!(self.0, Source::System)
    }

    /// A clock of somebody's own.
    #[cfg(feature = "testing")]
    pub(crate) fn paced(pace: Arc<dyn Pace>) -> Self {
        Self(Source::Paced(pace))
    }

    /// The present moment.
    #[inline]
    pub fn now(&self) -> Instant {
        match &self.0 {
            #[allow(clippy::disallowed_methods)] // this is the door
            Source::System => Instant::now(),
            Source::Manual(hand) => hand.now(),
            #[cfg(feature = "testing")]
            Source::Paced(pace) => pace.now(),
        }
    }

    /// Blocks the thread until it is unparked, `deadline` has come, or for no reason at all.
    pub(crate) fn park(&self, deadline: Option<Instant>) {
        match (&self.0, deadline) {
            #[cfg(feature = "testing")]
            (Source::Paced(pace), _) => pace.park(deadline),
            (_, None) => super::park(),
            (Source::System, Some(at)) => super::park_timeout(at.saturating_duration_since(self.now())),
            (Source::Manual(hand), Some(at)) => hand.park(at),
        }
    }
}

/// The hand of a [manual clock](Clock::manual). Clones move the same clock.
#[derive(Clone, Debug)]
pub struct ManualClock(Arc<Shared>);

// Plain std primitives, not the door's: a clock that stands still must not add
// choices to a model.
#[derive(Debug)]
struct Shared {
    start: Instant,
    elapsed: AtomicU64,
    sleepers: std::sync::Mutex<Vec<Thread>>,
}

impl ManualClock {
    pub(crate) fn new() -> Self {
        Self(Arc::new(Shared {
            #[allow(clippy::disallowed_methods)] // this is the door
            start: Instant::now(),
            elapsed: AtomicU64::new(0),
            sleepers: std::sync::Mutex::new(Vec::new()),
        }))
    }

    /// The moment the clock shows.
    pub fn now(&self) -> Instant {
        self.0.start + Duration::from_nanos(self.0.elapsed.load(Ordering::SeqCst))
    }

    /// Moves the clock by `by`, and lets every thread that waits for a deadline look again.
    ///
    /// A clock reaches at most 584 years from its start.
    pub fn advance(&self, by: Duration) {
        let nanos = u64::try_from(by.as_nanos()).unwrap_or(u64::MAX);
        let add = |elapsed: u64| Some(elapsed.saturating_add(nanos));
        let _ = self.0.elapsed.fetch_update(Ordering::SeqCst, Ordering::SeqCst, add);
        let sleepers = std::mem::take(&mut *self.sleepers());
        sleepers.iter().for_each(Thread::unpark);
    }

    fn park(&self, deadline: Instant) {
        let me = std::thread::current();
        let mut sleepers = self.sleepers();
        if !sleepers.iter().any(|thread| thread.id() == me.id()) {
            sleepers.push(me);
        }
        drop(sleepers);
        // Registered first, looked at the time second: an advance in between is not missed.
        if self.now() < deadline {
            super::park();
        }
    }

    fn sleepers(&self) -> std::sync::MutexGuard<'_, Vec<Thread>> {
        self.0.sleepers.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

#[cfg(all(test, not(underpin_loom)))]
mod tests {
    use super::*;

    #[test]
    fn a_sleeper_wakes_when_the_hand_reaches_its_deadline() {
        let (clock, hand) = Clock::manual();
        let deadline = clock.now() + Duration::from_secs(60);
        let sleeper = std::thread::spawn(move || {
            while clock.now() < deadline {
                clock.park(Some(deadline));
            }
        });
        hand.advance(Duration::from_secs(30));
        hand.advance(Duration::from_secs(30));
        sleeper.join().expect("the sleeper does not panic");
    }

    #[test]
    fn advancing_saturates() {
        let hand = ManualClock::new();
        hand.advance(Duration::MAX);
        hand.advance(Duration::MAX);
        assert!(hand.now() > hand.0.start);
    }
}
