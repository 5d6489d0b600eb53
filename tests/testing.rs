//! What the crate gives to tests of programs: probes, a crashing service, events, one service alone.

mod common;

use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use common::{LONG, MS, SECOND};
use underpin::testing::{Crasher, Events, Hang, Latch, NotQuiet, Order, Probe, Solo, namespace};
use underpin::{
    CallError, CastError, Clock, Context, CrashContext, ErrorKind, Exit, Init, Mailbox, Next, Overflow,
    Reply, Service, StartError, SupervisionEvent, Supervisor, child,
};

fn patient(name: &str) -> Supervisor {
    Supervisor::new(name).intensity(1000, SECOND)
}

// ---- probes ------------------------------------------------------------------------------

#[test]
fn a_probe_records_in_order_and_what_is_read_is_taken() {
    let (spec, probe) = Probe::child("sink");
    let handle = spec.handle();
    let app = Supervisor::new("app").child(spec).start().expect("starts");
    (0..5).for_each(|number| handle.cast(number).expect("accepted"));
    assert_eq!(probe.recv().expect("it came"), 0);
    assert_eq!(probe.recv_timeout(LONG).expect("it came"), 1);
    let Err(NotQuiet::Came { name, messages }) = probe.expect_none() else { panic!("three came") };
    assert_eq!((&*name, messages), ("sink", vec![2, 3, 4]));
    probe.expect_none().expect("all was read");
    let error = probe.recv_timeout(MS).expect_err("nothing comes");
    assert_eq!(error.to_string(), "nothing came to the probe `sink` within 1ms");
    drop(app);
}

#[test]
fn expect_none_sees_what_is_still_in_the_mailbox() {
    let (inside, release) = (Latch::new(), Latch::new());
    let (tell, held) = (inside.clone(), release.clone());
    let (spec, probe) = Probe::scripted("slow", move |number: u32| {
        tell.open();
        held.wait(LONG).expect("released");
        number
    });
    let handle = spec.handle();
    let app = Supervisor::new("app").child(spec).start().expect("starts");
    (1..=3).for_each(|number| handle.cast(number).expect("accepted"));
    inside.wait(LONG).expect("it hangs over the first");
    assert!(probe.messages().is_empty());
    let asking = common::aside(move || probe.expect_none());
    release.open();
    let Err(NotQuiet::Came { messages, .. }) = asking.done() else { panic!("three came") };
    assert_eq!(messages, [1, 2, 3]);
    drop(app);
}

#[test]
fn a_probe_that_is_not_there_says_so_and_one_that_is_gone_has_read_all() {
    let (spec, probe) = Probe::child("sink");
    let handle = spec.handle();
    handle.cast(1).expect("accepted");
    let begun = Instant::now();
    let error = probe.expect_none().expect_err("it was never started");
    assert!(matches!(error, NotQuiet::NotThere { .. }), "{error}");
    assert!(begun.elapsed() < SECOND, "and that is known at once");
    let app = Supervisor::new("app").child(spec).start().expect("starts");
    assert_eq!(probe.recv().expect("it waited in the mailbox"), 1);
    drop(app);
    probe.expect_none().expect("it is gone");
}

#[test]
fn a_script_answers_calls_and_may_crash() {
    enum Msg {
        Double(u64, Reply<u64>),
        Boom,
    }
    let events = Events::new();
    let (spec, probe) = Probe::scripted("double", |msg| match msg {
        Msg::Double(number, reply) => {
            reply.send(2 * number);
            number
        }
        Msg::Boom => common::panic_quietly("as scripted"),
    });
    let handle = spec.handle();
    let app = patient("app").on_event(events.hook()).child(spec).start().expect("starts");
    assert_eq!(handle.call(|reply| Msg::Double(4, reply)).expect("answered"), 8);
    handle.cast(Msg::Boom).expect("accepted");
    assert_eq!(handle.call(|reply| Msg::Double(5, reply)).expect("answered by the next life"), 10);
    let seen = (probe.recv().expect("it came"), probe.recv().expect("it came"));
    assert_eq!(seen, (4, 5), "one record over both lives");
    probe.expect_none().expect("the next life is asked");
    drop(app);
}

