//! Crashes of the event service: they cost what was in hand, and that is counted and told.
#![cfg(feature = "events")]

mod common;
mod events_common;

use common::{LONG, MS, SECOND, aside};
use events_common::*;
use underpin::events::*;
use underpin::testing::{Simulation, check};
use underpin::{Supervisor, SupervisorHandle};

/// A store in virtual time, that is started again as often as it crashes.
fn simulated(sim: &Simulation, store: &EventStore) -> SupervisorHandle {
    let tree = Supervisor::new("app").supervisor(store.supervisor().intensity(1_000_000, SECOND));
    sim.start(tree).expect("it starts")
}

#[test]
fn a_crash_costs_the_message_in_hand_and_nothing_else() {
    let sim = Simulation::new(1);
    let store = EventStore::in_memory();
    let _app = simulated(&sim, &store);
    store.append("s", Expected::NoStream, events(3)).expect("there is none");
    let desk = Desk::new();
    sim.crash_next("shard-0");
    (0..5).for_each(|n| store.store_with(event(n), desk.receipt(n)).expect("it is sent"));
    sim.advance(10 * SECOND);
    let told = desk.told();
    assert!(matches!(told[0], (0, Err(Refusal::Unknown { .. }))), "{told:?}");
    let rest: Vec<_> = told[1..].iter().map(|(name, told)| (*name, told.clone())).collect();
    assert_eq!(rest, (1..5).map(|n| (n, Ok(id(n + 3)))).collect::<Vec<_>>(), "no number was used");
    let stats = store.stats();
    assert_eq!((stats.stored, stats.lost, stats.current), (7, 1, 7));
    assert_eq!(store.append("s", Expected::Exact(3), events(1)).expect("it is known").version, 4);
}

#[test]
fn a_crash_costs_a_batch_as_a_whole() {
    let sim = Simulation::new(1);
    let store = EventStore::in_memory();
    let _app = simulated(&sim, &store);
    let mut writer = store.writer().batch(5).expect("nothing lies in it");
    sim.crash_next("shard-0");
    (0..10).for_each(|n| writer.store(event(n)).expect("it is sent"));
    sim.advance(10 * SECOND);
    assert_eq!((store.stats().stored, store.stats().lost), (5, 5));
    assert_eq!(texts(&all(&store)), ["5", "6", "7", "8", "9"]);
}

#[test]
fn who_waits_is_told_that_it_is_not_known() {
    let sim = Simulation::new(1);
    let store = EventStore::in_memory();
    let _app = simulated(&sim, &store);
    sim.crash_next("shard-0");
    let refused = store.store_sync(event(0)).expect_err("it crashed");
    assert!(matches!(refused.why, Refusal::Unknown { .. }) && refused.events.is_empty(), "{refused}");
    assert!(refused.to_string().contains("did not say whether it took it"));
    assert_eq!((store.stats().lost, store.store_sync(event(1)).expect("it is back").get()), (1, 1));
}

#[test]
fn who_asks_and_meets_a_crash_is_told_so() {
    let sim = Simulation::new(1);
    let store = EventStore::in_memory();
    let _app = simulated(&sim, &store);
    sim.crash_next("shard-0");
    store.store(event(0)).expect("it is sent");
    sim.crash_next("shard-0");
    store.query(&Query::new()).expect_err("the question crashed it");
    assert!(store.published().is_empty());
    store.store(event(1)).expect("it is sent");
    assert_eq!(texts(&all(&store)), ["1"]);
}

#[test]
fn what_lies_in_a_writer_outlives_a_crash_and_comes_with_the_tick() {
    let sim = Simulation::new(1);
    let store = EventStore::in_memory();
    let _app = simulated(&sim, &store);
    let mut writer = store.writer();
    writer.store(event("mine")).expect("it lies in it");
    sim.run_until_idle();
    sim.crash_next("shard-0");
    store.store(event("lost")).expect("it is sent");
    sim.run_until_idle();
    assert_eq!((store.stats().lost, store.stats().stored), (1, 0));
    sim.advance(10 * SECOND);
    assert_eq!(texts(&store.published().recent(9)), ["mine"]);
    writer.store(event("again")).expect("it lies in it");
    sim.advance(20 * MS);
    assert_eq!(texts(&store.published().recent(9)), ["again", "mine"]);
}

#[test]
fn old_events_go_though_the_service_crashed_since_they_were_stored() {
    let sim = Simulation::new(1);
    let store = EventStore::builder().max_age(60 * SECOND).in_memory();
    let _app = simulated(&sim, &store);
    store.store_batch(events(3)).expect("they are stored");
    sim.crash_next("shard-0");
    store.store(event("lost")).expect("it is sent");
    sim.advance(60 * SECOND - MS);
    assert_eq!(store.stats().current, 3);
    sim.advance(MS);
    assert_eq!(accounts(store.stats()), (3, 0, 3, 0));
}

