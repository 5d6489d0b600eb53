//! What becomes of files that change, go wrong, and are right again.
#![cfg(feature = "config")]
#![allow(clippy::disallowed_methods, clippy::disallowed_types)] // tests stand outside of the door

mod common;
#[path = "common/settings.rs"]
mod settings;

use std::fs;

use common::patient;
use log::Level;
use settings::*;
use underpin::SupervisorHandle;
use underpin::config::{BadStart, Config, ConfigEvent, Layers, Origin, Unknown, UpdateError};

fn started(layers: Layers) -> (Config<App>, Ears, SupervisorHandle) {
    records();
    let config: Config<App> = layers.load().expect("it loads");
    let ears = Ears::of(&config);
    let running = patient("files").child(config.child()).start().expect("it starts");
    (config, ears, running)
}

fn reason(config: &Config<App>) -> Option<String> {
    config.snapshot().degraded().map(|degraded| named(&degraded.reason))
}

#[test]
fn a_reload_publishes_what_the_files_say_now() {
    let dir = Dir::new();
    let file = dir.write("app.toml", "workers = 2");
    let (config, _, _running) = started(layers().file(&file));
    dir.write("app.toml", "\nworkers = 3");
    assert_eq!(config.load().workers, 2, "nothing is read unasked");
    assert_eq!(config.reload().expect("read"), Some(2));
    assert_eq!(config.load().workers, 3);
    assert_eq!(config.origin("workers").expect("there").to_string(), format!("{}:2", file.display()));
}

#[test]
fn a_reload_of_the_same_contents_makes_no_version() {
    let dir = Dir::new();
    let file = dir.write("app.toml", "workers = 2");
    let (config, ears, _running) = started(layers().file(&file));
    dir.write("app.toml", "workers = 2");
    assert_eq!(config.reload().expect("read"), None);
    assert_eq!((config.version(), ears.0.all().len()), (1, 0));
}

#[test]
fn updates_stay_in_force_over_a_reload() {
    let dir = Dir::new();
    let file = dir.write("app.toml", "workers = 2\nname = 'x'");
    let (config, _, _running) = started(layers().file(&file));
    config.update("workers", 9).expect("made");
    dir.write("app.toml", "workers = 3\nname = 'y'");
    config.reload().expect("read");
    let now = config.load();
    assert_eq!((now.workers, now.name.as_deref()), (9, Some("y")));
    drop(now);
    config.reset().expect("made");
    assert_eq!(config.load().workers, 3);
}

#[test]
fn a_bad_file_keeps_what_was_in_force_and_says_why_once() {
    let dir = Dir::new();
    let file = dir.write("bad-once.toml", "workers = 2");
    let (config, ears, _running) = started(layers().file(&file));
    dir.write("bad-once.toml", "\nworkers = 99");
    for _ in 0..3 {
        let error = config.reload().expect_err("it is wrong");
        assert!(matches!(error, UpdateError::Invalid(_)), "{error}");
    }
    assert_eq!((config.load().workers, config.version()), (2, 1));
    let expected = "workers: expected 1 to 64, found 99 (bad-once.toml:2)";
    assert_eq!(reason(&config).as_deref(), Some(expected));
    assert!(config.snapshot().is_degraded());
    assert_eq!((ears.degraded(), logged(Level::Error, "bad-once.toml:2")), (1, 1));
}

#[test]
fn another_reason_is_said_too() {
    let dir = Dir::new();
    let file = dir.write("bad-twice.toml", "");
    let (config, ears, _running) = started(layers().file(&file));
    let began = || config.snapshot().degraded().map(|degraded| degraded.since);
    dir.write("bad-twice.toml", "workers = 99");
    config.reload().expect_err("it is wrong");
    let since = began();
    dir.write("bad-twice.toml", "workers = ");
    config.reload().expect_err("it is wrong");
    assert_eq!((ears.degraded(), logged(Level::Error, "bad-twice.toml:1")), (2, 2));
    assert!(since.is_some() && began() == since, "it has been degraded since the first");
}

