//! Significant children: whose end is their supervisor's, and whose is not.

mod common;

use std::time::Duration;

use common::*;
use underpin::{
    AutoShutdown, Exit, Handle, Init, Lifecycle, Next, Restart, StartError, Strategy, Supervisor,
    SupervisorHandle, child,
};

const NEVER: [AutoShutdown; 3] =
    [AutoShutdown::Never, AutoShutdown::AnySignificant, AutoShutdown::AllSignificant];

/// Significant `a` and `b`, and `c` that is not.
fn three(app: Supervisor, restart: Restart, journal: &Journal) -> (SupervisorHandle, [Handle<Msg>; 3]) {
    let significant = |name: &str| bot(name, journal).restart(restart).significant();
    let (a, b, c) = (significant("a"), significant("b"), bot("c", journal));
    let handles = [a.handle(), b.handle(), c.handle()];
    (app.child(a).child(b).child(c).start().expect("starts"), handles)
}

fn any(name: &str) -> Supervisor {
    patient(name).auto_shutdown(AutoShutdown::AnySignificant)
}

fn all(name: &str) -> Supervisor {
    patient(name).auto_shutdown(AutoShutdown::AllSignificant)
}

/// It runs, and has heard of everything that came before.
#[track_caller]
fn goes_on(sup: &SupervisorHandle, active: usize) {
    eventually("it goes on", || sup.count_children().active == active);
    assert_eq!(sup.status().state, Lifecycle::Running);
    assert!(sup.wait(Duration::ZERO).is_none());
}

#[track_caller]
fn ended(sup: &SupervisorHandle) {
    let exit = sup.wait(LONG);
    assert!(matches!(exit, Some(Exit::Shutdown)), "{exit:?}");
    assert_eq!(sup.status().state, Lifecycle::Stopped);
    assert!(sup.shutdown(LONG).is_clean());
}

fn crash(handle: &Handle<Msg>) {
    handle.cast(boom()).expect("accepted");
    handle.wait_down(Duration::ZERO);
}

// ---- its own end -------------------------------------------------------------------------

#[test]
fn any_significant_child_that_finishes_stops_the_rest_in_reverse_order() {
    let journal = Journal::new();
    let (sup, [a, b, c]) = three(any("app"), Restart::Transient, &journal);
    a.cast(quit()).expect("accepted");
    ended(&sup);
    let stops: Vec<_> = journal.all().into_iter().filter(|line| line.contains("terminate")).collect();
    assert_eq!(
        stops,
        ["a terminate: stopped normally", "c terminate: was shut down", "b terminate: was shut down"]
    );
    assert!([a, b, c].iter().all(|handle| handle.wait_down(LONG).is_some()));
}

#[test]
fn all_significant_children_have_to_finish() {
    let journal = Journal::new();
    let (sup, [a, b, _]) = three(all("app"), Restart::Transient, &journal);
    a.cast(quit()).expect("accepted");
    goes_on(&sup, 2);
    b.cast(quit()).expect("accepted");
    ended(&sup);
    assert!(journal.has("c terminate: was shut down"));
}

#[test]
fn a_child_that_is_not_significant_counts_for_nothing() {
    for auto_shutdown in NEVER {
        let journal = Journal::new();
        let spec = bot("a", &journal).restart(Restart::Transient);
        let handle = spec.handle();
        let app = patient("app").auto_shutdown(auto_shutdown);
        let sup = app.child(spec).child(bot("b", &journal)).start().expect("starts");
        handle.cast(quit()).expect("accepted");
        goes_on(&sup, 1);
    }
}

#[test]
fn never_means_never() {
    let journal = Journal::new();
    let (sup, [a, b, _]) = three(patient("app"), Restart::Temporary, &journal);
    a.cast(quit()).expect("accepted");
    b.cast(boom()).expect("accepted");
    goes_on(&sup, 1);
}

