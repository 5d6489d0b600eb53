//! A seeded simulation: a whole tree on one thread, in virtual time, with crashes injected.
//!
//! The machines are the ones that threads drive: workers, supervisors, policy. Which of them makes
//! the next step, who crashes, and what is asked of the supervisors is chance from a seed, so a
//! failure is replayed with `UNDERPIN_SEED=n cargo test simulation`.
//!
//! What must hold in every run:
//!
//! - when an incarnation of a service begins, none before it stands for the service any more;
//! - one that hangs is treated as its `OnHang` says, and a child that left a thread behind gets
//!   no other while there are too many;
//! - each sender's messages are handled in their order;
//! - every accepted message is handled, became a dead letter, or was in hand at a crash;
//! - a state is handed over whole, or dropped;
//! - every request to a supervisor is answered;
//! - asked to stop, the tree ends, and leaves nothing behind.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::errors::{ReconfigureChildError, ReplaceChildError, RestartChildError, TerminateChildError};
use super::plan::Request;
use super::replacement::Replacement;
use super::settings::ChildSettings;
use super::supervisor::Supervisor;
use super::tree::Tree;
use crate::service::exit::Exit;
use crate::service::fence::Fence;
use crate::service::handle::Handle;
use crate::service::machine::{Machine, Step};
use crate::service::pending::Pending;
use crate::service::scope;
use crate::service::service::{Init, Next, Service};
use crate::service::thread::{ExitGuard, Host, Job};
use crate::service::zombies::Zombies;
use crate::sync::{Clock, ManualClock, Mutex};
use crate::{
    Backoff, Context, Hung, Mailbox as Keep, OnHang, Overflow, Reply, Restart, Strategy, SupervisionEvent,
    child,
};

/// How many abandoned threads a tree may have.
const MOST_ABANDONED: usize = 2;

/// The SplitMix64 generator: equal seeds give equal runs.
#[derive(Clone)]
struct Chance(u64);

impl Chance {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }

    fn one_in(&mut self, bound: usize) -> bool {
        self.below(bound) == 0
    }
}

/// What is known from outside of one service.
#[derive(Default)]
struct Book {
    /// Of the incarnations that have a state.
    lives: Vec<Fence>,
    two_at_once: bool,
    /// States that were made, by a factory or by its successor from the one before, and dropped.
    states: (usize, usize),
    handed_over: usize,
    accepted: Vec<u64>,
    handled: Vec<u64>,
    dead: Vec<u64>,
    in_hand: Vec<u64>,
}

type Books = Arc<Mutex<BTreeMap<usize, Book>>>;

/// A service that writes down what it handles.
struct Scripted {
    number: usize,
    books: Books,
    /// Of the incarnation whose `init` was called with it.
    life: Option<Fence>,
}

enum Msg {
    Note(u64),
    Crash(u64),
    Fail(u64),
    Stop(u64),
    Later(u64),
    Ask(u64, Reply<u64>),
}

impl Msg {
    fn number(&self) -> u64 {
        match self {
            Self::Note(n)
            | Self::Crash(n)
            | Self::Fail(n)
            | Self::Stop(n)
            | Self::Later(n)
            | Self::Ask(n, _) => *n,
        }
    }
}

impl Scripted {
    fn new(number: usize, books: &Books, old: Option<Self>) -> Self {
        let scripted = Self { number, books: Arc::clone(books), life: None };
        scripted.book(|book| {
            book.states.0 += 1;
            book.handed_over += usize::from(old.is_some());
        });
        scripted
    }

    fn book<R>(&self, write: impl FnOnce(&mut Book) -> R) -> R {
        write(self.books.lock().entry(self.number).or_default())
    }
}

impl Service for Scripted {
    type Msg = Msg;
    type Error = &'static str;

