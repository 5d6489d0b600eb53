//! A crash between publication and reply, or a life that is given up there.

use super::*;
use crate::testing::Solo;

/// After which step a life of the service ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Step {
    Published,
    Reported,
    Told,
}

const STEPS: [Step; 3] = [Step::Published, Step::Reported, Step::Told];

/// A life that makes an update up to a step, and no further.
fn live_until(step: Step, world: &World, proposal: &Proposal) {
    let tried = world.board.try_once(proposal, &Clock::SYSTEM);
    let made = tried.expect("a valid update").expect("nobody else publishes");
    if step >= Step::Reported {
        world.board.report(proposal.cause(), &made);
    }
    if step >= Step::Told {
        world.board.tell_of(&made);
    }
}

/// The next life begins, and nothing is asked of it: who is told hears of the version, once.
fn told(step: Step) {
    let world = World::new();
    let mut subscription = world.subscribe("a", 8);
    let lives = thread({
        let world = world.clone();
        move || {
            live_until(step, &world, &set("a", 1));
            world.board.catch_up();
        }
    });
    let early = subscription.get().try_recv();
    assert!(early.is_none() || world.config.version() == 2);
    joined(lives);
    let notices: Vec<_> = early.into_iter().chain(left(&mut subscription)).collect();
    assert_eq!((notices.len(), followed(&notices)), (1, json!({"a": 1, "b": 0})));
}

/// The same where the next life is one of the real service.
fn told_by_the_service() {
    let world = World::new();
    let mut subscription = world.subscribe("a", 8);
    live_until(Step::Published, &world, &set("a", 1));
    let (service, mut solo) = Solo::new(world.config.child());
    let subscriber = thread(move || {
        let notices = received_up_to(2, &mut subscription);
        service.stop().expect("it stops");
        (notices.len(), left(&mut subscription).len())
    });
    drop(solo.run());
    assert_eq!(joined(subscriber), (1, 0));
}

/// The next life goes on from what was published: its update is the next version, and who is told of
/// both has no gap. Who subscribes in between has none either.
fn goes_on(step: Step) {
    let world = World::new();
    let mut early = world.subscribe("", 8);
    let lives = thread({
        let world = world.clone();
        move || {
            live_until(step, &world, &set("a", 1));
            world.board.catch_up();
            assert_eq!(world.set("b", 1), 3);
        }
    });
    let mut late = world.subscribe("", 8);
    let looked = world.config.version();
    joined(lives);
    let (early, late) = (left(&mut early), left(&mut late));
    assert_eq!((versions(&early), followed(&early)), (vec![2, 3], json!({"a": 1, "b": 1})));
    assert_eq!(versions(&late), (4 - late.len() as u64..4).collect::<Vec<_>>());
    assert!(late.len() as u64 + looked >= 3, "saw {looked}, was told of {late:?}");
}

/// The life was given up, not ended: it goes on with what is left of its steps while the next begins.
fn given_up() {
    let world = World::new();
    let mut subscription = world.subscribe("", 8);
    let tried = world.board.try_once(&set("a", 1), &Clock::SYSTEM);
    let made = tried.expect("a valid update").expect("nobody else publishes");
    let given_up = thread({
        let world = world.clone();
        move || world.board.tell_of(&made)
    });
    world.board.catch_up();
    assert_eq!(world.set("b", 1), 3);
    joined(given_up);
    let notices = left(&mut subscription);
    assert_eq!((versions(&notices), followed(&notices)), (vec![2, 3], json!({"a": 1, "b": 1})));
}

/// What the layers said when a version of them was published is what a reset leads to from then on,
/// though the life ended there.
fn layers(step: Step) {
    let world = World::new();
    let life = thread({
        let world = world.clone();
        move || {
            let read = Tree::of(&json!({"a": 7, "b": 7}), &Origin::Default);
            live_until(step, &world, &Proposal::Reload(Arc::new(read), None));
        }
    });
    let (_, looked) = world.config.versions();
    if looked == 1 {
        joined(life);
        world.set("a", 1);
        world.reset();
    } else {
        // Its life may go on meanwhile: it publishes no more.
        world.reset();
        joined(life);
    }
    assert_eq!(*world.config.snapshot().document(), json!({"a": 7, "b": 7}));
}

#[test]
fn what_was_published_is_told() {
    STEPS.into_iter().for_each(|step| holds(&format!("told, {step:?}"), move || told(step)));
}

#[test]
fn what_was_published_is_told_by_the_service() {
    holds("by the service", told_by_the_service);
}

#[test]
fn a_start_afresh_is_found() {
    finds(Mutant::StartAfresh, || told(Step::Published));
    finds(Mutant::StartAfresh, || told(Step::Reported));
}

#[test]
fn the_next_life_goes_on_from_there() {
    STEPS.into_iter().for_each(|step| holds(&format!("goes on, {step:?}"), move || goes_on(step)));
}

#[test]
fn a_life_that_was_given_up_tells_nobody_twice() {
    holds("given up", given_up);
}

#[test]
fn what_the_layers_said_is_not_forgotten() {
    STEPS.into_iter().for_each(|step| holds(&format!("layers, {step:?}"), move || layers(step)));
}

#[test]
fn layers_that_are_forgotten_are_found() {
    finds(Mutant::ForgetLayers, || layers(Step::Published));
}
