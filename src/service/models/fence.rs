//! What an abandoned incarnation does reaches nobody.

use super::*;
use crate::service::fence::Fence;
use crate::service::zombies::Zombie;

/// A life that sends while it is abandoned: what arrives after that, as whoever ordered it may see,
/// is at most the one message that it was just sending. The rest it has back.
fn zombie_sends() {
    let (child, other) = (Child::new(1, Overflow::Reject), Child::new(4, Overflow::Reject));
    let life = child.be_born();
    let zombie = thread({
        let (life, other) = (Arc::clone(&life), other.clone());
        move || scope::enter(&life, || (1..=3).filter(|number| other.note(*number)).count())
    });
    child.core.abandon();
    let before = other.core.mailbox.len();
    let accepted = joined(zombie);
    let arrived = other.left();
    assert!(arrived.len() <= before + 1, "at most one more");
    assert_eq!(arrived, (1..).take(accepted).collect::<Vec<_>>(), "what did not arrive was handed back");
}

/// A life that ends just when it is abandoned is not counted among those that go on.
fn end_against_abandon() {
    let (child, zombies) = (Child::new(1, Overflow::Reject), Zombies::default());
    let life = child.be_born();
    let fence = Fence::of(&life);
    let guard = ExitGuard {
        incarnation: Arc::clone(&life),
        overseer: Arc::clone(&child.world) as Arc<dyn Overseer>,
        child: 1,
        epoch: 1,
        ending: None,
        zombies: zombies.clone(),
    };
    let ends = thread(move || drop(guard));
    let (state, thread) = (life.state(), None);
    let zombie = Zombie { supervisor: "app".into(), incarnation: life, state, activity: None, thread };
    zombies.add(zombie, || child.core.abandon());
    assert!(!fence.is_open(), "before a successor is started");
    joined(ends);
    assert_eq!((zombies.alive(), zombies.ever()), (0, 1));
}

#[test]
fn a_zombie_sends_at_most_one_more() {
    holds("zombie sends", zombie_sends);
}

#[test]
fn a_zombie_that_is_not_stopped_from_sending_is_found() {
    finds(Mutant::SendUnfenced, zombie_sends);
}

#[test]
fn who_ends_while_it_is_abandoned_is_no_zombie() {
    holds("end against abandon", end_against_abandon);
}

#[test]
fn a_zombie_that_is_listed_for_ever_is_found() {
    finds(Mutant::EnlistBlindly, end_against_abandon);
}

#[test]
fn a_zombie_that_sends_without_a_fence_is_found() {
    finds(Mutant::SendWithoutFence, zombie_sends);
}
