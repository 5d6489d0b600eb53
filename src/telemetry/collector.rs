//! Who knows figures that are kept elsewhere.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Instant;

use super::own::Own;
use super::sheet::Sheet;
use super::snapshot::Family;
use crate::error::{complain, panic_text};
use crate::service::gate::Gate;
use crate::sync::{Clock, Mutex, Snapshot};

/// Who knows figures that are kept elsewhere, and what he said last.
pub(crate) struct Collector {
    name: Box<str>,
    collect: Box<dyn Fn(&mut Sheet) + Send + Sync>,
    said: Snapshot<Vec<Family>>,
    /// Somebody asks; it opens when he has his answer.
    turn: Mutex<Option<Arc<Gate>>>,
}

/// The right to ask one. It is given back however that ends.
struct Turn<'a>(&'a Collector);

impl Collector {
    pub(crate) fn new(name: &str, collect: impl Fn(&mut Sheet) + Send + Sync + 'static) -> Self {
        let (name, collect) = (name.into(), Box::new(collect));
        Self { name, collect, said: Snapshot::new(Arc::default()), turn: Mutex::new(None) }
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// What he said last.
    pub(crate) fn said(&self) -> Arc<Vec<Family>> {
        self.said.load()
    }

    /// Asks him, for so many series at most. Somebody else who asks is waited for until `deadline`; `None`: not at all. Where that
    /// was in vain, and where he panics, what he said last stands.
    pub(crate) fn ask(&self, own: &Own, room: usize, (clock, deadline): (&Clock, Option<Instant>)) {
        let Some(_turn) = self.turn(clock, deadline) else { return };
        let mut sheet = Sheet::with_room(room);
        let outcome = catch_unwind(AssertUnwindSafe(|| (self.collect)(&mut sheet)));
        own.count_refused_figures(sheet.refused());
        match outcome {
            Ok(()) => self.said.store(Arc::new(sheet.into_families())),
            Err(panic) => self.tell(own.count_collector_panic(), &panic_text(panic)),
        }
    }

    fn turn(&self, clock: &Clock, deadline: Option<Instant>) -> Option<Turn<'_>> {
        loop {
            let mut turn = self.turn.lock();
            let Some(taken) = turn.clone() else {
                *turn = Some(Arc::default());
                return Some(Turn(self));
            };
            drop(turn);
            let until = deadline.filter(|until| clock.now() < *until)?;
            taken.wait(clock, Some(until));
        }
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let turn = self.0.turn.lock().take();
        turn.into_iter().for_each(|turn| turn.open());
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
