//! Something that happens once.

use std::sync::Arc;
use std::time::Duration;

use super::here;
use crate::service::deadline::Deadline;
use crate::service::wait::Gate;

/// Something that happens once, and that any number of threads wait for. Clones are the same latch.
///
/// # Example
///
/// ```
/// use std::time::Duration;
/// use underpin::testing::Latch;
///
/// let done = Latch::new();
/// let thread = std::thread::spawn({
///     let done = done.clone();
///     move || done.open()
/// });
/// done.wait(Duration::from_secs(5))?;
/// assert!(done.is_open());
/// # thread.join().unwrap();
/// # Ok::<(), underpin::testing::NotOpened>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct Latch(Arc<Gate>);

/// Nobody opened a [`Latch`] in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("nobody opened the latch within {waited:?}")]
pub struct NotOpened {
    /// How long was waited.
    pub waited: Duration,
}

impl Latch {
    /// A latch that is closed.
    pub fn new() -> Self {
        Self::default()
    }

    /// It has happened. Never blocks; a second time changes nothing.
    pub fn open(&self) {
        self.0.open();
    }

    /// Whether it has happened.
    pub fn is_open(&self) -> bool {
        self.0.is_open()
    }

    /// Waits until it has happened.
    ///
    /// # Errors
    ///
    /// When that took longer than `timeout`.
    ///
    /// # Blocking
    ///
    /// At most as long as `timeout`, by the system's clock; in a [simulation](super::Simulation), by
    /// that one's.
    pub fn wait(&self, timeout: Duration) -> Result<(), NotOpened> {
        let clock = here::clock();
        let deadline = Deadline::from(clock.now(), timeout);
        let opened = self.0.wait(&clock, deadline.instant());
        opened.then_some(()).ok_or(NotOpened { waited: timeout })
    }
}
