//! How much is done at once.

mod builder;
mod error;

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

pub use builder::BulkheadBuilder;
pub(crate) use builder::DEFAULT_MAX_CONCURRENT_CALLS;
pub use error::BulkheadError;

use super::patience::Patience;
use super::retry::StopSignal;
use super::seats::Seats;
use crate::sync::{self, AtomicU64, Clock, Mutex, Ordering, Tally, Thread, mutant};

/// How much is done at once: a semaphore with deadlines, so that one thing that hangs does not take all threads along.
///
/// Permits weigh something, 1 if nothing is said, and all that are out weigh no more than the
/// [limit](BulkheadBuilder::max_concurrent_calls) together. Who waits is served in the order of arrival, also where
/// somebody lighter behind would fit; whoever comes while others wait goes behind them. A permit that is given back is
/// handed to those who wait, who park until then: nobody looks again and again, no wake is lost.
///
/// Clones are the same bulkhead. Options are named as resilience4j's, and so are the defaults.
///
/// # Example
///
/// ```
/// use std::time::Duration;
/// use underpin::resilience::Bulkhead;
///
/// let bulkhead = Bulkhead::new("store", 2);
/// let one = bulkhead.try_acquire().unwrap();
/// let other = bulkhead.acquire(Duration::from_millis(10)).unwrap();
/// assert!(bulkhead.try_acquire().is_err());
/// drop(one);
/// assert!(bulkhead.try_acquire().is_ok());
/// # drop(other);
/// ```
#[derive(Clone)]
pub struct Bulkhead(Arc<Inside>);

struct Inside {
    name: Arc<str>,
    clock: Clock,
    max_wait: Duration,
    seats: Mutex<Seats<Arc<Waiting>>>,
    rejected: Tally,
}

/// Somebody who waits.
struct Waiting {
    thread: Thread,
    word: AtomicU64,
}

/// Nothing has been said to who waits: [`Waiting`] alone may say more, under the lock of the seats.
const WAIT: u64 = 0;
/// They have their places.
const COME: u64 = 1;
/// There will never be so many places, but only as many as are added to this.
const GO: u64 = 2;

impl Bulkhead {
    /// At most so many at once, by the system's clock. With 0 there is no permit at all.
    pub fn new(name: impl Into<Arc<str>>, max_concurrent_calls: u32) -> Self {
        Self::builder(name).max_concurrent_calls(max_concurrent_calls).build()
    }

    /// A bulkhead with more said about it.
    ///
    /// # Example
    ///
    /// See [`BulkheadBuilder`].
    pub fn builder(name: impl Into<Arc<str>>) -> BulkheadBuilder {
        BulkheadBuilder::new(name.into())
    }

    /// Takes a permit, if there is one and nobody waits.
    ///
    /// # Errors
    ///
    /// [`Full`](BulkheadError::Full) otherwise.
    ///
    /// # Blocking
    ///
    /// Never, save for others who do the same at this moment.
    pub fn try_acquire(&self) -> Result<BulkheadPermit, BulkheadError> {
        self.acquire_many(1, Patience::NONE)
    }

    /// Takes a permit of this weight, if there is one and nobody waits.
    ///
    /// # Errors
    ///
    /// [`Full`](BulkheadError::Full) if there is none now, [`TooHeavy`](BulkheadError::TooHeavy) if there never is.
    ///
    /// # Blocking
    ///
    /// As [`try_acquire`](Self::try_acquire).
    pub fn try_acquire_many(&self, weight: u32) -> Result<BulkheadPermit, BulkheadError> {
        self.acquire_many(weight, Patience::NONE)
    }

    /// Takes a permit, and waits for it.
    ///
    /// # Errors
    ///
    /// [`Full`](BulkheadError::Full) if there was none in time.
    ///
    /// # Blocking
    ///
    /// Until others give enough back, never beyond the end of the patience.
    ///
    /// # Example
    ///
    /// ```
    /// use std::time::Duration;
    /// use underpin::resilience::Bulkhead;
    ///
    /// let bulkhead = Bulkhead::new("store", 1);
    /// let permit = bulkhead.try_acquire().unwrap();
    /// std::thread::scope(|scope| {
    ///     let waiting = scope.spawn(|| bulkhead.acquire(Duration::from_secs(5)).is_ok());
    ///     drop(permit);
    ///     assert!(waiting.join().unwrap());
    /// });
    /// ```
    pub fn acquire(&self, patience: impl Into<Patience>) -> Result<BulkheadPermit, BulkheadError> {
        self.acquire_many(1, patience)
    }

