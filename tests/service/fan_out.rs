//! Fan-out.

use super::*;

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
