//! The word that ends all waits.

use std::sync::Arc;
use std::time::Instant;

use crate::service::wait::Gate;
use crate::sync::Clock;

/// Says, once and for all, that nothing is to be waited for any more. Clones are the same signal.
///
/// # Example
///
/// ```
/// use underpin::resilience::StopSignal;
///
/// let signal = StopSignal::new();
/// let shutdown = signal.clone();
/// shutdown.stop();
/// assert!(signal.is_stopped());
/// ```
#[derive(Clone, Debug, Default)]
pub struct StopSignal(Arc<Gate>);

impl StopSignal {
    /// One that has not been given.
    pub fn new() -> Self {
        Self::default()
    }

    /// Gives it: who waits goes on at once. Once more does nothing.
    pub fn stop(&self) {
        self.0.open();
    }

    /// Whether it was given.
    pub fn is_stopped(&self) -> bool {
        self.0.is_open()
    }

    /// Waits for it. `false` when that moment came first.
    pub(crate) fn wait_until(&self, clock: &Clock, at: Instant) -> bool {
        self.0.wait(clock, Some(at))
    }
}
