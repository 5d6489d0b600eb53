//! Updates that outlive the process, and what may happen to their file.
#![cfg(feature = "config")]
#![allow(clippy::disallowed_methods, clippy::disallowed_types)] // tests stand outside of the door

mod common;
#[path = "common/settings.rs"]
mod settings;

use std::fs;

use common::{eventually, patient};
use log::Level;
use proptest::prelude::*;
use settings::*;
use underpin::SupervisorHandle;
use underpin::config::{BadStart, Changes, Config, Layers, UpdateError};

fn kept(dir: &Dir) -> Layers {
    records();
    layers().keep_updates(dir.at("kept.json"))
}

/// A life of the process.
fn life(layers: Layers) -> (Config<App>, SupervisorHandle) {
    let config: Config<App> = layers.load().expect("it loads");
    let running = patient("keep").child(config.child()).start().expect("it starts");
    (config, running)
}

#[test]
fn an_update_is_in_force_in_the_next_life() {
    let dir = Dir::new();
    let (config, running) = life(kept(&dir));
    assert_eq!(dir.names(), [""; 0], "nothing is written before there is something to keep");
    config.update("workers", 7).expect("made");
    config.update_many(Changes::new().set("limits.hard", 99).set("hosts", ["x"])).expect("made");
    drop(running);
    let (config, _running) = life(kept(&dir));
    let now = config.load();
    assert_eq!((now.workers, now.limits.hard, now.limits.soft, now.hosts[0].as_str()), (7, 99, 10, "x"));
    assert_eq!(config.version(), 1);
    let origin = config.origin("limits.hard").expect("there").to_string();
    assert_eq!(named(&origin), "an update kept in kept.json");
    assert_eq!(config.origin("limits.soft").expect("there").to_string(), "the defaults");
    assert_eq!(dir.names(), ["kept.json"]);
}

#[test]
fn kept_updates_go_before_all_layers() {
    let dir = Dir::new();
    let (config, running) = life(kept(&dir));
    config.update("workers", 7).expect("made");
    drop(running);
    let file = dir.write("app.toml", "workers = 2");
    let vars = variables(&[("APP__WORKERS", "3")]);
    let all = kept(&dir).file(file).environment_of("APP", vars).override_value("--workers", "workers", 4);
    assert_eq!(life(all).0.load().workers, 7);
}

#[test]
fn a_reset_keeps_nothing() {
    let dir = Dir::new();
    let (config, running) = life(kept(&dir));
    config.update("workers", 7).expect("made");
    config.reset().expect("made");
    drop(running);
    assert_eq!(life(kept(&dir)).0.load().workers, 1);
}

#[test]
fn a_rollback_keeps_what_was_in_force_then() {
    let dir = Dir::new();
    let (config, running) = life(kept(&dir));
    config.update("workers", 7).expect("made");
    config.update("workers", 8).expect("made");
    config.rollback(2).expect("made");
    drop(running);
    assert_eq!(life(kept(&dir)).0.load().workers, 7);
}

#[test]
fn a_refused_update_leaves_the_file_as_it_is() {
    let dir = Dir::new();
    let (config, _running) = life(kept(&dir).frozen("listen"));
    config.update("workers", 7).expect("made");
    let before = dir.read("kept.json");
    config.update("workers", 0).expect_err("invalid");
    config.update("listen", "127.0.0.1:1").expect_err("frozen");
    config.compare_and_update(1, "workers", 9).expect_err("a conflict");
    assert_eq!((dir.read("kept.json"), dir.names()), (before, vec!["kept.json".to_owned()]));
}

#[test]
fn what_cannot_be_kept_is_not_made() {
    let dir = Dir::new();
    let gone = layers().keep_updates(dir.at("gone/kept.json"));
    let (config, _running) = life(gone);
    let error = config.update("workers", 7).expect_err("there is no directory");
    assert!(matches!(error, UpdateError::NotKept { .. }), "{error}");
    let text = named(&error.to_string());
    assert!(text.starts_with("the update could not be kept: gone/kept.json: No such file"), "{text}");
    assert_eq!((config.version(), config.load().workers), (1, 1));
    // It is tried anew each time.
    fs::create_dir(dir.at("gone")).expect("made");
    assert_eq!(config.update("workers", 7).expect("made"), 2);
}

#[test]
fn where_the_file_cannot_be_replaced_nothing_is_left_beside_it() {
    let dir = Dir::new();
    let (config, _running) = life(kept(&dir));
    fs::create_dir(dir.at("kept.json")).expect("made"); // nothing is renamed over a directory
    config.update("workers", 7).expect_err("not kept");
    assert_eq!((config.version(), dir.names()), (1, vec!["kept.json".to_owned()]));
}

