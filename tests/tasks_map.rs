//! A function over the items of an iterator, on the threads of a pool.
#![cfg(feature = "tasks")]

use std::collections::HashSet;
use std::convert::Infallible;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Barrier, Mutex};
use std::time::{Duration, Instant};

use underpin::tasks::{MapSummary, Overflow, TaskContext, TaskError, TaskPool, TaskPoolBuilder, TryError};
use underpin::testing::Simulation;
use underpin::{Context, Deadline, Next, Reply, Service, Supervisor, SupervisorHandle, child};

const FAR: Duration = Duration::from_secs(60);

fn builder(threads: usize) -> TaskPoolBuilder {
    TaskPool::builder("work").threads(threads)
}

fn started(builder: TaskPoolBuilder) -> (TaskPool, SupervisorHandle) {
    let tasks = builder.build().expect("it makes sense");
    let app = Supervisor::new("app").supervisor(tasks.supervisor()).start().expect("it starts");
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

/// Counts what is inside at once.
#[derive(Clone, Default)]
struct Gauge(Arc<(AtomicUsize, AtomicUsize)>);

impl Gauge {
    fn around<R>(&self, work: impl FnOnce() -> R) -> R {
        let now = self.0.0.fetch_add(1, Ordering::SeqCst) + 1;
        self.0.1.fetch_max(now, Ordering::SeqCst);
        let result = work();
        self.0.0.fetch_sub(1, Ordering::SeqCst);
        result
    }

    fn most(&self) -> usize {
        self.0.1.load(Ordering::SeqCst)
    }
}

// ---- order and bounds --------------------------------------------------------------------

#[test]
fn ten_thousand_items_come_in_their_order_and_none_is_lost() {
    let (tasks, app) = started(builder(2));
    let doubled: Vec<_> = tasks.map(0..10_000_u32, |n| 2 * n).concurrency(64).collect();
    assert_eq!(doubled, (0..10_000).map(|n| Ok(2 * n)).collect::<Vec<_>>());
    let snapshot = tasks.snapshot();
    assert_eq!((snapshot.shed, snapshot.cancelled, snapshot.queued), (0, 0, 0));
    drop(app);
}

#[test]
fn as_completed_ten_thousand_items_come_once_each() {
    let (tasks, app) = started(builder(2));
    let all: Vec<_> = tasks.map(0..10_000_u32, |n| n).concurrency(64).as_completed().flatten().collect();
    assert_eq!(all.len(), 10_000);
    assert_eq!(all.into_iter().collect::<HashSet<_>>().len(), 10_000);
    drop(app);
}

#[test]
fn what_is_done_first_comes_first_as_completed_and_waits_its_turn_in_order() {
    let (tasks, app) = started(builder(2));
    let slow_first = || {
        let (go, gone) = channel::<()>();
        let gone = Mutex::new(gone);
        let work = move |n: u32| {
            if n == 0 {
                let _ = gone.lock().expect("nobody panics").recv();
            }
            n
        };
        (go, work)
    };
    let (go, work) = slow_first();
    let mut all = tasks.map([0, 1], work).as_completed();
    assert_eq!(all.next(), Some(Ok(1)));
    drop(go);
    assert_eq!((all.next(), all.next()), (Some(Ok(0)), None));
    let (go, work) = slow_first();
    let mut all = tasks.map([0, 1], work).timeout(FAR);
    std::thread::scope(|scope| {
        let tasks = &tasks;
        scope.spawn(move || {
            while tasks.snapshot().completed < 3 {
                std::thread::yield_now(); // the second is done
            }
            drop(go);
        });
        assert_eq!((all.next(), all.next(), all.next()), (Some(Ok(0)), Some(Ok(1)), None));
    });
    drop(app);
}

#[test]
fn no_more_are_in_flight_than_may_be() {
    let (tasks, app) = started(builder(4));
    for (concurrency, as_completed) in [(1, false), (1, true), (3, false), (3, true)] {
        let (gauge, pulled) = (Gauge::default(), Arc::new(AtomicUsize::new(0)));
        let (inside, counted) = (gauge.clone(), Arc::clone(&pulled));
        let items = (0..300).inspect(move |_| {
            counted.fetch_add(1, Ordering::SeqCst);
        });
        let map = tasks.map(items, move |n| inside.around(|| n)).concurrency(concurrency);
        let map = if as_completed { map.as_completed() } else { map };
        for (handed_out, outcome) in map.enumerate() {
            outcome.expect("nothing fails");
            let ahead = pulled.load(Ordering::SeqCst) - handed_out;
            assert!(ahead <= concurrency, "{ahead} in flight");
        }
        assert!(gauge.most() <= concurrency, "{} at once", gauge.most());
    }
    drop(app);
}

#[test]
fn as_many_as_there_are_threads_are_in_flight_unless_it_is_said() {
    let (tasks, app) = started(builder(3));
    let together = Arc::new(Barrier::new(3));
    let meet = move |_| together.wait().is_leader();
    let leaders = tasks.map(0..9, meet).timeout(FAR).flatten().filter(|is_leader| *is_leader).count();
    assert_eq!(leaders, 3, "each three met");
    drop(app);
}

#[test]
fn nothing_is_pulled_before_somebody_asks() {
    let (tasks, app) = started(builder(2));
    let mut pulled = 0;
    let mut map = tasks.map((0..100).inspect(|_| pulled += 1), |n| n);
    assert_eq!(map.size_hint(), (100, Some(100)));
    assert_eq!(map.next(), Some(Ok(0)));
    assert_eq!(map.size_hint(), (99, Some(99)));
    drop(map);
    assert_eq!(pulled, 2);
    assert_eq!(tasks.map(0..0, |n: u8| n).next(), None);
    assert_eq!(tasks.map(0..0, |n: u8| n).as_completed().next(), None);
    drop(app);
}

#[test]
fn a_source_that_is_longer_than_the_queue_goes_through_a_pool_of_any_rule() {
    for overflow in [Overflow::Shed, Overflow::CallerRuns, Overflow::Block(Duration::ZERO)] {
        let (tasks, app) = started(builder(2).queue(2).overflow(overflow));
        let all: Result<Vec<_>, _> = tasks.map(0..1000, |n| n).concurrency(100).collect();
        assert_eq!(all, Ok((0..1000).collect()));
        let all: Result<Vec<_>, _> = tasks.map(0..1000, |n| n).concurrency(100).as_completed().collect();
        assert_eq!(all.map(|all| all.len()), Ok(1000));
        let all = tasks.map(0..1000, |n| n).concurrency(100).timeout(FAR).summary();
        assert_eq!((all.completed, all.failed), (1000, 0));
        assert_eq!(tasks.snapshot().shed, 0);
        drop(app);
    }
}

#[test]
fn where_the_queue_is_full_of_others_tasks_the_caller_runs_them_unless_it_has_to_be_in_time() {
    let (tasks, app) = started(builder(1).queue(1).overflow(Overflow::Shed));
    let held = occupy(&tasks);
    let waiting = tasks.spawn("waiting", || 7);
    let here = std::thread::current().id();
    let where_from = move |_| std::thread::current().id() == here;
    assert!(tasks.map(0..5, where_from).all(|outcome| outcome == Ok(true)));
    assert!(tasks.map(0..5, where_from).as_completed().all(|outcome| outcome == Ok(true)));
    assert_eq!(tasks.snapshot().caller_ran, 10);
    let in_time = tasks.map(0..5, where_from).timeout(FAR).name("late").summary();
    let shed = TaskError::Shed { name: "late".into(), pool: "work".into(), capacity: 1 };
    assert_eq!((in_time.failed, in_time.first_error), (5, Some(shed)));
    drop(held);
    assert_eq!(waiting.join(), Ok(7));
    drop(app);
}

#[test]
fn of_one_key_no_more_run_at_once_than_may() {
    let (tasks, app) = started(builder(4).per_key(1));
    let gauges = [Gauge::default(), Gauge::default()];
    let inside = gauges.clone();
    let map = tasks.map(0..400_usize, move |n| inside[n % 2].around(|| n)).concurrency(16);
    let all: Vec<_> = map.key_by(|n| if n % 2 == 0 { "even" } else { "odd" }).flatten().collect();
    assert_eq!(all, (0..400).collect::<Vec<_>>());
    assert_eq!(gauges.map(|gauge| gauge.most()), [1, 1]);
    assert_eq!(tasks.snapshot().keys, 0);
    drop(app);
}

// ---- ends --------------------------------------------------------------------------------

#[test]
fn dropped_early_it_cancels_the_rest_and_does_not_wait() {
    let (tasks, app) = started(builder(1));
    let (ran, work) = (Arc::new(AtomicUsize::new(0)), Arc::new(()));
    let (begin, begun) = channel();
    let (told, telling) = channel();
    let (counted, inside) = (Arc::clone(&ran), Arc::clone(&work));
    let mut map = tasks
        .map_with(0..100, move |n, cx| {
            let _kept = &inside;
            counted.fetch_add(1, Ordering::SeqCst);
            if n == 1 {
                begin.send(()).expect("somebody listens");
                told.send(cx.sleep(10 * FAR).is_err()).expect("somebody listens");
            }
        })
        .concurrency(10)
        .timeout(FAR);
    assert_eq!(map.next(), Some(Ok(())));
    begun.recv_timeout(FAR).expect("the second begins");
    let dropping = Instant::now();
    drop(map);
    assert!(dropping.elapsed() < FAR);
    assert_eq!(telling.recv_timeout(FAR), Ok(true), "who runs is told");
    assert_eq!(tasks.spawn("after it", || 1).join_timeout(FAR), Ok(1));
    assert_eq!(ran.load(Ordering::SeqCst), 2, "what had not begun never did");
    assert_eq!(Arc::strong_count(&work), 1, "nothing is left behind");
    let snapshot = tasks.snapshot();
    assert_eq!((snapshot.queued, snapshot.cancelled), (0, 8));
    drop(app);
}

#[test]
fn values_that_nobody_takes_are_dropped() {
    let (tasks, app) = started(builder(2));
    let value = Arc::new(());
    let made = Arc::clone(&value);
    let mut map = tasks.map(0..50, move |_| Arc::clone(&made)).concurrency(20);
    drop(map.next());
    drop(map);
    while tasks.snapshot().running + tasks.snapshot().queued > 0 {
        std::thread::yield_now();
    }
    assert_eq!(Arc::strong_count(&value), 1);
    drop(app);
}

#[test]
fn a_panic_is_an_item_and_the_others_go_on_unless_it_is_said() {
    let (tasks, app) = started(builder(2));
    let work = |n: u32| if n == 3 { panic!("no {n}") } else { n };
    let panicked = || Err(TaskError::Panicked { name: "map".into(), message: "no 3".into() });
    let all: Vec<_> = tasks.map(0..6, work).collect();
    assert_eq!(all, [Ok(0), Ok(1), Ok(2), panicked(), Ok(4), Ok(5)]);
    let mut some = tasks.map(0..6, work).stop_on(Result::is_err);
    assert_eq!(some.by_ref().collect::<Vec<_>>(), [Ok(0), Ok(1), Ok(2), panicked()]);
    assert_eq!((some.next(), some.size_hint()), (None, (0, Some(0))));
    let summary = tasks.for_each(0..6, move |n| assert!(work(n) < 6));
    assert_eq!((summary.completed, summary.failed, summary.first_error), (5, 1, panicked().err()));
    assert_eq!(tasks.for_each(0..0, |_: u8| ()), MapSummary::default());
    drop(app);
}

#[test]
fn the_first_error_ends_what_tries_and_the_rest_is_cancelled() {
    let (tasks, app) = started(builder(1));
    let ran = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&ran);
    let work = move |n: u32| {
        counted.fetch_add(1, Ordering::SeqCst);
        if n == 5 { Err("five") } else { Ok(n) }
    };
    let work = Arc::new(work);
    let (one, other) = (Arc::clone(&work), Arc::clone(&work));
    let all: Result<Vec<_>, _> = tasks.try_map(0.., move |n| one(n)).collect();
    assert_eq!(all, Err(TryError::Failed("five")));
    assert_eq!(ran.swap(0, Ordering::SeqCst), 6);
    let each = tasks.try_for_each(0.., move |n| other(n).map(drop));
    assert_eq!(each, Err(TryError::Failed("five")));
    assert_eq!(ran.load(Ordering::SeqCst), 6);
    let panicked: Result<Vec<()>, TryError<()>> = tasks.try_map([1], |n| panic!("{n}")).collect();
    assert!(matches!(panicked, Err(TryError::Task(TaskError::Panicked { .. }))));
    drop(app);
}

