//! Tasks that run again and again, in simulated time.
#![cfg(feature = "tasks")]

use std::convert::Infallible;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use underpin::tasks::{
    Event, Missed, Overflow, Period, PeriodicCounts, Sink, TaskContext, TaskError, TaskPool, TaskPoolBuilder,
};
use underpin::testing::{Clock, Simulation};
use underpin::{Context, Next, Service, Strategy, Supervisor, SupervisorHandle, child};

const SECOND: Duration = Duration::from_secs(1);

fn builder(sim: &Simulation, threads: usize) -> TaskPoolBuilder {
    TaskPool::builder("work").threads(threads).clock(sim.clock())
}

fn started(sim: &Simulation, builder: TaskPoolBuilder) -> (TaskPool, SupervisorHandle) {
    let tasks = builder.build().expect("it makes sense");
    let app = sim.start(Supervisor::new("app").supervisor(tasks.supervisor())).expect("it starts");
    (tasks, app)
}

/// When runs began, in nanoseconds since it was made.
#[derive(Clone)]
struct Diary {
    clock: Clock,
    start: Instant,
    begins: Arc<Mutex<Vec<u128>>>,
}

impl Diary {
    fn new(sim: &Simulation) -> Self {
        Self { clock: sim.clock(), start: sim.now(), begins: Arc::default() }
    }

