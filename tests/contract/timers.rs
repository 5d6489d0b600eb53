//! Timers.

use super::*;

#[test]
fn timers_fire_between_messages_of_a_busy_service() {
    let (clock, hand) = Clock::manual();
    let journal = Journal::new();
    let spec = bot("a", &journal);
    let handle = spec.handle();
    let sup = Supervisor::new("app").clock(clock).child(spec).start().expect("starts");
    handle
        .call(ask(|_, cx, reply| {
            cx.send_after(SECOND * 2, Msg::Add(200));
            cx.send_after(SECOND, Msg::Add(100));
            reply.send(0);
            Ok(Next::Continue)
        }))
        .expect("answered");
    let release = occupy(&handle);
    handle.cast(Msg::Add(1)).expect("accepted");
    let time = hand.clone();
    let advance = act(move |_, _| {
        time.advance(SECOND);
        Ok(Next::Continue)
    });
    handle.cast(advance).expect("accepted");
    handle.cast(Msg::Add(2)).expect("accepted");
    let time = hand.clone();
    let advance = act(move |_, _| {
        time.advance(SECOND);
        Ok(Next::Continue)
    });
    handle.cast(advance).expect("accepted");
    handle.cast(Msg::Add(3)).expect("accepted");
    release.open();
    journal.wait_line("a add 3");
    let expected = ["a add 1", "a add 100", "a add 2", "a add 200", "a add 3"];
    assert_eq!(adds(&journal), expected, "not only when it is idle");
    drop(sup);
}

#[test]
fn timers_never_fire_early_and_never_when_cancelled() {
    let (clock, hand) = Clock::manual();
    let journal = Journal::new();
    let spec = bot("a", &journal);
    let handle = spec.handle();
    let sup = Supervisor::new("app").clock(clock.clone()).child(spec).start().expect("starts");
    handle
        .call(ask(move |bot, cx, reply| {
            let cancelled = cx.send_after(SECOND, Msg::Add(1));
            cx.send_after(SECOND, Msg::Add(2));
            cx.send_at(cx.now() + SECOND * 2, Msg::Add(3));
            assert!(matches!(cx.cancel(cancelled), Some(Msg::Add(1))));
            assert!(cx.cancel(cancelled).is_none(), "taken back once");
            bot.note("armed");
            reply.send(0);
            Ok(Next::Continue)
        }))
        .expect("answered");
    hand.advance(SECOND - NS);
    handle.call(Msg::Total).expect("answered");
    handle.call(Msg::Total).expect("answered");
    assert!(adds(&journal).is_empty());
    hand.advance(NS);
    journal.wait_line("a add 2");
    hand.advance(SECOND - NS);
    handle.call(Msg::Total).expect("answered");
    handle.call(Msg::Total).expect("answered");
    assert_eq!(adds(&journal), ["a add 2"]);
    hand.advance(NS);
    journal.wait_line("a add 3");
    hand.advance(SECOND * 100);
    handle.call(Msg::Total).expect("answered");
    assert_eq!(adds(&journal), ["a add 2", "a add 3"]);
    drop(sup);
}

#[test]
fn timers_a_timer_that_is_due_can_still_be_cancelled_before_it_is_handled() {
    let (clock, hand) = Clock::manual();
    let journal = Journal::new();
    let spec = bot("a", &journal);
    let handle = spec.handle();
    let sup = Supervisor::new("app").clock(clock).child(spec).start().expect("starts");
    let timer = Arc::new(Mutex::new(None));
    let keep = Arc::clone(&timer);
    handle
        .call(ask(move |_, cx, reply| {
            *keep.lock().expect("no panic") = Some(cx.send_after(SECOND, Msg::Add(1)));
            reply.send(0);
            Ok(Next::Continue)
        }))
        .expect("answered");
    let answer = handle.call(ask(move |_, cx, reply| {
        hand.advance(SECOND * 2); // less than the call may take
        let timer = timer.lock().expect("no panic").take().expect("armed");
        reply.send(u64::from(cx.cancel(timer).is_some()));
        Ok(Next::Continue)
    }));
    assert_eq!(answer.expect("answered"), 1);
    handle.call(Msg::Total).expect("answered");
    assert!(adds(&journal).is_empty());
    drop(sup);
}
