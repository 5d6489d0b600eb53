//! What a shard keeps: events in, old ones out, every one of them accounted for.

use std::sync::Arc;

use super::batch::Batch;
use super::bounds::Bounds;
use super::entry::Chunk;
use super::segment::{SEGMENT, Segment};
use super::view::View;

/// The events of one shard, and how they become old. Pure: it is told the time, and what numbers to give.
///
/// It changes a [`View`] and hands out copies. The accounts hold at every moment, for they are the
/// positions: stored is `end`, current is `end - first`, and `first` is what was pruned and dropped.
#[derive(Debug, Default)]
pub(crate) struct Shelf {
    view: View,
    /// The order of the last event.
    last_order: u64,
    /// How many events are open, and how many bytes they had.
    open: u64,
    open_bytes: u64,
    /// Segments that have left, and may still be seen in what was published before.
    left: Vec<Arc<Segment>>,
}

/// Until where something is taken out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Until {
    /// What happened before this moment, nanoseconds since 1970, as far as nothing later was stored before.
    Time(u64),
    /// What has a smaller number.
    Id(u64),
}

impl Shelf {
    /// Puts a batch in. Returns it as it is from now on. There may be too much now, until [`tidy`](Self::tidy).
    pub(crate) fn add(&mut self, batch: Batch, stamp: Stamp) -> Arc<Chunk> {
        let chunk = Arc::new(self.chunk(batch, stamp));
        self.view.end = chunk.end();
        self.view.bytes += chunk.bytes;
        self.open += chunk.stubs.len() as u64;
        self.open_bytes += chunk.bytes;
        self.view.open.push(Arc::clone(&chunk));
        chunk
    }

    /// Seals what makes a segment, and takes out what there is no room for.
    pub(crate) fn tidy(&mut self, bounds: Bounds) {
        if self.open >= SEGMENT || self.open_bytes >= most_open(bounds) {
            self.seal();
        }
        self.make_room(bounds);
    }

    /// So many were here before, and are not any more; this is the largest of their numbers.
    #[cfg(feature = "journal")]
    pub(crate) fn pass_over(&mut self, events: u64, gone: u64) {
        self.view.end += events;
        self.view.first = self.view.end;
        self.view.gone = self.view.gone.max(gone);
    }

    fn chunk(&mut self, batch: Batch, stamp: Stamp) -> Chunk {
        let Batch { events, mut stubs, source, bytes, .. } = batch;
        for stub in &mut stubs {
            self.last_order = self.last_order.max(stub.wall);
            stub.order = self.last_order;
        }
        let Stamp { first_id, stored, is_recovered } = stamp;
        Chunk { first_id, first: self.view.end, stored, is_recovered, bytes, events, stubs, source }
    }

    fn seal(&mut self) {
        (self.open, self.open_bytes) = (0, 0);
        let segment = Arc::new(Segment::of(self.view.open.take()));
        self.view.index.add(&segment);
        Arc::make_mut(&mut self.view.sealed).push(segment);
    }

    // ---- old ones ------------------------------------------------------------------------

    fn make_room(&mut self, bounds: Bounds) {
        let first = self.view.end.saturating_sub(bounds.events);
        self.drop_before(first);
        while self.view.bytes > bounds.bytes && self.view.current() > 1 {
            self.drop_before(self.view.first + 1);
        }
    }

    fn drop_before(&mut self, position: u64) {
        while self.view.first < position {
            let Some(chunk) = self.view.chunk_at(self.view.first) else { break };
            let end = chunk.end().min(position);
            let gone = chunk.first_id + (end - chunk.first) - 1;
            self.view.bytes -= chunk.bytes_of(self.view.first..end);
            self.view.gone = gone;
            self.view.first = end;
            if self.is_whole_segment_old() {
                self.forget();
            }
        }
    }

    fn is_whole_segment_old(&self) -> bool {
        self.view.sealed.first().is_some_and(|segment| segment.end() <= self.view.first)
    }

    /// Lets go of the segments that nobody may look at any more.
    fn forget(&mut self) {
        let first = self.view.first;
        let sealed = Arc::make_mut(&mut self.view.sealed);
        let old = sealed.partition_point(|segment| segment.end() <= first);
        self.left.extend(sealed.drain(..old));
        self.view.index.forget_before(first);
    }

    /// The segments that have left since this was asked last.
    pub(crate) fn take_left(&mut self) -> Vec<Arc<Segment>> {
        std::mem::take(&mut self.left)
    }

    /// Takes out what is too old. Returns how many went.
    pub(crate) fn expire(&mut self, now: i64, bounds: Bounds) -> u64 {
        let is_old = |stored| bounds.expiry(stored).is_some_and(|expiry| expiry <= now);
        self.prune_while(|chunk, _| is_old(chunk.stored))
    }

    /// When the oldest will be too old.
    pub(crate) fn next_expiry(&self, bounds: Bounds) -> Option<i64> {
        let oldest = self.view.chunk_at(self.view.first).filter(|_| self.view.current() > 0)?;
        bounds.expiry(oldest.stored)
    }

