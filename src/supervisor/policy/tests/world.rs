//! A world around the policy: it plays the supervisor's thread and its children, and keeps its own,
//! naive books of what the rules call for. Whatever differs from the books panics.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::{Duration, Instant};

use super::super::*;
use crate::{AutoShutdown, Backoff, Restart, Strategy};

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

pub(super) fn child(restart: Restart) -> ChildRules {
    ChildRules { restart, init: INIT, grace: Some(GRACE), backoff: None, significant: false }
}

pub(super) fn constant(delay: Duration) -> Backoff {
    Backoff::exponential(delay, delay)
}

/// On whose account the next start of a child is.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Account {
    First,
    Added,
    Asked,
    Crash,
}

/// What has to follow from an exit.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Fate {
    Charged,
    Retired,
    Waits,
}

/// The books on one child.
#[derive(Debug, Clone)]
struct Book {
    rules: ChildRules,
    account: Account,
    live: Option<Epoch>,
    last: Epoch,
    ready: bool,
    asked: bool,
    told: Option<Instant>,
    terminal: bool,
    terminating: bool,
    failed: bool,
    retired: bool,
}

/// The group that is being stopped, as far as the books know.
#[derive(Debug, Clone, Copy)]
struct Emptying {
    from: Key,
}

#[derive(Debug, Clone)]
pub(super) struct World {
    pub(super) policy: Policy,
    pub(super) now: Instant,
    /// What the last step ordered.
    pub(super) actions: Vec<Action>,
    pub(super) outcome: Option<Outcome>,
    pub(super) answers: BTreeMap<Ticket, Answer>,
    rules: Rules,
    open: BTreeMap<Ticket, Event>,
    tickets: Ticket,
    keys: Key,
    books: BTreeMap<Key, Book>,
    charges: Vec<Instant>,
    began: bool,
    down: bool,
    emptying: Option<Emptying>,
    owed: Option<(Key, Fate)>,
}

