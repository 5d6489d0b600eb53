//! The system lane: what is asked of a service beside its messages.
//!
//! It is served between two messages, before those that are queued and before timers that are due,
//! also while the service is suspended. It belongs to the child: what is asked between two
//! incarnations waits for the next.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use super::deadline::{DEFAULT_TIMEOUT, Deadline, Limit};
use super::handle::Handle;
use super::reply::{Failure, Reply, Slot, Ticket};
use super::scope;
use super::service::Service;
use crate::error::panic_text;

/// Work on the state of a service, whose type is not known here; it gets the name of that type too.
pub(crate) type Work = Box<dyn FnOnce(&mut dyn Any, &'static str) + Send>;

/// What a service is told to do.
pub(crate) enum Task {
    Suspend(Reply<()>),
    Resume(Reply<()>),
    Work(Work),
}

/// One thing that was asked, and the call that waits for it.
pub(crate) struct Order {
    pub(crate) call: Arc<Ticket>,
    pub(crate) task: Task,
}

impl Order {
    /// Ends it where nobody will carry it out. What it holds is dropped, which is code of the user's.
    pub(crate) fn refuse(self, why: Failure) {
        self.call.settle(why.clone());
        contained(|| scope::dropping(why, || drop(self)));
    }
}

/// Drops something of the user's that must harm nobody: a panic of it is contained.
fn contained(work: impl FnOnce()) {
    if let Err(panic) = catch_unwind(AssertUnwindSafe(work)) {
        panic_text(panic);
    }
}

/// Why the system lane did not do what it was asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SystemError {
    /// The service did not come to it in time. What had not begun by then is not done any more.
    #[error("`{name}` did not come to it in time")]
    TimedOut {
        /// The child.
        name: Arc<str>,
    },
    /// The child is stopped.
    #[error("`{name}` is stopped")]
    Stopped {
        /// The child.
        name: Arc<str>,
    },
    /// The service crashed over it, or was abandoned in the midst of it.
    #[error("`{name}` crashed over it")]
    Crashed {
        /// The child.
        name: Arc<str>,
    },
    /// The closure that only read panicked. The service goes on.
    #[error("reading the state of `{name}` panicked: {text}")]
    Panicked {
        /// The child.
        name: Arc<str>,
        /// What the panic said.
        text: Arc<str>,
    },
    /// The state of the service is of another type.
    #[error("the state of `{name}` is a {found}, not a {expected}")]
    WrongState {
        /// The child.
        name: Arc<str>,
        /// The type that was asked for.
        expected: &'static str,
        /// The type that it is.
        found: &'static str,
    },
    /// Whoever asks was [abandoned](crate::OnHang): what it does now reaches nobody.
    #[error("`{name}` was not asked: the incarnation that asks was abandoned")]
    Fenced {
        /// The child.
        name: Arc<str>,
    },
    /// Whoever asks waits for itself: these are the names on the way, the first and the last the
    /// same.
    #[error("asking `{}` would wait for itself: {}", .names.get(1).map_or("?", |name| &**name), .names.join(" -> "))]
    Cycle {
        /// Who waits for whom.
        names: Vec<Arc<str>>,
    },
}

/// The system lane of a child. Made by [`Handle::sys`].
///
/// It is for looking into a service, for repair and for maintenance: what it does is seen by
/// nobody's messages.
///
/// # Example
///
/// ```
/// use underpin::{Context, Next, Service, Supervisor, child};
///
/// struct Counter(u64);
/// impl Service for Counter {
///     type Msg = u64;
///     type Error = std::convert::Infallible;
///     fn handle(&mut self, more: u64, _: &mut Context<Self>) -> Result<Next, Self::Error> {
///         self.0 += more;
///         Ok(Next::Continue)
///     }
/// }
///
/// let counter = child("counter", || Counter(0));
/// let handle = counter.handle();
/// let app = Supervisor::new("app").child(counter).start()?;
/// handle.sys().suspend()?;
/// handle.cast(2)?; // waits
/// assert_eq!(handle.sys().read_state(|counter: &Counter| counter.0)?, 0);
/// handle.sys().with_state(|counter: &mut Counter| counter.0 = 40)?;
/// handle.sys().resume()?;
/// # drop(app);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
#[must_use = "it does nothing by itself"]
pub struct System<'a, M> {
    handle: &'a Handle<M>,
    limit: Limit,
}

