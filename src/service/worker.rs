//! The life of one incarnation, as a machine that is driven step by step.
//!
//! ```text
//! Boot ----> Serve ----> Terminate ----> Cleanup ----> Over
//!   |          |  (a panic: the state may be torn)  ^
//!   \----------\------------------------------------/
//! ```
//!
//! A thread drives it ([`run`](Machine::run)), a model does, the simulation does: the code is the
//! same. Models and the simulation take one message a step, so that they may stop between any two;
//! a thread takes a run of them, one by one, as long as nothing else is to be looked at.

#[cfg(feature = "testing")]
mod crash;
mod end;
mod handover;
mod orders;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Instant;

use super::claim::Claim;
use super::context::Context;
use super::core::Core;
use super::dead_letters::DeadReason;
use super::exit::{Exit, Lifecycle};
use super::incarnation::{Incarnation, told};
use super::machine::{CrashContext, Ending, Machine, Overseer, Step};
use super::mailbox::{Envelope, Keep};
use super::pulse::Pulse;
use super::recipe::{Life, Maker, Recipe};
use super::reply::{Failure, Ticket};
use super::scope;
use super::service::{Init, Next, Service};
use super::wait::{Spinner, Wait};
use crate::error::{ErrorKind, Reaction, Reactions, SharedError, panic_text};
use crate::registry::Registry;
use crate::sync::{Clock, Mutex, mutant};

/// What the worker knows of its child's contract.
#[derive(Clone)]
pub(crate) struct Terms {
    pub(crate) keep: Keep,
    pub(crate) wait: Wait,
    pub(crate) reactions: Reactions,
    /// Whether the child is started again after this exit.
    pub(crate) wants_restart: fn(&Exit) -> bool,
}

/// What is shared between the child's spec and its workers.
pub(crate) struct Cell<M> {
    pub(crate) core: Arc<Core<M>>,
    pub(crate) terms: Terms,
    pub(crate) recipe: Mutex<Arc<dyn Recipe<M>>>,
    pub(crate) claim: Claim,
}

impl<M: Send + 'static> Cell<M> {
    pub(crate) fn recipe(&self) -> Arc<dyn Recipe<M>> {
        Arc::clone(&self.recipe.lock())
    }

    /// Frees the name, if it had one and if `epoch` is still the newest life.
    pub(crate) fn unregister(&self, registry: &Registry, epoch: u64) {
        self.claim.free(&self.core, registry, epoch);
    }
}

/// What is known of an incarnation before it begins.
#[derive(Clone, Copy)]
pub(crate) struct Before {
    /// The last one ended abnormally.
    pub(crate) crashed: bool,
    /// None will follow, whatever the exit, save with another recipe.
    pub(crate) is_last: bool,
    /// Somebody looks after it while it is busy.
    pub(crate) watched: bool,
}

/// What a callback said; an error with its kind.
type Outcome = Result<Next, (ErrorKind, SharedError)>;

/// How many messages a thread handles in one run.
const BURST: u32 = 256;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Boot,
    Serve,
    Terminate,
    Cleanup,
    Over,
}

/// One incarnation of a service.
pub(crate) struct Worker<S: Service> {
    cell: Arc<Cell<S::Msg>>,
    maker: Arc<Maker<S>>,
    incarnation: Arc<Incarnation>,
    overseer: Arc<dyn Overseer>,
    /// The child and the life, as the overseer counts them.
    born: (u64, u64),
    phase: Phase,
    service: Option<S>,
    cx: Context<S>,
    spinner: Spinner,
    pulse: Pulse,
    ending: Option<Ending>,
    label: Option<&'static str>,
    /// The previous incarnation crashed, and the mailbox is cleared of what it left.
    clear: bool,
    /// A monitor's message at the head of the lane, and how many queued messages go before it.
    before_urgent: Option<usize>,
    /// By this and all earlier incarnations.
    handled: u64,
    last_was_call: bool,
    /// The last message was a timer's.
    fired: bool,
    /// How many messages one step handles at most.
    burst: u32,
    /// No other incarnation will follow, whatever the exit.
    is_last: bool,
    /// It takes no messages, until it is told to.
    suspended: bool,
}

