//! Queries: every filter is honoured or refused, on the caller's thread, and holds up nobody.
#![cfg(feature = "events")]

mod common;
mod events_common;

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering as Atomic};
use std::sync::mpsc::channel;
use std::thread;
use std::time::{Duration, SystemTime};

use common::{LONG, SECOND, aside, eventually};
use events_common::*;
use underpin::events::*;
use underpin::testing::{Clock, Simulation};
use underpin::{Overflow, Supervisor};

fn at(seconds: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
}

/// Two of everything that can be asked for.
fn mixed() -> (EventStore, underpin::SupervisorHandle) {
    let (store, app) = running();
    let source = |service, thread, node| Source::new(service, thread, node);
    let one = Event::of("order.placed", "x").happened_at(at(1)).with_stream("s");
    store.store(one.with_source(source(Some("web"), "w1", "n1"))).expect("it is stored");
    let two = Event::of("order.paid", "y").happened_at(at(2)).with_parent(id(1));
    store.store(two.with_source(source(None, "w2", "n2"))).expect("it is stored");
    let three = Event::of("login", "x").happened_at(at(3)).with_parent(id(1)).with_stream("t");
    store.store(three.with_source(source(Some("web"), "w2", "n1"))).expect("it is stored");
    (store, app)
}

#[test]
fn each_filter_is_honoured() {
    let (store, _app) = mixed();
    let found = |query: Query| ids(&store.query(&query).expect("it makes sense"));
    let all = Query::new;
    assert_eq!(found(all()), [1, 2, 3]);
    assert_eq!(found(all().kind("login")), [3]);
    assert_eq!(found(all().kind("order")), [] as [u64; 0]);
    assert_eq!(found(all().kind_prefix("order.")), [1, 2]);
    assert_eq!(found(all().stream("t")), [3]);
    assert_eq!(found(all().correlation("x")), [1, 3]);
    assert_eq!(found(all().parent(id(1))), [2, 3]);
    assert_eq!(found(all().service("web")), [1, 3]);
    assert_eq!(found(all().thread("w2")), [2, 3]);
    assert_eq!(found(all().node("n2")), [2]);
    assert_eq!(found(all().between(at(2)..at(3))), [2]);
    assert_eq!(found(all().between(at(2)..)), [2, 3]);
    assert_eq!(found(all().ids(id(2)..=id(3))), [2, 3]);
    assert_eq!(found(all().matching(|entry| entry.kind().len() == 5)), [3]);
    assert_eq!(found(all().correlation("x").service("web").kind_prefix("order.")), [1]);
    assert_eq!(found(all().correlation("x").kind("order.paid")), [] as [u64; 0]);
    assert_eq!(found(all().order(Order::NewestFirst)), [3, 2, 1]);
    assert_eq!(found(all().offset(1)), [2, 3]);
    assert_eq!(found(all().offset(1).limit(1)), [2]);
    assert_eq!(found(all().offset(9)), [] as [u64; 0]);
}

#[test]
fn a_query_that_makes_no_sense_is_refused_and_says_why() {
    let (store, _app) = mixed();
    let refused = |query: Query| {
        let error = store.query(&query).expect_err("it makes no sense");
        assert_eq!(store.published().query(&query).expect_err("there neither"), error);
        error.to_string()
    };
    let all = Query::new;
    assert_eq!(refused(all().limit(0)), "a limit of 0 leaves nothing to find, from 1 to 100000 are allowed");
    let says = "a limit of 100001 is too large, at most 100000 are allowed";
    assert_eq!(refused(all().limit(MAX_LIMIT + 1)), says);
    let empty = refused(all().between(at(2)..at(2)));
    assert!(empty.ends_with("is empty: its end is not after its start"), "{empty}");
    assert!(refused(all().ids(id(3)..id(2))).ends_with("is empty: its end is not after its start"));
    assert_eq!(refused(all().kind("a").kind("b")), "the kind was given twice, once is allowed");
    assert_eq!(refused(all().kind("")), "no event has such a name: kind is empty");
    let long = "n".repeat(256);
    let says = "no event has such a name: stream has 256 bytes, at most 255 are allowed";
    assert_eq!(refused(all().stream(&long)), says);
    let cursor: Cursor = "up.1.1".parse().expect("it is one");
    let says = "the cursor is of a query with another order than NewestFirst";
    assert_eq!(refused(all().order(Order::NewestFirst).after(cursor)), says);
}

