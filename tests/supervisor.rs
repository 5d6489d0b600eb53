//! Supervision: who is started, watched, restarted and stopped, in which order and how often.

mod common;

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use common::*;
use underpin::{
    Backoff, CallError, CastError, ChildKind, ChildSpec, Clock, CrashContext, DeleteChildError, ErrorKind,
    Exit, Handle, Init, Lifecycle, Next, Overflow, Registry, Restart, RestartChildError, StartChildError,
    StartError, Strategy, SupervisionEvent, Supervisor, SupervisorHandle, TerminateChildError, child,
};

const STRATEGIES: [Strategy; 3] = [Strategy::OneForOne, Strategy::OneForAll, Strategy::RestForOne];

/// A handle for each bot of these names, and the supervisor with the bots.
fn with_bots(
    mut app: Supervisor,
    names: &[&str],
    journal: &Journal,
) -> (Supervisor, HashMap<String, Handle<Msg>>) {
    let mut handles = HashMap::new();
    for name in names {
        let spec = bot(name, journal);
        handles.insert((*name).to_owned(), spec.handle());
        app = app.child(spec);
    }
    (app, handles)
}

fn epochs(handles: &HashMap<String, Handle<Msg>>, names: &[&str]) -> Vec<u64> {
    names.iter().map(|name| handles[*name].call(Msg::Epoch).expect("answered")).collect()
}

/// A bot whose `init` fails in the lives that `fails` says, by an `Err`.
fn flaky(
    name: &str,
    journal: &Journal,
    fails: impl Fn(u64) -> bool + Send + Sync + 'static,
) -> ChildSpec<Bot> {
    let fails = Arc::new(fails);
    bot_with(name, journal, move |bot| {
        let fails = Arc::clone(&fails);
        bot.on_init(move |_, cx| {
            if fails(cx.epoch()) { Err(Oops(ErrorKind::Transient, "no luck")) } else { Ok(Init::Ready) }
        })
    })
}

fn lines(journal: &Journal, part: &str) -> Vec<String> {
    journal.all().into_iter().filter(|line| line.contains(part)).collect()
}

// ---- start and stop ----------------------------------------------------------------------

#[test]
fn starts_and_stops_without_children() {
    let sup = Supervisor::new("app").start().expect("starts");
    assert!(sup.which_children().is_empty());
    assert_eq!(sup.count_children().specs, 0);
    assert_eq!(sup.status().state, Lifecycle::Running);
    assert!(sup.wait(Duration::ZERO).is_none());
    let report = sup.shutdown(LONG);
    assert!(report.is_clean() && matches!(report.exit, Exit::Shutdown), "{report}");
    assert_eq!(sup.status().state, Lifecycle::Stopped);
    assert!(matches!(sup.wait(LONG), Some(Exit::Shutdown)));
    assert_eq!(sup.shutdown(LONG).took, report.took, "the report of the first");
    assert!(sup.which_children().is_empty());
}

#[test]
fn children_start_in_order_each_when_the_one_before_is_ready_and_stop_in_reverse() {
    let journal = Journal::new();
    let spec = |name: &str| {
        bot_with(name, &journal, |bot| {
            bot.on_init(|bot, _| {
                bot.note("is ready");
                Ok(Init::Ready)
            })
        })
    };
    let nested = Supervisor::new("nested").child(spec("b")).child(spec("c"));
    let sup =
        Supervisor::new("app").child(spec("a")).supervisor(nested).child(spec("d")).start().expect("starts");
    let expected: Vec<String> =
        ["a", "b", "c", "d"].iter().flat_map(|n| [format!("{n} init 1"), format!("{n} is ready")]).collect();
    assert_eq!(journal.all(), expected);
    let names: Vec<_> = sup.which_children().into_iter().map(|info| info.name.to_string()).collect();
    assert_eq!(names, ["a", "nested", "d"]);
    journal.clear();
    assert!(sup.shutdown(LONG).is_clean());
    let expected: Vec<String> = ["d", "c", "b", "a"]
        .iter()
        .flat_map(|n| [format!("{n} terminate: was shut down"), format!("{n} drop")])
        .collect();
    assert_eq!(journal.all(), expected);
}

#[test]
fn a_bad_description_is_refused_before_anything_starts() {
    let journal = Journal::new();
    let early = || bot("early", &journal);
    let after_handle = bot("late", &journal);
    let _handle = after_handle.handle();
    let with_hook = Supervisor::new("nested").on_event(|_| ());
    let with_clock = Supervisor::new("nested").clock(Clock::system());
    let with_registry = Supervisor::new("nested").registry(Registry::new());
    let app = || Supervisor::new("app").child(early());
    let cases = [
        (app().child(bot("x", &journal)).child(bot("x", &journal)), "two children are called `x`"),
        (app().supervisor(Supervisor::new("early")), "two children are called `early`"),
        (app().intensity(1, Duration::ZERO), "the period of its intensity"),
        (
            app().supervisor(Supervisor::new("inner").intensity(1, Duration::ZERO)),
            "the period of its intensity",
        ),
        (
            app().supervisor(Supervisor::new("in").child(early()).child(early())),
            "two children are called `early`",
        ),
        (app().child(bot("", &journal)), "a name is not empty"),
        (app().child(bot("a/b", &journal)), "a name is not empty"),
        (app().child(bot("nul\0", &journal)), "a name is not empty"),
        (app().child(bot("none", &journal).capacity(0)), "capacity"),
        (app().child(bot("huge", &journal).capacity(usize::MAX)), "capacity"),
        (app().child(after_handle.capacity(3)), "`capacity` was set after a handle was taken"),
        (app().supervisor(with_hook), "root's"),
        (app().supervisor(with_clock), "root's"),
        (app().supervisor(with_registry), "root's"),
    ];
    for (app, part) in cases {
        match app.start() {
            Err(StartError::BadSpec { supervisor, reason }) => {
                assert_eq!(&*supervisor, "app");
                assert!(reason.contains(part), "{reason:?} does not say {part:?}");
            }
            other => panic!("{part}: {other:?}"),
        }
    }
    assert!(journal.all().is_empty(), "{:?}", journal.all());
}

#[test]
fn options_set_after_a_handle_was_taken_are_refused() {
    let journal = Journal::new();
    let taken = || {
        let spec = bot("late", &journal);
        drop(spec.handle());
        spec
    };
    let specs = [taken().overflow(Overflow::Reject), taken().on_dead_letter(|_| ()), taken().capacity(1)];
    for spec in specs {
        let sup = Supervisor::new("app").start().expect("starts");
        let error = sup.start_child(spec).expect_err("refused");
        assert!(matches!(error, StartChildError::BadSpec { .. }), "{error}");
        assert_eq!(sup.count_children().specs, 0);
    }
}

#[test]
fn limits_that_are_as_good_as_none_are_fine() {
    let journal = Journal::new();
    let spec = |name| bot(name, &journal).init_timeout(Duration::MAX).shutdown(Duration::MAX);
    let nested =
        Supervisor::new("nested").intensity(u32::MAX, Duration::MAX).child(spec("b")).child(spec("c"));
    let sup = Supervisor::new("app").child(spec("a")).supervisor(nested).start().expect("starts");
    assert_eq!(sup.count_children().active, 2);
    assert!(sup.shutdown(Duration::MAX).is_clean());
}

// ---- the first start ---------------------------------------------------------------------

