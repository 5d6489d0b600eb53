//! State from what has happened: from memory, from the journal, whole or not at all.
#![cfg(feature = "events")]

mod common;
mod events_common;

use common::SECOND;
use events_common::*;
use underpin::events::*;
use underpin::testing::Simulation;
use underpin::{Context, Handle, Init, Next, Reply, Service, Supervisor, child};

fn amount(entry: &Entry) -> i64 {
    entry.data().as_text().and_then(|text| text.parse().ok()).unwrap_or(0)
}

/// A balance, out of amounts and of what it was said to be.
fn balance(balance: i64, entry: &Entry) -> i64 {
    if entry.kind() == SNAPSHOT { amount(entry) } else { balance + amount(entry) }
}

fn list(mut numbers: Vec<u64>, entry: &Entry) -> Vec<u64> {
    numbers.push(entry.id().get());
    numbers
}

fn amounts(amounts: &[i64]) -> Vec<Event> {
    amounts.iter().map(event).collect()
}

// ---- all of it ---------------------------------------------------------------------------

#[test]
fn all_is_told_from_the_beginning_or_after_an_event() {
    let store = EventStore::builder().shards(3).in_memory();
    let _app = started(&store);
    let mut writer = store.writer();
    for n in 0..10_000 {
        writer.store(Event::of("a", format!("c{}", n % 20)).with_data(n.to_string())).expect("it is stored");
    }
    let everything = store.replay(None, Vec::new(), list).expect("all is there");
    assert_eq!(everything, ids(&all(&store)), "what lies in the writer, too");
    let later = store.replay(EventId::new(9_990), Vec::new(), list).expect("all is there");
    assert_eq!((later.len(), later.iter().min()), (10, Some(&9_991)));
    assert_eq!(store.replay(EventId::new(10_000), 0, |n, _| n + 1).expect("all is there"), 0);
}

#[test]
fn of_what_is_not_whole_nothing_is_told() {
    let store = EventStore::builder().max_events(10).in_memory();
    let _app = started(&store);
    store.store_batch(events(15)).expect("they are stored");
    for after in [None, EventId::new(1), EventId::new(4)] {
        let mut told = 0;
        let error = store.replay(after, (), |(), _| told += 1).expect_err("some went");
        assert!(matches!(error, ReplayError::Incomplete { .. }), "{error}");
        assert!(error.to_string().starts_with("something is not there any more: events after "), "{error}");
        assert_eq!(told, 0);
    }
    let rest = store.replay(EventId::new(5), Vec::new(), list).expect("what went was before");
    assert_eq!(rest, (6..=15).collect::<Vec<_>>());
}

// ---- a stream ----------------------------------------------------------------------------

#[test]
fn a_stream_is_rebuilt_from_its_first_event() {
    let (store, _app) = running();
    let empty = store.rebuild("account", 0, balance).expect("there is none");
    assert_eq!((empty.state, empty.version), (0, 0));
    store.append("account", Expected::NoStream, amounts(&[7, 5])).expect("there is none");
    store.append("another", Expected::NoStream, amounts(&[100])).expect("there is none");
    store.append("account", Expected::Exact(2), amounts(&[-2])).expect("it has two");
    let rebuilt = store.rebuild("account", 0, balance).expect("all is there");
    assert_eq!((rebuilt.state, rebuilt.version), (10, 3));
    store.append("account", Expected::Exact(rebuilt.version), amounts(&[1])).expect("that is the version");
}

#[test]
fn a_snapshot_stands_for_what_was_before_it() {
    let store = EventStore::builder().max_events(3).in_memory();
    let _app = started(&store);
    store.append("account", Expected::Any, amounts(&[7, 5])).expect("it is stored");
    store.append("account", Expected::Any, [Event::snapshot("12").with_correlation("x")]).expect("it is");
    store.append("account", Expected::Any, amounts(&[1, 2])).expect("it is stored");
    let mut told = 0;
    let count = |state, entry: &Entry| {
        told += 1;
        balance(state, entry)
    };
    let rebuilt = store.rebuild("account", 0, count).expect("the snapshot is there");
    assert_eq!((rebuilt.state, rebuilt.version, told), (15, 5, 3));
    store.append("account", Expected::Any, amounts(&[4])).expect("the snapshot goes");
    let says = |what| format!("something is not there any more: events of the stream `account`: {what}");
    let error = store.rebuild("account", 0, balance).expect_err("it is not whole");
    assert_eq!(error.to_string(), says("the first that is there has version 4"));
    store.prune_before_id(id(100)).expect("it answers");
    let error = store.rebuild("account", 0, balance).expect_err("all went");
    assert_eq!(error.to_string(), says("none is there"));
}

