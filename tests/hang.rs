//! Threads that do not come back: what is done about them, how they are counted, what they may
//! still do.

mod common;

use std::cell::RefCell;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::ThreadId;
use std::time::Duration;

use common::*;
use underpin::{
    Backoff, CallError, CastError, ChildSettings, Clock, Context, DEFAULT_MAX_ABANDONED, Deadline,
    DeleteChildError, DynamicSupervisor, Exit, Fence, Handle, Hung, Init, InspectError, Lifecycle,
    ManualClock, Next, OnHang, ReconfigureChildError, ReconfigureError, RecycleChildError, ReplaceChildError,
    ReplayHalt, RestartChildError, StartChildError, StopError, Strategy, SupervisionEvent, Supervisor,
    SupervisorHandle, SupervisorRef, SupervisorSettings, SystemError, TerminateChildError, Unstopped,
    fan_out,
};

fn overdue(events: &Events) -> Vec<(String, u64, Hung, Duration)> {
    let told = |event| match event {
        SupervisionEvent::Overdue { child, epoch, why, after, .. } => {
            Some((child.to_string(), epoch, why, after))
        }
        _ => None,
    };
    events.all().into_iter().filter_map(told).collect()
}

fn is_overdue(event: &SupervisionEvent) -> bool {
    matches!(event, SupervisionEvent::Overdue { .. })
}

fn is_abandoned(event: &SupervisionEvent) -> bool {
    matches!(event, SupervisionEvent::Abandoned { .. })
}

/// Abandons the child in its handler, which does `finally` once the latch is open.
fn abandon_then(
    sup: &SupervisorRef,
    hand: &ManualClock,
    handle: &Handle<Msg>,
    finally: impl FnOnce(&mut Bot, &mut Context<Bot>) + Send + 'static,
) -> Latch {
    let (asked, release) = hang_then(handle, move |bot, cx| {
        finally(bot, cx);
        Ok(Next::Continue)
    });
    let (sup, name) = (sup.clone(), handle.name().to_owned());
    let terminating = aside(move || sup.terminate_child(&name));
    asked.wait();
    hand.advance(SECOND);
    terminating.done().expect("terminated");
    release
}

fn abandon(sup: &SupervisorHandle, hand: &ManualClock, handle: &Handle<Msg>) -> Latch {
    abandon_then(&sup.reference(), hand, handle, |_, _| ())
}

// ---- OnHang::Wait ------------------------------------------------------------------------

#[test]
fn wait_reports_a_stop_that_takes_too_long_once_and_goes_on_waiting() {
    let (clock, hand) = Clock::manual();
    let (journal, events) = (Journal::new(), Events::new());
    let spec = bot("a", &journal).shutdown(SECOND).on_hang(OnHang::Wait);
    let handle = spec.handle();
    let sup = patient("app").clock(clock).on_event(events.hook()).child(spec).start().expect("starts");
    let (asked, release) = hang(&handle);
    let reference = sup.reference();
    let terminating = aside(move || reference.terminate_child("a"));
    asked.wait();
    hand.advance(SECOND);
    events.wait(is_overdue);
    hand.advance(SECOND * 3600);
    let other = sup.start_child(bot("b", &journal)).expect("it answers meanwhile");
    assert_eq!(other.call(Msg::Epoch).expect("answered"), 1);
    assert!(matches!(sup.restart_child("a"), Err(RestartChildError::Running { .. })));
    assert!(!terminating.is_done());
    assert_eq!(handle.status().epoch, 1, "there is no successor");
    release.open();
    terminating.done().expect("terminated");
    assert!(journal.has("a terminate: was shut down"), "it ended in order");
    assert_eq!(overdue(&events), [("a".into(), 1, Hung::Grace, SECOND)]);
    assert_eq!(events.count(is_abandoned), 0);
    let report = sup.shutdown(LONG);
    assert!(report.is_clean() && report.abandoned == 0, "{report}");
}

#[test]
fn wait_reports_a_start_that_takes_too_long_and_lets_it_succeed() {
    let (clock, hand) = Clock::manual();
    let (journal, events, release) = (Journal::new(), Events::new(), Latch::new());
    let held = release.clone();
    let spec = bot_with("a", &journal, move |bot| {
        let held = held.clone();
        bot.on_init(move |bot, _| {
            bot.note("is slow");
            held.wait();
            Ok(Init::Ready)
        })
    });
    let spec = spec.init_timeout(SECOND).on_hang(OnHang::Wait);
    let handle = spec.handle();
    let app = Supervisor::new("app").clock(clock).on_event(events.hook());
    let app = app.child(spec).child(bot("b", &journal));
    let reference = app.reference();
    let starting = aside(move || app.start().expect("starts"));
    journal.wait_line("a is slow");
    reference.which_children();
    hand.advance(SECOND);
    events.wait(is_overdue);
    assert!(!starting.is_done() && !journal.has("b init 1"), "the next one waits too");
    release.open();
    let sup = starting.done();
    assert_eq!(handle.call(Msg::Epoch).expect("answered"), 1);
    assert_eq!(overdue(&events), [("a".into(), 1, Hung::Init, SECOND)]);
    assert!(sup.shutdown(LONG).is_clean());
}

