//! One service: its start, its messages, its answers, its timers and its end.

mod common;

use std::fmt;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use common::*;
use underpin::testing::namespace;
use underpin::{
    CallError, CastError, Clock, Context, CrashContext, Deadline, ErrorKind, Exit, Handle, Init, Lifecycle,
    Next, Overflow, Reaction, Reply, Restart, Service, StartChildError, StartError, StopError,
    SupervisionEvent, Supervisor, SupervisorHandle, Wait, child, fan_out,
};

fn one(spec: underpin::ChildSpec<Bot>) -> (underpin::SupervisorHandle, underpin::Handle<Msg>) {
    let handle = spec.handle();
    (patient("app").child(spec).start().expect("starts"), handle)
}

// ---- init --------------------------------------------------------------------------------

#[test]
fn init_ok_slow_failing_and_panicking_each_is_a_typed_error_and_the_name_is_free_on_return() {
    let journal = Journal::new();
    let registry = namespace();
    let app = || Supervisor::new("app").registry(registry.clone());

    let fails =
        bot_with("a", &journal, |bot| bot.on_init(|_, _| Err(Oops(ErrorKind::User, "no")))).registered();
    let error = app().child(fails).start().expect_err("fails");
    assert!(matches!(error, StartError::FailedToStart { source: Exit::Failed(_), .. }), "{error}");
    assert!(registry.names().is_empty());

    let panics = bot_with("a", &journal, |bot| bot.on_init(|_, _| panic_quietly("boom"))).registered();
    let error = app().child(panics).start().expect_err("fails");
    assert!(matches!(error, StartError::FailedToStart { source: Exit::Panicked(_), .. }), "{error}");
    assert!(registry.names().is_empty());

    // Its thread has time enough to come as far as that: what hangs is its start, not the machine.
    let release = Latch::new();
    let held = release.clone();
    let slow = bot_with("a", &journal, move |bot| {
        let held = held.clone();
        bot.on_init(move |_, _| {
            held.wait();
            Ok(Init::Ready)
        })
    });
    let error = app().child(slow.registered().init_timeout(MS * 100)).start().expect_err("too slow");
    assert!(
        matches!(error, StartError::FailedToStart { source: Exit::InitTimedOut(limit), .. } if limit == MS * 100)
    );
    assert!(registry.names().is_empty());
    let text = error.to_string();
    assert_eq!(text, "supervisor `app`: child `a` did not start within 100ms");

    let sup = app().child(bot("a", &journal).registered()).start().expect("the name is free");
    release.open();
    assert_eq!(registry.names(), ["a"]);
    eventually("the slow one is gone", || journal.count(|line| line == "a drop") == 3);
    assert_eq!(registry.names(), ["a"], "one that was given up does not take the name with it");
    drop(sup);
    assert!(registry.names().is_empty());
}

#[test]
fn init_of_an_added_child_too_frees_the_name() {
    let journal = Journal::new();
    let sup = Supervisor::new("app").start().expect("starts");
    for _ in 0..3 {
        let spec = bot_with("a", &journal, |bot| bot.on_init(|_, _| panic_quietly("boom"))).registered();
        let handle = spec.handle();
        let error = sup.start_child(spec).expect_err("fails");
        assert_eq!(error.to_string(), "child `a` panicked: boom");
        assert!(sup.registry().names().is_empty());
        assert!(matches!(handle.cast(Msg::Add(1)), Err(CastError::Stopped { .. })));
        assert_eq!(handle.status().state, Lifecycle::Failed);
    }
    drop(sup);
}

#[test]
fn init_runs_after_the_factory_and_before_the_first_message_and_may_send_and_arm() {
    let journal = Journal::new();
    let spec = bot_with("a", &journal, |bot| {
        bot.note("factory");
        bot.on_init(|bot, cx| {
            cx.handle().cast(Msg::Add(2)).map_err(|_| Oops(ErrorKind::Permanent, "not accepted"))?;
            cx.send_after(Duration::ZERO, Msg::Add(1));
            bot.total = 10;
            Ok(Init::Ready)
        })
    });
    let (sup, handle) = one(spec);
    eventually("all is added", || handle.call(Msg::Total).expect("answered") == 13);
    assert_eq!(journal.all(), ["a factory", "a init 1", "a add 1", "a add 2"], "timers go first");
    drop(sup);
}

#[test]
fn init_may_call_its_elder_siblings_and_not_itself() {
    let journal = Journal::new();
    let elder = bot("elder", &journal).registered();
    let younger = bot_with("younger", &journal, |bot| {
        bot.on_init(|bot, cx| {
            let elder = cx.whereis::<Msg>("elder").expect("it is there");
            bot.total = elder.call(Msg::Epoch).expect("answered") + 40;
            assert!(matches!(cx.handle().call(Msg::Total), Err(CallError::CallingSelf { .. })));
            assert_eq!((cx.name(), cx.epoch()), ("younger", 1));
            Ok(Init::Ready)
        })
    });
    let handle = younger.handle();
    let sup = Supervisor::new("app").child(elder).child(younger).start().expect("starts");
    assert_eq!(handle.call(Msg::Total).expect("answered"), 41);
    drop(sup);
}

#[test]
fn a_state_need_not_be_send() {
    struct Local(Rc<u64>);
    impl Service for Local {
        type Msg = Reply<u64>;
        type Error = Oops;
        fn handle(&mut self, reply: Reply<u64>, _: &mut Context<Self>) -> Done {
            reply.send(*self.0);
            Ok(Next::Continue)
        }
    }
    let spec = child("local", || Local(Rc::new(8))).wait(Wait::Park).stack_size(256 * 1024);
    let handle = spec.handle();
    let sup = Supervisor::new("app").child(spec).start().expect("starts");
    assert_eq!(handle.call(|reply| reply).expect("answered"), 8);
    drop(sup);
}

// ---- calls -------------------------------------------------------------------------------

