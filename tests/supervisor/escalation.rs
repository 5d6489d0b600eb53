//! Escalation.

use super::*;

#[test]
fn escalation_in_each_strategy_is_restarted_by_the_parent_and_charged_there() {
    for strategy in STRATEGIES {
        let (journal, events) = (Journal::new(), Events::new());
        let nested = Supervisor::new("nested").strategy(strategy).intensity(1, SECOND * 60);
        let (nested, handles) = with_bots(nested, &["b", "c"], &journal);
        let reference = nested.reference();
        let app = Supervisor::new("app").intensity(1, SECOND * 60).on_event(events.hook());
        let (app, outer) = with_bots(app, &["a"], &journal);
        let sup = app.supervisor(nested).start().expect("starts");

        // One restart is in its budget, the second is the parent's.
        handles["b"].cast(boom()).expect("accepted");
        assert_eq!(handles["b"].call(Msg::Epoch).expect("answered"), 2);
        assert_eq!(reference.status().epoch, 1);
        handles["b"].cast(boom()).expect("accepted");
        assert_eq!(handles["b"].call(Msg::Epoch).expect("its handle is kept"), 3);
        let last = if strategy == Strategy::OneForOne { 2 } else { 3 };
        assert_eq!(handles["c"].call(Msg::Epoch).expect("answered"), last);
        assert_eq!(reference.status().epoch, 2);
        assert_eq!(outer["a"].call(Msg::Epoch).expect("answered"), 1);
        assert_eq!(reference.count_children().active, 2);
        let info = &sup.which_children()[1];
        assert_eq!((info.kind, info.epoch, info.restarts), (ChildKind::Supervisor, 2, 1));
        assert!(matches!(info.last_exit, Some(Exit::Escalated { ref child }) if &**child == "b"));

        // A fresh budget below, a spent one above.
        handles["b"].cast(boom()).expect("accepted");
        assert_eq!(handles["b"].call(Msg::Epoch).expect("answered"), 4);
        handles["b"].cast(boom()).expect("accepted");
        let exit = sup.wait(LONG).expect("the root gives up");
        assert!(matches!(exit, Exit::Escalated { ref child } if &**child == "nested"), "{exit}");
        assert!(matches!(handles["b"].cast(Msg::Add(1)), Err(CastError::Stopped { .. })));
        assert!(matches!(handles["c"].cast(Msg::Add(1)), Err(CastError::Stopped { .. })));
        assert!(journal.has("a terminate: was shut down"));
        drop(sup);
        let escalated = |event: &SupervisionEvent| matches!(event, SupervisionEvent::Crashed(crash) if &*crash.child == "nested" && &*crash.supervisor == "app");
        assert_eq!(events.count(escalated), 2, "{strategy:?}");
    }
}

#[test]
fn escalation_keeps_the_queues_of_static_children() {
    let journal = Journal::new();
    let nested = Supervisor::new("nested").intensity(0, SECOND);
    let (nested, handles) = with_bots(nested, &["b", "c"], &journal);
    let sup = patient("app").supervisor(nested).start().expect("starts");
    let go_on = occupy(&handles["b"]);
    handles["b"].cast(boom()).expect("accepted");
    handles["b"].cast(Msg::Add(5)).expect("accepted");
    let total = handles["b"].request(Msg::Total).expect("accepted");
    go_on.open();
    assert_eq!(total.wait().expect("answered after the escalation"), 5);
    assert_eq!((handles["b"].status().epoch, handles["b"].status().dead_letters), (2, 0));
    assert_eq!(handles["c"].call(Msg::Epoch).expect("answered"), 2);
    drop(sup);
}

#[test]
fn escalation_of_a_temporary_supervisor_takes_its_children_with_it() {
    let journal = Journal::new();
    let nested = Supervisor::new("nested").intensity(0, SECOND).restart(Restart::Temporary);
    let (nested, handles) = with_bots(nested, &["b", "c"], &journal);
    let sup = Supervisor::new("app").intensity(0, SECOND).supervisor(nested).start().expect("starts");
    let call = handles["c"].request(ask(|bot, _, reply| {
        bot.kept.push(reply);
        Ok(Next::Continue)
    }));
    let call = call.expect("accepted");
    handles["b"].cast(boom()).expect("accepted");
    assert!(handles["c"].wait_down(LONG).is_some());
    assert!(matches!(call.wait(), Err(CallError::Stopped { .. })));
    assert!(matches!(handles["b"].wait_down(LONG).expect("down").exit, Exit::Panicked(_)));
    eventually("it is forgotten", || sup.count_children().specs == 0);
    assert_eq!(sup.status().state, Lifecycle::Running);
    drop(sup);
}

