//! What is set anew while the tree runs: mailboxes, limits and delays.

mod common;

use std::time::Duration;

use common::*;
use underpin::{
    Backoff, CallError, CastError, ChildSettings, Clock, DynamicSupervisor, Exit, Handle, Init, Overflow,
    ReconfigureChildError, ReconfigureError, ReplaceChildError, Restart, StartChildError, Supervisor,
    SupervisorHandle, SupervisorSettings,
};

/// A bot whose mailbox holds 2 and can be made to hold 8.
fn small(overflow: Overflow, journal: &Journal) -> (SupervisorHandle, Handle<Msg>) {
    let spec = bot("a", journal).capacity(2).max_capacity(8).overflow(overflow);
    let handle = spec.handle();
    (patient("app").child(spec).start().expect("starts"), handle)
}

fn capacity(messages: usize) -> ChildSettings {
    ChildSettings::new().capacity(messages)
}

/// How many messages are accepted before one is not.
fn fill(handle: &Handle<Msg>) -> usize {
    (0..100).take_while(|_| handle.cast(Msg::Add(1)).is_ok()).count()
}

// ---- the mailbox -------------------------------------------------------------------------

#[test]
fn more_room_is_there_at_once_up_to_what_is_reserved() {
    let journal = Journal::new();
    let (sup, handle) = small(Overflow::Reject, &journal);
    let release = occupy(&handle);
    assert_eq!((handle.status().capacity, fill(&handle)), (2, 2));
    for (messages, more) in [(3, 1), (7, 4), (8, 1)] {
        sup.reconfigure_child("a", capacity(messages)).expect("set");
        assert_eq!((handle.status().capacity, fill(&handle)), (messages, more));
    }
    assert!(matches!(handle.cast(Msg::Add(1)), Err(CastError::Full { .. })));
    release.open();
    assert_eq!(handle.status().shed, 0);
    eventually("all is handled", || handle.status().queued == 0);
    assert_eq!(handle.call(Msg::Total).expect("answered"), 8);
}

#[test]
fn less_room_loses_nothing_and_lets_in_nothing_before_there_is_space() {
    let journal = Journal::new();
    let (sup, handle) = small(Overflow::Reject, &journal);
    sup.reconfigure_child("a", capacity(8)).expect("set");
    let release = occupy(&handle);
    assert_eq!(fill(&handle), 8);
    sup.reconfigure_child("a", capacity(1)).expect("set");
    assert_eq!((handle.status().queued, handle.status().capacity, fill(&handle)), (8, 1, 0));
    release.open();
    eventually("all is handled", || handle.status().queued == 0);
    let release = occupy(&handle);
    assert_eq!(fill(&handle), 1);
    release.open();
    eventually("that too", || handle.status().queued == 0);
    assert_eq!(handle.call(Msg::Total).expect("answered"), 9);
}

#[test]
fn more_room_wakes_those_who_wait_for_it() {
    let journal = Journal::new();
    let (sup, handle) = small(Overflow::Block(LONG), &journal);
    let release = occupy(&handle);
    let senders: Vec<_> = (0..6)
        .map(|_| {
            let handle = handle.clone();
            aside(move || handle.cast(Msg::Add(1)).is_ok())
        })
        .collect();
    eventually("it is full", || handle.status().queued == 2);
    sup.reconfigure_child("a", capacity(4)).expect("set");
    eventually("two more", || handle.status().queued == 4);
    sup.reconfigure_child("a", capacity(8)).expect("set");
    eventually("all of them", || handle.status().queued == 6);
    assert!(senders.into_iter().all(Aside::done));
    release.open();
    eventually("all is handled", || handle.status().queued == 0);
    assert_eq!(handle.call(Msg::Total).expect("answered"), 6);
}

