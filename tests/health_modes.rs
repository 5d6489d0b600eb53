//! Modes: how they follow the health, and who hears of them.
#![cfg(feature = "health")]

mod common;
mod health_common;

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use common::{Latch, Log, SECOND, eventually, panic_quietly};
use health_common::{Noting, Told, in_time, started};
use underpin::health::{
    AlertEvent, Health, HealthChange, HealthMonitor, Mode, ModeChange, ModeSettings, Sink, Verdict,
};
use underpin::testing::Simulation;
use underpin::{Context, Next, Service, Supervisor, child};

fn told() -> (Told, HealthMonitor) {
    let told = Told::new(Verdict::healthy());
    let health = HealthMonitor::builder().check(told.check("a")).build();
    (told, health)
}

#[test]
fn the_mode_falls_at_once_and_rises_late_and_step_by_step() {
    let (told, health) = told();
    let (noting, reader, sim) = (Noting::of(&health), health.mode_reader(), Simulation::new(1));
    let _app = sim.start(health.supervisor()).expect("it starts");
    sim.advance(SECOND * 2);
    assert_eq!((health.health().health, reader.get()), (Health::Healthy, Mode::Full));
    told.say(Verdict::unhealthy("down"));
    sim.advance(SECOND * 2);
    assert_eq!(reader.get(), Mode::Emergency);
    told.say(Verdict::healthy());
    sim.advance(SECOND * 120);
    assert_eq!((reader.get(), health.mode()), (Mode::Full, Mode::Full));
    let all = noting.modes.all();
    let steps: Vec<_> = all.iter().map(|change| (change.from, change.to)).collect();
    use Mode::*;
    assert_eq!(steps, [(Full, Emergency), (Emergency, ReadOnly), (ReadOnly, Reduced), (Reduced, Full)]);
    let pauses: Vec<_> = all.windows(2).map(|pair| pair[1].at - pair[0].at).collect();
    assert!(pauses.iter().all(|pause| *pause >= SECOND * 30), "{pauses:?}");
}

#[test]
fn how_soon_it_follows_can_be_said_while_it_runs() {
    let told = Told::new(Verdict::unhealthy("down"));
    let settings = ModeSettings { worsen_after: SECOND * 1000, improve_after: SECOND };
    let health = HealthMonitor::builder().check(told.check("a")).mode(settings).build();
    let noting = Noting::of(&health);
    let (_app, hand) = started(&health);
    noting.healths.wait(|change| change.to.health == Health::Unhealthy);
    assert_eq!(health.mode(), Mode::Full);
    health.set_mode(ModeSettings { worsen_after: Duration::ZERO, improve_after: SECOND });
    eventually("emergency, though no time passes", || health.mode() == Mode::Emergency);
    told.say(Verdict::healthy());
    in_time(&hand, "full", || health.mode() == Mode::Full);
}

/// A service that is told of modes.
struct Worker(Log<Mode>);

impl Service for Worker {
    type Msg = Mode;
    type Error = Infallible;

    fn handle(&mut self, mode: Mode, _: &mut Context<Self>) -> Result<Next, Infallible> {
        self.0.push(mode);
        Ok(Next::Continue)
    }
}

#[test]
fn a_service_can_be_told_of_modes() {
    let ((told, health), modes) = (told(), Log::new());
    told.say(Verdict::degraded("slow"));
    let noted = modes.clone();
    let worker = child("worker", move || Worker(noted.clone()));
    let handle = worker.handle();
    health.on_mode(move |change| drop(handle.cast(change.to)));
    let _worker = Supervisor::new("work").child(worker).start().expect("it starts");
    let (_app, _hand) = started(&health);
    assert_eq!(modes.wait(|_| true), Mode::Reduced);
}

struct Panicking;

impl Sink for Panicking {
    fn alert(&self, _: &AlertEvent) {
        panic_quietly("in the sink");
    }

    fn mode(&self, _: &ModeChange) {
        panic_quietly("in the sink");
    }

    fn health(&self, _: &HealthChange) {
        panic_quietly("in the sink");
    }
}

