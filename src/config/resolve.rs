//! A tree as the program's own, validated value; or all that is wrong with it.

use std::borrow::Cow;
use std::panic::{AssertUnwindSafe, catch_unwind};

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::decode::words::{found_value, redacted};
use super::decode::{Decoded, decode_around};
use super::fault::{Fault, Faults};
use super::path::Path;
use super::tree::{Node, Origin, Tree, index};
use super::validate::{Checks, Validate};
use crate::error::panic_text;

/// How many faults of type are looked for.
const MAX_FAULTS: usize = 64;

/// A value that holds, as its type and as a document, and the keys that the type has skipped.
#[derive(Debug)]
pub(crate) struct Resolved<T> {
    pub(crate) value: T,
    pub(crate) document: Value,
    pub(crate) unknown: Vec<(Path, Origin)>,
}

/// Decodes and validates a tree that stands at `place` in the whole.
///
/// A value that does not decode is taken away, so that the default of the type shows what else is
/// wrong; where there is none, something harmless stands in. Values are validated also then, unless
/// something stood in, but nothing is said of those that were wrong already.
///
/// # Errors
///
/// All faults, up to 64 of type. Fewer are found where nothing can stand in for a wrong value
/// (a type that takes only certain texts), and inside of untagged enums and flattened structs.
pub(crate) fn resolve<T>(tree: &Tree, place: &Path) -> Result<Resolved<T>, Faults>
where
    T: Serialize + DeserializeOwned + Validate,
{
    let mut search = Search::new(tree);
    let decoded = search.run::<T>();
    // What stands in is nothing that anybody has said.
    if let Some(decoded) = decoded.as_ref().filter(|_| search.stand_ins.is_empty()) {
        search.validate(&decoded.value);
    }
    let made = match decoded {
        Some(decoded) if search.faults.is_empty() => {
            search.document(&decoded.value, place).map(|it| (decoded, it))
        }
        _ => return Err(search.into_faults(place)),
    };
    match made {
        Ok((Decoded { value, unknown }, document)) => {
            let unknown = unknown.into_iter().map(|(path, origin)| (place.join(&path), origin)).collect();
            Ok(Resolved { value, document, unknown })
        }
        Err(fault) => {
            search.faults.push(fault);
            Err(search.into_faults(place))
        }
    }
}

/// The keys that the type skips in a tree that does not hold, as far as they are found.
pub(crate) fn unknown_in<T: DeserializeOwned>(tree: &Tree) -> Vec<(Path, Origin)> {
    Search::new(tree).run::<T>().map(|decoded| decoded.unknown).unwrap_or_default()
}

/// The keys that a type has, as far as it has defaults, and those of `tree`, which are part of it.
pub(crate) fn shape<T: Serialize + DeserializeOwned>(tree: &Tree) -> Option<Tree> {
    let document = || serde_json::to_value(decode_around::<T>(tree, &[]).ok()?.value).ok();
    let document = contained("decoding", document).ok()??;
    Some(Tree::of(&document, &Origin::Default))
}

/// The search for all faults of a tree.
#[derive(Debug)]
struct Search<'a> {
    tree: &'a Tree,
    faults: Vec<Fault>,
    /// The tree without what was wrong in it.
    rest: Cow<'a, Tree>,
    removed: Vec<Path>,
    stand_ins: Vec<Path>,
}

impl<'a> Search<'a> {
    fn new(tree: &'a Tree) -> Self {
        Self {
            tree,
            faults: Vec::new(),
            rest: Cow::Borrowed(tree),
            removed: Vec::new(),
            stand_ins: Vec::new(),
        }
    }

    /// A value, if one could be made, and the keys that its type has skipped. It is good if there are no
    /// faults; it may be validated if nothing stands in.
    fn run<T: DeserializeOwned>(&mut self) -> Option<Decoded<T>> {
        loop {
            let decode = || decode_around(&self.rest, &self.stand_ins);
            let fault = match contained("decoding", decode) {
                Ok(Ok(decoded)) => return Some(decoded),
                Ok(Err(fault)) | Err(fault) => fault,
            };
            if !self.go_around(fault) {
                return None;
            }
        }
    }

