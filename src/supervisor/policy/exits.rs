//! What a supervisor does when a start ends, when a child goes, and when either takes too long.

use std::time::Duration;

use super::children::{Cause, Child};
use super::hang::Limits;
use super::words::{Action, Answer, ChildState, Epoch, ExitKind, Key, Outcome};
use super::{Phase, Policy, Turn};
use crate::{AutoShutdown, Backoff, Strategy};

impl Policy {
    /// Starts the next incarnation of a child that is down.
    pub(super) fn launch(&mut self, key: Key, turn: &mut Turn) {
        let Some(child) = self.children.get_mut(key) else { return };
        child.epoch += 1;
        child.terminal = false;
        let (epoch, until) = (child.epoch, turn.after(child.rules.init));
        child.limits = Limits::new(child.rules.on_hang, Some(until), turn.now);
        let deadline = child.limits.next();
        self.children.enter(key, ChildState::Starting, deadline);
        turn.act(Action::Launch { key, epoch });
    }

    /// A start ended well.
    pub(super) fn ready(&mut self, key: Key, epoch: Epoch, turn: &mut Turn) {
        let current = self.children.incarnation(key, epoch);
        // One that was asked to stop while it started is on its way out.
        if current.is_none_or(|child| child.state() != ChildState::Starting) {
            return;
        }
        self.children.enter(key, ChildState::Running, None);
        if let Some(child) = self.children.get_mut(key) {
            child.cause = Cause::Crash;
            child.tries.up(turn.now);
            turn.answer(child.starter.take(), Answer::Started);
        }
        self.settled(key, turn);
    }

    /// An incarnation is gone. A stale notice of it changes nothing.
    pub(super) fn exited(&mut self, key: Key, epoch: Epoch, exit: ExitKind, turn: &mut Turn) {
        if self.children.incarnation(key, epoch).is_some() {
            self.left(key, exit, turn);
        }
    }

    /// The incarnation of a child is gone, or is not waited for any longer.
    pub(super) fn left(&mut self, key: Key, exit: ExitKind, turn: &mut Turn) {
        let Some(child) = self.children.get_mut(key) else { return };
        child.failed = match child.state() {
            ChildState::Starting => exit != ExitKind::Ignored,
            _ => exit == ExitKind::Abnormal,
        };
        match (&self.phase, child.state()) {
            (Phase::Down(_), _) => self.left_at_shutdown(key, turn),
            (_, ChildState::Starting) if exit == ExitKind::Ignored => self.ignored(key, turn),
            (_, ChildState::Starting) => self.failed_start(key, turn),
            (_, ChildState::Stopping) => self.stopped(key, exit, turn),
            (_, ChildState::HandingOver) => self.handed_over(key, exit, turn),
            (_, _) if exit == ExitKind::HandedOver && child.cause == Cause::Asked => {
                self.handed_over(key, exit, turn); // before it heard that this was called off
            }
            (_, _) => self.finished(key, exit, turn),
        }
        self.settled(key, turn);
    }

    /// Init said ignore: the start went well and the child does not run.
    fn ignored(&mut self, key: Key, turn: &mut Turn) {
        if let Some(child) = self.children.get_mut(key) {
            child.cause = Cause::Crash;
        }
        self.retire(key, Answer::Ignored, turn);
    }

    /// A start failed: on whose account it was made decides.
    fn failed_start(&mut self, key: Key, turn: &mut Turn) {
        match self.children.get(key).map(|child| child.cause) {
            Some(Cause::First) => {
                self.retire(key, Answer::StartFailed, turn);
                self.go_down(Outcome::FailedToStart { key }, None, None, turn);
            }
            Some(Cause::Added | Cause::Asked) => self.retire(key, Answer::StartFailed, turn),
            Some(Cause::Crash) => self.crashed(key, turn),
            None => {}
        }
    }

    /// A child that was asked to stop has stopped: by its user, or because of a sibling.
    /// One that finished by itself in the same moment has finished, save where its user asked.
    pub(super) fn stopped(&mut self, key: Key, exit: ExitKind, turn: &mut Turn) {
        let Some(child) = self.children.get(key) else { return };
        if !child.stoppers.is_empty() {
            return self.retire(key, Answer::StartFailed, turn);
        }
        if exit == ExitKind::Normal && !child.rules.restart.wants(exit) {
            return self.done(key, Answer::StartFailed, turn);
        }
        if child.is_temporary() {
            return self.retire(key, Answer::StartFailed, turn);
        }
        self.children.enter(key, ChildState::Waiting, None);
    }

    /// A running child went by itself.
    fn finished(&mut self, key: Key, exit: ExitKind, turn: &mut Turn) {
        let Some(child) = self.children.get(key) else { return };
        if child.rules.restart.wants(exit) {
            return self.crashed(key, turn);
        }
        self.done(key, Answer::StartFailed, turn);
    }

