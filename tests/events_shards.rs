//! Shards: one order for each correlation, and one of all that are looked at together.
#![cfg(feature = "events")]

mod common;
mod events_common;

use std::collections::HashMap;
use std::time::{Duration, SystemTime};

use common::{LONG, aside};
use events_common::*;
use underpin::Overflow;
use underpin::events::*;

#[test]
fn events_of_one_correlation_come_in_the_order_in_which_they_were_stored() {
    let store = EventStore::builder().shards(4).overflow(Overflow::Block(LONG)).in_memory();
    let _app = started(&store);
    let thread = |n: usize| {
        let store = store.clone();
        aside(move || {
            let (mine, mut writer) = (format!("thread {n}"), store.writer());
            for n in 0..1_000 {
                let event = Event::of("a", mine.as_str()).with_data(n.to_string());
                if n % 100 < 50 {
                    writer.store(event).expect("it is stored");
                } else {
                    writer.flush().expect("it is sent"); // what its thread stores past it would come first
                    store.store(event).expect("it is stored");
                }
            }
        })
    };
    let threads: Vec<_> = (0..4).map(thread).collect();
    threads.into_iter().for_each(|thread| thread.done());
    let expected: Vec<_> = (0..1_000).map(|n| n.to_string()).collect();
    for n in 0..4 {
        let found = store.by_correlation(format!("thread {n}")).expect("it keeps up");
        assert_eq!(texts(&found), expected);
        assert!(ids(&found).is_sorted());
    }
}

#[test]
fn all_together_come_by_time_and_then_by_number() {
    let store = EventStore::builder().shards(5).in_memory();
    let _app = started(&store);
    let mut numbers = Vec::new();
    for n in 0..500_u64 {
        // Times rise in each correlation; several have the same.
        let time = SystemTime::UNIX_EPOCH + Duration::from_secs(n / 10);
        let event = Event::of("a", format!("c{}", n % 17)).happened_at(time);
        let number = store.store_sync(event).expect("it is stored");
        numbers.push((n / 10, number.get()));
    }
    numbers.sort();
    let numbers: Vec<_> = numbers.into_iter().map(|(_, number)| number).collect();
    assert_eq!(ids(&all(&store)), numbers);
    let newest = store.query(&Query::new().order(Order::NewestFirst).limit(500)).expect("it keeps up");
    assert!(ids(&newest).iter().eq(numbers.iter().rev()));
    let mut following = store.subscribe(StartFrom::Oldest);
    let received: Vec<_> = (0..500).map(|_| following.try_recv().expect("it is there")).collect();
    assert_eq!(ids(&received), numbers);
}

#[test]
fn each_shard_has_a_thread_and_an_equal_part_of_the_bounds() {
    let store = EventStore::builder().shards(3).max_events(30).name("log").in_memory();
    let app = started(&store);
    let children = app.reference().inspect().expect("it answers");
    let tree = format!("{children:?}");
    assert!((0..3).all(|n| tree.contains(&format!("shard-{n}"))) && !tree.contains("shard-3"), "{tree}");
    for name in one_for_each(3) {
        (0..20).for_each(|_| store.store(Event::of("a", name.as_str())).expect("it is stored"));
        assert_eq!(store.by_correlation(name).expect("it keeps up").len(), 10);
    }
    assert_eq!(accounts(store.stats()), (60, 30, 0, 30));
}

#[test]
fn there_is_one_shard_at_least_and_no_more_than_allowed() {
    for (asked, shards) in [(0, 1), (1, 1), (MAX_SHARDS + 1, MAX_SHARDS)] {
        let store = EventStore::builder().shards(asked).in_memory();
        let checkpoint = store.subscribe(StartFrom::Now).checkpoint().to_string();
        assert_eq!(checkpoint.split(',').count(), shards);
    }
}

#[test]
fn numbers_are_unique_over_all_shards() {
    let store = EventStore::builder().shards(4).in_memory();
    let _app = started(&store);
    let thread = |n: usize| {
        let store = store.clone();
        aside(move || {
            for round in 0..200 {
                let name = format!("c{}", (n + round) % 9);
                let batch = (0..1 + round % 4).map(|_| Event::of("a", name.as_str()));
                let stored = store.store_batch(batch).expect("they are stored");
                assert_eq!(stored.events as usize, 1 + round % 4);
            }
        })
    };
    let threads: Vec<_> = (0..4).map(thread).collect();
    threads.into_iter().for_each(|thread| thread.done());
    let all = all(&store);
    let mut numbers = ids(&all);
    numbers.sort();
    assert_eq!(numbers, (1..=2_000).collect::<Vec<_>>());
    let mut last = HashMap::new();
    for entry in &all {
        let before = last.insert(entry.correlation().clone(), entry.id());
        assert!(before.is_none_or(|before| before < entry.id()), "they rise along a shard");
    }
}

#[test]
fn one_hung_shard_delays_no_other() {
    let store = EventStore::builder().shards(2).in_memory();
    let _app = started(&store);
    let [one, two] = &one_for_each(2)[..] else { unreachable!("there are two") };
    let held = hang(&store, one);
    store.store_sync(Event::of("a", two.as_str())).expect("it is stored");
    assert_eq!(store.by_correlation(two.as_str()).expect("its shard keeps up").len(), 1);
    store.store(Event::of("a", one.as_str())).expect("it waits");
    let mut following = store.subscribe(StartFrom::Oldest);
    let received: Vec<_> = (0..2).map(|_| following.recv_timeout(LONG).expect("it is there")).collect();
    assert_eq!(received.len(), 2, "what hung is told when it can be seen");
    drop(held);
    assert_eq!(store.fresh().expect("it keeps up").len(), 3);
}

#[test]
fn the_same_correlation_comes_to_the_same_shard_in_every_process() {
    let shards: Vec<_> = (0..12).map(|n| shard_of(&format!("order {n}"), 4)).collect();
    assert_eq!(shards, SHARDS);
    let uuid = "a1a2a3a4-b1b2-41d2-91e2-c1c2c3c4c5c6";
    assert_eq!(shard_of(uuid, 64), OF_UUID);
}

/// Written down once: another order would make old checkpoints wrong.
const SHARDS: [usize; 12] = [1, 1, 2, 0, 2, 0, 2, 3, 2, 3, 0, 3];
const OF_UUID: usize = 26;