#[test]
fn each_name_that_is_asked_for_twice_is_refused() {
    let (store, _app) = mixed();
    let twice: [fn(Query) -> Query; 9] = [
        |query| query.kind("a"),
        |query| query.kind_prefix("a"),
        |query| query.stream("a"),
        |query| query.correlation("a"),
        |query| query.parent(id(1)),
        |query| query.service("a"),
        |query| query.thread("a"),
        |query| query.node("a"),
        |query| query.between(at(1)..),
    ];
    for filter in twice {
        let error = store.query(&filter(filter(Query::new()))).expect_err("it was given twice");
        assert!(matches!(error, QueryError::Twice { .. }), "{error}");
    }
}

#[test]
fn a_page_has_a_thousand_unless_it_is_said() {
    let (store, _app) = running();
    store.store_batch(events(1_500)).expect("they are stored");
    let page = store.query(&Query::new()).expect("it makes sense");
    assert_eq!((page.entries.len(), page.next.is_some()), (DEFAULT_LIMIT, true));
    let rest = store.query(&Query::new().after(page.next.expect("there is more"))).expect("it makes sense");
    assert_eq!((rest.entries.len(), rest.next), (500, None));
    assert_eq!(store.query(&Query::new().limit(MAX_LIMIT)).expect("it makes sense").entries.len(), 1_500);
}

#[test]
fn the_recent_come_newest_first() {
    let (store, _app) = running();
    store.store_batch(events(2_500)).expect("they are stored");
    assert_eq!(texts(&store.recent(3).expect("it keeps up")), ["2499", "2498", "2497"]);
    assert!(store.recent(0).expect("it keeps up").is_empty());
    let all = ids(&store.recent(usize::MAX).expect("it keeps up"));
    assert!(all.into_iter().eq((1..=2_500).rev()));
}

#[test]
fn one_is_found_by_its_number_as_long_as_it_is_there() {
    let store = EventStore::builder().max_events(10).in_memory();
    let _app = started(&store);
    store.store_batch(events(25)).expect("they are stored");
    for number in 1..=30 {
        let found = store.get(id(number)).expect("it keeps up").map(|entry| entry.id().get());
        assert_eq!(found, (16..=25).contains(&number).then_some(number));
    }
}

#[test]
fn a_chain_has_the_causes_and_the_effects_and_a_cycle_ends_it() {
    let (store, _app) = running();
    let caused = |parent| store.store_sync(Event::new("a").with_parent(id(parent))).expect("it is stored");
    // 1 names an event that does not exist yet, which names its child: a cycle.
    caused(3);
    caused(1); // 2
    caused(2); // 3
    caused(2); // 4
    caused(4); // 5
    store.store(Event::new("alone")).expect("it is stored");
    let chain = store.chain(id(2)).expect("it keeps up").expect("it is there");
    assert_eq!(ids(&chain.causes), [3, 1], "2 is not its own cause");
    assert_eq!((chain.event.id(), ids(&chain.effects), chain.truncated), (id(2), vec![4, 5], false));
    let alone = store.chain(id(6)).expect("it keeps up").expect("it is there");
    assert!(alone.causes.is_empty() && alone.effects.is_empty());
    assert!(store.chain(id(7)).expect("it keeps up").is_none());
}

// ---- pages while others store ------------------------------------------------------------

