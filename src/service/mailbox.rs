//! The mailbox of a child: a bounded channel that outlives incarnations and can be closed.
//!
//! The protocol, its proof and what is lost are on the page [`protocol`](super::protocol).

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use super::deadline::{Deadline, Limit};
use super::reply::Ticket;
use super::system::Order;
use super::wait::{self, SenderQueue, WakeCell};
use crate::sync::{
    self, AtomicBool, AtomicU64, Clock, Figure, Mutex, Ordering, Receiver, Refused, Sender, fence, mutant,
};

/// What happens to a message that is sent to a full mailbox.
///
/// Control messages (stop, timers, monitors) are never subject to it.
///
/// # Example
///
/// ```
/// use std::time::Duration;
/// use underpin::Overflow;
///
/// assert_eq!(Overflow::default(), Overflow::Block(Duration::from_secs(1)));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Overflow {
    /// The sender waits for space, at most this long; then it gets its message back. The default,
    /// with 1 s.
    Block(Duration),
    /// The sender gets its message back at once.
    Reject,
    /// The message being sent is dropped and counted; a call gets `Shed`.
    DropNewest,
    /// The oldest message is dropped and counted; a call gets `Shed`. If other senders take the
    /// space so made several times over, the message being sent is handed back.
    DropOldest,
}

impl Default for Overflow {
    fn default() -> Self {
        Self::Block(Duration::from_secs(1))
    }
}

/// What becomes of queued messages when an incarnation crashed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Keep {
    /// They wait for the next incarnation, in order. The default.
    #[default]
    Keep,
    /// They are cleared before the next incarnation starts: calls get `Crashed`, casts become dead
    /// letters.
    Clear,
}

impl Overflow {
    /// How long a sender with this limit waits for space.
    pub(super) fn patience(self, limit: Limit, clock: &Clock) -> Duration {
        let Self::Block(patience) = self else { return Duration::ZERO };
        match limit {
            Limit::In(timeout) => patience.min(timeout),
            Limit::By(deadline) => deadline
                .instant()
                .map_or(patience, |at| patience.min(at.saturating_duration_since(clock.now()))),
        }
    }
}

/// How often `DropOldest` makes room that somebody else takes before it gives up.
const MAX_EVICTIONS: usize = 16;

/// A message and the call that it belongs to, if it is one.
pub(crate) struct Envelope<M> {
    pub(crate) message: M,
    pub(crate) call: Option<Arc<Ticket>>,
}

/// The limit that is no other than the channel's own.
const RESERVED: u64 = u64::MAX;

/// Why a message did not get in. It is handed back.
pub(crate) enum NotSent<M> {
    Full(Envelope<M>),
    TimedOut(Envelope<M>),
    Closed(Envelope<M>),
}

/// What the sender has to do after a send.
///
/// As wide as a word: a lone byte in a `Result` beside the message would make every copy of the
/// message an unaligned one, which costs more than the send itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u64)]
pub(crate) enum Sent {
    /// Nothing: the message is in.
    Accepted,
    /// The message is in, but the mailbox closed in the same moment: the sender drains it.
    RacedWithClose,
}

/// The lanes beside the queue. They are never full.
struct Lanes<U> {
    orders: VecDeque<Order>,
    urgent: VecDeque<U>,
}

/// `M` is the message; `U` travels in the urgent lane.
pub(crate) struct Mailbox<M, U> {
    sender: Sender<Envelope<M>>,
    receiver: Receiver<Envelope<M>>,
    /// Looked at when the mailbox is full.
    overflow: Mutex<Overflow>,
    /// How many messages count as full, where that is fewer than are reserved; else `RESERVED`.
    limit: AtomicU64,
    closed: AtomicBool,
    /// Held to close, to reopen, and to take one message out of a closed mailbox.
    /// Holds the epoch that it was last opened for: an older incarnation cannot close it any more.
    closing: Mutex<u64>,
    pub(crate) wake: WakeCell,
    senders: SenderQueue,
    /// Whether either lane holds anything.
    has_urgent: AtomicBool,
    has_orders: AtomicBool,
    lanes: Mutex<Lanes<U>>,
    shed: AtomicU64,
    /// The most messages that were seen in the queue.
    high_water: Figure,
}

