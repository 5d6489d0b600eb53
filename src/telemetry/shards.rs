//! All threads that count, and what those have left that are gone.

use std::sync::Arc;

use super::shard::{COUNTERS, HISTOGRAMS, Place, Shard, Tally};
use crate::sync::{Mutex, MutexGuard, mutant};

/// All threads that count, and what those have left that are gone.
///
/// A thread enrols when it counts first, and takes its leave when it ends. Who looks holds the lock meanwhile, and finds
/// what a thread counted either with it or with what was left: never twice, never not at all. Nobody who counts takes
/// the lock.
#[derive(Debug)]
pub(crate) struct Shards(Mutex<Register>);

#[derive(Debug, Default)]
struct Register {
    live: Vec<Arc<Shard>>,
    /// Written under the lock.
    left: Shard,
    counters: Places,
    histograms: Places,
}

/// Who has which cell.
#[derive(Debug, Default)]
struct Places {
    next: usize,
    free: Vec<usize>,
}

impl Places {
    fn take(&mut self, most: usize) -> Option<usize> {
        let fresh = (self.next < most).then_some(self.next);
        let taken = self.free.pop().or(fresh)?;
        self.next = self.next.max(taken + 1);
        Some(taken)
    }
}

impl Default for Shards {
    fn default() -> Self {
        Self(Mutex::new(Register::default()))
    }
}

impl Shards {
    /// The calling thread counts from now on.
    pub(crate) fn enrol(&self) -> Arc<Shard> {
        let shard = Arc::new(Shard::default());
        self.0.lock().live.push(Arc::clone(&shard));
        shard
    }

    /// The thread of this shard counts no more.
    pub(crate) fn leave(&self, shard: &Arc<Shard>) {
        let mut register = self.0.lock();
        if mutant!(LeaveInTwoSteps) {
            register.live.retain(|other| !Arc::ptr_eq(other, shard));
            drop(register);
            register = self.0.lock();
            register.left.absorb(shard);
            return;
        }
        register.left.absorb(shard);
        register.live.retain(|other| !Arc::ptr_eq(other, shard));
    }

    /// A cell for a counter in each thread, and what is in it before the first addition; `None` if all are taken.
    pub(crate) fn take_counter(&self) -> Option<(Place, u64)> {
        let mut register = self.0.lock();
        let place = Place::of(register.counters.take(COUNTERS)?);
        Some((place, register.count(place)))
    }

    /// Nobody adds to it any more.
    pub(crate) fn free_counter(&self, place: Place) {
        self.0.lock().counters.free.push(place.number());
    }

    /// Buckets for a histogram in each thread; `None` if all are taken.
    pub(crate) fn take_histogram(&self) -> Option<usize> {
        self.0.lock().histograms.take(HISTOGRAMS)
    }

    /// Nobody records into it any more. Where there are values in it, nobody else will either: least, greatest and sum of the
    /// next one's could not be told from them.
    pub(crate) fn free_histogram(&self, histogram: usize) {
        let mut register = self.0.lock();
        if register.all().all(|shard| shard.count_values(histogram) == 0) {
            register.histograms.free.push(histogram);
        }
    }

    /// To look at several.
    pub(crate) fn look(&self) -> Look<'_> {
        Look(self.0.lock())
    }

    /// A value of a thread that has no shard any more: it is about to end.
    pub(crate) fn record_late(&self, histogram: usize, value: u64) {
        self.0.lock().left.record(histogram, value);
    }
}

/// A look at what has been counted. Threads that begin or end wait for its end; who counts does not.
#[derive(Debug)]
pub(crate) struct Look<'a>(MutexGuard<'a, Register>);

impl Look<'_> {
    pub(crate) fn count(&self, place: Place) -> u64 {
        self.0.count(place)
    }

    pub(crate) fn read(&self, histogram: usize) -> Tally {
        self.0.read(histogram)
    }

    /// How many values a histogram has.
    pub(crate) fn count_values(&self, histogram: usize) -> u64 {
        self.0.all().fold(0, |sum, shard| sum.wrapping_add(shard.count_values(histogram)))
    }
}

impl Register {
    fn all(&self) -> impl Iterator<Item = &Shard> {
        self.live.iter().map(|shard| &**shard).chain([&self.left])
    }

    fn count(&self, place: Place) -> u64 {
        self.all().fold(0, |sum, shard| sum.wrapping_add(shard.count(place)))
    }

    fn read(&self, histogram: usize) -> Tally {
        let mut tally = Tally::default();
        self.all().for_each(|shard| shard.read(histogram, &mut tally));
        tally
    }
}

#[cfg(all(test, not(underpin_loom)))]
mod tests {
    use super::*;

    #[test]
    fn a_cell_that_is_given_on_begins_with_what_is_in_it() {
        let shards = Shards::default();
        let (place, before) = shards.take_counter().expect("there is room");
        assert_eq!(before, 0);
        let shard = shards.enrol();
        shard.add(place, 7);
        shards.free_counter(place);
        assert_eq!(shards.take_counter(), Some((place, 7)));
        shards.leave(&shard);
        assert_eq!(shards.look().count(place), 7);
    }

    #[test]
    fn there_are_so_many_cells_and_no_more() {
        let shards = Shards::default();
        (0..HISTOGRAMS).for_each(|n| assert_eq!(shards.take_histogram(), Some(n)));
        assert!(shards.take_histogram().is_none());
        shards.free_histogram(17);
        assert_eq!(shards.take_histogram(), Some(17));
        assert!(shards.take_histogram().is_none());
    }

    #[test]
    fn buckets_that_were_used_are_not_given_on() {
        let shards = Shards::default();
        let (used, unused) = (shards.take_histogram().expect("room"), shards.take_histogram().expect("room"));
        shards.enrol().record(used, 7);
        [used, unused].into_iter().for_each(|histogram| shards.free_histogram(histogram));
        let next = [shards.take_histogram(), shards.take_histogram()];
        assert_eq!(next, [Some(unused), Some(unused + 1)]);
    }

    #[test]
    fn threads_that_are_gone_take_no_room() {
        let shards = Shards::default();
        (0..1_000).for_each(|_| shards.leave(&shards.enrol()));
        assert!(shards.0.lock().live.is_empty());
    }
}
