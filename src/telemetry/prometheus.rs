//! A snapshot as the text that Prometheus scrapes, in both of its formats.
//!
//! Names: the dots become `_`, the unit follows where it is not there already, and a counter ends in `_total`:
//! `collector.lines` is `collector_lines_total`, `http.request.duration` in seconds `http_request_duration_seconds`. Times
//! are in seconds, counters and sums to the last digit. A histogram has a cumulative bucket for each of its
//! [bounds](super::Descriptor::bounds), and one for all.
//!
//! A label that the format keeps for itself, `le`, `quantile` and what begins with `__`, is written with `exported_` before
//! it, as Prometheus does with labels that are taken.

use std::borrow::Cow;
use std::fmt::{self, Write};

use super::bounds::usable;
use super::decimal::{write_exact, write_float};
use super::descriptor::{Descriptor, Kind};
use super::distribution::Distribution;
use super::exported::{Export, Exported};
use super::labels::Labels;
use super::snapshot::{MetricsSnapshot, Value};
use super::unit::Unit;

/// What HTTP calls the text of [`MetricsSnapshot::to_prometheus`].
pub const PROMETHEUS_CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";
/// What HTTP calls the text of [`MetricsSnapshot::to_openmetrics`].
pub const OPENMETRICS_CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

impl MetricsSnapshot {
    /// The text format of Prometheus, version 0.0.4.
    ///
    /// In the order of names and labels, so that the same snapshot is always the same text. Families without series are
    /// not there. Families that are [left out](Self::left_out) are named in a comment.
    pub fn to_prometheus(&self) -> String {
        let mut text = String::new();
        let _ = self.write_prometheus(&mut text); // a text takes all
        text
    }

    /// The text of OpenMetrics 1.0, which has units and ends in `# EOF`. Otherwise as [`to_prometheus`](Self::to_prometheus);
    /// what is left out cannot be named in it.
    pub fn to_openmetrics(&self) -> String {
        let mut text = String::new();
        let _ = self.write_openmetrics(&mut text); // a text takes all
        text
    }

    /// Writes what [`to_prometheus`](Self::to_prometheus) returns.
    ///
    /// # Errors
    ///
    /// Those of `out`.
    pub fn write_prometheus(&self, out: &mut impl Write) -> fmt::Result {
        let export = Export::of(&self.families);
        export
            .families
            .iter()
            .try_for_each(|exported| Page::new(out, Format::Prometheus, exported).write())?;
        export.left_out.iter().try_for_each(|name| {
            writeln!(out, "# {} is left out: another has its name already.", name.escape_debug())
        })
    }

    /// Writes what [`to_openmetrics`](Self::to_openmetrics) returns.
    ///
    /// # Errors
    ///
    /// Those of `out`.
    pub fn write_openmetrics(&self, out: &mut impl Write) -> fmt::Result {
        let export = Export::of(&self.families);
        export
            .families
            .iter()
            .try_for_each(|exported| Page::new(out, Format::OpenMetrics, exported).write())?;
        out.write_str("# EOF\n")
    }

    /// The dotted names of the families that both formats leave out, because they would have the name of another, or of its
    /// samples: of `a.b.c` and `a.b_c` the latter.
    pub fn left_out(&self) -> Vec<&str> {
        Export::of(&self.families).left_out
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Format {
    Prometheus,
    OpenMetrics,
}

/// One family, as it is written.
struct Page<'a, W> {
    out: &'a mut W,
    format: Format,
    /// Without `_total`.
    name: &'a str,
    exported: &'a Exported<'a>,
}

impl<'a, W: Write> Page<'a, W> {
    fn new(out: &'a mut W, format: Format, exported: &'a Exported<'a>) -> Self {
        Self { out, format, name: &exported.name, exported }
    }

    fn write(&mut self) -> fmt::Result {
        let family = self.exported.family;
        self.head(&family.descriptor)?;
        let bounds = Bounds::of(&family.descriptor, self.format);
        let mut labels = String::new();
        for series in &family.series {
            labels.clear();
            write_labels(&mut labels, &series.labels)?;
            self.series(&family.descriptor, &labels, &series.value, &bounds)?;
        }
        Ok(())
    }

    fn head(&mut self, descriptor: &Descriptor) -> fmt::Result {
        let (name, kind) = (self.name, descriptor.kind());
        // In the older format each sample is of the name that the family has.
        let suffix = if (kind, self.format) == (Kind::Counter, Format::Prometheus) { "_total" } else { "" };
        if !descriptor.help_text().is_empty() {
            write!(self.out, "# HELP {name}{suffix} ")?;
            let quotes = self.format == Format::OpenMetrics;
            write_escaped(self.out, descriptor.help_text(), quotes)?;
            self.out.write_char('\n')?;
        }
        writeln!(self.out, "# TYPE {name}{suffix} {kind}")?;
        match descriptor.of_unit().suffix().filter(|_| self.format == Format::OpenMetrics) {
            Some(unit) => writeln!(self.out, "# UNIT {name} {unit}"),
            None => Ok(()),
        }
    }