#[test]
fn call_normal_and_deferred() {
    let journal = Journal::new();
    let (sup, handle) = one(bot("a", &journal));
    assert_eq!(handle.call(Msg::Total).expect("answered"), 0);
    let deferred = handle.request(ask(|bot, _, reply| {
        bot.kept.push(reply);
        Ok(Next::Continue)
    }));
    let deferred = deferred.expect("accepted");
    handle.call(Msg::Total).expect("the service is free meanwhile");
    assert!(!deferred.is_ready());
    handle
        .cast(act(|bot, _| {
            bot.kept.drain(..).for_each(|reply| reply.send(5));
            Ok(Next::Continue)
        }))
        .expect("accepted");
    assert_eq!(deferred.wait().expect("answered"), 5);
    // Answered by another thread.
    let elsewhere = handle.call(ask(|_, _, reply| {
        std::thread::spawn(move || reply.send(6));
        Ok(Next::Continue)
    }));
    assert_eq!(elsewhere.expect("answered"), 6);
    drop(sup);
}

#[test]
fn call_that_times_out_leaves_the_service_alive() {
    let journal = Journal::new();
    let (sup, handle) = one(bot("a", &journal));
    let release = occupy(&handle);
    let begun = Instant::now();
    let late = handle.call_timeout(MS * 10, Msg::Total);
    assert!(begun.elapsed() >= MS * 10);
    assert!(matches!(late, Err(CallError::TimedOut { .. })), "{late:?}");
    let late = handle.call_by(Deadline::after(MS), Msg::Total);
    assert!(matches!(late, Err(CallError::TimedOut { .. })), "{late:?}");
    let late = handle.call_by(Deadline::at(begun), Msg::Total);
    assert!(matches!(late, Err(CallError::TimedOut { .. })), "a deadline that is past: {late:?}");
    release.open();
    assert_eq!(handle.call(Msg::Epoch).expect("answered"), 1);
    drop(sup);
}

#[test]
fn call_pipelined_requests_are_answered_in_order() {
    let journal = Journal::new();
    let (sup, handle) = one(bot("a", &journal));
    let release = occupy(&handle);
    let pending: Vec<_> = (0..100)
        .map(|_| {
            handle
                .request(ask(|bot, _, reply| {
                    bot.total += 1;
                    reply.send(bot.total);
                    Ok(Next::Continue)
                }))
                .expect("accepted")
        })
        .collect();
    assert!(pending.iter().all(|one| !one.is_ready() && one.name() == "a"));
    release.open();
    let answers: Vec<_> = pending.into_iter().map(|one| one.wait().expect("answered")).collect();
    assert_eq!(answers, (1..=100).collect::<Vec<u64>>());
    drop(sup);
}

#[test]
fn call_whose_pending_is_dropped_is_given_up() {
    let journal = Journal::new();
    let (sup, handle) = one(bot("a", &journal));
    let release = occupy(&handle);
    let note_abandoned = ask(|bot, _, reply| {
        bot.note(format_args!("abandoned: {}", reply.is_abandoned()));
        reply.send(1);
        Ok(Next::Continue)
    });
    let pending = handle.request(note_abandoned).expect("accepted");
    drop(pending);
    let waited_for = handle.request(ask(|bot, _, reply| {
        bot.note(format_args!("abandoned: {}", reply.is_abandoned()));
        reply.send(1);
        Ok(Next::Continue)
    }));
    release.open();
    assert_eq!(waited_for.expect("accepted").wait().expect("answered"), 1);
    assert!(journal.at("a abandoned: true") < journal.at("a abandoned: false"));
    drop(sup);
}

#[test]
fn call_pending_waits_no_longer_than_its_deadline() {
    let journal = Journal::new();
    let (sup, handle) = one(bot("a", &journal));
    let release = occupy(&handle);
    let pending = handle.request(Msg::Total).expect("accepted");
    let late = pending.wait_by(Deadline::after(MS));
    assert!(matches!(late, Err(CallError::TimedOut { .. })), "{late:?}");
    release.open();
    let ready = handle.request(Msg::Total).expect("accepted");
    eventually("answered", || ready.is_ready());
    assert_eq!(ready.wait_by(Deadline::after(Duration::ZERO)).expect("it was there"), 0);
    drop(sup);
}

#[test]
fn call_after_the_stop_is_stopped_at_once_and_hands_the_message_back() {
    let journal = Journal::new();
    let (sup, handle) = one(bot("a", &journal));
    sup.terminate_child("a").expect("terminated");
    let begun = Instant::now();
    let error = handle.call(Msg::Total).expect_err("stopped");
    assert!(matches!(error, CallError::NotSent(CastError::Stopped { .. })), "{error}");
    assert_eq!(error.to_string(), "call not sent: `a` is stopped");
    assert!(matches!(error.into_message(), Some(Msg::Total(_))));
    let error = handle.request(Msg::Total).expect_err("stopped");
    assert!(matches!(error, CastError::Stopped { .. }), "{error}");
    let error = handle.cast(Msg::Add(1)).expect_err("stopped");
    assert_eq!(error.to_string(), "`a` is stopped");
    assert!(begun.elapsed() < underpin::DEFAULT_TIMEOUT);
    drop(sup);
}

#[test]
fn call_errors_name_the_recipient() {
    let journal = Journal::new();
    let (sup, handle) = one(bot("clerk", &journal).capacity(1).overflow(Overflow::DropOldest));
    let crashed = handle.call(ask(|_, _, _| panic_quietly("boom"))).expect_err("crashed");
    assert_eq!(crashed.to_string(), "`clerk` crashed before it answered");
    assert_eq!(format!("{crashed:?}"), "CallError(`clerk` crashed before it answered)");
    let none = handle.call(ask(|_, _, _| Ok(Next::Continue))).expect_err("no reply");
    assert_eq!(none.to_string(), "`clerk` handled the message without answering");
    let failed = handle.call(ask(|_, _, _| Err(Oops(ErrorKind::User, "wrong")))).expect_err("refused");
    assert_eq!(failed.to_string(), "`clerk` refused: wrong");
    let release = occupy(&handle);
    let late = handle.call_timeout(MS, Msg::Total).expect_err("too late");
    assert_eq!(late.to_string(), "`clerk` did not answer in time");
    let shed = handle.request(Msg::Total).expect("accepted");
    handle.cast(Msg::Add(1)).expect("accepted");
    assert_eq!(shed.wait().expect_err("shed").to_string(), "`clerk` was overloaded and shed the message");
    let stopped = handle.request(Msg::Total).expect("accepted");
    let stopping = aside(move || sup.shutdown(LONG));
    eventually("told", || {
        release.open();
        stopped.is_ready()
    });
    if let Err(error) = stopped.wait() {
        assert_eq!(error.to_string(), "`clerk` stopped before it answered");
    }
    stopping.done();
}