#[test]
fn first_start_stops_those_before_in_reverse_and_names_child_and_source() {
    type Failing = fn(&Journal) -> ChildSpec<Bot>;
    type IsRight = fn(&Exit) -> bool;
    let failing: [(Failing, IsRight); 5] = [
        (
            |journal| flaky("bad", journal, |_| true),
            |exit| matches!(exit, Exit::Failed(error) if error.to_string() == "no luck"),
        ),
        (
            |journal| bot_with("bad", journal, |bot| bot.on_init(|_, _| panic_quietly("in init"))),
            |exit| matches!(exit, Exit::Panicked(text) if &**text == "in init"),
        ),
        (
            |_| child("bad", || Err::<Bot, _>(Oops(ErrorKind::System, "no factory"))),
            |exit| matches!(exit, Exit::Failed(error) if error.to_string() == "no factory"),
        ),
        (
            |journal| bot_with("bad", journal, |_| panic_quietly("in the factory")),
            |exit| matches!(exit, Exit::Panicked(text) if &**text == "in the factory"),
        ),
        (
            |journal| {
                bot_with("bad", journal, |bot| {
                    bot.on_init(|_, cx| {
                        eventually("given up", || cx.is_stopping());
                        Ok(Init::Ready)
                    })
                })
                .init_timeout(MS * 10)
            },
            |exit| matches!(exit, Exit::InitTimedOut(limit) if *limit == MS * 10),
        ),
    ];
    for (spec, is_expected) in failing {
        let journal = Journal::new();
        let bad = spec(&journal);
        let handle = bad.handle();
        let never = bot("never", &journal);
        let never_handle = never.handle();
        let nested = Supervisor::new("nested").child(bot("b", &journal));
        let app = Supervisor::new("app").intensity(100, SECOND).child(bot("a", &journal)).supervisor(nested);
        match app.child(bad).child(never).start() {
            Err(StartError::FailedToStart { supervisor, child, source }) => {
                assert_eq!((&*supervisor, &*child), ("app", "bad"));
                assert!(is_expected(&source), "{source}");
            }
            other => panic!("{other:?}"),
        }
        assert!(lines(&journal, "bad init").len() <= 1, "no retries at the first start");
        assert!(lines(&journal, "never").is_empty());
        assert_eq!(
            lines(&journal, "terminate"),
            ["b terminate: was shut down", "a terminate: was shut down"]
        );
        assert!(matches!(handle.cast(Msg::Add(1)), Err(CastError::Stopped { .. })));
        assert!(matches!(never_handle.cast(Msg::Add(1)), Err(CastError::Stopped { .. })));
        assert_eq!(handle.status().state, Lifecycle::Failed);
        assert_eq!(never_handle.status().state, Lifecycle::Stopped);
    }
}

