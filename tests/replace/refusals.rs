//! Refusals.

use super::*;

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
