//! Records: payloads as they stand in a segment, one after the other.
//!
//! A record is `crc32 u32 | len u32 | kind u8 | payload`, little endian, padded with zeros to 8 bytes. The
//! crc covers the length, the kind and the payload, and begins with the journal's salt: what was copied out
//! of another journal and is stored as a payload never looks like a record of this one.

use std::ops::Range;

/// How many bytes a payload has at most: an event's data of 1 MiB, and 64 KiB for what is around it.
pub(crate) const MAX_PAYLOAD_BYTES: usize = (1 << 20) + (64 << 10);

/// How many bytes stand before a payload.
const HEAD: usize = 9;
/// Records begin at multiples of this, so that the search for one after a broken place is a short one.
const ALIGNMENT: usize = 8;
/// How many bytes the search for valid records checks in vain, in one segment, before the rest counts as
/// broken: bytes that are made to look like long records would otherwise take hours.
const SEARCH_BYTES: usize = 1 << 30;

/// What a record is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A payload.
    Data,
    /// How far its segment was synced when it was written: all before that offset is durable.
    Mark,
    /// How many records were not journaled before it, and since when.
    Gap,
}

impl Kind {
    // Far apart, and none is zero: zeros are no records.
    fn byte(self) -> u8 {
        match self {
            Self::Data => 0xD1,
            Self::Mark => 0xA6,
            Self::Gap => 0x3B,
        }
    }

    fn of(byte: u8) -> Option<Self> {
        [Self::Data, Self::Mark, Self::Gap].into_iter().find(|kind| kind.byte() == byte)
    }
}

/// A payload that is over the limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a payload has at most {MAX_PAYLOAD_BYTES} bytes, not {found}")]
pub(crate) struct TooLarge {
    /// How many bytes it has.
    pub(crate) found: usize,
}

/// Makes records of one journal, and knows them when it sees them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Encoder {
    /// The crc of the salt, which every other begins with.
    start: u32,
}

/// Records of payloads, one after the other. Only an [`Encoder`] adds to them: they are whole, and counted.
#[derive(Debug, Default)]
pub(crate) struct Group {
    bytes: Vec<u8>,
    records: u64,
}

impl Group {
    /// An empty one, in the memory of what was there before.
    pub(crate) fn within(mut memory: Vec<u8>) -> Self {
        memory.clear();
        Self { bytes: memory, records: 0 }
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub(crate) fn records(&self) -> u64 {
        self.records
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Behind its own records, those of another. Returns memory that is not needed any more.
    pub(crate) fn append(&mut self, other: Self) -> Vec<u8> {
        self.records += other.records;
        if self.bytes.is_empty() {
            return std::mem::replace(&mut self.bytes, other.bytes);
        }
        self.bytes.extend_from_slice(&other.bytes);
        other.bytes
    }

    /// Its memory, for another.
    pub(crate) fn into_memory(self) -> Vec<u8> {
        self.bytes
    }
}

impl Encoder {
    pub(super) fn new(salt: u64) -> Self {
        Self { start: crc32fast::hash(&salt.to_le_bytes()) }
    }

    /// Appends a record, whose payload `fill` appends.
    ///
    /// # Errors
    ///
    /// When that is too long: nothing is appended then.
    pub(crate) fn encode(self, into: &mut Group, fill: impl FnOnce(&mut Vec<u8>)) -> Result<(), TooLarge> {
        self.append(&mut into.bytes, Kind::Data, fill)?;
        into.records += 1;
        Ok(())
    }

    /// Appends that all before `synced` is durable.
    pub(super) fn mark(self, into: &mut Vec<u8>, synced: u64) {
        // Eight bytes are not too many.
        let _ = self.append(into, Kind::Mark, |into| into.extend_from_slice(&synced.to_le_bytes()));
    }

    /// Appends that so many records are not there, the first since `since_ns`.
    pub(super) fn gap(self, into: &mut Vec<u8>, records: u64, since_ns: u64) {
        let words = [records.to_le_bytes(), since_ns.to_le_bytes()].concat();
        let _ = self.append(into, Kind::Gap, |into| into.extend_from_slice(&words));
    }

    fn append(self, into: &mut Vec<u8>, kind: Kind, fill: impl FnOnce(&mut Vec<u8>)) -> Result<(), TooLarge> {
        let from = into.len();
        let body = from + HEAD;
        into.resize(body, 0);
        fill(into);
        into.resize(into.len().max(body), 0);
        let found = into.len() - body;
        let Some(len) = u32::try_from(found).ok().filter(|_| found <= MAX_PAYLOAD_BYTES) else {
            into.truncate(from);
            return Err(TooLarge { found });
        };
        into[from + 4..from + 8].copy_from_slice(&len.to_le_bytes());
        into[from + 8] = kind.byte();
        let crc = self.crc(&into[from + 4..]);
        into[from..from + 4].copy_from_slice(&crc.to_le_bytes());
        into.resize(from + padded(HEAD + found), 0);
        Ok(())
    }

    fn crc(self, bytes: &[u8]) -> u32 {
        let mut hasher = crc32fast::Hasher::new_with_initial(self.start);
        hasher.update(bytes);
        hasher.finalize()
    }

    /// The record at an offset, if there is a valid one.
    fn valid(self, bytes: &[u8], at: usize) -> Option<Record<'_>> {
        peek(bytes, at).filter(|record| self.is_valid(bytes, record))
    }

    fn is_valid(self, bytes: &[u8], record: &Record<'_>) -> bool {
        let at = record.offset;
        let (crc, covered) = (&bytes[at..at + 4], &bytes[at + 4..at + HEAD + record.payload.len()]);
        crc == self.crc(covered).to_le_bytes()
    }
}

fn padded(bytes: usize) -> usize {
    bytes.next_multiple_of(ALIGNMENT)
}

/// A record where it stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Record<'a> {
    pub(super) offset: usize,
    pub(super) kind: Kind,
    pub(super) payload: &'a [u8],
}

