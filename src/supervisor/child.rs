//! A child as its supervisor sees it: something to launch, to stop and to bury.

use std::any::Any;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::clerk::Clerk;
use super::machine::Supervision;
use super::plan::{Plan, Request};
use super::policy::ChildRules;
use super::reference::SupervisorRef;
use super::replacement::{Replacement, Successor};
use super::report::{Reporter, Scribe};
use super::settings::ChildSettings;
use crate::service::context::Env;
use crate::service::core::{Core, Urgent};
use crate::service::dead_letters::DeadReason;
use crate::service::exchange::Exchange;
use crate::service::exit::Exit;
use crate::service::incarnation::{Incarnation, told};
use crate::service::inspect::Sight;
use crate::service::machine::{Machine, Overseer};
use crate::service::recipe::{Kind, Life};
use crate::service::thread::{ExitGuard, Host, Job};
use crate::service::worker::{Before, Cell};
use crate::service::zombies::Zombies;
use crate::sync::{Clock, JoinHandle, Mutex};

/// What all supervisors of one tree share.
#[derive(Clone)]
pub(crate) struct Site {
    pub(crate) clock: Clock,
    pub(crate) registry: crate::registry::Registry,
    pub(crate) host: Host,
    pub(crate) reporter: Arc<Reporter>,
    pub(crate) janitor: Arc<Clerk>,
    pub(crate) zombies: Zombies,
    /// For the children that do not say.
    pub(crate) stuck_after: Option<Duration>,
}

impl Site {
    pub(crate) fn env(&self, supervisor: &Arc<str>) -> Env {
        let scribe = Scribe { supervisor: Arc::clone(supervisor), reporter: Arc::clone(&self.reporter) };
        Env { clock: self.clock.clone(), registry: self.registry.clone(), observer: Arc::new(scribe) }
    }

    /// For one child without a supervisor: it has a registry of its own, and nobody is told.
    #[cfg(feature = "testing")]
    pub(crate) fn alone(name: &str) -> Self {
        Self {
            clock: Clock::default(),
            registry: crate::registry::Registry::new(),
            host: Host::Threads,
            reporter: Arc::new(Reporter::new(name, None, true)),
            janitor: Arc::new(Clerk::new(name.to_owned(), usize::MAX, true)),
            zombies: Zombies::default(),
            stuck_after: None,
        }
    }

    /// Reports the state that a child of `supervisor` is in.
    pub(crate) fn entered(&self, supervisor: &Arc<str>, incarnation: &Incarnation) {
        self.reporter.entered(supervisor, incarnation);
    }
}

/// One launch of a child.
pub(crate) struct Launch {
    pub(crate) child: u64,
    pub(crate) epoch: u64,
    pub(crate) overseer: Arc<dyn Overseer>,
    pub(crate) predecessor: Option<JoinHandle<()>>,
    pub(crate) before: Before,
}

/// What kind of child it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ChildKind {
    /// A service.
    Worker,
    /// A nested supervisor.
    Supervisor,
}