#[test]
fn who_waits_gets_in_when_less_room_has_become_free() {
    let journal = Journal::new();
    let (sup, handle) = small(Overflow::Block(LONG), &journal);
    sup.reconfigure_child("a", capacity(8)).expect("set");
    let release = occupy(&handle);
    for _ in 0..6 {
        handle.cast(Msg::Add(1)).expect("accepted");
    }
    sup.reconfigure_child("a", capacity(1)).expect("set");
    let senders: Vec<_> = (0..3)
        .map(|_| {
            let handle = handle.clone();
            aside(move || handle.cast(Msg::Add(1)).is_ok())
        })
        .collect();
    release.open();
    assert!(senders.into_iter().all(Aside::done));
    assert_eq!(handle.call(Msg::Total).expect("answered"), 9);
}

#[test]
fn what_happens_to_a_message_for_the_full_mailbox_is_decided_when_it_is_sent() {
    let journal = Journal::new();
    let (sup, handle) = small(Overflow::Reject, &journal);
    let set = |overflow| sup.reconfigure_child("a", ChildSettings::new().overflow(overflow)).expect("set");
    let release = occupy(&handle);
    let oldest = handle.request(Msg::Total).expect("accepted");
    handle.cast(Msg::Add(1)).expect("accepted");
    assert!(matches!(handle.cast(Msg::Add(2)), Err(CastError::Full { .. })));
    set(Overflow::DropNewest);
    handle.cast(Msg::Add(4)).expect("dropped");
    assert_eq!((handle.status().shed, handle.status().dead_letters), (1, 1));
    set(Overflow::DropOldest);
    handle.cast(Msg::Add(8)).expect("in the place of the oldest");
    assert!(matches!(oldest.wait(), Err(CallError::Shed { .. })));
    set(Overflow::Block(MS));
    let error = handle.cast(Msg::Add(16)).expect_err("full");
    assert!(matches!(error, CastError::TimedOut { waited, .. } if waited == MS), "{error}");
    set(Overflow::Reject);
    assert!(matches!(handle.cast(Msg::Add(32)), Err(CastError::Full { .. })));
    release.open();
    eventually("all is handled", || handle.status().queued == 0);
    assert_eq!((handle.call(Msg::Total).expect("answered"), handle.status().shed), (9, 2));
}

#[test]
fn who_waits_already_goes_on_waiting_as_it_was_told() {
    let journal = Journal::new();
    let (clock, hand) = Clock::manual();
    let spec = bot("a", &journal).capacity(1);
    let handle = spec.handle();
    let sup = Supervisor::new("app").clock(clock).child(spec).start().expect("starts");
    let release = occupy(&handle);
    handle.cast(Msg::Add(1)).expect("accepted");
    let set = |overflow| sup.reconfigure_child("a", ChildSettings::new().overflow(overflow)).expect("set");
    let sent_while_it_was_set = || {
        set(Overflow::Block(SECOND));
        let sender = aside({
            let handle = handle.clone();
            move || handle.cast(Msg::Add(1)).expect_err("there is never space")
        });
        std::thread::yield_now();
        set(Overflow::Reject);
        while !sender.is_done() {
            hand.advance(SECOND);
            std::thread::yield_now();
        }
        sender.done()
    };
    // Nobody tells that a sender waits by now. One that does not yet is refused.
    eventually("one that waited was told so", || match sent_while_it_was_set() {
        CastError::TimedOut { waited, .. } => waited == SECOND,
        CastError::Full { .. } => false,
        other => panic!("nobody stops it: {other}"),
    });
    release.open();
}

#[test]
fn where_too_many_are_queued_the_oldest_goes_one_for_one() {
    let journal = Journal::new();
    let (sup, handle) = small(Overflow::DropOldest, &journal);
    sup.reconfigure_child("a", capacity(8)).expect("set");
    let release = occupy(&handle);
    for n in 0..8 {
        handle.cast(Msg::Add(n)).expect("accepted");
    }
    sup.reconfigure_child("a", capacity(2)).expect("set");
    handle.cast(Msg::Add(100)).expect("accepted");
    assert_eq!((handle.status().queued, handle.status().shed), (8, 1));
    release.open();
    eventually("all is handled", || handle.status().queued == 0);
    assert_eq!(handle.call(Msg::Total).expect("answered"), 128);
    assert!(!journal.has("a add 0") && journal.has("a add 1"));
}

