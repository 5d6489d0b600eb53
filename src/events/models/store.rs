//! Storing, looking, and what becomes of what was accepted.

use super::*;

/// Whoever stores and then looks sees it.
fn seen() {
    let (world, mut solo) = World::with_service(builder());
    let client = storing_and_looking(&world);
    drop(solo.get().run());
    joined(client);
    drop(solo);
    assert_eq!(world.accounted(1), [1]);
}

fn storing_and_looking(world: &World) -> JoinHandle<()> {
    let world = world.clone();
    thread(move || {
        assert!(world.store(1));
        let seen = world.fresh();
        assert!(seen.contains(&1), "{seen:?}");
        world.stop();
    })
}

/// The same while somebody else stores.
fn seen_by_one_of_two() {
    let (world, mut solo) = World::with_service(builder());
    let other = thread({
        let world = world.clone();
        move || assert!(world.store(2))
    });
    let client = storing_and_looking(&world);
    drop(solo.get().run());
    joined(client);
    joined(other);
    drop(solo);
    assert_eq!(world.accounted(2).len(), 2);
}

/// The same without the service's machinery: a life by hand, and whoever looks only looks.
fn seen_without_asking() {
    let world = World::by_hand(builder());
    let lives = [1, 2].map(|number| {
        let parcel = world.parcel(number);
        let world = world.clone();
        thread(move || {
            world.put_in(parcel);
            world.shard().publish();
        })
    });
    if world.shard().is_settled() {
        assert_eq!(world.published().len(), 2);
    }
    lives.into_iter().for_each(joined);
    assert_eq!(world.accounted(2).len(), 2);
}

/// Whoever looks sees what lies in the buffer of a writer on another thread, if it was put there before.
fn seen_after_a_flush() {
    let (world, mut solo) = World::with_service(builder());
    let mut writer = world.writer(8);
    writer.get().store(event(1)).expect("a valid event");
    let client = thread({
        let world = world.clone();
        move || {
            let seen = world.fresh();
            assert!(seen.contains(&1), "{seen:?}");
            world.stop();
        }
    });
    drop(solo.get().run());
    joined(client);
    drop((writer, solo));
    assert_eq!(world.accounted(1), [1]);
}

/// The mailbox has one place: of what one stores, each event is stored or counted, and the newest is there.
fn shed() {
    let (world, mut solo) = World::with_service(builder().capacity(1));
    let client = thread({
        let world = world.clone();
        move || {
            let accepted = (1..=2).filter(|number| world.store(*number)).count() as u64;
            world.stop();
            accepted
        }
    });
    drop(solo.get().run());
    let accepted = joined(client);
    drop(solo);
    assert_eq!(world.accounted(accepted).last(), Some(&2), "the newest went");
}

/// Two store, and a life by hand takes what it finds: each event is stored or counted, and the newest of one
/// of them is there.
fn shed_by_two() {
    let world = World::by_hand(builder().capacity(1));
    let clients = [1, 3].map(|first| {
        let world = world.clone();
        thread(move || (first..=first + 1).filter(|number| world.store(*number)).count() as u64)
    });
    stored_by_hand(&world);
    let accepted = clients.into_iter().map(joined).sum();
    stored_by_hand(&world);
    let seen = world.accounted(accepted);
    assert!(accepted == 4 && matches!(seen.last(), Some(2 | 4)), "{seen:?} of {accepted}");
}

/// Somebody stores while the store stops for good: what was accepted is there.
fn stopping() {
    let (world, mut solo) = World::with_service(builder());
    let client = thread({
        let world = world.clone();
        move || world.store(1)
    });
    let stopper = thread({
        let world = world.clone();
        move || world.stop()
    });
    drop(solo.get().run());
    joined(stopper);
    drop(solo);
    let accepted = joined(client);
    assert_eq!(world.accounted(u64::from(accepted)), if accepted { vec![1] } else { vec![] });
}

/// Who waits for an event puts it in himself where he can, behind what he sent before; the service is at work beside
/// him.
fn stored_here() {
    let (world, mut solo) = World::with_service(builder());
    let client = thread({
        let world = world.clone();
        move || {
            assert!(world.store(1));
            let id = world.store.store_sync(event(2)).expect("it is stored");
            assert_eq!(world.published(), [1, 2], "in the order in which they were stored");
            assert_eq!(id.get(), 2);
            world.stop();
        }
    });
    drop(solo.get().run());
    joined(client);
    drop(solo);
    assert_eq!(world.accounted(2), [1, 2]);
}

/// The same by two who store at once: one of them may find the other at it.
fn stored_here_by_two() {
    let (world, mut solo) = World::with_service(builder());
    let other = thread({
        let world = world.clone();
        move || drop(world.store.store_sync(event(2)))
    });
    let client = thread({
        let world = world.clone();
        move || {
            world.store.store_sync(event(1)).expect("it is stored");
            assert!(world.published().contains(&1));
            joined(other);
            world.stop();
        }
    });
    drop(solo.get().run());
    joined(client);
    drop(solo);
    assert_eq!(world.accounted(2).len(), 2);
}