#[test]
fn wait_holds_up_its_group_which_then_goes_on_in_order() {
    let (clock, hand) = Clock::manual();
    let (journal, events) = (Journal::new(), Events::new());
    let (front, spec) = (bot("front", &journal), bot("a", &journal).shutdown(SECOND).on_hang(OnHang::Wait));
    let (crasher, handle) = (front.handle(), spec.handle());
    let app = patient("app").strategy(Strategy::OneForAll).clock(clock).on_event(events.hook());
    let sup = app.child(front).child(spec).start().expect("starts");
    let (asked, release) = hang(&handle);
    crasher.cast(boom()).expect("accepted");
    asked.wait();
    hand.advance(SECOND);
    events.wait(is_overdue);
    assert_eq!(sup.count_children().specs, 2);
    assert_eq!(crasher.status().epoch, 1, "nobody is started before it is gone");
    release.open();
    assert_eq!(handle.call(Msg::Epoch).expect("answered"), 2);
    assert!(journal.at("a drop") < journal.at("front init 2"));
    assert_eq!(events.count(is_abandoned), 0);
    drop(sup);
}

#[test]
fn wait_ends_with_the_deadline_of_a_shutdown_which_names_it() {
    let (clock, hand) = Clock::manual();
    let (journal, events) = (Journal::new(), Events::new());
    let spec = bot("a", &journal).shutdown(SECOND).on_hang(OnHang::Wait);
    let handle = spec.handle();
    let nested = Supervisor::new("net").child(spec);
    let app = Supervisor::new("app").clock(clock).on_event(events.hook()).supervisor(nested);
    let sup = app.start().expect("starts");
    let (asked, release) = hang(&handle);
    let stopping = aside(move || sup.shutdown(SECOND * 10));
    asked.wait();
    hand.advance(SECOND * 9);
    events.wait(is_overdue);
    assert!(!stopping.is_done());
    hand.advance(SECOND);
    let report = stopping.done();
    let names: Vec<_> = report.unstopped.iter().map(|one| (&*one.supervisor, &*one.child)).collect();
    assert_eq!((names, report.abandoned), (vec![("app/net", "a")], 1));
    assert_eq!((overdue(&events).len(), events.count(is_abandoned)), (1, 1));
    release.open();
    journal.wait_line("a drop");
}

#[test]
fn wait_is_only_reported_under_the_shared_grace_of_a_dynamic_supervisor() {
    let (clock, hand) = Clock::manual();
    let (journal, events) = (Journal::new(), Events::new());
    let front = bot("front", &journal);
    let crasher = front.handle();
    let sessions = DynamicSupervisor::new("sessions").shutdown(SECOND);
    let reference = sessions.reference();
    let app = patient("app").strategy(Strategy::OneForAll).clock(clock).on_event(events.hook());
    let sup = app.child(front).supervisor(sessions).start().expect("starts");
    let spec = bot("a", &journal).shutdown(SECOND * 3600).on_hang(OnHang::Wait);
    let handle = reference.start_child(spec).expect("starts");
    let (asked, release) = hang(&handle);
    crasher.cast(boom()).expect("accepted");
    asked.wait();
    reference.which_children();
    hand.advance(SECOND);
    events.wait(is_overdue);
    hand.advance(SECOND * 3600);
    reference.which_children();
    assert_eq!((handle.wait_down(Duration::ZERO).is_some(), crasher.status().epoch), (false, 1));
    release.open();
    assert!(matches!(handle.wait_down(LONG).expect("down").exit, Exit::Shutdown));
    assert_eq!(overdue(&events), [("a".into(), 1, Hung::Grace, SECOND)]);
    drop(sup);
}

// ---- OnHang::AbortProcess ----------------------------------------------------------------

#[cfg(unix)]
mod abort {
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
}

// ---- the count and the cap ---------------------------------------------------------------

/// A child whose `init` hangs from its second life on, until the latch is open. It has 1 s.
fn hangs_again(name: &str, journal: &Journal, release: &Latch) -> underpin::ChildSpec<Bot> {
    let held = release.clone();
    let dress = move |bot: Bot| {
        let held = held.clone();
        bot.on_init(move |bot, cx| {
            if cx.epoch() > 1 {
                bot.note("hangs");
                held.wait();
            }
            Ok(Init::Ready)
        })
    };
    bot_with(name, journal, dress).init_timeout(SECOND)
}

fn hangs(line: &String) -> bool {
    line == "a hangs"
}

