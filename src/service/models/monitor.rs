//! Monitors: one `Down` for each.

use super::*;
use crate::service::exit::Exit;

/// A monitor that is set while the child goes down.
fn add_against_down() {
    let child = Child::new(1, Overflow::Reject);
    child.be_born();
    let downs = Arc::<Record<u64>>::default();
    let watcher = thread({
        let (child, downs) = (child.clone(), Arc::clone(&downs));
        move || child.core.watchers.add(Box::new(move |down| downs.add(down.epoch)))
    });
    assert!(child.core.close(&Exit::Normal));
    joined(watcher);
    assert_eq!(downs.all(), [1], "one Down");
}

/// A service that watches another sleeps, and gets one message when that is gone.
fn told_in_its_sleep() {
    let child = Child::new(1, Overflow::Reject);
    let other = Child::new(1, Overflow::Reject);
    other.be_born();
    let handle = Handle::new(Arc::clone(&other.core));
    *child.world.watched.lock().unwrap_or_else(PoisonError::into_inner) = Some(handle);
    let life = child.be_born();
    let watcher = thread({
        let child = child.clone();
        move || child.live(&life)
    });
    assert!(other.core.close(&Exit::Normal));
    joined(watcher);
    assert_eq!(child.handled(), [0], "one message");
}

#[test]
fn a_monitor_is_told_once() {
    holds("add against down", add_against_down);
}

#[test]
fn a_monitor_that_is_set_blindly_is_found() {
    finds(Mutant::AddBlindly, add_against_down);
}

#[test]
fn a_sleeping_watcher_is_told_once() {
    holds("told in its sleep", told_in_its_sleep);
}
