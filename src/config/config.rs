//! A configuration, as the program uses it.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::board::Board;
use super::changes::Changes;
use super::consent::{Proposed, Silence, Verdict};
use super::courier::Courier;
use super::current::Current;
use super::diff::{Change, diff};
use super::errors::UpdateError;
use super::get::{GetError, typed};
use super::key::Key;
use super::notices::Notice;
use super::path::{Path, PathError};
use super::proposal::Proposal;
use super::reader::{Guard, Reader};
use super::registration::Registration;
use super::section::{Section, kind};
use super::server::{ConfigService, Order, Request};
use super::sink::Sink;
use super::snapshot::Snapshot;
use super::subscription::{Inbox, Subscription};
use super::ticket::Ticket;
use super::tree::Origin;
use super::validate::Validate;
use super::watch::Watch;
use crate::service::deadline::{DEFAULT_TIMEOUT, Deadline};
use crate::service::handle::Handle;
use crate::service::reply::Reply;
use crate::supervisor::spec::{ChildSpec, child};
use crate::sync::{self, AtomicBool, Clock, Mutex};

/// How many notices wait for a subscriber, if nothing else is said.
const DEFAULT_NOTICES: usize = 64;

/// What can be configured: the program's own struct.
///
/// Every type that fits has it; there is nothing to implement but [`Validate`].
pub trait Settings: Clone + Serialize + DeserializeOwned + Validate + Send + Sync + 'static {}

impl<T: Clone + Serialize + DeserializeOwned + Validate + Send + Sync + 'static> Settings for T {}

/// The settings of a program: one snapshot with a version, the same for everyone who looks at it.
///
/// - Reads take no lock, wait for nobody and never fail: [`load`](Self::load) looks at the present
///   snapshot, a [`reader`](Self::reader) keeps it as long as it is the present one,
///   [`snapshot`](Self::snapshot) says more about it, [`get`](Self::get) and [`key`](Self::key) find values
///   by path. They go on while the config service is down, restarting, or not started.
/// - Updates go to the config service, a [child](Self::child) of the program's tree, one after the
///   other: validate, ask, publish, report, notify, reply. One that is refused changes nothing. Versions
///   rise by one, and whoever got the reply reads what he wrote.
/// - A crash of the service loses nothing that was published.
///
/// Cheap to clone; all clones are the same configuration.
///
/// # Example
///
/// ```
/// use underpin::config::{Config, Layers, Validate};
/// use underpin::Supervisor;
///
/// #[derive(Clone, serde::Serialize, serde::Deserialize)]
/// struct Settings { workers: usize, limits: Limits }
/// #[derive(Clone, serde::Serialize, serde::Deserialize)]
/// struct Limits { soft: u64, hard: u64 }
/// impl Validate for Settings {}
///
/// let defaults = Settings { workers: 2, limits: Limits { soft: 10, hard: 20 } };
/// let config: Config<Settings> = Layers::new().defaults(defaults).load()?;
/// let supervisor = Supervisor::new("app").child(config.child()).start()?;
///
/// assert_eq!(config.update("limits.hard", 40)?, 2); // the version
/// assert_eq!(config.load().limits.hard, 40);
/// assert!(config.update("limits.hard", "many").is_err());
/// assert_eq!(config.rollback(1)?, 3);
/// assert_eq!(config.get_as::<u64>("limits.hard")?, 20);
/// # drop(supervisor);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Config<T: Settings> {
    present: Arc<sync::Snapshot<Current<T>>>,
    board: Arc<Board<T>>,
    handle: Handle<Request>,
    /// The service's description, until it is taken.
    spec: Arc<Mutex<Option<ChildSpec<ConfigService<T>>>>>,
}

impl<T: Settings> Config<T> {
    pub(crate) fn new(name: Arc<str>, board: Arc<Board<T>>, watch: Watch) -> Self {
        let factory = {
            let board = Arc::clone(&board);
            move || ConfigService::new(Arc::clone(&board), watch)
        };
        let spec = child(name, factory);
        let (present, handle) = (Arc::clone(&board.present), spec.handle());
        Self { present, board, handle, spec: Arc::new(Mutex::new(Some(spec))) }
    }