    fn init(&mut self, cx: &mut Context<Self>) -> Result<Init, &'static str> {
        let fence = self.life.insert(cx.fence()).clone();
        // Written down, as a panic would be taken for a crash of the service.
        self.book(|book| {
            book.two_at_once |= book.lives.iter().any(Fence::is_open);
            book.lives.push(fence);
        });
        Ok(Init::Ready)
    }

    fn handle(&mut self, msg: Msg, cx: &mut Context<Self>) -> Result<Next, &'static str> {
        let number = msg.number();
        self.book(|book| book.in_hand.push(number));
        match msg {
            Msg::Crash(_) => std::panic::resume_unwind(Box::new("scripted")),
            Msg::Fail(_) => return Err("scripted"),
            Msg::Later(n) => drop(cx.send_after(Duration::from_millis(n % 50), Msg::Note(u64::MAX))),
            Msg::Ask(n, reply) => reply.send(n),
            Msg::Note(_) | Msg::Stop(_) => {}
        }
        self.book(|book| {
            book.in_hand.pop();
            book.handled.push(number);
        });
        Ok(if matches!(msg_kind(number), Kind::Stop) { Next::Stop } else { Next::Continue })
    }
}

/// What message a number stands for; the number says it, so that the handler need not keep it.
enum Kind {
    Stop,
    Other,
}

fn msg_kind(number: u64) -> Kind {
    if number != u64::MAX && number % 97 == 13 { Kind::Stop } else { Kind::Other }
}

impl Drop for Scripted {
    fn drop(&mut self) {
        let own = self.life.as_ref().map(Fence::epoch);
        self.book(|book| {
            book.states.1 += 1;
            book.lives.retain(|fence| Some(fence.epoch()) != own);
        });
    }
}

/// A machine that shares the simulation's only thread.
struct Running {
    guard: ExitGuard,
    machine: Box<dyn Machine>,
    until: Option<Instant>,
    /// It makes no step until it is let go.
    hangs: bool,
}

impl Running {
    fn is_service(&self) -> bool {
        self.guard.incarnation.node.name.starts_with("service-")
    }

    fn is_due_at(&self) -> Option<Instant> {
        self.until.filter(|_| !self.hangs)
    }
}

/// What was told, and when.
type Told = Arc<Mutex<Vec<(Instant, SupervisionEvent)>>>;

struct World {
    seed: u64,
    chance: Chance,
    clock: Clock,
    hand: ManualClock,
    jobs: Arc<Mutex<Vec<Job>>>,
    running: Vec<Running>,
    books: Books,
    services: Vec<Handle<Msg>>,
    /// What is done about each service when it hangs.
    on_hang: Vec<OnHang>,
    told: Told,
    zombies: Zombies,
    supervisors: Vec<Handle<Request>>,
    terminations: Vec<Pending<Result<(), TerminateChildError>, Request>>,
    restarts: Vec<Pending<Result<(), RestartChildError>, Request>>,
    replacements: Vec<Pending<Result<(), ReplaceChildError>, Request>>,
    settings: Vec<Pending<Result<(), ReconfigureChildError>, Request>>,
    sent: u64,
    /// Messages that were calls: given up, they are settled and leave no dead letter.
    calls: BTreeSet<u64>,
}

impl World {
    fn new(seed: u64) -> Self {
        let (clock, hand) = Clock::manual();
        Self {
            seed,
            chance: Chance(seed),
            clock,
            hand,
            jobs: Arc::default(),
            running: Vec::new(),
            books: Books::default(),
            services: Vec::new(),
            on_hang: Vec::new(),
            told: Told::default(),
            zombies: Zombies::default(),
            supervisors: Vec::new(),
            terminations: Vec::new(),
            restarts: Vec::new(),
            replacements: Vec::new(),
            settings: Vec::new(),
            sent: 0,
            calls: BTreeSet::new(),
        }
    }

