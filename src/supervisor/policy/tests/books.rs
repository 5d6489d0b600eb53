//! The oracle: naive books of what the rules call for, kept beside the policy. They follow events
//! and actions one by one; whatever the rules do not call for panics.

mod limits;

use std::collections::{BTreeMap, BTreeSet};
use std::hash::Hash;
use std::time::{Duration, Instant};

use super::super::*;
use crate::{AutoShutdown, Hung, OnHang, Restart, Strategy, SupervisorSettings};

#[derive(Debug, Clone)]
pub(super) struct Books {
    rules: Rules,
    pub(super) children: BTreeMap<Key, Book>,
    pub(super) open: BTreeMap<Ticket, Event>,
    pub(super) answers: BTreeMap<Ticket, Answer>,
    /// Those whose description has taken its place.
    replaced: BTreeSet<Ticket>,
    /// All charges ever: the window is counted anew each time.
    pub(super) charges: Vec<Instant>,
    pub(super) began: bool,
    /// All were started for the first time.
    started: bool,
    pub(super) down: bool,
    pub(super) outcome: Option<Outcome>,
    /// The first member of the group that is being stopped.
    emptying: Option<Key>,
    /// What has to follow from the last exit.
    owed: Option<(Key, Fate)>,
    /// The moment of the present event.
    now: Option<Instant>,
    down_since: Option<Instant>,
    /// The earliest deadline of a whole stop.
    whole: Option<Instant>,
    /// Whose process was aborted by the last action.
    aborted: Option<Key>,
}

/// The books on one child.
#[derive(Debug, Clone)]
pub(super) struct Book {
    rules: ChildRules,
    account: Account,
    live: Option<Epoch>,
    pub(super) last: Epoch,
    pub(super) ready: bool,
    asked: bool,
    launched: Option<Instant>,
    /// Asked for its state.
    pub(super) handing: bool,
    /// That was called off, and it may not have heard so.
    pub(super) called_off: bool,
    hand_since: Option<Instant>,
    hand_until: Option<Instant>,
    init_until: Option<Instant>,
    asked_at: Option<Instant>,
    /// Its own grace, as it was when it was asked.
    own_until: Option<Instant>,
    /// Its own grace does not count: it was asked with all others, who share one.
    shares_grace: bool,
    /// For which of its limits this incarnation was reported.
    overdue: [bool; 2],
    told: Option<Instant>,
    terminal: bool,
    terminating: bool,
    failed: bool,
    /// Down, and restarted alone.
    backing_off: bool,
    pub(super) retired: bool,
}

/// On whose account the next start of a child is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
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
    /// Its successor is launched, at nobody's expense.
    Followed,
}

impl Books {
    pub(super) fn new(rules: Rules) -> Self {
        Self {
            rules,
            children: BTreeMap::new(),
            open: BTreeMap::new(),
            answers: BTreeMap::new(),
            replaced: BTreeSet::new(),
            charges: Vec::new(),
            began: false,
            started: false,
            down: false,
            outcome: None,
            emptying: None,
            owed: None,
            now: None,
            down_since: None,
            whole: None,
            aborted: None,
        }
    }

    /// Before the policy hears of it.
    pub(super) fn event(&mut self, now: Instant, event: Event) {
        self.now = Some(now);
        self.open.extend(event.ticket().map(|ticket| (ticket, event)));
        match event {
            Event::Ready { key, epoch } => self.ready(key, epoch),
            Event::Exited { key, epoch, exit } => self.exited(key, epoch, exit),
            Event::Stop { deadline, .. } => {
                self.down = true;
                self.whole = [self.whole, deadline].into_iter().flatten().min();
            }
            _ if self.down => {}
            Event::Begin { .. } => self.began = true,
            Event::Add { key, rules, .. } => self.added(key, rules),
            Event::Terminate { key, .. } => self.terminated(key),
            Event::Restart { key, .. } => self.restarted(key),
            Event::Configure { settings } => self.configured(now, settings),
            Event::ConfigureChild { key, rules } => {
                self.children.entry(key).and_modify(|book| book.configured(rules));
            }
            Event::Delete { .. } | Event::Replace { .. } | Event::Tick => {}
        }
    }

