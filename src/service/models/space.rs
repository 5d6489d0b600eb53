//! Senders that wait for space.

use super::*;
use crate::error::CastError;
use crate::service::exit::Exit;

/// A full mailbox of one, in which nobody works.
fn full() -> Child {
    let child = Child::new(1, FOR_EVER);
    child.be_born();
    assert!(child.note(0));
    child
}

fn sender(child: &Child, number: u32) -> JoinHandle<bool> {
    let child = child.clone();
    thread(move || child.note(number))
}

/// Space wakes the sender that waits for it.
fn space() {
    let child = full();
    let sender = sender(&child, 1);
    assert!(child.core.mailbox.take().is_some());
    assert!(joined(sender));
    assert_eq!(child.left(), [1]);
}

/// So does a close, and the sender has its message back.
fn close() {
    let child = full();
    let sender = sender(&child, 1);
    assert!(child.core.close(&Exit::Normal));
    child.core.drain(DeadReason::Stopped);
    assert!(!joined(sender));
    assert_eq!((child.left(), child.dead()), (vec![], vec![0]));
}

/// Two wait, and there is space twice.
fn space_for_two() {
    let child = full();
    let (one, two) = (sender(&child, 1), sender(&child, 2));
    assert!(child.core.mailbox.take().is_some());
    // The first of them to get in has filled it again.
    while child.core.mailbox.take().is_none() {
        sync::yield_now();
    }
    assert!(joined(one) && joined(two));
}

/// Two wait, and one of them leaves at its deadline: if the space was called out to that one, the
/// other hears of it.
fn one_leaves() {
    let child = full();
    let hasty = thread({
        let child = child.clone();
        move || {
            // Its deadline has come before it joins the queue.
            let limit = Limit::By(Deadline::at(Clock::system().now()));
            let envelope = Envelope { message: Msg::Note(1), call: None };
            match child.core.send(envelope, limit) {
                Ok(()) => true,
                Err(CastError::TimedOut { .. }) => false,
                Err(error) => panic!("{error}"),
            }
        }
    });
    let patient = sender(&child, 2);
    assert!(child.core.mailbox.take().is_some());
    if joined(hasty) {
        while child.core.mailbox.take().is_none() {
            sync::yield_now();
        }
    }
    assert!(joined(patient));
}

/// As [`full`], with room for one more that does not count yet.
fn full_early() -> Child {
    let child = Child::new(2, FOR_EVER);
    child.core.mailbox.set_capacity(1);
    child.be_born();
    assert!(child.note(0));
    child
}

/// Where fewer count as full than are reserved, space is space all the same.
fn space_below_what_is_reserved() {
    let child = full_early();
    let sender = sender(&child, 1);
    assert!(child.core.mailbox.take().is_some());
    assert!(joined(sender));
    assert_eq!(child.left(), [1]);
}

/// So is a close a close.
fn close_below_what_is_reserved() {
    let child = full_early();
    let sender = sender(&child, 1);
    assert!(child.core.close(&Exit::Normal));
    let accepted = joined(sender);
    child.core.drain(DeadReason::Stopped);
    assert_eq!((child.left(), child.dead()), (vec![], if accepted { vec![0, 1] } else { vec![0] }));
}

/// A sender waits, and more count as full from here on.
fn more_room() {
    let child = full_early();
    let sender = sender(&child, 1);
    child.core.mailbox.set_capacity(2);
    assert!(joined(sender));
    assert_eq!(child.left(), [0, 1]);
}

/// Fewer count as full than are queued: who waits gets in when they have gone.
fn less_room() {
    let child = Child::new(3, FOR_EVER);
    child.be_born();
    assert!(child.note(0) && child.note(1));
    child.core.mailbox.set_capacity(1);
    let sender = sender(&child, 2);
    assert!(child.core.mailbox.take().is_some() && child.core.mailbox.take().is_some());
    assert!(joined(sender));
    assert_eq!(child.left(), [2]);
}

#[test]
fn space_below_what_is_reserved_wakes_a_sender() {
    holds("space below what is reserved", space_below_what_is_reserved);
}

#[test]
fn a_close_wakes_a_sender_there_too() {
    holds("close below what is reserved", close_below_what_is_reserved);
}

#[test]
fn joining_without_a_fence_is_found_there_too() {
    finds(Mutant::JoinWithoutFence, space_below_what_is_reserved);
}

#[test]
fn more_room_wakes_a_sender() {
    holds("more room", more_room);
}

#[test]
fn a_call_before_there_is_more_room_is_found() {
    finds(Mutant::CallBeforeRoom, more_room);
}

#[test]
fn less_room_keeps_nobody_waiting() {
    holds("less room", less_room);
}

#[test]
fn space_wakes_a_sender() {
    holds("space", space);
}

#[test]
fn joining_the_queue_without_a_fence_is_found() {
    finds(Mutant::JoinWithoutFence, space);
}

#[test]
fn a_close_wakes_a_sender() {
    holds("close wakes a sender", close);
}

#[test]
fn a_close_that_calls_nobody_is_found() {
    finds(Mutant::CloseWithoutCall, close);
}

#[test]
fn space_twice_wakes_two() {
    holds("space for two", space_for_two);
}

#[test]
fn a_call_to_one_who_needs_none_is_found() {
    finds(Mutant::SwallowCall, space_for_two);
}

#[test]
fn who_leaves_passes_the_call_on() {
    holds("one leaves", one_leaves);
}

#[test]
fn a_call_that_is_swallowed_is_found() {
    finds(Mutant::SwallowCall, one_leaves);
}
