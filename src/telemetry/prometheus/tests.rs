//! Whether what is written is what the formats ask for.

mod compared;
mod exposition;

use proptest::prelude::*;

use self::exposition::{Parsed, parse};
use super::super::example::{cut_as_a_label, example, family, snapshot, values};
use super::*;

fn value(families: &Parsed, family: &str, sample: &str, labels: &[(&str, &str)]) -> Option<f64> {
    let labels = labels.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
    families.get(family)?.samples.get(&(sample.into(), labels)).copied()
}

fn gauge(name: &str, labels: &[(&str, &str)]) -> super::super::Family {
    family(Descriptor::named(name, Kind::Gauge), vec![(labels, Value::Gauge(1.0))])
}

#[test]
fn the_example_is_read_by_a_strict_reader() {
    let snapshot = example();
    let (prometheus, openmetrics) = (snapshot.to_prometheus(), snapshot.to_openmetrics());
    assert_eq!(parse(&prometheus, Format::Prometheus).map(|families| families.len()), Ok(9));
    assert_eq!(parse(&openmetrics, Format::OpenMetrics).map(|families| families.len()), Ok(9));
    // Where other readers are at hand, they can be asked too.
    if let Some(dir) = std::env::var_os("UNDERPIN_EXPOSITIONS").map(std::path::PathBuf::from) {
        std::fs::write(dir.join("example.prom"), prometheus).expect("it can be written");
        std::fs::write(dir.join("example.openmetrics"), openmetrics).expect("it can be written");
    }
}

#[test]
fn a_snapshot_has_this_form_in_prometheus() {
    let snapshot = snapshot(vec![
        family(
            Descriptor::counter("app.lines", "Lines."),
            vec![(&[("host", "a"), ("app", "b")], Value::Counter(12))],
        ),
        family(
            Descriptor::histogram("app.wait", "Waits.").unit(Unit::Seconds).bounds(&[1e-6, 1.0]),
            vec![(&[("host", "a")], values(&[800, 2_000, 2_000_000_000]))],
        ),
    ]);
    let expected = r#"# HELP app_lines_total Lines.
# TYPE app_lines_total counter
app_lines_total{app="b",host="a"} 12
# HELP app_wait_seconds Waits.
# TYPE app_wait_seconds histogram
app_wait_seconds_bucket{host="a",le="1e-06"} 1
app_wait_seconds_bucket{host="a",le="1"} 2
app_wait_seconds_bucket{host="a",le="+Inf"} 3
app_wait_seconds_sum{host="a"} 2.0000028
app_wait_seconds_count{host="a"} 3
"#;
    assert_eq!(snapshot.to_prometheus(), expected);
}

#[test]
fn a_snapshot_has_this_form_in_openmetrics() {
    let snapshot = snapshot(vec![
        family(
            Descriptor::counter("app.work", "Says \"work\".").unit(Unit::Seconds),
            vec![(&[], Value::Counter(1))],
        ),
        family(Descriptor::histogram("app.size", "").bounds(&[1.0, 1e6]), vec![(&[], values(&[2]))]),
    ]);
    let expected = r#"# TYPE app_size histogram
app_size_bucket{le="1.0"} 0
app_size_bucket{le="1e+06"} 1
app_size_bucket{le="+Inf"} 1
app_size_sum 2
app_size_count 1
# HELP app_work_seconds Says \"work\".
# TYPE app_work_seconds counter
# UNIT app_work_seconds seconds
app_work_seconds_total 0.000000001
# EOF
"#;
    assert_eq!(snapshot.to_openmetrics(), expected);
}

#[test]
fn nothing_is_no_text_or_its_end() {
    let nothing = snapshot(vec![]);
    assert_eq!((nothing.to_prometheus().as_str(), nothing.to_openmetrics().as_str()), ("", "# EOF\n"));
}

#[test]
fn labels_that_the_format_keeps_for_itself_are_renamed() {
    let families = parse(&example().to_prometheus(), Format::Prometheus).expect("it is right");
    let count = |labels| value(&families, "app_latency_seconds", "app_latency_seconds_count", labels);
    let first = [("exported___name__", "x"), ("exported_le", "0.5"), ("host", "a")];
    let second = [("exported_exported_le", "0.5"), ("exported_le", "0.7"), ("host", "b")];
    assert_eq!((count(&first), count(&second)), (Some(3.0), Some(0.0)));
    let gauge = [("at", "great"), ("exported_le", "1"), ("exported_quantile", "2")];
    assert_eq!(value(&families, "app_depth", "app_depth", &gauge), Some(f64::MAX));
}

