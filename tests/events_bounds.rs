//! Bounds: by number, by bytes, by age, by what waits; and who is told of what goes.
#![cfg(feature = "events")]

mod common;
mod events_common;

use std::time::{Duration, Instant, SystemTime};

use common::{LONG, MS, SECOND, aside, eventually};
use events_common::*;
use underpin::Overflow;
use underpin::events::*;
use underpin::testing::{Clock, Simulation};

// ---- by number and by bytes --------------------------------------------------------------

#[test]
fn of_more_events_than_it_may_keep_the_oldest_are_dropped_and_counted() {
    let store = EventStore::builder().max_events(10).in_memory();
    let _app = started(&store);
    for n in 1..=3_000 {
        store.store(event(n)).expect("it is stored");
        if n % 500 == 3 {
            let there: Vec<_> = (n.max(10) - 9..=n).collect();
            assert_eq!(ids(&all(&store)), if n < 10 { (1..=n).collect() } else { there });
        }
    }
    store.fresh().expect("it keeps up");
    assert_eq!(accounts(store.stats()), (3_000, 10, 0, 2_990));
}

#[test]
fn one_event_is_kept_at_least() {
    let store = EventStore::builder().max_events(0).max_bytes(0).in_memory();
    let _app = started(&store);
    store.store_batch(events(3)).expect("they are stored");
    store.store(event("d".repeat(1_000))).expect("it is stored");
    store.fresh().expect("it keeps up");
    assert_eq!(accounts(store.stats()), (4, 1, 0, 3));
}

#[test]
fn a_hundred_thousand_are_kept_if_nothing_is_said() {
    let (store, _app) = running();
    let (batches, rest) = (DEFAULT_MAX_EVENTS / 50_000, 5);
    (0..batches).for_each(|_| _ = store.store_batch(events(50_000)).expect("they are stored"));
    store.store_batch(events(rest)).expect("they are stored");
    assert_eq!(accounts(store.stats()), (100_005, 100_000, 0, 5));
}

/// What an event with so much data takes.
fn bytes_of(data: usize) -> u64 {
    let (store, _app) = running();
    store.store_sync(event("d".repeat(data))).expect("it is stored");
    store.stats().bytes
}

#[test]
fn bytes_are_accounted_with_data_and_names() {
    let (small, large) = (bytes_of(0), bytes_of(1_000));
    assert_eq!(large - small, 1_000);
    let (store, _app) = running();
    store.store_sync(Event::of(String::from("abcd"), "xyz")).expect("it is stored");
    assert_eq!(store.stats().bytes, small + 4 + 2, "of `a` and `x` only the latter is its own");
}

#[test]
fn of_more_bytes_than_it_may_keep_the_oldest_are_dropped_and_the_newest_stays() {
    let one = bytes_of(100);
    let store = EventStore::builder().max_bytes(4 * one).in_memory();
    let _app = started(&store);
    let store_one = |data: usize| store.store_sync(event("d".repeat(data))).expect("it is stored");
    (0..4).for_each(|_| _ = store_one(100));
    assert_eq!((accounts(store.stats()), store.stats().bytes), ((4, 4, 0, 0), 4 * one));
    store_one(101);
    assert_eq!((accounts(store.stats()), store.stats().bytes), ((5, 3, 0, 2), 3 * one + 1));
    store_one(100_000);
    assert_eq!(accounts(store.stats()), (6, 1, 0, 5));
    store_one(100);
    assert_eq!((accounts(store.stats()), store.stats().bytes), ((7, 1, 0, 6), one));
}

// ---- by age ------------------------------------------------------------------------------

#[test]
fn what_is_too_old_is_pruned_without_anybody_storing() {
    let sim = Simulation::new(1);
    let store = EventStore::builder().max_age(60 * SECOND).in_memory();
    let _app = sim.start(store.supervisor()).expect("it starts");
    store.store_sync(event(1)).expect("it is stored");
    sim.advance(20 * SECOND);
    store.store_batch(events(3)).expect("they are stored");
    sim.advance(40 * SECOND - MS);
    assert_eq!(accounts(store.stats()), (4, 4, 0, 0));
    sim.advance(MS);
    assert_eq!(accounts(store.stats()), (4, 3, 1, 0));
    sim.advance(20 * SECOND - MS);
    assert_eq!(accounts(store.stats()), (4, 3, 1, 0));
    sim.advance(MS);
    assert_eq!(accounts(store.stats()), (4, 0, 4, 0));
    store.store_sync(event(5)).expect("it is stored");
    sim.advance(60 * SECOND);
    assert_eq!(accounts(store.stats()), (5, 0, 5, 0));
}

