//! A supervisor, as a machine that is driven step by step: it hears, asks the policy, and does
//! what the policy says.
//!
//! It answers at all times: nothing in here blocks, and no code of the user's runs in here.
//! Factories and callbacks run on the threads of the children; hooks and what is left of dead
//! children go to the tree's clerks.

mod asks;
mod configure;
mod end;
mod hang;
mod recycle;
mod replace;
mod reports;
mod stuck;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::child::{Child, ChildKind, Launch, Site, Upward, send_urgent};
use super::errors::{
    DeleteChildError, RecycleChildError, ReplaceChildError, RestartChildError, StartChildError,
    TerminateChildError,
};
use super::plan::{Plan, Request};
use super::policy::{Action, Answer, ChildState, Epoch, Event, ExitKind, Key, Outcome, Policy, Ticket};
use super::reference::{ChildCounts, ChildInfo};
use super::report::{CrashReport, SupervisionEvent};
use super::strategy::Restart;
use super::watchdog::Watchdog;
use crate::service::activity::Activity;
use crate::service::core::Urgent;
use crate::service::dead_letters::DeadReason;
use crate::service::exit::{Exit, Lifecycle};
use crate::service::incarnation::{Incarnation, told};
use crate::service::machine::{CrashContext, Ending, Machine, Overseer, Step};
use crate::service::reply::Reply;
use crate::service::wait::{Spinner, Wait};
use crate::service::worker::Before;
use crate::sync::{self, Clock, JoinHandle};

/// How long a supervisor that has ended waits for what its children left behind.
const REAPING: Duration = Duration::from_secs(1);

/// Whoever asked for something that takes time.
enum Ask {
    Begin,
    Start(Key, Reply<Result<(), StartChildError>>),
    Terminate(Key, Reply<Result<(), TerminateChildError>>),
    Restart(Key, Reply<Result<(), RestartChildError>>),
    Delete(Key, Reply<Result<(), DeleteChildError>>),
    Replace(replace::Ask),
    Recycle(recycle::Ask),
}

/// One child, beside what the policy knows of it.
struct Kid {
    child: Arc<dyn Child>,
    epoch: Epoch,
    live: bool,
    thread: Option<JoinHandle<()>>,
    last_exit: Option<Exit>,
    restarts: u64,
    /// It was asked to stop so that another incarnation takes its place.
    recycled: bool,
}

/// An incarnation that was given up and may come back.
struct GivenUp {
    incarnation: Arc<Incarnation>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    Boot,
    Serve,
    /// All children are gone; what they left behind is being cleared away until this moment.
    Reaping(Instant),
    Over,
}

/// One incarnation of a supervisor.
pub(crate) struct Supervision {
    plan: Arc<Plan>,
    site: Site,
    /// Its parent's path, and its own.
    parent: Arc<str>,
    path: Arc<str>,
    me: Arc<Incarnation>,
    upward: Upward,
    phase: Phase,
    policy: Policy,
    /// Boxed: a tree that grows at its end keeps its nodes half empty.
    kids: BTreeMap<Key, Box<Kid>>,
    names: HashMap<Arc<str>, Key>,
    asks: HashMap<Ticket, Ask>,
    /// Threads that have told their end and are about to finish.
    leaving: Vec<JoinHandle<()>>,
    /// Threads that were abandoned.
    given_up: HashMap<(Key, Epoch), GivenUp>,
    keys: Key,
    tickets: Ticket,
    asked_to_stop: bool,
    watchdog: Watchdog,
    ending: Option<Ending>,
    spinner: Spinner,
}

/// Where the children of one incarnation of a supervisor report.
struct Inbox {
    plan: Arc<Plan>,
    epoch: u64,
}

impl Overseer for Inbox {
    fn ready(&self, child: u64, epoch: u64) {
        send_urgent(&self.plan.core, self.epoch, Request::Ready(child, epoch));
    }

    fn busy(&self, child: u64, epoch: u64) {
        send_urgent(&self.plan.core, self.epoch, Request::Busy(child, epoch));
    }

    fn over(&self, child: u64, epoch: u64, ending: Ending) {
        send_urgent(&self.plan.core, self.epoch, Request::Over(child, epoch, ending));
    }
}

impl Supervision {
    pub(crate) fn new(
        plan: Arc<Plan>,
        site: Site,
        (parent, path): (Arc<str>, Arc<str>),
        me: Arc<Incarnation>,
        upward: Upward,
    ) -> Self {
        Self {
            policy: Policy::new(plan.rules()),
            plan,
            site,
            parent,
            path,
            me,
            upward,
            phase: Phase::Boot,
            kids: BTreeMap::new(),
            names: HashMap::new(),
            asks: HashMap::new(),
            leaving: Vec::new(),
            given_up: HashMap::new(),
            keys: 0,
            tickets: 0,
            asked_to_stop: false,
            watchdog: Watchdog::default(),
            ending: None,
            spinner: Spinner::new(Wait::Park),
        }
    }

