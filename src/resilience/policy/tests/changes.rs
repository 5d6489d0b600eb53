//! What is kept when the settings are others.

use super::*;
use crate::resilience::breaker::machine::BreakerState;
use crate::resilience::breaker::window::CallWindow;

fn change(stage: &Stage, settings: PolicySettings) {
    stage.policy.change(settings).expect("the settings are good");
}

#[test]
fn what_is_out_of_its_bounds_changes_nothing_and_tells_nothing() {
    let before = PolicySettings { bulkhead: bulkhead(1, MS), breaker: breaker(2), ..none() };
    let stage = stage(before.clone());
    let wrong = PolicySettings { bulkhead: bulkhead(5, MS), retry: retry(0, MS), ..none() };
    let error = stage.policy.change(wrong).expect_err("no attempts are too few");
    let text = "policy `store`: `max_attempts` of `retry` is 0, expected 1 or more";
    assert_eq!((error.to_string().as_str(), stage.policy.settings()), (text, before));
    let bulkhead = stage.policy.snapshot().bulkhead.expect("there is one");
    assert_eq!((bulkhead.max_concurrent_calls, stage.heard.kinds()), (1, vec![]));
}

#[test]
fn a_change_is_told_with_the_parts_that_are_others_and_the_same_again_is_none() {
    let stage = stage(PolicySettings { bulkhead: bulkhead(1, MS), breaker: breaker(2), ..none() });
    let after = PolicySettings { bulkhead: bulkhead(2, MS), retry: retry(2, MS), ..none() };
    change(&stage, after.clone());
    change(&stage, after);
    let text = "bulkhead, breaker removed, retry added";
    assert_eq!(stage.heard.take(), [("changed", text.to_owned())]);
}

#[test]
fn permits_that_are_out_count_against_a_changed_bulkhead_and_one_that_was_away() {
    let of = |most| PolicySettings { bulkhead: bulkhead(most, Duration::ZERO), ..none() };
    let stage = stage(of(2));
    let inside = stage.policy.run(|_| {
        change(&stage, of(1));
        let lowered = stage.good().map_err(|error| error.end());
        change(&stage, none());
        let without = stage.good().map_err(|error| error.end());
        change(&stage, of(1));
        let again = stage.good().map_err(|error| error.end());
        change(&stage, of(2));
        Ok::<_, ErrorKind>((lowered, without, again, stage.good().ok()))
    });
    let full = Err(end::End::Full);
    assert_eq!(inside.ok(), Some((full, Ok(7), full, Some(7))));
    assert_eq!(stage.policy.snapshot().bulkhead.map(|bulkhead| bulkhead.in_use), Some(0));
}

#[test]
fn runs_in_progress_count_against_changed_shedding() {
    let of = |most| PolicySettings { shedding: shedding(most, SECOND), ..none() };
    let stage = stage(of(5));
    let inside = stage.policy.run(|_| {
        change(&stage, of(1));
        let shed = stage.good().map_err(|error| error.end());
        change(&stage, of(2));
        Ok::<_, ErrorKind>((shed, stage.good().ok()))
    });
    assert_eq!(inside.ok(), Some((Err(end::End::Shed), Some(7))));
}

#[test]
fn an_open_breaker_stays_open_for_as_long_as_it_says_now() {
    let of = |wait: Duration| {
        let breaker =
            breaker(1).map(|breaker| BreakerSettings { wait_duration_in_open_state: wait, ..breaker });
        PolicySettings { breaker, ..none() }
    };
    let stage = stage(of(10 * SECOND));
    stage.bad(ErrorKind::System);
    stage.time.pass(SECOND);
    let left = || stage.good().expect_err("it is open").retry_after();
    change(&stage, of(4 * SECOND));
    assert_eq!(left(), Some(3 * SECOND));
    change(&stage, of(20 * SECOND));
    assert_eq!(left(), Some(19 * SECOND));
    change(&stage, none());
    assert_eq!(stage.good().ok(), Some(7));
    change(&stage, of(3 * SECOND));
    assert_eq!(left(), Some(2 * SECOND));
    stage.time.pass(2 * SECOND);
    assert_eq!(stage.good().ok(), Some(7));
}

