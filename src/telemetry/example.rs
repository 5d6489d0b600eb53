//! Snapshots for tests.

use std::sync::Arc;
use std::time::{Instant, SystemTime};

use super::{
    Descriptor, Distribution, Family, Labels, MAX_LABEL_BYTES, MetricsSnapshot, Series, Unit, Value,
};

pub(super) type LabelsAndValue<'a> = (&'a [(&'a str, &'a str)], Value);

/// What a label keeps of a text.
pub(super) fn cut_as_a_label(text: &str) -> String {
    text[..text.floor_char_boundary(MAX_LABEL_BYTES)].into()
}

pub(super) fn family(descriptor: Descriptor, series: Vec<LabelsAndValue<'_>>) -> Family {
    let one = |(labels, value)| Series { labels: Labels::new(labels).expect("they are labels"), value };
    let mut series: Vec<_> = series.into_iter().map(one).collect();
    series.sort_by(|a, b| a.labels.cmp(&b.labels));
    Family { descriptor: Arc::new(descriptor), series }
}

pub(super) fn snapshot(mut families: Vec<Family>) -> MetricsSnapshot {
    families.sort_by(|a, b| a.descriptor.name().cmp(b.descriptor.name()));
    MetricsSnapshot { at: SystemTime::UNIX_EPOCH, moment: Instant::now(), families }
}

pub(super) fn values(of: &[u64]) -> Value {
    let mut values = Distribution::default();
    of.iter().for_each(|&value| values.record(value, 1));
    Value::Histogram(values.into())
}

/// Each kind in each unit, with values and texts that are hard to write.
pub(super) fn example() -> MetricsSnapshot {
    let odd = "back\\slash, \"quotes\", a\nbreak, a\ttab, \r, {é} = 日本";
    snapshot(vec![
        family(
            Descriptor::counter("app.lines", "Lines, with a \\, a \"quote\" and\na break."),
            vec![(&[], Value::Counter(0)), (&[("host", odd)], Value::Counter(u64::MAX))],
        ),
        family(
            Descriptor::counter("app.work", "Time at work.").unit(Unit::Seconds),
            vec![(&[], Value::Counter(1_234_567_890_123_456_789))],
        ),
        family(
            Descriptor::counter("app.read.total", "Bytes in.").unit(Unit::Bytes),
            vec![(&[], Value::Counter(7))],
        ),
        family(
            Descriptor::gauge("app.depth", "How many wait."),
            vec![
                (&[("at", "nan")], Value::Gauge(f64::NAN)),
                (&[("at", "high")], Value::Gauge(f64::INFINITY)),
                (&[("at", "low")], Value::Gauge(f64::NEG_INFINITY)),
                (&[("at", "small")], Value::Gauge(-5e-324)),
                (&[("at", "great"), ("le", "1"), ("quantile", "2")], Value::Gauge(f64::MAX)),
            ],
        ),
        family(
            Descriptor::gauge("app.busy", "Part of the time.").unit(Unit::Ratio),
            vec![(&[], Value::Gauge(0.25))],
        ),
        family(Descriptor::gauge("app.nothing", "Has no series."), vec![]),
        family(
            Descriptor::histogram("app.latency", "From sent to handled.").unit(Unit::Seconds),
            vec![
                (&[("host", "a"), ("le", "0.5"), ("__name__", "x")], values(&[700, 3_000_000, u64::MAX])),
                (&[("host", "b"), ("le", "0.5"), ("exported_le", "0.7")], values(&[])),
            ],
        ),
        family(
            Descriptor::histogram("app.batch", "Events to a batch.").bounds(&[1.0, 10.0, 100.0]),
            vec![(&[], values(&[0, 1, 2, 10, 11, 100, 128]))],
        ),
        family(
            Descriptor::histogram("app.fill", "How full buffers are.").unit(Unit::Ratio),
            vec![(&[], values(&[0, 120_000, 990_000]))],
        ),
        family(
            Descriptor::histogram("app.request.bytes", "How large requests are.").unit(Unit::Bytes),
            vec![(&[], values(&[20, 3_000, 1 << 40]))],
        ),
    ])
}