#[test]
fn cast_never_blocks_under_reject() {
    let journal = Journal::new();
    let (sup, handle) = one(bot("a", &journal).capacity(3).overflow(Overflow::Reject));
    let release = occupy(&handle);
    let begun = Instant::now();
    let refused: Vec<_> = (0..1000).filter_map(|n| handle.cast(Msg::Add(n)).err()).collect();
    assert!(begun.elapsed() < Duration::from_secs(1), "no wait for space");
    assert_eq!(refused.len(), 997);
    let mut handed_back = refused.into_iter().map(CastError::into_message);
    assert!(matches!(handed_back.next(), Some(Msg::Add(3))));
    release.open();
    eventually("all are handled", || handle.status().handled == 4);
    drop(sup);
}

#[test]
fn status_is_answered_without_the_service() {
    let journal = Journal::new();
    let (sup, handle) = one(bot("a", &journal).capacity(16));
    handle.call(Msg::Total).expect("answered");
    let release = occupy(&handle);
    for n in 0..3 {
        handle.cast(Msg::Add(n)).expect("accepted");
    }
    let status = handle.status();
    assert_eq!((&*status.name, status.state, status.epoch), ("a", Lifecycle::Processing, 1));
    assert_eq!((status.queued, status.capacity, status.shed, status.dead_letters), (3, 16, 0, 0));
    assert!(status.last_exit.is_none());
    release.open();
    eventually("at rest", || handle.status().state == Lifecycle::Running && handle.status().queued == 0);
    assert_eq!(handle.status().handled, 5);
    drop(sup);
    assert_eq!(handle.status().state, Lifecycle::Stopped);
    assert!(matches!(handle.status().last_exit, Some(Exit::Shutdown)));
}

// ---- errors by their kind ----------------------------------------------------------------

#[test]
fn error_kinds_react_by_the_table() {
    for (kind, reaction) in [
        (ErrorKind::Transient, Reaction::Answer),
        (ErrorKind::User, Reaction::Answer),
        (ErrorKind::Permanent, Reaction::Restart),
        (ErrorKind::System, Reaction::Restart),
    ] {
        assert_eq!(kind.reaction(), reaction);
        for overridden in [false, true] {
            let other = if reaction == Reaction::Answer { Reaction::Restart } else { Reaction::Answer };
            let journal = Journal::new();
            let spec = bot("a", &journal);
            let spec = if overridden { spec.on_error(kind, other) } else { spec };
            let (sup, handle) = one(spec);
            let expected = if overridden { other } else { reaction };
            handle.cast(Msg::Add(3)).expect("accepted");
            let error =
                handle.call(ask(move |_, _, _reply| Err(Oops(kind, "as told")))).expect_err("an error");
            let total = handle.call(Msg::Total).expect("answered");
            match expected {
                Reaction::Answer => {
                    match error {
                        CallError::Failed { name, kind: said, source } => {
                            assert_eq!((&*name, said, source.to_string()), ("a", kind, "as told".to_owned()));
                        }
                        other => panic!("{other:?}"),
                    }
                    assert_eq!((total, handle.status().epoch), (3, 1), "the state is kept");
                }
                Reaction::Restart => {
                    assert!(matches!(error, CallError::Crashed { .. }), "{error}");
                    assert_eq!((total, handle.status().epoch), (0, 2), "a fresh state");
                    assert!(journal.has("a terminate: failed: as told"));
                }
            }
            drop(sup);
        }
    }
}

#[test]
fn error_kinds_an_answered_error_touches_only_its_own_call() {
    let (journal, events) = (Journal::new(), Events::new());
    let spec = bot("a", &journal);
    let handle = spec.handle();
    let sup = Supervisor::new("app").intensity(0, SECOND).on_event(events.hook()).child(spec);
    let sup = sup.start().expect("starts");
    let parked = handle.request(ask(|bot, _, reply| {
        bot.kept.push(reply);
        Ok(Next::Continue)
    }));
    let parked = parked.expect("accepted");
    handle.cast(fail(ErrorKind::User)).expect("accepted");
    // A reply that was answered before the error keeps its answer.
    let answered = handle.call(ask(|_, _, reply| {
        reply.send(1);
        Err(Oops(ErrorKind::Transient, "later"))
    }));
    assert_eq!(answered.expect("answered"), 1);
    assert!(!parked.is_ready());
    handle
        .cast(act(|bot, _| {
            bot.kept.drain(..).for_each(|reply| reply.send(2));
            Ok(Next::Continue)
        }))
        .expect("accepted");
    assert_eq!(parked.wait().expect("answered"), 2);
    assert_eq!(handle.status().epoch, 1);
    drop(sup);
    assert!(events.crashes().is_empty());
    let kinds: Vec<_> = events
        .all()
        .into_iter()
        .filter_map(|event| match event {
            SupervisionEvent::Answered { kind, .. } => Some(kind),
            _ => None,
        })
        .collect();
    assert_eq!(kinds, [ErrorKind::User, ErrorKind::Transient]);
}

