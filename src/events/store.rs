//! The store of what happened.

use std::fmt;
use std::sync::Arc;
use std::time::SystemTime;

use super::batch::{Batch, Stub, correlation_key};
use super::builder::StoreBuilder;
use super::checkpoint::shard_of;
use super::correlation::Correlation;
use super::errors::{Behind, NotStored, Refusal};
use super::event::Event;
use super::id::EventId;
use super::limits::{MAX_BATCH, MAX_BATCH_BYTES};
use super::moment::since_1970;
use super::origin::Origin;
use super::parcel::Contents;
use super::post::{post, post_and_wait};
use super::receipt::{Answer, Receipt, Stored};
use super::service::{Order, Request};
use super::shard::{Common, Shard};
use super::shelf::Until;
use super::snapshot::EventSnapshot;
use super::streams::Expected;
use super::writer::Writer;
use crate::error::{CallError, CastError};
use crate::service::deadline::{DEFAULT_TIMEOUT, Deadline, Limit};
use crate::service::handle::Handle;
use crate::service::scope;
use crate::supervisor::supervisor::Supervisor;
use crate::sync::{Mutex, current_thread, mutant};

/// How often a barrier that an overloaded mailbox gave up is sent at least.
const TRIES: usize = 3;

/// A bounded store of events. Cheap to clone; all clones are the same store.
///
/// - It is bounded by number, by bytes and by age, and says what became of each event:
///   [`stats`](Self::stats).
/// - Whoever asks looks at what does not change any more, on his own thread: he holds up nobody, and nobody
///   holds up him. He sees what he stored before.
/// - Its services are started by [`supervisor`](Self::supervisor). What is stored before waits.
/// - With a journal it survives the process: [`StoreBuilder::journal`].
///
/// # Example
///
/// ```
/// use underpin::Supervisor;
/// use underpin::events::{Event, EventStore, Query};
///
/// let store = EventStore::in_memory();
/// let app = Supervisor::new("app").supervisor(store.supervisor()).start()?;
/// store.store(Event::of("order.placed", "order 17"))?;
/// store.store(Event::of("order.paid", "order 17").with_data("3 EUR"))?;
/// let found = store.query(&Query::new().correlation("order 17"))?;
/// assert_eq!(found.entries[1].kind(), "order.paid");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct EventStore(pub(crate) Arc<Inner>);

pub(crate) struct Inner {
    pub(crate) name: Arc<str>,
    pub(crate) origin: Origin,
    pub(crate) common: Arc<Common>,
    pub(crate) shards: Vec<Door>,
    /// Taken by the first who asks.
    pub(crate) supervisor: Mutex<Option<Supervisor>>,
    #[cfg(feature = "journal")]
    pub(crate) paper: std::sync::OnceLock<Paper>,
}

/// The journal of a store, if it has one, or was to have one.
#[cfg(feature = "journal")]
pub(crate) enum Paper {
    Bad(super::JournalError),
    Good(Arc<super::pen::Pen>, Handle<super::scribe::JournalRequest>),
}

/// A shard, and the way to its service.
pub(crate) struct Door {
    pub(crate) shard: Arc<Shard>,
    pub(crate) handle: Handle<Request>,
}

impl EventStore {
    /// A store in memory alone, with everything as if nothing were said.
    pub fn in_memory() -> Self {
        StoreBuilder::new().in_memory()
    }

    /// Its name, which is that of its supervisor.
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// Describes a store.
    pub fn builder() -> StoreBuilder {
        StoreBuilder::new()
    }

    /// Its services, to be given to a supervisor, a [`Foundation`](crate::FoundationBuilder::events) or to
    /// be [started](Supervisor::start) by themselves: a journal if there is one, and one for each shard.
    ///
    /// A store has them once: taken a second time, they are refused at their start.
    pub fn supervisor(&self) -> Supervisor {
        self.0.supervisor.lock().take().unwrap_or_else(|| {
            let fault = format!("the store `{}` has its services already", self.0.name);
            Supervisor::new(Arc::clone(&self.0.name)).child(super::builder::faulty(fault))
        })
    }

    // ---- storing -------------------------------------------------------------------------

    /// Stores an event, and does not wait for that.
    ///
    /// # Errors
    ///
    /// When something about it is not allowed, when its number is taken, when the mailbox is full and its
    /// [overflow rule](StoreBuilder::overflow) says so, and when the store has stopped. It is handed
    /// back.
    ///
    /// # Blocking
    ///
    /// Never, unless the overflow rule is `Block`: then as long as that says.
    pub fn store(&self, event: Event) -> Result<(), NotStored> {
        self.send(event, None, Limit::By(Deadline::unbounded()))
    }

