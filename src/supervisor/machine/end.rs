//! The end of a supervisor: what its children left behind is handed over and cleared away.

use super::*;

impl Supervision {
    pub(super) fn finish(&mut self, outcome: Outcome) {
        let exit = match outcome {
            Outcome::Stopped | Outcome::AutoShutdown { .. } => Exit::Shutdown,
            Outcome::Escalated { key } => Exit::Escalated { child: self.name_of(key) },
            Outcome::FailedToStart { key } => {
                Exit::ChildFailed { child: self.name_of(key), exit: Box::new(self.exit_of(key)) }
            }
        };
        if self.ends_for_good() {
            self.plan.core.close_life(&self.me, &exit);
            self.site.entered(&self.parent, &self.me);
        } else {
            self.plan.core.ended(&exit);
            self.enter(Lifecycle::Restarting);
        }
        self.ending = Some(Ending::of(exit, CrashContext::Running));
        self.reap();
    }

    /// Hands over what is left: threads about to finish, children that were added on the way, and
    /// requests that nobody will answer.
    pub(super) fn reap(&mut self) {
        let kids = std::mem::take(&mut self.kids);
        let mut left = Vec::new();
        for kid in kids.into_values() {
            self.leaving.extend(kid.thread);
            left.push((kid.child, kid.last_exit));
        }
        self.join_leaving();
        let leaving = std::mem::take(&mut self.leaving);
        let (plan, epoch) = (Arc::clone(&self.plan), self.me.epoch);
        self.phase = Phase::Reaping(self.site.clock.now() + REAPING);
        let reaped = self.site.janitor.leave(Box::new(move || {
            leaving.into_iter().for_each(|thread| drop(thread.join()));
            drop(left);
            plan.core.drain(DeadReason::Stopped);
            send_urgent(&plan.core, epoch, Request::Reaped);
        }));
        if !reaped {
            self.phase = Phase::Over;
        }
    }

    /// Joins the threads that have finished; never waits for one.
    pub(super) fn join_leaving(&mut self) {
        let (finished, leaving) = self.leaving.drain(..).partition(sync::is_finished);
        self.leaving = leaving;
        let finished: Vec<JoinHandle<()>> = finished;
        finished.into_iter().for_each(|thread| drop(thread.join()));
    }
}
