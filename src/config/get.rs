//! One value of a configuration, read out by type.

use serde::de::DeserializeOwned;
use serde_json::Value;

use super::decode::decode;
use super::path::{Path, PathError};
use super::tree::{Origin, Tree};

/// Why a value cannot be read out of a configuration.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum GetError {
    /// Nothing stands there.
    #[error("{path}: expected a value, found none")]
    NotThere {
        /// The place.
        path: Path,
    },
    /// What stands there is of another type.
    #[error("{path}: {message}")]
    Mismatch {
        /// The place; of a part of what was asked for, that of the part.
        path: Path,
        /// What was expected, and what was found.
        message: String,
    },
    /// What was asked for is no path.
    #[error(transparent)]
    Path(#[from] PathError),
}

impl GetError {
    /// Nothing stands at `path`, or it is no path.
    #[cold]
    pub(crate) fn not_there(path: &str) -> Self {
        Path::parse(path).map_or_else(Self::from, |path| Self::NotThere { path })
    }
}

/// Reads `value`, which stands at `path`, as a `U`.
///
/// # Errors
///
/// When it is of another type.
pub(crate) fn typed<U: DeserializeOwned>(path: &str, value: &Value) -> Result<U, GetError> {
    // The words of the error are worth a copy and a parse, the value is not.
    U::deserialize(value).or_else(|_| told(&Path::parse(path)?, value))
}

/// The same, by way of a tree, which says more plainly what is wrong.
fn told<U: DeserializeOwned>(path: &Path, value: &Value) -> Result<U, GetError> {
    let decoded = decode(&Tree::of(value, &Origin::Default));
    decoded
        .map(|decoded| decoded.value)
        .map_err(|fault| GetError::Mismatch { path: path.join(&fault.path), message: fault.message })
}

#[cfg(all(test, not(underpin_loom)))]
mod tests {
    use super::*;
    use serde::Deserialize;
    use serde_json::json;

    fn line<U: DeserializeOwned + std::fmt::Debug>(value: &Value) -> String {
        typed::<U>("limits.a", value).expect_err("it is of another type").to_string()
    }

    #[derive(Debug, Deserialize)]
    struct Limits {
        soft: Vec<u8>,
    }

    #[test]
    fn a_value_is_read_as_the_type_that_is_asked_for() {
        let read = |value: &Value| typed::<u16>("a", value);
        assert_eq!(read(&json!(80)), Ok(80));
        assert_eq!(typed::<f64>("a", &json!(80)), Ok(80.0));
        assert_eq!(typed::<Option<String>>("a", &json!(null)), Ok(None));
        assert_eq!(typed::<Vec<u8>>("a", &json!([1])), Ok(vec![1]));
        let limits: Limits = typed("a", &json!({"soft": [1, 2]})).expect("limits");
        assert_eq!(limits.soft, [1, 2]);
    }

    #[test]
    fn what_is_of_another_type_is_told_with_its_place() {
        let line_of = line::<u16>(&json!(70_000));
        assert_eq!(line_of, "limits.a: expected an integer from 0 to 65535, found 70000");
        let line_of = line::<Limits>(&json!({"soft": [1, "x"]}));
        assert_eq!(line_of, "limits.a.soft.1: expected an integer from 0 to 255, found \"x\"");
        assert_eq!(line::<Limits>(&json!({})), "limits.a.soft: expected a value, found none");
        assert_eq!(line::<u16>(&json!(3.0)), "limits.a: expected an integer from 0 to 65535, found 3.0");
        let text = "s".repeat(50);
        assert!(!line::<u16>(&json!(text)).contains(&text));
    }

    #[test]
    fn every_error_is_one_line() {
        let path = Path::parse("a.b").expect("a path");
        assert_eq!(GetError::NotThere { path }.to_string(), "a.b: expected a value, found none");
        let error = GetError::from(Path::parse("a..b").expect_err("no path"));
        assert!(error.to_string().starts_with("the path \"a..b\" has an empty segment"));
    }
}
