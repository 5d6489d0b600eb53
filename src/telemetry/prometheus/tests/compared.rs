//! The same figures, written here and by the crate `prometheus-client`.

use std::sync::atomic::AtomicU64;

use prometheus_client::encoding::{prometheus_text, text};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family as Theirs;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit as TheirUnit};
use proptest::prelude::*;

use super::super::super::example::{LabelsAndValue, family, snapshot, values};
use super::super::super::{Family, MetricsSnapshot};
use super::super::*;
use super::exposition::{Parsed, ParsedFamily, Sample, parse};

type Pairs = Vec<(String, String)>;

/// What is measured under one name, for both.
#[derive(Clone, Debug)]
enum Figures {
    Counters(Vec<(String, u64)>),
    Gauges(Vec<(String, f64)>),
    Histograms(Vec<(String, Vec<u64>)>),
}

const NAMES: [&str; 4] = ["app.first", "app.second", "app.third", "app.fourth"];
const UNITS: [Unit; 4] = [Unit::Count, Unit::Seconds, Unit::Bytes, Unit::Ratio];

fn ours(all: &[Figures]) -> MetricsSnapshot {
    let families = all.iter().enumerate().map(|(n, figures)| our_family(n, figures));
    snapshot(families.collect())
}

fn our_family(n: usize, figures: &Figures) -> Family {
    let kind = match figures {
        Figures::Counters(_) => Kind::Counter,
        Figures::Gauges(_) => Kind::Gauge,
        Figures::Histograms(_) => Kind::Histogram,
    };
    let pairs: Vec<(String, Value)> = match figures.clone() {
        Figures::Counters(all) => all.into_iter().map(|(at, value)| (at, Value::Counter(value))).collect(),
        Figures::Gauges(all) => all.into_iter().map(|(at, value)| (at, Value::Gauge(value))).collect(),
        Figures::Histograms(all) => all.into_iter().map(|(at, of)| (at, values(&of))).collect(),
    };
    let labels: Vec<_> = pairs.iter().map(|(at, _)| [("app", "x"), ("at", at.as_str())]).collect();
    let series: Vec<LabelsAndValue<'_>> =
        labels.iter().zip(&pairs).map(|(labels, pair)| (&labels[..], pair.1.clone())).collect();
    let descriptor = Descriptor::named(NAMES[n], kind).unit(UNITS[n]).help(format!("Help of {}.", NAMES[n]));
    family(descriptor, series)
}

fn theirs(all: &[Figures]) -> Registry {
    let mut registry = Registry::default();
    all.iter().enumerate().for_each(|(n, figures)| their_family(&mut registry, n, figures));
    registry
}

fn their_family(registry: &mut Registry, n: usize, figures: &Figures) {
    let divisor = UNITS[n].divisor();
    let labels = |at: &str| vec![("app".to_owned(), "x".to_owned()), ("at".to_owned(), at.to_owned())];
    match figures {
        Figures::Counters(all) if divisor == 1.0 => {
            let family = Theirs::<Pairs, Counter<u64, AtomicU64>>::default();
            all.iter().for_each(|(at, value)| {
                family.get_or_create(&labels(at)).inc_by(*value);
            });
            register(registry, n, family);
        }
        Figures::Counters(all) => {
            let family = Theirs::<Pairs, Counter<f64, AtomicU64>>::default();
            all.iter().for_each(|(at, value)| {
                family.get_or_create(&labels(at)).inc_by(*value as f64 / divisor);
            });
            register(registry, n, family);
        }
        Figures::Gauges(all) => {
            let family = Theirs::<Pairs, Gauge<f64, AtomicU64>>::default();
            all.iter().for_each(|(at, value)| {
                family.get_or_create(&labels(at)).set(*value);
            });
            register(registry, n, family);
        }
        Figures::Histograms(all) => {
            let bounds = super::super::super::bounds::default_bounds(UNITS[n]);
            let make = move || Histogram::new(bounds.iter().copied());
            let family = Theirs::<Pairs, Histogram, _>::new_with_constructor(make);
            for (at, values) in all {
                let histogram = family.get_or_create(&labels(at));
                values.iter().for_each(|value| histogram.observe(*value as f64 / divisor));
            }
            register(registry, n, family);
        }
    }
}

fn register(registry: &mut Registry, n: usize, metric: impl prometheus_client::registry::Metric) {
    let (name, help) = (NAMES[n].replace('.', "_"), format!("Help of {}", NAMES[n]));
    match UNITS[n] {
        Unit::Count => registry.register(name, help, metric),
        Unit::Seconds => registry.register_with_unit(name, help, TheirUnit::Seconds, metric),
        Unit::Bytes => registry.register_with_unit(name, help, TheirUnit::Bytes, metric),
        Unit::Ratio => registry.register_with_unit(name, help, TheirUnit::Other("ratio".into()), metric),
    }
}

