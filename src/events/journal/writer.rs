//! The one who writes a journal.

use std::path::PathBuf;

use super::archive::Archive;
use super::chain::MAX_GROUP_BYTES;
use super::disk::Disk;
use super::errors::JournalError;
use super::record::{Encoder, Group};
use super::recovery::Gap;
use super::segment::Header;
use super::settings::Settings;
use super::tail::Tail;

mod keeping;
mod opening;

pub(crate) use keeping::Retained;
#[cfg(all(test, not(underpin_loom)))]
pub(crate) use keeping::Stats;

/// How many bytes a mark and a gap before a group have at most.
const AROUND_BYTES: u64 = 24 + 32;

/// The one who writes a journal: it has the lock, and the last segment.
///
/// It goes on after an error: a full disk may have room again. What an error means is said where it is
/// returned. It is not synced when it is dropped.
pub(crate) struct Writer {
    disk: Box<dyn Disk>,
    dir: PathBuf,
    settings: Settings,
    salt: u64,
    /// None before the first write, and after a segment was ended until the next one is made.
    tail: Option<Tail>,
    next_number: u64,
    /// Where the last segment that was ended ends.
    previous_end: u64,
    archive: Archive,
    /// What goes before a group.
    before: Vec<u8>,
    /// What is to be said with the next group.
    gap: Option<Gap>,
    /// What was said with groups that are not durable yet.
    unsynced_gap: Option<Gap>,
    /// When the first record was written that is not durable.
    unsynced_since_ns: u64,
    /// Why records were given up that somebody may still hope for: the next sync says it.
    owed: Option<JournalError>,
    counts: Counts,
    _lock: Box<dyn Send>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Counts {
    written_records: u64,
    written_bytes: u64,
    syncs: u64,
    failed_writes: u64,
    failed_syncs: u64,
    deleted: Retained,
}

impl Writer {
    /// What makes records for this journal, on any thread.
    pub(crate) fn encoder(&self) -> Encoder {
        Encoder::new(self.salt)
    }

    /// Writes a group of encoded records, in one go, behind all others; before it, a gap that is to be said. It
    /// is durable after the next sync. An empty group says the gap alone.
    ///
    /// # Blocking
    ///
    /// On the disk: where a segment is full, on two syncs of files and one of the directory.
    ///
    /// # Errors
    ///
    /// Nothing of the group is taken then; after a crash that follows at once, some of it may be found all the
    /// same. If a sync failed on the way, earlier groups are given up as [`sync`](Self::sync) says, and the next
    /// sync says so too.
    pub(crate) fn write(&mut self, group: &Group, now_ns: u64) -> Result<(), JournalError> {
        let result = self.try_write(group, now_ns);
        self.counts.failed_writes += u64::from(result.is_err());
        result
    }

    fn try_write(&mut self, group: &Group, now_ns: u64) -> Result<(), JournalError> {
        let bytes = checked(group)?;
        if group.is_empty() && self.gap.is_none() {
            return Ok(());
        }
        self.heal()?;
        self.make_room(bytes + AROUND_BYTES, now_ns)?;
        let (encoder, gap) = (self.encoder(), self.gap);
        let Some(tail) = &mut self.tail else { return Ok(()) }; // there is one: room was made
        self.before.clear();
        encoder.mark(&mut self.before, tail.synced());
        if let Some(Gap { records, since_ns }) = gap {
            encoder.gap(&mut self.before, records, since_ns);
        }
        if tail.unsynced() == 0 {
            self.unsynced_since_ns = now_ns;
        }
        tail.append(&self.before, group)?;
        self.unsynced_gap = self.gap.take().map(|gap| gap.and(self.unsynced_gap)).or(self.unsynced_gap);
        self.counts.written_records += group.records();
        self.counts.written_bytes += bytes;
        Ok(())
    }

    /// Says that all is durable, durably, when nobody goes on for now: what is broken later was not so when it
    /// was written, though no group followed it. Where something is not durable, nothing is said.
    pub(crate) fn close(&mut self) -> Result<(), JournalError> {
        let encoder = self.encoder();
        let Some(tail) = &mut self.tail else { return Ok(()) };
        if tail.has_remains() || tail.synced() < tail.position() {
            return Ok(());
        }
        self.before.clear();
        encoder.mark(&mut self.before, tail.synced());
        if !tail.has_room(self.before.len() as u64) {
            return Ok(());
        }
        tail.append(&self.before, &Group::default())?;
        self.make_durable()
    }

