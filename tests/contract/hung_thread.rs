//! The hung thread.

use super::*;

#[test]
fn hung_thread_is_abandoned_after_its_grace_and_the_caller_inside_gets_crashed() {
    let (clock, hand) = Clock::manual();
    let (journal, events) = (Journal::new(), Events::new());
    let spec = bot("a", &journal).shutdown(SECOND * 2);
    let handle = spec.handle();
    let sup =
        Supervisor::new("app").clock(clock).on_event(events.hook()).child(spec).start().expect("starts");
    let (entered, asked, release) = (Latch::new(), Latch::new(), Latch::new());
    let (in_it, tell, held) = (entered.clone(), asked.clone(), release.clone());
    let inside = handle.request(ask(move |_, cx, reply| {
        in_it.open();
        eventually("asked to stop", || cx.is_stopping());
        tell.open();
        held.wait();
        reply.send(1);
        Ok(Next::Continue)
    }));
    let inside = inside.expect("accepted");
    entered.wait();
    let queued = handle.request(Msg::Total).expect("accepted");
    let stopping = aside(move || sup.shutdown(SECOND * 60));
    asked.wait();
    assert!(!inside.is_ready());
    hand.advance(SECOND * 2);
    let error = inside.wait();
    assert!(matches!(error, Err(CallError::Crashed { .. })), "{error:?}");
    assert!(matches!(queued.wait(), Err(CallError::Stopped { .. })));
    let report = stopping.done();
    assert!(!report.is_clean());
    assert_eq!(report.unstopped.len(), 1);
    let unstopped = &report.unstopped[0];
    assert_eq!((&*unstopped.supervisor, &*unstopped.child, unstopped.epoch), ("app", "a", 1));
    assert_eq!(unstopped.state, Lifecycle::Processing);
    assert!(report.to_string().contains("app/a is still processing"), "{report}");
    assert!(matches!(report.exit, Exit::Shutdown), "{}", report.exit);
    release.open();
    journal.wait_line("a drop");
    assert_eq!(journal.count(|line| line.contains("terminate")), 0);
}

#[test]
fn hung_thread_has_a_successor_and_its_late_effects_do_not_touch_the_child() {
    let (clock, hand) = Clock::manual();
    let (journal, events) = (Journal::new(), Events::new());
    let (front, spec) = (bot("front", &journal), bot("a", &journal).shutdown(SECOND).registered());
    let (crasher, handle) = (front.handle(), spec.handle());
    let app = patient("app").strategy(Strategy::OneForAll).clock(clock).on_event(events.hook());
    let sup = app.child(front).child(spec).start().expect("starts");

    // It holds a parked reply, timers that are due, and will do everything it should not.
    let parked = handle.request(ask(|bot, cx, reply| {
        bot.kept.push(reply);
        cx.send_after(SECOND, Msg::Add(666));
        Ok(Next::Continue)
    }));
    let parked = parked.expect("accepted");
    let (asked, release) = hang_then(&handle, |bot, _| {
        bot.note("zombie");
        Ok(Next::Stop)
    });
    handle.cast(Msg::Add(1)).expect("accepted");
    crasher.cast(boom()).expect("accepted");
    asked.wait();
    hand.advance(SECOND);
    assert_eq!(handle.call(Msg::Epoch).expect("answered by the successor"), 2);
    assert!(journal.has("a add 1"), "the queue is the successor's");
    assert!(!parked.is_ready(), "its reply is the zombie's still");

    let before = handle.status();
    release.open();
    journal.wait_line("a drop");
    assert!(matches!(parked.wait(), Err(CallError::Crashed { .. })));
    eventually("it is out of the list", || handle.call(Msg::Total).is_ok());
    let after = handle.status();
    assert_eq!((before.epoch, after.epoch), (2, 2));
    assert_eq!(after.state, handle.status().state);
    assert_ne!(after.state, Lifecycle::Stopped);
    assert!(!journal.has("a add 666"));
    assert!(!journal.has("a terminate: stopped normally"));
    assert!(sup.registry().find::<Msg>("a").is_some());
    let info = sup.which_children();
    assert_eq!((info[1].epoch, info.len()), (2, 2));
    let report = sup.shutdown(LONG);
    assert!(report.is_clean(), "the zombie has gone: {report}");
    assert_eq!(handle.status().epoch, 2);
}

