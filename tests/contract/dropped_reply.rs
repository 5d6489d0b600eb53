//! The reply dropped unsent.

use super::*;

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