#[test]
fn what_is_wrong_is_said_and_nothing_is_changed() {
    let journal = Journal::new();
    let (sup, handle) = small(Overflow::Reject, &journal);
    let other = ChildSettings::new().overflow(Overflow::DropNewest).init_timeout(MS).shutdown(MS);
    let error = sup.reconfigure_child("a", other.capacity(9)).expect_err("too many");
    let expected = ReconfigureChildError::OverReserved { name: "a".into(), asked: 9, reserved: 8 };
    assert_eq!(error, expected);
    assert_eq!(error.to_string(), "child `a`: its capacity is 1 to 8, which is reserved, not 9");
    let error = sup.reconfigure_child("a", other.capacity(0)).expect_err("none");
    assert_eq!(error.to_string(), "child `a`: its capacity is 1 to 8, not 0");
    let error = sup.reconfigure_child("x", other).expect_err("unknown");
    assert_eq!(error, ReconfigureChildError::NotFound { name: "x".into() });
    let release = occupy(&handle);
    assert_eq!((handle.status().capacity, fill(&handle)), (2, 2));
    assert!(matches!(handle.cast(Msg::Add(1)), Err(CastError::Full { .. })), "it rejects as before");
    release.open();
    sup.reconfigure_child("a", ChildSettings::new()).expect("nothing is fine");
    let reference = sup.reference();
    drop(sup);
    let error = reference.reconfigure_child("a", other).expect_err("gone");
    assert_eq!(error, ReconfigureChildError::ShuttingDown { name: "a".into() });
}

#[test]
fn without_more_reserved_the_capacity_can_be_lowered_and_raised_again() {
    let journal = Journal::new();
    let spec = bot("a", &journal).capacity(4).overflow(Overflow::Reject);
    let handle = spec.handle();
    let sup = Supervisor::new("app").child(spec).start().expect("starts");
    let error = sup.reconfigure_child("a", capacity(5)).expect_err("too many");
    assert!(matches!(error, ReconfigureChildError::OverReserved { reserved: 4, .. }), "{error}");
    let release = occupy(&handle);
    sup.reconfigure_child("a", capacity(1)).expect("set");
    assert_eq!(fill(&handle), 1);
    sup.reconfigure_child("a", capacity(4)).expect("set");
    assert_eq!(fill(&handle), 3);
    release.open();
}

#[test]
fn what_is_reserved_is_at_least_what_is_held() {
    let journal = Journal::new();
    let taken = bot("a", &journal);
    drop(taken.handle());
    let cases = [
        (
            bot("a", &journal).capacity(4).max_capacity(3),
            "max_capacity is its capacity, 4, to 16777216, not 3",
        ),
        (bot("a", &journal).max_capacity(usize::MAX), "max_capacity is its capacity, 1024"),
        (bot("a", &journal).capacity(0).max_capacity(4), "its capacity is 1 to 16777216, not 0"),
        (taken.max_capacity(2000), "`max_capacity` was set after a handle was taken"),
    ];
    for (spec, said) in cases {
        let sup = Supervisor::new("app").start().expect("starts");
        let error = sup.start_child(spec).expect_err("refused");
        assert!(
            matches!(error, StartChildError::BadSpec { .. }) && error.to_string().contains(said),
            "{error}"
        );
    }
}

#[test]
fn a_closed_mailbox_is_closed_whatever_it_holds() {
    let journal = Journal::new();
    let (sup, handle) = small(Overflow::Block(LONG), &journal);
    let release = occupy(&handle);
    handle.cast(Msg::Add(1)).expect("accepted");
    handle.cast(Msg::Add(1)).expect("accepted");
    let blocked = aside({
        let handle = handle.clone();
        move || handle.cast(Msg::Add(1))
    });
    let stopping = aside(move || sup.shutdown(LONG));
    release.open();
    stopping.done();
    let outcome = blocked.done();
    assert!(matches!(outcome, Ok(()) | Err(CastError::Stopped { .. })), "{outcome:?}");
    assert!(matches!(handle.cast(Msg::Add(1)), Err(CastError::Stopped { .. })));
}

