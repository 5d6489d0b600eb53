//! Alerts of a monitor that runs: from the metrics to the sink.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use super::alerts::tests::{counter, snapshot};
use super::{
    AlertEvent, AlertSettings, Change, CrashRule, HealthBuilder, HealthChange, HealthMonitor, Level,
    ModeChange, Sink, names,
};
use crate::supervisor::owner::SupervisorHandle;
use crate::supervisor::reference::SupervisorRef;
use crate::supervisor::supervisor::Supervisor;
use crate::sync::{Clock, ManualClock};

const SECOND: Duration = Duration::from_secs(1);
/// Longer than anything that works takes.
const LONG: Duration = Duration::from_secs(15);

struct Telling(Sender<AlertEvent>);

impl Sink for Telling {
    fn alert(&self, event: &AlertEvent) {
        drop(self.0.send(event.clone()));
    }

    fn mode(&self, _: &ModeChange) {}

    fn health(&self, _: &HealthChange) {}
}

/// A monitor that runs, and restarts that are counted.
struct World {
    health: HealthMonitor,
    told: Receiver<AlertEvent>,
    restarts: Arc<AtomicU64>,
    looks: Arc<AtomicU64>,
    panics: Arc<AtomicBool>,
    hand: ManualClock,
    services: SupervisorRef,
    _app: SupervisorHandle,
}

