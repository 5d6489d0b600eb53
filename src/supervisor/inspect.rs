//! The tree as it stands: every supervisor and every service, with what they are doing.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::child::{Child, ChildKind, path_of};
use super::plan::Request;
use super::reference::SupervisorRef;
use super::strategy::{Restart, Strategy};
use crate::service::core::Core;
use crate::service::deadline::{DEFAULT_TIMEOUT, Limit};
use crate::service::drops::Drops;
use crate::service::exit::{Exit, Lifecycle};
use crate::service::inspect::{Current, MailboxInfo, Sight};
use crate::service::scope;

/// One supervisor or service of a tree, at one moment. Made by
/// [`SupervisorRef::inspect`](crate::SupervisorRef::inspect).
///
/// `Display` writes the whole tree below it, a line for each.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct NodeInfo {
    /// The names from the root to this one, as in `app/net/listener`.
    pub path: Arc<str>,
    /// Its name.
    pub name: Arc<str>,
    /// Service or supervisor.
    pub kind: ChildKind,
    /// Which ends are followed by a restart.
    pub restart: Restart,
    /// Where in its life it is.
    pub state: Lifecycle,
    /// Which incarnation; 1 is the first, 0 means not started yet.
    pub epoch: u64,
    /// How long this incarnation has been up; zero if it is down.
    pub uptime: Duration,
    /// How often its supervisor restarted it.
    pub restarts: u64,
    /// How its last incarnation that ended did so.
    pub last_exit: Option<Exit>,
    /// Its mailbox. That of a supervisor holds requests.
    pub mailbox: MailboxInfo,
    /// Messages handled so far, over all incarnations; those in the making may be missing.
    pub handled: u64,
    /// Messages that were not handled, by reason.
    pub drops: Drops,
    /// For how long this incarnation was busy. Waits of less than about a microsecond count as
    /// busy: the thread does not sleep over them.
    pub busy: Duration,
    /// What it is busy with; `None` while it waits for messages, and for supervisors.
    pub current: Option<Current>,
    /// Whose answer it waits for.
    pub waits_for: Option<Arc<str>>,
    /// What only a supervisor has. `None` also for one that did not answer: it is down, or about to
    /// be.
    pub supervisor: Option<SupervisorInfo>,
    /// Its children, in the order of their start.
    pub children: Vec<NodeInfo>,
}

/// What only a supervisor has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SupervisorInfo {
    /// Whom the end of one child concerns.
    pub strategy: Strategy,
    /// How many restarts are allowed
    pub intensity: u32,
    /// in this time.
    pub period: Duration,
    /// How many were made within it until now.
    pub recent: usize,
    /// Threads that it gave up and that still exist.
    pub abandoned: usize,
}

/// Why a tree could not be inspected.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InspectError {
    /// The supervisor was not started, is being restarted, or is gone.
    #[error("supervisor `{name}` is down")]
    Down {
        /// The supervisor.
        name: Arc<str>,
    },
    /// Whoever asks was [abandoned](crate::OnHang): nobody answers it.
    #[error("supervisor `{name}` was not asked: the incarnation that asks was abandoned")]
    Fenced {
        /// The supervisor.
        name: Arc<str>,
    },
}

/// What a supervisor answers: itself, and its children for the asker to look at.
pub(crate) struct Answer {
    pub(super) own: SupervisorInfo,
    pub(super) parent: Arc<str>,
    pub(super) restart: Restart,
    pub(super) now: Instant,
    pub(super) kids: Vec<KidAnswer>,
}

pub(super) struct KidAnswer {
    pub(super) child: Arc<dyn Child>,
    pub(super) restarts: u64,
    pub(super) last_exit: Option<Exit>,
}

impl NodeInfo {
    /// The share of its present life that it was busy, 0 to 1.
    pub fn busy_ratio(&self) -> f64 {
        if self.uptime.is_zero() {
            return 0.0;
        }
        (self.busy.as_secs_f64() / self.uptime.as_secs_f64()).min(1.0)
    }

    /// This one and all below it, each before its children.
    pub fn walk(&self) -> impl Iterator<Item = &NodeInfo> {
        let mut left = vec![self];
        std::iter::from_fn(move || {
            let node = left.pop()?;
            left.extend(node.children.iter().rev());
            Some(node)
        })
    }

    /// The one of this path.
    pub fn find(&self, path: &str) -> Option<&NodeInfo> {
        self.walk().find(|node| &*node.path == path)
    }

    /// Who waits for whom: the path of each that waits, and the name of the one it waits for.
    pub fn waits(&self) -> Vec<(Arc<str>, Arc<str>)> {
        let edges = self.walk().filter_map(|node| Some((Arc::clone(&node.path), node.waits_for.clone()?)));
        edges.collect()
    }

    fn of(parent: &Arc<str>, name: Arc<str>, kind: ChildKind, restart: Restart, sight: Sight) -> Self {
        let is_service = kind == ChildKind::Worker;
        Self {
            path: path_of(parent, &name),
            name,
            kind,
            restart,
            state: sight.state,
            epoch: sight.epoch,
            uptime: sight.uptime,
            restarts: 0,
            last_exit: None,
            mailbox: sight.mailbox,
            handled: sight.handled,
            drops: sight.drops,
            busy: sight.busy,
            current: sight.current.filter(|_| is_service),
            waits_for: sight.waits_for,
            supervisor: None,
            children: Vec::new(),
        }
    }