/// Somebody puts in what he waits for while the service goes for good: who was told that nothing comes any more sees no more.
fn stored_here_at_the_end() {
    let world = World::by_hand(builder());
    world.shard().begin();
    let client = thread({
        let world = world.clone();
        move || {
            let (parcel, mut settlements) = (world.parcel(1), Vec::new());
            if world.shard().add_here(parcel, Clock::SYSTEM.now(), &mut settlements).is_ok() {
                world.shard().publish();
            }
        }
    });
    world.shard().close();
    let seen = world.shard().is_over().then(|| world.published().len());
    joined(client);
    assert!(seen.is_none_or(|seen| seen == world.published().len()), "more than {seen:?}");
}

/// How far a life comes that crashes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Taken,
    PutIn,
}

/// A life crashes over a message; the next one does the rest.
fn crash(step: Step) {
    let (world, mut solo) = World::with_service(builder());
    assert!(world.store(1) && world.store(2));
    let client = thread({
        let world = world.clone();
        move || {
            assert!(world.store(3));
            assert!(world.fresh().contains(&3));
            world.stop();
        }
    });
    let parcel = world.taken().expect("it was stored");
    match step {
        Step::Taken => drop(parcel),
        Step::PutIn => world.put_in(parcel),
    }
    drop(solo.get().run());
    joined(client);
    drop(solo);
    let (lost, seen) = if step == Step::Taken { (1, vec![2, 3]) } else { (0, vec![1, 2, 3]) };
    assert_eq!((world.accounted(3), world.store.stats().lost), (seen, lost));
}

/// A life ends between 3 and 4: the next one shows what it has put in, though nothing is asked of it.
fn shown() {
    let (world, mut solo) = World::with_service(builder());
    world.put_in(world.parcel(1));
    let mut following = world.subscribe(StartFrom::Oldest);
    let client = thread({
        let world = world.clone();
        move || {
            let first = following.get().recv_by(Deadline::unbounded()).expect("it is stored");
            assert_eq!(number(first.event()), 1);
            world.stop();
        }
    });
    drop(solo.get().run());
    joined(client);
}

/// A life was given up, and goes on with what it has in hand while its successor does the same: all is
/// shown, and nobody who looks sees less than before.
fn given_up() {
    let world = World::by_hand(builder());
    let lives = [1, 2].map(|number| {
        let world = world.clone();
        thread(move || world.live(number))
    });
    let mut seen = 0;
    for _ in 0..2 {
        let now = world.published().len();
        assert!(now >= seen, "back from {seen} to {now}");
        seen = now;
    }
    lives.into_iter().for_each(joined);
    assert_eq!(world.accounted(2).len(), 2);
}

#[test]
fn who_waits_for_an_event_puts_it_in_behind_what_he_sent() {
    holds_at(ONE_PREEMPTION, "stored here", stored_here);
    holds_at(ONE_PREEMPTION, "stored here by two", stored_here_by_two);
    finds(Mutant::StoreHereFirst, stored_here);
}

#[test]
fn who_stored_it_sees_it() {
    holds_at(FEW_PREEMPTIONS, "seen", seen);
    holds_at(ONE_PREEMPTION, "seen by one of two", seen_by_one_of_two);
    holds("seen without asking", seen_without_asking);
}

#[test]
fn what_settles_before_it_is_shown_is_found() {
    finds(Mutant::SettleFirst, seen);
    finds(Mutant::SettleFirst, seen_without_asking);
}

#[test]
fn who_looks_after_a_flush_sees_it() {
    holds_at(FEW_PREEMPTIONS, "seen after a flush", seen_after_a_flush);
}

#[test]
fn what_is_shed_is_counted() {
    holds_at(FEW_PREEMPTIONS, "shed", shed);
    holds_at(FEW_PREEMPTIONS, "shed by two", shed_by_two);
}

#[test]
fn a_newest_that_goes_is_found() {
    finds(Mutant::EvictNewest, shed);
}

#[test]
fn what_stops_is_stored() {
    holds_at(FEW_PREEMPTIONS, "stopping", stopping);
}

#[test]
fn what_is_salvaged_and_not_shown_is_found() {
    finds(Mutant::SalvageSilently, stopping);
}

#[test]
fn a_send_into_a_closed_mailbox_is_found() {
    finds(Mutant::SendWithoutRecheck, stopping);
}

#[test]
fn a_crash_costs_what_was_in_hand() {
    for step in [Step::Taken, Step::PutIn] {
        holds_at(FEW_PREEMPTIONS, &format!("crash, {step:?}"), move || crash(step));
    }
}

#[test]
fn a_parcel_that_nobody_counts_is_found() {
    finds(Mutant::ForgetParcel, || crash(Step::Taken));
}

#[test]
fn what_a_life_has_not_shown_the_next_one_shows() {
    holds("shown", shown);
}

#[test]
fn a_life_that_shows_nothing_of_the_last_is_found() {
    finds(Mutant::StartUnshown, shown);
}

#[test]
fn a_life_that_was_given_up_shows_nothing_older() {
    holds("given up", given_up);
}

#[test]
fn a_publication_under_no_lock_is_found() {
    finds(Mutant::PublishUnlocked, given_up);
}

#[test]
fn who_waits_puts_nothing_in_behind_the_end() {
    holds("stored here at the end", stored_here_at_the_end);
    finds(Mutant::StoreHereClosed, stored_here_at_the_end);
}
