//! What a child is: its factory, and the terms on which it is supervised.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use super::backoff::Backoff;
use super::child::ServiceChild;
use super::hang::OnHang;
use super::policy::{ChildRules, ExitKind};
use super::strategy::Restart;
use crate::error::{ErrorKind, Reaction, Reactions, SharedError};
use crate::registry::Tags;
use crate::service::claim::Claim;
use crate::service::core::Core;
use crate::service::dead_letters::{DeadLetter, DeadLetters, DeadReason, Undertaker};
use crate::service::exit::Exit;
use crate::service::handle::Handle;
use crate::service::mailbox::{Keep, Overflow};
use crate::service::recipe::{Factory, Maker};
use crate::service::service::Service;
use crate::service::wait::Wait;
use crate::service::worker::{Cell, Terms};
use crate::sync::Mutex;

/// How many messages a mailbox holds if nothing else is said.
pub const DEFAULT_CAPACITY: usize = 1024;
/// How long a start, and a stop, may take if nothing else is said: 5 s, as in OTP.
pub(crate) const DEFAULT_GRACE: Duration = Duration::from_secs(5);
/// More would be reserved at once, and is a mistake.
const MAX_CAPACITY: usize = 1 << 24;

/// What a factory may return: the service, or a `Result` with it.
pub trait Made: sealed::Sealed {
    /// The service that was made.
    type Service: Service;
    #[doc(hidden)]
    fn made(self) -> Result<Self::Service, SharedError>;
}

mod sealed {
    pub trait Sealed {}
    impl<S: super::Service> Sealed for S {}
    impl<S: super::Service, E> Sealed for Result<S, E> {}
}

impl<S: Service> Made for S {
    type Service = S;
    fn made(self) -> Result<S, SharedError> {
        Ok(self)
    }
}

impl<S: Service, E: Into<Box<dyn std::error::Error + Send + Sync>>> Made for Result<S, E> {
    type Service = S;
    fn made(self) -> Result<S, SharedError> {
        self.map_err(|error| SharedError::from(error.into()))
    }
}

/// Describes a child that runs the service made by `factory`. Its name is not empty and holds no
/// `/` and no NUL; another is refused at the start.
///
/// The factory runs on the child's own thread, once for each incarnation: it holds what a fresh
/// state is made from, and may fail.
///
/// # Example
///
/// ```
/// use std::time::Duration;
/// use underpin::{Backoff, Context, Next, Overflow, Restart, Service, child};
///
/// struct Printer;
/// impl Service for Printer {
///     type Msg = String;
///     type Error = std::io::Error;
///     fn handle(&mut self, line: String, _: &mut Context<Self>) -> Result<Next, Self::Error> {
///         println!("{line}");
///         Ok(Next::Continue)
///     }
/// }
///
/// let printer = child("printer", || Printer)
///     .capacity(64)
///     .overflow(Overflow::DropOldest)
///     .restart(Restart::Transient)
///     .backoff(Backoff::exponential(Duration::from_millis(10), Duration::from_secs(5)))
///     .shutdown(Duration::from_secs(1));
/// let handle = printer.handle(); // exists before the thread
/// # drop(handle);
/// ```
pub fn child<R: Made>(
    name: impl Into<Arc<str>>,
    factory: impl Fn() -> R + Send + Sync + 'static,
) -> ChildSpec<R::Service> {
    ChildSpec::new(name.into(), Arc::new(move || factory().made()))
}

/// A child: what it runs, and the terms on which it is supervised. Made by [`child`].
///
/// Dropped before it was given to a supervisor, it counts as stopped: what was sent to its handles
/// is settled.
#[must_use = "a child does nothing before a supervisor starts it"]
pub struct ChildSpec<S: Service> {
    name: Arc<str>,
    factory: Factory<S>,
    pub(super) rules: ChildRules,
    keep: Keep,
    wait: Wait,
    overflow: Overflow,
    capacity: usize,
    max_capacity: Option<usize>,
    reactions: Reactions,
    undertaker: Mutex<Option<Undertaker<S::Msg>>>,
    has_undertaker: bool,
    kept_letters: usize,
    stack: Option<usize>,
    stuck_after: Option<Duration>,
    registered: bool,
    tags: Tags,
    core: OnceLock<Arc<Core<S::Msg>>>,
    fault: Option<String>,
}

