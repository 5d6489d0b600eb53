//! Under which name a family is exported.

use std::collections::HashSet;

use super::descriptor::Kind;
use super::snapshot::Family;
use super::unit::Unit;

/// What follows the name of a family in the names of its samples, in one format or the other. `_created` is not written
/// here, but readers of OpenMetrics keep it free.
const COUNTER: [&str; 3] = ["", "_total", "_created"];
const GAUGE: [&str; 1] = [""];
const HISTOGRAM: [&str; 5] = ["", "_bucket", "_sum", "_count", "_created"];

/// A family and the name under which it is exported.
#[derive(Debug)]
pub(crate) struct Exported<'a> {
    pub(crate) family: &'a Family,
    /// With its unit, without `_total`.
    pub(crate) name: String,
}

/// The families of a snapshot, each under a name of its own.
///
/// Two dotted names may become one, as `a.b_c` and `a.b.c` do, or the name of one what another calls a sample, as
/// `a.sum` does beside a histogram `a`. Then the first, in the order of dotted names, is exported and the other is left
/// out: a name that was made up for it would go to and fro with whether the first one is there.
#[derive(Debug, Default)]
pub(crate) struct Export<'a> {
    pub(crate) families: Vec<Exported<'a>>,
    /// The dotted names of those that are left out.
    pub(crate) left_out: Vec<&'a str>,
}

impl<'a> Export<'a> {
    /// Families without series are in neither.
    pub(crate) fn of(families: &'a [Family]) -> Self {
        let (mut export, mut taken) = (Self::default(), HashSet::new());
        for family in families.iter().filter(|family| !family.series.is_empty()) {
            let (name, kind) = (exported_name(family), family.descriptor.kind());
            let wanted: Vec<_> = suffixes(kind).iter().map(|suffix| format!("{name}{suffix}")).collect();
            if wanted.iter().any(|name| taken.contains(name)) {
                export.left_out.push(family.descriptor.name());
                continue;
            }
            taken.extend(wanted);
            export.families.push(Exported { family, name });
        }
        export
    }
}

fn suffixes(kind: Kind) -> &'static [&'static str] {
    match kind {
        Kind::Counter => &COUNTER,
        Kind::Gauge => &GAUGE,
        Kind::Histogram => &HISTOGRAM,
    }
}

fn exported_name(family: &Family) -> String {
    let descriptor = &family.descriptor;
    name_of(descriptor.name(), descriptor.kind(), descriptor.of_unit())
}

/// With `_` for a dot, and the unit behind it where it is not there. A counter's `_total` is for the format to add.
fn name_of(dotted: &str, kind: Kind, unit: Unit) -> String {
    let fits = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let mut name: String = dotted.chars().map(|c| if fits(c) { c } else { '_' }).collect();
    if !name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_') {
        name.insert(0, '_');
    }
    if let (Kind::Counter, Some(bare)) = (kind, name.strip_suffix("_total").filter(|bare| !bare.is_empty())) {
        name.truncate(bare.len());
    }
    if let Some(unit) = unit.suffix().filter(|unit| !ends_in(&name, unit)) {
        name.push('_');
        name.push_str(unit);
    }
    name
}

fn ends_in(name: &str, word: &str) -> bool {
    name.strip_suffix(word).is_some_and(|rest| rest.ends_with('_'))
}

#[cfg(all(test, not(underpin_loom)))]
mod tests {
    use proptest::prelude::*;

    use super::super::example::{family, snapshot};
    use super::super::{Descriptor, Value};
    use super::*;

    #[test]
    fn a_name_has_its_unit_once_and_no_total() {
        let cases = [
            ("a.b", Kind::Gauge, Unit::Count, "a_b"),
            ("a.b", Kind::Histogram, Unit::Seconds, "a_b_seconds"),
            ("a.b_seconds", Kind::Histogram, Unit::Seconds, "a_b_seconds"),
            ("a.milliseconds", Kind::Gauge, Unit::Seconds, "a_milliseconds_seconds"),
            ("a.bytes", Kind::Counter, Unit::Bytes, "a_bytes"),
            ("a.bytes.total", Kind::Counter, Unit::Bytes, "a_bytes"),
            ("a.total", Kind::Counter, Unit::Count, "a"),
            ("a.total", Kind::Gauge, Unit::Count, "a_total"),
            ("total", Kind::Counter, Unit::Count, "total"),
            ("seconds", Kind::Counter, Unit::Seconds, "seconds_seconds"),
            ("a.busy", Kind::Gauge, Unit::Ratio, "a_busy_ratio"),
        ];
        for (dotted, kind, unit, expected) in cases {
            assert_eq!(name_of(dotted, kind, unit), expected);
        }
    }

    fn split(families: Vec<Family>) -> (Vec<String>, Vec<String>) {
        let snapshot = snapshot(families);
        let export = Export::of(&snapshot.families);
        let names = export.families.iter().map(|exported| exported.name.clone()).collect();
        (names, snapshot.left_out().iter().map(ToString::to_string).collect())
    }

    fn gauge(name: &str) -> Family {
        family(Descriptor::named(name, Kind::Gauge), vec![(&[], Value::Gauge(1.0))])
    }

    fn counter(name: &str) -> Family {
        family(Descriptor::named(name, Kind::Counter), vec![(&[], Value::Counter(1))])
    }

    #[test]
    fn of_two_that_become_one_name_the_later_is_left_out() {
        let (names, left_out) = split(vec![gauge("a.b_c"), gauge("a.b.c"), gauge("a.d")]);
        assert_eq!((names, left_out), (vec!["a_b_c".into(), "a_d".into()], vec!["a.b_c".into()]));
    }

    #[test]
    fn a_name_that_is_a_sample_of_another_is_left_out() {
        let histogram = || {
            let none = Value::Histogram(Default::default());
            family(Descriptor::named("a", Kind::Histogram), vec![(&[], none)])
        };
        let (names, left_out) =
            split(vec![histogram(), gauge("a.sum"), gauge("a.bucket"), gauge("a.summary")]);
        assert_eq!((names.len(), left_out), (2, vec!["a.bucket".into(), "a.sum".into()]));
        let (names, left_out) = split(vec![counter("b"), gauge("b.total")]);
        assert_eq!((names, left_out), (vec!["b".into()], vec!["b.total".into()]));
        let (names, left_out) = split(vec![gauge("c"), counter("c.total")]);
        assert_eq!((names, left_out), (vec!["c".into()], vec!["c.total".into()]));
    }

    #[test]
    fn a_family_without_series_takes_no_name() {
        let empty = family(Descriptor::named("a.b.c", Kind::Gauge), vec![]);
        assert_eq!(split(vec![empty, gauge("a.b_c")]), (vec!["a_b_c".into()], vec![]));
    }

    proptest! {
        #[test]
        fn any_text_becomes_a_name(dotted in "\\PC{0,9}|[a-z.]{1,9}") {
            for kind in [Kind::Counter, Kind::Gauge, Kind::Histogram] {
                let name = name_of(&dotted, kind, Unit::Count);
                prop_assert!(name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_'), "{name:?}");
                prop_assert!(name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_'));
            }
        }
    }
}
