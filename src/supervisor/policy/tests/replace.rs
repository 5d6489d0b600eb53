//! replace_child: another description, and a successor that gets the state.

use super::super::*;
use super::world::{GRACE, INIT, MS, SECOND, World, child, constant, dynamic, rules};
use crate::{AutoShutdown, Backoff, Hung, Restart, Strategy};
use Action::{Abandon, CallOff, Forget, HandOver, Launch, Replace, Retire, Stop};
use Answer::{Busy, Ignored, NotFound, Replaced, ShuttingDown, StartFailed, Started};
use ChildState::{HandingOver, Running, Starting, Stopped, Stopping, Waiting};
use ExitKind::{Normal, Shutdown};

fn permanent() -> ChildRules {
    child(Restart::Permanent)
}

fn two(strategy: Strategy) -> World {
    World::running(rules(strategy), &[permanent(), permanent()])
}

/// Two of whom the first is asked for its state.
fn handing(strategy: Strategy) -> (World, Ticket) {
    let mut world = two(strategy);
    let ticket = world.replace(1);
    assert!(world.is(&[(1, HandingOver), (2, Running)]));
    (world, ticket)
}

fn is_charged(world: &World) -> bool {
    world.actions.iter().any(|action| matches!(action, Action::Restarting { .. } | Action::GaveUp { .. }))
}

// A child that runs

#[test]
fn a_running_child_hands_over_and_its_successor_is_launched_at_nobodys_expense() {
    for strategy in [Strategy::OneForOne, Strategy::OneForAll, Strategy::RestForOne] {
        let rules = Rules { max_restarts: 0, backoff: constant(SECOND), ..rules(strategy) };
        let mut world = World::running(rules, &[permanent(), permanent()]);
        for epoch in 1..9 {
            let ticket = world.replace(1);
            assert_eq!(world.actions, [Replace { key: 1, ticket }, HandOver { key: 1, epoch }]);
            world.hand_over(1);
            assert_eq!(world.actions, [Launch { key: 1, epoch: epoch + 1 }]);
            assert_eq!(world.answer(ticket), None);
            world.ready(1);
            assert_eq!(world.answer(ticket), Some(Started));
        }
        assert!(world.is(&[(1, Running), (2, Running)]));
    }
}

#[test]
fn a_temporary_child_is_replaced_like_any_other() {
    let mut world = World::running(rules(Strategy::OneForOne), &[child(Restart::Temporary)]);
    let ticket = world.replace(1);
    world.hand_over(1);
    world.ready(1);
    assert_eq!(world.answer(ticket), Some(Started));
    assert!(world.is(&[(1, Running)]));
}

#[test]
fn one_that_hangs_is_abandoned_after_its_grace_and_followed_all_the_same() {
    for restart in [Restart::Permanent, Restart::Transient, Restart::Temporary] {
        let mut world = World::running(rules(Strategy::OneForOne), &[child(restart)]);
        let ticket = world.replace(1);
        assert_eq!(world.policy.next_deadline(), Some(world.now + GRACE));
        world.pass(GRACE - MS);
        assert!(world.actions.is_empty());
        world.pass(MS);
        let expected = [Abandon { key: 1, epoch: 1, why: Hung::Grace }, Launch { key: 1, epoch: 2 }];
        assert_eq!(world.actions, expected);
        world.ready(1);
        assert_eq!(world.answer(ticket), Some(Started));
    }
}

#[test]
fn one_that_crashes_meanwhile_is_followed_all_the_same_and_not_charged() {
    let rules = Rules { max_restarts: 0, ..rules(Strategy::OneForAll) };
    let mut world = World::running(rules, &[permanent(), child(Restart::Transient)]);
    for key in [1, 2] {
        world.replace(key);
        world.crash(key);
        assert_eq!(world.actions, [Launch { key, epoch: 2 }]);
        world.ready(key);
    }
    world.replace(1);
    world.exit(1, Normal);
    assert_eq!(world.launched(), [1], "a permanent child always calls for a start");
}

