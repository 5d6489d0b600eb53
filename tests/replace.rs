//! A child is replaced while the rest runs: what goes over, what does not, and what comes between.

mod common;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use common::*;
use underpin::{
    AutoShutdown, Backoff, CallError, CastError, Clock, Context, DynamicSupervisor, ErrorKind, Exit, Handle,
    Init, Lifecycle, Mailbox, Next, Overflow, ReplaceChildError, Reply, Restart, RestartChildError, Service,
    Strategy, Supervisor, SupervisorHandle, SupervisorRef, child,
};

/// Goes on where the old one was: the same state, never dropped on the way.
fn heir(name: &str, journal: &Journal) -> impl Fn(Option<Bot>) -> Bot + Send + Sync + 'static {
    let (name, journal) = (name.to_owned(), journal.clone());
    move |old| {
        let total = old.as_ref().map(|old| old.total);
        journal.note(format!("{name} made from {total:?}"));
        old.unwrap_or_else(|| Bot::new(&name, &journal))
    }
}

/// One bot that `app` supervises, and its handle.
fn one(app: Supervisor, journal: &Journal) -> (SupervisorHandle, Handle<Msg>) {
    let spec = bot("a", journal);
    let handle = spec.handle();
    (app.child(spec).start().expect("starts"), handle)
}

/// Asks for a replacement on a thread of its own, and returns when the supervisor has heard.
fn replace_aside(
    sup: &SupervisorHandle,
    name: &'static str,
    factory: impl Fn(Option<Bot>) -> Bot + Send + Sync + 'static,
) -> Aside<Result<(), ReplaceChildError>> {
    let reference = sup.reference();
    let replacing = aside({
        let reference = reference.clone();
        move || reference.replace_child(name, factory)
    });
    is_being_replaced(&reference, name);
    replacing
}

fn is_being_replaced(sup: &SupervisorRef, name: &str) {
    eventually("it is being replaced", || {
        matches!(sup.restart_child(name), Err(RestartChildError::Restarting { .. }))
    });
}

/// Adds, and returns when that is done: what is queued may be its successor's to do.
fn add(handle: &Handle<Msg>, n: u64) {
    handle.cast(Msg::Add(n)).expect("accepted");
    handle.call(Msg::Total).expect("answered");
}

fn park() -> impl FnOnce(Reply<u64>) -> Msg {
    ask(|bot, _, reply| {
        bot.kept.push(reply);
        Ok(Next::Continue)
    })
}

fn unpark(answer: u64) -> Msg {
    act(move |bot, _| {
        bot.kept.drain(..).for_each(|reply| reply.send(answer));
        Ok(Next::Continue)
    })
}

fn count(journal: &Journal, line: &str) -> usize {
    journal.count(|noted| noted == line)
}

// ---- what goes over ----------------------------------------------------------------------

#[test]
fn state_queue_handles_and_epochs_go_on_and_terminate_is_not_called() {
    let journal = Journal::new();
    let (sup, handle) = one(Supervisor::new("app").intensity(0, SECOND), &journal);
    add(&handle, 1);
    let release = occupy(&handle);
    for n in 2..=4 {
        handle.cast(Msg::Add(n)).expect("accepted");
    }
    let total = handle.request(Msg::Total).expect("accepted");
    let replacing = replace_aside(&sup, "a", heir("a", &journal));
    assert!(!journal.has("a made from Some(1)"), "the message in hand is finished first");
    release.open();
    replacing.done().expect("replaced");
    assert_eq!(total.wait().expect("answered by the successor"), 10);
    let expected =
        ["a init 1", "a add 1", "a made from Some(1)", "a init 2", "a add 2", "a add 3", "a add 4"];
    assert_eq!(journal.all(), expected);
    let info = &sup.which_children()[0];
    assert_eq!((info.epoch, info.restarts), (2, 0));
    assert!(matches!(info.last_exit, Some(Exit::Replaced)), "{:?}", info.last_exit);
    let status = handle.status();
    assert_eq!((status.epoch, status.shed, status.dead_letters), (2, 0, 0));
    assert!(sup.shutdown(LONG).is_clean());
    assert_eq!(handle.status().handled, 7);
    assert_eq!((count(&journal, "a terminate: was shut down"), count(&journal, "a drop")), (1, 1));
}

#[test]
fn parked_replies_are_answered_by_the_successor() {
    let journal = Journal::new();
    let (sup, handle) = one(Supervisor::new("app"), &journal);
    let parked = handle.request(park()).expect("accepted");
    handle.call(Msg::Total).expect("answered: the other is parked by now");
    sup.replace_child("a", heir("a", &journal)).expect("replaced");
    assert!(!parked.is_ready());
    handle.cast(unpark(7)).expect("accepted");
    assert_eq!(parked.wait().expect("answered"), 7);
}

#[test]
fn a_blocked_sender_waits_on_and_gets_in() {
    let journal = Journal::new();
    let spec = bot("a", &journal).capacity(1).overflow(Overflow::Block(LONG));
    let handle = spec.handle();
    let sup = Supervisor::new("app").child(spec).start().expect("starts");
    let release = occupy(&handle);
    handle.cast(Msg::Add(1)).expect("accepted");
    let blocked = aside({
        let handle = handle.clone();
        move || handle.cast(Msg::Add(2)).is_ok()
    });
    let replacing = replace_aside(&sup, "a", heir("a", &journal));
    release.open();
    replacing.done().expect("replaced");
    assert!(blocked.done());
    assert_eq!(handle.call(Msg::Total).expect("answered"), 3);
}

