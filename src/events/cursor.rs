//! How far a query got.

use std::fmt;
use std::str::FromStr;

use super::query::Order;

/// How far a query got: the place of an event in the order of all, and the direction. A query that is told to
/// go on [`after`](super::Query::after) it begins with the next event, whatever was stored or dropped
/// meanwhile.
///
/// As a text it is fit for people and URLs, such as `up.1767225600000000000.17`.
///
/// # Example
///
/// ```
/// use underpin::events::Cursor;
///
/// let cursor: Cursor = "down.1767225600000000000.17".parse()?;
/// assert_eq!(cursor.to_string(), "down.1767225600000000000.17");
/// # Ok::<(), underpin::events::CursorError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Cursor {
    /// The order and the number of the event.
    pub(crate) place: (u64, u64),
    pub(crate) order: Order,
}

/// A text is not a cursor.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is no cursor: expected `up` or `down`, nanoseconds and a number, as in `up.1767225600.17`")]
#[non_exhaustive]
pub struct CursorError {
    /// Its beginning.
    pub text: String,
}

const OLDEST_FIRST: &str = "up";
const NEWEST_FIRST: &str = "down";
/// As many characters a text has at most.
const LONGEST: usize = NEWEST_FIRST.len() + 2 * (1 + 20);

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let order = match self.order {
            Order::OldestFirst => OLDEST_FIRST,
            Order::NewestFirst => NEWEST_FIRST,
        };
        write!(f, "{order}.{}.{}", self.place.0, self.place.1)
    }
}

impl FromStr for Cursor {
    type Err = CursorError;

    fn from_str(text: &str) -> Result<Self, CursorError> {
        let wrong = || CursorError { text: text.chars().take(LONGEST).collect() };
        parsed(text).ok_or_else(wrong)
    }
}

fn parsed(text: &str) -> Option<Cursor> {
    let mut parts = text.split('.');
    let order = match parts.next()? {
        OLDEST_FIRST => Order::OldestFirst,
        NEWEST_FIRST => Order::NewestFirst,
        _ => return None,
    };
    let place = (number(parts.next()?)?, number(parts.next()?)?);
    (parts.next().is_none() && place.1 > 0).then_some(Cursor { place, order })
}

/// As it is written: without sign and without zeros in front.
fn number(text: &str) -> Option<u64> {
    let number: u64 = text.parse().ok()?;
    (number.to_string() == text).then_some(number)
}

#[cfg(all(test, not(underpin_loom)))]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_is_written_is_read(wall: u64, id in 1_u64.., is_up: bool) {
            let order = if is_up { Order::OldestFirst } else { Order::NewestFirst };
            let cursor = Cursor { place: (wall, id), order };
            prop_assert_eq!(cursor.to_string().parse(), Ok(cursor));
            prop_assert!(cursor.to_string().len() <= LONGEST);
        }

        #[test]
        fn garbage_is_refused_or_read_as_it_stands(text in "(up|down|.{0,3})[.0-9+ ]{0,30}|.*") {
            match text.parse::<Cursor>() {
                Ok(cursor) => prop_assert_eq!(cursor.to_string(), text),
                Err(error) => prop_assert!(text.starts_with(&error.text)),
            }
        }
    }

    #[test]
    fn only_one_way_to_write_it_is_taken() {
        for text in
            ["", "up", "up.1", "up.1.0", "up.1.2.3", "up.01.2", "up.+1.2", "Up.1.2", "up.1.2 ", "up..2"]
        {
            assert!(text.parse::<Cursor>().is_err(), "{text}");
        }
        let error = "x".repeat(1000).parse::<Cursor>().expect_err("it is none");
        assert!(error.to_string().len() < 200, "{error}");
        assert!("up.0.1".parse::<Cursor>().is_ok());
    }
}
