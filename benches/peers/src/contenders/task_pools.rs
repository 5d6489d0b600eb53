//! Tasks: closures that run once on a thread of a pool, and are waited for.
//!
//! A task does next to nothing: what is measured is all that is around it. Its result comes back, and is looked at.
//! Each pool has as many threads as there are cores.

use ::std::hint::black_box;
use ::std::mem::replace;
use ::std::sync::Arc;
use ::std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use ::std::thread::{self, Thread};

use underpin::SupervisorHandle;
use underpin::tasks::TaskPool;

use super::{Arena, Bout};

/// How many tasks are spawned before the first of them is joined.
const TASKS: u64 = 100;
/// Stands where a result is to come.
const NONE: u64 = u64::MAX;

/// What a task does.
fn work(n: u64) -> u64 {
    black_box(n)
}

fn cores() -> usize {
    thread::available_parallelism().map_or(1, usize::from)
}

/// A client that does the same with each number: one task.
fn one_by_one(mut task: impl FnMut(u64) + Send + 'static) -> Box<dyn Bout> {
    Box::new(move |n| (0..n).for_each(|n| task(black_box(n))))
}

/// A client that has so many tasks done at once, [`TASKS`] as long as so many are left.
fn in_batches(mut tasks: impl FnMut(u64) + Send + 'static) -> Box<dyn Bout> {
    Box::new(move |n| batches(n, &mut tasks))
}

fn batches(n: u64, mut tasks: impl FnMut(u64)) {
    (0..n / TASKS).for_each(|_| tasks(TASKS));
    match n % TASKS {
        0 => {}
        rest => tasks(rest),
    }
}

/// Looks at the results of so many tasks.
fn check(tasks: u64, results: impl Iterator<Item = u64>) {
    assert_eq!(results.sum::<u64>(), (0..tasks).sum::<u64>(), "each has its result");
}

// ---- ours --------------------------------------------------------------------------------

/// Our pool, with its threads.
#[derive(Clone)]
struct Ours {
    tasks: TaskPool,
    _running: Arc<SupervisorHandle>,
}

fn ours() -> Ours {
    let tasks = TaskPool::builder("bench").threads(cores()).build().expect("the numbers make sense");
    let running = tasks.supervisor().start().expect("it starts");
    Ours { tasks, _running: Arc::new(running) }
}

pub fn one() -> Arena {
    let ours = ours();
    Box::new(move || {
        let ours = ours.clone();
        one_by_one(move |n| assert_eq!(ours.tasks.spawn("task", move || work(n)).join(), Ok(n)))
    })
}

pub fn many() -> Arena {
    let ours = ours();
    Box::new(move || {
        let (ours, mut spawned) = (ours.clone(), Vec::new());
        in_batches(move |tasks| {
            spawned.extend((0..tasks).map(|n| ours.tasks.spawn("task", move || work(n))));
            check(tasks, spawned.drain(..).map(|task| task.join().expect("it does not fail")));
        })
    })
}

// ---- threads -----------------------------------------------------------------------------

/// A thread of its own.
pub fn std_thread() -> Arena {
    Box::new(|| {
        one_by_one(|n| assert_eq!(thread::spawn(move || work(n)).join().expect("it does not fail"), n))
    })
}

// ---- rayon -------------------------------------------------------------------------------

fn rayon_pool() -> Arc<rayon::ThreadPool> {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(cores()).build();
    Arc::new(pool.expect("it starts"))
}

/// Tasks of one scope, on the pool that the thread belongs to. Each leaves its result in a place of its own.
fn scoped(results: &mut Vec<u64>, tasks: u64) {
    results.resize(tasks as usize, NONE);
    rayon::scope(|scope| {
        for (result, n) in results.iter_mut().zip(0..) {
            scope.spawn(move |_| *result = work(n));
        }
    });
    check(tasks, results.iter_mut().map(|result| replace(result, NONE)));
}

/// The client's thread is none of the pool's. That is the least by which it has something done there.
pub fn rayon_install() -> Arena {
    let pool = rayon_pool();
    Box::new(move || {
        let pool = Arc::clone(&pool);
        one_by_one(move |n| assert_eq!(pool.install(move || work(n)), n))
    })
}

