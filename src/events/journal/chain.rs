//! The segments that a directory has, in their order, before anything is done about them.

use std::io;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};

use super::disk::Disk;
use super::errors::{Doing, JournalError};
use super::record::{self, Encoder, Found, Scanner};
use super::recovery::{Bound, Corrupt, Survey, Torn, survey};
use super::segment::{self, HEADER, Header, HeaderFault, VERSION};

/// The file that whoever writes a journal has locked.
pub(super) const LOCK: &str = "LOCK";
/// How many bytes may be handed over at once: 1 GiB.
pub(super) const MAX_GROUP_BYTES: usize = 1 << 30;
/// How many bytes a segment may have: those, and what is written around them.
const MAX_FILE_BYTES: u64 = MAX_GROUP_BYTES as u64 + 4096;

/// One segment.
#[derive(Debug)]
pub(super) struct Link {
    pub(super) number: u64,
    pub(super) file: PathBuf,
    pub(super) header: Result<Header, HeaderFault>,
}

/// The segments of a journal, the oldest first.
#[derive(Debug, Default)]
pub(super) struct Chain {
    pub(super) links: Vec<Link>,
    /// What the records' checksums begin with, if there is any record.
    pub(super) salt: Option<u64>,
    /// What is not there between others.
    pub(super) missing: Vec<RangeInclusive<u64>>,
    pub(super) foreign: Vec<PathBuf>,
    /// The last segment, if it was not wholly made: it is not among the links.
    pub(super) unfinished: Option<Link>,
}

/// A segment that was read.
#[derive(Debug)]
pub(super) struct Part {
    /// What is wrong with it as a whole.
    pub(super) faults: Vec<JournalError>,
    pub(super) survey: Survey,
}

impl Chain {
    /// Looks at the names in a directory and at the headers.
    pub(super) fn look(disk: &dyn Disk, dir: &Path) -> Result<Self, JournalError> {
        let mut chain = Self::default();
        let mut numbers = Vec::new();
        for name in disk.list(dir).doing("list", dir)? {
            match name.to_str().and_then(segment::number) {
                Some(number) => numbers.push(number),
                None if name == LOCK => {}
                None => chain.foreign.push(name.into()),
            }
        }
        numbers.sort_unstable();
        for number in numbers {
            chain.links.extend(link(disk, dir, number)?);
        }
        chain.part_from_unfinished(disk)?;
        chain.missing = missing(&chain.links);
        chain.salt = chain.find_salt(disk)?;
        Ok(chain)
    }

    /// The number of the oldest segment, 0 if there is none.
    pub(super) fn first_number(&self) -> u64 {
        self.links.first().map_or(0, |link| link.number)
    }

    /// A last segment without a header and without anything else is one whose making was cut short.
    fn part_from_unfinished(&mut self, disk: &dyn Disk) -> Result<(), JournalError> {
        let is_headless =
            |link: &&Link| matches!(link.header, Err(HeaderFault::Unfinished | HeaderFault::Broken));
        let Some(last) = self.links.last().filter(is_headless) else { return Ok(()) };
        let mut bytes = Vec::new();
        read(disk, &last.file, MAX_FILE_BYTES, &mut bytes)?;
        if record::content_end(&bytes) <= HEADER {
            self.unfinished = self.links.pop();
        }
        Ok(())
    }

    /// The first header says it. If all are broken, what they say is tried.
    fn find_salt(&self, disk: &dyn Disk) -> Result<Option<u64>, JournalError> {
        if let Some(header) = self.links.iter().find_map(|link| link.header.ok()) {
            return Ok(Some(header.salt));
        }
        let mut bytes = Vec::new();
        for link in &self.links {
            read(disk, &link.file, MAX_FILE_BYTES, &mut bytes)?;
            let is_it = |salt: &u64| has_records(*salt, &bytes);
            if let Some(salt) = segment::salts(&bytes).into_iter().flatten().find(is_it) {
                return Ok(Some(salt));
            }
        }
        Ok(None)
    }

    fn is_ours(&self, link: &Link) -> bool {
        self.fault(link).is_none()
    }

    /// What is wrong with the header of a segment.
    fn fault(&self, link: &Link) -> Option<JournalError> {
        let file = link.file.clone();
        let corrupt = |reason: String| JournalError::Corrupt { file: file.clone(), offset: 0, reason };
        match link.header {
            Ok(header) if Some(header.salt) != self.salt => {
                let reason = "expected the salt of the segments before it".to_owned();
                Some(JournalError::ForeignFile { file, reason })
            }
            Ok(header) if header.number != link.number => {
                let (found, expected) = (header.number, link.number);
                Some(corrupt(format!("expected the header of segment {expected}, found that of {found}")))
            }
            Ok(_) => None,
            Err(HeaderFault::Foreign) => {
                let reason = "expected the header of a segment, found something else".to_owned();
                Some(JournalError::ForeignFile { file, reason })
            }
            Err(HeaderFault::Version(found)) => {
                Some(JournalError::Version { file, found, expected: VERSION })
            }
            Err(HeaderFault::Unfinished | HeaderFault::Broken) => {
                Some(corrupt("expected the header of a segment, with a valid crc".to_owned()))
            }
        }
    }

