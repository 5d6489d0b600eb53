//! When a worker looks at its clock, and what it shows of its work.
//!
//! A look costs some 30 ns, as much as half a message. So a worker looks before it parks and after,
//! and while it is busy only now and then: about every 4 us, at the latest after 64 messages. Where
//! messages take longer than that, each is looked at.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::incarnation::Incarnation;

/// The most messages between two looks.
const MAX_STRIDE: u32 = 64;
/// So many nanoseconds are to lie between two looks: then they cost 1 % of it.
const BETWEEN: u64 = 4_000;

/// After how many messages to look again: as many as fit between two looks, if they take as long
/// as the last ones did.
fn stride(messages: u32, took: Duration) -> u32 {
    let nanos = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX).max(1);
    let fit = u64::from(messages) * BETWEEN / nanos;
    u32::try_from(fit).unwrap_or(MAX_STRIDE).clamp(1, MAX_STRIDE)
}

/// The worker's side of its incarnation's [`Trace`](super::activity::Trace).
pub(crate) struct Pulse {
    incarnation: Arc<Incarnation>,
    /// The last look, while busy.
    since: Option<Instant>,
    stride: u32,
    left: u32,
    /// What is shown now.
    label: &'static str,
    /// The labels so far, by their numbers.
    known: Vec<&'static str>,
    watched: bool,
}

impl Pulse {
    /// `watched`: somebody looks after it while it is busy.
    pub(crate) fn new(incarnation: Arc<Incarnation>, watched: bool) -> Self {
        Self { incarnation, since: None, stride: 1, left: 1, label: "", known: Vec::new(), watched }
    }

    /// Shows what the worker is at.
    #[inline]
    pub(crate) fn label(&mut self, label: &'static str) {
        if !std::ptr::eq(label, self.label) {
            self.relabel(label);
        }
    }

    fn relabel(&mut self, label: &'static str) {
        self.label = label;
        let trace = &self.incarnation.trace;
        let known = self.known.iter().position(|other| std::ptr::eq(*other, label));
        let number = known.map_or_else(|| trace.labels().number(label), |at| at as u64);
        if number == self.known.len() as u64 {
            self.known.push(label);
        }
        trace.show(number);
    }

    pub(crate) fn is_at_rest(&self) -> bool {
        self.since.is_none()
    }

    /// One message more. Whether to look at the clock.
    #[inline]
    pub(crate) fn beat(&mut self) -> bool {
        if cfg!(underpin_loom) {
            return false; // by the real time, which differs from one execution to the next
        }
        self.left -= 1;
        self.left == 0
    }

    /// What comes now is slow, or alone: its time is to be its own.
    pub(crate) fn look_after_each(&mut self) {
        self.stride = 1;
    }

    /// Busy from `now` on. Whether it has to ask to be looked after.
    pub(crate) fn begin(&mut self, now: Instant) -> bool {
        if self.watched {
            self.stride = 1; // so that the time of the first message is its own
        }
        self.since = Some(now);
        self.left = self.stride;
        self.incarnation.trace.begin(self.age(now), self.stride);
        self.watched && self.incarnation.trace.watch.begin()
    }

    /// The worker looked at its clock while busy.
    pub(crate) fn look(&mut self, now: Instant) {
        let spent = self.spent(now);
        self.stride = stride(self.stride - self.left, spent);
        self.left = self.stride;
        self.since = Some(now);
        self.incarnation.trace.look(self.age(now), self.stride, spent);
    }

    /// The worker is at rest from `now` on.
    pub(crate) fn rest(&mut self, now: Instant) {
        if self.since.is_none() {
            return;
        }
        self.incarnation.trace.rest(self.spent(now));
        self.since = None;
        if self.watched {
            self.incarnation.trace.watch.rest();
        }
    }

    fn spent(&self, now: Instant) -> Duration {
        self.since.map_or(Duration::ZERO, |since| now.saturating_duration_since(since))
    }

    fn age(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.incarnation.since)
    }
}

#[cfg(all(test, not(underpin_loom)))]
mod tests {
    use super::*;
    use crate::service::incarnation::Node;

    const US: Duration = Duration::from_micros(1);

    /// An `Instant` has no other origin.
    #[allow(clippy::disallowed_methods)]
    fn pulse() -> (Pulse, Instant) {
        let now = Instant::now();
        (Pulse::new(Incarnation::new(Node::new("a".into()), 1, now), false), now)
    }

    #[test]
    fn quick_messages_are_looked_at_seldom_and_slow_ones_each() {
        assert_eq!(stride(64, 64 * Duration::from_nanos(100)), 40);
        assert_eq!(stride(10, 10 * US), 4);
        assert_eq!(stride(10, 10 * US * 1000), 1);
        assert_eq!(stride(1, Duration::ZERO), MAX_STRIDE);
        assert_eq!(stride(u32::MAX, Duration::from_nanos(1)), MAX_STRIDE);
    }

    #[test]
    fn a_slow_message_is_seen_at_once_when_messages_are_slow() {
        let (mut pulse, now) = pulse();
        pulse.begin(now);
        for message in 1..10 {
            assert!(pulse.beat());
            pulse.look(now + message * 1000 * US);
        }
        assert_eq!(pulse.incarnation.trace.busy(9000 * US), 9000 * US);
    }

    #[test]
    fn each_label_is_shown_whenever_it_changes() {
        let (mut pulse, now) = pulse();
        pulse.begin(now);
        for label in ["put", "get", "put", "put", "len", "get"] {
            pulse.label(label);
            let shown = pulse.incarnation.trace.activity(US).map(|activity| activity.label);
            assert_eq!(shown, Some(label));
        }
        assert_eq!(pulse.known, ["put", "get", "len"]);
    }
}
