//! Runs, changes and time in any order, nested in one another, against the parts as anybody would write them.

use std::cell::RefCell;
use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

/// The settings, with times in milliseconds.
#[derive(Clone, Debug)]
struct Knobs {
    /// How many in progress, how old.
    shedding: Option<(u64, u64)>,
    /// Period, burst, timeout.
    rate: Option<(u64, u32, u64)>,
    /// How many, how long they wait.
    bulkhead: Option<(u32, u64)>,
    /// Failures, wait, how many probes at once, how many successes.
    breaker: Option<(u32, u64, u32, u32)>,
    budget: Option<u64>,
    /// Attempts, wait, tokens.
    retry: Option<(u32, u64, Option<u32>)>,
}

fn millis(count: u64) -> Duration {
    Duration::from_millis(count)
}

impl Knobs {
    fn settings(&self) -> PolicySettings {
        PolicySettings {
            shedding: self.shedding.and_then(|(most, age)| shedding(most, millis(age))),
            rate: self.rate.and_then(|(period, burst, wait)| rate(millis(period), burst, millis(wait))),
            bulkhead: self.bulkhead.and_then(|(most, wait)| bulkhead(most, millis(wait))),
            breaker: self.breaker.map(|(failures, wait, permitted, successes)| BreakerSettings {
                consecutive_failures: Some(failures),
                wait_duration_in_open_state: millis(wait),
                permitted_number_of_calls_in_half_open_state: permitted,
                success_threshold: Some(successes),
                ..Default::default()
            }),
            time_budget: self.budget.map(millis),
            retry: self.retry.and_then(|(attempts, wait, tokens)| {
                let budget = |max_tokens| RetryBudgetSettings { max_tokens, token_ratio: 0.5 };
                let budget = tokens.map(budget);
                retry(attempts, millis(wait)).map(|retry| RetrySettings { budget, ..retry })
            }),
        }
    }
}

impl Knobs {
    fn is_timed(&self) -> bool {
        self.shedding.is_some() || self.rate.is_some() || self.budget.is_some() || self.retry.is_some()
    }
}

#[derive(Clone, Copy, Debug)]
enum Deed {
    Good,
    Bad(ErrorKind),
    Panics,
}

#[derive(Clone, Debug)]
struct Call {
    age: u64,
    /// How long each attempt takes, and what it does then.
    attempts: Vec<(u64, Deed)>,
    /// What happens within the first.
    inside: Vec<Step>,
}

impl Call {
    fn attempt(&self, number: u32) -> (u64, Deed) {
        self.attempts[(number as usize - 1) % self.attempts.len()]
    }
}

#[derive(Clone, Debug)]
enum Step {
    Pass(u64),
    Change(Knobs),
    Call(Call),
}

fn knobs() -> impl Strategy<Value = Knobs> {
    let time = || prop_oneof![Just(0_u64), Just(10), Just(40)];
    let some = || prop_oneof![Just(10_u64), Just(20), Just(70)];
    (
        prop::option::of((1..4_u64, prop_oneof![Just(1_u64), Just(10), Just(40)])),
        prop::option::of((some(), 1..4_u32, time())),
        prop::option::of((1..3_u32, time())),
        prop::option::of((1..3_u32, some(), 1..3_u32, 1..3_u32)),
        prop::option::of(some()),
        prop::option::of((1..4_u32, time(), prop::option::of(0..4_u32))),
    )
        .prop_map(|(shedding, rate, bulkhead, breaker, budget, retry)| Knobs {
            shedding,
            rate,
            bulkhead,
            breaker,
            budget,
            retry,
        })
}

