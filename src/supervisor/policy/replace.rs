//! replace_child: another description for a child, and, if it runs, a successor that gets the state
//! of the present incarnation. It is no restart: nothing is charged, nothing waits, and no sibling
//! is touched.
//!
//! The present incarnation is asked to hand over. What comes of it:
//!
//! - it handed over, or was abandoned because it did not: the successor is launched;
//! - it ended by itself in a way that calls for a restart: the same, with nothing handed over;
//! - it ended by itself and is done: the child is down, with its new description;
//! - it has to stop, with its group, with all, or for good: the hand-over is called off.

use super::children::{Cause, Tries};
use super::hang::Limits;
use super::words::{Action, Answer, ChildState, ExitKind, Key, Ticket};
use super::{Policy, Turn};

impl Policy {
    pub(super) fn replace(&mut self, key: Key, ticket: Ticket, turn: &mut Turn) {
        let Some(state) = self.children.state(key) else {
            return turn.answer([ticket], Answer::NotFound);
        };
        match state {
            // It is about to be stopped with its group, or those that depend on it are being started.
            ChildState::Running if self.group.holds(key) => {
                turn.answer([ticket], Answer::Busy(ChildState::Waiting));
            }
            ChildState::Running => self.ask_to_hand_over(key, ticket, turn),
            ChildState::Stopped | ChildState::Backoff { .. } => {
                turn.act(Action::Replace { key, ticket });
                turn.answer([ticket], Answer::Replaced);
            }
            busy => turn.answer([ticket], Answer::Busy(busy)),
        }
    }

    fn ask_to_hand_over(&mut self, key: Key, ticket: Ticket, turn: &mut Turn) {
        let Some(child) = self.children.get_mut(key) else { return };
        (child.cause, child.starter, child.tries) = (Cause::Asked, Some(ticket), Tries::default());
        let grace = child.rules.grace.map(|grace| turn.after(grace));
        child.limits = Limits::new(child.rules.on_hang, grace, turn.now);
        let (epoch, deadline) = (child.epoch, child.limits.next());
        turn.act(Action::Replace { key, ticket });
        turn.act(Action::HandOver { key, epoch });
        self.children.enter(key, ChildState::HandingOver, deadline);
    }

    /// One that was asked to hand over is gone. Also one that handed over before it heard that this
    /// was called off.
    pub(super) fn handed_over(&mut self, key: Key, exit: ExitKind, turn: &mut Turn) {
        let Some(child) = self.children.get(key) else { return };
        if exit != ExitKind::HandedOver && !child.rules.restart.wants(exit) {
            let answer = if self.is_kept(key) { Answer::Replaced } else { Answer::NotFound };
            return self.done(key, answer, turn);
        }
        if self.group.absorbs(key) {
            return self.stopped(key, exit, turn);
        }
        self.launch(key, turn);
    }

    /// Whoever has not handed over by now keeps its state: it is about to be stopped.
    pub(super) fn call_off(&mut self, key: Key, turn: &mut Turn) {
        if self.children.state(key) == Some(ChildState::HandingOver) {
            turn.act(Action::CallOff { key });
            self.children.enter(key, ChildState::Running, None);
        }
    }
}