#[test]
fn a_probe_has_a_mailbox_like_any_other() {
    let release = Latch::new();
    let held = release.clone();
    let (spec, probe) = Probe::scripted("full", move |number: u32| {
        held.wait(LONG).expect("released");
        number
    });
    let spec = spec.capacity(1).overflow(Overflow::Reject);
    let handle = spec.handle();
    handle.cast(1).expect("accepted");
    assert!(matches!(handle.cast(2), Err(CastError::Full { message: 2, .. })));
    let app = Supervisor::new("app").child(spec).start().expect("starts");
    release.open();
    assert_eq!(probe.recv().expect("it came"), 1);
    drop(app);
}

#[test]
fn one_that_stands_alone_ends_with_its_probe() {
    let (handle, probe) = Probe::start("alone").expect("starts");
    handle.cast('a').expect("accepted");
    assert_eq!(probe.recv().expect("it came"), 'a');
    drop(probe);
    assert!(matches!(handle.cast('b'), Err(CastError::Stopped { .. })));
    let wrong = Probe::<u8>::start("a/b").expect_err("no name");
    assert!(matches!(wrong, StartError::BadSpec { .. }), "{wrong}");
}

#[test]
fn a_clock_that_stands_still_lets_no_probe_and_no_events_hang() {
    let (clock, _hand) = Clock::manual();
    let events = Events::new();
    let (spec, probe) = Probe::<u8>::child("sink");
    let app = Supervisor::new("app").clock(clock).on_event(events.hook()).child(spec);
    let app = app.start().expect("starts");
    probe.recv_timeout(MS).expect_err("nothing comes");
    probe.expect_none().expect("nothing came");
    events.wait_for(|event| matches!(event, SupervisionEvent::Crashed(_)), MS).expect_err("nothing happens");
    drop(app);
}

// ---- events and latches ------------------------------------------------------------------

fn is_crash(event: &SupervisionEvent) -> bool {
    matches!(event, SupervisionEvent::Crashed(_))
}

#[test]
fn events_are_waited_for_by_what_they_are_and_by_their_number() {
    let events = Events::new();
    let victim = Crasher::new().child("victim");
    let handle = victim.handle();
    let app = patient("app").on_event(events.hook()).child(victim).start().expect("starts");
    let waiting = common::aside({
        let events = events.clone();
        move || events.wait_for_nth(3, is_crash, LONG)
    });
    for _ in 0..3 {
        handle.cast(Order::Panic).expect("accepted");
    }
    let Ok(SupervisionEvent::Crashed(third)) = waiting.done() else { panic!("there are three") };
    assert_eq!(third.epoch, 3);
    let Ok(SupervisionEvent::Crashed(first)) = events.wait_for(is_crash, Duration::ZERO) else {
        panic!("it came before it was asked for")
    };
    assert_eq!((first.epoch, first.label, events.count(is_crash)), (1, Some("Panic"), 3));
    assert_eq!(events.crashes().len(), 3);
    drop(app);
    assert!(events.all().len() > 3);
}

#[test]
fn events_that_do_not_come_say_what_came_instead() {
    let events = Events::new();
    let app = Supervisor::new("app").on_event(events.hook()).child(Crasher::new().child("calm"));
    let app = app.start().expect("starts");
    drop(app);
    let error = events.wait_for(is_crash, MS).expect_err("nothing crashed");
    assert_eq!((error.waited, error.seen.len()), (MS, events.all().len()));
    assert!(error.to_string().contains("calm"), "{error}");
}

#[test]
fn a_latch_opens_once_for_all_and_is_not_waited_for_without_end() {
    let latch = Latch::new();
    assert_eq!(latch.wait(MS).expect_err("closed").to_string(), "nobody opened the latch within 1ms");
    let waiting: Vec<_> = (0..3)
        .map(|_| {
            let latch = latch.clone();
            common::aside(move || latch.wait(LONG))
        })
        .collect();
    latch.open();
    latch.open();
    waiting.into_iter().for_each(|waiter| waiter.done().expect("open"));
    assert!(latch.is_open());
}

#[test]
fn namespaces_of_tests_never_meet() {
    let made: Vec<_> =
        (0..4).map(|_| common::aside(|| [(); 50].map(|()| namespace().name().to_string()))).collect();
    let mut names: Vec<_> = made.into_iter().flat_map(common::Aside::done).collect();
    names.sort_unstable();
    let all = names.len();
    names.dedup();
    assert_eq!((all, names.len()), (200, 200));
}

// ---- the crashing service ----------------------------------------------------------------

/// A tree with one victim: its handle, what happens, and the tree.
fn victim(crasher: Crasher) -> (underpin::Handle<Order>, Events, underpin::SupervisorHandle) {
    let (events, spec) = (Events::new(), crasher.child("victim"));
    let handle = spec.handle();
    let app = patient("app").on_event(events.hook()).child(spec).start().expect("starts");
    (handle, events, app)
}

