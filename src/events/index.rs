//! Where events of one correlation, kind, stream or parent are.

use std::ops::Range;
use std::sync::Arc;

use super::batch::{Stub, parent_key};
use super::segment::Segment;

/// By what events are found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Field {
    Correlation,
    Kind,
    Stream,
    Parent,
}

impl Field {
    /// In this order they have their places in arrays.
    pub(crate) const ALL: [Self; 4] = [Self::Correlation, Self::Kind, Self::Stream, Self::Parent];

    /// The key of an event; 0 if it has none.
    pub(crate) fn key(self, stub: &Stub) -> u64 {
        match self {
            Self::Correlation => stub.correlation,
            Self::Kind => stub.kind,
            Self::Stream => stub.stream,
            Self::Parent if stub.parent == 0 => 0,
            Self::Parent => parent_key(stub.parent),
        }
    }
}

/// Where in a shard the sealed events of one correlation, kind, stream or parent are. Cheap to clone; a clone
/// does not change.
///
/// It consists of runs that follow one another. Each segment begins one; small ones are merged into larger
/// ones, so that of a million events there are about 30, and an event is moved twice.
///
/// Of a key half the bits are kept. Others may share them: what is found has to be looked at.
#[derive(Clone, Debug, Default)]
pub(crate) struct Index {
    runs: Arc<Vec<Arc<Run>>>,
}

/// Runs smaller than that are merged as soon as together they are not.
const SMALL: u64 = 8 * 1024;
/// So are larger ones below that. Beyond it a merge would hold up the shard for more than a millisecond.
const LARGE: u64 = 64 * 1024;

impl Index {
    /// Takes a sealed segment in; segments come in their order.
    pub(crate) fn add(&mut self, segment: &Segment) {
        let runs = Arc::make_mut(&mut self.runs);
        runs.push(Arc::new(Run::of(segment)));
        if let Some(from) = mergeable(runs, LARGE).or_else(|| mergeable(runs, SMALL)) {
            let merged = Run::merged(&runs[from..]);
            runs.truncate(from);
            runs.push(Arc::new(merged));
        }
    }

    /// Forgets what lies wholly before a position.
    pub(crate) fn forget_before(&mut self, first: u64) {
        let gone = self.runs.partition_point(|run| run.end <= first);
        if gone > 0 {
            Arc::make_mut(&mut self.runs).drain(..gone);
        }
    }

    /// The positions in a range at which there may be events with a key, in their order. A run is looked
    /// at when it is its turn.
    pub(crate) fn walk(
        &self,
        field: Field,
        key: u64,
        range: Range<u64>,
    ) -> impl DoubleEndedIterator<Item = u64> + '_ {
        self.runs_in(&range).iter().flat_map(move |run| run.find(field, key, range.clone()))
    }

    /// About how many positions `walk` would give, and never less. Looks at every run, not at every position.
    pub(crate) fn estimate(&self, field: Field, key: u64, range: &Range<u64>) -> usize {
        let buckets = self.runs_in(range).iter().map(|run| run.postings[field as usize].bucket(key));
        buckets.map(<[_]>::len).sum()
    }

    fn runs_in(&self, range: &Range<u64>) -> &[Arc<Run>] {
        let from = self.runs.partition_point(|run| run.end <= range.start);
        let to = self.runs.partition_point(|run| run.first < range.end);
        &self.runs[from..to.max(from)]
    }
}

/// From where on the last runs, each smaller than that, are together at least as large.
fn mergeable(runs: &[Arc<Run>], size: u64) -> Option<usize> {
    let last = runs.iter().rev().take_while(|run| run.len() < size);
    let (count, events) = last.fold((0, 0), |(count, events), run| (count + 1, events + run.len()));
    (events >= size).then(|| runs.len() - count)
}

/// Events that follow one another, by their keys.
#[derive(Debug)]
struct Run {
    first: u64,
    end: u64,
    postings: [Postings; 4],
}

impl Run {
    fn of(segment: &Segment) -> Self {
        let (first, end) = (segment.first(), segment.end());
        let mut found = Vec::with_capacity((end - first) as usize);
        let postings = Field::ALL.map(|field| {
            found.clear();
            for chunk in &segment.chunks {
                let keys = (chunk.first - first..).zip(chunk.stubs.iter().map(|stub| field.key(stub)));
                found.extend(keys.filter(|(_, key)| *key != 0).map(|(at, key)| tag(key) | at));
            }
            Postings::of(&[(&found, 0)])
        });
        Self { first, end, postings }
    }