#[test]
fn name_and_those_who_monitor_the_child_stay() {
    let journal = Journal::new();
    let spec = bot("a", &journal).registered();
    let handle = spec.handle();
    let watcher = {
        let handle = handle.clone();
        bot_with("w", &journal, move |bot| {
            let handle = handle.clone();
            bot.on_init(move |_, cx| {
                cx.monitor(&handle, Msg::Gone);
                Ok(Init::Ready)
            })
        })
    };
    let watching = watcher.handle();
    let sup = Supervisor::new("app").child(spec).child(watcher).start().expect("starts");
    for _ in 0..3 {
        sup.replace_child("a", heir("a", &journal)).expect("replaced");
        let found = sup.registry().find::<Msg>("a").expect("still there");
        assert_eq!(found.call(Msg::Epoch).expect("answered"), handle.status().epoch);
    }
    watching.call(Msg::Total).expect("answered");
    assert!(!journal.has("w sees a handed its state over after 3"));
    sup.terminate_child("a").expect("terminated");
    journal.wait_line("w sees a was shut down after 4");
}

#[test]
fn siblings_are_untouched_and_nothing_is_charged() {
    for strategy in [Strategy::OneForOne, Strategy::OneForAll, Strategy::RestForOne] {
        let journal = Journal::new();
        let backoff = Backoff::exponential(LONG, LONG);
        let app = Supervisor::new("app").strategy(strategy).intensity(0, LONG).backoff(backoff);
        let app = app.child(bot("a", &journal)).child(bot("b", &journal)).child(bot("c", &journal));
        let sup = app.start().expect("starts");
        for _ in 0..5 {
            sup.replace_child("b", heir("b", &journal)).expect("replaced, at once");
        }
        let epochs: Vec<_> = sup.which_children().iter().map(|info| (info.epoch, info.restarts)).collect();
        assert_eq!(epochs, [(1, 0), (6, 0), (1, 0)]);
    }
}

#[test]
fn timers_and_monitors_of_the_old_incarnation_end_with_it() {
    let journal = Journal::new();
    let (clock, hand) = Clock::manual();
    let other = bot("o", &journal);
    let watched = other.handle();
    let spec = bot_with("a", &journal, move |bot| {
        let watched = watched.clone();
        bot.on_init(move |_, cx| {
            if cx.epoch() == 1 {
                cx.monitor(&watched, Msg::Gone);
                cx.set_idle_timeout(Some(SECOND));
            }
            cx.send_after(SECOND * 10, Msg::Add(cx.epoch()));
            Ok(Init::Ready)
        })
    });
    let handle = spec.handle();
    let sup = Supervisor::new("app").clock(clock).child(other).child(spec).start().expect("starts");
    sup.replace_child("a", heir("a", &journal)).expect("replaced");
    sup.terminate_child("o").expect("terminated");
    hand.advance(SECOND * 20);
    journal.wait_line("a add 2");
    handle.call(Msg::Total).expect("answered");
    let stale = ["a add 1", "a idle", "a sees o was shut down after 1"];
    assert!(stale.iter().all(|line| !journal.has(line)), "{:?}", journal.all());
}

#[test]
fn a_child_that_is_not_always_restarted_goes_on_like_any_other() {
    for restart in [Restart::Temporary, Restart::Transient] {
        let journal = Journal::new();
        let spec = bot("a", &journal).restart(restart);
        let handle = spec.handle();
        let sup = Supervisor::new("app").child(spec).start().expect("starts");
        for n in 1..4 {
            let release = occupy(&handle);
            handle.cast(Msg::Add(1)).expect("accepted");
            let total = handle.request(Msg::Total).expect("accepted");
            let replacing = replace_aside(&sup, "a", heir("a", &journal));
            release.open();
            replacing.done().expect("replaced");
            assert_eq!(total.wait().expect("its mailbox was never closed"), n);
        }
        assert!(handle.wait_down(Duration::ZERO).is_none());
        assert_eq!(handle.status().dead_letters, 0);
        handle.cast(quit()).expect("accepted");
        assert_eq!(handle.wait_down(LONG).expect("it is not restarted").epoch, 4);
    }
}

// ---- a service of another type -----------------------------------------------------------

/// Counts.
struct Counter(u64);
/// Counts on, doubly.
struct Doubling(u64);

enum Count {
    Add(u64),
    Total(Reply<u64>),
}

impl Service for Counter {
    type Msg = Count;
    type Error = Oops;

    fn handle(&mut self, msg: Count, _: &mut Context<Self>) -> Done {
        match msg {
            Count::Add(n) => self.0 += n,
            Count::Total(reply) => reply.send(self.0),
        }
        Ok(Next::Continue)
    }
}

impl Service for Doubling {
    type Msg = Count;
    type Error = Oops;

    fn handle(&mut self, msg: Count, _: &mut Context<Self>) -> Done {
        match msg {
            Count::Add(n) => self.0 += 2 * n,
            Count::Total(reply) => reply.send(self.0),
        }
        Ok(Next::Continue)
    }
}

fn doubling(old: Option<Counter>) -> Doubling {
    Doubling(old.map_or(1000, |old| old.0))
}

fn counter() -> (SupervisorHandle, Handle<Count>) {
    let spec = child("counter", || Counter(0));
    let handle = spec.handle();
    (patient("app").child(spec).start().expect("starts"), handle)
}

