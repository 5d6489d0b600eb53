//! How large an event may be.

use std::fmt::{self, Write};

use serde_json::{Number, Value};

use super::errors::Invalid;

/// How many bytes the data of one event have at most: 1 MiB. Of a JSON value its text counts.
pub const MAX_DATA_BYTES: usize = 1 << 20;

/// How many bytes a name has at most: a kind, a stream, a correlation, a service, a thread, a node.
pub const MAX_NAME_BYTES: usize = 255;

/// How many lists and objects of a JSON value lie within one another at most: `serde_json` reads no more.
pub const MAX_JSON_DEPTH: usize = 127;

/// How many events one batch, one writer's buffer or one `append` has at most.
pub const MAX_BATCH: usize = 65_536;

/// About how many bytes a JSON value takes in memory that is not too deep: a map takes memory by the node, of eleven
/// places each.
pub(crate) fn json_memory(value: &Value) -> usize {
    const VALUE: usize = size_of::<Value>();
    const NODE: usize = 11 * (VALUE + size_of::<String>());
    match value {
        Value::Null | Value::Bool(_) | Value::Number(_) => 0,
        Value::String(text) => text.len(),
        Value::Array(values) => values.iter().map(|value| VALUE + json_memory(value)).sum(),
        Value::Object(fields) => {
            let field = |(name, value): (&String, _)| name.len() + json_memory(value);
            fields.len().div_ceil(6) * NODE + fields.iter().map(field).sum::<usize>()
        }
    }
}

/// How many bytes of memory the events of one batch take at most: 64 MiB. They are written to a journal as one.
pub const MAX_BATCH_BYTES: u64 = 64 << 20;

/// Refuses a name that is empty or too long.
pub(crate) fn name(field: &'static str, name: &str) -> Result<(), Invalid> {
    match name.len() {
        0 => Err(Invalid::Empty { field }),
        1..=MAX_NAME_BYTES => Ok(()),
        bytes => Err(Invalid::TooLong { field, bytes, most: MAX_NAME_BYTES }),
    }
}

/// Refuses data that are too long.
pub(crate) fn data(bytes: usize) -> Result<usize, Invalid> {
    match bytes {
        0..=MAX_DATA_BYTES => Ok(bytes),
        _ => Err(Invalid::TooLong { field: "data", bytes, most: MAX_DATA_BYTES }),
    }
}

/// How many bytes a JSON value has as text. Goes no deeper than may be, so that a value of any depth is safe
/// to ask about.
pub(crate) fn json(value: &Value) -> Result<usize, Invalid> {
    data(json_below(value, 0)?)
}

/// Of a value that so many lists and objects are around.
fn json_below(value: &Value, around: usize) -> Result<usize, Invalid> {
    let is_nest = matches!(value, Value::Array(_) | Value::Object(_));
    if is_nest && around == MAX_JSON_DEPTH {
        return Err(Invalid::TooDeep { most: MAX_JSON_DEPTH });
    }
    let below = |value| json_below(value, around + 1);
    // Each item has a comma or the closing bracket after it.
    Ok(match value {
        Value::Null | Value::Bool(true) => 4,
        Value::Bool(false) => 5,
        Value::Number(number) => number_bytes(number),
        Value::String(text) => text_bytes(text),
        Value::Array(values) => values.iter().try_fold(1, |sum, value| Ok(sum + below(value)? + 1))?.max(2),
        Value::Object(fields) => {
            let field = |sum, (name, value): (&String, _)| Ok(sum + text_bytes(name) + 1 + below(value)? + 1);
            fields.iter().try_fold(1, field)?.max(2)
        }
    })
}

/// With quotes, and with what `serde_json` escapes.
fn text_bytes(text: &str) -> usize {
    let more = |byte| match byte {
        b'"' | b'\\' | b'\n' | b'\r' | b'\t' | 8 | 12 => 1,
        0..0x20 => 5, // \u001f
        _ => 0,
    };
    2 + text.len() + text.bytes().map(more).sum::<usize>()
}

