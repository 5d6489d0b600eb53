//! A snapshot as JSON, for people and tools.
//!
//! ```json
//! {"version":1,"at_unix_seconds":1767225600.25,"families":[
//!  {"name":"collector.lines","kind":"counter","unit":"count","help":"Lines.","series":[
//!   {"labels":{"host":"a"},"value":12}]},
//!  {"name":"collector.handling","kind":"histogram","unit":"seconds","help":"","series":[
//!   {"labels":{},"count":3,"sum":0.006,"min":0.001,"max":0.003,
//!    "quantiles":{"0.5":0.002007039,"0.9":0.003,"0.99":0.003,"0.999":0.003}}]}]}
//! ```
//!
//! On one line, the fields in this order, families in the order of their names and series in that of their labels. Values
//! are in the unit of their family: seconds, bytes, parts of 1. Those of counters and sums are written to the last
//! digit, and may have more of them than a number of 64 bits holds. What a gauge has that is no number of JSON's is a text:
//! `"NaN"`, `"+Inf"`, `"-Inf"`. Of a histogram without values `min`, `max` and the quantiles are null.
//!
//! `version` is 1 as long as the form changes by new fields alone, and who reads it passes over those he does not know.

use std::fmt::{self, Write};
use std::time::{Duration, SystemTime};

use super::decimal::{write_exact, write_float};
use super::distribution::Distribution;
use super::labels::Labels;
use super::snapshot::{Family, MetricsSnapshot, Series, Value};
use super::unit::Unit;

/// Which quantiles are written of a histogram, and their names.
const QUANTILES: [f64; 4] = [0.5, 0.9, 0.99, 0.999];
const QUANTILE_NAMES: [&str; 4] = ["0.5", "0.9", "0.99", "0.999"];

impl MetricsSnapshot {
    /// All of it as one line of JSON:
    /// `{"version":1,"at_unix_seconds":1767225600.25,"families":[{"name":"collector.lines","kind":"counter",..}]}`.
    ///
    /// A family has `name`, `kind`, `unit` (`count`, `seconds`, `bytes`, `ratio`), `help` and `series`. A series has `labels`,
    /// and `value`, or of a histogram `count`, `sum`, `min`, `max` and `quantiles` (`0.5`, `0.9`, `0.99`, `0.999`). All values
    /// are in the unit of the family. A gauge that is no number is one of the texts `NaN`, `+Inf`, `-Inf`; what a
    /// histogram without values does not have is null. While `version` is 1 there may come more fields, and these stay as
    /// they are.
    pub fn to_json(&self) -> String {
        let mut text = String::with_capacity(256);
        let _ = self.write_json(&mut text); // a text takes all
        text
    }

    /// Writes what [`to_json`](Self::to_json) returns.
    ///
    /// # Errors
    ///
    /// Those of `out`.
    pub fn write_json(&self, out: &mut impl Write) -> fmt::Result {
        out.write_str("{\"version\":1,\"at_unix_seconds\":")?;
        write_time(out, self.at)?;
        out.write_str(",\"families\":")?;
        write_list(out, ['[', ']'], &self.families, write_family)?;
        out.write_char('}')
    }
}

fn write_list<O: Write, T>(
    out: &mut O,
    [open, close]: [char; 2],
    items: impl IntoIterator<Item = T>,
    write: impl Fn(&mut O, T) -> fmt::Result,
) -> fmt::Result {
    out.write_char(open)?;
    for (n, item) in items.into_iter().enumerate() {
        if n > 0 {
            out.write_char(',')?;
        }
        write(out, item)?;
    }
    out.write_char(close)
}

fn write_text(out: &mut impl Write, text: &str) -> fmt::Result {
    // A text can always be written as JSON.
    out.write_str(&serde_json::to_string(text).map_err(|_| fmt::Error)?)
}

fn write_time(out: &mut impl Write, at: SystemTime) -> fmt::Result {
    let since = |time: Duration| time.as_nanos();
    match at.duration_since(SystemTime::UNIX_EPOCH) {
        Ok(after) => write_exact(out, since(after), Unit::Seconds),
        Err(before) => {
            out.write_char('-')?;
            write_exact(out, since(before.duration()), Unit::Seconds)
        }
    }
}

