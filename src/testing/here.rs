//! Which simulation the present thread belongs to, if to any.

use std::cell::{Cell, RefCell};
use std::sync::Arc;

use super::fiber::Seat;
use super::stage::Stage;
use crate::supervisor::errors::StartError;
use crate::supervisor::owner::SupervisorHandle;
use crate::supervisor::supervisor::Supervisor;
use crate::sync::{self, Clock};

/// A thread's place in a simulation.
#[derive(Clone)]
pub(super) struct Here {
    pub(super) stage: Arc<Stage>,
    /// That of one who is simulated; `None` for the thread that made the simulation.
    pub(super) seat: Option<Arc<Seat>>,
}

sync::thread_local! {
    static HERE: RefCell<Option<Here>> = const { RefCell::new(None) };
}

sync::thread_local! {
    /// The wait that the thread parked in last.
    static LAST_WAIT: Cell<u64> = const { Cell::new(0) };
}

pub(super) fn here() -> Option<Here> {
    HERE.try_with(|here| here.borrow().clone()).ok().flatten()
}

/// The thread's place from here on. Returns what it was before.
pub(super) fn set(here: Option<Here>) -> Option<Here> {
    HERE.with(|cell| cell.replace(here))
}

/// Starts a tree where the present thread is: in its simulation, if it has one.
pub(super) fn start(supervisor: Supervisor) -> Result<SupervisorHandle, StartError> {
    match here() {
        Some(here) => here.start(supervisor),
        None => supervisor.start(),
    }
}

/// The clock by which the present thread waits for what a test wants to see: its simulation's, if
/// it has one. Else the system's: a clock that is moved by hand would let a failing test hang.
pub(super) fn clock() -> Clock {
    here().map_or_else(Clock::system, |here| Clock::paced(here.stage))
}

/// Whether the thread parks for something other than the last time.
pub(super) fn is_new_wait() -> bool {
    let wait = sync::waits_begun();
    LAST_WAIT.with(|last| last.replace(wait)) != wait
}
