//! Who maps hears of each item that ends, as they are completed.

use std::time::Duration;

use super::*;
use crate::tasks::{TaskError, TaskPool};

fn pool() -> TaskPool {
    TaskPool::builder("one").threads(1).build().expect("it makes sense")
}

/// What a thread of the pool does with the next task.
fn work(pool: &TaskPool) {
    let Some(job) = pool.0.next(0, None) else { return };
    if job.head().claim() {
        job.run(&pool.0.shared);
    }
}

/// Two items end on two threads while somebody waits for them: each is handed out once, with its value.
fn handed_over() {
    let pool = pool();
    let mut map = pool.map([1, 2], |n: u8| n).concurrency(2).as_completed().timeout(Duration::MAX);
    map.fill();
    let workers = [0, 1].map(|_| {
        let pool = pool.clone();
        thread(move || work(&pool))
    });
    let mut all: Vec<_> = map.by_ref().collect();
    all.sort_by_key(|outcome| outcome.clone().ok());
    assert_eq!(all, [Ok(1), Ok(2)]);
    workers.into_iter().for_each(joined);
}

/// The pool is gone while one item waits and another is handed out: both have an outcome.
fn told() {
    let pool = pool();
    let mut map = pool.map([1, 2], |n: u8| n).concurrency(2).as_completed().timeout(Duration::MAX);
    map.fill();
    let worker = thread({
        let pool = pool.clone();
        move || work(&pool)
    });
    let closer = thread({
        let pool = pool.clone();
        move || pool.0.close()
    });
    let all: Vec<_> = map.by_ref().collect();
    let is_told = |outcome: &Result<_, _>| matches!(outcome, Ok(_) | Err(TaskError::Stopped { .. }));
    assert!(all.len() == 2 && all.iter().all(is_told), "{all:?}");
    joined(worker);
    joined(closer);
}

#[test]
fn each_item_that_ends_is_handed_out_once() {
    holds("completed", handed_over);
}

#[test]
fn items_of_a_pool_that_is_gone_are_handed_out() {
    holds("told", told);
}

#[test]
fn who_sits_down_without_looking_again_is_found() {
    finds(Mutant::SitBlindly, handed_over);
}

#[test]
fn who_rings_before_the_outcome_is_there_is_found() {
    finds(Mutant::RingFirst, handed_over);
}