fn write_family(out: &mut impl Write, family: &Family) -> fmt::Result {
    let descriptor = &family.descriptor;
    out.write_str("{\"name\":")?;
    write_text(out, descriptor.name())?;
    write!(out, ",\"kind\":\"{}\",\"unit\":\"{}\",\"help\":", descriptor.kind(), descriptor.of_unit())?;
    write_text(out, descriptor.help_text())?;
    out.write_str(",\"series\":")?;
    write_list(out, ['[', ']'], &family.series, |out, series| {
        write_series(out, series, descriptor.of_unit())
    })?;
    out.write_char('}')
}

fn write_series(out: &mut impl Write, series: &Series, unit: Unit) -> fmt::Result {
    out.write_str("{\"labels\":")?;
    write_labels(out, &series.labels)?;
    out.write_char(',')?;
    match &series.value {
        Value::Counter(total) => write_field(out, "value", Some((*total).into()), unit)?,
        Value::Gauge(value) if value.is_finite() => {
            out.write_str("\"value\":")?;
            write_float(out, *value)?;
        }
        Value::Gauge(value) => {
            out.write_str("\"value\":\"")?;
            write_float(out, *value)?;
            out.write_char('"')?;
        }
        Value::Histogram(values) => write_distribution(out, values, unit)?,
    }
    out.write_char('}')
}

fn write_labels(out: &mut impl Write, labels: &Labels) -> fmt::Result {
    write_list(out, ['{', '}'], labels.iter(), |out, (name, value)| {
        write_text(out, name)?;
        out.write_char(':')?;
        write_text(out, value)
    })
}

fn write_distribution(out: &mut impl Write, values: &Distribution, unit: Unit) -> fmt::Result {
    write_field(out, "count", Some(values.count().into()), Unit::Count)?;
    let figures = [("sum", Some(values.sum())), ("min", wide(values.min())), ("max", wide(values.max()))];
    for (name, parts) in figures {
        out.write_char(',')?;
        write_field(out, name, parts, unit)?;
    }
    out.write_str(",\"quantiles\":")?;
    let named = QUANTILE_NAMES.into_iter().zip(values.quantiles(QUANTILES));
    write_list(out, ['{', '}'], named, |out, (name, value)| write_field(out, name, wide(value), unit))
}

fn wide(value: Option<u64>) -> Option<u128> {
    value.map(u128::from)
}

fn write_field(out: &mut impl Write, name: &str, parts: Option<u128>, unit: Unit) -> fmt::Result {
    write!(out, "\"{name}\":")?;
    match parts {
        Some(parts) => write_exact(out, parts, unit),
        None => out.write_str("null"),
    }
}

