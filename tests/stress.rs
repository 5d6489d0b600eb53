//! Stress on real threads: what is accepted is accounted for, every call ends once and in time.
//!
//! Everything random follows from a seed, which every failure prints; `UNDERPIN_SEED=n` runs the
//! tests with that one. The interleaving of the threads is the machine's, so a seed makes a failure
//! likely again, not certain.

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use common::{LONG, MS, Oops, SECOND, aside, panic_quietly, patient};
use underpin::{
    CallError, CastError, ChildSpec, Context, DynamicSupervisor, ErrorKind, Exit, Handle, Init, Mailbox,
    Next, Overflow, Reply, Restart, Service, Strategy, Supervisor, child,
};

/// xorshift64*: enough chance for a test.
#[derive(Clone)]
struct Chance(u64);

impl Chance {
    fn new(seed: u64) -> Self {
        let mut chance = Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1);
        chance.next();
        chance
    }

    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 16
    }

    fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }

    fn one_in(&mut self, times: u64) -> bool {
        self.below(times) == 0
    }

    /// Gives way now and then, where a race may be.
    fn perhaps_yield(&mut self) {
        if self.one_in(8) {
            std::thread::yield_now();
        }
    }
}

fn seeds(count: u64) -> Vec<u64> {
    match std::env::var("UNDERPIN_SEED").ok().and_then(|seed| seed.parse().ok()) {
        Some(seed) => vec![seed],
        None => (1..=count).collect(),
    }
}

// ---- a service that crashes at random ----------------------------------------------------

/// What became of messages, as the service and its dead letters count it.
#[derive(Default)]
struct Account {
    handled: AtomicU64,
    in_hand: AtomicU64,
    dead: AtomicU64,
}

impl Account {
    fn add(counter: &AtomicU64) {
        counter.fetch_add(1, Ordering::SeqCst);
    }

    fn get(counter: &AtomicU64) -> u64 {
        counter.load(Ordering::SeqCst)
    }
}

enum Msg {
    Cast,
    Call(u64, Reply<u64>),
}

struct Shaky {
    account: Arc<Account>,
    chance: Chance,
    parked: Vec<(u64, Reply<u64>)>,
}

impl Shaky {
    fn answer_parked(&mut self) {
        self.parked.drain(..).for_each(|(n, reply)| reply.send(n + 1));
    }

    fn stumble(&mut self) -> Result<Next, Oops> {
        match self.chance.below(200) {
            0 => panic_quietly("stumbled"),
            1 => Err(Oops(ErrorKind::Permanent, "stumbled")),
            2 => Err(Oops(ErrorKind::User, "only refused")),
            3 => Ok(Next::Stop),
            _ => Ok(Next::Continue),
        }
    }
}

impl Service for Shaky {
    type Msg = Msg;
    type Error = Oops;

    fn init(&mut self, cx: &mut Context<Self>) -> Result<Init, Oops> {
        cx.set_idle_timeout(Some(MS));
        // The first start has to work.
        if cx.epoch() > 1 && self.chance.one_in(10) {
            Err(Oops(ErrorKind::System, "not today"))
        } else {
            Ok(Init::Ready)
        }
    }

    fn handle(&mut self, msg: Msg, _: &mut Context<Self>) -> Result<Next, Oops> {
        self.chance.perhaps_yield();
        match msg {
            Msg::Cast => {
                Account::add(&self.account.in_hand);
                let next = self.stumble();
                if next.is_ok() || matches!(next, Err(Oops(ErrorKind::User, _))) {
                    self.account.in_hand.fetch_sub(1, Ordering::SeqCst);
                    Account::add(&self.account.handled);
                }
                next
            }
            Msg::Call(n, reply) => {
                match self.chance.below(10) {
                    0 => drop(reply),
                    1 => self.parked.push((n, reply)),
                    2 => drop(std::thread::spawn(move || reply.send(n + 1))),
                    _ => reply.send(n + 1),
                }
                if self.chance.one_in(2) {
                    self.answer_parked();
                }
                self.stumble()
            }
        }
    }

    fn idle(&mut self, _: &mut Context<Self>) -> Result<Next, Oops> {
        self.answer_parked();
        Ok(Next::Continue)
    }

    fn kind(error: &Oops) -> ErrorKind {
        error.0
    }
}

