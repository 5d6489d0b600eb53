//! What happens to the pools of tasks at their edges: where one comes just as another goes.
#![cfg(feature = "tasks")]

use std::convert::Infallible;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use underpin::tasks::{TaskPool, TaskPoolBuilder};
use underpin::testing::Simulation;
use underpin::{Context, Next, Service, Strategy, Supervisor, SupervisorHandle, child};

const SECOND: Duration = Duration::from_secs(1);
/// Longer than any machine takes.
const FAR: Duration = Duration::from_secs(20);

fn simulated(seed: u64, builder: TaskPoolBuilder) -> (Simulation, TaskPool, SupervisorHandle) {
    let sim = Simulation::new(seed);
    let tasks = builder.clock(sim.clock()).build().expect("it makes sense");
    let app = sim.start(Supervisor::new("app").supervisor(tasks.supervisor())).expect("it starts");
    (sim, tasks, app)
}

/// A task that says that it has begun, and ends when the other end is dropped.
fn occupy(tasks: &TaskPool) -> (Receiver<()>, Sender<()>) {
    let (tell, begun) = channel();
    let (hold, held) = channel();
    tasks
        .spawn("occupy", move || {
            tell.send(()).ok();
            held.recv().ok();
        })
        .detach();
    (begun, hold)
}

/// Sits in the tree to be crashed.
struct Fuse;

impl Service for Fuse {
    type Msg = ();
    type Error = Infallible;

    fn handle(&mut self, (): (), _: &mut Context<Self>) -> Result<Next, Infallible> {
        panic!("it blows");
    }
}

#[test]
fn all_who_wait_for_one_task_are_woken() {
    let tasks = TaskPool::builder("work").threads(1).build().expect("it makes sense");
    let app = Supervisor::new("app").supervisor(tasks.supervisor()).start().expect("it starts");
    let (hold, held) = channel::<()>();
    let task = Arc::new(tasks.spawn("work", move || held.recv().ok()));
    let (tell, told) = channel();
    for _ in 0..3 {
        let (task, tell) = (Arc::clone(&task), tell.clone());
        std::thread::spawn(move || tell.send(task.wait(3 * FAR)).expect("it is waited for"));
    }
    for _ in 0..20_000 {
        std::thread::yield_now(); // they sit down
    }
    drop(hold);
    for _ in 0..3 {
        assert_eq!(told.recv_timeout(FAR), Ok(true));
    }
    drop(app);
}

#[test]
fn who_sleeps_in_several_threads_of_a_task_is_woken_in_all() {
    let tasks = TaskPool::builder("work").threads(1).build().expect("it makes sense");
    let app = Supervisor::new("app").supervisor(tasks.supervisor()).start().expect("it starts");
    let task = tasks.spawn_with("sleep", |cx| {
        std::thread::scope(|scope| {
            let sleepers = [0, 1, 2].map(|_| scope.spawn(|| cx.sleep(3 * FAR).is_err()));
            sleepers.map(|sleeper| sleeper.join().expect("no panic"))
        })
    });
    while tasks.snapshot().running == 0 {
        std::thread::yield_now();
    }
    for _ in 0..20_000 {
        std::thread::yield_now(); // they sit down
    }
    task.cancel();
    assert_eq!(task.join_timeout(FAR), Ok([true; 3]));
    drop(app);
}

#[test]
fn a_task_that_comes_just_as_a_thread_retires_is_begun() {
    for seed in 0..60 {
        let builder = TaskPool::builder("work").elastic(1..=2).keep_alive(SECOND);
        let (sim, tasks, app) = simulated(seed, builder);
        let brief = tasks.spawn_with("brief", |cx| cx.sleep(SECOND));
        let (pool, begun) = (tasks.clone(), Arc::new(Mutex::new(false)));
        let late = Arc::clone(&begun);
        // The other thread is idle from the first second on, and retires with the second, when this one speaks.
        let long = tasks.spawn_with("long", move |cx| {
            let _ = cx.sleep(2 * SECOND);
            pool.spawn("late", move || *late.lock().expect("no panic") = true).detach();
            let _ = cx.sleep(3600 * SECOND);
        });
        sim.advance(10 * SECOND);
        assert!(*begun.lock().expect("no panic"), "seed {seed}: {:?}", tasks.snapshot());
        long.cancel();
        drop((brief, app));
    }
}

#[test]
fn a_keeper_that_is_asked_for_much_at_once_forgets_nothing() {
    let (sim, tasks, app) = simulated(1, TaskPool::builder("work").elastic(1..=2));
    let (pool, begun) = (tasks.clone(), Arc::new(Mutex::new(0)));
    let count = Arc::clone(&begun);
    let long = tasks.spawn_with("long", move |cx| {
        let count = || {
            let count = Arc::clone(&count);
            move || *count.lock().expect("no panic") += 1
        };
        for later in (10..20).rev() {
            pool.task("later").after(later * SECOND).spawn(count()).detach();
        }
        pool.spawn("now", count()).detach();
        let _ = cx.sleep(3600 * SECOND);
    });
    sim.advance(SECOND);
    assert_eq!(*begun.lock().expect("no panic"), 1, "{:?}", tasks.snapshot());
    sim.advance(30 * SECOND);
    assert_eq!(*begun.lock().expect("no panic"), 11, "{:?}", tasks.snapshot());
    long.cancel();
    drop(app);
}

#[test]
fn one_task_that_waits_brings_one_thread() {
    for seed in 0..20 {
        let (sim, tasks, app) = simulated(seed, TaskPool::builder("work").elastic(1..=8));
        for threads in 1..=3 {
            tasks.spawn_with("long", |cx| cx.sleep(3600 * SECOND)).detach();
            sim.advance(SECOND);
            let now = tasks.snapshot();
            assert_eq!((now.threads, now.running), (threads, threads), "seed {seed}: {now:?}");
        }
        drop(app);
    }
}

#[test]
fn the_place_of_a_thread_that_was_abandoned_is_filled_again() {
    let grace = Duration::from_millis(10);
    let tasks = TaskPool::builder("work").elastic(1..=2).shutdown(grace).build().expect("it makes sense");
    let fuse = child("fuse", || Fuse);
    let blow = fuse.handle();
    let app = Supervisor::new("app").strategy(Strategy::OneForAll).child(fuse).supervisor(tasks.supervisor());
    let app = app.start().expect("it starts");
    let hung = [(); 2].map(|()| occupy(&tasks));
    hung.iter().for_each(|(begun, _)| begun.recv_timeout(FAR).expect("both threads are there"));
    blow.cast(()).expect("it is taken");
    let after = [(); 2].map(|()| occupy(&tasks));
    after.iter().for_each(|(begun, _)| begun.recv_timeout(FAR).expect("there are two again"));
    assert_eq!(tasks.snapshot().threads, 2);
    drop((hung, after, app));
}
