//! Storing: what goes in comes out, with a time and a source, and whoever stored it sees it.
#![cfg(feature = "events")]

mod common;
mod events_common;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, SystemTime};

use common::{LONG, aside, eventually, panic_quietly};
use events_common::*;
use serde_json::json;
use underpin::events::*;
use underpin::{Context, Handle, Next, Reply, Service, Supervisor, child};

// ---- what an event is --------------------------------------------------------------------

#[test]
fn an_event_comes_out_as_it_went_in() {
    let store = EventStore::builder().node("n1").in_memory();
    let _app = started(&store);
    let cause = store.store_sync(Event::of("a", "x")).expect("it is stored");
    let time = SystemTime::UNIX_EPOCH + Duration::from_secs(7);
    let event = Event::of("order.paid", "order 17").with_parent(cause).with_stream("orders");
    let number = store.store_sync(event.with_data("3 EUR").happened_at(time)).expect("it is stored");
    let entry = store.get(number).expect("it keeps up").expect("it is there");
    assert_eq!((entry.kind(), entry.stream(), entry.version()), ("order.paid", Some("orders"), 1));
    assert_eq!((entry.correlation(), entry.parent()), (&Correlation::from("order 17"), Some(cause)));
    assert_eq!((entry.data().as_text(), entry.time()), (Some("3 EUR"), time));
    let source = entry.source();
    assert_eq!((source.service.clone(), &*source.node, entry.is_recovered()), (None, "n1", false));
    assert_eq!(Some(&*source.thread), thread::current().name());
}

#[test]
fn data_are_nothing_a_text_bytes_or_json() {
    let (store, _app) = running();
    let data: [Data; 4] = [Data::None, "text".into(), vec![0, 255].into(), json!({"a": [1, null]}).into()];
    for data in data {
        let id = store.store_sync(Event::of("a", "x").with_data(data.clone())).expect("it is stored");
        assert_eq!(store.get(id).expect("it keeps up").expect("it is there").data(), &data);
    }
}

#[test]
fn an_event_that_says_nothing_of_it_belongs_to_nothing_else() {
    let (store, _app) = running();
    for _ in 0..1_000 {
        store.store(Event::new("a")).expect("it is stored");
    }
    let mut bits: Vec<_> = all(&store).iter().map(|entry| entry.correlation().as_u128()).collect();
    assert!(
        bits.iter().flatten().all(|bits| (bits >> 76 & 0xF, bits >> 62 & 3) == (4, 2)),
        "UUIDs, version 4"
    );
    bits.sort();
    bits.dedup();
    assert_eq!(bits.len(), 1_000);
}

#[test]
fn the_time_by_the_steady_clock_never_goes_back() {
    let (store, _app) = running();
    (0..1_000).for_each(|n| store.store(event(n)).expect("it is stored"));
    let times: Vec<_> = all(&store).iter().map(|entry| entry.monotonic()).collect();
    assert!(times.is_sorted());
}

#[test]
fn a_span_has_a_start_an_end_and_a_length_and_a_change_two_states() {
    let (store, _app) = running();
    let start = store.store_sync(Event::span_start("load")).expect("it is stored");
    let start = store.get(start).expect("it keeps up").expect("it is there");
    let end = store.store_sync(Event::span_end(&start)).expect("it is stored");
    let end = store.get(end).expect("it keeps up").expect("it is there");
    assert_eq!((start.kind(), end.kind(), end.parent()), (SPAN_START, SPAN_END, Some(start.id())));
    assert_eq!(start.correlation(), end.correlation());
    let data = end.data().as_json().expect("JSON");
    let taken = (end.monotonic() - start.monotonic()).as_nanos() as u64;
    assert_eq!(data, &json!({"name": "load", "nanoseconds": taken}));
    let change = Event::state_change("door", "open", "shut");
    assert_eq!(change.data().as_json(), Some(&json!({"subject": "door", "from": "open", "to": "shut"})));
}

/// Stores what it is told.
struct Clerk(EventStore);

enum Tell {
    Store(Reply<()>),
}

