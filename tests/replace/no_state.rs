//! No state to be had.

use super::*;

#[test]
fn one_that_hangs_is_abandoned_after_its_grace_and_followed_without_its_state() {
    let journal = Journal::new();
    let (clock, hand) = Clock::manual();
    let spec = bot("a", &journal).shutdown(SECOND);
    let handle = spec.handle();
    let sup = Supervisor::new("app").intensity(0, SECOND).clock(clock).child(spec).start().expect("starts");
    add(&handle, 1);
    let release = occupy(&handle);
    handle.cast(Msg::Add(10)).expect("accepted");
    let replacing = replace_aside(&sup, "a", heir("a", &journal));
    hand.advance(SECOND - NS);
    is_being_replaced(&sup.reference(), "a");
    hand.advance(NS);
    replacing.done().expect("replaced all the same");
    assert_eq!(handle.call(Msg::Total).expect("answered"), 10, "the queue is the child's");
    assert!(journal.has("a made from None") && !journal.has("a drop"));
    release.open();
    journal.wait_line("a drop");
    assert!(!journal.has("a terminate: was shut down"));
    assert_eq!((sup.status().state, handle.status().epoch), (Lifecycle::Running, 2));
}

/// A message that hangs when it is dropped.
struct HangsInDrop(Latch, Latch);

impl Drop for HangsInDrop {
    fn drop(&mut self) {
        self.0.open();
        self.1.wait();
    }
}

/// Has the service hang when its timers are dropped. The first latch tells so, the second lets go.
fn hang_in_timer(handle: &Handle<Msg>) -> (Latch, Latch) {
    let (inside, release) = (Latch::new(), Latch::new());
    let hangs = HangsInDrop(inside.clone(), release.clone());
    let set_timer = act(move |_, cx| {
        let never = act(move |_, _| {
            let _held = &hangs;
            Ok(Next::Continue)
        });
        cx.send_after(LONG * 100, never);
        Ok(Next::Continue)
    });
    handle.cast(set_timer).expect("accepted");
    handle.call(Msg::Total).expect("answered");
    (inside, release)
}

#[test]
fn one_that_hangs_in_what_it_leaves_behind_is_abandoned_and_its_state_goes_to_the_janitor() {
    let journal = Journal::new();
    let (clock, hand) = Clock::manual();
    let threads = Arc::new(Mutex::new(Vec::new()));
    let notes = Arc::clone(&threads);
    let spec = bot_with("a", &journal, move |bot| {
        let dropped = Mutex::new(Some(Dropped(Arc::clone(&notes))));
        bot.on_drop(move |_| drop(dropped.lock().unwrap_or_else(PoisonError::into_inner).take()))
    });
    let spec = spec.shutdown(SECOND);
    let handle = spec.handle();
    let sup = Supervisor::new("app").clock(clock).child(spec).start().expect("starts");
    let parked = handle.request(park()).expect("accepted");
    let (inside, release) = hang_in_timer(&handle);
    let replacing = replace_aside(&sup, "a", heir("a", &journal));
    inside.wait();
    assert!(!journal.has("a drop"), "it was handed over");
    hand.advance(SECOND);
    replacing.done().expect("replaced all the same");
    assert!(journal.has("a made from None"));
    journal.wait_line("a drop");
    assert!(matches!(parked.wait(), Err(CallError::Stopped { .. })));
    release.open();
    assert!(sup.shutdown(LONG).unstopped.len() <= 1);
    assert_eq!(threads.lock().unwrap_or_else(PoisonError::into_inner)[..], ["app:janitor".to_owned()]);
}

#[test]
fn one_that_is_terminated_just_after_it_handed_over_was_shut_down_and_its_state_is_dropped() {
    let journal = Journal::new();
    let (sup, handle) = one(Supervisor::new("app"), &journal);
    let parked = handle.request(park()).expect("accepted");
    let (inside, release) = hang_in_timer(&handle);
    let replacing = replace_aside(&sup, "a", heir("a", &journal));
    inside.wait();
    let terminating = aside({
        let reference = sup.reference();
        move || reference.terminate_child("a")
    });
    let error = replacing.done().expect_err("it was terminated");
    assert!(matches!(error, ReplaceChildError::ShuttingDown { .. }), "{error}");
    journal.wait_line("a drop");
    assert!(matches!(parked.wait(), Err(CallError::Stopped { .. })));
    release.open();
    terminating.done().expect("terminated");
    assert!(matches!(handle.wait_down(LONG).expect("down").exit, Exit::Shutdown));
    let last = sup.which_children()[0].last_exit.clone();
    assert!(matches!(last, Some(Exit::Shutdown)), "{last:?}");
    assert_eq!(journal.all(), ["a init 1", "a drop"]);
}