    fn service(&mut self) -> crate::ChildSpec<Scripted> {
        let (number, books) = (self.services.len(), Arc::clone(&self.books));
        let graves = Arc::clone(&self.books);
        let restart = [Restart::Permanent, Restart::Transient, Restart::Temporary][self.chance.below(3)];
        let keep = if self.chance.one_in(4) { Keep::Clear } else { Keep::Keep };
        let overflow = if self.chance.one_in(2) { Overflow::Reject } else { Overflow::DropOldest };
        let on_hang = [OnHang::Abandon, OnHang::Abandon, OnHang::Wait, OnHang::AbortProcess];
        let on_hang = on_hang[self.chance.below(4)];
        self.on_hang.push(on_hang);
        let spec = child(format!("service-{number}"), move || Scripted::new(number, &books, None))
            .on_hang(on_hang)
            .init_timeout(self.limit())
            .shutdown(self.limit())
            .capacity(1 + self.chance.below(8))
            .max_capacity(8)
            .restart(restart)
            .mailbox(keep)
            .overflow(overflow)
            .on_dead_letter(move |letter| {
                graves.lock().entry(number).or_default().dead.push(letter.message.number())
            });
        self.services.push(spec.handle());
        spec
    }

    /// Of a start or a stop.
    fn limit(&mut self) -> Duration {
        Duration::from_millis([20, 100, 5000][self.chance.below(3)])
    }

    /// A tree of up to three levels with a few services each.
    fn supervisor(&mut self, name: String, depth: usize) -> Supervisor {
        let strategy = [Strategy::OneForOne, Strategy::OneForAll, Strategy::RestForOne][self.chance.below(3)];
        let millis = self.chance.below(20) as u64;
        let backoff =
            Backoff::exponential(Duration::from_millis(millis), Duration::from_millis(100)).jitter(0.5);
        let restarts = [1, 5, 1000][self.chance.below(3)];
        let mut supervisor = Supervisor::new(name.clone())
            .strategy(strategy)
            .backoff(backoff)
            .intensity(restarts, Duration::from_millis(500));
        for number in 0..1 + self.chance.below(3) {
            if depth > 0 && self.chance.one_in(3) {
                let nested = self.supervisor(format!("{name}-{number}"), depth - 1);
                supervisor = supervisor.supervisor(nested);
            } else {
                supervisor = supervisor.child(self.service());
            }
        }
        self.supervisors.push(supervisor.reference().handle);
        supervisor
    }

    /// The whole tree, whose root is told of everything.
    fn tree(&mut self) -> Tree {
        let (told, clock) = (Arc::clone(&self.told), self.clock.clone());
        let root = self
            .supervisor("root".into(), 2)
            .clock(self.clock.clone())
            .max_abandoned(MOST_ABANDONED)
            .on_event(move |event| told.lock().push((clock.now(), event.clone())));
        let host = Host::Stepped(Arc::clone(&self.jobs));
        let tree = Tree::launch(root.into_plan(), host, Box::new(|| ())).expect("the plan is right");
        self.zombies = tree.zombies();
        tree
    }

    // ---- time and turns ------------------------------------------------------------------

    fn adopt(&mut self) -> bool {
        let jobs = std::mem::take(&mut *self.jobs.lock());
        let any = !jobs.is_empty();
        for job in jobs {
            let machine = (job.build)();
            self.running.push(Running { machine, guard: job.guard, until: None, hangs: false });
        }
        any
    }

    /// One step of one machine. Whether there was anything to do.
    fn turn(&mut self, index: usize) -> bool {
        let now = self.clock.now();
        let running = &mut self.running[index];
        if running.hangs {
            return false;
        }
        let incarnation = Arc::clone(&running.guard.incarnation);
        let (launched, abandoned) = (self.jobs.lock().len(), self.zombies.alive());
        let step = scope::enter(&incarnation, || running.machine.step(now));
        self.check_launches(launched, abandoned);
        let running = &mut self.running[index];
        match step {
            Step::Again => true,
            Step::Idle(until) => {
                running.until = until;
                false
            }
            Step::Over => {
                let mut over = self.running.swap_remove(index);
                over.guard.ending = Some(over.machine.ending());
                true
            }
        }
    }