impl World {
    fn new(builder: HealthBuilder) -> Self {
        let (restarts, looks, panics) =
            (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
        let (of, counted, fails) = (Arc::clone(&restarts), Arc::clone(&looks), Arc::clone(&panics));
        let health = builder.source(move || {
            counted.fetch_add(1, Ordering::SeqCst);
            if fails.load(Ordering::SeqCst) {
                std::panic::resume_unwind(Box::new("no metrics"));
            }
            snapshot(|sheet| {
                counter(sheet, names::RESTARTS, &[("service", "app/a")], of.load(Ordering::SeqCst))
            })
        });
        let health = health.build();
        let (tell, told) = channel();
        health.add_sink(Arc::new(Telling(tell)));
        let (clock, hand) = Clock::manual();
        let services = health.supervisor();
        let reference = services.reference();
        let app = Supervisor::new("app").clock(clock).supervisor(services).start().expect("it starts");
        let world = Self { health, told, restarts, looks, panics, hand, services: reference, _app: app };
        world.look();
        world
    }

    /// Moves the clock until it is so.
    #[track_caller]
    fn until<T>(&self, is_so: impl Fn() -> Option<T>) -> T {
        let late = Clock::system().now() + LONG;
        loop {
            if let Some(found) = is_so() {
                return found;
            }
            assert!(Clock::system().now() < late, "it never came true");
            self.hand.advance(Duration::from_millis(100));
            std::thread::park_timeout(Duration::from_millis(1)); // those who look have to keep up
        }
    }

    /// Until it has looked, from the beginning to the end of a look.
    #[track_caller]
    fn look(&self) {
        let before = self.looks.load(Ordering::SeqCst);
        self.until(|| (self.looks.load(Ordering::SeqCst) >= before + 2).then_some(()));
    }

    #[track_caller]
    fn next(&self) -> AlertEvent {
        self.until(|| self.told.try_recv().ok())
    }

    fn crash(&self, times: u64) {
        self.restarts.fetch_add(times, Ordering::SeqCst);
    }
}

fn within(seconds: u64) -> AlertSettings {
    let crashes = CrashRule { within_seconds: seconds, level: Level::new(2.0, 1.0) };
    AlertSettings { crashes, ..AlertSettings::default() }
}

fn short(event: &AlertEvent) -> (&str, Change, u64, &str) {
    (&event.alert, event.change, event.number, &event.detail)
}

#[test]
fn a_crash_alert_is_raised_and_cleared_and_both_are_told() {
    let world = World::new(HealthMonitor::builder().alerts(within(10)));
    world.crash(1);
    world.look();
    assert_eq!(world.health.raised_alerts(), Vec::<String>::new());
    world.crash(2); // the first may have been too long ago by now
    let raised = world.next();
    assert_eq!(short(&raised), ("crashes", Change::Raised, 1, "app/a"));
    assert!(matches!(raised.value, Some(2.0 | 3.0)), "{raised:?}");
    let cleared = world.next();
    assert_eq!((short(&cleared), cleared.value), (("crashes", Change::Cleared, 2, ""), Some(0.0)));
    assert!(cleared.at - raised.at >= SECOND * 9, "{:?}", cleared.at - raised.at);
    assert_eq!(world.health.raised_alerts(), Vec::<String>::new());
}

#[test]
fn settings_can_be_others_while_it_runs_and_wrong_ones_change_nothing() {
    let world = World::new(HealthMonitor::builder().alerts(within(1000)));
    world.crash(2);
    assert_eq!(short(&world.next()), ("crashes", Change::Raised, 1, "app/a"));
    let mut wrong = within(1000);
    wrong.crashes.level.enabled = false;
    wrong.series.clear = 2.0;
    let error = world.health.set_alerts(&wrong).expect_err("they are wrong").to_string();
    assert_eq!(error, "series.clear: expected less than `raise` (0.9), found 2");
    assert_eq!(world.health.raised_alerts(), ["crashes"]);
    wrong.series.clear = 0.5;
    world.health.set_alerts(&wrong).expect("they are right now");
    // Nobody has to move the clock for that.
    let cleared = world.told.recv_timeout(LONG).expect("it is cleared");
    assert_eq!((short(&cleared), cleared.value), (("crashes", Change::Cleared, 2, ""), None));
}

#[test]
fn a_source_that_panics_changes_nothing() {
    let world = World::new(HealthMonitor::builder().alerts(within(2)));
    world.crash(2);
    assert_eq!(world.next().change, Change::Raised);
    world.panics.store(true, Ordering::SeqCst);
    (0..5).for_each(|_| world.look());
    assert_eq!(world.health.raised_alerts(), ["crashes"]);
    world.panics.store(false, Ordering::SeqCst);
    assert_eq!(world.next().change, Change::Cleared);
}

#[test]
fn whichever_life_looks_no_raise_and_no_clear_is_lost() {
    let world = World::new(HealthMonitor::builder().alerts(within(1)));
    for n in 0..20_u64 {
        world.crash(2);
        world.services.recycle_child("monitor").expect("another life begins");
        let raised = world.next();
        world.services.recycle_child("monitor").expect("another life begins");
        let cleared = world.next();
        assert_eq!((raised.change, raised.number), (Change::Raised, 2 * n + 1));
        assert_eq!((cleared.change, cleared.number), (Change::Cleared, 2 * n + 2));
    }
    let rest = world.told.try_iter().count();
    assert_eq!(rest, 0);
}

#[test]
fn a_life_that_was_given_up_sets_no_alerts() {
    let health = HealthMonitor::builder().tick(Duration::from_millis(10)).alerts(within(1000)).build();
    let ((held, is_held), (release, released)) = (channel::<()>(), channel::<()>());
    let ((set, is_set), released) = (channel::<()>(), std::sync::Mutex::new(released));
    let asked = AtomicU64::new(0);
    health.follow_alerts(move |standing| match asked.fetch_add(1, Ordering::SeqCst) {
        0 => {
            let mut old = within(1000);
            old.crashes.level.enabled = false;
            let _ = held.send(());
            let _ = released.lock().expect("nobody panics").recv();
            Some((1, old))
        }
        _ if standing < 2 => Some((2, within(1000))),
        _ => {
            let _ = set.send(());
            None
        }
    });
    let services = health.supervisor();
    let reference = services.reference();
    let _app = Supervisor::new("app").supervisor(services).start().expect("it starts");
    is_held.recv().expect("it asks");
    reference.recycle_child("monitor").expect("another life begins");
    is_set.recv().expect("it has set them, and asks again");
    drop(release);
    // The old life comes back now, at some time. What it says is of no account.
    let old = || health.view_for_test().board.see(|outlook| outlook.rules);
    (0..50).for_each(|_| {
        is_set.recv().expect("it asks again");
        assert_eq!(old(), 2);
    });
}

#[test]
fn a_service_that_never_looked_is_seen() {
    let ((held, is_held), (release, released)) = (channel::<()>(), channel::<()>());
    let released = std::sync::Mutex::new(released);
    let source = move || {
        let _ = held.send(());
        let _ = released.lock().expect("nobody panics").recv();
        snapshot(|_| ())
    };
    let health = HealthMonitor::builder().source(source).build();
    let (clock, hand) = Clock::manual();
    let app = Supervisor::new("app").clock(clock).supervisor(health.supervisor()).start().expect("it starts");
    is_held.recv().expect("it asks");
    hand.advance(SECOND * 600);
    let report = health.health().to_string();
    drop((release, app));
    assert!(report.contains("have not been looked at for"), "{report}");
}
