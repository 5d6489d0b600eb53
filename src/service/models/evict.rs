//! `DropOldest`: the head goes, the message being sent never does.

use super::*;
use crate::service::mailbox::Mailbox;

type Numbers = Mailbox<u32, ()>;

/// Sends one message, and returns what was given up for it.
fn send(mailbox: &Numbers, number: u32) -> Vec<u32> {
    let mut spilled = Vec::new();
    let envelope = |message| Envelope { message, call: None };
    if mailbox.offer(envelope(number)).is_err() {
        let spill = |shed: Envelope<u32>| spilled.push(shed.message);
        let sent = mailbox.overflowed(envelope(number), Overflow::DropOldest, &Clock::SYSTEM, NEVER, spill);
        assert!(sent.is_ok(), "there was space in time");
    }
    assert!(!spilled.contains(&number), "the message being sent was given up");
    spilled
}

/// Two senders and a full mailbox: each message is taken or given up, once.
fn two_senders() {
    let mailbox = Arc::new(Numbers::new(1, Overflow::DropOldest));
    let mut found = send(&mailbox, 0);
    let other = thread({
        let mailbox = Arc::clone(&mailbox);
        move || send(&mailbox, 1)
    });
    found.extend(send(&mailbox, 2));
    found.extend(joined(other));
    assert_eq!(mailbox.shed(), 2);
    found.extend(std::iter::from_fn(|| mailbox.take()).map(|envelope| envelope.message));
    found.sort_unstable();
    assert_eq!(found, [0, 1, 2]);
}

/// A sender and a receiver: what is taken is older than what stays.
fn sender_and_receiver() {
    let mailbox = Arc::new(Numbers::new(1, Overflow::DropOldest));
    let mut found = send(&mailbox, 0);
    let other = thread({
        let mailbox = Arc::clone(&mailbox);
        move || [send(&mailbox, 1), send(&mailbox, 2)].concat()
    });
    let mut taken: Vec<u32> =
        (0..2).filter_map(|_| mailbox.take()).map(|envelope| envelope.message).collect();
    found.extend(joined(other));
    taken.extend(std::iter::from_fn(|| mailbox.take()).map(|envelope| envelope.message));
    assert!(taken.is_sorted(), "in order");
    assert_eq!(taken.last(), Some(&2), "the newest stays");
    found.extend(taken);
    found.sort_unstable();
    assert_eq!(found, [0, 1, 2]);
}

#[test]
fn two_senders_conserve() {
    holds("two senders evict", two_senders);
}

#[test]
fn sender_and_receiver_conserve() {
    holds("sender evicts, receiver takes", sender_and_receiver);
}

#[test]
fn an_evicted_newest_is_found() {
    finds(Mutant::EvictNewest, sender_and_receiver);
}
