//! Why a supervisor did not do what it was asked: one enum for each operation.

use std::io;
use std::sync::Arc;

use crate::service::exit::{Exit, Lifecycle};
use crate::service::scope;

/// Why a supervision tree did not start. Nothing of it is left running.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// The description is wrong. Nothing was started.
    #[error("supervisor `{supervisor}`: {reason}")]
    BadSpec {
        /// The supervisor.
        supervisor: Arc<str>,
        /// What is wrong with what, and what was expected.
        reason: String,
    },
    /// A child did not start; those started before it were stopped again, in reverse order.
    #[error("supervisor `{supervisor}`: child `{child}` {source}")]
    FailedToStart {
        /// The supervisor.
        supervisor: Arc<str>,
        /// The child.
        child: Arc<str>,
        /// How its start ended.
        source: Exit,
    },
    /// The supervisor itself got no thread.
    #[error("supervisor `{supervisor}` got no thread: {source}")]
    NotSpawned {
        /// The supervisor.
        supervisor: Arc<str>,
        /// What the operating system said.
        source: io::Error,
    },
    /// The supervisor was stopped while it started.
    #[error("supervisor `{supervisor}` was stopped while it started")]
    Stopped {
        /// The supervisor.
        supervisor: Arc<str>,
    },
}

/// Why a child was not started by [`start_child`](crate::SupervisorRef::start_child). It is not
/// kept, and what was sent to its handles is settled.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartChildError {
    /// A child of that name is running, or about to run.
    #[error("child `{name}` is already started")]
    AlreadyStarted {
        /// The child.
        name: Arc<str>,
    },
    /// A child of that name is there, stopped: restart it or delete it.
    #[error("child `{name}` is already present, stopped")]
    AlreadyPresent {
        /// The child.
        name: Arc<str>,
    },
    /// The supervisor has as many children as it may.
    #[error("child `{name}` would be one more than the {max} that are allowed")]
    TooMany {
        /// The child.
        name: Arc<str>,
        /// How many children there may be.
        max: usize,
    },
    /// The description is wrong.
    #[error("child `{name}`: {reason}")]
    BadSpec {
        /// The child.
        name: Arc<str>,
        /// What is wrong with what, and what was expected.
        reason: String,
    },
    /// Its start failed. This is not charged to the supervisor's intensity.
    #[error("child `{name}` {source}")]
    FailedToStart {
        /// The child.
        name: Arc<str>,
        /// How its start ended.
        source: Exit,
    },
    /// The supervisor is stopping or gone, or the child was terminated while it started.
    #[error("child `{name}` was not started: its supervisor is stopping, or it was terminated")]
    ShuttingDown {
        /// The child.
        name: Arc<str>,
    },
    /// Whoever asks was [abandoned](crate::OnHang): what it does now reaches nobody.
    #[error("child `{name}` was not started: the incarnation that asks was abandoned")]
    Fenced {
        /// The child.
        name: Arc<str>,
    },
}

/// Why a child was not terminated.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TerminateChildError {
    /// There is no child of that name.
    #[error("there is no child `{name}`")]
    NotFound {
        /// The name.
        name: Arc<str>,
    },
    /// A child cannot wait for its own end; it returns [`Next::Stop`](crate::Next::Stop).
    #[error("child `{name}` cannot wait for its own end")]
    TerminatingSelf {
        /// The child.
        name: Arc<str>,
    },
    /// The supervisor is stopping, and its children with it, or is gone.
    #[error("child `{name}` was not terminated: its supervisor is stopping or gone")]
    ShuttingDown {
        /// The child.
        name: Arc<str>,
    },
    /// Whoever asks was [abandoned](crate::OnHang): what it does now reaches nobody.
    #[error("child `{name}` was not terminated: the incarnation that asks was abandoned")]
    Fenced {
        /// The child.
        name: Arc<str>,
    },
}

