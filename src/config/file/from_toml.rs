//! TOML, by the crate `toml`, which tells where each value begins.

use serde_json::Number;
use toml::Spanned;
use toml::de::{DeArray, DeFloat, DeInteger, DeTable, DeValue};

use super::super::fault::Fault;
use super::super::tree::{Node, Tree};
use super::place::Place;

pub(super) fn tree(mut place: Place<'_>) -> Result<Tree, Fault> {
    // The parser itself nests no deeper than 80.
    match DeTable::parse(place.text) {
        Ok(top) => table(&mut place, top.into_inner(), 0),
        Err(error) => {
            let at = error.span().map_or(place.text.len(), |span| span.start);
            Err(place.syntax(at, "TOML", error.message()))
        }
    }
}

fn table(place: &mut Place<'_>, table: DeTable<'_>, at: usize) -> Result<Tree, Fault> {
    let inner = table.into_iter().map(|(key, inner)| {
        let tree = place.inside(key.get_ref(), key.span().start, |place| value(place, inner))?;
        Ok((key.into_inner().into_owned(), tree))
    });
    let inner = inner.collect::<Result<_, _>>()?;
    Ok(place.tree(Node::Table(inner), at))
}

fn list(place: &mut Place<'_>, list: DeArray<'_>, at: usize) -> Result<Tree, Fault> {
    let inner = list.into_iter().enumerate().map(|(index, inner)| {
        let at = inner.span().start;
        place.inside(&index.to_string(), at, |place| value(place, inner))
    });
    let inner = inner.collect::<Result<_, _>>()?;
    Ok(place.tree(Node::List(inner), at))
}

fn value(place: &mut Place<'_>, spanned: Spanned<DeValue<'_>>) -> Result<Tree, Fault> {
    let at = spanned.span().start;
    let node = match spanned.into_inner() {
        DeValue::String(text) => return place.string(text.into_owned(), at),
        DeValue::Array(array) => return list(place, array, at),
        DeValue::Table(inner) => return table(place, inner, at),
        DeValue::Integer(number) => integer(&number).map(Node::Number).ok_or("an integer of 64 bits"),
        DeValue::Float(number) => float(&number).map(Node::Number).ok_or("a finite number"),
        DeValue::Boolean(bool) => Ok(Node::Bool(bool)),
        DeValue::Datetime(time) => Ok(Node::Text(time.to_string())),
    };
    let node = node.map_err(|expected| place.fault(at, format!("expected {expected}")))?;
    Ok(place.tree(node, at))
}

fn integer(number: &DeInteger<'_>) -> Option<Number> {
    let (digits, radix) = (number.as_str(), number.radix());
    let signed = i64::from_str_radix(digits, radix).map(Number::from);
    signed.or_else(|_| u64::from_str_radix(digits, radix).map(Number::from)).ok()
}

fn float(number: &DeFloat<'_>) -> Option<Number> {
    number.as_str().parse().ok().and_then(Number::from_f64)
}