impl<'a, M: Send + 'static> System<'a, M> {
    pub(super) fn of(handle: &'a Handle<M>) -> Self {
        Self { handle, limit: Limit::In(DEFAULT_TIMEOUT) }
    }

    /// Waits at most so long for what is asked, instead of 5 s.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.limit = Limit::In(timeout);
        self
    }

    /// Waits until `deadline` for what is asked; [`Deadline::unbounded`] for ever.
    pub fn by(mut self, deadline: Deadline) -> Self {
        self.limit = Limit::By(deadline);
        self
    }

    /// Runs `work` on the state, on the service's thread, and returns what it returns.
    ///
    /// A panic of `work` may leave the state torn: the service crashes, as if the panic were its
    /// own, and is restarted as its supervisor sees fit.
    ///
    /// # Errors
    ///
    /// See [`SystemError`].
    ///
    /// # Blocking
    ///
    /// Until the service is done with its current message and with `work`, at most 5 s unless
    /// [`timeout`](Self::timeout) says otherwise.
    pub fn with_state<S, T>(&self, work: impl FnOnce(&mut S) -> T + Send + 'static) -> Result<T, SystemError>
    where
        S: Service<Msg = M>,
        T: Send + 'static,
    {
        let outcome = self.ask(|reply| {
            Task::Work(Box::new(move |state, found| match state.downcast_mut::<S>() {
                Some(state) => {
                    let answer = work(state);
                    contained(|| reply.send(Ok(answer))); // which drops it, if nobody waits any more
                }
                None => {
                    reply.send(Err(found));
                    contained(|| drop(work));
                }
            }))
        })?;
        outcome.map_err(|found| self.wrong_state::<S>(found))
    }

    /// As [`with_state`](Self::with_state), for work that only looks. A panic of `work` leaves the
    /// service as it was, and is told as [`SystemError::Panicked`].
    ///
    /// # Errors
    ///
    /// See [`SystemError`].
    ///
    /// # Blocking
    ///
    /// As [`with_state`](Self::with_state).
    pub fn read_state<S, T>(&self, work: impl FnOnce(&S) -> T + Send + 'static) -> Result<T, SystemError>
    where
        S: Service<Msg = M>,
        T: Send + 'static,
    {
        let outcome = self.ask(|reply: Reply<Result<Result<T, Arc<str>>, &'static str>>| {
            Task::Work(Box::new(move |state, found| {
                let read = match state.downcast_ref::<S>() {
                    Some(state) => Ok(catch_unwind(AssertUnwindSafe(|| work(state))).map_err(panic_text)),
                    None => {
                        contained(|| drop(work));
                        Err(found)
                    }
                };
                contained(|| reply.send(read)); // which drops it, if nobody waits any more
            }))
        })?;
        let read = outcome.map_err(|found| self.wrong_state::<S>(found))?;
        read.map_err(|text| SystemError::Panicked { name: self.handle.core().name(), text })
    }

    /// Suspends the service: it takes no messages and no timer fires until it is
    /// [resumed](Self::resume). Meanwhile messages queue, under the overflow policy, calls run into
    /// their deadlines, and the system lane and orders to stop are obeyed. A restart ends it. To
    /// suspend twice is to suspend once.
    ///
    /// # Errors
    ///
    /// See [`SystemError`].
    ///
    /// # Blocking
    ///
    /// Until the service is done with its current message, at most 5 s unless
    /// [`timeout`](Self::timeout) says otherwise.
    pub fn suspend(&self) -> Result<(), SystemError> {
        self.ask(Task::Suspend)
    }

    /// Ends a suspension. The service goes on with what is queued, in order; timers that have become
    /// due fire. Fine also if it was not suspended.
    ///
    /// # Errors
    ///
    /// See [`SystemError`].
    ///
    /// # Blocking
    ///
    /// As [`suspend`](Self::suspend).
    pub fn resume(&self) -> Result<(), SystemError> {
        self.ask(Task::Resume)
    }

    fn ask<T: Send + 'static>(&self, task: impl FnOnce(Reply<T>) -> Task) -> Result<T, SystemError> {
        if scope::is_fenced() {
            return Err(SystemError::Fenced { name: self.handle.core().name() });
        }
        let me = scope::me();
        let limit = me.as_ref().map_or(self.limit, |me| self.handle.inherit(me, self.limit));
        let slot = Arc::new(Slot::new(limit));
        let order = Order { call: Arc::clone(slot.ticket()), task: task(Reply::new(Arc::clone(&slot))) };
        let core = self.handle.core();
        if let Some(me) = &me {
            me.wait_for(&core.node, slot.ticket()).map_err(|names| SystemError::Cycle { names })?;
        }
        core.order(order);
        let answer = slot.wait(core.clock(), limit);
        if let Some(me) = &me {
            me.node.waits_no_more_for(slot.ticket());
        }
        self.settled(answer)
    }

    fn settled<T>(&self, answer: Option<Result<T, Failure>>) -> Result<T, SystemError> {
        let name = self.handle.core().name();
        match answer {
            Some(Ok(answer)) => Ok(answer),
            None => Err(SystemError::TimedOut { name }),
            Some(Err(Failure::Stopped)) => Err(SystemError::Stopped { name }),
            Some(Err(_)) => Err(SystemError::Crashed { name }),
        }
    }

    fn wrong_state<S>(&self, found: &'static str) -> SystemError {
        let name = self.handle.core().name();
        SystemError::WrongState { name, expected: std::any::type_name::<S>(), found }
    }
}