    /// Makes the next attempt miss this fault. False if that cannot be done.
    fn go_around(&mut self, fault: Fault) -> bool {
        if self.is_known(&self.stand_ins, &fault.path) {
            return false;
        }
        if self.is_known(&self.removed, &fault.path) {
            // It was taken away, and no default stands for it.
            let is_missing = self.removed.contains(&fault.path);
            return is_missing && self.stand_in(fault.path);
        }
        let path = fault.path.clone();
        self.faults.push(fault);
        self.faults.len() < MAX_FAULTS && (self.remove(&path) || self.stand_in(path))
    }

    fn is_known(&self, known: &[Path], path: &Path) -> bool {
        known.iter().any(|known| known.overlaps(path))
    }

    /// Takes the value at `path` out of its table. Elements of a list stay: the indexes of the
    /// others must not change.
    fn remove(&mut self, path: &Path) -> bool {
        let Some((above, name)) = split(path) else { return false };
        let removed = match at_mut(self.rest.to_mut(), &above).map(|parent| &mut parent.node) {
            Some(Node::Table(table)) if index(name).is_none() => table.remove(name).is_some(),
            _ => false,
        };
        if removed {
            self.removed.push(path.clone());
        }
        removed
    }

    /// Lets something harmless be read at `path`; above it, where there is no table to put it in.
    fn stand_in(&mut self, path: Path) -> bool {
        let Some((above, name)) = split(&path) else { return false };
        let rest = self.rest.to_mut();
        let origin = rest.origin_of(&above).clone();
        if let Some(Node::Table(table)) = at_mut(rest, &above).map(|tree| &mut tree.node) {
            table.entry(name.into()).or_insert(Tree { node: Node::Null, origin });
        }
        let place = nearest(rest, &path);
        self.stand_ins.push(place);
        true
    }

    /// Adds what the value's own validation says of what is not already known to be wrong.
    fn validate(&mut self, value: &impl Validate) {
        let said = match contained("validation", || Checks::of(value)) {
            Ok(faults) => faults,
            Err(fault) => fault.into(),
        };
        for fault in said {
            if self.is_known(&self.removed, &fault.path) {
                continue;
            }
            let origin = self.tree.origin_of(&fault.path).clone();
            self.faults.push(fault.from(origin));
        }
    }

    /// The value as a document; of the whole, a table.
    fn document(&self, value: &impl Serialize, place: &Path) -> Result<Value, Fault> {
        let fault = |message| Fault::new(Path::TOP, message).from(self.tree.origin.clone());
        let made = contained("serialisation", || serde_json::to_value(value))?;
        let document = made.map_err(|error| fault(format!("cannot be serialised: {error}")))?;
        if place.is_top() && !document.is_object() {
            let found = found_value(&document);
            return Err(fault(format!("expected the whole to be serialised as a table, found {found}")));
        }
        Ok(document)
    }

    /// All of them, in the whole, with no more of any value than may be shown.
    fn into_faults(self, place: &Path) -> Faults {
        let mut faults = Faults::default();
        let placed = |fault: Fault| {
            let origin = fault.origin.or_else(|| Some(self.tree.origin.clone()));
            Fault { path: place.join(&fault.path), message: redacted(&fault.message, self.tree), origin }
        };
        faults.extend(self.faults.into_iter().map(placed));
        faults
    }
}

fn at_mut<'a>(tree: &'a mut Tree, path: &Path) -> Option<&'a mut Tree> {
    path.segments().try_fold(tree, |tree, segment| tree.child_mut(segment))
}

/// As much of a path as there is.
fn nearest(tree: &Tree, path: &Path) -> Path {
    let (mut tree, mut place) = (tree, Path::TOP);
    for segment in path.segments() {
        let Some(child) = tree.child(segment) else { break };
        tree = child;
        place.push(segment);
    }
    place
}

/// A path as what is above and the last step.
fn split(path: &Path) -> Option<(Path, &str)> {
    let mut above = path.clone();
    above.pop();
    Some((above, path.segments().next_back()?))
}

/// Runs the program's own code. A panic in it is a fault of the configuration.
fn contained<R>(what: &str, run: impl FnOnce() -> R) -> Result<R, Fault> {
    // Nothing of what it could leave half done is looked at afterwards.
    catch_unwind(AssertUnwindSafe(run)).map_err(|panic| {
        let text = panic_text(panic);
        Fault::new(Path::TOP, format!("the {what} panicked: {text}"))
    })
}

