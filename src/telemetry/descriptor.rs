//! What is measured: a name, a kind, a unit, and a word of help.

use std::borrow::Cow;
use std::fmt;

use super::bounds::{Bounds, default_bounds};
use super::unit::Unit;

/// A name has so many bytes at most.
pub const MAX_NAME_BYTES: usize = 200;

/// What is measured: a dotted name, a [`Kind`], a [`Unit`], and a help text.
///
/// A name is words of small letters, digits and `_`, joined by dots, each beginning with a letter:
/// `collector.lines`, `http.request.duration`. The unit is not part of it; an exporter adds what its format wants, as
/// in `collector_lines_total` and `http_request_duration_seconds`.
///
/// # Example
///
/// ```
/// use underpin::telemetry::{Descriptor, Unit};
///
/// const LINES: Descriptor = Descriptor::counter("collector.lines", "Lines that were taken.");
/// const HANDLING: Descriptor = Descriptor::histogram("collector.handling", "From read to stored.").unit(Unit::Seconds);
/// assert_eq!((LINES.name(), HANDLING.name()), ("collector.lines", "collector.handling"));
/// assert!(LINES.check().is_ok());
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Descriptor {
    name: Cow<'static, str>,
    kind: Kind,
    unit: Unit,
    help: Cow<'static, str>,
    bounds: Option<Bounds>,
}

/// What can be done with a metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// Only rises, from 0.
    Counter,
    /// Goes up and down.
    Gauge,
    /// Is how often each value was there.
    Histogram,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
        })
    }
}

/// Why nothing can be measured under a descriptor.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DescriptorError {
    /// The name is none.
    #[error("name {name:?}: {expected}, found {found:?} at byte {at}")]
    Name {
        /// The name, cut after [`MAX_NAME_BYTES`].
        name: String,
        /// Where it goes wrong.
        at: usize,
        /// What is there; `None` at the end of the name.
        found: Option<char>,
        /// What was expected.
        expected: &'static str,
    },
    /// The same name stands for something else already.
    #[error("`{name}` is a {is} in {is_unit} already, not a {wanted} in {wanted_unit}")]
    Conflict {
        /// The name.
        name: String,
        /// What it stands for.
        is: Kind,
        /// Its unit.
        is_unit: Unit,
        /// What was asked for.
        wanted: Kind,
        /// Its unit.
        wanted_unit: Unit,
    },
}

impl Descriptor {
    /// Of what only rises.
    pub const fn counter(name: &'static str, help: &'static str) -> Self {
        Self::fixed(name, Kind::Counter, help)
    }

    /// Of what goes up and down.
    pub const fn gauge(name: &'static str, help: &'static str) -> Self {
        Self::fixed(name, Kind::Gauge, help)
    }

    /// Of how often each value is there.
    pub const fn histogram(name: &'static str, help: &'static str) -> Self {
        Self::fixed(name, Kind::Histogram, help)
    }

    const fn fixed(name: &'static str, kind: Kind, help: &'static str) -> Self {
        Self { name: Cow::Borrowed(name), kind, unit: Unit::Count, help: Cow::Borrowed(help), bounds: None }
    }

    /// Of a name that is made while the program runs.
    pub fn named(name: impl Into<String>, kind: Kind) -> Self {
        Self { name: Cow::Owned(name.into()), kind, unit: Unit::Count, help: Cow::Borrowed(""), bounds: None }
    }

    /// What its values count. [`Unit::Count`] if nothing is said.
    pub const fn unit(mut self, unit: Unit) -> Self {
        self.unit = unit;
        self
    }

    /// Between which values an exporter of a histogram counts, in the [unit](Self::unit): seconds for times. Nothing else
    /// depends on them; quantiles are those of the [`Distribution`](super::Distribution).
    ///
    /// They are exported in order, each once, without those that are below 0 or no finite number, and
    /// [`MAX_BOUNDS`](super::MAX_BOUNDS) at most. If nothing is said there are 11 to 21 for each unit: from a microsecond to a
    /// minute, from 64 bytes to a gibibyte, from 1 to a million, from 0 to 1.
    pub const fn bounds(mut self, bounds: &'static [f64]) -> Self {
        self.bounds = Some(Bounds(bounds));
        self
    }