fn deed() -> impl Strategy<Value = Deed> {
    prop_oneof![
        5 => Just(Deed::Good),
        5 => Just(Deed::Bad(ErrorKind::Transient)),
        1 => Just(Deed::Bad(ErrorKind::Permanent)),
        1 => Just(Deed::Bad(ErrorKind::System)),
        1 => Just(Deed::Bad(ErrorKind::User)),
        1 => Just(Deed::Panics),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let leaf = prop_oneof![
        3 => prop_oneof![Just(1_u64), Just(10), 0..100_u64].prop_map(Step::Pass),
        1 => knobs().prop_map(Step::Change),
    ];
    leaf.prop_recursive(3, 12, 3, |inner| {
        let attempts = prop::collection::vec((prop_oneof![Just(0_u64), Just(5), 0..50_u64], deed()), 1..4);
        let age = prop_oneof![4 => Just(0_u64), 1 => 0..50_u64];
        (age, attempts, prop::collection::vec(inner, 0..3))
            .prop_map(|(age, attempts, inside)| Step::Call(Call { age, attempts, inside }))
    })
}

// ---- the real one ------------------------------------------------------------------------

fn play(stage: &Stage, step: &Step, log: &RefCell<Vec<String>>) {
    match step {
        Step::Pass(time) => stage.time.pass(millis(*time)),
        Step::Change(knobs) => stage.policy.change(knobs.settings()).expect("they are good"),
        Step::Call(call) => {
            let text = played(stage, call, log);
            log.borrow_mut().push(text);
        }
    }
}

fn played(stage: &Stage, call: &Call, log: &RefCell<Vec<String>>) -> String {
    let work = |cx: &PolicyContext<'_>| {
        if cx.attempt() == 1 {
            call.inside.iter().for_each(|step| play(stage, step, log));
        }
        let (takes, deed) = call.attempt(cx.attempt());
        stage.time.pass(millis(takes));
        match deed {
            Deed::Good => Ok(cx.attempt()),
            Deed::Bad(kind) => Err(kind),
            Deed::Panics => resume_unwind(Box::new("boom")),
        }
    };
    let run = AssertUnwindSafe(|| stage.policy.call().waited(millis(call.age)).run(work));
    match catch_unwind(run) {
        Err(_) => "panicked".into(),
        Ok(Ok(attempts)) => format!("succeeded {attempts}"),
        Ok(Err(error)) => {
            let trail = error.trail();
            let (waited, elapsed) = (trail.waited.as_nanos(), trail.elapsed.map(|time| time.as_nanos()));
            format!("{} {} {waited} {elapsed:?}", error.end().as_str(), trail.attempts)
        }
    }
}

// ---- the naive one -----------------------------------------------------------------------

const MILLI: i128 = 1_000_000;

/// Tokens of the worth of an interval in nanoseconds; fewer than none while somebody waits for one.
struct Bucket {
    interval: i128,
    burst: i128,
    filled: i128,
    seen: i128,
}

impl Bucket {
    fn fill(&mut self, now: i128) {
        self.filled = (self.filled + now - self.seen).min(self.burst * self.interval);
        self.seen = now;
    }

    fn change(&mut self, interval: i128, burst: i128, now: i128) {
        self.fill(now);
        self.filled = (self.filled * interval).div_euclid(self.interval).min(burst * interval);
        (self.interval, self.burst) = (interval, burst);
    }

    /// How long it takes for a token, which is taken if that is not too long.
    fn take(&mut self, now: i128, patience: i128) -> Option<i128> {
        self.fill(now);
        let wait = (self.interval - self.filled).max(0);
        (wait <= patience).then(|| self.filled -= self.interval).map(|()| wait)
    }
}

#[derive(Clone, Copy, PartialEq)]
enum State {
    Closed { in_a_row: u32 },
    Open { since: i128 },
    HalfOpen { probing: u32, good: u32 },
}

struct Breaker {
    rules: (u32, u64, u32, u32),
    state: State,
    generation: u32,
}

impl Breaker {
    fn enter(&mut self, state: State) {
        (self.state, self.generation) = (state, self.generation + 1);
    }

    fn change(&mut self, rules: (u32, u64, u32, u32)) {
        self.rules = rules;
        if matches!(self.state, State::HalfOpen { good, .. } if good >= rules.3) {
            self.enter(State::Closed { in_a_row: 0 });
        }
    }

    fn admit(&mut self, now: i128) -> Option<u32> {
        let (_, wait, permitted, successes) = self.rules;
        if matches!(self.state, State::Open { since } if now >= since + i128::from(wait) * MILLI) {
            self.enter(State::HalfOpen { probing: 0, good: 0 });
        }
        match &mut self.state {
            State::Closed { .. } => {}
            State::Open { .. } => return None,
            State::HalfOpen { probing, good } if *probing < permitted && *probing + *good < successes => {
                *probing += 1;
            }
            State::HalfOpen { .. } => return None,
        }
        Some(self.generation)
    }

    /// `None` says nothing.
    fn settle(&mut self, generation: u32, is_good: Option<bool>, now: i128) {
        if generation != self.generation {
            return;
        }
        let (failures, _, _, successes) = self.rules;
        match (&mut self.state, is_good) {
            (State::Closed { in_a_row }, Some(true)) => *in_a_row = 0,
            (State::Closed { in_a_row }, Some(false)) => {
                *in_a_row += 1;
                if *in_a_row >= failures {
                    self.enter(State::Open { since: now });
                }
            }
            (State::HalfOpen { probing, .. }, None) => *probing -= 1,
            (State::HalfOpen { probing, good }, Some(true)) => {
                (*probing, *good) = (*probing - 1, *good + 1);
                if *good >= successes {
                    self.enter(State::Closed { in_a_row: 0 });
                }
            }
            (State::HalfOpen { .. }, Some(false)) => self.enter(State::Open { since: now }),
            _ => {}
        }
    }
}

