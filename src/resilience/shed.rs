//! What is not done because there is too much.

mod builder;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

pub use builder::LoadShedderBuilder;
pub(crate) use builder::{DEFAULT_MAX_AGE, DEFAULT_MAX_DEPTH};

use super::classify::Classify;
use super::codel::Codel;
use super::sink::Voice;
use super::timeline::{Timeline, nanos};
use crate::error::ErrorKind;
use crate::sync::{AtomicU64, Mutex, Ordering, Tally};

/// Shedding is over when nothing was shed for so long.
const CALM_NANOS: u64 = 1_000_000_000;

/// What is not done because there is too much: work is refused by how much of it waits, and by how long it has waited.
///
/// What comes when as much waits as [may](LoadShedderBuilder::max_depth) is refused at once. What has waited longer than
/// it [may](LoadShedderBuilder::max_age) is refused when its turn comes: nobody waits for it any more, and to do it would
/// make the next one late, too. With [`controlled_delay`](LoadShedderBuilder::controlled_delay) less is allowed once the
/// queue does not empty any more.
///
/// Either it counts by itself what waits, with a [`Ticket`] for each; or it is [asked](Self::check) about a queue of
/// somebody else's. Its [sink](LoadShedderBuilder::sink) hears `shedding_began` at the first that is shed, and
/// `shedding_ended` when something is done and nothing was shed for a second.
///
/// Clones are the same shedder.
///
/// # Example
///
/// ```
/// use std::time::Duration;
/// use underpin::Clock;
/// use underpin::resilience::{LoadShedder, Shed};
///
/// let (clock, hand) = Clock::manual();
/// let shedder = LoadShedder::builder("orders")
///     .max_depth(2)
///     .max_age(Duration::from_millis(100))
///     .clock(clock)
///     .build();
/// let (first, second) = (shedder.enter().unwrap(), shedder.enter().unwrap());
/// assert!(matches!(shedder.enter(), Err(Shed::TooDeep { most: 2, .. })));
/// assert!(first.begin().is_ok());
/// hand.advance(Duration::from_millis(101));
/// assert!(matches!(second.begin(), Err(Shed::TooOld { .. })));
/// ```
#[derive(Clone)]
pub struct LoadShedder(Arc<Inside>);

struct Inside {
    name: Arc<str>,
    time: Timeline,
    max_depth: Tally,
    max_age_nanos: Tally,
    codel: Option<Mutex<Codel>>,
    voice: Voice,
    /// How many tickets wait.
    depth: AtomicU64,
    /// When something was shed last, plus one; 0 when that is over.
    shed_at: AtomicU64,
    too_deep: Tally,
    too_old: Tally,
}

// ORDERING: Relaxed throughout. Each word stands for itself; nothing is read by the others' leave.
impl LoadShedder {
    /// A shedder of which nothing is said but how many may wait.
    pub fn new(name: impl Into<Arc<str>>, max_depth: u64) -> Self {
        Self::builder(name).max_depth(max_depth).build()
    }

    /// A shedder with more said about it.
    ///
    /// # Example
    ///
    /// See [`LoadShedderBuilder`].
    pub fn builder(name: impl Into<Arc<str>>) -> LoadShedderBuilder {
        LoadShedderBuilder::new(name.into())
    }

    /// Something comes and waits for its turn from now on.
    ///
    /// # Errors
    ///
    /// [`TooDeep`](Shed::TooDeep) if as much waits as may.
    ///
    /// # Blocking
    ///
    /// Never.
    pub fn enter(&self) -> Result<Ticket, Shed> {
        let inside = &*self.0;
        let max_depth = inside.max_depth();
        let add = |depth: u64| (depth < max_depth).then_some(depth + 1);
        match inside.depth.fetch_update(Ordering::Relaxed, Ordering::Relaxed, add) {
            Ok(_) => Ok(Ticket { inside: Arc::clone(&self.0), entered: inside.time.now() }),
            Err(depth) => Err(inside.too_deep(depth)),
        }
    }

    /// The next one of a queue of somebody else's has its turn: so many wait behind it, and for so long it has waited
    /// itself.
    ///
    /// # Errors
    ///
    /// [`TooDeep`](Shed::TooDeep) if more wait than may, [`TooOld`](Shed::TooOld) if it has waited too long.
    ///
    /// # Blocking
    ///
    /// Never, save for others who do the same at this moment.
    ///
    /// # Example
    ///
    /// ```
    /// use std::time::Duration;
    /// use underpin::resilience::LoadShedder;
    ///
    /// let shedder = LoadShedder::new("orders", 1000);
    /// assert!(shedder.check(1000, Duration::from_millis(10)).is_ok());
    /// assert!(shedder.check(1001, Duration::from_millis(10)).is_err());
    /// assert!(shedder.check(0, Duration::from_millis(1001)).is_err());
    /// ```
    pub fn check(&self, depth: u64, age: Duration) -> Result<(), Shed> {
        if depth > self.0.max_depth() {
            return Err(self.0.too_deep(depth));
        }
        self.0.judge(self.0.time.now(), age)
    }

