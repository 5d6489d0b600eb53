//! Being told of changes: by path, in order, bounded, and the last version always.
#![cfg(feature = "config")]

mod common;
mod config_common;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use common::{LONG, Latch, Log, MS, SECOND, aside, eventually, patient};
use config_common::{Clerk, Letter, crash, hold, layers, load, running, soft_and_hard, start};
use serde_json::{Value, json};
use underpin::config::{
    Changes, Config, ConfigEvent, Layers, Metric, Notice, RecvError, Registration, Silence, Sink,
};
use underpin::testing::Simulation;
use underpin::{ChildSpec, Handle, Mailbox, Overflow, Restart, Supervisor, SupervisorHandle, child};

fn versions(notices: &[Notice]) -> Vec<u64> {
    notices.iter().map(|notice| notice.version).collect()
}

// ---- a subscription ----------------------------------------------------------------------

#[test]
fn a_subscriber_is_told_of_what_changes_at_its_path_and_below() {
    let (config, _tree) = running(layers());
    let mut limits = config.subscribe("limits").expect("a path");
    let mut hard = config.subscribe("limits.hard").expect("a path");
    let mut whole = config.subscribe("").expect("the whole");
    config.update("workers", 3).expect("a version");
    config.update("limits.soft", 15).expect("a version");
    config.update("limits", json!({"soft": 15, "hard": 30})).expect("a version");
    let notice = limits.recv_timeout(LONG).expect("a notice");
    assert_eq!((notice.version, notice.updates, notice.changes.len()), (3, 1, 1));
    let change = &notice.changes[0];
    assert_eq!(change.path.to_string(), "limits.soft");
    assert_eq!((&change.old, &change.new), (&Some(json!(10)), &Some(json!(15))));
    assert_eq!(limits.recv_timeout(LONG).expect("a notice").version, 4);
    assert_eq!(hard.recv_timeout(LONG).expect("a notice").version, 4);
    assert!(hard.try_recv().is_none() && limits.try_recv().is_none());
    let all: Vec<_> = (0..3).map(|_| whole.recv_timeout(LONG).expect("a notice")).collect();
    assert_eq!(versions(&all), [2, 3, 4]);
    assert_eq!(whole.path().to_string(), "(the whole)");
}

#[test]
fn nobody_is_told_of_an_update_that_changes_nothing() {
    let (config, _tree) = running(layers());
    let mut whole = config.subscribe("").expect("a path");
    config.update("workers", 2).expect("a version, with the value that it has");
    config.update("workers", 3).expect("a version");
    assert_eq!(whole.recv_timeout(LONG).expect("a notice").version, 3);
}

#[test]
fn notices_that_do_not_fit_are_taken_in_by_the_newest_and_counted() {
    let (config, _tree) = running(layers());
    let mut slow = config.subscribe_bounded("workers", 2).expect("a path");
    (3..=7).for_each(|workers| _ = config.update("workers", workers).expect("a version"));
    assert_eq!((slow.len(), slow.lag()), (2, 3));
    let (first, last) = (slow.try_recv().expect("a notice"), slow.try_recv().expect("a notice"));
    assert_eq!(((first.version, first.updates), (last.version, last.updates)), ((2, 1), (6, 4)));
    assert_eq!((&last.changes[0].old, &last.changes[0].new), (&Some(json!(3)), &Some(json!(7))));
    assert!(slow.is_empty() && slow.try_recv().is_none());
    let mut none = config.subscribe_bounded("", 0).expect("a path");
    config.update("workers", 8).expect("a version");
    assert_eq!(none.try_recv().expect("one at least").version, 7);
}

#[test]
fn a_default_subscription_holds_sixty_four() {
    let (config, _tree) = running(layers());
    let slow = config.subscribe("workers").expect("a path");
    (0..70).for_each(|turn| _ = config.update("workers", 3 + turn).expect("a version"));
    assert_eq!((slow.len(), slow.lag()), (64, 6));
}

#[test]
fn whoever_is_told_reads_the_version_or_a_later_one() {
    let (config, _tree) = running(layers());
    let mut told = config.subscribe_bounded("limits", 4).expect("a path");
    let other = config.clone();
    let writer = aside(move || {
        (1..=300).for_each(|soft| _ = other.update_many(soft_and_hard(soft, soft + 1)).expect("a version"));
    });
    let (mut last, mut updates, mut soft) = (1, 0, json!(10));
    while last < 301 {
        let notice = told.recv_timeout(LONG).expect("the last version always arrives");
        assert!(notice.version > last && config.version() >= notice.version);
        let change = notice.changes.iter().find(|change| change.path.to_string() == "limits.soft");
        let change = change.expect("it rises each time");
        assert_eq!(change.old, Some(std::mem::take(&mut soft)), "each begins where the one before ended");
        soft = change.new.clone().expect("a value");
        (last, updates) = (notice.version, updates + notice.updates);
    }
    writer.done();
    assert_eq!((updates, soft, told.lag() < 300), (300, json!(300), true));
}

