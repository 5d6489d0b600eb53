//! The breaker beside its machine alone: whatever it leaves out, or counts without its lock, nobody can tell.

use std::time::Duration;

use proptest::prelude::*;

use super::machine::{Admission, BreakerState, Machine};
use super::permit::Outcome;
use super::rates::Counts;
use super::settings::{Options, Rate, Settings};
use super::window::CallWindow;
use super::*;
use crate::sync::{Clock, ManualClock};

/// What happens to both.
#[derive(Clone, Debug)]
enum Step {
    /// So many calls begin, and go well at once.
    Calls(u8),
    Begin,
    /// The call that was begun so many before the last ends so.
    End(usize, Outcome),
    Pass(u64),
    Ask(BreakerState),
    Change(Settings),
    /// The settings are as before, save for the rates and how many calls it takes for one.
    Judge(f64, u32),
    Look,
}

fn outcome() -> impl Strategy<Value = Outcome> {
    prop_oneof![6 => Just(Outcome::Success), 2 => Just(Outcome::Failure), 1 => Just(Outcome::Ignore)]
}

fn settings() -> impl Strategy<Value = Settings> {
    let nanos = Duration::from_nanos;
    let window = prop_oneof![
        Just(None),
        (1_u32..5).prop_map(|calls| Some(CallWindow::Count(calls))),
        (10_u64..200).prop_map(move |span| Some(CallWindow::Time(nanos(span)))),
    ];
    let rules = (
        prop::option::of(2_u32..5),
        prop::option::of((1_u32..4, 0_u64..40)),
        prop::option::of(1_u32..6),
        prop::option::of(0_u64..9),
    );
    let open = (0_u64..20, 1_u32..4, prop::option::of(1_u32..4), prop::option::of(0_u64..20));
    (window, rules, open, prop_oneof![Just(10.0), Just(50.0), Just(100.0)]).prop_map(
        move |(window, (consecutive, counted, minimum, slow), (wait, permitted, successes, max), rate)| {
            let options = Options {
                consecutive,
                counted: counted.map(|(most, within)| (most, nanos(within))),
                failure_rate: Some(rate),
                slow_after: slow.map(nanos),
                window,
                minimum,
                wait: nanos(wait),
                permitted,
                successes,
                max_half_open: max.map(nanos),
                ..Options::default()
            };
            options.settings("a").expect("they are good")
        },
    )
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        8 => (1_u8..9).prop_map(Step::Calls),
        6 => Just(Step::Begin),
        8 => (0_usize..4, outcome()).prop_map(|(back, outcome)| Step::End(back, outcome)),
        5 => (0_u64..12).prop_map(Step::Pass),
        1 => (0_u64..300).prop_map(Step::Pass),
        1 => prop::sample::select(&BreakerState::ALL).prop_map(Step::Ask),
        1 => settings().prop_map(Step::Change),
        1 => (1_u8..=10, 1_u32..6).prop_map(|(tenths, calls)| Step::Judge(f64::from(tenths) * 10.0, calls)),
        3 => Just(Step::Look),
    ];
    prop::collection::vec(step, 0..120)
}

/// The machine, which is told of everything.
struct Reference {
    machine: Machine,
    settings: Settings,
    now: u64,
}

/// The generation of a call, and when it began, where that matters.
type Begun = (u64, Option<u64>);

impl Reference {
    fn begin(&mut self) -> Option<Begun> {
        match self.machine.admit(self.now).0 {
            Admission::Admitted(generation) => {
                let is_timed =
                    self.settings.slow_nanos.is_some() && self.machine.state() != BreakerState::Disabled;
                Some((generation, is_timed.then_some(self.now)))
            }
            Admission::Refused { .. } => None,
        }
    }

    fn end(&mut self, (generation, started): Begun, outcome: Outcome) {
        let took = started.map_or(0, |started| self.now - started);
        let is_slow = self.settings.slow_nanos.is_some_and(|most| took > most);
        let call = (outcome != Outcome::Ignore).then(|| Counts::one(outcome == Outcome::Failure, is_slow));
        if let Some(due) = self.machine.record(generation, call, self.now) {
            self.machine.turn(due, self.now);
        }
    }
}

/// Both, with the calls that are under way.
struct Pair<'a> {
    breaker: &'a CircuitBreaker,
    hand: &'a ManualClock,
    reference: Reference,
    calls: Vec<Option<(Permit<'a>, Begun)>>,
}

impl Pair<'_> {
    fn take(&mut self, step: Step) {
        match step {
            Step::Calls(number) => (0..number).for_each(|_| {
                self.begin();
                self.end(0, Outcome::Success);
            }),
            Step::Begin => self.begin(),
            Step::End(back, outcome) => self.end(back, outcome),
            Step::Pass(nanos) => {
                self.hand.advance(Duration::from_nanos(nanos));
                self.reference.now += nanos;
            }
            Step::Ask(state) => {
                self.breaker.shared.change_to(state);
                self.reference.machine.ask(state, self.reference.now);
            }
            Step::Change(settings) => self.change(settings),
            Step::Judge(failure, minimum) => {
                let mut settings = self.reference.settings.clone();
                settings.thresholds.failure = failure;
                settings.rate = settings.rate.map(|rate| Rate { minimum, ..rate });
                self.change(settings);
            }
            Step::Look => self.compare(),
        }
        assert_eq!(self.breaker.state(), self.reference.machine.state());
    }

    fn change(&mut self, settings: Settings) {
        self.breaker.change(settings.clone()).tell();
        self.reference.machine.change(settings.clone(), self.reference.now);
        self.reference.settings = settings;
    }

    fn begin(&mut self) {
        let (permit, begun) = (self.breaker.permit(), self.reference.begin());
        assert_eq!(permit.is_ok(), begun.is_some());
        self.calls.push(permit.ok().zip(begun));
    }

    fn end(&mut self, back: usize, outcome: Outcome) {
        let Some(who) = self.calls.len().checked_sub(back + 1) else { return };
        let Some((permit, begun)) = self.calls[who].take() else { return };
        permit.report(outcome);
        self.reference.end(begun, outcome);
    }

    fn compare(&mut self) {
        let (found, machine) = (self.breaker.snapshot(), &mut self.reference.machine);
        let (counts, is_enough) = machine.ledger().counts(self.reference.now);
        assert_eq!((found.calls, found.failure_rate.is_some()), (counts, is_enough));
        assert_eq!(found.consecutive_failures, machine.ledger().in_a_row());
        assert_eq!((found.opened, found.probes), (machine.opened(), machine.probing()));
        let since = self.hand.now() - Duration::from_nanos(self.reference.now - machine.since());
        assert_eq!(found.since, since);
        assert_eq!(self.breaker.shared.word().generation(), machine.generation());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]
    #[test]
    fn it_shows_what_the_machine_shows_that_is_told_of_every_call(settings in settings(), steps in steps()) {
        let (clock, hand) = Clock::manual();
        let breaker = BreakerBuilder::new("a").clock(clock).build_with(settings.clone());
        let reference = Reference { machine: Machine::new(settings.clone()), settings, now: 0 };
        let mut pair = Pair { breaker: &breaker, hand: &hand, reference, calls: Vec::new() };
        for step in steps {
            pair.take(step);
        }
        pair.compare();
    }
}
