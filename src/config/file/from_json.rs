//! JSON, by `serde_json`.
//!
//! The parser does not tell where a value begins, but hands out the raw text of one, a slice of the whole: how
//! far into the whole it begins is its place. So each level is read when its turn comes, one at a
//! time, and the depth of the text is a depth of calls only as far as may be. A text is scanned once for each
//! level that it is below, at most as often as the limit of the depth.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;
use serde_json::{Error, Number};

use super::super::fault::Fault;
use super::super::tree::{Node, Tree};
use super::place::Place;

pub(super) fn tree(mut place: Place<'_>) -> Result<Tree, Fault> {
    let top: &RawValue = parse(&place, place.text)?;
    if !top.get().starts_with('{') {
        return Err(place.fault(offset(&place, top.get()), "expected a table at the top of the file"));
    }
    value(&mut place, top)
}

/// How far into the whole a part of it begins.
fn offset(place: &Place<'_>, part: &str) -> usize {
    part.as_ptr().addr().saturating_sub(place.text.as_ptr().addr())
}

/// Reads a part of the whole.
fn parse<'a, T: Deserialize<'a>>(place: &Place<'_>, part: &'a str) -> Result<T, Fault> {
    serde_json::from_str(part).map_err(|error| {
        let at = offset(place, part) + Place::byte(part, error.line(), error.column());
        place.syntax(at, "JSON", &message(&error))
    })
}

/// What the parser says without where: it counts from where the part begins.
fn message(error: &Error) -> String {
    let (whole, place) = (error.to_string(), format!(" at line {} column {}", error.line(), error.column()));
    whole.strip_suffix(&place).map(str::to_owned).unwrap_or(whole)
}

fn value<'a>(place: &mut Place<'a>, raw: &'a RawValue) -> Result<Tree, Fault> {
    let (text, at) = (raw.get(), offset(place, raw.get()));
    let node = match text.as_bytes().first() {
        Some(b'{') => Node::Table(table(place, text)?),
        Some(b'[') => Node::List(list(place, text)?),
        Some(b'"') => return place.string(parse(place, text)?, at),
        Some(b't' | b'f') => Node::Bool(parse(place, text)?),
        Some(b'n') => Node::Null,
        _ => Node::Number(number(text).ok_or_else(|| place.fault(at, "expected a finite number"))?),
    };
    Ok(place.tree(node, at))
}

fn list<'a>(place: &mut Place<'a>, text: &'a str) -> Result<Vec<Tree>, Fault> {
    let list: Vec<&RawValue> = parse(place, text)?;
    let inner = list.into_iter().enumerate().map(|(index, raw)| {
        let at = offset(place, raw.get());
        place.inside(&index.to_string(), at, |place| value(place, raw))
    });
    inner.collect()
}

fn table<'a>(place: &mut Place<'a>, text: &'a str) -> Result<BTreeMap<String, Tree>, Fault> {
    let Entries(entries) = parse(place, text)?;
    let mut table = BTreeMap::new();
    for (raw_key, raw) in entries {
        let at = offset(place, raw_key.get());
        let key: Cow<'_, str> = parse(place, raw_key.get())?;
        let tree = place.inside(&key, at, |place| {
            if table.contains_key(&*key) { Err(place.fault(at, "is there twice")) } else { value(place, raw) }
        })?;
        table.insert(key.into_owned(), tree);
    }
    Ok(table)
}

/// An integer is exact or, where 64 bits do not hold it, a float, as JSON has but one kind of number.
fn number(text: &str) -> Option<Number> {
    let signed = text.parse::<i64>().map(Number::from);
    let whole = signed.or_else(|_| text.parse::<u64>().map(Number::from));
    whole.ok().filter(|_| text != "-0").or_else(|| Number::from_f64(text.parse().ok()?))
}

/// The keys and values of a table as they are written.
struct Entries<'a>(Vec<(&'a RawValue, &'a RawValue)>);

impl<'a> Deserialize<'a> for Entries<'a> {
    fn deserialize<D: Deserializer<'a>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(EntriesVisitor)
    }
}

struct EntriesVisitor;

impl<'a> Visitor<'a> for EntriesVisitor {
    type Value = Entries<'a>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a table")
    }

    fn visit_map<A: MapAccess<'a>>(self, mut map: A) -> Result<Entries<'a>, A::Error> {
        let mut entries = Vec::new();
        while let Some(entry) = map.next_entry()? {
            entries.push(entry);
        }
        Ok(Entries(entries))
    }
}
