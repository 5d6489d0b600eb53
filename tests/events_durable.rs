//! A store with a journal: what was stored is there again, whatever happened in between.
#![cfg(feature = "journal")]

mod common;
mod events_common;

use std::fs;
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

use events_common::{Dir, hang};
use underpin::events::{
    Correlation, Event, EventId, EventStore, Expected, Journal, JournalError, Refusal, SNAPSHOT, StoreBuilder,
};
use underpin::{Overflow, Supervisor, SupervisorHandle};

/// How far numbers go on beyond those that are known.
const STEP: u64 = 1 << 30;

struct Place(Dir);

impl Place {
    fn new(name: &str) -> Self {
        Self(Dir::new(name))
    }

    fn started(&self, builder: StoreBuilder) -> (EventStore, SupervisorHandle) {
        let store = builder.journal(Journal::at(&self.0.0)).open().expect("it opens");
        let app = Supervisor::new("app").supervisor(store.supervisor()).start().expect("it starts");
        (store, app)
    }

    fn segment(&self) -> PathBuf {
        let files = fs::read_dir(&self.0.0).expect("it is there").map(|file| file.expect("it is").path());
        let is_segment = |path: &PathBuf| path.extension().is_some_and(|extension| extension == "journal");
        files.into_iter().find(is_segment).expect("there is one")
    }
}

#[test]
fn what_was_stored_is_there_again() {
    let place = Place::new("again");
    let mut last = 0;
    for round in 0..3_u64 {
        let (store, _app) = place.started(EventStore::builder());
        let recovered = store.journal().expect("it has one").recovery.records;
        assert_eq!((recovered, store.published().len() as u64), (round * 103, round * 103));
        for n in 0..100 {
            store.store(Event::of("a", "x").with_data(n.to_string())).expect("it is stored");
        }
        let id = store.store_sync(Event::of("b", "x")).expect("it is durable").get();
        assert_eq!(id, last + 101 + if round > 0 { STEP } else { 0 });
        let appended =
            store.append("s", Expected::Exact(round * 2), [Event::of("c", "x"), Event::of("c", "x")]);
        assert_eq!(appended.expect("it is durable").version, round * 2 + 2);
        last = id + 2;
        assert!(store.get(EventId::new(last).expect("a number")).expect("it keeps up").is_some());
    }
}

#[test]
fn a_batch_is_durable_as_a_whole_however_large() {
    let place = Place::new("large");
    let (store, app) = place.started(EventStore::builder());
    let events = (0..20).map(|_| Event::of("a", "x").with_data("x".repeat(1 << 20)));
    assert_eq!(store.store_batch(events).expect("it is durable").events, 20);
    drop((store, app));
    let (store, _app) = place.started(EventStore::builder());
    assert_eq!(store.journal().expect("it has one").recovery.records, 20);
    let too_much = (0..80).map(|_| Event::of("a", "x").with_data("x".repeat(1 << 20)));
    let refused = store.store_batch(too_much).expect_err("it is too much");
    assert!(refused.why.to_string().starts_with("a batch has at most 67108864 bytes"), "{refused}");
    assert_eq!(refused.events.len(), 80);
}

/// Four threads store into four shards, whose numbers come into the journal in no order.
fn mixed(place: &Place) -> u64 {
    const EACH: u64 = 1_500;
    let builder = EventStore::builder().shards(4).overflow(Overflow::Block(Duration::from_secs(30)));
    let (store, _app) = place.started(builder);
    std::thread::scope(|scope| {
        for thread in 0..4_u128 {
            let store = &store;
            scope.spawn(move || {
                let mut writer = store.writer().batch(7).expect("it is empty");
                for n in 0..u128::from(EACH) {
                    let correlation = Correlation::from_u128((n % 13) << 64 | thread << 120 | n);
                    let event = Event::of("a", correlation).with_stream("s");
                    writer.store(event).expect("it is stored");
                }
            });
        }
    });
    store.sync().expect("it is durable");
    4 * EACH
}

#[test]
fn numbers_rise_along_a_shelf_though_the_store_has_other_shards_now() {
    let place = Place::new("mixed");
    let events = mixed(&place);
    for shards in [1, 3, 4] {
        let (store, _app) = place.started(EventStore::builder().shards(shards));
        let snapshot = store.fresh().expect("it keeps up");
        assert_eq!(snapshot.len() as u64, events);
        for id in 1..=events {
            assert!(snapshot.get(EventId::new(id).expect("a number")).is_some(), "{shards} shards: {id}");
        }
        let replayed = store.replay(None, 0, |count, _| count + 1).expect("all is there");
        assert_eq!(replayed, events);
        let rebuilt = store.rebuild("s", 0, |last, entry| {
            assert_eq!(entry.version(), last + 1);
            last + 1
        });
        assert_eq!(rebuilt.expect("all is there").state, events);
    }
}

#[test]
fn what_memory_has_no_more_is_read_back_in_the_order_of_the_stream() {
    let place = Place::new("back");
    let events = mixed(&place);
    let (store, _app) = place.started(EventStore::builder().shards(2).max_events(10));
    let rebuilt = store.rebuild("s", 0, |last, entry| {
        assert_eq!(entry.version(), last + 1);
        last + 1
    });
    assert_eq!(rebuilt.expect("all is there").version, events);
    assert_eq!(store.replay(None, 0, |count, _| count + 1).expect("all is there"), events);
}

