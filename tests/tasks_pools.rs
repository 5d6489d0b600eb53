//! Pools of tasks, as users see them.
#![cfg(feature = "tasks")]

use std::collections::HashSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread::ThreadId;
use std::time::{Duration, Instant};

use underpin::tasks::{Overflow, SpawnError, Task, TaskError, TaskPool};
use underpin::{Deadline, Supervisor, SupervisorHandle};

const SECOND: Duration = Duration::from_secs(1);
const FAR: Duration = Duration::from_secs(60);

fn started(tasks: &TaskPool) -> SupervisorHandle {
    Supervisor::new("app").supervisor(tasks.supervisor()).start().expect("it starts")
}

fn pool(threads: usize) -> (TaskPool, SupervisorHandle) {
    let tasks = TaskPool::builder("work").threads(threads).build().expect("it makes sense");
    let app = started(&tasks);
    (tasks, app)
}

/// Occupies a thread until the sender is dropped.
fn occupy(tasks: &TaskPool) -> Sender<()> {
    let (go, gone) = channel::<()>();
    let (begin, begun) = channel();
    let hold = move || {
        begin.send(()).expect("somebody listens");
        let _ = gone.recv();
    };
    tasks.spawn("occupy", hold).detach();
    begun.recv_timeout(FAR).expect("it begins");
    go
}

#[test]
fn a_task_runs_on_a_thread_of_the_pool_and_its_joiner_has_its_value() {
    let (tasks, app) = pool(2);
    let task = tasks.spawn("who", || std::thread::current().name().map(str::to_owned));
    assert!(task.wait(FAR));
    let name = task.join().expect("it ends").expect("it has a name");
    assert!(name.contains("worker-"), "{name}");
    drop(app);
}

#[test]
fn a_panic_reaches_the_joiner_and_nobody_else() {
    let (tasks, app) = pool(1);
    let panicked: Task<()> = tasks.spawn("fail", || panic!("no number {}", 7));
    assert!(panicked.wait(FAR));
    let error = TaskError::Panicked { name: "fail".into(), message: "no number 7".into() };
    assert_eq!(panicked.join(), Err(error));
    assert_eq!(tasks.spawn("next", || 1).join(), Ok(1));
    let snapshot = tasks.snapshot();
    assert_eq!((snapshot.panicked, snapshot.threads), (1, 1));
    drop(app);
}

#[test]
fn a_joiner_runs_what_has_not_begun() {
    let (tasks, app) = pool(1);
    let held = occupy(&tasks);
    let here = std::thread::current().id();
    let there: ThreadId = tasks.spawn("who", || std::thread::current().id()).join().expect("it ends");
    assert_eq!(there, here);
    assert_eq!((tasks.snapshot().joined, tasks.snapshot().queued), (1, 0));
    drop((held, app));
}

#[test]
fn who_joins_with_a_time_out_is_back_in_time_and_the_late_result_vanishes() {
    let (tasks, app) = pool(1);
    let held = occupy(&tasks);
    let dropped = Arc::new(());
    let result = Arc::clone(&dropped);
    let task = tasks.spawn("late", move || result);
    let begun = Instant::now();
    let late = task.join_timeout(Duration::from_millis(20));
    assert!(matches!(late, Err(TaskError::TimedOut { waited, .. }) if waited >= Duration::from_millis(20)));
    assert!(begun.elapsed() < 10 * SECOND);
    drop(held);
    assert_eq!(tasks.spawn("after it", || 1).join_timeout(FAR), Ok(1));
    assert_eq!(Arc::strong_count(&dropped), 1, "nothing is left behind");
    drop(app);
}

#[test]
fn cancelled_before_it_begins_it_never_does() {
    let (tasks, app) = pool(1);
    let held = occupy(&tasks);
    let work = Arc::new(());
    let inside = Arc::clone(&work);
    let task = tasks.spawn("never", move || drop(inside));
    task.cancel();
    assert_eq!(Arc::strong_count(&work), 1, "what it would have used is gone at once");
    assert_eq!(task.join(), Err(TaskError::Cancelled { name: "never".into() }));
    assert_eq!(tasks.snapshot().cancelled, 1);
    drop((held, app));
}

#[test]
fn what_sleeps_is_woken_by_its_cancellation() {
    let (tasks, app) = pool(1);
    let (begin, begun) = channel();
    let task = tasks.spawn_with("sleep", move |cx| {
        begin.send(()).expect("somebody listens");
        cx.sleep(10 * FAR).is_err()
    });
    begun.recv_timeout(FAR).expect("it begins");
    task.cancel();
    assert_eq!(task.join_timeout(FAR), Ok(true));
    drop(app);
}

