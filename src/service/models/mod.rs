//! Models of the protocol: the crate's own code, in every order of events, on the stand-ins of
//! `sync/model.rs`. Each has a mutant, a known-wrong variant of the same code, that it must find.
//!
//! The page [`protocol`](super::protocol) says which model stands behind which of its claims.

mod close;
mod cycle;
mod end;
mod evict;
mod fence;
mod handover;
mod letters;
mod monitor;
mod names;
mod replace;
mod reply;
mod space;
mod system;
mod wake;
mod watch;

use std::convert::Infallible;
use std::panic::resume_unwind;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::claim::Claim;
use super::context::{Context, Env, Observer};
use super::core::Core;
use super::dead_letters::{DeadLetter, DeadLetters, DeadReason};
use super::deadline::{Deadline, Limit};
use super::exit::Lifecycle;
use super::handle::Handle;
use super::incarnation::Incarnation;
use super::machine::{Ending, Machine, Overseer};
use super::mailbox::{Envelope, Keep, Overflow};
use super::monitor::Down;
use super::recipe::{Factory, Life, Maker, Recipe};
use super::reply::Reply;
use super::service::{Init, Next, Service};
use super::thread::{ExitGuard, Host, Job};
use super::wait::{Gate, Wait};
use super::worker::{Cell, Terms, Worker};
use super::zombies::Zombies;
use super::{scope, worker};
use crate::error::{CallError, ErrorKind, Reactions, SharedError};
use crate::registry::Registry;
use crate::sync::checks::{finds, holds, joined, thread};
use crate::sync::model::{Mutant, model};
use crate::sync::{self, Clock, JoinHandle};

/// The protocol holds, as far as two preemptions show: for models with many threads.
fn holds_at_two(name: &str, body: impl Fn() + Send + Sync + 'static) {
    println!("{name}: {} executions", model(body));
}

/// A deadline that never comes: in a model no time passes.
const NEVER: Limit = Limit::By(Deadline::unbounded());
/// A sender's patience that never ends.
const FOR_EVER: Overflow = Overflow::Block(std::time::Duration::MAX);

/// What happened. Not one of the model's primitives: it is read when all is over.
#[derive(Debug)]
struct Record<T>(Mutex<Vec<T>>);

impl<T> Default for Record<T> {
    fn default() -> Self {
        Self(Mutex::new(Vec::new()))
    }
}

impl<T: Clone> Record<T> {
    fn lock(&self) -> MutexGuard<'_, Vec<T>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn add(&self, event: T) {
        self.lock().push(event);
    }

    fn all(&self) -> Vec<T> {
        self.lock().clone()
    }
}

// ---- a service ---------------------------------------------------------------------------

/// What is said to the service of the models.
enum Msg {
    /// A cast: written down.
    Note(u32),
    /// A call: written down and answered with the same number.
    Ask(u32, Reply<u32>),
    /// A call whose handler hangs in the first incarnation, until it is let go.
    Hang(Reply<u32>),
    /// The handler panics.
    Boom,
    /// The handler ends the incarnation.
    Last,
    /// A monitored child is gone.
    Gone(Down),
}

/// The service of the models. It writes down what it is told.
struct Diarist {
    world: Arc<World>,
    watched: Option<Handle<Msg>>,
}

impl Diarist {
    fn new(world: &Arc<World>, watched: Option<Handle<Msg>>) -> Self {
        world.made.add(());
        Self { world: Arc::clone(world), watched }
    }
}

impl Drop for Diarist {
    fn drop(&mut self) {
        self.world.dropped.add(());
    }
}

/// What a model looks at.
#[derive(Default)]
struct World {
    /// Each state that was made, and each that was dropped.
    made: Record<()>,
    dropped: Record<()>,
    /// Whether a state was there for it, for each successor.
    taken: Record<bool>,
    /// The number of each message that was handled, and by which incarnation.
    handled: Record<(u64, u32)>,
    /// The number of each dead letter.
    dead: Record<(u32, DeadReason)>,
    /// Each end that was told, with its epoch.
    endings: Record<(u64, String)>,
    /// Each time a worker closed its child, with its epoch.
    closings: Record<u64>,
    /// Each time a worker asked to be looked after, with its epoch.
    alarms: Record<u64>,
    /// Lets a hanging handler go.
    let_go: Gate,
    watched: Mutex<Option<Handle<Msg>>>,
}

impl Service for Diarist {
    type Msg = Msg;
    type Error = Infallible;

    fn init(&mut self, cx: &mut Context<Self>) -> Result<Init, Infallible> {
        if let Some(other) = &self.watched {
            cx.monitor(other, Msg::Gone);
        }
        Ok(Init::Ready)
    }

    fn handle(&mut self, msg: Msg, cx: &mut Context<Self>) -> Result<Next, Infallible> {
        let epoch = cx.epoch();
        match msg {
            Msg::Note(number) => self.world.handled.add((epoch, number)),
            Msg::Ask(number, reply) => {
                self.world.handled.add((epoch, number));
                reply.send(number);
            }
            Msg::Hang(reply) => {
                if epoch == 1 {
                    self.world.let_go.wait(&Clock::SYSTEM, None);
                }
                reply.send(u32::try_from(epoch).expect("small"));
            }
            // No message and no reply goes with it: nothing is dropped in unwinding.
            Msg::Boom => resume_unwind(Box::new("boom")),
            Msg::Last => return Ok(Next::Stop),
            Msg::Gone(down) => {
                self.world.handled.add((epoch, 0));
                drop(down);
                return Ok(Next::Stop);
            }
        }
        Ok(Next::Continue)
    }

    fn label(_: &Msg) -> &'static str {
        "message"
    }
}

