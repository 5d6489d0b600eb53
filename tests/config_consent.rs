//! Who is asked before a version is published, and what comes of his answer or of none.
#![cfg(feature = "config")]

mod common;
mod config_common;

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use common::{Latch, Log, MS, SECOND, aside, patient};
use config_common::{App, Clerk, Letter, hold, layers, load, soft_and_hard};
use underpin::config::{Config, ConfigEvent, Layers, Proposed, Silence, Sink, UpdateError, Verdict};
use underpin::testing::Simulation;
use underpin::{ChildSpec, Deadline, Handle, Overflow, Reply, Supervisor, SupervisorHandle, child};

/// A child that answers what it is asked.
fn juror(name: &str, answer: impl Fn(&Proposed, Reply<Verdict>) + Send + Sync + 'static) -> ChildSpec<Clerk> {
    let answer = Arc::new(answer);
    child(name, move || {
        let answer = Arc::clone(&answer);
        Clerk::juror(move |proposed: &Proposed, reply| answer(proposed, reply))
    })
}

/// One who agrees to everything but this many workers.
fn but(workers: u64) -> impl Fn(&Proposed, Reply<Verdict>) + Send + Sync + 'static {
    move |proposed, reply| {
        let is_it = proposed.changes.iter().any(|change| change.new == Some(workers.into()));
        reply.send(if is_it { Err(format!("{workers} are too many")) } else { Ok(()) });
    }
}

/// A configuration and a juror that is asked about `workers`.
fn asked(
    layers: Layers,
    spec: ChildSpec<Clerk>,
    silence: Silence,
) -> (Config<App>, Handle<Letter>, SupervisorHandle) {
    let config = load(layers);
    let clerk = spec.handle();
    let tree = patient("tree").child(spec).child(config.child()).start().expect("the tree starts");
    config.ask_before("workers", &clerk, silence, Letter::Asked).expect("a path");
    (config, clerk, tree)
}

/// Notes what happens.
#[derive(Clone)]
struct Noted(Log<ConfigEvent>);

impl Sink for Noted {
    fn event(&self, event: &ConfigEvent) {
        self.0.push(event.clone());
    }
}

fn noting(config: &Config<App>) -> Log<ConfigEvent> {
    let events = Log::new();
    config.set_sink(Arc::new(Noted(events.clone())));
    events
}

// ---- an answer ---------------------------------------------------------------------------

#[test]
fn a_veto_refuses_the_update_with_its_reason() {
    let (config, _clerk, _tree) = asked(layers(), juror("jury", but(9)), Silence::Consents);
    let told = config.subscribe("").expect("a path");
    let refused = config.update("workers", 9).expect_err("it is refused");
    assert_eq!(refused.to_string(), "`jury` refused: 9 are too many");
    assert!(matches!(refused, UpdateError::Vetoed { .. }));
    assert_eq!((config.version(), config.versions(), config.load().workers, told.len()), (1, (1, 1), 2, 0));
    assert_eq!(config.update("workers", 8).expect("it agrees"), 2);
}

#[test]
fn who_is_asked_sees_all_that_would_change_before_it_is_in_force() {
    let config = load(layers());
    let seen = Arc::new(Mutex::new(Vec::new()));
    let (note, present) = (Arc::clone(&seen), config.clone());
    let spec = juror("jury", move |proposed, reply| {
        let paths: Vec<_> = proposed.changes.iter().map(|change| change.path.to_string()).collect();
        note.lock().expect("no panic").push((proposed.version, paths, present.version()));
        reply.send(Ok(()));
    });
    let clerk = spec.handle();
    let _tree = patient("tree").child(spec).child(config.child()).start().expect("the tree starts");
    config.ask_before("limits.hard", &clerk, Silence::Refuses, Letter::Asked).expect("a path");
    config.update_many(soft_and_hard(15, 30).set("workers", 3)).expect("it agrees");
    config.update("workers", 4).expect("nobody is asked");
    config.update("limits.hard", 30).expect("it changes nothing, so nobody is asked");
    let paths = ["limits.hard", "limits.soft", "workers"].map(str::to_owned).to_vec();
    assert_eq!(*seen.lock().expect("no panic"), [(2, paths, 1)]);
}

