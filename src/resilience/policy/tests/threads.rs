//! A policy used and changed by many threads, on real ones.

use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, AtomicU32};

use super::*;

fn policy(settings: PolicySettings) -> Policy {
    Policy::builder("store").settings(settings).build().expect("the settings are good")
}

#[test]
fn of_two_hundred_threads_on_a_bulkhead_of_a_hundred_exactly_a_hundred_are_inside() {
    let all = PolicySettings {
        shedding: shedding(1000, SECOND * 60),
        bulkhead: bulkhead(100, Duration::ZERO),
        breaker: breaker(5),
        ..none()
    };
    let (policy, inside) = (policy(all), AtomicU32::new(0));
    let (start, refused) = (Barrier::new(200), AtomicU32::new(0));
    let try_once = || {
        start.wait();
        let run = policy.run(|_| {
            inside.fetch_add(1, Ordering::SeqCst);
            while refused.load(Ordering::SeqCst) < 100 {
                std::thread::yield_now();
            }
            Ok::<_, ErrorKind>(())
        });
        if run.is_err() {
            refused.fetch_add(1, Ordering::SeqCst);
        }
    };
    std::thread::scope(|scope| (0..200).for_each(|_| drop(scope.spawn(try_once))));
    let snapshot = policy.snapshot();
    assert_eq!((inside.into_inner(), refused.into_inner()), (100, 100));
    assert_eq!((snapshot.counts.succeeded, snapshot.counts.full), (100, 100));
    assert_eq!(snapshot.bulkhead.map(|bulkhead| bulkhead.in_use), Some(0));
}

#[test]
fn what_waits_for_a_place_gets_it_and_never_are_more_inside() {
    let policy = policy(PolicySettings { bulkhead: bulkhead(7, SECOND * 60), ..none() });
    let inside = AtomicU32::new(0);
    let work = || {
        let run = policy.run(|_| {
            let now = inside.fetch_add(1, Ordering::SeqCst) + 1;
            std::thread::yield_now();
            inside.fetch_sub(1, Ordering::SeqCst);
            if now <= 7 { Ok(()) } else { Err(ErrorKind::User) }
        });
        run.expect("a minute is long");
    };
    std::thread::scope(|scope| (0..200).for_each(|_| drop(scope.spawn(work))));
    assert_eq!(policy.snapshot().counts.succeeded, 200);
}

/// Settings to change between, in all of which at most 8 are inside.
fn choices() -> Vec<PolicySettings> {
    let base = PolicySettings {
        shedding: shedding(6, SECOND * 60),
        rate: rate(Duration::from_micros(2), 50, Duration::ZERO),
        bulkhead: bulkhead(8, Duration::ZERO),
        breaker: breaker(4).map(|breaker| BreakerSettings { wait_duration_in_open_state: MS, ..breaker }),
        time_budget: Some(SECOND * 60),
        retry: retry(2, Duration::ZERO),
    };
    vec![
        base.clone(),
        PolicySettings { bulkhead: bulkhead(1, MS), shedding: None, ..base.clone() },
        PolicySettings { bulkhead: bulkhead(3, MS), rate: None, breaker: breaker(2), ..base.clone() },
        PolicySettings { breaker: None, time_budget: None, shedding: shedding(2, MS), ..base.clone() },
        PolicySettings { retry: None, rate: rate(MS, 2, MS), ..base },
    ]
}

/// Many runs, some of which fail or panic: never more than 8 are inside.
struct Load {
    policy: Policy,
    inside: AtomicU32,
    attempts: AtomicU64,
}

impl Load {
    fn attempt(&self, number: u64) -> Result<(), ErrorKind> {
        let now = self.inside.fetch_add(1, Ordering::SeqCst) + 1;
        assert!(now <= 8, "{now} inside");
        self.attempts.fetch_add(1, Ordering::SeqCst);
        std::thread::yield_now();
        self.inside.fetch_sub(1, Ordering::SeqCst);
        match number % 7 {
            0 => Err(ErrorKind::Transient),
            1 => Err(ErrorKind::User),
            2 => resume_unwind(Box::new("boom")),
            _ => Ok(()),
        }
    }

