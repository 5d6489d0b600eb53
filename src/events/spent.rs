//! What has become of old batches.

use super::batch::Stub;
use super::entry::Chunk;
use super::event::Event;
use crate::sync::Mutex;

/// How many batches wait to be used again at most.
const MOST: usize = 32;
/// With room for fewer events one is not worth keeping.
const LEAST: usize = 16;

/// Batches whose events have left the shelf, for writers to use again. So what a writer's thread has allocated it frees
/// itself, mostly: an allocator makes that much cheaper than when all is freed by the one thread of a shard.
#[derive(Debug, Default)]
pub(crate) struct Spent(Mutex<Vec<Vessel>>);

/// With room for more, or with more in it, one is too much to keep for what may never come.
const LARGEST: usize = 256;
const MOST_BYTES: u64 = 64 << 10;

/// The memory of a batch.
pub(crate) type Vessel = (Vec<Event>, Vec<Stub>);

impl Spent {
    /// Takes in a chunk that nobody looks at any more; or what is left of it is dropped.
    pub(crate) fn put(&self, chunk: Chunk) {
        let bytes = chunk.bytes();
        let Chunk { events, stubs, .. } = chunk;
        let is_handy = (LEAST..=LARGEST).contains(&events.capacity()) && bytes <= MOST_BYTES;
        let mut waiting = self.0.lock();
        let is_wanted = waiting.len() < MOST && is_handy;
        if is_wanted {
            return waiting.push((events, stubs));
        }
        drop(waiting); // before the events
    }

    /// An empty vessel with room for so many events. What was in it is dropped here.
    pub(crate) fn take(&self, size: usize) -> Vessel {
        let taken = self.0.lock().pop();
        let (mut events, mut stubs) = taken.unwrap_or_default();
        events.clear();
        events.reserve_exact(size);
        // Touched in one go here, the memory is at hand when one event after another goes into it. Else each would wait
        // for its own: a buffer is opened and shut around each, and what was written has to be there by then.
        stubs.clear();
        stubs.resize(size, Stub::NONE);
        stubs.clear();
        (events, stubs)
    }
}
