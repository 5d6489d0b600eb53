//! Who hears of what the room does.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Instant;

use crate::error::{complain, panic_text, tell_sink};
use crate::sync::Mutex;

/// Hears of what happens: never on a fast path, under no lock, on the thread of whoever causes it; so it must not
/// block. A panic in it is contained and logged.
///
/// # Example
///
/// ```
/// use underpin::resilience::{Event, Sink};
///
/// struct Printing;
///
/// impl Sink for Printing {
///     fn event(&self, event: &Event) {
///         println!("{}: {} {}", event.source, event.kind, event.detail);
///     }
/// }
/// # let _ = Printing;
/// ```
pub trait Sink: Send + Sync + 'static {
    /// Something happened.
    fn event(&self, event: &Event);

    /// Whether it wants to hear anything now: for one that does not, no event is made. Asked as it is told.
    fn is_listening(&self) -> bool {
        true
    }
}

/// Something has happened to one thing of this room.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Event {
    /// The name of the thing.
    pub source: Arc<str>,
    /// What happened, as a word that does not change.
    pub kind: &'static str,
    /// The figures, for people.
    pub detail: String,
    /// When, by the clock of the thing.
    pub at: Instant,
}

/// Whoever is said later, if anybody is.
#[derive(Default)]
pub(crate) struct Relay(Mutex<Option<Arc<dyn Sink>>>);

impl Relay {
    /// From now on it is this one.
    #[cfg(all(feature = "foundation", feature = "events"))]
    pub(crate) fn lead_to(&self, sink: Arc<dyn Sink>) {
        let before = self.0.lock().replace(sink);
        drop(before); // under no lock
    }

    fn sink(&self) -> Option<Arc<dyn Sink>> {
        self.0.lock().clone()
    }
}

impl Sink for Relay {
    fn event(&self, event: &Event) {
        if let Some(sink) = self.sink() {
            sink.event(event);
        }
    }

    fn is_listening(&self) -> bool {
        self.sink().is_some_and(|sink| sink.is_listening())
    }
}

/// Tells the sink, if there is one.
#[derive(Clone, Default)]
pub(crate) struct Voice(Option<Arc<dyn Sink>>);

impl Voice {
    pub(crate) fn new(sink: Option<Arc<dyn Sink>>) -> Self {
        Self(sink)
    }

    /// Whether anybody hears it.
    pub(crate) fn is_heard(&self) -> bool {
        self.0.as_ref().is_some_and(|sink| listens(&**sink))
    }

    /// The detail is made only for somebody who hears it.
    pub(crate) fn tell(
        &self,
        source: &Arc<str>,
        kind: &'static str,
        at: Instant,
        detail: impl FnOnce() -> String,
    ) {
        let Some(sink) = self.0.as_ref().filter(|sink| listens(&***sink)) else { return };
        let event = Event { source: Arc::clone(source), kind, detail: detail(), at };
        tell_sink(source, || sink.event(&event));
    }
}

/// A sink that panics when it is asked does not: its panic would take the place of that of a call.
fn listens(sink: &dyn Sink) -> bool {
    catch_unwind(AssertUnwindSafe(|| sink.is_listening())).unwrap_or_else(|panic| {
        complain(format_args!("a sink panicked when it was asked whether it listens: {}", panic_text(panic)));
        false
    })
}

impl fmt::Debug for Voice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Voice").field(&self.0.is_some()).finish()
    }
}

#[cfg(all(test, not(underpin_loom)))]
mod tests {
    use super::*;
    use crate::sync::{Clock, Mutex};

    struct Heard(Mutex<Vec<Event>>);

    impl Sink for Heard {
        fn event(&self, event: &Event) {
            self.0.lock().push(event.clone());
            assert_ne!(event.kind, "bad", "a sink that panics");
        }
    }

    #[test]
    fn a_panic_of_the_sink_stays_there_and_nobody_makes_details_for_nobody() {
        let heard = Arc::new(Heard(Mutex::new(Vec::new())));
        let voice = Voice::new(Some(Arc::clone(&heard) as Arc<dyn Sink>));
        let at = Clock::system().now();
        voice.tell(&"a".into(), "bad", at, || "1".into());
        voice.tell(&"a".into(), "good", at, || "2".into());
        let kinds: Vec<_> = heard.0.lock().iter().map(|event| (event.kind, event.detail.clone())).collect();
        assert_eq!(kinds, [("bad", "1".to_owned()), ("good", "2".to_owned())]);
        Voice::default().tell(&"a".into(), "good", at, || panic!("nobody hears it"));
    }
}
