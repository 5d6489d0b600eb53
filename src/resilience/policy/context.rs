//! What an attempt may know.

use std::fmt;
use std::time::Duration;

use super::super::retry::StopSignal;
use crate::service::deadline::Deadline;
use crate::service::scope::within_the_callers;
use crate::sync::Clock;

/// What an attempt of a run may know. Nobody interrupts it: it is to heed the deadline and the stop signal itself.
///
/// # Example
///
/// ```
/// use std::io;
/// use std::time::Duration;
/// use underpin::resilience::{Policy, PolicyContext, PolicySettings};
///
/// fn fetch(cx: &PolicyContext<'_>) -> io::Result<u32> {
///     if cx.is_stopped() {
///         return Err(io::ErrorKind::Interrupted.into());
///     }
///     let patience = cx.remaining().unwrap_or(Duration::from_secs(30)); // as a time-out for a socket
///     assert!(patience <= Duration::from_secs(2) && cx.attempt() == 1);
///     Ok(17)
/// }
/// let settings = PolicySettings { time_budget: Some(Duration::from_secs(2)), ..Default::default() };
/// let policy = Policy::builder("store").settings(settings).build()?;
/// assert_eq!(policy.run(fetch).unwrap(), 17);
/// # Ok::<(), underpin::resilience::PolicySettingsError>(())
/// ```
pub struct PolicyContext<'a> {
    pub(super) attempt: u32,
    pub(super) deadline: Deadline,
    pub(super) clock: &'a Clock,
    pub(super) stop: &'a StopSignal,
}

impl PolicyContext<'_> {
    /// Which attempt it is, counted from 1.
    pub fn attempt(&self) -> u32 {
        self.attempt
    }

    /// By when the run is to end: the end of its time budget or, in a handler, of its caller's patience, whichever is
    /// earlier.
    pub fn deadline(&self) -> Deadline {
        within_the_callers(self.deadline, || self.clock.now())
    }

    /// How long it is until the deadline, by the clock of the policy. `None`: there is none.
    pub fn remaining(&self) -> Option<Duration> {
        let end = self.deadline().instant()?;
        Some(end.saturating_duration_since(self.clock.now()))
    }

    /// Whether the stop signal of the policy was given.
    pub fn is_stopped(&self) -> bool {
        self.stop.is_stopped()
    }
}

impl fmt::Debug for PolicyContext<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("PolicyContext");
        debug.field("attempt", &self.attempt).field("deadline", &self.deadline).finish_non_exhaustive()
    }
}
