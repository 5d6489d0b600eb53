//! The count and the cap.

use super::*;

/// A child whose `init` hangs from its second life on, until the latch is open. It has 1 s.
fn hangs_again(name: &str, journal: &Journal, release: &Latch) -> underpin::ChildSpec<Bot> {
    let held = release.clone();
    let dress = move |bot: Bot| {
        let held = held.clone();
        bot.on_init(move |bot, cx| {
            if cx.epoch() > 1 {
                bot.note("hangs");
                held.wait();
            }
            Ok(Init::Ready)
        })
    };
    bot_with(name, journal, dress).init_timeout(SECOND)
}

/// Whatever its thread is at: it is not the child's any more.
#[test]
fn a_child_whose_thread_was_abandoned_is_restarting_until_it_is_started_again() {
    let (clock, hand) = Clock::manual();
    let (journal, events, release) = (Journal::new(), Events::new(), Latch::new());
    let spec = hangs_again("a", &journal, &release);
    let handle = spec.handle();
    let app = patient("app").backoff(Backoff::exponential(SECOND, SECOND));
    let sup = app.clock(clock).on_event(events.hook()).child(spec).start().expect("starts");
    handle.cast(boom()).expect("accepted");
    events.restart_of("a", 1);
    hand.advance(SECOND);
    journal.wait(hangs);
    hand.advance(SECOND);
    events.wait(is_abandoned);
    assert_eq!((handle.status().state, handle.status().epoch), (Lifecycle::Restarting, 2));
    release.open();
    journal.wait_count(2, |line| line == "a drop");
    assert_eq!((handle.status().state, handle.status().epoch), (Lifecycle::Restarting, 2));
    drop(sup);
}

#[test]
fn cap_stops_a_child_that_hangs_at_each_restart_until_its_threads_are_gone() {
    let (clock, hand) = Clock::manual();
    let (journal, events, release) = (Journal::new(), Events::new(), Latch::new());
    let spec = hangs_again("a", &journal, &release);
    let handle = spec.handle();
    let app = patient("app").max_abandoned(3).backoff(Backoff::exponential(SECOND, SECOND));
    let app = app.clock(clock).on_event(events.hook()).child(spec).child(bot("b", &journal));
    let sup = app.start().expect("starts");
    handle.cast(boom()).expect("accepted");
    handle.cast(Msg::Add(7)).expect("it waits for the next life");
    let next = |count| {
        events.restart_of("a", count);
        hand.advance(SECOND);
    };
    for count in 1..=3 {
        next(count);
        journal.wait_count(count, hangs);
        hand.advance(SECOND); // it is abandoned
    }
    for count in 4..14 {
        next(count);
        assert_eq!(sup.which_children().len(), 2, "every call is answered");
        let crash = events.crash_of("a", count - 2);
        assert!(matches!(crash.exit, Exit::TooManyAbandoned { most: 3 }), "{}", crash.exit);
    }
    assert_eq!((sup.abandoned().alive, sup.abandoned().ever, journal.count(hangs)), (3, 3, 3));
    assert_eq!(handle.status().queued, 1);
    release.open();
    eventually("its threads are gone", || sup.abandoned().alive == 0);
    next(14);
    assert_eq!(handle.call(Msg::Total).expect("it is up again"), 7);
    let report = sup.shutdown(LONG);
    assert!(report.is_clean() && report.abandoned == 3, "{report}");
    assert!(report.to_string().contains("3 abandoned over its life"), "{report}");
}

#[test]
fn cap_refuses_what_is_new_without_a_charge_and_restarts_those_who_left_none() {
    let (clock, hand) = Clock::manual();
    let journal = Journal::new();
    let (a, b) = (bot("a", &journal).shutdown(SECOND), bot("b", &journal));
    let (hung, fine) = (a.handle(), b.handle());
    let app = Supervisor::new("app").intensity(1, SECOND).max_abandoned(1).clock(clock);
    let sup = app.child(a).child(b).start().expect("starts");
    let release = abandon(&sup, &hand, &hung);
    for _ in 0..5 {
        let refused = sup.start_child(bot("c", &journal)).expect_err("one too many");
        let StartChildError::FailedToStart { source, .. } = &refused else { panic!("{refused}") };
        assert!(matches!(source, Exit::TooManyAbandoned { most: 1 }), "{refused}");
        let refused = sup.start_supervisor(Supervisor::new("net")).expect_err("one too many");
        assert!(refused.to_string().contains("1 abandoned ones are left"), "{refused}");
        let refused = sup.restart_child("a").expect_err("it has left one");
        assert!(matches!(refused, RestartChildError::FailedToStart { .. }), "{refused}");
    }
    fine.cast(boom()).expect("accepted");
    assert_eq!(fine.call(Msg::Epoch).expect("restarted as ever"), 2);
    sup.terminate_child("b").expect("terminated");
    sup.restart_child("b").expect("started as ever");
    assert_eq!(sup.count_children().specs, 2, "what was refused is not kept");
    release.open();
    eventually("its thread is gone", || sup.abandoned().alive == 0);
    sup.start_child(bot("c", &journal)).expect("starts");
    sup.restart_child("a").expect("starts");
    assert_eq!(hung.call(Msg::Epoch).expect("answered"), 2);
    assert!(sup.shutdown(LONG).is_clean());
}