// ---- limits and delays of a child --------------------------------------------------------

#[test]
fn settings_of_a_child_stay_over_its_restarts_and_those_of_its_supervisor() {
    let journal = Journal::new();
    let spec = bot("a", &journal).capacity(2).max_capacity(8).overflow(Overflow::Block(LONG));
    let handle = spec.handle();
    let nested = Supervisor::new("nested").intensity(1, LONG).child(spec);
    let reference = nested.reference();
    let events = Events::new();
    let sup = patient("app").on_event(events.hook()).supervisor(nested).start().expect("starts");
    let settings = capacity(5).overflow(Overflow::Reject).backoff(Backoff::exponential(MS * 3, MS * 3));
    reference.reconfigure_child("a", settings).expect("set");
    for epoch in 2..=4 {
        handle.cast(boom()).expect("accepted");
        assert_eq!(handle.call(Msg::Epoch).expect("answered"), epoch);
    }
    assert_eq!(reference.status().epoch, 2, "one restart too many on the way");
    assert_eq!((events.restart_of("a", 1), events.restart_of("a", 2)), (MS * 3, MS * 3));
    let release = occupy(&handle);
    assert_eq!(fill(&handle), 5);
    release.open();
    drop(sup);
}

#[test]
fn another_backoff_holds_from_the_next_restart_on() {
    let journal = Journal::new();
    let events = Events::new();
    let (clock, hand) = Clock::manual();
    let spec = bot("a", &journal);
    let handle = spec.handle();
    let app = patient("app").clock(clock).on_event(events.hook());
    let app = app.backoff(Backoff::exponential(SECOND, SECOND)).child(spec);
    let sup = app.start().expect("starts");
    let mut restarts = 0;
    let mut crash = |expected: Duration| {
        handle.cast(boom()).expect("accepted");
        restarts += 1;
        assert_eq!(events.restart_of("a", restarts), expected);
        hand.advance(expected);
        handle.call(Msg::Total).expect("it is back");
    };
    crash(SECOND);
    sup.reconfigure(SupervisorSettings::new().backoff(Backoff::exponential(MS * 20, MS * 20))).expect("set");
    crash(MS * 20);
    let own = ChildSettings::new().backoff(Backoff::exponential(MS * 7, MS * 7));
    sup.reconfigure_child("a", own).expect("set");
    crash(MS * 7);
}

#[test]
fn another_grace_and_another_init_timeout_hold_from_the_next_on() {
    let journal = Journal::new();
    let (clock, hand) = Clock::manual();
    let late = Latch::new();
    let held = late.clone();
    let spec = bot_with("a", &journal, move |bot| {
        let held = held.clone();
        bot.on_init(move |_, cx| {
            if cx.epoch() == 2 {
                held.wait();
            }
            Ok(Init::Ready)
        })
    });
    let handle = spec.handle();
    let sup = patient("app").clock(clock).child(spec).start().expect("starts");
    sup.reconfigure_child("a", ChildSettings::new().shutdown(SECOND).init_timeout(SECOND * 2)).expect("set");
    let (asked, release) = hang(&handle);
    let stopping = aside({
        let reference = sup.reference();
        move || reference.terminate_child("a")
    });
    asked.wait();
    hand.advance(SECOND);
    stopping.done().expect("abandoned");
    release.open();
    let starting = aside({
        let reference = sup.reference();
        move || reference.restart_child("a")
    });
    journal.wait_line("a init 2");
    hand.advance(SECOND * 2);
    let error = starting.done().expect_err("too late");
    assert!(error.to_string().contains("did not start within 2s"), "{error}");
    late.open();
}

#[test]
fn a_replacement_keeps_the_settings() {
    let journal = Journal::new();
    let (sup, handle) = small(Overflow::Reject, &journal);
    sup.reconfigure_child("a", capacity(6)).expect("set");
    let replaced: Result<(), ReplaceChildError> =
        sup.replace_child("a", |old: Option<Bot>| old.expect("it was handed over"));
    replaced.expect("replaced");
    let release = occupy(&handle);
    assert_eq!(fill(&handle), 6);
    release.open();
}

