//! The stuck detector: who has been busy with one message for too long. It reports, and does
//! nothing else.
//!
//! A pure machine. It is told when a child becomes busy, comes by when the child's limit is over,
//! and says what to make of what is seen then. A child at rest is let go, so an idle tree has no
//! deadlines here.
//!
//! While a service is quick it looks at its clock once in many messages, and its figures cannot tell
//! one long message from many short ones. Then it is asked to look when its present message is done:
//! if it has not by the next visit, a limit later, it is at that message still. So who was busy with
//! quick messages before is reported between one and two limits after its message came.

use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, Instant};

use super::policy::{Epoch, Key};

/// Whom it looks after: of each child one incarnation at most.
#[derive(Debug, Default)]
pub(crate) struct Watchdog {
    /// By when it comes by.
    rounds: BTreeMap<(Instant, Key), Watched>,
    /// When it comes by at each, so that who is gone leaves nothing behind.
    when: HashMap<Key, Instant>,
}

/// One incarnation that was busy when it was seen last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Watched {
    pub(crate) epoch: Epoch,
    pub(crate) limit: Duration,
    /// Since when it was busy with what was reported.
    told: Option<Instant>,
}

/// What to make of a busy child.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It goes on with its messages.
    Moving,
    /// It has been at this one for longer than its limit. Said once.
    Stuck,
    /// Still the same, which was said.
    StillStuck,
}

impl Watchdog {
    /// The child became busy.
    pub(crate) fn watch(&mut self, key: Key, epoch: Epoch, limit: Duration, now: Instant) {
        self.come_by(key, Watched { epoch, limit, told: None }, now);
    }

    /// When to come by next.
    pub(crate) fn next_deadline(&self) -> Option<Instant> {
        self.rounds.first_key_value().map(|((at, _), _)| *at)
    }

    /// Whom to look at now. Who is busy is given back with [`saw`](Self::saw); the others are let go.
    pub(crate) fn pop_due(&mut self, now: Instant) -> Option<(Key, Watched)> {
        let ((at, key), watched) = self.rounds.first_key_value()?;
        let (at, key, watched) = (*at, *key, *watched);
        (at <= now).then(|| {
            self.let_go(key);
            (key, watched)
        })
    }

    /// The child's incarnation is gone.
    pub(crate) fn let_go(&mut self, key: Key) {
        if let Some(at) = self.when.remove(&key) {
            self.rounds.remove(&(at, key));
        }
    }

    /// It has been busy since `since`: `certain` with one message, or else perhaps with many; then it
    /// was asked to look at its clock after this one, and is certain if it has not when it is seen
    /// next.
    pub(crate) fn saw(
        &mut self,
        key: Key,
        watched: Watched,
        since: Instant,
        certain: bool,
        now: Instant,
    ) -> Verdict {
        let (verdict, from) = match watched.told {
            _ if !certain => (Verdict::Moving, now),
            _ if now.saturating_duration_since(since) < watched.limit => (Verdict::Moving, since),
            Some(told) if told == since => (Verdict::StillStuck, now),
            _ => (Verdict::Stuck, now),
        };
        let told = if verdict == Verdict::Moving { None } else { Some(since) };
        self.come_by(key, Watched { told, ..watched }, from);
        verdict
    }

