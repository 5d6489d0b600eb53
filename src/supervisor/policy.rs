//! The whole policy of a supervisor, as a pure machine: events in, actions out.
//!
//! No thread, lock, channel, log or clock is in here and no user code: the supervisor's thread
//! tells what happened and at what time, and does what the actions say, in their order. So the
//! machine is tested as a table, by exhaustive sequences and by random ones.
//!
//! The words and rules are OTP's. Where we differ from it, on purpose:
//!
//! - Starting, stopping and backing off are states, not blocking calls: every event is answered in
//!   every one of them.
//! - A restart may be delayed. One that is pending is a state of the child, which every command
//!   knows.
//! - A child that is down for good (terminated, finished, ignored) stays down when its group is
//!   restarted. OTP would revive it.
//! - A child that finishes by itself while its group is being stopped has finished: it is not
//!   restarted with the group.
//!
//! A child and its states:
//!
//! ```text
//!            Launch           Ready             exit that calls for no restart
//!   Waiting --------> Starting ------> Running --------------------------------> Stopped
//!      ^                 |                |                                         |
//!      |                 +---- crash -----+--> Backoff, then Starting               |
//!      |                 |                |                                         |
//!      +-- its group -- Stopping <--------+                                         |
//!      |                 +----------------- terminate_child ----------------------> |
//!      +------------------------------------ restart_child ------------------------ +
//! ```
//!
//! A running child that is being replaced is `HandingOver` until its incarnation is gone, and then
//! Starting.
//!
//! A dynamic supervisor keeps no child that is down: for it, as for temporary children, Stopped is
//! nothing at all.

mod children;
mod commands;
mod configure;
mod exits;
mod group;
mod hang;
mod replace;
mod shutdown;
#[cfg(test)]
mod tests;
mod words;

use std::time::{Duration, Instant};

use self::children::Children;
use self::group::Group;
use self::shutdown::Down;
pub(crate) use self::words::{
    Action, Answer, ChildRules, ChildState, Counts, Dynamic, Epoch, Event, ExitKind, Key, Outcome, Rules,
    Ticket,
};
use super::intensity::Intensity;
use crate::Strategy;

/// As good as never: stands for every instant that cannot be told apart from it.
const FAR: Duration = Duration::from_secs(100 * 365 * 24 * 3600);

/// The supervision policy: see the [module](self).
///
/// A step costs O(log n) amortised for n children, save the restart of a group, which costs O(log
/// n) for each of its members.
#[derive(Debug, Clone)]
pub(crate) struct Policy {
    rules: Rules,
    phase: Phase,
    children: Children,
    group: Group,
    window: Intensity,
    random: SplitMix,
}

/// Where the supervisor stands.
#[derive(Debug, Clone)]
enum Phase {
    /// Before the first start, and during it. The ticket is that of `Begin`.
    Starting {
        ticket: Option<Ticket>,
    },
    Running,
    /// Everything is being stopped.
    Down(Down),
    Finished,
}

impl Policy {
    pub(crate) fn new(rules: Rules) -> Self {
        let rules =
            Rules { strategy: rules.dynamic.map_or(rules.strategy, |_| Strategy::OneForOne), ..rules };
        Self {
            phase: Phase::Starting { ticket: None },
            children: Children::default(),
            group: Group::before_first_start(),
            window: Intensity::new(rules.max_restarts, rules.period),
            random: SplitMix(rules.seed),
            rules,
        }
    }

    /// Takes an event and appends what is to be done because of it.
    ///
    /// Deadlines that have come are seen to after every event, so a flood of them cannot put off a
    /// `Tick`. An event counts before a deadline: a `Ready` that comes too late, but before anyone
    /// noticed, is in time. Events of an incarnation that is gone are ignored.
    pub(crate) fn step(&mut self, now: Instant, event: Event, actions: &mut Vec<Action>) {
        let turn = &mut Turn { now, actions };
        match event {
            command if self.is_finished() => turn.answer(command.ticket(), Answer::ShuttingDown),
            Event::Ready { key, epoch } => self.ready(key, epoch, turn),
            Event::Exited { key, epoch, exit } => self.exited(key, epoch, exit, turn),
            Event::Tick => {}
            Event::Stop { deadline, ticket } => self.stop(deadline, ticket, turn),
            command if self.is_down() => turn.answer(command.ticket(), Answer::ShuttingDown),
            Event::Add { key, rules, ticket } => self.add(key, rules, ticket, turn),
            Event::Begin { ticket } => self.begin(ticket, turn),
            Event::Terminate { key, ticket } => self.terminate(key, ticket, turn),
            Event::Restart { key, ticket } => self.restart(key, ticket, turn),
            Event::Delete { key, ticket } => self.delete(key, ticket, turn),
            Event::Replace { key, ticket } => self.replace(key, ticket, turn),
            Event::Configure { settings } => self.configure(&settings, turn),
            Event::ConfigureChild { key, rules } => self.configure_child(key, rules),
        }
        self.expire(turn);
    }

    /// When `Tick` is due. It may lie in the past.
    pub(crate) fn next_deadline(&self) -> Option<Instant> {
        [self.children.next_deadline(), self.group.deadline()].into_iter().flatten().min()
    }

    pub(crate) fn rules(&self) -> &Rules {
        &self.rules
    }

    /// How many restarts count against the intensity now.
    pub(crate) fn recent_restarts(&self, now: Instant) -> usize {
        self.window.recent(now)
    }

    /// All children in order of start.
    #[cfg(test)]
    pub(crate) fn children(&self) -> impl Iterator<Item = (Key, ChildState)> {
        self.children.iter().map(|(key, child)| (key, child.state()))
    }

    pub(crate) fn state(&self, key: Key) -> Option<ChildState> {
        self.children.state(key)
    }

    pub(crate) fn counts(&self) -> Counts {
        self.children.counts()
    }

    /// Everything is being stopped, or is.
    pub(crate) fn is_down(&self) -> bool {
        matches!(self.phase, Phase::Down(_) | Phase::Finished)
    }

    /// `Finish` was ordered.
    pub(crate) fn is_finished(&self) -> bool {
        matches!(self.phase, Phase::Finished)
    }
}

/// One step: its time, and what it orders.
struct Turn<'a> {
    now: Instant,
    actions: &'a mut Vec<Action>,
}

impl Turn<'_> {
    fn act(&mut self, action: Action) {
        self.actions.push(action);
    }

    /// Answers whoever asked, if anyone did.
    fn answer(&mut self, ticket: impl IntoIterator<Item = Ticket>, answer: Answer) {
        self.actions.extend(ticket.into_iter().map(|ticket| Action::Answer { ticket, answer }));
    }

    fn after(&self, delay: Duration) -> Instant {
        self.now.checked_add(delay.min(FAR)).unwrap_or(self.now)
    }
}

/// The SplitMix64 generator: enough chance for jitter, and a seed replays it.
#[derive(Debug, Clone)]
struct SplitMix(u64);

impl SplitMix {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }
}
