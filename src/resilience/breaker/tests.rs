//! The breaker as its users have it, in simulated time and by many threads.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Barrier;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use proptest::prelude::*;

use super::settings::BreakerSettingsError;
use super::window::CallWindow;
use super::*;
use crate::error::ErrorKind;
use crate::resilience::sink::{Event, Sink};
use crate::sync::{Clock, ManualClock, Mutex};

const SECOND: Duration = Duration::from_secs(1);

/// In simulated time.
fn timed(builder: BreakerBuilder) -> (CircuitBreaker, ManualClock) {
    let (clock, hand) = Clock::manual();
    (builder.clock(clock).build().expect("the options are good"), hand)
}

/// Opens at the first failure, for a second.
fn quick() -> BreakerBuilder {
    CircuitBreaker::builder("db").consecutive_failures(1).wait_duration_in_open_state(SECOND)
}

fn good(breaker: &CircuitBreaker) -> Result<(), BreakerError<&'static str>> {
    breaker.call(|| Ok(()))
}

fn bad(breaker: &CircuitBreaker) -> Result<(), BreakerError<&'static str>> {
    breaker.call(|| Err("no route"))
}

#[derive(Default)]
struct Heard(Mutex<Vec<Event>>);

impl Sink for Heard {
    fn event(&self, event: &Event) {
        self.0.lock().push(event.clone());
        assert_ne!(event.kind, "breaker_half_opened", "a sink that panics");
    }
}

#[test]
fn an_error_is_a_failure_and_is_handed_on() {
    let (breaker, _) = timed(quick());
    assert_eq!(good(&breaker), Ok(()));
    assert_eq!(bad(&breaker), Err(BreakerError::Failed("no route")));
    let Err(BreakerError::Open(open)) = good(&breaker) else { panic!("it is open") };
    assert_eq!((open.name(), open.kind()), ("db", ErrorKind::Transient));
    assert_eq!(BreakerError::<u8>::Open(open).to_string(), "the circuit breaker `db` is open");
}

#[test]
fn a_call_that_is_refused_is_not_made_and_is_counted() {
    let (breaker, _) = timed(quick());
    breaker.open();
    let mut calls = 0;
    for _ in 0..3 {
        let result: Result<(), BreakerError<()>> = breaker.call(|| {
            calls += 1;
            Ok(())
        });
        assert!(result.is_err());
    }
    assert_eq!((calls, breaker.snapshot().refused), (0, 3));
}

#[test]
fn what_is_slow_can_be_said_anew_also_for_a_call_that_has_begun() {
    let slow = |options: BreakerBuilder| options.sliding_window(CallWindow::Count(1));
    let (breaker, hand) = timed(slow(CircuitBreaker::builder("db")));
    let settings = |after: Option<Duration>| {
        let options = slow(CircuitBreaker::builder("db"));
        let options = after.into_iter().fold(options, BreakerBuilder::slow_call_duration_threshold);
        options.settings().expect("they are good")
    };
    let takes = |time: Duration| {
        let work = || {
            hand.advance(time);
            Ok::<_, ()>(())
        };
        breaker.call(work).is_ok()
    };
    assert!(takes(9 * SECOND));
    breaker.change(settings(Some(SECOND))).tell();
    let began_before = breaker.permit().expect("it is closed");
    assert!(takes(SECOND) && breaker.state() == BreakerState::Closed);
    breaker.change(settings(None)).tell();
    hand.advance(2 * SECOND);
    began_before.success();
    assert_eq!(breaker.state(), BreakerState::Closed, "nothing is slow any more");
    breaker.change(settings(Some(SECOND))).tell();
    assert!(takes(SECOND + SECOND / 2));
    assert_eq!((breaker.state(), breaker.snapshot().calls.slow), (BreakerState::Open, 1));
}

#[test]
fn a_window_by_time_can_take_the_place_of_one_by_count() {
    let (breaker, hand) = timed(CircuitBreaker::builder("db").sliding_window(CallWindow::Count(10)));
    let by_time = CircuitBreaker::builder("db").sliding_window(CallWindow::Time(10 * SECOND)).settings();
    assert_eq!(good(&breaker), Ok(()));
    breaker.change(by_time.expect("they are good")).tell();
    hand.advance(5 * SECOND);
    assert_eq!((good(&breaker), breaker.snapshot().calls.calls), (Ok(()), 1));
    hand.advance(9 * SECOND);
    assert_eq!(breaker.snapshot().calls.calls, 1, "it is counted when it was, not at the beginning");
}

