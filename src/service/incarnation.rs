//! One life of a child: its state, what it was told, what it holds, and for whom it waits.
//!
//! | field | written by | read by |
//! |---|---|---|
//! | `state` | the worker; the supervisor once the worker is gone | everyone |
//! | `told` | the supervisor, a handle | the worker, between messages |
//! | `successor` | the supervisor, when it asks for the state | the worker, once |
//! | `current` | the worker, around a call; the supervisor, when it abandons | nested calls |
//! | `trace` | the worker | whoever inspects |
//! | `over` | the exit guard, last of all | whoever waits for this life to end |
//!
//! What belongs to the child and outlives the incarnation (name, handles, mailbox, who it waits
//! for) is in [`Node`] and in `core.rs`. An abandoned incarnation goes on writing to its own cell;
//! nobody reads it there any more.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::activity::{Activity, Trace};
use super::deadline::Deadline;
use super::exchange::Exchange;
use super::exit::Lifecycle;
use super::reply::{Failure, Ticket};
use super::wait::Gate;
use crate::sync::{AtomicU8, Mutex, Ordering, mutant};

/// What an incarnation has been told. Bits; once set they stay, save the last three.
pub(crate) mod told {
    /// Stop when the current message is done.
    pub(crate) const STOP: u8 = 1;
    /// Nobody will restart it: it shuts the mailbox itself.
    pub(crate) const FOR_GOOD: u8 = 2;
    /// It took too long. It may finish what it holds and touches nothing shared any more.
    pub(crate) const ABANDONED: u8 = 4;
    /// Not told, but said by itself: it is at its end, and no code of the user's runs any more.
    pub(crate) const ENDED: u8 = 8;
    /// Hand the state over when the current message is done. Taken back by who has looked.
    pub(crate) const HAND_OVER: u8 = 16;
    /// Look at the clock when the current message is done. Taken back when it has.
    pub(crate) const LOOK: u8 = 32;
    /// The same, for somebody who inspects. A bit of its own: the stuck detector reads from `LOOK` how
    /// long ago it asked itself.
    pub(crate) const SHOW: u8 = 64;
}

/// The identity of a child, apart from the type of its messages.
pub(crate) struct Node {
    pub(crate) name: Arc<str>,
    waits_for: Mutex<Option<Edge>>,
}

/// A blocking call in progress: who is asked, and the call itself.
#[derive(Clone)]
struct Edge {
    to: Arc<Node>,
    call: Arc<Ticket>,
}

/// The longest chain of waits that is followed.
const MAX_HOPS: usize = 1024;

impl Node {
    pub(crate) fn new(name: Arc<str>) -> Arc<Self> {
        Arc::new(Self { name, waits_for: Mutex::new(None) })
    }

    /// Publishes that this node waits for `to`, then looks whether `to` waits for this node.
    ///
    /// Every service in a would-be cycle publishes its own edge before it follows the others', and
    /// the locks order the two: whoever publishes last sees all the rest. So of those that close a
    /// cycle together at least one finds it. Returns the names on the cycle; then the edge is gone
    /// again.
    ///
    /// That is if `stands` says, under the lock of the edge, that the node is the caller's to speak
    /// for. If it is not, there is no edge and no cycle.
    fn wait_if(
        self: &Arc<Self>,
        stands: impl Fn() -> bool,
        to: &Arc<Node>,
        call: Arc<Ticket>,
    ) -> Result<(), Vec<Arc<str>>> {
        let edge = Edge { to: Arc::clone(to), call: Arc::clone(&call) };
        let early = if mutant!(FollowFirst) { self.cycle_through(to) } else { None };
        if !self.publish(stands, edge) {
            return Ok(());
        }
        if mutant!(FollowFirst) {
            return early.map_or(Ok(()), Err);
        }
        match self.cycle_through(to) {
            // Answered by now, it waits for nobody: its callee may well ask back.
            Some(names) if call.is_in_flight() || mutant!(CountAnswered) => {
                self.waits_no_more_for(&call);
                Err(names)
            }
            _ => Ok(()),
        }
    }

    /// As `wait_if`, of one that nobody abandons.
    #[cfg(all(test, underpin_loom))]
    pub(crate) fn wait_for(self: &Arc<Self>, to: &Arc<Node>, call: Arc<Ticket>) -> Result<(), Vec<Arc<str>>> {
        self.wait_if(|| true, to, call)
    }