#[test]
fn each_way_to_a_version_can_be_vetoed() {
    let (config, _clerk, _tree) = asked(layers(), juror("jury", but(2)), Silence::Consents);
    config.update("workers", 3).expect("it agrees");
    let is_vetoed = |result: Result<u64, UpdateError>| matches!(result, Err(UpdateError::Vetoed { .. }));
    assert!(is_vetoed(config.reset()) && is_vetoed(config.reset_to_defaults()));
    assert!(is_vetoed(config.rollback(1)) && is_vetoed(config.modify(|app| app.workers = 2)));
    assert!(is_vetoed(config.compare_and_update(2, "workers", 2)));
    assert!(is_vetoed(config.update_async("workers", 2, SECOND).expect("it is taken").wait()));
    assert_eq!((config.version(), config.load().workers), (2, 3));
}

#[test]
fn one_veto_of_many_is_enough_and_all_are_asked_at_once() {
    let config = load(layers());
    let gate = Latch::new();
    let opener = gate.clone();
    let waits = juror("waits", move |_, reply| {
        gate.wait();
        reply.send(Ok(()));
    });
    let opens = juror("opens", move |_, reply| {
        opener.open();
        reply.send(Err("no".into()));
    });
    let (first, second) = (waits.handle(), opens.handle());
    let tree = patient("tree").child(waits).child(opens).child(config.child());
    let _tree = tree.start().expect("the tree starts");
    for clerk in [&first, &second] {
        config.ask_before("", clerk, Silence::Refuses, Letter::Asked).expect("a path");
    }
    assert_eq!(config.update("workers", 3).expect_err("vetoed").to_string(), "`opens` refused: no");
}

#[test]
fn a_caller_in_a_hurry_leaves_a_juror_no_less_time() {
    let config = load(layers().consent_timeout(60 * SECOND));
    let (inside, release) = (Latch::new(), Latch::new());
    let (begun, go_on) = (inside.clone(), release.clone());
    let spec = juror("jury", move |proposed, reply| {
        begun.open();
        go_on.wait();
        but(9)(proposed, reply);
    });
    let clerk = spec.handle();
    let _jury = patient("jury").child(spec).start().expect("the tree starts");
    config.ask_before("workers", &clerk, Silence::Consents, Letter::Asked).expect("a path");
    let ticket = config.update_async("workers", 9, 60 * SECOND).expect("it is taken");
    assert!(matches!(ticket.wait_by(Deadline::after(MS)), Err(UpdateError::TimedOut)));
    let mut told = config.subscribe("workers").expect("a path");
    let _tree = patient("tree").child(config.child()).start().expect("the tree starts");
    inside.wait();
    assert!(told.recv_timeout(100 * MS).is_err(), "nothing is published before it has answered");
    release.open();
    config.update("limits.hard", 30).expect("made after it");
    assert_eq!((config.load().workers, config.version()), (2, 2), "it was vetoed");
}

#[test]
fn a_full_mailbox_keeps_no_other_from_being_asked() {
    let config = load(layers().consent_timeout(3 * SECOND));
    let full = juror("full", but(9)).capacity(1).overflow(Overflow::Block(60 * SECOND));
    let (first, release) = (full.handle(), Latch::new());
    let opener = release.clone();
    let opens = juror("opens", move |_, reply| {
        opener.open();
        reply.send(Ok(()));
    });
    let second = opens.handle();
    let tree = patient("tree").child(full).child(opens).child(config.child());
    let _tree = tree.start().expect("the tree starts");
    let inside = Latch::new();
    first.cast(Letter::Stay(inside.clone(), release)).expect("it is taken");
    inside.wait();
    first.cast(Letter::Nothing).expect("there is room for one");
    for clerk in [&first, &second] {
        config.ask_before("workers", clerk, Silence::Refuses, Letter::Asked).expect("a path");
    }
    assert_eq!(config.update("workers", 3).expect("both agree in time"), 2);
}

