//! A function over the items of an iterator, on many threads.

use std::borrow::Cow;
use std::fmt;
use std::iter::FusedIterator;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::error::TaskError;
use super::flight::Flight;
use super::flow::{Flow, Outcome};
use super::ground::Ground;
use super::head::{Head, Key};
use super::piece::{Each, Item, Piece};
use super::shared::name;
use crate::service::deadline::{DEFAULT_TIMEOUT, Deadline};
use crate::service::scope::inherited;

/// The outcomes of a function over the items of an iterator, as the threads of a [pool](super::TaskPool::map) or of a
/// [scope](super::Scope::map) bring them about.
///
/// It is lazy, as [`Iterator::map`] is: nothing is pulled before the first [`next`](Iterator::next), and never are more items
/// in flight, pulled and not handed out, than [`concurrency`](Self::concurrency) says. For each item that was pulled there is one
/// outcome, whatever happens to it: an item that panicked, was too late or was not taken is an `Err`, and the others go on,
/// [unless it is said](Self::stop_on) that they do not. The source is asked on the calling thread; while it has nothing yet,
/// nothing is handed out. If it panics, so does `next`, and the rest is cancelled.
///
/// Dropped early, it cancels the rest and does not wait: what has not begun never does, and what runs is told
/// [so](super::TaskContext::is_cancelled).
///
/// # Waiting
///
/// Each `next` waits 5 s at most unless a [time-out](Self::timeout) is set, until the [deadline](Self::deadline), and in a handler no longer
/// than the handler's caller waits. The item it waited for is an `Err` then, told to end, and keeps its place until it has.
///
/// As whoever joins a task, the calling thread runs an item itself instead of waiting for it: in order the next one if nobody has begun it,
/// as completed the eldest if nobody has begun any and no thread is free to. So a task can map on the very pool it runs on, and the queue
/// may be full: what finds no room waits until something of this map has ended, and runs on the calling thread if there is nothing
/// else. Where a time-out or a deadline is set, the calling thread runs nothing, for nobody could say how long that takes; then the
/// [overflow rule](super::Overflow) decides about an item that finds no room while nothing else of the map is in flight, and if
/// it is shed, it is an `Err`.
///
/// # Example
///
/// ```
/// use underpin::tasks::TaskPool;
///
/// let tasks = TaskPool::builder("sums").threads(2).build()?;
/// let running = tasks.supervisor().start()?;
/// let squares: Result<Vec<_>, _> = tasks.map(1..=5, |n: u64| n * n).collect();
/// assert_eq!(squares?, [1, 4, 9, 16, 25]);
/// let mut squares: Vec<_> = tasks.map(1..=5, |n: u64| n * n).as_completed().flatten().collect();
/// squares.sort_unstable();
/// assert_eq!(squares, [1, 4, 9, 16, 25]);
/// # drop(running);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use = "it is lazy: nothing is done before it is iterated over"]
pub struct Map<'t, I: Iterator, U> {
    // Before the source, so that early dropped it is cancelled first.
    flow: Flow<'t, U>,
    /// Until it is used up.
    source: Option<I>,
    each: Each<'t, I::Item, U>,
    name: Cow<'static, str>,
    timeout: Duration,
    deadline: Option<Deadline>,
    key_by: Option<KeyBy<'t, I::Item>>,
    stop_on: Option<StopOn<'t, U>>,
}

type KeyBy<'t, T> = Box<dyn FnMut(&T) -> Key + 't>;
type StopOn<'t, U> = Box<dyn FnMut(&Outcome<U>) -> bool + 't>;

impl<'t, I: Iterator, U> Map<'t, I, U> {
    pub(super) fn new(ground: Box<dyn Ground<'t> + 't>, source: I, each: Each<'t, I::Item, U>) -> Self {
        let flight = Flight::new(ground.threads(), true);
        Self {
            flow: Flow::new(ground, flight, true),
            source: Some(source),
            each,
            name: Cow::Borrowed("map"),
            timeout: DEFAULT_TIMEOUT,
            deadline: None,
            key_by: None,
            stop_on: None,
        }
    }

    /// How many items are in flight at once: as many as there are threads unless set, and one at least.
    pub fn concurrency(mut self, items: usize) -> Self {
        self.flow.flight.set_most(items);
        self
    }

    /// The outcomes come in the order of the items. The default.
    pub fn ordered(mut self) -> Self {
        self.flow.flight.set_ordered(true);
        self
    }

    /// The outcomes come as the items are done.
    pub fn as_completed(mut self) -> Self {
        self.flow.flight.set_ordered(false);
        self
    }

    /// Ends with the first outcome for which this is true: it is handed out, and the rest is cancelled, as by an early drop. In order, what
    /// comes before it is handed out before it.
    ///
    /// # Example
    ///
    /// ```
    /// use underpin::tasks::TaskPool;
    ///
    /// let tasks = TaskPool::builder("work").build()?;
    /// let found: Vec<_> = tasks.map(1.., |n: u32| n * n).stop_on(|square| *square == Ok(49)).flatten().collect();
    /// assert_eq!(found, [1, 4, 9, 16, 25, 36, 49]);
    /// # Ok::<(), underpin::tasks::PoolSettingsError>(())
    /// ```
    pub fn stop_on(mut self, is_last: impl FnMut(&Result<U, TaskError>) -> bool + 't) -> Self {
        self.stop_on = Some(Box::new(is_last));
        self
    }