impl<M, U> Mailbox<M, U> {
    /// An open mailbox for `capacity` messages, at least one.
    pub(crate) fn new(capacity: usize, overflow: Overflow) -> Self {
        let (sender, receiver) = sync::bounded(capacity.max(1));
        Self {
            sender,
            receiver,
            overflow: Mutex::new(overflow),
            limit: AtomicU64::new(RESERVED),
            closed: AtomicBool::new(false),
            closing: Mutex::new(0),
            wake: WakeCell::default(),
            senders: SenderQueue::default(),
            has_urgent: AtomicBool::new(false),
            has_orders: AtomicBool::new(false),
            lanes: Mutex::new(Lanes { orders: VecDeque::new(), urgent: VecDeque::new() }),
            shed: AtomicU64::new(0),
            high_water: Figure::default(),
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.sender.len()
    }

    /// How many messages count as full. Senders that race may exceed it, up to what is reserved.
    pub(crate) fn capacity(&self) -> usize {
        let limit = self.limit.load(Ordering::Relaxed);
        usize::try_from(limit).map_or(self.reserved(), |limit| limit.min(self.reserved()))
    }

    /// How many messages there is memory for.
    pub(crate) fn reserved(&self) -> usize {
        self.sender.capacity()
    }

    /// From here on so many messages count as full, at most as many as are reserved. Whoever waits
    /// for space looks again.
    pub(crate) fn set_capacity(&self, messages: usize) {
        let limit = if messages < self.reserved() { messages as u64 } else { RESERVED };
        if mutant!(CallBeforeRoom) {
            self.senders.call_all();
        }
        self.limit.store(limit, Ordering::Relaxed);
        if !mutant!(CallBeforeRoom) {
            self.senders.call_all();
        }
    }

    pub(crate) fn overflow(&self) -> Overflow {
        *self.overflow.lock()
    }

    pub(crate) fn set_overflow(&self, overflow: Overflow) {
        *self.overflow.lock() = overflow;
    }

    /// Messages given up because the mailbox was full.
    pub(crate) fn shed(&self) -> u64 {
        self.shed.load(Ordering::Relaxed)
    }

    /// Looks how much is queued. The worker does now and then; who finds it full knows.
    #[inline]
    pub(crate) fn measure(&self) {
        // It decides nothing: a model need not explore it.
        if !cfg!(underpin_loom) {
            self.high_water.raise(self.sender.len() as u64);
        }
    }

    /// A sender found it full.
    pub(crate) fn was_full(&self) {
        self.high_water.raise(self.capacity() as u64);
    }

    /// The most messages that were seen in the queue, now included.
    pub(crate) fn high_water(&self) -> usize {
        self.measure();
        usize::try_from(self.high_water.get()).unwrap_or(usize::MAX)
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::SeqCst)
    }

    // ---- sending -------------------------------------------------------------------------

    /// Steps 1 to 4 of a send: look whether it is closed, enqueue, fence, wake and look again.
    #[inline]
    pub(crate) fn offer(&self, envelope: Envelope<M>) -> Result<Sent, NotSent<M>> {
        if self.is_full_early() {
            return Err(NotSent::Full(envelope));
        }
        self.enqueue(envelope)
    }

    /// Whether a limit below what is reserved is reached. Where there is no such limit, that is all
    /// it looks at.
    #[inline]
    fn is_full_early(&self) -> bool {
        // ORDERING: Relaxed. Who sees an old limit has sent before the change. Who is about to wait
        // joined the queue of senders before it looks, and whoever sets the limit calls that queue
        // afterwards, under the same lock.
        let limit = self.limit.load(Ordering::Relaxed);
        limit != RESERVED && self.is_full_at(limit)
    }

    /// Of one that is closed as well, that is what is told.
    #[cold]
    fn is_full_at(&self, limit: u64) -> bool {
        self.sender.len() as u64 >= limit && !self.is_closed()
    }

    /// Up to what is reserved.
    #[inline]
    fn enqueue(&self, envelope: Envelope<M>) -> Result<Sent, NotSent<M>> {
        if self.is_closed() {
            return Err(NotSent::Closed(envelope));
        }
        match self.sender.try_send(envelope) {
            Ok(()) => Ok(self.sent()),
            Err(Refused::Full(envelope) | Refused::Disconnected(envelope)) => Err(NotSent::Full(envelope)),
        }
    }

