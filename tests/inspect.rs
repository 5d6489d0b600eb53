//! The tree as it stands, and who is stuck in it.

mod common;

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use common::*;
use underpin::{
    AutoShutdown, ChildKind, Clock, Context, Exit, Handle, Init, InspectError, Lifecycle, ManualClock, Next,
    NodeInfo, Overflow, Restart, Service, Strategy, SupervisionEvent, Supervisor, SupervisorHandle,
};

fn node<'a>(tree: &'a NodeInfo, path: &str) -> &'a NodeInfo {
    tree.find(path).unwrap_or_else(|| panic!("no `{path}` in\n{tree}"))
}

// ---- inspect -----------------------------------------------------------------------------

#[test]
fn the_whole_tree_is_shown_in_the_order_of_start() {
    let journal = Journal::new();
    let net = Supervisor::new("net")
        .strategy(Strategy::RestForOne)
        .child(bot("b", &journal))
        .child(bot("c", &journal));
    let app = patient("app").child(bot("a", &journal)).supervisor(net).child(bot("d", &journal));
    let app = app.start().expect("starts");
    let tree = app.inspect().expect("it is up");
    let paths: Vec<_> = tree.walk().map(|node| &*node.path).collect();
    assert_eq!(paths, ["app", "app/a", "app/net", "app/net/b", "app/net/c", "app/d"]);
    let net = node(&tree, "app/net");
    assert_eq!((net.kind, net.state, net.epoch), (ChildKind::Supervisor, Lifecycle::Running, 1));
    assert_eq!(net.supervisor.map(|own| own.strategy), Some(Strategy::RestForOne));
    assert_eq!(node(&tree, "app/net/c").kind, ChildKind::Worker);
    assert_eq!(tree.to_string().lines().count(), 6);
    let below = app.reference().inspect().expect("it is up");
    assert_eq!(below.children.len(), 3);
}

#[test]
fn restarts_epoch_uptime_and_last_exit_follow_a_crash() {
    let (clock, hand) = Clock::manual();
    let journal = Journal::new();
    let spec = bot("a", &journal);
    let handle = spec.handle();
    let app = Supervisor::new("app").intensity(5, Duration::from_secs(60)).clock(clock).child(spec);
    let app = app.start().expect("starts");
    hand.advance(3 * SECOND);
    let tree = app.inspect().expect("up");
    assert_eq!(node(&tree, "app/a").uptime, 3 * SECOND);
    handle.cast(boom()).expect("sent");
    assert_eq!(handle.call(Msg::Epoch).ok(), Some(2));
    hand.advance(SECOND);
    let tree = app.inspect().expect("up");
    let a = node(&tree, "app/a");
    assert_eq!((a.epoch, a.restarts, a.uptime), (2, 1, SECOND));
    assert!(matches!(a.last_exit, Some(Exit::Panicked(_))), "{:?}", a.last_exit);
    let own = tree.supervisor.expect("it answered");
    assert_eq!((own.intensity, own.period, own.recent), (5, Duration::from_secs(60), 1));
    hand.advance(Duration::from_secs(61));
    let later = app.inspect().expect("up").supervisor.expect("it answered");
    assert_eq!(later.recent, 0, "older than the period");
}

/// Whoever asks sees nothing of before he asked, however fast he asks again.
#[test]
fn what_is_shown_is_not_older_than_the_question() {
    let (clock, hand) = Clock::manual();
    let spec = bot("a", &Journal::new());
    let app = patient("app").clock(clock).child(spec).start().expect("starts");
    for seconds in 1..=2000 {
        hand.advance(SECOND);
        let tree = app.inspect().expect("up");
        assert_eq!((tree.uptime, node(&tree, "app/a").uptime), (seconds * SECOND, seconds * SECOND));
    }
}