fn shaky(name: &str, seed: u64, account: &Arc<Account>) -> ChildSpec<Shaky> {
    let (account, lives) = (Arc::clone(account), AtomicU64::new(0));
    let buried = Arc::clone(&account);
    let spec = child(name, move || {
        let life = lives.fetch_add(1, Ordering::SeqCst);
        Shaky { account: Arc::clone(&account), chance: Chance::new(seed ^ (life << 32)), parked: Vec::new() }
    });
    spec.on_dead_letter(move |_| Account::add(&buried.dead))
}

// ---- its clients -------------------------------------------------------------------------

#[derive(Debug, Default, Clone, Copy)]
struct Tally {
    accepted: u64,
    handed_back: u64,
    answered: u64,
    unanswered: u64,
}

impl Tally {
    fn add(self, other: Self) -> Self {
        Self {
            accepted: self.accepted + other.accepted,
            handed_back: self.handed_back + other.handed_back,
            answered: self.answered + other.answered,
            unanswered: self.unanswered + other.unanswered,
        }
    }
}

/// Casts and calls at random. Stops when the service is gone for good.
fn client(handle: &Handle<Msg>, seed: u64, messages: u64) -> Tally {
    let (mut chance, mut tally) = (Chance::new(seed), Tally::default());
    for n in 0..messages {
        chance.perhaps_yield();
        if chance.one_in(4) {
            let begun = Instant::now();
            let outcome = handle.call_timeout(LONG, |reply| Msg::Call(n, reply));
            assert!(begun.elapsed() < LONG + SECOND, "seed {seed}: a call outlived its deadline");
            match outcome {
                Ok(answer) => {
                    assert_eq!(answer, n + 1, "seed {seed}: the answer of another call");
                    tally.answered += 1;
                }
                Err(CallError::TimedOut { .. } | CallError::CallingSelf { .. } | CallError::Cycle { .. }) => {
                    panic!("seed {seed}: {outcome:?}")
                }
                Err(CallError::NotSent(CastError::Stopped { .. })) => return tally,
                Err(_) => tally.unanswered += 1,
            }
        } else {
            match handle.cast(Msg::Cast) {
                Ok(()) => tally.accepted += 1,
                Err(CastError::Stopped { .. }) => return tally,
                Err(_) => tally.handed_back += 1,
            }
        }
    }
    tally
}

fn run_clients(handle: &Handle<Msg>, seed: u64, clients: u64, messages: u64) -> Vec<common::Aside<Tally>> {
    let start = |n| {
        let handle = handle.clone();
        aside(move || client(&handle, seed * 100 + n, messages))
    };
    (0..clients).map(start).collect()
}

fn conserve(overflow: Overflow, keep: Mailbox, seed: u64, stop_in_between: bool) {
    let account = Arc::new(Account::default());
    let spec = shaky("shaky", seed, &account).capacity(8).overflow(overflow).mailbox(keep);
    let handle = spec.handle();
    let sup = patient("stress").child(spec).start().expect("starts");
    let clients = run_clients(&handle, seed, 4, 400);
    if stop_in_between {
        while handle.status().handled < 100 && !clients.iter().all(common::Aside::is_done) {
            std::thread::yield_now();
        }
        sup.terminate_child("shaky").expect("terminated");
    }
    let tally = clients.into_iter().map(common::Aside::done).fold(Tally::default(), Tally::add);
    let report = sup.shutdown(LONG);
    assert!(report.is_clean(), "seed {seed}: {report}");

    let (handled, in_hand, dead) =
        (Account::get(&account.handled), Account::get(&account.in_hand), Account::get(&account.dead));
    let status = handle.status();
    let said = format!(
        "seed {seed}, {overflow:?}, {keep:?}: {tally:?}; {handled} handled, {in_hand} in hand, {dead} dead; {status:?}"
    );
    assert_eq!(tally.accepted, handled + in_hand + dead, "{said}");
    assert_eq!(status.dead_letters, dead, "{said}");
    assert_eq!(status.queued, 0, "{said}");
    if matches!(overflow, Overflow::Reject | Overflow::Block(_)) {
        assert_eq!(status.shed, 0, "{said}");
    }
    if overflow == Overflow::DropNewest {
        assert_eq!(tally.handed_back, 0, "{said}");
    }
    if keep == Mailbox::Keep && !stop_in_between && matches!(overflow, Overflow::Reject | Overflow::Block(_))
    {
        assert!(dead <= 8, "only what was queued at the end: {said}");
    }
}

