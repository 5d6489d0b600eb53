//! Reading a configuration: whole, whatever becomes of its service, and never back.
#![cfg(feature = "config")]

mod common;
mod config_common;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use common::{Latch, Log, SECOND, aside, eventually, patient};
use config_common::{App, app, crash, layers, load, running, soft_and_hard, start};
use proptest::prelude::*;
use serde_json::json;
use underpin::config::{Config, ConfigEvent, GetError, Origin, Sink, UpdateError};
use underpin::{Backoff, Clock};

/// Everything that reads, once.
#[track_caller]
fn read_all(config: &Config<App>, workers: u64, version: u64) {
    let guard = config.load();
    assert_eq!((guard.workers, guard.version()), (workers, version));
    let mut reader = config.reader();
    assert_eq!(reader.get().workers, workers);
    assert_eq!(reader.get_versioned().1, version);
    let snapshot = config.snapshot();
    assert_eq!((snapshot.value().workers, snapshot.version()), (workers, version));
    assert_eq!(snapshot.document()["workers"], workers);
    assert!(!snapshot.is_degraded() && snapshot.degraded().is_none());
    assert_eq!(config.get("workers"), Ok(json!(workers)));
    assert_eq!(config.get_as::<u64>("workers"), Ok(workers));
    assert_eq!(config.key::<u64>("workers").expect("it is there").get(), Ok(&workers));
    assert_eq!(config.version(), version);
    assert_eq!(config.versions().1, version);
    assert_eq!(config.diff(version, version).expect("it is kept"), []);
    assert!(config.origin("workers").is_ok());
    assert!(config.subscribe("workers").expect("a path").try_recv().is_none());
}

// ---- without the service -----------------------------------------------------------------

#[test]
fn everything_is_read_before_the_service_is_started() {
    read_all(&load(layers()), 2, 1);
}

#[test]
fn everything_is_read_while_the_service_waits_for_its_restart() {
    let config = load(layers());
    let _tree = start(patient("tree").backoff(Backoff::exponential(60 * SECOND, 60 * SECOND)), &config);
    assert_eq!(config.update("workers", 3).expect("a version"), 2);
    crash(&config);
    let begun = Instant::now();
    read_all(&config, 3, 2);
    assert!(begun.elapsed() < 30 * SECOND, "nobody waited for the restart");
}

#[test]
fn everything_is_read_after_the_service_is_gone() {
    let (config, tree) = running(layers());
    config.update("workers", 3).expect("a version");
    assert!(tree.shutdown(5 * SECOND).is_clean());
    read_all(&config, 3, 2);
    assert!(matches!(config.update("workers", 4), Err(UpdateError::Stopped)));
    read_all(&config, 3, 2);
}

/// Holds the config service at an event.
struct Holding(Latch, Latch);

impl Sink for Holding {
    fn event(&self, _: &ConfigEvent) {
        self.0.open();
        self.1.wait();
    }
}

#[test]
fn everything_is_read_while_the_service_hangs() {
    let (config, _tree) = running(layers());
    let (inside, release) = (Latch::new(), Latch::new());
    config.set_sink(Arc::new(Holding(inside.clone(), release.clone())));
    let other = config.clone();
    let update = aside(move || other.update("workers", 3));
    inside.wait();
    read_all(&config, 3, 2);
    release.open();
    assert_eq!(update.done().expect("a version"), 2);
}

// ---- what is read ------------------------------------------------------------------------

#[test]
fn the_age_of_a_version_is_the_time_since_it_was_published() {
    let config = load(layers());
    let (clock, hand) = Clock::manual();
    let _tree = start(patient("tree").clock(clock), &config);
    config.update("workers", 3).expect("a version");
    assert!(config.snapshot().age().is_zero());
    hand.advance(7 * SECOND);
    let old = config.snapshot();
    assert_eq!(old.age(), 7 * SECOND);
    config.update("workers", 4).expect("a version");
    hand.advance(SECOND);
    assert_eq!((config.snapshot().age(), old.age()), (SECOND, 8 * SECOND));
}

#[test]
fn what_was_read_stays_as_it_is() {
    let (config, _tree) = running(layers());
    let (guard, snapshot) = (config.load(), config.snapshot());
    config.update("workers", 3).expect("a version");
    assert_eq!((guard.workers, guard.version()), (2, 1));
    assert_eq!((snapshot.workers, snapshot.version()), (2, 1));
    assert_eq!(snapshot.clone().document()["workers"], 2);
    assert_eq!(config.load().workers, 3);
}

#[test]
fn a_reader_and_a_key_see_each_new_version_at_once() {
    let (config, _tree) = running(layers());
    let (mut reader, mut key) = (config.reader(), config.key::<u64>("limits.hard").expect("it is there"));
    let mut copy = key.clone();
    for hard in [30, 40, 50] {
        let version = config.update("limits.hard", hard).expect("a version");
        assert_eq!((reader.get_versioned().0.limits.hard, reader.get_versioned().1), (hard, version));
        assert_eq!((key.get(), copy.get()), (Ok(&hard), Ok(&hard)));
    }
}