    /// What the policy ordered because of that event.
    pub(super) fn action(&mut self, now: Instant, event: Event, action: Action) {
        self.see_to_group();
        let is_answer = matches!(action, Action::Answer { .. });
        assert!(self.outcome.is_none() || is_answer, "{action:?} after the end");
        let aborted = self.aborted.take();
        match action {
            Action::Launch { key, epoch } => self.launched(now, key, epoch),
            Action::Stop { key, epoch, terminal, deadline } => {
                self.asked(event, key, terminal);
                let shares_grace = self.down && self.rules.dynamic.is_some();
                self.child(key).ask(now, epoch, terminal, deadline, shares_grace);
            }
            Action::Overdue { key, epoch, why, after } => self.overdue(now, key, epoch, why, after),
            Action::Abort { key, .. } => self.aborted = Some(key),
            Action::Abandon { key, epoch, why } => {
                let aborts = self.child(key).rules.on_hang == OnHang::AbortProcess;
                assert_eq!(aborted, aborts.then_some(key));
                self.abandoned(now, key, epoch, why);
            }
            Action::Replace { key, ticket } => self.took_its_place(key, ticket),
            Action::HandOver { key, epoch } => self.asked_for_state(now, event, key, epoch),
            Action::CallOff { key } => self.called_off(key),
            Action::Retire { key, failed } => self.retired(key, failed),
            Action::Forget { key } => self.forgotten(key),
            Action::Answer { ticket, answer } => self.answered(ticket, answer),
            Action::Restarting { key, epoch_lost, delay } => {
                assert_eq!(self.child(key).last, epoch_lost);
                let alone = self.rules.strategy == Strategy::OneForOne;
                self.child(key).backing_off = alone && !delay.is_zero();
                assert!(self.charge(now, key) <= self.rules.max_restarts, "should have given up");
                self.open_group(key);
            }
            Action::GaveUp { key } => {
                assert!(self.charge(now, key) > self.rules.max_restarts, "gave up too early");
                (self.down, self.owed) = (true, Some((key, Fate::Retired)));
            }
            Action::Finish(outcome) => self.finished(outcome),
        }
    }

    /// After all actions.
    pub(super) fn close(&mut self) {
        self.see_to_group();
        assert_eq!((self.owed, self.aborted), (None, None), "nothing followed");
        self.down_since = self.down_since.or(self.now.filter(|_| self.down));
        self.children.keys().for_each(|key| self.is_reported(*key));
        let is_dynamic = self.rules.dynamic.is_some();
        for (key, book) in &self.children {
            assert!(!book.retired || book.is_kept() && !is_dynamic, "{key} should be forgotten");
        }
        let own_starts = self.children.values().filter(|book| book.is_own_start()).count();
        let one_by_one = self.rules.strategy != Strategy::OneForOne;
        assert!(!one_by_one || own_starts <= 1, "members are started side by side");
    }

    fn child(&mut self, key: Key) -> &mut Book {
        self.children.get_mut(&key).expect("an order for a child that is unknown")
    }

    fn ready(&mut self, key: Key, epoch: Epoch) {
        let current = self.children.get_mut(&key).filter(|book| book.live == Some(epoch));
        if let Some(book) = current.filter(|book| !book.asked && !book.ready) {
            (book.ready, book.account) = (true, Account::Crash);
        }
    }

