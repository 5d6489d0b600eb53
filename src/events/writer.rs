//! Stores events by the batch.
#![allow(clippy::result_large_err)] // what could not be sent comes back

use std::sync::Arc;

use super::batch::Batch;
use super::buffer::{Buffer, Open};
use super::errors::{NotStored, Refusal};
use super::event::Event;
use super::post::post;
use super::receipt::Receipt;
use super::service::ask_for_tick;
use super::store::{Door, EventStore};
use crate::service::deadline::{Deadline, Limit};
use crate::sync::mutant;

/// How many events a writer sends at once, if nothing else is said.
const SIZE: usize = 64;

/// One thread's way to store many events: they are collected, and sent together.
///
/// They are sent when so many have come together, when the first has waited for 10 ms, when somebody asks
/// for what was stored, on [`flush`](Self::flush), and when the writer is dropped. Events of one writer are
/// stored in their order, as far as they have the same correlation.
///
/// What its thread stores past it may come before what lies in it.
///
/// # Example
///
/// ```
/// use underpin::Supervisor;
/// use underpin::events::{Event, EventStore};
///
/// let store = EventStore::in_memory();
/// let app = Supervisor::new("app").supervisor(store.supervisor()).start()?;
/// let mut writer = store.writer();
/// for n in 0..1_000 {
///     writer.store(Event::new("counted").with_data(n.to_string()))?;
/// }
/// assert_eq!(store.fresh()?.len(), 1_000);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Writer {
    store: EventStore,
    /// One for each shard.
    buffers: Vec<Arc<Buffer>>,
    limit: Limit,
}

impl Writer {
    pub(crate) fn new(store: &EventStore) -> Self {
        Self::with_size(store, SIZE)
    }

    fn with_size(store: &EventStore, size: usize) -> Self {
        let source = store.0.origin.of_thread();
        let buffer = |door: &Door| {
            let buffer = Arc::new(Buffer::new(size, Arc::clone(&source)));
            door.shard.register(&buffer);
            buffer
        };
        let buffers = store.0.shards.iter().map(buffer).collect();
        Self { store: store.clone(), buffers, limit: Limit::By(Deadline::unbounded()) }
    }

    /// Sends when so many events have come together, 1 to [`MAX_BATCH`](super::MAX_BATCH). 64, if nothing
    /// is said. What lies in the writer is sent now.
    ///
    /// # Errors
    ///
    /// As [`flush`](Self::flush).
    pub fn batch(mut self, events: usize) -> Result<Self, NotStored> {
        self.flush()?;
        Ok(Self::with_size(&self.store, events.clamp(1, super::MAX_BATCH)))
    }

    /// Stores an event with the next batch.
    ///
    /// # Errors
    ///
    /// When something about it is not allowed: then it is handed back. An event that brings a number is
    /// refused here: [`EventStore::store`] takes it. When it was time to send a batch, and that was refused: then the
    /// whole batch is handed back, in its order, this event the last.
    ///
    /// # Blocking
    ///
    /// As [`EventStore::store`], when a batch is sent.
    #[inline]
    pub fn store(&mut self, event: Event) -> Result<(), NotStored> {
        self.put(event, None)
    }

    /// As [`store`](Self::store); the receipt hears what became of it, also of an error.
    ///
    /// # Errors
    ///
    /// As [`store`](Self::store).
    pub fn store_with(&mut self, event: Event, receipt: Receipt) -> Result<(), NotStored> {
        self.put(event, Some(receipt))
    }

    #[inline]
    fn put(&mut self, event: Event, receipt: Option<Receipt>) -> Result<(), NotStored> {
        let stub = match super::batch::Stub::of(&event) {
            Ok(stub) if event.own_id().is_none() => stub,
            checked => return Err(not_put(event, receipt, checked.err())),
        };
        let shard = self.store.shard_of(stub.correlation);
        let mut open = self.buffers[shard].open();
        let was_empty = open.is_empty();
        match receipt {
            Some(receipt) => open.push_with(event, stub, receipt),
            None => open.push(event, stub),
        }
        let door = &self.store.0.shards[shard];
        if open.is_full() {
            // Under the lock: the batch that comes after this one is sent after it.
            let sent = send(door, &mut open, self.limit);
            drop(open);
            return sent.map_err(refuse);
        }
        drop(open);
        if was_empty && door.shard.asks_for_tick() {
            ask_for_tick(&door.handle);
        }
        Ok(())
    }

    /// Sends what lies in it.
    ///
    /// # Errors
    ///
    /// When the mailbox is full and its overflow rule says so, and when the store has stopped. Of each shard
    /// that refused, the events are handed back.
    ///
    /// # Blocking
    ///
    /// As [`EventStore::store`].
    pub fn flush(&mut self) -> Result<(), NotStored> {
        let mut refused: Option<NotStored> = None;
        for (buffer, door) in self.buffers.iter().zip(&self.store.0.shards) {
            let mut open = buffer.open();
            if open.is_empty() {
                continue;
            }
            let sent = send(door, &mut open, self.limit);
            drop(open);
            if let Err(error) = sent.map_err(refuse) {
                match &mut refused {
                    Some(refused) => refused.events.extend(error.events),
                    None => refused = Some(error),
                }
            }
        }
        refused.map_or(Ok(()), Err)
    }

    fn unregister(&self) {
        let buffers = self.buffers.iter().zip(&self.store.0.shards);
        buffers.for_each(|(buffer, door)| door.shard.unregister(buffer));
    }
}

fn send(door: &Door, open: &mut Open<'_>, limit: Limit) -> Result<(), (Refusal, Batch)> {
    post(&door.shard, &door.handle, open.take(&door.shard.spent), limit)
}

/// Receipts are told when the buffer is shut: they are code of the user's.
#[cold]
fn refuse((why, batch): (Refusal, Batch)) -> NotStored {
    let events = batch.refuse(&why);
    NotStored::new(why, events)
}

#[cold]
fn not_put(event: Event, receipt: Option<Receipt>, invalid: Option<super::Invalid>) -> NotStored {
    let why = invalid.map_or(Refusal::Invalid(super::Invalid::HasId), Refusal::Invalid);
    receipt.into_iter().for_each(|receipt| receipt.tell(Err(why.clone())));
    NotStored::new(why, vec![event])
}

impl Drop for Writer {
    /// Sends what lies in it. What cannot be sent is counted as refused.
    fn drop(&mut self) {
        if mutant!(UnregisterFirst) {
            self.unregister();
        }
        if let Err(error) = self.flush() {
            let shards = &self.store.0.shards;
            shards[0].shard.count_refused(error.events.len() as u64);
        }
        self.unregister();
    }
}
