//! The states of a breaker: who may call, and what a call's end does.

use super::ledger::Ledger;
use super::rates::{Cause, Counts};
use super::settings::Settings;

/// What a breaker does with calls. The states are those of resilience4j.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum BreakerState {
    /// Lets all through, and opens when too many fail.
    Closed = 0,
    /// Refuses all until its wait is over. The first that comes after it makes it half-open.
    Open = 1,
    /// Lets some through as probes, and closes or opens by how they do.
    HalfOpen = 2,
    /// Refuses all until told otherwise.
    ForcedOpen = 3,
    /// Lets all through, and takes no notice.
    Disabled = 4,
    /// Lets all through and takes notice, but never opens.
    MetricsOnly = 5,
}

impl BreakerState {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::Closed, Self::Open, Self::HalfOpen, Self::ForcedOpen, Self::Disabled, Self::MetricsOnly];

    /// Its name: `closed`, `open`, `half_open`, `forced_open`, `disabled`, `metrics_only`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Open => "open",
            Self::HalfOpen => "half_open",
            Self::ForcedOpen => "forced_open",
            Self::Disabled => "disabled",
            Self::MetricsOnly => "metrics_only",
        }
    }

    /// Whether every call is let through.
    pub(crate) fn admits_all(self) -> bool {
        matches!(self, Self::Closed | Self::Disabled | Self::MetricsOnly)
    }
}

impl std::fmt::Display for BreakerState {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// When nothing is ever due.
pub(crate) const NEVER: u64 = u64::MAX;

/// The states of a breaker, as a pure machine. Times are nanoseconds from any moment.
#[derive(Clone, Debug)]
pub(crate) struct Machine {
    settings: Settings,
    state: BreakerState,
    /// Rises with each change of the state: what was let through before says nothing of what is.
    generation: u64,
    since: u64,
    /// When it may become half-open.
    until: u64,
    /// How often it has opened without having been closed.
    streak: u32,
    opened: u64,
    ledger: Ledger,
    probing: u32,
    probed: Counts,
}

/// Whether a call may be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Admission {
    /// In this generation.
    Admitted(u64),
    /// At least until then, or [`NEVER`].
    Refused { until: u64 },
}

/// What the end of a call has made necessary.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Due {
    Open(Cause),
    Close(Cause),
}

/// A change of the state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Change {
    pub(crate) from: BreakerState,
    pub(crate) to: BreakerState,
    pub(crate) cause: Cause,
    pub(crate) at: u64,
}

impl Machine {
    pub(crate) fn new(settings: Settings) -> Self {
        Self {
            ledger: Ledger::new(&settings),
            settings,
            state: BreakerState::Closed,
            generation: 0,
            since: 0,
            until: NEVER,
            streak: 0,
            opened: 0,
            probing: 0,
            probed: Counts::default(),
        }
    }

    /// Somebody wants to call.
    pub(crate) fn admit(&mut self, now: u64) -> (Admission, Option<Change>) {
        let change = self.look(now);
        (self.admission(), change)
    }

    /// What time alone brings about.
    fn look(&mut self, now: u64) -> Option<Change> {
        match self.state {
            BreakerState::Open if now >= self.until => {
                Some(self.enter(BreakerState::HalfOpen, Cause::WaitOver, now))
            }
            BreakerState::HalfOpen if now >= self.probes_until() => {
                Some(self.enter(BreakerState::Open, Cause::ProbesLate, now))
            }
            _ => None,
        }
    }

    fn admission(&mut self) -> Admission {
        match self.state {
            BreakerState::Open => Admission::Refused { until: self.until },
            BreakerState::ForcedOpen => Admission::Refused { until: NEVER },
            BreakerState::HalfOpen if !self.has_room() => Admission::Refused { until: self.probes_until() },
            BreakerState::HalfOpen => {
                self.probing += 1;
                Admission::Admitted(self.generation)
            }
            _ => Admission::Admitted(self.generation),
        }
    }

    /// How many probes decide.
    fn needed(&self) -> u32 {
        self.settings.successes.unwrap_or(self.settings.judged)
    }

    /// Whether one more probe may be under way. More than are needed to decide would be a burden for nothing.
    fn has_room(&self) -> bool {
        let begun = self.probing.saturating_add(self.probed.calls);
        self.probing < self.settings.permitted && begun < self.needed()
    }

    /// Whether a probe may be made now.
    pub(crate) fn wants_probes(&self) -> bool {
        self.state == BreakerState::HalfOpen && self.has_room()
    }

    /// When the probes will have taken too long.
    fn probes_until(&self) -> u64 {
        self.settings.max_half_open_nanos.map_or(NEVER, |most| self.since.saturating_add(most))
    }

