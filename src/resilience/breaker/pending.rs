//! Good, quick calls that were counted without the lock.
//!
//! A window by time has to count each call, also those that change nothing else. So that these need not wait for one
//! another, they are counted in one word beside the machine, and whoever has its lock puts them into the window first.
//!
//! # When it is open
//!
//! The word is open as long as a call that goes well and is quick has no consequence but to be counted: while the breaker is
//! in one generation that counts calls, the window in one part, and what is in it so good, or judged so lately, that one
//! more of them cannot be what opens the breaker. Each time it is opened it has a new *stage*.
//!
//! # Who does what
//!
//! A call that ends, with no lock:
//!
//! 1. reads the word; closed: it goes by the lock;
//! 2. reads then which generation it is, and when the part ends; not its own, or over: by the lock;
//! 3. raises the count by one, if the word is still of that stage, and there is room; else by the lock.
//!
//! Who has the lock of the machine, alone writes the stage and the end of the part:
//!
//! - what moves the window on, changes the generation or the rules, or records anything but a good, quick call, first
//!   *closes*: it takes the count and ends the stage in one step. It puts the count into the part of the window that
//!   is current, does its work, shows the generation, writes the end of the part, and opens the next stage at last;
//! - everything else *takes* the count in one step, and leaves the stage open.
//!
//! # Why nothing is lost, doubled, or counted where it does not belong
//!
//! All steps on the word are atomic, so each count is taken by exactly one, after it was raised. A call that has read a
//! stage in step 1 reads the generation and the end of the part of that stage in step 2, or later ones, for they were
//! written before it was opened. Later ones were written after it was closed; who has read them finds in step 3 that the
//! stage is over. So what is raised belongs to the generation and the part of its stage, and that is where it is put, for
//! nobody moves either before closing.
//!
//! Stages never come again: after the last of 2⁵¹ it stays closed, and all goes by the lock.
//!
//! The models are `counted` and `of_before` in `models/breaker.rs`.

use crate::sync::{AtomicU64, Ordering, mutant};

const COUNT_BITS: u32 = 12;
const MOST: u64 = (1 << COUNT_BITS) - 1;
/// Of an odd one it is open.
const LAST_STAGE: u64 = u64::MAX >> COUNT_BITS;

/// Good, quick calls that were counted without the lock of the machine, and are not in its window yet; see the
/// [module](self). At most 4,095, which are put there by the next call.
// ORDERING: as the words of the module say: each of what is read in step 2 is Acquire, and its writer Release, so that who
// has read what was written after a stage has ended meets the end of the stage. The count itself guards nothing.
#[derive(Debug)]
#[repr(align(64))] // a line of its own: who only looks at the breaker's word is not disturbed
pub(crate) struct Pending {
    /// The stage, and the count.
    word: AtomicU64,
    /// When the part of the window ends, in nanoseconds of the breaker.
    until: AtomicU64,
}

fn stage(word: u64) -> u64 {
    word >> COUNT_BITS
}

fn is_open(word: u64) -> bool {
    stage(word) % 2 == 1
}

/// At most [`MOST`], so it fits.
fn count(word: u64) -> u32 {
    (word & MOST) as u32
}

impl Pending {
    /// It is closed.
    pub(crate) fn new() -> Self {
        Self { word: AtomicU64::new(0), until: AtomicU64::new(0) }
    }

    /// Counts a call that has ended at `now`. `false`, and nothing counted, if it has to be recorded under the lock.
    /// `is_current` says, when it is asked, whether the breaker is in the generation of the call.
    #[inline]
    pub(crate) fn add(&self, now: u64, is_current: impl Fn() -> bool) -> bool {
        let was_current = mutant!(CountByStaleWord) && is_current();
        let seen = self.word.load(Ordering::Acquire);
        let is_current = was_current || is_current();
        is_open(seen) && is_current && now < self.until.load(Ordering::Acquire) && self.raise(seen)
    }

    /// Raises the count by one, if it is still of that stage.
    #[inline]
    fn raise(&self, mut seen: u64) -> bool {
        while seen & MOST != MOST {
            match self.word.compare_exchange(seen, seen + 1, Ordering::Relaxed, Ordering::Relaxed) {
                Ok(_) => return true,
                Err(other) if stage(other) == stage(seen) => seen = other, // somebody else was counted
                Err(_) => return false,
            }
        }
        false
    }

