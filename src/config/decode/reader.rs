//! Reads one value of a tree as what it is asked for.

use std::fmt;
use std::str::FromStr;

use serde::de::{Deserializer, Visitor};
use serde_json::Number;

use super::Trail;
use super::access::{Entries, Items, Variant};
use super::error::Error;
use super::loose;
use super::words::{integer, list_of, one_of, plainly};
use crate::config::tree::{Below, Node, Tree};

/// Reads one value as what it is asked for.
#[derive(Debug)]
pub(super) struct Reader<'a> {
    pub(super) tree: &'a Tree,
    /// It stands at a key that the type has not named.
    pub(super) is_unknown: bool,
    pub(super) trail: &'a mut Trail,
}

impl<'a> Reader<'a> {
    fn expected(&self, expected: impl fmt::Display) -> Error {
        Error::expected(expected, &self.tree.node)
    }

    fn integer<N>(&self, least: N, most: N) -> Result<N, Error>
    where
        N: TryFrom<i128> + FromStr + fmt::Display + Copy,
    {
        let read = match &self.tree.node {
            Node::Number(number) => whole(number).and_then(|whole| N::try_from(whole).ok()),
            Node::Loose { text, .. } => loose::parsed(text),
            _ => None,
        };
        read.ok_or_else(|| self.expected(integer(least, most)))
    }

    fn float(&self) -> Result<f64, Error> {
        let read = match &self.tree.node {
            Node::Number(number) => number.as_f64(),
            Node::Loose { text, .. } => loose::parsed(text),
            _ => None,
        };
        read.filter(|float| float.is_finite()).ok_or_else(|| self.expected("a finite number"))
    }

    fn text(&self) -> Option<&'a str> {
        match &self.tree.node {
            Node::Text(text) | Node::Loose { text, .. } => Some(text),
            _ => None,
        }
    }

    /// Whether nothing stands here: null, or a loose text that is empty.
    fn is_nothing(&self) -> bool {
        match &self.tree.node {
            Node::Null => true,
            Node::Loose { text, .. } => text.is_empty(),
            _ => false,
        }
    }

    fn read_list<'de, V: Visitor<'de>>(self, length: Option<usize>, visitor: V) -> Result<V::Value, Error> {
        let tree = self.tree;
        let expected = || length.map_or("a list".into(), list_of);
        let list = loose::list(tree).ok_or_else(|| self.expected(expected()))?;
        if length.is_some_and(|length| length != list.len()) {
            return Err(Error::Mismatch(format!("expected {}, found {}", expected(), list_of(list.len()))));
        }
        Items::new(&list, self.trail).read(visitor)
    }

    fn read_table<'de, V: Visitor<'de>>(
        self,
        fields: Option<&'static [&'static str]>,
        visitor: V,
    ) -> Result<V::Value, Error> {
        let tree = self.tree;
        let table = loose::table(tree).ok_or_else(|| self.expected("a table"))?;
        visitor.visit_map(Entries::new(&table, fields, self.trail))
    }

    /// A loose text whose type nobody says.
    fn read_loose<'de, V: Visitor<'de>>(
        self,
        text: &str,
        below: Below,
        visitor: V,
    ) -> Result<V::Value, Error> {
        let guess = below == Below::Unknown && self.trail.may_guess();
        let node = if guess { loose::guessed(text) } else { loose::settled(text, below, &self.tree.origin) };
        let tree = Tree { node, origin: self.tree.origin.clone() };
        Reader { tree: &tree, ..self }.deserialize_any(visitor)
    }
}

/// A number as an integer. 3.0 is none.
fn whole(number: &Number) -> Option<i128> {
    number.as_i64().map(i128::from).or_else(|| number.as_u64().map(i128::from))
}

fn visit_number<'de, V: Visitor<'de>>(number: &Number, visitor: V) -> Result<V::Value, Error> {
    if let Some(number) = number.as_u64() {
        visitor.visit_u64(number)
    } else if let Some(number) = number.as_i64() {
        visitor.visit_i64(number)
    } else {
        visitor.visit_f64(number.as_f64().unwrap_or(f64::NAN))
    }
}

