//! Intensity.

use super::*;

#[test]
fn intensity_every_retry_of_a_failing_restart_is_charged() {
    let (journal, events) = (Journal::new(), Events::new());
    let spec = flaky("a", &journal, |life| life > 1);
    let handle = spec.handle();
    let app = Supervisor::new("app").intensity(3, SECOND * 60).on_event(events.hook());
    let sup = app.child(spec).child(bot("b", &journal)).start().expect("starts");
    handle.cast(boom()).expect("accepted");
    let exit = sup.wait(LONG).expect("it gives up");
    assert!(matches!(exit, Exit::Escalated { ref child } if &**child == "a"), "{exit}");
    assert_eq!(lines(&journal, "a init").len(), 4, "the first, and three restarts");
    assert!(journal.has("b terminate: was shut down"));
    let report = sup.shutdown(LONG);
    assert!(report.is_clean() && matches!(report.exit, Exit::Escalated { .. }), "{report}");
    let gave_up = events.wait(|event| matches!(event, SupervisionEvent::GaveUp { .. }));
    match gave_up {
        SupervisionEvent::GaveUp { supervisor, child, restarts, period } => {
            assert_eq!((&*supervisor, &*child, restarts, period), ("app", "a", 3, SECOND * 60));
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(events.crashes().len(), 4);
}

#[test]
fn intensity_the_check_comes_before_the_restart() {
    for strategy in STRATEGIES {
        let journal = Journal::new();
        let (app, handles) = with_bots(Supervisor::new("app").strategy(strategy), &["a"], &journal);
        let sup = app.intensity(2, SECOND * 60).start().expect("starts");
        for life in 2..=3 {
            handles["a"].cast(boom()).expect("accepted");
            assert_eq!(handles["a"].call(Msg::Epoch).expect("restarted"), life);
        }
        handles["a"].cast(boom()).expect("accepted");
        assert!(matches!(sup.wait(LONG), Some(Exit::Escalated { .. })));
        assert_eq!(lines(&journal, "init").len(), 3, "{strategy:?}: the third restart was not made");
    }
}

#[test]
fn intensity_zero_allows_no_restart() {
    let journal = Journal::new();
    let (app, handles) = with_bots(Supervisor::new("app").intensity(0, SECOND), &["a"], &journal);
    let sup = app.start().expect("starts");
    handles["a"].cast(quit()).expect("accepted");
    assert!(matches!(sup.wait(LONG), Some(Exit::Escalated { .. })));
    assert_eq!(lines(&journal, "init").len(), 1);
}

#[test]
fn intensity_one_crash_per_period_never_trips() {
    let (clock, hand) = Clock::manual();
    let journal = Journal::new();
    let (app, handles) = with_bots(Supervisor::new("app").clock(clock), &["a"], &journal);
    let sup = app.intensity(1, SECOND * 5).start().expect("starts");
    for life in 2..30 {
        handles["a"].cast(boom()).expect("accepted");
        assert_eq!(handles["a"].call(Msg::Epoch).expect("restarted"), life);
        hand.advance(SECOND * 5 + NS); // older than the period: it does not count
    }
    handles["a"].cast(boom()).expect("accepted");
    assert_eq!(handles["a"].call(Msg::Epoch).expect("restarted"), 30);
    hand.advance(SECOND * 5); // exactly one period old: it does
    handles["a"].cast(boom()).expect("accepted");
    eventually("it gives up", || sup.wait(Duration::ZERO).is_some());
    assert!(matches!(sup.wait(LONG), Some(Exit::Escalated { .. })));
}

#[test]
fn intensity_the_restart_of_a_group_is_one_charge() {
    for strategy in [Strategy::OneForAll, Strategy::RestForOne] {
        let journal = Journal::new();
        let (app, handles) =
            with_bots(Supervisor::new("app").strategy(strategy), &["a", "b", "c", "d"], &journal);
        let sup = app.intensity(1, SECOND * 60).start().expect("starts");
        handles["a"].cast(boom()).expect("accepted");
        journal.wait_line("d init 2");
        assert_eq!(epochs(&handles, &["a", "b", "c", "d"]), [2, 2, 2, 2], "{strategy:?}");
        assert_eq!(sup.status().epoch, 1);
        drop(sup);
    }
}

#[test]
fn intensity_restart_child_and_failed_start_child_are_not_charged() {
    let journal = Journal::new();
    let (app, handles) = with_bots(Supervisor::new("app").intensity(0, SECOND * 60), &["a"], &journal);
    let sup = app.start().expect("starts");
    for life in 2..10 {
        sup.terminate_child("a").expect("terminated");
        sup.restart_child("a").expect("restarted");
        assert_eq!(handles["a"].call(Msg::Epoch).expect("answered"), life);
        let error = sup.start_child(flaky("bad", &journal, |_| true)).expect_err("fails");
        assert!(
            matches!(error, StartChildError::FailedToStart { ref name, source: Exit::Failed(_) } if &**name == "bad"),
            "{error}"
        );
        assert_eq!(sup.count_children().specs, 1, "its spec is not saved");
    }
    drop(sup);
}

#[test]
fn restart_child_that_fails_stays_stopped() {
    let journal = Journal::new();
    let spec = flaky("a", &journal, |life| life == 2);
    let handle = spec.handle();
    let sup = Supervisor::new("app").intensity(0, SECOND).child(spec).start().expect("starts");
    sup.terminate_child("a").expect("terminated");
    let error = sup.restart_child("a").expect_err("it fails");
    assert!(matches!(error, RestartChildError::FailedToStart { source: Exit::Failed(_), .. }), "{error}");
    assert_eq!((sup.count_children().stopped, handle.status().state), (1, Lifecycle::Failed));
    sup.restart_child("a").expect("now it works");
    assert_eq!(handle.call(Msg::Epoch).expect("answered"), 3);
    drop(sup);
}
