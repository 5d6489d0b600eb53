//! What is made of a segment that was found: what is taken, what is cut, what is corrupt.
//!
//! A place is broken where no valid record begins. What was synced before a crash cannot be broken by it, so:
//! a broken place before the last offset that is known to have been synced is corruption; any other is what a
//! crash left of a write, and is cut, with all behind it, for nobody was told that it is durable.
//!
//! How far a segment was synced, the one after it says in its header, and else its own marks do. Nothing says
//! so of the very last group before a crash: if that is broken later, it is cut too, and reported as such.

use std::ops::{Range, RangeInclusive};
use std::path::PathBuf;

use super::record::{self, Encoder, Found, Kind, Record, Scanner};
use super::segment::HEADER;

/// How many corrupt places, gaps and foreign files are listed at most; all are counted.
const MAX_LISTED: usize = 1000;

/// What was found when a journal was opened.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Recovery {
    /// Records that were taken.
    pub records: u64,
    /// Bytes of the segments that were looked through, without the zeros behind them.
    pub bytes: u64,
    /// Segments.
    pub segments: u64,
    /// The number of the oldest: 1 if none was deleted before it, 0 if there is none.
    pub first_segment: u64,
    /// What a crash left of the last writes: it was cut.
    pub torn: Option<Torn>,
    /// Places that are not what was written there, which were skipped. The first 1,000.
    pub corrupt: Vec<Corrupt>,
    /// How many there are.
    pub corrupt_places: u64,
    /// Where records were not journaled at the time. The first 1,000.
    pub gaps: Vec<Gap>,
    /// How many records that were in all.
    pub gap_records: u64,
    /// Segments that are missing between others, by number.
    pub missing: Vec<RangeInclusive<u64>>,
    /// Files that are no segments, by their names, which were left alone. The first 1,000.
    pub foreign: Vec<PathBuf>,
    /// A segment in whose making the program was stopped: it had no records, and was removed.
    pub unfinished: Option<PathBuf>,
}

/// What a crash left of the last writes: nobody was told that it is durable.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Torn {
    /// The segment.
    pub file: PathBuf,
    /// Where it begins.
    pub offset: u64,
    /// How many bytes there are up to the last that is not zero.
    pub bytes: u64,
    /// How many whole records were among them, behind the first that is not.
    pub records: u64,
}

/// A place that is not what was written there.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Corrupt {
    /// The segment.
    pub file: PathBuf,
    /// Where it begins.
    pub offset: u64,
    /// How many bytes.
    pub bytes: u64,
    /// What was expected.
    pub reason: String,
}

/// Records that are not in the journal, as it says itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Gap {
    /// How many.
    pub records: u64,
    /// When the first was not journaled, in nanoseconds of wall time since 1970.
    pub since_ns: u64,
}

impl Gap {
    /// Both as one.
    pub(super) fn and(self, other: Option<Self>) -> Self {
        let Some(other) = other else { return self };
        let records = self.records.saturating_add(other.records);
        Self { records, since_ns: self.since_ns.min(other.since_ns) }
    }

    pub(super) fn of(record: &Record<'_>) -> Option<Self> {
        let is_gap = record.kind == Kind::Gap;
        let gap = || Some(Self { records: record.word(0)?, since_ns: record.word(1)? });
        is_gap.then(gap).flatten()
    }
}

impl Recovery {
    pub(super) fn add_corrupt(&mut self, corrupt: Corrupt) {
        self.corrupt_places += 1;
        if self.corrupt.len() < MAX_LISTED {
            self.corrupt.push(corrupt);
        }
    }

    pub(super) fn add_gap(&mut self, gap: Gap) {
        self.gap_records = self.gap_records.saturating_add(gap.records);
        if self.gaps.len() < MAX_LISTED {
            self.gaps.push(gap);
        }
    }

    pub(super) fn add_foreign(&mut self, files: impl IntoIterator<Item = PathBuf>) {
        let room = MAX_LISTED - self.foreign.len().min(MAX_LISTED);
        self.foreign.extend(files.into_iter().take(room));
    }
}