#[test]
fn one_that_is_done_meanwhile_stays_down_with_its_new_description() {
    for exit in [Normal, Shutdown] {
        let mut world = World::running(rules(Strategy::OneForOne), &[child(Restart::Transient)]);
        let ticket = world.replace(1);
        world.exit(1, exit);
        let answer = Action::Answer { ticket, answer: Replaced };
        assert_eq!(world.actions, [Retire { key: 1, failed: false }, answer]);
        assert!(world.is(&[(1, Stopped)]));
    }
}

#[test]
fn one_that_is_done_meanwhile_and_not_kept_is_gone() {
    for exit in [Normal, ExitKind::Abnormal] {
        let mut world = World::running(rules(Strategy::OneForOne), &[child(Restart::Temporary)]);
        let ticket = world.replace(1);
        world.exit(1, exit);
        assert!(world.did(Forget { key: 1 }));
        assert_eq!(world.answer(ticket), Some(NotFound));
    }
}

#[test]
fn a_significant_child_that_is_done_meanwhile_counts() {
    let rules = Rules { auto_shutdown: AutoShutdown::AnySignificant, ..rules(Strategy::OneForOne) };
    let significant = ChildRules { significant: true, ..child(Restart::Transient) };
    let mut world = World::running(rules, &[significant, permanent()]);
    world.replace(1);
    world.hand_over(1);
    assert!(!world.policy.is_down(), "to be followed is not to be done");
    world.ready(1);
    let ticket = world.replace(1);
    world.exit(1, Normal);
    assert_eq!(world.answer(ticket), Some(Replaced));
    world.settle();
    assert_eq!(world.outcome(), Some(Outcome::AutoShutdown { key: 1 }));
}

// A successor that does not start

#[test]
fn a_successor_that_does_not_start_leaves_the_child_down_and_is_not_charged() {
    let rules = Rules { max_restarts: 0, ..rules(Strategy::OneForAll) };
    let mut world = World::running(rules, &[permanent(), permanent()]);
    let ticket = world.replace(1);
    world.hand_over(1);
    world.crash(1);
    assert_eq!(world.actions[0], Retire { key: 1, failed: true });
    assert_eq!(world.answer(ticket), Some(StartFailed));
    assert!(world.is(&[(1, Stopped), (2, Running)]));
    let ticket = world.replace(2);
    world.hand_over(2);
    world.pass(INIT);
    assert_eq!(world.actions[0], Abandon { key: 2, epoch: 2, why: Hung::Init });
    assert_eq!(world.answer(ticket), Some(StartFailed));
    assert!(world.is(&[(1, Stopped), (2, Stopped)]) && !world.policy.is_down());
}

#[test]
fn a_successor_that_is_up_is_restarted_like_any_other() {
    let (mut world, _) = handing(Strategy::OneForOne);
    world.hand_over(1);
    world.ready(1);
    world.crash(1);
    assert!(is_charged(&world));
    assert_eq!(world.launched(), [1]);
}

#[test]
fn what_it_cost_before_is_forgotten_with_it() {
    let backoff = Backoff::exponential(MS * 10, SECOND);
    let mut world = World::running(Rules { backoff, ..rules(Strategy::OneForOne) }, &[permanent()]);
    for delay in [10, 20] {
        world.crash(1);
        assert_eq!(world.policy.next_deadline(), Some(world.now + MS * delay));
        world.settle();
    }
    world.replace(1);
    world.settle();
    world.crash(1);
    assert_eq!(world.policy.next_deadline(), Some(world.now + MS * 10));
}

#[test]
fn a_successor_that_declines_to_run_was_started_well() {
    let (mut world, ticket) = handing(Strategy::OneForOne);
    world.hand_over(1);
    world.exit(1, ExitKind::Ignored);
    assert_eq!(world.answer(ticket), Some(Ignored));
    assert!(world.is(&[(1, Stopped), (2, Running)]));
}