    /// So many may wait from now on, and for so long. Those who wait stay.
    pub(crate) fn change(&self, max_depth: u64, max_age: Duration) {
        self.0.max_depth.store(max_depth, Ordering::Relaxed);
        self.0.max_age_nanos.store(nanos(max_age), Ordering::Relaxed);
    }

    /// How it stands now.
    ///
    /// # Example
    ///
    /// ```
    /// use underpin::resilience::LoadShedder;
    ///
    /// let shedder = LoadShedder::new("orders", 1);
    /// let ticket = shedder.enter();
    /// assert!(shedder.enter().is_err());
    /// let snapshot = shedder.snapshot();
    /// assert_eq!((snapshot.depth, snapshot.shed_by_depth, snapshot.shedding), (1, 1, true));
    /// # drop(ticket);
    /// ```
    pub fn snapshot(&self) -> LoadShedderSnapshot {
        let inside = &*self.0;
        LoadShedderSnapshot {
            name: Arc::clone(&inside.name),
            depth: inside.depth.load(Ordering::Relaxed),
            max_depth: inside.max_depth(),
            shed_by_depth: inside.too_deep.load(Ordering::Relaxed),
            shed_by_age: inside.too_old.load(Ordering::Relaxed),
            shedding: inside.shed_at.load(Ordering::Relaxed) != 0,
            standing: inside.codel.as_ref().is_some_and(|codel| codel.lock().stands(inside.time.now())),
        }
    }
}

impl Inside {
    fn max_depth(&self) -> u64 {
        self.max_depth.load(Ordering::Relaxed)
    }

    /// Something has its turn and has waited for so long.
    fn judge(&self, now: u64, age: Duration) -> Result<(), Shed> {
        // Asked in any case: what is too old belongs to how long is waited, too.
        let passes = self.codel.as_ref().is_none_or(|codel| codel.lock().passes(now, nanos(age)));
        if !passes || nanos(age) > self.max_age_nanos.load(Ordering::Relaxed) {
            return Err(self.too_old(now, age));
        }
        self.calm(now);
        Ok(())
    }

    #[cold]
    fn too_deep(&self, depth: u64) -> Shed {
        self.too_deep.fetch_add(1, Ordering::Relaxed);
        self.shedding(self.time.now(), || format!("{depth} wait"));
        Shed::TooDeep { name: Arc::clone(&self.name), depth, most: self.max_depth() }
    }

    #[cold]
    fn too_old(&self, now: u64, age: Duration) -> Shed {
        self.too_old.fetch_add(1, Ordering::Relaxed);
        self.shedding(now, || format!("one has waited {age:?}"));
        Shed::TooOld { name: Arc::clone(&self.name), age }
    }

    fn shedding(&self, now: u64, why: impl FnOnce() -> String) {
        if self.shed_at.swap(now.saturating_add(1), Ordering::Relaxed) == 0 {
            self.voice.tell(&self.name, "shedding_began", self.time.clock().now(), why);
        }
    }

    fn calm(&self, now: u64) {
        let shed_at = self.shed_at.load(Ordering::Relaxed);
        if shed_at != 0 && now.saturating_sub(shed_at) >= CALM_NANOS {
            self.calmed(shed_at);
        }
    }

    #[cold]
    fn calmed(&self, shed_at: u64) {
        // Unless something is shed just now, or another has told it.
        if self.shed_at.compare_exchange(shed_at, 0, Ordering::Relaxed, Ordering::Relaxed).is_ok() {
            let detail = || {
                let (deep, old) =
                    (self.too_deep.load(Ordering::Relaxed), self.too_old.load(Ordering::Relaxed));
                format!("{} shed since the start", deep.saturating_add(old))
            };
            self.voice.tell(&self.name, "shedding_ended", self.time.clock().now(), detail);
        }
    }
}

impl fmt::Debug for LoadShedder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "LoadShedder(`{}`)", self.0.name)
    }
}

/// Something that waits for its turn. When it is dropped it waits no longer.
#[must_use = "it waits no longer when it is dropped"]
pub struct Ticket {
    inside: Arc<Inside>,
    entered: u64,
}

