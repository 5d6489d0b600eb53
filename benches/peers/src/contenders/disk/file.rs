//! A file by hand: nothing around the events, no checksum, no frame, one system call to write and one to sync.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::Durable;
use crate::contenders::sample::Record;

/// Of what a file is filled with ahead of its writer.
static ZEROS: [u8; 1 << 20] = [0; 1 << 20];
/// How many times.
const AHEAD: usize = 64;

fn file(directory: &Path) -> File {
    let mut options = OpenOptions::new();
    options.create_new(true).write(true).open(directory.join("events")).expect("the directory is empty")
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A file that grows: a write at its end, and `fdatasync`.
pub struct Appended(Mutex<File>);

impl Durable for Appended {
    fn open(directory: &Path) -> Self {
        Self(Mutex::new(file(directory)))
    }

    fn store(&self, events: &[Record]) {
        let mut file = locked(&self.0);
        file.write_all(events.as_flattened()).expect("there is space");
        file.sync_data().expect("the disk works");
    }
}

/// The same in a file that was filled with zeros first, so that no length has to be synced. At its end it
/// begins again.
pub struct Filled(Mutex<(File, u64)>);

impl Durable for Filled {
    fn open(directory: &Path) -> Self {
        let mut file = file(directory);
        (0..AHEAD).for_each(|_| file.write_all(&ZEROS).expect("there is space"));
        file.sync_all().expect("the disk works");
        Self(Mutex::new((file, 0)))
    }

    fn store(&self, events: &[Record]) {
        let mut locked = locked(&self.0);
        let (file, at) = &mut *locked;
        let bytes = events.as_flattened();
        if *at + bytes.len() as u64 > (AHEAD * ZEROS.len()) as u64 {
            *at = 0;
        }
        file.write_all_at(bytes, *at).expect("there is space");
        file.sync_data().expect("the disk works");
        *at += bytes.len() as u64;
    }
}

/// The unit: one `fdatasync` of one byte that has changed, whatever is to be stored.
pub struct Bare(Mutex<(File, u8)>);

impl Durable for Bare {
    fn open(directory: &Path) -> Self {
        Self(Mutex::new((file(directory), 0)))
    }

    fn store(&self, _: &[Record]) {
        let mut locked = locked(&self.0);
        let (file, byte) = &mut *locked;
        *byte = byte.wrapping_add(1);
        file.write_all_at(&[*byte], 0).expect("there is space");
        file.sync_data().expect("the disk works");
    }
}
