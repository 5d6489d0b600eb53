//! The children of a supervisor, in order of start, and the indices that keep every step cheap.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use super::hang::Limits;
use super::words::{ChildRules, ChildState, Counts, Epoch, Key, Ticket};
use crate::{Backoff, Restart};

/// How much longer a nested supervisor is waited for than it was told, so that it can report whom
/// it had to leave behind.
const SLACK: Duration = Duration::from_secs(1);

/// On whose account a child is launched. It decides what a failure of that start means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cause {
    /// The first start of the supervisor, which fails with it.
    First,
    /// start_child: the spec is not saved.
    Added,
    /// restart_child: it stays down.
    Asked,
    /// A crash: charged, and tried again.
    Crash,
}

/// One child: its rules, where it stands, and who waits for it.
#[derive(Debug, Clone)]
pub(super) struct Child {
    pub(super) rules: ChildRules,
    pub(super) cause: Cause,
    pub(super) epoch: Epoch,
    /// It was told that it will not be restarted.
    pub(super) terminal: bool,
    /// Its last exit was a crash or a failed start.
    pub(super) failed: bool,
    pub(super) tries: Tries,
    /// By when it is to be ready, or gone.
    pub(super) limits: Limits,
    /// Who waits for it to be started.
    pub(super) starter: Option<Ticket>,
    /// Who wait for it to be down.
    pub(super) stoppers: Vec<Ticket>,
    // Indexed, hence changed by `Children::enter` alone.
    state: ChildState,
    deadline: Option<Instant>,
}

impl Child {
    /// A child that waits for its turn.
    pub(super) fn new(rules: ChildRules, cause: Cause, starter: Option<Ticket>) -> Self {
        Self {
            rules,
            cause,
            epoch: 0,
            terminal: false,
            failed: false,
            tries: Tries::default(),
            limits: Limits::default(),
            starter,
            stoppers: Vec::new(),
            state: ChildState::Waiting,
            deadline: None,
        }
    }

    pub(super) fn state(&self) -> ChildState {
        self.state
    }

    /// When it is abandoned or reported, or its backoff is over.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    pub(super) fn is_temporary(&self) -> bool {
        self.rules.restart == Restart::Temporary
    }

    /// Never started well since start_child: there is no spec to keep yet.
    pub(super) fn is_unsaved(&self) -> bool {
        self.cause == Cause::Added
    }

    /// Its limits if it is asked to stop now, all of them considered.
    pub(super) fn limits_to_stop(
        &self,
        own: Option<Instant>,
        overall: Option<Instant>,
        now: Instant,
    ) -> Limits {
        let overall = overall.map(|end| end.checked_add(self.slack()).unwrap_or(end));
        let asked_before = Some(self.limits).filter(|_| self.state == ChildState::Stopping);
        let before = asked_before.unwrap_or_else(|| Limits::new(self.rules.on_hang, own, now));
        before.tightened(self.rules.on_hang, own, overall)
    }

    /// What it is told when it will be abandoned at that time.
    pub(super) fn told(&self, patience: Option<Instant>) -> Option<Instant> {
        patience.map(|end| end.checked_sub(self.slack()).unwrap_or(end))
    }

    fn slack(&self) -> Duration {
        self.rules.grace.map_or(SLACK, |_| Duration::ZERO)
    }
}

/// The restarts in a row of a child, or of a group.
#[derive(Debug, Clone, Default)]
pub(super) struct Tries {
    count: u32,
    up_since: Option<Instant>,
}

impl Tries {
    /// It is up.
    pub(super) fn up(&mut self, now: Instant) {
        self.up_since = Some(now);
    }

    /// It went down: the delay before its next start.
    pub(super) fn delay(&mut self, backoff: &Backoff, random: u64, now: Instant) -> Duration {
        let up = self.up_since.take().map(|since| now.saturating_duration_since(since));
        if up.is_some_and(|up| backoff.forgives(up)) {
            self.count = 0;
        }
        let delay = backoff.delay(self.count, random);
        self.count = self.count.saturating_add(1);
        delay
    }
}

/// All children by key, which is their order of start.
#[derive(Debug, Clone, Default)]
pub(super) struct Children {
    /// Boxed: a tree that grows at its end keeps its nodes half empty.
    all: BTreeMap<Key, Box<Child>>,
    index: Index,
}

