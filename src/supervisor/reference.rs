//! A running supervisor as seen by those who ask it for something.

use std::fmt;
use std::sync::Arc;

use super::child::{Child, ChildKind, SupervisorChild};
use super::errors::{
    DeleteChildError, ReconfigureChildError, ReconfigureError, RecycleChildError, ReplaceChildError,
    RestartChildError, StartChildError, TerminateChildError,
};
use super::plan::Request;
use super::replacement::Replacement;
use super::settings::{ChildSettings, SupervisorSettings};
use super::spec::{ChildSpec, Made};
use super::strategy::Restart;
use super::supervisor::Supervisor;
use crate::error::CallError;
use crate::service::core::Core;
use crate::service::deadline::{Deadline, Limit};
use crate::service::exit::{Exit, Lifecycle, Status};
use crate::service::handle::Handle;
use crate::service::reply::Reply;
use crate::service::scope;
use crate::service::service::Service;

/// What is known of one child.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ChildInfo {
    /// Its name.
    pub name: Arc<str>,
    /// Service or supervisor.
    pub kind: ChildKind,
    /// Which ends are followed by a restart.
    pub restart: Restart,
    /// Where in its life it is.
    pub state: Lifecycle,
    /// Which incarnation; 1 is the first.
    pub epoch: u64,
    /// How often it was restarted by this supervisor.
    pub restarts: u64,
    /// How its last incarnation that ended did so.
    pub last_exit: Option<Exit>,
}

/// How many children are where.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ChildCounts {
    /// All.
    pub specs: usize,
    /// With a thread: running, starting or stopping.
    pub active: usize,
    /// Waiting for a restart.
    pub restarting: usize,
    /// Stopped, and kept.
    pub stopped: usize,
    /// Those that are supervisors.
    pub supervisors: usize,
    /// Those that are services.
    pub workers: usize,
}

/// A supervisor, as seen by those who ask it for something. Cheap to clone, stays valid over its
/// restarts, and keeps nothing running.
///
/// A supervisor answers at all times: none of these calls waits for anything but the child that it
/// names, or, below another supervisor, for its own restart. One that was not started yet refuses.
/// What is asked for happens, so the deadline of a handler's caller does not cut it short.
#[derive(Clone)]
pub struct SupervisorRef {
    pub(super) handle: Handle<Request>,
}

impl SupervisorRef {
    pub(super) fn to(core: &Arc<Core<Request>>) -> Self {
        Self { handle: Handle::new(Arc::clone(core)) }
    }

    /// The name of the supervisor.
    pub fn name(&self) -> &str {
        self.handle.name()
    }

    /// What is known of the supervisor itself, without asking it.
    pub fn status(&self) -> Status {
        self.handle.status()
    }

    /// Adds a child and starts it.
    ///
    /// # Errors
    ///
    /// See [`StartChildError`]: then the child is not kept.
    ///
    /// # Blocking
    ///
    /// Until the child is ready or has failed, at most its
    /// [`init_timeout`](ChildSpec::init_timeout).
    pub fn start_child<S: Service>(&self, spec: ChildSpec<S>) -> Result<Handle<S::Msg>, StartChildError> {
        let handle = spec.handle();
        self.start_erased(Arc::new(spec.into_child()))?;
        Ok(handle)
    }

    /// Adds a supervisor as a child and starts it. As [`start_child`](Self::start_child).
    ///
    /// # Errors
    ///
    /// As there.
    pub fn start_supervisor(&self, nested: impl Into<Supervisor>) -> Result<SupervisorRef, StartChildError> {
        let nested = nested.into();
        let reference = nested.reference();
        self.start_erased(Arc::new(SupervisorChild { plan: Arc::new(nested.into_plan()) }))?;
        Ok(reference)
    }

    fn start_erased(&self, child: Arc<dyn Child>) -> Result<(), StartChildError> {
        let name = child.name();
        let answer = self.ask(|reply| Request::Start(child, reply));
        answer.unwrap_or_else(|| Err(StartChildError::unanswered(name)))
    }

    /// Stops a child for good. Its spec is kept, to be restarted or deleted; a temporary child's,
    /// and a dynamic supervisor's, is not. To terminate one that is stopped already is fine.
    ///
    /// # Errors
    ///
    /// When there is no such child, when it is the child itself that asks (it returns
    /// [`Next::Stop`](crate::Next::Stop)), and when the supervisor is gone.
    ///
    /// # Blocking
    ///
    /// Until the child has ended or was abandoned, at most its [`shutdown`](ChildSpec::shutdown)
    /// grace. A service below a nested supervisor that terminates that supervisor waits for its own
    /// end, until it is abandoned.
    pub fn terminate_child(&self, name: &str) -> Result<(), TerminateChildError> {
        let answer = self.ask(|reply| Request::Terminate(name.into(), scope::me(), reply));
        answer.unwrap_or_else(|| Err(TerminateChildError::unanswered(name.into())))
    }