#[test]
fn a_stream_is_rebuilt_from_its_snapshot_though_what_was_before_is_deleted() {
    let place = Place::new("deleted");
    let journal = || Journal::at(&place.0.0).segment_bytes(64 << 10).retain_bytes(Some(128 << 10));
    let started = || {
        let store = EventStore::builder().max_events(10).journal(journal()).open().expect("it opens");
        let app = Supervisor::new("app").supervisor(store.supervisor()).start().expect("it starts");
        (store, app)
    };
    let (store, app) = started();
    let count = |_: u64, entry: &underpin::events::Entry| entry.version();
    for n in 0..3_000 {
        let event =
            if n == 2_990 { Event::snapshot("2990") } else { Event::of("a", "x").with_data("x".repeat(100)) };
        store.append("s", Expected::Exact(n), [event]).expect("it is durable");
    }
    for _ in 0..50 {
        store.store_sync(Event::of("other", "y")).expect("it is durable");
    }
    assert!(store.journal().expect("it has one").deleted > 0, "{:?}", store.journal());
    assert_eq!(store.rebuild("s", 0, count).expect("from its snapshot").version, 3_000);
    drop((store, app));
    let (store, _app) = started();
    let rebuilt = store.rebuild("s", Vec::new(), |mut kinds, entry| {
        kinds.push(entry.kind().to_owned());
        kinds
    });
    let rebuilt = rebuilt.expect("from its snapshot");
    assert_eq!((rebuilt.version, rebuilt.state[0].as_str(), rebuilt.state.len()), (3_000, SNAPSHOT, 10));
    assert!(store.replay(None, 0, |count, _| count + 1).is_err(), "its beginning is gone");
}

#[test]
fn what_is_broken_after_an_orderly_stop_is_not_taken_for_a_write_that_was_cut_off() {
    let place = Place::new("broken");
    let (store, app) = place.started(EventStore::builder());
    let last = store.store_sync(Event::of("a", "x").with_data("the last one")).expect("it is durable");
    drop((store, app));
    let mut bytes = fs::read(place.segment()).expect("it can be read");
    let at = bytes.windows(12).position(|window| window == b"the last one").expect("it is there");
    bytes[at] ^= 1;
    fs::write(place.segment(), bytes).expect("it can be written");
    let refused = EventStore::builder().journal(Journal::at(&place.0.0)).open().expect_err("it is corrupt");
    assert!(matches!(refused, JournalError::Corrupt { .. }), "{refused}");
    let lenient = EventStore::builder().journal(Journal::at(&place.0.0)).without_journal_if_bad();
    let store = lenient.open().expect("in memory");
    assert!(store.journal().expect("it was to have one").trouble.is_some());
    assert!(store.published().get(last).is_none());
}

/// Syncs a store whose journal nobody waits for, as soon as there is room for that in its mailbox.
fn synced(store: &EventStore) -> Result<(), String> {
    let until = Instant::now() + Duration::from_secs(60);
    loop {
        match store.sync().map_err(|error| error.to_string()) {
            Err(error) if error.contains("was full for 0ns") && Instant::now() < until => thread::yield_now(),
            settled => return settled,
        }
    }
}

#[test]
fn what_a_journal_that_is_behind_does_not_take_is_told_and_counted_and_said_in_it() {
    let place = Place::new("behind");
    let builder = || EventStore::builder().journal_capacity(1).journal_patience(Duration::ZERO);
    let (store, app) = place.started(builder());
    let held = hang(&store, "x"); // who is told of what is durable: the journal
    // One waits in its mailbox; the others stay in memory, and nobody waits for the journal.
    store.store(Event::of("queued", "x")).expect("it is stored");
    for _ in 0..5 {
        let refused = store.store_sync(Event::of("skipped", "x")).expect_err("it is not durable");
        assert!(matches!(refused.why, Refusal::NotDurable { .. }), "{refused}");
    }
    assert_eq!(store.fresh().expect("memory goes on").len(), 7);
    let journal = store.journal().expect("it has one");
    assert!(journal.trouble.is_some() && journal.unjournaled == 5, "{journal:?}");
    drop(held);
    let behind = synced(&store).expect_err("five are not there");
    assert!(behind.contains("5 events are not in the journal"), "{behind}");
    store.store_sync(Event::of("last", "x")).expect("it goes on");
    synced(&store).expect("that was told");
    assert!(store.journal().expect("it has one").trouble.is_none());
    drop((store, app));
    let (store, _app) = place.started(builder());
    let recovery = store.journal().expect("it has one").recovery;
    assert_eq!((recovery.records, recovery.gap_records), (3, 5));
    let kinds: Vec<_> = store.published().recent(10).iter().map(|entry| entry.kind().to_owned()).collect();
    assert_eq!(kinds, ["last", "queued", "hang"]);
    assert!(store.replay(None, 0, |count, _| count + 1).is_err(), "five are missing");
}
