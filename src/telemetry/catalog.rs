//! Which series there are.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::counter::Counter;
use super::descriptor::{Descriptor, DescriptorError, Kind};
use super::gauge::Gauge;
use super::histogram::{Histogram, Raw};
use super::labels::{Labels, LabelsError};
use super::shards::Look;
use super::snapshot::{Family, Series, Value, is_below};
use crate::sync::{Ordering, fence, mutant};

/// The label of a family's overflow series.
pub(crate) const OVERFLOW: (&str, &str) = ("overflow", "true");

/// Which series there are. It is looked up in and changed under a lock, by who wants a handle; not by who counts.
#[derive(Debug)]
pub(crate) struct Catalog {
    families: BTreeMap<Box<str>, Entry>,
    caps: Caps,
    pub(crate) counts: CatalogCounts,
}

/// How much there may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Caps {
    pub(crate) families: usize,
    pub(crate) series: usize,
    /// How long a series is shown that nothing is added to.
    pub(crate) retention: Option<Duration>,
}

/// What a catalog has counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct CatalogCounts {
    /// Series that are there; those of overflow are not counted.
    pub(crate) series: usize,
    /// Times that somebody was given a series of overflow.
    pub(crate) overflowed: u64,
    /// Times that somebody was given what nobody will see: a wrong name, wrong labels, or another kind or unit.
    pub(crate) refused: u64,
    /// Series that went out of sight because nothing was added to them.
    pub(crate) expired: u64,
}

/// Why there is no such series.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MeterError {
    /// The descriptor is wrong, or the name stands for something else.
    #[error(transparent)]
    Descriptor(#[from] DescriptorError),
    /// The labels are wrong.
    #[error("of `{name}`: {source}")]
    Labels {
        /// The metric.
        name: String,
        /// What is wrong.
        source: LabelsError,
    },
    /// The descriptor is of another kind than what was asked for.
    #[error("`{name}` is described as a {described}, and a {wanted} was asked for")]
    Kind {
        /// The metric.
        name: String,
        /// What the descriptor says.
        described: Kind,
        /// What was asked for.
        wanted: Kind,
    },
    /// There are as many names as there may be.
    #[error("`{name}` is one name too many: there are {most} already")]
    TooManyNames {
        /// The metric.
        name: String,
        /// How many there may be.
        most: usize,
    },
}

#[derive(Debug)]
struct Entry {
    descriptor: Arc<Descriptor>,
    series: BTreeMap<Labels, Kept>,
    overflow: Option<Kept>,
}

/// A series, and when something was added to it last.
#[derive(Debug)]
struct Kept {
    meter: Meter,
    /// As it was when it was looked at last.
    seen: u64,
    updated: Instant,
    is_shown: bool,
}

/// A handle of any kind.
#[derive(Clone, Debug)]
pub(crate) enum Meter {
    Counter(Counter),
    Gauge(Gauge),
    Histogram(Histogram),
}

impl Meter {
    pub(crate) fn new(kind: Kind) -> Self {
        match kind {
            Kind::Counter => Self::Counter(Counter::new()),
            Kind::Gauge => Self::Gauge(Gauge::default()),
            Kind::Histogram => Self::Histogram(Histogram::new()),
        }
    }

    fn is_alone(&self) -> bool {
        match self {
            Self::Counter(counter) => counter.is_alone(),
            Self::Gauge(gauge) => gauge.is_alone(),
            Self::Histogram(histogram) => histogram.is_alone(),
        }
    }
}

impl Catalog {
    pub(crate) fn new(caps: Caps) -> Self {
        Self { families: BTreeMap::new(), caps, counts: CatalogCounts::default() }
    }

    pub(crate) fn caps(&self) -> Caps {
        self.caps
    }

    /// The series of these labels, or, if there are too many, the one of overflow.
    pub(crate) fn meter(
        &mut self,
        descriptor: &Descriptor,
        labels: &[(&str, &str)],
        now: Instant,
    ) -> Result<Meter, MeterError> {
        let labels = Labels::new(labels);
        let labels =
            labels.map_err(|source| MeterError::Labels { name: descriptor.name().into(), source })?;
        self.open_family(descriptor)?;
        let has_room = self.counts.series < self.caps.series;
        let entry = self.families.get_mut(descriptor.name()).expect("it was put there");
        if let Some(kept) = entry.series.get_mut(&labels) {
            return Ok(kept.touch(now));
        }
        let kind = entry.descriptor.kind();
        if !has_room {
            self.counts.overflowed += 1;
            return Ok(entry.overflow.get_or_insert_with(|| Kept::new(kind, now)).touch(now));
        }
        self.counts.series += 1;
        Ok(entry.series.entry(labels).or_insert_with(|| Kept::new(kind, now)).touch(now))
    }