    /// A call of that generation has ended; without counts it says nothing.
    #[inline(always)] // for the ledger's sake
    pub(crate) fn record(&mut self, generation: u64, call: Option<Counts>, now: u64) -> Option<Due> {
        if generation != self.generation {
            return None;
        }
        match self.state {
            BreakerState::Closed => self.ledger.add(call?, now).map(Due::Open),
            BreakerState::MetricsOnly => {
                self.ledger.add(call?, now);
                None
            }
            BreakerState::HalfOpen => {
                self.probing = self.probing.saturating_sub(1);
                self.probed += call?;
                self.verdict()
            }
            _ => None,
        }
    }

    /// What the probes say, once there are enough.
    fn verdict(&self) -> Option<Due> {
        let probed = self.probed;
        if self.settings.successes.is_some() && (probed.failed > 0 || probed.slow > 0) {
            return Some(Due::Open(Cause::Probes(probed)));
        }
        if probed.calls < self.needed() {
            return None;
        }
        let bad = self.settings.thresholds.exceeded_by(probed);
        Some(bad.map_or(Due::Close(Cause::Probes(probed)), Due::Open))
    }

    /// Does what a call's end has made necessary.
    pub(crate) fn turn(&mut self, due: Due, now: u64) -> Change {
        match due {
            Due::Open(cause) => self.enter(BreakerState::Open, cause, now),
            Due::Close(cause) => self.enter(BreakerState::Closed, cause, now),
        }
    }

    /// Somebody asks for this state. Nothing changes if it is in it; to be closed once more makes it forget.
    pub(crate) fn ask(&mut self, to: BreakerState, now: u64) -> Option<Change> {
        if to != self.state {
            return Some(self.enter(to, Cause::Asked, now));
        }
        if to.admits_all() {
            self.begin(to, now);
        }
        None
    }

    /// It goes by these settings from now on, and stays in its state: what is open stays open, for as long as it would
    /// have if it had opened under them. Only probes may be enough by them to decide.
    pub(crate) fn change(&mut self, settings: Settings, now: u64) -> Option<Change> {
        if settings == self.settings {
            return None;
        }
        self.ledger.change(&settings);
        self.settings = settings;
        match self.state {
            BreakerState::Open => self.until = self.since.saturating_add(self.settings.wait(self.streak)),
            BreakerState::HalfOpen => return self.verdict().map(|due| self.turn(due, now)),
            _ => {}
        }
        None
    }

    fn enter(&mut self, to: BreakerState, cause: Cause, now: u64) -> Change {
        let from = self.state;
        self.begin(to, now);
        Change { from, to, cause, at: now }
    }

    fn begin(&mut self, to: BreakerState, now: u64) {
        self.generation += 1;
        (self.state, self.since, self.until) = (to, now, NEVER);
        match to {
            BreakerState::Open => {
                self.streak = self.streak.saturating_add(1);
                self.opened += 1;
                self.until = now.saturating_add(self.settings.wait(self.streak));
            }
            BreakerState::HalfOpen => (self.probing, self.probed) = (0, Counts::default()),
            BreakerState::ForcedOpen => self.opened += 1,
            BreakerState::Closed | BreakerState::Disabled | BreakerState::MetricsOnly => {
                self.streak = 0;
                self.ledger.clear();
            }
        }
    }

    pub(crate) fn state(&self) -> BreakerState {
        self.state
    }

    pub(crate) fn generation(&self) -> u64 {
        self.generation
    }

    pub(crate) fn since(&self) -> u64 {
        self.since
    }

    /// From when on a call may be let through, where it is known that none is now.
    pub(crate) fn until(&self) -> u64 {
        if self.state == BreakerState::HalfOpen { self.probes_until() } else { self.until }
    }

    pub(crate) fn opened(&self) -> u64 {
        self.opened
    }

    /// How many probes are under way.
    pub(crate) fn probing(&self) -> u32 {
        if self.state == BreakerState::HalfOpen { self.probing } else { 0 }
    }

    pub(crate) fn ledger(&mut self) -> &mut Ledger {
        &mut self.ledger
    }

    /// So many calls of this generation have ended, good and quick, while [`good_until`](Self::good_until) held.
    pub(crate) fn record_good(&mut self, calls: u32) {
        self.ledger.add_good(calls);
    }

    /// Until when a call of this generation that goes well and is quick has no consequence but to be counted, if at all.
    #[inline]
    pub(crate) fn good_until(&self) -> Option<u64> {
        let counts_all = matches!(self.state, BreakerState::Closed | BreakerState::MetricsOnly);
        if counts_all { self.ledger.good_until() } else { None }
    }

    /// Whether a call that goes well has to be recorded.
    #[inline]
    pub(crate) fn wants_successes(&self) -> bool {
        match self.state {
            BreakerState::Closed | BreakerState::MetricsOnly => self.ledger.wants_successes(),
            BreakerState::HalfOpen => true,
            _ => false,
        }
    }
}

#[cfg(all(test, not(underpin_loom)))]
mod tests;
