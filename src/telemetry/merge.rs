//! Families from several places, as one.

use std::sync::Arc;

use super::snapshot::{Family, Series, is_below};

/// Those of names below `prefix`, with the series that have these labels.
pub(crate) fn selected(families: &[Family], prefix: &str, labels: &[(&str, &str)]) -> Vec<Family> {
    let below = families.iter().filter(|family| is_below(family.descriptor.name(), prefix));
    let selected = below.map(|family| with_labels(family, labels));
    selected.filter(|family| !family.series.is_empty()).collect()
}

fn with_labels(family: &Family, labels: &[(&str, &str)]) -> Family {
    let series = family.series.iter().filter(|series| series.labels.contains(labels));
    Family { descriptor: Arc::clone(&family.descriptor), series: series.cloned().collect() }
}

/// All of them, in the order of names and labels. Where the same is there twice, or a name stands for two things, what is
/// named first stands.
pub(crate) fn merged(from: impl IntoIterator<Item = Vec<Family>>) -> Vec<Family> {
    let mut all: Vec<Family> = from.into_iter().flatten().collect();
    all.sort_by(|one, other| one.descriptor.name().cmp(other.descriptor.name()));
    let mut merged: Vec<Family> = Vec::with_capacity(all.len());
    for family in all {
        match merged.last_mut().filter(|last| last.descriptor.name() == family.descriptor.name()) {
            Some(last) => join(last, family),
            None => merged.push(family),
        }
    }
    merged
}

fn join(into: &mut Family, other: Family) {
    if into.descriptor.agrees(&other.descriptor).is_ok() {
        into.series.extend(other.series);
        into.series.sort_by(|one, other| one.labels.cmp(&other.labels));
        into.series.dedup_by(|later, first| Series::is_same(later, first));
    }
}

impl Series {
    fn is_same(&self, other: &Self) -> bool {
        self.labels == other.labels
    }
}

#[cfg(all(test, not(underpin_loom)))]
mod tests {
    use super::super::{Descriptor, Labels, Value};
    use super::*;

    fn family(descriptor: Descriptor, series: &[(&str, u64)]) -> Family {
        let series = series.iter().map(|(host, n)| Series {
            labels: Labels::new(&[("host", host)]).expect("they are labels"),
            value: Value::Counter(*n),
        });
        Family { descriptor: Arc::new(descriptor), series: series.collect() }
    }

    fn told(families: &[Family]) -> Vec<(String, Vec<(String, u64)>)> {
        let series = |series: &Series| match series.value {
            Value::Counter(n) => (series.labels.get("host").unwrap_or_default().to_owned(), n),
            _ => panic!("it is a counter"),
        };
        let told =
            families.iter().map(|f| (f.descriptor.name().to_owned(), f.series.iter().map(series).collect()));
        told.collect()
    }

    #[test]
    fn what_is_named_first_stands() {
        let lines = || Descriptor::counter("a.lines", "");
        let first = vec![family(lines(), &[("b", 1)])];
        let second = vec![
            family(Descriptor::counter("a.calls", ""), &[("x", 9)]),
            family(lines(), &[("a", 2), ("b", 3)]),
        ];
        let third = vec![family(Descriptor::gauge("a.lines", ""), &[("c", 4)])];
        let merged = told(&merged([first, second, third]));
        let lines = vec![("a".to_owned(), 2), ("b".to_owned(), 1)];
        assert_eq!(merged, [("a.calls".into(), vec![("x".into(), 9)]), ("a.lines".into(), lines)]);
    }

    #[test]
    fn a_prefix_is_of_whole_words() {
        let families =
            ["a", "a.b", "ab"].map(|name| family(Descriptor::counter(name, ""), &[("x", 1), ("y", 1)]));
        let names = |prefix, labels| -> Vec<_> {
            told(&selected(&families, prefix, labels))
                .into_iter()
                .map(|(name, series)| (name, series.len()))
                .collect()
        };
        assert_eq!(names("a", &[]), [("a".into(), 2), ("a.b".into(), 2)]);
        assert_eq!(names("", &[("host", "y")]), [("a".into(), 1), ("a.b".into(), 1), ("ab".into(), 1)]);
        assert_eq!(names("a.b", &[("host", "z")]), []);
    }
}
