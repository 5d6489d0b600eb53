//! Permits of a rate limiter.

use std::time::Duration;

use crate::resilience::RateLimiter;
use crate::sync::Clock;
use crate::sync::checks::{finds, holds, joined, thread};
use crate::sync::model::Mutant;

/// A limiter with two permits, for which no time passes.
fn limiter() -> RateLimiter {
    let (clock, _hand) = Clock::manual();
    let builder = RateLimiter::builder("x").limit_for_period(1).limit_refresh_period(Duration::from_secs(1));
    builder.burst(2).clock(clock).build()
}

/// Three want one each: two get one.
fn one_each() {
    let limiter = limiter();
    let take = |limiter: RateLimiter| move || u32::from(limiter.try_acquire().is_ok());
    let others = [thread(take(limiter.clone())), thread(take(limiter.clone()))];
    let own = take(limiter)();
    let passed = others.into_iter().map(joined).sum::<u32>() + own;
    assert_eq!(passed, 2);
}

/// One wants two, one wants one, and one would wait for one: never are there more than two at once.
fn many_and_one() {
    let limiter = limiter();
    let two = thread({
        let limiter = limiter.clone();
        move || if limiter.try_acquire_many(2).is_ok() { 2 } else { 0 }
    });
    let some = thread({
        let limiter = limiter.clone();
        move || limiter.try_acquire_some(2).unwrap_or(0)
    });
    let one = u32::from(limiter.acquire(Duration::from_millis(1)).is_ok());
    let passed = joined(two) + joined(some) + one;
    assert_eq!(passed, 2);
}

/// Two take one each while there may be more at once: there are two, and not one more.
fn one_each_and_a_change() {
    let limiter = limiter();
    let take = |limiter: RateLimiter| move || u32::from(limiter.try_acquire().is_ok());
    let other = thread(take(limiter.clone()));
    let change = thread({
        let limiter = limiter.clone();
        move || limiter.change(1, Duration::from_millis(1), 3)
    });
    let passed = take(limiter.clone())() + joined(other);
    joined(change);
    assert_eq!((passed, limiter.try_acquire().is_ok()), (2, false));
}

#[test]
fn a_limiter_gives_what_there_is_and_not_more() {
    holds("one each", one_each);
    holds("many and one", many_and_one);
}

#[test]
fn a_change_of_the_rate_neither_gives_nor_takes_a_permit() {
    holds("one each and a change", one_each_and_a_change);
}

#[test]
fn a_change_that_overwrites_what_was_taken_meanwhile_is_found() {
    finds(Mutant::ChangeBlindly, one_each_and_a_change);
}

#[test]
fn a_limiter_that_overwrites_what_others_took_is_found() {
    finds(Mutant::StampBlindly, one_each);
    finds(Mutant::StampBlindly, many_and_one);
}