/// Why a child was not restarted.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RestartChildError {
    /// There is no child of that name.
    #[error("there is no child `{name}`")]
    NotFound {
        /// The name.
        name: Arc<str>,
    },
    /// It is running.
    #[error("child `{name}` is running")]
    Running {
        /// The child.
        name: Arc<str>,
    },
    /// It is about to be restarted anyway.
    #[error("child `{name}` is about to be restarted")]
    Restarting {
        /// The child.
        name: Arc<str>,
    },
    /// Its start failed; it stays stopped. This is not charged to the supervisor's intensity.
    #[error("child `{name}` {source}")]
    FailedToStart {
        /// The child.
        name: Arc<str>,
        /// How its start ended.
        source: Exit,
    },
    /// The supervisor is stopping or gone.
    #[error("child `{name}` was not restarted: its supervisor is stopping or gone")]
    ShuttingDown {
        /// The child.
        name: Arc<str>,
    },
    /// Whoever asks was [abandoned](crate::OnHang): what it does now reaches nobody.
    #[error("child `{name}` was not restarted: the incarnation that asks was abandoned")]
    Fenced {
        /// The child.
        name: Arc<str>,
    },
}

/// Why a child was not deleted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DeleteChildError {
    /// There is no child of that name.
    #[error("there is no child `{name}`")]
    NotFound {
        /// The name.
        name: Arc<str>,
    },
    /// It is running: terminate it first.
    #[error("child `{name}` is running")]
    Running {
        /// The child.
        name: Arc<str>,
    },
    /// It is about to be restarted: terminate it first.
    #[error("child `{name}` is about to be restarted")]
    Restarting {
        /// The child.
        name: Arc<str>,
    },
    /// The supervisor is stopping or gone.
    #[error("child `{name}` was not deleted: its supervisor is stopping or gone")]
    ShuttingDown {
        /// The child.
        name: Arc<str>,
    },
    /// Whoever asks was [abandoned](crate::OnHang): what it does now reaches nobody.
    #[error("child `{name}` was not deleted: the incarnation that asks was abandoned")]
    Fenced {
        /// The child.
        name: Arc<str>,
    },
}

/// What it means that no supervisor answered.
macro_rules! unanswered {
    ($($error:ident),*) => { $(
        impl $error {
            pub(super) fn unanswered(name: Arc<str>) -> Self {
                if scope::is_fenced() { Self::Fenced { name } } else { Self::ShuttingDown { name } }
            }
        }
    )* };
}

unanswered!(
    StartChildError,
    TerminateChildError,
    RestartChildError,
    DeleteChildError,
    ReplaceChildError,
    RecycleChildError,
    ReconfigureChildError
);

impl ReconfigureError {
    pub(super) fn unanswered(supervisor: Arc<str>) -> Self {
        if scope::is_fenced() { Self::Fenced { supervisor } } else { Self::ShuttingDown { supervisor } }
    }
}

/// Why a child was not recycled.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RecycleChildError {
    /// There is no child of that name.
    #[error("there is no child `{name}`")]
    NotFound {
        /// The name.
        name: Arc<str>,
    },
    /// It is not running, or is about to be stopped with its group.
    #[error("child `{name}` is {state}, expected it running")]
    NotRunning {
        /// The child.
        name: Arc<str>,
        /// What it is doing.
        state: Lifecycle,
    },
    /// A temporary child has one life.
    #[error("child `{name}` is temporary: nothing follows its incarnation")]
    Temporary {
        /// The child.
        name: Arc<str>,
    },
    /// A child cannot wait for its own end; it returns [`Next::Stop`](crate::Next::Stop).
    #[error("child `{name}` cannot wait for its own end")]
    RecyclingSelf {
        /// The child.
        name: Arc<str>,
    },
    /// If it hung and had to be abandoned, and with it whoever else this supervisor is recycling, the
    /// tree would have as many abandoned threads as it [may](crate::Supervisor::max_abandoned), and no
    /// successor could be started. The child goes on.
    #[error(
        "child `{name}` was not recycled: there may be {most} abandoned threads, and those that hang might be as many"
    )]
    TooManyAbandoned {
        /// The child.
        name: Arc<str>,
        /// How many there may be.
        most: usize,
    },
    /// The next incarnation did not start; the child stays stopped. This is not charged to the
    /// supervisor's intensity.
    #[error("child `{name}` {source}")]
    FailedToStart {
        /// The child.
        name: Arc<str>,
        /// How its start ended.
        source: Exit,
    },
    /// The supervisor is stopping or gone, or the child was terminated meanwhile.
    #[error("child `{name}` was not recycled: its supervisor is stopping or gone, or it was terminated")]
    ShuttingDown {
        /// The child.
        name: Arc<str>,
    },
    /// Whoever asks was [abandoned](crate::OnHang): what it does now reaches nobody.
    #[error("child `{name}` was not recycled: the incarnation that asks was abandoned")]
    Fenced {
        /// The child.
        name: Arc<str>,
    },
}

