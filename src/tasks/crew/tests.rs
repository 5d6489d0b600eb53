//! What the desk does not decide: who is called, and what becomes of those that are cancelled or given up.

use std::sync::atomic::AtomicUsize;
use std::sync::mpsc::{Sender, channel};
use std::time::{Duration, Instant};

use super::intake::MOST_BESIDE_A_HUSK;
use super::*;
use crate::service::deadline::Deadline;
use crate::supervisor::owner::SupervisorHandle;
use crate::supervisor::reference::SupervisorRef;
use crate::supervisor::settings::ChildSettings;
use crate::supervisor::supervisor::Supervisor;
use crate::sync::Clock;
use crate::tasks::desk::Refusal;
use crate::tasks::head::Head;
use crate::tasks::job::{Cell, Plain};
use crate::tasks::overflow::Overflow;
use crate::tasks::worker::Worker;
use crate::tasks::{TaskPool, TaskPoolBuilder};
use crate::testing::Simulation;

#[test]
fn what_is_cancelled_while_the_pool_closes_is_not_counted_for_ever() {
    let pool = TaskPool::builder("work").build().expect("it makes sense");
    let crew = &pool.0;
    let (first, second) = (pool.spawn("first", || ()), pool.spawn("second", || ()));
    second.cancel();
    assert_eq!(crew.waiting_count(), 1);
    let job = Arc::clone(first.held());
    assert!(job.head().claim(), "it is about to be cancelled");
    crew.close();
    crew.left_husk();
    crew.resume();
    pool.spawn("third", || ()).detach();
    assert_eq!((crew.waiting_count(), crew.husks.load(Ordering::Relaxed)), (1, 0));
}

/// A task that counts how often somebody looks at it.
struct Looked(Cell<Plain<fn()>, ()>, Arc<AtomicUsize>);

impl Job for Looked {
    fn head(&self) -> &Head {
        self.1.fetch_add(1, Ordering::Relaxed);
        self.0.head()
    }

    fn run(&self, shared: &Shared) {
        self.0.run(shared);
    }

    fn end(&self, shared: &Shared, error: TaskError) {
        self.0.end(shared, error);
    }
}

/// How often tasks are looked at while one is cancelled for each that comes, in a queue that is full of so many; and the
/// most that are in it.
fn looks(queue: usize, due: Option<Instant>) -> (usize, usize) {
    let pool = TaskPool::builder("work").queue(queue).build().expect("it makes sense");
    let (crew, looks) = (&pool.0, Arc::new(AtomicUsize::new(0)));
    let spawn = || -> Held {
        let head = Head::new("one".into(), None, Deadline::unbounded());
        let job = Arc::new(Looked(Cell::new(head, Plain(|| ())), Arc::clone(&looks)));
        crew.submit(Arc::clone(&job) as Held, due, Overflow::Shed).expect("there is room");
        job
    };
    let mut jobs: Vec<_> = (0..queue).map(|_| spawn()).collect();
    looks.store(0, Ordering::Relaxed);
    let mut most = 0;
    for n in 0..4 * queue {
        let at = n * 7 % queue;
        crew.cancel(&*jobs[at]);
        jobs[at] = spawn();
        assert_eq!(crew.waiting_count(), queue);
        most = most.max(crew.desk(|desk| desk.waiting()));
    }
    let late = crew.submit(Arc::clone(&jobs[0]), due, Overflow::Shed);
    assert_eq!(late, Err(Refusal::Full), "not one more");
    let (figures, snapshot) = (crew.desk(|desk| desk.figures), pool.snapshot());
    assert_eq!((figures.high_water, snapshot.cancelled), (queue, 4 * queue as u64));
    (looks.load(Ordering::Relaxed) / (4 * queue), most)
}

#[test]
fn who_finds_a_queue_full_looks_at_few_however_many_are_in_it() {
    for due in [None, Some(Clock::system().now())] {
        for queue in [10, 100, 1000, 4000] {
            let (looks, most) = looks(queue, due);
            assert!(looks <= 8 + MOST_BESIDE_A_HUSK, "{looks} for each of {queue}");
            assert!(7 * most <= 8 * queue + 8, "{most} instead of {queue}");
        }
    }
}

const MOMENT: Duration = Duration::from_millis(10);
/// Longer than any machine takes.
const FAR: Duration = Duration::from_secs(20);

/// A pool that runs, and whose keeper is given up soon if it does not end.
fn started(builder: TaskPoolBuilder) -> (TaskPool, SupervisorRef, SupervisorHandle) {
    let tasks = builder.build().expect("it makes sense");
    let pool = tasks.supervisor();
    let reference = pool.reference();
    let app = Supervisor::new("app").supervisor(pool).start().expect("it starts");
    let soon = ChildSettings::new().shutdown(MOMENT);
    reference.reconfigure_child("keeper", soon).expect("it is there");
    (tasks, reference, app)
}

fn until(is_so: impl Fn() -> bool) {
    let clock = Clock::system();
    let end = clock.now() + FAR;
    while !is_so() {
        assert!(clock.now() < end, "it does not come to that");
        std::thread::yield_now();
    }
}

