//! Everyone who is told of changes.

use std::sync::Arc;

use serde_json::Value;

use super::diff::{Change, diff_at};
use super::path::Path;
use crate::sync::{Mutex, mutant};

/// Where notices for one subscriber go. Called under a lock: it only puts aside what it is given.
pub(crate) trait Outlet: Send + Sync {
    fn tell(&self, version: u64, document: &Arc<Value>);
    /// Nobody will take what it is told.
    fn is_gone(&self) -> bool;
    /// There will be nothing more.
    fn close(&self);
}

/// Everyone who is told of changes. It belongs to the configuration, not to an incarnation of its
/// service: whoever publishes finds those who have not heard of the version before.
#[derive(Default)]
pub(crate) struct Subscribers(Mutex<Vec<Subscriber>>);

struct Subscriber {
    prefix: Path,
    /// Up to where it was told, or knows that there was nothing for it.
    version: u64,
    document: Arc<Value>,
    outlet: Arc<dyn Outlet>,
}

/// A version, as far as subscribers are concerned.
pub(crate) struct News<'a> {
    pub(crate) version: u64,
    pub(crate) document: &'a Arc<Value>,
    /// The version before, and what differs from it.
    pub(crate) before: &'a Arc<Value>,
    pub(crate) changes: &'a [Change],
}

impl Subscribers {
    /// Adds one, from the version on that `present` returns. It is asked under the lock under which
    /// others are told, so that no version comes in between.
    pub(crate) fn add(
        &self,
        prefix: Path,
        present: impl Fn() -> (u64, Arc<Value>),
        outlet: impl FnOnce(Arc<Value>) -> Arc<dyn Outlet>,
    ) {
        let early = mutant!(LookFirst).then(&present);
        let mut subscribers = self.0.lock();
        let (version, document) = early.unwrap_or_else(present);
        // Nobody sweeps while nothing is asked for: who comes takes the places of those who went.
        let is_full = subscribers.len() == subscribers.capacity();
        let gone = if is_full { take_gone(&mut subscribers) } else { Vec::new() };
        let outlet = outlet(Arc::clone(&document));
        subscribers.push(Subscriber { prefix, version, document, outlet });
        drop(subscribers);
        drop(gone);
    }

    /// Tells everyone whom it concerns, and forgets who is gone. Returns how many are left.
    pub(crate) fn tell(&self, news: &News<'_>) -> usize {
        let mut subscribers = self.0.lock();
        let gone = take_gone(&mut subscribers);
        subscribers.iter_mut().for_each(|subscriber| subscriber.tell(news));
        let left = subscribers.len();
        drop(subscribers);
        drop(gone);
        left
    }

    /// Forgets who is gone. Returns how many are left.
    pub(crate) fn sweep(&self) -> usize {
        let mut subscribers = self.0.lock();
        let gone = take_gone(&mut subscribers);
        let left = subscribers.len();
        drop(subscribers);
        drop(gone);
        left
    }
}

/// Takes out who is gone. They are dropped after the lock: they hold what is the user's.
fn take_gone(subscribers: &mut Vec<Subscriber>) -> Vec<Subscriber> {
    subscribers.extract_if(.., |subscriber| subscriber.outlet.is_gone()).collect()
}

/// There will be no more versions: who waits for one is told.
impl Drop for Subscribers {
    fn drop(&mut self) {
        let subscribers = std::mem::take(&mut *self.0.lock());
        subscribers.iter().for_each(|subscriber| subscriber.outlet.close());
    }
}

impl Subscriber {
    /// One that has not heard of the version before, because that was published in a crash, hears of
    /// both.
    fn tell(&mut self, news: &News<'_>) {
        if news.version <= self.version {
            return;
        }
        let is_next = Arc::ptr_eq(&self.document, news.before);
        let is_concerned = if is_next {
            news.changes.iter().any(|change| change.path.overlaps(&self.prefix))
        } else {
            !diff_at(&self.prefix, &self.document, news.document).is_empty()
        };
        self.version = news.version;
        self.document = Arc::clone(news.document);
        if is_concerned {
            self.outlet.tell(news.version, news.document);
        }
    }
}