#[cfg(all(test, not(underpin_loom)))]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::super::example::{cut_as_a_label, example, family, snapshot, values};
    use super::super::{Descriptor, Kind};
    use super::*;

    fn read(snapshot: &MetricsSnapshot) -> serde_json::Value {
        serde_json::from_str(&snapshot.to_json()).expect("it is JSON")
    }

    #[test]
    fn a_snapshot_has_this_form() {
        let mut values = Distribution::default();
        [1_000_000, 2_000_000, 3_000_000].into_iter().for_each(|value| values.record(value, 1));
        let lines = Descriptor::counter("collector.lines", "Lines.");
        let handling = Descriptor::named("collector.handling", Kind::Histogram).unit(Unit::Seconds);
        let mut snapshot = snapshot(vec![
            family(handling, vec![(&[], Value::Histogram(values.into()))]),
            family(lines, vec![(&[("host", "a")], Value::Counter(12))]),
        ]);
        snapshot.at = SystemTime::UNIX_EPOCH + Duration::from_millis(1_767_225_600_250);
        let expected = concat!(
            r#"{"version":1,"at_unix_seconds":1767225600.25,"families":["#,
            r#"{"name":"collector.handling","kind":"histogram","unit":"seconds","help":"","series":["#,
            r#"{"labels":{},"count":3,"sum":0.006,"min":0.001,"max":0.003,"#,
            r#""quantiles":{"0.5":0.002007039,"0.9":0.003,"0.99":0.003,"0.999":0.003}}]},"#,
            r#"{"name":"collector.lines","kind":"counter","unit":"count","help":"Lines.","series":["#,
            r#"{"labels":{"host":"a"},"value":12}]}]}"#,
        );
        assert_eq!(snapshot.to_json(), expected);
    }

    #[test]
    fn all_kinds_and_odd_texts_are_json() {
        let read = read(&example());
        let families = read["families"].as_array().expect("there are families");
        assert_eq!(families.len(), example().families.len());
        for (read, family) in families.iter().zip(&example().families) {
            assert_eq!(read["name"], json!(family.descriptor.name()));
            assert_eq!(read["help"], json!(family.descriptor.help_text()));
            let series = read["series"].as_array().expect("there are series");
            for (read, series) in series.iter().zip(&family.series) {
                let labels: serde_json::Map<_, _> =
                    series.labels.iter().map(|(name, value)| (name.into(), json!(value))).collect();
                assert_eq!(read["labels"], serde_json::Value::Object(labels));
            }
        }
    }

    #[test]
    fn what_is_no_number_is_a_text_and_what_is_not_there_is_null() {
        let gauge = |value| {
            let family = family(Descriptor::named("a", Kind::Gauge), vec![(&[], Value::Gauge(value))]);
            read(&snapshot(vec![family]))["families"][0]["series"][0]["value"].clone()
        };
        assert_eq!((gauge(f64::NAN), gauge(f64::INFINITY)), (json!("NaN"), json!("+Inf")));
        assert_eq!((gauge(f64::NEG_INFINITY), gauge(-1.5e300)), (json!("-Inf"), json!(-1.5e300)));
        let none = Value::Histogram(Default::default());
        let empty = family(Descriptor::named("a", Kind::Histogram), vec![(&[], none)]);
        let series = read(&snapshot(vec![empty]))["families"][0]["series"][0].clone();
        assert_eq!((&series["count"], &series["sum"]), (&json!(0), &json!(0)));
        assert_eq!((&series["min"], &series["quantiles"]["0.99"]), (&json!(null), &json!(null)));
    }

    #[test]
    fn each_quantile_stands_under_its_name() {
        let all: Vec<_> = (1..=10_000).map(|n| n * 1_000_000).collect();
        let times = Descriptor::named("a", Kind::Histogram).unit(Unit::Seconds);
        let series = read(&snapshot(vec![family(times, vec![(&[], values(&all))])]))["families"][0]["series"]
            [0]
        .clone();
        for (name, expected) in [("0.5", 5.0), ("0.9", 9.0), ("0.99", 9.9), ("0.999", 9.99)] {
            let found = series["quantiles"][name].as_f64().expect("it is a number");
            assert!((found - expected).abs() <= expected / 128.0, "{name}: {found}");
        }
        let found: Vec<_> = QUANTILE_NAMES.iter().map(|name| series["quantiles"][name].as_f64()).collect();
        assert!(found.is_sorted_by(|a, b| a < b), "{found:?}");
    }

    #[test]
    fn a_time_before_1970_is_below_nothing() {
        let mut snapshot = snapshot(vec![]);
        snapshot.at = SystemTime::UNIX_EPOCH - Duration::from_millis(1_500);
        assert_eq!(snapshot.to_json(), r#"{"version":1,"at_unix_seconds":-1.5,"families":[]}"#);
    }

    proptest! {
        #[test]
        fn any_figure_and_any_text_is_read_back(value: f64, total: u64, help in "\\PC{0,20}|.{0,20}", text in any::<String>()) {
            let labels = cut_as_a_label(&text);
            let label: &[(&str, &str)] = &[("a", &labels)];
            let gauge = Descriptor::named("g", Kind::Gauge).help(help.clone());
            let counter = Descriptor::named("c", Kind::Counter);
            let read = read(&snapshot(vec![
                family(counter, vec![(label, Value::Counter(total))]),
                family(gauge, vec![(label, Value::Gauge(value))]),
            ]));
            prop_assert_eq!(&read["families"][0]["series"][0]["value"], &json!(total));
            prop_assert_eq!(&read["families"][1]["help"], &json!(help));
            prop_assert_eq!(&read["families"][1]["series"][0]["labels"]["a"], &json!(labels));
            if value.is_finite() {
                let found = read["families"][1]["series"][0]["value"].as_f64();
                prop_assert_eq!(found, Some(value));
            }
        }
    }
}