impl Service for Clerk {
    type Msg = Tell;
    type Error = std::convert::Infallible;

    fn handle(&mut self, Tell::Store(reply): Tell, _: &mut Context<Self>) -> Result<Next, Self::Error> {
        let id = self.0.store_sync(event("of a service")).expect("it is stored");
        let mut writer = self.0.writer();
        writer.store(event("of its writer")).expect("it is stored");
        drop(writer);
        assert_eq!(id.get(), 1);
        reply.send(());
        Ok(Next::Continue)
    }
}

#[test]
fn an_event_says_which_service_on_which_thread_of_which_node_stored_it() {
    let store = EventStore::builder().node("n1").in_memory();
    let own = store.clone();
    let clerk = child("clerk", move || Clerk(own.clone()));
    let handle: Handle<Tell> = clerk.handle();
    let app = Supervisor::new("app").supervisor(store.supervisor()).child(clerk);
    let _app = app.start().expect("it starts");
    handle.call(Tell::Store).expect("it answers");
    let other = thread::Builder::new().name("other".into());
    let of_other = store.clone();
    other
        .spawn(move || of_other.store(event("of a thread")))
        .expect("it runs")
        .join()
        .expect("it ends")
        .expect("it is");
    let own = Event::of("a", "x").with_source(Source::new(Some("s"), "t", "n"));
    store.store(own).expect("it is stored");
    let sources: Vec<_> = all(&store).iter().map(|entry| entry.source().clone()).collect();
    assert_eq!((sources[0].service.as_deref(), &*sources[0].node), (Some("clerk"), "n1"));
    assert_eq!(sources[1], sources[0]);
    assert_eq!(sources[2], Source::new(None, "other", "n1"));
    assert_eq!(sources[3], Source::new(Some("s"), "t", "n"));
}

// ---- a caller sees what it stored before -------------------------------------------------

#[test]
fn what_was_stored_can_be_seen_at_once() {
    let (store, _app) = running();
    for n in 1..=3_000 {
        store.store(event(n)).expect("it is stored");
        if n % 100 == 0 {
            assert_eq!(store.fresh().expect("it keeps up").len(), n);
        }
    }
    assert_eq!(accounts(store.stats()), (3_000, 3_000, 0, 0));
}

/// Stores in one of three ways, and looks in one of three for what it stored.
fn store_and_look(store: &EventStore, mine: &str, writer: &mut Writer, n: usize) {
    let event = || Event::of("a", mine).with_data(n.to_string());
    match n % 3 {
        0 => store.store(event()).expect("it is stored"),
        1 => writer.store(event()).expect("it is stored"),
        _ => drop(store.store_batch([event()]).expect("it is stored")),
    }
    let found = match n % 4 {
        0 => store
            .fresh()
            .expect("it keeps up")
            .query(&Query::new().correlation(mine))
            .expect("it makes sense"),
        _ => store
            .query(&Query::new().correlation(mine).order(Order::NewestFirst).limit(1))
            .expect("it keeps up"),
    };
    let found = if n.is_multiple_of(4) { found.entries.last() } else { found.entries.first() };
    assert_eq!(found.expect("it is there").data().as_text(), Some(&*n.to_string()));
}

#[test]
fn who_stored_it_sees_it_on_each_of_four_threads() {
    for shards in [1, 3] {
        let store = EventStore::builder().shards(shards).max_events(2_000).in_memory();
        let _app = started(&store);
        let thread = |n| {
            let store = store.clone();
            aside(move || {
                let (mine, mut writer) = (format!("thread {n}"), store.writer());
                (0..400).for_each(|n| store_and_look(&store, &mine, &mut writer, n));
            })
        };
        let threads: Vec<_> = (0..4).map(thread).collect();
        threads.into_iter().for_each(|thread| thread.done());
        assert_eq!(store.stats().stored, 1_600);
    }
}

