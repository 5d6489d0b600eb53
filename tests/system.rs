//! The system lane: looking into a service, suspending it, resuming it.

mod common;

use std::sync::Arc;
use std::time::Duration;

use common::*;
use underpin::{
    CallError, CastError, Clock, Context, Handle, Init, Lifecycle, Next, Overflow, Service, Supervisor,
    SupervisorHandle, SystemError, child,
};

fn one(spec: underpin::ChildSpec<Bot>) -> (SupervisorHandle, Handle<Msg>) {
    let handle = spec.handle();
    (patient("app").child(spec).start().expect("starts"), handle)
}

/// Asks from a thread of its own, and returns once the order has been given to the busy service.
fn read_aside(handle: &Handle<Msg>) -> Aside<Result<u64, SystemError>> {
    let handle = handle.clone();
    aside(move || handle.sys().timeout(LONG).read_state(|bot: &Bot| bot.total))
}

// ---- state -------------------------------------------------------------------------------

#[test]
fn with_state_changes_it_and_read_state_looks_at_it() {
    let (_sup, handle) = one(bot("a", &Journal::new()));
    handle.cast(Msg::Add(2)).expect("sent");
    assert_eq!(handle.call(Msg::Total).ok(), Some(2));
    let before = handle.sys().with_state(|bot: &mut Bot| std::mem::replace(&mut bot.total, 40));
    assert_eq!((before, handle.call(Msg::Total).ok()), (Ok(2), Some(40)));
    assert_eq!(handle.sys().read_state(|bot: &Bot| bot.total), Ok(40));
}

#[test]
fn the_lane_goes_before_all_that_is_queued() {
    let (_sup, handle) = one(bot("a", &Journal::new()));
    handle.sys().suspend().expect("it lives");
    for _ in 0..100 {
        handle.cast(Msg::Add(1)).expect("sent");
    }
    assert_eq!(handle.sys().read_state(|bot: &Bot| bot.total), Ok(0));
    handle.sys().resume().expect("it lives");
    assert_eq!(handle.call(Msg::Total).ok(), Some(100));
}

/// How much of a run of a hundred messages was handled when an order came in that was given during
/// the message before them.
fn handled_before_an_order() -> u64 {
    let (_sup, handle) = one(bot("a", &Journal::new()));
    let release = occupy(&handle);
    for _ in 0..100 {
        handle.cast(Msg::Add(1)).expect("sent");
    }
    let (asking, about_to) = (handle.clone(), Latch::new());
    let tell = about_to.clone();
    let suspended = aside(move || {
        tell.open();
        asking.sys().timeout(LONG).suspend()
    });
    about_to.wait();
    let behind_it = handle.sys().timeout(MS).resume();
    assert!(behind_it.is_err(), "the service is not in its handler");
    release.open();
    suspended.done().expect("suspended");
    let total = handle.sys().read_state(|bot: &Bot| bot.total).expect("it lives");
    handle.sys().resume().expect("it lives");
    assert_eq!(handle.call(Msg::Total).ok(), Some(100));
    total
}

/// Nothing tells from outside that the order is in the lane; so more than one try.
#[test]
fn the_lane_is_served_between_two_messages_of_a_run() {
    assert!((0..20).any(|_| handled_before_an_order() == 0), "it handles the whole run first");
}

#[test]
fn the_wrong_type_of_state_is_told_with_both_names_and_nothing_runs() {
    struct Other;
    impl Service for Other {
        type Msg = Msg;
        type Error = std::convert::Infallible;
        fn handle(&mut self, _: Msg, _: &mut Context<Self>) -> Result<Next, Self::Error> {
            Ok(Next::Continue)
        }
    }
    let (_sup, handle) = one(bot("a", &Journal::new()));
    let error = handle.sys().with_state(|_: &mut Other| panic!("runs")).expect_err("another type");
    let text = error.to_string();
    assert!(text.contains("common::Bot") && text.contains("Other") && text.contains("`a`"), "{text}");
    assert_eq!(handle.status().epoch, 1);
}

#[test]
fn a_panic_of_who_changes_the_state_crashes_the_service_and_tells_the_asker() {
    let (journal, events) = (Journal::new(), Events::new());
    let spec = bot("a", &journal);
    let handle = spec.handle();
    let _sup = patient("app").on_event(events.hook()).child(spec).start().expect("starts");
    handle.cast(Msg::Add(7)).expect("sent");
    assert_eq!(handle.call(Msg::Total).ok(), Some(7));
    let outcome = handle.sys().with_state(|_: &mut Bot| -> u64 { panic_quietly("torn") });
    assert_eq!(outcome, Err(SystemError::Crashed { name: "a".into() }));
    let crash = events.crash_of("a", 1);
    assert_eq!((crash.label, crash.epoch), (Some("system"), 1));
    assert!(crash.exit.to_string().contains("torn"), "{}", crash.exit);
    assert_eq!(handle.call(Msg::Total).ok(), Some(0), "a fresh state");
    assert!(!journal.has("a terminate: panicked: torn"));
}

