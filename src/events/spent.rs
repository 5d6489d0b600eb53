//! What has become of old batches.

use super::batch::Stub;
use super::entry::Chunk;
use super::event::Event;
use crate::sync::Mutex;

/// Room is made for so many events at most before they are there; a larger batch grows. It may be sent long before
/// it is full.
const ROOM: usize = 1024;
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

    /// An empty vessel for so many events. What was in it is dropped here.
    pub(crate) fn take(&self, size: usize) -> Vessel {
        let size = size.min(ROOM);
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

#[cfg(all(test, not(underpin_loom)))]
mod tests {
    use super::super::sample::source;
    use super::*;

    fn chunk(room: usize) -> Chunk {
        let events = Vec::with_capacity(room);
        let (first_id, first, stored, stubs) = (1, 0, 0, Vec::new());
        Chunk { first_id, first, stored, is_recovered: false, events, stubs, source: source(None) }
    }

    #[test]
    fn room_is_made_for_what_comes_and_not_for_all_that_might() {
        let room = |size| Spent::default().take(size).0.capacity();
        assert_eq!((room(1), room(64), room(ROOM), room(65_536)), (1, 64, ROOM, ROOM));
    }

    #[test]
    fn what_is_handy_is_used_again_and_so_much_at_most() {
        let spent = Spent::default();
        let waiting = || spent.0.lock().len();
        [0, LEAST - 1, LARGEST + 1].into_iter().for_each(|room| spent.put(chunk(room)));
        assert_eq!(waiting(), 0);
        (0..2 * MOST).for_each(|_| spent.put(chunk(LARGEST)));
        assert_eq!((waiting(), spent.take(64).0.capacity(), waiting()), (MOST, LARGEST, MOST - 1));
    }
}
