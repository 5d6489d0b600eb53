//! Significant children and auto-shutdown.

use super::super::*;
use super::world::{World, child, rules};
use crate::{AutoShutdown, Restart, Strategy};
use ChildState::Running;
use ExitKind::Normal;

fn significant(auto_shutdown: AutoShutdown, restart: Restart) -> World {
    let rules = Rules { auto_shutdown, ..rules(Strategy::OneForOne) };
    let significant = ChildRules { significant: true, ..child(restart) };
    World::running(rules, &[significant, significant, child(Restart::Permanent)])
}

#[test]
fn any_significant_child_that_is_done_stops_the_supervisor() {
    let mut world = significant(AutoShutdown::AnySignificant, Restart::Transient);
    world.exit(1, Normal);
    assert_eq!(world.asked(), [3]);
    world.settle();
    assert_eq!(world.outcome(), Some(Outcome::AutoShutdown { key: 1 }));
}

#[test]
fn all_significant_children_have_to_be_done() {
    let mut world = significant(AutoShutdown::AllSignificant, Restart::Temporary);
    world.crash(2);
    assert!(!world.policy.is_down());
    world.exit(1, Normal);
    world.settle();
    assert_eq!(world.outcome(), Some(Outcome::AutoShutdown { key: 1 }));
}

#[test]
fn a_transient_significant_child_that_crashes_is_just_restarted() {
    let mut world = significant(AutoShutdown::AnySignificant, Restart::Transient);
    world.crash(1);
    assert_eq!(world.launched(), [1]);
}

#[test]
fn terminate_child_triggers_no_auto_shutdown() {
    let mut world = significant(AutoShutdown::AnySignificant, Restart::Temporary);
    world.terminate(1);
    world.settle();
    world.terminate(2);
    world.settle();
    assert!(world.is(&[(3, Running)]) && !world.policy.is_down());
}

#[test]
fn the_death_of_a_sibling_triggers_no_auto_shutdown() {
    let rules = Rules { auto_shutdown: AutoShutdown::AnySignificant, ..rules(Strategy::OneForAll) };
    let bystander = ChildRules { significant: true, ..child(Restart::Temporary) };
    let mut world = World::running(rules, &[child(Restart::Permanent), bystander]);
    world.crash(1);
    world.settle();
    assert!(world.is(&[(1, Running)]) && !world.policy.is_down());
}

/// It went before it heard that it was to stop. It is not started with its group, so nobody would
/// ever end what ran for it.
#[test]
fn one_that_is_done_just_when_its_group_stops_has_ended_by_itself() {
    for restart in [Restart::Transient, Restart::Temporary] {
        let rules = Rules { auto_shutdown: AutoShutdown::AllSignificant, ..rules(Strategy::OneForAll) };
        let significant = ChildRules { significant: true, ..child(restart) };
        let mut world = World::running(rules, &[child(Restart::Permanent), significant]);
        world.crash(1);
        assert_eq!(world.asked(), [2]);
        world.exit(2, Normal);
        world.settle();
        assert_eq!(world.outcome(), Some(Outcome::AutoShutdown { key: 2 }));
    }
}

#[test]
fn one_that_is_done_just_when_it_is_terminated_triggers_no_auto_shutdown() {
    let mut world = significant(AutoShutdown::AnySignificant, Restart::Transient);
    world.terminate(1);
    world.exit(1, Normal);
    assert!(!world.policy.is_down());
}

#[test]
fn never_means_never() {
    let mut world = significant(AutoShutdown::Never, Restart::Temporary);
    world.exit(1, Normal);
    world.exit(2, Normal);
    assert!(!world.policy.is_down());
}