/// Whatever its thread is at: it is not the child's any more.
#[test]
fn a_child_whose_thread_was_abandoned_is_restarting_until_it_is_started_again() {
    let (clock, hand) = Clock::manual();
    let (journal, events, release) = (Journal::new(), Events::new(), Latch::new());
    let spec = hangs_again("a", &journal, &release);
    let handle = spec.handle();
    let app = patient("app").backoff(Backoff::exponential(SECOND, SECOND));
    let sup = app.clock(clock).on_event(events.hook()).child(spec).start().expect("starts");
    handle.cast(boom()).expect("accepted");
    events.restart_of("a", 1);
    hand.advance(SECOND);
    journal.wait(hangs);
    hand.advance(SECOND);
    events.wait(is_abandoned);
    assert_eq!((handle.status().state, handle.status().epoch), (Lifecycle::Restarting, 2));
    release.open();
    journal.wait_count(2, |line| line == "a drop");
    assert_eq!((handle.status().state, handle.status().epoch), (Lifecycle::Restarting, 2));
    drop(sup);
}

#[test]
fn cap_stops_a_child_that_hangs_at_each_restart_until_its_threads_are_gone() {
    let (clock, hand) = Clock::manual();
    let (journal, events, release) = (Journal::new(), Events::new(), Latch::new());
    let spec = hangs_again("a", &journal, &release);
    let handle = spec.handle();
    let app = patient("app").max_abandoned(3).backoff(Backoff::exponential(SECOND, SECOND));
    let app = app.clock(clock).on_event(events.hook()).child(spec).child(bot("b", &journal));
    let sup = app.start().expect("starts");
    handle.cast(boom()).expect("accepted");
    handle.cast(Msg::Add(7)).expect("it waits for the next life");
    let next = |count| {
        events.restart_of("a", count);
        hand.advance(SECOND);
    };
    for count in 1..=3 {
        next(count);
        journal.wait_count(count, hangs);
        hand.advance(SECOND); // it is abandoned
    }
    for count in 4..14 {
        next(count);
        assert_eq!(sup.which_children().len(), 2, "every call is answered");
        let crash = events.crash_of("a", count - 2);
        assert!(matches!(crash.exit, Exit::TooManyAbandoned { most: 3 }), "{}", crash.exit);
    }
    assert_eq!((sup.abandoned().alive, sup.abandoned().ever, journal.count(hangs)), (3, 3, 3));
    assert_eq!(handle.status().queued, 1);
    release.open();
    eventually("its threads are gone", || sup.abandoned().alive == 0);
    next(14);
    assert_eq!(handle.call(Msg::Total).expect("it is up again"), 7);
    let report = sup.shutdown(LONG);
    assert!(report.is_clean() && report.abandoned == 3, "{report}");
    assert!(report.to_string().contains("3 abandoned over its life"), "{report}");
}

#[test]
fn cap_refuses_what_is_new_without_a_charge_and_restarts_those_who_left_none() {
    let (clock, hand) = Clock::manual();
    let journal = Journal::new();
    let (a, b) = (bot("a", &journal).shutdown(SECOND), bot("b", &journal));
    let (hung, fine) = (a.handle(), b.handle());
    let app = Supervisor::new("app").intensity(1, SECOND).max_abandoned(1).clock(clock);
    let sup = app.child(a).child(b).start().expect("starts");
    let release = abandon(&sup, &hand, &hung);
    for _ in 0..5 {
        let refused = sup.start_child(bot("c", &journal)).expect_err("one too many");
        let StartChildError::FailedToStart { source, .. } = &refused else { panic!("{refused}") };
        assert!(matches!(source, Exit::TooManyAbandoned { most: 1 }), "{refused}");
        let refused = sup.start_supervisor(Supervisor::new("net")).expect_err("one too many");
        assert!(refused.to_string().contains("1 abandoned ones are left"), "{refused}");
        let refused = sup.restart_child("a").expect_err("it has left one");
        assert!(matches!(refused, RestartChildError::FailedToStart { .. }), "{refused}");
    }
    fine.cast(boom()).expect("accepted");
    assert_eq!(fine.call(Msg::Epoch).expect("restarted as ever"), 2);
    sup.terminate_child("b").expect("terminated");
    sup.restart_child("b").expect("started as ever");
    assert_eq!(sup.count_children().specs, 2, "what was refused is not kept");
    release.open();
    eventually("its thread is gone", || sup.abandoned().alive == 0);
    sup.start_child(bot("c", &journal)).expect("starts");
    sup.restart_child("a").expect("starts");
    assert_eq!(hung.call(Msg::Epoch).expect("answered"), 2);
    assert!(sup.shutdown(LONG).is_clean());
}

#[test]
fn cap_is_charged_where_a_restart_is_refused_and_escalates_in_the_end() {
    let (clock, hand) = Clock::manual();
    let (journal, release) = (Journal::new(), Latch::new());
    let spec = hangs_again("a", &journal, &release);
    let handle = spec.handle();
    let app = Supervisor::new("app").intensity(20, SECOND * 3600).max_abandoned(2).clock(clock);
    let sup = app.child(spec).start().expect("starts");
    handle.cast(boom()).expect("accepted");
    for count in 1..=2 {
        journal.wait_count(count, hangs);
        hand.advance(SECOND);
    }
    let exit = aside(move || sup.wait(LONG)).done().expect("it gave up");
    assert!(matches!(exit, Exit::Escalated { .. }), "{exit}");
    assert_eq!(journal.count(hangs), 2, "no thread more");
    release.open();
}

