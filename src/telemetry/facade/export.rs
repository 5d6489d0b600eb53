//! What was measured, for a recorder of `metrics`.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use metrics::{Key, KeyName, Label, Level, Metadata, Recorder, Unit as Theirs};

use crate::telemetry::buckets::range_of;
use crate::telemetry::descriptor::{Descriptor, Kind};
use crate::telemetry::distribution::Distribution;
use crate::telemetry::labels::Labels;
use crate::telemetry::snapshot::{Family, MetricsSnapshot, Series, Value};
use crate::telemetry::unit::Unit;

const METADATA: Metadata<'static> = Metadata::new("underpin", Level::INFO, None);

/// What was measured, for a recorder of `metrics`: that of an exporter of that crate's.
///
/// Names stay as they are, dots and all. Counters are set to their totals, in the integers of their [`Unit`]: a counter
/// of time is described to be in nanoseconds. Gauges are set, in seconds, bytes, and parts of a whole. Of a histogram each value that
/// came since the last export is recorded, in seconds or bytes, as the middle of its bucket, less than 1 % from what
/// it was.
///
/// One of these stands for one recorder: it knows what that was told. It must not be one that counts into
/// the same telemetry, or histograms grow with each export.
///
/// A series that is not in a snapshot is forgotten: when it comes back it counts as new.
///
/// # Example
///
/// ```
/// use underpin::telemetry::{MetricsExport, MetricsSnapshot};
///
/// fn tick(export: &mut MetricsExport, snapshot: &MetricsSnapshot) {
///     metrics::with_recorder(|recorder| export.export(snapshot, recorder));
/// }
/// # let _ = (tick, MetricsExport::new());
/// ```
#[derive(Debug, Default)]
pub struct MetricsExport {
    described: HashSet<Box<str>>,
    exports: u64,
    told: HashMap<(Box<str>, Labels), Told>,
}

/// A histogram as it was at the last export.
#[derive(Debug)]
struct Told {
    values: Arc<Distribution>,
    /// At which export that was.
    at: u64,
}

impl MetricsExport {
    /// One that has told nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Tells the recorder what came since the last time.
    ///
    /// # Panics
    ///
    /// Where the recorder does. What it was told by then of histograms is not told again.
    ///
    /// # Blocking
    ///
    /// As the recorder does. One that takes values of histograms one by one, as they do where nothing else is
    /// written, is called once for each value.
    pub fn export(&mut self, snapshot: &MetricsSnapshot, recorder: &dyn Recorder) {
        self.exports += 1;
        for family in &snapshot.families {
            self.describe(&family.descriptor, recorder);
            for series in &family.series {
                self.tell(family, series, recorder);
            }
        }
        let now = self.exports;
        self.told.retain(|_, told| told.at == now);
    }

    fn describe(&mut self, descriptor: &Descriptor, recorder: &dyn Recorder) {
        let name = descriptor.name();
        if !self.described.insert(name.into()) {
            return;
        }
        let (key, help) = (KeyName::from(name.to_owned()), descriptor.help_text().to_owned().into());
        let unit = unit(descriptor);
        match descriptor.kind() {
            Kind::Counter => recorder.describe_counter(key, unit, help),
            Kind::Gauge => recorder.describe_gauge(key, unit, help),
            Kind::Histogram => recorder.describe_histogram(key, unit, help),
        }
    }

    fn tell(&mut self, family: &Family, series: &Series, recorder: &dyn Recorder) {
        let key = key(family.descriptor.name(), &series.labels);
        match &series.value {
            Value::Counter(total) => recorder.register_counter(&key, &METADATA).absolute(*total),
            Value::Gauge(value) => recorder.register_gauge(&key, &METADATA).set(*value),
            Value::Histogram(values) => {
                let told = Told { values: Arc::clone(values), at: self.exports };
                // First: what a panic cuts short is not to be told twice.
                let earlier =
                    self.told.insert((family.descriptor.name().into(), series.labels.clone()), told);
                let histogram = recorder.register_histogram(&key, &METADATA);
                for (value, times) in came(values, earlier.as_ref().map(|told| &*told.values)) {
                    histogram.record_many(value / family.descriptor.of_unit().divisor(), times);
                }
            }
        }
    }
}

