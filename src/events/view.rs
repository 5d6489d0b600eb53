//! A shard as it was at one moment.

use std::sync::Arc;

use super::chunks::Chunks;
use super::entry::{Chunk, Entry};
use super::index::Index;
use super::segment::Segment;

/// What a shard had at one moment. Nothing in it changes: whoever has it looks as long as he likes, and
/// holds up nobody.
///
/// Events have positions from 0 on, in the order in which they were stored: `stored == end`, what was there
/// and is not any more is what is before `first`.
#[derive(Clone, Debug, Default)]
pub(crate) struct View {
    /// The position of the oldest event.
    pub(crate) first: u64,
    /// The position after the newest.
    pub(crate) end: u64,
    /// How many of those before `first` were pruned; the others were dropped.
    pub(crate) pruned: u64,
    /// The largest number before `first`: what has a larger one is there. 0 if nothing went.
    pub(crate) gone: u64,
    /// How many bytes the events have.
    pub(crate) bytes: u64,
    /// The oldest may begin before `first`.
    pub(crate) sealed: Arc<Vec<Arc<Segment>>>,
    /// Of what is sealed.
    pub(crate) index: Index,
    /// The newest, not sealed and not in the index. May begin before `first`.
    pub(crate) open: Chunks,
}

impl View {
    pub(crate) fn current(&self) -> u64 {
        self.end - self.first
    }

    /// The position from which on nothing is sealed.
    pub(crate) fn open_from(&self) -> u64 {
        self.sealed.last().map_or(self.first, |segment| segment.end()).max(self.first)
    }

    /// The chunk of a position between `first` and `end`.
    pub(crate) fn chunk_at(&self, position: u64) -> Option<&Arc<Chunk>> {
        let after = self.sealed.partition_point(|segment| segment.first() <= position);
        match after.checked_sub(1).map(|at| &self.sealed[at]).filter(|segment| position < segment.end()) {
            Some(segment) => Some(segment.chunk_at(position)),
            None => self.open.find(position),
        }
    }

    pub(crate) fn entry_at(&self, position: u64) -> Option<Entry> {
        let is_here = (self.first..self.end).contains(&position);
        Some(self.chunk_at(position).filter(|_| is_here)?.entry_at(position))
    }

    /// The position of the first event whose number is larger.
    pub(crate) fn position_after(&self, id: u64) -> u64 {
        let after = self.sealed.partition_point(|segment| segment.chunks[0].first_id <= id);
        let among = after
            .checked_sub(1)
            .map(|at| &self.sealed[at])
            .filter(|segment| segment.end_id() > id.saturating_add(1));
        let mut chunks = among.map(|segment| segment.chunks.iter()).into_iter().flatten();
        let in_chunk = |chunk: &Arc<Chunk>| {
            let is_after = chunk.end_id() > id.saturating_add(1);
            is_after.then(|| chunk.first + id.saturating_add(1).saturating_sub(chunk.first_id))
        };
        let found = chunks.find_map(in_chunk);
        let found = found.or_else(|| Some(self.sealed.get(after)?.first()));
        found.or_else(|| self.open.iter().find_map(in_chunk)).unwrap_or(self.end).max(self.first)
    }

    /// The number of the last event before a position; of what is not there any more, the largest.
    pub(crate) fn last_id_before(&self, position: u64) -> u64 {
        let before = position.checked_sub(1).filter(|before| *before >= self.first);
        let found = before.and_then(|before| Some((self.chunk_at(before)?, before)));
        found.map_or(self.gone, |(chunk, before)| chunk.first_id + (before - chunk.first))
    }
}

#[cfg(all(test, not(underpin_loom)))]
mod tests {
    use proptest::prelude::*;

    use super::super::sample::store;
    use super::*;

    fn number_at(view: &View, position: u64) -> u64 {
        view.entry_at(position).expect("it is there").id().get()
    }

    proptest! {
        #[test]
        fn the_position_after_a_number_is_that_of_the_first_with_a_larger_one(store in store()) {
            for view in &store.views {
                for number in (0..200).chain([u64::MAX - 1]) {
                    let is_after = |position: &u64| number_at(view, *position) > number;
                    let expected = (view.first..view.end).find(is_after).unwrap_or(view.end);
                    prop_assert_eq!(view.position_after(number), expected);
                }
            }
        }

        #[test]
        fn the_last_number_before_a_position_is_that_of_the_one_before_it(store in store(), gone in 1..9_u64) {
            for view in &store.views {
                let view = View { gone, ..View::clone(view) };
                prop_assert_eq!(view.last_id_before(0), gone);
                prop_assert_eq!(view.last_id_before(view.first), gone);
                for position in view.first..view.end {
                    prop_assert_eq!(view.last_id_before(position + 1), number_at(&view, position));
                }
            }
        }

        #[test]
        fn nothing_is_there_outside_of_it(store in store()) {
            for view in &store.views {
                prop_assert!((0..view.first).all(|position| view.entry_at(position).is_none()));
                prop_assert!(view.entry_at(view.end).is_none() && view.entry_at(u64::MAX).is_none());
                prop_assert!((view.first..=view.end).contains(&view.open_from()));
            }
        }
    }

    #[test]
    fn nothing_is_in_an_empty_one() {
        let view = View::default();
        assert_eq!((view.current(), view.open_from(), view.position_after(0)), (0, 0, 0));
        assert_eq!((view.position_after(u64::MAX), view.last_id_before(0)), (0, 0));
    }
}