    /// A child has ended by itself and stays down. It may be the one that the supervisor ran for.
    pub(super) fn done(&mut self, key: Key, answer: Answer, turn: &mut Turn) {
        let significant = self.children.get(key).is_some_and(|child| child.rules.significant);
        self.retire(key, answer, turn);
        if significant && self.is_done() {
            self.go_down(Outcome::AutoShutdown { key }, None, None, turn);
        }
    }

    /// A significant child has finished: has the supervisor?
    fn is_done(&self) -> bool {
        match self.rules.auto_shutdown {
            AutoShutdown::Never => false,
            AutoShutdown::AnySignificant => true,
            AutoShutdown::AllSignificant => self.children.significant() == 0,
        }
    }

    /// A child has to be restarted: charged once, be it for the child alone or for its group.
    fn crashed(&mut self, key: Key, turn: &mut Turn) {
        if self.group.absorbs(key) {
            // Its group is being stopped and will be restarted anyway.
            return self.children.enter(key, ChildState::Waiting, None);
        }
        if !self.window.charge(turn.now) {
            return self.give_up(key, turn);
        }
        match self.rules.strategy {
            Strategy::OneForOne => self.restart_one(key, turn),
            Strategy::OneForAll => self.restart_group(key, Key::MIN, turn),
            Strategy::RestForOne => self.restart_group(key, key, turn),
        }
    }

    /// Out of budget: the parent has to see to it.
    fn give_up(&mut self, key: Key, turn: &mut Turn) {
        turn.act(Action::GaveUp { key });
        self.retire(key, Answer::StartFailed, turn);
        self.go_down(Outcome::Escalated { key }, None, None, turn);
    }

    fn restart_one(&mut self, key: Key, turn: &mut Turn) {
        let (backoff, random) = (self.backoff(key), self.random.next());
        let Some(child) = self.children.get_mut(key) else { return };
        let delay = child.tries.delay(&backoff, random, turn.now);
        self.report_restart(key, delay, turn);
        if delay.is_zero() {
            return self.launch(key, turn);
        }
        let until = turn.after(delay);
        self.children.enter(key, ChildState::Backoff { until }, Some(until));
    }

    pub(super) fn report_restart(&self, key: Key, delay: Duration, turn: &mut Turn) {
        let epoch_lost = self.children.get(key).map_or(0, |child| child.epoch);
        turn.act(Action::Restarting { key, epoch_lost, delay });
    }

    /// The child's own, or else the supervisor's.
    pub(super) fn backoff(&self, key: Key) -> Backoff {
        self.children.get(key).and_then(|child| child.rules.backoff).unwrap_or(self.rules.backoff)
    }

    /// The child is down for good, or until restart_child. Whoever waits for its start hears
    /// `answer`.
    pub(super) fn retire(&mut self, key: Key, answer: Answer, turn: &mut Turn) {
        let is_kept = self.is_kept(key);
        let Some(child) = self.children.get_mut(key) else { return };
        let (starter, stoppers) = (child.starter.take(), std::mem::take(&mut child.stoppers));
        turn.act(Action::Retire { key, failed: child.failed });
        if is_kept {
            self.children.enter(key, ChildState::Stopped, None);
        } else {
            self.children.remove(key);
            turn.act(Action::Forget { key });
        }
        turn.answer(starter, answer);
        turn.answer(stoppers, Answer::Stopped);
    }

    /// Is the spec of this child kept while it is down?
    pub(super) fn is_kept(&self, key: Key) -> bool {
        let is_kept = |child: &Child| !(child.is_temporary() || child.is_unsaved());
        self.rules.dynamic.is_none() && self.children.get(key).is_some_and(is_kept)
    }

    /// Sees to the deadlines that have come. Each child once, so that even a deadline of zero
    /// cannot keep a step from ending.
    pub(super) fn expire(&mut self, turn: &mut Turn) {
        for key in self.children.due(turn.now) {
            self.overdue(key, turn);
        }
        if self.group.deadline().is_some_and(|until| until <= turn.now) {
            self.start_next(turn);
        }
    }

    fn overdue(&mut self, key: Key, turn: &mut Turn) {
        let Some(child) = self.children.get(key) else { return };
        if child.deadline().is_none_or(|deadline| deadline > turn.now) {
            return; // Seen to by what was done for another one.
        }
        match child.state() {
            ChildState::Starting | ChildState::Stopping | ChildState::HandingOver => self.hung(key, turn),
            ChildState::Backoff { .. } => self.launch(key, turn),
            ChildState::Running | ChildState::Waiting | ChildState::Stopped => {}
        }
    }
}
