//! Who gets which resource of a pool, and what becomes of it afterwards.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// How many resources there may be, and how long they live.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    /// How many are kept.
    pub(crate) size: usize,
    /// How many there may be beyond that, while all are in use.
    pub(crate) overflow: usize,
    pub(crate) max_lifetime: Option<Duration>,
    pub(crate) idle_timeout: Option<Duration>,
}

impl Bounds {
    /// How many there may be at all.
    pub(crate) fn most(self) -> usize {
        self.size.saturating_add(self.overflow)
    }

    /// Whether any ever gets too old.
    pub(crate) fn expires(self) -> bool {
        self.max_lifetime.is_some() || self.idle_timeout.is_some()
    }
}

/// A resource, and when it was made.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Made<R> {
    pub(crate) resource: R,
    pub(crate) at: Instant,
}

#[derive(Debug)]
struct Idle<R> {
    made: Made<R>,
    since: Instant,
}

/// What somebody gets who asks for a resource.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Grant<R> {
    /// This one.
    Take(Made<R>),
    /// The right to make one, once this one has been dropped.
    Make { instead_of: Option<R> },
}

/// What becomes of a resource that comes back.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Back<R, W> {
    Kept,
    /// Who waited longest gets it.
    Called(W, Made<R>),
    /// It is of no more use. It counts until it has been dropped and [given up](Machine::give_up).
    Refused(R, Reason),
}

/// Why a resource is of no more use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reason {
    /// It has lived, or idled, as long as it may.
    Expired,
    /// It was one too many when it came back.
    Overflow,
    /// The pool is closed.
    Closed,
}

/// What came of asking.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Asked<R> {
    Granted(Grant<R>),
    /// All are in use, and somebody may wait.
    Full,
    Closed,
}

/// The whole of a pool, without its threads: `R` are the resources, `W` those who wait.
///
/// The newest that idles is taken first, so that the others may grow old. Who waits is served in order, and nobody
/// overtakes: while somebody waits nothing idles.
#[derive(Debug)]
pub(crate) struct Machine<R, W> {
    bounds: Bounds,
    /// Those that idle longest are in front.
    idle: VecDeque<Idle<R>>,
    /// In use, being made, or being dropped.
    out: usize,
    waiting: VecDeque<W>,
    is_closed: bool,
}

impl<R, W> Machine<R, W> {
    pub(crate) fn new(bounds: Bounds) -> Self {
        Self { bounds, idle: VecDeque::new(), out: 0, waiting: VecDeque::new(), is_closed: false }
    }

    /// Somebody wants a resource now.
    pub(crate) fn ask(&mut self, now: Instant) -> Asked<R> {
        if self.is_closed {
            return Asked::Closed;
        }
        if let Some(idle) = self.idle.pop_back() {
            self.out += 1;
            let is_expired = self.is_expired(&idle, now);
            return Asked::Granted(match idle.made {
                Made { resource, .. } if is_expired => Grant::Make { instead_of: Some(resource) },
                made => Grant::Take(made),
            });
        }
        if self.out < self.bounds.most() {
            self.out += 1;
            return Asked::Granted(Grant::Make { instead_of: None });
        }
        Asked::Full
    }

    /// Somebody waits, having been told in the same breath that all are in use.
    pub(crate) fn wait(&mut self, waiter: W) {
        self.waiting.push_back(waiter);
    }

    /// Somebody waits no more. `false`: it was called before.
    pub(crate) fn leave(&mut self, is_it: impl Fn(&W) -> bool) -> bool {
        let at = self.waiting.iter().position(is_it);
        at.and_then(|at| self.waiting.remove(at)).is_some()
    }

    /// A resource comes back in good health.
    pub(crate) fn give_back(&mut self, made: Made<R>, now: Instant) -> Back<R, W> {
        if let Some(reason) = self.reason_against(&made, now) {
            return Back::Refused(made.resource, reason);
        }
        if let Some(waiter) = self.waiting.pop_front() {
            return Back::Called(waiter, made);
        }
        self.out -= 1;
        self.idle.push_back(Idle { made, since: now });
        Back::Kept
    }

    /// A resource does not come back, or was not made. Who waited longest, if any, may make one instead.
    pub(crate) fn give_up(&mut self) -> Option<W> {
        let called = self.waiting.pop_front();
        self.out -= usize::from(called.is_none());
        called
    }

    /// Takes out what idles longest, if that has expired. It counts until it has been dropped and given up.
    pub(crate) fn retire_oldest(&mut self, now: Instant) -> Option<R> {
        self.idle.front().filter(|idle| self.is_expired(idle, now))?;
        self.retire(0)
    }

