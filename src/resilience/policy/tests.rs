//! A policy in simulated time: each part in its place, what is told, what is counted.

mod breaker;
mod changes;
mod events;
mod random;
mod stopping;
mod threads;

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::*;
use crate::error::ErrorKind;
use crate::resilience::backoff::Schedule;
use crate::resilience::bulkhead::BulkheadError;
use crate::resilience::context::ErrorContext;
use crate::resilience::retry::StopSignal;
use crate::resilience::shed::Shed;
use crate::resilience::sink::{Event, Sink};
use crate::sync::{Clock, Pace};

const MS: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);

type Deed = Box<dyn FnOnce() + Send>;

/// A clock by which nobody waits: whoever parks finds that the time has come.
pub(super) struct Ease {
    start: Instant,
    passed: AtomicU64,
    /// What somebody does while the next waits last, one after the other.
    meanwhile: Mutex<Vec<Deed>>,
}

impl Ease {
    pub(super) fn new() -> Arc<Self> {
        let start = Clock::system().now();
        Arc::new(Self { start, passed: AtomicU64::new(0), meanwhile: Mutex::new(Vec::new()) })
    }

    pub(super) fn clock(self: &Arc<Self>) -> Clock {
        Clock::paced(Arc::clone(self) as Arc<dyn Pace>)
    }

    pub(super) fn pass(&self, time: Duration) {
        self.passed.fetch_add(nanos(time), Ordering::SeqCst);
    }

    pub(super) fn passed(&self) -> Duration {
        Duration::from_nanos(self.passed.load(Ordering::SeqCst))
    }

    pub(super) fn meanwhile(&self, deed: impl FnOnce() + Send + 'static) {
        self.meanwhile.lock().push(Box::new(deed));
    }
}

impl Pace for Ease {
    fn now(&self) -> Instant {
        self.start + self.passed()
    }

    fn park(&self, deadline: Option<Instant>) {
        let deed = self.meanwhile.lock().pop();
        if let Some(deed) = deed {
            return deed();
        }
        let end = deadline.expect("no wait is without an end");
        let passed = nanos(end.saturating_duration_since(self.start));
        self.passed.fetch_max(passed, Ordering::SeqCst);
    }
}

impl fmt::Debug for Ease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Ease({:?})", self.passed())
    }
}

#[derive(Default)]
pub(super) struct Heard(pub(super) Mutex<Vec<Event>>);

impl Sink for Heard {
    fn event(&self, event: &Event) {
        self.0.lock().push(event.clone());
    }
}

impl Heard {
    pub(super) fn take(&self) -> Vec<(&'static str, String)> {
        let events = std::mem::take(&mut *self.0.lock());
        events.into_iter().map(|event| (event.kind, event.detail)).collect()
    }

    pub(super) fn kinds(&self) -> Vec<&'static str> {
        self.take().into_iter().map(|(kind, _)| kind).collect()
    }
}

/// A policy in simulated time, with all that a test wants to see.
pub(super) struct Stage {
    pub(super) policy: Policy,
    pub(super) time: Arc<Ease>,
    pub(super) heard: Arc<Heard>,
    pub(super) stop: StopSignal,
}

pub(super) fn stage(settings: PolicySettings) -> Stage {
    let (time, heard, stop) = (Ease::new(), Arc::new(Heard::default()), StopSignal::new());
    let builder = Policy::builder("store").settings(settings).clock(time.clock()).stop_on(&stop).seed(1);
    let policy = builder.sink(Arc::clone(&heard) as Arc<dyn Sink>).build().expect("the settings are good");
    Stage { policy, time, heard, stop }
}

impl Stage {
    pub(super) fn good(&self) -> Result<u8, PolicyError<ErrorKind>> {
        self.policy.run(|_| Ok(7))
    }

    pub(super) fn bad(&self, kind: ErrorKind) -> PolicyError<ErrorKind> {
        self.policy.run(|_| Err::<(), _>(kind)).expect_err("it fails")
    }

