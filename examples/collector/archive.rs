//! The archive: the store that lines go into, and what became of them there.

use std::time::Duration;

use underpin::Overflow;
use underpin::events::{EventStore, Journal};

use crate::stats::Stats;

/// How many events it keeps in memory. Nobody asks for them, so it need not be many.
const MOST_EVENTS: u64 = 10_000;
/// How many it keeps for a demonstration, which asks for its alerts while lines rush by.
const DEMO_EVENTS: u64 = 50_000;
/// How many bytes of events it keeps in memory.
const MOST_BYTES: u64 = 16 << 20;
/// How long a parser waits for room in the store's queue: longer than the store for a slow disk.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long the store waits for a slow disk, before lines stay out of the journal.
const DISK_PATIENCE: Duration = Duration::from_secs(10);

/// The store.
pub(crate) struct Archive {
    store: EventStore,
}

impl Archive {
    /// Opens it: in memory, or with a journal in this directory.
    ///
    /// # Errors
    ///
    /// One line that says why the journal cannot be opened.
    ///
    /// # Blocking
    ///
    /// Until the journal is read.
    pub(crate) fn open(data: Option<&str>, is_demo: bool) -> Result<Self, String> {
        let mut store = EventStore::builder()
            .max_events(if is_demo { DEMO_EVENTS } else { MOST_EVENTS })
            .max_bytes(MOST_BYTES)
            .overflow(Overflow::Block(PATIENCE));
        if let Some(dir) = data {
            store = store.journal(Journal::at(dir)).journal_patience(DISK_PATIENCE);
        }
        store.open().map(|store| Self { store }).map_err(|error| format!("--data: {error}"))
    }

    pub(crate) fn store(&self) -> &EventStore {
        &self.store
    }

    /// How many lines this run stored: durable ones, where there is a journal. What it stored of alerts and of the breaker is none.
    pub(crate) fn stored(&self, stats: &Stats) -> u64 {
        let events = match self.store.journal() {
            Some(journal) => journal.written.saturating_sub(journal.unsynced),
            None => self.store.stats().stored,
        };
        events.saturating_sub(stats.changes_stored.get())
    }

    /// How many events it has found.
    pub(crate) fn recovered(&self) -> u64 {
        self.store.journal().map_or(0, |journal| journal.recovery.records.saturating_sub(journal.unreadable))
    }

    /// What must not happen, a line each. To be called when everything has stopped.
    pub(crate) fn went_wrong(&self, stats: &Stats) -> Vec<String> {
        let journal = self.store.journal().unwrap_or_default();
        let trouble = journal.trouble.map(|trouble| format!("--data: {}", trouble.reason));
        let missing = stats.kept.get().saturating_sub(self.stored(stats));
        let unjournaled = journal.unjournaled.saturating_sub(stats.changes_unjournaled.get());
        let counts = [
            (unjournaled, "lines did not come into the journal"),
            (missing.saturating_sub(unjournaled), "lines were not stored"),
        ];
        let missing = counts.into_iter().filter(|(lines, _)| *lines > 0);
        trouble.into_iter().chain(missing.map(|(lines, what)| format!("{lines} {what}"))).collect()
    }
}