    /// One run, and how it ended.
    fn run(&self, number: u64) -> &'static str {
        let run = catch_unwind(AssertUnwindSafe(|| self.policy.run(|_| self.attempt(number))));
        match run {
            Ok(Ok(())) => "succeeded",
            Ok(Err(error)) => error.end().as_str(),
            Err(panic) => panic.downcast::<&str>().map_or("failed assertion", |_| "panicked"),
        }
    }

    /// So many runs on each of so many threads, while the settings change all the time; how they ended.
    fn run_while_it_changes(&self, threads: u64, runs: u64, choices: &[PolicySettings]) -> Vec<&'static str> {
        let is_over = AtomicBool::new(false);
        let change = || {
            for settings in choices.iter().cycle() {
                self.policy.change(settings.clone()).expect("good");
                std::thread::yield_now();
                if is_over.load(Ordering::SeqCst) {
                    return;
                }
            }
        };
        let many = |seed: u64| (0..runs).map(|n| self.run((seed * 31 + n) % 97)).collect::<Vec<_>>();
        let many = &many;
        std::thread::scope(|scope| {
            let changes = scope.spawn(change);
            let threads: Vec<_> = (0..threads).map(|seed| scope.spawn(move || many(seed))).collect();
            let ends = threads.into_iter().flat_map(|thread| thread.join().expect("no panic")).collect();
            is_over.store(true, Ordering::SeqCst);
            changes.join().expect("no panic");
            ends
        })
    }
}

/// Each end was counted as what it was.
fn check_counts(counts: &PolicyCounts, ends: &[&str]) {
    let of = |end: &str| ends.iter().filter(|is| **is == end).count() as u64;
    let counted = [
        ("succeeded", counts.succeeded),
        ("failed", counts.failed),
        ("panicked", counts.panicked),
        ("shed", counts.shed),
        ("limited", counts.limited),
        ("full", counts.full),
        ("open", counts.open),
        ("timed_out", counts.timed_out),
    ];
    counted.iter().for_each(|(end, count)| assert_eq!(of(end), *count, "{end}"));
    assert_eq!(counts.runs(), ends.len() as u64);
}

/// All that was out has come back, to the parts that are there now.
fn check_that_nothing_is_out(snapshot: &PolicySnapshot) {
    assert_eq!(snapshot.bulkhead.as_ref().map(|bulkhead| (bulkhead.in_use, bulkhead.waiting)), Some((0, 0)));
    assert_eq!(snapshot.shedding.as_ref().map(|shedder| shedder.depth), Some(0));
    assert_eq!(snapshot.breaker.as_ref().map(|breaker| breaker.probes), Some(0));
}

/// What was refused was told, or is counted as not told.
fn check_what_was_told(counts: &PolicyCounts, told: &[&'static str]) {
    let refusals = ["shed", "limited", "full", "open"];
    let told = told.iter().filter(|kind| refusals.contains(kind)).count() as u64;
    assert_eq!(told + counts.untold, counts.shed + counts.limited + counts.full + counts.open);
}

#[test]
fn a_change_under_load_loses_and_doubles_nothing() {
    let (choices, heard) = (choices(), Arc::new(Heard::default()));
    let builder = Policy::builder("store").settings(choices[0].clone());
    let policy = builder.sink(Arc::clone(&heard) as Arc<dyn Sink>).build().expect("good");
    let load = Load { policy, inside: AtomicU32::new(0), attempts: AtomicU64::new(0) };
    let ends = load.run_while_it_changes(12, 500, &choices);
    let counts = load.policy.snapshot().counts;
    check_counts(&counts, &ends);
    assert_eq!((ends.len(), counts.attempts), (6000, load.attempts.into_inner()));
    load.policy.change(choices[0].clone()).expect("good");
    check_that_nothing_is_out(&load.policy.snapshot());
    check_what_was_told(&counts, &heard.kinds());
}

#[test]
fn a_rate_that_is_changed_all_the_time_lets_through_no_more_than_there_were_permits() {
    let of = |burst| PolicySettings { rate: rate(SECOND * 3600, burst, Duration::ZERO), ..none() };
    let (policy, is_over) = (policy(of(100)), AtomicBool::new(false));
    let passed: usize = std::thread::scope(|scope| {
        scope.spawn(|| {
            for burst in (100..1000).cycle() {
                policy.change(of(burst)).expect("good");
                if is_over.load(Ordering::SeqCst) {
                    return;
                }
            }
        });
        let work = || (0..200).filter(|_| policy.run(|_| Ok::<_, ErrorKind>(())).is_ok()).count();
        let threads: Vec<_> = (0..8).map(|_| scope.spawn(work)).collect();
        let passed = threads.into_iter().map(|thread| thread.join().expect("no panic")).sum();
        is_over.store(true, Ordering::SeqCst);
        passed
    });
    let snapshot = policy.snapshot();
    assert_eq!((passed as u64, snapshot.counts.limited), (snapshot.counts.succeeded, 1600 - passed as u64));
    assert_eq!(passed, 100);
}
