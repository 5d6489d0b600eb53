//! What the tests of health share: a clock that is moved until something is so, checks that do as they are told.
#![allow(dead_code)] // each test crate uses a part of it

use std::sync::{Arc, Mutex};
use std::time::Duration;

use underpin::health::{AlertEvent, Check, Health, HealthChange, HealthMonitor, ModeChange, Sink, Verdict};
use underpin::testing::{Clock, ManualClock};
use underpin::{Supervisor, SupervisorHandle};

use crate::common::{Log, eventually};

/// Moves the clock, a tenth of a second at a time, until it is so. A hundred times as fast as real time and no faster: those who
/// look have to keep up, or what they find is old.
#[track_caller]
pub(crate) fn in_time(hand: &ManualClock, what: &str, mut is_so: impl FnMut() -> bool) {
    eventually(what, || {
        let so = is_so();
        if !so {
            hand.advance(Duration::from_millis(100));
            Log::<()>::new().comes_within(Duration::from_millis(1), |()| true);
        }
        so
    });
}

/// A tree of a monitor alone, by a clock that is moved by hand.
#[track_caller]
pub(crate) fn started(health: &HealthMonitor) -> (SupervisorHandle, ManualClock) {
    let (clock, hand) = Clock::manual();
    let app = Supervisor::new("app").clock(clock).supervisor(health.supervisor());
    (app.start().expect("it starts"), hand)
}

/// A check that says what it is told to say.
#[derive(Clone)]
pub(crate) struct Told(Arc<Mutex<Verdict>>);

impl Told {
    pub(crate) fn new(verdict: Verdict) -> Self {
        Self(Arc::new(Mutex::new(verdict)))
    }

    pub(crate) fn say(&self, verdict: Verdict) {
        *self.0.lock().expect("no panic") = verdict;
    }

    /// One that runs each second.
    pub(crate) fn check(&self, name: &str) -> Check {
        let told = Arc::clone(&self.0);
        Check::new(name, move || told.lock().expect("no panic").clone()).every(Duration::from_secs(1))
    }
}

/// Waits, without moving the clock, until the health is this.
#[track_caller]
pub(crate) fn becomes(health: &HealthMonitor, wanted: Health) {
    eventually(wanted.as_str(), || health.health().health == wanted);
}

/// The reasons as `check health: why`.
pub(crate) fn reasons(health: &HealthMonitor) -> Vec<String> {
    health.health().reasons.iter().map(ToString::to_string).collect()
}

/// Notes all that it hears.
#[derive(Clone)]
pub(crate) struct Noting {
    pub(crate) modes: Log<ModeChange>,
    pub(crate) healths: Log<HealthChange>,
    pub(crate) alerts: Log<AlertEvent>,
}

impl Noting {
    pub(crate) fn of(health: &HealthMonitor) -> Self {
        let noting = Self { modes: Log::new(), healths: Log::new(), alerts: Log::new() };
        health.add_sink(Arc::new(noting.clone()));
        noting
    }
}

impl Sink for Noting {
    fn alert(&self, event: &AlertEvent) {
        self.alerts.push(event.clone());
    }

    fn mode(&self, change: &ModeChange) {
        self.modes.push(*change);
    }

    fn health(&self, change: &HealthChange) {
        self.healths.push(change.clone());
    }
}
