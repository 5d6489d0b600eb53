//! fjall: a key-value store of sorted files behind a journal. A write batch, and `fdatasync` of the journal.

use std::path::Path;

use fjall::{Database, Keyspace, KeyspaceCreateOptions, OwnedWriteBatch, PersistMode};

use super::{Durable, Keys};
use crate::contenders::sample::Record;

pub struct Fjall {
    database: Database,
    events: Keyspace,
    keys: Keys,
}

impl Durable for Fjall {
    fn open(directory: &Path) -> Self {
        let builder = Database::builder(directory).manual_journal_persist(true);
        let database = builder.open().expect("the directory is empty");
        let events = database.keyspace("events", KeyspaceCreateOptions::default).expect("a keyspace");
        Self { database, events, keys: Keys::default() }
    }

    fn store(&self, events: &[Record]) {
        let batch = OwnedWriteBatch::with_capacity(self.database.clone(), events.len());
        let mut batch = batch.durability(Some(PersistMode::SyncData));
        for (key, event) in self.keys.of(events).zip(events) {
            batch.insert(&self.events, key.to_be_bytes(), &event[..]);
        }
        batch.commit().expect("the disk works");
    }
}
