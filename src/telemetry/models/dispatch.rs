//! Handlers that come, go and panic; what waits; limits.

use std::panic::resume_unwind;
use std::sync::Arc;

use super::super::dispatch::Dispatch;
use super::super::limits::DispatchLimits;
use crate::sync::checks::{finds, holds, joined, thread};
use crate::sync::model::Mutant;
use crate::sync::{AtomicU64, Clock, JoinHandle, Ordering, Tally, current_thread, park};

/// A dispatch; not dropped in unwinding, when loom may have stopped somebody in the middle of it.
#[derive(Clone)]
struct World(Arc<Dispatch>);

impl World {
    fn new() -> Self {
        Self::with_names(8)
    }

    /// With room for so many names.
    fn with_names(names: usize) -> Self {
        let (per_second, burst) = (u32::MAX, u32::MAX);
        let limits = DispatchLimits { names, per_second, burst, deferred: 4, ..DispatchLimits::default() };
        Self(Arc::new(Dispatch::with_limits(Clock::SYSTEM, limits)))
    }

    /// Attaches one that counts how often it is called.
    fn attach(&self, id: &str) -> Arc<Tally> {
        let calls = Arc::new(Tally::new(0));
        let counted = Arc::clone(&calls);
        self.0.attach(id, "", move |_| add(&counted, 1)).expect("attached");
        calls
    }

    /// Attaches one that panics.
    fn attach_fault(&self, id: &str) {
        self.0.attach(id, "", |_| resume_unwind(Box::new("no"))).expect("attached");
    }

    fn execute(&self) {
        self.0.execute("a", &[], &[]);
    }

    /// Another thread executes.
    fn executing(&self) -> JoinHandle<()> {
        let world = self.clone();
        thread(move || world.execute())
    }

    fn ids(&self) -> Vec<Arc<str>> {
        self.0.list("").into_iter().map(|info| info.id).collect()
    }
}

impl Drop for World {
    fn drop(&mut self) {
        if std::thread::panicking() {
            std::mem::forget(Arc::clone(&self.0));
        }
    }
}

fn add(calls: &Tally, more: u64) {
    calls.fetch_add(more, Ordering::Relaxed);
}

fn of(calls: &Tally) -> u64 {
    calls.load(Ordering::Relaxed)
}

/// A handler panics on another thread while it is detached: one of both does it.
fn detached_once() {
    let world = World::new();
    world.attach_fault("h");
    let other = world.executing();
    let detached = world.0.detach("h");
    joined(other);
    let counts = world.0.counts();
    assert_eq!(counts.detached + u64::from(detached), 1, "{counts:?}");
    assert!(world.ids().is_empty());
    world.execute();
    assert_eq!(world.0.counts().panicked, counts.panicked);
}

/// A handler panics on two threads: one of them detaches it.
fn panics_twice() {
    let world = World::new();
    world.attach_fault("h");
    let other = world.executing();
    world.execute();
    joined(other);
    assert_eq!((world.0.counts().detached, world.ids().len()), (1, 0));
}

/// A handler panics on another thread while one of the same id takes its place: that stays.
fn replaced() {
    let world = World::new();
    world.attach_fault("h");
    let other = world.executing();
    world.0.detach("h");
    let calls = world.attach("h");
    joined(other);
    let before = of(&calls);
    world.execute();
    assert_eq!((of(&calls), world.ids()), (before + 1, vec!["h".into()]));
}

/// One is detached while another thread attaches one, and a name is executed that was not known: who detached
/// finds it gone, and nothing is lost.
fn detached_and_attached() {
    let world = World::new();
    let gone = world.attach("gone");
    let other = thread({
        let world = world.clone();
        move || {
            let calls = world.attach("new");
            world.execute();
            assert!(of(&calls) >= 1, "it was attached");
        }
    });
    assert!(world.0.detach("gone"));
    world.0.limit("b", 1, 1).expect("a name");
    world.execute();
    joined(other);
    let before = of(&gone);
    world.execute();
    assert_eq!((of(&gone), world.ids()), (before, vec!["new".into()]));
    let names: Vec<_> = world.0.names().into_iter().map(|counts| counts.name).collect();
    assert_eq!(names, ["".into(), "a".into(), "b".into()] as [Arc<str>; 3]);
}

/// Two threads execute names that are not known, and there is room for one: the other is counted with the rest.
fn room_for_one() {
    let world = World::with_names(1);
    let calls = world.attach("h");
    let other = world.executing();
    world.0.execute("b", &[], &[]);
    joined(other);
    let names: Vec<_> = world.0.names().into_iter().map(|counts| counts.executed).collect();
    assert_eq!((names, of(&calls)), (vec![1, 1], 2));
}

