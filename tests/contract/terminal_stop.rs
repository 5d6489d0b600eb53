//! The terminal stop.

use super::*;

#[test]
fn terminal_stop_settles_queued_calls_and_buries_queued_casts() {
    let journal = Journal::new();
    let dead = Log::new();
    let told = dead.clone();
    let spec = bot("a", &journal).on_dead_letter(move |letter| {
        let Msg::Add(n) = letter.message else { return };
        told.push((letter.reason, n));
    });
    let handle = spec.handle();
    let sup = Supervisor::new("app").child(spec).start().expect("starts");
    let (asked, release) = hang(&handle);
    handle.cast(Msg::Add(1)).expect("accepted");
    let call = handle.request(Msg::Total).expect("accepted");
    let kept = handle.request(Msg::Epoch).expect("accepted");
    handle.cast(Msg::Add(2)).expect("accepted");
    let stopping = aside(move || sup.shutdown(LONG));
    asked.wait();
    release.open();
    assert!(matches!(call.wait(), Err(CallError::Stopped { .. })));
    assert!(matches!(kept.wait(), Err(CallError::Stopped { .. })));
    assert!(stopping.done().is_clean());
    assert_eq!(dead.all(), [(DeadReason::Stopped, 1), (DeadReason::Stopped, 2)]);
    let status = handle.status();
    assert_eq!((status.dead_letters, status.handled, status.queued), (2, 1, 0));
    assert_eq!(status.state, Lifecycle::Stopped);
    let refused = handle.cast(Msg::Add(3)).expect_err("it is stopped");
    assert!(matches!(refused, CastError::Stopped { ref name, .. } if &**name == "a"));
    assert!(matches!(refused.into_message(), Msg::Add(3)));
}

#[test]
fn terminal_stop_counts_dead_letters_without_a_hook() {
    let journal = Journal::new();
    let spec = bot("a", &journal);
    let handle = spec.handle();
    for n in 0..5 {
        handle.cast(Msg::Add(n)).expect("accepted");
    }
    let call = handle.request(Msg::Total).expect("accepted");
    drop(spec); // never started: it counts as stopped
    assert!(matches!(call.wait(), Err(CallError::Stopped { .. })));
    assert_eq!((handle.status().dead_letters, handle.status().state), (5, Lifecycle::Stopped));
    assert!(matches!(handle.cast(Msg::Add(0)), Err(CastError::Stopped { .. })));
}

#[test]
fn terminal_stop_parked_replies_get_stopped() {
    let journal = Journal::new();
    let spec = bot("a", &journal);
    let handle = spec.handle();
    let sup = Supervisor::new("app").child(spec).start().expect("starts");
    let parked = handle.request(ask(|bot, _, reply| {
        bot.kept.push(reply);
        Ok(Next::Continue)
    }));
    let parked = parked.expect("accepted");
    handle.call(Msg::Total).expect("the reply is parked by now");
    sup.terminate_child("a").expect("terminated");
    assert!(matches!(parked.wait(), Err(CallError::Stopped { .. })));
    drop(sup);
}

#[test]
fn terminal_stop_when_the_supervisor_gives_up() {
    let journal = Journal::new();
    let spec = bot("a", &journal);
    let handle = spec.handle();
    let sup = Supervisor::new("app").intensity(0, SECOND).child(spec).start().expect("starts");
    let go_on = occupy(&handle);
    handle.cast(boom()).expect("accepted");
    handle.cast(Msg::Add(1)).expect("accepted");
    let call = handle.request(Msg::Total).expect("accepted");
    go_on.open();
    let error = call.wait();
    assert!(matches!(error, Err(CallError::Stopped { .. })), "{error:?}");
    let exit = sup.wait(LONG).expect("it ends");
    assert!(matches!(exit, Exit::Escalated { ref child } if &**child == "a"), "{exit}");
    assert_eq!((handle.status().dead_letters, handle.status().state), (1, Lifecycle::Failed));
    assert!(matches!(handle.wait_down(LONG).expect("down").exit, Exit::Panicked(_)));
}

#[test]
fn terminal_stop_of_a_supervisor_that_was_never_started() {
    let journal = Journal::new();
    let spec = bot("a", &journal);
    let handle = spec.handle();
    let app = Supervisor::new("app").child(spec);
    let reference = app.reference();
    let (early, waiting) = (reference.clone(), handle.request(Msg::Total).expect("accepted"));
    let asking = aside(move || early.which_children().len());
    drop(app);
    assert!(matches!(waiting.wait(), Err(CallError::Stopped { .. })));
    assert_eq!(asking.done(), 0);
    assert_eq!(reference.count_children().specs, 0);
    assert_eq!((reference.status().state, handle.status().state), (Lifecycle::Stopped, Lifecycle::Stopped));
}