    fn of_kid(parent: &Arc<str>, kid: KidAnswer, now: Instant) -> Self {
        let KidAnswer { child, restarts, last_exit } = kid;
        let mut node = match child.reference() {
            Some(nested) => nested.inspect_or_look(parent, child.rules().restart, now),
            None => Self::of(parent, child.name(), child.kind(), child.rules().restart, child.look(now)),
        };
        (node.restarts, node.last_exit) = (restarts, last_exit);
        node
    }
}

impl SupervisorRef {
    /// The tree below this supervisor as it stands: for each child its state, its mailbox, its work,
    /// and whom it waits for. Each figure is read where it is kept, the services are not asked; so
    /// they are not from one and the same moment.
    ///
    /// # Errors
    ///
    /// When the supervisor is down.
    ///
    /// # Blocking
    ///
    /// On the supervisors of the tree, which answer at all times; never on a service. On one that
    /// goes down at this very moment at most 5 s; one that waits for its restart is not asked.
    ///
    /// # Example
    ///
    /// ```
    /// # use underpin::{Context, Next, Service, Supervisor, child};
    /// # struct Echo;
    /// # impl Service for Echo {
    /// #     type Msg = ();
    /// #     type Error = std::convert::Infallible;
    /// #     fn handle(&mut self, _: (), _: &mut Context<Self>) -> Result<Next, Self::Error> { Ok(Next::Continue) }
    /// # }
    /// let app = Supervisor::new("app").child(child("echo", || Echo).capacity(64)).start()?;
    /// let tree = app.inspect()?;
    /// println!("{tree}");
    /// assert_eq!(tree.find("app/echo").map(|echo| echo.mailbox.capacity), Some(64));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn inspect(&self) -> Result<NodeInfo, InspectError> {
        let refusal = || {
            let name = self.name().into();
            if scope::is_fenced() { InspectError::Fenced { name } } else { InspectError::Down { name } }
        };
        // Between two lives it would answer in the next, which may be long in coming. The limit is
        // for one that goes down in this moment.
        if self.status().state == Lifecycle::Restarting {
            return Err(refusal());
        }
        let answer = self.ask_within(Limit::In(DEFAULT_TIMEOUT), Request::Inspect).ok_or_else(refusal)?;
        Ok(self.node_of(answer))
    }

    fn node_of(&self, answer: Answer) -> NodeInfo {
        let Answer { own, parent, restart, now, kids } = answer;
        let mut node = self.look(&parent, restart, now);
        node.children = kids.into_iter().map(|kid| NodeInfo::of_kid(&node.path, kid, now)).collect();
        node.supervisor = Some(own);
        node
    }

    fn look(&self, parent: &Arc<str>, restart: Restart, now: Instant) -> NodeInfo {
        let core: &Core<Request> = self.handle.core();
        let mut node = NodeInfo::of(parent, core.name(), ChildKind::Supervisor, restart, core.look(now));
        node.last_exit = core.status().last_exit;
        node
    }

    /// One that is down is looked at from outside.
    fn inspect_or_look(&self, parent: &Arc<str>, restart: Restart, now: Instant) -> NodeInfo {
        self.inspect().unwrap_or_else(|_| self.look(parent, restart, now))
    }
}

impl fmt::Display for NodeInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let top = self.path.matches('/').count();
        for (line, node) in self.walk().enumerate() {
            if line > 0 {
                writeln!(f)?;
            }
            let depth = node.path.matches('/').count() - top;
            write!(f, "{:indent$}{} {}", "", node.name, node.state, indent = 2 * depth)?;
            node.details(f)?;
        }
        Ok(())
    }
}

impl NodeInfo {
    fn details(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.uptime.is_zero() {
            write!(f, ", up {:.1?}", self.uptime)?;
        }
        if self.restarts > 0 {
            write!(f, ", {} restarts", self.restarts)?;
        }
        if let Some(exit) = &self.last_exit {
            write!(f, ", last {exit}")?;
        }
        match &self.supervisor {
            Some(own) => write!(f, ", {}", own),
            None if self.kind == ChildKind::Worker => self.service_details(f),
            None => Ok(()),
        }
    }

    fn service_details(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let MailboxInfo { queued, capacity, high_water } = self.mailbox;
        write!(f, ", {queued} of {capacity} queued (at most {high_water}), {} handled", self.handled)?;
        write!(f, ", {:.1} % busy", 100.0 * self.busy_ratio())?;
        let (dead, refused) = (self.drops.dead_letters(), self.drops.rejected + self.drops.timed_out);
        if dead + refused + self.drops.calls > 0 {
            write!(f, ", {dead} dead letters, {} calls given up, {refused} refused", self.drops.calls)?;
        }
        if let Some(current) = &self.current {
            write!(f, ", at {current}")?;
        }
        if let Some(other) = &self.waits_for {
            write!(f, ", waits for `{other}`")?;
        }
        Ok(())
    }
}

impl fmt::Display for SupervisorInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { strategy, intensity, period, recent, abandoned } = self;
        write!(f, "{strategy:?}, {recent} of {intensity} restarts in {period:?}")?;
        if *abandoned > 0 {
            write!(f, ", {abandoned} abandoned")?;
        }
        Ok(())
    }
}