#[test]
fn of_a_nested_supervisor_only_the_backoff_can_be_set() {
    let journal = Journal::new();
    let events = Events::new();
    let spec = bot("a", &journal);
    let handle = spec.handle();
    let nested = Supervisor::new("nested").intensity(0, SECOND).child(spec);
    let sup = patient("app").on_event(events.hook()).supervisor(nested).start().expect("starts");
    let cases = [
        (capacity(4), "capacity"),
        (ChildSettings::new().overflow(Overflow::Reject), "overflow"),
        (ChildSettings::new().shutdown(SECOND), "shutdown"),
        (ChildSettings::new().init_timeout(SECOND), "init_timeout"),
    ];
    for (settings, named) in cases {
        let error = sup.reconfigure_child("nested", settings).expect_err(named);
        let said = format!("child `nested`: `{named}` is a service's to have, and this is a supervisor");
        assert_eq!(error.to_string(), said);
    }
    let backoff = Backoff::exponential(MS * 3, MS * 3);
    sup.reconfigure_child("nested", ChildSettings::new().backoff(backoff)).expect("set");
    handle.cast(boom()).expect("accepted");
    assert_eq!(events.restart_of("nested", 1), MS * 3);
}

// ---- limits and delays of a supervisor ---------------------------------------------------

#[test]
fn a_higher_intensity_holds_at_once_and_counts_what_was() {
    let journal = Journal::new();
    let spec = bot("a", &journal);
    let handle = spec.handle();
    let sup = Supervisor::new("app").intensity(1, LONG * 9).child(spec).start().expect("starts");
    let crash = |epoch| {
        handle.cast(boom()).expect("accepted");
        assert_eq!(handle.call(Msg::Epoch).expect("answered"), epoch);
    };
    crash(2);
    sup.reconfigure(SupervisorSettings::new().intensity(3, LONG * 9)).expect("set");
    crash(3);
    crash(4);
    handle.cast(boom()).expect("accepted");
    assert!(matches!(sup.wait(LONG), Some(Exit::Escalated { .. })), "one, and two more, and one too many");
}

#[test]
fn a_lower_intensity_counts_what_was_at_the_next_crash() {
    let journal = Journal::new();
    let events = Events::new();
    let spec = bot("a", &journal);
    let handle = spec.handle();
    let app = patient("app").on_event(events.hook()).child(spec);
    let sup = app.start().expect("starts");
    for epoch in 2..5 {
        handle.cast(boom()).expect("accepted");
        assert_eq!(handle.call(Msg::Epoch).expect("answered"), epoch);
    }
    sup.reconfigure(SupervisorSettings::new().intensity(2, LONG * 9)).expect("set");
    assert!(sup.wait(Duration::ZERO).is_none(), "what was, was allowed");
    handle.cast(boom()).expect("accepted");
    assert!(matches!(sup.wait(LONG), Some(Exit::Escalated { .. })));
    let gave_up = events.wait(|event| matches!(event, underpin::SupervisionEvent::GaveUp { .. }));
    let underpin::SupervisionEvent::GaveUp { restarts, period, .. } = gave_up else {
        unreachable!("asked for")
    };
    assert_eq!((restarts, period), (2, LONG * 9));
}

#[test]
fn settings_of_a_supervisor_stay_over_its_restarts() {
    let journal = Journal::new();
    let spec = bot("a", &journal);
    let handle = spec.handle();
    let nested = Supervisor::new("nested").intensity(0, LONG).child(spec);
    let reference = nested.reference();
    let sup = patient("app").supervisor(nested).start().expect("starts");
    reference.reconfigure(SupervisorSettings::new().intensity(2, LONG)).expect("set");
    for (epoch, life) in [(2, 1), (3, 1), (4, 2), (5, 2), (6, 2), (7, 3)] {
        handle.cast(boom()).expect("accepted");
        assert_eq!(handle.call(Msg::Epoch).expect("answered"), epoch);
        assert_eq!(reference.status().epoch, life, "life {epoch} of the child");
    }
    drop(sup);
}

