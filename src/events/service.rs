//! The event service: the one thread that puts events onto a shard's shelf.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use super::parcel::Parcel;
use super::receipt::Settlement;
use super::segment::SEGMENT;
use super::shard::Shard;
use super::shelf::Until;
use crate::service::context::Context;
use crate::service::core::Urgent;
use crate::service::exit::Exit;
use crate::service::handle::Handle;
use crate::service::reply::Reply;
use crate::service::service::{Init, Next, Service};
use crate::sync::mutant;

/// How long a writer keeps an event at most, before the tick takes it.
pub(crate) const TICK: Duration = Duration::from_millis(10);
/// Old events are looked for so often at most.
const SHORTEST: Duration = Duration::from_millis(10);

/// The service of one shard, as [`EventStore::supervisor`](super::EventStore::supervisor) describes it.
///
/// It keeps nothing that the next incarnation would miss: what is stored is on a shelf that outlives it.
pub struct EventService {
    shard: Arc<Shard>,
    /// How many events others do not see yet.
    unseen: u64,
    /// Who is told when they do.
    settlements: Vec<Settlement>,
    is_expiring: bool,
}

/// What is said to an [`EventService`]. [`EventStore`](super::EventStore) says it.
#[derive(Debug)]
pub struct Request(pub(crate) Order);

#[derive(Debug)]
pub(crate) enum Order {
    Store(Parcel),
    /// Answer when all before this can be seen.
    Barrier(Reply<()>),
    Prune(Until, Reply<u64>),
    /// A buffer is not empty any more.
    Arm,
    /// Look into the buffers.
    Tick,
    /// Something may be too old.
    Expire,
}

impl EventService {
    pub(crate) fn new(shard: Arc<Shard>) -> Self {
        Self { shard, unseen: 0, settlements: Vec::new(), is_expiring: false }
    }

    /// When the child is gone for good, who waits for events is told.
    fn watch(&self, cx: &Context<Self>) {
        if self.shard.begin() {
            let shard = Arc::clone(&self.shard);
            cx.handle().core().watchers.add(Box::new(move |_| shard.close()));
        }
    }

    fn store(&mut self, parcel: Parcel, cx: &mut Context<Self>) {
        let contents = parcel.open();
        self.unseen += contents.batch.len() as u64;
        self.shard.add(contents, cx.now(), &mut self.settlements);
        self.expire_later(cx);
    }

    /// Others see it now: at the end of a run of messages, or when a segment's worth has come together.
    fn show_if_due(&mut self, cx: &Context<Self>) {
        if self.unseen > 0 && (self.unseen >= SEGMENT || !cx.has_mail()) {
            self.show();
        }
    }

    fn show(&mut self) {
        self.unseen = 0;
        self.shard.publish();
        self.settlements.drain(..).for_each(Settlement::settle);
        self.shard.speak();
    }

    // ---- writers' buffers ----------------------------------------------------------------

    /// Sends what lies in a buffer to this service itself, behind what was sent before. What finds no room
    /// stays until the next tick.
    fn tick(&mut self, cx: &mut Context<Self>) {
        if self.shard.collect(&cx.handle()) {
            return tick_later(cx);
        }
        self.shard.ticks_no_more();
        // Who found an empty buffer before that has asked for nothing.
        if !mutant!(StopTicking) {
            self.tick_if_buffered(cx);
        }
    }

    fn tick_if_buffered(&self, cx: &mut Context<Self>) {
        if self.shard.has_buffered() && self.shard.asks_for_tick() {
            tick_later(cx);
        }
    }

    // ---- old events ----------------------------------------------------------------------

    /// One timer at most.
    fn expire_later(&mut self, cx: &mut Context<Self>) {
        if self.is_expiring {
            return;
        }
        if let Some(due) = self.shard.next_expiry() {
            self.is_expiring = true;
            let earliest = cx.now() + SHORTEST;
            cx.send_at(self.shard.common.instant(due).max(earliest), Request(Order::Expire));
        }
    }

    fn expire(&mut self, cx: &mut Context<Self>) {
        self.is_expiring = false;
        if self.shard.expire(cx.now()) > 0 {
            self.show();
        }
        self.expire_later(cx);
    }
}

/// The timer of a life that was given up goes with it: then its successor ticks. One that is given up after
/// the look has a successor that begins with a look into the buffers.
fn tick_later(cx: &mut Context<EventService>) {
    cx.send_after(TICK, Request(Order::Tick));
    if cx.is_stopping() {
        ask_for_tick(&cx.handle());
    }
}

/// Seldom, so it may cost: the service need not be awake.
#[cold]
pub(crate) fn ask_for_tick(service: &Handle<Request>) {
    let message = || Some(Request(Order::Arm));
    service.core().mailbox.push_urgent(Urgent::News(Box::new(message)));
}

impl Service for EventService {
    type Msg = Request;
    type Error = Infallible;

    fn init(&mut self, cx: &mut Context<Self>) -> Result<Init, Infallible> {
        self.watch(cx);
        if !mutant!(StartUnshown) {
            self.show(); // what the last incarnation may not have shown
        }
        self.expire_later(cx);
        // The timer of the last incarnation went with it.
        self.shard.ticks_no_more();
        self.tick_if_buffered(cx);
        Ok(Init::Ready)
    }

    fn handle(&mut self, Request(order): Request, cx: &mut Context<Self>) -> Result<Next, Infallible> {
        match order {
            Order::Store(parcel) => self.store(parcel, cx),
            Order::Barrier(reply) => {
                self.show();
                reply.send(());
            }
            Order::Prune(until, reply) => {
                let pruned = self.shard.prune(until);
                self.show();
                reply.send(pruned);
            }
            Order::Arm => tick_later(cx),
            Order::Tick => self.tick(cx),
            Order::Expire => self.expire(cx),
        }
        self.show_if_due(cx);
        self.shard.pay();
        Ok(Next::Continue)
    }

    fn terminate(&mut self, _: &Exit) {
        self.show();
        self.shard.pay();
    }

    fn label(Request(order): &Request) -> &'static str {
        match order {
            Order::Store(_) => "store",
            Order::Barrier(_) => "barrier",
            Order::Prune(..) => "prune",
            Order::Arm => "arm",
            Order::Tick => "tick",
            Order::Expire => "expire",
        }
    }
}
