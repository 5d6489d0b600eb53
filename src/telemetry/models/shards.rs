//! What threads count is seen once, whenever somebody looks and whenever they end.

use std::sync::Arc;

use super::super::shard::Place;
use super::super::shards::Shards;
use crate::sync::checks::{finds, holds, joined, thread};
use crate::sync::model::Mutant;

/// A thread that begins, adds, and ends. Histograms take the same way.
fn life(shards: &Shards, place: Place) {
    let shard = shards.enrol();
    shard.add(place, 1);
    shards.leave(&shard);
}

/// Whoever looks while a thread ends sees what it has counted.
fn a_thread_ends_while_somebody_looks() {
    let shards = Arc::new(Shards::default());
    let (place, _) = shards.take_counter().expect("there is room");
    let shard = shards.enrol();
    shard.add(place, 1);
    let ending = thread({
        let shards = Arc::clone(&shards);
        move || shards.leave(&shard)
    });
    assert_eq!(shards.look().count(place), 1);
    joined(ending);
    assert_eq!(shards.look().count(place), 1);
}

/// Whoever looks twice while a thread counts and ends never sees less than before, and at last sees all of it.
fn a_thread_counts_while_somebody_looks() {
    let shards = Arc::new(Shards::default());
    let (place, _) = shards.take_counter().expect("there is room");
    let counting = thread({
        let shards = Arc::clone(&shards);
        move || life(&shards, place)
    });
    let mut before = 0;
    for _ in 0..2 {
        let seen = shards.look().count(place);
        assert!((before..=1).contains(&seen), "{before}, then {seen}");
        before = seen;
    }
    joined(counting);
    assert_eq!(shards.look().count(place), 1);
}

/// Two threads that count the same end at the same time.
fn two_threads_end() {
    let shards = Arc::new(Shards::default());
    let (place, _) = shards.take_counter().expect("there is room");
    let others = [(); 2].map(|()| {
        let shards = Arc::clone(&shards);
        thread(move || life(&shards, place))
    });
    others.into_iter().for_each(joined);
    assert_eq!(shards.look().count(place), 2);
}

#[test]
fn what_a_thread_counts_is_seen_once_also_while_it_ends() {
    holds("a thread ends while somebody looks", a_thread_ends_while_somebody_looks);
    holds("a thread counts while somebody looks", a_thread_counts_while_somebody_looks);
    finds(Mutant::LeaveInTwoSteps, a_thread_ends_while_somebody_looks);
}

#[test]
fn threads_that_end_together_leave_all_that_they_counted() {
    holds("two threads end", two_threads_end);
}
