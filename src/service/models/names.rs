//! Names that change hands.

use super::*;
use crate::registry::Entry;

fn entry(number: u32) -> Entry {
    Arc::new(number)
}

/// One child frees its name, twice, as its worker and its supervisor may both do; another takes
/// the name in between and keeps it.
fn generations() {
    let registry = Registry::new();
    let first = registry.register("name".into(), entry(1)).expect("free");
    let other = thread({
        let registry = registry.clone();
        move || registry.register("name".into(), entry(2)).is_ok()
    });
    registry.unregister(&first);
    registry.unregister(&first);
    let held = registry.whereis("name").and_then(|entry| entry.downcast_ref::<u32>().copied());
    assert_ne!(held, Some(1), "a name that was freed");
    let taken = joined(other);
    assert_eq!(registry.whereis("name").is_some(), taken, "who has the name keeps it");
}

/// Somebody waits for a name that comes.
fn waiting() {
    let registry = Registry::new();
    let waiter = thread({
        let registry = registry.clone();
        move || registry.wait_for("name", &Clock::SYSTEM, None).is_some()
    });
    registry.register("name".into(), entry(1)).expect("free");
    assert!(joined(waiter));
}

#[test]
fn a_registration_frees_no_later_one() {
    holds("generations", generations);
}

#[test]
fn a_registration_of_any_generation_is_found() {
    finds(Mutant::AnyGeneration, generations);
}

#[test]
fn who_waits_for_a_name_hears_of_it() {
    holds("waiting for a name", waiting);
}

#[test]
fn who_parks_without_a_second_look_is_found() {
    finds(Mutant::WaitBlindly, waiting);
}