#[test]
fn hung_thread_that_panics_in_the_end_changes_nothing() {
    let (clock, hand) = Clock::manual();
    let journal = Journal::new();
    let spec = bot("a", &journal).shutdown(SECOND);
    let handle = spec.handle();
    let sup = patient("app").clock(clock).child(spec).start().expect("starts");
    let (asked, release) = hang_then(&handle, |_, _| panic_quietly("much too late"));
    let reference = sup.reference();
    let stopping = aside(move || reference.terminate_child("a"));
    asked.wait();
    hand.advance(SECOND);
    stopping.done().expect("terminated");
    sup.restart_child("a").expect("restarted");
    release.open();
    journal.wait_line("a drop");
    assert_eq!(handle.call(Msg::Epoch).expect("answered"), 2);
    let info = &sup.which_children()[0];
    assert!(matches!(info.last_exit, Some(Exit::Killed)), "{info:?}");
    assert_eq!(info.state, handle.status().state);
    drop(sup);
}

#[test]
fn hung_thread_that_hangs_in_terminate_or_in_the_drop_of_its_state_is_abandoned_too() {
    for in_drop in [false, true] {
        let (clock, hand) = Clock::manual();
        let (journal, release) = (Journal::new(), Latch::new());
        let (held, noted) = (release.clone(), journal.clone());
        let first = Arc::new(AtomicBool::new(true));
        let spec = bot_with("a", &journal, move |bot| {
            let (held, first, noted) = (held.clone(), Arc::clone(&first), noted.clone());
            AT_THREAD_END.with(|end| *end.borrow_mut() = Some(AtThreadEnd(noted.clone())));
            let hang = move || {
                if first.swap(false, Ordering::SeqCst) {
                    noted.note("hangs");
                    held.wait();
                    noted.note("returns");
                }
            };
            if in_drop { bot.on_drop(move |_| hang()) } else { bot.on_terminate(move |_, _| hang()) }
        });
        let handle = spec.handle();
        let sup =
            patient("app").clock(clock).child(spec.shutdown(SECOND).registered()).start().expect("starts");
        let reference = sup.reference();
        let stopping = aside(move || reference.terminate_child("a"));
        journal.wait_line("hangs");
        hand.advance(SECOND);
        stopping.done().expect("terminated");
        assert!(matches!(handle.wait_down(LONG).expect("down").exit, Exit::Killed));
        sup.restart_child("a").expect("restarted");
        handle.cast(Msg::Add(3)).expect("accepted");
        release.open();
        journal.wait_line("returns");
        journal.wait_line("a drop");
        journal.wait_line("thread gone");
        assert_eq!(handle.call(Msg::Total).expect("the successor is not touched"), 3);
        assert!(sup.registry().find::<Msg>("a").is_some());
        assert_eq!((handle.status().epoch, handle.status().dead_letters), (2, 0));
        assert_eq!(sup.count_children().active, 1);
        assert!(handle.wait_down(Duration::ZERO).is_none());
        assert!(sup.shutdown(LONG).is_clean());
        assert!(journal.has("a terminate: was shut down"));
    }
}

#[test]
fn hung_thread_says_nothing_of_itself_when_it_comes_back() {
    let (clock, hand) = Clock::manual();
    let (journal, events, release) = (Journal::new(), Events::new(), Latch::new());
    let (held, noted) = (release.clone(), journal.clone());
    let spec = bot_with("a", &journal, move |bot| {
        let (held, noted, first) = (held.clone(), noted.clone(), !noted.has("a drop"));
        AT_THREAD_END.with(|end| *end.borrow_mut() = Some(AtThreadEnd(noted.clone())));
        bot.on_drop(move |_| {
            if first {
                noted.note("hangs");
                held.wait();
            }
        })
    });
    let front = bot("front", &journal);
    let (crasher, handle) = (front.handle(), spec.handle());
    let app = patient("app").strategy(Strategy::OneForAll).clock(clock).on_event(events.hook());
    let sup = app.child(front).child(spec.shutdown(SECOND)).start().expect("starts");
    crasher.cast(boom()).expect("accepted");
    journal.wait_line("hangs");
    hand.advance(SECOND);
    assert_eq!(handle.call(Msg::Epoch).expect("answered by the successor"), 2);
    let before = handle.status().last_exit.map(|exit| exit.to_string());
    release.open();
    journal.wait_line("thread gone");
    assert_eq!(handle.status().last_exit.map(|exit| exit.to_string()), before);
    drop(sup);
    let events = events.all();
    let is_abandoned =
        |event: &_| matches!(event, SupervisionEvent::Abandoned { child, .. } if &**child == "a");
    let after = events.iter().skip_while(|event| !is_abandoned(event));
    let stale: Vec<_> = after
        .filter(|event| matches!(event, SupervisionEvent::Entered { child, epoch: 1, .. } if &**child == "a"))
        .collect();
    assert!(stale.is_empty(), "{stale:?}");
}
