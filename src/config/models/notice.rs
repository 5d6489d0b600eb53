//! Being told.

use std::convert::Infallible;
use std::sync::Mutex;

use super::*;
use crate::config::errors::RecvError;
use crate::service::context::Context;
use crate::service::exit::Exit;
use crate::service::service::{Next, Service};
use crate::supervisor::spec::child;
use crate::testing::Solo;

/// The config service makes two updates, of `a` and then of `b`.
fn two_updates(world: &World) -> JoinHandle<()> {
    let world = world.clone();
    thread(move || {
        world.set("a", 1);
        world.set("b", 1);
    })
}

/// Who is told of a version can read it.
fn told() {
    let world = World::new();
    let mut subscription = world.subscribe("", 8);
    let service = two_updates(&world);
    for notice in received_up_to(3, &mut subscription) {
        assert!(world.config.version() >= notice.version, "{notice:?} is ahead");
    }
    joined(service);
}

/// The same without waiting: the subscriber looks now and then.
fn told_who_looks() {
    let world = World::new();
    let mut subscription = world.subscribe("", 8);
    let service = thread({
        let world = world.clone();
        move || world.set("a", 1)
    });
    if let Some(notice) = subscription.get().try_recv() {
        assert!(world.config.version() >= notice.version, "{notice:?} is ahead");
    }
    joined(service);
}

/// Somebody subscribes to `a` while it is changed, and then something else: it sees the change, or is
/// told of it, and never of the other.
fn subscribing() {
    let world = World::new();
    let service = two_updates(&world);
    let mut subscription = world.subscribe("a", 8);
    let looked = world.config.version();
    joined(service);
    let told = versions(&left(&mut subscription));
    assert!(told == [2] || (told.is_empty() && looked >= 2), "saw {looked}, was told of {told:?}");
}

/// As that, of one who subscribes to everything: each version is seen at the first look or told of, one
/// by one.
fn subscribing_to_all() {
    let world = World::new();
    let service = two_updates(&world);
    let mut subscription = world.subscribe("", 8);
    let looked = world.config.version();
    joined(service);
    let told = left(&mut subscription);
    assert_eq!(versions(&told), (4 - told.len() as u64..4).collect::<Vec<_>>());
    assert!(told.len() as u64 + looked >= 3, "saw {looked}, was told of {told:?}");
    assert!(told.iter().all(|notice| notice.updates == 1 && notice.changes.len() == 1), "{told:?}");
}

/// Somebody waits while two updates are made: it has both.
fn waiting() {
    let world = World::new();
    let mut subscription = world.subscribe("", 8);
    let subscriber = thread(move || versions(&received_up_to(3, &mut subscription)));
    world.set("a", 1);
    world.set("b", 1);
    assert_eq!(joined(subscriber), [2, 3]);
}

/// There is room for one notice, and the subscriber takes it when it likes: the last version arrives,
/// and nothing of what led to it is missed.
fn one_place() {
    let world = World::new();
    let mut subscription = world.subscribe("", 1);
    let service = two_updates(&world);
    let early = subscription.get().try_recv();
    joined(service);
    let notices: Vec<_> = early.into_iter().chain(left(&mut subscription)).collect();
    assert_eq!((versions(&notices).last(), followed(&notices)), (Some(&3), json!({"a": 1, "b": 1})));
    assert_eq!(notices.iter().map(|notice| notice.updates).sum::<u64>(), 2);
    assert_eq!(notices.len() as u64 + subscription.get().lag(), 2);
}

/// Two lives tell of what each of them published, in whatever order: it arrives as one story.
fn two_lives() {
    let world = World::new();
    let mut subscription = world.subscribe("", 8);
    let given_up = thread({
        let world = world.clone();
        move || world.set("a", 1)
    });
    world.set("b", 1);
    joined(given_up);
    let notices = left(&mut subscription);
    assert!(matches!(versions(&notices)[..], [2, 3] | [3]), "{notices:?}");
    assert_eq!(followed(&notices), json!({"a": 1, "b": 1}));
}

