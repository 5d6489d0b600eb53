//! Where a service works: what lies on its desk when it crashes is lost, and is counted.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::stats::Stats;

/// The desk of one child, handed from incarnation to incarnation.
///
/// It keeps `lost` independent of the other counts: each successor, or in the end
/// [`clear`](Self::clear), counts what its predecessor left. A desk holds one line at most, so at
/// most one is lost for each crash.
#[derive(Debug)]
pub(crate) struct Desk {
    stats: Arc<Stats>,
    occupied: AtomicBool,
    inherited: AtomicBool,
}

impl Desk {
    pub(crate) fn new(stats: &Arc<Stats>) -> Arc<Self> {
        Arc::new(Self { stats: Arc::clone(stats), occupied: false.into(), inherited: false.into() })
    }

    /// Whose counts it keeps.
    pub(crate) fn stats(&self) -> Arc<Stats> {
        Arc::clone(&self.stats)
    }

    /// An incarnation sits down. Called by the factory: its predecessor's thread is gone by then,
    /// which orders the two, so nothing here needs more than `Relaxed`.
    pub(crate) fn sit_down(&self) {
        if self.inherited.swap(true, Ordering::Relaxed) {
            self.stats.restarts.up();
        }
        self.clear();
    }

    /// Takes a line up. From here to [`done`](Self::done) a crash loses it.
    pub(crate) fn take_up(&self) {
        self.occupied.store(true, Ordering::Relaxed);
    }

    /// The line has become someone else's, or was counted.
    pub(crate) fn done(&self) {
        self.occupied.store(false, Ordering::Relaxed);
    }

    /// Counts what the last one left.
    pub(crate) fn clear(&self) {
        if self.occupied.swap(false, Ordering::Relaxed) {
            self.stats.lost.up();
        }
    }
}