    pub(super) fn counts(&self) -> PolicyCounts {
        self.policy.snapshot().counts
    }
}

pub(super) fn none() -> PolicySettings {
    PolicySettings::default()
}

pub(super) fn shedding(max_in_progress: u64, max_age: Duration) -> Option<SheddingSettings> {
    Some(SheddingSettings { max_in_progress, max_age })
}

pub(super) fn rate(period: Duration, burst: u32, timeout: Duration) -> Option<RateSettings> {
    let (limit_for_period, burst) = (1, Some(burst));
    Some(RateSettings { limit_for_period, limit_refresh_period: period, burst, timeout })
}

pub(super) fn bulkhead(max_concurrent_calls: u32, max_wait: Duration) -> Option<BulkheadSettings> {
    Some(BulkheadSettings { max_concurrent_calls, max_wait })
}

pub(super) fn breaker(failures: u32) -> Option<BreakerSettings> {
    Some(BreakerSettings {
        consecutive_failures: Some(failures),
        wait_duration_in_open_state: SECOND,
        success_threshold: Some(1),
        ..Default::default()
    })
}

pub(super) fn retry(max_attempts: u32, wait: Duration) -> Option<RetrySettings> {
    Some(RetrySettings { max_attempts, schedule: Schedule::constant(wait), ..Default::default() })
}

#[test]
fn a_policy_of_nothing_runs_all_and_counts_it() {
    let stage = stage(none());
    assert_eq!(stage.good().ok(), Some(7));
    let error = stage.bad(ErrorKind::Transient);
    assert!(matches!(error, PolicyError::Failed { no_retry: NoRetry::NotConfigured, .. }));
    assert_eq!((error.trail().attempts, error.kind()), (1, ErrorKind::Transient));
    let counts = stage.counts();
    assert_eq!((counts.succeeded, counts.failed, counts.attempts, counts.runs()), (1, 1, 2, 2));
}

#[test]
fn too_many_runs_and_late_ones_are_shed() {
    let stage = stage(PolicySettings { shedding: shedding(1, 100 * MS), ..none() });
    let inner = stage.policy.run(|_| Ok::<_, ErrorKind>(stage.good())).expect("it is the first");
    let Err(PolicyError::Shed { source: Shed::TooDeep { depth, most, .. }, .. }) = inner else {
        panic!("{inner:?}");
    };
    assert_eq!((depth, most), (1, 1));
    let with = |age: Duration| stage.policy.call().waited(age).run(|_| Ok::<_, ErrorKind>(()));
    assert!(with(100 * MS).is_ok());
    let late = with(101 * MS).expect_err("it is too late");
    assert!(matches!(&late, PolicyError::Shed { source: Shed::TooOld { age, .. }, .. } if *age == 101 * MS));
    assert_eq!((late.kind(), late.retry_after(), late.trail().attempts), (ErrorKind::Transient, None, 0));
    assert!(late.is_refused() && stage.counts().shed == 2);
    assert_eq!(stage.policy.snapshot().shedding.map(|shedder| shedder.depth), Some(0));
}

#[test]
fn what_is_late_when_it_comes_takes_no_permit_and_what_becomes_late_by_its_waits_is_shed() {
    let rate = rate(100 * MS, 1, SECOND);
    let stage = stage(PolicySettings { shedding: shedding(9, 50 * MS), rate, ..none() });
    let late = stage.policy.call().waited(51 * MS).run(|_| Ok::<_, ErrorKind>(()));
    assert!(matches!(late, Err(PolicyError::Shed { .. })));
    assert!(stage.good().is_ok(), "the permit is still there");
    let late = stage.good().expect_err("it waits for 100 ms");
    assert!(
        matches!(&late, PolicyError::Shed { source: Shed::TooOld { age, .. }, .. } if *age == 100 * MS),
        "{late:?}"
    );
    assert_eq!((late.trail().waited, late.trail().elapsed), (100 * MS, Some(100 * MS)));
}

