//! Following what is stored.

use super::*;

/// The next event, waited for.
fn next(following: &mut Kept<Subscription>) -> Result<u64, FollowError> {
    following.get().recv_by(Deadline::unbounded()).map(|entry| number(entry.event()))
}

/// What it receives up to an event, and how many it was told that it has missed.
fn followed(mut following: Kept<Subscription>, last: u64) -> (Vec<u64>, u64) {
    let (mut received, mut missed) = (Vec::new(), 0);
    while received.last() != Some(&last) {
        match next(&mut following) {
            Ok(number) => received.push(number),
            Err(FollowError::Missed { events }) => missed += events,
            Err(error) => panic!("{error}"),
        }
    }
    assert_eq!(following.get().lag(), 0);
    (received, missed)
}

/// A life stores two events.
fn storing(world: &World) -> JoinHandle<()> {
    let world = world.clone();
    thread(move || (2..=3).for_each(|number| world.live(number)))
}

/// Somebody waits while two events are stored: it has both.
fn waiting() {
    let world = World::by_hand(builder());
    let following = world.subscribe(StartFrom::Now);
    let life = storing(&world);
    assert_eq!(followed(following, 3), (vec![2, 3], 0));
    joined(life);
}

/// Somebody begins to follow while events are stored: from the oldest on it has all, from now on all that
/// it did not see when it began.
fn catching_up(from: &StartFrom) {
    let world = World::by_hand(builder());
    world.live(1);
    let life = storing(&world);
    let before = world.published();
    let mut following = world.subscribe(from.clone());
    let after = world.published();
    let early: Vec<_> = std::iter::from_fn(|| following.get().try_recv().ok()).collect();
    joined(life);
    let late = std::iter::from_fn(|| following.get().try_recv().ok());
    let received: Vec<_> = early.into_iter().chain(late).map(|entry| number(entry.event())).collect();
    let first = 4 - received.len() as u64;
    assert_eq!(received, (first..=3).collect::<Vec<_>>(), "a gap, or one twice");
    match from {
        StartFrom::Oldest => assert_eq!(first, 1),
        _ => assert!((before.len()..=after.len()).contains(&(first as usize - 1)), "{received:?}"),
    }
}

/// It stops in between, and another goes on from its checkpoint.
fn going_on() {
    let world = World::by_hand(builder());
    world.live(1);
    let mut first = world.subscribe(StartFrom::Oldest);
    let life = storing(&world);
    let received: Vec<_> = std::iter::from_fn(|| first.get().try_recv().ok()).collect();
    let second = world.subscribe(StartFrom::Checkpoint(first.get().checkpoint()));
    let mut all: Vec<_> = received.iter().map(|entry| number(entry.event())).collect();
    if all.last() != Some(&3) {
        all.extend(followed(second, 3).0);
    }
    joined(life);
    assert_eq!(all, [1, 2, 3]);
}

/// There is room for one event: each is received or told as missed.
fn dropped() {
    let world = World::by_hand(builder().max_events(1));
    world.live(1);
    let following = world.subscribe(StartFrom::Oldest);
    let life = storing(&world);
    let (received, missed) = followed(following, 3);
    joined(life);
    assert_eq!(received.len() as u64 + missed, 3, "{received:?}");
    assert!(received.is_sorted() && received.windows(2).all(|two| two[0] < two[1]));
}

/// The same when the events are pruned.
fn pruned() {
    let world = World::by_hand(builder());
    world.live(1);
    let following = world.subscribe(StartFrom::Oldest);
    let life = thread({
        let world = world.clone();
        move || {
            world.live(2);
            world.shard().prune(crate::events::shelf::Until::Id(3));
            world.live(3);
        }
    });
    let (received, missed) = followed(following, 3);
    joined(life);
    assert_eq!(received.len() as u64 + missed, 3, "{received:?}");
}

/// The store stops for good while somebody waits, with an event in its mailbox: who waits has that, and is
/// told of the end.
fn over() {
    let (world, mut solo) = World::with_service(builder());
    let following = world.subscribe(StartFrom::Oldest);
    let follower = thread(move || {
        let mut following = following;
        (next(&mut following), next(&mut following))
    });
    assert!(world.store(1));
    world.handle().core().ask_to_stop(false);
    drop(solo.get().run());
    drop(solo);
    assert!(matches!(joined(follower), (Ok(1), Err(FollowError::Closed))));
}

/// The same by hand, with a message that comes to nothing while the end is told.
fn over_and_nothing() {
    let world = World::by_hand(builder());
    let mut following = world.subscribe(StartFrom::Oldest);
    let parcel = world.parcel(1);
    let lost = thread(move || drop(parcel));
    let end = thread({
        let world = world.clone();
        move || world.shard().close()
    });
    assert!(matches!(next(&mut following), Err(FollowError::Closed)));
    joined(lost);
    joined(end);
    assert_eq!(world.accounted(1), [0; 0]);
}

/// The last life of all ends between 3 and 4: what it has put in is shown at the end.
fn last_life() {
    let world = World::by_hand(builder());
    let mut following = world.subscribe(StartFrom::Oldest);
    let life = thread({
        let world = world.clone();
        move || {
            world.put_in(world.parcel(1));
            world.shard().close();
        }
    });
    assert_eq!(next(&mut following).ok(), Some(1));
    assert!(matches!(next(&mut following), Err(FollowError::Closed)));
    joined(life);
    assert_eq!(world.accounted(1), [1]);
}

#[test]
fn who_waits_is_woken() {
    holds("waiting", waiting);
}

#[test]
fn a_publication_that_wakes_nobody_is_found() {
    finds(Mutant::PublishSilently, waiting);
}

#[test]
fn a_look_before_one_leaves_ones_thread_is_found() {
    finds(Mutant::AnnounceAfterLook, waiting);
}

#[test]
fn no_gap_and_no_duplicate() {
    for from in [StartFrom::Oldest, StartFrom::Now] {
        holds(&format!("catching up, {from:?}"), move || catching_up(&from));
    }
    holds("going on", going_on);
}

#[test]
fn a_place_that_runs_ahead_is_found() {
    finds(Mutant::SkipAhead, || catching_up(&StartFrom::Oldest));
    finds(Mutant::SkipAhead, waiting);
}

#[test]
fn what_is_missed_is_counted() {
    holds("dropped", dropped);
    holds("pruned", pruned);
}

#[test]
fn the_end_is_told_when_all_was_received() {
    holds_at(FEW_PREEMPTIONS, "over", over);
    holds("over and nothing", over_and_nothing);
    holds("last life", last_life);
}

#[test]
fn an_end_that_is_told_early_is_found() {
    finds(Mutant::CloseEarly, over);
}

#[test]
fn an_end_that_shows_nothing_is_found() {
    finds(Mutant::CloseUnpublished, last_life);
}
