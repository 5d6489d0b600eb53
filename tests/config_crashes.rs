//! Crashes of the config service: nothing that was published is lost, and nobody who reads notices.
#![cfg(feature = "config")]

mod common;
mod config_common;

use std::cell::Cell;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use common::{LONG, SECOND, panic_quietly, patient};
use config_common::{Clerk, Letter, crash, layers, running, saboteur, soft_and_hard, start};
use serde::{Deserialize, Serialize};
use underpin::child;
use underpin::config::{Changes, Checks, Config, Layers, Silence, UpdateError, Validate};

// ---- settings that crash the service -----------------------------------------------------

/// Where the next crash is to be.
static MOMENT: AtomicU8 = AtomicU8::new(NOWHERE);
const NOWHERE: u8 = 0;
/// When somebody is asked about a draft: nothing has happened.
const DRAFTED: u8 = 1;
/// When it was published and the oldest is forgotten: nobody was told.
const PUBLISHED: u8 = 2;

thread_local! {
    /// The thread is the config service's.
    static SERVES: Cell<bool> = const { Cell::new(false) };
}

/// A pair of counters.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Pair {
    one: u64,
    two: u64,
}

fn crash_at(moment: u8) {
    let is_it = || MOMENT.compare_exchange(moment, NOWHERE, Ordering::SeqCst, Ordering::SeqCst).is_ok();
    if SERVES.get() && !std::thread::panicking() && is_it() {
        panic_quietly("as told");
    }
}

impl Validate for Pair {
    fn validate(&self, checks: &mut Checks) {
        checks.that("two", self.one == self.two, "the same as `one`");
    }
}

impl Drop for Pair {
    fn drop(&mut self) {
        crash_at(PUBLISHED);
    }
}

fn both(value: u64) -> Changes {
    Changes::new().set("one", value).set("two", value)
}

/// A configuration of pairs at its version 2. It keeps two, so that from here on each publication drops
/// one that nobody else holds.
fn pairs() -> (Config<Pair>, underpin::SupervisorHandle) {
    pairs_of(Layers::new().defaults(Pair { one: 0, two: 0 }))
}

fn pairs_of(layers: Layers) -> (Config<Pair>, underpin::SupervisorHandle) {
    let config: Config<Pair> = layers.history(2, None).load().expect("valid");
    let juror = child("juror", || Clerk::juror(|_, reply| reply.send(Ok(()))));
    let clerk = juror.handle();
    let tree = start(patient("tree").child(juror), &config);
    // What makes the question runs on the thread of the config service.
    let asked = config.ask_before("one", &clerk, Silence::Refuses, |proposed, reply| {
        SERVES.set(true);
        crash_at(DRAFTED);
        Letter::Asked(proposed, reply)
    });
    asked.expect("a path");
    config.reset().expect("a version");
    (config, tree)
}

/// One test after the other: they share the moment.
static TURN: std::sync::Mutex<()> = std::sync::Mutex::new(());

fn turn() -> std::sync::MutexGuard<'static, ()> {
    TURN.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

// ---- a crash -----------------------------------------------------------------------------

#[test]
fn a_crash_before_the_publication_changes_nothing_and_the_caller_is_told() {
    let _turn = turn();
    let (config, _tree) = pairs();
    config.update_many(both(1)).expect("a version");
    MOMENT.store(DRAFTED, Ordering::SeqCst);
    assert!(matches!(config.update_many(both(2)), Err(UpdateError::Crashed)));
    assert_eq!((config.load().one, config.version()), (1, 3));
    assert_eq!(config.update_many(both(3)).expect("the next life goes on"), 4);
}

#[test]
fn what_was_published_in_a_crash_is_in_force_and_told_by_the_next_life() {
    let _turn = turn();
    let (config, _tree) = pairs();
    let mut told = config.subscribe("one").expect("a path");
    MOMENT.store(PUBLISHED, Ordering::SeqCst);
    let crashed = config.update_many(both(7));
    assert!(matches!(crashed, Err(UpdateError::Crashed)), "it may have been made: {crashed:?}");
    assert_eq!((config.load().one, config.version()), (7, 3), "and it was");
    let notice = told.recv_timeout(LONG).expect("the next incarnation tells");
    assert_eq!((notice.version, notice.changes.len()), (3, 1));
    assert_eq!(config.update_many(both(8)).expect("a version"), 4);
    assert_eq!(told.recv_timeout(LONG).expect("a notice").version, 4);
}

#[test]
fn a_crash_loses_neither_history_nor_layers_nor_updates() {
    let (config, _tree) = running(layers().override_value("--hard", "limits.hard", 50));
    config.update("workers", 3).expect("a version");
    config.update_many(soft_and_hard(60, 70)).expect("a version");
    crash(&config);
    assert_eq!((config.version(), config.versions()), (3, (1, 3)));
    assert_eq!(config.rollback(2).expect("a version"), 4);
    assert_eq!((config.load().workers, config.load().limits.hard), (3, 50));
    crash(&config);
    config.reset().expect("a version");
    assert_eq!((config.load().workers, config.load().limits.hard), (2, 50));
}

