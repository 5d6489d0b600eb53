//! What a store is made from.

use std::sync::Arc;
use std::time::Duration;

use super::bounds::{Bounds, DEFAULT_MAX_AGE, DEFAULT_MAX_BYTES, DEFAULT_MAX_EVENTS};
use super::ids::Ids;
#[cfg(feature = "journal")]
use super::journal::{Journal, JournalError};
use super::limits::MAX_NAME_BYTES;
use super::origin::Origin;
use super::service::{EventService, Order, Request};
use super::shard::{Common, Shard};
#[cfg(feature = "journal")]
use super::store::Paper;
use super::store::{Door, EventStore, Inner};
use super::streams::{DEFAULT_MAX_STREAMS, Streams};
use crate::service::dead_letters::{DeadLetter, DeadReason};
use crate::service::mailbox::Overflow;
use crate::supervisor::spec::{ChildSpec, child};
use crate::supervisor::supervisor::Supervisor;
use crate::sync::{AtomicU64, Clock, Mutex, mutant};

/// How many messages wait for a shard if nothing else is said: single events, or batches of a writer.
const CAPACITY: usize = 1024;
/// How many groups wait for a journal if nothing else is said.
#[cfg(feature = "journal")]
const JOURNAL_CAPACITY: usize = 256;
/// How long a shard waits for a journal that is slow, if nothing else is said.
#[cfg(feature = "journal")]
const PATIENCE: Duration = Duration::from_secs(1);
/// How many bytes of events wait for a shard at most: 64 MiB.
const MAX_QUEUED_BYTES: u64 = 64 << 20;
/// How many shards there are at most. Each is a thread.
pub const MAX_SHARDS: usize = 64;
/// How long a shard may take to stop, beside what it waits for the journal.
const GRACE: Duration = Duration::from_secs(5);
/// How often a service may crash.
const CRASHES: (u32, Duration) = (10, Duration::from_secs(5));

/// Describes an [`EventStore`].
#[derive(Clone, Debug)]
#[must_use = "a description is no store"]
pub struct StoreBuilder {
    name: Arc<str>,
    node: Arc<str>,
    shards: usize,
    events: u64,
    bytes: u64,
    age: Option<Duration>,
    streams: usize,
    capacity: usize,
    overflow: Overflow,
    most_queued: u64,
    #[cfg(feature = "journal")]
    journal: Option<Journal>,
    #[cfg(feature = "journal")]
    journal_capacity: usize,
    #[cfg(feature = "journal")]
    patience: Duration,
    #[cfg(feature = "journal")]
    is_lenient: bool,
}

impl StoreBuilder {
    pub(crate) fn new() -> Self {
        Self {
            name: "events".into(),
            node: "local".into(),
            shards: 1,
            events: DEFAULT_MAX_EVENTS,
            bytes: DEFAULT_MAX_BYTES,
            age: Some(DEFAULT_MAX_AGE),
            streams: DEFAULT_MAX_STREAMS,
            capacity: CAPACITY,
            overflow: Overflow::DropOldest,
            most_queued: MAX_QUEUED_BYTES,
            #[cfg(feature = "journal")]
            journal: None,
            #[cfg(feature = "journal")]
            journal_capacity: JOURNAL_CAPACITY,
            #[cfg(feature = "journal")]
            patience: PATIENCE,
            #[cfg(feature = "journal")]
            is_lenient: false,
        }
    }

    /// What its supervisor is called. `events`, if nothing is said.
    pub fn name(mut self, name: impl Into<Arc<str>>) -> Self {
        self.name = name.into();
        self
    }

    /// What this node is called in the sources of its events, at most
    /// [`MAX_NAME_BYTES`](super::MAX_NAME_BYTES) bytes of it. `local`, if nothing is said.
    pub fn node(mut self, node: &str) -> Self {
        let most = node.floor_char_boundary(MAX_NAME_BYTES);
        self.node = if node.is_empty() { "local".into() } else { node[..most].into() };
        self
    }

