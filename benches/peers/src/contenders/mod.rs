//! Who takes part. Each contender has a file, and in it a function for each thing it can do.

pub mod kameo;
pub mod ours;
pub mod raw;
pub mod std;
pub mod tonari;

use ::std::time::Instant;

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

/// Something under test that is running: makes clients of it, and stops when it is dropped.
pub type Arena = Box<dyn Fn() -> Box<dyn Bout>>;

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
