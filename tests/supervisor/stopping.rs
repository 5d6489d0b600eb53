//! Stopping.

use super::*;

#[test]
fn stop_during_backoff_returns_promptly_and_nothing_is_resurrected() {
    let (clock, hand) = Clock::manual();
    let (journal, events) = (Journal::new(), Events::new());
    let slow = Backoff::exponential(SECOND * 3600, SECOND * 3600);
    let app = patient("app").clock(clock).on_event(events.hook()).backoff(slow);
    let (app, handles) = with_bots(app, &["a", "b"], &journal);
    let sup = app.start().expect("starts");
    for name in ["a", "b"] {
        handles[name].cast(boom()).expect("accepted");
        events.restart_of(name, 1);
    }
    let call = handles["a"].request(Msg::Total).expect("accepted");
    sup.terminate_child("a").expect("at once");
    assert!(matches!(call.wait(), Err(CallError::Stopped { .. })));
    hand.advance(SECOND * 3600 * 2);
    assert_eq!(handles["b"].call(Msg::Epoch).expect("only the other comes back"), 2);
    assert_eq!(sup.count_children().stopped, 1);
    handles["b"].cast(boom()).expect("accepted");
    events.restart_of("b", 2);
    assert!(sup.shutdown(LONG).is_clean(), "without any time passing");
    hand.advance(SECOND * 3600 * 2);
    assert_eq!(lines(&journal, "init"), ["a init 1", "b init 1", "b init 2"]);
    assert!(handles["b"].wait_down(LONG).is_some());
}

#[test]
fn stop_during_a_slow_init_returns_promptly() {
    // One whose init looks whether it is to stop.
    let journal = Journal::new();
    let spec = bot_with("slow", &journal, |bot| {
        bot.on_init(|bot, cx| {
            bot.note("is slow");
            eventually("asked to stop", || cx.is_stopping());
            Err(Oops(ErrorKind::Transient, "told to stop"))
        })
    });
    let handle = spec.handle();
    let app = Supervisor::new("app").child(bot("a", &journal));
    let sup = app.start().expect("starts");
    let reference = sup.reference();
    let starting = aside(move || reference.start_child(spec.init_timeout(LONG * 10)).map(drop));
    journal.wait_line("slow is slow");
    assert_eq!(sup.count_children().active, 2, "answered meanwhile");
    let begun = Instant::now();
    sup.terminate_child("slow").expect("terminated");
    assert!(begun.elapsed() < LONG);
    assert!(matches!(starting.done(), Err(StartChildError::ShuttingDown { .. })));
    assert!(matches!(handle.cast(Msg::Add(1)), Err(CastError::Stopped { .. })));
    assert_eq!(sup.count_children().specs, 1, "it was not saved");
    drop(sup);
}

#[test]
fn stop_during_a_hung_init_costs_its_grace_and_no_more() {
    let (clock, hand) = Clock::manual();
    let (journal, release) = (Journal::new(), Latch::new());
    let held = release.clone();
    let spec = bot_with("hung", &journal, move |bot| {
        let held = held.clone();
        bot.on_init(move |bot, cx| {
            bot.note("is slow");
            eventually("asked to stop", || cx.is_stopping());
            bot.note("is asked");
            held.wait();
            Ok(Init::Ready)
        })
    });
    let spec = spec.init_timeout(SECOND * 3600).shutdown(SECOND);
    let sup = Supervisor::new("app").clock(clock).child(bot("a", &journal)).start().expect("starts");
    let reference = sup.reference();
    let starting = aside(move || reference.start_child(spec).map(drop));
    journal.wait_line("hung is slow");
    let stopping = aside(move || sup.shutdown(SECOND * 3600));
    journal.wait_line("hung is asked");
    hand.advance(SECOND);
    let report = stopping.done();
    assert!(matches!(starting.done(), Err(StartChildError::ShuttingDown { .. })));
    assert_eq!(report.unstopped.len(), 1);
    assert_eq!((&*report.unstopped[0].child, report.unstopped[0].state), ("hung", Lifecycle::Initializing));
    assert_eq!(journal.count(|line| line == "a terminate: was shut down"), 1, "the other in order");
    release.open();
    journal.wait_line("hung drop");
    assert_eq!(lines(&journal, "hung terminate").len(), 0);
}

#[test]
fn stop_each_within_its_own_grace_and_the_others_in_order() {
    let (clock, hand) = Clock::manual();
    let (journal, events) = (Journal::new(), Events::new());
    let (mut app, mut handles) = (Supervisor::new("app").clock(clock).on_event(events.hook()), Vec::new());
    for (name, grace) in [("a", 1), ("b", 2), ("c", 3), ("d", 4)] {
        let spec = bot(name, &journal).shutdown(SECOND * grace);
        handles.push(spec.handle());
        app = app.child(spec);
    }
    let sup = app.start().expect("starts");
    let (asked_b, release_b) = hang(&handles[1]);
    let (asked_d, release_d) = hang(&handles[3]);
    let stopping = aside(move || sup.shutdown(SECOND * 3600));
    asked_d.wait();
    hand.advance(SECOND * 4 - NS);
    assert!(!journal.has("c terminate: was shut down"), "one after the other");
    hand.advance(NS);
    journal.wait_line("c terminate: was shut down");
    asked_b.wait();
    assert!(!journal.has("a terminate: was shut down"));
    hand.advance(SECOND * 2);
    let report = stopping.done();
    assert!(journal.has("a terminate: was shut down"));
    let names: Vec<_> = report.unstopped.iter().map(|one| one.child.to_string()).collect();
    assert_eq!(names, ["d", "b"]);
    assert!(matches!(handles[1].status().last_exit, Some(Exit::Killed)));
    assert!(matches!(handles[2].status().last_exit, Some(Exit::Shutdown)));
    assert_eq!(events.count(|event| matches!(event, SupervisionEvent::Abandoned { .. })), 2);
    release_b.open();
    release_d.open();
    journal.wait_line("b drop");
    journal.wait_line("d drop");
}

