//! Following: what was there and what comes, each once; what was missed is told.
#![cfg(feature = "events")]

mod common;
mod events_common;

use std::collections::HashMap;
use std::time::{Duration, SystemTime};

use common::{LONG, MS, SECOND, aside};
use events_common::*;
#[cfg(feature = "journal")]
use proptest::prelude::*;
use underpin::events::*;
use underpin::testing::Simulation;
use underpin::{Deadline, Supervisor};

/// All that is there, until nothing is.
#[track_caller]
fn drain(following: &mut Subscription) -> Vec<Entry> {
    let mut received = Vec::new();
    loop {
        match following.try_recv() {
            Ok(entry) => received.push(entry),
            Err(FollowError::TimedOut { waited: Duration::ZERO }) => return received,
            Err(error) => panic!("{error}"),
        }
    }
}

// ---- from where --------------------------------------------------------------------------

#[test]
fn one_follows_from_the_oldest_from_now_or_from_a_checkpoint() {
    let store = EventStore::builder().max_events(3).in_memory();
    let _app = started(&store);
    store.store_batch(events(5)).expect("they are stored");
    let mut oldest = store.subscribe(StartFrom::Oldest);
    let mut now = store.subscribe(StartFrom::Now);
    oldest.try_recv().expect("it is there");
    let mut later = store.subscribe(StartFrom::Checkpoint(oldest.checkpoint()));
    store.store_sync(event("new")).expect("it is stored");
    assert_eq!(texts(&drain(&mut oldest)), ["3", "4", "new"]);
    assert_eq!(texts(&drain(&mut now)), ["new"]);
    assert_eq!(texts(&drain(&mut later)), ["3", "4", "new"]);
}

#[test]
fn what_comes_is_waited_for_and_many_may_wait() {
    let (store, _app) = running();
    let follow = |_| {
        let mut following = store.subscribe(StartFrom::Now);
        aside(move || (0..100).map(|_| following.recv_timeout(LONG).expect("it comes")).collect::<Vec<_>>())
    };
    let followers: Vec<_> = (0..4).map(follow).collect();
    (0..100).for_each(|n| store.store(event(n)).expect("it is stored"));
    let expected: Vec<_> = (0..100).map(|n| n.to_string()).collect();
    followers.into_iter().for_each(|follower| assert_eq!(texts(&follower.done()), expected));
}

#[test]
fn between_what_was_there_and_what_comes_is_no_gap_and_no_duplicate() {
    for shards in [1, 3] {
        let store = EventStore::builder().shards(shards).in_memory();
        let _app = started(&store);
        let writing = |n: usize| {
            let store = store.clone();
            aside(move || {
                let (mine, mut writer) = (format!("thread {n}"), store.writer());
                for n in 0..2_000 {
                    let event = Event::of("a", mine.as_str()).with_data(n.to_string());
                    writer.store(event).expect("it is stored");
                }
            })
        };
        let writers: Vec<_> = (0..2).map(writing).collect();
        // It begins somewhere in the midst.
        let mut following = store.subscribe(StartFrom::Oldest);
        let mut next = HashMap::new();
        for _ in 0..4_000 {
            let entry = following.recv_timeout(LONG).expect("it comes");
            let expected: &mut usize = next.entry(entry.correlation().to_string()).or_default();
            assert_eq!(entry.data().as_text(), Some(&*expected.to_string()));
            *expected += 1;
        }
        writers.into_iter().for_each(|writer| writer.done());
        assert!(drain(&mut following).is_empty());
    }
}

// ---- bounded -----------------------------------------------------------------------------

#[test]
fn what_a_slow_one_has_not_received_is_told_as_his_lag() {
    let store = EventStore::builder().shards(2).in_memory();
    let _app = started(&store);
    let mut following = store.subscribe(StartFrom::Now);
    assert_eq!(following.lag(), 0);
    for n in 0..1_000 {
        store.store(Event::of("a", format!("c{}", n % 5))).expect("it is stored");
    }
    store.fresh().expect("it keeps up");
    for left in (0..1_000).rev() {
        following.try_recv().expect("it is there");
        assert_eq!(following.lag(), left);
    }
}

