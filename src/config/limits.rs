//! How large a configuration may be.

use serde_json::Value;

use super::errors::UpdateError;
use super::fault::Fault;
use super::path::{MAX_DEPTH, Path};

/// How many bytes the text of one value has at most: 1 MiB.
pub const MAX_VALUE_BYTES: usize = 1 << 20;

/// How many bytes a file has at most: 4 MiB.
pub const MAX_FILE_BYTES: usize = 4 << 20;

/// Refuses a place that is too deep.
pub(crate) fn depth(path: &Path) -> Result<(), Fault> {
    let depth = path.depth();
    if depth <= MAX_DEPTH {
        return Ok(());
    }
    let message = format!("nests too deep: a path has at most {MAX_DEPTH} segments, not {depth}");
    Err(Fault::new(path.clone(), message))
}

/// Refuses a text that is too long for a value. What it says is not shown: it may be a secret.
pub(crate) fn text(path: &Path, text: &str) -> Result<(), Fault> {
    let bytes = text.len();
    if bytes <= MAX_VALUE_BYTES {
        return Ok(());
    }
    let message = format!("is too long: a value has at most {MAX_VALUE_BYTES} bytes, not {bytes}");
    Err(Fault::new(path.clone(), message))
}

/// Refuses a value at `path` that is too deep or holds a text that is too long. Goes down no further
/// than may be, so that a value of any depth is safe to ask about. `path` is as before if it is fine.
pub(crate) fn value(path: &mut Path, value: &Value) -> Result<(), Fault> {
    depth(path)?;
    match value {
        Value::String(string) => text(path, string),
        Value::Array(list) => {
            list.iter().enumerate().try_for_each(|(index, value)| inside(path, &index.to_string(), value))
        }
        Value::Object(table) => table.iter().try_for_each(|(key, value)| inside(path, key, value)),
        Value::Null | Value::Bool(_) | Value::Number(_) => Ok(()),
    }
}

fn inside(path: &mut Path, segment: &str, inner: &Value) -> Result<(), Fault> {
    path.push(segment);
    value(path, inner)?;
    path.pop();
    Ok(())
}

/// Refuses a value that is not to be set at `path`: too deep, a text too long, or as a whole too large
/// to be written in [`MAX_VALUE_BYTES`].
pub(crate) fn update(at: &Path, new: &Value) -> Result<(), UpdateError> {
    value(&mut at.clone(), new).map_err(|fault| UpdateError::Invalid(fault.into()))?;
    let mut written = Count(0);
    // A count takes all it is given, and values can be written.
    let _ = serde_json::to_writer(&mut written, new);
    let found = written.0;
    if found <= MAX_VALUE_BYTES {
        return Ok(());
    }
    Err(UpdateError::TooLarge { path: at.clone(), found, limit: MAX_VALUE_BYTES })
}

/// How much is written to it.
struct Count(usize);

impl std::io::Write for Count {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0 += bytes.len();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[cfg(all(test, not(underpin_loom)))]
mod tests {
    use super::*;

    fn nested(depth: usize) -> Value {
        (0..depth).fold(Value::Null, |inner, _| Value::Array(vec![inner]))
    }

    #[test]
    fn a_value_nests_fifty_segments_from_the_top() {
        let mut path = Path::parse("a.b").expect("a path");
        assert_eq!(value(&mut path, &nested(48)), Ok(()));
        assert_eq!(path.to_string(), "a.b");
        let fault = value(&mut path, &nested(49)).expect_err("too deep");
        assert!(fault.to_string().ends_with("at most 50 segments, not 51"), "{fault}");
    }

    #[test]
    fn an_update_has_a_mebibyte_as_it_is_written() {
        let path = Path::parse("key").expect("a path");
        let of = |elements: usize| Value::from(vec![1_u8; elements]);
        assert!(update(&path, &of((1 << 19) - 1)).is_ok());
        let refused = update(&path, &of(1 << 19)).expect_err("too large");
        assert_eq!(refused.to_string(), "key: a value has at most 1048576 bytes, not 1048577");
        assert!(matches!(update(&path, &nested(50)), Err(UpdateError::Invalid(_))));
    }

    #[test]
    fn a_text_has_a_mebibyte_and_is_not_shown_when_it_has_more() {
        let mut path = Path::parse("key").expect("a path");
        let of = |bytes| serde_json::json!([{ "k": "s".repeat(bytes) }]);
        assert_eq!(value(&mut path, &of(1 << 20)), Ok(()));
        let fault = value(&mut path, &of((1 << 20) + 1)).expect_err("too long");
        let expected = "key.0.k: is too long: a value has at most 1048576 bytes, not 1048577";
        assert_eq!(fault.to_string(), expected);
    }
}