    /// Takes out the oldest, up to a moment or a number. Returns how many went.
    pub(crate) fn prune(&mut self, until: Until) -> u64 {
        self.prune_while(|chunk, position| match until {
            Until::Time(time) => chunk.stub_at(position).order < time,
            Until::Id(id) => chunk.first_id + (position - chunk.first) < id,
        })
    }

    fn prune_while(&mut self, is_old: impl Fn(&Chunk, u64) -> bool) -> u64 {
        let before = self.view.first;
        while self.view.current() > 0 {
            let Some(chunk) = self.view.chunk_at(self.view.first) else { break };
            let end = (self.view.first..chunk.end()).find(|at| !is_old(chunk, *at)).unwrap_or(chunk.end());
            if end == self.view.first {
                break;
            }
            self.drop_before(end);
        }
        let pruned = self.view.first - before;
        self.view.pruned += pruned;
        pruned
    }

    // ---- looking -------------------------------------------------------------------------

    pub(crate) fn view(&self) -> &View {
        &self.view
    }
}

/// How many bytes are sealed at the latest, for a segment goes as a whole: so what nobody may look at any more, and
/// is not gone yet, is little beside what there is.
fn most_open(bounds: Bounds) -> u64 {
    (bounds.bytes / 64).max(64 << 10)
}

/// What is said about a batch when it is put in.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stamp {
    pub(crate) first_id: u64,
    /// When, in nanoseconds by the clock of the store.
    pub(crate) stored: i64,
    pub(crate) is_recovered: bool,
}

#[cfg(all(test, not(underpin_loom)))]
mod tests {
    use proptest::prelude::*;

    use super::super::batch::Stub;
    use super::super::event::Event;
    use super::super::sample::{at, source};
    use super::*;

    fn add(shelf: &mut Shelf, batch: Batch, stamp: Stamp, bounds: Bounds) -> Arc<Chunk> {
        let chunk = shelf.add(batch, stamp);
        shelf.tidy(bounds);
        chunk
    }

    /// Events with so many bytes, that happened then.
    fn batch(events: &[(u64, u32)]) -> Batch {
        let mut batch = Batch::with_capacity(events.len(), source(None));
        for (wall, bytes) in events {
            let event = Event::of("a", "x").happened_at(at(*wall));
            let stub = Stub { bytes: *bytes, ..Stub::of(&event).expect("it is allowed") };
            batch.push(event, stub);
        }
        batch
    }

    #[derive(Clone, Debug)]
    enum Step {
        /// So many numbers are passed over.
        Add(Vec<(u64, u32)>, u64),
        /// So much time passes, and old ones go.
        Expire(i64),
        PruneTime(u64),
        PruneId(u64),
    }

    fn step() -> impl Strategy<Value = Step> {
        let events = prop::collection::vec((0..50_u64, prop_oneof![1..100_u32, Just(40_000)]), 1..40);
        prop_oneof![
            8 => (events, 0..3_u64).prop_map(|(events, gap)| Step::Add(events, gap)),
            1 => (0..30_i64).prop_map(Step::Expire),
            1 => (0..50_u64).prop_map(Step::PruneTime),
            1 => (0..40_u64).prop_map(Step::PruneId),
        ]
    }

    fn bounds() -> impl Strategy<Value = Bounds> {
        let bytes = prop_oneof![0..500_u64, Just(1 << 20), Just(u64::MAX)];
        (1..200_u64, bytes, prop::option::of(1..40_u64)).prop_map(|(events, bytes, age)| Bounds {
            events,
            bytes,
            age,
        })
    }

    #[derive(Clone, Copy)]
    struct Known {
        id: u64,
        order: u64,
        bytes: u64,
        stored: i64,
    }

    /// A shelf that looks at everything each time.
    #[derive(Default)]
    struct Naive {
        all: Vec<Known>,
        first: usize,
        pruned: u64,
        next_id: u64,
        now: i64,
    }

    impl Naive {
        fn there(&self) -> &[Known] {
            &self.all[self.first..]
        }

        fn bytes(&self) -> u64 {
            self.there().iter().map(|known| known.bytes).sum()
        }

        fn add(&mut self, events: &[(u64, u32)], bounds: Bounds) {
            for (wall, bytes) in events {
                self.next_id += 1;
                let order = self.all.last().map_or(*wall, |last| last.order.max(*wall));
                let (id, bytes, stored) = (self.next_id, u64::from(*bytes), self.now);
                self.all.push(Known { id, order, bytes, stored });
            }
            while self.there().len() as u64 > bounds.events
                || (self.bytes() > bounds.bytes && self.there().len() > 1)
            {
                self.first += 1;
            }
        }

        fn prune(&mut self, is_old: impl Fn(&Known) -> bool) -> u64 {
            let old = self.there().iter().take_while(|known| is_old(known)).count();
            self.first += old;
            self.pruned += old as u64;
            old as u64
        }
    }