#[test]
fn failures_of_before_count_under_other_rules_and_nothing_opens_by_the_change() {
    let of = |failures| PolicySettings { breaker: breaker(failures), ..none() };
    let stage = stage(of(5));
    (0..3).for_each(|_| drop(stage.bad(ErrorKind::System)));
    change(&stage, of(2));
    let breaker = stage.policy.breaker().expect("there is one");
    assert_eq!(breaker.state(), BreakerState::Closed);
    stage.bad(ErrorKind::System);
    assert_eq!(breaker.state(), BreakerState::Open, "it is the same breaker");
    assert_eq!(stage.policy.snapshot().breaker.map(|breaker| breaker.opened), Some(1));
}

#[test]
fn probes_that_are_enough_by_the_new_settings_decide_at_once_and_it_is_told() {
    let of = |probes, wait| {
        let breaker = breaker(1).map(|breaker| BreakerSettings {
            success_threshold: Some(probes),
            wait_duration_in_open_state: wait,
            ..breaker
        });
        PolicySettings { breaker, ..none() }
    };
    let stage = stage(of(3, SECOND));
    stage.bad(ErrorKind::System);
    stage.time.pass(SECOND);
    assert!(stage.good().is_ok() && stage.good().is_ok());
    let breaker = stage.policy.breaker().expect("there is one");
    assert_eq!(breaker.state(), BreakerState::HalfOpen);
    drop(stage.heard.take());
    change(&stage, of(2, SECOND));
    assert_eq!(
        (breaker.state(), stage.heard.kinds()),
        (BreakerState::Closed, vec!["breaker_closed", "changed"])
    );
}

#[test]
fn a_changed_rate_limiter_has_no_fresh_burst() {
    let of = |period, burst| PolicySettings { rate: rate(period, burst, Duration::ZERO), ..none() };
    let stage = stage(of(SECOND, 2));
    assert!(stage.good().is_ok() && stage.good().is_ok());
    change(&stage, of(100 * MS, 10));
    assert_eq!(stage.good().expect_err("there is none").retry_after(), Some(100 * MS));
    change(&stage, none());
    change(&stage, of(100 * MS, 5));
    assert!(stage.good().is_err(), "not by taking it out either");
    stage.time.pass(300 * MS);
    change(&stage, of(10 * SECOND, 5));
    assert_eq!(stage.policy.snapshot().rate.map(|rate| rate.available), Some(3));
    change(&stage, of(10 * SECOND, 1));
    assert_eq!((stage.good().ok(), stage.good().is_err()), (Some(7), true));
}

#[test]
fn a_part_whose_settings_are_the_same_keeps_its_state_to_the_nanosecond() {
    let all = |most| PolicySettings {
        rate: rate(3 * MS, 3, Duration::ZERO),
        breaker: breaker(2),
        bulkhead: bulkhead(most, MS),
        ..none()
    };
    let stage = stage(all(1));
    stage.bad(ErrorKind::System);
    stage.time.pass(Duration::from_nanos(1_234_567));
    stage.bad(ErrorKind::User);
    let before = stage.policy.snapshot();
    change(&stage, all(2));
    let after = stage.policy.snapshot();
    assert_eq!((after.rate, after.breaker), (before.rate, before.breaker));
    stage.time.pass(Duration::from_nanos(1));
    assert!((0..2).all(|_| stage.policy.run(|_| Err::<(), _>(ErrorKind::User)).is_err()));
    let limited = stage.good().expect_err("three have been taken in 1.234568 ms");
    assert_eq!(limited.retry_after().map(|wait| wait.as_nanos()), Some(1_765_432));
}

