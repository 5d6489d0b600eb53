//! SIGTERM and SIGINT ask for the end.

use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::{Handle, Signals as Listening};
use signal_hook::low_level::{emulate_default_handler, signal_name};

use super::foundation::Stopper;
use crate::service::exit::Exit;
use crate::supervisor::errors::StartError;
use crate::sync::{self, Clock, JoinHandle, Mutex, Ordering, SignalFlag};

/// How long after the first a signal may be the same one.
const ECHO: Duration = Duration::from_millis(500);

/// The thread that hears signals. It ends when this is dropped.
#[derive(Debug)]
pub(crate) struct Signals {
    handle: Handle,
    thread: Option<JoinHandle<()>>,
    _listeners: Listeners,
}

impl Signals {
    pub(crate) fn listen(stopper: &Stopper) -> Result<Self, StartError> {
        let refused = |error: std::io::Error| StartError::FailedToStart {
            supervisor: "foundation".into(),
            child: "signals".into(),
            source: Exit::NotSpawned(Arc::new(error)),
        };
        let listeners = Listeners::one_more().map_err(refused)?;
        let mut signals = Listening::new([SIGTERM, SIGINT]).map_err(refused)?;
        let handle = signals.handle();
        let stopper = stopper.clone();
        let hear = move || {
            let mut asked = None;
            for signal in signals.forever() {
                asked = Some(heard(&stopper, signal, asked));
            }
        };
        let thread = sync::spawn("signals".into(), None, hear).map_err(refused)?;
        Ok(Self { handle, thread: Some(thread), _listeners: listeners })
    }
}

/// The first asks, at the moment that is returned; a later one insists. One that comes right after
/// the first is its echo: `timeout` and terminals signal a process and its group.
fn heard(stopper: &Stopper, signal: i32, asked: Option<Instant>) -> Instant {
    let now = Clock::system().now();
    if asked.is_some_and(|asked| now.duration_since(asked) > ECHO) {
        // It ends the process; where that is refused there is nothing left to try.
        let _ = emulate_default_handler(signal);
    }
    stopper.stop_because(signal_name(signal).unwrap_or("a signal"));
    asked.unwrap_or(now)
}

impl Drop for Signals {
    fn drop(&mut self) {
        self.handle.close();
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}

/// One of those who listen. While there are none, the signals do what they did before: they end the
/// process. A handler cannot be taken back, only be told to do so.
#[derive(Debug)]
struct Listeners;

/// How many listen, and what the handlers look at.
static LISTENERS: OnceLock<Mutex<(usize, Arc<SignalFlag>)>> = OnceLock::new();

impl Listeners {
    fn one_more() -> std::io::Result<Self> {
        let mut listeners = LISTENERS.get_or_init(|| Mutex::new((0, Arc::default()))).lock();
        let (count, nobody) = &mut *listeners;
        nobody.store(false, Ordering::SeqCst);
        // Nobody else holds it before the first time.
        if Arc::strong_count(nobody) == 1 {
            for signal in [SIGTERM, SIGINT] {
                signal_hook::flag::register_conditional_default(signal, Arc::clone(nobody))?;
            }
        }
        *count += 1;
        Ok(Self)
    }
}

impl Drop for Listeners {
    fn drop(&mut self) {
        if let Some(listeners) = LISTENERS.get() {
            let (count, nobody) = &mut *listeners.lock();
            *count -= 1;
            nobody.store(*count == 0, Ordering::SeqCst);
        }
    }
}
