//! The end.

use super::*;

#[test]
fn stop_of_itself_is_refused_and_of_a_hung_one_times_out() {
    let journal = Journal::new();
    let (sup, handle) = one(bot("a", &journal));
    let answer = handle.call(ask(|_, cx, reply| {
        let refused = cx.handle().stop();
        reply.send(u64::from(refused == Err(StopError::StoppingSelf { name: "a".into() })));
        Ok(Next::Continue)
    }));
    assert_eq!(answer.expect("answered"), 1);
    let release = occupy(&handle);
    let error = handle.stop_timeout(MS * 5).expect_err("it hangs");
    assert_eq!(error.to_string(), "`a` did not stop within 5ms");
    release.open();
    assert_eq!(handle.call(Msg::Epoch).expect("it stopped, and was restarted"), 2);
    drop(sup);
}

#[test]
fn a_panic_in_terminate_still_gives_one_exit() {
    let (journal, events) = (Journal::new(), Events::new());
    let spec = bot_with("a", &journal, |bot| bot.on_terminate(|_, _| panic_quietly("in terminate")));
    let spec = spec.restart(Restart::Transient);
    let handle = spec.handle();
    let sup = Supervisor::new("app").intensity(0, SECOND).on_event(events.hook()).child(spec);
    let sup = sup.start().expect("starts");
    handle.cast(quit()).expect("accepted");
    let down = handle.wait_down(LONG).expect("down");
    assert!(matches!(down.exit, Exit::Normal), "the exit it had: {}", down.exit);
    assert!(journal.has("a drop"));
    eventually("the supervisor has heard of it", || sup.count_children().stopped == 1);
    sup.restart_child("a").expect("restarted");
    assert_eq!(handle.call(Msg::Epoch).expect("answered"), 2);
    drop(sup);
    let crashes = events.crashes();
    assert_eq!(crashes.len(), 2, "{crashes:?}");
    assert!(crashes.iter().all(|crash| crash.aftermath.as_deref() == Some("in terminate")));
}

#[test]
fn a_panic_in_handle_and_in_the_drop_that_follows_are_both_told() {
    let (journal, events) = (Journal::new(), Events::new());
    let spec = bot_with("a", &journal, |bot| bot.on_drop(|_| panic_quietly("in drop")));
    let handle = spec.handle();
    let sup = patient("app").on_event(events.hook()).child(spec).start().expect("starts");
    let parked = handle.request(ask(|bot, _, reply| {
        bot.kept.push(reply);
        Ok(Next::Continue)
    }));
    handle.cast(boom()).expect("accepted");
    assert!(matches!(parked.expect("accepted").wait(), Err(CallError::Crashed { .. })));
    assert_eq!(handle.call(Msg::Epoch).expect("answered"), 2);
    let crash = events.crash_of("a", 1);
    assert!(matches!(crash.exit, Exit::Panicked(ref text) if &**text == "boom"));
    assert_eq!(crash.aftermath.as_deref(), Some("in drop"));
    drop(sup);
}

#[test]
fn a_panic_in_label_or_in_the_text_of_an_error_does_not_kill_the_report() {
    struct Nasty;
    struct Mute;
    impl fmt::Debug for Mute {
        fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
            panic_quietly("in Debug")
        }
    }
    impl fmt::Display for Mute {
        fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
            panic_quietly("in Display")
        }
    }
    impl std::error::Error for Mute {}
    impl Service for Nasty {
        type Msg = u8;
        type Error = Mute;
        fn handle(&mut self, msg: u8, _: &mut Context<Self>) -> Result<Next, Mute> {
            match msg {
                0 => Ok(Next::Continue),
                1 => panic_quietly("boom"),
                _ => Err(Mute),
            }
        }
        fn label(msg: &u8) -> &'static str {
            if *msg == 3 { panic_quietly("in label") } else { "nasty" }
        }
        fn kind(_: &Mute) -> ErrorKind {
            ErrorKind::System
        }
    }
    let events = Events::new();
    let spec = child("nasty", || Nasty);
    let handle = spec.handle();
    let sup = patient("app").on_event(events.hook()).child(spec).start().expect("starts");
    for msg in [0, 1, 2, 3, 0] {
        handle.cast(msg).expect("accepted");
    }
    let second = events.crash_of("nasty", 2);
    assert!(matches!(second.exit, Exit::Failed(_)), "its text cannot be told, its kind can");
    assert_eq!((second.label, second.epoch), (Some("nasty"), 2));
    let third = events.crash_of("nasty", 3);
    assert!(matches!(third.exit, Exit::Panicked(ref text) if &**text == "in label"));
    assert_eq!((third.label, third.context), (None, CrashContext::Running));
    eventually("the last is handled", || handle.status().queued == 0 && handle.status().epoch == 4);
    drop(sup);
}