impl Observer for World {
    fn entered(&self, incarnation: &Incarnation) {
        if matches!(incarnation.state(), Lifecycle::Stopped | Lifecycle::Failed) {
            self.closings.add(incarnation.epoch);
        }
    }

    fn answered(&self, _: &Incarnation, _: &'static str, _: ErrorKind, _: &SharedError) {}
}

impl Overseer for World {
    fn ready(&self, _child: u64, _epoch: u64) {}

    fn busy(&self, _child: u64, epoch: u64) {
        self.alarms.add(epoch);
    }

    fn over(&self, _child: u64, epoch: u64, ending: Ending) {
        self.endings.add((epoch, ending.exit.to_string()));
    }
}

/// One child and the world it lives in.
#[derive(Clone)]
struct Child {
    core: Arc<Core<Msg>>,
    cell: Arc<Cell<Msg>>,
    maker: Arc<Maker<Diarist>>,
    world: Arc<World>,
}

impl Child {
    fn new(capacity: usize, overflow: Overflow) -> Self {
        let world = Arc::<World>::default();
        let hook = Box::new({
            let world = Arc::clone(&world);
            move |letter: DeadLetter<Msg>| {
                if let Msg::Note(number) = letter.message {
                    world.dead.add((number, letter.reason));
                }
            }
        });
        Self::of(world, capacity, overflow, DeadLetters::handed(hook))
    }

    /// One that keeps its dead letters.
    fn keeping(capacity: usize, overflow: Overflow, most: usize) -> Self {
        let letters = DeadLetters::kept(&"child".into(), most, Diarist::label);
        Self::of(Arc::default(), capacity, overflow, letters)
    }

    fn of(world: Arc<World>, capacity: usize, overflow: Overflow, letters: DeadLetters<Msg>) -> Self {
        let core = Arc::new(Core::new("child".into(), capacity, overflow, letters));
        let terms = Terms {
            keep: Keep::Keep,
            wait: Wait::Park,
            reactions: Reactions::default(),
            wants_restart: |_| true,
        };
        let factory: Factory<Diarist> = Arc::new({
            let world = Arc::clone(&world);
            move || {
                let watched = world.watched.lock().unwrap_or_else(PoisonError::into_inner).clone();
                Ok(Diarist::new(&world, watched))
            }
        });
        let maker = Arc::new(Maker::new(factory));
        let cell = Cell {
            core: Arc::clone(&core),
            terms,
            recipe: sync::Mutex::new(Arc::clone(&maker) as Arc<dyn Recipe<Msg>>),
            claim: Claim::default(),
        };
        Self { core, cell: Arc::new(cell), maker, world }
    }

    /// The next incarnation, which nobody drives yet.
    fn be_born(&self) -> Arc<Incarnation> {
        self.core.be_born(&Clock::SYSTEM)
    }

    fn worker(&self, incarnation: &Arc<Incarnation>) -> Worker<Diarist> {
        let observer = Arc::clone(&self.world) as Arc<dyn Observer>;
        let env = Env { clock: Clock::system(), registry: Registry::new(), observer };
        let overseer = Arc::clone(&self.world) as Arc<dyn Overseer>;
        let born = (1, incarnation.epoch);
        let before = worker::Before { crashed: false, is_last: false, watched: false };
        let (cell, incarnation) = (Arc::clone(&self.cell), Arc::clone(incarnation));
        let life = Life { cell, env, overseer, born, incarnation, before };
        Worker::new(life, Arc::clone(&self.maker))
    }

    /// Lives a life to its end, on the calling thread.
    fn live(&self, incarnation: &Arc<Incarnation>) {
        let mut worker = self.worker(incarnation);
        scope::enter(incarnation, || worker.run());
        drop(worker.ending());
    }

    /// Starts the next life on a thread of its own, as a supervisor does: behind its predecessor,
    /// with a guard that tells of its end.
    fn start(&self, predecessor: Option<JoinHandle<()>>) -> JoinHandle<()> {
        let incarnation = self.be_born();
        let guard = ExitGuard {
            incarnation: Arc::clone(&incarnation),
            overseer: Arc::clone(&self.world) as Arc<dyn Overseer>,
            child: 1,
            epoch: incarnation.epoch,
            ending: None,
            zombies: Zombies::default(),
        };
        let child = self.clone();
        let build = Box::new(move || Box::new(child.worker(&incarnation)) as Box<dyn Machine>);
        let has_work = Box::new(|| true);
        let job = Job { guard, predecessor, stack: None, has_work, build };
        Host::Threads.spawn(job).expect("a thread").expect("not a simulation")
    }

    /// Sends a cast. `false` if it was handed back.
    fn cast(&self, message: Msg) -> bool {
        self.core.send(Envelope { message, call: None }, NEVER).is_ok()
    }

    fn note(&self, number: u32) -> bool {
        self.cast(Msg::Note(number))
    }

    fn call(&self, message: impl FnOnce(Reply<u32>) -> Msg) -> Result<u32, CallError<Msg>> {
        Handle::new(Arc::clone(&self.core)).call_by(Deadline::unbounded(), message)
    }

    /// Takes what is left, as the next incarnation would.
    fn left(&self) -> Vec<u32> {
        let envelopes = std::iter::from_fn(|| self.core.mailbox.take());
        envelopes.filter_map(|envelope| number(&envelope.message)).collect()
    }

    fn handled(&self) -> Vec<u32> {
        self.world.handled.all().into_iter().map(|(_, number)| number).collect()
    }

    fn dead(&self) -> Vec<u32> {
        self.world.dead.all().into_iter().map(|(number, _)| number).collect()
    }
}

fn number(message: &Msg) -> Option<u32> {
    match message {
        Msg::Note(number) | Msg::Ask(number, _) => Some(*number),
        _ => None,
    }
}
