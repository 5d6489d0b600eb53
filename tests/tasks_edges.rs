//! What happens to the pools of tasks at their edges: where one comes just as another goes.
#![cfg(feature = "tasks")]

use std::convert::Infallible;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Barrier, Mutex, OnceLock};
use std::time::Duration;

use underpin::tasks::{Event, Overflow, Sink, Task, TaskError, TaskPool, TaskPoolBuilder};
use underpin::testing::Simulation;
use underpin::{
    Context, Deadline, Next, Reply, Service, StartError, Strategy, Supervisor, SupervisorHandle, child,
};

const SECOND: Duration = Duration::from_secs(1);
/// Longer than any machine takes.
const FAR: Duration = Duration::from_secs(20);
/// As long as one waits for what does not end.
const MOMENT: Duration = Duration::from_millis(10);

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
        let (pool, begun, clock) = (tasks.clone(), Arc::new(Mutex::new(None)), sim.clock());
        let (late, start) = (Arc::clone(&begun), sim.now());
        // The other thread is idle from the first second on, and retires with the second, when this one speaks.
        let long = tasks.spawn_with("long", move |cx| {
            let _ = cx.sleep(2 * SECOND);
            pool.spawn("late", move || *late.lock().expect("no panic") = Some(clock.now())).detach();
            let _ = cx.sleep(3600 * SECOND);
        });
        sim.advance(10 * SECOND);
        let begun = begun.lock().expect("no panic").map(|begun| begun - start);
        // Or a moment later: a thread that retires keeps its name for so long.
        let is_prompt = begun.is_some_and(|begun| begun <= 2 * SECOND + 2 * MOMENT);
        assert!(is_prompt, "seed {seed}: {begun:?}, {:?}", tasks.snapshot());
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
    let tasks = TaskPool::builder("work").elastic(1..=2).shutdown(MOMENT).build().expect("it makes sense");
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

/// Tells on which thread it is dropped.
struct Told(Sender<Option<String>>);

impl Drop for Told {
    fn drop(&mut self) {
        self.0.send(std::thread::current().name().map(str::to_owned)).ok();
    }
}

#[test]
fn what_never_began_is_dropped_on_no_thread_of_a_supervisor() {
    let tasks = TaskPool::builder("work").threads(1).shutdown(MOMENT).build().expect("it makes sense");
    let app = Supervisor::new("app").supervisor(tasks.supervisor()).start().expect("it starts");
    let (begun, hold) = occupy(&tasks);
    begun.recv_timeout(FAR).expect("it has begun");
    let (tell, told) = channel();
    let dropped = Told(tell);
    tasks.spawn("wait", move || drop(dropped)).detach();
    drop(app);
    let thread = told.recv_timeout(FAR).expect("it is dropped");
    assert!(thread.as_deref().is_some_and(|name| name.ends_with("keeper")), "{thread:?}");
    drop(hold);
}

/// Tells, when it is dropped, whether the task that has it is done.
struct Looks(Arc<OnceLock<Task<()>>>, Sender<bool>);

impl Drop for Looks {
    fn drop(&mut self) {
        self.1.send(self.0.get().is_some_and(Task::is_done)).ok();
    }
}

#[test]
fn what_never_began_is_dropped_before_its_joiner_is_told() {
    for way in ["cancelled", "late"] {
        let tasks = TaskPool::builder("work").threads(1).build().expect("it makes sense");
        let app = Supervisor::new("app").supervisor(tasks.supervisor()).start().expect("it starts");
        let (begun, hold) = occupy(&tasks);
        begun.recv_timeout(FAR).expect("it has begun");
        let (slot, (tell, told)) = (Arc::new(OnceLock::new()), channel());
        let looks = Looks(Arc::clone(&slot), tell);
        let deadline = if way == "late" { Deadline::after(Duration::ZERO) } else { Deadline::unbounded() };
        let task = tasks.task("never").deadline(deadline).spawn(move || drop(looks));
        let task = slot.get_or_init(|| task);
        if way == "cancelled" {
            task.cancel();
        }
        drop(hold);
        assert_eq!(told.recv_timeout(FAR), Ok(false), "{way}");
        assert!(task.wait(FAR));
        drop(app);
    }
}

/// How many are inside at once, at most.
#[derive(Default)]
struct Inside {
    now: AtomicUsize,
    most: AtomicUsize,
}

