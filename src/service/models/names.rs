//! Names that change hands, and the tags on them.

use super::*;
use crate::registry::{Entry, Registration, Tags};

fn register(registry: &Registry, number: u32) -> Option<Registration> {
    registry.register("name".into(), Entry::new(number, "u32"), Tags::default()).ok()
}

fn wait(registry: &Registry) -> JoinHandle<bool> {
    let registry = registry.clone();
    thread(move || registry.await_entry("name", None).is_some())
}

/// One child frees its name, twice, as its worker and its supervisor may both do; another takes
/// the name in between and keeps it.
fn generations() {
    let registry = Registry::new();
    let first = register(&registry, 1).expect("free");
    let other = thread({
        let registry = registry.clone();
        move || register(&registry, 2).is_some()
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
    let waiter = wait(&registry);
    register(&registry, 1).expect("free");
    assert!(joined(waiter));
}

/// Two wait for a name that comes, goes and comes back.
fn waiting_together() {
    let registry = Registry::new();
    let waiters = [wait(&registry), wait(&registry)];
    let first = register(&registry, 1).expect("free");
    registry.unregister(&first);
    register(&registry, 2).expect("free again");
    assert_eq!(waiters.map(joined), [true, true]);
}

/// Two wait for a name that comes; one of them, whose deadline has passed, may leave before.
fn leaving() {
    let registry = Registry::new();
    let waiter = wait(&registry);
    let impatient = thread({
        let registry = registry.clone();
        move || drop(registry.await_entry("name", Some(Clock::SYSTEM.now())))
    });
    register(&registry, 1).expect("free");
    joined(impatient);
    assert!(joined(waiter));
}

/// A life that was abandoned sets a tag while its successor begins.
fn tags_of_a_zombie() {
    let registry = Registry::new();
    let core = Arc::new(Core::<u32>::new("name".into(), 1, Overflow::Reject, DeadLetters::lost()));
    let claim = Claim::with(Tags::default());
    let begin = || claim.next_life(&core, &registry, &Clock::SYSTEM).expect("the name is free").epoch;
    let first = begin();
    let zombie = thread({
        let (core, claim, registry) = (Arc::clone(&core), claim.clone(), registry.clone());
        move || claim.change_tags(&core, &registry, first, |tags| tags.set("of".into(), "zombie".into()))
    });
    let second = begin();
    assert_eq!(registry.metadata("name").map(|tags| tags.len()), Some(0), "a life begins without them");
    let mine = claim.change_tags(&core, &registry, second, |tags| tags.set("of".into(), "second".into()));
    assert_eq!(mine, Some(Ok(())));
    drop(joined(zombie));
    let tag = registry.metadata("name").and_then(|tags| tags.get("of").cloned());
    assert_eq!(tag.as_deref(), Some("second"), "the tag of the living");
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

#[test]
fn all_who_wait_for_a_name_hear_of_it() {
    holds("waiting together for a name", waiting_together);
}

#[test]
fn a_registration_that_wakes_one_alone_is_found() {
    finds(Mutant::WakeFirst, waiting_together);
}

#[test]
fn who_waits_no_longer_leaves_the_others_waiting() {
    holds("leaving", leaving);
}

#[test]
fn who_leaves_for_all_is_found() {
    finds(Mutant::LeaveForAll, leaving);
}

#[test]
fn a_life_that_was_abandoned_sets_no_tags_of_its_successor() {
    holds("tags of a zombie", tags_of_a_zombie);
}

#[test]
fn tags_for_any_life_are_found() {
    finds(Mutant::TagForAnyLife, tags_of_a_zombie);
}
