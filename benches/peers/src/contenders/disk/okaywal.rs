//! okaywal: a write-ahead log. An entry of a chunk for each event; those who commit at the same time share one
//! `fdatasync`. Of what is checkpointed nothing is kept.

use std::path::Path;

use okaywal::{Configuration, LogVoid, WriteAheadLog};

use super::Durable;
use crate::contenders::sample::Record;

/// Its default of one is full after four batches. Neither this nor the buffer makes much of a difference.
const SEGMENT_MIB: u32 = 16;

impl Durable for WriteAheadLog {
    fn open(directory: &Path) -> Self {
        let bytes = SEGMENT_MIB << 20;
        let configuration = Configuration::default_for(directory)
            .preallocate_bytes(bytes)
            .checkpoint_after_bytes(u64::from(bytes - (1 << 20)))
            .buffer_bytes(256 << 10);
        configuration.open(LogVoid).expect("the directory is empty")
    }

    fn store(&self, events: &[Record]) {
        let mut entry = self.begin_entry().expect("the log is open");
        for event in events {
            entry.write_chunk(event).expect("there is space");
        }
        entry.commit().expect("the disk works");
    }
}