    /// One of several that follow one another.
    fn merged<'a>(runs: &'a [Arc<Self>]) -> Self {
        let (first, end) = (runs[0].first, runs[runs.len() - 1].end);
        let postings = Field::ALL.map(|field| {
            let part = |run: &'a Arc<Self>| (&run.postings[field as usize].kept[..], run.first - first);
            Postings::of(&runs.iter().map(part).collect::<Vec<_>>())
        });
        Self { first, end, postings }
    }

    fn len(&self) -> u64 {
        self.end - self.first
    }

    /// The positions in a range.
    fn find(&self, field: Field, key: u64, range: Range<u64>) -> impl DoubleEndedIterator<Item = u64> + '_ {
        let within = |position: u64| position.clamp(self.first, self.end) - self.first;
        let found = self.postings[field as usize].find(key, within(range.start)..within(range.end));
        found.map(|offset| self.first + offset)
    }
}

/// A key's upper half and, in the lower half, where in its run the event is.
type Posting = u64;

fn tag(key: u64) -> Posting {
    key & 0xFFFF_FFFF_0000_0000
}

fn offset(posting: Posting) -> u64 {
    posting & 0xFFFF_FFFF
}

/// Postings in buckets. Keys are hashes: their upper bits say in which bucket they are.
#[derive(Debug, Default)]
struct Postings {
    /// Bucket after bucket. Those of one key are in the order of positions; in a bucket that is not tiny all
    /// are in the order of keys.
    kept: Vec<Posting>,
    /// Where the buckets begin, and where the last ends.
    starts: Vec<u32>,
    /// What to shift a posting by to get its bucket.
    shift: u32,
}

/// How many postings a bucket has, about.
const PER_BUCKET: usize = 4;
/// How many are looked at one by one. More there are only where a key has many: these have to be found,
/// and others beside them too, without a look at each.
const TINY: usize = 32;

impl Postings {
    /// Each part is unsorted in the order of positions, or bucket by bucket as others have them, and is so much
    /// further on. They are counted and put where they belong: comparing them takes several times as long.
    fn of(parts: &[(&[Posting], u64)]) -> Self {
        let count = parts.iter().map(|(part, _)| part.len()).sum::<usize>();
        if count == 0 {
            return Self::default();
        }
        let bits = (count / PER_BUCKET).max(2).ilog2();
        let (shift, mut kept) = (u64::BITS - bits, vec![0; count]);
        let mut nexts = starts(parts, 1 << bits, shift);
        for (part, by) in parts {
            for posting in *part {
                let next = &mut nexts[(posting >> shift) as usize + 1];
                kept[*next as usize] = posting + by;
                *next += 1;
            }
        }
        // Where the next of a bucket would be is where the one behind begins.
        let starts = nexts;
        for bucket in starts.windows(2).filter(|bucket| bucket[1] - bucket[0] > TINY as u32) {
            sort(&mut kept[bucket[0] as usize..bucket[1] as usize]);
        }
        Self { kept, starts, shift }
    }

    /// The offsets in a range of those that may have a key, in their order.
    fn find(&self, key: u64, range: Range<u64>) -> impl DoubleEndedIterator<Item = u64> + '_ {
        let mut found = self.bucket(key);
        if found.len() > TINY {
            let before = |offset| found.partition_point(|posting| *posting < tag(key) + offset);
            let (from, to) = (before(range.start), before(range.end));
            found = &found[from..to.max(from)];
        }
        let is_it = move |posting: &u64| tag(*posting) == tag(key) && range.contains(&offset(*posting));
        found.iter().copied().filter(is_it).map(offset)
    }

    fn bucket(&self, key: u64) -> &[Posting] {
        if self.kept.is_empty() {
            return &[];
        }
        let at = (key >> self.shift) as usize;
        &self.kept[self.starts[at] as usize..self.starts[at + 1] as usize]
    }
}

/// A 0, and then where the buckets begin.
fn starts(parts: &[(&[Posting], u64)], buckets: usize, shift: u32) -> Vec<u32> {
    let mut starts = vec![0; buckets + 1];
    let postings = parts.iter().flat_map(|(part, _)| *part);
    postings.for_each(|posting| starts[(posting >> shift) as usize + 1] += 1);
    let mut sum = 0;
    for start in &mut starts[1..] {
        sum += std::mem::replace(start, sum);
    }
    starts
}

/// Mostly they are of one key, and in their order already.
fn sort(bucket: &mut [Posting]) {
    if !bucket.is_sorted() {
        bucket.sort_unstable();
    }
}

#[cfg(all(test, not(underpin_loom)))]
mod tests {
    use proptest::prelude::*;

    use super::super::entry::Chunk;
    use super::super::sample::source;
    use super::*;

    fn stub(key: u64) -> Stub {
        let of = |nth: u32| key.rotate_left(nth).max(1);
        let (wall, order, version, bytes) = (0, 0, 0, 0);
        let stub =
            Stub { correlation: of(0), kind: of(1), stream: 0, parent: 0, wall, order, version, bytes };
        // Some have a stream, some a parent.
        Stub { stream: if key.is_multiple_of(3) { of(2) } else { 0 }, parent: key % 5, ..stub }
    }