    /// Starts a child that is stopped. Handles to it are valid again.
    ///
    /// # Errors
    ///
    /// When it is not stopped, does not exist, or fails to start.
    ///
    /// # Blocking
    ///
    /// As [`start_child`](Self::start_child).
    pub fn restart_child(&self, name: &str) -> Result<(), RestartChildError> {
        let answer = self.ask(|reply| Request::Restart(name.into(), reply));
        answer.unwrap_or_else(|| Err(RestartChildError::unanswered(name.into())))
    }

    /// Forgets a child that is stopped.
    ///
    /// # Errors
    ///
    /// When it is not stopped, or does not exist.
    ///
    /// # Blocking
    ///
    /// On the supervisor, which answers at all times and waits for no child; below another
    /// supervisor also for its own restart, if one is pending.
    pub fn delete_child(&self, name: &str) -> Result<(), DeleteChildError> {
        let answer = self.ask(|reply| Request::Delete(name.into(), reply));
        answer.unwrap_or_else(|| Err(DeleteChildError::unanswered(name.into())))
    }

    /// Stops the present incarnation of a child and starts the next: for a service that is
    /// [stuck](crate::SupervisionEvent::Stuck), or that is better begun afresh. Name, handles, mailbox
    /// and monitors stay, and the queue goes on. It is no restart: nothing is charged, nothing waits,
    /// no sibling is touched. An incarnation that does not end within its
    /// [`shutdown`](ChildSpec::shutdown) grace is hung, and what is then done its
    /// [`on_hang`](ChildSpec::on_hang) says.
    ///
    /// [`Handle::stop`] only asks, and never gives a thread up.
    ///
    /// # Errors
    ///
    /// See [`RecycleChildError`].
    ///
    /// # Blocking
    ///
    /// Until the old incarnation has ended or was abandoned, and the new one is ready or has failed:
    /// at most the child's [`shutdown`](ChildSpec::shutdown) grace and its
    /// [`init_timeout`](ChildSpec::init_timeout).
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
    /// let app = Supervisor::new("app").child(child("echo", || Echo)).start()?;
    /// app.recycle_child("echo")?;
    /// assert_eq!(app.which_children()[0].epoch, 2);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn recycle_child(&self, name: &str) -> Result<(), RecycleChildError> {
        let answer = self.ask(|reply| Request::Recycle(name.into(), scope::me(), reply));
        answer.unwrap_or_else(|| Err(RecycleChildError::unanswered(name.into())))
    }

    /// Gives a child another factory, and, if it runs, has that one take over its state. The service
    /// may be of another type, with the same messages; name, handles, mailbox and those who monitor
    /// the child stay. This is how code is changed while the rest runs.
    ///
    /// - A child that runs is asked for its state between two messages; a callback that is under way is
    ///   finished, and [`is_stopping`](crate::Context::is_stopping) does not tell of it. `terminate` is not
    ///   called; the state is moved to the first call of the factory, on the thread of the next incarnation,
    ///   which goes on with the queue. Replies that it kept are still good. Timers, monitors and the
    ///   idle time-out that it had set end with it: the new `init` sets its own. It is no restart:
    ///   nothing is charged, nothing waits, no sibling is touched.
    /// - The factory gets `None` whenever there is no state: at all later starts; when the old
    ///   incarnation did not come within its [`shutdown`](ChildSpec::shutdown) grace and was
    ///   abandoned; and when it crashed, or was stopped with its group, before it had handed over. An
    ///   end that calls for no restart stands: then the child is down, with its new description.
    /// - A child that is stopped stays stopped, and one that waits for its own restart goes on
    ///   waiting: they are started with the new factory.
    /// - A static child keeps its new factory when its supervisor is restarted.
    ///
    /// A state on its way is dropped, without `terminate`, when in that moment the child is
    /// terminated, or its supervisor stops.
    ///
    /// # Errors
    ///
    /// See [`ReplaceChildError`]. A child that starts, stops, waits for its group or is being
    /// replaced is refused.
    ///
    /// # Blocking
    ///
    /// Until the old incarnation has ended and the new one is ready, or has failed: at most the
    /// child's [`shutdown`](ChildSpec::shutdown) grace and its
    /// [`init_timeout`](ChildSpec::init_timeout).
    ///
    /// # Example
    ///
    /// ```
    /// use underpin::{Context, Next, Reply, Service, Supervisor, child};
    ///
    /// enum Msg { Add(u64), Total(Reply<u64>) }
    ///
    /// struct Counter(u64);
    /// struct Doubling(u64);
    ///
    /// impl Service for Counter {
    ///     type Msg = Msg;
    ///     type Error = std::convert::Infallible;
    ///     fn handle(&mut self, msg: Msg, _: &mut Context<Self>) -> Result<Next, Self::Error> {
    ///         match msg {
    ///             Msg::Add(n) => self.0 += n,
    ///             Msg::Total(reply) => reply.send(self.0),
    ///         }
    ///         Ok(Next::Continue)
    ///     }
    /// }
    ///
    /// impl Service for Doubling {
    ///     type Msg = Msg;
    ///     type Error = std::convert::Infallible;
    ///     fn handle(&mut self, msg: Msg, _: &mut Context<Self>) -> Result<Next, Self::Error> {
    ///         match msg {
    ///             Msg::Add(n) => self.0 += 2 * n,
    ///             Msg::Total(reply) => reply.send(self.0),
    ///         }
    ///         Ok(Next::Continue)
    ///     }
    /// }
    ///
    /// let counter = child("counter", || Counter(0));
    /// let handle = counter.handle();
    /// let app = Supervisor::new("app").child(counter).start()?;
    /// handle.cast(Msg::Add(3))?;
    /// assert_eq!(handle.call(Msg::Total)?, 3);
    /// app.replace_child("counter", |old: Option<Counter>| Doubling(old.map_or(0, |old| old.0)))?;
    /// handle.cast(Msg::Add(2))?;
    /// assert_eq!(handle.call(Msg::Total)?, 3 + 2 * 2);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
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
        let replacement = Replacement::new(factory);
        let answer = self.ask(|reply| Request::Replace(name.into(), scope::me(), replacement, reply));
        answer.unwrap_or_else(|| Err(ReplaceChildError::unanswered(name.into())))
    }

    /// Sets limits and delays of the supervisor anew, at once and over its restarts. See
    /// [`SupervisorSettings`] for what becomes of what is under way.
    ///
    /// # Errors
    ///
    /// When a setting is wrong, and when the supervisor is stopping or gone: then nothing is
    /// changed.
    ///
    /// # Blocking
    ///
    /// As [`delete_child`](Self::delete_child).
    pub fn reconfigure(&self, settings: SupervisorSettings) -> Result<(), ReconfigureError> {
        let answer = self.ask(|reply| Request::Configure(settings, reply));
        answer.unwrap_or_else(|| Err(ReconfigureError::unanswered(self.name().into())))
    }

    /// Sets the mailbox, limits and delays of a child anew, at once and over its restarts. See
    /// [`ChildSettings`] for what becomes of what is under way. For a child that is a supervisor
    /// this is its [`restart_backoff`](Supervisor::restart_backoff); the rest it does not have.
    ///
    /// # Errors
    ///
    /// When a setting is wrong, when there is no such child, and when the supervisor is stopping or
    /// gone: then nothing is changed.
    ///
    /// # Blocking
    ///
    /// As [`delete_child`](Self::delete_child).
    pub fn reconfigure_child(
        &self,
        name: &str,
        settings: ChildSettings,
    ) -> Result<(), ReconfigureChildError> {
        let answer = self.ask(|reply| Request::ConfigureChild(name.into(), settings, reply));
        answer.unwrap_or_else(|| Err(ReconfigureChildError::unanswered(name.into())))
    }

    /// The children, in the order of their start. Empty when the supervisor is gone, and for an
    /// incarnation that was [abandoned](crate::OnHang).
    ///
    /// # Blocking
    ///
    /// As [`delete_child`](Self::delete_child).
    pub fn which_children(&self) -> Vec<ChildInfo> {
        self.ask(Request::Which).unwrap_or_default()
    }

    /// How many children are where. All zero when the supervisor is gone, and for an
    /// incarnation that was [abandoned](crate::OnHang).
    ///
    /// # Blocking
    ///
    /// As [`delete_child`](Self::delete_child).
    pub fn count_children(&self) -> ChildCounts {
        self.ask(Request::Count).unwrap_or_default()
    }

    /// Asks; `None` when the supervisor is gone. No deadline of its own: the answer comes when the
    /// child's has, and a supervisor never blocks.
    fn ask<T: Send + 'static>(&self, request: impl FnOnce(Reply<T>) -> Request) -> Option<T> {
        self.ask_within(Limit::By(Deadline::unbounded()), request)
    }

    /// As [`ask`](Self::ask), for those who only look: they need not wait for a restart.
    pub(super) fn ask_within<T: Send + 'static>(
        &self,
        limit: Limit,
        request: impl FnOnce(Reply<T>) -> Request,
    ) -> Option<T> {
        if self.status().epoch == 0 {
            return None; // it was not started: nobody would answer
        }
        match self.handle.call_regardless(limit, request) {
            Ok(answer) => Some(answer),
            Err(CallError::NotSent(error)) => {
                drop(error);
                None
            }
            Err(_) => None,
        }
    }
}

impl fmt::Debug for SupervisorRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("SupervisorRef").field(&self.name()).finish()
    }
}
