//! The disk below a journal, and its thin edge to the real one.

use std::ffi::OsString;
use std::fs::{self, File, TryLockError};
use std::io::{self, IoSlice, Read, Seek, SeekFrom, Write};
use std::path::Path;

/// Files and directories, as far as a journal needs them. Tests have one that fails.
pub(crate) trait Disk: Send {
    /// Makes a directory, and those it is in, unless they are there; durable.
    fn create_dir(&self, dir: &Path) -> io::Result<()>;
    /// The names of what is in a directory, in any order.
    fn list(&self, dir: &Path) -> io::Result<Vec<OsString>>;
    /// Makes a file, or empties the one that is there.
    fn create(&self, file: &Path) -> io::Result<Box<dyn DiskFile>>;
    /// Opens a file that is there, to write it.
    fn open(&self, file: &Path) -> io::Result<Box<dyn DiskFile>>;
    /// Reads the first `most` bytes of a file, in place of what `into` holds.
    fn read(&self, file: &Path, most: u64, into: &mut Vec<u8>) -> io::Result<()>;
    /// Removes a file.
    fn remove(&self, file: &Path) -> io::Result<()>;
    /// Makes durable which files are in a directory.
    fn sync_dir(&self, dir: &Path) -> io::Result<()>;
    /// Locks a file, which is made if it is missing, until what is returned is dropped or the process ends,
    /// however it ends. `None` if somebody else has it.
    fn try_lock(&self, file: &Path) -> io::Result<Option<Box<dyn Send>>>;
}

/// A file that is written.
pub(crate) trait DiskFile: Send {
    /// Writes all of the parts at an offset, each behind the one before it, or fails and leaves any part of them there.
    fn write_at(&mut self, offset: u64, parts: &[&[u8]]) -> io::Result<()>;
    /// Makes durable what was written, and the length of the file.
    fn sync_data(&mut self) -> io::Result<()>;
    /// How many bytes it has.
    fn len(&self) -> io::Result<u64>;
}

/// The file system.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct RealDisk;

impl Disk for RealDisk {
    fn create_dir(&self, dir: &Path) -> io::Result<()> {
        if dir.as_os_str().is_empty() || dir.is_dir() {
            return Ok(());
        }
        let above = dir.parent().unwrap_or(dir);
        self.create_dir(above)?;
        match fs::create_dir(dir) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
            _ => self.sync_dir(if above.as_os_str().is_empty() { Path::new(".") } else { above }),
        }
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<OsString>> {
        fs::read_dir(dir)?.map(|entry| Ok(entry?.file_name())).collect()
    }

    fn create(&self, file: &Path) -> io::Result<Box<dyn DiskFile>> {
        let mut options = File::options();
        options.write(true).create(true).truncate(true);
        // What is journaled may be nobody else's business.
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        Ok(Box::new(options.open(file)?))
    }

    fn open(&self, file: &Path) -> io::Result<Box<dyn DiskFile>> {
        Ok(Box::new(File::options().write(true).open(file)?))
    }

    fn read(&self, file: &Path, most: u64, into: &mut Vec<u8>) -> io::Result<()> {
        into.clear();
        let open = File::open(file)?;
        let bytes = open.metadata()?.len().min(most);
        into.reserve_exact(usize::try_from(bytes).map_err(|_| io::ErrorKind::FileTooLarge)?);
        open.take(most).read_to_end(into).map(drop)
    }

    fn remove(&self, file: &Path) -> io::Result<()> {
        fs::remove_file(file)
    }

    #[cfg(unix)]
    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        File::open(dir)?.sync_all()
    }

    /// Directories cannot be opened as files there; the file system's own log keeps their order.
    #[cfg(not(unix))]
    fn sync_dir(&self, _: &Path) -> io::Result<()> {
        Ok(())
    }

    fn try_lock(&self, file: &Path) -> io::Result<Option<Box<dyn Send>>> {
        let open = File::options().write(true).create(true).truncate(false).open(file)?;
        match open.try_lock() {
            Ok(()) => Ok(Some(Box::new(open))),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }
}

impl DiskFile for File {
    fn write_at(&mut self, offset: u64, parts: &[&[u8]]) -> io::Result<()> {
        self.seek(SeekFrom::Start(offset))?;
        write_all(self, parts)
    }

    fn sync_data(&mut self) -> io::Result<()> {
        File::sync_data(self)
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.metadata()?.len())
    }
}

/// Writes parts one behind the other: with one call of the system, as a rule, and nothing is copied together before.
fn write_all(into: &mut impl Write, parts: &[&[u8]]) -> io::Result<()> {
    let mut parts: Vec<_> = parts.iter().map(|part| IoSlice::new(part)).collect();
    let mut rest = &mut parts[..];
    IoSlice::advance_slices(&mut rest, 0); // past what is empty
    while !rest.is_empty() {
        match into.write_vectored(rest) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => IoSlice::advance_slices(&mut rest, written),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

#[cfg(all(test, not(underpin_loom)))]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    /// Takes a few bytes at a time, is interrupted now and then, and has room for so many.
    struct Stingy {
        taken: Vec<u8>,
        calls: usize,
        room: usize,
    }

    impl Write for Stingy {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.write_vectored(&[IoSlice::new(bytes)])
        }

        fn write_vectored(&mut self, parts: &[IoSlice<'_>]) -> io::Result<usize> {
            self.calls += 1;
            if self.calls.is_multiple_of(3) {
                return Err(io::ErrorKind::Interrupted.into());
            }
            let before = self.taken.len();
            let bytes = parts.iter().flat_map(|part| part.iter().copied());
            self.taken.extend(bytes.take(5.min(self.room - before)));
            Ok(self.taken.len() - before)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    proptest! {
        #[test]
        fn all_parts_are_written_however_few_bytes_are_taken_at_once(
            parts in vec(vec(any::<u8>(), 0..20), 0..8), short in 0..9_usize,
        ) {
            let all = parts.concat();
            let room = all.len().saturating_sub(short);
            let mut stingy = Stingy { taken: Vec::new(), calls: 0, room };
            let parts: Vec<_> = parts.iter().map(Vec::as_slice).collect();
            let written = write_all(&mut stingy, &parts).map_err(|error| error.kind());
            let expected = if room < all.len() { Err(io::ErrorKind::WriteZero) } else { Ok(()) };
            prop_assert_eq!((written, &stingy.taken[..]), (expected, &all[..room]));
        }
    }
}
