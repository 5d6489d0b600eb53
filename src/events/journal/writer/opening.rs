//! How a writer comes to its journal: the lock, what was there, and where it goes on.

use std::path::Path;

use super::super::archive::{Archive, Ended};
use super::super::chain::{Chain, LOCK, Part};
use super::super::disk::Disk;
use super::super::errors::{Doing, JournalError};
use super::super::record::{Found, Kind};
use super::super::recovery::{Gap, Recovery, Survey};
use super::super::segment;
use super::super::settings::{OnCorruption, Settings};
use super::super::tail::Tail;
use super::{Counts, Writer};

impl Writer {
    /// Takes the lock of a journal, makes its directory if there is none, calls `visit` for each payload in
    /// order, and cuts what a crash has left of the last writes. All that was visited is durable then.
    ///
    /// # Errors
    ///
    /// `Locked` if somebody else writes it; `Corrupt` and `ForeignFile` unless corruption is to be skipped,
    /// with nothing changed in it; what `visit` was called with does not count then.
    pub(crate) fn open(
        disk: Box<dyn Disk>,
        dir: &Path,
        settings: Settings,
        visit: &mut dyn FnMut(&[u8]),
    ) -> Result<(Self, Recovery), JournalError> {
        disk.create_dir(dir).doing("create", dir)?;
        let lock_file = dir.join(LOCK);
        let lock = disk.try_lock(&lock_file).doing("lock", &lock_file)?;
        let lock = lock.ok_or_else(|| JournalError::Locked { dir: dir.to_owned() })?;
        let chain = Chain::look(&*disk, dir)?;
        let mut writer = Self::new(disk, dir, settings, chain.salt.unwrap_or_else(fresh_salt), lock);
        let recovery = writer.recover(chain, visit)?;
        Ok((writer, recovery))
    }

    fn new(disk: Box<dyn Disk>, dir: &Path, settings: Settings, salt: u64, lock: Box<dyn Send>) -> Self {
        Self {
            disk,
            dir: dir.to_owned(),
            settings,
            salt,
            tail: None,
            next_number: 1,
            previous_end: 0,
            archive: Archive::default(),
            before: Vec::new(),
            gap: None,
            unsynced_gap: None,
            unsynced_since_ns: 0,
            owed: None,
            counts: Counts::default(),
            _lock: lock,
        }
    }

    fn recover(&mut self, chain: Chain, visit: &mut dyn FnMut(&[u8])) -> Result<Recovery, JournalError> {
        let mut recovery = Recovery { missing: chain.missing.clone(), ..Recovery::default() };
        recovery.first_segment = chain.first_number();
        recovery.add_foreign(chain.foreign.iter().cloned());
        if let Some(first) = chain.missing.first().filter(|_| self.refuses()) {
            let file = self.dir.join(segment::name(*first.start()));
            let reason = "the segment is missing, and later ones are there".to_owned();
            return Err(JournalError::Corrupt { file, offset: 0, reason });
        }
        let mut bytes = Vec::new();
        for nth in 0..chain.links.len() {
            let part = chain.read(&*self.disk, nth, &mut bytes)?;
            self.take(&chain, nth, &part, &bytes, &mut recovery, visit)?;
        }
        self.remove_unfinished(&chain, &mut recovery)?;
        self.disk.sync_dir(&self.dir).doing("sync", &self.dir)?;
        Ok(recovery)
    }

    fn refuses(&self) -> bool {
        self.settings.on_corruption == OnCorruption::Refuse
    }

    /// Takes what a segment holds.
    fn take(
        &mut self,
        chain: &Chain,
        nth: usize,
        part: &Part,
        bytes: &[u8],
        recovery: &mut Recovery,
        visit: &mut dyn FnMut(&[u8]),
    ) -> Result<(), JournalError> {
        let link = &chain.links[nth];
        if let Some(error) = part.refused(&link.file).filter(|_| self.refuses()) {
            return Err(error);
        }
        part.corrupt(&link.file).for_each(|corrupt| recovery.add_corrupt(corrupt));
        let records = visited(part, bytes, recovery, visit);
        recovery.segments += 1;
        recovery.records += records;
        recovery.bytes += part.survey.end as u64;
        recovery.torn = part.torn(&link.file).or(recovery.torn.take());
        self.next_number = link.number + 1;
        self.previous_end = part.survey.end as u64;
        let is_last = nth + 1 == chain.links.len();
        match link.header {
            Ok(header) if is_last && chain.is_last_open() => {
                let Survey { synced, end, .. } = part.survey;
                // The padding of the very last record may not be there.
                let uncertain = bytes.get(synced..end.min(bytes.len())).unwrap_or_default();
                let place = (self.previous_end, synced as u64, uncertain);
                let tail = Tail::resume(&*self.disk, &link.file, &header, records, place, &self.settings)?;
                self.tail = Some(tail);
            }
            header => {
                let created_ns = header.map_or(0, |header| header.created_ns);
                self.archive.push(Ended {
                    number: link.number,
                    created_ns,
                    bytes: bytes.len() as u64,
                    records,
                });
            }
        }
        Ok(())
    }

    fn remove_unfinished(&self, chain: &Chain, recovery: &mut Recovery) -> Result<(), JournalError> {
        let Some(link) = &chain.unfinished else { return Ok(()) };
        self.disk.remove(&link.file).doing("remove", &link.file)?;
        recovery.unfinished = Some(link.file.clone());
        Ok(())
    }
}

fn visited(part: &Part, bytes: &[u8], recovery: &mut Recovery, visit: &mut dyn FnMut(&[u8])) -> u64 {
    let (mut walk, mut records) = (part.survey.walk(), 0);
    while let Some(found) = walk.step(bytes) {
        let Found::Record(record) = found else { continue };
        if record.kind == Kind::Data {
            records += 1;
            visit(record.payload);
        }
        if let Some(gap) = Gap::of(&record) {
            recovery.add_gap(gap);
        }
    }
    records
}

fn fresh_salt() -> u64 {
    uuid::Uuid::new_v4().as_u64_pair().1
}
