//! Segments: the files that a journal is made of, their names and headers.

use super::record;

/// How many bytes a header has. Records begin behind it.
pub(super) const HEADER: usize = 64;
/// What this code writes, and all that it reads.
pub(super) const VERSION: u32 = 1;

const MAGIC: [u8; 8] = *b"UNDERPIN";
const EXTENSION: &str = ".journal";
const DIGITS: usize = 20;
/// More segments than this nobody makes: a greater number is not one of ours, and there is always a next one.
const MAX_NUMBER: u64 = u64::MAX >> 1;

/// What the first bytes of a segment say.
///
/// `magic | version u32 | size u32 | salt u64 | number u64 | created u64 | previous end u64 | salt u64 |
/// zeros u32 | crc32 u32`, little endian; the crc covers all before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    /// What the crc of each record begins with; the same in all segments of a journal.
    pub(super) salt: u64,
    /// Which segment it is.
    pub(super) number: u64,
    /// When it was made, in nanoseconds of wall time.
    pub(super) created_ns: u64,
    /// Where the segment before it ends: all before that was synced, nothing behind it counts. 0 if there
    /// was none.
    pub(super) previous_end: u64,
}

/// Why there is no header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum HeaderFault {
    /// It was never, or not wholly, written.
    Unfinished,
    /// Something else stands there.
    Foreign,
    /// It is of another version.
    Version(u32),
    /// It was one, and is not what was written.
    Broken,
}

impl Header {
    pub(super) fn encode(&self) -> [u8; HEADER] {
        let mut bytes = [0; HEADER];
        bytes[..8].copy_from_slice(&MAGIC);
        bytes[8..12].copy_from_slice(&VERSION.to_le_bytes());
        bytes[12..16].copy_from_slice(&64_u32.to_le_bytes());
        // The salt twice: without it, no record could be told after the header is broken.
        let words = [self.salt, self.number, self.created_ns, self.previous_end, self.salt];
        for (place, word) in bytes[16..56].chunks_exact_mut(8).zip(words) {
            place.copy_from_slice(&word.to_le_bytes());
        }
        let crc = crc32fast::hash(&bytes[..60]);
        bytes[60..].copy_from_slice(&crc.to_le_bytes());
        bytes
    }

    /// Reads the header off the first bytes of a file.
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, HeaderFault> {
        let head = &bytes[..bytes.len().min(HEADER)];
        let begun = record::content_end(head).min(MAGIC.len()).min(head.len());
        if !is_begun(head, begun) {
            return Err(HeaderFault::Foreign);
        }
        if head.len() < HEADER || begun == 0 {
            return Err(HeaderFault::Unfinished);
        }
        if crc32fast::hash(&head[..60]) != u32_at(head, 60) {
            return Err(HeaderFault::Broken);
        }
        match u32_at(head, 8) {
            VERSION => Ok(Self::of(head)),
            other => Err(HeaderFault::Version(other)),
        }
    }

    fn of(head: &[u8]) -> Self {
        Self {
            salt: u64_at(head, 16),
            number: u64_at(head, 24),
            created_ns: u64_at(head, 32),
            previous_end: u64_at(head, 40),
        }
    }
}

/// Whether the first bytes are those of a header, or zeros where they were not written.
fn is_begun(head: &[u8], begun: usize) -> bool {
    let written = head[..begun].iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
    head[..written] == MAGIC[..written]
}

/// Both places where a header has the salt, for when it is broken.
pub(super) fn salts(bytes: &[u8]) -> Option<[u64; 2]> {
    (bytes.len() >= HEADER).then(|| [u64_at(bytes, 16), u64_at(bytes, 48)])
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    bytes.get(at..at + 4).and_then(|word| word.try_into().ok()).map_or(0, u32::from_le_bytes)
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    bytes.get(at..at + 8).and_then(|word| word.try_into().ok()).map_or(0, u64::from_le_bytes)
}

/// The name of a segment's file.
pub(super) fn name(number: u64) -> String {
    format!("{number:0DIGITS$}{EXTENSION}")
}

/// Which segment a file of that name is.
pub(super) fn number(name: &str) -> Option<u64> {
    let digits = name.strip_suffix(EXTENSION)?;
    let is_ours = digits.len() == DIGITS && digits.bytes().all(|byte| byte.is_ascii_digit());
    digits.parse().ok().filter(|number| is_ours && *number <= MAX_NUMBER)
}

#[cfg(all(test, not(underpin_loom)))]
mod tests {
    use super::*;
    use proptest::collection::vec;
    use proptest::prelude::*;

    const HEADER_OF: Header = Header { salt: 0xABCD, number: 3, created_ns: 5, previous_end: 1 << 20 };

    #[test]
    fn a_header_is_read_as_it_was_written() {
        assert_eq!(Header::parse(&HEADER_OF.encode()), Ok(HEADER_OF));
        assert_eq!(salts(&HEADER_OF.encode()), Some([0xABCD, 0xABCD]));
    }

    #[test]
    fn what_was_begun_is_unfinished_and_what_is_other_is_foreign() {
        let bytes = HEADER_OF.encode();
        for cut in 0..HEADER {
            assert_eq!(Header::parse(&bytes[..cut]), Err(HeaderFault::Unfinished), "{cut}");
        }
        assert_eq!(Header::parse(&[0; 4096]), Err(HeaderFault::Unfinished));
        assert_eq!(Header::parse(b"hello"), Err(HeaderFault::Foreign));
        assert_eq!(Header::parse(&[b"UNDERDOG".as_slice(), &[1; 100]].concat()), Err(HeaderFault::Foreign));
    }

    #[test]
    fn another_version_is_told_and_a_flip_is_not_taken_for_one() {
        let mut bytes = HEADER_OF.encode();
        bytes[8] = 2;
        assert_eq!(Header::parse(&bytes), Err(HeaderFault::Broken));
        let crc = crc32fast::hash(&bytes[..60]);
        bytes[60..].copy_from_slice(&crc.to_le_bytes());
        assert_eq!(Header::parse(&bytes), Err(HeaderFault::Version(2)));
    }

    #[test]
    fn names_are_numbers_of_twenty_digits() {
        assert_eq!(name(7), "00000000000000000007.journal");
        for number_of in [0, 7, MAX_NUMBER] {
            assert_eq!(number(&name(number_of)), Some(number_of));
        }
        for other in ["7.journal", "+0000000000000000007.journal", "00000000000000000007", "LOCK", ""] {
            assert_eq!(number(other), None, "{other}");
        }
        for many in ["99999999999999999999.journal", "18446744073709551615.journal"] {
            assert_eq!(number(many), None, "{many}");
        }
    }

    proptest! {
        #[test]
        fn no_flip_goes_unseen(at in 0..HEADER, bit in 0..8) {
            let mut bytes = HEADER_OF.encode();
            bytes[at] ^= 1_u8 << bit;
            prop_assert!(Header::parse(&bytes).is_err());
        }

        #[test]
        fn garbage_is_no_header(bytes in vec(any::<u8>(), 0..100)) {
            prop_assert!(Header::parse(&bytes).is_err());
            let _ = salts(&bytes);
        }

        #[test]
        fn any_name_is_looked_at(name in ".{0,40}") {
            let _ = number(&name);
        }
    }
}