#[test]
fn a_subscriber_waits_no_longer_than_it_says_by_the_clock_of_the_tree() {
    let config = load(layers());
    let simulation = Simulation::new(1);
    let _tree = simulation.start(Supervisor::new("tree").child(config.child())).expect("it starts");
    let mut told = config.subscribe("").expect("a path");
    let waited = told.recv_timeout(60 * SECOND);
    assert!(matches!(waited, Err(RecvError::TimedOut { waited }) if waited >= 60 * SECOND), "{waited:?}");
    assert!(matches!(told.recv_timeout(Duration::ZERO), Err(RecvError::TimedOut { .. })));
}

/// How many subscribers there were after the last publication.
#[derive(Clone, Default)]
struct Subscribers(Arc<AtomicU64>);

impl Sink for Subscribers {
    fn event(&self, _: &ConfigEvent) {}

    fn metric(&self, metric: Metric, value: f64) {
        if metric == Metric::Subscribers {
            self.0.store(value as u64, Ordering::SeqCst);
        }
    }
}

#[test]
fn a_subscriber_that_was_dropped_is_told_no_more_and_forgotten() {
    let (config, _tree) = running(layers());
    let (kept, dropped) = (config.subscribe("").expect("a path"), config.subscribe("").expect("a path"));
    let subscribers = Subscribers::default();
    config.set_sink(Arc::new(subscribers.clone()));
    config.update("workers", 3).expect("a version");
    assert_eq!(subscribers.0.load(Ordering::SeqCst), 2);
    drop(dropped);
    config.update("workers", 4).expect("a version");
    assert_eq!((kept.len(), subscribers.0.load(Ordering::SeqCst)), (2, 1));
}

#[test]
fn a_subscriber_hears_that_the_configuration_is_gone() {
    let (config, tree) = running(layers());
    let mut told = config.subscribe("").expect("a path");
    config.update("workers", 3).expect("a version");
    assert!(tree.shutdown(5 * SECOND).is_clean());
    drop((tree, config));
    assert_eq!(told.recv_timeout(LONG).expect("what was told is heard first").version, 2);
    assert_eq!(told.recv_timeout(LONG), Err(RecvError::Closed));
}

#[test]
fn what_is_no_path_is_not_subscribed_to() {
    let config: Config<Value> = Layers::new().defaults(json!({})).load().expect("valid");
    assert!(config.subscribe("a..b").is_err());
    assert!(config.subscribe("what.is.not.there.yet").is_ok());
}

#[test]
fn a_subscriber_of_what_is_not_there_hears_of_it_when_it_comes_and_goes() {
    let (config, _tree) = running(layers());
    let mut told = config.subscribe("hosts.a").expect("a path");
    config.update("hosts", json!({"a": 1, "b": 2})).expect("a version");
    config.update_many(Changes::new().remove("hosts.a")).expect("a version");
    let (came, went) = (told.try_recv().expect("a notice"), told.try_recv().expect("a notice"));
    assert_eq!((&came.changes[0].old, &came.changes[0].new), (&None, &Some(json!(1))));
    assert_eq!((&went.changes[0].old, &went.changes[0].new), (&Some(json!(1)), &None));
    assert_eq!(came.changes.len(), 1, "of its path alone");
}

// ---- a service ---------------------------------------------------------------------------

fn listener(heard: &Log<Notice>) -> ChildSpec<Clerk> {
    let heard = heard.clone();
    child("listener", move || Clerk::listener(&heard))
}

/// A configuration, a service that is told of all changes, and what it heard.
fn told(
    dress: impl FnOnce(ChildSpec<Clerk>) -> ChildSpec<Clerk>,
) -> (Config<config_common::App>, Handle<Letter>, Log<Notice>, SupervisorHandle) {
    let (config, heard) = (load(layers()), Log::new());
    let spec = dress(listener(&heard));
    let clerk = spec.handle();
    let tree = start(patient("tree").child(spec), &config);
    config.subscribe_service("", &clerk, Letter::Told).expect("a path");
    (config, clerk, heard, tree)
}

#[test]
fn a_service_is_told_by_messages() {
    let (config, _clerk, heard, _tree) = told(|spec| spec);
    config.update("workers", 3).expect("a version");
    let notice = heard.wait(|notice| notice.version == 2);
    assert_eq!(notice.changes[0].new, Some(json!(3)));
}

