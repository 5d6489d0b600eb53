//! What is told, and how often.

use super::*;

#[test]
fn a_plain_success_tells_nothing() {
    let all = PolicySettings {
        shedding: shedding(9, SECOND),
        rate: rate(MS, 9, SECOND),
        bulkhead: bulkhead(9, SECOND),
        breaker: breaker(1),
        time_budget: Some(SECOND),
        retry: retry(3, MS),
    };
    let stage = stage(all);
    assert!((0..9).all(|_| stage.good().is_ok()));
    assert_eq!(stage.heard.kinds(), [""; 0]);
}

#[test]
fn of_many_refusals_the_first_is_told_at_once_and_then_ten_in_a_second_with_the_number_of_others() {
    let stage = stage(PolicySettings { bulkhead: bulkhead(1, Duration::ZERO), ..none() });
    let storm = stage.policy.run(|_| {
        for _ in 0..1000 {
            stage.good().expect_err("it is full");
            stage.time.pass(MS);
        }
        Ok::<_, ErrorKind>(())
    });
    assert!(storm.is_ok());
    let told = stage.heard.take();
    assert_eq!(told.len(), MAX_REFUSALS_TOLD_PER_SECOND as usize);
    assert_eq!(told[0], ("full", "`store` was full for 0ns; 0 attempts".to_owned()));
    assert!(told[1..].iter().all(|(_, text)| text.ends_with("; 99 more were not told")), "{told:?}");
    let counts = stage.counts();
    assert_eq!((counts.full, counts.untold, counts.runs()), (1000, 990, 1001));
}

#[test]
fn what_a_fallback_covers_up_is_one_event_and_does_not_flood_either() {
    let stage = stage(PolicySettings { breaker: breaker(1), ..none() });
    let covered = || stage.policy.run_or(|_| Err(ErrorKind::System), |_| Some(1));
    for _ in 0..100 {
        assert_eq!(covered().ok(), Some(1));
    }
    let told = stage.heard.take();
    let kinds: Vec<_> = told.iter().map(|(kind, _)| *kind).collect();
    assert_eq!(kinds, ["breaker_opened", "fallback_served", "fallback_served"], "failed, then open");
    assert!(told[1].1.starts_with("`store` failed") && told[1].1.ends_with("; a fallback was served"));
    assert!(told[2].1.starts_with("the circuit breaker `store` is open"), "{told:?}");
    assert_eq!((stage.counts().fallback_served, stage.counts().untold), (100, 98));
}

#[test]
fn failures_are_told_one_by_one() {
    let stage = stage(none());
    (0..50).for_each(|_| drop(stage.bad(ErrorKind::System)));
    assert_eq!(stage.heard.kinds(), ["failed"; 50]);
}

#[test]
fn why_there_was_no_fallback_is_told() {
    let stage = stage(none());
    let declined = stage.policy.run_or(|_| Err::<(), _>(ErrorKind::System), |_| None);
    assert!(declined.is_err());
    let told = stage.heard.take();
    let text = "`store` failed, not to be retried here: a fault of kind System; 1 attempt; no fallback: \
                the fallback has no value for it";
    assert_eq!(told, [("failed", text.to_owned())]);
}

#[test]
fn a_fallback_that_panics_does_not_take_the_story_along() {
    let stage = stage(none());
    let panicked = catch_unwind(AssertUnwindSafe(|| {
        stage.policy.run_or(|_| Err::<(), _>(ErrorKind::System), |_| resume_unwind(Box::new("boom")))
    }));
    assert!(panicked.is_err());
    let counts = stage.counts();
    assert_eq!((stage.heard.kinds(), counts.failed, counts.runs()), (vec!["failed"], 1, 1));
}

/// Uses the policy that it hears of, and panics.
struct Meddling(Mutex<Option<Policy>>);

impl Sink for Meddling {
    fn event(&self, _: &Event) {
        let policy = self.0.lock().take();
        if let Some(policy) = policy {
            assert!(policy.run(|_| Ok::<_, ErrorKind>(())).is_ok(), "nothing is held any more");
            policy.change(none()).expect("nothing is good");
        }
        resume_unwind(Box::new("a sink that panics"));
    }
}

#[test]
fn a_sink_may_use_the_policy_that_tells_it_and_its_panics_stay_there() {
    let all = PolicySettings {
        shedding: shedding(1, SECOND),
        bulkhead: bulkhead(1, Duration::ZERO),
        breaker: breaker(9),
        ..none()
    };
    let meddling = Arc::new(Meddling(Mutex::new(None)));
    let builder = Policy::builder("store").settings(all).sink(Arc::clone(&meddling) as Arc<dyn Sink>);
    let policy = builder.build().expect("good");
    *meddling.0.lock() = Some(policy.clone());
    assert!(policy.run(|_| Err::<(), _>(ErrorKind::System)).is_err());
    let counts = policy.snapshot().counts;
    assert_eq!((counts.failed, counts.succeeded, policy.settings()), (1, 1, none()));
    let panicked = catch_unwind(AssertUnwindSafe(|| {
        policy.run(|_| -> Result<(), ErrorKind> { resume_unwind(Box::new("boom")) })
    }));
    assert_eq!((panicked.is_err(), policy.snapshot().counts.panicked), (true, 1));
}

/// Panics when it is asked whether it listens.
struct Mute;

impl Sink for Mute {
    fn event(&self, _: &Event) {
        unreachable!("it does not listen");
    }

    fn is_listening(&self) -> bool {
        resume_unwind(Box::new("a sink that does not say"));
    }
}

#[test]
fn a_sink_that_panics_when_it_is_asked_hears_nothing_and_its_panics_stay_there() {
    let builder = Policy::builder("store").settings(PolicySettings { breaker: breaker(1), ..none() });
    let policy = builder.sink(Arc::new(Mute)).build().expect("good");
    assert!(policy.run(|_| Err::<(), _>(ErrorKind::User)).is_err());
    let boom = |_: &PolicyContext<'_>| -> Result<(), ErrorKind> { resume_unwind(Box::new("boom")) };
    let panic = catch_unwind(AssertUnwindSafe(|| policy.run(boom))).expect_err("it goes on");
    assert_eq!(panic.downcast_ref::<&str>(), Some(&"boom"));
    policy.change(none()).expect("nothing is good");
    assert_eq!(policy.snapshot().counts.runs(), 2);
}
