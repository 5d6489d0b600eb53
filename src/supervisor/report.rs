//! What a supervision tree tells of itself: events, and what a shutdown has come to.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::clerk::Clerk;
use super::hang::Hung;
use crate::error::{ErrorKind, SharedError};
use crate::service::context::Observer;
use crate::service::exit::{Exit, Lifecycle};
use crate::service::incarnation::Incarnation;
use crate::service::machine::CrashContext;
use crate::service::zombies::Zombie;
use crate::sync::ThreadId;

/// How many events may wait for their hook. More are dropped and counted.
const MOST_EVENTS: usize = 4096;

/// Something that happened in a supervision tree.
///
/// The hook of [`Supervisor::on_event`](crate::Supervisor::on_event) gets each, in order, on a
/// thread of its own. Without a hook they become records of the [`log`] crate, with the fields as
/// key-values. A supervisor is named by its path, as in `app/net`.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum SupervisionEvent {
    /// A child, be it a service or a supervisor, entered a state. A root supervisor is the child of
    /// the empty path. The change between `Running` and `Processing` is not told: it
    /// comes with every message.
    Entered {
        /// The path of the supervisor.
        supervisor: Arc<str>,
        /// The child.
        child: Arc<str>,
        /// Which incarnation.
        epoch: u64,
        /// The state.
        state: Lifecycle,
    },
    /// An incarnation ended abnormally. Calm ends report nothing but their states.
    Crashed(CrashReport),
    /// A crashed child will be started again.
    Restarting {
        /// The path of the supervisor.
        supervisor: Arc<str>,
        /// The child.
        child: Arc<str>,
        /// After this long.
        delay: Duration,
    },
    /// A handler returned an error that was answered, not fatal.
    Answered {
        /// The path of the supervisor.
        supervisor: Arc<str>,
        /// The child.
        child: Arc<str>,
        /// The message, as [`Service::label`](crate::Service::label) calls it.
        label: &'static str,
        /// What kind of fault.
        kind: ErrorKind,
        /// What it says.
        error: Arc<str>,
    },
    /// An incarnation did not end within its grace, or did not start in time, and was abandoned.
    Abandoned {
        /// The path of the supervisor.
        supervisor: Arc<str>,
        /// The child.
        child: Arc<str>,
        /// Which incarnation.
        epoch: u64,
        /// Which limit it did not keep.
        why: Hung,
        /// What it was busy with, as [`Unstopped::label`] says it.
        label: Option<&'static str>,
        /// For how long.
        busy: Option<Duration>,
    },
    /// A limit of a child with [`OnHang::Wait`](crate::OnHang::Wait) has passed, and it is waited for
    /// all the same. Once for each start, stop and handing over that it was asked for.
    Overdue {
        /// The path of the supervisor.
        supervisor: Arc<str>,
        /// The child.
        child: Arc<str>,
        /// Which incarnation.
        epoch: u64,
        /// Which limit it did not keep.
        why: Hung,
        /// For how long it has been waited for: since it was launched, or asked to stop.
        after: Duration,
        /// What it is busy with, as [`Unstopped::label`] says it.
        label: Option<&'static str>,
    },
    /// An incarnation did not end within its grace, or did not start in time, and the process is
    /// about to be aborted, as [`OnHang::AbortProcess`](crate::OnHang::AbortProcess) says. The hook
    /// has 1 s, together with what was reported before.
    Aborting {
        /// Who hangs, and where.
        hung: Unstopped,
        /// Which limit it did not keep.
        why: Hung,
    },
    /// A service has been busy with one message, or in one callback, for longer than
    /// [`stuck_after`](crate::ChildSpec::stuck_after) says. Told once for each message; nothing is done.
    Stuck {
        /// The path of the supervisor.
        supervisor: Arc<str>,
        /// The child.
        child: Arc<str>,
        /// Which incarnation.
        epoch: u64,
        /// The message, as [`Service::label`](crate::Service::label) calls it, or the callback.
        label: &'static str,
        /// For how long so far.
        busy: Duration,
    },
    /// A supervisor restarted more often than its intensity allows, and ends.
    GaveUp {
        /// The path of the supervisor.
        supervisor: Arc<str>,
        /// The child whose restart was one too many.
        child: Arc<str>,
        /// How many restarts are allowed
        restarts: u32,
        /// in this time.
        period: Duration,
    },
}

/// The abnormal end of an incarnation.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct CrashReport {
    /// The path of the supervisor.
    pub supervisor: Arc<str>,
    /// The child.
    pub child: Arc<str>,
    /// Which incarnation.
    pub epoch: u64,
    /// Where in its life.
    pub context: CrashContext,
    /// How it ended.
    pub exit: Exit,
    /// The message in its hands, as [`Service::label`](crate::Service::label) calls it.
    pub label: Option<&'static str>,
    /// What a panic in `terminate`, or in the drop of its state, said on top of it.
    pub aftermath: Option<Arc<str>>,
}

