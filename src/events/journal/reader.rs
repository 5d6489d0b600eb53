//! A look into a journal, without writing it.

use std::io;
use std::ops::{Range, RangeInclusive};
use std::path::{Path, PathBuf};

use super::chain::{Chain, Part};
use super::disk::{Disk, RealDisk};
use super::errors::JournalError;
use super::record::{Found, Kind};
use super::recovery::{Corrupt, Gap, Torn, Walk};

/// How often the last segment is read before a broken place in it counts: while it is read, it is written.
const TRIES: usize = 8;

/// A look into a journal, from its oldest record to its newest, also while somebody writes it.
///
/// It takes no lock and changes nothing. It has one segment in memory at a time, and sees the last one as it is
/// when it comes to it.
pub(crate) struct Reader {
    disk: Box<dyn Disk>,
    dir: PathBuf,
    chain: Chain,
    /// Which segment comes next.
    next: usize,
    current: Option<Loaded>,
    bytes: Vec<u8>,
    /// What is to be said before anything else, the last first.
    notices: Vec<Notice>,
}

struct Loaded {
    nth: usize,
    part: Part,
    at: usize,
    /// How many broken places were passed.
    passed: usize,
    is_tail_told: bool,
}

/// What a [`Reader`] comes to.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub(crate) enum Item<'a> {
    /// A record.
    Record {
        /// Its segment.
        file: &'a Path,
        /// Where it begins there, in bytes.
        offset: u64,
        /// What it holds.
        payload: &'a [u8],
    },
    /// Records that were not journaled, as the journal says itself.
    Gap(Gap),
    /// A place that is not what was written there.
    Corrupt(Corrupt),
    /// Segments that are missing between others.
    Missing(RangeInclusive<u64>),
    /// What is behind the last whole record: a write under way, or what a crash has left of one.
    Torn(Torn),
}

/// An item that is not of this moment.
enum Notice {
    Corrupt(Corrupt),
    Missing(RangeInclusive<u64>),
}

/// Where an item is.
enum Place {
    Record { offset: usize, payload: Range<usize> },
    Gap(Gap),
    Torn(Torn),
    Notice(Notice),
}

impl Reader {
    /// Looks which segments there are.
    ///
    /// # Errors
    ///
    /// When the directory or a file cannot be read.
    pub(crate) fn open(dir: impl AsRef<Path>) -> Result<Self, JournalError> {
        Self::on(Box::new(RealDisk), dir.as_ref())
    }

    pub(super) fn on(disk: Box<dyn Disk>, dir: &Path) -> Result<Self, JournalError> {
        let chain = Chain::look(&*disk, dir)?;
        let dir = dir.to_owned();
        Ok(Self { disk, dir, chain, next: 0, current: None, bytes: Vec::new(), notices: Vec::new() })
    }

    /// The directory.
    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    /// Files in the directory that are no segments, by their names.
    pub(crate) fn foreign(&self) -> &[PathBuf] {
        &self.chain.foreign
    }

    /// The number of the oldest segment, 0 if there is none.
    pub(crate) fn first_segment(&self) -> u64 {
        self.chain.first_number()
    }

