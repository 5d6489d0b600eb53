//! What all clones of a breaker share.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::machine::{Admission, BreakerState, Change, Due, Machine, NEVER};
use super::pending::Pending;
use super::permit::{Dropped, Outcome, Permit};
use super::rates::Counts;
use super::refusal::Open;
use super::refusals::Refusals;
use super::settings::Settings;
use super::snapshot::BreakerSnapshot;
use super::word::Word;
use crate::resilience::sink::Voice;
use crate::sync::{AtomicU64, Clock, Figure, Mutex, Ordering, Stopwatch, mutant};

/// What all clones of a breaker share: the machine behind a lock, and what calls can do without that lock.
///
/// The word and `until` are written under the lock alone, and say what the machine was at the last change.
/// By them a call is let through when all are, and refused when none is before `until`; everything else is asked of
/// the machine. Calls that go well may be [pending](super::pending): whoever takes the lock, and looks at what the machine remembers or
/// changes it, [folds](Self::fold) them in first, and lets such calls be counted again when all is shown.
// ORDERING: `until` is written before the word, which is Release and read with Acquire: whoever reads that it is open
// reads until when, or a later one.
#[derive(Debug)]
pub(crate) struct Shared {
    word: AtomicU64,
    until: AtomicU64,
    refusals: Refusals,
    machine: Mutex<Machine>,
    pending: Pending,
    /// A call that takes longer is slow; [`NEVER`] if none is. Written under the lock of the machine, as the next one.
    slow_nanos: Figure,
    /// Whether it matters when a call that went well has ended, as 0 or 1. To be late about it does no harm: a window
    /// by time takes a moment that was not read for the last that was.
    wants_time: Figure,
    /// Whether calls go by the coarse clock, as 0 or 1: late or early, it does no harm.
    is_coarse: Figure,
    clock: Clock,
    /// Times are counted from here.
    birth: Instant,
    watch: Stopwatch,
    name: Arc<str>,
    voice: Voice,
}

// A panic of a call, or of a sink, meets it between two changes: nothing is done by halves.
impl std::panic::RefUnwindSafe for Shared {}

impl Shared {
    pub(crate) fn new(
        name: Arc<str>,
        settings: Settings,
        clock: Clock,
        voice: Voice,
        is_coarse: bool,
    ) -> Self {
        let slow_nanos = settings.slow_nanos.unwrap_or(NEVER);
        let goes_coarse = Figure::of(settings.suits_coarse_clock().into());
        let mut machine = Machine::new(settings);
        let pending = Pending::new();
        if let Some(until) = machine.good_until() {
            pending.open(until);
        }
        Self {
            word: AtomicU64::new(Word::of(&machine, slow_nanos != NEVER).0),
            until: AtomicU64::new(NEVER),
            refusals: Refusals::new(is_coarse),
            slow_nanos: Figure::of(slow_nanos),
            wants_time: Figure::of(machine.ledger().wants_time().into()),
            machine: Mutex::new(machine),
            pending,
            is_coarse: goes_coarse,
            birth: clock.now(),
            watch: Stopwatch::of(&clock),
            clock,
            name,
            voice,
        }
    }

    pub(crate) fn name(&self) -> &Arc<str> {
        &self.name
    }

    #[inline]
    pub(crate) fn word(&self) -> Word {
        Word(self.word.load(Ordering::Acquire))
    }

    /// As exactly as the settings need it: for what is done with each call.
    #[inline]
    fn now(&self) -> u64 {
        if self.is_coarse.get() == 0 { self.exactly_now() } else { self.watch.coarse(&self.clock) }
    }

    /// For what is done when the state changes, so that no wait is cut short and people see when it was.
    #[inline]
    fn exactly_now(&self) -> u64 {
        self.watch.exact(&self.clock)
    }

    /// The moment that is so many nanoseconds from the beginning; `None` if the clock does not reach that far.
    fn moment(&self, nanos: u64) -> Option<Instant> {
        if nanos == NEVER { None } else { self.birth.checked_add(Duration::from_nanos(nanos)) }
    }

    // ---- letting through -----------------------------------------------------------------

