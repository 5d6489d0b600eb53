//! What waits for the telemetry's thread.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, OnceLock};

use super::copied::Copied;
use super::counts::DispatchCounts;
use super::depth::Depth;
use super::handlers::Handler;
use super::measurement::Execution;
use super::pressure::Pressure;
use crate::error::panic_text;
use crate::sync::{AtomicBool, Ordering, Receiver, Sender, Tally, bounded, fence, mutant};

/// Executions that wait for the telemetry's thread, so many at most. Whoever puts one in never waits: the fuller it is,
/// the more is left out, and counted.
pub(crate) struct Deferred {
    into: Sender<Box<Parcel>>,
    out: Receiver<Box<Parcel>>,
    /// Whether the thread was woken and has not looked since.
    is_signalled: AtomicBool,
    is_closed: AtomicBool,
    wake: OnceLock<Box<dyn Fn() + Send + Sync>>,
    figures: Figures,
}

// ORDERING: figures; nothing depends on them.
#[derive(Debug, Default)]
struct Figures {
    under_pressure: Tally,
    queued: Tally,
    delivered: Tally,
    sampled: Tally,
    dropped: Tally,
    discarded: Tally,
    cut: Tally,
}

/// One execution, and who is to hear it.
#[derive(Debug)]
pub(crate) struct Parcel {
    copied: Copied,
    handlers: Arc<[Arc<Handler>]>,
    level: u8,
}

impl Parcel {
    /// Hands it to whoever is to hear it, at the depth at which it was executed.
    pub(crate) fn open(&self, mut call: impl FnMut(&Arc<Handler>, &Execution<'_>)) {
        let _depth = Depth::resume(self.level);
        self.copied.show(|execution| self.handlers.iter().for_each(|handler| call(handler, execution)));
    }
}

impl Deferred {
    /// For so many, at least one.
    pub(crate) fn new(capacity: usize) -> Self {
        let (into, out) = bounded(capacity.max(1));
        let (is_signalled, is_closed) = (AtomicBool::new(false), AtomicBool::new(false));
        Self { into, out, is_signalled, is_closed, wake: OnceLock::new(), figures: Figures::default() }
    }

    /// How the thread is woken. The first one stands; `false` for others.
    pub(crate) fn on_wake(&self, wake: impl Fn() + Send + Sync + 'static) -> bool {
        self.wake.set(Box::new(wake)).is_ok()
    }

    /// Puts in a copy, if there is room, and wakes the thread.
    pub(crate) fn send(&self, execution: &Execution<'_>, handlers: &Arc<[Arc<Handler>]>) {
        if !self.has_room() {
            return;
        }
        let (copied, is_cut) = Copied::of(execution);
        let parcel = Parcel { copied, handlers: Arc::clone(handlers), level: Depth::level() };
        match self.into.try_send(Box::new(parcel)) {
            Ok(()) => self.sent(is_cut),
            Err(_) => raise(&self.figures.dropped), // others were faster
        }
    }

    fn has_room(&self) -> bool {
        let figures = &self.figures;
        let (has_room, left_out) = match Pressure::of(self.into.len(), self.into.capacity()) {
            Pressure::Room => (true, &figures.sampled),
            Pressure::Full => (false, &figures.dropped),
            Pressure::OneOf(many) => {
                let nth = figures.under_pressure.fetch_add(1, Ordering::Relaxed);
                (nth.is_multiple_of(many), &figures.sampled)
            }
        };
        if !has_room {
            raise(left_out);
        }
        has_room
    }

    fn sent(&self, is_cut: bool) {
        raise(&self.figures.queued);
        if is_cut {
            raise(&self.figures.cut);
        }
        // ORDERING: with the fence in `close`. Either that sees the parcel, or this sees that it is closed.
        fence(Ordering::SeqCst);
        if self.is_closed.load(Ordering::Relaxed) && !mutant!(QueueWithoutRecheck) {
            return self.discard();
        }
        self.signal();
    }

    /// Wakes the thread, unless somebody did and it has not looked since.
    // ORDERING: both are read-modify-writes. Who finds it signalled is before the thread in their order, so that the
    // thread sees what was put in.
    fn signal(&self) {
        let Some(wake) = self.wake.get().filter(|_| !self.is_signalled.swap(true, Ordering::AcqRel)) else {
            return;
        };
        if let Err(panic) = catch_unwind(AssertUnwindSafe(wake)) {
            panic_text(panic);
        }
    }

    /// Whether nobody has woken it since it looked last. From then on somebody has.
    pub(crate) fn claims_wake(&self) -> bool {
        !self.is_signalled.swap(true, Ordering::AcqRel)
    }

