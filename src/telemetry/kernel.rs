//! What a tree of services shows of itself, as metrics.

mod known;
mod names;
mod previous;
mod rising;
mod service;
mod supervisor;
#[cfg(all(test, not(underpin_loom)))]
mod tests;

use std::fmt;

use self::previous::{Previous, kernel_sheet, tree_is_down};
use super::sheet::Sheet;
use crate::supervisor::inspect::InspectError;
use crate::supervisor::reference::SupervisorRef;

/// So many services have series of their own, if nothing else is said.
pub const DEFAULT_MAX_SERVICES: usize = 1_000;

/// What a tree of services shows of itself, without a line of its services' own.
///
/// For each service, under `underpin.service.` and with the label `service`, its path:
///
/// | name | what |
/// |---|---|
/// | `state` | 1, with the label `state`, for the [state](crate::Lifecycle) that it is in; the others have no series |
/// | `restarts`, `handled` | totals over all incarnations |
/// | `drops` | messages that were not handled, with the label `reason`: each field of [`Drops`](crate::Drops) |
/// | `mailbox.depth`, `.capacity`, `.high_water` | messages |
/// | `mailbox.wait` | how long a message that comes now will wait, see below |
/// | `message.latency` | the mean time of the messages that were handled since the last look; not there if there were none |
/// | `message.running` | for how long it has been busy with the present message or callback; 0 at rest |
/// | `busy` | the share of time that it was busy since the last look, 0 to 1 |
/// | `uptime` | of this incarnation; 0 if it is down |
///
/// For each supervisor, under `underpin.supervisor.` and with the label `supervisor`: `up`, `restarts`, `uptime`, and
/// if it answers `recent_restarts`, `intensity`, `abandoned`. For the tree, under `underpin.tree.` and with the label
/// `tree`, the name of its root: `up`, `services` with the label `state`, `zombies`, `summed`. One that is
/// down is `underpin.tree.up` 0 and nothing else.
///
/// The wait is estimated: the queued messages times the mean time of one since the last look. Where none was
/// handled since, it is the last mean that was known or the time of the present message, whichever is longer. The
/// latency counts callbacks such as `idle` as part of the messages beside them. An incarnation that ended since the last look
/// takes what it did with it: the first mean after a restart is one look late.
///
/// Totals never fall while a child is there, also where its supervisor is restarted. The series of a child that is
/// deleted end; one that is added under the same path later begins at 0.
///
/// # Limits
///
/// [`DEFAULT_MAX_SERVICES`] services and as many supervisors have series of their own, those that came first, until
/// they are gone. The others are together in one series with the labels `tree` and `overflow="true"`: counts and
/// totals are added up, of waits, high-water marks and running times the greatest stands. `underpin.tree.summed` is
/// how many they are.
///
/// # Example
///
/// ```
/// # use underpin::{Context, Next, Service, Supervisor, child};
/// use underpin::telemetry::{KernelCollector, Sheet};
/// # struct Echo;
/// # impl Service for Echo {
/// #     type Msg = ();
/// #     type Error = std::convert::Infallible;
/// #     fn handle(&mut self, _: (), _: &mut Context<Self>) -> Result<Next, Self::Error> { Ok(Next::Continue) }
/// # }
///
/// let app = Supervisor::new("app").child(child("echo", || Echo)).start()?;
/// let mut kernel = KernelCollector::new(app.reference());
/// let mut sheet = Sheet::default();
/// kernel.collect(&mut sheet);
/// assert_eq!(sheet.refused(), 0);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct KernelCollector {
    tree: SupervisorRef,
    previous: Previous,
    max_services: usize,
}

impl KernelCollector {
    /// Of this supervisor and all below it.
    pub fn new(tree: SupervisorRef) -> Self {
        Self { tree, previous: Previous::default(), max_services: DEFAULT_MAX_SERVICES }
    }

    /// How many services, and how many supervisors, have series of their own.
    pub fn max_services(mut self, most: usize) -> Self {
        self.max_services = most;
        self
    }

    /// Looks at the tree and writes what is there now.
    ///
    /// # Blocking
    ///
    /// As [`inspect`](SupervisorRef::inspect): on the supervisors of the tree, never on a service; at most 5 s on one
    /// that goes down at this very moment. With 1,000 services some 16 ms, nearly all for the 18 or so series of
    /// each; those that are summed up take 0.7 us each.
    pub fn collect(&mut self, sheet: &mut Sheet) {
        match self.tree.inspect() {
            Ok(root) => kernel_sheet(self.tree.name(), &root, &mut self.previous, self.max_services, sheet),
            Err(InspectError::Down { .. }) => tree_is_down(self.tree.name(), sheet),
            // Who asks was given up, and knows nothing of the tree.
            Err(InspectError::Fenced { .. }) => {}
        }
    }
}

impl fmt::Debug for KernelCollector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KernelCollector").field("tree", &self.tree.name()).finish_non_exhaustive()
    }
}
