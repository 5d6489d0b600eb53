//! A task that runs again and again.

use std::borrow::Cow;
use std::fmt;
use std::sync::{Arc, Weak};
use std::time::Instant;

use super::crew::Crew;
use super::cx::TaskContext;
use super::error::TaskError;
use super::head::Head;
use super::job::{Answer, Cell, Held, Job, Work, contained};
use super::period::{Period, Schedule};
use super::pool::TaskPool;
use super::shared::Shared;
use crate::service::deadline::Deadline;
use crate::sync::Mutex;

/// A task that runs again and again, as whoever started it sees it: see [`TaskPool::every`].
///
/// Dropped, it is [detached](Self::detach), as a [`Task`](super::Task) is: it goes on until the pool is gone for good.
///
/// # Example
///
/// ```
/// use std::sync::mpsc::channel;
/// use std::time::Duration;
/// use underpin::tasks::{Period, TaskPool};
///
/// let tasks = TaskPool::builder("work").build()?;
/// let running = tasks.supervisor().start()?;
/// let (tick, ticks) = channel();
/// let ticking = tasks.every(Period::rate(Duration::from_millis(1)), "tick", move || drop(tick.send(())));
/// ticks.iter().take(3).for_each(drop);
/// ticking.cancel();
/// assert!(ticking.counts().runs >= 2); // the third may not have ended yet
/// # drop(running);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use = "a periodic task that is dropped is detached: say so with `detach`"]
pub struct Periodic {
    beat: Arc<dyn Beating>,
    crew: Arc<Crew>,
}

/// How often a [`Periodic`] task has run, and has not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct PeriodicCounts {
    /// Runs that have ended.
    pub runs: u64,
    /// Runs that were left out, by the rule for those that were [`Missed`](super::Missed).
    pub missed: u64,
    /// Runs that ended with a panic.
    pub panicked: u64,
}

impl Periodic {
    /// Ends it: no run begins any more, and one that runs is told so, by its [context](TaskContext::is_cancelled).
    ///
    /// # Blocking
    ///
    /// Never, save for the drop of the closure.
    pub fn cancel(&self) {
        if let Some(run) = self.beat.cancel() {
            self.crew.cancel(&*run);
        }
    }

    /// Leaves it to itself: it goes on until the pool is gone for good.
    pub fn detach(self) {}

    /// How often it has run.
    pub fn counts(&self) -> PeriodicCounts {
        self.beat.counts()
    }

    /// Why it runs no more, if that is so: it was [cancelled](Self::cancel), the pool is gone, or there was no room for it from the start.
    pub fn ended(&self) -> Option<TaskError> {
        self.beat.ended()
    }

    /// Its name.
    pub fn name(&self) -> &str {
        self.beat.name()
    }
}

impl fmt::Debug for Periodic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Periodic")
            .field("name", &self.name())
            .field("counts", &self.counts())
            .finish_non_exhaustive()
    }
}

impl TaskPool {
    /// Has the closure run again and again, on the threads of the pool.
    ///
    /// A run never overlaps another. One that panics is told of and counted as that of any task, and the next comes all the same. Between two runs
    /// it waits among the tasks that are to begin later and takes a place in the queue, which it keeps for good. It stops with the pool,
    /// and goes on when that is started again by a supervisor above it; what was due meanwhile was [`Missed`](super::Missed). Once
    /// the pool is gone for good, it has [ended](Periodic::ended).
    ///
    /// No deadline is inherited: it outlives the handler in which it is started.
    ///
    /// # Blocking
    ///
    /// If the queue is full: as the [overflow rule](super::TaskPoolBuilder::overflow) says; what finds no room ends as
    /// [`Shed`](TaskError::Shed).
    ///
    /// # Example
    ///
    /// See [`Periodic`].
    pub fn every(
        &self,
        period: Period,
        name: impl Into<Cow<'static, str>>,
        mut work: impl FnMut() + Send + 'static,
    ) -> Periodic {
        self.every_with(period, name, move |_| work())
    }

