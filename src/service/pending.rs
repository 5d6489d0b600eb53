//! Requests that are under way, one or many.

use std::fmt;
use std::sync::Arc;

use super::deadline::{DEFAULT_TIMEOUT, Deadline, Limit};
use super::handle::{Handle, envelope};
use super::mailbox::Envelope;
use super::reply::{Reply, Slot};
use super::scope;
use crate::error::{CallError, CastError};

/// The answer of a [`request`](Handle::request) that is under way.
///
/// Dropped, it gives the answer up.
pub struct Pending<T, M> {
    pub(super) slot: Arc<Slot<T>>,
    pub(super) handle: Handle<M>,
}

impl<T: Send + 'static, M: Send + 'static> Pending<T, M> {
    /// Whom the request was sent to.
    pub fn name(&self) -> &str {
        self.handle.name()
    }

    /// Whether the answer, or the certainty that there will be none, is there.
    pub fn is_ready(&self) -> bool {
        self.slot.ticket().is_done()
    }

    /// Waits for the answer, at most 5 s from now.
    ///
    /// # Errors
    ///
    /// As [`Handle::call`]; a message that was sent is not handed back.
    ///
    /// # Blocking
    ///
    /// Until the service answers, crashes or stops, at most 5 s. Inside a handler the deadline of that
    /// handler's caller applies too.
    pub fn wait(self) -> Result<T, CallError<M>> {
        self.wait_limited(Limit::In(DEFAULT_TIMEOUT))
    }

    /// Waits for the answer until `deadline`.
    ///
    /// # Errors
    ///
    /// As [`wait`](Self::wait).
    ///
    /// # Blocking
    ///
    /// As [`wait`](Self::wait), until `deadline` instead; [`Deadline::unbounded`] for ever.
    pub fn wait_by(self, deadline: Deadline) -> Result<T, CallError<M>> {
        self.wait_limited(Limit::By(deadline))
    }

    fn wait_limited(self, limit: Limit) -> Result<T, CallError<M>> {
        let limit = inherited(&self.handle, limit);
        self.wait_regardless(limit)
    }

    /// Waits with this limit, whatever deadline the handler has that waits.
    pub(crate) fn wait_regardless(self, limit: Limit) -> Result<T, CallError<M>> {
        let handle = &self.handle;
        let clock = handle.core().clock();
        let Some(me) = scope::me() else {
            let answer = self.slot.wait(clock, limit);
            return handle.settled(answer);
        };
        me.wait_for(&handle.core().node, self.slot.ticket())
            .map_err(|names| handle.closed_cycle(names, None))?;
        let answer = self.slot.wait(clock, limit);
        me.node.waits_no_more_for(self.slot.ticket());
        handle.settled(answer)
    }
}

impl<T, M> Drop for Pending<T, M> {
    fn drop(&mut self) {
        drop(self.slot.give_up());
    }
}

impl<T, M> fmt::Debug for Pending<T, M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Pending").field(&self.handle).finish()
    }
}

/// The answers of a [`fan_out`]: the good by recipient, the bad by recipient.
#[derive(Debug)]
pub struct FanOut<T, M> {
    /// Who answered, and what. In the order of the handles.
    pub answers: Vec<(Arc<str>, T)>,
    /// Who did not, and why. In the order of the handles.
    pub failures: Vec<(Arc<str>, CallError<M>)>,
}

/// Asks several services the same, all at once, and waits for their answers under one deadline.
///
/// A full mailbox with [`Overflow::Block`](crate::Overflow::Block) keeps no other from being asked:
/// those are waited for when all the rest are asked, one after the other.
///
/// # Blocking
///
/// Until the last has answered or failed, or the deadline has come, also while sending to a full
/// mailbox. Inside a handler the deadline of that handler's caller applies too.
///
/// # Example
///
/// ```no_run
/// # use std::time::Duration;
/// # use underpin::{Deadline, Handle, Reply, fan_out};
/// # enum Msg { Len(Reply<usize>) }
/// # fn example(stores: &[Handle<Msg>]) {
/// let lengths = fan_out(stores, Deadline::after(Duration::from_millis(100)), Msg::Len);
/// let total: usize = lengths.answers.iter().map(|(_, len)| len).sum();
/// println!("{total}, {} unknown", lengths.failures.len());
/// # }
/// ```
pub fn fan_out<T: Send + 'static, M: Send + 'static>(
    handles: &[Handle<M>],
    deadline: Deadline,
    message: impl Fn(Reply<T>) -> M,
) -> FanOut<T, M> {
    let begin = |handle| Asked::begin(handle, inherited(handle, Limit::By(deadline)), &message);
    let begun: Vec<_> = handles.iter().map(begin).collect();
    let asked: Vec<_> = begun.into_iter().map(Asked::finish).collect();
    let mut out = FanOut { answers: Vec::new(), failures: Vec::new() };
    for (handle, request) in handles.iter().zip(asked) {
        let name = handle.core().name();
        match request.map_err(CallError::NotSent).and_then(|pending| pending.wait_by(deadline)) {
            Ok(answer) => out.answers.push((name, answer)),
            Err(error) => out.failures.push((name, error)),
        }
    }
    out
}

/// The limit inside a handler, which has its caller's deadline too.
fn inherited<M: Send + 'static>(handle: &Handle<M>, limit: Limit) -> Limit {
    scope::me().map_or(limit, |me| handle.inherit(&me, limit))
}

/// One request of many.
pub(crate) enum Asked<T, M> {
    Sent(Pending<T, M>),
    Refused(CastError<M>),
    /// The mailbox is full, and has to be waited for.
    Waits(Pending<T, M>, Envelope<M>, Limit),
}

impl<T: Send + 'static, M: Send + 'static> Asked<T, M> {
    /// Sends it, if that needs no wait.
    pub(crate) fn begin(handle: &Handle<M>, limit: Limit, message: impl FnOnce(Reply<T>) -> M) -> Self {
        let slot = Arc::new(Slot::new(limit));
        let sent = handle.core().send_unless_full(envelope(&slot, message));
        let pending = Pending { slot, handle: handle.clone() };
        match sent {
            Ok(Ok(())) => Self::Sent(pending),
            Ok(Err(error)) => Self::Refused(error),
            Err(envelope) => Self::Waits(pending, envelope, limit),
        }
    }

    /// Sends it, if it is not sent yet.
    pub(crate) fn finish(self) -> Result<Pending<T, M>, CastError<M>> {
        match self {
            Self::Sent(pending) => Ok(pending),
            Self::Refused(error) => Err(error),
            Self::Waits(pending, envelope, limit) => {
                pending.handle.core().send(envelope, limit)?;
                Ok(pending)
            }
        }
    }
}
