//! Probes of a breaker that is half-open.

use std::sync::Arc;
use std::time::Duration;

use crate::resilience::{BreakerState, CallWindow, CircuitBreaker};
use crate::sync::checks::{finds, holds, holds_at, joined, thread};
use crate::sync::model::Mutant;
use crate::sync::{AtomicU64, Clock, Ordering};

/// Opened, and due to be half-open, with place for one probe at a time.
fn opened() -> CircuitBreaker {
    let breaker = CircuitBreaker::builder("a")
        .consecutive_failures(1)
        .wait_duration_in_open_state(Duration::ZERO)
        .permitted_number_of_calls_in_half_open_state(1)
        .success_threshold(9)
        .clock(Clock::manual().0)
        .build()
        .expect("the options are good");
    breaker.open();
    breaker
}

/// Makes a probe, if it may. Whether it might.
fn probe(breaker: &CircuitBreaker, within: &AtomicU64) -> bool {
    let Ok(permit) = breaker.permit() else { return false };
    assert_eq!(within.fetch_add(1, Ordering::Relaxed), 0, "there is another");
    within.fetch_sub(1, Ordering::Relaxed);
    permit.success();
    true
}

/// Two callers come when the wait is over: never are both within, and one of them at least is let through.
fn two_callers() {
    let (breaker, within) = (opened(), Arc::new(AtomicU64::new(0)));
    let other = thread({
        let (breaker, within) = (breaker.clone(), Arc::clone(&within));
        move || probe(&breaker, &within)
    });
    let is_let = probe(&breaker, &within);
    assert!(is_let | joined(other), "both are refused");
    assert_eq!((breaker.state(), breaker.snapshot().probes), (BreakerState::HalfOpen, 0));
}

/// A probe is given back while another caller comes: afterwards there is place for one, and no more.
fn given_back() {
    let breaker = opened();
    let permit = breaker.permit().expect("the wait is over");
    let other = thread({
        let breaker = breaker.clone();
        move || drop(breaker.permit())
    });
    drop(permit);
    joined(other);
    let permit = breaker.permit().expect("it was given back");
    assert!(breaker.permit().is_err(), "there is place for another");
    drop(permit);
}

/// A success and a failure end at once: a success after them begins the row anew, whichever came first.
fn row() {
    let breaker = CircuitBreaker::builder("a")
        .consecutive_failures(3)
        .clock(Clock::manual().0)
        .build()
        .expect("the options are good");
    let end = |breaker: &CircuitBreaker, is_good: bool| {
        let permit = breaker.permit().expect("closed");
        if is_good { permit.success() } else { permit.failure() }
    };
    end(&breaker, false);
    let other = thread({
        let breaker = breaker.clone();
        move || end(&breaker, true)
    });
    end(&breaker, false);
    joined(other);
    end(&breaker, true);
    assert_eq!(breaker.snapshot().consecutive_failures, 0);
}

/// With a window by time, for which no time passes, in whose part calls that go well are counted without the lock.
fn by_time() -> CircuitBreaker {
    CircuitBreaker::builder("a")
        .sliding_window(CallWindow::Time(Duration::from_secs(10)))
        .minimum_number_of_calls(9)
        .clock(Clock::manual().0)
        .build()
        .expect("the options are good")
}

/// Two calls go well and one fails at once, and somebody looks meanwhile: each is counted once.
fn counted() {
    let breaker = by_time();
    let others = [(); 2].map(|()| {
        let breaker = breaker.clone();
        thread(move || breaker.permit().expect("closed").success())
    });
    let before = breaker.snapshot().calls.calls;
    breaker.permit().expect("closed").failure();
    others.into_iter().for_each(joined);
    let calls = breaker.snapshot().calls;
    assert!(before <= 2);
    assert_eq!((calls.calls, calls.failed), (3, 1));
}

/// A call goes well while somebody begins anew: it is of before, whichever came first, and one after it is not.
fn of_before() {
    let breaker = by_time();
    let other = thread({
        let breaker = breaker.clone();
        move || breaker.close()
    });
    let permit = breaker.permit().expect("closed");
    let generation = permit.generation;
    permit.success();
    joined(other);
    let is_of_before = generation == 0;
    assert_eq!(breaker.snapshot().calls.calls, u32::from(!is_of_before));
    breaker.permit().expect("closed").success();
    assert_eq!(breaker.snapshot().calls.calls, 1 + u32::from(!is_of_before));
}

#[test]
fn what_is_counted_without_the_lock_is_neither_lost_nor_doubled() {
    holds_at(2, "counted", counted);
}

#[test]
fn calls_that_are_taken_in_two_steps_are_found_to_be_lost() {
    finds(Mutant::TakeInTwoSteps, counted);
}

#[test]
fn what_is_counted_without_the_lock_is_of_its_own_generation() {
    holds("of before", of_before);
}

#[test]
fn a_generation_that_is_read_before_the_stage_is_found() {
    finds(Mutant::CountByStaleWord, of_before);
}

#[test]
fn a_success_begins_the_row_anew_whoever_failed_meanwhile() {
    holds("row", row);
}

#[test]
fn a_row_of_which_the_word_does_not_tell_is_found() {
    finds(Mutant::ShowByStaleWord, row);
}

#[test]
fn no_more_probes_than_permitted_are_made_at_once() {
    holds("two callers", two_callers);
    holds("given back", given_back);
}

#[test]
fn probes_that_are_let_through_by_what_was_are_found() {
    finds(Mutant::ProbeBlindly, two_callers);
}
