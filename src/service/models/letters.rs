//! Kept dead letters that are sent again: against the end, other replays, takers and new letters.

use super::*;
use crate::service::exit::Exit;
use crate::service::replay::{ReplayHalt, Replayed};

fn close(child: &Child) {
    assert!(child.core.close(&Exit::Normal));
    child.core.drain(DeadReason::Stopped);
}

/// A child that lives again, with a letter for each of its earlier lives.
fn keeping(capacity: usize, overflow: Overflow, letters: u32) -> Child {
    let child = Child::keeping(capacity, overflow, 4);
    for number in 1..=letters {
        child.be_born();
        assert!(child.note(number));
        close(&child);
    }
    child.be_born();
    child
}

fn handle(child: &Child) -> Handle<Msg> {
    Handle::new(Arc::clone(&child.core))
}

fn replaying(child: &Child) -> JoinHandle<Replayed> {
    let child = child.clone();
    thread(move || child.core.replay())
}

/// Takes what is kept.
fn kept(child: &Child) -> Vec<u32> {
    handle(child).take_dead_letters().iter().filter_map(|letter| number(&letter.message)).collect()
}

/// Every letter went somewhere, and was counted there.
fn accounted(child: &Child) {
    let (counts, status) = (handle(child).dead_letter_counts(), child.core.status());
    assert_eq!(counts.kept + counts.replayed + counts.taken + counts.lost, status.dead_letters);
}

/// The child ends: a letter is where it was, or it was sent and is a letter again.
fn replay_against_close() {
    let child = keeping(2, Overflow::Reject, 2);
    let replaying = replaying(&child);
    close(&child);
    let Replayed { sent, halt, .. } = joined(replaying);
    assert!(halt == Some(ReplayHalt::Stopped) || sent == 2);
    accounted(&child);
    assert_eq!(handle(&child).dead_letter_counts().replayed, sent as u64);
    assert_eq!(child.left(), [0; 0], "a letter that nobody will find");
    let mut kept = kept(&child);
    kept.sort_unstable();
    assert_eq!(kept, [1, 2]);
}

/// A worker handles what is sent again, and ends for good: each letter is handled or kept.
fn replay_against_end() {
    let child = keeping(2, Overflow::Reject, 2);
    let life = child.core.incarnation();
    let worker = thread({
        let (child, life) = (child.clone(), Arc::clone(&life));
        move || child.live(&life)
    });
    let replaying = replaying(&child);
    child.core.ask_to_stop(true);
    joined(replaying);
    joined(worker);
    accounted(&child);
    assert_eq!(child.left(), [0; 0]);
    let handled = child.handled();
    assert!(handled.is_sorted(), "in order");
    let mut all = [handled, kept(&child)].concat();
    all.sort_unstable();
    assert_eq!(all, [1, 2]);
}

/// Two replay, and there is space for all letters, or not: those that are sent are sent in order.
fn replay_against_replay(capacity: usize) {
    let child = keeping(capacity, Overflow::Reject, 2);
    let other = replaying(&child);
    let one = child.core.replay();
    let other = joined(other);
    accounted(&child);
    assert_eq!(one.sent + other.sent, capacity);
    assert_eq!([child.left(), kept(&child)].concat(), [1, 2], "each once, in order");
}

/// Somebody takes the letters while a new one comes: it is taken, or kept.
fn letter_against_take() {
    let child = Child::keeping(1, Overflow::DropNewest, 4);
    child.be_born();
    assert!(child.note(0) && child.note(1), "the second is a letter");
    let sender = thread({
        let child = child.clone();
        move || child.note(2)
    });
    let taken = kept(&child);
    assert!(joined(sender));
    accounted(&child);
    assert_eq!([taken, kept(&child)].concat(), [1, 2]);
}

/// Somebody takes the letters while they are sent again.
fn replay_against_take() {
    let child = keeping(1, Overflow::Reject, 2);
    let replaying = replaying(&child);
    let taken = kept(&child);
    let Replayed { sent, .. } = joined(replaying);
    accounted(&child);
    let left = child.left();
    assert_eq!(left.len(), sent);
    let mut all = [taken, left, kept(&child)].concat();
    all.sort_unstable();
    assert_eq!(all, [1, 2]);
}

/// A replay that waits for space hears of the end, and the letter is back where it was.
fn waiting_replay_against_close() {
    let child = keeping(1, FOR_EVER, 1);
    assert!(child.note(0));
    let replaying = replaying(&child);
    close(&child);
    let Replayed { sent, halt, .. } = joined(replaying);
    assert!(halt == Some(ReplayHalt::Stopped) || sent == 1);
    accounted(&child);
    assert_eq!(child.left(), [0; 0]);
    let kept = kept(&child);
    assert!(kept == [1, 0] || sent == 1 && kept == [0, 1], "{kept:?}");
}

/// A letter comes back to a shelf that a new one has filled meanwhile: the older of them is lost.
fn replay_against_letter() {
    let child = Child::keeping(1, Overflow::DropNewest, 1);
    child.be_born();
    assert!(child.note(0) && child.note(1), "the second is a letter");
    let replaying = replaying(&child);
    assert!(child.note(2));
    let Replayed { sent, halt, .. } = joined(replaying);
    // Or the letter that it found was lost before it took it.
    assert!(sent == 0 && (halt == Some(ReplayHalt::Full) || halt.is_none()));
    accounted(&child);
    assert_eq!(handle(&child).dead_letter_counts().lost, 1);
    assert_eq!(kept(&child), [2]);
}

#[test]
fn a_letter_that_meets_the_end_is_kept_once() {
    holds("replay against close", replay_against_close);
}

#[test]
fn a_letter_that_is_not_put_back_is_found() {
    finds(Mutant::ForgetRefused, replay_against_close);
}

#[test]
fn a_replay_that_waits_hears_of_the_end() {
    holds("waiting replay against close", waiting_replay_against_close);
}

#[test]
fn a_replay_that_nobody_calls_is_found() {
    finds(Mutant::CloseWithoutCall, waiting_replay_against_close);
}

#[test]
fn a_letter_in_a_closed_mailbox_is_found() {
    finds(Mutant::SendWithoutRecheck, replay_against_close);
}

#[test]
fn a_letter_is_handled_or_kept() {
    holds_at_two("replay against end", replay_against_end);
}

#[test]
fn two_who_replay_send_each_letter_once_and_in_order() {
    holds("replay against replay", || replay_against_replay(2));
    holds("replay against replay, full", || replay_against_replay(1));
}

#[test]
fn two_who_replay_together_are_found() {
    finds(Mutant::ReplayTogether, || replay_against_replay(2));
}

#[test]
fn a_letter_that_comes_meanwhile_is_taken_or_kept() {
    holds("letter against take", letter_against_take);
}

#[test]
fn a_taker_who_does_not_look_is_found() {
    finds(Mutant::TakeBlindly, letter_against_take);
}

#[test]
fn a_letter_is_sent_again_or_taken() {
    holds("replay against take", replay_against_take);
}

#[test]
fn of_two_letters_the_older_is_lost() {
    holds("replay against letter", replay_against_letter);
}
