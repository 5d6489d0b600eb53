//! The contract: each row of the table "what happens when" is a test, or several, named after it.

mod common;

use std::cell::RefCell;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use common::*;
use underpin::{
    CallError, CastError, Clock, DeadReason, Deadline, ErrorKind, Exit, Lifecycle, Mailbox, Next, Overflow,
    Restart, StartError, StopError, Strategy, SupervisionEvent, Supervisor,
};

// ---- identity ----------------------------------------------------------------------------

#[test]
fn identity_handle_exists_before_the_thread_and_its_messages_wait() {
    let journal = Journal::new();
    let spec = bot("a", &journal);
    let handle = spec.handle();
    handle.cast(Msg::Add(1)).expect("accepted before the start");
    let early = handle.request(Msg::Total).expect("accepted before the start");
    assert_eq!((handle.status().state, handle.status().epoch), (Lifecycle::Starting, 0));
    assert_eq!(handle.status().queued, 2);

    let sup = Supervisor::new("app").child(spec).start().expect("starts");
    assert_eq!(early.wait().expect("answered"), 1);
    assert_eq!((handle.name(), handle.status().epoch), ("a", 1));
    drop(sup);
}

#[test]
fn identity_handle_stays_valid_over_restarts() {
    let journal = Journal::new();
    let spec = bot("a", &journal);
    let (handle, clone) = (spec.handle(), spec.handle());
    let sup = patient("app").child(spec).start().expect("starts");
    let mut since = handle.status().since;
    for life in 2..=6 {
        handle.cast(boom()).expect("accepted");
        assert_eq!(clone.call(Msg::Epoch).expect("answered by the next life"), life);
        let status = handle.status();
        assert_eq!((&*status.name, status.epoch), ("a", life));
        assert!(matches!(status.last_exit, Some(Exit::Panicked(ref text)) if &**text == "boom"));
        assert!(status.since > since, "the start time is the incarnation's");
        since = status.since;
    }
    drop(sup);
}

#[test]
fn identity_no_moment_in_which_a_look_up_fails() {
    let journal = Journal::new();
    let spec = bot("a", &journal).registered();
    let handle = spec.handle();
    let sup = patient("app").child(spec).start().expect("starts");
    let registry = sup.registry();
    let stop = Arc::new(AtomicBool::new(false));
    let looker = aside({
        let stop = Arc::clone(&stop);
        move || {
            let mut looked = 0_u64;
            while !stop.load(Ordering::SeqCst) {
                assert!(registry.find::<Msg>("a").is_some(), "gone after {looked} looks");
                looked += 1;
            }
            looked
        }
    });
    for life in 2..=50 {
        handle.cast(boom()).expect("accepted");
        assert_eq!(handle.call(Msg::Epoch).expect("answered"), life);
    }
    stop.store(true, Ordering::SeqCst);
    assert!(looker.done() > 0);
    drop(sup);
}

#[test]
fn identity_monitors_are_the_childs_and_hear_of_its_end_only() {
    let journal = Journal::new();
    let (watched, watcher) = (bot("watched", &journal), bot("watcher", &journal));
    let (handle, other) = (watched.handle(), watcher.handle());
    let sup = patient("app").child(watched).child(watcher).start().expect("starts");
    let target = handle.clone();
    other
        .call(ask(move |_, cx, reply| {
            cx.monitor(&target, Msg::Gone);
            reply.send(0);
            Ok(Next::Continue)
        }))
        .expect("answered");
    for life in 2..=4 {
        handle.cast(boom()).expect("accepted");
        assert_eq!(handle.call(Msg::Epoch).expect("answered"), life);
    }
    other.call(Msg::Total).expect("whatever was told is handled");
    assert_eq!(journal.count(|line| line.contains("sees")), 0, "restarts are not told");

    sup.terminate_child("watched").expect("terminated");
    journal.wait_line("watcher sees watched was shut down after 4");
    let down = handle.wait_down(LONG).expect("it is down");
    assert_eq!((&*down.name, down.epoch), ("watched", 4));
    other.call(Msg::Total).expect("whatever was told is handled");
    assert_eq!(journal.count(|line| line.contains("sees")), 1, "told once");
    drop(sup);
}

#[test]
fn identity_state_epoch_and_timers_are_the_incarnations() {
    let (clock, hand) = Clock::manual();
    let journal = Journal::new();
    let spec = bot("a", &journal);
    let handle = spec.handle();
    let sup = patient("app").clock(clock).child(spec).start().expect("starts");
    handle.cast(Msg::Add(7)).expect("accepted");
    handle
        .call(ask(|_, cx, reply| {
            cx.send_after(SECOND, Msg::Add(1000));
            reply.send(0);
            Ok(Next::Continue)
        }))
        .expect("answered");
    handle.cast(boom()).expect("accepted");
    assert_eq!(handle.call(Msg::Epoch).expect("answered"), 2);
    hand.advance(SECOND * 10);
    assert_eq!(handle.call(Msg::Total).expect("answered"), 0, "a fresh state");
    handle.call(Msg::Total).expect("answered");
    assert!(!journal.has("a add 1000"), "the timer went with its incarnation");
    drop(sup);
}

// ---- panic or Err in handle --------------------------------------------------------------

