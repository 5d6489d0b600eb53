//! The layer of the environment: variables such as `APP__LIMITS__CONNECTIONS=64`.
//!
//! - Two underscores separate: the prefix from the path, and the segments of the path. A single underscore is
//!   part of a name, so that `APP__MAX_LINE` is `max_line` and never `max.line`.
//! - A segment means the key of the layers below that is the same but for the case of its ASCII letters
//!   and for `-` in place of `_`. Where there is none, it means itself in lower case.
//! - In a list a segment is an index: `APP__SERVERS__0__PORT`.
//! - A value is text; its type is decided by who reads it.
//!
//! A key that itself has two underscores in a row, or one at its beginning after another that ends with
//! one, cannot be named; a file can.

use std::ffi::{OsStr, OsString};

use super::fault::{Fault, Faults};
use super::graft::graft;
use super::limits;
use super::path::Path;
use super::tree::{Below, Node, Origin, Tree};

const SEPARATOR: &str = "__";

/// What one variable sets.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Setting {
    path: Path,
    name: String,
    text: String,
}

/// The layer of those variables that begin with `prefix` and two underscores; in the prefix, too,
/// the case of ASCII letters does not matter. `known` is what the layers below say.
///
/// All that is wrong is returned beside the layer, each with the name of its variable; what is
/// wrong is not in the layer. No value is shown in a fault: it may be a secret. The result does
/// not depend on the order of the variables.
pub(crate) fn variables(
    prefix: &str,
    vars: impl Iterator<Item = (OsString, OsString)>,
    known: &Tree,
) -> (Tree, Faults) {
    let mut vars: Vec<_> = vars.filter(|(name, _)| has_prefix(prefix, name)).collect();
    vars.sort();
    let mut faults = Faults::default();
    let mut settings = Vec::new();
    for (name, value) in &vars {
        let setting = setting(prefix, name, value, known);
        let named = |fault: Fault| fault.from(origin(&name.to_string_lossy()));
        match setting {
            Ok(setting) => settings.push(setting),
            Err(fault) => faults.add(named(fault)),
        }
    }
    settings.sort();
    (layer(settings, known, &mut faults), faults)
}

fn origin(name: &str) -> Origin {
    Origin::Variable { name: name.into() }
}

/// Whether a variable belongs to the layer: the others are none of the program's settings.
pub(crate) fn has_prefix(prefix: &str, name: &OsStr) -> bool {
    let parts = name.as_encoded_bytes().split_at_checked(prefix.len());
    parts.is_some_and(|(start, rest)| {
        start.eq_ignore_ascii_case(prefix.as_bytes()) && rest.starts_with(SEPARATOR.as_bytes())
    })
}

/// What the variable `name`, which has the prefix, sets.
fn setting(prefix: &str, name: &OsStr, value: &OsStr, known: &Tree) -> Result<Setting, Fault> {
    let not_text = |path: &Path, what: &str| Fault::new(path.clone(), format!("{what} is not UTF-8"));
    let name = name.to_str().ok_or_else(|| not_text(&Path::TOP, "the name of the variable"))?;
    let place = name.get(prefix.len() + SEPARATOR.len()..).unwrap_or_default();
    let path = path(place, known)?;
    let text = value.to_str().ok_or_else(|| not_text(&path, "the value"))?;
    limits::text(&path, text)?;
    Ok(Setting { path, name: name.to_owned(), text: text.to_owned() })
}

// ---- names -------------------------------------------------------------------------------

/// The path that is written as the rest of a variable's name.
fn path(place: &str, known: &Tree) -> Result<Path, Fault> {
    let mut known = Some(known);
    let mut segments = Vec::new();
    for segment in place.split(SEPARATOR) {
        let key = key(segment, known)?;
        known = known.and_then(|known| known.child(&key));
        segments.push(key);
    }
    Path::of(segments).map_err(|error| Fault::new(Path::TOP, error.to_string()))
}

/// The key that a segment means in what is known of its place.
fn key(segment: &str, known: Option<&Tree>) -> Result<Box<str>, Fault> {
    if segment.is_empty() {
        let message =
            "an empty segment in the name of the variable: `__` separates, expected `PREFIX__KEY__KEY`";
        return Err(Fault::new(Path::TOP, message));
    }
    let lower = segment.to_ascii_lowercase();
    let Some(Tree { node: Node::Table(table), .. }) = known else { return Ok(lower.into()) };
    if let Some(exact) = [segment, &lower].into_iter().find(|key| table.contains_key(*key)) {
        return Ok(exact.into());
    }
    let mut keys = table.keys().filter(|key| is_same(segment, key));
    match (keys.next(), keys.next()) {
        (Some(one), Some(other)) => Err(ambiguous(segment, one, other)),
        (Some(key), None) => Ok(key.as_str().into()),
        (None, _) => Ok(lower.into()),
    }
}

fn ambiguous(segment: &str, one: &str, other: &str) -> Fault {
    Fault::new(Path::TOP, format!("`{segment}` in the name of the variable may mean `{one}` or `{other}`"))
}

/// Whether a segment means a key.
fn is_same(segment: &str, key: &str) -> bool {
    let letter = |byte: u8| if byte == b'-' { b'_' } else { byte.to_ascii_lowercase() };
    segment.bytes().map(letter).eq(key.bytes().map(letter))
}

// ---- the layer ---------------------------------------------------------------------------

/// The layer of what is sorted by its path, so that a place comes before those below it.
fn layer(settings: Vec<Setting>, known: &Tree, faults: &mut Faults) -> Tree {
    let mut layer = Tree::empty_table(known.origin.clone());
    let mut last: Option<(Path, String)> = None;
    for Setting { path, name, text } in settings {
        let done = match &last {
            Some((same, other)) if *same == path => Err(twice(&path, other).from(origin(&name))),
            _ => graft(&mut layer, known, &path, loose(text, &name)),
        };
        match done {
            Ok(()) => last = Some((path, name)),
            Err(fault) => faults.add(fault),
        }
    }
    layer
}

fn loose(text: String, name: &str) -> Tree {
    Tree { node: Node::Loose { text, below: Below::Unknown }, origin: origin(name) }
}

fn twice(path: &Path, other: &str) -> Fault {
    Fault::new(path.clone(), format!("is set by the variable {other} as well, expected one of them"))
}

#[cfg(all(test, not(underpin_loom)))]
mod tests;
