//! One incarnation crashes, the next goes on.

use super::*;

/// Of what was accepted, nothing is lost but the message that crashed the incarnation, and the
/// order is kept.
fn crash_between_messages() {
    let child = Child::new(4, Overflow::Reject);
    let first = child.be_born();
    let first = thread({
        let child = child.clone();
        move || child.live(&first)
    });
    let sender = thread({
        let child = child.clone();
        move || {
            for message in [Msg::Note(1), Msg::Boom, Msg::Note(2), Msg::Note(3)] {
                assert!(child.cast(message));
            }
        }
    });
    joined(first);
    let second = child.be_born();
    let second = thread({
        let child = child.clone();
        move || child.live(&second)
    });
    joined(sender);
    child.core.ask_to_stop(false);
    joined(second);
    let handled = child.world.handled.all();
    assert!(handled.iter().all(|&(epoch, number)| (epoch == 1) == (number == 1)), "one life after the other");
    assert_eq!([child.handled(), child.left()].concat(), [1, 2, 3]);
}

/// The same as a supervisor does it: the successor is started at once, and joins its predecessor
/// before anything else.
fn successor_joins() {
    let child = Child::new(3, Overflow::Reject);
    let first = child.start(None);
    for message in [Msg::Boom, Msg::Note(1), Msg::Last] {
        assert!(child.cast(message));
    }
    let second = child.start(Some(first));
    joined(second);
    assert_eq!(child.world.handled.all(), [(2, 1)]);
    let endings = child.world.endings.all();
    assert_eq!(endings.iter().map(|(epoch, _)| *epoch).collect::<Vec<_>>(), [1, 2], "one exit per epoch");
}

#[test]
fn a_crash_between_messages_loses_none() {
    holds_at_two("crash between messages", crash_between_messages);
}

#[test]
fn a_successor_joins_its_predecessor() {
    holds("successor joins", successor_joins);
}

#[test]
fn a_mailbox_that_is_cleared_between_two_lives_is_found() {
    finds(Mutant::ClearKept, crash_between_messages);
}
