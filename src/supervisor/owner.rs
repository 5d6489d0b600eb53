//! The owner of a running tree.

use std::time::Duration;

use super::errors::{
    DeleteChildError, ReconfigureChildError, ReconfigureError, RecycleChildError, ReplaceChildError,
    RestartChildError, StartChildError, TerminateChildError,
};
use super::inspect::{InspectError, NodeInfo};
use super::reference::{ChildCounts, ChildInfo, SupervisorRef};
use super::report::{Abandoned, ShutdownReport};
use super::settings::{ChildSettings, SupervisorSettings};
use super::spec::{ChildSpec, Made};
use super::supervisor::Supervisor;
use super::tree::Tree;
use crate::registry::Registry;
use crate::service::exit::{Exit, Status};
use crate::service::handle::Handle;
use crate::service::service::Service;

/// How long the drop of a [`SupervisorHandle`] lets a tree stop if nothing is said.
const DEFAULT_SHUTDOWN: Duration = Duration::from_secs(30);

/// The owner of a running tree. When it is dropped the tree is stopped, in order, within its
/// [`shutdown_timeout`](Supervisor::shutdown_timeout).
///
/// It gives access to the root supervisor as a [`SupervisorRef`] does.
#[derive(Debug)]
pub struct SupervisorHandle {
    tree: Tree,
}

impl SupervisorHandle {
    pub(super) fn of(tree: Tree) -> Self {
        Self { tree }
    }

    /// A reference for others.
    pub fn reference(&self) -> SupervisorRef {
        SupervisorRef::to(&self.tree.plan().core)
    }

    /// The names of the tree.
    pub fn registry(&self) -> Registry {
        self.tree.registry()
    }

    /// As [`SupervisorRef::start_child`].
    ///
    /// # Errors
    ///
    /// As there.
    pub fn start_child<S: Service>(&self, spec: ChildSpec<S>) -> Result<Handle<S::Msg>, StartChildError> {
        self.reference().start_child(spec)
    }

    /// As [`SupervisorRef::start_supervisor`].
    ///
    /// # Errors
    ///
    /// As there.
    pub fn start_supervisor(&self, nested: impl Into<Supervisor>) -> Result<SupervisorRef, StartChildError> {
        self.reference().start_supervisor(nested)
    }

    /// As [`SupervisorRef::terminate_child`].
    ///
    /// # Errors
    ///
    /// As there.
    pub fn terminate_child(&self, name: &str) -> Result<(), TerminateChildError> {
        self.reference().terminate_child(name)
    }

    /// As [`SupervisorRef::restart_child`].
    ///
    /// # Errors
    ///
    /// As there.
    pub fn restart_child(&self, name: &str) -> Result<(), RestartChildError> {
        self.reference().restart_child(name)
    }

    /// As [`SupervisorRef::delete_child`].
    ///
    /// # Errors
    ///
    /// As there.
    pub fn delete_child(&self, name: &str) -> Result<(), DeleteChildError> {
        self.reference().delete_child(name)
    }

    /// As [`SupervisorRef::recycle_child`].
    ///
    /// # Errors
    ///
    /// As there.
    pub fn recycle_child(&self, name: &str) -> Result<(), RecycleChildError> {
        self.reference().recycle_child(name)
    }

    /// As [`SupervisorRef::replace_child`].
    ///
    /// # Errors
    ///
    /// As there.
    pub fn replace_child<Old, R>(
        &self,
        name: &str,
        factory: impl Fn(Option<Old>) -> R + Send + Sync + 'static,
    ) -> Result<(), ReplaceChildError>
    where
        Old: Service + Send,
        R: Made,
        R::Service: Service<Msg = Old::Msg>,
    {
        self.reference().replace_child(name, factory)
    }

    /// As [`SupervisorRef::reconfigure`].
    ///
    /// # Errors
    ///
    /// As there.
    pub fn reconfigure(&self, settings: SupervisorSettings) -> Result<(), ReconfigureError> {
        self.reference().reconfigure(settings)
    }

    /// As [`SupervisorRef::reconfigure_child`].
    ///
    /// # Errors
    ///
    /// As there.
    pub fn reconfigure_child(
        &self,
        name: &str,
        settings: ChildSettings,
    ) -> Result<(), ReconfigureChildError> {
        self.reference().reconfigure_child(name, settings)
    }

    /// As [`SupervisorRef::which_children`].
    pub fn which_children(&self) -> Vec<ChildInfo> {
        self.reference().which_children()
    }

    /// As [`SupervisorRef::count_children`].
    pub fn count_children(&self) -> ChildCounts {
        self.reference().count_children()
    }

    /// As [`SupervisorRef::inspect`].
    ///
    /// # Errors
    ///
    /// As there.
    pub fn inspect(&self) -> Result<NodeInfo, InspectError> {
        self.reference().inspect()
    }

    /// What is known of the root supervisor itself, without asking it.
    pub fn status(&self) -> Status {
        self.reference().status()
    }

    /// How many incarnations of the whole tree were abandoned, and how many of their threads still
    /// exist. Read from shared memory: no supervisor is asked. Never blocks.
    pub fn abandoned(&self) -> Abandoned {
        self.tree.abandoned()
    }

    /// Waits until the tree has ended by itself, by escalation or because its significant
    /// children are done; `None` when `timeout` came first.
    ///
    /// # Blocking
    ///
    /// Until the root supervisor has ended, for whatever reason, at most `timeout` by the clock of the
    /// tree.
    pub fn wait(&self, timeout: Duration) -> Option<Exit> {
        self.tree.wait(timeout)
    }

    /// Stops the tree: children in reverse order, each within its grace and all within `timeout`.
    /// Who has not stopped by then is abandoned and named in the report. A second call returns the
    /// report of the first.
    ///
    /// # Blocking
    ///
    /// Until the tree has stopped, at most about 2 s longer than `timeout`. Not to be called by a
    /// service of the tree: it would wait for its own end.
    pub fn shutdown(&self, timeout: Duration) -> ShutdownReport {
        self.tree.shutdown(timeout)
    }
}

impl Drop for SupervisorHandle {
    fn drop(&mut self) {
        let timeout = self.tree.plan().rooted().shutdown.unwrap_or(DEFAULT_SHUTDOWN);
        self.tree.shutdown(timeout);
    }
}
