//! What the foundation does for tasks and policies.
#![cfg(all(
    feature = "config",
    feature = "events",
    feature = "foundation",
    feature = "resilience",
    feature = "tasks",
    feature = "telemetry"
))]

use std::convert::Infallible;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::mpsc::channel;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use underpin::config::{Config, Layers, Validate};
use underpin::events::{EventStore, Query};
use underpin::resilience::{
    BreakerSettings, BulkheadSettings, Policy, PolicyError, PolicySettings, RateSettings, RetrySettings,
    Schedule, SheddingSettings, StopSignal,
};
use underpin::tasks::{Overflow, Task, TaskPool};
use underpin::telemetry::Telemetry;
use underpin::{
    Context, Deadline, ErrorKind, Foundation, FoundationBuilder, Next, Service, TASK_EXPIRED, TASK_PANICKED,
    TASK_SHEDDING, child,
};

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
        let wanted =
            [goes_by, number].map(|failures_in_a_row| failures(&Settings { failures: failures_in_a_row }));
        while [policy.settings(), other.settings()] != wanted {
            assert!(std::time::Instant::now() < until, "they do not follow");
            std::thread::yield_now();
        }
    }
    drop(app);
}

#[test]
fn two_policies_of_one_name_and_two_rules_for_one_policy_are_refused() {
    let [policy, other] = [(); 2].map(|()| Policy::builder("downstream").build().expect("it is good"));
    let refused = |app: FoundationBuilder| app.start().expect_err("it makes no sense").to_string();
    let text = refused(Foundation::builder("app").policy(&policy).policy(&other));
    assert!(text.contains("`policies`") && text.contains("two policies are named `downstream`"), "{text}");
    let led = |times| {
        let config = loaded();
        let app = Foundation::builder("app").config(&config);
        (0..times).fold(app, |app, _| app.policy_settings(&config, &policy, failures))
    };
    let text = refused(led(1).policy(&other));
    assert!(text.contains("two policies are named `downstream`"), "{text}");
    let text = refused(led(2));
    assert!(text.contains("the settings of the policy `downstream` were said twice"), "{text}");
    drop(led(1).policy(&policy).policy(&policy).start().expect("one that is named again is the same"));
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

#[test]
fn a_pool_tells_the_store_of_the_application_that_runs() {
    let tasks = TaskPool::builder("work").threads(1).build().expect("sense");
    for _ in 0..2 {
        let store = EventStore::in_memory();
        let app = Foundation::builder("app").events(&store).tasks(&tasks).start().expect("it starts");
        let failed: Task<()> = tasks.spawn("import", || panic!("line 7"));
        assert!(failed.join().is_err());
        let told = store.query(&Query::new().correlation("tasks/work")).expect("it is a query");
        assert_eq!(told.entries.len(), 1);
        app.shutdown(Duration::from_secs(5));
    }
}

struct Idle;

impl Service for Idle {
    type Msg = ();
    type Error = Infallible;

    fn handle(&mut self, (): (), _: &mut Context<Self>) -> Result<Next, Infallible> {
        Ok(Next::Continue)
    }
}

#[test]
fn who_is_started_finds_the_policy_as_its_configuration_says() {
    let (config, policy) = (loaded(), Policy::builder("downstream").build().expect("it is good"));
    let (tell, told) = channel();
    let seen = policy.clone();
    let idle = child("idle", move || {
        tell.send(seen.settings()).expect("somebody listens");
        Idle
    });
    let app = Foundation::builder("app").child(idle).config(&config);
    let app = app.policy_settings(&config, &policy, failures).start().expect("it starts");
    let settings = told.recv_timeout(Duration::from_secs(60)).expect("it has begun");
    assert_eq!(settings, failures(&Settings { failures: 2 }));
    drop(app);
}

/// Has each end, and whatever else is counted, come so many times that no two numbers are the same.
fn bring_about_all(policy: &Policy, stop: &StopSignal) {
    let none = PolicySettings::default;
    let change = |settings: PolicySettings| policy.change(settings).expect("they are good");
    let times = |count: u32, work: &dyn Fn()| (0..count).for_each(|_| work());
    let good = || policy.run(|_| Ok::<_, ErrorKind>(())).is_ok();
    times(9, &|| assert!(good()));
    times(2, &|| drop(fail(policy)));
    let boom = || policy.run(|_| -> Result<(), ErrorKind> { resume_unwind(Box::new("boom")) });
    times(3, &|| assert!(catch_unwind(AssertUnwindSafe(boom)).is_err()));
    times(13, &|| assert!(policy.run_or(|_| Err(ErrorKind::System), |_| Some(1)).is_ok()));
    change(PolicySettings { shedding: Some(SheddingSettings::default()), ..none() });
    let late = || policy.call().waited(Duration::from_secs(3600)).run(|_| Ok::<_, ErrorKind>(())).is_ok();
    times(4, &|| assert!(!late()));
    let (limit_refresh_period, timeout) = (Duration::from_secs(3600), Duration::ZERO);
    let rate = RateSettings { limit_for_period: 1, limit_refresh_period, burst: None, timeout };
    change(PolicySettings { rate: Some(rate), ..none() });
    assert!(good());
    times(5, &|| assert!(!good()));
    let bulkhead = BulkheadSettings { max_concurrent_calls: 1, ..Default::default() };
    change(PolicySettings { bulkhead: Some(bulkhead), ..none() });
    let nested = policy.run(|_| {
        times(6, &|| assert!(!good()));
        Ok::<_, ErrorKind>(())
    });
    assert!(nested.is_ok(), "it is the first");
    change(PolicySettings { time_budget: Some(Duration::from_nanos(1)), ..none() });
    let slow = |end: Result<(), ErrorKind>| {
        policy.run(|cx| {
            while cx.remaining() > Some(Duration::ZERO) {}
            end
        })
    };
    times(8, &|| assert!(slow(Err(ErrorKind::Transient)).is_err()));
    times(10, &|| assert!(slow(Ok(())).is_ok()));
    let retried = |delay| RetrySettings { schedule: Schedule::constant(delay), ..Default::default() };
    change(PolicySettings { retry: Some(retried(Duration::ZERO)), ..none() });
    let second = || policy.run(|cx| if cx.attempt() == 1 { Err(ErrorKind::Transient) } else { Ok(()) });
    times(12, &|| assert!(second().is_ok()));
    stop.stop();
    change(PolicySettings { retry: Some(retried(Duration::from_secs(1))), ..none() });
    times(11, &|| assert!(policy.run(|_| Err::<(), _>(ErrorKind::Transient)).is_err()));
    change(PolicySettings { breaker: Some(BreakerSettings::default()), ..none() });
    policy.breaker().expect("it has one").force_open();
    times(7, &|| assert!(!good()));
}

#[test]
fn each_number_of_a_policy_is_measured_under_its_own_name() {
    let (telemetry, stop) = (Telemetry::new(), StopSignal::new());
    let policy = Policy::builder("downstream").stop_on(&stop).build().expect("it is good");
    let app = Foundation::builder("app").telemetry(&telemetry).policy(&policy).start().expect("it starts");
    bring_about_all(&policy, &stop);
    telemetry.collect();
    let metrics = telemetry.metrics("underpin.policy", &[]);
    let ends = [
        ("succeeded", 33),
        ("failed", 15),
        ("panicked", 3),
        ("shed", 4),
        ("limited", 5),
        ("full", 6),
        ("open", 7),
        ("stopped", 11),
        ("timed_out", 8),
    ];
    for (end, count) in ends {
        let runs = metrics.counter("underpin.policy.runs", &[("policy", "downstream"), ("end", end)]);
        assert_eq!(runs, Some(count), "{end}");
    }
    for (what, count) in
        [("attempts", 82), ("retried", 12), ("fallbacks", 13), ("late", 10), ("breaker.opened", 1)]
    {
        let found = metrics.counter(&format!("underpin.policy.{what}"), &[("policy", "downstream")]);
        assert_eq!(found, Some(count), "{what}");
    }
    for (state, is) in [("closed", 0.0), ("open", 0.0), ("forced_open", 1.0), ("half_open", 0.0)] {
        let labels = [("policy", "downstream"), ("state", state)];
        assert_eq!(metrics.gauge("underpin.policy.breaker", &labels), Some(is), "{state}");
    }
    drop(app);
}
