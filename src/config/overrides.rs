//! Values that go before those of files and of the environment, such as arguments of the command line.

use std::sync::Arc;

use serde_json::Value;

use super::fault::{Fault, Faults};
use super::graft::graft;
use super::limits;
use super::path::Path;
use super::tree::{Below, Node, Origin, Tree};

/// What an override sets.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum OverrideValue {
    /// Text whose type is decided by who reads it.
    Loose(String),
    /// A value of a type.
    Plain(Value),
}

/// The layer of these overrides, each with its name in messages (`--workers`). Of two for one place the
/// later wins. `known` is what the layers below say.
///
/// All that is wrong is returned beside the layer, and is not in it: one that leads through what an
/// earlier one set to something that is no table, is larger than the [limits](super::limits), or sets the
/// whole to something that is no table.
pub(crate) fn overrides(pairs: &[(Arc<str>, Path, OverrideValue)], known: &Tree) -> (Tree, Faults) {
    let (mut layer, mut faults) = (Tree::empty_table(known.origin.clone()), Faults::default());
    for (name, path, value) in pairs {
        let origin = Origin::Override { name: name.clone() };
        let leaf = leaf(path, value, &origin).map_err(|fault| fault.from(origin));
        faults.extend(leaf.and_then(|leaf| graft(&mut layer, known, path, leaf)).err());
    }
    (layer, faults)
}

fn leaf(path: &Path, value: &OverrideValue, origin: &Origin) -> Result<Tree, Fault> {
    match value {
        OverrideValue::Plain(value) if value.is_object() || !path.is_top() => {
            limits::value(&mut path.clone(), value)?;
            Ok(Tree::of(value, origin))
        }
        OverrideValue::Loose(text) if !path.is_top() => {
            limits::text(path, text)?;
            let node = Node::Loose { text: text.clone(), below: Below::Unknown };
            Ok(Tree { node, origin: origin.clone() })
        }
        _ => Err(Fault::new(Path::TOP, "the whole can be set to a table only")),
    }
}

#[cfg(all(test, not(underpin_loom)))]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn plain(name: &str, path: &str, value: Value) -> (Arc<str>, Path, OverrideValue) {
        (name.into(), Path::parse(path).expect(path), OverrideValue::Plain(value))
    }

    fn layer(pairs: &[(Arc<str>, Path, OverrideValue)]) -> Result<Tree, String> {
        let (layer, faults) = overrides(pairs, &Tree::empty_table(Origin::Default));
        if faults.is_empty() { Ok(layer) } else { Err(faults.to_string()) }
    }

    #[test]
    fn each_stands_at_its_path_with_its_name() {
        let loose =
            ("--workers".into(), Path::parse("workers").expect("a path"), OverrideValue::Loose("4".into()));
        let layer = layer(&[plain("--host", "net.host", json!("h")), loose]).expect("fine");
        let host = layer.at(&Path::parse("net.host").expect("a path")).expect("there");
        assert_eq!(host, &Tree::of(&json!("h"), &Origin::Override { name: "--host".into() }));
        let workers = layer.child("workers").expect("there");
        assert_eq!(workers.node, Node::Loose { text: "4".into(), below: Below::Unknown });
        assert_eq!(workers.origin.to_string(), "--workers");
        assert_eq!(layer.origin, Origin::Default);
    }

    #[test]
    fn the_later_wins() {
        let pairs =
            [plain("-a", "a.b", json!(1)), plain("-b", "a.b", json!(2)), plain("-c", "a", json!({"c": 3}))];
        let at = |pairs, path| layer(pairs).expect("fine").at(&Path::parse(path).expect("a path")).cloned();
        assert_eq!(
            at(&pairs[..2], "a.b"),
            Some(Tree::of(&json!(2), &Origin::Override { name: "-b".into() }))
        );
        assert_eq!(at(&pairs, "a.b"), None);
        assert!(at(&pairs, "a.c").is_some());
    }

    #[test]
    fn a_path_through_something_that_is_no_table_is_refused() {
        let pairs = [plain("-a", "a", json!(1)), plain("-b", "a.b", json!(2))];
        assert_eq!(layer(&pairs), Err("a.b: cannot be set below a, which -a sets as a whole (-b)".into()));
    }

    #[test]
    fn the_whole_can_be_set_to_a_table_only() {
        let whole = |value| layer(&[("-a".into(), Path::TOP, value)]);
        assert!(whole(OverrideValue::Plain(json!({"a": 1}))).is_ok_and(|layer| layer.child("a").is_some()));
        let refused = Err("the whole can be set to a table only (-a)".to_owned());
        assert_eq!(whole(OverrideValue::Plain(json!([]))), refused);
        assert_eq!(whole(OverrideValue::Loose("{}".into())), refused);
    }

    #[test]
    fn what_is_too_long_or_too_deep_is_refused() {
        let long = "s".repeat(limits::MAX_VALUE_BYTES + 1);
        let loose = ("-a".into(), Path::parse("a").expect("a path"), OverrideValue::Loose(long.clone()));
        let deep = (0..1000).fold(json!(1), |inner, _| Value::Array(vec![inner]));
        for (pair, expected) in [
            (loose, "a: is too long: a value has at most 1048576 bytes, not 1048577 (-a)"),
            (
                plain("-a", "a", json!(long)),
                "a: is too long: a value has at most 1048576 bytes, not 1048577 (-a)",
            ),
            (plain("-a", "a", deep), "nests too deep: a path has at most 50 segments, not 51 (-a)"),
        ] {
            let fault = layer(&[pair]).expect_err("over the limit");
            assert!(fault.ends_with(expected), "{fault}");
        }
    }

    proptest! {
        #[test]
        fn the_last_one_is_always_there(paths in prop::collection::vec("[ab](\\.[ab01]){0,3}", 1..6)) {
            let pairs: Vec<_> = paths.iter().enumerate().map(|(n, path)| plain("-x", path, json!({"n": n}))).collect();
            // A way through a table is never barred.
            let layer = layer(&pairs).expect("tables all the way");
            let (_, last, _) = &pairs[pairs.len() - 1];
            prop_assert!(layer.at(last).is_some_and(|tree| tree.child("n").is_some()));
        }
    }
}
