//! Where simulated machines are: who has the turn next, and what time it is.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::chance::Chance;
use super::fiber::{Fiber, IsNew, PATIENCE, Report, Seat, Turn};
use super::here::{self, Here};
use crate::service::machine::CrashAt;
use crate::service::thread::{self, Job};
use crate::sync::{self, ManualClock, Mutex, Pace, Thread};

/// How many turns there are at one moment of the clock before they count as endless, if nothing else
/// is said.
const MOST_TURNS: u32 = 1_000_000;

/// The machines of one simulation.
pub(super) struct Stage {
    seed: u64,
    hand: ManualClock,
    /// Who made the simulation, and drives it.
    owner: Thread,
    inside: Mutex<Inside>,
}

struct Inside {
    chance: Chance,
    machines: Vec<Simulated>,
    /// Counts what was done: who has looked since the last of it has nothing to do.
    deeds: u64,
    /// How many turns there were since the clock moved.
    turns: u32,
    /// How many turns the present wait of the driving thread has cost.
    waited: u32,
    /// Whom the next message crashes.
    doomed: Vec<Arc<str>>,
    /// How long a turn may take, in real time.
    patience: Duration,
    /// How many turns there may be at one moment of the clock.
    most_turns: u32,
    /// It has failed: nobody gets a turn any more.
    failed: bool,
    /// A message in so many crashes whoever takes it; none, if it is 0.
    chaos: usize,
}

/// One machine, and what is known of it.
struct Simulated {
    fiber: Fiber,
    rest: Rest,
    /// Up to which deed it has looked.
    looked: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Rest {
    Ready,
    Idle(Option<Instant>),
    /// In the middle of a step.
    Waiting(Option<Instant>),
}

/// A turn that is about to be taken.
struct Next {
    index: usize,
    seat: Arc<Seat>,
    thread: Thread,
    turn: Turn,
    patience: Duration,
}

impl Inside {
    /// One of those who may have something to do.
    fn any_able(&mut self, now: Instant) -> Option<usize> {
        if self.failed {
            return None;
        }
        let may = |one: &Simulated| match one.rest {
            Rest::Ready => true,
            _ if one.looked == self.deeds => false,
            Rest::Idle(until) => one.fiber.has_work() || until.is_some_and(|at| at <= now),
            Rest::Waiting(_) => true,
        };
        let able: Vec<_> = (0..self.machines.len()).filter(|&index| may(&self.machines[index])).collect();
        if able.is_empty() { None } else { Some(able[self.chance.below(able.len())]) }
    }

    /// Whether the next message crashes this one: only between two steps.
    fn crash_of(&mut self, index: usize) -> Option<CrashAt> {
        let one = &self.machines[index];
        if matches!(one.rest, Rest::Waiting(_)) {
            return None;
        }
        if self.doomed.contains(&one.fiber.name) {
            return Some(CrashAt::Begin);
        }
        let crashes = self.chance.one_in(self.chaos);
        crashes.then(|| if self.chance.one_in(2) { CrashAt::Begin } else { CrashAt::End })
    }

    /// One has had its turn.
    fn looked(&mut self, index: usize, report: Report) {
        let one = &mut self.machines[index];
        one.looked = self.deeds;
        one.rest = match report {
            Report::Rests(until) => Rest::Idle(until),
            Report::Waits(until, _) => Rest::Waiting(until),
            _ => Rest::Ready,
        };
        if report == Report::Crashed
            && let Some(at) = self.doomed.iter().position(|name| *name == one.fiber.name)
        {
            self.doomed.swap_remove(at);
        }
    }
}

impl Stage {
    pub(super) fn new(seed: u64) -> Arc<Self> {
        let inside = Inside {
            chance: Chance::new(seed),
            machines: Vec::new(),
            deeds: 0,
            turns: 0,
            waited: 0,
            doomed: Vec::new(),
            patience: PATIENCE,
            most_turns: MOST_TURNS,
            failed: false,
            chaos: 0,
        };
        let (hand, owner) = (ManualClock::new(), sync::current_thread());
        Arc::new(Self { seed, hand, owner, inside: Mutex::new(inside) })
    }

    pub(super) fn seed(&self) -> u64 {
        self.seed
    }

    pub(super) fn chance<R>(&self, draw: impl FnOnce(&mut Chance) -> R) -> R {
        draw(&mut self.inside.lock().chance)
    }

    pub(super) fn doom(&self, name: Arc<str>) {
        self.inside.lock().doomed.push(name);
    }

    pub(super) fn set_chaos(&self, one_in: usize) {
        self.inside.lock().chaos = one_in;
    }

    pub(super) fn set_patience(&self, patience: Duration) {
        self.inside.lock().patience = patience;
    }

    pub(super) fn set_most_turns(&self, most: u32) {
        self.inside.lock().most_turns = most;
    }

    // ---- turns ---------------------------------------------------------------------------

    /// Whoever drives may have done something: everyone looks again.
    pub(super) fn stir(&self) {
        self.inside.lock().deeds += 1;
    }

    /// Lets one machine, by chance, do something. `false` if nobody has anything to do.
    pub(super) fn turn(&self) -> bool {
        while let Some(next) = self.pick() {
            match Fiber::resume(&next.seat, &next.thread, next.turn, next.patience) {
                Some(report) if self.note(next.index, report) => return true,
                Some(_) => {}
                None => self.keeps_the_turn(&next),
            }
        }
        false
    }

