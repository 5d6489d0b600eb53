//! The segments that are not written any more, and which of them are to go.

use std::collections::VecDeque;
use std::time::Duration;

/// A segment that was ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ended {
    pub(super) number: u64,
    /// When it was made, in nanoseconds of wall time.
    pub(super) created_ns: u64,
    /// How long its file is.
    pub(super) bytes: u64,
    /// How many payloads it has.
    pub(super) records: u64,
}

/// The segments that were ended, the oldest first.
#[derive(Clone, Debug, Default)]
pub(super) struct Archive {
    ended: VecDeque<Ended>,
    bytes: u64,
    records: u64,
}

impl Archive {
    pub(super) fn push(&mut self, segment: Ended) {
        self.bytes += segment.bytes;
        self.records += segment.records;
        self.ended.push_back(segment);
    }

    /// Forgets the oldest.
    pub(super) fn pop(&mut self) -> Option<Ended> {
        let segment = self.ended.pop_front()?;
        self.bytes -= segment.bytes;
        self.records -= segment.records;
        Some(segment)
    }

    pub(super) fn len(&self) -> usize {
        self.ended.len()
    }

    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    pub(super) fn records(&self) -> u64 {
        self.records
    }

    /// The oldest segment, if it is to go: all and `current` have more bytes than `most`, or it ended more than
    /// `age` ago. It ended when the next one was made; `current` is the bytes and the making of the one that
    /// is written to, if there is one.
    pub(super) fn due(
        &self,
        most: Option<u64>,
        age: Option<Duration>,
        current: Option<(u64, u64)>,
        now_ns: u64,
    ) -> Option<Ended> {
        let oldest = *self.ended.front()?;
        let all = self.bytes + current.map_or(0, |(bytes, _)| bytes);
        // The newest of all stays, also while there is none that is written to.
        let next = self.ended.get(1).map(|next| next.created_ns);
        let ended_ns = next.or(current.map(|(_, created)| created))?;
        let age_ns = age.map(|age| u64::try_from(age.as_nanos()).unwrap_or(u64::MAX));
        let is_much = most.is_some_and(|most| all > most);
        let is_old = age_ns.is_some_and(|age| now_ns.saturating_sub(ended_ns) > age);
        (is_much || is_old).then_some(oldest)
    }
}

#[cfg(all(test, not(underpin_loom)))]
mod tests {
    use super::*;

    fn archive(created: &[u64]) -> Archive {
        let mut archive = Archive::default();
        for (number, created_ns) in (1..).zip(created) {
            archive.push(Ended { number, created_ns: *created_ns, bytes: 100, records: 7 });
        }
        archive
    }

    fn number(due: Option<Ended>) -> Option<u64> {
        due.map(|segment| segment.number)
    }

    #[test]
    fn the_oldest_goes_while_all_are_too_many_bytes() {
        let mut archive = archive(&[0, 0, 0]);
        let due = |archive: &Archive| number(archive.due(Some(250), None, Some((50, 0)), 0));
        assert_eq!(due(&archive), Some(1));
        archive.pop();
        assert_eq!(due(&archive), None);
        assert_eq!((archive.len(), archive.bytes(), archive.records()), (2, 200, 14));
    }

    #[test]
    fn a_segment_is_as_old_as_the_making_of_the_next() {
        let mut archive = archive(&[0, 50]);
        let due = |archive: &Archive, now| {
            number(archive.due(None, Some(Duration::from_nanos(100)), Some((1, 70)), now))
        };
        assert_eq!((due(&archive, 150), due(&archive, 151)), (None, Some(1)));
        archive.pop();
        assert_eq!((due(&archive, 170), due(&archive, 171)), (None, Some(2)));
        archive.pop();
        assert_eq!(due(&archive, u64::MAX), None);
    }

    #[test]
    fn a_clock_that_was_set_back_deletes_nothing() {
        let archive = archive(&[1000, 2000]);
        assert_eq!(number(archive.due(None, Some(Duration::from_nanos(1)), None, 5)), None);
        assert_eq!(number(archive.due(None, Some(Duration::MAX), None, u64::MAX)), None);
    }

    #[test]
    fn the_newest_stays_however_much_it_is() {
        let archive = archive(&[0]);
        assert_eq!(number(archive.due(Some(1), Some(Duration::from_nanos(1)), None, u64::MAX)), None);
    }

    #[test]
    fn without_limits_all_stay() {
        assert_eq!(number(archive(&[0, 1]).due(None, None, None, u64::MAX)), None);
    }
}