#[test]
fn a_panic_of_the_source_goes_on_and_cancels_the_rest() {
    let (tasks, app) = started(builder(1));
    let held = occupy(&tasks);
    let ran = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&ran);
    let source = (0..10).inspect(|n| assert!(*n < 3, "the source is broken"));
    let mut map = tasks.map(source, move |_| counted.fetch_add(1, Ordering::SeqCst)).concurrency(5);
    let panic = catch_unwind(AssertUnwindSafe(|| map.next())).expect_err("it goes on");
    assert_eq!(panic.downcast_ref::<&str>(), Some(&"the source is broken"));
    assert_eq!(tasks.snapshot().cancelled, 3);
    assert_eq!(map.next(), None);
    drop((held, app));
    assert_eq!(ran.load(Ordering::SeqCst), 0);
}

#[test]
fn a_panic_of_whoever_says_when_to_stop_cancels_the_rest_as_well() {
    let (tasks, app) = started(builder(1));
    let mut map = tasks.map(0..100, |n| n).stop_on(|_| panic!("undecided"));
    assert!(catch_unwind(AssertUnwindSafe(|| map.next())).is_err());
    assert_eq!(map.next(), None);
    drop(app);
}

// ---- deadlines ---------------------------------------------------------------------------

/// A pool in simulated time.
fn simulated(threads: usize) -> (Simulation, TaskPool, SupervisorHandle) {
    let sim = Simulation::new(1);
    let tasks = builder(threads).clock(sim.clock()).build().expect("it makes sense");
    let app = sim.start(Supervisor::new("app").supervisor(tasks.supervisor())).expect("it starts");
    (sim, tasks, app)
}

