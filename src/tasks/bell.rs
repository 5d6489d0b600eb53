//! How whoever maps hears that tasks have ended.

use std::collections::VecDeque;

use crate::service::deadline::Deadline;
use crate::service::wait::spin_as_caller;
use crate::sync::{self, AtomicBool, Clock, Mutex, Ordering, Thread, mutant};

/// Rung by each task that ends, with the number of its place; heard by one thread, which waits for it.
///
/// What was rung stays until it is heard. The listener looks for news and takes its seat under the same lock, so no ring is lost.
#[derive(Default)]
pub(crate) struct Bell {
    has_news: AtomicBool,
    inside: Mutex<Inside>,
}

#[derive(Default)]
struct Inside {
    news: VecDeque<usize>,
    seat: Option<Seat>,
}

/// Who waits, and for the end of which: of any, unless it is said.
struct Seat {
    thread: Thread,
    wanted: Option<usize>,
}

// ORDERING: Release where news come, Acquire where a look finds them; who hears takes the lock besides. The flag spares a spinning
// listener the lock.
impl Bell {
    /// What has this place has ended, and its outcome is there.
    pub(crate) fn ring(&self, place: usize) {
        let mut inside = self.inside.lock();
        inside.news.push_back(place);
        self.has_news.store(true, Ordering::Release);
        let listener = inside.seat.take_if(|seat| seat.wanted.is_none_or(|wanted| wanted == place));
        drop(inside);
        if let Some(seat) = listener {
            seat.thread.unpark();
        }
    }

    /// The places of those that have ended since, in their order.
    pub(crate) fn hear(&self) -> VecDeque<usize> {
        if !self.has_news.load(Ordering::Acquire) {
            return VecDeque::new();
        }
        let mut inside = self.inside.lock();
        self.has_news.store(false, Ordering::Release);
        std::mem::take(&mut inside.news)
    }

    /// Waits for news of this place, or of any. `false` when the deadline came first.
    pub(crate) fn wait(&self, wanted: Option<usize>, clock: &Clock, until: Deadline) -> bool {
        spin_as_caller(|| self.has(wanted)) || self.park(wanted, clock, until)
    }

    #[cold]
    fn park(&self, wanted: Option<usize>, clock: &Clock, until: Deadline) -> bool {
        let me = sync::current_thread();
        while !self.sit_down(wanted, &me) {
            if until.instant().is_some_and(|at| clock.now() >= at) {
                return self.stand_up(wanted);
            }
            clock.park(until.instant());
        }
        true
    }

    /// Takes the seat, unless there are news: then `true`.
    fn sit_down(&self, wanted: Option<usize>, me: &Thread) -> bool {
        let has_looked = mutant!(SitBlindly) && !self.has(wanted);
        let mut inside = self.inside.lock();
        let has_news = !has_looked && inside.has(wanted);
        inside.seat = (!has_news).then(|| Seat { thread: me.clone(), wanted });
        has_news
    }

    /// Leaves the seat. Whether there are news.
    fn stand_up(&self, wanted: Option<usize>) -> bool {
        let mut inside = self.inside.lock();
        inside.seat = None;
        inside.has(wanted)
    }

    fn has(&self, wanted: Option<usize>) -> bool {
        self.has_news.load(Ordering::Acquire) && self.inside.lock().has(wanted)
    }
}

impl Inside {
    fn has(&self, wanted: Option<usize>) -> bool {
        wanted.map_or(!self.news.is_empty(), |wanted| self.news.contains(&wanted))
    }
}

#[cfg(all(test, not(underpin_loom)))]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use super::*;

    #[test]
    fn what_was_rung_stays_until_it_is_heard() {
        let (bell, clock) = (Bell::default(), Clock::system());
        assert!(bell.hear().is_empty());
        bell.ring(2);
        bell.ring(1);
        for wanted in [None, Some(1), Some(2)] {
            assert!(bell.wait(wanted, &clock, Deadline::unbounded()));
        }
        assert_eq!(bell.hear(), [2, 1]);
        assert!(bell.hear().is_empty());
    }

    #[test]
    fn who_waits_for_one_is_not_content_with_another() {
        let (bell, clock) = (Bell::default(), Clock::system());
        bell.ring(2);
        let passed = Deadline::at(clock.now());
        assert!(!bell.wait(Some(1), &clock, passed));
        assert!(bell.wait(Some(2), &clock, passed));
    }

    #[test]
    fn who_waits_is_woken_and_a_deadline_is_kept() {
        let (clock, hand) = Clock::manual();
        let bell = Arc::new(Bell::default());
        let until = Deadline::from(clock.now(), Duration::from_secs(60));
        std::thread::scope(|scope| {
            let listener = scope.spawn(|| bell.wait(Some(7), &clock, until));
            bell.ring(6);
            bell.ring(7);
            assert!(listener.join().expect("no panic"));
            bell.hear();
            let listener = scope.spawn(|| bell.wait(None, &clock, until));
            hand.advance(Duration::from_secs(60));
            assert!(!listener.join().expect("no panic"));
        });
    }
}
