//! `OnHang::Wait`: the supervisor waits until the thread ends.

use super::*;

#[test]
fn wait_reports_a_stop_that_takes_too_long_once_and_goes_on_waiting() {
    let (clock, hand) = Clock::manual();
    let (journal, events) = (Journal::new(), Events::new());
    let spec = bot("a", &journal).shutdown(SECOND).on_hang(OnHang::Wait);
    let handle = spec.handle();
    let sup = patient("app").clock(clock).on_event(events.hook()).child(spec).start().expect("starts");
    let (asked, release) = hang(&handle);
    let reference = sup.reference();
    let terminating = aside(move || reference.terminate_child("a"));
    asked.wait();
    hand.advance(SECOND);
    events.wait(is_overdue);
    hand.advance(SECOND * 3600);
    let other = sup.start_child(bot("b", &journal)).expect("it answers meanwhile");
    assert_eq!(other.call(Msg::Epoch).expect("answered"), 1);
    assert!(matches!(sup.restart_child("a"), Err(RestartChildError::Running { .. })));
    assert!(!terminating.is_done());
    assert_eq!(handle.status().epoch, 1, "there is no successor");
    release.open();
    terminating.done().expect("terminated");
    assert!(journal.has("a terminate: was shut down"), "it ended in order");
    assert_eq!(overdue(&events), [("a".into(), 1, Hung::Grace, SECOND)]);
    assert_eq!(events.count(is_abandoned), 0);
    let report = sup.shutdown(LONG);
    assert!(report.is_clean() && report.abandoned == 0, "{report}");
}

#[test]
fn wait_reports_a_start_that_takes_too_long_and_lets_it_succeed() {
    let (clock, hand) = Clock::manual();
    let (journal, events, release) = (Journal::new(), Events::new(), Latch::new());
    let held = release.clone();
    let spec = bot_with("a", &journal, move |bot| {
        let held = held.clone();
        bot.on_init(move |bot, _| {
            bot.note("is slow");
            held.wait();
            Ok(Init::Ready)
        })
    });
    let spec = spec.init_timeout(SECOND).on_hang(OnHang::Wait);
    let handle = spec.handle();
    let app = Supervisor::new("app").clock(clock).on_event(events.hook());
    let app = app.child(spec).child(bot("b", &journal));
    let reference = app.reference();
    let starting = aside(move || app.start().expect("starts"));
    journal.wait_line("a is slow");
    reference.which_children();
    hand.advance(SECOND);
    events.wait(is_overdue);
    assert!(!starting.is_done() && !journal.has("b init 1"), "the next one waits too");
    release.open();
    let sup = starting.done();
    assert_eq!(handle.call(Msg::Epoch).expect("answered"), 1);
    assert_eq!(overdue(&events), [("a".into(), 1, Hung::Init, SECOND)]);
    assert!(sup.shutdown(LONG).is_clean());
}

#[test]
fn wait_holds_up_its_group_which_then_goes_on_in_order() {
    let (clock, hand) = Clock::manual();
    let (journal, events) = (Journal::new(), Events::new());
    let (front, spec) = (bot("front", &journal), bot("a", &journal).shutdown(SECOND).on_hang(OnHang::Wait));
    let (crasher, handle) = (front.handle(), spec.handle());
    let app = patient("app").strategy(Strategy::OneForAll).clock(clock).on_event(events.hook());
    let sup = app.child(front).child(spec).start().expect("starts");
    let (asked, release) = hang(&handle);
    crasher.cast(boom()).expect("accepted");
    asked.wait();
    hand.advance(SECOND);
    events.wait(is_overdue);
    assert_eq!(sup.count_children().specs, 2);
    assert_eq!(crasher.status().epoch, 1, "nobody is started before it is gone");
    release.open();
    assert_eq!(handle.call(Msg::Epoch).expect("answered"), 2);
    assert!(journal.at("a drop") < journal.at("front init 2"));
    assert_eq!(events.count(is_abandoned), 0);
    drop(sup);
}

#[test]
fn wait_ends_with_the_deadline_of_a_shutdown_which_names_it() {
    let (clock, hand) = Clock::manual();
    let (journal, events) = (Journal::new(), Events::new());
    let spec = bot("a", &journal).shutdown(SECOND).on_hang(OnHang::Wait);
    let handle = spec.handle();
    let nested = Supervisor::new("net").child(spec);
    let app = Supervisor::new("app").clock(clock).on_event(events.hook()).supervisor(nested);
    let sup = app.start().expect("starts");
    let (asked, release) = hang(&handle);
    let stopping = aside(move || sup.shutdown(SECOND * 10));
    asked.wait();
    hand.advance(SECOND * 9);
    events.wait(is_overdue);
    assert!(!stopping.is_done());
    hand.advance(SECOND);
    let report = stopping.done();
    let names: Vec<_> = report.unstopped.iter().map(|one| (&*one.supervisor, &*one.child)).collect();
    assert_eq!((names, report.abandoned), (vec![("app/net", "a")], 1));
    assert_eq!((overdue(&events).len(), events.count(is_abandoned)), (1, 1));
    release.open();
    journal.wait_line("a drop");
}

#[test]
fn wait_is_only_reported_under_the_shared_grace_of_a_dynamic_supervisor() {
    let (clock, hand) = Clock::manual();
    let (journal, events) = (Journal::new(), Events::new());
    let front = bot("front", &journal);
    let crasher = front.handle();
    let sessions = DynamicSupervisor::new("sessions").shutdown(SECOND);
    let reference = sessions.reference();
    let app = patient("app").strategy(Strategy::OneForAll).clock(clock).on_event(events.hook());
    let sup = app.child(front).supervisor(sessions).start().expect("starts");
    let spec = bot("a", &journal).shutdown(SECOND * 3600).on_hang(OnHang::Wait);
    let handle = reference.start_child(spec).expect("starts");
    let (asked, release) = hang(&handle);
    crasher.cast(boom()).expect("accepted");
    asked.wait();
    reference.which_children();
    hand.advance(SECOND);
    events.wait(is_overdue);
    hand.advance(SECOND * 3600);
    reference.which_children();
    assert_eq!((handle.wait_down(Duration::ZERO).is_some(), crasher.status().epoch), (false, 1));
    release.open();
    assert!(matches!(handle.wait_down(LONG).expect("down").exit, Exit::Shutdown));
    assert_eq!(overdue(&events), [("a".into(), 1, Hung::Grace, SECOND)]);
    drop(sup);
}
