//! What kind of thing happened, as an event keeps it.

use std::borrow::Cow;
use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

/// The name of a kind: one that the program is written with, or one that many events share, so that a
/// million events read from a journal do not have a million equal texts.
#[derive(Clone)]
pub(crate) enum Kind {
    Static(&'static str),
    Shared(Arc<str>),
}

impl Kind {
    /// How many bytes it has beyond those of the program. Each event counts what it shares as its own: its
    /// size is the same however many there are.
    pub(crate) fn owned_bytes(&self) -> usize {
        match self {
            Self::Static(_) => 0,
            Self::Shared(text) => text.len(),
        }
    }
}

impl Deref for Kind {
    type Target = str;

    fn deref(&self) -> &str {
        match self {
            Self::Static(text) => text,
            Self::Shared(text) => text,
        }
    }
}

impl PartialEq for Kind {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl fmt::Debug for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&**self, f)
    }
}

impl From<&'static str> for Kind {
    fn from(text: &'static str) -> Self {
        Self::Static(text)
    }
}

impl From<Arc<str>> for Kind {
    fn from(text: Arc<str>) -> Self {
        Self::Shared(text)
    }
}

impl From<Cow<'static, str>> for Kind {
    fn from(text: Cow<'static, str>) -> Self {
        match text {
            Cow::Borrowed(text) => Self::Static(text),
            Cow::Owned(text) => Self::Shared(text.into()),
        }
    }
}

#[cfg(all(test, not(underpin_loom)))]
mod tests {
    use super::*;

    #[test]
    fn equal_names_are_equal_kinds_however_they_are_kept() {
        let (fixed, shared) = (Kind::from("a.b"), Kind::from(Arc::from("a.b")));
        assert_eq!((&fixed, &*fixed), (&shared, "a.b"));
        assert_eq!(format!("{fixed:?}"), format!("{shared:?}"));
        assert_ne!(fixed, Kind::from("a.c"));
    }

    #[test]
    fn only_what_is_not_of_the_program_has_a_size() {
        let size = |kind: Cow<'static, str>| Kind::from(kind).owned_bytes();
        assert_eq!((size("abc".into()), size("abc".to_owned().into())), (0, 3));
    }

    #[test]
    fn it_is_no_larger_than_a_string() {
        assert_eq!(size_of::<Kind>(), size_of::<Cow<'static, str>>());
    }
}
