//! The fence.

use super::*;

/// What a thread does at its very end.
struct AtEnd(Option<Box<dyn FnOnce()>>);

impl Drop for AtEnd {
    fn drop(&mut self) {
        if let Some(work) = self.0.take() {
            work();
        }
    }
}

thread_local! {
    static AT_END: RefCell<AtEnd> = const { RefCell::new(AtEnd(None)) };
}

fn at_thread_end(work: impl FnOnce() + 'static) {
    AT_END.with(|end| *end.borrow_mut() = AtEnd(Some(Box::new(work))));
}

/// A tree of `a`, which has 1 s to stop, and `b`.
fn a_and_b(journal: &Journal) -> (SupervisorHandle, ManualClock, Handle<Msg>, Handle<Msg>) {
    let (clock, hand) = Clock::manual();
    let (a, b) = (bot("a", journal).shutdown(SECOND), bot("b", journal).keep_dead_letters(9));
    let handles = (a.handle(), b.handle());
    let sup = patient("app").clock(clock).child(a).child(b).start().expect("starts");
    (sup, hand, handles.0, handles.1)
}

#[test]
fn fenced_messages_are_handed_back_and_reach_nobody() {
    let journal = Journal::new();
    let (sup, hand, a, b) = a_and_b(&journal);
    let (said, to_b) = (Log::new(), b.clone());
    let say = said.clone();
    let release = abandon_then(&sup.reference(), &hand, &a, move |_, cx| {
        let cast = to_b.cast(Msg::Add(1)).expect_err("refused");
        say.push(cast.to_string());
        say.push(format!("{}", matches!(cast, CastError::Fenced { message: Msg::Add(1), .. })));
        let call = to_b.call(Msg::Total).expect_err("refused");
        say.push(call.to_string());
        say.push(format!("{}", matches!(call.into_message(), Some(Msg::Total(_)))));
        let request = to_b.request(Msg::Total).expect_err("refused");
        say.push(format!("{}", matches!(request, CastError::Fenced { message: Msg::Total(_), .. })));
        let all = fan_out(&[to_b.clone(), cx.handle()], Deadline::unbounded(), Msg::Total);
        let fenced = |error: &_| matches!(error, CallError::NotSent(CastError::Fenced { .. }));
        say.push(format!("{}", all.failures.iter().filter(|(_, error)| fenced(error)).count()));
        say.push(format!("{}", cx.handle().cast(Msg::Add(2)).is_err()));
        cx.send_after(Duration::ZERO, Msg::Add(3));
    });
    assert_eq!(b.call(Msg::Total).expect("answered"), 0);
    release.open();
    journal.wait_line("a drop");
    let text = "not sent to `b`: the incarnation that sends was abandoned".to_owned();
    let call = format!("call not sent: {text}");
    let yes = || "true".to_owned();
    assert_eq!(said.all(), [text, yes(), call, yes(), yes(), "2".into(), yes()]);
    assert_eq!(b.call(Msg::Total).expect("answered"), 0);
    eventually("`b` rests", || b.status().handled == 2);
    assert_eq!(a.status().queued, 0);
    assert_eq!(journal.count(|line| line.contains(" add ")), 0);
    drop(sup);
}

