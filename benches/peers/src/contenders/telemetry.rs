//! Metrics: a counter, a histogram, and a scrape of many series.

use ::std::hint::black_box;
use ::std::sync::Arc;
use ::std::sync::atomic::{AtomicU64, Ordering};
use ::std::thread;

use metrics_exporter_prometheus::PrometheusBuilder;
use parking_lot::Mutex;
use prometheus::{Encoder, TextEncoder};
use prometheus_client::metrics::family::Family;
use underpin::telemetry::{Descriptor, Telemetry};

use super::{Arena, Bout};

/// How many series a scrape has.
const SERIES: u64 = 10_000;
const COUNTER: Descriptor = Descriptor::counter("bench.counter", "Counts.");
const HISTOGRAM: Descriptor = Descriptor::histogram("bench.histogram", "Values.");

/// A client that does the same with each number.
fn repeat(mut work: impl FnMut(u64) + Send + 'static) -> Box<dyn Bout> {
    Box::new(move |n| (0..n).for_each(|n| work(black_box(n))))
}

/// Values as of times: most are alike, some are long.
fn value(n: u64) -> u64 {
    let mixed = n.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 44;
    1_000 + (mixed & (mixed << 3))
}

// ---- counters ----------------------------------------------------------------------------

pub fn counter() -> Arena {
    let counter = Telemetry::new().counter(&COUNTER, &[]);
    Box::new(move || {
        let counter = counter.clone();
        repeat(move |_| counter.increment())
    })
}

pub fn counter_by_name() -> Arena {
    Box::new(|| repeat(|_| underpin::counter!("bench.by_name").increment()))
}

pub fn prometheus_counter() -> Arena {
    let counter = prometheus::IntCounter::new("bench_counter", "Counts.").expect("a name");
    Box::new(move || {
        let counter = counter.clone();
        repeat(move |_| counter.inc())
    })
}

pub fn prometheus_client_counter() -> Arena {
    let counter = prometheus_client::metrics::counter::Counter::<u64>::default();
    Box::new(move || {
        let counter = counter.clone();
        repeat(move |_| _ = counter.inc())
    })
}

pub fn fetch_add() -> Arena {
    let counter = Arc::new(AtomicU64::new(0));
    Box::new(move || {
        let counter = Arc::clone(&counter);
        repeat(move |_| _ = counter.fetch_add(1, Ordering::Relaxed))
    })
}

/// With the recorder of its exporter, without which it does nothing.
pub fn metrics_macro() -> Arena {
    record_metrics();
    Box::new(|| repeat(|_| metrics::counter!("bench_by_name").increment(1)))
}

fn record_metrics() {
    static ONCE: ::std::sync::Once = ::std::sync::Once::new();
    ONCE.call_once(|| {
        let recorder = PrometheusBuilder::new().build_recorder();
        metrics::set_global_recorder(recorder).expect("it is the first");
    });
}

// ---- histograms --------------------------------------------------------------------------

pub fn histogram() -> Arena {
    let histogram = Telemetry::new().histogram(&HISTOGRAM, &[]);
    Box::new(move || {
        let histogram = histogram.clone();
        repeat(move |n| histogram.record(value(n)))
    })
}

/// So many threads at once, each of which records as many values as operations are asked for.
pub fn histogram_by<const THREADS: usize>() -> Arena {
    let histogram = Telemetry::new().histogram(&HISTOGRAM, &[]);
    Box::new(move || {
        let histogram = histogram.clone();
        Box::new(move |n: u64| {
            thread::scope(|scope| {
                for _ in 0..THREADS {
                    scope.spawn(|| (0..n).for_each(|n| histogram.record(value(black_box(n)))));
                }
            });
        }) as Box<dyn Bout>
    })
}

pub fn hdrhistogram() -> Arena {
    let histogram = hdrhistogram::Histogram::<u64>::new_with_bounds(1, u64::MAX / 2, 2).expect("bounds");
    let histogram = Arc::new(Mutex::new(histogram));
    Box::new(move || {
        let histogram = Arc::clone(&histogram);
        repeat(move |n| histogram.lock().record(value(n)).expect("it is within the bounds"))
    })
}

pub fn prometheus_histogram() -> Arena {
    let options = prometheus::HistogramOpts::new("bench_histogram", "Values.");
    let histogram = prometheus::Histogram::with_opts(options).expect("a name");
    Box::new(move || {
        let histogram = histogram.clone();
        repeat(move |n| histogram.observe(value(n) as f64))
    })
}

pub fn prometheus_client_histogram() -> Arena {
    let bounds = prometheus_client::metrics::histogram::exponential_buckets(1.0, 4.0, 11);
    let histogram = prometheus_client::metrics::histogram::Histogram::new(bounds);
    Box::new(move || {
        let histogram = histogram.clone();
        repeat(move |n| histogram.observe(value(n) as f64))
    })
}

pub fn metrics_histogram() -> Arena {
    record_metrics();
    Box::new(|| repeat(|n| metrics::histogram!("bench_histogram").record(value(n) as f64)))
}

// ---- a scrape ----------------------------------------------------------------------------

/// All of it, as text.
pub fn scrape() -> Arena {
    let telemetry = Telemetry::builder().max_series(SERIES as usize + 1).build();
    for n in 0..SERIES {
        telemetry.counter(&COUNTER, &[("n", &n.to_string())]).add(n);
    }
    Box::new(move || {
        let telemetry = telemetry.clone();
        repeat(move |_| drop(black_box(telemetry.metrics("", &[]).to_prometheus())))
    })
}

pub fn prometheus_scrape() -> Arena {
    let registry = prometheus::Registry::new();
    let options = prometheus::Opts::new("bench_counter", "Counts.");
    let counters = prometheus::IntCounterVec::new(options, &["n"]).expect("a name");
    (0..SERIES).for_each(|n| counters.with_label_values(&[&n.to_string()]).inc_by(n));
    registry.register(Box::new(counters)).expect("it is the first");
    Box::new(move || {
        let registry = registry.clone();
        repeat(move |_| {
            let mut text = Vec::new();
            TextEncoder::new().encode(&registry.gather(), &mut text).expect("there is room");
            black_box(text);
        })
    })
}

pub fn prometheus_client_scrape() -> Arena {
    let mut registry = prometheus_client::registry::Registry::default();
    let counters = Family::<[(&str, String); 1], prometheus_client::metrics::counter::Counter>::default();
    for n in 0..SERIES {
        let _ = counters.get_or_create(&[("n", n.to_string())]).inc_by(n);
    }
    registry.register("bench_counter", "Counts.", counters);
    let registry = Arc::new(registry);
    Box::new(move || {
        let registry = Arc::clone(&registry);
        repeat(move |_| {
            let mut text = String::new();
            prometheus_client::encoding::text::encode(&mut text, &registry).expect("there is room");
            black_box(text);
        })
    })
}