    fn do_both(shelf: &mut Shelf, naive: &mut Naive, bounds: Bounds, step: &Step) {
        match step {
            Step::Add(events, gap) => {
                naive.next_id += gap;
                let stamp = Stamp { first_id: naive.next_id + 1, stored: naive.now, is_recovered: false };
                naive.add(events, bounds);
                let chunk = add(shelf, batch(events), stamp, bounds);
                assert_eq!((chunk.first_id, chunk.stubs.len()), (stamp.first_id, events.len()));
            }
            Step::Expire(passed) => {
                naive.now += passed;
                let now = naive.now;
                let is_old = |known: &Known| bounds.age.is_some_and(|age| known.stored + age as i64 <= now);
                assert_eq!(shelf.expire(now, bounds), naive.prune(is_old));
            }
            Step::PruneTime(time) => {
                assert_eq!(shelf.prune(Until::Time(*time)), naive.prune(|known| known.order < *time));
            }
            Step::PruneId(back) => {
                let until = naive.next_id.saturating_sub(*back);
                assert_eq!(shelf.prune(Until::Id(until)), naive.prune(|known| known.id < until));
            }
        }
    }

    fn compare(shelf: &Shelf, naive: &Naive, bounds: Bounds) {
        let view = shelf.view();
        let (first, end) = (naive.first as u64, naive.all.len() as u64);
        assert_eq!((view.first, view.end, view.pruned), (first, end, naive.pruned));
        assert_eq!((view.bytes, view.current()), (naive.bytes(), naive.there().len() as u64));
        let gone = naive.first.checked_sub(1).map_or(0, |last| naive.all[last].id);
        assert_eq!(view.gone, gone);
        let found = (first..end).map(|at| view.entry_at(at).expect("it is there"));
        let found: Vec<_> = found.map(|entry| (entry.id().get(), entry.stub().order)).collect();
        assert_eq!(found, naive.there().iter().map(|known| (known.id, known.order)).collect::<Vec<_>>());
        assert!(view.entry_at(end).is_none() && (0..first).all(|at| view.entry_at(at).is_none()));
        let oldest = naive.there().first().map(|known| known.stored);
        let expiry = oldest.zip(bounds.age).map(|(stored, age)| stored + age as i64);
        assert_eq!(shelf.next_expiry(bounds), expiry);
    }

    /// Of all that is kept, also of what nobody may look at any more.
    fn kept_bytes(view: &View) -> u64 {
        let sealed = view.sealed.iter().flat_map(|segment| &segment.chunks);
        sealed.chain(view.open.iter()).map(|chunk| chunk.bytes).sum()
    }

    proptest! {
        #[test]
        fn a_shelf_has_what_a_naive_one_has(bounds in bounds(), steps in prop::collection::vec(step(), 1..60)) {
            let (mut shelf, mut naive) = (Shelf::default(), Naive::default());
            for step in &steps {
                do_both(&mut shelf, &mut naive, bounds, step);
                compare(&shelf, &naive, bounds);
            }
        }
    }

    #[test]
    fn what_is_kept_beyond_the_bounds_is_little() {
        let bounds = Bounds { events: 100, bytes: 20 << 20, age: None };
        let (mut shelf, one) = (Shelf::default(), 1 << 20);
        for first_id in 1..2_000 {
            let stamp = Stamp { first_id, stored: 0, is_recovered: false };
            add(&mut shelf, batch(&[(0, one)]), stamp, bounds);
            let kept = kept_bytes(shelf.view());
            assert!(kept <= bounds.bytes + 2 * u64::from(one), "{kept} bytes after {first_id} events");
        }
        assert_eq!(shelf.view().current(), 20);
    }

    #[test]
    fn a_segment_has_about_a_thousand_small_events_and_goes_as_a_whole() {
        let bounds = Bounds { events: 3 * SEGMENT, bytes: u64::MAX, age: None };
        let mut shelf = Shelf::default();
        for n in 0..10 * SEGMENT {
            let stamp = Stamp { first_id: n + 1, stored: 0, is_recovered: false };
            add(&mut shelf, batch(&[(n, 10)]), stamp, bounds);
            let view = shelf.view();
            assert!(view.sealed.iter().all(|segment| segment.end() - segment.first() == SEGMENT));
            assert!(view.sealed.len() <= 4 && view.end - view.open_from() < SEGMENT);
        }
    }

    #[test]
    fn a_view_that_was_taken_does_not_change() {
        let bounds = Bounds { events: 50, bytes: u64::MAX, age: None };
        let mut shelf = Shelf::default();
        let add_ten = |shelf: &mut Shelf, first_id| {
            let stamp = Stamp { first_id, stored: 0, is_recovered: false };
            add(shelf, batch(&[(0, 10); 10]), stamp, bounds);
        };
        (0..5).for_each(|n| add_ten(&mut shelf, 1 + 10 * n));
        let before = shelf.view().clone();
        (5..500).for_each(|n| add_ten(&mut shelf, 1 + 10 * n));
        assert_eq!((before.first, before.end, before.bytes), (0, 50, 500));
        let found: Vec<_> = (0..50).map(|at| before.entry_at(at).expect("it is there").id().get()).collect();
        assert_eq!(found, (1..=50).collect::<Vec<_>>());
    }
}