/// The client is one of the pool's threads: a batch of its operations is one task there.
pub fn rayon_one_inside() -> Arena {
    let pool = rayon_pool();
    Box::new(move || {
        let pool = Arc::clone(&pool);
        Box::new(move |n| {
            pool.install(|| {
                for n in 0..n {
                    let (n, mut result) = (black_box(n), NONE);
                    rayon::scope(|scope| scope.spawn(|_| result = work(n)));
                    assert_eq!(result, n);
                }
            });
        }) as Box<dyn Bout>
    })
}

/// A scope for each hundred, of a client whose thread is none of the pool's.
pub fn rayon_scope() -> Arena {
    let pool = rayon_pool();
    Box::new(move || {
        let (pool, mut results) = (Arc::clone(&pool), Vec::new());
        in_batches(move |tasks| pool.install(|| scoped(&mut results, tasks)))
    })
}

/// The same, of a client that is one of the pool's threads.
pub fn rayon_scope_inside() -> Arena {
    let pool = rayon_pool();
    Box::new(move || {
        let (pool, mut results) = (Arc::clone(&pool), Vec::new());
        Box::new(move |n| pool.install(|| batches(n, |tasks| scoped(&mut results, tasks)))) as Box<dyn Bout>
    })
}

// ---- threadpool, rusty_pool --------------------------------------------------------------

/// A pool that is given tasks without results.
trait Pool: Clone + Send + 'static {
    fn execute(&self, task: impl FnOnce() + Send + 'static);
}

impl Pool for threadpool::ThreadPool {
    fn execute(&self, task: impl FnOnce() + Send + 'static) {
        self.execute(task);
    }
}

impl Pool for rusty_pool::ThreadPool {
    fn execute(&self, task: impl FnOnce() + Send + 'static) {
        self.execute(task);
    }
}

/// Tasks that are waited for together: a place for each result, how many are left, and who waits.
///
/// Not by what the pools have for it. A handle of rusty_pool is a channel, and took ten times as long; its `join` came back
/// now and then before the last was done. The `join` of threadpool is a lock and a condition.
struct Batch {
    places: Box<[AtomicU64]>,
    left: AtomicUsize,
    client: Thread,
}

impl Batch {
    fn new(tasks: u64) -> Arc<Self> {
        let places: Box<[_]> = (0..tasks).map(|_| AtomicU64::new(NONE)).collect();
        Arc::new(Self { left: places.len().into(), places, client: thread::current() })
    }

    // ORDERING: who finds that nothing is left has acquired what each stored before it counted itself.
    fn finish(&self, n: u64) {
        self.places[n as usize].store(work(n), Ordering::Relaxed);
        if self.left.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.client.unpark();
        }
    }

    fn wait(&self) {
        while self.left.load(Ordering::Acquire) > 0 {
            thread::park();
        }
    }
}

fn executed(pool: &impl Pool, tasks: u64) {
    let batch = Batch::new(tasks);
    for n in 0..tasks {
        let batch = Arc::clone(&batch);
        pool.execute(move || batch.finish(n));
    }
    batch.wait();
    check(tasks, batch.places.iter().map(|place| place.load(Ordering::Relaxed)));
}

fn one_on(pool: impl Pool) -> Arena {
    Box::new(move || {
        let pool = pool.clone();
        one_by_one(move |_| executed(&pool, 1))
    })
}

fn many_on(pool: impl Pool) -> Arena {
    Box::new(move || {
        let pool = pool.clone();
        in_batches(move |tasks| executed(&pool, tasks))
    })
}

fn rusty_pool() -> rusty_pool::ThreadPool {
    let pool = rusty_pool::Builder::new().core_size(cores()).max_size(cores()).build();
    pool.start_core_threads();
    pool
}

pub fn threadpool_one() -> Arena {
    one_on(threadpool::ThreadPool::new(cores()))
}

pub fn threadpool_many() -> Arena {
    many_on(threadpool::ThreadPool::new(cores()))
}

pub fn rusty_pool_one() -> Arena {
    one_on(rusty_pool())
}

pub fn rusty_pool_many() -> Arena {
    many_on(rusty_pool())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn batches_come_to_as_many_tasks_as_were_asked_for() {
        for n in [1, 99, 100, 101, 250] {
            let mut sizes = Vec::new();
            batches(n, |tasks| sizes.push(tasks));
            assert_eq!(sizes.iter().sum::<u64>(), n);
            assert!(sizes.iter().all(|size| (1..=TASKS).contains(size)), "{sizes:?}");
            assert_eq!(sizes.len() as u64, n.div_ceil(TASKS));
        }
    }
}
