//! Those that keep events on a disk. An operation is over when its events are durable.

pub mod file;
#[cfg(feature = "disk-peers")]
pub mod fjall;
#[cfg(feature = "disk-peers")]
pub mod okaywal;
#[cfg(feature = "disk-peers")]
pub mod redb;
#[cfg(feature = "disk-peers")]
pub mod sqlite;

use ::std::fs;
use ::std::path::{Path, PathBuf};
use ::std::sync::Arc;
use ::std::sync::atomic::{AtomicU64, Ordering};

use super::sample::Record;
use super::{Arena, Bout};

/// The rows that have files.
pub const ROWS: [&str; 2] = ["D2", "D3"];
/// How many events are made durable together, in the rows where they are.
pub const BATCH: usize = 1000;

/// A store on a disk.
pub trait Durable: Send + Sync + 'static {
    /// Opens it in an empty directory.
    fn open(directory: &Path) -> Self;

    /// Stores these events, all or none, and returns when they are durable.
    fn store(&self, events: &[Record]);
}

/// One operation is [`BATCH`] events, durable together.
pub fn batches<D: Durable>() -> Arena {
    arena::<D>(BATCH)
}

/// One operation is one event, durable.
pub fn each<D: Durable>() -> Arena {
    arena::<D>(1)
}

fn arena<D: Durable>(together: usize) -> Arena {
    let directory = Directory::new();
    let site = Arc::new(Site { store: D::open(directory.path()), _directory: directory });
    let events: Vec<Record> = (0..together).map(|n| [n as u8; size_of::<Record>()]).collect();
    Box::new(move || {
        let (site, events) = (Arc::clone(&site), events.clone());
        Box::new(move |n: u64| (0..n).for_each(|_| site.store.store(&events))) as Box<dyn Bout>
    })
}

/// A store and its files. The store goes first.
struct Site<D> {
    store: D,
    _directory: Directory,
}

/// A fresh directory beside the program, and so on the disk where the program was built. It is removed when
/// it is dropped.
pub struct Directory(PathBuf);

impl Directory {
    pub fn new() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = place().join(format!("{}-{number}", ::std::process::id()));
        fs::create_dir_all(&path).expect("a directory can be made beside the program");
        Self(path)
    }

    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        // What is left when this fails is in nobody's way.
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Where all the directories are.
fn place() -> PathBuf {
    let program = ::std::env::current_exe().expect("the program is somewhere");
    program.with_file_name("peers-files")
}

/// Where the files are, and on what file system, for who reads the figures.
pub fn whereabouts() -> String {
    let (place, mounts) = (place(), fs::read_to_string("/proc/self/mounts").unwrap_or_default());
    format!("{} ({})", place.display(), file_system(&place, &mounts).unwrap_or("unknown file system"))
}

/// The type of the file system that is mounted closest above a path.
fn file_system<'a>(path: &Path, mounts: &'a str) -> Option<&'a str> {
    let mounts = mounts.lines().filter_map(|line| {
        let mut fields = line.split(' ').skip(1);
        Some((fields.next()?, fields.next()?))
    });
    let above = mounts.filter(|(point, _)| path.starts_with(point));
    above.max_by_key(|(point, _)| point.len()).map(|(_, kind)| kind)
}

/// Keys that rise, for stores that want keys.
#[cfg(feature = "disk-peers")]
#[derive(Default)]
struct Keys(AtomicU64);

#[cfg(feature = "disk-peers")]
impl Keys {
    /// As many as there are events.
    fn of(&self, events: &[Record]) -> impl Iterator<Item = u64> {
        let first = self.0.fetch_add(events.len() as u64, Ordering::Relaxed);
        first..
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_closest_file_system_counts() {
        let mounts = "/dev/a / ext4 rw 0 0\ntmpfs /tmp tmpfs rw 0 0\n/dev/b /tmp/deep xfs rw 0 0\n";
        let found = ["/home/x", "/tmp/x", "/tmp/deep/x", "/tmp/deeper"]
            .map(|path| file_system(Path::new(path), mounts).unwrap_or("none"));
        assert_eq!(found, ["ext4", "tmpfs", "xfs", "tmpfs"]);
        assert_eq!(file_system(Path::new("/x"), ""), None);
    }

    #[test]
    fn a_directory_is_fresh_and_goes_with_its_files() {
        let (one, other) = (Directory::new(), Directory::new());
        assert_ne!(one.path(), other.path());
        fs::write(one.path().join("file"), "x").expect("it is there");
        let path = one.path().to_owned();
        drop(one);
        assert!(!path.exists() && other.path().exists());
    }
}