/// A child, whatever the type of its messages. Nothing in here runs code of the user's, save
/// [`drain`](Child::drain) and the drop.
pub(crate) trait Child: Send + Sync {
    fn name(&self) -> Arc<str>;
    fn kind(&self) -> ChildKind;
    fn rules(&self) -> ChildRules;
    /// How long it may be at one message before that is reported, if it says so.
    fn stuck_after(&self) -> Option<Duration>;
    /// Which service it runs. None: it is a supervisor.
    fn service(&self) -> Option<Kind>;
    /// What is wrong with its description, if anything.
    fn fault(&self) -> Option<String>;
    fn incarnation(&self) -> Arc<Incarnation>;
    /// What it shows of itself.
    fn look(&self, now: Instant) -> Sight;
    /// How to ask it, if it is a supervisor.
    fn reference(&self) -> Option<SupervisorRef>;
    /// The next life: what its thread needs.
    fn launch(&self, site: &Site, path: &Arc<str>, launch: Launch) -> Result<Job, Exit>;
    fn stop(&self, for_good: bool, deadline: Option<Instant>);
    /// Whether this can take the place of what it runs.
    fn fits(&self, replacement: &Replacement) -> bool;
    /// From here on it runs the replacement. What is left over is code of the user's.
    fn replace(&self, replacement: Replacement) -> Box<dyn Any + Send>;
    /// Asks the present incarnation for its state, for the replacement.
    fn hand_over(&self);
    /// Nobody will take the state. If it is there already it comes back: it is the user's.
    fn call_off(&self) -> Option<Box<dyn Any + Send>>;
    /// What is wrong with these settings for it, if anything.
    fn settings_fault(&self, settings: &ChildSettings) -> Option<SettingsFault>;
    /// What was found to be right holds from here on. Wakes those who wait for space.
    fn configure(&self, settings: &ChildSettings) -> ChildRules;
    /// Gives the present incarnation up: it touches nothing shared any more.
    fn abandon(&self, site: &Site);
    /// Down for good, unless its supervisor is asked: frees the name, shuts the mailbox. `true` if
    /// something is left to drain.
    fn retire(&self, site: &Site, path: &Arc<str>, exit: &Exit) -> bool;
    /// Clears away what is left in a closed mailbox. Runs code of the user's.
    fn drain(&self);
}

/// What is wrong with the settings for a child.
pub(crate) enum SettingsFault {
    Wrong(String),
    /// There is memory for so many messages only.
    OverReserved(usize),
}

/// A child that is a service.
pub(crate) struct ServiceChild<M: Send + 'static> {
    pub(super) cell: Arc<Cell<M>>,
    pub(super) rules: Mutex<ChildRules>,
    /// Where its state goes when it is replaced: the last time that it was.
    pub(super) exchange: Mutex<Option<Arc<dyn Exchange>>>,
    pub(super) stack: Option<usize>,
    pub(super) stuck_after: Option<Duration>,
    pub(super) fault: Option<String>,
}

impl<M: Send + 'static> ServiceChild<M> {
    /// Takes the name, unless the child has it from an earlier life, and begins the next life.
    fn register(&self, site: &Site) -> Result<Arc<Incarnation>, Exit> {
        let born = self.cell.claim.next_life(&self.cell.core, &site.registry, &site.clock);
        born.map_err(|error| Exit::NameTaken(error.name))
    }
}