#[test]
fn a_service_of_another_type_takes_over_and_back() {
    let (sup, handle) = counter();
    handle.cast(Count::Add(3)).expect("accepted");
    assert_eq!(handle.call(Count::Total).expect("answered"), 3);
    sup.replace_child("counter", doubling).expect("replaced");
    handle.cast(Count::Add(2)).expect("accepted");
    assert_eq!(handle.call(Count::Total).expect("answered"), 7);
    let back = |old: Option<Doubling>| old.map(|old| Counter(old.0)).ok_or("no state");
    sup.replace_child("counter", back).expect("a factory may return a Result");
    handle.cast(Count::Add(1)).expect("accepted");
    assert_eq!(handle.call(Count::Total).expect("answered"), 8);
}

#[test]
fn what_does_not_fit_is_refused_and_nothing_is_touched() {
    let (sup, handle) = counter();
    let dropped = Tokens::new();
    let token = dropped.one();
    let error = sup.replace_child("counter", move |old: Option<Doubling>| {
        let _held = &token;
        Counter(old.map_or(0, |old| old.0))
    });
    let error = error.expect_err("it is no Doubling");
    let ReplaceChildError::WrongType { name, expected, found } = &error else { panic!("{error}") };
    assert_eq!(&**name, "counter");
    assert!(expected.ends_with("Doubling") && found.ends_with("Counter"), "{error}");
    assert!(error.to_string().contains("runs `replace::Counter`, expected `replace::Doubling`"), "{error}");
    let journal = Journal::new();
    let error = sup.replace_child("counter", heir("counter", &journal)).expect_err("other messages");
    assert!(matches!(error, ReplaceChildError::WrongType { .. }), "{error}");
    sup.terminate_child("counter").expect("terminated");
    let error = sup.replace_child("counter", heir("counter", &journal)).expect_err("also when it is down");
    assert!(matches!(error, ReplaceChildError::WrongType { .. }), "{error}");
    sup.restart_child("counter").expect("the old factory is in its place");
    assert_eq!(handle.call(Count::Total).expect("answered"), 0);
    assert_eq!(handle.status().epoch, 2);
    eventually("what was refused is dropped", || dropped.out() == 0);
}

// ---- later starts ------------------------------------------------------------------------

#[test]
fn later_starts_use_the_new_factory_with_nothing() {
    let journal = Journal::new();
    let (sup, handle) = one(patient("app"), &journal);
    add(&handle, 5);
    sup.replace_child("a", heir("a", &journal)).expect("replaced");
    handle.cast(boom()).expect("accepted");
    assert_eq!(handle.call(Msg::Epoch).expect("answered"), 3);
    assert_eq!((count(&journal, "a made from Some(5)"), count(&journal, "a made from None")), (1, 1));
    assert_eq!(sup.which_children()[0].restarts, 1);
}

#[test]
fn a_child_that_is_down_gets_its_description_and_stays_down() {
    let journal = Journal::new();
    let (sup, handle) = one(Supervisor::new("app"), &journal);
    add(&handle, 5);
    sup.terminate_child("a").expect("terminated");
    sup.replace_child("a", heir("a", &journal)).expect("replaced");
    assert_eq!(handle.status().state, Lifecycle::Stopped);
    assert!(matches!(handle.cast(Msg::Add(1)), Err(CastError::Stopped { .. })));
    sup.restart_child("a").expect("restarted");
    assert_eq!(handle.call(Msg::Epoch).expect("answered"), 2);
    assert!(journal.has("a made from None"));
}

#[test]
fn a_pending_restart_stays_pending_and_uses_the_new_factory() {
    let journal = Journal::new();
    let (clock, hand) = Clock::manual();
    let backoff = Backoff::exponential(SECOND, SECOND);
    let (sup, handle) = one(patient("app").clock(clock).backoff(backoff), &journal);
    handle.cast(boom()).expect("accepted");
    eventually("it waits", || sup.count_children().restarting == 1);
    handle.cast(Msg::Add(1)).expect("accepted");
    sup.replace_child("a", heir("a", &journal)).expect("replaced");
    assert_eq!((sup.count_children().restarting, count(&journal, "a made from None")), (1, 0));
    hand.advance(SECOND);
    assert_eq!(handle.call(Msg::Total).expect("answered"), 1);
    assert_eq!(count(&journal, "a made from None"), 1);
}

#[test]
fn a_static_child_keeps_its_new_factory_when_its_supervisor_is_restarted() {
    let journal = Journal::new();
    let spec = bot("a", &journal);
    let handle = spec.handle();
    let nested = Supervisor::new("nested").intensity(0, SECOND).child(spec);
    let reference = nested.reference();
    let sup = patient("app").supervisor(nested).start().expect("starts");
    add(&handle, 5);
    reference.replace_child("a", heir("a", &journal)).expect("replaced");
    handle.cast(boom()).expect("accepted");
    add(&handle, 2);
    assert_eq!(handle.call(Msg::Total).expect("answered"), 2);
    assert_eq!((reference.status().epoch, count(&journal, "a made from None")), (2, 1));
    reference.replace_child("a", heir("a", &journal)).expect("the restarted one does so too");
    assert!(journal.has("a made from Some(2)"));
    drop(sup);
}

#[test]
fn children_of_a_dynamic_supervisor_are_replaced_too() {
    let journal = Journal::new();
    let sup = DynamicSupervisor::new("app").intensity(0, SECOND).start().expect("starts");
    let handle = sup.start_child(bot("a", &journal)).expect("starts");
    handle.cast(Msg::Add(3)).expect("accepted");
    sup.replace_child("a", heir("a", &journal)).expect("replaced");
    assert_eq!(handle.call(Msg::Total).expect("answered"), 3);
    let error = sup.replace_child("a", |_: Option<Bot>| Err::<Bot, _>("no luck")).expect_err("fails");
    assert!(matches!(error, ReplaceChildError::FailedToStart { .. }), "{error}");
    eventually("it is not kept", || sup.count_children().specs == 0);
    assert!(handle.wait_down(LONG).is_some());
}

