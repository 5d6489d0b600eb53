//! Where a service works: what lies on its desk when it crashes, or is given up, is lost, and is
//! counted.

use std::sync::{Arc, Mutex, PoisonError};

use underpin::Fence;
use underpin::telemetry;

use crate::hand::Hand;
use crate::stats::Stats;

/// The desk of one child. Its incarnations sit down at it one after the other.
///
/// It keeps `lost` independent of the other counts: each successor, or in the end
/// [`clear`](Self::clear), counts what its predecessor left. A seat holds one line at most, so at
/// most one is lost for each crash and for each that was abandoned.
#[derive(Debug)]
pub(crate) struct Desk {
    books: Books,
    present: Mutex<Arc<Hand>>,
}

/// Where is written down what was lost.
#[derive(Clone, Debug)]
pub(crate) struct Books {
    stats: Arc<Stats>,
    /// The same as a metric.
    lost: telemetry::Counter,
}

impl Books {
    pub(crate) fn new(stats: &Arc<Stats>, lost: telemetry::Counter) -> Self {
        Self { stats: Arc::clone(stats), lost }
    }

    /// A line was in the hands of one that is gone.
    fn lose(&self) {
        self.stats.lost.up();
        self.lost.increment();
    }

    /// A line was left in a queue for good.
    pub(crate) fn leave(&self) {
        self.stats.left.up();
        self.lost.increment();
    }
}

impl Desk {
    pub(crate) fn new(books: &Books) -> Arc<Self> {
        Arc::new(Self { books: books.clone(), present: Mutex::default() })
    }

    /// Whose counts it keeps.
    pub(crate) fn stats(&self) -> &Arc<Stats> {
        &self.books.stats
    }

    /// Where it writes them down.
    pub(crate) fn books(&self) -> &Books {
        &self.books
    }

    /// An incarnation sits down. Called by the factory: its predecessor's thread is gone by then, or
    /// was abandoned and may come back. From here on that one passes nothing on.
    pub(crate) fn sit_down(&self) -> Seat {
        let hand = self.replace_hand();
        Seat { hand, lines: 0, books: self.books.clone(), fence: None }
    }

    /// Counts what the last one left.
    pub(crate) fn clear(&self) {
        self.replace_hand();
    }

    fn replace_hand(&self) -> Arc<Hand> {
        let fresh = Arc::<Hand>::default();
        let mut present = self.present.lock().unwrap_or_else(PoisonError::into_inner);
        let left = std::mem::replace(&mut *present, Arc::clone(&fresh));
        if left.give_up() {
            self.books.lose();
        }
        fresh
    }
}

/// The place of one incarnation at its desk; part of its state, so it goes with it.
#[derive(Debug)]
pub(crate) struct Seat {
    hand: Arc<Hand>,
    lines: u64,
    books: Books,
    fence: Option<Fence>,
}

impl Seat {
    /// The incarnation is ready. If it goes without [`stop_work`](Self::stop_work), and is not
    /// abandoned, then it has crashed.
    pub(crate) fn start_work(&mut self, fence: Fence) {
        self.fence = Some(fence);
    }

    /// It goes because it was told to.
    pub(crate) fn stop_work(&mut self) {
        self.fence = None;
    }

    /// Takes a line up. From here until somebody [answers](Slip::answer) for it an end of this
    /// incarnation loses it. `None`: another one sits here by now, and the line is lost.
    pub(crate) fn take_up(&mut self) -> Option<Slip> {
        self.lines += 1;
        if !self.hand.take_up(self.lines) {
            self.books.lose();
            return None;
        }
        Some(Slip { hand: Arc::clone(&self.hand), line: self.lines })
    }

    /// The line has become someone else's. `false`: it was given up before, and counts as lost.
    #[must_use]
    pub(crate) fn passed_on(&self) -> bool {
        self.hand.answer(self.lines)
    }
}

impl Drop for Seat {
    /// One that was abandoned drops its state too, when it comes back; its fence is closed then.
    fn drop(&mut self) {
        if self.fence.as_ref().is_some_and(Fence::is_open) {
            self.books.stats.crashes.up();
        }
    }
}

/// What goes with a line on its way, so that whoever gets it knows whether it still counts.
#[derive(Debug)]
pub(crate) struct Slip {
    hand: Arc<Hand>,
    line: u64,
}

impl Slip {
    /// Answers for the line from here on. `false`: it comes too late, the line is counted as lost
    /// and later ones may have overtaken it, so it must come to nothing.
    #[must_use]
    pub(crate) fn answer(&self) -> bool {
        self.hand.answer(self.line)
    }
}
