//! Later starts.

use super::*;

#[test]
fn later_starts_use_the_new_factory_with_nothing() {
    let journal = Journal::new();
    let (sup, handle) = one(patient("app"), &journal);
    add(&handle, 5);
    sup.replace_child("a", heir("a", &journal)).expect("replaced");
    handle.cast(boom()).expect("accepted");
    assert_eq!(handle.call(Msg::Epoch).expect("answered"), 3);
    assert_eq!((count(&journal, "a made from Some(5)"), count(&journal, "a made from None")), (1, 1));
    assert_eq!(sup.which_children()[0].restarts, 1);
}

#[test]
fn a_child_that_is_down_gets_its_description_and_stays_down() {
    let journal = Journal::new();
    let (sup, handle) = one(Supervisor::new("app"), &journal);
    add(&handle, 5);
    sup.terminate_child("a").expect("terminated");
    sup.replace_child("a", heir("a", &journal)).expect("replaced");
    assert_eq!(handle.status().state, Lifecycle::Stopped);
    assert!(matches!(handle.cast(Msg::Add(1)), Err(CastError::Stopped { .. })));
    sup.restart_child("a").expect("restarted");
    assert_eq!(handle.call(Msg::Epoch).expect("answered"), 2);
    assert!(journal.has("a made from None"));
}

#[test]
fn a_pending_restart_stays_pending_and_uses_the_new_factory() {
    let journal = Journal::new();
    let (clock, hand) = Clock::manual();
    let backoff = Backoff::exponential(SECOND, SECOND);
    let (sup, handle) = one(patient("app").clock(clock).backoff(backoff), &journal);
    handle.cast(boom()).expect("accepted");
    eventually("it waits", || sup.count_children().restarting == 1);
    handle.cast(Msg::Add(1)).expect("accepted");
    sup.replace_child("a", heir("a", &journal)).expect("replaced");
    assert_eq!((sup.count_children().restarting, count(&journal, "a made from None")), (1, 0));
    hand.advance(SECOND);
    assert_eq!(handle.call(Msg::Total).expect("answered"), 1);
    assert_eq!(count(&journal, "a made from None"), 1);
}

#[test]
fn a_static_child_keeps_its_new_factory_when_its_supervisor_is_restarted() {
    let journal = Journal::new();
    let spec = bot("a", &journal);
    let handle = spec.handle();
    let nested = Supervisor::new("nested").intensity(0, SECOND).child(spec);
    let reference = nested.reference();
    let sup = patient("app").supervisor(nested).start().expect("starts");
    add(&handle, 5);
    reference.replace_child("a", heir("a", &journal)).expect("replaced");
    handle.cast(boom()).expect("accepted");
    add(&handle, 2);
    assert_eq!(handle.call(Msg::Total).expect("answered"), 2);
    assert_eq!((reference.status().epoch, count(&journal, "a made from None")), (2, 1));
    reference.replace_child("a", heir("a", &journal)).expect("the restarted one does so too");
    assert!(journal.has("a made from Some(2)"));
    drop(sup);
}

#[test]
fn children_of_a_dynamic_supervisor_are_replaced_too() {
    let journal = Journal::new();
    let sup = DynamicSupervisor::new("app").intensity(0, SECOND).start().expect("starts");
    let handle = sup.start_child(bot("a", &journal)).expect("starts");
    handle.cast(Msg::Add(3)).expect("accepted");
    sup.replace_child("a", heir("a", &journal)).expect("replaced");
    assert_eq!(handle.call(Msg::Total).expect("answered"), 3);
    let error = sup.replace_child("a", |_: Option<Bot>| Err::<Bot, _>("no luck")).expect_err("fails");
    assert!(matches!(error, ReplaceChildError::FailedToStart { .. }), "{error}");
    eventually("it is not kept", || sup.count_children().specs == 0);
    assert!(handle.wait_down(LONG).is_some());
}
