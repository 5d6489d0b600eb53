//! Files that change while the program runs, and who notices.
#![cfg(feature = "config")]
#![allow(clippy::disallowed_methods, clippy::disallowed_types)] // tests stand outside of the door

mod common;
#[path = "common/settings.rs"]
mod settings;

use std::fs;
use std::sync::Arc;

use common::*;
use log::Level;
use settings::*;
use underpin::config::{Config, ConfigEvent, Layers, Silence, Sink, Watch};
use underpin::{Clock, Context, ManualClock, Next, Service, SupervisorHandle, child};

/// A configuration that looks every second, by a clock that the test moves. It has settled.
fn polled(layers: Layers) -> (Config<App>, ManualClock, SupervisorHandle) {
    records();
    let (clock, hand) = Clock::manual();
    let config: Config<App> = layers.watch(Watch::Poll(SECOND)).load().expect("it loads");
    let running = patient("watch").clock(clock).child(config.child()).start().expect("it starts");
    pass(&config, &hand, 200 * MS);
    (config, hand, running)
}

/// Lets time pass, and what is due be done.
#[track_caller]
fn pass(config: &Config<App>, hand: &ManualClock, time: std::time::Duration) {
    rest(config);
    hand.advance(time);
    rest(config);
}

#[test]
fn a_change_is_seen_at_the_next_look_and_read_when_it_has_settled() {
    let dir = Dir::new();
    let (config, hand, _running) = polled(layers().file(dir.write("app.toml", "workers = 2")));
    dir.write("app.toml", "workers = 33");
    pass(&config, &hand, 799 * MS);
    assert_eq!(config.version(), 1, "it has not looked");
    pass(&config, &hand, MS);
    pass(&config, &hand, 199 * MS);
    assert_eq!(config.version(), 1, "it has not settled");
    pass(&config, &hand, MS);
    assert_eq!((config.version(), config.load().workers), (2, 33));
}

#[test]
fn what_changed_between_the_load_and_the_start_is_noticed() {
    let dir = Dir::new();
    let (clock, hand) = Clock::manual();
    let file = dir.write("app.toml", "workers = 2");
    let config: Config<App> = layers().file(file).watch(Watch::Poll(SECOND)).load().expect("it loads");
    dir.write("app.toml", "workers = 3");
    let _running = patient("watch").clock(clock).child(config.child()).start().expect("it starts");
    pass(&config, &hand, 200 * MS);
    assert_eq!(config.load().workers, 3);
}

#[test]
fn a_file_that_was_touched_and_holds_the_same_makes_no_version() {
    let dir = Dir::new();
    let (config, hand, _running) = polled(layers().file(dir.write("app.toml", "workers = 2")));
    let ears = Ears::of(&config);
    for _ in 0..3 {
        fs::remove_file(dir.at("app.toml")).expect("removed");
        dir.write("app.toml", "workers = 2");
        pass(&config, &hand, SECOND);
        pass(&config, &hand, 200 * MS);
    }
    assert_eq!((config.version(), ears.0.all().len()), (1, 0));
}

#[test]
fn another_file_of_the_same_length_and_time_is_noticed() {
    let dir = Dir::new();
    let (config, hand, _running) = polled(layers().file(dir.write("app.toml", "workers = 2")));
    let time = fs::metadata(dir.at("app.toml")).and_then(|it| it.modified()).expect("it has one");
    let new = dir.write("new", "workers = 3");
    fs::File::options().write(true).open(&new).and_then(|it| it.set_modified(time)).expect("set");
    fs::rename(new, dir.at("app.toml")).expect("renamed");
    pass(&config, &hand, SECOND);
    pass(&config, &hand, 200 * MS);
    assert_eq!(config.load().workers, 3);
}

/// Writes the file again, once, as soon as a version was published, before it is looked at again.
struct Meddler(std::path::PathBuf, Latch);

impl Sink for Meddler {
    fn event(&self, event: &ConfigEvent) {
        if matches!(event, ConfigEvent::Updated { version: 2, .. }) {
            fs::write(&self.0, "workers = 44").expect("written");
            self.1.open();
        }
    }
}

#[test]
fn a_change_while_the_last_one_is_taken_is_noticed() {
    let dir = Dir::new();
    let file = dir.write("app.toml", "workers = 2");
    let (config, hand, _running) = polled(layers().file(&file));
    config.set_sink(Arc::new(Meddler(file, Latch::new())));
    dir.write("app.toml", "workers = 3");
    for _ in 0..2 {
        pass(&config, &hand, SECOND);
        pass(&config, &hand, 200 * MS);
    }
    assert_eq!(config.load().workers, 44);
}

