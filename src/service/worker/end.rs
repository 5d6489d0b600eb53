//! The end of an incarnation: `terminate`, the drop of its state, and, if it is for good, of all
//! that belongs to the child.

use super::*;

impl<S: Service> Worker<S> {
    /// An end with a state that is whole: `terminate` is called.
    pub(super) fn finish(&mut self, exit: Exit) -> Step {
        self.end(exit, CrashContext::Running);
        self.phase = Phase::Terminate;
        Step::Again
    }

    pub(super) fn end(&mut self, exit: Exit, context: CrashContext) -> Step {
        let label = if context == CrashContext::Running { self.label } else { None };
        self.ending = Some(Ending { exit, context, label, aftermath: None });
        self.phase = Phase::Cleanup;
        Step::Again
    }

    pub(super) fn terminate(&mut self) -> Step {
        self.phase = Phase::Cleanup;
        if self.incarnation.is_abandoned() {
            return self.vanish();
        }
        self.enter(Lifecycle::Terminating);
        self.begin("terminate");
        let (Some(service), Some(ending)) = (self.service.as_mut(), self.ending.as_mut()) else {
            return Step::Again;
        };
        let terminated = catch_unwind(AssertUnwindSafe(|| service.terminate(&ending.exit)));
        if let Err(panic) = terminated {
            ending.aftermath = Some(panic_text(panic));
        }
        Step::Again
    }

    pub(super) fn cleanup(&mut self) -> Step {
        self.phase = Phase::Over;
        if self.incarnation.is_abandoned() {
            return self.vanish();
        }
        self.enter(Lifecycle::Cleanup);
        self.begin("drop");
        let exit = self.ending.as_ref().map_or(Exit::Killed, |ending| ending.exit.clone());
        self.drop_state(if exit.is_calm() { Failure::Stopped } else { Failure::Crashed });
        if self.incarnation.is_abandoned() {
            return self.vanish(); // while its state was dropped
        }
        self.report_handled();
        if self.is_for_good(&exit) {
            self.close_child(&exit.without_successor());
        } else {
            self.cell.claim.end_tags(self.core(), &self.cx.env.registry, self.incarnation.epoch);
            self.core().ended(&exit);
            self.enter(Lifecycle::Restarting);
        }
        self.pulse.rest(self.cx.env.clock.now());
        Step::Over
    }

    /// Whether nobody will start the child again, as far as that is known here. What is not known
    /// here (a restart too many, a stop that nobody ordered for good) the supervisor does.
    pub(super) fn is_for_good(&self, exit: &Exit) -> bool {
        if self.incarnation.told() & told::FOR_GOOD != 0 {
            return true;
        }
        self.is_up()
            && !matches!(exit, Exit::Shutdown | Exit::Replaced)
            && !(self.cell.terms.wants_restart)(exit)
    }

    /// Whether it ever came up: a failed start is its supervisor's to judge.
    pub(super) fn is_up(&self) -> bool {
        self.ending.as_ref().is_some_and(|ending| ending.context != CrashContext::Starting)
    }

    pub(super) fn close_child(&mut self, exit: &Exit) {
        self.cell.unregister(&self.cx.env.registry, self.incarnation.epoch);
        if self.core().close_life(&self.incarnation, exit) {
            self.core().drain(DeadReason::Stopped);
            self.cx.env.observer.entered(&self.incarnation);
        }
    }

    /// Drops state and timers. A panic in that is contained and reported.
    pub(super) fn drop_state(&mut self, reason: Failure) {
        let cx = &mut self.cx;
        let service = self.service.take();
        let dropped = catch_unwind(AssertUnwindSafe(|| {
            scope::dropping(reason, || {
                drop(service);
                drop(cx.timers.clear());
                cx.demonitor_all();
            });
        }));
        if let (Err(panic), Some(ending)) = (dropped, self.ending.as_mut()) {
            ending.aftermath = Some(panic_text(panic));
        }
    }

    /// It was abandoned: drops what is its own and touches nothing that belongs to the child.
    #[cold]
    pub(super) fn vanish(&mut self) -> Step {
        self.phase = Phase::Over;
        self.begin("drop");
        self.drop_state(Failure::Crashed);
        self.pulse.rest(self.cx.env.clock.now());
        self.ending = Some(Ending::of(Exit::Killed, CrashContext::Running));
        Step::Over
    }
}