#[test]
fn an_hour_is_the_age_if_nothing_is_said_and_without_one_events_stay() {
    let sim = Simulation::new(1);
    let (store, for_ever) =
        (EventStore::in_memory(), EventStore::builder().max_age(None).name("b").in_memory());
    let app =
        underpin::Supervisor::new("app").supervisor(store.supervisor()).supervisor(for_ever.supervisor());
    let _app = sim.start(app).expect("it starts");
    store.store_sync(event(1)).expect("it is stored");
    for_ever.store_sync(event(1)).expect("it is stored");
    sim.advance(DEFAULT_MAX_AGE - MS);
    assert_eq!(store.stats().current, 1);
    sim.advance(MS);
    assert_eq!((store.stats().pruned, for_ever.stats().current), (1, 1));
    sim.advance(1_000 * DEFAULT_MAX_AGE);
    assert_eq!(for_ever.stats().current, 1);
}

#[test]
fn an_age_counts_from_when_it_was_stored_not_from_when_it_happened() {
    let sim = Simulation::new(1);
    let store = EventStore::builder().max_age(SECOND).in_memory();
    let _app = sim.start(store.supervisor()).expect("it starts");
    store.store_sync(event(1).happened_at(SystemTime::UNIX_EPOCH)).expect("it is stored");
    sim.advance(SECOND - MS);
    assert_eq!(store.stats().current, 1);
    sim.advance(MS);
    assert_eq!(store.stats().current, 0);
}

#[test]
fn what_is_too_old_goes_by_a_clock_that_is_moved_by_hand() {
    let store = EventStore::builder().max_age(60 * SECOND).in_memory();
    let (clock, hand) = Clock::manual();
    let _app = started_by(clock, &store);
    store.store_sync(event(1)).expect("it is stored");
    hand.advance(60 * SECOND);
    eventually("it is pruned", || store.stats().pruned == 1);
    assert!(store.fresh().expect("it keeps up").is_empty());
}

#[test]
fn a_store_at_rest_wakes_nobody() {
    let sim = Simulation::new(1);
    let store = EventStore::builder().shards(3).max_age(None).in_memory();
    let _app = sim.start(store.supervisor()).expect("it starts");
    let mut writer = store.writer();
    (0..20).for_each(|n| writer.store(Event::of("a", format!("c{n}"))).expect("it is stored"));
    sim.advance(SECOND);
    assert_eq!(store.stats().stored, 20);
    assert_eq!(sim.skip(Duration::from_secs(1 << 30)), None, "no timer is set");
    writer.store(event(0)).expect("it is stored");
    sim.run_until_idle();
    assert_eq!(sim.skip(SECOND), Some(10 * MS), "the tick");
    sim.advance(SECOND);
    assert_eq!(sim.skip(Duration::from_secs(1 << 30)), None);
    assert_eq!(store.stats().stored, 21);
}

#[test]
fn a_store_with_an_age_wakes_up_once_for_what_it_has() {
    let sim = Simulation::new(1);
    let store = EventStore::builder().max_age(60 * SECOND).in_memory();
    let _app = sim.start(store.supervisor()).expect("it starts");
    store.store_batch(events(1_000)).expect("they are stored");
    sim.run_until_idle();
    assert_eq!(sim.skip(3_600 * SECOND), Some(60 * SECOND));
    sim.run_until_idle();
    assert_eq!((sim.skip(3_600 * SECOND), store.stats().pruned), (None, 1_000));
}

// ---- on demand ---------------------------------------------------------------------------

