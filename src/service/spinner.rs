//! Spinning before a park: how much, and when not at all.

use std::cell::Cell;
use std::time::Duration;

use super::wait::Wait;
use crate::sync::{self, Clock};

/// The most pauses of one wait. About 5 us where a pause takes 26 ns.
const MAX_SPINS: u32 = 200;
/// The most yields of one wait.
const MAX_YIELDS: u32 = 20;
/// After so many pauses a wait is one that is worth a look at the clock: about 1 us.
const SETTLED: u32 = 32;
/// How many pauses a worker that keeps up with a stream of casts lets them gather: about 1 us.
/// To take each as it comes would move the channel's cache lines to and fro for every message.
const GATHER: u32 = 48;
/// The most yields of a try after a rest: some 60 us, as long as the other end may take to come out
/// of a park on another core. A shorter try could never leave the state in which both ends park.
const PROBE_YIELDS: u32 = 100;
/// After so many finds by a yield, one wait tries its pauses again.
const PROBE_EVERY: u32 = 128;
/// A yield that takes longer gave the core to somebody who has nothing to do with this: 50 us,
/// where one that finds nobody takes under 1 us.
const COSTLY_YIELD: Duration = Duration::from_micros(50);
/// After so many waits in a row that spinning did not shorten, it is left alone for a while.
const FRUITLESS: u32 = 4;
/// For how many waits it is left alone, at first and at most: twice as long each time.
const REST: (u32, u32) = (32, 1024);

/// The same for yields: shorter, for where both ends share a core nothing is as quick.
const YIELD_REST: u32 = 128;

/// The budget of one waiting thread.
///
/// A wait spins with its full budget or not at all. When both ends of a call park, each hears of
/// the other only after a wake-up of several microseconds: a small budget would never find out
/// that a large one pays. So while spinning fails it is tried ever more seldom, not ever shorter.
/// The same for yields, that cost a time slice where a core is shared with a busy stranger. And
/// where both ends share a core, a yield finds at once what no pause can: then pauses shrink.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Spinner {
    adaptive: bool,
    /// The last wait ended while it paused: the other end is busy on another core.
    by_pause: bool,
    pauses: u32,
    found_by_yield: u32,
    fruitless: u32,
    spins: Rest,
    yields: Rest,
}

/// Something that is left alone for a number of waits, twice as many each time.
#[derive(Clone, Copy, Debug)]
struct Rest {
    left: u32,
    next: u32,
    most: u32,
}

impl Rest {
    const fn new(most: u32) -> Self {
        Self { left: 0, next: REST.0, most }
    }

    /// Whether this wait is to do without it.
    #[inline]
    fn is_on(&mut self) -> bool {
        let on = self.left > 0;
        self.left -= u32::from(on);
        on
    }

    #[inline]
    fn begin(&mut self) {
        self.left = self.next;
        self.next = (self.next * 2).min(self.most);
    }

    #[inline]
    fn reset(&mut self) {
        self.next = REST.0;
    }
}

/// Lets a stream go on by itself for a moment.
pub(crate) fn gather() {
    (0..GATHER).for_each(|_| sync::spin_loop());
}

impl Spinner {
    pub(crate) const fn new(wait: Wait) -> Self {
        let adaptive = matches!(wait, Wait::Adaptive);
        Self {
            adaptive,
            by_pause: false,
            pauses: MAX_SPINS,
            found_by_yield: 0,
            fruitless: 0,
            spins: Rest::new(REST.1),
            yields: Rest::new(YIELD_REST),
        }
    }

    /// Lets messages gather for a moment, if waits are short.
    #[inline]
    pub(crate) fn let_gather(&self) {
        if self.by_pause && self.spins.left == 0 {
            gather();
        }
    }

    /// Polls until `ready` or the budget is used up, and adapts the budget.
    #[inline]
    pub(crate) fn spin(&mut self, ready: impl FnMut() -> bool) -> bool {
        self.spin_and(ready, || ())
    }