    /// Notes when it begins; each run takes as long as is said here, or no time.
    fn keep(&self, takes: &[u64]) -> impl FnMut(&TaskContext<'_>) + Send + 'static {
        let (diary, mut takes) = (self.clone(), Vec::from(takes).into_iter());
        move |cx| {
            let begun = (diary.clock.now() - diary.start).as_nanos();
            diary.begins.lock().expect("nobody panics").push(begun);
            let _ = cx.sleep(SECOND * takes.next().map_or(0, |seconds| u32::try_from(seconds).expect("few")));
        }
    }

    fn begins(&self) -> Vec<u128> {
        self.begins.lock().expect("nobody panics").clone()
    }

    fn seconds(&self) -> Vec<u128> {
        let nanos = SECOND.as_nanos();
        assert!(self.begins().iter().all(|begin| begin % nanos == 0), "{:?}", self.begins());
        self.begins().into_iter().map(|begin| begin / nanos).collect()
    }
}

fn counts(runs: u64, missed: u64, panicked: u64) -> PeriodicCounts {
    let mut counts = PeriodicCounts::default();
    (counts.runs, counts.missed, counts.panicked) = (runs, missed, panicked);
    counts
}

// ---- when --------------------------------------------------------------------------------

#[test]
fn at_a_fixed_rate_nothing_drifts_in_a_day() {
    let sim = Simulation::new(1);
    let (tasks, app) = started(&sim, builder(&sim, 2));
    let (diary, every) = (Diary::new(&sim), Duration::from_nanos(7_000_000_001));
    let ticking = tasks.every_with(Period::rate(every), "tick", diary.keep(&[]));
    sim.advance(24 * 3600 * SECOND);
    let expected: Vec<_> =
        (0..=24 * 3600 * SECOND.as_nanos() / every.as_nanos()).map(|n| n * every.as_nanos()).collect();
    assert_eq!(diary.begins(), expected);
    assert_eq!(ticking.counts(), counts(expected.len() as u64, 0, 0));
    drop(app);
}

#[test]
fn with_a_fixed_delay_it_rests_after_each_run() {
    let sim = Simulation::new(2);
    let (tasks, app) = started(&sim, builder(&sim, 1));
    let diary = Diary::new(&sim);
    let period = Period::delay(10 * SECOND).first_after(5 * SECOND);
    let ticking = tasks.every_with(period, "tick", diary.keep(&[1, 25, 0]));
    sim.advance(60 * SECOND);
    assert_eq!(diary.seconds(), [5, 16, 51]);
    assert_eq!(ticking.counts(), counts(3, 0, 0));
    sim.advance(SECOND);
    assert_eq!(diary.seconds(), [5, 16, 51, 61]);
    drop(app);
}

#[test]
fn missed_runs_follow_at_once_or_are_left_out_and_none_overlaps() {
    let expected = [
        (Missed::Burst, vec![0, 35, 36, 37, 40, 50], 0),
        (Missed::Delay, vec![0, 35, 45, 55], 2),
        (Missed::Skip, vec![0, 35, 40, 50], 2),
    ];
    for (missed, begins, left_out) in expected {
        let sim = Simulation::new(3);
        let (tasks, app) = started(&sim, builder(&sim, 4));
        let diary = Diary::new(&sim);
        let period = Period::rate(10 * SECOND).missed(missed);
        let ticking = tasks.every_with(period, "tick", diary.keep(&[35, 1, 1, 1, 1, 1, 1]));
        sim.advance(57 * SECOND);
        assert_eq!(diary.seconds(), begins, "{missed:?}");
        assert_eq!(ticking.counts(), counts(begins.len() as u64, left_out, 0), "{missed:?}");
        drop(app);
    }
}

#[test]
fn several_go_on_beside_each_other() {
    let sim = Simulation::new(4);
    let (tasks, app) = started(&sim, builder(&sim, 3));
    let diaries = [1, 2, 3].map(|every| {
        let diary = Diary::new(&sim);
        tasks.every_with(Period::rate(every * SECOND), "tick", diary.keep(&[])).detach();
        diary
    });
    sim.advance(60 * SECOND);
    assert_eq!(diaries.map(|diary| diary.seconds().len()), [61, 31, 21]);
    let snapshot = tasks.snapshot();
    assert_eq!((snapshot.queued, snapshot.running), (3, 0));
    drop(app);
}

// ---- what goes wrong ---------------------------------------------------------------------

struct Told(Mutex<Vec<String>>);

impl Sink for Told {
    fn event(&self, event: &Event) {
        self.0
            .lock()
            .expect("nobody panics")
            .push(format!("{} {}: {}", event.task, event.kind, event.detail));
    }
}

#[test]
fn a_run_that_panics_is_told_of_and_counted_and_the_next_comes() {
    let sim = Simulation::new(5);
    let told = Arc::new(Told(Mutex::default()));
    let (tasks, app) = started(&sim, builder(&sim, 1).sink(Arc::clone(&told) as Arc<dyn Sink>));
    let mut runs = 0;
    let ticking = tasks.every(Period::rate(SECOND), "tick", move || {
        runs += 1;
        assert!(runs % 2 != 0, "run {runs}");
    });
    sim.advance(4 * SECOND);
    assert_eq!(ticking.counts(), counts(5, 0, 2));
    assert_eq!(*told.0.lock().expect("nobody panics"), ["tick panicked: run 2", "tick panicked: run 4"]);
    assert_eq!((tasks.snapshot().panicked, ticking.ended()), (2, None));
    drop(app);
}

#[test]
fn what_finds_no_room_at_first_is_shed_and_what_found_some_keeps_it() {
    let sim = Simulation::new(6);
    let (tasks, app) = started(&sim, builder(&sim, 1).queue(1).overflow(Overflow::Shed));
    let diary = Diary::new(&sim);
    let ticking = tasks.every_with(Period::rate(10 * SECOND), "tick", diary.keep(&[5]));
    let shed = tasks.every(Period::rate(SECOND), "shed", || panic!("there is no room"));
    let error = TaskError::Shed { name: "shed".into(), pool: "work".into(), capacity: 1 };
    assert_eq!((shed.ended(), shed.counts()), (Some(error), counts(0, 0, 0)));
    sim.advance(SECOND); // it runs now
    let full = tasks.task("full").after(3600 * SECOND).spawn(|| 1);
    sim.advance(59 * SECOND);
    assert_eq!(diary.seconds(), [0, 10, 20, 30, 40, 50, 60]);
    drop((ticking, full, app));
}

// ---- ends --------------------------------------------------------------------------------

#[test]
fn cancelled_it_runs_no_more_and_nothing_of_it_is_left() {
    let sim = Simulation::new(7);
    let (tasks, app) = started(&sim, builder(&sim, 1));
    let (work, ran) = (Arc::new(()), Arc::new(AtomicUsize::new(0)));
    let (inside, counted) = (Arc::clone(&work), Arc::clone(&ran));
    let ticking = tasks.every(Period::rate(SECOND), "tick", move || {
        counted.fetch_add(Arc::strong_count(&inside), Ordering::SeqCst);
    });
    sim.advance(2 * SECOND);
    ticking.cancel();
    assert_eq!(ticking.ended(), Some(TaskError::Cancelled { name: "tick".into() }));
    assert_eq!(Arc::strong_count(&work), 1);
    sim.advance(60 * SECOND);
    assert_eq!((ran.load(Ordering::SeqCst), ticking.counts()), (6, counts(3, 0, 0)));
    ticking.cancel();
    assert_eq!(tasks.snapshot().queued, 0);
    drop(app);
}

#[test]
fn cancelled_while_it_runs_it_is_told_and_no_run_follows() {
    let sim = Simulation::new(8);
    let (tasks, app) = started(&sim, builder(&sim, 1));
    let woken = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&woken);
    let ticking = tasks.every_with(Period::rate(SECOND), "tick", move |cx| {
        counted.fetch_add(usize::from(cx.sleep(3600 * SECOND).is_err()), Ordering::SeqCst);
    });
    sim.advance(10 * SECOND);
    assert_eq!((ticking.ended(), ticking.counts()), (None, counts(0, 0, 0)));
    ticking.cancel();
    sim.advance(10 * SECOND);
    assert_eq!((woken.load(Ordering::SeqCst), ticking.counts()), (1, counts(1, 0, 0)));
    assert_eq!(ticking.ended(), Some(TaskError::Cancelled { name: "tick".into() }));
    drop(app);
}

