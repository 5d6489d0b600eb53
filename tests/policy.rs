//! A policy, as its users have it.
#![cfg(feature = "resilience")]

use std::convert::Infallible;
use std::io;
use std::num::ParseIntError;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Barrier, Mutex};
use std::thread;
use std::time::Duration;

use underpin::resilience::{
    BreakerSettings, BreakerState, BulkheadSettings, Classifier, ErrorContext, Event, Fallback, Fault,
    NoRetry, Policy, PolicyError, PolicySettings, RateSettings, RetrySettings, Schedule, ServedFrom,
    SheddingSettings, Sink, StopSignal,
};
use underpin::testing::Simulation;
use underpin::{Clock, Context, ErrorKind, ManualClock, Next, Reply, Service, Supervisor, child};

const MS: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);

/// What is asked: down, slow or well.
struct Peer {
    failures: AtomicU32,
    asked: AtomicU32,
}

impl Peer {
    fn down_for(calls: u32) -> Self {
        Self { failures: AtomicU32::new(calls), asked: AtomicU32::new(0) }
    }

    fn ask(&self) -> io::Result<&'static str> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        let is_down = self
            .failures
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1))
            .is_ok();
        if is_down { Err(io::ErrorKind::ConnectionRefused.into()) } else { Ok("hello") }
    }

    fn asked(&self) -> u32 {
        self.asked.load(Ordering::SeqCst)
    }
}

#[derive(Default)]
struct Heard(Mutex<Vec<Event>>);

impl Sink for Heard {
    fn event(&self, event: &Event) {
        self.0.lock().expect("no panic").push(event.clone());
    }
}

impl Heard {
    fn kinds(&self) -> Vec<&'static str> {
        self.0.lock().expect("no panic").iter().map(|event| event.kind).collect()
    }
}

fn everything() -> PolicySettings {
    PolicySettings {
        shedding: Some(SheddingSettings { max_in_progress: 50, max_age: 10 * SECOND }),
        rate: Some(RateSettings {
            limit_for_period: 1000,
            limit_refresh_period: SECOND,
            burst: Some(1000),
            timeout: SECOND,
        }),
        bulkhead: Some(BulkheadSettings { max_concurrent_calls: 10, max_wait: SECOND }),
        breaker: Some(BreakerSettings {
            consecutive_failures: Some(2),
            wait_duration_in_open_state: 5 * SECOND,
            success_threshold: Some(1),
            permitted_number_of_calls_in_half_open_state: 1,
            ..Default::default()
        }),
        time_budget: Some(2 * SECOND),
        retry: Some(RetrySettings {
            max_attempts: 3,
            schedule: Schedule::constant(Duration::ZERO),
            ..Default::default()
        }),
    }
}

fn timed(settings: PolicySettings) -> (Policy, ManualClock, Arc<Heard>) {
    let ((clock, hand), heard) = (Clock::manual(), Arc::new(Heard::default()));
    let builder = Policy::builder("peer").settings(settings).clock(clock).sink(Arc::clone(&heard) as _);
    (builder.build().expect("the settings are good"), hand, heard)
}

/// Asks in vain, in a service: what it waits for takes simulated time alone.
struct Asker(Policy);

impl Service for Asker {
    type Msg = Reply<PolicyError<ErrorKind>>;
    type Error = Infallible;

    fn handle(&mut self, reply: Self::Msg, _: &mut Context<Self>) -> Result<Next, Infallible> {
        reply.send(self.0.run(|_| Err::<(), _>(ErrorKind::Transient)).expect_err("it never succeeds"));
        Ok(Next::Continue)
    }
}

#[test]
fn a_peer_that_goes_down_is_left_alone_and_found_again() {
    let (policy, hand, heard) = timed(everything());
    let peer = Peer::down_for(8);
    let ask = || policy.run(|_| peer.ask());
    for _ in 0..2 {
        let Err(PolicyError::Failed { no_retry, source, trail, .. }) = ask() else { panic!("it is down") };
        assert_eq!((no_retry, source.kind()), (NoRetry::NoAttemptsLeft, io::ErrorKind::ConnectionRefused));
        assert_eq!((trail.attempts, &*trail.name), (3, "peer"));
    }
    let refused = ask().expect_err("the breaker is open");
    assert!(matches!(refused, PolicyError::Open { .. }) && refused.is_refused());
    assert_eq!(
        (refused.retry_after(), refused.kind(), peer.asked()),
        (Some(5 * SECOND), ErrorKind::Transient, 6)
    );

    hand.advance(5 * SECOND);
    assert_eq!(ask().expect("the third attempt of the probe"), "hello");
    assert_eq!(policy.breaker().expect("it has one").state(), BreakerState::Closed);
    assert_eq!(
        heard.kinds(),
        ["failed", "breaker_opened", "failed", "open", "breaker_half_opened", "breaker_closed", "retried"]
    );
    let counts = policy.snapshot().counts;
    assert_eq!((counts.succeeded, counts.failed, counts.open, counts.runs()), (1, 2, 1, 4));
    assert_eq!((counts.attempts, counts.retried), (9, 6));
}