    fn series(&mut self, of: &Descriptor, labels: &str, value: &Value, bounds: &Bounds) -> fmt::Result {
        match (of.kind(), value) {
            (Kind::Counter, Value::Counter(total)) => {
                self.sample("_total", labels, "")?;
                self.exact((*total).into(), of.of_unit())
            }
            (Kind::Gauge, Value::Gauge(value)) => {
                self.sample("", labels, "")?;
                write_float(self.out, *value)?;
                self.out.write_char('\n')
            }
            (Kind::Histogram, Value::Histogram(values)) => {
                self.histogram(labels, values, bounds, of.of_unit())
            }
            // No series is of another kind than its family.
            _ => Ok(()),
        }
    }

    fn histogram(&mut self, labels: &str, values: &Distribution, bounds: &Bounds, unit: Unit) -> fmt::Result {
        let counts = values.at_most_each(bounds.0.iter().map(|(_, integer)| *integer));
        let mut count = 0;
        for ((le, _), at_most) in bounds.0.iter().zip(counts) {
            self.sample("_bucket", labels, le)?;
            self.exact(at_most.into(), Unit::Count)?;
            count = at_most; // that of the last bound is of all
        }
        self.sample("_sum", labels, "")?;
        self.exact(values.sum(), unit)?;
        self.sample("_count", labels, "")?;
        self.exact(count.into(), Unit::Count)
    }

    /// A line up to its value.
    fn sample(&mut self, suffix: &str, labels: &str, more: &str) -> fmt::Result {
        self.out.write_str(self.name)?;
        self.out.write_str(suffix)?;
        if labels.len() + more.len() > 0 {
            let comma = if labels.is_empty() || more.is_empty() { "" } else { "," };
            ["{", labels, comma, more, "}"].into_iter().try_for_each(|part| self.out.write_str(part))?;
        }
        self.out.write_char(' ')
    }

    fn exact(&mut self, parts: u128, unit: Unit) -> fmt::Result {
        write_exact(self.out, parts, unit)?;
        self.out.write_char('\n')
    }
}

/// The bounds of a family, the last above all values: the label of each, and the greatest integer that is not above it.
struct Bounds(Vec<(String, u64)>);

impl Bounds {
    fn of(descriptor: &Descriptor, format: Format) -> Self {
        if descriptor.kind() != Kind::Histogram {
            return Self(Vec::new());
        }
        let usable = usable(descriptor.of_bounds(), descriptor.of_unit()).into_iter();
        let all = [(f64::INFINITY, u64::MAX)];
        Self(usable.chain(all).map(|(bound, integer)| (le(bound, format), integer)).collect())
    }
}

/// OpenMetrics has a bound look like no integer: `1.0`, `1e+06`.
fn le(bound: f64, format: Format) -> String {
    let mut number = String::new();
    let _ = write_float(&mut number, bound); // a text takes all
    let is_plain = format == Format::Prometheus || number.contains(['.', 'e', 'I']);
    format!("le=\"{number}{}\"", if is_plain { "" } else { ".0" })
}

fn write_labels(out: &mut String, labels: &Labels) -> fmt::Result {
    for (name, value) in labels.iter() {
        if !out.is_empty() {
            out.push(',');
        }
        write!(out, "{}=\"", label_name(name, labels))?;
        write_escaped(out, value, true)?;
        out.push('"');
    }
    Ok(())
}

fn label_name<'a>(name: &'a str, labels: &Labels) -> Cow<'a, str> {
    if !name.starts_with("__") && !["le", "quantile"].contains(&name) {
        return name.into();
    }
    let mut free = format!("exported_{name}");
    while labels.get(&free).is_some() {
        free.insert_str(0, "exported_");
    }
    free.into()
}

fn write_escaped(out: &mut impl Write, text: &str, quotes: bool) -> fmt::Result {
    let mut from = 0;
    for (at, byte) in text.bytes().enumerate() {
        let escaped = match byte {
            b'\\' => "\\\\",
            b'\n' => "\\n",
            b'"' if quotes => "\\\"",
            _ => continue,
        };
        out.write_str(&text[from..at])?;
        out.write_str(escaped)?;
        from = at + 1;
    }
    out.write_str(&text[from..])
}

#[cfg(all(test, not(underpin_loom)))]
mod tests;
