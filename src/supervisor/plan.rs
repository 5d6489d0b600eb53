//! A supervisor as it was described, and what it is told once it runs.

use std::collections::HashSet;
use std::ops::Deref;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use super::child::Child;
use super::errors::{
    DeleteChildError, ReconfigureChildError, ReconfigureError, RecycleChildError, ReplaceChildError,
    RestartChildError, StartChildError, TerminateChildError,
};
use super::inspect::Answer;
use super::policy::{ChildRules, ExitKind, Rules};
use super::reference::{ChildCounts, ChildInfo};
use super::replacement::Replacement;
use super::report::Hook;
use super::settings::{ChildSettings, PERIOD_OF_ZERO, SupervisorSettings};
use super::spec::{PERMANENT_SIGNIFICANT, name_fault};
use super::strategy::Restart;
use crate::registry::Registry;
use crate::service::core::Core;
use crate::service::dead_letters::DeadReason;
use crate::service::exit::Exit;
use crate::service::incarnation::Incarnation;
use crate::service::machine::Ending;
use crate::service::reply::Reply;
use crate::sync::{Clock, Mutex};

/// What a supervisor is told. The first six by children and parents, in the urgent lane.
pub(crate) enum Request {
    Ready(u64, u64),
    /// It became busy, and wants to be looked after.
    Busy(u64, u64),
    Over(u64, u64, Ending),
    /// There was no thread for it.
    Stillborn(u64, u64, ExitKind),
    Stop(Option<Instant>),
    Reaped,
    Start(Arc<dyn Child>, Reply<Result<(), StartChildError>>),
    /// With the incarnation that asks, if one does.
    Terminate(Arc<str>, Option<Arc<Incarnation>>, Reply<Result<(), TerminateChildError>>),
    Restart(Arc<str>, Reply<Result<(), RestartChildError>>),
    Delete(Arc<str>, Reply<Result<(), DeleteChildError>>),
    /// With the incarnation that asks, if one does.
    Recycle(Arc<str>, Option<Arc<Incarnation>>, Reply<Result<(), RecycleChildError>>),
    Replace(Arc<str>, Option<Arc<Incarnation>>, Replacement, Reply<Result<(), ReplaceChildError>>),
    Configure(SupervisorSettings, Reply<Result<(), ReconfigureError>>),
    ConfigureChild(Arc<str>, ChildSettings, Reply<Result<(), ReconfigureChildError>>),
    Which(Reply<Vec<ChildInfo>>),
    Count(Reply<ChildCounts>),
    Inspect(Reply<Answer>),
}

/// A supervisor as it was described. Outlives its incarnations.
pub(crate) struct Plan {
    pub(crate) core: Identity,
    /// Set anew while it runs, and kept over its restarts.
    pub(crate) rules: Mutex<Rules>,
    pub(crate) as_child: Mutex<ChildRules>,
    pub(crate) children: Vec<Arc<dyn Child>>,
    pub(crate) root: OnceLock<()>,
    pub(super) rooted: Rooted,
}

/// What belongs to a supervisor and outlives its incarnations. It goes with the description.
pub(crate) struct Identity(pub(super) Arc<Core<Request>>);

impl Deref for Identity {
    type Target = Arc<Core<Request>>;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl Drop for Identity {
    fn drop(&mut self) {
        // Only one that was never started is still open here.
        if self.0.close(&Exit::Shutdown) {
            self.0.drain(DeadReason::Stopped);
        }
    }
}

/// What only the root of a tree is told.
#[derive(Clone, Default)]
pub(crate) struct Rooted {
    pub(crate) hook: Option<Hook>,
    pub(crate) clock: Option<Clock>,
    pub(crate) registry: Option<Registry>,
    pub(crate) shutdown: Option<Duration>,
    pub(crate) stuck_after: Option<Duration>,
    pub(crate) deny_abort: bool,
    pub(crate) max_abandoned: Option<usize>,
}

impl Rooted {
    fn is_set(&self) -> bool {
        let Self { hook, clock, registry, shutdown, stuck_after, deny_abort, max_abandoned } = self;
        let durations = shutdown.is_some() || stuck_after.is_some();
        let others = *deny_abort || max_abandoned.is_some();
        hook.is_some() || clock.is_some() || registry.is_some() || durations || others
    }
}

impl Plan {
    pub(crate) fn is_root(&self) -> bool {
        self.root.get().is_some()
    }

    pub(crate) fn rooted(&self) -> &Rooted {
        &self.rooted
    }

    pub(crate) fn rules(&self) -> Rules {
        self.rules.lock().clone()
    }

    pub(crate) fn name(&self) -> Arc<str> {
        self.core.name()
    }

    /// What is wrong with the description, if anything.
    pub(crate) fn fault(&self, as_root: bool) -> Option<String> {
        if let Some(fault) = name_fault(&self.name()) {
            return Some(fault);
        }
        if self.rules().period.is_zero() {
            return Some(PERIOD_OF_ZERO.into());
        }
        let as_child = *self.as_child.lock();
        if !as_root && as_child.significant && as_child.restart == Restart::Permanent {
            return Some(PERMANENT_SIGNIFICANT.into());
        }
        let rooted = &self.rooted;
        if rooted.stuck_after.is_some_and(|limit| limit.is_zero()) {
            return Some("stuck_after is longer than 0".into());
        }
        if !as_root && rooted.is_set() {
            let options =
                "hook, clock, registry, shutdown_timeout, stuck_after, deny_abort and max_abandoned";
            return Some(format!("{options} are the root's to say"));
        }
        if rooted.max_abandoned == Some(0) {
            return Some("its max_abandoned is 1 or more".into());
        }
        let mut names = HashSet::new();
        self.children.iter().find_map(|child| {
            let name = child.name();
            match child.fault() {
                Some(fault) => Some(format!("child `{name}`: {fault}")),
                None if !names.insert(Arc::clone(&name)) => Some(format!("two children are called `{name}`")),
                None => None,
            }
        })
    }
}
