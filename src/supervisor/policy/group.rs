//! Starting and restarting children in order: the first start of all, and the restart of a group.
//!
//! A group is all children from one key on: from the first for one_for_all, from the one that
//! crashed for rest_for_one. Its restart goes through the stages in order. A crash in the midst of
//! it begins it again, which is a charge of its own:
//!
//! - one_for_all: those already restarted are stopped again, then all are started.
//! - rest_for_one, a member that was or is being started: from that member on. Those before it are
//!   up.
//! - rest_for_one, a child before the group: from that child on. So the group widens.
//! - a member that is yet to be stopped: absorbed, as it will be restarted anyway. No charge.

use std::time::{Duration, Instant};

use super::children::Tries;
use super::words::{Answer, ChildState, Key};
use super::{Phase, Policy, Turn};

/// The start in order that is under way, if any.
#[derive(Debug, Clone)]
pub(super) struct Group {
    stage: Stage,
    /// Its first member.
    from: Key,
    tries: Tries,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// Before the first start.
    Held,
    /// None is under way.
    Quiet,
    /// Its members are stopped one by one, the last first. Then comes the delay.
    Stopping { delay: Duration },
    /// All of them are down.
    Backoff { until: Instant },
    /// Those that wait are started one by one. This one is starting.
    Starting { current: Key },
}

impl Group {
    pub(super) fn before_first_start() -> Self {
        Self { stage: Stage::Held, from: Key::MIN, tries: Tries::default() }
    }

    pub(super) fn is_held(&self) -> bool {
        self.stage == Stage::Held
    }

    /// Does this child have to wait for its turn?
    pub(super) fn holds(&self, key: Key) -> bool {
        self.stage != Stage::Quiet && key >= self.from
    }

    /// Is this child about to be stopped and restarted anyway?
    pub(super) fn absorbs(&self, key: Key) -> bool {
        matches!(self.stage, Stage::Stopping { .. }) && key >= self.from
    }

    /// When its backoff is over.
    pub(super) fn deadline(&self) -> Option<Instant> {
        match self.stage {
            Stage::Backoff { until } => Some(until),
            _ => None,
        }
    }

    /// Everything goes down: nothing is started any more.
    pub(super) fn cancel(&mut self) {
        self.stage = Stage::Quiet;
    }
}

impl Policy {
    /// `key` crashed: it is restarted together with all children from `first` on.
    pub(super) fn restart_group(&mut self, key: Key, first: Key, turn: &mut Turn) {
        let (backoff, random) = (self.backoff(key), self.random.next());
        let delay = self.group.tries.delay(&backoff, random, turn.now);
        self.report_restart(key, delay, turn);
        self.children.enter(key, ChildState::Waiting, None);
        self.group.from = first;
        self.group.stage = Stage::Stopping { delay };
        let members: Vec<Key> = self.children.from(first).collect();
        members.into_iter().for_each(|member| self.call_off(member, turn));
        self.stop_next(delay, turn);
    }

    /// Stops the last member that is not down yet. When there is none, the delay begins.
    fn stop_next(&mut self, delay: Duration, turn: &mut Turn) {
        if let Some(key) = self.children.last_live(self.group.from) {
            let is_deleted = self.children.get(key).is_some_and(|child| child.is_temporary());
            return self.ask_to_stop(key, is_deleted, turn);
        }
        if delay.is_zero() {
            return self.start_next(turn);
        }
        self.group.stage = Stage::Backoff { until: turn.after(delay) };
    }

    /// Starts the first of those that wait. When there is none, the start in order is over.
    pub(super) fn start_next(&mut self, turn: &mut Turn) {
        if let Some(current) = self.children.first_waiting() {
            self.group.stage = Stage::Starting { current };
            return self.launch(current, turn);
        }
        self.group.stage = Stage::Quiet;
        self.group.tries.up(turn.now);
        if let Phase::Starting { ticket } = self.phase {
            self.phase = Phase::Running;
            turn.answer(ticket, Answer::Started);
        }
    }

    /// A start ended or an incarnation went. If the group waited for that, it goes on.
    pub(super) fn settled(&mut self, key: Key, turn: &mut Turn) {
        match self.group.stage {
            Stage::Stopping { delay } => self.stop_next(delay, turn),
            Stage::Starting { current } if current == key && !self.is_under_way(key) => self.start_next(turn),
            _ => {}
        }
    }

    /// Is a start of this child neither done nor given up yet?
    fn is_under_way(&self, key: Key) -> bool {
        matches!(self.children.state(key), Some(ChildState::Starting | ChildState::Stopping))
    }
}