#[test]
fn first_start_of_a_nested_supervisor_that_fails_names_the_whole_way_down() {
    let journal = Journal::new();
    let nested = Supervisor::new("nested").child(bot("b", &journal)).child(flaky("bad", &journal, |_| true));
    match Supervisor::new("app").child(bot("a", &journal)).supervisor(nested).start() {
        Err(error @ StartError::FailedToStart { .. }) => {
            assert_eq!(error.to_string(), "supervisor `app`: child `nested` child `bad` failed: no luck");
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(lines(&journal, "bad init").len(), 1);
    assert_eq!(lines(&journal, "terminate"), ["b terminate: was shut down", "a terminate: was shut down"]);
}

#[test]
fn first_start_whose_init_ignores_keeps_the_spec_not_running() {
    let journal = Journal::new();
    let spec = bot_with("shy", &journal, |bot| {
        bot.on_init(|_, cx| if cx.epoch() == 1 { Ok(Init::Ignore) } else { Ok(Init::Ready) })
    });
    let handle = spec.handle();
    let sup = Supervisor::new("app").intensity(0, SECOND).child(spec).child(bot("b", &journal));
    let sup = sup.start().expect("to ignore is no failure");
    let counts = sup.count_children();
    assert_eq!((counts.specs, counts.active, counts.stopped), (2, 1, 1));
    assert!(matches!(sup.which_children()[0].last_exit, Some(Exit::Ignored)));
    assert!(matches!(handle.cast(Msg::Add(1)), Err(CastError::Stopped { .. })));
    assert!(matches!(handle.wait_down(LONG).expect("down").exit, Exit::Ignored));
    sup.restart_child("shy").expect("it runs now");
    assert_eq!(handle.call(Msg::Epoch).expect("its handles are valid again"), 2);
    drop(sup);
}

#[test]
fn first_start_of_a_temporary_child_that_fails_is_named_too() {
    let (journal, events) = (Journal::new(), Events::new());
    let bad = flaky("bad", &journal, |_| true).restart(Restart::Temporary);
    let also = bot("also", &journal).restart(Restart::Temporary);
    match Supervisor::new("app").on_event(events.hook()).child(also).child(bad).start() {
        Err(StartError::FailedToStart { child, source: Exit::Failed(_), .. }) => assert_eq!(&*child, "bad"),
        other => panic!("{other:?}"),
    }
    assert_eq!(events.crashes().len(), 1);
    assert_eq!(lines(&journal, "terminate"), ["also terminate: was shut down"]);
}

// ---- restart types -----------------------------------------------------------------------

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

// ---- strategies --------------------------------------------------------------------------

#[test]
fn one_for_one_only_the_crashed_child_is_new() {
    let journal = Journal::new();
    let (app, handles) = with_bots(patient("app"), &["a", "b", "c"], &journal);
    let sup = app.start().expect("starts");
    handles["b"].cast(boom()).expect("accepted");
    assert_eq!(epochs(&handles, &["a", "b", "c"]), [1, 2, 1]);
    handles["c"].cast(boom()).expect("accepted");
    assert_eq!(epochs(&handles, &["a", "b", "c"]), [1, 2, 2]);
    assert_eq!(lines(&journal, "terminate").len(), 0);
    drop(sup);
}

#[test]
fn one_for_all_all_are_new_and_no_old_one_is_alive() {
    let journal = Journal::new();
    let (app, handles) = with_bots(patient("app").strategy(Strategy::OneForAll), &["a", "b", "c"], &journal);
    let sup = app.start().expect("starts");
    journal.clear();
    handles["b"].cast(boom()).expect("accepted");
    journal.wait_line("c init 2");
    assert_eq!(epochs(&handles, &["a", "b", "c"]), [2, 2, 2]);
    assert_eq!(
        journal.all(),
        [
            "b drop",
            "c terminate: was shut down",
            "c drop",
            "a terminate: was shut down",
            "a drop",
            "a init 2",
            "b init 2",
            "c init 2"
        ]
    );
    drop(sup);
}

#[test]
fn rest_for_one_those_before_stay_those_after_are_new() {
    let journal = Journal::new();
    let (app, handles) =
        with_bots(patient("app").strategy(Strategy::RestForOne), &["a", "b", "c", "d"], &journal);
    let sup = app.start().expect("starts");
    journal.clear();
    handles["b"].cast(boom()).expect("accepted");
    journal.wait_line("d init 2");
    assert_eq!(epochs(&handles, &["a", "b", "c", "d"]), [1, 2, 2, 2]);
    assert_eq!(
        journal.all(),
        [
            "b drop",
            "d terminate: was shut down",
            "d drop",
            "c terminate: was shut down",
            "c drop",
            "b init 2",
            "c init 2",
            "d init 2"
        ]
    );
    journal.clear();
    handles["d"].cast(boom()).expect("accepted");
    journal.wait_line("d init 3");
    assert_eq!(epochs(&handles, &["a", "b", "c", "d"]), [1, 2, 2, 3]);
    drop(sup);
}

#[test]
fn siblings_keep_their_mailboxes_over_a_restart_of_the_group() {
    let journal = Journal::new();
    let (app, handles) = with_bots(patient("app").strategy(Strategy::OneForAll), &["a", "b"], &journal);
    let sup = app.start().expect("starts");
    let (asked, release) = hang(&handles["b"]);
    handles["b"].cast(Msg::Add(3)).expect("accepted");
    let call = handles["b"].request(Msg::Total).expect("accepted");
    handles["a"].cast(boom()).expect("accepted");
    asked.wait();
    release.open();
    assert_eq!(call.wait().expect("answered by the next incarnation"), 3);
    assert_eq!(handles["b"].status().epoch, 2);
    assert_eq!(handles["b"].status().dead_letters, 0);
    drop(sup);
}

#[test]
fn one_for_all_an_init_that_fails_in_the_restart_stops_the_restarted_and_retries_all() {
    let journal = Journal::new();
    let (a, c) = (bot("a", &journal), bot("c", &journal));
    let (crasher, last) = (a.handle(), c.handle());
    let app = Supervisor::new("app").strategy(Strategy::OneForAll).intensity(2, SECOND * 60);
    let sup = app.child(a).child(flaky("b", &journal, |life| life == 2)).child(c).start().expect("starts");
    journal.clear();
    crasher.cast(boom()).expect("accepted");
    journal.wait_line("c init 2");
    assert_eq!(last.call(Msg::Epoch).expect("answered"), 2, "it was not started in the failed try");
    let starts_and_stops: Vec<_> = journal.all().into_iter().filter(|line| !line.contains("drop")).collect();
    assert_eq!(
        starts_and_stops,
        [
            "c terminate: was shut down",
            "b terminate: was shut down",
            "a init 2",
            "b init 2",
            "a terminate: was shut down",
            "a init 3",
            "b init 3",
            "c init 2"
        ]
    );
    drop(sup);
}

#[test]
fn rest_for_one_an_init_that_fails_in_the_restart_retries_from_there_on() {
    let journal = Journal::new();
    let (a, d) = (bot("a", &journal), bot("d", &journal));
    let (crasher, last) = (a.handle(), d.handle());
    let app = Supervisor::new("app").strategy(Strategy::RestForOne).intensity(2, SECOND * 60);
    let app = app.child(a).child(bot("b", &journal)).child(flaky("c", &journal, |life| life == 2)).child(d);
    let sup = app.start().expect("starts");
    journal.clear();
    crasher.cast(boom()).expect("accepted");
    journal.wait_line("d init 2");
    assert_eq!(last.call(Msg::Epoch).expect("answered"), 2);
    assert_eq!(lines(&journal, "init"), ["a init 2", "b init 2", "c init 2", "c init 3", "d init 2"]);
    drop(sup);
}

#[test]
fn temporary_bystanders_are_deleted_and_not_restarted() {
    let journal = Journal::new();
    let (a, b, c) = (bot("a", &journal), bot("b", &journal), bot("c", &journal));
    let (crasher, bystander, last) = (a.handle(), b.handle(), c.handle());
    let app = patient("app").strategy(Strategy::OneForAll);
    let sup = app.child(a).child(b.restart(Restart::Temporary)).child(c).start().expect("starts");
    crasher.cast(boom()).expect("accepted");
    journal.wait_line("c init 2");
    assert_eq!(last.call(Msg::Epoch).expect("answered"), 2);
    let down = bystander.wait_down(LONG).expect("gone for good");
    assert!(matches!(down.exit, Exit::Shutdown), "{}", down.exit);
    let names: Vec<_> = sup.which_children().into_iter().map(|info| info.name.to_string()).collect();
    assert_eq!(names, ["a", "c"]);
    assert_eq!(lines(&journal, "b init"), ["b init 1"]);
    drop(sup);
}

#[test]
fn children_that_are_down_for_good_stay_down_when_their_group_is_restarted() {
    let journal = Journal::new();
    let (app, handles) = with_bots(patient("app").strategy(Strategy::OneForAll), &["a", "b", "c"], &journal);
    let sup = app.start().expect("starts");
    sup.terminate_child("b").expect("terminated");
    handles["a"].cast(boom()).expect("accepted");
    journal.wait_line("c init 2");
    assert_eq!(epochs(&handles, &["a", "c"]), [2, 2]);
    assert_eq!(sup.count_children().stopped, 1);
    assert_eq!(lines(&journal, "b init"), ["b init 1"]);
    drop(sup);
}

// ---- intensity ---------------------------------------------------------------------------

#[test]
fn intensity_every_retry_of_a_failing_restart_is_charged() {
    let (journal, events) = (Journal::new(), Events::new());
    let spec = flaky("a", &journal, |life| life > 1);
    let handle = spec.handle();
    let app = Supervisor::new("app").intensity(3, SECOND * 60).on_event(events.hook());
    let sup = app.child(spec).child(bot("b", &journal)).start().expect("starts");
    handle.cast(boom()).expect("accepted");
    let exit = sup.wait(LONG).expect("it gives up");
    assert!(matches!(exit, Exit::Escalated { ref child } if &**child == "a"), "{exit}");
    assert_eq!(lines(&journal, "a init").len(), 4, "the first, and three restarts");
    assert!(journal.has("b terminate: was shut down"));
    let report = sup.shutdown(LONG);
    assert!(report.is_clean() && matches!(report.exit, Exit::Escalated { .. }), "{report}");
    let gave_up = events.wait(|event| matches!(event, SupervisionEvent::GaveUp { .. }));
    match gave_up {
        SupervisionEvent::GaveUp { supervisor, child, restarts, period } => {
            assert_eq!((&*supervisor, &*child, restarts, period), ("app", "a", 3, SECOND * 60));
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(events.crashes().len(), 4);
}

#[test]
fn intensity_the_check_comes_before_the_restart() {
    for strategy in STRATEGIES {
        let journal = Journal::new();
        let (app, handles) = with_bots(Supervisor::new("app").strategy(strategy), &["a"], &journal);
        let sup = app.intensity(2, SECOND * 60).start().expect("starts");
        for life in 2..=3 {
            handles["a"].cast(boom()).expect("accepted");
            assert_eq!(handles["a"].call(Msg::Epoch).expect("restarted"), life);
        }
        handles["a"].cast(boom()).expect("accepted");
        assert!(matches!(sup.wait(LONG), Some(Exit::Escalated { .. })));
        assert_eq!(lines(&journal, "init").len(), 3, "{strategy:?}: the third restart was not made");
    }
}

#[test]
fn intensity_zero_allows_no_restart() {
    let journal = Journal::new();
    let (app, handles) = with_bots(Supervisor::new("app").intensity(0, SECOND), &["a"], &journal);
    let sup = app.start().expect("starts");
    handles["a"].cast(quit()).expect("accepted");
    assert!(matches!(sup.wait(LONG), Some(Exit::Escalated { .. })));
    assert_eq!(lines(&journal, "init").len(), 1);
}

#[test]
fn intensity_one_crash_per_period_never_trips() {
    let (clock, hand) = Clock::manual();
    let journal = Journal::new();
    let (app, handles) = with_bots(Supervisor::new("app").clock(clock), &["a"], &journal);
    let sup = app.intensity(1, SECOND * 5).start().expect("starts");
    for life in 2..30 {
        handles["a"].cast(boom()).expect("accepted");
        assert_eq!(handles["a"].call(Msg::Epoch).expect("restarted"), life);
        hand.advance(SECOND * 5 + NS); // older than the period: it does not count
    }
    handles["a"].cast(boom()).expect("accepted");
    assert_eq!(handles["a"].call(Msg::Epoch).expect("restarted"), 30);
    hand.advance(SECOND * 5); // exactly one period old: it does
    handles["a"].cast(boom()).expect("accepted");
    eventually("it gives up", || sup.wait(Duration::ZERO).is_some());
    assert!(matches!(sup.wait(LONG), Some(Exit::Escalated { .. })));
}

#[test]
fn intensity_the_restart_of_a_group_is_one_charge() {
    for strategy in [Strategy::OneForAll, Strategy::RestForOne] {
        let journal = Journal::new();
        let (app, handles) =
            with_bots(Supervisor::new("app").strategy(strategy), &["a", "b", "c", "d"], &journal);
        let sup = app.intensity(1, SECOND * 60).start().expect("starts");
        handles["a"].cast(boom()).expect("accepted");
        journal.wait_line("d init 2");
        assert_eq!(epochs(&handles, &["a", "b", "c", "d"]), [2, 2, 2, 2], "{strategy:?}");
        assert_eq!(sup.status().epoch, 1);
        drop(sup);
    }
}

#[test]
fn intensity_restart_child_and_failed_start_child_are_not_charged() {
    let journal = Journal::new();
    let (app, handles) = with_bots(Supervisor::new("app").intensity(0, SECOND * 60), &["a"], &journal);
    let sup = app.start().expect("starts");
    for life in 2..10 {
        sup.terminate_child("a").expect("terminated");
        sup.restart_child("a").expect("restarted");
        assert_eq!(handles["a"].call(Msg::Epoch).expect("answered"), life);
        let error = sup.start_child(flaky("bad", &journal, |_| true)).expect_err("fails");
        assert!(
            matches!(error, StartChildError::FailedToStart { ref name, source: Exit::Failed(_) } if &**name == "bad"),
            "{error}"
        );
        assert_eq!(sup.count_children().specs, 1, "its spec is not saved");
    }
    drop(sup);
}

#[test]
fn restart_child_that_fails_stays_stopped() {
    let journal = Journal::new();
    let spec = flaky("a", &journal, |life| life == 2);
    let handle = spec.handle();
    let sup = Supervisor::new("app").intensity(0, SECOND).child(spec).start().expect("starts");
    sup.terminate_child("a").expect("terminated");
    let error = sup.restart_child("a").expect_err("it fails");
    assert!(matches!(error, RestartChildError::FailedToStart { source: Exit::Failed(_), .. }), "{error}");
    assert_eq!((sup.count_children().stopped, handle.status().state), (1, Lifecycle::Failed));
    sup.restart_child("a").expect("now it works");
    assert_eq!(handle.call(Msg::Epoch).expect("answered"), 3);
    drop(sup);
}

// ---- escalation --------------------------------------------------------------------------

#[test]
fn escalation_in_each_strategy_is_restarted_by_the_parent_and_charged_there() {
    for strategy in STRATEGIES {
        let (journal, events) = (Journal::new(), Events::new());
        let nested = Supervisor::new("nested").strategy(strategy).intensity(1, SECOND * 60);
        let (nested, handles) = with_bots(nested, &["b", "c"], &journal);
        let reference = nested.reference();
        let app = Supervisor::new("app").intensity(1, SECOND * 60).on_event(events.hook());
        let (app, outer) = with_bots(app, &["a"], &journal);
        let sup = app.supervisor(nested).start().expect("starts");

        // One restart is in its budget, the second is the parent's.
        handles["b"].cast(boom()).expect("accepted");
        assert_eq!(handles["b"].call(Msg::Epoch).expect("answered"), 2);
        assert_eq!(reference.status().epoch, 1);
        handles["b"].cast(boom()).expect("accepted");
        assert_eq!(handles["b"].call(Msg::Epoch).expect("its handle is kept"), 3);
        let last = if strategy == Strategy::OneForOne { 2 } else { 3 };
        assert_eq!(handles["c"].call(Msg::Epoch).expect("answered"), last);
        assert_eq!(reference.status().epoch, 2);
        assert_eq!(outer["a"].call(Msg::Epoch).expect("answered"), 1);
        assert_eq!(reference.count_children().active, 2);
        let info = &sup.which_children()[1];
        assert_eq!((info.kind, info.epoch, info.restarts), (ChildKind::Supervisor, 2, 1));
        assert!(matches!(info.last_exit, Some(Exit::Escalated { ref child }) if &**child == "b"));

        // A fresh budget below, a spent one above.
        handles["b"].cast(boom()).expect("accepted");
        assert_eq!(handles["b"].call(Msg::Epoch).expect("answered"), 4);
        handles["b"].cast(boom()).expect("accepted");
        let exit = sup.wait(LONG).expect("the root gives up");
        assert!(matches!(exit, Exit::Escalated { ref child } if &**child == "nested"), "{exit}");
        assert!(matches!(handles["b"].cast(Msg::Add(1)), Err(CastError::Stopped { .. })));
        assert!(matches!(handles["c"].cast(Msg::Add(1)), Err(CastError::Stopped { .. })));
        assert!(journal.has("a terminate: was shut down"));
        drop(sup);
        let escalated = |event: &SupervisionEvent| matches!(event, SupervisionEvent::Crashed(crash) if &*crash.child == "nested" && &*crash.supervisor == "app");
        assert_eq!(events.count(escalated), 2, "{strategy:?}");
    }
}

#[test]
fn escalation_keeps_the_queues_of_static_children() {
    let journal = Journal::new();
    let nested = Supervisor::new("nested").intensity(0, SECOND);
    let (nested, handles) = with_bots(nested, &["b", "c"], &journal);
    let sup = patient("app").supervisor(nested).start().expect("starts");
    let go_on = occupy(&handles["b"]);
    handles["b"].cast(boom()).expect("accepted");
    handles["b"].cast(Msg::Add(5)).expect("accepted");
    let total = handles["b"].request(Msg::Total).expect("accepted");
    go_on.open();
    assert_eq!(total.wait().expect("answered after the escalation"), 5);
    assert_eq!((handles["b"].status().epoch, handles["b"].status().dead_letters), (2, 0));
    assert_eq!(handles["c"].call(Msg::Epoch).expect("answered"), 2);
    drop(sup);
}

#[test]
fn escalation_of_a_temporary_supervisor_takes_its_children_with_it() {
    let journal = Journal::new();
    let nested = Supervisor::new("nested").intensity(0, SECOND).restart(Restart::Temporary);
    let (nested, handles) = with_bots(nested, &["b", "c"], &journal);
    let sup = Supervisor::new("app").intensity(0, SECOND).supervisor(nested).start().expect("starts");
    let call = handles["c"].request(ask(|bot, _, reply| {
        bot.kept.push(reply);
        Ok(Next::Continue)
    }));
    let call = call.expect("accepted");
    handles["b"].cast(boom()).expect("accepted");
    assert!(handles["c"].wait_down(LONG).is_some());
    assert!(matches!(call.wait(), Err(CallError::Stopped { .. })));
    assert!(matches!(handles["b"].wait_down(LONG).expect("down").exit, Exit::Panicked(_)));
    eventually("it is forgotten", || sup.count_children().specs == 0);
    assert_eq!(sup.status().state, Lifecycle::Running);
    drop(sup);
}

#[test]
fn escalation_of_dynamic_children_of_a_nested_supervisor_ends_them() {
    let journal = Journal::new();
    let nested = Supervisor::new("nested").intensity(0, SECOND);
    let (nested, handles) = with_bots(nested, &["b"], &journal);
    let reference = nested.reference();
    let sup = patient("app").supervisor(nested).start().expect("starts");
    let added = reference.start_child(bot("added", &journal)).expect("starts");
    handles["b"].cast(boom()).expect("accepted");
    assert_eq!(handles["b"].call(Msg::Epoch).expect("answered"), 2);
    let down = added.wait_down(LONG).expect("only its description's children come back");
    assert!(matches!(down.exit, Exit::Shutdown), "{}", down.exit);
    assert_eq!(reference.count_children().specs, 1);
    drop(sup);
}

#[test]
fn nested_only_the_dead_worker_restarts() {
    let journal = Journal::new();
    let (inner, handles) = with_bots(patient("inner"), &["c", "d"], &journal);
    let (middle, more) = with_bots(patient("middle"), &["b"], &journal);
    let (app, most) = with_bots(patient("app"), &["a"], &journal);
    let (of_inner, of_middle) = (inner.reference(), middle.reference());
    let sup = app.supervisor(middle.supervisor(inner)).start().expect("starts");
    handles["c"].cast(boom()).expect("accepted");
    assert_eq!(epochs(&handles, &["c", "d"]), [2, 1]);
    assert_eq!((epochs(&more, &["b"]), epochs(&most, &["a"])), (vec![1], vec![1]));
    assert_eq!((of_inner.status().epoch, of_middle.status().epoch, sup.status().epoch), (1, 1, 1));
    assert_eq!((of_middle.count_children().supervisors, of_middle.count_children().workers), (1, 1));
    drop(sup);
}

#[test]
fn nested_a_hundred_deep_starts_works_and_stops() {
    let journal = Journal::new();
    let spec = bot("leaf", &journal);
    let handle = spec.handle();
    let mut tree = patient("s0").child(spec);
    for depth in 1..100 {
        tree = patient(&format!("s{depth}")).supervisor(tree);
    }
    let sup = tree.start().expect("starts");
    handle.cast(boom()).expect("accepted");
    assert_eq!(handle.call(Msg::Epoch).expect("answered"), 2);
    let begun = Instant::now();
    assert!(sup.shutdown(LONG).is_clean());
    assert!(begun.elapsed() < LONG / 3, "{:?}", begun.elapsed());
    assert!(journal.has("leaf terminate: was shut down"));
}

#[test]
fn nested_supervisor_can_be_terminated_restarted_and_deleted() {
    let journal = Journal::new();
    let (nested, handles) = with_bots(patient("nested"), &["b", "c"], &journal);
    let reference = nested.reference();
    let sup = Supervisor::new("app").intensity(0, SECOND).supervisor(nested).start().expect("starts");
    sup.terminate_child("nested").expect("terminated");
    assert_eq!(lines(&journal, "terminate"), ["c terminate: was shut down", "b terminate: was shut down"]);
    assert!(matches!(handles["b"].cast(Msg::Add(1)), Err(CastError::Stopped { .. })));
    assert!(handles["b"].wait_down(LONG).is_some());
    assert!(reference.which_children().is_empty());
    sup.restart_child("nested").expect("restarted");
    assert_eq!(epochs(&handles, &["b", "c"]), [2, 2]);
    assert_eq!(reference.count_children().active, 2);
    sup.terminate_child("nested").expect("terminated");
    sup.delete_child("nested").expect("deleted");
    assert_eq!(sup.count_children().specs, 0);
    drop(sup);
}

// ---- the verbs ---------------------------------------------------------------------------

#[test]
fn verbs_answer_by_the_state_of_the_child() {
    let (clock, _hand) = Clock::manual();
    let (journal, events) = (Journal::new(), Events::new());
    let slow = Backoff::exponential(SECOND, SECOND);
    let spec = bot("a", &journal).backoff(slow);
    let handle = spec.handle();
    let sup = patient("app").clock(clock).on_event(events.hook()).child(spec).start().expect("starts");

    // Unknown.
    assert_eq!(sup.terminate_child("x"), Err(TerminateChildError::NotFound { name: "x".into() }));
    assert_eq!(sup.delete_child("x"), Err(DeleteChildError::NotFound { name: "x".into() }));
    assert!(matches!(sup.restart_child("x"), Err(RestartChildError::NotFound { name }) if &*name == "x"));
    // Running.
    let again = sup.start_child(bot("a", &journal)).expect_err("it is there");
    assert!(matches!(again, StartChildError::AlreadyStarted { ref name } if &**name == "a"), "{again}");
    assert!(matches!(sup.restart_child("a"), Err(RestartChildError::Running { .. })));
    assert!(matches!(sup.delete_child("a"), Err(DeleteChildError::Running { .. })));
    // Backing off.
    handle.cast(boom()).expect("accepted");
    assert_eq!(events.restart_of("a", 1), SECOND);
    assert!(matches!(sup.restart_child("a"), Err(RestartChildError::Restarting { .. })));
    assert!(matches!(sup.delete_child("a"), Err(DeleteChildError::Restarting { .. })));
    let again = sup.start_child(bot("a", &journal)).expect_err("it is there");
    assert!(matches!(again, StartChildError::AlreadyStarted { .. }), "{again}");
    assert_eq!((sup.count_children().restarting, handle.status().state), (1, Lifecycle::Restarting));
    // Stopped; twice is fine.
    sup.terminate_child("a").expect("terminated");
    sup.terminate_child("a").expect("it is stopped");
    let again = sup.start_child(bot("a", &journal)).expect_err("it is there");
    assert!(matches!(again, StartChildError::AlreadyPresent { ref name } if &**name == "a"), "{again}");
    sup.restart_child("a").expect("restarted");
    assert_eq!(handle.call(Msg::Epoch).expect("answered"), 2);
    sup.terminate_child("a").expect("terminated");
    sup.delete_child("a").expect("deleted");
    assert!(matches!(sup.delete_child("a"), Err(DeleteChildError::NotFound { .. })));
    sup.start_child(bot("a", &journal)).expect("the name is free again");
    // Gone.
    let reference = sup.reference();
    drop(sup);
    assert_eq!(reference.terminate_child("a"), Err(TerminateChildError::ShuttingDown { name: "a".into() }));
    assert_eq!(reference.delete_child("a"), Err(DeleteChildError::ShuttingDown { name: "a".into() }));
    assert!(matches!(reference.restart_child("a"), Err(RestartChildError::ShuttingDown { .. })));
    let refused = reference.start_child(bot("new", &journal));
    assert!(matches!(refused, Err(StartChildError::ShuttingDown { ref name }) if &**name == "new"));
}

#[test]
fn verbs_start_child_joins_the_end_of_the_order() {
    let journal = Journal::new();
    let (app, _) = with_bots(patient("app").strategy(Strategy::RestForOne), &["a", "b"], &journal);
    let sup = app.start().expect("starts");
    let c = sup.start_child(bot("c", &journal)).expect("starts");
    let (nested, handles) = with_bots(patient("nested"), &["d"], &journal);
    let reference = sup.start_supervisor(nested).expect("starts");
    assert_eq!((reference.name(), reference.count_children().active), ("nested", 1));
    c.cast(boom()).expect("accepted");
    journal.wait_line("d init 2");
    assert_eq!(epochs(&handles, &["d"]), [2]);
    journal.clear();
    assert!(sup.shutdown(LONG).is_clean());
    let order: Vec<_> = lines(&journal, "terminate").iter().map(|line| line[..1].to_owned()).collect();
    assert_eq!(order, ["d", "c", "b", "a"]);
}

#[test]
fn verbs_a_refused_child_settles_what_was_sent_to_it() {
    let journal = Journal::new();
    let sup = Supervisor::new("app").child(bot("a", &journal)).start().expect("starts");
    let spec = bot("a", &journal);
    let handle = spec.handle();
    let call = handle.request(Msg::Total).expect("accepted");
    handle.cast(Msg::Add(1)).expect("accepted");
    sup.start_child(spec).expect_err("the name is taken");
    assert!(matches!(call.wait(), Err(CallError::Stopped { .. })));
    assert!(handle.wait_down(LONG).is_some());
    eventually("the cast is buried", || handle.status().dead_letters == 1);
    drop(sup);
}

#[test]
fn counts_and_which_children_are_exact_after_each_step() {
    let (clock, hand) = Clock::manual();
    let (journal, events) = (Journal::new(), Events::new());
    let app = patient("app").clock(clock).on_event(events.hook());
    let a = bot("a", &journal).backoff(Backoff::exponential(SECOND, SECOND));
    let b = bot("b", &journal).restart(Restart::Transient);
    let (ha, hb) = (a.handle(), b.handle());
    let sup = app.child(a).child(b).supervisor(Supervisor::new("nested")).start().expect("starts");
    let counts = |sup: &SupervisorHandle| {
        let counts = sup.count_children();
        assert_eq!(counts.supervisors + counts.workers, counts.specs);
        assert_eq!(counts.active + counts.restarting + counts.stopped, counts.specs);
        (counts.specs, counts.active, counts.restarting, counts.stopped)
    };
    assert_eq!(counts(&sup), (3, 3, 0, 0));
    ha.cast(boom()).expect("accepted");
    events.restart_of("a", 1);
    assert_eq!(counts(&sup), (3, 2, 1, 0));
    let info = &sup.which_children()[0];
    assert_eq!((info.state, info.epoch, info.restarts), (Lifecycle::Restarting, 1, 1));
    assert!(matches!(info.last_exit, Some(Exit::Panicked(_))));
    hand.advance(SECOND);
    assert_eq!(ha.call(Msg::Epoch).expect("answered"), 2);
    assert_eq!(counts(&sup), (3, 3, 0, 0));
    hb.cast(quit()).expect("accepted");
    hb.wait_down(LONG).expect("down");
    eventually("heard of", || counts(&sup) == (3, 2, 0, 1));
    let info = &sup.which_children()[1];
    assert_eq!(
        (info.state, info.restart, info.kind),
        (Lifecycle::Stopped, Restart::Transient, ChildKind::Worker)
    );
    sup.restart_child("b").expect("restarted");
    assert_eq!(counts(&sup), (3, 3, 0, 0));
    sup.terminate_child("nested").expect("terminated");
    assert_eq!(counts(&sup), (3, 2, 0, 1));
    sup.delete_child("nested").expect("deleted");
    assert_eq!(counts(&sup), (2, 2, 0, 0));
    assert_eq!(sup.count_children().supervisors, 0);
    sup.start_child(bot("c", &journal).restart(Restart::Temporary)).expect("starts");
    assert_eq!(counts(&sup), (3, 3, 0, 0));
    sup.terminate_child("c").expect("terminated");
    assert_eq!(counts(&sup), (2, 2, 0, 0));
    drop(sup);
}

#[test]
fn in_a_failing_restart_loop_every_call_is_answered() {
    let journal = Journal::new();
    let spec = flaky("bad", &journal, |life| life > 1);
    let handle = spec.handle();
    let sup = Supervisor::new("app").intensity(u32::MAX, SECOND).child(spec).child(bot("b", &journal));
    let sup = sup.start().expect("starts");
    handle.cast(boom()).expect("accepted");
    journal.wait_line("bad init 20");
    for n in 0..20 {
        assert_eq!(sup.count_children().specs, 2);
        assert_eq!(sup.which_children().len(), 2);
        let name = format!("c{n}");
        sup.start_child(bot(&name, &journal)).expect("starts");
        assert!(sup.restart_child("bad").is_err());
        sup.terminate_child(&name).expect("terminated");
        sup.delete_child(&name).expect("deleted");
    }
    assert!(journal.has("bad init 20"));
    sup.terminate_child("bad").expect("terminated in the midst of it");
    let tries = lines(&journal, "bad init").len();
    assert_eq!(sup.count_children().stopped, 1);
    sup.count_children();
    assert_eq!(lines(&journal, "bad init").len(), tries, "it stays down");
    drop(sup);
}

// ---- backoff -----------------------------------------------------------------------------

#[test]
fn backoff_begins_at_min_doubles_is_capped_and_is_reset_after_being_up() {
    let (clock, hand) = Clock::manual();
    let (journal, events) = (Journal::new(), Events::new());
    let backoff = Backoff::exponential(MS * 100, MS * 350).reset_after(SECOND * 10);
    let spec = bot("a", &journal).backoff(backoff);
    let handle = spec.handle();
    let sup = patient("app").clock(clock).on_event(events.hook()).child(spec).start().expect("starts");
    let crash_and_wait = |count: usize, delay: Duration| {
        handle.cast(boom()).expect("accepted");
        assert_eq!(events.restart_of("a", count), delay);
        let life = count as u64 + 1;
        hand.advance(delay - NS);
        assert_eq!(sup.count_children().restarting, 1, "not before its time");
        assert!(!journal.has(&format!("a init {life}")));
        hand.advance(NS);
        assert_eq!(handle.call(Msg::Epoch).expect("answered"), life);
        // It counts from when the supervisor has heard that it is ready.
        eventually("heard of", || sup.which_children()[0].state != Lifecycle::Initializing);
        sup.count_children();
    };
    crash_and_wait(1, MS * 100);
    crash_and_wait(2, MS * 200);
    crash_and_wait(3, MS * 350);
    hand.advance(SECOND * 10 - NS);
    crash_and_wait(4, MS * 350);
    hand.advance(SECOND * 10);
    crash_and_wait(5, MS * 100);
    drop(sup);
}

#[test]
fn backoff_of_the_supervisor_is_for_those_that_have_none_and_jitter_stays_in_bounds() {
    let (clock, hand) = Clock::manual();
    let (journal, events) = (Journal::new(), Events::new());
    let jittery = Backoff::exponential(SECOND, SECOND * 8).jitter(0.5);
    let app = patient("app").clock(clock).on_event(events.hook()).backoff(jittery);
    let (app, handles) = with_bots(app, &["a"], &journal);
    let own = bot("own", &journal).backoff(Backoff::none());
    let own_handle = own.handle();
    let sup = app.child(own).start().expect("starts");
    let mut whole = SECOND;
    for count in 1..=6 {
        handles["a"].cast(boom()).expect("accepted");
        let delay = events.restart_of("a", count);
        assert!(delay >= whole / 2 && delay <= whole, "{delay:?} of {whole:?}");
        hand.advance(delay);
        assert_eq!(handles["a"].call(Msg::Epoch).expect("answered"), count as u64 + 1);
        sup.count_children();
        whole = (whole * 2).min(SECOND * 8);
    }
    own_handle.cast(boom()).expect("accepted");
    assert_eq!(own_handle.call(Msg::Epoch).expect("at once"), 2);
    assert_eq!(events.restart_of("own", 1), Duration::ZERO);
    drop(sup);
}

#[test]
fn backoff_mail_is_accepted_meanwhile_and_handled_after() {
    let (clock, hand) = Clock::manual();
    let (journal, events) = (Journal::new(), Events::new());
    let spec = bot("a", &journal).backoff(Backoff::exponential(SECOND, SECOND));
    let handle = spec.handle();
    let sup = patient("app").clock(clock).on_event(events.hook()).child(spec).start().expect("starts");
    handle.cast(boom()).expect("accepted");
    events.restart_of("a", 1);
    handle.cast(Msg::Add(4)).expect("accepted");
    let call = handle.request(Msg::Total).expect("accepted");
    assert_eq!((handle.status().queued, handle.status().state), (2, Lifecycle::Restarting));
    hand.advance(SECOND);
    assert_eq!(call.wait().expect("answered"), 4);
    drop(sup);
}

#[test]
fn backoff_of_a_group_and_of_a_nested_supervisor() {
    let (clock, hand) = Clock::manual();
    let (journal, events) = (Journal::new(), Events::new());
    let slow = Backoff::exponential(SECOND, SECOND);
    let nested = Supervisor::new("nested").intensity(0, SECOND).restart_backoff(slow);
    let (nested, inner) = with_bots(nested, &["x"], &journal);
    let app = patient("app").strategy(Strategy::OneForAll).clock(clock).on_event(events.hook());
    let a = bot("a", &journal).backoff(slow);
    let crasher = a.handle();
    let sup = app.child(a).supervisor(nested).start().expect("starts");
    crasher.cast(boom()).expect("accepted");
    assert_eq!(events.restart_of("a", 1), SECOND);
    eventually("its group is down", || sup.count_children().restarting == 2);
    hand.advance(SECOND - NS);
    assert_eq!(sup.count_children().restarting, 2);
    hand.advance(NS);
    assert_eq!(inner["x"].call(Msg::Epoch).expect("answered"), 2);
    inner["x"].cast(boom()).expect("accepted");
    assert_eq!(events.restart_of("nested", 1), SECOND);
    eventually("its group is down", || sup.count_children().restarting == 2);
    hand.advance(SECOND);
    assert_eq!(inner["x"].call(Msg::Epoch).expect("answered"), 3);
    assert_eq!(crasher.call(Msg::Epoch).expect("answered"), 3);
    drop(sup);
}

// ---- stopping ----------------------------------------------------------------------------

#[test]
fn stop_during_backoff_returns_promptly_and_nothing_is_resurrected() {
    let (clock, hand) = Clock::manual();
    let (journal, events) = (Journal::new(), Events::new());
    let slow = Backoff::exponential(SECOND * 3600, SECOND * 3600);
    let app = patient("app").clock(clock).on_event(events.hook()).backoff(slow);
    let (app, handles) = with_bots(app, &["a", "b"], &journal);
    let sup = app.start().expect("starts");
    for name in ["a", "b"] {
        handles[name].cast(boom()).expect("accepted");
        events.restart_of(name, 1);
    }
    let call = handles["a"].request(Msg::Total).expect("accepted");
    sup.terminate_child("a").expect("at once");
    assert!(matches!(call.wait(), Err(CallError::Stopped { .. })));
    hand.advance(SECOND * 3600 * 2);
    assert_eq!(handles["b"].call(Msg::Epoch).expect("only the other comes back"), 2);
    assert_eq!(sup.count_children().stopped, 1);
    handles["b"].cast(boom()).expect("accepted");
    events.restart_of("b", 2);
    assert!(sup.shutdown(LONG).is_clean(), "without any time passing");
    hand.advance(SECOND * 3600 * 2);
    assert_eq!(lines(&journal, "init"), ["a init 1", "b init 1", "b init 2"]);
    assert!(handles["b"].wait_down(LONG).is_some());
}

#[test]
fn stop_during_a_slow_init_returns_promptly() {
    // One whose init looks whether it is to stop.
    let journal = Journal::new();
    let spec = bot_with("slow", &journal, |bot| {
        bot.on_init(|bot, cx| {
            bot.note("is slow");
            eventually("asked to stop", || cx.is_stopping());
            Err(Oops(ErrorKind::Transient, "told to stop"))
        })
    });
    let handle = spec.handle();
    let app = Supervisor::new("app").child(bot("a", &journal));
    let sup = app.start().expect("starts");
    let reference = sup.reference();
    let starting = aside(move || reference.start_child(spec.init_timeout(LONG * 10)).map(drop));
    journal.wait_line("slow is slow");
    assert_eq!(sup.count_children().active, 2, "answered meanwhile");
    let begun = Instant::now();
    sup.terminate_child("slow").expect("terminated");
    assert!(begun.elapsed() < LONG);
    assert!(matches!(starting.done(), Err(StartChildError::ShuttingDown { .. })));
    assert!(matches!(handle.cast(Msg::Add(1)), Err(CastError::Stopped { .. })));
    assert_eq!(sup.count_children().specs, 1, "it was not saved");
    drop(sup);
}

#[test]
fn stop_during_a_hung_init_costs_its_grace_and_no_more() {
    let (clock, hand) = Clock::manual();
    let (journal, release) = (Journal::new(), Latch::new());
    let held = release.clone();
    let spec = bot_with("hung", &journal, move |bot| {
        let held = held.clone();
        bot.on_init(move |bot, cx| {
            bot.note("is slow");
            eventually("asked to stop", || cx.is_stopping());
            bot.note("is asked");
            held.wait();
            Ok(Init::Ready)
        })
    });
    let spec = spec.init_timeout(SECOND * 3600).shutdown(SECOND);
    let sup = Supervisor::new("app").clock(clock).child(bot("a", &journal)).start().expect("starts");
    let reference = sup.reference();
    let starting = aside(move || reference.start_child(spec).map(drop));
    journal.wait_line("hung is slow");
    let stopping = aside(move || sup.shutdown(SECOND * 3600));
    journal.wait_line("hung is asked");
    hand.advance(SECOND);
    let report = stopping.done();
    assert!(matches!(starting.done(), Err(StartChildError::ShuttingDown { .. })));
    assert_eq!(report.unstopped.len(), 1);
    assert_eq!((&*report.unstopped[0].child, report.unstopped[0].state), ("hung", Lifecycle::Initializing));
    assert_eq!(journal.count(|line| line == "a terminate: was shut down"), 1, "the other in order");
    release.open();
    journal.wait_line("hung drop");
    assert_eq!(lines(&journal, "hung terminate").len(), 0);
}

#[test]
fn stop_each_within_its_own_grace_and_the_others_in_order() {
    let (clock, hand) = Clock::manual();
    let (journal, events) = (Journal::new(), Events::new());
    let (mut app, mut handles) = (Supervisor::new("app").clock(clock).on_event(events.hook()), Vec::new());
    for (name, grace) in [("a", 1), ("b", 2), ("c", 3), ("d", 4)] {
        let spec = bot(name, &journal).shutdown(SECOND * grace);
        handles.push(spec.handle());
        app = app.child(spec);
    }
    let sup = app.start().expect("starts");
    let (asked_b, release_b) = hang(&handles[1]);
    let (asked_d, release_d) = hang(&handles[3]);
    let stopping = aside(move || sup.shutdown(SECOND * 3600));
    asked_d.wait();
    hand.advance(SECOND * 4 - NS);
    assert!(!journal.has("c terminate: was shut down"), "one after the other");
    hand.advance(NS);
    journal.wait_line("c terminate: was shut down");
    asked_b.wait();
    assert!(!journal.has("a terminate: was shut down"));
    hand.advance(SECOND * 2);
    let report = stopping.done();
    assert!(journal.has("a terminate: was shut down"));
    let names: Vec<_> = report.unstopped.iter().map(|one| one.child.to_string()).collect();
    assert_eq!(names, ["d", "b"]);
    assert!(matches!(handles[1].status().last_exit, Some(Exit::Killed)));
    assert!(matches!(handles[2].status().last_exit, Some(Exit::Shutdown)));
    assert_eq!(events.count(|event| matches!(event, SupervisionEvent::Abandoned { .. })), 2);
    release_b.open();
    release_d.open();
    journal.wait_line("b drop");
    journal.wait_line("d drop");
}

#[test]
fn stop_of_the_whole_has_a_deadline_that_bounds_every_grace() {
    let (clock, hand) = Clock::manual();
    let journal = Journal::new();
    let spec = |name| bot(name, &journal).shutdown(SECOND * 3600);
    let (a, b) = (spec("a"), spec("b"));
    let (ha, hb) = (a.handle(), b.handle());
    let nested = Supervisor::new("nested").child(b);
    let sup = Supervisor::new("app").clock(clock).child(a).supervisor(nested).start().expect("starts");
    let (asked, release) = hang(&hb);
    let (_, release_a) = hang(&ha);
    let stopping = aside(move || sup.shutdown(SECOND * 10));
    asked.wait();
    hand.advance(SECOND * 10);
    let report = stopping.done();
    let mut names: Vec<_> =
        report.unstopped.iter().map(|one| format!("{}/{}", one.supervisor, one.child)).collect();
    names.sort_unstable();
    assert_eq!(names, ["app/a", "app/nested/b"]);
    release.open();
    release_a.open();
    journal.wait_line("a drop");
    journal.wait_line("b drop");
}

#[test]
fn stop_a_second_shutdown_hurries_the_first() {
    let journal = Journal::new();
    let spec = bot("a", &journal).shutdown(SECOND * 3600);
    let handle = spec.handle();
    let sup = Arc::new(Supervisor::new("app").child(spec).start().expect("starts"));
    let (asked, release) = hang(&handle);
    let patient = Arc::clone(&sup);
    let first = aside(move || patient.shutdown(SECOND * 3600));
    asked.wait();
    assert_eq!(sup.shutdown(MS * 20).unstopped.len(), 1);
    assert_eq!(first.done().unstopped.len(), 1);
    release.open();
    journal.wait_line("a drop");
}

#[test]
fn stop_while_the_group_is_restarting_stops_it_in_the_midst() {
    let journal = Journal::new();
    let app = patient("app").strategy(Strategy::OneForAll);
    let (app, handles) = with_bots(app, &["a", "b"], &journal);
    let sup = app.start().expect("starts");
    let (asked, release) = hang(&handles["b"]);
    handles["a"].cast(boom()).expect("accepted");
    asked.wait();
    let reference = sup.reference();
    let stopping = aside(move || sup.shutdown(LONG));
    eventually("it goes down", || {
        matches!(reference.restart_child("a"), Err(RestartChildError::ShuttingDown { .. }))
    });
    release.open();
    assert!(stopping.done().is_clean());
    assert_eq!(lines(&journal, "init"), ["a init 1", "b init 1"]);
    for handle in handles.values() {
        assert!(matches!(handle.cast(Msg::Add(1)), Err(CastError::Stopped { .. })));
    }
}

#[test]
fn stop_of_the_root_by_a_service_of_its_own_is_possible_through_the_owner() {
    // A service asks; whoever owns the tree hears of it and stops it.
    let journal = Journal::new();
    let spec = bot("a", &journal).restart(Restart::Temporary);
    let handle = spec.handle();
    let sup = Supervisor::new("app").child(spec).start().expect("starts");
    handle.cast(quit()).expect("accepted");
    assert!(matches!(handle.wait_down(LONG).expect("down").exit, Exit::Normal));
    assert!(sup.shutdown(LONG).is_clean());
}

#[test]
fn a_crash_while_it_is_stopped_is_reported_and_does_not_stop_the_stopping() {
    let (journal, events) = (Journal::new(), Events::new());
    let spec = bot_with("a", &journal, |bot| bot.on_terminate(|_, _| panic_quietly("in terminate")));
    let dropping = bot_with("b", &journal, |bot| bot.on_drop(|_| panic_quietly("in drop")));
    let handle = spec.handle();
    let app = patient("app").on_event(events.hook()).child(spec).child(dropping).child(bot("c", &journal));
    let sup = app.start().expect("starts");
    assert!(sup.shutdown(LONG).is_clean());
    assert!(journal.has("a drop") && journal.has("c drop"));
    let crashes = events.crashes();
    assert_eq!(crashes.len(), 2, "{crashes:?}");
    assert_eq!((&*crashes[0].child, crashes[0].aftermath.as_deref()), ("b", Some("in drop")));
    assert_eq!((&*crashes[1].child, crashes[1].aftermath.as_deref()), ("a", Some("in terminate")));
    assert!(matches!(crashes[1].exit, Exit::Shutdown));
    assert_eq!(handle.status().state, Lifecycle::Stopped);
}

// ---- reports -----------------------------------------------------------------------------

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

// ---- no code of the user's on the supervisor's thread ------------------------------------

#[test]
fn no_code_of_the_users_runs_on_the_supervisors_thread() {
    let journal = Journal::new();
    let threads: Arc<Mutex<Vec<String>>> = Arc::default();
    let noted = Arc::clone(&threads);
    let note = move || {
        let name = std::thread::current().name().unwrap_or("?").to_owned();
        noted.lock().expect("no panic").push(name);
    };
    let (in_factory, in_letter, in_drop) = (note.clone(), note.clone(), note.clone());
    let own = journal.clone();
    let spec = child("a", move || {
        in_factory();
        let in_drop = in_drop.clone();
        Bot::new("a", &own).on_drop(move |_| in_drop())
    });
    let spec = spec.on_dead_letter(move |_| in_letter());
    let handle = spec.handle();
    let hook = note.clone();
    let app = Supervisor::new("app").intensity(1, SECOND * 60).on_event(move |_| hook()).child(spec);
    let sup = app.start().expect("starts");
    handle.cast(boom()).expect("accepted");
    handle.call(Msg::Total).expect("answered");
    let go_on = occupy(&handle);
    handle.cast(boom()).expect("accepted");
    handle.cast(Msg::Add(1)).expect("accepted");
    go_on.open();
    sup.wait(LONG).expect("it gives up");
    drop(sup);
    let threads = threads.lock().expect("no panic").clone();
    assert!(!threads.is_empty());
    assert!(threads.iter().all(|name| name != "app"), "{threads:?}");
}

#[test]
fn a_temporary_static_child_lives_again_with_its_supervisor() {
    let journal = Journal::new();
    let (once, other) = (bot("once", &journal).restart(Restart::Temporary), bot("other", &journal));
    let (handle, fails) = (once.handle(), other.handle());
    let nested = Supervisor::new("nested").intensity(0, SECOND).child(once).child(other);
    let sup = patient("app").supervisor(nested).start().expect("starts");
    fails.cast(boom()).expect("accepted");
    journal.wait_line("once init 2");
    assert_eq!(handle.call(Msg::Epoch).expect("answered"), 2);
    assert!(sup.shutdown(LONG).is_clean());
}
