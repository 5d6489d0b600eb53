//! What the current thread is doing: whose handler it runs, and why it drops things.
//!
//! A [`Reply`](super::Reply) that is dropped unsent asks here what to tell its caller:
//!
//! | the thread | the caller gets |
//! |---|---|
//! | runs a handler | what the handler's end says: `Ok` -> `NoReply`, `Err` or a panic -> `Crashed` |
//! | drops a state or drains a mailbox for a stated reason | that reason |
//! | is any other | `NoReply`, or `Crashed` while it unwinds |

use std::cell::{Cell, RefCell};
use std::sync::Arc;
use std::time::Instant;

use super::deadline::Deadline;
use super::incarnation::Incarnation;
use super::reply::{Failure, Ticket};
use crate::sync;

struct Scope {
    me: Option<Arc<Incarnation>>,
    reason: Option<Failure>,
    dropped: Vec<Arc<Ticket>>,
}

impl Scope {
    const NOWHERE: Self = Self { me: None, reason: None, dropped: Vec::new() };
}

sync::thread_local! {
    static SCOPE: RefCell<Scope> = const { RefCell::new(Scope::NOWHERE) };
}

// Beside the scope, as plain cells: they are looked at with every message.
sync::thread_local! {
    static IS_SERVICE: Cell<bool> = const { Cell::new(false) };
}
sync::thread_local! {
    static HANDLING: Cell<bool> = const { Cell::new(false) };
}
sync::thread_local! {
    static HAS_DROPPED: Cell<bool> = const { Cell::new(false) };
}

/// Runs `work` as the thread of `me`. The simulation enters for each step, a thread once.
pub(crate) fn enter<R>(me: &Arc<Incarnation>, work: impl FnOnce() -> R) -> R {
    let before = SCOPE.with(|scope| scope.borrow_mut().me.replace(Arc::clone(me)));
    IS_SERVICE.with(|is| is.set(true));
    let result = work();
    IS_SERVICE.with(|is| is.set(before.is_some()));
    SCOPE.with(|scope| scope.borrow_mut().me = before);
    result
}

/// The incarnation whose thread this is.
#[inline]
pub(crate) fn me() -> Option<Arc<Incarnation>> {
    if !IS_SERVICE.with(Cell::get) {
        return None;
    }
    SCOPE.try_with(|scope| scope.borrow().me.clone()).ok().flatten()
}

/// By when the caller of the present handler wants its answer, where this is a handler. Only there the clock is read.
#[inline]
pub(crate) fn inherited(now: impl FnOnce() -> Instant) -> Option<Deadline> {
    me().and_then(|me| me.inherited_deadline(now()))
}

/// Who waits in a handler waits no longer than that handler's caller.
pub(crate) fn within_the_callers(deadline: Deadline, now: impl FnOnce() -> Instant) -> Deadline {
    inherited(now).map_or(deadline, |inherited| inherited.min(deadline))
}

/// Whether this is the thread of an incarnation that was abandoned: what it sends goes nowhere. Any
/// other thread, save that of a service, is told so by one look at a plain cell.
#[inline]
pub(crate) fn is_fenced() -> bool {
    IS_SERVICE.with(Cell::get) && am_abandoned()
}

fn am_abandoned() -> bool {
    let abandoned = |scope: &RefCell<Scope>| scope.borrow().me.as_ref().is_some_and(|me| me.is_abandoned());
    // Only a thread that haunts outlives its scope.
    SCOPE.try_with(abandoned).unwrap_or(true)
}

/// The thread of one that was abandoned is about to end, and code of the user's may still run on
/// it: the destructors of thread-locals.
pub(crate) fn haunt(me: &Arc<Incarnation>) {
    let before = SCOPE.with(|scope| scope.borrow_mut().me.replace(Arc::clone(me)));
    IS_SERVICE.with(|is| is.set(true));
    drop(before); // after the borrow
}

/// From here on dropped replies wait for the handler's end.
#[inline]
pub(crate) fn handler_begins() {
    HANDLING.with(|handling| handling.set(true));
}

/// Settles what the handler dropped.
#[inline]
pub(crate) fn handler_ended(failure: impl FnOnce() -> Failure) {
    HANDLING.with(|handling| handling.set(false));
    if HAS_DROPPED.with(Cell::get) {
        settle_dropped(&failure());
    }
}

#[cold]
fn settle_dropped(failure: &Failure) {
    HAS_DROPPED.with(|any| any.set(false));
    let dropped = SCOPE.with(|scope| std::mem::take(&mut scope.borrow_mut().dropped));
    dropped.iter().for_each(|ticket| ticket.settle(failure.clone()));
}

/// Runs `work`; replies that it drops are settled with `reason`.
pub(crate) fn dropping<R>(reason: Failure, work: impl FnOnce() -> R) -> R {
    let before = SCOPE.with(|scope| scope.borrow_mut().reason.replace(reason));
    let _restored = Restore(before);
    work()
}

/// The reason for which this thread drops things, if one is stated.
#[cfg(feature = "events")]
pub(crate) fn reason() -> Option<Failure> {
    SCOPE.try_with(|scope| scope.borrow().reason.clone()).ok().flatten()
}

/// Puts the reason back that was stated before, also when what is dropped panics.
struct Restore(Option<Failure>);

impl Drop for Restore {
    fn drop(&mut self) {
        let before = self.0.take();
        // Out of the borrow before it is dropped: the reason may hold an error of the user's.
        let _stated = SCOPE.try_with(|scope| std::mem::replace(&mut scope.borrow_mut().reason, before));
    }
}

/// What becomes of a reply that is dropped unsent on this thread.
pub(crate) fn reply_dropped(ticket: &Arc<Ticket>) {
    let verdict = SCOPE.try_with(|scope| {
        let mut scope = scope.borrow_mut();
        match &scope.reason {
            Some(reason) => Some(reason.clone()),
            None if HANDLING.with(Cell::get) => {
                scope.dropped.push(Arc::clone(ticket));
                HAS_DROPPED.with(|any| any.set(true));
                None
            }
            None if std::thread::panicking() => Some(Failure::Crashed),
            None => Some(Failure::NoReply),
        }
    });
    // A thread that ends has no scope any more.
    if let Some(failure) = verdict.unwrap_or(Some(Failure::NoReply)) {
        ticket.settle(failure);
    }
}
