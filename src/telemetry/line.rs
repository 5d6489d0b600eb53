//! A family as one line for people.

use std::fmt::{self, Write};

use super::distribution::Distribution;
use super::snapshot::{Family, MetricsSnapshot, Series, Value};
use super::unit::Unit;

/// A line that has so many bytes takes no further series.
const FULL_BYTES: usize = 240;

/// Below a thousand of the first, a thousand of the next follow, and so on; the last is for all that are greater.
const TIMES: [(&str, f64); 4] = [("ns", 1e-9), ("us", 1e-6), ("ms", 1e-3), ("s", 1.0)];
const SIZES: [(&str, f64); 5] = [
    ("B", 1.0),
    ("KiB", 1024.0),
    ("MiB", 1_048_576.0),
    ("GiB", 1_073_741_824.0),
    ("TiB", 1_099_511_627_776.0),
];

impl MetricsSnapshot {
    /// A line for each family, in the order of their names, as people read it in a log:
    /// `collector.handling{host="a"} 12, p50 3 ms, p99 10 ms; {host="b"} 7, p50 2 ms, p99 2 ms`.
    ///
    /// Figures have three digits, or all that stand before the point; times and sizes are in the unit that makes them short.
    /// Behind a histogram stand how many values there are, the median, and what one in a hundred exceeds. A line that is long
    /// says of the other series how many there are. There is no line break in it, whatever a label holds.
    pub fn lines(&self) -> impl Iterator<Item = String> {
        self.families.iter().filter(|family| !family.series.is_empty()).map(line)
    }
}

fn line(family: &Family) -> String {
    let mut line = family.descriptor.name().to_owned();
    for (n, series) in family.series.iter().enumerate() {
        if n > 0 && line.len() >= FULL_BYTES {
            let _ = write!(line, "; and {} more", family.series.len() - n); // a text takes all
            break;
        }
        line.push_str(if n > 0 { "; " } else { "" });
        let _ = write_series(&mut line, series, family.descriptor.of_unit());
    }
    line
}

fn write_series(line: &mut String, series: &Series, unit: Unit) -> fmt::Result {
    if !series.labels.is_empty() {
        write!(line, "{}", series.labels)?;
    }
    if !line.ends_with(' ') {
        line.push(' ');
    }
    match &series.value {
        Value::Counter(total) if unit == Unit::Count => write!(line, "{total}"),
        Value::Counter(total) => line.write_str(&figure(*total as f64 / unit.divisor(), unit)),
        Value::Gauge(value) => line.write_str(&figure(*value, unit)),
        Value::Histogram(values) => write_distribution(line, values, unit),
    }
}

fn write_distribution(line: &mut String, values: &Distribution, unit: Unit) -> fmt::Result {
    write!(line, "{}", values.count())?;
    for (name, value) in ["p50", "p99"].into_iter().zip(values.quantiles([0.5, 0.99])) {
        if let Some(value) = value {
            write!(line, ", {name} {}", figure(value as f64 / unit.divisor(), unit))?;
        }
    }
    Ok(())
}

/// A value with its unit, short: `3.25 ms`, `1.5 GiB`, `97 %`, `12`.
fn figure(value: f64, unit: Unit) -> String {
    match unit {
        Unit::Count => short(value),
        Unit::Ratio => format!("{} %", short(value * 100.0)),
        Unit::Seconds => scaled(value, &TIMES, 1000.0),
        Unit::Bytes => scaled(value, &SIZES, 1024.0),
    }
}

fn scaled(value: f64, steps: &[(&str, f64)], step: f64) -> String {
    // Of nothing there is no small part. And what is rounded may be a whole one of the next.
    let fits = |size: f64| if value == 0.0 { size == 1.0 } else { round(value.abs() / size) < step };
    let found = steps.iter().find(|(_, size)| fits(*size)).or(steps.last());
    let (name, size) = found.copied().unwrap_or(("", 1.0));
    format!("{} {name}", short(value / size))
}

/// Three digits, or all that stand before the point.
fn short(value: f64) -> String {
    let rounded = round(value);
    if rounded != 0.0 && !(1e-4..1e15).contains(&rounded.abs()) && value.is_finite() {
        return format!("{value:.2e}");
    }
    // Minus nothing is nothing.
    format!("{}", if rounded == 0.0 { 0.0 } else { rounded })
}

fn round(value: f64) -> f64 {
    if value == 0.0 || !value.is_finite() || value.abs() >= 1e15 {
        return value;
    }
    let behind = (2.0 - value.abs().log10().floor()).clamp(0.0, 300.0);
    // As text, so that a digit is not followed by what binary parts leave of it.
    format!("{value:.0$}", behind as usize).parse().unwrap_or(value)
}

#[cfg(all(test, not(underpin_loom)))]
mod tests {
    use proptest::prelude::*;

    use super::super::example::{cut_as_a_label, example, family, snapshot};
    use super::super::{Descriptor, Kind};
    use super::*;