    fn open_family(&mut self, descriptor: &Descriptor) -> Result<(), MeterError> {
        let name = descriptor.name();
        if let Some(entry) = self.families.get(name) {
            return Ok(entry.descriptor.agrees(descriptor)?);
        }
        descriptor.check()?;
        if self.families.len() >= self.caps.families {
            return Err(MeterError::TooManyNames { name: name.into(), most: self.caps.families });
        }
        let (descriptor, series) = (Arc::new(descriptor.clone()), BTreeMap::new());
        self.families.insert(name.into(), Entry { descriptor, series, overflow: None });
        Ok(())
    }

    /// Counts that somebody is given what nobody will see. Returns how often that was.
    pub(crate) fn refuse(&mut self) -> u64 {
        self.counts.refused += 1;
        self.counts.refused
    }

    /// Looks at every series: what nothing was added to for so long is not shown any more, and what nobody has a handle
    /// of goes. Returns what went, to be dropped when no lock is held.
    pub(crate) fn sweep(&mut self, look: &Look<'_>, now: Instant) -> Vec<Meter> {
        let Some(retention) = self.caps.retention else { return Vec::new() };
        let mut gone = Vec::new();
        let mut expired = 0;
        for entry in self.families.values_mut() {
            let mut goes = |kept: &mut Kept| {
                // Before the look: who adds and lets go of it after that is seen by the next sweep.
                let is_alone = kept.is_alone();
                expired += u64::from(kept.look(look, now, retention));
                is_alone && !kept.is_shown
            };
            let going = entry.series.extract_if(.., |_, kept| goes(kept));
            gone.extend(going.map(|(_, kept)| kept.meter));
            entry.overflow.iter_mut().for_each(|kept| _ = goes(kept));
        }
        self.counts.expired += expired;
        self.counts.series -= gone.len();
        gone
    }

    /// What is there, of names below `prefix` and with these labels among theirs.
    pub(crate) fn select(&self, prefix: &str, labels: &[(&str, &str)], look: &Look<'_>) -> Vec<Selected> {
        let entries = self.families.iter().filter(|(name, _)| is_below(name, prefix));
        let selected = entries.map(|(_, entry)| entry.select(labels, look));
        selected.filter(|family| !family.series.is_empty()).collect()
    }
}

impl Entry {
    fn select(&self, labels: &[(&str, &str)], look: &Look<'_>) -> Selected {
        let shown = self.series.iter().filter(|(has, kept)| kept.is_shown && has.contains(labels));
        let mut series: Vec<_> = shown.map(|(has, kept)| (has.clone(), kept.read(look))).collect();
        let overflow = self.overflow.iter().filter(|kept| kept.is_shown);
        let overflow = overflow.map(|kept| (Labels::new(&[OVERFLOW]).unwrap_or_default(), kept.read(look)));
        for (has, read) in overflow.filter(|(has, _)| has.contains(labels)) {
            // Somebody may have labelled a series so himself: then that one stands.
            if let Err(place) = series.binary_search_by(|(other, _)| other.cmp(&has)) {
                series.insert(place, (has, read));
            }
        }
        Selected { descriptor: Arc::clone(&self.descriptor), series }
    }
}

impl Kept {
    fn new(kind: Kind, now: Instant) -> Self {
        Self { meter: Meter::new(kind), seen: 0, updated: now, is_shown: true }
    }

    /// Somebody wants to add to it.
    fn touch(&mut self, now: Instant) -> Meter {
        (self.updated, self.is_shown) = (now, true);
        self.meter.clone()
    }

    /// Whether it went out of sight with this.
    fn look(&mut self, look: &Look<'_>, now: Instant, retention: Duration) -> bool {
        if self.has_changed(look) {
            (self.updated, self.is_shown) = (now, true);
        }
        let is_old = now.saturating_duration_since(self.updated) >= retention;
        let goes = is_old && self.is_shown;
        self.is_shown &= !is_old;
        goes
    }

    fn has_changed(&mut self, look: &Look<'_>) -> bool {
        let now = match &self.meter {
            Meter::Counter(counter) => counter.value_at(look),
            Meter::Histogram(histogram) => histogram.count_at(look),
            Meter::Gauge(gauge) => return gauge.take_touched(),
        };
        std::mem::replace(&mut self.seen, now) != now
    }

    /// Nobody can add to it any more: what was added is seen by who looks after this.
    ///
    /// ORDERING: who has let go of the last handle did so after his addition, with `Release`.
    fn is_alone(&self) -> bool {
        let is_alone = self.meter.is_alone() || mutant!(SweepHeld);
        fence(Ordering::Acquire);
        is_alone
    }