    /// The service that changes it, to be given to a supervisor, once. Before it runs, updates wait
    /// in its mailbox. It is permanent, and can be described further as any child, but for its mailbox:
    /// that is there already.
    ///
    /// A configuration has one service: taken a second time, the child is refused at its start.
    pub fn child(&self) -> ChildSpec<ConfigService<T>> {
        let taken = self.spec.lock().take();
        taken.unwrap_or_else(|| {
            let (name, board) = (self.handle.name().to_owned(), Arc::clone(&self.board));
            let fault = format!("the config `{name}` has its service already");
            child(name, move || ConfigService::new(Arc::clone(&board), Watch::No)).faulty(fault)
        })
    }

    /// Where events and metrics go from now on. Nowhere, if nothing is said. A bad start came before:
    /// the [snapshot](Self::snapshot) tells of it.
    pub fn set_sink(&self, sink: Arc<dyn Sink>) {
        self.board.set_sink(sink);
    }

    /// As [`set_sink`](Self::set_sink), where nothing was said.
    #[cfg(all(feature = "foundation", any(feature = "events", feature = "telemetry")))]
    pub(crate) fn set_default_sink(&self, sink: Arc<dyn Sink>) {
        self.board.set_default_sink(sink);
    }

    /// What its service is called.
    #[cfg(all(feature = "foundation", any(feature = "events", feature = "telemetry")))]
    pub(crate) fn name(&self) -> &str {
        self.handle.name()
    }

    // ---- reading -------------------------------------------------------------------------

    /// The present value, for a short look: it may be held as long as one likes, but each one that is
    /// held for long makes others a little slower. Never blocks.
    #[inline]
    pub fn load(&self) -> Guard<T> {
        Guard(self.present.peek())
    }

    /// A reader of one's own, which is faster than [`load`](Self::load) for who reads again and again.
    pub fn reader(&self) -> Reader<T> {
        Reader::new(Arc::clone(&self.present))
    }

    /// The present value with its version, its age, and whether it is what the layers say. Never
    /// blocks.
    pub fn snapshot(&self) -> Snapshot<T> {
        Snapshot::new(self.present.load(), self.board.degraded(), self.clock().clone())
    }

    /// The version in force. The first is 1.
    pub fn version(&self) -> u64 {
        self.present.peek().version
    }

    /// What stands at `path`. Never blocks. A thread that has looked something up so keeps the plain
    /// data of the version that it saw, until it looks again or ends.
    ///
    /// # Errors
    ///
    /// When nothing does.
    pub fn get(&self, path: &str) -> Result<Value, GetError> {
        self.find(path, |value| Ok(value.clone()))
    }

    /// As [`get`](Self::get), as a `U`.
    ///
    /// # Errors
    ///
    /// When nothing stands there, or something else.
    pub fn get_as<U: DeserializeOwned>(&self, path: &str) -> Result<U, GetError> {
        self.find(path, |value| typed(path, value))
    }

    fn find<U>(&self, path: &str, read: impl FnOnce(&Value) -> Result<U, GetError>) -> Result<U, GetError> {
        self.board.newest.glance(&self.present, |present| {
            present.get(path).ok_or_else(|| GetError::not_there(path)).and_then(read)
        })
    }

    /// A value that is read again and again: its path is resolved once, and its type is made when
    /// another version comes.
    ///
    /// # Errors
    ///
    /// As [`get_as`](Self::get_as).
    pub fn key<U: DeserializeOwned>(&self, path: &str) -> Result<Key<T, U>, GetError> {
        Key::new(Arc::clone(&self.present), path)
    }

    /// Where the value at `path` came from. What no layer says has its default from its type.
    ///
    /// # Errors
    ///
    /// When it is no path, or nothing stands there.
    pub fn origin(&self, path: &str) -> Result<Origin, GetError> {
        let at = Path::parse(path)?;
        let present = self.present.peek();
        present.value_at(&at).ok_or_else(|| GetError::not_there(path))?;
        Ok(present.origin(&at))
    }

    // ---- writing -------------------------------------------------------------------------

    /// Sets one value. What is set is a part of the configuration as a whole: a table replaces a
    /// table. Returns the version that it made; what is there already makes one too, of which no
    /// subscriber is told.
    ///
    /// # Errors
    ///
    /// When it is refused: by its path or size, the types, [`Validate`], a frozen path, a service that
    /// was asked. Then nothing was changed.
    ///
    /// # Blocking
    ///
    /// Until the config service has made it, at most 5 s, and before that at most 1 s for space in its
    /// mailbox. Inside a handler the deadline of that handler's caller applies too.
    pub fn update(&self, path: &str, value: impl Serialize) -> Result<u64, UpdateError> {
        self.update_many(Changes::new().set(path, value))
    }

