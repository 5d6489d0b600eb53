//! What one look leads to: the mode, the alerts, and what is to be told of them.

use std::time::{Duration, Instant};

use super::alerts::Alerts;
use super::mode::{Mode, ModeMachine};
use super::news::{HealthChange, News, Outbox};
use super::settings::AlertSettings;
use super::verdict::{Health, HealthReport};
use crate::telemetry::MetricsSnapshot;

/// For how long after the first look nobody can say how things are without the mode getting worse for it: a program
/// that starts has checks that have not answered and services that are not up yet.
pub(crate) const OPENING: Duration = Duration::from_secs(30);

/// Mode, alerts, and what is to be told of them. It outlives the lives of the service that looks.
#[derive(Debug)]
pub(crate) struct Outlook {
    pub(crate) mode: ModeMachine,
    pub(crate) alerts: Alerts,
    pub(crate) outbox: Outbox,
    /// The number of the settings of alerts that were said last, where somebody says them.
    pub(crate) rules: u64,
    last: Option<HealthReport>,
    opening: Opening,
    /// When was looked last, or was to be first.
    looked: Option<Instant>,
}

#[derive(Debug)]
enum Opening {
    Before,
    Since(Instant),
    Over,
}

impl Outlook {
    pub(crate) fn new(mode: ModeMachine, alerts: Alerts) -> Self {
        Self {
            mode,
            alerts,
            outbox: Outbox::default(),
            rules: 0,
            last: None,
            opening: Opening::Before,
            looked: None,
        }
    }

    /// Somebody is about to look. Where nobody ever did, it is since then that he has not.
    pub(crate) fn begin(&mut self, now: Instant) {
        self.looked.get_or_insert(now);
    }

    /// When which alert is raised from now on.
    pub(crate) fn set_alerts(&mut self, now: Instant, settings: &AlertSettings) {
        let cleared = self.alerts.set(now, settings);
        cleared.into_iter().for_each(|event| self.outbox.add(News::Alert(event)));
    }

    /// The health is this now. Returns the mode that follows.
    pub(crate) fn look(&mut self, now: Instant, report: HealthReport) -> Mode {
        self.looked = Some(now);
        if self.is_open(now, report.health)
            && let Some(change) = self.mode.step(now, report.health)
        {
            self.outbox.add(News::Mode(change));
        }
        let from = self.last.as_ref().map_or(Health::Unknown, |last| last.health);
        if self.last.as_ref().is_none_or(|last| last.differs(&report)) {
            self.outbox.add(News::Health(HealthChange { from, to: report.clone() }));
            self.last = Some(report);
        }
        self.mode.mode()
    }

    /// The metrics are these now; `None`: they could not be had.
    pub(crate) fn measure(&mut self, now: Instant, snapshot: Option<MetricsSnapshot>) {
        let Some(snapshot) = snapshot else { return self.alerts.interrupt() };
        let events = self.alerts.step(now, &snapshot);
        events.into_iter().for_each(|event| self.outbox.add(News::Alert(event)));
    }

    fn is_open(&mut self, now: Instant, health: Health) -> bool {
        let since = match self.opening {
            Opening::Over => return true,
            Opening::Since(since) => since,
            Opening::Before => now,
        };
        let is_over = health != Health::Unknown || now.saturating_duration_since(since) >= OPENING;
        self.opening = if is_over { Opening::Over } else { Opening::Since(since) };
        is_over
    }

    /// When something changes if all stays as it is.
    pub(crate) fn next_deadline(&self) -> Option<Instant> {
        self.mode.next_deadline().into_iter().chain(self.alerts.next_deadline()).min()
    }

    pub(crate) fn looked(&self) -> Option<Instant> {
        self.looked
    }
}

#[cfg(all(test, not(underpin_loom)))]
mod tests {
    use super::*;
    use crate::health::mode::ModeSettings;
    use crate::health::verdict::Reason;
    use crate::sync::Clock;

    const SECOND: Duration = Duration::from_secs(1);

    fn outlook() -> Outlook {
        Outlook::new(ModeMachine::new(ModeSettings::default()), Alerts::default())
    }

    fn report(at: Instant, verdict: Health) -> HealthReport {
        HealthReport::of(at, [Reason { check: "a".into(), verdict, why: String::new(), since: at }])
    }

    /// What is to be told, and is then.
    fn told(outlook: &mut Outlook) -> Vec<String> {
        let mut told = Vec::new();
        while let Some((number, news)) = outlook.outbox.first() {
            outlook.outbox.told(number);
            told.push(match news {
                News::Mode(change) => format!("{} -> {}", change.from, change.to),
                News::Health(change) => format!("{}: {}", change.from, change.to.health),
                News::Alert(event) => event.alert,
            });
        }
        told
    }

    #[test]
    fn a_program_that_starts_has_its_time_to_be_known() {
        let (now, mut outlook) = (Clock::system().now(), outlook());
        assert_eq!(outlook.look(now, report(now, Health::Unknown)), Mode::Full);
        assert_eq!(outlook.look(now + OPENING - SECOND, report(now, Health::Unknown)), Mode::Full);
        assert_eq!(outlook.look(now + OPENING, report(now, Health::Unknown)), Mode::ReadOnly);
        assert_eq!(told(&mut outlook), ["unknown: unknown", "full -> read_only"]);
    }

    #[test]
    fn once_it_was_known_not_to_know_is_bad() {
        let (now, mut outlook) = (Clock::system().now(), outlook());
        outlook.look(now, report(now, Health::Healthy));
        outlook.look(now, report(now, Health::Unknown));
        assert_eq!(told(&mut outlook), ["unknown: healthy", "full -> read_only", "healthy: unknown"]);
        assert_eq!(outlook.looked(), Some(now));
    }

    #[test]
    fn a_failure_at_the_start_is_one_at_once() {
        let (now, mut outlook) = (Clock::system().now(), outlook());
        assert_eq!(outlook.look(now, report(now, Health::Unhealthy)), Mode::Emergency);
    }

    #[test]
    fn what_stays_as_it_is_is_not_told_again() {
        let (now, mut outlook) = (Clock::system().now(), outlook());
        outlook.look(now, report(now, Health::Degraded));
        told(&mut outlook);
        outlook.look(now + SECOND, report(now + SECOND, Health::Degraded));
        assert_eq!(told(&mut outlook), Vec::<String>::new());
    }
}