#[test]
fn what_went_before_it_was_received_is_told_exactly_and_once() {
    let store = EventStore::builder().max_events(10).in_memory();
    let _app = started(&store);
    let mut following = store.subscribe(StartFrom::Oldest);
    store.store_batch(events(25)).expect("they are stored");
    assert_eq!(following.try_recv().expect_err("they went"), FollowError::Missed { events: 15 });
    assert_eq!(ids(&drain(&mut following)), (16..=25).collect::<Vec<_>>());
    store.store_batch(events(30)).expect("they are stored");
    store.prune_before_id(id(50)).expect("it answers");
    assert_eq!(following.recv_timeout(LONG).expect_err("they went"), FollowError::Missed { events: 24 });
    assert_eq!(ids(&drain(&mut following)), (50..=55).collect::<Vec<_>>());
    store.store_batch(events(1)).expect("it is stored");
    store.prune_before_id(id(1_000)).expect("it answers");
    let says = "1 events were taken out of the store before they were received";
    assert_eq!(following.try_recv().expect_err("it went").to_string(), says);
    assert!(matches!(following.try_recv(), Err(FollowError::TimedOut { .. })));
}

#[test]
fn received_and_missed_are_all_there_were() {
    let store = EventStore::builder().max_events(50).shards(2).in_memory();
    let _app = started(&store);
    let mut following = store.subscribe(StartFrom::Oldest);
    let storing = store.clone();
    let writer = aside(move || {
        for n in 0..5_000 {
            storing.store_sync(Event::of("a", format!("c{}", n % 7))).expect("it is stored");
        }
    });
    let mut told = 0;
    while told < 5_000 {
        match following.recv_timeout(LONG) {
            Ok(_) => told += 1,
            Err(FollowError::Missed { events }) => told += events,
            Err(error) => panic!("{error} after {told}"),
        }
    }
    writer.done();
    assert_eq!((told, following.lag()), (5_000, 0));
}

// ---- the end -----------------------------------------------------------------------------

#[test]
fn when_the_store_has_stopped_it_is_told_after_all_was_received() {
    let (store, app) = running();
    let mut following = store.subscribe(StartFrom::Oldest);
    store.store_batch(events(3)).expect("they are stored");
    drop(app);
    assert_eq!(drain_until_closed(&mut following), 3);
    assert_eq!(following.recv_timeout(LONG).expect_err("it has stopped"), FollowError::Closed);
}

#[track_caller]
fn drain_until_closed(following: &mut Subscription) -> usize {
    let mut received = 0;
    loop {
        match following.recv_timeout(LONG) {
            Ok(_) => received += 1,
            Err(FollowError::Closed) => return received,
            Err(error) => panic!("{error}"),
        }
    }
}

#[test]
fn what_the_stop_left_in_the_mailbox_is_received_before_the_end_is_told() {
    for _ in 0..200 {
        let (store, app) = running();
        let mut following = store.subscribe(StartFrom::Oldest);
        let held = hang(&store, "x");
        (0..50).for_each(|n| store.store(event(n)).expect("it is sent"));
        let stopping = aside(move || drop(app));
        let follower = aside(move || drain_until_closed(&mut following));
        drop(held);
        stopping.done();
        assert_eq!(follower.done(), 51);
    }
}

#[test]
fn one_waits_no_longer_than_he_says_by_the_clock_of_the_tree() {
    let sim = Simulation::new(1);
    let store = EventStore::in_memory();
    let mut early = store.subscribe(StartFrom::Now);
    let _app = sim.start(Supervisor::new("app").supervisor(store.supervisor())).expect("it starts");
    let mut following = store.subscribe(StartFrom::Now);
    for following in [&mut early, &mut following] {
        let waited = following.recv_timeout(3_600 * SECOND).expect_err("nothing comes");
        assert!(matches!(waited, FollowError::TimedOut { waited } if waited == 3_600 * SECOND), "{waited}");
        let waited = following.recv_by(Deadline::at(sim.now() + SECOND)).expect_err("nothing comes");
        assert_eq!(waited, FollowError::TimedOut { waited: SECOND });
    }
    let mut writer = store.writer();
    writer.store(event(0)).expect("it lies in it");
    assert_eq!(following.recv_timeout(SECOND).expect("the tick").data().as_text(), Some("0"));
    assert_eq!(following.recv_timeout(MS).expect_err("nothing comes"), FollowError::TimedOut { waited: MS });
}