#[test]
fn fenced_requests_ask_nothing_of_others_and_of_supervisors() {
    let journal = Journal::new();
    let (sup, hand, a, b) = a_and_b(&journal);
    sup.terminate_child("b").expect("terminated");
    let (said, to_b, app, own) = (Log::new(), b.clone(), sup.reference(), journal.clone());
    let say = said.clone();
    let release = abandon_then(&sup.reference(), &hand, &a, move |_, _| {
        say.push(("stop", to_b.stop() == Err(StopError::Fenced { name: "b".into() })));
        say.push(("suspend", to_b.sys().suspend() == Err(SystemError::Fenced { name: "b".into() })));
        let read = to_b.sys().read_state(|bot: &Bot| bot.total);
        say.push(("read", matches!(read, Err(SystemError::Fenced { .. }))));
        say.push(("replay", to_b.replay_dead_letters().halt == Some(ReplayHalt::Fenced)));
        say.push(("take", to_b.take_dead_letters().is_empty()));
        let start = app.start_child(bot("c", &own)).map(drop);
        say.push(("start", matches!(start, Err(StartChildError::Fenced { .. }))));
        let nested = app.start_supervisor(Supervisor::new("net")).map(drop);
        say.push(("nested", matches!(nested, Err(StartChildError::Fenced { .. }))));
        let (terminate, restart) = (app.terminate_child("b"), app.restart_child("b"));
        say.push(("terminate", terminate == Err(TerminateChildError::Fenced { name: "b".into() })));
        say.push(("restart", matches!(restart, Err(RestartChildError::Fenced { .. }))));
        say.push(("delete", app.delete_child("b") == Err(DeleteChildError::Fenced { name: "b".into() })));
        let (replace, recycle) =
            (app.replace_child("b", |_: Option<Bot>| -> Bot { unreachable!() }), app.recycle_child("b"));
        say.push(("replace", matches!(replace, Err(ReplaceChildError::Fenced { .. }))));
        say.push(("recycle", matches!(recycle, Err(RecycleChildError::Fenced { .. }))));
        let set = app.reconfigure(SupervisorSettings::new().intensity(0, SECOND));
        say.push(("set", set == Err(ReconfigureError::Fenced { supervisor: "app".into() })));
        let set = app.reconfigure_child("b", ChildSettings::new().capacity(1));
        say.push(("set b", set == Err(ReconfigureChildError::Fenced { name: "b".into() })));
        say.push(("which", app.which_children().is_empty() && app.count_children().specs == 0));
        say.push(("inspect", app.inspect().err() == Some(InspectError::Fenced { name: "app".into() })));
    });
    sup.restart_child("b").expect("started");
    let (asked, go) = hang(&b);
    b.cast(Msg::Add(5)).expect("accepted");
    let reference = sup.reference();
    let terminating = aside(move || reference.terminate_child("b"));
    asked.wait();
    go.open();
    terminating.done().expect("terminated");
    assert_eq!(b.dead_letters().len(), 1);
    sup.restart_child("b").expect("started");
    release.open();
    journal.wait_line("a drop");
    let failed: Vec<_> = said.all().into_iter().filter(|(_, refused)| !refused).collect();
    assert_eq!((failed, said.all().len()), (vec![], 16));
    assert_eq!((b.dead_letters().len(), b.call(Msg::Epoch).expect("untouched")), (1, 3));
    assert_eq!(sup.count_children().specs, 2);
    drop(sup);
}

#[test]
fn fenced_answers_vanish_and_their_callers_are_told() {
    let journal = Journal::new();
    let (sup, hand, a, _) = a_and_b(&journal);
    let keep = |bot: &mut Bot, _: &mut Context<Bot>, reply| {
        bot.kept.push(reply);
        Ok(Next::Continue)
    };
    let (first, second) = (a.request(ask(keep)).expect("accepted"), a.request(ask(keep)).expect("accepted"));
    let (sent, go_on) = (Latch::new(), Latch::new());
    let (tell, held) = (sent.clone(), go_on.clone());
    let release = abandon_then(&sup.reference(), &hand, &a, move |bot, _| {
        bot.kept.remove(0).send(7);
        tell.open();
        held.wait();
    });
    assert!(!first.is_ready());
    release.open();
    sent.wait();
    assert!(matches!(first.wait(), Err(CallError::Crashed { .. })));
    assert!(!second.is_ready(), "it is not dropped yet");
    go_on.open();
    assert!(matches!(second.wait(), Err(CallError::Crashed { .. })));
    drop(sup);
}

#[test]
fn fenced_are_also_the_drop_of_the_state_and_the_destructors_of_the_thread() {
    let journal = Journal::new();
    let (sup, hand, a, b) = a_and_b(&journal);
    struct LastWords(Handle<Msg>, Journal);
    impl Drop for LastWords {
        fn drop(&mut self) {
            self.1.note(format!(
                "dropped: {:?}",
                self.0.cast(Msg::Add(1)).map_err(CastError::into_message).is_ok()
            ));
        }
    }
    let (in_state, at_end, noted) = (b.clone(), b.clone(), journal.clone());
    let release = abandon_then(&sup.reference(), &hand, &a, move |_, cx| {
        let (end_note, end_to) = (noted.clone(), at_end);
        at_thread_end(move || end_note.note(format!("ended: {}", end_to.cast(Msg::Add(1)).is_ok())));
        // In the context, which goes with the state.
        let last = LastWords(in_state, noted);
        cx.send_after(
            SECOND,
            act(move |_, _| {
                drop(last);
                Ok(Next::Continue)
            }),
        );
    });
    release.open();
    journal.wait_line("dropped: false");
    journal.wait_line("ended: false");
    assert_eq!(b.call(Msg::Total).expect("answered"), 0);
    // Who ends by itself may speak until its very end.
    sup.restart_child("a").expect("started");
    let (at_end, noted) = (b.clone(), journal.clone());
    let last = act(move |_, _| {
        at_thread_end(move || noted.note(format!("spoke: {}", at_end.cast(Msg::Add(1)).is_ok())));
        Ok(Next::Stop)
    });
    a.cast(last).expect("accepted");
    journal.wait_line("spoke: true");
    assert_eq!(b.call(Msg::Total).expect("answered"), 1);
    drop(sup);
}

