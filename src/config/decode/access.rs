//! The parts of a list, a table and an enum, each read one step further down.

use std::collections::BTreeMap;
use std::marker::PhantomData;

use serde::de::value::StrDeserializer;
use serde::de::{DeserializeSeed, Deserializer, EnumAccess, MapAccess, SeqAccess, VariantAccess, Visitor};

use super::Trail;
use super::error::Error;
use crate::config::tree::{Below, Node, Tree};

// ---- lists -------------------------------------------------------------------------------

/// The elements of a list.
#[derive(Debug)]
pub(super) struct Items<'a> {
    list: &'a [Tree],
    next: usize,
    trail: &'a mut Trail,
}

impl<'a> Items<'a> {
    pub(super) fn new(list: &'a [Tree], trail: &'a mut Trail) -> Self {
        Self { list, next: 0, trail }
    }

    /// Reads all of them. A type that wants fewer does not fit.
    pub(super) fn read<'de, V: Visitor<'de>>(mut self, visitor: V) -> Result<V::Value, Error> {
        let value = visitor.visit_seq(&mut self)?;
        let (read, length) = (self.next, self.list.len());
        if read == length {
            return Ok(value);
        }
        Err(Error::Mismatch(format!("expected a list of {read}, found {length} elements")))
    }
}

impl<'de> SeqAccess<'de> for &mut Items<'_> {
    type Error = Error;

    fn next_element_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, Error> {
        let Some(tree) = self.list.get(self.next) else { return Ok(None) };
        let index = self.next.to_string();
        self.next += 1;
        self.trail.read_below(&index, tree, false, seed).map(Some)
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.list.len() - self.next)
    }
}

// ---- tables ------------------------------------------------------------------------------

/// The entries of a table: of a struct, those that it names come first, in its order.
#[derive(Debug)]
pub(super) struct Entries<'a> {
    entries: std::vec::IntoIter<Entry<'a>>,
    /// That of the key just read.
    value: Option<Entry<'a>>,
    trail: &'a mut Trail,
}

#[derive(Clone, Copy, Debug)]
struct Entry<'a> {
    key: &'a str,
    tree: &'a Tree,
    is_unknown: bool,
}

impl<'a> Entries<'a> {
    /// `fields` is what a struct names.
    pub(super) fn new(
        table: &'a BTreeMap<String, Tree>,
        fields: Option<&[&str]>,
        trail: &'a mut Trail,
    ) -> Self {
        let known = fields.unwrap_or_default();
        let entry = |(key, tree): (&'a String, &'a Tree), is_unknown| Entry { key, tree, is_unknown };
        let first = known.iter().filter_map(|field| Some(entry(table.get_key_value(*field)?, false)));
        let others = table.iter().filter(|(key, _)| !known.contains(&key.as_str()));
        let entries: Vec<_> = first.chain(others.map(|other| entry(other, fields.is_some()))).collect();
        Self { entries: entries.into_iter(), value: None, trail }
    }
}

impl<'de> MapAccess<'de> for Entries<'_> {
    type Error = Error;

    fn next_key_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, Error> {
        let Some(entry) = self.entries.next() else { return Ok(None) };
        self.value = Some(entry);
        // A key is text that its type decides on: a number, an enum, a name.
        let node = Node::Loose { text: entry.key.into(), below: Below::Text };
        let key = Tree { node, origin: entry.tree.origin.clone() };
        self.trail.read_key(entry.key, &key, seed).map(Some)
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, Error> {
        let Some(Entry { key, tree, is_unknown }) = self.value.take() else {
            return Err(Error::Mismatch("expected a key to be read before its value".into()));
        };
        self.trail.read_below(key, tree, is_unknown, seed)
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.entries.len())
    }
}

// ---- enums -------------------------------------------------------------------------------

/// A variant, and what it holds.
#[derive(Debug)]
pub(super) struct Variant<'a> {
    pub(super) name: &'a str,
    pub(super) value: Option<&'a Tree>,
    pub(super) trail: &'a mut Trail,
}

impl<'de> EnumAccess<'de> for Variant<'_> {
    type Error = Error;
    type Variant = Self;

    fn variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<(S::Value, Self), Error> {
        let name = seed.deserialize(StrDeserializer::<Error>::new(self.name))?;
        Ok((name, self))
    }
}

impl<'de> VariantAccess<'de> for Variant<'_> {
    type Error = Error;

    fn unit_variant(self) -> Result<(), Error> {
        if self.value.is_none() { Ok(()) } else { self.newtype_variant_seed(PhantomData) }
    }

    fn newtype_variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<S::Value, Error> {
        let Self { name, value, trail } = self;
        let alone =
            || Error::Mismatch(format!("expected a table with the one key `{name}`, found the name alone"));
        trail.read_below(name, value.ok_or_else(alone)?, false, seed)
    }

    fn tuple_variant<V: Visitor<'de>>(self, length: usize, visitor: V) -> Result<V::Value, Error> {
        self.newtype_variant_seed(Tuple { length, visitor })
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.newtype_variant_seed(Struct { fields, visitor })
    }
}

/// What a tuple variant holds.
struct Tuple<V> {
    length: usize,
    visitor: V,
}

impl<'de, V: Visitor<'de>> DeserializeSeed<'de> for Tuple<V> {
    type Value = V::Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<V::Value, D::Error> {
        deserializer.deserialize_tuple(self.length, self.visitor)
    }
}

/// What a struct variant holds.
struct Struct<V> {
    fields: &'static [&'static str],
    visitor: V,
}

impl<'de, V: Visitor<'de>> DeserializeSeed<'de> for Struct<V> {
    type Value = V::Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<V::Value, D::Error> {
        deserializer.deserialize_struct("", self.fields, self.visitor)
    }
}
