//! Looking at what a store has.

use super::chain::{CHAIN_LIMIT, Chain, chain};
use super::correlation::Correlation;
use super::entry::Entry;
use super::errors::Behind;
use super::id::EventId;
use super::lookup;
use super::query::{Page, Query, QueryError};
use super::scan;
use super::snapshot::EventSnapshot;
use super::store::EventStore;

/// All of these run on the calling thread, on what does not change any more: a slow one holds up nobody.
impl EventStore {
    /// The events that a query asks for, of all that was stored before.
    ///
    /// # Errors
    ///
    /// When the query makes no sense, and when what was stored before cannot be seen within 5 s.
    ///
    /// # Blocking
    ///
    /// As [`fresh`](Self::fresh). [`published`](Self::published) never blocks.
    pub fn query(&self, query: &Query) -> Result<Page, QueryError> {
        query.check()?;
        match query.wanted.the_correlation() {
            Some(correlation) => self.fresh_of(correlation)?.query(query),
            None => self.fresh()?.query(query),
        }
    }

    /// The event with a number, if it is still there.
    ///
    /// # Errors
    ///
    /// When what was stored before cannot be seen within 5 s.
    ///
    /// # Blocking
    ///
    /// As [`fresh`](Self::fresh).
    pub fn get(&self, id: EventId) -> Result<Option<Entry>, Behind> {
        Ok(self.fresh()?.get(id))
    }

    /// All events of a correlation, the oldest first, 100,000 at most: those that came first.
    ///
    /// # Errors
    ///
    /// As [`query`](Self::query).
    ///
    /// # Blocking
    ///
    /// Until that is stored what was sent to the one shard before, at most 5 s.
    pub fn by_correlation(&self, correlation: impl Into<Correlation>) -> Result<Vec<Entry>, QueryError> {
        let query = Query::new().correlation(correlation).limit(super::MAX_LIMIT);
        Ok(self.query(&query)?.entries)
    }

    /// What led to an event, and what came of it: 10,000 events at most. `None` if it is not there.
    ///
    /// # Errors
    ///
    /// As [`get`](Self::get).
    ///
    /// # Blocking
    ///
    /// As [`fresh`](Self::fresh).
    pub fn chain(&self, id: EventId) -> Result<Option<Chain>, Behind> {
        Ok(self.fresh()?.chain(id))
    }

    /// The newest so many events, the newest first.
    ///
    /// # Errors
    ///
    /// As [`get`](Self::get).
    ///
    /// # Blocking
    ///
    /// As [`fresh`](Self::fresh).
    pub fn recent(&self, events: usize) -> Result<Vec<Entry>, Behind> {
        Ok(self.fresh()?.recent(events))
    }
}

/// None of these blocks.
impl EventSnapshot {
    /// The events that a query asks for.
    ///
    /// # Errors
    ///
    /// When the query makes no sense.
    pub fn query(&self, query: &Query) -> Result<Page, QueryError> {
        scan::run(query, self.views())
    }

    /// The event with a number, if it is still there.
    pub fn get(&self, id: EventId) -> Option<Entry> {
        lookup::get(self.views(), id)
    }

    /// What led to an event, and what came of it: 10,000 events at most. `None` if it is not there.
    pub fn chain(&self, id: EventId) -> Option<Chain> {
        chain(self.views(), id, CHAIN_LIMIT)
    }

    /// The newest so many events, the newest first.
    pub fn recent(&self, events: usize) -> Vec<Entry> {
        lookup::recent(self.views(), events)
    }
}
