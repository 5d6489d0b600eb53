//! Where a value stands in the configuration.

use std::borrow::Cow;
use std::fmt;

/// How many segments a path has at most, and so how deep a configuration nests.
pub const MAX_DEPTH: usize = 50;

/// The way to a value from the top: `limits.connections`, `hosts."a.example".port`, `servers.0`.
///
/// Segments are separated by dots. One that is empty or holds a dot, a quote, a backslash or white
/// space stands in double quotes, in which `\"` and `\\` mean `"` and `\`; this is how a path is
/// written, too. The segment of an element of a list is its index.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Path(Vec<Box<str>>);

/// Why a text is no path.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PathError {
    /// It is empty, or a segment of it is.
    #[error("the path {path:?} has an empty segment at byte {at}; an empty key is written \"\"")]
    Empty {
        /// The text.
        path: String,
        /// Where, in bytes from 0.
        at: usize,
    },
    /// A quote is not closed, or stands where none may.
    #[error("the path {path:?} has a stray quote, backslash or character at byte {at}")]
    Quote {
        /// The text.
        path: String,
        /// Where, in bytes from 0.
        at: usize,
    },
    /// It has more than [`MAX_DEPTH`] segments.
    #[error("a path has at most {MAX_DEPTH} segments, not {depth}")]
    TooDeep {
        /// How many it has.
        depth: usize,
    },
}

impl Path {
    /// The path of the whole configuration.
    pub(crate) const TOP: Self = Self(Vec::new());

    /// Reads a path as it is written.
    ///
    /// # Errors
    ///
    /// When a segment is empty, a quote is not closed, or there are too many segments.
    ///
    /// # Example
    ///
    /// ```
    /// use underpin::config::Path;
    ///
    /// let path = Path::parse(r#"hosts."a.example".port"#)?;
    /// assert_eq!(path.segments().collect::<Vec<_>>(), ["hosts", "a.example", "port"]);
    /// assert_eq!(path.to_string(), r#"hosts."a.example".port"#);
    /// # Ok::<(), underpin::config::PathError>(())
    /// ```
    pub fn parse(text: &str) -> Result<Self, PathError> {
        let mut segments = Vec::new();
        let mut at = 0;
        loop {
            let (segment, length) = first_segment(text, at)?;
            segments.push(segment.into());
            at += length;
            if at == text.len() {
                break;
            }
            at += 1; // the dot
        }
        Self::of(segments)
    }

    /// The path of these segments.
    pub(crate) fn of(segments: Vec<Box<str>>) -> Result<Self, PathError> {
        let depth = segments.len();
        if depth > MAX_DEPTH { Err(PathError::TooDeep { depth }) } else { Ok(Self(segments)) }
    }

    /// Its segments, from the top.
    pub fn segments(&self) -> impl DoubleEndedIterator<Item = &str> + ExactSizeIterator {
        self.0.iter().map(|segment| &**segment)
    }

    /// How many segments it has.
    pub(crate) fn depth(&self) -> usize {
        self.0.len()
    }

    /// Whether this is the path of the whole configuration.
    pub fn is_top(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether `other` is at this path or below it.
    pub fn contains(&self, other: &Self) -> bool {
        other.0.starts_with(&self.0)
    }

    /// Whether one of the two contains the other, so that a change of one is a change of both.
    pub fn overlaps(&self, other: &Self) -> bool {
        self.contains(other) || other.contains(self)
    }

    /// One step further down.
    pub(crate) fn child(&self, segment: &str) -> Self {
        let mut child = self.clone();
        child.push(segment);
        child
    }

    pub(crate) fn push(&mut self, segment: &str) {
        self.0.push(segment.into());
    }

    pub(crate) fn pop(&mut self) {
        self.0.pop();
    }

    /// This path, from the top of what `self` is the place of.
    pub(crate) fn join(&self, below: &Self) -> Self {
        Self(self.0.iter().chain(&below.0).cloned().collect())
    }
}

/// The segment that begins at `at`, and how many bytes it takes.
fn first_segment(text: &str, at: usize) -> Result<(Cow<'_, str>, usize), PathError> {
    let rest = &text[at..];
    if let Some(quoted) = rest.strip_prefix('"') {
        return quoted_segment(text, quoted, at);
    }
    let length = rest.find('.').unwrap_or(rest.len());
    let segment = &rest[..length];
    if segment.is_empty() {
        return Err(PathError::Empty { path: text.into(), at });
    }
    match segment.find(needs_quotes) {
        Some(offset) => Err(PathError::Quote { path: text.into(), at: at + offset }),
        None => Ok((Cow::Borrowed(segment), length)),
    }
}

/// The segment whose quote opens at `at`, without it in `quoted`.
fn quoted_segment<'a>(text: &str, quoted: &'a str, at: usize) -> Result<(Cow<'a, str>, usize), PathError> {
    let stray = |at| PathError::Quote { path: text.into(), at };
    let mut segment = String::new();
    let mut characters = quoted.char_indices();
    while let Some((offset, character)) = characters.next() {
        match character {
            '"' => {
                let length = 1 + offset + 1;
                let is_end = matches!(text.as_bytes().get(at + length), None | Some(b'.'));
                return if is_end { Ok((Cow::Owned(segment), length)) } else { Err(stray(at + length)) };
            }
            '\\' => match characters.next() {
                Some((_, escaped @ ('"' | '\\'))) => segment.push(escaped),
                _ => return Err(stray(at + 1 + offset)),
            },
            character => segment.push(character),
        }
    }
    Err(stray(at))
}

