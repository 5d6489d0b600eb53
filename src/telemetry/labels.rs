//! What tells series of one name apart.

use std::fmt;
use std::sync::Arc;

/// A series has so many labels at most.
pub const MAX_LABELS: usize = 16;
/// A name or a value of a label has so many bytes at most.
pub const MAX_LABEL_BYTES: usize = 256;

/// Names and values that tell series of one name apart, in the order of their names.
///
/// A name is ASCII letters, digits and `_`, and does not begin with a digit. A value is any text; one that is longer than
/// [`MAX_LABEL_BYTES`] is cut there.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Labels(Arc<[(Arc<str>, Arc<str>)]>);

/// Why something is no set of labels.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LabelsError {
    /// There are more than [`MAX_LABELS`].
    #[error("{found} labels, {MAX_LABELS} at most")]
    TooMany {
        /// How many there are.
        found: usize,
    },
    /// A name is none.
    #[error(
        "label {name:?}: letters, digits and `_` are expected, not a digit first, {MAX_LABEL_BYTES} bytes at most"
    )]
    Name {
        /// It, cut after [`MAX_LABEL_BYTES`].
        name: String,
    },
    /// A name is there twice.
    #[error("label `{name}` is there twice")]
    Twice {
        /// It.
        name: String,
    },
}

impl Labels {
    /// These, in any order.
    ///
    /// # Errors
    ///
    /// When there are too many, or a name is none or there twice.
    pub fn new(labels: &[(&str, &str)]) -> Result<Self, LabelsError> {
        if labels.len() > MAX_LABELS {
            return Err(LabelsError::TooMany { found: labels.len() });
        }
        if let Some((name, _)) = labels.iter().find(|(name, _)| !is_name(name)) {
            return Err(LabelsError::Name { name: cut(name).into() });
        }
        let mut sorted = labels.to_vec();
        sorted.sort_unstable_by_key(|(name, _)| *name);
        if let Some(pair) = sorted.windows(2).find(|pair| pair[0].0 == pair[1].0) {
            return Err(LabelsError::Twice { name: pair[0].0.into() });
        }
        Ok(Self(sorted.iter().map(|(name, value)| ((*name).into(), cut(value).into())).collect()))
    }

    /// Whether these are there, and perhaps others.
    pub fn contains(&self, labels: &[(&str, &str)]) -> bool {
        labels.iter().all(|(name, value)| self.get(name) == Some(value))
    }

    /// The value of one.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.iter().find(|(other, _)| *other == name).map(|(_, value)| value)
    }

    /// All of them, in the order of their names.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (&**name, &**value))
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Display for Labels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("{")?;
        for (n, (name, value)) in self.iter().enumerate() {
            write!(f, "{}{name}={value:?}", if n > 0 { "," } else { "" })?;
        }
        f.write_str("}")
    }
}

fn is_name(name: &str) -> bool {
    let fits = (1..=MAX_LABEL_BYTES).contains(&name.len()) && !name.starts_with(|c: char| c.is_ascii_digit());
    fits && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

fn cut(text: &str) -> &str {
    &text[..text.floor_char_boundary(MAX_LABEL_BYTES)]
}

#[cfg(all(test, not(underpin_loom)))]
mod tests {
    use super::*;

    #[test]
    fn the_order_of_labels_does_not_matter() {
        let one = Labels::new(&[("host", "a"), ("app", "b")]).expect("they are labels");
        assert_eq!(Ok(one.clone()), Labels::new(&[("app", "b"), ("host", "a")]));
        assert_eq!(one.to_string(), r#"{app="b",host="a"}"#);
        assert!(one.contains(&[("host", "a")]) && !one.contains(&[("host", "b")]) && one.contains(&[]));
    }

    #[test]
    fn what_is_no_label_is_told() {
        for name in ["", "1a", "a-b", "a b", "é", &"a".repeat(MAX_LABEL_BYTES + 1)] {
            assert!(matches!(Labels::new(&[(name, "")]), Err(LabelsError::Name { .. })), "{name}");
        }
        assert_eq!(Labels::new(&[("a", "1"), ("a", "2")]), Err(LabelsError::Twice { name: "a".into() }));
        assert_eq!(Labels::new(&[("a", ""); MAX_LABELS + 1]), Err(LabelsError::TooMany { found: 17 }));
    }

    #[test]
    fn a_long_value_is_cut_where_a_character_ends() {
        let long = "é".repeat(MAX_LABEL_BYTES);
        let labels = Labels::new(&[("a", &format!("x{long}"))]).expect("they are labels");
        assert_eq!(labels.get("a").map(str::len), Some(MAX_LABEL_BYTES - 1));
    }
}
