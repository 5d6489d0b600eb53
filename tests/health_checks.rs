//! Checks: what they say, when nobody can say, and that nobody waits for them.
#![cfg(feature = "health")]

mod common;
mod health_common;

use std::time::{Duration, Instant};

use common::{
    Events, Journal, LONG, Latch, Log, SECOND, aside, boom, bot, eventually, hang, panic_quietly, patient,
    quit,
};
use health_common::{Told, becomes, in_time, reasons, started};
use underpin::health::{AlertSettings, Check, CheckNowError, Health, HealthMonitor, Mode, Verdict};
use underpin::{Backoff, Restart, Supervisor};

// ---- before and after --------------------------------------------------------------------

#[test]
fn before_the_start_and_after_the_end_nobody_can_say() {
    let health = HealthMonitor::builder().check(Told::new(Verdict::healthy()).check("a")).build();
    let expected = ["health is unknown: has not been started", "a is unknown: has not answered yet"];
    assert_eq!(reasons(&health), expected);
    assert_eq!((health.readiness().health, health.liveness().health), (Health::Unknown, Health::Unknown));
    assert_eq!(health.mode(), Mode::Full);
    let (app, _hand) = started(&health);
    becomes(&health, Health::Healthy);
    assert!(app.shutdown(LONG).is_clean());
    assert_eq!(reasons(&health), ["health is unknown: has stopped", "a is unknown: has stopped"]);
    assert_eq!((health.readiness().health, health.liveness().health), (Health::Unknown, Health::Unknown));
}

#[test]
fn what_is_wrongly_described_is_refused_at_the_start() {
    let check = || Told::new(Verdict::healthy()).check("a");
    let refused = |health: &HealthMonitor| {
        let error =
            Supervisor::new("app").supervisor(health.supervisor()).start().expect_err("it is refused");
        error.to_string()
    };
    let mut alerts = AlertSettings::default();
    alerts.zombies.clear = 9.0;
    let of = || HealthMonitor::builder();
    for (health, why) in [
        (of().check(check().every(Duration::ZERO)).build(), "check `a`: `every` is 0"),
        (of().check(check().within(Duration::ZERO)).build(), "check `a`: `within` is 0"),
        (of().check(check()).check(check()).build(), "a"),
        (of().tick(Duration::ZERO).build(), "`tick` is 0"),
        (of().alerts(alerts).build(), "alerts: zombies.clear: expected less than `raise` (1), found 9"),
    ] {
        let told = refused(&health);
        assert!(told.contains(why), "{told}");
    }
    let health = of().build();
    let (app, _hand) = started(&health);
    assert!(refused(&health).contains("has its services already"));
    assert!(!health.watch(&app.reference()), "its services were taken");
}

// ---- what they say -----------------------------------------------------------------------

#[test]
fn the_health_is_the_worst_of_all_and_what_is_not_critical_is_degraded_at_most() {
    let (one, other) = (Told::new(Verdict::healthy()), Told::new(Verdict::unhealthy("gone")));
    let health =
        HealthMonitor::builder().check(one.check("one")).check(other.check("other").critical(false)).build();
    let (_app, hand) = started(&health);
    eventually("both have answered", || reasons(&health) == ["other is degraded: gone"]);
    one.say(Verdict::unhealthy("full"));
    in_time(&hand, "unhealthy", || health.health().health == Health::Unhealthy);
    assert_eq!(reasons(&health), ["one is unhealthy: full", "other is degraded: gone"]);
}

#[test]
fn readiness_and_liveness_are_apart() {
    let (ready, live) = (Told::new(Verdict::unhealthy("r")), Told::new(Verdict::degraded("l")));
    let health = HealthMonitor::builder().check(ready.check("r")).check(live.check("l").liveness()).build();
    let (_app, _hand) = started(&health);
    becomes(&health, Health::Unhealthy);
    eventually("l has answered", || health.liveness().health == Health::Degraded);
    assert_eq!(health.readiness().health, Health::Unhealthy);
}

#[test]
fn a_check_that_panics_is_unhealthy_and_runs_again_when_it_is_due() {
    let (runs, events) = (Log::new(), Events::new());
    let noted = runs.clone();
    let check = Check::new("a", move || {
        noted.push(());
        if noted.all().len() == 1 {
            panic_quietly("boom");
        }
        Verdict::healthy()
    });
    let health = HealthMonitor::builder().check(check.every(SECOND)).build();
    let (clock, hand) = underpin::testing::Clock::manual();
    let hook = events.hook();
    let app = Supervisor::new("app").clock(clock).on_event(hook).supervisor(health.supervisor());
    let app = app.start().expect("it starts");
    becomes(&health, Health::Unhealthy);
    assert_eq!(reasons(&health), ["a is unhealthy: panicked: boom"]);
    in_time(&hand, "it has run again", || health.health().health == Health::Healthy);
    let tree = app.inspect().expect("it is up");
    assert_eq!(tree.find("app/health/a").map(|check| (check.epoch, check.restarts)), Some((1, 0)));
}

