//! A recorder of `metrics` that counts into the telemetry.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use metrics::{
    Counter, CounterFn, Gauge, GaugeFn, Histogram, HistogramFn, Key, KeyName, Metadata, Recorder,
    SharedString,
};

use super::meters::{Level, Meters, Total, Values};
use super::names::{MAX_NAMES, Names, label};
use super::scale::Scale;
use crate::sync::{AtomicU64, Mutex, Ordering};
use crate::telemetry::descriptor::{Descriptor, Kind};

/// So many handles are kept for the macros, which ask for theirs each time. Then it is begun anew: who is asked for again is found
/// again, and series that nobody asks for any more can go.
const MAX_HANDLES: usize = 1_024;

/// A recorder of `metrics` that counts into the telemetry.
///
/// # Names
///
/// Those of `metrics` are free text. `::` and `/` become dots, capitals small letters, and any other byte `_`; a word that
/// does not begin with a letter gets an `x` before it, and what is longer than a name may be is cut. Where that makes one
/// name of two, the second that comes has a hash of its text appended, and that is counted. Names of labels are
/// treated alike.
///
/// # Units
///
/// A unit is that which the metric was described with before it was first used; else `Seconds` if its name ends in
/// `seconds`, `Bytes` if it ends in `bytes`, and otherwise `Count`. Times of any unit are recorded as nanoseconds, sizes as
/// bytes, percents as ratios; rates stand as they are. Values of a histogram are rounded to the integers of their
/// [unit](crate::telemetry::Unit): a histogram of small numbers, such as times in seconds, has to have one, or all its values are 0.
/// What is negative, infinite or no number cannot be in a histogram: it is left out and counted.
///
/// # Limits
///
/// 10,000 names are described and told apart, and 1,024 series of each kind are found fast. Beyond that all still counts,
/// up to what the telemetry takes.
pub struct Facade<M> {
    meters: M,
    names: Mutex<Known>,
    counters: Handles<Counter>,
    gauges: Handles<Gauge>,
    histograms: Handles<Histogram>,
    refused: Arc<AtomicU64>,
}

/// What is known of their names.
#[derive(Default)]
struct Known {
    names: Names,
    described: HashMap<Box<str>, (Scale, Box<str>)>,
    /// The units in which metrics are in use.
    used: HashMap<Box<str>, Scale>,
    late: u64,
}

impl Known {
    fn describe(&mut self, name: &str, unit: Option<metrics::Unit>, help: &str) {
        let scale = unit.map_or_else(|| Scale::of_name(name), Scale::of);
        if let Some(used) = self.used.get(name) {
            self.late += u64::from(*used != scale);
        } else if self.described.len() < MAX_NAMES || self.described.contains_key(name) {
            self.described.insert(name.into(), (scale, help.into()));
        }
    }

    fn descriptor(&mut self, name: &str, kind: Kind) -> (Descriptor, Scale) {
        let ours = self.names.name(name);
        let described = self.described.get(name);
        let (scale, help) = described.map_or((Scale::of_name(name), ""), |(scale, help)| (*scale, help));
        let descriptor = Descriptor::named(ours, kind).unit(scale.unit).help(help);
        if self.used.len() < MAX_NAMES && !self.used.contains_key(name) {
            self.used.insert(name.into(), scale);
        }
        (descriptor, scale)
    }
}

/// Handles that were made, by their keys.
struct Handles<T>(Mutex<HashMap<Key, T>>);

impl<T: Clone> Handles<T> {
    fn new() -> Self {
        Self(Mutex::new(HashMap::new()))
    }

    /// The one of this key. It is made without the lock: two that ask at once make two of the same series.
    /// Where the telemetry is full none is kept: what is out of use is to make room.
    fn get_or_make(&self, key: &Key, is_full: impl FnOnce() -> bool, make: impl FnOnce() -> T) -> T {
        if let Some(known) = self.0.lock().get(key) {
            return known.clone();
        }
        let (made, is_full) = (make(), is_full());
        let mut handles = self.0.lock();
        let begins_anew = is_full || handles.len() >= MAX_HANDLES;
        let old = if begins_anew { std::mem::take(&mut *handles) } else { HashMap::new() };
        if !is_full {
            handles.insert(key.to_retained(), made.clone());
        }
        drop(handles);
        drop(old); // takes locks of the telemetry
        made
    }
}