impl<S: Service> Worker<S> {
    pub(crate) fn new(life: Life<S::Msg>, maker: Arc<Maker<S>>) -> Self {
        let Life { cell, env, overseer, born, incarnation, before } = life;
        let handled = incarnation.trace.handled.get();
        let (core, claim) = (Arc::clone(&cell.core), cell.claim.clone());
        let cx = Context::new(core, claim, Arc::clone(&incarnation), env);
        Self {
            spinner: Spinner::new(cell.terms.wait),
            pulse: Pulse::new(Arc::clone(&incarnation), before.watched),
            clear: before.crashed && cell.terms.keep == Keep::Clear,
            is_last: before.is_last,
            cell,
            maker,
            incarnation,
            overseer,
            born,
            phase: Phase::Boot,
            service: None,
            cx,
            ending: None,
            label: None,
            before_urgent: None,
            handled,
            last_was_call: false,
            fired: false,
            burst: 1,
            suspended: false,
        }
    }

    fn core(&self) -> &Core<S::Msg> {
        &self.cell.core
    }

    fn enter(&self, state: Lifecycle) {
        self.incarnation.set_state(state);
        self.cx.env.observer.entered(&self.incarnation);
    }

    // ---- Boot ----------------------------------------------------------------------------

    fn boot(&mut self) -> Step {
        if self.incarnation.is_abandoned() {
            return self.vanish(); // while it waited for its predecessor
        }
        self.begin("init");
        self.core().shred();
        self.core().mailbox.wake.take_seat(self.incarnation.epoch);
        self.enter(Lifecycle::Initializing);
        if self.clear || mutant!(ClearKept) {
            self.core().clear();
        }
        let booted = catch_unwind(AssertUnwindSafe(|| self.start_service()));
        if self.incarnation.is_abandoned() {
            return self.vanish();
        }
        match booted {
            Ok(Ok(Init::Ready)) => self.ready(),
            Ok(Ok(Init::Ignore)) => self.end(Exit::Ignored, CrashContext::Starting),
            Ok(Err(error)) => self.end(Exit::Failed(error), CrashContext::Starting),
            Err(panic) => self.end(Exit::Panicked(panic_text(panic)), CrashContext::Starting),
        }
    }

    fn start_service(&mut self) -> Result<Init, SharedError> {
        let Some(factory) = self.maker.factory(self.is_last) else {
            return Err(Box::<dyn std::error::Error + Send + Sync>::from("its one life is over").into());
        };
        let made = factory()?;
        drop(factory);
        let service = self.service.insert(made);
        service.init(&mut self.cx).map_err(|error| SharedError::from(error.into()))
    }

    fn ready(&mut self) -> Step {
        self.phase = Phase::Serve;
        self.look();
        self.enter(Lifecycle::Running);
        self.overseer.ready(self.born.0, self.born.1);
        Step::Again
    }

    // ---- Serve ---------------------------------------------------------------------------

    #[inline]
    fn serve(&mut self, now: Instant) -> Step {
        if self.is_told()
            && let Some(step) = self.obey()
        {
            return step;
        }
        if self.cell.core.mailbox.has_urgent()
            && let Some(order) = self.cell.core.mailbox.pop_order()
        {
            return self.carry_out(order);
        }
        if self.suspended {
            return self.stand_by(now);
        }
        // Between two timers goes a message: one that sets itself again starves nobody.
        let after_timer = std::mem::take(&mut self.fired);
        if !after_timer && let Some(message) = self.due(now) {
            return self.fire(message, now);
        }
        if self.cell.core.mailbox.has_urgent() {
            return self.serve_urgent(now);
        }
        if let Some(envelope) = self.cell.core.mailbox.take() {
            return self.deliver(envelope, now);
        }
        match self.due(now) {
            Some(message) => self.fire(message, now),
            None => self.rest(now),
        }
    }

    fn fire(&mut self, message: S::Msg, now: Instant) -> Step {
        self.fired = true;
        self.deliver(Envelope { message, call: None }, now)
    }

    #[inline]
    fn is_told(&self) -> bool {
        self.incarnation.told() != 0 && !mutant!(IgnoreStop)
    }

    /// A stop goes before a hand-over.
    #[cold]
    fn obey(&mut self) -> Option<Step> {
        let told = self.incarnation.told();
        if told & told::ABANDONED != 0 {
            return Some(self.vanish());
        }
        if told & (told::LOOK | told::SHOW) != 0 {
            self.look();
        }
        if told & told::STOP == 0 {
            return self.hand_over();
        }
        self.end(Exit::Shutdown, CrashContext::Running);
        self.phase = Phase::Terminate;
        Some(Step::Again)
    }

    #[inline]
    fn due(&mut self, now: Instant) -> Option<S::Msg> {
        if self.cx.timers.is_empty() {
            return None;
        }
        self.cx.timers.pop_due(now)
    }

