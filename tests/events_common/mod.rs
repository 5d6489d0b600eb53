//! What the tests of events share: stores that run, stores that hang, receipts that are noted.
#![allow(dead_code)] // each test crate uses a part of it

use std::path::PathBuf;
use std::sync::mpsc::{Receiver, Sender, channel};

use underpin::events::{Entry, Event, EventId, EventStore, Query, Receipt, Refusal, StoreStats, Stored};
use underpin::testing::Clock;
use underpin::{Supervisor, SupervisorHandle};

use crate::common::LONG;

/// Starts the services of a store, in a tree of their own.
pub(crate) fn started(store: &EventStore) -> SupervisorHandle {
    Supervisor::new("app").supervisor(store.supervisor()).start().expect("it starts")
}

/// A store with everything as if nothing were said, that runs.
pub(crate) fn running() -> (EventStore, SupervisorHandle) {
    let store = EventStore::in_memory();
    let app = started(&store);
    (store, app)
}

/// The same in a tree with this clock.
pub(crate) fn started_by(clock: Clock, store: &EventStore) -> SupervisorHandle {
    Supervisor::new("app").clock(clock).supervisor(store.supervisor()).start().expect("it starts")
}

/// An event of kind `a` that belongs to `x`, with a text.
pub(crate) fn event(text: impl ToString) -> Event {
    Event::of("a", "x").with_data(text.to_string())
}

pub(crate) fn events(count: usize) -> Vec<Event> {
    (0..count).map(event).collect()
}

pub(crate) fn id(number: u64) -> EventId {
    EventId::new(number).expect("it is not 0")
}

pub(crate) fn ids<'a>(entries: impl IntoIterator<Item = &'a Entry>) -> Vec<u64> {
    entries.into_iter().map(|entry| entry.id().get()).collect()
}

pub(crate) fn texts<'a>(entries: impl IntoIterator<Item = &'a Entry>) -> Vec<String> {
    entries.into_iter().map(|entry| entry.data().as_text().unwrap_or("").to_owned()).collect()
}

/// All that is there, the oldest first.
#[track_caller]
pub(crate) fn all(store: &EventStore) -> Vec<Entry> {
    store.query(&Query::new().limit(100_000)).expect("it keeps up").entries
}

/// What is stored, there, pruned and dropped.
pub(crate) fn accounts(stats: StoreStats) -> (u64, u64, u64, u64) {
    (stats.stored, stats.current, stats.pruned, stats.dropped)
}

// ---- receipts ----------------------------------------------------------------------------

pub(crate) type Told = Result<EventId, Refusal>;

/// A receipt, and where it is heard of.
pub(crate) fn receipt() -> (Receipt, Receiver<Told>) {
    let (tell, told) = channel();
    (Receipt::new(move |outcome| drop(tell.send(outcome))), told)
}

/// Receipts that tell in one place, each under its name.
pub(crate) struct Desk {
    tell: Sender<(u64, Told)>,
    told: Receiver<(u64, Told)>,
}

impl Desk {
    pub(crate) fn new() -> Self {
        let (tell, told) = channel();
        Self { tell, told }
    }

    pub(crate) fn receipt(&self, name: u64) -> Receipt {
        let tell = self.tell.clone();
        Receipt::new(move |outcome| drop(tell.send((name, outcome))))
    }

    /// What was told by now.
    pub(crate) fn told(&self) -> Vec<(u64, Told)> {
        self.told.try_iter().collect()
    }

    /// The next so many.
    #[track_caller]
    pub(crate) fn next(&self, count: usize) -> Vec<(u64, Told)> {
        (0..count).map(|_| self.told.recv_timeout(LONG).expect("it is told")).collect()
    }
}

// ---- a store that hangs ------------------------------------------------------------------

/// The thread of a shard, held fast in a receipt; dropped, it goes on.
pub(crate) struct Held(#[allow(dead_code)] Sender<()>);

/// Hangs the shard that is in charge of a correlation, after what was sent before.
#[track_caller]
pub(crate) fn hang(store: &EventStore, correlation: &str) -> Held {
    let (hold, held) = channel::<()>();
    let (hangs, is_hanging) = channel();
    let receipt = Receipt::new(move |_| {
        hangs.send(()).expect("the test waits for it");
        let _ = held.recv();
    });
    store.store_with(Event::of("hang", correlation), receipt).expect("it is sent");
    is_hanging.recv_timeout(LONG).expect("it hangs");
    Held(hold)
}

// ---- shards ------------------------------------------------------------------------------

/// Which of so many shards is in charge of a correlation: a checkpoint tells.
#[track_caller]
pub(crate) fn shard_of(correlation: &str, shards: usize) -> usize {
    let store = EventStore::builder().shards(shards).in_memory();
    let _app = started(&store);
    store.store_sync(Event::of("a", correlation)).expect("it is stored");
    let mut following = store.subscribe(underpin::events::StartFrom::Oldest);
    following.try_recv().expect("it is there");
    let checkpoint = following.checkpoint().to_string();
    let mut ids = checkpoint.split(';').next_back().expect("a row").split(',');
    ids.position(|id| id != "0").expect("one has come farther")
}

/// A correlation for each shard.
#[track_caller]
pub(crate) fn one_for_each(shards: usize) -> Vec<String> {
    let mut found = vec![None; shards];
    for name in (0..1_000).map(|n| format!("c{n}")) {
        let at = shard_of(&name, shards);
        found[at].get_or_insert(name);
        if found.iter().all(Option::is_some) {
            break;
        }
    }
    found.into_iter().map(|name| name.expect("a thousand names reach every shard")).collect()
}

pub(crate) fn first_of(stored: &Stored) -> u64 {
    stored.first.get()
}

// ---- directories -------------------------------------------------------------------------

/// A directory that goes with it.
pub(crate) struct Dir(pub(crate) PathBuf);

impl Dir {
    pub(crate) fn new(name: &str) -> Self {
        let dir = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}-{}", std::process::id()));
        drop(std::fs::remove_dir_all(&dir));
        Self(dir)
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        drop(std::fs::remove_dir_all(&self.0));
    }
}