#[test]
fn the_accounts_hold_whenever_somebody_looks() {
    let store = EventStore::builder().max_events(700).shards(2).in_memory();
    let _app = started(&store);
    let is_over = Arc::new(AtomicBool::new(false));
    let (watched, over) = (store.clone(), Arc::clone(&is_over));
    let watcher = aside(move || {
        let (mut looks, mut last) = (0_u64, StoreStats::default());
        while !over.load(Ordering::SeqCst) {
            let now = watched.stats();
            assert_eq!(now.stored, now.current + now.pruned + now.dropped);
            assert!(now.current <= 700 && now.stored >= last.stored);
            assert!(now.pruned >= last.pruned && now.dropped >= last.dropped);
            (looks, last) = (looks + 1, now);
        }
        looks
    });
    let writing = |name: &'static str| {
        let store = store.clone();
        aside(move || {
            let mut writer = store.writer();
            for n in 0..20_000 {
                writer.store(Event::of("a", format!("{name} {}", n % 7))).expect("it is stored");
            }
        })
    };
    let writers = [writing("one"), writing("two")];
    let mut pruned = 0;
    for _ in 0..100 {
        let newest = store.published().recent(300).last().map(|entry| entry.id());
        pruned += newest.map_or(0, |id| store.prune_before_id(id).expect("it answers"));
    }
    writers.into_iter().for_each(|writer| writer.done());
    store.fresh().expect("it keeps up");
    is_over.store(true, Ordering::SeqCst);
    assert!(watcher.done() > 0);
    let stats = store.stats();
    assert_eq!((stats.stored + stats.shed, stats.pruned), (40_000, pruned));
}

// ---- a writer ----------------------------------------------------------------------------

#[test]
fn a_writers_events_can_be_seen_at_once_and_come_with_the_tick() {
    let (store, _app) = running();
    let mut writer = store.writer();
    (0..100).for_each(|n| writer.store(event(n)).expect("it is stored"));
    assert_eq!(store.fresh().expect("it keeps up").len(), 100);
    let mut following = store.subscribe(StartFrom::Now);
    writer.store(Event::of("b", "x")).expect("it is stored");
    assert_eq!(following.recv_timeout(LONG).expect("the tick").kind(), "b");
    writer.store(Event::of("c", "x")).expect("it is stored");
    assert_eq!(following.recv_timeout(LONG).expect("another tick").kind(), "c");
}

#[test]
fn a_writer_sends_at_its_size_on_flush_and_when_it_is_dropped() {
    let store = EventStore::in_memory();
    // A clock that stands still: no tick comes.
    let (clock, _hand) = underpin::testing::Clock::manual();
    let _app = started_by(clock, &store);
    let mut writer = store.writer().batch(3).expect("nothing lies in it");
    let mut following = store.subscribe(StartFrom::Now);
    (0..7).for_each(|n| writer.store(event(n)).expect("it is stored"));
    eventually("two batches are stored", || store.stats().stored == 6);
    writer.flush().expect("it is sent");
    eventually("the rest is stored", || store.stats().stored == 7);
    writer.store(event(7)).expect("it is stored");
    drop(writer);
    eventually("what lay in it is stored", || store.stats().stored == 8);
    let received: Vec<_> = (0..8).map(|_| following.try_recv().expect("it is there")).collect();
    assert_eq!(texts(&received), ["0", "1", "2", "3", "4", "5", "6", "7"]);
}

#[test]
fn a_writer_sends_at_its_bytes() {
    let store = EventStore::in_memory();
    let (clock, _hand) = underpin::testing::Clock::manual();
    let _app = started_by(clock, &store);
    let mut writer = store.writer();
    (0..3).for_each(|_| writer.store(event("d".repeat(100 << 10))).expect("it is stored"));
    eventually("256 KiB have come together", || store.stats().stored == 3);
}

#[test]
fn a_writer_that_is_dropped_by_a_panic_of_its_thread_sends() {
    let (store, _app) = running();
    let own = store.clone();
    let thread = thread::spawn(move || {
        let mut writer = own.writer();
        (0..10).for_each(|n| writer.store(event(n)).expect("it is stored"));
        panic_quietly("as told");
    });
    thread.join().expect_err("it panics");
    assert_eq!(all(&store).len(), 10);
}

