//! What is refused, and that a refusal changes nothing.
#![cfg(feature = "config")]

mod common;
mod config_common;

use std::path::{Path as FilePath, PathBuf};

use common::patient;
use config_common::{App, Clerk, Letter, Limits, app, layers, load, running, start};
use proptest::prelude::*;
use serde_json::{Value, json};
use underpin::config::{Changes, Config, Layers, Origin, Proposed, Silence, UpdateError};
use underpin::{SupervisorHandle, child};

fn file(name: &str) -> PathBuf {
    std::env::temp_dir().join(format!("underpin-refusals-{}-{name}", std::process::id()))
}

// ---- frozen ------------------------------------------------------------------------------

#[track_caller]
fn is_frozen(result: Result<u64, UpdateError>) {
    let refused = result.expect_err("it is frozen");
    assert!(matches!(refused, UpdateError::Frozen { .. }), "{refused}");
    assert_eq!(refused.to_string(), "limits.hard: is frozen: it does not change while the program runs");
}

#[test]
fn what_is_frozen_changes_by_no_update_at_it_above_it_or_below_it() {
    let (config, _tree) = running(layers().frozen("limits.hard"));
    is_frozen(config.update("limits.hard", 30));
    is_frozen(config.update("limits", json!({"soft": 1, "hard": 30})));
    is_frozen(config.update_many(Changes::new().set("workers", 3).set("limits.hard", 30)));
    is_frozen(config.modify(|app| app.limits.hard = 30));
    is_frozen(config.update_async("limits.hard", 30, common::SECOND).expect("it is taken").wait());
    assert_eq!((config.version(), config.load().limits.hard), (1, 20));
    config.update("limits", json!({"soft": 1, "hard": 20})).expect("the frozen one is the same");
    config.update("limits.hard", 20).expect("it is the same");
    assert_eq!(config.load().limits, Limits { soft: 1, hard: 20 });
}

#[test]
fn below_a_frozen_table_nothing_comes_goes_or_changes() {
    let layers = layers().override_value("--hosts", "hosts", json!({"a": 1}));
    let (config, _tree) = running(layers.frozen("hosts"));
    let changes = || Changes::new();
    for refused in [
        changes().set("hosts.a", 2),
        changes().set("hosts.b", 1),
        changes().remove("hosts.a"),
        changes().remove("hosts"),
        changes().set("hosts", json!({})),
    ] {
        assert!(matches!(config.update_many(refused), Err(UpdateError::Frozen { .. })));
    }
    assert_eq!((config.version(), config.get("hosts")), (1, Ok(json!({"a": 1}))));
}

#[test]
fn what_is_frozen_stays_over_a_reset_a_rollback_the_defaults_and_a_reload() {
    let file = file("frozen.toml");
    std::fs::write(&file, "workers = 5\n[limits]\nhard = 30\n").expect("it can be written");
    let (config, _tree) = running(layers().file(&file).frozen("limits.hard"));
    config.update("workers", 9).expect("a version");
    config.reset_to_defaults().expect("a version");
    assert_eq!((config.load().workers, config.load().limits.hard), (2, 30));
    config.rollback(2).expect("a version");
    assert_eq!((config.load().workers, config.load().limits.hard), (9, 30));
    std::fs::write(&file, "workers = 6\n[limits]\nhard = 40\n").expect("it can be written");
    config.reload().expect("it is valid");
    config.reset().expect("a version");
    assert_eq!((config.load().workers, config.load().limits.hard), (6, 30));
    drop(std::fs::remove_file(&file));
}

#[test]
fn a_forbidden_update_is_refused_at_once_and_never_queued() {
    let (config, tree) = running(layers().frozen("name"));
    assert!(matches!(config.update("name", "other"), Err(UpdateError::Frozen { .. })));
    assert!(config.update("workers", 0).is_err());
    config.update("workers", 3).expect("a version");
    tree.recycle_child("config").expect("a next life");
    config.update("workers", 4).expect("a version");
    assert_eq!((config.load().name.as_str(), config.version()), ("app", 3), "it was not made later");
}

// ---- a refusal changes nothing -----------------------------------------------------------

/// All that a refusal must leave as it is: document, version, history, where values came from, kept file.
type State = (Value, u64, (u64, u64), Vec<Option<Origin>>, Option<String>);

fn state(config: &Config<App>, kept: &FilePath) -> State {
    let paths = ["name", "workers", "limits", "limits.soft", "limits.hard", "hosts", "hosts.a", "tags"];
    let origins = paths.iter().map(|path| config.origin(path).ok()).collect();
    let document = config.snapshot().document().clone();
    (document, config.version(), config.versions(), origins, std::fs::read_to_string(kept).ok())
}

