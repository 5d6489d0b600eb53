//! A foundation with configurations: their place in the order, and SIGHUP.
#![cfg(all(feature = "foundation", feature = "config"))]
#![allow(clippy::disallowed_methods, clippy::disallowed_types)] // tests stand outside of the door

mod common;

use common::*;
use serde::{Deserialize, Serialize};
use underpin::config::{Config, Layers, UpdateError, Validate};
use underpin::{Foundation, StartError};

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Settings {
    workers: u64,
}

impl Validate for Settings {}

fn config(name: &'static str) -> Config<Settings> {
    Layers::new().name(name).defaults(Settings { workers: 2 }).load().expect("valid")
}

#[test]
fn a_config_is_started_first_and_stopped_last_even_if_it_is_named_late() {
    let journal = Journal::new();
    let config = config("settings");
    // Each of them says at its start and at its end whether the service answers.
    let (early, late) = (config.clone(), config.clone());
    let (at_start, at_end) = (journal.clone(), journal.clone());
    let first = bot_with("first", &journal, move |bot| {
        let (early, late) = (early.clone(), late.clone());
        let (at_start, at_end) = (at_start.clone(), at_end.clone());
        bot.on_init(move |_, _| {
            at_start.note(format!("start {:?}", early.update("workers", 3)));
            Ok(underpin::Init::Ready)
        })
        .on_terminate(move |_, _| at_end.note(format!("end {:?}", late.update("workers", 4))))
    });
    let app = Foundation::builder("fnd-first").child(first).config(&config).start().expect("starts");
    assert!(journal.has("start Ok(2)"), "{:?}", journal.all());
    assert!(app.shutdown(LONG).is_clean());
    assert!(journal.has("end Ok(3)"), "{:?}", journal.all());
    assert!(matches!(config.update("workers", 5), Err(UpdateError::Stopped)));
    assert_eq!(config.load().workers, 4, "it can be read for ever");
}

#[test]
fn several_configs_come_in_the_order_in_which_they_are_named_before_all_others() {
    let journal = Journal::new();
    let (one, two) = (config("one"), config("two"));
    let builder = Foundation::builder("fnd-several").config(&one).child(bot("a", &journal));
    let app = builder.config(&two).child(bot("b", &journal)).start().expect("starts");
    let names: Vec<_> = app.root().which_children().iter().map(|child| child.name.to_string()).collect();
    assert_eq!(names, ["one", "two", "a", "b"]);
}