#[test]
fn who_waits_too_long_for_an_item_has_an_error_for_it_and_goes_on() {
    let (sim, tasks, app) = simulated(2);
    let nap = Duration::from_secs(1);
    let slow_first = |n: u32, cx: &TaskContext<'_>| {
        let woken = n == 0 && cx.sleep(FAR).is_err();
        (n, woken)
    };
    let late = || Some(Err(TaskError::TimedOut { name: "nap".into(), waited: nap }));
    let begun = sim.now();
    let mut map = tasks.map_with([0, 1, 2], slow_first).timeout(nap).name("nap");
    assert_eq!(map.next(), late());
    assert_eq!(sim.now() - begun, nap);
    assert_eq!((map.next(), map.next(), map.next()), (Some(Ok((1, false))), Some(Ok((2, false))), None));
    let mut map = tasks.map_with([0, 1, 2], slow_first).timeout(nap).name("nap").as_completed();
    assert_eq!((map.next(), map.next()), (Some(Ok((1, false))), Some(Ok((2, false)))));
    assert_eq!((map.next(), map.next()), (late(), None));
    assert_eq!(sim.now() - begun, 2 * nap);
    drop(app);
}

#[test]
fn each_wait_has_a_deadline_where_nothing_is_said() {
    let (sim, tasks, app) = simulated(1);
    let mut map = tasks.map_with([0], |_, cx| cx.sleep(FAR)).as_completed();
    let begun = sim.now();
    assert!(matches!(map.next(), Some(Err(TaskError::TimedOut { .. }))));
    assert_eq!(sim.now() - begun, Duration::from_secs(5));
    let mut patient = tasks.map_with([0], |_, cx| cx.sleep(FAR)).timeout(Duration::MAX);
    assert_eq!(patient.next(), Some(Ok(Ok(()))));
    assert!(sim.now() - begun >= FAR);
    drop(app);
}

