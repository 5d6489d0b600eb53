//! What a thread saw last, for look-ups by path.
//!
//! To look at the present version takes two exchanges on shared memory, which is more than the look-up
//! itself. So a thread keeps the plain data of the version that it saw last, and compares a number.

use std::cell::Cell;
use std::sync::Arc;

use serde_json::Value;

use super::current::Current;
use super::index::Index;
use crate::sync::{self, AtomicU64, Ordering, Snapshot, Tally, mutant};

sync::thread_local! {
    /// The last glance. There is nothing of the user's in it, so it may go with the thread.
    static LAST: Cell<Option<Glance>> = const { Cell::new(None) };
}

/// The plain data of one version.
pub(crate) struct Glance {
    config: u64,
    version: u64,
    document: Arc<Value>,
    index: Arc<Index>,
}

impl Glance {
    /// What stands at `path`, as it is written.
    #[inline]
    pub(crate) fn get(&self, path: &str) -> Option<&Value> {
        self.index.get(&self.document, path)
    }
}

/// The number of the newest version, or of the one that is about to be stored: who finds what it
/// has kept under this number has nothing older than what it can have seen.
pub(crate) struct Newest {
    config: u64,
    version: AtomicU64,
}

/// Tells the configurations of a process apart.
static CONFIGS: Tally = Tally::new(0);

impl Newest {
    /// Of a configuration that begins with this version.
    pub(crate) fn new(version: u64) -> Self {
        Self { config: CONFIGS.fetch_add(1, Ordering::Relaxed), version: AtomicU64::new(version) }
    }

    /// A version is about to be stored. One at a time.
    pub(crate) fn announce(&self, version: u64) {
        // ORDERING: before the store of the version, which is a release. Whoever has seen that version,
        // or hears of it from somebody who has, finds this number or a later one.
        self.version.store(version, Ordering::Relaxed);
    }

    /// Looks at the present version by way of what the thread has kept.
    #[inline]
    pub(crate) fn glance<T, R>(&self, present: &Snapshot<Current<T>>, look: impl FnOnce(&Glance) -> R) -> R {
        // Taken out, not borrowed: a look may run code of the user's that looks again.
        let kept = LAST.try_with(Cell::take).ok().flatten();
        let newest = self.version.load(Ordering::Relaxed);
        let glance = match kept {
            Some(kept) if kept.config == self.config && kept.version == newest => kept,
            _ => self.take(present),
        };
        let seen = look(&glance);
        // A thread that ends keeps nothing.
        let _ = LAST.try_with(|last| last.set(Some(glance)));
        seen
    }

    /// Under the number of the version itself: the announced one may not be there yet.
    #[cold]
    fn take<T>(&self, present: &Snapshot<Current<T>>) -> Glance {
        let current = present.peek();
        let version =
            if mutant!(KeepUnderNewest) { self.version.load(Ordering::Relaxed) } else { current.version };
        let (document, index) = (Arc::clone(&current.document), Arc::clone(&current.index));
        Glance { config: self.config, version, document, index }
    }
}