fn conserve_all(overflow: Overflow) {
    for seed in seeds(2) {
        conserve(overflow, Mailbox::Keep, seed, false);
        conserve(overflow, Mailbox::Clear, seed + 1000, false);
        conserve(overflow, Mailbox::Keep, seed + 2000, true);
    }
}

#[test]
fn conservation_block() {
    conserve_all(Overflow::Block(LONG));
}

#[test]
fn conservation_block_with_impatient_senders() {
    conserve_all(Overflow::Block(Duration::from_micros(50)));
}

#[test]
fn conservation_reject() {
    conserve_all(Overflow::Reject);
}

#[test]
fn conservation_drop_newest() {
    conserve_all(Overflow::DropNewest);
}

#[test]
fn conservation_drop_oldest() {
    conserve_all(Overflow::DropOldest);
}

#[test]
fn conservation_over_terminate_and_restart_by_the_supervisor() {
    for seed in seeds(2) {
        let account = Arc::new(Account::default());
        let spec = shaky("shaky", seed, &account).capacity(8).overflow(Overflow::Reject);
        let handle = spec.handle();
        let sup = patient("stress").child(spec).start().expect("starts");
        let stop = Arc::new(AtomicBool::new(false));
        let senders: Vec<_> = (0..3)
            .map(|n| {
                let (handle, stop) = (handle.clone(), Arc::clone(&stop));
                aside(move || {
                    let (mut chance, mut accepted) = (Chance::new(seed * 10 + n), 0_u64);
                    while !stop.load(Ordering::SeqCst) {
                        accepted += u64::from(handle.cast(Msg::Cast).is_ok());
                        chance.perhaps_yield();
                    }
                    accepted
                })
            })
            .collect();
        for _ in 0..60 {
            sup.terminate_child("shaky").expect("terminated");
            while let Err(error) = sup.restart_child("shaky") {
                let failed = matches!(error, underpin::RestartChildError::FailedToStart { .. });
                assert!(failed, "seed {seed}: {error}");
            }
        }
        stop.store(true, Ordering::SeqCst);
        let accepted: u64 = senders.into_iter().map(common::Aside::done).sum();
        assert!(sup.shutdown(LONG).is_clean());
        let (handled, in_hand, dead) =
            (Account::get(&account.handled), Account::get(&account.in_hand), Account::get(&account.dead));
        assert_eq!(accepted, handled + in_hand + dead, "seed {seed}: {handled} + {in_hand} + {dead}");
    }
}

#[test]
fn order_of_one_senders_messages_survives_crashes() {
    struct Ordered(Arc<AtomicU64>, Arc<AtomicBool>, Chance);
    impl Service for Ordered {
        type Msg = u64;
        type Error = Oops;
        fn handle(&mut self, n: u64, _: &mut Context<Self>) -> Result<Next, Oops> {
            let before = self.0.swap(n, Ordering::SeqCst);
            self.1.fetch_or(before + 1 != n, Ordering::SeqCst);
            match self.2.below(50) {
                0 => panic_quietly("stumbled"),
                1 => Err(Oops(ErrorKind::Permanent, "stumbled")),
                2 => Ok(Next::Stop),
                _ => Ok(Next::Continue),
            }
        }
    }
    for seed in seeds(2) {
        let (last, broken) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
        let (own, own_broken, lives) = (Arc::clone(&last), Arc::clone(&broken), AtomicU64::new(0));
        let spec = child("ordered", move || {
            let chance = Chance::new(seed + lives.fetch_add(1, Ordering::SeqCst));
            Ordered(Arc::clone(&own), Arc::clone(&own_broken), chance)
        });
        let handle = spec.capacity(4).overflow(Overflow::Block(LONG));
        let (handle, spec) = (handle.handle(), handle);
        let sup = patient("stress").child(spec).start().expect("starts");
        for n in 1..=2000 {
            handle.cast(n).expect("accepted");
        }
        common::eventually("the last one is handled", || last.load(Ordering::SeqCst) == 2000);
        assert!(sup.shutdown(LONG).is_clean(), "seed {seed}");
        assert!(!broken.load(Ordering::SeqCst), "seed {seed}: out of order");
        assert_eq!(handle.status().dead_letters, 0, "seed {seed}");
    }
}

// ---- the end of everything ---------------------------------------------------------------

