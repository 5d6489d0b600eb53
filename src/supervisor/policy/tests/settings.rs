//! reconfigure: other rules from here on.

use super::super::*;
use super::world::{GRACE, INIT, MS, SECOND, World, child, constant, dynamic, rules};
use crate::{Restart, Strategy, SupervisorSettings};
use Action::Stop;
use ChildState::{Running, Starting, Stopping};

fn permanent() -> ChildRules {
    child(Restart::Permanent)
}

fn crash_and_restart(world: &mut World) {
    world.crash(1);
    assert!(!world.policy.is_down());
    world.settle();
}

#[test]
fn a_higher_intensity_counts_the_restarts_that_were_made() {
    let rules = Rules { max_restarts: 1, ..rules(Strategy::OneForOne) };
    let mut world = World::running(rules, &[permanent()]);
    crash_and_restart(&mut world);
    world.configure(SupervisorSettings::new().intensity(3, SECOND * 5));
    crash_and_restart(&mut world);
    crash_and_restart(&mut world);
    world.crash(1);
    assert!(world.policy.is_down(), "one and two make three");
}

#[test]
fn a_lower_intensity_holds_from_the_next_crash_on() {
    let mut world = World::running(rules(Strategy::OneForOne), &[permanent()]);
    crash_and_restart(&mut world);
    crash_and_restart(&mut world);
    world.configure(SupervisorSettings::new().intensity(1, SECOND * 5));
    assert!(!world.policy.is_down());
    world.crash(1);
    assert!(world.policy.is_down());
}

#[test]
fn a_longer_period_revives_no_restart_that_had_aged_out() {
    let rules = Rules { max_restarts: 1, ..rules(Strategy::OneForOne) };
    let mut world = World::running(rules, &[permanent()]);
    crash_and_restart(&mut world);
    world.pass(SECOND * 6);
    world.configure(SupervisorSettings::new().intensity(1, SECOND * 60));
    crash_and_restart(&mut world);
    world.pass(SECOND * 6);
    world.crash(1);
    assert!(world.policy.is_down(), "by the new period this one counts");
}

#[test]
fn another_backoff_holds_for_the_next_restart_and_not_for_a_pending_one() {
    let rules = Rules { backoff: constant(MS * 100), ..rules(Strategy::OneForOne) };
    let mut world = World::running(rules, &[permanent()]);
    world.crash(1);
    let pending = world.policy.next_deadline();
    world.configure(SupervisorSettings::new().backoff(constant(MS * 7)));
    assert_eq!(world.policy.next_deadline(), pending);
    world.settle();
    world.crash(1);
    assert_eq!(world.policy.next_deadline(), Some(world.now + MS * 7));
    world.settle();
    world.configure_child(1, ChildRules { backoff: Some(constant(MS * 3)), ..permanent() });
    world.crash(1);
    assert_eq!(world.policy.next_deadline(), Some(world.now + MS * 3), "its own goes before");
}

#[test]
fn another_limit_on_children_holds_for_those_to_come() {
    let mut world = World::running(dynamic(Some(2)), &[]);
    world.add(permanent());
    world.add(permanent());
    world.configure(SupervisorSettings::new().max_children(1));
    assert!(world.is(&[(1, Starting), (2, Starting)]), "nobody is sent away");
    let (_, refused) = world.add(permanent());
    assert_eq!(world.answer(refused), Some(Answer::TooMany { max: 1 }));
    world.configure(SupervisorSettings::new().max_children(None));
    for _ in 0..9 {
        world.add(permanent());
    }
    assert_eq!(world.launched().len(), 1);
    world.settle();
    assert_eq!(world.keys().len(), 11);
}

#[test]
fn what_a_static_supervisor_does_not_have_changes_nothing() {
    let mut world = World::running(rules(Strategy::OneForOne), &[permanent()]);
    world.configure(SupervisorSettings::new().max_children(0).shutdown(MS));
    let (_, ticket) = world.add(permanent());
    world.settle();
    assert_eq!(world.answer(ticket), Some(Answer::Started));
}

#[test]
fn another_grace_of_all_holds_for_the_next_stop() {
    let mut world = World::running(dynamic(None), &[]);
    world.add(permanent());
    world.settle();
    world.configure(SupervisorSettings::new().shutdown(MS * 50));
    world.stop(None);
    assert_eq!(world.policy.next_deadline(), Some(world.now + MS * 50));
}

#[test]
fn other_limits_of_a_child_hold_for_what_begins_after_that() {
    let mut world = World::running(rules(Strategy::OneForOne), &[permanent(), permanent()]);
    world.terminate(1);
    let patience = world.policy.next_deadline();
    let other = ChildRules { init: MS, grace: Some(MS * 2), ..permanent() };
    world.configure_child(1, other);
    assert_eq!(world.policy.next_deadline(), patience, "this stop has its grace");
    world.settle();
    world.restart(1);
    assert_eq!(world.policy.next_deadline(), Some(world.now + MS));
    world.ready(1);
    world.terminate(1);
    assert_eq!(world.policy.next_deadline(), Some(world.now + MS * 2));
    assert!(world.is(&[(1, Stopping), (2, Running)]));
    world.terminate(2);
    let deadline = Some(world.now + GRACE);
    assert!(world.did(Stop { key: 2, epoch: 1, terminal: true, deadline }), "its sibling's is its own");
    assert!(INIT > MS);
}

#[test]
fn a_stop_that_has_begun_keeps_its_grace_also_when_it_is_asked_for_again() {
    let mut world = World::running(rules(Strategy::OneForAll), &[permanent(), permanent()]);
    world.crash(1);
    assert_eq!(world.asked(), [2], "by its sibling");
    let patience = world.policy.next_deadline();
    world.configure_child(2, ChildRules { grace: Some(MS), ..permanent() });
    world.stop(None);
    assert_eq!((world.asked(), world.policy.next_deadline()), (vec![2], patience), "for good now");
}

#[test]
fn whether_a_child_is_restarted_cannot_be_changed() {
    let mut world = World::running(rules(Strategy::OneForOne), &[permanent()]);
    world.configure_child(1, child(Restart::Temporary));
    world.crash(1);
    assert_eq!(world.launched(), [1]);
    world.configure_child(9, permanent()); // unknown: nothing happens
    assert!(world.actions.is_empty());
}
