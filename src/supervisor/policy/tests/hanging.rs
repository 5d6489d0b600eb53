//! Those who take longer than they may: abandoned, waited for, or the end of the process.

use super::super::*;
use super::world::{GRACE, INIT, MS, SECOND, World, child, dynamic, rules};
use crate::{Hung, OnHang, Restart, Strategy};
use Action::{Abandon, Abort, Launch, Overdue, Retire, Stop};
use ChildState::{Running, Starting, Stopped, Stopping, Waiting};
use ExitKind::Shutdown;

const PATIENT: ChildRules = ChildRules { on_hang: OnHang::Wait, ..child(Restart::Permanent) };
const ABORTS: ChildRules = ChildRules { on_hang: OnHang::AbortProcess, ..child(Restart::Permanent) };
const PLAIN: ChildRules = child(Restart::Permanent);

fn overdue(key: Key, epoch: Epoch, why: Hung, after: Duration) -> Action {
    Overdue { key, epoch, why, after }
}

/// A group whose member 2 is waited for, and which is being stopped because of the first.
fn group() -> World {
    let mut world = World::running(rules(Strategy::OneForAll), &[PLAIN, PATIENT, PLAIN]);
    world.crash(1);
    world.exit(3, Shutdown);
    assert!(world.is(&[(1, Waiting), (2, Stopping), (3, Waiting)]));
    world
}

// Wait.

#[test]
fn a_start_that_is_waited_for_is_reported_once_and_ends_well() {
    let mut world = World::new(rules(Strategy::OneForOne));
    world.add_static(PATIENT);
    world.add_static(PLAIN);
    let begin = world.begin();
    world.pass(INIT - MS);
    assert_eq!(world.actions, []);
    world.pass(MS);
    assert_eq!(world.actions, [overdue(1, 1, Hung::Init, INIT)]);
    assert_eq!(world.policy.next_deadline(), None);
    world.pass(SECOND * 3600);
    assert_eq!(world.actions, []);
    assert_eq!((world.state(2), world.answer(begin)), (Some(Waiting), None), "the next one waits too");
    world.ready(1);
    assert_eq!(world.actions, [Launch { key: 2, epoch: 1 }]);
    world.ready(2);
    assert_eq!(world.answer(begin), Some(Answer::Started));
}

#[test]
fn a_start_that_is_waited_for_may_fail_in_the_end() {
    let mut world = World::running(rules(Strategy::OneForOne), &[PLAIN]);
    let (key, ticket) = world.add(PATIENT);
    world.pass(INIT);
    assert_eq!((world.state(key), world.answer(ticket)), (Some(Starting), None));
    world.crash(key);
    assert_eq!(world.answer(ticket), Some(Answer::StartFailed));
}

#[test]
fn each_limit_of_each_incarnation_is_reported() {
    let mut world = World::running(rules(Strategy::OneForOne), &[PATIENT]);
    for epoch in 2..4 {
        world.crash(1);
        world.pass(INIT);
        assert_eq!(world.actions, [overdue(1, epoch, Hung::Init, INIT)]);
    }
    world.terminate(1);
    world.pass(GRACE * 3);
    assert_eq!(world.actions, [overdue(1, 3, Hung::Grace, GRACE * 3)], "since it was asked to stop");
    world.terminate(1);
    world.pass(GRACE);
    assert_eq!(world.actions, []);
}

#[test]
fn a_start_that_is_asked_to_stop_is_reported_for_its_grace_only() {
    let mut world = World::running(rules(Strategy::OneForOne), &[PLAIN]);
    let (key, _) = world.add(PATIENT);
    world.pass(INIT - MS);
    world.terminate(key);
    world.pass(MS);
    assert_eq!(world.actions, []);
    world.pass(GRACE);
    assert_eq!(world.actions, [overdue(key, 1, Hung::Grace, GRACE + MS)]);
}

#[test]
fn a_stop_that_is_waited_for_has_neither_successor_nor_answer_before_it_is_over() {
    let mut world = World::running(rules(Strategy::OneForOne), &[PATIENT]);
    let asked = world.terminate(1);
    world.pass(GRACE);
    let again = world.restart(1);
    assert_eq!(world.answer(again), Some(Answer::Running));
    world.pass(SECOND * 3600);
    assert_eq!((world.launched(), world.answer(asked)), (vec![], None));
    world.exit(1, Shutdown);
    assert_eq!(world.answer(asked), Some(Answer::Stopped));
    world.restart(1);
    assert_eq!(world.launched(), [1]);
}

#[test]
fn a_group_waits_for_its_member_and_then_goes_on_in_order() {
    let mut world = group();
    world.pass(GRACE);
    assert_eq!(world.actions, [overdue(2, 1, Hung::Grace, GRACE)]);
    world.pass(SECOND * 3600);
    assert!(world.is(&[(1, Waiting), (2, Stopping), (3, Waiting)]));
    world.exit(2, Shutdown);
    assert_eq!(world.actions, [Launch { key: 1, epoch: 2 }]);
    assert_eq!(world.settle(), [1, 2, 3]);
}

#[test]
fn the_supervisor_answers_while_it_waits() {
    let mut world = group();
    world.pass(GRACE);
    let (key, added) = world.add(PLAIN);
    let terminated = world.terminate(3);
    assert_eq!(world.answer(terminated), Some(Answer::Stopped));
    let deleted = world.delete(3);
    assert_eq!(world.answer(deleted), Some(Answer::Deleted));
    assert_eq!((world.state(key), world.answer(added)), (Some(Waiting), None));
    world.exit(2, Shutdown);
    world.settle();
    assert_eq!(world.answer(added), Some(Answer::Started));
}

