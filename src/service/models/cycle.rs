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
            thread(move || me.wait_for(&next, Arc::new(Slot::<u32>::new(NEVER))).is_err())
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

/// A waits for B, B for nobody: there is no cycle, even while B answers.
fn chain() {
    let (a, b) = (Node::new("a".into()), Node::new("b".into()));
    let slot = Arc::new(Slot::<u32>::new(NEVER));
    let reply = Reply::new(Arc::clone(&slot));
    a.wait_for(&b, slot).expect("no cycle");
    let answer = thread(move || reply.send(1));
    // B asks A, after it answered: A's edge does not count any more.
    joined(answer);
    b.wait_for(&a, Arc::new(Slot::<u32>::new(NEVER))).expect("no cycle");
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
    holds("no cycle", chain);
}
