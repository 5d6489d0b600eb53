//! What a run goes through, as it goes.

use std::cell::Cell;
use std::time::{Duration, Instant};

use super::fault::Fault;

/// What a run goes through, as it goes: several closures write it, on one thread.
#[derive(Default)]
pub(super) struct Log {
    attempts: Cell<u32>,
    waited: Cell<Duration>,
    fault: Cell<Option<Fault>>,
    /// Since when it waits for another attempt.
    paused: Cell<Option<Instant>>,
}

impl Log {
    #[inline]
    pub(super) fn waited(&self, time: Duration) {
        if !time.is_zero() {
            self.waited.set(self.waited.get().saturating_add(time));
        }
    }

    /// An attempt begins, the first or after a pause.
    #[inline]
    pub(super) fn attempt(&self, number: u32, now: impl FnOnce() -> Instant) {
        self.resume(now);
        self.attempts.set(number);
    }

    /// An attempt failed, and perhaps there is another after a pause.
    pub(super) fn pause(&self, fault: Fault, now: Instant) {
        self.fault.set(Some(fault));
        self.paused.set(Some(now));
    }

    /// A pause is over.
    pub(super) fn resume(&self, now: impl FnOnce() -> Instant) {
        if let Some(paused) = self.paused.take() {
            self.waited(now().saturating_duration_since(paused));
        }
    }

    /// There is no other attempt. A pause that was to last so long counts if it did; there was none if that is not said.
    pub(super) fn give_up(&self, at_least: Option<Duration>, now: Instant) {
        let paused = self.paused.take().map(|paused| now.saturating_duration_since(paused));
        if let (Some(time), Some(least)) = (paused, at_least)
            && time >= least
        {
            self.waited(time);
        }
    }

    /// The only attempt failed.
    pub(super) fn fail(&self, fault: Fault) {
        self.fault.set(Some(fault));
    }

    pub(super) fn attempts(&self) -> u32 {
        self.attempts.get()
    }

    pub(super) fn time_waited(&self) -> Duration {
        self.waited.get()
    }

    pub(super) fn fault(&self) -> Option<Fault> {
        self.fault.get()
    }
}
