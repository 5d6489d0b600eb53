//! Reading what a journal has and memory has not.

use super::entry::Entry;
use super::errors::ReplayError;
use super::journal_reader::{JournalItem, JournalReader};
use super::store::{EventStore, Paper};

impl EventStore {
    /// Reads all that the journal has after a number, in its order; beyond what is missing, where that does not
    /// matter.
    ///
    /// # Errors
    ///
    /// When there is no journal, when it is in trouble or cannot be read, or when something is missing
    /// after that number.
    pub(super) fn read_back(
        &self,
        after: u64,
        may_miss: bool,
        each: &mut dyn FnMut(&Entry),
    ) -> Result<(), ReplayError> {
        let Some(Paper::Good(pen, _)) = self.0.paper.get() else {
            return Err(ReplayError::Incomplete { missing: format!("events after {after}") });
        };
        self.sync()?;
        let mut reader = JournalReader::open(&pen.dir)?;
        let is_whole = reader.first_segment() <= 1;
        let is_single = self.0.shards.len() == 1;
        let mut reading = Reading { after, may_miss, is_single, hole: None, is_begun: is_whole };
        while let Some(item) = reader.read()? {
            match item {
                JournalItem::Torn(_) => break, // a write under way: what was stored before is before it
                JournalItem::Event { entry, .. } => reading.take(&entry, each)?,
                fault => reading.hole = Some(fault.to_string()),
            }
        }
        reading.finish()
    }
}

/// How far a journal was read.
struct Reading {
    after: u64,
    may_miss: bool,
    /// Of several shards numbers do not rise from record to record.
    is_single: bool,
    /// What is missing before the next event.
    hole: Option<String>,
    is_begun: bool,
}

impl Reading {
    fn take(&mut self, entry: &Entry, each: &mut dyn FnMut(&Entry)) -> Result<(), ReplayError> {
        let id = entry.id().get();
        if !self.is_begun && id > self.after.saturating_add(1) {
            self.hole = Some(format!("events up to {}", id - 1));
        }
        self.is_begun = true;
        if id <= self.after {
            self.hole = self.hole.take().filter(|_| !self.is_single); // it was before what is wanted
            return Ok(());
        }
        self.finish()?;
        each(entry);
        Ok(())
    }

    fn finish(&self) -> Result<(), ReplayError> {
        match self.hole.as_ref().filter(|_| !self.may_miss) {
            Some(missing) => Err(ReplayError::Incomplete { missing: missing.clone() }),
            None => Ok(()),
        }
    }
}