#[test]
fn of_many_callers_of_a_breaker_that_is_half_open_no_more_get_through_than_there_are_probes() {
    let breaker = BreakerSettings {
        consecutive_failures: Some(1),
        wait_duration_in_open_state: SECOND,
        success_threshold: Some(3),
        permitted_number_of_calls_in_half_open_state: 3,
        ..Default::default()
    };
    let (policy, hand, _) = timed(PolicySettings { breaker: Some(breaker), ..Default::default() });
    assert!(policy.run(|_| Err::<(), _>(ErrorKind::System)).is_err());
    hand.advance(SECOND);
    let (start, probing, refused) = (Barrier::new(50), AtomicU32::new(0), AtomicU32::new(0));
    thread::scope(|scope| {
        for _ in 0..50 {
            scope.spawn(|| {
                start.wait();
                let run = policy.run(|_| {
                    probing.fetch_add(1, Ordering::SeqCst);
                    while refused.load(Ordering::SeqCst) < 47 {
                        thread::yield_now();
                    }
                    Ok::<_, ErrorKind>(())
                });
                refused.fetch_add(run.is_err().into(), Ordering::SeqCst);
            });
        }
    });
    assert_eq!((probing.into_inner(), refused.into_inner()), (3, 47));
    assert_eq!(policy.snapshot().counts.open, 47);
}

#[test]
fn delays_and_waits_go_by_the_clock_of_the_policy_and_end_with_its_time_budget() {
    let retry =
        RetrySettings { max_attempts: 100, schedule: Schedule::constant(500 * MS), ..Default::default() };
    let settings = PolicySettings { time_budget: Some(2 * SECOND), retry: Some(retry), ..Default::default() };
    let sim = Simulation::new(1);
    let policy = Policy::builder("peer").settings(settings).clock(sim.clock()).build().expect("it is good");
    let asker = child("asker", move || Asker(policy.clone()));
    let handle = asker.handle();
    let app = sim.start(Supervisor::new("app").child(asker)).expect("it starts");
    let error = handle.call(|reply| reply).expect("it answers");
    assert!(matches!(error, PolicyError::TimedOut { source: Some(ErrorKind::Transient), .. }), "{error:?}");
    let trail = error.trail();
    assert_eq!((trail.attempts, trail.waited), (4, 1500 * MS), "{trail:?}");
    assert!(app.shutdown(SECOND).is_clean());
}

#[test]
fn errors_of_others_are_told_apart_by_a_classifier() {
    let (policy, _, _) = timed(everything());
    let classifier = Classifier::new().on(|_: &ParseIntError| Some(ErrorKind::User));
    let judge = |error: &ParseIntError| Fault::from(classifier.kind(error));
    for _ in 0..9 {
        let error = policy.run_with(judge, |_| "seven".parse::<u8>()).expect_err("it is no number");
        assert_eq!((error.kind(), error.trail().attempts), (ErrorKind::User, 1));
    }
    assert_eq!(policy.call_with(judge).run_or(|_| "seven".parse::<u8>(), |_| Some(7)).expect("another"), 7);
    assert_eq!(policy.breaker().expect("it has one").state(), BreakerState::Closed, "the peer is well");
}

#[test]
fn the_last_good_value_is_served_while_the_peer_is_away() {
    let (policy, hand, heard) = timed(everything());
    let clock = Clock::manual();
    let greeting: Fallback<&str> = Fallback::builder("greeting").max_age(60 * SECOND).clock(clock.0).build();
    let peer = Peer::down_for(0);
    assert!(policy.run_or_last(&greeting, |_| peer.ask()).expect("it is well").is_fresh());
    peer.failures.store(u32::MAX, Ordering::SeqCst);
    clock.1.advance(30 * SECOND);
    for _ in 0..3 {
        let served = policy.run_or_last(&greeting, |_| peer.ask()).expect("there is a value");
        assert_eq!((*served.value, served.from), ("hello", ServedFrom::Cached { age: 30 * SECOND }));
    }
    clock.1.advance(31 * SECOND);
    let error = policy.run_or_last(&greeting, |_| peer.ask()).expect_err("the value is too old");
    assert!(matches!(error, PolicyError::Open { .. }));
    assert_eq!((policy.snapshot().counts.fallback_served, policy.snapshot().counts.runs()), (3, 5));
    assert_eq!(heard.kinds().iter().filter(|kind| **kind == "fallback_served").count(), 3);
    hand.advance(5 * SECOND);
    peer.failures.store(0, Ordering::SeqCst);
    assert!(policy.run_or_last(&greeting, |_| peer.ask()).expect("it is well").is_fresh());
}

