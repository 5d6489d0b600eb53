//! Permits of a bulkhead change hands.

use crate::resilience::{Bulkhead, BulkheadError};
use crate::service::deadline::Deadline;
use crate::sync::checks::{finds, holds, joined, thread};
use crate::sync::model::Mutant;
use crate::sync::{Clock, JoinHandle};

/// Somebody waits for a permit, for as long as it takes.
fn patient(bulkhead: &Bulkhead, weight: u32) -> JoinHandle<bool> {
    let bulkhead = bulkhead.clone();
    thread(move || bulkhead.acquire_many(weight, Deadline::unbounded()).is_ok())
}

/// Somebody whose deadline has come by the time they wait.
fn hasty(bulkhead: &Bulkhead, weight: u32) -> JoinHandle<bool> {
    let bulkhead = bulkhead.clone();
    thread(move || match bulkhead.acquire_many(weight, Deadline::at(Clock::system().now())) {
        Ok(_) => true,
        Err(BulkheadError::Full { .. }) => false,
        Err(error) => panic!("{error}"),
    })
}

fn is_empty(bulkhead: &Bulkhead) -> bool {
    let snapshot = bulkhead.snapshot();
    (snapshot.in_use, snapshot.waiting) == (0, 0)
}

/// What is given back is handed to who waits.
fn handed_over() {
    let bulkhead = Bulkhead::new("x", 1);
    let permit = bulkhead.try_acquire().expect("it is empty");
    let waiter = patient(&bulkhead, 1);
    drop(permit);
    assert!(joined(waiter) && is_empty(&bulkhead));
}

/// Two wait one after the other for what one gives back.
fn passed_on() {
    let bulkhead = Bulkhead::new("x", 2);
    let permit = bulkhead.try_acquire().expect("it is empty");
    let waiters = [patient(&bulkhead, 2), patient(&bulkhead, 1)];
    drop(permit);
    assert!(waiters.into_iter().all(joined) && is_empty(&bulkhead));
}

/// Who is too heavy leaves, and who waits behind them fits.
fn one_leaves() {
    let bulkhead = Bulkhead::new("x", 2);
    let permit = bulkhead.try_acquire().expect("it is empty");
    let (heavy, light) = (hasty(&bulkhead, 2), patient(&bulkhead, 1));
    assert!(joined(light));
    joined(heavy);
    drop(permit);
    assert!(is_empty(&bulkhead));
}

/// Who is called as they leave has their permit.
fn called_late() {
    let bulkhead = Bulkhead::new("x", 1);
    let permit = bulkhead.try_acquire().expect("it is empty");
    let waiter = hasty(&bulkhead, 1);
    drop(permit);
    joined(waiter);
    assert!(is_empty(&bulkhead), "a permit has got lost");
}

/// There is more room from now on, or none for them: who waits hears of it.
fn changed() {
    let bulkhead = Bulkhead::new("x", 2);
    let permit = bulkhead.try_acquire_many(2).expect("it is empty");
    let (light, heavy) = (patient(&bulkhead, 1), patient(&bulkhead, 2));
    bulkhead.change_max_concurrent_calls(1);
    assert!(!joined(heavy));
    bulkhead.change_max_concurrent_calls(3);
    assert!(joined(light));
    drop(permit);
    assert!(is_empty(&bulkhead));
}

#[test]
fn no_permit_and_no_wake_gets_lost() {
    holds("handed over", handed_over);
    holds("passed on", passed_on);
    holds("one leaves", one_leaves);
    holds("called late", called_late);
    holds("changed", changed);
}

#[test]
fn who_queues_up_after_they_looked_is_found() {
    finds(Mutant::QueueLate, handed_over);
}

#[test]
fn who_leaves_without_a_look_behind_is_found() {
    finds(Mutant::LeaveUnpassed, one_leaves);
}

#[test]
fn a_permit_that_comes_as_its_waiter_leaves_and_is_lost_is_found() {
    finds(Mutant::GiveUpCalled, called_late);
}