// ---- no state to be had ------------------------------------------------------------------

#[test]
fn one_that_hangs_is_abandoned_after_its_grace_and_followed_without_its_state() {
    let journal = Journal::new();
    let (clock, hand) = Clock::manual();
    let spec = bot("a", &journal).shutdown(SECOND);
    let handle = spec.handle();
    let sup = Supervisor::new("app").intensity(0, SECOND).clock(clock).child(spec).start().expect("starts");
    add(&handle, 1);
    let release = occupy(&handle);
    handle.cast(Msg::Add(10)).expect("accepted");
    let replacing = replace_aside(&sup, "a", heir("a", &journal));
    hand.advance(SECOND - NS);
    is_being_replaced(&sup.reference(), "a");
    hand.advance(NS);
    replacing.done().expect("replaced all the same");
    assert_eq!(handle.call(Msg::Total).expect("answered"), 10, "the queue is the child's");
    assert!(journal.has("a made from None") && !journal.has("a drop"));
    release.open();
    journal.wait_line("a drop");
    assert!(!journal.has("a terminate: was shut down"));
    assert_eq!((sup.status().state, handle.status().epoch), (Lifecycle::Running, 2));
}

/// A message that hangs when it is dropped.
struct HangsInDrop(Latch, Latch);

impl Drop for HangsInDrop {
    fn drop(&mut self) {
        self.0.open();
        self.1.wait();
    }
}

/// Has the service hang when its timers are dropped. The first latch tells so, the second lets go.
fn hang_in_timer(handle: &Handle<Msg>) -> (Latch, Latch) {
    let (inside, release) = (Latch::new(), Latch::new());
    let hangs = HangsInDrop(inside.clone(), release.clone());
    let set_timer = act(move |_, cx| {
        let never = act(move |_, _| {
            let _held = &hangs;
            Ok(Next::Continue)
        });
        cx.send_after(LONG * 100, never);
        Ok(Next::Continue)
    });
    handle.cast(set_timer).expect("accepted");
    handle.call(Msg::Total).expect("answered");
    (inside, release)
}

#[test]
fn one_that_hangs_in_what_it_leaves_behind_is_abandoned_and_its_state_goes_to_the_janitor() {
    let journal = Journal::new();
    let (clock, hand) = Clock::manual();
    let threads = Arc::new(Mutex::new(Vec::new()));
    let notes = Arc::clone(&threads);
    let spec = bot_with("a", &journal, move |bot| {
        let dropped = Mutex::new(Some(Dropped(Arc::clone(&notes))));
        bot.on_drop(move |_| drop(dropped.lock().unwrap_or_else(PoisonError::into_inner).take()))
    });
    let spec = spec.shutdown(SECOND);
    let handle = spec.handle();
    let sup = Supervisor::new("app").clock(clock).child(spec).start().expect("starts");
    let parked = handle.request(park()).expect("accepted");
    let (inside, release) = hang_in_timer(&handle);
    let replacing = replace_aside(&sup, "a", heir("a", &journal));
    inside.wait();
    assert!(!journal.has("a drop"), "it was handed over");
    hand.advance(SECOND);
    replacing.done().expect("replaced all the same");
    assert!(journal.has("a made from None"));
    journal.wait_line("a drop");
    assert!(matches!(parked.wait(), Err(CallError::Stopped { .. })));
    release.open();
    assert!(sup.shutdown(LONG).unstopped.len() <= 1);
    assert_eq!(threads.lock().unwrap_or_else(PoisonError::into_inner)[..], ["app:janitor".to_owned()]);
}

#[test]
fn one_that_is_terminated_just_after_it_handed_over_was_shut_down_and_its_state_is_dropped() {
    let journal = Journal::new();
    let (sup, handle) = one(Supervisor::new("app"), &journal);
    let parked = handle.request(park()).expect("accepted");
    let (inside, release) = hang_in_timer(&handle);
    let replacing = replace_aside(&sup, "a", heir("a", &journal));
    inside.wait();
    let terminating = aside({
        let reference = sup.reference();
        move || reference.terminate_child("a")
    });
    let error = replacing.done().expect_err("it was terminated");
    assert!(matches!(error, ReplaceChildError::ShuttingDown { .. }), "{error}");
    journal.wait_line("a drop");
    assert!(matches!(parked.wait(), Err(CallError::Stopped { .. })));
    release.open();
    terminating.done().expect("terminated");
    assert!(matches!(handle.wait_down(LONG).expect("down").exit, Exit::Shutdown));
    let last = sup.which_children()[0].last_exit.clone();
    assert!(matches!(last, Some(Exit::Shutdown)), "{last:?}");
    assert_eq!(journal.all(), ["a init 1", "a drop"]);
}

#[test]
fn one_that_crashes_meanwhile_is_followed_without_its_state_and_not_charged() {
    let journal = Journal::new();
    let (sup, handle) = one(Supervisor::new("app").intensity(0, SECOND), &journal);
    let (inside, release) = (Latch::new(), Latch::new());
    let (tell, held) = (inside.clone(), release.clone());
    let call = handle.request(ask(move |_, _, _reply| {
        tell.open();
        held.wait();
        panic_quietly("boom")
    }));
    inside.wait();
    handle.cast(Msg::Add(10)).expect("accepted");
    let replacing = replace_aside(&sup, "a", heir("a", &journal));
    release.open();
    replacing.done().expect("replaced all the same");
    assert!(matches!(call.expect("accepted").wait(), Err(CallError::Crashed { .. })));
    assert_eq!(handle.call(Msg::Total).expect("answered"), 10);
    assert!(journal.has("a made from None"));
    assert_eq!(sup.which_children()[0].restarts, 0);
}