#[test]
fn a_bad_file_that_is_saved_again_and_again_is_told_of_once() {
    let dir = Dir::new();
    let (config, hand, _running) = polled(layers().file(dir.write("again.toml", "workers = 2")));
    let ears = Ears::of(&config);
    for round in 0..4 {
        dir.write("again.toml", format!("workers = 'x' # {}", "again ".repeat(round)));
        pass(&config, &hand, SECOND);
        pass(&config, &hand, 200 * MS);
    }
    assert_eq!((ears.degraded(), logged(Level::Error, "again.toml:1")), (1, 1));
    assert_eq!((config.load().workers, config.snapshot().is_degraded()), (2, true));
    dir.write("again.toml", "workers = 4");
    pass(&config, &hand, SECOND);
    pass(&config, &hand, 200 * MS);
    assert_eq!((config.load().workers, ears.recovered()), (4, 1));
    assert!(!config.snapshot().is_degraded());
}

#[test]
fn a_file_that_goes_and_comes_back_as_it_was_ends_what_its_absence_began() {
    let dir = Dir::new();
    let (config, hand, _running) = polled(layers().file(dir.write("back.toml", "workers = 2")));
    fs::remove_file(dir.at("back.toml")).expect("removed");
    for _ in 0..2 {
        pass(&config, &hand, SECOND);
        pass(&config, &hand, 200 * MS);
    }
    assert!(config.snapshot().is_degraded());
    dir.write("back.toml", "workers = 2");
    pass(&config, &hand, SECOND);
    pass(&config, &hand, 200 * MS);
    assert!(!config.snapshot().is_degraded());
    assert_eq!((config.load().workers, logged(Level::Error, "back.toml")), (2, 1));
}

#[test]
fn what_changed_while_the_service_was_down_is_noticed_by_the_next() {
    let dir = Dir::new();
    let (config, hand, running) = polled(layers().file(dir.write("app.toml", "workers = 2")));
    running.terminate_child("config").expect("it is stopped");
    dir.write("app.toml", "workers = 33");
    running.restart_child("config").expect("it is started");
    pass(&config, &hand, 200 * MS);
    assert_eq!(config.load().workers, 33);
    dir.write("app.toml", "workers = 44");
    pass(&config, &hand, SECOND);
    pass(&config, &hand, 200 * MS);
    assert_eq!(config.load().workers, 44);
}

#[cfg(not(feature = "watch"))]
#[test]
fn where_the_system_does_not_tell_files_are_looked_at_every_two_seconds() {
    let dir = Dir::new();
    let (clock, hand) = Clock::manual();
    let file = dir.write("app.toml", "workers = 1");
    let config: Config<App> = layers().file(file).watch(Watch::Notify).load().expect("it loads");
    let _running = patient("watch").clock(clock).child(config.child()).start().expect("it starts");
    pass(&config, &hand, 200 * MS);
    for n in 2..5 {
        dir.write("app.toml", format!("workers = {n}"));
        pass(&config, &hand, 2 * SECOND);
        pass(&config, &hand, 200 * MS);
        assert_eq!(config.load().workers, n);
    }
}

#[test]
fn a_file_that_is_saved_all_the_time_is_read_after_two_seconds_all_the_same() {
    let dir = Dir::new();
    let (clock, hand) = Clock::manual();
    let file = dir.write("app.toml", "workers = 1");
    let config: Config<App> = layers().file(file).watch(Watch::Poll(100 * MS)).load().expect("it loads");
    let _running = patient("watch").clock(clock).child(config.child()).start().expect("it starts");
    pass(&config, &hand, 200 * MS);
    let rounds = (1..40).find(|round| {
        dir.write("app.toml", format!("workers = 9{}", "#".repeat(*round)));
        pass(&config, &hand, 100 * MS);
        config.load().workers == 9
    });
    assert_eq!(rounds, Some(21), "the first look, and 2 s");
}

