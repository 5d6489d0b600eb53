//! Something that happens once.

use std::time::Instant;

use crate::sync::{self, Clock, Mutex, Thread};

/// Something that happens once, and that any number of threads may wait for.
#[derive(Debug, Default)]
pub(crate) struct Gate(Mutex<Inside>);

#[derive(Debug, Default)]
struct Inside {
    open: bool,
    waiting: Vec<Thread>,
}

impl Gate {
    /// It has happened.
    pub(crate) fn open(&self) {
        let mut inside = self.0.lock();
        inside.open = true;
        let waiting = std::mem::take(&mut inside.waiting);
        drop(inside);
        waiting.iter().for_each(Thread::unpark);
    }

    pub(crate) fn is_open(&self) -> bool {
        self.0.lock().open
    }

    /// Waits until it has happened. `false` when the deadline came first.
    pub(crate) fn wait(&self, clock: &Clock, deadline: Option<Instant>) -> bool {
        {
            let mut inside = self.0.lock();
            if inside.open {
                return true;
            }
            inside.waiting.push(sync::current_thread());
        }
        while !self.is_open() {
            if deadline.is_some_and(|at| clock.now() >= at) {
                return self.leave();
            }
            clock.park(deadline);
        }
        true
    }

    /// Waits no longer. Whoever asks again and again must not pile up.
    fn leave(&self) -> bool {
        let me = sync::current_thread().id();
        let mut inside = self.0.lock();
        if let Some(at) = inside.waiting.iter().position(|thread| thread.id() == me) {
            inside.waiting.swap_remove(at);
        }
        inside.open
    }
}

#[cfg(all(test, not(underpin_loom)))]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::time::Duration;

    #[test]
    fn a_gate_opens_for_those_who_wait_and_those_who_come_later() {
        let gate = Arc::new(Gate::default());
        let clock = Clock::system();
        assert!(!gate.wait(&clock, Some(clock.now() + Duration::from_millis(1))));
        let waiter = std::thread::spawn({
            let (gate, clock) = (Arc::clone(&gate), clock.clone());
            move || gate.wait(&clock, None)
        });
        gate.open();
        assert!(waiter.join().expect("no panic"));
        assert!(gate.wait(&clock, None));
    }
}
