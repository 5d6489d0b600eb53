//! Stopping everything, from every state.

use super::super::*;
use super::world::{GRACE, INIT, MS, SECOND, World, child, clock, constant, dynamic, rules};
use crate::{Hung, Restart, Strategy};
use Action::{Abandon, Finish, Retire, Stop};
use Answer::ShuttingDown;
use ExitKind::Shutdown;

const ALL: [Strategy; 3] = [Strategy::OneForOne, Strategy::OneForAll, Strategy::RestForOne];

fn three(strategy: Strategy) -> World {
    World::running(rules(strategy), &[child(Restart::Permanent); 3])
}

fn nested() -> ChildRules {
    ChildRules { grace: None, ..child(Restart::Permanent) }
}

#[test]
fn static_children_stop_in_reverse_each_within_its_own_grace() {
    for strategy in ALL {
        let mut world = three(strategy);
        let ticket = world.stop(None);
        for key in [3, 2] {
            let deadline = Some(world.now + GRACE);
            assert_eq!(world.actions.last(), Some(&Stop { key, epoch: 1, terminal: true, deadline }));
            world.pass(GRACE - MS);
            world.exit(key, Shutdown);
        }
        world.exit(1, Shutdown);
        let retire = Retire { key: 1, failed: false };
        let answer = Action::Answer { ticket, answer: Answer::Stopped };
        assert_eq!(world.actions, [retire, answer, Finish(Outcome::Stopped)]);
    }
}

#[test]
fn a_child_that_outlives_its_grace_is_abandoned_and_the_others_stop_in_order() {
    let mut world = three(Strategy::OneForOne);
    world.stop(None);
    world.exit(3, Shutdown);
    world.pass(GRACE);
    assert_eq!(world.actions[0], Abandon { key: 2, epoch: 1, why: Hung::Grace });
    assert_eq!(world.asked(), [1]);
    world.exit(1, Shutdown);
    assert_eq!(world.outcome(), Some(Outcome::Stopped));
}

#[test]
fn the_deadline_of_the_whole_stop_bounds_every_grace() {
    let mut world = three(Strategy::OneForOne);
    let deadline = Some(world.now + GRACE + MS * 50);
    world.stop(deadline);
    world.pass(GRACE);
    assert_eq!(world.actions.last(), Some(&Stop { key: 2, epoch: 1, terminal: true, deadline }));
    world.pass(MS * 50);
    assert!(world.did(Abandon { key: 2, epoch: 1, why: Hung::Grace }));
    world.settle();
    assert_eq!(world.outcome(), Some(Outcome::Stopped));
}

#[test]
fn a_second_stop_can_only_hurry() {
    let mut world = three(Strategy::OneForOne);
    let first = world.stop(None);
    let sooner = Some(world.now + MS * 10);
    let second = world.stop(sooner);
    let hurried = Stop { key: 3, epoch: 1, terminal: true, deadline: sooner };
    assert_eq!(world.actions, [hurried]);
    let third = world.stop(Some(world.now + SECOND));
    assert_eq!(world.actions, []);
    world.pass(MS * 10);
    assert!(world.did(Abandon { key: 3, epoch: 1, why: Hung::Grace }));
    let next = Stop { key: 2, epoch: 1, terminal: true, deadline: sooner };
    assert_eq!(world.actions.last(), Some(&next));
    world.settle();
    for ticket in [first, second, third] {
        assert_eq!(world.answer(ticket), Some(Answer::Stopped));
    }
}

#[test]
fn a_nested_supervisor_is_told_the_whole_deadline_and_given_some_slack() {
    let mut world = World::running(rules(Strategy::OneForOne), &[nested()]);
    let deadline = Some(world.now + SECOND);
    world.stop(deadline);
    assert_eq!(world.actions, [Stop { key: 1, epoch: 1, terminal: true, deadline }]);
    world.pass(SECOND * 2 - MS);
    assert_eq!(world.actions, []);
    world.pass(MS);
    assert!(world.did(Abandon { key: 1, epoch: 1, why: Hung::Grace }));
}

