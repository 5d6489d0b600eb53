//! Models of the protocol: the crate's own code, in every order of events, on the stand-ins of
//! `sync/model.rs`. Each has a mutant, a known-wrong variant of the same code, that it must find.
//!
//! The page [`protocol`](super::protocol) says which model stands behind which of its claims.

mod follow;
#[cfg(feature = "journal")]
mod journal;
mod store;
mod writer;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::time::{Duration, Instant};

use super::batch::Batch;
use super::builder::StoreBuilder;
use super::errors::FollowError;
use super::event::Event;
use super::parcel::{Contents, Parcel};
use super::receipt::{Answer, Receipt, Settlement};
use super::service::{EventService, Order, Request, TICK};
use super::shard::Shard;
use super::snapshot::EventSnapshot;
use super::store::{Door, EventStore};
use super::subscription::{StartFrom, Subscription};
use super::writer::Writer;
use crate::service::deadline::Deadline;
use crate::service::handle::Handle;
use crate::service::mailbox::Overflow;
use crate::supervisor::spec::ChildSpec;
use crate::sync::checks::{Kept, finds, holds, holds_at, joined, thread};
use crate::sync::model::Mutant;
use crate::sync::{self, Clock, JoinHandle, Pace};
use crate::testing::Solo;

/// For models with much in them.
const FEW_PREEMPTIONS: usize = 2;
/// For those with a service and two more.
const ONE_PREEMPTION: usize = 1;

// ---- a store -----------------------------------------------------------------------------

/// A store of one shard.
#[derive(Clone)]
struct World {
    store: EventStore,
    /// What would close the mailbox if it went; for who does without the service.
    idle: Option<Arc<Idle>>,
}

type Idle = std::sync::Mutex<Kept<ChildSpec<EventService>>>;

/// Nothing is too old: no timer for that.
fn builder() -> StoreBuilder {
    StoreBuilder::new().capacity(4).max_age(None)
}

fn event(number: u64) -> Event {
    Event::of("counted", "all").with_data(number.to_string())
}

impl World {
    /// A store, and its service, which does not run yet.
    fn new(builder: StoreBuilder) -> (Self, ChildSpec<EventService>) {
        let (store, mut specs) = builder.parts();
        (Self { store, idle: None }, specs.pop().expect("one shard"))
    }

    /// A store, and its service, one life of which is born.
    fn with_service(builder: StoreBuilder) -> (Self, Kept<Solo>) {
        Self::with_service_by(builder, &Restless::new())
    }

    fn with_service_by(builder: StoreBuilder, time: &Arc<Restless>) -> (Self, Kept<Solo>) {
        let (world, spec) = Self::new(builder);
        let (_, solo) = Solo::by(time.clock(), spec);
        (world, Kept::new(solo))
    }

    /// A store whose service nobody drives: the model does what a life would do, step by step.
    fn by_hand(builder: StoreBuilder) -> Self {
        let (mut world, spec) = Self::new(builder);
        world.idle = Some(Arc::new(std::sync::Mutex::new(Kept::new(spec))));
        world
    }

    fn door(&self) -> &Door {
        &self.store.0.shards[0]
    }

    fn shard(&self) -> &Arc<Shard> {
        &self.door().shard
    }

    fn handle(&self) -> &Handle<Request> {
        &self.door().handle
    }

    fn stop(&self) {
        self.handle().stop().expect("it stops");
    }

    /// `false` if it was handed back.
    fn store(&self, number: u64) -> bool {
        self.store.store(event(number)).is_ok()
    }

    fn writer(&self, size: usize) -> Kept<Writer> {
        Kept::new(self.store.writer().batch(size).expect("nothing lies in it"))
    }

    fn subscribe(&self, from: StartFrom) -> Kept<Subscription> {
        Kept::new(self.store.subscribe(from))
    }

    fn fresh(&self) -> Vec<u64> {
        numbers(&self.store.fresh().expect("its service lives"))
    }

    fn published(&self) -> Vec<u64> {
        numbers(&self.store.published())
    }

    /// Takes the next message out of the mailbox, as a life does.
    fn taken(&self) -> Option<Parcel> {
        match self.handle().core().mailbox.take()?.message {
            Request(Order::Store(parcel)) => Some(parcel),
            Request(_) => None,
        }
    }

    /// What a life does with a parcel before it publishes.
    fn put_in(&self, parcel: Parcel) {
        self.add(parcel.open());
    }