#[test]
fn a_shutdown_in_the_midst_ends_every_call_and_every_blocked_send() {
    for seed in seeds(6) {
        let (account, other) = (Arc::new(Account::default()), Arc::new(Account::default()));
        let first = shaky("first", seed, &account).capacity(2).overflow(Overflow::Block(LONG));
        let second = shaky("second", seed + 7, &other).capacity(2).overflow(Overflow::DropOldest);
        let handles = [first.handle(), second.handle()];
        let app = patient("stress").strategy(Strategy::OneForAll);
        let sup = app.child(first).child(second).start().expect("starts");
        let clients: Vec<_> =
            handles.iter().flat_map(|handle| run_clients(handle, seed, 3, u64::MAX)).collect();
        while handles.iter().any(|handle| handle.status().handled < 50) {
            std::thread::yield_now();
        }
        let begun = Instant::now();
        let report = sup.shutdown(LONG);
        assert!(report.is_clean(), "seed {seed}: {report}");
        assert!(begun.elapsed() < LONG / 2, "seed {seed}: {:?}", begun.elapsed());
        let tallies: Vec<_> = clients.into_iter().map(common::Aside::done).collect();
        for (n, account) in [&account, &other].into_iter().enumerate() {
            let tally = tallies[n * 3..n * 3 + 3].iter().copied().fold(Tally::default(), Tally::add);
            let (handled, in_hand, dead) =
                (Account::get(&account.handled), Account::get(&account.in_hand), Account::get(&account.dead));
            assert_eq!(
                tally.accepted,
                handled + in_hand + dead,
                "seed {seed}: {tally:?} {handled} {in_hand} {dead}"
            );
        }
    }
}

#[test]
fn an_escalation_in_the_midst_ends_every_call_too() {
    for seed in seeds(6) {
        let account = Arc::new(Account::default());
        let spec = shaky("shaky", seed, &account).capacity(4);
        let handle = spec.handle();
        let sup = Supervisor::new("stress").intensity(3, LONG).child(spec).start().expect("starts");
        let clients = run_clients(&handle, seed, 4, u64::MAX);
        let exit = sup.wait(LONG);
        assert!(matches!(exit, Some(Exit::Escalated { .. })), "seed {seed}: {exit:?}");
        let tally = clients.into_iter().map(common::Aside::done).fold(Tally::default(), Tally::add);
        assert!(sup.shutdown(LONG).is_clean());
        let (handled, in_hand, dead) =
            (Account::get(&account.handled), Account::get(&account.in_hand), Account::get(&account.dead));
        assert_eq!(
            tally.accepted,
            handled + in_hand + dead,
            "seed {seed}: {tally:?} {handled} {in_hand} {dead}"
        );
    }
}

// ---- storms ------------------------------------------------------------------------------

#[test]
fn storm_of_verbs_on_one_supervisor() {
    for seed in seeds(2) {
        for dynamic in [false, true] {
            let app: Supervisor = if dynamic {
                DynamicSupervisor::new("storm").intensity(1_000_000, SECOND).into()
            } else {
                patient("storm")
            };
            let sup = app.start().expect("starts");
            let account = Arc::new(Account::default());
            let storms: Vec<_> = (0..4)
                .map(|n| {
                    let (reference, account) = (sup.reference(), Arc::clone(&account));
                    aside(move || {
                        let mut chance = Chance::new(seed * 31 + n);
                        let mut handles = Vec::new();
                        for _ in 0..150 {
                            let name = format!("c{}", chance.below(6));
                            match chance.below(8) {
                                0..=2 => {
                                    let restart =
                                        [Restart::Permanent, Restart::Transient, Restart::Temporary]
                                            [chance.below(3) as usize];
                                    let spec = shaky(&name, seed + n, &account).capacity(4).restart(restart);
                                    handles.extend(reference.start_child(spec.registered()).ok());
                                }
                                3 => drop(reference.terminate_child(&name)),
                                4 => drop(reference.restart_child(&name)),
                                5 => drop(reference.delete_child(&name)),
                                6 => {
                                    let counts = reference.count_children();
                                    assert!(counts.specs <= 6, "seed {seed}: {counts:?}");
                                }
                                _ => {
                                    if let Some(handle) = handles.last() {
                                        let handle: &Handle<Msg> = handle;
                                        drop(handle.cast(Msg::Cast));
                                        drop(handle.call_timeout(LONG, |reply| Msg::Call(1, reply)));
                                    }
                                }
                            }
                        }
                        handles
                    })
                })
                .collect();
            let handles: Vec<_> = storms.into_iter().flat_map(common::Aside::done).collect();
            let children = sup.which_children();
            assert!(children.len() <= 6, "seed {seed}: {children:?}");
            let registry = sup.registry();
            let report = sup.shutdown(LONG);
            assert!(report.is_clean(), "seed {seed}: {report}");
            assert!(registry.names().is_empty(), "seed {seed}: {:?}", registry.names());
            for handle in handles {
                assert!(handle.wait_down(LONG).is_some(), "seed {seed}");
                assert!(handle.cast(Msg::Cast).is_err(), "seed {seed}");
            }
        }
    }
}

