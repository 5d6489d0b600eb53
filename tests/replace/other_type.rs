//! A service of another type.

use super::*;

fn doubling(old: Option<Counter>) -> Doubling {
    Doubling(old.map_or(1000, |old| old.0))
}

#[test]
fn a_service_of_another_type_takes_over_and_back() {
    let (sup, handle) = counter();
    handle.cast(Count::Add(3)).expect("accepted");
    assert_eq!(handle.call(Count::Total).expect("answered"), 3);
    sup.replace_child("counter", doubling).expect("replaced");
    handle.cast(Count::Add(2)).expect("accepted");
    assert_eq!(handle.call(Count::Total).expect("answered"), 7);
    let back = |old: Option<Doubling>| old.map(|old| Counter(old.0)).ok_or("no state");
    sup.replace_child("counter", back).expect("a factory may return a Result");
    handle.cast(Count::Add(1)).expect("accepted");
    assert_eq!(handle.call(Count::Total).expect("answered"), 8);
}

#[test]
fn what_does_not_fit_is_refused_and_nothing_is_touched() {
    let (sup, handle) = counter();
    let dropped = Tokens::new();
    let token = dropped.one();
    let error = sup.replace_child("counter", move |old: Option<Doubling>| {
        let _held = &token;
        Counter(old.map_or(0, |old| old.0))
    });
    let error = error.expect_err("it is no Doubling");
    let ReplaceChildError::WrongType { name, expected, found } = &error else { panic!("{error}") };
    assert_eq!(&**name, "counter");
    assert!(expected.ends_with("Doubling") && found.ends_with("Counter"), "{error}");
    assert!(error.to_string().contains("runs `replace::Counter`, expected `replace::Doubling`"), "{error}");
    let journal = Journal::new();
    let error = sup.replace_child("counter", heir("counter", &journal)).expect_err("other messages");
    assert!(matches!(error, ReplaceChildError::WrongType { .. }), "{error}");
    sup.terminate_child("counter").expect("terminated");
    let error = sup.replace_child("counter", heir("counter", &journal)).expect_err("also when it is down");
    assert!(matches!(error, ReplaceChildError::WrongType { .. }), "{error}");
    sup.restart_child("counter").expect("the old factory is in its place");
    assert_eq!(handle.call(Count::Total).expect("answered"), 0);
    assert_eq!(handle.status().epoch, 2);
    eventually("what was refused is dropped", || dropped.out() == 0);
}
