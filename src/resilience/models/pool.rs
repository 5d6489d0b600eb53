//! Checkout, return and shutdown of a pool.

use std::sync::Arc;

use super::*;
use crate::error::ErrorKind;
use crate::resilience::pool::{Pool, PoolError, Pooled};
use crate::service::deadline::Deadline;
use crate::sync::{Clock, Figure};

/// How many resources there are.
#[derive(Clone, Default)]
struct Alive(Arc<Figure>);

/// One of them.
struct Resource(Alive);

impl Alive {
    fn more(&self) -> Resource {
        self.0.set(self.0.get() + 1);
        Resource(self.clone())
    }
}

impl Drop for Resource {
    fn drop(&mut self) {
        self.0.0.set(self.0.0.get() - 1);
    }
}

type One = Pool<Resource, ErrorKind>;

/// A pool of one.
fn pool() -> (One, Alive) {
    let alive = Alive::default();
    let make = alive.clone();
    (Pool::builder("one", move || Ok(make.more())).size(1).build(), alive)
}

fn taken(pool: &One) -> Pooled<Resource, ErrorKind> {
    pool.try_checkout().expect("it is free")
}

fn by(deadline: Deadline, pool: &One) -> Result<Pooled<Resource, ErrorKind>, PoolError<ErrorKind>> {
    pool.checkout_by(deadline)
}

/// One waits while the pool is closed and its resource comes back: the wait ends, and nothing is left.
fn shutdown() {
    let (pool, alive) = pool();
    let held = taken(&pool);
    let waiter = thread({
        let pool = pool.clone();
        move || match by(Deadline::unbounded(), &pool) {
            Ok(resource) => drop(resource),
            Err(error) => assert!(matches!(error, PoolError::Closed { .. })),
        }
    });
    let closer = thread({
        let pool = pool.clone();
        move || pool.close()
    });
    drop(held);
    joined(waiter);
    joined(closer);
    let seen = pool.snapshot();
    assert_eq!((seen.idle, seen.in_use, seen.waiting, alive.0.get()), (0, 0, 0, 0));
}

/// One waits no longer while a resource comes back: that is used or idles, and is not lost.
fn deadline() {
    let (pool, alive) = pool();
    let held = taken(&pool);
    let hasty = thread({
        let pool = pool.clone();
        // Its deadline has come before it begins to wait.
        move || match by(Deadline::at(Clock::SYSTEM.now()), &pool) {
            Ok(resource) => drop(resource),
            Err(error) => assert!(matches!(error, PoolError::TimedOut { .. })),
        }
    });
    drop(held);
    joined(hasty);
    let seen = pool.snapshot();
    assert_eq!((seen.idle, seen.in_use, seen.waiting, alive.0.get()), (1, 0, 0, 1));
}

/// One waits while the resource turns out to be spoilt: it makes another, and there is never a second one.
fn spoilt() {
    let (pool, alive) = pool();
    let mut held = taken(&pool);
    Pooled::poison(&mut held);
    let waiter = thread({
        let (pool, alive) = (pool.clone(), alive.clone());
        move || {
            let resource = by(Deadline::unbounded(), &pool).expect("it is made");
            assert_eq!(alive.0.get(), 1);
            drop(resource);
        }
    });
    drop(held);
    joined(waiter);
    assert_eq!((pool.snapshot().idle, pool.snapshot().in_use, alive.0.get()), (1, 0, 1));
}

#[test]
fn a_wait_ends_with_the_pool() {
    holds("shutdown", shutdown);
}

#[test]
fn what_comes_back_at_a_deadline_is_not_lost() {
    holds("deadline", deadline);
}

#[test]
fn a_spoilt_resource_is_replaced_for_who_waits() {
    holds("spoilt", spoilt);
}

#[test]
fn a_wait_that_begins_without_asking_again_is_found() {
    finds(Mutant::QueueUnasked, shutdown);
}

#[test]
fn a_grant_that_is_left_behind_is_found() {
    finds(Mutant::LeaveGrant, deadline);
}
