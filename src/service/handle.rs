//! How the rest of the program talks to a child.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::core::Core;
use super::deadline::{DEFAULT_TIMEOUT, Deadline, Limit};
use super::exit::Status;
use super::incarnation::Incarnation;
use super::mailbox::Envelope;
use super::monitor::Down;
use super::pending::Pending;
use super::reply::{Failure, Reply, Slot};
use super::scope;
use super::system::System;
use super::wait::Gate;
use crate::error::{CallError, CastError};
use crate::sync::Mutex;

/// A child, as seen by those who send it messages.
///
/// It belongs to the child, not to one incarnation: it exists before the first start, stays valid
/// over every restart, and messages sent in between wait. Cheap to clone, and dropping the last
/// one stops nothing.
pub struct Handle<M> {
    core: Arc<Core<M>>,
}

/// Why a child was not stopped.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StopError {
    /// It did not end in time; it was asked, and will stop when its callback returns.
    #[error("`{name}` did not stop within {waited:?}")]
    TimedOut {
        /// The child.
        name: Arc<str>,
        /// How long was waited.
        waited: Duration,
    },
    /// A service cannot wait for its own end; it returns [`Next::Stop`](crate::Next::Stop).
    #[error("`{name}` cannot wait for its own end")]
    StoppingSelf {
        /// The child.
        name: Arc<str>,
    },
    /// Whoever asks was [abandoned](crate::OnHang): what it does now reaches nobody.
    #[error("`{name}` was not asked to stop: the incarnation that asks was abandoned")]
    Fenced {
        /// The child.
        name: Arc<str>,
    },
}

