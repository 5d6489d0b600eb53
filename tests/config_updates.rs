//! Updates: what they make, what they refuse, and that a refusal changes nothing.
#![cfg(feature = "config")]

mod common;
mod config_common;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use common::{Latch, Log, SECOND, aside, eventually, patient};
use config_common::{App, layers, load, running, soft_and_hard, start};
use serde_json::{Value, json};
use underpin::config::{Changes, Config, ConfigEvent, Layers, Sink, Ticket, UpdateError};
use underpin::{Clock, DEFAULT_CAPACITY, Deadline, Supervisor};

fn text(result: Result<u64, UpdateError>) -> String {
    result.expect_err("it is refused").to_string()
}

// ---- what is made ------------------------------------------------------------------------

#[test]
fn an_update_returns_the_version_that_it_made() {
    let (config, _tree) = running(layers());
    assert_eq!(config.update("workers", 3).expect("a version"), 2);
    assert_eq!(config.update("hosts", json!({"a": 1})).expect("a version"), 3);
    assert_eq!(config.update("hosts", json!({"b": 2})).expect("a version"), 4);
    assert_eq!(config.get("hosts"), Ok(json!({"b": 2})), "a table replaces a table");
    assert_eq!(config.version(), 4);
}

#[test]
fn several_paths_are_updated_together_or_not_at_all() {
    let (config, _tree) = running(layers());
    assert_eq!(config.update_many(soft_and_hard(30, 40)).expect("a version"), 2);
    assert!(config.update("limits.soft", 50).is_err(), "alone it is over the hard limit");
    let half = Changes::new().set("workers", 3).set("limits.soft", 50);
    assert!(matches!(config.update_many(half), Err(UpdateError::Invalid(_))));
    let half = Changes::new().set("workers", 3).set("no such", 1);
    assert!(matches!(config.update_many(half), Err(UpdateError::Path(_))));
    assert_eq!((config.load().workers, config.version()), (2, 2));
}

#[test]
fn of_two_changes_of_one_place_the_later_counts() {
    let (config, _tree) = running(layers());
    let changes = Changes::new().set("workers", 3).set("workers", 4).set("hosts.a", 1).remove("hosts.a");
    config.update_many(changes).expect("a version");
    assert_eq!((config.load().workers, config.load().hosts.len()), (4, 0));
}