    /// Makes several changes as one version, or none of them.
    ///
    /// # Errors
    ///
    /// As [`update`](Self::update).
    ///
    /// # Blocking
    ///
    /// As [`update`](Self::update).
    pub fn update_many(&self, changes: Changes) -> Result<u64, UpdateError> {
        self.propose(Proposal::Edit { updates: changes.into_updates()?, expected: None })
    }

    /// As [`update`](Self::update), if `version` is in force.
    ///
    /// # Errors
    ///
    /// As [`update`](Self::update), and [`UpdateError::Conflict`] if another version is.
    ///
    /// # Blocking
    ///
    /// As [`update`](Self::update).
    ///
    /// # Example
    ///
    /// ```
    /// # use underpin::config::{Config, Layers};
    /// # use underpin::Supervisor;
    /// # use serde_json::{Value, json};
    /// # let config: Config<Value> = Layers::new().defaults(json!({"workers": 2})).load()?;
    /// # let app = Supervisor::new("app").child(config.child()).start()?;
    /// let now = config.snapshot();
    /// assert_eq!(config.compare_and_update(now.version(), "workers", 3)?, 2);
    /// assert!(config.compare_and_update(now.version(), "workers", 4).is_err()); // somebody was first
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn compare_and_update(
        &self,
        version: u64,
        path: &str,
        value: impl Serialize,
    ) -> Result<u64, UpdateError> {
        self.compare_and_update_many(version, Changes::new().set(path, value))
    }

    /// As [`update_many`](Self::update_many), if `version` is in force.
    ///
    /// # Errors
    ///
    /// As [`compare_and_update`](Self::compare_and_update).
    ///
    /// # Blocking
    ///
    /// As [`update`](Self::update).
    pub fn compare_and_update_many(&self, version: u64, changes: Changes) -> Result<u64, UpdateError> {
        self.propose(Proposal::Edit { updates: changes.into_updates()?, expected: Some(version) })
    }