fn key(name: &str, labels: &Labels) -> Key {
    let labels = labels.iter().map(|(name, value)| Label::new(name.to_owned(), value.to_owned()));
    Key::from_parts(name.to_owned(), labels.collect::<Vec<_>>())
}

fn unit(descriptor: &Descriptor) -> Option<Theirs> {
    match (descriptor.of_unit(), descriptor.kind()) {
        (Unit::Count, _) => Some(Theirs::Count),
        (Unit::Seconds, Kind::Counter) => Some(Theirs::Nanoseconds),
        (Unit::Seconds, _) => Some(Theirs::Seconds),
        (Unit::Bytes, _) => Some(Theirs::Bytes),
        (Unit::Ratio, _) => None, // there is none: a percent is another
    }
}

/// The middle of each bucket that something fell into since, and how often. All of it, where it has begun anew.
fn came(now: &Distribution, earlier: Option<&Distribution>) -> impl Iterator<Item = (f64, usize)> {
    let count = |values: &Distribution| values.buckets.iter().map(|(_, n)| u128::from(*n)).sum::<u128>();
    let earlier = earlier.filter(|earlier| count(earlier) <= count(now));
    now.buckets.iter().filter_map(move |&(bucket, n)| {
        let times = n.saturating_sub(earlier.map_or(0, |earlier| times_in(earlier, bucket)));
        (times > 0).then(|| (middle(now, bucket), usize::try_from(times).unwrap_or(usize::MAX)))
    })
}

fn times_in(values: &Distribution, bucket: u16) -> u64 {
    let place = values.buckets.binary_search_by_key(&bucket, |(bucket, _)| *bucket);
    place.map_or(0, |at| values.buckets[at].1)
}

/// Not beyond the least and the greatest value that was there.
fn middle(values: &Distribution, bucket: u16) -> f64 {
    let (least, greatest) = range_of(usize::from(bucket));
    let middle = least + greatest.saturating_sub(least) / 2;
    middle.min(values.max).max(values.min.min(values.max)) as f64
}

#[cfg(all(test, not(underpin_loom)))]
mod tests {
    use std::sync::Mutex;
    use std::time::SystemTime;

    use metrics::{Counter, CounterFn, Gauge, GaugeFn, Histogram, HistogramFn, SharedString};

    use super::*;
    use crate::sync::Clock;
    use crate::telemetry::sheet::Sheet;

    /// Notes what it is told.
    #[derive(Clone, Default)]
    struct Notes(Arc<Mutex<Vec<String>>>);

    struct Note(Notes, String);

    impl Notes {
        fn put(&self, note: String) {
            self.0.lock().expect("nobody panics with it").push(note);
        }

        fn take(&self) -> Vec<String> {
            std::mem::take(&mut *self.0.lock().expect("nobody panics with it"))
        }

        fn note(&self, key: &Key) -> Arc<Note> {
            let labels: String =
                key.labels().map(|label| format!(" {}={}", label.key(), label.value())).collect();
            Arc::new(Note(self.clone(), format!("{}{labels}", key.name())))
        }

        fn described(&self, kind: &str, name: &KeyName, unit: Option<Theirs>, help: &str) {
            self.put(format!("{kind} {} {:?} {help}", name.as_str(), unit.map(|unit| unit.as_str())));
        }
    }

    impl Recorder for Notes {
        fn describe_counter(&self, name: KeyName, unit: Option<Theirs>, help: SharedString) {
            self.described("counter", &name, unit, &help);
        }

        fn describe_gauge(&self, name: KeyName, unit: Option<Theirs>, help: SharedString) {
            self.described("gauge", &name, unit, &help);
        }

