//! Models of the protocol: the crate's own code, in every order of events, on the stand-ins of
//! `sync/model.rs`. Each has a mutant, a known-wrong variant of the same code, that it must find.
//!
//! The page [`protocol`](super::protocol) says which model stands behind which of its claims.

mod crash;
mod notice;
mod publish;

use std::sync::Arc;

use serde_json::{Value, json};

use super::board::{Board, Opening};
use super::config::Config;
use super::draft::{Draft, Terms};
use super::edits::Edits;
use super::errors::UpdateError;
use super::notices::Notice;
use super::path::Path;
use super::proposal::{Proposal, Target};
use super::sources::Sources;
use super::subscription::Subscription;
use super::tree::{Origin, Tree};
use super::watch::Watch;
use crate::service::deadline::Deadline;
use crate::sync::checks::{Kept, finds, holds, joined, thread};
use crate::sync::model::Mutant;
use crate::sync::{Clock, JoinHandle};

/// A configuration of two values, at version 1, and its board.
#[derive(Clone)]
struct World {
    board: Arc<Board<Value>>,
    config: Config<Value>,
}

impl World {
    fn new() -> Self {
        let defaults = Arc::new(Tree::of(&json!({"a": 0, "b": 0}), &Origin::Default));
        let sources = Sources::new((Arc::clone(&defaults), None), Vec::new(), None, Vec::new(), None);
        let (base, terms) = (Arc::clone(&defaults), Terms::default());
        let first = Draft::first(Target { base, edits: Arc::<Edits>::default() }, &terms);
        let board = Arc::new(Board::new(Opening {
            first: first.expect("it is valid").into_current(None, Clock::SYSTEM.now()),
            terms,
            sources,
            degraded: None,
            defaults,
            history: (8, None),
            consent_timeout: std::time::Duration::ZERO, // nobody is asked
        }));
        let config = Config::new("config".into(), Arc::clone(&board), Watch::No);
        Self { board, config }
    }

    /// What a life of the service does with an update of one value.
    fn set(&self, path: &str, value: u64) -> u64 {
        self.board.carry_out(&set(path, value), &Clock::SYSTEM).expect("a valid update")
    }

    /// The same with a reset.
    fn reset(&self) -> u64 {
        self.board.carry_out(&Proposal::Reset, &Clock::SYSTEM).expect("a valid version")
    }

    fn subscribe(&self, path: &str, notices: usize) -> Kept<Subscription> {
        Kept::new(self.config.subscribe_bounded(path, notices).expect("a path"))
    }
}

impl Drop for World {
    fn drop(&mut self) {
        if std::thread::panicking() {
            std::mem::forget(self.clone()); // see `Kept`
        }
    }
}

/// The update of one value.
fn set(path: &str, value: u64) -> Proposal {
    set_at(path, value, None)
}

/// The same, if that version is in force.
fn set_at(path: &str, value: u64, expected: Option<u64>) -> Proposal {
    let updates = vec![(Path::parse(path).expect("a path"), Some(json!(value)))];
    Proposal::Edit { updates, expected }
}

/// Waits for the notice that leads to `last`, and returns all up to it.
fn received_up_to(last: u64, subscription: &mut Kept<Subscription>) -> Vec<Notice> {
    let mut notices = Vec::new();
    while notices.last().is_none_or(|notice: &Notice| notice.version < last) {
        notices.push(subscription.get().recv_by(Deadline::unbounded()).expect("it is not closed"));
    }
    notices
}

/// What has come and was not received.
fn left(subscription: &mut Kept<Subscription>) -> Vec<Notice> {
    std::iter::from_fn(|| subscription.get().try_recv()).collect()
}

fn versions(notices: &[Notice]) -> Vec<u64> {
    notices.iter().map(|notice| notice.version).collect()
}

/// What one who keeps a copy has, when it was told all this.
fn followed(notices: &[Notice]) -> Value {
    let mut copy = json!({"a": 0, "b": 0});
    for change in notices.iter().flat_map(|notice| &notice.changes) {
        let here = &mut copy[change.path.to_string()];
        assert_eq!(Some(&*here), change.old.as_ref(), "a gap before {change:?}");
        *here = change.new.clone().expect("nothing is removed");
    }
    copy
}
