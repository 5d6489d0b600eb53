//! Reports.

use super::*;

#[test]
fn reports_of_abnormal_exits_name_supervisor_child_context_reason_and_label() {
    let (journal, events) = (Journal::new(), Events::new());
    let spec = bot_with("a", &journal, |bot| {
        bot.on_init(|_, cx| if cx.epoch() == 4 { panic_quietly("in init") } else { Ok(Init::Ready) })
    });
    let handle = spec.handle();
    let nested = patient("nested").child(spec);
    let sup = patient("app").on_event(events.hook()).supervisor(nested).start().expect("starts");
    handle.cast(boom()).expect("accepted");
    handle.cast(fail(ErrorKind::System)).expect("accepted");
    let _ = handle.call(ask(|_, _, _| panic_quietly("in a call")));
    assert_eq!(handle.call(Msg::Epoch).expect("answered"), 5);
    drop(sup);
    let crashes = events.crashes();
    let told: Vec<_> = crashes
        .iter()
        .map(|crash| {
            (
                &*crash.supervisor,
                &*crash.child,
                crash.epoch,
                crash.context,
                crash.label,
                crash.exit.to_string(),
            )
        })
        .collect();
    assert_eq!(
        told,
        [
            ("app/nested", "a", 1, CrashContext::Running, Some("Do"), "panicked: boom".to_owned()),
            ("app/nested", "a", 2, CrashContext::Running, Some("Do"), "failed: failed as told".to_owned()),
            ("app/nested", "a", 3, CrashContext::Running, Some("Ask"), "panicked: in a call".to_owned()),
            ("app/nested", "a", 4, CrashContext::Starting, None, "panicked: in init".to_owned()),
        ]
    );
    assert!(crashes.iter().all(|crash| crash.aftermath.is_none()));
}

#[test]
fn reports_are_not_made_of_calm_exits() {
    let (journal, events) = (Journal::new(), Events::new());
    let permanent = bot("permanent", &journal);
    let transient = bot("transient", &journal).restart(Restart::Transient);
    let ignoring = bot_with("ignoring", &journal, |bot| bot.on_init(|_, _| Ok(Init::Ignore)));
    let (first, second) = (permanent.handle(), transient.handle());
    let app = patient("app").on_event(events.hook()).child(permanent).child(transient).child(ignoring);
    let sup = app.start().expect("starts");
    first.cast(quit()).expect("accepted");
    assert_eq!(first.call(Msg::Epoch).expect("answered"), 2);
    first.stop().expect("stopped");
    assert_eq!(first.call(Msg::Epoch).expect("answered"), 3);
    second.cast(quit()).expect("accepted");
    second.wait_down(LONG).expect("down");
    sup.terminate_child("permanent").expect("terminated");
    assert!(sup.shutdown(LONG).is_clean());
    assert!(events.crashes().is_empty(), "{:?}", events.crashes());
}

#[test]
fn reports_of_the_life_of_a_child_come_in_order() {
    let (journal, events) = (Journal::new(), Events::new());
    let (app, handles) = with_bots(patient("app").on_event(events.hook()), &["a"], &journal);
    let sup = app.start().expect("starts");
    handles["a"].cast(fail(ErrorKind::Permanent)).expect("accepted");
    assert_eq!(handles["a"].call(Msg::Epoch).expect("answered"), 2);
    assert_eq!(sup.shutdown(LONG).events_dropped, 0);
    let states: Vec<_> = events
        .all()
        .into_iter()
        .filter_map(|event| match event {
            SupervisionEvent::Entered { child, epoch, state, .. } if &*child == "a" => Some((epoch, state)),
            _ => None,
        })
        .collect();
    use Lifecycle::{Cleanup, Initializing, Restarting, Running, Starting, Stopped, Terminating};
    let expected = [
        (1, Starting),
        (1, Initializing),
        (1, Running),
        (1, Terminating),
        (1, Cleanup),
        (1, Restarting),
        (2, Starting),
        (2, Initializing),
        (2, Running),
        (2, Terminating),
        (2, Cleanup),
        (2, Stopped),
    ];
    assert_eq!(states, expected);
}

#[test]
fn reports_to_a_hook_that_panics_or_is_slow_cost_the_tree_nothing() {
    let (journal, release) = (Journal::new(), Latch::new());
    let (seen, held) = (Arc::new(AtomicUsize::new(0)), release.clone());
    let count = Arc::clone(&seen);
    let app = patient("app").on_event(move |_| {
        if count.fetch_add(1, Ordering::SeqCst) == 0 {
            held.wait();
        }
        panic_quietly("in the hook")
    });
    let (app, handles) = with_bots(app, &["a"], &journal);
    let sup = app.start().expect("starts although the hook hangs");
    handles["a"].cast(boom()).expect("accepted");
    assert_eq!(handles["a"].call(Msg::Epoch).expect("answered"), 2);
    release.open();
    let report = sup.shutdown(LONG);
    assert!(report.is_clean() && report.events_dropped == 0, "{report}");
    assert!(seen.load(Ordering::SeqCst) > 5, "the panics cost only themselves");
}

#[test]
fn reports_of_an_answered_error() {
    let (journal, events) = (Journal::new(), Events::new());
    let (app, handles) = with_bots(patient("app").on_event(events.hook()), &["a"], &journal);
    let sup = app.start().expect("starts");
    handles["a"].cast(fail(ErrorKind::User)).expect("accepted");
    drop(handles["a"].call(Msg::Total));
    drop(sup);
    let answered = events.wait(|event| matches!(event, SupervisionEvent::Answered { .. }));
    match answered {
        SupervisionEvent::Answered { supervisor, child, label, kind, error } => {
            assert_eq!((&*supervisor, &*child, label, kind), ("app", "a", "Do", ErrorKind::User));
            assert_eq!(&*error, "failed as told");
        }
        other => panic!("{other:?}"),
    }
    assert!(events.crashes().is_empty());
}
