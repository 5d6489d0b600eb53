//! start_child, terminate_child, restart_child, delete_child in every state of a child.

use super::super::*;
use super::world::{GRACE, INIT, MS, World, child, constant, dynamic, rules};
use crate::{Hung, Restart, Strategy};
use Action::{Abandon, Forget, Launch, Retire, Stop};
use Answer::{Deleted, NotFound, ShuttingDown, StartFailed, Started};
use ChildState::{Running, Starting, Stopped};
use ExitKind::{Ignored, Shutdown};

fn permanent() -> ChildRules {
    child(Restart::Permanent)
}

fn one() -> World {
    World::running(rules(Strategy::OneForOne), &[permanent()])
}

/// One child that waits for its restart.
fn backing_off() -> World {
    let rules = Rules { backoff: constant(MS * 100), ..rules(Strategy::OneForOne) };
    let mut world = World::running(rules, &[permanent()]);
    world.crash(1);
    world
}

fn answer(kind: Answer, key: Key, ticket: Ticket) -> [Action; 2] {
    [Retire { key, failed: false }, Action::Answer { ticket, answer: kind }]
}

// start_child

#[test]
fn start_child_is_answered_when_the_child_is_ready() {
    let mut world = one();
    let (key, ticket) = world.add(permanent());
    assert_eq!(world.answer(ticket), None);
    world.ready(key);
    assert_eq!(world.answer(ticket), Some(Started));
}

#[test]
fn a_start_child_that_fails_saves_no_spec_and_is_not_charged() {
    let mut world = one();
    for _ in 0..9 {
        let (key, ticket) = world.add(permanent());
        world.crash(key);
        assert!(world.did(Retire { key, failed: true }) && world.did(Forget { key }));
        assert_eq!(world.answer(ticket), Some(StartFailed));
    }
    let (key, ticket) = world.add(permanent());
    world.pass(INIT);
    assert!(world.did(Abandon { key, epoch: 1, why: Hung::Init }));
    assert_eq!(world.answer(ticket), Some(StartFailed));
    assert!(world.is(&[(1, Running)]));
}

#[test]
fn a_start_child_that_is_ignored_keeps_its_spec() {
    let mut world = one();
    let (key, ticket) = world.add(permanent());
    world.exit(key, Ignored);
    assert_eq!(world.answer(ticket), Some(Answer::Ignored));
    assert!(world.is(&[(1, Running), (2, Stopped)]));
}

#[test]
fn a_child_that_was_started_by_start_child_is_restarted_like_any_other() {
    let mut world = one();
    let (key, _) = world.add(permanent());
    world.ready(key);
    world.crash(key);
    assert_eq!(world.launched(), [key]);
    world.crash(key);
    assert_eq!(world.launched(), [key]);
}

#[test]
fn children_are_started_by_start_child_side_by_side() {
    let mut world = one();
    world.add(permanent());
    world.add(permanent());
    assert!(world.is(&[(1, Running), (2, Starting), (3, Starting)]));
}

#[test]
fn max_children_counts_those_that_wait_for_a_restart() {
    let rules = Rules { backoff: constant(MS), ..dynamic(Some(2)) };
    let mut world = World::running(rules, &[]);
    let (first, _) = world.add(permanent());
    world.ready(first);
    world.crash(first);
    world.add(permanent());
    let (_, refused) = world.add(permanent());
    assert_eq!(world.answer(refused), Some(Answer::TooMany { max: 2 }));
    world.terminate(first);
    let (key, _) = world.add(permanent());
    assert_eq!(world.launched(), [key]);
}

// terminate_child

#[test]
fn terminate_child_stops_for_good_and_keeps_the_spec() {
    let mut world = one();
    let ticket = world.terminate(1);
    let deadline = Some(world.now + GRACE);
    assert_eq!(world.actions, [Stop { key: 1, epoch: 1, terminal: true, deadline }]);
    world.exit(1, Shutdown);
    assert_eq!(world.actions, answer(Answer::Stopped, 1, ticket));
    assert!(world.is(&[(1, Stopped)]) && !world.pass_to_deadline());
}

#[test]
fn terminate_child_twice_is_ok() {
    let mut world = one();
    let tickets = [world.terminate(1), world.terminate(1)];
    world.exit(1, Shutdown);
    let third = world.terminate(1);
    for ticket in [tickets[0], tickets[1], third] {
        assert_eq!(world.answer(ticket), Some(Answer::Stopped));
    }
}

#[test]
fn terminate_child_of_a_hung_child_abandons_it() {
    let mut world = one();
    let ticket = world.terminate(1);
    world.pass(GRACE);
    assert_eq!(world.actions[0], Abandon { key: 1, epoch: 1, why: Hung::Grace });
    assert!(world.did(Retire { key: 1, failed: true }));
    assert_eq!(world.answer(ticket), Some(Answer::Stopped));
}

#[test]
fn terminate_child_during_init_refuses_whoever_waits_for_the_start() {
    let mut world = one();
    let (key, start) = world.add(permanent());
    let stop = world.terminate(key);
    assert_eq!(world.answer(start), Some(ShuttingDown));
    world.ready(key); // On its way out: too late.
    world.exit(key, Shutdown);
    assert_eq!(world.answer(stop), Some(Answer::Stopped));
    assert!(world.is(&[(1, Running)]), "it never started, so no spec is saved");
}