impl<M: Send + 'static> Child for ServiceChild<M> {
    fn name(&self) -> Arc<str> {
        self.cell.core.name()
    }

    fn kind(&self) -> ChildKind {
        ChildKind::Worker
    }

    fn rules(&self) -> ChildRules {
        *self.rules.lock()
    }

    fn service(&self) -> Option<Kind> {
        Some(self.cell.recipe.lock().kind())
    }

    fn stuck_after(&self) -> Option<Duration> {
        self.stuck_after
    }

    fn fault(&self) -> Option<String> {
        self.fault.clone()
    }

    fn incarnation(&self) -> Arc<Incarnation> {
        self.cell.core.incarnation()
    }

    fn look(&self, now: Instant) -> Sight {
        self.cell.core.look(now)
    }

    fn reference(&self) -> Option<SupervisorRef> {
        None
    }

    fn launch(&self, site: &Site, path: &Arc<str>, launch: Launch) -> Result<Job, Exit> {
        let incarnation = self.register(site)?;
        site.entered(path, &incarnation);
        let worker =
            (Arc::clone(&self.cell), site.env(path), Arc::clone(&launch.overseer), Arc::clone(&incarnation));
        let build = move || -> Box<dyn Machine> {
            let (cell, env, overseer, incarnation) = worker;
            let (born, before) = ((launch.child, launch.epoch), launch.before);
            let recipe = cell.recipe();
            recipe.machine(Life { cell, env, overseer, born, incarnation, before })
        };
        Ok(job(site, &self.cell.core, incarnation, launch, self.stack, Box::new(build)))
    }

    fn stop(&self, for_good: bool, _deadline: Option<Instant>) {
        self.cell.core.ask_to_stop(for_good);
    }

    fn fits(&self, replacement: &Replacement) -> bool {
        self.service().is_some_and(|runs| replacement.fits::<M>(runs))
    }

    fn replace(&self, replacement: Replacement) -> Box<dyn Any + Send> {
        let Successor { recipe, exchange } = match replacement.into_successor::<M>() {
            Ok(successor) => successor,
            Err(misfit) => return Box::new(misfit),
        };
        *self.exchange.lock() = Some(exchange);
        Box::new(std::mem::replace(&mut *self.cell.recipe.lock(), recipe))
    }

    fn hand_over(&self) {
        let exchange = self.exchange.lock().clone();
        if let Some(exchange) = exchange {
            self.cell.core.ask_for_state(exchange);
        }
    }

    fn call_off(&self) -> Option<Box<dyn Any + Send>> {
        let exchange = self.exchange.lock().take()?;
        exchange.close()
    }

    fn settings_fault(&self, settings: &ChildSettings) -> Option<SettingsFault> {
        let reserved = self.cell.core.mailbox.reserved();
        match settings.capacity? {
            0 => Some(SettingsFault::Wrong(format!("its capacity is 1 to {reserved}, not 0"))),
            messages if messages > reserved => Some(SettingsFault::OverReserved(reserved)),
            _ => None,
        }
    }

    fn configure(&self, settings: &ChildSettings) -> ChildRules {
        let mailbox = &self.cell.core.mailbox;
        if let Some(overflow) = settings.overflow {
            mailbox.set_overflow(overflow);
        }
        if let Some(messages) = settings.capacity {
            mailbox.set_capacity(messages);
        }
        let mut rules = self.rules.lock();
        settings.apply(&mut rules);
        *rules
    }

    fn abandon(&self, site: &Site) {
        self.cell.core.abandon();
        // After the mark, so that it sets no others.
        self.cell.claim.end_tags(&self.cell.core, &site.registry, self.incarnation().epoch);
    }

    fn retire(&self, site: &Site, path: &Arc<str>, exit: &Exit) -> bool {
        self.cell.unregister(&site.registry, self.incarnation().epoch);
        retire_core(&self.cell.core, site, path, exit)
    }

    fn drain(&self) {
        self.cell.core.drain(DeadReason::Stopped);
    }
}

/// A child that is a supervisor.
pub(crate) struct SupervisorChild {
    pub(super) plan: Arc<Plan>,
}

impl Child for SupervisorChild {
    fn name(&self) -> Arc<str> {
        self.plan.core.name()
    }

    fn kind(&self) -> ChildKind {
        ChildKind::Supervisor
    }

    fn rules(&self) -> ChildRules {
        *self.plan.as_child.lock()
    }

    fn service(&self) -> Option<Kind> {
        None
    }

    /// It never blocks.
    fn stuck_after(&self) -> Option<Duration> {
        None
    }

    fn fault(&self) -> Option<String> {
        self.plan.fault(false)
    }

    fn incarnation(&self) -> Arc<Incarnation> {
        self.plan.core.incarnation()
    }

    fn look(&self, now: Instant) -> Sight {
        self.plan.core.look(now)
    }

    fn reference(&self) -> Option<SupervisorRef> {
        Some(SupervisorRef::to(&self.plan.core))
    }

    fn launch(&self, site: &Site, path: &Arc<str>, launch: Launch) -> Result<Job, Exit> {
        let incarnation = self.plan.core.be_born(&site.clock);
        site.entered(path, &incarnation);
        let (plan, site_there) = (Arc::clone(&self.plan), site.clone());
        let paths = (Arc::clone(path), path_of(path, &self.name()));
        let upward =
            Upward { overseer: Arc::clone(&launch.overseer), child: launch.child, epoch: launch.epoch };
        let born = Arc::clone(&incarnation);
        let build =
            move || -> Box<dyn Machine> { Box::new(Supervision::new(plan, site_there, paths, born, upward)) };
        Ok(job(site, &self.plan.core, incarnation, launch, None, Box::new(build)))
    }