#[test]
fn what_runs_when_the_pool_stops_is_told_and_what_waits_ends() {
    let (tasks, app) = pool(1);
    let (begin, begun) = channel();
    let running = tasks.spawn_with("run", move |cx| {
        begin.send(()).expect("somebody listens");
        cx.sleep(10 * FAR).is_err()
    });
    begun.recv_timeout(FAR).expect("it begins");
    let waiting = tasks.spawn("wait", || 1);
    let begun = Instant::now();
    drop(app);
    assert!(begun.elapsed() < 4 * SECOND, "nobody was abandoned");
    assert_eq!(running.join(), Ok(true));
    let stopped = TaskError::Stopped { name: "wait".into(), pool: "work".into() };
    assert_eq!(waiting.join(), Err(stopped));
    let Err(SpawnError::Stopped { work, .. }) = tasks.try_spawn("late", || 7) else {
        panic!("it is stopped")
    };
    assert_eq!(work(), 7);
    assert!(matches!(tasks.spawn("late", || 7).join(), Err(TaskError::Stopped { .. })));
    let snapshot = tasks.snapshot();
    assert_eq!((snapshot.stopped, snapshot.refused, snapshot.threads, snapshot.queued), (1, 2, 0, 0));
}

#[test]
fn a_pool_can_be_started_again() {
    let (tasks, app) = pool(1);
    drop(app);
    let app = started(&tasks);
    let task = tasks.spawn("again", || 1);
    assert!(task.wait(FAR));
    assert_eq!(task.join(), Ok(1));
    drop(app);
}

#[test]
fn tasks_of_a_pool_that_is_not_started_wait_for_it() {
    let tasks = TaskPool::builder("work").threads(1).build().expect("it makes sense");
    let task = tasks.spawn("early", || std::thread::current().id());
    let app = started(&tasks);
    assert!(task.wait(FAR));
    assert_ne!(task.join(), Ok(std::thread::current().id()));
    drop(app);
}

#[test]
fn a_full_queue_sheds_blocks_or_has_the_caller_run_it() {
    let tasks =
        TaskPool::builder("work").threads(1).queue(1).overflow(Overflow::Shed).build().expect("sense");
    let app = started(&tasks);
    let held = occupy(&tasks);
    let waiting = tasks.spawn("first", || 1);
    let shed = TaskError::Shed { name: "second".into(), pool: "work".into(), capacity: 1 };
    assert_eq!(tasks.spawn("second", || 2).join(), Err(shed));
    let here = std::thread::current().id();
    let ran = tasks.task("third").overflow(Overflow::CallerRuns).spawn(|| std::thread::current().id());
    assert_eq!(ran.try_join().expect("it has run"), Ok(here));
    let begun = Instant::now();
    let patience = Overflow::Block(Duration::from_millis(20));
    let blocked = tasks.task("fourth").overflow(patience).spawn(|| 4);
    assert!(matches!(blocked.join(), Err(TaskError::Shed { .. })));
    assert!(begun.elapsed() >= Duration::from_millis(20));
    std::thread::scope(|scope| {
        let tasks = &tasks;
        scope.spawn(move || drop(held));
        let blocked = tasks.task("fifth").overflow(Overflow::Block(FAR)).spawn(|| 5);
        assert_eq!(blocked.join(), Ok(5));
    });
    assert_eq!(waiting.join(), Ok(1));
    let snapshot = tasks.snapshot();
    assert_eq!((snapshot.shed, snapshot.caller_ran), (2, 1));
    drop(app);
}

#[test]
fn who_waits_for_room_is_called_when_a_joiner_makes_some() {
    let tasks =
        TaskPool::builder("work").threads(1).queue(1).overflow(Overflow::Block(FAR)).build().expect("sense");
    let app = started(&tasks);
    let held = occupy(&tasks);
    let first = tasks.spawn("first", || 1);
    std::thread::scope(|scope| {
        let second = scope.spawn(|| tasks.spawn("second", || 2));
        assert_eq!(first.join(), Ok(1), "it runs here, for the thread is busy");
        assert_eq!(second.join().expect("no panic").join(), Ok(2));
    });
    drop((held, app));
}

#[test]
fn tasks_that_are_joined_where_they_were_spawned_never_fill_the_queue() {
    let tasks =
        TaskPool::builder("work").threads(1).queue(8).overflow(Overflow::Shed).build().expect("sense");
    let app = started(&tasks);
    let held = occupy(&tasks);
    for n in 0..1000 {
        assert_eq!(tasks.spawn("one", move || n).join(), Ok(n));
    }
    drop((held, app));
}

#[test]
fn two_pools_do_not_serialise_each_other() {
    let (one, app) = pool(4);
    let (other, others_app) = pool(4);
    let begun = Instant::now();
    let nap = || std::thread::sleep(Duration::from_millis(200));
    let naps: Vec<_> = (0..4).flat_map(|_| [one.spawn("nap", nap), other.spawn("nap", nap)]).collect();
    for nap in naps {
        nap.join_timeout(FAR).expect("it ends");
    }
    let took = begun.elapsed();
    assert!(took < Duration::from_millis(400), "{took:?}");
    drop((app, others_app));
}

