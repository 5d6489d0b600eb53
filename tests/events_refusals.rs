//! What a store refuses, and says why and hands back; and numbers: each is given once.
#![cfg(feature = "events")]

mod common;
mod events_common;

use std::sync::{Arc, Barrier};

use common::{LONG, aside};
use events_common::*;
use serde_json::{Value, json};
use underpin::events::*;

// ---- what is not allowed -----------------------------------------------------------------

/// Every way to store one event.
fn each_way(store: &EventStore, event: &Event) -> [NotStored; 6] {
    let mut writer = store.writer();
    let ways = [
        store.store(event.clone()),
        store.try_store(event.clone()),
        store.store_sync(event.clone()).map(drop),
        store.store_batch([event.clone()]).map(drop),
        store.append("s", Expected::Any, [event.clone()]).map(drop),
        writer.store(event.clone()),
    ];
    ways.map(|outcome| outcome.expect_err("it is not allowed"))
}

#[track_caller]
fn is_refused(event: Event, why: &Invalid, says: &str) {
    let (store, _app) = running();
    for refused in each_way(&store, &event) {
        assert_eq!(refused.why, Refusal::Invalid(why.clone()));
        assert_eq!(refused.to_string(), says);
        assert_eq!(refused.events.len(), 1, "it comes back");
        assert_eq!((refused.events[0].kind(), refused.events[0].data()), (event.kind(), event.data()));
    }
    assert_eq!(store.stats().stored, 0);
}

#[test]
fn a_name_that_is_empty_or_too_long_is_refused_and_the_event_comes_back() {
    let long = "n".repeat(MAX_NAME_BYTES + 1);
    let too_long = |field| Invalid::TooLong { field, bytes: 256, most: 255 };
    is_refused(Event::of("", "x"), &Invalid::Empty { field: "kind" }, "kind is empty");
    let says = "correlation has 256 bytes, at most 255 are allowed";
    is_refused(Event::of("a", long.as_str()), &too_long("correlation"), says);
    is_refused(Event::of("a", ""), &Invalid::Empty { field: "correlation" }, "correlation is empty");
    let source = Source::new(Some(&long), "t", "n");
    let says = "source.service has 256 bytes, at most 255 are allowed";
    is_refused(Event::of("a", "x").with_source(source), &too_long("source.service"), says);
    is_refused(Event::of(long, "x"), &too_long("kind"), "kind has 256 bytes, at most 255 are allowed");
}

#[test]
fn a_name_as_long_as_allowed_is_stored() {
    let (store, _app) = running();
    let name = "n".repeat(MAX_NAME_BYTES);
    let event = Event::of(name.clone(), name.as_str()).with_stream(name.as_str());
    store.store_sync(event).expect("it is stored");
    let stream = "n".repeat(MAX_NAME_BYTES + 1);
    let refused = store.store(Event::of("a", "x").with_stream(stream)).expect_err("it is too long");
    assert!(matches!(refused.why, Refusal::Invalid(Invalid::TooLong { field: "stream", .. })));
}

#[test]
fn data_of_more_than_a_mebibyte_are_refused_and_come_back() {
    let (bytes, most) = (MAX_DATA_BYTES + 1, MAX_DATA_BYTES);
    let too_long = Invalid::TooLong { field: "data", bytes, most };
    let says = "data has 1048577 bytes, at most 1048576 are allowed";
    is_refused(Event::of("a", "x").with_data("d".repeat(bytes)), &too_long, says);
    is_refused(Event::of("a", "x").with_data(vec![0; bytes]), &too_long, says);
    is_refused(Event::of("a", "x").with_data(json!("d".repeat(most - 1))), &too_long, says);
    let (store, _app) = running();
    store.store_sync(Event::of("a", "x").with_data("d".repeat(most))).expect("it is stored");
}

