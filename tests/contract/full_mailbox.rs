//! The full mailbox.

use super::*;

#[test]
fn mailbox_full_reject_hands_back_at_once() {
    let (sup, handle, release, journal, dead) = full(Overflow::Reject);
    let refused = handle.cast(Msg::Add(3)).expect_err("full");
    assert!(matches!(refused, CastError::Full { ref name, .. } if &**name == "a"));
    assert!(matches!(refused.into_message(), Msg::Add(3)));
    let refused = handle.call(Msg::Total).expect_err("full");
    assert!(matches!(refused, CallError::NotSent(CastError::Full { .. })));
    assert!(matches!(refused.into_message(), Some(Msg::Total(_))));
    release.open();
    journal.wait_line("a add 2");
    assert_eq!(handle.call(Msg::Total).expect("there is space again"), 3);
    assert_eq!(adds(&journal), ["a add 1", "a add 2"]);
    assert_eq!((handle.status().shed, dead.all().len()), (0, 0), "handed back is not lost");
    drop(sup);
}

#[test]
fn mailbox_full_drop_newest_drops_what_is_being_sent() {
    let (sup, handle, release, journal, dead) = full(Overflow::DropNewest);
    handle.cast(Msg::Add(3)).expect("accepted, and given up");
    let shed = handle.call(Msg::Total);
    assert!(matches!(shed, Err(CallError::Shed { ref name }) if &**name == "a"), "{shed:?}");
    assert_eq!(handle.status().shed, 2);
    assert_eq!(dead.all(), [(DeadReason::Shed, 3)]);
    assert_eq!(handle.status().dead_letters, 1);
    release.open();
    journal.wait_line("a add 2");
    assert_eq!(adds(&journal), ["a add 1", "a add 2"]);
    drop(sup);
}

#[test]
fn mailbox_full_drop_oldest_evicts_the_head_never_the_message_being_sent() {
    let (sup, handle, release, journal, dead) = full(Overflow::DropOldest);
    handle.cast(Msg::Add(3)).expect("accepted");
    assert_eq!(dead.all(), [(DeadReason::Shed, 1)]);
    let first = handle.request(Msg::Total).expect("accepted"); // evicts 2
    handle.cast(Msg::Add(4)).expect("accepted"); // evicts 3
    assert!(!first.is_ready());
    handle.cast(Msg::Add(5)).expect("accepted"); // evicts the call
    assert!(matches!(first.wait(), Err(CallError::Shed { .. })));
    assert_eq!(dead.all(), [(DeadReason::Shed, 1), (DeadReason::Shed, 2), (DeadReason::Shed, 3)]);
    assert_eq!((handle.status().shed, handle.status().dead_letters), (4, 3));
    release.open();
    journal.wait_line("a add 5");
    assert_eq!(adds(&journal), ["a add 4", "a add 5"]);
    drop(sup);
}

#[test]
fn mailbox_full_block_waits_for_space() {
    let (sup, handle, release, journal, _) = full(Overflow::Block(LONG));
    let sender = handle.clone();
    let blocked = aside(move || sender.cast(Msg::Add(3)));
    let caller = handle.clone();
    let asking = aside(move || caller.call(Msg::Epoch));
    assert!(!blocked.is_done());
    release.open();
    blocked.done().expect("accepted when there was space");
    assert_eq!(asking.done().expect("answered"), 1);
    journal.wait_line("a add 3");
    assert_eq!(adds(&journal), ["a add 1", "a add 2", "a add 3"]);
    drop(sup);
}

#[test]
fn mailbox_full_block_hands_back_at_its_deadline() {
    let (sup, handle, release, _, dead) = full(Overflow::Block(MS * 20));
    let begun = Instant::now();
    let refused = handle.cast(Msg::Add(3)).expect_err("full all the time");
    assert!(begun.elapsed() >= MS * 20);
    assert!(
        matches!(refused, CastError::TimedOut { ref name, waited, .. } if &**name == "a" && waited == MS * 20),
        "{refused:?}"
    );
    assert!(matches!(refused.into_message(), Msg::Add(3)));
    // A call does not wait for space beyond its own time-out.
    let refused = handle.call_timeout(MS, Msg::Total).expect_err("full all the time");
    assert!(
        matches!(refused, CallError::NotSent(CastError::TimedOut { waited, .. }) if waited == MS),
        "{refused:?}"
    );
    release.open();
    assert_eq!(handle.call(Msg::Total).expect("answered"), 3);
    assert_eq!((handle.status().shed, dead.all().len()), (0, 0));
    drop(sup);
}

#[test]
fn mailbox_full_block_hears_of_the_end() {
    let (sup, handle, release, _, _) = full(Overflow::Block(LONG * 10));
    let senders: Vec<_> = (0..3)
        .map(|n| {
            let sender = handle.clone();
            aside(move || sender.cast(Msg::Add(10 + n)))
        })
        .collect();
    let reference = sup.reference();
    let stopping = aside(move || reference.terminate_child("a"));
    release.open();
    stopping.done().expect("terminated");
    let outcomes: Vec<_> = senders.into_iter().map(Aside::done).collect();
    for refused in outcomes.into_iter().filter_map(Result::err) {
        assert!(matches!(refused, CastError::Stopped { .. }), "{refused:?}");
    }
    drop(sup);
}

#[test]
fn mailbox_full_a_service_that_casts_to_itself_is_never_blocked() {
    let journal = Journal::new();
    let spec = bot("a", &journal).capacity(1).overflow(Overflow::Block(LONG * 10));
    let handle = spec.handle();
    let sup = Supervisor::new("app").child(spec).start().expect("starts");
    let answer = handle.call(ask(|_, cx, reply| {
        let me = cx.handle();
        me.cast(Msg::Add(1)).map_err(|_| Oops(ErrorKind::Permanent, "there was space"))?;
        match me.cast(Msg::Add(2)) {
            Err(CastError::Full { message: Msg::Add(2), .. }) => reply.send(1),
            other => panic!("{other:?}"),
        }
        Ok(Next::Continue)
    }));
    assert_eq!(answer.expect("answered"), 1);
    drop(sup);
}

#[test]
fn mailbox_full_control_messages_are_never_subject_to_it() {
    let (clock, hand) = Clock::manual();
    for overflow in [Overflow::Reject, Overflow::DropNewest, Overflow::DropOldest] {
        let journal = Journal::new();
        let other = bot("other", &journal);
        let spec = bot("a", &journal).capacity(1).overflow(overflow);
        let (handle, watched) = (spec.handle(), other.handle());
        let sup = patient("app").clock(clock.clone()).child(other).child(spec).start().expect("starts");
        let target = watched.clone();
        let setup = handle.call(ask(move |_, cx, reply| {
            cx.monitor(&target, Msg::Gone);
            cx.send_after(SECOND, Msg::Add(100));
            reply.send(0);
            Ok(Next::Continue)
        }));
        setup.expect("answered");
        let release = occupy(&handle);
        handle.cast(Msg::Add(1)).expect("accepted");
        sup.terminate_child("other").expect("terminated");
        hand.advance(SECOND);
        release.open();
        journal.wait_line("a sees other was shut down after 1");
        journal.wait_line("a add 100");
        journal.wait_line("a add 1");
        assert_eq!(handle.status().shed, 0);

        let (asked, release) = hang(&handle);
        handle.cast(Msg::Add(2)).expect("accepted");
        let reference = sup.reference();
        let stopping = aside(move || reference.terminate_child("a"));
        asked.wait(); // the stop came through the full mailbox
        release.open();
        stopping.done().expect("terminated");
        assert!(!journal.has("a add 2"));
        drop(sup);
    }
}
