//! One incarnation hands its state over to the next.

use std::any::Any;

use super::*;
use crate::service::exchange::{Exchange, Hand};
use crate::service::exit::Exit;

/// The hand of a child, and the same child with a maker that takes what is in it.
fn replaced(child: &Child) -> (Arc<Hand<Diarist>>, Child) {
    let hand = Arc::new(Hand::new());
    let factory: Factory<Diarist> = Arc::new({
        let (hand, world) = (Arc::clone(&hand), Arc::clone(&child.world));
        move || {
            let state = hand.take();
            world.taken.add(state.is_some());
            drop(state);
            Ok(Diarist::new(&world, None))
        }
    });
    (hand, Child { maker: Arc::new(Maker::new(factory)), ..child.clone() })
}

fn ask_for_state(child: &Child, hand: &Arc<Hand<Diarist>>) {
    child.core.ask_for_state(Arc::clone(hand) as Arc<dyn Exchange>);
}

/// Every state that was made was dropped by its incarnation, or came back. None is left behind.
fn accounted(child: &Child, hand: &Hand<Diarist>, back: Option<Box<dyn Any + Send>>) {
    assert!(hand.take().is_none(), "a state is left where nobody looks");
    drop(back);
    assert_eq!(child.world.dropped.all().len(), child.world.made.all().len());
}

/// The successor gets the state and the queue, in order.
fn hand_over() {
    let child = Child::new(3, Overflow::Reject);
    let first = child.start(None);
    let sender = thread({
        let child = child.clone();
        move || child.note(1) && child.note(2)
    });
    let (hand, child) = replaced(&child);
    ask_for_state(&child, &hand);
    let second = child.start(Some(first));
    assert!(joined(sender));
    child.core.ask_to_stop(false);
    joined(second);
    assert_eq!(child.world.taken.all(), [true]);
    assert_eq!([child.handled(), child.left()].concat(), [1, 2]);
    accounted(&child, &hand, None);
}

/// A worker that is about to park, and somebody who asks for its state.
fn asked_in_its_sleep() {
    let child = Child::new(1, Overflow::Reject);
    let first = child.start(None);
    let (hand, child) = replaced(&child);
    ask_for_state(&child, &hand);
    joined(first);
    assert!(hand.take().is_some());
    assert_eq!(child.world.endings.all(), [(1, Exit::Replaced.to_string())]);
}

/// The grace is over just when the state is given: it comes back, or its incarnation drops it.
fn hand_over_against_abandon() {
    let child = Child::new(1, Overflow::Reject);
    let first = child.start(None);
    let (hand, child) = replaced(&child);
    ask_for_state(&child, &hand);
    let back = hand.close();
    child.core.abandon();
    let second = child.start(None);
    child.core.ask_to_stop(false);
    joined(second);
    joined(first);
    assert_eq!(child.world.taken.all(), [false], "the successor began with nothing");
    accounted(&child, &hand, back);
}

/// It is called off before it is heard of: the incarnation goes on, and sleeps when there is nothing.
fn called_off() {
    let child = Child::new(2, Overflow::Reject);
    let hand = Arc::new(Hand::new());
    let back = hand.close();
    let first = child.start(None);
    ask_for_state(&child, &hand);
    assert!(child.note(1) && child.cast(Msg::Last));
    joined(first);
    assert_eq!(child.handled(), [1]);
    accounted(&child, &hand, back);
}

/// A hand-over, a crash, and an order to stop for good that calls it off: one ending, one state.
fn hand_over_against_stop_and_crash() {
    let child = Child::new(2, Overflow::Reject);
    let first = child.start(None);
    let sender = thread({
        let child = child.clone();
        move || child.cast(Msg::Boom)
    });
    let (hand, child) = replaced(&child);
    ask_for_state(&child, &hand);
    let back = hand.close();
    let life = child.core.ask_to_stop(true);
    life.over.wait(&Clock::SYSTEM, None);
    let closed_here = child.core.close(&Exit::Shutdown);
    if closed_here {
        child.core.drain(DeadReason::Stopped);
    }
    joined(sender);
    joined(first);
    assert_eq!(child.world.endings.all().len(), 1, "one ending of one life");
    assert_eq!(child.world.closings.all().len() + usize::from(closed_here), 1, "closed once");
    accounted(&child, &hand, back);
}

#[test]
fn a_successor_gets_state_and_queue() {
    holds_at_two("hand over", hand_over);
}

#[test]
fn who_sleeps_is_woken_for_its_state() {
    holds("asked in its sleep", asked_in_its_sleep);
}

#[test]
fn a_request_for_the_state_that_is_not_heard_is_found() {
    finds(Mutant::IgnoreStop, asked_in_its_sleep);
}

#[test]
fn who_is_abandoned_hands_nothing_over() {
    holds("hand over against abandon", hand_over_against_abandon);
}

#[test]
fn a_state_that_is_given_to_nobody_is_found() {
    finds(Mutant::GiveToNobody, hand_over_against_abandon);
}

#[test]
fn who_was_asked_in_vain_goes_on() {
    holds("called off", called_off);
}

#[test]
fn a_request_that_is_heard_again_and_again_is_found() {
    finds(Mutant::KeepAsking, called_off);
}

#[test]
fn a_hand_over_that_is_called_off_loses_no_state() {
    holds("hand over against stop and crash", hand_over_against_stop_and_crash);
}