/// The figures are read while the service writes them.
#[test]
fn nobody_was_busy_for_longer_than_it_is_up() {
    let (clock, hand) = Clock::manual();
    let spec = bot("a", &Journal::new());
    let handle = spec.handle();
    let app = patient("app").clock(clock).child(spec).start().expect("starts");
    let works = aside(move || {
        for _ in 0..3000 {
            let hand = hand.clone();
            let slow = ask(move |_, _, reply| {
                hand.advance(SECOND);
                reply.send(0);
                Ok(Next::Continue)
            });
            handle.call_timeout(Duration::MAX, slow).expect("answered");
        }
    });
    while !works.is_done() {
        let Ok(tree) = app.inspect() else { continue }; // time flies: 5 s are over soon
        let a = node(&tree, "app/a");
        assert!(a.busy <= a.uptime, "{:?} of {:?}", a.busy, a.uptime);
    }
    works.done();
}

#[test]
fn losses_are_shown_whatever_they_are() {
    let spec = bot("a", &Journal::new()).capacity(1).overflow(Overflow::Reject);
    let handle = spec.handle();
    handle.cast(Msg::Add(1)).expect("sent");
    handle.cast(Msg::Add(1)).expect_err("full");
    let app = patient("app").child(spec).start().expect("starts");
    let shown = app.inspect().expect("up").to_string();
    assert!(shown.contains("0 dead letters, 0 calls given up, 1 refused"), "{shown}");
}

#[test]
fn mailbox_depth_capacity_high_water_handled_and_losses_are_counted() {
    let spec = bot("a", &Journal::new()).capacity(8).overflow(Overflow::DropNewest);
    let handle = spec.handle();
    let app = patient("app").child(spec).start().expect("starts");
    let release = occupy(&handle);
    for _ in 0..5 {
        handle.cast(Msg::Add(1)).expect("sent");
    }
    let tree = app.inspect().expect("up");
    let a = node(&tree, "app/a");
    assert_eq!((a.mailbox.queued, a.mailbox.capacity, a.mailbox.high_water), (5, 8, 5));
    for _ in 0..5 {
        handle.cast(Msg::Add(1)).expect("taken or shed");
    }
    release.open();
    eventually("all is handled", || handle.call(Msg::Total).is_ok_and(|total| total == 8));
    handle.sys().suspend().expect("it lives"); // so that what it handled is reported
    let tree = app.inspect().expect("up");
    let a = node(&tree, "app/a");
    assert_eq!((a.mailbox.queued, a.mailbox.high_water, a.drops.dead_letters()), (0, 8, 2));
    assert!(a.drops.shed_newest == 2 && a.handled > 9, "{a:?}"); // and the calls that came too early
}

/// The queue fills while one message takes long: seen though nobody looked, as the service looks
/// after each slow message.
#[test]
fn a_peak_that_nobody_saw_is_in_the_high_water_mark() {
    let spec = bot("a", &Journal::new()).capacity(1000);
    let handle = spec.handle();
    let app = patient("app").child(spec).start().expect("starts");
    let release = occupy(&handle);
    for _ in 0..500 {
        handle.cast(Msg::Add(1)).expect("sent");
    }
    release.open();
    assert_eq!(handle.call(Msg::Total).ok(), Some(500));
    let tree = app.inspect().expect("up");
    let high = node(&tree, "app/a").mailbox.high_water;
    assert!((500 - 64..=501).contains(&high), "{high}");
}

/// It is full while one message takes long, and empty before the service looks again.
#[test]
fn a_mailbox_that_was_too_full_for_a_sender_is_seen() {
    let (clock, _hand) = Clock::manual(); // no message takes any time: it looks seldom
    let spec = bot("a", &Journal::new()).capacity(8).overflow(Overflow::Reject);
    let handle = spec.handle();
    let app = patient("app").clock(clock).child(spec).start().expect("starts");
    for _ in 0..3 {
        handle.call(Msg::Total).expect("it lives");
    }
    let release = occupy(&handle);
    let sent = (0..9).filter(|_| handle.cast(Msg::Add(1)).is_ok()).count();
    release.open();
    eventually("all is handled", || handle.call(Msg::Total).is_ok_and(|total| total == 8));
    let tree = app.inspect().expect("up");
    assert_eq!((sent, node(&tree, "app/a").mailbox.high_water), (8, 8));
}