#[test]
fn a_nested_supervisor_without_a_deadline_bounds_itself() {
    let mut world = World::running(rules(Strategy::OneForOne), &[nested()]);
    world.stop(None);
    assert_eq!(world.actions, [Stop { key: 1, epoch: 1, terminal: true, deadline: None }]);
    assert_eq!(world.policy.next_deadline(), None);
    let deadline = Some(world.now + SECOND);
    world.stop(deadline);
    assert_eq!(world.actions, [Stop { key: 1, epoch: 1, terminal: true, deadline }]);
}

#[test]
fn dynamic_children_stop_all_at_once_under_one_grace() {
    let mut world = World::running(dynamic(None), &[]);
    for _ in 0..3 {
        world.add(child(Restart::Permanent));
    }
    world.settle();
    world.stop(None);
    let deadline = Some(world.now + SECOND);
    let stop = |key| Stop { key, epoch: 1, terminal: true, deadline };
    assert_eq!(world.actions, [3, 2, 1].map(stop));
    world.exit(2, Shutdown);
    world.pass(SECOND);
    assert!([1, 3].iter().all(|key| world.did(Retire { key: *key, failed: true })));
    assert_eq!(world.outcome(), Some(Outcome::Stopped));
}

#[test]
fn a_second_stop_hurries_all_dynamic_children() {
    let mut world = World::running(dynamic(None), &[]);
    for _ in 0..3 {
        world.add(child(Restart::Permanent));
    }
    world.stop(None);
    world.stop(Some(world.now + MS));
    assert_eq!(world.asked(), [3, 2, 1]);
    world.pass(MS);
    assert_eq!(world.outcome(), Some(Outcome::Stopped));
}

#[test]
fn a_stop_before_the_first_start() {
    let mut world = World::new(rules(Strategy::OneForOne));
    world.add_static(child(Restart::Permanent));
    world.stop(None);
    assert!(world.did(Retire { key: 1, failed: false }));
    assert_eq!(world.outcome(), Some(Outcome::Stopped));
}

#[test]
fn a_stop_during_a_slow_init_returns_promptly() {
    let mut world = World::new(rules(Strategy::OneForOne));
    for _ in 0..3 {
        world.add_static(child(Restart::Permanent));
    }
    let begin = world.begin();
    world.ready(1);
    world.stop(None);
    assert_eq!(world.answer(begin), Some(ShuttingDown));
    assert_eq!(world.asked(), [2]);
    world.ready(2);
    world.exit(2, Shutdown);
    world.exit(1, Shutdown);
    assert_eq!(world.outcome(), Some(Outcome::Stopped));
}

#[test]
fn a_stop_during_backoff_returns_at_once() {
    let rules = Rules { backoff: constant(SECOND * 60), ..rules(Strategy::OneForOne) };
    let mut world = World::running(rules, &[child(Restart::Permanent)]);
    world.crash(1);
    world.stop(None);
    assert!(world.did(Retire { key: 1, failed: true }));
    assert_eq!(world.outcome(), Some(Outcome::Stopped));
    assert_eq!(world.policy.next_deadline(), None);
}

#[test]
fn a_stop_refuses_what_is_pending() {
    let mut world = three(Strategy::OneForOne);
    let (_, start) = world.add(child(Restart::Permanent));
    let terminate = world.terminate(1);
    world.stop(None);
    for ticket in [start, terminate] {
        assert_eq!(world.answer(ticket), Some(ShuttingDown));
    }
}

#[test]
fn a_stop_while_giving_up_waits_for_the_same_end() {
    let rules = Rules { max_restarts: 0, ..rules(Strategy::OneForOne) };
    let mut world = World::running(rules, &[child(Restart::Permanent); 2]);
    world.crash(1);
    let ticket = world.stop(None);
    world.settle();
    assert_eq!(world.answer(ticket), Some(Answer::Stopped));
    assert_eq!(world.outcome(), Some(Outcome::Escalated { key: 1 }));
}

#[test]
fn a_deadline_that_was_moved_in_the_same_step_is_not_over() {
    let rules = Rules { max_restarts: 2, ..rules(Strategy::OneForOne) };
    let mut world = World::running(rules, &[child(Restart::Permanent); 2]);
    world.crash(1);
    world.crash(2);
    world.pass(INIT); // Both starts take too long; at the first, the supervisor gives up.
    assert!(world.did(Action::GaveUp { key: 1 }));
    assert_eq!(world.asked(), [2]);
    assert_eq!(world.state(2), Some(ChildState::Stopping));
}