    fn stop(&self, for_good: bool, deadline: Option<Instant>) {
        if for_good {
            self.plan.core.incarnation().tell(told::FOR_GOOD);
        }
        send_urgent(&self.plan.core, self.incarnation().epoch, Request::Stop(deadline));
    }

    fn fits(&self, _: &Replacement) -> bool {
        false
    }

    fn replace(&self, replacement: Replacement) -> Box<dyn Any + Send> {
        Box::new(replacement)
    }

    fn hand_over(&self) {}

    fn call_off(&self) -> Option<Box<dyn Any + Send>> {
        None
    }

    fn settings_fault(&self, settings: &ChildSettings) -> Option<SettingsFault> {
        let wrong = |setting| format!("`{setting}` is a service's to have, and this is a supervisor");
        settings.of_a_service().map(wrong).map(SettingsFault::Wrong)
    }

    fn configure(&self, settings: &ChildSettings) -> ChildRules {
        let mut rules = self.plan.as_child.lock();
        settings.apply(&mut rules);
        *rules
    }

    fn abandon(&self, _: &Site) {
        self.plan.core.abandon();
    }

    fn retire(&self, site: &Site, path: &Arc<str>, exit: &Exit) -> bool {
        let below = path_of(path, &self.name());
        let children = self.plan.children.iter().filter(|child| child.retire(site, &below, exit)).count();
        let mine = retire_core(&self.plan.core, site, path, exit);
        mine || children > 0
    }

    fn drain(&self) {
        self.plan.core.drain(DeadReason::Stopped);
        self.plan.children.iter().for_each(|child| child.drain());
    }
}

/// Down for good: `true` if something is left to drain.
fn retire_core<M: Send + 'static>(core: &Core<M>, site: &Site, path: &Arc<str>, exit: &Exit) -> bool {
    let closed = core.close(exit);
    if closed {
        site.entered(path, &core.incarnation());
    }
    core.mailbox.has_left() // also where the worker closed it, and is stuck with what it drains
}

/// The path of a supervisor below another; the root's is its name.
pub(super) fn path_of(parent: &Arc<str>, name: &Arc<str>) -> Arc<str> {
    if parent.is_empty() { Arc::clone(name) } else { Arc::from(format!("{parent}/{name}")) }
}

/// Where a supervisor reports of itself.
pub(crate) struct Upward {
    pub(crate) overseer: Arc<dyn Overseer>,
    pub(crate) child: u64,
    pub(crate) epoch: u64,
}

impl Upward {
    pub(crate) fn ready(&self) {
        self.overseer.ready(self.child, self.epoch);
    }
}

fn job<M: Send + 'static>(
    site: &Site,
    core: &Arc<Core<M>>,
    incarnation: Arc<Incarnation>,
    launch: Launch,
    stack: Option<usize>,
    build: Box<dyn FnOnce() -> Box<dyn Machine> + Send>,
) -> Job {
    #[cfg(feature = "testing")]
    let has_work = {
        let (core, incarnation) = (Arc::clone(core), Arc::clone(&incarnation));
        Box::new(move || core.mailbox.has_mail() || incarnation.told() != 0)
    };
    #[cfg(not(feature = "testing"))]
    let _ = core;
    let guard = ExitGuard {
        incarnation,
        overseer: launch.overseer,
        child: launch.child,
        epoch: launch.epoch,
        ending: None,
        zombies: site.zombies.clone(),
    };
    Job {
        guard,
        predecessor: launch.predecessor,
        stack,
        #[cfg(feature = "testing")]
        has_work,
        build,
    }
}

/// Tells a supervisor something that must not be refused, if it is still the same incarnation.
pub(crate) fn send_urgent(core: &Arc<Core<Request>>, epoch: u64, request: Request) {
    core.mailbox.push_urgent(Urgent::Down { epoch, monitor: 0, message: Box::new(move || request) });
}
