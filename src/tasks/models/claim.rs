//! Who runs a task, who is told, and who drops what came of it.

use std::sync::Arc;
use std::time::Duration;

use super::*;
use crate::sync::Figure;
use crate::sync::checks::Kept;
use crate::tasks::{Task, TaskError, TaskPool};

/// In a model no time passes.
const HOUR: Duration = Duration::from_secs(3600);

fn pool() -> TaskPool {
    TaskPool::builder("one").threads(1).build().expect("it makes sense")
}

/// What a thread of the pool does with the first task.
fn work(pool: &TaskPool) {
    if let Some(job) = pool.0.next(0, None)
        && job.head().claim()
    {
        job.run(&pool.0.shared);
    }
}

fn counting(pool: &TaskPool, ran: &Arc<Figure>) -> Task<u8> {
    let ran = Arc::clone(ran);
    pool.spawn("count", move || {
        ran.set(ran.get() + 1);
        7
    })
}

/// A worker, the joiner and one who cancels want it: it runs once and its joiner has the value, or it never runs and its joiner is
/// told so.
fn claim() {
    let (pool, ran) = (pool(), Arc::new(Figure::default()));
    let task = counting(&pool, &ran);
    let canceller = task.canceller();
    let worker = thread({
        let pool = pool.clone();
        move || work(&pool)
    });
    let stopper = thread(move || canceller.cancel());
    match task.join() {
        Ok(value) => assert_eq!((value, ran.get()), (7, 1)),
        Err(error) => assert!(matches!(error, TaskError::Cancelled { .. }) && ran.get() == 0),
    }
    joined(worker);
    joined(stopper);
    assert!(ran.get() <= 1);
}

/// The joiner waits for what a worker runs.
fn park() {
    let (pool, ran) = (pool(), Arc::new(Figure::default()));
    let mut task = Kept::new(counting(&pool, &ran));
    let worker = thread({
        let pool = pool.clone();
        move || work(&pool)
    });
    assert!(task.get().wait(HOUR));
    joined(worker);
    assert_eq!(ran.get(), 1);
}

/// What counts its drops.
struct Counted(Arc<Figure>);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.set(self.0.get() + 1);
    }
}

/// Nobody waits for what a worker runs: the value is dropped once, and not kept by the queue.
fn alone() {
    let (pool, dropped) = (pool(), Arc::new(Figure::default()));
    let counted = Counted(Arc::clone(&dropped));
    let task = pool.spawn("make", move || counted);
    let keeps = task.canceller();
    let worker = thread({
        let pool = pool.clone();
        move || work(&pool)
    });
    task.detach();
    joined(worker);
    assert_eq!(dropped.get(), 1);
    drop(keeps);
    assert_eq!(dropped.get(), 1);
}

/// The pool is gone while a joiner wants what waits: it runs, or he is told.
fn close() {
    let (pool, ran) = (pool(), Arc::new(Figure::default()));
    let task = counting(&pool, &ran);
    let closer = thread({
        let pool = pool.clone();
        move || pool.0.close()
    });
    match task.join() {
        Ok(value) => assert_eq!((value, ran.get()), (7, 1)),
        Err(error) => assert!(matches!(error, TaskError::Stopped { .. }) && ran.get() == 0),
    }
    joined(closer);
}

#[test]
fn a_task_is_claimed_once() {
    holds("claim", claim);
}

#[test]
fn a_joiner_that_parks_is_woken() {
    holds("park", park);
}

#[test]
fn a_value_that_nobody_wants_is_dropped_once() {
    holds("alone", alone);
}

#[test]
fn a_pool_that_is_gone_tells_who_waits() {
    holds("close", close);
}

#[test]
fn a_claim_in_two_steps_is_found() {
    finds(Mutant::ClaimTwice, claim);
}

#[test]
fn who_parks_without_looking_again_is_found() {
    finds(Mutant::ParkBlindly, park);
}

#[test]
fn who_leaves_without_looking_again_is_found() {
    finds(Mutant::LeaveUnlooked, alone);
}
