//! underpin
#![cfg_attr(not(test), deny(clippy::disallowed_methods, clippy::disallowed_types))]

mod error;
#[cfg(feature = "foundation")]
mod foundation;
mod registry;
mod service;
mod supervisor;
mod sync;

pub use error::{CallError, CastError, ErrorKind, Reaction, SharedError};
#[cfg(feature = "foundation")]
pub use foundation::foundation::{Foundation, FoundationBuilder, Stopper};
pub use registry::{AlreadyRegistered, Registry};
pub use service::context::Context;
pub use service::core::{DeadLetter, DeadReason};
pub use service::deadline::{DEFAULT_TIMEOUT, Deadline};
pub use service::exit::{Exit, Lifecycle, Status};
pub use service::handle::{FanOut, Handle, Pending, StopError, fan_out};
pub use service::mailbox::{Keep as Mailbox, Overflow};
pub use service::monitor::{Down, MonitorRef};
pub use service::reply::Reply;
pub use service::service::{Init, Next, Service};
pub use service::timers::TimerRef;
pub use service::wait::Wait;
pub use service::worker::CrashContext;
pub use supervisor::backoff::Backoff;
pub use supervisor::child::ChildKind;
pub use supervisor::errors::{
    DeleteChildError, RestartChildError, StartChildError, StartError, TerminateChildError,
};
pub use supervisor::report::{CrashReport, ShutdownReport, SupervisionEvent, Unstopped};
pub use supervisor::spec::{ChildSpec, DEFAULT_CAPACITY, Made, child};
pub use supervisor::strategy::{AutoShutdown, Restart, Strategy};
pub use supervisor::supervisor::{
    ChildCounts, ChildInfo, DynamicSupervisor, Supervisor, SupervisorHandle, SupervisorRef,
};
pub use sync::{Clock, ManualClock};
