//! Start and stop.

use super::*;

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