#[test]
fn a_thousand_writers_come_and_go_and_lose_nothing() {
    let (store, _app) = running();
    for n in 0..1_000 {
        let mut writer = store.writer();
        writer.store(event(n)).expect("it is stored");
        if n % 2 == 0 {
            writer.flush().expect("it is sent");
        }
    }
    let expected: Vec<_> = (0..1_000).map(|n| n.to_string()).collect();
    assert_eq!(texts(&all(&store)), expected);
}

#[test]
fn a_writers_events_come_in_their_order_though_others_look_and_the_clock_ticks() {
    let (store, _app) = running();
    let is_over = Arc::new(AtomicBool::new(false));
    let (looked, over) = (store.clone(), Arc::clone(&is_over));
    let looker = aside(move || {
        while !over.load(Ordering::SeqCst) {
            looked.fresh().expect("it keeps up");
        }
    });
    let mut writer = store.writer();
    (0..5_000).for_each(|n| writer.store(event(n)).expect("it is stored"));
    let expected: Vec<_> = (0..5_000).map(|n| n.to_string()).collect();
    assert_eq!(texts(&all(&store)), expected);
    is_over.store(true, Ordering::SeqCst);
    looker.done();
}

// ---- begin and end -----------------------------------------------------------------------

#[test]
fn what_is_stored_before_the_start_and_at_the_stop_is_stored() {
    let store = EventStore::in_memory();
    store.store(event("early")).expect("it waits");
    let app = started(&store);
    let mut writer = store.writer();
    (0..1_000).for_each(|n| writer.store(event(n)).expect("it is stored"));
    writer.flush().expect("it is sent");
    drop(app);
    assert_eq!(store.published().len(), 1_001);
    let refused = store.store(event("late")).expect_err("it has stopped");
    assert!(matches!(refused.why, Refusal::Stopped));
    assert_eq!(refused.events[0].data().as_text(), Some("late"));
    let refused = store.store_sync(event("late")).expect_err("it has stopped");
    assert_eq!((refused.why, refused.events.len()), (Refusal::Stopped, 1));
}

#[test]
fn what_lies_in_a_writer_when_the_store_has_stopped_comes_back_or_is_counted() {
    let (store, app) = running();
    let mut writer = store.writer();
    drop(app);
    writer.store(event("late")).expect("it lies in it");
    assert!(store.fresh().is_err(), "it cannot be seen");
    let refused = writer.flush().expect_err("it has stopped");
    assert_eq!((refused.why, refused.events.len()), (Refusal::Stopped, 1));
    writer.store(event("later")).expect("it lies in it");
    drop(writer);
    assert_eq!((store.stats().refused, store.stats().stored), (1, 0));
}

#[test]
fn a_store_has_its_services_once() {
    let (store, _app) = running();
    let error = Supervisor::new("again").supervisor(store.supervisor()).start().expect_err("they are taken");
    assert!(error.to_string().contains("the store `events` has its services already"), "{error}");
}

#[test]
fn who_waits_is_told_the_number() {
    let (store, _app) = running();
    assert_eq!(store.store_sync(event(0)).expect("it is stored").get(), 1);
    let stored = store.store_batch(events(5)).expect("they are stored");
    assert_eq!((stored.first.get(), stored.events, stored.version), (2, 5, 0));
    let appended = store.append("s", Expected::NoStream, [event(0)]).expect("it is");
    assert_eq!((appended.first.get(), appended.version), (7, 1));
}

#[test]
fn who_waits_does_so_by_the_clock_of_the_tree() {
    let store = EventStore::in_memory();
    let (clock, hand) = underpin::testing::Clock::manual();
    let _app = started_by(clock, &store);
    for _ in 0..3 {
        hand.advance(Duration::from_secs(3_600));
        store.store_sync(event(0)).expect("it is stored");
        store.store(event(1)).expect("it is stored");
        assert!(!store.fresh().expect("it keeps up").is_empty());
        store.prune_before_id(id(1)).expect("it answers");
    }
}
