//! Batches: all or nothing, with numbers that follow one another; and receipts, told once each.
#![cfg(feature = "events")]

mod common;
mod events_common;

use std::sync::{Arc, Barrier};

use common::{LONG, aside, panic_quietly};
use events_common::*;
use underpin::Overflow;
use underpin::events::*;

// ---- batches -----------------------------------------------------------------------------

#[test]
fn a_batch_has_numbers_that_follow_one_another_under_four_racing_threads() {
    let (store, _app) = running();
    let begin = Arc::new(Barrier::new(4));
    let thread = |n: usize| {
        let (store, begin) = (store.clone(), Arc::clone(&begin));
        aside(move || {
            begin.wait();
            for round in 0..100 {
                let size = 1 + (round + n) % 9;
                let name = format!("{n} {round}");
                let batch = (0..size).map(|_| event(&name));
                let stored = store.store_batch(batch).expect("they are stored");
                assert_eq!(stored.events as usize, size);
                let own = (0..size as u64).map(|at| store.get(id(stored.first.get() + at)));
                own.for_each(|entry| {
                    let entry = entry.expect("it keeps up").expect("it is there");
                    assert_eq!(entry.data().as_text(), Some(&*name));
                });
            }
        })
    };
    let threads: Vec<_> = (0..4).map(thread).collect();
    threads.into_iter().for_each(|thread| thread.done());
    let all = all(&store);
    assert_eq!(ids(&all), (1..=all.len() as u64).collect::<Vec<_>>());
}

#[test]
fn a_batch_of_none_or_of_too_many_is_refused_and_comes_back() {
    let (store, _app) = running();
    assert_eq!(store.store_batch([]).expect_err("it has none").why, Refusal::NoEvents);
    assert_eq!(store.append("s", Expected::Any, []).expect_err("it has none").why, Refusal::NoEvents);
    let refused = store.store_batch(events(MAX_BATCH + 1)).expect_err("they are too many");
    assert_eq!(refused.why, Refusal::TooManyEvents { events: MAX_BATCH + 1, most: MAX_BATCH });
    assert_eq!(refused.to_string(), "a batch has at most 65536 events, not 65537");
    assert_eq!((refused.events.len(), store.stats().stored), (MAX_BATCH + 1, 0));
    assert_eq!(store.store_batch(refused.events.into_iter().skip(1)).expect("they are").events, 65_536);
}

#[test]
fn a_batch_with_one_bad_event_is_refused_as_a_whole_and_comes_back() {
    let (store, _app) = running();
    let bad = |at: usize| {
        let mut events = events(5);
        events[at] = Event::of("", "x");
        events
    };
    for at in 0..5 {
        let refused = store.store_batch(bad(at)).expect_err("one has no kind");
        assert_eq!(refused.why, Refusal::Invalid(Invalid::Empty { field: "kind" }));
        assert_eq!((refused.events.len(), refused.events[at].kind()), (5, ""));
    }
    assert_eq!(store.fresh().expect("it keeps up").len(), 0);
    assert_eq!(store.store_sync(event(0)).expect("it is stored").get(), 1, "no number was used");
}

#[test]
fn a_batch_brings_all_numbers_or_none_and_they_follow_one_another() {
    let (store, _app) = running();
    let batch = |numbers: [Option<u64>; 3]| {
        let event = |number: Option<u64>| match number {
            Some(number) => event(number).with_id(id(number)),
            None => event("none"),
        };
        store.store_batch(numbers.map(event))
    };
    for wrong in [[Some(5), None, None], [None, Some(5), Some(6)], [Some(5), Some(6), Some(8)]] {
        let refused = batch(wrong).expect_err("they do not follow one another");
        assert!(matches!(refused.why, Refusal::IdsNotContiguous { .. }), "{refused}");
        assert_eq!(refused.events.len(), 3);
    }
    let says = "the numbers that a batch brings must follow one another: 8 came where 7 was expected";
    assert_eq!(batch([Some(5), Some(6), Some(8)]).expect_err("they do not").to_string(), says);
    assert_eq!(first_of(&batch([Some(5), Some(6), Some(7)]).expect("they do")), 5);
    let refused = batch([Some(7), Some(8), Some(9)]).expect_err("the first is taken");
    assert_eq!(refused.why, Refusal::DuplicateId { id: id(7), next: id(8) });
    assert_eq!(ids(&all(&store)), [5, 6, 7]);
}