#[test]
fn of_one_key_no_more_run_at_once_than_may_and_they_begin_in_order() {
    let tasks = TaskPool::builder("work").threads(4).per_key(1).build().expect("sense");
    let app = started(&tasks);
    let (inside, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let order = Arc::new(Mutex::new(Vec::new()));
    let spawned: Vec<_> = (0..200)
        .map(|n| {
            let (inside, most, order) = (Arc::clone(&inside), Arc::clone(&most), Arc::clone(&order));
            tasks.task("keyed").key("a").spawn(move || {
                most.fetch_max(inside.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                order.lock().expect("no panic").push(n);
                inside.fetch_sub(1, Ordering::SeqCst);
            })
        })
        .collect();
    for task in spawned {
        task.join_timeout(FAR).expect("it ends");
    }
    assert_eq!(most.load(Ordering::SeqCst), 1);
    assert_eq!(*order.lock().expect("no panic"), (0..200).collect::<Vec<_>>());
    drop(app);
    assert_eq!(tasks.snapshot().keys, 0, "nothing is left of it");
}

#[test]
fn a_key_that_is_used_up_holds_up_nobody_else() {
    let tasks = TaskPool::builder("work").threads(2).per_key(1).build().expect("sense");
    let app = started(&tasks);
    let (go, gone) = channel::<()>();
    let first = tasks.task("first").key("a").spawn(move || gone.recv().is_err());
    let second = tasks.task("second").key("a").spawn(|| 2);
    let other = tasks.task("other").key("b").spawn(|| 3);
    assert!(other.wait(FAR));
    assert!(!second.is_done());
    drop(go);
    assert_eq!((first.join_timeout(FAR), second.join_timeout(FAR)), (Ok(true), Ok(2)));
    drop((other, app));
}

#[test]
fn a_delayed_task_begins_no_earlier_and_takes_a_place() {
    let (tasks, app) = pool(1);
    let begun = Instant::now();
    let delay = Duration::from_millis(30);
    let task = tasks.task("later").after(delay).spawn(Instant::now);
    assert_eq!(tasks.snapshot().queued, 1);
    assert!(task.join_timeout(FAR).expect("it ends") >= begun + delay);
    let never = tasks.task("never").after(Duration::MAX).spawn(|| 1);
    never.cancel();
    assert!(matches!(never.join(), Err(TaskError::Cancelled { .. })));
    assert_eq!(tasks.snapshot().queued, 0);
    drop(app);
}

#[test]
fn what_has_not_begun_by_its_deadline_does_not() {
    let (tasks, app) = pool(1);
    let held = occupy(&tasks);
    let task = tasks.task("late").deadline(Deadline::after(Duration::ZERO)).spawn(|| 1);
    drop(held);
    assert_eq!(task.join_timeout(FAR), Err(TaskError::Expired { name: "late".into() }));
    assert_eq!(tasks.snapshot().expired, 1);
    drop(app);
}

#[test]
fn an_elastic_pool_grows_when_nobody_is_idle_and_shrinks_again() {
    let keep_alive = Duration::from_millis(20);
    let tasks = TaskPool::builder("work").elastic(1..=4).keep_alive(keep_alive).build().expect("sense");
    let app = started(&tasks);
    let held: Vec<_> = (0..4).map(|_| occupy(&tasks)).collect();
    assert_eq!(tasks.snapshot().threads, 4);
    drop(held);
    let until = Instant::now() + FAR;
    while tasks.snapshot().threads > 1 {
        assert!(Instant::now() < until, "{:?}", tasks.snapshot());
        std::thread::yield_now();
    }
    let held: Vec<_> = (0..4).map(|_| occupy(&tasks)).collect();
    drop((held, app));
}

#[test]
fn many_threads_spawn_and_join_and_all_is_accounted_for() {
    let tasks =
        TaskPool::builder("work").threads(3).queue(16).overflow(Overflow::CallerRuns).build().expect("sense");
    let app = started(&tasks);
    let ran = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for thread in 0..8 {
            let (tasks, ran) = (&tasks, &ran);
            scope.spawn(move || {
                for n in 0..2000 {
                    let task = tasks.spawn("one", move || thread * 10_000 + n);
                    if n % 3 == 0 {
                        task.cancel();
                    }
                    match task.join() {
                        Ok(value) => {
                            assert_eq!(value, thread * 10_000 + n);
                            ran.fetch_add(1, Ordering::Relaxed);
                        }
                        Err(error) => assert!(matches!(error, TaskError::Cancelled { .. }), "{error}"),
                    }
                }
            });
        }
    });
    drop(app);
    let s = tasks.snapshot();
    assert_eq!(s.accepted, s.completed + s.joined + s.cancelled, "{s:?}");
    assert_eq!(s.completed + s.joined + s.caller_ran, ran.load(Ordering::Relaxed) as u64, "{s:?}");
    assert_eq!((s.queued, s.running, s.shed), (0, 0, 0));
}

#[test]
fn the_threads_of_a_pool_are_in_the_tree() {
    let (tasks, app) = pool(3);
    let names: HashSet<_> = app.which_children().iter().map(|child| child.name.to_string()).collect();
    assert_eq!(names, HashSet::from(["work".to_owned()]));
    assert_eq!(tasks.snapshot().threads, 3);
    drop(app);
}
