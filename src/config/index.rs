//! The flat map of a published document: what stands at each path, found by the text of the path.
//!
//! A look-up is one hash, one comparison and one step. For that the index owns a copy of each leaf; a
//! table or a list that is not empty is found in the document itself, step by step. So it takes
//! about as much memory as the document does, and its paths.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::hash::{BuildHasher, BuildHasherDefault, Hasher};
use std::sync::Arc;

use serde_json::Value;

use super::diff::at;
use super::path::{MAX_DEPTH, Path};

/// Where everything in a document is, by its path as [`Path`] is written. The whole has no entry:
/// that is the document.
///
/// An index belongs to the document that it was made of, and is asked with it.
#[derive(Clone, Debug)]
pub(crate) struct Index {
    /// Shared by all documents that differ in their values only.
    names: Arc<Names>,
    /// By slot: a leaf; `None` is a table or a list.
    leaves: Vec<Option<Value>>,
}

/// The paths of a document, each with its slot.
#[derive(Debug, Default)]
struct Names {
    slots: HashMap<Box<str>, usize, BuildHasherDefault<Fold>>,
    /// By slot: the way to a table or a list; `None` is a leaf.
    ways: Vec<Option<Path>>,
    shape: u64,
}

impl Index {
    /// That of a document. Entries end at [`MAX_DEPTH`].
    pub(crate) fn of(document: &Value) -> Self {
        let size = size(document, MAX_DEPTH);
        let mut names = Names::with_capacity(size);
        let mut leaves = Vec::with_capacity(size);
        walk(document, |name, value| {
            names.add(name, value);
            leaves.push(leaf(value));
            true
        });
        Self { names: Arc::new(names), leaves }
    }

    /// That of the next document, which most often has the same paths; then that is quicker.
    pub(crate) fn after(&self, document: &Value) -> Self {
        let mut leaves = Vec::with_capacity(self.leaves.len());
        let is_same = walk(document, |name, value| {
            let slot = leaves.len();
            leaves.push(leaf(value));
            self.names.has(slot, name, value)
        });
        if is_same && leaves.len() == self.leaves.len() {
            Self { names: Arc::clone(&self.names), leaves }
        } else {
            Self::of(document)
        }
    }

    /// What stands at `path`.
    #[inline]
    pub(crate) fn get<'a>(&'a self, document: &'a Value, path: &str) -> Option<&'a Value> {
        self.at(document, self.slot(path)?)
    }

    /// The number of a path: the same in every index of the same [shape](Self::shape).
    #[inline]
    pub(crate) fn slot(&self, path: &str) -> Option<usize> {
        self.names.slots.get(path).copied().or_else(|| self.slot_of_other_quotes(path))
    }

    /// A path may be written with quotes that it does not need.
    #[cold]
    fn slot_of_other_quotes(&self, path: &str) -> Option<usize> {
        let plain = path.contains('"').then(|| Path::parse(path).ok()).flatten()?.to_string();
        self.names.slots.get(plain.as_str()).copied()
    }

    /// What stands at a slot.
    #[inline]
    pub(crate) fn at<'a>(&'a self, document: &'a Value, slot: usize) -> Option<&'a Value> {
        match self.leaves.get(slot)? {
            Some(leaf) => Some(leaf),
            None => at(document, self.names.ways.get(slot)?.as_ref()?),
        }
    }

    /// A number that is equal where the paths are, and which of them are tables and lists.
    #[inline]
    pub(crate) fn shape(&self) -> u64 {
        self.names.shape
    }

    /// How many entries there are.
    #[cfg(all(test, not(underpin_loom)))]
    pub(crate) fn len(&self) -> usize {
        self.leaves.len()
    }
}

impl Names {
    fn with_capacity(size: usize) -> Self {
        let slots = HashMap::with_capacity_and_hasher(size, BuildHasherDefault::default());
        Self { slots, ways: Vec::with_capacity(size), shape: 0 }
    }

    fn add(&mut self, name: &str, value: &Value) {
        let slot = self.ways.len();
        let is_leaf = is_leaf(value);
        self.shape = fold(self.shape ^ self.slots.hasher().hash_one(name), SEED ^ u64::from(is_leaf));
        self.slots.insert(name.into(), slot);
        // A name can be parsed: it was written as a path is.
        self.ways.push(if is_leaf { None } else { Path::parse(name).ok() });
    }

    fn has(&self, slot: usize, name: &str, value: &Value) -> bool {
        let is_leaf_here = self.ways.get(slot).is_some_and(Option::is_none);
        self.slots.get(name) == Some(&slot) && is_leaf_here == is_leaf(value)
    }
}