/// A subscriber goes while others are told: nobody else is missed.
fn one_goes() {
    let world = World::new();
    let (goes, mut stays) = (world.subscribe("", 8), world.subscribe("", 8));
    let service = two_updates(&world);
    drop(goes);
    assert_eq!(followed(&received_up_to(3, &mut stays)), json!({"a": 1, "b": 1}));
    joined(service);
}

/// The configuration goes while somebody waits: it is told so.
fn over() {
    let world = World::new();
    let mut subscription = world.subscribe("", 8);
    let subscriber = thread(move || subscription.get().recv_by(Deadline::unbounded()));
    drop(world);
    assert!(matches!(joined(subscriber), Err(RecvError::Closed)));
}

// ---- a service that is told --------------------------------------------------------------

/// It writes down what it is told, until it is told to end.
struct Listener(Arc<Mutex<Vec<Notice>>>);

enum Msg {
    Told(Notice),
    /// After so many more that it says to itself: something urgent waits for what is queued when the
    /// service sees it, and there may be two of that.
    End(u8),
}

impl Service for Listener {
    type Msg = Msg;
    type Error = Infallible;

    fn handle(&mut self, msg: Msg, cx: &mut Context<Self>) -> Result<Next, Infallible> {
        match msg {
            Msg::Told(notice) => self.0.lock().expect("no panic").push(notice),
            Msg::End(0) => return Ok(Next::Stop),
            Msg::End(more) => assert!(cx.handle().cast(Msg::End(more - 1)).is_ok()),
        }
        Ok(Next::Continue)
    }
}

/// A service is told of two updates, and something else is said to it after them: by then it has heard of
/// both.
fn courier() {
    let world = World::new();
    let heard = Arc::<Mutex<Vec<Notice>>>::default();
    let (handle, mut solo) = {
        let heard = Arc::clone(&heard);
        Solo::new(child("listener", move || Listener(Arc::clone(&heard))).capacity(1))
    };
    let told = world.config.subscribe_service("", &handle, Msg::Told).expect("a path");
    let service = thread({
        let world = world.clone();
        move || {
            world.set("a", 1);
            world.set("b", 1);
            assert!(handle.cast(Msg::End(4)).is_ok());
        }
    });
    assert!(matches!(solo.run(), Exit::Normal), "the listener crashed");
    joined(service);
    let heard = heard.lock().expect("no panic");
    assert_eq!((versions(&heard).last(), followed(&heard)), (Some(&3), json!({"a": 1, "b": 1})));
    assert_eq!(heard.iter().map(|notice| notice.updates).sum::<u64>(), 2);
    drop(told);
}

#[test]
fn what_is_told_can_be_read() {
    holds("told", told);
    holds("told who looks", told_who_looks);
}

#[test]
fn a_notice_before_the_publication_is_found() {
    finds(Mutant::TellFirst, told);
    finds(Mutant::TellFirst, told_who_looks);
}

#[test]
fn from_its_first_look_on() {
    holds("subscribing", subscribing);
    holds("subscribing to all", subscribing_to_all);
}

#[test]
fn a_look_before_the_lock_is_found() {
    finds(Mutant::LookFirst, subscribing);
    finds(Mutant::LookFirst, subscribing_to_all);
}

#[test]
fn who_waits_is_woken() {
    holds("waiting", waiting);
}

#[test]
fn a_notice_that_wakes_nobody_is_found() {
    finds(Mutant::TellSilently, waiting);
}

#[test]
fn who_waits_for_a_configuration_that_goes_is_told() {
    holds("over", over);
}

#[test]
fn an_end_that_wakes_nobody_is_found() {
    finds(Mutant::TellSilently, over);
}

#[test]
fn the_last_always_arrives() {
    holds("one place", one_place);
}

#[test]
fn a_last_notice_that_is_dropped_is_found() {
    finds(Mutant::DropNewest, one_place);
}

#[test]
fn who_goes_is_missed_by_nobody() {
    holds("one goes", one_goes);
}

#[test]
fn two_lives_tell_one_story() {
    holds("two lives tell", two_lives);
}

#[test]
fn a_courier_leaves_nothing_behind() {
    holds("courier", courier);
}

#[test]
fn an_errand_that_is_forgotten_is_found() {
    finds(Mutant::ForgetErrand, courier);
}