#[test]
fn one_that_crashes_meanwhile_is_followed_without_its_state_and_not_charged() {
    let journal = Journal::new();
    let (sup, handle) = one(Supervisor::new("app").intensity(0, SECOND), &journal);
    let (inside, release) = (Latch::new(), Latch::new());
    let (tell, held) = (inside.clone(), release.clone());
    let call = handle.request(ask(move |_, _, _reply| {
        tell.open();
        held.wait();
        panic_quietly("boom")
    }));
    inside.wait();
    handle.cast(Msg::Add(10)).expect("accepted");
    let replacing = replace_aside(&sup, "a", heir("a", &journal));
    release.open();
    replacing.done().expect("replaced all the same");
    assert!(matches!(call.expect("accepted").wait(), Err(CallError::Crashed { .. })));
    assert_eq!(handle.call(Msg::Total).expect("answered"), 10);
    assert!(journal.has("a made from None"));
    assert_eq!(sup.which_children()[0].restarts, 0);
}

#[test]
fn after_a_crash_meanwhile_the_mailbox_is_cleared_where_that_is_said() {
    let journal = Journal::new();
    let spec = bot("a", &journal).mailbox(Mailbox::Clear);
    let handle = spec.handle();
    let sup = Supervisor::new("app").child(spec).start().expect("starts");
    let release = occupy(&handle);
    handle.cast(Msg::Add(1)).expect("accepted");
    let replacing = replace_aside(&sup, "a", heir("a", &journal));
    release.open();
    replacing.done().expect("replaced");
    assert_eq!(handle.call(Msg::Total).expect("answered"), 1, "to be replaced is no crash");
    let (inside, release) = (Latch::new(), Latch::new());
    let (tell, held) = (inside.clone(), release.clone());
    let crash = act(move |_, _| {
        tell.open();
        held.wait();
        panic_quietly("boom")
    });
    handle.cast(crash).expect("accepted");
    inside.wait();
    handle.cast(Msg::Add(1)).expect("accepted");
    let replacing = replace_aside(&sup, "a", heir("a", &journal));
    release.open();
    replacing.done().expect("replaced");
    assert_eq!(handle.call(Msg::Total).expect("answered"), 0);
}

#[test]
fn one_that_is_done_meanwhile_stays_down_with_its_new_description() {
    let journal = Journal::new();
    let spec = bot("a", &journal).restart(Restart::Transient);
    let handle = spec.handle();
    let sup = Supervisor::new("app").child(spec).start().expect("starts");
    let (inside, release) = (Latch::new(), Latch::new());
    let (tell, held) = (inside.clone(), release.clone());
    let last = act(move |_, _| {
        tell.open();
        held.wait();
        Ok(Next::Stop)
    });
    handle.cast(last).expect("accepted");
    inside.wait();
    let replacing = replace_aside(&sup, "a", heir("a", &journal));
    release.open();
    replacing.done().expect("its description is");
    assert!(journal.has("a terminate: stopped normally") && !journal.has("a made from None"));
    assert!(matches!(handle.wait_down(LONG).expect("down").exit, Exit::Normal));
    sup.restart_child("a").expect("restarted");
    assert!(journal.has("a made from None"));
}

#[test]
fn a_significant_child_that_is_done_meanwhile_ends_its_supervisor() {
    let journal = Journal::new();
    let spec = bot("a", &journal).restart(Restart::Temporary).significant();
    let handle = spec.handle();
    let app = Supervisor::new("app").auto_shutdown(AutoShutdown::AnySignificant).child(spec);
    let sup = app.start().expect("starts");
    sup.replace_child("a", heir("a", &journal)).expect("replaced");
    assert!(sup.wait(Duration::ZERO).is_none(), "to be replaced is not to be done");
    handle.cast(quit()).expect("accepted");
    assert!(matches!(sup.wait(LONG), Some(Exit::Shutdown)));
}
