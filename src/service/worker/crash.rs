//! A crash that a simulation brings about, in the handler of the next message.

use std::panic::resume_unwind;

use super::*;
use crate::service::machine::CrashAt;

impl<S: Service> Worker<S> {
    /// Takes the next message and crashes over it. `None` if that is not what comes next.
    pub(super) fn crash_on_next(&mut self, at: CrashAt) -> Option<Step> {
        let now = self.cx.env.clock.now();
        if self.phase != Phase::Serve || self.has_other_business(now) {
            return None;
        }
        let envelope = self.cell.core.mailbox.take()?;
        self.fired = false;
        self.before_urgent = self.before_urgent.map(|before| before.saturating_sub(1));
        self.work(now);
        let outcome = catch_unwind(AssertUnwindSafe(|| match at {
            CrashAt::Begin => self.crash_over(envelope),
            CrashAt::End => match self.handle_one(envelope) {
                Ok(_) => fall(),
                error => self.told_of(error),
            },
        }));
        Some(self.conclude(outcome))
    }

    /// Whether it takes no message, or something goes before the next one: as [`serve`](Self::serve)
    /// has it.
    fn has_other_business(&mut self, now: Instant) -> bool {
        let mailbox = &self.cell.core.mailbox;
        if self.is_told() || self.suspended || mailbox.has_orders() {
            return true;
        }
        let is_due = self.cx.timers.next_deadline().is_some_and(|due| due <= now);
        if is_due && !self.fired {
            return true;
        }
        mailbox.has_urgent() && *self.before_urgent.get_or_insert(mailbox.len()) == 0
    }

    /// As a handler that panics at once.
    fn crash_over(&mut self, envelope: Envelope<S::Msg>) -> Outcome {
        let Envelope { message, call } = envelope;
        self.handled += 1;
        scope::handler_begins();
        self.last_was_call = call.is_some();
        if let Some(call) = call {
            self.incarnation.holds(call);
        }
        self.label = Some(S::label(&message));
        drop(message);
        fall()
    }
}

/// Prints nothing: it is meant to be.
fn fall() -> ! {
    resume_unwind(Box::new("crashed by the simulation"))
}