    // ---- with the lock of the machine ----------------------------------------------------

    /// Whether a call that ends at `now` is not in the part of the window any more, if there was one.
    pub(crate) fn is_over(&self, now: u64) -> bool {
        now >= self.until.load(Ordering::Relaxed)
    }

    /// The word, as it is. In a model as a step that writes: of the accesses of a thread loom remembers the last one alone,
    /// so a mere look just before a step that writes would hide from it what that step collides with.
    #[inline]
    fn look(&self) -> u64 {
        if cfg!(underpin_loom) {
            return self.word.fetch_or(0, Ordering::Relaxed);
        }
        self.word.load(Ordering::Relaxed)
    }

    /// How many there were. There are none then.
    pub(crate) fn take(&self) -> u32 {
        let seen = self.look();
        if count(seen) == 0 {
            return 0;
        }
        if mutant!(TakeInTwoSteps) {
            self.word.store(seen & !MOST, Ordering::Relaxed);
            return count(seen);
        }
        count(self.word.fetch_and(!MOST, Ordering::Relaxed))
    }

    /// Ends the stage. How many there were in it; none if it was closed.
    pub(crate) fn close(&self) -> u32 {
        let seen = self.look();
        if !is_open(seen) {
            return 0;
        }
        // Nobody else writes the stage.
        count(self.word.swap((stage(seen) + 1) << COUNT_BITS, Ordering::Relaxed))
    }

    /// Begins the next stage, until then. The last one was closed.
    pub(crate) fn open(&self, until: u64) {
        let next = stage(self.look()) + 1;
        if next < LAST_STAGE {
            self.until.store(until, Ordering::Release);
            self.word.store(next << COUNT_BITS, Ordering::Release);
        }
    }

    pub(crate) fn is_open(&self) -> bool {
        is_open(self.look())
    }
}

#[cfg(all(test, not(underpin_loom)))]
mod tests {
    use super::*;

    fn opened(until: u64) -> Pending {
        let pending = Pending::new();
        pending.open(until);
        pending
    }

    #[test]
    fn it_counts_while_it_is_open_until_the_part_is_over_and_of_the_generation_alone() {
        let pending = Pending::new();
        assert!(!pending.add(0, || true), "it is closed");
        pending.open(10);
        assert!(pending.add(9, || true) && !pending.add(10, || true) && !pending.add(9, || false));
        assert_eq!((pending.is_over(9), pending.is_over(10)), (false, true));
        assert_eq!((pending.take(), pending.take()), (1, 0));
        assert!(pending.is_open() && pending.add(9, || true));
        assert_eq!((pending.close(), pending.close()), (1, 0));
        assert!(!pending.is_open() && !pending.add(9, || true));
        assert_eq!(pending.take(), 0);
    }

    #[test]
    fn what_was_read_in_one_stage_is_not_counted_in_the_next() {
        let pending = opened(10);
        let changes = || {
            assert_eq!(pending.close(), 0);
            pending.open(10);
            true
        };
        assert!(!pending.add(5, changes));
        assert_eq!(pending.take(), 0);
        let takes = || pending.take() == 0 && pending.add(5, || true);
        assert!(pending.add(5, takes), "another that is counted meanwhile keeps out nobody");
        assert_eq!(pending.take(), 2);
    }

    #[test]
    fn where_there_is_no_room_for_one_more_it_goes_by_the_lock_and_the_stage_stays() {
        let pending = opened(10);
        assert!((0..MOST).all(|_| pending.add(5, || true)));
        assert!(!pending.add(5, || true) && pending.is_open());
        assert_eq!(u64::from(pending.take()), MOST);
        assert!(pending.add(5, || true));
    }

    #[test]
    fn after_the_last_stage_it_stays_closed() {
        let pending =
            Pending { word: AtomicU64::new((LAST_STAGE - 3) << COUNT_BITS), until: AtomicU64::new(0) };
        pending.open(10);
        assert!(pending.add(5, || true), "the last one");
        assert_eq!(pending.close(), 1);
        for _ in 0..3 {
            pending.open(10);
            assert!(!pending.is_open() && !pending.add(5, || true));
            assert_eq!(pending.close(), 0);
        }
    }
}