#[test]
fn who_is_busy_says_with_what_and_for_how_long_and_who_is_idle_says_nothing() {
    let (clock, hand) = Clock::manual();
    let spec = bot("a", &Journal::new());
    let handle = spec.handle();
    let app = patient("app").clock(clock).child(spec).start().expect("starts");
    eventually("it rests", || {
        let tree = app.inspect().expect("up");
        node(&tree, "app/a").current.is_none()
    });
    hand.advance(7 * SECOND);
    let release = occupy(&handle);
    hand.advance(3 * SECOND);
    let tree = app.inspect().expect("up");
    let a = node(&tree, "app/a");
    let current = a.current.expect("it is busy");
    assert_eq!((current.label, current.busy), ("Do", 3 * SECOND));
    assert_eq!((a.state, a.busy, a.busy_ratio()), (Lifecycle::Processing, 3 * SECOND, 0.3));
    assert!(tree.to_string().contains("at Do for 3s"), "{tree}");
    release.open();
    eventually("it rests again", || {
        let tree = app.inspect().expect("up");
        node(&tree, "app/a").current.is_none()
    });
    hand.advance(2 * SECOND);
    let tree = app.inspect().expect("up");
    assert_eq!(node(&tree, "app/a").busy_ratio(), 0.25);
}

#[test]
fn callbacks_are_labelled_too() {
    let journal = Journal::new();
    let (inside, release) = (Latch::new(), Latch::new());
    let (tell, held) = (inside.clone(), release.clone());
    let spec = bot_with("a", &journal, move |bot| {
        let (tell, held) = (tell.clone(), held.clone());
        bot.on_terminate(move |_, _| {
            tell.open();
            held.wait();
        })
    });
    let app = patient("app").child(bot("first", &journal)).start().expect("starts");
    app.start_child(spec).expect("starts");
    let reference = app.reference();
    let stopping = aside(move || reference.terminate_child("a"));
    inside.wait();
    let tree = app.inspect().expect("the supervisor answers while it stops a child");
    let a = node(&tree, "app/a");
    assert_eq!(
        (a.state, a.current.map(|current| current.label)),
        (Lifecycle::Terminating, Some("terminate"))
    );
    release.open();
    stopping.done().expect("stopped");
}

#[test]
fn who_waits_for_whom_is_shown() {
    let journal = Journal::new();
    let (first, second) = (bot("x", &journal), bot("y", &journal));
    let (x, y) = (first.handle(), second.handle());
    let app = patient("app").child(first).child(second).start().expect("starts");
    let release = occupy(&y);
    let callee = y.clone();
    let calls = act(move |_, _| {
        let _answer = callee.call_timeout(LONG, Msg::Total);
        Ok(underpin::Next::Continue)
    });
    x.cast(calls).expect("sent");
    eventually("x waits for y", || {
        let tree = app.inspect().expect("up");
        tree.waits() == [(Arc::from("app/x"), Arc::from("y"))]
    });
    let shown = app.inspect().expect("up").to_string();
    assert!(shown.contains("waits for `y`"), "{shown}");
    release.open();
    assert_eq!(x.call(Msg::Total).ok(), Some(0));
    assert_eq!(app.inspect().expect("up").waits(), []);
}

#[test]
fn inspect_answers_while_children_hang_start_back_off_and_stop() {
    let journal = Journal::new();
    let slow = underpin::Backoff::exponential(Duration::from_secs(60), Duration::from_secs(60));
    let specs = [bot("hangs", &journal), bot("waits", &journal).backoff(slow), bot("gone", &journal)];
    let handles: Vec<_> = specs.iter().map(|spec| spec.handle()).collect();
    let app = specs.into_iter().fold(patient("app"), Supervisor::child).start().expect("starts");
    let release = occupy(&handles[0]);
    handles[1].cast(boom()).expect("sent");
    app.terminate_child("gone").expect("stops");
    eventually("the crash was heard of", || {
        let tree = app.inspect().expect("up");
        node(&tree, "app/waits").state == Lifecycle::Restarting
    });
    let tree = app.inspect().expect("up");
    assert_eq!(node(&tree, "app/hangs").state, Lifecycle::Processing);
    let gone = node(&tree, "app/gone");
    assert_eq!((gone.state, gone.uptime, gone.current), (Lifecycle::Stopped, Duration::ZERO, None));
    assert_eq!(node(&tree, "app/waits").uptime, Duration::ZERO);
    release.open();
}

