//! A histogram: how often each value was there.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::distribution::Distribution;
use super::local::{self, SHARDS};
use super::shard::Tally;
use super::shards::Look;
use crate::sync::{Clock, Mutex};

/// Keeps how often each value was there, with a relative error of a value of 1/128 at most. Clones are the same histogram.
///
/// It has logarithmic buckets, 64 to a power of two; values below 128 are kept exactly. Each thread has buckets of its
/// own: to record is a few loads and stores there, without a lock. A thread takes about 1 KiB for each histogram that it
/// records into, and 512 bytes for each power of two that its values fall into. The sum of what one thread records saturates at
/// 2^64. There are buckets for 4,096 histograms in the life of a process; those beyond share one set and its lock.
///
/// # Example
///
/// ```
/// use std::time::Duration;
/// use underpin::telemetry::{Descriptor, Telemetry, Unit};
///
/// const HANDLING: Descriptor = Descriptor::histogram("collector.handling", "From read to stored.").unit(Unit::Seconds);
///
/// let handling = Telemetry::new().histogram(&HANDLING, &[]);
/// handling.record_duration(Duration::from_micros(80));
/// let answer = handling.time(|| 6 * 7);
/// assert_eq!((answer, handling.values().count()), (42, 2));
/// ```
#[derive(Clone, Debug)]
pub struct Histogram {
    place: usize,
    cell: Arc<HistogramCell>,
}

/// No thread has buckets for it: there are too many.
const NOWHERE: usize = usize::MAX;

#[derive(Debug)]
struct HistogramCell {
    place: usize,
    /// Of all threads together, where they have no buckets of their own for it.
    shared: Mutex<Distribution>,
}

impl Histogram {
    pub(crate) fn new() -> Self {
        let (place, shared) =
            (local::take_histogram().unwrap_or(NOWHERE), Mutex::new(Distribution::default()));
        Self { place, cell: Arc::new(HistogramCell { place, shared }) }
    }

    /// Records a value, in the integers of its [unit](super::Unit): nanoseconds for times.
    #[inline]
    pub fn record(&self, value: u64) {
        if self.place == NOWHERE {
            return self.cell.shared.lock().record(value, 1);
        }
        local::record(self.place, value);
    }

    /// Records a time, in nanoseconds. One of more than 584 years counts as that.
    #[inline]
    pub fn record_duration(&self, time: Duration) {
        self.record(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX));
    }

    /// Calls `work`, and records how long it took by the system's clock; also if it panics.
    pub fn time<T>(&self, work: impl FnOnce() -> T) -> T {
        let _timer = self.start();
        work()
    }

    /// Begins to measure a time by the system's clock: recorded when the [`Timer`] is dropped.
    pub fn start(&self) -> Timer<'_> {
        Timer { into: Some(self), since: Clock::SYSTEM.now() }
    }

    /// What has been recorded. It may not have what another thread records in this very moment.
    ///
    /// # Blocking
    ///
    /// As [`Counter::value`](super::Counter::value).
    pub fn values(&self) -> Distribution {
        self.values_at(&SHARDS.look()).finish(self)
    }

    /// The part under the lock.
    pub(crate) fn values_at(&self, look: &Look<'_>) -> Raw {
        Raw((self.place != NOWHERE).then(|| look.read(self.place)))
    }

    /// How many values there are.
    pub(crate) fn count_at(&self, look: &Look<'_>) -> u64 {
        match self.place {
            NOWHERE => self.cell.shared.lock().count(),
            place => look.count_values(place),
        }
    }

    /// Whether nobody else has it.
    pub(crate) fn is_alone(&self) -> bool {
        Arc::strong_count(&self.cell) == 1
    }
}

/// What was in the buckets.
#[derive(Debug)]
pub(crate) struct Raw(Option<Tally>);

impl Raw {
    pub(crate) fn finish(self, of: &Histogram) -> Distribution {
        match self.0 {
            Some(tally) => tally.finish(),
            None => of.cell.shared.lock().clone(),
        }
    }
}

impl Drop for HistogramCell {
    fn drop(&mut self) {
        if self.place != NOWHERE {
            SHARDS.free_histogram(self.place);
        }
    }
}

/// A time that is being measured, from [`Histogram::start`] to its drop.
#[derive(Debug)]
#[must_use = "the time is recorded when this is dropped"]
pub struct Timer<'a> {
    into: Option<&'a Histogram>,
    since: Instant,
}

impl Timer<'_> {
    /// How long it has been.
    pub fn elapsed(&self) -> Duration {
        Clock::SYSTEM.now().saturating_duration_since(self.since)
    }

    /// Records nothing.
    pub fn discard(mut self) {
        self.into = None;
    }
}

impl Drop for Timer<'_> {
    fn drop(&mut self) {
        self.into.into_iter().for_each(|histogram| histogram.record_duration(self.elapsed()));
    }
}