/// One number may be written in several ways.
fn plain(family: &ParsedFamily) -> Vec<Sample> {
    let le = |(name, value): (&String, &String)| match name.as_str() {
        "le" => (name.clone(), format!("{:?}", value.parse::<f64>())),
        _ => (name.clone(), value.clone()),
    };
    let plain = family.samples.iter();
    let mut plain: Vec<_> = plain
        .map(|((name, labels), value)| (name.clone(), labels.iter().map(le).collect(), *value))
        .collect();
    plain.sort_by(|a: &Sample, b| (&a.0, &a.1).cmp(&(&b.0, &b.1)));
    plain
}

fn are_the_same(ours: &Parsed, theirs: &Parsed) -> Result<(), TestCaseError> {
    prop_assert_eq!(ours.keys().collect::<Vec<_>>(), theirs.keys().collect::<Vec<_>>());
    for (ours, theirs) in ours.values().zip(theirs.values()) {
        prop_assert_eq!((&ours.kind, &ours.help, &ours.unit), (&theirs.kind, &theirs.help, &theirs.unit));
        let (ours, theirs) = (plain(ours), plain(theirs));
        prop_assert_eq!(ours.len(), theirs.len());
        for (one, other) in ours.iter().zip(&theirs) {
            prop_assert_eq!((&one.0, &one.1), (&other.0, &other.1));
            // Their sums are of rounded parts.
            let is_same = one.2 == other.2 || one.2.is_nan() && other.2.is_nan();
            let is_close = (one.2 - other.2).abs() <= other.2.abs() * 1e-12;
            prop_assert!(is_same || is_close, "{one:?} and {other:?}");
        }
    }
    Ok(())
}

fn compare(all: &[Figures]) -> Result<(), TestCaseError> {
    let (ours, registry) = (ours(all), theirs(all));
    let fail = |wrong: String| TestCaseError::fail(wrong);
    let mut theirs = String::new();
    prometheus_text::encode(&mut theirs, &registry).map_err(|wrong| fail(wrong.to_string()))?;
    are_the_same(
        &parse(&ours.to_prometheus(), Format::Prometheus).map_err(fail)?,
        &parse(&theirs, Format::Prometheus).map_err(fail)?,
    )?;
    theirs.clear();
    text::encode(&mut theirs, &registry).map_err(|wrong| fail(wrong.to_string()))?;
    are_the_same(
        &parse(&ours.to_openmetrics(), Format::OpenMetrics).map_err(fail)?,
        &parse(&theirs, Format::OpenMetrics).map_err(fail)?,
    )
}

/// Not so close to a bound that it may count on the other side of it.
fn is_clear(value: u64) -> bool {
    UNITS.iter().all(|unit| {
        let bounds = super::super::super::bounds::default_bounds(*unit).iter();
        bounds.map(|bound| bound * unit.divisor()).all(|bound| {
            let distance = (value as f64 - bound).abs();
            value < 128 && bound < 128.0 || distance > value as f64 / 100.0
        })
    })
}

fn figures() -> impl Strategy<Value = Figures> {
    let at = "[a-z\\\\\"\n é]{0,4}";
    let value = (any::<u64>(), 0_u32..64).prop_map(|(value, shift)| value >> shift);
    let clear = value.clone().prop_filter("is close to a bound", |value| is_clear(*value));
    let few = 1..4;
    prop_oneof![
        prop::collection::btree_map(at, value, few.clone())
            .prop_map(|all| Figures::Counters(all.into_iter().collect())),
        prop::collection::btree_map(
            at,
            prop_oneof![any::<f64>(), Just(f64::NAN), Just(f64::INFINITY)],
            few.clone()
        )
        .prop_map(|all| Figures::Gauges(all.into_iter().collect())),
        prop::collection::btree_map(at, prop::collection::vec(clear, 0..30), few)
            .prop_map(|all| Figures::Histograms(all.into_iter().collect())),
    ]
}

#[test]
fn each_kind_in_each_unit_is_written_alike() {
    let at = |value| vec![("a".to_owned(), value)];
    let kinds = [
        Figures::Counters(at(1_234_567_891)),
        Figures::Gauges(vec![("a".into(), 0.25), ("b".into(), f64::NAN), ("c".into(), f64::NEG_INFINITY)]),
        Figures::Histograms(vec![("a".into(), vec![3, 1_300, 7_100_000, u64::MAX]), ("b".into(), vec![])]),
    ];
    for kind in kinds {
        compare(&[kind.clone(), kind.clone(), kind.clone(), kind]).expect("they are the same");
    }
}

proptest! {
    #[test]
    fn any_figures_are_written_alike(all in prop::collection::vec(figures(), 0..=4)) {
        compare(&all)?;
    }
}
