//! The merge of two layers.
//!
//! Tables merge key by key, all the way down. Anything else above replaces what is below it: a list as
//! a whole, since nobody could say which of its elements are meant. Who does say so, by the indexes of
//! a variable (`APP__SERVERS__0__PORT`) or of an override, goes into the elements.

use std::collections::BTreeMap;

use super::tree::{Below, Node, Origin, Tree, index};

/// `above` laid over `below`.
///
/// What is in both has the origin that it has above; this goes for a table and a list that is gone into,
/// too. Loose text keeps what it says and remembers what it replaces.
pub(crate) fn overlay(below: Tree, above: Tree) -> Tree {
    let Tree { node, origin } = above;
    let node = match (below.node, node) {
        (Node::Table(below), Node::Table(above)) => Node::Table(tables(below, above)),
        (Node::List(below), Node::Table(above)) if goes_into(&above, &origin, below.len()) => {
            Node::List(elements(below, above))
        }
        (replaced, Node::Loose { text, below }) => Node::Loose { text, below: nearer(below, &replaced) },
        (_, above) => above,
    };
    Tree { node, origin }
}

fn tables(mut below: BTreeMap<String, Tree>, above: BTreeMap<String, Tree>) -> BTreeMap<String, Tree> {
    for (key, above) in above {
        let merged = match below.remove(&key) {
            Some(below) => overlay(below, above),
            None => above,
        };
        below.insert(key, merged);
    }
    below
}

/// Whether a table above goes into the `length` elements of a list below: it comes from where lists
/// are written by their indexes, and leaves no gap. If it does not, decoding reports a table where a
/// list should be.
fn goes_into(above: &BTreeMap<String, Tree>, origin: &Origin, length: usize) -> bool {
    let by_index = matches!(origin, Origin::Variable { .. } | Origin::Override { .. });
    let indexes: Option<Vec<_>> = above.keys().map(|key| index(key)).collect();
    let Some(indexes) = indexes.filter(|indexes| by_index && !indexes.is_empty()) else {
        return false;
    };
    // No two keys are one index, so no gap means: as many from `length` on as the largest asks for.
    let appended = indexes.iter().filter(|index| **index >= length).count();
    indexes.into_iter().all(|index| index < length + appended)
}

/// Goes into the elements; each index is in the list, or the next after it once those before are in.
fn elements(mut below: Vec<Tree>, above: BTreeMap<String, Tree>) -> Vec<Tree> {
    // As text, 10 comes before 9.
    let above: BTreeMap<_, _> = above.into_iter().map(|(key, tree)| (index(&key), tree)).collect();
    for (index, above) in above {
        match index.and_then(|index| below.get_mut(index)) {
            Some(element) => replace(element, above),
            None => below.push(above),
        }
    }
    below
}

fn replace(element: &mut Tree, above: Tree) {
    let nothing = Tree { node: Node::Null, origin: Origin::Default };
    *element = overlay(std::mem::replace(element, nothing), above);
}

/// What loose text stands in place of: what it replaced before, if it did, or else what it replaces now.
fn nearer(before: Below, replaced: &Node) -> Below {
    if before == Below::Unknown { kind(replaced) } else { before }
}

fn kind(node: &Node) -> Below {
    match node {
        Node::Null => Below::Unknown,
        Node::Bool(_) => Below::Bool,
        Node::Number(_) => Below::Number,
        Node::Text(_) => Below::Text,
        Node::Loose { below, .. } => *below,
        Node::List(_) => Below::List,
        Node::Table(_) => Below::Table,
    }
}

#[cfg(all(test, not(underpin_loom)))]
mod tests {
    use super::*;
    use crate::config::path::Path;
    use proptest::prelude::*;
    use serde_json::{Value, json};

    const BELOW: Origin = Origin::Default;
    const ABOVE: Origin = Origin::Update { version: 7 };

    fn variable() -> Origin {
        Origin::Variable { name: "APP__X".into() }
    }

    fn of(value: &Value) -> Tree {
        Tree::of(value, &BELOW)
    }

    fn loose(text: &str, below: Below) -> Tree {
        Tree { node: Node::Loose { text: text.into(), below }, origin: variable() }
    }

