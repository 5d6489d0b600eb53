//! A worker that goes to sleep, and those who wake it.

use super::*;

/// A worker that is about to park, and a sender: the message is handled.
fn mail() {
    let child = Child::new(2, Overflow::Reject);
    let life = child.be_born();
    let worker = thread({
        let child = child.clone();
        move || child.live(&life)
    });
    assert!(child.note(1));
    assert!(child.cast(Msg::Last));
    joined(worker);
    assert_eq!(child.handled(), [1]);
}

/// The same, and two who send.
fn mail_of_two() {
    let child = Child::new(2, Overflow::Reject);
    let life = child.be_born();
    let other = thread({
        let child = child.clone();
        move || assert!(child.note(1))
    });
    let worker = thread({
        let child = child.clone();
        move || child.live(&life)
    });
    joined(other);
    assert!(child.cast(Msg::Last));
    joined(worker);
    assert_eq!(child.handled(), [1]);
}

/// A worker that is about to park, and somebody who asks it to stop.
fn stop() {
    let child = Child::new(1, Overflow::Reject);
    let life = child.be_born();
    let worker = thread({
        let (child, life) = (child.clone(), Arc::clone(&life));
        move || child.live(&life)
    });
    child.core.ask_to_stop(false);
    joined(worker);
}

/// An abandoned worker that wakes up late, when its successor sleeps: that one can still be woken.
fn late_riser() {
    let child = Child::new(1, Overflow::Reject);
    let life = child.be_born();
    let zombie = thread({
        let (child, life) = (child.clone(), Arc::clone(&life));
        move || child.live(&life)
    });
    life.abandon();
    sync::fence(sync::Ordering::SeqCst);
    child.core.mailbox.wake.wake();
    let life = child.be_born();
    let successor = thread({
        let child = child.clone();
        move || child.live(&life)
    });
    child.core.ask_to_stop(false);
    joined(successor);
    joined(zombie);
}

/// An abandoned worker sleeps, and who was about to wake it comes too late to find it in the seat:
/// its successor has woken it.
fn late_waker() {
    let child = Child::new(2, Overflow::Reject);
    let life = child.be_born();
    let zombie = thread({
        let (child, life) = (child.clone(), Arc::clone(&life));
        move || child.live(&life)
    });
    let sender = thread({
        let child = child.clone();
        move || child.note(1)
    });
    life.abandon();
    sync::fence(sync::Ordering::SeqCst);
    child.core.mailbox.wake.wake();
    let life = child.be_born();
    child.core.mailbox.wake.take_seat(life.epoch);
    assert!(joined(sender));
    joined(zombie);
    assert_eq!([child.handled(), child.left()].concat(), [1]);
}

#[test]
fn mail_wakes_the_worker() {
    holds("mail", mail);
}

#[test]
fn mail_of_two_senders_wakes_the_worker() {
    holds("mail of two", mail_of_two);
}

#[test]
fn a_send_without_a_fence_is_found() {
    finds(Mutant::SendWithoutFence, mail);
}

#[test]
fn an_announcement_without_a_fence_is_found() {
    finds(Mutant::AnnounceWithoutFence, mail);
}

#[test]
fn a_stop_wakes_the_worker() {
    holds("stop", stop);
}

#[test]
fn a_stop_that_is_not_heard_is_found() {
    finds(Mutant::IgnoreStop, stop);
}

#[test]
fn a_late_riser_does_not_wake_the_seat_of_its_successor() {
    holds("late riser", late_riser);
}

#[test]
fn a_late_riser_in_any_seat_is_found() {
    finds(Mutant::RiseFromAnySeat, late_riser);
}

#[test]
fn a_zombie_does_not_oversleep() {
    holds("late waker", late_waker);
}

#[test]
fn a_predecessor_that_is_left_asleep_is_found() {
    finds(Mutant::LeaveAsleep, late_waker);
}
