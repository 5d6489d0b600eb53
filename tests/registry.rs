//! Names: whose they are, from when to when, and who sees them.

mod common;

use std::time::{Duration, Instant};

use common::*;
use underpin::testing::{Probe, namespace};
use underpin::{
    Clock, Deadline, DynamicSupervisor, ErrorKind, Exit, Init, LookupError, Next, Registry, Restart,
    RestartChildError, StartChildError, StartError, Strategy, Supervisor, SupervisorHandle, TagError,
};

#[test]
fn a_name_that_is_taken_fails_the_start_and_stays_with_its_owner() {
    let journal = Journal::new();
    let registry = namespace();
    let first = bot("a", &journal).registered();
    let owner = first.handle();
    let one = Supervisor::new("one").registry(registry.clone()).child(first).start().expect("starts");
    let app = Supervisor::new("two").registry(registry.clone()).child(bot("b", &journal).registered());
    match app.child(bot("a", &journal).registered()).start() {
        Err(StartError::FailedToStart { child, source: Exit::NameTaken(name), .. }) => {
            assert_eq!((&*child, &*name), ("a", "a"));
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(registry.names(), ["a"], "what was started before it is gone, the owner is not");
    owner.cast(Msg::Add(3)).expect("accepted");
    let found = registry.find::<Msg>("a").expect("it is there");
    assert_eq!(found.call(Msg::Total).expect("answered"), 3);
    drop(one);
    assert!(registry.names().is_empty());
}

#[test]
fn a_name_that_is_taken_refuses_an_added_child_and_charges_nothing() {
    let journal = Journal::new();
    let sup = Supervisor::new("app").intensity(0, SECOND);
    let sup = sup.supervisor(Supervisor::new("nested").child(bot("a", &journal).registered())).start();
    let sup = sup.expect("starts");
    let error = sup.start_child(bot("a", &journal).registered()).expect_err("taken");
    assert!(
        matches!(error, StartChildError::FailedToStart { ref name, source: Exit::NameTaken(_) } if &**name == "a"),
        "{error}"
    );
    sup.start_child(bot("a", &journal)).expect("unregistered it may be called so");
    assert_eq!(sup.registry().names(), ["a"]);
    drop(sup);
}

#[test]
fn a_name_is_gone_when_its_owner_is_gone_for_good() {
    let journal = Journal::new();
    let sup = patient("app").start().expect("starts");
    let registry = sup.registry();
    let ends: [(&str, Restart); 4] = [
        ("terminate", Restart::Permanent),
        ("quit", Restart::Transient),
        ("quit", Restart::Temporary),
        ("boom", Restart::Temporary),
    ];
    for (how, restart) in ends {
        let handle = sup.start_child(bot("a", &journal).registered().restart(restart)).expect("starts");
        assert!(registry.find::<Msg>("a").is_some());
        match how {
            "terminate" => sup.terminate_child("a").expect("terminated"),
            "quit" => handle.cast(quit()).expect("accepted"),
            _ => handle.cast(boom()).expect("accepted"),
        }
        handle.wait_down(LONG).expect("down");
        assert!(registry.find::<Msg>("a").is_none(), "{how} {restart:?}: no later than its Down");
        eventually("the supervisor has heard of it", || sup.count_children().active == 0);
        if restart != Restart::Temporary {
            sup.restart_child("a").expect("restarted");
            assert!(registry.find::<Msg>("a").is_some(), "the name comes back with it");
            sup.terminate_child("a").expect("terminated");
            sup.delete_child("a").expect("deleted");
        }
    }
    assert!(registry.names().is_empty());
    drop(sup);
}

#[test]
fn a_name_is_free_before_the_end_is_told_to_anyone() {
    let (journal, registry) = (Journal::new(), namespace());
    for restart in [Restart::Transient, Restart::Temporary] {
        let (log, names) = (Log::new(), registry.clone());
        let told = log.clone();
        // What is left in the mailbox is buried on the child's own thread, before that ends.
        let spec = bot("a", &journal).restart(restart).on_dead_letter(move |_| told.push(names.names()));
        let handle = spec.handle();
        let app = Supervisor::new("app").registry(registry.clone());
        let sup = app.child(spec.registered()).start().expect("starts");
        let release = occupy(&handle);
        handle.cast(quit()).expect("accepted");
        handle.cast(Msg::Add(1)).expect("accepted");
        release.open();
        assert!(log.wait(|_| true).is_empty());
        drop(sup);
    }
}

#[test]
fn a_name_is_kept_during_backoff_and_given_up_with_the_tree() {
    let (clock, hand) = Clock::manual();
    let (journal, events) = (Journal::new(), Events::new());
    let slow = underpin::Backoff::exponential(SECOND, SECOND);
    let spec = bot("a", &journal).registered().backoff(slow);
    let handle = spec.handle();
    let app = Supervisor::new("app").intensity(1, SECOND * 60).clock(clock).on_event(events.hook());
    let sup = app.child(spec).start().expect("starts");
    let registry = sup.registry();
    handle.cast(boom()).expect("accepted");
    events.restart_of("a", 1);
    let found = registry.find::<Msg>("a").expect("it is there while it waits");
    let call = found.request(Msg::Epoch).expect("and takes mail");
    hand.advance(SECOND);
    assert_eq!(call.wait().expect("answered"), 2);
    handle.cast(boom()).expect("accepted");
    sup.wait(LONG).expect("it gives up");
    assert!(registry.find::<Msg>("a").is_none());
    drop(sup);
}

#[test]
fn a_name_has_no_gap_while_a_group_or_a_nested_supervisor_is_restarted() {
    let journal = Journal::new();
    let nested = Supervisor::new("nested").intensity(0, SECOND).child(bot("inner", &journal).registered());
    let (a, b) = (bot("a", &journal).registered(), bot("b", &journal).registered());
    let crasher = a.handle();
    let app = patient("app").strategy(Strategy::OneForAll).child(a).child(b).supervisor(nested);
    let sup = app.start().expect("starts");
    let registry = sup.registry();
    let done = Latch::new();
    let finished = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let looker = aside({
        let (registry, finished, done) = (registry.clone(), finished.clone(), done.clone());
        move || {
            while !finished.load(std::sync::atomic::Ordering::SeqCst) {
                assert_eq!(registry.names(), ["a", "b", "inner"]);
            }
            done.open();
        }
    });
    let inner = registry.find::<Msg>("inner").expect("it is there");
    for life in 2..12 {
        if life % 2 == 0 { crasher.cast(boom()) } else { inner.cast(boom()) }.expect("accepted");
        journal.wait_line(&format!("inner init {life}"));
        assert_eq!(inner.call(Msg::Epoch).expect("answered"), life);
    }
    finished.store(true, std::sync::atomic::Ordering::SeqCst);
    looker.done();
    done.wait();
    drop(sup);
    assert!(registry.names().is_empty());
}

#[test]
fn a_name_taken_meanwhile_is_not_given_back() {
    let journal = Journal::new();
    let sup = patient("app").child(bot("a", &journal).registered()).start().expect("starts");
    sup.terminate_child("a").expect("terminated");
    let nested =
        sup.start_supervisor(patient("nested").child(bot("a", &journal).registered())).expect("starts");
    let error = sup.restart_child("a").expect_err("its name is another's");
    assert!(matches!(error, RestartChildError::FailedToStart { source: Exit::NameTaken(_), .. }), "{error}");
    assert_eq!(sup.registry().names(), ["a"]);
    sup.terminate_child("nested").expect("terminated");
    assert!(nested.which_children().is_empty());
    sup.restart_child("a").expect("the name is free again");
    assert_eq!(sup.registry().names(), ["a"]);
    drop(sup);
}

#[test]
fn a_failed_first_start_frees_all_names() {
    let journal = Journal::new();
    let registry = namespace();
    let bad =
        bot_with("bad", &journal, |bot| bot.on_init(|_, _| Err(Oops(ErrorKind::User, "no")))).registered();
    let nested = Supervisor::new("nested").child(bot("b", &journal).registered()).child(bad);
    let app = Supervisor::new("app").registry(registry.clone()).child(bot("a", &journal).registered());
    app.supervisor(nested).start().expect_err("fails");
    assert!(registry.names().is_empty(), "{:?}", registry.names());
}

#[test]
fn namespaces_are_isolated_side_effects_included() {
    let journal = Journal::new();
    let registry = Registry::new();
    let names = registry.namespace("test");
    let user = |journal: &Journal| {
        bot_with("user", journal, |bot| {
            bot.on_init(|_, cx| {
                // Whatever a service looks up, it finds in its own namespace.
                let store = cx.whereis::<Msg>("store").expect("it is there");
                store.cast(Msg::Add(1)).map_err(|_| Oops(ErrorKind::Permanent, "not accepted"))?;
                assert_eq!(cx.registry().names(), ["store"]);
                Ok(Init::Ready)
            })
        })
    };
    let tree = |name: &str, registry: Registry| {
        let app = Supervisor::new(name).registry(registry);
        app.child(bot("store", &journal).registered()).child(user(&journal)).start().expect("starts")
    };
    let live = tree("live", registry.clone());
    let test = tree("test", names.clone());
    let find = |registry: &Registry| registry.find::<Msg>("store").expect("it is there");
    for _ in 0..4 {
        find(&names).cast(Msg::Add(10)).expect("accepted");
    }
    assert_eq!(find(&registry).call(Msg::Total).expect("answered"), 1);
    assert_eq!(find(&names).call(Msg::Total).expect("answered"), 41);
    assert_eq!((&*registry.name(), &*names.name()), ("default", "test"));
    assert!(registry.namespace("other").names().is_empty());
    drop(test);
    assert!(names.names().is_empty());
    assert_eq!(find(&registry).call(Msg::Total).expect("answered"), 1);
    drop(live);
}

#[test]
fn trees_have_names_of_their_own_unless_they_share() {
    let journal = Journal::new();
    let tree =
        |name: &str| Supervisor::new(name).child(bot("a", &journal).registered()).start().expect("starts");
    let (one, two) = (tree("one"), tree("two"));
    assert_eq!(one.registry().names(), two.registry().names());
    drop(one);
    assert_eq!(two.registry().names(), ["a"]);
    drop(two);
}

#[test]
fn find_asks_for_the_type_of_the_messages() {
    let (other, _probe) = Probe::<u8>::child("other");
    let sup = Supervisor::new("app").child(other.registered()).start().expect("starts");
    let registry = sup.registry();
    assert!(registry.find::<u8>("other").is_some());
    assert!(registry.find::<Msg>("other").is_none());
    assert!(registry.find::<u8>("nobody").is_none());
    let wrong = |error: LookupError| match error {
        LookupError::WrongType { namespace, name, expected, found } => {
            assert_eq!((&*namespace, &*name, found), ("default", "other", "u8"));
            assert_eq!(expected, std::any::type_name::<Msg>());
        }
        error => panic!("{error}"),
    };
    wrong(registry.lookup::<Msg>("other").expect_err("it takes other messages"));
    wrong(registry.wait_for::<Msg>("other", Deadline::unbounded()).expect_err("at once: it is there"));
    assert!(registry.lookup::<u8>("other").is_ok());
    let error = registry.namespace("x").lookup::<u8>("other").expect_err("it is not there");
    assert_eq!(error.to_string(), "`other` is not registered in the namespace `x`");
    drop(sup);
}

#[test]
fn wait_for_hears_of_the_registration_and_keeps_its_deadline() {
    let journal = Journal::new();
    let sup = DynamicSupervisor::new("dyn").start().expect("starts");
    let registry = sup.registry();
    let begun = Instant::now();
    match registry.wait_for::<Msg>("late", Deadline::at(begun + MS * 5)) {
        Err(LookupError::TimedOut { namespace, name, waited }) => {
            assert_eq!((&*namespace, &*name), ("default", "late"));
            assert!(waited <= begun.elapsed() && begun.elapsed() >= MS * 5, "{waited:?}");
        }
        other => panic!("{other:?}"),
    }
    let waiters: Vec<_> = (0..4)
        .map(|_| {
            let registry = registry.clone();
            aside(move || registry.wait_for::<Msg>("late", Deadline::unbounded()))
        })
        .collect();
    sup.start_child(bot("early", &journal).registered()).expect("starts"); // wakes them for nothing
    let handle = sup.start_child(bot("late", &journal).registered()).expect("starts");
    handle.cast(Msg::Add(2)).expect("accepted");
    for waiter in waiters {
        let found = waiter.done().expect("found");
        assert_eq!(found.call(Msg::Total).expect("answered"), 2);
    }
    assert!(registry.wait_for::<Msg>("late", Deadline::after(Duration::ZERO)).is_ok());
    drop(sup);
}

#[test]
fn a_name_is_there_before_the_first_init() {
    let journal = Journal::new();
    let spec = bot_with("a", &journal, |bot| {
        bot.on_init(|bot, cx| {
            let me = cx.whereis::<Msg>("a").expect("it is there");
            bot.note(me.name());
            Ok(Init::Ready)
        })
    });
    let sup = Supervisor::new("app").child(spec.registered()).start().expect("starts");
    assert!(journal.has("a a"));
    drop(sup);
}

#[test]
fn a_hung_owner_loses_its_name_with_its_grace_and_cannot_take_its_successors() {
    let (clock, hand) = Clock::manual();
    let journal = Journal::new();
    let sup = patient("app").clock(clock).start().expect("starts");
    let spec = || bot("a", &journal).registered().shutdown(SECOND).restart(Restart::Temporary);
    let handle = sup.start_child(spec()).expect("starts");
    let (asked, release) = hang_then(&handle, |_, _| Ok(Next::Stop));
    let reference = sup.reference();
    let stopping = aside(move || reference.terminate_child("a"));
    asked.wait();
    assert!(sup.registry().find::<Msg>("a").is_some());
    hand.advance(SECOND);
    stopping.done().expect("terminated");
    assert!(sup.registry().names().is_empty());
    sup.start_child(spec()).expect("the name is free");
    release.open();
    journal.wait_line("a drop");
    assert_eq!(sup.registry().names(), ["a"]);
    drop(sup);
}

// ---- waiting inside a tree -----------------------------------------------------------------

const HOUR: Duration = Duration::from_secs(3600);

#[test]
fn a_wait_in_a_tree_goes_by_the_clock_of_the_tree() {
    let (clock, hand) = Clock::manual();
    let journal = Journal::new();
    let spec = bot("a", &journal);
    let handle = spec.handle();
    let sup = Supervisor::new("app").clock(clock.clone()).child(spec).start().expect("starts");
    let outside = sup.registry().namespace("elsewhere");
    let until = Deadline::at(clock.now() + HOUR);
    let waiter = aside(move || outside.wait_for::<Msg>("nobody", until));
    let inside = Latch::new();
    let tell = inside.clone();
    let sent = handle.cast(act(move |bot, cx| {
        let until = Deadline::at(cx.now() + HOUR);
        tell.open();
        let found = cx.registry().wait_for::<Msg>("nobody", until);
        let in_vain = matches!(found, Err(LookupError::TimedOut { waited, .. }) if waited <= HOUR);
        bot.note(in_vain);
        Ok(Next::Continue)
    }));
    sent.expect("accepted");
    inside.wait();
    hand.advance(HOUR - NS);
    hand.advance(NS);
    journal.wait_line("a true");
    assert!(matches!(waiter.done(), Err(LookupError::TimedOut { waited, .. }) if waited <= HOUR));
    drop(sup);
}

#[test]
fn a_wait_in_a_handler_ends_when_its_caller_waits_no_longer() {
    let (clock, hand) = Clock::manual();
    let journal = Journal::new();
    let spec = bot("a", &journal);
    let handle = spec.handle();
    let sup = Supervisor::new("app").clock(clock.clone()).child(spec).start().expect("starts");
    let inside = Latch::new();
    let (tell, until) = (inside.clone(), Deadline::at(clock.now() + HOUR));
    let caller = aside(move || {
        let message = ask(move |bot, cx, reply| {
            tell.open();
            let found = cx.registry().wait_for::<Msg>("nobody", Deadline::unbounded());
            bot.note(if found.is_err() { "gave up" } else { "found" });
            reply.send(0);
            Ok(Next::Continue)
        });
        drop(handle.call_by(until, message)); // timed out, or answered just so
    });
    inside.wait();
    hand.advance(HOUR);
    journal.wait_line("a gave up");
    caller.done();
    drop(sup);
}

#[test]
fn init_finds_who_was_started_before_it_and_waits_in_vain_for_who_comes_after() {
    let journal = Journal::new();
    let waits_for = |name: &'static str| {
        bot_with("waiter", &journal, move |bot| {
            bot.on_init(move |bot, cx| {
                let until = Deadline::after(MS * 5);
                let found = cx.registry().wait_for::<Msg>(name, until);
                found.map_err(|_| Oops(ErrorKind::Permanent, "waited in vain"))?;
                bot.note("found");
                Ok(Init::Ready)
            })
        })
    };
    let store = || bot("store", &journal).registered();
    let app = Supervisor::new("app").child(store()).child(waits_for("store"));
    drop(app.start().expect("it was there"));
    assert!(journal.has("waiter found"));
    let error = Supervisor::new("app").child(waits_for("store")).child(store()).start();
    let error = error.expect_err("it would have been started next");
    assert!(error.to_string().contains("waited in vain"), "{error}");
}

// ---- tables and namespaces -----------------------------------------------------------------

/// A whole program in a namespace: a store, a user of it below a nested supervisor, and sessions
/// that come and go. Whoever needs whom looks it up by name.
fn program(name: &str, registry: &Registry, journal: &Journal) -> SupervisorHandle {
    let user = bot_with("user", journal, |bot| {
        bot.on_init(|_, cx| {
            let late = Deadline::after(LONG);
            let store = cx.registry().wait_for::<Msg>("store", late);
            let store = store.map_err(|_| Oops(ErrorKind::Permanent, "no store"))?;
            store.cast(Msg::Add(1)).map_err(|_| Oops(ErrorKind::Permanent, "not accepted"))?;
            cx.set_tag("uses", "store").map_err(|_| Oops(ErrorKind::Permanent, "not tagged"))?;
            Ok(Init::Ready)
        })
    });
    let app = patient(name).registry(registry.clone());
    let app = app.child(bot("store", journal).registered().tag("program", name));
    let app = app.supervisor(patient("users").child(user.registered()));
    app.supervisor(DynamicSupervisor::new("sessions")).start().expect("starts")
}

#[test]
fn a_test_namespace_never_writes_to_production() {
    let (there, here) = (Journal::new(), Journal::new());
    let production = Registry::named("a-test-namespace-never-writes-to-production");
    let test = production.namespace("test");
    let live = program("live", &production, &there);
    let waiter = aside({
        let production = production.clone();
        move || production.wait_for::<Msg>("session", Deadline::unbounded()).expect("it comes")
    });
    let (names, entries) = (production.names(), production.entries());
    there.wait_line("store add 1");
    let lines = there.all();

    let tree = program("trial", &test, &here);
    assert_eq!(test.names(), ["store", "user"]);
    assert_eq!(&*test.entries()[0].metadata["program"], "trial");
    let whereis = |name: &str| test.find::<Msg>(name).expect("it is there");
    whereis("store").cast(Msg::Add(10)).expect("accepted");
    whereis("user")
        .cast(act(|_, cx| {
            cx.set_tag("uses", "nothing").expect("it has a name");
            cx.whereis::<Msg>("store").expect("it is there").cast(Msg::Add(100)).expect("accepted");
            Ok(Next::Continue)
        }))
        .expect("accepted");
    here.wait_line("store add 100");
    whereis("user").cast(boom()).expect("accepted");
    assert_eq!(whereis("user").call(Msg::Epoch).expect("answered"), 2);
    tree.start_child(bot("session", &here).registered()).expect("starts");
    assert_eq!(whereis("store").call(Msg::Total).expect("answered"), 112, "the user came up twice");
    tree.terminate_child("session").expect("terminated");
    drop(tree);

    assert!(test.is_empty(), "{test:?}");
    assert_eq!((production.names(), production.entries()), (names, entries), "nothing was written");
    assert_eq!(there.all(), lines, "and nothing was sent");
    assert_eq!(production.namespaces(), ["default".into()]);
    assert!(!waiter.is_done(), "nor is a name there that came only here");
    live.start_child(bot("session", &there).registered()).expect("starts");
    waiter.done().cast(Msg::Add(7)).expect("accepted");
    there.wait_line("session add 7");
    drop(live);
    assert!(production.is_empty() && production.namespaces().is_empty());
}

#[test]
fn a_named_table_is_one_for_the_process_and_a_new_one_is_private() {
    let journal = Journal::new();
    let named = || Registry::named("a-named-table-is-one-for-the-process");
    let tree = |name: &str, registry: Registry| {
        Supervisor::new(name).registry(registry).child(bot("a", &journal).registered()).start()
    };
    let first = tree("first", named()).expect("starts");
    assert_eq!(named().names(), ["a"], "the tree keeps the table");
    let second = aside(move || named().lookup::<Msg>("a").is_ok());
    assert!(second.done(), "on every thread");
    assert!(tree("second", named()).is_err(), "the name is taken");
    assert!(Registry::named("another").is_empty() && Registry::new().is_empty());
    let private = tree("private", Registry::new()).expect("starts");
    drop((first, private));
    assert!(named().is_empty());
    drop(tree("third", named()).expect("the name is free"));
}

#[test]
fn the_global_table_is_the_one_named_so() {
    let journal = Journal::new();
    let name = "the-global-table-is-the-one-named-so";
    let app = Supervisor::new("app").registry(Registry::global()).child(bot(name, &journal).registered());
    let sup = app.start().expect("starts");
    assert!(Registry::named("global").find::<Msg>(name).is_some());
    assert!(Registry::global().namespace("other").is_empty());
    drop(sup);
    assert!(Registry::global().find::<Msg>(name).is_none());
}

#[test]
fn who_asks_for_a_named_table_first_at_once_shares_it() {
    let journal = Journal::new();
    for round in 0..20 {
        let start = std::sync::Arc::new(std::sync::Barrier::new(4));
        let asked = (0..4).map(|_| {
            let start = start.clone();
            aside(move || {
                start.wait();
                Registry::named(&format!("who-asks-first-at-once-{round}"))
            })
        });
        let views: Vec<_> = asked.collect::<Vec<_>>().into_iter().map(Aside::done).collect();
        let app = Supervisor::new("app").registry(views[0].clone()).child(bot("a", &journal).registered());
        let sup = app.start().expect("starts");
        assert!(views.iter().all(|view| view.names() == ["a"]));
        drop(sup);
    }
}

// ---- tags ----------------------------------------------------------------------------------

fn tags_of(registry: &Registry, name: &str) -> Vec<String> {
    let tags = registry.metadata(name).expect("it is there");
    tags.iter().map(|(key, value)| format!("{key}={value}")).collect()
}

/// Changes a tag from inside the service.
fn retag(key: &'static str, value: &'static str) -> Msg {
    act(move |bot, cx| {
        let set = cx.set_tag(key, value);
        bot.note(format_args!("{key}={value}: {set:?}"));
        Ok(Next::Continue)
    })
}

#[test]
fn tags_are_read_in_order_and_selected_by() {
    let journal = Journal::new();
    let spec = |name: &str, role: &str| bot(name, &journal).registered().tag("role", role);
    let app = Supervisor::new("app").child(spec("c", "replica").tag("zone", "1").tag("zone", "2"));
    let app = app.child(spec("b", "primary")).child(spec("a", "replica")).child(bot("d", &journal));
    let sup = app.child(bot("plain", &journal).registered()).start().expect("starts");
    let registry = sup.registry();
    let entries = registry.entries();
    let names: Vec<_> = entries.iter().map(|entry| &*entry.name).collect();
    assert_eq!(names, ["a", "b", "c", "plain"]);
    assert!(entries.iter().all(|entry| entry.type_name == std::any::type_name::<Msg>()));
    assert!(entries[3].metadata.is_empty());
    assert_eq!(registry.metadata("c").as_ref(), Some(&entries[2].metadata));
    assert_eq!(tags_of(&registry, "c"), ["role=replica", "zone=2"], "the last counts");
    let found = |key: &str, value: &str| {
        let handles = registry.find_tagged::<Msg>(key, value);
        handles.iter().map(|handle| handle.name().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(found("role", "replica"), ["a", "c"]);
    assert_eq!(found("role", "primary"), ["b"]);
    assert!(found("role", "").is_empty() && found("zone", "1").is_empty() && found("x", "2").is_empty());
    assert!(registry.find_tagged::<u8>("role", "replica").is_empty(), "they take other messages");
    assert!(registry.namespace("x").find_tagged::<Msg>("role", "replica").is_empty());
    assert_eq!((registry.metadata("d"), registry.namespace("x").metadata("a")), (None, None));
    drop(sup);
    assert!(registry.entries().is_empty());
}

#[test]
fn tags_that_an_incarnation_sets_end_with_it() {
    let (clock, hand) = Clock::manual();
    let (journal, events) = (Journal::new(), Events::new());
    let slow = underpin::Backoff::exponential(SECOND, SECOND);
    let spec = bot_with("a", &journal, |bot| {
        bot.on_init(|_, cx| {
            assert_eq!(cx.registry().metadata("a").map(|tags| tags.len()), Some(2), "as described");
            cx.set_tag("life", cx.epoch().to_string()).map_err(|_| Oops(ErrorKind::User, "not set"))?;
            Ok(Init::Ready)
        })
    });
    let spec = spec.registered().tag("role", "replica").tag("zone", "1").backoff(slow);
    let handle = spec.handle();
    let sup = patient("app").clock(clock).on_event(events.hook()).child(spec).start().expect("starts");
    let registry = sup.registry();
    assert_eq!(tags_of(&registry, "a"), ["life=1", "role=replica", "zone=1"]);
    handle.cast(retag("role", "primary")).expect("accepted");
    let sent = handle.cast(act(|bot, cx| {
        let removed = (cx.remove_tag("zone"), cx.remove_tag("zone"));
        bot.note(format_args!("{removed:?}"));
        Ok(Next::Continue)
    }));
    sent.expect("accepted");
    journal.wait_line("a (true, false)");
    assert!(journal.has("a role=primary: Ok(())"));
    assert_eq!(tags_of(&registry, "a"), ["life=1", "role=primary"]);
    handle.cast(boom()).expect("accepted");
    events.restart_of("a", 1);
    assert_eq!(tags_of(&registry, "a"), ["role=replica", "zone=1"], "while it waits for its restart");
    hand.advance(SECOND);
    assert_eq!(handle.call(Msg::Epoch).expect("answered"), 2);
    assert_eq!(tags_of(&registry, "a"), ["life=2", "role=replica", "zone=1"]);
    sup.terminate_child("a").expect("terminated");
    assert_eq!(registry.metadata("a"), None);
    sup.restart_child("a").expect("restarted");
    assert_eq!(tags_of(&registry, "a"), ["life=3", "role=replica", "zone=1"]);
    drop(sup);
}

#[test]
fn an_abandoned_incarnation_sets_no_tags_of_its_successor() {
    let (clock, hand) = Clock::manual();
    let (journal, inside, release) = (Journal::new(), Latch::new(), Latch::new());
    let (tell, held) = (inside.clone(), release.clone());
    let spec = bot_with("a", &journal, move |bot| {
        let (tell, held) = (tell.clone(), held.clone());
        bot.on_init(move |bot, cx| {
            if cx.epoch() == 2 {
                cx.set_tag("of", "second").expect("it has the name still");
                tell.open();
                held.wait();
                bot.note(format_args!("{:?} {}", cx.set_tag("of", "zombie"), cx.remove_tag("of")));
            }
            Ok(Init::Ready)
        })
    });
    let spec = spec.registered().init_timeout(SECOND);
    let handle = spec.handle();
    let sup = patient("app").clock(clock).child(spec).start().expect("starts");
    let registry = sup.registry();
    handle.cast(boom()).expect("accepted");
    inside.wait();
    assert_eq!(tags_of(&registry, "a"), ["of=second"]);
    hand.advance(SECOND);
    journal.wait_line("a init 3");
    assert!(tags_of(&registry, "a").is_empty(), "a life begins without its predecessor's");
    handle.cast(retag("of", "third")).expect("accepted");
    journal.wait_line("a of=third: Ok(())");
    release.open();
    journal.wait_line("a Err(NotRegistered) false");
    assert_eq!(tags_of(&registry, "a"), ["of=third"]);
    drop(sup);
}

#[test]
fn tags_of_an_incarnation_that_is_abandoned_end_with_that() {
    let (clock, hand) = Clock::manual();
    let (journal, events) = (Journal::new(), Events::new());
    let (inside, release) = (Latch::new(), Latch::new());
    let (tell, held) = (inside.clone(), release.clone());
    let spec = bot_with("a", &journal, move |bot| {
        let (tell, held) = (tell.clone(), held.clone());
        bot.on_init(move |_, cx| {
            if cx.epoch() == 2 {
                cx.set_tag("role", "primary").expect("it has the name still");
                tell.open();
                held.wait();
            }
            Ok(Init::Ready)
        })
    });
    let slow = underpin::Backoff::exponential(SECOND, SECOND);
    let spec = spec.registered().tag("role", "replica").init_timeout(SECOND).backoff(slow);
    let handle = spec.handle();
    let sup = patient("app").clock(clock).on_event(events.hook()).child(spec).start().expect("starts");
    let registry = sup.registry();
    handle.cast(boom()).expect("accepted");
    events.restart_of("a", 1);
    hand.advance(SECOND);
    inside.wait();
    assert_eq!(tags_of(&registry, "a"), ["role=primary"]);
    hand.advance(SECOND);
    events.restart_of("a", 2);
    assert_eq!(tags_of(&registry, "a"), ["role=replica"], "while it waits for its restart");
    release.open();
    drop(sup);
}

#[test]
fn a_tag_that_cannot_be_is_refused_before_anything_starts() {
    let journal = Journal::new();
    let long = |bytes: usize| "x".repeat(bytes);
    let named = || bot("a", &journal).registered();
    let many = (0..16).fold(named(), |spec, number| spec.tag(number.to_string(), ""));
    let wrong = [
        (bot("a", &journal).tag("k", "v"), "the child is not `registered`"),
        (named().tag("", "v"), "the key of a tag has 1 to 64 bytes, not 0"),
        (named().tag(long(65), "v"), "the key of a tag has 1 to 64 bytes, not 65"),
        (named().tag("k", long(257)), "the value of a tag has at most 256 bytes, not 257"),
        (many.tag("k", "v"), "a name has at most 16 tags"),
    ];
    for (spec, reason) in wrong {
        match Supervisor::new("app").child(spec).start() {
            Err(StartError::BadSpec { reason: said, .. }) => assert!(said.contains(reason), "{said}"),
            other => panic!("{other:?}"),
        }
    }
    assert!(journal.all().is_empty(), "nothing was started");
    let fits = Supervisor::new("app").child(bot("a", &journal).tag(long(64), long(256)).registered());
    drop(fits.start().expect("it is registered after all"));
}

#[test]
fn a_tag_that_cannot_be_set_changes_nothing() {
    let journal = Journal::new();
    let (a, b) = (bot("a", &journal).registered().tag("k", "v"), bot("b", &journal));
    let (named, nameless) = (a.handle(), b.handle());
    let sup = Supervisor::new("app").child(a).child(b).start().expect("starts");
    nameless.cast(retag("k", "w")).expect("accepted");
    journal.wait_line("b k=w: Err(NotRegistered)");
    named.cast(retag("", "w")).expect("accepted");
    journal.wait(|line| line.contains(&format!("{:?}", TagError::BadKey { len: 0, max: 64 })));
    let sent = named.cast(act(|bot, cx| {
        let set = (0..20).map(|number| cx.set_tag(number.to_string(), "").is_ok());
        bot.note(format_args!("{} of 20", set.filter(|set| *set).count()));
        Ok(Next::Continue)
    }));
    sent.expect("accepted");
    journal.wait_line("a 15 of 20");
    assert_eq!(sup.registry().metadata("a").map(|tags| tags.len()), Some(16));
    drop(sup);
}
