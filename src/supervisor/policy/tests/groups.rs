//! one_for_all and rest_for_one.

use super::super::*;
use super::world::{GRACE, MS, World, child, constant, rules};
use crate::{Backoff, Hung, Restart, Strategy};
use Action::{Abandon, Forget, GaveUp, Launch, Restarting, Retire, Stop};
use Answer::{ShuttingDown, StartFailed, Started};
use ChildState::{Running, Starting, Stopped, Stopping, Waiting};
use ExitKind::{Ignored, Normal, Shutdown};

fn permanent(strategy: Strategy, children: usize) -> World {
    World::running(rules(strategy), &vec![child(Restart::Permanent); children])
}

fn epochs(world: &World) -> Vec<Epoch> {
    world.keys().into_iter().map(|key| world.epoch(key)).collect()
}

#[test]
fn one_for_all_stops_in_reverse_and_starts_in_order_one_by_one() {
    let mut world = permanent(Strategy::OneForAll, 3);
    world.crash(2);
    let deadline = Some(world.now + GRACE);
    assert_eq!(
        world.actions,
        [
            Restarting { key: 2, epoch_lost: 1, delay: Duration::ZERO },
            Stop { key: 3, epoch: 1, terminal: false, deadline }
        ]
    );
    assert!(world.is(&[(1, Running), (2, Waiting), (3, Stopping)]));
    assert_eq!(world.settle(), [3, 1, 1, 2, 3]);
    assert_eq!(epochs(&world), [2, 2, 2]);
}

#[test]
fn rest_for_one_keeps_those_before_and_renews_those_after() {
    let mut world = permanent(Strategy::RestForOne, 4);
    world.crash(2);
    assert_eq!(world.settle(), [4, 3, 2, 3, 4]);
    assert_eq!(epochs(&world), [1, 2, 2, 2]);
}

#[test]
fn the_restart_of_a_group_is_one_charge() {
    let mut world = permanent(Strategy::OneForAll, 5);
    for _ in 0..3 {
        world.crash(1);
        world.settle();
    }
    assert!(!world.policy.is_down());
}

#[test]
fn exits_while_the_group_is_being_stopped_are_not_charged() {
    let mut world = permanent(Strategy::OneForAll, 5);
    world.crash(3);
    for key in [1, 5, 2, 4] {
        world.crash(key);
    }
    assert!(world.did(Launch { key: 1, epoch: 2 }));
    world.settle();
    assert_eq!(epochs(&world), [2; 5]);
}

#[test]
fn a_member_that_outlives_its_grace_is_abandoned_and_the_group_goes_on() {
    let mut world = permanent(Strategy::OneForAll, 3);
    world.crash(1);
    world.pass(GRACE);
    assert_eq!(world.actions[0], Abandon { key: 3, epoch: 1, why: Hung::Grace });
    assert_eq!(world.asked(), [2]);
    world.settle();
    assert_eq!(epochs(&world), [2; 3]);
}

#[test]
fn the_delay_of_a_group_begins_when_all_are_down() {
    let rules = Rules { backoff: constant(MS * 100), ..rules(Strategy::OneForAll) };
    let mut world = World::running(rules, &[child(Restart::Permanent); 2]);
    world.crash(1);
    world.pass(MS * 200);
    world.exit(2, Shutdown);
    assert!(world.is(&[(1, Waiting), (2, Waiting)]));
    world.pass(MS * 99);
    assert_eq!(world.actions, []);
    world.pass(MS);
    assert_eq!(world.launched(), [1]);
}

#[test]
fn the_backoff_of_a_group_grows_and_is_reset_after_it_was_up() {
    let backoff = Backoff::exponential(MS * 100, MS * 400).reset_after(MS * 900);
    let rules = Rules { backoff, max_restarts: 99, ..rules(Strategy::OneForAll) };
    let mut world = World::running(rules, &[child(Restart::Permanent); 2]);
    for (up, key, delay) in [(0, 1, 100), (0, 2, 200), (899, 1, 400), (900, 2, 100)] {
        world.pass(MS * up);
        world.crash(key);
        let epoch_lost = world.epoch(key);
        assert_eq!(world.actions[0], Restarting { key, epoch_lost, delay: MS * delay });
        world.settle();
    }
}

#[test]
fn one_for_all_stops_those_already_restarted_when_a_start_fails() {
    let mut world = permanent(Strategy::OneForAll, 3);
    world.crash(1);
    world.exit(3, Shutdown);
    world.exit(2, Shutdown);
    world.ready(1);
    world.crash(2);
    assert_eq!(world.asked(), [1]);
    world.settle();
    assert_eq!(epochs(&world), [3, 3, 2]);
}

