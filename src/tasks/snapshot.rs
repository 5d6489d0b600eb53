//! How a pool stands.

use std::sync::Arc;

use super::crew::Crew;
use crate::sync::{AtomicU64, Ordering};

/// How a [`TaskPool`](super::TaskPool) stands.
///
/// Of the tasks that were accepted each waits, runs, or is in one of `completed`, `joined`, `cancelled` and `stopped`; `panicked` and
/// `expired` are among those that were completed, joined or run by their callers; an item of a [map](super::Map) that was late before it was
/// handed on is `expired` alone. While tasks come and go the figures may be of different moments.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PoolSnapshot {
    /// Its name.
    pub name: Arc<str>,
    /// How many threads it has.
    pub threads: usize,
    /// How many of them are idle.
    pub idle: usize,
    /// How many tasks its threads run now.
    pub running: usize,
    /// How many tasks wait, those that are to begin later among them.
    pub queued: usize,
    /// How many may.
    pub capacity: usize,
    /// The most that waited.
    pub high_water: usize,
    /// How many keys there are of which something runs.
    pub keys: usize,
    /// Tasks that were taken into the queue.
    pub accepted: u64,
    /// Tasks that its threads had to themselves, to the end.
    pub completed: u64,
    /// Tasks that a joiner ran.
    pub joined: u64,
    /// Tasks that did not come into the queue, for whoever spawned them ran them.
    pub caller_ran: u64,
    /// Tasks that panicked.
    pub panicked: u64,
    /// Tasks that were cancelled before they began.
    pub cancelled: u64,
    /// Tasks that did not begin, for it was too late.
    pub expired: u64,
    /// Tasks that waited when the pool was gone.
    pub stopped: u64,
    /// Tasks that came when there was no room.
    pub shed: u64,
    /// Tasks that came when the pool was gone.
    pub refused: u64,
}

impl PoolSnapshot {
    pub(super) fn of(crew: &Crew) -> Self {
        let get = |count: &AtomicU64| count.load(Ordering::Relaxed);
        let (counts, queued) = (&crew.shared.counts, crew.waiting_count());
        let (threads, idle, keys, figures) =
            crew.desk(|desk| (desk.crew(), desk.idle(), desk.keys(), desk.figures));
        Self {
            name: Arc::clone(&crew.shared.name),
            threads,
            idle,
            running: figures.running,
            queued,
            capacity: crew.settings.queue,
            high_water: figures.high_water,
            keys,
            accepted: figures.accepted,
            completed: figures.completed,
            joined: figures.withdrawn + get(&counts.joined),
            caller_ran: get(&counts.caller_ran),
            panicked: get(&counts.panicked),
            cancelled: get(&counts.cancelled),
            expired: get(&counts.expired),
            stopped: get(&counts.stopped),
            shed: get(&counts.shed),
            refused: get(&counts.refused),
        }
    }
}