#[test]
fn a_rate_limit_is_waited_for_up_to_its_timeout() {
    let stage = stage(PolicySettings { rate: rate(100 * MS, 1, 100 * MS), ..none() });
    assert!(stage.good().is_ok() && stage.good().is_ok());
    assert_eq!(stage.time.passed(), 100 * MS);
    stage.time.pass(100 * MS);
    let in_the_first = stage.policy.run(|_| {
        let second = stage.good();
        Ok::<_, ErrorKind>((second, stage.time.passed()))
    });
    assert!(matches!(in_the_first, Ok((Ok(7), at)) if at == 300 * MS), "{in_the_first:?}");
    stage.policy.change(PolicySettings { rate: rate(100 * MS, 1, 99 * MS), ..none() }).expect("good");
    let error = stage.good().expect_err("it is a millisecond too late");
    let PolicyError::Limited { source, .. } = &error else { panic!("{error:?}") };
    assert_eq!((source.retry_after, error.retry_after()), (100 * MS, Some(100 * MS)));
    assert_eq!((stage.time.passed(), stage.counts().limited), (300 * MS, 1));
}

#[test]
fn without_a_timeout_a_rate_limit_is_not_waited_for() {
    let stage = stage(PolicySettings { rate: rate(100 * MS, 2, Duration::ZERO), ..none() });
    assert!(stage.good().is_ok() && stage.good().is_ok());
    assert_eq!(stage.good().expect_err("there is none").retry_after(), Some(100 * MS));
    assert_eq!(stage.time.passed(), Duration::ZERO);
}

#[test]
fn a_full_bulkhead_is_waited_for_and_what_was_waited_is_in_the_error() {
    let stage = stage(PolicySettings { bulkhead: bulkhead(1, 30 * MS), ..none() });
    let error = stage.policy.run(|_| Ok::<_, ErrorKind>(stage.good())).expect("it has the place");
    let Err(PolicyError::Full { source: BulkheadError::Full { waited, .. }, trail }) = error else {
        panic!("{error:?}");
    };
    assert_eq!((waited, trail.waited, trail.elapsed, trail.attempts), (30 * MS, 30 * MS, None, 0));
    assert_eq!((stage.counts().full, stage.good().ok()), (1, Some(7)));
}

#[test]
fn a_place_that_becomes_free_in_time_is_taken_and_the_wait_is_no_part_of_the_time_budget() {
    let time_budget = Some(20 * MS);
    let stage = stage(PolicySettings { bulkhead: bulkhead(1, SECOND), time_budget, ..none() });
    let held = stage.policy.0.parts.load().bulkhead.clone().expect("there is one").0;
    let permit = held.try_acquire().expect("it is empty");
    let time = Arc::clone(&stage.time);
    stage.time.meanwhile(move || {
        time.pass(500 * MS);
        drop(permit);
    });
    let error = stage.policy.run(|cx| {
        assert_eq!(cx.remaining(), Some(20 * MS));
        Err::<(), _>(ErrorKind::System)
    });
    assert_eq!(error.expect_err("it fails").trail().waited, 500 * MS);
}