#[test]
fn pruning_says_exactly_how_many_went() {
    let store = EventStore::builder().shards(3).in_memory();
    let _app = started(&store);
    let at = |n: u64| SystemTime::UNIX_EPOCH + Duration::from_secs(n);
    let mut writer = store.writer();
    for n in 0..3_000 {
        writer.store(Event::of("a", format!("c{}", n % 10)).happened_at(at(n))).expect("it is stored");
    }
    assert_eq!(store.prune_before(at(1_000)).expect("it answers"), 1_000);
    assert_eq!(store.prune_before(at(1_000)).expect("it answers"), 0);
    assert_eq!(accounts(store.stats()), (3_000, 2_000, 1_000, 0));
    let left = all(&store);
    assert!(left.iter().all(|entry| entry.time() >= at(1_000)));
    let middle = left[500].id();
    let before = left.iter().filter(|entry| entry.id() < middle).count() as u64;
    assert_eq!(store.prune_before_id(middle).expect("it answers"), before);
    assert!(all(&store).iter().all(|entry| entry.id() >= middle));
    let rest = store.stats().current;
    assert_eq!(store.prune_before(at(1 << 30)).expect("it answers"), rest);
    assert_eq!(accounts(store.stats()), (3_000, 0, 3_000, 0));
}

#[test]
fn pruning_stops_at_what_happened_later_and_was_stored_before() {
    let (store, _app) = running();
    let at = |n: u64| SystemTime::UNIX_EPOCH + Duration::from_secs(n);
    for n in [1, 2, 9, 3, 4] {
        store.store(event(n).happened_at(at(n))).expect("it is stored");
    }
    assert_eq!(store.prune_before(at(5)).expect("it answers"), 2);
    assert_eq!(texts(&all(&store)), ["9", "3", "4"]);
    assert_eq!(store.prune_before(at(10)).expect("it answers"), 3);
}

#[test]
fn a_store_that_has_stopped_is_not_pruned() {
    let (store, app) = running();
    store.store(event(1)).expect("it is stored");
    drop(app);
    store.prune_before_id(id(2)).expect_err("it has stopped");
    assert_eq!(store.stats().current, 1);
}

// ---- what waits --------------------------------------------------------------------------

#[test]
fn drop_oldest_gives_up_the_oldest_and_counts_it() {
    let store = EventStore::builder().capacity(3).in_memory();
    let _app = started(&store);
    let held = hang(&store, "x");
    (0..10).for_each(|n| store.store(event(n)).expect("who stores never waits"));
    assert_eq!(store.stats().shed, 7);
    drop(held);
    assert_eq!(texts(&all(&store)), ["", "7", "8", "9"]);
    assert_eq!((store.stats().stored, store.stats().shed), (4, 7));
}

#[test]
fn drop_oldest_counts_each_event_of_a_batch() {
    let store = EventStore::builder().capacity(2).in_memory();
    let _app = started(&store);
    let held = hang(&store, "x");
    let mut writer = store.writer().batch(5).expect("nothing lies in it");
    (0..20).for_each(|n| writer.store(event(n)).expect("who stores never waits"));
    assert_eq!(store.stats().shed, 10);
    drop(held);
    assert_eq!(store.fresh().expect("it keeps up").len(), 11);
}

#[test]
fn a_call_that_is_given_up_is_told_and_counted() {
    let store = EventStore::builder().capacity(1).in_memory();
    let _app = started(&store);
    let held = hang(&store, "x");
    let other = store.clone();
    let waiting = aside(move || other.store_batch(events(4)));
    // It waits in the mailbox of one place, or will: what comes after it gives it up.
    while !waiting.is_done() {
        store.store(event("later")).expect("who stores never waits");
    }
    assert_eq!(waiting.done().expect_err("it was given up").why, Refusal::Full);
    drop(held);
    let there = store.fresh().expect("it keeps up").len();
    assert_eq!((there, store.stats().stored), (2, 2), "what hung, and the last");
}

