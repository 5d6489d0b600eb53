//! Versions: going back, starting over, and what is kept of the past.
#![cfg(feature = "config")]

mod common;
mod config_common;

use std::path::PathBuf;
use std::time::Duration;

use common::{SECOND, patient};
use config_common::{App, app, crash, layers, load, running, soft_and_hard, start};
use proptest::prelude::*;
use serde_json::{Value, json};
use underpin::config::{Changes, Config, Layers, Origin, UpdateError};
use underpin::testing::{Simulation, namespace};
use underpin::{Supervisor, SupervisorHandle};

/// A file of this test alone.
fn file(name: &str, text: &str) -> PathBuf {
    let file = std::env::temp_dir().join(format!("underpin-history-{}-{name}.toml", std::process::id()));
    std::fs::write(&file, text).expect("it can be written");
    file
}

// ---- starting over -----------------------------------------------------------------------

#[test]
fn a_reset_leads_back_to_the_start_and_one_to_the_defaults_further() {
    let file = file("reset", "workers = 5\n");
    let (config, _tree) = running(layers().file(&file).override_value("--hard", "limits.hard", 50));
    config.update_many(soft_and_hard(60, 70)).expect("a version");
    config.update("workers", 9).expect("a version");
    assert_eq!(config.reset().expect("a version"), 4);
    let now = config.snapshot();
    assert_eq!((now.workers, now.limits.soft, now.limits.hard), (5, 10, 50));
    assert_eq!(config.update("workers", 9).expect("a version"), 5);
    assert_eq!(config.reset_to_defaults().expect("a version"), 6);
    assert_eq!(*config.load(), app());
    assert_eq!(config.origin("workers"), Ok(Origin::Default));
    assert_eq!(config.reload().expect("it is valid"), None, "the file says what it said");
    config.reset().expect("a version");
    assert_eq!((config.load().workers, config.load().limits.hard), (5, 50), "the start is still known");
    drop(std::fs::remove_file(file));
}

#[test]
fn a_reset_leads_to_what_the_layers_said_last() {
    let file = file("last", "workers = 5\n");
    let (config, _tree) = running(layers().file(&file));
    config.update("limits.hard", 30).expect("a version");
    std::fs::write(&file, "workers = 6\n").expect("it can be written");
    assert_eq!(config.reload().expect("it is valid"), Some(3));
    assert_eq!((config.load().workers, config.load().limits.hard), (6, 30), "updates go before files");
    assert_eq!(config.reload().expect("it is valid"), None);
    config.reset().expect("a version");
    assert_eq!((config.load().workers, config.load().limits.hard), (6, 20));
    drop(std::fs::remove_file(file));
}

/// A tree of its own, with names of its own.
fn named(config: &Config<App>) -> (SupervisorHandle, underpin::Registry) {
    let registry = namespace();
    let tree = patient("tree").registry(registry.clone()).child(config.child().registered());
    (tree.start().expect("the tree starts"), registry)
}

#[test]
fn a_reset_keeps_the_namespace() {
    let (mine, other) = (load(layers()), load(layers()));
    let ((_tree, registry), (_other_tree, other_registry)) = (named(&mine), named(&other));
    mine.update("workers", 3).expect("a version");
    other.update("workers", 4).expect("a version");
    mine.reset().expect("a version");
    mine.reset_to_defaults().expect("a version");
    assert_eq!((mine.load().workers, other.load().workers), (2, 4), "a reset is of one namespace");
    assert_eq!((registry.names(), other_registry.names()), (vec!["config".into()], vec!["config".into()]));
    crash(&mine);
    assert_eq!(mine.update("workers", 5).expect("a version"), 5);
    assert_eq!((mine.load().workers, other.load().workers, other.version()), (5, 4, 2));
    assert_eq!(registry.names(), ["config"]);
}

// ---- going back --------------------------------------------------------------------------

#[test]
fn a_rollback_puts_an_earlier_value_in_force_as_a_new_version() {
    let (config, _tree) = running(layers());
    config.update_many(soft_and_hard(30, 40)).expect("a version");
    config.update("workers", 9).expect("a version");
    assert_eq!(config.rollback(2).expect("a version"), 4);
    assert_eq!((config.load().workers, config.load().limits.hard), (2, 40));
    assert_eq!(config.origin("limits.hard"), Ok(Origin::Update { version: 2 }));
    assert_eq!(config.rollback(3).expect("a rollback can be taken back"), 5);
    assert_eq!((config.load().workers, config.load().limits.hard), (9, 40));
    assert_eq!(config.diff(2, 4).expect("they are kept"), []);
}

#[test]
fn a_rollback_goes_back_over_a_reload_and_the_next_file_counts_again() {
    let file = file("rollback", "workers = 5\n");
    let (config, _tree) = running(layers().file(&file));
    std::fs::write(&file, "workers = 6\n").expect("it can be written");
    assert_eq!(config.reload().expect("it is valid"), Some(2));
    assert_eq!(config.rollback(1).expect("a version"), 3);
    assert_eq!(config.load().workers, 5);
    std::fs::write(&file, "workers = 7\n").expect("it can be written");
    assert_eq!(config.reload().expect("it is valid"), Some(4));
    assert_eq!(config.load().workers, 7);
    config.rollback(1).expect("a version");
    config.reset().expect("a version");
    assert_eq!(config.load().workers, 7, "a reset goes to what the layers said last");
    drop(std::fs::remove_file(file));
}