#[test]
fn what_comes_earlier_in_the_order_refuses_first_and_what_was_taken_is_given_back() {
    let all = PolicySettings {
        shedding: shedding(1, SECOND),
        rate: rate(SECOND, 1, Duration::ZERO),
        bulkhead: bulkhead(1, Duration::ZERO),
        breaker: breaker(1),
        ..none()
    };
    let inner = |settings: PolicySettings| {
        let stage = stage(settings);
        stage.bad(ErrorKind::System); // takes the permit of the rate, opens the breaker
        let held = stage.policy.0.parts.load();
        let _ticket = held.shedder.as_ref().map(|shedder| shedder.enter().expect("the first"));
        let _permit = held.bulkhead.as_ref().map(|(bulkhead, _)| bulkhead.try_acquire().expect("the first"));
        let end = stage.good().expect_err("nothing is left").end().as_str();
        let snapshot = stage.policy.snapshot();
        assert_eq!(snapshot.bulkhead.map_or(1, |bulkhead| bulkhead.in_use), 1);
        assert_eq!(snapshot.shedding.map_or(1, |shedder| shedder.depth), 1);
        end
    };
    assert_eq!(inner(all.clone()), "shed");
    let all = PolicySettings { shedding: None, ..all };
    assert_eq!(inner(all.clone()), "limited");
    let all = PolicySettings { rate: None, ..all };
    assert_eq!(inner(all.clone()), "full");
    assert_eq!(inner(PolicySettings { bulkhead: None, ..all }), "open");
}

#[test]
fn what_is_transient_is_tried_again_and_the_waits_are_in_the_story() {
    let stage = stage(PolicySettings { retry: retry(3, 100 * MS), ..none() });
    let numbers = std::cell::RefCell::new(Vec::new());
    let done = stage.policy.run(|cx| {
        numbers.borrow_mut().push(cx.attempt());
        stage.time.pass(10 * MS);
        if cx.attempt() < 3 { Err(ErrorKind::Transient) } else { Ok(cx.attempt()) }
    });
    assert_eq!((done.ok(), numbers.into_inner()), (Some(3), vec![1, 2, 3]));
    let error = stage.bad(ErrorKind::Transient);
    assert!(matches!(error, PolicyError::Failed { no_retry: NoRetry::NoAttemptsLeft, .. }));
    assert_eq!((error.trail().attempts, error.trail().waited), (3, 200 * MS));
    let error = stage.bad(ErrorKind::Permanent);
    assert!(matches!(error, PolicyError::Failed { no_retry: NoRetry::NotRetryable, .. }));
    let counts = stage.counts();
    assert_eq!((counts.succeeded, counts.failed, counts.attempts, counts.retried), (1, 2, 7, 4));
    assert_eq!(
        stage.heard.take(),
        [
            ("retried", "succeeded; 3 attempts, waited 200ms, took 230ms".to_owned()),
            (
                "failed",
                "`store` failed, no attempts left: a fault of kind Transient; 3 attempts, waited 200ms, \
                 took 200ms"
                    .to_owned()
            ),
            (
                "failed",
                "`store` failed, not to be retried: a fault of kind Permanent; 1 attempt, took 0ns"
                    .to_owned()
            ),
        ]
    );
}

#[test]
fn a_hint_of_the_peer_is_heeded_or_too_long() {
    let settings = RetrySettings { max_retry_after: SECOND, ..retry(2, MS).expect("it is one") };
    let stage = stage(PolicySettings { retry: Some(settings), ..none() });
    let refused = |after: Duration| {
        let judge = move |(): &()| Fault { kind: ErrorKind::Transient, retry_after: Some(after) };
        stage.policy.run_with(judge, |_| Err::<(), ()>(())).expect_err("it is refused")
    };
    let error = refused(SECOND);
    assert_eq!((error.trail().attempts, error.trail().waited), (2, SECOND));
    let error = refused(2 * SECOND);
    let hint = NoRetry::HintTooLong { retry_after: 2 * SECOND, max: SECOND };
    assert!(matches!(error, PolicyError::Failed { no_retry, .. } if no_retry == hint));
    assert_eq!(refused(2 * SECOND).retry_after(), Some(2 * SECOND));
}

#[test]
fn a_budget_of_retries_is_shared_by_all_runs() {
    let budget = Some(RetryBudgetSettings { max_tokens: 1, token_ratio: 0.0 });
    let settings = RetrySettings { budget, ..retry(2, MS).expect("it is one") };
    let stage = stage(PolicySettings { retry: Some(settings), ..none() });
    assert_eq!(stage.bad(ErrorKind::Transient).trail().attempts, 2);
    let error = stage.bad(ErrorKind::Transient);
    assert!(matches!(error, PolicyError::Failed { no_retry: NoRetry::BudgetSpent, .. }));
    assert_eq!(error.trail().attempts, 1);
}

