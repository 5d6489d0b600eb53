//! What a collector writes down.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::descriptor::{Descriptor, Kind};
use super::distribution::Distribution;
use super::labels::Labels;
use super::snapshot::{Family, Series, Value};

/// What a collector writes down: figures that are kept elsewhere, and looked up when they are wanted.
///
/// The same name and labels written twice: the last one stands. What is under a wrong name, with wrong labels, or of
/// another kind or unit than the name had, is left out and [counted](Self::refused).
#[derive(Debug)]
pub struct Sheet {
    families: BTreeMap<String, (Arc<Descriptor>, BTreeMap<Labels, Value>)>,
    refused: u64,
    room: usize,
}

impl Default for Sheet {
    fn default() -> Self {
        Self::with_room(usize::MAX)
    }
}

impl Sheet {
    /// With room for so many figures; those beyond are left out too.
    pub(crate) fn with_room(room: usize) -> Self {
        Self { families: BTreeMap::new(), refused: 0, room }
    }

    /// The total of what only rises, in the integers of its [unit](super::Unit): nanoseconds for times.
    pub fn counter(&mut self, descriptor: &Descriptor, labels: &[(&str, &str)], total: u64) {
        self.put(descriptor, labels, Value::Counter(total));
    }

    /// How much there is, in its [unit](super::Unit): seconds for times.
    pub fn gauge(&mut self, descriptor: &Descriptor, labels: &[(&str, &str)], value: f64) {
        self.put(descriptor, labels, Value::Gauge(value));
    }

    /// How often each value was there, in the integers of its [unit](super::Unit).
    pub fn histogram(&mut self, descriptor: &Descriptor, labels: &[(&str, &str)], values: Distribution) {
        self.put(descriptor, labels, Value::Histogram(Arc::new(values)));
    }

    /// How many figures were left out.
    pub fn refused(&self) -> u64 {
        self.refused
    }

    fn put(&mut self, descriptor: &Descriptor, labels: &[(&str, &str)], value: Value) {
        let is_written = self.try_put(descriptor, labels, value).is_some();
        self.refused += u64::from(!is_written);
    }

    fn try_put(&mut self, descriptor: &Descriptor, labels: &[(&str, &str)], value: Value) -> Option<()> {
        let labels = Labels::new(labels).ok().filter(|_| kind_of(&value) == descriptor.kind())?;
        let there = self.families.get(descriptor.name());
        let is_new = there.is_none_or(|(_, series)| !series.contains_key(&labels));
        if is_new && self.room == 0 {
            return None;
        }
        if there.is_none() {
            descriptor.check().ok()?;
            self.families.insert(descriptor.name().into(), (Arc::new(descriptor.clone()), BTreeMap::new()));
        }
        let (first, series) = self.families.get_mut(descriptor.name())?;
        first.agrees(descriptor).ok()?;
        self.room -= usize::from(is_new);
        series.insert(labels, value);
        Some(())
    }

    /// All of it, in order.
    pub(crate) fn into_families(self) -> Vec<Family> {
        let families = self.families.into_values();
        families.map(|(descriptor, series)| Family { descriptor, series: in_order(series) }).collect()
    }
}

fn in_order(series: BTreeMap<Labels, Value>) -> Vec<Series> {
    series.into_iter().map(|(labels, value)| Series { labels, value }).collect()
}

fn kind_of(value: &Value) -> Kind {
    match value {
        Value::Counter(_) => Kind::Counter,
        Value::Gauge(_) => Kind::Gauge,
        Value::Histogram(_) => Kind::Histogram,
    }
}

#[cfg(all(test, not(underpin_loom)))]
mod tests {
    use super::*;

    const DEPTH: Descriptor = Descriptor::gauge("pool.depth", "How many wait.");

    #[test]
    fn what_is_written_comes_out_in_the_order_of_names_and_labels() {
        let mut sheet = Sheet::default();
        sheet.gauge(&DEPTH, &[("pool", "b")], 2.0);
        sheet.gauge(&DEPTH, &[("pool", "a")], 1.0);
        sheet.counter(&Descriptor::counter("pool.calls", ""), &[], 7);
        let families = sheet.into_families();
        let names: Vec<_> = families.iter().map(|family| family.descriptor.name()).collect();
        assert_eq!(names, ["pool.calls", "pool.depth"]);
        let pools: Vec<_> = families[1].series.iter().map(|series| series.labels.get("pool")).collect();
        assert_eq!(pools, [Some("a"), Some("b")]);
    }

    #[test]
    fn where_there_is_no_room_nothing_is_left_behind() {
        let mut sheet = Sheet::with_room(1);
        sheet.gauge(&DEPTH, &[], 1.0);
        sheet.gauge(&DEPTH, &[], 2.0);
        (0..9).for_each(|n| sheet.gauge(&Descriptor::named(format!("a.n{n}"), Kind::Gauge), &[], 1.0));
        assert_eq!((sheet.refused(), sheet.into_families().len()), (9, 1));
    }

    #[test]
    fn what_does_not_fit_is_left_out_and_counted() {
        let mut sheet = Sheet::default();
        sheet.gauge(&DEPTH, &[], 1.0);
        sheet.gauge(&Descriptor::gauge("Pool", ""), &[], 1.0);
        sheet.gauge(&DEPTH, &[("1", "")], 1.0);
        sheet.counter(&DEPTH, &[], 1);
        sheet.counter(&Descriptor::counter("pool.depth", ""), &[], 1);
        assert_eq!((sheet.refused(), sheet.into_families().len()), (4, 1));
    }
}