    /// Over how many shards the events are spread, by their correlation: each is a thread. 1 to
    /// [`MAX_SHARDS`]; 1, if nothing is said. Events of one correlation stay in one order; what a store keeps is
    /// divided equally.
    pub fn shards(mut self, shards: usize) -> Self {
        self.shards = shards.clamp(1, MAX_SHARDS);
        self
    }

    /// How many events it keeps at most; 1 at least. 100,000 ([`DEFAULT_MAX_EVENTS`]), if nothing is
    /// said. The oldest are dropped.
    pub fn max_events(mut self, events: u64) -> Self {
        self.events = events.max(1);
        self
    }

    /// How many bytes of events it keeps at most: 256 MiB ([`DEFAULT_MAX_BYTES`]), if nothing is said. The oldest
    /// are dropped; the newest stays, however large. Counts what an event takes in memory, names and data of its
    /// own included; of JSON about as much as its text.
    pub fn max_bytes(mut self, bytes: u64) -> Self {
        self.bytes = bytes;
        self
    }

    /// How long it keeps an event after it was stored: 1 h ([`DEFAULT_MAX_AGE`]), if nothing is said. `None`: until
    /// there is no room.
    pub fn max_age(mut self, age: impl Into<Option<Duration>>) -> Self {
        self.age = age.into();
        self
    }

    /// How many streams it knows at most: 100,000, if nothing is said. They are known for as long as the store is, about
    /// 100 bytes each; one more is refused.
    pub fn max_streams(mut self, streams: usize) -> Self {
        self.streams = streams;
        self
    }

    /// How many messages wait for a shard at most, single events or batches: 1,024, if nothing is said.
    pub fn capacity(mut self, messages: usize) -> Self {
        self.capacity = messages;
        self
    }

    /// What happens when so many wait already. [`Overflow::DropOldest`], if nothing is said: who stores never
    /// waits, and what is given up is counted as `shed`.
    pub fn overflow(mut self, overflow: Overflow) -> Self {
        self.overflow = overflow;
        self
    }

    /// How many bytes of events wait for a shard at most: 64 MiB, if nothing is said. A batch that would be too
    /// much waits where the rule is [`Overflow::Block`], and is refused else.
    pub fn max_queued_bytes(mut self, bytes: u64) -> Self {
        self.most_queued = bytes;
        self
    }

    /// A store in memory alone.
    pub fn in_memory(self) -> EventStore {
        let (store, specs) = self.parts();
        let supervisor = Supervisor::new(Arc::clone(&store.0.name)).intensity(CRASHES.0, CRASHES.1);
        let supervisor = specs.into_iter().fold(supervisor, |supervisor, spec| supervisor.child(spec));
        *store.0.supervisor.lock() = Some(supervisor);
        store
    }

    /// A store, and its services, which nobody supervises yet.
    pub(crate) fn parts(self) -> (EventStore, Vec<ChildSpec<EventService>>) {
        let common = self.common();
        let bounds = Bounds::new(self.events, self.bytes, self.age).share(self.shards as u64);
        let mut specs = Vec::with_capacity(self.shards);
        let mut shards = Vec::with_capacity(self.shards);
        for number in 0..self.shards {
            let shard = Arc::new(Shard::new(Arc::clone(&common), bounds, self.most_queued));
            let spec = self.spec(number, &shard);
            shards.push(Door { shard, handle: spec.handle() });
            specs.push(spec);
        }
        let store = EventStore(Arc::new(Inner {
            name: self.name,
            origin: Origin::new(self.node),
            common,
            shards,
            supervisor: Mutex::new(None),
            #[cfg(feature = "journal")]
            paper: std::sync::OnceLock::new(),
        }));
        (store, specs)
    }

    /// Whether a journal that cannot be opened is an error of [`open`](Self::open); if not, the store is one in
    /// memory, and says so. An error, if nothing is said.
    #[cfg(feature = "journal")]
    pub fn without_journal_if_bad(mut self) -> Self {
        self.is_lenient = true;
        self
    }

    /// A journal, from which the store is recovered, and into which it writes.
    #[cfg(feature = "journal")]
    pub fn journal(mut self, journal: Journal) -> Self {
        self.journal = Some(journal);
        self
    }