#[test]
fn cap_is_charged_where_a_restart_is_refused_and_escalates_in_the_end() {
    let (clock, hand) = Clock::manual();
    let (journal, release) = (Journal::new(), Latch::new());
    let spec = hangs_again("a", &journal, &release);
    let handle = spec.handle();
    let app = Supervisor::new("app").intensity(20, SECOND * 3600).max_abandoned(2).clock(clock);
    let sup = app.child(spec).start().expect("starts");
    handle.cast(boom()).expect("accepted");
    for count in 1..=2 {
        journal.wait_count(count, hangs);
        hand.advance(SECOND);
    }
    let exit = aside(move || sup.wait(LONG)).done().expect("it gave up");
    assert!(matches!(exit, Exit::Escalated { .. }), "{exit}");
    assert_eq!(journal.count(hangs), 2, "no thread more");
    release.open();
}

#[test]
fn cap_holds_over_a_restart_of_the_supervisor_above() {
    let (clock, hand) = Clock::manual();
    let (journal, events, release) = (Journal::new(), Events::new(), Latch::new());
    let spec = hangs_again("a", &journal, &release);
    let handle = spec.handle();
    let net = Supervisor::new("net").intensity(2, SECOND * 3600).child(spec);
    let app = patient("app").max_abandoned(2).backoff(Backoff::exponential(SECOND, SECOND));
    let sup = app.clock(clock).on_event(events.hook()).supervisor(net).start().expect("starts");
    handle.cast(boom()).expect("accepted");
    for count in 1..=2 {
        journal.wait_count(count, hangs);
        hand.advance(SECOND);
    }
    for count in 1..5 {
        events.restart_of("net", count); // at first it gave up, then it fails to start
        hand.advance(SECOND);
    }
    events.restart_of("net", 5);
    assert_eq!((sup.abandoned().alive, journal.count(hangs)), (2, 2), "no thread more");
    release.open();
    eventually("its threads are gone", || sup.abandoned().alive == 0);
    hand.advance(SECOND);
    journal.wait_count(3, hangs);
    assert_eq!(handle.call(Msg::Epoch).expect("it is up again"), 4);
    assert!(sup.shutdown(LONG).is_clean());
}

#[test]
fn cap_is_one_or_more_and_the_roots_to_say() {
    let refused = Supervisor::new("app").max_abandoned(0).start().expect_err("refused");
    assert!(refused.to_string().contains("max_abandoned is 1 or more"), "{refused}");
    let nested = Supervisor::new("net").max_abandoned(DEFAULT_MAX_ABANDONED);
    let refused = Supervisor::new("app").supervisor(nested).start().expect_err("refused");
    assert!(refused.to_string().contains("max_abandoned are the root's to say"), "{refused}");
}

#[test]
fn count_is_read_without_asking_the_supervisor() {
    let (clock, hand) = Clock::manual();
    let journal = Journal::new();
    let spec = bot("a", &journal).shutdown(SECOND);
    let handle = spec.handle();
    let sup = patient("app").clock(clock).child(spec).start().expect("starts");
    let before = sup.abandoned();
    assert_eq!((before.ever, before.alive), (0, 0));
    let release = abandon(&sup, &hand, &handle);
    let now = sup.abandoned();
    assert_eq!((now.ever, now.alive), (1, 1));
    release.open();
    eventually("its thread is gone", || sup.abandoned().alive == 0);
    assert_eq!(sup.abandoned().ever, 1);
    assert_eq!(sup.shutdown(LONG).abandoned, 1);
    assert_eq!(sup.abandoned().ever, 1, "also when it is down");
}
