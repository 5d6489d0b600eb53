//! recycle_child: the present incarnation is stopped, or given up, and another takes its place.

mod common;

use common::*;
use underpin::{
    Backoff, CallError, DeleteChildError, Exit, Init, Lifecycle, Next, RecycleChildError, Restart,
    Supervisor, SupervisorHandle,
};

/// A supervisor whose budget no restart is charged to.
fn strict(spec: underpin::ChildSpec<Bot>) -> (SupervisorHandle, underpin::Handle<Msg>) {
    let handle = spec.handle();
    (Supervisor::new("app").intensity(0, SECOND).child(spec).start().expect("starts"), handle)
}

/// Whether `a` is about to have a successor.
fn is_under_way(sup: &SupervisorHandle) -> bool {
    matches!(sup.delete_child("a"), Err(DeleteChildError::Restarting { .. }))
}

#[test]
fn a_running_child_is_stopped_in_order_and_goes_on_with_its_queue() {
    for restart in [Restart::Permanent, Restart::Transient] {
        let journal = Journal::new();
        let (sup, handle) = strict(bot("a", &journal).restart(restart));
        handle.cast(Msg::Add(7)).expect("sent");
        let release = occupy(&handle);
        handle.cast(Msg::Add(1)).expect("sent");
        let reference = sup.reference();
        let recycled = aside(move || reference.recycle_child("a"));
        eventually("it is asked to stop", || is_under_way(&sup));
        release.open();
        recycled.done().expect("recycled");
        assert_eq!(handle.call(Msg::Epoch).ok(), Some(2));
        assert_eq!(handle.call(Msg::Total).ok(), Some(1), "a fresh state, and what was queued");
        assert!(journal.has("a terminate: was shut down"));
        assert_eq!(sup.which_children()[0].restarts, 0, "it is no restart");
        assert!(sup.shutdown(LONG).is_clean());
    }
}

/// Stopped so that another takes its place it was, once: the next is asked for its state.
#[test]
fn one_that_was_recycled_is_replaced_like_any_other() {
    let journal = Journal::new();
    let (sup, handle) = strict(bot("a", &journal));
    sup.recycle_child("a").expect("recycled");
    handle.cast(Msg::Add(7)).expect("sent");
    sup.replace_child("a", |old: Option<Bot>| old.expect("it ran")).expect("replaced");
    assert_eq!((handle.call(Msg::Total).ok(), handle.call(Msg::Epoch).ok()), (Some(7), Some(3)));
    assert!(sup.shutdown(LONG).is_clean());
}

#[test]
fn one_that_hangs_is_abandoned_after_its_grace_and_its_caller_told() {
    let journal = Journal::new();
    let (sup, handle) = strict(bot("a", &journal).shutdown(MS * 20));
    let (inside, release) = (Latch::new(), Latch::new());
    let (tell, held, caller) = (inside.clone(), release.clone(), handle.clone());
    let outcome = aside(move || {
        caller.call_timeout(
            LONG,
            ask(move |_, _, reply| {
                tell.open();
                held.wait();
                reply.send(1);
                Ok(Next::Continue)
            }),
        )
    });
    inside.wait();
    handle.cast(Msg::Add(5)).expect("sent");
    sup.recycle_child("a").expect("recycled");
    assert!(matches!(outcome.done(), Err(CallError::Crashed { .. })));
    assert_eq!((handle.call(Msg::Epoch).ok(), handle.call(Msg::Total).ok()), (Some(2), Some(5)));
    assert_eq!(sup.abandoned().alive, 1);
    let report = sup.shutdown(LONG);
    assert_eq!(report.unstopped.len(), 1, "{report}");
    assert_eq!(report.unstopped[0].label, Some("Ask"), "{report}");
    release.open();
}

#[test]
fn a_nested_supervisor_is_recycled_with_its_children_who_keep_their_handles() {
    let journal = Journal::new();
    let inner = bot("a", &journal);
    let handle = inner.handle();
    let nested = Supervisor::new("nested").child(inner);
    let app = Supervisor::new("app").intensity(0, SECOND).supervisor(nested).start().expect("starts");
    app.recycle_child("nested").expect("recycled");
    assert_eq!(handle.call(Msg::Epoch).ok(), Some(2));
    assert_eq!(app.which_children()[0].epoch, 2);
}