impl World {
    pub(super) fn new(rules: Rules) -> Self {
        Self {
            policy: Policy::new(rules.clone()),
            now: beginning(),
            actions: Vec::new(),
            outcome: None,
            answers: BTreeMap::new(),
            rules,
            open: BTreeMap::new(),
            tickets: 0,
            keys: 0,
            books: BTreeMap::new(),
            charges: Vec::new(),
            began: false,
            down: false,
            emptying: None,
            owed: None,
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
        assert_eq!(world.answers.get(&ticket), Some(&Answer::Started));
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
        let event = event(self.tickets);
        self.open.insert(self.tickets, event);
        self.step(event);
        self.tickets
    }

    // What can be seen.

    pub(super) fn state(&self, key: Key) -> Option<ChildState> {
        self.policy.state(key)
    }

    pub(super) fn epoch(&self, key: Key) -> Epoch {
        self.books.get(&key).map_or(0, |book| book.last)
    }

    pub(super) fn answer(&self, ticket: Ticket) -> Option<Answer> {
        self.answers.get(&ticket).copied()
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

    /// Equal for worlds that will behave alike from here on: only names of tickets and numbers of
    /// epochs may differ.
    pub(super) fn signature(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        let books = self.books.values().map(Book::signature);
        books.collect::<Vec<_>>().hash(&mut hasher);
        for (key, child) in self.policy.children.iter() {
            let waited_for = (child.starter.is_some(), child.stoppers.len());
            (key, child.deadline(), waited_for, child.cause as u8).hash(&mut hasher);
            format!("{:?}{:?}", child.state(), child.tries).hash(&mut hasher);
        }
        format!("{:?}", self.policy.group).hash(&mut hasher);
        (self.now, &self.charges, self.began, self.down, self.outcome.is_some()).hash(&mut hasher);
        hasher.finish()
    }

    // What obedient children do.

    /// All children do as they are told until nothing is left to do. Returns the order of starts and stops.
    pub(super) fn settle(&mut self) -> Vec<Key> {
        let mut order = Vec::new();
        for _ in 0..10_000 {
            let next = self
                .policy
                .children()
                .find(|(_, state)| matches!(state, ChildState::Starting | ChildState::Stopping));
            match next {
                Some((key, ChildState::Starting)) => self.ready(key),
                Some((key, _)) => self.exit(key, ExitKind::Shutdown),
                None if self.pass_to_deadline() => continue,
                None => return self.settled(order),
            }
            order.extend(next.map(|(key, _)| key));
        }
        panic!("does not settle: {self:?}");
    }

    fn settled(&self, order: Vec<Key>) -> Vec<Key> {
        if self.began && !self.down {
            assert!(self.open.is_empty(), "unanswered {:?}", self.open);
            for (key, book) in &self.books {
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

    // The books.

    pub(super) fn step(&mut self, event: Event) {
        let mut actions = Vec::new();
        self.book_event(event);
        self.policy.step(self.now, event, &mut actions);
        for action in &actions {
            self.see_to_group();
            self.book_action(event, *action);
        }
        self.see_to_group();
        self.actions = actions;
        self.compare();
    }

    fn book_event(&mut self, event: Event) {
        assert_eq!(self.owed, None);
        match event {
            Event::Add { key, rules, .. } if !self.down => {
                let max = self.rules.dynamic.and_then(|dynamic| dynamic.max_children);
                if max.is_none_or(|max| self.books.len() < max) {
                    let account = if self.began { Account::Added } else { Account::First };
                    self.books.insert(key, Book::new(rules, account));
                }
            }
            Event::Begin { .. } => self.began = true,
            Event::Ready { key, epoch } => self.book_ready(key, epoch),
            Event::Exited { key, epoch, exit } => self.book_exit(key, epoch, exit),
            Event::Terminate { key, .. } if !self.down => {
                if let Some(book) = self.books.get_mut(&key) {
                    book.terminating = !book.retired;
                    if book.terminating && book.live.is_none() {
                        self.owed = Some((key, Fate::Retired));
                    }
                }
            }
            Event::Restart { key, .. } if !self.down => {
                if let Some(book) = self.books.get_mut(&key).filter(|book| book.retired) {
                    (book.retired, book.account) = (false, Account::Asked);
                }
            }
            Event::Stop { .. } => self.down = true,
            _ => {}
        }
    }

    fn book_ready(&mut self, key: Key, epoch: Epoch) {
        if let Some(book) = self.books.get_mut(&key)
            && book.live == Some(epoch)
            && !book.asked
        {
            (book.ready, book.account) = (true, Account::Crash);
        }
    }

    fn book_exit(&mut self, key: Key, epoch: Epoch, exit: ExitKind) {
        let emptying = self.emptying;
        let down = self.down;
        let Some(book) = self.books.get_mut(&key).filter(|book| book.live == Some(epoch)) else {
            return;
        };
        let absorbed = emptying.is_some_and(|group| key >= group.from);
        let fate = if down { Fate::Retired } else { book.fate(exit, absorbed) };
        let first_failed = !down
            && !book.asked
            && !book.ready
            && book.account == Account::First
            && exit != ExitKind::Ignored;
        let ended = !down && book.ready && !book.asked && fate == Fate::Retired;
        let significant = ended && book.rules.significant;
        if exit == ExitKind::Ignored && !book.asked && !book.ready {
            book.account = Account::Crash;
        }
        let failed_start = !book.asked && !book.ready && exit != ExitKind::Ignored;
        book.failed = exit == ExitKind::Abnormal || failed_start;
        (book.live, book.ready, book.asked) = (None, false, false);
        self.owed = Some((key, fate));
        let others =
            self.books.iter().any(|(other, book)| *other != key && book.rules.significant && !book.retired);
        self.down |= first_failed
            || significant
                && match self.rules.auto_shutdown {
                    AutoShutdown::Never => false,
                    AutoShutdown::AnySignificant => true,
                    AutoShutdown::AllSignificant => !others,
                };
        if fate == Fate::Waits {
            self.owed = None;
        }
    }

    fn book_action(&mut self, event: Event, action: Action) {
        let is_answer = matches!(action, Action::Answer { .. });
        assert!(self.outcome.is_none() || is_answer, "{action:?} after the end");
        match action {
            Action::Launch { key, epoch } => self.book_launch(key, epoch),
            Action::Stop { key, epoch, terminal, deadline } => {
                self.book_stop(event, key, epoch, terminal, deadline);
            }
            Action::Abandon { key, epoch, why } => {
                assert_eq!(self.owed, None);
                let book = &self.books[&key];
                assert_eq!(book.live, Some(epoch));
                assert_eq!(why == Hung::Init, !book.asked && !book.ready);
                self.book_exit(key, epoch, ExitKind::Abnormal);
            }
            Action::Retire { key, failed } => self.book_retire(key, failed),
            Action::Forget { key } => {
                let book = self.books.remove(&key).expect("forgotten twice");
                assert!(book.retired && book.live.is_none());
            }
            Action::Answer { ticket, answer } => self.book_answer(ticket, answer),
            Action::Restarting { key, epoch_lost, .. } => {
                assert_eq!(self.epoch(key), epoch_lost);
                assert!(self.charge(key) <= self.rules.max_restarts as usize, "should have given up");
                self.open_group(key);
            }
            Action::GaveUp { key } => {
                assert!(self.charge(key) > self.rules.max_restarts as usize, "gave up too early");
                self.owed = Some((key, Fate::Retired));
                self.down = true;
            }
            Action::Finish(outcome) => {
                assert!(self.down && self.open.is_empty(), "left open: {:?}", self.open);
                assert!(self.books.values().all(|book| book.live.is_none() && book.retired));
                self.outcome = Some(outcome);
            }
        }
    }

    fn book_launch(&mut self, key: Key, epoch: Epoch) {
        assert!(self.began && !self.down, "launch of {key} while down");
        let stopping = self.emptying.is_some_and(|group| key >= group.from);
        assert!(!stopping, "launch of {key} while its group is being stopped");
        let book = self.books.get_mut(&key).expect("launch of an unknown child");
        assert!(book.live.is_none() && !book.retired, "launch of {key}: {book:?}");
        assert_eq!(epoch, book.last + 1);
        assert!(book.rules.restart != Restart::Temporary || epoch == 1, "temporary child restarted");
        (book.live, book.last) = (Some(epoch), epoch);
        (book.told, book.terminal) = (None, false);
    }

    fn book_stop(&mut self, event: Event, key: Key, epoch: Epoch, terminal: bool, deadline: Option<Instant>) {
        let by_user = matches!(event, Event::Terminate { key: asked, .. } if asked == key);
        if !by_user && self.rules.dynamic.is_none() {
            let last = self.books.iter().rev().find(|(_, book)| book.live.is_some());
            assert_eq!(last.map(|(key, _)| *key), Some(key), "stopped out of order");
            let grouped = self.emptying.is_some_and(|group| key >= group.from);
            assert!(self.down || grouped, "{key} was stopped without reason");
        }
        let book = self.books.get_mut(&key).expect("stop of an unknown child");
        assert_eq!(book.live, Some(epoch));
        assert!(!book.terminal || terminal, "no longer terminal");
        if book.asked {
            let sooner = match (book.told, deadline) {
                (Some(old), Some(new)) => new < old,
                (old, new) => old.is_none() && new.is_some(),
            };
            assert!(sooner || terminal && !book.terminal, "asked again for nothing");
        }
        let forever = by_user || self.down || book.rules.restart == Restart::Temporary;
        assert_eq!(terminal, forever || book.terminating);
        (book.asked, book.told, book.terminal) = (true, deadline, terminal);
    }

    fn book_retire(&mut self, key: Key, failed: bool) {
        match self.owed.take() {
            Some(owed) => assert_eq!(owed, (key, Fate::Retired)),
            None => assert!(self.down, "{key} was retired without reason"),
        }
        let book = self.books.get_mut(&key).expect("retired after it was forgotten");
        assert!(book.live.is_none() && !book.retired, "{key} was retired twice");
        assert_eq!(book.failed, failed);
        (book.retired, book.terminating) = (true, false);
    }

    fn book_answer(&mut self, ticket: Ticket, answer: Answer) {
        use Answer::*;
        let event = self.open.remove(&ticket).expect("answered twice");
        let fits = match event {
            Event::Add { .. } => matches!(answer, Started | Ignored | StartFailed | TooMany { .. }),
            Event::Begin { .. } => matches!(answer, Started | StartFailed | Running),
            Event::Terminate { .. } => matches!(answer, Stopped | NotFound),
            Event::Restart { .. } => {
                matches!(answer, Started | Ignored | StartFailed | Running | Restarting | NotFound)
            }
            Event::Delete { .. } => matches!(answer, Deleted | Running | Restarting | NotFound),
            _ => answer == Stopped,
        };
        assert!(fits || answer == ShuttingDown && self.down_or_terminated(event));
        if let (Event::Delete { key, .. }, Deleted) = (event, answer) {
            assert!(!self.books.contains_key(&key));
        }
        self.answers.insert(ticket, answer);
    }

    fn down_or_terminated(&self, event: Event) -> bool {
        self.down || matches!(event, Event::Add { .. } | Event::Restart { .. })
    }

    /// The naive window: all charges ever, counted one by one.
    fn charge(&mut self, key: Key) -> usize {
        assert_eq!(self.owed.take(), Some((key, Fate::Charged)));
        self.charges.push(self.now);
        let (now, period) = (self.now, self.rules.period);
        self.charges.iter().filter(|then| now.duration_since(**then) <= period).count()
    }

    fn open_group(&mut self, key: Key) {
        self.emptying = match self.rules.strategy {
            Strategy::OneForOne => None,
            Strategy::OneForAll => Some(Emptying { from: 0 }),
            Strategy::RestForOne => Some(Emptying { from: key }),
        };
    }

    fn see_to_group(&mut self) {
        let Some(group) = self.emptying else { return };
        let empty = self.books.range(group.from..).all(|(_, book)| book.live.is_none());
        if empty || self.down {
            self.emptying = None;
        }
    }

    /// The policy and the books have to agree on every child.
    fn compare(&self) {
        assert_eq!(self.owed, None, "nothing followed");
        assert!(self.policy.children().map(|(key, _)| key).eq(self.books.keys().copied()));
        for (key, state) in self.policy.children() {
            assert_eq!(self.books[&key].shape(), shape(state), "{key} is {state:?}");
        }
        assert_eq!(self.policy.counts(), self.counts());
        assert_eq!(self.policy.is_finished(), self.outcome.is_some());
        self.compare_order();
    }

    /// Where children depend on those before them, none is started while one before it waits.
    fn compare_order(&self) {
        if self.rules.strategy == Strategy::OneForOne {
            return;
        }
        for key in self.launched().iter().rev().take(1) {
            let mut before = self.policy.children().take_while(|(other, _)| other < key);
            assert!(before.all(|(_, state)| state != ChildState::Waiting), "{key} was too early: {self:?}");
        }
    }

    fn counts(&self) -> Counts {
        let count = |wanted: fn(ChildState) -> bool| {
            self.policy.children().filter(|(_, state)| wanted(*state)).count()
        };
        Counts {
            specs: count(|_| true),
            active: count(ChildState::is_live),
            restarting: count(|state| matches!(state, ChildState::Waiting | ChildState::Backoff { .. })),
            stopped: count(|state| state == ChildState::Stopped),
        }
    }
}

impl Book {
    fn new(rules: ChildRules, account: Account) -> Self {
        Self {
            rules,
            account,
            live: None,
            last: 0,
            ready: false,
            asked: false,
            told: None,
            terminal: false,
            terminating: false,
            failed: false,
            retired: false,
        }
    }

    /// What the rules say to an exit, in their own order.
    fn fate(&self, exit: ExitKind, absorbed: bool) -> Fate {
        let temporary = self.rules.restart == Restart::Temporary;
        match (self.asked, self.ready) {
            (true, _) if self.terminating || temporary => Fate::Retired,
            (true, _) => Fate::Waits,
            (false, true) => match self.rules.restart {
                Restart::Temporary => Fate::Retired,
                Restart::Transient if exit != ExitKind::Abnormal => Fate::Retired,
                _ if absorbed => Fate::Waits,
                _ => Fate::Charged,
            },
            (false, false) if exit == ExitKind::Ignored => Fate::Retired,
            (false, false) if self.account != Account::Crash => Fate::Retired,
            (false, false) if absorbed => Fate::Waits,
            (false, false) => Fate::Charged,
        }
    }

    fn signature(&self) -> impl Hash + use<> {
        let life = (self.live.is_some(), self.last > 0, self.ready, self.asked, self.told);
        (self.account as u8, life, self.terminal, self.terminating, self.failed, self.retired)
    }

    fn shape(&self) -> &'static str {
        match self {
            Self { live: Some(_), asked: true, .. } => "stopping",
            Self { live: Some(_), ready: true, .. } => "running",
            Self { live: Some(_), .. } => "starting",
            Self { retired: true, .. } => "stopped",
            _ => "to be started",
        }
    }
}

fn shape(state: ChildState) -> &'static str {
    match state {
        ChildState::Starting => "starting",
        ChildState::Running => "running",
        ChildState::Stopping => "stopping",
        ChildState::Waiting | ChildState::Backoff { .. } => "to be started",
        ChildState::Stopped => "stopped",
    }
}

/// The one look at the clock: an `Instant` has no other origin.
#[allow(clippy::disallowed_methods)]
fn beginning() -> Instant {
    Instant::now()
}
