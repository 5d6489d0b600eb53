//! What the breaker of a policy counts.

use super::*;
use crate::resilience::breaker::machine::BreakerState;

fn state(stage: &Stage) -> BreakerState {
    stage.policy.breaker().expect("there is one").state()
}

fn failures(stage: &Stage) -> u32 {
    stage.policy.snapshot().breaker.expect("there is one").consecutive_failures
}

#[test]
fn bug_11_the_options_of_the_breaker_are_honoured_whatever_else_is_set() {
    let options =
        BreakerSettings { wait_duration_in_open_state: 3 * SECOND, ..breaker(2).expect("it is one") };
    let stage = stage(PolicySettings { breaker: Some(options), ..none() });
    stage.bad(ErrorKind::System);
    assert_eq!(state(&stage), BreakerState::Closed);
    stage.bad(ErrorKind::System);
    assert_eq!(stage.good().expect_err("it is open").retry_after(), Some(3 * SECOND));
    stage.time.pass(3 * SECOND);
    assert_eq!((stage.good().ok(), state(&stage)), (Some(7), BreakerState::Closed));
}

#[test]
fn bug_12_an_err_counts_as_a_failure_save_that_of_a_user() {
    for kind in [ErrorKind::Transient, ErrorKind::Permanent, ErrorKind::System] {
        let stage = stage(PolicySettings { breaker: breaker(1), ..none() });
        stage.bad(ErrorKind::User);
        assert_eq!(state(&stage), BreakerState::Closed);
        assert_eq!((stage.bad(kind).kind(), state(&stage)), (kind, BreakerState::Open));
    }
}

#[test]
fn bug_13_the_composed_policy_trips_its_own_breaker() {
    let all = PolicySettings {
        shedding: shedding(100, SECOND),
        rate: rate(MS, 100, SECOND),
        bulkhead: bulkhead(100, SECOND),
        breaker: breaker(3),
        time_budget: Some(SECOND),
        retry: retry(2, MS),
    };
    let stage = stage(all);
    for _ in 0..3 {
        assert_eq!(state(&stage), BreakerState::Closed);
        let covered = stage.policy.run_or(|_| Err(ErrorKind::Transient), |_| Some(0));
        assert_eq!(covered.ok(), Some(0), "a fallback changes nothing about it");
    }
    assert!(matches!(stage.good(), Err(PolicyError::Open { .. })));
    assert_eq!(stage.counts().attempts, 6, "what is open is not attempted");
}

#[test]
fn bug_13_no_refusal_of_the_policy_trips_its_breaker() {
    let all = PolicySettings {
        shedding: shedding(1, 10 * MS),
        rate: rate(SECOND, 2, Duration::ZERO),
        bulkhead: bulkhead(1, Duration::ZERO),
        breaker: breaker(1),
        ..none()
    };
    let stage = stage(all.clone());
    let inner = stage.policy.run(|_| Ok::<_, ErrorKind>(stage.good()));
    assert!(matches!(inner, Ok(Err(PolicyError::Shed { .. }))));
    stage.policy.change(PolicySettings { shedding: None, ..all }).expect("good");
    let inner = stage.policy.run(|_| Ok::<_, ErrorKind>(stage.good()));
    assert!(matches!(inner, Ok(Err(PolicyError::Limited { .. }))), "{inner:?}");
    stage.time.pass(2 * SECOND);
    let inner = stage.policy.run(|_| Ok::<_, ErrorKind>(stage.good()));
    assert!(matches!(inner, Ok(Err(PolicyError::Full { .. }))), "{inner:?}");
    assert_eq!((state(&stage), failures(&stage)), (BreakerState::Closed, 0));
}

#[test]
fn a_run_is_one_call_however_many_attempts_it_has() {
    let stage = stage(PolicySettings { breaker: breaker(3), retry: retry(3, MS), ..none() });
    stage.bad(ErrorKind::Transient);
    assert_eq!((failures(&stage), stage.counts().attempts), (1, 3));
    let late_success = |cx: &PolicyContext<'_>| {
        if cx.attempt() < 3 { Err(ErrorKind::Transient) } else { Ok(()) }
    };
    assert!(stage.policy.run(late_success).is_ok());
    assert_eq!(failures(&stage), 0, "a retry that helped is a success");
}