    /// Takes a permit of this weight, and waits for it.
    ///
    /// # Errors
    ///
    /// [`Full`](BulkheadError::Full) if there was none in time, [`TooHeavy`](BulkheadError::TooHeavy) if there never
    /// is, also when it becomes so while it waits.
    ///
    /// # Blocking
    ///
    /// As [`acquire`](Self::acquire).
    ///
    /// # Example
    ///
    /// ```
    /// use std::time::Duration;
    /// use underpin::resilience::{Bulkhead, BulkheadError};
    ///
    /// let bulkhead = Bulkhead::new("memory", 1024);
    /// let large = bulkhead.acquire_many(1000, Duration::ZERO).unwrap();
    /// assert!(matches!(bulkhead.acquire_many(25, Duration::ZERO), Err(BulkheadError::Full { .. })));
    /// assert!(matches!(bulkhead.acquire_many(1025, Duration::ZERO), Err(BulkheadError::TooHeavy { .. })));
    /// # drop(large);
    /// ```
    pub fn acquire_many(
        &self,
        weight: u32,
        patience: impl Into<Patience>,
    ) -> Result<BulkheadPermit, BulkheadError> {
        let inside = &self.0;
        match inside.sit_or_wait(weight, patience.into(), None) {
            Ok(_) => Ok(BulkheadPermit { inside: Arc::clone(inside), weight }),
            Err(error) => Err(inside.reject(error)),
        }
    }

    /// Takes a permit as [`acquire`](Self::acquire) does, and ends its wait when the signal is given, too: as if it had
    /// been full for so long. With the permit comes how long was waited for it.
    pub(crate) fn acquire_unless(
        &self,
        stop: &StopSignal,
        patience: Patience,
    ) -> Result<(BulkheadPermit, Duration), BulkheadError> {
        let inside = &self.0;
        match inside.sit_or_wait(1, patience, Some(stop)) {
            Ok(waited) => Ok((BulkheadPermit { inside: Arc::clone(inside), weight: 1 }, waited)),
            Err(error) => Err(inside.reject(error)),
        }
    }

    /// Does something with a permit, for which it waits [so long](BulkheadBuilder::max_wait_duration). The permit is
    /// given back also if it panics.
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
    /// use underpin::resilience::Bulkhead;
    ///
    /// let bulkhead = Bulkhead::new("store", 1);
    /// assert_eq!(bulkhead.call(|| 7).unwrap(), 7);
    /// assert!(bulkhead.call(|| bulkhead.call(|| 7)).unwrap().is_err());
    /// ```
    pub fn call<T>(&self, work: impl FnOnce() -> T) -> Result<T, BulkheadError> {
        let _permit = self.acquire(self.0.max_wait)?;
        Ok(work())
    }

    /// There is so much at once from now on. What is above that ends by itself; who waits for more than that is sent
    /// away.
    ///
    /// # Example
    ///
    /// ```
    /// use underpin::resilience::Bulkhead;
    ///
    /// let bulkhead = Bulkhead::new("store", 1);
    /// let one = bulkhead.try_acquire().unwrap();
    /// bulkhead.change_max_concurrent_calls(2);
    /// let other = bulkhead.try_acquire().unwrap();
    /// bulkhead.change_max_concurrent_calls(1);
    /// drop(one);
    /// assert!(bulkhead.try_acquire().is_err());
    /// # drop(other);
    /// ```
    pub fn change_max_concurrent_calls(&self, most: u32) {
        let mut seats = self.0.seats.lock();
        let (called, sent_away) = seats.change(most);
        called.iter().for_each(|waiting| waiting.tell(COME));
        sent_away.iter().for_each(|waiting| waiting.tell(GO + u64::from(most)));
        drop(seats);
        called.iter().chain(&sent_away).for_each(|waiting| waiting.thread.unpark());
    }

    /// Its name.
    pub fn name(&self) -> &Arc<str> {
        &self.0.name
    }

    /// What the permits that are out weigh.
    pub(crate) fn in_use(&self) -> u32 {
        self.0.seats.lock().used()
    }

    /// How it stands now.
    ///
    /// # Example
    ///
    /// ```
    /// use underpin::resilience::Bulkhead;
    ///
    /// let bulkhead = Bulkhead::new("store", 1);
    /// let permit = bulkhead.try_acquire().unwrap();
    /// drop(bulkhead.try_acquire());
    /// let snapshot = bulkhead.snapshot();
    /// assert_eq!((snapshot.in_use, snapshot.max_concurrent_calls, snapshot.rejected), (1, 1, 1));
    /// # drop(permit);
    /// ```
    pub fn snapshot(&self) -> BulkheadSnapshot {
        let seats = self.0.seats.lock();
        let (most, in_use, waiting) = (seats.most(), seats.used(), seats.waiting());
        drop(seats);
        BulkheadSnapshot {
            name: Arc::clone(&self.0.name),
            max_concurrent_calls: most,
            in_use,
            waiting,
            rejected: self.0.rejected.load(Ordering::Relaxed),
        }
    }
}

