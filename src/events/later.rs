//! What is put off until no lock is held.

use crate::sync::{AtomicBool, Mutex, Ordering};

/// What is put off until no lock is held: what code of the user's is to hear. To look whether there is any costs a
/// load.
#[derive(Debug)]
pub(crate) struct Later<T> {
    waiting: Mutex<Vec<T>>,
    is_any: AtomicBool,
}

impl<T> Later<T> {
    pub(crate) fn new() -> Self {
        Self { waiting: Mutex::new(Vec::new()), is_any: AtomicBool::new(false) }
    }

    pub(crate) fn put(&self, things: impl IntoIterator<Item = T>) {
        self.waiting.lock().extend(things);
        self.is_any.store(true, Ordering::Release);
    }

    /// All of it, in its order.
    pub(crate) fn take(&self) -> Vec<T> {
        if self.is_any.load(Ordering::Acquire) && self.is_any.swap(false, Ordering::AcqRel) {
            return std::mem::take(&mut *self.waiting.lock());
        }
        Vec::new()
    }
}