impl Record<'_> {
    /// Where the next one begins.
    pub(super) fn end(&self) -> usize {
        self.offset + padded(HEAD + self.payload.len())
    }

    /// Where the payload begins, from where the record does.
    pub(super) fn payload_at(&self) -> usize {
        HEAD
    }

    /// The numbers that a mark or a gap is made of.
    pub(super) fn word(&self, nth: usize) -> Option<u64> {
        let bytes = self.payload.get(nth * 8..nth * 8 + 8)?;
        Some(u64::from_le_bytes(bytes.try_into().ok()?))
    }
}

/// What looks like a record at an offset. Whether it is one, its crc says.
pub(super) fn peek(bytes: &[u8], at: usize) -> Option<Record<'_>> {
    let head = bytes.get(at..at.checked_add(HEAD)?)?;
    let kind = Kind::of(head[8])?;
    let len = u32::from_le_bytes(head[4..8].try_into().ok()?) as usize;
    let body = at + HEAD;
    let payload = bytes.get(body..body + len).filter(|_| len <= MAX_PAYLOAD_BYTES)?;
    Some(Record { offset: at, kind, payload })
}

/// Where what is not zero ends, as a multiple of the alignment.
pub(super) fn content_end(bytes: &[u8]) -> usize {
    const STEP: usize = 256;
    let mut end = bytes.len();
    // Whole steps first: a compare of them is many times faster than a look at each byte.
    while end >= STEP && bytes[end - STEP..end] == [0; STEP] {
        end -= STEP;
    }
    let last = bytes[..end].iter().rposition(|byte| *byte != 0);
    last.map_or(0, |last| padded(last + 1))
}

/// What is found in a segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Found<'a> {
    Record(Record<'a>),
    /// No valid record begins there.
    Broken(Range<usize>),
}

/// Looks through the bytes of a segment. It ends where there are only zeros.
#[derive(Debug)]
pub(super) struct Scanner<'a> {
    encoder: Encoder,
    bytes: &'a [u8],
    at: usize,
    content_end: usize,
    /// What may still be checked in vain.
    budget: usize,
}

impl<'a> Scanner<'a> {
    pub(super) fn new(encoder: Encoder, bytes: &'a [u8], from: usize) -> Self {
        Self { encoder, bytes, at: from, content_end: content_end(bytes), budget: SEARCH_BYTES }
    }