#[test]
fn error_kinds_do_not_matter_in_init_and_do_in_idle() {
    let journal = Journal::new();
    let (sup, handle) = one(bot("a", &journal));
    drop(sup);
    assert!(handle.status().last_exit.is_some());

    struct Idler(Arc<AtomicU64>);
    impl Service for Idler {
        type Msg = ();
        type Error = Oops;
        fn init(&mut self, cx: &mut Context<Self>) -> Result<Init, Oops> {
            cx.set_idle_timeout(Some(MS));
            Ok(Init::Ready)
        }
        fn handle(&mut self, (): (), _: &mut Context<Self>) -> Done {
            Ok(Next::Continue)
        }
        fn idle(&mut self, _: &mut Context<Self>) -> Done {
            match self.0.fetch_add(1, Ordering::SeqCst) {
                0 => Err(Oops(ErrorKind::Permanent, "idle")),
                1 => panic_quietly("idle"),
                _ => Ok(Next::Stop),
            }
        }
    }
    let events = Events::new();
    let count = Arc::new(AtomicU64::new(0));
    let own = Arc::clone(&count);
    let spec = child("idler", move || Idler(Arc::clone(&own))).restart(Restart::Transient);
    let handle = spec.handle();
    let sup = patient("app").on_event(events.hook()).child(spec).start().expect("starts");
    assert!(matches!(handle.wait_down(LONG).expect("down").exit, Exit::Normal));
    drop(sup);
    let crashes = events.crashes();
    assert_eq!(crashes.len(), 2);
    assert!(
        crashes.iter().all(|crash| crash.label == Some("idle") && crash.context == CrashContext::Running)
    );
}

// ---- deadlines ---------------------------------------------------------------------------

#[test]
fn deadlines_are_inherited_by_nested_calls() {
    let (clock, _hand) = Clock::manual();
    let journal = Journal::new();
    let specs = [bot("a", &journal), bot("b", &journal), bot("c", &journal)];
    let [a, b, c] = [specs[0].handle(), specs[1].handle(), specs[2].handle()];
    let [x, y, z] = specs;
    let sup = patient("app").clock(clock.clone()).child(x).child(y).child(z).start().expect("starts");
    let millis =
        |cx: &Context<Bot>| cx.deadline().instant().map_or(u64::MAX, |at| (at - cx.now()).as_millis() as u64);
    // 700 ms at the bottom; the default, and ten minutes, above.
    let log = Log::new();
    let told = log.clone();
    let answer = a.call_timeout(
        MS * 700,
        ask(move |_, cx, reply| {
            told.push(millis(cx));
            let told = told.clone();
            let inner = b.call(ask(move |_, cx, reply| {
                told.push(millis(cx));
                let told = told.clone();
                let inner = c.call_timeout(
                    SECOND * 600,
                    ask(move |_, cx, reply| {
                        told.push(millis(cx));
                        reply.send(1);
                        Ok(Next::Continue)
                    }),
                );
                reply.send(inner.expect("answered"));
                Ok(Next::Continue)
            }));
            reply.send(inner.expect("answered"));
            Ok(Next::Continue)
        }),
    );
    assert_eq!(answer.expect("answered"), 1);
    assert_eq!(log.all(), [700, 700, 700]);
    drop(sup);
}

#[test]
fn deadlines_shorter_ones_stay_shorter_and_casts_have_none() {
    let (clock, _hand) = Clock::manual();
    let journal = Journal::new();
    let (front, spec) = (bot("a", &journal), bot("b", &journal));
    let (a, b) = (front.handle(), spec.handle());
    let sup = patient("app").clock(clock).child(front).child(spec).start().expect("starts");
    let left = || {
        ask(|_, cx, reply| {
            reply.send(cx.deadline().instant().map_or(0, |at| (at - cx.now()).as_millis() as u64));
            Ok(Next::Continue)
        })
    };
    let to_b = b.clone();
    let answer = a.call(ask(move |_, _, reply| {
        reply.send(to_b.call_timeout(MS * 30, left()).expect("answered"));
        Ok(Next::Continue)
    }));
    assert_eq!(answer.expect("answered"), 30);
    // In a cast nothing is inherited.
    let (to_b, log) = (b.clone(), Log::new());
    let told = log.clone();
    let cast = a.cast(act(move |_, cx| {
        assert_eq!(cx.deadline(), Deadline::unbounded());
        told.push(to_b.call_timeout(SECOND * 60, left()).expect("answered"));
        Ok(Next::Continue)
    }));
    cast.expect("accepted");
    assert_eq!(log.wait(|_| true), 60_000);
    // After the call is over its deadline is, too: a request that is waited for inherits as well.
    let to_b = b.clone();
    let answer = a.call_timeout(
        MS * 90,
        ask(move |_, _, reply| {
            let pending = to_b.request(left()).expect("accepted");
            let own = pending.wait().expect("answered");
            reply.send(own);
            Ok(Next::Continue)
        }),
    );
    assert!(answer.expect("answered") >= 90);
    drop(sup);
}

#[test]
fn deadlines_a_nested_call_gives_up_with_its_caller() {
    let journal = Journal::new();
    let (front, spec) = (bot("a", &journal), bot("b", &journal));
    let (a, b) = (front.handle(), spec.handle());
    let sup = patient("app").child(front).child(spec).start().expect("starts");
    let release = occupy(&b);
    let (to_b, log) = (b.clone(), Log::new());
    let told = log.clone();
    let late = a.call_timeout(
        MS * 20,
        ask(move |_, _, reply| {
            let begun = Instant::now();
            let inner = to_b.call_timeout(LONG * 10, Msg::Total);
            told.push((matches!(inner, Err(CallError::TimedOut { .. })), begun.elapsed()));
            drop(reply);
            Ok(Next::Continue)
        }),
    );
    assert!(matches!(late, Err(CallError::TimedOut { .. } | CallError::NoReply { .. })), "{late:?}");
    let (timed_out, took) = log.wait(|_| true);
    assert!(timed_out && took < LONG, "{took:?}");
    release.open();
    drop(sup);
}

// ---- timers and idleness -----------------------------------------------------------------

