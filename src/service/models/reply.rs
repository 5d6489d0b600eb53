//! The reply slot: one answer, one caller, one deadline.

use super::*;
use crate::service::reply::{Failure, Slot};

/// A service that answers, and somebody who settles the same call: the caller gets one of the two.
fn one_outcome() {
    let slot = Arc::new(Slot::new(NEVER));
    let reply = Reply::new(Arc::clone(&slot));
    let service = thread(move || reply.send(7));
    let supervisor = thread({
        let slot = Arc::clone(&slot);
        move || slot.ticket().settle(Failure::Crashed)
    });
    let answer = slot.wait(&Clock::SYSTEM, NEVER);
    assert!(matches!(answer, Some(Ok(7) | Err(Failure::Crashed))));
    joined(service);
    joined(supervisor);
    assert!(slot.take().is_none(), "a second outcome");
}

/// A service that answers while its caller gives up: the answer is taken in time, or vanishes on
/// the service's side. None is left behind.
fn answer_at_the_deadline() {
    let slot = Arc::new(Slot::new(NEVER));
    let reply = Reply::new(Arc::clone(&slot));
    let answer = Arc::new(());
    let service = thread({
        let answer = Arc::clone(&answer);
        move || reply.send(answer)
    });
    let taken = slot.give_up();
    joined(service);
    assert!(!slot.ticket().is_in_flight());
    assert_eq!(Arc::strong_count(&answer), 1 + usize::from(taken.is_some()), "an answer is left behind");
}

#[test]
fn a_call_has_one_outcome() {
    holds("one outcome", one_outcome);
}

#[test]
fn a_second_outcome_is_found() {
    finds(Mutant::AnswerTwice, one_outcome);
}

#[test]
fn an_answer_at_the_deadline_is_taken_or_vanishes() {
    holds("answer at the deadline", answer_at_the_deadline);
}

#[test]
fn an_answer_left_behind_is_found() {
    finds(Mutant::ForgetAnswer, answer_at_the_deadline);
}
