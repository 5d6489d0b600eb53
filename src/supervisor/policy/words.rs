//! The vocabulary of the policy: what it is told, what it orders, what it answers.

use std::time::{Duration, Instant};

use crate::{AutoShutdown, Backoff, Hung, OnHang, Restart, Strategy, SupervisorSettings};

/// A child, by order of start. Never reused, so that a late event cannot hit another child.
pub(crate) type Key = u64;
/// An incarnation of a child. The first launch is 1, and every launch adds 1.
pub(crate) type Epoch = u64;
/// Whoever asked. Every ticket is answered exactly once, at the latest before [`Action::Finish`].
pub(crate) type Ticket = u64;

/// What holds for the supervisor.
#[derive(Debug, Clone, Default)]
pub(crate) struct Rules {
    pub(crate) strategy: Strategy,
    pub(crate) max_restarts: u32,
    pub(crate) period: Duration,
    /// For the children that have none of their own.
    pub(crate) backoff: Backoff,
    pub(crate) auto_shutdown: AutoShutdown,
    /// Some: a dynamic supervisor. Its strategy is one_for_one whatever `strategy` says.
    pub(crate) dynamic: Option<Dynamic>,
    /// Of the jitter: equal seeds and equal events give equal actions.
    pub(crate) seed: u64,
}

/// What a dynamic supervisor has beyond a static one.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Dynamic {
    /// Children at a time, those that wait for a restart included.
    pub(crate) max_children: Option<usize>,
    /// Its children are stopped all at once, and this is how long all of them together may take.
    pub(crate) grace: Duration,
}

/// What holds for a child.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ChildRules {
    pub(crate) restart: Restart,
    /// How long a start may take.
    pub(crate) init: Duration,
    /// How long a stop may take. None: a nested supervisor, which bounds itself.
    pub(crate) grace: Option<Duration>,
    /// What is done when it takes longer than that.
    pub(crate) on_hang: OnHang,
    pub(crate) backoff: Option<Backoff>,
    /// Its own exit may stop the supervisor: see [`AutoShutdown`].
    pub(crate) significant: bool,
}

/// How an incarnation ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum ExitKind {
    Normal,
    Shutdown,
    /// Its state waits for its successor.
    HandedOver,
    /// A crash, or a thread that could not be spawned.
    Abnormal,
    /// Its init had nothing to do: a successful start of a child that does not run.
    Ignored,
}

/// What happened.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Event {
    /// Before `Begin` a static child, which nobody waits for; after it a start_child.
    ///
    /// When it is answered `TooMany` or, as nothing is added any more, `ShuttingDown` in the same
    /// step, the child was never known: it has neither `Retire` nor `Forget`.
    Add { key: Key, rules: ChildRules, ticket: Option<Ticket> },
    /// The first start may begin.
    Begin { ticket: Ticket },
    /// The init of an incarnation ended well.
    Ready { key: Key, epoch: Epoch },
    /// An incarnation ended. Before its `Ready` this is a failed start whatever the kind, save
    /// `Ignored`.
    Exited { key: Key, epoch: Epoch, exit: ExitKind },
    /// terminate_child
    Terminate { key: Key, ticket: Ticket },
    /// restart_child
    Restart { key: Key, ticket: Ticket },
    /// delete_child
    Delete { key: Key, ticket: Ticket },
    /// replace_child
    Replace { key: Key, ticket: Ticket },
    /// Other rules for the supervisor, from here on.
    Configure { settings: SupervisorSettings },
    /// Other limits and delays for a child, from here on. Whether it is restarted, and whether it is
    /// significant, is not changed.
    ConfigureChild { key: Key, rules: ChildRules },
    /// Stop everything. A later one may only bring the deadline forward.
    Stop { deadline: Option<Instant>, ticket: Option<Ticket> },
    /// Time passed: due at `next_deadline`.
    Tick,
}

impl Event {
    /// Who waits for an answer to it.
    pub(super) fn ticket(&self) -> Option<Ticket> {
        match *self {
            Self::Add { ticket, .. } | Self::Stop { ticket, .. } => ticket,
            Self::Begin { ticket }
            | Self::Terminate { ticket, .. }
            | Self::Restart { ticket, .. }
            | Self::Delete { ticket, .. }
            | Self::Replace { ticket, .. } => Some(ticket),
            Self::Ready { .. }
            | Self::Exited { .. }
            | Self::Configure { .. }
            | Self::ConfigureChild { .. }
            | Self::Tick => None,
        }
    }
}

