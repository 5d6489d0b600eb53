//! Supervisors whose children come and go.

mod common;

use common::*;
use underpin::{
    Backoff, CallError, CastError, Clock, DeleteChildError, DynamicSupervisor, ErrorKind, Exit, Init,
    Lifecycle, Next, Restart, RestartChildError, StartChildError, SupervisionEvent, Supervisor,
    TerminateChildError,
};

fn temporary(name: &str, journal: &Journal) -> underpin::ChildSpec<Bot> {
    bot(name, journal).restart(Restart::Temporary)
}

#[test]
fn children_come_and_go_and_leave_nothing_behind() {
    let journal = Journal::new();
    let sup = DynamicSupervisor::new("dyn").start().expect("starts");
    assert_eq!(sup.count_children().specs, 0);
    for n in 0..1000 {
        let child = sup.start_child(temporary("job", &journal)).expect("the name is free again");
        assert_eq!(child.call(Msg::Epoch).expect("answered"), 1);
        match n % 3 {
            0 => child.cast(quit()).expect("accepted"),
            1 => child.cast(boom()).expect("accepted"),
            _ => sup.terminate_child("job").expect("terminated"),
        }
        assert!(child.wait_down(LONG).is_some());
        eventually("it is forgotten", || sup.count_children().specs == 0);
    }
    assert!(sup.which_children().is_empty());
    assert_eq!(journal.count(|line| line == "job drop"), 1000);
    assert!(matches!(sup.terminate_child("job"), Err(TerminateChildError::NotFound { .. })));
    assert!(sup.shutdown(LONG).is_clean());
}

#[test]
fn many_at_once_and_all_are_counted() {
    let journal = Journal::new();
    let sup = DynamicSupervisor::new("dyn").start().expect("starts");
    let handles: Vec<_> = (0..100)
        .map(|n| sup.start_child(temporary(&format!("job-{n}"), &journal)).expect("starts"))
        .collect();
    let counts = sup.count_children();
    assert_eq!((counts.specs, counts.active, counts.workers), (100, 100, 100));
    let names: Vec<_> = sup.which_children().iter().map(|info| info.name.to_string()).collect();
    assert_eq!(
        names,
        (0..100).map(|n| format!("job-{n}")).collect::<Vec<_>>(),
        "in the order of their start"
    );
    for handle in handles.iter().step_by(2) {
        handle.cast(quit()).expect("accepted");
    }
    eventually("half are gone", || sup.count_children().specs == 50);
    let restart = sup.which_children();
    assert!(restart.iter().all(|info| info.restart == Restart::Temporary && info.restarts == 0));
    assert!(sup.shutdown(LONG).is_clean());
    assert_eq!(journal.count(|line| line.ends_with(" drop")), 100);
}

#[test]
fn max_children_counts_those_that_wait_for_a_restart() {
    let (clock, hand) = Clock::manual();
    let (journal, events) = (Journal::new(), Events::new());
    let slow = Backoff::exponential(SECOND, SECOND);
    let dynamic = DynamicSupervisor::new("dyn").max_children(2).intensity(100, SECOND).backoff(slow);
    let reference = dynamic.reference();
    let app = Supervisor::new("app").clock(clock).on_event(events.hook()).supervisor(dynamic);
    let sup = app.start().expect("starts");
    let a = reference.start_child(bot("a", &journal)).expect("starts");
    reference.start_child(bot("b", &journal)).expect("starts");
    let refused = |reference: &underpin::SupervisorRef| {
        let spec = bot("c", &journal);
        let handle = spec.handle();
        let error = reference.start_child(spec).expect_err("one too many");
        assert!(matches!(error, StartChildError::TooMany { ref name, max: 2 } if &**name == "c"), "{error}");
        assert!(handle.wait_down(LONG).is_some());
        assert!(matches!(handle.cast(Msg::Add(1)), Err(CastError::Stopped { .. })));
    };
    refused(&reference);
    a.cast(boom()).expect("accepted");
    events.restart_of("a", 1);
    assert_eq!(reference.count_children().restarting, 1);
    refused(&reference);
    reference.terminate_child("a").expect("terminated");
    assert_eq!(reference.count_children().specs, 1, "one that was restarting is gone");
    assert!(a.wait_down(LONG).is_some());
    reference.start_child(bot("c", &journal)).expect("there is room");
    hand.advance(SECOND * 10);
    assert_eq!(reference.count_children().active, 2);
    assert_eq!(journal.count(|line| line == "a init 2"), 0, "and does not come back");
    drop(sup);
}