    /// As [`spin`](Self::spin). Calls `settled` once if it takes longer than a moment.
    #[inline]
    pub(crate) fn spin_and(&mut self, mut ready: impl FnMut() -> bool, mut settled: impl FnMut()) -> bool {
        // A model explores the order of events, not their speed.
        if !self.adaptive || cfg!(underpin_loom) || self.spins.is_on() {
            return false;
        }
        for pause in 0..self.pauses {
            if ready() {
                // As many again, and some: where waits are short, a long one is not worth pausing for.
                self.pauses = self.pauses.max((2 * pause + 16).min(MAX_SPINS));
                self.by_pause = true;
                self.found();
                return true;
            }
            if pause == SETTLED {
                settled();
            }
            sync::spin_loop();
        }
        self.by_pause = false;
        if self.pauses <= SETTLED {
            settled();
        }
        let found = !self.yields.is_on() && self.yields(ready);
        if !found {
            self.found_nothing();
        }
        found
    }

    #[cold]
    fn yields(&mut self, mut ready: impl FnMut() -> bool) -> bool {
        let most = if self.is_probe() { PROBE_YIELDS } else { MAX_YIELDS };
        let mut before = Clock::SYSTEM.now();
        for _ in 0..most {
            sync::yield_now();
            let now = Clock::SYSTEM.now();
            let is_costly = now.saturating_duration_since(before) > COSTLY_YIELD;
            before = now;
            if is_costly {
                self.yields.begin();
                return ready();
            }
            if ready() {
                self.yields.reset();
                self.shrink_pauses();
                self.found();
                return true;
            }
        }
        false
    }

    /// Whether this is a single try after a rest.
    fn is_probe(&self) -> bool {
        self.fruitless + 1 >= FRUITLESS
    }

    /// Half of them, and now and then all again.
    fn shrink_pauses(&mut self) {
        self.found_by_yield = self.found_by_yield.wrapping_add(1);
        let probe = self.found_by_yield.is_multiple_of(PROBE_EVERY);
        self.pauses = if probe { MAX_SPINS } else { self.pauses / 2 };
    }

    #[inline]
    fn found(&mut self) {
        self.fruitless = 0;
        self.spins.reset();
    }

    fn found_nothing(&mut self) {
        self.fruitless += 1;
        if self.fruitless >= FRUITLESS {
            // The next try after the rest is a single one, unless it finds something.
            self.fruitless = FRUITLESS - 1;
            self.spins.begin();
        }
    }
}

sync::thread_local! {
    static CALLER: Cell<Spinner> = const { Cell::new(Spinner::new(Wait::Adaptive)) };
}

sync::thread_local! {
    static SENDER: Cell<Spinner> = const { Cell::new(Spinner::new(Wait::Adaptive)) };
}

/// Polls on behalf of a calling thread, with the budget that the thread keeps between its calls.
pub(crate) fn spin_as_caller(ready: impl FnMut() -> bool) -> bool {
    CALLER.with(|cell| {
        let mut spinner = cell.get();
        let found = spinner.spin(ready);
        cell.set(spinner);
        found
    })
}

/// Polls on behalf of a sender that found no space: yields only, for the consumer may need this
/// very core.
pub(crate) fn yield_as_sender(ready: impl FnMut() -> bool) {
    SENDER.with(|cell| {
        let mut spinner = cell.get();
        if !cfg!(underpin_loom) && !spinner.yields.is_on() {
            spinner.yields(ready);
        }
        cell.set(spinner);
    });
}

#[cfg(all(test, not(underpin_loom)))]
mod tests {
    use super::*;

    #[test]
    fn fruitless_spinning_is_tried_ever_more_seldom_and_success_restores_it() {
        let mut spinner = Spinner::new(Wait::Adaptive);
        let tries = |spinner: &mut Spinner, waits: u32| {
            let mut tries = 0;
            for _ in 0..waits {
                let mut polled = false;
                assert!(!spinner.spin(|| {
                    polled = true;
                    false
                }));
                tries += u32::from(polled);
            }
            tries
        };
        assert_eq!(tries(&mut spinner, FRUITLESS), FRUITLESS);
        assert_eq!(tries(&mut spinner, REST.0), 0);
        assert_eq!(tries(&mut spinner, 1 + 2 * REST.0), 1);
        assert!(tries(&mut spinner, 10 * REST.1) <= 20);
        while !spinner.spin(|| true) {}
        assert_eq!(tries(&mut spinner, FRUITLESS), FRUITLESS);
    }

    #[test]
    fn park_never_spins() {
        let mut spinner = Spinner::new(Wait::Park);
        for _ in 0..100 {
            assert!(!spinner.spin(|| panic!("polled")));
        }
    }
}