    /// How many groups of events wait for the journal at most, each of a batch's worth or 256 KiB: 256, if
    /// nothing is said. Then the shards wait, as [`journal_patience`](Self::journal_patience) says.
    #[cfg(feature = "journal")]
    pub fn journal_capacity(mut self, groups: usize) -> Self {
        self.journal_capacity = groups;
        self
    }

    /// How long a shard waits for a journal that is slower than what is stored: 1 s, if nothing is said. If there is no
    /// space by then, events stay out of the journal, which is counted, and nobody waits again until it has caught up.
    /// While a shard waits, what is stored meanwhile waits for it in turn, under the
    /// [overflow rule](Self::overflow); who asks sees what was stored before that.
    #[cfg(feature = "journal")]
    pub fn journal_patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    /// The store. What its journal has is in it, as far as there is room.
    ///
    /// # Errors
    ///
    /// When the journal cannot be opened, or is corrupt: see [`JournalError`].
    ///
    /// # Blocking
    ///
    /// Until the journal is read, all of it.
    ///
    /// # Example
    ///
    /// ```no_run
    /// use underpin::events::{EventStore, Journal};
    ///
    /// let store = EventStore::builder().journal(Journal::at("/var/lib/app/events")).open()?;
    /// println!("{} events recovered", store.journal().expect("it has one").recovery.records);
    /// # Ok::<(), underpin::events::JournalError>(())
    /// ```
    #[cfg(feature = "journal")]
    pub fn open(mut self) -> Result<EventStore, JournalError> {
        let Some(journal) = self.journal.take() else { return Ok(self.in_memory()) };
        let (capacity, patience) = (self.journal_capacity, self.patience);
        let (is_lenient, again) = (self.is_lenient, self.clone());
        let store = self.in_memory();
        let opened = super::opening::open(&store, &journal, (capacity, patience));
        match opened {
            Ok(()) => Ok(store),
            Err(error) if is_lenient => {
                crate::error::complain(format_args!("{error}: the store goes on in memory alone"));
                let store = again.in_memory(); // without what may have been read of the journal
                let _ = store.0.paper.set(Paper::Bad(error)); // it is new
                Ok(store)
            }
            Err(error) => Err(error),
        }
    }

    fn common(&self) -> Arc<Common> {
        Arc::new(Common {
            ids: Ids::from(1),
            streams: Mutex::new(Streams::new(self.streams)),
            base: Clock::SYSTEM.now(),
            lost: AtomicU64::new(0),
        })
    }

    /// How long a shard may take to stop: it may wait for the journal.
    fn grace(&self) -> Duration {
        #[cfg(feature = "journal")]
        return GRACE.saturating_add(self.patience);
        #[cfg(not(feature = "journal"))]
        GRACE
    }

    fn spec(&self, number: usize, shard: &Arc<Shard>) -> ChildSpec<EventService> {
        let (of_service, of_letters) = (Arc::clone(shard), Arc::clone(shard));
        child(format!("shard-{number}"), move || EventService::new(Arc::clone(&of_service)))
            .capacity(self.capacity)
            .overflow(self.overflow)
            .shutdown(self.grace())
            .on_dead_letter(move |letter| settle_letter(&of_letters, letter))
    }
}

/// What was accepted and finds no service any more is stored all the same; what a full mailbox gave up is
/// counted.
fn settle_letter(shard: &Arc<Shard>, letter: DeadLetter<Request>) {
    let Request(Order::Store(parcel)) = letter.message else { return };
    if letter.reason == DeadReason::Shed {
        return parcel.shed();
    }
    let mut settlements = Vec::new();
    shard.add(parcel.open(), Clock::SYSTEM.now(), &mut settlements);
    if !mutant!(SalvageSilently) {
        shard.publish();
    }
    settlements.into_iter().for_each(super::receipt::Settlement::settle);
    shard.speak();
    shard.pay();
}

/// A child that cannot start.
pub(crate) fn faulty(fault: String) -> ChildSpec<EventService> {
    let common = StoreBuilder::new().common();
    let shard = Arc::new(Shard::new(common, Bounds::new(1, 0, None), 0));
    child("shard-0", move || EventService::new(Arc::clone(&shard))).faulty(fault)
}