    fn exited(&mut self, key: Key, epoch: Epoch, exit: ExitKind) {
        let current = self.children.get(&key).filter(|book| book.live == Some(epoch));
        let Some(book) = current.cloned() else { return };
        let absorbed = self.emptying.is_some_and(|from| key >= from);
        let fate = if self.down { Fate::Retired } else { book.fate(exit, absorbed) };
        let down = self.down;
        self.child(key).exit(exit, down);
        self.owed = (fate != Fate::Waits).then_some((key, fate));
        self.down |= book.fails_the_first_start(exit);
        let too_late = book.called_off && exit == ExitKind::HandedOver;
        // Asked or not, whoever is done before it hears of that goes by itself, save from its user.
        let unheard = exit == ExitKind::Normal && !book.terminating;
        let by_itself = if book.asked { unheard } else { book.ready && !too_late };
        self.down |= fate == Fate::Retired && by_itself && self.is_done(key);
    }

    /// Its own exit was the end of a child: is it that of the supervisor?
    fn is_done(&self, key: Key) -> bool {
        let significant = |book: &&Book| book.rules.significant && !book.retired;
        let left = self.children.values().filter(significant).count();
        self.children[&key].rules.significant
            && match self.rules.auto_shutdown {
                AutoShutdown::Never => false,
                AutoShutdown::AnySignificant => true,
                AutoShutdown::AllSignificant => left == 1,
            }
    }

    fn added(&mut self, key: Key, rules: ChildRules) {
        let max = self.rules.dynamic.and_then(|dynamic| dynamic.max_children);
        if max.is_none_or(|max| self.children.len() < max) {
            let account = if self.began { Account::Added } else { Account::First };
            self.children.insert(key, Book::new(rules, account));
        }
    }

    fn terminated(&mut self, key: Key) {
        let Some(book) = self.children.get_mut(&key).filter(|book| !book.retired) else { return };
        book.terminating = true;
        if book.live.is_none() {
            self.owed = Some((key, Fate::Retired));
        }
    }

    fn restarted(&mut self, key: Key) {
        if let Some(book) = self.children.get_mut(&key).filter(|book| book.retired) {
            (book.retired, book.account) = (false, Account::Asked);
        }
    }

    fn launched(&mut self, now: Instant, key: Key, epoch: Epoch) {
        assert!(self.began && !self.down, "launch of {key} while down");
        let stopping = self.emptying.is_some_and(|from| key >= from);
        assert!(!stopping, "launch of {key} while its group is being stopped");
        let follows = self.owed == Some((key, Fate::Followed));
        self.owed = self.owed.filter(|_| !follows);
        self.child(key).launch(now, epoch, follows);
    }

    /// Unless its user said so, a child is stopped only as the last one of those that go.
    fn asked(&mut self, event: Event, key: Key, terminal: bool) {
        let by_user = matches!(event, Event::Terminate { key: asked, .. } if asked == key);
        let book = &self.children[&key];
        let for_good = self.down || book.terminating || book.rules.restart == Restart::Temporary;
        assert_eq!(terminal, for_good);
        if by_user || self.rules.dynamic.is_some() {
            return;
        }
        let last = self.children.iter().rev().find(|(_, book)| book.live.is_some());
        assert_eq!(last.map(|(key, _)| *key), Some(key), "stopped out of order");
        let grouped = self.emptying.is_some_and(|from| key >= from);
        assert!(self.down || grouped, "{key} was stopped without reason");
    }

    fn abandoned(&mut self, now: Instant, key: Key, epoch: Epoch, why: Hung) {
        assert_eq!(self.owed, None);
        let whole = self.whole;
        let book = self.child(key);
        assert_eq!(book.live, Some(epoch));
        assert_eq!(why == Hung::Init, !book.asked && !book.ready);
        let limit = match (book.rules.on_hang, why) {
            (OnHang::Wait, _) => whole,
            (_, Hung::Init) => book.init_until,
            (_, Hung::Grace) if book.handing => book.hand_until,
            (_, Hung::Grace) => book.told,
        };
        let exit = if book.handing { ExitKind::HandedOver } else { ExitKind::Abnormal };
        assert!(limit.is_some_and(|limit| limit <= now), "{key} was abandoned too early");
        self.exited(key, epoch, exit);
    }