    /// The end of a monitored child, and any news, goes behind what is queued now: that may be its last
    /// words.
    #[cold]
    fn serve_urgent(&mut self, now: Instant) -> Step {
        let before = *self.before_urgent.get_or_insert(self.cell.core.mailbox.len());
        if before > 0
            && let Some(envelope) = self.cell.core.mailbox.take()
        {
            self.before_urgent = Some(before - 1);
            return self.deliver(envelope, now);
        }
        self.before_urgent = None;
        let Some(urgent) = self.cell.core.mailbox.pop_urgent() else {
            return self.rest(now);
        };
        let (epoch, monitors) = (self.incarnation.epoch, &mut self.cx.monitors);
        match catch_unwind(AssertUnwindSafe(|| urgent.message(epoch, monitors))) {
            Ok(None) => Step::Again,
            Ok(Some(message)) => self.deliver(Envelope { message, call: None }, now),
            Err(panic) => self.end(Exit::Panicked(panic_text(panic)), CrashContext::Running),
        }
    }

    /// Handles a message and, as a run, those behind it.
    #[inline]
    fn deliver(&mut self, first: Envelope<S::Msg>, now: Instant) -> Step {
        self.work(now);
        let outcome = catch_unwind(AssertUnwindSafe(|| self.handle_run(first)));
        self.conclude(outcome)
    }

    /// The run ends with the mailbox, with the burst, with a result other than `Continue`, and when
    /// there is something else to look at. A panic ends it too, and costs only the message in hand:
    /// nothing is taken out before it is handled.
    fn handle_run(&mut self, first: Envelope<S::Msg>) -> Outcome {
        let mut next = Some(first);
        let mut left = self.burst;
        while let Some(envelope) = next {
            match self.handle_one(envelope) {
                Ok(Next::Continue) => scope::handler_ended(|| Failure::NoReply),
                other => return self.told_of(other),
            }
            if self.pulse.beat() {
                self.look();
            }
            left -= 1;
            if left == 0 || self.has_more_than_messages() {
                break;
            }
            next = self.cell.core.mailbox.take();
        }
        Ok(Next::Continue)
    }

    #[inline]
    fn handle_one(&mut self, envelope: Envelope<S::Msg>) -> Result<Next, S::Error> {
        let Envelope { message, call } = envelope;
        let Some(service) = self.service.as_mut() else {
            return Ok(Next::Stop); // not reached: there is a service while it serves
        };
        self.handled += 1;
        self.label = None;
        scope::handler_begins();
        self.last_was_call = call.is_some();
        let Some(call) = call else {
            self.pulse.label(self.label.insert(S::label(&message)));
            return service.handle(message, &mut self.cx);
        };
        self.incarnation.holds(call);
        self.pulse.label(self.label.insert(S::label(&message)));
        let result = service.handle(message, &mut self.cx);
        self.incarnation.holds_no_more();
        result
    }

    #[inline]
    fn has_more_than_messages(&self) -> bool {
        self.incarnation.told() != 0 || self.cell.core.mailbox.has_urgent() || self.is_timed()
    }

    /// The incarnation is busy from here to its next rest.
    #[inline]
    fn work(&mut self, now: Instant) {
        if self.pulse.is_at_rest() {
            self.awake(now); // no thread waited: `now` is the present
        }
        if self.incarnation.state() != Lifecycle::Processing {
            self.incarnation.set_state(Lifecycle::Processing);
        }
        if self.cx.idle.after.is_some() {
            self.cx.idle.due = None;
            self.cx.idle.told = false;
        }
    }

    /// Looks at the clock, and shows what came of it. What comes next has its own time.
    #[cold]
    fn look(&mut self) {
        self.incarnation.has_looked();
        if !self.pulse.is_at_rest() {
            self.pulse.look(self.cx.env.clock.now());
        }
        self.core().mailbox.measure();
        self.report_handled();
    }

    /// Busy from here on.
    fn awake(&mut self, now: Instant) {
        if self.pulse.begin(now) {
            self.overseer.busy(self.born.0, self.born.1);
        }
        self.core().mailbox.measure();
    }

    /// In a callback other than `handle`.
    fn begin(&mut self, label: &'static str) {
        let now = self.cx.env.clock.now();
        self.incarnation.has_looked();
        self.pulse.rest(now);
        self.pulse.label(label);
        self.pulse.look_after_each();
        self.awake(now);
    }

    /// The kind of an error is the user's to say, and may panic: inside the guard.
    fn told_of(&self, result: Result<Next, S::Error>) -> Outcome {
        result.map_err(|error| (S::kind(&error), SharedError::from(error.into())))
    }

