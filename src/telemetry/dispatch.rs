//! Tells handlers what is executed.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::counts::DispatchCounts;
use super::deferred::Deferred;
use super::depth::Depth;
use super::descriptor::check_name;
use super::handlers::{AttachError, Handler, HandlerInfo};
use super::limits::{DispatchLimits, LimitError};
use super::measurement::{Execution, Measure};
use super::names::{Listed, NameCounts, Named};
use super::roster::{Roster, Table};
use crate::error::panic_text;
use crate::gcra::Gcra;
use crate::sync::{Clock, Ordering, Tally, mutant};

/// Tells handlers what is executed.
///
/// - Who executes waits for nobody's code but that of the handlers on its own thread, and hears of no fault. The first
///   execution of a name takes a lock for a moment, as do attaching, detaching and limits; no code of the user's runs
///   under it, that of a drop neither.
/// - No execution that begins when a detachment has returned calls the handler, on any thread. One that is under way may
///   still call it, if it was past the last look: nothing waits for it, for the handler may be what detaches.
/// - A handler that panics is detached: once, however many threads it panics on.
/// - After [`close`](Self::close) nothing does anything.
pub(crate) struct Dispatch {
    clock: Clock,
    start: Instant,
    limits: DispatchLimits,
    roster: Roster,
    /// All names that there is no room for.
    others: Arc<Named>,
    deferred: Deferred,
    misnamed: Tally,
    too_deep: Tally,
    panicked: Tally,
    detached: Tally,
    spans: Tally,
    words_left_out: Tally,
}

/// What is executed.
#[derive(Clone, Copy)]
pub(super) struct Offer<'a> {
    pub(super) name: &'a str,
    pub(super) measurements: &'a [(&'a str, Measure)],
    pub(super) metadata: &'a [(&'a str, &'a str)],
    /// When, if that was read already.
    pub(super) at: Option<Instant>,
    /// Whether it goes past the limit of its name.
    pub(super) is_free: bool,
}

/// What has come of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// Nobody hears it.
    Unheard,
    /// It was one too many, too deep, or under no name.
    Refused,
    /// Handlers were told.
    Told,
}

// ---- executing ---------------------------------------------------------------------------

impl Dispatch {
    pub(crate) fn new(clock: Clock) -> Self {
        Self::with_limits(clock, DispatchLimits::default())
    }

    pub(crate) fn with_limits(clock: Clock, limits: DispatchLimits) -> Self {
        Self {
            start: clock.now(),
            clock,
            limits,
            roster: Roster::new(),
            others: Arc::new(Named::new("")),
            deferred: Deferred::new(limits.deferred),
            misnamed: Tally::new(0),
            too_deep: Tally::new(0),
            panicked: Tally::new(0),
            detached: Tally::new(0),
            spans: Tally::new(0),
            words_left_out: Tally::new(0),
        }
    }

    /// Tells whoever hears `name`, on this thread or later; the order is from the shortest prefix to the longest.
    #[inline]
    pub(crate) fn execute(&self, name: &str, measurements: &[(&str, Measure)], metadata: &[(&str, &str)]) {
        if self.roster.is_heard() {
            self.offer(&Offer { name, measurements, metadata, at: None, is_free: false });
        }
    }

    /// Whether anybody hears a name or one below it.
    pub(super) fn hears_below(&self, name: &str) -> bool {
        self.roster.is_heard() && self.roster.look().handlers.hear_below(name)
    }

    pub(super) fn offer(&self, offer: &Offer<'_>) -> Outcome {
        let table = self.roster.look();
        match table.names.get(offer.name) {
            Some(listed) => self.pass(listed, offer),
            None => self.offer_new(&table, offer),
        }
    }

    /// The name is not known.
    fn offer_new(&self, table: &Table, offer: &Offer<'_>) -> Outcome {
        if check_name(offer.name).is_err() {
            self.misnamed.fetch_add(1, Ordering::Relaxed);
            return Outcome::Refused;
        }
        if !table.handlers.hear(offer.name) {
            return Outcome::Unheard;
        }
        match self.enlist(table, offer.name) {
            Some(listed) => self.pass(&listed, offer),
            None => Outcome::Unheard,
        }
    }

    /// Makes a name known, if there is room for it: then it is counted and limited on its own. None after the end.
    fn enlist(&self, seen: &Table, name: &str) -> Option<Arc<Listed>> {
        let is_full = |table: &Table| table.names.len() >= self.limits.names;
        if is_full(seen) {
            return Some(self.listed(seen, name, &self.others, self.limits.rate())); // as it will stay
        }
        self.roster.change(|table| match table.names.get(name) {
            Some(listed) => (None, Arc::clone(listed)),
            None if is_full(table) => (None, self.listed(table, name, &self.others, self.limits.rate())),
            None => {
                let listed = self.listed(table, name, &Arc::new(Named::new(name)), self.limits.rate());
                (Some(table.with_name(&listed)), listed)
            }
        })
    }