    fn read(&self, look: &Look<'_>) -> Read {
        match &self.meter {
            Meter::Counter(counter) => Read::Counter(counter.value_at(look)),
            Meter::Gauge(gauge) => Read::Gauge(gauge.value()),
            Meter::Histogram(histogram) => Read::Histogram(histogram.values_at(look), histogram.clone()),
        }
    }
}

/// A family as it was read under the locks.
#[derive(Debug)]
pub(crate) struct Selected {
    descriptor: Arc<Descriptor>,
    series: Vec<(Labels, Read)>,
}

#[derive(Debug)]
enum Read {
    Counter(u64),
    Gauge(f64),
    /// What remains to be done is done without the locks.
    Histogram(Raw, Histogram),
}

impl Selected {
    pub(crate) fn finish(self) -> Family {
        let series = self.series.into_iter().map(|(labels, read)| Series { labels, value: read.finish() });
        Family { descriptor: self.descriptor, series: series.collect() }
    }
}

impl Read {
    fn finish(self) -> Value {
        match self {
            Self::Counter(total) => Value::Counter(total),
            Self::Gauge(value) => Value::Gauge(value),
            Self::Histogram(raw, histogram) => Value::Histogram(Arc::new(raw.finish(&histogram))),
        }
    }
}

#[cfg(all(test, not(underpin_loom)))]
mod tests {
    use super::super::local::SHARDS;
    use super::super::{MetricsSnapshot, Unit};
    use super::*;
    use crate::sync::Clock;

    const LINES: Descriptor = Descriptor::counter("a.lines", "Lines.");
    const OPEN: Descriptor = Descriptor::gauge("a.open", "Open.");
    const TIMES: Descriptor = Descriptor::histogram("a.times", "Times.");
    const HOUR: Duration = Duration::from_secs(3600);

    struct World {
        catalog: Catalog,
        now: Instant,
    }

    impl World {
        fn new(series: usize) -> Self {
            let caps = Caps { families: 4, series, retention: Some(HOUR) };
            Self { catalog: Catalog::new(caps), now: Clock::SYSTEM.now() }
        }

        fn meter(&mut self, descriptor: &Descriptor, labels: &[(&str, &str)]) -> Result<Meter, MeterError> {
            self.catalog.meter(descriptor, labels, self.now)
        }

        fn counter(&mut self, labels: &[(&str, &str)]) -> Counter {
            match self.meter(&LINES, labels) {
                Ok(Meter::Counter(counter)) => counter,
                other => panic!("{other:?} is no counter"),
            }
        }

        fn sweep(&mut self, later: Duration) -> usize {
            self.now += later;
            let gone = {
                let look = SHARDS.look();
                self.catalog.sweep(&look, self.now)
            };
            gone.len()
        }

        fn shown(&self) -> MetricsSnapshot {
            let selected = {
                let look = SHARDS.look();
                self.catalog.select("", &[], &look)
            };
            let families = selected.into_iter().map(Selected::finish).collect();
            MetricsSnapshot { at: std::time::SystemTime::UNIX_EPOCH, moment: self.now, families }
        }
    }

    #[test]
    fn the_same_name_and_labels_are_the_same_series() {
        let mut world = World::new(10);
        world.counter(&[("b", "2"), ("a", "1")]).add(1);
        world.counter(&[("a", "1"), ("b", "2")]).add(2);
        assert_eq!(world.shown().counter("a.lines", &[("a", "1"), ("b", "2")]), Some(3));
        assert_eq!(world.catalog.counts.series, 1);
    }

    #[test]
    fn beyond_the_cap_all_of_a_name_count_into_its_overflow_series() {
        let mut world = World::new(2);
        ["a", "b", "c", "d"].into_iter().for_each(|host| world.counter(&[("host", host)]).add(1));
        let Ok(Meter::Gauge(open)) = world.meter(&OPEN, &[]) else { panic!("it is a gauge") };
        open.set(5.0);
        let shown = world.shown();
        let count = |labels| shown.counter("a.lines", labels);
        assert_eq!(
            (count(&[("host", "a")]), count(&[("host", "c")]), count(&[OVERFLOW])),
            (Some(1), None, Some(2))
        );
        assert_eq!(shown.gauge("a.open", &[OVERFLOW]), Some(5.0), "each name has one of its own");
        let CatalogCounts { series, overflowed, .. } = world.catalog.counts;
        assert_eq!((series, overflowed), (2, 3));
    }

    #[test]
    fn one_who_labels_a_series_as_overflow_himself_is_not_doubled() {
        let mut world = World::new(1);
        world.counter(&[OVERFLOW]).add(1);
        world.counter(&[("host", "a")]).add(5);
        let shown = world.shown();
        assert_eq!(shown.families[0].series.len(), 1);
        assert_eq!(shown.counter("a.lines", &[OVERFLOW]), Some(1));
    }