#[test]
fn a_tree_that_is_down_says_so_and_a_nested_one_is_shown_from_outside() {
    let journal = Journal::new();
    let spec = Supervisor::new("early");
    let early = spec.reference();
    assert_eq!(early.inspect().err(), Some(InspectError::Down { name: "early".into() }));
    drop(spec);

    let worker = bot("w", &journal).restart(Restart::Transient).significant();
    let handle = worker.handle();
    let nested = Supervisor::new("nested").auto_shutdown(AutoShutdown::AnySignificant).child(worker);
    let app = patient("app").supervisor(nested.restart(Restart::Transient)).start().expect("starts");
    handle.cast(quit()).expect("sent");
    eventually("the nested supervisor ended", || {
        let tree = app.inspect().expect("up");
        node(&tree, "app/nested").state == Lifecycle::Stopped
    });
    let tree = app.inspect().expect("up");
    let nested = node(&tree, "app/nested");
    assert_eq!((nested.supervisor, nested.children.len()), (None, 0));
    let reference = app.reference();
    drop(app);
    assert_eq!(reference.inspect().err(), Some(InspectError::Down { name: "app".into() }));
}

/// Has the service wait in a handler when it comes to it: when it does, and until when.
fn holds(handle: &Handle<Msg>) -> (Latch, Latch) {
    let (inside, release) = (Latch::new(), Latch::new());
    let (tell, held) = (inside.clone(), release.clone());
    let sent = handle.cast(act(move |_, _| {
        tell.open();
        held.wait();
        Ok(Next::Continue)
    }));
    sent.expect("the mailbox takes it");
    (inside, release)
}

/// A quick service looks at its clock seldom. Who was seen with a time that may be that of several
/// looks after the present message, so the next has its own.
#[test]
fn a_slow_message_among_quick_ones_that_was_seen_lends_its_time_to_none_behind_it() {
    let (clock, hand) = Clock::manual(); // no message takes any time: it looks seldom
    let spec = bot("a", &Journal::new());
    let handle = spec.handle();
    let app = patient("app").clock(clock).child(spec).start().expect("starts");
    let current = || {
        let tree = app.inspect().expect("up");
        node(&tree, "app/a").current.expect("it is busy")
    };
    let first = occupy(&handle);
    assert!(current().exact, "it has just begun");
    (0..3).for_each(|_| handle.cast(Msg::Add(1)).expect("sent"));
    let [(in_slow, slow), (in_next, next), (in_last, last)] = [(); 3].map(|()| holds(&handle));
    first.open();
    in_slow.wait();
    hand.advance(SECOND);
    let seen = current();
    assert_eq!((seen.busy, seen.exact), (SECOND, false), "the quick ones may have a part in it");
    assert_eq!(seen.to_string(), "Do for at most 1s");
    slow.open();
    in_next.wait();
    hand.advance(2 * SECOND);
    let seen = current();
    assert_eq!((seen.busy, seen.exact), (2 * SECOND, true));
    assert_eq!(seen.to_string(), "Do for 2s");
    next.open();
    in_last.wait();
    assert_eq!(current().busy, Duration::ZERO, "nor does that one");
    last.open();
}

/// To be inspected does not count as to be asked by the stuck detector.
#[test]
fn who_is_inspected_is_not_reported_as_stuck_for_that() {
    let (clock, hand) = Clock::manual();
    let events = Events::new();
    let spec = bot("a", &Journal::new()).stuck_after(4 * SECOND);
    let handle = spec.handle();
    let app = patient("app").clock(clock).on_event(events.hook()).child(spec).start().expect("starts");
    let first = occupy(&handle);
    (0..3).for_each(|_| handle.cast(Msg::Add(1)).expect("sent"));
    let [(in_slow, slow), (in_next, next)] = [(); 2].map(|()| holds(&handle));
    first.open();
    in_slow.wait();
    hand.advance(3 * SECOND);
    app.count_children(); // a round trip: the supervisor has looked at its clock
    slow.open();
    in_next.wait();
    app.inspect().expect("up");
    hand.advance(SECOND); // the limit, of both together
    app.count_children();
    app.count_children();
    next.open();
    assert!(app.shutdown(LONG).is_clean());
    assert_eq!(events.count(|event| stuck(event).is_some()), 0);
}