    // ---- what it hears -------------------------------------------------------------------

    fn boot(&mut self, now: Instant) -> Step {
        self.plan.core.mailbox.wake.take_seat(self.me.epoch);
        self.enter(Lifecycle::Initializing);
        self.phase = Phase::Serve;
        for child in self.plan.children.clone() {
            let (key, rules) = (self.adopt(child), self.plan.children[self.keys as usize - 1].rules());
            self.decide(now, Event::Add { key, rules, ticket: None });
        }
        let ticket = self.ticket(Ask::Begin);
        self.decide(now, Event::Begin { ticket });
        Step::Again
    }

    fn serve(&mut self, now: Instant) -> Step {
        // One of each: neither lane starves the other.
        let urgent = self.plan.core.mailbox.pop_urgent();
        let asked = self.plan.core.mailbox.take();
        let heard = urgent.is_some() || asked.is_some();
        if let Some(Urgent::Down { epoch, message, .. }) = urgent
            && epoch == self.me.epoch
        {
            self.hear(now, message());
        }
        if let Some(envelope) = asked {
            self.hear(now, envelope.message);
        }
        if heard {
            return Step::Again;
        }
        let due = self.next_deadline();
        if due.is_some_and(|at| at <= now) {
            self.tick(now);
            return Step::Again;
        }
        Step::Idle(due)
    }

    fn next_deadline(&self) -> Option<Instant> {
        if let Phase::Reaping(until) = self.phase {
            return Some(until);
        }
        [self.policy.next_deadline(), self.watchdog.next_deadline()].into_iter().flatten().min()
    }

    fn tick(&mut self, now: Instant) {
        if let Phase::Reaping(_) = self.phase {
            self.phase = Phase::Over;
            return;
        }
        self.look_after(now);
        self.decide(now, Event::Tick);
    }

    fn hear(&mut self, now: Instant, request: Request) {
        match request {
            Request::Ready(key, epoch) => self.decide(now, Event::Ready { key, epoch }),
            Request::Busy(key, epoch) => self.became_busy(now, key, epoch),
            Request::Over(key, epoch, ending) => self.over(now, key, epoch, ending),
            Request::Stillborn(key, epoch, exit) => self.decide(now, Event::Exited { key, epoch, exit }),
            Request::Stop(deadline) => {
                self.asked_to_stop = true;
                self.decide(now, Event::Stop { deadline, ticket: None });
            }
            Request::Reaped => self.phase = Phase::Over,
            Request::Start(child, reply) => self.start_child(now, child, reply),
            Request::Terminate(name, asker, reply) => match self.names.get(&name) {
                None => reply.send(Err(TerminateChildError::NotFound { name })),
                Some(key) if self.is_child(*key, &asker) => {
                    reply.send(Err(TerminateChildError::TerminatingSelf { name }));
                }
                Some(&key) => {
                    let ticket = self.ticket(Ask::Terminate(key, reply));
                    self.decide(now, Event::Terminate { key, ticket });
                }
            },
            Request::Restart(name, reply) => match self.names.get(&name) {
                None => reply.send(Err(RestartChildError::NotFound { name })),
                Some(&key) => {
                    let ticket = self.ticket(Ask::Restart(key, reply));
                    self.decide(now, Event::Restart { key, ticket });
                }
            },
            Request::Delete(name, reply) => match self.names.get(&name) {
                None => reply.send(Err(DeleteChildError::NotFound { name })),
                Some(&key) => {
                    let ticket = self.ticket(Ask::Delete(key, reply));
                    self.decide(now, Event::Delete { key, ticket });
                }
            },
            Request::Replace(name, asker, replacement, reply) => {
                self.replace_child(now, name, &asker, replacement, reply);
            }
            Request::Recycle(name, asker, reply) => self.recycle_child(now, name, &asker, reply),
            Request::Configure(settings, reply) => reply.send(self.configure(now, &settings)),
            Request::ConfigureChild(name, settings, reply) => {
                reply.send(self.configure_child(now, name, &settings));
            }
            Request::Which(reply) => reply.send(self.which()),
            Request::Count(reply) => reply.send(self.count()),
            Request::Inspect(reply) => reply.send(self.inspect()),
        }
    }

