//! One incarnation crashes, the next goes on.

use super::*;

/// Of what was accepted, nothing is lost but the message that crashed the incarnation, and the
/// order is kept.
fn crash_between_messages() {
    let child = Child::new(4, Overflow::Reject);
    let first = child.start(None);
    let sender = thread({
        let child = child.clone();
        move || {
            for message in [Msg::Note(1), Msg::Boom, Msg::Note(2), Msg::Last] {
                assert!(child.cast(message));
            }
        }
    });
    let second = child.start(Some(first));
    joined(second);
    joined(sender);
    assert_eq!(child.world.handled.all(), [(1, 1), (2, 2)]);
    let endings = child.world.endings.all();
    assert_eq!(endings.iter().map(|(epoch, _)| *epoch).collect::<Vec<_>>(), [1, 2]);
}

#[test]
fn a_crash_between_messages_loses_none() {
    holds("crash between messages", crash_between_messages);
}

#[test]
fn a_mailbox_that_is_cleared_between_two_lives_is_found() {
    finds(Mutant::ClearKept, crash_between_messages);
}