#[test]
fn an_item_that_nobody_waits_for_keeps_its_place_until_it_has_ended() {
    let (tasks, app) = started(builder(4));
    let (go, gone) = channel::<()>();
    let (gauge, gone) = (Gauge::default(), Mutex::new(gone));
    let inside = gauge.clone();
    let hang = move |n: u32| {
        inside.around(|| {
            if n < 2 {
                let _ = gone.lock().expect("nobody panics").recv();
            }
        });
    };
    let mut map = tasks.map(0..6, hang).concurrency(2).timeout(Duration::from_millis(10));
    for late in 0..4 {
        assert!(matches!(map.next(), Some(Err(TaskError::TimedOut { .. }))), "{late}");
    }
    drop(go);
    let mut map = map.timeout(FAR);
    assert_eq!((map.next(), map.next(), map.next()), (Some(Ok(())), Some(Ok(())), None));
    assert!(gauge.most() <= 2);
    drop(app);
}

#[test]
fn by_the_deadline_nothing_begins_any_more() {
    let (tasks, app) = started(builder(2));
    let ran = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&ran);
    let work = move |_| counted.fetch_add(1, Ordering::SeqCst);
    let passed = Deadline::after(Duration::ZERO);
    let all: Vec<_> = tasks.map(0..3, work).deadline(passed).name("late").collect();
    assert_eq!(all, vec![Err(TaskError::Expired { name: "late".into() }); 3]);
    assert_eq!(ran.load(Ordering::SeqCst), 0);
    drop(app);
    let (sim, tasks, app) = simulated(2);
    let soon = Deadline::at(sim.now() + Duration::from_secs(7));
    let sleep = |_: u8, cx: &TaskContext<'_>| (cx.deadline(), cx.sleep(FAR));
    let all: Vec<_> = tasks.map_with(0..5, sleep).deadline(soon).timeout(FAR).name("soon").collect();
    assert_eq!(Deadline::at(sim.now()), soon);
    let late: Vec<_> =
        all.iter().filter(|outcome| matches!(outcome, Err(TaskError::Expired { .. }))).collect();
    assert_eq!((all.len(), late.len()), (5, 3), "{all:?}");
    drop(app);
}