#[test]
fn there_is_no_attempt_beyond_the_time_budget() {
    let time_budget = Some(300 * MS);
    let stage = stage(PolicySettings { time_budget, retry: retry(9, 100 * MS), ..none() });
    let mut left = Vec::new();
    let error = stage.policy.run(|cx| {
        left.push(cx.remaining().expect("there is a budget"));
        Err::<(), _>(ErrorKind::Transient)
    });
    assert_eq!(left, [300 * MS, 200 * MS, 100 * MS]);
    let error = error.expect_err("it fails");
    assert!(matches!(error, PolicyError::TimedOut { source: Some(ErrorKind::Transient), .. }));
    assert_eq!((error.trail().waited, stage.counts().timed_out), (200 * MS, 1));
    let text = "the time of `store` was over, a budget of 300ms: a fault of kind Transient; 3 attempts, \
                waited 200ms, took 200ms";
    assert_eq!(stage.heard.take(), [("timed_out", text.to_owned())]);
}

#[test]
fn what_fails_when_the_time_is_over_has_timed_out_if_it_is_transient() {
    let stage = stage(PolicySettings { time_budget: Some(100 * MS), ..none() });
    let slow = |kind, took: Duration| {
        let run = stage.policy.run(|_| {
            stage.time.pass(took);
            Err::<(), _>(kind)
        });
        run.expect_err("it fails")
    };
    let late = slow(ErrorKind::Transient, 100 * MS);
    assert!(matches!(late, PolicyError::TimedOut { source: Some(ErrorKind::Transient), .. }), "{late:?}");
    for (kind, took) in
        [(ErrorKind::Transient, 99 * MS), (ErrorKind::User, 100 * MS), (ErrorKind::System, 100 * MS)]
    {
        let error = slow(kind, took);
        assert!(matches!(error, PolicyError::Failed { .. }) && error.kind() == kind, "{error:?}");
    }
}

#[test]
fn a_value_that_comes_too_late_is_handed_on_and_told() {
    let stage = stage(PolicySettings { time_budget: Some(100 * MS), ..none() });
    let slow = |took: Duration| {
        stage.policy.run(|_| {
            stage.time.pass(took);
            Ok::<_, ErrorKind>(7)
        })
    };
    assert_eq!((slow(99 * MS).ok(), slow(100 * MS).ok()), (Some(7), Some(7)));
    let counts = stage.counts();
    assert_eq!((counts.succeeded, counts.late, counts.runs()), (2, 1, 2));
    let text = "succeeded, after its time budget of 100ms; 1 attempt, took 100ms";
    assert_eq!(stage.heard.take(), [("late", text.to_owned())]);
}

#[test]
fn without_a_budget_there_is_all_the_time_and_nobody_is_stopped() {
    let stage = stage(none());
    let seen = stage.policy.run(|cx| Ok::<_, ErrorKind>((cx.deadline(), cx.remaining(), cx.is_stopped())));
    assert_eq!(seen.ok(), Some((crate::service::deadline::Deadline::unbounded(), None, false)));
}

#[test]
fn a_closure_has_another_value_or_none_for_what_it_is_told() {
    let stage = stage(PolicySettings { breaker: breaker(1), ..none() });
    let served = stage.policy.run_or(|_| Err(ErrorKind::System), |error| error.last().map(|_| 1));
    assert_eq!(served.ok(), Some(1));
    let served = stage.policy.run_or(|_| Ok::<_, ErrorKind>(2), |error| error.is_refused().then_some(3));
    assert_eq!(served.ok(), Some(3), "the breaker is open");
    let none = stage.policy.run_or(|_| Ok::<u8, ErrorKind>(2), |_| None).expect_err("there is none");
    assert_eq!(none.trail().fallback, Some(NoFallback::Declined));
    assert_eq!(stage.bad(ErrorKind::User).trail().fallback, None, "nobody was asked");
    let counts = stage.counts();
    assert_eq!((counts.failed, counts.open, counts.fallback_served, counts.runs()), (1, 3, 2, 4));
}

