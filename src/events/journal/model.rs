//! A disk in memory that fails, fills up, and loses what was not synced when the power goes.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::disk::{Disk, DiskFile};
use crate::testing::chance::Chance;

/// What a disk writes at once, or not at all.
const SECTOR: usize = 512;

/// What goes wrong, at the operation of a number; a write is done up to so many bytes first.
#[derive(Clone, Copy, Debug)]
pub(in crate::events) enum Fault {
    /// So many operations fail.
    Fail { at: usize, operations: usize, bytes: usize },
    /// All operations fail from then on: the process is gone.
    Crash { at: usize, bytes: usize },
    /// This operation panics, if it is a write: a fault of this crate's, not of a disk.
    Panic { at: usize },
}

/// What is lost.
#[derive(Clone, Copy, Debug)]
pub(in crate::events) enum Loss {
    /// Nothing: the process went, the machine did not.
    Nothing,
    /// Any of the sectors and names that were not synced.
    Unsynced(u64),
}

#[derive(Default)]
struct Inode {
    cache: Vec<u8>,
    durable: Vec<u8>,
    dirty: BTreeSet<usize>,
}

#[derive(Default)]
struct World {
    inodes: Vec<Inode>,
    names: BTreeMap<PathBuf, usize>,
    durable_names: BTreeMap<PathBuf, usize>,
    locks: BTreeSet<PathBuf>,
    operations: usize,
    /// By which the system writes what it likes, when it likes.
    seed: u64,
    fault: Option<Fault>,
    /// How many bytes files may have in all.
    room: Option<usize>,
    is_read_only: bool,
    /// What the next look at a whole file does not see yet.
    unseen: Option<Range<usize>>,
}

#[derive(Clone, Default)]
pub(in crate::events) struct ModelDisk(Arc<Mutex<World>>);

impl ModelDisk {
    fn world(&self) -> MutexGuard<'_, World> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts operations from 0 again, and has one go wrong.
    pub(in crate::events) fn plan(&self, fault: Option<Fault>) {
        let mut world = self.world();
        (world.operations, world.fault) = (0, fault);
    }

    pub(in crate::events) fn set_seed(&self, seed: u64) {
        self.world().seed = seed;
    }

    pub(in crate::events) fn operations(&self) -> usize {
        self.world().operations
    }

    pub(in crate::events) fn set_room(&self, room: Option<usize>) {
        self.world().room = room;
    }

    pub(in crate::events) fn set_read_only(&self, is_read_only: bool) {
        self.world().is_read_only = is_read_only;
    }

    /// Starts anew after a loss, with nothing going wrong.
    pub(in crate::events) fn reboot(&self, loss: Loss) {
        let mut world = self.world();
        world.fault = None;
        world.locks.clear();
        if let Loss::Unsynced(seed) = loss {
            world.lose(&mut Chance::new(seed));
        }
    }

    pub(in crate::events) fn hide_once(&self, range: Range<usize>) {
        self.world().unseen = Some(range);
    }

    pub(in crate::events) fn bytes(&self, file: &Path) -> Vec<u8> {
        let world = self.world();
        world.names.get(file).map(|inode| world.inodes[*inode].cache.clone()).unwrap_or_default()
    }

    pub(in crate::events) fn put(&self, file: &Path, bytes: &[u8]) {
        let mut world = self.world();
        let inode = world.inodes.len();
        let (cache, durable) = (bytes.to_vec(), bytes.to_vec());
        world.inodes.push(Inode { cache, durable, dirty: BTreeSet::new() });
        world.names.insert(file.to_owned(), inode);
        world.durable_names.insert(file.to_owned(), inode);
    }

    pub(in crate::events) fn files(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        let world = self.world();
        world.names.iter().map(|(name, inode)| (name.clone(), world.inodes[*inode].cache.clone())).collect()
    }

    fn panics_now(&self) -> bool {
        let mut world = self.world();
        let now = world.operations;
        let panics = matches!(world.fault, Some(Fault::Panic { at }) if at == now);
        world.operations += usize::from(panics);
        panics
    }

    /// Another disk with the same files.
    pub(in crate::events) fn copy(&self) -> Self {
        let copy = Self::default();
        self.files().iter().for_each(|(name, bytes)| copy.put(name, bytes));
        copy
    }
}

impl World {
    /// One more operation: how many bytes of it are done, and whether it fails then.
    fn operation(&mut self) -> Option<usize> {
        let now = self.operations;
        self.operations += 1;
        match self.fault? {
            Fault::Fail { at, operations, bytes } if (at..at + operations).contains(&now) => Some(bytes),
            Fault::Crash { at, bytes } if now == at => Some(bytes),
            Fault::Crash { at, .. } if now > at => Some(0),
            _ => None,
        }
    }

    fn check(&mut self) -> io::Result<()> {
        if self.is_read_only {
            return Err(io::ErrorKind::ReadOnlyFilesystem.into());
        }
        self.operation().map_or(Ok(()), |_| Err(io::Error::other("injected")))
    }

    fn lose(&mut self, chance: &mut Chance) {
        let all: BTreeSet<_> = self.names.keys().chain(self.durable_names.keys()).cloned().collect();
        for name in all {
            let kept = if chance.one_in(2) { &self.names } else { &self.durable_names };
            match kept.get(&name).copied() {
                Some(inode) => self.durable_names.insert(name, inode),
                None => self.durable_names.remove(&name),
            };
        }
        self.names = self.durable_names.clone();
        for inode in &mut self.inodes {
            inode.write_back(|| chance.one_in(2));
            inode.cache = inode.durable.clone();
        }
    }
}

