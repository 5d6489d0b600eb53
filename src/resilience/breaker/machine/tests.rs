//! The machine: its rules one by one, and beside a naive reference.

use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::resilience::breaker::settings::Options;
use crate::resilience::breaker::window::CallWindow;

const SECOND: u64 = 1_000_000_000;

fn machine(options: &Options) -> Machine {
    Machine::new(options.settings("a").expect("they are good"))
}

fn good() -> Counts {
    Counts::one(false, false)
}

fn bad() -> Counts {
    Counts::one(true, false)
}

fn slow() -> Counts {
    Counts::one(false, true)
}

/// A call that is let through and ends so.
fn call(machine: &mut Machine, call: Counts, now: u64) -> BreakerState {
    let Admission::Admitted(generation) = machine.admit(now).0 else { panic!("it is refused") };
    end(machine, generation, Some(call), now)
}

fn end(machine: &mut Machine, generation: u64, call: Option<Counts>, now: u64) -> BreakerState {
    if let Some(due) = machine.record(generation, call, now) {
        machine.turn(due, now);
    }
    machine.state()
}

fn probe(machine: &mut Machine, now: u64) -> Option<u64> {
    match machine.admit(now).0 {
        Admission::Admitted(generation) => Some(generation),
        Admission::Refused { .. } => None,
    }
}

/// One that opens at the first failure, for a second.
fn quick() -> Options {
    Options { consecutive: Some(1), wait: Duration::from_secs(1), ..Options::default() }
}

/// Opened, and half-open again at the second.
fn half_open(options: &Options) -> (Machine, u64) {
    let mut machine = machine(options);
    assert_eq!(call(&mut machine, bad(), 0), BreakerState::Open);
    machine.ask(BreakerState::HalfOpen, SECOND);
    (machine, SECOND)
}

#[test]
fn it_opens_at_so_many_failures_in_a_row_and_a_success_begins_the_row_anew() {
    let mut machine = machine(&Options { consecutive: Some(2), ..Options::default() });
    for outcome in [bad(), good(), bad()] {
        assert_eq!(call(&mut machine, outcome, 0), BreakerState::Closed);
    }
    assert_eq!(call(&mut machine, bad(), 0), BreakerState::Open);
}

fn changed(machine: &mut Machine, options: &Options, now: u64) -> Option<BreakerState> {
    let settings = options.settings("a").expect("they are good");
    machine.change(settings, now).map(|change| change.to)
}

#[test]
fn what_is_open_stays_open_when_the_settings_change_for_as_long_as_they_say() {
    let mut machine = machine(&quick());
    assert_eq!(call(&mut machine, bad(), SECOND), BreakerState::Open);
    let longer = Options { wait: Duration::from_secs(10), ..quick() };
    assert_eq!(changed(&mut machine, &longer, 2 * SECOND), None);
    assert_eq!((machine.state(), machine.until()), (BreakerState::Open, 11 * SECOND));
    assert_eq!(changed(&mut machine, &quick(), 5 * SECOND), None);
    assert_eq!((machine.state(), machine.until()), (BreakerState::Open, 2 * SECOND));
    assert!(probe(&mut machine, 5 * SECOND).is_some());
}

#[test]
fn what_was_forced_stays_forced_when_the_settings_change() {
    for state in [BreakerState::ForcedOpen, BreakerState::Disabled, BreakerState::MetricsOnly] {
        let mut machine = machine(&quick());
        machine.ask(state, 0);
        assert_eq!(changed(&mut machine, &Options::default(), 1), None);
        assert_eq!((machine.state(), machine.until()), (state, NEVER));
    }
}

#[test]
fn probes_that_are_enough_by_other_settings_decide_and_none_waits_for_ever() {
    let many = Options { permitted: 10, minimum: Some(10), failure_rate: Some(50.0), ..quick() };
    let (mut machine, now) = half_open(&many);
    let probes: Vec<_> = (0..4).filter_map(|_| probe(&mut machine, now)).collect();
    assert_eq!(end(&mut machine, probes[0], Some(bad()), now), BreakerState::HalfOpen);
    assert_eq!(end(&mut machine, probes[1], Some(good()), now), BreakerState::HalfOpen);
    let few = Options { permitted: 3, ..many.clone() };
    assert_eq!(changed(&mut machine, &few, now), None, "two of three");
    assert_eq!((machine.probing(), probe(&mut machine, now)), (2, None), "those under way count");
    let fewer = Options { permitted: 2, ..many };
    assert_eq!(changed(&mut machine, &fewer, now), Some(BreakerState::Open), "one of two failed");
    assert_eq!(end(&mut machine, probes[2], Some(good()), now), BreakerState::Open, "of before");
}