#[test]
fn a_check_runs_again_so_long_after_it_has_run() {
    let runs = Log::new();
    let (noted, (clock, hand)) = (runs.clone(), underpin::testing::Clock::manual());
    let times = clock.clone();
    let check = Check::new("a", move || {
        noted.push(times.now());
        Verdict::healthy()
    });
    let health = HealthMonitor::builder().check(check.every(SECOND * 10)).build();
    let _app =
        Supervisor::new("app").clock(clock).supervisor(health.supervisor()).start().expect("it starts");
    in_time(&hand, "three runs", || runs.all().len() == 3);
    let runs = runs.all();
    assert!(runs[1] - runs[0] >= SECOND * 10 && runs[2] - runs[1] >= SECOND * 10, "{runs:?}");
}

// ---- who hangs ---------------------------------------------------------------------------

/// A check that hangs in its first run until the latch opens, and is then healthy.
fn hanging() -> (Check, Latch, Latch) {
    let (inside, release) = (Latch::new(), Latch::new());
    let (tell, held) = (inside.clone(), release.clone());
    let check = Check::new("slow", move || {
        tell.open();
        held.wait();
        Verdict::healthy()
    });
    (check.every(SECOND), inside, release)
}

#[test]
fn a_check_that_hangs_is_unknown_at_once_holds_up_nobody_and_counts_when_it_answers() {
    let (check, inside, release) = hanging();
    let other = Told::new(Verdict::healthy());
    let health = HealthMonitor::builder().check(check).check(other.check("other")).build();
    let (_app, hand) = started(&health);
    inside.wait();
    hand.advance(SECOND * 3);
    eventually("the other goes on", || reasons(&health) == ["slow is unknown: has not answered for 3 s"]);
    other.say(Verdict::degraded("busy"));
    let both = |reasons: Vec<String>| reasons.len() == 2 && reasons[1] == "other is degraded: busy";
    in_time(&hand, "the other is heard", || both(reasons(&health)));
    release.open();
    in_time(&hand, "the late answer counts", || reasons(&health) == ["other is degraded: busy"]);
}

#[test]
fn a_check_that_hangs_is_left_behind_at_the_end() {
    let (check, inside, release) = hanging();
    let health = HealthMonitor::builder().check(check).build();
    let app = Supervisor::new("app").supervisor(health.supervisor()).start().expect("it starts");
    inside.wait();
    let begun = Instant::now();
    let report = app.shutdown(LONG);
    let left: Vec<_> =
        report.unstopped.iter().map(|left| format!("{}/{}", left.supervisor, left.child)).collect();
    assert_eq!(left, ["app/health/slow"]);
    assert!(begun.elapsed() < LONG / 3, "{:?}", begun.elapsed());
    release.open();
}

#[test]
fn a_check_can_be_run_now() {
    let told = Told::new(Verdict::healthy());
    let health = HealthMonitor::builder().check(told.check("a").every(SECOND * 1000)).build();
    let (_app, _hand) = started(&health);
    becomes(&health, Health::Healthy);
    told.say(Verdict::degraded("now"));
    assert_eq!(health.check_now("a", LONG), Ok(Verdict::degraded("now")));
    assert_eq!(reasons(&health), ["a is degraded: now"]);
    let unknown = CheckNowError::Unknown { name: "b".into(), known: vec!["a".into()] };
    assert_eq!(health.check_now("b", LONG), Err(unknown));
}

#[test]
fn who_wants_to_know_now_waits_so_long_and_no_longer() {
    let (check, inside, release) = hanging();
    let health = HealthMonitor::builder().check(check).build();
    let (_app, hand) = started(&health);
    inside.wait();
    let asked = aside({
        let health = health.clone();
        move || health.check_now("slow", SECOND)
    });
    in_time(&hand, "the time is over", || asked.is_done());
    assert!(matches!(asked.done(), Err(CheckNowError::Unanswered { .. })));
    release.open();
}

// ---- trees -------------------------------------------------------------------------------

/// A monitor in a tree of its own that watches another.
#[track_caller]
fn watching(
    tree: Supervisor,
) -> (HealthMonitor, underpin::SupervisorHandle, underpin::SupervisorHandle, underpin::testing::ManualClock) {
    let health = HealthMonitor::builder().watch(tree.reference()).build();
    let tree = tree.start().expect("it starts");
    let (app, hand) = started(&health);
    (health, tree, app, hand)
}