fn needs_quotes(character: char) -> bool {
    matches!(character, '.' | '"' | '\\') || character.is_whitespace()
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_top() {
            return f.write_str("(the whole)");
        }
        for (number, segment) in self.segments().enumerate() {
            if number > 0 {
                f.write_str(".")?;
            }
            if segment.is_empty() || segment.contains(needs_quotes) {
                write!(f, "\"{}\"", segment.replace('\\', "\\\\").replace('"', "\\\""))?;
            } else {
                f.write_str(segment)?;
            }
        }
        Ok(())
    }
}

impl std::str::FromStr for Path {
    type Err = PathError;

    fn from_str(text: &str) -> Result<Self, PathError> {
        Self::parse(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn segments(text: &str) -> Vec<String> {
        Path::parse(text).expect(text).segments().map(str::to_owned).collect()
    }

    #[test]
    fn a_path_is_read_as_it_is_written() {
        assert_eq!(segments("a"), ["a"]);
        assert_eq!(segments("a.b_c.0"), ["a", "b_c", "0"]);
        assert_eq!(segments(r#"a."b.c".d"#), ["a", "b.c", "d"]);
        assert_eq!(segments(r#""""#), [""]);
        assert_eq!(segments(r#""a\"\\b""#), [r#"a"\b"#]);
    }

    #[test]
    fn what_is_no_path_is_refused_with_its_place() {
        let at = |text: &str| match Path::parse(text) {
            Err(PathError::Empty { at, .. }) => ("empty", at),
            Err(PathError::Quote { at, .. }) => ("quote", at),
            other => panic!("{text:?}: {other:?}"),
        };
        assert_eq!(at(""), ("empty", 0));
        assert_eq!(at("a..b"), ("empty", 2));
        assert_eq!(at("a."), ("empty", 2));
        assert_eq!(at(".a"), ("empty", 0));
        assert_eq!(at("a b"), ("quote", 1));
        assert_eq!(at("a\"b"), ("quote", 1));
        assert_eq!(at("\"a"), ("quote", 0));
        assert_eq!(at("\"a\"b"), ("quote", 3));
        assert_eq!(at(r#""a\n""#), ("quote", 2));
    }

    #[test]
    fn a_path_has_at_most_fifty_segments() {
        assert!(Path::parse(&vec!["a"; 50].join(".")).is_ok());
        assert_eq!(Path::parse(&vec!["a"; 51].join(".")), Err(PathError::TooDeep { depth: 51 }));
    }

    #[test]
    fn a_path_contains_what_is_below_it() {
        let path = |text| Path::parse(text).expect("a path");
        assert!(path("a.b").contains(&path("a.b.c")) && path("a.b").contains(&path("a.b")));
        assert!(!path("a.b").contains(&path("a.bc")) && !path("a.b").contains(&path("a")));
        assert!(path("a").overlaps(&path("a.b")) && path("a.b").overlaps(&path("a")));
        assert!(!path("a.b").overlaps(&path("a.c")));
        assert!(Path::TOP.contains(&path("a")));
    }

    proptest! {
        #[test]
        fn any_segments_are_read_back(segments in prop::collection::vec(".*", 1..6)) {
            let path = Path(segments.iter().map(|segment| segment.as_str().into()).collect());
            prop_assert_eq!(Path::parse(&path.to_string()), Ok(path));
        }

        #[test]
        fn garbage_is_an_error_or_a_path_and_no_panic(text in ".*") {
            if let Ok(path) = Path::parse(&text) {
                prop_assert_eq!(Path::parse(&path.to_string()), Ok(path));
            }
        }
    }
}
