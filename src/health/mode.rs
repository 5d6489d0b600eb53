//! How much the program does, as its health allows it.

use std::fmt;
use std::time::{Duration, Instant};

use super::verdict::Health;

/// How much the program does. Each [`Health`] calls for one of them, in the same order: services look at the mode
/// and leave off what it does not allow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
#[repr(u8)]
pub enum Mode {
    /// Everything. Called for by [`Health::Healthy`].
    #[default]
    Full = 0,
    /// What can be put off or left out is. Called for by [`Health::Degraded`].
    Reduced = 1,
    /// Nothing is changed any more: what nobody can say the state of is not written to. Called for by
    /// [`Health::Unknown`].
    ReadOnly = 2,
    /// What has to be done to come back, and no more. Called for by [`Health::Unhealthy`].
    Emergency = 3,
}

impl Mode {
    /// All of them, the best first.
    pub const ALL: [Self; 4] = [Self::Full, Self::Reduced, Self::ReadOnly, Self::Emergency];

    /// The one that a health calls for.
    pub const fn of(health: Health) -> Self {
        match health {
            Health::Healthy => Self::Full,
            Health::Degraded => Self::Reduced,
            Health::Unknown => Self::ReadOnly,
            Health::Unhealthy => Self::Emergency,
        }
    }

    /// In lower-case words, as logs have it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::Reduced => "reduced",
            Self::ReadOnly => "read_only",
            Self::Emergency => "emergency",
        }
    }

    pub(crate) fn from_u8(mode: u8) -> Self {
        Self::ALL.get(usize::from(mode)).copied().unwrap_or(Self::Emergency)
    }

    fn one_better(self) -> Self {
        Self::from_u8((self as u8).saturating_sub(1))
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// How soon the mode follows the health.
///
/// For 30 s after the first look, or until the health was known once, [`Health::Unknown`] does not count: a program that
/// starts has checks that have not answered yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ModeSettings {
    /// For how long the health has to call for a mode that is worse, or for a still worse one, before that is taken.
    /// Zero: at once, and so it is if nothing is said.
    pub worsen_after: Duration,
    /// For how long the health has to be better than the mode calls for, without interruption, before the next better
    /// mode is taken; for the one after that, as long again. 30 s if nothing is said: a failure that comes back within
    /// seconds is still the same one.
    pub improve_after: Duration,
}

impl Default for ModeSettings {
    fn default() -> Self {
        Self { worsen_after: Duration::ZERO, improve_after: Duration::from_secs(30) }
    }
}

/// One mode gave way to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ModeChange {
    /// The mode before.
    pub from: Mode,
    /// The mode now. When it gets better it is the next one; when it gets worse it may be any.
    pub to: Mode,
    /// The health that it follows.
    pub health: Health,
    /// When.
    pub at: Instant,
}

/// Follows the health with the mode: down soon, up late and step by step.
#[derive(Clone, Debug)]
pub(crate) struct ModeMachine {
    settings: ModeSettings,
    mode: Mode,
    /// For each mode: since when the health has been calling for it or for a worse one. The first is never looked at.
    called_for: [Option<Instant>; 4],
    /// Since when it has been better than the mode calls for, or since the last step up.
    better: Option<Instant>,
}

impl ModeMachine {
    /// One that begins in full.
    pub(crate) fn new(settings: ModeSettings) -> Self {
        Self { settings, mode: Mode::Full, called_for: [None; 4], better: None }
    }

    pub(crate) fn mode(&self) -> Mode {
        self.mode
    }

    /// Other settings from now on; what has lasted so far counts.
    pub(crate) fn set(&mut self, settings: ModeSettings) {
        self.settings = settings;
    }

    /// The health is this now. At most one change at a time; a clock that has jumped over several steps up makes one
    /// of them.
    pub(crate) fn step(&mut self, now: Instant, health: Health) -> Option<ModeChange> {
        let target = Mode::of(health);
        self.note(now, target);
        let to = self.worse(now).or_else(|| self.improved(now))?;
        let from = std::mem::replace(&mut self.mode, to);
        self.better = (target < to).then_some(now);
        Some(ModeChange { from, to, health, at: now })
    }