    fn listed(&self, table: &Table, name: &str, named: &Arc<Named>, rate: Gcra) -> Arc<Listed> {
        Arc::new(Listed { named: Arc::clone(named), rate, heard: table.handlers.heard(name) })
    }

    /// Tells whoever hears it, if depth and limit allow.
    fn pass(&self, listed: &Listed, offer: &Offer<'_>) -> Outcome {
        if listed.heard.is_empty() {
            return Outcome::Unheard;
        }
        let Some(_depth) = Depth::enter() else {
            self.too_deep.fetch_add(1, Ordering::Relaxed);
            return Outcome::Refused;
        };
        let at = offer.at.unwrap_or_else(|| self.clock.now());
        if offer.is_free {
            listed.admit_free();
        } else if !listed.admit(self.nanos(at)) {
            return Outcome::Refused;
        }
        let Offer { name, measurements, metadata, .. } = *offer;
        self.tell(listed, &Execution { name, measurements, metadata, at });
        Outcome::Told
    }

    fn tell(&self, listed: &Listed, execution: &Execution<'_>) {
        listed.heard.here.iter().for_each(|handler| self.call(handler, execution));
        if !listed.heard.deferred.is_empty() {
            self.deferred.send(execution, &listed.heard.deferred);
        }
    }

    /// Nanoseconds since this began.
    fn nanos(&self, at: Instant) -> u64 {
        u64::try_from(at.saturating_duration_since(self.start).as_nanos()).unwrap_or(u64::MAX)
    }

    fn call(&self, handler: &Arc<Handler>, execution: &Execution<'_>) {
        if !handler.is_attached() && !mutant!(CallRetired) {
            return;
        }
        let called = catch_unwind(AssertUnwindSafe(|| handler.call(execution)));
        if let Err(panic) = called {
            self.fell(handler, execution.name, &panic_text(panic));
        }
    }

    /// A handler panicked: whoever is the first to say so detaches it.
    fn fell(&self, handler: &Arc<Handler>, name: &str, text: &str) {
        self.panicked.fetch_add(1, Ordering::Relaxed);
        if handler.retire() {
            self.detached.fetch_add(1, Ordering::Relaxed);
            self.roster.change(|table| (Some(table.without(handler)), ()));
            warn(handler.id(), name, text);
        }
    }
}

/// A logger may panic, too.
fn warn(id: &str, name: &str, text: &str) {
    let told = catch_unwind(|| {
        log::warn!(handler = id, execution = name, reason = text; "telemetry handler `{id}` panicked on {name} and is detached: {text}");
    });
    if let Err(panic) = told {
        panic_text(panic);
    }
}

// ---- handlers and limits -----------------------------------------------------------------