impl<M: Send + 'static> Handle<M> {
    pub(crate) fn new(core: Arc<Core<M>>) -> Self {
        Self { core }
    }

    pub(crate) fn core(&self) -> &Arc<Core<M>> {
        &self.core
    }

    /// The name of the child.
    pub fn name(&self) -> &str {
        &self.core.node.name
    }

    /// What is known of the child, read from shared memory: the service is not asked.
    ///
    /// Never blocks.
    pub fn status(&self) -> Status {
        self.core.status()
    }

    /// The system lane: looks into the state, suspends and resumes, ahead of all messages.
    pub fn sys(&self) -> System<'_, M> {
        System::of(self)
    }

    /// Sends a message that nobody waits for.
    ///
    /// `Ok` means accepted: it will be handled, or become a dead letter and be counted.
    ///
    /// # Errors
    ///
    /// The message is handed back when the mailbox is full and its [`Overflow`](crate::Overflow)
    /// says so, when the child is stopped, and when the sender is an incarnation that was
    /// [abandoned](crate::OnHang).
    ///
    /// # Blocking
    ///
    /// On a full mailbox with `Overflow::Block`, at most as long as that says. A service that
    /// casts to itself is never blocked: it gets `Full`.
    #[inline]
    pub fn cast(&self, message: M) -> Result<(), CastError<M>> {
        let limit = Limit::By(Deadline::unbounded());
        self.core.send(Envelope { message, call: None }, limit)
    }

    /// As [`cast`](Self::cast), also on the thread of an incarnation that was abandoned: for what the crate itself has to say, and others
    /// rely on.
    #[cfg(feature = "tasks")]
    #[inline]
    pub(crate) fn cast_regardless(&self, message: M) -> Result<(), CastError<M>> {
        let limit = Limit::By(Deadline::unbounded());
        self.core.send_regardless(Envelope { message, call: None }, limit)
    }

    /// Sends a message and waits for its answer, at most 5 s ([`DEFAULT_TIMEOUT`]).
    ///
    /// # Errors
    ///
    /// Every way in which there can be no answer, see [`CallError`]: each is told as soon as it is
    /// certain, only a service that takes too long costs the whole time.
    ///
    /// # Blocking
    ///
    /// Until the service answers, crashes or stops, or the time is over. Inside a handler the
    /// deadline of that handler's caller applies too. A full mailbox with
    /// [`Overflow::Block`](crate::Overflow::Block) is waited for at most as long as that says, 1 s
    /// by default, however long the call may take.
    #[inline]
    pub fn call<T: Send + 'static>(&self, message: impl FnOnce(Reply<T>) -> M) -> Result<T, CallError<M>> {
        self.call_limited(Limit::In(DEFAULT_TIMEOUT), message)
    }

    /// As [`call`](Self::call), with a time-out of its own.
    ///
    /// # Errors
    ///
    /// As [`call`](Self::call).
    ///
    /// # Blocking
    ///
    /// As [`call`](Self::call), at most `timeout` for the answer once the message is in, and before
    /// that at most `timeout` for space in a full mailbox.
    pub fn call_timeout<T: Send + 'static>(
        &self,
        timeout: Duration,
        message: impl FnOnce(Reply<T>) -> M,
    ) -> Result<T, CallError<M>> {
        self.call_limited(Limit::In(timeout), message)
    }

    /// As [`call`](Self::call), until a moment; [`Deadline::unbounded`] waits for ever.
    ///
    /// # Errors
    ///
    /// As [`call`](Self::call).
    ///
    /// # Blocking
    ///
    /// As [`call`](Self::call), for space and for the answer together until `deadline`. Unbounded,
    /// it still waits for space only as long as the overflow policy says.
    pub fn call_by<T: Send + 'static>(
        &self,
        deadline: Deadline,
        message: impl FnOnce(Reply<T>) -> M,
    ) -> Result<T, CallError<M>> {
        self.call_limited(Limit::By(deadline), message)
    }

    #[inline]
    fn call_limited<T: Send + 'static>(
        &self,
        limit: Limit,
        message: impl FnOnce(Reply<T>) -> M,
    ) -> Result<T, CallError<M>> {
        if let Some(me) = scope::me() {
            return self.call_from(&me, limit, message);
        }
        let slot = Arc::new(Slot::new(limit));
        self.post(&slot, limit, message).map_err(CallError::NotSent)?;
        let answer = slot.wait(self.core.clock(), limit);
        slot.spare_ticket();
        self.settled(answer)
    }

    /// A call from inside a service: it inherits a deadline, and must not close a cycle of waits.
    #[cold]
    fn call_from<T: Send + 'static>(
        &self,
        me: &Arc<Incarnation>,
        limit: Limit,
        message: impl FnOnce(Reply<T>) -> M,
    ) -> Result<T, CallError<M>> {
        let limit = self.inherit(me, limit);
        self.call_within(me, limit, message)
    }

    fn call_within<T: Send + 'static>(
        &self,
        me: &Arc<Incarnation>,
        limit: Limit,
        message: impl FnOnce(Reply<T>) -> M,
    ) -> Result<T, CallError<M>> {
        let slot = Arc::new(Slot::new(limit));
        let envelope = envelope(&slot, message);
        if let Err(names) = me.wait_for(&self.core.node, slot.ticket()) {
            return Err(self.closed_cycle(names, Some(envelope.message)));
        }
        let sent = self.core.send(envelope, limit);
        let answer = sent.map(|()| slot.wait(self.core.clock(), limit));
        me.node.waits_no_more_for(slot.ticket());
        let answer = answer.map_err(CallError::NotSent)?;
        self.settled(answer)
    }

    /// A call with this limit, whatever deadline the handler has that makes it.
    pub(crate) fn call_regardless<T: Send + 'static>(
        &self,
        limit: Limit,
        message: impl FnOnce(Reply<T>) -> M,
    ) -> Result<T, CallError<M>> {
        match scope::me() {
            Some(me) => self.call_within(&me, limit, message),
            None => self.call_limited(limit, message),
        }
    }

    /// Sends a message without waiting for its answer yet, so that several can be under way.
    ///
    /// # Errors
    ///
    /// As [`cast`](Self::cast).
    ///
    /// # Blocking
    ///
    /// As [`cast`](Self::cast): on a full mailbox alone, and never for the answer.
    ///
    /// # Example
    ///
    /// ```no_run
    /// # use underpin::{Handle, Reply};
    /// # enum Msg { Square(u64, Reply<u64>) }
    /// # fn example(handle: &Handle<Msg>) -> Result<(), Box<dyn std::error::Error>> {
    /// let three = handle.request(|reply| Msg::Square(3, reply))?;
    /// let four = handle.request(|reply| Msg::Square(4, reply))?;
    /// assert_eq!(three.wait()? + four.wait()?, 25);
    /// # Ok(())
    /// # }
    /// ```
    pub fn request<T: Send + 'static>(
        &self,
        message: impl FnOnce(Reply<T>) -> M,
    ) -> Result<Pending<T, M>, CastError<M>> {
        self.request_limited(Limit::In(DEFAULT_TIMEOUT), message)
    }

    /// As [`request`](Self::request), for an answer that is wanted by a moment: what the service
    /// does for it inherits that, and a full mailbox is not waited for beyond it.
    ///
    /// # Errors
    ///
    /// As [`cast`](Self::cast).
    ///
    /// # Blocking
    ///
    /// As [`cast`](Self::cast), and not beyond `deadline`.
    pub fn request_by<T: Send + 'static>(
        &self,
        deadline: Deadline,
        message: impl FnOnce(Reply<T>) -> M,
    ) -> Result<Pending<T, M>, CastError<M>> {
        self.request_limited(Limit::By(deadline), message)
    }

    fn request_limited<T: Send + 'static>(
        &self,
        limit: Limit,
        message: impl FnOnce(Reply<T>) -> M,
    ) -> Result<Pending<T, M>, CastError<M>> {
        let slot = Arc::new(Slot::new(limit));
        self.post(&slot, limit, message)?;
        Ok(Pending { slot, handle: self.clone() })
    }

    /// Asks the present incarnation to stop when its current message is done, and waits for its
    /// end, at most 5 s.
    ///
    /// This ends the incarnation, not the child: a permanent child is started again. To stop it
    /// for good ask its supervisor to
    /// [`terminate_child`](crate::SupervisorRef::terminate_child).
    ///
    /// # Errors
    ///
    /// When it does not end in time, and when a service stops itself.
    ///
    /// # Blocking
    ///
    /// Until the incarnation has ended, its `terminate` and the drop of its state included, at most
    /// 5 s by the clock of the tree. The deadline of a handler's caller does not apply, and two
    /// services that stop each other are not told that they close a cycle: both wait until their
    /// time is over.
    pub fn stop(&self) -> Result<(), StopError> {
        self.stop_timeout(DEFAULT_TIMEOUT)
    }

    /// As [`stop`](Self::stop), with a time-out of its own.
    ///
    /// # Errors
    ///
    /// As [`stop`](Self::stop).
    ///
    /// # Blocking
    ///
    /// As [`stop`](Self::stop), at most `timeout`.
    pub fn stop_timeout(&self, timeout: Duration) -> Result<(), StopError> {
        let name = self.core.name();
        if self.core.is_me() {
            return Err(StopError::StoppingSelf { name });
        }
        if scope::is_fenced() {
            return Err(StopError::Fenced { name });
        }
        let incarnation = self.core.ask_to_stop(false);
        let clock = self.core.clock();
        let deadline = Deadline::from(clock.now(), timeout);
        if incarnation.over.wait(clock, deadline.instant()) {
            return Ok(());
        }
        Err(StopError::TimedOut { name, waited: timeout })
    }

    /// Waits until the child is gone for good; `None` when `timeout` came first. Its supervisor may
    /// hear of that a moment later: until then it says that the child is running.
    ///
    /// # Blocking
    ///
    /// Until the child is gone for good, at most `timeout`, by the clock of the tree. A child that is
    /// restarted is not gone, and a service that waits for its own end waits for all of it.
    ///
    /// # Example
    ///
    /// ```no_run
    /// # fn example(handle: underpin::Handle<u8>) {
    /// if let Some(down) = handle.wait_down(std::time::Duration::from_secs(5)) {
    ///     println!("{} {}", down.name, down.exit);
    /// }
    /// # }
    /// ```
    pub fn wait_down(&self, timeout: Duration) -> Option<Down> {
        let told: Arc<(Gate, Mutex<Option<Down>>)> = Arc::default();
        let teller = Arc::clone(&told);
        let number = self.core.watchers.add(Box::new(move |down| {
            *teller.1.lock() = Some(down);
            teller.0.open();
        }));
        let clock = self.core.clock();
        told.0.wait(clock, Deadline::from(clock.now(), timeout).instant());
        self.core.watchers.remove(number);
        told.1.lock().take()
    }

    fn post<T: Send + 'static>(
        &self,
        slot: &Arc<Slot<T>>,
        limit: Limit,
        message: impl FnOnce(Reply<T>) -> M,
    ) -> Result<(), CastError<M>> {
        self.core.send(envelope(slot, message), limit)
    }

    pub(super) fn inherit(&self, me: &Arc<Incarnation>, limit: Limit) -> Limit {
        let now = self.core.clock().now();
        match me.inherited_deadline(now) {
            None => limit,
            Some(inherited) => Limit::By(inherited.min(limit.deadline(now))),
        }
    }

    pub(super) fn closed_cycle(&self, names: Vec<Arc<str>>, message: Option<M>) -> CallError<M> {
        if names.len() == 2 {
            return CallError::CallingSelf { name: self.core.name(), message };
        }
        CallError::Cycle { names, message }
    }

    #[inline]
    pub(super) fn settled<T>(&self, answer: Option<Result<T, Failure>>) -> Result<T, CallError<M>> {
        match answer {
            Some(Ok(answer)) => Ok(answer),
            Some(Err(failure)) => Err(self.failed(failure)),
            None => Err(CallError::TimedOut { name: self.core.name() }),
        }
    }

    #[cold]
    fn failed(&self, failure: Failure) -> CallError<M> {
        let name = self.core.name();
        match failure {
            Failure::NoReply => CallError::NoReply { name },
            Failure::Crashed => CallError::Crashed { name },
            Failure::Stopped => CallError::Stopped { name },
            Failure::Shed => CallError::Shed { name },
            Failure::Failed { kind, source } => CallError::Failed { name, kind, source },
        }
    }
}

/// A message whose answer goes into the slot.
pub(super) fn envelope<T: Send + 'static, M>(
    slot: &Arc<Slot<T>>,
    message: impl FnOnce(Reply<T>) -> M,
) -> Envelope<M> {
    let message = message(Reply::new(Arc::clone(slot)));
    Envelope { message, call: Some(Arc::clone(slot.ticket())) }
}

impl<M> Clone for Handle<M> {
    fn clone(&self) -> Self {
        Self { core: Arc::clone(&self.core) }
    }
}

impl<M> fmt::Debug for Handle<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Handle").field(&self.core.node.name).finish()
    }
}