    #[test]
    fn a_series_goes_an_hour_after_something_was_added_and_not_a_second_before() {
        let mut world = World::new(10);
        drop(world.counter(&[]));
        let second = Duration::from_secs(1);
        assert_eq!((world.sweep(HOUR - second), world.shown().families.len()), (0, 1));
        assert_eq!((world.sweep(second), world.shown().families.len()), (1, 0));
        let CatalogCounts { series, expired, .. } = world.catalog.counts;
        assert_eq!((series, expired), (0, 1));
    }

    #[test]
    fn what_is_added_keeps_a_series_for_another_hour() {
        let mut world = World::new(10);
        let counter = world.counter(&[]);
        for _ in 0..5 {
            counter.add(1);
            assert_eq!(world.sweep(HOUR - Duration::from_secs(1)), 0);
            assert!(world.shown().counter("a.lines", &[]).is_some());
        }
    }

    #[test]
    fn a_series_that_somebody_has_comes_back_with_all_that_it_had() {
        let mut world = World::new(10);
        let counter = world.counter(&[]);
        counter.add(7);
        world.sweep(Duration::ZERO);
        assert_eq!((world.sweep(HOUR), world.shown().families.len()), (0, 0));
        counter.add(1);
        world.sweep(HOUR);
        assert_eq!(world.shown().counter("a.lines", &[]), Some(8));
    }

    /// Somebody adds and lets go of the handle in the middle of a sweep, now here and now there.
    #[test]
    fn what_is_added_while_a_sweep_goes_on_is_there_after_the_next() {
        let mut world = World::new(20_000);
        let _others: Vec<_> = (0..2_000).map(|n| world.counter(&[("n", &format!("b{n}"))])).collect();
        for round in 0..200 {
            let counter = world.counter(&[("n", "a")]);
            let expected = counter.value() + 1;
            world.sweep(Duration::ZERO);
            world.sweep(HOUR); // it is hidden
            let gate = std::sync::Barrier::new(2);
            std::thread::scope(|scope| {
                let gate = &gate;
                scope.spawn(move || {
                    counter.add(0); // it has its cell
                    gate.wait();
                    (0..round * 20).for_each(|_| std::hint::spin_loop());
                    counter.add(1);
                });
                gate.wait();
                world.sweep(Duration::ZERO);
            });
            world.sweep(Duration::ZERO);
            assert_eq!(world.shown().counter("a.lines", &[("n", "a")]), Some(expected), "in round {round}");
        }
    }

    #[test]
    fn a_gauge_that_is_set_to_what_it_was_and_a_histogram_of_zeros_are_kept() {
        let mut world = World::new(10);
        let (Ok(Meter::Gauge(open)), Ok(Meter::Histogram(times))) =
            (world.meter(&OPEN, &[]), world.meter(&TIMES, &[]))
        else {
            panic!("they are a gauge and a histogram")
        };
        for _ in 0..3 {
            open.set(0.0);
            times.record(0);
            world.sweep(HOUR);
            assert_eq!(world.shown().families.len(), 2);
        }
        world.sweep(HOUR);
        assert_eq!(world.shown().families.len(), 0);
    }

    #[test]
    fn a_cell_that_is_used_again_begins_with_nothing() {
        let mut world = World::new(10);
        for _ in 0..100 {
            let counter = world.counter(&[]);
            assert_eq!(counter.value(), 0);
            counter.add(5);
            let Ok(Meter::Histogram(times)) = world.meter(&TIMES, &[]) else { panic!("it is a histogram") };
            times.record(9);
            let values = times.values();
            assert_eq!((values.count(), values.sum(), values.max()), (1, 9, Some(9)));
            times.record(u64::MAX);
            drop((counter, times));
            world.sweep(Duration::ZERO);
            assert_eq!(world.sweep(HOUR), 2);
        }
    }

    #[test]
    fn what_is_wrong_is_told() {
        let mut world = World::new(10);
        drop(world.counter(&[]));
        let wrong = world.meter(&LINES.unit(Unit::Bytes), &[]);
        assert!(matches!(wrong, Err(MeterError::Descriptor(DescriptorError::Conflict { .. }))));
        assert!(matches!(world.meter(&LINES, &[("1", "")]), Err(MeterError::Labels { .. })));
        assert!(matches!(
            world.meter(&Descriptor::named("A", Kind::Gauge), &[]),
            Err(MeterError::Descriptor(_))
        ));
        for name in ["b", "c", "d"] {
            assert!(world.meter(&Descriptor::named(name, Kind::Counter), &[]).is_ok());
        }
        let told =
            world.meter(&Descriptor::named("e", Kind::Counter), &[]).expect_err("one too many").to_string();
        assert_eq!(told, "`e` is one name too many: there are 4 already");
    }
}
