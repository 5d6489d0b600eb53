//! Services that wait for one another.

use super::*;
use crate::service::incarnation::Node;
use crate::service::reply::Slot;

/// As many services as given call each other in a ring. Returns how many saw the cycle.
fn ring<const N: usize>() -> usize {
    let nodes = ["a", "b", "c"].map(|name| Node::new(name.into()));
    let callers: Vec<_> = (0..N)
        .map(|at| {
            let (me, next) = (Arc::clone(&nodes[at]), Arc::clone(&nodes[(at + 1) % N]));
            thread(move || me.wait_for(&next, Arc::clone(Slot::<u32>::new(NEVER).ticket())).is_err())
        })
        .collect();
    callers.into_iter().map(joined).filter(|found| *found).count()
}

fn two() {
    assert!(ring::<2>() >= 1, "they wait for ever");
}

fn three() {
    assert!(ring::<3>() >= 1, "they wait for ever");
}

/// B answers A, by a helper, and asks A then: A's edge does not count any more, although A may not
/// have woken up yet.
fn answered() {
    let (a, b) = (Node::new("a".into()), Node::new("b".into()));
    let slot = Arc::new(Slot::<u32>::new(NEVER));
    let reply = Reply::new(Arc::clone(&slot));
    let caller = thread({
        let (a, b) = (Arc::clone(&a), Arc::clone(&b));
        move || {
            a.wait_for(&b, Arc::clone(slot.ticket())).expect("no cycle");
            assert!(matches!(slot.wait(&Clock::SYSTEM, NEVER), Some(Ok(1))));
            a.waits_no_more_for(slot.ticket());
        }
    });
    reply.send(1);
    b.wait_for(&a, Arc::clone(Slot::<u32>::new(NEVER).ticket())).expect("no cycle");
    joined(caller);
}

/// An incarnation is abandoned while it begins to wait, and its successor waits for another: what the
/// child waits for is the successor's business.
fn abandoned() {
    let nodes = ["a", "b", "c"].map(|name| Node::new(name.into()));
    let [a, b, c] = nodes;
    let life = |epoch| Incarnation::new(Arc::clone(&a), epoch, Clock::SYSTEM.now());
    let call = || Arc::clone(Slot::<u32>::new(NEVER).ticket());
    let (old, new) = (life(1), life(2));
    let zombie = thread({
        let (old, call) = (Arc::clone(&old), call());
        move || old.wait_for(&b, &call).expect("no cycle")
    });
    old.abandon();
    new.wait_for(&c, &call()).expect("no cycle");
    joined(zombie);
    assert_eq!(a.waits_for().as_deref(), Some("c"), "the zombie's wait counts");
}

#[test]
fn a_cycle_of_two_is_seen() {
    holds("cycle of two", two);
}

#[test]
fn a_cycle_of_three_is_seen() {
    holds("cycle of three", three);
}

#[test]
fn who_looks_before_it_waits_is_found() {
    finds(Mutant::FollowFirst, two);
}

#[test]
fn who_looks_before_it_waits_is_found_in_three() {
    finds(Mutant::FollowFirst, three);
}

#[test]
fn an_answered_call_is_no_edge() {
    holds("answered", answered);
}

#[test]
fn an_answered_call_that_counts_is_found() {
    finds(Mutant::CountAnswered, answered);
}

#[test]
fn a_zombie_waits_for_nobody() {
    holds("abandoned while it begins to wait", abandoned);
}

#[test]
fn a_zombie_that_looks_too_early_is_found() {
    finds(Mutant::PublishBlindly, abandoned);
}
