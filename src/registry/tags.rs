//! Tags: what is said of a name besides that it is there.

use std::collections::BTreeMap;
use std::sync::Arc;

/// How many tags a name may have.
const MAX_TAGS: usize = 16;
/// How long the key of a tag may be, in bytes.
const MAX_KEY: usize = 64;
/// How long the value of a tag may be, in bytes.
const MAX_VALUE: usize = 256;

/// Why a tag was not set.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TagError {
    /// There is no name to put it on: the child is not registered, or this incarnation of it was
    /// abandoned and the name is its successor's.
    #[error("there is no registered name to put the tag on")]
    NotRegistered,
    /// The key is empty or too long.
    #[error("the key of a tag has 1 to {max} bytes, not {len}")]
    BadKey {
        /// How long it is, in bytes.
        len: usize,
        /// How long it may be, in bytes.
        max: usize,
    },
    /// The value is too long.
    #[error("the value of a tag has at most {max} bytes, not {len}")]
    BadValue {
        /// How long it is, in bytes.
        len: usize,
        /// How long it may be, in bytes.
        max: usize,
    },
    /// It would be one tag more than a name may have.
    #[error("a name has at most {max} tags")]
    TooMany {
        /// How many there may be.
        max: usize,
    },
}

/// The tags of one name: a few short texts, each under a key.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tags(BTreeMap<Arc<str>, Arc<str>>);

impl Tags {
    /// Sets one, in place of an earlier one with the same key.
    pub(crate) fn set(&mut self, key: Arc<str>, value: Arc<str>) -> Result<(), TagError> {
        if key.is_empty() || key.len() > MAX_KEY {
            return Err(TagError::BadKey { len: key.len(), max: MAX_KEY });
        }
        if value.len() > MAX_VALUE {
            return Err(TagError::BadValue { len: value.len(), max: MAX_VALUE });
        }
        if self.0.len() == MAX_TAGS && !self.0.contains_key(&key) {
            return Err(TagError::TooMany { max: MAX_TAGS });
        }
        self.0.insert(key, value);
        Ok(())
    }

    /// Takes one off. `false` if there was none.
    pub(crate) fn remove(&mut self, key: &str) -> bool {
        self.0.remove(key).is_some()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn has(&self, key: &str, value: &str) -> bool {
        self.0.get(key).is_some_and(|is| **is == *value)
    }

    pub(super) fn to_map(&self) -> BTreeMap<Arc<str>, Arc<str>> {
        self.0.clone()
    }
}

#[cfg(all(test, not(underpin_loom)))]
mod tests {
    use super::*;

    #[test]
    fn what_is_too_long_or_too_many_is_refused_and_changes_nothing() {
        let mut tags = Tags::default();
        let long = |len: usize| Arc::<str>::from("x".repeat(len));
        assert_eq!(tags.set("".into(), "".into()), Err(TagError::BadKey { len: 0, max: 64 }));
        assert_eq!(tags.set(long(65), "".into()), Err(TagError::BadKey { len: 65, max: 64 }));
        assert_eq!(tags.set("a".into(), long(257)), Err(TagError::BadValue { len: 257, max: 256 }));
        assert!(tags.is_empty());
        tags.set(long(64), long(256)).expect("just short enough");
        for number in 1..16 {
            tags.set(number.to_string().into(), "".into()).expect("there is room");
        }
        assert_eq!(tags.set("one more".into(), "".into()), Err(TagError::TooMany { max: 16 }));
        assert_eq!(tags.to_map().len(), 16);
        tags.set("1".into(), "changed".into()).expect("one that is there may be set");
        assert!(tags.has("1", "changed") && !tags.has("1", ""));
        assert!(tags.remove("1") && !tags.remove("1"));
        tags.set("one more".into(), "".into()).expect("there is room again");
    }
}