impl<M> Facade<M> {
    /// One that counts there.
    pub(crate) fn new(meters: M) -> Self {
        Self {
            meters,
            names: Mutex::new(Known::default()),
            counters: Handles::new(),
            gauges: Handles::new(),
            histograms: Handles::new(),
            refused: Arc::new(AtomicU64::new(0)),
        }
    }

    /// Values of histograms that were left out: negative, infinite, or no number.
    pub fn refused(&self) -> u64 {
        // ORDERING: a tally; it orders nothing.
        self.refused.load(Ordering::Relaxed)
    }

    /// Names that have a hash appended, for another stood there.
    pub fn conflicts(&self) -> u64 {
        self.names.lock().names.conflicts()
    }

    /// Uses of names beyond those that are told apart.
    pub fn unchecked(&self) -> u64 {
        self.names.lock().names.unchecked()
    }

    /// Descriptions that came after the metric was in use in another unit, and changed nothing.
    pub fn late(&self) -> u64 {
        self.names.lock().late
    }

    fn describe(&self, name: &KeyName, unit: Option<metrics::Unit>, help: &str) {
        self.names.lock().describe(name.as_str(), unit, help);
    }

    fn descriptor(&self, key: &Key, kind: Kind) -> (Descriptor, Scale) {
        self.names.lock().descriptor(key.name(), kind)
    }
}

impl<M> fmt::Debug for Facade<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Facade").finish_non_exhaustive()
    }
}

/// Calls with the labels of a key. Of two that have the same name the last one stands.
fn with_labels<T>(key: &Key, call: impl FnOnce(&[(&str, &str)]) -> T) -> T {
    let named: Vec<_> = key.labels().map(|pair| (label(pair.key()), pair.value())).collect();
    let is_last = |at: usize| named[at + 1..].iter().all(|(name, _)| *name != named[at].0);
    let lasting = (0..named.len()).filter(|at| is_last(*at)).map(|at| (&*named[at].0, named[at].1));
    call(&lasting.collect::<Vec<_>>())
}

impl<M: Meters> Recorder for Facade<M> {
    fn describe_counter(&self, name: KeyName, unit: Option<metrics::Unit>, help: SharedString) {
        self.describe(&name, unit, &help);
    }

    fn describe_gauge(&self, name: KeyName, unit: Option<metrics::Unit>, help: SharedString) {
        self.describe(&name, unit, &help);
    }

    fn describe_histogram(&self, name: KeyName, unit: Option<metrics::Unit>, help: SharedString) {
        self.describe(&name, unit, &help);
    }

    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
        self.counters.get_or_make(
            key,
            || self.meters.is_full(),
            || {
                let (descriptor, scale) = self.descriptor(key, Kind::Counter);
                let to = with_labels(key, |labels| self.meters.counter(&descriptor, labels));
                Counter::from_arc(Arc::new(Scaled { to, scale, refused: Arc::clone(&self.refused) }))
            },
        )
    }

    fn register_gauge(&self, key: &Key, _: &Metadata<'_>) -> Gauge {
        self.gauges.get_or_make(
            key,
            || self.meters.is_full(),
            || {
                let (descriptor, scale) = self.descriptor(key, Kind::Gauge);
                let to = with_labels(key, |labels| self.meters.gauge(&descriptor, labels));
                Gauge::from_arc(Arc::new(Scaled { to, scale, refused: Arc::clone(&self.refused) }))
            },
        )
    }

    fn register_histogram(&self, key: &Key, _: &Metadata<'_>) -> Histogram {
        self.histograms.get_or_make(
            key,
            || self.meters.is_full(),
            || {
                let (descriptor, scale) = self.descriptor(key, Kind::Histogram);
                let to = with_labels(key, |labels| self.meters.histogram(&descriptor, labels));
                Histogram::from_arc(Arc::new(Scaled { to, scale, refused: Arc::clone(&self.refused) }))
            },
        )
    }
}

/// A handle of ours that takes values of theirs.
struct Scaled<T> {
    to: T,
    scale: Scale,
    refused: Arc<AtomicU64>,
}

impl<T: Total> CounterFn for Scaled<T> {
    fn increment(&self, more: u64) {
        self.to.add(self.scale.count(more));
    }

    fn absolute(&self, total: u64) {
        self.to.raise_to(self.scale.count(total));
    }
}

impl<T: Level> GaugeFn for Scaled<T> {
    fn increment(&self, more: f64) {
        self.to.add(self.scale.level(more));
    }

    fn decrement(&self, less: f64) {
        self.to.sub(self.scale.level(less));
    }