impl Inside {
    fn pass(&self) {
        let now = self.now.fetch_add(1, Ordering::SeqCst) + 1;
        self.most.fetch_max(now, Ordering::SeqCst);
        std::thread::yield_now();
        self.now.fetch_sub(1, Ordering::SeqCst);
    }
}

#[test]
fn whatever_comes_goes_and_is_cancelled_at_once_is_accounted_for_and_keys_are_kept() {
    let builder = TaskPool::builder("work").elastic(1..=3).keep_alive(Duration::from_millis(1));
    let tasks = builder.queue(8).per_key(1).overflow(Overflow::Block(FAR)).build().expect("it makes sense");
    let app = Supervisor::new("app").supervisor(tasks.supervisor()).start().expect("it starts");
    let inside: [Arc<Inside>; 2] = Default::default();
    let come = |n: usize| {
        let of_key = Arc::clone(&inside[n % 2]);
        let task = tasks.task("one").key(["a", "b"][n % 2]);
        let task = if n.is_multiple_of(11) { task.after(Duration::from_micros(50)) } else { task };
        let task = task.spawn(move || of_key.pass());
        match n % 7 {
            0 | 1 => task.cancel(),
            2 | 3 => task.detach(),
            _ => assert_eq!(task.join(), Ok(())),
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| (0..1500).for_each(come));
        }
    });
    drop(app);
    let s = tasks.snapshot();
    assert_eq!((s.accepted, s.queued, s.running, s.keys), (6000, 0, 0, 0), "{s:?}");
    assert_eq!(s.accepted, s.completed + s.joined + s.cancelled + s.stopped, "{s:?}");
    assert_eq!(inside.map(|inside| inside.most.load(Ordering::SeqCst)), [1, 1]);
}

/// Its drop panics.
struct Bomb;

impl Drop for Bomb {
    fn drop(&mut self) {
        panic!("it goes off");
    }
}

#[test]
fn a_value_that_nobody_wants_and_whose_drop_panics_harms_nobody() {
    let tasks = TaskPool::builder("work").threads(1).build().expect("it makes sense");
    let app = Supervisor::new("app").supervisor(tasks.supervisor()).start().expect("it starts");
    let me = || std::thread::current().id();
    let before = tasks.spawn("before", me).join_timeout(FAR).expect("it runs");
    let (begun, hold) = occupy(&tasks);
    begun.recv_timeout(FAR).expect("it has begun");
    tasks.spawn("bomb", || Bomb).detach();
    let after = [(); 2].map(|()| tasks.spawn("after", me));
    drop(hold);
    for after in after {
        assert_eq!(after.join_timeout(FAR), Ok(before), "the thread is the same");
    }
    drop(app);
}

#[test]
fn who_waits_for_room_is_told_when_the_pool_is_gone() {
    let builder =
        TaskPool::builder("work").threads(1).queue(1).overflow(Overflow::Block(3 * FAR)).shutdown(MOMENT);
    let tasks = builder.build().expect("it makes sense");
    let app = Supervisor::new("app").supervisor(tasks.supervisor()).start().expect("it starts");
    let (begun, hold) = occupy(&tasks);
    begun.recv_timeout(FAR).expect("it has begun");
    tasks.spawn("wait", || ()).detach();
    let (tell, told) = channel();
    let pool = tasks.clone();
    std::thread::spawn(move || tell.send(pool.spawn("late", || ()).try_join()).expect("it is waited for"));
    for _ in 0..20_000 {
        std::thread::yield_now(); // it sits down
    }
    assert!(told.try_recv().is_err());
    drop(app);
    let late = told.recv_timeout(FAR).expect("it is told").expect("it is done");
    assert!(matches!(late, Err(TaskError::Stopped { .. })), "{late:?}");
    drop(hold);
}

#[test]
fn a_thread_that_was_abandoned_takes_nothing_from_its_successor_when_it_ends() {
    let tasks = TaskPool::builder("work").threads(1).shutdown(MOMENT).build().expect("it makes sense");
    let fuse = child("fuse", || Fuse);
    let blow = fuse.handle();
    let app = Supervisor::new("app").strategy(Strategy::OneForAll).child(fuse).supervisor(tasks.supervisor());
    let app = app.start().expect("it starts");
    let (begun, hold) = occupy(&tasks);
    begun.recv_timeout(FAR).expect("it has begun");
    blow.cast(()).expect("it is taken");
    tasks.spawn("after", || ()).join_timeout(FAR).expect("it runs on the successor");
    assert!(tasks.snapshot().running > 0, "the other thread goes on");
    drop(hold);
    while tasks.snapshot().running > 0 {
        std::thread::yield_now();
    }
    for _ in 0..1000 {
        std::thread::yield_now(); // it ends
    }
    tasks.spawn("again", || ()).join_timeout(FAR).expect("it runs on the successor");
    assert_eq!(tasks.snapshot().threads, 1);
    drop(app);
}

