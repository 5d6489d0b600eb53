//! Tasks that borrow.

use std::borrow::Cow;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;

use super::cx::TaskContext;
use super::desk::Refusal;
use super::each::MapSummary;
use super::error::TaskError;
use super::ground::{Ground, HeldFor};
use super::hall::Hall;
use super::head::Head;
use super::job::{Attentive, Cell, Job, Plain, Work};
use super::map::Map;
use super::scoped::ScopedTask;
use super::settings::MAX_THREADS;
use super::shared::Shared;
use crate::error::complain;
use crate::service::deadline::Deadline;
use crate::service::scope::inherited;
use crate::sync::{self, ThreadScope};

/// Runs the closure with a [`Scope`], in which tasks may borrow what is around it; as [`std::thread::scope`], but with so many threads at
/// most, 4,096 of them, which are started when they are needed. With 0 whoever joins runs all, and whoever leaves.
///
/// # Panics
///
/// If the closure does: what has not begun is cancelled, and what runs is told to end and waited for, before the panic goes on. A panic of a
/// task is for its joiner; it is logged if nobody joins it.
///
/// # Blocking
///
/// On all that was spawned, without a deadline: what borrows has to end before what it borrows. The calling thread works with the
/// others until then. What must not take too long is [cancelled](Scope::cancel), and has to look whether it
/// [is](TaskContext::is_cancelled).
///
/// # Example
///
/// ```
/// use underpin::tasks;
///
/// let words = ["one", "two", "three"];
/// let longest = tasks::scope(2, |s| {
///     let first = s.spawn("first", || words[0].len());
///     let longest = s.map(&words, |word| word.len()).flatten().max();
///     assert_eq!(first.join(), Ok(3));
///     longest
/// });
/// assert_eq!(longest, Some(5));
/// ```
pub fn scope<'env, R>(threads: usize, body: impl for<'scope> FnOnce(&Scope<'scope, 'env>) -> R) -> R {
    sync::scoped(|within| {
        let scope = Scope { hall: Arc::new(Hall::new(threads.min(MAX_THREADS))), within };
        let result = catch_unwind(AssertUnwindSafe(|| body(&scope)));
        if result.is_err() {
            scope.cancel();
        }
        scope.hall.leave();
        result.unwrap_or_else(|panic| resume_unwind(panic))
    })
}

/// Where tasks run that borrow. Clones are the same scope, for tasks that spawn others in it.
///
/// It goes by the clock of the system. In a handler its tasks inherit the deadline of the handler's caller, but calls made on its threads do not:
/// these are no services.
///
/// # Example
///
/// ```
/// use underpin::tasks;
///
/// let mut counts = [0; 3];
/// tasks::scope(2, |s| {
///     for (n, count) in counts.iter_mut().enumerate() {
///         s.spawn("count", move || *count = n * n).detach();
///     }
/// });
/// assert_eq!(counts, [0, 1, 4]);
/// ```
pub struct Scope<'scope, 'env: 'scope> {
    hall: Arc<Hall<'scope>>,
    within: &'scope ThreadScope<'scope, 'env>,
}