#[test]
fn a_refusal_says_until_when() {
    let (breaker, hand) = timed(quick());
    breaker.open();
    let refused = breaker.permit().map(drop).expect_err("open");
    assert_eq!(refused.retry_after(), Some(SECOND));
    hand.advance(SECOND / 4);
    let refused = breaker.permit().map(drop).expect_err("open");
    assert_eq!(refused.retry_after(), Some(SECOND * 3 / 4));
    hand.advance(SECOND);
    assert_eq!(refused.retry_after(), Some(Duration::ZERO));
    breaker.force_open();
    assert_eq!(refused.retry_after(), None);
    breaker.close();
    assert_eq!(refused.retry_after(), Some(Duration::ZERO));
}

#[test]
fn it_opens_half_opens_and_closes_and_tells_each() {
    let heard = Arc::new(Heard::default());
    let (breaker, hand) = timed(quick().success_threshold(2).sink(Arc::clone(&heard) as Arc<dyn Sink>));
    assert!(bad(&breaker).is_err());
    hand.advance(SECOND);
    assert_eq!(breaker.state(), BreakerState::Open, "until somebody calls");
    assert_eq!(good(&breaker), Ok(()), "though the sink panics");
    assert_eq!(breaker.state(), BreakerState::HalfOpen);
    assert_eq!(good(&breaker), Ok(()));
    assert_eq!(breaker.state(), BreakerState::Closed);
    let events = heard.0.lock();
    let told: Vec<_> = events.iter().map(|event| (event.kind, event.detail.as_str())).collect();
    let expected = [
        ("breaker_opened", "closed -> open: 1 failures in a row"),
        ("breaker_half_opened", "open -> half_open: the wait is over"),
        ("breaker_closed", "half_open -> closed: 0 of 2 probes failed, 0 were slow"),
    ];
    assert_eq!(told, expected);
    assert_eq!((&*events[1].source, events[1].at), ("db", hand.now()));
}

#[test]
fn a_panic_is_a_failure_and_goes_on() {
    let (breaker, _) = timed(quick());
    let panicked = catch_unwind(|| breaker.call(|| -> Result<(), ()> { panic!("lost") }));
    assert_eq!(panicked.expect_err("it goes on").downcast_ref::<&str>(), Some(&"lost"));
    assert_eq!(breaker.state(), BreakerState::Open);
    breaker.close();
    let classify = |_: &Result<(), ()>| -> Outcome { panic!("lost") };
    assert!(catch_unwind(AssertUnwindSafe(|| breaker.call_with(classify, || Ok(())))).is_err());
    assert_eq!(breaker.state(), BreakerState::Open);
    breaker.close();
    let dropped = catch_unwind(|| {
        let _permit = breaker.permit();
        panic!("lost")
    });
    assert!(dropped.is_err());
    assert_eq!(breaker.state(), BreakerState::Open);
}

#[test]
fn a_panic_of_a_probe_gives_its_place_back() {
    let (breaker, hand) = timed(quick().permitted_number_of_calls_in_half_open_state(1));
    breaker.half_open();
    assert!(catch_unwind(|| breaker.call(|| -> Result<(), ()> { panic!("lost") })).is_err());
    assert_eq!(breaker.state(), BreakerState::Open);
    hand.advance(SECOND);
    assert_eq!(good(&breaker), Ok(()));
    assert_eq!(breaker.state(), BreakerState::Closed);
}

#[test]
fn what_the_classifier_says_counts() {
    let (breaker, _) = timed(quick());
    assert!(breaker.call_with(|_| Outcome::Ignore, || Err::<(), _>("no such user")).is_err());
    assert!(breaker.call_with(|_| Outcome::Success, || Err::<(), _>("no such user")).is_err());
    assert_eq!(breaker.state(), BreakerState::Closed);
    assert_eq!(breaker.call_with(|_| Outcome::Failure, || Ok::<_, ()>(503)), Ok(503));
    assert_eq!(breaker.state(), BreakerState::Open);
}

