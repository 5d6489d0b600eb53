//! What the foundation does for tasks and policies.
#![cfg(all(
    feature = "config",
    feature = "events",
    feature = "foundation",
    feature = "resilience",
    feature = "tasks",
    feature = "telemetry"
))]

use std::sync::mpsc::channel;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use underpin::config::{Config, Layers, Validate};
use underpin::events::{EventStore, Query};
use underpin::resilience::{BreakerSettings, Policy, PolicyError, PolicySettings};
use underpin::tasks::{Overflow, Task, TaskPool};
use underpin::telemetry::Telemetry;
use underpin::{Deadline, ErrorKind, Foundation, TASK_EXPIRED, TASK_PANICKED, TASK_SHEDDING};

#[derive(Clone, Default, Serialize, Deserialize)]
struct Settings {
    failures: u32,
}

impl Validate for Settings {}

fn failures(settings: &Settings) -> PolicySettings {
    let breaker = BreakerSettings { consecutive_failures: Some(settings.failures), ..Default::default() };
    PolicySettings { breaker: Some(breaker), ..Default::default() }
}

fn loaded() -> Config<Settings> {
    Layers::new().defaults(Settings { failures: 2 }).load().expect("they are good")
}

fn fail(policy: &Policy) -> PolicyError<ErrorKind> {
    policy.run(|_| Err::<(), _>(ErrorKind::System)).expect_err("it fails")
}

#[test]
fn what_goes_wrong_with_tasks_is_stored_and_how_a_pool_stands_is_measured() {
    let (store, telemetry) = (EventStore::in_memory(), Telemetry::new());
    let tasks =
        TaskPool::builder("work").threads(1).queue(1).overflow(Overflow::Shed).build().expect("sense");
    let app = Foundation::builder("app").events(&store).telemetry(&telemetry).tasks(&tasks).start();
    let app = app.expect("it starts");
    let failed: Task<()> = tasks.spawn("import", || panic!("line 7"));
    assert!(failed.join().is_err());
    let (go, gone) = channel::<()>();
    let (begin, begun) = channel();
    let busy = tasks.spawn("busy", move || {
        begin.send(()).expect("somebody listens");
        gone.recv().is_err()
    });
    begun.recv().expect("it begins");
    let late = tasks.task("late").deadline(Deadline::after(Duration::ZERO)).spawn(|| 1);
    assert!((0..3).all(|_| tasks.spawn("more", || 1).try_join().is_ok_and(|ended| ended.is_err())));
    telemetry.collect();
    let metrics = telemetry.metrics("underpin.tasks", &[]);
    let threads = |state| metrics.gauge("underpin.tasks.threads", &[("pool", "work"), ("state", state)]);
    assert_eq!((threads("busy"), threads("idle")), (Some(1.0), Some(0.0)));
    assert_eq!(metrics.gauge("underpin.tasks.queued", &[("pool", "work")]), Some(1.0));
    let refused = [("pool", "work"), ("reason", "shed")];
    assert_eq!(metrics.counter("underpin.tasks.refused", &refused), Some(3));
    let panicked = [("pool", "work"), ("reason", "panicked")];
    assert_eq!(metrics.counter("underpin.tasks.failed", &panicked), Some(1));
    drop(go);
    assert!(busy.join().is_ok() && late.join().is_err());
    let told = store.query(&Query::new().correlation("tasks/work")).expect("it is a query");
    let told: Vec<_> = told
        .entries
        .iter()
        .map(|entry| {
            let data = entry.data().as_json().expect("JSON");
            (entry.kind().to_string(), data["task"].as_str().expect("a name").to_owned())
        })
        .collect();
    let expected = [(TASK_PANICKED, "import"), (TASK_SHEDDING, "more"), (TASK_EXPIRED, "late")];
    assert_eq!(
        told,
        expected.map(|(kind, task)| (kind.to_owned(), task.to_owned())),
        "the first that is shed"
    );
    app.shutdown(Duration::from_secs(5));
    telemetry.collect();
    assert_eq!(telemetry.metrics("underpin.tasks", &[]).families.len(), 0);
}