#[test]
fn fenced_off_it_cannot_tag_the_name_of_its_child() {
    let (clock, hand) = Clock::manual();
    let (journal, events, release) = (Journal::new(), Events::new(), Latch::new());
    let held = release.clone();
    let spec = bot_with("a", &journal, move |bot| {
        let held = held.clone();
        bot.on_init(move |bot, cx| {
            if cx.epoch() == 2 {
                bot.note("hangs");
                held.wait();
            }
            bot.note(format_args!(
                "{} tags: {}",
                cx.epoch(),
                cx.set_tag("life", cx.epoch().to_string()).is_ok()
            ));
            Ok(Init::Ready)
        })
    });
    let spec = spec.init_timeout(SECOND).registered();
    let handle = spec.handle();
    let app = patient("app").backoff(Backoff::exponential(SECOND, SECOND)).clock(clock);
    let sup = app.on_event(events.hook()).child(spec).start().expect("starts");
    handle.cast(boom()).expect("accepted");
    events.restart_of("a", 1);
    hand.advance(SECOND);
    journal.wait_line("a hangs");
    hand.advance(SECOND);
    events.restart_of("a", 2); // and waits for it: there is no other life yet
    release.open();
    journal.wait_line("a 2 tags: false");
    let tags = sup.registry().metadata("a").expect("it has its name");
    assert!(tags.is_empty(), "{tags:?}");
    hand.advance(SECOND);
    journal.wait_line("a 3 tags: true");
    drop(sup);
}

#[test]
fn fenced_off_it_still_ends_what_it_owns() {
    let journal = Journal::new();
    let (sup, hand, a, _) = a_and_b(&journal);
    let own = Supervisor::new("own").child(bot("inner", &journal)).start().expect("starts");
    let release = abandon_then(&sup.reference(), &hand, &a, move |_, _| drop(own));
    release.open();
    journal.wait_line("inner terminate: was shut down");
    journal.wait_line("a drop");
    drop(sup);
}

#[cfg(feature = "foundation")]
#[test]
fn fenced_off_it_cannot_end_the_application() {
    let (clock, hand) = Clock::manual();
    let journal = Journal::new();
    let spec = bot("a", &journal).shutdown(SECOND);
    let handle = spec.handle();
    let app = underpin::Foundation::builder("app").clock(clock).max_abandoned(5).child(spec);
    let app = app.start().expect("starts");
    let stopper = app.stopper();
    let release = abandon_then(&app.root(), &hand, &handle, move |_, _| stopper.stop_because("it came back"));
    assert_eq!((app.abandoned().ever, app.abandoned().alive), (1, 1));
    release.open();
    journal.wait_line("a drop");
    assert_eq!(app.stopper().reason(), None);
}

#[test]
fn fence_is_open_while_its_incarnation_stands_for_its_child() {
    let journal = Journal::new();
    let (sup, hand, a, _) = a_and_b(&journal);
    let fences: Log<Fence> = Log::new();
    let push = |fences: &Log<Fence>| {
        let fences = fences.clone();
        act(move |_, cx| {
            fences.push(cx.fence());
            Ok(Next::Continue)
        })
    };
    a.cast(push(&fences)).expect("accepted");
    let first = fences.wait(|_| true);
    assert!(first.is_open() && first.check().is_ok());
    let release = abandon(&sup, &hand, &a);
    assert!(!first.is_open());
    let fenced = first.check().expect_err("closed");
    assert_eq!(fenced.to_string(), "incarnation 1 of `a` does not stand for it any more");
    assert_eq!((&*fenced.name, fenced.epoch), ("a", 1));
    sup.restart_child("a").expect("started");
    a.cast(push(&fences)).expect("accepted");
    let second = fences.wait(|fence| fence.epoch() == 2);
    let elsewhere = second.clone();
    assert!(aside(move || elsewhere.is_open()).done(), "on any thread");
    assert!(!first.is_open());
    release.open();
    journal.wait_line("a drop");
    assert!(second.is_open());
    sup.terminate_child("a").expect("terminated");
    assert!(!second.is_open(), "it has ended");
    drop(sup);
}

#[test]
fn fences_of_all_before_are_closed_when_an_incarnation_begins() {
    let (journal, fences) = (Journal::new(), Log::<Fence>::new());
    let before = fences.clone();
    let spec = bot_with("a", &journal, move |bot| {
        let before = before.clone();
        bot.on_init(move |bot, cx| {
            let open = before.count(Fence::is_open);
            before.push(cx.fence());
            bot.note(format_args!("finds {open} open"));
            Ok(Init::Ready)
        })
    });
    let handle = spec.handle();
    let sup = patient("app").child(spec).start().expect("starts");
    for life in 1..200 {
        journal.wait_line(&format!("a init {life}"));
        handle.cast(if life % 2 == 0 { boom() } else { quit() }).expect("accepted");
    }
    journal.wait_count(200, |line| line == "a finds 0 open");
    assert_eq!(fences.count(Fence::is_open), 1);
    drop(sup);
}