#[cfg(all(test, not(underpin_loom)))]
mod tests {
    use super::*;
    use serde::Deserialize;
    use serde_json::json;

    fn tree(value: Value) -> Tree {
        Tree::of(&value, &Origin::Default)
    }

    fn path(text: &str) -> Path {
        Path::parse(text).expect(text)
    }

    fn lines<T: Serialize + DeserializeOwned + Validate>(value: Value) -> Vec<String> {
        match resolve::<T>(&tree(value), &Path::TOP) {
            Ok(_) => Vec::new(),
            Err(faults) => faults.iter().map(|fault| format!("{}: {}", fault.path, fault.message)).collect(),
        }
    }

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Settings {
        listen: std::net::SocketAddr,
        workers: u16,
        #[serde(default)]
        limits: Limits,
        #[serde(default)]
        level: Level,
        #[serde(default)]
        shares: Vec<u8>,
    }

    #[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
    #[serde(default)]
    struct Limits {
        soft: u64,
        hard: u64,
    }

    #[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
    #[serde(rename_all = "lowercase")]
    enum Level {
        #[default]
        Low,
        High,
    }

    impl Validate for Settings {
        fn validate(&self, checks: &mut Checks) {
            assert!(self.workers != 13, "no {} workers", self.workers);
            checks.within("workers", self.workers, 1..=64);
            checks.that("limits", self.limits.soft <= self.limits.hard, "soft at most hard");
        }
    }

    #[test]
    fn what_holds_is_a_value_and_a_document() {
        let whole = json!({"listen": "[::1]:80", "workers": 2, "more": 1});
        let resolved = resolve::<Settings>(&tree(whole), &Path::TOP).expect("it holds");
        assert_eq!(resolved.value.workers, 2);
        let document = json!({
            "listen": "[::1]:80", "workers": 2, "limits": {"soft": 0, "hard": 0}, "level": "low", "shares": []
        });
        assert_eq!(resolved.document, document);
        assert_eq!(resolved.unknown, [(path("more"), Origin::Default)]);
    }

    #[test]
    fn all_faults_of_type_are_found_at_once_also_of_fields_without_a_default() {
        let whole = json!({
            "listen": "here", "workers": -1, "limits": {"soft": "x", "hard": []}, "level": "mid",
            "shares": [1, 256, 2, "y"]
        });
        let expected = [
            "listen: invalid socket address syntax, found \"here\"",
            "workers: expected an integer from 0 to 65535, found -1",
            "limits.soft: expected an integer from 0 to 18446744073709551615, found \"x\"",
            "limits.hard: expected an integer from 0 to 18446744073709551615, found an empty list",
            "level: expected one of `low`, `high`, found \"mid\"",
            "shares.1: expected an integer from 0 to 255, found 256",
            "shares.3: expected an integer from 0 to 255, found \"y\"",
        ];
        assert_eq!(lines::<Settings>(whole), expected);
    }

    #[test]
    fn several_missing_fields_are_found_at_once() {
        let missing = |name: &str| format!("{name}: expected a value, found none");
        assert_eq!(lines::<Settings>(json!({})), [missing("listen"), missing("workers")]);
        assert_eq!(
            lines::<Settings>(json!({"limits": 1})),
            ["limits: expected a table, found 1".to_owned(), missing("listen"), missing("workers")]
        );
    }

    #[test]
    fn where_a_default_stands_in_the_rest_is_validated_too() {
        let whole = json!({"listen": "[::1]:80", "workers": 65, "level": 7});
        let expected = [
            "level: expected one of `low`, `high`, or a table with that one key, found 7",
            "workers: expected 1 to 64, found 65",
        ];
        assert_eq!(lines::<Settings>(whole), expected);
    }

    #[test]
    fn what_stands_in_is_not_validated() {
        #[derive(Debug, Serialize, Deserialize)]
        struct Large {
            size: u16,
        }
        impl Validate for Large {
            fn validate(&self, checks: &mut Checks) {
                // Of the whole, so that it does not look like what is known to be wrong.
                checks.that("", self.size >= 480, "a large one");
                checks.that("other", self.size >= 480, "a large one");
            }
        }
        let line = "size: expected an integer from 0 to 65535, found \"x\"";
        assert_eq!(lines::<Large>(json!({"size": "x"})), [line]);
    }

