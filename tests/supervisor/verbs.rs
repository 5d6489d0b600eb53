//! The verbs.

use super::*;

#[test]
fn verbs_answer_by_the_state_of_the_child() {
    let (clock, _hand) = Clock::manual();
    let (journal, events) = (Journal::new(), Events::new());
    let slow = Backoff::exponential(SECOND, SECOND);
    let spec = bot("a", &journal).backoff(slow);
    let handle = spec.handle();
    let sup = patient("app").clock(clock).on_event(events.hook()).child(spec).start().expect("starts");

    // Unknown.
    assert_eq!(sup.terminate_child("x"), Err(TerminateChildError::NotFound { name: "x".into() }));
    assert_eq!(sup.delete_child("x"), Err(DeleteChildError::NotFound { name: "x".into() }));
    assert!(matches!(sup.restart_child("x"), Err(RestartChildError::NotFound { name }) if &*name == "x"));
    // Running.
    let again = sup.start_child(bot("a", &journal)).expect_err("it is there");
    assert!(matches!(again, StartChildError::AlreadyStarted { ref name } if &**name == "a"), "{again}");
    assert!(matches!(sup.restart_child("a"), Err(RestartChildError::Running { .. })));
    assert!(matches!(sup.delete_child("a"), Err(DeleteChildError::Running { .. })));
    // Backing off.
    handle.cast(boom()).expect("accepted");
    assert_eq!(events.restart_of("a", 1), SECOND);
    assert!(matches!(sup.restart_child("a"), Err(RestartChildError::Restarting { .. })));
    assert!(matches!(sup.delete_child("a"), Err(DeleteChildError::Restarting { .. })));
    let again = sup.start_child(bot("a", &journal)).expect_err("it is there");
    assert!(matches!(again, StartChildError::AlreadyStarted { .. }), "{again}");
    assert_eq!((sup.count_children().restarting, handle.status().state), (1, Lifecycle::Restarting));
    // Stopped; twice is fine.
    sup.terminate_child("a").expect("terminated");
    sup.terminate_child("a").expect("it is stopped");
    let again = sup.start_child(bot("a", &journal)).expect_err("it is there");
    assert!(matches!(again, StartChildError::AlreadyPresent { ref name } if &**name == "a"), "{again}");
    sup.restart_child("a").expect("restarted");
    assert_eq!(handle.call(Msg::Epoch).expect("answered"), 2);
    sup.terminate_child("a").expect("terminated");
    sup.delete_child("a").expect("deleted");
    assert!(matches!(sup.delete_child("a"), Err(DeleteChildError::NotFound { .. })));
    sup.start_child(bot("a", &journal)).expect("the name is free again");
    // Gone.
    let reference = sup.reference();
    drop(sup);
    assert_eq!(reference.terminate_child("a"), Err(TerminateChildError::ShuttingDown { name: "a".into() }));
    assert_eq!(reference.delete_child("a"), Err(DeleteChildError::ShuttingDown { name: "a".into() }));
    assert!(matches!(reference.restart_child("a"), Err(RestartChildError::ShuttingDown { .. })));
    let refused = reference.start_child(bot("new", &journal));
    assert!(matches!(refused, Err(StartChildError::ShuttingDown { ref name }) if &**name == "new"));
}

#[test]
fn verbs_start_child_joins_the_end_of_the_order() {
    let journal = Journal::new();
    let (app, _) = with_bots(patient("app").strategy(Strategy::RestForOne), &["a", "b"], &journal);
    let sup = app.start().expect("starts");
    let c = sup.start_child(bot("c", &journal)).expect("starts");
    let (nested, handles) = with_bots(patient("nested"), &["d"], &journal);
    let reference = sup.start_supervisor(nested).expect("starts");
    assert_eq!((reference.name(), reference.count_children().active), ("nested", 1));
    c.cast(boom()).expect("accepted");
    journal.wait_line("d init 2");
    assert_eq!(epochs(&handles, &["d"]), [2]);
    journal.clear();
    assert!(sup.shutdown(LONG).is_clean());
    let order: Vec<_> = lines(&journal, "terminate").iter().map(|line| line[..1].to_owned()).collect();
    assert_eq!(order, ["d", "c", "b", "a"]);
}