/// How far a segment counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Bound {
    /// It was ended there: all before was synced, and nothing behind it counts.
    At(u64),
    /// It was ended, but what says where is missing. All of it was synced.
    Ended,
    /// It is the last.
    Open,
}

/// What is to be made of a segment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Survey {
    /// Where what is taken ends, and the next record would go.
    pub(super) end: usize,
    /// Before this, all is known to be durable. Only for a last segment.
    pub(super) synced: usize,
    /// What is skipped before that, in order.
    pub(super) corrupt: Vec<Range<usize>>,
    /// What is cut behind it.
    pub(super) torn: Option<Range<usize>>,
    /// How many whole records are among that.
    pub(super) torn_records: u64,
}

/// Looks through all that a segment's file holds. Checks each record once.
pub(super) fn survey(encoder: Encoder, bytes: &[u8], bound: Bound) -> Survey {
    let counts = match bound {
        Bound::At(end) => &bytes[..bytes.len().min(usize::try_from(end).unwrap_or(usize::MAX))],
        Bound::Ended | Bound::Open => bytes,
    };
    let seen = Seen::of(encoder, counts);
    match bound {
        Bound::At(end) => seen.ended(usize::try_from(end).unwrap_or(usize::MAX)),
        Bound::Ended => seen.ended(0),
        Bound::Open => seen.open(counts),
    }
}

/// What stands in a segment.
struct Seen {
    broken: Vec<Range<usize>>,
    /// Where it ends.
    end: usize,
    /// Up to where it is known to have been synced.
    synced: usize,
}

impl Seen {
    fn of(encoder: Encoder, bytes: &[u8]) -> Self {
        let mut seen = Self { broken: Vec::new(), end: HEADER, synced: HEADER };
        let mut scanner = Scanner::new(encoder, bytes, HEADER);
        for found in scanner.by_ref() {
            match found {
                Found::Record(record) => seen.add(&record),
                Found::Broken(range) => {
                    seen.end = range.end;
                    seen.broken.push(range);
                }
            }
        }
        if scanner.is_exhausted() {
            // There may be marks in what was not looked at: rather refused than cut.
            seen.synced = usize::MAX;
        }
        seen
    }

    fn add(&mut self, record: &Record<'_>) {
        self.end = record.end();
        if record.kind == Kind::Mark {
            let synced = record.word(0).and_then(|word| usize::try_from(word).ok()).unwrap_or(0);
            // What a mark says, it says of what is before it.
            self.synced = self.synced.max(synced.min(record.offset));
        }
    }

    /// All that is broken is corrupt, and so is what is not there, before `end`.
    fn ended(mut self, end: usize) -> Survey {
        if self.end < end {
            self.broken.push(self.end..end);
        }
        Survey { end: self.end.max(end), corrupt: self.broken, ..Survey::default() }
    }

    /// What is broken is corrupt as far as it was synced; behind that, all is torn from the first on.
    fn open(mut self, bytes: &[u8]) -> Survey {
        let nth = self.broken.iter().position(|range| range.end > self.synced);
        let Some(nth) = nth else {
            let synced = self.synced.min(self.end);
            return Survey { end: self.end, synced, corrupt: self.broken, ..Survey::default() };
        };
        let broken = self.broken.split_off(nth);
        let first = &broken[0];
        let cut = first.start.max(self.synced);
        if first.start < cut {
            self.broken.push(first.start..cut);
        }
        let torn_records = Walk::new(cut, self.end, &broken).data(bytes);
        let synced = self.synced;
        Survey { end: cut, synced, corrupt: self.broken, torn: Some(cut..self.end), torn_records }
    }
}

impl Survey {
    /// Begins to go through what is taken.
    pub(super) fn walk(&self) -> Walk<'_> {
        Walk::new(HEADER, self.end, &self.corrupt)
    }
}

