//! Looking after the busy: who becomes busy while the watcher looks away is watched by one of the
//! two.

use super::*;
use crate::service::watch::Watch;

fn begin_against_look_away() {
    let watch = Arc::new(Watch::default());
    assert!(watch.begin(), "nobody watches yet");
    watch.rest();
    let worker = thread({
        let watch = Arc::clone(&watch);
        move || watch.begin()
    });
    let goes_on = !watch.look_away();
    let asked = joined(worker);
    assert!(asked != goes_on, "asked: {asked}, goes on: {goes_on}");
}

#[test]
fn who_is_busy_is_watched_once() {
    holds("begin against look away", begin_against_look_away);
}

#[test]
fn who_looks_away_blindly_leaves_a_busy_worker_alone() {
    finds(Mutant::LookAwayBlindly, begin_against_look_away);
}
