//! What one thread has counted. It alone writes; whoever looks reads beside it.

use std::sync::OnceLock;

use super::buckets::{BLOCK, BLOCKS, block_of};
use super::distribution::Distribution;
use crate::sync::{AtomicU64, Ordering};

/// Counters on the first page, and on the second; each one after that has twice as many as the one before.
const PAGE: usize = 64;
const PAGES: usize = 11;
/// Counters to two cache lines: processors fetch them in pairs, and the next two may be another thread's.
#[cfg(not(underpin_loom))]
const LINE: usize = 16;
/// In a model there are two in all: loom follows each of them.
#[cfg(underpin_loom)]
const LINE: usize = 2;

/// Histograms to a page.
const CHARTS: usize = 64;
const CHART_PAGES: usize = 64;

/// How many counters have cells of their own in each thread: 512 KiB, if a thread adds to all of them.
pub(crate) const COUNTERS: usize = PAGE << (PAGES - 1);
/// How many histograms do.
pub(crate) const HISTOGRAMS: usize = CHARTS * CHART_PAGES;

/// What one thread has counted.
///
/// A page is made when its first counter is touched, the buckets of a histogram by blocks of 64 when the first value
/// falls into one: a thread that counts little keeps little, one that counts one thing some 800 bytes.
#[derive(Debug)]
pub(crate) struct Shard {
    pages: [OnceLock<Page>; PAGES],
    charts: OnceLock<Box<[OnceLock<Box<ChartPage>>; CHART_PAGES]>>,
}

#[derive(Debug)]
struct Page(Box<[Line]>);

#[derive(Debug)]
#[repr(align(128))]
struct Line([AtomicU64; LINE]);

/// Where the cell of a counter is, in each shard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    page: u32,
    cell: u32,
}

impl Place {
    /// Of the counter of this number, below [`COUNTERS`].
    pub(crate) fn of(counter: usize) -> Self {
        let page = (counter / PAGE).checked_ilog2().map_or(0, |log| log + 1);
        let before = if page == 0 { 0 } else { PAGE << (page - 1) };
        Self { page, cell: (counter - before) as u32 }
    }

    /// The number of its counter.
    pub(crate) fn number(self) -> usize {
        let before = if self.page == 0 { 0 } else { PAGE << (self.page - 1) };
        before + self.cell as usize
    }
}

impl Page {
    fn new(page: usize) -> Self {
        let cells = PAGE << page.saturating_sub(1);
        let lines = if cfg!(underpin_loom) { 1 } else { cells / LINE };
        Self((0..lines).map(|_| Line(std::array::from_fn(|_| AtomicU64::new(0)))).collect())
    }

    #[inline]
    fn cell(&self, cell: u32) -> &AtomicU64 {
        let cell = cell as usize;
        &self.0[cell / LINE].0[cell % LINE]
    }

    fn counts(&self) -> impl Iterator<Item = (u32, u64)> {
        let cells = self.0.iter().flat_map(|line| &line.0);
        let counts = (0..).zip(cells.map(|cell| cell.load(Ordering::Relaxed)));
        counts.filter(|(_, n)| *n > 0)
    }
}

type ChartPage = [OnceLock<Box<Chart>>; CHARTS];

/// The values of one histogram.
#[derive(Debug)]
#[repr(align(128))]
struct Chart {
    sum: AtomicU64,
    min: AtomicU64,
    max: AtomicU64,
    blocks: [OnceLock<Box<Block>>; BLOCKS],
}

#[derive(Debug)]
#[repr(align(128))]
struct Block([AtomicU64; BLOCK]);

impl Default for Shard {
    fn default() -> Self {
        Self { pages: [const { OnceLock::new() }; PAGES], charts: OnceLock::new() }
    }
}

impl Shard {
    /// Only by the thread that it is of.
    ///
    /// ORDERING: nobody else writes, so what is there is what this thread wrote, and a plain store does. Whoever reads
    /// it later may see a little less, never a torn or a lost value; who was told of it, by a lock or a join, sees it.
    #[inline]
    pub(crate) fn add(&self, place: Place, n: u64) {
        let page = match self.pages[place.page as usize].get() {
            Some(page) => page,
            None => self.make_page(place.page as usize),
        };
        raise(page.cell(place.cell), n);
    }