    /// The next item, or `None` at the end.
    ///
    /// # Errors
    ///
    /// When a file cannot be read, or is of another version. The next call goes on behind that segment.
    pub(crate) fn read(&mut self) -> Result<Option<Item<'_>>, JournalError> {
        let place = self.advance()?;
        Ok(place.map(|place| self.item(place)))
    }

    fn item(&self, place: Place) -> Item<'_> {
        match place {
            Place::Record { offset, payload } => {
                let link = self.current.as_ref().and_then(|current| self.chain.links.get(current.nth));
                let file = link.map_or(self.dir.as_path(), |link| &link.file);
                Item::Record { file, offset: offset as u64, payload: &self.bytes[payload] }
            }
            Place::Gap(gap) => Item::Gap(gap),
            Place::Torn(torn) => Item::Torn(torn),
            Place::Notice(Notice::Corrupt(corrupt)) => Item::Corrupt(corrupt),
            Place::Notice(Notice::Missing(missing)) => Item::Missing(missing),
        }
    }

    fn advance(&mut self) -> Result<Option<Place>, JournalError> {
        loop {
            if let Some(notice) = self.notices.pop() {
                return Ok(Some(Place::Notice(notice)));
            }
            if let Some(place) = self.inside() {
                return Ok(Some(place));
            }
            if self.next == self.chain.links.len() {
                return Ok(None);
            }
            self.load()?;
        }
    }

    /// The next item of the segment in memory.
    fn inside(&mut self) -> Option<Place> {
        let current = self.current.as_mut()?;
        let file = &self.chain.links.get(current.nth)?.file;
        let mut walk = Walk::resume(&current.part.survey, current.at, current.passed);
        while let Some(found) = walk.step(&self.bytes) {
            current.at = walk.at();
            match found {
                Found::Broken(range) => {
                    current.passed += 1;
                    return Some(Place::Notice(Notice::Corrupt(broken(file, &range))));
                }
                Found::Record(record) if record.kind == Kind::Data => {
                    let offset = record.offset;
                    let from = offset + record.payload_at();
                    return Some(Place::Record { offset, payload: from..from + record.payload.len() });
                }
                Found::Record(record) => {
                    if let Some(gap) = Gap::of(&record) {
                        return Some(Place::Gap(gap));
                    }
                }
            }
        }
        if std::mem::replace(&mut current.is_tail_told, true) {
            return None;
        }
        current.part.torn(file).map(Place::Torn)
    }

    fn load(&mut self) -> Result<(), JournalError> {
        let nth = self.next;
        self.next += 1;
        self.current = None;
        let number = self.chain.links[nth].number;
        let mut missing = self.chain.missing.iter().filter(|range| *range.end() + 1 == number);
        let notice = missing.next().map(|range| Notice::Missing(range.clone()));
        self.notices.extend(notice);
        let part = match self.load_settled(nth) {
            Err(error) if is_gone(&error) => {
                self.notices.insert(0, Notice::Missing(number..=number));
                return Ok(());
            }
            part => part?,
        };
        let file = &self.chain.links[nth].file;
        let whole = part.corrupt(file).take(part.faults.len()).map(Notice::Corrupt);
        self.notices.splice(0..0, whole.collect::<Vec<_>>().into_iter().rev());
        let (at, passed) = (part.survey.walk().at(), 0);
        self.current = Some(Loaded { nth, part, at, passed, is_tail_told: false });
        Ok(())
    }

    /// Reads a segment. One that is written meanwhile may seem broken: a part of it was read before it was
    /// written, and another, which says that the first was synced, after. The next look sees both.
    fn load_settled(&mut self, nth: usize) -> Result<Part, JournalError> {
        let is_last = nth + 1 == self.chain.links.len();
        let mut part = self.chain.read(&*self.disk, nth, &mut self.bytes)?;
        for _ in 1..TRIES {
            if !is_last || part.survey.corrupt.is_empty() {
                break;
            }
            let before = part.survey.corrupt;
            part = self.chain.read(&*self.disk, nth, &mut self.bytes)?;
            if part.survey.corrupt == before {
                break;
            }
        }
        Ok(part)
    }
}

fn is_gone(error: &JournalError) -> bool {
    matches!(error, JournalError::Io { source, .. } if source.kind() == io::ErrorKind::NotFound)
}

fn broken(file: &Path, range: &Range<usize>) -> Corrupt {
    Corrupt {
        file: file.to_owned(),
        offset: range.start as u64,
        bytes: range.len() as u64,
        reason: "expected a record with a valid crc".to_owned(),
    }
}

impl std::fmt::Debug for Reader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reader").field("dir", &self.dir).field("next", &self.next).finish_non_exhaustive()
    }
}