#[test]
fn where_nothing_is_kept_a_successor_that_does_not_start_is_forgotten() {
    let mut dynamic = World::running(dynamic(None), &[]);
    dynamic.add(permanent());
    dynamic.settle();
    let temporary = World::running(rules(Strategy::OneForOne), &[child(Restart::Temporary)]);
    for mut world in [dynamic, temporary] {
        let ticket = world.replace(1);
        world.hand_over(1);
        world.crash(1);
        assert!(world.did(Forget { key: 1 }) && world.is(&[]));
        assert_eq!(world.answer(ticket), Some(StartFailed));
    }
}

// A child that is down

#[test]
fn a_child_that_is_down_gets_its_description_and_stays_down() {
    let mut world = two(Strategy::OneForOne);
    world.terminate(1);
    world.settle();
    let ticket = world.replace(1);
    let answer = Action::Answer { ticket, answer: Replaced };
    assert_eq!(world.actions, [Replace { key: 1, ticket }, answer]);
    assert!(world.is(&[(1, Stopped), (2, Running)]) && !world.pass_to_deadline());
}

#[test]
fn a_pending_restart_stays_pending() {
    let rules = Rules { backoff: constant(MS * 100), ..rules(Strategy::OneForOne) };
    let mut world = World::running(rules, &[permanent()]);
    world.crash(1);
    world.pass(MS * 60);
    let ticket = world.replace(1);
    assert_eq!(world.answer(ticket), Some(Replaced));
    assert!(world.launched().is_empty());
    world.pass(MS * 40);
    assert_eq!(world.actions, [Launch { key: 1, epoch: 2 }]);
}

// Refusals

#[test]
fn a_child_on_its_way_is_refused_and_nothing_is_replaced() {
    let mut starting = two(Strategy::OneForOne);
    starting.crash(1);
    let mut stopping = two(Strategy::OneForOne);
    stopping.terminate(1);
    let (twice, _) = handing(Strategy::OneForOne);
    let mut grouped = two(Strategy::OneForAll);
    grouped.crash(2); // 1 is being stopped for the group
    let mut waiting = two(Strategy::OneForAll);
    waiting.crash(1); // it waits until 2 is down
    let mut first = World::new(rules(Strategy::OneForOne));
    first.add_static(permanent());
    let cases = [
        (starting, Starting),
        (stopping, Stopping),
        (twice, HandingOver),
        (grouped, Stopping),
        (waiting, Waiting),
        (first, Waiting),
    ];
    for (mut world, state) in cases {
        let ticket = world.replace(1);
        assert_eq!(world.actions, [Action::Answer { ticket, answer: Busy(state) }]);
    }
}

#[test]
fn one_that_runs_while_its_group_is_on_its_way_is_refused() {
    let mut world = World::running(rules(Strategy::OneForAll), &[permanent(), permanent(), permanent()]);
    world.crash(3); // 2 is asked first
    assert_eq!(world.state(1), Some(Running));
    let ticket = world.replace(1);
    assert_eq!(world.answer(ticket), Some(Busy(Waiting)));
    world.exit(2, Shutdown);
    world.exit(1, Shutdown);
    world.ready(1);
    assert!(world.is(&[(1, Running), (2, Starting), (3, Waiting)]));
    let ticket = world.replace(1);
    assert_eq!(world.answer(ticket), Some(Busy(Waiting)));
    world.settle();
    let ticket = world.replace(1);
    assert_eq!(world.answer(ticket), None, "all is well again");
}

#[test]
fn a_sibling_that_starts_is_no_hindrance() {
    let mut world = two(Strategy::OneForOne);
    world.crash(2);
    let ticket = world.replace(1);
    assert!(world.did(HandOver { key: 1, epoch: 1 }));
    world.settle();
    assert_eq!(world.answer(ticket), Some(Started));
}

#[test]
fn what_is_unknown_is_not_found_and_who_stops_refuses() {
    let mut world = two(Strategy::OneForOne);
    let ticket = world.replace(9);
    assert_eq!(world.answer(ticket), Some(NotFound));
    world.stop(None);
    let ticket = world.replace(1);
    assert_eq!(world.actions, [Action::Answer { ticket, answer: ShuttingDown }]);
}