    /// Steps everyone, in an order that chance decides, until nobody has anything to do.
    fn settle(&mut self) {
        for _ in 0..100_000 {
            let mut busy = self.adopt();
            let mut index = self.chance.below(self.running.len().max(1));
            for _ in 0..self.running.len() {
                if self.running.is_empty() {
                    break;
                }
                index = (index + 1) % self.running.len();
                busy |= self.turn(index);
            }
            if !busy {
                return;
            }
        }
        panic!("seed {}: the tree does not come to rest", self.seed);
    }

    /// Lets time pass to the next thing that waits for it, if anything does within `most`.
    fn pass(&mut self, most: Duration) -> bool {
        let now = self.clock.now();
        let next = self.running.iter().filter_map(Running::is_due_at).filter(|at| *at > now).min();
        match next.map(|at| at - now) {
            Some(wait) if wait <= most => {
                self.hand.advance(wait);
                true
            }
            _ => false,
        }
    }

    // ---- what happens --------------------------------------------------------------------

    fn act(&mut self) {
        match self.chance.below(22) {
            0 | 1 => self.ask_supervisor(),
            20 => self.hang(),
            21 => self.let_go(),
            2 => drop(self.pass(Duration::from_millis(100))),
            3..=5 => self.settle(),
            6..=9 if !self.running.is_empty() => {
                self.adopt();
                let index = self.chance.below(self.running.len());
                self.turn(index);
            }
            _ => self.send(),
        }
    }

    /// A service hangs, wherever it is.
    fn hang(&mut self) {
        let services = (0..self.running.len()).filter(|index| self.running[*index].is_service());
        let services: Vec<_> = services.collect();
        if !services.is_empty() {
            let index = services[self.chance.below(services.len())];
            self.running[index].hangs = true;
        }
    }

    /// One that hangs comes back, if chance finds it.
    fn let_go(&mut self) {
        if !self.running.is_empty() {
            let index = self.chance.below(self.running.len());
            self.running[index].hangs = false;
        }
    }

    fn send(&mut self) {
        let to = self.chance.below(self.services.len());
        self.sent += 1;
        let number = self.sent;
        let handle = self.services[to].clone();
        let accepted = if self.chance.one_in(10) {
            // Its answer is given up, its handling is not.
            self.calls.insert(number);
            handle.request(|reply| Msg::Ask(number, reply)).map(drop)
        } else {
            handle.cast(match self.chance.below(12) {
                0 => Msg::Crash(number),
                1 => Msg::Fail(number),
                2 => Msg::Later(number),
                _ => {
                    if matches!(msg_kind(number), Kind::Stop) {
                        Msg::Stop(number)
                    } else {
                        Msg::Note(number)
                    }
                }
            })
        };
        if accepted.is_ok() {
            self.books.lock().entry(to).or_default().accepted.push(number);
        }
    }

    fn ask_supervisor(&mut self) {
        let whom = self.supervisors[self.chance.below(self.supervisors.len())].clone();
        let number = self.chance.below(self.services.len());
        let name: Arc<str> = format!("service-{number}").into();
        match self.chance.below(8) {
            0 => self.terminations.extend(whom.request(|reply| Request::Terminate(name, None, reply)).ok()),
            1 | 2 => self.restarts.extend(whom.request(|reply| Request::Restart(name, reply)).ok()),
            3 => {
                let settings = self.any_settings();
                let configure = |reply| Request::ConfigureChild(name, settings, reply);
                self.settings.extend(whom.request(configure).ok());
            }
            _ => {
                let replacement = self.successor(number);
                let replace = |reply| Request::Replace(name, None, replacement, reply);
                self.replacements.extend(whom.request(replace).ok());
            }
        }
    }

    /// One that takes over, or that fails to.
    fn successor(&mut self, number: usize) -> Replacement {
        let (books, fails) = (Arc::clone(&self.books), self.chance.one_in(6));
        Replacement::new(
            move |old: Option<Scripted>| {
                if fails { Err("scripted") } else { Ok(Scripted::new(number, &books, old)) }
            },
        )
    }