#[test]
fn a_file_that_is_right_again_ends_it() {
    let dir = Dir::new();
    let file = dir.write("app.toml", "workers = 2");
    let (config, ears, _running) = started(layers().file(&file));
    for round in 1..=2 {
        dir.write("app.toml", "workers = 'many'");
        config.reload().expect_err("it is wrong");
        dir.write("app.toml", "workers = 3");
        config.reload().expect("it is right");
        assert_eq!((config.load().workers, reason(&config)), (3, None));
        assert_eq!((ears.degraded(), ears.recovered()), (round, round), "said again each time");
    }
}

#[test]
fn updates_are_made_while_it_is_degraded_and_do_not_end_it() {
    let dir = Dir::new();
    let file = dir.write("app.toml", "workers = 2");
    let (config, ears, _running) = started(layers().file(&file));
    dir.write("app.toml", "workers = 0");
    config.reload().expect_err("it is wrong");
    assert_eq!(config.update("name", "n").expect("made"), 2);
    assert!(config.snapshot().is_degraded());
    assert_eq!(ears.recovered(), 0);
}

#[test]
fn a_file_that_goes_degrades_and_one_that_may_be_missing_does_not() {
    let dir = Dir::new();
    let (needed, other) = (dir.write("needed.toml", "workers = 2"), dir.write("other.toml", "name = 'n'"));
    let (config, _, _running) = started(layers().file(&needed).optional_file(&other));
    fs::remove_file(&other).expect("removed");
    config.reload().expect("it may be missing");
    assert_eq!(config.load().name, None);
    fs::remove_file(&needed).expect("removed");
    config.reload().expect_err("it may not");
    assert_eq!(reason(&config).as_deref(), Some("needed.toml: there is no such file"));
    assert_eq!(config.load().workers, 2);
}

#[test]
fn a_file_that_may_be_missing_must_be_readable_when_it_comes() {
    let dir = Dir::new();
    let (config, _, _running) = started(layers().optional_file(dir.at("other.toml")));
    fs::create_dir(dir.at("other.toml")).expect("made");
    config.reload().expect_err("it is no file");
    assert_eq!(reason(&config).as_deref(), Some("other.toml: not a regular file"));
}

#[test]
fn what_cannot_be_read_does_not_hide_what_is_wrong_with_other_layers() {
    let dir = Dir::new();
    let (one, two) = (dir.write("one.toml", ""), dir.write("two.json", "{}"));
    let (config, _, _running) = started(layers().file(&one).file(&two));
    fs::remove_file(&one).expect("removed");
    dir.write("two.json", "{\n\"workers\" 1}");
    config.reload().expect_err("both are wrong");
    let reason = reason(&config).expect("degraded");
    let lines: Vec<_> = reason.lines().collect();
    assert_eq!(lines[0], "one.toml: there is no such file");
    assert_eq!(lines[1], "not valid JSON at column 11: expected `:` (two.json:2)");
    assert_eq!(lines.len(), 2);
}

#[test]
fn what_is_frozen_stays_and_the_rest_of_the_file_counts() {
    let dir = Dir::new();
    let file = dir.write("frozen.toml", "listen = '127.0.0.1:81'\nworkers = 2");
    let (config, _, _running) = started(layers().file(&file).frozen("listen"));
    dir.write("frozen.toml", "workers = 3\nlisten = '127.0.0.1:82'");
    config.reload().expect("read");
    let now = config.load();
    assert_eq!((now.workers, now.listen.port()), (3, 81));
    drop(now);
    let text = "listen: is frozen";
    let said = records().wait(|(_, said)| said.contains(text) && said.contains("frozen.toml"));
    let expected = "config: listen: is frozen (frozen.toml:2): this counts from the next start";
    assert_eq!((said.0, named(&said.1).as_str()), (Level::Warn, expected));
    assert!(!config.snapshot().is_degraded());
    // Also when the file does not say it any more.
    dir.write("frozen.toml", "workers = 4");
    config.reload().expect("read");
    let now = config.load();
    assert_eq!((now.workers, now.listen.port()), (4, 81));
}