/// Where events go.
pub(crate) type Hook = Arc<dyn Fn(&SupervisionEvent) + Send + Sync>;

/// Hands events to the hook, on the reporting clerk's thread.
pub(crate) struct Reporter {
    hook: Option<Hook>,
    clerk: Clerk,
}

impl Reporter {
    pub(crate) fn new(tree: &str, hook: Option<Hook>, inline: bool) -> Self {
        Self { hook, clerk: Clerk::new(format!("{tree}:events"), MOST_EVENTS, inline) }
    }

    pub(crate) fn clerk(&self) -> &Clerk {
        &self.clerk
    }

    /// Reports what `event` makes, if anybody wants to know.
    pub(crate) fn report(&self, level: log::Level, event: impl FnOnce() -> SupervisionEvent) {
        if let Some(hook) = &self.hook {
            let (hook, event) = (Arc::clone(hook), event());
            self.clerk.submit(Box::new(move || hook(&event)));
        } else if level <= log::max_level() {
            let event = event();
            self.clerk.submit(Box::new(move || write_log(level, &event)));
        }
    }
}

impl Reporter {
    /// Reports the state that a child of `supervisor` is in.
    pub(crate) fn entered(&self, supervisor: &Arc<str>, incarnation: &Incarnation) {
        self.report(log::Level::Debug, || SupervisionEvent::Entered {
            supervisor: Arc::clone(supervisor),
            child: Arc::clone(&incarnation.node.name),
            epoch: incarnation.epoch,
            state: incarnation.state(),
        });
    }
}

fn write_log(level: log::Level, event: &SupervisionEvent) {
    match event {
        SupervisionEvent::Entered { supervisor, child, epoch, state } => {
            log::log!(level, supervisor = &**supervisor, child = &**child, epoch = *epoch, state = state.as_str(); "{child} {state}");
        }
        SupervisionEvent::Crashed(crash) => {
            let CrashReport { supervisor, child, epoch, context, exit, label, aftermath } = crash;
            let label = label.unwrap_or("-");
            let aftermath = aftermath.as_deref().unwrap_or("-");
            let exit = said(exit);
            log::log!(level, supervisor = &**supervisor, child = &**child, epoch = *epoch, context:debug = context, reason = &*exit, message = label, aftermath; "{child} {exit}");
        }
        SupervisionEvent::Restarting { supervisor, child, delay } => {
            log::log!(level, supervisor = &**supervisor, child = &**child, delay:debug = delay; "{child} is restarted");
        }
        SupervisionEvent::Answered { supervisor, child, label, kind, error } => {
            log::log!(level, supervisor = &**supervisor, child = &**child, message = *label, kind:debug = kind; "{child} answered with an error: {error}");
        }
        SupervisionEvent::Abandoned { supervisor, child, epoch, why, label, busy } => {
            let (why, label) = (why.as_str(), label.unwrap_or("-"));
            log::log!(level, supervisor = &**supervisor, child = &**child, epoch = *epoch, why, message = label, busy:debug = busy; "{child} was abandoned");
        }
        SupervisionEvent::Overdue { supervisor, child, epoch, why, after, label } => {
            let label = label.unwrap_or("-");
            log::log!(level, supervisor = &**supervisor, child = &**child, epoch = *epoch, why = why.as_str(), after:debug = after, message = label; "{child} {why}, and is waited for");
        }
        SupervisionEvent::Aborting { hung, why } => {
            let Unstopped { supervisor, child, epoch, label, busy, .. } = hung;
            let label = label.unwrap_or("-");
            log::log!(level, supervisor = &**supervisor, child = &**child, epoch = *epoch, why = why.as_str(), message = label, busy:debug = busy; "{hung}; it {why}; the process is aborted");
        }
        SupervisionEvent::Stuck { supervisor, child, epoch, label, busy } => {
            log::log!(level, supervisor = &**supervisor, child = &**child, epoch = *epoch, message = *label, busy:debug = busy; "{child} has been busy with {label} for {busy:?}");
        }
        SupervisionEvent::GaveUp { supervisor, child, restarts, period } => {
            log::log!(level, supervisor = &**supervisor, child = &**child, restarts = *restarts, period:debug = period; "{supervisor} gave up on {child}");
        }
    }
}

/// What one supervisor's children tell of themselves.
pub(crate) struct Scribe {
    pub(crate) supervisor: Arc<str>,
    pub(crate) reporter: Arc<Reporter>,
}