#[test]
fn verbs_a_refused_child_settles_what_was_sent_to_it() {
    let journal = Journal::new();
    let sup = Supervisor::new("app").child(bot("a", &journal)).start().expect("starts");
    let spec = bot("a", &journal);
    let handle = spec.handle();
    let call = handle.request(Msg::Total).expect("accepted");
    handle.cast(Msg::Add(1)).expect("accepted");
    sup.start_child(spec).expect_err("the name is taken");
    assert!(matches!(call.wait(), Err(CallError::Stopped { .. })));
    assert!(handle.wait_down(LONG).is_some());
    eventually("the cast is buried", || handle.status().dead_letters == 1);
    drop(sup);
}

#[test]
fn counts_and_which_children_are_exact_after_each_step() {
    let (clock, hand) = Clock::manual();
    let (journal, events) = (Journal::new(), Events::new());
    let app = patient("app").clock(clock).on_event(events.hook());
    let a = bot("a", &journal).backoff(Backoff::exponential(SECOND, SECOND));
    let b = bot("b", &journal).restart(Restart::Transient);
    let (ha, hb) = (a.handle(), b.handle());
    let sup = app.child(a).child(b).supervisor(Supervisor::new("nested")).start().expect("starts");
    let counts = |sup: &SupervisorHandle| {
        let counts = sup.count_children();
        assert_eq!(counts.supervisors + counts.workers, counts.specs);
        assert_eq!(counts.active + counts.restarting + counts.stopped, counts.specs);
        (counts.specs, counts.active, counts.restarting, counts.stopped)
    };
    assert_eq!(counts(&sup), (3, 3, 0, 0));
    ha.cast(boom()).expect("accepted");
    events.restart_of("a", 1);
    assert_eq!(counts(&sup), (3, 2, 1, 0));
    let info = &sup.which_children()[0];
    assert_eq!((info.state, info.epoch, info.restarts), (Lifecycle::Restarting, 1, 1));
    assert!(matches!(info.last_exit, Some(Exit::Panicked(_))));
    hand.advance(SECOND);
    assert_eq!(ha.call(Msg::Epoch).expect("answered"), 2);
    assert_eq!(counts(&sup), (3, 3, 0, 0));
    hb.cast(quit()).expect("accepted");
    hb.wait_down(LONG).expect("down");
    eventually("heard of", || counts(&sup) == (3, 2, 0, 1));
    let info = &sup.which_children()[1];
    assert_eq!(
        (info.state, info.restart, info.kind),
        (Lifecycle::Stopped, Restart::Transient, ChildKind::Worker)
    );
    sup.restart_child("b").expect("restarted");
    assert_eq!(counts(&sup), (3, 3, 0, 0));
    sup.terminate_child("nested").expect("terminated");
    assert_eq!(counts(&sup), (3, 2, 0, 1));
    sup.delete_child("nested").expect("deleted");
    assert_eq!(counts(&sup), (2, 2, 0, 0));
    assert_eq!(sup.count_children().supervisors, 0);
    sup.start_child(bot("c", &journal).restart(Restart::Temporary)).expect("starts");
    assert_eq!(counts(&sup), (3, 3, 0, 0));
    sup.terminate_child("c").expect("terminated");
    assert_eq!(counts(&sup), (2, 2, 0, 0));
    drop(sup);
}

#[test]
fn in_a_failing_restart_loop_every_call_is_answered() {
    let journal = Journal::new();
    let spec = flaky("bad", &journal, |life| life > 1);
    let handle = spec.handle();
    let sup = Supervisor::new("app").intensity(u32::MAX, SECOND).child(spec).child(bot("b", &journal));
    let sup = sup.start().expect("starts");
    handle.cast(boom()).expect("accepted");
    journal.wait_line("bad init 20");
    for n in 0..20 {
        assert_eq!(sup.count_children().specs, 2);
        assert_eq!(sup.which_children().len(), 2);
        let name = format!("c{n}");
        sup.start_child(bot(&name, &journal)).expect("starts");
        assert!(sup.restart_child("bad").is_err());
        sup.terminate_child(&name).expect("terminated");
        sup.delete_child(&name).expect("deleted");
    }
    assert!(journal.has("bad init 20"));
    sup.terminate_child("bad").expect("terminated in the midst of it");
    let tries = lines(&journal, "bad init").len();
    assert_eq!(sup.count_children().stopped, 1);
    sup.count_children();
    assert_eq!(lines(&journal, "bad init").len(), tries, "it stays down");
    drop(sup);
}