#[test]
fn idle_time_out_is_told_once_and_cancelled_by_any_message() {
    let (clock, hand) = Clock::manual();
    let journal = Journal::new();
    let spec = bot_with("a", &journal, |bot| {
        bot.on_init(|_, cx| {
            cx.set_idle_timeout(Some(SECOND));
            Ok(Init::Ready)
        })
    });
    let handle = spec.handle();
    let sup = patient("app").clock(clock).child(spec).start().expect("starts");
    let at_rest = || {
        eventually("at rest", || handle.status().state == Lifecycle::Running && handle.status().queued == 0);
    };
    for _ in 0..5 {
        at_rest();
        hand.advance(SECOND - NS);
        handle.call(Msg::Total).expect("it puts the time-out off");
    }
    assert!(!journal.has("a idle"));
    at_rest();
    hand.advance(SECOND);
    journal.wait_line("a idle");
    hand.advance(SECOND * 10);
    at_rest();
    hand.advance(SECOND * 10);
    handle.call(Msg::Total).expect("answered");
    assert_eq!(journal.count(|line| line == "a idle"), 1, "once, until a message comes");
    at_rest();
    hand.advance(SECOND);
    journal.wait_count(2, |line| line == "a idle");
    let off = handle.call(ask(|_, cx, reply| {
        cx.set_idle_timeout(None);
        reply.send(0);
        Ok(Next::Continue)
    }));
    off.expect("answered");
    at_rest();
    hand.advance(SECOND * 10);
    handle.call(Msg::Total).expect("answered");
    assert_eq!(journal.count(|line| line == "a idle"), 2);
    drop(sup);
}

#[test]
fn timers_of_one_moment_fire_in_the_order_they_were_set_and_a_tick_can_rearm_itself() {
    fn tick(left: u64) -> Msg {
        act(move |bot, cx| {
            if left > 0 {
                cx.send_after(SECOND, tick(left - 1));
            }
            bot.note(format_args!("tick {left}"));
            Ok(Next::Continue)
        })
    }
    let (clock, hand) = Clock::manual();
    let journal = Journal::new();
    let spec = bot("a", &journal);
    let handle = spec.handle();
    let sup = patient("app").clock(clock).child(spec).start().expect("starts");
    let armed = handle.call(ask(|_, cx, reply| {
        let due = cx.now() + SECOND;
        for n in [3, 1, 2] {
            cx.send_at(due, Msg::Add(n));
        }
        cx.send_after(SECOND, tick(2));
        cx.send_after(Duration::MAX, Msg::Add(99));
        reply.send(0);
        Ok(Next::Continue)
    }));
    armed.expect("answered");
    for left in [2, 1, 0] {
        hand.advance(SECOND);
        journal.wait_line(&format!("a tick {left}"));
    }
    let lines: Vec<_> = journal.all().into_iter().skip(1).collect();
    assert_eq!(lines, ["a add 3", "a add 1", "a add 2", "a tick 2", "a tick 1", "a tick 0"]);
    drop(sup);
}

#[test]
fn timers_on_the_real_clock_are_never_early() {
    let journal = Journal::new();
    let (sup, handle) = one(bot("a", &journal));
    let log = Log::new();
    let told = log.clone();
    let armed = handle.call(ask(move |_, cx, reply| {
        let begun = cx.now();
        for millis in [15, 5, 10] {
            let told = told.clone();
            let due = Duration::from_millis(millis);
            cx.send_after(
                due,
                act(move |_, cx| {
                    told.push((millis, cx.now() - begun >= due));
                    Ok(Next::Continue)
                }),
            );
        }
        reply.send(0);
        Ok(Next::Continue)
    }));
    armed.expect("answered");
    log.wait_count(3, |_| true);
    assert_eq!(log.all(), [(5, true), (10, true), (15, true)]);
    drop(sup);
}

// ---- monitors ----------------------------------------------------------------------------

fn watch(watcher: &underpin::Handle<Msg>, target: &underpin::Handle<Msg>) {
    let target = target.clone();
    let set = watcher.call(ask(move |_, cx, reply| {
        cx.monitor(&target, Msg::Gone);
        reply.send(0);
        Ok(Next::Continue)
    }));
    set.expect("answered");
}

#[test]
fn monitor_tells_the_last_words_first_and_how_it_ended() {
    let journal = Journal::new();
    let (watcher, dying) = (bot("watcher", &journal), bot("dying", &journal).restart(Restart::Temporary));
    let (w, d) = (watcher.handle(), dying.handle());
    let sup = patient("app").child(watcher).child(dying).start().expect("starts");
    watch(&w, &d);
    let (to, release) = (w.clone(), occupy(&w));
    d.cast(act(move |_, _| {
        for n in 0..10 {
            to.cast(Msg::Add(n)).map_err(|_| Oops(ErrorKind::Permanent, "not accepted"))?;
        }
        panic_quietly("last words")
    }))
    .expect("accepted");
    assert!(d.wait_down(LONG).is_some(), "told after the one that was set before");
    release.open();
    journal.wait_line("watcher sees dying panicked: last words after 1");
    assert_eq!(journal.count(|line| line.contains("watcher add")), 10);
    assert!(journal.at("watcher add 9") < journal.at("watcher sees dying panicked: last words after 1"));
    // One that is gone already is told at once.
    watch(&w, &d);
    journal.wait_count(2, |line| line.contains("sees dying"));
    drop(sup);
}

#[test]
fn monitor_removed_is_not_told_even_if_it_was_on_its_way() {
    let journal = Journal::new();
    let (watcher, dying) = (bot("watcher", &journal), bot("dying", &journal));
    let (w, d) = (watcher.handle(), dying.handle());
    let sup = patient("app").child(watcher).child(dying).start().expect("starts");
    let target = d.clone();
    let reference = sup.reference();
    let answer = w.call(ask(move |_, cx, reply| {
        let first = cx.monitor(&target, Msg::Gone);
        let second = cx.monitor(&target, Msg::Gone);
        assert!(cx.demonitor(first));
        assert!(!cx.demonitor(first), "removed once");
        reference.terminate_child("dying").expect("terminated");
        reply.send(u64::from(cx.demonitor(second)));
        Ok(Next::Continue)
    }));
    assert_eq!(answer.expect("answered"), 1);
    w.call(Msg::Total).expect("answered");
    w.call(Msg::Total).expect("answered");
    assert_eq!(journal.count(|line| line.contains("sees")), 0);
    drop(sup);
}

