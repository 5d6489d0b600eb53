//! What a program sees of its store's journal.

use super::errors::Behind;
use super::pen::{JournalStats, JournalTrouble};
use super::scribe::{JournalRequest, Order};
use super::store::{EventStore, Paper};
use crate::service::deadline::{DEFAULT_TIMEOUT, Deadline};

impl EventStore {
    /// What became of its journal; `None` if it has none. Never blocks.
    pub fn journal(&self) -> Option<JournalStats> {
        match self.0.paper.get()? {
            Paper::Good(pen, _) => Some(pen.stats()),
            Paper::Bad(error) => {
                let since = self.0.common.base;
                let trouble = JournalTrouble { since, reason: error.to_string().into() };
                Some(JournalStats { trouble: Some(trouble), ..JournalStats::default() })
            }
        }
    }

    /// Waits until all that was stored before is durable, whatever the journal's rule of syncing. Without a
    /// journal, until it can be seen.
    ///
    /// # Errors
    ///
    /// When a service does not answer within 5 s, or has stopped; and when the journal is in trouble.
    ///
    /// # Blocking
    ///
    /// Until the disk has it, at most 5 s for the stores and as long for the journal.
    pub fn sync(&self) -> Result<(), Behind> {
        self.fresh()?;
        match self.0.paper.get() {
            None => Ok(()),
            Some(Paper::Bad(error)) => Err(Behind { reason: error.to_string().into() }),
            Some(Paper::Good(_, journal)) => {
                let deadline = Deadline::from(journal.core().clock().now(), DEFAULT_TIMEOUT);
                let flush = |reply| JournalRequest(Order::Flush(reply));
                let flushed = journal.call_by(deadline, flush);
                let flushed = flushed.map_err(|error| Behind { reason: error.to_string().into() })?;
                flushed.map_err(|reason| Behind { reason })
            }
        }
    }
}
