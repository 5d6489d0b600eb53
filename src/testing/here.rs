//! Which simulations the present thread belongs to, if to any.

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
    /// The newest is the last. Who drives may have several; they end in any order.
    static HERE: RefCell<Vec<Here>> = const { RefCell::new(Vec::new()) };
}

sync::thread_local! {
    /// The wait that the thread parked in last.
    static LAST_WAIT: Cell<u64> = const { Cell::new(0) };
}

/// In the newest of its simulations.
pub(super) fn here() -> Option<Here> {
    HERE.try_with(|here| here.borrow().last().cloned()).ok().flatten()
}

/// In this simulation.
pub(super) fn here_in(stage: &Stage) -> Option<Here> {
    let is_it = |here: &&Here| std::ptr::eq(&*here.stage, stage);
    HERE.try_with(|here| here.borrow().iter().find(is_it).cloned()).ok().flatten()
}

/// From here on the thread is in that one too.
pub(super) fn enter(here: Here) {
    HERE.with(|all| all.borrow_mut().push(here));
}

/// The thread is in that one no more.
pub(super) fn leave(stage: &Stage) {
    let left = HERE.try_with(|all| {
        let mut all = all.borrow_mut();
        let at = all.iter().position(|here| std::ptr::eq(&*here.stage, stage));
        at.map(|at| all.remove(at))
    });
    drop(left);
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