#[test]
fn orders_are_carried_out() {
    let (handle, events, app) = victim(Crasher::new());
    let with = |order| handle.call(|reply| Order::With(reply, Box::new(order)));
    assert_eq!(with(Order::Stop).expect("a calm end answers"), 1);
    assert!(matches!(with(Order::Panic), Err(CallError::Crashed { .. })));
    assert!(matches!(with(Order::Fail(ErrorKind::System)), Err(CallError::Crashed { .. })));
    let refused = with(Order::Fail(ErrorKind::User));
    assert!(matches!(refused, Err(CallError::Failed { kind: ErrorKind::User, .. })), "{refused:?}");
    assert_eq!(handle.call(Order::Epoch).expect("answered"), 4, "three ends");
    let kept = handle.request(Order::Keep).expect("accepted");
    handle.cast(Order::Panic).expect("accepted");
    assert!(matches!(kept.wait(), Err(CallError::Crashed { .. })), "it was kept until then");
    events.wait_for_nth(3, is_crash, LONG).expect("told");
    let exits: Vec<_> = events.crashes().iter().map(|crash| crash.exit.to_string()).collect();
    assert_eq!(
        exits,
        ["panicked: panicked as ordered", "failed: failed as ordered", "panicked: panicked as ordered"]
    );
    drop(app);
}

#[test]
fn starts_go_wrong_when_they_were_told_to() {
    let crasher = Crasher::new().fail_init(2).panic_in_init(3).panic_in_init(4);
    let (handle, events, app) = victim(crasher);
    handle.cast(Order::Panic).expect("accepted");
    assert_eq!(handle.call(Order::Epoch).expect("the fifth comes up"), 5);
    events.wait_for_nth(4, is_crash, LONG).expect("told");
    let starts: Vec<_> =
        events.crashes().iter().map(|crash| (crash.context, crash.exit.to_string())).collect();
    let (failed, panicked) = ("failed: failed as ordered", "panicked: panicked in init as ordered");
    assert_eq!(starts[1..], [failed, panicked, panicked].map(|exit| (CrashContext::Starting, exit.into())));
    drop(app);
    let first = Supervisor::new("app").child(Crasher::new().panic_in_init(1).child("a")).start();
    assert!(matches!(first, Err(StartError::FailedToStart { source: Exit::Panicked(_), .. })));
}

#[test]
fn ends_go_wrong_when_they_were_told_to() {
    for (crasher, said) in [
        (Crasher::new().panic_in_terminate(), "panicked in terminate as ordered"),
        (Crasher::new().panic_in_drop(), "panicked in drop as ordered"),
    ] {
        let (handle, events, app) = victim(crasher);
        handle.cast(Order::Stop).expect("accepted");
        let Ok(SupervisionEvent::Crashed(crash)) = events.wait_for(is_crash, LONG) else { panic!("told") };
        assert_eq!(crash.aftermath.as_deref(), Some(said));
        assert_eq!(handle.call(Order::Epoch).expect("answered"), 2, "it costs no more than a restart");
        drop(app);
    }
}

#[test]
fn a_hang_lasts_until_it_is_let_go_and_no_longer_than_it_may() {
    let (handle, _, app) = victim(Crasher::new());
    let hang = Hang::new();
    assert!(!hang.is_hung());
    handle.cast(Order::Hang(hang.clone())).expect("accepted");
    hang.wait_until_hung(LONG).expect("it hangs");
    assert!(handle.call_timeout(MS, Order::Epoch).is_err());
    hang.let_go();
    assert_eq!(handle.call(Order::Epoch).expect("answered"), 1);
    let short = Hang::at_most(MS);
    handle.cast(Order::Hang(short.clone())).expect("accepted");
    assert_eq!(handle.call(Order::Epoch).expect("it lets go by itself"), 1);
    assert!(short.is_hung());
    Hang::new().wait_until_hung(MS).expect_err("nobody hangs there");
    drop(app);
}

// ---- one service alone -------------------------------------------------------------------

/// Counts its lives, and holds what must stay on its thread.
struct Local(Rc<()>, Arc<AtomicUsize>);

enum Say {
    Hello(Reply<u64>),
    Panic,
    Fail,
    Stop,
}

impl Service for Local {
    type Msg = Say;
    type Error = &'static str;