    /// The same without its origins. Loose text is shown as what it stands in place of.
    fn plain(tree: &Tree) -> Value {
        match &tree.node {
            Node::Null => Value::Null,
            Node::Bool(bool) => json!(bool),
            Node::Number(number) => json!(number),
            Node::Text(text) => json!(text),
            Node::Loose { text, below } => json!(format!("{text}: {below:?}")),
            Node::List(list) => list.iter().map(plain).collect(),
            Node::Table(table) => table.iter().map(|(key, tree)| (key.clone(), plain(tree))).collect(),
        }
    }

    /// A table from a variable over a list.
    fn indexed(list: Value, table: Value) -> Value {
        plain(&overlay(of(&list), Tree::of(&table, &variable())))
    }

    #[test]
    fn tables_merge_and_everything_else_is_replaced() {
        let below = json!({"a": {"x": 1, "y": 2}, "list": [1, 2, 3], "b": 1, "t": {"z": 1}});
        let above = json!({"a": {"y": 3, "z": null}, "list": [4], "c": true, "t": 5});
        let expected = json!({"a": {"x": 1, "y": 3, "z": null}, "list": [4], "b": 1, "c": true, "t": 5});
        assert_eq!(plain(&overlay(of(&below), of(&above))), expected);
    }

    #[test]
    fn loose_text_remembers_what_it_replaces() {
        let values = [json!(null), json!(true), json!(1), json!("s"), json!([]), json!({})];
        let kinds = [Below::Unknown, Below::Bool, Below::Number, Below::Text, Below::List, Below::Table];
        for (value, kind) in values.iter().zip(kinds) {
            assert_eq!(overlay(of(value), loose("1", Below::Unknown)), loose("1", kind));
            // Over other loose text, it is what that one replaced.
            let first = overlay(of(value), loose("0", Below::Unknown));
            assert_eq!(overlay(first, loose("1", Below::Unknown)), loose("1", kind));
            // And what is nearest counts, in whatever order the layers are merged.
            assert_eq!(overlay(of(value), loose("1", Below::Number)), loose("1", Below::Number));
        }
    }

    #[test]
    fn a_variable_goes_into_the_elements_of_a_list() {
        let servers = json!([{"host": "a", "port": 1}, {"host": "b", "port": 2}]);
        let expected = json!([{"host": "a", "port": 1}, {"host": "b", "port": 9}]);
        assert_eq!(indexed(servers, json!({"1": {"port": 9}})), expected);
        assert_eq!(indexed(json!([[1, 2], [3]]), json!({"1": {"0": 4, "1": 5}})), json!([[1, 2], [4, 5]]));
    }

    #[test]
    fn the_index_after_the_last_appends_and_a_gap_does_not() {
        assert_eq!(indexed(json!([1]), json!({"1": 2, "2": 3})), json!([1, 2, 3]));
        assert_eq!(indexed(json!([]), json!({"0": 2})), json!([2]));
        for gap in [json!({"2": 2}), json!({"0": 5, "2": 2}), json!({"1": 2, "3": 3})] {
            assert_eq!(indexed(json!([1]), gap.clone()), gap);
        }
        let many: Value = (0..12).map(|index| (index.to_string(), json!(index))).collect();
        assert_eq!(indexed(json!([]), many), (0..12).collect::<Value>());
    }

    #[test]
    fn only_a_table_of_indexes_from_a_variable_or_an_override_goes_into_a_list() {
        for table in [json!({"0": 5, "x": 1}), json!({"00": 5}), json!({"-1": 5}), json!({})] {
            assert_eq!(indexed(json!([1]), table.clone()), table);
        }
        let table = json!({"0": 5});
        assert_eq!(plain(&overlay(of(&json!([1])), of(&table))), table);
        let above = Tree::of(&table, &Origin::Override { name: "--x".into() });
        assert_eq!(plain(&overlay(of(&json!([1])), above)), json!([5]));
    }