#[test]
fn after_a_crash_meanwhile_the_mailbox_is_cleared_where_that_is_said() {
    let journal = Journal::new();
    let spec = bot("a", &journal).mailbox(Mailbox::Clear);
    let handle = spec.handle();
    let sup = Supervisor::new("app").child(spec).start().expect("starts");
    let release = occupy(&handle);
    handle.cast(Msg::Add(1)).expect("accepted");
    let replacing = replace_aside(&sup, "a", heir("a", &journal));
    release.open();
    replacing.done().expect("replaced");
    assert_eq!(handle.call(Msg::Total).expect("answered"), 1, "to be replaced is no crash");
    let (inside, release) = (Latch::new(), Latch::new());
    let (tell, held) = (inside.clone(), release.clone());
    let crash = act(move |_, _| {
        tell.open();
        held.wait();
        panic_quietly("boom")
    });
    handle.cast(crash).expect("accepted");
    inside.wait();
    handle.cast(Msg::Add(1)).expect("accepted");
    let replacing = replace_aside(&sup, "a", heir("a", &journal));
    release.open();
    replacing.done().expect("replaced");
    assert_eq!(handle.call(Msg::Total).expect("answered"), 0);
}

#[test]
fn one_that_is_done_meanwhile_stays_down_with_its_new_description() {
    let journal = Journal::new();
    let spec = bot("a", &journal).restart(Restart::Transient);
    let handle = spec.handle();
    let sup = Supervisor::new("app").child(spec).start().expect("starts");
    let (inside, release) = (Latch::new(), Latch::new());
    let (tell, held) = (inside.clone(), release.clone());
    let last = act(move |_, _| {
        tell.open();
        held.wait();
        Ok(Next::Stop)
    });
    handle.cast(last).expect("accepted");
    inside.wait();
    let replacing = replace_aside(&sup, "a", heir("a", &journal));
    release.open();
    replacing.done().expect("its description is");
    assert!(journal.has("a terminate: stopped normally") && !journal.has("a made from None"));
    assert!(matches!(handle.wait_down(LONG).expect("down").exit, Exit::Normal));
    sup.restart_child("a").expect("restarted");
    assert!(journal.has("a made from None"));
}

#[test]
fn a_significant_child_that_is_done_meanwhile_ends_its_supervisor() {
    let journal = Journal::new();
    let spec = bot("a", &journal).restart(Restart::Temporary).significant();
    let handle = spec.handle();
    let app = Supervisor::new("app").auto_shutdown(AutoShutdown::AnySignificant).child(spec);
    let sup = app.start().expect("starts");
    sup.replace_child("a", heir("a", &journal)).expect("replaced");
    assert!(sup.wait(Duration::ZERO).is_none(), "to be replaced is not to be done");
    handle.cast(quit()).expect("accepted");
    assert!(matches!(sup.wait(LONG), Some(Exit::Shutdown)));
}

// ---- a successor that does not start -----------------------------------------------------

type Failing = Box<dyn Fn(&SupervisorHandle, &Journal) -> Result<(), ReplaceChildError>>;

/// Ways to fail, and what is said of each. The third times out by the hand that moves the clock.
fn failing() -> Vec<(Failing, &'static str)> {
    let with_init = |hook: fn(&mut Bot, &mut Context<Bot>) -> Result<Init, Oops>| -> Failing {
        Box::new(move |sup, journal| {
            let heir = heir("a", journal);
            sup.replace_child("a", move |old: Option<Bot>| {
                heir(old)
                    .on_init(move |bot, cx| if cx.epoch() == 2 { hook(bot, cx) } else { Ok(Init::Ready) })
            })
        })
    };
    let in_factory: Failing = Box::new(|sup, journal| {
        let heir = heir("a", journal);
        sup.replace_child("a", move |old: Option<Bot>| match old {
            Some(_) => Err(Oops(ErrorKind::System, "no factory")),
            None => Ok(heir(None)),
        })
    });
    let panics: Failing = Box::new(|sup, journal| {
        let heir = heir("a", journal);
        sup.replace_child("a", move |old: Option<Bot>| match old {
            Some(_) => panic_quietly("in the factory"),
            None => heir(None),
        })
    });
    vec![
        (in_factory, "failed: no factory"),
        (panics, "panicked: in the factory"),
        (with_init(|_, _| Err(Oops(ErrorKind::User, "no init"))), "failed: no init"),
        (with_init(|_, _| panic_quietly("in init")), "panicked: in init"),
    ]
}

#[test]
fn a_successor_that_fails_leaves_the_child_down_with_its_new_description_and_is_not_charged() {
    for (replace, said) in failing() {
        let journal = Journal::new();
        let (sup, handle) = one(Supervisor::new("app").intensity(0, SECOND), &journal);
        add(&handle, 5);
        let parked = handle.request(park()).expect("accepted");
        let error = replace(&sup, &journal).expect_err(said);
        let ReplaceChildError::FailedToStart { name, source } = &error else { panic!("{error}") };
        assert_eq!((&**name, source.to_string().as_str()), ("a", said));
        assert_eq!(sup.count_children().stopped, 1);
        assert!(handle.wait_down(LONG).is_some());
        parked.wait().expect_err("gone with the state");
        assert_eq!(count(&journal, "a drop"), 1, "{said}");
        sup.restart_child("a").expect("the new factory makes another");
        assert_eq!(handle.call(Msg::Total).expect("answered"), 0);
        assert_eq!(count(&journal, "a made from None"), 1, "{said}");
    }
}