impl Inside {
    /// How long it has waited for its places.
    fn sit_or_wait(
        &self,
        weight: u32,
        patience: Patience,
        stop: Option<&StopSignal>,
    ) -> Result<Duration, BulkheadError> {
        let mut seats = self.seats.lock();
        if seats.sit(weight) {
            return Ok(Duration::ZERO);
        }
        let most = seats.most();
        if weight > most {
            return Err(self.too_heavy(weight, most));
        }
        if patience == Patience::NONE {
            return Err(self.full(Duration::ZERO));
        }
        if mutant!(QueueLate) {
            drop(seats);
            seats = self.seats.lock();
        }
        // The wait begins before anybody can see that somebody waits: time that passes from there on counts.
        let began = self.clock.now();
        let waiting = Arc::new(Waiting { thread: sync::current_thread(), word: AtomicU64::new(WAIT) });
        seats.queue_up(weight, Arc::clone(&waiting));
        drop(seats);
        self.wait(weight, &waiting, began, patience, stop)
    }

    fn wait(
        &self,
        weight: u32,
        me: &Arc<Waiting>,
        began: Instant,
        patience: Patience,
        stop: Option<&StopSignal>,
    ) -> Result<Duration, BulkheadError> {
        let _watch = stop.map(StopSignal::watch);
        let end = patience.deadline(began).instant();
        let is_over =
            || end.is_some_and(|end| self.clock.now() >= end) || stop.is_some_and(StopSignal::is_stopped);
        while me.word() == WAIT {
            if is_over() && self.leave(me) {
                return Err(self.full(self.since(began)));
            }
            if me.word() == WAIT {
                self.clock.park(end);
            }
        }
        match me.word() {
            COME => Ok(self.since(began)),
            word => Err(self.too_heavy(weight, u32::try_from(word - GO).unwrap_or(u32::MAX))),
        }
    }

    /// `false`: something was said meanwhile.
    fn leave(&self, me: &Arc<Waiting>) -> bool {
        let mut seats = self.seats.lock();
        let Some(called) = seats.leave(|other| Arc::ptr_eq(other, me)) else { return mutant!(GiveUpCalled) };
        if mutant!(LeaveUnpassed) {
            return true;
        }
        called.iter().for_each(|waiting| waiting.tell(COME));
        drop(seats);
        called.iter().for_each(|waiting| waiting.thread.unpark());
        true
    }

    fn rise(&self, weight: u32) {
        let mut seats = self.seats.lock();
        let called = seats.rise(weight);
        called.iter().for_each(|waiting| waiting.tell(COME));
        drop(seats);
        called.iter().for_each(|waiting| waiting.thread.unpark());
    }

    fn since(&self, began: Instant) -> Duration {
        self.clock.now().saturating_duration_since(began)
    }

    #[cold]
    fn reject(&self, error: BulkheadError) -> BulkheadError {
        self.rejected.fetch_add(1, Ordering::Relaxed);
        error
    }

    #[cold]
    fn full(&self, waited: Duration) -> BulkheadError {
        BulkheadError::Full { name: Arc::clone(&self.name), waited }
    }

    #[cold]
    fn too_heavy(&self, weight: u32, most: u32) -> BulkheadError {
        BulkheadError::TooHeavy { name: Arc::clone(&self.name), weight, most }
    }
}

// ORDERING: the word is written under the lock of the seats, once. Release and Acquire, so that what the one who gave
// the places back did before is seen by the one who has them now.
impl Waiting {
    fn tell(&self, word: u64) {
        self.word.store(word, Ordering::Release);
    }

    fn word(&self) -> u64 {
        self.word.load(Ordering::Acquire)
    }
}

impl fmt::Debug for Bulkhead {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Bulkhead(`{}`)", self.0.name)
    }
}

/// A permit of a [`Bulkhead`]. It is given back when it is dropped, on any thread.
#[must_use = "it is given back when it is dropped"]
pub struct BulkheadPermit {
    inside: Arc<Inside>,
    weight: u32,
}

impl BulkheadPermit {
    /// What it weighs.
    pub fn weight(&self) -> u32 {
        self.weight
    }
}

