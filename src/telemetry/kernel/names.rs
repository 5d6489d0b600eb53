//! The names under which the kernel's figures stand.

use crate::telemetry::descriptor::Descriptor;
use crate::telemetry::unit::Unit;

/// The label that names a service: its path.
pub(super) const SERVICE: &str = "service";
/// The label that names a supervisor: its path.
pub(super) const SUPERVISOR: &str = "supervisor";
/// The label that names a tree: the name of its root.
pub(super) const TREE: &str = "tree";

pub(super) const STATE: Descriptor = Descriptor::gauge(
    "underpin.service.state",
    "1 for the state that the service is in; the others have no series.",
);
pub(super) const RESTARTS: Descriptor =
    Descriptor::counter("underpin.service.restarts", "How often its supervisor restarted it.");
pub(super) const DEPTH: Descriptor =
    Descriptor::gauge("underpin.service.mailbox.depth", "Messages in the mailbox now.");
pub(super) const CAPACITY: Descriptor =
    Descriptor::gauge("underpin.service.mailbox.capacity", "Messages that the mailbox holds at most.");
pub(super) const HIGH_WATER: Descriptor =
    Descriptor::gauge("underpin.service.mailbox.high_water", "The most messages that were in the mailbox.");
pub(super) const WAIT: Descriptor = Descriptor::gauge(
    "underpin.service.mailbox.wait",
    "How long a message that comes now will wait: an estimate, queued messages times their mean time.",
)
.unit(Unit::Seconds);
pub(super) const DROPS: Descriptor =
    Descriptor::counter("underpin.service.drops", "Messages that were not handled, by reason.");
pub(super) const HANDLED: Descriptor =
    Descriptor::counter("underpin.service.handled", "Messages that were handled.");
pub(super) const LATENCY: Descriptor = Descriptor::gauge(
    "underpin.service.message.latency",
    "The mean time of a message in its handler, of those since the last look.",
)
.unit(Unit::Seconds);
pub(super) const RUNNING: Descriptor = Descriptor::gauge(
    "underpin.service.message.running",
    "For how long it has been busy with the present message; 0 at rest.",
)
.unit(Unit::Seconds);
pub(super) const BUSY: Descriptor =
    Descriptor::gauge("underpin.service.busy", "The share of time that it was busy, since the last look.")
        .unit(Unit::Ratio);
pub(super) const UPTIME: Descriptor =
    Descriptor::gauge("underpin.service.uptime", "For how long this incarnation has been up.")
        .unit(Unit::Seconds);

pub(super) const SUPERVISOR_UP: Descriptor =
    Descriptor::gauge("underpin.supervisor.up", "1 if the supervisor answers.");
pub(super) const SUPERVISOR_RESTARTS: Descriptor =
    Descriptor::counter("underpin.supervisor.restarts", "How often the supervisor itself was restarted.");
pub(super) const RECENT_RESTARTS: Descriptor = Descriptor::gauge(
    "underpin.supervisor.recent_restarts",
    "Restarts that it made within its period; at more than the intensity it gives up.",
);
pub(super) const INTENSITY: Descriptor =
    Descriptor::gauge("underpin.supervisor.intensity", "Restarts that are allowed within its period.");
pub(super) const ABANDONED: Descriptor =
    Descriptor::gauge("underpin.supervisor.abandoned", "Threads that it gave up and that still exist.");
pub(super) const SUPERVISOR_UPTIME: Descriptor =
    Descriptor::gauge("underpin.supervisor.uptime", "For how long this incarnation has been up.")
        .unit(Unit::Seconds);

pub(super) const TREE_UP: Descriptor = Descriptor::gauge("underpin.tree.up", "1 if the root answers.");
pub(super) const TREE_SERVICES: Descriptor =
    Descriptor::gauge("underpin.tree.services", "Services of the tree, by state.");
pub(super) const TREE_ZOMBIES: Descriptor =
    Descriptor::gauge("underpin.tree.zombies", "Threads of the tree that were given up and still exist.");
pub(super) const TREE_SUMMED: Descriptor = Descriptor::gauge(
    "underpin.tree.summed",
    "Services and supervisors that have no series of their own: they are in those with `overflow`.",
);

#[cfg(all(test, not(underpin_loom)))]
pub(super) const ALL: [Descriptor; 22] = [
    STATE,
    RESTARTS,
    DEPTH,
    CAPACITY,
    HIGH_WATER,
    WAIT,
    DROPS,
    HANDLED,
    LATENCY,
    RUNNING,
    BUSY,
    UPTIME,
    SUPERVISOR_UP,
    SUPERVISOR_RESTARTS,
    RECENT_RESTARTS,
    INTENSITY,
    ABANDONED,
    SUPERVISOR_UPTIME,
    TREE_UP,
    TREE_SERVICES,
    TREE_ZOMBIES,
    TREE_SUMMED,
];