#[test]
fn a_stream_of_several_shards_is_rebuilt_in_its_order() {
    let store = EventStore::builder().shards(3).in_memory();
    let _app = started(&store);
    for n in 0..100_u64 {
        let event = Event::of("a", format!("c{}", n % 7)).with_data(n.to_string());
        store.append("s", Expected::Exact(n), [event]).expect("it has so many");
    }
    let versions = |mut versions: Vec<u64>, entry: &Entry| {
        versions.push(entry.version());
        versions
    };
    let rebuilt = store.rebuild("s", Vec::new(), versions).expect("all is there");
    assert_eq!((rebuilt.state, rebuilt.version), ((1..=100).collect(), 100));
}

#[test]
fn a_stream_whose_newest_went_from_another_shard_is_not_whole() {
    let store = EventStore::builder().shards(2).max_events(10).in_memory();
    let _app = started(&store);
    let [one, two] = &one_for_each(2)[..] else { unreachable!("there are two") };
    let pay =
        |name: &String| store.append("s", Expected::Any, [Event::of("a", name.as_str())]).expect("it is");
    let _ = (pay(one), pay(one), pay(two));
    assert_eq!(store.rebuild("s", 0, |n, _| n + 1).expect("all is there").state, 3);
    store.store_batch((0..5).map(|_| Event::of("a", two.as_str()))).expect("they are stored");
    let error = store.rebuild("s", 0, |n, _| n + 1).expect_err("the third went");
    assert!(matches!(error, ReplayError::Incomplete { .. }), "{error}");
    pay(one);
    store.rebuild("s", 0, |n, _| n + 1).expect_err("the third is missing in the midst");
}

#[test]
fn there_is_no_stream_without_a_name() {
    let (store, _app) = running();
    let error = store.rebuild("", 0, balance).expect_err("there can be none");
    assert!(matches!(error, ReplayError::Query(_)), "{error}");
}

// ---- a service ---------------------------------------------------------------------------

/// Keeps a balance; what it is told becomes an event first.
struct Account {
    store: EventStore,
    state: Rebuilt<i64>,
}

enum Ask {
    Pay(i64),
    Balance(Reply<i64>),
}

impl Service for Account {
    type Msg = Ask;
    type Error = Box<dyn std::error::Error + Send + std::marker::Sync>;

    fn init(&mut self, _: &mut Context<Self>) -> Result<Init, Self::Error> {
        self.state = self.store.rebuild("account", 0, balance)?;
        Ok(Init::Ready)
    }

    fn handle(&mut self, ask: Ask, _: &mut Context<Self>) -> Result<Next, Self::Error> {
        match ask {
            Ask::Pay(amount) => {
                let expected = Expected::Exact(self.state.version);
                self.state.version = self.store.append("account", expected, amounts(&[amount]))?.version;
                self.state.state += amount;
            }
            Ask::Balance(reply) => reply.send(self.state.state),
        }
        Ok(Next::Continue)
    }
}

fn account(store: &EventStore) -> (Supervisor, Handle<Ask>) {
    let own = store.clone();
    let state = store.rebuild("none", 0, balance).expect("there is none");
    let account = child("account", move || Account { store: own.clone(), state: state.clone() });
    let handle = account.handle();
    (Supervisor::new("app").supervisor(store.supervisor()).child(account), handle)
}

#[test]
fn a_service_has_its_state_again_after_a_crash() {
    let sim = Simulation::new(1);
    let store = EventStore::in_memory();
    let (tree, account) = account(&store);
    let _app = sim.start(tree).expect("it starts");
    for round in 1..=3 {
        (0..10).for_each(|_| account.cast(Ask::Pay(1)).expect("it is sent"));
        assert_eq!(account.call(Ask::Balance).expect("it answers"), round * 10);
        sim.crash_next("account");
        account.call(Ask::Balance).expect_err("it crashes");
        sim.advance(10 * SECOND);
        assert_eq!(account.call(Ask::Balance).expect("it is back"), round * 10);
    }
}

// ---- from the journal --------------------------------------------------------------------

#[cfg(feature = "journal")]
mod durable {
    use super::*;

    fn open(dir: &Dir, memory: u64) -> EventStore {
        let journal = Journal::at(&dir.0).sync(Sync::OsDecides);
        EventStore::builder().max_events(memory).journal(journal).open().expect("it opens")
    }