// ---- checkpoints -------------------------------------------------------------------------

#[test]
fn after_a_checkpoint_one_goes_on_with_the_next() {
    let store = EventStore::builder().shards(3).in_memory();
    let _app = started(&store);
    let mut received = Vec::new();
    let mut checkpoint = store.subscribe(StartFrom::Oldest).checkpoint();
    for round in 0..30_usize {
        for n in 0..10 {
            store.store(Event::of("a", format!("c{}", (round * n) % 8))).expect("it is stored");
        }
        store.fresh().expect("it keeps up");
        let mut following = store.subscribe(StartFrom::Checkpoint(checkpoint));
        received.extend((0..round % 9).map(|_| following.try_recv().expect("it is there")));
        let text = following.checkpoint().to_string();
        checkpoint = text.parse().expect("it is one");
        assert_eq!(checkpoint.to_string(), text);
    }
    received.extend(drain(&mut store.subscribe(StartFrom::Checkpoint(checkpoint))));
    let mut numbers = ids(&received);
    numbers.sort();
    assert_eq!(numbers, (1..=300).collect::<Vec<_>>(), "each once");
}

#[test]
fn a_checkpoint_is_the_same_when_nothing_was_received_since() {
    let store = EventStore::builder().shards(2).in_memory();
    let _app = started(&store);
    let [one, two] = &one_for_each(2)[..] else { unreachable!("there are two") };
    let time = |n| SystemTime::UNIX_EPOCH + Duration::from_secs(n);
    store.store_sync(Event::of("a", one.as_str()).happened_at(time(1))).expect("it is stored");
    store.store_sync(Event::of("a", two.as_str()).happened_at(time(2))).expect("it is stored");
    let mut following = store.subscribe(StartFrom::Oldest);
    following.try_recv().expect("it is there");
    let checkpoint = following.checkpoint();
    assert_eq!(checkpoint.to_string(), "1,0");
    let again = store.subscribe(StartFrom::Checkpoint(checkpoint.clone()));
    assert_eq!(again.checkpoint(), checkpoint);
}

#[test]
fn what_went_after_a_checkpoint_is_told() {
    let store = EventStore::builder().max_events(10).in_memory();
    let _app = started(&store);
    store.store_batch(events(5)).expect("they are stored");
    let mut following = store.subscribe(StartFrom::Oldest);
    drain(&mut following);
    let checkpoint = || StartFrom::Checkpoint("5".parse().expect("it is one"));
    assert_eq!(checkpoint(), StartFrom::Checkpoint(following.checkpoint()));
    store.store_batch(events(10)).expect("they are stored");
    let received = drain(&mut store.subscribe(checkpoint()));
    assert_eq!(ids(&received), (6..=15).collect::<Vec<_>>(), "what went was received");
    store.store_batch(events(2)).expect("they are stored");
    let mut later = store.subscribe(checkpoint());
    assert_eq!(later.try_recv().expect_err("two went"), FollowError::Missed { events: 2 });
    assert_eq!(ids(&drain(&mut later)), (8..=17).collect::<Vec<_>>());
    store.prune_before_id(id(1_000)).expect("it answers");
    let mut none = store.subscribe(checkpoint());
    assert_eq!(none.try_recv().expect_err("all went"), FollowError::Missed { events: 12 });
    let after = store.subscribe(StartFrom::Now).checkpoint();
    store.store_sync(event("new")).expect("it is stored");
    assert_eq!(texts(&drain(&mut store.subscribe(StartFrom::Checkpoint(after)))), ["new"]);
}

#[test]
fn what_went_of_one_shard_after_a_checkpoint_is_told_though_another_had_come_farther() {
    let store = EventStore::builder().shards(2).max_events(4).in_memory();
    let _app = started(&store);
    let [one, two] = &one_for_each(2)[..] else { unreachable!("there are two") };
    let time = |n| SystemTime::UNIX_EPOCH + Duration::from_secs(n);
    let of = |name: &String, seconds| Event::of("a", name.as_str()).happened_at(time(seconds));
    // What happened on the second shard comes later, with a smaller number.
    store.store_sync(of(two, 9)).expect("it is stored"); // 1
    store.store_sync(of(one, 1)).expect("it is stored"); // 2
    let mut following = store.subscribe(StartFrom::Oldest);
    assert_eq!(following.try_recv().expect("it is there").id(), id(2));
    let checkpoint = following.checkpoint();
    store.store_batch((0..2).map(|_| of(two, 10))).expect("they are stored"); // 1 goes
    let mut later = store.subscribe(StartFrom::Checkpoint(checkpoint));
    let missed = later.try_recv().expect_err("1 went");
    assert_eq!(missed, FollowError::Missed { events: 1 });
    assert_eq!(ids(&drain(&mut later)), [3, 4]);
}