#[test]
fn a_policy_follows_its_configuration_and_keeps_what_it_has_where_that_is_wrong() {
    let (config, policy) = (loaded(), Policy::builder("downstream").build().expect("it is good"));
    let app = Foundation::builder("app").config(&config).policy_settings(&config, &policy, failures);
    let app = app.start().expect("it starts");
    assert_eq!(policy.settings(), failures(&Settings { failures: 2 }));
    let changed = |failures| _ = config.update("failures", failures).expect("it is a number");
    changed(1);
    let until = std::time::Instant::now() + Duration::from_secs(60);
    while policy.settings() != failures(&Settings { failures: 1 }) {
        assert!(std::time::Instant::now() < until, "it does not follow");
        std::thread::yield_now();
    }
    fail(&policy);
    assert!(matches!(fail(&policy), PolicyError::Open { .. }));
    changed(0); // no breaker opens after nothing
    changed(3);
    while policy.settings() != failures(&Settings { failures: 3 }) {
        assert!(std::time::Instant::now() < until, "a wrong one has stopped it");
        std::thread::yield_now();
    }
    assert!(matches!(fail(&policy), PolicyError::Open { .. }), "what is open stays open");
    drop(app);
}

#[test]
fn what_becomes_of_a_policy_is_stored_and_measured() {
    let (store, telemetry, config) = (EventStore::in_memory(), Telemetry::new(), loaded());
    let policy = Policy::builder("downstream").build().expect("it is good");
    let app = Foundation::builder("app")
        .config(&config)
        .events(&store)
        .telemetry(&telemetry)
        .policy_settings(&config, &policy, failures)
        .start()
        .expect("it starts");
    for _ in 0..3 {
        fail(&policy);
    }
    telemetry.collect();
    let metrics = telemetry.metrics("underpin.policy", &[]);
    let runs = |end| metrics.counter("underpin.policy.runs", &[("policy", "downstream"), ("end", end)]);
    assert_eq!((runs("failed"), runs("open"), runs("succeeded")), (Some(2), Some(1), Some(0)));
    let open = [("policy", "downstream"), ("state", "open")];
    assert_eq!(metrics.gauge("underpin.policy.breaker", &open), Some(1.0));
    let told = store.query(&Query::new().correlation("resilience/downstream")).expect("it is a query");
    let told: Vec<_> = told.entries.iter().map(|entry| entry.kind().to_string()).collect();
    assert!(told.contains(&"resilience.failed".to_owned()), "{told:?}");
    assert!(told.contains(&"resilience.breaker_opened".to_owned()), "{told:?}");
    app.shutdown(Duration::from_secs(5));
    telemetry.collect();
    assert_eq!(telemetry.metrics("underpin.policy", &[]).families.len(), 0);
}

#[test]
fn settings_that_cannot_be_made_are_none_and_stop_nobody() {
    let (config, policy) = (loaded(), Policy::builder("downstream").build().expect("it is good"));
    let other = Policy::builder("other").build().expect("it is good");
    let few = |settings: &Settings| {
        assert!(settings.failures < 5, "too many");
        failures(settings)
    };
    let app = Foundation::builder("app").config(&config).policy_settings(&config, &policy, few);
    let app = app.policy_settings(&config, &other, failures).start().expect("it starts");
    let until = std::time::Instant::now() + Duration::from_secs(60);
    for (number, goes_by) in [(7, 2), (3, 3)] {
        config.update("failures", number).expect("it is a number");
        while other.settings() != failures(&Settings { failures: number }) {
            assert!(std::time::Instant::now() < until, "it does not follow");
            std::thread::yield_now();
        }
        assert_eq!(policy.settings(), failures(&Settings { failures: goes_by }));
    }
    drop(app);
}

#[test]
fn a_policy_tells_the_store_of_the_application_that_runs() {
    let policy = Policy::builder("downstream").build().expect("it is good");
    for _ in 0..2 {
        let store = EventStore::in_memory();
        let app = Foundation::builder("app").events(&store).policy(&policy).start().expect("it starts");
        fail(&policy);
        let told = store.query(&Query::new().correlation("resilience/downstream")).expect("it is a query");
        assert_eq!(told.entries.len(), 1);
        app.shutdown(Duration::from_secs(5));
    }
}