impl Observer for Scribe {
    fn entered(&self, incarnation: &Incarnation) {
        self.reporter.entered(&self.supervisor, incarnation);
    }

    fn answered(&self, incarnation: &Incarnation, label: &'static str, kind: ErrorKind, error: &SharedError) {
        self.reporter.report(log::Level::Info, || SupervisionEvent::Answered {
            supervisor: Arc::clone(&self.supervisor),
            child: Arc::clone(&incarnation.node.name),
            label,
            kind,
            error: said(error),
        });
    }
}

/// What an error says, even if saying it panics.
fn said(error: &dyn fmt::Display) -> Arc<str> {
    let text = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| error.to_string()));
    text.unwrap_or_else(|_| "an error whose text panicked".into()).into()
}

/// What a shutdown has come to.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ShutdownReport {
    /// How the root supervisor ended.
    pub exit: Exit,
    /// How long the shutdown took.
    pub took: Duration,
    /// Who did not stop in its grace and still has a thread. Empty after an orderly shutdown.
    pub unstopped: Vec<Unstopped>,
    /// How many incarnations were abandoned, over the whole life of the tree.
    pub abandoned: u64,
    /// Events that were dropped because their hook was too slow, over the whole life of the tree.
    pub events_dropped: u64,
}

impl ShutdownReport {
    /// Whether nothing is left running; `exit` says whether the end was intended.
    pub fn is_clean(&self) -> bool {
        self.unstopped.is_empty()
    }
}

impl fmt::Display for ShutdownReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the tree {} in {:?}", self.exit, self.took)?;
        if self.abandoned > 0 {
            write!(f, "; {} abandoned over its life", self.abandoned)?;
        }
        for one in &self.unstopped {
            write!(f, "; {one}")?;
        }
        Ok(())
    }
}

/// How many incarnations of a tree were abandoned.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Abandoned {
    /// Over the whole life of the tree.
    pub ever: u64,
    /// Those whose threads still exist.
    pub alive: usize,
}

/// A child that did not stop.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Unstopped {
    /// The path of the supervisor; empty for the root itself, and for the two helpers of the tree that
    /// report events and clear away what is left of children.
    pub supervisor: Arc<str>,
    /// The child.
    pub child: Arc<str>,
    /// Which incarnation; 0 where there are none.
    pub epoch: u64,
    /// The state it is stuck in.
    pub state: Lifecycle,
    /// The name of its thread. An operating system may show less of it: Linux 15 bytes.
    pub thread: Arc<str>,
    /// Its thread, as the standard library tells threads apart. It goes where a debugger, or a line
    /// that the thread itself logged, says the same. `None` where that is not known.
    pub thread_id: Option<ThreadId>,
    /// What it is busy with: the message in its handler, as
    /// [`Service::label`](crate::Service::label) calls it, or `init` (the factory and `init`),
    /// `idle`, `system` (the system lane), `terminate`, `drop` (that of its state). `None` where that
    /// is not known.
    pub label: Option<&'static str>,
    /// For how long it has been busy with that, by the clock of the tree.
    pub busy: Option<Duration>,
}

impl Unstopped {
    /// Somebody of whom only the thread is known.
    pub(crate) fn of_the_tree(thread: Arc<str>, id: Option<ThreadId>, state: Lifecycle) -> Self {
        Self {
            supervisor: "".into(),
            child: Arc::clone(&thread),
            epoch: 0,
            state,
            thread,
            thread_id: id,
            label: None,
            busy: None,
        }
    }

    /// One that was given up, or is about to be. What it does at `now`, if it does anything then.
    pub(crate) fn of(zombie: Zombie, now: Instant) -> Self {
        let activity = zombie.incarnation.activity(now).or(zombie.activity);
        let child = Arc::clone(&zombie.incarnation.node.name);
        Self {
            supervisor: zombie.supervisor,
            thread: Arc::clone(&child),
            child,
            epoch: zombie.incarnation.epoch,
            state: zombie.state,
            thread_id: zombie.thread,
            label: activity.map(|activity| activity.label),
            busy: activity.map(|activity| activity.busy),
        }
    }
}

/// `app/disk is still processing: `Write` for 12.3s, incarnation 1, thread `disk` ThreadId(7)`
impl fmt::Display for Unstopped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{} is still {}: ", self.supervisor, self.child, self.state)?;
        if let (Some(label), Some(busy)) = (self.label, self.busy) {
            write!(f, "`{label}` for {busy:.1?}, ")?;
        }
        if self.epoch > 0 {
            write!(f, "incarnation {}, ", self.epoch)?;
        }
        write!(f, "thread `{}`", self.thread)?;
        self.thread_id.map_or(Ok(()), |id| write!(f, " {id:?}"))
    }
}
