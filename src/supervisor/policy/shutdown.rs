//! Stopping: one child, or everything.
//!
//! Static children are stopped one after the other in reverse order of start, each within its own
//! grace; those of a dynamic supervisor all at once under one grace. The deadline of the whole
//! stop, if there is one, bounds every grace.

use std::time::Instant;

use super::words::{Action, Answer, ChildState, Key, Outcome, Ticket};
use super::{Phase, Policy, Turn};

/// A supervisor that goes down, whatever for.
#[derive(Debug, Clone)]
pub(super) struct Down {
    outcome: Outcome,
    /// Of the whole stop.
    deadline: Option<Instant>,
    /// Of the children of a dynamic supervisor.
    shared_grace: Option<Instant>,
    /// Who asked for the first start that failed.
    starter: Option<Ticket>,
    /// Who wait for the end.
    stoppers: Vec<Ticket>,
}

impl Down {
    fn hurry(&mut self, deadline: Option<Instant>) {
        self.deadline = [self.deadline, deadline].into_iter().flatten().min();
    }
}

impl Policy {
    /// Stops everything. When that is under way already, it can only be hurried.
    pub(super) fn stop(&mut self, deadline: Option<Instant>, ticket: Option<Ticket>, turn: &mut Turn) {
        if !self.is_down() {
            return self.go_down(Outcome::Stopped, deadline, ticket, turn);
        }
        if let Phase::Down(down) = &mut self.phase {
            down.stoppers.extend(ticket);
            down.hurry(deadline);
            self.shut(turn);
        }
    }

    /// From now on nothing is started. What is pending is refused and what is down is retired; then
    /// the rest is stopped.
    pub(super) fn go_down(
        &mut self,
        outcome: Outcome,
        deadline: Option<Instant>,
        ticket: Option<Ticket>,
        turn: &mut Turn,
    ) {
        let starter = self.starter_at_shutdown(outcome, turn);
        let shared_grace = self.rules.dynamic.map(|dynamic| turn.after(dynamic.grace));
        self.phase = Phase::Down(Down {
            outcome,
            deadline,
            shared_grace,
            starter,
            stoppers: ticket.into_iter().collect(),
        });
        self.group.cancel();
        let latest_first: Vec<Key> = self.children.iter().rev().map(|(key, _)| key).collect();
        for key in latest_first {
            self.refuse_pending(key, turn);
        }
        self.shut(turn);
    }

    /// Who waits for the first start hears of its failure when everything is down again, of
    /// anything else at once.
    fn starter_at_shutdown(&self, outcome: Outcome, turn: &mut Turn) -> Option<Ticket> {
        let Phase::Starting { ticket } = self.phase else { return None };
        if outcome != Outcome::Stopped {
            return ticket;
        }
        turn.answer(ticket, Answer::ShuttingDown);
        None
    }

    /// Whoever waits for this child is told that it is too late, and if it is down, it stays down.
    fn refuse_pending(&mut self, key: Key, turn: &mut Turn) {
        self.call_off(key, turn);
        let Some(child) = self.children.get_mut(key) else { return };
        turn.answer(child.starter.take(), Answer::ShuttingDown);
        turn.answer(child.stoppers.drain(..), Answer::ShuttingDown);
        if matches!(child.state(), ChildState::Backoff { .. } | ChildState::Waiting) {
            self.retire(key, Answer::ShuttingDown, turn);
        }
    }

    /// A child went while everything is being stopped: the next one.
    pub(super) fn left_at_shutdown(&mut self, key: Key, turn: &mut Turn) {
        self.retire(key, Answer::ShuttingDown, turn);
        match self.children.last_live(Key::MIN) {
            None => self.finish(turn),
            Some(_) if self.rules.dynamic.is_some() => {} // All have been asked.
            Some(last) => self.ask_to_stop(last, true, turn),
        }
    }

    /// Asks whoever is to be asked at this point, or again if the deadline has come nearer.
    fn shut(&mut self, turn: &mut Turn) {
        let Some(last) = self.children.last_live(Key::MIN) else {
            return self.finish(turn);
        };
        let asked = if self.rules.dynamic.is_some() { self.children.live() } else { vec![last] };
        for key in asked {
            self.ask_to_stop(key, true, turn);
        }
    }

    fn finish(&mut self, turn: &mut Turn) {
        let Phase::Down(down) = std::mem::replace(&mut self.phase, Phase::Finished) else { return };
        turn.answer(down.starter, Answer::StartFailed);
        turn.answer(down.stoppers, Answer::Stopped);
        turn.act(Action::Finish(down.outcome));
    }

    /// Asks a child to stop. One that was asked before is asked again only in stricter terms.
    pub(super) fn ask_to_stop(&mut self, key: Key, terminal: bool, turn: &mut Turn) {
        self.call_off(key, turn);
        let (shared_grace, overall) = match &self.phase {
            Phase::Down(down) => (down.shared_grace, down.deadline),
            _ => (None, None),
        };
        let Some(child) = self.children.get_mut(key) else { return };
        // A stop that has begun keeps its grace, though the child may have been given another since.
        let anew = (child.state() != ChildState::Stopping).then_some(child.rules.grace).flatten();
        let own = match shared_grace {
            Some(shared) => child.rules.grace.and(Some(shared)),
            None => anew.map(|grace| turn.after(grace)),
        };
        let limits = child.limits_to_stop(own, overall, turn.now);
        let is_news = child.state() != ChildState::Stopping
            || limits.end != child.limits.end
            || (terminal && !child.terminal);
        child.limits = limits;
        if is_news {
            child.terminal |= terminal;
            turn.act(Action::Stop {
                key,
                epoch: child.epoch,
                terminal: child.terminal,
                deadline: child.told(limits.end),
            });
        }
        self.children.enter(key, ChildState::Stopping, limits.next());
    }
}