    fn retired(&mut self, key: Key, failed: bool) {
        match self.owed.take() {
            Some(owed) => assert_eq!(owed, (key, Fate::Retired)),
            None => assert!(self.down, "{key} was retired without reason"),
        }
        let book = self.child(key);
        assert!(book.live.is_none() && !book.retired, "{key} was retired twice");
        assert_eq!(book.failed, failed);
        (book.retired, book.terminating, book.backing_off) = (true, false, false);
    }

    fn forgotten(&mut self, key: Key) {
        let book = self.children.remove(&key).expect("forgotten twice");
        assert!(book.retired && book.live.is_none());
        let by_user = self.open.values().any(|event| matches!(event, Event::Delete { .. }));
        assert!(by_user || self.rules.dynamic.is_some() || !book.is_kept(), "{key} was forgotten");
    }

    fn finished(&mut self, outcome: Outcome) {
        assert!(self.down && self.open.is_empty(), "left open: {:?}", self.open);
        assert!(self.children.values().all(|book| book.live.is_none() && book.retired));
        self.outcome = Some(outcome);
    }

    fn answered(&mut self, ticket: Ticket, answer: Answer) {
        use Answer::*;
        let event = self.open.remove(&ticket).expect("answered twice");
        let fits = match (event, answer) {
            (Event::Add { .. } | Event::Restart { .. }, Started | Ignored | StartFailed) => true,
            // Its child was terminated.
            (Event::Add { .. } | Event::Restart { .. }, ShuttingDown) => true,
            (Event::Add { .. }, TooMany { .. }) => true,
            (Event::Begin { .. }, Started | StartFailed | Running) => true,
            (Event::Terminate { .. }, Stopped | NotFound) => true,
            (Event::Restart { .. } | Event::Delete { .. }, Running | Restarting | NotFound) => true,
            (Event::Replace { .. }, Started | Ignored | StartFailed | Replaced) => {
                self.replaced.contains(&ticket)
            }
            (Event::Replace { key, .. }, Busy(_)) => {
                !self.replaced.contains(&ticket)
                    && self
                        .children
                        .get(&key)
                        .is_some_and(|book| self.is_busy(key, book) || self.is_starting())
            }
            (Event::Replace { key, .. }, NotFound) => !self.children.contains_key(&key),
            (Event::Replace { .. }, ShuttingDown) => true,
            (Event::Delete { key, .. }, Deleted) => !self.children.contains_key(&key),
            (Event::Stop { .. }, Stopped) => true,
            (_, ShuttingDown) => self.down,
            _ => false,
        };
        assert!(fits, "{event:?} was answered {answer:?}");
        self.started |= matches!((event, answer), (Event::Begin { .. }, Started));
        self.answers.insert(ticket, answer);
    }

    /// A replacement holds at once, whatever becomes of the child that it is for.
    fn took_its_place(&mut self, key: Key, ticket: Ticket) {
        assert!(matches!(self.open[&ticket], Event::Replace { key: asked, .. } if asked == key));
        assert!(self.replaced.insert(ticket), "replaced twice by {ticket}");
        assert!(!self.is_busy(key, &self.children[&key]), "{key} was replaced on its way");
    }

    fn asked_for_state(&mut self, now: Instant, event: Event, key: Key, epoch: Epoch) {
        assert!(matches!(event, Event::Replace { key: asked, .. } if asked == key));
        let book = self.child(key);
        assert_eq!(book.live, Some(epoch));
        (book.handing, book.called_off, book.account) = (true, false, Account::Asked);
        book.hand_since = Some(now);
        book.hand_until = book.rules.grace.and_then(|grace| now.checked_add(grace));
    }