#[test]
fn a_question_that_panics_over_a_file_degrades_and_does_not_crash_again_and_again() {
    let dir = Dir::new();
    let (config, hand, running) = polled(layers().file(dir.write("app.toml", "workers = 2")));
    let anybody = child("anybody", || Quiet);
    let unwilling = |_, _| common::panic_quietly("no words for it");
    config.ask_before("workers", &anybody.handle(), Silence::Consents, unwilling).expect("a path");
    dir.write("app.toml", "workers = 33");
    pass(&config, &hand, SECOND);
    pass(&config, &hand, 200 * MS);
    let snapshot = config.snapshot();
    let reason = snapshot.degraded().expect("it is degraded").reason.to_string();
    assert!(reason.ends_with("it panicked: no words for it"), "{reason}");
    assert_eq!((config.version(), snapshot.workers), (1, 2));
    let epochs = running.inspect().expect("it answers").children.iter().map(|child| child.epoch).max();
    assert_eq!(epochs, Some(1), "the config service goes on");
}

/// One that is never started.
struct Quiet;

impl Service for Quiet {
    type Msg = ();
    type Error = std::convert::Infallible;

    fn handle(&mut self, (): (), _: &mut Context<Self>) -> Result<Next, Self::Error> {
        Ok(Next::Continue)
    }
}

#[test]
fn nothing_is_watched_unless_it_is_said() {
    let dir = Dir::new();
    let (clock, hand) = Clock::manual();
    let config: Config<App> = layers().file(dir.write("app.toml", "workers = 2")).load().expect("it loads");
    let _running = patient("watch").clock(clock).child(config.child()).start().expect("it starts");
    dir.write("app.toml", "workers = 3");
    pass(&config, &hand, 60 * SECOND);
    assert_eq!(config.load().workers, 2);
}

/// What the operating system tells of.
#[cfg(all(feature = "watch", unix))]
mod told {
    use super::*;
    use std::os::unix::fs::symlink;
    use std::path::Path;

    fn watched(layers: Layers) -> (Config<App>, SupervisorHandle) {
        records();
        let config: Config<App> = layers.watch(Watch::Notify).load().expect("it loads");
        let running = patient("watch").child(config.child()).start().expect("it starts");
        (config, running)
    }

    /// Changes something, and waits until it counts. By a look it would take 2 s or more.
    #[track_caller]
    fn leads_to(config: &Config<App>, workers: u16, change: impl FnOnce()) {
        let mut told = config.subscribe("workers").expect("a path");
        change();
        while config.load().workers != workers {
            let notice = told.recv_timeout(LONG);
            notice.unwrap_or_else(|error| panic!("{workers} workers never came: {error}"));
        }
    }

    fn replace(file: &Path, text: &str) {
        let new = file.with_extension("tmp");
        fs::write(&new, text).expect("written");
        fs::rename(new, file).expect("renamed");
    }

    #[test]
    fn a_file_that_is_written_to() {
        let dir = Dir::new();
        let (config, _running) = watched(layers().file(dir.write("app.toml", "workers = 1")));
        for n in 2..5 {
            leads_to(&config, n, || drop(dir.write("app.toml", format!("workers = {n}"))));
        }
        assert_eq!(config.version(), 4);
    }

    #[test]
    fn a_file_that_is_replaced_by_a_rename() {
        let dir = Dir::new();
        let file = dir.write("app.toml", "workers = 1");
        let (config, _running) = watched(layers().file(&file));
        for n in 2..5 {
            leads_to(&config, n, || replace(&file, &format!("workers = {n}")));
        }
    }

    #[test]
    fn a_directory_of_a_config_map_that_is_swapped() {
        let dir = Dir::new();
        let publish = |n: u16| {
            let real = format!("..2026_{n}");
            fs::create_dir(dir.at(&real)).expect("made");
            dir.write(&format!("{real}/app.toml"), format!("workers = {n}"));
            symlink(&real, dir.at("..data_tmp")).expect("a link");
            fs::rename(dir.at("..data_tmp"), dir.at("..data")).expect("renamed");
            drop(fs::remove_dir_all(dir.at(&format!("..2026_{}", n - 1))));
        };
        publish(1);
        symlink("..data/app.toml", dir.at("app.toml")).expect("a link");
        let (config, _running) = watched(layers().file(dir.at("app.toml")));
        for n in 2..6 {
            leads_to(&config, n, || publish(n));
        }
    }