    /// As [`store`](Self::store), but never waits, whatever the overflow rule.
    ///
    /// # Errors
    ///
    /// As [`store`](Self::store).
    pub fn try_store(&self, event: Event) -> Result<(), NotStored> {
        self.send(event, None, Limit::In(std::time::Duration::ZERO))
    }

    /// As [`store`](Self::store); the receipt hears what became of it, also of an error.
    ///
    /// # Errors
    ///
    /// As [`store`](Self::store).
    pub fn store_with(&self, event: Event, receipt: Receipt) -> Result<(), NotStored> {
        self.send(event, Some(receipt), Limit::By(Deadline::unbounded()))
    }

    fn send(&self, event: Event, receipt: Option<Receipt>, limit: Limit) -> Result<(), NotStored> {
        let stub = match self.stub_of(&event) {
            Ok(stub) => stub,
            Err(why) => {
                receipt.into_iter().for_each(|receipt| receipt.tell(Err(why.clone())));
                return Err(NotStored::new(why, vec![event]));
            }
        };
        let door = self.door(stub.correlation);
        let mut batch = Batch::with_capacity(1, self.0.origin.of_thread());
        batch.first_id = event.own_id();
        batch.receipts.extend(receipt.map(|receipt| (0, receipt)));
        batch.push(event, stub);
        door.send(batch, limit)
    }

    /// Stores an event, and waits until it is stored; durable, where the journal syncs
    /// [always](super::Sync::Always). Returns its number.
    ///
    /// # Errors
    ///
    /// As [`store`](Self::store); and when the service does not answer within 5 s, or crashes: then it may be
    /// stored. [`Refusal::NotDurable`] says that it is in memory, and not in the journal.
    ///
    /// # Blocking
    ///
    /// Until the service has done what was sent before, and this; at most 5 s, or until the deadline of the
    /// call that is being handled. Where nothing was sent before that is not stored yet, the calling thread stores it
    /// itself, and waits for the journal alone.
    pub fn store_sync(&self, event: Event) -> Result<EventId, NotStored> {
        self.store_batch([event]).map(|stored| stored.first)
    }

    /// Stores several events, all or none, with numbers that follow one another.
    ///
    /// # Errors
    ///
    /// As [`store_sync`](Self::store_sync); and when there is none, more than [`MAX_BATCH`] or than 64 MiB ([`MAX_BATCH_BYTES`]), or when they belong to
    /// several shards.
    ///
    /// # Blocking
    ///
    /// As [`store_sync`](Self::store_sync).
    pub fn store_batch(&self, events: impl IntoIterator<Item = Event>) -> Result<Stored, NotStored> {
        self.store_all(events.into_iter().collect(), None)
    }