/// What is to be done, in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Action {
    /// Start an incarnation.
    Launch { key: Key, epoch: Epoch },
    /// Ask an incarnation to stop. A second one for the same epoch is stricter: it has become
    /// terminal, or its deadline is earlier.
    Stop {
        key: Key,
        epoch: Epoch,
        /// It will not be restarted, so it shuts its mailbox itself.
        terminal: bool,
        /// What it is told. A nested supervisor has no more than the deadline of the whole stop.
        deadline: Option<Instant>,
    },
    /// From here on the child has the description that came with this ticket.
    Replace { key: Key, ticket: Ticket },
    /// Ask an incarnation for its state, which is for the next one. A `Launch` follows when it is
    /// gone, unless the hand-over is called off.
    HandOver { key: Key, epoch: Epoch },
    /// There will be nobody who takes the state: who has not handed it over keeps it.
    CallOff { key: Key },
    /// Wait no longer for an incarnation: it counts as gone, and what it says from now on is stale.
    Abandon { key: Key, epoch: Epoch, why: Hung },
    /// Report: one that is waited for as long as it takes has taken longer than its limit. Once for
    /// each start, stop and handing over.
    Overdue {
        key: Key,
        epoch: Epoch,
        why: Hung,
        /// Since it was launched, or first asked to stop.
        after: Duration,
    },
    /// End the process. Where that cannot be, in a simulation, the `Abandon` that follows holds.
    Abort { key: Key, why: Hung },
    /// The child is down for good, or until restart_child: its mailbox is closed and its name free,
    /// its spec is kept.
    Retire {
        key: Key,
        /// Its last exit was a crash or a failed start.
        failed: bool,
    },
    /// The spec is deleted: nothing is left of the child. Always after its `Retire`.
    Forget { key: Key },
    /// Tell whoever asked.
    Answer { ticket: Ticket, answer: Answer },
    /// Report: a crash that was charged, and a restart that follows after the delay.
    Restarting { key: Key, epoch_lost: Epoch, delay: Duration },
    /// Report: the crash of this child was one too many.
    GaveUp { key: Key },
    /// The supervisor has ended: no child is left, every ticket is answered.
    Finish(Outcome),
}

/// The answer to a ticket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Answer {
    Started,
    /// Started well, and does not run: its init said ignore.
    Ignored,
    /// It is down, as was asked. Also when it was down before.
    Stopped,
    Deleted,
    /// It has its new description, and does not run.
    Replaced,
    /// Refused: the child is on its way to somewhere.
    Busy(ChildState),
    /// Refused: the child has an incarnation.
    Running,
    /// Refused: the child waits for a restart which is pending.
    Restarting,
    NotFound,
    TooMany {
        max: usize,
    },
    StartFailed,
    ShuttingDown,
}

/// How a supervisor ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// It was asked to.
    Stopped,
    /// Out of budget: this child crashed once too often. For the parent this is a crash.
    Escalated { key: Key },
    /// The first start failed at this child.
    FailedToStart { key: Key },
    /// Its significant children are done, this one last. For the parent this is a shutdown.
    AutoShutdown { key: Key },
}

/// Where a child stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ChildState {
    /// Launched, not yet ready.
    Starting,
    Running,
    /// Asked to stop, not yet gone.
    Stopping,
    /// Asked to hand its state over to its successor, not yet gone.
    HandingOver,
    /// Down; restarted alone, at that time.
    Backoff {
        until: Instant,
    },
    /// Down; its turn in the first start or in the restart of a group will come.
    Waiting,
    /// Down, and nothing but restart_child will start it.
    Stopped,
}

impl ChildState {
    /// It has an incarnation.
    pub(crate) fn is_live(self) -> bool {
        matches!(self, Self::Starting | Self::Running | Self::Stopping | Self::HandingOver)
    }
}

/// How many children stand where.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Counts {
    /// All of them.
    pub(crate) specs: usize,
    /// Those with an incarnation, be it starting or stopping.
    pub(crate) active: usize,
    /// Those that wait for a restart, or for their first start.
    pub(crate) restarting: usize,
    /// Those that stay down.
    pub(crate) stopped: usize,
}