/// It was given up over a message, and no other came after it.
#[test]
fn who_was_given_up_and_is_gone_grows_no_busier() {
    let (clock, hand) = Clock::manual();
    let journal = Journal::new();
    let spec = bot("a", &journal).shutdown(Duration::ZERO);
    let handle = spec.handle();
    let app = patient("app").clock(clock).child(spec).start().expect("starts");
    let release = occupy(&handle);
    hand.advance(SECOND);
    app.terminate_child("a").expect("given up");
    let tree = app.inspect().expect("up");
    assert_eq!(tree.supervisor.map(|own| own.abandoned), Some(1));
    assert!(tree.to_string().contains(", 1 abandoned"), "{tree}");
    release.open();
    eventually("its thread is gone", || app.abandoned().alive == 0);
    let busy = || node(&app.inspect().expect("up"), "app/a").busy;
    let before = busy();
    hand.advance(10 * SECOND);
    assert_eq!((before, busy()), (SECOND, SECOND));
}

// ---- stuck -------------------------------------------------------------------------------

fn stuck(event: &SupervisionEvent) -> Option<(&str, &str, u64, Duration)> {
    match event {
        SupervisionEvent::Stuck { child, label, epoch, busy, .. } => Some((child, label, *epoch, *busy)),
        _ => None,
    }
}

/// Lets time pass, second by second, until it is so.
#[track_caller]
fn advance_until(hand: &ManualClock, app: &SupervisorHandle, mut is_so: impl FnMut() -> bool) {
    eventually("reported", || {
        hand.advance(SECOND);
        app.count_children();
        is_so()
    });
}

#[test]
fn a_service_that_is_stuck_is_reported_once_for_each_message_and_left_alone() {
    let (clock, hand) = Clock::manual();
    let events = Events::new();
    let spec = bot("a", &Journal::new()).stuck_after(2 * SECOND);
    let (handle, quiet) = (spec.handle(), bot("quiet", &Journal::new()));
    let other = quiet.handle();
    let app = patient("app").clock(clock).on_event(events.hook()).child(spec).child(quiet);
    let app = app.start().expect("starts");
    for message in 1..=2 {
        let (release, unheard) = (occupy(&handle), occupy(&other));
        hand.advance(SECOND);
        app.count_children(); // a round trip: the supervisor has looked at its clock
        assert_eq!(events.count(|event| stuck(event).is_some()), message - 1, "too early");
        // The second time it may have been busy with a quick one before: that takes a visit more.
        advance_until(&hand, &app, || events.count(|event| stuck(event).is_some()) == message);
        let event = events.wait_count(message, |event| stuck(event).is_some());
        let (child, label, epoch, busy) = stuck(&event).expect("is one");
        assert_eq!((child, label, epoch), ("a", "Do", 1));
        assert!(busy >= 2 * SECOND, "{busy:?}");
        hand.advance(10 * SECOND);
        app.count_children();
        release.open();
        unheard.open();
        assert_eq!(handle.call(Msg::Total).ok(), Some(0), "nothing was done to it");
    }
    app.inspect().expect("up");
    assert_eq!(events.count(|event| stuck(event).is_some()), 2);
}

#[test]
fn the_root_says_for_all_who_do_not_and_a_nested_tree_is_included() {
    let (clock, hand) = Clock::manual();
    let (journal, events) = (Journal::new(), Events::new());
    let (inner, patient_one) = (bot("inner", &journal), bot("patient", &journal).stuck_after(Duration::MAX));
    let handles = [inner.handle(), patient_one.handle()];
    let nested = Supervisor::new("nested").child(inner).child(patient_one);
    let app =
        Supervisor::new("app").clock(clock).stuck_after(SECOND).on_event(events.hook()).supervisor(nested);
    let app = app.start().expect("starts");
    let latches = handles.each_ref().map(occupy);
    hand.advance(SECOND);
    let event = events.wait(|event| stuck(event).is_some());
    assert_eq!(stuck(&event), Some(("inner", "Do", 1, SECOND)));
    hand.advance(SECOND);
    latches.iter().for_each(Latch::open);
    assert!(app.shutdown(LONG).is_clean());
    assert_eq!(events.count(|event| stuck(event).is_some()), 1);

    let misplaced = patient("app").supervisor(Supervisor::new("nested").stuck_after(SECOND));
    let error = misplaced.start().expect_err("only the root").to_string();
    assert!(error.contains("stuck_after"), "{error}");
}

