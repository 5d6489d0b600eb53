//! The running application: how it starts, and the ways to its end.
#![cfg(feature = "foundation")]
#![allow(clippy::disallowed_methods, clippy::disallowed_types)] // tests stand outside of the door

mod common;

use std::sync::Arc;

use common::*;
use underpin::{
    CastError, ErrorKind, Exit, Foundation, FoundationBuilder, Handle, Next, StartError, TerminateChildError,
};

/// An application with one service, `a`.
fn app(name: &str, journal: &Journal) -> (FoundationBuilder, Handle<Msg>) {
    let spec = bot("a", journal);
    let handle = spec.handle();
    (Foundation::builder(name).child(spec), handle)
}

#[test]
fn starts_serves_and_stops_and_a_second_shutdown_gives_the_same_report() {
    let journal = Journal::new();
    let (builder, a) = app("fnd-life", &journal);
    let app = builder.start().expect("starts");
    a.cast(Msg::Add(2)).expect("accepted");
    assert_eq!(a.call(Msg::Total).expect("answered"), 2);
    assert_eq!(app.root().count_children().specs, 1);
    assert_eq!(app.stopper().reason(), None);
    let first = app.shutdown(LONG);
    assert!(first.is_clean() && matches!(first.exit, Exit::Shutdown), "{first}");
    let second = app.shutdown(NS);
    assert_eq!((second.to_string(), second.took), (first.to_string(), first.took));
    assert!(app.wait().is_clean(), "a wait afterwards does not wait");
    assert_eq!(app.stopper().reason().as_deref(), Some("it was shut down"));
    assert_eq!(journal.count(|line| line == "a terminate: was shut down"), 1);
    assert!(matches!(a.cast(Msg::Add(1)), Err(CastError::Stopped { .. })));
}

#[test]
fn the_drop_stops_it_in_order() {
    let journal = Journal::new();
    let (builder, _) = app("fnd-drop", &journal);
    drop(builder.child(bot("b", &journal)).start().expect("starts"));
    assert!(journal.at("b drop") < journal.at("a terminate: was shut down"));
    assert!(journal.has("a drop"));
}

#[test]
fn a_start_that_fails_leaves_nothing_running_and_names_the_child() {
    let journal = Journal::new();
    let failing = bot_with("b", &journal, |bot| bot.on_init(|_, _| Err(Oops(ErrorKind::System, "no disk"))));
    let (builder, a) = app("fnd-fail", &journal);
    match builder.child(failing).child(bot("c", &journal)).start() {
        Err(StartError::FailedToStart { supervisor, child, source: Exit::Failed(error) }) => {
            assert_eq!((&*supervisor, &*child, &*error.to_string()), ("fnd-fail", "b", "no disk"));
        }
        other => panic!("{other:?}"),
    }
    assert!(journal.has("a drop") && journal.has("b drop"));
    assert!(!journal.has("c init 1"));
    assert!(matches!(a.cast(Msg::Add(1)), Err(CastError::Stopped { .. })));
}

#[test]
fn a_service_of_its_own_can_ask_for_the_end_and_the_first_reason_stays() {
    let journal = Journal::new();
    let (builder, a) = app("fnd-stop", &journal);
    let app = Arc::new(builder.start().expect("starts"));
    let waiter = Arc::clone(&app);
    let waiting = aside(move || waiter.wait());
    assert_eq!(a.call(Msg::Total).expect("answered"), 0);
    assert!(!waiting.is_done());
    let stopper = app.stopper();
    let sent = a.cast(act(move |_, _| {
        stopper.stop_because("had enough");
        stopper.stop_because("too late");
        Ok(Next::Continue)
    }));
    sent.expect("accepted");
    let report = waiting.done();
    assert!(report.is_clean() && matches!(report.exit, Exit::Shutdown), "{report}");
    assert_eq!(app.stopper().reason().as_deref(), Some("had enough"));
    assert!(journal.has("a terminate: was shut down"));
}

#[test]
fn a_stop_before_the_wait_is_not_lost_and_stops_nothing_yet() {
    let journal = Journal::new();
    let (builder, a) = app("fnd-early", &journal);
    let app = builder.start().expect("starts");
    app.stopper().stop();
    assert_eq!(app.stopper().reason().as_deref(), Some("it was asked to"));
    assert_eq!(a.call(Msg::Total).expect("answered"), 0);
    assert!(app.wait().is_clean());
}

#[test]
fn the_wait_ends_when_the_root_gives_up() {
    let journal = Journal::new();
    let (builder, a) = app("fnd-up", &journal);
    let app = builder.intensity(0, SECOND).start().expect("starts");
    a.cast(boom()).expect("accepted");
    let report = app.wait();
    assert!(matches!(&report.exit, Exit::Escalated { child } if &**child == "a"), "{report}");
    assert!(report.is_clean(), "{report}");
    assert_eq!(app.stopper().reason().as_deref(), Some("its root supervisor ended"));
}

#[test]
fn a_child_cannot_have_itself_terminated() {
    let journal = Journal::new();
    let (builder, a) = app("fnd-self", &journal);
    let app = builder.start().expect("starts");
    let root = app.root();
    let answer = a.call(ask(move |_, _, reply| {
        let refused = root.terminate_child("a");
        assert_eq!(refused, Err(TerminateChildError::TerminatingSelf { name: "a".into() }));
        reply.send(1);
        Ok(Next::Continue)
    }));
    assert_eq!(answer.expect("answered"), 1);
    app.root().terminate_child("a").expect("another may");
    assert!(journal.has("a terminate: was shut down"));
    drop(app);
}