    /// How long each `next` waits for an outcome: 5 s unless set. The calling thread runs no item itself then.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        (self.timeout, self.flow.may_help) = (timeout, false);
        self
    }

    /// By when each item is to begin, and nobody waits any longer; what the items call inherits it. Unless set it is that of the caller of
    /// the handler in which the item is pulled, and unbounded elsewhere. The calling thread runs no item itself then. An item
    /// that is pulled later is an [`Expired`](TaskError::Expired) one.
    pub fn deadline(mut self, deadline: Deadline) -> Self {
        (self.deadline, self.flow.may_help) = (Some(deadline), false);
        self
    }

    /// The name of each task: `map` unless set.
    pub fn name(mut self, name: impl Into<Cow<'static, str>>) -> Self {
        self.name = name.into();
        self
    }

    /// What each item is about, as [`TaskBuilder::key`](super::TaskBuilder::key). Asked on the calling thread; a scope knows no keys.
    pub fn key_by<K: Into<Arc<str>>>(mut self, mut key: impl FnMut(&I::Item) -> K + 't) -> Self {
        self.key_by = Some(Box::new(move |item| key(item).into()));
        self
    }

    /// No more is pulled, and what is in flight is cancelled.
    fn stop(&mut self) {
        self.flow.cancel_all();
        self.source = None;
    }

    fn is_last(&mut self, outcome: &Outcome<U>) -> bool {
        self.stop_on.as_mut().is_some_and(|is_last| is_last(outcome))
    }

    fn until(&self, begun: Instant) -> Deadline {
        let patience = Deadline::from(begun, self.timeout);
        self.deadline.map_or(patience, |deadline| deadline.min(patience))
    }

    fn head(&mut self, item: &I::Item) -> Head {
        let key = self.key_by.as_mut().map(|key| key(item));
        let clock = &self.flow.ground.shared().clock;
        let deadline = self.deadline.or_else(|| inherited(|| clock.now())).unwrap_or(Deadline::unbounded());
        Head::new(self.name.clone(), key, deadline)
    }

    /// The next item, if there is one.
    fn pull(&mut self) -> Option<I::Item> {
        let item = self.source.as_mut()?.next();
        if item.is_none() {
            self.source = None;
        }
        item
    }
}

impl<'t, I: Iterator, U: Send + 't> Map<'t, I, U>
where
    I::Item: Send + 't,
{
    /// Hands the threads as much as may be in flight.
    pub(super) fn fill(&mut self) {
        let mut has_room = self.flow.retry();
        while has_room && self.flow.flight.has_room() {
            let Some(item) = self.pull() else { return };
            let head = self.head(&item);
            let (each, bell) = (Arc::clone(&self.each), Arc::clone(&self.flow.bell));
            let work = Item { item, each };
            let place = self.flow.flight.board(|place| Arc::new(Piece::new(head, work, place, bell)));
            has_room = self.flow.offer(place);
        }
    }

    fn advance(&mut self) -> Option<Outcome<U>> {
        let outcome = self.outcome()?;
        if self.is_last(&outcome) {
            self.stop();
        }
        Some(outcome)
    }

    fn outcome(&mut self) -> Option<Outcome<U>> {
        let mut begun = None;
        loop {
            self.flow.hear();
            self.fill();
            self.flow.hear(); // what was refused has ended
            if let Some(outcome) = self.flow.next() {
                return Some(outcome);
            }
            if self.source.is_none() && self.flow.flight.len() == 0 {
                return None;
            }
            let begun = *begun.get_or_insert_with(|| self.flow.ground.shared().clock.now());
            let until = self.until(begun);
            if !self.flow.help(until) && !self.flow.wait(until) {
                return self.flow.give_up(begun).or_else(|| self.unbegun(begun));
            }
        }
    }

    /// All places are those of items that nobody waits for any more, and that do not end.
    fn unbegun(&mut self, begun: Instant) -> Option<Outcome<U>> {
        let item = self.pull()?;
        let head = self.head(&item);
        drop(item);
        let shared = self.flow.ground.shared();
        let now = shared.clock.now();
        if head.is_late(|| now) {
            return Some(Err(shared.expired(&head)));
        }
        let waited = now.saturating_duration_since(begun);
        Some(Err(TaskError::TimedOut { name: name(&head), waited }))
    }
}

impl<'t, I: Iterator, U: Send + 't> Iterator for Map<'t, I, U>
where
    I::Item: Send + 't,
{
    type Item = Result<U, TaskError>;

    /// # Blocking
    ///
    /// On the source, and on the items: see [the type](Map#waiting).
    fn next(&mut self) -> Option<Self::Item> {
        // The source and the closures are the user's.
        catch_unwind(AssertUnwindSafe(|| self.advance())).unwrap_or_else(|panic| {
            self.stop();
            resume_unwind(panic)
        })
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let (least, most) = self.source.as_ref().map_or((0, Some(0)), Iterator::size_hint);
        let flying = self.flow.flight.len();
        let least = if self.stop_on.is_some() { 0 } else { least.saturating_add(flying) };
        (least, most.and_then(|most| most.checked_add(flying)))
    }
}

impl<'t, I: Iterator, U: Send + 't> FusedIterator for Map<'t, I, U> where I::Item: Send + 't {}

impl<I: Iterator, U> fmt::Debug for Map<'_, I, U> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Map")
            .field("name", &self.name)
            .field("in_flight", &self.flow.flight.len())
            .finish_non_exhaustive()
    }
}
