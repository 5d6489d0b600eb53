//! Names of ours for names that are free text.

use std::borrow::Cow;
use std::collections::HashMap;
use std::collections::hash_map::Entry;

use crate::telemetry::descriptor::MAX_NAME_BYTES;
use crate::telemetry::labels::MAX_LABEL_BYTES;

/// So many names are told apart.
pub(super) const MAX_NAMES: usize = 10_000;
/// What a hash takes: `.x` and eight digits.
const HASH_BYTES: usize = 10;

/// Which name of ours stands for which of theirs.
#[derive(Debug, Default)]
pub(super) struct Names {
    /// Theirs by ours.
    taken: HashMap<String, Box<str>>,
    conflicts: u64,
    unchecked: u64,
}

impl Names {
    /// The name that stands for this one, the same each time. Where another stands under the plain name already, a hash
    /// is appended.
    ///
    /// Of names beyond [`MAX_NAMES`] it is not known whether another stands there: they are
    /// [counted](Self::unchecked).
    pub(super) fn name(&mut self, raw: &str) -> String {
        let plain = plain(raw);
        if self.take(&plain, raw) {
            return plain;
        }
        let hashed = format!("{plain}.x{:08x}", hash(raw));
        let is_new = !self.taken.contains_key(&hashed);
        let is_own = self.take(&hashed, raw);
        self.conflicts += u64::from(is_new || !is_own);
        hashed
    }

    /// Whether the name stands for this one now.
    fn take(&mut self, name: &str, raw: &str) -> bool {
        let has_room = self.taken.len() < MAX_NAMES;
        match self.taken.entry(name.into()) {
            Entry::Occupied(entry) => **entry.get() == *raw,
            Entry::Vacant(entry) if has_room => {
                entry.insert(raw.into());
                true
            }
            Entry::Vacant(_) => {
                self.unchecked += 1;
                true
            }
        }
    }

    /// How often a name had a hash appended.
    pub(super) fn conflicts(&self) -> u64 {
        self.conflicts
    }

    /// How often a name was asked for that is not kept.
    pub(super) fn unchecked(&self) -> u64 {
        self.unchecked
    }
}

/// Words joined by dots, with room for a hash behind them.
fn plain(raw: &str) -> String {
    let dotted = raw.replace("::", ".").replace('/', ".");
    let words = dotted.split('.').filter(|word| !word.is_empty()).map(word);
    let mut name = words.collect::<Vec<_>>().join(".");
    name.truncate(MAX_NAME_BYTES - HASH_BYTES); // all ASCII
    let name = name.trim_end_matches('.');
    if name.is_empty() { "x".into() } else { name.into() }
}

/// Small letters, digits and `_`, a letter first.
fn word(raw: &str) -> String {
    let small = raw.bytes().map(|byte| byte.to_ascii_lowercase());
    let word: String = small.map(|byte| if is_inside(byte) { char::from(byte) } else { '_' }).collect();
    if word.starts_with(|c: char| c.is_ascii_lowercase()) { word } else { format!("x{word}") }
}

fn is_inside(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

/// The name of a label: letters, digits and `_`, no digit first.
pub(super) fn label(raw: &str) -> Cow<'_, str> {
    let begins = raw.bytes().next().is_some_and(|byte| !byte.is_ascii_digit());
    if begins && raw.len() <= MAX_LABEL_BYTES && raw.bytes().all(is_inside) {
        return Cow::Borrowed(raw);
    }
    let mut name = String::from(if begins { "" } else { "_" });
    name.extend(raw.bytes().map(|byte| if is_inside(byte) { char::from(byte) } else { '_' }));
    name.truncate(MAX_LABEL_BYTES);
    Cow::Owned(name)
}

/// FNV-1a over 32 bits: the same in each process, so that a name is.
fn hash(raw: &str) -> u32 {
    raw.bytes().fold(0x811c_9dc5, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193))
}

#[cfg(all(test, not(underpin_loom)))]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::telemetry::descriptor::check_name;
    use crate::telemetry::labels::Labels;

    #[test]
    fn names_become_words_joined_by_dots() {
        let cases = [
            ("http_requests", "http_requests"),
            ("hyper::server/Requests", "hyper.server.requests"),
            ("request-latency ms", "request_latency_ms"),
            ("a.b.c", "a.b.c"),
            ("9lives._x", "x9lives.x_x"),
            ("..a//b::", "a.b"),
            ("", "x"),
            ("é", "x__"),
            ("a:b", "a_b"),
        ];
        for (raw, name) in cases {
            assert_eq!(Names::default().name(raw), name, "{raw}");
        }
    }

    #[test]
    fn the_second_of_one_name_has_a_hash_and_keeps_it() {
        let mut names = Names::default();
        assert_eq!((names.name("a-b"), names.name("a_b")), ("a_b".into(), "a_b.x1ba46871".into()));
        assert_eq!((names.name("a_b"), names.name("a-b")), ("a_b.x1ba46871".into(), "a_b".into()));
        assert_eq!((names.conflicts(), names.unchecked()), (1, 0));
    }

    #[test]
    fn long_names_that_differ_at_their_end_stay_apart() {
        let mut names = Names::default();
        let long = "a".repeat(1000);
        let (one, other) = (names.name(&format!("{long}b")), names.name(&format!("{long}c")));
        assert_ne!(one, other);
        assert_eq!((check_name(&one), check_name(&other), other.len()), (Ok(()), Ok(()), MAX_NAME_BYTES));
    }

    #[test]
    fn names_beyond_the_limit_are_counted_and_not_kept() {
        let mut names = Names::default();
        for n in 0..MAX_NAMES + 7 {
            assert_eq!(names.name(&format!("a{n}")), format!("a{n}"));
        }
        assert_eq!((names.taken.len(), names.unchecked()), (MAX_NAMES, 7));
    }

    #[test]
    fn labels_that_are_right_stay_as_they_are() {
        let cases = [("Host_1", "Host_1"), ("1a", "_1a"), ("", "_"), ("a.b-c", "a_b_c"), ("é", "__")];
        for (raw, name) in cases {
            assert_eq!(label(raw), name);
        }
    }

    proptest! {
        #[test]
        fn whatever_comes_is_a_name_and_each_has_its_own(
            raws in prop::collection::hash_set("[a-cA./:_ 1é-]{0,5}|(?s).{0,250}", 0..16),
        ) {
            let mut names = Names::default();
            let mut ours: Vec<_> = raws.iter().map(|raw| names.name(raw)).collect();
            for (raw, name) in raws.iter().zip(&ours) {
                prop_assert_eq!(check_name(name), Ok(()));
                prop_assert_eq!(&names.name(raw), name, "the same again");
                prop_assert!(Labels::new(&[(&label(raw), "")]).is_ok());
            }
            ours.sort();
            ours.dedup();
            prop_assert_eq!(ours.len(), raws.len());
        }
    }
}