impl<'scope> Scope<'scope, '_> {
    /// Has the closure run on one of the threads, or on that of whoever joins it before it has begun.
    pub fn spawn<T: Send + 'scope>(
        &self,
        name: impl Into<Cow<'static, str>>,
        work: impl FnOnce() -> T + Send + 'scope,
    ) -> ScopedTask<'scope, T> {
        self.start(name.into(), Plain(work))
    }

    /// The same, of a closure that can look whether it is to end, and sleep until then.
    ///
    /// # Example
    ///
    /// ```
    /// use std::time::Duration;
    /// use underpin::tasks;
    ///
    /// let woken = tasks::scope(1, |s| {
    ///     let sleeper = s.spawn_with("sleep", |cx| cx.sleep(Duration::from_secs(3600)).is_err());
    ///     s.cancel();
    ///     sleeper.join()
    /// });
    /// assert_ne!(woken, Ok(false)); // it was woken, or it never began
    /// ```
    pub fn spawn_with<T: Send + 'scope>(
        &self,
        name: impl Into<Cow<'static, str>>,
        work: impl FnOnce(&TaskContext<'_>) -> T + Send + 'scope,
    ) -> ScopedTask<'scope, T> {
        self.start(name.into(), Attentive(work))
    }

    /// Has the closure run for each item of the iterator, on the threads, so many at once. A panic of the source cancels the rest.
    ///
    /// # Blocking
    ///
    /// The map [waits](Map#waiting); this does not.
    pub fn map<I: IntoIterator, U: Send + 'scope>(
        &self,
        items: I,
        work: impl Fn(I::Item) -> U + Send + Sync + 'scope,
    ) -> Map<'scope, I::IntoIter, U>
    where
        I::Item: Send + 'scope,
    {
        self.map_with(items, move |item, _| work(item))
    }

    /// The same, of a closure that can look whether it is to end, and sleep until then.
    ///
    /// # Blocking
    ///
    /// As [`map`](Self::map).
    pub fn map_with<I: IntoIterator, U: Send + 'scope>(
        &self,
        items: I,
        work: impl Fn(I::Item, &TaskContext<'_>) -> U + Send + Sync + 'scope,
    ) -> Map<'scope, I::IntoIter, U>
    where
        I::Item: Send + 'scope,
    {
        Map::new(Box::new(self.clone()), items.into_iter(), Arc::new(work))
    }

    /// Has the closure run for each item, in whatever order, and counts how they ended.
    ///
    /// # Blocking
    ///
    /// As [`TaskPool::for_each`](super::TaskPool::for_each).
    ///
    /// # Example
    ///
    /// ```
    /// use underpin::tasks;
    ///
    /// let mut numbers = [1, 2, 3];
    /// let summary = tasks::scope(2, |s| s.for_each(&mut numbers, |number| *number *= 2));
    /// assert_eq!((summary.completed, numbers), (3, [2, 4, 6]));
    /// ```
    pub fn for_each<I: IntoIterator>(
        &self,
        items: I,
        work: impl Fn(I::Item) + Send + Sync + 'scope,
    ) -> MapSummary
    where
        I::Item: Send + 'scope,
    {
        self.map(items, work).as_completed().summary()
    }

    /// Ends it early: what has not begun never does, what runs is told to end, and what comes ends at once, as
    /// [`Cancelled`](TaskError::Cancelled).
    ///
    /// # Blocking
    ///
    /// Never, save for the drop of what was to be done.
    pub fn cancel(&self) {
        self.hall.cancel_all();
    }

    fn start<T: Send + 'scope, W: Work<T> + 'scope>(
        &self,
        name: Cow<'static, str>,
        work: W,
    ) -> ScopedTask<'scope, T> {
        let deadline = inherited(|| self.hall.shared.clock.now()).unwrap_or(Deadline::unbounded());
        let cell = Arc::new(Cell::new(Head::new(name, None, deadline), work));
        if let Err(refusal) = self.press(Arc::clone(&cell) as HeldFor<'scope>, Deadline::unbounded()) {
            cell.refuse(&self.hall.shared, self.refusal(&*cell, refusal));
        }
        ScopedTask::new(cell, Arc::clone(&self.hall))
    }

    fn hire(&self) {
        while let Some(worker) = self.hall.hire() {
            let hall = Arc::clone(&self.hall);
            let started =
                sync::spawn_scoped(self.within, format!("scope-{worker}"), move || hall.work(worker));
            if let Err(error) = started {
                self.hall.not_hired(worker);
                return complain(format_args!("a scope gets no more threads: {error}"));
            }
        }
    }
}

impl<'scope> Ground<'scope> for Scope<'scope, '_> {
    fn shared(&self) -> &Shared {
        &self.hall.shared
    }

    fn threads(&self) -> usize {
        self.hall.threads()
    }

    fn offer(&self, job: HeldFor<'scope>) -> Result<(), Refusal> {
        if self.hall.submit(job)? {
            self.hire();
        }
        Ok(())
    }

    /// More than anybody has memory for are run by the caller.
    fn press(&self, job: HeldFor<'scope>, _: Deadline) -> Result<(), Refusal> {
        match self.offer(Arc::clone(&job)) {
            Err(Refusal::Full) => {
                self.hall.run_here(&*job, false);
                Ok(())
            }
            taken => taken,
        }
    }

    fn refusal(&self, job: &dyn Job, _: Refusal) -> TaskError {
        self.hall.cancelled(job)
    }

    fn run_here(&self, job: &dyn Job, is_queued: bool) -> bool {
        self.hall.run_here(job, is_queued)
    }

    fn cancel(&self, job: &dyn Job) {
        self.hall.cancel(job);
    }

    fn has_free_hands(&self) -> bool {
        self.hall.has_free_hands()
    }
}

impl Clone for Scope<'_, '_> {
    fn clone(&self) -> Self {
        Self { hall: Arc::clone(&self.hall), within: self.within }
    }
}

impl fmt::Debug for Scope<'_, '_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scope").field("threads", &self.hall.threads()).finish_non_exhaustive()
    }
}