/// Goes through the records of a segment that was surveyed: it trusts their lengths, and checks nothing again.
#[derive(Debug)]
pub(super) struct Walk<'s> {
    at: usize,
    end: usize,
    broken: &'s [Range<usize>],
}

impl<'s> Walk<'s> {
    fn new(at: usize, end: usize, broken: &'s [Range<usize>]) -> Self {
        Self { at, end, broken }
    }

    /// Continues where another one was, after so many broken places.
    pub(super) fn resume(survey: &'s Survey, at: usize, passed: usize) -> Self {
        Self::new(at, survey.end, survey.corrupt.get(passed..).unwrap_or_default())
    }

    /// The next record or broken place.
    pub(super) fn step<'b>(&mut self, bytes: &'b [u8]) -> Option<Found<'b>> {
        if let Some((range, rest)) = self.broken.split_first().filter(|(range, _)| range.start <= self.at) {
            (self.at, self.broken) = (range.end.max(self.at), rest);
            return Some(Found::Broken(range.clone()));
        }
        let record = record::peek(bytes, self.at).filter(|_| self.at < self.end)?;
        self.at = record.end();
        Some(Found::Record(record))
    }

    pub(super) fn at(&self) -> usize {
        self.at
    }

    /// How many payloads there are.
    fn data(mut self, bytes: &[u8]) -> u64 {
        let mut records = 0;
        while let Some(found) = self.step(bytes) {
            let is_data = matches!(found, Found::Record(Record { kind: Kind::Data, .. }));
            records += u64::from(is_data);
        }
        records
    }
}

#[cfg(all(test, not(underpin_loom)))]
#[allow(clippy::single_range_in_vec_init)] // lists of places, of which there may be one
mod tests {
    use super::record::Group;
    use super::*;
    use proptest::collection::vec;
    use proptest::prelude::*;

    const SALT: u64 = 77;

    /// A segment of groups of records of 16 bytes, each behind a mark of 24 that says how far it was synced.
    fn segment(groups: &[(usize, u64)]) -> Vec<u8> {
        let (encoder, mut bytes) = (Encoder::new(SALT), vec![1; HEADER]);
        for (records, synced) in groups {
            encoder.mark(&mut bytes, *synced);
            let mut group = Group::default();
            for _ in 0..*records {
                encoder.encode(&mut group, |into| into.extend_from_slice(b"seven b")).expect("it is short");
            }
            bytes.extend_from_slice(group.bytes());
        }
        bytes
    }

    fn look(bytes: &[u8], bound: Bound) -> Survey {
        survey(Encoder::new(SALT), bytes, bound)
    }

    /// Two groups of two records; the second says that the first was synced.
    fn two_groups() -> Vec<u8> {
        let mut bytes = segment(&[(2, 64), (2, 120)]);
        assert_eq!(bytes.len(), 176);
        bytes.resize(1024, 0);
        bytes
    }

    #[test]
    fn what_is_whole_is_taken() {
        let bytes = two_groups();
        let expected = Survey { end: 176, ..Survey::default() };
        assert_eq!(look(&bytes, Bound::Open), Survey { synced: 120, ..expected.clone() });
        assert_eq!(look(&bytes, Bound::Ended), expected);
        assert_eq!(look(&bytes, Bound::At(176)), expected);
        assert_eq!(expected.walk().data(&bytes), 4);
    }

    #[test]
    fn a_broken_place_in_what_was_not_synced_is_cut_with_all_behind_it() {
        let mut bytes = two_groups();
        bytes[148] ^= 1;
        let expected =
            Survey { end: 144, synced: 120, torn: Some(144..176), torn_records: 1, ..Survey::default() };
        assert_eq!(look(&bytes, Bound::Open), expected);
    }