#[test]
fn what_a_task_spawns_inherits_its_deadline() {
    let tasks = TaskPool::builder("work").threads(2).build().expect("it makes sense");
    let app = Supervisor::new("app").supervisor(tasks.supervisor()).start().expect("it starts");
    let (deadline, pool) = (Deadline::after(3 * FAR), tasks.clone());
    let of_both = tasks.task("outer").deadline(deadline).spawn(move || {
        let inner = pool.spawn_with("inner", |cx| cx.deadline());
        inner.join_timeout(FAR)
    });
    assert_eq!(of_both.join_timeout(FAR), Ok(Ok(deadline)));
    let pool = tasks.clone();
    let plain = tasks.spawn("outer", move || pool.spawn_with("inner", |cx| cx.deadline()).join_timeout(FAR));
    assert_eq!(plain.join_timeout(FAR), Ok(Ok(Deadline::unbounded())), "nothing is left of the one before");
    drop(app);
}

/// Notes the kind and the task of each event.
#[derive(Default)]
struct Ear(Mutex<Vec<(&'static str, String)>>);

impl Sink for Ear {
    fn event(&self, event: &Event) {
        self.0.lock().expect("no panic").push((event.kind, event.task.to_string()));
    }
}

#[test]
fn what_is_late_is_told_and_of_what_is_shed_the_first_after_one_that_was_not() {
    let ear = Arc::new(Ear::default());
    let builder = TaskPool::builder("work").queue(2).overflow(Overflow::Shed);
    let tasks = builder.sink(Arc::clone(&ear) as Arc<dyn Sink>).build().expect("it makes sense");
    let passed = Deadline::after(Duration::ZERO);
    let late = tasks.task("late").deadline(passed).spawn(|| ());
    for _ in 0..2 {
        let other = tasks.spawn("other", || ());
        tasks.spawn("first", || ()).detach();
        tasks.spawn("second", || ()).detach();
        assert_eq!(other.join(), Ok(()));
    }
    assert!(matches!(late.join(), Err(TaskError::Expired { .. })));
    let told = ear.0.lock().expect("no panic").clone();
    let told: Vec<_> = told.iter().map(|(kind, task)| (*kind, &**task)).collect();
    assert_eq!(told, [("shedding", "first"), ("shedding", "first"), ("expired", "late")]);
}

#[test]
fn what_was_cancelled_makes_room_wherever_it_waits() {
    let tasks = TaskPool::builder("work").queue(3).overflow(Overflow::Shed).build().expect("it makes sense");
    let all = [0, 1, 2].map(|n| tasks.spawn("one", move || n));
    all[1].cancel();
    let late = tasks.spawn("late", || 7);
    assert_eq!((tasks.snapshot().queued, tasks.snapshot().shed), (3, 0));
    assert_eq!(late.join(), Ok(7));
}

#[test]
fn while_a_pool_stops_nothing_begins_on_any_thread() {
    for way in ["caller", "joiner", "map"] {
        let builder = TaskPool::builder("work").threads(1).queue(1).overflow(Overflow::CallerRuns);
        let tasks = builder.shutdown(50 * MOMENT).build().expect("it makes sense");
        let app = Supervisor::new("app").supervisor(tasks.supervisor()).start().expect("it starts");
        let ((tell, told), (begin, begun)) = (channel(), channel());
        let (pool, ran) = (tasks.clone(), Arc::new(AtomicUsize::new(0)));
        let (ran_by_one, ran_by_map) = (Arc::clone(&ran), Arc::clone(&ran));
        let last = tasks.spawn_with("last", move |cx| {
            let one = move || _ = ran_by_one.fetch_add(1, Ordering::SeqCst);
            let waiting = pool.spawn("waiting", one.clone());
            begin.send(()).ok();
            let _ = cx.sleep(3 * FAR);
            let outcome = match way {
                "caller" => pool.spawn("caller", one).try_join().expect("it is done"),
                "joiner" => waiting.join(),
                _ => {
                    let count = move |()| _ = ran_by_map.fetch_add(1, Ordering::SeqCst);
                    pool.map([()], count).next().expect("there is one")
                }
            };
            tell.send(outcome).ok();
        });
        begun.recv_timeout(FAR).expect("it has begun");
        drop(app);
        assert!(told.recv_timeout(FAR).expect("it ends").is_err(), "{way}");
        assert_eq!(ran.load(Ordering::SeqCst), 0, "{way}");
        drop(last);
    }
}

#[test]
fn what_an_abandoned_thread_spawns_is_not_taken() {
    let tasks = TaskPool::builder("work").threads(1).shutdown(MOMENT).build().expect("it makes sense");
    let fuse = child("fuse", || Fuse);
    let blow = fuse.handle();
    let app = Supervisor::new("app").strategy(Strategy::OneForAll).child(fuse).supervisor(tasks.supervisor());
    let app = app.start().expect("it starts");
    let ((begin, begun), (hold, held), (tell, told)) = (channel(), channel::<()>(), channel());
    let pool = tasks.clone();
    let spawn = move || {
        begin.send(()).ok();
        held.recv().ok();
        tell.send(pool.spawn("late", || ()).join()).ok();
    };
    tasks.spawn("hung", spawn).detach();
    begun.recv_timeout(FAR).expect("it has begun");
    blow.cast(()).expect("it is taken");
    assert_eq!(tasks.spawn("after", || ()).join_timeout(FAR), Ok(()));
    drop(hold);
    let late = told.recv_timeout(FAR).expect("it goes on");
    assert!(matches!(late, Err(TaskError::Stopped { .. })), "{late:?}");
    drop(app);
}

#[test]
fn who_waits_for_the_key_of_a_thread_that_was_abandoned_begins_when_that_has_ended() {
    let builder = TaskPool::builder("work").threads(1).per_key(1).shutdown(MOMENT);
    let tasks = builder.build().expect("it makes sense");
    let fuse = child("fuse", || Fuse);
    let blow = fuse.handle();
    let app = Supervisor::new("app").strategy(Strategy::OneForAll).child(fuse).supervisor(tasks.supervisor());
    let app = app.start().expect("it starts");
    let ((begin, begun), (hold, held)) = (channel(), channel::<()>());
    let hang = move || {
        begin.send(()).ok();
        held.recv().ok();
    };
    tasks.task("hung").key("a").spawn(hang).detach();
    begun.recv_timeout(FAR).expect("it has begun");
    blow.cast(()).expect("it is taken");
    let waiting = tasks.task("waiting").key("a").spawn(|| 7);
    assert_eq!(tasks.spawn("after it", || ()).join_timeout(FAR), Ok(()));
    while tasks.snapshot().idle == 0 {
        std::thread::yield_now();
    }
    drop(hold);
    assert_eq!(waiting.join_timeout(FAR), Ok(7), "{:?}", tasks.snapshot());
    drop(app);
}

#[test]
fn no_task_sleeps_beyond_its_deadline() {
    let (sim, tasks, app) = simulated(1, TaskPool::builder("work").threads(1));
    let (clock, deadline) = (sim.clock(), Deadline::at(sim.now() + 5 * SECOND));
    let slept = tasks.task("sleep").deadline(deadline).spawn_with(move |cx| {
        let begun = clock.now();
        (cx.sleep(3600 * SECOND), clock.now() - begun)
    });
    sim.advance(10 * SECOND);
    assert_eq!(slept.join(), Ok((Ok(()), 5 * SECOND)));
    drop(app);
}

/// Joins, in a handler, a task that does not end.
struct Joining(TaskPool, Sender<Result<(), TaskError>>);

impl Service for Joining {
    type Msg = Reply<()>;
    type Error = Infallible;

    fn handle(&mut self, reply: Self::Msg, _: &mut Context<Self>) -> Result<Next, Infallible> {
        let task = self.0.task("long").deadline(Deadline::unbounded());
        let task = task.spawn_with(|cx| _ = cx.sleep(3 * FAR));
        self.1.send(task.join_timeout(3 * FAR)).ok();
        drop(reply);
        Ok(Next::Continue)
    }
}

#[test]
fn in_a_handler_nobody_waits_longer_than_its_caller() {
    let tasks = TaskPool::builder("work").threads(1).build().expect("it makes sense");
    let (tell, told) = channel();
    let pool = tasks.clone();
    let joining = child("joining", move || Joining(pool.clone(), tell.clone()));
    let handle = joining.handle();
    let app = Supervisor::new("app").supervisor(tasks.supervisor()).child(joining);
    let app = app.start().expect("it starts");
    assert!(handle.call_timeout(10 * MOMENT, |reply| reply).is_err());
    let joined = told.recv_timeout(FAR).expect("it ends");
    assert!(matches!(joined, Err(TaskError::TimedOut { .. })), "{joined:?}");
    drop(app);
}

// ---- one supervisor at a time ----------------------------------------------------------------

fn start(tasks: &TaskPool) -> Result<SupervisorHandle, StartError> {
    Supervisor::new("app").supervisor(tasks.supervisor()).start()
}

/// A second one is told why, and whose it is.
fn refuse(tasks: &TaskPool) {
    let error = start(tasks).expect_err("another runs").to_string();
    let expected = "the pool `work` is run by another of its supervisors already, expected one at a time";
    assert!(error.contains(expected) && error.contains("worker-0"), "{error}");
}

/// Two tasks that wait for each other, and one that is to begin later.
fn runs_on_two_threads(tasks: &TaskPool) {
    let (met, pool) = (Arc::new(Barrier::new(2)), tasks.clone());
    let later = pool.task("later").after(Duration::from_millis(1)).spawn(|| 7);
    let both = [(); 2].map(|()| {
        let met = Arc::clone(&met);
        tasks.spawn("meet", move || _ = met.wait())
    });
    assert!(both.into_iter().all(|task| task.join_timeout(FAR) == Ok(())), "{:?}", tasks.snapshot());
    assert_eq!(later.join_timeout(FAR), Ok(7));
}

#[test]
fn a_second_supervisor_is_refused_and_the_first_goes_on() {
    for builder in [TaskPool::builder("work").threads(2), TaskPool::builder("work").elastic(1..=2)] {
        let tasks = builder.build().expect("it makes sense");
        let app = start(&tasks).expect("it starts");
        for _ in 0..3 {
            refuse(&tasks);
            runs_on_two_threads(&tasks);
        }
        assert_eq!(tasks.snapshot().threads, 2);
        drop(app);
        let other = start(&tasks).expect("the first has stopped");
        refuse(&tasks);
        runs_on_two_threads(&tasks);
        drop(other);
    }
}

#[test]
fn a_supervisor_that_failed_to_start_is_in_nobodys_way() {
    let tasks = TaskPool::builder("work").threads(2).build().expect("it makes sense");
    let failing = child("failing", || Err::<Fuse, _>("it is broken"));
    let app = Supervisor::new("app").supervisor(tasks.supervisor()).child(failing).start();
    assert!(app.is_err());
    let app = start(&tasks).expect("nobody is there");
    runs_on_two_threads(&tasks);
    drop(app);
}

#[test]
fn restarts_are_refused_nothing_and_let_no_other_in() {
    let tasks = TaskPool::builder("work").elastic(1..=2).shutdown(MOMENT).build().expect("it makes sense");
    let (fuse, pool) = (child("fuse", || Fuse), tasks.supervisor());
    let (blow, reference) = (fuse.handle(), pool.reference());
    let app = Supervisor::new("app").strategy(Strategy::OneForAll).child(fuse).supervisor(pool);
    let app = app.start().expect("it starts");
    reference.recycle_child("keeper").expect("it begins anew");
    refuse(&tasks);
    runs_on_two_threads(&tasks);
    let hung = [(); 2].map(|()| occupy(&tasks));
    hung.iter().for_each(|(begun, _)| begun.recv_timeout(FAR).expect("both threads are there"));
    blow.cast(()).expect("it is taken");
    runs_on_two_threads(&tasks);
    refuse(&tasks);
    drop(hung);
    runs_on_two_threads(&tasks);
    drop(app);
}

#[test]
fn a_thread_that_is_given_up_at_the_end_is_in_nobodys_way() {
    for patience in [Duration::ZERO, FAR] {
        let tasks = TaskPool::builder("work").threads(2).shutdown(MOMENT).build().expect("it makes sense");
        let app = start(&tasks).expect("it starts");
        let hung = occupy(&tasks);
        hung.0.recv_timeout(FAR).expect("it has begun");
        app.shutdown(patience);
        let other = start(&tasks).expect("the first has stopped");
        runs_on_two_threads(&tasks);
        drop((hung, other));
    }
}
