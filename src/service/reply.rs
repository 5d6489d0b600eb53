//! The port of an answer: made by a call, carried in the message, used at most once.
//!
//! A call has two parts. Its [`Ticket`] knows nothing of the answer's type: it goes with the
//! message, so that whoever holds the message can end the call. Its [`Slot`] is where the answer is
//! handed over, between the [`Reply`] and the caller.
//!
//! # States of a ticket
//!
//! | state | means | left by |
//! |---|---|---|
//! | [`PENDING`](states::PENDING) | the message is queued or in its handler | the service: answer, fail, keep; the caller: give up |
//! | [`KEPT`](states::KEPT) | the handler returned, the reply lives on | the same, save keep |
//! | [`ANSWERED`](states::ANSWERED) | the answer lies ready | nobody |
//! | [`FAILED`](states::FAILED) | it is certain that there will be none | nobody |
//! | [`GONE`](states::GONE) | the caller gave up | nobody |
//!
//! Whoever holds the lock of the body decides; the last three are entered there, once, and the
//! loser's answer is dropped on the loser's thread. The atomic beside it repeats the state for
//! those who only look: it is written after the lock is free, so that a spinning caller who sees
//! the end finds the lock free too.

use std::cell::Cell;
use std::fmt;
use std::sync::Arc;
use std::time::Instant;

use super::deadline::{Deadline, Limit};
use super::{scope, wait};
use crate::error::{ErrorKind, SharedError};
use crate::sync::{self, AtomicU8, Clock, Mutex, Ordering, Thread, mutant};

mod states {
    pub(super) const PENDING: u8 = 0;
    pub(super) const KEPT: u8 = 1;
    pub(super) const ANSWERED: u8 = 2;
    pub(super) const FAILED: u8 = 3;
    pub(super) const GONE: u8 = 4;
}

/// Why there is no answer.
#[derive(Clone, Debug)]
pub(crate) enum Failure {
    NoReply,
    Crashed,
    Stopped,
    Shed,
    Failed { kind: ErrorKind, source: SharedError },
}

sync::thread_local! {
    /// The ticket of the thread's last call. The service is often the last to let go of it, and
    /// memory that one thread takes and another gives back costs both.
    static SPARE: Cell<Option<Arc<Ticket>>> = const { Cell::new(None) };
}

/// One call, apart from its answer.
pub(crate) struct Ticket {
    state: AtomicU8,
    limit: Limit,
    body: Mutex<Body>,
}

struct Body {
    over: bool,
    failure: Option<Failure>,
    caller: Option<Thread>,
    deadline: Option<Deadline>,
}

impl Ticket {
    fn new(limit: Limit) -> Self {
        let body = Body { over: false, failure: None, caller: None, deadline: None };
        Self { state: AtomicU8::new(states::PENDING), limit, body: Mutex::new(body) }
    }

    /// A fresh ticket: the thread's spare one, if nobody else holds it any more.
    #[inline]
    fn take(limit: Limit) -> Arc<Self> {
        let spare = SPARE.try_with(Cell::take).ok().flatten();
        if let Some(mut spare) = spare
            && let Some(ticket) = Arc::get_mut(&mut spare)
        {
            *ticket = Self::new(limit);
            return spare;
        }
        Arc::new(Self::new(limit))
    }

    /// Ends the call without an answer, unless it has ended.
    pub(crate) fn settle(&self, failure: Failure) {
        self.end(Some(failure));
    }

    /// Ends the call, unless it has ended. Whether it did.
    #[inline]
    fn end(&self, failure: Option<Failure>) -> bool {
        let state = if failure.is_some() { states::FAILED } else { states::ANSWERED };
        let mut body = self.body.lock();
        if body.over && !mutant!(AnswerTwice) {
            return false;
        }
        body.over = true;
        body.failure = failure;
        let caller = body.caller.take();
        drop(body);
        // ORDERING: Release, to pair with the Acquire of a spinning caller. What the end has come
        // to is under a lock.
        self.state.store(state, Ordering::Release);
        if let Some(thread) = caller {
            thread.unpark();
        }
        true
    }

    #[inline]
    fn state(&self) -> u8 {
        self.state.load(Ordering::Acquire)
    }

    #[inline]
    pub(crate) fn is_done(&self) -> bool {
        matches!(self.state(), states::ANSWERED | states::FAILED)
    }

    pub(crate) fn is_over(&self) -> bool {
        self.state() >= states::ANSWERED
    }

    /// The handler has returned; the reply may live on.
    #[inline]
    pub(crate) fn handler_returned(&self) {
        if self.state.load(Ordering::Relaxed) == states::PENDING {
            // It fails when the call ends at this moment, and then nothing is to be kept.
            let (kept, relaxed) = (Ordering::AcqRel, Ordering::Relaxed);
            let _ = self.state.compare_exchange(states::PENDING, states::KEPT, kept, relaxed);
        }
    }

    /// Whether the handler has returned and the reply lives on.
    #[inline]
    fn is_kept(&self) -> bool {
        self.state.load(Ordering::Relaxed) == states::KEPT
    }

    /// Whether the message is queued or in its handler.
    pub(crate) fn is_in_flight(&self) -> bool {
        self.state() == states::PENDING
    }

    /// By when the caller wants the answer, as far as that is known.
    pub(crate) fn deadline(&self, now: Instant) -> Deadline {
        let parked = self.body.lock().deadline;
        parked.unwrap_or_else(|| self.limit.deadline(now))
    }
}

/// Where one answer is handed over.
pub(crate) struct Slot<T> {
    ticket: Arc<Ticket>,
    answer: Mutex<Option<T>>,
}