/// A task that says that it has begun, and ends when the other end is dropped.
fn occupy(tasks: &TaskPool) -> Sender<()> {
    let ((tell, begun), (hold, held)) = (channel(), channel());
    let work = move || {
        tell.send(()).ok();
        held.recv().ok();
    };
    tasks.spawn("occupy", work).detach();
    begun.recv_timeout(FAR).expect("it begins");
    hold
}

/// It hires, and runs what is due.
fn goes_on(tasks: &TaskPool) {
    for _ in 0..3 {
        until(|| tasks.snapshot().threads == 1);
        let held = [(); 2].map(|()| occupy(tasks));
        let later = tasks.task("later").after(Duration::from_millis(1)).spawn(|| 7);
        drop(held);
        assert_eq!(later.join_timeout(FAR), Ok(7));
    }
}

#[test]
fn a_keeper_that_is_given_up_over_what_is_due_takes_nothing_with_it() {
    let (tasks, pool, app) = started(TaskPool::builder("work").elastic(1..=2).keep_alive(MOMENT));
    let crew = &tasks.0;
    until(|| crew.desk(|desk| desk.idle()) == 1);
    let hand = crew.hands[0].lock();
    let first = tasks.task("first").after(Duration::from_millis(1)).spawn(|| 7);
    until(|| crew.desk(|desk| desk.next_due().is_none()));
    pool.recycle_child("keeper").expect("another takes over");
    assert!(!first.is_done(), "nobody was called");
    drop(hand);
    assert_eq!(first.join_timeout(FAR), Ok(7));
    goes_on(&tasks);
    drop(app);
}

#[test]
fn a_keeper_that_is_given_up_while_it_hires_takes_nothing_with_it() {
    let (tasks, pool, app) = started(TaskPool::builder("work").elastic(1..=2).keep_alive(MOMENT));
    let crew = &tasks.0;
    let held = occupy(&tasks);
    let hand = crew.hands[1].lock();
    let second = tasks.spawn("second", || 7);
    until(|| crew.desk(|desk| desk.hands()) == 2);
    pool.recycle_child("keeper").expect("another takes over");
    drop(hand);
    assert_eq!(second.join_timeout(FAR), Ok(7));
    drop(held);
    goes_on(&tasks);
    drop(app);
}

#[test]
fn who_hires_anew_hires_also_for_whom_the_one_before_has_asked() {
    let (tasks, pool, app) = started(TaskPool::builder("work").elastic(1..=2));
    let crew = &tasks.0;
    let keeper = crew.keeper.lock().clone().expect("it has begun");
    let held = occupy(&tasks);
    keeper.sys().suspend().expect("it is idle");
    let second = tasks.spawn("second", || 7);
    assert_eq!(crew.desk(|desk| desk.hire()), Some(1), "it asks, and goes no further");
    pool.recycle_child("keeper").expect("another takes over");
    assert_eq!(second.join_timeout(FAR), Ok(7));
    drop((held, app));
}

#[test]
fn so_many_that_wait_for_each_other_meet_where_some_threads_are_idle_and_others_have_to_come() {
    let (tasks, _, app) = started(TaskPool::builder("work").elastic(2..=4));
    let crew = &tasks.0;
    until(|| crew.desk(|desk| desk.idle()) == 2);
    crew.halt(); // so that all four are ready at once
    let met = Arc::new(AtomicUsize::new(0));
    let all = [(); 4].map(|()| {
        let met = Arc::clone(&met);
        tasks.spawn("meet", move || {
            met.fetch_add(1, Ordering::SeqCst);
            until(|| met.load(Ordering::SeqCst) == 4);
        })
    });
    crew.resume();
    all.iter().for_each(|task| assert!(task.wait(FAR)));
    assert_eq!((met.load(Ordering::SeqCst), tasks.snapshot().panicked), (4, 0));
    drop(app);
}

#[test]
fn who_is_given_up_frees_its_own_seat_alone() {
    let (tasks, _, app) = started(TaskPool::builder("work").threads(1));
    let crew = &tasks.0;
    let core = Arc::downgrade(crew.hands[0].lock().as_ref().expect("it has begun").core());
    crew.given_up(0, &Weak::new());
    assert_eq!(tasks.snapshot().threads, 1, "another has it by now");
    crew.given_up(0, &core);
    assert_eq!(tasks.snapshot().threads, 0);
    drop(app);
}

/// Two threads that are idle, of which the first to be called is given.
fn two_idle() -> (TaskPool, Handle<Look>, SupervisorHandle) {
    let (tasks, _, app) = started(TaskPool::builder("work").threads(2));
    let crew = &tasks.0;
    until(|| crew.desk(|desk| desk.idle()) == 2);
    let first = crew.desk(|desk| desk.first_idle().expect("both are"));
    let hand = crew.hands[first].lock().clone().expect("it has begun");
    (tasks, hand, app)
}