#[test]
fn a_service_is_told_when_it_starts_of_what_changed_before() {
    let (config, heard) = (load(layers()), Log::new());
    let spec = listener(&heard);
    config.subscribe_service("", &spec.handle(), Letter::Told).expect("a path");
    let _tree = start(patient("tree"), &config);
    config.update("workers", 3).expect("a version");
    config.update("workers", 4).expect("a version");
    let _later = patient("later").child(spec).start().expect("the tree starts");
    assert_eq!(heard.wait(|notice| notice.version == 3).updates, 2);
}

#[test]
fn a_busy_service_is_told_of_many_updates_at_once() {
    let (config, clerk, heard, _tree) = told(|spec| spec);
    let release = hold(&clerk);
    (3..=9).for_each(|workers| _ = config.update("workers", workers).expect("a version"));
    release.open();
    heard.wait(|notice| notice.version == 8);
    let all = heard.all();
    assert_eq!((all.len(), all[0].version, all[0].updates), (1, 8, 7));
    assert_eq!((&all[0].changes[0].old, &all[0].changes[0].new), (&Some(json!(2)), &Some(json!(9))));
}

#[test]
fn a_notice_goes_behind_what_is_queued_and_before_what_is_sent_after_that() {
    let (config, clerk, heard, _tree) = told(|spec| spec);
    let release = hold(&clerk);
    config.update("workers", 3).expect("a version");
    let (inside, again) = (Latch::new(), Latch::new());
    clerk.cast(Letter::Stay(inside.clone(), again.clone())).expect("it is taken");
    release.open();
    inside.wait();
    assert!(heard.all().is_empty(), "it was queued when the service came to the notice");
    let other = clerk.clone();
    let pong = aside(move || other.call(Letter::Ping));
    eventually("the call is queued", || clerk.status().queued > 0);
    again.open();
    pong.done().expect("it answers");
    assert_eq!(heard.all().len(), 1, "the notice went before it");
}

#[test]
fn a_hung_service_that_is_told_delays_no_update_and_no_read() {
    let (config, clerk, heard, _tree) = told(|spec| spec);
    let mut idle = config.subscribe_bounded("", 1).expect("a path");
    let release = hold(&clerk);
    let median = (0..5).map(|_| median_of_updates(&config)).min().expect("five rounds");
    assert!(median < MS, "{median:?} for an update at the median");
    release.open();
    let last = config.version();
    heard.wait(|notice| notice.version == last);
    assert_eq!(idle.try_recv().expect("the last always arrives").version, last);
}

fn median_of_updates(config: &Config<config_common::App>) -> Duration {
    let mut times: Vec<_> = (0..200)
        .map(|turn| {
            let begun = std::time::Instant::now();
            config.update("workers", 3 + turn).expect("a version");
            assert_eq!(config.load().workers, 3 + turn);
            begun.elapsed()
        })
        .collect();
    times.sort_unstable();
    times[times.len() / 2]
}

#[test]
fn a_service_whose_mailbox_is_full_is_told_all_the_same() {
    for overflow in [Overflow::DropOldest, Overflow::DropNewest, Overflow::Reject] {
        let (config, clerk, heard, _tree) = told(|spec| spec.capacity(2).overflow(overflow));
        let release = hold(&clerk);
        let flood = || (0..10).for_each(|_| drop(clerk.cast(Letter::Nothing)));
        flood();
        (3..=5).for_each(|workers| _ = config.update("workers", workers).expect("a version"));
        flood();
        release.open();
        assert_eq!(heard.wait(|notice| notice.version == 4).updates, 3, "{overflow:?}");
    }
}

#[test]
fn the_next_incarnation_is_told_what_came_during_the_restart() {
    for keep in [Mailbox::Keep, Mailbox::Clear] {
        let (config, clerk, heard, _tree) = told(|spec| spec.mailbox(keep));
        let release = hold(&clerk);
        clerk.cast(Letter::Crash).expect("it is taken");
        config.update("workers", 3).expect("a version");
        release.open();
        config.update("workers", 4).expect("a version");
        heard.wait(|notice| notice.version == 3);
        config.update("workers", 5).expect("a version");
        heard.wait(|notice| notice.version == 4);
    }
}

#[test]
fn a_service_that_is_gone_for_good_is_told_no_more() {
    let (config, clerk, heard, tree) = told(|spec| spec);
    config.update("workers", 3).expect("a version");
    heard.wait(|notice| notice.version == 2);
    tree.terminate_child("listener").expect("it ends");
    config.update("workers", 4).expect("nobody is waited for");
    config.subscribe_service("", &clerk, Letter::Told).expect("to be told by nobody");
    config.update("workers", 5).expect("a version");
    assert_eq!(versions(&heard.all()), [2]);
    let subscribers = Subscribers::default();
    config.set_sink(Arc::new(subscribers.clone()));
    config.update("workers", 6).expect("a version");
    assert_eq!(subscribers.0.load(Ordering::SeqCst), 0, "it is forgotten");
}