    /// The same with any that has expired.
    pub(crate) fn retire_any(&mut self, now: Instant) -> Option<R> {
        let at = self.idle.iter().position(|idle| self.is_expired(idle, now))?;
        self.retire(at)
    }

    fn retire(&mut self, at: usize) -> Option<R> {
        let idle = self.idle.remove(at)?;
        self.out += 1;
        Some(idle.made.resource)
    }

    /// The end: who waits is let go, what idles is discarded. Once more does nothing.
    pub(crate) fn close(&mut self) -> (Vec<W>, Vec<R>) {
        self.is_closed = true;
        let idle = self.idle.drain(..).map(|idle| idle.made.resource).collect();
        (self.waiting.drain(..).collect(), idle)
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.is_closed
    }

    pub(crate) fn idle(&self) -> usize {
        self.idle.len()
    }

    /// In use, being made, or being dropped.
    pub(crate) fn out(&self) -> usize {
        self.out
    }

    pub(crate) fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// Why a resource that comes back is not kept. One too many is kept for who waits.
    fn reason_against(&self, made: &Made<R>, now: Instant) -> Option<Reason> {
        if self.is_closed {
            return Some(Reason::Closed);
        }
        if self.is_too_old(made, now) {
            return Some(Reason::Expired);
        }
        let is_extra = self.out + self.idle.len() > self.bounds.size;
        (is_extra && self.waiting.is_empty()).then_some(Reason::Overflow)
    }

    fn is_too_old(&self, made: &Made<R>, now: Instant) -> bool {
        has_passed(self.bounds.max_lifetime, made.at, now)
    }

    fn is_expired(&self, idle: &Idle<R>, now: Instant) -> bool {
        self.is_too_old(&idle.made, now) || has_passed(self.bounds.idle_timeout, idle.since, now)
    }
}

fn has_passed(limit: Option<Duration>, since: Instant, now: Instant) -> bool {
    limit.is_some_and(|limit| now.saturating_duration_since(since) >= limit)
}

