//! An update that is under way.

use std::fmt;

use super::errors::UpdateError;
use super::server::Request;
use crate::service::deadline::Deadline;
use crate::service::pending::Pending;

/// An update that is under way, and what will come of it. Dropped, it is made all the same.
pub struct Ticket {
    pending: Pending<Result<u64, UpdateError>, Request>,
}

impl Ticket {
    pub(crate) fn new(pending: Pending<Result<u64, UpdateError>, Request>) -> Self {
        Self { pending }
    }

    /// Whether it is known what came of it.
    pub fn is_ready(&self) -> bool {
        self.pending.is_ready()
    }

    /// Waits until that is known, at most 5 s. Returns the version that it made.
    ///
    /// # Errors
    ///
    /// As [`update`](super::Config::update), and [`UpdateError::Expired`].
    ///
    /// # Blocking
    ///
    /// Until the config service has made it, at most 5 s; inside a handler the deadline of that
    /// handler's caller applies too.
    pub fn wait(self) -> Result<u64, UpdateError> {
        self.pending.wait().map_err(|error| UpdateError::of_call(&error))?
    }

    /// As [`wait`](Self::wait), until `deadline`.
    ///
    /// # Errors
    ///
    /// As [`wait`](Self::wait).
    ///
    /// # Blocking
    ///
    /// As [`wait`](Self::wait), until `deadline` instead; [`Deadline::unbounded`] for ever.
    pub fn wait_by(self, deadline: Deadline) -> Result<u64, UpdateError> {
        self.pending.wait_by(deadline).map_err(|error| UpdateError::of_call(&error))?
    }
}

impl fmt::Debug for Ticket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ticket").field("ready", &self.is_ready()).finish()
    }
}
