//! What a service may do besides changing its state: timers, monitors, names, itself.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, DefaultHasher};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::claim::Claim;
use super::core::{Core, Urgent};
use super::deadline::{Deadline, later};
use super::fence::Fence;
use super::handle::Handle;
use super::incarnation::{Incarnation, told};
use super::monitor::{Down, MonitorRef};
use super::service::Service;
use super::timers::{TimerRef, Timers};
use crate::error::{ErrorKind, SharedError};
use crate::registry::Registry;
use crate::sync::Clock;

/// Who hears of what happens inside an incarnation. Called on its thread.
pub(crate) trait Observer: Send + Sync {
    /// The incarnation entered the state that it shows.
    fn entered(&self, incarnation: &Incarnation);
    /// An error was answered, not fatal.
    fn answered(&self, incarnation: &Incarnation, label: &'static str, kind: ErrorKind, error: &SharedError);
}

/// What an incarnation gets from its surroundings.
#[derive(Clone)]
pub(crate) struct Env {
    pub(crate) clock: Clock,
    pub(crate) registry: Registry,
    pub(crate) observer: Arc<dyn Observer>,
}

/// The surroundings of a service, in each of its callbacks.
///
/// Timers and monitors belong to the incarnation that set them, and end with it.
pub struct Context<S: Service> {
    pub(super) core: Arc<Core<S::Msg>>,
    pub(super) claim: Claim,
    pub(super) incarnation: Arc<Incarnation>,
    pub(super) env: Env,
    pub(super) timers: Timers<S::Msg>,
    pub(super) monitors: Monitors,
    pub(super) idle: Idle,
    /// What it does each time when it is suspended and has nothing to do.
    pub(super) stand_by: Option<StandBy>,
    monitors_set: u64,
}

/// Of services of this crate alone: it must not panic, nor block.
pub(crate) type StandBy = Box<dyn Fn() + Send>;

/// The monitors of an incarnation, by their numbers. Those are its own, so the hashes need no secret,
/// which each thread would have to ask the system for.
pub(super) type Monitors = HashMap<u64, Undo, BuildHasherDefault<DefaultHasher>>;

/// Takes a monitor off the child that it watches.
type Undo = Box<dyn FnOnce() + Send>;

/// The idle time-out of a service.
#[derive(Default)]
pub(super) struct Idle {
    pub(super) after: Option<Duration>,
    /// When it is due; `None` while there are messages, and once it has been told.
    pub(super) due: Option<Instant>,
    pub(super) told: bool,
}

impl<S: Service> Context<S> {
    pub(super) fn new(
        core: Arc<Core<S::Msg>>,
        claim: Claim,
        incarnation: Arc<Incarnation>,
        env: Env,
    ) -> Self {
        Self {
            core,
            claim,
            incarnation,
            env,
            timers: Timers::new(),
            monitors: Monitors::default(),
            idle: Idle::default(),
            stand_by: None,
            monitors_set: 0,
        }
    }

    /// What this incarnation does each time when it is suspended and has nothing to do.
    #[cfg(feature = "tasks")]
    pub(crate) fn on_stand_by(&mut self, stand_by: StandBy) {
        self.stand_by = Some(stand_by);
    }

    /// The name of this child.
    pub fn name(&self) -> &str {
        &self.incarnation.node.name
    }

    /// Which incarnation this is; 1 is the first.
    pub fn epoch(&self) -> u64 {
        self.incarnation.epoch
    }

    /// Whether this incarnation still stands for its child, for what is done outside of the crate and
    /// on threads of one's own.
    pub fn fence(&self) -> Fence {
        Fence::of(&self.incarnation)
    }

    /// A handle to this child itself, for others. To call oneself through it is refused.
    pub fn handle(&self) -> Handle<S::Msg> {
        Handle::new(Arc::clone(&self.core))
    }

    /// The present moment, by the clock of the tree.
    pub fn now(&self) -> Instant {
        self.env.clock.now()
    }

    /// Whether this incarnation was asked to stop. A long callback looks now and then.
    pub fn is_stopping(&self) -> bool {
        self.incarnation.told() & (told::STOP | told::ABANDONED) != 0
    }