#[test]
fn a_successor_that_is_too_late_is_abandoned_with_the_state() {
    let journal = Journal::new();
    let (clock, hand) = Clock::manual();
    let spec = bot("a", &journal).init_timeout(SECOND);
    let handle = spec.handle();
    let sup = Supervisor::new("app").intensity(0, SECOND).clock(clock).child(spec).start().expect("starts");
    add(&handle, 5);
    let (inside, release) = (Latch::new(), Latch::new());
    let (tell, held) = (inside.clone(), release.clone());
    let make = heir("a", &journal);
    let replacing = aside({
        let reference = sup.reference();
        move || {
            reference.replace_child("a", move |old: Option<Bot>| {
                let bot = make(old);
                if bot.total == 5 {
                    tell.open();
                    held.wait();
                }
                bot
            })
        }
    });
    inside.wait();
    hand.advance(SECOND);
    let error = replacing.done().expect_err("too late");
    assert!(
        matches!(&error, ReplaceChildError::FailedToStart { source: Exit::InitTimedOut(_), .. }),
        "{error}"
    );
    release.open();
    journal.wait_line("a drop");
    sup.restart_child("a").expect("restarted");
    assert!(journal.has("a made from None"));
}

#[test]
fn a_successor_that_declines_to_run_was_replaced_well() {
    let journal = Journal::new();
    let (sup, handle) = one(Supervisor::new("app"), &journal);
    let make = heir("a", &journal);
    let ignoring = move |old: Option<Bot>| {
        make(old).on_init(|_, cx| Ok(if cx.epoch() == 2 { Init::Ignore } else { Init::Ready }))
    };
    sup.replace_child("a", ignoring).expect("replaced");
    assert!(handle.wait_down(LONG).is_some());
    assert_eq!(sup.count_children().stopped, 1);
    sup.restart_child("a").expect("it runs now");
}

// ---- refusals ----------------------------------------------------------------------------

#[test]
fn who_cannot_be_replaced_is_refused() {
    let journal = Journal::new();
    let spec = bot("a", &journal);
    let handle = spec.handle();
    let nested = Supervisor::new("nested").child(bot("b", &journal));
    let app = Supervisor::new("app").child(spec).supervisor(nested);
    let unborn = app.reference().replace_child("a", heir("a", &journal)).expect_err("not started");
    assert!(matches!(unborn, ReplaceChildError::ShuttingDown { .. }), "{unborn}");
    let sup = app.start().expect("starts");
    let error = sup.replace_child("x", heir("x", &journal)).expect_err("unknown");
    assert!(matches!(&error, ReplaceChildError::NotFound { name } if &**name == "x"), "{error}");
    let error = sup.replace_child("b", heir("b", &journal)).expect_err("another's child");
    assert!(matches!(error, ReplaceChildError::NotFound { .. }), "{error}");
    let error = sup.replace_child("nested", heir("nested", &journal)).expect_err("a supervisor");
    assert!(matches!(error, ReplaceChildError::IsSupervisor { .. }), "{error}");
    let (reference, make) = (sup.reference(), heir("a", &journal));
    let by_itself = handle.call(ask(move |bot, _, reply| {
        let refused = reference.replace_child("a", make).expect_err("itself");
        bot.note(refused);
        reply.send(0);
        Ok(Next::Continue)
    }));
    by_itself.expect("answered");
    assert!(journal.has("a child `a` cannot wait for its own replacement"), "{:?}", journal.all());
    let reference = sup.reference();
    drop(sup);
    let error = reference.replace_child("a", heir("a", &journal)).expect_err("gone");
    assert!(matches!(error, ReplaceChildError::ShuttingDown { .. }), "{error}");
    assert!(journal.all().iter().all(|line| !line.contains("made from")));
}

#[track_caller]
fn assert_busy(sup: &SupervisorHandle, journal: &Journal, expected: Lifecycle) {
    let error = sup.replace_child("a", heir("a", journal)).expect_err("busy");
    let is_busy = matches!(&error, ReplaceChildError::Busy { state, .. } if *state == expected);
    assert!(is_busy, "{error}");
}

#[test]
fn a_child_on_its_way_is_refused() {
    let journal = Journal::new();
    let go_on = Latch::new();
    let held = go_on.clone();
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
    let sup = patient("app").child(spec).start().expect("starts");
    handle.cast(boom()).expect("accepted");
    journal.wait_line("a init 2");
    assert_busy(&sup, &journal, Lifecycle::Starting);
    go_on.open();
    handle.call(Msg::Total).expect("answered");
    let release = occupy(&handle);
    let replacing = replace_aside(&sup, "a", heir("a", &journal));
    assert_busy(&sup, &journal, Lifecycle::Terminating);
    release.open();
    replacing.done().expect("replaced");
    let (asked, release) = hang(&handle);
    let stopping = aside({
        let reference = sup.reference();
        move || reference.terminate_child("a")
    });
    asked.wait();
    assert_busy(&sup, &journal, Lifecycle::Terminating);
    release.open();
    stopping.done().expect("terminated");
    assert_eq!(journal.count(|line| line.starts_with("a made from")), 1);
}