#[test]
fn tokens_of_a_retry_budget_are_not_filled_up_and_what_was_counted_stays() {
    let of = |tokens, attempts| {
        let budget = Some(RetryBudgetSettings { max_tokens: tokens, token_ratio: 1.0 });
        PolicySettings { retry: retry(attempts, MS).map(|retry| RetrySettings { budget, ..retry }), ..none() }
    };
    let stage = stage(of(2, 3));
    stage.bad(ErrorKind::Transient);
    let tokens = || stage.policy.snapshot().retry.and_then(|retry| retry.tokens);
    assert_eq!(tokens(), Some(0));
    change(&stage, of(10, 3));
    assert_eq!(tokens(), Some(0));
    (0..5).for_each(|_| drop(stage.good()));
    assert_eq!(tokens(), Some(5));
    change(&stage, of(3, 2));
    assert_eq!(tokens(), Some(3));
    let retry = stage.policy.snapshot().retry.expect("there is one");
    assert_eq!((retry.retries, retry.succeeded_without_retry, retry.failed_with_retry), (2, 5, 1));
}

#[test]
fn a_run_that_has_begun_keeps_its_attempts_and_its_time() {
    let of = |attempts, budget| PolicySettings {
        retry: retry(attempts, MS),
        time_budget: Some(budget),
        breaker: breaker(9),
        ..none()
    };
    let stage = stage(of(3, SECOND));
    let mut left = Vec::new();
    let error = stage.policy.run(|cx| {
        change(&stage, of(1, 5 * MS));
        left.push(cx.remaining().expect("there is a budget"));
        Err::<(), _>(ErrorKind::Transient)
    });
    assert_eq!(error.expect_err("it fails").trail().attempts, 3);
    assert_eq!(left, [SECOND, SECOND - MS, SECOND - 2 * MS]);
    assert_eq!(stage.bad(ErrorKind::Transient).trail().attempts, 1);
}

#[test]
fn chance_goes_on_over_a_change_and_begins_at_the_seed() {
    let of = |attempts| {
        let schedule = Schedule::constant(SECOND).jitter(1.0);
        PolicySettings {
            retry: retry(attempts, MS).map(|retry| RetrySettings { schedule, ..retry }),
            ..none()
        }
    };
    let waits = |stage: &Stage| stage.bad(ErrorKind::Transient).trail().waited;
    let (one, other) = (stage(of(2)), stage(of(2)));
    let (first, second) = (waits(&one), waits(&one));
    assert_eq!((waits(&other), first == second), (first, false));
    change(&other, PolicySettings { time_budget: Some(Duration::MAX), ..of(2) });
    let jitter = Schedule::constant(SECOND).jitter(1.0).max_wait(2 * SECOND);
    let retry = retry(2, MS).map(|retry| RetrySettings { schedule: jitter, ..retry });
    change(&other, PolicySettings { retry, ..none() });
    assert_eq!(waits(&other), second);
}

#[test]
fn slow_calls_and_windows_by_time_count_as_soon_as_they_are_asked_for() {
    let changed = |breaker: BreakerSettings| {
        let stage = stage(PolicySettings { breaker: super::breaker(9), ..none() });
        change(&stage, PolicySettings { breaker: Some(breaker), ..none() });
        stage
    };
    let (window, minimum) = (Some(CallWindow::Time(10 * SECOND)), Some(2));
    let by_time =
        BreakerSettings { sliding_window: window, minimum_number_of_calls: minimum, ..Default::default() };
    let state = |stage: &Stage| stage.policy.breaker().map(|breaker| breaker.state());
    let stage = changed(by_time);
    stage.bad(ErrorKind::System);
    stage.time.pass(20 * SECOND);
    assert_eq!((stage.good().ok(), state(&stage)), (Some(7), Some(BreakerState::Closed)));
    stage.bad(ErrorKind::System);
    assert_eq!(state(&stage), Some(BreakerState::Open), "one of two, in the last 10 s");
    let stage = changed(BreakerSettings {
        slow_call_duration_threshold: Some(10 * MS),
        sliding_window: Some(CallWindow::Count(1)),
        ..Default::default()
    });
    let slow = stage.policy.run(|_| {
        stage.time.pass(11 * MS);
        Ok::<_, ErrorKind>(())
    });
    assert_eq!((slow.ok(), state(&stage)), (Some(()), Some(BreakerState::Open)));
}
