//! What has become of the runs so far.

use super::end::End;
use crate::sync::{Ordering, Tally};

/// What has become of the runs so far. Each that has ended is in one of the first nine.
///
/// # Example
///
/// ```
/// use underpin::ErrorKind;
/// use underpin::resilience::Policy;
///
/// let policy = Policy::builder("store").build()?;
/// let _ = policy.run(|_| Ok::<_, ErrorKind>(1));
/// let _ = policy.run_or(|_| Err(ErrorKind::System), |_| Some(2));
/// let counts = policy.snapshot().counts;
/// assert_eq!((counts.succeeded, counts.failed, counts.fallback_served), (1, 1, 1));
/// assert_eq!((counts.runs(), counts.attempts), (2, 2));
/// # Ok::<(), underpin::resilience::PolicySettingsError>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct PolicyCounts {
    /// An attempt succeeded.
    pub succeeded: u64,
    /// The last attempt failed.
    pub failed: u64,
    /// An attempt panicked, or what judges its error.
    pub panicked: u64,
    /// There were too many runs, or it was too late.
    pub shed: u64,
    /// There would have been too many in that time.
    pub limited: u64,
    /// As many were run at once as may be.
    pub full: u64,
    /// The breaker was open.
    pub open: u64,
    /// The stop signal ended a wait.
    pub stopped: u64,
    /// The time budget was over.
    pub timed_out: u64,
    /// Of those that did not succeed: a fallback had a value. They are counted above, too.
    pub fallback_served: u64,
    /// Of those that succeeded: the time budget was over by then.
    pub late: u64,
    /// All attempts.
    pub attempts: u64,
    /// Those among them that were not the first of their run.
    pub retried: u64,
    /// Of runs without an attempt that somebody would have heard of: so many were not told one by one.
    pub untold: u64,
}

impl PolicyCounts {
    /// How many runs have ended.
    pub fn runs(&self) -> u64 {
        let refused = self.shed + self.limited + self.full + self.open;
        self.succeeded + self.failed + self.panicked + refused + self.stopped + self.timed_out
    }
}

/// The same while it is counted.
///
/// A run that succeeds at once is one step, so it is not counted again as an attempt.
#[derive(Debug, Default)]
pub(super) struct Count {
    at_once: Tally,
    ends: [Tally; End::COUNT],
    attempts: Tally,
    retried: Tally,
    fallback_served: Tally,
    late: Tally,
}

// ORDERING: Relaxed throughout. They are numbers to look at.
impl Count {
    /// A run has succeeded in its first attempt, and in time.
    #[inline]
    pub(super) fn at_once(&self) {
        add(&self.at_once, 1);
    }

    /// A run has ended in any other way.
    pub(super) fn ended(&self, end: End, attempts: u32) {
        add(&self.ends[end as usize], 1);
        add(&self.attempts, attempts.into());
        add(&self.retried, attempts.saturating_sub(1).into());
    }

    pub(super) fn late(&self) {
        add(&self.late, 1);
    }

    pub(super) fn fallback_served(&self) {
        add(&self.fallback_served, 1);
    }

    pub(super) fn counts(&self, untold: u64) -> PolicyCounts {
        let (ended, at_once) = (|end: End| get(&self.ends[end as usize]), get(&self.at_once));
        PolicyCounts {
            succeeded: at_once + ended(End::Succeeded),
            failed: ended(End::Failed),
            panicked: ended(End::Panicked),
            shed: ended(End::Shed),
            limited: ended(End::Limited),
            full: ended(End::Full),
            open: ended(End::Open),
            stopped: ended(End::Stopped),
            timed_out: ended(End::TimedOut),
            fallback_served: get(&self.fallback_served),
            late: get(&self.late),
            attempts: at_once + get(&self.attempts),
            retried: get(&self.retried),
            untold,
        }
    }
}

fn add(count: &Tally, more: u64) {
    if more > 0 {
        count.fetch_add(more, Ordering::Relaxed);
    }
}

fn get(count: &Tally) -> u64 {
    count.load(Ordering::Relaxed)
}