impl Inode {
    fn write(&mut self, offset: usize, bytes: &[u8]) {
        if bytes.is_empty() {
            return;
        }
        let end = offset + bytes.len();
        self.cache.resize(self.cache.len().max(end), 0);
        self.cache[offset..end].copy_from_slice(bytes);
        self.dirty.extend(offset / SECTOR..end.div_ceil(SECTOR));
    }

    /// Some dirty sectors reach the disk, and the new length may. None is dirty then.
    fn write_back(&mut self, mut reaches: impl FnMut() -> bool) {
        if reaches() {
            self.durable.resize(self.cache.len(), 0);
        }
        for sector in std::mem::take(&mut self.dirty) {
            let (from, end) = (sector * SECTOR, ((sector + 1) * SECTOR).min(self.durable.len()));
            if from < end && reaches() {
                self.durable[from..end].copy_from_slice(&self.cache[from..end]);
            }
        }
    }
}

impl Disk for ModelDisk {
    fn create_dir(&self, _: &Path) -> io::Result<()> {
        Ok(())
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<OsString>> {
        let world = self.world();
        let inside = world.names.keys().filter(|name| name.parent() == Some(dir));
        Ok(inside.filter_map(|name| name.file_name().map(OsString::from)).collect())
    }

    fn create(&self, file: &Path) -> io::Result<Box<dyn DiskFile>> {
        let mut world = self.world();
        world.check()?;
        let inode = world.inodes.len();
        world.inodes.push(Inode::default());
        world.names.insert(file.to_owned(), inode);
        Ok(Box::new(ModelFile { disk: self.clone(), inode }))
    }

    fn open(&self, file: &Path) -> io::Result<Box<dyn DiskFile>> {
        let inode = self.world().names.get(file).copied().ok_or(io::ErrorKind::NotFound)?;
        Ok(Box::new(ModelFile { disk: self.clone(), inode }))
    }

    fn read(&self, file: &Path, most: u64, into: &mut Vec<u8>) -> io::Result<()> {
        let mut world = self.world();
        let unseen = world.unseen.take_if(|unseen| most > unseen.end as u64);
        let inode = world.names.get(file).ok_or(io::ErrorKind::NotFound)?;
        let bytes = &world.inodes[*inode].cache;
        into.clear();
        into.extend(bytes.iter().take(usize::try_from(most).unwrap_or(usize::MAX)));
        if let Some(unseen) = unseen {
            into[unseen].fill(0);
        }
        Ok(())
    }

    fn remove(&self, file: &Path) -> io::Result<()> {
        let mut world = self.world();
        world.check()?;
        world.names.remove(file).map(drop).ok_or(io::ErrorKind::NotFound.into())
    }

    fn sync_dir(&self, _: &Path) -> io::Result<()> {
        let mut world = self.world();
        world.check()?;
        world.durable_names = world.names.clone();
        Ok(())
    }

    fn try_lock(&self, file: &Path) -> io::Result<Option<Box<dyn Send>>> {
        let mut world = self.world();
        if world.is_read_only {
            return Err(io::ErrorKind::ReadOnlyFilesystem.into());
        }
        let is_ours = world.locks.insert(file.to_owned());
        Ok(is_ours.then(|| Box::new(Locked { disk: self.clone(), file: file.to_owned() }) as Box<dyn Send>))
    }
}

struct Locked {
    disk: ModelDisk,
    file: PathBuf,
}

impl Drop for Locked {
    fn drop(&mut self) {
        self.disk.world().locks.remove(&self.file);
    }
}

struct ModelFile {
    disk: ModelDisk,
    inode: usize,
}

impl DiskFile for ModelFile {
    fn write_at(&mut self, offset: u64, parts: &[&[u8]]) -> io::Result<()> {
        if self.disk.panics_now() {
            std::panic::resume_unwind(Box::new("in a write"));
        }
        let bytes = parts.concat();
        let world = &mut *self.disk.world();
        let offset = usize::try_from(offset).map_err(io::Error::other)?;
        let used: usize = world.names.values().map(|inode| world.inodes[*inode].cache.len()).sum();
        let (failed, room) = (world.operation(), world.room);
        let inode = &mut world.inodes[self.inode];
        let fits = room.map_or(usize::MAX, |room| inode.cache.len() + room.saturating_sub(used));
        let done = failed.unwrap_or(bytes.len()).min(bytes.len()).min(fits.saturating_sub(offset));
        inode.write(offset, &bytes[..done]);
        // The system may write any of it at once, and what comes in its place later, or not.
        let mut chance = Chance::new(world.seed ^ ((world.operations as u64) << 32));
        let dirty = inode.dirty.clone();
        if chance.one_in(2) {
            inode.write_back(|| chance.one_in(2));
            inode.dirty = dirty;
        }
        match failed {
            Some(_) => Err(io::Error::other("injected")),
            None if done < bytes.len() => Err(io::ErrorKind::StorageFull.into()),
            None => Ok(()),
        }
    }

    fn sync_data(&mut self) -> io::Result<()> {
        let world = &mut *self.disk.world();
        // As Linux does it: after a sync that failed, what was not written back is not dirty any more.
        let failed = world.operation();
        let mut chance = Chance::new(world.seed ^ world.operations as u64);
        world.inodes[self.inode].write_back(|| failed.is_none() || chance.one_in(2));
        failed.map_or(Ok(()), |_| Err(io::Error::other("injected")))
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.disk.world().inodes[self.inode].cache.len() as u64)
    }
}