        fn describe_histogram(&self, name: KeyName, unit: Option<Theirs>, help: SharedString) {
            self.described("histogram", &name, unit, &help);
        }

        fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
            Counter::from_arc(self.note(key))
        }

        fn register_gauge(&self, key: &Key, _: &Metadata<'_>) -> Gauge {
            Gauge::from_arc(self.note(key))
        }

        fn register_histogram(&self, key: &Key, _: &Metadata<'_>) -> Histogram {
            Histogram::from_arc(self.note(key))
        }
    }

    impl CounterFn for Note {
        fn increment(&self, more: u64) {
            self.0.put(format!("{} add {more}", self.1));
        }

        fn absolute(&self, total: u64) {
            self.0.put(format!("{} is {total}", self.1));
        }
    }

    impl GaugeFn for Note {
        fn increment(&self, more: f64) {
            self.0.put(format!("{} add {more}", self.1));
        }

        fn decrement(&self, less: f64) {
            self.0.put(format!("{} sub {less}", self.1));
        }

        fn set(&self, value: f64) {
            self.0.put(format!("{} is {value}", self.1));
        }
    }

    impl HistogramFn for Note {
        fn record(&self, value: f64) {
            self.0.put(format!("{} was {value}", self.1));
        }

        fn record_many(&self, value: f64, times: usize) {
            self.0.put(format!("{} was {value} {times} times", self.1));
        }
    }

    const LINES: Descriptor = Descriptor::counter("a.lines", "Lines.");
    const SPENT: Descriptor = Descriptor::counter("a.spent", "Spent.").unit(Unit::Seconds);
    const FILL: Descriptor = Descriptor::gauge("a.fill", "Fill.").unit(Unit::Ratio);
    const TOOK: Descriptor = Descriptor::histogram("a.took", "Took.").unit(Unit::Seconds);

    fn snapshot(write: impl FnOnce(&mut Sheet)) -> MetricsSnapshot {
        let mut sheet = Sheet::default();
        write(&mut sheet);
        assert_eq!(sheet.refused(), 0);
        let families = sheet.into_families();
        MetricsSnapshot { at: SystemTime::now(), moment: Clock::system().now(), families }
    }

    /// Values of which all are in the range of `min` to `max`, by bucket.
    fn values(buckets: &[(u16, u64)], min: u64, max: u64) -> Distribution {
        Distribution { buckets: buckets.to_vec(), sum: 0, min, max }
    }

    fn export(export: &mut MetricsExport, notes: &Notes, distribution: Distribution) -> Vec<String> {
        let snapshot = snapshot(|sheet| sheet.histogram(&TOOK, &[], distribution));
        export.export(&snapshot, notes);
        notes.take().into_iter().filter(|note| note.contains(" was ")).collect()
    }

    #[test]
    fn counters_and_gauges_are_set_and_described_once() {
        let (notes, mut export) = (Notes::default(), MetricsExport::new());
        let snapshot = snapshot(|sheet| {
            sheet.counter(&LINES, &[("host", "x"), ("app", "y")], 7);
            sheet.counter(&SPENT, &[], 1_500_000_000);
            sheet.gauge(&FILL, &[], 0.25);
        });
        export.export(&snapshot, &notes);
        let mut told = notes.take();
        let described: Vec<_> = told.extract_if(.., |note| note.ends_with('.')).collect();
        let expected = [
            r#"gauge a.fill None Fill."#,
            r#"counter a.lines Some("count") Lines."#,
            r#"counter a.spent Some("nanoseconds") Spent."#,
        ];
        assert_eq!(described, expected);
        let values = ["a.fill is 0.25", "a.lines app=y host=x is 7", "a.spent is 1500000000"];
        assert_eq!(told, values);
        export.export(&snapshot, &notes);
        assert_eq!(notes.take(), values, "described once");
    }

    #[test]
    fn of_a_histogram_only_what_came_is_told() {
        let (notes, mut to) = (Notes::default(), MetricsExport::new());
        let half = 500_000_000; // one value alone: its bucket's middle is not beyond it
        let told = export(&mut to, &notes, values(&[(3, 4)], half, half));
        assert_eq!(told, ["a.took was 0.5 4 times"]);
        assert_eq!(export(&mut to, &notes, values(&[(3, 4)], half, half)), [""; 0]);
        let told = export(&mut to, &notes, values(&[(2, 1), (3, 6)], half, half));
        assert_eq!(told, ["a.took was 0.5 1 times", "a.took was 0.5 2 times"]);
    }

    #[test]
    fn one_that_began_anew_or_was_away_is_told_whole() {
        let (notes, mut to) = (Notes::default(), MetricsExport::new());
        export(&mut to, &notes, values(&[(3, 4)], 1, 1));
        assert_eq!(export(&mut to, &notes, values(&[(3, 2)], 1, 1)), ["a.took was 0.000000001 2 times"]);
        to.export(&snapshot(|_| ()), &notes);
        assert!(to.told.is_empty(), "forgotten");
        assert_eq!(export(&mut to, &notes, values(&[(3, 2)], 1, 1)), ["a.took was 0.000000001 2 times"]);
    }

    #[test]
    fn a_value_is_told_as_the_middle_of_its_bucket_within_what_was_there() {
        let (least, greatest) = range_of(700);
        let wide = values(&[(700, 1)], 0, u64::MAX);
        assert_eq!(middle(&wide, 700), (least + (greatest - least) / 2) as f64);
        assert_eq!(middle(&values(&[(700, 1)], greatest + 1, greatest + 1), 700), (greatest + 1) as f64);
        assert_eq!(middle(&values(&[(700, 1)], 0, least), 700), least as f64);
        let empty = values(&[], u64::MAX, 0);
        assert_eq!(middle(&empty, 700), 0.0);
        assert_eq!(came(&empty, None).count(), 0);
    }

    #[test]
    fn what_a_recorder_heard_before_it_panicked_is_not_told_again() {
        struct Panics(Notes);
        impl Recorder for Panics {
            fn describe_counter(&self, _: KeyName, _: Option<Theirs>, _: SharedString) {}
            fn describe_gauge(&self, _: KeyName, _: Option<Theirs>, _: SharedString) {}
            fn describe_histogram(&self, _: KeyName, _: Option<Theirs>, _: SharedString) {}
            fn register_counter(&self, _: &Key, _: &Metadata<'_>) -> Counter {
                Counter::noop()
            }
            fn register_gauge(&self, _: &Key, _: &Metadata<'_>) -> Gauge {
                std::panic::resume_unwind(Box::new("it panics"))
            }
            fn register_histogram(&self, key: &Key, metadata: &Metadata<'_>) -> Histogram {
                self.0.register_histogram(key, metadata)
            }
        }
        let (notes, mut to) = (Notes::default(), MetricsExport::new());
        let z = Descriptor::histogram("z", "");
        let snapshot = snapshot(|sheet| {
            sheet.histogram(&TOOK, &[], values(&[(3, 4)], 1, 1));
            sheet.gauge(&Descriptor::gauge("b", ""), &[], 1.0);
            sheet.histogram(&z, &[], values(&[(3, 9)], 1, 1));
        });
        let told = |notes: &Notes| {
            notes.take().into_iter().filter(|note| note.contains(" was ")).collect::<Vec<_>>()
        };
        to.export(&snapshot, &notes);
        assert_eq!(told(&notes), ["a.took was 0.000000001 4 times", "z was 1 9 times"]);
        let panics = Panics(notes.clone());
        let mut more = snapshot.clone();
        more.families[0].series[0].value = Value::Histogram(Arc::new(values(&[(3, 5)], 1, 1)));
        let exported = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| to.export(&more, &panics)));
        assert!(exported.is_err());
        assert_eq!(told(&notes), ["a.took was 0.000000001 1 times"]);
        to.export(&more, &notes);
        assert_eq!(told(&notes), [""; 0], "neither the one nor what came after the panic");
    }
}