    /// Who makes the next step: chance decides among those who may have something to do.
    fn pick(&self) -> Option<Next> {
        let (mut inside, now) = (self.inside.lock(), self.hand.now());
        let index = inside.any_able(now)?;
        let crash = inside.crash_of(index);
        let fiber = &inside.machines[index].fiber;
        Some(Next {
            index,
            seat: Arc::clone(&fiber.seat),
            thread: fiber.thread(),
            turn: crash.map_or(Turn::Step(now), |at| Turn::Crash(at, now)),
            patience: inside.patience,
        })
    }

    /// Writes down what a turn has come to. Whether anything was done.
    fn note(&self, index: usize, report: Report) -> bool {
        let mut inside = self.inside.lock();
        let did = !matches!(report, Report::Rests(_) | Report::Waits(_, IsNew(false)));
        inside.deeds += u64::from(did);
        inside.turns += u32::from(did);
        if inside.turns > inside.most_turns {
            let turns = inside.most_turns;
            drop(inside);
            self.fail_for_good(format_args!("it does not come to rest in {turns} turns"));
        }
        if report == Report::Over {
            let over = inside.machines.swap_remove(index);
            drop(inside);
            over.fiber.join();
        } else {
            inside.looked(index, report);
        }
        did
    }

    /// One that does not come back: it is left to itself, and the rest can still be stopped.
    #[cold]
    fn keeps_the_turn(&self, next: &Next) -> ! {
        let lost = self.inside.lock().machines.swap_remove(next.index);
        let (name, patience) = (&lost.fiber.name, next.patience);
        self.fail(format_args!(
            "`{name}` kept the turn for {patience:?}: it waits for something that is not the simulation's"
        ))
    }

    // ---- time ----------------------------------------------------------------------------

    /// The next moment that somebody waits for.
    pub(super) fn next_due(&self) -> Option<Instant> {
        let now = self.hand.now();
        let inside = self.inside.lock();
        if inside.failed {
            return None;
        }
        let due = inside.machines.iter().filter_map(|one| match one.rest {
            Rest::Ready => None,
            Rest::Idle(until) | Rest::Waiting(until) => until,
        });
        due.filter(|at| *at > now).min()
    }

    pub(super) fn move_to(&self, moment: Instant) {
        let by = moment.saturating_duration_since(self.hand.now());
        self.hand.advance(by);
        let mut inside = self.inside.lock();
        inside.turns = 0;
        inside.deeds += 1;
    }

    /// Whoever made the simulation waits: the others go on meanwhile, and when nobody has anything to
    /// do, time does.
    fn drive(&self, deadline: Option<Instant>) {
        self.go_on_waiting(deadline);
        if self.turn() {
            return;
        }
        match self.next_due().into_iter().chain(deadline).min() {
            Some(moment) => self.move_to(moment),
            None => {
                self.fail(format_args!("nobody has anything to do and nothing is due: this wait has no end"))
            }
        }
    }

    /// Timers may go on for ever, while what is waited for does not come.
    fn go_on_waiting(&self, deadline: Option<Instant>) {
        let mut inside = self.inside.lock();
        if here::is_new_wait() {
            inside.deeds += 1;
            inside.waited = 0;
        }
        inside.waited += 1;
        if deadline.is_none() && inside.waited > inside.most_turns {
            let turns = inside.most_turns;
            drop(inside);
            self.fail_for_good(format_args!("this wait has no deadline, and did not end in {turns} turns"));
        }
    }

    // ---- the end -------------------------------------------------------------------------

    /// Ends all machines, wherever they are.
    pub(super) fn disband(&self) {
        while let Some(last) = { self.inside.lock().machines.pop() } {
            let patience = self.inside.lock().patience;
            last.fiber.dismiss(patience);
        }
    }

    /// Nobody gets a turn any more: else whoever stops the tree would go on and on.
    #[cold]
    fn fail_for_good(&self, why: fmt::Arguments<'_>) -> ! {
        self.inside.lock().failed = true;
        self.fail(why)
    }

    #[cold]
    fn fail(&self, why: fmt::Arguments<'_>) -> ! {
        panic!("simulation of seed {}: {why}\n{self:?}", self.seed);
    }
}

impl Pace for Stage {
    fn now(&self) -> Instant {
        self.hand.now()
    }

    fn park(&self, deadline: Option<Instant>) {
        match here::here_in(self).map(|here| here.seat) {
            Some(Some(seat)) => seat.wait(deadline),
            Some(None) => self.drive(deadline),
            None => panic!(
                "only the thread that made a simulation waits for what is in it, and only while it lasts"
            ),
        }
    }
}

impl thread::Stage for Here {
    fn enter(&self, job: Job) -> io::Result<()> {
        let stage = &self.stage;
        let fiber = Fiber::start(job, stage.owner.clone(), Arc::clone(stage))?;
        stage.inside.lock().machines.push(Simulated { fiber, rest: Rest::Ready, looked: 0 });
        Ok(())
    }
}

impl fmt::Debug for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let inside = self.inside.lock();
        let machines = inside.machines.iter().map(|one| (&one.fiber.name, one.rest));
        f.debug_map().entries(machines).finish()
    }
}
