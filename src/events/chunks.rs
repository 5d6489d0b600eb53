//! Chunks that follow one another, as a list that is cheap to copy.

use std::sync::Arc;

use super::entry::Chunk;

/// How many chunks make a group.
const GROUP: usize = 32;

/// The chunks that are not in a segment yet. A copy shares the groups that are full: of a thousand chunks
/// about sixty pointers are copied.
#[derive(Clone, Debug, Default)]
pub(crate) struct Chunks {
    full: Vec<Arc<Vec<Arc<Chunk>>>>,
    tail: Vec<Arc<Chunk>>,
}

impl Chunks {
    pub(crate) fn push(&mut self, chunk: Arc<Chunk>) {
        self.tail.push(chunk);
        if self.tail.len() == GROUP {
            let group = std::mem::replace(&mut self.tail, Vec::with_capacity(GROUP));
            self.full.push(Arc::new(group));
        }
    }

    pub(crate) fn iter(&self) -> impl DoubleEndedIterator<Item = &Arc<Chunk>> {
        self.full.iter().flat_map(|group| group.iter()).chain(&self.tail)
    }

    /// The chunk of a position.
    pub(crate) fn find(&self, position: u64) -> Option<&Arc<Chunk>> {
        let group = self.full.partition_point(|group| group[0].first <= position);
        let is_in_tail = self.tail.first().is_some_and(|chunk| chunk.first <= position);
        let among = if is_in_tail { &self.tail } else { &**self.full.get(group.checked_sub(1)?)? };
        let after = among.partition_point(|chunk| chunk.first <= position);
        among.get(after.checked_sub(1)?).filter(|chunk| position < chunk.end())
    }

    /// All of them, for a segment.
    pub(crate) fn take(&mut self) -> Vec<Arc<Chunk>> {
        let all = self.iter().cloned().collect();
        *self = Self::default();
        all
    }
}

#[cfg(all(test, not(underpin_loom)))]
mod tests {
    use proptest::prelude::*;

    use super::super::batch::Stub;
    use super::super::event::Event;
    use super::super::sample::source;
    use super::*;

    fn chunk(first: u64, events: u64) -> Arc<Chunk> {
        let events: Vec<_> = (0..events).map(|_| Event::of("a", "x")).collect();
        let stubs = events.iter().map(|event| Stub::of(event).expect("it is allowed")).collect();
        let (first_id, stored, is_recovered) = (first + 1, 0, false);
        let source = source(None);
        Arc::new(Chunk { first_id, first, stored, is_recovered, bytes: 0, events, stubs, source })
    }

    fn chunks(from: u64, sizes: &[u64]) -> Chunks {
        let (mut chunks, mut first) = (Chunks::default(), from);
        for size in sizes {
            chunks.push(chunk(first, *size));
            first += size;
        }
        chunks
    }

    proptest! {
        #[test]
        fn the_chunk_of_a_position_is_the_one_that_has_it(
            from in 0..50_u64,
            sizes in prop::collection::vec(1..5_u64, 0..150),
        ) {
            let chunks = chunks(from, &sizes);
            let all: Vec<_> = chunks.iter().collect();
            prop_assert_eq!(all.iter().map(|chunk| chunk.stubs.len() as u64).collect::<Vec<_>>(), &sizes[..]);
            for position in 0..from + sizes.iter().sum::<u64>() + 5 {
                let has_it = |chunk: &&&Arc<Chunk>| (chunk.first..chunk.end()).contains(&position);
                let expected = all.iter().find(has_it).map(|chunk| chunk.first);
                prop_assert_eq!(chunks.find(position).map(|chunk| chunk.first), expected);
            }
            let last = all.last().map(|chunk| chunk.first);
            prop_assert_eq!((chunks.iter().next_back().map(|chunk| chunk.first), chunks.iter().next().is_none()), (last, sizes.is_empty()));
            prop_assert!(chunks.iter().rev().map(|chunk| chunk.first).eq(all.iter().rev().map(|chunk| chunk.first)));
        }
    }

    #[test]
    fn a_copy_stays_as_it_was() {
        for chunks_there in [0, 1, GROUP - 1, GROUP, 3 * GROUP + 1] {
            let mut chunks = chunks(0, &vec![1; chunks_there]);
            let copy = chunks.clone();
            (0..2 * GROUP as u64).for_each(|n| chunks.push(chunk(chunks_there as u64 + n, 1)));
            assert_eq!(
                (copy.iter().count(), chunks.iter().count()),
                (chunks_there, chunks_there + 2 * GROUP)
            );
            let all = chunks.take();
            assert!(
                chunks.iter().next().is_none()
                    && chunks.iter().next_back().is_none()
                    && chunks.find(0).is_none()
            );
            assert_eq!((all.len(), copy.iter().count()), (chunks_there + 2 * GROUP, chunks_there));
        }
    }
}