#[test]
fn who_was_asked_once_leaves_nothing_behind_though_nothing_is_updated() {
    let (config, clerk, _tree) = asked(layers(), juror("jury", but(0)), Silence::Consents);
    let token = Arc::new(());
    for _ in 0..1000 {
        let held = Arc::clone(&token);
        let asked = config.ask_before("", &clerk, Silence::Consents, move |proposed, reply| {
            let _held = &held;
            Letter::Asked(proposed, reply)
        });
        asked.expect("a path").cancel();
    }
    assert!(Arc::strong_count(&token) < 100, "{} are left", Arc::strong_count(&token) - 1);
}

#[test]
fn a_cancelled_registration_is_asked_no_more() {
    let (config, clerk, _tree) = asked(layers(), juror("jury", but(0)), Silence::Consents);
    let strict = config.ask_before("workers", &clerk, Silence::Consents, |proposed, reply| {
        reply.send(Err("never".into()));
        let _ = proposed;
        Letter::Nothing
    });
    assert!(config.update("workers", 3).is_err());
    strict.expect("a path").cancel();
    assert_eq!(config.update("workers", 3).expect("it agrees"), 2);
}

// ---- none --------------------------------------------------------------------------------

fn hung(silence: Silence) -> (Config<App>, Handle<Letter>, SupervisorHandle, Latch) {
    let (config, clerk, tree) = asked(layers().consent_timeout(50 * MS), juror("jury", but(9)), silence);
    let release = hold(&clerk);
    (config, clerk, tree, release)
}

#[test]
fn silence_consents_and_is_reported_if_that_is_the_rule() {
    let (config, _clerk, _tree, release) = hung(Silence::Consents);
    let events = noting(&config);
    assert_eq!(config.update("workers", 9).expect("silence is consent"), 2);
    let reported =
        |event: &ConfigEvent| matches!(event, ConfigEvent::Unanswered { by, .. } if &**by == "jury");
    assert!(reported(&events.all()[0]), "before the version is: {:?}", events.all());
    release.open();
}

#[test]
fn silence_refuses_if_that_is_the_rule() {
    let (config, _clerk, _tree, release) = hung(Silence::Refuses);
    let refused = config.update("workers", 3).expect_err("it must agree");
    assert!(matches!(refused, UpdateError::Unanswered { .. }));
    assert!(refused.to_string().starts_with("`jury` must agree, and did not answer: "), "{refused}");
    assert_eq!((config.version(), config.load().workers), (1, 2));
    release.open();
}

#[test]
fn a_hung_juror_does_not_delay_later_updates() {
    let config = load(layers().consent_timeout(SECOND));
    let (clerk, release) = (juror("jury", but(9)), Latch::new());
    let handle = clerk.handle();
    let _tree = patient("tree").child(clerk).child(config.child()).start().expect("the tree starts");
    config.ask_before("workers", &handle, Silence::Consents, Letter::Asked).expect("a path");
    handle.cast(Letter::Stay(Latch::new(), release.clone())).expect("it is taken");
    config.update("workers", 3).expect("after one deadline");
    let begun = Instant::now();
    (4..14).for_each(|workers| _ = config.update("workers", workers).expect("silence is consent"));
    assert!(begun.elapsed() < SECOND, "ten deadlines would be 10 s, these were {:?}", begun.elapsed());
    release.open();
    handle.call(Letter::Ping).expect("it is back");
    assert!(matches!(config.update("workers", 9), Err(UpdateError::Vetoed { .. })), "it is asked again");
}

#[test]
fn a_juror_that_keeps_the_question_is_waited_for_one_deadline() {
    let kept = Arc::new(Mutex::new(Vec::new()));
    let keep = Arc::clone(&kept);
    let spec = juror("jury", move |_, reply| keep.lock().expect("no panic").push(reply));
    let config = load(layers().consent_timeout(3 * SECOND));
    let clerk = spec.handle();
    let simulation = Simulation::new(1);
    let tree = Supervisor::new("tree").child(spec).child(config.child());
    let _tree = simulation.start(tree).expect("the tree starts");
    config.ask_before("workers", &clerk, Silence::Consents, Letter::Asked).expect("a path");
    let begun = simulation.now();
    config.update("workers", 3).expect("silence is consent");
    assert_eq!(simulation.now() - begun, 3 * SECOND);
}

