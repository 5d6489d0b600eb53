//! Every sequence of events of a small world up to a depth: compared with the books at every step,
//! and each of them brought to a good end.

use std::collections::HashMap;

use super::super::*;
use super::world::{MS, SECOND, World, child, constant, dynamic, rules};
use crate::{AutoShutdown, OnHang, Restart, Strategy};

type Branch = Box<dyn Fn(&mut World)>;

fn branch<T>(happens: impl Fn(&mut World) -> T + 'static) -> Branch {
    Box::new(move |world| {
        happens(world);
    })
}

/// All that can happen next. What cannot differ from another branch is left out.
fn branches(world: &World) -> Vec<Branch> {
    let mut all: Vec<Branch> = vec![branch(|world| world.stop(None))];
    if world.has_patience() {
        all.push(branch(|world| world.stop(Some(world.now + MS * 400))));
    }
    if world.policy.next_deadline().is_some() {
        all.push(branch(|world| world.pass_to_deadline()));
    }
    if world.keys().len() < 3 {
        all.push(branch(|world| world.add(child(Restart::Transient))));
    }
    for (key, state) in world.policy.children() {
        if state.is_live() {
            all.push(branch(move |world| world.ready(key)));
            all.push(branch(move |world| world.exit(key, ExitKind::Normal)));
            all.push(branch(move |world| world.crash(key)));
        }
        if state == ChildState::Starting {
            all.push(branch(move |world| world.exit(key, ExitKind::Ignored)));
        }
        if !state.is_live() {
            all.push(branch(move |world| world.restart(key)));
            all.push(branch(move |world| world.delete(key)));
        }
        if world.may_hand_over(key) {
            all.push(branch(move |world| world.hand_over(key)));
        }
        if world.with_replacements {
            all.push(branch(move |world| world.replace(key)));
        }
        all.push(branch(move |world| world.terminate(key)));
    }
    all
}

/// Walks all sequences, and from the end of each: everything settles, and then everything ends.
#[derive(Default)]
struct Walk {
    /// How deep it went from the worlds it has seen: what behaves alike is walked once.
    seen: HashMap<u64, u32>,
}

impl Walk {
    fn explore(&mut self, world: &World, depth: u32) {
        let before = self.seen.entry(world.signature()).or_default();
        if *before > depth {
            return;
        }
        *before = depth + 1;
        if depth == 0 || world.policy.is_finished() {
            return conclude(world.clone());
        }
        for happens in branches(world) {
            let mut next = world.clone();
            happens(&mut next);
            self.explore(&next, depth - 1);
        }
    }
}

fn conclude(mut world: World) {
    world.settle();
    world.end();
}

fn explore(world: &World, depth: u32) {
    let mut walk = Walk::default();
    walk.explore(world, depth);
    assert!(walk.seen.len() > 300, "only {}", walk.seen.len());
}

fn all_sequences(rules: Rules, kinds: &[Restart], depth: u32) {
    let kinds: Vec<ChildRules> = kinds.iter().map(|restart| child(*restart)).collect();
    explore(&World::running(rules, &kinds), depth);
}

fn tight(strategy: Strategy) -> Rules {
    Rules { max_restarts: 2, period: SECOND, ..rules(strategy) }
}

#[test]
fn one_for_one() {
    all_sequences(tight(Strategy::OneForOne), &[Restart::Permanent, Restart::Transient], 6);
}

#[test]
fn one_for_one_with_backoff() {
    let rules = Rules { backoff: constant(MS * 100), ..tight(Strategy::OneForOne) };
    all_sequences(rules, &[Restart::Permanent, Restart::Temporary], 6);
}

#[test]
fn one_for_all() {
    all_sequences(tight(Strategy::OneForAll), &[Restart::Permanent, Restart::Permanent], 6);
}

#[test]
fn one_for_all_with_backoff() {
    let rules = Rules { backoff: constant(MS * 100), ..tight(Strategy::OneForAll) };
    let kinds = [Restart::Permanent, Restart::Transient, Restart::Temporary];
    all_sequences(rules, &kinds, 6);
}

#[test]
fn rest_for_one() {
    let kinds = [Restart::Permanent, Restart::Permanent, Restart::Permanent];
    all_sequences(tight(Strategy::RestForOne), &kinds, 6);
}