    /// Stores events at the end of a stream, all or none, if it has come as far as `expected`.
    ///
    /// A stream counts its events from 1: see [`Entry::version`](super::Entry::version). What the events say of a
    /// stream themselves does not count.
    ///
    /// # Errors
    ///
    /// As [`store_batch`](Self::store_batch); and when the stream has come less far, or farther, or would be one too many.
    ///
    /// # Blocking
    ///
    /// As [`store_sync`](Self::store_sync).
    ///
    /// # Example
    ///
    /// ```
    /// # use underpin::Supervisor;
    /// # use underpin::events::{Event, EventStore, Expected, Refusal};
    /// # let store = EventStore::in_memory();
    /// # let app = Supervisor::new("app").supervisor(store.supervisor()).start()?;
    /// let paid = || [Event::new("paid")];
    /// assert_eq!(store.append("order 17", Expected::NoStream, paid())?.version, 1);
    /// let late = store.append("order 17", Expected::Exact(0), paid()).expect_err("it has an event");
    /// assert!(matches!(late.why, Refusal::WrongVersion { actual: 1, .. }));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn append(
        &self,
        stream: impl Into<Arc<str>>,
        expected: Expected,
        events: impl IntoIterator<Item = Event>,
    ) -> Result<Stored, NotStored> {
        let stream = stream.into();
        let mut events: Vec<_> = events.into_iter().collect();
        events.iter_mut().for_each(|event| event.put_into_stream(&stream));
        self.store_all(events, Some((stream, expected)))
    }

    fn store_all(
        &self,
        events: Vec<Event>,
        expected: Option<(Arc<str>, Expected)>,
    ) -> Result<Stored, NotStored> {
        let stubs = match self.stubs_of(&events) {
            Ok(stubs) => stubs,
            Err(why) => return Err(NotStored::new(why, events)),
        };
        let door = self.door(stubs[0].correlation);
        let mut batch = Batch::with_capacity(0, self.0.origin.of_thread());
        batch.first_id = events[0].own_id();
        batch.bytes = stubs.iter().map(|stub| u64::from(stub.bytes)).sum();
        (batch.events, batch.stubs) = (events, stubs);
        let contents = Contents { batch, expected, answer: Answer::Nobody };
        post_and_wait(&door.shard, &door.handle, contents, door.deadline())
            .map_err(|(why, events)| NotStored::new(why, events))
    }

    /// A writer of one's own, which sends events by the batch: the fastest way to store many.
    pub fn writer(&self) -> Writer {
        Writer::new(self)
    }

    pub(crate) fn stub_of(&self, event: &Event) -> Result<Stub, Refusal> {
        let stub = Stub::of(event)?;
        match event.own_id().filter(|id| self.0.common.ids.is_taken(*id)) {
            Some(id) => Err(self.0.common.ids.taken(id)),
            None => Ok(stub),
        }
    }

    fn stubs_of(&self, events: &[Event]) -> Result<Vec<Stub>, Refusal> {
        match events.len() {
            0 => return Err(Refusal::NoEvents),
            1..=MAX_BATCH => {}
            events => return Err(Refusal::TooManyEvents { events, most: MAX_BATCH }),
        }
        check_ids(events)?;
        let stubs: Vec<_> = events.iter().map(|event| self.stub_of(event)).collect::<Result<_, _>>()?;
        let bytes = stubs.iter().map(|stub| u64::from(stub.bytes)).sum();
        if bytes > MAX_BATCH_BYTES && events.len() > 1 {
            return Err(Refusal::TooManyBytes { bytes, most: MAX_BATCH_BYTES });
        }
        let shard = self.shard_of(stubs[0].correlation);
        match stubs.iter().position(|stub| self.shard_of(stub.correlation) != shard) {
            Some(at) => Err(Refusal::SeveralShards { at, correlation: events[at].correlation().clone() }),
            None => Ok(stubs),
        }
    }

    /// Which shard is in charge of a correlation.
    pub(crate) fn shard_of(&self, correlation: u64) -> usize {
        shard_of(correlation, self.0.shards.len())
    }

    pub(crate) fn door(&self, correlation: u64) -> &Door {
        &self.0.shards[self.shard_of(correlation)]
    }

    // ---- looking -------------------------------------------------------------------------

    /// The store as others see it now, without waiting for what is on its way. Never blocks.
    pub fn published(&self) -> EventSnapshot {
        EventSnapshot::of(self.0.shards.iter().map(|door| door.shard.view()).collect())
    }

    /// The store as it is when everything that was sent before is stored: what this thread stored, and what
    /// lies in the buffers of writers.
    ///
    /// # Errors
    ///
    /// When that cannot be seen within 5 s: the service hangs, has stopped, or was not started.
    ///
    /// # Blocking
    ///
    /// Not at all where nothing is on its way; else until that is stored, at most 5 s.
    pub fn fresh(&self) -> Result<EventSnapshot, Behind> {
        let deadline = self.0.shards[0].deadline();
        self.0.shards.iter().try_for_each(|door| door.catch_up(deadline))?;
        Ok(self.published())
    }

    /// The same of the one shard that has a correlation.
    pub(crate) fn fresh_of(&self, correlation: &Correlation) -> Result<EventSnapshot, Behind> {
        let door = self.door(correlation_key(correlation));
        door.catch_up(door.deadline())?;
        Ok(EventSnapshot::of(vec![door.shard.view()]))
    }

    /// How many events a stream has had; 0 if there is no such stream. Of what was stored.
    pub fn stream_version(&self, stream: &str) -> u64 {
        self.0.common.streams.lock().version(stream)
    }

    // ---- pruning -------------------------------------------------------------------------

    /// Takes out of memory what happened before a moment, as far as nothing that happened later was stored before
    /// it. Returns how many events that were. A journal keeps what it has.
    ///
    /// # Errors
    ///
    /// When a service does not answer within 5 s, or has stopped.
    ///
    /// # Blocking
    ///
    /// Until the services have done what was sent before, and this; at most 5 s.
    pub fn prune_before(&self, time: SystemTime) -> Result<u64, Behind> {
        self.prune(Until::Time(since_1970(time)))
    }

    /// As [`prune_before`](Self::prune_before), what has a smaller number.
    ///
    /// # Errors
    ///
    /// As [`prune_before`](Self::prune_before).
    pub fn prune_before_id(&self, id: EventId) -> Result<u64, Behind> {
        self.prune(Until::Id(id.get()))
    }

    fn prune(&self, until: Until) -> Result<u64, Behind> {
        let deadline = self.0.shards[0].deadline();
        let mut pruned = 0;
        for door in &self.0.shards {
            door.catch_up(deadline)?;
            let prune = |reply| Request(Order::Prune(until, reply));
            pruned += door.handle.call_by(deadline, prune).map_err(|error| behind(&error))?;
        }
        Ok(pruned)
    }
}