#[test]
fn rest_for_one_goes_on_from_the_child_whose_start_failed() {
    let mut world = permanent(Strategy::RestForOne, 4);
    world.crash(2);
    world.exit(4, Shutdown);
    world.exit(3, Shutdown);
    world.ready(2);
    world.crash(3);
    assert_eq!((world.asked(), world.launched()), (vec![], vec![3]));
    world.settle();
    assert_eq!(epochs(&world), [1, 2, 3, 2]);
}

#[test]
fn every_failing_start_of_a_group_is_charged() {
    for strategy in [Strategy::OneForAll, Strategy::RestForOne] {
        let mut world = permanent(strategy, 1);
        world.crash(1);
        world.crash(1);
        world.crash(1);
        world.crash(1);
        assert!(world.did(GaveUp { key: 1 }));
        assert_eq!(world.outcome(), Some(Outcome::Escalated { key: 1 }));
    }
}

#[test]
fn a_crash_before_the_group_widens_it() {
    let mut world = permanent(Strategy::RestForOne, 4);
    world.crash(3);
    world.crash(2); // Child 4 is still being stopped.
    assert!(world.did(Restarting { key: 2, epoch_lost: 1, delay: Duration::ZERO }));
    assert!(world.is(&[(1, Running), (2, Waiting), (3, Waiting), (4, Stopping)]));
    world.settle();
    assert_eq!(epochs(&world), [1, 2, 2, 2]);
}

#[test]
fn a_crash_during_the_delay_of_a_group_widens_it() {
    let rules = Rules { backoff: constant(MS * 100), ..rules(Strategy::RestForOne) };
    let mut world = World::running(rules, &[child(Restart::Permanent); 4]);
    world.crash(3);
    world.exit(4, Shutdown);
    world.pass(MS * 50);
    world.crash(1);
    assert_eq!(world.asked(), [2]);
    world.exit(2, Shutdown);
    world.pass(MS * 60);
    assert!(world.launched().is_empty(), "the old delay is void");
    world.pass(MS * 40);
    assert_eq!(world.launched(), [1]);
}

#[test]
fn a_just_restarted_member_that_crashes_is_as_a_failed_start() {
    let mut world = permanent(Strategy::RestForOne, 4);
    world.crash(1);
    for key in [4, 3, 2] {
        world.exit(key, Shutdown);
    }
    world.ready(1);
    world.ready(2);
    assert!(world.is(&[(1, Running), (2, Running), (3, Starting), (4, Waiting)]));
    world.crash(2);
    assert_eq!(world.asked(), [3]);
    world.settle();
    assert_eq!(epochs(&world), [2, 3, 3, 2]);
}

#[test]
fn temporary_bystanders_are_deleted() {
    for strategy in [Strategy::OneForAll, Strategy::RestForOne] {
        let kinds = [Restart::Permanent, Restart::Temporary, Restart::Permanent].map(child);
        let mut world = World::running(rules(strategy), &kinds);
        world.crash(1);
        world.exit(3, Shutdown);
        let deadline = Some(world.now + GRACE);
        assert_eq!(world.actions, [Stop { key: 2, epoch: 1, terminal: true, deadline }]);
        world.exit(2, Shutdown);
        assert!(world.did(Retire { key: 2, failed: false }) && world.did(Forget { key: 2 }));
        world.settle();
        assert!(world.is(&[(1, Running), (3, Running)]));
    }
}

#[test]
fn children_that_are_down_stay_down_when_their_group_is_restarted() {
    let kinds = [Restart::Transient, Restart::Permanent, Restart::Permanent].map(child);
    let mut world = World::running(rules(Strategy::OneForAll), &kinds);
    world.exit(1, Normal);
    world.terminate(2);
    world.exit(2, Shutdown);
    world.crash(3);
    world.settle();
    assert!(world.is(&[(1, Stopped), (2, Stopped), (3, Running)]));
}

#[test]
fn a_transient_member_that_finishes_by_itself_has_finished() {
    let kinds = [Restart::Transient, Restart::Permanent, Restart::Permanent].map(child);
    let mut world = World::running(rules(Strategy::OneForAll), &kinds);
    world.crash(2);
    world.exit(1, Normal); // Not asked yet: child 3 is.
    world.settle();
    assert!(world.is(&[(1, Stopped), (2, Running), (3, Running)]));
}

#[test]
fn a_member_that_finishes_by_itself_while_it_is_asked_to_stop_has_finished() {
    let mut world =
        World::running(rules(Strategy::OneForAll), &[Restart::Permanent, Restart::Transient].map(child));
    world.crash(1);
    world.exit(2, Normal);
    world.settle();
    assert_eq!(epochs(&world), [2, 1]);
}

#[test]
fn an_ignored_member_is_as_good_as_started() {
    let mut world = permanent(Strategy::OneForAll, 3);
    world.crash(3);
    world.exit(2, Shutdown);
    world.exit(1, Shutdown);
    world.exit(1, Ignored);
    world.settle();
    assert!(world.is(&[(1, Stopped), (2, Running), (3, Running)]));
}