#[test]
fn a_child_that_waits_for_its_group_is_refused() {
    let journal = Journal::new();
    let (a, b) = (bot("a", &journal), bot("b", &journal));
    let (on_a, on_b) = (a.handle(), b.handle());
    let sup = patient("app").strategy(Strategy::OneForAll).child(a).child(b).start().expect("starts");
    let (asked, release) = hang(&on_b);
    on_a.cast(boom()).expect("accepted");
    asked.wait();
    assert_busy(&sup, &journal, Lifecycle::Restarting);
    release.open();
    assert_eq!(on_a.call(Msg::Epoch).expect("answered"), 2);
}

// ---- what comes between ------------------------------------------------------------------

#[test]
fn one_that_is_terminated_meanwhile_is_stopped_with_its_state() {
    let journal = Journal::new();
    let (sup, handle) = one(Supervisor::new("app"), &journal);
    let (asked, release) = hang(&handle);
    let parked = handle.request(park()).expect("accepted");
    let replacing = replace_aside(&sup, "a", heir("a", &journal));
    let terminating = aside({
        let reference = sup.reference();
        move || reference.terminate_child("a")
    });
    asked.wait();
    let error = replacing.done().expect_err("it was terminated");
    assert!(matches!(error, ReplaceChildError::ShuttingDown { .. }), "{error}");
    release.open();
    terminating.done().expect("terminated");
    parked.wait().expect_err("stopped");
    let expected = ["a init 1", "a terminate: was shut down", "a drop"];
    assert_eq!(journal.all(), expected);
    assert!(matches!(handle.wait_down(LONG).expect("down").exit, Exit::Shutdown));
    sup.restart_child("a").expect("restarted");
    assert!(journal.has("a made from None"), "its description was replaced");
}

#[test]
fn one_that_is_stopped_with_its_group_meanwhile_starts_afresh_with_it() {
    let journal = Journal::new();
    let (a, b) = (bot("a", &journal), bot("b", &journal));
    let (on_a, on_b) = (a.handle(), b.handle());
    let sup = patient("app").strategy(Strategy::OneForAll).child(a).child(b).start().expect("starts");
    add(&on_a, 5);
    let (asked, release) = hang(&on_a);
    let replacing = replace_aside(&sup, "a", heir("a", &journal));
    on_b.cast(boom()).expect("accepted");
    asked.wait();
    release.open();
    replacing.done().expect("it runs with its new description");
    assert!(journal.has("a terminate: was shut down") && journal.has("a made from None"));
    assert_eq!(on_a.call(Msg::Total).expect("answered"), 0);
    assert_eq!((on_a.status().epoch, on_b.call(Msg::Epoch).expect("answered")), (2, 2));
}

#[test]
fn a_shutdown_meanwhile_stops_each_in_its_turn() {
    let journal = Journal::new();
    let (a, b) = (bot("a", &journal), bot("b", &journal));
    let (on_a, on_b) = (a.handle(), b.handle());
    let sup = Supervisor::new("app").child(a).child(b).start().expect("starts");
    let on_its_way = occupy(&on_a);
    let (asked, release) = hang(&on_b);
    let replacing = replace_aside(&sup, "a", heir("a", &journal));
    let stopping = aside(move || sup.shutdown(LONG));
    let error = replacing.done().expect_err("it is too late");
    assert!(matches!(error, ReplaceChildError::ShuttingDown { .. }), "{error}");
    asked.wait();
    on_its_way.open();
    on_a.cast(Msg::Add(1)).expect("it works until its turn comes");
    journal.wait_line("a add 1");
    release.open();
    assert!(stopping.done().is_clean());
    let stops: Vec<_> = journal.all().into_iter().filter(|line| line.contains("terminate")).collect();
    assert_eq!(stops, ["b terminate: was shut down", "a terminate: was shut down"]);
    assert!(!journal.all().iter().any(|line| line.contains("made from")));
}

#[test]
fn a_stop_by_a_handle_goes_before_a_hand_over() {
    let journal = Journal::new();
    let (sup, handle) = one(Supervisor::new("app").intensity(0, SECOND), &journal);
    let (asked, release) = hang(&handle);
    let replacing = replace_aside(&sup, "a", heir("a", &journal));
    let stopping = aside({
        let handle = handle.clone();
        move || handle.stop()
    });
    asked.wait();
    release.open();
    stopping.done().expect("stopped");
    replacing.done().expect("a permanent child goes on");
    assert!(journal.has("a terminate: was shut down") && journal.has("a made from None"));
}

// ---- nothing is left, and nobody else's thread runs it -----------------------------------

/// Counts what exists of something.
struct Tokens(Arc<()>);

impl Tokens {
    fn new() -> Self {
        Self(Arc::new(()))
    }

    fn one(&self) -> Arc<()> {
        Arc::clone(&self.0)
    }

    fn out(&self) -> usize {
        Arc::strong_count(&self.0) - 1
    }
}

/// Notes on which thread it is dropped.
struct Dropped(Arc<Mutex<Vec<String>>>);

impl Drop for Dropped {
    fn drop(&mut self) {
        let name = std::thread::current().name().unwrap_or("?").to_owned();
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(name);
    }
}

