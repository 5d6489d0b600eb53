//! A stored event, to be written.

use super::entry::Entry;
use super::event::Event;
use super::source::Source;

/// A stored event, to be written: into a journal, or as a line.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Written<'a> {
    pub(crate) id: u64,
    /// How many events its stream had with it.
    pub(crate) version: u64,
    pub(crate) event: &'a Event,
    pub(crate) source: &'a Source,
}

impl<'a> From<&'a Entry> for Written<'a> {
    fn from(entry: &'a Entry) -> Self {
        let (id, version) = (entry.id().get(), entry.version());
        Self { id, version, event: entry.event(), source: entry.source() }
    }
}
