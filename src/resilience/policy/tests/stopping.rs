//! The stop signal, and the patience of a handler's caller.

use std::convert::Infallible;
use std::sync::mpsc::{Sender, channel};

use super::*;
use crate::service::context::Context;
use crate::service::reply::Reply;
use crate::service::service::{Next, Service};
use crate::supervisor::spec::child;
use crate::supervisor::supervisor::Supervisor;

fn stop_soon(stage: &Stage) {
    let (stop, time) = (stage.stop.clone(), Arc::clone(&stage.time));
    stage.time.meanwhile(move || {
        time.pass(10 * MS);
        stop.stop();
    });
}

#[test]
fn the_signal_ends_the_wait_for_the_rate() {
    let stage = stage(PolicySettings { rate: rate(SECOND, 1, SECOND), ..none() });
    assert!(stage.good().is_ok());
    stop_soon(&stage);
    let error = stage.good().expect_err("it is stopped");
    assert!(matches!(error, PolicyError::Stopped { source: None, .. }), "{error:?}");
    assert_eq!((error.trail().waited, error.trail().attempts), (10 * MS, 0));
    assert_eq!((error.kind(), stage.counts().stopped), (ErrorKind::Transient, 1));
    let text = "`store` was stopped; 0 attempts, waited 10ms, took 10ms";
    assert_eq!(stage.heard.take(), [("stopped", text.to_owned())]);
}

#[test]
fn the_signal_ends_the_wait_for_a_place() {
    let stage = stage(PolicySettings { bulkhead: bulkhead(1, SECOND), ..none() });
    let inner = stage.policy.run(|_| {
        stop_soon(&stage);
        Ok::<_, ErrorKind>(stage.good())
    });
    let error = inner.expect("it has the place").expect_err("it is stopped");
    assert!(matches!(error, PolicyError::Stopped { source: None, .. }), "{error:?}");
    assert_eq!(error.trail().waited, 10 * MS);
    let bulkhead = stage.policy.snapshot().bulkhead.expect("there is one");
    assert_eq!((bulkhead.in_use, bulkhead.waiting), (0, 0));
}

#[test]
fn the_signal_ends_the_wait_for_another_attempt() {
    let stage = stage(PolicySettings { retry: retry(3, SECOND), breaker: breaker(1), ..none() });
    stop_soon(&stage);
    let error = stage.bad(ErrorKind::Transient);
    assert!(matches!(error, PolicyError::Stopped { source: Some(ErrorKind::Transient), .. }), "{error:?}");
    assert_eq!((error.trail().waited, error.trail().attempts), (10 * MS, 1));
}

#[test]
fn what_need_not_wait_is_run_after_the_signal_and_knows_of_it() {
    let all = PolicySettings {
        rate: rate(MS, 2, SECOND),
        bulkhead: bulkhead(1, SECOND),
        retry: retry(3, MS),
        ..none()
    };
    let stage = stage(all);
    stage.stop.stop();
    assert_eq!(stage.policy.run(|cx| Ok::<_, ErrorKind>(cx.is_stopped())).ok(), Some(true));
    let full = PolicySettings { bulkhead: bulkhead(1, Duration::ZERO), ..none() };
    stage.policy.change(full).expect("good");
    let inner = stage.policy.run(|_| Ok::<_, ErrorKind>(stage.good()));
    assert!(matches!(inner, Ok(Err(PolicyError::Full { .. }))), "it would not have waited");
}

#[test]
fn the_signal_wakes_a_thread_that_waits_for_a_place() {
    let stop = StopSignal::new();
    let settings = PolicySettings { bulkhead: bulkhead(1, Duration::from_secs(3600)), ..none() };
    let policy = Policy::builder("store").settings(settings).stop_on(&stop).build().expect("good");
    std::thread::scope(|scope| {
        policy
            .run(|_| {
                let waiter = scope.spawn(|| policy.run(|_| Ok::<_, ErrorKind>(())));
                while policy.snapshot().bulkhead.is_some_and(|bulkhead| bulkhead.waiting == 0) {
                    std::thread::yield_now();
                }
                stop.stop();
                let error = waiter.join().expect("no panic").expect_err("it is stopped");
                assert!(matches!(error, PolicyError::Stopped { .. }));
                Ok::<_, ErrorKind>(())
            })
            .expect("it has the place");
    });
}

