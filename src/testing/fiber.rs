//! A machine on a thread of its own that runs only when it has the turn.
//!
//! It has a thread because a step may wait, in the middle of a user's handler, for what others have to
//! do first; and because what a service holds need not be `Send`. It gives the turn back when its
//! step is done, or when that waits. So of all threads of a simulation one runs at a time.

use std::io;
use std::panic::resume_unwind;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::here::{self, Here};
use super::stage::Stage;
use crate::service::deadline::Deadline;
use crate::service::machine::{CrashAt, Machine, Step};
use crate::service::thread::Job;
use crate::sync::{self, Clock, JoinHandle, Mutex, Thread};

/// How long a turn may take in real time, if nothing else is said.
pub(super) const PATIENCE: Duration = Duration::from_secs(60);

/// What a machine does with its turn.
#[derive(Clone, Copy, Debug)]
pub(super) enum Turn {
    /// One step; or goes on with the one that waits.
    Step(Instant),
    /// One step, and a crash in it.
    Crash(CrashAt, Instant),
    /// It ends, wherever it is: the simulation is over.
    Leave,
}

/// What a turn has come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Report {
    /// It did something.
    Did,
    /// It took a message and crashed over it, as it was told.
    Crashed,
    /// It has nothing to do before there is mail or the moment comes.
    Rests(Option<Instant>),
    /// Its step waits. Whether for the same as the last time.
    Waits(Option<Instant>, IsNew),
    /// It has ended.
    Over,
    /// Its thread cannot be ended.
    Lost,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct IsNew(pub(super) bool);

/// Where the turn is handed to and fro.
pub(super) struct Seat {
    turn: Mutex<Option<Turn>>,
    report: Mutex<Option<Report>>,
    owner: Thread,
}

impl Seat {
    fn say(&self, report: Report) {
        *self.report.lock() = Some(report);
        self.owner.unpark();
    }

    fn heard(&self) -> Option<Report> {
        self.report.lock().take()
    }

    fn given(&self) -> Option<Turn> {
        self.turn.lock().take()
    }

    /// Waits for the turn. The simulation gives it, or ends the machine.
    fn await_turn(&self) -> Turn {
        loop {
            if let Some(turn) = self.given() {
                return turn;
            }
            sync::park();
        }
    }

    /// The step waits: gives the turn back until there is another.
    pub(super) fn wait(&self, until: Option<Instant>) {
        self.say(Report::Waits(until, IsNew(here::is_new_wait())));
        if let Turn::Leave = self.await_turn() {
            if std::thread::panicking() {
                self.stay_behind();
            }
            resume_unwind(Box::new("the simulation is over"));
        }
    }

    /// To unwind twice would end the process: the thread is left where it is.
    fn stay_behind(&self) -> ! {
        self.say(Report::Lost);
        loop {
            sync::park();
        }
    }
}

/// Says that the machine has ended. The first local of its thread, so that it is dropped last.
struct Farewell(Arc<Seat>);

impl Drop for Farewell {
    fn drop(&mut self) {
        self.0.say(Report::Over);
    }
}

/// A machine as the simulation sees it.
pub(super) struct Fiber {
    pub(super) name: Arc<str>,
    pub(super) seat: Arc<Seat>,
    has_work: Box<dyn Fn() -> bool + Send>,
    thread: JoinHandle<()>,
}

impl Fiber {
    /// A machine that waits for its first turn.
    pub(super) fn start(mut job: Job, owner: Thread, stage: Arc<Stage>) -> io::Result<Self> {
        let name = Arc::clone(&job.guard.incarnation.node.name);
        let has_work = std::mem::replace(&mut job.has_work, Box::new(|| true)); // the simulation asks
        let seat = Arc::new(Seat { turn: Mutex::new(None), report: Mutex::new(None), owner });
        let thread = sync::spawn(name.to_string(), job.stack, {
            let seat = Arc::clone(&seat);
            move || {
                let farewell = Farewell(Arc::clone(&seat));
                here::enter(Here { stage, seat: Some(seat) });
                live(&farewell.0, job);
            }
        })?;
        Ok(Self { name, seat, has_work, thread })
    }

    /// Whether there is something to do for it, where it rests.
    pub(super) fn has_work(&self) -> bool {
        (self.has_work)()
    }

    pub(super) fn thread(&self) -> Thread {
        self.thread.thread().clone()
    }

    /// Hands over the turn, and waits until it comes back. `None` if it does not in time.
    pub(super) fn resume(seat: &Seat, thread: &Thread, turn: Turn, patience: Duration) -> Option<Report> {
        *seat.turn.lock() = Some(turn);
        thread.unpark();
        let until = Deadline::from(Clock::SYSTEM.now(), patience);
        loop {
            if let Some(report) = seat.heard() {
                return Some(report);
            }
            if until.has_passed(Clock::SYSTEM.now()) {
                return None;
            }
            Clock::SYSTEM.park(until.instant());
        }
    }

    /// Ends the machine, wherever it is; a thread that does not come back is left behind.
    pub(super) fn dismiss(self, patience: Duration) {
        let thread = self.thread();
        loop {
            match Self::resume(&self.seat, &thread, Turn::Leave, patience) {
                None | Some(Report::Lost) => return,
                Some(Report::Over) => return self.join(),
                Some(_) => {} // unwound out of one wait
            }
        }
    }

    /// It said that it is over: its thread is about to finish.
    pub(super) fn join(self) {
        drop(self.thread.join());
    }
}

/// Lives one incarnation, a turn at a time.
fn live(seat: &Seat, job: Job) {
    match seat.await_turn() {
        Turn::Leave => {}
        first => job.live_by(|machine| drive(seat, machine, first)),
    }
}

fn drive(seat: &Seat, machine: &mut dyn Machine, first: Turn) {
    let mut turn = first;
    loop {
        let report = match turn {
            Turn::Leave => return,
            Turn::Step(now) => told(machine.step(now)),
            Turn::Crash(at, now) => match machine.crash(at) {
                Some(_) => Report::Crashed,
                None => told(machine.step(now)),
            },
        };
        if report == Report::Over {
            return; // said when its guard is gone too
        }
        seat.say(report);
        turn = seat.await_turn();
    }
}

fn told(step: Step) -> Report {
    match step {
        Step::Again => Report::Did,
        Step::Idle(until) => Report::Rests(until),
        Step::Over => Report::Over,
    }
}
