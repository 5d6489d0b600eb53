//! One task: what is to be done, and what came of it.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use super::cx::TaskContext;
use super::error::TaskError;
use super::head::Head;
use super::shared::Shared;
use crate::error::{complain, panic_text};
use crate::sync::Mutex;

/// A task as those see it who run it or end it: each by whoever has [claimed](Head::claim) it.
pub(crate) trait Job: Send + Sync {
    fn head(&self) -> &Head;
    /// Runs it, on the calling thread.
    fn run(&self, shared: &Shared);
    /// Ends it without.
    fn end(&self, shared: &Shared, error: TaskError);
}

/// The same, as its joiner sees it.
pub(crate) trait Answer<T>: Job {
    /// The outcome, once.
    fn take(&self) -> Option<Result<T, TaskError>>;
    /// Runs it for its joiner, on the calling thread, which has claimed it: nobody else will ask.
    fn run_for_joiner(&self, shared: &Shared) -> Result<T, TaskError>;
    /// The same, as those see it who know nothing of its value.
    fn as_job(&self) -> &dyn Job;
}

/// What a task does.
pub(crate) trait Work<T>: Send {
    fn work(self, cx: &TaskContext<'_>) -> T;
}

/// Work that knows nothing of tasks.
pub(crate) struct Plain<F>(pub(super) F);

impl<T, F: FnOnce() -> T + Send> Work<T> for Plain<F> {
    #[inline]
    fn work(self, _: &TaskContext<'_>) -> T {
        (self.0)()
    }
}

/// Work that looks whether it is cancelled.
pub(crate) struct Attentive<F>(pub(super) F);

impl<T, F: FnOnce(&TaskContext<'_>) -> T + Send> Work<T> for Attentive<F> {
    fn work(self, cx: &TaskContext<'_>) -> T {
        (self.0)(cx)
    }
}

/// One task, in one piece of memory.
#[repr(C)]
pub(crate) struct Cell<W, T> {
    body: Mutex<Body<W, T>>,
    head: Head,
}

/// A failure is rare, and takes no room where there is none.
enum Body<W, T> {
    Work(W),
    Outcome(Result<T, Box<TaskError>>),
    Nothing,
}

impl<W: Work<T>, T: Send> Cell<W, T> {
    pub(crate) fn new(head: Head, work: W) -> Self {
        Self { head, body: Mutex::new(Body::Work(work)) }
    }

    /// Ends a task that was not taken.
    pub(super) fn refuse(&self, shared: &Shared, error: TaskError) {
        self.head.claim();
        self.end(shared, error);
    }

    /// What was to be done, of a task that nobody else has.
    pub(crate) fn into_work(self) -> Option<W> {
        self.take_work()
    }

    #[inline]
    fn take_work(&self) -> Option<W> {
        match std::mem::replace(&mut *self.body.lock(), Body::Nothing) {
            Body::Work(work) => Some(work),
            Body::Outcome(_) | Body::Nothing => None,
        }
    }

    #[inline]
    fn perform(&self, shared: &Shared) -> Result<T, TaskError> {
        let Some(work) = self.take_work() else { return Err(shared.stopped(&self.head)) };
        if self.head.is_late(|| shared.clock.now()) {
            contained(&self.head, "work", || drop(work));
            return Err(shared.expired(&self.head));
        }
        let cx = TaskContext::new(&self.head, shared);
        let outcome = catch_unwind(AssertUnwindSafe(|| work.work(&cx)));
        outcome.map_err(|payload| shared.panicked(&self.head, panic_text(payload)))
    }

    #[inline]
    fn put(&self, shared: &Shared, outcome: Result<T, TaskError>) {
        *self.body.lock() = Body::Outcome(outcome.map_err(Box::new));
        if !self.head.finish() {
            self.drop_outcome(shared);
        }
    }

    /// Nobody asks for it. It is the user's, and dropped under no lock.
    #[cold]
    fn drop_outcome(&self, shared: &Shared) {
        let outcome = self.outcome();
        shared.unheard(outcome.as_ref());
        contained(&self.head, "outcome", || drop(outcome));
    }

    #[inline]
    fn outcome(&self) -> Option<Result<T, TaskError>> {
        match std::mem::replace(&mut *self.body.lock(), Body::Nothing) {
            Body::Outcome(outcome) => Some(outcome.map_err(|error| *error)),
            Body::Work(_) | Body::Nothing => None,
        }
    }
}

impl<W: Work<T>, T: Send> Job for Cell<W, T> {
    fn head(&self) -> &Head {
        &self.head
    }

    fn run(&self, shared: &Shared) {
        let outcome = self.perform(shared);
        self.put(shared, outcome);
    }

    fn end(&self, shared: &Shared, error: TaskError) {
        let work = self.take_work();
        contained(&self.head, "work", || drop(work));
        self.put(shared, Err(error));
    }
}

impl<W: Work<T>, T: Send> Answer<T> for Cell<W, T> {
    #[inline]
    fn take(&self) -> Option<Result<T, TaskError>> {
        self.outcome()
    }

    #[inline]
    fn run_for_joiner(&self, shared: &Shared) -> Result<T, TaskError> {
        let outcome = self.perform(shared);
        self.head.close();
        outcome
    }

    #[inline]
    fn as_job(&self) -> &dyn Job {
        self
    }
}

/// Runs a destructor of the user's where nothing may unwind.
pub(super) fn contained(head: &Head, what: &str, work: impl FnOnce()) {
    if let Err(panic) = catch_unwind(AssertUnwindSafe(work)) {
        let (name, text) = (&head.name, panic_text(panic));
        complain(format_args!("the drop of the {what} of the task `{name}` panicked: {text}"));
    }
}

/// How a task is held by those who may run it.
pub(crate) type Held = Arc<dyn Job>;
