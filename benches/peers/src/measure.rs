//! How one contender is measured in one round.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use nix::time::ClockId;

use crate::contenders::{Arena, Bout};
use crate::rounds::quantile;

/// What a round of operations costs, in nanoseconds for each.
pub struct Cost {
    pub time: f64,
    pub p99: f64,
    pub cpu: f64,
}

/// How operations are timed.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Timing {
    /// All in one, in a tight loop: what one costs on average.
    Loop,
    /// As `Loop`, and then each by itself for the 99th percentile.
    LoopAndEach,
    /// Each by itself: the median, and the 99th percentile.
    Each,
    /// Each by itself, after 100 us of other work of the client.
    AfterWork,
}

const ROUND: Duration = Duration::from_millis(60);
const WORK: Duration = Duration::from_micros(100);

/// A contender in its arena, with its clients.
pub struct Contestant {
    // Before the arena: the clients go first.
    clients: Vec<Box<dyn Bout>>,
    arena: Arena,
    timing: Timing,
    operations: u64,
}

impl Contestant {
    /// Starts a contender, warms it up, and finds out how many operations make a round.
    pub fn start(arena: Arena, clients: usize, timing: Timing) -> Self {
        let clients = (0..clients).map(|_| arena.client()).collect();
        let mut contestant = Self { clients, arena, timing, operations: 16 };
        contestant.round();
        let per_operation = contestant.calibrate();
        contestant.operations = (ROUND.as_nanos() / per_operation.as_nanos().max(1)).max(16) as u64;
        contestant.round();
        contestant
    }

    /// Does so many operations of one client, and nothing else. What counts instructions knows it by its name.
    #[inline(never)]
    pub fn run_once(arena: Arena, operations: u64) {
        arena.client().run(operations);
    }

    /// How long an operation takes, in rounds of more and more until they are long enough to tell.
    fn calibrate(&mut self) -> Duration {
        loop {
            // The quicker of two: a pause of the machine is not the contender's.
            let took = self.timed_round().min(self.timed_round());
            if took > ROUND / 4 {
                return took / u32::try_from(self.operations).expect("a round is short");
            }
            self.operations *= 2;
        }
    }

    fn timed_round(&mut self) -> Duration {
        let start = Instant::now();
        self.round();
        start.elapsed()
    }

    /// One round.
    pub fn round(&mut self) -> Cost {
        let n = self.operations / self.clients.len() as u64;
        match self.timing {
            Timing::Loop => self.tight(n),
            Timing::LoopAndEach => {
                let p99 = self.each(n.div_ceil(2), || ()).p99;
                Cost { p99, ..self.tight(n.div_ceil(2)) }
            }
            Timing::Each => self.each(n, || ()),
            Timing::AfterWork => {
                let latency = self.each(n.div_ceil(2), || work(work_units()));
                Cost { cpu: self.each(n.div_ceil(2), counted_work).cpu, ..latency }
            }
        }
    }

    fn tight(&mut self, n: u64) -> Cost {
        let (start, cpu) = (Instant::now(), self.cpu());
        self.together(|client| client.run(n));
        let operations = (n * self.clients.len() as u64) as f64;
        let time = start.elapsed().as_nanos() as f64 / operations;
        Cost { time, p99: f64::NAN, cpu: (self.cpu() - cpu) / operations }
    }

    fn each(&mut self, n: u64, pause: fn()) -> Cost {
        let cpu = self.cpu();
        let latencies = self.together(|client| client.each(n, pause)).concat();
        let cpu = (self.cpu() - cpu) / latencies.len() as f64;
        Cost { time: quantile(latencies.clone(), 0.5), p99: quantile(latencies, 0.99), cpu }
    }

    /// The CPU time so far of this process and of the contender's own.
    fn cpu(&self) -> f64 {
        own_cpu() + self.arena.cpu_elsewhere().as_nanos() as f64
    }

    /// A single client works on this thread, several on one each.
    fn together<R: Send>(&mut self, work: impl Fn(&mut dyn Bout) -> R + Copy + Send) -> Vec<R> {
        if let [client] = &mut self.clients[..] {
            return vec![work(&mut **client)];
        }
        thread::scope(|scope| {
            let started: Vec<_> =
                self.clients.iter_mut().map(|client| scope.spawn(move || work(&mut **client))).collect();
            started.into_iter().map(|client| client.join().expect("no client fails")).collect()
        })
    }
}

// ---- CPU time ----------------------------------------------------------------------------

/// CPU time, of this process, that is not the measured operations' own: of the thread that keeps a
/// core busy, and of what clients do between their calls.
static FOREIGN: AtomicU64 = AtomicU64::new(0);

fn own_cpu() -> f64 {
    nanos(ClockId::CLOCK_PROCESS_CPUTIME_ID) as f64 - FOREIGN.load(Ordering::Relaxed) as f64
}

fn nanos(clock: ClockId) -> u64 {
    let now: Duration = clock.now().expect("it is a clock").into();
    now.as_nanos() as u64
}

/// Runs `work`, and sets its CPU time apart.
fn set_apart(work: impl FnOnce()) {
    let before = nanos(ClockId::CLOCK_THREAD_CPUTIME_ID);
    work();
    FOREIGN.fetch_add(nanos(ClockId::CLOCK_THREAD_CPUTIME_ID) - before, Ordering::Relaxed);
}

// ---- other work --------------------------------------------------------------------------

/// A piece of computing.
fn work(units: u64) {
    let mix = |x: u64, i: u64| (x ^ i).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(31);
    std::hint::black_box((0..units).fold(1, mix));
}

fn counted_work() {
    set_apart(|| work(work_units()));
}

/// How much computing takes 100 us on this machine, undisturbed.
fn work_units() -> u64 {
    static UNITS: OnceLock<u64> = OnceLock::new();
    *UNITS.get_or_init(|| {
        const TRIAL: u64 = 50_000;
        let trial = |_| {
            let start = Instant::now();
            work(TRIAL);
            start.elapsed()
        };
        let fastest = (0..50).map(trial).min().expect("there are trials");
        (u128::from(TRIAL) * WORK.as_nanos() / fastest.as_nanos().max(1)) as u64
    })
}

/// Keeps one core busy while `job` runs.
pub fn beside_a_busy_thread<R>(job: impl FnOnce() -> R) -> R {
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            while !over.load(Ordering::Relaxed) {
                set_apart(|| work(10_000));
            }
        });
        let result = job();
        over.store(true, Ordering::Relaxed);
        result
    })
}
