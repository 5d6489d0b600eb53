//! What comes between.

use super::*;

#[test]
fn one_that_is_terminated_meanwhile_is_stopped_with_its_state() {
    let journal = Journal::new();
    let (sup, handle) = one(Supervisor::new("app"), &journal);
    let (asked, release) = hang(&handle);
    let parked = handle.request(park()).expect("accepted");
    let replacing = replace_aside(&sup, "a", heir("a", &journal));
    let terminating = aside({
        let reference = sup.reference();
        move || reference.terminate_child("a")
    });
    asked.wait();
    let error = replacing.done().expect_err("it was terminated");
    assert!(matches!(error, ReplaceChildError::ShuttingDown { .. }), "{error}");
    release.open();
    terminating.done().expect("terminated");
    parked.wait().expect_err("stopped");
    let expected = ["a init 1", "a terminate: was shut down", "a drop"];
    assert_eq!(journal.all(), expected);
    assert!(matches!(handle.wait_down(LONG).expect("down").exit, Exit::Shutdown));
    sup.restart_child("a").expect("restarted");
    assert!(journal.has("a made from None"), "its description was replaced");
}

#[test]
fn one_that_is_stopped_with_its_group_meanwhile_starts_afresh_with_it() {
    let journal = Journal::new();
    let (a, b) = (bot("a", &journal), bot("b", &journal));
    let (on_a, on_b) = (a.handle(), b.handle());
    let sup = patient("app").strategy(Strategy::OneForAll).child(a).child(b).start().expect("starts");
    add(&on_a, 5);
    let (asked, release) = hang(&on_a);
    let replacing = replace_aside(&sup, "a", heir("a", &journal));
    on_b.cast(boom()).expect("accepted");
    asked.wait();
    release.open();
    replacing.done().expect("it runs with its new description");
    assert!(journal.has("a terminate: was shut down") && journal.has("a made from None"));
    assert_eq!(on_a.call(Msg::Total).expect("answered"), 0);
    assert_eq!((on_a.status().epoch, on_b.call(Msg::Epoch).expect("answered")), (2, 2));
}

#[test]
fn a_shutdown_meanwhile_stops_each_in_its_turn() {
    let journal = Journal::new();
    let (a, b) = (bot("a", &journal), bot("b", &journal));
    let (on_a, on_b) = (a.handle(), b.handle());
    let sup = Supervisor::new("app").child(a).child(b).start().expect("starts");
    let on_its_way = occupy(&on_a);
    let (asked, release) = hang(&on_b);
    let replacing = replace_aside(&sup, "a", heir("a", &journal));
    let stopping = aside(move || sup.shutdown(LONG));
    let error = replacing.done().expect_err("it is too late");
    assert!(matches!(error, ReplaceChildError::ShuttingDown { .. }), "{error}");
    asked.wait();
    on_its_way.open();
    on_a.cast(Msg::Add(1)).expect("it works until its turn comes");
    journal.wait_line("a add 1");
    release.open();
    assert!(stopping.done().is_clean());
    let stops: Vec<_> = journal.all().into_iter().filter(|line| line.contains("terminate")).collect();
    assert_eq!(stops, ["b terminate: was shut down", "a terminate: was shut down"]);
    assert!(!journal.all().iter().any(|line| line.contains("made from")));
}

#[test]
fn a_stop_by_a_handle_goes_before_a_hand_over() {
    let journal = Journal::new();
    let (sup, handle) = one(Supervisor::new("app").intensity(0, SECOND), &journal);
    let (asked, release) = hang(&handle);
    let replacing = replace_aside(&sup, "a", heir("a", &journal));
    let stopping = aside({
        let handle = handle.clone();
        move || handle.stop()
    });
    asked.wait();
    release.open();
    stopping.done().expect("stopped");
    replacing.done().expect("a permanent child goes on");
    assert!(journal.has("a terminate: was shut down") && journal.has("a made from None"));
}
