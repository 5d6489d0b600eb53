//! The system lane: an order is carried out or refused, and a suspended service sleeps over none.

use super::*;
use crate::service::exit::Exit;
use crate::service::reply::Slot;
use crate::service::system::{Order, SystemError, Task};

fn suspend(child: &Child) -> Result<(), SystemError> {
    Handle::new(Arc::clone(&child.core)).sys().by(Deadline::unbounded()).suspend()
}

/// Nobody lives who could carry it out, and nobody will: it is refused, whichever was first.
fn order_against_close() {
    let child = Child::new(1, Overflow::Reject);
    child.be_born();
    let asker = thread({
        let child = child.clone();
        move || suspend(&child)
    });
    assert!(child.core.close(&Exit::Normal));
    child.core.drain(DeadReason::Stopped);
    assert!(matches!(joined(asker), Err(SystemError::Stopped { .. })));
}

/// A worker that ends for good carries it out or refuses it.
fn order_against_stop() {
    let child = Child::new(1, Overflow::Reject);
    let life = child.be_born();
    let worker = thread({
        let (child, life) = (child.clone(), Arc::clone(&life));
        move || child.live(&life)
    });
    let asker = thread({
        let child = child.clone();
        move || suspend(&child)
    });
    child.core.ask_to_stop(true);
    assert!(matches!(joined(asker), Ok(()) | Err(SystemError::Stopped { .. })));
    joined(worker);
}

/// A worker that is abandoned while it takes an order says nothing about it after that: its successor
/// knows nothing of it.
fn order_against_abandon() {
    let child = Child::new(1, Overflow::Reject);
    let life = child.be_born();
    let slot = Arc::new(Slot::new(NEVER));
    let task = Task::Suspend(Reply::new(Arc::clone(&slot)));
    child.core.order(Order { call: Arc::clone(slot.ticket()), task });
    let zombie = thread({
        let (child, life) = (child.clone(), Arc::clone(&life));
        move || child.live(&life)
    });
    child.core.abandon();
    let before = slot.take();
    joined(zombie);
    assert!(before.is_some() || !matches!(slot.take(), Some(Ok(()))), "done by one that was abandoned");
    child.core.close(&Exit::Killed);
    child.core.drain(DeadReason::Stopped);
}

/// A suspended service sleeps through its mail, and wakes for the order that ends that.
fn resume_against_sleep() {
    let child = Child::new(1, Overflow::Reject);
    let life = child.be_born();
    assert!(child.cast(Msg::Last));
    let core = Arc::clone(&child.core);
    let asker = thread(move || Handle::new(core).sys().by(Deadline::unbounded()).resume());
    let mut worker = child.worker(&life).suspended();
    scope::enter(&life, || worker.run());
    assert!(joined(asker).is_ok());
}

#[test]
fn an_order_is_refused_when_nobody_will_carry_it_out() {
    holds("order against close", order_against_close);
}

#[test]
fn an_order_is_carried_out_or_refused() {
    holds_at_two("order against stop", order_against_stop);
}

#[test]
fn an_order_is_not_confirmed_by_who_was_abandoned() {
    holds_at_two("order against abandon", order_against_abandon);
}

#[test]
fn an_order_that_is_taken_in_hand_blindly_is_found() {
    finds(Mutant::HoldBlindly, order_against_abandon);
}

#[test]
fn a_suspended_service_sleeps_over_no_order() {
    holds("resume against sleep", resume_against_sleep);
}

#[test]
fn who_does_not_look_again_waits_for_ever() {
    finds(Mutant::OrderWithoutRecheck, order_against_close);
}
