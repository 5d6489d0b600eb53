//! Nothing is left, and nobody else's thread runs it.

use super::*;

#[test]
fn factories_and_states_are_dropped_once_and_never_on_the_supervisors_thread() {
    let journal = Journal::new();
    let (factories, states) = (Tokens::new(), Arc::new(Tokens::new()));
    let where_dropped = Arc::new(Mutex::new(Vec::new()));
    let make = |number: u64| {
        let (held, state, threads) = (factories.one(), Arc::clone(&states), Arc::clone(&where_dropped));
        let (dropped, journal) = (Dropped(Arc::clone(&threads)), journal.clone());
        move |_old: Option<Bot>| {
            let _both = (&held, &dropped);
            let (token, dropped) = (state.one(), Mutex::new(Some(Dropped(Arc::clone(&threads)))));
            Bot::new(&format!("a{number}"), &journal).on_drop(move |_| {
                let _held = &token;
                drop(dropped.lock().unwrap_or_else(PoisonError::into_inner).take());
            })
        }
    };
    let first = make(0);
    let spec = child("a", move || first(None));
    let handle = spec.handle();
    let sup = Supervisor::new("app").child(spec).start().expect("starts");
    for number in 1..=5 {
        sup.replace_child("a", make(number)).expect("replaced");
        assert_eq!(states.out(), 1, "one state at a time");
        eventually("the old factory is gone", || factories.out() == 1);
    }
    sup.terminate_child("a").expect("terminated");
    sup.replace_child("a", make(6)).expect("replaced while it is down");
    eventually("so is that one", || factories.out() == 1);
    assert_eq!(states.out(), 0);
    sup.replace_child("x", make(7)).expect_err("unknown");
    sup.restart_child("a").expect("restarted");
    let release = occupy(&handle);
    let replacing = replace_aside(&sup, "a", make(8));
    let error = sup.replace_child("a", make(9)).expect_err("busy");
    assert!(matches!(error, ReplaceChildError::Busy { .. }), "{error}");
    let stopping = aside(move || sup.shutdown(LONG));
    replacing.done().expect_err("too late");
    release.open();
    assert!(stopping.done().is_clean());
    eventually("nothing is left", || factories.out() == 0 && states.out() == 0);
    let threads = where_dropped.lock().unwrap_or_else(PoisonError::into_inner).clone();
    assert_eq!(threads.len(), 10 + 7, "{threads:?}");
    assert!(threads.iter().all(|name| name != "app"), "{threads:?}");
}

#[test]
fn the_factory_of_a_temporary_child_is_dropped_once_it_ran() {
    let journal = Journal::new();
    let factories = Tokens::new();
    let spec = bot("a", &journal).restart(Restart::Temporary);
    let handle = spec.handle();
    let sup = Supervisor::new("app").child(spec).start().expect("starts");
    let (held, make) = (factories.one(), heir("a", &journal));
    let replaced = sup.replace_child("a", move |old| {
        let _held = &held;
        make(old)
    });
    replaced.expect("replaced");
    eventually("it ran", || factories.out() == 0);
    assert_eq!(handle.call(Msg::Epoch).expect("answered"), 2);
}

#[test]
fn replacements_under_load_lose_nothing() {
    const SENDERS: u64 = 3;
    const EACH: u64 = 2_000;
    let journal = Journal::new();
    let made = Arc::new(AtomicUsize::new(0));
    let spec = child("sum", || Counter(0)).capacity(64).overflow(Overflow::Block(LONG));
    let handle = spec.handle();
    let sup = Supervisor::new("app").intensity(0, SECOND).child(spec).start().expect("starts");
    let senders: Vec<_> = (0..SENDERS)
        .map(|_| {
            let handle = handle.clone();
            aside(move || (0..EACH).for_each(|_| handle.cast(Count::Add(1)).expect("accepted")))
        })
        .collect();
    let mut replaced = 0;
    while !senders.iter().all(Aside::is_done) || replaced < 50 {
        let made = Arc::clone(&made);
        let takes_over = move |old: Option<Counter>| {
            made.fetch_add(1, Ordering::SeqCst);
            Counter(old.expect("nobody crashed").0)
        };
        sup.replace_child("counter", takes_over.clone()).expect_err("of another name");
        sup.replace_child("sum", takes_over).expect("replaced");
        replaced += 1;
    }
    senders.into_iter().for_each(Aside::done);
    assert_eq!(handle.call(Count::Total).expect("answered"), SENDERS * EACH);
    assert_eq!(made.load(Ordering::SeqCst), replaced);
    assert_eq!(handle.status().dead_letters, 0);
    drop((sup, journal));
}

#[test]
fn terminate_and_replace_at_once_end_in_one_of_the_two() {
    let journal = Journal::new();
    let states = Arc::new(Tokens::new());
    let make = {
        let (states, journal) = (Arc::clone(&states), journal.clone());
        move |old: Option<Bot>| {
            old.unwrap_or_else(|| {
                let token = states.one();
                Bot::new("a", &journal).on_drop(move |_| drop(Arc::clone(&token)))
            })
        }
    };
    let first = make.clone();
    let spec = child("a", move || first(None));
    let handle = spec.handle();
    let sup = Supervisor::new("app").intensity(0, SECOND).child(spec).start().expect("starts");
    for _ in 0..100 {
        let replacing = aside({
            let (reference, make) = (sup.reference(), make.clone());
            move || reference.replace_child("a", make)
        });
        sup.terminate_child("a").expect("terminated");
        let outcome = replacing.done();
        let is_right = match &outcome {
            Ok(()) => true,
            Err(error) => {
                matches!(error, ReplaceChildError::ShuttingDown { .. } | ReplaceChildError::Busy { .. })
            }
        };
        assert!(is_right, "{outcome:?}");
        eventually("no state is left", || states.out() == 0);
        sup.restart_child("a").expect("it is down, whoever came first");
        assert_eq!(handle.call(Msg::Total).expect("answered"), 0);
    }
    assert!(sup.shutdown(LONG).is_clean());
    assert_eq!(states.out(), 0);
}
