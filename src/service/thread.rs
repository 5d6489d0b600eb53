//! From a machine to a thread: who runs it, and the guard that tells of its end.

use std::io;
use std::sync::Arc;

use super::exit::Exit;
use super::incarnation::{Incarnation, told};
use super::machine::{CrashContext, Ending, Machine, Overseer};
use super::scope;
use super::zombies::Zombies;
#[cfg(test)]
use crate::sync::Mutex;
use crate::sync::{self, JoinHandle};

/// Tells the overseer of the end of an incarnation, exactly once, whatever ends it.
///
/// It is the first local of the thread, so that it is dropped last: when the overseer hears of the
/// end, no code of the user's runs on the thread any more, save destructors of thread-locals.
pub(crate) struct ExitGuard {
    pub(crate) incarnation: Arc<Incarnation>,
    pub(crate) overseer: Arc<dyn Overseer>,
    pub(crate) child: u64,
    /// Counts lives as the overseer does.
    pub(crate) epoch: u64,
    pub(crate) ending: Option<Ending>,
    /// Those who were abandoned and still exist; this one leaves the list with its thread.
    pub(crate) zombies: Zombies,
}

impl Drop for ExitGuard {
    fn drop(&mut self) {
        let unsaid = || Ending::of(Exit::Panicked("outside of any callback".into()), CrashContext::Stopping);
        let ending = self.ending.take().unwrap_or_else(unsaid);
        self.incarnation.tell(told::ENDED);
        self.zombies.remove(&self.incarnation);
        self.overseer.over(self.child, self.epoch, ending);
        self.incarnation.over.open();
    }
}

/// Everything that a thread needs to live one incarnation.
pub(crate) struct Job {
    pub(crate) guard: ExitGuard,
    /// Its predecessor, which is joined before anything else happens.
    pub(crate) predecessor: Option<JoinHandle<()>>,
    pub(crate) stack: Option<usize>,
    /// Makes the machine on its own thread: what a service holds need not be `Send`.
    pub(crate) build: Box<dyn FnOnce() -> Box<dyn Machine> + Send>,
}

impl Job {
    fn live(self) {
        let incarnation = Arc::clone(&self.guard.incarnation);
        self.live_guarded();
        if incarnation.is_abandoned() {
            scope::haunt(&incarnation);
        }
    }

    fn live_guarded(self) {
        let mut guard = self.guard;
        if let Some(predecessor) = self.predecessor {
            // Its end was told by its own guard; how it unwound after that changes nothing.
            drop(predecessor.join());
        }
        let mut machine = (self.build)();
        scope::enter(&guard.incarnation, || machine.run());
        guard.ending = Some(machine.ending());
    }
}

/// Where machines run: each on a thread of its own, or all in a simulation.
#[derive(Clone, Default)]
pub(crate) enum Host {
    #[default]
    Threads,
    #[cfg(test)]
    Simulated(Arc<Mutex<Vec<Job>>>),
}

impl Host {
    /// Whether machines share one thread, and nothing may wait.
    pub(crate) fn is_simulated(&self) -> bool {
        !matches!(self, Self::Threads)
    }

    /// Gives the job a thread. In a simulation there is none to join.
    pub(crate) fn spawn(&self, job: Job) -> io::Result<Option<JoinHandle<()>>> {
        match self {
            Self::Threads => {
                let name = job.guard.incarnation.node.name.to_string();
                sync::spawn(name, job.stack, move || job.live()).map(Some)
            }
            #[cfg(test)]
            Self::Simulated(jobs) => {
                jobs.lock().push(job);
                Ok(None)
            }
        }
    }
}