#[test]
fn a_transient_one_counts_when_it_finishes_and_not_when_it_crashes() {
    for app in [any("app"), all("app")] {
        let journal = Journal::new();
        let spec = bot("a", &journal).restart(Restart::Transient).significant();
        let handle = spec.handle();
        let sup = app.child(spec).start().expect("starts");
        for epoch in 2..5 {
            crash(&handle);
            assert_eq!(handle.call(Msg::Epoch).expect("it is restarted"), epoch);
        }
        goes_on(&sup, 1);
        handle.cast(quit()).expect("accepted");
        ended(&sup);
    }
}

#[test]
fn a_temporary_one_counts_however_it_ends() {
    for end in [boom as fn() -> Msg, quit] {
        let journal = Journal::new();
        let (sup, [a, ..]) = three(any("app"), Restart::Temporary, &journal);
        a.cast(end()).expect("accepted");
        ended(&sup);
    }
}

#[test]
fn one_that_is_stopped_by_a_handle_has_ended_by_itself() {
    let journal = Journal::new();
    let (sup, [a, ..]) = three(any("app"), Restart::Transient, &journal);
    a.stop().expect("stopped");
    ended(&sup);
}

#[test]
fn one_that_gives_up_the_supervisor_is_no_end_of_its_own() {
    let journal = Journal::new();
    let spec = bot("a", &journal).restart(Restart::Transient).significant();
    let handle = spec.handle();
    let app = Supervisor::new("app").intensity(0, SECOND).auto_shutdown(AutoShutdown::AnySignificant);
    let sup = app.child(spec).start().expect("starts");
    crash(&handle);
    let exit = sup.wait(LONG);
    assert!(matches!(exit, Some(Exit::Escalated { .. })), "out of budget is abnormal: {exit:?}");
}

// ---- what is not its own end -------------------------------------------------------------

#[test]
fn terminate_child_and_restart_child_do_not_count() {
    for app in [any("app"), all("app")] {
        let journal = Journal::new();
        let (sup, [a, b, _]) = three(app, Restart::Transient, &journal);
        sup.terminate_child("a").expect("terminated");
        sup.terminate_child("b").expect("terminated");
        goes_on(&sup, 1);
        sup.restart_child("a").expect("restarted");
        sup.delete_child("b").expect("deleted");
        goes_on(&sup, 2);
        assert!(b.wait_down(LONG).is_some());
        a.cast(quit()).expect("accepted");
        ended(&sup);
    }
}

#[test]
fn one_that_was_terminated_is_not_waited_for() {
    let journal = Journal::new();
    let (sup, [a, ..]) = three(all("app"), Restart::Transient, &journal);
    sup.terminate_child("b").expect("terminated");
    a.cast(quit()).expect("accepted");
    ended(&sup);
}

#[test]
fn to_be_stopped_because_of_a_sibling_does_not_count() {
    for restart in [Restart::Transient, Restart::Temporary] {
        let journal = Journal::new();
        let app = any("app").strategy(Strategy::OneForAll);
        let (sup, [a, _, c]) = three(app, restart, &journal);
        crash(&c);
        assert_eq!(c.call(Msg::Epoch).expect("restarted"), 2);
        let expected = if restart == Restart::Temporary { 1 } else { 3 };
        goes_on(&sup, expected);
        assert_eq!(a.wait_down(Duration::ZERO).is_some(), restart == Restart::Temporary);
    }
}

/// It is not started with its group, so nobody would ever end what ran for it.
#[test]
fn one_that_finishes_just_when_it_is_stopped_because_of_a_sibling_has_ended_by_itself() {
    for restart in [Restart::Transient, Restart::Temporary] {
        let journal = Journal::new();
        let app = any("app").strategy(Strategy::OneForAll);
        let (sup, [a, b, c]) = three(app, restart, &journal);
        let (asked, finish) = hang_then(&b, |_, _| Ok(Next::Stop));
        crash(&c);
        asked.wait();
        finish.open();
        ended(&sup);
        assert!(journal.has("b terminate: stopped normally") && a.wait_down(LONG).is_some());
    }
}