#[test]
fn escalation_of_dynamic_children_of_a_nested_supervisor_ends_them() {
    let journal = Journal::new();
    let nested = Supervisor::new("nested").intensity(0, SECOND);
    let (nested, handles) = with_bots(nested, &["b"], &journal);
    let reference = nested.reference();
    let sup = patient("app").supervisor(nested).start().expect("starts");
    let added = reference.start_child(bot("added", &journal)).expect("starts");
    handles["b"].cast(boom()).expect("accepted");
    assert_eq!(handles["b"].call(Msg::Epoch).expect("answered"), 2);
    let down = added.wait_down(LONG).expect("only its description's children come back");
    assert!(matches!(down.exit, Exit::Shutdown), "{}", down.exit);
    assert_eq!(reference.count_children().specs, 1);
    drop(sup);
}

#[test]
fn nested_only_the_dead_worker_restarts() {
    let journal = Journal::new();
    let (inner, handles) = with_bots(patient("inner"), &["c", "d"], &journal);
    let (middle, more) = with_bots(patient("middle"), &["b"], &journal);
    let (app, most) = with_bots(patient("app"), &["a"], &journal);
    let (of_inner, of_middle) = (inner.reference(), middle.reference());
    let sup = app.supervisor(middle.supervisor(inner)).start().expect("starts");
    handles["c"].cast(boom()).expect("accepted");
    assert_eq!(epochs(&handles, &["c", "d"]), [2, 1]);
    assert_eq!((epochs(&more, &["b"]), epochs(&most, &["a"])), (vec![1], vec![1]));
    assert_eq!((of_inner.status().epoch, of_middle.status().epoch, sup.status().epoch), (1, 1, 1));
    assert_eq!((of_middle.count_children().supervisors, of_middle.count_children().workers), (1, 1));
    drop(sup);
}

#[test]
fn nested_a_hundred_deep_starts_works_and_stops() {
    let journal = Journal::new();
    let spec = bot("leaf", &journal);
    let handle = spec.handle();
    let mut tree = patient("s0").child(spec);
    for depth in 1..100 {
        tree = patient(&format!("s{depth}")).supervisor(tree);
    }
    let sup = tree.start().expect("starts");
    handle.cast(boom()).expect("accepted");
    assert_eq!(handle.call(Msg::Epoch).expect("answered"), 2);
    let begun = Instant::now();
    assert!(sup.shutdown(LONG).is_clean());
    assert!(begun.elapsed() < LONG / 3, "{:?}", begun.elapsed());
    assert!(journal.has("leaf terminate: was shut down"));
}

#[test]
fn nested_supervisor_can_be_terminated_restarted_and_deleted() {
    let journal = Journal::new();
    let (nested, handles) = with_bots(patient("nested"), &["b", "c"], &journal);
    let reference = nested.reference();
    let sup = Supervisor::new("app").intensity(0, SECOND).supervisor(nested).start().expect("starts");
    sup.terminate_child("nested").expect("terminated");
    assert_eq!(lines(&journal, "terminate"), ["c terminate: was shut down", "b terminate: was shut down"]);
    assert!(matches!(handles["b"].cast(Msg::Add(1)), Err(CastError::Stopped { .. })));
    assert!(handles["b"].wait_down(LONG).is_some());
    assert!(reference.which_children().is_empty());
    sup.restart_child("nested").expect("restarted");
    assert_eq!(epochs(&handles, &["b", "c"]), [2, 2]);
    assert_eq!(reference.count_children().active, 2);
    sup.terminate_child("nested").expect("terminated");
    sup.delete_child("nested").expect("deleted");
    assert_eq!(sup.count_children().specs, 0);
    drop(sup);
}