impl Ticket {
    /// It has its turn: it waits no longer, and is done if this returns `Ok`.
    ///
    /// # Errors
    ///
    /// [`TooOld`](Shed::TooOld) if it has waited too long.
    ///
    /// # Blocking
    ///
    /// Never, save for others who do the same at this moment.
    pub fn begin(self) -> Result<(), Shed> {
        self.check(Duration::ZERO)
    }

    /// It has its turn, and is counted until it is dropped; so long it had waited before it came.
    pub(crate) fn check(&self, before: Duration) -> Result<(), Shed> {
        let now = self.inside.time.now();
        let age = Duration::from_nanos(now.saturating_sub(self.entered));
        self.inside.judge(now, age.saturating_add(before))
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.inside.depth.fetch_sub(1, Ordering::Relaxed);
    }
}

impl fmt::Debug for Ticket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Ticket(`{}`)", self.inside.name)
    }
}

/// Why something is not done.
///
/// # Example
///
/// ```
/// use underpin::ErrorKind;
/// use underpin::resilience::LoadShedder;
///
/// let shed = LoadShedder::new("orders", 0).enter().unwrap_err();
/// assert_eq!(shed.to_string(), "`orders` sheds load: 0 wait, at most 0 may");
/// assert_eq!(shed.kind(), ErrorKind::Transient);
/// ```
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Shed {
    /// Too many wait.
    #[error("`{name}` sheds load: {depth} wait, at most {most} may")]
    TooDeep {
        /// Who shed it.
        name: Arc<str>,
        /// How many wait.
        depth: u64,
        /// How many may.
        most: u64,
    },
    /// It has waited too long.
    #[error("`{name}` sheds load: this has waited {age:?}")]
    TooOld {
        /// Who shed it.
        name: Arc<str>,
        /// How long it has waited.
        age: Duration,
    },
}

impl Shed {
    /// [`Transient`](ErrorKind::Transient): it may work when there is less.
    pub fn kind(&self) -> ErrorKind {
        ErrorKind::Transient
    }
}

impl Classify for Shed {
    fn kind(&self) -> ErrorKind {
        self.kind()
    }
}

/// How a [`LoadShedder`] stands.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct LoadShedderSnapshot {
    /// Its name.
    pub name: Arc<str>,
    /// How many tickets wait.
    pub depth: u64,
    /// How many may.
    pub max_depth: u64,
    /// How many were shed because too many waited.
    pub shed_by_depth: u64,
    /// How many were shed because they had waited too long.
    pub shed_by_age: u64,
    /// Whether something was shed, and nothing has been done since in calm.
    pub shedding: bool,
    /// Whether the queue stands, by its [controlled delay](LoadShedderBuilder::controlled_delay).
    pub standing: bool,
}

#[cfg(all(test, not(underpin_loom)))]
mod tests {
    use super::super::sink::{Event, Sink};
    use super::*;
    use crate::sync::{Clock, ManualClock};

    const MS: Duration = Duration::from_millis(1);

    #[derive(Default)]
    struct Heard(Mutex<Vec<Event>>);

    impl Sink for Heard {
        fn event(&self, event: &Event) {
            self.0.lock().push(event.clone());
        }
    }