    /// A limit that the clock does not reach is no limit.
    fn come_by(&mut self, key: Key, watched: Watched, from: Instant) {
        self.let_go(key);
        if let Some(at) = from.checked_add(watched.limit) {
            self.when.insert(key, at);
            self.rounds.insert((at, key), watched);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    /// An `Instant` has no other origin.
    #[allow(clippy::disallowed_methods)]
    fn start() -> Instant {
        Instant::now()
    }

    fn visit(dog: &mut Watchdog, since: Instant, certain: bool, now: Instant) -> Option<Verdict> {
        let (key, watched) = dog.pop_due(now)?;
        Some(dog.saw(key, watched, since, certain, now))
    }

    #[test]
    fn it_comes_by_at_the_limit_and_reports_once() {
        let (mut dog, t) = (Watchdog::default(), start());
        dog.watch(1, 1, SECOND, t);
        assert_eq!(dog.next_deadline(), Some(t + SECOND));
        assert_eq!(visit(&mut dog, t, true, t + SECOND / 2), None);
        assert_eq!(visit(&mut dog, t, true, t + SECOND), Some(Verdict::Stuck));
        assert_eq!(visit(&mut dog, t, true, t + 2 * SECOND), Some(Verdict::StillStuck));
        assert_eq!(dog.next_deadline(), Some(t + 3 * SECOND));
    }

    #[test]
    fn who_moves_is_looked_at_when_the_present_message_has_had_its_time() {
        let (mut dog, t) = (Watchdog::default(), start());
        dog.watch(1, 1, SECOND, t);
        let later = t + SECOND * 3 / 4;
        assert_eq!(visit(&mut dog, later, true, t + SECOND), Some(Verdict::Moving));
        assert_eq!(dog.next_deadline(), Some(later + SECOND));
        assert_eq!(visit(&mut dog, later, true, later + SECOND), Some(Verdict::Stuck));
    }

    /// Its time may be that of many messages. Asked now, it has a whole limit from now on.
    #[test]
    fn who_may_be_moving_is_reported_when_that_is_certain() {
        let (mut dog, t) = (Watchdog::default(), start());
        dog.watch(1, 1, SECOND, t);
        let later = t + SECOND / 2;
        assert_eq!(visit(&mut dog, later, false, t + SECOND), Some(Verdict::Moving));
        assert_eq!(dog.next_deadline(), Some(t + 2 * SECOND));
        assert_eq!(visit(&mut dog, t, false, t + 2 * SECOND), Some(Verdict::Moving));
        assert_eq!(visit(&mut dog, t, true, t + 3 * SECOND), Some(Verdict::Stuck));
    }

    #[test]
    fn a_second_message_that_takes_too_long_is_reported_too() {
        let (mut dog, t) = (Watchdog::default(), start());
        dog.watch(1, 1, SECOND, t);
        assert_eq!(visit(&mut dog, t, true, t + SECOND), Some(Verdict::Stuck));
        assert_eq!(visit(&mut dog, t + SECOND, true, t + 2 * SECOND), Some(Verdict::Stuck));
    }

    #[test]
    fn who_is_not_given_back_is_let_go() {
        let (mut dog, t) = (Watchdog::default(), start());
        dog.watch(1, 1, SECOND, t);
        dog.watch(2, 1, SECOND, t);
        assert!(dog.pop_due(t + SECOND).is_some() && dog.pop_due(t + SECOND).is_some());
        assert_eq!(dog.next_deadline(), None);
    }

    #[test]
    fn who_is_gone_leaves_nothing_behind_and_a_successor_has_its_own_time() {
        let (mut dog, t) = (Watchdog::default(), start());
        for key in 0..1000 {
            dog.watch(key, 1, 3600 * SECOND, t);
            dog.let_go(key);
        }
        assert!(dog.rounds.is_empty() && dog.when.is_empty());
        dog.watch(1, 1, SECOND, t);
        dog.watch(1, 2, SECOND, t + SECOND / 2);
        assert_eq!((dog.rounds.len(), dog.next_deadline()), (1, Some(t + SECOND * 3 / 2)));
        let (key, watched) = dog.pop_due(t + 2 * SECOND).expect("it is due");
        assert_eq!((key, watched.epoch, dog.when.len()), (1, 2, 0));
    }

    #[test]
    fn a_limit_beyond_the_clock_is_none() {
        let (mut dog, t) = (Watchdog::default(), start());
        dog.watch(1, 1, Duration::MAX, t);
        assert_eq!(dog.next_deadline(), None);
    }
}
