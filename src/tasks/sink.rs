//! Who hears of what goes wrong with tasks.

use std::sync::Arc;
use std::time::Instant;

use crate::error::tell_sink;
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
pub(crate) struct Voice {
    own: Option<Arc<dyn Sink>>,
    /// Who is told if nobody was said: whoever said so last.
    default: Mutex<Option<Arc<dyn Sink>>>,
}

impl Voice {
    pub(crate) fn new(sink: Arc<dyn Sink>) -> Self {
        Self { own: Some(sink), default: Mutex::default() }
    }

    /// Who is told from now on, if nobody was said.
    #[cfg(all(feature = "foundation", feature = "events"))]
    pub(crate) fn set_default(&self, sink: Arc<dyn Sink>) {
        let before = self.default.lock().replace(sink);
        drop(before); // under no lock
    }

    /// Whether somebody is told.
    pub(crate) fn is_heard(&self) -> bool {
        self.own.is_some() || self.default.lock().is_some()
    }

    /// The event is made only for somebody who hears it.
    pub(crate) fn tell(&self, event: impl FnOnce() -> Event) {
        let Some(sink) = self.sink() else { return };
        let event = event();
        tell_sink(&event.pool, || sink.event(&event));
    }

    fn sink(&self) -> Option<Arc<dyn Sink>> {
        self.own.clone().or_else(|| self.default.lock().clone())
    }
}

#[cfg(all(test, not(underpin_loom), feature = "foundation", feature = "events"))]
mod tests {
    use std::sync::mpsc::{Sender, channel};
    use std::time::Duration;

    use super::*;
    use crate::sync::Clock;

    /// Says who it is when it hears something, and asks whether somebody hears it when it goes.
    struct Ear(&'static str, Sender<&'static str>, Arc<Voice>);

    impl Sink for Ear {
        fn event(&self, _: &Event) {
            self.1.send(self.0).expect("somebody listens");
        }
    }

    impl Drop for Ear {
        fn drop(&mut self) {
            if self.2.is_heard() {
                self.1.send("gone").ok();
            }
        }
    }

    fn event() -> Event {
        let (pool, task, at) = ("work".into(), "one".into(), Clock::system().now());
        Event { pool, task, kind: "panicked", detail: String::new(), at }
    }

    #[test]
    fn the_last_default_is_told_and_the_one_before_is_dropped_under_no_lock() {
        let (voice, (tell, told)) = (Arc::new(Voice::default()), channel());
        std::thread::spawn(move || {
            for name in ["first", "second"] {
                voice.set_default(Arc::new(Ear(name, tell.clone(), Arc::clone(&voice))));
                voice.tell(event);
            }
        });
        let next = || told.recv_timeout(Duration::from_secs(60));
        assert_eq!([next(), next(), next()], [Ok("first"), Ok("gone"), Ok("second")]);
    }

    #[test]
    fn who_was_said_hears_it_whatever_the_default() {
        let (nobody, (tell, told)) = (Arc::new(Voice::default()), channel());
        let ear = |name| Arc::new(Ear(name, tell.clone(), Arc::clone(&nobody)));
        let voice = Voice::new(ear("own"));
        voice.set_default(ear("default"));
        voice.tell(event);
        assert!(voice.is_heard() && !nobody.is_heard());
        assert_eq!(told.try_iter().collect::<Vec<_>>(), ["own"]);
    }
}