    #[inline]
    fn sent(&self) -> Sent {
        if !mutant!(SendWithoutFence) {
            fence(Ordering::SeqCst);
        }
        self.wake.wake();
        if self.is_closed() && !mutant!(SendWithoutRecheck) {
            return Sent::RacedWithClose;
        }
        Sent::Accepted
    }

    /// What an overflow policy does for a message that found the mailbox full. May block, at most
    /// as long as `Overflow::Block` says and not beyond `limit`. What is given up for the message
    /// is handed to `spill`, with no lock held.
    #[cold]
    pub(crate) fn overflowed(
        &self,
        envelope: Envelope<M>,
        overflow: Overflow,
        clock: &Clock,
        limit: Limit,
        mut spill: impl FnMut(Envelope<M>),
    ) -> Result<Sent, NotSent<M>> {
        self.was_full();
        match overflow {
            Overflow::Reject => Err(NotSent::Full(envelope)),
            Overflow::DropOldest => self.evict_for(envelope, spill),
            Overflow::Block(patience) => self.block_for(envelope, clock, patience, limit),
            Overflow::DropNewest => {
                self.shed.fetch_add(1, Ordering::Relaxed);
                spill(envelope);
                Ok(Sent::Accepted)
            }
        }
    }

    /// Takes the head out, again and again, until the message is in. One for one: where more are
    /// queued than count as full by now, nothing else is given up for that.
    fn evict_for(
        &self,
        mut envelope: Envelope<M>,
        mut spill: impl FnMut(Envelope<M>),
    ) -> Result<Sent, NotSent<M>> {
        for _ in 0..MAX_EVICTIONS {
            if mutant!(EvictNewest) {
                spill(envelope);
                return Ok(Sent::Accepted);
            }
            if let Ok(oldest) = self.receiver.try_recv() {
                self.shed.fetch_add(1, Ordering::Relaxed);
                spill(oldest);
            }
            envelope = match self.enqueue(envelope) {
                Err(NotSent::Full(back)) => back,
                settled => return settled,
            };
        }
        Err(NotSent::Full(envelope))
    }

    /// Waits for space. Yields first: a consumer that is running makes some soon.
    fn block_for(
        &self,
        envelope: Envelope<M>,
        clock: &Clock,
        patience: Duration,
        limit: Limit,
    ) -> Result<Sent, NotSent<M>> {
        let now = clock.now();
        let until = Deadline::from(now, patience).min(limit.deadline(now));
        let mut outcome = Err(NotSent::Full(envelope));
        wait::yield_as_sender(|| {
            outcome = match std::mem::replace(&mut outcome, Ok(Sent::Accepted)) {
                Err(NotSent::Full(envelope)) => self.offer(envelope),
                settled => settled,
            };
            !matches!(outcome, Err(NotSent::Full(_)))
        });
        match outcome {
            Err(NotSent::Full(envelope)) => self.park_for(envelope, clock, until),
            settled => settled,
        }
    }

    fn park_for(
        &self,
        mut envelope: Envelope<M>,
        clock: &Clock,
        until: Deadline,
    ) -> Result<Sent, NotSent<M>> {
        loop {
            let waiting = self.senders.join();
            let mut outcome = self.offer(envelope);
            while matches!(outcome, Err(NotSent::Full(_))) && !waiting.is_called() {
                if until.has_passed(clock.now()) {
                    outcome = self.last_try(outcome);
                    break;
                }
                clock.park(until.instant());
            }
            envelope = match outcome {
                Err(NotSent::Full(back)) => back, // called: once more
                settled => {
                    self.senders.leave(&waiting);
                    return settled;
                }
            };
        }
    }

    /// The deadline has come; so may have space, in the same moment.
    fn last_try(&self, outcome: Result<Sent, NotSent<M>>) -> Result<Sent, NotSent<M>> {
        match outcome {
            Err(NotSent::Full(envelope)) => match self.offer(envelope) {
                Err(NotSent::Full(back)) => Err(NotSent::TimedOut(back)),
                settled => settled,
            },
            settled => settled,
        }
    }

    // ---- receiving -----------------------------------------------------------------------

    /// Takes the next message out, and calls a sender that waits for the space.
    #[inline]
    pub(crate) fn take(&self) -> Option<Envelope<M>> {
        let envelope = self.receiver.try_recv().ok()?;
        self.senders.call_one();
        Some(envelope)
    }

