//! The door: the only place that names crossbeam, parking_lot, arc-swap, threads and the clock.
//!
//! Everything above takes its primitives from here. In an ordinary build they are the real ones
//! ([`real`]); under `--cfg underpin_loom` they are stand-ins that loom can explore
//! ([`model`](self)), with the same names, signatures and behaviour. What the two must agree on
//! is tested operation by operation in `conformance`.

#[cfg(all(test, underpin_loom))]
pub(crate) mod checks;
mod clock;
#[cfg(all(test, feature = "loom"))]
mod conformance;
mod figure;
#[cfg(feature = "loom")]
pub mod model;
pub(crate) mod real;
#[cfg(feature = "resilience")]
mod stopwatch;
#[cfg(feature = "resilience")]
mod ticks;

#[cfg(feature = "events")]
pub(crate) use clock::since_first;
#[cfg(any(feature = "events", feature = "telemetry"))]
pub(crate) use clock::wall_now;
pub use clock::{Clock, ManualClock};
pub(crate) use figure::Figure;
/// A lock around what is the process's: the real thing, also in a model.
pub(crate) use real::Mutex as ProcessLock;
/// How many threads the machine runs at once: asked of the system, also in a model.
pub(crate) use real::cores;
/// What a signal handler looks at: the real thing, also in a model.
#[cfg(any(feature = "signals", feature = "telemetry"))]
pub(crate) use std::sync::atomic::AtomicBool as SignalFlag;
#[cfg(feature = "resilience")]
pub(crate) use stopwatch::Stopwatch;
#[cfg(feature = "resilience")]
pub(crate) use ticks::Ticks;

#[cfg(feature = "testing")]
pub(crate) use clock::Pace;
/// What numbers things of the whole process: the real thing, also in a model.
#[cfg(any(
    feature = "config",
    feature = "events",
    feature = "resilience",
    feature = "telemetry",
    feature = "testing"
))]
pub(crate) use std::sync::atomic::AtomicU64 as Tally;

#[cfg(underpin_loom)]
pub(crate) use model::*;
#[cfg(not(underpin_loom))]
pub(crate) use real::*;