#[test]
fn a_dead_pool_is_never_green() {
    let journal = Journal::new();
    let late = || Backoff::exponential(SECOND * 1000, SECOND * 1000);
    let workers = ["a", "b"].map(|name| bot(name, &journal).backoff(late()));
    let handles = [workers[0].handle(), workers[1].handle()];
    let [a, b] = workers;
    let pool = patient("pool").child(a).child(b);
    let (health, _tree, _app, hand) =
        watching(patient("tree").supervisor(pool).child(bot("other", &journal)));
    in_time(&hand, "all are up", || health.health().health == Health::Healthy);
    handles[0].cast(boom()).expect("it takes it");
    let some = "tree-tree is degraded: tree/pool: 1 of 2 workers are up (1 restarting)";
    in_time(&hand, some, || reasons(&health) == [some]);
    handles[1].cast(boom()).expect("it takes it");
    let none = "tree-tree is unhealthy: tree/pool: 0 of 2 workers are up (2 restarting)";
    in_time(&hand, none, || reasons(&health) == [none]);
}

#[test]
fn a_pool_of_temporary_services_says_how_many_there_are_to_be() {
    let journal = Journal::new();
    let workers = ["a", "b"].map(|name| bot(name, &journal).restart(Restart::Temporary));
    let handles = [workers[0].handle(), workers[1].handle()];
    let [a, b] = workers;
    let pool = patient("pool").child(a).child(b);
    let health = HealthMonitor::builder().build();
    assert!(health.watch_pool(&pool.reference(), 2));
    let _pool = pool.start().expect("it starts");
    let (_app, hand) = started(&health);
    in_time(&hand, "all are up", || health.health().health == Health::Healthy);
    handles[0].cast(boom()).expect("it takes it");
    let one = "pool-pool is degraded: pool: 1 workers are up, at least 2 are expected";
    in_time(&hand, one, || reasons(&health) == [one]);
    handles[1].cast(boom()).expect("it takes it");
    in_time(&hand, "none is left", || health.liveness().health == Health::Unhealthy);
}

#[test]
fn a_pool_that_was_terminated_is_unhealthy_and_one_that_is_half_there_degraded() {
    let journal = Journal::new();
    let (a, b) = (bot("a", &journal), bot("b", &journal).restart(Restart::Transient));
    let done = b.handle();
    let pool = Supervisor::new("pool").child(a).child(b);
    let pool_ref = pool.reference();
    let (health, _tree, _app, hand) = watching(patient("tree").supervisor(pool));
    let is = |wanted: &'static str| {
        let (health, hand) = (&health, &hand);
        in_time(hand, wanted, || reasons(health).concat().ends_with(wanted));
    };
    in_time(&hand, "all are up", || health.health().health == Health::Healthy);
    pool_ref.terminate_child("a").expect("it ends");
    is("tree/pool: 1 of 2 workers are up (1 down)");
    assert_eq!(health.liveness().health, Health::Degraded);
    done.cast(quit()).expect("it takes it");
    is("tree/pool: 0 of 1 workers are up (1 down)");
    assert_eq!((health.liveness().health, health.readiness().health), (Health::Unhealthy, Health::Unhealthy));
    pool_ref.restart_child("a").expect("it starts");
    in_time(&hand, "it is up again", || health.health().health == Health::Healthy);
}

#[test]
fn a_tree_that_is_down_is_unhealthy() {
    let (health, tree, _app, hand) = watching(Supervisor::new("tree").child(bot("a", &Journal::new())));
    in_time(&hand, "it is up", || health.health().health == Health::Healthy);
    assert!(tree.shutdown(LONG).is_clean());
    in_time(&hand, "it is down", || health.liveness().health == Health::Unhealthy);
    assert_eq!(reasons(&health), ["tree-tree is unhealthy: supervisor `tree` is down"]);
}

#[test]
fn a_thread_that_was_given_up_is_degraded() {
    let worker = bot("a", &Journal::new()).shutdown(Duration::from_millis(1));
    let handle = worker.handle();
    let (health, tree, _app, hand) = watching(patient("tree").child(worker));
    let (_asked, release) = hang(&handle);
    tree.recycle_child("a").expect("another takes over");
    in_time(&hand, "it is seen", || reasons(&health) == ["tree-tree is degraded: tree: 1 abandoned threads"]);
    release.open();
    in_time(&hand, "it has ended", || health.health().health == Health::Healthy);
}