#[test]
fn rest_for_one_with_backoff() {
    let rules = Rules { backoff: constant(MS * 100), ..tight(Strategy::RestForOne) };
    all_sequences(rules, &[Restart::Permanent, Restart::Transient], 6);
}

#[test]
fn dynamic_children() {
    let rules = Rules { max_restarts: 1, backoff: constant(MS * 100), ..dynamic(Some(2)) };
    let mut world = World::running(rules, &[]);
    world.add(child(Restart::Permanent));
    explore(&world, 6);
}

#[test]
fn significant_children() {
    for auto_shutdown in [AutoShutdown::AnySignificant, AutoShutdown::AllSignificant] {
        let rules = Rules { auto_shutdown, ..tight(Strategy::OneForOne) };
        let kind = ChildRules { significant: true, ..child(Restart::Transient) };
        explore(&World::running(rules, &[kind, kind]), 6);
    }
}

#[test]
fn hanging_children() {
    let hangs = |on_hang| ChildRules { on_hang, ..child(Restart::Permanent) };
    let kinds = [hangs(OnHang::Wait), hangs(OnHang::AbortProcess)];
    for strategy in [Strategy::OneForOne, Strategy::OneForAll, Strategy::RestForOne] {
        explore(&World::running(tight(strategy), &kinds), 5);
        explore(&World::running(tight(strategy), &[kinds[1], kinds[0]]), 5);
    }
}

#[test]
fn hanging_dynamic_children() {
    let mut world = World::running(Rules { max_restarts: 1, ..dynamic(Some(2)) }, &[]);
    world.add(ChildRules { on_hang: OnHang::Wait, ..child(Restart::Permanent) });
    explore(&world, 6);
}

#[test]
fn a_hanging_first_start() {
    let mut world = World::new(tight(Strategy::OneForAll));
    world.add_static(ChildRules { on_hang: OnHang::Wait, ..child(Restart::Permanent) });
    world.add_static(child(Restart::Transient));
    world.begin();
    explore(&world, 6);
}

#[test]
fn the_first_start() {
    for strategy in [Strategy::OneForOne, Strategy::OneForAll, Strategy::RestForOne] {
        let mut world = World::new(tight(strategy));
        world.add_static(child(Restart::Permanent));
        world.add_static(child(Restart::Transient));
        world.begin();
        explore(&world, 6);
    }
}

fn with_replacements(rules: Rules, kinds: &[ChildRules], depth: u32) {
    let mut world = World::running(rules, kinds);
    world.with_replacements = true;
    explore(&world, depth);
}

#[test]
fn replacements_alone() {
    let kinds = [child(Restart::Permanent), child(Restart::Transient), child(Restart::Temporary)];
    with_replacements(tight(Strategy::OneForOne), &kinds[..2], 6);
    let rules = Rules { backoff: constant(MS * 100), ..tight(Strategy::OneForOne) };
    with_replacements(rules, &[kinds[0], kinds[2]], 6);
}

#[test]
fn replacements_in_a_group() {
    let kinds = [child(Restart::Permanent), child(Restart::Permanent), child(Restart::Temporary)];
    with_replacements(tight(Strategy::OneForAll), &kinds[..2], 6);
    with_replacements(tight(Strategy::RestForOne), &[kinds[0], kinds[2]], 6);
    let rules = Rules { backoff: constant(MS * 100), ..tight(Strategy::RestForOne) };
    with_replacements(rules, &kinds, 5);
}

#[test]
fn replacements_of_significant_and_of_dynamic_children() {
    let significant = ChildRules { significant: true, ..child(Restart::Transient) };
    let any = AutoShutdown::AnySignificant;
    let rules = Rules { auto_shutdown: any, ..tight(Strategy::OneForAll) };
    with_replacements(rules, &[significant, child(Restart::Permanent)], 6);
    let mut world = World::running(Rules { max_restarts: 1, ..dynamic(Some(2)) }, &[]);
    world.with_replacements = true;
    world.add(child(Restart::Permanent));
    explore(&world, 6);
}

#[test]
fn replacements_at_the_first_start() {
    let mut world = World::new(tight(Strategy::OneForOne));
    world.with_replacements = true;
    world.add_static(child(Restart::Permanent));
    world.add_static(child(Restart::Transient));
    world.begin();
    explore(&world, 6);
}
