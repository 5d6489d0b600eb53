//! How much a dispatch takes.

use super::descriptor::DescriptorError;
use crate::gcra::Gcra;
use crate::sync::{AtomicU64, Ordering, mutant};

/// So many names have a limit and counts of their own if nothing else is said.
pub const DEFAULT_MAX_NAMES: usize = 1_000;
/// So many handlers are attached at most if nothing else is said.
pub const DEFAULT_MAX_HANDLERS: usize = 1_000;
/// So many executions wait for the telemetry's thread if nothing else is said.
pub const DEFAULT_DEFERRED: usize = 1_024;
/// A name is executed so often in a second if nothing else is said.
pub const DEFAULT_PER_SECOND: u32 = 10_000;
/// And so often at once.
pub const DEFAULT_BURST: u32 = 1_000;

/// How much a dispatch takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct DispatchLimits {
    /// Names with a limit and counts of their own.
    pub(crate) names: usize,
    /// Handlers that are attached.
    pub(crate) handlers: usize,
    /// Executions that wait for the telemetry's thread. At least one.
    pub(crate) deferred: usize,
    /// Executions of one name in a second, where nothing else was said of it.
    pub(crate) per_second: u32,
    /// And at once.
    pub(crate) burst: u32,
}

impl Default for DispatchLimits {
    fn default() -> Self {
        Self {
            names: DEFAULT_MAX_NAMES,
            handlers: DEFAULT_MAX_HANDLERS,
            deferred: DEFAULT_DEFERRED,
            per_second: DEFAULT_PER_SECOND,
            burst: DEFAULT_BURST,
        }
    }
}

impl DispatchLimits {
    /// The rate of a name of which nothing else was said.
    pub(crate) fn rate(&self) -> Gcra {
        Gcra::per_second(self.per_second, self.burst)
    }
}

/// Why a name has no limit of its own.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LimitError {
    /// The name is none.
    #[error(transparent)]
    Name(#[from] DescriptorError),
    /// As many names are known as may be.
    #[error("`{name}`: {most} names have a limit of their own, and no more may have one")]
    TooMany {
        /// The name.
        name: String,
        /// How many may have one.
        most: usize,
    },
}

/// What has been let through of one name, in as much as a rate has to know it.
#[derive(Debug)]
pub(crate) struct Gate(AtomicU64);

impl Gate {
    pub(crate) fn new() -> Self {
        Self(AtomicU64::new(0))
    }

    /// Whether one more is let through. However many threads ask, it is as if they had asked one after the other.
    // ORDERING: Relaxed. The number stands for itself; nothing else is published with it.
    pub(crate) fn admit(&self, rate: Gcra, now: u64) -> bool {
        let mut arrival = self.0.load(Ordering::Relaxed);
        while let Ok(next) = rate.admit(arrival, now) {
            if mutant!(AdmitBlindly) {
                self.0.store(next, Ordering::Relaxed);
                return true;
            }
            match self.0.compare_exchange_weak(arrival, next, Ordering::Relaxed, Ordering::Relaxed) {
                Ok(_) => return true,
                Err(other) => arrival = other,
            }
        }
        false
    }
}

#[cfg(all(test, not(underpin_loom)))]
mod tests {
    use std::sync::{Arc, Barrier};

    use super::*;

    #[test]
    fn of_two_hundred_threads_a_hundred_pass() {
        let (gate, start) = (Arc::new(Gate::new()), Arc::new(Barrier::new(200)));
        let threads: Vec<_> = (0..200)
            .map(|_| {
                let (gate, start) = (Arc::clone(&gate), Arc::clone(&start));
                std::thread::spawn(move || {
                    start.wait();
                    gate.admit(Gcra::per_second(1, 100), 5)
                })
            })
            .collect();
        let passed = threads.into_iter().map(|thread| thread.join().expect("it does not panic"));
        assert_eq!(passed.filter(|passed| *passed).count(), 100);
    }

    #[test]
    fn who_read_the_clock_before_others_is_held_to_what_they_have_taken() {
        let (gate, rate) = (Gate::new(), Gcra::per_second(1, 2));
        assert!(gate.admit(rate, 1_000_000_000) && gate.admit(rate, 1_000_000_000));
        assert!(!gate.admit(rate, 999_999_999) && !gate.admit(rate, 0));
        assert!(gate.admit(rate, 2_000_000_000));
    }
}