/// What all parts have ever been, and by what the next run goes.
struct Naive {
    now: i128,
    knobs: Knobs,
    shedding: (u64, u64),
    in_progress: u64,
    bucket: Option<Bucket>,
    places: u32,
    inside: u32,
    breaker: Option<Breaker>,
    /// At most, and how many, by thousandths.
    tokens: Option<(u64, u64)>,
    log: Vec<String>,
    attempts: u64,
    late: u64,
}

/// What one run went through.
#[derive(Default)]
struct Gone {
    began: i128,
    waited: i128,
    attempts: u32,
    is_in_progress: bool,
    is_inside: bool,
    generation: Option<u32>,
    /// `None`: it says nothing.
    is_good: Option<bool>,
}

impl Naive {
    fn new(knobs: &Knobs) -> Self {
        let mut naive = Self {
            now: 0,
            knobs: knobs.clone(),
            shedding: (0, 0),
            in_progress: 0,
            bucket: None,
            places: 0,
            inside: 0,
            breaker: None,
            tokens: None,
            log: Vec::new(),
            attempts: 0,
            late: 0,
        };
        naive.change(knobs);
        naive
    }

    fn change(&mut self, knobs: &Knobs) {
        self.knobs = knobs.clone();
        self.shedding = knobs.shedding.unwrap_or(self.shedding);
        if let Some((period, burst, _)) = knobs.rate {
            let (interval, burst) = (i128::from(period) * MILLI, i128::from(burst));
            let full = Bucket { interval, burst, filled: burst * interval, seen: self.now };
            self.bucket.get_or_insert(full).change(interval, burst, self.now);
        }
        self.places = knobs.bulkhead.map_or(self.places, |(most, _)| most);
        if let Some(rules) = knobs.breaker {
            let new = Breaker { rules, state: State::Closed { in_a_row: 0 }, generation: 0 };
            self.breaker.get_or_insert(new).change(rules);
        }
        if let Some((_, _, Some(tokens))) = knobs.retry {
            let most = u64::from(tokens) * 1000;
            let (_, parts) = self.tokens.unwrap_or((most, most));
            self.tokens = Some((most, parts.min(most)));
        }
    }

    fn play(&mut self, step: &Step) {
        match step {
            Step::Pass(time) => self.now += i128::from(*time) * MILLI,
            Step::Change(knobs) => self.change(knobs),
            Step::Call(call) => self.call(call),
        }
    }

    fn call(&mut self, call: &Call) {
        let (knobs, mut gone) = (self.knobs.clone(), Gone { began: self.now, ..Default::default() });
        let end = self.pass(&knobs, call, &mut gone);
        if let (Some(generation), Some(breaker)) = (gone.generation, &mut self.breaker) {
            breaker.settle(generation, gone.is_good, self.now);
        }
        self.inside -= u32::from(gone.is_inside);
        self.in_progress -= u64::from(gone.is_in_progress);
        self.attempts += u64::from(gone.attempts);
        self.log.push(match end {
            "panicked" => "panicked".into(),
            "succeeded" => format!("succeeded {}", gone.attempts),
            _ => {
                let elapsed = knobs.is_timed().then_some(self.now - gone.began);
                format!("{end} {} {} {elapsed:?}", gone.attempts, gone.waited)
            }
        });
    }

    fn is_too_old(&self, age: u64, began: i128) -> bool {
        i128::from(age) * MILLI + self.now - began > i128::from(self.shedding.1) * MILLI
    }

    fn wait(&mut self, time: i128, gone: &mut Gone) {
        self.now += time;
        gone.waited += time;
    }

