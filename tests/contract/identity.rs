//! Identity.

use super::*;

#[test]
fn identity_handle_exists_before_the_thread_and_its_messages_wait() {
    let journal = Journal::new();
    let spec = bot("a", &journal);
    let handle = spec.handle();
    handle.cast(Msg::Add(1)).expect("accepted before the start");
    let early = handle.request(Msg::Total).expect("accepted before the start");
    assert_eq!((handle.status().state, handle.status().epoch), (Lifecycle::Starting, 0));
    assert_eq!(handle.status().queued, 2);

    let sup = Supervisor::new("app").child(spec).start().expect("starts");
    assert_eq!(early.wait().expect("answered"), 1);
    assert_eq!((handle.name(), handle.status().epoch), ("a", 1));
    drop(sup);
}

#[test]
fn identity_handle_stays_valid_over_restarts() {
    let journal = Journal::new();
    let spec = bot("a", &journal);
    let (handle, clone) = (spec.handle(), spec.handle());
    let sup = patient("app").child(spec).start().expect("starts");
    let mut since = handle.status().since;
    for life in 2..=6 {
        handle.cast(boom()).expect("accepted");
        assert_eq!(clone.call(Msg::Epoch).expect("answered by the next life"), life);
        let status = handle.status();
        assert_eq!((&*status.name, status.epoch), ("a", life));
        assert!(matches!(status.last_exit, Some(Exit::Panicked(ref text)) if &**text == "boom"));
        assert!(status.since > since, "the start time is the incarnation's");
        since = status.since;
    }
    drop(sup);
}

#[test]
fn identity_no_moment_in_which_a_look_up_fails() {
    let journal = Journal::new();
    let spec = bot("a", &journal).registered();
    let handle = spec.handle();
    let sup = patient("app").child(spec).start().expect("starts");
    let registry = sup.registry();
    let stop = Arc::new(AtomicBool::new(false));
    let looker = aside({
        let stop = Arc::clone(&stop);
        move || {
            let mut looked = 0_u64;
            while !stop.load(Ordering::SeqCst) {
                assert!(registry.find::<Msg>("a").is_some(), "gone after {looked} looks");
                looked += 1;
            }
            looked
        }
    });
    for life in 2..=50 {
        handle.cast(boom()).expect("accepted");
        assert_eq!(handle.call(Msg::Epoch).expect("answered"), life);
    }
    stop.store(true, Ordering::SeqCst);
    assert!(looker.done() > 0);
    drop(sup);
}

#[test]
fn identity_monitors_are_the_childs_and_hear_of_its_end_only() {
    let journal = Journal::new();
    let (watched, watcher) = (bot("watched", &journal), bot("watcher", &journal));
    let (handle, other) = (watched.handle(), watcher.handle());
    let sup = patient("app").child(watched).child(watcher).start().expect("starts");
    let target = handle.clone();
    other
        .call(ask(move |_, cx, reply| {
            cx.monitor(&target, Msg::Gone);
            reply.send(0);
            Ok(Next::Continue)
        }))
        .expect("answered");
    for life in 2..=4 {
        handle.cast(boom()).expect("accepted");
        assert_eq!(handle.call(Msg::Epoch).expect("answered"), life);
    }
    other.call(Msg::Total).expect("whatever was told is handled");
    assert_eq!(journal.count(|line| line.contains("sees")), 0, "restarts are not told");

    sup.terminate_child("watched").expect("terminated");
    journal.wait_line("watcher sees watched was shut down after 4");
    let down = handle.wait_down(LONG).expect("it is down");
    assert_eq!((&*down.name, down.epoch), ("watched", 4));
    other.call(Msg::Total).expect("whatever was told is handled");
    assert_eq!(journal.count(|line| line.contains("sees")), 1, "told once");
    drop(sup);
}

#[test]
fn identity_state_epoch_and_timers_are_the_incarnations() {
    let (clock, hand) = Clock::manual();
    let journal = Journal::new();
    let spec = bot("a", &journal);
    let handle = spec.handle();
    let sup = patient("app").clock(clock).child(spec).start().expect("starts");
    handle.cast(Msg::Add(7)).expect("accepted");
    handle
        .call(ask(|_, cx, reply| {
            cx.send_after(SECOND, Msg::Add(1000));
            reply.send(0);
            Ok(Next::Continue)
        }))
        .expect("answered");
    handle.cast(boom()).expect("accepted");
    assert_eq!(handle.call(Msg::Epoch).expect("answered"), 2);
    hand.advance(SECOND * 10);
    assert_eq!(handle.call(Msg::Total).expect("answered"), 0, "a fresh state");
    handle.call(Msg::Total).expect("answered");
    assert!(!journal.has("a add 1000"), "the timer went with its incarnation");
    drop(sup);
}
