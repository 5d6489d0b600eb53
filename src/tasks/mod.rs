//! Tasks: closures that run once, on the threads of a pool, and whose ends somebody may wait for.
//!
//! - [`TaskPool`] is a pool of supervised threads, described by a [`TaskPoolBuilder`]; [`Overflow`] is what it does with more than it has
//!   room for, a [`PoolSnapshot`] how it stands.
//! - [`Task`] is a task for whoever spawned it, a [`Canceller`] ends it from elsewhere; a [`TaskBuilder`] describes one that has a
//!   key, a deadline or a delay; a [`TaskContext`] is what it knows of itself.
//! - [`Map`] is a function over the items of an iterator, in order or as they are done; a [`TryMap`] ends with the first error, a
//!   [`MapSummary`] counts.
//! - A [`scope()`] runs tasks that borrow: a [`Scope`] spawns [`ScopedTask`]s and maps, and waits for all of them.
//! - A [`Periodic`] task runs again and again, each [`Period`]; [`Missed`] says what happens to runs that could not begin.
//! - [`TaskError`] says why there is no result, [`SpawnError`] why it was not taken.
//! - [`Sink`] is where each [`Event`] goes.
//!
//! # Protocol
//!
#![doc = include_str!("PROTOCOL.md")]

mod bell;
mod builder;
mod crew;
mod cx;
mod desk;
mod each;
mod error;
mod flight;
mod flow;
mod ground;
mod hall;
mod head;
mod job;
mod keeper;
mod keys;
mod later;
mod map;
#[cfg(all(test, underpin_loom))]
mod models;
mod overflow;
mod period;
mod periodic;
mod piece;
mod pool;
mod request;
mod scope;
mod scoped;
mod settings;
mod shared;
mod sink;
mod snapshot;
mod states;
mod task;
mod tenure;
mod try_map;
mod worker;

pub use builder::TaskPoolBuilder;
pub use cx::TaskContext;
pub use each::MapSummary;
pub use error::{Cancelled, SpawnError, TaskError};
pub use map::Map;
pub use overflow::Overflow;
pub use period::{Missed, Period};
pub use periodic::{Periodic, PeriodicCounts};
pub use pool::TaskPool;
pub use request::TaskBuilder;
pub use scope::{Scope, scope};
pub use scoped::ScopedTask;
pub use settings::{DEFAULT_KEEP_ALIVE, DEFAULT_QUEUE, MAX_QUEUE, MAX_THREADS, PoolSettingsError};
pub use sink::{Event, Sink};
pub use snapshot::PoolSnapshot;
pub use task::{Canceller, Task};
pub use try_map::{TryError, TryMap};
