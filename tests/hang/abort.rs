//! `OnHang::AbortProcess`: the process ends, and says why.

use std::io::Write;
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, Output, Stdio};

use super::*;

const PROGRAM: &str = "UNDERPIN_TEST_ABORTS";

/// Runs the named test in a process of its own, where `program` is what it does instead.
fn in_a_process(test: &str, program: impl FnOnce()) -> Option<Output> {
    if std::env::var_os(PROGRAM).is_some() {
        program();
        return None;
    }
    let mut own = Command::new(std::env::current_exe().expect("this has a path"));
    own.args(["--exact", test, "--nocapture", "--test-threads", "1"]).env(PROGRAM, "1");
    let child = own.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let child = child.expect("it can be run");
    Some(aside(move || child.wait_with_output().expect("it ends")).done())
}

/// The process was aborted; what it said on stderr.
#[track_caller]
fn aborted(output: Output) -> String {
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.signal(), Some(6), "SIGABRT, {output:?}");
    said
}

fn hook(event: &SupervisionEvent) {
    if let SupervisionEvent::Aborting { hung, why } = event {
        let Unstopped { supervisor, child, epoch, state, .. } = hung;
        let begun = std::time::Instant::now();
        eventually("it takes its time", || begun.elapsed() > MS * 100);
        let _ = writeln!(std::io::stderr(), "heard: {supervisor} {child} {epoch} {state} {why:?}");
    }
}

/// A child that hangs in its handler, and whose supervisor is asked to stop it.
fn hangs_at_its_stop(app: Supervisor) {
    let journal = Journal::new();
    let spec = bot("disk", &journal).shutdown(MS * 20).on_hang(OnHang::AbortProcess);
    let handle = spec.handle();
    let sup = app.child(spec).start().expect("starts");
    let _held = hang(&handle);
    let _ = sup.terminate_child("disk");
    unreachable!("the process is gone");
}

#[test]
fn abort_at_a_stop_names_who_hangs_and_lets_the_hook_hear_of_it() {
    let program = || hangs_at_its_stop(Supervisor::new("app").on_event(hook));
    let test = "abort::abort_at_a_stop_names_who_hangs_and_lets_the_hook_hear_of_it";
    let Some(output) = in_a_process(test, program) else { return };
    let said = aborted(output);
    let line = said.lines().find(|line| line.starts_with("underpin: ")).expect("one line");
    for part in ["app/disk", "is still processing", "incarnation 1", "thread `disk` ThreadId("] {
        assert!(line.contains(part), "no {part} in {line}");
    }
    assert!(line.ends_with("; it did not stop in its grace; the process is aborted"), "{line}");
    assert!(said.contains("heard: app disk 1 processing Grace"), "{said}");
}

#[test]
fn abort_label_is_in_the_line() {
    let program = || hangs_at_its_stop(Supervisor::new("app"));
    let Some(output) = in_a_process("abort::abort_label_is_in_the_line", program) else { return };
    let said = aborted(output);
    assert!(said.contains("app/disk is still processing: `Do` for "), "{said}");
}

#[test]
fn abort_at_a_start_needs_no_hook() {
    let program = || {
        let journal = Journal::new();
        let hangs = |bot: Bot| {
            bot.on_init(|_, _| {
                Latch::new().wait();
                Ok(Init::Ready)
            })
        };
        let spec = bot_with("disk", &journal, hangs).init_timeout(MS * 200).on_hang(OnHang::AbortProcess);
        let _ = Supervisor::new("app").supervisor(Supervisor::new("net").child(spec)).start();
        unreachable!("the process is gone");
    };
    let Some(output) = in_a_process("abort::abort_at_a_start_needs_no_hook", program) else { return };
    let said = aborted(output);
    assert!(said.contains("underpin: app/net/disk is still initializing"), "{said}");
    assert!(said.contains("it did not start in time; the process is aborted"), "{said}");
}

#[test]
fn abort_does_not_wait_for_a_hook_that_hangs_nor_for_stderr() {
    let program = || {
        let clock = Clock::manual().0; // it stands still: the bound is the system's
        let hangs = |event: &SupervisionEvent| {
            if matches!(event, SupervisionEvent::Aborting { .. }) {
                Latch::new().wait();
            }
        };
        let journal = Journal::new();
        let spec = bot("disk", &journal).on_hang(OnHang::AbortProcess);
        let handle = spec.handle();
        let app = Supervisor::new("app").clock(clock).on_event(hangs).child(spec);
        let sup = app.start().expect("starts");
        let (inside, never) = (Latch::new(), Latch::new());
        let tell = inside.clone();
        let sent = handle.cast(act(move |_, _| {
            let _held = std::io::stderr().lock();
            tell.open();
            never.wait();
            Ok(Next::Continue)
        }));
        sent.expect("accepted");
        inside.wait();
        sup.shutdown(Duration::ZERO);
        unreachable!("the process is gone");
    };
    let test = "abort::abort_does_not_wait_for_a_hook_that_hangs_nor_for_stderr";
    let begun = std::time::Instant::now();
    let Some(output) = in_a_process(test, program) else { return };
    assert_eq!(aborted(output), "", "stderr was held");
    assert!(begun.elapsed() < LONG / 2);
}

#[test]
fn abort_is_not_for_those_who_keep_their_limits() {
    let program = || {
        let journal = Journal::new();
        let spec = bot("disk", &journal).on_hang(OnHang::AbortProcess);
        let sup = Supervisor::new("app").child(spec).start().expect("starts");
        assert!(sup.shutdown(LONG).is_clean());
    };
    let test = "abort::abort_is_not_for_those_who_keep_their_limits";
    let Some(output) = in_a_process(test, program) else { return };
    assert!(output.status.success(), "{output:?}");
}