/// A tree with someone who vetoes an odd number of workers.
fn with_juror(config: &Config<App>) -> SupervisorHandle {
    let is_odd = |proposed: &Proposed| {
        let new = proposed.changes.iter().filter_map(|change| change.new.as_ref());
        new.filter_map(Value::as_u64).any(|new| new % 2 == 1)
    };
    let juror = child("juror", move || {
        Clerk::juror(move |proposed, reply| {
            reply.send(if is_odd(proposed) { Err("it is odd".into()) } else { Ok(()) });
        })
    });
    config.ask_before("workers", &juror.handle(), Silence::Refuses, Letter::Asked).expect("a path");
    start(patient("tree").child(juror), config)
}

fn paths() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => prop::sample::select(vec![
            "name", "workers", "limits", "limits.soft", "limits.hard", "hosts", "hosts.a", "tags", "tags.0", "none",
        ]).prop_map(str::to_owned),
        1 => ".{0,6}",
    ]
}

fn values() -> impl Strategy<Value = Option<Value>> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        (0..40_i64).prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        "[a-z]{0,3}".prop_map(Value::from),
        Just(json!({"soft": 3, "hard": 25})),
        Just(json!(["a", "b"])),
    ];
    let nested = leaf.prop_recursive(2, 8, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
            prop::collection::btree_map("soft|hard|a|[a-z]", inner, 0..3).prop_map(|table| json!(table)),
        ]
    });
    prop::option::weighted(0.9, nested)
}

/// What is set or removed: now anything, now what is likely to be made.
fn changes() -> impl Strategy<Value = (String, Option<Value>)> {
    let numbers = prop::sample::select(vec!["workers", "limits.soft", "limits.hard", "hosts.a"]);
    prop_oneof![
        1 => (paths(), values()),
        2 => (numbers, 0..40_u64).prop_map(|(path, number)| (path.to_owned(), Some(json!(number)))),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn a_refused_update_changes_nothing_and_a_made_one_is_a_version(
        updates in prop::collection::vec(prop::collection::vec(changes(), 1..3), 1..12),
        number in any::<u64>(),
    ) {
        let kept = file(&format!("kept-{number}.json"));
        let config = load(layers().keep_updates(&kept).frozen("name").history(4, None));
        let _tree = with_juror(&config);
        let mut told = config.subscribe("").expect("a path");
        for update in updates {
            let before = state(&config, &kept);
            let changes = update.iter().fold(Changes::new(), |changes, (path, value)| match value {
                Some(value) => changes.set(path, value),
                None => changes.remove(path),
            });
            match config.update_many(changes) {
                Ok(version) => prop_assert_eq!(version, before.1 + 1),
                Err(UpdateError::Crashed | UpdateError::TimedOut) => prop_assert!(false, "a panic"),
                Err(_) => {
                    prop_assert_eq!(state(&config, &kept), before);
                    prop_assert!(told.is_empty());
                }
            }
            while told.try_recv().is_some() {}
        }
        let again = load(layers().keep_updates(&kept).frozen("name")).snapshot();
        let now = config.snapshot();
        prop_assert_eq!(again.document(), now.document(), "it is what is kept");
        drop(std::fs::remove_file(&kept));
    }

    #[test]
    fn a_garbage_path_or_value_is_an_error_or_a_version_and_no_panic(path in ".*", value in values(), life in any::<u64>()) {
        let config: Config<Value> = Layers::new().defaults(json!({"a": {"b": [1]}})).load().expect("valid");
        let _tree = start(patient("tree"), &config);
        let is_panic = |result: &Result<u64, UpdateError>| matches!(result, Err(UpdateError::Crashed | UpdateError::TimedOut));
        prop_assert!(!is_panic(&config.update(&path, &value)));
        prop_assert!(!is_panic(&config.compare_and_update(life, &path, &value)));
        prop_assert!(!is_panic(&config.update_many(Changes::new().remove(&path))));
        prop_assert!(!is_panic(&config.rollback(life)));
        let _ = config.diff(life, 1);
        if let Ok(ticket) = config.update_async(&path, &value, std::time::Duration::from_secs(life)) {
            prop_assert!(!is_panic(&ticket.wait()));
        }
        prop_assert!(config.update("sound", 1).is_ok());
    }
}

#[test]
fn what_a_proptest_starts_from_is_valid() {
    assert_eq!(*load(layers()).load(), app());
}