#[test]
fn factories_and_states_are_dropped_once_and_never_on_the_supervisors_thread() {
    let journal = Journal::new();
    let (factories, states) = (Tokens::new(), Arc::new(Tokens::new()));
    let where_dropped = Arc::new(Mutex::new(Vec::new()));
    let make = |number: u64| {
        let (held, state, threads) = (factories.one(), Arc::clone(&states), Arc::clone(&where_dropped));
        let (dropped, journal) = (Dropped(Arc::clone(&threads)), journal.clone());
        move |_old: Option<Bot>| {
            let _both = (&held, &dropped);
            let (token, dropped) = (state.one(), Mutex::new(Some(Dropped(Arc::clone(&threads)))));
            Bot::new(&format!("a{number}"), &journal).on_drop(move |_| {
                let _held = &token;
                drop(dropped.lock().unwrap_or_else(PoisonError::into_inner).take());
            })
        }
    };
    let first = make(0);
    let spec = child("a", move || first(None));
    let handle = spec.handle();
    let sup = Supervisor::new("app").child(spec).start().expect("starts");
    for number in 1..=5 {
        sup.replace_child("a", make(number)).expect("replaced");
        assert_eq!(states.out(), 1, "one state at a time");
        eventually("the old factory is gone", || factories.out() == 1);
    }
    sup.terminate_child("a").expect("terminated");
    sup.replace_child("a", make(6)).expect("replaced while it is down");
    eventually("so is that one", || factories.out() == 1);
    assert_eq!(states.out(), 0);
    sup.replace_child("x", make(7)).expect_err("unknown");
    sup.restart_child("a").expect("restarted");
    let release = occupy(&handle);
    let replacing = replace_aside(&sup, "a", make(8));
    let error = sup.replace_child("a", make(9)).expect_err("busy");
    assert!(matches!(error, ReplaceChildError::Busy { .. }), "{error}");
    let stopping = aside(move || sup.shutdown(LONG));
    replacing.done().expect_err("too late");
    release.open();
    assert!(stopping.done().is_clean());
    eventually("nothing is left", || factories.out() == 0 && states.out() == 0);
    let threads = where_dropped.lock().unwrap_or_else(PoisonError::into_inner).clone();
    assert_eq!(threads.len(), 10 + 7, "{threads:?}");
    assert!(threads.iter().all(|name| name != "app"), "{threads:?}");
}

#[test]
fn the_factory_of_a_temporary_child_is_dropped_once_it_ran() {
    let journal = Journal::new();
    let factories = Tokens::new();
    let spec = bot("a", &journal).restart(Restart::Temporary);
    let handle = spec.handle();
    let sup = Supervisor::new("app").child(spec).start().expect("starts");
    let (held, make) = (factories.one(), heir("a", &journal));
    let replaced = sup.replace_child("a", move |old| {
        let _held = &held;
        make(old)
    });
    replaced.expect("replaced");
    eventually("it ran", || factories.out() == 0);
    assert_eq!(handle.call(Msg::Epoch).expect("answered"), 2);
}

#[test]
fn replacements_under_load_lose_nothing() {
    const SENDERS: u64 = 3;
    const EACH: u64 = 2_000;
    let journal = Journal::new();
    let made = Arc::new(AtomicUsize::new(0));
    let spec = child("sum", || Counter(0)).capacity(64).overflow(Overflow::Block(LONG));
    let handle = spec.handle();
    let sup = Supervisor::new("app").intensity(0, SECOND).child(spec).start().expect("starts");
    let senders: Vec<_> = (0..SENDERS)
        .map(|_| {
            let handle = handle.clone();
            aside(move || (0..EACH).for_each(|_| handle.cast(Count::Add(1)).expect("accepted")))
        })
        .collect();
    let mut replaced = 0;
    while !senders.iter().all(Aside::is_done) || replaced < 50 {
        let made = Arc::clone(&made);
        let takes_over = move |old: Option<Counter>| {
            made.fetch_add(1, Ordering::SeqCst);
            Counter(old.expect("nobody crashed").0)
        };
        sup.replace_child("counter", takes_over.clone()).expect_err("of another name");
        sup.replace_child("sum", takes_over).expect("replaced");
        replaced += 1;
    }
    senders.into_iter().for_each(Aside::done);
    assert_eq!(handle.call(Count::Total).expect("answered"), SENDERS * EACH);
    assert_eq!(made.load(Ordering::SeqCst), replaced);
    assert_eq!(handle.status().dead_letters, 0);
    drop((sup, journal));
}

#[test]
fn terminate_and_replace_at_once_end_in_one_of_the_two() {
    let journal = Journal::new();
    let states = Arc::new(Tokens::new());
    let make = {
        let (states, journal) = (Arc::clone(&states), journal.clone());
        move |old: Option<Bot>| {
            old.unwrap_or_else(|| {
                let token = states.one();
                Bot::new("a", &journal).on_drop(move |_| drop(Arc::clone(&token)))
            })
        }
    };
    let first = make.clone();
    let spec = child("a", move || first(None));
    let handle = spec.handle();
    let sup = Supervisor::new("app").intensity(0, SECOND).child(spec).start().expect("starts");
    for _ in 0..100 {
        let replacing = aside({
            let (reference, make) = (sup.reference(), make.clone());
            move || reference.replace_child("a", make)
        });
        sup.terminate_child("a").expect("terminated");
        let outcome = replacing.done();
        let is_right = match &outcome {
            Ok(()) => true,
            Err(error) => {
                matches!(error, ReplaceChildError::ShuttingDown { .. } | ReplaceChildError::Busy { .. })
            }
        };
        assert!(is_right, "{outcome:?}");
        eventually("no state is left", || states.out() == 0);
        sup.restart_child("a").expect("it is down, whoever came first");
        assert_eq!(handle.call(Msg::Total).expect("answered"), 0);
    }
    assert!(sup.shutdown(LONG).is_clean());
    assert_eq!(states.out(), 0);
}
