//! redb: a key-value store in one file, a copy-on-write tree. A transaction, whose writers come one by one.

use std::path::Path;

use redb::{Database, TableDefinition};

use super::{Durable, Keys};
use crate::contenders::sample::Record;

const EVENTS: TableDefinition<u64, &[u8]> = TableDefinition::new("events");

pub struct Redb {
    database: Database,
    keys: Keys,
}

impl Durable for Redb {
    fn open(directory: &Path) -> Self {
        let database = Database::create(directory.join("events.redb")).expect("the directory is empty");
        Self { database, keys: Keys::default() }
    }

    fn store(&self, events: &[Record]) {
        // Durability is immediate, unless told otherwise.
        let transaction = self.database.begin_write().expect("it is open");
        let mut table = transaction.open_table(EVENTS).expect("it is a table of events");
        for (key, event) in self.keys.of(events).zip(events) {
            table.insert(key, &event[..]).expect("there is space");
        }
        drop(table);
        transaction.commit().expect("the disk works");
    }
}