#[test]
fn reject_hands_back() {
    let store = EventStore::builder().capacity(2).overflow(Overflow::Reject).in_memory();
    let _app = started(&store);
    let held = hang(&store, "x");
    (0..2).for_each(|n| store.store(event(n)).expect("there is room"));
    let refused = store.store(event("mine")).expect_err("it is full");
    assert_eq!((refused.why, refused.events[0].data().as_text()), (Refusal::Full, Some("mine")));
    assert_eq!(store.store_batch(events(3)).expect_err("it is full").events.len(), 3);
    let mut writer = store.writer().batch(3).expect("nothing lies in it");
    (0..2).for_each(|n| writer.store(event(n)).expect("it lies in it"));
    let refused = writer.store(event("last")).expect_err("it is full");
    assert_eq!((refused.why, refused.events.len()), (Refusal::Full, 3));
    assert_eq!(refused.events[2].data().as_text(), Some("last"));
    drop(held);
    assert_eq!((store.fresh().expect("it keeps up").len(), store.stats().shed), (3, 0));
}

#[test]
fn block_waits_for_space() {
    let store = EventStore::builder().capacity(1).overflow(Overflow::Block(LONG)).in_memory();
    let _app = started(&store);
    let held = hang(&store, "x");
    store.store(event(0)).expect("there is room");
    let other = store.clone();
    let waiting = aside(move || (1..50).for_each(|n| other.store(event(n)).expect("there will be room")));
    let refused = store.try_store(event("mine")).expect_err("it is full, and this never waits");
    assert_eq!((refused.why, refused.events.len()), (Refusal::Full, 1));
    assert!(!waiting.is_done());
    drop(held);
    waiting.done();
    assert_eq!((store.fresh().expect("it keeps up").len(), store.stats().shed), (51, 0));
}

#[test]
fn block_waits_no_more_than_it_says() {
    let patience = 50 * MS;
    let store = EventStore::builder().capacity(1).overflow(Overflow::Block(patience)).in_memory();
    let _app = started(&store);
    let _held = hang(&store, "x");
    store.store(event(0)).expect("there is room");
    let began = Instant::now();
    let refused = store.store(event("mine")).expect_err("it is full");
    assert_eq!((refused.why, refused.events.len()), (Refusal::Full, 1));
    assert!((patience..LONG).contains(&began.elapsed()), "{:?}", began.elapsed());
}

#[test]
fn what_waits_has_so_many_bytes_at_most_but_for_a_single_one_that_has_more() {
    for overflow in [Overflow::DropOldest, Overflow::Reject] {
        let store = EventStore::builder().overflow(overflow).max_queued_bytes(10_000).in_memory();
        let _app = started(&store);
        let held = hang(&store, "x");
        let data = |bytes: usize| event("d".repeat(bytes));
        store.store(data(20_000)).expect("it is the only one");
        let refused = store.store(data(10)).expect_err("it is too much");
        assert_eq!((refused.why, refused.events.len()), (Refusal::Full, 1));
        drop(held);
        store.fresh().expect("it keeps up");
        let held = hang(&store, "x");
        (0..2).for_each(|_| store.store(data(4_000)).expect("there is room"));
        assert_eq!(store.store(data(4_000)).expect_err("it is too much").why, Refusal::Full);
        assert_eq!(store.store_sync(data(4_000)).expect_err("it is too much").events.len(), 1);
        drop(held);
        store.fresh().expect("it keeps up");
        store.store_sync(data(4_000)).expect("there is room again");
    }
}

#[test]
fn block_waits_for_the_space_that_bytes_take_too_and_no_more_than_it_says() {
    let block = |patience| EventStore::builder().overflow(Overflow::Block(patience)).max_queued_bytes(5_000);
    let data = || event("d".repeat(4_000));
    let store = block(LONG).in_memory();
    let _app = started(&store);
    let held = hang(&store, "x");
    store.store(data()).expect("there is room");
    let other = store.clone();
    let waiting = aside(move || (0..10).for_each(|_| other.store(data()).expect("there will be room")));
    store.try_store(data()).expect_err("this never waits");
    drop(held);
    waiting.done();
    assert_eq!(store.fresh().expect("it keeps up").len(), 12);
    let store = block(50 * MS).in_memory();
    let _app = started(&store);
    let _held = hang(&store, "x");
    store.store(data()).expect("there is room");
    let began = Instant::now();
    assert_eq!(store.store(data()).expect_err("it is too much").events.len(), 1);
    assert!((50 * MS..LONG).contains(&began.elapsed()), "{:?}", began.elapsed());
}