    #[test]
    fn a_link_in_the_middle_of_the_way_that_leads_elsewhere() {
        let dir = Dir::new();
        let release = |n: u16| {
            fs::create_dir_all(dir.at(&format!("releases/{n}/etc"))).expect("made");
            dir.write(&format!("releases/{n}/etc/app.toml"), format!("workers = {n}"));
            symlink(format!("releases/{n}"), dir.at("next")).expect("a link");
            fs::rename(dir.at("next"), dir.at("current")).expect("renamed");
        };
        release(1);
        let (config, _running) = watched(layers().file(dir.at("current/etc/app.toml")));
        for n in 2..5 {
            leads_to(&config, n, || release(n));
            // And what it leads to now is watched.
            let file = format!("releases/{n}/etc/app.toml");
            leads_to(&config, 10 + n, || drop(dir.write(&file, format!("workers = {}", 10 + n))));
        }
    }

    #[test]
    fn a_directory_that_is_removed_and_made_again() {
        let dir = Dir::new();
        let make = |n: u16| {
            fs::create_dir_all(dir.at("a/b")).expect("made");
            dir.write("a/b/app.toml", format!("workers = {n}"));
        };
        make(1);
        let (config, _running) = watched(layers().file(dir.at("a/b/app.toml")));
        for n in 2..4 {
            fs::remove_dir_all(dir.at("a")).expect("removed");
            let ears = Ears::of(&config);
            ears.0.wait(|event| matches!(event, ConfigEvent::Degraded { .. }));
            leads_to(&config, n, || make(n));
            ears.0.wait(|event| matches!(event, ConfigEvent::Recovered { .. }));
            leads_to(&config, 10 + n, || drop(dir.write("a/b/app.toml", format!("workers = {}", 10 + n))));
        }
    }

    #[test]
    fn an_optional_file_whose_directory_is_not_there_yet() {
        let dir = Dir::new();
        let (config, _running) = watched(layers().optional_file(dir.at("not/yet/app.toml")));
        leads_to(&config, 7, || {
            fs::create_dir_all(dir.at("not/yet")).expect("made");
            dir.write("not/yet/app.toml", "workers = 7");
        });
        leads_to(&config, 8, || drop(dir.write("not/yet/app.toml", "workers = 8")));
        let text = "they cannot be watched";
        assert_eq!(logged(Level::Warn, text), 0, "{:?}", records().all());
    }

    /// Run by the test below in a process of its own, which may open few files.
    #[test]
    fn in_another_process() {
        if std::env::var_os("UNDERPIN_TEST_FEW_FILES").is_none() {
            return;
        }
        let dir = Dir::new();
        records();
        let (clock, hand) = Clock::manual();
        let file = dir.write("app.toml", "workers = 1");
        let config: Config<App> = layers().file(file).watch(Watch::Notify).load().expect("it loads");
        let mut held: Vec<_> = std::iter::from_fn(|| fs::File::open("/dev/null").ok()).collect();
        held.pop(); // one file can be read or written, and nothing can be watched
        let _running = patient("watch").clock(clock).child(config.child()).start().expect("it starts");
        pass(&config, &hand, 200 * MS);
        for n in 2..5 {
            dir.write("app.toml", format!("workers = {n}"));
            pass(&config, &hand, 2 * SECOND);
            pass(&config, &hand, 200 * MS);
            assert_eq!(config.load().workers, n);
        }
        assert_eq!(logged(Level::Warn, "files are looked at every 2s, they cannot be watched"), 1);
    }

    #[test]
    fn where_nothing_can_be_watched_files_are_looked_at_and_that_is_said_once() {
        let own = std::env::current_exe().expect("it is known");
        let mut command = std::process::Command::new("sh");
        command.args(["-c", "ulimit -n 64 && exec \"$0\" --exact told::in_another_process"]).arg(own);
        let output = command.env("UNDERPIN_TEST_FEW_FILES", "1").output().expect("it runs");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
        assert!(String::from_utf8_lossy(&output.stdout).contains("1 passed"));
    }

    #[test]
    fn the_last_of_many_saves_counts() {
        let dir = Dir::new();
        let (config, _running) = watched(layers().file(dir.write("app.toml", "workers = 1")));
        for round in 0..3 {
            leads_to(&config, 60 + round, || {
                (1..=60 + round).for_each(|n| drop(dir.write("app.toml", format!("workers = {n}"))));
            });
        }
        assert!(config.version() < 20, "they settle: {}", config.version());
    }

    #[test]
    fn a_change_while_the_last_one_is_taken() {
        let dir = Dir::new();
        let file = dir.write("app.toml", "workers = 2");
        let (config, _running) = watched(layers().file(&file));
        let latch = Latch::new();
        config.set_sink(Arc::new(Meddler(file, latch.clone())));
        dir.write("app.toml", "workers = 3");
        leads_to(&config, 44, || latch.wait());
    }
}