    #[cold]
    fn make_page(&self, page: usize) -> &Page {
        self.pages[page].get_or_init(|| Page::new(page))
    }

    /// By anybody.
    pub(crate) fn count(&self, place: Place) -> u64 {
        let page = self.pages[place.page as usize].get();
        page.map_or(0, |page| page.cell(place.cell).load(Ordering::Relaxed))
    }

    /// Only by the thread that it is of.
    #[inline]
    pub(crate) fn record(&self, histogram: usize, value: u64) {
        match self.chart(histogram) {
            Some(chart) => chart.record(value),
            None => self.make_chart(histogram).record(value),
        }
    }

    #[inline]
    fn chart(&self, histogram: usize) -> Option<&Chart> {
        let page = self.charts.get()?[histogram / CHARTS % CHART_PAGES].get()?;
        page[histogram % CHARTS].get().map(|chart| &**chart)
    }

    #[cold]
    fn make_chart(&self, histogram: usize) -> &Chart {
        let pages = self.charts.get_or_init(|| Box::new([const { OnceLock::new() }; CHART_PAGES]));
        let page = &pages[histogram / CHARTS % CHART_PAGES];
        let page = page.get_or_init(|| Box::new([const { OnceLock::new() }; CHARTS]));
        page[histogram % CHARTS].get_or_init(|| Box::new(Chart::new()))
    }

    /// Adds its values to `into`. By anybody.
    pub(crate) fn read(&self, histogram: usize, into: &mut Tally) {
        if let Some(chart) = self.chart(histogram) {
            chart.read(into);
        }
    }

    /// How many values there are. By anybody.
    pub(crate) fn count_values(&self, histogram: usize) -> u64 {
        let counts = self.chart(histogram).into_iter().flat_map(Chart::counts);
        counts.fold(0, |sum, (_, _, n)| sum.wrapping_add(n))
    }

    /// Takes over what another thread has counted. Only by the thread that it is of, and when nothing is added to the
    /// other one any more.
    pub(crate) fn absorb(&self, other: &Self) {
        for (page, cells) in (0..).zip(&other.pages) {
            let counts = cells.get().into_iter().flat_map(Page::counts);
            counts.for_each(|(cell, n)| self.add(Place { page, cell }, n));
        }
        for (at, page) in other.charts.get().into_iter().flat_map(|pages| made(&**pages)) {
            for (place, chart) in made(page) {
                let histogram = at * CHARTS + place;
                self.chart(histogram).unwrap_or_else(|| self.make_chart(histogram)).absorb(chart);
            }
        }
    }
}

/// Those that are there, with their places.
fn made<T>(of: &[OnceLock<Box<T>>]) -> impl Iterator<Item = (usize, &T)> {
    of.iter().enumerate().filter_map(|(at, one)| Some((at, &**one.get()?)))
}

/// Only by the one thread that writes.
#[inline]
fn raise(cell: &AtomicU64, by: u64) {
    cell.store(cell.load(Ordering::Relaxed).wrapping_add(by), Ordering::Relaxed);
}

impl Chart {
    fn new() -> Self {
        Self {
            sum: AtomicU64::new(0),
            min: AtomicU64::new(u64::MAX),
            max: AtomicU64::new(0),
            blocks: [const { OnceLock::new() }; BLOCKS],
        }
    }

    #[inline]
    fn record(&self, value: u64) {
        let (block, place) = block_of(value);
        raise(&self.block(block).0[place % BLOCK], 1);
        self.stretch(value, value, value);
    }

    #[inline]
    fn stretch(&self, sum: u64, min: u64, max: u64) {
        let total = self.sum.load(Ordering::Relaxed).saturating_add(sum);
        self.sum.store(total, Ordering::Relaxed);
        if min < self.min.load(Ordering::Relaxed) {
            self.min.store(min, Ordering::Relaxed);
        }
        if max > self.max.load(Ordering::Relaxed) {
            self.max.store(max, Ordering::Relaxed);
        }
    }

    #[inline]
    fn block(&self, block: usize) -> &Block {
        match self.blocks[block].get() {
            Some(block) => block,
            None => self.make_block(block),
        }
    }

    #[cold]
    fn make_block(&self, block: usize) -> &Block {
        self.blocks[block].get_or_init(|| Box::new(Block(std::array::from_fn(|_| AtomicU64::new(0)))))
    }

