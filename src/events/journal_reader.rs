//! A look into a journal.

use std::fmt;
use std::path::{Path, PathBuf};

use super::codec::Decoder;
use super::entry::Entry;
use super::journal::{Corrupt, Gap, Item, JournalError, Reader, Torn};

/// A look into a journal, event by event, without its lock: also while another process writes it. It is
/// read a segment at a time.
///
/// # Example
///
/// ```no_run
/// use underpin::events::{JournalItem, JournalReader};
///
/// let mut reader = JournalReader::open("/var/lib/app/events")?;
/// while let Some(item) = reader.read()? {
///     match item {
///         JournalItem::Event { entry, .. } => println!("{}", entry.to_json()),
///         fault => eprintln!("{fault}"),
///     }
/// }
/// # Ok::<(), underpin::events::JournalError>(())
/// ```
pub struct JournalReader {
    reader: Reader,
    decoder: Decoder,
}

/// What a [`JournalReader`] comes to. What is no event says as text what it is.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum JournalItem {
    /// An event.
    Event {
        /// Its segment.
        file: PathBuf,
        /// Where its record begins there, in bytes.
        offset: u64,
        /// The event.
        entry: Entry,
    },
    /// A record that is whole, and no event that can be read.
    Unreadable {
        /// Its segment.
        file: PathBuf,
        /// Where it begins there, in bytes.
        offset: u64,
        /// What is wrong with it.
        reason: String,
    },
    /// Events that were not journaled, as the journal says itself.
    Gap(Gap),
    /// A place that is not what was written there.
    Corrupt(Corrupt),
    /// Segments that are missing between others: the numbers of the first and the last.
    Missing(u64, u64),
    /// What is behind the last whole record: a write under way, or what a crash has left of one.
    Torn(Torn),
}

impl JournalReader {
    /// Looks which segments there are. Those that are made later are not read.
    ///
    /// # Errors
    ///
    /// When the directory or a file cannot be read.
    pub fn open(dir: impl AsRef<Path>) -> Result<Self, JournalError> {
        Ok(Self { reader: Reader::open(dir)?, decoder: Decoder::default() })
    }

    /// Files in the directory that are no segments, by their names.
    pub fn foreign(&self) -> &[PathBuf] {
        self.reader.foreign()
    }

    /// The number of the oldest segment: 1 if none was deleted before it, 0 if there is none.
    pub fn first_segment(&self) -> u64 {
        self.reader.first_segment()
    }

    /// The next item, or `None` at the end.
    ///
    /// # Errors
    ///
    /// When a file cannot be read, or is of another version. The next call goes on behind that segment.
    ///
    /// # Blocking
    ///
    /// As long as a segment is read.
    pub fn read(&mut self) -> Result<Option<JournalItem>, JournalError> {
        let item = self.reader.read()?;
        Ok(item.map(|item| match item {
            Item::Record { file, offset, payload } => event(&mut self.decoder, file, offset, payload),
            Item::Gap(gap) => JournalItem::Gap(gap),
            Item::Corrupt(corrupt) => JournalItem::Corrupt(corrupt),
            Item::Missing(numbers) => JournalItem::Missing(*numbers.start(), *numbers.end()),
            Item::Torn(torn) => JournalItem::Torn(torn),
        }))
    }
}

fn event(decoder: &mut Decoder, file: &Path, offset: u64, payload: &[u8]) -> JournalItem {
    let file = file.to_owned();
    let decoded = decoder.decode(payload).map_err(|error| error.to_string());
    match decoded.and_then(|decoded| Entry::recovered(decoded).map_err(|error| error.to_string())) {
        Ok(entry) => JournalItem::Event { file, offset, entry },
        Err(reason) => JournalItem::Unreadable { file, offset, reason },
    }
}

impl fmt::Display for JournalItem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Event { file, offset, entry } => {
                write!(f, "{}: event {} at offset {offset}", file.display(), entry.id())
            }
            Self::Unreadable { file, offset, reason } => {
                write!(f, "{}: the record at offset {offset} is no event: {reason}", file.display())
            }
            Self::Gap(gap) => write!(f, "{} events are missing: they were not journaled", gap.records),
            Self::Corrupt(place) => {
                let (file, offset) = (place.file.display(), place.offset);
                write!(f, "{file}: is corrupt at offset {offset}, {} bytes", place.bytes)
            }
            Self::Missing(first, last) => write!(f, "segments are missing: {first} to {last}"),
            Self::Torn(torn) => {
                let (file, offset) = (torn.file.display(), torn.offset);
                write!(f, "{file}: ends at offset {offset}; {} bytes behind are no whole record", torn.bytes)
            }
        }
    }
}

impl fmt::Debug for JournalReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JournalReader").field("dir", &self.reader.dir()).finish_non_exhaustive()
    }
}
