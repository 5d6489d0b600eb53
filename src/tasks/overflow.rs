//! What happens to a task for which there is no room.

use std::time::Duration;

/// What happens to a task that comes when as many wait as may.
///
/// # Example
///
/// ```
/// use std::time::Duration;
/// use underpin::tasks::Overflow;
///
/// assert_eq!(Overflow::default(), Overflow::Block(Duration::from_secs(1)));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Overflow {
    /// Whoever spawns it waits for room, at most this long, and in a handler no longer than the handler's caller; then it is
    /// shed. The default, with 1 s, as of a mailbox.
    Block(Duration),
    /// It is shed at once.
    Shed,
    /// Whoever spawns it runs it, so that he is slowed down by what he asks for. It is shed only if its key does not allow that,
    /// if it is to begin later, or while the pool stops.
    CallerRuns,
}

impl Default for Overflow {
    fn default() -> Self {
        Self::Block(Duration::from_secs(1))
    }
}