#[test]
fn monitor_ends_with_the_incarnation_that_set_it() {
    let journal = Journal::new();
    let (watcher, dying) = (bot("watcher", &journal), bot("dying", &journal));
    let (w, d) = (watcher.handle(), dying.handle());
    let sup = patient("app").child(watcher).child(dying).start().expect("starts");
    watch(&w, &d);
    w.cast(boom()).expect("accepted");
    assert_eq!(w.call(Msg::Epoch).expect("answered"), 2);
    watch(&w, &d);
    sup.terminate_child("dying").expect("terminated");
    journal.wait_line("watcher sees dying was shut down after 1");
    w.call(Msg::Total).expect("answered");
    assert_eq!(journal.count(|line| line.contains("sees")), 1, "the second life's only");
    // Started again, it can be watched again.
    sup.restart_child("dying").expect("restarted");
    watch(&w, &d);
    w.call(Msg::Total).expect("answered");
    assert_eq!(journal.count(|line| line.contains("sees")), 1);
    sup.terminate_child("dying").expect("terminated");
    journal.wait_line("watcher sees dying was shut down after 2");
    drop(sup);
}

#[test]
fn wait_down_times_out_while_it_lives_and_tells_everyone_after() {
    let journal = Journal::new();
    let (sup, handle) = one(bot("a", &journal));
    assert!(handle.wait_down(MS).is_none());
    let waiters: Vec<_> = (0..4)
        .map(|_| {
            let handle = handle.clone();
            aside(move || handle.wait_down(LONG))
        })
        .collect();
    sup.terminate_child("a").expect("terminated");
    for waiter in waiters {
        let down = waiter.done().expect("told");
        assert!(matches!(down.exit, Exit::Shutdown));
    }
    assert!(handle.wait_down(Duration::ZERO).is_some());
    drop(sup);
}

// ---- the end -----------------------------------------------------------------------------

#[test]
fn stop_of_itself_is_refused_and_of_a_hung_one_times_out() {
    let journal = Journal::new();
    let (sup, handle) = one(bot("a", &journal));
    let answer = handle.call(ask(|_, cx, reply| {
        let refused = cx.handle().stop();
        reply.send(u64::from(refused == Err(StopError::StoppingSelf { name: "a".into() })));
        Ok(Next::Continue)
    }));
    assert_eq!(answer.expect("answered"), 1);
    let release = occupy(&handle);
    let error = handle.stop_timeout(MS * 5).expect_err("it hangs");
    assert_eq!(error.to_string(), "`a` did not stop within 5ms");
    release.open();
    assert_eq!(handle.call(Msg::Epoch).expect("it stopped, and was restarted"), 2);
    drop(sup);
}

#[test]
fn a_panic_in_terminate_still_gives_one_exit() {
    let (journal, events) = (Journal::new(), Events::new());
    let spec = bot_with("a", &journal, |bot| bot.on_terminate(|_, _| panic_quietly("in terminate")));
    let spec = spec.restart(Restart::Transient);
    let handle = spec.handle();
    let sup = Supervisor::new("app").intensity(0, SECOND).on_event(events.hook()).child(spec);
    let sup = sup.start().expect("starts");
    handle.cast(quit()).expect("accepted");
    let down = handle.wait_down(LONG).expect("down");
    assert!(matches!(down.exit, Exit::Normal), "the exit it had: {}", down.exit);
    assert!(journal.has("a drop"));
    eventually("the supervisor has heard of it", || sup.count_children().stopped == 1);
    sup.restart_child("a").expect("restarted");
    assert_eq!(handle.call(Msg::Epoch).expect("answered"), 2);
    drop(sup);
    let crashes = events.crashes();
    assert_eq!(crashes.len(), 2, "{crashes:?}");
    assert!(crashes.iter().all(|crash| crash.aftermath.as_deref() == Some("in terminate")));
}

#[test]
fn a_panic_in_handle_and_in_the_drop_that_follows_are_both_told() {
    let (journal, events) = (Journal::new(), Events::new());
    let spec = bot_with("a", &journal, |bot| bot.on_drop(|_| panic_quietly("in drop")));
    let handle = spec.handle();
    let sup = patient("app").on_event(events.hook()).child(spec).start().expect("starts");
    let parked = handle.request(ask(|bot, _, reply| {
        bot.kept.push(reply);
        Ok(Next::Continue)
    }));
    handle.cast(boom()).expect("accepted");
    assert!(matches!(parked.expect("accepted").wait(), Err(CallError::Crashed { .. })));
    assert_eq!(handle.call(Msg::Epoch).expect("answered"), 2);
    let crash = events.crash_of("a", 1);
    assert!(matches!(crash.exit, Exit::Panicked(ref text) if &**text == "boom"));
    assert_eq!(crash.aftermath.as_deref(), Some("in drop"));
    drop(sup);
}

#[test]
fn a_panic_in_label_or_in_the_text_of_an_error_does_not_kill_the_report() {
    struct Nasty;
    struct Mute;
    impl fmt::Debug for Mute {
        fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
            panic_quietly("in Debug")
        }
    }
    impl fmt::Display for Mute {
        fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
            panic_quietly("in Display")
        }
    }
    impl std::error::Error for Mute {}
    impl Service for Nasty {
        type Msg = u8;
        type Error = Mute;
        fn handle(&mut self, msg: u8, _: &mut Context<Self>) -> Result<Next, Mute> {
            match msg {
                0 => Ok(Next::Continue),
                1 => panic_quietly("boom"),
                _ => Err(Mute),
            }
        }
        fn label(msg: &u8) -> &'static str {
            if *msg == 3 { panic_quietly("in label") } else { "nasty" }
        }
        fn kind(_: &Mute) -> ErrorKind {
            ErrorKind::System
        }
    }
    let events = Events::new();
    let spec = child("nasty", || Nasty);
    let handle = spec.handle();
    let sup = patient("app").on_event(events.hook()).child(spec).start().expect("starts");
    for msg in [0, 1, 2, 3, 0] {
        handle.cast(msg).expect("accepted");
    }
    let second = events.crash_of("nasty", 2);
    assert!(matches!(second.exit, Exit::Failed(_)), "its text cannot be told, its kind can");
    assert_eq!((second.label, second.epoch), (Some("nasty"), 2));
    let third = events.crash_of("nasty", 3);
    assert!(matches!(third.exit, Exit::Panicked(ref text) if &**text == "in label"));
    assert_eq!((third.label, third.context), (None, CrashContext::Running));
    eventually("the last is handled", || handle.status().queued == 0 && handle.status().epoch == 4);
    drop(sup);
}