impl Drop for BulkheadPermit {
    fn drop(&mut self) {
        self.inside.rise(self.weight);
    }
}

impl fmt::Debug for BulkheadPermit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BulkheadPermit(`{}`, {})", self.inside.name, self.weight)
    }
}

/// How a [`Bulkhead`] stands.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct BulkheadSnapshot {
    /// Its name.
    pub name: Arc<str>,
    /// What all permits together weigh at most.
    pub max_concurrent_calls: u32,
    /// What those that are out weigh.
    pub in_use: u32,
    /// How many wait.
    pub waiting: usize,
    /// How often no permit was given.
    pub rejected: u64,
}

#[cfg(all(test, not(underpin_loom)))]
mod tests {
    use std::sync::atomic::AtomicU32;

    use super::*;
    use crate::error::ErrorKind;
    use crate::service::deadline::Deadline;
    use crate::sync::ManualClock;

    const SECOND: Duration = Duration::from_secs(1);

    fn bulkhead(most: u32) -> (Bulkhead, ManualClock) {
        let (clock, hand) = Clock::manual();
        (Bulkhead::builder("x").max_concurrent_calls(most).clock(clock).build(), hand)
    }

    fn waiting(bulkhead: &Bulkhead, count: usize) {
        while bulkhead.snapshot().waiting != count {
            std::thread::yield_now();
        }
    }

    #[test]
    fn of_two_hundred_threads_at_most_so_many_are_inside_at_once_and_all_get_in() {
        let bulkhead = Bulkhead::new("x", 7);
        let (inside, done) = (AtomicU32::new(0), AtomicU32::new(0));
        std::thread::scope(|scope| {
            for number in 0..200 {
                let (bulkhead, inside, done) = (&bulkhead, &inside, &done);
                scope.spawn(move || {
                    let permit =
                        bulkhead.acquire_many(1 + number % 3, 60 * SECOND).expect("a minute is long");
                    let now = inside.fetch_add(permit.weight(), Ordering::SeqCst) + permit.weight();
                    assert!(now <= 7, "{now}");
                    std::thread::yield_now();
                    inside.fetch_sub(permit.weight(), Ordering::SeqCst);
                    done.fetch_add(1, Ordering::SeqCst);
                });
            }
        });
        let snapshot = bulkhead.snapshot();
        assert_eq!((snapshot.in_use, snapshot.waiting, snapshot.rejected), (0, 0, 0));
        assert_eq!(done.into_inner(), 200);
    }

    #[test]
    fn of_two_hundred_threads_on_a_hundred_permits_exactly_a_hundred_get_one() {
        let bulkhead = Bulkhead::new("x", 100);
        let start = std::sync::Barrier::new(200);
        let permits: Vec<_> = std::thread::scope(|scope| {
            let take = || {
                start.wait();
                bulkhead.try_acquire().ok()
            };
            let threads: Vec<_> = (0..200).map(|_| scope.spawn(take)).collect();
            threads.into_iter().filter_map(|thread| thread.join().expect("no panic")).collect()
        });
        assert_eq!((permits.len(), bulkhead.snapshot().rejected), (100, 100));
    }

    #[test]
    fn who_came_first_is_served_first_and_nobody_overtakes() {
        let (bulkhead, _hand) = bulkhead(2);
        let one = bulkhead.try_acquire().expect("it is empty");
        let (sender, order) = std::sync::mpsc::channel();
        let mut waiters = Vec::new();
        for (number, weight) in [2, 1, 2].into_iter().enumerate() {
            let (bulkhead, sender) = (bulkhead.clone(), sender.clone());
            let seen = bulkhead.clone();
            waiters.push(std::thread::spawn(move || {
                let _permit = bulkhead.acquire_many(weight, SECOND).expect("no time passes");
                sender.send(number).expect("somebody listens");
            }));
            waiting(&seen, number + 1);
        }
        assert!(bulkhead.try_acquire().is_err(), "there is room, but others wait");
        drop(one);
        assert_eq!([(); 3].map(|()| order.recv().expect("all come")), [0, 1, 2]);
        waiters.into_iter().for_each(|waiter| waiter.join().expect("no panic"));
    }

