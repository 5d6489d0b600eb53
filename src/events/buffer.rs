//! What a writer has and its shard has not.

use std::sync::Arc;
use std::time::Duration;

use super::batch::{Batch, Stub};
use super::event::Event;
use super::receipt::Receipt;
use super::source::Source;
use super::spent::Spent;
use crate::sync::{Mutex, MutexGuard, lock_within};

/// The events of one writer for one shard that were not sent yet. Its writer puts in; writer, tick and
/// queries send, each under the lock, so that batches go in their order.
#[derive(Debug)]
pub(crate) struct Buffer {
    batch: Mutex<Batch>,
    source: Arc<Source>,
    size: usize,
}

impl Buffer {
    pub(crate) fn new(size: usize, source: Arc<Source>) -> Self {
        Self { batch: Mutex::new(Batch::with_capacity(0, Arc::clone(&source))), source, size }
    }

    pub(crate) fn open(&self) -> Open<'_> {
        Open { batch: self.batch.lock(), buffer: self }
    }

    /// `None`: somebody has had it open for so long.
    pub(crate) fn open_within(&self, within: Option<Duration>) -> Option<Open<'_>> {
        Some(Open { batch: lock_within(&self.batch, within)?, buffer: self })
    }

    /// `None`: somebody has it open.
    pub(crate) fn try_open(&self) -> Option<Open<'_>> {
        Some(Open { batch: self.batch.try_lock()?, buffer: self })
    }
}

/// An open buffer.
pub(crate) struct Open<'a> {
    batch: MutexGuard<'a, Batch>,
    buffer: &'a Buffer,
}

/// How many bytes are sent at once at most, but for a single event that has more.
const MOST_BYTES: u64 = 256 << 10;

impl Open<'_> {
    pub(crate) fn is_empty(&self) -> bool {
        self.batch.is_empty()
    }

    pub(crate) fn is_full(&self) -> bool {
        self.batch.len() >= self.buffer.size || self.batch.bytes() >= MOST_BYTES
    }

    pub(crate) fn push(&mut self, event: Event, stub: Stub) {
        self.batch.push(event, stub);
    }

    pub(crate) fn push_with(&mut self, event: Event, stub: Stub, receipt: Receipt) {
        let at = self.batch.len() as u32;
        self.batch.receipts.push((at, receipt));
        self.batch.push(event, stub);
    }

    /// What is in it, for one who sends it before he closes the buffer.
    pub(crate) fn take(&mut self, spent: &Spent) -> Batch {
        let fresh = Batch::of(spent.take(self.buffer.size), Arc::clone(&self.buffer.source));
        std::mem::replace(&mut *self.batch, fresh)
    }

    /// It could not be sent, and nothing came after it.
    pub(crate) fn put_back(&mut self, batch: Batch) {
        debug_assert!(self.batch.is_empty(), "it is open");
        *self.batch = batch;
    }
}
