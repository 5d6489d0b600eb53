//! What all tasks of a pool share: its name, its clock, its counts, and whether it stops.

use std::sync::Arc;

use super::error::TaskError;
use super::head::Head;
use super::sink::{Event, Voice};
use crate::error::complain;
use crate::service::wait::SenderQueue;
use crate::sync::{AtomicBool, AtomicU64, Clock, Ordering};

/// What all tasks of a pool share.
pub(crate) struct Shared {
    pub(super) name: Arc<str>,
    pub(super) clock: Clock,
    pub(super) voice: Voice,
    is_halting: AtomicBool,
    /// Whether the last that came was shed.
    is_shedding: AtomicBool,
    /// Tasks that sleep: called when the pool stops.
    pub(super) sleepers: SenderQueue,
    pub(super) counts: Counts,
}

/// What happened, as far as the desk does not count it.
///
/// In lines of memory of its own: what is read with each task is not fetched anew because something was counted.
#[derive(Debug, Default)]
#[repr(align(128))]
pub(crate) struct Counts {
    pub(super) joined: AtomicU64,
    pub(super) caller_ran: AtomicU64,
    pub(super) panicked: AtomicU64,
    pub(super) cancelled: AtomicU64,
    pub(super) expired: AtomicU64,
    pub(super) stopped: AtomicU64,
    pub(super) shed: AtomicU64,
    pub(super) refused: AtomicU64,
}

impl Shared {
    pub(crate) fn new(name: Arc<str>, clock: Clock, voice: Voice) -> Self {
        Self {
            name,
            clock,
            voice,
            is_halting: AtomicBool::new(false),
            is_shedding: AtomicBool::new(false),
            sleepers: SenderQueue::default(),
            counts: Counts::default(),
        }
    }

    pub(crate) fn is_halting(&self) -> bool {
        self.is_halting.load(Ordering::SeqCst)
    }

    /// All tasks are to end, from here on or no longer.
    pub(crate) fn set_halting(&self, is_halting: bool) {
        self.is_halting.store(is_halting, Ordering::SeqCst);
        if is_halting {
            self.sleepers.call_all();
        }
    }

    /// Counts and tells a panic.
    #[cold]
    pub(super) fn panicked(&self, head: &Head, message: Arc<str>) -> TaskError {
        tally(&self.counts.panicked);
        self.tell(head, "panicked", || message.to_string());
        TaskError::Panicked { name: name(head), message }
    }

    /// Nobody asks what came of a task: a panic that no sink was told of is logged.
    pub(super) fn unheard<T>(&self, outcome: Option<&Result<T, TaskError>>) {
        if let Some(Err(error @ TaskError::Panicked { .. })) = outcome
            && !self.voice.is_heard()
        {
            complain(format_args!("{error}, and nobody asked for its result"));
        }
    }

    /// Counts and tells that it is too late to begin.
    #[cold]
    pub(super) fn expired(&self, head: &Head) -> TaskError {
        tally(&self.counts.expired);
        self.tell(head, "expired", || "it had not begun by its deadline".into());
        TaskError::Expired { name: name(head) }
    }

    /// Counts a task for which there was no room, and tells the first.
    #[cold]
    pub(super) fn shed(&self, head: &Head, capacity: usize) -> TaskError {
        tally(&self.counts.shed);
        if !self.is_shedding.swap(true, Ordering::Relaxed) {
            self.tell(head, "shedding", || format!("{capacity} wait"));
        }
        TaskError::Shed { name: name(head), pool: Arc::clone(&self.name), capacity }
    }

    /// There was room at once: the next that is shed is told again.
    #[inline]
    pub(super) fn calm(&self) {
        if self.is_shedding.load(Ordering::Relaxed) {
            self.is_shedding.store(false, Ordering::Relaxed);
        }
    }

    pub(super) fn stopped(&self, head: &Head) -> TaskError {
        TaskError::Stopped { name: name(head), pool: Arc::clone(&self.name) }
    }

    fn tell(&self, head: &Head, kind: &'static str, detail: impl FnOnce() -> String) {
        self.voice.tell(|| Event {
            pool: Arc::clone(&self.name),
            task: name(head),
            kind,
            detail: detail(),
            at: self.clock.now(),
        });
    }
}

/// The name of a task, for those who keep it.
pub(super) fn name(head: &Head) -> Arc<str> {
    Arc::from(&*head.name)
}

/// One more. ORDERING: Relaxed, for it orders nothing.
#[inline]
pub(super) fn tally(count: &AtomicU64) {
    count.fetch_add(1, Ordering::Relaxed);
}