#[test]
fn who_was_suspended_when_it_is_called_keeps_no_task_waiting() {
    let (tasks, hand, app) = two_idle();
    hand.sys().suspend().expect("it is idle");
    let task = tasks.spawn("one", || 7);
    assert!(task.wait(FAR), "{:?}", tasks.snapshot());
    drop(app);
}

#[test]
fn who_waits_for_room_is_called_when_one_that_waits_is_cancelled() {
    let tasks = TaskPool::builder("work").queue(3).overflow(Overflow::Block(FAR)).build().expect("sense");
    let waiting = [(); 3].map(|()| tasks.spawn("waits", || ()));
    for task in &waiting {
        let pool = tasks.clone();
        let sender = std::thread::spawn(move || pool.try_spawn("late", || ()).is_ok());
        until(|| tasks.0.senders.has_somebody());
        task.cancel();
        assert!(sender.join().expect("no panic"), "there is room");
    }
}

#[test]
fn who_is_suspended_and_asked_for_its_state_when_it_is_called_keeps_no_task_waiting() {
    let (tasks, hand, app) = two_idle();
    hand.sys().suspend().expect("it is idle");
    let ((tell, begun), (hold, held)) = (channel(), channel::<()>());
    let asker = std::thread::spawn(move || {
        hand.sys().with_state(move |_: &mut Worker| {
            tell.send(()).ok();
            held.recv().ok();
        })
    });
    begun.recv_timeout(FAR).expect("it is asked");
    let task = tasks.spawn("one", || 7);
    drop(hold);
    asker.join().expect("no panic").expect("it was asked");
    assert!(task.wait(FAR), "{:?}", tasks.snapshot());
    drop(app);
}

#[test]
fn who_is_called_and_suspended_before_it_comes_keeps_no_task_waiting() {
    let (tasks, hand, app) = two_idle();
    let ((tell, begun), (hold, held)) = (channel(), channel::<()>());
    let busy = hand.clone();
    let asker = std::thread::spawn(move || {
        busy.sys().with_state(move |_: &mut Worker| {
            tell.send(()).ok();
            held.recv().ok();
        })
    });
    begun.recv_timeout(FAR).expect("it is asked");
    let task = tasks.spawn("one", || 7);
    let suspends = hand.clone();
    let suspender = std::thread::spawn(move || suspends.sys().suspend());
    until(|| hand.core().mailbox.has_orders());
    drop(hold);
    asker.join().expect("no panic").expect("it was asked");
    suspender.join().expect("no panic").expect("it is suspended");
    assert!(task.wait(FAR), "{:?}", tasks.snapshot());
    drop(app);
}

#[test]
fn a_thread_that_is_to_stop_begins_nothing_more() {
    let (tasks, _, app) = started(TaskPool::builder("work").threads(1));
    let hand = tasks.0.hands[0].lock().clone().expect("it has begun");
    let held = occupy(&tasks);
    let more = [(); 3].map(|()| tasks.spawn("more", || ()));
    hand.core().ask_to_stop(false);
    drop(held);
    until(|| tasks.snapshot().threads == 0);
    let snapshot = tasks.snapshot();
    assert_eq!((snapshot.completed, snapshot.queued, snapshot.running), (1, 3, 0));
    drop((more, app));
}

#[test]
fn a_keeper_looks_when_something_is_due_and_not_more_often() {
    let sim = Simulation::new(1);
    let tasks = TaskPool::builder("work").threads(1).clock(sim.clock()).build().expect("it makes sense");
    let app = sim.start(Supervisor::new("app").supervisor(tasks.supervisor())).expect("it starts");
    let keeper = tasks.0.keeper.lock().clone().expect("it has begun");
    for seconds in (1..=100).rev() {
        tasks.task("later").after(Duration::from_secs(seconds)).spawn(|| ()).detach();
        sim.run_until_idle();
    }
    let before = keeper.status().handled;
    sim.advance(Duration::from_secs(200));
    assert_eq!((tasks.snapshot().completed, keeper.status().handled - before), (100, 100));
    drop(app);
}

#[test]
fn while_a_pool_halts_nobody_runs_what_finds_no_room() {
    let tasks = TaskPool::builder("work").queue(1).overflow(Overflow::CallerRuns).build().expect("sense");
    let ran = Arc::new(AtomicUsize::new(0));
    let count = || {
        let ran = Arc::clone(&ran);
        move || _ = ran.fetch_add(1, Ordering::SeqCst)
    };
    let waiting = tasks.spawn("waiting", count());
    tasks.0.halt();
    let shed = |outcome| matches!(outcome, Err(TaskError::Shed { .. }));
    assert!(tasks.spawn("caller", count()).try_join().is_ok_and(shed));
    let each = count();
    assert!(tasks.map([()], move |()| each()).next().is_some_and(shed));
    assert_eq!(ran.load(Ordering::SeqCst), 0);
    tasks.0.resume();
    assert!(tasks.spawn("caller", count()).try_join().is_ok_and(|outcome| outcome.is_ok()));
    let each = count();
    assert_eq!(tasks.map([()], move |()| each()).next(), Some(Ok(())));
    assert_eq!((waiting.join(), ran.load(Ordering::SeqCst)), (Ok(()), 3));
}