#[test]
fn one_that_declines_to_start_does_not_count() {
    let journal = Journal::new();
    let spec = bot_with("a", &journal, |bot| bot.on_init(|_, _| Ok(Init::Ignore)));
    let spec = spec.restart(Restart::Transient).significant();
    let sup = any("app").child(spec).child(bot("b", &journal)).start().expect("starts");
    goes_on(&sup, 1);
}

#[test]
fn a_failed_start_child_does_not_count() {
    let journal = Journal::new();
    let sup = any("app").child(bot("b", &journal)).start().expect("starts");
    let spec = child("a", || Err::<Bot, _>("no luck")).restart(Restart::Temporary).significant();
    sup.start_child(spec).expect_err("fails");
    goes_on(&sup, 1);
    let added =
        sup.start_child(bot("a", &journal).restart(Restart::Temporary).significant()).expect("starts");
    added.cast(quit()).expect("accepted");
    ended(&sup);
}

#[test]
fn two_that_finish_at_once_end_it_once() {
    for app in [any("app"), all("app")] {
        let journal = Journal::new();
        let (sup, [a, b, _]) = three(app, Restart::Transient, &journal);
        let go_on = occupy(&a);
        a.cast(quit()).expect("accepted");
        let other = aside(move || b.cast(quit()).is_ok());
        go_on.open();
        ended(&sup);
        other.done();
    }
}

// ---- descriptions ------------------------------------------------------------------------

#[test]
fn permanent_and_significant_is_refused() {
    let journal = Journal::new();
    let said = "a significant child is transient or temporary, not permanent";
    let worker = patient("app").child(bot("a", &journal).significant());
    let nested = patient("app").supervisor(Supervisor::new("nested").significant());
    for app in [worker, nested] {
        let error = app.start().expect_err("refused");
        assert!(matches!(error, StartError::BadSpec { .. }) && error.to_string().contains(said), "{error}");
    }
    let sup = patient("app").start().expect("starts");
    let error = sup.start_child(bot("a", &journal).significant()).expect_err("refused");
    assert!(error.to_string().contains(said), "{error}");
    let error = sup.start_supervisor(Supervisor::new("nested").significant()).expect_err("refused");
    assert!(error.to_string().contains(said), "{error}");
    assert!(journal.all().is_empty());
}

#[test]
fn nobody_supervises_a_root_so_nobody_minds_that_it_is_significant() {
    let sup = Supervisor::new("app").significant().start().expect("starts");
    assert!(sup.shutdown(LONG).is_clean());
}

// ---- nested ------------------------------------------------------------------------------

/// A supervisor below `app` that ends with its only child, beside `z`.
fn nested(app: Supervisor, nested: Supervisor, journal: &Journal) -> (SupervisorHandle, Handle<Msg>) {
    let spec = bot("a", journal).restart(Restart::Transient).significant();
    let handle = spec.handle();
    let nested = nested.auto_shutdown(AutoShutdown::AnySignificant).child(spec).child(bot("b", journal));
    (app.child(bot("z", journal)).supervisor(nested).start().expect("starts"), handle)
}

#[test]
fn its_parent_sees_a_shutdown_and_starts_a_permanent_one_again() {
    let journal = Journal::new();
    let (sup, handle) = nested(patient("app"), patient("nested"), &journal);
    handle.cast(quit()).expect("accepted");
    journal.wait_line("a init 2");
    assert_eq!(handle.call(Msg::Epoch).expect("answered"), 2);
    journal.wait_line("b init 2");
    assert!(!journal.has("z init 2"));
    let info = &sup.which_children()[1];
    assert_eq!((info.epoch, info.restarts), (2, 1));
    assert!(matches!(info.last_exit, Some(Exit::Shutdown)), "{:?}", info.last_exit);
}