fn number_bytes(number: &Number) -> usize {
    if let Some(number) = number.as_u64() {
        return number.max(1).ilog10() as usize + 1;
    }
    let mut count = Count(0);
    let _ = write!(count, "{number}"); // counting does not fail
    count.0
}

struct Count(usize);

impl Write for Count {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0 += text.len();
        Ok(())
    }
}

#[cfg(all(test, not(underpin_loom)))]
mod tests {
    use super::*;
    use crate::events::event::tests::values;
    use proptest::prelude::*;
    use serde_json::json;

    /// A value with so many lists around it.
    fn nested(mut value: Value, lists: usize) -> Value {
        (0..lists).for_each(|_| value = Value::Array(vec![value.take()]));
        value
    }

    /// A drop takes as much stack as the value is deep.
    fn take_apart(mut value: Value) {
        while let Value::Array(mut values) = value {
            value = values.pop().unwrap_or_default();
        }
    }

    fn is_read(value: &Value) -> bool {
        serde_json::from_str::<Value>(&value.to_string()).is_ok()
    }

    const TOO_DEEP: Result<usize, Invalid> = Err(Invalid::TooDeep { most: MAX_JSON_DEPTH });

    #[test]
    fn a_name_has_one_byte_at_least_and_no_more_than_allowed() {
        let check = |bytes| name("kind", &"n".repeat(bytes));
        assert_eq!(check(0), Err(Invalid::Empty { field: "kind" }));
        assert_eq!((check(1), check(MAX_NAME_BYTES)), (Ok(()), Ok(())));
        let bytes = MAX_NAME_BYTES + 1;
        assert_eq!(check(bytes), Err(Invalid::TooLong { field: "kind", bytes, most: MAX_NAME_BYTES }));
        assert!(name("kind", &"é".repeat(128)).is_err(), "bytes count, not letters");
    }

    #[test]
    fn data_may_be_as_long_as_allowed_and_no_longer() {
        assert_eq!((data(0), data(MAX_DATA_BYTES)), (Ok(0), Ok(MAX_DATA_BYTES)));
        let (field, bytes) = ("data", MAX_DATA_BYTES + 1);
        assert_eq!(data(bytes), Err(Invalid::TooLong { field, bytes, most: MAX_DATA_BYTES }));
    }

    #[test]
    fn a_value_may_be_as_deep_as_it_is_read_and_no_deeper() {
        for leaf in [json!(1), json!("x"), json!([]), json!({}), json!({"a": 1})] {
            let lists = MAX_JSON_DEPTH - usize::from(leaf.is_array() || leaf.is_object());
            let (right, wrong) = (nested(leaf.clone(), lists), nested(leaf, lists + 1));
            assert_eq!(json(&right), Ok(right.to_string().len()));
            assert_eq!((json(&wrong), is_read(&right), is_read(&wrong)), (TOO_DEEP, true, false));
        }
    }

    #[test]
    fn a_value_of_any_depth_is_safe_to_ask_about() {
        let value = nested(Value::Null, 100_000);
        assert_eq!(json(&value), TOO_DEEP);
        take_apart(value);
    }

    #[test]
    fn the_text_of_a_value_counts_with_its_escapes() {
        let controls = |count| json!("\u{1}".repeat(count));
        let most = (MAX_DATA_BYTES - 2) / 6;
        assert_eq!(json(&controls(most)), Ok(2 + 6 * most));
        assert!(json(&controls(most + 1)).is_err());
        let numbers = |count| json!(vec![-1.234567890123456e-300; count]);
        assert_eq!(json(&numbers(MAX_DATA_BYTES / 24)), Ok(numbers(MAX_DATA_BYTES / 24).to_string().len()));
        assert!(json(&numbers(MAX_DATA_BYTES / 23)).is_err());
    }

    proptest! {
        #[test]
        fn a_value_has_as_many_bytes_as_its_text(value in values()) {
            prop_assert_eq!(json(&value), Ok(value.to_string().len()));
        }
    }
}