#[test]
fn json_that_nests_too_deep_is_refused_and_comes_back() {
    let nested = |depth| (0..depth).fold(Value::Null, |value, _| json!([value]));
    let too_deep = Invalid::TooDeep { most: MAX_JSON_DEPTH };
    let says = "data nests deeper than 127 levels";
    is_refused(Event::of("a", "x").with_data(nested(MAX_JSON_DEPTH + 1)), &too_deep, says);
    let (store, _app) = running();
    store.store_sync(Event::of("a", "x").with_data(nested(MAX_JSON_DEPTH))).expect("it is stored");
}

// ---- numbers -----------------------------------------------------------------------------

#[test]
fn an_event_may_bring_its_number_and_those_that_follow_go_on_from_there() {
    let (store, _app) = running();
    assert_eq!(store.store_sync(event(0).with_id(id(17))).expect("it is free").get(), 17);
    assert_eq!(store.store_sync(event(1)).expect("it is stored").get(), 18);
    let stored = store.store_batch([event(2).with_id(id(30)), event(3).with_id(id(31))]);
    assert_eq!(first_of(&stored.expect("they are free")), 30);
    assert_eq!(ids(&all(&store)), [17, 18, 30, 31]);
}

#[test]
fn a_number_that_was_given_or_passed_over_is_refused_and_the_event_comes_back() {
    let (store, _app) = running();
    store.store_sync(event(0).with_id(id(5))).expect("it is free");
    for taken in [1, 4, 5, u64::MAX] {
        let refused = store.store(event("mine").with_id(id(taken))).expect_err("it is taken");
        assert_eq!(refused.why, Refusal::DuplicateId { id: id(taken), next: id(6) });
        assert_eq!(refused.events[0].data().as_text(), Some("mine"));
        let refused = store.store_sync(event("mine").with_id(id(taken))).expect_err("it is taken");
        assert_eq!(refused.events.len(), 1);
    }
    let says = "the number 5 is taken: all below 6 are";
    assert_eq!(store.store(event(0).with_id(id(5))).expect_err("it is taken").to_string(), says);
    assert_eq!(ids(&all(&store)), [5]);
}

#[test]
fn of_two_that_bring_one_number_at_once_one_is_stored() {
    let (store, _app) = running();
    let held = hang(&store, "x");
    let (first, heard_first) = receipt();
    let (second, heard_second) = receipt();
    store.store_with(event("first").with_id(id(9)), first).expect("nobody has it yet");
    store.store_with(event("second").with_id(id(9)), second).expect("nobody has it yet");
    drop(held);
    assert_eq!(heard_first.recv_timeout(LONG).expect("it is told"), Ok(id(9)));
    let refused = heard_second.recv_timeout(LONG).expect("it is told").expect_err("it is taken");
    assert_eq!(refused, Refusal::DuplicateId { id: id(9), next: id(10) });
    assert_eq!((store.stats().refused, ids(&all(&store))), (1, vec![1, 9]));
}

#[test]
fn a_writer_takes_no_number() {
    let (store, _app) = running();
    let refused = store.writer().store(event(0).with_id(id(9))).expect_err("it takes none");
    assert_eq!(refused.why, Refusal::Invalid(Invalid::HasId));
    assert_eq!(refused.events.len(), 1);
}

#[test]
fn numbers_are_unique_and_rise_under_four_threads() {
    let (store, _app) = running();
    let begin = Arc::new(Barrier::new(4));
    let thread = |n: u64| {
        let (store, begin) = (store.clone(), Arc::clone(&begin));
        aside(move || {
            begin.wait();
            let sync = |_| store.store_sync(event(n)).expect("it is stored").get();
            (0..500).map(sync).collect::<Vec<_>>()
        })
    };
    let threads: Vec<_> = (0..4).map(thread).collect();
    let told: Vec<_> = threads.into_iter().map(|thread| thread.done()).collect();
    assert!(told.iter().all(|told| told.is_sorted()), "each thread's rise");
    let mut told = told.concat();
    told.sort();
    assert_eq!(told, (1..=2_000).collect::<Vec<_>>());
    assert_eq!(ids(&all(&store)), told, "and so they stand in the store");
}