    fn over(&mut self, now: Instant, key: Key, epoch: Epoch, ending: Ending) {
        let Some(kid) = self.kids.get_mut(&key).filter(|kid| kid.live && kid.epoch == epoch) else {
            // One that was abandoned has come back after all.
            if let Some(GivenUp { incarnation, thread }) = self.given_up.remove(&(key, epoch)) {
                self.site.zombies.remove(&incarnation);
                self.leaving.extend(thread);
            }
            return self.join_leaving();
        };
        kid.live = false;
        self.watchdog.let_go(key);
        let old = kid.last_exit.replace(ending.exit.clone());
        let incarnation = kid.child.incarnation();
        let exit = kid.exit_kind(&ending.exit);
        self.decide(now, Event::Exited { key, epoch, exit });
        // Only now: what is said of the old one must not delay the new one.
        let last = ending.exit.clone();
        self.report_crash(&incarnation, ending);
        self.shred(Some(last)); // it may be the last to know, of a child that is forgotten by now
        self.shred(old);
        self.join_leaving();
    }

    // ---- what it decides -----------------------------------------------------------------

    fn decide(&mut self, now: Instant, event: Event) {
        let mut actions = Vec::new();
        self.policy.step(now, event, &mut actions);
        self.perform(actions);
    }

    fn perform(&mut self, actions: Vec<Action>) {
        let mut forgotten = Vec::new();
        for action in actions {
            match action {
                Action::Launch { key, epoch } => self.launch(key, epoch),
                Action::Stop { key, terminal, deadline, .. } => self.stop(key, terminal, deadline),
                Action::Replace { key, ticket } => self.replace(key, ticket),
                Action::HandOver { key, .. } => self.hand_over(key),
                Action::CallOff { key } => self.call_off(key),
                Action::Abandon { key, epoch, why } => self.abandon(key, epoch, why),
                Action::Overdue { key, why, after, .. } => self.overdue(key, why, after),
                Action::Abort { key, why } => self.abort(key, why),
                Action::Retire { key, failed } => self.retire(key, failed),
                Action::Forget { key } => forgotten.push(key),
                Action::Answer { ticket, answer } => self.answer(ticket, answer),
                Action::Restarting { key, delay, .. } => self.restarting(key, delay),
                Action::GaveUp { key } => self.gave_up(key),
                Action::Finish(outcome) => self.finish(outcome),
            }
        }
        // Last: answers name the child and its exit. In a supervisor that goes down `finish` does.
        if !self.policy.is_down() {
            forgotten.into_iter().for_each(|key| self.forget(key));
        }
    }

    fn launch(&mut self, key: Key, epoch: Epoch) {
        if let Some(exit) = self.too_many_abandoned(key) {
            return self.stillborn(key, epoch, exit);
        }
        let watched = self.kids.get(&key).is_some_and(|kid| self.stuck_after(&kid.child).is_some());
        let Some(kid) = self.kids.get_mut(&key) else { return };
        let launch = Launch {
            child: key,
            epoch,
            overseer: Arc::new(Inbox { plan: Arc::clone(&self.plan), epoch: self.me.epoch }),
            predecessor: kid.thread.take(),
            before: Before {
                crashed: kid.last_exit.as_ref().is_some_and(|exit| !exit.is_calm()),
                // A static child lives again with a nested supervisor that is restarted.
                is_last: kid.child.rules().restart == Restart::Temporary
                    && (self.plan.is_root() || key > self.plan.children.len() as u64),
                watched,
            },
        };
        (kid.epoch, kid.recycled) = (epoch, false);
        let job = kid.child.launch(&self.site, &self.path, launch);
        let spawned =
            job.and_then(|job| self.site.host.spawn(job).map_err(|error| Exit::NotSpawned(Arc::new(error))));
        match spawned {
            Ok(thread) => {
                kid.live = true;
                kid.thread = thread;
            }
            Err(exit) => self.stillborn(key, epoch, exit),
        }
    }

    /// There was no thread for it.
    fn stillborn(&mut self, key: Key, epoch: Epoch, exit: Exit) {
        let Some(kid) = self.kids.get_mut(&key) else { return };
        (kid.epoch, kid.live) = (epoch, false);
        let unused = kid.child.call_off();
        let old = kid.last_exit.replace(exit.clone());
        // By the urgent lane, so that a launch that fails again and again silences nobody.
        let stillborn = Request::Stillborn(key, epoch, ExitKind::of(&exit));
        send_urgent(&self.plan.core, self.me.epoch, stillborn);
        let incarnation = kid.child.incarnation();
        self.report_crash(&incarnation, Ending::of(exit, CrashContext::Starting));
        self.shred(old);
        self.shred_state(unused);
    }

    fn stop(&mut self, key: Key, terminal: bool, deadline: Option<Instant>) {
        let for_good = terminal && self.is_for_good(key);
        if let Some(kid) = self.kids.get(&key) {
            kid.child.stop(for_good, deadline);
        }
    }