    fn set(&self, value: f64) {
        self.to.set(self.scale.level(value));
    }
}

impl<T: Values> HistogramFn for Scaled<T> {
    fn record(&self, value: f64) {
        match self.scale.value(value) {
            Some(value) => self.to.record(value),
            // ORDERING: a tally; it orders nothing.
            None => drop(self.refused.fetch_add(1, Ordering::Relaxed)),
        }
    }
}

#[cfg(all(test, not(underpin_loom)))]
mod tests {
    use std::time::Duration;

    use metrics::{counter, describe_histogram, gauge, histogram, with_local_recorder};

    use super::*;
    use crate::telemetry::labels::MAX_LABELS;
    use crate::telemetry::unit::Unit;

    /// Notes what is asked of it.
    #[derive(Clone, Default)]
    struct Notes(Arc<Mutex<Vec<String>>>);

    struct Note(Notes, String);

    impl Notes {
        fn handle(&self, descriptor: &Descriptor, labels: &[(&str, &str)]) -> Note {
            let (name, kind, unit) = (descriptor.name(), descriptor.kind(), descriptor.of_unit());
            self.0.lock().push(format!("{kind} {name} in {unit} {labels:?} {}", descriptor.help_text()));
            Note(self.clone(), name.into())
        }

        fn take(&self) -> Vec<String> {
            std::mem::take(&mut *self.0.lock())
        }
    }

    impl Note {
        fn put(&self, what: &str, value: impl fmt::Display) {
            self.0.0.lock().push(format!("{} {what} {value}", self.1));
        }
    }

    impl Meters for Notes {
        type Counter = Note;
        type Gauge = Note;
        type Histogram = Note;

        fn counter(&self, descriptor: &Descriptor, labels: &[(&str, &str)]) -> Note {
            self.handle(descriptor, labels)
        }

        fn gauge(&self, descriptor: &Descriptor, labels: &[(&str, &str)]) -> Note {
            self.handle(descriptor, labels)
        }

        fn histogram(&self, descriptor: &Descriptor, labels: &[(&str, &str)]) -> Note {
            self.handle(descriptor, labels)
        }
    }

    impl Total for Note {
        fn add(&self, more: u64) {
            self.put("add", more);
        }

        fn raise_to(&self, total: u64) {
            self.put("raise", total);
        }
    }

    impl Level for Note {
        fn set(&self, value: f64) {
            self.put("set", value);
        }

        fn add(&self, more: f64) {
            self.put("add", more);
        }

        fn sub(&self, less: f64) {
            self.put("sub", less);
        }
    }

    impl Values for Note {
        fn record(&self, value: u64) {
            self.put("record", value);
        }
    }

    fn facade() -> (Facade<Notes>, Notes) {
        let notes = Notes::default();
        (Facade::new(notes.clone()), notes)
    }

    #[test]
    fn what_the_macros_count_arrives() {
        let (facade, notes) = facade();
        with_local_recorder(&facade, || {
            counter!("http::Requests", "path" => "/a", "host-name" => "b").increment(2);
            counter!("http::Requests", "path" => "/a", "host-name" => "b").absolute(9);
            gauge!("pool/size").set(3.5);
            gauge!("pool/size").increment(1.0);
            gauge!("pool/size").decrement(2.0);
            histogram!("sizes").record(2.6);
            histogram!("sizes").record_many(1.0, 2);
        });
        let expected = [
            r#"counter http.requests in count [("path", "/a"), ("host_name", "b")] "#,
            "http.requests add 2",
            "http.requests raise 9",
            "gauge pool.size in count [] ",
            "pool.size set 3.5",
            "pool.size add 1",
            "pool.size sub 2",
            "histogram sizes in count [] ",
            "sizes record 3",
            "sizes record 1",
            "sizes record 1",
        ];
        assert_eq!(notes.take(), expected, "each handle is made once");
    }

    #[test]
    fn a_description_before_the_first_use_gives_the_unit_and_the_help() {
        let (facade, notes) = facade();
        with_local_recorder(&facade, || {
            describe_histogram!("latency", metrics::Unit::Milliseconds, "How long.");
            histogram!("latency").record(1.5);
            describe_histogram!("latency", metrics::Unit::Milliseconds, "How long.");
            histogram!("wait_seconds").record(0.25);
            counter!("sent_bytes").increment(7);
        });
        let expected = [
            "histogram latency in seconds [] How long.",
            "latency record 1500000",
            "histogram wait_seconds in seconds [] ",
            "wait_seconds record 250000000",
            "counter sent_bytes in bytes [] ",
            "sent_bytes add 7",
        ];
        assert_eq!(notes.take(), expected);
        assert_eq!(facade.late(), 0);
    }