    /// Settles the replies that a callback dropped, and does what its result says.
    #[inline]
    fn conclude(&mut self, outcome: Result<Outcome, Box<dyn std::any::Any + Send>>) -> Step {
        match outcome {
            Ok(Ok(Next::Continue)) => {
                scope::handler_ended(|| Failure::NoReply);
                Step::Again
            }
            Ok(Ok(Next::Stop)) => {
                scope::handler_ended(|| Failure::NoReply);
                self.finish(Exit::Normal)
            }
            Ok(Err((kind, source))) => self.react(kind, source),
            Err(panic) => {
                scope::handler_ended(|| Failure::Crashed);
                self.incarnation.holds_no_more();
                self.end(Exit::Panicked(panic_text(panic)), CrashContext::Running)
            }
        }
    }

    #[cold]
    fn react(&mut self, kind: ErrorKind, source: SharedError) -> Step {
        match self.cell.terms.reactions.of(kind) {
            Reaction::Restart => {
                scope::handler_ended(|| Failure::Crashed);
                self.finish(Exit::Failed(source))
            }
            Reaction::Answer => {
                let label = self.label.unwrap_or("?");
                self.cx.env.observer.answered(&self.incarnation, label, kind, &source);
                scope::handler_ended(|| Failure::Failed { kind, source });
                Step::Again
            }
        }
    }

    /// Nothing is queued: tells the idle time-out if it is due, else says until when to wait.
    fn rest(&mut self, now: Instant) -> Step {
        let idle = &mut self.cx.idle;
        if let Some(after) = idle.after
            && !idle.told
        {
            if idle.due.is_none() {
                idle.due = now.checked_add(after); // further than the clock reaches: never
            }
            if idle.due.is_some_and(|due| now >= due) {
                idle.told = true;
                idle.due = None;
                self.label = Some("idle");
                self.begin("idle");
                return self.tell_idle();
            }
        }
        self.incarnation.set_state(Lifecycle::Running);
        self.report_handled();
        if !self.has_thread() {
            self.pulse.rest(now);
        }
        let timer = self.cx.timers.next_deadline();
        Step::Idle(match (timer, self.cx.idle.due) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        })
    }

    fn tell_idle(&mut self) -> Step {
        scope::handler_begins();
        let outcome = catch_unwind(AssertUnwindSafe(|| {
            let result = self.service.as_mut().map_or(Ok(Next::Stop), |service| service.idle(&mut self.cx));
            self.told_of(result)
        }));
        self.look();
        self.conclude(outcome)
    }

    fn has_thread(&self) -> bool {
        self.burst > 1
    }

    /// One that was abandoned has a successor, who counts on.
    fn report_handled(&mut self) {
        self.incarnation.trace.handled.set(self.handled);
    }
}

impl<S: Service> Machine for Worker<S> {
    #[inline]
    fn step(&mut self, now: Instant) -> Step {
        match self.phase {
            Phase::Serve => self.serve(now),
            Phase::Boot => self.boot(),
            Phase::Terminate => self.terminate(),
            Phase::Cleanup => self.cleanup(),
            Phase::Over => Step::Over,
        }
    }

    fn wait(&mut self, until: Option<Instant>) {
        let (core, incarnation, clock) = (&self.cell.core, &self.incarnation, &self.cx.env.clock);
        let suspended = self.suspended;
        let has_mail = || if suspended { core.mailbox.has_orders() } else { core.mailbox.has_mail() };
        let has_work = || has_mail() || incarnation.told() != 0;
        if !self.last_was_call {
            self.spinner.let_gather();
        }
        let pulse = &mut self.pulse;
        if !self.spinner.spin_and(has_work, || pulse.rest(clock.now())) {
            pulse.rest(clock.now());
            if core.mailbox.wake.announce(incarnation.epoch) {
                if !has_work() && core.mailbox.wake.is_asleep() {
                    clock.park(until);
                }
                core.mailbox.wake.rise(incarnation.epoch);
            }
        }
        if self.pulse.is_at_rest() {
            self.awake(self.cx.env.clock.now());
        }
    }

    fn has_a_thread(&mut self) {
        self.burst = BURST;
    }

    #[inline]
    fn is_timed(&self) -> bool {
        !self.cx.timers.is_empty() || self.cx.idle.after.is_some()
    }

    fn clock(&self) -> &Clock {
        &self.cx.env.clock
    }

    fn ending(&mut self) -> Ending {
        self.ending.take().unwrap_or_else(|| Ending::of(Exit::Killed, CrashContext::Running))
    }

    #[cfg(feature = "testing")]
    fn crash(&mut self, at: super::machine::CrashAt) -> Option<Step> {
        self.crash_on_next(at)
    }
}
