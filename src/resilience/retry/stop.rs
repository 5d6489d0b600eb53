//! The word that ends all waits.

use std::sync::Arc;
use std::time::Instant;

use crate::service::wait::Gate;
use crate::sync::{self, Clock, Mutex, Thread};

/// Says, once and for all, that nothing is to be waited for any more. Clones are the same signal.
///
/// # Example
///
/// ```
/// use underpin::resilience::StopSignal;
///
/// let signal = StopSignal::new();
/// let shutdown = signal.clone();
/// shutdown.stop();
/// assert!(signal.is_stopped());
/// ```
#[derive(Clone, Debug, Default)]
pub struct StopSignal(Arc<Inside>);

#[derive(Debug, Default)]
struct Inside {
    gate: Gate,
    /// Those who wait for something else, and are to look up when it is given.
    watching: Mutex<Vec<Thread>>,
}

impl StopSignal {
    /// One that has not been given.
    pub fn new() -> Self {
        Self::default()
    }

    /// Gives it: who waits goes on at once. Once more does nothing.
    pub fn stop(&self) {
        self.0.gate.open();
        // Opened first: who comes to the list after this finds it open.
        let watching = std::mem::take(&mut *self.0.watching.lock());
        watching.iter().for_each(Thread::unpark);
    }

    /// Whether it was given.
    pub fn is_stopped(&self) -> bool {
        self.0.gate.is_open()
    }

    /// Waits for it. `false` when that moment came first.
    pub(crate) fn wait_until(&self, clock: &Clock, at: Instant) -> bool {
        self.0.gate.wait(clock, Some(at))
    }

    /// From here to the drop of what it returns the thread is unparked when the signal is given. Whoever parks looks
    /// before whether it [was](Self::is_stopped).
    pub(crate) fn watch(&self) -> Watch<'_> {
        let me = sync::current_thread();
        self.0.watching.lock().push(me.clone());
        Watch { signal: self, me }
    }
}

/// A thread that waits for something else, as long as no [`StopSignal`] is given.
pub(crate) struct Watch<'a> {
    signal: &'a StopSignal,
    me: Thread,
}

impl Drop for Watch<'_> {
    fn drop(&mut self) {
        let mut watching = self.signal.0.watching.lock();
        if let Some(at) = watching.iter().position(|thread| thread.id() == self.me.id()) {
            watching.swap_remove(at);
        }
    }
}

#[cfg(all(test, not(underpin_loom)))]
mod tests {
    use super::*;

    #[test]
    fn who_watches_is_woken_and_who_watches_no_more_is_forgotten() {
        let signal = StopSignal::new();
        drop(signal.watch());
        assert!(signal.0.watching.lock().is_empty());
        let watcher = std::thread::spawn({
            let signal = signal.clone();
            move || {
                let _watch = signal.watch();
                while !signal.is_stopped() {
                    Clock::system().park(None);
                }
            }
        });
        while signal.0.watching.lock().is_empty() {
            std::thread::yield_now();
        }
        signal.stop();
        watcher.join().expect("no panic");
        assert!(signal.0.watching.lock().is_empty());
    }
}