#[test]
fn a_walk_by_cursor_misses_nothing_that_stays_though_others_store_and_drop() {
    let store = EventStore::builder().shards(3).max_events(6_000).in_memory();
    let _app = started(&store);
    let store_some = |from: usize, to: usize| {
        let mut writer = store.writer();
        for n in from..to {
            writer.store(Event::of("a", format!("c{}", n % 9)).with_data(n.to_string())).expect("it is");
        }
    };
    store_some(0, 2_000);
    let before = ids(&all(&store));
    let is_over = Arc::new(AtomicBool::new(false));
    let (storing, over) = (store.clone(), Arc::clone(&is_over));
    let others = aside(move || {
        let mut writer = storing.writer();
        while !over.load(Atomic::SeqCst) {
            writer.store(Event::of("b", "c1")).expect("it is stored");
        }
    });
    let (mut found, mut next) = (Vec::new(), None::<Cursor>);
    loop {
        let query = Query::new().kind("a").limit(70);
        let query = next.map_or(query.clone(), |cursor| query.after(cursor));
        let page = store.query(&query).expect("it keeps up");
        found.extend(ids(&page));
        next = page.next.map(|cursor| cursor.to_string().parse().expect("it is one"));
        if next.is_none() {
            break;
        }
    }
    is_over.store(true, Atomic::SeqCst);
    others.done();
    assert_eq!(found.len(), found.iter().collect::<HashSet<_>>().len(), "none twice");
    let there = store.published();
    let stayed = before.iter().filter(|number| there.get(id(**number)).is_some());
    let found: HashSet<_> = found.into_iter().collect();
    assert!(stayed.clone().all(|number| found.contains(number)), "{}", stayed.count());
}

// ---- on the caller's thread --------------------------------------------------------------

#[test]
fn a_predicate_runs_on_the_thread_that_asks() {
    let (store, _app) = running();
    store.store_batch(events(100)).expect("they are stored");
    let (tell, told) = channel();
    let asked = store.clone();
    let asking = move || {
        let query = Query::new().matching(move |_| {
            let thread = thread::current();
            drop(tell.send(thread.name().map(str::to_owned)));
            true
        });
        asked.query(&query).expect("it makes sense");
    };
    thread::Builder::new().name("asker".into()).spawn(asking).expect("it runs").join().expect("it ends");
    let threads: Vec<_> = told.iter().collect();
    assert_eq!(threads, vec![Some("asker".to_owned()); 100]);
}

#[test]
fn a_slow_predicate_holds_up_nobody() {
    let (store, _app) = running();
    store.store_batch(events(10)).expect("they are stored");
    let ((tell, told), (hold, held)) = (channel(), channel::<()>());
    let held = std::sync::Mutex::new(held);
    let asked = store.clone();
    let slow = aside(move || {
        let query = Query::new().matching(move |_| {
            let _ = tell.send(());
            let _ = held.lock().expect("nobody panics").recv();
            true
        });
        asked.query(&query).expect("it makes sense").entries.len()
    });
    told.recv_timeout(LONG).expect("it looks");
    let mut writer = store.writer();
    for n in 0..2_000 {
        writer.store(event(n)).expect("it is stored");
        store.store_sync(event(n)).expect("it is stored");
    }
    assert_eq!(store.fresh().expect("it keeps up").len(), 4_010);
    assert_eq!(store.prune_before_id(id(5)).expect("it answers"), 4);
    assert!(!slow.is_done());
    drop(hold);
    assert_eq!(slow.done(), 10, "it looks at what was there");
}

#[test]
fn a_predicate_may_ask_itself() {
    let (store, _app) = running();
    store.store_batch(events(10)).expect("they are stored");
    let own = store.clone();
    let query = Query::new().matching(move |entry| own.get(entry.id()).expect("it keeps up").is_some());
    assert_eq!(store.query(&query).expect("it makes sense").entries.len(), 10);
}

