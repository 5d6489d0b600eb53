//! What was counted, by everyone.

use std::sync::atomic::{AtomicU64, Ordering};

/// A number that only grows.
#[derive(Debug, Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    pub(crate) fn add(&self, more: u64) {
        self.0.fetch_add(more, Ordering::Relaxed);
    }

    pub(crate) fn up(&self) {
        self.add(1);
    }

    pub(crate) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// The counts of one run. They live outside of the services, so that no crash takes them along.
#[derive(Debug, Default)]
pub(crate) struct Stats {
    /// Handed to a parser.
    pub(crate) received: Counter,
    pub(crate) parsed: Counter,
    /// Of these, those that were not severe enough to be written.
    pub(crate) filtered: Counter,
    pub(crate) malformed: Counter,
    /// Handed to the store.
    pub(crate) kept: Counter,
    /// Alerts that were raised.
    pub(crate) alerts_raised: Counter,
    /// Alerts that were cleared.
    pub(crate) alerts_cleared: Counter,
    /// Of the changes of alerts and of the breaker, those that are stored: durable ones, where there is a journal.
    pub(crate) changes_stored: Counter,
    /// Of these changes, those that are in memory and did not come into the journal.
    pub(crate) changes_unjournaled: Counter,
    /// Lines that were to be forwarded. Each comes to one of the five ends below.
    pub(crate) matched: Counter,
    /// Written to the socket, whole.
    pub(crate) forwarded: Counter,
    /// Shed: as many waited as may.
    pub(crate) shed_full: Counter,
    /// Shed: they had waited too long when they had their turn.
    pub(crate) shed_old: Counter,
    /// Shed: they still waited when the end was over.
    pub(crate) shed_late: Counter,
    /// Tried as often as may be, in vain.
    pub(crate) forward_failed: Counter,
    /// In the hands of a service that crashed, or hung and was abandoned.
    pub(crate) lost: Counter,
    /// Of parsers and of the sink. Each is followed by a restart.
    pub(crate) crashes: Counter,
    /// Times that `--hang` had a parser hang.
    pub(crate) hung: Counter,
    /// Left in a queue for good. None, unless a supervisor gave up or a drain took too long.
    pub(crate) left: Counter,
    /// Parsed, but the output did not take it.
    pub(crate) unwritten: Counter,
    /// Files that were not read to their end.
    pub(crate) unread: Counter,
    /// Connections beyond the cap, closed at once.
    pub(crate) refused: Counter,
    /// Datagrams that found the parsers busy for a second.
    pub(crate) udp_dropped: Counter,
    /// Datagrams that the kernel dropped meanwhile.
    pub(crate) udp_overrun: Counter,
}

impl Stats {
    /// How many lines were to be forwarded and were not tried, for whatever reason.
    pub(crate) fn shed(&self) -> u64 {
        self.shed_full.get() + self.shed_old.get() + self.shed_late.get()
    }
}
