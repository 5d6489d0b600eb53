//! What an event says.

use std::borrow::Cow;

use serde_json::Value;

use super::errors::Invalid;
use super::limits;

/// What an event says beyond its kind: nothing, a text, bytes or a JSON value. At most
/// [`MAX_DATA_BYTES`](super::MAX_DATA_BYTES).
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub enum Data {
    /// Nothing.
    #[default]
    None,
    /// A text.
    Text(Cow<'static, str>),
    /// Bytes.
    Bytes(Cow<'static, [u8]>),
    /// A JSON value.
    Json(Value),
}

impl Data {
    /// Whether there is nothing.
    pub fn is_none(&self) -> bool {
        matches!(self, Self::None)
    }

    /// The text, if it is one.
    pub fn as_text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The bytes, if that is what it is.
    pub fn as_bytes(&self) -> Option<&[u8]> {
        match self {
            Self::Bytes(bytes) => Some(bytes),
            _ => None,
        }
    }

    /// The value, if it is JSON.
    pub fn as_json(&self) -> Option<&Value> {
        match self {
            Self::Json(value) => Some(value),
            _ => None,
        }
    }

    /// How many bytes it takes in memory beside itself, if it is not too large.
    pub(crate) fn memory(&self) -> usize {
        match self {
            Self::None => 0,
            Self::Text(text) => text.len(),
            Self::Bytes(bytes) => bytes.len(),
            Self::Json(value) => limits::json_memory(value),
        }
    }

    /// How many bytes it has; of a JSON value those of its text.
    ///
    /// # Errors
    ///
    /// When it is too large or too deep.
    pub(crate) fn size(&self) -> Result<usize, Invalid> {
        match self {
            Self::None => Ok(0),
            Self::Text(text) => limits::data(text.len()),
            Self::Bytes(bytes) => limits::data(bytes.len()),
            Self::Json(value) => limits::json(value),
        }
    }
}

impl From<&'static str> for Data {
    fn from(text: &'static str) -> Self {
        Self::Text(text.into())
    }
}

impl From<String> for Data {
    fn from(text: String) -> Self {
        Self::Text(text.into())
    }
}

impl From<Cow<'static, str>> for Data {
    fn from(text: Cow<'static, str>) -> Self {
        Self::Text(text)
    }
}

impl From<Vec<u8>> for Data {
    fn from(bytes: Vec<u8>) -> Self {
        Self::Bytes(bytes.into())
    }
}

impl From<&'static [u8]> for Data {
    fn from(bytes: &'static [u8]) -> Self {
        Self::Bytes(bytes.into())
    }
}

impl From<Value> for Data {
    fn from(value: Value) -> Self {
        Self::Json(value)
    }
}

#[cfg(all(test, not(underpin_loom)))]
mod tests {
    use super::*;
    use crate::events::{MAX_DATA_BYTES, MAX_JSON_DEPTH};
    use serde_json::json;

    fn all() -> [Data; 4] {
        [Data::None, "text".into(), vec![1_u8, 2, 3].into(), json!({"a": [1]}).into()]
    }

    #[test]
    fn it_is_one_thing_and_none_of_the_others() {
        let asked = all().map(|data| {
            [data.is_none(), data.as_text().is_some(), data.as_bytes().is_some(), data.as_json().is_some()]
        });
        for (at, answers) in asked.into_iter().enumerate() {
            assert_eq!(answers, [0, 1, 2, 3].map(|other| other == at));
        }
    }

    #[test]
    fn it_has_as_many_bytes_as_it_says() {
        assert_eq!(all().map(|data| data.size()), [Ok(0), Ok(4), Ok(3), Ok(9)]);
    }

    #[test]
    fn each_sort_may_have_as_many_bytes_as_allowed_and_no_more() {
        for (bytes, is_allowed) in [(MAX_DATA_BYTES, true), (MAX_DATA_BYTES + 1, false)] {
            let text = "x".repeat(bytes);
            let json = json!(text[2..]); // and two quotes
            let sorts = [Data::from(text), Data::from(vec![0_u8; bytes]), Data::from(json)];
            sorts.iter().for_each(|data| assert_eq!(data.size().is_ok(), is_allowed, "{bytes}"));
        }
    }

    #[test]
    fn a_value_may_be_as_deep_as_allowed_and_no_deeper() {
        let nested = |lists| (0..lists).fold(json!(null), |value, _| json!([value]));
        assert!(Data::from(nested(MAX_JSON_DEPTH)).size().is_ok());
        let most = MAX_JSON_DEPTH;
        assert_eq!(Data::from(nested(MAX_JSON_DEPTH + 1)).size(), Err(Invalid::TooDeep { most }));
    }

    #[test]
    fn text_and_bytes_of_the_program_and_of_ones_own_are_equal() {
        assert_eq!(Data::from("text"), Data::from("text".to_owned()));
        assert_eq!(Data::from("text"), Data::from(Cow::Borrowed("text")));
        assert_eq!(Data::from(&b"bytes"[..]), Data::from(b"bytes".to_vec()));
        assert_ne!(Data::from("1"), Data::from(json!("1")));
    }
}