impl Door {
    /// As long as anybody waits, by the clock of the tree.
    fn deadline(&self) -> Deadline {
        Deadline::from(self.handle.core().clock().now(), DEFAULT_TIMEOUT)
    }

    pub(crate) fn send(&self, batch: Batch, limit: Limit) -> Result<(), NotStored> {
        post(&self.shard, &self.handle, batch, limit).map_err(|(why, batch)| {
            let events = batch.refuse(&why);
            NotStored::new(why, events)
        })
    }

    /// Sends what lies in writers' buffers, and waits until all that was sent before can be seen.
    fn catch_up(&self, deadline: Deadline) -> Result<(), Behind> {
        self.send_buffered(deadline)?;
        self.wait_until_settled(deadline)
    }

    pub(crate) fn send_buffered(&self, deadline: Deadline) -> Result<(), Behind> {
        for buffer in self.shard.buffers() {
            // Before it is opened: its writer must not wait because somebody asks.
            self.wait_for_room(deadline);
            let now = self.handle.core().clock().now();
            let within = deadline.instant().map(|until| until.saturating_duration_since(now));
            let open = buffer.open_within(within);
            let mut open = open.ok_or_else(|| Behind { reason: "a writer waits for room".into() })?;
            if open.is_empty() {
                continue;
            }
            let batch = open.take(&self.shard.spent);
            if mutant!(SendUnlocked) {
                drop(open);
                open = buffer.open();
            }
            if let Err((why, batch)) = post(&self.shard, &self.handle, batch, Limit::By(deadline)) {
                open.put_back(batch);
                return Err(Behind { reason: why.to_string().into() });
            }
        }
        Ok(())
    }

    fn wait_until_settled(&self, deadline: Deadline) -> Result<(), Behind> {
        let mut tries = 1;
        while !self.shard.is_settled() {
            self.wait_for_room(deadline);
            match self.handle.call_by(deadline, |reply| Request(Order::Barrier(reply))) {
                Ok(()) => break,
                // Others were faster. What was sent before has left the mailbox, but may be in hand.
                Err(error) if was_full(&error) && (tries < TRIES || self.may_wait_until(deadline)) => {
                    tries += 1
                }
                Err(error) => return Err(behind(&error)),
            }
        }
        Ok(())
    }

    /// Nobody has an event given up, or is refused, because he asks: where the mailbox is full, he waits until it is
    /// not.
    fn wait_for_room(&self, deadline: Deadline) {
        let core = self.handle.core();
        let is_full = || core.mailbox.len() >= core.mailbox.capacity() && !core.mailbox.is_closed();
        let me = current_thread();
        while is_full() && self.may_wait_until(deadline) {
            // What makes room is shown sooner or later.
            self.shard.announce(me.clone());
            if is_full() {
                core.clock().park(deadline.instant());
            }
            self.shard.withdraw(&me);
        }
    }

    /// In a handler nobody waits but in calls, which know what they may wait for.
    fn may_wait_until(&self, deadline: Deadline) -> bool {
        scope::me().is_none() && !deadline.has_passed(self.handle.core().clock().now())
    }
}

fn was_full(error: &CallError<Request>) -> bool {
    let not_sent =
        |error: &CastError<_>| matches!(error, CastError::Full { .. } | CastError::TimedOut { .. });
    match error {
        CallError::Shed { .. } => true,
        CallError::NotSent(error) => not_sent(error),
        _ => false,
    }
}

fn behind(error: &CallError<Request>) -> Behind {
    Behind { reason: error.to_string().into() }
}

/// Numbers that a batch brings begin with its first event, and follow one another.
fn check_ids(events: &[Event]) -> Result<(), Refusal> {
    let first = events[0].own_id();
    for (at, event) in events.iter().enumerate() {
        let expected = first.and_then(|first| EventId::new(first.get().saturating_add(at as u64)));
        if event.own_id() != expected {
            let say = |id: Option<EventId>| id.map_or("none".to_owned(), |id| id.to_string());
            return Err(Refusal::IdsNotContiguous { found: say(event.own_id()), expected: say(expected) });
        }
    }
    Ok(())
}

impl fmt::Debug for EventStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EventStore").field("name", &self.0.name).finish_non_exhaustive()
    }
}