impl<S: Service> ChildSpec<S> {
    fn new(name: Arc<str>, factory: Factory<S>) -> Self {
        let rules = ChildRules {
            restart: Restart::Permanent,
            init: DEFAULT_GRACE,
            grace: Some(DEFAULT_GRACE),
            on_hang: OnHang::default(),
            backoff: None,
            significant: false,
        };
        Self {
            name,
            factory,
            rules,
            keep: Keep::Keep,
            wait: Wait::default(),
            overflow: Overflow::default(),
            capacity: DEFAULT_CAPACITY,
            max_capacity: None,
            reactions: Reactions::default(),
            undertaker: Mutex::new(None),
            has_undertaker: false,
            kept_letters: 0,
            stack: None,
            stuck_after: None,
            registered: false,
            tags: Tags::default(),
            core: OnceLock::new(),
            fault: None,
        }
    }

    /// Which exits are followed by a restart. [`Restart::Permanent`] if nothing is said.
    pub fn restart(mut self, restart: Restart) -> Self {
        self.rules.restart = restart;
        self
    }

    /// How many messages the mailbox holds, 1 to 16,777,216. [`DEFAULT_CAPACITY`] if nothing is
    /// said. Their memory is reserved when the first handle is taken; said after that, it is refused at
    /// the start.
    pub fn capacity(mut self, messages: usize) -> Self {
        self.capacity = messages;
        self.before_handle("capacity")
    }

    /// How many messages the mailbox can be [set](crate::SupervisorRef::reconfigure_child) to hold
    /// while it runs: the [`capacity`](Self::capacity) to 16,777,216. As many as that, if nothing is
    /// said. It is their memory that is reserved when the first handle is taken; said after that, it
    /// is refused at the start.
    pub fn max_capacity(mut self, messages: usize) -> Self {
        self.max_capacity = Some(messages);
        self.before_handle("max_capacity")
    }

    /// What happens to a message that is sent to the full mailbox. Said after the first handle is
    /// taken, it is refused at the start.
    pub fn overflow(mut self, overflow: Overflow) -> Self {
        self.overflow = overflow;
        self.before_handle("overflow")
    }

    /// What becomes of queued messages after a crash.
    pub fn mailbox(mut self, keep: Keep) -> Self {
        self.keep = keep;
        self
    }

    /// Its own end may be the supervisor's: see [`AutoShutdown`](crate::AutoShutdown). Not for a
    /// permanent child, which never ends by itself.
    pub fn significant(mut self) -> Self {
        self.rules.significant = true;
        self
    }

    /// How long a stop may take, `terminate` and the drop of the state included, before the thread
    /// is abandoned, or what else [`on_hang`](Self::on_hang) says. 5 s if nothing is said.
    pub fn shutdown(mut self, grace: Duration) -> Self {
        self.rules.grace = Some(grace);
        self
    }

    /// How long a start may take, factory and `init` together, before it counts as failed and the
    /// thread is abandoned, or what else [`on_hang`](Self::on_hang) says. 5 s if nothing is said.
    pub fn init_timeout(mut self, limit: Duration) -> Self {
        self.rules.init = limit;
        self
    }

    /// What is done when a start or a stop takes longer than it may. [`OnHang::Abandon`] if nothing
    /// is said.
    pub fn on_hang(mut self, on_hang: OnHang) -> Self {
        self.rules.on_hang = on_hang;
        self
    }

    /// Reports the child as [`Stuck`](crate::SupervisionEvent::Stuck) when it has been busy with one
    /// message, or in one callback, for so long. It is not touched. What its root's
    /// [`stuck_after`](crate::Supervisor::stuck_after) says, if nothing is said; there is more about
    /// it there. 0 is refused at the start.
    pub fn stuck_after(mut self, busy: Duration) -> Self {
        self.stuck_after = Some(busy);
        self
    }

    /// How long to wait before each restart. What its supervisor says, if nothing is said.
    pub fn backoff(mut self, backoff: Backoff) -> Self {
        self.rules.backoff = Some(backoff);
        self
    }

    /// What an error of this kind does, other than the table at [`ErrorKind`] says.
    pub fn on_error(mut self, kind: ErrorKind, reaction: Reaction) -> Self {
        self.reactions.set(kind, reaction);
        self
    }

