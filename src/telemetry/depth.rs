//! How deep handlers execute in handlers.

use std::cell::Cell;

use crate::sync;

/// How many executions may be under way on one thread, each in a handler of the one before.
pub(crate) const MAX_DEPTH: u8 = 8;

sync::thread_local! {
    static DEPTH: Cell<u8> = const { Cell::new(0) };
}

/// One level of executions on a thread, until it is dropped.
///
/// All telemetries of a process share the levels: it is the stack of a thread that they bound. What a handler on the
/// telemetry's thread executes is as deep as what it was told of, and one more; so a handler that causes what it hears
/// comes to an end there, too.
#[derive(Debug)]
pub(crate) struct Depth {
    before: u8,
}

impl Depth {
    /// One level more, unless there are [`MAX_DEPTH`].
    pub(crate) fn enter() -> Option<Self> {
        let before = DEPTH.with(Cell::get);
        (before < MAX_DEPTH).then(|| Self::resume(before + 1))
    }

    /// The level at which something was executed, where it goes on.
    pub(crate) fn resume(level: u8) -> Self {
        Self { before: DEPTH.with(|depth| depth.replace(level)) }
    }

    /// The present level.
    pub(crate) fn level() -> u8 {
        DEPTH.with(Cell::get)
    }
}

impl Drop for Depth {
    fn drop(&mut self) {
        DEPTH.with(|depth| depth.set(self.before));
    }
}

#[cfg(all(test, not(underpin_loom)))]
mod tests {
    use super::*;

    #[test]
    fn there_are_so_many_levels_and_each_ends() {
        let levels: Vec<_> = (0..MAX_DEPTH).filter_map(|_| Depth::enter()).collect();
        assert_eq!((levels.len(), Depth::level()), (8, 8));
        assert!(Depth::enter().is_none());
        levels.into_iter().rev().for_each(drop);
        assert_eq!(Depth::level(), 0);
    }

    #[test]
    fn what_goes_on_elsewhere_is_as_deep_there() {
        let resumed = Depth::resume(MAX_DEPTH - 1);
        let last = Depth::enter().expect("one level is left");
        assert!(Depth::enter().is_none());
        drop(last);
        drop(resumed);
        assert_eq!(Depth::level(), 0);
    }
}