    /// Only for what stops the child.
    fn called_off(&mut self, key: Key) {
        let grouped = self.emptying.is_some_and(|from| key >= from);
        let reason = self.down || grouped || self.children[&key].terminating;
        let book = self.child(key);
        assert!(book.handing && reason, "{key} was called off without reason");
        (book.handing, book.called_off) = (false, true);
        book.overdue[Hung::Grace as usize] = false;
    }

    /// May a start in order be under way?
    fn is_starting(&self) -> bool {
        let one_by_one = !self.started || self.rules.strategy != Strategy::OneForOne;
        let waits = |book: &Book| book.live.is_none() && !book.retired && !book.backing_off;
        let starts = |book: &Book| book.live.is_some() && !book.ready;
        one_by_one && self.children.values().any(|book| waits(book) || starts(book))
    }

    /// Is a child neither running nor down for itself?
    fn is_busy(&self, key: Key, book: &Book) -> bool {
        let grouped = self.emptying.is_some_and(|from| key >= from);
        let free = book.ready && !book.asked && !book.handing && !grouped;
        book.live.is_some() && !free || book.live.is_none() && !book.retired && !book.backing_off
    }

    /// Charges count by the old period up to now, and by the new one from here on.
    fn configured(&mut self, now: Instant, settings: SupervisorSettings) {
        let period = self.rules.period;
        self.charges.retain(|then| now.duration_since(*then) <= period);
        settings.apply(&mut self.rules);
    }

    /// The naive window: how many charges are in it, this one included.
    fn charge(&mut self, now: Instant, key: Key) -> u32 {
        assert_eq!(self.owed.take(), Some((key, Fate::Charged)));
        self.charges.push(now);
        let counts = |then: &&Instant| now.duration_since(**then) <= self.rules.period;
        self.charges.iter().filter(counts).count() as u32
    }

    fn open_group(&mut self, key: Key) {
        self.emptying = match self.rules.strategy {
            Strategy::OneForOne => None,
            Strategy::OneForAll => Some(Key::MIN),
            Strategy::RestForOne => Some(key),
        };
    }

    fn see_to_group(&mut self) {
        let Some(from) = self.emptying else { return };
        let empty = self.children.range(from..).all(|(_, book)| book.live.is_none());
        if empty || self.down {
            self.emptying = None;
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
            launched: None,
            handing: false,
            called_off: false,
            hand_since: None,
            hand_until: None,
            init_until: None,
            asked_at: None,
            own_until: None,
            shares_grace: false,
            overdue: [false; 2],
            told: None,
            terminal: false,
            terminating: false,
            failed: false,
            backing_off: false,
            retired: false,
        }
    }

    fn configured(&mut self, rules: ChildRules) {
        let ChildRules { init, grace, backoff, .. } = rules;
        self.rules = ChildRules { init, grace, backoff, ..self.rules };
    }

    fn launch(&mut self, now: Instant, epoch: Epoch, follows: bool) {
        assert!(self.live.is_none() && !self.retired, "{self:?}");
        assert_eq!(epoch, self.last + 1);
        let again = self.rules.restart != Restart::Temporary || epoch == 1 || follows;
        assert!(again, "a temporary child was restarted");
        (self.live, self.last, self.backing_off) = (Some(epoch), epoch, false);
        (self.told, self.terminal) = (None, false);
        (self.launched, self.asked_at, self.overdue) = (Some(now), None, [false; 2]);
        self.init_until = now.checked_add(self.rules.init);
    }