#[test]
fn a_panic_of_who_only_reads_leaves_the_service_as_it_was() {
    let (_sup, handle) = one(bot("a", &Journal::new()));
    handle.cast(Msg::Add(7)).expect("sent");
    let outcome = handle.sys().read_state(|_: &Bot| -> u64 { panic_quietly("looked too hard") });
    assert_eq!(outcome, Err(SystemError::Panicked { name: "a".into(), text: "looked too hard".into() }));
    assert_eq!((handle.call(Msg::Total).ok(), handle.status().epoch), (Some(7), 1));
}

// ---- suspend and resume ------------------------------------------------------------------

#[test]
fn a_suspended_service_queues_answers_the_lane_and_goes_on_in_order() {
    let journal = Journal::new();
    let (_sup, handle) = one(bot("a", &journal));
    handle.sys().suspend().expect("it lives");
    handle.sys().suspend().expect("twice is once");
    assert_eq!(handle.status().state, Lifecycle::Suspended);
    for n in 1..=3 {
        handle.cast(Msg::Add(n)).expect("sent");
    }
    let late = handle.call_timeout(MS, Msg::Total).expect_err("nobody answers");
    assert!(matches!(late, CallError::TimedOut { .. }), "{late}");
    assert_eq!(handle.sys().read_state(|bot: &Bot| bot.total), Ok(0));
    eventually("also after it was looked into", || handle.status().state == Lifecycle::Suspended);
    handle.sys().resume().expect("it lives");
    assert_eq!(handle.call(Msg::Total).ok(), Some(6));
    assert_eq!(journal.all().into_iter().skip(1).collect::<Vec<_>>(), ["a add 1", "a add 2", "a add 3"]);
    handle.sys().resume().expect("fine as it is");
}

#[test]
fn a_full_mailbox_of_a_suspended_service_obeys_its_overflow_policy() {
    let (_sup, handle) = one(bot("a", &Journal::new()).capacity(2).overflow(Overflow::Reject));
    handle.sys().suspend().expect("it lives");
    handle.cast(Msg::Add(1)).expect("sent");
    handle.cast(Msg::Add(2)).expect("sent");
    assert!(matches!(handle.cast(Msg::Add(4)), Err(CastError::Full { .. })));
    handle.sys().resume().expect("it lives");
    eventually("both were handled", || handle.call(Msg::Total).is_ok_and(|total| total == 3));
}

#[test]
fn no_timer_and_no_idle_time_out_fires_while_suspended() {
    let (clock, hand) = Clock::manual();
    let journal = Journal::new();
    let spec = bot_with("a", &journal, |bot| {
        bot.on_init(|_, cx| {
            cx.send_after(SECOND, Msg::Add(1));
            cx.set_idle_timeout(Some(2 * SECOND));
            Ok(Init::Ready)
        })
    });
    let handle = spec.handle();
    let _sup = patient("app").clock(clock).child(spec).start().expect("starts");
    handle.sys().suspend().expect("it lives");
    hand.advance(Duration::from_secs(60));
    assert_eq!(handle.sys().read_state(|bot: &Bot| bot.total), Ok(0));
    assert!(!journal.has("a idle") && !journal.has("a add 1"));
    handle.sys().resume().expect("it lives");
    journal.wait_line("a add 1");
}

#[test]
fn a_suspended_service_obeys_orders_to_stop() {
    let journal = Journal::new();
    let (sup, handle) = one(bot("a", &journal));
    handle.sys().suspend().expect("it lives");
    handle.stop().expect("stops");
    journal.wait_line("a init 2");
    assert_eq!(handle.call(Msg::Epoch).ok(), Some(2), "the next life is not suspended");
    handle.sys().suspend().expect("it lives");
    assert!(sup.shutdown(LONG).is_clean());
    assert!(journal.has("a terminate: was shut down"));
}

#[test]
fn what_is_given_up_before_it_began_is_not_done() {
    let (_sup, handle) = one(bot("a", &Journal::new()));
    let release = occupy(&handle);
    let late = handle.sys().timeout(MS).suspend();
    assert_eq!(late, Err(SystemError::TimedOut { name: "a".into() }));
    let late = handle.sys().timeout(MS).with_state(|bot: &mut Bot| bot.total = 99);
    assert_eq!(late, Err(SystemError::TimedOut { name: "a".into() }));
    release.open();
    assert_eq!(handle.call(Msg::Total).ok(), Some(0), "neither suspended nor changed");
}

// ---- who is not there --------------------------------------------------------------------

