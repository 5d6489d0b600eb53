//! What became of the events of a store.

use super::store::EventStore;

/// What became of the events of a store.
///
/// `stored == current + pruned + dropped`, at every moment. What was accepted and is not stored is on its way,
/// or was `shed`, `lost` or `refused`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct StoreStats {
    /// How many events were stored; those that a journal had, too.
    pub stored: u64,
    /// How many are there.
    pub current: u64,
    /// How many were taken out because they were too old, or because that was asked for.
    pub pruned: u64,
    /// How many were dropped because others needed the room.
    pub dropped: u64,
    /// How many were given up before they were stored: by a full mailbox; and of those that somebody waited for, by a
    /// stop.
    pub shed: u64,
    /// How many were in the hands of a service that crashed.
    pub lost: u64,
    /// How many were accepted, and refused when their turn came.
    pub refused: u64,
    /// How many bytes the events take that are there.
    pub bytes: u64,
    /// How many streams are known.
    pub streams: usize,
}

impl EventStore {
    /// What became of its events, as far as others can see them. Never blocks.
    pub fn stats(&self) -> StoreStats {
        let mut stats = StoreStats { streams: self.0.common.streams.lock().len(), ..StoreStats::default() };
        for door in &self.0.shards {
            let (view, counts) = (door.shard.view(), door.shard.counts());
            stats.stored += view.end;
            stats.current += view.current();
            stats.pruned += view.pruned;
            stats.dropped += view.first - view.pruned;
            stats.bytes += view.bytes;
            stats.shed += counts.shed;
            stats.lost += counts.lost;
            stats.refused += counts.refused;
        }
        stats
    }
}
