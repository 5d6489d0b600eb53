//! The first start.

use super::*;

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
