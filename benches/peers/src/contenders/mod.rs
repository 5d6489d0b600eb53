//! Who takes part. Each contender has a file, and in it a function for each thing it can do.

#[cfg(feature = "async-peers")]
pub mod actix;
pub mod config;
pub mod deque;
pub mod disk;
pub mod erlang;
pub mod flume;
#[cfg(feature = "async-peers")]
pub mod kameo;
pub mod kanal;
pub mod ours;
pub mod ours_events;
#[cfg(feature = "async-peers")]
pub mod ractor;
pub mod raw;
pub mod resilience;
pub mod sample;
#[cfg(feature = "async-peers")]
pub mod spawned_tasks;
#[cfg(feature = "async-peers")]
pub mod spawned_threads;
pub mod std;
pub mod task_pools;
#[cfg(feature = "async-peers")]
mod tasks;
pub mod telemetry;
pub mod tonari;

use ::std::time::{Duration, Instant};

/// One client of something under test.
pub trait Bout: Send {
    /// Does `n` operations, one after another, and returns when the last is done.
    fn run(&mut self, n: u64);

    /// Does `n` operations, each after a pause, and says how long each took, in nanoseconds.
    fn each(&mut self, n: u64, pause: fn()) -> Vec<f64> {
        let timed = |_| {
            pause();
            let start = Instant::now();
            self.run(1);
            start.elapsed().as_nanos() as f64
        };
        (0..n).map(timed).collect()
    }
}

impl<F: FnMut(u64) + Send> Bout for F {
    fn run(&mut self, n: u64) {
        self(n);
    }
}

/// Something under test that is running, and stops when it is dropped.
pub trait Ground {
    /// Makes a client.
    fn client(&self) -> Box<dyn Bout>;

    /// The CPU time that it has taken so far in processes of its own.
    fn cpu_elsewhere(&self) -> Duration {
        Duration::ZERO
    }
}

impl<F: Fn() -> Box<dyn Bout>> Ground for F {
    fn client(&self) -> Box<dyn Bout> {
        self()
    }
}

/// Something under test, whatever it is.
pub type Arena = Box<dyn Ground>;

/// The message of every cast: 32 bytes. The first word is [`LAST`] in the last one of a client.
pub type Cast = [u64; 4];

/// The mark on the last cast of a client, which the consumer acknowledges.
pub const LAST: u64 = u64::MAX;

/// Sends `n` casts, the last one marked.
pub fn casts(n: u64, mut send: impl FnMut(Cast)) {
    for i in 1..n {
        send([i, 0, 0, 0]);
    }
    send([LAST, 0, 0, 0]);
}
