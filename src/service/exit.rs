//! How an incarnation ended, and where in its life it is.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::drops::Drops;
use crate::error::SharedError;

/// How an incarnation ended.
///
/// `Normal`, `Shutdown`, `Ignored` and `Replaced` are calm; the rest is abnormal, which restarts a
/// transient child and is reported.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Exit {
    /// A callback returned [`Next::Stop`](crate::Next::Stop).
    Normal,
    /// It was asked to stop: by its supervisor, or by [`Handle::stop`](crate::Handle::stop).
    Shutdown,
    /// `init` returned [`Init::Ignore`](crate::Init::Ignore): it does not want to run now.
    Ignored,
    /// It handed its state over to what [replaces](crate::SupervisorRef::replace_child) it.
    Replaced,
    /// A callback returned an error whose kind means a restart.
    Failed(SharedError),
    /// A callback panicked; this is what the panic said.
    Panicked(Arc<str>),
    /// It did not end within its grace, and was abandoned. Its thread may still exist.
    Killed,
    /// The factory and `init` took longer than they may.
    InitTimedOut(Duration),
    /// The operating system refused a thread.
    NotSpawned(SharedError),
    /// It was not started: there are as many abandoned threads as
    /// [`max_abandoned`](crate::Supervisor::max_abandoned) allows, and it is new, or has itself left
    /// one of them.
    TooManyAbandoned {
        /// How many there may be.
        most: usize,
    },
    /// The name it asked for belongs to another.
    NameTaken(Arc<str>),
    /// A supervisor restarted its children more often than its intensity allows.
    Escalated {
        /// The child whose restart was one too many.
        child: Arc<str>,
    },
    /// A supervisor could not start one of its children.
    ChildFailed {
        /// The child.
        child: Arc<str>,
        /// How its start ended.
        exit: Box<Exit>,
    },
}

impl Exit {
    /// Whether this end was intended.
    pub fn is_calm(&self) -> bool {
        matches!(self, Self::Normal | Self::Shutdown | Self::Ignored | Self::Replaced)
    }

    /// What it is called when nobody follows: who was to be replaced was stopped.
    pub(crate) fn without_successor(self) -> Self {
        match self {
            Self::Replaced => Self::Shutdown,
            exit => exit,
        }
    }

    /// Whether an error of the user's is inside, whose drop is code of the user's.
    pub(crate) fn holds_an_error(&self) -> bool {
        match self {
            Self::Failed(_) => true,
            Self::ChildFailed { exit, .. } => exit.holds_an_error(),
            _ => false,
        }
    }
}

impl fmt::Display for Exit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Normal => f.write_str("stopped normally"),
            Self::Shutdown => f.write_str("was shut down"),
            Self::Ignored => f.write_str("declined to start"),
            Self::Replaced => f.write_str("handed its state over"),
            Self::Failed(error) => write!(f, "failed: {error}"),
            Self::Panicked(text) => write!(f, "panicked: {text}"),
            Self::Killed => f.write_str("did not stop in its grace and was abandoned"),
            Self::InitTimedOut(limit) => write!(f, "did not start within {limit:?}"),
            Self::NotSpawned(error) => write!(f, "got no thread: {error}"),
            Self::TooManyAbandoned { most } => {
                write!(f, "got no thread: {most} abandoned ones are left, as many as there may be")
            }
            Self::NameTaken(name) => write!(f, "the name `{name}` is taken"),
            Self::Escalated { child } => write!(f, "restarts of `{child}` exceeded the intensity"),
            Self::ChildFailed { child, exit } => write!(f, "child `{child}` {exit}"),
        }
    }
}

impl std::error::Error for Exit {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Failed(error) | Self::NotSpawned(error) => Some(&**error),
            Self::ChildFailed { exit, .. } => Some(&**exit),
            _ => None,
        }
    }
}

/// Where in its life a child is. Read it with [`Handle::status`](crate::Handle::status).
///
/// ```text
/// Starting -> Initializing -> Running <-> Processing -> Terminating -> Cleanup -> Stopped
///     ^                                                                   |   \-> Failed
///     \------------------------------ Restarting <------------------------/
/// ```
///
/// While its system lane [suspends](crate::System::suspend) it a service is `Suspended` instead of `Running`.
/// After a panic, after a start that failed, and where the state is handed over to a successor,
/// `Terminating` is left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Lifecycle {
    /// Not started yet, or its thread is about to run.
    Starting = 0,
    /// In its factory or its `init`.
    Initializing = 1,
    /// Waiting for messages.
    Running = 2,
    /// Handling messages.
    Processing = 3,
    /// Gone, and its supervisor will start it again.
    Restarting = 4,
    /// In its `terminate`.
    Terminating = 5,
    /// Dropping its state, draining its mailbox, freeing its name.
    Cleanup = 6,
    /// Gone as intended. A supervisor may still be asked to start it again.
    Stopped = 7,
    /// Gone after an abnormal end, and nobody will start it again by itself.
    Failed = 8,
    /// Takes no messages, until it is resumed.
    Suspended = 9,
}

impl Lifecycle {
    /// All of them, each at its number.
    pub(crate) const ALL: [Self; 10] = [
        Self::Starting,
        Self::Initializing,
        Self::Running,
        Self::Processing,
        Self::Restarting,
        Self::Terminating,
        Self::Cleanup,
        Self::Stopped,
        Self::Failed,
        Self::Suspended,
    ];

    pub(crate) fn from_u8(state: u8) -> Self {
        Self::ALL.get(usize::from(state)).copied().unwrap_or(Lifecycle::Failed)
    }

    /// The state in one lower-case word, as logs have it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Initializing => "initializing",
            Self::Running => "running",
            Self::Processing => "processing",
            Self::Restarting => "restarting",
            Self::Terminating => "terminating",
            Self::Cleanup => "cleanup",
            Self::Stopped => "stopped",
            Self::Failed => "failed",
            Self::Suspended => "suspended",
        }
    }
}

impl fmt::Display for Lifecycle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What is known of a child without asking its service.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Status {
    /// The name of the child.
    pub name: Arc<str>,
    /// Where in its life it is.
    pub state: Lifecycle,
    /// Which incarnation this is: 1 is the first, 0 means not started yet.
    pub epoch: u64,
    /// When this incarnation was started.
    pub since: Instant,
    /// How the last incarnation that ended did so.
    pub last_exit: Option<Exit>,
    /// Messages in the mailbox now.
    pub queued: usize,
    /// Messages the mailbox holds at most.
    pub capacity: usize,
    /// Messages handled so far, over all incarnations; those in the making may be missing.
    pub handled: u64,
    /// Messages that were given up because the mailbox was full.
    pub shed: u64,
    /// Accepted messages without a call that no incarnation will handle.
    pub dead_letters: u64,
    /// Messages that were not handled, by reason.
    pub drops: Drops,
}

#[cfg(all(test, not(underpin_loom)))]
mod tests {
    use super::*;

    #[test]
    fn a_lifecycle_survives_its_byte() {
        for byte in 0..10 {
            assert_eq!(Lifecycle::from_u8(byte) as u8, byte);
        }
    }

    #[test]
    fn only_intended_ends_are_calm() {
        assert!(Exit::Normal.is_calm() && Exit::Shutdown.is_calm() && Exit::Ignored.is_calm());
        assert!(Exit::Replaced.is_calm());
        assert!(!Exit::Killed.is_calm() && !Exit::Panicked("x".into()).is_calm());
    }
}