#[test]
fn how_many_children_there_may_be_can_be_set() {
    let journal = Journal::new();
    let sup = DynamicSupervisor::new("app").max_children(1).start().expect("starts");
    let start = |name: &str| sup.start_child(bot(name, &journal).restart(Restart::Temporary));
    start("a").expect("starts");
    assert!(matches!(start("b"), Err(StartChildError::TooMany { max: 1, .. })));
    sup.reconfigure(SupervisorSettings::new().max_children(3)).expect("set");
    start("b").expect("starts");
    start("c").expect("starts");
    sup.reconfigure(SupervisorSettings::new().max_children(2)).expect("set");
    assert_eq!(sup.count_children().active, 3, "nobody is sent away");
    sup.terminate_child("a").expect("terminated");
    assert!(matches!(start("d"), Err(StartChildError::TooMany { max: 2, .. })));
    sup.reconfigure(SupervisorSettings::new().max_children(None)).expect("set");
    for name in ["d", "e", "f", "g"] {
        start(name).expect("starts");
    }
}

#[test]
fn how_long_all_children_may_take_to_stop_can_be_set() {
    let journal = Journal::new();
    let sup = DynamicSupervisor::new("app").start().expect("starts");
    let handle = sup.start_child(bot("a", &journal).shutdown(LONG * 9)).expect("starts");
    sup.reconfigure(SupervisorSettings::new().shutdown(MS * 20)).expect("set");
    let (_, release) = hang(&handle);
    let report = sup.shutdown(LONG * 9);
    assert_eq!(report.unstopped.len(), 1, "{report}");
    release.open();
}

#[test]
fn what_is_wrong_for_a_supervisor_is_said_and_nothing_is_changed() {
    let journal = Journal::new();
    let spec = bot("a", &journal);
    let handle = spec.handle();
    let sup = Supervisor::new("app").intensity(0, LONG).child(spec).start().expect("starts");
    let patient = SupervisorSettings::new().intensity(9, LONG);
    let cases = [
        (patient.intensity(9, Duration::ZERO), "the period of its intensity is longer than 0"),
        (patient.max_children(3), "`max_children` is a dynamic supervisor's to have, and this is none"),
        (patient.shutdown(SECOND), "`shutdown` is a dynamic supervisor's to have, and this is none"),
    ];
    for (settings, reason) in cases {
        let error = sup.reconfigure(settings).expect_err(reason);
        let expected = ReconfigureError::BadSetting { supervisor: "app".into(), reason: reason.into() };
        assert_eq!(error, expected);
    }
    let reference = sup.reference();
    handle.cast(boom()).expect("accepted");
    assert!(matches!(sup.wait(LONG), Some(Exit::Escalated { .. })), "its intensity is what it was");
    let error = reference.reconfigure(patient).expect_err("gone");
    assert_eq!(error, ReconfigureError::ShuttingDown { supervisor: "app".into() });
    let unborn = Supervisor::new("unborn").reference().reconfigure(patient).expect_err("not started");
    assert!(matches!(unborn, ReconfigureError::ShuttingDown { .. }), "{unborn}");
}

#[test]
fn who_is_stopping_is_not_set_anew_and_nor_is_a_child_of_it() {
    let journal = Journal::new();
    let (sup, handle) = small(Overflow::Reject, &journal);
    let (asked, go) = hang(&handle);
    let (before, reference) = (handle.status().capacity, sup.reference());
    let stopping = aside(move || sup.shutdown(LONG));
    asked.wait();
    let set = reference.reconfigure(SupervisorSettings::new().intensity(1, SECOND));
    assert!(matches!(set, Err(ReconfigureError::ShuttingDown { .. })), "{set:?}");
    let set = reference.reconfigure_child("a", capacity(1));
    assert!(matches!(set, Err(ReconfigureChildError::ShuttingDown { .. })), "{set:?}");
    assert_eq!(handle.status().capacity, before);
    go.open();
    assert!(stopping.done().is_clean());
}
