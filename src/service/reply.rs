//! The port of an answer: made by a call, carried in the message, used at most once.
//!
//! # States of a slot
//!
//! | state | means | left by |
//! |---|---|---|
//! | [`PENDING`](states::PENDING) | the message is queued or in its handler | the service: answer, settle, keep; the caller: give up |
//! | [`KEPT`](states::KEPT) | the handler returned, the reply lives on | the same, save keep |
//! | [`DONE`](states::DONE) | an answer or a failure lies ready | nobody |
//! | [`GONE`](states::GONE) | the caller gave up | nobody |
//!
//! Whoever holds the lock of the body decides; `DONE` and `GONE` are entered there, once, and the
//! loser's answer is dropped on the loser's thread. The atomic beside it repeats the state for
//! those who only look: it is written after the lock is free, so that a spinning caller who reads
//! `DONE` finds the lock free too.

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
    pub(super) const DONE: u8 = 2;
    pub(super) const GONE: u8 = 3;
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

/// What the holder of an envelope may do to the call inside, whatever its answer's type.
pub(crate) trait Settle: Send + Sync {
    /// Ends the call without an answer, unless it has ended.
    fn settle(&self, failure: Failure);
    /// The handler has returned; the reply may live on.
    fn handler_returned(&self);
    /// Whether the message is queued or in its handler.
    fn is_in_flight(&self) -> bool;
    /// By when the caller wants the answer, as far as that is known.
    fn deadline(&self, now: Instant) -> Deadline;
}

/// Where one answer is handed over.
pub(crate) struct Slot<T> {
    state: AtomicU8,
    limit: Limit,
    body: Mutex<Body<T>>,
}

struct Body<T> {
    over: bool,
    answer: Option<Result<T, Failure>>,
    caller: Option<Thread>,
    deadline: Option<Deadline>,
}

impl<T> Slot<T> {
    pub(crate) fn new(limit: Limit) -> Self {
        let body = Body { over: false, answer: None, caller: None, deadline: None };
        Self { state: AtomicU8::new(states::PENDING), limit, body: Mutex::new(body) }
    }

    /// Puts the answer in, unless the call is over. Returns what was not taken.
    #[inline]
    fn put(&self, answer: Result<T, Failure>) -> Option<Result<T, Failure>> {
        let mut body = self.body.lock();
        if body.over && !mutant!(AnswerTwice) {
            return Some(answer);
        }
        body.over = true;
        body.answer = Some(answer);
        let caller = body.caller.take();
        drop(body);
        // ORDERING: Release, to pair with the Acquire of a spinning caller. The answer itself is
        // under the lock.
        self.state.store(states::DONE, Ordering::Release);
        if let Some(thread) = caller {
            thread.unpark();
        }
        None
    }

    #[inline]
    fn state(&self) -> u8 {
        self.state.load(Ordering::Acquire)
    }

    #[inline]
    pub(crate) fn is_done(&self) -> bool {
        self.state() == states::DONE
    }

    /// Takes the answer if it is there.
    pub(crate) fn take(&self) -> Option<Result<T, Failure>> {
        self.body.lock().answer.take()
    }

    /// The caller waits no longer: the answer if it came in time, else none will be taken.
    pub(crate) fn give_up(&self) -> Option<Result<T, Failure>> {
        let mut body = self.body.lock();
        if !body.over {
            body.over = true;
            self.state.store(states::GONE, Ordering::Release);
        }
        if mutant!(ForgetAnswer) {
            return None;
        }
        body.answer.take()
    }

    /// Waits for the answer; `None` when the limit came first.
    #[inline]
    pub(crate) fn wait(&self, clock: &Clock, limit: Limit) -> Option<Result<T, Failure>> {
        if wait::spin_as_caller(|| self.is_done()) {
            return self.take();
        }
        self.park(clock, limit)
    }

    #[cold]
    fn park(&self, clock: &Clock, limit: Limit) -> Option<Result<T, Failure>> {
        let deadline = limit.deadline(clock.now());
        {
            let mut body = self.body.lock();
            if body.answer.is_some() {
                return body.answer.take();
            }
            body.caller = Some(sync::current_thread());
            body.deadline = Some(deadline);
        }
        loop {
            clock.park(deadline.instant());
            if let Some(answer) = self.take() {
                return Some(answer);
            }
            if deadline.instant().is_some_and(|at| clock.now() >= at) {
                return self.give_up();
            }
        }
    }
}

impl<T: Send> Settle for Slot<T> {
    fn settle(&self, failure: Failure) {
        self.put(Err(failure));
    }

    #[inline]
    fn handler_returned(&self) {
        if self.state.load(Ordering::Relaxed) == states::PENDING {
            // It fails when the call ends at this moment, and then nothing is to be kept.
            let (kept, relaxed) = (Ordering::AcqRel, Ordering::Relaxed);
            let _ = self.state.compare_exchange(states::PENDING, states::KEPT, kept, relaxed);
        }
    }

    fn is_in_flight(&self) -> bool {
        self.state() == states::PENDING
    }

    fn deadline(&self, now: Instant) -> Deadline {
        let parked = self.body.lock().deadline;
        parked.unwrap_or_else(|| self.limit.deadline(now))
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

    /// Answers the call. If the caller gave up, or was told of a crash, the answer vanishes.
    ///
    /// Never blocks.
    #[inline]
    pub fn send(mut self, answer: T) {
        if let Some(slot) = self.slot.take() {
            drop(slot.put(Ok(answer)));
        }
    }

    /// Whether nobody waits for the answer any more, so that the work for it can be skipped.
    ///
    /// `false` says nothing for ever: the caller may give up right after.
    pub fn is_abandoned(&self) -> bool {
        self.slot.as_ref().is_some_and(|slot| matches!(slot.state(), states::GONE | states::DONE))
    }
}

impl<T: Send + 'static> Drop for Reply<T> {
    fn drop(&mut self) {
        if let Some(slot) = self.slot.take() {
            scope::reply_dropped(slot);
        }
    }
}

impl<T: Send + 'static> fmt::Debug for Reply<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reply").field("abandoned", &self.is_abandoned()).finish()
    }
}