#[test]
fn a_stopped_child_refuses_at_once_also_what_waited_for_it() {
    let (sup, handle) = one(bot("a", &Journal::new()));
    let release = occupy(&handle);
    let waiting = read_aside(&handle);
    let probe = handle.clone();
    let stopping = aside(move || sup.terminate_child("a").map(|()| sup));
    eventually("it was asked to stop", || probe.status().state == Lifecycle::Processing);
    release.open();
    let outcome = waiting.done();
    let sup = stopping.done().expect("stops");
    assert!(matches!(outcome, Ok(0) | Err(SystemError::Stopped { .. })), "{outcome:?}");
    let stopped = Err(SystemError::Stopped { name: "a".into() });
    assert_eq!(handle.sys().suspend(), stopped);
    assert_eq!(
        handle.sys().read_state(|bot: &Bot| bot.total),
        Err(SystemError::Stopped { name: "a".into() })
    );
    sup.restart_child("a").expect("starts");
    assert_eq!(handle.sys().read_state(|bot: &Bot| bot.total), Ok(0), "no stale order was kept");
}

#[test]
fn an_order_waits_for_the_first_start_and_over_a_restart() {
    let (journal, release) = (Journal::new(), Latch::new());
    let held = release.clone();
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
    let early = read_aside(&handle);
    let _sup = patient("app").child(spec).start().expect("starts");
    assert_eq!(early.done(), Ok(0));
    handle.cast(boom()).expect("sent");
    journal.wait_line("a init 2");
    let between = read_aside(&handle);
    release.open();
    assert_eq!(between.done(), Ok(0));
}

#[test]
fn a_description_that_is_dropped_refuses_what_waits() {
    let spec = bot("a", &Journal::new());
    let handle = spec.handle();
    let (asked, tell) = (Latch::new(), Latch::new());
    let (asked_too, told) = (asked.clone(), tell.clone());
    let early = aside(move || {
        asked_too.open();
        let outcome = handle.sys().timeout(LONG).suspend();
        told.open();
        outcome
    });
    asked.wait();
    drop(spec);
    tell.wait();
    assert_eq!(early.done(), Err(SystemError::Stopped { name: "a".into() }));
}

#[test]
fn asking_oneself_and_asking_in_a_circle_is_refused_at_once() {
    let (_sup, handle) = one(bot("a", &Journal::new()));
    let me = handle.clone();
    let asks_itself = ask(move |_, _, reply| {
        let outcome = me.sys().read_state(|bot: &Bot| bot.total);
        let names: Vec<Arc<str>> = vec!["a".into(), "a".into()];
        assert_eq!(outcome, Err(SystemError::Cycle { names }));
        reply.send(1);
        Ok(Next::Continue)
    });
    assert_eq!(handle.call(asks_itself).ok(), Some(1));

    let journal = Journal::new();
    let (first, second) = (bot("x", &journal), bot("y", &journal));
    let (x, y) = (first.handle(), second.handle());
    let _app = Supervisor::new("app").child(first).child(second).start().expect("starts");
    let back = x.clone();
    let circle = ask(move |_, _, reply| {
        let outcome = y.sys().with_state(move |_: &mut Bot| back.sys().read_state(|bot: &Bot| bot.total));
        let inner = outcome.expect("y answers");
        reply.send(u64::from(matches!(inner, Err(SystemError::Cycle { .. }))));
        Ok(Next::Continue)
    });
    assert_eq!(x.call(circle).ok(), Some(1));
}

#[test]
fn a_service_that_is_abandoned_over_an_order_tells_the_asker() {
    let spec = bot("a", &Journal::new()).shutdown(MS);
    let handle = spec.handle();
    let sup = patient("app").child(spec).start().expect("starts");
    let (inside, release) = (Latch::new(), Latch::new());
    let (tell, held, asker) = (inside.clone(), release.clone(), handle.clone());
    let outcome = aside(move || {
        asker.sys().timeout(LONG).with_state(move |_: &mut Bot| {
            tell.open();
            held.wait();
        })
    });
    inside.wait();
    sup.terminate_child("a").expect("gone");
    assert_eq!(outcome.done(), Err(SystemError::Crashed { name: "a".into() }));
    release.open();
}

/// It hangs in a message, so it is its supervisor who sees to what waits in the lane.
#[test]
fn what_waits_for_a_service_that_is_abandoned_for_good_is_refused() {
    let spec = bot("a", &Journal::new()).shutdown(MS);
    let handle = spec.handle();
    let sup = patient("app").child(spec).start().expect("starts");
    let release = occupy(&handle);
    let held = Arc::new(());
    let (asker, inside) = (handle.clone(), Arc::clone(&held));
    let waiting = aside(move || asker.sys().timeout(LONG).with_state(move |_: &mut Bot| drop(inside)));
    eventually("it is being asked", || Arc::strong_count(&held) > 1);
    sup.terminate_child("a").expect("gone");
    assert_eq!(waiting.done(), Err(SystemError::Stopped { name: "a".into() }));
    eventually("what was asked is dropped", || Arc::strong_count(&held) == 1);
    release.open();
}