/// Why a child was not replaced. It has its old description, save after `FailedToStart`, and after
/// `ShuttingDown` where it was stopped while it was asked for its state.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReplaceChildError {
    /// There is no child of that name; or it was not to be kept, and ended by itself before it
    /// could be replaced.
    #[error("there is no child `{name}`")]
    NotFound {
        /// The name.
        name: Arc<str>,
    },
    /// It is a supervisor: what it runs is its children.
    #[error("child `{name}` is a supervisor, expected a service")]
    IsSupervisor {
        /// The child.
        name: Arc<str>,
    },
    /// A child cannot wait for its own end.
    #[error("child `{name}` cannot wait for its own replacement")]
    ReplacingSelf {
        /// The child.
        name: Arc<str>,
    },
    /// The child runs another service than the one whose state the factory takes.
    #[error("child `{name}` runs `{found}`, expected `{expected}`")]
    WrongType {
        /// The child.
        name: Arc<str>,
        /// The service that the factory takes over from.
        expected: &'static str,
        /// The service that the child runs.
        found: &'static str,
    },
    /// It starts, stops, waits for its group or is being replaced: ask again when it runs or is down.
    #[error("child `{name}` is {state}, expected it running or down")]
    Busy {
        /// The child.
        name: Arc<str>,
        /// What it is doing.
        state: Lifecycle,
    },
    /// The replacement did not start; the child stays stopped, with its new description, or is
    /// forgotten where a stopped one is not kept. A state that was handed over is gone. This is not
    /// charged to the supervisor's intensity.
    #[error("child `{name}` {source}")]
    FailedToStart {
        /// The child.
        name: Arc<str>,
        /// How its start ended.
        source: Exit,
    },
    /// The supervisor is stopping or gone, or the child was terminated meanwhile.
    #[error("child `{name}` was not replaced: its supervisor is stopping or gone, or it was terminated")]
    ShuttingDown {
        /// The child.
        name: Arc<str>,
    },
    /// Whoever asks was [abandoned](crate::OnHang): what it does now reaches nobody.
    #[error("child `{name}` was not replaced: the incarnation that asks was abandoned")]
    Fenced {
        /// The child.
        name: Arc<str>,
    },
}

/// Why a supervisor was not reconfigured. Nothing was changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ReconfigureError {
    /// One of the settings is wrong.
    #[error("supervisor `{supervisor}`: {reason}")]
    BadSetting {
        /// The supervisor.
        supervisor: Arc<str>,
        /// What is wrong with what, and what was expected.
        reason: String,
    },
    /// The supervisor is stopping or gone.
    #[error("supervisor `{supervisor}` was not reconfigured: it is stopping or gone")]
    ShuttingDown {
        /// The supervisor.
        supervisor: Arc<str>,
    },
    /// Whoever asks was [abandoned](crate::OnHang): what it does now reaches nobody.
    #[error("supervisor `{supervisor}` was not reconfigured: the incarnation that asks was abandoned")]
    Fenced {
        /// The supervisor.
        supervisor: Arc<str>,
    },
}

/// Why a child was not reconfigured. Nothing was changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ReconfigureChildError {
    /// There is no child of that name.
    #[error("there is no child `{name}`")]
    NotFound {
        /// The name.
        name: Arc<str>,
    },
    /// One of the settings is wrong.
    #[error("child `{name}`: {reason}")]
    BadSetting {
        /// The child.
        name: Arc<str>,
        /// What is wrong with what, and what was expected.
        reason: String,
    },
    /// The mailbox cannot hold so many messages: their memory is reserved once, as
    /// [`max_capacity`](crate::ChildSpec::max_capacity) says.
    #[error("child `{name}`: its capacity is 1 to {reserved}, which is reserved, not {asked}")]
    OverReserved {
        /// The child.
        name: Arc<str>,
        /// The capacity that was asked for.
        asked: usize,
        /// How many messages there is memory for.
        reserved: usize,
    },
    /// The supervisor is stopping or gone.
    #[error("child `{name}` was not reconfigured: its supervisor is stopping or gone")]
    ShuttingDown {
        /// The child.
        name: Arc<str>,
    },
    /// Whoever asks was [abandoned](crate::OnHang): what it does now reaches nobody.
    #[error("child `{name}` was not reconfigured: the incarnation that asks was abandoned")]
    Fenced {
        /// The child.
        name: Arc<str>,
    },
}
