//! What is known of children from one look to the next.

use std::collections::HashMap;

/// What is known of the children of one kind, by path.
#[derive(Debug)]
pub(super) struct Known<S> {
    entries: HashMap<Box<str>, Entry<S>>,
    /// How many have series of their own.
    alone: usize,
}

/// One of them.
#[derive(Debug)]
pub(super) struct Entry<S> {
    /// What is known.
    pub(super) seen: S,
    /// It has series of its own.
    pub(super) is_alone: bool,
    /// The look at which it was last there.
    look: u64,
}

impl<S> Default for Known<S> {
    fn default() -> Self {
        Self { entries: HashMap::new(), alone: 0 }
    }
}

impl<S: Default> Known<S> {
    /// The one of this path, which is there at this look. A new one has series of its own while fewer than `most`
    /// have, and has them or not for as long as it is there: a total that went over to another series would fall in
    /// the first.
    pub(super) fn visit(&mut self, path: &str, look: u64, most: usize) -> &mut Entry<S> {
        let alone = &mut self.alone;
        let entry = self.entries.entry(path.into()).or_insert_with(|| {
            let is_alone = *alone < most;
            *alone += usize::from(is_alone);
            Entry { seen: S::default(), is_alone, look }
        });
        entry.look = look;
        entry
    }

    /// Forgets those that were not there at this look, save those below a supervisor that did not answer: nobody knows
    /// whether they are there.
    pub(super) fn forget(&mut self, look: u64, unanswered: &[&str]) {
        let is_below = |path: &str| unanswered.iter().any(|top| is_below(path, top));
        self.entries.retain(|path, entry| entry.look == look || is_below(path));
        self.alone = self.entries.values().filter(|entry| entry.is_alone).count();
    }
}

fn is_below(path: &str, top: &str) -> bool {
    path.strip_prefix(top).is_some_and(|rest| rest.starts_with('/'))
}

#[cfg(all(test, not(underpin_loom)))]
mod tests {
    use super::*;

    #[test]
    fn who_has_series_of_its_own_keeps_them_and_a_place_is_free_when_it_is_gone() {
        let mut known = Known::<u8>::default();
        let alone = |known: &mut Known<u8>, look, paths: [&str; 3]| {
            let alone = paths.map(|path| known.visit(path, look, 2).is_alone);
            known.forget(look, &[]);
            alone
        };
        assert_eq!(alone(&mut known, 1, ["a", "b", "c"]), [true, true, false]);
        assert_eq!(alone(&mut known, 2, ["c", "b", "a"]), [false, true, true]);
        assert_eq!(
            alone(&mut known, 3, ["c", "b", "d"]),
            [false, true, false],
            "`a` was there when `d` came"
        );
        assert_eq!(alone(&mut known, 4, ["c", "b", "e"]), [false, true, true]);
        assert_eq!(known.entries.len(), 3);
    }

    #[test]
    fn those_below_one_that_does_not_answer_are_remembered() {
        let mut known = Known::<u8>::default();
        for path in ["app/a", "app/ab", "app/a/b"] {
            known.visit(path, 1, 9).seen = 7;
        }
        known.forget(2, &["app/a"]);
        assert_eq!(known.entries.keys().map(|path| &**path).collect::<Vec<_>>(), ["app/a/b"]);
        assert_eq!((known.visit("app/a/b", 3, 9).seen, known.visit("app/ab", 3, 9).seen), (7, 0));
    }
}
