//! What belongs to a child and outlives its incarnations.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use super::context::Monitors;
use super::dead_letters::{DeadLetters, DeadReason};
use super::deadline::Limit;
use super::drops::Dropped;
use super::exchange::Exchange;
use super::exit::{Exit, Lifecycle, Status};
use super::incarnation::{Incarnation, Node, told};
use super::mailbox::{Envelope, Mailbox, NotSent, Overflow, Sent};
use super::monitor::{Down, Watchers};
use super::reply::Failure;
use super::scope;
use super::system::Order;
use crate::error::{CastError, panic_text};
use crate::sync::{Clock, Mutex, Ordering, Snapshot, mutant};

/// What travels in the urgent lane of a service.
pub(crate) enum Urgent<M> {
    /// The end of a child that an incarnation monitors.
    Down {
        /// The incarnation that asked for it.
        epoch: u64,
        monitor: u64,
        message: Box<dyn FnOnce() -> M + Send>,
    },
    /// News for the child, whichever incarnation takes it up. What it says is found then, and it may
    /// come to nothing.
    #[cfg(any(feature = "config", feature = "events", feature = "telemetry"))]
    News(Box<dyn FnOnce() -> Option<M> + Send>),
}

impl<M> Urgent<M> {
    /// The message, unless it is for an earlier incarnation than `epoch`, or was taken back: then its
    /// monitor is not in `monitors`.
    pub(super) fn message(self, epoch: u64, monitors: &mut Monitors) -> Option<M> {
        match self {
            Self::Down { epoch: asked, monitor, message } => {
                (asked == epoch && monitors.remove(&monitor).is_some()).then(message)
            }
            #[cfg(any(feature = "config", feature = "events", feature = "telemetry"))]
            Self::News(message) => message(),
        }
    }
}

/// What a send came to.
pub(super) type Sending<M> = Result<(), CastError<M>>;

/// One child: its identity, its mailbox, its present incarnation.
pub(crate) struct Core<M> {
    pub(crate) node: Arc<Node>,
    pub(crate) mailbox: Mailbox<M, Urgent<M>>,
    pub(crate) watchers: Watchers,
    incarnation: Snapshot<Incarnation>,
    pub(super) letters: DeadLetters<M>,
    clock: OnceLock<Clock>,
    last_exit: Mutex<Option<Exit>>,
    /// Earlier exits with errors of the user's, to be dropped where code of the user's may run.
    old_exits: Mutex<Vec<Exit>>,
}

