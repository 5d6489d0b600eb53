//! What goes over.

use super::*;

#[test]
fn state_queue_handles_and_epochs_go_on_and_terminate_is_not_called() {
    let journal = Journal::new();
    let (sup, handle) = one(Supervisor::new("app").intensity(0, SECOND), &journal);
    add(&handle, 1);
    let release = occupy(&handle);
    for n in 2..=4 {
        handle.cast(Msg::Add(n)).expect("accepted");
    }
    let total = handle.request(Msg::Total).expect("accepted");
    let replacing = replace_aside(&sup, "a", heir("a", &journal));
    assert!(!journal.has("a made from Some(1)"), "the message in hand is finished first");
    release.open();
    replacing.done().expect("replaced");
    assert_eq!(total.wait().expect("answered by the successor"), 10);
    let expected =
        ["a init 1", "a add 1", "a made from Some(1)", "a init 2", "a add 2", "a add 3", "a add 4"];
    assert_eq!(journal.all(), expected);
    let info = &sup.which_children()[0];
    assert_eq!((info.epoch, info.restarts), (2, 0));
    assert!(matches!(info.last_exit, Some(Exit::Replaced)), "{:?}", info.last_exit);
    let status = handle.status();
    assert_eq!((status.epoch, status.shed, status.dead_letters), (2, 0, 0));
    assert!(sup.shutdown(LONG).is_clean());
    assert_eq!(handle.status().handled, 7);
    assert_eq!((count(&journal, "a terminate: was shut down"), count(&journal, "a drop")), (1, 1));
}

#[test]
fn parked_replies_are_answered_by_the_successor() {
    let journal = Journal::new();
    let (sup, handle) = one(Supervisor::new("app"), &journal);
    let parked = handle.request(park()).expect("accepted");
    handle.call(Msg::Total).expect("answered: the other is parked by now");
    sup.replace_child("a", heir("a", &journal)).expect("replaced");
    assert!(!parked.is_ready());
    handle.cast(unpark(7)).expect("accepted");
    assert_eq!(parked.wait().expect("answered"), 7);
}

#[test]
fn a_blocked_sender_waits_on_and_gets_in() {
    let journal = Journal::new();
    let spec = bot("a", &journal).capacity(1).overflow(Overflow::Block(LONG));
    let handle = spec.handle();
    let sup = Supervisor::new("app").child(spec).start().expect("starts");
    let release = occupy(&handle);
    handle.cast(Msg::Add(1)).expect("accepted");
    let blocked = aside({
        let handle = handle.clone();
        move || handle.cast(Msg::Add(2)).is_ok()
    });
    let replacing = replace_aside(&sup, "a", heir("a", &journal));
    release.open();
    replacing.done().expect("replaced");
    assert!(blocked.done());
    assert_eq!(handle.call(Msg::Total).expect("answered"), 3);
}

#[test]
fn name_and_those_who_monitor_the_child_stay() {
    let journal = Journal::new();
    let spec = bot("a", &journal).registered();
    let handle = spec.handle();
    let watcher = {
        let handle = handle.clone();
        bot_with("w", &journal, move |bot| {
            let handle = handle.clone();
            bot.on_init(move |_, cx| {
                cx.monitor(&handle, Msg::Gone);
                Ok(Init::Ready)
            })
        })
    };
    let watching = watcher.handle();
    let sup = Supervisor::new("app").child(spec).child(watcher).start().expect("starts");
    for _ in 0..3 {
        sup.replace_child("a", heir("a", &journal)).expect("replaced");
        let found = sup.registry().find::<Msg>("a").expect("still there");
        assert_eq!(found.call(Msg::Epoch).expect("answered"), handle.status().epoch);
    }
    watching.call(Msg::Total).expect("answered");
    assert!(!journal.has("w sees a handed its state over after 3"));
    sup.terminate_child("a").expect("terminated");
    journal.wait_line("w sees a was shut down after 4");
}

#[test]
fn siblings_are_untouched_and_nothing_is_charged() {
    for strategy in [Strategy::OneForOne, Strategy::OneForAll, Strategy::RestForOne] {
        let journal = Journal::new();
        let backoff = Backoff::exponential(LONG, LONG);
        let app = Supervisor::new("app").strategy(strategy).intensity(0, LONG).backoff(backoff);
        let app = app.child(bot("a", &journal)).child(bot("b", &journal)).child(bot("c", &journal));
        let sup = app.start().expect("starts");
        for _ in 0..5 {
            sup.replace_child("b", heir("b", &journal)).expect("replaced, at once");
        }
        let epochs: Vec<_> = sup.which_children().iter().map(|info| (info.epoch, info.restarts)).collect();
        assert_eq!(epochs, [(1, 0), (6, 0), (1, 0)]);
    }
}

#[test]
fn timers_and_monitors_of_the_old_incarnation_end_with_it() {
    let journal = Journal::new();
    let (clock, hand) = Clock::manual();
    let other = bot("o", &journal);
    let watched = other.handle();
    let spec = bot_with("a", &journal, move |bot| {
        let watched = watched.clone();
        bot.on_init(move |_, cx| {
            if cx.epoch() == 1 {
                cx.monitor(&watched, Msg::Gone);
                cx.set_idle_timeout(Some(SECOND));
            }
            cx.send_after(SECOND * 10, Msg::Add(cx.epoch()));
            Ok(Init::Ready)
        })
    });
    let handle = spec.handle();
    let sup = Supervisor::new("app").clock(clock).child(other).child(spec).start().expect("starts");
    sup.replace_child("a", heir("a", &journal)).expect("replaced");
    sup.terminate_child("o").expect("terminated");
    hand.advance(SECOND * 20);
    journal.wait_line("a add 2");
    handle.call(Msg::Total).expect("answered");
    let stale = ["a add 1", "a idle", "a sees o was shut down after 1"];
    assert!(stale.iter().all(|line| !journal.has(line)), "{:?}", journal.all());
}

#[test]
fn a_child_that_is_not_always_restarted_goes_on_like_any_other() {
    for restart in [Restart::Temporary, Restart::Transient] {
        let journal = Journal::new();
        let spec = bot("a", &journal).restart(restart);
        let handle = spec.handle();
        let sup = Supervisor::new("app").child(spec).start().expect("starts");
        for n in 1..4 {
            let release = occupy(&handle);
            handle.cast(Msg::Add(1)).expect("accepted");
            let total = handle.request(Msg::Total).expect("accepted");
            let replacing = replace_aside(&sup, "a", heir("a", &journal));
            release.open();
            replacing.done().expect("replaced");
            assert_eq!(total.wait().expect("its mailbox was never closed"), n);
        }
        assert!(handle.wait_down(Duration::ZERO).is_none());
        assert_eq!(handle.status().dead_letters, 0);
        handle.cast(quit()).expect("accepted");
        assert_eq!(handle.wait_down(LONG).expect("it is not restarted").epoch, 4);
    }
}