#[cfg(unix)]
#[test]
fn in_a_directory_that_cannot_be_written_nothing_is_changed() {
    use std::os::unix::fs::PermissionsExt;
    let dir = Dir::new();
    let (config, running) = life(kept(&dir));
    config.update("workers", 7).expect("made");
    let mode = |mode| fs::set_permissions(dir.path(), fs::Permissions::from_mode(mode)).expect("set");
    mode(0o500);
    let is_above_it = fs::write(dir.at("probe"), "").is_ok(); // as an administrator is
    let outcome = config.update("workers", 8);
    mode(0o700);
    if !is_above_it {
        outcome.expect_err("not kept");
        assert_eq!(config.load().workers, 7);
        drop(running);
        assert_eq!(life(kept(&dir)).0.load().workers, 7);
    }
}

// ---- crashes -----------------------------------------------------------------------------

#[test]
fn what_a_crash_left_beside_it_does_not_count() {
    for left in
        ["", "{\"format\": 1, \"upd", "{\"format\": 1, \"updates\": [{\"path\": \"workers\", \"value\": 9}]}"]
    {
        let dir = Dir::new();
        let (config, running) = life(kept(&dir));
        config.update("workers", 7).expect("made");
        drop(running);
        dir.write("kept.json.new", left);
        let (config, running) = life(kept(&dir));
        assert_eq!(config.load().workers, 7);
        config.update("workers", 8).expect("made, over what was left");
        drop(running);
        assert_eq!((life(kept(&dir)).0.load().workers, dir.names()), (8, vec!["kept.json".to_owned()]));
    }
}

#[cfg(unix)]
#[test]
fn a_link_beside_it_is_not_written_through() {
    let dir = Dir::new();
    let other = dir.write("other", "precious");
    std::os::unix::fs::symlink(&other, dir.at("kept.json.new")).expect("a link");
    let (config, _running) = life(kept(&dir));
    config.update("workers", 7).expect("made");
    assert_eq!(
        (dir.read("other").as_str(), dir.names()),
        ("precious", vec!["kept.json".into(), "other".into()])
    );
}

#[cfg(unix)]
#[test]
fn nobody_else_reads_what_is_kept_unless_it_was_allowed() {
    use std::os::unix::fs::PermissionsExt;
    let dir = Dir::new();
    let (config, _running) = life(kept(&dir));
    let mode = || fs::metadata(dir.at("kept.json")).expect("there").permissions().mode() & 0o777;
    config.update("workers", 7).expect("made");
    assert_eq!(mode(), 0o600, "it may hold secrets");
    fs::set_permissions(dir.at("kept.json"), fs::Permissions::from_mode(0o640)).expect("set");
    config.update("workers", 8).expect("made");
    assert_eq!(mode(), 0o640);
}

#[cfg(unix)]
#[test]
fn a_link_to_the_file_stays_a_link() {
    let (dir, far) = (Dir::new(), Dir::new());
    std::os::unix::fs::symlink(far.at("far.json"), dir.at("kept.json")).expect("a link");
    let (config, running) = life(kept(&dir));
    config.update("workers", 7).expect("made");
    drop(running);
    assert!(fs::symlink_metadata(dir.at("kept.json")).expect("there").is_symlink());
    assert_eq!((far.names(), life(kept(&dir)).0.load().workers), (vec!["far.json".to_owned()], 7));
}

/// Run by the test below in a process of its own, which is killed.
#[test]
fn in_another_process() {
    let Some(file) = std::env::var_os("UNDERPIN_TEST_KEPT") else { return };
    let (config, _running) = life(layers().keep_updates(file));
    for n in 1.. {
        config.update("limits.hard", 100 + n).expect("made");
        println!("made {n}");
    }
}

#[test]
fn what_was_answered_is_kept_whenever_the_process_is_killed() {
    use std::io::{BufRead, BufReader};
    use std::process::{Command, Stdio};
    for round in 0..8 {
        let dir = Dir::new();
        let own = std::env::current_exe().expect("it is known");
        let mut command = Command::new(own);
        command.args(["--exact", "in_another_process", "--nocapture"]).stdout(Stdio::piped());
        let mut process = command.env("UNDERPIN_TEST_KEPT", dir.at("kept.json")).spawn().expect("it runs");
        let lines = BufReader::new(process.stdout.take().expect("a pipe")).lines();
        let mut made = lines
            .map_while(Result::ok)
            .filter_map(|line| line.split_once("made ").and_then(|(_, number)| number.parse::<u64>().ok()));
        made.nth(round * 3).expect("it makes some");
        process.kill().expect("killed");
        let last = made.last();
        process.wait().expect("it is gone");
        let kept = life(kept(&dir)).0.load().limits.hard - 100;
        assert!(kept >= last.unwrap_or(round as u64 * 3 + 1), "{last:?} was answered, {kept} is kept");
    }
}

// ---- what is wrong with it ---------------------------------------------------------------

#[test]
fn bad_contents_are_refused_with_the_name_of_the_file() {
    for (text, expected) in [
        ("", "kept.json: EOF while parsing a value at line 1 column 0"),
        ("[]", "kept.json: expected updates in format 1, found null"),
        ("{\"format\": 2, \"updates\": []}", "kept.json: expected updates in format 1, found 2"),
    ] {
        let dir = Dir::new();
        dir.write("kept.json", text);
        assert_eq!(refused::<App>(kept(&dir)), [expected]);
    }
    let secret = "s".repeat(200);
    let dir = Dir::new();
    dir.write("kept.json", format!("{{\"format\": {{\"x\": \"{secret}\"}}}}"));
    let lines = refused::<App>(kept(&dir));
    assert!(!lines[0].contains(&secret), "{lines:?}");
}