    #[inline]
    pub(crate) fn permit(self: &Arc<Self>, dropped: Dropped) -> Result<Permit<'_>, Open> {
        let word = self.word();
        if word.admits() {
            return Ok(self.admitted(word.generation(), word, dropped));
        }
        if self.refuses(word) {
            return Err(Open(Arc::clone(self)));
        }
        self.permit_with_care(dropped)
    }

    #[inline(never)]
    fn permit_with_care(self: &Arc<Self>, dropped: Dropped) -> Result<Permit<'_>, Open> {
        let (admission, change, word) = self.admit(self.exactly_now());
        self.tell(change);
        match admission {
            Admission::Admitted(generation) => Ok(self.admitted(generation, word, dropped)),
            Admission::Refused { .. } => {
                self.refusals.add();
                Err(Open(Arc::clone(self)))
            }
        }
    }

    #[inline]
    fn admitted(&self, generation: u64, word: Word, dropped: Dropped) -> Permit<'_> {
        let started = if word.is_timed() { Some(self.started()) } else { None };
        Permit { shared: self, generation, started, dropped }
    }

    // A number in a register is all that comes back, so that a call that is timed costs little more than the look.
    #[inline(never)]
    fn started(&self) -> u64 {
        self.now()
    }

    /// Refuses without the lock as long as that is certain.
    #[inline(never)]
    fn refuses(&self, word: Word) -> bool {
        if !matches!(word.state(), BreakerState::Open | BreakerState::ForcedOpen) {
            return false;
        }
        if self.refusals.add_untimed() {
            return true;
        }
        let until = self.until.load(Ordering::Relaxed);
        if until == NEVER {
            self.refusals.add(); // there is no time by which to find a storm
            return true;
        }
        let now = self.now();
        let is_certain = now < until;
        if is_certain {
            self.refusals.add_timed(now);
        }
        is_certain
    }

    /// How long it takes from now until a call may be let through, as far as that is known.
    pub(crate) fn retry_after(&self) -> Option<Duration> {
        let word = self.word();
        let is_half_open = word.state() == BreakerState::HalfOpen;
        if word.admits() || is_half_open && self.machine.lock().wants_probes() {
            return Some(Duration::ZERO);
        }
        let until = self.until.load(Ordering::Relaxed);
        (until != NEVER).then(|| Duration::from_nanos(until.saturating_sub(self.now())))
    }

    fn admit(&self, now: u64) -> (Admission, Option<Change>, Word) {
        if mutant!(ProbeBlindly) {
            let mut copy = self.machine.lock().clone();
            let (admission, change) = copy.admit(now);
            let mut machine = self.machine.lock();
            *machine = copy;
            return (admission, change, self.publish(&machine));
        }
        let mut machine = self.machine.lock();
        let (admission, change) = machine.admit(now);
        (admission, change, self.publish(&machine))
    }

    // ---- what came of it -----------------------------------------------------------------

    // Small, for it becomes part of each place that calls.
    #[inline]
    pub(crate) fn settle(&self, generation: u64, outcome: Outcome, started: Option<u64>) {
        let word = self.word();
        if outcome != Outcome::Success || word.heeds_successes() {
            self.settle_with_care(word, generation, outcome, started);
        }
    }

    #[inline(never)]
    fn settle_with_care(&self, word: Word, generation: u64, outcome: Outcome, started: Option<u64>) {
        match outcome {
            Outcome::Success => self.succeed(word, generation, started),
            Outcome::Failure => self.record(word, generation, Some(true), started),
            // A probe that says nothing has to be given back.
            Outcome::Ignore if word.state() == BreakerState::HalfOpen => {
                self.record(word, generation, None, started)
            }
            Outcome::Ignore => {}
        }
    }

    /// What nearly all calls do. The clock is looked at only where it matters when the call has ended, or how long it took.
    #[inline]
    fn succeed(&self, word: Word, generation: u64, started: Option<u64>) {
        if !word.is_timed() && self.wants_time.get() == 0 {
            return self.record_call(word, generation, Some(Counts::one(false, false)), 0);
        }
        let now = self.now();
        let is_slow = self.is_slow(started, now);
        let is_counted = || self.pending.add(now, || self.word().generation() == generation);
        if is_slow || word.records() && !is_counted() {
            self.record_at(word, generation, Some(Counts::one(false, is_slow)), now);
        }
    }

    /// Whether a call that has ended now was slow; not if nobody knows when it began.
    #[inline]
    fn is_slow(&self, started: Option<u64>, now: u64) -> bool {
        started.is_some_and(|started| now.saturating_sub(started) > self.slow_nanos.get())
    }

    /// Records a call that has failed, or has not, or says nothing.
    fn record(&self, word: Word, generation: u64, is_failed: Option<bool>, started: Option<u64>) {
        let now = self.now();
        let is_slow = self.is_slow(started, now);
        self.record_at(word, generation, is_failed.map(|is_failed| Counts::one(is_failed, is_slow)), now);
    }

    // Apart, so that little is in the way of calls that are counted without the lock.
    #[inline(never)]
    fn record_at(&self, word: Word, generation: u64, call: Option<Counts>, now: u64) {
        self.record_call(word, generation, call, now);
    }

    /// Records a call that has ended at `now`, which matters only where [`wants_time`](Self::wants_time) says so, and
    /// of failures.
    // Inlined into where the call is known to be a good one, of which little is left.
    #[inline(always)]
    fn record_call(&self, word: Word, generation: u64, call: Option<Counts>, now: u64) {
        let change = {
            let mut machine = self.machine.lock();
            let is_good = call == Some(Counts::one(false, false));
            self.fold(&mut machine, !is_good || self.pending.is_over(now));
            let due = machine.record(generation, call, now);
            self.conclude(&mut machine, due, word)
        };
        if change.is_some() {
            self.tell(change);
        }
    }

    /// Does what is due, and shows it. The caller has the machine's lock, and had read `word` before.
    #[inline]
    fn conclude(&self, machine: &mut Machine, due: Option<Due>, word: Word) -> Option<Change> {
        let change = due.map(|due| machine.turn(due, self.exactly_now()));
        // What was read before the lock was taken may not be what is shown now.
        let shown = if mutant!(ShowByStaleWord) { word } else { Word(self.word.load(Ordering::Relaxed)) };
        if change.is_some() || machine.wants_successes() != shown.records() {
            self.publish(machine);
        }
        self.reopen(machine);
        change
    }

    /// Puts what was counted without the lock into the window. Closes what counts it, if what comes now needs that.
    #[inline]
    fn fold(&self, machine: &mut Machine, closes: bool) {
        let calls = if closes { self.pending.close() } else { self.pending.take() };
        machine.record_good(calls);
    }

    /// Has calls counted without the lock, if they may be. What the machine has become is shown.
    #[inline]
    fn reopen(&self, machine: &Machine) {
        if let Some(until) = machine.good_until()
            && !self.pending.is_open()
        {
            self.pending.open(until);
        }
    }

    /// Shows what the machine, whose lock the caller has, has become.
    #[inline]
    fn publish(&self, machine: &Machine) -> Word {
        let word = Word::of(machine, self.slow_nanos.get() != NEVER);
        // Written when it is another, so that calls that change nothing take the line from nobody.
        if self.word.load(Ordering::Relaxed) != word.0 {
            self.until.store(machine.until(), Ordering::Relaxed);
            self.word.store(word.0, Ordering::Release);
        }
        word
    }

    /// Shows it also where the word is the same, and until when it holds is not.
    fn publish_all(&self, machine: &Machine) {
        self.until.store(machine.until(), Ordering::Relaxed);
        self.publish(machine);
    }

    // ---- from outside --------------------------------------------------------------------

    pub(crate) fn change_to(&self, state: BreakerState) {
        let now = self.exactly_now();
        let change = {
            let mut machine = self.machine.lock();
            self.fold(&mut machine, true);
            let change = machine.ask(state, now);
            self.publish(&machine);
            self.reopen(&machine);
            change
        };
        self.tell(change);
    }

    /// It goes by these settings from now on. What that has brought about is to be [told](Self::tell).
    pub(crate) fn change(&self, settings: Settings) -> Option<Change> {
        let now = self.exactly_now();
        let is_coarse = settings.suits_coarse_clock();
        let mut machine = self.machine.lock();
        self.fold(&mut machine, true);
        self.slow_nanos.set(settings.slow_nanos.unwrap_or(NEVER));
        let change = machine.change(settings, now);
        self.wants_time.set(machine.ledger().wants_time().into());
        self.is_coarse.set(is_coarse.into());
        self.publish_all(&machine);
        self.reopen(&machine);
        change
    }

    pub(crate) fn tell(&self, change: Option<Change>) {
        let Some(change) = change else { return };
        let at = self.moment(change.at).unwrap_or(self.birth);
        self.voice.tell(&self.name, kind(change.to), at, || {
            format!("{} -> {}: {}", change.from, change.to, change.cause)
        });
    }

    pub(crate) fn snapshot(&self) -> BreakerSnapshot {
        let now = self.exactly_now();
        let mut machine = self.machine.lock();
        self.fold(&mut machine, self.pending.is_over(now));
        let (calls, is_enough) = machine.ledger().counts(now);
        self.reopen(&machine);
        BreakerSnapshot {
            name: Arc::clone(&self.name),
            state: machine.state(),
            since: self.moment(machine.since()).unwrap_or(self.birth),
            until: self.moment(machine.until()),
            calls,
            failure_rate: is_enough.then(|| calls.failure_rate()),
            slow_call_rate: is_enough.then(|| calls.slow_call_rate()),
            consecutive_failures: machine.ledger().in_a_row(),
            probes: machine.probing(),
            opened: machine.opened(),
            refused: self.refusals.number(),
        }
    }
}