    /// The same, of a closure that can look whether it is to end, and sleep until then.
    ///
    /// # Blocking
    ///
    /// As [`every`](Self::every).
    pub fn every_with(
        &self,
        period: Period,
        name: impl Into<Cow<'static, str>>,
        work: impl FnMut(&TaskContext<'_>) + Send + 'static,
    ) -> Periodic {
        let crew = &self.0;
        let schedule = Schedule::new(period, crew.shared.clock.now());
        let (name, work, crew_of) = (name.into(), Mutex::new(Some(work)), Arc::downgrade(crew));
        let beat = Arc::new(Beat { name, work, state: Mutex::new(State::new(schedule)), crew: crew_of });
        beat.start(crew);
        Periodic { beat, crew: Arc::clone(crew) }
    }
}

// ---- inside ------------------------------------------------------------------------------

/// A periodic task, whatever it does.
trait Beating: Send + Sync {
    fn name(&self) -> &str;
    fn counts(&self) -> PeriodicCounts;
    fn ended(&self) -> Option<TaskError>;
    /// No run is to follow. The one that waits or runs, if there is one.
    fn cancel(&self) -> Option<Held>;
}

/// What is the same in all runs. Each run is a task of its own, and describes the next when it ends; so none overlaps another.
struct Beat<F> {
    name: Cow<'static, str>,
    /// Out of the lock while it runs.
    work: Mutex<Option<F>>,
    state: Mutex<State>,
    /// The pool has what waits in it, not the other way round.
    crew: Weak<Crew>,
}

struct State {
    schedule: Schedule,
    counts: PeriodicCounts,
    run: Option<Weak<dyn Job>>,
    is_cancelled: bool,
    ended: Option<TaskError>,
}

impl State {
    fn new(schedule: Schedule) -> Self {
        Self { schedule, counts: PeriodicCounts::default(), run: None, is_cancelled: false, ended: None }
    }
}

/// One run.
struct Run<F> {
    cell: Cell<Tick<F>, ()>,
    beat: Arc<Beat<F>>,
}

/// What a run does.
struct Tick<F>(Arc<Beat<F>>);

impl<F: FnMut(&TaskContext<'_>) + Send> Work<()> for Tick<F> {
    fn work(self, cx: &TaskContext<'_>) {
        let mut lent = Lent { to: &self.0.work, work: self.0.work.lock().take() };
        if let Some(work) = &mut lent.work {
            work(cx);
        }
    }
}

/// The closure while it runs: it is back afterwards, also when it panicked.
struct Lent<'a, F> {
    to: &'a Mutex<Option<F>>,
    work: Option<F>,
}

impl<F> Drop for Lent<'_, F> {
    fn drop(&mut self) {
        *self.to.lock() = self.work.take();
    }
}

