//! What a tree tells of itself, collected, to be waited for.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::log::Log;
use crate::supervisor::report::{CrashReport, SupervisionEvent};

/// Collects what a tree tells of itself, in order, so that a test waits for what it wants to see
/// instead of asking again and again. Clones share what is collected.
///
/// # Example
///
/// ```
/// use std::time::Duration;
/// use underpin::testing::{Crasher, Events, Order};
/// use underpin::{SupervisionEvent, Supervisor};
///
/// let events = Events::new();
/// let victim = Crasher::new().child("victim");
/// let handle = victim.handle();
/// let app = Supervisor::new("app").on_event(events.hook()).child(victim).start()?;
/// handle.cast(Order::Panic)?;
/// let is_crash = |event: &SupervisionEvent| matches!(event, SupervisionEvent::Crashed(_));
/// events.wait_for(is_crash, Duration::from_secs(5))?;
/// assert_eq!(&*events.crashes()[0].child, "victim");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Events(Log<Arc<SupervisionEvent>>);

/// The event that was waited for did not come in time.
#[derive(Clone, Debug)]
pub struct TimedOut {
    /// How long was waited.
    pub waited: Duration,
    /// What came instead, in order, since the collection began.
    pub seen: Vec<SupervisionEvent>,
}

impl Events {
    /// A collection without events.
    pub fn new() -> Self {
        Self(Log::new())
    }

    /// What to give to [`Supervisor::on_event`](crate::Supervisor::on_event), of one tree or of
    /// several.
    pub fn hook(&self) -> impl Fn(&SupervisionEvent) + Send + Sync + use<> + 'static {
        let log = self.0.clone();
        move |event| log.push(Arc::new(event.clone()))
    }

    /// All events so far, in order.
    pub fn all(&self) -> Vec<SupervisionEvent> {
        self.0.all().iter().map(|event| SupervisionEvent::clone(event)).collect()
    }

    /// How many events so far are as `is` says.
    pub fn count(&self, is: impl Fn(&SupervisionEvent) -> bool) -> usize {
        self.0.all().iter().filter(|event| is(event)).count()
    }

    /// The crashes so far, in order.
    pub fn crashes(&self) -> Vec<CrashReport> {
        let crash = |event| match event {
            SupervisionEvent::Crashed(crash) => Some(crash),
            _ => None,
        };
        self.all().into_iter().filter_map(crash).collect()
    }

    /// Waits for the first event, of all since the collection began, that is as `is` says.
    ///
    /// # Errors
    ///
    /// When there was none within `timeout`; the error says what came instead.
    ///
    /// # Blocking
    ///
    /// At most as long as `timeout`, by the system's clock: a [manual clock](crate::Clock::manual)
    /// that nobody moves does not make a test hang. In a [simulation](super::Simulation), by that
    /// one's clock.
    pub fn wait_for(
        &self,
        is: impl Fn(&SupervisionEvent) -> bool,
        timeout: Duration,
    ) -> Result<SupervisionEvent, TimedOut> {
        self.wait_for_nth(1, is, timeout)
    }

    /// As [`wait_for`](Self::wait_for), for the `nth` event that is so; the first is number 1, and so
    /// is number 0.
    ///
    /// # Errors
    ///
    /// As [`wait_for`](Self::wait_for).
    pub fn wait_for_nth(
        &self,
        nth: usize,
        is: impl Fn(&SupervisionEvent) -> bool,
        timeout: Duration,
    ) -> Result<SupervisionEvent, TimedOut> {
        let (mut left, mut next) = (nth.max(1), 0);
        let found = self.0.wait(timeout, || {
            while let Some(event) = self.0.get(next) {
                next += 1;
                left -= usize::from(is(&event));
                if left == 0 {
                    return Some(event);
                }
            }
            None
        });
        let found = found.map(|event| SupervisionEvent::clone(&event));
        found.ok_or_else(|| TimedOut { waited: timeout, seen: self.all() })
    }
}

impl Default for Events {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Events {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.all()).finish()
    }
}

impl fmt::Display for TimedOut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { waited, seen } = self;
        write!(f, "no such event within {waited:?}, but {}: {seen:#?}", seen.len())
    }
}

impl std::error::Error for TimedOut {}