/// The kind of the event that says that a breaker is in this state now.
fn kind(state: BreakerState) -> &'static str {
    match state {
        BreakerState::Closed => "breaker_closed",
        BreakerState::Open => "breaker_opened",
        BreakerState::HalfOpen => "breaker_half_opened",
        BreakerState::ForcedOpen => "breaker_forced_open",
        BreakerState::Disabled => "breaker_disabled",
        BreakerState::MetricsOnly => "breaker_metrics_only",
    }
}

#[cfg(all(test, not(underpin_loom)))]
mod tests {
    use std::sync::mpsc::channel;

    use super::*;
    use crate::resilience::{CallWindow, CircuitBreaker};

    #[test]
    fn an_open_breaker_refuses_without_its_lock_and_a_closed_one_lets_through_without_it() {
        let breaker = CircuitBreaker::builder("a").consecutive_failures(1).build().expect("good");
        for is_open in [false, true] {
            if is_open {
                breaker.open();
            }
            let (tell, told) = channel();
            let _held = breaker.shared.machine.lock();
            let other = breaker.clone();
            std::thread::spawn(move || tell.send(other.call(|| Ok::<_, ()>(())).is_err()));
            assert_eq!(told.recv_timeout(Duration::from_secs(60)), Ok(is_open));
        }
    }

