//! What has become of old blocks.

use crate::sync::Mutex;

/// How many wait to be used again at most.
const MOST: usize = 4;
/// How many bytes each has at most.
const MOST_BYTES: usize = 1 << 20;

/// The memory of blocks that were written, for blocks to come. What the thread of a shard allocates, the journal's
/// would free: for large blocks an allocator makes that dear, and hands out pages that have to be made anew.
#[derive(Debug, Default)]
pub(crate) struct Memories(Mutex<Vec<Vec<u8>>>);

impl Memories {
    /// Takes one in that is not needed any more, if it is worth that.
    pub(crate) fn put(&self, memory: Vec<u8>) {
        if memory.capacity() == 0 || memory.capacity() > MOST_BYTES {
            return;
        }
        let mut waiting = self.0.lock();
        if waiting.len() < MOST {
            waiting.push(memory);
        }
    }

    /// One with room for so many bytes. What stands in it is of no use.
    pub(crate) fn take(&self, room: usize) -> Vec<u8> {
        let taken = self.0.lock().pop();
        // One that is too small is not grown: what stands in it would be copied.
        taken.filter(|memory| memory.capacity() >= room).unwrap_or_else(|| Vec::with_capacity(room))
    }
}

#[cfg(all(test, not(underpin_loom)))]
mod tests {
    use super::*;

    #[test]
    fn what_is_large_enough_is_used_again() {
        let memories = Memories::default();
        memories.put(Vec::with_capacity(100));
        assert_eq!(memories.take(60).capacity(), 100);
        memories.put(Vec::with_capacity(60));
        assert_eq!(memories.take(61).capacity(), 61);
        assert_eq!(memories.take(60).capacity(), 60, "the small one is gone");
    }

    #[test]
    fn few_are_kept_and_none_that_is_large_or_nothing() {
        let memories = Memories::default();
        let waiting = || memories.0.lock().len();
        [0, MOST_BYTES + 1].into_iter().for_each(|room| memories.put(Vec::with_capacity(room)));
        assert_eq!(waiting(), 0);
        (0..2 * MOST).for_each(|_| memories.put(Vec::with_capacity(MOST_BYTES)));
        assert_eq!(waiting(), MOST);
    }
}
