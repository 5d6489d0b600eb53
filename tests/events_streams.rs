//! Streams: each counts its events, and of several who append one is too late.
#![cfg(feature = "events")]

mod common;
mod events_common;

use std::sync::{Arc, Barrier};

use common::aside;
use events_common::*;
use underpin::events::*;

#[test]
fn an_append_is_taken_where_the_stream_has_come_as_far_as_expected() {
    let (store, _app) = running();
    let append = |expected, count| store.append("s", expected, events(count));
    let wrong = |expected, actual| {
        let refused = append(expected, 1).expect_err("it has come elsewhere");
        let stream = "s".into();
        assert_eq!(refused.why, Refusal::WrongVersion { stream, expected, actual });
    };
    wrong(Expected::Exists, 0);
    wrong(Expected::Exact(1), 0);
    assert_eq!(append(Expected::NoStream, 2).expect("there is none").version, 2);
    wrong(Expected::NoStream, 2);
    wrong(Expected::Exact(0), 2);
    wrong(Expected::Exact(1), 2);
    wrong(Expected::Exact(3), 2);
    assert_eq!(append(Expected::Exact(2), 3).expect("it has two").version, 5);
    assert_eq!(append(Expected::Exists, 1).expect("it has some").version, 6);
    assert_eq!(append(Expected::Any, 1).expect("whatever it has").version, 7);
    assert_eq!(store.append("t", Expected::Exact(0), events(1)).expect("it has none").version, 1);
    assert_eq!(store.append("u", Expected::Any, events(1)).expect("it has none").version, 1);
    let says = "the stream `s` has 7 events, expected was Exact(3)";
    assert_eq!(append(Expected::Exact(3), 1).expect_err("it has seven").to_string(), says);
    let versions = |stream| {
        let found = store.query(&Query::new().stream(stream)).expect("it keeps up");
        found.entries.iter().map(Entry::version).collect::<Vec<_>>()
    };
    assert_eq!((versions("s"), versions("t")), ((1..=7).collect(), vec![1]));
    assert_eq!((store.stream_version("s"), store.stream_version("none")), (7, 0));
}

#[test]
fn a_refused_append_changes_nothing() {
    let (store, _app) = running();
    store.append("s", Expected::NoStream, events(2)).expect("there is none");
    store.append("s", Expected::NoStream, events(3)).expect_err("there is one");
    assert_eq!((store.stream_version("s"), store.stats().stored, store.stats().refused), (2, 2, 3));
    assert_eq!(store.store_sync(event(0)).expect("it is stored").get(), 3, "no number was used");
}

#[test]
fn of_racing_appenders_exactly_one_wins_each_version() {
    for shards in [1, 4] {
        let store = EventStore::builder().shards(shards).in_memory();
        let _app = started(&store);
        let begin = Arc::new(Barrier::new(4));
        let thread = |n: u64| {
            let (store, begin) = (store.clone(), Arc::clone(&begin));
            aside(move || {
                let mut won = Vec::new();
                for version in 0..100 {
                    begin.wait();
                    // Of different correlations, so on different shards.
                    let event = Event::of("a", format!("thread {n}"));
                    match store.append("s", Expected::Exact(version), [event]) {
                        Ok(stored) => won.push(stored.version),
                        Err(refused) => assert!(matches!(refused.why, Refusal::WrongVersion { .. })),
                    }
                }
                won
            })
        };
        let threads: Vec<_> = (0..4).map(thread).collect();
        let mut won: Vec<_> = threads.into_iter().flat_map(|thread| thread.done()).collect();
        won.sort();
        assert_eq!(won, (1..=100).collect::<Vec<_>>());
        assert_eq!((store.stream_version("s"), store.fresh().expect("it keeps up").len()), (100, 100));
    }
}

#[test]
fn what_is_stored_of_a_stream_in_whatever_way_counts() {
    let (store, _app) = running();
    let of_stream = |n| event(n).with_stream("s");
    store.store(of_stream(1)).expect("it is stored");
    let mut writer = store.writer();
    writer.store(of_stream(2)).expect("it is stored");
    writer.flush().expect("it is sent");
    assert_eq!(store.store_batch([of_stream(3), event("none"), of_stream(4)]).expect("they are").version, 4);
    let other = event(5).with_stream("another, which does not count");
    assert_eq!(store.append("s", Expected::Exact(4), [other]).expect("it has four").version, 5);
    let found = all(&store);
    assert_eq!(found.iter().map(Entry::version).collect::<Vec<_>>(), [1, 2, 3, 0, 4, 5]);
    assert!(found.iter().all(|entry| entry.version() == 0 || entry.stream() == Some("s")));
}

#[test]
fn a_stream_is_known_when_its_events_are_gone() {
    let store = EventStore::builder().max_events(2).in_memory();
    let _app = started(&store);
    store.append("s", Expected::NoStream, events(5)).expect("there is none");
    store.store_batch(events(5)).expect("they are stored");
    assert!(store.query(&Query::new().stream("s")).expect("it keeps up").entries.is_empty());
    assert_eq!(store.append("s", Expected::Exact(5), events(1)).expect("it has five").version, 6);
}

#[test]
fn one_stream_too_many_is_refused_and_those_that_are_known_go_on() {
    let store = EventStore::builder().max_streams(2).in_memory();
    let _app = started(&store);
    let append = |stream: &str| store.append(stream, Expected::Any, events(1));
    append("one").expect("there is room");
    append("two").expect("there is room");
    let refused = append("three").expect_err("there is none");
    assert_eq!(refused.why, Refusal::TooManyStreams { stream: "three".into(), most: 2 });
    let says = "the stream `three` would be one too many: the store knows 2, see `max_streams`";
    assert_eq!(refused.to_string(), says);
    append("one").expect("it is known");
    let of = |stream: &'static str| event(0).with_stream(stream);
    store.store_batch([of("one"), of("three"), of("two")]).expect_err("all or nothing");
    store.store(of("three")).expect("it is refused when its turn comes");
    store.fresh().expect("it keeps up");
    let stats = store.stats();
    assert_eq!((stats.stored, stats.streams, stats.refused), (3, 2, 1 + 3 + 1));
}

#[test]
fn a_batch_takes_the_room_for_streams_as_a_whole() {
    let store = EventStore::builder().max_streams(2).in_memory();
    let _app = started(&store);
    let of = |stream: &'static str| event(0).with_stream(stream);
    store.store_batch([of("one"), of("two"), of("one"), of("three")]).expect_err("all or nothing");
    assert_eq!((store.stats().streams, store.stream_version("one")), (0, 0));
    store.store_batch([of("one"), of("two"), of("one")]).expect("there is room for two");
    assert_eq!((store.stats().streams, store.stream_version("one")), (2, 2));
}