#[test]
fn one_who_follows_notices_no_crash() {
    let sim = Simulation::new(1);
    let store = EventStore::in_memory();
    let _app = simulated(&sim, &store);
    let mut following = store.subscribe(StartFrom::Now);
    for n in 0..20 {
        if n % 3 == 0 {
            sim.crash_next("shard-0");
            store.store(event("lost")).expect("it is sent");
        }
        store.store(event(n)).expect("it is sent");
        let received = following.recv_timeout(60 * SECOND).expect("it comes");
        assert_eq!(received.data().as_text(), Some(&*n.to_string()));
    }
    assert_eq!((store.stats().lost, store.stats().stored), (7, 20));
}

/// Whenever it crashes, at the begin of a step or at its end: each event is there or counted, its receipt is
/// told once, and whoever was told that it is stored finds it.
fn loses_nothing_unsaid(sim: &Simulation) {
    let store = EventStore::builder().shards(1 + sim.below(3)).in_memory();
    let _app = simulated(sim, &store);
    let (desk, mut writer) = (Desk::new(), store.writer().batch(3).expect("nothing lies in it"));
    sim.chaos(4);
    for name in 0..60 {
        let event = Event::of("a", format!("c{}", sim.below(5))).with_data(name.to_string());
        match sim.below(3) {
            0 => store.store_with(event, desk.receipt(name)).expect("there is room"),
            1 => writer.store_with(event, desk.receipt(name)).expect("there is room"),
            _ => {
                store.store_with(event, desk.receipt(name)).expect("there is room");
                sim.run_until_idle();
            }
        }
        if sim.one_in(5) {
            sim.advance(20 * MS);
        }
    }
    sim.chaos(0);
    writer.flush().expect("there is room");
    sim.advance(60 * SECOND);
    let told = desk.told();
    let (stored, unknown): (Vec<_>, Vec<_>) = told.iter().partition(|(_, told)| told.is_ok());
    let mut names: Vec<_> = told.iter().map(|(name, _)| *name).collect();
    names.sort();
    assert_eq!(names, (0..60).collect::<Vec<_>>(), "each is told once");
    let stats = store.stats();
    assert_eq!((stats.stored + stats.lost, stats.current), (60, stats.stored));
    assert!(unknown.iter().all(|(_, told)| matches!(told, Err(Refusal::Unknown { .. }))));
    assert!(unknown.len() as u64 >= stats.lost);
    let there = store.fresh().expect("it keeps up");
    for (name, told) in stored {
        let entry = there.get(*told.as_ref().expect("it is stored")).expect("it is there");
        assert_eq!(entry.data().as_text(), Some(&*name.to_string()));
    }
}

#[test]
fn whenever_it_crashes_nothing_is_lost_unsaid() {
    check(0..150, loses_nothing_unsaid);
}

#[test]
fn a_store_that_has_given_up_says_so_and_can_be_looked_at() {
    let sim = Simulation::new(1);
    let store = EventStore::in_memory();
    let _app = sim.start(Supervisor::new("app").supervisor(store.supervisor())).expect("it starts");
    store.store_sync(event("before")).expect("it is stored");
    let mut following = store.subscribe(StartFrom::Now);
    let mut crashes = 0;
    while !matches!(store.store(event("lost")), Err(NotStored { why: Refusal::Stopped, .. })) {
        sim.crash_next("shard-0");
        sim.run_until_idle();
        crashes += 1;
        assert!(crashes < 1_000, "it never gives up");
    }
    assert!(crashes > 10, "it is started again ten times in five seconds, not {crashes}");
    while following.recv_timeout(SECOND).is_ok() {}
    assert_eq!(following.recv_timeout(SECOND).expect_err("it has stopped"), FollowError::Closed);
    let oldest = store.published().query(&Query::new()).expect("it makes sense");
    assert_eq!(oldest.entries[0].data().as_text(), Some("before"));
    let stats = store.stats();
    assert_eq!(stats.stored, stats.current + stats.pruned + stats.dropped);
}

#[test]
fn a_service_that_is_restarted_on_purpose_goes_on() {
    let (store, app) = running();
    store.append("s", Expected::NoStream, events(3)).expect("there is none");
    let events = app.reference();
    events.terminate_child("events").expect("it stops");
    let refused = store.store(event("down")).expect_err("it has stopped");
    assert_eq!((refused.why, refused.events.len()), (Refusal::Stopped, 1));
    events.restart_child("events").expect("it starts");
    assert_eq!(store.append("s", Expected::Exact(3), [event(4)]).expect("it is known").first, id(4));
    let mut following = store.subscribe(StartFrom::Now);
    let waiting = aside(move || following.recv_timeout(LONG).expect("it is open again").id());
    store.store_sync(event(5)).expect("it is stored");
    let (told, mut again) =
        (store.store_sync(event(6)).expect("it is stored"), store.subscribe(StartFrom::Oldest));
    assert!((5..=6).contains(&waiting.done().get()) && told == id(6));
    assert_eq!((0..6).map(|_| again.try_recv().expect("it is there").id().get()).sum::<u64>(), 21);
}
