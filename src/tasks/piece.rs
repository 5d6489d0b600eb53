//! One item of a map, as a task.

use std::sync::Arc;

use super::bell::Bell;
use super::cx::TaskContext;
use super::error::TaskError;
use super::head::Head;
use super::job::{Answer, Cell, Job, Work};
use super::shared::Shared;
use crate::sync::mutant;

/// What is done with each item, shared by all.
pub(crate) type Each<'t, I, U> = Arc<dyn Fn(I, &TaskContext<'_>) -> U + Send + Sync + 't>;

/// One item, and what is to be done with it.
pub(crate) struct Item<'t, I, U> {
    pub(super) item: I,
    pub(super) each: Each<'t, I, U>,
}

impl<I: Send, U> Work<U> for Item<'_, I, U> {
    fn work(self, cx: &TaskContext<'_>) -> U {
        (self.each)(self.item, cx)
    }
}

/// A task that rings when it has ended, in whatever way.
pub(crate) struct Piece<W, T> {
    cell: Cell<W, T>,
    place: usize,
    bell: Arc<Bell>,
}

impl<W: Work<T>, T: Send> Piece<W, T> {
    pub(crate) fn new(head: Head, work: W, place: usize, bell: Arc<Bell>) -> Self {
        Self { cell: Cell::new(head, work), place, bell }
    }
}

impl<W: Work<T>, T: Send> Job for Piece<W, T> {
    fn head(&self) -> &Head {
        self.cell.head()
    }

    fn run(&self, shared: &Shared) {
        if mutant!(RingFirst) {
            self.bell.ring(self.place);
            return self.cell.run(shared);
        }
        self.cell.run(shared);
        self.bell.ring(self.place);
    }

    fn end(&self, shared: &Shared, error: TaskError) {
        self.cell.end(shared, error);
        self.bell.ring(self.place);
    }
}

impl<W: Work<T>, T: Send> Answer<T> for Piece<W, T> {
    fn take(&self) -> Option<Result<T, TaskError>> {
        self.cell.take()
    }

    fn run_for_joiner(&self, shared: &Shared) -> Result<T, TaskError> {
        let outcome = self.cell.run_for_joiner(shared);
        self.bell.ring(self.place);
        outcome
    }

    fn as_job(&self) -> &dyn Job {
        self
    }
}
