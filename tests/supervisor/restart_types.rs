//! Restart types.

use super::*;

#[derive(Clone, Copy, Debug, PartialEq)]
enum End {
    Normal,
    Shutdown,
    Panic,
    Error,
}

fn end(handle: &Handle<Msg>, how: End) {
    match how {
        End::Normal => handle.cast(quit()).expect("accepted"),
        End::Panic => handle.cast(boom()).expect("accepted"),
        End::Error => handle.cast(fail(ErrorKind::Permanent)).expect("accepted"),
        End::Shutdown => handle.stop().expect("stopped"),
    }
}

#[test]
fn restart_types_permanent_always_transient_after_crashes_temporary_never() {
    for restart in [Restart::Permanent, Restart::Transient, Restart::Temporary] {
        for how in [End::Normal, End::Shutdown, End::Panic, End::Error] {
            let journal = Journal::new();
            let spec = bot("a", &journal).restart(restart);
            let handle = spec.handle();
            let sup = patient("app").child(spec).start().expect("starts");
            end(&handle, how);
            let is_crash = matches!(how, End::Panic | End::Error);
            if restart == Restart::Permanent || (restart == Restart::Transient && is_crash) {
                assert_eq!(handle.call(Msg::Epoch).expect("restarted"), 2, "{restart:?} {how:?}");
                assert_eq!(sup.which_children()[0].restarts, 1);
            } else {
                assert!(handle.wait_down(LONG).is_some(), "{restart:?} {how:?}");
                let kept = usize::from(restart == Restart::Transient);
                eventually("the supervisor has heard of it", || {
                    let counts = sup.count_children();
                    (counts.specs, counts.active, counts.stopped) == (kept, 0, kept)
                });
                assert_eq!(lines(&journal, "init").len(), 1, "{restart:?} {how:?}");
            }
            drop(sup);
        }
    }
}

#[test]
fn restart_types_stop_of_a_handle_is_not_terminate_child() {
    let journal = Journal::new();
    let spec = bot("a", &journal);
    let handle = spec.handle();
    let sup = patient("app").child(spec).start().expect("starts");
    handle.stop().expect("stopped");
    assert_eq!(handle.call(Msg::Epoch).expect("a permanent child is started again"), 2);
    assert!(journal.has("a terminate: was shut down"));
    sup.terminate_child("a").expect("terminated");
    assert!(matches!(handle.call(Msg::Epoch), Err(CallError::NotSent(_))));
    handle.stop().expect("it is stopped");
    let counts = sup.count_children();
    assert_eq!((counts.specs, counts.active, counts.restarting, counts.stopped), (1, 0, 0, 1));
    drop(sup);
}

#[test]
fn a_temporary_childs_factory_is_dropped_once_it_ran() {
    struct Held(Arc<AtomicU64>);
    impl Drop for Held {
        fn drop(&mut self) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }
    let (journal, dropped) = (Journal::new(), Arc::new(AtomicU64::new(0)));
    let held = Held(Arc::clone(&dropped));
    let spec = child("job", {
        let journal = journal.clone();
        move || {
            let _held = &held;
            Bot::new("job", &journal)
        }
    });
    let sup = Supervisor::new("app").start().expect("starts");
    let handle = sup.start_child(spec.restart(Restart::Temporary)).expect("starts");
    assert_eq!(dropped.load(Ordering::SeqCst), 1, "gone while the child runs");
    assert_eq!(handle.call(Msg::Epoch).expect("answered"), 1);
    drop(sup);
}