    #[test]
    fn a_call_that_goes_well_takes_no_lock_in_a_part_of_a_window_by_time_and_none_where_all_went_well() {
        let (clock, hand) = Clock::manual();
        for window in [CallWindow::Count(3), CallWindow::Time(Duration::from_secs(10))] {
            let builder = CircuitBreaker::builder("a").sliding_window(window).clock(clock.clone());
            let breaker = builder.slow_call_duration_threshold(Duration::from_secs(1)).build().expect("good");
            hand.advance(Duration::from_secs(5));
            assert!((0..3).all(|_| breaker.call(|| Ok::<_, ()>(())).is_ok()));
            let (tell, told) = channel();
            let held = breaker.shared.machine.lock();
            let other = breaker.clone();
            std::thread::spawn(move || tell.send(other.call(|| Ok::<_, ()>(())).is_ok()));
            assert_eq!(told.recv_timeout(Duration::from_secs(60)), Ok(true), "{window:?}");
            drop(held);
            let calls = if matches!(window, CallWindow::Count(_)) { 3 } else { 4 };
            assert_eq!(breaker.snapshot().calls.calls, calls);
        }
    }

    #[test]
    fn other_settings_may_need_another_clock_and_time_goes_on() {
        let builder = |wait| CircuitBreaker::builder("a").wait_duration_in_open_state(wait);
        let (coarse, exact) = (builder(Duration::from_secs(1)), builder(Duration::from_millis(999)));
        let settings = [exact.settings(), coarse.settings()].map(|settings| settings.expect("they are good"));
        let breaker = coarse.build().expect("good");
        let shared = &breaker.shared;
        let (mut last, start) = (0, shared.exactly_now());
        for turn in 0..1_000 {
            let now = shared.now();
            assert!(now >= last.max(start).saturating_sub(500_000_000) && now <= shared.exactly_now());
            last = now;
            breaker.change(settings[turn % 2].clone()).tell();
        }
        assert!(last > 0);
    }
}
