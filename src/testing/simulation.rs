//! A whole tree in virtual time, in an order that chance decides.

use std::fmt;
use std::marker::PhantomData;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::here::{self, Here};
use super::stage::Stage;
use crate::service::thread::Host;
use crate::supervisor::errors::StartError;
use crate::supervisor::owner::SupervisorHandle;
use crate::supervisor::supervisor::Supervisor;
use crate::sync::{Clock, Pace};

/// Whole trees in virtual time, one step of one service or supervisor after the other, in an order
/// that chance decides; and chance comes from a seed. Equal seeds give equal runs, so a failure that
/// came once comes again.
///
/// The trees are the program's own: the code of services, supervisors and mailboxes is that of an
/// ordinary run. Each has its thread, but only one of them runs at a time: the simulation gives the
/// turn to one, which makes one step (starts, handles one message, ends), and then to another.
///
/// The thread that made the simulation drives it, in two ways.
///
/// - Whatever it waits for in a tree makes the others go on meanwhile: [`call`](crate::Handle::call),
///   [`stop`](crate::Handle::stop), [`terminate_child`](crate::SupervisorRef::terminate_child),
///   [`shutdown`](SupervisorHandle::shutdown), a [`Probe`](super::Probe) and the
///   [`Events`](super::Events). Nothing special is to be said.
/// - [`turn`](Self::turn), [`run_until_idle`](Self::run_until_idle), [`advance`](Self::advance) and
///   [`skip`](Self::skip) do so by the step, and by the time.
///
/// A service that waits, for another's answer or for space in a mailbox, waits as it always does,
/// and others have the turn.
///
/// # Time
///
/// No time passes while anybody has something to do: work takes none. When everyone rests, and the
/// driving thread waits, the clock jumps to the next moment that somebody waits for: a timer, a
/// backoff, a deadline. So an hour of rest costs nothing, and a call that nobody answers times out at
/// once.
///
/// Deadlines inside are made from [`Context::now`](crate::Context::now) or [`now`](Self::now), not
/// with [`Deadline::after`](crate::Deadline::after), which asks the system's clock.
///
/// # What it cannot do
///
/// - A service that waits for something else than the tree (a lock, a channel, a socket, a sleep)
///   keeps the turn. After 60 s of real time ([`patience`](Self::patience)) the simulation fails, and
///   says who it is.
/// - Other threads may cast, but not wait; and what they do is not in the seed.
/// - Between two steps anything may happen, inside of a step nothing: how threads interleave within
///   one is for a model, see [`Solo`](super::Solo).
///
/// Dropped, it ends what is still in it, without a shutdown; to wait for anything of it then panics. A thread may have several; what waits for
/// no tree, as [`Events`](super::Events) do, goes by the newest.
///
/// # Example
///
/// ```
/// use std::time::{Duration, Instant};
/// use underpin::testing::Simulation;
/// use underpin::{Context, Init, Next, Reply, Service, Supervisor, child};
///
/// /// Counts the seconds.
/// struct Ticker(u64);
/// enum Msg { Tick, Count(Reply<u64>) }
///
/// impl Service for Ticker {
///     type Msg = Msg;
///     type Error = std::convert::Infallible;
///     fn init(&mut self, cx: &mut Context<Self>) -> Result<Init, Self::Error> {
///         cx.send_after(Duration::from_secs(1), Msg::Tick);
///         Ok(Init::Ready)
///     }
///     fn handle(&mut self, msg: Msg, cx: &mut Context<Self>) -> Result<Next, Self::Error> {
///         match msg {
///             Msg::Tick => {
///                 self.0 += 1;
///                 cx.send_after(Duration::from_secs(1), Msg::Tick);
///             }
///             Msg::Count(reply) => reply.send(self.0),
///         }
///         Ok(Next::Continue)
///     }
/// }
///
/// let begun = Instant::now();
/// let sim = Simulation::new(1);
/// let ticker = child("ticker", || Ticker(0));
/// let handle = ticker.handle();
/// let app = sim.start(Supervisor::new("app").child(ticker))?;
///
/// sim.advance(Duration::from_secs(3600));
/// assert_eq!(handle.call(Msg::Count)?, 3600);
/// sim.crash_next("ticker");
/// assert!(handle.call(Msg::Count).is_err());
/// assert_eq!(handle.call(Msg::Count)?, 0); // started again
/// assert!(app.shutdown(Duration::from_secs(5)).is_clean());
/// assert!(begun.elapsed() < Duration::from_secs(3600));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Simulation {
    stage: Arc<Stage>,
    /// It stays with its thread.
    _owner: PhantomData<Rc<()>>,
}

impl Simulation {
    /// A simulation without trees, with this seed.
    pub fn new(seed: u64) -> Self {
        let stage = Stage::new(seed);
        here::enter(Here { stage: Arc::clone(&stage), seat: None });
        Self { stage, _owner: PhantomData }
    }

