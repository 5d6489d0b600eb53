//! The timers of one incarnation: a pure queue of messages by the moment they are due.

use std::collections::BTreeMap;
use std::time::Instant;

/// One timer, to [cancel](crate::Context::cancel) it by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TimerRef {
    due: Instant,
    number: u64,
}

/// Messages by the moment they are due; those of one moment in the order they were set.
///
/// It belongs to an incarnation and ends with it: no timer survives a restart.
pub(crate) struct Timers<M> {
    queue: BTreeMap<TimerRef, M>,
    set: u64,
}

impl<M> Timers<M> {
    pub(crate) fn new() -> Self {
        Self { queue: BTreeMap::new(), set: 0 }
    }

    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    pub(crate) fn set(&mut self, due: Instant, message: M) -> TimerRef {
        self.set += 1;
        let timer = TimerRef { due, number: self.set };
        self.queue.insert(timer, message);
        timer
    }

    /// Takes the message back, if the timer has not fired.
    pub(crate) fn cancel(&mut self, timer: TimerRef) -> Option<M> {
        self.queue.remove(&timer)
    }

    /// The first message that is due at `now`.
    pub(crate) fn pop_due(&mut self, now: Instant) -> Option<M> {
        let first = self.queue.first_entry()?;
        (first.key().due <= now).then(|| first.remove())
    }

    pub(crate) fn next_deadline(&self) -> Option<Instant> {
        self.queue.first_key_value().map(|(timer, _)| timer.due)
    }

    pub(crate) fn clear(&mut self) -> Vec<M> {
        std::mem::take(&mut self.queue).into_values().collect()
    }
}

#[cfg(all(test, not(underpin_loom)))]
mod tests {
    use super::*;
    use crate::sync::Clock;
    use std::time::Duration;

    #[test]
    fn timers_fire_in_the_order_of_their_moments_and_never_early() {
        let start = Clock::system().now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut timers = Timers::new();
        timers.set(at(3), 'c');
        timers.set(at(1), 'a');
        timers.set(at(1), 'b');
        assert_eq!(timers.next_deadline(), Some(at(1)));
        assert_eq!(timers.pop_due(at(0)), None);
        assert_eq!(timers.pop_due(at(1)), Some('a'));
        assert_eq!(timers.pop_due(at(1)), Some('b'));
        assert_eq!(timers.pop_due(at(2)), None);
        assert_eq!(timers.pop_due(at(9)), Some('c'));
        assert!(timers.is_empty());
    }

    #[test]
    fn a_cancelled_timer_never_fires_and_hands_its_message_back_once() {
        let now = Clock::system().now();
        let mut timers = Timers::new();
        let timer = timers.set(now, 1);
        assert_eq!(timers.cancel(timer), Some(1));
        assert_eq!(timers.cancel(timer), None);
        assert_eq!(timers.pop_due(now), None);
    }
}