#[test]
fn a_key_whose_value_vanishes_says_so_until_it_is_back() {
    let (config, _tree) = running(layers());
    config.update("hosts.a", 1).expect("a version");
    let mut key = config.key::<u64>("hosts.a").expect("it is there");
    config.update_many(underpin::config::Changes::new().remove("hosts.a")).expect("a version");
    assert_eq!(key.get().expect_err("it is gone").to_string(), "hosts.a: expected a value, found none");
    config.update("hosts.b", 7).expect("a version");
    assert!(key.get().is_err());
    config.update("hosts.a", 2).expect("a version");
    assert_eq!(key.get(), Ok(&2));
}

#[test]
fn what_cannot_be_read_says_why() {
    let config = load(layers());
    let text = |error: GetError| error.to_string();
    assert_eq!(text(config.get("nothing").unwrap_err()), "nothing: expected a value, found none");
    assert!(matches!(config.get("a..b"), Err(GetError::Path(_))));
    assert!(matches!(config.get(""), Err(GetError::Path(_))));
    let mismatch = config.get_as::<bool>("limits.soft").unwrap_err();
    assert_eq!(mismatch.to_string(), "limits.soft: expected true or false, found 10");
    assert!(config.key::<bool>("limits.soft").is_err());
    assert!(config.key::<u64>("limits.none").is_err());
    assert!(matches!(config.origin("limits.none"), Err(GetError::NotThere { .. })));
    assert_eq!(config.origin("limits.soft"), Ok(Origin::Default));
}

proptest! {
    #[test]
    fn a_garbage_path_is_an_error_and_no_panic(path in ".*", dotted in "[a-z.\"\\\\ 0-9]{0,40}") {
        let config = load(layers());
        for path in [&path, &dotted] {
            prop_assert!(config.get(path).is_err() || config.origin(path).is_ok());
            let _ = (config.get_as::<u64>(path), config.key::<u64>(path).map(|_| ()), config.subscribe(path));
        }
    }
}

// ---- while others write ------------------------------------------------------------------

/// Reads until `enough`, by turns through what looks at the store and through what keeps a version.
fn read_pairs(config: &Config<App>, enough: u64) -> u64 {
    let (mut reader, mut last, mut versions) = (config.reader(), 0, 0);
    for turn in 0..enough {
        let (soft, hard, version) = if turn % 8 == 0 {
            let guard = config.load();
            (guard.limits.soft, guard.limits.hard, guard.version())
        } else {
            let (app, version) = reader.get_versioned();
            (app.limits.soft, app.limits.hard, version)
        };
        assert_eq!(hard, soft + 10, "a torn pair");
        assert!(version >= last, "version {version} after {last}");
        versions += u64::from(version > last);
        last = version;
    }
    versions
}

/// 10^7 reads take about 1 s in a debug build on two cores.
#[test]
fn ten_million_reads_of_two_paths_see_no_torn_pair_while_both_are_updated() {
    const READS: u64 = 10_000_000;
    let (config, _tree) = running(layers());
    let is_over = Arc::new(AtomicBool::new(false));
    let (writing, over) = (config.clone(), Arc::clone(&is_over));
    let writer = aside(move || {
        let mut written = 0;
        while !over.load(Ordering::Relaxed) {
            written += 1;
            writing.update_many(soft_and_hard(written, written + 10)).expect("a version");
        }
        written
    });
    eventually("the writer writes", || config.version() > 1);
    let begun = Instant::now();
    let readers: Vec<_> = (0..2)
        .map(|_| {
            let config = config.clone();
            std::thread::spawn(move || read_pairs(&config, READS / 2))
        })
        .collect();
    let seen: Vec<u64> = readers.into_iter().map(|reader| reader.join().expect("no torn pair")).collect();
    is_over.store(true, Ordering::Relaxed);
    let written = writer.done();
    println!("{READS} reads in {:?}; {written} updates, {seen:?} versions seen", begun.elapsed());
    assert!(written > 100 && seen.iter().all(|versions| *versions > 10), "{written}, {seen:?}");
}

#[test]
fn whoever_got_the_reply_reads_what_he_wrote_on_any_thread() {
    let (config, _tree) = running(layers());
    let versions: Log<u64> = Log::new();
    let writers: Vec<_> = (0..4)
        .map(|_| {
            let (config, versions) = (config.clone(), versions.clone());
            std::thread::spawn(move || {
                let mut reader = config.reader();
                for hosts in 0..50_u64 {
                    let version = config.update("hosts.x", hosts).expect("a version");
                    assert!(config.load().version() >= version && reader.get_versioned().1 >= version);
                    assert!(config.snapshot().version() >= version);
                    versions.push(version);
                }
            })
        })
        .collect();
    writers.into_iter().for_each(|writer| writer.join().expect("it reads what it wrote"));
    let mut versions = versions.all();
    versions.sort_unstable();
    assert_eq!(versions, (2..=201).collect::<Vec<_>>(), "each update is a version of its own");
    assert_eq!(app().workers, config.load().workers);
}
