//! A call to self, or a cycle.

use super::*;

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