#[test]
fn cap_holds_over_a_restart_of_the_supervisor_above() {
    let (clock, hand) = Clock::manual();
    let (journal, events, release) = (Journal::new(), Events::new(), Latch::new());
    let spec = hangs_again("a", &journal, &release);
    let handle = spec.handle();
    let net = Supervisor::new("net").intensity(2, SECOND * 3600).child(spec);
    let app = patient("app").max_abandoned(2).backoff(Backoff::exponential(SECOND, SECOND));
    let sup = app.clock(clock).on_event(events.hook()).supervisor(net).start().expect("starts");
    handle.cast(boom()).expect("accepted");
    for count in 1..=2 {
        journal.wait_count(count, hangs);
        hand.advance(SECOND);
    }
    for count in 1..5 {
        events.restart_of("net", count); // at first it gave up, then it fails to start
        hand.advance(SECOND);
    }
    events.restart_of("net", 5);
    assert_eq!((sup.abandoned().alive, journal.count(hangs)), (2, 2), "no thread more");
    release.open();
    eventually("its threads are gone", || sup.abandoned().alive == 0);
    hand.advance(SECOND);
    journal.wait_count(3, hangs);
    assert_eq!(handle.call(Msg::Epoch).expect("it is up again"), 4);
    assert!(sup.shutdown(LONG).is_clean());
}

#[test]
fn cap_is_one_or_more_and_the_roots_to_say() {
    let refused = Supervisor::new("app").max_abandoned(0).start().expect_err("refused");
    assert!(refused.to_string().contains("max_abandoned is 1 or more"), "{refused}");
    let nested = Supervisor::new("net").max_abandoned(DEFAULT_MAX_ABANDONED);
    let refused = Supervisor::new("app").supervisor(nested).start().expect_err("refused");
    assert!(refused.to_string().contains("max_abandoned are the root's to say"), "{refused}");
}

#[test]
fn count_is_read_without_asking_the_supervisor() {
    let (clock, hand) = Clock::manual();
    let journal = Journal::new();
    let spec = bot("a", &journal).shutdown(SECOND);
    let handle = spec.handle();
    let sup = patient("app").clock(clock).child(spec).start().expect("starts");
    let before = sup.abandoned();
    assert_eq!((before.ever, before.alive), (0, 0));
    let release = abandon(&sup, &hand, &handle);
    let now = sup.abandoned();
    assert_eq!((now.ever, now.alive), (1, 1));
    release.open();
    eventually("its thread is gone", || sup.abandoned().alive == 0);
    assert_eq!(sup.abandoned().ever, 1);
    assert_eq!(sup.shutdown(LONG).abandoned, 1);
    assert_eq!(sup.abandoned().ever, 1, "also when it is down");
}

// ---- who did not stop --------------------------------------------------------------------

/// Where a thread hangs: it says that it does, and goes on when it is let go.
#[derive(Clone)]
struct Pause {
    reached: Latch,
    release: Latch,
}

impl Pause {
    fn new() -> Self {
        Self { reached: Latch::new(), release: Latch::new() }
    }

    fn here(&self) {
        self.reached.open();
        self.release.wait();
    }
}

/// Whom the report names when `a` pauses at its stop for 3 s, of which it has 2. It is started and
/// then provoked, and stopped when the first latch is open.
fn unstopped(
    pause: &Pause,
    provoke: impl FnOnce(&Handle<Msg>),
    dress: impl Fn(Bot, Pause) -> Bot + Send + Sync + 'static,
) -> Unstopped {
    let (clock, hand) = Clock::manual();
    let (journal, own) = (Journal::new(), pause.clone());
    let spec = bot_with("a", &journal, move |bot| dress(bot, own.clone())).shutdown(SECOND * 2);
    let handle = spec.handle();
    let sup = Supervisor::new("app").clock(clock).start().expect("starts");
    let reference = sup.reference();
    let starting = aside(move || reference.start_child(spec).map(drop));
    journal.wait_line("a init 1");
    provoke(&handle);
    let stopping = aside(move || sup.shutdown(SECOND * 60));
    pause.reached.wait();
    hand.advance(SECOND * 3);
    let mut report = stopping.done();
    let _ = starting.done();
    pause.release.open();
    journal.wait_line("a drop");
    assert_eq!(report.unstopped.len(), 1, "{report}");
    report.unstopped.remove(0)
}

fn running(handle: &Handle<Msg>) {
    handle.call(Msg::Epoch).expect("it runs");
}