    /// Whether the search was ended before the segment did.
    pub(super) fn is_exhausted(&self) -> bool {
        self.budget == 0
    }

    /// Skips to where a valid record begins.
    fn search(&mut self) {
        while self.at < self.content_end {
            self.at += ALIGNMENT;
            let Some(record) = peek(self.bytes, self.at) else { continue };
            if self.encoder.is_valid(self.bytes, &record) {
                return;
            }
            self.budget = self.budget.saturating_sub(record.payload.len());
            if self.is_exhausted() {
                break;
            }
        }
        self.at = self.content_end;
    }
}

impl<'a> Iterator for Scanner<'a> {
    type Item = Found<'a>;

    fn next(&mut self) -> Option<Found<'a>> {
        if self.at >= self.content_end {
            return None;
        }
        if let Some(record) = self.encoder.valid(self.bytes, self.at) {
            self.at = record.end();
            return Some(Found::Record(record));
        }
        let from = self.at;
        self.search();
        Some(Found::Broken(from..self.at))
    }
}

#[cfg(all(test, not(underpin_loom)))]
mod tests {
    use super::*;
    use proptest::collection::vec;
    use proptest::prelude::*;

    const ENCODER: Encoder = Encoder { start: 0x1234_5678 };

    fn group_of(payloads: &[Vec<u8>]) -> Group {
        let mut group = Group::default();
        for payload in payloads {
            ENCODER.encode(&mut group, |into| into.extend_from_slice(payload)).expect("it is short");
        }
        group
    }

    fn group(payloads: &[Vec<u8>]) -> Vec<u8> {
        group_of(payloads).into_memory()
    }

    fn payloads(bytes: &[u8]) -> Vec<Vec<u8>> {
        let records = Scanner::new(ENCODER, bytes, 0).filter_map(|found| match found {
            Found::Record(record) => Some(record.payload.to_vec()),
            Found::Broken(_) => None,
        });
        records.collect()
    }

    #[test]
    fn a_record_stands_as_it_is_described() {
        let mut group = Group::default();
        Encoder::new(7).encode(&mut group, |into| into.extend_from_slice(b"abc")).expect("it is short");
        let mut covered = 7_u64.to_le_bytes().to_vec();
        covered.extend_from_slice(&[3, 0, 0, 0, 0xD1, b'a', b'b', b'c']);
        let mut expected = crc32fast::hash(&covered).to_le_bytes().to_vec();
        expected.extend_from_slice(&covered[8..]);
        expected.resize(16, 0);
        assert_eq!((group.bytes(), group.records()), (&expected[..], 1));
    }

    #[test]
    fn a_payload_over_the_limit_is_refused_and_leaves_nothing() {
        let mut group = group_of(&[vec![1]]);
        let before = group.bytes().to_vec();
        let of = |bytes: usize| move |into: &mut Vec<u8>| into.resize(into.len() + bytes, 7);
        let found = MAX_PAYLOAD_BYTES + 1;
        assert_eq!(ENCODER.encode(&mut group, of(found)), Err(TooLarge { found }));
        assert_eq!((group.bytes(), group.records()), (&before[..], 1));
        assert_eq!(ENCODER.encode(&mut group, of(MAX_PAYLOAD_BYTES)), Ok(()));
        assert_eq!((group.records(), payloads(group.bytes()).len()), (2, 2));
    }

    #[test]
    fn a_closure_that_takes_away_more_than_it_gave_does_no_harm() {
        let mut group = Group::default();
        assert_eq!(ENCODER.encode(&mut group, Vec::clear), Ok(()));
        assert_eq!(payloads(group.bytes()), [Vec::<u8>::new()]);
    }

    #[test]
    fn records_of_another_journal_are_no_records() {
        let mut group = Group::default();
        Encoder::new(2).encode(&mut group, |into| into.extend_from_slice(b"other")).expect("it is short");
        let other = group.into_memory();
        assert_eq!(payloads(&other), Vec::<Vec<u8>>::new());
        let found: Vec<_> = Scanner::new(ENCODER, &other, 0).collect();
        assert_eq!(found, [Found::Broken(0..16)]);
    }