#[test]
fn a_panic_in_the_kind_of_an_error_is_a_crash() {
    struct Unkind;
    impl Service for Unkind {
        type Msg = Reply<u64>;
        type Error = Oops;
        fn handle(&mut self, reply: Reply<u64>, cx: &mut Context<Self>) -> Done {
            if cx.epoch() == 1 {
                return Err(Oops(ErrorKind::User, "never classified"));
            }
            reply.send(cx.epoch());
            Ok(Next::Continue)
        }
        fn kind(_: &Oops) -> ErrorKind {
            panic_quietly("in kind")
        }
    }
    let spec = child("unkind", || Unkind);
    let handle = spec.handle();
    let sup = patient("app").child(spec).start().expect("starts");
    assert!(matches!(handle.call(|reply| reply), Err(CallError::Crashed { .. })));
    assert_eq!(handle.call(|reply| reply).expect("answered"), 2);
    drop(sup);
}

#[test]
fn a_panic_in_a_dead_letter_hook_or_in_the_drop_of_a_message_costs_only_itself() {
    let journal = Journal::new();
    let seen = Arc::new(AtomicU64::new(0));
    let count = Arc::clone(&seen);
    let spec = bot("a", &journal).on_dead_letter(move |_| {
        count.fetch_add(1, Ordering::SeqCst);
        panic_quietly("in the hook")
    });
    let (sup, handle) = one(spec);
    let (asked, release) = hang(&handle);
    for n in 0..5 {
        handle.cast(Msg::Add(n)).expect("accepted");
    }
    let call = handle.request(Msg::Total).expect("accepted");
    let stopping = aside(move || sup.shutdown(LONG));
    asked.wait();
    release.open();
    assert!(matches!(call.wait(), Err(CallError::Stopped { .. })));
    assert!(stopping.done().is_clean());
    assert_eq!((seen.load(Ordering::SeqCst), handle.status().dead_letters), (5, 5));
}

#[test]
fn terminate_is_called_after_a_calm_end_or_an_error_and_not_after_a_panic() {
    let journal = Journal::new();
    let (sup, handle) = one(bot("a", &journal));
    handle.cast(quit()).expect("accepted");
    handle.cast(fail(ErrorKind::Permanent)).expect("accepted");
    handle.cast(boom()).expect("accepted");
    assert_eq!(handle.call(Msg::Epoch).expect("answered"), 4);
    handle.stop().expect("stopped");
    assert_eq!(handle.call(Msg::Epoch).expect("answered"), 5);
    drop(sup);
    let ends: Vec<_> = journal.all().into_iter().filter(|line| !line.contains("init")).collect();
    assert_eq!(
        ends,
        [
            "a terminate: stopped normally",
            "a drop",
            "a terminate: failed: failed as told",
            "a drop",
            "a drop",
            "a terminate: was shut down",
            "a drop",
            "a terminate: was shut down",
            "a drop",
        ]
    );
}

#[test]
fn a_long_callback_can_see_that_it_is_to_stop() {
    let journal = Journal::new();
    let (sup, handle) = one(bot("a", &journal));
    let (asked, release) = hang(&handle);
    let stopping = aside(move || sup.shutdown(LONG));
    asked.wait();
    release.open();
    assert!(stopping.done().is_clean());
    assert!(journal.has("a terminate: was shut down"));
}
