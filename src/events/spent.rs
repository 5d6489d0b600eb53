//! What has become of old batches.

use std::collections::VecDeque;

use super::batch::Stub;
use super::entry::Chunk;
use super::event::Event;
use crate::sync::Mutex;

/// Room is made for so many events at most before they are there; a larger batch grows. It may be sent long before
/// it is full.
const ROOM: usize = 1024;
/// How many batches wait to be used again at most.
const MOST: usize = 32;
/// How many bytes they have at most, with the events that are still in them.
const MOST_BYTES: u64 = 2 << 20;
/// With room for fewer events one is not worth keeping.
const LEAST: usize = 16;
/// So many times the room that is asked for is not too much: it stays as long as the few events that come into it.
const LOOSE: usize = 4;

/// Batches whose events have left the shelf, for writers to use again. So what a writer's thread has allocated it frees
/// itself, mostly: an allocator makes that much cheaper than when all is freed by the one thread of a shard.
#[derive(Debug, Default)]
pub(crate) struct Spent(Mutex<Waiting>);

/// The newest are at the back.
#[derive(Debug, Default)]
struct Waiting {
    vessels: VecDeque<(Vessel, u64)>,
    bytes: u64,
}

/// The memory of a batch.
pub(crate) type Vessel = (Vec<Event>, Vec<Stub>);

impl Spent {
    /// Takes in a chunk that nobody looks at any more; or what is left of it is dropped. Older ones go where there is
    /// no room: writers of today may want none of their size.
    pub(crate) fn put(&self, chunk: Chunk) {
        let bytes = chunk.bytes.max(weight(chunk.events.capacity()));
        let Chunk { events, stubs, .. } = chunk;
        if events.capacity() < LEAST || bytes > MOST_BYTES / 4 {
            return;
        }
        let mut waiting = self.0.lock();
        let gone = waiting.make_room(bytes);
        waiting.bytes += bytes;
        waiting.vessels.push_back(((events, stubs), bytes));
        drop(waiting); // before the events
        drop(gone);
    }

    /// An empty vessel for so many events. What was in it is dropped here.
    pub(crate) fn take(&self, size: usize) -> Vessel {
        let size = size.min(ROOM);
        let taken = self.0.lock().take(size);
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

impl Waiting {
    /// What goes, so that there is room for one more.
    fn make_room(&mut self, bytes: u64) -> Vec<Vessel> {
        let mut gone = Vec::new();
        while self.vessels.len() >= MOST || self.bytes + bytes > MOST_BYTES {
            let Some((oldest, had)) = self.vessels.pop_front() else { break };
            self.bytes -= had;
            gone.push(oldest);
        }
        gone
    }

    /// The newest that fits.
    fn take(&mut self, size: usize) -> Option<Vessel> {
        let fits = |room: usize| room >= size && room / LOOSE <= size;
        let at = self.vessels.iter().rposition(|((events, _), _)| fits(events.capacity()))?;
        let (vessel, had) = self.vessels.remove(at)?;
        self.bytes -= had;
        Some(vessel)
    }
}

/// How many bytes a vessel has for so many events.
fn weight(room: usize) -> u64 {
    (room * (size_of::<Event>() + size_of::<Stub>())) as u64
}

#[cfg(all(test, not(underpin_loom)))]
mod tests {
    use super::super::sample::source;
    use super::*;

    fn chunk(room: usize) -> Chunk {
        let events = Vec::with_capacity(room);
        let (first_id, first, stored, stubs) = (1, 0, 0, Vec::new());
        Chunk { first_id, first, stored, is_recovered: false, bytes: 0, events, stubs, source: source(None) }
    }

    #[test]
    fn room_is_made_for_what_comes_and_not_for_all_that_might() {
        let room = |size| Spent::default().take(size).0.capacity();
        assert_eq!((room(1), room(64), room(ROOM), room(65_536)), (1, 64, ROOM, ROOM));
    }

    fn waiting(spent: &Spent) -> (usize, u64) {
        let waiting = spent.0.lock();
        let sum: u64 = waiting.vessels.iter().map(|(_, bytes)| bytes).sum();
        assert_eq!(sum, waiting.bytes);
        (waiting.vessels.len(), waiting.bytes)
    }

    #[test]
    fn what_is_handy_is_used_again_and_so_much_at_most() {
        let spent = Spent::default();
        [0, LEAST - 1, weightless(MOST_BYTES)].into_iter().for_each(|room| spent.put(chunk(room)));
        assert_eq!(waiting(&spent), (0, 0));
        (0..2 * MOST).for_each(|_| spent.put(chunk(64)));
        assert_eq!(waiting(&spent), (MOST, MOST as u64 * weight(64)));
        assert_eq!((spent.take(64).0.capacity(), waiting(&spent).0), (64, MOST - 1));
        (0..2 * MOST).for_each(|_| spent.put(chunk(1000)));
        let (vessels, bytes) = waiting(&spent);
        assert!(bytes <= MOST_BYTES && bytes + weight(1000) > MOST_BYTES && vessels < MOST);
    }

    /// So much room has more bytes than that.
    fn weightless(bytes: u64) -> usize {
        bytes as usize / size_of::<Event>()
    }

    #[test]
    fn what_is_large_by_what_is_in_it_is_not_kept() {
        let spent = Spent::default();
        spent.put(Chunk { bytes: MOST_BYTES, ..chunk(64) });
        assert_eq!(waiting(&spent), (0, 0));
    }

    #[test]
    fn one_of_another_size_is_left_for_others_and_the_oldest_goes_first() {
        let spent = Spent::default();
        [64, 1000, 64].into_iter().for_each(|room| spent.put(chunk(room)));
        assert_eq!(spent.take(16).0.capacity(), 64, "four times as much is not too much");
        assert_eq!(spent.take(15).0.capacity(), 15, "more is");
        assert_eq!(spent.take(65).0.capacity(), 65, "nor is less enough");
        assert_eq!((spent.take(900).0.capacity(), waiting(&spent).0), (1000, 1));
        (0..MOST).for_each(|_| spent.put(chunk(300)));
        assert_eq!((spent.take(64).0.capacity(), waiting(&spent).0), (64, MOST), "it has gone");
    }

    #[test]
    fn what_was_in_it_is_not_there_any_more() {
        let (spent, event) = (Spent::default(), Event::of("a", "x"));
        let mut full = chunk(64);
        full.stubs.push(Stub::of(&event).expect("it is allowed"));
        full.events.push(event);
        spent.put(full);
        let (events, stubs) = spent.take(64);
        assert_eq!((events.len(), stubs.len(), events.capacity()), (0, 0, 64));
    }
}