/// What a run in a handler has seen.
#[derive(Debug)]
struct Seen {
    left: Option<Duration>,
    retried: PolicyError<ErrorKind>,
    served: bool,
    late: u64,
    begun_late: PolicyError<ErrorKind>,
    failures: u32,
}

/// Runs something for somebody who has little patience, and once more when that is at an end.
struct Patient(Policy, Sender<Seen>);

impl Service for Patient {
    type Msg = Reply<()>;
    type Error = Infallible;

    fn handle(&mut self, _: Reply<()>, cx: &mut Context<Self>) -> Result<Next, Infallible> {
        let left = self.0.run(|cx| Ok::<_, ErrorKind>(cx.remaining())).ok().flatten();
        let waits = PolicySettings {
            time_budget: Some(Duration::MAX),
            retry: retry(2, SECOND * 3600),
            breaker: breaker(9),
            ..none()
        };
        self.0.change(waits).expect("good");
        let fails = || self.0.run(|_| Err::<(), _>(ErrorKind::Transient)).expect_err("it fails");
        let retried = fails();
        let outlast = || {
            while !cx.deadline().has_passed(Clock::system().now()) {
                std::thread::yield_now();
            }
        };
        let slow = self.0.run(|_| {
            outlast();
            Ok::<_, ErrorKind>(())
        });
        outlast();
        let begun_late = fails();
        let failures = self.0.snapshot().breaker.map_or(0, |breaker| breaker.consecutive_failures);
        let late = self.0.snapshot().counts.late;
        let served = slow.is_ok();
        let seen = Seen { left, retried, served, late, begun_late, failures };
        self.1.send(seen).expect("somebody listens");
        Ok(Next::Continue)
    }
}

#[test]
fn in_a_handler_a_run_has_no_more_time_than_the_caller_and_none_begins_when_that_is_over() {
    let (tell, told) = channel();
    let policy = Policy::builder("store").build().expect("good");
    let patient = child("patient", move || Patient(policy.clone(), tell.clone()));
    let handle = patient.handle();
    let tree = Supervisor::new("tree").child(patient).start().expect("it starts");
    let patience = 20 * MS;
    assert!(handle.call_timeout(patience, |reply| reply).is_err());
    let seen = told.recv_timeout(SECOND * 60).expect("it ends");
    assert!(seen.left.is_some_and(|left| left <= patience), "{seen:?}");
    assert!(matches!(seen.retried, PolicyError::TimedOut { .. }), "{seen:?}");
    assert!(matches!(seen.begun_late, PolicyError::TimedOut { source: None, .. }), "{seen:?}");
    assert_eq!(seen.begun_late.trail().attempts, 0);
    // On a slow machine these may have begun too late as well: what was not attempted says nothing. A value for which
    // nobody waits any more came within the time budget.
    let failures = if seen.served { 0 } else { seen.retried.trail().attempts };
    assert_eq!((seen.failures, seen.late), (failures, 0), "{seen:?}");
    drop(tree);
}

#[test]
fn who_goes_on_to_ask_after_the_signal_is_not_told_of_each_time() {
    let stage = stage(PolicySettings { rate: rate(SECOND, 1, SECOND * 3600), ..none() });
    assert!(stage.good().is_ok());
    stage.stop.stop();
    for _ in 0..50 {
        assert!(matches!(stage.good(), Err(PolicyError::Stopped { source: None, .. })));
    }
    assert_eq!(stage.heard.kinds(), ["stopped"]);
    assert_eq!((stage.counts().stopped, stage.counts().untold), (50, 49));
}