impl Dispatch {
    /// Attaches a handler that runs on the thread of who executes.
    ///
    /// # Errors
    ///
    /// When the id or the prefix is none, the id is taken, there are too many, or this has ended.
    pub(crate) fn attach(
        &self,
        id: &str,
        prefix: &str,
        handler: impl Fn(&Execution<'_>) + Send + Sync + 'static,
    ) -> Result<(), AttachError> {
        self.add(Arc::new(Handler::new(id, prefix, false, handler)?))
    }

    /// Attaches a handler that runs in [`run_deferred`](Self::run_deferred). It is given copies, and not all of them
    /// when that is behind.
    ///
    /// # Errors
    ///
    /// As [`attach`](Self::attach).
    pub(crate) fn attach_deferred(
        &self,
        id: &str,
        prefix: &str,
        handler: impl Fn(&Execution<'_>) + Send + Sync + 'static,
    ) -> Result<(), AttachError> {
        self.add(Arc::new(Handler::new(id, prefix, true, handler)?))
    }

    fn add(&self, handler: Arc<Handler>) -> Result<(), AttachError> {
        let added = self.roster.change(|table| match self.with(table, &handler) {
            Ok(table) => (Some(table), Ok(())),
            Err(error) => (None, Err(error)),
        });
        added.unwrap_or_else(|| Err(AttachError::Closed { id: Arc::clone(handler.id()) }))
    }

    fn with(&self, table: &Table, handler: &Arc<Handler>) -> Result<Table, AttachError> {
        let (id, most) = (Arc::clone(handler.id()), self.limits.handlers);
        match table.handlers.find(&id) {
            Some(other) if other.is_attached() => Err(AttachError::Taken { id }),
            // It has panicked, and is about to be taken out.
            Some(other) => Ok(table.without(other).with(handler)),
            None if table.handlers.len() >= most => Err(AttachError::TooMany { id, most }),
            None => Ok(table.with(handler)),
        }
    }

    /// Detaches a handler; what waits for it is not given to it. `true` for one alone of those who detach it, its own
    /// panic among them.
    pub(crate) fn detach(&self, id: &str) -> bool {
        let detached = self.roster.change(|table| match table.handlers.find(id) {
            Some(handler) => (Some(table.without(handler)), handler.retire()),
            None => (None, false),
        });
        detached.unwrap_or(false)
    }

    /// Those with a prefix that is this one or below it, in the order of prefixes.
    pub(crate) fn list(&self, prefix: &str) -> Vec<HandlerInfo> {
        self.roster.load().handlers.below(prefix)
    }

    /// How often a name may be executed: so often in a second, evenly, and so often at once. With 0 of either, never.
    /// What has been executed counts for it.
    ///
    /// # Errors
    ///
    /// When the name is none, or there are too many.
    pub(crate) fn limit(&self, name: &str, per_second: u32, burst: u32) -> Result<(), LimitError> {
        check_name(name)?;
        let (rate, most) = (Gcra::per_second(per_second, burst), self.limits.names);
        let limited = self.roster.change(|table| {
            let named = match table.names.get(name) {
                Some(listed) => Arc::clone(&listed.named),
                None if table.names.len() < most => Arc::new(Named::new(name)),
                None => return (None, Err(LimitError::TooMany { name: name.into(), most })),
            };
            (Some(table.with_name(&self.listed(table, name, &named, rate))), Ok(()))
        });
        limited.unwrap_or(Ok(()))
    }
}

// ---- the telemetry's thread, and the end -------------------------------------------------

impl Dispatch {
    /// How the telemetry's thread is told to call [`run_deferred`](Self::run_deferred). It is called on the thread of who
    /// executes, so it must not wait. The first one stands; `false` for others.
    pub(crate) fn on_deferred(&self, wake: impl Fn() + Send + Sync + 'static) -> bool {
        self.deferred.on_wake(wake)
    }

    /// Gives what waits to the handlers that are to hear it, `most` executions at most, and returns how many. When it is
    /// `most`, more may wait; nothing wakes the thread for those. It is called when the thread is woken, when it begins,
    /// and now and then: a call to wake it may be lost with it.
    pub(crate) fn run_deferred(&self, most: usize) -> usize {
        if !mutant!(SilenceAfterLook) {
            self.deferred.look();
        }
        let waiting = (0..most).map_while(|_| self.deferred.take());
        let given =
            waiting.map(|parcel| parcel.open(|handler, execution| self.call(handler, execution))).count();
        if mutant!(SilenceAfterLook) {
            self.deferred.look();
        }
        given
    }

    /// Whether nobody has woken the thread since it looked last: then its own call counts as that.
    pub(crate) fn claims_wake(&self) -> bool {
        self.deferred.claims_wake()
    }

    /// Drops what closed handlers have left: code of the user's, which is not to run where that was.
    pub(crate) fn bury(&self) {
        self.roster.bury();
    }

    /// After [`close`](Self::close) it begins once more, with nobody attached.
    pub(crate) fn open(&self) {
        self.deferred.open();
        self.roster.open();
    }

    /// From now on nothing does anything. Counts stay. What waits is discarded: who wants it told runs it before.
    pub(crate) fn close(&self) {
        self.roster.close();
        self.deferred.close();
    }

    pub(crate) fn counts(&self) -> DispatchCounts {
        let of = |tally: &Tally| tally.load(Ordering::Relaxed);
        let mut counts = DispatchCounts {
            misnamed: of(&self.misnamed),
            too_deep: of(&self.too_deep),
            panicked: of(&self.panicked),
            detached: of(&self.detached),
            words_left_out: of(&self.words_left_out),
            ..DispatchCounts::default()
        };
        for name in self.names() {
            counts.executed += name.executed;
            counts.limited += name.limited;
        }
        self.deferred.count(&mut counts);
        counts
    }

    /// What has come of each name that is known, in their order; first, under no name, of all for which there was no room.
    pub(crate) fn names(&self) -> Vec<NameCounts> {
        let mut counts = self.roster.load().names.counts();
        counts.insert(0, self.others.counts());
        counts
    }

    // ---- for spans

    pub(super) fn now(&self) -> Instant {
        self.clock.now()
    }

    pub(super) fn since_start(&self, at: Instant) -> Duration {
        at.saturating_duration_since(self.start)
    }

    /// A word of a span is one too many.
    pub(super) fn left_out(&self) {
        self.words_left_out.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn next_span(&self) -> u64 {
        self.spans.fetch_add(1, Ordering::Relaxed) + 1
    }
}

impl fmt::Debug for Dispatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let handlers = self.list("");
        f.debug_struct("Dispatch")
            .field("handlers", &handlers)
            .field("counts", &self.counts())
            .finish_non_exhaustive()
    }
}

#[cfg(all(test, not(underpin_loom)))]
mod tests;