    #[test]
    fn a_deadline_ends_the_wait_and_lets_those_behind_go_on() {
        let (bulkhead, hand) = bulkhead(2);
        let one = bulkhead.try_acquire().expect("it is empty");
        let heavy = std::thread::spawn({
            let bulkhead = bulkhead.clone();
            move || bulkhead.acquire_many(2, SECOND).map(drop)
        });
        waiting(&bulkhead, 1);
        assert!(bulkhead.try_acquire().is_err(), "somebody waits");
        let light = std::thread::spawn({
            let bulkhead = bulkhead.clone();
            move || bulkhead.acquire(Deadline::unbounded())
        });
        waiting(&bulkhead, 2);
        hand.advance(SECOND);
        let full = BulkheadError::Full { name: "x".into(), waited: SECOND };
        assert_eq!(heavy.join().expect("no panic"), Err(full));
        let other = light.join().expect("no panic").expect("there was room for it");
        assert_eq!(bulkhead.snapshot().in_use, 2);
        drop((one, other));
        assert_eq!(bulkhead.snapshot().in_use, 0);
    }

    #[test]
    fn whoever_waits_for_more_than_there_will_be_is_sent_away() {
        let (bulkhead, _hand) = bulkhead(3);
        let one = bulkhead.try_acquire().expect("it is empty");
        let waiter = std::thread::spawn({
            let bulkhead = bulkhead.clone();
            move || bulkhead.acquire_many(3, Deadline::unbounded()).map(drop)
        });
        waiting(&bulkhead, 1);
        bulkhead.change_max_concurrent_calls(2);
        let error = BulkheadError::TooHeavy { name: "x".into(), weight: 3, most: 2 };
        assert_eq!(waiter.join().expect("no panic"), Err(error));
        assert!(bulkhead.try_acquire().is_ok());
        drop(one);
    }

    #[test]
    fn more_room_is_for_those_who_wait() {
        let (bulkhead, _hand) = bulkhead(0);
        assert_eq!(bulkhead.try_acquire().expect_err("there is none").kind(), ErrorKind::User);
        bulkhead.change_max_concurrent_calls(1);
        let one = bulkhead.try_acquire().expect("it is empty");
        let waiter = std::thread::spawn({
            let bulkhead = bulkhead.clone();
            move || bulkhead.acquire(Deadline::unbounded()).is_ok()
        });
        waiting(&bulkhead, 1);
        bulkhead.change_max_concurrent_calls(2);
        assert!(waiter.join().expect("no panic"));
        drop(one);
    }

    #[test]
    fn a_call_gives_its_permit_back_also_if_it_panics() {
        let (bulkhead, _hand) = bulkhead(1);
        let call = std::panic::AssertUnwindSafe(|| bulkhead.call(|| panic!("as it may")));
        assert!(std::panic::catch_unwind(call).is_err());
        assert_eq!(bulkhead.call(|| bulkhead.snapshot().in_use), Ok(1));
    }

    #[test]
    fn who_is_sent_away_is_told_how_little_room_there_was_then() {
        for _ in 0..20 {
            let (bulkhead, _hand) = bulkhead(3);
            let one = bulkhead.try_acquire().expect("it is empty");
            let waiter = std::thread::spawn({
                let bulkhead = bulkhead.clone();
                move || bulkhead.acquire_many(3, Deadline::unbounded()).map(drop)
            });
            waiting(&bulkhead, 1);
            bulkhead.change_max_concurrent_calls(2);
            bulkhead.change_max_concurrent_calls(9);
            let error = BulkheadError::TooHeavy { name: "x".into(), weight: 3, most: 2 };
            assert_eq!(waiter.join().expect("no panic"), Err(error));
            drop(one);
        }
    }

    #[test]
    fn a_bulkhead_of_which_nothing_is_said_is_that_of_resilience4j() {
        let bulkhead = Bulkhead::builder("x").build();
        assert_eq!(bulkhead.snapshot().max_concurrent_calls, 25);
        let _permit = bulkhead.acquire_many(25, Duration::ZERO).expect("it is empty");
        assert_eq!(
            bulkhead.call(|| 1),
            Err(BulkheadError::Full { name: "x".into(), waited: Duration::ZERO })
        );
    }

    #[test]
    fn a_call_waits_as_long_as_was_said() {
        let (clock, hand) = Clock::manual();
        let builder = Bulkhead::builder("x").max_concurrent_calls(1).clock(clock);
        let bulkhead = builder.max_wait_duration(SECOND).build();
        let _permit = bulkhead.try_acquire().expect("it is empty");
        let waiter = std::thread::spawn({
            let bulkhead = bulkhead.clone();
            move || bulkhead.call(|| 1)
        });
        waiting(&bulkhead, 1);
        hand.advance(SECOND);
        let full = BulkheadError::Full { name: "x".into(), waited: SECOND };
        assert_eq!(waiter.join().expect("no panic"), Err(full));
    }
}