    fn note(&mut self, now: Instant, target: Mode) {
        for mode in Mode::ALL {
            let since = &mut self.called_for[mode as usize];
            *since = if target >= mode { since.or(Some(now)) } else { None };
        }
        self.better = if target < self.mode { self.better.or(Some(now)) } else { None };
    }

    /// The worst that has been called for long enough.
    fn worse(&self, now: Instant) -> Option<Mode> {
        let worse = Mode::ALL.into_iter().rev().filter(|mode| *mode > self.mode);
        let is_due = |mode: &Mode| {
            let since = self.called_for[*mode as usize];
            since.is_some_and(|since| passed(since, now) >= self.settings.worsen_after)
        };
        worse.into_iter().find(is_due)
    }

    fn improved(&self, now: Instant) -> Option<Mode> {
        let is_due = passed(self.better?, now) >= self.settings.improve_after;
        is_due.then(|| self.mode.one_better())
    }

    /// When the next change is due if the health stays as it is.
    pub(crate) fn next_deadline(&self) -> Option<Instant> {
        let worse = Mode::ALL.into_iter().filter(|mode| *mode > self.mode);
        let worse =
            worse.filter_map(|mode| self.called_for[mode as usize]?.checked_add(self.settings.worsen_after));
        let better = self.better.and_then(|since| since.checked_add(self.settings.improve_after));
        worse.chain(better).min()
    }
}

fn passed(since: Instant, now: Instant) -> Duration {
    now.saturating_duration_since(since)
}

#[cfg(all(test, not(underpin_loom)))]
mod tests {
    use super::*;
    use crate::health::verdict::tests::any_health;
    use crate::sync::Clock;
    use Health::{Degraded, Healthy, Unhealthy, Unknown};
    use proptest::prelude::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn machine(worsen_after: u32, improve_after: u32) -> ModeMachine {
        let settings =
            ModeSettings { worsen_after: SECOND * worsen_after, improve_after: SECOND * improve_after };
        ModeMachine::new(settings)
    }

    /// The modes after each of these seconds.
    fn modes(machine: &mut ModeMachine, healths: &[Health]) -> Vec<Mode> {
        let start = Clock::system().now();
        let at = |n: usize| start + SECOND * n as u32;
        let mut step = |(n, health): (usize, &Health)| {
            machine.step(at(n), *health);
            machine.mode()
        };
        healths.iter().enumerate().map(&mut step).collect()
    }

    #[test]
    fn it_gets_worse_at_once_and_better_late_and_step_by_step() {
        use Mode::*;
        let told = modes(
            &mut machine(0, 2),
            &[Healthy, Unhealthy, Healthy, Healthy, Healthy, Healthy, Healthy, Healthy, Healthy],
        );
        assert_eq!(told, [Full, Emergency, Emergency, Emergency, ReadOnly, ReadOnly, Reduced, Reduced, Full]);
    }

    #[test]
    fn what_interrupts_begins_the_wait_anew() {
        use Mode::*;
        let told = modes(&mut machine(0, 2), &[Degraded, Healthy, Degraded, Healthy, Healthy, Healthy]);
        assert_eq!(told, [Reduced, Reduced, Reduced, Reduced, Reduced, Full]);
    }

    #[test]
    fn what_is_worse_for_a_moment_only_is_borne_where_it_is_said_so() {
        use Mode::*;
        let told = modes(
            &mut machine(2, 9),
            &[Unhealthy, Healthy, Degraded, Degraded, Unhealthy, Unhealthy, Unhealthy],
        );
        assert_eq!(told, [Full, Full, Full, Full, Reduced, Reduced, Emergency]);
    }

    #[test]
    fn it_says_when_it_will_change() {
        let (start, mut machine) = (Clock::system().now(), machine(1, 30));
        assert_eq!(machine.next_deadline(), None);
        machine.step(start, Unknown);
        assert_eq!(machine.next_deadline(), Some(start + SECOND));
        machine.step(start + SECOND, Healthy);
        assert_eq!((machine.mode(), machine.next_deadline()), (Mode::Full, None));
        machine.step(start + SECOND, Unknown);
        let change = machine.step(start + SECOND * 2, Unknown).expect("a change");
        assert_eq!((change.from, change.to, change.health), (Mode::Full, Mode::ReadOnly, Unknown));
        machine.step(start + SECOND * 3, Healthy);
        assert_eq!(machine.next_deadline(), Some(start + SECOND * 33));
    }