    /// Notes that so many records were not written, to be said in the journal with the next group.
    pub(crate) fn gap(&mut self, records: u64, now_ns: u64) {
        if records > 0 {
            self.gap = Some(Gap { records, since_ns: now_ns }.and(self.gap));
        }
    }

    /// Whether a gap is still to be said: a group that is empty says it.
    pub(crate) fn owes_gap(&self) -> bool {
        self.gap.is_some()
    }

    /// Makes durable all that was written.
    ///
    /// # Blocking
    ///
    /// On the disk, as long as it takes.
    ///
    /// # Errors
    ///
    /// What was not durable yet is given up: it is not in the journal, save by chance after a crash that follows
    /// at once, and counted as a gap in the next group. So what was written since the last sync that succeeded
    /// must not be reported as durable, nor be written again: some of it may be there, where a segment was ended
    /// in between.
    pub(crate) fn sync(&mut self) -> Result<(), JournalError> {
        let done = self.heal().and_then(|()| self.sync_tail());
        self.owed.take().map_or(done, Err)
    }

    fn sync_tail(&mut self) -> Result<(), JournalError> {
        match &self.tail {
            Some(tail) if tail.synced() < tail.position() => self.make_durable(),
            _ => Ok(()),
        }
    }

    fn make_durable(&mut self) -> Result<(), JournalError> {
        let Some(tail) = &mut self.tail else { return Ok(()) };
        match tail.make_durable() {
            Ok(()) => {
                self.counts.syncs += 1;
                self.unsynced_gap = None;
                Ok(())
            }
            Err(error) => {
                self.give_up(&error);
                Err(error)
            }
        }
    }

    /// Ends the segment where it was synced last, after a sync that failed.
    ///
    /// The system says once that pages could not be written, and then takes them for written: another sync would
    /// succeed, and the records would not be there. So nothing that was written since counts any more, and the
    /// header of the next segment says where this one ends.
    fn give_up(&mut self, error: &JournalError) {
        self.counts.failed_syncs += 1;
        let Some(tail) = self.tail.take() else { return };
        let (records, since_ns) = (tail.unsynced(), self.unsynced_since_ns);
        if records > 0 {
            self.owed = Some(error.clone());
        }
        self.counts.written_records = self.counts.written_records.saturating_sub(records);
        self.gap = self.unsynced_gap.take().map(|gap| gap.and(self.gap)).or(self.gap);
        self.gap(records, since_ns);
        self.archive.push(tail.ended());
        self.previous_end = tail.synced();
    }

    /// Ends the segment where it is. It is never written again, even if no next one can be made now: that one's
    /// header may be on disk already, and says where this one ends.
    fn end(&mut self) -> Result<(), JournalError> {
        self.sync_tail()?;
        if let Some(tail) = self.tail.take() {
            self.archive.push(tail.ended());
            self.previous_end = tail.position();
        }
        Ok(())
    }

    /// Does away with what a failed write may have left, durably: it must not come back behind a later group.
    /// Where it cannot be overwritten, the segment ends before it.
    fn heal(&mut self) -> Result<(), JournalError> {
        let Some(tail) = self.tail.as_mut().filter(|tail| tail.has_remains()) else { return Ok(()) };
        match tail.blank() {
            Ok(()) => self.make_durable(),
            Err(_) => self.end(),
        }
    }

    /// Sees to a segment that has room.
    fn make_room(&mut self, bytes: u64, now_ns: u64) -> Result<(), JournalError> {
        if self.tail.as_ref().is_some_and(|tail| !tail.has_room(bytes)) {
            self.end()?;
        }
        if self.tail.is_none() {
            let Self { salt, previous_end, next_number: number, .. } = *self;
            let header = Header { salt, number, created_ns: now_ns, previous_end };
            let tail = Tail::create(&*self.disk, &self.dir, &header, bytes, &self.settings)?;
            self.tail = Some(tail);
            self.next_number += 1;
        }
        Ok(())
    }
}

/// How many bytes a group has, if that is not too many.
fn checked(group: &Group) -> Result<u64, JournalError> {
    let bytes = group.bytes().len();
    if bytes > MAX_GROUP_BYTES {
        let (offset, expected) = (MAX_GROUP_BYTES, "its end: a group has at most 1 GiB");
        return Err(JournalError::BadGroup { bytes, offset, expected });
    }
    Ok(bytes as u64)
}