    /// Whether there is anything for the worker: a message, or something in the urgent lane.
    #[inline]
    pub(crate) fn has_mail(&self) -> bool {
        !self.receiver.is_empty() || self.has_urgent()
    }

    // ---- the urgent lane -----------------------------------------------------------------

    /// Puts something in the urgent lane. Never blocks, never refuses; taken after the queue's
    /// owner is gone, it is dropped with the mailbox.
    pub(crate) fn push_urgent(&self, urgent: U) {
        let mut lanes = self.lanes.lock();
        lanes.urgent.push_back(urgent);
        self.flag(&lanes);
        drop(lanes);
        fence(Ordering::SeqCst);
        self.wake.wake();
    }

    /// Puts an order in the system lane. Never blocks, never refuses. Who does so looks whether the
    /// mailbox is closed afterwards, and drains the lane if it is.
    ///
    /// Returns the orders that were given up by now: the lane has no bound, and is not to grow while
    /// a service hangs and is asked again and again.
    pub(crate) fn push_order(&self, order: Order) -> VecDeque<Order> {
        let mut lanes = self.lanes.lock();
        let orders = std::mem::take(&mut lanes.orders);
        let (given_up, mut orders): (VecDeque<_>, VecDeque<_>) =
            orders.into_iter().partition(|order| order.call.is_over());
        orders.push_back(order);
        lanes.orders = orders;
        self.flag(&lanes);
        drop(lanes);
        fence(Ordering::SeqCst);
        self.wake.wake();
        given_up
    }

    /// Under the lock of the lanes. In this order: who sees that there are orders sees that there is
    /// something urgent, and does not come back for it again and again.
    fn flag(&self, lanes: &Lanes<U>) {
        self.has_urgent.store(!lanes.orders.is_empty() || !lanes.urgent.is_empty(), Ordering::SeqCst);
        self.has_orders.store(!lanes.orders.is_empty(), Ordering::SeqCst);
    }

    /// Whether there is anything in either lane.
    #[inline]
    pub(crate) fn has_urgent(&self) -> bool {
        self.has_urgent.load(Ordering::SeqCst)
    }

    pub(crate) fn has_orders(&self) -> bool {
        self.has_orders.load(Ordering::SeqCst)
    }

    pub(crate) fn pop_urgent(&self) -> Option<U> {
        let mut lanes = self.lanes.lock();
        let urgent = lanes.urgent.pop_front();
        self.flag(&lanes);
        urgent
    }

    pub(crate) fn pop_order(&self) -> Option<Order> {
        let mut lanes = self.lanes.lock();
        let order = lanes.orders.pop_front();
        self.flag(&lanes);
        order
    }

    // ---- closing -------------------------------------------------------------------------

    /// Steps 1 and 2 of a close: nothing more gets in, and whoever waits for space hears of it.
    /// The closer goes on to drain. `false` if it was closed already, or opened for a later epoch.
    pub(crate) fn close(&self, epoch: u64) -> bool {
        let held = self.closing.lock();
        if epoch < *held {
            return false;
        }
        let was_open = !self.closed.swap(true, Ordering::SeqCst);
        drop(held);
        if !mutant!(CloseWithoutFence) {
            fence(Ordering::SeqCst);
        }
        if !mutant!(CloseWithoutCall) {
            self.senders.call_all();
        }
        was_open
    }

    /// Lets messages in, or in again, for the incarnation that is about to start.
    pub(crate) fn open(&self, epoch: u64) {
        let mut held = self.closing.lock();
        *held = epoch;
        self.closed.store(false, Ordering::SeqCst);
    }

    /// Takes one message out of a closed mailbox; `None` when it is empty or was reopened. Both the
    /// closer and a sender that raced with it drain; each message comes out once.
    pub(crate) fn take_closed(&self) -> Option<Envelope<M>> {
        let _held = self.closing.lock();
        if !self.is_closed() && !mutant!(DrainReopened) {
            return None;
        }
        self.receiver.try_recv().ok()
    }

    /// As [`take_closed`](Self::take_closed), for the system lane.
    pub(crate) fn take_closed_order(&self) -> Option<Order> {
        let _held = self.closing.lock();
        if self.is_closed() { self.pop_order() } else { None }
    }

    /// Whether something is left that ends with the child.
    pub(crate) fn has_left(&self) -> bool {
        self.len() > 0 || self.has_orders()
    }
}