#[test]
fn asking_inherits_the_deadline_of_the_handler_and_leaves_no_edge() {
    let journal = Journal::new();
    let (first, second) = (bot("x", &journal), bot("y", &journal));
    let (x, y) = (first.handle(), second.handle());
    let app = Supervisor::new("app").child(first).child(second).start().expect("starts");
    let (release, callee, notes) = (occupy(&y), y.clone(), journal.clone());
    let late = x.call_timeout(
        MS,
        ask(move |_, _, _reply| {
            let outcome = callee.sys().by(underpin::Deadline::unbounded()).suspend();
            notes.note(format!("{outcome:?}"));
            Ok(Next::Continue)
        }),
    );
    assert!(late.is_err(), "nobody answers");
    journal.wait(|line| line.contains("TimedOut"));
    release.open();
    assert_eq!(x.call(Msg::Total).ok(), Some(0));
    assert_eq!(app.inspect().expect("up").waits(), []);
}

/// A generic child whose state is not `Send`: the lane runs on its thread.
#[test]
fn a_state_that_is_not_send_can_be_looked_into() {
    struct Local(std::rc::Rc<u64>);
    impl Service for Local {
        type Msg = ();
        type Error = std::convert::Infallible;
        fn handle(&mut self, (): (), _: &mut Context<Self>) -> Result<Next, Self::Error> {
            Ok(Next::Continue)
        }
    }
    let spec = child("local", || Local(std::rc::Rc::new(7)));
    let handle = spec.handle();
    let _sup = Supervisor::new("app").child(spec).start().expect("starts");
    assert_eq!(handle.sys().read_state(|local: &Local| *local.0), Ok(7));
}

// ---- what was asked and is dropped -------------------------------------------------------

/// Panics when it is dropped, and says on which thread.
struct Bomb(Journal);

impl Drop for Bomb {
    fn drop(&mut self) {
        self.0.note(std::thread::current().name().unwrap_or("?"));
        if !std::thread::panicking() {
            panic_quietly("a bomb");
        }
    }
}

#[test]
fn the_drop_of_what_was_given_up_cannot_harm_the_service() {
    let (_sup, handle) = one(bot("a", &Journal::new()));
    let release = occupy(&handle);
    let drops = Journal::new();
    let bomb = Bomb(drops.clone());
    let late = handle.sys().timeout(MS).with_state(move |_: &mut Bot| drop(bomb));
    assert_eq!(late, Err(SystemError::TimedOut { name: "a".into() }));
    release.open();
    assert_eq!(handle.call(Msg::Epoch).ok(), Some(1), "it did not crash");
    drops.wait(|_| true);
}

#[test]
fn the_drop_of_an_answer_that_comes_too_late_cannot_harm_the_service() {
    let (_sup, handle) = one(bot("a", &Journal::new()));
    let (release, drops) = (Latch::new(), Journal::new());
    let (held, bomb) = (release.clone(), Bomb(drops.clone()));
    let late = handle.sys().timeout(MS).read_state(move |_: &Bot| {
        held.wait();
        bomb
    });
    assert_eq!(late.err(), Some(SystemError::TimedOut { name: "a".into() }));
    release.open();
    assert_eq!(handle.call(Msg::Epoch).ok(), Some(1), "it did not crash");
    drops.wait(|_| true);

    let (release, bomb) = (Latch::new(), Bomb(drops.clone()));
    let held = release.clone();
    let late = handle.sys().timeout(MS).with_state(move |_: &mut Bot| {
        held.wait();
        bomb
    });
    assert_eq!(late.err(), Some(SystemError::TimedOut { name: "a".into() }));
    release.open();
    assert_eq!(handle.call(Msg::Epoch).ok(), Some(1), "it did not crash");
    drops.wait_count(2, |_| true);
}

#[test]
fn orders_that_were_given_up_do_not_pile_up_before_a_service_that_hangs() {
    let (_sup, handle) = one(bot("a", &Journal::new()));
    let release = occupy(&handle);
    let held = Arc::new(());
    for _ in 0..50 {
        let held = Arc::clone(&held);
        let late = handle.sys().timeout(Duration::ZERO).with_state(move |_: &mut Bot| drop(held));
        assert_eq!(late, Err(SystemError::TimedOut { name: "a".into() }));
    }
    assert!(Arc::strong_count(&held) <= 2, "{} orders wait for nobody", Arc::strong_count(&held) - 1);
    release.open();
}