    #[test]
    fn a_description_that_comes_too_late_is_counted() {
        let (facade, notes) = facade();
        with_local_recorder(&facade, || {
            histogram!("latency").record(1.5);
            describe_histogram!("latency", metrics::Unit::Milliseconds, "How long.");
            histogram!("latency", "a" => "b").record(1.5);
        });
        let expected = [
            "histogram latency in count [] ",
            "latency record 2",
            r#"histogram latency in count [("a", "b")] "#,
            "latency record 2",
        ];
        assert_eq!((notes.take(), facade.late()), (expected.map(String::from).into(), 1));
    }

    #[test]
    fn what_is_no_value_of_a_histogram_is_counted() {
        let (facade, notes) = facade();
        with_local_recorder(&facade, || {
            let sizes = histogram!("sizes");
            [f64::NAN, -1.0, f64::INFINITY].into_iter().for_each(|value| sizes.record(value));
        });
        assert_eq!((facade.refused(), notes.take().len()), (3, 1));
    }

    #[test]
    fn names_that_would_be_one_stay_two() {
        let (facade, notes) = facade();
        with_local_recorder(&facade, || {
            counter!("a-b").increment(1);
            counter!("a b").increment(2);
        });
        let noted = notes.take();
        assert_eq!((&*noted[1], noted[3].ends_with(" add 2")), ("a_b add 1", true));
        assert!(noted[3].starts_with("a_b.x"), "{}", noted[3]);
        assert_eq!((facade.conflicts(), facade.unchecked()), (1, 0));
    }

    #[test]
    fn of_labels_with_one_name_the_last_stands() {
        let key = Key::from_parts("a", &[("b-c", "1"), ("d", "2"), ("b_c", "3")]);
        with_labels(&key, |labels| assert_eq!(labels, [("d", "2"), ("b_c", "3")]));
        let many: Vec<_> = (0..MAX_LABELS + 9).map(|n| (format!("a{n}"), String::new())).collect();
        let key = Key::from_parts("a", &many);
        with_labels(&key, |labels| {
            assert_eq!(labels.len(), MAX_LABELS + 9, "the telemetry counts what it refuses")
        });
    }

    #[test]
    fn beyond_the_limit_all_handles_are_made_anew() {
        let (facade, notes) = facade();
        let metadata = Metadata::new("", metrics::Level::INFO, None);
        let register = |n: usize| drop(facade.register_counter(&Key::from_name(format!("a{n}")), &metadata));
        (0..MAX_HANDLES).for_each(register);
        notes.take();
        register(0);
        assert_eq!((notes.take().len(), facade.counters.0.lock().len()), (0, MAX_HANDLES), "it is kept");
        register(MAX_HANDLES);
        register(0);
        assert_eq!((notes.take().len(), facade.counters.0.lock().len()), (2, 2));
        register(0);
        assert_eq!(notes.take().len(), 0, "it is kept again");
    }

    #[test]
    fn series_that_nobody_asks_for_any_more_make_room() {
        let telemetry =
            crate::telemetry::Telemetry::builder().max_series(10).retention(Some(Duration::ZERO)).build();
        let facade = telemetry.facade();
        let metadata = Metadata::new("", metrics::Level::INFO, None);
        let register = |n: usize| {
            let key = Key::from_parts("f", vec![metrics::Label::new("n", n.to_string())]);
            facade.register_counter(&key, &metadata).increment(1);
        };
        (0..11).for_each(register);
        (0..3).for_each(|_| telemetry.sweep_for_test());
        register(12);
        assert_eq!(telemetry.metrics("f", &[]).counter("f", &[("n", "12")]), Some(1));
    }

    #[test]
    fn threads_that_use_one_metric_at_once_count_all_of_it() {
        let (facade, notes) = facade();
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    with_local_recorder(&facade, || (0..100).for_each(|_| counter!("a").increment(1)))
                });
            }
        });
        assert_eq!(notes.take().iter().filter(|note| *note == "a add 1").count(), 800);
        let (descriptor, _) = facade.descriptor(&Key::from_name("a"), Kind::Counter);
        assert_eq!((descriptor.name(), descriptor.of_unit()), ("a", Unit::Count));
    }
}