#[test]
fn a_batch_goes_to_one_shard() {
    let store = EventStore::builder().shards(3).in_memory();
    let _app = started(&store);
    let [one, two, ..] = &one_for_each(3)[..] else { unreachable!("there are three") };
    let batch =
        || vec![Event::of("a", one.as_str()), Event::of("a", one.as_str()), Event::of("a", two.as_str())];
    let refused = store.store_batch(batch()).expect_err("they belong to two shards");
    assert_eq!(refused.why, Refusal::SeveralShards { at: 2, correlation: two.as_str().into() });
    assert_eq!(refused.events.len(), 3);
    let refused = store.append("s", Expected::Any, batch()).expect_err("they belong to two shards");
    assert_eq!((refused.events.len(), store.stream_version("s")), (3, 0));
    assert_eq!(store.stats().stored, 0);
}

// ---- receipts ----------------------------------------------------------------------------

#[test]
fn receipts_are_told_once_each_in_order_with_the_number_of_their_event() {
    let (store, _app) = running();
    let (desk, mut writer) = (Desk::new(), store.writer());
    for n in 0..200 {
        match n % 10 {
            0 => store.store_with(event(n), desk.receipt(n)).expect("it is stored"),
            1 => writer.store(event(n)).expect("it is stored"), // nobody hears of it
            _ => writer.store_with(event(n), desk.receipt(n)).expect("it is stored"),
        }
        if n % 10 == 9 {
            writer.flush().expect("it is sent");
        }
    }
    let told = desk.next(180);
    let names: Vec<_> = told.iter().map(|(name, _)| *name).collect();
    assert_eq!(names, (0..200).filter(|n| n % 10 != 1).collect::<Vec<_>>());
    for (name, outcome) in told {
        let number = outcome.expect("it is stored");
        let entry = store.get(number).expect("it keeps up").expect("it is there");
        assert_eq!(entry.data().as_text(), Some(&*name.to_string()));
    }
    drop(writer);
    store.fresh().expect("it keeps up");
    assert!(desk.told().is_empty());
}

#[test]
fn who_is_told_that_it_is_stored_sees_it() {
    let (store, _app) = running();
    let (tell, told) = std::sync::mpsc::channel();
    for n in 0..100 {
        let (seen, tell) = (store.clone(), tell.clone());
        let look = move |outcome: Told| {
            let number = outcome.expect("it is stored");
            let _ = tell.send(seen.published().get(number).is_some());
        };
        store.store_with(event(n), Receipt::new(look)).expect("it is sent");
    }
    assert!((0..100).all(|_| told.recv_timeout(LONG).expect("it is told")));
}

#[test]
fn a_panic_in_a_receipt_costs_only_itself() {
    let (store, app) = running();
    let desk = Desk::new();
    let mut writer = store.writer();
    for n in 0..10 {
        let receipt = if n % 2 == 0 { Receipt::new(|_| panic_quietly("as told")) } else { desk.receipt(n) };
        writer.store_with(event(n), receipt).expect("it is stored");
    }
    store.fresh().expect("it keeps up");
    assert_eq!(desk.next(5).len(), 5);
    assert_eq!((store.stats().stored, store.stats().lost), (10, 0));
    drop(app);
}

#[test]
fn a_receipt_is_told_of_what_is_refused_at_once() {
    let (store, app) = running();
    let (desk, mut writer) = (Desk::new(), store.writer());
    store.store_with(Event::of("", "x"), desk.receipt(0)).expect_err("it has no kind");
    writer.store_with(Event::of("", "x"), desk.receipt(1)).expect_err("it has no kind");
    let empty = || Err(Refusal::Invalid(Invalid::Empty { field: "kind" }));
    assert_eq!(desk.told(), [(0, empty()), (1, empty())]);
    drop(app);
    store.store_with(event(2), desk.receipt(2)).expect_err("it has stopped");
    writer.store_with(event(3), desk.receipt(3)).expect("it lies in it");
    writer.flush().expect_err("it has stopped");
    writer.store_with(event(4), desk.receipt(4)).expect("it lies in it");
    drop(writer);
    let stopped = || Err(Refusal::Stopped);
    assert_eq!(desk.told(), [(2, stopped()), (3, stopped()), (4, stopped())]);
}

