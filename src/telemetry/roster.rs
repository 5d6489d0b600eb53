//! Who is attached, and what is known of names.

use std::sync::Arc;

use super::handlers::{Handler, Handlers};
use super::names::{Listed, Names};
use crate::sync::{AtomicBool, Mutex, Ordering, Peek, Snapshot, mutant};

/// Who is attached, and what is known of names, as it is at one moment.
#[derive(Debug, Default)]
pub(crate) struct Table {
    pub(crate) handlers: Arc<Handlers>,
    pub(crate) names: Names,
}

impl Table {
    /// With one more, the last of its prefix.
    pub(crate) fn with(&self, handler: &Arc<Handler>) -> Self {
        self.with_handlers(self.handlers.with(handler), handler.prefix())
    }

    /// Without this very one.
    pub(crate) fn without(&self, handler: &Arc<Handler>) -> Self {
        self.with_handlers(self.handlers.without(handler), handler.prefix())
    }

    /// With a name, in the place of what was known of it.
    pub(crate) fn with_name(&self, listed: &Arc<Listed>) -> Self {
        Self { handlers: Arc::clone(&self.handlers), names: self.names.with(listed) }
    }

    /// One of this prefix came or went.
    fn with_handlers(&self, handlers: Handlers, prefix: &str) -> Self {
        Self { names: self.names.heard_anew(prefix, &handlers), handlers: Arc::new(handlers) }
    }
}

/// The table, which is replaced as a whole, by one after the other, and read without a lock.
#[derive(Debug)]
pub(crate) struct Roster {
    is_heard: AtomicBool,
    table: Snapshot<Table>,
    /// The right to replace the table; `false` when it is replaced no more.
    is_open: Mutex<bool>,
    /// The table as it was at the end. Its handlers are the user's to drop, and who ends this may be anybody.
    buried_later: Mutex<Vec<Arc<Table>>>,
}

impl Roster {
    pub(crate) fn new() -> Self {
        Self {
            is_heard: AtomicBool::new(false),
            table: Snapshot::new(Arc::default()),
            is_open: Mutex::new(true),
            buried_later: Mutex::new(Vec::new()),
        }
    }

    /// Whether anybody is attached.
    // ORDERING: Relaxed. It only spares a look at the table. Who knows of an attachment, from whoever made it, sees it.
    #[inline]
    pub(crate) fn is_heard(&self) -> bool {
        self.is_heard.load(Ordering::Relaxed)
    }

    /// The present table, for as long as an execution takes.
    #[inline]
    pub(crate) fn look(&self) -> Peek<Table> {
        self.table.peek()
    }

    pub(crate) fn load(&self) -> Arc<Table> {
        self.table.load()
    }

    /// Replaces the table, if `edit` returns another. None after the end. What was in the old one is dropped when the
    /// lock is free, for that may be code of the user's.
    pub(crate) fn change<T>(&self, edit: impl FnOnce(&Table) -> (Option<Table>, T)) -> Option<T> {
        let seen = mutant!(ChangeBlindly).then(|| self.load());
        let is_open = self.is_open.lock();
        if !*is_open {
            return None;
        }
        let before = seen.unwrap_or_else(|| self.load());
        let (table, result) = edit(&before);
        if let Some(table) = table {
            self.publish(table);
        }
        drop(is_open);
        drop(before);
        Some(result)
    }

    /// Once more, with nobody in it.
    pub(crate) fn open(&self) {
        *self.is_open.lock() = true;
    }

    /// All handlers are called no more, and there is never another. Names are known as before.
    pub(crate) fn close(&self) {
        let mut is_open = self.is_open.lock();
        if !std::mem::replace(&mut *is_open, false) {
            return;
        }
        let before = self.load();
        for handler in before.handlers.iter() {
            handler.retire();
        }
        self.publish(before.with_handlers(Handlers::default(), ""));
        drop(is_open);
        self.buried_later.lock().push(before);
    }

    /// Drops what was there at the end.
    pub(crate) fn bury(&self) {
        let buried = std::mem::take(&mut *self.buried_later.lock());
        drop(buried); // under no lock
    }

    fn publish(&self, table: Table) {
        let is_heard = !table.handlers.is_empty();
        self.table.store(Arc::new(table));
        self.is_heard.store(is_heard, Ordering::Relaxed);
    }

    /// Whether nobody has the lock.
    #[cfg(all(test, not(underpin_loom)))]
    pub(crate) fn is_free(&self) -> bool {
        self.is_open.try_lock().is_some()
    }
}

#[cfg(all(test, not(underpin_loom)))]
mod tests {
    use super::*;

    fn handler(id: &str) -> Arc<Handler> {
        Arc::new(Handler::new(id, "", false, |_| ()).expect("an id and a prefix"))
    }

    #[test]
    fn it_is_heard_while_anybody_is_attached() {
        let (roster, one) = (Roster::new(), handler("a"));
        assert!(!roster.is_heard());
        assert_eq!(roster.change(|table| (Some(table.with(&one)), 1)), Some(1));
        assert_eq!(roster.change(|_| (None, 2)), Some(2));
        assert_eq!((roster.is_heard(), roster.look().handlers.len()), (true, 1));
        roster.change(|table| (Some(table.without(&one)), ()));
        assert_eq!((roster.is_heard(), roster.load().handlers.len()), (false, 0));
    }

    #[test]
    fn after_the_end_nothing_changes() {
        let (roster, one) = (Roster::new(), handler("a"));
        roster.change(|table| (Some(table.with(&one)), ()));
        (0..2).for_each(|_| roster.close());
        assert_eq!(roster.change(|table| (Some(table.with(&handler("b"))), ())), None);
        assert_eq!((roster.is_heard(), roster.load().handlers.len(), one.is_attached()), (false, 0, false));
    }
}
