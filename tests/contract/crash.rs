//! A panic, or an `Err`, in `handle`.

use super::*;

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