#[test]
fn a_child_terminated_during_backoff_is_never_resurrected() {
    let mut world = backing_off();
    let ticket = world.terminate(1);
    assert_eq!(world.answer(ticket), Some(Answer::Stopped));
    assert!(world.did(Retire { key: 1, failed: true }));
    assert!(!world.pass_to_deadline());
    assert!(world.is(&[(1, Stopped)]));
}

#[test]
fn a_crash_while_it_is_being_terminated_is_not_charged() {
    let mut world = one();
    for _ in 0..9 {
        world.terminate(1);
        world.crash(1);
        assert!(world.is(&[(1, Stopped)]));
        world.restart(1);
        world.settle();
    }
}

#[test]
fn a_terminated_temporary_child_is_deleted() {
    let mut world = World::running(rules(Strategy::OneForOne), &[child(Restart::Temporary)]);
    let ticket = world.terminate(1);
    world.exit(1, Shutdown);
    assert!(world.did(Forget { key: 1 }) && world.is(&[]));
    assert_eq!(world.answer(ticket), Some(Answer::Stopped));
}

#[test]
fn a_dynamic_supervisor_keeps_no_child_that_is_down() {
    let rules = Rules { backoff: constant(MS), ..dynamic(None) };
    let mut world = World::running(rules, &[]);
    for restart in [Restart::Permanent, Restart::Transient, Restart::Temporary] {
        let keys = [0; 4].map(|_| world.add(child(restart)).0);
        let [terminated, restarting, finished, ignored] = keys;
        world.exit(ignored, Ignored);
        world.settle();
        world.terminate(terminated);
        world.exit(terminated, Shutdown);
        world.crash(restarting);
        world.terminate(restarting);
        world.exit(finished, ExitKind::Normal);
        world.terminate(finished);
        world.settle();
        assert!(world.is(&[]), "{restart:?}");
    }
}

#[test]
fn what_is_unknown_is_not_found() {
    let mut world = one();
    let tickets = [world.terminate(9), world.restart(9), world.delete(9)];
    assert!(tickets.iter().all(|ticket| world.answer(*ticket) == Some(NotFound)));
}

// restart_child and delete_child

#[test]
fn restart_child_starts_what_is_down_and_is_not_charged() {
    let mut world = one();
    for epoch in 2..12 {
        world.terminate(1);
        world.settle();
        let ticket = world.restart(1);
        assert_eq!(world.actions, [Launch { key: 1, epoch }]);
        world.ready(1);
        assert_eq!(world.answer(ticket), Some(Started));
    }
}

#[test]
fn a_restart_child_that_fails_leaves_the_child_down() {
    let mut world = one();
    world.terminate(1);
    world.settle();
    for _ in 0..9 {
        let ticket = world.restart(1);
        world.crash(1);
        assert!(world.did(Retire { key: 1, failed: true }));
        assert_eq!(world.answer(ticket), Some(StartFailed));
        assert!(world.is(&[(1, Stopped)]));
    }
}

#[test]
fn delete_child_deletes_what_is_down() {
    let mut world = one();
    world.terminate(1);
    world.settle();
    let ticket = world.delete(1);
    assert_eq!(world.actions, [Forget { key: 1 }, Action::Answer { ticket, answer: Deleted }]);
    assert!(world.is(&[]));
}

#[test]
fn restart_and_delete_of_a_running_child_are_refused() {
    let mut running = one();
    let mut starting = one();
    starting.crash(1);
    let mut terminating = one();
    terminating.terminate(1);
    for world in [&mut running, &mut starting, &mut terminating] {
        let tickets = [world.restart(1), world.delete(1)];
        assert!(tickets.iter().all(|ticket| world.answer(*ticket) == Some(Answer::Running)));
    }
}

#[test]
fn restart_and_delete_of_a_child_whose_restart_is_pending_are_refused() {
    let mut group = World::running(rules(Strategy::OneForAll), &[permanent(), permanent()]);
    group.crash(2); // Child 1 is being stopped for the group, and will be back.
    for world in [&mut backing_off(), &mut group] {
        let tickets = [world.restart(1), world.delete(1)];
        assert!(tickets.iter().all(|ticket| world.answer(*ticket) == Some(Answer::Restarting)));
    }
}

#[test]
fn a_child_in_a_failing_restart_loop_answers_every_call() {
    let rules = Rules { max_restarts: 1_000, ..rules(Strategy::OneForOne) };
    let mut world = World::running(rules, &[permanent()]);
    for _ in 0..100 {
        world.crash(1);
        let ticket = world.restart(1);
        assert_eq!(world.answer(ticket), Some(Answer::Running));
        assert_eq!(world.policy.counts().active, 1);
    }
}

#[test]
fn counts_are_exact_after_each_step() {
    // The books compare them at every step; here is one look at the figures themselves.
    let backoff = constant(MS * 100);
    let rules = Rules { backoff, ..rules(Strategy::OneForOne) };
    let mut world = World::running(rules, &[permanent(), permanent(), permanent()]);
    world.crash(1);
    world.terminate(2);
    world.exit(2, Shutdown);
    let expected = Counts { specs: 3, active: 1, restarting: 1, stopped: 1 };
    assert_eq!(world.policy.counts(), expected);
}