    fn any_settings(&mut self) -> ChildSettings {
        let capacity = 1 + self.chance.below(10); // 9 and 10 are too many
        let backoff = Duration::from_millis(self.chance.below(30) as u64);
        let overflow = if self.chance.one_in(2) { Overflow::Reject } else { Overflow::DropOldest };
        let settings = ChildSettings::new().capacity(capacity).overflow(overflow);
        settings.backoff(Backoff::exponential(backoff, backoff))
    }

    // ---- what must hold ------------------------------------------------------------------

    /// Those that were launched in a step before which there were so many zombies.
    fn check_launches(&self, launched: usize, abandoned: usize) {
        let jobs = self.jobs.lock();
        for job in &jobs[launched.min(jobs.len())..] {
            let node = &job.guard.incarnation.node;
            let refused = self.zombies.too_many_for(node, false).is_some() && abandoned >= MOST_ABANDONED;
            assert!(!refused, "seed {}: {} has left a zombie", self.seed, node.name);
        }
        let most = MOST_ABANDONED + self.services.len();
        assert!(self.zombies.alive() <= most, "seed {}: too many zombies", self.seed);
    }

    /// Each that hung was treated as was said. The whole had to stop by a deadline.
    fn check_hung(&self, deadline: Instant) -> Tally {
        let mut tally = Tally::default();
        let mut once = BTreeSet::new();
        for (at, event) in self.told.lock().iter() {
            let (what, child, epoch, why) = match event {
                SupervisionEvent::Overdue { child, epoch, why, .. } => ("overdue", child, *epoch, *why),
                SupervisionEvent::Aborting { hung, why } => ("abort", &hung.child, hung.epoch, *why),
                SupervisionEvent::Abandoned { child, epoch, why, .. } => ("abandon", child, *epoch, *why),
                SupervisionEvent::Crashed(crash) => {
                    tally.refused += u64::from(matches!(crash.exit, Exit::TooManyAbandoned { .. }));
                    continue;
                }
                _ => continue,
            };
            let context = format!("seed {}: {child}, {what}", self.seed);
            // What it was asked for, by when: to start, to stop, to hand over.
            let asked = match event {
                SupervisionEvent::Overdue { after, .. } => Some((why == Hung::Grace, *at - *after)),
                _ => None,
            };
            assert!(once.insert((what, Arc::clone(child), epoch, asked)), "{context}: twice");
            let Some(on_hang) = self.on_hang_of(child) else { panic!("{context}: a supervisor hung") };
            let fits = match (what, on_hang) {
                ("overdue", on_hang) => on_hang == OnHang::Wait,
                ("abort", on_hang) => on_hang == OnHang::AbortProcess,
                (_, OnHang::Wait) => *at >= deadline,
                (_, OnHang::AbortProcess) => once.contains(&("abort", Arc::clone(child), epoch, None)),
                (_, OnHang::Abandon) => true,
            };
            assert!(fits, "{context}: {on_hang:?}");
            tally.count(what);
        }
        assert_eq!(tally.abandoned, self.zombies.ever(), "seed {}", self.seed);
        tally
    }

    fn on_hang_of(&self, child: &str) -> Option<OnHang> {
        let number: usize = child.strip_prefix("service-")?.parse().ok()?;
        self.on_hang.get(number).copied()
    }