#[test]
fn the_last_good_value_is_served_with_its_age_where_that_is_to_be_covered_up() {
    let stage = stage(PolicySettings { breaker: breaker(1), ..none() });
    let builder = Fallback::builder("rates").max_age(10 * SECOND).clock(stage.time.clock());
    let rates: Fallback<u8> = builder.build();
    let fails = |kind| stage.policy.run_or_last(&rates, |_| Err::<u8, _>(kind));
    let none = fails(ErrorKind::User).expect_err("it is not to be covered up");
    assert_eq!(none.trail().fallback, Some(NoFallback::NotCovered));
    let none = fails(ErrorKind::System).expect_err("there is no value yet");
    assert_eq!(none.trail().fallback, Some(NoFallback::NoValue));
    stage.time.pass(SECOND);
    assert!(stage.policy.run_or_last(&rates, |_| Ok::<_, ErrorKind>(5)).expect("a probe").is_fresh());
    stage.time.pass(10 * SECOND);
    let from = crate::resilience::ServedFrom::Cached { age: 10 * SECOND };
    for _failed_then_refused in 0..2 {
        let served = fails(ErrorKind::System).expect("there is one");
        assert_eq!((*served.value, served.from), (5, from));
    }
    stage.time.pass(MS);
    let old = fails(ErrorKind::System).expect_err("it is too old");
    let too_old = NoFallback::TooOld { age: 10 * SECOND + MS, max_age: 10 * SECOND };
    assert_eq!((old.trail().fallback, stage.counts().fallback_served), (Some(too_old), 2));
    let seen = rates.snapshot();
    assert_eq!((seen.fresh, seen.cached, seen.failed), (1, 2, 3));
    let kinds = stage.heard.kinds();
    assert_eq!(kinds.iter().filter(|kind| **kind == "fallback_served").count(), 2, "{kinds:?}");
}

#[test]
fn the_error_knows_what_the_thread_was_doing_and_the_context_is_restored_also_on_panic() {
    let stage = stage(PolicySettings { retry: retry(2, MS), breaker: breaker(9), ..none() });
    let error = ErrorContext::correlated("order 17", || {
        ErrorContext::within("checkout", || {
            let error = stage.policy.run(|_| {
                ErrorContext::within("payment", || Err::<(), _>(ErrorContext::attach(ErrorKind::System)))
            });
            assert_eq!(ErrorContext::current().to_string(), "checkout; order 17");
            error.expect_err("it fails")
        })
    });
    assert_eq!(error.trail().context.to_string(), "checkout; order 17");
    assert_eq!(
        error.last().map(|last| last.context.to_string()),
        Some("checkout > payment; order 17".into())
    );
    ErrorContext::within("outer", || {
        let panicked = catch_unwind(AssertUnwindSafe(|| {
            stage.policy.run(|_| -> Result<(), ErrorKind> {
                ErrorContext::within("inner", || resume_unwind(Box::new("boom")))
            })
        }));
        assert!(panicked.is_err());
        assert_eq!(ErrorContext::current().to_string(), "outer");
    });
}

#[test]
fn errors_say_what_was_exceeded_and_what_was_gone_through() {
    let stage = stage(PolicySettings { rate: rate(SECOND, 1, Duration::ZERO), ..none() });
    let run = || stage.policy.run(|_| Err::<(), _>(std::io::Error::from(std::io::ErrorKind::NotFound)));
    let failed = run().expect_err("it fails").to_string();
    assert_eq!(failed, "`store` failed, not to be retried here: entity not found; 1 attempt, took 0ns");
    let error = ErrorContext::within("checkout", run).expect_err("it is limited");
    let text = "the rate limit of `store` is reached for another 1s; 0 attempts, took 0ns (in checkout)";
    assert_eq!(error.to_string(), text);
    assert!(std::error::Error::source(&error).is_none());
}