    #[test]
    fn the_records_after_a_broken_place_are_found() {
        let all = [vec![1; 20], vec![2; 20], vec![3; 20]];
        let mut bytes = group(&all);
        let second = bytes.len() / 3;
        bytes[second + 12] ^= 1;
        bytes.resize(bytes.len() + 1000, 0);
        assert_eq!(payloads(&bytes), [all[0].clone(), all[2].clone()]);
        let broken = Scanner::new(ENCODER, &bytes, 0).find(|found| matches!(found, Found::Broken(_)));
        assert_eq!(broken, Some(Found::Broken(second..2 * second)));
    }

    #[test]
    fn zeros_between_records_are_a_broken_place_and_zeros_behind_them_the_end() {
        let one = group(&[vec![1; 7]]);
        let bytes = [&one[..], &[0; 64], &one, &[0; 640]].concat();
        let found: Vec<_> = Scanner::new(ENCODER, &bytes, 0).collect();
        assert_eq!(found[1], Found::Broken(16..80));
        assert_eq!(found.len(), 3);
    }

    #[test]
    fn a_search_among_what_looks_like_long_records_comes_to_an_end() {
        let mut look_alike = [0; 16];
        look_alike[4..8].copy_from_slice(&(1_u32 << 20).to_le_bytes());
        look_alike[8] = Kind::Data.byte();
        let bytes = look_alike.repeat(1 << 17);
        let mut scanner = Scanner::new(ENCODER, &bytes, 0);
        scanner.budget = 8 << 20;
        assert_eq!(scanner.next(), Some(Found::Broken(0..bytes.len())));
        assert!(scanner.is_exhausted());
    }

    proptest! {
        #[test]
        fn what_is_encoded_is_found_again(all in vec(vec(any::<u8>(), 0..50), 0..20), zeros in 0_usize..600) {
            let group = group_of(&all);
            prop_assert_eq!(group.records(), all.len() as u64);
            let mut bytes = group.into_memory();
            bytes.resize(bytes.len() + zeros, 0);
            prop_assert_eq!(payloads(&bytes), all);
        }

        #[test]
        fn a_group_behind_another_is_as_if_encoded_into_it(
            one in vec(vec(any::<u8>(), 0..50), 0..9), other in vec(vec(any::<u8>(), 0..50), 0..9),
        ) {
            let mut both = group_of(&one);
            let memory = both.append(group_of(&other));
            let expected = group(&[one.clone(), other.clone()].concat());
            prop_assert_eq!((both.bytes(), both.records()), (&expected[..], (one.len() + other.len()) as u64));
            let again = Group::within(memory);
            prop_assert!(again.is_empty() && again.records() == 0);
        }

        #[test]
        fn garbage_is_broken_as_a_whole_up_to_its_zeros(bytes in vec(any::<u8>(), 0..3000), from in 0_usize..64) {
            let mut at = from;
            for found in Scanner::new(ENCODER, &bytes, from) {
                let Found::Broken(range) = found else { panic!("{found:?}") };
                prop_assert_eq!(range.start, at);
                at = range.end;
            }
            prop_assert!(at >= content_end(&bytes));
        }

        #[test]
        fn content_ends_with_the_last_byte_that_is_not_zero(bytes in vec(0_u8..2, 0..40), zeros in 0_usize..2000) {
            let mut bytes = bytes;
            bytes.resize(bytes.len() + zeros, 0);
            let naive = (0..bytes.len()).filter(|at| bytes[*at] != 0).map(|at| at + 1).max().unwrap_or(0);
            prop_assert_eq!(content_end(&bytes), naive.div_ceil(8) * 8);
        }

        #[test]
        fn a_flipped_bit_is_in_the_padding_or_breaks_its_record(
            all in vec(vec(any::<u8>(), 0..30), 1..6), place in any::<prop::sample::Index>(), bit in 0..8,
        ) {
            let mut bytes = group(&all);
            let at = place.index(bytes.len());
            bytes[at] ^= 1_u8 << bit;
            let left = payloads(&bytes);
            prop_assert!(left == all || left.len() < all.len());
            prop_assert!(left.iter().all(|payload| all.contains(payload)));
        }
    }
}