impl<T> Slot<T> {
    pub(crate) fn new(limit: Limit) -> Self {
        Self { ticket: Ticket::take(limit), answer: Mutex::new(None) }
    }

    #[inline]
    pub(crate) fn ticket(&self) -> &Arc<Ticket> {
        &self.ticket
    }

    /// The call is over: its ticket is the thread's spare one for the next.
    #[inline]
    pub(crate) fn spare_ticket(&self) {
        // A thread that ends has no use for one.
        let _ = SPARE.try_with(|spare| spare.set(Some(Arc::clone(&self.ticket))));
    }

    /// Puts the answer in, unless the call is over. Returns what was not taken.
    #[inline]
    fn put(&self, answer: T) -> Option<T> {
        *self.answer.lock() = Some(answer);
        if self.ticket.end(None) { None } else { self.answer.lock().take() }
    }

    /// Takes the outcome if it is there.
    pub(crate) fn take(&self) -> Option<Result<T, Failure>> {
        if self.ticket.state() == states::ANSWERED {
            return self.answer.lock().take().map(Ok);
        }
        let mut body = self.ticket.body.lock();
        self.outcome(&mut body)
    }

    fn outcome(&self, body: &mut Body) -> Option<Result<T, Failure>> {
        if !body.over {
            return None;
        }
        match body.failure.take() {
            Some(failure) => Some(Err(failure)),
            None => self.answer.lock().take().map(Ok),
        }
    }

    /// The caller waits no longer: the outcome if it came in time, else none will be taken.
    pub(crate) fn give_up(&self) -> Option<Result<T, Failure>> {
        let mut body = self.ticket.body.lock();
        if !body.over {
            body.over = true;
            self.ticket.state.store(states::GONE, Ordering::Release);
            return None;
        }
        if mutant!(ForgetAnswer) { None } else { self.outcome(&mut body) }
    }

    /// Waits for the outcome; `None` when the limit came first.
    #[inline]
    pub(crate) fn wait(&self, clock: &Clock, limit: Limit) -> Option<Result<T, Failure>> {
        if wait::spin_as_caller(|| self.ticket.is_done()) {
            return self.take();
        }
        self.park(clock, limit)
    }

    #[cold]
    fn park(&self, clock: &Clock, limit: Limit) -> Option<Result<T, Failure>> {
        let deadline = limit.deadline(clock.now());
        {
            let mut body = self.ticket.body.lock();
            if body.over {
                return self.outcome(&mut body);
            }
            body.caller = Some(sync::current_thread());
            body.deadline = Some(deadline);
        }
        loop {
            clock.park(deadline.instant());
            if let Some(outcome) = self.take() {
                return Some(outcome);
            }
            if deadline.instant().is_some_and(|at| clock.now() >= at) {
                return self.give_up();
            }
        }
    }
}

/// The port through which one call is answered.
///
/// A message that is to be answered carries it: `Get(Key, Reply<Value>)`. A service may answer in
/// the handler, keep the reply and answer later, or hand it to another thread. Dropped unsent, it
/// tells the caller so, at the latest when the handler returns: nobody waits for what cannot come.
///
/// # Example
///
/// ```
/// use std::collections::HashMap;
/// use underpin::Reply;
///
/// enum Msg {
///     Put(String, u64),
///     Get(String, Reply<Option<u64>>),
/// }
///
/// fn handle(map: &mut HashMap<String, u64>, msg: Msg) {
///     match msg {
///         Msg::Put(key, value) => drop(map.insert(key, value)),
///         Msg::Get(key, reply) => reply.send(map.get(&key).copied()),
///     }
/// }
/// # handle(&mut HashMap::new(), Msg::Put("a".into(), 1));
/// ```
pub struct Reply<T: Send + 'static> {
    slot: Option<Arc<Slot<T>>>,
}

impl<T: Send + 'static> Reply<T> {
    pub(crate) fn new(slot: Arc<Slot<T>>) -> Self {
        Self { slot: Some(slot) }
    }

    /// Answers the call. If the caller gave up, or was told of a crash, the answer vanishes. One that
    /// an incarnation kept which was [abandoned](crate::OnHang) since tells its caller `Crashed`.
    ///
    /// Never blocks.
    #[inline]
    pub fn send(mut self, answer: T) {
        let Some(slot) = self.slot.take() else { return };
        if slot.ticket.is_kept() && scope::is_fenced() {
            return slot.ticket.settle(Failure::Crashed); // its child's present life knows nothing of it
        }
        drop(slot.put(answer));
    }

    /// Whether nobody waits for the answer any more, so that the work for it can be skipped.
    ///
    /// `false` says nothing for ever: the caller may give up right after.
    pub fn is_abandoned(&self) -> bool {
        self.slot.as_ref().is_some_and(|slot| slot.ticket.is_over())
    }
}

impl<T: Send + 'static> Drop for Reply<T> {
    fn drop(&mut self) {
        if let Some(slot) = self.slot.take() {
            scope::reply_dropped(&slot.ticket);
        }
    }
}

impl<T: Send + 'static> fmt::Debug for Reply<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reply").field("abandoned", &self.is_abandoned()).finish()
    }
}

#[cfg(all(test, not(underpin_loom)))]
mod tests {
    use super::*;

    /// What loom cannot order: the exchange to `KEPT` against the store of an end.
    #[test]
    fn kept_never_follows_an_end() {
        for _ in 0..2_000 {
            let slot = Slot::new(Limit::By(Deadline::unbounded()));
            std::thread::scope(|scope| {
                scope.spawn(|| slot.ticket().handler_returned());
                assert!(slot.put(7).is_none());
            });
            assert!(slot.ticket().is_done());
            assert!(matches!(slot.take(), Some(Ok(7))));
        }
    }
}