#[test]
fn what_ends_after_its_time_budget_is_a_failure_also_with_a_value() {
    let stage = stage(PolicySettings { breaker: breaker(1), time_budget: Some(SECOND), ..none() });
    let slow = |took: Duration| {
        stage.policy.run(|_| {
            stage.time.pass(took);
            Ok::<_, ErrorKind>(7)
        })
    };
    assert_eq!((slow(SECOND - MS).ok(), state(&stage)), (Some(7), BreakerState::Closed));
    assert_eq!((slow(SECOND).ok(), state(&stage)), (Some(7), BreakerState::Open));
}

#[test]
fn a_panic_is_a_failure_and_goes_on_and_nothing_is_kept() {
    let all = PolicySettings {
        shedding: shedding(1, SECOND),
        bulkhead: bulkhead(1, Duration::ZERO),
        breaker: breaker(1),
        retry: retry(3, MS),
        ..none()
    };
    let stage = stage(all);
    let boom = |_: &PolicyContext<'_>| -> Result<(), ErrorKind> { resume_unwind(Box::new("boom")) };
    let panic = catch_unwind(AssertUnwindSafe(|| stage.policy.run(boom))).expect_err("it goes on");
    assert_eq!(panic.downcast_ref::<&str>(), Some(&"boom"));
    assert_eq!(state(&stage), BreakerState::Open);
    let snapshot = stage.policy.snapshot();
    assert_eq!(snapshot.bulkhead.map(|bulkhead| bulkhead.in_use), Some(0));
    assert_eq!(snapshot.shedding.map(|shedder| shedder.depth), Some(0));
    let counts = snapshot.counts;
    assert_eq!((counts.panicked, counts.runs(), counts.attempts), (1, 1, 1));
    let heard = stage.heard.take();
    assert!(heard.contains(&("panicked", "it panicked; 1 attempt, took 0ns".into())), "{heard:?}");
}

#[test]
fn a_panic_of_the_judge_is_a_failure_too() {
    let stage = stage(PolicySettings { breaker: breaker(1), ..none() });
    let judge = |_: &u8| -> Fault { resume_unwind(Box::new("boom")) };
    let panicked =
        catch_unwind(AssertUnwindSafe(|| stage.policy.run_with(judge, |_| Err::<(), u8>(1)))).is_err();
    assert_eq!((panicked, state(&stage), stage.counts().panicked), (true, BreakerState::Open, 1));
}

#[test]
fn a_breaker_opened_by_hand_refuses() {
    let stage = stage(PolicySettings { breaker: breaker(1), ..none() });
    stage.policy.breaker().expect("there is one").force_open();
    let error = stage.good().expect_err("it is open");
    assert_eq!((error.retry_after(), error.kind()), (None, ErrorKind::Transient));
    stage.policy.breaker().expect("there is one").close();
    assert_eq!(stage.good().ok(), Some(7));
}

/// Runs something that panics when it is dropped.
struct Last<'a>(&'a Stage);

impl Drop for Last<'_> {
    fn drop(&mut self) {
        let boom = |_: &PolicyContext<'_>| -> Result<(), ErrorKind> { resume_unwind(Box::new("boom")) };
        assert!(catch_unwind(AssertUnwindSafe(|| self.0.policy.run(boom))).is_err());
    }
}

#[test]
fn a_panic_counts_also_where_another_is_under_way() {
    let stage = stage(PolicySettings { breaker: breaker(1), ..none() });
    let unwound = catch_unwind(AssertUnwindSafe(|| -> u8 {
        let _last = Last(&stage);
        resume_unwind(Box::new("the first"))
    }));
    assert_eq!((unwound.is_err(), stage.counts().panicked), (true, 1));
    assert_eq!(state(&stage), BreakerState::Open);
}