    impl Heard {
        fn kinds(&self) -> Vec<&'static str> {
            self.0.lock().iter().map(|event| event.kind).collect()
        }
    }

    fn shedder() -> (LoadShedderBuilder, ManualClock, Arc<Heard>) {
        let (clock, hand) = Clock::manual();
        let heard = Arc::new(Heard::default());
        let sink = Arc::clone(&heard) as Arc<dyn Sink>;
        (LoadShedder::builder("x").max_age(100 * MS).clock(clock).sink(sink), hand, heard)
    }

    #[test]
    fn how_many_may_wait_and_how_long_can_be_said_anew() {
        let (clock, hand) = Clock::manual();
        let shedder = LoadShedder::builder("x").max_depth(2).clock(clock).build();
        let (first, second) = (shedder.enter().expect("the first"), shedder.enter().expect("the second"));
        shedder.change(1, 10 * MS);
        assert!(matches!(shedder.enter(), Err(Shed::TooDeep { depth: 2, most: 1, .. })));
        hand.advance(10 * MS);
        assert!(first.check(Duration::ZERO).is_ok() && first.check(MS).is_err());
        assert_eq!(shedder.snapshot().depth, 2, "a look does not end its wait");
        drop(first);
        hand.advance(MS);
        shedder.change(u64::MAX, Duration::MAX);
        assert!(second.begin().is_ok() && shedder.snapshot().depth == 0);
    }

    #[test]
    fn of_two_hundred_threads_a_hundred_may_wait() {
        let shedder = LoadShedder::new("x", 100);
        let start = std::sync::Barrier::new(200);
        let tickets: Vec<_> = std::thread::scope(|scope| {
            let enter = || {
                start.wait();
                shedder.enter().ok()
            };
            let threads: Vec<_> = (0..200).map(|_| scope.spawn(enter)).collect();
            threads.into_iter().filter_map(|thread| thread.join().expect("no panic")).collect()
        });
        let snapshot = shedder.snapshot();
        assert_eq!((tickets.len(), snapshot.depth, snapshot.shed_by_depth), (100, 100, 100));
        drop(tickets);
        assert_eq!(shedder.snapshot().depth, 0);
    }

    #[test]
    fn what_has_waited_as_long_as_it_may_is_done_and_what_has_waited_longer_is_not() {
        let (builder, hand, _) = shedder();
        let shedder = builder.build();
        let (one, other) = (shedder.enter().expect("room"), shedder.enter().expect("room"));
        hand.advance(100 * MS);
        assert_eq!((one.begin(), shedder.snapshot().depth), (Ok(()), 1));
        hand.advance(MS);
        assert_eq!(other.begin(), Err(Shed::TooOld { name: "x".into(), age: 101 * MS }));
        let snapshot = shedder.snapshot();
        assert_eq!((snapshot.depth, snapshot.shed_by_age, snapshot.shed_by_depth), (0, 1, 0));
    }

    #[test]
    fn a_standing_queue_may_be_waited_in_only_shortly() {
        let (builder, hand, _) = shedder();
        let shedder = builder.controlled_delay(5 * MS, 100 * MS).build();
        let mut passes = |waited: u32| {
            hand.advance(50 * MS);
            shedder.check(0, waited * MS).is_ok()
        };
        assert_eq!([50, 50, 50].map(&mut passes), [true, true, false]);
        assert!(shedder.snapshot().standing);
        let passed = [50, 10, 5, 50, 50].map(&mut passes);
        assert_eq!(passed, [false, true, true, true, true]);
        assert!(!passes(101));
        assert!(shedder.snapshot().standing, "for an interval nobody has waited less than 50 ms");
    }

    #[test]
    fn its_begin_and_its_end_are_told_once() {
        let (builder, hand, heard) = shedder();
        let shedder = builder.max_depth(1).build();
        let age = 101 * MS;
        for _ in 0..3 {
            assert!(shedder.check(2, MS).is_err() && shedder.check(0, age).is_err());
            assert!(shedder.check(1, MS).is_ok());
        }
        hand.advance(999 * MS);
        assert!(shedder.check(0, MS).is_ok());
        assert_eq!((heard.kinds(), shedder.snapshot().shedding), (vec!["shedding_began"], true));
        hand.advance(2 * MS);
        assert!(shedder.enter().and_then(Ticket::begin).is_ok() && shedder.check(0, MS).is_ok());
        assert_eq!(heard.kinds(), ["shedding_began", "shedding_ended"]);
        assert!(!shedder.snapshot().shedding && shedder.check(0, age).is_err());
        assert_eq!(heard.kinds(), ["shedding_began", "shedding_ended", "shedding_began"]);
        let events = heard.0.lock();
        assert_eq!((&*events[0].detail, &*events[1].detail), ("2 wait", "6 shed since the start"));
    }

    #[test]
    fn a_queue_in_which_all_wait_too_long_stands() {
        let (builder, hand, _) = shedder();
        let shedder = builder.controlled_delay(5 * MS, 100 * MS).build();
        let mut passes = |waited: u32| {
            hand.advance(50 * MS);
            shedder.check(0, waited * MS).is_ok()
        };
        assert_eq!([200; 10].map(&mut passes), [false; 10]);
        assert!(!passes(50), "for half a second nobody has waited less than 200 ms");
        assert!(shedder.snapshot().standing);
    }

    #[test]
    fn a_queue_that_nobody_leaves_any_more_does_not_stand() {
        let (builder, hand, _) = shedder();
        let shedder = builder.controlled_delay(5 * MS, 100 * MS).build();
        for _ in 0..4 {
            hand.advance(50 * MS);
            drop(shedder.check(0, 50 * MS));
        }
        assert!(shedder.snapshot().standing);
        hand.advance(3_600_000 * MS);
        assert!(!shedder.snapshot().standing);
    }

    #[test]
    fn of_which_nothing_is_said_a_thousand_and_24_may_wait_for_a_second() {
        let shedder = LoadShedder::builder("x").build();
        assert!(shedder.check(1024, 1000 * MS).is_ok());
        assert!(shedder.check(1025, MS).is_err() && shedder.check(0, 1001 * MS).is_err());
    }
}