#[test]
fn a_family_that_is_left_out_is_named_where_that_can_be() {
    let snapshot = snapshot(vec![gauge("a.b_c", &[("x", "1")]), gauge("a.b.c", &[])]);
    let text = snapshot.to_prometheus();
    assert!(text.ends_with("# a.b_c is left out: another has its name already.\n"), "{text}");
    let samples = |text: &str, format| parse(text, format).expect("it is right")["a_b_c"].samples.len();
    assert_eq!(samples(&text, Format::Prometheus), 1);
    assert_eq!(samples(&snapshot.to_openmetrics(), Format::OpenMetrics), 1);
}

#[test]
fn an_error_of_the_writer_is_handed_on() {
    /// Takes so many texts.
    struct Full(usize);
    impl Write for Full {
        fn write_str(&mut self, _: &str) -> fmt::Result {
            self.0 = self.0.checked_sub(1).ok_or(fmt::Error)?;
            Ok(())
        }
    }
    let snapshot = example();
    for room in (0..2000).step_by(7) {
        let ends = snapshot.write_prometheus(&mut Full(room)).is_ok();
        assert!(!ends || room > 200, "{room}");
    }
    assert_eq!(snapshot.write_openmetrics(&mut Full(usize::MAX)), Ok(()));
}

#[test]
fn a_million_bytes_of_ten_thousand_series_are_written_whole() {
    let names: Vec<_> = (0..10_000).map(|n| n.to_string()).collect();
    let labels: Vec<_> = names.iter().map(|name| [("n", name.as_str())]).collect();
    let series = labels.iter().map(|labels| (&labels[..], Value::Counter(1))).collect();
    let text = snapshot(vec![family(Descriptor::counter("app.calls", "Calls."), series)]).to_openmetrics();
    let families = parse(&text, Format::OpenMetrics).expect("it is right");
    assert_eq!(families["app_calls"].samples.len(), 10_000);
}

proptest! {
    #[test]
    fn any_text_is_read_back(text in any::<String>(), help in any::<String>()) {
        let text = cut_as_a_label(&text);
        let labels: &[(&str, &str)] = &[("le", &text), ("a", &text)];
        let gauge = Descriptor::named("g", Kind::Gauge).help(help.clone());
        let histogram = Descriptor::named("h", Kind::Histogram).help(help.clone());
        let snapshot = snapshot(vec![
            family(gauge, vec![(labels, Value::Gauge(1.5))]),
            family(histogram, vec![(labels, values(&[1]))]),
        ]);
        for format in [Format::Prometheus, Format::OpenMetrics] {
            let written = if format == Format::Prometheus { snapshot.to_prometheus() } else { snapshot.to_openmetrics() };
            let families = parse(&written, format).map_err(TestCaseError::fail)?;
            let renamed: &[(&str, &str)] = &[("exported_le", &text), ("a", &text)];
            prop_assert_eq!(value(&families, "g", "g", renamed), Some(1.5));
            prop_assert_eq!(value(&families, "h", "h_sum", renamed), Some(1.0));
            let expected = (!help.is_empty()).then_some(help.as_str());
            prop_assert_eq!(families["g"].help.as_deref(), expected);
        }
    }

    #[test]
    fn any_names_make_a_text_that_is_right(names in prop::collection::btree_set("[ab](\\.[ab]|_total|_sum|\\.count|_b){0,3}", 0..12), kinds: u64) {
        let of = |n: usize| match kinds >> (n * 2) & 3 {
            0 => (Kind::Counter, Value::Counter(1)),
            1 => (Kind::Histogram, values(&[1, 5])),
            _ => (Kind::Gauge, Value::Gauge(1.0)),
        };
        let families = names.iter().enumerate().map(|(n, name)| {
            let (kind, value) = of(n);
            let unit = if kinds >> (n + 24) & 1 == 1 { Unit::Seconds } else { Unit::Count };
            family(Descriptor::named(name.as_str(), kind).unit(unit), vec![(&[], value)])
        });
        let snapshot = snapshot(families.collect());
        let found = parse(&snapshot.to_prometheus(), Format::Prometheus).map_err(TestCaseError::fail)?;
        prop_assert_eq!(found.len() + snapshot.left_out().len(), names.len());
        let found = parse(&snapshot.to_openmetrics(), Format::OpenMetrics).map_err(TestCaseError::fail)?;
        prop_assert_eq!(found.len() + snapshot.left_out().len(), names.len());
    }
}