#[test]
fn who_hangs_in_init_is_reported_too() {
    let (clock, hand) = Clock::manual();
    let (events, release, inside) = (Events::new(), Latch::new(), Latch::new());
    let (held, tell) = (release.clone(), inside.clone());
    let spec = bot_with("a", &Journal::new(), move |bot| {
        let (held, tell) = (held.clone(), tell.clone());
        bot.on_init(move |_, _| {
            tell.open();
            held.wait();
            Ok(underpin::Init::Ready)
        })
    });
    let app = Supervisor::new("app").clock(clock).stuck_after(SECOND).on_event(events.hook());
    let app = app.child(spec.init_timeout(Duration::MAX));
    let started = aside(move || app.start());
    inside.wait();
    eventually("reported", || {
        hand.advance(SECOND / 4);
        events.count(|event| stuck(event).is_some_and(|(_, label, ..)| label == "init")) > 0
    });
    release.open();
    started.done().expect("starts after all");
}

/// It was quick before, but it rested since.
#[test]
fn who_hangs_in_the_first_message_after_a_rest_is_reported_at_the_limit() {
    let (clock, hand) = Clock::manual();
    let events = Events::new();
    let spec = bot("a", &Journal::new()).stuck_after(SECOND);
    let handle = spec.handle();
    let app = patient("app").clock(clock).on_event(events.hook()).child(spec).start().expect("starts");
    for _ in 0..200 {
        handle.cast(Msg::Add(1)).expect("sent");
    }
    assert_eq!(handle.call(Msg::Total).ok(), Some(200));
    eventually("it rests", || {
        let tree = app.inspect().expect("up");
        node(&tree, "app/a").current.is_none()
    });
    let release = occupy(&handle);
    hand.advance(SECOND);
    events.wait(|event| stuck(event) == Some(("a", "Do", 1, SECOND)));
    release.open();
}

/// Whoever looked after it looked away when it rested, and is called again.
#[test]
fn who_was_seen_at_rest_is_reported_when_it_hangs_after_that() {
    let (clock, hand) = Clock::manual();
    let (journal, events) = (Journal::new(), Events::new());
    let (a, b) = (bot("a", &journal), bot("b", &journal));
    let (idle, busy) = (a.handle(), b.handle());
    let app = patient("app").clock(clock).stuck_after(SECOND).on_event(events.hook());
    let app = app.child(a).child(b).start().expect("starts");
    let reported = |name| events.count(|event| stuck(event).is_some_and(|(child, ..)| child == name));
    eventually("it rests", || {
        let tree = app.inspect().expect("up");
        node(&tree, "app/a").current.is_none()
    });
    let release = occupy(&busy);
    advance_until(&hand, &app, || reported("b") == 1); // `a` is looked at before it
    release.open();
    assert_eq!(reported("a"), 0);
    let release = occupy(&idle);
    advance_until(&hand, &app, || reported("a") == 1);
    release.open();
}

/// A quick service looks at its clock seldom: that must not make one message of many.
#[test]
fn many_messages_that_take_less_than_the_limit_are_not_reported_as_one() {
    let (clock, hand) = Clock::manual();
    let events = Events::new();
    let spec = bot("a", &Journal::new()).stuck_after(SECOND);
    let handle = spec.handle();
    let app = patient("app").clock(clock).on_event(events.hook()).child(spec).start().expect("starts");
    let release = occupy(&handle);
    for _ in 0..200 {
        handle.cast(Msg::Add(1)).expect("sent");
    }
    let reference = app.reference();
    for _ in 0..20 {
        let (hand, reference) = (hand.clone(), reference.clone());
        let slow = act(move |_, _| {
            hand.advance(SECOND / 4);
            reference.count_children(); // the supervisor has looked at its clock
            Ok(underpin::Next::Continue)
        });
        handle.cast(slow).expect("sent");
    }
    release.open();
    assert_eq!(handle.call_timeout(LONG, Msg::Total).ok(), Some(200));
    assert!(app.shutdown(LONG).is_clean());
    assert_eq!(events.count(|event| stuck(event).is_some()), 0);
}