#[test]
fn a_panic_in_the_kind_of_an_error_is_a_crash() {
    struct Unkind;
    impl Service for Unkind {
        type Msg = Reply<u64>;
        type Error = Oops;
        fn handle(&mut self, reply: Reply<u64>, cx: &mut Context<Self>) -> Done {
            if cx.epoch() == 1 {
                return Err(Oops(ErrorKind::User, "never classified"));
            }
            reply.send(cx.epoch());
            Ok(Next::Continue)
        }
        fn kind(_: &Oops) -> ErrorKind {
            panic_quietly("in kind")
        }
    }
    let spec = child("unkind", || Unkind);
    let handle = spec.handle();
    let sup = patient("app").child(spec).start().expect("starts");
    assert!(matches!(handle.call(|reply| reply), Err(CallError::Crashed { .. })));
    assert_eq!(handle.call(|reply| reply).expect("answered"), 2);
    drop(sup);
}

#[test]
fn a_panic_in_a_dead_letter_hook_or_in_the_drop_of_a_message_costs_only_itself() {
    let journal = Journal::new();
    let seen = Arc::new(AtomicU64::new(0));
    let count = Arc::clone(&seen);
    let spec = bot("a", &journal).on_dead_letter(move |_| {
        count.fetch_add(1, Ordering::SeqCst);
        panic_quietly("in the hook")
    });
    let (sup, handle) = one(spec);
    let (asked, release) = hang(&handle);
    for n in 0..5 {
        handle.cast(Msg::Add(n)).expect("accepted");
    }
    let call = handle.request(Msg::Total).expect("accepted");
    let stopping = aside(move || sup.shutdown(LONG));
    asked.wait();
    release.open();
    assert!(matches!(call.wait(), Err(CallError::Stopped { .. })));
    assert!(stopping.done().is_clean());
    assert_eq!((seen.load(Ordering::SeqCst), handle.status().dead_letters), (5, 5));
}

#[test]
fn terminate_is_called_after_a_calm_end_or_an_error_and_not_after_a_panic() {
    let journal = Journal::new();
    let (sup, handle) = one(bot("a", &journal));
    handle.cast(quit()).expect("accepted");
    handle.cast(fail(ErrorKind::Permanent)).expect("accepted");
    handle.cast(boom()).expect("accepted");
    assert_eq!(handle.call(Msg::Epoch).expect("answered"), 4);
    handle.stop().expect("stopped");
    assert_eq!(handle.call(Msg::Epoch).expect("answered"), 5);
    drop(sup);
    let ends: Vec<_> = journal.all().into_iter().filter(|line| !line.contains("init")).collect();
    assert_eq!(
        ends,
        [
            "a terminate: stopped normally",
            "a drop",
            "a terminate: failed: failed as told",
            "a drop",
            "a drop",
            "a terminate: was shut down",
            "a drop",
            "a terminate: was shut down",
            "a drop",
        ]
    );
}

#[test]
fn a_long_callback_can_see_that_it_is_to_stop() {
    let journal = Journal::new();
    let (sup, handle) = one(bot("a", &journal));
    let (asked, release) = hang(&handle);
    let stopping = aside(move || sup.shutdown(LONG));
    asked.wait();
    release.open();
    assert!(stopping.done().is_clean());
    assert!(journal.has("a terminate: was shut down"));
}

// ---- fan-out -----------------------------------------------------------------------------

#[test]
fn fan_out_returns_the_good_and_the_bad_under_one_deadline() {
    let journal = Journal::new();
    let names = ["a", "b", "c", "d", "e"];
    let specs: Vec<_> = names.iter().map(|name| bot(name, &journal)).collect();
    let handles: Vec<_> = specs.iter().map(underpin::ChildSpec::handle).collect();
    let sup = specs.into_iter().fold(patient("app"), Supervisor::child).start().expect("starts");
    handles[0].cast(Msg::Add(7)).expect("accepted");
    let release = occupy(&handles[1]); // will be late
    sup.terminate_child("c").expect("terminated");
    let begun = Instant::now();
    let out = fan_out(&handles, Deadline::after(MS * 30), Msg::Total);
    let took = begun.elapsed();
    let good: Vec<_> = out.answers.iter().map(|(name, total)| (&**name, *total)).collect();
    assert_eq!(good, [("a", 7), ("d", 0), ("e", 0)]);
    let bad: Vec<_> = out.failures.iter().map(|(name, error)| (&**name, error.to_string())).collect();
    assert_eq!(
        bad,
        [("b", "`b` did not answer in time".to_owned()), ("c", "call not sent: `c` is stopped".to_owned())]
    );
    assert!(took >= MS * 30 && took < LONG);
    release.open();
    let out = fan_out(&handles[3..], Deadline::unbounded(), Msg::Epoch);
    assert_eq!((out.answers.len(), out.failures.len()), (2, 0));
    let none = fan_out(&[], Deadline::unbounded(), Msg::Epoch);
    assert!(none.answers.is_empty() && none.failures.is_empty());
    drop(sup);
}