    #[test]
    fn a_time_that_no_clock_reaches_is_never_due() {
        let settings = ModeSettings { worsen_after: Duration::MAX, improve_after: Duration::MAX };
        let (start, mut machine) = (Clock::system().now(), ModeMachine::new(settings));
        assert_eq!(machine.step(start, Unhealthy), None);
        assert_eq!(machine.next_deadline(), None);
    }

    #[test]
    fn a_byte_that_is_no_mode_is_the_worst() {
        assert_eq!(Mode::ALL.map(|mode| Mode::from_u8(mode as u8)), Mode::ALL);
        assert_eq!(Mode::from_u8(4), Mode::Emergency);
    }

    /// The mode after these seconds, from all of them at once, without a memory: second by second it looks back.
    fn oracle(worsen_after: usize, improve_after: usize, healths: &[Health]) -> Vec<Mode> {
        let targets: Vec<_> = healths.iter().map(|health| Mode::of(*health)).collect();
        let (mut mode, mut since_step, mut out) = (Mode::Full, 0, Vec::new());
        for now in 0..targets.len() {
            let window = |len: usize| now.checked_sub(len).map(|from| &targets[from..=now]);
            // The mildest of the last seconds was called for all the time.
            let called = window(worsen_after).and_then(|window| window.iter().min().copied());
            let from = since_step.max(now.saturating_sub(improve_after));
            let was_better =
                now - from >= improve_after && targets[from..=now].iter().all(|target| *target < mode);
            let next = match called {
                Some(called) if called > mode => called,
                _ if was_better => mode.one_better(),
                _ => mode,
            };
            if next != mode {
                (mode, since_step) = (next, now);
            }
            out.push(mode);
        }
        out
    }

    fn sequences(length: usize) -> Vec<Vec<Health>> {
        let longer = |all: Vec<Vec<Health>>| -> Vec<Vec<Health>> {
            all.iter().flat_map(|one| Health::ALL.map(|next| [one.as_slice(), &[next]].concat())).collect()
        };
        (0..length).fold(vec![Vec::new()], |all, _| longer(all))
    }

    #[test]
    fn it_agrees_with_who_looks_back_on_every_short_sequence() {
        for (worsen, improve) in [(0, 1), (1, 0), (1, 2), (2, 1), (0, 3)] {
            for healths in sequences(6) {
                let told = modes(&mut machine(worsen, improve), &healths);
                assert_eq!(
                    told,
                    oracle(worsen as usize, improve as usize, &healths),
                    "{worsen} {improve} {healths:?}"
                );
            }
        }
    }

    proptest! {
        #[test]
        fn it_agrees_with_who_looks_back(
            worsen in 0..4_u32, improve in 0..6_u32, healths in prop::collection::vec(any_health(), 0..60),
        ) {
            let told = modes(&mut machine(worsen, improve), &healths);
            prop_assert_eq!(told, oracle(worsen as usize, improve as usize, &healths));
        }

        /// Whoever looks at its deadline alone misses nothing: before it nothing changes.
        #[test]
        fn nothing_changes_before_its_deadline(
            worsen in 0..4_u32, improve in 0..6_u32, healths in prop::collection::vec(any_health(), 1..30), early in 1..1000_u32,
        ) {
            let (start, mut machine) = (Clock::system().now(), machine(worsen, improve));
            for (n, health) in healths.iter().enumerate() {
                let now = start + SECOND * n as u32;
                machine.step(now, *health);
                if let Some(due) = machine.next_deadline().filter(|due| *due > now) {
                    let before = due - Duration::from_millis(early.into()).min((due - now) / 2);
                    prop_assert_eq!(machine.clone().step(before - Duration::from_nanos(1), *health), None);
                    prop_assert!(machine.clone().step(due, *health).is_some());
                }
            }
        }
    }
}