    /// Gets each accepted message without a call that no incarnation will handle. It runs where
    /// the message was given up: on the thread of the child, of a sender, or of the tree's janitor.
    ///
    /// A hook that sends to this very child, while its full mailbox drops, calls itself without end.
    /// What is to be sent again is kept.
    ///
    /// A letter is handed over or [kept](Self::keep_dead_letters): both are refused at the start.
    pub fn on_dead_letter(mut self, hook: impl Fn(DeadLetter<S::Msg>) + Send + Sync + 'static) -> Self {
        self.undertaker = Mutex::new(Some(Box::new(hook)));
        self.has_undertaker = true;
        self.before_handle("on_dead_letter")
    }

    /// Keeps the last `most` dead letters, 0 to 16,777,216, to be [listed](Handle::dead_letters),
    /// [sent again](Handle::replay_dead_letters) or [taken](Handle::take_dead_letters), also after
    /// the child was terminated and started again. One more, and the oldest is dropped and counted.
    /// 0 if nothing is said. Said after the first handle is taken, it is refused at the start, and
    /// so it is together with [`on_dead_letter`](Self::on_dead_letter).
    ///
    /// A kept message keeps alive what it holds until it is handled, dropped, or the last handle is
    /// gone and the tree with it. With somebody else's [`Reply`](crate::Reply) in it, that caller
    /// waits until his deadline; with a handle to the child itself, neither goes before the letter
    /// is taken. It is labelled, by [`Service::label`], where it is given up.
    pub fn keep_dead_letters(mut self, most: usize) -> Self {
        self.kept_letters = most;
        self.before_handle("keep_dead_letters")
    }

    /// How the thread waits for messages.
    pub fn wait(mut self, wait: Wait) -> Self {
        self.wait = wait;
        self
    }

    /// The stack of the thread, in bytes. What the standard library takes, if nothing is said.
    pub fn stack_size(mut self, bytes: usize) -> Self {
        self.stack = Some(bytes);
        self
    }

    /// Registers the child under its name, so that others [find](crate::Context::whereis) it. The
    /// name is the child's from before its first start until it is gone for good. A start under a
    /// name that is taken fails.
    pub fn registered(mut self) -> Self {
        self.registered = true;
        self
    }

    /// Puts a tag on the name under which the child is registered, for others to
    /// [see](crate::RegistryEntry::metadata) and to [select by](crate::Registry::find_tagged). With
    /// the same key again, the last counts. Every incarnation begins with these tags, and may
    /// [change](crate::Context::set_tag) them for its own life.
    ///
    /// A name has at most 16 tags; a key has 1 to 64 bytes, a value at most 256. More is refused at the
    /// start, and so is a tag of a child that is not [registered](Self::registered).
    pub fn tag(mut self, key: impl Into<Arc<str>>, value: impl Into<Arc<str>>) -> Self {
        if let Err(error) = self.tags.set(key.into(), value.into()) {
            self.fault.get_or_insert(error.to_string());
        }
        self
    }

    /// A handle to the child. It exists before the thread does: messages sent already wait for it.
    pub fn handle(&self) -> Handle<S::Msg> {
        Handle::new(Arc::clone(self.core()))
    }

    fn core(&self) -> &Arc<Core<S::Msg>> {
        self.core.get_or_init(|| {
            let undertaker = self.undertaker.lock().take();
            let keep = || DeadLetters::kept(&self.name, self.kept_letters, S::label);
            let letters = undertaker.map_or_else(keep, DeadLetters::handed);
            // What is out of range is refused before the start: nothing is reserved for it.
            let reserved = if self.capacity_fault().is_none() { self.reserved() } else { 1 };
            let core = Core::new(Arc::clone(&self.name), reserved, self.overflow, letters);
            core.mailbox.set_capacity(self.capacity);
            Arc::new(core)
        })
    }

