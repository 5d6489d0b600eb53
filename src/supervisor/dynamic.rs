//! Supervisors whose children come and go.

use std::sync::Arc;
use std::time::Duration;

use super::backoff::Backoff;
use super::errors::StartError;
use super::owner::SupervisorHandle;
use super::policy::Dynamic;
use super::reference::SupervisorRef;
use super::spec::DEFAULT_GRACE;
use super::supervisor::Supervisor;

/// Describes a supervisor whose children come and go: sessions, connections, jobs.
///
/// It starts without children, one_for_one. Children are added with
/// [`start_child`](SupervisorRef::start_child), stopped all at once under one grace, and forgotten
/// when they were terminated.
///
/// # Example
///
/// ```
/// use std::time::Duration;
/// use underpin::{Context, DynamicSupervisor, Next, Restart, Service, child};
/// # struct Session;
/// # impl Service for Session {
/// #     type Msg = ();
/// #     type Error = std::convert::Infallible;
/// #     fn handle(&mut self, _: (), _: &mut Context<Self>) -> Result<Next, Self::Error> { Ok(Next::Stop) }
/// # }
///
/// let sessions = DynamicSupervisor::new("sessions").max_children(100).start()?;
/// let session = sessions.start_child(child("session-1", || Session).restart(Restart::Temporary))?;
/// session.cast(())?; // it stops, and leaves nothing behind
/// assert!(session.wait_down(Duration::from_secs(5)).is_some());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use = "a supervisor does nothing before it is started"]
pub struct DynamicSupervisor(Supervisor, Dynamic);

impl DynamicSupervisor {
    /// A supervisor without children, any number of them, one restart in 5 s, 5 s to stop.
    pub fn new(name: impl Into<Arc<str>>) -> Self {
        Self(Supervisor::new(name), Dynamic { max_children: None, grace: DEFAULT_GRACE })
    }

    /// How many children there may be, those that wait for a restart included.
    pub fn max_children(mut self, most: usize) -> Self {
        self.1.max_children = Some(most);
        self
    }

    /// How long all children together may take to stop.
    pub fn shutdown(mut self, grace: Duration) -> Self {
        self.1.grace = grace;
        self
    }

    /// As [`Supervisor::intensity`].
    pub fn intensity(mut self, restarts: u32, period: Duration) -> Self {
        self.0 = self.0.intensity(restarts, period);
        self
    }

    /// As [`Supervisor::backoff`].
    pub fn backoff(mut self, backoff: Backoff) -> Self {
        self.0 = self.0.backoff(backoff);
        self
    }

    /// As [`Supervisor::reference`].
    pub fn reference(&self) -> SupervisorRef {
        self.0.reference()
    }

    /// As [`Supervisor::start`].
    ///
    /// # Errors
    ///
    /// As there.
    pub fn start(self) -> Result<SupervisorHandle, StartError> {
        Supervisor::from(self).start()
    }
}

impl From<DynamicSupervisor> for Supervisor {
    fn from(DynamicSupervisor(mut supervisor, dynamic): DynamicSupervisor) -> Self {
        supervisor.rules.dynamic = Some(dynamic);
        supervisor
    }
}