// What comes between

#[test]
fn restart_and_delete_of_a_child_that_is_being_replaced_are_refused() {
    let (mut world, _) = handing(Strategy::OneForOne);
    let tickets = [world.restart(1), world.delete(1)];
    assert!(tickets.iter().all(|ticket| world.answer(*ticket) == Some(Answer::Restarting)));
}

#[test]
fn terminate_child_calls_it_off_and_stops_for_good() {
    let (mut world, replacer) = handing(Strategy::OneForOne);
    world.pass(MS * 100);
    let stopper = world.terminate(1);
    assert_eq!(world.answer(replacer), Some(ShuttingDown));
    let deadline = Some(world.now + GRACE);
    let stop = Stop { key: 1, epoch: 1, terminal: true, deadline };
    assert_eq!(world.actions[1..], [CallOff { key: 1 }, stop]);
    world.hand_over(1); // It had done so before it heard.
    assert!(world.launched().is_empty());
    assert_eq!(world.answer(stopper), Some(Answer::Stopped));
    assert!(world.is(&[(1, Stopped), (2, Running)]));
}

#[test]
fn a_crash_in_the_group_calls_it_off_and_the_successor_starts_with_the_group() {
    for too_late in [false, true] {
        let mut world = World::running(rules(Strategy::OneForAll), &[permanent(), permanent(), permanent()]);
        let ticket = world.replace(1);
        world.crash(3);
        assert!(world.did(CallOff { key: 1 }) && !world.asked().contains(&1));
        assert_eq!(world.state(1), Some(Running));
        if too_late {
            world.hand_over(1);
            assert_eq!(world.state(1), Some(Waiting));
        }
        assert_eq!(world.answer(ticket), None);
        world.settle();
        assert_eq!(world.answer(ticket), Some(Started));
        assert!(world.is(&[(1, Running), (2, Running), (3, Running)]));
    }
}

#[test]
fn a_child_before_the_group_is_left_alone() {
    let mut world = two(Strategy::RestForOne);
    let ticket = world.replace(1);
    world.crash(2);
    assert!(!world.did(CallOff { key: 1 }));
    world.hand_over(1);
    world.ready(1);
    assert_eq!(world.answer(ticket), Some(Started));
}

#[test]
fn a_temporary_child_that_handed_over_too_late_goes_with_its_group() {
    let kinds = [child(Restart::Temporary), permanent(), permanent()];
    let mut world = World::running(rules(Strategy::OneForAll), &kinds);
    let ticket = world.replace(1);
    world.crash(3);
    world.hand_over(1);
    assert!(world.did(Forget { key: 1 }));
    assert_eq!(world.answer(ticket), Some(StartFailed));
}

#[test]
fn a_stop_calls_it_off_and_each_stops_in_its_turn() {
    for too_late in [false, true] {
        let (mut world, ticket) = handing(Strategy::OneForOne);
        world.stop(None);
        assert_eq!(world.answer(ticket), Some(ShuttingDown));
        assert!(world.did(CallOff { key: 1 }));
        assert_eq!(world.asked(), [2], "it goes on until its turn comes");
        assert_eq!(world.state(1), Some(Running));
        if too_late {
            world.hand_over(1);
            assert!(world.did(Retire { key: 1, failed: false }));
        }
        world.end();
    }
}

#[test]
fn all_who_are_asked_at_once_are_given_their_time_anew() {
    let rules = Rules { max_restarts: 0, ..dynamic(None) };
    let mut world = World::running(rules, &[]);
    world.add(permanent());
    world.settle();
    world.replace(1);
    world.pass(GRACE - MS);
    world.stop(None);
    let deadline = Some(world.now + SECOND);
    assert!(world.did(Stop { key: 1, epoch: 1, terminal: true, deadline }));
    world.pass(GRACE);
    assert_eq!(world.state(1), Some(Stopping));
}
