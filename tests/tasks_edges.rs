//! What happens to the pools of tasks at their edges: where one comes just as another goes.
#![cfg(feature = "tasks")]

use std::sync::Arc;
use std::sync::mpsc::channel;
use std::time::Duration;

use underpin::Supervisor;
use underpin::tasks::TaskPool;

/// Longer than any machine takes.
const FAR: Duration = Duration::from_secs(20);

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