#[test]
fn terminated_children_are_forgotten() {
    let journal = Journal::new();
    let sup = DynamicSupervisor::new("dyn").start().expect("starts");
    for restart in [Restart::Permanent, Restart::Transient, Restart::Temporary] {
        let handle = sup.start_child(bot("a", &journal).restart(restart)).expect("the name is free");
        sup.terminate_child("a").expect("terminated");
        assert!(matches!(handle.wait_down(LONG).expect("down").exit, Exit::Shutdown));
        assert_eq!(sup.count_children().specs, 0);
        assert!(matches!(sup.restart_child("a"), Err(RestartChildError::NotFound { .. })));
        assert!(matches!(sup.delete_child("a"), Err(DeleteChildError::NotFound { .. })));
    }
    drop(sup);
}

#[test]
fn starts_that_fail_or_ignore_leave_nothing_and_cost_nothing() {
    let journal = Journal::new();
    let sup = DynamicSupervisor::new("dyn").intensity(0, SECOND).start().expect("starts");
    for _ in 0..10 {
        let spec = bot_with("bad", &journal, |bot| bot.on_init(|_, _| Err(Oops(ErrorKind::User, "no"))));
        let error = sup.start_child(spec).expect_err("fails");
        assert_eq!(error.to_string(), "child `bad` failed: no");
        let spec = bot_with("shy", &journal, |bot| bot.on_init(|_, _| Ok(Init::Ignore)));
        let shy = sup.start_child(spec).expect("to ignore is no failure");
        assert!(matches!(shy.wait_down(LONG).expect("down").exit, Exit::Ignored));
        assert_eq!(sup.count_children().specs, 0);
    }
    assert_eq!(sup.status().state, Lifecycle::Running);
    drop(sup);
}

#[test]
fn restarts_only_the_child_that_crashed() {
    let journal = Journal::new();
    let sup = DynamicSupervisor::new("dyn").intensity(100, SECOND).start().expect("starts");
    let a = sup.start_child(bot("a", &journal)).expect("starts");
    let b = sup.start_child(bot("b", &journal).restart(Restart::Transient)).expect("starts");
    let c = sup.start_child(bot("c", &journal)).expect("starts");
    for (handle, life) in [(&a, 2), (&b, 2), (&a, 3)] {
        handle.cast(boom()).expect("accepted");
        assert_eq!(handle.call(Msg::Epoch).expect("answered"), life);
    }
    assert_eq!(c.call(Msg::Epoch).expect("answered"), 1);
    let restarts: Vec<_> = sup.which_children().iter().map(|info| info.restarts).collect();
    assert_eq!(restarts, [2, 1, 0]);
    drop(sup);
}

#[test]
fn gives_up_when_the_intensity_is_exceeded_and_says_because_of_whom() {
    let (journal, events) = (Journal::new(), Events::new());
    let dynamic = DynamicSupervisor::new("dyn").intensity(1, SECOND * 60);
    let reference = dynamic.reference();
    let sup = Supervisor::new("app")
        .intensity(1, SECOND * 60)
        .on_event(events.hook())
        .supervisor(dynamic)
        .start()
        .expect("starts");
    let a = reference.start_child(bot("a", &journal)).expect("starts");
    let b = reference.start_child(bot("b", &journal)).expect("starts");
    let parked = b.request(ask(|bot, _, reply| {
        bot.kept.push(reply);
        Ok(Next::Continue)
    }));
    a.cast(boom()).expect("accepted");
    assert_eq!(a.call(Msg::Epoch).expect("answered"), 2);
    a.cast(boom()).expect("accepted");
    assert!(matches!(b.wait_down(LONG).expect("down").exit, Exit::Shutdown));
    assert!(matches!(parked.expect("accepted").wait(), Err(CallError::Stopped { .. })));
    let crash = events.crash_of("dyn", 1);
    assert!(matches!(crash.exit, Exit::Escalated { ref child } if &**child == "a"), "{}", crash.exit);
    let gave_up = events.wait(|event| matches!(event, SupervisionEvent::GaveUp { .. }));
    assert!(matches!(gave_up, SupervisionEvent::GaveUp { child, .. } if &*child == "a"));
    events.entered("b", Lifecycle::Stopped, 1);
    events.entered("dyn", Lifecycle::Running, 2); // its parent starts it again, empty
    reference.start_child(bot("a", &journal)).expect("starts");
    assert_eq!(reference.count_children().specs, 1);
    drop(sup);
}

#[test]
fn children_are_stopped_all_at_once_under_one_grace() {
    let (clock, hand) = Clock::manual();
    let journal = Journal::new();
    let dynamic = DynamicSupervisor::new("dyn").shutdown(SECOND * 3);
    let reference = dynamic.reference();
    let sup = Supervisor::new("app").clock(clock).supervisor(dynamic).start().expect("starts");
    let handles: Vec<_> = ["a", "b", "c"]
        .iter()
        .map(|name| reference.start_child(bot(name, &journal).shutdown(SECOND * 3600)).expect("starts"))
        .collect();
    let hung: Vec<_> = handles[..2].iter().map(hang).collect();
    let stopping = aside(move || sup.shutdown(SECOND * 3600));
    hung.iter().for_each(|(asked, _)| asked.wait()); // both, while neither has stopped
    handles[2].stop().expect("its thread has told its end");
    assert!(journal.has("c drop"));
    hand.advance(SECOND * 3 - NS);
    assert!(!stopping.is_done());
    hand.advance(NS);
    let report = stopping.done();
    let mut names: Vec<_> = report.unstopped.iter().map(|one| one.child.to_string()).collect();
    names.sort_unstable();
    assert_eq!(names, ["a", "b"], "one grace for all of them");
    hung.iter().for_each(|(_, release)| release.open());
    journal.wait_line("a drop");
    journal.wait_line("b drop");
}