impl<F: FnMut(&TaskContext<'_>) + Send + 'static> Beat<F> {
    /// The first run.
    fn start(self: &Arc<Self>, crew: &Arc<Crew>) {
        let Some((run, due)) = self.next() else { return };
        if let Err(refusal) = crew.submit(Arc::clone(&run), Some(due), crew.settings.overflow) {
            self.refused(crew, &*run, |run| crew.refusal(run, refusal));
        }
    }

    /// The next run, unless there is none.
    fn again(self: &Arc<Self>) {
        let Some((run, due)) = self.next() else {
            return self.end(TaskError::Cancelled { name: Arc::from(&*self.name) });
        };
        // Without a pool nobody runs it, and nobody asks.
        let Some(crew) = self.crew.upgrade() else { return };
        if crew.again(Arc::clone(&run), due).is_err() {
            self.refused(&crew, &*run, |run| crew.shared.stopped(run.head()));
        }
    }

    /// Describes the next run.
    fn next(self: &Arc<Self>) -> Option<(Held, Instant)> {
        let head = Head::new(self.name.clone(), None, Deadline::unbounded());
        let cell = Cell::new(head, Tick(Arc::clone(self)));
        let run: Held = Arc::new(Run { cell, beat: Arc::clone(self) });
        let mut state = self.state.lock();
        state.run = Some(Arc::downgrade(&run));
        (!state.is_cancelled).then(|| (run, state.schedule.due()))
    }

    fn refused(&self, crew: &Crew, run: &dyn Job, why: impl FnOnce(&dyn Job) -> TaskError) {
        if run.head().claim() {
            run.end(&crew.shared, why(run));
        } else {
            crew.was_husk(); // who cancelled it counts one, and it is not in the queue
        }
    }

    fn run_began(&self, now: Instant) {
        self.state.lock().schedule.begin(now);
    }

    fn run_ended(&self, now: Instant, has_panicked: bool) {
        let mut state = self.state.lock();
        state.schedule.end(now);
        state.counts.runs += 1;
        state.counts.panicked += u64::from(has_panicked);
    }

    fn end(&self, error: TaskError) {
        self.state.lock().ended.get_or_insert(error);
        let work = self.work.lock().take();
        let head = Head::new(self.name.clone(), None, Deadline::unbounded());
        contained(&head, "work", || drop(work));
    }
}

impl<F: FnMut(&TaskContext<'_>) + Send + 'static> Job for Run<F> {
    fn head(&self) -> &Head {
        self.cell.head()
    }

    fn run(&self, shared: &Shared) {
        self.beat.run_began(shared.clock.now());
        self.cell.run(shared);
        let outcome = self.cell.take();
        shared.unheard(outcome.as_ref());
        self.beat.run_ended(shared.clock.now(), matches!(outcome, Some(Err(TaskError::Panicked { .. }))));
        self.beat.again();
    }

    fn end(&self, shared: &Shared, error: TaskError) {
        self.cell.end(shared, error.clone());
        self.beat.end(error);
    }
}

impl<F: FnMut(&TaskContext<'_>) + Send + 'static> Beating for Beat<F> {
    fn name(&self) -> &str {
        &self.name
    }

    fn counts(&self) -> PeriodicCounts {
        let state = self.state.lock();
        PeriodicCounts { missed: state.schedule.left_out(), ..state.counts }
    }

    fn ended(&self) -> Option<TaskError> {
        self.state.lock().ended.clone()
    }

    fn cancel(&self) -> Option<Held> {
        let mut state = self.state.lock();
        state.is_cancelled = true;
        let run = state.run.clone();
        drop(state);
        run?.upgrade()
    }
}

#[cfg(all(test, not(underpin_loom)))]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn a_run_that_is_cancelled_before_a_pool_that_is_gone_refuses_it_gives_no_room_for_ever() {
        let pool = TaskPool::builder("work").queue(1).build().expect("it makes sense");
        let (crew, work) = (&pool.0, Mutex::new(Some(|_: &TaskContext<'_>| ())));
        let schedule = Schedule::new(Period::rate(Duration::from_secs(1)), crew.shared.clock.now());
        let beat = Arc::new(Beat {
            name: "tick".into(),
            work,
            state: Mutex::new(State::new(schedule)),
            crew: Arc::downgrade(crew),
        });
        let (run, due) = beat.next().expect("it goes on");
        let ticking = Periodic { beat: Arc::clone(&beat) as Arc<dyn Beating>, crew: Arc::clone(crew) };
        ticking.cancel();
        crew.close();
        assert!(crew.again(Arc::clone(&run), due).is_err(), "it is gone");
        beat.refused(crew, &*run, |run| crew.shared.stopped(run.head()));
        crew.resume(); // another supervisor begins
        pool.spawn("one", || ()).detach();
        assert_eq!(pool.snapshot().queued, 1);
    }
}