#[test]
fn storm_of_trees_that_start_and_stop() {
    for seed in seeds(1) {
        let storms: Vec<_> = (0..4)
            .map(|n| {
                aside(move || {
                    let mut chance = Chance::new(seed * 17 + n);
                    for _ in 0..25 {
                        let account = Arc::new(Account::default());
                        let spec = |name: &str, seed| shaky(name, seed, &account).capacity(4).registered();
                        let (a, b, c) = (spec("a", seed), spec("b", seed + 1), spec("c", seed + 2));
                        let handles = [a.handle(), b.handle(), c.handle()];
                        let nested = patient("nested").strategy(Strategy::RestForOne).child(b).child(c);
                        let sup = patient("storm").child(a).supervisor(nested).start().expect("starts");
                        let mut accepted = 0;
                        for _ in 0..chance.below(40) {
                            let handle = &handles[chance.below(3) as usize];
                            accepted += u64::from(handle.cast(Msg::Cast).is_ok());
                        }
                        if chance.one_in(2) {
                            drop(sup);
                        } else {
                            assert!(sup.shutdown(LONG).is_clean(), "seed {seed}");
                        }
                        let (handled, in_hand, dead) = (
                            Account::get(&account.handled),
                            Account::get(&account.in_hand),
                            Account::get(&account.dead),
                        );
                        assert_eq!(
                            accepted,
                            handled + in_hand + dead,
                            "seed {seed}: {handled} {in_hand} {dead}"
                        );
                    }
                })
            })
            .collect();
        storms.into_iter().for_each(common::Aside::done);
    }
}

#[test]
fn storm_of_calls_between_services_never_hangs() {
    /// Calls one of the others, who may be calling it.
    struct Peer(Vec<Handle<Ring>>, Chance);
    enum Ring {
        Meet(Vec<Handle<Ring>>),
        Ask(u64, Reply<u64>),
    }
    impl Service for Peer {
        type Msg = Ring;
        type Error = Oops;
        fn handle(&mut self, msg: Ring, _: &mut Context<Self>) -> Result<Next, Oops> {
            match msg {
                Ring::Meet(others) => self.0 = others,
                Ring::Ask(0, reply) => reply.send(1),
                Ring::Ask(hops, reply) => {
                    let next = self.1.below(self.0.len() as u64) as usize;
                    match self.0[next].call_timeout(LONG, |reply| Ring::Ask(hops - 1, reply)) {
                        Ok(depth) => reply.send(depth + 1),
                        Err(CallError::Cycle { .. } | CallError::CallingSelf { .. }) => reply.send(0),
                        Err(error) => panic!("{error}"),
                    }
                }
            }
            Ok(Next::Continue)
        }
    }
    for seed in seeds(2) {
        let specs: Vec<_> = (0..5)
            .map(|n| child(format!("peer-{n}"), move || Peer(Vec::new(), Chance::new(seed * 7 + n))))
            .collect();
        let handles: Vec<_> = specs.iter().map(ChildSpec::handle).collect();
        let sup = specs.into_iter().fold(patient("ring"), Supervisor::child).start().expect("starts");
        for handle in &handles {
            handle.cast(Ring::Meet(handles.clone())).expect("accepted");
        }
        let callers: Vec<_> = handles
            .iter()
            .map(|handle| {
                let handle = handle.clone();
                aside(move || {
                    let begun = Instant::now();
                    for hops in 0..100 {
                        let depth = handle.call_timeout(LONG, |reply| Ring::Ask(hops % 4, reply));
                        assert!(depth.is_ok(), "seed {seed}: {depth:?}");
                    }
                    begun.elapsed()
                })
            })
            .collect();
        for caller in callers {
            assert!(caller.done() < LONG, "seed {seed}");
        }
        assert!(sup.shutdown(LONG).is_clean(), "seed {seed}");
    }
}