#[test]
fn its_parent_leaves_a_transient_one_down_and_a_temporary_one_is_forgotten() {
    for (restart, kept) in [(Restart::Transient, 1), (Restart::Temporary, 0)] {
        let journal = Journal::new();
        let (sup, handle) = nested(patient("app"), patient("nested").restart(restart), &journal);
        handle.cast(quit()).expect("accepted");
        let down = handle.wait_down(LONG).expect("for good");
        assert!(down.exit.is_calm(), "{}", down.exit);
        goes_on(&sup, 1);
        assert_eq!(sup.count_children().stopped, kept);
        assert!(journal.has("b terminate: was shut down") && !journal.has("z terminate: was shut down"));
        if kept == 1 {
            sup.restart_child("nested").expect("restarted");
            assert_eq!(handle.call(Msg::Epoch).expect("answered"), 2);
        }
    }
}

#[test]
fn a_significant_supervisor_that_shuts_itself_down_ends_its_parent() {
    for restart in [Restart::Transient, Restart::Temporary] {
        let journal = Journal::new();
        let inner = patient("nested").restart(restart).significant();
        let (sup, handle) = nested(any("app"), inner, &journal);
        handle.cast(quit()).expect("accepted");
        ended(&sup);
        assert!(journal.at("b terminate: was shut down") < journal.at("z terminate: was shut down"));
    }
}

#[test]
fn a_significant_supervisor_that_escalates_counts_only_where_it_is_temporary() {
    for restart in [Restart::Transient, Restart::Temporary] {
        let journal = Journal::new();
        let inner = Supervisor::new("nested").intensity(0, SECOND).restart(restart).significant();
        let (sup, handle) = nested(any("app"), inner, &journal);
        crash(&handle);
        if restart == Restart::Temporary {
            ended(&sup);
        } else {
            assert_eq!(handle.call(Msg::Epoch).expect("it is restarted"), 2);
            goes_on(&sup, 2);
        }
    }
}

#[test]
fn a_significant_supervisor_that_is_terminated_does_not_count() {
    let journal = Journal::new();
    let inner = patient("nested").restart(Restart::Transient).significant();
    let (sup, handle) = nested(any("app"), inner, &journal);
    sup.terminate_child("nested").expect("terminated");
    assert!(handle.wait_down(LONG).is_some());
    goes_on(&sup, 1);
}

#[test]
fn all_of_them_are_counted_be_they_services_or_supervisors() {
    let journal = Journal::new();
    let inner = patient("nested").restart(Restart::Transient).significant();
    let (sup, handle) = nested(all("app"), inner, &journal);
    let own =
        sup.start_child(bot("own", &journal).restart(Restart::Transient).significant()).expect("starts");
    own.cast(quit()).expect("accepted");
    goes_on(&sup, 2);
    handle.cast(quit()).expect("accepted");
    ended(&sup);
}

#[test]
fn a_root_that_ends_by_itself_answers_nobody_and_wakes_who_waits() {
    let journal = Journal::new();
    let (sup, [a, _, c]) = three(any("app"), Restart::Temporary, &journal);
    let reference = sup.reference();
    let release = occupy(&c);
    let waiting = aside(move || {
        let exit = sup.wait(LONG);
        (sup, exit)
    });
    a.cast(act(|_, _| Ok(Next::Stop))).expect("accepted");
    eventually("it is on its way down", || {
        reference.restart_child("c").is_err_and(|e| e.to_string().contains("stopping"))
    });
    assert!(!waiting.is_done(), "not before all have stopped");
    release.open();
    let (sup, exit) = waiting.done();
    assert!(matches!(exit, Some(Exit::Shutdown)), "{exit:?}");
    assert!(sup.which_children().is_empty());
    assert!(reference.start_child(bot("d", &journal)).is_err());
}
