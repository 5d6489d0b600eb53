//! Timers and idleness.

use super::*;

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