#[test]
fn a_kept_value_that_does_not_hold_any_more_is_told_with_its_file() {
    let dir = Dir::new();
    let updates = r#"[{"path": "workers", "value": "many"}, {"path": "limits.soft", "value": 21}]"#;
    dir.write("kept.json", format!("{{\"format\": 1, \"updates\": {updates}}}"));
    let expected =
        ["workers: expected an integer from 0 to 65535, found \"many\" (an update kept in kept.json)"];
    assert_eq!(refused::<App>(kept(&dir))[..1], expected);
    dir.write("kept.json", r#"{"format": 1, "updates": [{"path": "hosts.3", "value": "x"}]}"#);
    let line = "hosts: expected an index below 1, found \"3\" (an update kept in kept.json)";
    assert_eq!(refused::<App>(kept(&dir)), [line]);
}

#[test]
fn faults_of_files_and_of_kept_updates_are_told_at_once() {
    let dir = Dir::new();
    let file = dir.write("app.toml", "workers = ");
    dir.write("kept.json", "{");
    let lines = refused::<App>(kept(&dir).file(file));
    assert_eq!(lines.len(), 2, "{lines:?}");
    assert!(lines[0].ends_with("(app.toml:1)") && lines[1].starts_with("kept.json: "), "{lines:?}");
}

#[test]
fn kept_updates_that_could_not_be_read_are_not_overwritten() {
    let dir = Dir::new();
    dir.write("kept.json", "{ precious");
    let (config, _running) = life(kept(&dir).on_bad_start(BadStart::Defaults));
    assert!(config.snapshot().is_degraded());
    assert_eq!(logged(Level::Error, &dir.at("kept.json").display().to_string()), 1);
    config.update("workers", 7).expect_err("it would replace them");
    assert_eq!(dir.read("kept.json"), "{ precious");
    config.reload().expect_err("they are still wrong");
    // As soon as they are right, they count.
    dir.write("kept.json", r#"{"format": 1, "updates": [{"path": "workers", "value": 5}]}"#);
    config.reload().expect("they are right");
    assert_eq!((config.load().workers, config.snapshot().is_degraded()), (5, false));
    config.update("name", "n").expect("made");
    assert!(dir.read("kept.json").contains("workers"));
}

#[test]
fn no_more_is_kept_than_can_be_read_again() {
    let dir = Dir::new();
    let (config, running) = life(kept(&dir));
    let mib = |n: usize| "s".repeat((1 << 20) - 1024 * n);
    let hosts = |n: usize| vec![mib(n)];
    config.update("hosts", hosts(1)).expect("made");
    config.update("name", mib(1)).expect("made");
    drop(running);
    let (config, _running) = life(kept(&dir));
    assert!(config.load().name.is_some());
}

#[test]
fn more_than_can_be_read_again_is_refused() {
    use serde_json::{Value, json};
    let dir = Dir::new();
    let empty = || Layers::new().defaults(json!({"a": "", "b": "", "c": "", "d": "", "e": ""}));
    let open = || empty().keep_updates(dir.at("kept.json")).load::<Value>();
    let config = open().expect("it loads");
    let running = patient("keep").child(config.child()).start().expect("it starts");
    let text = "s".repeat((1 << 20) - 2);
    let made = ["a", "b", "c", "d", "e"].map(|key| config.update(key, &text).is_ok());
    assert_eq!(made, [true, true, true, false, false]);
    drop(running);
    let again = open().expect("what was kept is read");
    assert_eq!(again.get("c").expect("there").as_str().map(str::len), Some(text.len()));
    assert_eq!(again.get("d").expect("there"), "");
}

#[test]
fn an_update_is_in_the_file_when_its_version_is_seen() {
    let dir = Dir::new();
    let (config, _running) = life(kept(&dir));
    let writer = config.clone();
    let writing = common::aside(move || (2..=40_u16).for_each(|n| drop(writer.update("workers", n))));
    for version in [5, 20, 40] {
        eventually("the version is in force", || config.version() >= version);
        let seen = config.load().workers;
        let file: serde_json::Value =
            serde_json::from_str(&dir.read("kept.json")).expect("whole at all times");
        let in_file = file["updates"][0]["value"].as_u64().expect("a number");
        assert!(in_file >= u64::from(seen), "{in_file} < {seen}");
    }
    writing.done();
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn garbage_in_the_file_is_an_error_and_no_panic(
        text in "(\\{|\\}|\\[|\\]|\"format\": 1|,|\"updates\": |\"path\": \"workers\"|\"value\": [0-9]|\\PC){0,12}",
    ) {
        let dir = Dir::new();
        dir.write("kept.json", text);
        drop(layers().keep_updates(dir.at("kept.json")).load::<App>());
    }
}