/// Told once for each message, also where the one before it was stuck too.
#[test]
fn the_second_of_two_stuck_messages_is_reported_whatever_came_before_it() {
    let (clock, hand) = Clock::manual();
    let events = Events::new();
    let spec = bot("a", &Journal::new()).stuck_after(SECOND);
    let handle = spec.handle();
    let app = patient("app").clock(clock).on_event(events.hook()).child(spec).start().expect("starts");
    let release = occupy(&handle);
    for _ in 0..200 {
        handle.cast(Msg::Add(1)).expect("sent");
    }
    let gates: Vec<_> = (0..3).map(|_| (Latch::new(), Latch::new())).collect();
    for (inside, release) in gates.clone() {
        let hangs = act(move |_, _| {
            inside.open();
            release.wait();
            Ok(underpin::Next::Continue)
        });
        handle.cast(hangs).expect("sent");
    }
    release.open();
    for (number, (inside, release)) in gates.iter().enumerate() {
        inside.wait();
        advance_until(&hand, &app, || events.count(|event| stuck(event).is_some()) > number);
        release.open();
    }
    assert!(app.shutdown(LONG).is_clean());
    assert_eq!(events.count(|event| stuck(event).is_some()), 3);
}

#[test]
fn a_limit_of_nothing_is_refused() {
    let error = patient("app").stuck_after(Duration::ZERO).start().expect_err("all are stuck").to_string();
    assert!(error.contains("stuck_after"), "{error}");
    let child = bot("a", &Journal::new()).stuck_after(Duration::ZERO);
    let error = patient("app").child(child).start().expect_err("it is always stuck").to_string();
    assert!(error.contains("stuck_after"), "{error}");
}

#[test]
fn nobody_is_looked_after_while_idle() {
    let (clock, hand) = Clock::manual();
    let events = Events::new();
    let spec = bot("a", &Journal::new());
    let handle = spec.handle();
    let app = Supervisor::new("app").clock(clock).stuck_after(SECOND).on_event(events.hook()).child(spec);
    let app = app.start().expect("starts");
    for _ in 0..100 {
        assert_eq!(handle.call(Msg::Total).ok(), Some(0));
        eventually("it rests", || {
            let tree = app.inspect().expect("up");
            node(&tree, "app/a").current.is_none()
        });
        hand.advance(10 * SECOND);
    }
    assert!(app.shutdown(LONG).is_clean());
    assert_eq!(events.count(|event| stuck(event).is_some()), 0);
}

#[test]
fn a_nested_supervisor_that_backs_off_is_shown_from_outside_and_not_waited_for() {
    // It stands still: whoever waits here waits for ever.
    let (clock, _hand) = Clock::manual();
    let journal = Journal::new();
    let slow = underpin::Backoff::exponential(Duration::from_secs(60), Duration::from_secs(60));
    let worker = bot("w", &journal);
    let handle = worker.handle();
    let nested = Supervisor::new("nested").intensity(0, SECOND).child(worker).restart_backoff(slow);
    let reference = nested.reference();
    let app = patient("app").clock(clock).supervisor(nested).start().expect("starts");
    handle.cast(boom()).expect("sent");
    eventually("it waits for its restart", || reference.status().state == Lifecycle::Restarting);
    let whole = app.reference();
    let tree = aside(move || whole.inspect()).done().expect("the root is up");
    let nested = node(&tree, "app/nested");
    assert_eq!((nested.state, nested.supervisor), (Lifecycle::Restarting, None));
    let outcome = aside(move || reference.inspect()).done();
    assert_eq!(outcome.err(), Some(InspectError::Down { name: "nested".into() }));
}

