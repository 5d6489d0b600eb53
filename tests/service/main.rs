//! One service: its start, its messages, its answers, its timers and its end.

mod calls;
#[path = "../common/mod.rs"]
mod common;
mod deadlines;
mod end;
mod error_kinds;
mod fan_out;
mod init;
mod monitors;
mod timers;

use std::fmt;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use common::*;
use underpin::testing::namespace;
use underpin::{
    CallError, CastError, Clock, Context, CrashContext, Deadline, ErrorKind, Exit, Handle, Init, Lifecycle,
    Next, Overflow, Reaction, Reply, Restart, Service, StartChildError, StartError, StopError,
    SupervisionEvent, Supervisor, SupervisorHandle, Wait, child, fan_out,
};

fn one(spec: underpin::ChildSpec<Bot>) -> (underpin::SupervisorHandle, underpin::Handle<Msg>) {
    let handle = spec.handle();
    (patient("app").child(spec).start().expect("starts"), handle)
}
