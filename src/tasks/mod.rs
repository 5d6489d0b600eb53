//! Tasks: closures that run once, on the threads of a pool, and whose ends somebody may wait for.
//!
//! - [`TaskPool`] is a pool of supervised threads, described by a [`TaskPoolBuilder`]; [`Overflow`] is what it does with more than it has
//!   room for, a [`PoolSnapshot`] how it stands.
//! - [`Task`] is a task for whoever spawned it, a [`Canceller`] ends it from elsewhere; a [`TaskBuilder`] describes one that has a
//!   key, a deadline or a delay; a [`TaskContext`] is what it knows of itself.
//! - [`TaskError`] says why there is no result, [`SpawnError`] why it was not taken.
//! - [`Sink`] is where each [`Event`] goes.
//!
//! # Protocol
//!
#![doc = include_str!("PROTOCOL.md")]

mod builder;
mod crew;
mod cx;
mod desk;
mod error;
mod head;
mod job;
mod keeper;
mod keys;
mod later;
#[cfg(all(test, underpin_loom))]
mod models;
mod overflow;
mod pool;
mod request;
mod settings;
mod shared;
mod sink;
mod snapshot;
mod states;
mod task;
mod worker;

pub use builder::TaskPoolBuilder;
pub use cx::TaskContext;
pub use error::{Cancelled, SpawnError, TaskError};
pub use overflow::Overflow;
pub use pool::TaskPool;
pub use request::TaskBuilder;
pub use settings::{DEFAULT_KEEP_ALIVE, DEFAULT_QUEUE, MAX_QUEUE, MAX_THREADS, PoolSettingsError};
pub use sink::{Event, Sink};
pub use snapshot::PoolSnapshot;
pub use task::{Canceller, Task};