#[test]
fn each_way_to_report_does_what_it_says() {
    let (breaker, _) = timed(CircuitBreaker::builder("a").consecutive_failures(9));
    let permit = || breaker.permit().expect("closed");
    permit().failure();
    permit().finish(&Err::<(), _>("no"));
    assert_eq!(breaker.snapshot().consecutive_failures, 2);
    permit().ignore();
    drop(permit());
    permit().report(Outcome::Ignore);
    assert_eq!(breaker.snapshot().consecutive_failures, 2);
    permit().success();
    assert_eq!(breaker.snapshot().consecutive_failures, 0);
    permit().failure();
    permit().finish(&Ok::<_, ()>(1));
    assert_eq!(breaker.snapshot().consecutive_failures, 0);
}

#[test]
fn a_probe_that_is_dropped_or_ignored_is_given_back() {
    let (breaker, _) = timed(quick().permitted_number_of_calls_in_half_open_state(1));
    breaker.half_open();
    for _ in 0..3 {
        let permit = breaker.permit().expect("a probe");
        assert!(breaker.permit().is_err());
        drop(permit);
        breaker.permit().expect("a probe").ignore();
    }
    assert_eq!(breaker.snapshot().probes, 0);
}

#[test]
fn a_probe_that_never_reports_keeps_the_others_out_no_longer_than_the_limit() {
    let (breaker, hand) = timed(
        quick()
            .permitted_number_of_calls_in_half_open_state(1)
            .max_wait_duration_in_half_open_state(SECOND * 5),
    );
    breaker.half_open();
    std::mem::forget(breaker.permit().expect("a probe"));
    hand.advance(SECOND * 5 - Duration::from_nanos(1));
    assert!(breaker.permit().is_err() && breaker.state() == BreakerState::HalfOpen);
    hand.advance(Duration::from_nanos(1));
    assert!(breaker.permit().is_err() && breaker.state() == BreakerState::Open);
    hand.advance(SECOND);
    assert!(breaker.permit().is_ok());
}

#[test]
fn a_call_is_slow_when_it_takes_longer_than_the_threshold() {
    let builder = CircuitBreaker::builder("a")
        .slow_call_duration_threshold(SECOND)
        .slow_call_rate_threshold(50.0)
        .sliding_window(CallWindow::Count(2));
    let (breaker, hand) = timed(builder);
    let takes = |time| {
        let permit = breaker.permit().expect("it is closed");
        hand.advance(time);
        permit.success();
    };
    takes(SECOND);
    takes(SECOND);
    assert_eq!(breaker.snapshot().slow_call_rate, Some(0.0));
    takes(SECOND + Duration::from_nanos(1));
    assert_eq!((breaker.state(), breaker.snapshot().calls.slow), (BreakerState::Open, 1));
    breaker.half_open();
    let permit = breaker.permit().expect("a probe");
    hand.advance(SECOND * 2);
    permit.success();
    assert_eq!((breaker.state(), breaker.snapshot().probes), (BreakerState::HalfOpen, 0));
}

#[test]
fn failures_leave_a_window_by_time() {
    let builder =
        CircuitBreaker::builder("a").sliding_window(CallWindow::Time(SECOND * 10)).minimum_number_of_calls(2);
    let (breaker, hand) = timed(builder);
    assert!(bad(&breaker).is_err());
    hand.advance(SECOND * 10);
    assert!(bad(&breaker).is_err());
    assert_eq!((breaker.state(), breaker.snapshot().failure_rate), (BreakerState::Closed, None));
    hand.advance(SECOND * 8);
    assert_eq!(good(&breaker), Ok(()));
    assert_eq!((breaker.state(), breaker.snapshot().failure_rate), (BreakerState::Open, Some(50.0)));
}

#[test]
fn what_is_asked_for_from_outside_is_done() {
    let (breaker, hand) = timed(quick());
    breaker.force_open();
    hand.advance(SECOND * 1_000);
    assert!(good(&breaker).is_err());
    breaker.disable();
    assert!(bad(&breaker) == bad(&breaker) && breaker.state() == BreakerState::Disabled);
    breaker.metrics_only();
    assert!(bad(&breaker).is_err() && bad(&breaker) == Err(BreakerError::Failed("no route")));
    assert_eq!((breaker.state(), breaker.snapshot().consecutive_failures), (BreakerState::MetricsOnly, 2));
    breaker.close();
    assert_eq!((breaker.state(), breaker.snapshot().consecutive_failures), (BreakerState::Closed, 0));
    assert_eq!(breaker.snapshot().opened, 1);
}

