//! When records are to be made durable.

use std::time::Instant;

use super::settings::Sync;
use crate::service::deadline::later;

/// Knows what was written since the last sync, and when the next one is due.
#[derive(Clone, Debug)]
pub(crate) struct SyncPolicy {
    when: Sync,
    /// Records that were written and not synced.
    records: u64,
    /// When the first of them was.
    since: Option<Instant>,
}

impl SyncPolicy {
    pub(crate) fn new(when: Sync) -> Self {
        Self { when, records: 0, since: None }
    }

    /// So many records were written.
    pub(crate) fn wrote(&mut self, records: u64, now: Instant) {
        if records > 0 {
            self.records = self.records.saturating_add(records);
            self.since.get_or_insert(now);
        }
    }

    /// All that was written is durable, or given up: nothing is owed.
    pub(crate) fn synced(&mut self) {
        (self.records, self.since) = (0, None);
    }

    /// Whether what was written is to be synced now.
    pub(crate) fn due(&self, now: Instant) -> bool {
        match self.when {
            Sync::Always => self.records > 0,
            Sync::EveryCount(count) => self.records > 0 && self.records >= count,
            Sync::Every(_) => self.next_deadline().is_some_and(|deadline| deadline <= now),
            Sync::OsDecides => false,
        }
    }

    /// When a sync will be due, if nothing else is written. `None` also where no time makes it due.
    pub(crate) fn next_deadline(&self) -> Option<Instant> {
        match (self.when, self.since) {
            (Sync::Every(every), Some(since)) => Some(later(since, every)),
            _ => None,
        }
    }
}

#[cfg(all(test, not(underpin_loom)))]
mod tests {
    use std::time::Duration;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[allow(clippy::disallowed_methods)] // any moment will do
    fn start() -> Instant {
        Instant::now()
    }

    #[test]
    fn always_is_after_each_write() {
        let (mut policy, now) = (SyncPolicy::new(Sync::Always), start());
        assert!(!policy.due(now));
        policy.wrote(0, now);
        assert!(!policy.due(now), "nothing is nothing");
        policy.wrote(1, now);
        assert!(policy.due(now) && policy.next_deadline().is_none());
        policy.synced();
        assert!(!policy.due(now));
    }

    #[test]
    fn a_count_adds_up_over_writes() {
        let (mut policy, now) = (SyncPolicy::new(Sync::EveryCount(10)), start());
        policy.wrote(9, now);
        assert!(!policy.due(now + 1000 * SECOND));
        policy.wrote(1, now);
        assert!(policy.due(now));
        policy.synced();
        policy.wrote(u64::MAX, now);
        policy.wrote(u64::MAX, now);
        assert!(policy.due(now));
    }

    #[test]
    fn a_time_counts_from_the_first_write_after_a_sync() {
        let (mut policy, now) = (SyncPolicy::new(Sync::Every(5 * SECOND)), start());
        assert_eq!(policy.next_deadline(), None);
        policy.wrote(1, now);
        policy.wrote(1, now + 4 * SECOND);
        assert_eq!(policy.next_deadline(), Some(now + 5 * SECOND));
        assert!(!policy.due(now + 4 * SECOND) && policy.due(now + 5 * SECOND));
        policy.synced();
        assert!(!policy.due(now + 9 * SECOND));
        policy.wrote(1, now + 10 * SECOND);
        assert_eq!(policy.next_deadline(), Some(now + 15 * SECOND));
    }

    #[test]
    fn a_time_that_no_clock_reaches_is_one_all_the_same() {
        let (mut policy, now) = (SyncPolicy::new(Sync::Every(Duration::MAX)), start());
        policy.wrote(1, now);
        assert!(policy.next_deadline() > Some(now + 1000 * SECOND) && !policy.due(now));
    }

    #[test]
    fn the_system_decides_alone() {
        let (mut policy, now) = (SyncPolicy::new(Sync::OsDecides), start());
        policy.wrote(u64::MAX, now);
        assert!(!policy.due(now + 1000 * SECOND) && policy.next_deadline().is_none());
    }
}
