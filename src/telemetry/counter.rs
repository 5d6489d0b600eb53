//! A counter: what only rises.

use std::sync::Arc;

use super::local::{self, SHARDS};
use super::shard::Place;
use super::shards::Look;
use crate::sync::{Mutex, Ordering, Tally};

/// Counts what only rises. Clones count the same.
///
/// Each thread has a cell of its own: to add is one load and one store there, without a lock or an atomic operation that
/// others wait for. What was added is never lost: not when its thread ends, and not while the services of the telemetry
/// are down.
///
/// # Example
///
/// ```
/// use underpin::telemetry::{Descriptor, Telemetry};
///
/// let telemetry = Telemetry::new();
/// let lines = telemetry.counter(&Descriptor::counter("collector.lines", "Lines that were taken."), &[]);
/// lines.add(2);
/// lines.increment();
/// assert_eq!(lines.value(), 3);
/// ```
#[derive(Clone, Debug)]
pub struct Counter {
    /// Kept here too, so that the hot path has one place less to go to.
    place: Option<Place>,
    cell: Arc<CounterCell>,
}

/// What the clones of a counter share.
#[derive(Debug)]
pub(crate) struct CounterCell {
    /// `None`: there are more counters than a thread has cells for. All threads share one then.
    place: Option<Place>,
    /// What was in the cells when it began.
    before: u64,
    shared: Tally,
    raising: Mutex<()>,
}

impl Counter {
    pub(crate) fn new() -> Self {
        let (place, before) = local::take_counter().unzip();
        let before = before.unwrap_or(0);
        Self {
            place,
            cell: Arc::new(CounterCell { place, before, shared: Tally::new(0), raising: Mutex::new(()) }),
        }
    }

    /// Adds `n`. After 2^64 it begins with 0 again.
    #[inline]
    pub fn add(&self, n: u64) {
        match self.place {
            Some(place) if local::add(place, n) => {}
            _ => self.cell.add_shared(n),
        }
    }

    /// Adds 1.
    #[inline]
    pub fn increment(&self) {
        self.add(1);
    }

    /// Raises it to a total that is kept elsewhere, if that is more. Not to be mixed with [`add`](Self::add) by other
    /// threads at the same time: what they add in this very moment may count beside the total. Of several that raise it, one
    /// waits for the other.
    pub fn raise_to(&self, total: u64) {
        let _turn = self.cell.raising.lock();
        self.add(total.saturating_sub(self.value()));
    }

    /// What has come together. It may not have what another thread adds in this very moment.
    ///
    /// # Blocking
    ///
    /// On who looks at counters, or begins or ends as a thread that counts: for microseconds.
    pub fn value(&self) -> u64 {
        self.cell.value(&SHARDS.look())
    }

    pub(crate) fn value_at(&self, look: &Look<'_>) -> u64 {
        self.cell.value(look)
    }

    /// Whether nobody else has it.
    pub(crate) fn is_alone(&self) -> bool {
        Arc::strong_count(&self.cell) == 1
    }
}

impl CounterCell {
    #[cold]
    fn add_shared(&self, n: u64) {
        self.shared.fetch_add(n, Ordering::Relaxed);
    }

    fn value(&self, look: &Look<'_>) -> u64 {
        let cells = self.place.map_or(0, |place| look.count(place));
        cells.wrapping_sub(self.before).wrapping_add(self.shared.load(Ordering::Relaxed))
    }
}

impl Drop for CounterCell {
    fn drop(&mut self) {
        self.place.into_iter().for_each(|place| SHARDS.free_counter(place));
    }
}
