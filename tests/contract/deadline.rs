//! Every wait has a deadline.

use super::*;

/// Moves the clock in steps until the work is done, and returns what it came to.
fn advance_until<T>(hand: &underpin::ManualClock, step: Duration, work: Aside<T>) -> T {
    let until = Instant::now() + LONG;
    while !work.is_done() {
        assert!(Instant::now() < until, "no deadline came");
        hand.advance(step);
        std::thread::yield_now();
    }
    work.done()
}

#[test]
fn every_wait_has_a_deadline_call_five_seconds() {
    let (clock, hand) = Clock::manual();
    let journal = Journal::new();
    let spec = bot("a", &journal);
    let handle = spec.handle();
    let sup = patient("app").clock(clock.clone()).child(spec).start().expect("starts");
    let release = occupy(&handle);
    let (caller, time) = (handle.clone(), clock.clone());
    let call = aside(move || {
        let begun = time.now();
        (caller.call(Msg::Total), time.now() - begun)
    });
    let (answer, took) = advance_until(&hand, MS * 100, call);
    assert!(matches!(answer, Err(CallError::TimedOut { .. })), "{answer:?}");
    assert!(took >= underpin::DEFAULT_TIMEOUT, "not before: {took:?}");
    assert_eq!(underpin::DEFAULT_TIMEOUT, SECOND * 5);

    let (caller, time) = (handle.clone(), clock.clone());
    let call = aside(move || {
        let begun = time.now();
        (caller.call_timeout(SECOND * 60, Msg::Total), time.now() - begun)
    });
    let (answer, took) = advance_until(&hand, SECOND, call);
    assert!(matches!(answer, Err(CallError::TimedOut { .. })), "{answer:?}");
    assert!(took >= SECOND * 60, "not before: {took:?}");

    // And what the service sees of it.
    release.open();
    let left = handle.call(ask(|_, cx, reply| {
        let left = cx.deadline().instant().expect("bounded").saturating_duration_since(cx.now());
        reply.send(left.as_millis() as u64);
        Ok(Next::Continue)
    }));
    assert_eq!(left.expect("answered"), 5000);
    drop(sup);
}

#[test]
fn every_wait_has_a_deadline_init_five_seconds() {
    let (clock, hand) = Clock::manual();
    let (journal, release) = (Journal::new(), Latch::new());
    let held = release.clone();
    let spec = bot_with("a", &journal, move |bot| {
        let held = held.clone();
        bot.on_init(move |bot, _| {
            bot.note("is slow");
            held.wait();
            Ok(underpin::Init::Ready)
        })
    });
    let handle = spec.handle();
    let app = Supervisor::new("app").clock(clock).child(spec);
    let starting = aside(move || app.start());
    journal.wait_line("a is slow");
    hand.advance(SECOND * 5 - NS);
    assert_eq!(handle.status().state, Lifecycle::Initializing);
    assert!(!starting.is_done());
    hand.advance(NS);
    match starting.done() {
        Err(StartError::FailedToStart { supervisor, child, source: Exit::InitTimedOut(limit) }) => {
            assert_eq!((&*supervisor, &*child, limit), ("app", "a", SECOND * 5));
        }
        other => panic!("{other:?}"),
    }
    release.open();
    journal.wait_line("a drop");
    assert!(!journal.has("a terminate: was shut down"), "nobody listens to one that was abandoned");
}

#[test]
fn every_wait_has_a_deadline_stop_five_seconds() {
    let (clock, hand) = Clock::manual();
    let journal = Journal::new();
    let spec = bot("a", &journal);
    let handle = spec.handle();
    let sup = Supervisor::new("app").clock(clock).child(spec).start().expect("starts");
    let (asked, release) = hang(&handle);
    let reference = sup.reference();
    let stopping = aside(move || reference.terminate_child("a"));
    asked.wait();
    hand.advance(SECOND * 5 - NS);
    sup.count_children();
    assert!(!stopping.is_done());
    hand.advance(NS);
    stopping.done().expect("terminated, if not in order");
    assert!(matches!(handle.wait_down(LONG).expect("down").exit, Exit::Killed));
    release.open();
    drop(sup);
}

#[test]
fn every_wait_has_a_deadline_stop_of_a_handle_five_seconds() {
    let (clock, hand) = Clock::manual();
    let journal = Journal::new();
    let spec = bot("a", &journal);
    let handle = spec.handle();
    let sup = patient("app").clock(clock).child(spec).start().expect("starts");
    let release = occupy(&handle);
    let stopper = handle.clone();
    let stopping = aside(move || stopper.stop());
    let error = advance_until(&hand, MS * 500, stopping).expect_err("it does not come back");
    assert_eq!(error, StopError::TimedOut { name: "a".into(), waited: SECOND * 5 });
    release.open();
    assert_eq!(handle.call(Msg::Epoch).expect("it stopped after all, and was restarted"), 2);
    drop(sup);
}

#[test]
fn every_wait_has_a_deadline_blocked_send_one_second() {
    let (clock, hand) = Clock::manual();
    let journal = Journal::new();
    let spec = bot("a", &journal).capacity(1);
    let handle = spec.handle();
    let sup = Supervisor::new("app").clock(clock.clone()).child(spec).start().expect("starts");
    let release = occupy(&handle);
    handle.cast(Msg::Add(1)).expect("accepted");
    let sender = handle.clone();
    let blocked = aside(move || {
        let begun = clock.now();
        (sender.cast(Msg::Add(2)), clock.now() - begun)
    });
    let (refused, took) = advance_until(&hand, MS * 100, blocked);
    assert!(matches!(refused, Err(CastError::TimedOut { waited, .. }) if waited == SECOND), "{refused:?}");
    assert!(took >= SECOND, "not before: {took:?}");
    release.open();
    drop(sup);
}

#[test]
fn every_wait_has_a_deadline_unless_it_says_unbounded() {
    let (clock, hand) = Clock::manual();
    let journal = Journal::new();
    let spec = bot("a", &journal);
    let handle = spec.handle();
    let sup = Supervisor::new("app").clock(clock).child(spec).start().expect("starts");
    let release = occupy(&handle);
    let caller = handle.clone();
    let call = aside(move || {
        caller.call_by(
            Deadline::unbounded(),
            ask(|_, cx, reply| {
                assert_eq!(cx.deadline(), Deadline::unbounded());
                reply.send(1);
                Ok(Next::Continue)
            }),
        )
    });
    eventually("it is queued", || handle.status().queued == 1);
    for _ in 0..10 {
        hand.advance(SECOND * 3600 * 24 * 365);
    }
    assert!(!call.is_done());
    release.open();
    assert_eq!(call.done().expect("answered"), 1);
    drop(sup);
}