#[test]
fn settings_change_while_runs_are_in_progress() {
    let (policy, _, heard) = timed(everything());
    let narrow = BulkheadSettings { max_concurrent_calls: 1, max_wait: Duration::ZERO };
    let after = PolicySettings { bulkhead: Some(narrow), ..everything() };
    let seen = policy.run(|_| {
        policy.change(after.clone()).expect("the settings are good");
        Ok::<_, ErrorKind>(policy.run(|_| Ok::<_, ErrorKind>(())))
    });
    assert!(matches!(seen, Ok(Err(PolicyError::Full { .. }))), "the first one still has the place");
    assert!(policy.run(|_| Ok::<_, ErrorKind>(())).is_ok());
    assert_eq!((heard.kinds(), policy.settings()), (vec!["changed", "full"], after));

    let wrong = PolicySettings { time_budget: Some(Duration::ZERO), ..Default::default() };
    let error = policy.change(wrong).expect_err("no time is too little");
    assert_eq!(
        (error.part, error.found.as_str(), error.expected),
        ("time_budget", "0ns", "more than no time")
    );
    assert_eq!(policy.snapshot().settings.bulkhead.map(|bulkhead| bulkhead.max_concurrent_calls), Some(1));
}

#[test]
fn a_shutdown_ends_what_waits_and_not_what_works() {
    let stop = StopSignal::new();
    let hour = Schedule::constant(3600 * SECOND).max_wait(Duration::MAX);
    let retry = RetrySettings { schedule: hour, ..Default::default() };
    let settings = PolicySettings { retry: Some(retry), ..Default::default() };
    let policy = Policy::builder("peer").settings(settings).stop_on(&stop).build().expect("good");
    let (begun, working) = (Barrier::new(3), Barrier::new(2));
    thread::scope(|scope| {
        let waits = scope.spawn(|| {
            begun.wait();
            policy.run(|_| Err::<(), _>(ErrorKind::Transient))
        });
        let works = scope.spawn(|| {
            begun.wait();
            policy.run(|cx| {
                working.wait();
                Ok::<_, ErrorKind>(cx.is_stopped())
            })
        });
        begun.wait();
        stop.stop();
        let error = waits.join().expect("no panic").expect_err("it is stopped");
        assert!(matches!(error, PolicyError::Stopped { source: Some(ErrorKind::Transient), .. }));
        working.wait();
        assert_eq!(works.join().expect("no panic").ok(), Some(true));
    });
}

#[test]
fn an_error_carries_what_the_thread_was_doing_and_reads_as_a_sentence() {
    let (policy, _, _) = timed(PolicySettings::default());
    let error = ErrorContext::correlated("order 17", || {
        ErrorContext::within("checkout", || policy.run(|_| Err::<(), _>(io::Error::other("no route"))))
    });
    let text = "`peer` failed, not to be retried here: no route; 1 attempt (in checkout; order 17)";
    assert_eq!(error.expect_err("it fails").to_string(), text);
}

/// Asks by a policy, for a caller who has little time.
struct Proxy(Policy);

impl Service for Proxy {
    type Msg = Reply<Option<Duration>>;
    type Error = Infallible;

    fn handle(&mut self, reply: Reply<Option<Duration>>, _: &mut Context<Self>) -> Result<Next, Infallible> {
        reply.send(self.0.run(|cx| Ok::<_, ErrorKind>(cx.remaining())).ok().flatten());
        Ok(Next::Continue)
    }
}

#[test]
fn in_a_handler_there_is_no_more_time_than_the_caller_has() {
    let settings = PolicySettings { time_budget: Some(3600 * SECOND), ..Default::default() };
    let policy = Policy::builder("peer").settings(settings).build().expect("good");
    let proxy = child("proxy", move || Proxy(policy.clone()));
    let handle = proxy.handle();
    let _app = Supervisor::new("app").child(proxy).start().expect("it starts");
    let left = handle.call_timeout(60 * SECOND, |reply| reply).expect("it answers");
    assert!(left.is_some_and(|left| left <= 60 * SECOND), "{left:?}");
}