    fn pass(&mut self, knobs: &Knobs, call: &Call, gone: &mut Gone) -> &'static str {
        if knobs.shedding.is_some() {
            if self.in_progress >= self.shedding.0 {
                return "shed";
            }
            self.in_progress += 1;
            gone.is_in_progress = true;
            if call.age > 0 && self.is_too_old(call.age, self.now) {
                return "shed";
            }
        }
        if let (Some((_, _, timeout)), Some(bucket)) = (knobs.rate, &mut self.bucket) {
            match bucket.take(self.now, i128::from(timeout) * MILLI) {
                Some(wait) => self.wait(wait, gone),
                None => return "limited",
            }
        }
        if let Some((_, max_wait)) = knobs.bulkhead {
            if self.inside >= self.places {
                self.wait(i128::from(max_wait) * MILLI, gone);
                return "full";
            }
            self.inside += 1;
            gone.is_inside = true;
        }
        if knobs.shedding.is_some() && self.is_too_old(call.age, gone.began) {
            return "shed";
        }
        if let (Some(_), Some(breaker)) = (knobs.breaker, &mut self.breaker) {
            gone.generation = breaker.admit(self.now);
            if gone.generation.is_none() {
                return "open";
            }
        }
        self.attempt(knobs, call, gone)
    }

    fn attempt(&mut self, knobs: &Knobs, call: &Call, gone: &mut Gone) -> &'static str {
        let over = knobs.budget.map_or(i128::MAX, |budget| self.now + i128::from(budget) * MILLI);
        loop {
            gone.attempts += 1;
            if gone.attempts == 1 {
                call.inside.iter().for_each(|step| self.play(step));
            }
            let (takes, deed) = call.attempt(gone.attempts);
            self.now += i128::from(takes) * MILLI;
            gone.is_good = Some(false);
            let kind = match deed {
                Deed::Panics => return "panicked",
                Deed::Good => return self.good(knobs, over, gone),
                Deed::Bad(kind) => kind,
            };
            if kind == ErrorKind::User {
                gone.is_good = None;
            }
            if kind != ErrorKind::Transient {
                return "failed";
            }
            if let Some(end) = self.pause(knobs, over, gone) {
                return end;
            }
        }
    }

    fn good(&mut self, knobs: &Knobs, over: i128, gone: &mut Gone) -> &'static str {
        gone.is_good = Some(self.now < over);
        self.late += u64::from(self.now >= over);
        if let (Some((_, _, Some(_))), Some((most, parts))) = (knobs.retry, &mut self.tokens)
            && *parts < *most
        {
            *parts = (*parts + 500).min(*most);
        }
        "succeeded"
    }

    /// What ends it, if there is no other attempt.
    fn pause(&mut self, knobs: &Knobs, over: i128, gone: &mut Gone) -> Option<&'static str> {
        let end = if self.now >= over { "timed_out" } else { "failed" };
        let Some((most, wait, tokens)) = knobs.retry else { return Some(end) };
        if gone.attempts >= most {
            return Some(end);
        }
        let wait = i128::from(wait) * MILLI;
        if self.now + wait >= over {
            return Some("timed_out");
        }
        if let (Some(_), Some((_, parts))) = (tokens, &mut self.tokens) {
            match parts.checked_sub(1000) {
                Some(left) => *parts = left,
                None => return Some("failed"),
            }
        }
        self.wait(wait, gone);
        None
    }
}

fn ends(log: &[String]) -> BTreeMap<&str, u64> {
    log.iter().fold(BTreeMap::new(), |mut ends, line| {
        *ends.entry(line.split(' ').next().unwrap_or_default()).or_default() += 1;
        ends
    })
}

fn counted(counts: &PolicyCounts) -> BTreeMap<&'static str, u64> {
    let all = [
        ("succeeded", counts.succeeded),
        ("failed", counts.failed),
        ("panicked", counts.panicked),
        ("shed", counts.shed),
        ("limited", counts.limited),
        ("full", counts.full),
        ("open", counts.open),
        ("stopped", counts.stopped),
        ("timed_out", counts.timed_out),
    ];
    all.into_iter().filter(|(_, count)| *count > 0).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn it_is_the_naive_composition_of_naive_parts(
        first in knobs(),
        steps in prop::collection::vec(step(), 1..40),
    ) {
        let (stage, log) = (stage(first.settings()), RefCell::new(Vec::new()));
        let mut naive = Naive::new(&first);
        for (number, step) in steps.iter().enumerate() {
            play(&stage, step, &log);
            naive.play(step);
            let last = log.borrow().last().cloned();
            prop_assert_eq!(last.as_ref(), naive.log.last(), "after step {}", number);
            prop_assert_eq!(stage.time.passed().as_nanos() as i128, naive.now, "after step {}", number);
        }
        let log = log.into_inner();
        prop_assert_eq!(&log, &naive.log);
        let snapshot = stage.policy.snapshot();
        prop_assert_eq!(counted(&snapshot.counts), ends(&log));
        prop_assert_eq!(snapshot.counts.runs(), log.len() as u64);
        prop_assert_eq!((snapshot.counts.attempts, snapshot.counts.late), (naive.attempts, naive.late));
        prop_assert!(snapshot.bulkhead.is_none_or(|bulkhead| bulkhead.in_use == 0));
        prop_assert!(snapshot.shedding.is_none_or(|shedder| shedder.depth == 0));
        prop_assert!(snapshot.breaker.is_none_or(|breaker| breaker.probes == 0));
    }
}
