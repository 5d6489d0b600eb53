//! SQLite, by rusqlite: a table by rowid, a write-ahead log, and a transaction that is durable when it is over.

use std::path::Path;
use std::sync::{Mutex, PoisonError};

use rusqlite::{Connection, params_from_iter};

use super::{BATCH, Durable};
use crate::contenders::sample::Record;

/// `FULL` syncs the log at each commit. Nobody else opens the file, so its index needs no shared memory. The log
/// is moved into the table at 40 MB, ten times as seldom as by default.
const SETTINGS: &str =
    "PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;
    PRAGMA wal_autocheckpoint = 10000; CREATE TABLE events (id INTEGER PRIMARY KEY, data BLOB NOT NULL);";
/// The most events in one statement. More are no faster, one at a time takes half as long again.
const TOGETHER: usize = 20;
const _: () = assert!(BATCH.is_multiple_of(TOGETHER), "statements differ in nothing but their values");

/// One connection by turns: with one for each writer they would wait for each other by sleeping.
pub struct Sqlite(Mutex<Connection>);

impl Durable for Sqlite {
    fn open(directory: &Path) -> Self {
        let connection = Connection::open(directory.join("events.db")).expect("the directory is empty");
        connection.execute_batch(SETTINGS).expect("they are settings");
        Self(Mutex::new(connection))
    }

    fn store(&self, events: &[Record]) {
        let mut connection = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if events.len() <= TOGETHER {
            // A statement by itself is a transaction.
            return insert(&connection, events);
        }
        let transaction = connection.transaction().expect("it is open");
        insert(&transaction, events);
        transaction.commit().expect("the disk works");
    }
}

fn insert(connection: &Connection, events: &[Record]) {
    let together = events.len().min(TOGETHER);
    let values = vec!["(?)"; together].join(", ");
    let sql = format!("INSERT INTO events (data) VALUES {values}");
    let mut statement = connection.prepare_cached(&sql).expect("it is a statement");
    for events in events.chunks(together) {
        statement.execute(params_from_iter(events.iter().map(|event| &event[..]))).expect("there is space");
    }
}