#[test]
fn a_hook_that_panics_harms_nobody() {
    let (journal, noted) = (Journal::new(), Journal::new());
    let (builder, a) = app("fnd-hook", &journal);
    let told = noted.clone();
    let app = builder.on_event(move |_| {
        told.note("told");
        panic_quietly("hook");
    });
    let app = app.start().expect("starts");
    a.cast(boom()).expect("accepted");
    assert_eq!(a.call(Msg::Epoch).expect("answered"), 2);
    let report = app.shutdown(LONG);
    assert!(report.is_clean() && report.events_dropped == 0, "{report}");
    assert!(noted.count(|_| true) > 10, "it is told of all the rest too");
}

// ---- signals -----------------------------------------------------------------------------

#[cfg(all(unix, feature = "signals"))]
mod signals {
    use std::io::{BufRead, BufReader, Read};
    use std::os::unix::process::ExitStatusExt;
    use std::process::{Child, Command, ExitStatus, Stdio};

    use super::*;

    /// Says to the test of this name that it is the process that gets the signals.
    const ROLE: &str = "UNDERPIN_TEST_OF_SIGNALS";

    fn is_child() -> bool {
        std::env::var_os(ROLE).is_some()
    }

    /// In the child: ends the process when the one that started it is gone.
    fn end_with_parent() {
        std::thread::spawn(|| {
            let _ = std::io::stdin().read_to_end(&mut Vec::new());
            std::process::exit(3);
        });
    }

    struct Kill(Child);

    impl Drop for Kill {
        fn drop(&mut self) {
            let _ = self.0.kill();
            let _ = self.0.wait();
        }
    }

    /// Runs the test `name` as a process of its own, sends it a signal when it says `READY`, and
    /// returns what it said afterwards and how it ended.
    fn signalled(name: &str, signal: &str) -> (String, ExitStatus) {
        let own = std::env::current_exe().expect("there is a binary");
        let started = Command::new(own)
            .args(["--exact", name, "--nocapture"])
            .env(ROLE, "1")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn();
        let mut process = Kill(started.expect("it starts"));
        let mut output = BufReader::new(process.0.stdout.take().expect("it is piped"));
        let mut line = String::new();
        while !line.contains("READY") {
            line.clear();
            assert!(output.read_line(&mut line).expect("it can be read") > 0, "it ended too early");
        }
        let sent = Command::new("kill").args([signal, &process.0.id().to_string()]).status();
        assert!(sent.expect("there is a kill").success());
        let mut rest = String::new();
        output.read_to_string(&mut rest).expect("it can be read");
        // With its standard input still open: that is how it knows of us.
        let input = process.0.stdin.take();
        let status = process.0.wait().expect("it ends");
        drop(input);
        (rest, status)
    }

    fn wait_for_a_signal() {
        end_with_parent();
        let journal = Journal::new();
        let (builder, _) = app("fnd-signal", &journal);
        let app = builder.on_signals().start().expect("starts");
        println!("READY");
        let report = app.wait();
        let reason = app.stopper().reason();
        assert!(journal.has("a terminate: was shut down"));
        println!("ENDED by {} clean {}", reason.as_deref().unwrap_or("nobody"), report.is_clean());
    }

    #[test]
    fn sigterm_ends_the_wait_and_everything_in_order() {
        if is_child() {
            return wait_for_a_signal();
        }
        let name = "signals::sigterm_ends_the_wait_and_everything_in_order";
        let (said, status) = signalled(name, "-TERM");
        assert!(said.contains("ENDED by SIGTERM clean true"), "{said}");
        assert!(status.success(), "{status}");
    }

    #[test]
    fn sigint_ends_the_wait_and_everything_in_order() {
        if is_child() {
            return wait_for_a_signal();
        }
        let name = "signals::sigint_ends_the_wait_and_everything_in_order";
        let (said, status) = signalled(name, "-INT");
        assert!(said.contains("ENDED by SIGINT clean true"), "{said}");
        assert!(status.success(), "{status}");
    }

    fn after_the_shutdown() {
        let journal = Journal::new();
        // Twice: what was given back can be taken again.
        for _ in 0..2 {
            let (builder, _) = app("fnd-signal", &journal);
            assert!(builder.on_signals().start().expect("starts").shutdown(LONG).is_clean());
        }
        println!("READY");
        let _ = std::io::stdin().read_to_end(&mut Vec::new());
        println!("SURVIVED");
    }

    #[test]
    fn sigterm_does_what_it_did_before_once_it_was_shut_down() {
        if is_child() {
            return after_the_shutdown();
        }
        let name = "signals::sigterm_does_what_it_did_before_once_it_was_shut_down";
        let (said, status) = signalled(name, "-TERM");
        assert!(!said.contains("SURVIVED"), "{said}");
        assert_eq!(status.signal(), Some(15), "{status}");
    }

    #[test]
    fn sigterm_does_what_it_did_before_once_a_start_failed() {
        if is_child() {
            let journal = Journal::new();
            let failing = bot_with("b", &journal, |bot| bot.on_init(|_, _| Err(Oops(ErrorKind::User, "no"))));
            assert!(Foundation::builder("fnd-signal").child(failing).on_signals().start().is_err());
            return after_the_shutdown();
        }
        let name = "signals::sigterm_does_what_it_did_before_once_a_start_failed";
        let (said, status) = signalled(name, "-TERM");
        assert!(!said.contains("SURVIVED"), "{said}");
        assert_eq!(status.signal(), Some(15), "{status}");
    }
}