    fn init(&mut self, _: &mut Context<Self>) -> Result<Init, &'static str> {
        self.1.fetch_add(1, Ordering::SeqCst);
        Ok(Init::Ready)
    }

    fn handle(&mut self, say: Say, cx: &mut Context<Self>) -> Result<Next, &'static str> {
        match say {
            Say::Hello(reply) => reply.send(cx.epoch() + Rc::strong_count(&self.0) as u64),
            Say::Panic => common::panic_quietly("boom"),
            Say::Fail => return Err("failed"),
            Say::Stop => return Ok(Next::Stop),
        }
        Ok(Next::Continue)
    }
}

fn local() -> (underpin::ChildSpec<Local>, Arc<AtomicUsize>) {
    let lives = Arc::<AtomicUsize>::default();
    let counted = Arc::clone(&lives);
    (child("local", move || Local(Rc::new(()), Arc::clone(&counted))), lives)
}

#[test]
fn solo_lives_a_life_on_the_calling_thread_and_says_how_it_ended() {
    let (spec, lives) = local();
    let (handle, mut solo) = Solo::new(spec);
    for say in [Say::Panic, Say::Fail, Say::Stop] {
        handle.cast(say).expect("accepted");
    }
    let asked = handle.request(Say::Hello).expect("accepted");
    assert_eq!(lives.load(Ordering::SeqCst), 0, "nothing runs by itself");
    assert!(matches!(solo.run(), Exit::Panicked(text) if &*text == "boom"));
    assert!(matches!(solo.run(), Exit::Failed(_)));
    assert!(!asked.is_ready());
    assert!(matches!(solo.run(), Exit::Normal));
    assert_eq!(lives.load(Ordering::SeqCst), 3);
    handle.cast(Say::Stop).expect("accepted");
    assert!(matches!(solo.run(), Exit::Normal));
    assert_eq!(asked.wait().expect("what is queued waits for the next life"), 5);
    let left = handle.request(Say::Hello).expect("accepted");
    drop(solo);
    assert!(matches!(left.wait(), Err(CallError::Stopped { .. })));
    assert!(matches!(handle.cast(Say::Stop), Err(CastError::Stopped { .. })));
}

#[test]
fn solo_hears_a_stop_from_before_it_runs_and_one_while_it_does() {
    let (spec, lives) = local();
    let (handle, mut solo) = Solo::new(spec);
    handle.stop_timeout(Duration::ZERO).expect_err("nobody drives it yet");
    assert!(matches!(solo.run(), Exit::Shutdown));
    assert_eq!(lives.load(Ordering::SeqCst), 1);
    let running = common::aside(move || (solo.run(), solo));
    assert_eq!(handle.call(Say::Hello).expect("answered"), 3);
    handle.stop().expect("it stops");
    let (exit, solo) = running.done();
    assert!(matches!(exit, Exit::Shutdown));
    drop(solo);
}

#[test]
fn solo_clears_its_mailbox_after_a_crash_if_its_child_does() {
    let (spec, _) = local();
    let (handle, mut solo) = Solo::new(spec.mailbox(Mailbox::Clear));
    handle.cast(Say::Panic).expect("accepted");
    let asked = handle.request(Say::Hello).expect("accepted");
    assert!(matches!(solo.run(), Exit::Panicked(_)));
    handle.stop_timeout(Duration::ZERO).expect("that life is over");
    let running = common::aside(move || solo.run());
    assert!(matches!(asked.wait(), Err(CallError::Crashed { .. })));
    assert_eq!(handle.call(Say::Hello).expect("answered"), 3);
    handle.stop().expect("it stops");
    running.done();
}

#[test]
fn solo_says_what_is_wrong_with_a_description() {
    let (spec, lives) = local();
    let (_, mut solo) = Solo::new(spec.capacity(0));
    let exit = solo.run();
    assert!(matches!(&exit, Exit::Failed(error) if error.to_string().contains("capacity")), "{exit}");
    assert_eq!(lives.load(Ordering::SeqCst), 0);
}

#[test]
fn solo_that_never_ran_settles_what_is_queued() {
    let (spec, lives) = local();
    let (handle, solo) = Solo::new(spec);
    let left = handle.request(Say::Hello).expect("accepted");
    drop(solo);
    assert!(matches!(left.wait(), Err(CallError::Stopped { .. })));
    assert!(matches!(handle.cast(Say::Stop), Err(CastError::Stopped { .. })));
    assert_eq!(lives.load(Ordering::SeqCst), 0);
}
