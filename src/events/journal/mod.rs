//! The journal: opaque payloads as records, in order, in the segment files of a directory.
//!
//! - [`Journal`] says where one is and how it is kept. [`Sync`] is when records are made durable.
//! - [`Writer`] appends groups of records, [`Encoder`] makes them. [`Recovery`] is what opening found.
//! - [`Reader`] looks into a journal without its lock, also while another process writes it.
//! - [`JournalError`] is why something was not done.
//! - [`Disk`] is the layer below, so that tests inject its faults.

mod archive;
mod chain;
mod disk;
mod errors;
#[cfg(all(test, not(underpin_loom)))]
pub(super) mod model;
mod policy;
mod reader;
mod record;
mod recovery;
mod segment;
mod settings;
mod tail;
#[cfg(all(test, not(underpin_loom)))]
mod tests;
mod writer;

pub(crate) use disk::Disk;
#[cfg(all(test, underpin_loom))]
pub(crate) use disk::DiskFile;
pub(crate) use disk::RealDisk;
pub use errors::JournalError;
pub(crate) use policy::SyncPolicy;
pub(crate) use reader::{Item, Reader};
pub(crate) use record::{Encoder, Group, MAX_PAYLOAD_BYTES};
pub use recovery::{Corrupt, Gap, Recovery, Torn};
pub(crate) use settings::Settings;
pub use settings::{Journal, OnCorruption, Sync};
pub(crate) use writer::Writer;
#[cfg(all(test, not(underpin_loom)))]
use writer::{Retained, Stats};
