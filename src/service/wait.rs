//! Waiting: spin a little, yield a few times, then park; and being woken.
//!
//! Every wait in the crate is one of three shapes:
//!
//! - a worker waits for mail: one sleeper, many wakers ([`WakeCell`]);
//! - senders wait for space in a full mailbox: many sleepers ([`SenderQueue`]);
//! - anyone waits for something that happens once ([`Gate`], and the reply slot in `reply.rs`).
//!
//! The order that keeps a wake from being lost is the same in all of them. The sleeper announces
//! itself, fences, looks once more, and only then parks. The waker makes its change, fences, and
//! looks whether somebody announced itself. Whichever fence comes second sees the other's write.

pub(crate) use super::gate::Gate;
pub(crate) use super::senders::SenderQueue;
#[cfg(feature = "tasks")]
pub(crate) use super::spinner::gather;
pub(crate) use super::spinner::{Spinner, spin_as_caller, yield_as_sender};
pub(crate) use super::wake::WakeCell;

/// How a thread waits before it parks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Wait {
    /// Spin at most 200 pauses, yield at most 20 times, then park. While that finds nothing it is
    /// tried ever more seldom, down to once in about a thousand waits. The default.
    #[default]
    Adaptive,
    /// Park at once: the least CPU, and a few microseconds more for each wake.
    Park,
}