#[test]
fn dropped_it_goes_on_until_the_pool_is_gone() {
    let sim = Simulation::new(9);
    let (tasks, app) = started(&sim, builder(&sim, 1));
    let diary = Diary::new(&sim);
    tasks.every_with(Period::rate(SECOND), "tick", diary.keep(&[])).detach();
    sim.advance(3 * SECOND);
    assert_eq!(diary.seconds(), [0, 1, 2, 3]);
    drop(app);
    sim.advance(3 * SECOND);
    assert_eq!(diary.seconds().len(), 4);
    assert_eq!(Arc::strong_count(&diary.begins), 1, "nothing is left behind");
    assert_eq!(tasks.snapshot().queued, 0);
    let late = tasks.every(Period::rate(SECOND), "late", || ());
    assert_eq!(late.ended(), Some(TaskError::Stopped { name: "late".into(), pool: "work".into() }));
}

/// Is there to be crashed.
struct Idle;

impl Service for Idle {
    type Msg = ();
    type Error = Infallible;

    fn handle(&mut self, (): (), _: &mut Context<Self>) -> Result<Next, Infallible> {
        Ok(Next::Continue)
    }
}

#[test]
fn after_a_restart_from_above_it_goes_on() {
    let sim = Simulation::new(10);
    let tasks = builder(&sim, 1).build().expect("it makes sense");
    let idle = child("idle", || Idle);
    let handle = idle.handle();
    let app = Supervisor::new("app").strategy(Strategy::OneForAll).child(idle).supervisor(tasks.supervisor());
    let app = sim.start(app).expect("it starts");
    let diary = Diary::new(&sim);
    let ticking = tasks.every_with(Period::rate(10 * SECOND), "tick", diary.keep(&[]));
    sim.advance(25 * SECOND);
    sim.crash_next("idle");
    handle.cast(()).expect("it is taken");
    sim.advance(35 * SECOND);
    assert_eq!(diary.seconds(), [0, 10, 20, 30, 40, 50, 60]);
    assert_eq!((ticking.ended(), ticking.counts()), (None, counts(7, 0, 0)));
    drop(app);
    assert!(matches!(ticking.ended(), Some(TaskError::Stopped { .. })));
}

#[test]
fn before_the_pool_is_started_nothing_runs_and_what_was_due_was_missed() {
    let sim = Simulation::new(11);
    let tasks = builder(&sim, 1).build().expect("it makes sense");
    let diary = Diary::new(&sim);
    let period = Period::rate(10 * SECOND).missed(Missed::Skip);
    let ticking = tasks.every_with(period, "tick", diary.keep(&[]));
    sim.advance(35 * SECOND);
    assert_eq!(diary.seconds(), []);
    let app = sim.start(Supervisor::new("app").supervisor(tasks.supervisor())).expect("it starts");
    sim.advance(20 * SECOND);
    assert_eq!(diary.seconds(), [35, 40, 50]);
    assert_eq!(ticking.counts(), counts(3, 3, 0));
    drop(app);
}

#[test]
fn a_pool_that_nobody_has_takes_its_periodic_tasks_with_it() {
    let work = Arc::new(());
    let inside = Arc::clone(&work);
    let tasks = TaskPool::builder("work").build().expect("it makes sense");
    tasks.every(Period::rate(SECOND), "tick", move || drop(Arc::clone(&inside))).detach();
    assert_eq!(Arc::strong_count(&work), 2);
    drop(tasks);
    assert_eq!(Arc::strong_count(&work), 1);
}
