//! What a loose text can be read as.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::str::FromStr;

use serde_json::{Number, Value};

use crate::config::tree::{Below, Node, Origin, Tree};

/// A list: what is one, a loose text that is read as one, or a table from variables whose keys are
/// exactly the indexes.
pub(super) fn list(tree: &Tree) -> Option<Cow<'_, [Tree]>> {
    match &tree.node {
        Node::List(list) => Some(Cow::Borrowed(list)),
        Node::Loose { text, .. } => list_in(text, &tree.origin).map(Cow::Owned),
        Node::Table(table) if is_from_outside(&tree.origin) => indexed(table).map(Cow::Owned),
        _ => None,
    }
}

/// A table: what is one, or a loose text that is a JSON object.
pub(super) fn table(tree: &Tree) -> Option<Cow<'_, BTreeMap<String, Tree>>> {
    match &tree.node {
        Node::Table(table) => Some(Cow::Borrowed(table)),
        Node::Loose { text, .. } => table_in(text, &tree.origin).map(Cow::Owned),
        _ => None,
    }
}

/// What a loose text is where the reader does not say: what stands `below` it, if it can be that.
pub(super) fn settled(text: &str, below: Below, origin: &Origin) -> Node {
    let settled = match below {
        Below::Bool => bool_in(text).map(Node::Bool),
        Below::Number => number_in(text).map(Node::Number),
        Below::List => list_in(text, origin).map(Node::List),
        Below::Table => table_in(text, origin).map(Node::Table),
        Below::Text | Below::Unknown => None,
    };
    settled.unwrap_or_else(|| Node::Text(text.into()))
}

/// A number or a bool, if the text is one.
pub(super) fn guessed(text: &str) -> Node {
    let guessed = bool_in(text).map(Node::Bool).or_else(|| number_in(text).map(Node::Number));
    guessed.unwrap_or_else(|| Node::Text(text.into()))
}

pub(super) fn bool_in(text: &str) -> Option<bool> {
    text.parse().ok()
}

/// An integer or a float, written plainly: `007` is a name rather than a number, `0x1f`, `+1`, `.5` and
/// `inf` are none in the files either.
pub(super) fn parsed<N: FromStr>(text: &str) -> Option<N> {
    let digits = text.strip_prefix('-').unwrap_or(text).as_bytes();
    let is_plain = match digits {
        [b'0', next, ..] => !next.is_ascii_digit(),
        [first, ..] => first.is_ascii_digit(),
        [] => false,
    };
    if is_plain { text.parse().ok() } else { None }
}

fn number_in(text: &str) -> Option<Number> {
    let whole = parsed::<u64>(text).map(Number::from).or_else(|| parsed::<i64>(text).map(Number::from));
    whole.or_else(|| Number::from_f64(parsed(text)?))
}

fn list_in(text: &str, origin: &Origin) -> Option<Vec<Tree>> {
    if text.trim_start().starts_with('[') {
        return match Tree::of(&serde_json::from_str(text).ok()?, origin).node {
            Node::List(list) => Some(list),
            _ => None,
        };
    }
    let part = |part: &str| {
        let node = Node::Loose { text: part.trim().into(), below: Below::Unknown };
        Tree { node, origin: origin.clone() }
    };
    Some(if text.trim().is_empty() { Vec::new() } else { text.split(',').map(part).collect() })
}

fn table_in(text: &str, origin: &Origin) -> Option<BTreeMap<String, Tree>> {
    if !is_json_object(text) {
        return None;
    }
    match Tree::of(&serde_json::from_str::<Value>(text).ok()?, origin).node {
        Node::Table(table) => Some(table),
        _ => None,
    }
}

/// Whether it means to be one.
pub(super) fn is_json_object(text: &str) -> bool {
    text.trim_start().starts_with('{')
}

/// Variables and arguments can name the elements of a list, and cannot say that it is one.
fn is_from_outside(origin: &Origin) -> bool {
    matches!(origin, Origin::Variable { .. } | Origin::Override { .. })
}

fn indexed(table: &BTreeMap<String, Tree>) -> Option<Vec<Tree>> {
    (0..table.len()).map(|index| table.get(&index.to_string()).cloned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn variable() -> Origin {
        Origin::Variable { name: "APP__A".into() }
    }

    fn parts(text: &str) -> Option<Vec<String>> {
        let text_of = |tree: Tree| match tree.node {
            Node::Loose { text, .. } | Node::Text(text) => text,
            other => format!("{other:?}"),
        };
        Some(list_in(text, &variable())?.into_iter().map(text_of).collect())
    }

    #[test]
    fn a_list_is_split_at_commas_or_is_json() {
        assert_eq!(parts("a, b ,c"), Some(vec!["a".into(), "b".into(), "c".into()]));
        assert_eq!(parts("a,,"), Some(vec!["a".into(), String::new(), String::new()]));
        assert_eq!(parts(""), Some(vec![]));
        assert_eq!(parts("  "), Some(vec![]));
        assert_eq!(parts(r#" ["a,b", "c"]"#), Some(vec!["a,b".into(), "c".into()]));
        assert_eq!(parts("[a"), None);
    }

    #[test]
    fn what_stands_below_settles_what_a_text_is() {
        let settled = |text, below| settled(text, below, &variable());
        assert_eq!(settled("true", Below::Bool), Node::Bool(true));
        assert_eq!(settled("True", Below::Bool), Node::Text("True".into()));
        assert_eq!(settled("18446744073709551615", Below::Number), Node::Number(u64::MAX.into()));
        assert_eq!(settled("-3", Below::Number), Node::Number((-3).into()));
        assert_eq!(settled("0.5", Below::Number), Node::Number(Number::from_f64(0.5).expect("a number")));
        for name in ["007", "-01", "+1", ".5", "0x1f", "", "-"] {
            assert_eq!(settled(name, Below::Number), Node::Text(name.into()));
        }
        assert_eq!(settled("inf", Below::Number), Node::Text("inf".into()));
        assert_eq!(settled("3", Below::Text), Node::Text("3".into()));
        assert_eq!(settled("3", Below::Unknown), Node::Text("3".into()));
        assert!(matches!(settled("3", Below::List), Node::List(list) if list.len() == 1));
        assert!(matches!(settled("{\"a\":1}", Below::Table), Node::Table(_)));
        assert_eq!(settled("[]", Below::Table), Node::Text("[]".into()));
    }

    #[test]
    fn only_a_table_from_outside_with_all_indexes_is_a_list() {
        let table = |keys: &[&str], origin: Origin| {
            let entry = |key: &&str| ((*key).to_owned(), Tree::empty_table(Origin::Default));
            Tree { node: Node::Table(keys.iter().map(entry).collect()), origin }
        };
        let keys: Vec<_> = (0..12).map(|index| index.to_string()).collect();
        let keys: Vec<_> = keys.iter().map(String::as_str).collect();
        assert_eq!(list(&table(&keys, variable())).map(|list| list.len()), Some(12));
        assert!(list(&table(&["0", "2"], variable())).is_none());
        assert!(list(&table(&["00"], variable())).is_none());
        assert!(list(&table(&["0"], Origin::Default)).is_none());
    }

    proptest! {
        #[test]
        fn garbage_is_text_or_a_value_and_no_panic(text in r#"[\[\]{}",:0-9a-z .-]*"#) {
            for below in [Below::Bool, Below::Number, Below::List, Below::Table, Below::Unknown] {
                settled(&text, below, &variable());
            }
            guessed(&text);
        }
    }
}