/// In its handler, from before it is asked to stop.
fn in_handler(handle: &Handle<Msg>, pause: &Pause) {
    let (inside, pause) = (Latch::new(), pause.clone());
    let tell = inside.clone();
    let sent = handle.cast(act(move |_, cx| {
        tell.open();
        eventually("asked to stop", || cx.is_stopping());
        pause.here();
        Ok(Next::Continue)
    }));
    sent.expect("accepted");
    inside.wait();
}

#[test]
fn unstopped_names_the_thread_as_the_thread_itself_does() {
    let pause = Pause::new();
    let seen: Arc<Mutex<Option<ThreadId>>> = Arc::default();
    let note = Arc::clone(&seen);
    let one = unstopped(
        &pause,
        |handle| in_handler(handle, &pause),
        move |bot, _| {
            *note.lock().unwrap_or_else(PoisonError::into_inner) = Some(std::thread::current().id());
            bot
        },
    );
    let id = seen.lock().unwrap_or_else(PoisonError::into_inner).expect("it ran");
    assert_eq!((&*one.thread, one.thread_id), ("a", Some(id)));
    assert_eq!((&*one.supervisor, &*one.child, one.epoch), ("app", "a", 1));
    let text = one.to_string();
    assert!(text.starts_with("app/a is still processing: "), "{text}");
    assert!(text.ends_with(&format!("incarnation 1, thread `a` {id:?}")), "{text}");
}

#[test]
fn unstopped_label_is_the_message_in_its_handler() {
    let pause = Pause::new();
    let one = unstopped(&pause, |handle| in_handler(handle, &pause), |bot, _| bot);
    assert_eq!((one.label, one.busy), (Some("Do"), Some(SECOND * 3)));
    assert!(one.to_string().starts_with("app/a is still processing: `Do` for 3.0s, "), "{one}");
}

#[test]
fn unstopped_label_is_init_in_a_start() {
    let pause = Pause::new();
    let one = unstopped(
        &pause,
        |_| (),
        |bot, pause| {
            bot.on_init(move |_, cx| {
                eventually("asked to stop", || cx.is_stopping());
                pause.here();
                Ok(Init::Ready)
            })
        },
    );
    assert_eq!((one.label, one.busy), (Some("init"), Some(SECOND * 3)));
}

#[test]
fn unstopped_label_is_terminate_in_its_terminate() {
    let pause = Pause::new();
    let one = unstopped(&pause, running, |bot, pause| bot.on_terminate(move |_, _| pause.here()));
    assert_eq!((one.label, one.busy), (Some("terminate"), Some(SECOND * 3)));
}

#[test]
fn unstopped_label_is_drop_in_the_drop_of_its_state() {
    let pause = Pause::new();
    let one = unstopped(&pause, running, |bot, pause| bot.on_drop(move |_| pause.here()));
    assert_eq!((one.label, one.busy), (Some("drop"), Some(SECOND * 3)));
}

#[test]
fn events_label_what_hangs() {
    let (clock, hand) = Clock::manual();
    let (journal, events) = (Journal::new(), Events::new());
    let (a, b) = (bot("a", &journal).shutdown(SECOND), bot("b", &journal).shutdown(SECOND));
    let b = b.on_hang(OnHang::Wait);
    let (plain, patient) = (a.handle(), b.handle());
    let app = Supervisor::new("app").clock(clock).on_event(events.hook());
    let sup = app.child(a).child(b).start().expect("starts");
    let release = abandon(&sup, &hand, &plain);
    let (asked, release_b) = hang(&patient);
    let reference = sup.reference();
    let terminating = aside(move || reference.terminate_child("b"));
    asked.wait();
    hand.advance(SECOND);
    let told = events.wait(is_overdue);
    assert!(matches!(told, SupervisionEvent::Overdue { label: Some("Do"), .. }), "{told:?}");
    let told = events.wait(is_abandoned);
    let SupervisionEvent::Abandoned { why, label, busy, .. } = told else {
        unreachable!("one was waited for")
    };
    assert_eq!((why, label, busy), (Hung::Grace, Some("Do"), Some(SECOND)));
    release.open();
    release_b.open();
    terminating.done().expect("terminated");
    drop(sup);
}

#[test]
fn unstopped_names_the_thread_of_a_hook_that_hangs() {
    let (inside, release) = (Latch::new(), Latch::new());
    let (tell, held) = (inside.clone(), release.clone());
    let seen: Arc<Mutex<Option<ThreadId>>> = Arc::default();
    let note = Arc::clone(&seen);
    let app = Supervisor::new("app").on_event(move |_| {
        *note.lock().unwrap_or_else(PoisonError::into_inner) = Some(std::thread::current().id());
        tell.open();
        held.wait();
    });
    let sup = app.start().expect("starts");
    inside.wait();
    let report = sup.shutdown(Duration::ZERO);
    assert_eq!(report.unstopped.len(), 1, "{report}");
    let (one, id) = (&report.unstopped[0], *seen.lock().unwrap_or_else(PoisonError::into_inner));
    assert_eq!((&*one.thread, one.thread_id, one.epoch), ("app:events", id, 0));
    let id = id.expect("it ran");
    assert_eq!(one.to_string(), format!("/app:events is still processing: thread `app:events` {id:?}"));
    release.open();
}

