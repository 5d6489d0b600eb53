//! The health of a program, as whoever asks judges it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::board::Board;
use super::builder::ServiceHandle;
use super::check::Aspects;
use super::record::said_short;
use super::verdict::{Health, HealthReport, Reason};
use crate::service::exit::Lifecycle;
use crate::sync::Clock;

/// How long the service may not have looked, beyond three ticks, before that is said.
const SILENCE: Duration = Duration::from_secs(5);

/// What is there to be judged.
pub(crate) struct View {
    pub(crate) name: Arc<str>,
    pub(crate) board: Arc<Board>,
    pub(crate) handle: ServiceHandle,
    pub(crate) tick: Duration,
}

impl View {
    pub(crate) fn health(&self) -> HealthReport {
        self.report(|_| true, true)
    }

    pub(crate) fn readiness(&self) -> HealthReport {
        self.report(|aspects| aspects.readiness, false)
    }

    pub(crate) fn liveness(&self) -> HealthReport {
        self.report(|aspects| aspects.liveness, false)
    }

    fn report(&self, counts: impl Fn(Aspects) -> bool, is_whole: bool) -> HealthReport {
        let now = self.clock().now();
        let seats = self.board.seats();
        let reasons = seats.iter().filter(|seat| counts(seat.aspects())).map(|seat| seat.reason(now));
        let own = self.own_reason(now).filter(|own| is_whole || own.verdict == Health::Unknown);
        HealthReport::of(now, own.into_iter().chain(reasons))
    }

    /// What there is to say of the monitor itself.
    fn own_reason(&self, now: Instant) -> Option<Reason> {
        let life = self.handle.core().incarnation();
        let why = match life.state() {
            _ if life.epoch == 0 => "has not been started".to_owned(),
            Lifecycle::Stopped | Lifecycle::Failed => "has stopped".to_owned(),
            _ => return self.silence(now),
        };
        Some(self.reason(Health::Unknown, why, now))
    }

    /// A service that does not look holds up modes and alerts, and nothing else.
    fn silence(&self, now: Instant) -> Option<Reason> {
        let looked = self.board.see(|outlook| outlook.looked())?;
        let silent = now.saturating_duration_since(looked);
        let is_long = silent > self.tick.saturating_mul(3).saturating_add(SILENCE);
        let why = || format!("modes and alerts have not been looked at for {}", said_short(silent));
        is_long.then(|| self.reason(Health::Degraded, why(), looked))
    }

    fn reason(&self, verdict: Health, why: String, since: Instant) -> Reason {
        Reason { check: (*self.name).into(), verdict, why, since }
    }

    /// The clock of the tree; the system's until it runs in one.
    pub(crate) fn clock(&self) -> &Clock {
        self.handle.core().clock()
    }
}
