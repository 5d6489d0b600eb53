//! Which number is next.

use super::errors::Refusal;
use super::id::EventId;
use crate::sync::{AtomicU64, Ordering};

/// The largest number that an event may bring: what is left above is enough for all that follow.
const MOST: u64 = 1 << 62;

/// Gives numbers: each once, the larger the later.
#[derive(Debug)]
pub(crate) struct Ids(AtomicU64);

impl Ids {
    pub(crate) fn from(next: u64) -> Self {
        Self(AtomicU64::new(next))
    }

    /// Goes on from here. Before anything is given.
    #[cfg(feature = "journal")]
    pub(crate) fn go_on_from(&self, next: EventId) {
        self.0.store(next.get(), Ordering::Release);
    }

    /// The least that was not given.
    pub(crate) fn next(&self) -> EventId {
        EventId::new(self.0.load(Ordering::Acquire)).expect("numbers begin with 1")
    }

    /// So many that follow one another; from `wanted` on, if that is free. Returns the first.
    ///
    /// # Errors
    ///
    /// When `wanted` was given, or passed over.
    pub(crate) fn take(&self, wanted: Option<EventId>, count: u64) -> Result<u64, Refusal> {
        let Some(id) = wanted else { return Ok(self.0.fetch_add(count, Ordering::AcqRel)) };
        let mut next = self.0.load(Ordering::Acquire);
        loop {
            if !(next..MOST).contains(&id.get()) {
                return Err(self.taken(id));
            }
            let after = id.get() + count;
            match self.0.compare_exchange(next, after, Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) => return Ok(id.get()),
                Err(other) => next = other,
            }
        }
    }

    /// Whether somebody who brings this number is too late, or beyond all measure.
    pub(crate) fn is_taken(&self, id: EventId) -> bool {
        !(self.next().get()..MOST).contains(&id.get())
    }

    pub(crate) fn taken(&self, id: EventId) -> Refusal {
        Refusal::DuplicateId { id, next: self.next() }
    }
}

#[cfg(all(test, not(underpin_loom)))]
mod tests {
    use std::sync::Arc;
    use std::thread;

    use proptest::prelude::*;

    use super::*;

    fn id(number: u64) -> EventId {
        EventId::new(number).expect("it is not 0")
    }

    proptest! {
        #[test]
        fn numbers_rise_and_one_that_is_brought_is_taken_if_it_is_free(
            steps in prop::collection::vec((prop::option::of(1..60_u64), 1..5_u64), 0..40),
        ) {
            let (ids, mut next) = (Ids::from(1), 1);
            for (wanted, count) in steps {
                let expected = match wanted {
                    Some(wanted) if wanted < next => Err(Refusal::DuplicateId { id: id(wanted), next: id(next) }),
                    Some(wanted) => Ok(wanted),
                    None => Ok(next),
                };
                prop_assert_eq!(wanted.is_some_and(|wanted| ids.is_taken(id(wanted))), expected.is_err());
                prop_assert_eq!(ids.take(wanted.map(id), count), expected.clone());
                next = expected.map_or(next, |first| first + count);
                prop_assert_eq!(ids.next(), id(next));
            }
        }
    }

    #[test]
    fn a_number_beyond_all_measure_is_refused_and_harms_nobody() {
        let ids = Ids::from(1);
        for beyond in [MOST, MOST + 1, u64::MAX] {
            assert!(ids.is_taken(id(beyond)) && ids.take(Some(id(beyond)), 1).is_err());
        }
        assert_eq!(ids.take(Some(id(MOST - 1)), 65_536), Ok(MOST - 1));
        assert_eq!(ids.take(None, 3), Ok(MOST + 65_535), "it goes on");
    }

    #[test]
    fn of_racing_threads_none_has_the_number_of_another() {
        let ids = Arc::new(Ids::from(1));
        let take = |n: u64| {
            let ids = Arc::clone(&ids);
            thread::spawn(move || {
                let wanted = |round: u64| id(round * 7 + n);
                let take =
                    |round| if round % 3 == 0 { ids.take(Some(wanted(round)), 2) } else { ids.take(None, 2) };
                (0..2_000).filter_map(|round| take(round + 1).ok()).collect::<Vec<_>>()
            })
        };
        let threads: Vec<_> = (0..4).map(take).collect();
        let mut all: Vec<_> =
            threads.into_iter().flat_map(|thread| thread.join().expect("it ends")).collect();
        all.sort();
        assert!(all.windows(2).all(|pair| pair[0] + 2 <= pair[1]));
    }
}