#[test]
fn a_reload_that_met_a_crash_is_not_forgotten() {
    let _turn = turn();
    for (moment, published) in [(DRAFTED, 0), (PUBLISHED, 5)] {
        let file = std::env::temp_dir().join(format!("underpin-crash-{}-reload.toml", std::process::id()));
        std::fs::write(&file, "one = 0\ntwo = 0\n").expect("it can be written");
        let (config, _tree) = pairs_of(Layers::new().file(&file));
        std::fs::write(&file, "one = 5\ntwo = 5\n").expect("it can be written");
        MOMENT.store(moment, Ordering::SeqCst);
        assert!(matches!(config.reload(), Err(UpdateError::Crashed)));
        assert_eq!(config.load().one, published);
        if moment == PUBLISHED {
            config.update_many(both(6)).expect("a version");
            config.reset().expect("a version");
            assert_eq!(config.load().one, 5, "what was published is what the layers said last");
        }
        assert!(config.reload().expect("it is valid").is_some(), "it is read once more");
        assert_eq!((config.load().one, config.reload().expect("it is valid")), (5, None));
        drop(std::fs::remove_file(file));
    }
}

#[test]
fn updates_that_wait_are_made_by_the_next_life_in_their_order() {
    let (config, _tree) = running(layers());
    let _saboteur = saboteur(&config);
    let release = common::Latch::new();
    let holding = release.clone();
    struct Hold(common::Latch, AtomicBool);
    impl underpin::config::Sink for Hold {
        fn event(&self, _: &underpin::config::ConfigEvent) {
            if !self.1.swap(true, Ordering::SeqCst) {
                self.0.wait();
            }
        }
    }
    config.set_sink(std::sync::Arc::new(Hold(holding, AtomicBool::new(false))));
    let life = 60 * SECOND;
    let held = config.update_async("workers", 3, life).expect("it is taken");
    let crashing = config.update_async("name", config_common::BOOM, life).expect("it is taken");
    let tickets: Vec<_> =
        (4..8).map(|n| config.update_async("workers", n, life).expect("it is taken")).collect();
    release.open();
    assert_eq!(held.wait().expect("a version"), 2);
    assert!(matches!(crashing.wait(), Err(UpdateError::Crashed)));
    let versions: Vec<_> = tickets.into_iter().map(|ticket| ticket.wait().expect("a version")).collect();
    assert_eq!((versions, config.load().workers), (vec![3, 4, 5, 6], 7));
}

/// It read a file, hung over it, and comes back when its successor has read the file, too.
#[test]
fn an_incarnation_that_was_given_up_has_no_say_in_what_was_read() {
    let file = std::env::temp_dir().join(format!("underpin-crash-{}-given-up.toml", std::process::id()));
    std::fs::write(&file, "workers = 2").expect("it can be written");
    let config = config_common::load(layers().file(&file));
    let nobody = child("nobody", || Clerk::juror(|_, _| ()));
    let (inside, release, has_hung) = (common::Latch::new(), common::Latch::new(), AtomicBool::new(false));
    let (tell, held) = (inside.clone(), release.clone());
    // What makes the question runs on the thread of the config service.
    let asked = config.ask_before("workers", &nobody.handle(), Silence::Refuses, move |_, reply| {
        if !has_hung.swap(true, Ordering::SeqCst) {
            tell.open();
            held.wait();
        }
        reply.send(Ok(()));
        Letter::Nothing
    });
    asked.expect("a path");
    let tree = patient("tree").child(config.child().shutdown(common::MS)).start().expect("the tree starts");
    std::fs::write(&file, "workers = 3").expect("it can be written");
    config.request_reload().expect("it is taken");
    inside.wait();
    tree.recycle_child("config").expect("it is given up, and there is another");
    assert_eq!(config.reload().expect("it is valid"), Some(2));
    release.open();
    common::eventually("the one that was given up is gone", || tree.abandoned().alive == 0);
    assert_eq!((config.load().workers, config.snapshot().degraded()), (3, None));
    assert_eq!(config.reload().expect("it is valid"), None, "it was read");
    drop(std::fs::remove_file(file));
}

// ---- one crash every 10 ms ---------------------------------------------------------------

/// Asks for a crash every 10 ms, now at one moment, now at the other, until the sender is dropped.
fn killer(stop: std::sync::mpsc::Receiver<()>) -> u64 {
    let mut kills = 0;
    while stop.recv_timeout(Duration::from_millis(10)) == Err(RecvTimeoutError::Timeout) {
        let moment = if kills % 2 == 0 { DRAFTED } else { PUBLISHED };
        let was = MOMENT.swap(moment, Ordering::SeqCst);
        kills += u64::from(was == NOWHERE);
    }
    MOMENT.store(NOWHERE, Ordering::SeqCst);
    kills
}