#[test]
fn a_panic_of_who_is_told_is_contained() {
    let ((told, health), modes) = (told(), Log::new());
    health.add_sink(Arc::new(Panicking));
    health.on_mode(|_| panic_quietly("in the listener"));
    let noted = modes.clone();
    health.on_mode(move |change| noted.push(change.to));
    let (app, hand) = started(&health);
    told.say(Verdict::unhealthy("down"));
    in_time(&hand, "it is told", || modes.count(|mode| *mode == Mode::Emergency) == 1);
    let tree = app.inspect().expect("it is up");
    assert_eq!(tree.find("app/health/monitor").map(|service| service.epoch), Some(1));
}

/// Hangs over the first change of the mode until the latch opens.
struct Hanging {
    inside: Latch,
    release: Latch,
    modes: Log<Mode>,
}

impl Sink for Hanging {
    fn alert(&self, _: &AlertEvent) {}

    fn mode(&self, change: &ModeChange) {
        self.modes.push(change.to);
        if self.modes.all().len() == 1 {
            self.inside.open();
            self.release.wait();
        }
    }

    fn health(&self, _: &HealthChange) {}
}

#[test]
fn what_a_life_was_telling_when_it_was_given_up_is_told_by_the_next() {
    let (told, health) = told();
    told.say(Verdict::degraded("slow"));
    let (inside, release, modes) = (Latch::new(), Latch::new(), Log::new());
    health.add_sink(Arc::new(Hanging {
        inside: inside.clone(),
        release: release.clone(),
        modes: modes.clone(),
    }));
    let services = health.supervisor();
    let reference = services.reference();
    let _app = Supervisor::new("app").supervisor(services).start().expect("it starts");
    inside.wait();
    assert_eq!(health.health().health, Health::Degraded, "who looks is not held up");
    reference.recycle_child("monitor").expect("another life begins");
    modes.wait_count(2, |mode| *mode == Mode::Reduced);
    told.say(Verdict::unhealthy("down"));
    modes.wait(|mode| *mode == Mode::Emergency);
    release.open();
    assert_eq!(modes.all(), [Mode::Reduced, Mode::Reduced, Mode::Emergency]);
    assert_eq!(health.mode(), Mode::Emergency);
}

#[test]
fn a_service_that_does_not_look_is_seen() {
    let (told, health) = told();
    told.say(Verdict::degraded("slow"));
    let (inside, release) = (Latch::new(), Latch::new());
    health.add_sink(Arc::new(Hanging {
        inside: inside.clone(),
        release: release.clone(),
        modes: Log::new(),
    }));
    let (_app, hand) = started(&health);
    inside.wait();
    told.say(Verdict::healthy());
    in_time(&hand, "it is silent", || {
        let report = health.health();
        report
            .reasons
            .iter()
            .any(|reason| reason.check == "health" && reason.why.contains("not been looked at"))
    });
    assert_eq!(health.readiness().health, Health::Healthy, "that holds up modes and alerts alone");
    release.open();
    in_time(&hand, "it looks again", || health.health().health == Health::Healthy);
}

#[test]
fn a_change_of_the_health_is_told_with_its_reasons() {
    let (told, health) = told();
    let noting = Noting::of(&health);
    let (_app, hand) = started(&health);
    noting.healths.wait(|change| change.to.health == Health::Healthy);
    told.say(Verdict::degraded("slow"));
    in_time(&hand, "it is told", || noting.healths.count(|change| change.from == Health::Healthy) == 1);
    let change = noting.healths.wait(|change| change.from == Health::Healthy);
    assert_eq!(change.to.to_string(), "degraded: a is degraded: slow");
    told.say(Verdict::degraded("slower"));
    in_time(&hand, "it is heard", || health.health().to_string() == "degraded: a is degraded: slower");
    told.say(Verdict::healthy());
    in_time(&hand, "it is told", || noting.healths.count(|change| change.from == Health::Degraded) == 1);
    assert_eq!(noting.healths.count(|change| change.to.health == Health::Degraded), 1, "a text is no change");
}