    /// Sets one value, and does not wait: the [ticket](Ticket) tells what came of it, and may be dropped.
    /// An update whose turn does not come within `life` from now is not made.
    ///
    /// # Errors
    ///
    /// When path or value are refused already, or the service is stopped or its mailbox full.
    ///
    /// # Blocking
    ///
    /// On a full mailbox at most 1 s.
    ///
    /// # Example
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use underpin::config::{Config, Layers};
    /// # use underpin::Supervisor;
    /// # use serde_json::{Value, json};
    /// # let config: Config<Value> = Layers::new().defaults(json!({"workers": 2})).load()?;
    /// # let app = Supervisor::new("app").child(config.child()).start()?;
    /// let ticket = config.update_async("workers", 3, Duration::from_secs(10))?;
    /// // something else, and then:
    /// assert_eq!(ticket.wait()?, 2);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn update_async(
        &self,
        path: &str,
        value: impl Serialize,
        life: Duration,
    ) -> Result<Ticket, UpdateError> {
        let updates = Changes::new().set(path, value).into_updates()?;
        let proposal = Proposal::Edit { updates, expected: None };
        let expires = Deadline::from(self.clock().now(), life);
        let pending = self.handle.request(|reply| Request(Order::Later(proposal, expires, reply)));
        pending.map(Ticket::new).map_err(|error| UpdateError::of_call(&crate::CallError::NotSent(error)))
    }

    /// Changes the value as a whole. The closure runs on the caller's thread, again whenever somebody else
    /// was first, and should do nothing but that. It sees each version that it changes: no update is lost.
    ///
    /// # Errors
    ///
    /// As [`update`](Self::update). [`UpdateError::Conflict`] if others were first for 5 s.
    ///
    /// # Blocking
    ///
    /// As [`update`](Self::update), at most 11 s, and what the closure takes.
    ///
    /// # Example
    ///
    /// ```
    /// # use underpin::config::{Config, Layers};
    /// # use underpin::Supervisor;
    /// # use serde_json::{Value, json};
    /// # let config: Config<Value> = Layers::new().defaults(json!({"workers": 2})).load()?;
    /// # let app = Supervisor::new("app").child(config.child()).start()?;
    /// config.modify(|settings| settings["workers"] = json!(3))?;
    /// assert_eq!(config.load()["workers"], 3);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn modify(&self, mut change: impl FnMut(&mut T)) -> Result<u64, UpdateError> {
        let until = self.clock().now() + DEFAULT_TIMEOUT;
        loop {
            let present = self.present.load();
            let mut value = present.value.clone();
            change(&mut value);
            let outcome = self.replace(&present, &value);
            match outcome {
                Err(UpdateError::Conflict { .. }) if self.clock().now() < until => {}
                outcome => return outcome,
            }
        }
    }

    fn replace(&self, present: &Current<T>, value: &T) -> Result<u64, UpdateError> {
        let unwritten = |error: serde_json::Error| UpdateError::NotSerialisable {
            path: Path::TOP,
            message: error.to_string(),
        };
        // Only what the type itself holds is compared: sections have documents of their own.
        let before = serde_json::to_value(&present.value).map_err(unwritten)?;
        let after = serde_json::to_value(value).map_err(unwritten)?;
        let changes = Changes::of(diff(&before, &after));
        self.compare_and_update_many(present.version, changes)
    }

    /// Takes all updates back: the value is what the layers said when they were last read, as after a
    /// start.
    ///
    /// # Errors
    ///
    /// As [`update`](Self::update).
    ///
    /// # Blocking
    ///
    /// As [`update`](Self::update).
    pub fn reset(&self) -> Result<u64, UpdateError> {
        self.propose(Proposal::Reset)
    }

    /// Takes all updates back, and what all layers but the defaults say, until a file says something
    /// else or there is a [reset](Self::reset). What is frozen stays.
    ///
    /// # Errors
    ///
    /// As [`update`](Self::update).
    ///
    /// # Blocking
    ///
    /// As [`update`](Self::update).
    pub fn reset_to_defaults(&self) -> Result<u64, UpdateError> {
        self.propose(Proposal::Defaults)
    }

    /// Puts the value of an earlier version in force, as a version of its own. What the files say
    /// now counts again when they are changed.
    ///
    /// # Errors
    ///
    /// As [`update`](Self::update); [`UpdateError::NoSuchVersion`] if it is not
    /// [kept](super::Layers::history).
    ///
    /// # Blocking
    ///
    /// As [`update`](Self::update).
    pub fn rollback(&self, version: u64) -> Result<u64, UpdateError> {
        self.propose(Proposal::Rollback(version))
    }

    /// Reads the layers again. `None` if they say what they said.
    ///
    /// # Errors
    ///
    /// As [`update`](Self::update). What was in force stays, and is [degraded](super::Degraded).
    ///
    /// # Blocking
    ///
    /// As [`update`](Self::update).
    pub fn reload(&self) -> Result<Option<u64>, UpdateError> {
        self.ask(|reply| Request(Order::Reload(Some(reply))))
    }

    /// As [`reload`](Self::reload), without waiting for it.
    ///
    /// # Errors
    ///
    /// When the service is stopped or its mailbox full.
    ///
    /// # Blocking
    ///
    /// On a full mailbox at most 1 s.
    pub fn request_reload(&self) -> Result<(), UpdateError> {
        let sent = self.handle.cast(Request(Order::Reload(None)));
        sent.map_err(|error| UpdateError::of_call(&crate::CallError::NotSent(error)))
    }

    fn propose(&self, proposal: Proposal) -> Result<u64, UpdateError> {
        self.ask(|reply| Request(Order::Update(proposal, reply)))
    }

    fn ask<A: Send + 'static>(
        &self,
        request: impl FnOnce(Reply<Result<A, UpdateError>>) -> Request,
    ) -> Result<A, UpdateError> {
        self.handle.call(request).map_err(|error| UpdateError::of_call(&error))?
    }

    // ---- versions ------------------------------------------------------------------------

    /// The versions that are kept: the oldest and the present one.
    pub fn versions(&self) -> (u64, u64) {
        self.board.versions()
    }

    /// What differs between two versions.
    ///
    /// # Errors
    ///
    /// [`UpdateError::NoSuchVersion`] if one is not kept.
    pub fn diff(&self, from: u64, to: u64) -> Result<Vec<Change>, UpdateError> {
        let (from, to) = (self.board.find(from)?, self.board.find(to)?);
        Ok(diff(&from.document, &to.document))
    }

    // ---- being told ----------------------------------------------------------------------

    /// The changes at `path` and below, from now on; at most 64 notices wait. An empty path is the whole.
    ///
    /// # Errors
    ///
    /// When it is no path.
    pub fn subscribe(&self, path: &str) -> Result<Subscription, PathError> {
        self.subscribe_bounded(path, DEFAULT_NOTICES)
    }

    /// As [`subscribe`](Self::subscribe), with at most so many notices, 1 at least.
    ///
    /// # Errors
    ///
    /// As [`subscribe`](Self::subscribe).
    pub fn subscribe_bounded(&self, path: &str, notices: usize) -> Result<Subscription, PathError> {
        let prefix = whole_or(path)?;
        let mut inbox = None;
        let outlet = |seen| Arc::clone(inbox.insert(Arc::new(Inbox::new(notices, seen)))) as Arc<_>;
        self.board.subscribers.add(prefix.clone(), || self.seen(), outlet);
        let inbox = inbox.unwrap_or_else(|| unreachable!("it was made"));
        Ok(Subscription::new(inbox, prefix, self.clock().clone()))
    }

    /// The changes at `path` and below, from now on, as messages to a service; an empty path is the
    /// whole. They wait for what is queued when the service sees them, and for nothing that is sent after
    /// that; they are not subject to the overflow policy, and those that come together while the service
    /// is busy are one. They belong to the child: its next incarnation gets them too, until the child is
    /// gone for good or the registration is cancelled.
    ///
    /// `message` runs on the thread of the service; a panic in it crashes that.
    ///
    /// # Errors
    ///
    /// When it is no path.
    ///
    /// # Example
    ///
    /// ```
    /// # use underpin::config::{Config, Layers, Notice};
    /// # use underpin::{Context, Next, Service, Supervisor, child};
    /// # use serde_json::{Value, json};
    /// struct Pool;
    /// enum Msg { Resized(Notice) }
    ///
    /// impl Service for Pool {
    ///     type Msg = Msg;
    ///     type Error = std::convert::Infallible;
    ///     fn handle(&mut self, Msg::Resized(notice): Msg, _: &mut Context<Self>) -> Result<Next, Self::Error> {
    ///         println!("workers: {:?}", notice.changes[0].new);
    ///         Ok(Next::Continue)
    ///     }
    /// }
    ///
    /// let config: Config<Value> = Layers::new().defaults(json!({"workers": 2})).load()?;
    /// let pool = child("pool", || Pool);
    /// config.subscribe_service("workers", &pool.handle(), Msg::Resized)?;
    /// let app = Supervisor::new("app").child(config.child()).child(pool).start()?;
    /// config.update("workers", 3)?;
    /// # drop(app);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn subscribe_service<M: Send + 'static>(
        &self,
        path: &str,
        service: &Handle<M>,
        message: impl Fn(Notice) -> M + Send + Sync + 'static,
    ) -> Result<Registration, PathError> {
        let prefix = whole_or(path)?;
        let is_gone = Arc::new(AtomicBool::new(false));
        let outlet =
            |seen| Arc::new(Courier::new(service, prefix.clone(), seen, message, &is_gone)) as Arc<_>;
        self.board.subscribers.add(prefix.clone(), || self.seen(), outlet);
        Ok(Registration::new(is_gone))
    }

    /// Asks a service before a change at `path` or below is published; an empty path is the whole. It
    /// may refuse by answering `Err` with the reason. All who are asked have one
    /// [deadline](super::Layers::consent_timeout), however long the caller of the update waits; `silence`
    /// says what it means not to answer by then. One that did not answer is not waited for again as long
    /// as it is stuck there. The service from whose handler the update comes, and one that is stopped, is
    /// taken to agree.
    ///
    /// `message` runs on the thread of the config service. A panic in it crashes that, with the update in
    /// hand and nothing else; over a file that is [watched](super::Layers::watch) the file counts as wrong
    /// instead.
    ///
    /// # Errors
    ///
    /// When it is no path.
    ///
    /// # Example
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use underpin::config::{Config, Layers, Proposed, Silence, UpdateError, Verdict};
    /// # use underpin::{Context, Next, Reply, Service, Supervisor, child};
    /// # use serde_json::{Value, json};
    /// struct Pool;
    /// enum Msg { MayResize(Arc<Proposed>, Reply<Verdict>) }
    ///
    /// impl Service for Pool {
    ///     type Msg = Msg;
    ///     type Error = std::convert::Infallible;
    ///     fn handle(&mut self, msg: Msg, _: &mut Context<Self>) -> Result<Next, Self::Error> {
    ///         let Msg::MayResize(proposed, reply) = msg;
    ///         let too_many = proposed.changes.iter().any(|change| change.new == Some(json!(99)));
    ///         reply.send(if too_many { Err("there is no memory for that".into()) } else { Ok(()) });
    ///         Ok(Next::Continue)
    ///     }
    /// }
    ///
    /// let config: Config<Value> = Layers::new().defaults(json!({"workers": 2})).load()?;
    /// let pool = child("pool", || Pool);
    /// config.ask_before("workers", &pool.handle(), Silence::Refuses, Msg::MayResize)?;
    /// let app = Supervisor::new("app").child(config.child()).child(pool).start()?;
    /// assert_eq!(config.update("workers", 3)?, 2);
    /// assert!(matches!(config.update("workers", 99), Err(UpdateError::Vetoed { .. })));
    /// # drop(app);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn ask_before<M: Send + 'static>(
        &self,
        path: &str,
        service: &Handle<M>,
        silence: Silence,
        message: impl Fn(Arc<Proposed>, Reply<Verdict>) -> M + Send + Sync + 'static,
    ) -> Result<Registration, PathError> {
        let prefix = whole_or(path)?;
        let is_gone = self.board.jury.add(service, prefix, silence, message);
        Ok(Registration::new(is_gone))
    }

    fn seen(&self) -> (u64, Arc<Value>) {
        let present = self.present.peek();
        (present.version, Arc::clone(&present.document))
    }

    // ---- sections ------------------------------------------------------------------------

    /// Registers a part of the configuration that has a type, defaults and a validation of its own, as
    /// of a library inside the program. Registered again with the same type, it is the same.
    ///
    /// # Errors
    ///
    /// When what the layers say there is wrong, or the service cannot be asked; [`UpdateError::Taken`] if
    /// a section of another type is there, above or below. Whether somebody vetoes it is asked as well.
    ///
    /// # Blocking
    ///
    /// As [`update`](Self::update), for the first; not at all when it is registered already.
    ///
    /// # Example
    ///
    /// ```
    /// # use underpin::config::{Config, Layers, Validate};
    /// # use underpin::Supervisor;
    /// # use serde_json::{Value, json};
    /// #[derive(serde::Serialize, serde::Deserialize)]
    /// #[serde(default)]
    /// struct Limits { soft: u64, hard: u64 }
    ///
    /// impl Default for Limits {
    ///     fn default() -> Self {
    ///         Self { soft: 10, hard: 20 }
    ///     }
    /// }
    ///
    /// impl Validate for Limits {}
    ///
    /// let config: Config<Value> = Layers::new().defaults(json!({"limits": {"soft": 1}})).load()?;
    /// let app = Supervisor::new("app").child(config.child()).start()?;
    /// let limits = config.section::<Limits>("limits")?;
    /// assert_eq!((limits.load().soft, limits.load().hard), (1, 20));
    /// config.update("limits.hard", 40)?;
    /// assert_eq!(limits.load().hard, 40);
    /// # drop(app);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn section<S>(&self, path: &str) -> Result<Section<T, S>, UpdateError>
    where
        S: Default + Serialize + DeserializeOwned + Validate + Send + Sync + 'static,
    {
        let place = Path::parse(path)?;
        let found = || self.board.section::<S>(&place);
        let number = match found() {
            Some(number) => number,
            // Another thread may be first, with the same type.
            None => match self.propose(Proposal::Section(kind::<S>(place.clone())?)) {
                Ok(_) | Err(UpdateError::Taken { .. }) => {
                    found().ok_or_else(|| UpdateError::Taken { path: place.clone() })?
                }
                Err(error) => return Err(error),
            },
        };
        Ok(Section::new(Arc::clone(&self.present), number, place))
    }

    fn clock(&self) -> &Clock {
        self.handle.core().clock()
    }
}

/// An empty text is the path of the whole.
fn whole_or(path: &str) -> Result<Path, PathError> {
    if path.is_empty() { Ok(Path::TOP) } else { Path::parse(path) }
}

impl<T: Settings> Clone for Config<T> {
    fn clone(&self) -> Self {
        Self {
            present: Arc::clone(&self.present),
            board: Arc::clone(&self.board),
            handle: self.handle.clone(),
            spec: Arc::clone(&self.spec),
        }
    }
}

impl<T: Settings> fmt::Debug for Config<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Config").field("name", &self.handle.name()).field("version", &self.version()).finish()
    }
}