#[test]
fn what_is_remembered_counts_under_other_rules_save_a_window_of_another_kind() {
    let rates = Options { window: Some(CallWindow::Count(4)), minimum: Some(4), ..Options::default() };
    let mut machine = machine(&rates);
    for outcome in [good(), good()] {
        call(&mut machine, outcome, 0);
    }
    call(&mut machine, bad(), 0);
    let stricter = Options { failure_rate: Some(40.0), ..rates.clone() };
    assert_eq!(changed(&mut machine, &stricter, 0), None);
    assert_eq!(machine.ledger().counts(0).0, Counts { calls: 3, failed: 1, slow: 0 });
    let other = Options { window: Some(CallWindow::Count(5)), consecutive: Some(2), ..rates };
    assert_eq!(changed(&mut machine, &other, 0), None);
    assert_eq!((machine.ledger().counts(0).0, machine.ledger().in_a_row()), (Counts::default(), 1));
    assert_eq!(call(&mut machine, bad(), 0), BreakerState::Open, "the second in a row");
}

#[test]
fn failures_within_a_time_are_remembered_over_a_change() {
    let of = |most| Options { counted: Some((most, Duration::from_secs(10))), ..Options::default() };
    let mut machine = machine(&of(5));
    for at in 0..3 {
        call(&mut machine, bad(), at * SECOND);
    }
    assert_eq!(changed(&mut machine, &of(2), 3 * SECOND), None);
    assert_eq!(machine.state(), BreakerState::Closed, "not by the change");
    assert_eq!(call(&mut machine, bad(), 4 * SECOND), BreakerState::Open);
}

#[test]
fn it_opens_at_so_many_failures_within_the_time_whatever_went_well_in_between() {
    let options = Options { counted: Some((3, Duration::from_secs(10))), ..Options::default() };
    let mut machine = machine(&options);
    for (outcome, at) in [(bad(), 0), (good(), 1), (bad(), 5), (good(), 5), (bad(), 11), (good(), 11)] {
        assert_eq!(call(&mut machine, outcome, at * SECOND), BreakerState::Closed, "at {at}");
    }
    assert_eq!(call(&mut machine, bad(), 15 * SECOND), BreakerState::Open);
}

#[test]
fn a_rate_opens_it_from_the_minimum_number_of_calls_on() {
    let window = Some(CallWindow::Count(10));
    let mut machine = machine(&Options { window, minimum: Some(4), ..Options::default() });
    for outcome in [bad(), bad(), good()] {
        assert_eq!(call(&mut machine, outcome, 0), BreakerState::Closed);
    }
    assert_eq!(call(&mut machine, good(), 0), BreakerState::Open, "two of four: a success tells it too");
}

#[test]
fn slow_calls_open_it_though_none_fails() {
    let options = Options {
        window: Some(CallWindow::Count(4)),
        slow_rate: Some(75.0),
        slow_after: Some(Duration::from_secs(1)),
        ..Options::default()
    };
    let mut machine = machine(&options);
    for outcome in [slow(), good(), slow()] {
        assert_eq!(call(&mut machine, outcome, 0), BreakerState::Closed);
    }
    assert_eq!(call(&mut machine, slow(), 0), BreakerState::Open);
}

#[test]
fn it_refuses_until_the_wait_is_over_and_then_lets_probes_through() {
    let mut machine = machine(&quick());
    call(&mut machine, bad(), 0);
    assert_eq!(machine.admit(SECOND - 1), (Admission::Refused { until: SECOND }, None));
    let (admission, change) = machine.admit(SECOND);
    assert!(matches!(admission, Admission::Admitted(_)));
    assert_eq!(
        change.map(|change| (change.from, change.to)),
        Some((BreakerState::Open, BreakerState::HalfOpen))
    );
}

