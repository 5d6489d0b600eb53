//! What can be seen of a child from outside, without asking it.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::activity::Activity;
use super::core::Core;
use super::drops::Drops;
use super::exit::Lifecycle;

/// What is known of a mailbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct MailboxInfo {
    /// Messages in it now.
    pub queued: usize,
    /// Messages it holds at most.
    pub capacity: usize,
    /// The most messages that were seen in it, since the child was made. The service looks as often
    /// as at its clock, so up to 64 messages of a peak may be missing; one that was too full for a
    /// sender is always seen.
    pub high_water: usize,
}

/// What a service is busy with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Current {
    /// The message in its handler, as [`Service::label`](crate::Service::label) calls it, or the
    /// callback: `init`, `idle`, `system`, `terminate`, `drop`.
    pub label: &'static str,
    /// For how long: since the service last looked at its clock. It does before and after each wait and
    /// each callback, and about every 4 us as its messages go: after each, where they take longer than
    /// that.
    pub busy: Duration,
    /// Whether that is the time of this message alone, or of this callback. Else its service is quick,
    /// and up to 63 messages before it may have a part in it: 4 us as a rule, but all the time of a slow
    /// one among quick ones. Who has been seen so looks at the clock after that message, so what comes
    /// next is seen with its own time.
    pub exact: bool,
}

impl fmt::Display for Current {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let at_most = if self.exact { "" } else { "at most " };
        write!(f, "{} for {at_most}{:?}", self.label, self.busy)
    }
}

/// What one child shows of itself.
pub(crate) struct Sight {
    pub(crate) state: Lifecycle,
    pub(crate) epoch: u64,
    pub(crate) uptime: Duration,
    pub(crate) mailbox: MailboxInfo,
    pub(crate) handled: u64,
    pub(crate) drops: Drops,
    pub(crate) busy: Duration,
    pub(crate) current: Option<Current>,
    pub(crate) waits_for: Option<Arc<str>>,
}

impl<M: Send + 'static> Core<M> {
    /// Looks at the child. Takes no lock but those of the incarnation and the edge, for a moment.
    pub(crate) fn look(&self, now: Instant) -> Sight {
        let incarnation = self.incarnation();
        let (state, age) = (incarnation.state(), incarnation.age(now));
        let lives = !matches!(state, Lifecycle::Stopped | Lifecycle::Failed | Lifecycle::Restarting);
        let started = lives && incarnation.epoch > 0;
        let activity = if started { incarnation.activity(now) } else { None };
        if activity.is_some_and(|activity| !activity.exact) {
            incarnation.ask_to_show();
        }
        Sight {
            state,
            epoch: incarnation.epoch,
            uptime: if started { age } else { Duration::ZERO },
            mailbox: MailboxInfo {
                queued: self.mailbox.len(),
                capacity: self.mailbox.capacity(),
                high_water: self.mailbox.high_water(),
            },
            handled: self.handled(),
            drops: self.drops(),
            // What is read at different moments may add up to more.
            busy: incarnation.trace.busy(age).min(age),
            current: activity.map(|Activity { label, busy, exact }| Current { label, busy, exact }),
            waits_for: self.node.waits_for(),
        }
    }
}