    /// The thread is about to look: what comes from now on wakes it again.
    pub(crate) fn look(&self) {
        self.is_signalled.swap(false, Ordering::AcqRel);
    }

    /// The oldest.
    pub(crate) fn take(&self) -> Option<Box<Parcel>> {
        let parcel = self.out.try_recv().ok()?;
        raise(&self.figures.delivered);
        Some(parcel)
    }

    /// Once more.
    pub(crate) fn open(&self) {
        self.is_closed.store(false, Ordering::Relaxed);
    }

    /// From now on nothing waits here.
    pub(crate) fn close(&self) {
        self.is_closed.store(true, Ordering::Relaxed);
        fence(Ordering::SeqCst); // see `sent`
        self.discard();
    }

    fn discard(&self) {
        while self.out.try_recv().is_ok() {
            raise(&self.figures.discarded);
        }
    }

    /// How many wait.
    pub(crate) fn len(&self) -> usize {
        self.into.len()
    }

    pub(crate) fn count(&self, counts: &mut DispatchCounts) {
        let of = |tally: &Tally| tally.load(Ordering::Relaxed);
        let figures = &self.figures;
        (counts.queued, counts.delivered) = (of(&figures.queued), of(&figures.delivered));
        (counts.sampled, counts.dropped) = (of(&figures.sampled), of(&figures.dropped));
        (counts.discarded, counts.cut) = (of(&figures.discarded), of(&figures.cut));
        counts.waiting = self.len();
    }
}

fn raise(tally: &Tally) {
    tally.fetch_add(1, Ordering::Relaxed);
}

impl fmt::Debug for Deferred {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Deferred").field("waiting", &self.len()).field("figures", &self.figures).finish()
    }
}

#[cfg(all(test, not(underpin_loom)))]
mod tests {
    use super::*;
    use crate::sync::Clock;

    fn send(deferred: &Deferred) {
        let execution = Execution { name: "a", measurements: &[], metadata: &[], at: Clock::SYSTEM.now() };
        deferred.send(&execution, &Arc::from([]));
    }

    fn counts(deferred: &Deferred) -> DispatchCounts {
        let mut counts = DispatchCounts::default();
        deferred.count(&mut counts);
        counts
    }

    /// How many are taken of so many that come while so many wait.
    fn taken(waiting: usize, come: u64) -> u64 {
        let deferred = Deferred::new(1024);
        let mut taken = 0;
        for _ in 0..come {
            while deferred.len() < waiting {
                send(&deferred);
            }
            let before = counts(&deferred).queued;
            send(&deferred);
            taken += counts(&deferred).queued - before;
            while deferred.len() > waiting {
                deferred.take();
            }
        }
        taken
    }

    #[test]
    fn the_fuller_it_is_the_fewer_are_taken() {
        assert_eq!(
            (taken(512, 80), taken(513, 80), taken(768, 80), taken(769, 80), taken(1023, 80)),
            (80, 40, 40, 10, 10)
        );
    }

    #[test]
    fn all_that_came_is_accounted_for() {
        let deferred = Deferred::new(64);
        (0..5_000).for_each(|_| send(&deferred));
        (0..10).for_each(|_| drop(deferred.take()));
        let now = counts(&deferred);
        assert_eq!((now.queued + now.sampled + now.dropped, now.delivered, now.waiting), (5_000, 10, 54));
        assert!(now.sampled > 0 && now.dropped > 0, "{now:?}");
        deferred.close();
        send(&deferred);
        let then = counts(&deferred);
        assert_eq!((then.queued, then.discarded, then.waiting), (now.queued + 1, 55, 0));
    }

    #[test]
    fn the_thread_is_woken_once_until_it_looks() {
        let (deferred, woken) = (Deferred::new(8), Arc::new(Tally::new(0)));
        send(&deferred); // nobody to wake yet
        let wake = {
            let woken = Arc::clone(&woken);
            move || assert!(woken.fetch_add(1, Ordering::Relaxed) < 2, "a wake that panics is contained")
        };
        assert_eq!([deferred.on_wake(wake), deferred.on_wake(|| ())], [true, false]);
        let send_two = || {
            send(&deferred);
            send(&deferred);
            woken.load(Ordering::Relaxed)
        };
        assert_eq!(send_two(), 1);
        deferred.look();
        while deferred.take().is_some() {}
        assert_eq!(send_two(), 2);
        deferred.look();
        while deferred.take().is_some() {}
        assert_eq!(send_two(), 3);
    }
}
