//! Names: whose they are, from when to when, and who sees them.

mod common;

use std::time::{Duration, Instant};

use common::*;
use underpin::{
    Clock, Deadline, DynamicSupervisor, ErrorKind, Exit, Init, Next, Registry, Restart, RestartChildError,
    StartChildError, StartError, Strategy, Supervisor,
};

#[test]
fn a_name_that_is_taken_fails_the_start_and_stays_with_its_owner() {
    let journal = Journal::new();
    let registry = Registry::new();
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
    let (journal, registry) = (Journal::new(), Registry::new());
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
    let registry = Registry::new();
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
    struct Other;
    impl underpin::Service for Other {
        type Msg = u8;
        type Error = Oops;
        fn handle(&mut self, _: u8, _: &mut underpin::Context<Self>) -> Done {
            Ok(Next::Continue)
        }
    }
    let sup = Supervisor::new("app").child(underpin::child("other", || Other).registered()).start();
    let sup = sup.expect("starts");
    let registry = sup.registry();
    assert!(registry.find::<u8>("other").is_some());
    assert!(registry.find::<Msg>("other").is_none());
    assert!(registry.find::<u8>("nobody").is_none());
    assert!(
        registry.wait_find::<Msg>("other", Deadline::unbounded()).is_none(),
        "at once: it stands for another"
    );
    drop(sup);
}

#[test]
fn wait_find_hears_of_the_registration_and_keeps_its_deadline() {
    let journal = Journal::new();
    let sup = DynamicSupervisor::new("dyn").start().expect("starts");
    let registry = sup.registry();
    let begun = Instant::now();
    assert!(registry.wait_find::<Msg>("late", Deadline::after(MS * 5)).is_none());
    assert!(begun.elapsed() >= MS * 5);
    let waiters: Vec<_> = (0..4)
        .map(|_| {
            let registry = registry.clone();
            aside(move || registry.wait_find::<Msg>("late", Deadline::unbounded()))
        })
        .collect();
    sup.start_child(bot("early", &journal).registered()).expect("starts"); // wakes them for nothing
    let handle = sup.start_child(bot("late", &journal).registered()).expect("starts");
    handle.cast(Msg::Add(2)).expect("accepted");
    for waiter in waiters {
        let found = waiter.done().expect("found");
        assert_eq!(found.call(Msg::Total).expect("answered"), 2);
    }
    assert!(registry.wait_find::<Msg>("late", Deadline::after(Duration::ZERO)).is_some());
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