    /// Refuses it at the start, for this reason.
    #[cfg(any(
        feature = "config",
        feature = "events",
        feature = "health",
        all(feature = "foundation", feature = "resilience")
    ))]
    pub(crate) fn faulty(mut self, fault: String) -> Self {
        self.fault = Some(fault);
        self
    }

    fn before_handle(mut self, option: &str) -> Self {
        if self.core.get().is_some() {
            self.fault = Some(format!("`{option}` was set after a handle was taken"));
        }
        self
    }

    /// What is wrong with the description, if anything.
    fn fault(&self) -> Option<String> {
        if let Some(fault) = name_fault(&self.name) {
            return Some(fault);
        }
        if let Some(fault) = self.capacity_fault() {
            return Some(fault);
        }
        if self.stuck_after.is_some_and(|limit| limit.is_zero()) {
            return Some("its stuck_after is longer than 0".into());
        }
        if self.kept_letters > MAX_CAPACITY {
            return Some(format!("it keeps 0 to {MAX_CAPACITY} dead letters, not {}", self.kept_letters));
        }
        if self.kept_letters > 0 && self.has_undertaker {
            return Some("dead letters are handed over (`on_dead_letter`) or kept, not both".into());
        }
        if self.rules.significant && self.rules.restart == Restart::Permanent {
            return Some(PERMANENT_SIGNIFICANT.into());
        }
        if !self.registered && !self.tags.is_empty() {
            return Some("tags are on a registered name, and the child is not `registered`".into());
        }
        self.fault.clone()
    }

    fn reserved(&self) -> usize {
        self.max_capacity.unwrap_or(self.capacity)
    }

    fn capacity_fault(&self) -> Option<String> {
        let (capacity, reserved) = (self.capacity, self.reserved());
        if !is_capacity(capacity) {
            return Some(format!("its capacity is 1 to {MAX_CAPACITY}, not {capacity}"));
        }
        let fits = (capacity..=MAX_CAPACITY).contains(&reserved);
        (!fits).then(|| {
            format!("its max_capacity is its capacity, {capacity}, to {MAX_CAPACITY}, not {reserved}")
        })
    }

    pub(crate) fn into_child(mut self) -> ServiceChild<S::Msg> {
        let core = Arc::clone(self.core());
        self.core = OnceLock::new(); // the child's from here on
        let terms = Terms {
            keep: self.keep,
            wait: self.wait,
            reactions: self.reactions,
            wants_restart: match self.rules.restart {
                Restart::Permanent => |exit| Restart::Permanent.wants(ExitKind::of(exit)),
                Restart::Transient => |exit| Restart::Transient.wants(ExitKind::of(exit)),
                Restart::Temporary => |exit| Restart::Temporary.wants(ExitKind::of(exit)),
            },
        };
        ServiceChild {
            fault: self.fault(),
            rules: Mutex::new(self.rules),
            exchange: Mutex::new(None),
            stack: self.stack,
            stuck_after: self.stuck_after,
            cell: Arc::new(Cell {
                core,
                terms,
                recipe: Mutex::new(Arc::new(Maker::new(Arc::clone(&self.factory)))),
                claim: if self.registered { Claim::with(self.tags.clone()) } else { Claim::default() },
            }),
        }
    }
}

/// What is wrong with a significant child that never ends by itself.
pub(super) const PERMANENT_SIGNIFICANT: &str = "a significant child is transient or temporary, not permanent";

/// What is wrong with a name, if anything. Paths are made of names, and threads are called by them.
pub(super) fn name_fault(name: &str) -> Option<String> {
    let wrong = name.is_empty() || name.contains(['/', '\0']);
    wrong.then(|| format!("a name is not empty and holds no `/` and no NUL, not {name:?}"))
}

fn is_capacity(messages: usize) -> bool {
    (1..=MAX_CAPACITY).contains(&messages)
}

impl ExitKind {
    /// The policy's word for an exit.
    pub(crate) fn of(exit: &Exit) -> Self {
        match exit {
            Exit::Normal => Self::Normal,
            Exit::Shutdown => Self::Shutdown,
            Exit::Ignored => Self::Ignored,
            Exit::Replaced => Self::HandedOver,
            _ => Self::Abnormal,
        }
    }
}

impl<S: Service> Drop for ChildSpec<S> {
    fn drop(&mut self) {
        if let Some(core) = self.core.get() {
            never_started(core);
        }
    }
}

impl<M: Send + 'static> Drop for ServiceChild<M> {
    fn drop(&mut self) {
        never_started(&self.cell.core);
    }
}

/// Only a child that was never started is still open when its description goes.
fn never_started<M: Send + 'static>(core: &Core<M>) {
    if core.close(&Exit::Shutdown) {
        core.drain(DeadReason::Stopped);
    }
}