/// What an abandoned incarnation has handled says nothing of its child.
#[test]
fn an_abandoned_incarnation_that_comes_back_changes_no_figure() {
    let (journal, events) = (Journal::new(), Events::new());
    let spec = bot("a", &journal).shutdown(MS);
    let handle = spec.handle();
    let app = patient("app").on_event(events.hook()).child(spec).start().expect("starts");
    let release = occupy(&handle);
    app.terminate_child("a").expect("abandoned");
    app.restart_child("a").expect("starts");
    for _ in 0..50 {
        handle.call(Msg::Total).expect("it lives");
    }
    eventually("it rests", || handle.status().handled >= 50);
    release.open();
    journal.wait_line("a drop");
    assert!(handle.status().handled >= 50, "{}", handle.status().handled);
}

#[test]
fn the_time_of_a_callback_and_of_an_order_is_not_that_of_the_message_behind_it() {
    let (clock, hand) = Clock::manual();
    let (start, moves) = (hand.clone(), hand.clone());
    let spec = bot_with("a", &Journal::new(), move |bot| {
        let start = start.clone();
        bot.on_init(move |_, _| {
            start.advance(3 * SECOND);
            Ok(underpin::Init::Ready)
        })
    });
    let handle = spec.handle();
    let (inside, release) = (Latch::new(), Latch::new());
    let (tell, held) = (inside.clone(), release.clone());
    let first = act(move |_, _| {
        tell.open();
        held.wait();
        Ok(underpin::Next::Continue)
    });
    handle.cast(first).expect("sent before the start");
    let app = patient("app").clock(clock).child(spec).start().expect("starts");
    let busy = || {
        let tree = app.inspect().expect("up");
        node(&tree, "app/a").current.expect("it is busy")
    };
    inside.wait();
    assert_eq!((busy().label, busy().busy), ("Do", Duration::ZERO), "after init");
    release.open();

    let (inside, release) = (Latch::new(), Latch::new());
    let (tell, held) = (inside.clone(), release.clone());
    let next = act(move |_, _| {
        tell.open();
        held.wait();
        Ok(underpin::Next::Continue)
    });
    let me = handle.clone();
    let sent = handle.sys().with_state(move |_: &mut Bot| {
        moves.advance(3 * SECOND);
        me.cast(next).is_ok() // so that the service does not rest in between
    });
    assert_eq!(sent, Ok(true));
    inside.wait();
    assert_eq!((busy().label, busy().busy), ("Do", Duration::ZERO), "after an order");
    release.open();
}

/// Takes three seconds over its idle time-out, then hangs in the message that came meanwhile.
struct Dozer {
    me: Handle<(Latch, Latch)>,
    hand: ManualClock,
    next: (Latch, Latch),
}

impl Service for Dozer {
    type Msg = (Latch, Latch);
    type Error = std::convert::Infallible;

    fn init(&mut self, cx: &mut Context<Self>) -> Result<Init, Self::Error> {
        cx.set_idle_timeout(Some(SECOND));
        Ok(Init::Ready)
    }

    fn idle(&mut self, _: &mut Context<Self>) -> Result<Next, Self::Error> {
        self.hand.advance(3 * SECOND);
        self.me.cast(self.next.clone()).expect("there is room");
        Ok(Next::Continue)
    }

    fn handle(
        &mut self,
        (inside, release): (Latch, Latch),
        _: &mut Context<Self>,
    ) -> Result<Next, Self::Error> {
        inside.open();
        release.wait();
        Ok(Next::Continue)
    }
}

#[test]
fn the_time_of_an_idle_time_out_is_not_that_of_the_message_behind_it() {
    let (clock, hand) = Clock::manual();
    let next = (Latch::new(), Latch::new());
    let me: Arc<OnceLock<Handle<_>>> = Arc::default();
    let (own, made) = (Arc::clone(&me), (hand.clone(), next.clone()));
    let spec = underpin::child("dozer", move || Dozer {
        me: own.get().expect("it is there").clone(),
        hand: made.0.clone(),
        next: made.1.clone(),
    });
    me.set(spec.handle()).expect("once");
    let app = patient("app").clock(clock).child(spec).start().expect("starts");
    eventually("it rests", || {
        let tree = app.inspect().expect("up");
        node(&tree, "app/dozer").current.is_none()
    });
    hand.advance(SECOND);
    next.0.wait();
    let tree = app.inspect().expect("up");
    assert_eq!(node(&tree, "app/dozer").current.map(|current| current.busy), Some(Duration::ZERO));
    next.1.open();
}