    fn lines(families: Vec<Family>) -> Vec<String> {
        snapshot(families).lines().collect()
    }

    #[test]
    fn a_family_is_a_line() {
        let mut values = Distribution::default();
        values.record(3_000_000, 11);
        values.record(10_000_000, 1);
        let times = Descriptor::named("a.b", Kind::Histogram).unit(Unit::Seconds);
        let found = lines(vec![
            family(
                times,
                vec![
                    (&[("host", "x")], Value::Histogram(values.into())),
                    (&[("host", "y")], Value::Histogram(Default::default())),
                ],
            ),
            family(Descriptor::counter("a.c", ""), vec![(&[], Value::Counter(u64::MAX))]),
            family(
                Descriptor::gauge("a.d", ""),
                vec![(&[], Value::Gauge(0.5)), (&[("x", "1")], Value::Gauge(-2.0))],
            ),
            family(Descriptor::gauge("a.e", ""), vec![]),
        ]);
        let expected = [
            r#"a.b{host="x"} 12, p50 3 ms, p99 10 ms; {host="y"} 0"#,
            "a.c 18446744073709551615",
            r#"a.d 0.5; {x="1"} -2"#,
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn figures_are_short() {
        let cases = [
            (0.0, Unit::Seconds, "0 s"),
            (1.5e-9, Unit::Seconds, "1.5 ns"),
            (3.25e-3, Unit::Seconds, "3.25 ms"),
            (0.000_999_9, Unit::Seconds, "1 ms"),
            (0.000_999_4, Unit::Seconds, "999 us"),
            (59.99, Unit::Seconds, "60 s"),
            (86_400.4, Unit::Seconds, "86400 s"),
            (-0.002, Unit::Seconds, "-2 ms"),
            (0.0, Unit::Bytes, "0 B"),
            (1023.0, Unit::Bytes, "1023 B"),
            (1_610_612_736.0, Unit::Bytes, "1.5 GiB"),
            (5e18, Unit::Bytes, "4547474 TiB"),
            (0.971, Unit::Ratio, "97.1 %"),
            (12.0, Unit::Count, "12"),
            (123_456.7, Unit::Count, "123457"),
            (1e-9, Unit::Count, "1.00e-9"),
            (1e300, Unit::Count, "1.00e300"),
            (-0.0, Unit::Count, "0"),
            (f64::NAN, Unit::Count, "NaN"),
            (f64::INFINITY, Unit::Seconds, "inf s"),
        ];
        for (value, unit, expected) in cases {
            assert_eq!(figure(value, unit), expected, "{value} {unit}");
        }
    }

    #[test]
    fn a_long_line_says_how_many_more_there_are() {
        let names: Vec<_> = (100..200).map(|n| n.to_string()).collect();
        let labels: Vec<_> = names.iter().map(|name| [("host", name.as_str())]).collect();
        let series = labels.iter().map(|labels| (&labels[..], Value::Gauge(1.0))).collect();
        let [line] = &lines(vec![family(Descriptor::gauge("a", ""), series)])[..] else { panic!("one line") };
        let told = line.matches("host").count();
        assert!(line.ends_with(&format!("; and {} more", 100 - told)), "{line}");
        assert!(told > 5 && line.len() < FULL_BYTES + 50, "{line}");
        let long = "x".repeat(FULL_BYTES);
        let labels: [&[(&str, &str)]; 3] = [&[("a", &long)], &[("b", &long)], &[("c", &long)]];
        let series = labels.map(|labels| (labels, Value::Gauge(1.0))).into();
        let [line] = &lines(vec![family(Descriptor::gauge("a", ""), series)])[..] else { panic!("one line") };
        assert!(line.starts_with(r#"a{a="xxx"#) && line.ends_with("x\"} 1; and 2 more"), "{line}");
    }

    #[test]
    fn all_kinds_and_odd_texts_have_a_line_each() {
        let found: Vec<_> = example().lines().collect();
        assert_eq!(found.len(), example().families.iter().filter(|family| !family.series.is_empty()).count());
    }

    proptest! {
        #[test]
        fn any_label_stays_on_its_line(text in any::<String>(), value: f64) {
            let text = cut_as_a_label(&text);
            let label: &[(&str, &str)] = &[("a", &text)];
            for unit in [Unit::Count, Unit::Seconds, Unit::Bytes, Unit::Ratio] {
                let gauge = Descriptor::named("g", Kind::Gauge).unit(unit);
                let [line] = &lines(vec![family(gauge, vec![(label, Value::Gauge(value))])])[..] else { panic!("one line") };
                prop_assert!(!line.contains(['\n', '\r']), "{line:?}");
            }
        }

        #[test]
        fn a_figure_is_within_a_200th(value in 1e-6..1e14_f64) {
            let read: f64 = short(value).parse().expect("it is a number");
            prop_assert!((read - value).abs() <= value / 200.0, "{read} for {value}");
        }
    }
}