    /// By when the caller of the current message wants its answer; unbounded for a cast, 5 s after it
    /// was handled first for a [`request`](Handle::request) without a deadline.
    /// Nested calls inherit it without being told.
    pub fn deadline(&self) -> Deadline {
        let inherited = self.incarnation.inherited_deadline(self.now());
        inherited.unwrap_or(Deadline::unbounded())
    }

    /// Whether more messages wait, of those that are handled in their turn.
    #[cfg(feature = "events")]
    pub(crate) fn has_mail(&self) -> bool {
        self.core.mailbox.len() > 0
    }

    /// The clock of the tree.
    #[cfg(feature = "config")]
    pub(crate) fn clock(&self) -> &Clock {
        &self.env.clock
    }

    /// Sends `message` to this incarnation after `delay`, ahead of queued messages, never early.
    pub fn send_after(&mut self, delay: Duration, message: S::Msg) -> TimerRef {
        self.timers.set(later(self.now(), delay), message)
    }

    /// Sends `message` to this incarnation at `due`, or at once if that is past.
    pub fn send_at(&mut self, due: Instant, message: S::Msg) -> TimerRef {
        self.timers.set(due, message)
    }

    /// Takes a timer's message back; `None` if it has fired. A cancelled timer never fires.
    pub fn cancel(&mut self, timer: TimerRef) -> Option<S::Msg> {
        self.timers.cancel(timer)
    }

    /// Calls [`Service::idle`] when no message came for so long; `None` turns that off.
    pub fn set_idle_timeout(&mut self, after: Option<Duration>) {
        self.idle = Idle { after, due: None, told: false };
    }

    /// Sends this incarnation one message when `other` is gone for good: not at its restarts, and
    /// at once if it is gone already. What `other` sent before its end is handled before.
    ///
    /// # Example
    ///
    /// ```
    /// # use underpin::{Context, Down, Handle, Init, Next, Service};
    /// struct Watch(Handle<u8>);
    /// enum Msg { Gone(Down) }
    ///
    /// impl Service for Watch {
    ///     type Msg = Msg;
    ///     type Error = std::convert::Infallible;
    ///
    ///     fn init(&mut self, cx: &mut Context<Self>) -> Result<Init, Self::Error> {
    ///         cx.monitor(&self.0, Msg::Gone);
    ///         Ok(Init::Ready)
    ///     }
    ///
    ///     fn handle(&mut self, Msg::Gone(down): Msg, _: &mut Context<Self>) -> Result<Next, Self::Error> {
    ///         println!("{} {}", down.name, down.exit);
    ///         Ok(Next::Stop)
    ///     }
    /// }
    /// ```
    pub fn monitor<N: Send + 'static>(
        &mut self,
        other: &Handle<N>,
        message: impl FnOnce(Down) -> S::Msg + Send + 'static,
    ) -> MonitorRef {
        self.monitors_set += 1;
        let monitor = self.monitors_set;
        let (core, epoch) = (Arc::clone(&self.core), self.epoch());
        let number = other.core().watchers.add(Box::new(move |down| {
            let message = Box::new(move || message(down));
            core.mailbox.push_urgent(Urgent::Down { epoch, monitor, message });
        }));
        let watched = Arc::clone(other.core());
        self.monitors.insert(monitor, Box::new(move || watched.watchers.remove(number)));
        MonitorRef(monitor)
    }

    /// Removes a monitor: its message will not come any more, even if it was on its way.
    /// `false` if it came.
    pub fn demonitor(&mut self, monitor: MonitorRef) -> bool {
        let undo = self.monitors.remove(&monitor.0);
        let was_set = undo.is_some();
        undo.into_iter().for_each(|undo| undo());
        was_set
    }

    /// Removes all monitors: the incarnation ends.
    pub(super) fn demonitor_all(&mut self) {
        std::mem::take(&mut self.monitors).into_values().for_each(|undo| undo());
    }

    /// The child that is registered under `name`, if its messages are of type `N`.
    pub fn whereis<N: Send + 'static>(&self, name: &str) -> Option<Handle<N>> {
        self.env.registry.find(name)
    }

    /// The names that this service can look up: those of the namespace that its tree is in. Waits for
    /// a name go by the clock of the tree.
    pub fn registry(&self) -> &Registry {
        &self.env.registry
    }
}