#[test]
fn terminate_one_keeps_to_its_own_grace() {
    let (clock, hand) = Clock::manual();
    let journal = Journal::new();
    let dynamic = DynamicSupervisor::new("dyn").shutdown(SECOND * 3600);
    let reference = dynamic.reference();
    let sup = Supervisor::new("app").clock(clock).supervisor(dynamic).start().expect("starts");
    let handle = reference.start_child(bot("a", &journal).shutdown(SECOND)).expect("starts");
    let (asked, release) = hang(&handle);
    let asking = reference.clone();
    let stopping = aside(move || asking.terminate_child("a"));
    asked.wait();
    let again = reference.start_child(bot("a", &journal)).expect_err("it is on its way out");
    assert!(matches!(again, StartChildError::AlreadyStarted { .. }), "{again}");
    hand.advance(SECOND);
    stopping.done().expect("terminated");
    assert!(matches!(handle.wait_down(LONG).expect("down").exit, Exit::Killed));
    let successor = reference.start_child(bot("a", &journal)).expect("the name is free");
    release.open();
    journal.wait_line("a drop");
    assert_eq!(successor.call(Msg::Epoch).expect("answered"), 1);
    drop(sup);
}

#[test]
fn started_from_many_threads_each_gets_its_own() {
    let journal = Journal::new();
    let sup = DynamicSupervisor::new("dyn").start().expect("starts");
    let starters: Vec<_> = (0..4)
        .map(|thread| {
            let (reference, journal) = (sup.reference(), journal.clone());
            aside(move || {
                for n in 0..25 {
                    let name = format!("{thread}-{n}");
                    let handle = reference.start_child(temporary(&name, &journal)).expect("starts");
                    assert_eq!(handle.name(), name);
                    assert_eq!(handle.call(Msg::Epoch).expect("answered"), 1);
                    if n % 2 == 0 {
                        reference.terminate_child(&name).expect("terminated");
                    }
                }
            })
        })
        .collect();
    starters.into_iter().for_each(Aside::done);
    assert_eq!(sup.count_children().active, 48);
    // Of those who want the same name one gets it.
    let racers: Vec<_> = (0..4)
        .map(|_| {
            let (reference, journal) = (sup.reference(), journal.clone());
            aside(move || reference.start_child(bot("same", &journal)).is_ok())
        })
        .collect();
    assert_eq!(racers.into_iter().filter(|_| true).map(Aside::done).filter(|won| *won).count(), 1);
    assert!(sup.shutdown(LONG).is_clean());
}

#[test]
fn a_service_may_start_and_stop_children_of_another_supervisor() {
    let journal = Journal::new();
    let dynamic = DynamicSupervisor::new("jobs");
    let reference = dynamic.reference();
    let spec = bot("manager", &journal);
    let manager = spec.handle();
    let sup = patient("app").supervisor(dynamic).child(spec).start().expect("starts");
    let (jobs, noted) = (reference.clone(), journal.clone());
    let answer = manager.call(ask(move |_, _, reply| {
        let job = jobs.start_child(temporary("job", &noted)).expect("starts");
        reply.send(job.call(Msg::Epoch).expect("answered"));
        jobs.terminate_child("job").expect("terminated");
        Ok(Next::Continue)
    }));
    assert_eq!(answer.expect("answered"), 1);
    manager.call(Msg::Total).expect("answered");
    assert_eq!(reference.count_children().specs, 0);
    drop(sup);
}

#[test]
fn nested_supervisors_can_be_dynamic_children() {
    let journal = Journal::new();
    let sup = DynamicSupervisor::new("dyn").intensity(10, SECOND).start().expect("starts");
    let spec = bot("a", &journal);
    let handle = spec.handle();
    let tenant = Supervisor::new("tenant").intensity(0, SECOND).child(spec);
    let reference = sup.start_supervisor(tenant).expect("starts");
    assert_eq!((sup.count_children().supervisors, reference.count_children().workers), (1, 1));
    handle.cast(boom()).expect("accepted");
    assert_eq!(handle.call(Msg::Epoch).expect("answered after the escalation"), 2);
    assert_eq!(reference.status().epoch, 2);
    sup.terminate_child("tenant").expect("terminated");
    assert!(handle.wait_down(LONG).is_some());
    assert_eq!(sup.count_children().specs, 0);
    drop(sup);
}