    #[test]
    fn what_memory_has_no_more_is_told_from_the_journal() {
        let dir = Dir::new("beyond");
        let store = open(&dir, 100);
        let app = started(&store);
        let mut writer = store.writer();
        (0..5_000).for_each(|n| writer.store(event(n)).expect("it is stored"));
        let told = |store: &EventStore, after| store.replay(EventId::new(after), Vec::new(), list);
        assert_eq!(told(&store, 0).expect("the journal has all"), (1..=5_000).collect::<Vec<_>>());
        assert_eq!(told(&store, 4_000).expect("the journal has it"), (4_001..=5_000).collect::<Vec<_>>());
        assert_eq!(told(&store, 4_950).expect("memory has it"), (4_951..=5_000).collect::<Vec<_>>());
        drop((app, writer, store));
        let store = open(&dir, 10);
        let _app = started(&store);
        let new = store.store_sync(event("new")).expect("it is stored").get();
        let all: Vec<_> = (1..=5_000).chain([new]).collect();
        assert_eq!(told(&store, 0).expect("the journal has all"), all);
    }

    #[test]
    fn a_stream_is_rebuilt_from_the_journal_where_memory_has_not_all() {
        let dir = Dir::new("stream");
        let store = open(&dir, 5);
        let _app = started(&store);
        store.append("account", Expected::NoStream, amounts(&[1, 2, 3])).expect("there is none");
        store.append("other", Expected::NoStream, amounts(&[100; 20])).expect("there is none");
        store.append("account", Expected::Exact(3), amounts(&[4])).expect("it has three");
        let rebuilt = store.rebuild("account", 0, balance).expect("the journal has all");
        assert_eq!((rebuilt.state, rebuilt.version), (10, 4));
        store
            .append("account", Expected::Exact(4), [Event::snapshot("10").with_correlation("x")])
            .expect("it is");
        store.append("other", Expected::Exact(20), amounts(&[100; 20])).expect("it has twenty");
        store.append("account", Expected::Exact(5), amounts(&[5])).expect("it has five");
        let mut told = 0;
        let count = |state, entry: &Entry| {
            told += 1;
            balance(state, entry)
        };
        assert_eq!(store.rebuild("account", 0, count).expect("the journal has all").state, 15);
        assert_eq!(told, 2, "from the snapshot on");
    }

    #[test]
    fn a_service_has_its_state_again_after_a_restart_of_the_process() {
        let dir = Dir::new("account");
        for round in 1..=3 {
            let store = open(&dir, 12);
            let (tree, account) = account(&store);
            let app = tree.start().expect("it starts");
            assert_eq!(account.call(Ask::Balance).expect("it answers"), (round - 1) * 10);
            (0..10).for_each(|_| account.cast(Ask::Pay(1)).expect("it is sent"));
            assert_eq!(account.call(Ask::Balance).expect("it answers"), round * 10);
            drop(app);
        }
    }

    #[test]
    fn of_a_journal_that_has_not_all_nothing_is_told() {
        let dir = Dir::new("cut");
        let open = || {
            let journal = Journal::at(&dir.0).sync(Sync::OsDecides).segment_bytes(64 << 10);
            EventStore::builder().journal(journal.retain_bytes(Some(128 << 10))).open().expect("it opens")
        };
        let (store, sim) = (open(), Simulation::new(1));
        let app = sim.start(store.supervisor()).expect("it starts");
        let big = || event("d".repeat(1_000)).with_stream("s");
        (0..500).for_each(|_| _ = store.store_sync(big()).expect("it is stored"));
        sim.advance(20 * SECOND); // old segments are looked for now and then
        drop((app, sim, store));
        let store = open();
        let _app = started(&store);
        let first = all(&store)[0].id().get();
        assert!(first > 1, "the journal has deleted some");
        for after in [0, first - 2] {
            let error = store.replay(EventId::new(after), 0, |n, _| n + 1).expect_err("some are deleted");
            assert!(matches!(error, ReplayError::Incomplete { .. }), "{error}");
        }
        let rest = store.replay(EventId::new(first - 1), 0, |n, _| n + 1).expect("the rest is there");
        assert_eq!(rest, 500 - (first - 1));
        let error = store.rebuild("s", 0, |n, _| n + 1).expect_err("some are deleted");
        assert!(error.to_string().ends_with(&format!("has version {first}")), "{error}");
        assert_eq!(store.stream_version("s"), 500);
    }
}