#[test]
fn clones_are_the_same_policy() {
    let stage = stage(PolicySettings { breaker: breaker(1), ..none() });
    let other = stage.policy.clone();
    stage.bad(ErrorKind::System);
    assert!(matches!(other.run(|_| Ok::<_, ErrorKind>(1)), Err(PolicyError::Open { .. })));
    other.change(none()).expect("nothing is good");
    assert_eq!((stage.good().ok(), other.snapshot()), (Some(7), stage.policy.snapshot()));
    assert_eq!(other.snapshot().counts.runs(), 3);
}

#[test]
fn a_run_within_a_run_is_one_of_its_own() {
    let stage = stage(PolicySettings { bulkhead: bulkhead(2, Duration::ZERO), ..none() });
    let second = || stage.policy.run(|_| Ok::<_, ErrorKind>(stage.good()));
    let nested = stage.policy.run(|_| Ok::<_, ErrorKind>(second()));
    let third = nested.expect("the first").expect("the second").expect_err("the third is refused");
    assert!(matches!(third, PolicyError::Full { .. }));
    assert_eq!((stage.counts().succeeded, stage.counts().full), (2, 1));
}

/// A clock that goes on a little with each look at it, as real ones do.
#[derive(Debug)]
struct Ticking(Instant, AtomicU64);

impl Pace for Ticking {
    fn now(&self) -> Instant {
        self.0 + Duration::from_nanos(self.1.fetch_add(1, Ordering::SeqCst))
    }

    fn park(&self, _: Option<Instant>) {
        unreachable!("nobody waits");
    }
}

#[test]
fn who_is_not_tried_again_has_not_waited() {
    let clock = Clock::paced(Arc::new(Ticking(Clock::system().now(), AtomicU64::new(0))));
    let budget = Some(RetryBudgetSettings { max_tokens: 0, token_ratio: 0.0 });
    let broke = Some(RetrySettings { budget, ..retry(3, MS).expect("it is one") });
    let hint = |after| Fault { kind: ErrorKind::Transient, retry_after: after };
    for (retry, time_budget, fault) in [
        (retry(3, MS), None, ErrorKind::Permanent.into()),
        (retry(1, MS), None, ErrorKind::Transient.into()),
        (broke, None, ErrorKind::Transient.into()),
        (retry(3, MS), None, hint(Some(3600 * SECOND))),
        (retry(3, SECOND), Some(SECOND), ErrorKind::Transient.into()),
    ] {
        let builder = Policy::builder("store").settings(PolicySettings { retry, time_budget, ..none() });
        let policy = builder.clock(clock.clone()).build().expect("good");
        let error = policy.run_with(|(): &()| fault, |_| Err::<(), _>(())).expect_err("it fails");
        assert_eq!(error.trail().waited, Duration::ZERO, "{error:?}");
        assert!(error.trail().elapsed > Some(Duration::ZERO), "{error:?}");
    }
}

#[test]
fn a_delay_that_lasts_beyond_the_time_budget_was_waited_for() {
    let stage = stage(PolicySettings { time_budget: Some(300 * MS), retry: retry(9, 100 * MS), ..none() });
    let time = Arc::clone(&stage.time);
    stage.time.meanwhile(move || time.pass(SECOND));
    let error = stage.bad(ErrorKind::Transient);
    assert!(matches!(error, PolicyError::TimedOut { source: Some(ErrorKind::Transient), .. }), "{error:?}");
    assert_eq!((error.trail().attempts, error.trail().waited), (1, SECOND));
}