// ---- the document ------------------------------------------------------------------------

fn is_leaf(value: &Value) -> bool {
    match value {
        Value::Array(list) => list.is_empty(),
        Value::Object(table) => table.is_empty(),
        _ => true,
    }
}

fn leaf(value: &Value) -> Option<Value> {
    is_leaf(value).then(|| value.clone())
}

/// How many values there are below this one, to that depth.
fn size(value: &Value, depth: usize) -> usize {
    let below = |value: &Value| 1 + size(value, depth - 1);
    match value {
        _ if depth == 0 => 0,
        Value::Object(table) => table.values().map(below).sum(),
        Value::Array(list) => list.iter().map(below).sum(),
        _ => 0,
    }
}

/// Visits all below the whole with its path, in an order that is the same for equal sets of paths, until
/// the visitor says no. Returns whether it never did.
fn walk(document: &Value, mut visit: impl FnMut(&str, &Value) -> bool) -> bool {
    Walk { name: String::new(), visit: &mut visit }.children(document, 0)
}

/// The way through a document.
struct Walk<'a> {
    /// The path of where it is.
    name: String,
    visit: &'a mut dyn FnMut(&str, &Value) -> bool,
}

impl Walk<'_> {
    fn children(&mut self, value: &Value, depth: usize) -> bool {
        match value {
            _ if depth == MAX_DEPTH => true,
            Value::Object(table) if table.keys().is_sorted() => {
                table.iter().all(|(key, value)| self.child(value, depth, |name| push_key(name, key)))
            }
            // Another crate may have asked `serde_json` to keep the order of insertion.
            Value::Object(table) => {
                let mut entries: Vec<_> = table.iter().collect();
                entries.sort_unstable_by_key(|(key, _)| *key);
                entries.iter().all(|(key, value)| self.child(value, depth, |name| push_key(name, key)))
            }
            Value::Array(list) => list.iter().enumerate().all(|(index, value)| {
                self.child(value, depth, |name| _ = write!(name, "{index}")) // a String takes all
            }),
            _ => true,
        }
    }

    fn child(&mut self, value: &Value, depth: usize, push: impl FnOnce(&mut String)) -> bool {
        let length = self.name.len();
        if depth > 0 {
            self.name.push('.');
        }
        push(&mut self.name);
        let goes_on = (self.visit)(&self.name, value) && self.children(value, depth + 1);
        self.name.truncate(length);
        goes_on
    }
}

/// Writes a key as a path does.
fn push_key(name: &mut String, key: &str) {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
    if !key.is_empty() && key.bytes().all(is_plain) {
        name.push_str(key);
    } else {
        name.push_str(&Path::TOP.child(key).to_string());
    }
}

// ---- hashing -----------------------------------------------------------------------------

/// The hasher of paths: multiplies sixteen bytes at a time and folds the product, as wyhash does.
///
/// The paths are those of the program's own configuration, so nobody floods the map with paths that
/// collide. It hashes one text: no mark of its end is needed, as its length is in it.
#[derive(Clone, Copy, Debug, Default)]
struct Fold(u64);

/// Digits of pi: numbers without a pattern.
const SEED: u64 = 0x243F_6A88_85A3_08D3;
const FACTOR: u64 = 0xA409_3822_299F_31D1;

#[inline]
fn fold(left: u64, right: u64) -> u64 {
    let product = u128::from(left) * u128::from(right);
    (product as u64) ^ ((product >> 64) as u64)
}

impl Hasher for Fold {
    #[inline]
    fn write(&mut self, bytes: &[u8]) {
        let length = (bytes.len() as u64).wrapping_mul(FACTOR); // apart from the bytes
        let (mut state, mut rest) = (self.0 ^ SEED ^ length, bytes);
        while rest.len() > 16 {
            let (block, others) = rest.split_at(16);
            let (left, right) = ends(block);
            state = fold(state ^ left, FACTOR ^ right);
            rest = others;
        }
        let (left, right) = ends(rest);
        self.0 = fold(state ^ left, FACTOR ^ right);
    }

    /// The mark of the end of a text.
    #[inline]
    fn write_u8(&mut self, _: u8) {}

    #[inline]
    fn finish(&self) -> u64 {
        self.0
    }
}