#[test]
fn at_most_the_permitted_probes_are_under_way_and_each_gives_its_place_back_once() {
    let (mut machine, now) = half_open(&Options { permitted: 2, ..quick() });
    let first = probe(&mut machine, now).expect("the first");
    probe(&mut machine, now).expect("the second");
    assert_eq!(probe(&mut machine, now), None);
    end(&mut machine, first, None, now);
    assert_eq!(machine.probing(), 1);
    probe(&mut machine, now).expect("in its place");
    assert_eq!(probe(&mut machine, now), None);
}

#[test]
fn probes_are_judged_by_their_rate_when_all_have_ended() {
    let judged = |outcomes: [Counts; 4]| {
        let (mut machine, now) = half_open(&Options { permitted: 4, ..quick() });
        for outcome in &outcomes[..3] {
            assert_eq!(call(&mut machine, *outcome, now), BreakerState::HalfOpen);
        }
        call(&mut machine, outcomes[3], now)
    };
    assert_eq!(judged([bad(), good(), good(), good()]), BreakerState::Closed);
    assert_eq!(judged([bad(), good(), good(), bad()]), BreakerState::Open);
    assert_eq!(judged([slow(); 4]), BreakerState::Open);
}

#[test]
fn with_a_number_of_successes_one_bad_probe_opens_it_and_so_many_good_ones_close_it() {
    let options = Options { successes: Some(3), permitted: 1, ..quick() };
    for outcome in [bad(), slow()] {
        let (mut machine, now) = half_open(&options);
        call(&mut machine, good(), now);
        assert_eq!(call(&mut machine, outcome, now), BreakerState::Open);
    }
    let (mut machine, now) = half_open(&options);
    call(&mut machine, good(), now);
    assert_eq!(call(&mut machine, good(), now), BreakerState::HalfOpen);
    assert_eq!(call(&mut machine, good(), now), BreakerState::Closed);
}

#[test]
fn no_more_probes_are_under_way_than_are_needed_to_decide() {
    let (mut machine, now) = half_open(&Options { successes: Some(2), permitted: 5, ..quick() });
    let first = probe(&mut machine, now).expect("the first");
    probe(&mut machine, now).expect("the second");
    assert_eq!(probe(&mut machine, now), None);
    end(&mut machine, first, Some(good()), now);
    assert_eq!(probe(&mut machine, now), None, "the other is enough");
}

#[test]
fn probes_that_take_too_long_open_it_again_and_say_nothing_when_they_end() {
    let options = Options { max_half_open: Some(Duration::from_secs(5)), permitted: 1, ..quick() };
    let (mut machine, now) = half_open(&options);
    let hung = probe(&mut machine, now).expect("a probe");
    let until = now + 5 * SECOND;
    assert_eq!(machine.admit(until - 1), (Admission::Refused { until }, None));
    let (admission, change) = machine.admit(until);
    assert_eq!(admission, Admission::Refused { until: until + SECOND });
    assert_eq!(change.map(|change| change.cause), Some(Cause::ProbesLate));
    assert_eq!(end(&mut machine, hung, Some(good()), until), BreakerState::Open);
    probe(&mut machine, until + SECOND).expect("the next probe");
    assert_eq!(
        end(&mut machine, hung, Some(good()), until + SECOND),
        BreakerState::HalfOpen,
        "it is another's"
    );
}

#[test]
fn time_that_runs_back_a_little_changes_nothing() {
    let options = Options { max_half_open: Some(Duration::from_secs(5)), permitted: 1, ..quick() };
    let mut machine = machine(&options);
    call(&mut machine, bad(), SECOND);
    assert_eq!(machine.admit(SECOND - 9), (Admission::Refused { until: 2 * SECOND }, None));
    let late = probe(&mut machine, 2 * SECOND).expect("the wait is over");
    assert_eq!(machine.admit(2 * SECOND - 9), (Admission::Refused { until: 7 * SECOND }, None));
    assert_eq!(end(&mut machine, late, Some(good()), 2 * SECOND - 9), BreakerState::Closed);
    let counted = Options { counted: Some((2, Duration::from_secs(1))), ..Options::default() };
    assert_eq!(changed(&mut machine, &counted, 2 * SECOND), None);
    call(&mut machine, bad(), 2 * SECOND);
    assert_eq!(call(&mut machine, bad(), 2 * SECOND - 9), BreakerState::Open);
}

