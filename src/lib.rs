#![cfg_attr(feature = "foundation", doc = include_str!("../README.md"))]
#![cfg_attr(not(feature = "foundation"), doc = "Supervised services on OS threads: the kernel alone.")]
//!
//! # Where things are
//!
//! - [`Service`] is the contract of a service: its messages, its callbacks. [`Context`] is what it
//!   may do inside them: timers, monitors, names.
//! - [`child`] describes how a service is run, as a [`ChildSpec`]. [`Handle`] is how the rest of
//!   the program talks to it, and [`Reply`] how it answers.
//! - [`Supervisor`] and [`DynamicSupervisor`] start, watch, restart and stop children. A
//!   [`SupervisorHandle`] owns the running tree, a [`SupervisorRef`] asks it for things.
//! - [`SupervisorSettings`] and [`ChildSettings`] are what can be set anew while it runs.
//! - `Foundation` is the running application: a root supervisor, and the ways to its end.
//! - [`partition`] describes several services of one kind, each in charge of its part of the keys, and
//!   a router over them, [`Partitioned`].
//! - [`Registry`] maps names to children, in namespaces, for one tree or the whole process; names have
//!   tags. [`Clock`] is where time comes from.
//! - [`SupervisionEvent`] and [`CrashReport`] tell what happens, [`Status`] and [`Lifecycle`] what
//!   is, [`Drops`] and [`DeadLetterInfo`] what was not handled, [`ShutdownReport`] what was left.
//! - [`SupervisorRef::inspect`] shows the tree as it stands, as [`NodeInfo`]. [`Handle::sys`] looks into
//!   one service, suspends and resumes it.
//! - [`OnHang`] says what is done about a thread that does not come back. Its [`Fence`] tells an
//!   incarnation whether it still stands for its child.
//! - `config`, a feature, is the settings of a program: layered, validated, versioned, read lock-free.
//! - `events`, a feature, is a bounded store of what happened: every loss counted, queries that block nobody, a
//!   journal that survives a crash.
//! - `telemetry`, a feature, is what is measured: counters, gauges and histograms without locks, handlers, spans, and their export.
//! - `health`, a feature, says whether the program can do its work: checks, modes, alerts.
//! - `resilience`, a feature, is what keeps a program going when what it leans on fails: breakers, retries, limits, bulkheads,
//!   shedding, fallbacks, pools.
//! - `tasks`, a feature, is pools of supervised threads for closures that run once, and whose ends somebody may wait for.
//! - The [`guide`] is the cookbook: supervision, operation, capacities, calls, testing, patterns, settings, events,
//!   telemetry, health, resilience, tasks.
//! - Errors are one enum for each operation: [`CastError`], [`CallError`], [`StartError`], and so
//!   on. [`ErrorKind`] says what a service's own error means.
//! - `testing`, a feature, is for the tests of programs: probes, crashes, events, a simulation.
#![cfg_attr(not(test), deny(clippy::disallowed_methods, clippy::disallowed_types))]

#[cfg(feature = "config")]
pub mod config;
mod error;
#[cfg(feature = "events")]
pub mod events;
#[cfg(feature = "foundation")]
mod foundation;
#[cfg(any(feature = "resilience", feature = "telemetry"))]
mod gcra;
pub mod guide;
#[cfg(feature = "health")]
pub mod health;
mod registry;
#[cfg(feature = "resilience")]
pub mod resilience;
mod service;
mod supervisor;
mod sync;
#[cfg(feature = "tasks")]
pub mod tasks;
#[cfg(feature = "telemetry")]
pub mod telemetry;
#[cfg(feature = "testing")]
pub mod testing;

