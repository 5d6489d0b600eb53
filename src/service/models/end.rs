//! The end of an incarnation: one for each, whoever brings it about.

use super::*;
use crate::service::exit::Exit;
use crate::service::incarnation::Node;
use crate::service::reply::Slot;

/// Counts those who are told that the child is down.
fn watch(child: &Child) -> Arc<Record<u64>> {
    let downs = Arc::<Record<u64>>::default();
    child.core.watchers.add(Box::new({
        let downs = Arc::clone(&downs);
        move |down| downs.add(down.epoch)
    }));
    downs
}

/// A crash, an order to stop for good, and a supervisor that gives the child up when it hears of
/// the end: one ending, one `Down`, and every message accounted for.
fn stop_against_crash() {
    let child = Child::new(2, Overflow::Reject);
    let downs = watch(&child);
    let thread_of_child = child.start(None);
    let sender = thread({
        let child = child.clone();
        move || (child.cast(Msg::Boom), child.note(1))
    });
    let life = child.core.ask_to_stop(true);
    life.over.wait(&Clock::SYSTEM, None);
    let closed_here = child.core.close(&Exit::Killed);
    if closed_here {
        child.core.drain(DeadReason::Stopped);
    }
    let (_, accepted) = joined(sender);
    joined(thread_of_child);
    assert_eq!(child.world.endings.all().len(), 1, "one ending of one life");
    assert_eq!(child.world.closings.all().len() + usize::from(closed_here), 1, "closed once");
    assert_eq!(downs.all(), [1], "one Down");
    let found = [child.handled(), child.dead(), child.left()].concat();
    assert_eq!(found, if accepted { vec![1] } else { vec![] });
}

/// A supervisor gives up a handler that hangs. Its caller is told at once: it is the caller here
/// that lets the handler go. Or the handler's successor answers. The caller gets one of the two.
fn abandon_against_handler() {
    let child = Child::new(2, Overflow::Reject);
    let life = child.be_born();
    let zombie = thread({
        let (child, life) = (child.clone(), Arc::clone(&life));
        move || child.live(&life)
    });
    let caller = thread({
        let child = child.clone();
        move || {
            let outcome = child.call(Msg::Hang);
            child.world.let_go.open();
            // Twice: the zombie may be just taking the next message, and that one only.
            assert!(child.cast(Msg::Last) && child.cast(Msg::Last));
            outcome
        }
    });
    life.abandon();
    sync::fence(sync::Ordering::SeqCst);
    child.core.mailbox.wake.wake();
    let successor = child.be_born();
    child.live(&successor);
    assert!(matches!(joined(caller), Ok(2) | Err(CallError::Crashed { .. })));
    joined(zombie);
}

/// A handler that is done just when its supervisor gives it up. It was already taking at most one
/// more message; the rest is its successor's.
fn abandon_against_queue() {
    let child = Child::new(4, Overflow::Reject);
    let life = child.be_born();
    let zombie = thread({
        let (child, life) = (child.clone(), Arc::clone(&life));
        move || child.live(&life)
    });
    for number in 1..=3 {
        assert!(child.note(number));
    }
    life.abandon();
    let before = child.handled().len();
    sync::fence(sync::Ordering::SeqCst);
    child.core.mailbox.wake.wake();
    joined(zombie);
    let handled = child.handled();
    assert!(handled.len() <= before + 1, "at most one more");
    assert_eq!([handled, child.left()].concat(), [1, 2, 3]);
}

#[test]
fn stop_and_crash_make_one_ending() {
    holds("stop against crash", stop_against_crash);
}

#[test]
fn a_child_that_ends_twice_is_found() {
    finds(Mutant::CloseTwice, stop_against_crash);
}

#[test]
fn who_is_abandoned_tells_its_caller() {
    holds_at_two("abandon against handler", abandon_against_handler);
}

/// A call comes into its handler while its incarnation is abandoned: one of the two settles it.
fn taken_in_hand() {
    let life = Incarnation::new(Node::new("child".into()), 1, Clock::SYSTEM.now());
    let slot = Slot::<u32>::new(NEVER);
    let worker = thread({
        let (life, call) = (Arc::clone(&life), Arc::clone(slot.ticket()));
        move || life.holds(call)
    });
    life.abandon();
    joined(worker);
    assert!(slot.ticket().is_done(), "nobody tells the caller");
}

#[test]
fn a_call_that_is_taken_in_hand_is_settled() {
    holds("taken in hand", taken_in_hand);
}

#[test]
fn a_handler_that_does_not_look_is_found() {
    finds(Mutant::HoldBlindly, taken_in_hand);
}

#[test]
fn who_is_abandoned_takes_at_most_one_more() {
    holds("abandon against queue", abandon_against_queue);
}

#[test]
fn an_abandoned_one_that_goes_on_is_found() {
    finds(Mutant::IgnoreStop, abandon_against_queue);
}