#[test]
fn a_config_in_two_foundations_is_refused_by_the_second() {
    let config = config("settings");
    let app = Foundation::builder("fnd-once").config(&config).start().expect("starts");
    match Foundation::builder("fnd-twice").config(&config).start() {
        Err(StartError::BadSpec { reason, .. }) => {
            assert!(reason.contains("has its service already"), "{reason}");
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(config.update("workers", 3).expect("the first goes on"), 2);
    drop(app);
}

// ---- signals -----------------------------------------------------------------------------

#[cfg(all(unix, feature = "signals"))]
mod signals {
    use std::io::{BufRead, BufReader, Read};
    use std::os::unix::process::ExitStatusExt;
    use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};

    use super::*;

    /// Says to the test of this name that it is the process that gets the signals.
    const ROLE: &str = "UNDERPIN_TEST_OF_SIGHUP";

    fn is_child() -> bool {
        std::env::var_os(ROLE).is_some()
    }

    /// A test of this file as a process of its own.
    struct Process {
        child: Child,
        said: BufReader<ChildStdout>,
    }

    impl Process {
        fn of(test: &str) -> Self {
            let mut command = with_default_sighup(std::env::current_exe().expect("there is a binary"));
            command.args(["--exact", test, "--nocapture"]).env(ROLE, "1");
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
            let mut child = command.spawn().expect("it starts");
            let said = BufReader::new(child.stdout.take().expect("it is piped"));
            Self { child, said }
        }

        /// Waits until it says so.
        fn wait_for(&mut self, word: &str) {
            let mut line = String::new();
            while !line.contains(word) {
                line.clear();
                assert!(self.said.read_line(&mut line).expect("text") > 0, "it never said {word}");
            }
        }

        fn signal(&self, signal: &str) {
            let sent = Command::new("kill").args([signal, &self.child.id().to_string()]).status();
            assert!(sent.expect("there is a kill").success());
        }

        fn end(mut self) -> (String, ExitStatus) {
            let mut rest = String::new();
            self.said.read_to_string(&mut rest).expect("text");
            // With its standard input still open: that is how it knows of us.
            let input = self.child.stdin.take();
            let status = self.child.wait().expect("it ends");
            drop(input);
            (rest, status)
        }
    }

    impl Drop for Process {
        fn drop(&mut self) {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }

    /// Runs the program with SIGHUP as it is for most. Who was started by `nohup`, or by something
    /// that was, ignores it, and so would the program.
    fn with_default_sighup(program: std::path::PathBuf) -> Command {
        if !is_sighup_ignored() {
            return Command::new(program);
        }
        let mut command = Command::new("env");
        command.arg("--default-signal=HUP").arg(program);
        command
    }

    fn is_sighup_ignored() -> bool {
        let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
        let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
        let ignored = ignored.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
        ignored.is_some_and(|mask| mask & 1 == 1) // SIGHUP is the first
    }

    /// In the child: ends the process when the one that started it is gone.
    fn end_with_parent() {
        std::thread::spawn(|| {
            let _ = std::io::stdin().read_to_end(&mut Vec::new());
            std::process::exit(3);
        });
    }

    /// A file that holds so many workers, removed with it.
    struct File(std::path::PathBuf);

    impl File {
        fn new(name: &str, workers: u64) -> Self {
            let name = format!("underpin-sighup-{}-{name}.toml", std::process::id());
            let file = Self(std::env::temp_dir().join(name));
            file.say(workers);
            file
        }

        fn say(&self, workers: u64) {
            std::fs::write(&self.0, format!("workers = {workers}")).expect("a writable directory");
        }
    }

    impl Drop for File {
        fn drop(&mut self) {
            let _ = std::fs::remove_file(&self.0);
        }
    }

    fn reading(name: &'static str, file: &File) -> Config<Settings> {
        Layers::new().name(name).file(&file.0).load().expect("valid")
    }

    fn hang_up_on_oneself() {
        let kill = Command::new("kill").args(["-HUP", &std::process::id().to_string()]).status();
        assert!(kill.expect("there is a kill").success());
    }

    fn be_read_again() {
        end_with_parent();
        let (file_one, file_two) = (File::new("one", 2), File::new("two", 2));
        let (one, two) = (reading("one", &file_one), reading("two", &file_two));
        let heard = [&one, &two].map(|config| config.subscribe("").expect("a path"));
        let at_end = one.subscribe("").expect("a path");
        let journal = Journal::new();
        // While it stops, the configurations still run: they are stopped last.
        let last = file_one.0.clone();
        let at_end = std::sync::Arc::new(std::sync::Mutex::new(at_end));
        let spec = bot_with("a", &journal, move |bot| {
            let (at_end, last) = (at_end.clone(), last.clone());
            bot.on_terminate(move |_, _| {
                std::fs::write(&last, "workers = 9").expect("a writable directory");
                hang_up_on_oneself();
                let mut heard = at_end.lock().expect("no panic");
                while heard.recv_timeout(LONG).expect("it is read again").version < 3 {}
            })
        });
        let builder = Foundation::builder("fnd-hup").child(spec).config(&one).config(&two);
        let app = builder.on_signals().start().expect("starts");
        file_one.say(5);
        file_two.say(7);
        println!("READY");
        for notice in heard.map(|mut heard| heard.recv_timeout(LONG).expect("it is read again")) {
            assert_eq!(notice.version, 2);
        }
        assert_eq!((one.load().workers, two.load().workers), (5, 7));
        assert_eq!(app.stopper().reason(), None, "it asks for no end");
        println!("READ");
        let report = app.wait();
        let reason = app.stopper().reason();
        println!("ENDED by {} clean {}", reason.as_deref().unwrap_or("nobody"), report.is_clean());
        println!("WORKERS {}", one.load().workers);
    }

    #[test]
    fn sighup_has_every_config_read_again_and_is_no_request_for_the_end() {
        if is_child() {
            return be_read_again();
        }
        let mut process =
            Process::of("signals::sighup_has_every_config_read_again_and_is_no_request_for_the_end");
        process.wait_for("READY");
        process.signal("-HUP");
        process.wait_for("READ");
        process.signal("-TERM");
        let (said, status) = process.end();
        assert!(said.contains("ENDED by SIGTERM clean true"), "{said}");
        assert!(said.contains("WORKERS 9"), "{said}");
        assert!(status.success(), "{status}");
    }

    /// Waits to be ended from outside.
    fn be_ended() {
        println!("READY");
        let _ = std::io::stdin().read_to_end(&mut Vec::new());
        println!("SURVIVED");
    }

    fn ends_by_sighup(test: &str) {
        let mut process = Process::of(test);
        process.wait_for("READY");
        process.signal("-HUP");
        let (said, status) = process.end();
        assert!(!said.contains("SURVIVED"), "{said}");
        assert_eq!(status.signal(), Some(1), "{status}");
    }

    #[test]
    fn without_a_config_sighup_does_what_it_did_before() {
        if is_child() {
            let journal = Journal::new();
            let builder = Foundation::builder("fnd-no-config").child(bot("a", &journal));
            let _app = builder.on_signals().start().expect("starts");
            return be_ended();
        }
        ends_by_sighup("signals::without_a_config_sighup_does_what_it_did_before");
    }

    #[test]
    fn without_on_signals_sighup_does_what_it_did_before() {
        if is_child() {
            let _app = Foundation::builder("fnd-no-signals").config(&config("c")).start().expect("starts");
            return be_ended();
        }
        ends_by_sighup("signals::without_on_signals_sighup_does_what_it_did_before");
    }

    #[test]
    fn sighup_does_what_it_did_before_once_it_was_shut_down() {
        if is_child() {
            // Beside one without a config, and twice: what was given back can be taken again.
            let other = Foundation::builder("fnd-other").on_signals().start().expect("starts");
            for _ in 0..2 {
                let app = Foundation::builder("fnd-hup").config(&config("c")).on_signals();
                assert!(app.start().expect("starts").shutdown(LONG).is_clean());
            }
            be_ended();
            return drop(other);
        }
        ends_by_sighup("signals::sighup_does_what_it_did_before_once_it_was_shut_down");
    }
}