#[test]
fn a_version_that_is_not_kept_is_not_gone_back_to() {
    let (config, _tree) = running(layers().history(3, None));
    (3..8).for_each(|workers| _ = config.update("workers", workers).expect("a version"));
    assert_eq!(config.versions(), (4, 6));
    let refused = config.rollback(3).expect_err("it is forgotten");
    assert_eq!(refused.to_string(), "version 3 is not kept; 4 to 6 are");
    assert!(matches!(
        config.rollback(7),
        Err(UpdateError::NoSuchVersion { version: 7, oldest: 4, newest: 6 })
    ));
    assert!(config.rollback(0).is_err() && config.rollback(u64::MAX).is_err());
    assert!(config.diff(3, 6).is_err() && config.diff(6, 7).is_err());
    assert_eq!(config.rollback(4).expect("a version"), 7);
    assert_eq!(config.versions(), (5, 7));
}

#[test]
fn what_is_kept_is_one_version_at_least() {
    let (config, _tree) = running(layers().history(0, None));
    config.update("workers", 3).expect("a version");
    assert_eq!(config.versions(), (2, 2));
    assert_eq!(config.rollback(2).expect("to itself"), 3);
}

// ---- the sweep ---------------------------------------------------------------------------

fn simulated(layers: Layers) -> (Config<App>, Simulation, SupervisorHandle) {
    let (config, simulation) = (load(layers), Simulation::new(1));
    let tree = simulation.start(Supervisor::new("tree").child(config.child())).expect("it starts");
    (config, simulation, tree)
}

#[test]
fn old_versions_are_forgotten_though_nothing_is_updated() {
    let (config, simulation, _tree) = simulated(layers().history(10, Some(60 * SECOND)));
    config.update("workers", 3).expect("a version");
    simulation.advance(40 * SECOND);
    config.update("workers", 4).expect("a version");
    assert_eq!(config.versions(), (1, 3));
    simulation.advance(60 * SECOND);
    assert_eq!(config.versions(), (2, 3), "version 1 was replaced 100 s ago, version 2 60 s");
    simulation.advance(60 * SECOND);
    assert_eq!(config.versions(), (3, 3), "the present one stays");
    simulation.advance(3600 * SECOND);
    assert_eq!((config.versions(), config.load().workers), ((3, 3), 4));
}

#[test]
fn an_idle_service_is_not_woken_for_nothing() {
    let (config, simulation, _tree) = simulated(layers());
    config.update("workers", 3).expect("a version");
    simulation.advance(60 * SECOND);
    assert_eq!(simulation.skip(24 * 3600 * SECOND), None, "nobody waits for anything");
    let subscriber = config.subscribe("").expect("a path");
    config.update("workers", 4).expect("a version");
    simulation.advance(60 * SECOND);
    assert!(simulation.skip(60 * SECOND).is_some(), "the subscriber may go");
    drop(subscriber);
    simulation.advance(60 * SECOND);
    assert_eq!(simulation.skip(24 * 3600 * SECOND), None);
}

#[test]
fn the_largest_times_are_as_good_as_none() {
    let (config, _tree) = running(layers().history(5, Some(Duration::MAX)).consent_timeout(Duration::MAX));
    (3..9).for_each(|workers| _ = config.update("workers", workers).expect("a version"));
    assert_eq!(config.versions(), (3, 7));
}

// ---- the difference ----------------------------------------------------------------------

/// Values below a table of the top.
fn values() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        (-3..3_i64).prop_map(Value::from),
        ".{0,3}".prop_map(Value::from),
        prop::collection::vec(0..3_u8, 0..3).prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 16, 3, |inner| {
        prop::collection::btree_map("[a-c. \"]{0,2}", inner, 0..3).prop_map(|table| json!(table))
    })
}

fn tables() -> impl Strategy<Value = Value> {
    prop::collection::btree_map("[a-c]{1,2}", values(), 0..4).prop_map(|table| json!(table))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn the_difference_of_two_versions_made_as_updates_gives_the_second(first in tables(), second in tables()) {
        let config: Config<Value> = Layers::new().defaults(json!({"x": first})).load().expect("valid");
        let _tree = start(patient("tree"), &config);
        let to = config.update("x", &second).expect("a version");
        prop_assert_eq!(config.get("x"), Ok(second.clone()));
        let differences = config.diff(1, to).expect("both are kept");
        config.rollback(1).expect("a version");
        prop_assert_eq!(config.get("x"), Ok(first.clone()));
        let changes = differences.iter().fold(Changes::new(), |changes, change| match &change.new {
            Some(new) => changes.set(&change.path.to_string(), new),
            None => changes.remove(&change.path.to_string()),
        });
        config.update_many(changes).expect("a version");
        prop_assert_eq!(config.get("x"), Ok(second));
        for change in differences {
            let old = at(&json!({"x": first}), &change.path);
            prop_assert_eq!(old, change.old, "{}", change.path);
        }
    }
}

fn at(document: &Value, path: &underpin::config::Path) -> Option<Value> {
    path.segments().try_fold(document, |value, segment| value.get(segment)).cloned()
}