    /// One sentence for whoever reads the figures.
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Cow::Owned(help.into());
        self
    }

    /// The dotted name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What can be done with it.
    pub const fn kind(&self) -> Kind {
        self.kind
    }

    /// What its values count.
    pub const fn of_unit(&self) -> Unit {
        self.unit
    }

    /// Between which values an exporter counts, in its unit.
    pub const fn of_bounds(&self) -> &'static [f64] {
        match self.bounds {
            Some(bounds) => bounds.0,
            None => default_bounds(self.unit),
        }
    }

    /// The sentence for whoever reads the figures; may be empty.
    pub fn help_text(&self) -> &str {
        &self.help
    }

    /// Whether its name is one.
    ///
    /// # Errors
    ///
    /// Says where the name goes wrong.
    pub fn check(&self) -> Result<(), DescriptorError> {
        check_name(&self.name)
    }

    /// Whether the same may be measured under both. Help and bounds may differ: the first one's count.
    pub(crate) fn agrees(&self, other: &Self) -> Result<(), DescriptorError> {
        if (self.kind, self.unit) == (other.kind, other.unit) {
            return Ok(());
        }
        let (is, is_unit, wanted, wanted_unit) = (self.kind, self.unit, other.kind, other.unit);
        Err(DescriptorError::Conflict { name: self.name.to_string(), is, is_unit, wanted, wanted_unit })
    }
}

/// Also of what is executed and of spans.
pub(crate) fn check_name(name: &str) -> Result<(), DescriptorError> {
    if name.len() > MAX_NAME_BYTES {
        return Err(fault(name, MAX_NAME_BYTES, "a name of 200 bytes at most"));
    }
    let mut begins = true;
    for (at, c) in name.char_indices() {
        begins = match (begins, c) {
            (true, 'a'..='z') | (false, 'a'..='z' | '0'..='9' | '_') => false,
            (true, _) => return Err(fault(name, at, "a word begins with a small letter")),
            (false, '.') => true,
            (false, _) => return Err(fault(name, at, "small letters, digits, `_`, and dots between words")),
        };
    }
    if begins { Err(fault(name, name.len(), "a word begins with a small letter")) } else { Ok(()) }
}

fn fault(name: &str, at: usize, expected: &'static str) -> DescriptorError {
    let found = name.get(at..).and_then(|rest| rest.chars().next());
    let name = name.chars().scan(0, |bytes, c| {
        *bytes += c.len_utf8();
        (*bytes <= MAX_NAME_BYTES).then_some(c)
    });
    DescriptorError::Name { name: name.collect(), at, found, expected }
}

#[cfg(all(test, not(underpin_loom)))]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_words_joined_by_dots() {
        for name in ["a", "collector.lines", "http.request_2.duration", &"a".repeat(MAX_NAME_BYTES)] {
            assert_eq!(check_name(name), Ok(()), "{name}");
        }
    }

    #[test]
    fn a_name_that_is_none_is_told_with_the_place() {
        let long = "a".repeat(MAX_NAME_BYTES + 1);
        let wrong =
            [("", 0), (".a", 0), ("a.", 2), ("a..b", 2), ("a.1b", 2), ("aB", 1), ("a b", 1), ("aé", 1)];
        for (name, place) in wrong.into_iter().chain([(long.as_str(), MAX_NAME_BYTES)]) {
            let Err(DescriptorError::Name { at, .. }) = check_name(name) else { panic!("{name} is a name") };
            assert_eq!(at, place, "{name}");
        }
    }

    #[test]
    fn one_name_is_one_kind_in_one_unit() {
        let lines = Descriptor::counter("a.lines", "Lines.");
        assert_eq!(lines.agrees(&Descriptor::named("a.lines", Kind::Counter)), Ok(()));
        let others = [Descriptor::gauge("a.lines", ""), lines.clone().unit(Unit::Bytes)];
        for other in others {
            let told = lines.agrees(&other).expect_err("it differs").to_string();
            assert!(told.starts_with("`a.lines` is a counter in count already"), "{told}");
        }
    }
}