/// Maps in a handler.
struct Mapper(TaskPool);

impl Service for Mapper {
    type Msg = Reply<Vec<Result<Option<Instant>, TaskError>>>;
    type Error = Infallible;

    fn handle(&mut self, reply: Self::Msg, _: &mut Context<Self>) -> Result<Next, Infallible> {
        reply.send(self.0.map_with(0..3, |_, cx| cx.deadline().instant()).collect());
        Ok(Next::Continue)
    }
}

#[test]
fn in_a_handler_the_items_inherit_the_deadline_of_its_caller() {
    let (tasks, app) = started(builder(2));
    let mapper = child("mapper", move || Mapper(tasks.clone()));
    let handle = mapper.handle();
    let service = Supervisor::new("service").child(mapper).start().expect("it starts");
    let asked = Instant::now();
    let all = handle.call_timeout(FAR, |reply| reply).expect("it answers");
    assert_eq!(all.len(), 3);
    for outcome in all {
        let by = outcome.expect("it runs").expect("it has a deadline");
        assert!(by > asked && by <= Instant::now() + FAR);
    }
    drop((service, app));
}

// ---- pools that do not run ---------------------------------------------------------------

#[test]
fn a_pool_that_was_never_started_does_no_harm() {
    let tasks = builder(2).build().expect("it makes sense");
    let ordered: Vec<_> = tasks.map(0..100, |n| n).flatten().collect();
    assert_eq!(ordered, (0..100).collect::<Vec<_>>());
    let completed: Vec<_> = tasks.map(0..100, |n| n).as_completed().flatten().collect();
    assert_eq!(completed, (0..100).collect::<Vec<_>>());
    let late = tasks.map(0..3, |n| n).timeout(Duration::from_millis(1)).summary();
    assert!(matches!(late, MapSummary { failed: 3, first_error: Some(TaskError::TimedOut { .. }), .. }));
    assert_eq!(tasks.snapshot().queued, 0);
}

#[test]
fn of_a_pool_that_stops_in_the_middle_each_item_has_an_outcome() {
    for as_completed in [false, true] {
        let (tasks, app) = started(builder(2));
        let map = tasks.map_with(0..100, |n, cx| (n, cx.is_cancelled())).concurrency(10).timeout(FAR);
        let mut map = if as_completed { map.as_completed() } else { map };
        let mut all: Vec<_> = map.by_ref().take(30).collect();
        drop(app);
        all.extend(map);
        assert_eq!(all.len(), 100);
        let stopped = TaskError::Stopped { name: "map".into(), pool: "work".into() };
        let (done, others): (Vec<_>, Vec<_>) = all.into_iter().partition(Result::is_ok);
        assert!((30..=40).contains(&done.len()), "{} were done", done.len());
        assert!(others.iter().all(|other| *other == Err(stopped.clone())));
    }
}

#[test]
fn a_task_can_map_on_the_pool_it_runs_on() {
    let (tasks, app) = started(builder(2));
    let inner = tasks.clone();
    let nested = move |n: u64| {
        let squares = inner.map(0..n, |n| n * n).as_completed().flatten().sum::<u64>();
        squares + inner.map(0..n, |n| n).flatten().sum::<u64>()
    };
    let outer = tasks.map(0..20, nested).concurrency(8).timeout(FAR);
    let expected = |n: u64| Ok((0..n).map(|n| n * n + n).sum());
    assert_eq!(outer.collect::<Vec<_>>(), (0..20).map(expected).collect::<Vec<_>>());
    drop(app);
}

#[test]
fn many_threads_map_over_a_small_pool_and_each_has_all_of_its_own() {
    let (tasks, app) = started(builder(2).queue(3).overflow(Overflow::Shed));
    std::thread::scope(|scope| {
        for thread in 0..6_u32 {
            let tasks = &tasks;
            scope.spawn(move || {
                let map = tasks.map(0..300, move |n| thread * 1000 + n).concurrency(5);
                let map = if thread % 2 == 0 { map } else { map.as_completed() };
                let mut all: Vec<_> = map.flatten().collect();
                all.sort_unstable();
                assert_eq!(all, (0..300).map(|n| thread * 1000 + n).collect::<Vec<_>>());
            });
        }
    });
    assert_eq!(tasks.snapshot().shed, 0);
    drop(app);
}
