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
    /// Whether the machine, at rest, has something to do: for a simulation, which need not ask it then.
    #[cfg(feature = "testing")]
    pub(crate) has_work: Box<dyn Fn() -> bool + Send>,
    /// Makes the machine on its own thread: what a service holds need not be `Send`.
    pub(crate) build: Box<dyn FnOnce() -> Box<dyn Machine> + Send>,
}

impl Job {
    /// Lives the incarnation on the calling thread, from its start to its end.
    pub(crate) fn live(self) {
        self.live_by(|machine| machine.run());
    }

    /// As [`live`](Self::live), with somebody else who drives the machine.
    pub(crate) fn live_by(self, drive: impl FnOnce(&mut dyn Machine)) {
        let incarnation = Arc::clone(&self.guard.incarnation);
        self.live_guarded(drive);
        if incarnation.is_abandoned() {
            scope::haunt(&incarnation);
        }
    }

    fn live_guarded(self, drive: impl FnOnce(&mut dyn Machine)) {
        let mut guard = self.guard;
        if let Some(predecessor) = self.predecessor {
            // Its end was told by its own guard; how it unwound after that changes nothing.
            drop(predecessor.join());
        }
        let mut machine = (self.build)();
        scope::enter(&guard.incarnation, || drive(&mut *machine));
        guard.ending = Some(machine.ending());
    }
}

/// Where machines run: each on a thread that goes its own way, or in a simulation, one at a time.
#[derive(Clone, Default)]
pub(crate) enum Host {
    #[default]
    Threads,
    #[cfg(feature = "testing")]
    Simulated(Arc<dyn Stage>),
    /// Nobody runs them here: whoever tests takes them and makes each of their steps itself.
    #[cfg(test)]
    Stepped(Arc<Mutex<Vec<Job>>>),
}

/// Where a simulation takes machines over.
#[cfg(feature = "testing")]
pub(crate) trait Stage: Send + Sync {
    fn enter(&self, job: Job) -> io::Result<()>;
}

impl Host {
    /// Whether machines run one at a time.
    pub(crate) fn is_simulated(&self) -> bool {
        !matches!(self, Self::Threads)
    }

    /// Gives the job a thread. In a simulation that is not its supervisor's to join.
    pub(crate) fn spawn(&self, job: Job) -> io::Result<Option<JoinHandle<()>>> {
        match self {
            Self::Threads => {
                let name = job.guard.incarnation.node.name.to_string();
                sync::spawn(name, job.stack, move || job.live()).map(Some)
            }
            #[cfg(feature = "testing")]
            Self::Simulated(stage) => stage.enter(job).map(|()| None),
            #[cfg(test)]
            Self::Stepped(jobs) => {
                jobs.lock().push(job);
                Ok(None)
            }
        }
    }
}