    fn publish(&self, stands: impl Fn() -> bool, edge: Edge) -> bool {
        let stood = mutant!(PublishBlindly) && stands();
        let mut waits_for = self.waits_for.lock();
        if !stood && !stands() {
            return false;
        }
        let before = waits_for.replace(edge);
        drop(waits_for);
        drop(before); // after the lock
        true
    }

    /// The call is over. The edge of another call, by an incarnation that came after, stays.
    pub(crate) fn waits_no_more_for(&self, call: &Arc<Ticket>) {
        let mut edge = self.waits_for.lock();
        let is_mine = edge.as_ref().is_some_and(|edge| Arc::ptr_eq(&edge.call, call));
        let over = if is_mine { edge.take() } else { None };
        drop(edge);
        drop(over); // after the lock
    }

    /// Whoever waited here was abandoned.
    fn waits_no_more(&self) {
        let edge = self.waits_for.lock().take();
        drop(edge); // after the lock
    }

    /// Whom it waits for now, if it does.
    pub(crate) fn waits_for(&self) -> Option<Arc<str>> {
        let edge = self.waits_for.lock();
        edge.as_ref().map(|edge| Arc::clone(&edge.to.name))
    }

    fn cycle_through(self: &Arc<Self>, first: &Arc<Node>) -> Option<Vec<Arc<str>>> {
        let mut names = vec![Arc::clone(&self.name), Arc::clone(&first.name)];
        let mut at = Arc::clone(first);
        while !Arc::ptr_eq(&at, self) {
            let edge = at.waits_for.lock().clone()?;
            if !edge.call.is_in_flight() || names.len() > MAX_HOPS {
                return None;
            }
            names.push(Arc::clone(&edge.to.name));
            at = edge.to;
        }
        Some(names)
    }
}

/// One life of a child.
pub(crate) struct Incarnation {
    pub(crate) node: Arc<Node>,
    pub(crate) epoch: u64,
    pub(crate) since: Instant,
    pub(crate) over: Gate,
    pub(crate) trace: Trace,
    state: AtomicU8,
    told: AtomicU8,
    current: Mutex<Option<Arc<Ticket>>>,
    successor: Mutex<Option<Arc<dyn Exchange>>>,
}

impl Incarnation {
    pub(crate) fn new(node: Arc<Node>, epoch: u64, since: Instant) -> Arc<Self> {
        Arc::new(Self {
            node,
            epoch,
            since,
            over: Gate::default(),
            trace: Trace::default(),
            state: AtomicU8::new(Lifecycle::Starting as u8),
            told: AtomicU8::new(0),
            current: Mutex::new(None),
            successor: Mutex::new(None),
        })
    }

    /// What it is busy with; `None` while it waits for messages.
    pub(crate) fn activity(&self, now: Instant) -> Option<Activity> {
        self.trace.activity(self.age(now))
    }