#[test]
fn a_stop_of_everything_without_a_deadline_waits_too() {
    let mut world = World::running(rules(Strategy::OneForOne), &[PLAIN, PATIENT]);
    let ticket = world.stop(None);
    assert_eq!(world.actions, [Stop { key: 2, epoch: 1, terminal: true, deadline: None }]);
    world.pass(SECOND * 3600);
    assert_eq!(world.actions, [overdue(2, 1, Hung::Grace, SECOND * 3600)]);
    assert_eq!(world.state(1), Some(Running), "its turn comes after that");
    world.exit(2, Shutdown);
    world.exit(1, Shutdown);
    assert_eq!(world.answer(ticket), Some(Answer::Stopped));
}

#[test]
fn only_the_deadline_of_a_whole_stop_abandons_one_that_is_waited_for() {
    let mut world = World::running(rules(Strategy::OneForOne), &[PLAIN, PATIENT]);
    let deadline = Some(world.now + SECOND);
    world.stop(deadline);
    assert_eq!(world.actions, [Stop { key: 2, epoch: 1, terminal: true, deadline }]);
    world.pass(GRACE);
    assert_eq!(world.actions, [overdue(2, 1, Hung::Grace, GRACE)]);
    world.pass(SECOND - GRACE - MS);
    assert_eq!(world.actions, []);
    world.pass(MS);
    assert_eq!(world.actions[0], Abandon { key: 2, epoch: 1, why: Hung::Grace });
    assert!(world.did(Retire { key: 2, failed: true }));
    assert_eq!(world.asked(), [1]);
}

#[test]
fn a_later_deadline_of_the_whole_hurries_one_that_is_waited_for() {
    let mut world = World::running(rules(Strategy::OneForOne), &[PATIENT]);
    world.terminate(1);
    world.pass(GRACE);
    world.stop(None);
    world.pass(SECOND);
    assert_eq!(world.actions, [], "it was reported");
    let deadline = Some(world.now + SECOND);
    world.stop(deadline);
    assert_eq!(world.actions, [Stop { key: 1, epoch: 1, terminal: true, deadline }]);
    world.pass(SECOND);
    assert_eq!(world.outcome(), Some(Outcome::Stopped));
}

#[test]
fn the_shared_grace_of_dynamic_children_only_reports_one_that_is_waited_for() {
    let mut world = World::running(dynamic(None), &[]);
    for rules in [PLAIN, PATIENT] {
        world.add(rules);
    }
    world.settle();
    world.stop(None);
    world.pass(SECOND);
    let expected = [Abandon { key: 1, epoch: 1, why: Hung::Grace }, overdue(2, 1, Hung::Grace, SECOND)];
    assert!(expected.iter().all(|action| world.did(*action)), "{:?}", world.actions);
    assert_eq!(world.keys(), [2]);
    world.pass(SECOND * 3600);
    assert_eq!(world.actions, []);
    world.exit(2, Shutdown);
    assert_eq!(world.outcome(), Some(Outcome::Stopped));
}

#[test]
fn the_shared_grace_may_come_before_its_own() {
    let slow = ChildRules { grace: Some(SECOND * 9), ..PATIENT };
    let mut world = World::running(dynamic(None), &[]);
    let (key, _) = world.add(slow);
    world.settle();
    world.terminate(key);
    world.pass(MS);
    world.stop(None);
    world.pass(SECOND);
    assert_eq!(world.actions, [overdue(key, 1, Hung::Grace, SECOND + MS)]);
    world.pass(SECOND * 9);
    assert_eq!(world.actions, [], "once");
}

#[test]
fn one_that_is_waited_for_costs_no_restart() {
    let rules = Rules { max_restarts: 0, ..rules(Strategy::OneForOne) };
    let mut world = World::running(rules, &[PATIENT]);
    world.terminate(1);
    world.pass(SECOND);
    world.crash(1);
    assert_eq!(world.state(1), Some(Stopped));
    assert!(!world.policy.is_down());
}

// AbortProcess.

#[test]
fn the_process_is_aborted_where_the_child_would_be_abandoned() {
    let mut world = World::new(rules(Strategy::OneForOne));
    world.add_static(ABORTS);
    world.begin();
    world.pass(INIT - MS);
    assert_eq!(world.actions, []);
    world.pass(MS);
    let abandon = Abandon { key: 1, epoch: 1, why: Hung::Init };
    assert_eq!(world.actions[..2], [Abort { key: 1, why: Hung::Init }, abandon]);
}

#[test]
fn the_process_is_aborted_at_the_end_of_a_grace_and_of_a_whole_stop() {
    let deadlines: [Option<Duration>; 2] = [None, Some(MS * 10)];
    for whole in deadlines {
        let mut world = World::running(rules(Strategy::OneForOne), &[ABORTS]);
        world.stop(whole.map(|time| world.now + time));
        let limit = whole.unwrap_or(GRACE);
        world.pass(limit - MS);
        assert_eq!(world.actions, []);
        world.pass(MS);
        let abandon = Abandon { key: 1, epoch: 1, why: Hung::Grace };
        assert_eq!(world.actions[..2], [Abort { key: 1, why: Hung::Grace }, abandon]);
    }
}

#[test]
fn one_that_keeps_its_limits_aborts_nothing() {
    for kind in [ABORTS, PATIENT] {
        let mut world = World::running(rules(Strategy::OneForOne), &[kind]);
        world.crash(1);
        world.pass(INIT - MS);
        world.ready(1);
        world.pass(SECOND * 3600);
        assert_eq!(world.actions, []);
        world.stop(None);
        world.pass(GRACE - MS);
        assert_eq!(world.actions, []);
        world.exit(1, Shutdown);
        assert_eq!(world.outcome(), Some(Outcome::Stopped));
    }
}
