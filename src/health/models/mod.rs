//! Models of the protocol: the crate's own code, in every order of events, on the stand-ins of `sync/model.rs`.
//! Each has a mutant, a known-wrong variant of the same code, that it must find.
//!
//! The page [`protocol`](super::protocol) says which model stands behind which of its claims.

mod nudge;
mod tell;

use std::sync::Arc;
use std::time::Instant;

use super::alerts::{AlertEvent, Alerts};
use super::board::{Board, ModeReader};
use super::mode::{Mode, ModeChange, ModeMachine, ModeSettings};
use super::news::HealthChange;
use super::outlook::Outlook;
use super::sink::Sink;
use super::verdict::{Health, HealthReport, Reason};
use crate::sync::checks::{finds, holds, joined, thread};
use crate::sync::model::Mutant;
use crate::sync::{Clock, Mutex};

/// A board whose modes follow the health at once, down and up.
fn board() -> Arc<Board> {
    let settings =
        ModeSettings { worsen_after: std::time::Duration::ZERO, improve_after: std::time::Duration::ZERO };
    Arc::new(Board::new(Outlook::new(ModeMachine::new(settings), Alerts::default()), None))
}

fn report(at: Instant, verdict: Health) -> HealthReport {
    HealthReport::of(at, [Reason { check: "a".into(), verdict, why: String::new(), since: at }])
}

/// A life begins, looks at this health, and tells what comes of it.
fn live(board: &Board, life: u64, health: Health) {
    board.begin(life, Clock::SYSTEM.now());
    board.deliver(life);
    board.take_in(life, report(Clock::SYSTEM.now(), health), None);
    board.deliver(life);
}

/// What is read without a lock.
fn mode_of(board: &Board) -> Mode {
    ModeReader::new(board.mode()).get()
}

/// Hears of modes.
#[derive(Default)]
struct Heard(Mutex<Vec<ModeChange>>);

impl Heard {
    fn on(board: &Board) -> Arc<Self> {
        let heard = Arc::new(Self::default());
        board.add_sink(Arc::clone(&heard) as Arc<dyn Sink>);
        heard
    }

    fn modes(&self) -> Vec<Mode> {
        self.0.lock().iter().map(|change| change.to).collect()
    }

    /// Each change where it was told first: one that a life was telling when it was given up may come again.
    fn firsts(&self) -> Vec<ModeChange> {
        let mut firsts: Vec<ModeChange> = Vec::new();
        for change in self.0.lock().iter() {
            if !firsts.iter().any(|first| (first.from, first.to) == (change.from, change.to)) {
                firsts.push(*change);
            }
        }
        firsts
    }

    /// Whether each change begins where the one before ended, and the first in full.
    fn is_chained(&self) -> bool {
        let mut mode = Mode::Full;
        self.firsts().iter().all(|change| std::mem::replace(&mut mode, change.to) == change.from)
    }

    /// Where the last one led.
    fn last(&self) -> Mode {
        self.firsts().last().map_or(Mode::Full, |change| change.to)
    }
}

impl Sink for Heard {
    fn alert(&self, _: &AlertEvent) {}

    fn mode(&self, change: &ModeChange) {
        self.0.lock().push(*change);
    }

    fn health(&self, _: &HealthChange) {}
}
