//! Who knows figures that are kept elsewhere.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use super::own::Own;
use super::sheet::Sheet;
use super::snapshot::Family;
use crate::error::{complain, panic_text};
use crate::sync::{AtomicBool, Ordering, Snapshot};

/// Who knows figures that are kept elsewhere, and what he said last.
pub(crate) struct Collector {
    name: Box<str>,
    collect: Box<dyn Fn(&mut Sheet) + Send + Sync>,
    said: Snapshot<Vec<Family>>,
    /// Somebody asks.
    is_asked: AtomicBool,
}

impl Collector {
    pub(crate) fn new(name: &str, collect: impl Fn(&mut Sheet) + Send + Sync + 'static) -> Self {
        let (name, collect) = (name.into(), Box::new(collect));
        Self { name, collect, said: Snapshot::new(Arc::default()), is_asked: AtomicBool::new(false) }
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// What he says now, so many series at most. While somebody else asks, and where he panics, what he said last.
    pub(crate) fn ask(&self, own: &Own, room: usize) -> Arc<Vec<Family>> {
        if !self.is_asked.swap(true, Ordering::AcqRel) {
            let mut sheet = Sheet::with_room(room);
            let outcome = catch_unwind(AssertUnwindSafe(|| (self.collect)(&mut sheet)));
            own.count_refused_figures(sheet.refused());
            match outcome {
                Ok(()) => self.said.store(Arc::new(sheet.into_families())),
                Err(panic) => self.tell(own.count_collector_panic(), &panic_text(panic)),
            }
            self.is_asked.store(false, Ordering::Release);
        }
        self.said.load()
    }
}

impl Collector {
    /// Not each time: one that panics does so with each tick.
    fn tell(&self, nth: u64, text: &str) {
        if nth.is_power_of_two() {
            complain(format_args!(
                "collector `{}` panicked: {text} ({nth} panics of collectors in all)",
                self.name
            ));
        }
    }
}

impl fmt::Debug for Collector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Collector").field("name", &self.name).finish_non_exhaustive()
    }
}
