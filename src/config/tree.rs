//! Values that remember where they came from.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path as FilePath;
use std::sync::Arc;

use serde_json::{Number, Value};

use super::path::Path;

/// Where a value came from. The later of these goes before the earlier.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Origin {
    /// The defaults of the program.
    Default,
    /// A file.
    File {
        /// Its name, as it was given.
        file: Arc<FilePath>,
        /// The line, from 1.
        line: u32,
    },
    /// A variable of the environment.
    Variable {
        /// Its name.
        name: Arc<str>,
    },
    /// An override, such as an argument of the command line.
    Override {
        /// What it is called in messages: `--listen`.
        name: Arc<str>,
    },
    /// An update of an earlier run, kept in a file.
    Kept {
        /// The file.
        file: Arc<FilePath>,
    },
    /// An update at run time.
    Update {
        /// The version that it made.
        version: u64,
    },
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("the defaults"),
            Self::File { file, line } => write!(f, "{}:{line}", file.display()),
            Self::Variable { name } => write!(f, "the variable {name}"),
            Self::Override { name } => f.write_str(name),
            Self::Kept { file } => write!(f, "an update kept in {}", file.display()),
            Self::Update { version } => write!(f, "the update to version {version}"),
        }
    }
}

/// A value, and where it and each of its parts came from.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Tree {
    pub(crate) node: Node,
    pub(crate) origin: Origin,
}

/// What stands at one place.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Node {
    Null,
    Bool(bool),
    Number(Number),
    Text(String),
    /// Text whose type is decided by who reads it: of the environment, or of a command line.
    Loose {
        text: String,
        below: Below,
    },
    List(Vec<Tree>),
    Table(BTreeMap<String, Tree>),
}

/// What a loose text stands in place of. It decides where the reader's type does not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Below {
    #[default]
    Unknown,
    Bool,
    Number,
    Text,
    List,
    Table,
}

impl Tree {
    pub(crate) fn empty_table(origin: Origin) -> Self {
        Self { node: Node::Table(BTreeMap::new()), origin }
    }

    /// A plain value, all of it from one place.
    pub(crate) fn of(value: &Value, origin: &Origin) -> Self {
        let node = match value {
            Value::Null => Node::Null,
            Value::Bool(bool) => Node::Bool(*bool),
            Value::Number(number) => Node::Number(number.clone()),
            Value::String(text) => Node::Text(text.clone()),
            Value::Array(list) => Node::List(list.iter().map(|value| Self::of(value, origin)).collect()),
            Value::Object(table) => {
                Node::Table(table.iter().map(|(key, value)| (key.clone(), Self::of(value, origin))).collect())
            }
        };
        Self { node, origin: origin.clone() }
    }

    /// The value alone. Loose text is text.
    pub(crate) fn plain(&self) -> Value {
        match &self.node {
            Node::Null => Value::Null,
            Node::Bool(bool) => Value::Bool(*bool),
            Node::Number(number) => Value::Number(number.clone()),
            Node::Text(text) | Node::Loose { text, .. } => Value::String(text.clone()),
            Node::List(list) => list.iter().map(Self::plain).collect(),
            Node::Table(table) => table.iter().map(|(key, tree)| (key.clone(), tree.plain())).collect(),
        }
    }

    /// One step down.
    pub(crate) fn child(&self, segment: &str) -> Option<&Self> {
        match &self.node {
            Node::Table(table) => table.get(segment),
            Node::List(list) => list.get(index(segment)?),
            _ => None,
        }
    }

    pub(crate) fn child_mut(&mut self, segment: &str) -> Option<&mut Self> {
        match &mut self.node {
            Node::Table(table) => table.get_mut(segment),
            Node::List(list) => list.get_mut(index(segment)?),
            _ => None,
        }
    }

    /// What stands at `path`.
    pub(crate) fn at(&self, path: &Path) -> Option<&Self> {
        path.segments().try_fold(self, |tree, segment| tree.child(segment))
    }

    /// Where the value at `path` came from; of what is not there itself, where the nearest above it did.
    pub(crate) fn origin_of(&self, path: &Path) -> &Origin {
        let mut tree = self;
        for segment in path.segments() {
            match tree.child(segment) {
                Some(child) => tree = child,
                None => break,
            }
        }
        &tree.origin
    }
}

/// The index that a segment means in a list.
pub(crate) fn index(segment: &str) -> Option<usize> {
    let is_plain = segment == "0" || !segment.starts_with(['0', '+']);
    segment.parse().ok().filter(|_| is_plain)
}