#[test]
fn calls_from_before_a_change_say_nothing_after_it() {
    let mut machine = machine(&quick());
    let late = probe(&mut machine, 0).expect("closed");
    call(&mut machine, bad(), 0);
    machine.ask(BreakerState::Closed, 1);
    assert_eq!(end(&mut machine, late, Some(bad()), 2), BreakerState::Closed);
}

#[test]
fn each_time_it_opens_without_having_been_closed_it_waits_longer() {
    let options = Options { backoff: Some((2.0, Duration::from_secs(3))), permitted: 1, ..quick() };
    let mut machine = machine(&options);
    let mut now = 0;
    for wait in [1, 2, 3, 3] {
        call(&mut machine, bad(), now);
        assert_eq!(machine.until() - now, wait * SECOND);
        now = machine.until();
    }
    assert_eq!(call(&mut machine, good(), now), BreakerState::Closed);
    call(&mut machine, bad(), now);
    assert_eq!(machine.until() - now, SECOND);
}

#[test]
fn what_somebody_asked_for_stays_until_somebody_asks_for_something_else() {
    let mut machine = machine(&quick());
    machine.ask(BreakerState::ForcedOpen, 0);
    assert_eq!(machine.admit(NEVER - 1).0, Admission::Refused { until: NEVER });
    machine.ask(BreakerState::Disabled, 0);
    assert_eq!(call(&mut machine, bad(), 0), BreakerState::Disabled);
    assert_eq!(machine.ledger().in_a_row(), 0, "it takes no notice");
    machine.ask(BreakerState::MetricsOnly, 0);
    assert_eq!(call(&mut machine, bad(), 0), BreakerState::MetricsOnly);
    assert_eq!(machine.ledger().in_a_row(), 1);
    machine.ask(BreakerState::Closed, 0);
    assert_eq!(machine.ledger().in_a_row(), 0, "it begins anew");
    assert_eq!(call(&mut machine, bad(), 0), BreakerState::Open);
    assert_eq!(machine.ask(BreakerState::Open, 9), None);
    assert_eq!(machine.until(), SECOND, "its wait has not begun again");
}

// ---- beside a naive reference ------------------------------------------------------------

#[derive(Clone, Debug)]
enum Step {
    Begin,
    /// The call that was begun so many before the last ends so: 0 good, 1 bad, 2 slow, 3 ignored.
    End(usize, u8),
    Pass(u64),
    Ask(u8),
}

#[test]
fn of_a_call_that_goes_well_nothing_is_to_be_recorded_where_all_of_the_last_so_many_did() {
    let (window, minimum) = (Some(CallWindow::Count(3)), Some(1));
    let mut machine = machine(&Options { window, minimum, ..Options::default() });
    for _ in 0..3 {
        assert!(machine.wants_successes(), "it is not full");
        call(&mut machine, good(), 0);
    }
    assert!(!machine.wants_successes());
    assert_eq!(call(&mut machine, bad(), 0), BreakerState::Closed);
    for outcome in [good(), slow(), good(), good()] {
        assert!(machine.wants_successes(), "not all went well");
        call(&mut machine, outcome, 0);
    }
    assert!(machine.wants_successes(), "not all were quick");
    call(&mut machine, good(), 0);
    assert!(!machine.wants_successes());
    machine.ask(BreakerState::Closed, 0);
    assert!(machine.wants_successes(), "it begins anew");
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        6 => Just(Step::Begin),
        6 => (0_usize..4, 0_u8..4).prop_map(|(back, outcome)| Step::End(back, outcome)),
        2 => (1_u64..8).prop_map(Step::Pass),
        1 => (0_u8..6).prop_map(Step::Ask),
    ];
    prop::collection::vec(step, 0..80)
}

/// All that has ever happened in this state, from which everything is worked out anew each time.
struct Naive {
    consecutive: usize,
    size: usize,
    minimum: usize,
    permitted: usize,
    wait: u64,
    limit: u64,
    state: BreakerState,
    since: u64,
    /// The calls of this state: who, and how it ended.
    begun: Vec<usize>,
    ended: Vec<u8>,
}

impl Naive {
    fn enter(&mut self, state: BreakerState, now: u64) {
        (self.state, self.since) = (state, now);
        (self.begun, self.ended) = (Vec::new(), Vec::new());
    }