    /// How far a segment counts.
    fn bound(&self, nth: usize) -> Bound {
        let Some(link) = self.links.get(nth) else { return Bound::Ended };
        match self.links.get(nth + 1) {
            None if self.is_ours(link) => Bound::Open,
            None => Bound::Ended,
            Some(next) if next.number == link.number + 1 && self.is_ours(next) => {
                next.header.map_or(Bound::Ended, |header| Bound::At(header.previous_end))
            }
            Some(_) => Bound::Ended,
        }
    }

    /// Whether the journal can go on in its last segment.
    pub(super) fn is_last_open(&self) -> bool {
        self.links.len().checked_sub(1).is_some_and(|last| self.bound(last) == Bound::Open)
    }

    /// Reads a segment.
    ///
    /// # Errors
    ///
    /// When it cannot be read, or is of another version. What else is wrong with it is returned.
    pub(super) fn read(
        &self,
        disk: &dyn Disk,
        link: usize,
        bytes: &mut Vec<u8>,
    ) -> Result<Part, JournalError> {
        let Link { file, .. } = &self.links[link];
        let mut faults: Vec<_> = self.fault(&self.links[link]).into_iter().collect();
        if let Some(error @ JournalError::Version { .. }) = faults.first() {
            return Err(error.clone());
        }
        read(disk, file, MAX_FILE_BYTES + 1, bytes)?;
        if bytes.len() as u64 > MAX_FILE_BYTES {
            let reason = format!("expected the end: a segment has at most {MAX_FILE_BYTES} bytes");
            faults.push(JournalError::Corrupt { file: file.clone(), offset: MAX_FILE_BYTES, reason });
        }
        let encoder = Encoder::new(self.salt.unwrap_or(0));
        Ok(Part { faults, survey: survey(encoder, bytes, self.bound(link)) })
    }
}

impl Part {
    /// All that is wrong with the segment, in order. It is a whole journal's worth of places at most.
    pub(super) fn corrupt<'p>(&'p self, file: &'p Path) -> impl Iterator<Item = Corrupt> + 'p {
        let whole = self.faults.iter().map(|fault| as_place(fault, file));
        let places = self.survey.corrupt.iter().map(|range| Corrupt {
            file: file.to_owned(),
            offset: range.start as u64,
            bytes: range.len() as u64,
            reason: "expected a record with a valid crc".to_owned(),
        });
        whole.chain(places)
    }

    /// What is cut, or is still being written.
    pub(super) fn torn(&self, file: &Path) -> Option<Torn> {
        let range = self.survey.torn.clone()?;
        let (offset, bytes) = (range.start as u64, range.len() as u64);
        Some(Torn { file: file.to_owned(), offset, bytes, records: self.survey.torn_records })
    }

    /// The first thing that is wrong, as a reason to refuse the journal.
    pub(super) fn refused(&self, file: &Path) -> Option<JournalError> {
        let place = |Corrupt { file, offset, reason, .. }| JournalError::Corrupt { file, offset, reason };
        self.faults.first().cloned().or_else(|| self.corrupt(file).next().map(place))
    }
}

/// A fault of a segment's header as a place in it.
fn as_place(fault: &JournalError, file: &Path) -> Corrupt {
    let file = file.to_owned();
    match fault {
        JournalError::Corrupt { offset, reason, .. } => {
            Corrupt { file, offset: *offset, bytes: HEADER as u64, reason: reason.clone() }
        }
        JournalError::ForeignFile { reason, .. } => {
            Corrupt { file, offset: 0, bytes: HEADER as u64, reason: reason.clone() }
        }
        other => Corrupt { file, offset: 0, bytes: HEADER as u64, reason: other.to_string() },
    }
}

/// The segment of a number. `None` if it was deleted since it was listed.
fn link(disk: &dyn Disk, dir: &Path, number: u64) -> Result<Option<Link>, JournalError> {
    let file = dir.join(segment::name(number));
    let mut head = Vec::new();
    match disk.read(&file, HEADER as u64, &mut head) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        result => result.doing("read", &file)?,
    }
    Ok(Some(Link { number, header: Header::parse(&head), file }))
}

fn read(disk: &dyn Disk, file: &Path, most: u64, bytes: &mut Vec<u8>) -> Result<(), JournalError> {
    disk.read(file, most, bytes).doing("read", file)
}

fn missing(links: &[Link]) -> Vec<RangeInclusive<u64>> {
    let pairs = links.windows(2).map(|pair| (pair[0].number + 1, pair[1].number));
    pairs.filter(|(next, found)| next < found).map(|(next, found)| next..=found - 1).collect()
}

fn has_records(salt: u64, bytes: &[u8]) -> bool {
    Scanner::new(Encoder::new(salt), bytes, HEADER).any(|found| matches!(found, Found::Record(_)))
}