#[test]
fn a_bad_start_on_the_defaults_is_degraded_until_the_files_are_right() {
    let dir = Dir::new();
    let file = dir.write("bad-start.toml", "workers = 2\nname = 7");
    let bad = layers().file(&file).frozen("listen").on_bad_start(BadStart::Defaults);
    let (config, ears, _running) = started(bad);
    assert_eq!((*config.load()).clone(), App::default());
    let expected = "name: expected text, found 7 (bad-start.toml:2)";
    assert_eq!(reason(&config).as_deref(), Some(expected));
    assert_eq!(config.origin("workers").expect("there"), Origin::Default);
    config.reload().expect_err("still wrong");
    assert_eq!(
        (ears.degraded(), logged(Level::Error, "bad-start.toml:2")),
        (0, 1),
        "it was said at the start"
    );
    dir.write("bad-start.toml", "workers = 2");
    assert_eq!(config.reload().expect("right"), Some(2));
    assert_eq!((config.load().workers, reason(&config)), (2, None));
    assert!(ears.0.count(|event| matches!(event, ConfigEvent::Recovered { version: 2 })) == 1);
}

#[test]
fn a_file_that_is_missing_at_the_start_is_said_to_be_once() {
    let dir = Dir::new();
    let file = dir.at("missing-at-start.toml");
    let (config, ears, _running) = started(layers().file(&file).on_bad_start(BadStart::Defaults));
    config.reload().expect_err("still missing");
    assert_eq!((ears.degraded(), logged(Level::Error, "missing-at-start.toml")), (0, 1));
    dir.write("missing-at-start.toml", "workers = 2");
    config.reload().expect("it is there");
    assert_eq!((config.load().workers, reason(&config)), (2, None));
}

#[test]
fn an_unknown_key_is_refused_on_a_reload_too_if_that_is_said() {
    let dir = Dir::new();
    let file = dir.write("refused.toml", "");
    let (config, _, _running) = started(layers().file(&file).unknown(Unknown::Refuse));
    dir.write("refused.toml", "\nwrkers = 2");
    config.reload().expect_err("there is none");
    assert_eq!(reason(&config).as_deref(), Some("wrkers: there is no such setting (refused.toml:2)"));
}

#[test]
fn an_unknown_key_and_what_is_wrong_otherwise_are_told_at_once_on_a_reload_too() {
    let dir = Dir::new();
    let file = dir.write("both.toml", "");
    let (config, _, _running) = started(layers().file(&file).unknown(Unknown::Refuse));
    dir.write("both.toml", "workers = 0\nwrkers = 2");
    config.reload().expect_err("both are wrong");
    let expected =
        "workers: expected 1 to 64, found 0 (both.toml:1)\nwrkers: there is no such setting (both.toml:2)";
    assert_eq!(reason(&config).as_deref(), Some(expected));
}

#[test]
fn an_unknown_key_is_warned_of_again_only_when_the_files_change() {
    let dir = Dir::new();
    let file = dir.write("unknown-again.toml", "wrkers = 2");
    let (config, _, _running) = started(layers().file(&file));
    config.update("workers", 2).expect("made");
    config.reload().expect("read");
    let count = || logged(Level::Warn, "unknown-again.toml");
    assert_eq!(count(), 1);
    dir.write("unknown-again.toml", "\nwrkers = 2");
    config.reload().expect("read");
    assert_eq!(count(), 2);
}

#[derive(Clone, Debug, Default, serde::Serialize, serde::Deserialize)]
#[serde(default)]
struct Small {
    port: u16,
    other: u16,
}

impl underpin::config::Validate for Small {}

#[test]
fn a_file_that_says_what_is_frozen_by_default_of_the_type_is_not_warned_of() {
    records();
    let dir = Dir::new();
    let file = dir.write("same.toml", "other = 1");
    let config: Config<Small> = Layers::new().file(file).frozen("port").load().expect("it loads");
    let _running = patient("files").child(config.child()).start().expect("it starts");
    dir.write("same.toml", "other = 2\nport = 0");
    config.reload().expect("read");
    assert_eq!((config.load().other, logged(Level::Warn, "same.toml")), (2, 0));
    dir.write("same.toml", "other = 3\nport = 7");
    config.reload().expect("read");
    let now = config.load();
    assert_eq!((now.other, now.port, logged(Level::Warn, "same.toml:2")), (3, 0, 1));
}
