//! Calls.

use super::*;

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
