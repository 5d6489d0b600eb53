//! How many messages were not handled, by reason.

use std::sync::OnceLock;

use crate::sync::{AtomicU64, Ordering};

/// The messages of one child that were not handled, counted by reason since it was described.
///
/// The first four are its dead letters: casts that were accepted. Calls that were given up have a
/// counter of their own, whatever the reason, for each of their callers was told. The last two were
/// never accepted: each sender has its message back.
///
/// # Example
///
/// ```
/// use underpin::{Context, Next, Overflow, Service, child};
/// # struct Idle;
/// # impl Service for Idle {
/// #     type Msg = u8;
/// #     type Error = std::convert::Infallible;
/// #     fn handle(&mut self, _: u8, _: &mut Context<Self>) -> Result<Next, Self::Error> {
/// #         Ok(Next::Continue)
/// #     }
/// # }
///
/// let spec = child("idle", || Idle).capacity(1).overflow(Overflow::DropOldest);
/// let handle = spec.handle();
/// handle.cast(1)?;
/// handle.cast(2)?; // makes the first a dead letter
/// let drops = handle.status().drops;
/// assert_eq!((drops.shed_oldest, drops.dead_letters()), (1, 1));
/// # Ok::<(), underpin::CastError<u8>>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Drops {
    /// Casts that were queued when the service stopped for good.
    pub stopped: u64,
    /// Casts that were queued at a crash, where the mailbox is [cleared](crate::Mailbox::Clear).
    pub cleared: u64,
    /// Casts that found the mailbox full: [`Overflow::DropNewest`](crate::Overflow::DropNewest).
    pub shed_newest: u64,
    /// Casts that made room in the full mailbox:
    /// [`Overflow::DropOldest`](crate::Overflow::DropOldest).
    pub shed_oldest: u64,
    /// Calls that were given up, for any of these reasons.
    pub calls: u64,
    /// Messages that were handed back at once, for the mailbox was full.
    pub rejected: u64,
    /// Messages that were handed back after a wait, for the mailbox was full all the time.
    pub timed_out: u64,
}

impl Drops {
    /// Casts that were accepted and not handled.
    pub fn dead_letters(&self) -> u64 {
        self.stopped + self.cleared + self.shed_newest + self.shed_oldest
    }
}

/// One of the reasons.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dropped {
    Stopped = 0,
    Cleared = 1,
    ShedNewest = 2,
    ShedOldest = 3,
    Call = 4,
    Rejected = 5,
    TimedOut = 6,
}

/// The counters of one child. There are none before the first drop: most children have none.
#[derive(Default)]
pub(crate) struct DropCounters(OnceLock<Box<[AtomicU64; 7]>>);

impl DropCounters {
    #[cold]
    pub(crate) fn count(&self, what: Dropped) {
        // ORDERING: a tally, read by those who look; it orders nothing.
        self.0.get_or_init(Box::default)[what as usize].fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn read(&self) -> Drops {
        let Some(counters) = self.0.get() else { return Drops::default() };
        let [stopped, cleared, shed_newest, shed_oldest, calls, rejected, timed_out] =
            counters.each_ref().map(|counter| counter.load(Ordering::Relaxed));
        Drops { stopped, cleared, shed_newest, shed_oldest, calls, rejected, timed_out }
    }
}

#[cfg(all(test, not(underpin_loom)))]
mod tests {
    use super::*;

    #[test]
    fn each_reason_has_a_counter_of_its_own() {
        let counters = DropCounters::default();
        assert_eq!(counters.read(), Drops::default());
        let all = [
            Dropped::Stopped,
            Dropped::Cleared,
            Dropped::ShedNewest,
            Dropped::ShedOldest,
            Dropped::Call,
            Dropped::Rejected,
            Dropped::TimedOut,
        ];
        for (more, what) in all.into_iter().enumerate() {
            (0..=more).for_each(|_| counters.count(what));
        }
        let drops = counters.read();
        let dead = [drops.stopped, drops.cleared, drops.shed_newest, drops.shed_oldest];
        assert_eq!((dead, drops.calls, drops.rejected, drops.timed_out), ([1, 2, 3, 4], 5, 6, 7));
        assert_eq!(drops.dead_letters(), 10);
    }
}