#[test]
fn stop_of_the_whole_has_a_deadline_that_bounds_every_grace() {
    let (clock, hand) = Clock::manual();
    let journal = Journal::new();
    let spec = |name| bot(name, &journal).shutdown(SECOND * 3600);
    let (a, b) = (spec("a"), spec("b"));
    let (ha, hb) = (a.handle(), b.handle());
    let nested = Supervisor::new("nested").child(b);
    let sup = Supervisor::new("app").clock(clock).child(a).supervisor(nested).start().expect("starts");
    let (asked, release) = hang(&hb);
    let (_, release_a) = hang(&ha);
    let stopping = aside(move || sup.shutdown(SECOND * 10));
    asked.wait();
    hand.advance(SECOND * 10);
    let report = stopping.done();
    let mut names: Vec<_> =
        report.unstopped.iter().map(|one| format!("{}/{}", one.supervisor, one.child)).collect();
    names.sort_unstable();
    assert_eq!(names, ["app/a", "app/nested/b"]);
    release.open();
    release_a.open();
    journal.wait_line("a drop");
    journal.wait_line("b drop");
}

#[test]
fn stop_a_second_shutdown_hurries_the_first() {
    let journal = Journal::new();
    let spec = bot("a", &journal).shutdown(SECOND * 3600);
    let handle = spec.handle();
    let sup = Arc::new(Supervisor::new("app").child(spec).start().expect("starts"));
    let (asked, release) = hang(&handle);
    let patient = Arc::clone(&sup);
    let first = aside(move || patient.shutdown(SECOND * 3600));
    asked.wait();
    assert_eq!(sup.shutdown(MS * 20).unstopped.len(), 1);
    assert_eq!(first.done().unstopped.len(), 1);
    release.open();
    journal.wait_line("a drop");
}

#[test]
fn stop_while_the_group_is_restarting_stops_it_in_the_midst() {
    let journal = Journal::new();
    let app = patient("app").strategy(Strategy::OneForAll);
    let (app, handles) = with_bots(app, &["a", "b"], &journal);
    let sup = app.start().expect("starts");
    let (asked, release) = hang(&handles["b"]);
    handles["a"].cast(boom()).expect("accepted");
    asked.wait();
    let reference = sup.reference();
    let stopping = aside(move || sup.shutdown(LONG));
    eventually("it goes down", || {
        matches!(reference.restart_child("a"), Err(RestartChildError::ShuttingDown { .. }))
    });
    release.open();
    assert!(stopping.done().is_clean());
    assert_eq!(lines(&journal, "init"), ["a init 1", "b init 1"]);
    for handle in handles.values() {
        assert!(matches!(handle.cast(Msg::Add(1)), Err(CastError::Stopped { .. })));
    }
}

#[test]
fn stop_of_the_root_by_a_service_of_its_own_is_possible_through_the_owner() {
    // A service asks; whoever owns the tree hears of it and stops it.
    let journal = Journal::new();
    let spec = bot("a", &journal).restart(Restart::Temporary);
    let handle = spec.handle();
    let sup = Supervisor::new("app").child(spec).start().expect("starts");
    handle.cast(quit()).expect("accepted");
    assert!(matches!(handle.wait_down(LONG).expect("down").exit, Exit::Normal));
    assert!(sup.shutdown(LONG).is_clean());
}

#[test]
fn a_crash_while_it_is_stopped_is_reported_and_does_not_stop_the_stopping() {
    let (journal, events) = (Journal::new(), Events::new());
    let spec = bot_with("a", &journal, |bot| bot.on_terminate(|_, _| panic_quietly("in terminate")));
    let dropping = bot_with("b", &journal, |bot| bot.on_drop(|_| panic_quietly("in drop")));
    let handle = spec.handle();
    let app = patient("app").on_event(events.hook()).child(spec).child(dropping).child(bot("c", &journal));
    let sup = app.start().expect("starts");
    assert!(sup.shutdown(LONG).is_clean());
    assert!(journal.has("a drop") && journal.has("c drop"));
    let crashes = events.crashes();
    assert_eq!(crashes.len(), 2, "{crashes:?}");
    assert_eq!((&*crashes[0].child, crashes[0].aftermath.as_deref()), ("b", Some("in drop")));
    assert_eq!((&*crashes[1].child, crashes[1].aftermath.as_deref()), ("a", Some("in terminate")));
    assert!(matches!(crashes[1].exit, Exit::Shutdown));
    assert_eq!(handle.status().state, Lifecycle::Stopped);
}
