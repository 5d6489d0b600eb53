//! A world around the policy: it plays the supervisor's thread and its children, and compares the
//! policy with the books at every step.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::{Duration, Instant};

use super::super::*;
use super::books::{Book, Books};
use crate::{Backoff, OnHang, Restart, Strategy, SupervisorSettings};

pub(super) const MS: Duration = Duration::from_millis(1);
pub(super) const SECOND: Duration = Duration::from_secs(1);
pub(super) const INIT: Duration = Duration::from_millis(500);
pub(super) const GRACE: Duration = Duration::from_millis(300);

pub(super) fn rules(strategy: Strategy) -> Rules {
    Rules { strategy, max_restarts: 3, period: SECOND * 5, ..Rules::default() }
}

pub(super) fn dynamic(max_children: Option<usize>) -> Rules {
    let dynamic = Some(Dynamic { max_children, grace: SECOND });
    Rules { dynamic, ..rules(Strategy::OneForOne) }
}

pub(super) const fn child(restart: Restart) -> ChildRules {
    ChildRules {
        restart,
        init: INIT,
        grace: Some(GRACE),
        on_hang: OnHang::Abandon,
        backoff: None,
        significant: false,
    }
}

pub(super) fn constant(delay: Duration) -> Backoff {
    Backoff::exponential(delay, delay)
}

#[derive(Debug, Clone)]
pub(super) struct World {
    pub(super) policy: Policy,
    pub(super) now: Instant,
    /// What the last step ordered.
    pub(super) actions: Vec<Action>,
    /// Whether the walk through all sequences replaces children.
    pub(super) with_replacements: bool,
    books: Books,
    strategy: Strategy,
    tickets: Ticket,
    keys: Key,
}

impl World {
    pub(super) fn new(rules: Rules) -> Self {
        Self {
            policy: Policy::new(rules.clone()),
            now: clock(),
            actions: Vec::new(),
            with_replacements: false,
            strategy: rules.strategy,
            books: Books::new(rules),
            tickets: 0,
            keys: 0,
        }
    }

    /// Static children of these kinds, keys 1, 2, .., all running.
    pub(super) fn running(rules: Rules, kinds: &[ChildRules]) -> Self {
        let mut world = Self::new(rules);
        for kind in kinds {
            world.add_static(*kind);
        }
        let ticket = world.begin();
        world.settle();
        assert_eq!(world.answer(ticket), Some(Answer::Started));
        world
    }

    // What can happen.

    pub(super) fn add_static(&mut self, rules: ChildRules) -> Key {
        self.keys += 1;
        self.step(Event::Add { key: self.keys, rules, ticket: None });
        self.keys
    }

    pub(super) fn add(&mut self, rules: ChildRules) -> (Key, Ticket) {
        self.keys += 1;
        let key = self.keys;
        (key, self.ask(|ticket| Event::Add { key, rules, ticket: Some(ticket) }))
    }

    pub(super) fn begin(&mut self) -> Ticket {
        self.ask(|ticket| Event::Begin { ticket })
    }

    pub(super) fn terminate(&mut self, key: Key) -> Ticket {
        self.ask(|ticket| Event::Terminate { key, ticket })
    }

    pub(super) fn restart(&mut self, key: Key) -> Ticket {
        self.ask(|ticket| Event::Restart { key, ticket })
    }

    pub(super) fn delete(&mut self, key: Key) -> Ticket {
        self.ask(|ticket| Event::Delete { key, ticket })
    }

    pub(super) fn replace(&mut self, key: Key) -> Ticket {
        self.ask(|ticket| Event::Replace { key, ticket })
    }

    pub(super) fn configure(&mut self, settings: SupervisorSettings) {
        self.step(Event::Configure { settings });
    }

    pub(super) fn configure_child(&mut self, key: Key, rules: ChildRules) {
        self.step(Event::ConfigureChild { key, rules });
    }

    pub(super) fn stop(&mut self, deadline: Option<Instant>) -> Ticket {
        self.ask(|ticket| Event::Stop { deadline, ticket: Some(ticket) })
    }

    /// The current incarnation becomes ready.
    pub(super) fn ready(&mut self, key: Key) {
        let epoch = self.epoch(key);
        self.step(Event::Ready { key, epoch });
    }

    /// The current incarnation ends.
    pub(super) fn exit(&mut self, key: Key, exit: ExitKind) {
        let epoch = self.epoch(key);
        self.step(Event::Exited { key, epoch, exit });
    }

    /// The current incarnation has handed its state over.
    pub(super) fn hand_over(&mut self, key: Key) {
        self.exit(key, ExitKind::HandedOver);
    }

    pub(super) fn crash(&mut self, key: Key) {
        self.exit(key, ExitKind::Abnormal);
    }

    pub(super) fn pass(&mut self, time: Duration) {
        self.now += time;
        self.step(Event::Tick);
    }

    /// Time passes until something is due. False: nothing ever will be.
    pub(super) fn pass_to_deadline(&mut self) -> bool {
        let Some(deadline) = self.policy.next_deadline() else { return false };
        self.now = self.now.max(deadline);
        self.step(Event::Tick);
        true
    }

    fn ask(&mut self, event: impl FnOnce(Ticket) -> Event) -> Ticket {
        self.tickets += 1;
        self.step(event(self.tickets));
        self.tickets
    }

    // What can be seen.

    pub(super) fn state(&self, key: Key) -> Option<ChildState> {
        self.policy.state(key)
    }

    pub(super) fn epoch(&self, key: Key) -> Epoch {
        self.books.children.get(&key).map_or(0, |book| book.last)
    }

