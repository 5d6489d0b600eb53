//! Deadlines.

use super::*;

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