fn read_on(config: &Config<Pair>, is_over: &AtomicBool) -> u64 {
    let (mut reader, mut last, mut reads) = (config.reader(), 0, 0);
    while !is_over.load(Ordering::Relaxed) {
        let (one, two, version) = match reads % 4 {
            0 => (config.get_as("one").expect("no error"), None, config.version()),
            1 => (config.load().one, Some(config.load().two), config.load().version()),
            2 => (config.snapshot().one, Some(config.snapshot().two), config.snapshot().version()),
            _ => {
                let (pair, version) = reader.get_versioned();
                assert_eq!(pair.one, pair.two);
                (pair.one, Some(pair.two), version)
            }
        };
        assert!(two.is_none_or(|two| two >= one), "never an older value: {two:?} after {one}");
        assert!(version >= last, "version {version} after {last}");
        last = version;
        reads += 1;
    }
    reads
}

/// Counts up until then, and on until there was enough of both; returns how many updates were made and
/// how many met a crash.
fn count_up(config: &Config<Pair>, turns: &AtomicU64, until: Instant) -> (u64, u64) {
    let (mut made, mut crashed) = (0, 0);
    let is_short = |made, crashed| made <= 100 || crashed <= 20;
    while Instant::now() < until || (is_short(made, crashed) && Instant::now() < until + LONG) {
        let value = turns.fetch_add(1, Ordering::SeqCst) + 1;
        match config.update_many(both(value)) {
            Ok(version) => {
                assert!(config.version() >= version, "what was published is not lost");
                made += 1;
            }
            Err(UpdateError::Crashed) => crashed += 1,
            Err(error) => panic!("{error}"),
        }
    }
    (made, crashed)
}

#[test]
fn a_service_that_crashes_every_ten_milliseconds_under_load_loses_nothing_and_readers_see_no_error() {
    let _turn = turn();
    let (config, _tree) = pairs();
    let mut told = config.subscribe_bounded("", 4).expect("a path");
    let (is_over, turns) = (AtomicBool::new(false), AtomicU64::new(0));
    let (stop, stopped) = channel();
    let until = Instant::now() + 2 * SECOND;
    let (made, crashed, reads, kills) = std::thread::scope(|scope| {
        let killer = scope.spawn(|| killer(stopped));
        let readers: Vec<_> = (0..2).map(|_| scope.spawn(|| read_on(&config, &is_over))).collect();
        // One that counts: its values rise, so what is read must too.
        let (made, crashed) = count_up(&config, &turns, until);
        drop(stop);
        is_over.store(true, Ordering::Relaxed);
        let reads: u64 = readers.into_iter().map(|reader| reader.join().expect("no error")).sum();
        (made, crashed, reads, killer.join().expect("the killer ends"))
    });
    println!("{made} updates made, {crashed} in {kills} crashes, {reads} reads");
    assert!(made > 100 && crashed > 20 && reads > 1000, "{made} made, {crashed} crashed, {reads} reads");
    assert!(crashed >= kills.saturating_sub(1), "whoever met a crash was told");
    let last = config.update_many(both(1 + turns.load(Ordering::SeqCst))).expect("the service runs");
    // Half of the crashes came after the publication: those versions are there, too.
    assert!(
        (2 + made + 1..=2 + made + 1 + crashed).contains(&last),
        "{last} versions, {made} made, {crashed} crashed"
    );
    let mut version = 2;
    while version < last {
        let notice = told.recv_timeout(LONG).expect("the last version always arrives");
        assert!(notice.version > version);
        version = notice.version;
    }
}

// ---- and the process ---------------------------------------------------------------------

fn kept(name: &str) -> PathBuf {
    let file = std::env::temp_dir().join(format!("underpin-crash-{}-{name}.json", std::process::id()));
    drop(std::fs::remove_file(&file)); // there may be none
    file
}

#[test]
fn kept_updates_are_in_force_in_the_next_process() {
    let file = kept("next");
    let (config, tree) = running(layers().keep_updates(&file));
    config.update("workers", 3).expect("a version");
    crash(&config);
    config.update_many(soft_and_hard(30, 40)).expect("a version");
    drop((tree, config));
    let (config, _tree) = running(layers().keep_updates(&file));
    assert_eq!((config.load().workers, config.load().limits.hard, config.version()), (3, 40, 1));
    assert!(config.origin("workers").expect("it is there").to_string().contains("an update kept in"));
    config.reset().expect("a version");
    assert_eq!(config_common::load(layers().keep_updates(&file)).load().workers, 2, "a reset empties it");
    drop(std::fs::remove_file(file));
}

#[test]
fn an_update_that_cannot_be_kept_is_not_made() {
    let file = kept("nowhere").join("kept.json");
    let (config, _tree) = running(layers().keep_updates(&file));
    let refused = config.update("workers", 3).expect_err("it cannot be kept");
    assert!(matches!(refused, UpdateError::NotKept { .. }));
    assert!(refused.to_string().starts_with("the update could not be kept: "), "{refused}");
    assert_eq!((config.load().workers, config.version()), (2, 1));
}
