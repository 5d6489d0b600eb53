//! What is driven step by step: a worker or a supervisor, by a thread, a model or the simulation.

use std::sync::Arc;
use std::time::Instant;

use super::exit::Exit;
use crate::sync::Clock;

/// What a step has come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// Something was done; there may be more.
    Again,
    /// Nothing to do before there is mail or the moment comes.
    Idle(Option<Instant>),
    /// The machine has ended.
    Over,
}

/// Something that is driven step by step until it is over.
pub(crate) trait Machine {
    fn step(&mut self, now: Instant) -> Step;
    /// Waits until there is mail, or the moment has come.
    fn wait(&mut self, until: Option<Instant>);
    /// Whether the next step looks at the time.
    fn is_timed(&self) -> bool;
    fn clock(&self) -> &Clock;
    /// How it ended; once it is over.
    fn ending(&mut self) -> Ending;

    /// A thread of its own drives it: it need not stop between any two messages.
    fn has_a_thread(&mut self) {}

    /// As [`step`](Self::step), but the message that this takes crashes it. `None` if there is none.
    #[cfg(feature = "testing")]
    fn crash(&mut self, at: CrashAt) -> Option<Step> {
        let _ = at;
        None
    }

    /// Drives it to its end. The clock is read only while somebody looks at it.
    fn run(&mut self) {
        self.has_a_thread();
        let clock = self.clock().clone();
        let mut now = clock.now();
        loop {
            match self.step(now) {
                Step::Again => {}
                Step::Idle(until) => self.wait(until),
                Step::Over => return,
            }
            if self.is_timed() {
                now = clock.now();
            }
        }
    }
}

/// Where in the handler of a message a simulation has a service crash.
#[cfg(feature = "testing")]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CrashAt {
    /// The message is lost.
    Begin,
    /// The message is handled, and the state lost.
    End,
}

/// Where in its life an incarnation crashed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum CrashContext {
    /// In the factory or in `init`.
    Starting,
    /// In `handle` or `idle`.
    Running,
    /// In `terminate`, or while its state was dropped.
    Stopping,
}

/// The end of an incarnation, as told to its supervisor.
#[derive(Clone, Debug)]
pub(crate) struct Ending {
    pub(crate) exit: Exit,
    pub(crate) context: CrashContext,
    pub(crate) label: Option<&'static str>,
    /// A panic in `terminate` or in the drop of the state, beside the exit.
    pub(crate) aftermath: Option<Arc<str>>,
}

impl Ending {
    pub(crate) fn of(exit: Exit, context: CrashContext) -> Self {
        Self { exit, context, label: None, aftermath: None }
    }
}

/// Who is told of the start and the end of an incarnation. Never blocks, runs no user code.
pub(crate) trait Overseer: Send + Sync {
    fn ready(&self, child: u64, epoch: u64);
    /// It became busy, and nobody looks after it.
    fn busy(&self, child: u64, epoch: u64);
    fn over(&self, child: u64, epoch: u64, ending: Ending);
}