#[test]
fn with_a_coarse_clock_the_first_call_after_the_wait_is_let_through_where_there_was_no_storm() {
    let (breaker, hand) = timed(quick().coarse_clock());
    breaker.open();
    for _ in 0..100 {
        assert!(good(&breaker).is_err());
        hand.advance(Duration::from_nanos(1_000));
    }
    hand.advance(SECOND);
    assert_eq!(good(&breaker), Ok(()));
}

#[test]
fn with_a_coarse_clock_at_most_fifteen_calls_more_are_refused_after_a_storm() {
    let (breaker, hand) = timed(quick().coarse_clock());
    breaker.open();
    for _ in 0..100 {
        assert!(good(&breaker).is_err());
        hand.advance(Duration::from_nanos(10));
    }
    hand.advance(SECOND);
    let refused = (0..100).take_while(|_| good(&breaker).is_err()).count();
    assert!(refused <= 15, "{refused}");
    assert_eq!(breaker.snapshot().refused, 100 + refused as u64);
}

#[test]
fn with_a_coarse_clock_refusals_while_it_is_forced_open_are_no_storm_if_they_are_rare() {
    for more in 0..16 {
        let (breaker, hand) = timed(quick().coarse_clock());
        breaker.open();
        for _ in 0..1_000 {
            assert!(good(&breaker).is_err());
            hand.advance(Duration::from_nanos(10));
        }
        breaker.force_open();
        for _ in 0..100 + more {
            assert!(good(&breaker).is_err());
            hand.advance(SECOND);
        }
        breaker.open();
        hand.advance(SECOND);
        assert_eq!(good(&breaker), Ok(()));
        assert_eq!(breaker.snapshot().refused, 1_100 + more);
    }
}

/// So many threads at once, each with its number.
fn threads(number: usize, work: impl Fn(usize) + Sync) {
    let start = Barrier::new(number);
    std::thread::scope(|scope| {
        for who in 0..number {
            let (start, work) = (&start, &work);
            scope.spawn(move || {
                start.wait();
                work(who);
            });
        }
    });
}