// ---- the fence ---------------------------------------------------------------------------

/// What a thread does at its very end.
struct AtEnd(Option<Box<dyn FnOnce()>>);

impl Drop for AtEnd {
    fn drop(&mut self) {
        if let Some(work) = self.0.take() {
            work();
        }
    }
}

thread_local! {
    static AT_END: RefCell<AtEnd> = const { RefCell::new(AtEnd(None)) };
}

fn at_thread_end(work: impl FnOnce() + 'static) {
    AT_END.with(|end| *end.borrow_mut() = AtEnd(Some(Box::new(work))));
}

/// A tree of `a`, which has 1 s to stop, and `b`.
fn a_and_b(journal: &Journal) -> (SupervisorHandle, ManualClock, Handle<Msg>, Handle<Msg>) {
    let (clock, hand) = Clock::manual();
    let (a, b) = (bot("a", journal).shutdown(SECOND), bot("b", journal).keep_dead_letters(9));
    let handles = (a.handle(), b.handle());
    let sup = patient("app").clock(clock).child(a).child(b).start().expect("starts");
    (sup, hand, handles.0, handles.1)
}

#[test]
fn fenced_messages_are_handed_back_and_reach_nobody() {
    let journal = Journal::new();
    let (sup, hand, a, b) = a_and_b(&journal);
    let (said, to_b) = (Log::new(), b.clone());
    let say = said.clone();
    let release = abandon_then(&sup.reference(), &hand, &a, move |_, cx| {
        let cast = to_b.cast(Msg::Add(1)).expect_err("refused");
        say.push(cast.to_string());
        say.push(format!("{}", matches!(cast, CastError::Fenced { message: Msg::Add(1), .. })));
        let call = to_b.call(Msg::Total).expect_err("refused");
        say.push(call.to_string());
        say.push(format!("{}", matches!(call.into_message(), Some(Msg::Total(_)))));
        let request = to_b.request(Msg::Total).expect_err("refused");
        say.push(format!("{}", matches!(request, CastError::Fenced { message: Msg::Total(_), .. })));
        let all = fan_out(&[to_b.clone(), cx.handle()], Deadline::unbounded(), Msg::Total);
        let fenced = |error: &_| matches!(error, CallError::NotSent(CastError::Fenced { .. }));
        say.push(format!("{}", all.failures.iter().filter(|(_, error)| fenced(error)).count()));
        say.push(format!("{}", cx.handle().cast(Msg::Add(2)).is_err()));
        cx.send_after(Duration::ZERO, Msg::Add(3));
    });
    assert_eq!(b.call(Msg::Total).expect("answered"), 0);
    release.open();
    journal.wait_line("a drop");
    let text = "not sent to `b`: the incarnation that sends was abandoned".to_owned();
    let call = format!("call not sent: {text}");
    let yes = || "true".to_owned();
    assert_eq!(said.all(), [text, yes(), call, yes(), yes(), "2".into(), yes()]);
    assert_eq!(b.call(Msg::Total).expect("answered"), 0);
    eventually("`b` rests", || b.status().handled == 2);
    assert_eq!(a.status().queued, 0);
    assert_eq!(journal.count(|line| line.contains(" add ")), 0);
    drop(sup);
}

