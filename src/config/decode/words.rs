//! The plain words of messages about values.

use std::fmt;

use serde::de::{Expected, Unexpected};
use serde_json::Value;

use crate::config::tree::{Node, Tree};

/// How many characters of a value a message shows at most: it may be a secret.
pub(crate) const SHOWN: usize = 40;

/// A text in quotes, cut to what may be [shown](SHOWN).
pub(crate) fn quoted(text: &str) -> String {
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{:?}..", &text[..end]),
        None => format!("{text:?}"),
    }
}

/// What stands somewhere, after "found".
pub(crate) fn found(node: &Node) -> String {
    match node {
        Node::Null => "null".into(),
        Node::Bool(bool) => bool.to_string(),
        Node::Number(number) => number.to_string(),
        Node::Text(text) | Node::Loose { text, .. } => quoted(text),
        Node::List(list) => list_of(list.len()),
        Node::Table(_) => "a table".into(),
    }
}

/// The same of a plain value.
pub(crate) fn found_value(value: &Value) -> String {
    match value {
        Value::Null => "null".into(),
        Value::Bool(bool) => bool.to_string(),
        Value::Number(number) => number.to_string(),
        Value::String(text) => quoted(text),
        Value::Array(list) => list_of(list.len()),
        Value::Object(_) => "a table".into(),
    }
}

/// "a list of 3".
pub(crate) fn list_of(length: usize) -> String {
    if length == 0 { "an empty list".into() } else { format!("a list of {length}") }
}

/// What a type has found that it did not expect.
pub(crate) fn unexpected(unexpected: Unexpected<'_>) -> String {
    match unexpected {
        Unexpected::Bool(bool) => bool.to_string(),
        Unexpected::Unsigned(number) => number.to_string(),
        Unexpected::Signed(number) => number.to_string(),
        Unexpected::Float(number) => number.to_string(),
        Unexpected::Char(character) => quoted(character.encode_utf8(&mut [0; 4])),
        Unexpected::Str(text) => quoted(text),
        Unexpected::Bytes(_) => "bytes".into(),
        Unexpected::Unit | Unexpected::Option => "null".into(),
        Unexpected::Seq => "a list".into(),
        Unexpected::Map => "a table".into(),
        other => other.to_string(),
    }
}

/// What a type expects, without its name where that is one of Rust's own.
pub(crate) fn plainly(expected: &dyn Expected) -> String {
    macro_rules! integers {
        ($words:expr, $($integer:ident)*) => {
            match $words.as_str() {
                $(stringify!($integer) => integer($integer::MIN, $integer::MAX),)*
                "a boolean" => "true or false".into(),
                "a string" => "text".into(),
                "a character" => "one character".into(),
                "f32" | "f64" => "a number".into(),
                _ => $words,
            }
        };
    }
    let words = expected.to_string();
    integers!(words, i8 i16 i32 i64 i128 u8 u16 u32 u64 u128)
}

/// "an integer from 0 to 255".
pub(crate) fn integer<N: fmt::Display>(least: N, most: N) -> String {
    format!("an integer from {least} to {most}")
}

/// "one of `a`, `b`".
pub(crate) fn one_of(names: &[&str]) -> String {
    let names: Vec<_> = names.iter().map(|name| format!("`{name}`")).collect();
    match &names[..] {
        [] => "nothing".into(),
        [name] => name.clone(),
        names => format!("one of {}", names.join(", ")),
    }
}

/// A message of foreign code as one line, in which each text of `tree` is cut to what may be shown.
pub(crate) fn redacted(message: impl fmt::Display, tree: &Tree) -> String {
    let mut message = message.to_string();
    redact(&mut message, tree);
    if message.contains(['\n', '\r']) { message.replace(['\n', '\r'], " ") } else { message }
}

fn redact(message: &mut String, tree: &Tree) {
    match &tree.node {
        Node::Text(text) | Node::Loose { text, .. } => redact_text(message, text),
        Node::List(list) => list.iter().for_each(|tree| redact(message, tree)),
        Node::Table(table) => table.values().for_each(|tree| redact(message, tree)),
        Node::Null | Node::Bool(_) | Node::Number(_) => {}
    }
}

/// The text may stand in the message as it is, or escaped.
fn redact_text(message: &mut String, text: &str) {
    let Some((end, _)) = text.char_indices().nth(SHOWN) else { return };
    let escaped = text.escape_debug().to_string();
    for (long, short) in [(text, &text[..end]), (&escaped, &text[..end].escape_debug().to_string())] {
        if message.contains(long) {
            *message = message.replace(long, &format!("{short}.."));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::tree::Origin;
    use serde_json::json;

    #[test]
    fn a_text_is_shown_in_quotes_up_to_forty_characters() {
        assert_eq!(quoted("a\nb"), r#""a\nb""#);
        assert_eq!(quoted(&"ä".repeat(40)), format!("\"{}\"", "ä".repeat(40)));
        assert_eq!(quoted(&"ä".repeat(41)), format!("\"{}\"..", "ä".repeat(40)));
    }

    #[test]
    fn both_kinds_of_values_are_told_in_the_same_words() {
        for value in [json!(null), json!(true), json!(-1.5), json!("x"), json!([]), json!([1, 2]), json!({})]
        {
            assert_eq!(found(&Tree::of(&value, &Origin::Default).node), found_value(&value));
        }
        assert_eq!(found_value(&json!([1, 2])), "a list of 2");
    }

    #[test]
    fn a_foreign_message_shows_no_more_of_a_text_than_ours() {
        let text = format!("{}\n{}", "s".repeat(39), "t".repeat(30));
        let tree = Tree::of(&json!({"a": [text]}), &Origin::Default);
        let cut = format!("{} ..", "s".repeat(39));
        assert_eq!(redacted(format_args!("bad: {text}!"), &tree), format!("bad: {cut}!"));
        assert_eq!(redacted(format_args!("{text:?}"), &tree), format!("\"{}\\n..\"", "s".repeat(39)));
        assert_eq!(redacted("one\ntwo", &tree), "one two");
    }

    #[test]
    fn names_to_choose_from_are_listed() {
        assert_eq!(one_of(&[]), "nothing");
        assert_eq!(one_of(&["a"]), "`a`");
        assert_eq!(one_of(&["a", "b"]), "one of `a`, `b`");
    }
}
