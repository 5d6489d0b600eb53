//! The tail of a journal: the segment that is written to.
//!
//! Its file has zeros ahead of the records, and records are written over them: a sync then has no new length of
//! the file to make durable, only data.

use std::io;
use std::path::{Path, PathBuf};

use super::archive::Ended;
use super::disk::{Disk, DiskFile};
use super::errors::{Doing, JournalError};
use super::record::Group;
use super::segment::{self, HEADER, Header};
use super::settings::Settings;

static ZEROS: [u8; 64 << 10] = [0; 64 << 10];

/// The segment that is written to. Offsets are bytes from the beginning of its file.
pub(super) struct Tail {
    file: Box<dyn DiskFile>,
    path: PathBuf,
    number: u64,
    created_ns: u64,
    /// Where the next group goes.
    position: u64,
    /// Before this, all is durable.
    synced: u64,
    /// Where the file's zeros end.
    filled: u64,
    fill_bytes: u64,
    capacity: u64,
    /// Where what failed writes may have left behind the position ends; 0 if they left nothing.
    remains: u64,
    /// Payloads.
    records: u64,
    /// Those of them that are not durable.
    unsynced: u64,
}

impl Tail {
    /// Makes a new segment, with room for `needed` bytes at least. Header, zeros and name are durable then.
    pub(super) fn create(
        disk: &dyn Disk,
        dir: &Path,
        header: &Header,
        needed: u64,
        settings: &Settings,
    ) -> Result<Self, JournalError> {
        let path = dir.join(segment::name(header.number));
        let position = HEADER as u64;
        let capacity = settings.segment_bytes.max(position + needed);
        let filled = settings.fill_bytes.clamp(position, capacity);
        let mut file = disk.create(&path).doing("create", &path)?;
        let bytes = header.encode();
        file.write_at(0, &followed(&[&bytes], filled - position)).doing("write the header", &path)?;
        file.sync_data().doing("sync", &path)?;
        disk.sync_dir(dir).doing("sync", dir)?;
        Ok(Self {
            file,
            path,
            number: header.number,
            created_ns: header.created_ns,
            position,
            synced: position,
            filled,
            fill_bytes: settings.fill_bytes,
            capacity,
            remains: 0,
            records: 0,
            unsynced: 0,
        })
    }

    /// Continues a segment that has so many records before `position`, of which the bytes from `synced` on may
    /// not be durable. They are after this, and what stands behind them is cut.
    ///
    /// They are written again, and zeros behind them: after a sync that failed, the system has what was written
    /// in memory and shows it to whoever comes next, but never writes it. Another sync alone would succeed.
    pub(super) fn resume(
        disk: &dyn Disk,
        path: &Path,
        header: &Header,
        records: u64,
        (position, synced, uncertain): (u64, u64, &[u8]),
        settings: &Settings,
    ) -> Result<Self, JournalError> {
        let mut file = disk.open(path).doing("open", path)?;
        file.write_at(synced, &[uncertain]).doing("write again", path)?;
        let filled = file.len().doing("measure", path)?;
        zero(&mut *file, position, filled).doing("cut", path)?;
        file.sync_data().doing("sync", path)?;
        Ok(Self {
            file,
            path: path.to_owned(),
            number: header.number,
            created_ns: header.created_ns,
            position,
            synced: position,
            filled,
            fill_bytes: settings.fill_bytes,
            capacity: settings.segment_bytes,
            remains: 0,
            records,
            unsynced: 0,
        })
    }

    pub(super) fn position(&self) -> u64 {
        self.position
    }

    pub(super) fn synced(&self) -> u64 {
        self.synced
    }

    pub(super) fn unsynced(&self) -> u64 {
        self.unsynced
    }

    pub(super) fn records(&self) -> u64 {
        self.records
    }

    pub(super) fn created_ns(&self) -> u64 {
        self.created_ns
    }

    /// How long the file is.
    pub(super) fn bytes(&self) -> u64 {
        self.filled.max(self.position)
    }

    pub(super) fn has_room(&self, bytes: u64) -> bool {
        self.position.saturating_add(bytes) <= self.capacity
    }

    pub(super) fn has_remains(&self) -> bool {
        self.remains > 0
    }

    /// Writes a group in one go, with what goes before it, and zeros behind it where there are none.
    ///
    /// # Errors
    ///
    /// Nothing is taken then. What was written of it is behind the position.
    pub(super) fn append(&mut self, before: &[u8], group: &Group) -> Result<(), JournalError> {
        let (parts, records) = ([before, group.bytes()], group.records());
        let end = self.position + (parts[0].len() + parts[1].len()) as u64;
        let to = self.fill_to(end);
        if let Err(error) = self.file.write_at(self.position, &followed(&parts, to - end)) {
            self.remains = self.remains.max(to);
            return Err(JournalError::io("write", &self.path, error));
        }
        (self.position, self.filled) = (end, self.filled.max(to));
        self.records += records;
        self.unsynced += records;
        Ok(())
    }

    /// To where a write up to `end` goes, with the zeros that it brings.
    fn fill_to(&self, end: u64) -> u64 {
        if end <= self.filled {
            return end;
        }
        end.next_multiple_of(self.fill_bytes.max(1)).min(self.capacity).max(end)
    }

    /// Puts zeros where failed writes may have left something: behind the end of a shorter group, records of a
    /// longer one that was refused would be taken for written ones.
    pub(super) fn blank(&mut self) -> io::Result<()> {
        let len = self.file.len()?;
        zero(&mut *self.file, self.position, self.remains.min(len))?;
        (self.remains, self.filled) = (0, len);
        Ok(())
    }

    /// Makes durable all that was written.
    pub(super) fn make_durable(&mut self) -> Result<(), JournalError> {
        self.file.sync_data().doing("sync", &self.path)?;
        (self.synced, self.unsynced) = (self.position, 0);
        Ok(())
    }

    /// The segment, as far as it is durable, when it is not written any more.
    pub(super) fn ended(&self) -> Ended {
        let Self { number, created_ns, records, unsynced, .. } = *self;
        Ended { number, created_ns, bytes: self.bytes(), records: records - unsynced }
    }
}

fn zero(file: &mut dyn DiskFile, from: u64, to: u64) -> io::Result<()> {
    let mut at = from;
    for zeros in zeros(to.saturating_sub(from)) {
        file.write_at(at, &[zeros])?;
        at += zeros.len() as u64;
    }
    Ok(())
}

/// Parts of what is written at once, and so many zeros behind them.
fn followed<'a>(parts: &[&'a [u8]], count: u64) -> Vec<&'a [u8]> {
    parts.iter().copied().chain(zeros(count)).collect()
}

/// So many zeros, by the piece.
fn zeros<'a>(count: u64) -> impl Iterator<Item = &'a [u8]> {
    let most = ZEROS.len() as u64;
    let pieces = (0..count).step_by(ZEROS.len());
    pieces.map(move |at| &ZEROS[..usize::try_from((count - at).min(most)).unwrap_or(0)])
}