#[test]
fn fenced_requests_ask_nothing_of_others_and_of_supervisors() {
    let journal = Journal::new();
    let (sup, hand, a, b) = a_and_b(&journal);
    sup.terminate_child("b").expect("terminated");
    let (said, to_b, app, own) = (Log::new(), b.clone(), sup.reference(), journal.clone());
    let say = said.clone();
    let release = abandon_then(&sup.reference(), &hand, &a, move |_, _| {
        say.push(("stop", to_b.stop() == Err(StopError::Fenced { name: "b".into() })));
        say.push(("suspend", to_b.sys().suspend() == Err(SystemError::Fenced { name: "b".into() })));
        let read = to_b.sys().read_state(|bot: &Bot| bot.total);
        say.push(("read", matches!(read, Err(SystemError::Fenced { .. }))));
        say.push(("replay", to_b.replay_dead_letters().halt == Some(ReplayHalt::Fenced)));
        say.push(("take", to_b.take_dead_letters().is_empty()));
        let start = app.start_child(bot("c", &own)).map(drop);
        say.push(("start", matches!(start, Err(StartChildError::Fenced { .. }))));
        let nested = app.start_supervisor(Supervisor::new("net")).map(drop);
        say.push(("nested", matches!(nested, Err(StartChildError::Fenced { .. }))));
        let (terminate, restart) = (app.terminate_child("b"), app.restart_child("b"));
        say.push(("terminate", terminate == Err(TerminateChildError::Fenced { name: "b".into() })));
        say.push(("restart", matches!(restart, Err(RestartChildError::Fenced { .. }))));
        say.push(("delete", app.delete_child("b") == Err(DeleteChildError::Fenced { name: "b".into() })));
        let (replace, recycle) =
            (app.replace_child("b", |_: Option<Bot>| -> Bot { unreachable!() }), app.recycle_child("b"));
        say.push(("replace", matches!(replace, Err(ReplaceChildError::Fenced { .. }))));
        say.push(("recycle", matches!(recycle, Err(RecycleChildError::Fenced { .. }))));
        let set = app.reconfigure(SupervisorSettings::new().intensity(0, SECOND));
        say.push(("set", set == Err(ReconfigureError::Fenced { supervisor: "app".into() })));
        let set = app.reconfigure_child("b", ChildSettings::new().capacity(1));
        say.push(("set b", set == Err(ReconfigureChildError::Fenced { name: "b".into() })));
        say.push(("which", app.which_children().is_empty() && app.count_children().specs == 0));
        say.push(("inspect", app.inspect().err() == Some(InspectError::Fenced { name: "app".into() })));
    });
    sup.restart_child("b").expect("started");
    let (asked, go) = hang(&b);
    b.cast(Msg::Add(5)).expect("accepted");
    let reference = sup.reference();
    let terminating = aside(move || reference.terminate_child("b"));
    asked.wait();
    go.open();
    terminating.done().expect("terminated");
    assert_eq!(b.dead_letters().len(), 1);
    sup.restart_child("b").expect("started");
    release.open();
    journal.wait_line("a drop");
    let failed: Vec<_> = said.all().into_iter().filter(|(_, refused)| !refused).collect();
    assert_eq!((failed, said.all().len()), (vec![], 16));
    assert_eq!((b.dead_letters().len(), b.call(Msg::Epoch).expect("untouched")), (1, 3));
    assert_eq!(sup.count_children().specs, 2);
    drop(sup);
}

#[test]
fn fenced_answers_vanish_and_their_callers_are_told() {
    let journal = Journal::new();
    let (sup, hand, a, _) = a_and_b(&journal);
    let keep = |bot: &mut Bot, _: &mut Context<Bot>, reply| {
        bot.kept.push(reply);
        Ok(Next::Continue)
    };
    let (first, second) = (a.request(ask(keep)).expect("accepted"), a.request(ask(keep)).expect("accepted"));
    let (sent, go_on) = (Latch::new(), Latch::new());
    let (tell, held) = (sent.clone(), go_on.clone());
    let release = abandon_then(&sup.reference(), &hand, &a, move |bot, _| {
        bot.kept.remove(0).send(7);
        tell.open();
        held.wait();
    });
    assert!(!first.is_ready());
    release.open();
    sent.wait();
    assert!(matches!(first.wait(), Err(CallError::Crashed { .. })));
    assert!(!second.is_ready(), "it is not dropped yet");
    go_on.open();
    assert!(matches!(second.wait(), Err(CallError::Crashed { .. })));
    drop(sup);
}

#[test]
fn fenced_are_also_the_drop_of_the_state_and_the_destructors_of_the_thread() {
    let journal = Journal::new();
    let (sup, hand, a, b) = a_and_b(&journal);
    struct LastWords(Handle<Msg>, Journal);
    impl Drop for LastWords {
        fn drop(&mut self) {
            self.1.note(format!(
                "dropped: {:?}",
                self.0.cast(Msg::Add(1)).map_err(CastError::into_message).is_ok()
            ));
        }
    }
    let (in_state, at_end, noted) = (b.clone(), b.clone(), journal.clone());
    let release = abandon_then(&sup.reference(), &hand, &a, move |_, cx| {
        let (end_note, end_to) = (noted.clone(), at_end);
        at_thread_end(move || end_note.note(format!("ended: {}", end_to.cast(Msg::Add(1)).is_ok())));
        // In the context, which goes with the state.
        let last = LastWords(in_state, noted);
        cx.send_after(
            SECOND,
            act(move |_, _| {
                drop(last);
                Ok(Next::Continue)
            }),
        );
    });
    release.open();
    journal.wait_line("dropped: false");
    journal.wait_line("ended: false");
    assert_eq!(b.call(Msg::Total).expect("answered"), 0);
    // Who ends by itself may speak until its very end.
    sup.restart_child("a").expect("started");
    let (at_end, noted) = (b.clone(), journal.clone());
    let last = act(move |_, _| {
        at_thread_end(move || noted.note(format!("spoke: {}", at_end.cast(Msg::Add(1)).is_ok())));
        Ok(Next::Stop)
    });
    a.cast(last).expect("accepted");
    journal.wait_line("spoke: true");
    assert_eq!(b.call(Msg::Total).expect("answered"), 1);
    drop(sup);
}