    #[test]
    fn nothing_is_validated_that_was_wrong_already() {
        // The default of `soft` is not more than `hard`, and what is said of `limits` is of both.
        let whole = json!({"listen": "[::1]:80", "workers": 1, "limits": {"soft": 9, "hard": "x"}});
        assert_eq!(lines::<Settings>(whole).len(), 1);
    }

    #[test]
    fn a_validation_fault_has_the_origin_of_its_value() {
        let mut tree = tree(json!({"listen": "[::1]:80", "workers": 0}));
        let origin = Origin::Variable { name: "APP__WORKERS".into() };
        tree.child_mut("workers").expect("it is there").origin = origin.clone();
        let faults = resolve::<Settings>(&tree, &path("app")).expect_err("it does not hold");
        let line = "app.workers: expected 1 to 64, found 0 (the variable APP__WORKERS)";
        assert_eq!(faults.to_string(), line);
        let origin = Origin::Override { name: "--workers".into() };
        tree.child_mut("workers").expect("it is there").origin = origin.clone();
        tree.child_mut("workers").expect("it is there").node = Node::Bool(true);
        let faults = resolve::<Settings>(&tree, &path("app")).expect_err("it does not decode");
        let line = "app.workers: expected an integer from 0 to 65535, found true (--workers)";
        assert_eq!(faults.to_string(), line);
    }

    #[test]
    fn a_panic_of_the_validation_is_a_fault() {
        let whole = json!({"listen": "[::1]:80", "workers": 13});
        assert_eq!(lines::<Settings>(whole), ["(the whole): the validation panicked: no 13 workers"]);
    }

    #[derive(Debug, Serialize, Deserialize)]
    struct Wide {
        #[serde(default)]
        numbers: std::collections::BTreeMap<String, u8>,
        #[serde(default)]
        large: u128,
    }

    impl Validate for Wide {}

    #[test]
    fn at_most_sixty_four_faults_are_looked_for() {
        let numbers =
            |many: usize| (0..many).map(|n| (format!("n{n}"), json!("x"))).collect::<serde_json::Map<_, _>>();
        assert_eq!(lines::<Wide>(json!({"numbers": numbers(60)})).len(), 60);
        assert_eq!(lines::<Wide>(json!({"numbers": numbers(70)})).len(), MAX_FAULTS);
        assert_eq!(lines::<Wide>(json!({"numbers": {"0": "x", "1": 2, "2": 300}})).len(), 2);
    }

    #[test]
    fn what_cannot_be_serialised_is_a_fault() {
        let mut tree = tree(json!({}));
        let large = Node::Loose { text: u128::MAX.to_string(), below: Default::default() };
        let Node::Table(table) = &mut tree.node else { panic!("a table") };
        table.insert("large".into(), Tree { node: large, origin: Origin::Default });
        let faults = resolve::<Wide>(&tree, &Path::TOP).expect_err("JSON has no such numbers");
        assert!(faults.to_string().starts_with("cannot be serialised: number out of range"), "{faults}");
    }

    #[test]
    fn the_whole_is_a_table_and_a_part_may_be_anything() {
        let list = tree(json!([1]));
        let faults = resolve::<Value>(&list, &Path::TOP).expect_err("it is a list");
        let line = "expected the whole to be serialised as a table, found a list of 1 (the defaults)";
        assert_eq!(faults.to_string(), line);
        assert_eq!(resolve::<Value>(&list, &path("a")).expect("a part").document, json!([1]));
    }

    #[test]
    fn a_fault_below_a_json_text_does_not_hide_the_others() {
        let mut tree = tree(json!({"listen": "here", "workers": 1}));
        let text = r#"{"soft": "x", "hard": "y"}"#.into();
        let Node::Table(table) = &mut tree.node else { panic!("a table") };
        let node = Node::Loose { text, below: Default::default() };
        table.insert("limits".into(), Tree { node, origin: Origin::Default });
        let faults = resolve::<Settings>(&tree, &Path::TOP).expect_err("two faults");
        let paths: Vec<_> = faults.iter().map(|fault| fault.path.to_string()).collect();
        assert_eq!(paths, ["listen", "limits.soft"]);
    }