    pub(super) fn answer(&self, ticket: Ticket) -> Option<Answer> {
        self.books.answers.get(&ticket).copied()
    }

    pub(super) fn outcome(&self) -> Option<Outcome> {
        self.books.outcome
    }

    /// Whether this child may hand its state over yet: it was asked, and may not know of more.
    pub(super) fn may_hand_over(&self, key: Key) -> bool {
        self.books.children.get(&key).is_some_and(|book| book.handing || book.called_off)
    }

    pub(super) fn did(&self, action: Action) -> bool {
        self.actions.contains(&action)
    }

    pub(super) fn launched(&self) -> Vec<Key> {
        let launch = |action: &Action| match action {
            Action::Launch { key, .. } => Some(*key),
            _ => None,
        };
        self.actions.iter().filter_map(launch).collect()
    }

    pub(super) fn asked(&self) -> Vec<Key> {
        let stop = |action: &Action| match action {
            Action::Stop { key, .. } => Some(*key),
            _ => None,
        };
        self.actions.iter().filter_map(stop).collect()
    }

    pub(super) fn is(&self, expected: &[(Key, ChildState)]) -> bool {
        self.policy.children().eq(expected.iter().copied())
    }

    pub(super) fn keys(&self) -> Vec<Key> {
        self.policy.children().map(|(key, _)| key).collect()
    }

    /// Whether a child is waited for as long as it takes: then the deadline of a stop is all that ends
    /// the wait.
    pub(super) fn has_patience(&self) -> bool {
        self.policy.children.iter().any(|(_, child)| child.rules.on_hang == OnHang::Wait)
    }

    /// Equal for worlds that will behave alike from here on: only names of tickets and numbers of
    /// epochs may differ.
    pub(super) fn signature(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        let books = &self.books;
        let children = books.children.values().map(Book::signature);
        children.collect::<Vec<_>>().hash(&mut hasher);
        for (key, child) in self.policy.children.iter() {
            let waited_for = (child.starter.is_some(), child.stoppers.len());
            (key, child.deadline(), waited_for, child.cause as u8).hash(&mut hasher);
            format!("{:?}{:?}", child.state(), child.tries).hash(&mut hasher);
        }
        format!("{:?}", self.policy.group).hash(&mut hasher);
        (self.now, &books.charges, books.began, books.down, books.outcome.is_some()).hash(&mut hasher);
        hasher.finish()
    }

    // What obedient children do.

    /// All children do as they are told until nothing is left to do. Returns the order of starts
    /// and stops.
    pub(super) fn settle(&mut self) -> Vec<Key> {
        let mut order = Vec::new();
        for _ in 0..10_000 {
            let next =
                self.policy.children().find(|(_, state)| state.is_live() && *state != ChildState::Running);
            match next {
                Some((key, ChildState::Starting)) => self.ready(key),
                Some((key, ChildState::HandingOver)) => self.hand_over(key),
                Some((key, _)) => self.exit(key, ExitKind::Shutdown),
                None if self.pass_to_deadline() => continue,
                None => return self.settled(order),
            }
            order.extend(next.map(|(key, _)| key));
        }
        panic!("does not settle: {self:?}");
    }

    fn settled(&self, order: Vec<Key>) -> Vec<Key> {
        if self.books.began && !self.books.down {
            assert!(self.books.open.is_empty(), "unanswered {:?}", self.books.open);
            for (key, book) in &self.books.children {
                assert!(book.retired || book.ready, "{key} is neither up nor retired");
            }
        }
        order
    }

    /// Whatever state this is, a stop leads to the end.
    pub(super) fn end(mut self) {
        let ticket = self.stop(None);
        self.settle();
        assert!(self.policy.is_finished(), "does not end: {self:?}");
        assert!(self.answer(ticket).is_some());
    }

    // Every step.

    pub(super) fn step(&mut self, event: Event) {
        self.actions.clear();
        self.books.event(self.now, event);
        self.policy.step(self.now, event, &mut self.actions);
        for action in &self.actions {
            self.books.action(self.now, event, *action);
        }
        self.books.close();
        self.compare();
    }

    /// The policy and the books have to agree on every child.
    fn compare(&self) {
        assert!(self.keys().iter().eq(self.books.children.keys()));
        for (key, state) in self.policy.children() {
            let book = &self.books.children[&key];
            assert!(book.agrees(state), "{key} is {state:?}, but {book:?}");
        }
        assert_eq!(self.policy.counts(), self.counts());
        let is_finished = self.policy.is_finished();
        assert_eq!(is_finished, self.outcome().is_some());
        assert!(!is_finished || self.policy.next_deadline().is_none(), "due after the end");
        self.compare_order();
    }

    /// Where children depend on those before them, none is started while one before it waits.
    fn compare_order(&self) {
        let Some(last) = self.launched().pop().filter(|_| self.strategy != Strategy::OneForOne) else {
            return;
        };
        let mut before = self.policy.children().take_while(|(key, _)| *key < last);
        assert!(before.all(|(_, state)| state != ChildState::Waiting), "{last} was too early");
    }

    fn counts(&self) -> Counts {
        let mut counts = Counts::default();
        for (_, state) in self.policy.children() {
            counts.specs += 1;
            counts.active += usize::from(state.is_live());
            counts.stopped += usize::from(state == ChildState::Stopped);
        }
        counts.restarting = counts.specs - counts.active - counts.stopped;
        counts
    }
}

/// The one look at the clock of these tests: an `Instant` has no other origin.
#[allow(clippy::disallowed_methods)]
pub(super) fn clock() -> Instant {
    Instant::now()
}
