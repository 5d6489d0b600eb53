//! Where in a shard an event is.

use std::ops::Range;
use std::sync::Arc;

use super::batch::Stub;
use super::entry::{Chunk, Entry};
use super::event::Event;
use super::id::EventId;
use super::merge::Merged;
use super::view::View;

/// An event that was found: where it is, without a share in it.
#[derive(Clone, Copy)]
pub(crate) struct Found<'a> {
    pub(crate) chunk: &'a Arc<Chunk>,
    pub(crate) at: usize,
}

impl<'a> Found<'a> {
    /// What is at a position between `first` and `end`.
    pub(crate) fn at(view: &'a View, position: u64) -> Option<Self> {
        let chunk = view.chunk_at(position)?;
        Some(Self { chunk, at: (position - chunk.first) as usize })
    }

    pub(crate) fn stub(&self) -> &'a Stub {
        &self.chunk.stubs[self.at]
    }

    pub(crate) fn event(&self) -> &'a Event {
        &self.chunk.events[self.at]
    }

    pub(crate) fn id(&self) -> u64 {
        self.chunk.first_id + self.at as u64
    }

    /// Its place among the events of all shards. In one shard it rises with the position.
    pub(crate) fn place(&self) -> (u64, u64) {
        (self.stub().order, self.id())
    }

    pub(crate) fn entry(&self) -> Entry {
        self.chunk.entry_at(self.chunk.first + self.at as u64)
    }
}

/// What is in chunks, as far as it is in a range.
pub(crate) fn founds<'a>(
    chunks: impl DoubleEndedIterator<Item = &'a Arc<Chunk>>,
    range: Range<u64>,
) -> impl DoubleEndedIterator<Item = Found<'a>> {
    chunks.flat_map(move |chunk| {
        let within = |position: u64| (position.clamp(chunk.first, chunk.end()) - chunk.first) as usize;
        (within(range.start)..within(range.end)).map(move |at| Found { chunk, at })
    })
}

/// The position of the first event of which something does not hold that holds of all before it.
pub(crate) fn first_not(view: &View, holds: impl Fn(Found<'_>) -> bool) -> u64 {
    let holds_at = |position| Found::at(view, position).is_some_and(&holds);
    let after = view.sealed.partition_point(|segment| holds(Found { chunk: &segment.chunks[0], at: 0 }));
    let before = after.checked_sub(1).map_or(view.first, |at| view.sealed[at].first());
    let mut low = before.max(view.first);
    let mut high = view.sealed.get(after).map_or(view.end, |segment| segment.first()).max(low);
    while low < high {
        let middle = low + (high - low) / 2;
        if holds_at(middle) { low = middle + 1 } else { high = middle }
    }
    low
}

fn find(view: &View, id: u64) -> Option<Entry> {
    let position = first_not(view, |found| found.id() < id);
    let found = Found::at(view, position).filter(|_| position < view.end)?;
    (found.id() == id).then(|| found.entry())
}

/// The event with a number, if it is still there.
pub(crate) fn get(views: &[Arc<View>], id: EventId) -> Option<Entry> {
    views.iter().find_map(|view| find(view, id.get()))
}

/// The newest so many, the newest first.
pub(crate) fn recent(views: &[Arc<View>], most: usize) -> Vec<Entry> {
    let backwards = |view| all(view).rev();
    let views = views.iter().map(|view| &**view);
    let merged = Merged::new(views.map(backwards).collect(), |a, b| a.place() > b.place());
    merged.take(most).map(|found| found.entry()).collect()
}

fn all(view: &View) -> impl DoubleEndedIterator<Item = Found<'_>> {
    let sealed = view.sealed.iter().flat_map(|segment| &segment.chunks);
    founds(sealed.chain(view.open.iter()), view.first..view.end)
}

#[cfg(all(test, not(underpin_loom)))]
mod tests {
    use proptest::prelude::*;

    use super::super::sample::{id, ids, store};
    use super::*;

    proptest! {
        #[test]
        fn an_event_is_found_by_its_number_exactly_when_it_is_there(store in store()) {
            for number in 1..200 {
                let is_there = store.all.iter().any(|(_, there, _)| *there == number);
                let found = get(&store.views, id(number)).map(|entry| entry.id().get());
                prop_assert_eq!(found, is_there.then_some(number));
            }
            prop_assert!(get(&store.views, id(u64::MAX)).is_none());
        }

        #[test]
        fn the_newest_come_first(store in store(), most in 0..200_usize) {
            let expected: Vec<_> = store.all.iter().rev().take(most).map(|(_, number, _)| *number).collect();
            prop_assert_eq!(ids(&recent(&store.views, most)), expected);
        }
    }

    #[test]
    fn in_nothing_nothing_is_found() {
        let views = [Arc::new(View::default())];
        assert!(get(&views, id(1)).is_none() && get(&[], id(1)).is_none());
        assert!(recent(&views, 9).is_empty() && recent(&[], 9).is_empty());
    }
}
