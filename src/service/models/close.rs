//! Closing for good, against those who send.

use super::*;
use crate::service::exit::Exit;

fn close(child: &Child) {
    assert!(child.core.close(&Exit::Normal));
    child.core.drain(DeadReason::Stopped);
}

/// A message that was accepted is a dead letter, one that was not is handed back; none is neither.
fn cast_against_close() {
    let child = Child::new(2, Overflow::Reject);
    child.be_born();
    let sender = thread({
        let child = child.clone();
        move || child.note(1)
    });
    close(&child);
    let accepted = joined(sender);
    assert_eq!(child.dead(), if accepted { vec![1] } else { vec![] });
    assert_eq!(child.left(), [0; 0], "a message that nobody will find");
}

/// A caller is told `Stopped`, whichever was first.
fn call_against_close() {
    let child = Child::new(2, Overflow::Reject);
    child.be_born();
    let caller = thread({
        let child = child.clone();
        move || child.call(|reply| Msg::Ask(1, reply))
    });
    close(&child);
    assert!(matches!(joined(caller), Err(CallError::Stopped { .. } | CallError::NotSent(_))));
}

/// A worker that ends for good while two send: each message is handled, dead or handed back.
fn stop_for_good() {
    let child = Child::new(2, Overflow::Reject);
    let life = child.be_born();
    let worker = thread({
        let (child, life) = (child.clone(), Arc::clone(&life));
        move || child.live(&life)
    });
    let sender = thread({
        let child = child.clone();
        move || child.note(1)
    });
    child.core.ask_to_stop(true);
    let accepted = joined(sender);
    joined(worker);
    let found = [child.handled(), child.dead()].concat();
    assert_eq!(found, if accepted { vec![1] } else { vec![] });
    assert_eq!(child.left(), [0; 0]);
}

/// A sender that raced with a close does not drain the mailbox of the next life.
fn close_and_reopen() {
    let child = Child::new(2, Overflow::Reject);
    child.be_born();
    let sender = thread({
        let child = child.clone();
        move || child.note(1)
    });
    close(&child);
    child.be_born();
    assert!(child.note(2));
    let accepted = joined(sender);
    assert!(!child.dead().contains(&2), "the letter of a child that lives");
    let mut found = [child.dead(), child.left()].concat();
    found.sort_unstable();
    assert_eq!(found, if accepted { vec![1, 2] } else { vec![2] });
}

#[test]
fn an_accepted_cast_is_a_dead_letter() {
    holds("cast against close", cast_against_close);
}

#[test]
fn a_send_that_does_not_look_again_is_found() {
    finds(Mutant::SendWithoutRecheck, cast_against_close);
}

#[test]
fn a_send_without_a_fence_is_found() {
    finds(Mutant::SendWithoutFence, cast_against_close);
}

#[test]
fn a_close_without_a_fence_is_found() {
    finds(Mutant::CloseWithoutFence, cast_against_close);
}

#[test]
fn a_queued_call_is_told_of_the_stop() {
    holds("call against close", call_against_close);
}

#[test]
fn a_caller_that_is_not_told_is_found() {
    finds(Mutant::SendWithoutRecheck, call_against_close);
}

#[test]
fn a_stop_for_good_accounts_for_every_message() {
    holds("stop for good", stop_for_good);
}

#[test]
fn a_message_after_a_stop_for_good_is_found() {
    finds(Mutant::SendWithoutRecheck, stop_for_good);
}

#[test]
fn a_reopened_mailbox_is_not_drained() {
    holds("close and reopen", close_and_reopen);
}

#[test]
fn a_reopened_mailbox_that_is_drained_is_found() {
    finds(Mutant::DrainReopened, close_and_reopen);
}