    #[test]
    fn a_check_of_the_type_itself_is_not_run_on_what_stands_in() {
        #[derive(Serialize, Deserialize)]
        struct Raw {
            low: u8,
            high: u8,
        }
        #[derive(Debug, Clone, Serialize, Deserialize)]
        #[serde(try_from = "Raw")]
        struct Range(u8, u8);
        impl TryFrom<Raw> for Range {
            type Error = String;
            fn try_from(raw: Raw) -> Result<Self, String> {
                if raw.low < raw.high {
                    Ok(Self(raw.low, raw.high))
                } else {
                    Err("low must be below high".into())
                }
            }
        }
        impl Validate for Range {}
        assert_eq!(
            lines::<Range>(json!({"low": "x", "high": 0})),
            ["low: expected an integer from 0 to 255, found \"x\""]
        );
        assert_eq!(lines::<Range>(json!({"low": 1, "high": 0})), ["(the whole): low must be below high"]);
    }

    #[test]
    fn the_indexes_of_a_list_from_variables_stay() {
        let mut tree =
            tree(json!({"listen": "[::1]:80", "workers": 1, "shares": {"0": "x", "1": 5, "2": "y"}}));
        tree.child_mut("shares").expect("it is there").origin = Origin::Variable { name: "APP".into() };
        let faults = resolve::<Settings>(&tree, &Path::TOP).expect_err("two faults");
        let paths: Vec<_> = faults.iter().map(|fault| fault.path.to_string()).collect();
        assert_eq!(paths, ["shares.0", "shares.2"]);
    }

    #[test]
    fn where_nothing_can_stand_in_each_fault_is_told_once() {
        #[derive(Debug, Clone, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        struct Word(String);
        impl TryFrom<String> for Word {
            type Error = String;
            fn try_from(text: String) -> Result<Self, String> {
                if text.is_empty() || text == "no" { Err("expected a word".into()) } else { Ok(Self(text)) }
            }
        }
        impl From<Word> for String {
            fn from(word: Word) -> Self {
                word.0
            }
        }
        #[derive(Debug, Serialize, Deserialize)]
        struct Words {
            a: u8,
            b: Word,
            c: u8,
        }
        impl Validate for Words {}
        let number = |name| format!("{name}: expected an integer from 0 to 255, found \"x\"");
        let whole = json!({"a": "x", "b": "no", "c": "x"});
        assert_eq!(
            lines::<Words>(whole),
            [number("a"), "b: expected a word, found \"no\"".into(), number("c")]
        );
    }

    #[test]
    fn what_stands_in_for_a_type_that_holds_itself_has_an_end() {
        #[derive(Debug, Serialize, Deserialize)]
        enum Nested {
            Deeper(Box<Self>),
        }
        #[derive(Debug, Serialize, Deserialize)]
        struct Holder {
            nested: Nested,
        }
        impl Validate for Holder {}
        assert_eq!(lines::<Holder>(json!({"nested": 1})).len(), 1);
    }

    #[test]
    fn faults_of_flattened_fields_are_found_at_once_too() {
        #[derive(Debug, Serialize, Deserialize)]
        struct Flat {
            a: u8,
            #[serde(flatten)]
            more: Limits,
        }
        impl Validate for Flat {}
        let expected = [
            "a: expected an integer from 0 to 255, found \"x\"",
            "hard: expected an integer from 0 to 18446744073709551615, found \"z\"",
            "soft: expected an integer from 0 to 18446744073709551615, found \"y\"",
        ];
        assert_eq!(lines::<Flat>(json!({"a": "x", "soft": "y", "hard": "z"})), expected);
    }

    #[test]
    fn no_message_shows_a_long_text() {
        #[derive(Debug, Serialize, Deserialize)]
        struct Key {
            key: String,
        }
        impl Validate for Key {
            fn validate(&self, checks: &mut Checks) {
                checks.fail("key", format_args!("{} is no key", self.key));
                panic!("{:?}", self.key);
            }
        }
        let text = "s".repeat(41);
        for whole in [json!({"key": text}), json!({"key": [text.clone()]}), json!({"key": {"a": text}})] {
            let lines = lines::<Key>(whole);
            assert!(!lines.is_empty() && lines.iter().all(|line| !line.contains(&text)), "{lines:?}");
        }
    }
}