impl<M: Send + 'static> Core<M> {
    pub(crate) fn new(name: Arc<str>, capacity: usize, overflow: Overflow, letters: DeadLetters<M>) -> Self {
        let node = Node::new(name);
        let unborn = Incarnation::new(Arc::clone(&node), 0, Clock::system().now());
        unborn.over.open();
        Self {
            node,
            mailbox: Mailbox::new(capacity, overflow),
            watchers: Watchers::default(),
            incarnation: Snapshot::new(unborn),
            letters,
            clock: OnceLock::new(),
            last_exit: Mutex::new(None),
            old_exits: Mutex::new(Vec::new()),
        }
    }

    pub(crate) fn name(&self) -> Arc<str> {
        Arc::clone(&self.node.name)
    }

    /// The clock of the tree; the system's until the child is started in one.
    #[inline]
    pub(crate) fn clock(&self) -> &Clock {
        self.clock.get().unwrap_or(&Clock::SYSTEM)
    }

    pub(crate) fn incarnation(&self) -> Arc<Incarnation> {
        self.incarnation.load()
    }

    /// The next life begins: letters are taken in again, if they were not.
    pub(crate) fn be_born(&self, clock: &Clock) -> Arc<Incarnation> {
        let clock = self.clock.get_or_init(|| clock.clone());
        let epoch = self.incarnation().epoch + 1;
        let born = Incarnation::new(Arc::clone(&self.node), epoch, clock.now());
        born.trace.handled.set(self.handled());
        self.incarnation.store(Arc::clone(&born));
        self.watchers.up(epoch);
        self.mailbox.open(epoch);
        born
    }

    /// Asks the present incarnation to stop.
    pub(crate) fn ask_to_stop(&self, for_good: bool) -> Arc<Incarnation> {
        let incarnation = self.incarnation();
        let more = if for_good { told::FOR_GOOD } else { 0 };
        incarnation.tell(told::STOP | more);
        crate::sync::fence(Ordering::SeqCst);
        self.mailbox.wake.wake();
        incarnation
    }

    /// Asks the present incarnation for its state.
    pub(crate) fn ask_for_state(&self, exchange: Arc<dyn Exchange>) {
        self.incarnation().ask_for_state(exchange);
        crate::sync::fence(Ordering::SeqCst);
        self.mailbox.wake.wake();
    }

    /// Gives the present incarnation up, and wakes it in case it is about to sleep.
    pub(crate) fn abandon(&self) {
        self.incarnation().abandon();
        crate::sync::fence(Ordering::SeqCst);
        self.mailbox.wake.wake();
    }

    pub(crate) fn status(&self) -> Status {
        let (incarnation, drops) = (self.incarnation(), self.drops());
        Status {
            name: self.name(),
            state: incarnation.state(),
            epoch: incarnation.epoch,
            since: incarnation.since,
            last_exit: self.last_exit.lock().clone(),
            queued: self.mailbox.len(),
            capacity: self.mailbox.capacity(),
            handled: self.handled(),
            shed: self.mailbox.shed(),
            dead_letters: drops.dead_letters(),
            drops,
        }
    }

    pub(crate) fn ended(&self, exit: &Exit) {
        let old = self.last_exit.lock().replace(exit.clone());
        self.old_exits.lock().extend(old.filter(Exit::holds_an_error));
    }

    /// Drops what `ended` has put aside. Runs code of the user's; a panic of it is contained.
    pub(crate) fn shred(&self) {
        let old = std::mem::take(&mut *self.old_exits.lock());
        for exit in old {
            if let Err(panic) = catch_unwind(AssertUnwindSafe(|| drop(exit))) {
                panic_text(panic);
            }
        }
    }

    pub(crate) fn handled(&self) -> u64 {
        self.incarnation().trace.handled.get()
    }

    // ---- sending -------------------------------------------------------------------------

    /// Sends under the overflow policy, and clears away what that leaves behind.
    #[inline]
    pub(crate) fn send(&self, envelope: Envelope<M>, limit: Limit) -> Result<(), CastError<M>> {
        if scope::is_fenced() && !mutant!(SendUnfenced) {
            return Err(self.fenced(envelope));
        }
        self.send_regardless(envelope, limit)
    }

    /// As [`send`](Self::send), also on the thread of an incarnation that was abandoned.
    #[inline]
    pub(super) fn send_regardless(&self, envelope: Envelope<M>, limit: Limit) -> Result<(), CastError<M>> {
        match self.mailbox.offer(envelope) {
            Ok(Sent::Accepted) => Ok(()),
            Ok(Sent::RacedWithClose) => {
                self.drain(DeadReason::Stopped);
                Ok(())
            }
            Err(refused) => self.send_slowly(refused, limit),
        }
    }

    /// As [`send`](Self::send), save that it does not wait for space: what would have to comes back.
    pub(super) fn send_unless_full(&self, envelope: Envelope<M>) -> Result<Sending<M>, Envelope<M>> {
        let waits = matches!(self.mailbox.overflow(), Overflow::Block(_));
        if !waits || scope::is_fenced() {
            return Ok(self.send(envelope, Limit::In(Duration::ZERO)));
        }
        match self.mailbox.offer(envelope) {
            Ok(sent) => {
                self.sent(sent);
                Ok(Ok(()))
            }
            Err(NotSent::Full(envelope)) => Err(envelope),
            Err(refused) => Ok(Err(self.not_sent(refused, Duration::ZERO))),
        }
    }

    /// Clears away what a send left behind.
    fn sent(&self, sent: Sent) {
        if sent == Sent::RacedWithClose {
            self.drain(DeadReason::Stopped);
        }
    }

    #[cold]
    fn send_slowly(&self, refused: NotSent<M>, limit: Limit) -> Result<(), CastError<M>> {
        // Once: it may be set anew in this moment.
        let overflow = self.mailbox.overflow();
        let waited = overflow.patience(limit, self.clock());
        let NotSent::Full(envelope) = refused else {
            return Err(self.not_sent(refused, waited));
        };
        if self.is_me() && matches!(overflow, Overflow::Block(_)) {
            // It would wait for itself to make room.
            self.mailbox.was_full();
            return Err(self.not_sent(NotSent::Full(envelope), waited));
        }
        let spill = |given_up| self.shed(given_up, overflow);
        match self.mailbox.overflowed(envelope, overflow, self.clock(), limit, spill) {
            Ok(sent) => {
                self.sent(sent);
                Ok(())
            }
            Err(refused) => Err(self.not_sent(refused, waited)),
        }
    }

    #[cold]
    fn fenced(&self, envelope: Envelope<M>) -> CastError<M> {
        CastError::Fenced { name: self.name(), message: envelope.message }
    }

    fn not_sent(&self, refused: NotSent<M>, waited: Duration) -> CastError<M> {
        let name = self.name();
        match refused {
            NotSent::Full(Envelope { message, .. }) => {
                self.letters.count(Dropped::Rejected);
                CastError::Full { name, message }
            }
            NotSent::Closed(Envelope { message, .. }) => CastError::Stopped { name, message },
            NotSent::TimedOut(Envelope { message, .. }) => {
                self.letters.count(Dropped::TimedOut);
                CastError::TimedOut { name, waited, message }
            }
        }
    }

    /// Whether the current thread is this child's.
    pub(crate) fn is_me(&self) -> bool {
        scope::me().is_some_and(|me| Arc::ptr_eq(&me.node, &self.node))
    }

    /// Puts an order in the system lane, and refuses what no incarnation will see.
    pub(crate) fn order(&self, order: Order) {
        let given_up = self.mailbox.push_order(order);
        if self.mailbox.is_closed() && !mutant!(OrderWithoutRecheck) {
            self.refuse_orders();
        }
        given_up.into_iter().for_each(|order| order.refuse(Failure::NoReply));
    }

    fn refuse_orders(&self) {
        while let Some(order) = self.mailbox.take_closed_order() {
            order.refuse(Failure::Stopped);
        }
    }

    // ---- the end -------------------------------------------------------------------------

    /// Nobody will restart it: no more mail. Tells those who watch. Runs no user code, so that a
    /// supervisor may do it; [`drain`](Self::drain) does. `false` if it was done already.
    pub(crate) fn close(&self, exit: &Exit) -> bool {
        self.close_life(&self.incarnation(), exit)
    }

    /// As [`close`](Self::close), by an incarnation itself: one that was abandoned in this moment
    /// and has a successor closes nothing.
    pub(crate) fn close_life(&self, life: &Incarnation, exit: &Exit) -> bool {
        if !self.mailbox.close(life.epoch) && !mutant!(CloseTwice) {
            return false;
        }
        life.set_state(if exit.is_calm() { Lifecycle::Stopped } else { Lifecycle::Failed });
        self.ended(exit);
        self.watchers.down(Down { name: self.name(), epoch: life.epoch, exit: exit.clone() });
        true
    }

    /// Takes what is left out of a closed mailbox: calls are settled, casts become dead letters.
    ///
    /// Calls first: nobody waits for what the user's code does about a message before his.
    pub(crate) fn drain(&self, reason: DeadReason) {
        let mut left = Vec::new();
        while let Some(envelope) = self.mailbox.take_closed() {
            if let Some(call) = &envelope.call {
                call.settle(reason.failure());
            }
            left.push(envelope);
        }
        self.refuse_orders();
        left.into_iter().for_each(|envelope| self.bury(envelope, reason));
        self.shred();
    }

    /// Clears an open mailbox between two incarnations.
    pub(crate) fn clear(&self) {
        for _ in 0..self.mailbox.len() {
            let Some(envelope) = self.mailbox.take() else { return };
            self.bury(envelope, DeadReason::Cleared);
        }
    }
}
