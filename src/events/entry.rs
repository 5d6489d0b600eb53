//! A stored event.

use std::fmt;
use std::ops::{Deref, Range};
use std::sync::Arc;

use super::batch::Stub;
use super::event::Event;
use super::id::EventId;
use super::source::Source;

/// Events that were stored together: numbers and positions follow one another, nothing changes any more.
#[derive(Debug)]
pub(crate) struct Chunk {
    pub(crate) first_id: u64,
    /// The position of the first in its shard.
    pub(crate) first: u64,
    /// When it was stored, in nanoseconds by the clock of the store; before 0 what was recovered.
    pub(crate) stored: i64,
    pub(crate) is_recovered: bool,
    /// How much memory its events take.
    pub(crate) bytes: u64,
    pub(crate) events: Vec<Event>,
    pub(crate) stubs: Vec<Stub>,
    pub(crate) source: Arc<Source>,
}

impl Chunk {
    /// The position after the last.
    pub(crate) fn end(&self) -> u64 {
        self.first + self.stubs.len() as u64
    }

    pub(crate) fn end_id(&self) -> u64 {
        self.first_id + self.stubs.len() as u64
    }

    /// How much memory those of its events take that are in a range of positions in it.
    pub(crate) fn bytes_of(&self, range: Range<u64>) -> u64 {
        if range == (self.first..self.end()) {
            return self.bytes; // as a rule: old ones go together, as they came
        }
        let within = (range.start - self.first) as usize..(range.end - self.first) as usize;
        self.stubs[within].iter().map(|stub| u64::from(stub.bytes)).sum()
    }

    pub(crate) fn stub_at(&self, position: u64) -> &Stub {
        &self.stubs[(position - self.first) as usize]
    }

    pub(crate) fn entry_at(self: &Arc<Self>, position: u64) -> Entry {
        Entry { chunk: Arc::clone(self), at: (position - self.first) as u32 }
    }
}

/// An event that is stored, with its number and its source. It is shared, not copied: cheap to clone, and
/// as long as it is kept, so are the few that were stored together with it.
#[derive(Clone)]
pub struct Entry {
    chunk: Arc<Chunk>,
    at: u32,
}

#[cfg(feature = "journal")]
impl Entry {
    /// One that a journal had.
    ///
    /// # Errors
    ///
    /// When something about it is not allowed.
    pub(crate) fn recovered(decoded: super::codec::Decoded) -> Result<Self, super::errors::Invalid> {
        let super::codec::Decoded { id, version, event } = decoded;
        let mut stub = Stub::of(&event)?;
        stub.version = version;
        let source = event.own_source().cloned();
        let source = source.unwrap_or_else(|| Arc::new(Source::new(None, "journal", "local")));
        let (events, stubs, bytes) = (vec![event], vec![stub], u64::from(stub.bytes));
        let (first_id, first) = (id.get(), 0);
        let chunk = Chunk { first_id, first, stored: 0, is_recovered: true, bytes, events, stubs, source };
        Ok(Self { chunk: Arc::new(chunk), at: 0 })
    }
}

impl Entry {
    /// Its number.
    pub fn id(&self) -> EventId {
        let number = self.chunk.first_id + u64::from(self.at);
        EventId::new(number).expect("numbers begin with 1")
    }

    /// How many events its stream had with it; 0 without a stream.
    pub fn version(&self) -> u64 {
        self.stub().version
    }

    /// Where it comes from.
    pub fn source(&self) -> &Source {
        self.event().own_source().unwrap_or(&self.chunk.source)
    }

    /// Whether it was stored by an earlier process, and found in the journal.
    pub fn is_recovered(&self) -> bool {
        self.chunk.is_recovered
    }

    /// The event.
    pub fn event(&self) -> &Event {
        &self.chunk.events[self.at as usize]
    }

    pub(crate) fn stub(&self) -> &Stub {
        &self.chunk.stubs[self.at as usize]
    }
}

impl Deref for Entry {
    type Target = Event;

    fn deref(&self) -> &Event {
        self.event()
    }
}

impl fmt::Debug for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut entry = f.debug_struct("Entry");
        entry.field("id", &self.id()).field("event", self.event());
        entry.field("version", &self.version()).field("source", self.source()).finish()
    }
}