#[cfg(all(test, not(underpin_loom)))]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn start() -> Instant {
        #[allow(clippy::disallowed_methods)] // any moment will do
        Instant::now()
    }

    fn machine(size: usize, overflow: usize) -> Machine<u32, u32> {
        let (max_lifetime, idle_timeout) = (Some(60 * SECOND), Some(10 * SECOND));
        Machine::new(Bounds { size, overflow, max_lifetime, idle_timeout })
    }

    const MAKE: Asked<u32> = Asked::Granted(Grant::Make { instead_of: None });

    #[test]
    fn what_was_used_last_is_used_first_and_the_others_expire() {
        let (mut machine, at) = (machine(3, 0), start());
        (0..3).for_each(|_| assert_eq!(machine.ask(at), MAKE));
        for (resource, seconds) in [(1, 0), (2, 1), (3, 2)] {
            assert_eq!(machine.give_back(Made { resource, at }, at + seconds * SECOND), Back::Kept);
        }
        let later = at + 3 * SECOND;
        assert_eq!(machine.ask(later), Asked::Granted(Grant::Take(Made { resource: 3, at })));
        assert_eq!(machine.retire_oldest(at + 9 * SECOND), None);
        assert_eq!(machine.retire_oldest(at + 10 * SECOND), Some(1));
        assert_eq!((machine.idle(), machine.out()), (1, 2));
        assert_eq!(machine.give_up(), None);
        let instead = Asked::Granted(Grant::Make { instead_of: Some(2) });
        assert_eq!(machine.ask(at + 12 * SECOND), instead);
        assert_eq!((machine.idle(), machine.out()), (0, 2));
    }

    #[test]
    fn what_is_too_old_when_it_comes_back_makes_room_for_who_waits() {
        let (mut machine, at) = (machine(1, 0), start());
        assert_eq!(machine.ask(at), MAKE);
        assert_eq!(machine.ask(at), Asked::Full);
        machine.wait(7);
        let back = machine.give_back(Made { resource: 1, at }, at + 60 * SECOND);
        assert_eq!((back, machine.out()), (Back::Refused(1, Reason::Expired), 1));
        assert_eq!(machine.give_up(), Some(7));
        assert_eq!((machine.out(), machine.idle(), machine.waiting()), (1, 0, 0));
    }

    #[test]
    fn a_resource_that_is_old_but_in_the_midst_is_found_when_all_are_looked_at() {
        let (mut machine, at) = (machine(2, 0), start());
        (0..2).for_each(|_| assert_eq!(machine.ask(at), MAKE));
        let later = at + 55 * SECOND;
        machine.give_back(Made { resource: 1, at: later }, later);
        machine.give_back(Made { resource: 2, at }, later);
        let then = at + 60 * SECOND;
        assert_eq!((machine.retire_oldest(then), machine.retire_any(then)), (None, Some(2)));
        assert_eq!(machine.retire_any(then), None);
    }

    #[test]
    fn one_too_many_is_for_who_waits_and_otherwise_for_nobody() {
        let (mut machine, at) = (machine(1, 1), start());
        (0..2).for_each(|_| assert_eq!(machine.ask(at), MAKE));
        machine.wait(7);
        let made = |resource| Made { resource, at };
        assert_eq!(machine.give_back(made(1), at), Back::Called(7, made(1)));
        assert_eq!(machine.give_back(made(2), at), Back::Refused(2, Reason::Overflow));
        assert_eq!(machine.give_up(), None);
        assert_eq!(machine.give_back(made(1), at), Back::Kept);
        assert_eq!((machine.out(), machine.idle()), (0, 1));
    }

    /// What somebody does to a pool.
    #[derive(Clone, Copy, Debug)]
    enum Step {
        Ask,
        GiveBack(usize),
        GiveUp(usize),
        Leave(usize),
        RetireOldest,
        RetireAny,
        Pass(u64),
        Close,
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            6 => Just(Step::Ask),
            4 => any::<usize>().prop_map(Step::GiveBack),
            1 => any::<usize>().prop_map(Step::GiveUp),
            1 => any::<usize>().prop_map(Step::Leave),
            1 => Just(Step::RetireOldest),
            1 => Just(Step::RetireAny),
            3 => (0..15_u64).prop_map(Step::Pass),
        ]
    }

    /// A pool as lists, each step told in the words of its documentation.
    #[derive(Default)]
    struct Naive {
        size: usize,
        overflow: usize,
        now: u64,
        made: u32,
        /// Number, when it was made, since when it idles.
        idle: Vec<(u32, u64, u64)>,
        /// Those in use.
        used: Vec<(u32, u64)>,
        waiting: Vec<u32>,
        discarded: Vec<u32>,
        /// Who was called, and with what.
        served: Vec<(u32, u32)>,
        is_closed: bool,
    }

    impl Naive {
        fn has_expired(&self, (_, at, since): (u32, u64, u64)) -> bool {
            self.now - at >= 60 || self.now - since >= 10
        }

        /// Drops one that has expired, of those that are looked at.
        fn retire(&mut self, looked_at: usize) {
            let place = self.idle.iter().take(looked_at).position(|idle| self.has_expired(*idle));
            if let Some(place) = place {
                let (number, ..) = self.idle.remove(place);
                self.discarded.push(number);
            }
        }

        fn make(&mut self) -> u32 {
            self.made += 1;
            self.used.push((self.made, self.now));
            self.made
        }

        /// The number of a resource, `None` if it must wait.
        fn ask(&mut self) -> Option<u32> {
            if let Some(idle) = self.idle.pop() {
                if self.has_expired(idle) {
                    self.discarded.push(idle.0);
                    return Some(self.make());
                }
                self.used.push((idle.0, idle.1));
                return Some(idle.0);
            }
            (self.used.len() < self.size + self.overflow).then(|| self.make())
        }

        fn serve_with_a_new_one(&mut self) {
            if !self.waiting.is_empty() {
                let waiter = self.waiting.remove(0);
                let number = self.make();
                self.served.push((waiter, number));
            }
        }

        fn give_back(&mut self, (number, at): (u32, u64)) {
            let is_extra = self.used.len() + 1 + self.idle.len() > self.size;
            if self.is_closed || self.now - at >= 60 || is_extra && self.waiting.is_empty() {
                self.discarded.push(number);
                self.serve_with_a_new_one();
            } else if self.waiting.is_empty() {
                self.idle.push((number, at, self.now));
            } else {
                let waiter = self.waiting.remove(0);
                self.used.push((number, at));
                self.served.push((waiter, number));
            }
        }
    }

    /// The machine, with somebody around it who makes resources and keeps lists.
    struct Driven {
        machine: Machine<u32, u32>,
        start: Instant,
        naive: Naive,
        used: Vec<Made<u32>>,
        made: u32,
        discarded: Vec<u32>,
        served: Vec<(u32, u32)>,
        waiters: u32,
    }

    impl Driven {
        fn now(&self) -> Instant {
            self.start + Duration::from_secs(self.naive.now)
        }

        fn granted(&mut self, grant: Grant<u32>) -> u32 {
            let made = match grant {
                Grant::Take(made) => made,
                Grant::Make { instead_of } => {
                    self.discarded.extend(instead_of);
                    self.made += 1;
                    Made { resource: self.made, at: self.now() }
                }
            };
            let number = made.resource;
            self.used.push(made);
            number
        }

        fn called(&mut self, waiter: u32, grant: Grant<u32>) {
            let number = self.granted(grant);
            self.served.push((waiter, number));
        }

        fn dropped(&mut self, number: u32) {
            self.discarded.push(number);
            if let Some(waiter) = self.machine.give_up() {
                self.called(waiter, Grant::Make { instead_of: None });
            }
        }

        /// Takes one of those in use out of both lists.
        fn pick(&mut self, which: usize) -> Option<(Made<u32>, (u32, u64))> {
            let at = which.checked_rem(self.used.len())?;
            let made = self.used.remove(at);
            let naive = self.naive.used.iter().position(|(number, _)| *number == made.resource);
            Some((made, self.naive.used.remove(naive.expect("both have it"))))
        }

        fn ask(&mut self) {
            let asked = self.machine.ask(self.now());
            if self.naive.is_closed {
                assert_eq!(asked, Asked::Closed);
                return;
            }
            let number = match asked {
                Asked::Granted(grant) => Some(self.granted(grant)),
                _ => None,
            };
            assert_eq!(self.naive.ask(), number);
            if number.is_none() {
                self.waiters += 1;
                self.machine.wait(self.waiters);
                self.naive.waiting.push(self.waiters);
            }
        }

        fn leave(&mut self, which: usize) {
            // Somebody who waits, or waited once.
            let who = u32::try_from(which % 40).expect("it is small");
            let waits = self.naive.waiting.iter().position(|other| *other == who);
            assert_eq!(self.machine.leave(|other| *other == who), waits.is_some());
            waits.map(|at| self.naive.waiting.remove(at));
        }

        fn close(&mut self) {
            let (waiting, idle) = self.machine.close();
            assert_eq!(waiting, std::mem::take(&mut self.naive.waiting));
            self.discarded.extend(idle);
            self.naive.discarded.extend(self.naive.idle.drain(..).map(|(number, ..)| number));
            self.naive.is_closed = true;
        }

        fn step(&mut self, step: Step) {
            match step {
                Step::Ask => self.ask(),
                Step::GiveBack(which) => {
                    let Some((made, naive)) = self.pick(which) else { return };
                    match self.machine.give_back(made, self.now()) {
                        Back::Kept => {}
                        Back::Called(waiter, made) => self.called(waiter, Grant::Take(made)),
                        Back::Refused(number, _) => self.dropped(number),
                    }
                    self.naive.give_back(naive);
                }
                Step::GiveUp(which) => {
                    let Some((made, _)) = self.pick(which) else { return };
                    self.naive.discarded.push(made.resource);
                    self.dropped(made.resource);
                    self.naive.serve_with_a_new_one();
                }
                Step::Leave(which) => self.leave(which),
                Step::RetireOldest => {
                    let retired = self.machine.retire_oldest(self.now());
                    retired.into_iter().for_each(|number| self.dropped(number));
                    self.naive.retire(1);
                }
                Step::RetireAny => {
                    let retired = self.machine.retire_any(self.now());
                    retired.into_iter().for_each(|number| self.dropped(number));
                    self.naive.retire(usize::MAX);
                }
                Step::Pass(seconds) => self.naive.now += seconds,
                Step::Close => self.close(),
            }
        }

        fn check(&self) {
            let Self { machine, naive, .. } = self;
            let sorted = |numbers: &[u32]| {
                let mut numbers = numbers.to_vec();
                numbers.sort_unstable();
                numbers
            };
            assert_eq!(sorted(&self.discarded), sorted(&naive.discarded));
            assert_eq!(self.served, naive.served);
            assert_eq!((machine.idle(), machine.out()), (naive.idle.len(), naive.used.len()));
            assert_eq!(machine.waiting(), naive.waiting.len());
            assert!(machine.out() <= naive.size + naive.overflow && machine.idle() <= naive.size);
            assert!(machine.waiting() == 0 || machine.idle() == 0, "somebody waits beside what idles");
            let alive = machine.idle() + machine.out() + self.discarded.len();
            assert_eq!(u32::try_from(alive).expect("it is small"), self.made, "one is lost");
        }
    }

    proptest! {
        #[test]
        fn it_does_what_the_naive_pool_does(
            (size, overflow) in (0..4_usize, 0..3_usize),
            before in prop::collection::vec(step(), 0..120),
            after in prop::collection::vec(step(), 0..30),
        ) {
            let mut driven = Driven {
                machine: machine(size, overflow), start: start(),
                naive: Naive { size, overflow, ..Naive::default() },
                used: Vec::new(), made: 0, discarded: Vec::new(), served: Vec::new(), waiters: 0,
            };
            for step in before.into_iter().chain([Step::Close]).chain(after).chain([Step::Close]) {
                driven.step(step);
                driven.check();
            }
        }
    }
}