macro_rules! integers {
    ($($method:ident $visit:ident $integer:ty),*) => {
        $(fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
            visitor.$visit(self.integer(<$integer>::MIN, <$integer>::MAX)?)
        })*
    };
}

impl<'de> Deserializer<'de> for Reader<'_> {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match &self.tree.node {
            Node::Null => visitor.visit_unit(),
            Node::Bool(bool) => visitor.visit_bool(*bool),
            Node::Number(number) => visit_number(number, visitor),
            Node::Text(text) => visitor.visit_str(text),
            Node::Loose { text, below } => self.read_loose(text, *below, visitor),
            Node::List(_) => self.read_list(None, visitor),
            Node::Table(_) => self.read_table(None, visitor),
        }
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        let read = match &self.tree.node {
            Node::Bool(bool) => Some(*bool),
            Node::Loose { text, .. } => loose::bool_in(text),
            _ => None,
        };
        visitor.visit_bool(read.ok_or_else(|| self.expected("true or false"))?)
    }

    integers!(
        deserialize_i8 visit_i8 i8,
        deserialize_i16 visit_i16 i16,
        deserialize_i32 visit_i32 i32,
        deserialize_i64 visit_i64 i64,
        deserialize_i128 visit_i128 i128,
        deserialize_u8 visit_u8 u8,
        deserialize_u16 visit_u16 u16,
        deserialize_u32 visit_u32 u32,
        deserialize_u64 visit_u64 u64,
        deserialize_u128 visit_u128 u128
    );

    fn deserialize_f32<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        let float = self.float()? as f32;
        if float.is_finite() {
            visitor.visit_f32(float)
        } else {
            Err(self.expected("a number that fits 32 bits"))
        }
    }

    fn deserialize_f64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_f64(self.float()?)
    }

    fn deserialize_char<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        let mut characters = self.text().unwrap_or_default().chars();
        match (characters.next(), characters.next()) {
            (Some(character), None) => visitor.visit_char(character),
            _ => Err(self.expected("one character")),
        }
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.text() {
            Some(text) => visitor.visit_str(text),
            None => Err(self.expected(wanted_text(&visitor))),
        }
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.deserialize_str(visitor)
    }

    fn deserialize_bytes<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.text() {
            Some(text) => visitor.visit_bytes(text.as_bytes()),
            None => self.read_list(None, visitor),
        }
    }

    fn deserialize_byte_buf<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.deserialize_bytes(visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        if self.is_nothing() { visitor.visit_none() } else { visitor.visit_some(self) }
    }

    fn deserialize_unit<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        if self.is_nothing() { visitor.visit_unit() } else { Err(self.expected("nothing")) }
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.deserialize_unit(visitor)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Error> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.read_list(None, visitor)
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, length: usize, visitor: V) -> Result<V::Value, Error> {
        self.read_list(Some(length), visitor)
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        length: usize,
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.read_list(Some(length), visitor)
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.read_table(None, visitor)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.read_table(Some(fields), visitor)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        if let Some(name) = self.text().filter(|text| !loose::is_json_object(text)) {
            return visitor.visit_enum(Variant { name, value: None, trail: self.trail });
        }
        let tree = self.tree;
        let wrong = || self.expected(format_args!("{}, or a table with that one key", one_of(variants)));
        let table = loose::table(tree).filter(|table| table.len() == 1).ok_or_else(wrong)?;
        let (name, value) = table.first_key_value().ok_or_else(wrong)?;
        visitor.visit_enum(Variant { name, value: Some(value), trail: self.trail })
    }

    fn deserialize_identifier<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.deserialize_str(visitor)
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        if self.is_unknown {
            self.trail.unknown.push((self.trail.path.clone(), self.tree.origin.clone()));
        }
        visitor.visit_unit()
    }
}

/// What a type wants that is read from a text: an "IP address", say.
fn wanted_text<'de, V: Visitor<'de>>(visitor: &V) -> String {
    let wanted = plainly(visitor);
    if wanted == "text" { wanted } else { format!("{wanted} as text") }
}