#[test]
fn a_juror_that_was_late_once_and_rests_is_asked_again() {
    let late = Arc::new(Mutex::new(None));
    let keep = Arc::clone(&late);
    let spec = juror("jury", move |_, reply| {
        let mut late = keep.lock().expect("no panic");
        match &*late {
            None => *late = Some(reply), // as one that has others look into it
            Some(_) => reply.send(Ok(())),
        }
    });
    let (config, _clerk, _tree) = asked(layers().consent_timeout(20 * MS), spec, Silence::Refuses);
    assert!(matches!(config.update("workers", 3), Err(UpdateError::Unanswered { .. })));
    assert_eq!(config.update("workers", 4).expect("now it answers in time"), 2);
}

#[test]
fn a_juror_that_crashes_over_the_question_is_silent_at_once_and_asked_again() {
    for silence in [Silence::Consents, Silence::Refuses] {
        let crashes = Arc::new(Mutex::new(1));
        let spec = juror("jury", move |_, reply| {
            let mut left = crashes.lock().expect("no panic");
            if *left > 0 {
                *left -= 1;
                drop(left);
                common::panic_quietly("over the question");
            }
            reply.send(Ok(()));
        });
        let (config, _clerk, _tree) = asked(layers().consent_timeout(60 * SECOND), spec, silence);
        let begun = Instant::now();
        match (config.update("workers", 3), silence) {
            (Ok(2), Silence::Consents) | (Err(UpdateError::Unanswered { .. }), Silence::Refuses) => {}
            (other, _) => panic!("{silence:?}: {other:?}"),
        }
        config.update("workers", 4).expect("it answers");
        assert!(begun.elapsed() < 30 * SECOND, "a crash is known at once");
    }
}

#[test]
fn a_juror_that_is_stopped_is_taken_to_agree() {
    let (config, _clerk, tree) = asked(layers(), juror("jury", but(9)), Silence::Refuses);
    assert!(config.update("workers", 9).is_err());
    tree.terminate_child("jury").expect("it ends");
    assert_eq!(config.update("workers", 9).expect("nobody is there to refuse"), 2);
}

// ---- a juror that updates ----------------------------------------------------------------

fn updating(config: &Config<App>, clerk: &Handle<Letter>, path: &'static str) -> (bool, Duration) {
    let config = config.clone();
    let begun = Instant::now();
    let update = Box::new(move || config.update(path, 9));
    let is_made = clerk.call(|reply| Letter::Update(update, reply)).expect("it answers");
    (is_made, begun.elapsed())
}

#[test]
fn a_juror_that_updates_itself_is_taken_to_agree_and_not_waited_for() {
    let spec = juror("jury", |_, reply| reply.send(Err("never".into())));
    let (config, clerk, _tree) = asked(layers().consent_timeout(60 * SECOND), spec, Silence::Refuses);
    let (is_made, took) = updating(&config, &clerk, "workers");
    assert!(is_made && took < 4 * SECOND, "{took:?}");
    assert_eq!((config.load().workers, config.version()), (9, 2));
    assert!(config.update("workers", 3).is_err(), "others ask it as before");
}

#[test]
fn the_other_jurors_are_asked_about_the_update_of_one() {
    let config = load(layers().consent_timeout(60 * SECOND));
    let (one, other) = (juror("one", but(1)), juror("other", but(9)));
    let (clerk, strict) = (one.handle(), other.handle());
    let _tree = patient("tree").child(one).child(other).child(config.child()).start().expect("it starts");
    for juror in [&clerk, &strict] {
        config.ask_before("workers", juror, Silence::Refuses, Letter::Asked).expect("a path");
    }
    assert!(!updating(&config, &clerk, "workers").0, "the other one refuses");
    assert_eq!(config.version(), 1);
    let later = aside({
        let config = config.clone();
        move || config.update("workers", 8)
    });
    assert_eq!(later.done().expect("both agree"), 2);
}
