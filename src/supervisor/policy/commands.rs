//! What the users of a supervisor may ask of it while it is not going down.

use super::children::{Cause, Child, Tries};
use super::words::{Action, Answer, ChildRules, ChildState, Key, Ticket};
use super::{Phase, Policy, Turn};

impl Policy {
    /// Before the first start a static child; after it start_child, which joins the end of the
    /// order.
    pub(super) fn add(&mut self, key: Key, rules: ChildRules, ticket: Option<Ticket>, turn: &mut Turn) {
        if let Some(max) = self.full() {
            return turn.answer(ticket, Answer::TooMany { max });
        }
        let cause = if self.group.is_held() { Cause::First } else { Cause::Added };
        self.children.insert(key, Child::new(rules, cause, ticket));
        self.start(key, turn);
    }

    /// The first start: one after the other, each waits until the one before is ready.
    pub(super) fn begin(&mut self, ticket: Ticket, turn: &mut Turn) {
        if !self.group.is_held() {
            return turn.answer([ticket], Answer::Running);
        }
        self.phase = Phase::Starting { ticket: Some(ticket) };
        self.start_next(turn);
    }

    /// terminate_child: it goes down and is not restarted, whatever it was about to do.
    pub(super) fn terminate(&mut self, key: Key, ticket: Ticket, turn: &mut Turn) {
        let Some(child) = self.children.get_mut(key) else {
            return turn.answer([ticket], Answer::NotFound);
        };
        turn.answer(child.starter.take(), Answer::ShuttingDown);
        match child.state() {
            ChildState::Stopped => turn.answer([ticket], Answer::Stopped),
            ChildState::Backoff { .. } | ChildState::Waiting => {
                child.stoppers.push(ticket);
                self.retire(key, Answer::ShuttingDown, turn);
            }
            ChildState::Starting | ChildState::Running | ChildState::Stopping | ChildState::HandingOver => {
                child.stoppers.push(ticket);
                self.ask_to_stop(key, true, turn);
            }
        }
    }

    /// restart_child: starts a child that is down. Never charged.
    pub(super) fn restart(&mut self, key: Key, ticket: Ticket, turn: &mut Turn) {
        if let Some(refusal) = self.refusal(key) {
            return turn.answer([ticket], refusal);
        }
        if let Some(child) = self.children.get_mut(key) {
            (child.cause, child.starter, child.tries) = (Cause::Asked, Some(ticket), Tries::default());
        }
        self.children.enter(key, ChildState::Waiting, None);
        self.start(key, turn);
    }

    /// delete_child: deletes the spec of a child that is down.
    pub(super) fn delete(&mut self, key: Key, ticket: Ticket, turn: &mut Turn) {
        if let Some(refusal) = self.refusal(key) {
            return turn.answer([ticket], refusal);
        }
        self.children.remove(key);
        turn.act(Action::Forget { key });
        turn.answer([ticket], Answer::Deleted);
    }

    /// Why a child can be neither restarted nor deleted. None: it is down for good.
    fn refusal(&self, key: Key) -> Option<Answer> {
        let child = match self.children.get(key) {
            None => return Some(Answer::NotFound),
            Some(child) => child,
        };
        match child.state() {
            ChildState::Stopped => None,
            ChildState::Starting | ChildState::Running => Some(Answer::Running),
            ChildState::Backoff { .. } | ChildState::Waiting | ChildState::HandingOver => {
                Some(Answer::Restarting)
            }
            // It will be back with its group, unless it is on its way down for good.
            ChildState::Stopping if child.terminal => Some(Answer::Running),
            ChildState::Stopping => Some(Answer::Restarting),
        }
    }

    /// The limit on children, when it is reached.
    fn full(&self) -> Option<usize> {
        let max = self.rules.dynamic?.max_children?;
        (self.children.len() >= max).then_some(max)
    }

    /// Starts a waiting child, unless a start in order is under way: then it keeps its place in the
    /// order.
    fn start(&mut self, key: Key, turn: &mut Turn) {
        if !self.group.holds(key) {
            self.launch(key, turn);
        }
    }
}