    /// Whether what ends now ends for good. While the supervisor itself goes down to be started
    /// again by its parent, its static children keep their names and mailboxes.
    fn is_for_good(&self, key: Key) -> bool {
        let is_static = key <= self.plan.children.len() as u64;
        !is_static || !self.policy.is_down() || self.ends_for_good()
    }

    fn ends_for_good(&self) -> bool {
        if self.plan.is_root() || self.me.told() & told::FOR_GOOD != 0 {
            return true;
        }
        // A failed start is its parent's to judge, and the parent retires what is left.
        let was_up = self.me.state() != Lifecycle::Initializing;
        !self.asked_to_stop && was_up && !self.plan.as_child.lock().restart.wants(ExitKind::Abnormal)
    }

    fn retire(&mut self, key: Key, failed: bool) {
        if !self.is_for_good(key) {
            return;
        }
        let Some(kid) = self.kids.get_mut(&key) else { return };
        self.leaving.extend(kid.thread.take());
        let last = kid.last_exit.take().map(Exit::without_successor);
        let exit = last.as_ref().filter(|exit| failed || exit.is_calm()).unwrap_or(&Exit::Shutdown);
        let is_left = kid.child.retire(&self.site, &self.path, exit);
        kid.last_exit = last;
        if is_left {
            let child = Arc::clone(&kid.child);
            self.site.janitor.leave(Box::new(move || child.drain()));
        }
    }

    fn forget(&mut self, key: Key) {
        if let Some(kid) = self.kids.remove(&key) {
            self.names.remove(&kid.child.name());
            self.leaving.extend(kid.thread);
            self.bury(kid.child);
            self.shred(kid.last_exit);
        }
    }

    /// An error may hold code of the user's: it is not dropped here.
    fn shred(&self, exit: Option<Exit>) {
        if let Some(exit) = exit.filter(Exit::holds_an_error) {
            self.site.janitor.leave(Box::new(move || drop(exit)));
        }
    }

    /// What is left of a child may hold code of the user's: it is not dropped here.
    fn bury(&self, child: Arc<dyn Child>) {
        child.retire(&self.site, &self.path, &Exit::Shutdown); // unless it is: one that was refused is not
        self.site.janitor.leave(Box::new(move || child.drain()));
    }

    fn enter(&self, state: Lifecycle) {
        self.me.set_state(state);
        self.site.entered(&self.parent, &self.me);
    }

    // ---- book-keeping --------------------------------------------------------------------

    fn adopt(&mut self, child: Arc<dyn Child>) -> Key {
        self.keys += 1;
        self.names.insert(child.name(), self.keys);
        let kid =
            Kid { child, epoch: 0, live: false, thread: None, last_exit: None, restarts: 0, recycled: false };
        self.kids.insert(self.keys, Box::new(kid));
        self.keys
    }

    fn ticket(&mut self, ask: Ask) -> Ticket {
        self.tickets += 1;
        self.asks.insert(self.tickets, ask);
        self.tickets
    }

    /// Whether the incarnation that asks is this child's.
    fn is_child(&self, key: Key, asker: &Option<Arc<Incarnation>>) -> bool {
        let kid = self.kids.get(&key);
        asker.as_ref().zip(kid).is_some_and(|(asker, kid)| Arc::ptr_eq(asker, &kid.child.incarnation()))
    }

    fn name_of(&self, key: Key) -> Arc<str> {
        self.kids.get(&key).map_or_else(|| "?".into(), |kid| kid.child.name())
    }

    fn exit_of(&self, key: Key) -> Exit {
        self.kids.get(&key).and_then(|kid| kid.last_exit.clone()).unwrap_or(Exit::Killed)
    }
}

impl Machine for Supervision {
    fn step(&mut self, now: Instant) -> Step {
        match self.phase {
            Phase::Boot => self.boot(now),
            Phase::Serve | Phase::Reaping(_) => self.serve(now),
            Phase::Over => Step::Over,
        }
    }

    fn wait(&mut self, until: Option<Instant>) {
        let mailbox = &self.plan.core.mailbox;
        if self.spinner.spin(|| mailbox.has_mail()) || !mailbox.wake.announce(self.me.epoch) {
            return;
        }
        if !mailbox.has_mail() && mailbox.wake.is_asleep() {
            self.site.clock.park(until);
        }
        mailbox.wake.rise(self.me.epoch);
    }

    fn is_timed(&self) -> bool {
        true
    }

    fn clock(&self) -> &Clock {
        &self.site.clock
    }

    fn ending(&mut self) -> Ending {
        self.ending.take().unwrap_or_else(|| Ending::of(Exit::Killed, CrashContext::Running))
    }
}