    fn add(&self, contents: Contents) {
        let mut settlements = Vec::new();
        self.shard().add(contents, Clock::SYSTEM.now(), &mut settlements);
        settlements.into_iter().for_each(Settlement::settle);
    }

    /// A life gets an event, and publishes it.
    fn live(&self, number: u64) {
        self.put_in(self.parcel(number));
        self.shard().publish();
    }

    fn parcel(&self, number: u64) -> Parcel {
        let contents = self.contents(&[number], None);
        Parcel::pack(self.shard(), contents).expect("there is room")
    }

    fn contents(&self, numbers: &[u64], receipt: Option<Receipt>) -> Contents {
        let mut batch = Batch::with_capacity(numbers.len(), self.store.0.origin.of_thread());
        batch.receipts.extend(receipt.map(|receipt| (0, receipt)));
        for event in numbers.iter().map(|number| event(*number)) {
            let stub = self.store.stub_of(&event).expect("a valid event");
            batch.push(event, stub);
        }
        Contents { batch, expected: None, answer: Answer::Nobody }
    }

    /// What of so many events that were accepted can be seen, once all is over; the others are counted.
    fn accounted(&self, accepted: u64) -> Vec<u64> {
        let stats = self.store.stats();
        assert_eq!(stats.stored, stats.current + stats.pruned + stats.dropped);
        assert_eq!(stats.stored + stats.shed + stats.lost + stats.refused, accepted, "{stats:?}");
        assert!(self.shard().is_settled(), "whoever looks would wait for ever");
        let seen = self.published();
        assert!(
            (1..seen.len()).all(|at| !seen[at..].contains(&seen[at - 1])),
            "one is there twice: {seen:?}"
        );
        seen
    }
}

impl Drop for World {
    fn drop(&mut self) {
        if std::thread::panicking() {
            std::mem::forget((self.store.clone(), self.idle.clone())); // see `Kept`
        }
    }
}

/// A life by hand takes all that was sent.
fn stored_by_hand(world: &World) {
    while let Some(message) = world.handle().core().mailbox.take() {
        if let Request(Order::Store(parcel)) = message.message {
            world.put_in(parcel);
        }
    }
    world.shard().publish();
}

/// The numbers of the events that are there, in their order.
fn numbers(snapshot: &EventSnapshot) -> Vec<u64> {
    let mut newest_first = snapshot.recent(100);
    newest_first.reverse();
    newest_first.iter().map(|entry| number(entry.event())).collect()
}

fn number(event: &Event) -> u64 {
    event.data().as_text().expect("a text").parse().expect("a number")
}

// ---- time --------------------------------------------------------------------------------

/// A clock that goes on to the next tick as soon as somebody waits for that, and else stands still.
#[derive(Debug)]
struct Restless {
    start: Instant,
    // Not the model's primitives: only the service changes them.
    /// Nanoseconds since then.
    passed: AtomicU64,
    is_at_rest: AtomicBool,
}

/// What is further away than this never comes.
const HORIZON: Duration = Duration::from_millis(100);

const TICK_NANOS: u64 = TICK.as_nanos() as u64;

impl Restless {
    fn new() -> Arc<Self> {
        let start = Clock::SYSTEM.now();
        Arc::new(Self { start, passed: AtomicU64::new(0), is_at_rest: AtomicBool::new(false) })
    }

    fn clock(self: &Arc<Self>) -> Clock {
        Clock::paced(Arc::clone(self) as Arc<dyn Pace>)
    }

    /// Whether the service waits, and for no tick.
    fn is_at_rest(&self) -> bool {
        self.is_at_rest.load(SeqCst)
    }

    /// `None`: it is too far away.
    fn left(&self, deadline: Option<Instant>) -> Option<Duration> {
        let left = deadline?.saturating_duration_since(self.now());
        Some(left).filter(|left| *left < HORIZON)
    }
}

impl Pace for Restless {
    fn now(&self) -> Instant {
        self.start + Duration::from_nanos(self.passed.load(SeqCst))
    }

    fn park(&self, deadline: Option<Instant>) {
        if let Some(left) = self.left(deadline) {
            let before = self.passed.fetch_add(left.subsec_nanos().into(), SeqCst);
            // Now and then: who ticks again and again may wait for another.
            if before >= 4 * TICK_NANOS && before % (4 * TICK_NANOS) < TICK_NANOS {
                sync::yield_now();
            }
            return;
        }
        let is_service = crate::service::scope::me().is_some();
        if is_service {
            self.is_at_rest.store(true, SeqCst);
        }
        sync::park();
        if is_service {
            self.is_at_rest.store(false, SeqCst);
        }
    }
}