/// Who hears in the middle of an execution that a handler was detached calls it no more, nor does who detached it.
fn hearsay() {
    let world = World::new();
    let (said, late) = (Arc::new(AtomicU64::new(0)), Arc::new(Tally::new(0)));
    let (listen, heard) = (Arc::clone(&said), Arc::new(Tally::new(0)));
    let known = Arc::clone(&heard);
    world
        .0
        .attach("1", "", move |_| known.store(listen.load(Ordering::Acquire), Ordering::Relaxed))
        .expect("attached");
    let (known, counted) = (heard, Arc::clone(&late));
    world.0.attach("2", "", move |_| add(&counted, of(&known))).expect("attached");
    let other = world.executing();
    assert!(world.0.detach("2"));
    said.store(1, Ordering::Release);
    joined(other);
    world.execute();
    assert_eq!(of(&late), 0);
}

/// Two threads execute what is deferred, and the telemetry's thread sleeps until it is woken: it gives all of it.
fn woken() {
    let world = World::new();
    let calls = Arc::new(Tally::new(0));
    let counted = Arc::clone(&calls);
    world.0.attach_deferred("h", "", move |_| add(&counted, 1)).expect("attached");
    let me = current_thread();
    world.0.on_deferred(move || me.unpark());
    let others = [world.executing(), world.executing()];
    let mut given = 0;
    while given < 2 {
        park();
        given += world.0.run_deferred(8);
    }
    others.into_iter().for_each(joined);
    assert_eq!((of(&calls), world.0.counts().waiting), (2, 0));
}

/// Something is deferred while it all ends: nothing is left in the queue, and all is accounted for.
fn ended() {
    let world = World::new();
    world.0.attach_deferred("h", "", |_| ()).expect("attached");
    let other = world.executing();
    world.0.close();
    joined(other);
    let counts = world.0.counts();
    assert_eq!((counts.waiting, counts.queued), (0, counts.discarded), "{counts:?}");
    assert!(counts.executed >= counts.queued && world.ids().is_empty());
}

/// Two threads execute what may be executed once.
fn limited() {
    let world = World::new();
    let calls = world.attach("h");
    world.0.limit("a", 1, 1).expect("a name");
    let other = world.executing();
    world.execute();
    joined(other);
    let counts = world.0.counts();
    assert_eq!((of(&calls), counts.executed, counts.limited), (1, 1, 1));
}

#[test]
fn a_handler_is_detached_once() {
    holds("detached once", detached_once);
}

#[test]
fn a_handler_that_panics_twice_is_detached_once() {
    holds("panics twice", panics_twice);
}

#[test]
fn a_detachment_that_looks_first_is_found() {
    finds(Mutant::RetireBlindly, detached_once);
}

#[test]
fn a_detachment_that_looks_first_is_found_where_it_panics_twice() {
    finds(Mutant::RetireBlindly, panics_twice);
}

#[test]
fn who_takes_the_place_of_one_that_panicked_stays() {
    holds("replaced", replaced);
}

#[test]
fn a_detachment_by_id_is_found() {
    finds(Mutant::RetireById, replaced);
}

#[test]
fn changes_at_the_same_time_are_all_made() {
    holds("detached and attached", detached_and_attached);
}

#[test]
fn a_change_of_what_was_seen_before_is_found() {
    finds(Mutant::ChangeBlindly, detached_and_attached);
}

#[test]
fn there_is_room_for_so_many_names() {
    holds("room for one", room_for_one);
}

#[test]
fn a_name_that_is_added_to_what_was_seen_before_is_found() {
    finds(Mutant::ChangeBlindly, room_for_one);
}

#[test]
fn who_knows_that_a_handler_was_detached_calls_it_no_more() {
    holds("hearsay", hearsay);
}

#[test]
fn a_call_without_a_last_look_is_found() {
    finds(Mutant::CallRetired, hearsay);
}

#[test]
fn what_is_deferred_wakes_the_thread() {
    holds("woken", woken);
}

#[test]
fn a_thread_that_is_silent_after_its_look_is_found() {
    finds(Mutant::SilenceAfterLook, woken);
}

#[test]
fn what_is_deferred_at_the_end_does_not_stay() {
    holds("ended", ended);
}

#[test]
fn a_queue_that_is_not_looked_at_again_is_found() {
    finds(Mutant::QueueWithoutRecheck, ended);
}

#[test]
fn of_two_threads_one_is_let_through() {
    holds("limited", limited);
}

#[test]
fn a_limit_that_is_not_exchanged_is_found() {
    finds(Mutant::AdmitBlindly, limited);
}
