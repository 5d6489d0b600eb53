//! Errors by their kind.

use super::*;

#[test]
fn error_kinds_react_by_the_table() {
    for (kind, reaction) in [
        (ErrorKind::Transient, Reaction::Answer),
        (ErrorKind::User, Reaction::Answer),
        (ErrorKind::Permanent, Reaction::Restart),
        (ErrorKind::System, Reaction::Restart),
    ] {
        assert_eq!(kind.reaction(), reaction);
        for overridden in [false, true] {
            let other = if reaction == Reaction::Answer { Reaction::Restart } else { Reaction::Answer };
            let journal = Journal::new();
            let spec = bot("a", &journal);
            let spec = if overridden { spec.on_error(kind, other) } else { spec };
            let (sup, handle) = one(spec);
            let expected = if overridden { other } else { reaction };
            handle.cast(Msg::Add(3)).expect("accepted");
            let error =
                handle.call(ask(move |_, _, _reply| Err(Oops(kind, "as told")))).expect_err("an error");
            let total = handle.call(Msg::Total).expect("answered");
            match expected {
                Reaction::Answer => {
                    match error {
                        CallError::Failed { name, kind: said, source } => {
                            assert_eq!((&*name, said, source.to_string()), ("a", kind, "as told".to_owned()));
                        }
                        other => panic!("{other:?}"),
                    }
                    assert_eq!((total, handle.status().epoch), (3, 1), "the state is kept");
                }
                Reaction::Restart => {
                    assert!(matches!(error, CallError::Crashed { .. }), "{error}");
                    assert_eq!((total, handle.status().epoch), (0, 2), "a fresh state");
                    assert!(journal.has("a terminate: failed: as told"));
                }
            }
            drop(sup);
        }
    }
}

#[test]
fn error_kinds_an_answered_error_touches_only_its_own_call() {
    let (journal, events) = (Journal::new(), Events::new());
    let spec = bot("a", &journal);
    let handle = spec.handle();
    let sup = Supervisor::new("app").intensity(0, SECOND).on_event(events.hook()).child(spec);
    let sup = sup.start().expect("starts");
    let parked = handle.request(ask(|bot, _, reply| {
        bot.kept.push(reply);
        Ok(Next::Continue)
    }));
    let parked = parked.expect("accepted");
    handle.cast(fail(ErrorKind::User)).expect("accepted");
    // A reply that was answered before the error keeps its answer.
    let answered = handle.call(ask(|_, _, reply| {
        reply.send(1);
        Err(Oops(ErrorKind::Transient, "later"))
    }));
    assert_eq!(answered.expect("answered"), 1);
    assert!(!parked.is_ready());
    handle
        .cast(act(|bot, _| {
            bot.kept.drain(..).for_each(|reply| reply.send(2));
            Ok(Next::Continue)
        }))
        .expect("accepted");
    assert_eq!(parked.wait().expect("answered"), 2);
    assert_eq!(handle.status().epoch, 1);
    drop(sup);
    assert!(events.crashes().is_empty());
    let kinds: Vec<_> = events
        .all()
        .into_iter()
        .filter_map(|event| match event {
            SupervisionEvent::Answered { kind, .. } => Some(kind),
            _ => None,
        })
        .collect();
    assert_eq!(kinds, [ErrorKind::User, ErrorKind::Transient]);
}

#[test]
fn error_kinds_do_not_matter_in_init_and_do_in_idle() {
    let journal = Journal::new();
    let (sup, handle) = one(bot("a", &journal));
    drop(sup);
    assert!(handle.status().last_exit.is_some());

    struct Idler(Arc<AtomicU64>);
    impl Service for Idler {
        type Msg = ();
        type Error = Oops;
        fn init(&mut self, cx: &mut Context<Self>) -> Result<Init, Oops> {
            cx.set_idle_timeout(Some(MS));
            Ok(Init::Ready)
        }
        fn handle(&mut self, (): (), _: &mut Context<Self>) -> Done {
            Ok(Next::Continue)
        }
        fn idle(&mut self, _: &mut Context<Self>) -> Done {
            match self.0.fetch_add(1, Ordering::SeqCst) {
                0 => Err(Oops(ErrorKind::Permanent, "idle")),
                1 => panic_quietly("idle"),
                _ => Ok(Next::Stop),
            }
        }
    }
    let events = Events::new();
    let count = Arc::new(AtomicU64::new(0));
    let own = Arc::clone(&count);
    let spec = child("idler", move || Idler(Arc::clone(&own))).restart(Restart::Transient);
    let handle = spec.handle();
    let sup = patient("app").on_event(events.hook()).child(spec).start().expect("starts");
    assert!(matches!(handle.wait_down(LONG).expect("down").exit, Exit::Normal));
    drop(sup);
    let crashes = events.crashes();
    assert_eq!(crashes.len(), 2);
    assert!(
        crashes.iter().all(|crash| crash.label == Some("idle") && crash.context == CrashContext::Running)
    );
}