/// All of at most 16 bytes as two numbers, which overlap.
#[inline]
fn ends(bytes: &[u8]) -> (u64, u64) {
    if let (Some(first), Some(last)) = (bytes.first_chunk(), bytes.last_chunk()) {
        (u64::from_le_bytes(*first), u64::from_le_bytes(*last))
    } else if let (Some(first), Some(last)) = (bytes.first_chunk(), bytes.last_chunk()) {
        (u32::from_le_bytes(*first).into(), u32::from_le_bytes(*last).into())
    } else if let [first, .., last] = bytes {
        (u64::from(*first) << 8 | u64::from(bytes[1]), u64::from(*last))
    } else {
        (bytes.first().map_or(0, |&byte| byte.into()), 0)
    }
}

#[cfg(all(test, not(underpin_loom)))]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    /// What a path is in a document, step by step.
    fn naive<'a>(document: &'a Value, path: &Path) -> Option<&'a Value> {
        path.segments().try_fold(document, |value, segment| match value {
            Value::Object(table) => table.get(segment),
            Value::Array(list) => list.get(segment.parse::<usize>().ok()?),
            _ => None,
        })
    }

    /// All paths of a document but that of the whole.
    fn paths(value: &Value, at: &Path, into: &mut Vec<Path>) {
        let children: Vec<(String, &Value)> = match value {
            Value::Object(table) => table.iter().map(|(key, value)| (key.clone(), value)).collect(),
            Value::Array(list) => list.iter().enumerate().map(|(n, value)| (n.to_string(), value)).collect(),
            _ => Vec::new(),
        };
        for (segment, value) in children {
            let path = at.child(&segment);
            into.push(path.clone());
            paths(value, &path, into);
        }
    }

    fn all_paths(document: &Value) -> Vec<Path> {
        let mut all = Vec::new();
        paths(document, &Path::TOP, &mut all);
        all
    }

    fn documents() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            ".{0,4}".prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 40, 5, |inner| {
            let key = prop_oneof!["[a-c]{1,2}", "[0-2]", r#"[a. "\\é]{0,3}"#];
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::btree_map(key, inner, 0..5)
                    .prop_map(|table| Value::Object(table.into_iter().collect())),
            ]
        })
    }

    #[test]
    fn tables_lists_elements_and_leaves_are_found_by_their_paths() {
        let document = json!({"a": {"b.c": [1, {"d": null}]}, "e": {}, "f": []});
        let index = Index::of(&document);
        let get = |path| index.get(&document, path).cloned();
        assert_eq!(get("a"), Some(json!({"b.c": [1, {"d": null}]})));
        assert_eq!(get(r#"a."b.c""#), Some(json!([1, {"d": null}])));
        assert_eq!(get(r#"a."b.c".0"#), Some(json!(1)));
        assert_eq!(get(r#"a."b.c".1.d"#), Some(json!(null)));
        assert_eq!((get("e"), get("f")), (Some(json!({})), Some(json!([]))));
        for path in ["", "b", "a.b", r#"a."b.c".2"#, r#"a."b.c".00"#, "(the whole)", "a.", "\"a", "é"] {
            assert_eq!(get(path), None, "{path}");
        }
        assert_eq!(index.len(), 7);
        assert_eq!(index.at(&document, 7), None);
    }

    #[test]
    fn quotes_that_are_not_needed_do_no_harm() {
        let document = json!({"a": {"b": 1}});
        assert_eq!(Index::of(&document).get(&document, r#""a"."b""#), Some(&json!(1)));
    }

    #[test]
    fn the_shape_changes_with_the_paths_and_not_with_the_values() {
        let shape = |document: Value| Index::of(&document).shape();
        assert_eq!(shape(json!({"a": 1, "b": "x"})), shape(json!({"b": null, "a": 2})));
        let shapes = [
            json!({}),
            json!({"a": 1}),
            json!({"b": 1}),
            json!({"a": {"b": 1}}),
            json!({"a": [1]}),
            json!({"a": {"0": 1, "1": 1}}),
            json!({"a": 1, "b": 1}),
            json!({"a.b": 1}),
        ];
        let shapes: std::collections::BTreeSet<_> = shapes.into_iter().map(shape).collect();
        assert_eq!(shapes.len(), 8);
    }

    #[test]
    fn the_next_document_of_the_same_paths_shares_them() {
        let (first, second) = (json!({"a": [1, 2], "b": 1}), json!({"a": [3, 4], "b": "x"}));
        let index = Index::of(&first);
        let next = index.after(&second);
        assert!(Arc::ptr_eq(&index.names, &next.names));
        assert_eq!(next.get(&second, "a.1"), Some(&json!(4)));
        assert_eq!(next.get(&second, "a"), Some(&json!([3, 4])));
        let fewer = json!({"a": [3, 4]});
        assert!(!Arc::ptr_eq(&index.names, &index.after(&fewer).names));
    }

    #[test]
    fn the_index_ends_at_the_greatest_depth() {
        let nested = |depth: usize| (0..depth).fold(json!(1), |inner, _| json!({ "a": inner }));
        assert_eq!(Index::of(&nested(MAX_DEPTH)).len(), MAX_DEPTH);
        let (deeper, flatter) = (nested(MAX_DEPTH + 5), nested(MAX_DEPTH));
        let (deep, flat) = (Index::of(&deeper), Index::of(&flatter));
        assert_eq!(deep.len(), MAX_DEPTH);
        assert_ne!(deep.shape(), flat.shape(), "there a leaf stands where here a table does");
        let path = vec!["a"; MAX_DEPTH].join(".");
        assert_eq!(deep.get(&deeper, &path), Some(&nested(5)));
        assert_eq!(flat.after(&deeper).get(&deeper, &path), Some(&nested(5)));
        assert_eq!(deep.after(&flatter).get(&flatter, &path), Some(&json!(1)));
    }

    #[test]
    fn hashes_of_like_paths_are_spread() {
        let hasher = BuildHasherDefault::<Fold>::default();
        let names =
            (0..20_000).map(|n| format!("servers.{n}.port")).chain((0..20_000).map(|n| n.to_string()));
        let hashes: Vec<u64> = names.map(|name| hasher.hash_one(name.as_str())).collect();
        let distinct: std::collections::HashSet<_> = hashes.iter().collect();
        assert_eq!(distinct.len(), 40_000);
        let mut low = [0; 64];
        let mut high = [0; 64];
        hashes.iter().for_each(|hash| (low[*hash as usize % 64] += 1, high[(*hash >> 58) as usize] += 1).0);
        assert!(low.iter().chain(&high).all(|count| (450..800).contains(count)), "{low:?} {high:?}");
    }

    proptest! {
        #[test]
        fn every_path_is_found_as_by_walking(document in documents(), other in documents()) {
            let index = Index::of(&document);
            let all = all_paths(&document);
            prop_assert_eq!(index.len(), all.len());
            for path in all.iter().chain(&all_paths(&other)) {
                prop_assert_eq!(index.get(&document, &path.to_string()), naive_unless_odd(&document, path));
            }
        }

        #[test]
        fn an_index_after_another_is_as_if_made_anew(document in documents(), other in documents()) {
            let (anew, after) = (Index::of(&other), Index::of(&document).after(&other));
            prop_assert_eq!(anew.shape(), after.shape());
            for path in all_paths(&other) {
                let path = path.to_string();
                prop_assert_eq!(anew.slot(&path), after.slot(&path));
                prop_assert_eq!(anew.get(&other, &path), after.get(&other, &path));
            }
        }

        #[test]
        fn a_slot_is_good_for_every_index_of_its_shape(document in documents(), other in documents()) {
            let (index, next) = (Index::of(&document), Index::of(&other));
            let paths: Vec<_> = all_paths(&document);
            let is_same_set = {
                let mut others = all_paths(&other);
                let mut paths = paths.clone();
                paths.sort();
                others.sort();
                paths == others
            };
            if index.shape() == next.shape() {
                prop_assert!(is_same_set);
                for path in paths {
                    let slot = index.slot(&path.to_string()).expect("it has one");
                    prop_assert_eq!(next.at(&other, slot), naive(&other, &path));
                }
            }
        }

        #[test]
        fn garbage_is_not_found_and_no_panic(text in ".*") {
            let document = json!({"a": {"b": [1]}});
            let index = Index::of(&document);
            let found = Path::parse(&text).ok().and_then(|path| naive_unless_odd(&document, &path));
            prop_assert_eq!(index.get(&document, &text), found);
        }
    }

    /// An index is written in one way: `0`, not `00` or `+0`.
    fn naive_unless_odd<'a>(document: &'a Value, path: &Path) -> Option<&'a Value> {
        let is_odd = |segment: &str| segment.len() > 1 && segment.starts_with(['0', '+']);
        let is_in_list = |depth: usize| {
            let above = Path::of(path.segments().take(depth).map(Into::into).collect()).expect("a path");
            naive(document, &above).is_some_and(Value::is_array)
        };
        let odd = path.segments().enumerate().any(|(depth, segment)| is_odd(segment) && is_in_list(depth));
        if odd { None } else { naive(document, path) }
    }
}