    /// The seed.
    pub fn seed(&self) -> u64 {
        self.stage.seed()
    }

    /// The clock of its trees, which it sets itself.
    pub fn clock(&self) -> Clock {
        Clock::paced(Arc::clone(&self.stage) as Arc<dyn Pace>)
    }

    /// The present moment in it.
    pub fn now(&self) -> Instant {
        self.stage.now()
    }

    /// How long a step of one service may take in real time before the simulation fails and names it.
    /// 60 s if nothing is said.
    pub fn patience(&self, most: Duration) {
        self.stage.set_patience(most);
    }

    /// How many turns there may be at one moment of the clock, or while the driving thread waits for
    /// something without a deadline, before the simulation fails: it does not come to rest. A million
    /// if nothing is said.
    pub fn most_turns(&self, most: u32) {
        self.stage.set_most_turns(most);
    }

    /// Starts a tree in it, and returns when every child is ready. What the supervisor was told of a
    /// clock does not count.
    ///
    /// # Errors
    ///
    /// As [`Supervisor::start`].
    pub fn start(&self, supervisor: impl Into<Supervisor>) -> Result<SupervisorHandle, StartError> {
        self.here().start(supervisor.into())
    }

    // ---- turns and time ------------------------------------------------------------------

    /// Lets one service or supervisor, by chance, make one step. `false` if nobody has anything to do.
    ///
    /// # Panics
    ///
    /// When somebody keeps the turn, see the limits above; and when there were too many turns while no
    /// time passed, see [`most_turns`](Self::most_turns).
    pub fn turn(&self) -> bool {
        self.stage.stir();
        self.stage.turn()
    }

    /// Gives out turns until nobody has anything to do. No time passes.
    ///
    /// # Panics
    ///
    /// As [`turn`](Self::turn).
    pub fn run_until_idle(&self) {
        self.stage.stir();
        while self.stage.turn() {}
    }

    /// Lets time pass, moment by moment: whatever is due on the way happens when it is due. Before
    /// and after that everyone comes to rest.
    ///
    /// # Panics
    ///
    /// As [`turn`](Self::turn).
    pub fn advance(&self, by: Duration) {
        let now = self.now();
        let until = now.checked_add(by).unwrap_or(now);
        self.run_until_idle();
        while let Some(moment) = self.stage.next_due().filter(|at| *at <= until) {
            self.stage.move_to(moment);
            self.run_until_idle();
        }
        self.stage.move_to(until);
        self.run_until_idle();
    }

    /// Moves the clock to the next moment that somebody waits for, if that comes within `most`;
    /// returns how far that was. Nobody makes a step.
    pub fn skip(&self, most: Duration) -> Option<Duration> {
        let now = self.now();
        let moment = self.stage.next_due().filter(|at| *at - now <= most)?;
        self.stage.move_to(moment);
        Some(moment - now)
    }

    // ---- crashes and chance --------------------------------------------------------------

    /// The next message that the child called `name` takes out of its mailbox crashes it: as if its
    /// handler panicked at once. Its caller gets `Crashed`, the supervisor does what it does.
    ///
    /// Said twice, it crashes the next two. Timers and monitors are not messages of the mailbox.
    pub fn crash_next(&self, name: impl Into<Arc<str>>) {
        self.stage.doom(name.into());
    }

    /// From here on one message in `one_in`, by chance, crashes the service that takes it: at the
    /// begin of its handler, as with [`crash_next`](Self::crash_next), or at its end, when the message
    /// had its effects and the state is lost. 0 makes an end of it.
    pub fn chaos(&self, one_in: usize) {
        self.stage.set_chaos(one_in);
    }

    /// A number below `bound` by chance, from the seed; 0 if `bound` is 0.
    pub fn below(&self, bound: usize) -> usize {
        self.stage.chance(|chance| chance.below(bound))
    }

    /// True in one of `bound` cases, by chance from the seed; never, if that is 0.
    pub fn one_in(&self, bound: usize) -> bool {
        self.stage.chance(|chance| chance.one_in(bound))
    }

    fn here(&self) -> Here {
        Here { stage: Arc::clone(&self.stage), seat: None }
    }
}

impl Here {
    pub(super) fn start(self, supervisor: Supervisor) -> Result<SupervisorHandle, StartError> {
        let clock = Clock::paced(Arc::clone(&self.stage) as Arc<dyn Pace>);
        supervisor.clock(clock).start_on(self.host())
    }

    fn host(self) -> Host {
        Host::Simulated(Arc::new(self))
    }
}

impl Drop for Simulation {
    fn drop(&mut self) {
        self.stage.disband();
        here::leave(&self.stage);
    }
}

impl fmt::Debug for Simulation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Simulation").field("seed", &self.seed()).field("machines", &self.stage).finish()
    }
}
