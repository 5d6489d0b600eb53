//! Start order is the rule of dependency.

use super::*;

#[test]
fn a_dependant_keeps_its_handle_while_what_it_depends_on_restarts() {
    let journal = Journal::new();
    let (store, user) = (bot("store", &journal), bot("user", &journal));
    let (store_handle, user_handle) = (store.handle(), user.handle());
    let sup = patient("app").child(store).child(user).start().expect("starts");
    let uses = store_handle.clone();
    let via_user = move || {
        let uses = uses.clone();
        user_handle.call(ask(move |_, _, reply| {
            match uses.call(Msg::Epoch) {
                Ok(epoch) => reply.send(epoch),
                Err(_) => reply.send(0), // it degrades instead of dying
            }
            Ok(Next::Continue)
        }))
    };
    assert_eq!(via_user().expect("answered"), 1);
    store_handle.cast(boom()).expect("accepted");
    assert_eq!(via_user().expect("answered"), 2);
    sup.terminate_child("store").expect("terminated");
    assert_eq!(via_user().expect("it lives, and degrades"), 0);
    sup.restart_child("store").expect("restarted");
    assert_eq!(via_user().expect("answered"), 3);
    drop(sup);
}

#[test]
fn transient_and_temporary_ends_are_terminal_too() {
    let journal = Journal::new();
    for restart in [Restart::Transient, Restart::Temporary] {
        let spec = bot("a", &journal).restart(restart);
        let handle = spec.handle();
        let sup = Supervisor::new("app").child(spec).start().expect("starts");
        let go_on = occupy(&handle);
        handle.cast(quit()).expect("accepted");
        handle.cast(Msg::Add(1)).expect("accepted");
        let call = handle.request(Msg::Total).expect("accepted");
        go_on.open();
        assert!(matches!(call.wait(), Err(CallError::Stopped { .. })));
        let down = handle.wait_down(LONG).expect("down");
        assert!(matches!(down.exit, Exit::Normal), "{}", down.exit);
        eventually("the cast is buried", || handle.status().dead_letters == 1);
        drop(sup);
    }
}
