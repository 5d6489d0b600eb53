//! What an event is called.

use std::fmt;
use std::num::NonZeroU64;

/// The number of an event: unique in its store, and in its shard rising from one to the next.
///
/// A store gives numbers from 1 on. One that goes on from a journal begins 2^30 beyond the last that it finds there: an
/// earlier process may have given more, to events that did not come into the journal, and somebody may have
/// seen them. So no number is given twice.
///
/// # Example
///
/// ```
/// use underpin::events::EventId;
///
/// let id = EventId::new(7).expect("0 is no number of an event");
/// assert_eq!((id.get(), id.to_string()), (7, "7".to_owned()));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EventId(NonZeroU64);

impl EventId {
    /// The event with this number; `None` for 0.
    pub const fn new(number: u64) -> Option<Self> {
        match NonZeroU64::new(number) {
            Some(number) => Some(Self(number)),
            None => None,
        }
    }

    /// The number.
    pub const fn get(self) -> u64 {
        self.0.get()
    }
}

impl fmt::Display for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