    fn check(&self) {
        let books = self.books.lock();
        for (number, book) in books.iter() {
            let context = format!("seed {}, service {number}", self.seed);
            assert!(!book.two_at_once, "{context}: one incarnation after the other");
            assert!(book.lives.is_empty(), "{context}: its state was dropped");
            assert_eq!(book.states.0, book.states.1, "{context}: each of its states, once");
            let handled: Vec<_> = book.handled.iter().copied().filter(|n| *n != u64::MAX).collect();
            assert!(handled.is_sorted(), "{context}: handled in order");
            let mut ended = [&handled[..], &book.dead, &book.in_hand].concat();
            ended.retain(|n| *n != u64::MAX);
            ended.sort_unstable();
            let once = ended.windows(2).all(|pair| pair[0] != pair[1]);
            assert!(once, "{context}: nothing ends twice");
            let lost =
                book.accepted.iter().filter(|n| ended.binary_search(n).is_err() && !self.calls.contains(n));
            assert_eq!(lost.count(), 0, "{context}: nothing accepted is lost");
        }
    }
}

/// How often what happened.
#[derive(Debug, Default)]
struct Tally {
    sent: u64,
    overdue: u64,
    aborted: u64,
    abandoned: u64,
    refused: u64,
    handed_over: u64,
}

impl Tally {
    fn count(&mut self, what: &str) {
        match what {
            "overdue" => self.overdue += 1,
            "abort" => self.aborted += 1,
            _ => self.abandoned += 1,
        }
    }

    fn add(self, other: Self) -> Self {
        Self {
            sent: self.sent + other.sent,
            overdue: self.overdue + other.overdue,
            aborted: self.aborted + other.aborted,
            abandoned: self.abandoned + other.abandoned,
            refused: self.refused + other.refused,
            handed_over: self.handed_over + other.handed_over,
        }
    }
}

/// One run: a random tree, random traffic, an orderly stop.
fn run(seed: u64) -> Tally {
    let mut world = World::new(seed);
    let tree = world.tree();
    world.settle();
    for _ in 0..300 {
        world.act();
    }
    let deadline = world.clock.now() + Duration::from_secs(60);
    tree.ask_to_stop(Some(deadline));
    world.settle();
    while world.pass(Duration::from_secs(100)) {
        world.settle();
    }
    assert!(tree.has_ended(), "seed {seed}: the tree ended, and said so");
    let all_given_up = world.running.iter().all(|running| running.guard.incarnation.is_abandoned());
    assert!(all_given_up, "seed {seed}: only zombies are left");
    assert_eq!(world.zombies.alive(), world.running.len(), "seed {seed}: each is known");
    world.running.iter_mut().for_each(|running| running.hangs = false);
    world.settle();
    assert_eq!((world.running.len(), world.zombies.alive()), (0, 0), "seed {seed}: and goes");
    let answered = world.terminations.iter().all(Pending::is_ready)
        && world.restarts.iter().all(Pending::is_ready)
        && world.replacements.iter().all(Pending::is_ready)
        && world.settings.iter().all(Pending::is_ready);
    assert!(answered, "seed {seed}: every request is answered");
    world.check();
    let handed_over = world.books.lock().values().map(|book| book.handed_over as u64).sum();
    Tally { sent: world.sent, handed_over, ..world.check_hung(deadline) }
}

#[test]
fn simulation_of_many_trees() {
    if let Ok(seed) = std::env::var("UNDERPIN_SEED") {
        run(seed.parse().expect("UNDERPIN_SEED is a number"));
        return;
    }
    let all = (0..400).map(run).reduce(Tally::add).unwrap_or_default();
    let Tally { sent, overdue, aborted, abandoned, refused, handed_over } = all;
    let enough = sent > 10_000 && overdue > 50 && aborted > 50 && abandoned > 200 && refused > 100;
    assert!(enough && handed_over > 100, "the runs did something: {all:?}");
}

#[test]
fn a_seed_replays() {
    let trace = |seed| {
        let mut world = World::new(seed);
        let tree = world.tree();
        world.settle();
        (0..300).for_each(|_| world.act());
        tree.ask_to_stop(None);
        world.settle();
        while world.pass(Duration::from_secs(100)) {
            world.settle();
        }
        let books = world.books.lock();
        books.values().map(|book| (book.handled.clone(), book.dead.clone())).collect::<Vec<_>>()
    };
    assert_eq!(trace(7), trace(7));
}