pub use error::{CallError, CastError, ErrorKind, Reaction, SharedError};
#[cfg(all(feature = "foundation", feature = "config", feature = "events"))]
pub use foundation::config_events::{
    CONFIG_DEGRADED, CONFIG_RECOVERED, CONFIG_RESET, CONFIG_UNANSWERED, CONFIG_UPDATED, RebuildError,
};
#[cfg(feature = "foundation")]
pub use foundation::foundation::{Foundation, FoundationBuilder, Stopper};
#[cfg(all(feature = "foundation", feature = "events", feature = "health"))]
pub use foundation::health_events::{ALERT_CLEARED, ALERT_RAISED, HEALTH_CHANGED, MODE_CHANGED};
#[cfg(all(feature = "foundation", feature = "events", feature = "resilience"))]
pub use foundation::resilience_events::ResilienceEvents;
#[cfg(all(feature = "foundation", feature = "events", feature = "tasks"))]
pub use foundation::task_events::{TASK_EXPIRED, TASK_PANICKED, TASK_SHEDDING};
pub use registry::{AlreadyRegistered, Registry, RegistryEntry, TagError};
pub use service::context::Context;
pub use service::dead_letters::{DeadLetter, DeadReason};
pub use service::deadline::{DEFAULT_TIMEOUT, Deadline};
pub use service::drops::Drops;
pub use service::exit::{Exit, Lifecycle, Status};
pub use service::fence::{Fence, Fenced};
pub use service::handle::{Handle, StopError};
pub use service::inspect::{Current, MailboxInfo};
pub use service::machine::CrashContext;
pub use service::mailbox::{Keep as Mailbox, Overflow};
pub use service::monitor::{Down, MonitorRef};
pub use service::names::LookupError;
pub use service::pending::{FanOut, Pending, fan_out};
pub use service::replay::{ReplayHalt, Replayed};
pub use service::reply::Reply;
pub use service::service::{Init, Next, Service};
pub use service::shelf::{DeadLetterCounts, DeadLetterInfo};
pub use service::system::{System, SystemError};
pub use service::timers::TimerRef;
pub use service::wait::Wait;
pub use service::zombies::DEFAULT_MAX_ABANDONED;
pub use supervisor::backoff::Backoff;
pub use supervisor::child::ChildKind;
pub use supervisor::dynamic::DynamicSupervisor;
pub use supervisor::errors::{
    DeleteChildError, ReconfigureChildError, ReconfigureError, RecycleChildError, ReplaceChildError,
    RestartChildError, StartChildError, StartError, TerminateChildError,
};
pub use supervisor::hang::{Hung, OnHang};
pub use supervisor::inspect::{InspectError, NodeInfo, SupervisorInfo};
pub use supervisor::owner::SupervisorHandle;
pub use supervisor::partition::{PartitionError, Partitioned, available_cores, partition};
pub use supervisor::reference::{ChildCounts, ChildInfo, SupervisorRef};
pub use supervisor::report::{Abandoned, CrashReport, ShutdownReport, SupervisionEvent, Unstopped};
pub use supervisor::settings::{ChildSettings, SupervisorSettings};
pub use supervisor::spec::{ChildSpec, DEFAULT_CAPACITY, Made, child};
pub use supervisor::strategy::{AutoShutdown, Restart, Strategy};
pub use supervisor::supervisor::Supervisor;
pub use sync::{Clock, ManualClock};

/// Stand-ins for the primitives that loom can explore, to model-check your own services.
///
/// Build with `RUSTFLAGS="--cfg underpin_loom"` and the feature `loom`: then the whole crate runs
/// on these stand-ins, and [`model`](model::model) explores how the threads of a closure may
/// interleave. A service is put into a model by `testing::Solo`; the example `model_check` shows how.
/// Without the cfg they are there, to be compared with the real primitives, and the
/// crate does not use them.
#[cfg(feature = "loom")]
pub mod model {
    pub use crate::sync::model::{
        AtomicBool, AtomicU8, AtomicU64, JoinHandle, Mutex, MutexGuard, Nothing, Ordering, Receiver, Refused,
        Sender, Snapshot, Thread, bounded, current_thread, fence, is_finished, model, model_with, park,
        park_timeout, spawn, spin_loop, yield_now,
    };
}