    fn ask(
        &mut self,
        now: Instant,
        epoch: Epoch,
        terminal: bool,
        deadline: Option<Instant>,
        shares_grace: bool,
    ) {
        assert_eq!(self.live, Some(epoch));
        if !self.asked {
            (self.asked_at, self.shares_grace) = (Some(now), shares_grace);
            self.own_until = self.rules.grace.and_then(|grace| now.checked_add(grace));
        }
        assert!(!self.handing, "not called off");
        assert!(!self.terminal || terminal, "no longer terminal");
        let sooner = match (self.told, deadline) {
            (Some(old), Some(new)) => new < old,
            (old, new) => old.is_none() && new.is_some(),
        };
        let later = self.told.is_some() && deadline.is_none_or(|new| Some(new) > self.told);
        assert!(!self.asked || !later, "given more time");
        assert!(!self.asked || sooner || terminal && !self.terminal, "asked again for nothing");
        (self.asked, self.told, self.terminal) = (true, deadline, terminal);
    }

    /// Since when it is waited for.
    fn waited_since(&self, why: Hung) -> Option<Instant> {
        match why {
            Hung::Init => self.launched,
            Hung::Grace if self.handing => self.hand_since,
            Hung::Grace => self.asked_at,
        }
    }

    fn exit(&mut self, exit: ExitKind, down: bool) {
        let starting = !self.asked && !self.ready;
        if starting && exit == ExitKind::Ignored && !down {
            self.account = Account::Crash;
        }
        self.failed = exit == ExitKind::Abnormal || starting && exit != ExitKind::Ignored;
        (self.live, self.ready, self.asked) = (None, false, false);
        (self.handing, self.called_off) = (false, false);
    }

    /// What the rules say to an exit, in their own order.
    fn fate(&self, exit: ExitKind, absorbed: bool) -> Fate {
        let temporary = self.rules.restart == Restart::Temporary;
        match (self.asked, self.ready) {
            (true, _) if self.terminating || temporary => Fate::Retired,
            // It went by itself before it heard that it was asked.
            (true, _) if exit == ExitKind::Normal && self.rules.restart == Restart::Transient => {
                Fate::Retired
            }
            (true, _) => Fate::Waits,
            (false, true) if self.handing || self.called_off && exit == ExitKind::HandedOver => {
                match self.rules.restart {
                    _ if exit == ExitKind::HandedOver && !absorbed => Fate::Followed,
                    Restart::Temporary => Fate::Retired,
                    Restart::Transient if !matches!(exit, ExitKind::Abnormal | ExitKind::HandedOver) => {
                        Fate::Retired
                    }
                    _ if absorbed => Fate::Waits,
                    _ => Fate::Followed,
                }
            }
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

    /// Is its spec kept while it is down?
    fn is_kept(&self) -> bool {
        self.rules.restart != Restart::Temporary && self.account != Account::Added
    }

    /// Is it being started by the supervisor itself, not because its user asked?
    fn is_own_start(&self) -> bool {
        let by_user = matches!(self.account, Account::Added | Account::Asked);
        self.live.is_some() && !self.ready && !self.asked && !by_user
    }

    fn fails_the_first_start(&self, exit: ExitKind) -> bool {
        let starting = !self.asked && !self.ready && exit != ExitKind::Ignored;
        starting && self.account == Account::First
    }

    /// Equal for books that call for the same things from here on.
    pub(super) fn signature(&self) -> impl Hash + use<> {
        let life = (self.live.is_some(), self.last > 0, self.ready, self.asked, self.told);
        let hand = (self.handing, self.called_off, self.backing_off);
        let asked = (self.overdue, self.asked_at, self.terminal, self.terminating);
        (hand, self.account, life, asked, self.failed, self.retired)
    }

    pub(super) fn agrees(&self, state: ChildState) -> bool {
        match state {
            ChildState::Starting => self.live.is_some() && !self.asked && !self.ready,
            ChildState::Running => self.live.is_some() && !self.asked && self.ready && !self.handing,
            ChildState::HandingOver => self.live.is_some() && !self.asked && self.ready && self.handing,
            ChildState::Stopping => self.live.is_some() && self.asked,
            ChildState::Stopped => self.live.is_none() && self.retired,
            ChildState::Waiting | ChildState::Backoff { .. } => self.live.is_none() && !self.retired,
        }
    }
}