    /// How long ago it was started.
    pub(crate) fn age(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.since)
    }

    pub(crate) fn state(&self) -> Lifecycle {
        Lifecycle::from_u8(self.state.load(Ordering::Acquire))
    }

    #[inline]
    pub(crate) fn set_state(&self, state: Lifecycle) {
        self.state.store(state as u8, Ordering::Release);
    }

    #[inline]
    pub(crate) fn told(&self) -> u8 {
        self.told.load(Ordering::SeqCst)
    }

    pub(crate) fn is_abandoned(&self) -> bool {
        self.told() & told::ABANDONED != 0
    }

    /// Whether it stands for its child: neither abandoned nor at its end.
    pub(crate) fn is_present(&self) -> bool {
        self.told() & (told::ABANDONED | told::ENDED) == 0
    }

    pub(crate) fn has_ended(&self) -> bool {
        self.told() & told::ENDED != 0
    }

    /// Sets the bits. The caller wakes the worker.
    pub(crate) fn tell(&self, bits: u8) {
        self.told.fetch_or(bits, Ordering::SeqCst);
    }

    /// Asks for its state. The caller wakes the worker.
    pub(crate) fn ask_for_state(&self, exchange: Arc<dyn Exchange>) {
        *self.successor.lock() = Some(exchange);
        self.tell(told::HAND_OVER);
    }

    /// Where the state goes that it was asked for.
    pub(crate) fn successor(&self) -> Option<Arc<dyn Exchange>> {
        // The bit first: what is asked for after that is asked anew.
        if !mutant!(KeepAsking) {
            self.told.fetch_and(!told::HAND_OVER, Ordering::SeqCst);
        }
        self.successor.lock().take()
    }

    /// Asks it to look at its clock when its current message is done. `false` if it was asked before
    /// and has not: then it is still at the message that it was at. Nobody is woken for it.
    pub(crate) fn ask_to_look(&self) -> bool {
        self.told.fetch_or(told::LOOK, Ordering::SeqCst) & told::LOOK == 0
    }

    /// Asks the same for somebody who inspects, so that the next one sees the time of one message.
    pub(crate) fn ask_to_show(&self) {
        if self.told() & told::SHOW == 0 {
            self.tell(told::SHOW);
        }
    }

    /// It has looked.
    pub(crate) fn has_looked(&self) {
        if self.told() & (told::LOOK | told::SHOW) != 0 {
            self.told.fetch_and(!(told::LOOK | told::SHOW), Ordering::SeqCst);
        }
    }

    /// Gives it up: the caller inside is told at once.
    pub(crate) fn abandon(&self) {
        self.tell(told::ABANDONED);
        self.fail_current();
        self.node.waits_no_more();
    }

    fn fail_current(&self) {
        let current = self.current.lock().take();
        if let Some(call) = current {
            call.settle(Failure::Crashed);
        }
    }

    /// As [`Node::wait_if`]. One that was abandoned does not stand for its child any more: it looks
    /// under the lock under which [`abandon`](Self::abandon) takes its edge back, after the mark. So
    /// the edge that is there afterwards is a successor's, or none.
    pub(crate) fn wait_for(&self, to: &Arc<Node>, call: &Arc<Ticket>) -> Result<(), Vec<Arc<str>>> {
        self.node.wait_if(|| !self.is_abandoned(), to, Arc::clone(call))
    }

    /// A call comes into its handler. An incarnation that was abandoned in this very moment
    /// settles it: the caller gets `Crashed` whichever of the two was first. Its child may wait for
    /// somebody by now, in its successor: that is left alone.
    #[inline]
    pub(crate) fn holds(&self, call: Arc<Ticket>) {
        *self.current.lock() = Some(call);
        if self.is_abandoned() && !mutant!(HoldBlindly) {
            self.fail_current();
        }
    }

    /// The handler is done with the call.
    #[inline]
    pub(crate) fn holds_no_more(&self) {
        let current = self.current.lock().take();
        if let Some(call) = current {
            call.handler_returned();
        }
    }

    /// By when the caller whose message is being handled wants its answer.
    pub(crate) fn inherited_deadline(&self, now: Instant) -> Option<Deadline> {
        let current = self.current.lock().clone();
        current.map(|call| call.deadline(now))
    }
}

#[cfg(all(test, not(underpin_loom)))]
mod tests {
    use super::*;
    use crate::service::deadline::Limit;
    use crate::service::reply::Slot;
    use crate::sync::Clock;

    fn call() -> Arc<Ticket> {
        Arc::clone(Slot::<u8>::new(Limit::By(Deadline::unbounded())).ticket())
    }

    /// One that was abandoned, and its successor, which waits for `b`.
    fn zombie_and_heir() -> (Arc<Incarnation>, Arc<Incarnation>) {
        let node = Node::new("a".into());
        let life = |epoch| Incarnation::new(Arc::clone(&node), epoch, Clock::SYSTEM.now());
        let (zombie, heir) = (life(1), life(2));
        zombie.abandon();
        heir.wait_for(&Node::new("b".into()), &call()).expect("no cycle");
        (zombie, heir)
    }

    #[test]
    fn a_zombie_that_takes_one_message_more_leaves_alone_whom_its_successor_waits_for() {
        let (zombie, heir) = zombie_and_heir();
        let late = call();
        zombie.holds(Arc::clone(&late));
        assert!(late.is_done(), "its caller is told");
        assert_eq!(heir.node.waits_for().as_deref(), Some("b"));
    }

    #[test]
    fn whom_it_waited_for_goes_with_who_is_abandoned() {
        let life = Incarnation::new(Node::new("a".into()), 1, Clock::SYSTEM.now());
        life.wait_for(&Node::new("b".into()), &call()).expect("no cycle");
        assert_eq!(life.node.waits_for().as_deref(), Some("b"));
        life.abandon();
        assert_eq!(life.node.waits_for(), None);
    }

    #[test]
    fn a_zombie_that_waits_does_not_stand_for_its_child() {
        let (zombie, heir) = zombie_and_heir();
        zombie.wait_for(&Node::new("c".into()), &call()).expect("no cycle");
        assert_eq!(heir.node.waits_for().as_deref(), Some("b"));
    }
}