#[cfg(feature = "journal")]
fn open(dir: &Dir, shards: usize, memory: u64) -> EventStore {
    let journal = Journal::at(&dir.0).sync(Sync::OsDecides);
    EventStore::builder().shards(shards).max_events(memory).journal(journal).open().expect("it opens")
}

#[cfg(feature = "journal")]
proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]
    /// Lives of a store, each with its number of shards: some events, of which some are received.
    #[test]
    fn a_checkpoint_leads_on_whatever_the_number_of_shards(
        lives in prop::collection::vec((1..5_usize, prop::collection::vec((0..9_u8, 0..30_u64), 0..30), 0..30_usize, any::<bool>()), 1..7),
    ) {
        let dir = Dir::new("checkpoint");
        let (mut checkpoint, mut received, mut stored) = (None::<Checkpoint>, Vec::new(), Vec::new());
        for (shards, all, receives, twice) in lives {
            let store = open(&dir, shards, 100_000);
            let app = started(&store);
            for (name, second) in all {
                let time = SystemTime::UNIX_EPOCH + Duration::from_secs(second);
                let event = Event::of("a", format!("c{name}")).happened_at(time);
                stored.push(store.store_sync(event).expect("it is stored").get());
            }
            for receives in if twice { vec![0, receives] } else { vec![receives] } {
                let from = checkpoint.map_or(StartFrom::Oldest, StartFrom::Checkpoint);
                let mut following = store.subscribe(from);
                received.extend((0..receives).map_while(|_| following.try_recv().ok()));
                checkpoint = Some(following.checkpoint().to_string().parse().expect("it is one"));
            }
            drop(app);
        }
        let store = open(&dir, 2, 100_000);
        let from = checkpoint.map_or(StartFrom::Oldest, StartFrom::Checkpoint);
        received.extend(drain(&mut store.subscribe(from)));
        let mut numbers = ids(&received);
        numbers.sort();
        prop_assert_eq!(numbers, stored);
    }
}

#[cfg(feature = "journal")]
#[test]
fn what_a_journal_has_no_more_after_a_checkpoint_is_told() {
    let dir = Dir::new("retained");
    let open = || {
        let journal = Journal::at(&dir.0).sync(Sync::OsDecides).segment_bytes(64 << 10);
        EventStore::builder().journal(journal.retain_bytes(Some(128 << 10))).open().expect("it opens")
    };
    let (store, sim) = (open(), Simulation::new(1));
    let app = sim.start(store.supervisor()).expect("it starts");
    store.store_sync(event(0)).expect("it is stored");
    let mut following = store.subscribe(StartFrom::Oldest);
    following.try_recv().expect("it is there");
    let checkpoint = following.checkpoint();
    (0..500).for_each(|_| _ = store.store_sync(event("d".repeat(1_000))).expect("it is stored"));
    sim.advance(20 * SECOND); // old segments are looked for now and then
    drop((app, sim, store, following));
    let store = open();
    let oldest = store.published().query(&Query::new()).expect("it makes sense").entries[0].id().get();
    assert!(oldest > 2, "the journal has deleted some");
    let mut later = store.subscribe(StartFrom::Checkpoint(checkpoint));
    let missed = later.try_recv().expect_err("they are deleted");
    assert_eq!(missed, FollowError::Missed { events: oldest - 2 });
    assert_eq!(later.try_recv().expect("it is there").id().get(), oldest);
    let mut oldest = store.subscribe(StartFrom::Oldest);
    let from = StartFrom::Checkpoint(oldest.checkpoint());
    assert_eq!(ids(&drain(&mut oldest)), ids(&drain(&mut store.subscribe(from))), "nothing is missed");
}
