//! Publication, and reading what was published.

use super::*;
use crate::sync::{AtomicU64, Ordering};
use crate::testing::Solo;

/// A life that was given up has an update in hand, and so has its successor: both are made, one
/// after the other.
fn two_lives() {
    let world = World::new();
    let given_up = thread({
        let world = world.clone();
        move || world.set("a", 1)
    });
    let next = world.set("b", 1);
    let mut made = [joined(given_up), next];
    made.sort_unstable();
    assert_eq!(made, [2, 3]);
    assert_eq!(*world.config.snapshot().document(), json!({"a": 1, "b": 1}));
    assert_eq!((world.config.versions(), world.config.version()), ((1, 3), 3));
}

/// Both have an update of version 1 in hand: one of them is made.
fn two_lives_of_one_version() {
    let world = World::new();
    let given_up = thread({
        let world = world.clone();
        move || world.board.carry_out(&set_at("a", 1, Some(1)), &Clock::SYSTEM)
    });
    let next = world.board.carry_out(&set_at("a", 2, Some(1)), &Clock::SYSTEM);
    let value = match (joined(given_up), next) {
        (Ok(2), Err(UpdateError::Conflict { expected: 1, present: 2 })) => 1,
        (Err(UpdateError::Conflict { expected: 1, present: 2 }), Ok(2)) => 2,
        both => panic!("{both:?}"),
    };
    assert_eq!(world.config.get_as::<u64>("a"), Ok(value));
}

/// A client of the real service, who looks in every way when he has the reply.
fn reply() {
    let config = World::new().config.clone();
    let (service, mut solo) = Solo::new(config.child());
    let client = thread(move || {
        let (mut reader, mut key) = (config.reader(), config.key::<u64>("a").expect("it is there"));
        assert_eq!(config.update("a", 1).expect("a valid update"), 2);
        assert_eq!((config.load()["a"].as_u64(), config.version()), (Some(1), 2));
        assert_eq!(reader.get_versioned().1, 2);
        assert_eq!((key.get(), config.get_as::<u64>("a")), (Ok(&1), Ok(1)));
        service.stop().expect("it stops");
    });
    drop(solo.run());
    joined(client);
}

/// Whom somebody who got the reply tells of it, in whatever way, reads it too.
fn hearsay() {
    let world = World::new();
    let heard = Arc::new(AtomicU64::new(0));
    let mut reader = world.config.reader();
    let service = thread({
        let (world, heard) = (world.clone(), Arc::clone(&heard));
        move || heard.store(world.set("a", 1), Ordering::Release)
    });
    let heard = heard.load(Ordering::Acquire);
    assert!(reader.get_versioned().1 >= heard);
    assert!(world.config.load().version() >= heard);
    joined(service);
}

/// Versions are published by two lives. Who reads in turns in every way sees none that is older than
/// what it saw before, and a version that it sees again is the same.
fn reading() {
    let world = World::new();
    let (mut reader, mut key) = (world.config.reader(), world.config.key::<u64>("a").expect("it is there"));
    let lives = ["a", "b"].map(|path| {
        let world = world.clone();
        thread(move || world.set(path, 1))
    });
    let mut seen = (1, json!({"a": 0, "b": 0}));
    let mut saw = |version: u64, value: &Value| {
        assert!(version >= seen.0, "back from {} to {version}", seen.0);
        assert!(version > seen.0 || *value == seen.1, "version {version} was another");
        seen = (version, value.clone());
    };
    let mut was = 0;
    for _ in 0..2 {
        let guard = world.config.load();
        saw(guard.version(), &guard);
        let (value, version) = reader.get_versioned();
        saw(version, value);
        let least = value["a"].as_u64().expect("a number").max(was);
        was = *key.get().expect("it is there");
        assert!(was >= least, "back from {least} to {was}");
    }
    lives.into_iter().for_each(|life| {
        joined(life);
    });
    assert_eq!(reader.get_versioned(), (&json!({"a": 1, "b": 1}), 3));
}

/// Who looks a value up by its path, and keeps what it saw, finds nothing older than what it has read
/// in another way, nor than what it found before.
fn looking_up() {
    let world = World::new();
    let look_up = || world.config.get_as::<u64>("a").expect("it is there");
    assert_eq!(look_up(), 0);
    let service = thread({
        let world = world.clone();
        move || world.set("a", 1)
    });
    for _ in 0..2 {
        let found = look_up();
        let read = world.config.load()["a"].as_u64().expect("a number");
        assert!(read >= found, "back from {found} to {read}");
        assert!(look_up() >= read, "back from {read}");
    }
    joined(service);
    assert_eq!(look_up(), 1);
}

#[test]
fn two_lives_make_two_versions() {
    holds("two lives", two_lives);
}

#[test]
fn one_of_two_lives_makes_what_only_one_may() {
    holds("two lives of one version", two_lives_of_one_version);
}

#[test]
fn a_life_that_overtakes_blindly_is_found() {
    finds(Mutant::OvertakeBlindly, two_lives);
}

#[test]
fn a_life_that_overtakes_blindly_is_found_where_only_one_may() {
    finds(Mutant::OvertakeBlindly, two_lives_of_one_version);
}

#[test]
fn who_got_the_reply_reads_the_version() {
    holds("reply", reply);
}

#[test]
fn a_reply_before_the_publication_is_found() {
    finds(Mutant::ReplyFirst, reply);
}

#[test]
fn who_heard_of_the_reply_reads_the_version() {
    holds("hearsay", hearsay);
}

#[test]
fn no_reader_goes_back() {
    holds("reading", reading);
}

#[test]
fn a_version_that_is_made_twice_is_found_by_who_reads() {
    finds(Mutant::OvertakeBlindly, reading);
}

#[test]
fn who_looks_up_by_path_finds_nothing_older_than_it_has_read() {
    holds("looking up", looking_up);
}

#[test]
fn a_version_that_is_announced_late_is_found() {
    finds(Mutant::AnnounceLate, looking_up);
}

#[test]
fn a_version_that_is_kept_under_the_number_of_the_next_is_found() {
    finds(Mutant::KeepUnderNewest, looking_up);
}
