//! What a writer keeps, what it deletes, and its figures.

use std::io;

use super::super::archive::Ended;
use super::super::errors::{Doing, JournalError};
use super::super::segment;
use super::super::tail::Tail;
use super::{Counts, Writer};

/// A writer's figures: what is there, and what was done since it was opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Stats {
    /// Segment files.
    pub(crate) segments: u64,
    /// Their bytes on disk.
    pub(crate) bytes: u64,
    /// Payloads in them.
    pub(crate) records: u64,
    /// Those that are not durable yet.
    pub(crate) unsynced: u64,
    /// Payloads that were written, and not given up since.
    pub(crate) written_records: u64,
    /// Bytes of their groups.
    pub(crate) written_bytes: u64,
    /// Syncs that succeeded.
    pub(crate) syncs: u64,
    /// Groups that were not taken.
    pub(crate) failed_writes: u64,
    /// Syncs that failed.
    pub(crate) failed_syncs: u64,
    /// What retention deleted.
    pub(crate) deleted: Retained,
}

/// What retention deleted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Retained {
    pub(crate) segments: u64,
    pub(crate) records: u64,
    pub(crate) bytes: u64,
}

impl Retained {
    fn add(&mut self, segment: &Ended) {
        self.segments += 1;
        self.records += segment.records;
        self.bytes += segment.bytes;
    }
}

impl Writer {
    /// Deletes the oldest segments, whole ones, as far as the settings say. Returns what was deleted.
    ///
    /// # Blocking
    ///
    /// On the disk, for each segment.
    ///
    /// # Errors
    ///
    /// When the first that is to go cannot be deleted. If it is a later one, the next call says so.
    pub(crate) fn retain(&mut self, now_ns: u64) -> Result<Retained, JournalError> {
        let mut deleted = Retained::default();
        while let Some(oldest) = self.due(now_ns) {
            match self.delete(&oldest) {
                Err(error) if deleted.segments == 0 => return Err(error),
                Err(_) => break,
                Ok(()) => deleted.add(&oldest),
            }
        }
        Ok(deleted)
    }

    fn due(&self, now_ns: u64) -> Option<Ended> {
        let current = self.tail.as_ref().map(|tail| (tail.bytes(), tail.created_ns()));
        self.archive.due(self.settings.retain_bytes, self.settings.retain_age, current, now_ns)
    }

    fn delete(&mut self, oldest: &Ended) -> Result<(), JournalError> {
        let file = self.dir.join(segment::name(oldest.number));
        match self.disk.remove(&file) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(JournalError::io("delete", &file, error));
            }
            _ => {}
        }
        // One by one: if a later one were gone and this one back after a crash, one would be missing between.
        self.disk.sync_dir(&self.dir).doing("sync", &self.dir)?;
        self.archive.pop();
        self.counts.deleted.add(oldest);
        Ok(())
    }

    pub(crate) fn stats(&self) -> Stats {
        let tail = self.tail.as_ref();
        let of_tail = |figure: fn(&Tail) -> u64| tail.map_or(0, figure);
        let Counts { written_records, written_bytes, syncs, failed_writes, failed_syncs, deleted } =
            self.counts;
        Stats {
            segments: self.archive.len() as u64 + u64::from(tail.is_some()),
            bytes: self.archive.bytes() + of_tail(Tail::bytes),
            records: self.archive.records() + of_tail(Tail::records),
            unsynced: of_tail(Tail::unsynced),
            written_records,
            written_bytes,
            syncs,
            failed_writes,
            failed_syncs,
            deleted,
        }
    }
}