#[test]
fn fenced_off_it_cannot_tag_the_name_of_its_child() {
    let (clock, hand) = Clock::manual();
    let (journal, events, release) = (Journal::new(), Events::new(), Latch::new());
    let held = release.clone();
    let spec = bot_with("a", &journal, move |bot| {
        let held = held.clone();
        bot.on_init(move |bot, cx| {
            if cx.epoch() == 2 {
                bot.note("hangs");
                held.wait();
            }
            bot.note(format_args!(
                "{} tags: {}",
                cx.epoch(),
                cx.set_tag("life", cx.epoch().to_string()).is_ok()
            ));
            Ok(Init::Ready)
        })
    });
    let spec = spec.init_timeout(SECOND).registered();
    let handle = spec.handle();
    let app = patient("app").backoff(Backoff::exponential(SECOND, SECOND)).clock(clock);
    let sup = app.on_event(events.hook()).child(spec).start().expect("starts");
    handle.cast(boom()).expect("accepted");
    events.restart_of("a", 1);
    hand.advance(SECOND);
    journal.wait_line("a hangs");
    hand.advance(SECOND);
    events.restart_of("a", 2); // and waits for it: there is no other life yet
    release.open();
    journal.wait_line("a 2 tags: false");
    let tags = sup.registry().metadata("a").expect("it has its name");
    assert!(tags.is_empty(), "{tags:?}");
    hand.advance(SECOND);
    journal.wait_line("a 3 tags: true");
    drop(sup);
}

#[test]
fn fenced_off_it_still_ends_what_it_owns() {
    let journal = Journal::new();
    let (sup, hand, a, _) = a_and_b(&journal);
    let own = Supervisor::new("own").child(bot("inner", &journal)).start().expect("starts");
    let release = abandon_then(&sup.reference(), &hand, &a, move |_, _| drop(own));
    release.open();
    journal.wait_line("inner terminate: was shut down");
    journal.wait_line("a drop");
    drop(sup);
}

#[cfg(feature = "foundation")]
#[test]
fn fenced_off_it_cannot_end_the_application() {
    let (clock, hand) = Clock::manual();
    let journal = Journal::new();
    let spec = bot("a", &journal).shutdown(SECOND);
    let handle = spec.handle();
    let app = underpin::Foundation::builder("app").clock(clock).max_abandoned(5).child(spec);
    let app = app.start().expect("starts");
    let stopper = app.stopper();
    let release = abandon_then(&app.root(), &hand, &handle, move |_, _| stopper.stop_because("it came back"));
    assert_eq!((app.abandoned().ever, app.abandoned().alive), (1, 1));
    release.open();
    journal.wait_line("a drop");
    assert_eq!(app.stopper().reason(), None);
}

#[test]
fn fence_is_open_while_its_incarnation_stands_for_its_child() {
    let journal = Journal::new();
    let (sup, hand, a, _) = a_and_b(&journal);
    let fences: Log<Fence> = Log::new();
    let push = |fences: &Log<Fence>| {
        let fences = fences.clone();
        act(move |_, cx| {
            fences.push(cx.fence());
            Ok(Next::Continue)
        })
    };
    a.cast(push(&fences)).expect("accepted");
    let first = fences.wait(|_| true);
    assert!(first.is_open() && first.check().is_ok());
    let release = abandon(&sup, &hand, &a);
    assert!(!first.is_open());
    let fenced = first.check().expect_err("closed");
    assert_eq!(fenced.to_string(), "incarnation 1 of `a` does not stand for it any more");
    assert_eq!((&*fenced.name, fenced.epoch), ("a", 1));
    sup.restart_child("a").expect("started");
    a.cast(push(&fences)).expect("accepted");
    let second = fences.wait(|fence| fence.epoch() == 2);
    let elsewhere = second.clone();
    assert!(aside(move || elsewhere.is_open()).done(), "on any thread");
    assert!(!first.is_open());
    release.open();
    journal.wait_line("a drop");
    assert!(second.is_open());
    sup.terminate_child("a").expect("terminated");
    assert!(!second.is_open(), "it has ended");
    drop(sup);
}

#[test]
fn fences_of_all_before_are_closed_when_an_incarnation_begins() {
    let (journal, fences) = (Journal::new(), Log::<Fence>::new());
    let before = fences.clone();
    let spec = bot_with("a", &journal, move |bot| {
        let before = before.clone();
        bot.on_init(move |bot, cx| {
            let open = before.count(Fence::is_open);
            before.push(cx.fence());
            bot.note(format_args!("finds {open} open"));
            Ok(Init::Ready)
        })
    });
    let handle = spec.handle();
    let sup = patient("app").child(spec).start().expect("starts");
    for life in 1..200 {
        journal.wait_line(&format!("a init {life}"));
        handle.cast(if life % 2 == 0 { boom() } else { quit() }).expect("accepted");
    }
    journal.wait_count(200, |line| line == "a finds 0 open");
    assert_eq!(fences.count(Fence::is_open), 1);
    drop(sup);
}
