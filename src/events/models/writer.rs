//! A writer's buffer.

use super::*;

/// A writer puts in two events, and nobody looks: ticks take them, and stop.
fn left_alone() {
    let time = Restless::new();
    let (world, mut solo) = World::with_service_by(builder(), &time);
    let mut writer = world.writer(8);
    let client = thread({
        let world = world.clone();
        move || {
            writer.get().store(event(1)).expect("a valid event");
            writer.get().store(event(2)).expect("a valid event");
            loop {
                let is_idle = !world.handle().core().mailbox.has_mail() && time.is_at_rest();
                // Looked at last: nobody else puts anything in.
                if !world.shard().has_buffered() {
                    break;
                }
                assert!(!is_idle, "it stays behind");
                sync::yield_now();
            }
            world.stop();
            writer
        }
    });
    drop(solo.get().run());
    drop(joined(client));
    drop(solo);
    assert_eq!(world.accounted(2), [1, 2]);
}

/// Its events are sent when there are two, at the end, by the tick, and by somebody who looks meanwhile:
/// each is stored once, in their order.
fn handed_over() {
    let (world, mut solo) = World::with_service(builder());
    let mut writer = world.writer(2);
    writer.get().store(event(1)).expect("a valid event");
    let looking = thread({
        let world = world.clone();
        move || {
            let seen = world.fresh();
            assert!(seen.starts_with(&[1]), "{seen:?}");
        }
    });
    let client = thread({
        let world = world.clone();
        move || {
            for number in 2..=3 {
                writer.get().store(event(number)).expect("there is room");
            }
            drop(writer);
            joined(looking);
            world.stop();
        }
    });
    drop(solo.get().run());
    joined(client);
    drop(solo);
    assert_eq!(world.accounted(3), [1, 2, 3]);
}

/// The same without a service: the part of whoever looks, and that of the tick.
fn in_order() {
    let world = World::by_hand(builder());
    let mut writer = world.writer(8);
    writer.get().store(event(1)).expect("a valid event");
    let tick = thread({
        let world = world.clone();
        move || world.shard().collect(world.handle())
    });
    let looking = thread({
        let world = world.clone();
        move || world.door().send_buffered(Deadline::unbounded()).expect("there is room")
    });
    writer.get().store(event(2)).expect("a valid event");
    drop(writer);
    joined(tick);
    joined(looking);
    stored_by_hand(&world);
    assert_eq!(world.accounted(2), [1, 2]);
}

/// A writer goes while somebody looks: what lay in it is on its way, or was sent by who looks.
fn going() {
    let world = World::by_hand(builder());
    let mut writer = world.writer(8);
    writer.get().store(event(1)).expect("a valid event");
    let end = thread(move || drop(writer));
    world.door().send_buffered(Deadline::unbounded()).expect("there is room");
    assert!(!world.shard().is_settled(), "who looks does not wait for it");
    joined(end);
    stored_by_hand(&world);
    assert_eq!(world.accounted(1), [1]);
}

/// As many bytes are on their way as may be, and there is room in a while. What the tick finds meanwhile stays where it
/// is, before what comes after it.
fn no_room() {
    let world = World::by_hand(builder().capacity(4).overflow(Overflow::Reject).max_queued_bytes(1));
    let mut writer = world.writer(8);
    assert!(world.store(1));
    writer.get().store(event(2)).expect("a valid event");
    let tick = thread({
        let world = world.clone();
        move || assert!(world.shard().collect(world.handle()), "it ticks on")
    });
    writer.get().store(event(3)).expect("a valid event");
    stored_by_hand(&world);
    joined(tick);
    stored_by_hand(&world);
    drop(writer);
    stored_by_hand(&world);
    assert_eq!(world.accounted(3), [1, 2, 3]);
}

/// There is no room when the writer goes: what lay in it is counted, or was sent in time.
fn no_room_at_the_end() {
    let world = World::by_hand(builder().capacity(1).overflow(Overflow::Reject));
    let mut writer = world.writer(8);
    assert!(world.store(1));
    writer.get().store(event(2)).expect("a valid event");
    let end = thread(move || drop(writer));
    stored_by_hand(&world);
    joined(end);
    stored_by_hand(&world);
    assert!(world.accounted(2).starts_with(&[1]));
}

#[test]
fn nothing_stays_behind() {
    holds_at(FEW_PREEMPTIONS, "left alone", left_alone);
}

#[test]
fn a_tick_that_stops_blindly_is_found() {
    finds(Mutant::StopTicking, left_alone);
}

#[test]
fn the_hand_over_loses_nothing() {
    holds_at(ONE_PREEMPTION, "handed over", handed_over);
    holds("going", going);
}

#[test]
fn a_buffer_that_goes_before_it_is_empty_is_found() {
    finds(Mutant::UnregisterFirst, going);
}

#[test]
fn batches_go_in_their_order() {
    holds("in order", in_order);
}

#[test]
fn a_batch_that_is_sent_under_no_lock_is_found() {
    finds(Mutant::SendUnlocked, in_order);
}

#[test]
fn what_finds_no_room_stays_where_it_was() {
    holds("no room", no_room);
    holds("no room at the end", no_room_at_the_end);
}

#[test]
fn what_is_put_back_late_is_found() {
    finds(Mutant::PutBackLate, no_room);
}
