//! SIGTERM and SIGINT ask for the end.

use std::sync::Arc;

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::{Handle, Signals as Listening};
use signal_hook::low_level::{emulate_default_handler, signal_name};

use super::foundation::Stopper;
use crate::service::exit::Exit;
use crate::supervisor::errors::StartError;
use crate::sync::{self, JoinHandle};

/// The thread that hears signals. It ends when this is dropped.
#[derive(Debug)]
pub(crate) struct Signals {
    handle: Handle,
    thread: Option<JoinHandle<()>>,
}

impl Signals {
    pub(crate) fn listen(stopper: &Stopper) -> Result<Self, StartError> {
        let refused = |error: std::io::Error| StartError::FailedToStart {
            supervisor: "foundation".into(),
            child: "signals".into(),
            source: Exit::NotSpawned(Arc::new(error)),
        };
        let mut signals = Listening::new([SIGTERM, SIGINT]).map_err(refused)?;
        let handle = signals.handle();
        let stopper = stopper.clone();
        let hear = move || {
            for (before, signal) in signals.forever().enumerate() {
                heard(&stopper, signal, before);
            }
        };
        let thread = sync::spawn("signals".into(), None, hear).map_err(refused)?;
        Ok(Self { handle, thread: Some(thread) })
    }
}

/// The first asks, the second insists.
fn heard(stopper: &Stopper, signal: i32, before: usize) {
    if before > 0 {
        // It ends the process; where that is refused there is nothing left to try.
        let _ = emulate_default_handler(signal);
    }
    stopper.stop_because(signal_name(signal).unwrap_or("a signal"));
}

impl Drop for Signals {
    fn drop(&mut self) {
        self.handle.close();
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}
