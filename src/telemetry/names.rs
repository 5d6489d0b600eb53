//! What a dispatch knows of each name.

use std::collections::HashMap;
use std::sync::Arc;

use super::handlers::{Handlers, Heard};
use super::limits::Gate;
use super::snapshot::is_below;
use crate::gcra::Gcra;
use crate::sync::{Ordering, Tally};

/// How often a name was executed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct NameCounts {
    /// The name. Empty where all those are taken together that have no counts of their own.
    pub name: Arc<str>,
    /// How often handlers were told.
    pub executed: u64,
    /// How often they were not, since it was too often.
    pub limited: u64,
}

/// What stays of a name while handlers and limits change.
#[derive(Debug)]
pub(crate) struct Named {
    name: Arc<str>,
    gate: Gate,
    executed: Tally,
    limited: Tally,
}

impl Named {
    pub(crate) fn new(name: &str) -> Self {
        Self { name: name.into(), gate: Gate::new(), executed: Tally::new(0), limited: Tally::new(0) }
    }

    // ORDERING: figures; nothing depends on them.
    pub(crate) fn counts(&self) -> NameCounts {
        let of = |tally: &Tally| tally.load(Ordering::Relaxed);
        NameCounts { name: Arc::clone(&self.name), executed: of(&self.executed), limited: of(&self.limited) }
    }
}

/// A name, its limit, and who hears it now.
#[derive(Clone, Debug)]
pub(crate) struct Listed {
    pub(crate) named: Arc<Named>,
    pub(crate) rate: Gcra,
    pub(crate) heard: Heard,
}

impl Listed {
    /// Whether the name's limit lets one more through; counted either way.
    #[inline]
    pub(crate) fn admit(&self, now: u64) -> bool {
        let is_let = self.named.gate.admit(self.rate, now);
        let tally = if is_let { &self.named.executed } else { &self.named.limited };
        tally.fetch_add(1, Ordering::Relaxed);
        is_let
    }

    /// One that is let through whatever the limit says.
    pub(crate) fn admit_free(&self) {
        self.named.executed.fetch_add(1, Ordering::Relaxed);
    }
}

/// All names that are known. None is forgotten, so there are so many at most.
#[derive(Clone, Debug, Default)]
pub(crate) struct Names(HashMap<Arc<str>, Arc<Listed>>);

impl Names {
    #[inline]
    pub(crate) fn get(&self, name: &str) -> Option<&Arc<Listed>> {
        self.0.get(name)
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// With this one, in the place of what was known of the name.
    pub(crate) fn with(&self, listed: &Arc<Listed>) -> Self {
        let mut names = self.0.clone();
        names.insert(Arc::clone(&listed.named.name), Arc::clone(listed));
        Self(names)
    }

    /// As they are heard now that a handler of this prefix came or went.
    pub(crate) fn heard_anew(&self, prefix: &str, handlers: &Handlers) -> Self {
        let mut names = self.0.clone();
        for (name, listed) in names.iter_mut().filter(|(name, _)| is_below(name, prefix)) {
            *listed = Arc::new(Listed { heard: handlers.heard(name), ..Listed::clone(listed) });
        }
        Self(names)
    }

    /// In the order of names.
    pub(crate) fn counts(&self) -> Vec<NameCounts> {
        let mut counts: Vec<_> = self.0.values().map(|listed| listed.named.counts()).collect();
        counts.sort_unstable_by(|one, other| one.name.cmp(&other.name));
        counts
    }
}

#[cfg(all(test, not(underpin_loom)))]
mod tests {
    use super::super::handlers::Handler;
    use super::*;

    fn listed(name: &str, handlers: &Handlers) -> Arc<Listed> {
        let (named, rate) = (Arc::new(Named::new(name)), Gcra::per_second(1, 1));
        Arc::new(Listed { named, rate, heard: handlers.heard(name) })
    }

    #[test]
    fn who_hears_is_looked_up_anew_below_a_prefix_only() {
        let none = Handlers::default();
        let names =
            ["a", "a.b", "ab"].iter().fold(Names::default(), |names, name| names.with(&listed(name, &none)));
        let handler = Arc::new(Handler::new("x", "a", false, |_| ()).expect("an id and a prefix"));
        let anew = names.heard_anew("a", &none.with(&handler));
        let hearing =
            |names: &Names| ["a", "a.b", "ab"].map(|name| names.get(name).map(|of| of.heard.here.len()));
        assert_eq!(hearing(&names), [Some(0); 3]);
        assert_eq!(hearing(&anew), [Some(1), Some(1), Some(0)]);
        assert!(Arc::ptr_eq(&names.0["ab"], &anew.0["ab"]) && !Arc::ptr_eq(&names.0["a"], &anew.0["a"]));
    }

    #[test]
    fn counts_outlive_a_change_of_limit() {
        let first = listed("a", &Handlers::default());
        assert_eq!([first.admit(0), first.admit(0)], [true, false]);
        let names = Names::default()
            .with(&first)
            .with(&Arc::new(Listed { rate: Gcra::per_second(1, 2), ..Listed::clone(&first) }));
        assert_eq!([names.0["a"].admit(0), names.0["a"].admit(0)], [true, false]);
        names.0["a"].admit_free();
        assert_eq!(names.counts(), [NameCounts { name: "a".into(), executed: 3, limited: 2 }]);
        assert_eq!((names.len(), names.get("b").is_none()), (1, true));
    }
}