fn crash_ends_calls_at_once(how: fn() -> Msg, in_call: fn(&'static str) -> common::Done) {
    let journal = Journal::new();
    let spec = bot("a", &journal);
    let handle = spec.handle();
    let sup = patient("app").child(spec).start().expect("starts");

    // The caller of that very message.
    let error = handle.call(ask(move |_, _, reply| {
        let _held = reply;
        in_call("in a call")
    }));
    assert!(matches!(error, Err(CallError::Crashed { ref name }) if &**name == "a"), "{error:?}");

    // Whoever was parked.
    let parked = handle.request(ask(|bot, _, reply| {
        bot.kept.push(reply);
        Ok(Next::Continue)
    }));
    let parked = parked.expect("accepted");
    handle.cast(how()).expect("accepted");
    let error = parked.wait();
    assert!(matches!(error, Err(CallError::Crashed { .. })), "{error:?}");
    assert_eq!(handle.call(Msg::Epoch).expect("answered"), 3);
    drop(sup);
}

#[test]
fn panic_or_err_in_handle_the_caller_and_parked_replies_get_crashed() {
    crash_ends_calls_at_once(boom, |text| panic_quietly(text));
    crash_ends_calls_at_once(|| fail(ErrorKind::Permanent), |text| Err(Oops(ErrorKind::System, text)));
}

#[test]
fn panic_or_err_in_handle_the_caller_hears_it_before_the_restart() {
    let journal = Journal::new();
    let restart = Latch::new();
    let held = restart.clone();
    let spec = bot_with("a", &journal, move |bot| {
        let held = held.clone();
        bot.on_init(move |_, cx| {
            if cx.epoch() > 1 {
                held.wait();
            }
            Ok(underpin::Init::Ready)
        })
    });
    let handle = spec.handle();
    let sup = patient("app").child(spec).start().expect("starts");
    let error = handle.call(ask(|_, _, _reply| panic_quietly("boom")));
    assert!(matches!(error, Err(CallError::Crashed { .. })), "{error:?}");
    assert!(!journal.has("a add 1"));
    restart.open();
    drop(sup);
}

#[test]
fn panic_or_err_in_handle_the_message_is_not_redelivered_and_the_queue_keeps_its_order() {
    let journal = Journal::new();
    let spec = bot("a", &journal);
    let handle = spec.handle();
    let sup = patient("app").child(spec).start().expect("starts");
    let go_on = occupy(&handle);
    handle.cast(Msg::Add(1)).expect("accepted");
    handle
        .cast(act(|bot, _| {
            bot.note("crashes");
            panic_quietly("boom")
        }))
        .expect("accepted");
    handle.cast(Msg::Add(2)).expect("accepted");
    handle.cast(fail(ErrorKind::Permanent)).expect("accepted");
    handle.cast(Msg::Add(3)).expect("accepted");
    handle.cast(Msg::Add(4)).expect("accepted");
    let last = handle.request(Msg::Epoch).expect("accepted");
    go_on.open();
    assert_eq!(last.wait().expect("answered"), 3);
    let told = journal.all().into_iter().filter(|line| line.contains("add") || line.contains("crashes"));
    let told: Vec<_> = told.collect();
    assert_eq!(told, ["a add 1", "a crashes", "a add 2", "a add 3", "a add 4"]);
    assert_eq!(handle.status().dead_letters, 0);
    drop(sup);
}

#[test]
fn panic_or_err_in_handle_a_cleared_mailbox_settles_calls_and_buries_casts() {
    let journal = Journal::new();
    let dead = Log::new();
    let told = dead.clone();
    let spec = bot("a", &journal).mailbox(Mailbox::Clear).on_dead_letter(move |letter| {
        let Msg::Add(n) = letter.message else { return };
        told.push((letter.name.to_string(), letter.reason, n));
    });
    let handle = spec.handle();
    let sup = patient("app").child(spec).start().expect("starts");
    let go_on = occupy(&handle);
    handle.cast(boom()).expect("accepted");
    handle.cast(Msg::Add(1)).expect("accepted");
    let call = handle.request(Msg::Total).expect("accepted");
    handle.cast(Msg::Add(2)).expect("accepted");
    go_on.open();
    let error = call.wait();
    assert!(matches!(error, Err(CallError::Crashed { .. })), "{error:?}");
    assert_eq!(handle.call(Msg::Total).expect("answered by the next life"), 0);
    assert_eq!(
        dead.all(),
        [("a".to_owned(), DeadReason::Cleared, 1), ("a".to_owned(), DeadReason::Cleared, 2)]
    );
    assert_eq!(handle.status().dead_letters, 2);
    drop(sup);
}

#[test]
fn panic_or_err_in_handle_a_calm_restart_clears_nothing() {
    let journal = Journal::new();
    let spec = bot("a", &journal).mailbox(Mailbox::Clear);
    let handle = spec.handle();
    let sup = patient("app").child(spec).start().expect("starts");
    let go_on = occupy(&handle);
    handle.cast(quit()).expect("accepted");
    handle.cast(Msg::Add(5)).expect("accepted");
    let total = handle.request(Msg::Total).expect("accepted");
    go_on.open();
    assert_eq!(total.wait().expect("answered"), 5);
    assert_eq!(handle.status().epoch, 2);
    drop(sup);
}

// ---- the next init starts ----------------------------------------------------------------

struct AtThreadEnd(Journal);

impl Drop for AtThreadEnd {
    fn drop(&mut self) {
        // A successor that did not wait for this thread would be there by then.
        self.0.comes_within(MS * 20, |line| line == "factory");
        self.0.note("thread gone");
    }
}

thread_local! {
    static AT_THREAD_END: RefCell<Option<AtThreadEnd>> = const { RefCell::new(None) };
}

#[test]
fn next_init_starts_only_after_terminate_ended_and_the_thread_was_joined() {
    let journal = Journal::new();
    let noted = journal.clone();
    let spec = underpin::child("a", move || {
        noted.note("factory");
        AT_THREAD_END.with(|end| *end.borrow_mut() = Some(AtThreadEnd(noted.clone())));
        Bot::new("a", &noted)
    });
    let handle = spec.handle();
    let sup = patient("app").child(spec).start().expect("starts");
    let ends: [fn() -> Msg; 3] = [|| fail(ErrorKind::Permanent), boom, quit];
    let heads = [Some("a terminate: failed: failed as told"), None, Some("a terminate: stopped normally")];
    for (life, (end, head)) in (1_u64..).zip(ends.into_iter().zip(heads)) {
        journal.clear();
        handle.cast(end()).expect("accepted");
        assert_eq!(handle.call(Msg::Epoch).expect("answered"), life + 1);
        let next = format!("a init {}", life + 1);
        let expected: Vec<&str> =
            head.into_iter().chain(["a drop", "thread gone", "factory", next.as_str()]).collect();
        assert_eq!(journal.all(), expected);
    }
    drop(sup);
}

#[test]
fn next_init_starts_when_the_previous_incarnation_was_abandoned() {
    let (clock, hand) = Clock::manual();
    let (journal, events) = (Journal::new(), Events::new());
    let (front, spec) = (bot("front", &journal), bot("a", &journal).shutdown(SECOND));
    let (crasher, handle) = (front.handle(), spec.handle());
    let app = patient("app").strategy(Strategy::OneForAll).clock(clock).on_event(events.hook());
    let sup = app.child(front).child(spec).start().expect("starts");
    let (asked, release) = hang(&handle);
    crasher.cast(boom()).expect("accepted");
    asked.wait();
    hand.advance(SECOND - NS);
    assert_eq!(sup.count_children().specs, 2, "answered in between");
    assert!(!journal.has("a init 2"));
    hand.advance(NS);
    assert_eq!(handle.call(Msg::Epoch).expect("answered by the successor"), 2);
    assert_eq!(crasher.call(Msg::Epoch).expect("answered"), 2);
    release.open();
    drop(sup);
    let gone =
        |event: &_| matches!(event, SupervisionEvent::Abandoned { child, epoch: 1, .. } if &**child == "a");
    assert_eq!(events.count(gone), 1);
}

// ---- the terminal stop -------------------------------------------------------------------

#[test]
fn terminal_stop_settles_queued_calls_and_buries_queued_casts() {
    let journal = Journal::new();
    let dead = Log::new();
    let told = dead.clone();
    let spec = bot("a", &journal).on_dead_letter(move |letter| {
        let Msg::Add(n) = letter.message else { return };
        told.push((letter.reason, n));
    });
    let handle = spec.handle();
    let sup = Supervisor::new("app").child(spec).start().expect("starts");
    let (asked, release) = hang(&handle);
    handle.cast(Msg::Add(1)).expect("accepted");
    let call = handle.request(Msg::Total).expect("accepted");
    let kept = handle.request(Msg::Epoch).expect("accepted");
    handle.cast(Msg::Add(2)).expect("accepted");
    let stopping = aside(move || sup.shutdown(LONG));
    asked.wait();
    release.open();
    assert!(matches!(call.wait(), Err(CallError::Stopped { .. })));
    assert!(matches!(kept.wait(), Err(CallError::Stopped { .. })));
    assert!(stopping.done().is_clean());
    assert_eq!(dead.all(), [(DeadReason::Stopped, 1), (DeadReason::Stopped, 2)]);
    let status = handle.status();
    assert_eq!((status.dead_letters, status.handled, status.queued), (2, 1, 0));
    assert_eq!(status.state, Lifecycle::Stopped);
    let refused = handle.cast(Msg::Add(3)).expect_err("it is stopped");
    assert!(matches!(refused, CastError::Stopped { ref name, .. } if &**name == "a"));
    assert!(matches!(refused.into_message(), Msg::Add(3)));
}

#[test]
fn terminal_stop_counts_dead_letters_without_a_hook() {
    let journal = Journal::new();
    let spec = bot("a", &journal);
    let handle = spec.handle();
    for n in 0..5 {
        handle.cast(Msg::Add(n)).expect("accepted");
    }
    let call = handle.request(Msg::Total).expect("accepted");
    drop(spec); // never started: it counts as stopped
    assert!(matches!(call.wait(), Err(CallError::Stopped { .. })));
    assert_eq!((handle.status().dead_letters, handle.status().state), (5, Lifecycle::Stopped));
    assert!(matches!(handle.cast(Msg::Add(0)), Err(CastError::Stopped { .. })));
}

#[test]
fn terminal_stop_parked_replies_get_stopped() {
    let journal = Journal::new();
    let spec = bot("a", &journal);
    let handle = spec.handle();
    let sup = Supervisor::new("app").child(spec).start().expect("starts");
    let parked = handle.request(ask(|bot, _, reply| {
        bot.kept.push(reply);
        Ok(Next::Continue)
    }));
    let parked = parked.expect("accepted");
    handle.call(Msg::Total).expect("the reply is parked by now");
    sup.terminate_child("a").expect("terminated");
    assert!(matches!(parked.wait(), Err(CallError::Stopped { .. })));
    drop(sup);
}

#[test]
fn terminal_stop_when_the_supervisor_gives_up() {
    let journal = Journal::new();
    let spec = bot("a", &journal);
    let handle = spec.handle();
    let sup = Supervisor::new("app").intensity(0, SECOND).child(spec).start().expect("starts");
    let go_on = occupy(&handle);
    handle.cast(boom()).expect("accepted");
    handle.cast(Msg::Add(1)).expect("accepted");
    let call = handle.request(Msg::Total).expect("accepted");
    go_on.open();
    let error = call.wait();
    assert!(matches!(error, Err(CallError::Stopped { .. })), "{error:?}");
    let exit = sup.wait(LONG).expect("it ends");
    assert!(matches!(exit, Exit::Escalated { ref child } if &**child == "a"), "{exit}");
    assert_eq!((handle.status().dead_letters, handle.status().state), (1, Lifecycle::Failed));
    assert!(matches!(handle.wait_down(LONG).expect("down").exit, Exit::Panicked(_)));
}

#[test]
fn terminal_stop_of_a_supervisor_that_was_never_started() {
    let journal = Journal::new();
    let spec = bot("a", &journal);
    let handle = spec.handle();
    let app = Supervisor::new("app").child(spec);
    let reference = app.reference();
    let (early, waiting) = (reference.clone(), handle.request(Msg::Total).expect("accepted"));
    let asking = aside(move || early.which_children().len());
    drop(app);
    assert!(matches!(waiting.wait(), Err(CallError::Stopped { .. })));
    assert_eq!(asking.done(), 0);
    assert_eq!(reference.count_children().specs, 0);
    assert_eq!((reference.status().state, handle.status().state), (Lifecycle::Stopped, Lifecycle::Stopped));
}

// ---- the late reply ----------------------------------------------------------------------

#[test]
fn late_reply_vanishes_and_the_service_can_know() {
    let journal = Journal::new();
    let spec = bot("a", &journal);
    let handle = spec.handle();
    let sup = Supervisor::new("app").child(spec).start().expect("starts");
    let (given_up, answered) = (Latch::new(), Latch::new());
    let (wait, tell) = (given_up.clone(), answered.clone());
    let late = handle.call_timeout(
        MS,
        ask(move |bot, _, reply| {
            wait.wait();
            bot.note(format_args!("abandoned: {}", reply.is_abandoned()));
            reply.send(13);
            tell.open();
            Ok(Next::Continue)
        }),
    );
    assert!(matches!(late, Err(CallError::TimedOut { ref name }) if &**name == "a"), "{late:?}");
    given_up.open();
    answered.wait();
    assert!(journal.has("a abandoned: true"));
    assert_eq!(handle.call(Msg::Total).expect("the next call is not confused by it"), 0);
    assert_eq!(handle.status().epoch, 1);
    drop(sup);
}

#[test]
fn late_reply_the_answer_is_dropped_and_not_kept() {
    struct Held(Arc<AtomicU64>);
    impl Drop for Held {
        fn drop(&mut self) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }
    struct Slow(Latch);
    enum Ask {
        Make(underpin::Reply<Held>, Arc<AtomicU64>),
        Abandoned(underpin::Reply<()>),
    }
    impl underpin::Service for Slow {
        type Msg = Ask;
        type Error = Oops;
        fn handle(&mut self, msg: Ask, _: &mut underpin::Context<Self>) -> common::Done {
            match msg {
                Ask::Make(reply, count) => {
                    self.0.wait();
                    reply.send(Held(count));
                }
                Ask::Abandoned(reply) => reply.send(()),
            }
            Ok(Next::Continue)
        }
    }
    let (dropped, release) = (Arc::new(AtomicU64::new(0)), Latch::new());
    let held = release.clone();
    let spec = underpin::child("slow", move || Slow(held.clone()));
    let handle = spec.handle();
    let sup = Supervisor::new("app").child(spec).start().expect("starts");
    let count = Arc::clone(&dropped);
    assert!(handle.call_timeout(MS, |reply| Ask::Make(reply, count)).is_err());
    let count = Arc::clone(&dropped);
    drop(handle.request(|reply| Ask::Make(reply, count)).expect("accepted"));
    release.open();
    handle.call(Ask::Abandoned).expect("answered");
    assert_eq!(dropped.load(Ordering::SeqCst), 2, "both answers are gone");
    drop(sup);
}

// ---- the reply dropped unsent ------------------------------------------------------------

#[test]
fn reply_dropped_unsent_is_told_as_soon_as_the_handler_returned() {
    let journal = Journal::new();
    let spec = bot("a", &journal);
    let handle = spec.handle();
    let sup = patient("app").child(spec).start().expect("starts");
    let (dropped, release) = (Latch::new(), Latch::new());
    let (tell, wait) = (dropped.clone(), release.clone());
    let pending = handle.request(ask(move |_, _, reply| {
        drop(reply);
        tell.open();
        wait.wait();
        Ok(Next::Continue)
    }));
    let pending = pending.expect("accepted");
    dropped.wait();
    assert!(!pending.is_ready(), "how the handler ends is not known yet");
    release.open();
    let error = pending.wait();
    assert!(matches!(error, Err(CallError::NoReply { ref name }) if &**name == "a"), "{error:?}");

    let error = handle.call(ask(|_, _, reply| {
        drop(reply);
        panic_quietly("after it was dropped")
    }));
    assert!(matches!(error, Err(CallError::Crashed { .. })), "{error:?}");
    drop(sup);
}

#[test]
fn reply_dropped_unsent_later_or_elsewhere_is_told_too() {
    let journal = Journal::new();
    let spec = bot("a", &journal);
    let handle = spec.handle();
    let sup = patient("app").child(spec).start().expect("starts");
    let parked = handle.request(ask(|bot, _, reply| {
        bot.kept.push(reply);
        Ok(Next::Continue)
    }));
    let parked = parked.expect("accepted");
    handle
        .cast(act(|bot, _| {
            bot.kept.clear();
            Ok(Next::Continue)
        }))
        .expect("accepted");
    assert!(matches!(parked.wait(), Err(CallError::NoReply { .. })));

    let elsewhere = handle.call(ask(|_, _, reply| {
        let _ = aside(move || drop(reply));
        Ok(Next::Continue)
    }));
    assert!(matches!(elsewhere, Err(CallError::NoReply { .. })), "{elsewhere:?}");

    let elsewhere = handle.call(ask(|_, _, reply| {
        std::thread::spawn(move || {
            let _held = reply;
            panic_quietly("elsewhere")
        });
        Ok(Next::Continue)
    }));
    assert!(matches!(elsewhere, Err(CallError::Crashed { .. })), "{elsewhere:?}");
    assert_eq!(handle.status().epoch, 1, "the service did not mind");
    drop(sup);
}

// ---- a call to self, or a cycle ----------------------------------------------------------

#[test]
fn call_to_self_is_refused_at_once_and_the_message_comes_back() {
    let journal = Journal::new();
    let spec = bot("a", &journal);
    let handle = spec.handle();
    let sup = Supervisor::new("app").child(spec).start().expect("starts");
    let begun = Instant::now();
    let answer = handle.call(ask(|_, cx, reply| {
        let me = cx.handle();
        match me.call(Msg::Total) {
            Err(CallError::CallingSelf { name, message: Some(Msg::Total(_)) }) if &*name == "a" => {
                reply.send(1)
            }
            other => panic!("{other:?}"),
        }
        Ok(Next::Continue)
    }));
    assert_eq!(answer.expect("answered"), 1);
    assert!(begun.elapsed() < underpin::DEFAULT_TIMEOUT);
    // Sent first and waited for second: the message is under way, the wait is refused.
    let answer = handle.call(ask(|_, cx, reply| {
        let pending = cx.handle().request(Msg::Total).expect("accepted");
        match pending.wait() {
            Err(CallError::CallingSelf { message: None, .. }) => reply.send(2),
            other => panic!("{other:?}"),
        }
        Ok(Next::Continue)
    }));
    assert_eq!(answer.expect("answered"), 2);
    assert_eq!(handle.call(Msg::Total).expect("it lives"), 0);
    drop(sup);
}

#[test]
fn call_in_a_cycle_is_refused_at_once_and_names_it() {
    let journal = Journal::new();
    let specs = [bot("a", &journal), bot("b", &journal), bot("c", &journal)];
    let [a, b, c] = [specs[0].handle(), specs[1].handle(), specs[2].handle()];
    let [x, y, z] = specs;
    let sup = patient("app").child(x).child(y).child(z).start().expect("starts");

    let (back, begun) = (a.clone(), Instant::now());
    let found = Log::new();
    let told = found.clone();
    let answer = a.call(ask(move |_, _, reply| {
        let inner = b.call(ask(move |_, _, reply| {
            let inner = c.call(ask(move |_, _, reply| {
                match back.call(Msg::Total) {
                    Err(CallError::Cycle { names, message }) => {
                        assert!(matches!(message, Some(Msg::Total(_))));
                        told.push(names.join(" -> "));
                    }
                    other => panic!("{other:?}"),
                }
                reply.send(3);
                Ok(Next::Continue)
            }));
            reply.send(inner.expect("answered"));
            Ok(Next::Continue)
        }));
        reply.send(inner.expect("answered"));
        Ok(Next::Continue)
    }));
    assert_eq!(answer.expect("answered"), 3);
    assert_eq!(found.all(), ["c -> a -> b -> c"]);
    assert!(begun.elapsed() < underpin::DEFAULT_TIMEOUT);
    drop(sup);
}

#[test]
fn call_in_a_cycle_whose_reply_was_kept_waits_for_its_deadline() {
    let journal = Journal::new();
    let (front, spec) = (bot("a", &journal), bot("b", &journal));
    let (a, b) = (front.handle(), spec.handle());
    let sup = patient("app").child(front).child(spec).start().expect("starts");
    // a calls b, and b keeps the reply: b is free.
    let (to_b, kept) = (b.clone(), Latch::new());
    let tell = kept.clone();
    let outer = a.request(ask(move |_, _, reply| {
        let answer = to_b.call(ask(move |bot, cx, reply| {
            bot.kept.push(reply);
            let tell = tell.clone();
            cx.handle()
                .cast(act(move |_, _| {
                    tell.open();
                    Ok(Next::Continue)
                }))
                .map_err(|_| Oops(ErrorKind::Permanent, "not accepted"))?;
            Ok(Next::Continue)
        }));
        reply.send(answer.expect("answered in the end"));
        Ok(Next::Continue)
    }));
    let outer = outer.expect("accepted");
    kept.wait();
    // b calls a, which waits for b: not refused, for b may answer first; the deadline decides.
    let to_a = a.clone();
    let inner = b.call(ask(move |bot, _, reply| {
        let late = to_a.call_timeout(MS * 5, Msg::Total);
        assert!(matches!(late, Err(CallError::TimedOut { .. })), "{late:?}");
        bot.kept.drain(..).for_each(|kept| kept.send(9));
        reply.send(1);
        Ok(Next::Continue)
    }));
    assert_eq!(inner.expect("answered"), 1);
    assert_eq!(outer.wait().expect("answered"), 9);
    drop(sup);
}

#[test]
fn call_that_was_not_sent_or_timed_out_leaves_no_wait_behind() {
    let journal = Journal::new();
    let (front, spec) = (bot("a", &journal), bot("b", &journal).capacity(1).overflow(Overflow::Reject));
    let (a, b) = (front.handle(), spec.handle());
    let sup = patient("app").child(front).child(spec).start().expect("starts");
    let release = occupy(&b);
    let late = b.clone();
    let answer = a.call(ask(move |_, _, reply| {
        let timed_out = late.call_timeout(MS, Msg::Total);
        assert!(matches!(timed_out, Err(CallError::TimedOut { .. })), "{timed_out:?}");
        reply.send(1);
        Ok(Next::Continue)
    }));
    assert_eq!(answer.expect("answered"), 1);
    let (full, held) = (b.clone(), Log::new());
    let keep = held.clone();
    let answer = a.call(ask(move |_, _, reply| {
        let refused = full.call(Msg::Total).expect_err("full");
        assert!(matches!(refused, CallError::NotSent(CastError::Full { .. })), "{refused:?}");
        keep.push(Arc::new(Mutex::new(refused))); // with the message, and the port in it
        reply.send(2);
        Ok(Next::Continue)
    }));
    assert_eq!(answer.expect("answered"), 2);
    release.open();
    eventually("there is space", || b.status().queued == 0);
    let back = a.clone();
    let answer = b.call(ask(move |_, _, reply| {
        reply.send(back.call(Msg::Epoch).expect("it waits for nobody"));
        Ok(Next::Continue)
    }));
    assert_eq!(answer.expect("answered"), 1);
    assert_eq!(held.count(|_| true), 1);
    drop(sup);
}

#[test]
fn call_to_another_and_back_without_a_wait_is_no_cycle() {
    let journal = Journal::new();
    let (front, spec) = (bot("a", &journal), bot("b", &journal));
    let (a, b) = (front.handle(), spec.handle());
    let sup = patient("app").child(front).child(spec).start().expect("starts");
    let (to_b, to_a) = (b.clone(), a.clone());
    let answer = a.call(ask(move |_, _, reply| {
        let inner = to_b.call(ask(move |_, _, reply| {
            to_a.cast(Msg::Add(1)).map_err(|_| Oops(ErrorKind::Permanent, "not accepted"))?;
            reply.send(4);
            Ok(Next::Continue)
        }));
        reply.send(inner.expect("answered"));
        Ok(Next::Continue)
    }));
    assert_eq!(answer.expect("answered"), 4);
    // The edge is gone with the call: the other way round is fine now.
    let to_a = a.clone();
    let answer = b.call(ask(move |_, _, reply| {
        reply.send(to_a.call(Msg::Total).expect("answered"));
        Ok(Next::Continue)
    }));
    assert_eq!(answer.expect("answered"), 1);
    drop(sup);
}

// ---- the full mailbox --------------------------------------------------------------------

/// A service that is held in its handler, with a mailbox of two that is full of `Add(1)`, `Add(2)`.
fn full(
    overflow: Overflow,
) -> (underpin::SupervisorHandle, underpin::Handle<Msg>, Latch, Journal, Log<(DeadReason, u64)>) {
    let (journal, dead) = (Journal::new(), Log::new());
    let told = dead.clone();
    let spec = bot("a", &journal).capacity(2).overflow(overflow).on_dead_letter(move |letter| {
        let n = if let Msg::Add(n) = letter.message { n } else { 0 };
        told.push((letter.reason, n));
    });
    let handle = spec.handle();
    let sup = patient("app").child(spec).start().expect("starts");
    let release = occupy(&handle);
    handle.cast(Msg::Add(1)).expect("accepted");
    handle.cast(Msg::Add(2)).expect("accepted");
    assert_eq!((handle.status().queued, handle.status().capacity), (2, 2));
    (sup, handle, release, journal, dead)
}

fn adds(journal: &Journal) -> Vec<String> {
    journal.all().into_iter().filter(|line| line.contains(" add ")).collect()
}

#[test]
fn mailbox_full_reject_hands_back_at_once() {
    let (sup, handle, release, journal, dead) = full(Overflow::Reject);
    let refused = handle.cast(Msg::Add(3)).expect_err("full");
    assert!(matches!(refused, CastError::Full { ref name, .. } if &**name == "a"));
    assert!(matches!(refused.into_message(), Msg::Add(3)));
    let refused = handle.call(Msg::Total).expect_err("full");
    assert!(matches!(refused, CallError::NotSent(CastError::Full { .. })));
    assert!(matches!(refused.into_message(), Some(Msg::Total(_))));
    release.open();
    journal.wait_line("a add 2");
    assert_eq!(handle.call(Msg::Total).expect("there is space again"), 3);
    assert_eq!(adds(&journal), ["a add 1", "a add 2"]);
    assert_eq!((handle.status().shed, dead.all().len()), (0, 0), "handed back is not lost");
    drop(sup);
}

#[test]
fn mailbox_full_drop_newest_drops_what_is_being_sent() {
    let (sup, handle, release, journal, dead) = full(Overflow::DropNewest);
    handle.cast(Msg::Add(3)).expect("accepted, and given up");
    let shed = handle.call(Msg::Total);
    assert!(matches!(shed, Err(CallError::Shed { ref name }) if &**name == "a"), "{shed:?}");
    assert_eq!(handle.status().shed, 2);
    assert_eq!(dead.all(), [(DeadReason::Shed, 3)]);
    assert_eq!(handle.status().dead_letters, 1);
    release.open();
    journal.wait_line("a add 2");
    assert_eq!(adds(&journal), ["a add 1", "a add 2"]);
    drop(sup);
}

#[test]
fn mailbox_full_drop_oldest_evicts_the_head_never_the_message_being_sent() {
    let (sup, handle, release, journal, dead) = full(Overflow::DropOldest);
    handle.cast(Msg::Add(3)).expect("accepted");
    assert_eq!(dead.all(), [(DeadReason::Shed, 1)]);
    let first = handle.request(Msg::Total).expect("accepted"); // evicts 2
    handle.cast(Msg::Add(4)).expect("accepted"); // evicts 3
    assert!(!first.is_ready());
    handle.cast(Msg::Add(5)).expect("accepted"); // evicts the call
    assert!(matches!(first.wait(), Err(CallError::Shed { .. })));
    assert_eq!(dead.all(), [(DeadReason::Shed, 1), (DeadReason::Shed, 2), (DeadReason::Shed, 3)]);
    assert_eq!((handle.status().shed, handle.status().dead_letters), (4, 3));
    release.open();
    journal.wait_line("a add 5");
    assert_eq!(adds(&journal), ["a add 4", "a add 5"]);
    drop(sup);
}

#[test]
fn mailbox_full_block_waits_for_space() {
    let (sup, handle, release, journal, _) = full(Overflow::Block(LONG));
    let sender = handle.clone();
    let blocked = aside(move || sender.cast(Msg::Add(3)));
    let caller = handle.clone();
    let asking = aside(move || caller.call(Msg::Epoch));
    assert!(!blocked.is_done());
    release.open();
    blocked.done().expect("accepted when there was space");
    assert_eq!(asking.done().expect("answered"), 1);
    journal.wait_line("a add 3");
    assert_eq!(adds(&journal), ["a add 1", "a add 2", "a add 3"]);
    drop(sup);
}

#[test]
fn mailbox_full_block_hands_back_at_its_deadline() {
    let (sup, handle, release, _, dead) = full(Overflow::Block(MS * 20));
    let begun = Instant::now();
    let refused = handle.cast(Msg::Add(3)).expect_err("full all the time");
    assert!(begun.elapsed() >= MS * 20);
    assert!(
        matches!(refused, CastError::TimedOut { ref name, waited, .. } if &**name == "a" && waited == MS * 20),
        "{refused:?}"
    );
    assert!(matches!(refused.into_message(), Msg::Add(3)));
    // A call does not wait for space beyond its own time-out.
    let refused = handle.call_timeout(MS, Msg::Total).expect_err("full all the time");
    assert!(
        matches!(refused, CallError::NotSent(CastError::TimedOut { waited, .. }) if waited == MS),
        "{refused:?}"
    );
    release.open();
    assert_eq!(handle.call(Msg::Total).expect("answered"), 3);
    assert_eq!((handle.status().shed, dead.all().len()), (0, 0));
    drop(sup);
}

#[test]
fn mailbox_full_block_hears_of_the_end() {
    let (sup, handle, release, _, _) = full(Overflow::Block(LONG * 10));
    let senders: Vec<_> = (0..3)
        .map(|n| {
            let sender = handle.clone();
            aside(move || sender.cast(Msg::Add(10 + n)))
        })
        .collect();
    let reference = sup.reference();
    let stopping = aside(move || reference.terminate_child("a"));
    release.open();
    stopping.done().expect("terminated");
    let outcomes: Vec<_> = senders.into_iter().map(Aside::done).collect();
    for refused in outcomes.into_iter().filter_map(Result::err) {
        assert!(matches!(refused, CastError::Stopped { .. }), "{refused:?}");
    }
    drop(sup);
}

#[test]
fn mailbox_full_a_service_that_casts_to_itself_is_never_blocked() {
    let journal = Journal::new();
    let spec = bot("a", &journal).capacity(1).overflow(Overflow::Block(LONG * 10));
    let handle = spec.handle();
    let sup = Supervisor::new("app").child(spec).start().expect("starts");
    let answer = handle.call(ask(|_, cx, reply| {
        let me = cx.handle();
        me.cast(Msg::Add(1)).map_err(|_| Oops(ErrorKind::Permanent, "there was space"))?;
        match me.cast(Msg::Add(2)) {
            Err(CastError::Full { message: Msg::Add(2), .. }) => reply.send(1),
            other => panic!("{other:?}"),
        }
        Ok(Next::Continue)
    }));
    assert_eq!(answer.expect("answered"), 1);
    drop(sup);
}

#[test]
fn mailbox_full_control_messages_are_never_subject_to_it() {
    let (clock, hand) = Clock::manual();
    for overflow in [Overflow::Reject, Overflow::DropNewest, Overflow::DropOldest] {
        let journal = Journal::new();
        let other = bot("other", &journal);
        let spec = bot("a", &journal).capacity(1).overflow(overflow);
        let (handle, watched) = (spec.handle(), other.handle());
        let sup = patient("app").clock(clock.clone()).child(other).child(spec).start().expect("starts");
        let target = watched.clone();
        let setup = handle.call(ask(move |_, cx, reply| {
            cx.monitor(&target, Msg::Gone);
            cx.send_after(SECOND, Msg::Add(100));
            reply.send(0);
            Ok(Next::Continue)
        }));
        setup.expect("answered");
        let release = occupy(&handle);
        handle.cast(Msg::Add(1)).expect("accepted");
        sup.terminate_child("other").expect("terminated");
        hand.advance(SECOND);
        release.open();
        journal.wait_line("a sees other was shut down after 1");
        journal.wait_line("a add 100");
        journal.wait_line("a add 1");
        assert_eq!(handle.status().shed, 0);

        let (asked, release) = hang(&handle);
        handle.cast(Msg::Add(2)).expect("accepted");
        let reference = sup.reference();
        let stopping = aside(move || reference.terminate_child("a"));
        asked.wait(); // the stop came through the full mailbox
        release.open();
        stopping.done().expect("terminated");
        assert!(!journal.has("a add 2"));
        drop(sup);
    }
}

// ---- every wait has a deadline -----------------------------------------------------------

/// Moves the clock in steps until the work is done, and returns what it came to.
fn advance_until<T>(hand: &underpin::ManualClock, step: Duration, work: Aside<T>) -> T {
    let until = Instant::now() + LONG;
    while !work.is_done() {
        assert!(Instant::now() < until, "no deadline came");
        hand.advance(step);
        std::thread::yield_now();
    }
    work.done()
}

#[test]
fn every_wait_has_a_deadline_call_five_seconds() {
    let (clock, hand) = Clock::manual();
    let journal = Journal::new();
    let spec = bot("a", &journal);
    let handle = spec.handle();
    let sup = patient("app").clock(clock.clone()).child(spec).start().expect("starts");
    let release = occupy(&handle);
    let (caller, time) = (handle.clone(), clock.clone());
    let call = aside(move || {
        let begun = time.now();
        (caller.call(Msg::Total), time.now() - begun)
    });
    let (answer, took) = advance_until(&hand, MS * 100, call);
    assert!(matches!(answer, Err(CallError::TimedOut { .. })), "{answer:?}");
    assert!(took >= underpin::DEFAULT_TIMEOUT, "not before: {took:?}");
    assert_eq!(underpin::DEFAULT_TIMEOUT, SECOND * 5);

    let (caller, time) = (handle.clone(), clock.clone());
    let call = aside(move || {
        let begun = time.now();
        (caller.call_timeout(SECOND * 60, Msg::Total), time.now() - begun)
    });
    let (answer, took) = advance_until(&hand, SECOND, call);
    assert!(matches!(answer, Err(CallError::TimedOut { .. })), "{answer:?}");
    assert!(took >= SECOND * 60, "not before: {took:?}");

    // And what the service sees of it.
    release.open();
    let left = handle.call(ask(|_, cx, reply| {
        let left = cx.deadline().instant().expect("bounded").saturating_duration_since(cx.now());
        reply.send(left.as_millis() as u64);
        Ok(Next::Continue)
    }));
    assert_eq!(left.expect("answered"), 5000);
    drop(sup);
}

#[test]
fn every_wait_has_a_deadline_init_five_seconds() {
    let (clock, hand) = Clock::manual();
    let (journal, release) = (Journal::new(), Latch::new());
    let held = release.clone();
    let spec = bot_with("a", &journal, move |bot| {
        let held = held.clone();
        bot.on_init(move |bot, _| {
            bot.note("is slow");
            held.wait();
            Ok(underpin::Init::Ready)
        })
    });
    let handle = spec.handle();
    let app = Supervisor::new("app").clock(clock).child(spec);
    let starting = aside(move || app.start());
    journal.wait_line("a is slow");
    hand.advance(SECOND * 5 - NS);
    assert_eq!(handle.status().state, Lifecycle::Initializing);
    assert!(!starting.is_done());
    hand.advance(NS);
    match starting.done() {
        Err(StartError::FailedToStart { supervisor, child, source: Exit::InitTimedOut(limit) }) => {
            assert_eq!((&*supervisor, &*child, limit), ("app", "a", SECOND * 5));
        }
        other => panic!("{other:?}"),
    }
    release.open();
    journal.wait_line("a drop");
    assert!(!journal.has("a terminate: was shut down"), "nobody listens to one that was abandoned");
}

#[test]
fn every_wait_has_a_deadline_stop_five_seconds() {
    let (clock, hand) = Clock::manual();
    let journal = Journal::new();
    let spec = bot("a", &journal);
    let handle = spec.handle();
    let sup = Supervisor::new("app").clock(clock).child(spec).start().expect("starts");
    let (asked, release) = hang(&handle);
    let reference = sup.reference();
    let stopping = aside(move || reference.terminate_child("a"));
    asked.wait();
    hand.advance(SECOND * 5 - NS);
    sup.count_children();
    assert!(!stopping.is_done());
    hand.advance(NS);
    stopping.done().expect("terminated, if not in order");
    assert!(matches!(handle.wait_down(LONG).expect("down").exit, Exit::Killed));
    release.open();
    drop(sup);
}

#[test]
fn every_wait_has_a_deadline_stop_of_a_handle_five_seconds() {
    let (clock, hand) = Clock::manual();
    let journal = Journal::new();
    let spec = bot("a", &journal);
    let handle = spec.handle();
    let sup = patient("app").clock(clock).child(spec).start().expect("starts");
    let release = occupy(&handle);
    let stopper = handle.clone();
    let stopping = aside(move || stopper.stop());
    let error = advance_until(&hand, MS * 500, stopping).expect_err("it does not come back");
    assert_eq!(error, StopError::TimedOut { name: "a".into(), waited: SECOND * 5 });
    release.open();
    assert_eq!(handle.call(Msg::Epoch).expect("it stopped after all, and was restarted"), 2);
    drop(sup);
}

#[test]
fn every_wait_has_a_deadline_blocked_send_one_second() {
    let (clock, hand) = Clock::manual();
    let journal = Journal::new();
    let spec = bot("a", &journal).capacity(1);
    let handle = spec.handle();
    let sup = Supervisor::new("app").clock(clock.clone()).child(spec).start().expect("starts");
    let release = occupy(&handle);
    handle.cast(Msg::Add(1)).expect("accepted");
    let sender = handle.clone();
    let blocked = aside(move || {
        let begun = clock.now();
        (sender.cast(Msg::Add(2)), clock.now() - begun)
    });
    let (refused, took) = advance_until(&hand, MS * 100, blocked);
    assert!(matches!(refused, Err(CastError::TimedOut { waited, .. }) if waited == SECOND), "{refused:?}");
    assert!(took >= SECOND, "not before: {took:?}");
    release.open();
    drop(sup);
}

#[test]
fn every_wait_has_a_deadline_unless_it_says_unbounded() {
    let (clock, hand) = Clock::manual();
    let journal = Journal::new();
    let spec = bot("a", &journal);
    let handle = spec.handle();
    let sup = Supervisor::new("app").clock(clock).child(spec).start().expect("starts");
    let release = occupy(&handle);
    let caller = handle.clone();
    let call = aside(move || {
        caller.call_by(
            Deadline::unbounded(),
            ask(|_, cx, reply| {
                assert_eq!(cx.deadline(), Deadline::unbounded());
                reply.send(1);
                Ok(Next::Continue)
            }),
        )
    });
    eventually("it is queued", || handle.status().queued == 1);
    for _ in 0..10 {
        hand.advance(SECOND * 3600 * 24 * 365);
    }
    assert!(!call.is_done());
    release.open();
    assert_eq!(call.done().expect("answered"), 1);
    drop(sup);
}

// ---- the hung thread ---------------------------------------------------------------------

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

// ---- timers ------------------------------------------------------------------------------

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

// ---- drop of handles ---------------------------------------------------------------------

#[test]
fn drop_of_the_last_handle_never_stops_a_service() {
    let journal = Journal::new();
    let spec = bot_with("a", &journal, |bot| {
        bot.on_init(|_, cx| {
            cx.send_after(Duration::ZERO, Msg::Add(1));
            Ok(underpin::Init::Ready)
        })
    });
    drop(spec.handle());
    let sup = Supervisor::new("app").child(spec.registered()).start().expect("starts");
    drop(sup.registry().find::<Msg>("a").expect("it is there"));
    journal.wait_line("a add 1");
    assert_eq!(sup.count_children().active, 1);
    assert!(!journal.has("a drop"));
    drop(sup);
    assert!(journal.has("a terminate: was shut down"));
}

#[test]
fn drop_of_the_supervisors_handle_stops_the_tree_in_order() {
    let journal = Journal::new();
    let nested = Supervisor::new("nested").child(bot("b", &journal)).child(bot("c", &journal));
    let sup = Supervisor::new("app")
        .child(bot("a", &journal))
        .supervisor(nested)
        .child(bot("d", &journal))
        .start()
        .expect("starts");
    journal.clear();
    let reference = sup.reference();
    drop(sup);
    let lines = journal.all();
    let expected: Vec<String> = ["d", "c", "b", "a"]
        .into_iter()
        .flat_map(|name| [format!("{name} terminate: was shut down"), format!("{name} drop")])
        .collect();
    assert_eq!(lines, expected);
    assert!(reference.which_children().is_empty());
    assert_eq!(reference.status().state, Lifecycle::Stopped);
}

#[test]
fn drop_of_the_supervisors_handle_has_a_deadline() {
    let (clock, hand) = Clock::manual();
    let (journal, events) = (Journal::new(), Events::new());
    let spec = bot("a", &journal).shutdown(SECOND * 1000);
    let handle = spec.handle();
    let app = Supervisor::new("app").clock(clock).on_event(events.hook()).shutdown_timeout(SECOND * 7);
    let sup = app.child(spec).start().expect("starts");
    let (asked, release) = hang(&handle);
    let dropping = aside(move || drop(sup));
    asked.wait();
    hand.advance(SECOND * 7 - NS);
    assert!(!dropping.is_done());
    hand.advance(NS);
    dropping.done();
    let abandoned = |event: &_| matches!(event, SupervisionEvent::Abandoned { .. });
    assert_eq!(events.count(abandoned), 1);
    release.open();
    journal.wait_line("a drop");
}

#[test]
fn drop_of_a_reference_or_of_a_clone_stops_nothing() {
    let journal = Journal::new();
    let sup = Supervisor::new("app").child(bot("a", &journal)).start().expect("starts");
    let reference = sup.reference();
    drop(reference.clone());
    drop(reference);
    assert_eq!(sup.count_children().active, 1);
    drop(sup);
}

// ---- start order is the rule of dependency -----------------------------------------------

#[test]
fn a_dependant_keeps_its_handle_while_what_it_depends_on_restarts() {
    let journal = Journal::new();
    let (store, user) = (bot("store", &journal), bot("user", &journal));
    let (store_handle, user_handle) = (store.handle(), user.handle());
    let sup = patient("app").child(store).child(user).start().expect("starts");
    let uses = store_handle.clone();
    let via_user = move || {
        let uses = uses.clone();
        user_handle.call(ask(move |_, _, reply| {
            match uses.call(Msg::Epoch) {
                Ok(epoch) => reply.send(epoch),
                Err(_) => reply.send(0), // it degrades instead of dying
            }
            Ok(Next::Continue)
        }))
    };
    assert_eq!(via_user().expect("answered"), 1);
    store_handle.cast(boom()).expect("accepted");
    assert_eq!(via_user().expect("answered"), 2);
    sup.terminate_child("store").expect("terminated");
    assert_eq!(via_user().expect("it lives, and degrades"), 0);
    sup.restart_child("store").expect("restarted");
    assert_eq!(via_user().expect("answered"), 3);
    drop(sup);
}

#[test]
fn transient_and_temporary_ends_are_terminal_too() {
    let journal = Journal::new();
    for restart in [Restart::Transient, Restart::Temporary] {
        let spec = bot("a", &journal).restart(restart);
        let handle = spec.handle();
        let sup = Supervisor::new("app").child(spec).start().expect("starts");
        let go_on = occupy(&handle);
        handle.cast(quit()).expect("accepted");
        handle.cast(Msg::Add(1)).expect("accepted");
        let call = handle.request(Msg::Total).expect("accepted");
        go_on.open();
        assert!(matches!(call.wait(), Err(CallError::Stopped { .. })));
        let down = handle.wait_down(LONG).expect("down");
        assert!(matches!(down.exit, Exit::Normal), "{}", down.exit);
        eventually("the cast is buried", || handle.status().dead_letters == 1);
        drop(sup);
    }
}