    #[test]
    fn an_element_that_is_gone_into_keeps_the_origins_of_the_rest() {
        let above = Tree::of(&json!({"0": {"a": 1}}), &variable());
        let merged = overlay(of(&json!([{"a": 0, "b": 0}, 2])), above);
        let origin = |path| merged.origin_of(&Path::parse(path).expect("a path")).clone();
        assert_eq!([origin("0.a"), origin("0"), merged.origin.clone()], [variable(), variable(), variable()]);
        assert_eq!([origin("0.b"), origin("1")], [BELOW, BELOW]);
    }

    fn value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            (0..4).prop_map(Value::from),
            "[a-b]".prop_map(Value::from)
        ];
        leaf.prop_recursive(4, 24, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
                prop::collection::btree_map("[0-1a-c]", inner, 0..4)
                    .prop_map(|map| map.into_iter().collect()),
            ]
        })
    }

    /// Tables of which each key is a table in all of them, or in none.
    fn settings() -> impl Strategy<Value = Value> {
        let leaf =
            prop::collection::btree_map("[a-c]", value().prop_filter("a leaf", |v| !v.is_object()), 0..3);
        leaf.prop_map(|map| map.into_iter().collect::<Value>()).prop_recursive(3, 16, 3, |inner| {
            prop::collection::btree_map("[A-C]", inner, 0..3).prop_map(|map| map.into_iter().collect())
        })
    }

    fn naive(below: &Value, above: &Value) -> Value {
        let (Value::Object(below), Value::Object(above)) = (below, above) else { return above.clone() };
        let mut merged = below.clone();
        for (key, above) in above {
            merged.insert(key.clone(), below.get(key).map_or(above.clone(), |below| naive(below, above)));
        }
        Value::Object(merged)
    }

    /// Every place there is.
    fn places(value: &Value, at: Path, into: &mut Vec<Path>) {
        match value {
            Value::Object(table) => table.iter().for_each(|(key, value)| places(value, at.child(key), into)),
            Value::Array(list) => {
                let inner = list.iter().enumerate();
                inner.for_each(|(index, value)| places(value, at.child(&index.to_string()), into));
            }
            _ => {}
        }
        into.push(at);
    }

    proptest! {
        #[test]
        fn plain_trees_merge_like_plain_values(below in value(), above in value()) {
            prop_assert_eq!(overlay(of(&below), of(&above)), of(&naive(&below, &above)));
        }

        #[test]
        fn what_is_above_has_its_origin_and_the_rest_that_of_below(below in value(), above in value()) {
            let above = Tree::of(&above, &ABOVE);
            let merged = overlay(of(&below), above.clone());
            let mut all = Vec::new();
            places(&plain(&merged), Path::TOP, &mut all);
            for path in all {
                let expected = if above.at(&path).is_some() { ABOVE } else { BELOW };
                prop_assert_eq!(merged.origin_of(&path), &expected, "{}", path);
            }
        }

        #[test]
        fn layers_of_one_shape_merge_in_any_grouping(a in settings(), b in settings(), c in settings()) {
            let [a, b, c] = [of(&a), Tree::of(&b, &ABOVE), Tree::of(&c, &Origin::Update { version: 8 })];
            let left = overlay(overlay(a.clone(), b.clone()), c.clone());
            prop_assert_eq!(left, overlay(a, overlay(b, c)));
        }

        #[test]
        fn indexes_set_elements_in_order_or_nothing(
            length in 0..4_usize,
            indexes in prop::collection::btree_set(0..15_usize, 1..15),
        ) {
            let mut list: Vec<_> = vec![json!("old"); length];
            let mut whole = true;
            for index in &indexes {
                whole &= *index <= list.len();
                if *index < list.len() { list[*index] = json!(index) } else { list.push(json!(index)) }
            }
            let table: Value = indexes.iter().map(|index| (index.to_string(), json!(index))).collect();
            let merged = indexed(json!(vec!["old"; length]), table.clone());
            prop_assert_eq!(merged, if whole { Value::Array(list) } else { table });
        }

        #[test]
        fn nothing_over_a_table_and_a_table_over_nothing_change_nothing(table in settings()) {
            let empty = Tree::empty_table(BELOW);
            prop_assert_eq!(overlay(empty.clone(), of(&table)), of(&table));
            prop_assert_eq!(overlay(of(&table), empty), of(&table));
        }
    }
}
