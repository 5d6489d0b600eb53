//! What must hold of a configuration beyond its types.

use std::fmt;
use std::ops::{Bound, RangeBounds};

use super::fault::{Fault, Faults};
use super::path::Path;

/// What must hold of a configuration beyond its types.
///
/// Called for each configuration before it is published: at the start on the thread that loads it,
/// later on that of the config service. All faults are reported at once, so a validation
/// goes on after one it has found. It should be quick, and must not change anything; a panic in it is a
/// fault of the configuration.
///
/// # Example
///
/// ```
/// use underpin::config::{Checks, Validate};
///
/// struct Settings { workers: usize, limits: Limits }
/// struct Limits { soft: u64, hard: u64 }
///
/// impl Validate for Settings {
///     fn validate(&self, checks: &mut Checks) {
///         checks.within("workers", self.workers, 1..=64);
///         checks.nested("limits", &self.limits);
///     }
/// }
///
/// impl Validate for Limits {
///     fn validate(&self, checks: &mut Checks) {
///         checks.that("soft", self.soft <= self.hard, "at most `hard`");
///     }
/// }
///
/// let faults = Checks::of(&Settings { workers: 0, limits: Limits { soft: 2, hard: 1 } });
/// let lines: Vec<_> = faults.iter().map(ToString::to_string).collect();
/// assert_eq!(lines, ["workers: expected 1 to 64, found 0", "limits.soft: expected at most `hard`"]);
/// ```
pub trait Validate {
    /// Reports all that is wrong. Nothing is, if nothing is said.
    fn validate(&self, checks: &mut Checks) {
        let _ = checks;
    }
}

impl Validate for serde_json::Value {}

/// Where a [validation](Validate) reports what is wrong.
#[derive(Debug, Default)]
pub struct Checks {
    place: Path,
    faults: Faults,
}

impl Checks {
    /// All that is wrong with `value`.
    pub fn of(value: &(impl Validate + ?Sized)) -> Faults {
        Self::below(Path::TOP, value)
    }

    /// All that is wrong with `value`, which stands at `place`.
    pub(crate) fn below(place: Path, value: &(impl Validate + ?Sized)) -> Faults {
        let mut checks = Self { place, faults: Faults::default() };
        value.validate(&mut checks);
        checks.faults
    }

    /// Reports a fault of `field` unless `holds`. `expected` completes "expected ..".
    pub fn that(&mut self, field: &str, holds: bool, expected: impl fmt::Display) {
        if !holds {
            self.fail(field, format_args!("expected {expected}"));
        }
    }

    /// Reports a fault unless `value` is in `range`.
    pub fn within<N: PartialOrd + fmt::Display>(
        &mut self,
        field: &str,
        value: N,
        range: impl RangeBounds<N>,
    ) {
        if !range.contains(&value) {
            self.fail(field, format_args!("expected {}, found {value}", in_words(&range)));
        }
    }

    /// Reports a fault of `field`; of the whole, where that is empty.
    pub fn fail(&mut self, field: &str, message: impl fmt::Display) {
        let path = if field.is_empty() { self.place.clone() } else { self.place.child(field) };
        self.faults.add(Fault::new(path, message.to_string()));
    }

    /// Validates what stands at `field`.
    pub fn nested(&mut self, field: &str, value: &(impl Validate + ?Sized)) {
        self.place.push(field);
        value.validate(self);
        self.place.pop();
    }

    /// Validates each element of the list at `field`.
    pub fn each<'a, V: Validate + 'a>(&mut self, field: &str, list: impl IntoIterator<Item = &'a V>) {
        self.place.push(field);
        for (index, value) in list.into_iter().enumerate() {
            self.nested(&index.to_string(), value);
        }
        self.place.pop();
    }
}

/// "1 to 64", "at least 1024": it is read by people who know no Rust.
fn in_words<N: fmt::Display>(range: &impl RangeBounds<N>) -> String {
    let least = match (range.start_bound(), range.end_bound()) {
        (Bound::Included(least), Bound::Included(most)) => return format!("{least} to {most}"),
        (Bound::Included(least), _) => Some(format!("at least {least}")),
        (Bound::Excluded(less), _) => Some(format!("more than {less}")),
        (Bound::Unbounded, _) => None,
    };
    let most = match range.end_bound() {
        Bound::Included(most) => Some(format!("at most {most}")),
        Bound::Excluded(more) => Some(format!("less than {more}")),
        Bound::Unbounded => None,
    };
    least.into_iter().chain(most).collect::<Vec<_>>().join(" and ")
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Port(u16);

    impl Validate for Port {
        fn validate(&self, checks: &mut Checks) {
            checks.within("", self.0, 1024..);
        }
    }

    struct Ports(Vec<Port>);

    impl Validate for Ports {
        fn validate(&self, checks: &mut Checks) {
            checks.each("ports", &self.0);
            checks.that("ports", self.0.len() > 2, "three or more");
        }
    }

    #[test]
    fn every_fault_is_reported_with_its_path() {
        let faults = Checks::of(&Ports(vec![Port(80), Port(8080), Port(0)]));
        let lines: Vec<_> = faults.iter().map(ToString::to_string).collect();
        let expected =
            ["ports.0: expected at least 1024, found 80", "ports.2: expected at least 1024, found 0"];
        assert_eq!(lines, expected);
        let faults = Checks::of(&Ports(vec![Port(80)]));
        assert_eq!(faults.len(), 2);
        assert_eq!(
            faults.to_string(),
            "ports.0: expected at least 1024, found 80\nports: expected three or more"
        );
    }

    #[test]
    fn a_range_is_told_in_words() {
        fn said(range: impl RangeBounds<u8>) -> String {
            let mut checks = Checks::default();
            checks.within("n", 9, range);
            checks.faults.to_string()
        }
        assert_eq!(said(1..=8), "n: expected 1 to 8, found 9");
        assert_eq!(said(1..9), "n: expected at least 1 and less than 9, found 9");
        assert_eq!(said(10..), "n: expected at least 10, found 9");
        assert_eq!(
            (said(..9), said(..=8)),
            ("n: expected less than 9, found 9".into(), "n: expected at most 8, found 9".into())
        );
        assert_eq!(said((Bound::Excluded(9), Bound::Unbounded)), "n: expected more than 9, found 9");
        assert_eq!(said(1..=9), "");
    }
}