#[test]
fn a_receipt_is_told_of_what_is_refused_when_its_turn_comes() {
    let store = EventStore::builder().max_streams(1).in_memory();
    let _app = started(&store);
    let (desk, mut writer) = (Desk::new(), store.writer());
    for (name, stream) in (0..).zip(["one", "two", "one", "three", "one"]) {
        writer.store_with(event(name).with_stream(stream), desk.receipt(name)).expect("it lies in it");
    }
    store.fresh().expect("it keeps up");
    let (stored, refused): (Vec<_>, Vec<_>) = desk.next(5).into_iter().partition(|(_, told)| told.is_ok());
    assert_eq!(stored, [(0, Ok(id(1))), (2, Ok(id(2))), (4, Ok(id(3)))], "in their order");
    let too_many = |stream: &str| Err(Refusal::TooManyStreams { stream: stream.into(), most: 1 });
    assert_eq!(refused, [(1, too_many("two")), (3, too_many("three"))]);
    assert_eq!((store.stats().refused, store.stats().stored, store.stats().streams), (2, 3, 1));
}

#[test]
fn a_receipt_is_told_of_what_a_full_mailbox_gives_up() {
    for overflow in [Overflow::DropOldest, Overflow::DropNewest] {
        let store = EventStore::builder().capacity(2).overflow(overflow).in_memory();
        let _app = started(&store);
        let (held, desk) = (hang(&store, "x"), Desk::new());
        (0..5).for_each(|n| store.store_with(event(n), desk.receipt(n)).expect("it is sent"));
        drop(held);
        let (stored, given_up): (Vec<_>, Vec<_>) =
            desk.next(5).into_iter().partition(|(_, told)| told.is_ok());
        let names = if overflow == Overflow::DropOldest { [0, 1, 2] } else { [2, 3, 4] };
        assert_eq!(given_up, names.map(|name| (name, Err(Refusal::Full))));
        assert_eq!(stored.len(), 2);
        assert_eq!((store.stats().shed, store.fresh().expect("it keeps up").len()), (3, 3));
    }
}

#[test]
fn a_receipt_is_told_of_what_the_stop_finds() {
    for _ in 0..50 {
        let (store, app) = running();
        let (held, desk) = (hang(&store, "x"), Desk::new());
        (0..20).for_each(|n| store.store_with(event(n), desk.receipt(n)).expect("it is sent"));
        let stopping = aside(move || drop(app));
        drop(held);
        let told = desk.next(20);
        assert!(told.iter().all(|(_, told)| told.is_ok()), "{told:?}");
        assert!(told.is_sorted_by_key(|(name, _)| *name));
        stopping.done();
        assert!(desk.told().is_empty());
        assert_eq!(store.published().len(), 21);
    }
}

#[test]
fn a_store_that_never_started_has_stored_what_it_took_when_it_is_dropped() {
    let (receipt, told) = receipt();
    let store = EventStore::in_memory();
    store.store_with(event(0), receipt).expect("it waits");
    drop(store);
    assert_eq!(told.recv_timeout(LONG).expect("it is told"), Ok(id(1)));
}

#[test]
fn a_receipt_may_store_and_must_not_wait_in_vain() {
    let (store, _app) = running();
    let (again, (second, told)) = (store.clone(), receipt());
    let hook = move |_| {
        again.store_with(event("second"), second).expect("it is sent");
        // It runs on the thread that would have to answer.
        let refused = again.store_sync(event("third")).expect_err("nobody answers");
        assert!(matches!(refused.why, Refusal::Unknown { .. }), "{refused}");
    };
    store.store_with(event("first"), Receipt::new(hook)).expect("it is sent");
    told.recv_timeout(LONG).expect("it is told").expect("it is stored");
    assert_eq!(&texts(&all(&store))[..2], ["first", "second"]);
}