#[test]
fn a_child_added_during_the_restart_of_a_group_joins_its_end() {
    for strategy in [Strategy::OneForAll, Strategy::RestForOne] {
        let mut world = permanent(strategy, 2);
        world.crash(1);
        let (key, ticket) = world.add(child(Restart::Permanent));
        assert_eq!(world.state(key), Some(Waiting));
        assert_eq!(world.settle(), [2, 1, 2, 3]);
        assert_eq!(world.answer(ticket), Some(Started));
    }
}

#[test]
fn a_child_that_was_added_to_a_group_and_fails_is_neither_kept_nor_charged() {
    let mut world = permanent(Strategy::OneForAll, 1);
    world.crash(1);
    let (key, ticket) = world.add(child(Restart::Permanent));
    let (last, _) = world.add(child(Restart::Permanent));
    world.ready(1);
    world.crash(key);
    assert_eq!(world.answer(ticket), Some(StartFailed));
    assert_eq!(world.launched(), [last]);
}

#[test]
fn a_start_that_is_interrupted_by_the_group_is_made_again_and_answered_then() {
    let mut world = permanent(Strategy::OneForAll, 1);
    let (key, ticket) = world.add(child(Restart::Permanent));
    world.crash(1);
    world.exit(key, Shutdown);
    assert_eq!(world.answer(ticket), None);
    world.settle();
    assert_eq!(world.answer(ticket), Some(Started));
    assert_eq!(epochs(&world), [2, 2]);
}

#[test]
fn a_temporary_start_that_is_interrupted_by_the_group_fails() {
    let mut world = permanent(Strategy::OneForAll, 1);
    let (key, ticket) = world.add(child(Restart::Temporary));
    world.crash(1);
    world.exit(key, Shutdown);
    assert_eq!(world.answer(ticket), Some(StartFailed));
    world.settle();
    assert!(world.is(&[(1, Running)]));
}

#[test]
fn restart_child_during_the_restart_of_its_group_waits_for_its_turn() {
    let mut world = permanent(Strategy::OneForAll, 3);
    world.terminate(2);
    world.settle();
    world.crash(3);
    let ticket = world.restart(2);
    assert!(world.is(&[(1, Stopping), (2, Waiting), (3, Waiting)]));
    assert_eq!(world.settle(), [1, 1, 2, 3]);
    assert_eq!(world.answer(ticket), Some(Started));
}

#[test]
fn restart_child_before_the_group_does_not_wait() {
    let mut world = permanent(Strategy::RestForOne, 3);
    world.terminate(1);
    world.settle();
    world.crash(2);
    world.restart(1);
    assert!(world.is(&[(1, Starting), (2, Waiting), (3, Stopping)]));
}

#[test]
fn terminate_child_takes_a_child_out_of_its_group() {
    let mut world = permanent(Strategy::OneForAll, 3);
    world.crash(1);
    let stopping = world.terminate(3);
    let deadline = Some(world.now + GRACE);
    assert_eq!(world.actions, [Stop { key: 3, epoch: 1, terminal: true, deadline }]);
    let waiting = world.terminate(1);
    assert_eq!(world.answer(waiting), Some(Answer::Stopped));
    world.settle();
    assert_eq!(world.answer(stopping), Some(Answer::Stopped));
    assert!(world.is(&[(1, Stopped), (2, Running), (3, Stopped)]));
}

#[test]
fn terminate_child_of_the_member_that_is_starting_lets_the_group_go_on() {
    let mut world = permanent(Strategy::OneForAll, 2);
    world.crash(2);
    world.exit(1, Shutdown);
    world.terminate(1);
    assert!(world.is(&[(1, Stopping), (2, Waiting)]));
    world.exit(1, Shutdown);
    assert_eq!(world.launched(), [2]);
}

#[test]
fn a_stop_in_every_stage_of_a_group_returns_promptly() {
    let rules = Rules { backoff: constant(MS * 100), ..rules(Strategy::OneForAll) };
    let mut world = World::running(rules, &[child(Restart::Permanent); 3]);
    world.crash(2);
    let (_, added) = world.add(child(Restart::Permanent));
    let mut stages = vec![world.clone()];
    for key in [3, 1] {
        world.exit(key, Shutdown);
        stages.push(world.clone());
    }
    world.pass(MS * 100);
    stages.push(world.clone());
    for mut stage in stages {
        stage.stop(None);
        assert_eq!(stage.answer(added), Some(ShuttingDown));
        stage.settle();
        assert_eq!(stage.outcome(), Some(Outcome::Stopped));
        assert!(epochs(&stage).iter().all(|epoch| *epoch <= 2));
    }
}