#[test]
fn of_many_callers_in_half_open_no_more_than_permitted_are_let_through_at_once() {
    let (breaker, hand) =
        timed(quick().permitted_number_of_calls_in_half_open_state(3).success_threshold(1_000_000));
    breaker.open();
    hand.advance(SECOND);
    let (within, most, let_through) = (AtomicUsize::new(0), AtomicUsize::new(0), AtomicUsize::new(0));
    threads(200, |who| {
        for turn in 0..50 {
            let Ok(permit) = breaker.permit() else { continue };
            most.fetch_max(within.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            let_through.fetch_add(1, Ordering::SeqCst);
            std::thread::yield_now();
            within.fetch_sub(1, Ordering::SeqCst);
            if (who + turn) % 2 == 0 { permit.success() } else { permit.ignore() }
        }
    });
    assert!((1..=3).contains(&most.load(Ordering::SeqCst)), "{most:?}");
    let snapshot = breaker.snapshot();
    assert_eq!((snapshot.state, snapshot.probes), (BreakerState::HalfOpen, 0));
    assert_eq!(snapshot.refused, 200 * 50 - let_through.load(Ordering::SeqCst) as u64);
}

#[test]
fn of_two_hundred_callers_after_the_wait_exactly_the_permitted_number_is_let_through() {
    let (breaker, hand) = timed(quick().permitted_number_of_calls_in_half_open_state(100));
    breaker.open();
    hand.advance(SECOND);
    let kept = Mutex::new(Vec::new());
    threads(200, |_| kept.lock().extend(breaker.permit().ok()));
    assert_eq!((kept.lock().len(), breaker.snapshot().refused), (100, 100));
}

#[test]
fn no_failure_of_many_threads_is_lost() {
    let (breaker, _) = timed(CircuitBreaker::builder("a").consecutive_failures(2_000));
    threads(20, |_| {
        for _ in 0..100 {
            assert_eq!(breaker.state(), BreakerState::Closed);
            breaker.permit().expect("not yet").failure();
        }
    });
    assert_eq!((breaker.state(), breaker.snapshot().opened), (BreakerState::Open, 1));
    let within = CircuitBreaker::builder("a").failures_within(2_000, SECOND);
    let (breaker, _) = timed(within);
    let sum = AtomicU64::new(0);
    threads(20, |_| {
        for _ in 0..100 {
            breaker.permit().expect("not yet").failure();
            drop(breaker.permit().map(Permit::success));
            sum.fetch_add(1, Ordering::Relaxed);
        }
    });
    assert_eq!((breaker.state(), sum.into_inner()), (BreakerState::Open, 2_000));
}

#[test]
fn a_call_that_goes_well_tells_what_other_rules_or_time_have_made_too_bad() {
    let builder = |percent| {
        let window = CallWindow::Time(SECOND * 10);
        let builder = CircuitBreaker::builder("a").sliding_window(window).minimum_number_of_calls(2);
        builder.failure_rate_threshold(percent)
    };
    let (breaker, _) = timed(builder(100.0));
    let _ = (good(&breaker), bad(&breaker), bad(&breaker), good(&breaker));
    breaker.change(builder(40.0).settings().expect("they are good")).tell();
    assert_eq!(breaker.state(), BreakerState::Closed, "not by the change");
    assert_eq!((good(&breaker), breaker.state()), (Ok(()), BreakerState::Open), "2 of 5");

    let (breaker, hand) = timed(builder(50.0));
    let _ = (good(&breaker), good(&breaker), good(&breaker));
    hand.advance(SECOND * 5);
    let _ = (bad(&breaker), bad(&breaker));
    hand.advance(SECOND * 5);
    assert_eq!((breaker.snapshot().failure_rate, breaker.state()), (Some(100.0), BreakerState::Closed));
    assert_eq!((good(&breaker), breaker.state()), (Ok(()), BreakerState::Open), "2 of 3");
}

#[test]
fn no_call_of_many_threads_is_lost_or_doubled_by_a_window_by_time() {
    let window = CallWindow::Time(SECOND * 10);
    let (breaker, hand) =
        timed(CircuitBreaker::builder("a").sliding_window(window).minimum_number_of_calls(u32::MAX));
    threads(20, |who| {
        let mut seen = 0;
        for turn in 0..500 {
            let permit = breaker.permit().expect("closed");
            if (who + turn) % 50 == 0 {
                permit.failure()
            } else {
                permit.success()
            }
            if turn % 100 == 0 {
                let calls = breaker.snapshot().calls.calls;
                assert!(calls > seen, "its own are there");
                seen = calls;
            }
        }
    });
    let calls = breaker.snapshot().calls;
    assert_eq!((calls.calls, calls.failed), (10_000, 200));
    hand.advance(SECOND * 9);
    assert_eq!(good(&breaker), Ok(()));
    assert_eq!(breaker.snapshot().calls.calls, 10_001);
    hand.advance(SECOND);
    assert_eq!(breaker.snapshot().calls.calls, 1);
}

#[test]
fn a_breaker_that_cannot_be_is_refused() {
    let refused = CircuitBreaker::builder("db").failure_rate_threshold(0.0).build().expect_err("no rate");
    let expected = "breaker `db`: `failure_rate_threshold` is 0, expected more than 0 and at most 100";
    assert_eq!(refused.to_string(), expected);
    let none: Result<_, BreakerSettingsError> = quick().per_key(0, SECOND);
    assert_eq!(none.expect_err("none").to_string(), "breaker `db`: `per_key` is 0, expected 1 or more");
    assert!(quick().wait_backoff(0.5, SECOND).per_key(1, SECOND).is_err());
}

#[test]
fn each_key_has_a_breaker_of_its_own_until_nobody_wants_it() {
    let (clock, hand) = Clock::manual();
    let breakers = quick().clock(clock).per_key(2, SECOND * 60).expect("good");
    assert!(bad(&breakers.get("a")).is_err());
    assert_eq!(breakers.get("a").state(), BreakerState::Open);
    assert_eq!(breakers.get("b").state(), BreakerState::Closed);
    let names = |breakers: &breakers::Breakers| {
        breakers.snapshots().iter().map(|one| one.name.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(names(&breakers), ["db/a", "db/b"]);
    drop(breakers.get("a"));
    let held = breakers.get("c");
    assert_eq!(names(&breakers), ["db/a", "db/c"]);
    hand.advance(SECOND * 60);
    assert_eq!(breakers.get("a").state(), BreakerState::Closed, "a new one");
    held.open();
    assert_eq!(breakers.get("c").state(), BreakerState::Open, "the one that is held");
    let info = breakers.info();
    assert_eq!((info.breakers, info.expired, info.evicted), (2, 1, 1));
}

#[test]
fn all_threads_have_the_same_breaker_of_a_key() {
    let breakers = quick().per_key(10, SECOND * 60).expect("good");
    let opened = AtomicUsize::new(0);
    threads(50, |who| {
        let breaker = breakers.get(if who % 2 == 0 { "a" } else { "b" });
        if breaker.permit().map(Permit::failure).is_ok() {
            opened.fetch_add(1, Ordering::SeqCst);
        }
    });
    let snapshots = breakers.snapshots();
    assert_eq!(snapshots.iter().map(|one| one.opened).collect::<Vec<_>>(), [1, 1]);
    let refused: u64 = snapshots.iter().map(|one| one.refused).sum();
    assert_eq!(refused + opened.into_inner() as u64, 50);
}

/// The options, each as a step of the builder.
type Given = fn(BreakerBuilder) -> BreakerBuilder;
const OPTIONS: [Given; 11] = [
    |builder| builder.consecutive_failures(7),
    |builder| builder.failures_within(9, SECOND),
    |builder| builder.failure_rate_threshold(40.0),
    |builder| builder.slow_call_rate_threshold(60.0),
    |builder| builder.slow_call_duration_threshold(SECOND),
    |builder| builder.sliding_window(CallWindow::Count(20)),
    |builder| builder.minimum_number_of_calls(50),
    |builder| builder.wait_duration_in_open_state(SECOND * 3),
    |builder| builder.wait_backoff(2.0, SECOND * 30),
    |builder| builder.permitted_number_of_calls_in_half_open_state(60).success_threshold(4),
    |builder| builder.max_wait_duration_in_half_open_state(SECOND * 8).coarse_clock(),
];

proptest! {
    #[test]
    fn options_are_honoured_in_any_order(
        order in Just((0..OPTIONS.len()).collect::<Vec<_>>()).prop_shuffle(), number in 0..=OPTIONS.len(),
    ) {
        let mut sorted = order[..number].to_vec();
        sorted.sort_unstable();
        let built = |order: &[usize]| {
            let builder = order.iter().fold(CircuitBreaker::builder("a"), |builder, at| OPTIONS[*at](builder));
            (builder.settings().expect("good"), builder.is_coarse())
        };
        let (settings, is_coarse) = built(&order[..number]);
        prop_assert_eq!((settings.clone(), is_coarse), built(&sorted));
        let has = |option: usize| sorted.contains(&option);
        prop_assert_eq!(settings.consecutive, has(0).then_some(7));
        prop_assert_eq!(settings.counted.is_some(), has(1));
        prop_assert_eq!(settings.rate.is_some(), (2..=6).any(has) || !(has(0) || has(1)));
        let minimum = if has(6) { 50 } else { 100 };
        let minimum = if has(5) { 20 } else { minimum };
        prop_assert!(settings.rate.is_none_or(|rate| rate.minimum == minimum));
        prop_assert_eq!(settings.wait_nanos, if has(7) { 3_000_000_000 } else { 60_000_000_000 });
        prop_assert_eq!((settings.successes, is_coarse), (has(9).then_some(4), has(10)));
    }
}

#[test]
fn no_time_at_all_for_half_open_is_no_limit_as_in_resilience4j() {
    let (breaker, hand) = timed(
        quick()
            .permitted_number_of_calls_in_half_open_state(2)
            .max_wait_duration_in_half_open_state(Duration::ZERO),
    );
    breaker.open();
    hand.advance(SECOND);
    assert_eq!((good(&breaker), breaker.state()), (Ok(()), BreakerState::HalfOpen));
    hand.advance(SECOND);
    assert_eq!((good(&breaker), breaker.state()), (Ok(()), BreakerState::Closed));
}

#[test]
fn what_is_given_back_in_the_midst_of_unwinding_is_no_failure_by_that() {
    struct Asks(CircuitBreaker);
    impl Drop for Asks {
        fn drop(&mut self) {
            drop(self.0.permit());
        }
    }
    let (breaker, _) = timed(quick());
    let panicked = catch_unwind(AssertUnwindSafe(|| {
        let _asks = Asks(breaker.clone());
        panic!("lost")
    }));
    assert!(panicked.is_err());
    assert_eq!(breaker.state(), BreakerState::Closed);
}

#[test]
fn where_a_probe_may_be_made_nobody_is_told_to_wait() {
    let limited = quick()
        .permitted_number_of_calls_in_half_open_state(1)
        .max_wait_duration_in_half_open_state(SECOND * 5);
    for builder in [quick().permitted_number_of_calls_in_half_open_state(1), limited] {
        let (breaker, _) = timed(builder);
        breaker.open();
        let refused = breaker.permit().map(drop).expect_err("open");
        breaker.half_open();
        let probe = breaker.permit().expect("a probe");
        assert_ne!(refused.retry_after(), Some(Duration::ZERO), "the probe is under way");
        drop(probe);
        assert_eq!(refused.retry_after(), Some(Duration::ZERO));
    }
}

#[test]
fn a_sink_may_use_the_breaker_it_hears_of() {
    struct Closes(Mutex<Option<CircuitBreaker>>);
    impl Sink for Closes {
        fn event(&self, event: &Event) {
            let breaker = self.0.lock().clone().expect("it is there");
            if event.kind == "breaker_opened" {
                assert!(good(&breaker).is_err() && breaker.snapshot().opened == 1);
                breaker.close();
            }
        }
    }
    let sink = Arc::new(Closes(Mutex::new(None)));
    let (breaker, _) = timed(quick().sink(Arc::clone(&sink) as Arc<dyn Sink>));
    *sink.0.lock() = Some(breaker.clone());
    assert!(bad(&breaker).is_err());
    assert_eq!(breaker.state(), BreakerState::Closed);
    *sink.0.lock() = None;
}

#[test]
fn who_is_closed_forgets_each_kind_of_failure() {
    let rules: [fn(BreakerBuilder) -> BreakerBuilder; 3] = [
        |builder| builder.consecutive_failures(2),
        |builder| builder.failures_within(2, SECOND),
        |builder| builder.sliding_window(CallWindow::Count(2)),
    ];
    for rule in rules {
        let (breaker, _) = timed(rule(CircuitBreaker::builder("a")));
        assert!(bad(&breaker).is_err());
        breaker.close();
        assert!(bad(&breaker).is_err());
        assert_eq!(breaker.state(), BreakerState::Closed);
        assert!(bad(&breaker).is_err());
        assert_eq!(breaker.state(), BreakerState::Open);
    }
}

#[test]
fn a_snapshot_says_since_when_and_until_when_and_rates_only_of_enough_calls() {
    let (breaker, hand) = timed(
        quick()
            .minimum_number_of_calls(2)
            .slow_call_duration_threshold(SECOND)
            .max_wait_duration_in_half_open_state(SECOND * 5),
    );
    hand.advance(SECOND);
    breaker.open();
    let snapshot = breaker.snapshot();
    assert_eq!((snapshot.since, snapshot.until), (hand.now(), Some(hand.now() + SECOND)));
    hand.advance(SECOND);
    let probe = breaker.permit().expect("the wait is over");
    let snapshot = breaker.snapshot();
    assert_eq!((snapshot.since, snapshot.until), (hand.now(), Some(hand.now() + SECOND * 5)));
    assert_eq!((snapshot.probes, snapshot.opened), (1, 1));
    drop(probe);
    breaker.close();
    assert_eq!((breaker.snapshot().probes, breaker.snapshot().until), (0, None));
    let rates = || (breaker.snapshot().failure_rate, breaker.snapshot().slow_call_rate);
    assert_eq!((good(&breaker), rates()), (Ok(()), (None, None)));
    assert_eq!((good(&breaker), rates()), (Ok(()), (Some(0.0), Some(0.0))));
}

#[test]
fn with_a_number_of_successes_a_slow_probe_opens_it() {
    let (breaker, hand) = timed(quick().slow_call_duration_threshold(SECOND).success_threshold(2));
    breaker.half_open();
    assert_eq!((good(&breaker), breaker.state()), (Ok(()), BreakerState::HalfOpen));
    let slow = breaker.call(|| {
        hand.advance(SECOND * 2);
        Ok::<_, &str>(())
    });
    assert_eq!((slow, breaker.state()), (Ok(()), BreakerState::Open));
}