#[test]
fn who_is_not_running_or_has_no_second_life_is_refused() {
    let journal = Journal::new();
    let slow = Backoff::exponential(60 * SECOND, 60 * SECOND);
    let specs = [
        bot("once", &journal).restart(Restart::Temporary),
        bot("down", &journal),
        bot("waits", &journal).backoff(slow),
    ];
    let waits = specs[2].handle();
    let app = specs.into_iter().fold(patient("app"), Supervisor::child).start().expect("starts");
    app.terminate_child("down").expect("stops");
    waits.cast(boom()).expect("sent");
    eventually("it backs off", || app.count_children().restarting == 1);
    let refused = |name: &str| app.recycle_child(name).expect_err("refused");
    assert!(matches!(refused("nobody"), RecycleChildError::NotFound { .. }));
    assert!(matches!(refused("once"), RecycleChildError::Temporary { .. }));
    assert!(matches!(refused("down"), RecycleChildError::NotRunning { state: Lifecycle::Stopped, .. }));
    assert!(matches!(refused("waits"), RecycleChildError::NotRunning { state: Lifecycle::Restarting, .. }));
    let reference = app.reference();
    drop(app);
    let gone = reference.recycle_child("once").expect_err("gone");
    assert!(matches!(gone, RecycleChildError::ShuttingDown { .. }));
}

#[test]
fn a_child_does_not_recycle_itself() {
    let (sup, handle) = strict(bot("a", &Journal::new()));
    let reference = sup.reference();
    let asks = ask(move |_, _, reply| {
        let refused = reference.recycle_child("a");
        reply.send(u64::from(matches!(refused, Err(RecycleChildError::RecyclingSelf { .. }))));
        Ok(Next::Continue)
    });
    assert_eq!(handle.call(asks).ok(), Some(1));
}

#[test]
fn a_start_that_fails_is_told_and_the_child_stays_down() {
    let journal = Journal::new();
    let spec = bot_with("a", &journal, |bot| {
        bot.on_init(|_, cx| match cx.epoch() {
            2 => panic_quietly("not now"),
            _ => Ok(Init::Ready),
        })
    });
    let (sup, handle) = strict(spec);
    let failed = sup.recycle_child("a").expect_err("fails");
    assert!(matches!(failed, RecycleChildError::FailedToStart { source: Exit::Panicked(_), .. }), "{failed}");
    assert_eq!(sup.count_children().stopped, 1);
    sup.restart_child("a").expect("starts");
    assert_eq!(handle.call(Msg::Epoch).ok(), Some(3));
}

#[test]
fn nothing_is_recycled_that_might_leave_no_room_for_its_successor() {
    let journal = Journal::new();
    let specs = [bot("a", &journal).shutdown(MS), bot("b", &journal)];
    let handles = specs.each_ref().map(|spec| spec.handle());
    let app = specs.into_iter().fold(patient("app").max_abandoned(2), Supervisor::child);
    let app = app.start().expect("starts");
    let release = occupy(&handles[0]);
    app.recycle_child("a").expect("recycled");
    let refused = app.recycle_child("b").expect_err("one more might be");
    assert!(matches!(refused, RecycleChildError::TooManyAbandoned { most: 2, .. }), "{refused}");
    assert_eq!(handles[1].call(Msg::Epoch).ok(), Some(1), "it goes on");
    release.open();
    eventually("it has come back", || app.abandoned().alive == 0);
    app.recycle_child("b").expect("recycled");
}

/// Those that are being recycled may all hang.
#[test]
fn nothing_is_recycled_beside_those_that_might_take_the_room_of_its_successor() {
    let journal = Journal::new();
    let specs = [bot("a", &journal), bot("b", &journal)];
    let handles = specs.each_ref().map(|spec| spec.handle());
    let app = specs.into_iter().fold(patient("app").max_abandoned(2), Supervisor::child);
    let app = app.start().expect("starts");
    let release = occupy(&handles[0]);
    let reference = app.reference();
    let first = aside(move || reference.recycle_child("a"));
    eventually("it is asked to stop", || is_under_way(&app));
    let refused = app.recycle_child("b").expect_err("both might be");
    assert!(matches!(refused, RecycleChildError::TooManyAbandoned { most: 2, .. }), "{refused}");
    release.open();
    first.done().expect("recycled");
    app.recycle_child("b").expect("recycled");
    assert_eq!(handles.map(|handle| handle.call(Msg::Epoch).ok()), [Some(2), Some(2)]);
}

#[test]
fn a_stop_of_all_in_the_midst_of_it_wins() {
    let journal = Journal::new();
    let (sup, handle) = strict(bot("a", &journal));
    let release = occupy(&handle);
    let reference = sup.reference();
    let recycled = aside(move || reference.recycle_child("a"));
    eventually("the supervisor has heard of it", || is_under_way(&sup));
    let stopping = aside(move || sup.shutdown(LONG));
    let told = recycled.done().expect_err("it goes down");
    assert!(matches!(told, RecycleChildError::ShuttingDown { .. }), "{told}");
    release.open();
    assert!(stopping.done().is_clean());
    assert_eq!(handle.status().epoch, 1);
}