#[test]
fn a_snapshot_stays_as_it_is() {
    let store = EventStore::builder().max_events(10).in_memory();
    let _app = started(&store);
    store.store_batch(events(10)).expect("they are stored");
    let before = store.fresh().expect("it keeps up");
    store.store_batch(events(3_000)).expect("they are stored");
    store.prune_before_id(id(10_000)).expect("it answers");
    assert!(store.published().is_empty() && store.published().recent(1).is_empty());
    assert_eq!((before.len(), ids(&before.recent(20)).len()), (10, 10));
    assert_eq!(ids(&before.query(&Query::new()).expect("it makes sense")), (1..=10).collect::<Vec<_>>());
}

// ---- a store that does not answer --------------------------------------------------------

#[test]
fn what_is_published_can_be_seen_though_the_service_hangs() {
    let (store, _app) = running();
    store.store_batch(events(10)).expect("they are stored");
    let _held = hang(&store, "x");
    store.store(event("on its way")).expect("it waits");
    assert_eq!(store.published().len(), 11);
    assert_eq!(store.published().recent(1)[0].kind(), "hang");
}

#[test]
fn who_asks_a_store_that_hangs_is_told_so_after_five_seconds() {
    let store = EventStore::in_memory();
    let (clock, hand) = Clock::manual();
    let _app = started_by(clock, &store);
    let _held = hang(&store, "x");
    store.store(event("on its way")).expect("it waits");
    let asked = store.clone();
    let asking = aside(move || asked.query(&Query::new()).expect_err("it hangs"));
    eventually("the question waits", || {
        hand.advance(SECOND / 10);
        asking.is_done()
    });
    let error = asking.done();
    assert!(matches!(error, QueryError::Behind(_)), "{error}");
    let says = "what was stored before cannot be seen yet: `shard-0` did not answer in time";
    assert_eq!(error.to_string(), says);
}

#[test]
fn who_asks_of_a_full_mailbox_waits_and_has_nothing_given_up() {
    for overflow in [Overflow::DropOldest, Overflow::DropNewest, Overflow::Reject, Overflow::Block(SECOND)] {
        let sim = Simulation::new(1);
        let store = EventStore::builder().capacity(2).overflow(overflow).in_memory();
        let _app = sim.start(store.supervisor()).expect("it starts");
        for round in 1..=20 {
            // Nobody takes anything out before this thread waits.
            (0..2).for_each(|n| store.store(event(n)).expect("there is room"));
            assert_eq!(store.fresh().expect("it keeps up").len(), 2 * round, "{overflow:?}");
        }
        assert_eq!(store.stats().shed, 0);
    }
}

#[test]
fn where_nothing_is_on_its_way_a_store_that_never_started_is_seen_at_once() {
    let store = EventStore::in_memory();
    assert!(store.fresh().expect("nothing is on its way").is_empty());
    assert!(store.recent(5).expect("nothing is on its way").is_empty());
    let app = Supervisor::new("app").supervisor(store.supervisor()).start().expect("it starts");
    store.store_sync(event(0)).expect("it is stored");
    drop(app);
    assert_eq!(store.fresh().expect("nothing is on its way").len(), 1);
}

#[test]
fn who_asks_a_full_store_does_not_hold_up_a_writer() {
    let store = EventStore::builder().capacity(1).in_memory();
    let _app = started(&store);
    let mut writer = store.writer().batch(MAX_BATCH).expect("nothing lies in it");
    let held = hang(&store, "x");
    store.store(event("fills it")).expect("it is sent");
    writer.store(event("lies in it")).expect("it is allowed");
    let asks = {
        let store = store.clone();
        aside(move || store.fresh().map(|found| found.len()))
    };
    // In so many the question comes to wait for room, which is for 5 s.
    let slowest = (0..40_000).map(|n| {
        let began = std::time::Instant::now();
        writer.store(event(n)).expect("it is allowed");
        began.elapsed()
    });
    assert!(slowest.max().expect("there are some") < 2 * SECOND);
    drop(held);
    assert!(asks.done().is_ok());
}
