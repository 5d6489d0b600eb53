//! Who hears of what goes wrong with tasks.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Instant;

use crate::error::{complain, panic_text};
use crate::sync::Mutex;

/// Hears of what goes wrong with tasks: under no lock, on the thread of whoever causes it, so it must not block. A panic in it is
/// contained and logged.
///
/// # Example
///
/// ```
/// use underpin::tasks::{Event, Sink};
///
/// struct Printing;
///
/// impl Sink for Printing {
///     fn event(&self, event: &Event) {
///         println!("{}/{}: {} {}", event.pool, event.task, event.kind, event.detail);
///     }
/// }
/// # let _ = Printing;
/// ```
pub trait Sink: Send + Sync + 'static {
    /// Something happened.
    fn event(&self, event: &Event);
}

/// Something has happened to a task.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Event {
    /// The name of the pool.
    pub pool: Arc<str>,
    /// The name of the task.
    pub task: Arc<str>,
    /// What happened, as a word that does not change: `panicked`, `expired`, or `shedding` for the first that is shed after one
    /// that was not.
    pub kind: &'static str,
    /// The figures, for people.
    pub detail: String,
    /// When, by the clock of the pool.
    pub at: Instant,
}

/// Tells the sink, if there is one.
#[derive(Default)]
pub(crate) struct Voice(Mutex<Option<Arc<dyn Sink>>>);

impl Voice {
    pub(crate) fn new(sink: Arc<dyn Sink>) -> Self {
        Self(Mutex::new(Some(sink)))
    }

    /// Who is told, if nobody has said it.
    #[cfg(all(feature = "foundation", feature = "events"))]
    pub(crate) fn set_default(&self, sink: Arc<dyn Sink>) {
        self.0.lock().get_or_insert(sink);
    }

    /// Whether somebody is told.
    pub(crate) fn is_heard(&self) -> bool {
        self.0.lock().is_some()
    }

    /// The event is made only for somebody who hears it.
    pub(crate) fn tell(&self, event: impl FnOnce() -> Event) {
        let Some(sink) = self.0.lock().clone() else { return };
        let event = event();
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| sink.event(&event))) {
            complain(format_args!("the sink of `{}` panicked: {}", event.pool, panic_text(panic)));
        }
    }
}
