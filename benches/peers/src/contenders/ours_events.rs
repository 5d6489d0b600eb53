//! Our event store.

use ::std::sync::mpsc::{Receiver, channel};
use ::std::time::Duration;

use underpin::events::{Correlation, EventId, EventStore, Journal, Query, Receipt, Refusal, Writer};
use underpin::{Overflow, Supervisor, SupervisorHandle};

use super::disk::{BATCH, Directory};
use super::sample::{KEPT, Sample};
use super::{Arena, Bout, Ground};

/// An event of ours. What is held against the same events in another store takes them from here, by [`Sample`].
pub use underpin::events::Event;

/// With these an event of ours has 200 bytes.
const DATA: usize = 200 - size_of::<Event>();

impl Sample for Event {
    fn new(n: u64, correlation: u64) -> Self {
        Event::of("bench.event", correlation_of(correlation)).with_data(vec![n as u8; DATA])
    }

    fn correlation(&self) -> u64 {
        self.correlation().as_u128().expect("it is a UUID") as u64
    }
}

fn sample(n: u64, correlation: u64) -> Event {
    <Event as Sample>::new(n, correlation)
}

fn correlation_of(number: u64) -> Correlation {
    // Random enough, as UUIDs are.
    Correlation::from_u128(u128::from(number) << 64 | u128::from(number))
}

/// A store that runs. Who stores waits where it is full: nothing is shed.
struct Running {
    store: EventStore,
    _tree: SupervisorHandle,
    _directory: Option<Directory>,
}

impl Running {
    fn start(store: EventStore, directory: Option<Directory>) -> Self {
        let tree = Supervisor::new("bench").supervisor(store.supervisor()).start().expect("it starts");
        Self { store, _tree: tree, _directory: directory }
    }

    fn in_memory(events: u64) -> Self {
        let builder = EventStore::builder().overflow(Overflow::Block(Duration::from_secs(60)));
        Self::start(builder.max_events(events).max_bytes(u64::MAX).in_memory(), None)
    }

    fn durable() -> Self {
        let directory = Directory::new();
        let builder = EventStore::builder().overflow(Overflow::Block(Duration::from_secs(60)));
        let journal = Journal::at(directory.path()).retain_bytes(Some(512 << 20));
        Self::start(builder.journal(journal).open().expect("a fresh directory"), Some(directory))
    }
}

/// Clients of a store that runs.
struct Clients<F>(Running, F);

impl<F: Fn(&EventStore) -> Box<dyn Bout>> Ground for Clients<F> {
    fn client(&self) -> Box<dyn Bout> {
        self.1(&self.0.store)
    }
}

/// One operation is one event of a producer, through its own batching writer, into a store of the newest
/// [`KEPT`]. A client's last operation is over when a query would find all of its events.
pub fn kept() -> Arena {
    let client = |store: &EventStore| {
        let (store, mut writer) = (store.clone(), store.writer());
        Box::new(move |n: u64| {
            (0..n).for_each(|n| writer.store(sample(n, n)).expect("it is stored"));
            writer.flush().expect("it is sent");
            store.fresh().expect("it keeps up");
        }) as Box<dyn Bout>
    };
    Box::new(Clients(Running::in_memory(KEPT as u64), client))
}

/// One operation is [`BATCH`] events, durable together, in a [`Directory`]. A client's last operation is over when
/// all of its events are durable; before that the next batch is on its way while one is synced.
pub fn durable_batches() -> Arena {
    let client = |store: &EventStore| {
        let mut writer = store.writer().batch(BATCH).expect("it is empty");
        Box::new(move |n: u64| {
            let mut before = None;
            for _ in 0..n {
                let batch = send_batch(&mut writer);
                await_durable(before.replace(batch));
            }
            await_durable(before);
        }) as Box<dyn Bout>
    };
    Box::new(Clients(Running::durable(), client))
}

/// What became of the last event of a batch.
type Told = Receiver<Result<EventId, Refusal>>;

fn send_batch(writer: &mut Writer) -> Told {
    let (tell, told) = channel();
    for n in 1..BATCH as u64 {
        writer.store(sample(n, n)).expect("it is stored");
    }
    let receipt = Receipt::new(move |outcome| drop(tell.send(outcome)));
    writer.store_with(sample(0, 0), receipt).expect("it is stored");
    writer.flush().expect("it is sent");
    told
}

fn await_durable(told: Option<Told>) {
    if let Some(told) = told {
        told.recv().expect("it is told").expect("it is durable");
    }
}

/// One operation is one event, durable when it is over.
pub fn durable_each() -> Arena {
    let client = |store: &EventStore| {
        let store = store.clone();
        Box::new(move |n: u64| {
            for n in 0..n {
                store.store_sync(sample(n, n)).expect("it is durable");
            }
        }) as Box<dyn Bout>
    };
    Box::new(Clients(Running::durable(), client))
}

/// One operation is a query by correlation, of a store of so many events, ten of each correlation.
pub fn query<const EVENTS: u64>() -> Arena {
    let running = Running::in_memory(EVENTS);
    let mut writer = running.store.writer();
    (0..EVENTS).for_each(|n| writer.store(sample(n, n % (EVENTS / 10))).expect("it is stored"));
    drop(writer);
    let client = |store: &EventStore| {
        let store = store.clone();
        Box::new(move |n: u64| {
            for i in 0..n {
                let wanted = correlation_of(i * 7919 % (EVENTS / 10));
                let found = store.query(&Query::new().correlation(wanted)).expect("it keeps up");
                assert_eq!(::std::hint::black_box(found).entries.len(), 10);
            }
        }) as Box<dyn Bout>
    };
    Box::new(Clients(running, client))
}

/// How many events a journal has that is opened.
const JOURNALED: u64 = 100_000;

/// A directory with a journal that nobody writes any more.
fn journal() -> Directory {
    let directory = Directory::new();
    let store = EventStore::builder().overflow(Overflow::Block(Duration::from_secs(60)));
    let store = store.journal(Journal::at(directory.path())).open().expect("a fresh directory");
    let running = Running::start(store, None);
    let mut writer = running.store.writer();
    (0..JOURNALED).for_each(|n| writer.store(sample(n, n)).expect("it is stored"));
    drop(writer);
    running.store.sync().expect("it is durable");
    directory
}

/// One operation is a journal of [`JOURNALED`] events that is opened: all are in memory then.
pub fn recovery() -> Arena {
    let directory = ::std::sync::Arc::new(journal());
    Box::new(move || {
        let directory = ::std::sync::Arc::clone(&directory);
        Box::new(move |n: u64| {
            for _ in 0..n {
                let store = EventStore::builder().journal(Journal::at(directory.path())).open();
                let recovered =
                    store.expect("nobody else has it").journal().expect("it has one").recovery.records;
                assert_eq!(recovered, JOURNALED);
            }
        }) as Box<dyn Bout>
    })
}

/// One operation is all files of such a journal, read.
pub fn files_read() -> Arena {
    let directory = ::std::sync::Arc::new(journal());
    Box::new(move || {
        let directory = ::std::sync::Arc::clone(&directory);
        Box::new(move |n: u64| {
            for _ in 0..n {
                let files = ::std::fs::read_dir(directory.path()).expect("it is there");
                let read =
                    |file: ::std::fs::DirEntry| ::std::fs::read(file.path()).expect("it can be read").len();
                let bytes: usize = files.map(|file| read(file.expect("it can be read"))).sum();
                assert!(::std::hint::black_box(bytes) > 200 * JOURNALED as usize / 2);
            }
        }) as Box<dyn Bout>
    })
}