#[test]
fn crashes_during_a_stop_are_not_charged() {
    let mut world = three(Strategy::OneForAll);
    world.stop(None);
    for key in [1, 3, 2] {
        world.crash(key);
        assert!(world.did(Retire { key, failed: true }));
    }
    assert_eq!(world.outcome(), Some(Outcome::Stopped));
}

#[test]
fn commands_during_and_after_a_stop_are_refused() {
    let mut world = three(Strategy::OneForOne);
    world.stop(None);
    for _ in 0..2 {
        let (_, add) = world.add(child(Restart::Permanent));
        let others = [world.terminate(1), world.restart(2), world.delete(3), world.begin()];
        for ticket in others.into_iter().chain([add]) {
            assert_eq!(world.answer(ticket), Some(ShuttingDown));
        }
        world.settle();
    }
    let late = world.stop(None);
    assert_eq!(world.actions, [Action::Answer { ticket: late, answer: ShuttingDown }]);
}

#[test]
fn a_child_that_is_being_terminated_does_not_stop_the_stop() {
    let mut world = three(Strategy::OneForOne);
    world.terminate(3);
    world.stop(None);
    assert!(world.asked().is_empty(), "it has been asked in the same terms");
    world.pass(GRACE);
    assert_eq!(world.asked(), [2]);
}

#[test]
fn absurd_durations_do_not_panic() {
    let forever = Duration::MAX;
    let rules = Rules { backoff: constant(forever), ..rules(Strategy::OneForOne) };
    let kind = ChildRules { init: forever, grace: Some(forever), ..child(Restart::Permanent) };
    let mut world = World::running(rules, &[kind, kind]);
    world.crash(1);
    world.stop(None);
    world.settle();
    assert_eq!(world.outcome(), Some(Outcome::Stopped));
}

#[test]
fn a_child_that_can_never_start_in_time_does_not_keep_a_step_from_ending() {
    let rules = Rules { max_restarts: u32::MAX, ..rules(Strategy::OneForOne) };
    let mut world = World::running(rules, &[child(Restart::Permanent)]);
    let (key, _) = world.add(ChildRules { init: MS, ..child(Restart::Permanent) });
    world.ready(key);
    world.crash(key);
    for _ in 0..100 {
        world.pass(MS);
        assert_eq!(world.launched(), [key]);
    }
    let at_once = ChildRules { init: Duration::ZERO, ..child(Restart::Permanent) };
    let (_, ticket) = world.add(at_once);
    assert_eq!(world.answer(ticket), Some(Answer::StartFailed));
}

/// How long the steps of a first start and a stop of so many children take.
fn start_and_stop(children: u64, rules: Rules) -> Duration {
    let (mut policy, now) = (Policy::new(rules), clock());
    let mut actions = Vec::new();
    let mut step = |event| policy.step(now, event, &mut actions);
    for key in 1..=children {
        step(Event::Add { key, rules: child(Restart::Permanent), ticket: None });
    }
    step(Event::Begin { ticket: 0 });
    (1..=children).for_each(|key| step(Event::Ready { key, epoch: 1 }));
    step(Event::Stop { deadline: None, ticket: None });
    (1..=children).rev().for_each(|key| step(Event::Exited { key, epoch: 1, exit: Shutdown }));
    assert!(policy.is_finished());
    clock() - now
}

#[test]
fn many_children_start_and_stop_in_less_than_quadratic_time() {
    // Ten times as many: linear with a logarithm is about 13 times, quadratic is 100 times. One
    // quiet moment of the machine out of many is enough to tell them apart.
    let ratio_is_fine =
        |rules: &Rules| start_and_stop(3_000, rules.clone()) < start_and_stop(300, rules.clone()) * 40;
    for rules in [rules(Strategy::OneForOne), rules(Strategy::OneForAll), dynamic(None)] {
        assert!((0..50).any(|_| ratio_is_fine(&rules)));
    }
}