#[test]
fn modify_changes_the_whole_and_says_only_what_differs() {
    let (config, _tree) = running(layers());
    let mut told = config.subscribe("").expect("a path");
    let version = config.modify(|app| {
        app.workers += 1;
        app.limits.hard = 99;
        app.hosts.insert("a.example".into(), 1);
        app.tags.push("t".into());
    });
    assert_eq!(version.expect("a version"), 2);
    let paths: Vec<_> =
        told.try_recv().expect("a notice").changes.iter().map(|c| c.path.to_string()).collect();
    assert_eq!(paths, [r#"hosts."a.example""#, "limits.hard", "tags", "workers"]);
    config.modify(|app| app.hosts.clear()).expect("a version");
    assert!(config.load().hosts.is_empty());
    assert!(matches!(config.modify(|app| app.workers = 0), Err(UpdateError::Invalid(_))));
}

#[test]
fn a_modification_that_panics_panics_at_its_caller_and_changes_nothing() {
    let (config, _tree) = running(layers());
    let other = config.clone();
    let panics = std::thread::spawn(move || other.modify(|_| common::panic_quietly("in the closure")));
    assert!(panics.join().is_err());
    assert_eq!(config.update("workers", 3).expect("a version"), 2);
}

#[test]
fn an_update_whose_version_is_not_in_force_is_a_conflict() {
    let (config, _tree) = running(layers());
    assert_eq!(config.compare_and_update(1, "workers", 3).expect("a version"), 2);
    let conflict = config.compare_and_update(1, "workers", 4);
    assert!(matches!(conflict, Err(UpdateError::Conflict { expected: 1, present: 2 })));
    assert_eq!(text(conflict), "version 1 was expected, and version 2 is in force");
    assert!(config.compare_and_update(3, "workers", 4).is_err(), "a version that is still to come");
    let many = config.compare_and_update_many(2, soft_and_hard(1, 2)).expect("a version");
    assert_eq!((many, config.load().workers), (3, 3));
}

// ---- under contention --------------------------------------------------------------------

fn add_one(config: &Config<App>) {
    loop {
        let now = config.snapshot();
        match config.compare_and_update(now.version(), "workers", now.workers + 1) {
            Ok(_) => return,
            Err(UpdateError::Conflict { .. }) => {}
            Err(error) => panic!("{error}"),
        }
    }
}

#[test]
fn twenty_threads_that_compare_and_update_reach_the_exact_sum() {
    const EACH: u64 = 15;
    let (config, _tree) = running(layers());
    std::thread::scope(|scope| {
        for _ in 0..20 {
            scope.spawn(|| (0..EACH).for_each(|_| add_one(&config)));
        }
    });
    assert_eq!((config.load().workers, config.version()), (2 + 20 * EACH, 1 + 20 * EACH));
}

#[test]
fn nothing_is_lost_when_many_threads_modify() {
    const EACH: u64 = 25;
    let (config, _tree) = running(layers());
    std::thread::scope(|scope| {
        for thread in 0..6 {
            let config = &config;
            scope.spawn(move || {
                for turn in 0..EACH {
                    let changed = config.modify(|app| {
                        app.workers += 1;
                        app.hosts.insert(format!("{thread}-{turn}"), turn);
                    });
                    changed.expect("a version");
                }
            });
        }
    });
    let app = config.load();
    assert_eq!((app.workers, app.hosts.len() as u64), (2 + 6 * EACH, 6 * EACH));
}

// ---- what is refused ---------------------------------------------------------------------

#[test]
fn a_refusal_says_what_is_wrong() {
    let (config, _tree) = running(layers());
    let faults = text(config.update_many(Changes::new().set("workers", 0).set("limits.soft", 21)));
    assert!(faults.starts_with("the update is not valid:\n"), "{faults}");
    assert!(faults.contains("workers: expected 1"), "{faults}");
    assert!(faults.contains("found 0 (the update to version 2)"), "{faults}");
    assert!(faults.contains("limits.soft: "), "all faults at once: {faults}");
    assert!(text(config.update("workers", "many")).contains("workers: expected an integer"));
    assert_eq!(text(config.update("wrokers", 3)), "wrokers: there is no such setting");
    assert_eq!(
        text(config.update("limits", json!({"soft": 1, "hard": 2, "firm": 3}))),
        "limits.firm: there is no such setting"
    );
    assert!(config.update("workers.x", 1).is_err() && config.update("tags.0", "t").is_err());
    let faults = text(config.update_many(Changes::new().remove("workers")));
    assert!(faults.contains("workers: expected"), "its type has no default: {faults}");
    assert!(matches!(config.update("name", Unwritable), Err(UpdateError::NotSerialisable { .. })));
    assert_eq!(config.version(), 1);
}

struct Unwritable;

impl serde::Serialize for Unwritable {
    fn serialize<S: serde::Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
        Err(serde::ser::Error::custom("cannot be written"))
    }
}

#[test]
fn a_path_has_fifty_segments_and_a_value_a_mebibyte() {
    let config: Config<Value> =
        Layers::new().defaults(json!({"text": "", "list": []})).load().expect("valid");
    let _tree = start(patient("tree"), &config);
    let deep = |segments: usize| vec!["a"; segments].join(".");
    assert_eq!(config.update(&deep(50), 1).expect("fifty will do"), 2);
    assert_eq!(text(config.update(&deep(51), 1)), "a path has at most 50 segments, not 51");
    let nested = |depth: usize| (0..depth).fold(json!(1), |inner, _| json!({ "a": inner }));
    let faults = text(config.update("b", nested(50)));
    assert!(faults.ends_with("nests too deep: a path has at most 50 segments, not 51"), "{faults}");
    config.update("b", nested(49)).expect("fifty with the key");
    let long = |bytes: usize| "s".repeat(bytes);
    config.update("text", long((1 << 20) - 2)).expect("a mebibyte with its quotes");
    assert_eq!(
        text(config.update("text", long((1 << 20) - 1))),
        "text: a value has at most 1048576 bytes, not 1048577"
    );
    assert!(config.update_async("text", long(1 << 20), SECOND).is_err());
    assert_eq!(config.version(), 4);
}

#[test]
fn modify_obeys_the_same_limits() {
    let (config, _tree) = running(layers());
    let refused = config.modify(|app| app.name = "s".repeat(1 << 20));
    assert_eq!(text(refused), "name: a value has at most 1048576 bytes, not 1048578");
    assert_eq!(config.version(), 1);
}

// ---- not waited for ----------------------------------------------------------------------

#[test]
fn a_ticket_tells_what_came_of_its_update() {
    let (config, _tree) = running(layers());
    let made = config.update_async("workers", 3, SECOND).expect("it is taken");
    let refused = config.update_async("workers", 0, SECOND).expect("it is taken");
    assert_eq!(made.wait().expect("a version"), 2);
    assert!(matches!(refused.wait_by(Deadline::after(10 * SECOND)), Err(UpdateError::Invalid(_))));
    let garbage = config.update_async("a..b", 3, SECOND);
    assert!(matches!(garbage, Err(UpdateError::Path(_))), "that is known at once");
}

#[test]
fn an_update_whose_ticket_is_dropped_is_made_all_the_same() {
    let (config, _tree) = running(layers());
    drop(config.update_async("workers", 3, 10 * SECOND).expect("it is taken"));
    config.update("limits.hard", 30).expect("made after it");
    assert_eq!((config.load().workers, config.version()), (3, 3));
}

#[test]
fn a_ticket_waits_for_the_service_to_start_and_for_ever_if_that_is_said() {
    let config = load(layers());
    let forever = config.update_async("workers", 3, Duration::MAX).expect("it is taken");
    assert!(!forever.is_ready());
    let _tree = start(patient("tree"), &config);
    assert_eq!(forever.wait().expect("a version"), 2);
}

#[test]
fn a_ticket_that_expired_while_the_service_was_down_is_not_made() {
    let config = load(layers());
    let expired = config.update_async("workers", 3, Duration::ZERO).expect("it is taken");
    let valid = config.update_async("limits.hard", 30, 60 * SECOND).expect("it is taken");
    let _tree = start(patient("tree"), &config);
    assert!(matches!(expired.wait(), Err(UpdateError::Expired)));
    assert_eq!(valid.wait().expect("a version"), 2);
    assert_eq!(config.load().workers, 2);
}

#[test]
fn updates_wait_in_order_for_the_service_to_start() {
    let config = load(layers());
    let other = config.clone();
    let early = aside(move || other.update("workers", 3));
    let _tree = start(patient("tree"), &config);
    assert_eq!(early.done().expect("a version"), 2);
}

// ---- the service -------------------------------------------------------------------------

#[test]
fn a_second_service_of_one_configuration_is_refused_at_its_start() {
    let (config, tree) = running(layers().name("settings"));
    let refused = Supervisor::new("other").child(config.child()).start().expect_err("it is refused");
    assert!(format!("{refused:?}").contains("the config `settings` has its service already"), "{refused:?}");
    assert_eq!(config.update("workers", 3).expect("the first goes on"), 2);
    assert!(tree.shutdown(5 * SECOND).is_clean());
}

#[test]
fn clones_are_the_same_configuration() {
    let (config, _tree) = running(layers());
    let other = config.clone();
    other.update("workers", 3).expect("a version");
    assert_eq!((config.load().workers, config.version()), (3, 2));
    assert_eq!(format!("{config:?}"), r#"Config { name: "config", version: 2 }"#);
}

/// Holds the config service at the first event.
struct Hold(Latch, Latch, AtomicBool);

impl Sink for Hold {
    fn event(&self, _: &ConfigEvent) {
        if !self.2.swap(true, Ordering::SeqCst) {
            self.0.open();
            self.1.wait();
        }
    }
}

/// Has the config service busy with an update of the hard limit to 30 until the latch opens.
fn busy(config: &Config<App>) -> (Latch, Ticket) {
    let (inside, release) = (Latch::new(), Latch::new());
    config.set_sink(Arc::new(Hold(inside.clone(), release.clone(), AtomicBool::new(false))));
    let ticket = config.update_async("limits.hard", 30, 60 * SECOND).expect("it is taken");
    inside.wait();
    (release, ticket)
}

#[test]
fn an_update_that_was_not_made_in_time_is_not_made_later() {
    let config = load(layers());
    let (clock, hand) = Clock::manual();
    let _tree = start(patient("tree").clock(clock), &config);
    let (release, ticket) = busy(&config);
    let other = config.clone();
    let late = aside(move || other.update("workers", 3));
    eventually("it gave up", || {
        hand.advance(SECOND);
        late.is_done()
    });
    assert!(matches!(late.done(), Err(UpdateError::TimedOut)));
    release.open();
    assert_eq!(ticket.wait().expect("a version"), 2);
    config.update("name", "next").expect("a version");
    assert_eq!((config.load().workers, config.version()), (2, 3));
}

#[test]
fn an_update_that_the_mailbox_has_no_room_for_is_not_taken() {
    let config = load(layers());
    let (clock, hand) = Clock::manual();
    let _tree = start(patient("tree").clock(clock), &config);
    let (release, held) = busy(&config);
    let update = |config: &Config<App>, workers| config.update_async("workers", workers, Duration::MAX);
    let room = DEFAULT_CAPACITY as u64;
    let queued: Vec<_> = (1..=room).map(|workers| update(&config, workers).expect("it is taken")).collect();
    let other = config.clone();
    let late = aside(move || update(&other, 9999).map(|_| ()));
    eventually("it gave up", || {
        hand.advance(SECOND);
        late.is_done()
    });
    let refused = late.done().expect_err("there is no room");
    assert!(matches!(refused, UpdateError::NotTaken { .. }), "{refused}");
    release.open();
    assert_eq!(held.wait().expect("a version"), 2);
    let last = queued.into_iter().map(|ticket| ticket.wait().expect("a version")).last();
    assert_eq!((last, config.load().workers, config.version()), (Some(2 + room), room, 2 + room));
}

/// Updates out of the thread of the config service.
struct Updating(Config<App>, Log<String>);

impl Sink for Updating {
    fn event(&self, _: &ConfigEvent) {
        let refused = self.0.update("workers", 9).expect_err("it would wait for itself");
        self.1.push(refused.to_string());
    }
}

#[test]
fn an_update_from_within_an_update_is_refused_and_does_not_hang() {
    let (config, _tree) = running(layers());
    let refusals = Log::new();
    config.set_sink(Arc::new(Updating(config.clone(), refusals.clone())));
    assert_eq!(config.update("workers", 3).expect("a version"), 2);
    let refusal = refusals.wait(|_| true);
    assert!(refusal.starts_with("the config service did not take the update: "), "{refusal}");
    assert_eq!((config.load().workers, config.version()), (3, 2));
}
