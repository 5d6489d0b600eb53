//! `init`: well, slow, failing, panicking.

use super::*;

#[test]
fn init_ok_slow_failing_and_panicking_each_is_a_typed_error_and_the_name_is_free_on_return() {
    let journal = Journal::new();
    let registry = namespace();
    let app = || Supervisor::new("app").registry(registry.clone());

    let fails =
        bot_with("a", &journal, |bot| bot.on_init(|_, _| Err(Oops(ErrorKind::User, "no")))).registered();
    let error = app().child(fails).start().expect_err("fails");
    assert!(matches!(error, StartError::FailedToStart { source: Exit::Failed(_), .. }), "{error}");
    assert!(registry.names().is_empty());

    let panics = bot_with("a", &journal, |bot| bot.on_init(|_, _| panic_quietly("boom"))).registered();
    let error = app().child(panics).start().expect_err("fails");
    assert!(matches!(error, StartError::FailedToStart { source: Exit::Panicked(_), .. }), "{error}");
    assert!(registry.names().is_empty());

    // Its thread has time enough to come as far as that: what hangs is its start, not the machine.
    let release = Latch::new();
    let held = release.clone();
    let slow = bot_with("a", &journal, move |bot| {
        let held = held.clone();
        bot.on_init(move |_, _| {
            held.wait();
            Ok(Init::Ready)
        })
    });
    let error = app().child(slow.registered().init_timeout(MS * 100)).start().expect_err("too slow");
    assert!(
        matches!(error, StartError::FailedToStart { source: Exit::InitTimedOut(limit), .. } if limit == MS * 100)
    );
    assert!(registry.names().is_empty());
    let text = error.to_string();
    assert_eq!(text, "supervisor `app`: child `a` did not start within 100ms");

    let sup = app().child(bot("a", &journal).registered()).start().expect("the name is free");
    release.open();
    assert_eq!(registry.names(), ["a"]);
    eventually("the slow one is gone", || journal.count(|line| line == "a drop") == 3);
    assert_eq!(registry.names(), ["a"], "one that was given up does not take the name with it");
    drop(sup);
    assert!(registry.names().is_empty());
}

#[test]
fn init_of_an_added_child_too_frees_the_name() {
    let journal = Journal::new();
    let sup = Supervisor::new("app").start().expect("starts");
    for _ in 0..3 {
        let spec = bot_with("a", &journal, |bot| bot.on_init(|_, _| panic_quietly("boom"))).registered();
        let handle = spec.handle();
        let error = sup.start_child(spec).expect_err("fails");
        assert_eq!(error.to_string(), "child `a` panicked: boom");
        assert!(sup.registry().names().is_empty());
        assert!(matches!(handle.cast(Msg::Add(1)), Err(CastError::Stopped { .. })));
        assert_eq!(handle.status().state, Lifecycle::Failed);
    }
    drop(sup);
}

#[test]
fn init_runs_after_the_factory_and_before_the_first_message_and_may_send_and_arm() {
    let journal = Journal::new();
    let spec = bot_with("a", &journal, |bot| {
        bot.note("factory");
        bot.on_init(|bot, cx| {
            cx.handle().cast(Msg::Add(2)).map_err(|_| Oops(ErrorKind::Permanent, "not accepted"))?;
            cx.send_after(Duration::ZERO, Msg::Add(1));
            bot.total = 10;
            Ok(Init::Ready)
        })
    });
    let (sup, handle) = one(spec);
    eventually("all is added", || handle.call(Msg::Total).expect("answered") == 13);
    assert_eq!(journal.all(), ["a factory", "a init 1", "a add 1", "a add 2"], "timers go first");
    drop(sup);
}

#[test]
fn init_may_call_its_elder_siblings_and_not_itself() {
    let journal = Journal::new();
    let elder = bot("elder", &journal).registered();
    let younger = bot_with("younger", &journal, |bot| {
        bot.on_init(|bot, cx| {
            let elder = cx.whereis::<Msg>("elder").expect("it is there");
            bot.total = elder.call(Msg::Epoch).expect("answered") + 40;
            assert!(matches!(cx.handle().call(Msg::Total), Err(CallError::CallingSelf { .. })));
            assert_eq!((cx.name(), cx.epoch()), ("younger", 1));
            Ok(Init::Ready)
        })
    });
    let handle = younger.handle();
    let sup = Supervisor::new("app").child(elder).child(younger).start().expect("starts");
    assert_eq!(handle.call(Msg::Total).expect("answered"), 41);
    drop(sup);
}

#[test]
fn a_state_need_not_be_send() {
    struct Local(Rc<u64>);
    impl Service for Local {
        type Msg = Reply<u64>;
        type Error = Oops;
        fn handle(&mut self, reply: Reply<u64>, _: &mut Context<Self>) -> Done {
            reply.send(*self.0);
            Ok(Next::Continue)
        }
    }
    let spec = child("local", || Local(Rc::new(8))).wait(Wait::Park).stack_size(256 * 1024);
    let handle = spec.handle();
    let sup = Supervisor::new("app").child(spec).start().expect("starts");
    assert_eq!(handle.call(|reply| reply).expect("answered"), 8);
    drop(sup);
}