#[test]
fn fan_out_asks_all_at_once() {
    // Each answers only when the other has been asked, too.
    let journal = Journal::new();
    let (x, y) = (bot("x", &journal), bot("y", &journal));
    let handles = [x.handle(), y.handle()];
    let sup = patient("app").child(x).child(y).start().expect("starts");
    let meeting = Arc::new(std::sync::Barrier::new(2));
    let out = fan_out(&handles, Deadline::after(LONG), |reply| {
        let meeting = Arc::clone(&meeting);
        ask(move |_, _, reply| {
            meeting.wait();
            reply.send(1);
            Ok(Next::Continue)
        })(reply)
    });
    assert_eq!((out.answers.len(), out.failures.len()), (2, 0));
    drop(sup);
}

/// A bot that is held in its handler, with a mailbox for one that is full, and who opens it again.
fn held_and_full(name: &str, journal: &Journal, clock: Clock) -> (SupervisorHandle, Handle<Msg>, Latch) {
    let spec = bot(name, journal).capacity(1).overflow(Overflow::Block(LONG * 10));
    let handle = spec.handle();
    let sup = patient("full").clock(clock).child(spec).start().expect("starts");
    let release = occupy(&handle);
    handle.cast(Msg::Add(1)).expect("accepted");
    (sup, handle, release)
}

#[test]
fn fan_out_keeps_nobody_waiting_for_a_full_mailbox_of_another() {
    let (clock, hand) = Clock::manual();
    let journal = Journal::new();
    let (full, x, release) = held_and_full("x", &journal, clock.clone());
    let y = bot("y", &journal);
    let handles = [x, y.handle()];
    let sup = patient("app").clock(clock.clone()).child(y).start().expect("starts");
    for in_time in [false, true] {
        journal.clear();
        let (all, until) = (handles.clone(), Deadline::at(clock.now() + SECOND));
        let asked = aside(move || {
            let answer = |bot: &mut Bot, _: &mut Context<Bot>, reply: Reply<u64>| {
                reply.send(7);
                bot.note("answered");
                Ok(Next::Continue)
            };
            fan_out(&all, until, |reply| ask(answer)(reply))
        });
        journal.wait_line("y answered"); // while the first is full
        if in_time {
            release.open()
        } else {
            hand.advance(SECOND)
        }
        let out = asked.done();
        let good: Vec<_> = out.answers.iter().map(|(name, answer)| (&**name, *answer)).collect();
        if in_time {
            assert_eq!((good, out.failures.len()), (vec![("x", 7), ("y", 7)], 0));
        } else {
            assert_eq!(good, [("y", 7)]);
            assert!(
                matches!(out.failures[..], [(ref name, CallError::NotSent(CastError::TimedOut { .. }))] if &**name == "x")
            );
        }
    }
    assert_eq!(handles[0].status().drops.timed_out, 1);
    drop((sup, full));
}

#[test]
fn who_waits_for_space_until_a_moment_is_told_how_long_that_was() {
    let journal = Journal::new();
    let (full, handle, release) = held_and_full("x", &journal, Clock::system());
    match handle.request_by(Deadline::after(MS * 20), Msg::Total) {
        Err(CastError::TimedOut { waited, .. }) => assert!(waited <= MS * 20, "{waited:?}"),
        other => panic!("{other:?}"),
    }
    release.open();
    drop(full);
}

#[test]
fn fan_out_inside_a_handler_ends_with_that_handlers_caller() {
    let (clock, hand) = Clock::manual();
    let journal = Journal::new();
    let (full, x, release) = held_and_full("x", &journal, clock.clone());
    let y = bot("y", &journal);
    let handle = y.handle();
    let sup = patient("app").clock(clock.clone()).child(y).start().expect("starts");
    let (inside, until) = (Latch::new(), Deadline::at(clock.now() + SECOND));
    let tell = inside.clone();
    let asking = aside(move || {
        let message = ask(move |bot: &mut Bot, _: &mut Context<Bot>, reply: Reply<u64>| {
            tell.open();
            let out = fan_out(&[x], Deadline::unbounded(), Msg::Total);
            bot.note(format_args!("{} failed", out.failures.len()));
            reply.send(0);
            Ok(Next::Continue)
        });
        drop(handle.call_by(until, message)); // timed out, or answered just so
    });
    inside.wait();
    hand.advance(SECOND);
    journal.wait_line("y 1 failed");
    asking.done();
    release.open();
    drop((sup, full));
}

#[test]
fn fan_out_from_inside_one_of_them_refuses_only_that_one() {
    let journal = Journal::new();
    let (x, y) = (bot("x", &journal), bot("y", &journal));
    let handles = [x.handle(), y.handle()];
    let sup = patient("app").child(x).child(y).start().expect("starts");
    let all = handles.clone();
    let answer = handles[0].call(ask(move |_, _, reply| {
        let out = fan_out(&all, Deadline::after(LONG), Msg::Epoch);
        assert!(matches!(out.failures[..], [(ref name, CallError::CallingSelf { .. })] if &**name == "x"));
        reply.send(out.answers.len() as u64);
        Ok(Next::Continue)
    }));
    assert_eq!(answer.expect("answered"), 1);
    drop(sup);
}

#[test]
fn a_child_that_gets_no_thread_fails_to_start() {
    let journal = Journal::new();
    let sup = patient("app").start().expect("starts");
    let error = sup.start_child(bot("a", &journal).stack_size(usize::MAX / 2)).expect_err("no such stack");
    match error {
        StartChildError::FailedToStart { name, source: Exit::NotSpawned(_) } => assert_eq!(&*name, "a"),
        other => panic!("{other}"),
    }
    sup.start_child(bot("a", &journal)).expect("nothing is left of it");
    drop(sup);
}

#[test]
fn timers_that_set_themselves_again_at_once_starve_nobody() {
    fn again() -> Msg {
        act(|_, cx| {
            cx.send_after(Duration::ZERO, again());
            Ok(Next::Continue)
        })
    }
    let journal = Journal::new();
    let spec = bot("a", &journal);
    let handle = spec.handle();
    let sup = Supervisor::new("app").child(spec).start().expect("starts");
    handle.cast(again()).expect("accepted");
    for _ in 0..100 {
        assert_eq!(handle.call(Msg::Total).expect("answered"), 0);
    }
    drop(sup);
}
