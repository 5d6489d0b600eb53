//! Why a value does not decode, before and after it is known where.

use std::fmt;

use serde::de::{self, Expected, Unexpected};

use super::words::{found, one_of, plainly, quoted, redacted, unexpected};
use crate::config::fault::Fault;
use crate::config::path::Path;
use crate::config::tree::{Node, Tree};

/// Why a value does not decode. The innermost reader that it passes says where.
#[derive(Debug)]
pub(super) enum Error {
    /// In our words.
    Mismatch(String),
    /// Of a value that the type was shown, which serde may have copied: then it is not what is read
    /// now, but something in it.
    Strange { expected: String, found: String },
    /// In the words of the type, which may say anything.
    Foreign(String),
    /// Of a key of the table that is read.
    Key { key: String, message: String },
    /// It is known where.
    Placed(Box<Fault>),
}

impl Error {
    pub(super) fn expected(expected: impl fmt::Display, node: &Node) -> Self {
        Self::Mismatch(format!("expected {expected}, found {}", found(node)))
    }

    /// It is about the key that is read, not about one below that.
    pub(super) fn of_this_key(self) -> Self {
        if let Self::Key { message, .. } = self { Self::Mismatch(message) } else { self }
    }

    /// It happened while `tree` was read, which stands at `path`.
    pub(super) fn at(self, path: &Path, tree: &Tree) -> Self {
        Self::Placed(Box::new(self.into_fault(path, tree)))
    }

    pub(super) fn into_fault(self, path: &Path, tree: &Tree) -> Fault {
        let fault = |message| Fault::new(path.clone(), message).from(tree.origin.clone());
        match self {
            Self::Placed(fault) => *fault,
            Self::Mismatch(message) => fault(message),
            Self::Strange { expected, found } => {
                let (path, tree) = only_one(&found, path, tree).unwrap_or_else(|| (path.clone(), tree));
                let message = format!("expected {expected}, found {found}");
                Fault::new(path, message).from(tree.origin.clone())
            }
            Self::Foreign(message) => fault(with_found(redacted(message, tree), &tree.node)),
            Self::Key { key, message } => {
                let origin = &tree.child(&key).unwrap_or(tree).origin;
                Fault::new(path.child(&key), message).from(origin.clone())
            }
        }
    }
}

/// The message of a type that does not itself say what it has found.
fn with_found(message: String, node: &Node) -> String {
    let found = match node {
        Node::List(_) | Node::Table(_) => return message,
        node => found(node),
    };
    let plain = found.trim_matches(['"', '.']);
    let says = !plain.is_empty() && message.contains(plain);
    if says { message } else { format!("{message}, found {found}") }
}

/// The one value in a tree that was found, if there is only one such.
fn only_one<'a>(what: &str, path: &Path, tree: &'a Tree) -> Option<(Path, &'a Tree)> {
    let mut all = Vec::new();
    find(what, &mut path.clone(), tree, &mut all);
    if all.len() == 1 { all.pop() } else { None }
}

fn find<'a>(what: &str, path: &mut Path, tree: &'a Tree, into: &mut Vec<(Path, &'a Tree)>) {
    let mut below = |segment: &str, tree| {
        path.push(segment);
        find(what, path, tree, into);
        path.pop();
    };
    match &tree.node {
        Node::Table(table) => table.iter().for_each(|(key, tree)| below(key, tree)),
        Node::List(list) => list.iter().enumerate().for_each(|(n, tree)| below(&n.to_string(), tree)),
        node => {
            let is_settled = matches!(node, Node::Loose { text, .. } if text == what);
            if is_settled || found(node) == what {
                into.push((path.clone(), tree));
            }
        }
    }
}

impl de::Error for Error {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self::Foreign(message.to_string())
    }

    fn invalid_type(found: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self::Strange { expected: plainly(expected), found: unexpected(found) }
    }

    fn invalid_value(found: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self::invalid_type(found, expected)
    }

    fn invalid_length(length: usize, expected: &dyn Expected) -> Self {
        Self::Mismatch(format!("expected {expected}, found {length} of them"))
    }

    fn unknown_variant(variant: &str, expected: &'static [&'static str]) -> Self {
        Self::Mismatch(format!("expected {}, found {}", one_of(expected), quoted(variant)))
    }

    fn unknown_field(field: &str, expected: &'static [&'static str]) -> Self {
        Self::Key {
            key: field.into(),
            message: format!("expected {}, found an unknown key", one_of(expected)),
        }
    }

    fn missing_field(field: &'static str) -> Self {
        Self::Key { key: field.into(), message: "expected a value, found none".into() }
    }

    fn duplicate_field(field: &'static str) -> Self {
        let message = "expected one value, found it under two names".into();
        Self::Key { key: field.into(), message }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Mismatch(message) | Self::Foreign(message) => f.write_str(message),
            Self::Strange { expected, found } => write!(f, "expected {expected}, found {found}"),
            Self::Key { key, message } => write!(f, "{key}: {message}"),
            Self::Placed(fault) => f.write_str(&fault.message),
        }
    }
}

impl std::error::Error for Error {}