    fn begin(&mut self, who: usize, now: u64) -> bool {
        if self.state == BreakerState::Open && now >= self.since + self.wait {
            self.enter(BreakerState::HalfOpen, now);
        } else if self.state == BreakerState::HalfOpen && now >= self.since + self.limit {
            self.enter(BreakerState::Open, now);
        }
        let is_let = match self.state {
            BreakerState::Open | BreakerState::ForcedOpen => false,
            BreakerState::HalfOpen => self.begun.len() + self.ended.len() < self.permitted,
            _ => true,
        };
        if is_let {
            self.begun.push(who);
        }
        is_let
    }

    fn end(&mut self, who: usize, outcome: u8, now: u64) {
        let Some(at) = self.begun.iter().position(|other| *other == who) else { return };
        self.begun.remove(at);
        if outcome == 3 || self.state == BreakerState::Disabled {
            return;
        }
        self.ended.push(outcome);
        let last = |number: usize| &self.ended[self.ended.len().saturating_sub(number)..];
        let too_many = |calls: &[u8], what: u8, percent: usize| {
            let number = calls.iter().filter(|call| **call == what).count();
            number > 0 && number * 100 >= percent * calls.len()
        };
        let is_bad = |calls: &[u8]| too_many(calls, 1, 50) || too_many(calls, 2, 100);
        match self.state {
            BreakerState::Closed => {
                let in_a_row = self.ended.iter().rev().take_while(|call| **call == 1).count();
                let window = last(self.size);
                if in_a_row >= self.consecutive || (window.len() >= self.minimum && is_bad(window)) {
                    self.enter(BreakerState::Open, now);
                }
            }
            BreakerState::HalfOpen if self.ended.len() >= self.permitted => {
                let next = if is_bad(&self.ended) { BreakerState::Open } else { BreakerState::Closed };
                self.enter(next, now);
            }
            _ => {}
        }
    }

    fn ask(&mut self, state: BreakerState, now: u64) {
        if state != self.state || state.admits_all() {
            self.enter(state, now);
        }
    }
}

const STATES: [BreakerState; 6] = [
    BreakerState::Closed,
    BreakerState::Open,
    BreakerState::HalfOpen,
    BreakerState::ForcedOpen,
    BreakerState::Disabled,
    BreakerState::MetricsOnly,
];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]
    #[test]
    fn it_does_what_a_naive_reference_does(
        steps in steps(), size in 1_u32..6, minimum in 1_u32..6, consecutive in 2_u32..5, permitted in 1_u32..4,
    ) {
        let options = Options {
            consecutive: Some(consecutive),
            window: Some(CallWindow::Count(size)),
            minimum: Some(minimum),
            slow_after: Some(Duration::from_secs(1)),
            wait: Duration::from_nanos(5),
            permitted,
            max_half_open: Some(Duration::from_nanos(9)),
            ..Options::default()
        };
        let (mut machine, mut now, mut calls) = (machine(&options), 0, Vec::new());
        let mut naive = Naive {
            consecutive: consecutive as usize,
            size: size as usize,
            minimum: minimum.min(size) as usize,
            permitted: permitted.min(minimum) as usize,
            wait: 5,
            limit: 9,
            state: BreakerState::Closed,
            since: 0,
            begun: Vec::new(),
            ended: Vec::new(),
        };
        for step in steps {
            match step {
                Step::Pass(nanos) => now += nanos,
                Step::Begin => {
                    let let_through = probe(&mut machine, now);
                    prop_assert_eq!(let_through.is_some(), naive.begin(calls.len(), now));
                    calls.push(let_through);
                }
                Step::End(back, outcome) => {
                    let Some(who) = calls.len().checked_sub(back + 1) else { continue };
                    let Some(generation) = calls[who].take() else { continue };
                    let counts = [Some(good()), Some(bad()), Some(slow()), None][usize::from(outcome)];
                    end(&mut machine, generation, counts, now);
                    naive.end(who, outcome, now);
                }
                Step::Ask(state) => {
                    machine.ask(STATES[usize::from(state)], now);
                    naive.ask(STATES[usize::from(state)], now);
                }
            }
            prop_assert_eq!(machine.state(), naive.state);
            prop_assert_eq!(machine.since(), naive.since);
            let probing = if naive.state == BreakerState::HalfOpen { naive.begun.len() } else { 0 };
            prop_assert_eq!(machine.probing() as usize, probing);
        }
    }
}