impl Children {
    pub(super) fn insert(&mut self, key: Key, child: Child) {
        debug_assert!(!self.all.contains_key(&key), "key {key} was used twice");
        self.remove(key);
        self.index.enlist(key, &child);
        self.all.insert(key, Box::new(child));
    }

    pub(super) fn remove(&mut self, key: Key) {
        if let Some(child) = self.all.remove(&key) {
            self.index.delist(key, &child);
        }
    }

    /// The one way to change where a child stands.
    pub(super) fn enter(&mut self, key: Key, state: ChildState, deadline: Option<Instant>) {
        if let Some(child) = self.all.get_mut(&key) {
            self.index.delist(key, child);
            (child.state, child.deadline) = (state, deadline);
            self.index.enlist(key, child);
        }
    }

    pub(super) fn get(&self, key: Key) -> Option<&Child> {
        self.all.get(&key).map(Box::as_ref)
    }

    pub(super) fn get_mut(&mut self, key: Key) -> Option<&mut Child> {
        self.all.get_mut(&key).map(Box::as_mut)
    }

    pub(super) fn state(&self, key: Key) -> Option<ChildState> {
        self.get(key).map(Child::state)
    }

    /// The child whose incarnation this is, unless that incarnation is gone.
    pub(super) fn incarnation(&self, key: Key, epoch: Epoch) -> Option<&Child> {
        self.get(key).filter(|child| child.epoch == epoch && child.state.is_live())
    }

    pub(super) fn iter(&self) -> impl DoubleEndedIterator<Item = (Key, &Child)> {
        self.all.iter().map(|(key, child)| (*key, &**child))
    }

    /// Those from a key on.
    pub(super) fn from(&self, first: Key) -> impl Iterator<Item = Key> {
        self.all.range(first..).map(|(key, _)| *key)
    }

    pub(super) fn len(&self) -> usize {
        self.all.len()
    }

    pub(super) fn counts(&self) -> Counts {
        self.index.counts
    }

    /// How many significant children are not down for good.
    pub(super) fn significant(&self) -> usize {
        self.index.significant
    }

    /// The next one to stop of those from `from` on: the last that has an incarnation.
    pub(super) fn last_live(&self, from: Key) -> Option<Key> {
        self.index.live.range(from..).next_back().copied()
    }

    pub(super) fn live(&self) -> Vec<Key> {
        self.index.live.iter().rev().copied().collect()
    }

    /// The next one to start.
    pub(super) fn first_waiting(&self) -> Option<Key> {
        self.index.waiting.first().copied()
    }

    pub(super) fn next_deadline(&self) -> Option<Instant> {
        self.index.deadlines.first().map(|(deadline, _)| *deadline)
    }

    /// Those whose deadline has come, the earliest first.
    pub(super) fn due(&self, now: Instant) -> Vec<Key> {
        self.index.deadlines.range(..=(now, Key::MAX)).map(|(_, key)| *key).collect()
    }
}

/// What can be asked without looking at every child.
#[derive(Debug, Clone, Default)]
struct Index {
    live: BTreeSet<Key>,
    waiting: BTreeSet<Key>,
    deadlines: BTreeSet<(Instant, Key)>,
    significant: usize,
    counts: Counts,
}

impl Index {
    fn enlist(&mut self, key: Key, child: &Child) {
        self.counts.specs += 1;
        *self.count(child.state) += 1;
        self.significant += usize::from(child.rules.significant && child.state != ChildState::Stopped);
        self.deadlines.extend(child.deadline.map(|deadline| (deadline, key)));
        match child.state {
            ChildState::Waiting => drop(self.waiting.insert(key)),
            state if state.is_live() => drop(self.live.insert(key)),
            _ => {}
        }
    }

    fn delist(&mut self, key: Key, child: &Child) {
        self.counts.specs -= 1;
        *self.count(child.state) -= 1;
        self.significant -= usize::from(child.rules.significant && child.state != ChildState::Stopped);
        if let Some(deadline) = child.deadline {
            self.deadlines.remove(&(deadline, key));
        }
        self.waiting.remove(&key);
        self.live.remove(&key);
    }

    fn count(&mut self, state: ChildState) -> &mut usize {
        match state {
            state if state.is_live() => &mut self.counts.active,
            ChildState::Stopped => &mut self.counts.stopped,
            _ => &mut self.counts.restarting,
        }
    }
}