#[test]
fn a_service_that_ended_by_itself_is_told_no_more() {
    let (config, clerk, heard, _tree) = told(|spec| spec.restart(Restart::Temporary));
    clerk.cast(Letter::Crash).expect("it is taken");
    clerk.wait_down(LONG).expect("it is gone");
    config.update("workers", 3).expect("a version");
    assert!(heard.all().is_empty());
}

#[test]
fn a_cancelled_registration_brings_nothing_more() {
    let (config, heard) = (load(layers()), Log::new());
    let spec = listener(&heard);
    let clerk = spec.handle();
    let _tree = start(patient("tree").child(spec), &config);
    let registration = config.subscribe_service("workers", &clerk, Letter::Told).expect("a path");
    config.update("workers", 3).expect("a version");
    heard.wait(|notice| notice.version == 2);
    registration.cancel();
    config.update("workers", 4).expect("a version");
    clerk.call(Letter::Ping).expect("it answers");
    assert_eq!(versions(&heard.all()), [2]);
}

#[test]
fn a_dropped_registration_holds() {
    let (config, _clerk, heard, _tree) = told(|spec| spec);
    config.update("workers", 3).expect("a version");
    heard.wait(|notice| notice.version == 2);
}

// ---- what is left behind -----------------------------------------------------------------

/// Has a service told by messages that hold a token until they are made.
fn tell(config: &Config<config_common::App>, clerk: &Handle<Letter>, token: &Arc<()>) -> Registration {
    let held = Arc::clone(token);
    let registration = config.subscribe_service("", clerk, move |notice| {
        let _held = &held;
        Letter::Told(notice)
    });
    registration.expect("a path")
}

#[test]
fn a_notice_that_nobody_takes_up_is_gone_with_those_who_could() {
    let (config, tree) = running(layers());
    let (spec, token) = (listener(&Log::new()), Arc::new(()));
    let clerk = spec.handle();
    tell(&config, &clerk, &token);
    config.update("workers", 3).expect("a version");
    assert!(tree.shutdown(5 * SECOND).is_clean());
    drop((config, tree, clerk, spec));
    assert_eq!(Arc::strong_count(&token), 1, "the mailbox that held it is gone");
}

#[test]
fn a_notice_that_came_too_late_is_gone_with_those_who_could_have_taken_it() {
    let (config, clerk, _, tree) = told(|spec| spec);
    let token = Arc::new(());
    tell(&config, &clerk, &token);
    clerk.sys().suspend().expect("it takes no messages");
    config.update("workers", 3).expect("a version");
    assert!(tree.shutdown(5 * SECOND).is_clean());
    drop((config, tree, clerk));
    assert_eq!(Arc::strong_count(&token), 1, "the mailbox that held it is gone");
}

#[test]
fn a_registration_that_holds_its_configuration_is_gone_with_the_tree() {
    let (config, spec, token) = (load(layers()), listener(&Log::new()), Arc::new(()));
    let clerk = spec.handle();
    let (held, own) = (Arc::clone(&token), config.clone());
    let told = config.subscribe_service("", &clerk, move |notice| {
        let _held = (&held, own.version());
        Letter::Told(notice)
    });
    told.expect("a path");
    let (held, own) = (Arc::clone(&token), config.clone());
    let asked = config.ask_before("", &clerk, Silence::Consents, move |proposed, reply| {
        let _held = (&held, own.version());
        Letter::Asked(proposed, reply)
    });
    asked.expect("a path");
    let tree = patient("tree").child(config.child()).child(spec).start().expect("the tree starts");
    config.update("workers", 3).expect("a version");
    assert!(tree.shutdown(5 * SECOND).is_clean());
    drop((config, tree, clerk));
    assert_eq!(Arc::strong_count(&token), 1, "nobody holds anybody any more");
}

#[test]
fn who_was_told_once_leaves_nothing_behind_though_nothing_is_updated() {
    let (config, clerk, _, _tree) = told(|spec| spec);
    let token = Arc::new(());
    (0..1000).for_each(|_| tell(&config, &clerk, &token).cancel());
    assert!(Arc::strong_count(&token) < 100, "{} are left", Arc::strong_count(&token) - 1);
}

// ---- a crash of the config service -------------------------------------------------------

#[test]
fn subscribers_stay_when_the_config_service_crashes() {
    let (config, _clerk, heard, _tree) = told(|spec| spec);
    let mut told = config.subscribe("workers").expect("a path");
    crash(&config);
    config.update("workers", 3).expect("a version");
    assert_eq!(told.recv_timeout(LONG).expect("a notice").version, 2);
    heard.wait(|notice| notice.version == 2);
    eventually("a notice was told once", || told.is_empty());
}