    fn segment(first: u64, keys: &[u64]) -> Segment {
        let stubs = keys.iter().map(|key| stub(*key)).collect();
        let (first_id, stored, is_recovered) = (first + 1, 0, false);
        let source = source(None);
        let chunk =
            Chunk { first_id, first, stored, is_recovered, bytes: 0, events: Vec::new(), stubs, source };
        Segment::of(vec![Arc::new(chunk)])
    }

    /// Segments of keys, one after the other.
    fn index(segments: &[Vec<u64>]) -> (Index, Vec<Stub>) {
        let (mut index, mut all) = (Index::default(), Vec::new());
        for keys in segments {
            index.add(&segment(all.len() as u64, keys));
            all.extend(keys.iter().map(|key| stub(*key)));
        }
        (index, all)
    }

    /// A few keys that share their upper bits with others, or all of them.
    fn keys() -> impl Strategy<Value = Vec<u64>> {
        let key = (0..4_u64, 0..3_u64).prop_map(|(upper, lower)| (upper << 62) | (lower << 33) | 1);
        prop_oneof![
            prop::collection::vec(key, 1..300),
            prop::collection::vec(any::<u64>(), 1..300),
            (any::<u64>(), 1..3000_usize).prop_map(|(key, times)| vec![key; times]),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]
        #[test]
        fn it_finds_what_a_look_at_all_finds(
            segments in prop::collection::vec(keys(), 1..30),
            probes in prop::collection::vec(any::<prop::sample::Index>(), 1..6),
            range in any::<[prop::sample::Index; 2]>(),
            gone: prop::sample::Index,
        ) {
            let (mut index, all) = index(&segments);
            let before = index.clone();
            let gone = gone.index(all.len()) as u64;
            index.forget_before(gone);
            let kept = before.runs.iter().filter(|run| run.end > gone).count();
            prop_assert_eq!(index.runs.len(), kept);
            let (from, to) = (range[0].index(all.len() + 1) as u64, range[1].index(all.len() + 2) as u64);
            for stub in probes.iter().map(|probe| probe.get(&all)) {
                for field in Field::ALL {
                    let key = field.key(stub);
                    if key == 0 {
                        continue;
                    }
                    let is_it = |at: &u64| {
                        let found = all.get(*at as usize).map_or(0, |stub| field.key(stub));
                        found != 0 && tag(found) == tag(key)
                    };
                    let expected: Vec<_> = (from..to).filter(is_it).collect();
                    let found: Vec<_> = before.walk(field, key, from..to).collect();
                    prop_assert_eq!(&found, &expected);
                    prop_assert!(before.estimate(field, key, &(from..to)) >= expected.len());
                    let mut backwards: Vec<_> = before.walk(field, key, from..to).rev().collect();
                    backwards.reverse();
                    prop_assert_eq!(backwards, expected);
                    let left: Vec<_> = (from.max(gone)..to).filter(is_it).collect();
                    prop_assert_eq!(index.walk(field, key, from.max(gone)..to).collect::<Vec<_>>(), left);
                }
            }
        }
    }

    #[test]
    fn a_million_events_make_at_most_32_runs_that_follow_one_another() {
        for (size, all) in [(1024, 1_000_000), (2000, 200_000), (9000, 200_000), (70_000, 200_000)] {
            let (mut index, mut end, key) = (Index::default(), 0, |of: u64| parent_key(of % 7));
            while end < all {
                index.add(&segment(end, &(end..end + size).map(key).collect::<Vec<_>>()));
                end += size;
                assert!(index.runs.len() <= 32);
                assert!(index.runs.windows(2).all(|runs| runs[0].end == runs[1].first));
                assert!(index.runs.iter().all(|run| run.len() < 2 * LARGE));
            }
            let found = index.walk(Field::Correlation, key(3), 0..end);
            assert!(found.eq((3..end).step_by(7)), "{size}");
        }
    }

    #[test]
    fn a_clone_does_not_change() {
        let (mut index, _) = index(&[vec![3; 2000], vec![3; 2000]]);
        let before = index.clone();
        index.add(&segment(4000, &[3; 6000]));
        index.forget_before(4000);
        let walked = |index: &Index| index.walk(Field::Correlation, 3, 0..u64::MAX).count();
        assert_eq!((walked(&before), walked(&index)), (4000, 10_000), "a run goes as a whole");
    }

    #[test]
    fn of_nothing_there_is_nothing() {
        let none = Index::default();
        assert_eq!(none.walk(Field::Kind, 1, 0..10).count(), 0);
        let (index, all) = index(&[vec![1, 2], vec![4]]);
        assert_eq!(index.walk(Field::Stream, u64::MAX, 0..10).count(), 0, "none has a stream");
        let kind = all[0].kind;
        let walked = |range| index.walk(Field::Kind, kind, range).collect::<Vec<_>>();
        assert_eq!((walked(2..3), walked(9..100), walked(2..2)), (vec![2], vec![], vec![]));
    }
}
