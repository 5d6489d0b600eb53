//! One who waits for changes.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

use super::errors::RecvError;
use super::notices::{Notice, Notices, Taken};
use super::path::Path;
use super::subscribers::Outlet;
use crate::service::deadline::Deadline;
use crate::sync::{self, Clock, Mutex, Thread, mutant};

/// The changes of one part of the configuration, in the order of their versions.
///
/// At most so many notices wait; one more is taken in by the newest, so that the last version always
/// arrives and a slow subscriber holds up nobody. Dropped, it is told no more. Time-outs go by the clock
/// of the tree, if the config service was started when it was made.
///
/// # Example
///
/// ```
/// # use underpin::config::{Config, Layers};
/// # use underpin::Supervisor;
/// # use serde_json::{Value, json};
/// let config: Config<Value> = Layers::new().defaults(json!({"limits": {"soft": 1}})).load()?;
/// let app = Supervisor::new("app").child(config.child()).start()?;
/// let mut limits = config.subscribe("limits")?;
/// config.update("limits.soft", 2)?;
/// let notice = limits.recv_timeout(std::time::Duration::from_secs(5))?;
/// assert_eq!(notice.version, 2);
/// assert_eq!(notice.changes[0].path.to_string(), "limits.soft");
/// assert_eq!(notice.changes[0].new, Some(json!(2)));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Subscription {
    inbox: Arc<Inbox>,
    prefix: Path,
    clock: Clock,
}

impl Subscription {
    pub(crate) fn new(inbox: Arc<Inbox>, prefix: Path, clock: Clock) -> Self {
        Self { inbox, prefix, clock }
    }

    /// What it is told of.
    pub fn path(&self) -> &Path {
        &self.prefix
    }

    /// The next notice, if it is there. Never blocks.
    pub fn try_recv(&mut self) -> Option<Notice> {
        let taken = self.inbox.0.lock().notices.take()?;
        Some(taken.notice(&self.prefix))
    }

    /// The next notice, waited for at most `timeout`.
    ///
    /// # Errors
    ///
    /// When nothing changed in time, and when the configuration is gone.
    ///
    /// # Blocking
    ///
    /// Until something changes, at most `timeout`.
    pub fn recv_timeout(&mut self, timeout: Duration) -> Result<Notice, RecvError> {
        self.recv_by(Deadline::from(self.clock.now(), timeout))
    }

    /// As [`recv_timeout`](Self::recv_timeout), until `deadline`.
    ///
    /// # Errors
    ///
    /// As [`recv_timeout`](Self::recv_timeout).
    ///
    /// # Blocking
    ///
    /// Until something changes, or `deadline`; [`Deadline::unbounded`] for ever.
    pub fn recv_by(&mut self, deadline: Deadline) -> Result<Notice, RecvError> {
        let began = self.clock.now();
        loop {
            match self.inbox.next_or_announce() {
                Next::Taken(taken) => return Ok(taken.notice(&self.prefix)),
                Next::Over => return Err(RecvError::Closed),
                Next::Announced => {}
            }
            let now = self.clock.now();
            if deadline.has_passed(now) {
                return Err(RecvError::TimedOut { waited: now.saturating_duration_since(began) });
            }
            self.clock.park(deadline.instant());
        }
    }

    /// How many notices wait to be received.
    pub fn len(&self) -> usize {
        self.inbox.0.lock().notices.len()
    }

    /// Whether no notice waits.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many updates had no notice of their own so far, because too many waited.
    pub fn lag(&self) -> u64 {
        self.inbox.0.lock().notices.merged()
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        self.inbox.0.lock().is_gone = true;
    }
}

impl fmt::Debug for Subscription {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Subscription").field("path", &self.prefix).finish_non_exhaustive()
    }
}

/// Where the notices of a [`Subscription`] wait.
pub(crate) struct Inbox(Mutex<Inside>);

/// What a subscriber finds.
enum Next {
    Taken(Taken),
    Over,
    Announced,
}

struct Inside {
    notices: Notices,
    waiting: Option<Thread>,
    is_gone: bool,
    is_closed: bool,
}

impl Inbox {
    pub(crate) fn new(most: usize, seen: Arc<Value>) -> Self {
        let notices = Notices::new(most, seen);
        Self(Mutex::new(Inside { notices, waiting: None, is_gone: false, is_closed: false }))
    }

    /// Takes the oldest, or leaves the thread to be woken: under one lock, so that nothing comes in
    /// between.
    fn next_or_announce(&self) -> Next {
        let mut inside = self.0.lock();
        match inside.notices.take() {
            Some(taken) => Next::Taken(taken),
            None if inside.is_closed => Next::Over,
            None => {
                inside.waiting = Some(sync::current_thread());
                Next::Announced
            }
        }
    }

    fn change(&self, change: impl FnOnce(&mut Inside)) {
        let mut inside = self.0.lock();
        change(&mut inside);
        let waiting = inside.waiting.take().filter(|_| !mutant!(TellSilently));
        drop(inside);
        waiting.iter().for_each(Thread::unpark);
    }
}

impl Outlet for Inbox {
    fn tell(&self, version: u64, document: &Arc<Value>) {
        self.change(|inside| {
            if !(mutant!(DropNewest) && inside.notices.len() > 0) {
                inside.notices.add(version, Arc::clone(document));
            }
        });
    }

    fn is_gone(&self) -> bool {
        self.0.lock().is_gone
    }

    fn close(&self) {
        self.change(|inside| inside.is_closed = true);
    }
}
