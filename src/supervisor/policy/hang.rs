//! By when an incarnation is to be ready, or gone, and what happens when it is not.

use std::time::Instant;

use super::words::{Action, ChildState, ExitKind, Key};
use super::{Policy, Turn};
use crate::{Hung, OnHang};

/// By when an incarnation is to be ready, or gone.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Limits {
    /// It is waited for since then.
    since: Option<Instant>,
    /// When it is waited for no longer.
    pub(super) end: Option<Instant>,
    /// When it is only reported. None: it was, or is not to be.
    report: Option<Instant>,
}

impl Limits {
    /// From now on, until the child's own limit.
    pub(super) fn new(on_hang: OnHang, own: Option<Instant>, now: Instant) -> Self {
        let is_report = on_hang == OnHang::Wait;
        Self { since: Some(now), end: own.filter(|_| !is_report), report: own.filter(|_| is_report) }
    }

    /// The same, and these too. What was reported is not reported again.
    pub(super) fn tightened(self, on_hang: OnHang, own: Option<Instant>, overall: Option<Instant>) -> Self {
        let earliest = |limits: [Option<Instant>; 3]| limits.into_iter().flatten().min();
        let (own_end, own_report) = if on_hang == OnHang::Wait { (None, own) } else { (own, None) };
        Self {
            end: earliest([self.end, own_end, overall]),
            report: self.report.and(earliest([self.report, own_report, None])),
            ..self
        }
    }

    /// When it has to be looked at.
    pub(super) fn next(&self) -> Option<Instant> {
        [self.end, self.report].into_iter().flatten().min()
    }
}

impl Policy {
    /// A start or a stop takes longer than it may.
    pub(super) fn hung(&mut self, key: Key, turn: &mut Turn) {
        let Some(child) = self.children.get(key) else { return };
        let why = if child.state() == ChildState::Starting { Hung::Init } else { Hung::Grace };
        if child.limits.end.is_some_and(|end| end <= turn.now) {
            return self.abandon(key, why, turn);
        }
        self.report_overdue(key, why, turn);
    }

    /// It is waited for all the same.
    fn report_overdue(&mut self, key: Key, why: Hung, turn: &mut Turn) {
        let Some(child) = self.children.get_mut(key) else { return };
        child.limits.report = None;
        let since = child.limits.since.unwrap_or(turn.now);
        let after = turn.now.saturating_duration_since(since);
        turn.act(Action::Overdue { key, epoch: child.epoch, why, after });
        let (state, end) = (child.state(), child.limits.end);
        self.children.enter(key, state, end);
    }

    /// A thread cannot be killed. Its child goes on without it, as after a crash.
    fn abandon(&mut self, key: Key, why: Hung, turn: &mut Turn) {
        let Some(child) = self.children.get(key) else { return };
        if child.rules.on_hang == OnHang::AbortProcess {
            turn.act(Action::Abort { key, why });
        }
        // What comes after one that was to hand over comes all the same, with nothing in its hands.
        let was_asked_for = child.state() == ChildState::HandingOver;
        turn.act(Action::Abandon { key, epoch: child.epoch, why });
        self.left(key, if was_asked_for { ExitKind::HandedOver } else { ExitKind::Abnormal }, turn);
    }
}