    fn counts(&self) -> impl Iterator<Item = (usize, usize, u64)> {
        let blocks = made(&self.blocks);
        let counts = blocks.flat_map(|(block, cells)| {
            cells.0.iter().enumerate().map(move |(place, cell)| (block, place, cell.load(Ordering::Relaxed)))
        });
        counts.filter(|(_, _, n)| *n > 0)
    }

    fn read(&self, into: &mut Tally) {
        self.counts().for_each(|(block, place, n)| into.add(block * BLOCK + place, n));
        let load = |cell: &AtomicU64| cell.load(Ordering::Relaxed);
        into.stretch(load(&self.sum), load(&self.min), load(&self.max));
    }

    fn absorb(&self, other: &Self) {
        other.counts().for_each(|(block, place, n)| raise(&self.block(block).0[place], n));
        let load = |cell: &AtomicU64| cell.load(Ordering::Relaxed);
        self.stretch(load(&other.sum), load(&other.min), load(&other.max));
    }
}

/// The values of one histogram, of several threads.
#[derive(Debug)]
pub(crate) struct Tally {
    counts: Vec<u64>,
    sum: u128,
    min: u64,
    max: u64,
}

impl Default for Tally {
    fn default() -> Self {
        Self { counts: Vec::new(), sum: 0, min: u64::MAX, max: 0 }
    }
}

impl Tally {
    fn add(&mut self, bucket: usize, n: u64) {
        if self.counts.len() <= bucket {
            self.counts.resize(bucket + 1, 0);
        }
        self.counts[bucket] = self.counts[bucket].wrapping_add(n);
    }

    fn stretch(&mut self, sum: u64, min: u64, max: u64) {
        self.sum += u128::from(sum);
        self.min = self.min.min(min);
        self.max = self.max.max(max);
    }

    /// As others see it.
    pub(crate) fn finish(self) -> Distribution {
        Distribution::from_parts(self.counts.into_iter().enumerate(), self.sum, self.min, self.max)
    }
}

#[cfg(all(test, not(underpin_loom)))]
mod tests {
    use super::*;

    #[test]
    fn each_counter_has_a_cell_of_its_own() {
        let mut seen = std::collections::HashSet::new();
        for counter in (0..5_000).chain(COUNTERS - 10..COUNTERS) {
            let place = Place::of(counter);
            assert_eq!(place.number(), counter);
            assert!(
                (place.page as usize) < PAGES && (place.cell as usize) < PAGE << place.page.saturating_sub(1)
            );
            assert!(seen.insert((place.page, place.cell)), "{counter} has another's");
        }
    }

    #[test]
    fn what_is_added_is_there_and_nowhere_else() {
        let shard = Shard::default();
        let places = [0, 1, 63, 64, 127, 128, 4_000, COUNTERS - 1].map(Place::of);
        for (n, place) in (1..).zip(places) {
            shard.add(place, n);
            shard.add(place, 100);
        }
        let counts = places.map(|place| shard.count(place));
        assert_eq!(counts, [101, 102, 103, 104, 105, 106, 107, 108]);
        assert_eq!(shard.count(Place::of(2)), 0);
    }

    #[test]
    fn a_shard_takes_over_all_of_another() {
        let (one, other) = (Shard::default(), Shard::default());
        let place = Place::of(1_000);
        one.add(place, 1);
        other.add(place, 2);
        for (shard, values) in [(&one, [5, 1_000]), (&other, [5, 7_000_000])] {
            values.into_iter().for_each(|value| shard.record(HISTOGRAMS - 1, value));
        }
        one.absorb(&other);
        let mut tally = Tally::default();
        one.read(HISTOGRAMS - 1, &mut tally);
        let values = tally.finish();
        assert_eq!((one.count(place), values.count(), one.count_values(HISTOGRAMS - 1)), (3, 4, 4));
        assert_eq!((values.sum, values.min, values.max), (7_001_010, 5, 7_000_000));
        assert_eq!(values.buckets[0], (5, 2));
    }

    #[test]
    fn a_thread_that_counts_one_thing_keeps_little() {
        assert!(size_of::<Shard>() <= 320, "{} bytes", size_of::<Shard>());
        assert!(size_of::<Chart>() <= 1_024, "{} bytes", size_of::<Chart>());
    }
}