    #[test]
    fn a_broken_place_in_what_was_synced_is_corrupt() {
        let mut bytes = two_groups();
        bytes[92] ^= 1;
        let expected = Survey { end: 176, corrupt: vec![88..104], ..Survey::default() };
        assert_eq!(look(&bytes, Bound::Open), Survey { synced: 120, ..expected.clone() });
        assert_eq!(look(&bytes, Bound::At(176)), expected);
        assert_eq!(expected.walk().data(&bytes), 3);
        bytes[148] ^= 1;
        let both = look(&bytes, Bound::Open);
        assert_eq!((both.corrupt, both.torn), (vec![88..104], Some(144..176)));
        assert_eq!(look(&bytes, Bound::Ended).corrupt, [88..104, 144..160]);
    }

    #[test]
    fn a_broken_place_across_the_line_is_corrupt_before_it_and_cut_behind_it() {
        let mut bytes = segment(&[(2, 64), (2, 120), (1, 120)]);
        bytes[108] ^= 1;
        bytes[122] ^= 1;
        let expected =
            Survey { end: 120, synced: 120, corrupt: vec![104..120], torn: Some(120..216), torn_records: 3 };
        assert_eq!(look(&bytes, Bound::Open), expected);
    }

    #[test]
    fn behind_the_end_of_an_ended_segment_nothing_counts() {
        let mut bytes = two_groups();
        bytes[148] ^= 1;
        let survey = look(&bytes, Bound::At(120));
        assert_eq!(survey, Survey { end: 120, ..Survey::default() });
        assert_eq!(survey.walk().data(&bytes), 2);
    }

    #[test]
    fn what_is_missing_before_the_end_is_corrupt() {
        let mut bytes = two_groups();
        bytes[120..].fill(0);
        assert_eq!(look(&bytes, Bound::At(176)).corrupt, [120..176]);
        bytes.truncate(120);
        assert_eq!(look(&bytes, Bound::At(176)).corrupt, [120..176]);
        assert_eq!(look(&bytes[..64], Bound::At(u64::MAX)).corrupt.len(), 1);
    }

    #[test]
    fn lists_are_short_and_counts_are_not() {
        let mut recovery = Recovery::default();
        for records in 0..2000 {
            recovery.add_gap(Gap { records, since_ns: 0 });
            let file = PathBuf::from("x");
            recovery.add_foreign([file.clone()]);
            recovery.add_corrupt(Corrupt { file, offset: 0, bytes: 1, reason: String::new() });
        }
        assert_eq!((recovery.gaps.len(), recovery.gap_records), (1000, 1999 * 1000));
        assert_eq!((recovery.corrupt.len(), recovery.corrupt_places), (1000, 2000));
        assert_eq!(recovery.foreign.len(), 1000);
    }

    fn taken(survey: &Survey, bytes: &[u8]) -> usize {
        let (mut walk, mut at) = (survey.walk(), HEADER);
        while let Some(found) = walk.step(bytes) {
            let start = match found {
                Found::Record(record) => record.offset,
                Found::Broken(range) => range.start,
            };
            assert_eq!(start, at, "nothing is passed over");
            at = walk.at();
        }
        at
    }

    proptest! {
        #[test]
        fn all_up_to_the_end_is_taken_or_reported(
            groups in vec((0_usize..4, 0_u64..400), 0..6), flips in vec((any::<prop::sample::Index>(), 0..8), 0..4),
            zeros in 0_usize..300, bound in prop_oneof![Just(Bound::Open), Just(Bound::Ended), (0_u64..500).prop_map(Bound::At)],
        ) {
            let mut bytes = segment(&groups);
            for (place, bit) in flips {
                let at = place.index(bytes.len());
                bytes[at] ^= 1_u8 << bit;
            }
            bytes.resize(bytes.len() + zeros, 0);
            let survey = look(&bytes, bound);
            prop_assert_eq!(taken(&survey, &bytes), survey.end);
        }

        #[test]
        fn garbage_is_surveyed(bytes in vec(any::<u8>(), 0..1000), end in any::<u64>()) {
            for bound in [Bound::Open, Bound::Ended, Bound::At(end % 2000), Bound::At(end)] {
                let _ = look(&bytes, bound);
            }
        }
    }
}
